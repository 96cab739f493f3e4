"""What the studies that ship say of the comparisons that they declare, whatever they are about."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.statements.stored import bullets, cells
from ued_core.assets import asset
from ued_core.results.evidence import Word, judge
from ued_core.results.shipped_runs import shipped_runs
from ued_core.runs.listing import Snapshot
from ued_core.studies.progress import Judged, StudyProgress, progress_of
from ued_core.studies.study import Study

MOST = 6
"""So many comparisons of one verdict are named, the largest differences first."""
_WORDS: dict[Word, str] = {"better": "higher", "worse": "lower", "cannot be told": "cannot be told"}


def shipped(name: str) -> StudyProgress:
    """A study that ships as far as its shipped rows go."""
    return progress_of(Study.read(asset("studies", f"{name}.json")), Snapshot("", ()), shipped_runs())


def words(name: str) -> str:
    """Markdown: how much of a study has been run, and one line per question with what can be told.

    A difference is called higher or lower by its own interval; how many of them remain so when all declared comparisons
    are taken into account stands beside it.
    """
    found = shipped(name)
    done, wanted = found.counts.get("finished", 0), len(found.trials)
    lines = [f"{done:,} of {wanted:,} runs." if done < wanted else f"All {wanted:,} runs."]
    by: dict[str, list[Judged]] = {}
    for one in found.judged:
        by.setdefault(one.compared.question, []).append(one)
    return bullets([*lines, *(_question(question, own, len(found.judged)) for question, own in by.items())])


def _question(question: str, own: Sequence[Judged], declared: int) -> str:
    """The comparisons of a question under what can be told of them; empty while none has a pair of runs."""
    known = [(one.compared.condition.label, one.comparison) for one in own if one.comparison.gain.count]
    if not known:
        return ""
    parts = []
    for word, said in _WORDS.items():
        there = {label: alone for label, found in known if (alone := judge(found.gain)).word == word}
        if there:
            rest = f" and {len(there) - MOST} more" if len(there) > MOST else ""
            parts.append(f"{said} ({len(there)}): {cells(there, MOST)}{rest}")
    told = [found.word for _, found in known if judge(found.gain).word != "cannot be told"]
    sure = sum(word != "cannot be told" for word in told)
    corrected = f"; {sure} of these {len(told)} after correction for all {declared} comparisons (Holm)" if told else ""
    missing = f"; {len(own) - len(known)} not run yet" if len(known) < len(own) else ""
    return f"**{question}** {'; '.join(parts)}{corrected}{missing}."
