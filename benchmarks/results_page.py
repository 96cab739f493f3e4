"""The tables of docs/results.md, written from the stored rows.

    python -m benchmarks.results_page            write them anew
    python -m benchmarks.results_page --check    only say whether they are what the rows say

The page is written by hand but for its tables: what stands between ``<!-- table: NAME -->`` and ``<!-- end -->`` is
replaced. Each table is that of the benchmark which fills the rows, as its option ``--table`` prints it.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    attack_table,
    defence_table,
    detection,
    dvae,
    edge_detector,
    feature_quality,
    open_questions,
    phenomenon,
    rows,
    staged,
    uc_protocols,
)

PAGE = Path(__file__).resolve().parents[1] / "docs" / "results.md"
MARKED = re.compile(r"(<!-- table: (\w+) -->\n)(.*?)(<!-- end -->)", re.S)
TABLES: dict[str, Callable[[], str]] = {
    "phenomenon": lambda: phenomenon.table(rows.stored(phenomenon.RESULTS)),
    "attacks": lambda: attack_table.table(rows.stored(attack_table.RESULTS)),
    "defences": lambda: defence_table.table(rows.stored(defence_table.RESULTS)),
    "open_questions": lambda: open_questions.table(rows.stored(open_questions.RESULTS)),
    "dvae": lambda: dvae.table(rows.stored(dvae.RESULTS)),
    "staged": lambda: staged.table(rows.stored(staged.RESULTS)),
    "feature_quality": lambda: feature_quality.table(rows.stored(feature_quality.RESULTS)),
    "uc_protocols": lambda: uc_protocols.table(rows.stored(uc_protocols.RESULTS)),
    "edge_detector": lambda: edge_detector.table(_record(edge_detector.RESULTS)),
    "detection": lambda: detection.table(_record(rows.RESULTS / "detection.json")["rows"]),
}
"""Every table that the page may show, by the name in its mark."""


def _record(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def with_tables(text: str) -> str:
    """The page with every marked table made anew from the stored rows; the rest of the text stays as it is.

    Raises:
        KeyError: a mark names a table that is not in ``TABLES``.
    """
    return MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[4]}", text)


def main() -> int:
    """Write the page, or check it; 1 when the check finds stale tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a table is stale")
    check = parser.parse_args().check
    there = PAGE.read_text(encoding="utf-8")
    now = with_tables(there)
    if check:
        print("The tables are those of the stored rows." if now == there else f"{PAGE.name} is stale: write it anew.")
        return int(now != there)
    PAGE.write_text(now, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
