"""Why DeepConfuse and NTGA do nothing on digits: the data, the size of the noise, or the budget."""

from __future__ import annotations

from collections.abc import Mapping

from benchmarks.statements.stored import DIGITS as ALL_DIGITS
from benchmarks.statements.stored import bullets, change, told
from benchmarks.statements.studies import shipped
from ued_core.results.evidence import Comparison, Draw, aligned, compare
from ued_core.results.open_answers import listed
from ued_core.studies.progress import StudyProgress

VICTIM = "small CNN"
SIZES = (8, 16, 32)
METHODS: Mapping[str, str] = {"NTGA": "ntga", "DeepConfuse": "deep_confuse"}
BUDGETS: Mapping[str, tuple[str, str, str]] = {
    "NTGA": (
        "one long step in blocks of 512 against ten short ones in blocks of 256",
        "NTGA, ε 32, one long step, blocks of 512",
        "NTGA, ε 32",
    ),
    "DeepConfuse": ("100 loops against 10", "DeepConfuse, ε 32, 100 loops", "DeepConfuse, ε 32"),
}
"""Method → what the larger budget, or that of the release, is, its condition, and that of the smaller one."""


def words() -> str:
    """Markdown: what is known of either method."""
    found = shipped("fashion-weak")
    return bullets(
        [line for method in METHODS for line in (_size(method, found), _budget(method, found), _data(method))]
    )


def _draws(found: StudyProgress, attack: str) -> Mapping[Draw, float]:
    cells = (c for c in found.cells.values() if c.condition.places == {"victim": VICTIM, "attack": attack})
    return next(cells).draws


def _between(found: StudyProgress, attack: str, control: str) -> Comparison | None:
    one, other = aligned(_draws(found, attack), _draws(found, control))
    return compare(one, other) if len(one) > 1 else None


def _size(method: str, found: StudyProgress) -> str:
    """From which ε on it takes more than random noise of that size."""
    known = {e: _between(found, f"{method}, ε {e}", f"noise per image, ε {e}") for e in SIZES}
    told_of = {e: one for e, one in known.items() if one is not None}
    if not told_of:
        return ""
    parts = listed([f"ε {e} {change(one)}" for e, one in told_of.items()])
    works = [e for e, one in told_of.items() if one.word == "worse"]
    if not works:
        verdict = "at none of these sizes can it be told that it takes more than random noise of the same size"
    elif len(works) == len(told_of):
        verdict = "it takes more than random noise of the same size at each of these sizes"
    else:
        verdict = f"it takes more than random noise of the same size at ε {listed([str(e) for e in works])} alone"
    return f"**{method}** on 1,000 photographs, against random noise of the same size: {parts}; {verdict}."


def _budget(method: str, found: StudyProgress) -> str:
    text, larger, smaller = BUDGETS[method]
    one = _between(found, larger, smaller)
    if one is None:
        return ""
    verdict = told(one, "it leaves {} more", "it leaves {} less", "what it changes cannot be told ({})")
    return f"**{method}**, {text} at ε 32: {verdict}."


def _data(method: str) -> str:
    """The attack on digits at its default size, from the study of all attacks."""
    result = ALL_DIGITS.known(METHODS[method])
    if result is None or result.loss is None:
        return ""
    return f"**{method}** on digits at ε 8 takes {change(result.loss, sign=False)} of clean accuracy."
