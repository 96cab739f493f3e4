"""What the last layer, refitted on clean images, says of the features of networks that were trained on poison."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.statements.stored import bullets
from ued_core.results.evidence import Summary, over
from ued_core.results.measured import data_sets
from ued_core.results.row import ResultRow
from ued_core.results.words import level

NEAR = 0.05
"""Refitted accuracies that lie so near to the clean network's are called nearly as high."""


def words(rows: Sequence[ResultRow]) -> str:
    """Markdown: one line per data set.

    Args:
        rows: of the table of feature quality.
    """
    return bullets(_data(name, [row for row in rows if row.dataset == name]) for name in data_sets(rows))


def _data(name: str, rows: Sequence[ResultRow]) -> str:
    clean = [row for row in rows if not row.spec["attack"]]
    attacked = {attack: [r for r in rows if r.attack == attack] for attack in dict.fromkeys(r.attack for r in rows)}
    attacked = {attack: own for attack, own in attacked.items() if own[0].spec["attack"]}
    if not clean or not attacked:
        return ""
    reference, random = _mean(clean, "refitted"), _mean(clean, "untrained")
    ends = {attack: _mean(own, "refitted").mean for attack, own in attacked.items()}
    failed = [_mean(own, "as_trained").mean for own in attacked.values()]
    low, high = min(ends.values()), max(ends.values())
    near = [attack for attack, end in ends.items() if end >= reference.mean - NEAR]
    seeds = max(reference.count, *(len(own) for own in attacked.values()))
    if random.mean >= low:
        verdict = f"no test of the features: those of an untrained network reach {level(random)} %"
    else:
        far = [f"{attack} ({100 * end:.1f} %)" for attack, end in ends.items() if attack not in near]
        verdict = (
            f"features are there: untrained ones reach {level(random)} %, those of the clean network "
            f"{level(reference)} %, and {len(near)} of {len(ends)} come within {100 * NEAR:.0f} points of it"
            + (f"; further away are {', '.join(far)}" if far else "")
        )
    few = "one seed, so none of this can be told apart from chance" if seeds == 1 else f"{seeds} seeds at most"
    return (
        f"**{name[:1].upper()}{name[1:]}** ({few}): networks trained on poison end between {100 * min(failed):.1f} and "
        f"{100 * max(failed):.1f} %, with their last layer refitted between {100 * low:.1f} and {100 * high:.1f} %: "
        f"{verdict}."
    )


def _mean(rows: Sequence[ResultRow], number: str) -> Summary:
    return over(row.number(number) for row in rows)
