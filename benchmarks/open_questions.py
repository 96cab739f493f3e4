"""What the field has not measured of COIN: questions (b) to (h), each with a spread.

    python -m benchmarks.open_questions                    fill what is missing; finished rows are kept
    python -m benchmarks.open_questions --questions d f    only these
    python -m benchmarks.open_questions --table            print the tables from the stored rows

* b: what COIN costs on clean data, over its strength α.
* c: how far seeds spread the central result; answered by the study ``phenomenon``, whose rows are read here.
* d: whether COIN's design is needed: its parts alone, and other random warps at the same mean distortion.
* e: detect, then defend: COIN on the flagged images alone, where some images are clean; the control trains on those
  alone.
* f: attackers who know: reflection padding, larger kernels, kernels chosen so that COIN leaves the classes apart.
* g: resolution: shapes at 32, 64 and 96 pixels over α.
* h: where the best α lies for other p_b and kernel sizes.

The attack is CUDA on shapes unless a row says otherwise; network, plan and sizes are those of
the study ``defences``, whose rows are taken over where they are the same run. Rows are stored in
``assets/results/open_questions.json``.
"""

from __future__ import annotations

from typing import Any

from benchmarks import rows
from benchmarks.study_tables import against_control
from ued_core.results.measured import summary
from ued_core.results.open_questions import found as conditions_of
from ued_core.results.row import ResultRow, stored_rows
from ued_core.results.words import level, level_cell

RESULTS = rows.RESULTS / "open_questions.json"
OTHERS = (rows.RESULTS / "defences.json",)
SEEDS = (0, 1, 2)
DATASETS: dict[str, dict[str, Any]] = {
    "shapes": {"name": "shapes", "train_size": 2000, "test_size": 500},
    "digits": {"name": "digits"},
}
PLAN = {"name": "adamw", "batch_size": 64}
QUESTIONS = ("b", "d", "e", "f", "g", "h")
CUDA = {"name": "cuda", "blur": 0.3}


def coin(strength: float) -> list[dict[str, Any]]:
    """COIN alone."""
    return [{"name": "coin", "strength": strength}]


def conditions() -> dict[tuple[str, str], dict[str, Any]]:
    """Question and name of every row, and what its spec has besides the seed."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for dataset in ("shapes", "digits"):
        for strength in (0.5, 1.0, 1.5, 2.0, 3.0):
            found["b", f"{dataset}, α = {strength:g}"] = {"dataset": dataset, "defenses": coin(strength)}
        found["b", f"{dataset}, none"] = {"dataset": dataset}
    warps = ("elastic", "smooth_field", "random_affine", "random_perspective")
    rivals = {
        "none": [],
        "COIN": coin(2.0),
        **{name: [name] for name in ("coin_shifts", "coin_interpolation", *warps)},
    }
    for name, stack in rivals.items():
        found["d", name] = {"attack": CUDA, "defenses": stack}
    for rate in (0.5, 0.8):
        mixed = {"attack": CUDA, "poison_rate": rate}
        for name, stack in {"none": [], "COIN on all": coin(2.0), "COIN on the flagged": ["gated_coin"]}.items():
            found["e", f"{100 * rate:.0f} % poisoned, {name}"] = {**mixed, "defenses": stack}
        found["e", f"{100 * rate:.0f} % poisoned, the clean ones alone"] = {**mixed, "train_on": "clean"}
    adaptive = {
        "as published": CUDA,
        "reflection padding": {**CUDA, "padding": "reflect"},
        "5×5 kernels": {**CUDA, "kernel_size": 5},
        "7×7 kernels": {**CUDA, "kernel_size": 7},
        "kernels chosen against COIN": {**CUDA, "selection": "against COIN"},
        "7×7 kernels chosen against COIN": {**CUDA, "kernel_size": 7, "selection": "against COIN"},
    }
    for name, attack in adaptive.items():
        found["f", name] = {"attack": attack}
        found["f", f"{name} + COIN"] = {"attack": attack, "defenses": coin(2.0)}
    for side in (32, 64, 96):
        shape = {"dataset": {**DATASETS["shapes"], "side": side}}
        found["g", f"{side} px, clean"] = shape
        for strength in (0.0, 2.0, 4.0):
            stack = coin(strength) if strength else []
            found["g", f"{side} px, α = {strength:g}"] = {**shape, "attack": CUDA, "defenses": stack}
    for blur in (0.1, 0.3, 0.6):
        for strength in (0.0, 1.0, 2.0, 3.0):
            found["h", f"p_b = {blur:g}, α = {strength:g}"] = {
                "attack": {**CUDA, "blur": blur},
                "defenses": coin(strength) if strength else [],
            }
    for size in (5, 7):
        for strength in (0.0, 1.0, 2.0, 3.0):
            found["h", f"k = {size}, α = {strength:g}"] = {
                "attack": {**CUDA, "kernel_size": size},
                "defenses": coin(strength) if strength else [],
            }
    return found


CONDITIONS = conditions()


def spec_of(question: str, name: str, seed: int) -> dict[str, Any]:
    """The run spec of one row."""
    own = dict(CONDITIONS[question, name])
    dataset = own.pop("dataset", "shapes")
    dataset = DATASETS[dataset] if isinstance(dataset, str) else dataset
    shared = {
        "model": "small_cnn",
        "plan": PLAN,
        "seed": seed,
        "attack_seed": seed,
        "device": "cpu",
        "note": f"({question}) {name}",
    }
    return {**shared, **own, "dataset": {**dataset, "seed": seed}}


def compute(question: str, name: str, seed: int) -> ResultRow:
    """One row."""
    labels = {"question": question, "name": name, "seed": seed}
    return ResultRow.from_json({**labels, **rows.train_once(spec_of(question, name, seed), OTHERS)})


def name_of(row: ResultRow) -> tuple[str, str, int]:
    """What a row is called."""
    return row.question, row.name, row.seed


def main() -> None:
    """Fill the tables or print them."""
    parser = rows.parser(__doc__)
    parser.add_argument("--questions", nargs="*", default=QUESTIONS, choices=QUESTIONS)
    options = parser.parse_args()
    if options.table:
        print(table(stored_rows(RESULTS)))
        return
    from ued_core.runs.spec import RunSpec

    there = {(name_of(row), row.key) for row in stored_rows(RESULTS)}
    wanted = [(*name, seed) for seed in options.seeds for name in CONDITIONS if name[0] in options.questions]
    missing = [job for job in wanted if (job, RunSpec.from_json(spec_of(*job)).key()) not in there]
    order = [(*name, seed) for name in CONDITIONS for seed in SEEDS]
    rows.fill(missing, compute, lambda row: rows.store(RESULTS, row, name_of, order), options.workers)


def table(found: list[ResultRow]) -> str:
    """Markdown: mean ± sd of the clean test accuracy of the last epoch, and the difference on the same seeds from the
    same attack without COIN, or from clean data."""
    lines = ["| question | condition | clean test, last | against | best | train |", "|---|---|---|---|---|---|"]
    asked = {question: conditions_of(found, question) for question in dict.fromkeys(q for q, _ in CONDITIONS)}
    for question, name in CONDITIONS:
        own = next((c for c in asked[question] if c.name == name), None)
        if own:
            cells = [level_cell(summary(own, "last")), against_control(own, asked[question])]
            cells += [level(summary(own, k)) for k in ("best", "train_accuracy")]
            lines.append("| " + " | ".join([question, name, *cells]) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
