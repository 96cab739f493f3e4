"""The Markdown tables of the shipped studies, for the documents; rows and columns stand in the order of the studies."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import rows
from ued_core.results.evidence import Draw, aligned, compare, draws, like_with_like, over, summed
from ued_core.results.measured import (
    Grid,
    against,
    by_rate,
    conditions,
    control,
    data_sets,
    defences_of,
    grid,
    reference,
    summary,
)
from ued_core.results.open_questions import found as of_question
from ued_core.results.phenomenon import Condition
from ued_core.results.phenomenon import conditions as of_plan
from ued_core.results.row import ResultRow, guessing
from ued_core.results.staged import PLAIN, WATCHED
from ued_core.results.starts import SCRATCH, starts_of
from ued_core.results.words import gain_cell, level, level_cell, share
from ued_core.studies.claims import judgements
from ued_core.studies.progress import StudyProgress


def phenomenon(found: Sequence[ResultRow]) -> str:
    """The last epoch's clean test accuracy, its difference from the control on the same seeds, and what goes with
    it."""
    lines = [
        "| data | plan | trained on | clean test, last | against its control | best | train | wrong kernel: true class "
        "| wrong kernel: kernel's class |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    numbers = ("best", "train_accuracy", "wrong_true_rate", "wrong_perturbation_rate")
    for dataset, plan in dict.fromkeys((row.dataset, row.plan) for row in found):
        there = of_plan(found, dataset, plan)
        for own in there:
            last = level_cell(summary(own, "last"))
            cells = [last, against_control(own, there), *(level(summary(own, k)) for k in numbers)]
            lines.append("| " + " | ".join([dataset, plan, own.name, *cells]) + " |")
    return "\n".join(lines)


def against_control(own: Condition, there: Sequence[Condition]) -> str:
    """The difference from what a condition is compared with, and the name of that; empty without either."""
    other = control(own, there)
    cell = gain_cell(against(own, other))
    return f"{cell} ({other.name})" if other and cell else ""


def attacks(found: Sequence[ResultRow]) -> str:
    """Mean ± sd over seeds, and the difference from the same training on clean data, on the same seeds; size and cost
    of the perturbation."""
    lines = [
        "| data | trained on | clean test, last | against clean | best | train | L∞ | L2 | crafting, CPU s | gradient "
        "evaluations | NMI |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for dataset in data_sets(found):
        there = conditions(found, dataset)
        for condition in there:
            clean = reference(condition, there)
            lost = "" if clean is condition else gain_cell(against(condition, clean))
            best, train = (level(summary(condition, k)) for k in ("best", "train_accuracy"))
            sizes = [_mean([_poison(row, k) for row in condition.rows], 1) for k in ("linf", "l2")]
            costs = [_mean([_poison(row, k) for row in condition.rows], 0) for k in ("cpu_s", "evaluations")]
            nmi = _mean([_poison(row, "agreement") for row in condition.rows], 2)
            last = level_cell(summary(condition, "last"))
            cells = [dataset, condition.name, last, lost, best, train, *sizes, *costs, nmi]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _poison(row: ResultRow, name: str) -> float | None:
    """A number of the perturbation; what crafting took stands in its own part since runs measure it themselves."""
    stored: dict[str, Any] = row.poison or {}
    crafted = row.crafting.to_json() if row.crafting is not None else {}
    return stored.get(name, stored.get(f"crafting_{name}", crafted.get(name)))


def _mean(values: list[float | None], digits: int) -> str:
    return rows.spread(values, digits, 1.0).split(" ")[0]


def defences(found: Sequence[ResultRow]) -> str:
    """One table per data set; the row *none* has accuracies, the others what a defence adds to it.

    A cell that shares no seed with its *none* is dropped.
    """
    parts = []
    for dataset in data_sets(found):
        measured = grid(found, dataset)
        lines = [f"| {dataset} | " + " | ".join(measured.attacks) + " |", "|---" * (len(measured.attacks) + 1) + "|"]
        for defence in measured.defences:
            cells = [_cell(measured, attack, defence) for attack in measured.attacks]
            if any(cells):
                lines.append("| " + " | ".join([defence, *cells]) + " |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def matrix(study: StudyProgress, columns: str) -> str:
    """Mean ± sd and number of seeds of every condition of a grid: the values of one axis are columns, the combinations
    of the others rows; rows without a run are left out.

    Args:
        study: as far as its rows go.
        columns: name of the axis.
    """
    across = list(study.study.by_axis[columns].by_label)
    others = [axis.title for axis in study.study.grid_axes if axis.title != columns]
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for cell in study.cells.values():
        places = cell.condition.places
        if places and cell.draws:
            row = tuple(places[name] for name in others)
            found.setdefault(row, {})[places[columns]] = level_cell(over(cell.draws.values()))
    lines = ["| " + " | ".join([*others, *across]) + " |", "|---" * (len(others) + len(across)) + "|"]
    lines += ["| " + " | ".join([*row, *(own.get(name, "") for name in across)]) + " |" for row, own in found.items()]
    return "\n".join(lines) if found else ""


def claims() -> str:
    """What papers claim, and what the stored runs say of it."""
    lines = ["| paper | claim | here | comparisons | study |", "|---|---|---|---|---|"]
    for one in judgements():
        parts = [f"{check.name} {gain_cell(found)}" for check, found in one.found if found is not None]
        missing = sum(found is None for _, found in one.found)
        parts += [f"{missing} not run yet"] if missing else []
        claim = one.claim
        lines.append(
            "| " + " | ".join([claim.paper, claim.text, f"**{one.verdict}**", "; ".join(parts), claim.study]) + " |"
        )
    return "\n".join(lines)


def dvae(stages: Sequence[ResultRow], rates: Sequence[ResultRow]) -> str:
    """What each arm of D-VAE gives back on the same seeds, how near its images are to the clean ones, and what one
    stage lets through at each rate target.

    Args:
        stages, rates: of the studies ``dvae`` and ``dvae-rates``.
    """
    return "\n\n".join(filter(None, [defences(stages), _nearness(stages), _rates(rates)]))


def _nearness(found: Sequence[ResultRow]) -> str:
    parts = []
    for dataset in data_sets(found):
        measured = grid(found, dataset)
        lines = ["| PSNR to clean, dB | " + " | ".join(measured.attacks) + " |"]
        lines.append("|---" * (len(measured.attacks) + 1) + "|")
        for defence in measured.defences:
            cells = [_numbers(measured.cells.get((attack, defence)), "psnr_clean", 1) for attack in measured.attacks]
            if any(cells):
                lines.append("| " + " | ".join([defence, *cells]) + " |")
        parts += ["\n".join(lines)] if len(lines) > 2 else []
    return "\n\n".join(parts)


def _rates(found: Sequence[ResultRow]) -> str:
    targets = by_rate(found)
    there = [c for dataset in data_sets(found) for c in conditions(found, dataset)]
    lines = [
        "| x̂ of one stage after LSP, target, nats | clean test | against none | rate | PSNR to input | to clean | "
        "surviving | p̂ ~ its class's noise | ~ others' |",
        "|---" * 9 + "|",
    ]
    for target, own in targets.items():
        numbers = [("nats", 2), ("psnr_input", 1), ("psnr_clean", 1), ("surviving", 3), ("found", 3)]
        measured = [_numbers(own, number, digits) for number, digits in [*numbers, ("found_elsewhere", 3)]]
        cells = [level_cell(summary(own, "last")), gain_cell(against(own, control(own, there))), *measured]
        lines.append("| " + " | ".join([f"{target:g}", *cells]) + " |")
    return "\n".join(lines) if targets else ""


def _numbers(cell: Condition | None, number: str, digits: int) -> str:
    """Mean ± sd of a number that is no accuracy; empty where it was not measured."""
    values = [] if cell is None else cell.values(number).tolist()
    return rows.spread([value for value in values if math.isfinite(value)], digits, 1.0).replace("-", "−")


def _cell(measured: Grid, attack: str, defence: str) -> str:
    cell = measured.cells.get((attack, defence))
    if cell is None:
        return ""
    if not defences_of(cell):
        return level_cell(summary(cell, "last"))
    gain = measured.gain(attack, defence)
    return gain_cell(gain) if gain else ""


def open_questions(tables: Mapping[str, Sequence[ResultRow]]) -> str:
    """The clean test accuracy of the last epoch, and the difference on the same seeds from the same attack without
    COIN, or from clean data.

    Args:
        tables: key of a question → its rows.
    """
    lines = ["| question | condition | clean test, last | against | best | train |", "|---|---|---|---|---|---|"]
    for question, found in tables.items():
        there = of_question(found)
        for own in there:
            cells = [level_cell(summary(own, "last")), against_control(own, there)]
            cells += [level(summary(own, k)) for k in ("best", "train_accuracy")]
            lines.append("| " + " | ".join([question, own.name, *cells]) + " |")
    return "\n".join(lines)


def staged(found: Sequence[ResultRow]) -> str:
    """The clean test accuracy of plain training at the last epoch, what the others add to it on the same seeds, and
    their alarms by seed. Where plain training was only watched, that is the same training, bit for bit."""
    scenes, arms = (dict.fromkeys(getattr(row, name) for row in found) for name in ("scene", "arm"))
    by = {(s, a): [row for row in found if (row.scene, row.arm) == (s, a)] for s in scenes for a in (*arms, PLAIN)}
    lines = ["| trained with | " + " | ".join(scenes) + " |", "|---" * (len(scenes) + 1) + "|"]
    for arm in (arm for arm in arms if arm != WATCHED):
        cells = []
        for scene in scenes:
            own, plain = by[scene, arm], by[scene, PLAIN] or by.get((scene, WATCHED), [])
            if arm == PLAIN:
                cells.append(level_cell(summary(Condition(arm, tuple(plain)), "last")))
                continue
            alarms = ", ".join(str(row.training[0]["alarms"]) for row in own if row.training)
            cell = gain_cell(compare(*like_with_like(own, plain)))
            cells.append(f"{cell}; alarms {alarms}" if cell and alarms else cell)
        if any(cells):
            lines.append("| " + " | ".join([arm, *cells]) + " |")
    return "\n".join(lines)


def uc_protocols(found: Sequence[ResultRow]) -> str:
    """Mean ± sd over seeds; accuracies of the two parts of mixed sets are of the images as stored."""
    lines = [
        "| protocol | setting | trained on | clean test, last | clean test, best | train | unlearnable part | clean "
        "part | chance | n |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    numbers = ("last", "best", "train_accuracy", "touched_accuracy", "untouched_accuracy")
    grouped: dict[tuple[str, str, str], list[ResultRow]] = {}
    for row in found:
        grouped.setdefault((row.protocol, row.setting, row.trained_on), []).append(row)
    for name, own in grouped.items():
        cells = [rows.spread([row.value(number) for row in own]) for number in numbers]
        lines.append("| " + " | ".join([*name, *cells, f"{100 * guessing(own[0]):.0f}", str(len(own))]) + " |")
    return "\n".join(lines)


def pretrained(rows: Sequence[ResultRow]) -> str:
    """Accuracies by start of training and attack, the difference from clean images of the same start, and how that
    differs from the start from scratch."""
    found = starts_of(rows)
    lines = [
        "| start | trained on | clean test, last | change by the attack | against from scratch |",
        "|---" * 5 + "|",
    ]
    for (start, attack), own in found.cells.items():
        lost = found.losses.get((start, attack))
        spared = found.spared(start, attack) if lost and start != SCRATCH else None
        cells = [level_cell(summary(own, "last")), gain_cell(lost) if lost else "", gain_cell(spared) if spared else ""]
        lines.append("| " + " | ".join([start, attack, *cells]) + " |")
    return "\n".join(lines)


def key_and_seed(found: Sequence[ResultRow]) -> str:
    """Accuracies of every key under every training seed, one table per condition, and where their spread comes from."""
    cells = by_condition(found)
    if not cells:
        return ""
    parts = [_crossed(name, own) for name, own in cells.items()]
    lines = ["| | mean of all | sd of one run | the key's share | the training seed's | neither's |", "|---" * 6 + "|"]
    for name, own in {**cells, **gains_of(cells)}.items():
        whole = summed(own)
        split = [f"{100 * whole.split.spread:.1f}"] if whole.split else [""]
        if whole.split and not math.isnan(whole.split.key):
            split += [share(whole.split.key, whole.split.key_p), share(whole.split.seed, whole.split.seed_p)]
            split += [share(whole.split.rest)]
        mean = f"{level(over([whole.mean]))} (n = {whole.count})"
        lines.append("| " + " | ".join([name, mean, *split, *[""] * (4 - len(split))]) + " |")
    return "\n\n".join([*parts, "\n".join(lines)])


def by_condition(found: Sequence[ResultRow]) -> dict[str, dict[Draw, float]]:
    """Accuracy by draw of every condition, the one without a defence first."""
    named: dict[str, list[ResultRow]] = {}
    for row in sorted(found, key=lambda row: bool(row.spec["defenses"])):
        named.setdefault(row.condition if row.spec["defenses"] else "no defence", []).append(row)
    return {name: draws(own) for name, own in named.items()}


def gains_of(cells: Mapping[str, Mapping[Draw, float]]) -> dict[str, dict[Draw, float]]:
    """What every further condition adds to the first, draw by draw."""
    first, *others = cells
    pairs = {name: aligned(cells[name], cells[first]) for name in others}
    return {f"{name} over {first}": {d: own[d] - none[d] for d in own} for name, (own, none) in pairs.items()}


def _crossed(name: str, values: Mapping[Draw, float]) -> str:
    keys, seeds = sorted({d.key for d in values if d.key is not None}), sorted({d.seed for d in values})
    lines = [
        f"| {name} | " + " | ".join(f"seed {seed}" for seed in seeds) + " | mean |",
        "|---" * (len(seeds) + 2) + "|",
    ]
    for key in keys:
        own = {d.seed: value for d, value in values.items() if d.key == key}
        cells = [level(over([own[seed]])) if seed in own else "" for seed in seeds]
        lines.append("| " + " | ".join([f"key {key}", *cells, level(over([over(own.values()).mean]))]) + " |")
    means = [level(over([over(v for d, v in values.items() if d.seed == seed).mean])) for seed in seeds]
    return "\n".join([*lines, "| " + " | ".join(["mean", *means, level(over([over(values.values()).mean]))]) + " |"])
