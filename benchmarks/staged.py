"""Plain training against readings of staged training and their ablations, at equal accepted epochs.

    nice -n 10 python -m benchmarks.staged            fill what is missing; finished rows are kept, so it can be stopped
    python -m benchmarks.staged --table               print the tables from the stored rows

The small CNN with 12 channels. Digits: 12 epochs (264 steps) of AdamW in batches of 64, in two scenes 100 epochs (2,200
steps). Shapes: 2,000 images, 8 epochs. One scene has a CIFAR ResNet-18 of width 8. One seed draws images, private key,
weights and order. The threshold of 1.1 was taken after one pilot run (LSP, seed 100); nothing else was
tuned. *Watched only* is plain training, bit for bit, with its layers measured. Rows are stored in
``assets/results/staged.json`` with spec, history, every check and environment.
"""

from __future__ import annotations

from typing import Any

from benchmarks import rows
from ued_core.results.evidence import compare, like_with_like
from ued_core.results.measured import summary
from ued_core.results.phenomenon import Condition
from ued_core.results.row import ResultRow, stored_rows
from ued_core.results.staged import PLAIN, WATCHED
from ued_core.results.words import gain_cell, level_cell

RESULTS = rows.RESULTS / "staged.json"
SEEDS = (0, 1, 2)
REM = {"name": "rem", "train_steps": 400, "noise_steps": 3, "adversarial_steps": 1, "adversarial_radius": 1}
WIDTH = 12
RESNET: dict[str, Any] = {"name": "resnet18", "width": 8}
DIGITS: dict[str, Any] = {"name": "digits"}
SHAPES: dict[str, Any] = {"name": "shapes", "train_size": 2000, "test_size": 1000}
LONG = {"epochs": 100, "batch_size": 64}
SCENES: dict[str, tuple[dict[str, Any], dict[str, Any] | None, dict[str, Any]]] = {
    "clean digits": (DIGITS, None, {"epochs": 12, "batch_size": 64}),
    "LSP digits": (DIGITS, {"name": "synper"}, {"epochs": 12, "batch_size": 64}),
    "EM digits": (DIGITS, {"name": "em"}, {"epochs": 12, "batch_size": 64}),
    "REM digits": (DIGITS, REM, {"epochs": 12, "batch_size": 64}),
    "region noise digits, no crop": (DIGITS, {"name": "region"}, {"epochs": 12, "batch_size": 64, "crop": 0}),
    "clean shapes": (SHAPES, None, {"epochs": 8, "batch_size": 64}),
    "CUDA shapes": (SHAPES, {"name": "cuda"}, {"epochs": 8, "batch_size": 64}),
    "LSP digits, 2,200 steps": (DIGITS, {"name": "synper"}, LONG),
    "EM digits, 2,200 steps": (DIGITS, {"name": "em"}, LONG),
    "REM digits, 2,200 steps": (DIGITS, REM, LONG),
    "clean digits, 2,200 steps": (DIGITS, None, LONG),
    "LSP digits, ResNet-18": (DIGITS, {"name": "synper"}, {"epochs": 12, "batch_size": 64}),
    "clean digits, ResNet-18": (DIGITS, None, {"epochs": 12, "batch_size": 64}),
}
"""Name → data set, attack, what differs from the plan's defaults."""
MODELS = {"LSP digits, ResNet-18": RESNET, "clean digits, ResNet-18": RESNET}
"""Scenes with another network than the small CNN."""
ST: dict[str, Any] = {"name": "staged", "threshold": 1.1}
QUIET: dict[str, Any] = {"name": "staged", "threshold": 2.0}
"""Where nothing answers an alarm the threshold decides nothing, but it is part of a run's key."""
COLOURS = "jitter and grey"
ARMS: dict[str, dict[str, Any] | None] = {
    "plain": None,
    "ST": ST,
    "ST-lite: fixed rates": {**QUIET, "reaction": "fixed"},
    "shallow layers frozen at the start": {"name": "staged", "threshold": 0.0, "freeze_after": 1},
    "ST, no rollback": {**ST, "rollback": False},
    "ST, layers freeze from the image on": {**ST, "reaction": "freeze"},
    "ST, shallow layers reset": {**ST, "reaction": "reset"},
    "ST by Fisher ratio": {**ST, "signal": "fisher", "threshold": 1.2},
    "ST by speed of the loss": {**ST, "signal": "loss", "threshold": 2.0},
    "ST, threshold 2": QUIET,
    "ST-full: ST + colours": {**ST, "colours": COLOURS},
    "colours alone": {**QUIET, "reaction": "none", "colours": COLOURS},
    "watched only": {**QUIET, "reaction": "none"},
}
POISONED = ("LSP digits", "EM digits", "region noise digits, no crop")
FIRST = ("watched only", "ST", "shallow layers frozen at the start", "ST-lite: fixed rates")
FEW = ("watched only", "ST", "colours alone")
READINGS = (
    "ST, layers freeze from the image on",
    "ST, shallow layers reset",
    "ST by Fisher ratio",
    "ST by speed of the loss",
)


def jobs(seeds: tuple[int, ...]) -> list[tuple[str, str, int]]:
    """Scene, arm, seed; the most important first."""
    first, *more = seeds
    lsp, em, region = POISONED
    wanted = [(lsp, arm, first) for arm in (*FIRST, *READINGS, "ST, no rollback")]
    wanted += [(scene, arm, first) for scene in (em, "clean digits") for arm in FIRST[:3]]
    wanted += [(scene, arm, first) for scene in ("CUDA shapes", "clean shapes") for arm in FIRST[:2]]
    wanted += [(region, arm, first) for arm in FIRST[:3]]
    wanted += [(lsp, arm, seed) for arm in FIRST[:3] for seed in more]
    wanted += [(scene, arm, seed) for seed in more for scene in (em, "clean digits") for arm in FIRST[:3]]
    wanted += [
        (scene, arm, seed) for seed in seeds for scene in (lsp, em, "clean digits") for arm in ARMS if arm != "plain"
    ]
    wanted += [(lsp, arm, first) for arm in ("ST-full: ST + colours", "colours alone", "ST, threshold 2")]
    more_scenes = [scene for scene in SCENES if "," in scene and scene != region]
    wanted += [(scene, arm, seed) for seed in seeds for scene in more_scenes for arm in FEW]
    wanted += [(scene, arm, seed) for seed in seeds for scene in SCENES if scene not in more_scenes for arm in ARMS]
    return list(dict.fromkeys(wanted))


def spec_of(scene: str, arm: str, seed: int) -> dict[str, Any]:
    """The run spec of one row."""
    dataset, attack, plan = SCENES[scene]
    return {
        "dataset": {**dataset, "seed": seed},
        "attack": attack,
        "defenses": [ARMS[arm]] if ARMS[arm] else [],
        "model": MODELS.get(scene, {"name": "small_cnn", "width": WIDTH}),
        "plan": {"name": "adamw", **plan},
        "seed": seed,
        "attack_seed": seed,
        "device": "cpu",
        "note": f"{scene} · {arm}",
    }


def compute(scene: str, arm: str, seed: int) -> ResultRow:
    """One row."""
    row = rows.train_once(spec_of(scene, arm, seed))
    numbers = ("last", "best", "train_accuracy", "history", "training", "environment", "seconds", "cpu_s")
    kept = ("version", "key", "spec", *numbers)
    labels = {"scene": scene, "arm": arm, "seed": seed}
    return ResultRow.from_json({**labels, **rounded({name: row[name] for name in kept})})


def rounded(value: Any) -> Any:
    """Numbers with six digits: a page draws them, and the file is shipped."""
    if isinstance(value, dict):
        return {name: rounded(inside) for name, inside in value.items()}
    if isinstance(value, list):
        return [rounded(inside) for inside in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def name_of(row: ResultRow) -> tuple[str, str, int]:
    """What a row is called."""
    return row.scene, row.arm, row.seed


def main() -> None:
    """Fill the table or print it."""
    parser = rows.parser(__doc__)
    parser.add_argument("--scenes", nargs="*", default=tuple(SCENES), choices=tuple(SCENES))
    parser.add_argument("--arms", nargs="*", default=tuple(ARMS), choices=tuple(ARMS))
    options = parser.parse_args()
    if options.table:
        print(table(stored_rows(RESULTS)))
        return
    from ued_core.runs.spec import RunSpec

    there = {(name_of(row), row.key) for row in stored_rows(RESULTS)}
    wanted = [job for job in jobs(tuple(options.seeds)) if job[0] in options.scenes and job[1] in options.arms]
    missing = [job for job in wanted if (job, RunSpec.from_json(spec_of(*job)).key()) not in there]
    order = [(scene, arm, seed) for scene in SCENES for arm in ARMS for seed in SEEDS]
    rows.fill(missing, compute, lambda row: rows.store(RESULTS, row, name_of, order), options.workers)


def table(found: list[ResultRow]) -> str:
    """Markdown: the clean test accuracy of plain training at the last epoch, what the others add to it on the same
    seeds, and their alarms by seed. Where plain training was only watched, that is the same training, bit for bit."""
    scenes = [scene for scene in SCENES if any(row.scene == scene for row in found)]
    lines = ["| trained with | " + " | ".join(scenes) + " |", "|---" * (len(scenes) + 1) + "|"]
    by = {(s, a): [row for row in found if (row.scene, row.arm) == (s, a)] for s in scenes for a in ARMS}
    for arm in (arm for arm in ARMS if arm != WATCHED):
        cells = []
        for scene in scenes:
            own, plain = by[scene, arm], by[scene, PLAIN] or by[scene, WATCHED]
            if arm == PLAIN:
                cells.append(level_cell(summary(Condition(arm, tuple(plain)), "last")))
                continue
            alarms = ", ".join(str(row.training[0]["alarms"]) for row in own if row.training)
            cell = gain_cell(compare(*like_with_like(own, plain)))
            cells.append(f"{cell}; alarms {alarms}" if cell and alarms else cell)
        if any(cells):
            lines.append("| " + " | ".join([arm, *cells]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
