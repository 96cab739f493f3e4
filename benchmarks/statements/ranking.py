"""Which defence is best after which attack in the table of all attacks and defences on photographs, and which is best
where the attack is not known."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.statements.stored import bullets
from benchmarks.statements.studies import shipped
from ued_core.results.evidence import Draw, aligned, compare, over
from ued_core.results.open_answers import listed
from ued_core.results.words import level
from ued_core.studies.progress import StudyProgress

CLEAN, NONE = "clean", "none"
CONTROLS = ("common kernel", "kernel per image", "LSP, no separation", "noise per image")
"""No attacks: they give no class away."""
LEAST = 3
"""Runs of a cell that may be ranked."""
HARM = 0.1
"""An attack is counted among those that a defence must withstand when it takes as much of the accuracy."""
Cells = Mapping[str, Mapping[str, Mapping[Draw, float]]]
"""Attack → defence → accuracy by draw."""


def words() -> str:
    """Markdown: one line per attack, then the defence whose worst case is best."""
    return told(cells_of(shipped("fashion")))


def cells_of(found: StudyProgress) -> dict[str, dict[str, Mapping[Draw, float]]]:
    """The cells with at least three runs, as fewer rank nothing."""
    table: dict[str, dict[str, Mapping[Draw, float]]] = {}
    for cell in found.cells.values():
        if len(cell.draws) >= LEAST:
            places = cell.condition.places
            table.setdefault(places["attack"], {})[places["defence"]] = cell.draws
    return table


def told(table: Cells) -> str:
    """The lines; see :func:`words`."""
    clean = table.get(CLEAN, {}).get(NONE, {})
    harmful = [a for a, own in table.items() if a not in (CLEAN, *CONTROLS) and _harm(own, clean) >= HARM]
    return bullets([*(_best(attack, table[attack]) for attack in harmful), _worst_case(table, harmful)])


def _harm(own: Mapping[str, Mapping[Draw, float]], clean: Mapping[Draw, float]) -> float:
    one, other = aligned(clean, own.get(NONE, {}))
    return compare(one, other).gain.mean if one else 0.0


def _best(attack: str, own: Mapping[str, Mapping[Draw, float]]) -> str:
    """The defence with the highest mean, and those that cannot be told from it."""
    ranked = sorted((d for d in own if d != NONE), key=lambda d: -over(own[d].values()).mean)
    if not ranked:
        return ""
    first, *others = ranked
    near = []
    for other in others:
        one, two = aligned(own[first], own[other])
        if one and compare(one, two).word == "cannot be told":
            near.append(f"{other} ({level(over(own[other].values()))} %)")
    doubt = f"; {listed(near)} cannot be told from it" if near else ""
    return (
        f"After **{attack}**, which leaves {level(over(own[NONE].values()))} %, {first} is best of {len(ranked)} with "
        f"{level(over(own[first].values()))} %{doubt}."
    )


def _worst_case(table: Cells, harmful: list[str]) -> str:
    """Of the defences that were run after every harmful attack, those whose lowest mean is highest."""
    everywhere = [d for d in table.get(CLEAN, {}) if d != NONE and all(d in table[attack] for attack in harmful)]
    if len(everywhere) < 2 or len(harmful) < 2:
        return ""
    lowest = {d: min((over(table[a][d].values()).mean, a) for a in harmful) for d in everywhere}
    ranked = sorted(everywhere, key=lambda d: -lowest[d][0])
    parts = [f"{d} {100 * lowest[d][0]:.0f} % (after {lowest[d][1]})" for d in ranked[:3]]
    return (
        f"**Whichever attack it was** ({listed(harmful)}): of {len(everywhere)} defences that were run after all of "
        f"them, the lowest mean is highest with {listed(parts)}."
    )
