"""What is known of the open questions about COIN: the verdicts that the page Results shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from benchmarks.statements.stored import bullets
from ued_core.results.open_answers import answer_to
from ued_core.results.open_questions import QUESTIONS
from ued_core.results.row import ResultRow

DETAILED = ("b", "d")
"""Questions whose verdict has no numbers of its own; theirs follow it."""


def words(tables: Mapping[str, Sequence[ResultRow]], known: Sequence[ResultRow]) -> str:
    """Markdown: one line per question.

    Args:
        tables: key of a question → its rows.
        known: more rows, of which clean ones serve as references.
    """
    lines = []
    for key, question in QUESTIONS.items():
        if key not in tables:
            continue
        answer = answer_to(key, tables[key], known)
        told = [answer.verdict, *(answer.details if key in DETAILED else ()), answer.seeds]
        lines.append(f"**{question.title}** ({key}): {' '.join(filter(None, told))}")
    return bullets(lines)
