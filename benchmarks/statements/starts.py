"""What a defender with pretrained weights, or with some clean images, is left with."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.statements.stored import bullets
from ued_core.results import recovery, starts
from ued_core.results.open_answers import Answer
from ued_core.results.row import ResultRow


def words(found: Sequence[ResultRow]) -> str:
    """Markdown: whether poison survives a pretrained start; empty without rows."""
    return _of(starts.answer(starts.starts_of(found))) if found else ""


def recovery_words(found: Sequence[ResultRow]) -> str:
    """Markdown: how few clean images bring the accuracy back; empty without rows."""
    return _of(recovery.answer(recovery.by_attack(found))) if found else ""


def findings(on_starts: Sequence[ResultRow], on_known: Sequence[ResultRow]) -> str:
    """Markdown for the README: both verdicts, without what they rest on in detail."""
    lines = []
    if on_starts:
        told = starts.answer(starts.starts_of(on_starts))
        lines.append(f"**Does poison survive a pretrained start?** {told.verdict} {told.seeds}")
    if on_known:
        told = recovery.answer(recovery.by_attack(on_known))
        lines.append(f"**How many clean images undo it?** {told.verdict} {told.seeds}")
    return bullets(lines)


def _of(answer: Answer) -> str:
    return bullets([f"{answer.verdict} {answer.seeds}", *answer.details])
