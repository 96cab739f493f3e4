"""How much of the spread of runs is the private key, and how much the training seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.statements.stored import bullets
from benchmarks.study_tables import by_condition, gains_of
from ued_core.results.evidence import Draw, Split, summed
from ued_core.results.measured import study_command
from ued_core.results.open_answers import NOT_YET
from ued_core.results.row import ResultRow
from ued_core.results.words import shares, what_decides


def words(rows: Sequence[ResultRow]) -> str:
    """Markdown: one line per condition and one per gain.

    Args:
        rows: of a study that trains every key with every seed.
    """
    cells = by_condition(rows)
    if not cells:
        return f"{NOT_YET} `{study_command('key-and-seed')}` trains every key with every seed."
    named = {**cells, **gains_of(cells)}
    return bullets(_line(name, own) for name, own in named.items())


def undefended(rows: Sequence[ResultRow]) -> Split | None:
    """Where the spread of the runs without a defence comes from; None before every key has every seed."""
    alone = by_condition([row for row in rows if not row.spec["defenses"]])
    return next((summed(values).split for values in alone.values()), None)


def _line(name: str, values: Mapping[Draw, float]) -> str:
    found = summed(values)
    if found.split is None:
        return f"**{name}:** {found.count} runs, not yet every key with every seed, so nothing can be said of the key."
    decided = what_decides(found.split)
    return f"**{name}:** {decided}. With {found.split.keys} keys and {found.split.seeds} seeds, {shares(found.split)}."
