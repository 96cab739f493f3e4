"""What is known of the open questions about COIN: the verdicts that the page Results shows."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.statements.stored import bullets
from ued_core.results.open_answers import answer_to
from ued_core.results.open_questions import QUESTIONS
from ued_core.results.row import ResultRow

DETAILED = ("b", "d")
"""Questions whose verdict has no numbers of its own; theirs follow it."""


def words(rows: Sequence[ResultRow], known: Sequence[ResultRow], central: Sequence[ResultRow]) -> str:
    """Markdown: one line per question.

    Args:
        rows: of the open questions.
        known: more rows, of which clean ones serve as references.
        central: of the central experiment.
    """
    lines = []
    for key, question in QUESTIONS.items():
        answer = answer_to(key, rows, known, central)
        told = [answer.verdict, *(answer.details if key in DETAILED else ()), answer.seeds]
        lines.append(f"**{question.title}** ({key}): {' '.join(filter(None, told))}")
    return bullets(lines)
