"""What the tests of a suspicious set find, and where they ring on clean images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.statements.stored import bullets, nested
from ued_core.analysis.detection import TESTS

JOINED = " · "
"""Between names, some of which hold commas."""


def words(rows: Sequence[Mapping[str, Any]]) -> str:
    """Markdown: one line per data set, with one per test.

    Args:
        rows: of ``assets/results/detection.json``.
    """
    return bullets(
        _data(name, [r for r in rows if r["dataset"] == name]) for name in dict.fromkeys(r["dataset"] for r in rows)
    )


def _data(name: str, rows: Sequence[Mapping[str, Any]]) -> str:
    clean = next((row for row in rows if row["attack"] is None), None)
    attacked = [row for row in rows if row["attack"] is not None]
    if clean is None or not attacked:
        return ""
    lines = []
    for test, known in TESTS.items():
        found = [row["title"] for row in attacked if _rings(row, test)]
        if _rings(clean, test):
            lines.append(
                f"{known.title}: rings on clean images too, so its alarms on {len(found)} of {len(attacked)} attacks "
                "say nothing"
            )
        else:
            which = f": {JOINED.join(found)}" if found else ""
            lines.append(f"{known.title}: finds {len(found)} of {len(attacked)} attacks{which}")
    silent = [row["title"] for row in attacked if not any(_rings(row, t) and not _rings(clean, t) for t in TESTS)]
    lines.append(
        f"No test that is silent on clean images finds {JOINED.join(silent)}" if silent else "Every attack is found"
    )
    return nested(f"**On {name}**", lines)


def _rings(row: Mapping[str, Any], test: str) -> bool:
    return any(one["test"] == test and one["suspicious"] for one in row["evidence"])
