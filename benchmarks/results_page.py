"""The tables of docs/results.md and the small one of the README, written from the stored rows.

    python -m benchmarks.results_page            write them anew
    python -m benchmarks.results_page --check    only say whether they are what the rows say

The pages are written by hand but for their tables and for what is said of the rows: what stands between
``<!-- table: NAME -->`` or ``<!-- words: NAME -->`` and ``<!-- end -->`` is replaced. The tables of studies are those
of ``benchmarks.study_tables``, others that of the benchmark which fills the rows; the words are those of
``benchmarks.statements``.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    detection,
    edge_detector,
    feature_quality,
    recovery,
    rows,
    study_tables,
)
from benchmarks.statements import (
    attacks,
    defences,
    dvae,
    edges,
    features,
    key_and_seed,
    photographs,
    questions,
    ranking,
    studies,
    weak,
)
from benchmarks.statements import detection as tests_of_sets
from benchmarks.statements import phenomenon as central
from benchmarks.statements import staged as staged_training
from benchmarks.statements import starts as defenders
from ued_core.results import measured
from ued_core.results import recovery as known_images
from ued_core.results.measured import summary
from ued_core.results.open_questions import DRAWN, PHOTOGRAPHS, QUESTIONS
from ued_core.results.phenomenon import conditions
from ued_core.results.row import ResultRow, stored_rows
from ued_core.results.words import level

ROOT = Path(__file__).resolve().parents[1]
PAGES = (ROOT / "docs" / "results.md", ROOT / "README.md")
MARKED = re.compile(r"(<!-- (?:table|words): (\w+) -->\n)(.*?)(<!-- end -->)", re.S)
HEADLINE = {
    "clean": "clean images",
    "CUDA": "CUDA",
    "CUDA + COIN": "CUDA, then COIN",
    "one common kernel": "one kernel for all classes",
}
"""Condition of the central table → how the README calls it."""
TABLES: dict[str, Callable[[], str]] = {
    "phenomenon": lambda: study_tables.phenomenon(_of_study("phenomenon")),
    "claims": study_tables.claims,
    "strength": lambda: study_tables.matrix(studies.shipped("fashion-strength"), "α in px"),
    "over_strength": lambda: studies.words("fashion-strength"),
    "victims": lambda: study_tables.matrix(studies.shipped("fashion-victims"), "attack"),
    "other_victims": lambda: studies.words("fashion-victims"),
    "length": lambda: study_tables.matrix(studies.shipped("fashion-length"), "epochs"),
    "over_length": lambda: studies.words("fashion-length"),
    "staged_photographs": lambda: study_tables.matrix(studies.shipped("fashion-staged"), "attack"),
    "staged_on_photographs": lambda: studies.words("fashion-staged"),
    "weak": lambda: study_tables.matrix(studies.shipped("fashion-weak"), "victim"),
    "weak_attacks": weak.words,
    "clusters": lambda: studies.words("uc-protocols"),
    "key_and_seed": lambda: study_tables.key_and_seed(_of_study("key-and-seed")),
    "how_much_the_key": lambda: key_and_seed.words(_of_study("key-and-seed")),
    "fashion": lambda: study_tables.defences(_of_study("fashion")),
    "photographs": photographs.photographs,
    "ranking": ranking.words,
    "findings": lambda: photographs.findings(_of_study("key-and-seed")),
    "drawn": photographs.drawn,
    "central": central.words,
    "what_attacks_do": attacks.words,
    "what_defences_do": defences.words,
    "answers": lambda: questions.words(_of_questions(DRAWN), _of_study("defences")),
    "answers_on_photographs": lambda: questions.words(_of_questions(PHOTOGRAPHS), _of_study("fashion")),
    "staged_training": staged_training.words,
    "features": lambda: features.words(stored_rows(feature_quality.RESULTS)),
    "edges": lambda: edges.words(_record(edge_detector.RESULTS)),
    "tests_of_sets": lambda: tests_of_sets.words(_record(rows.RESULTS / "detection.json")["rows"]),
    "headline": lambda: headline(_of_study("phenomenon")),
    "attacks": lambda: study_tables.attacks(_of_study("attacks")),
    "defences": lambda: study_tables.defences(_of_study("defences")),
    "open_questions": lambda: study_tables.open_questions(_of_questions(DRAWN, without="phenomenon")),
    "questions_on_photographs": lambda: study_tables.open_questions(_of_questions(PHOTOGRAPHS)),
    "dvae": lambda: study_tables.dvae(_of_study("dvae"), _of_study("dvae-rates")),
    "purification": lambda: dvae.words(_of_study("dvae"), _of_study("dvae-rates"), _of_study("dvae-precision")),
    "staged": lambda: study_tables.staged(_of_study("staged")),
    "feature_quality": lambda: feature_quality.table(stored_rows(feature_quality.RESULTS)),
    "pretrained": lambda: study_tables.pretrained(_of_study("pretrained")),
    "pretrained_start": lambda: defenders.words(_of_study("pretrained")),
    "recovery": lambda: recovery.table(stored_rows(known_images.FILE)),
    "known_images": lambda: defenders.recovery_words(stored_rows(known_images.FILE)),
    "defenders": lambda: defenders.findings(_of_study("pretrained"), stored_rows(known_images.FILE)),
    "uc_protocols": lambda: study_tables.uc_protocols(_of_study("uc-protocols")),
    "edge_detector": lambda: edge_detector.table(_record(edge_detector.RESULTS)),
    "detection": lambda: detection.table(_record(rows.RESULTS / "detection.json")["rows"]),
}
"""Every table and every finding that the pages may show, by the name in its mark."""


def _of_study(name: str) -> list[ResultRow]:
    """The shipped rows of a study; empty while there are none."""
    file = measured.study_tables().get(name)
    return stored_rows(file) if file else []


def _of_questions(ground: str, without: str = "") -> dict[str, list[ResultRow]]:
    """Key → rows of every open question on photographs or on drawn sets, but that of a study which has a table of its
    own."""
    asked = {key: question.on(ground) for key, question in QUESTIONS.items() if ground in question.grounds or not
             (question.grounds or ground == PHOTOGRAPHS)}  # fmt: skip
    return {key: stored_rows(question.file) for key, question in asked.items() if question.study != without}


def _record(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def headline(found: list[ResultRow]) -> str:
    """Markdown: what the default plan ends at, mean ± sd over seeds of the clean test accuracy, and the difference from
    the control on the same seeds."""
    data = measured.data_sets(found)
    lines = ["| trained with AdamW on | " + " | ".join(data) + " |", "|---" * (1 + len(data)) + "|"]
    for name, words in HEADLINE.items():
        cells = []
        for dataset in data:
            there = conditions(found, dataset, "adamw")
            own = next((c for c in there if c.name == name), None)
            parts = [level(summary(own, "last")), study_tables.against_control(own, there)] if own else []
            cells.append("; ".join(filter(None, parts)))
        lines.append(f"| {words} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def with_tables(text: str) -> str:
    """The page with every marked table made anew from the stored rows; the rest of the text stays as it is.

    Raises:
        KeyError: a mark names a table that is not in ``TABLES``.
    """
    return MARKED.sub(lambda found: f"{found[1]}\n{TABLES[found[2]]()}\n\n{found[4]}", text)


def main() -> int:
    """Write the pages, or check them; 1 when the check finds stale tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing; fail if a table is stale")
    check = parser.parse_args().check
    stale = []
    for page in PAGES:
        there = page.read_text(encoding="utf-8")
        now = with_tables(there)
        if now != there:
            stale.append(page.name)
            if not check:
                page.write_text(now, encoding="utf-8")
    print(("stale: " if check else "written: ") + ", ".join(stale) if stale else "All tables are those of the rows.")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
