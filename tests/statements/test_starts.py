"""What the documents say of other defenders follows the rows."""

from benchmarks import recovery as benchmark
from benchmarks import study_tables
from benchmarks.statements import starts
from tests.results.test_recovery_rows import CLEAN, runs
from tests.results.test_starts import table


def test_both_answers_stand_as_lines_with_what_they_rest_on() -> None:
    lines = starts.words(table()).splitlines()
    assert lines[0].startswith("- From scratch: 1 of 1 attacks take accuracy (CUDA). Linear probe")
    assert lines[0].endswith("It rests on 20 runs, 5 seeds for each condition.")
    assert [line.split(":")[0] for line in lines[1:3]] == ["- From scratch", "- Linear probe"]
    known = starts.recovery_words([*CLEAN, *runs("CUDA", 0.3, {10: (0.7, 0.35, 0.3)})])
    assert known.startswith("- Half of what an attack took is back with so many known clean images: CUDA 10. ")


def test_the_readme_has_a_line_for_each_that_was_measured() -> None:
    assert starts.findings([], []) == ""
    both = starts.findings(table(), [*CLEAN, *runs("CUDA", 0.3, {10: (0.7, 0.35, 0.3)})])
    assert [line.split("**")[1] for line in both.splitlines()] == [
        "Does poison survive a pretrained start?",
        "How many clean images undo it?",
    ]


def test_nothing_is_said_without_rows() -> None:
    assert starts.words([]) == starts.recovery_words([]) == ""


def test_the_tables_of_the_documents() -> None:
    lines = study_tables.pretrained(table()).splitlines()
    assert lines[2] == "| from scratch | clean | 80.0 ± 0.0 n5 |  |  |"
    assert lines[5].startswith("| linear probe | CUDA | 70.0 ± 1.6 n5 | −10.0 [−12, −8] n5 | +40.0")
    (line,) = benchmark.table(runs("CUDA", 0.3, {1000: (0.7, 0.35, 0.3)})).splitlines()[2:]
    assert line == "| CUDA | 1,000 | 30.0 ± 0.4 | 70.0 ± 0.8 | 35.0 ± 0.8 | 30.0 ± 0.0 | 10.0 ± 0.0 | 5 |"
