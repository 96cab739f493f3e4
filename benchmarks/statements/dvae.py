"""What D-VAE gives back on photographs and costs, stage by stage, and what its rate limit lets through."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from benchmarks.statements.stored import bullets, change, told
from ued_core.results.evidence import Comparison, Summary, compare, like_with_like, over
from ued_core.results.measured import Grid, attack_of, by_rate, data_sets, grid
from ued_core.results.phenomenon import Condition
from ued_core.results.row import ResultRow
from ued_core.results.words import level

TWO_STAGES, SUBTRACTED, ONE_STAGE, PLAIN = "D-VAE, two stages", "D-VAE, x − p̂", "D-VAE, x̂", "plain VAE"
"""The arms of the study ``dvae``, as its file calls them."""
FLOAT32, BFLOAT16 = "two stages, float32", "two stages, bfloat16"
"""Those of the study ``dvae-precision``."""


def words(stages: Sequence[ResultRow], rates: Sequence[ResultRow], precisions: Sequence[ResultRow] = ()) -> str:
    """Markdown: one line per arm, per question between two arms, and on the network of stage 1.

    Args:
        stages, rates, precisions: of the studies ``dvae``, ``dvae-rates`` and ``dvae-precision``.
    """
    lines: list[str] = []
    for dataset in data_sets(stages):
        found = grid(stages, dataset)
        lines += [_arm(found, arm) for arm in found.defences]
        lines.append(_against(found, TWO_STAGES, ONE_STAGE, "Two stages against x̂ of one stage"))
        lines.append(_against(found, ONE_STAGE, PLAIN, "x̂ against a plain VAE, which has no class vectors"))
        lines.append(_perturbation(found))
    return bullets([*lines, _passing(rates), _arithmetic(precisions)])


def _arm(found: Grid, arm: str) -> str:
    """What an arm gives back after each attack, and what it costs clean images."""
    told_of = []
    for attack in found.attacks:
        gain = found.gain(attack, arm)
        if gain is not None:
            after = over(found.cells[attack, arm].values("last"))
            told_of.append(f"{_attacked(found, attack)} {change(gain)}, to {level(after)} %")
    return f"**{arm}:** {'; '.join(told_of)}." if told_of else ""


def _against(found: Grid, first: str, second: str, title: str) -> str:
    """Two arms on the same seeds, attack by attack."""
    told_of = []
    for attack in found.attacks:
        one, other = (found.cells.get((attack, arm)) for arm in (first, second))
        if one is not None and other is not None:
            difference = compare(*like_with_like(one.rows, other.rows))
            if difference.gain.count:
                told_of.append(f"{_attacked(found, attack)} {change(difference)}")
    return f"**{title}:** {'; '.join(told_of)}." if told_of else ""


def _attacked(found: Grid, attack: str) -> str:
    own = next(cell for (name, _), cell in found.cells.items() if name == attack)
    return f"after {attack}" if attack_of(own) else "on clean images"


def _perturbation(found: Grid) -> str:
    """Whether p̂ of stage 1 is like the perturbation of its own class."""
    told_of = []
    for attack in found.attacks:
        cell = found.cells.get((attack, SUBTRACTED))
        own, elsewhere = (_by_seed(cell, number) for number in ("found", "found_elsewhere"))
        difference = compare(own, elsewhere)
        if difference.gain.count:
            doubt = ", which cannot be told apart" if difference.word == "cannot be told" else ""
            means = " against ".join(_number(over(values.values())) for values in (own, elsewhere))
            told_of.append(f"after {attack} {means}{doubt} (n = {difference.gain.count})")
    if not told_of:
        return ""
    return (
        "**p̂ of stage 1**, correlation of its class means with the perturbation of the same class against that of "
        f"the other classes: {'; '.join(told_of)}."
    )


def _by_seed(cell: Condition | None, number: str) -> dict[int, float]:
    rows = cell.rows if cell is not None else ()
    return {row.seed: value for row in rows if (value := row.value(number)) is not None}


def _arithmetic(rows: Sequence[ResultRow]) -> str:
    """What bfloat16 in the steps of both stages changes."""
    exact, half = ([row for row in rows if row.defence == arm] for arm in (FLOAT32, BFLOAT16))
    accuracy = compare(*like_with_like(half, exact))
    if not accuracy.gain.count:
        return ""
    parts = [f"clean test accuracy {change(accuracy)}"]
    for number, what, unit, digits in (
        ("psnr_clean", "to the clean images", " dB", 1),
        ("found", "is the correlation of p̂'s class means with the perturbation", "", 2),
    ):
        values = like_with_like(half, exact, number=number)
        difference = compare(*values)
        if difference.gain.count:
            ends = " against ".join(f"{_number(over(side.values()), 1.0, digits)}{unit}" for side in values)
            parts.append(f"{ends} {what}{_doubt(difference)}")
    return f"**bfloat16 against float32** in the steps of both stages, after LSP: {'; '.join(parts)}."


def _passing(rates: Sequence[ResultRow]) -> str:
    """What the tightest and the loosest rate target let through."""
    targets = by_rate(rates)
    if len(targets) < 2:
        return ""
    (low, tight), (high, loose) = min(targets.items()), max(targets.items())
    parts = list(_ends(tight, loose, low, high))
    return f"**The rate limit**, x̂ of one stage after LSP: {'; '.join(parts)}." if parts else ""


def _ends(tight: Condition, loose: Condition, low: float, high: float) -> Iterator[str]:
    for number, what, scale, unit in (
        ("surviving", "of the perturbation pass", 100.0, " %"),
        ("psnr_clean", "to the clean images", 1.0, " dB"),
    ):
        difference = compare(*like_with_like(loose.rows, tight.rows, number=number))
        if difference.gain.count:
            ends = [
                f"{_number(over(cell.values(number)), scale, 1)}{unit} at {target:g} nats"
                for cell, target in ((tight, low), (loose, high))
            ]
            yield f"{' and '.join(ends)} {what}{_doubt(difference)}"
    accuracy = compare(*like_with_like(loose.rows, tight.rows))
    if accuracy.gain.count:
        yield told(
            accuracy,
            f"the accuracy is higher at {high:g} nats by {{}}",
            f"the accuracy is lower at {high:g} nats by {{}}",
            "at which of the two the accuracy is higher cannot be told ({})",
        )


def _doubt(difference: Comparison) -> str:
    doubt = ", which cannot be told apart" if difference.word == "cannot be told" else ""
    return f"{doubt} (n = {difference.gain.count})"


def _number(found: Summary, scale: float = 1.0, digits: int = 2) -> str:
    """Mean ± sd, with a minus sign that is one."""
    mean = f"{round(scale * found.mean, digits) + 0.0:.{digits}f}".replace("-", "−")
    return f"{mean} ± {scale * found.spread:.{digits}f}" if found.count > 1 else mean
