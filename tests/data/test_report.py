"""The lines on what was skipped and changed."""

from ued_core.data.report import Report


def test_one_size():
    report = Report()
    for _ in range(8):
        report.resize(64, 64, 32)
    lines = report.lines()
    assert lines[0] == "Resized 8: 64 × 64 → 32 × 32."
    assert lines[1].startswith("If these images hold a poison, resizing can take it out")
    assert lines[1].endswith("The size 64 keeps the pixels as they are.")


def test_images_of_the_wanted_size_are_not_mentioned():
    report = Report()
    report.resize(32, 32, 32)
    assert report.lines() == ()


def test_many_sizes_cuts_and_enlarged_ones():
    report = Report()
    for width, height in ((20, 20), (40, 20), (400, 300), (400, 300)):
        report.resize(width, height, 32)
    assert report.lines()[:2] == (
        "Cut 3 to the centred square: on average 33 %, at most 50 % of a picture is left out.",
        "Resized 4: 3 sizes from 20 × 20 to 400 × 300 → 32 × 32, 2 of them enlarged.",
    )
    assert "keeps the pixels" not in report.lines()[2]


def test_a_cut_alone_takes_no_poison_out():
    report = Report()
    report.resize(96, 32, 32)
    assert report.lines() == ("Cut 1 to the centred square: 67 % of a picture is left out.",)


def test_a_known_poison_is_named():
    report = Report()
    report.poison = "recipe.json names cuda"
    report.resize(64, 64, 32)
    assert report.lines()[1].startswith(
        "These images hold a poison (recipe.json names cuda), and resizing can take it out"
    )


def test_no_size_is_advised_that_would_change_some():
    report = Report()
    report.resize(64, 64, 32)
    report.resize(64, 32, 32)
    assert "keeps the pixels" not in report.lines()[-1]


def test_names_are_counted_shortened_and_readable():
    report = Report()
    for number in range(5000):
        report.skip(f"{'x' * 500}{number}caf\udce9\x1b", "damaged")
    (line,) = report.lines()
    assert line.startswith("Skipped 5,000: damaged (")
    assert line.endswith("and 4,997 more).")
    assert len(line) < 400
    line.encode("utf-8")
