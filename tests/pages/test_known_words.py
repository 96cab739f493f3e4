"""The sentence on what was measured, beside the numbers that it is made from."""

from pages.state.known_words import known_words
from ued_core.results.known import known
from ued_core.runs.spec import RunSpec


def spec(**parts):
    return RunSpec.from_json({"dataset": "shapes", **parts})


def test_level_gain_and_seeds_are_those_of_the_rows():
    chosen = spec(attack="cuda", defenses=["coin"])
    found, text = known(chosen.to_json()), known_words(chosen)
    assert found is not None
    assert found.gain is not None
    reached = f"{100 * found.accuracy.mean:.1f} ± {100 * found.accuracy.spread:.1f}"
    clean = f"{100 * found.clean.mean:.1f} ± {100 * found.clean.spread:.1f}"
    assert text.startswith(f"**Measured: Shapes + CUDA + COIN:** {reached} of the {clean} % that clean data gives")
    assert f"+{100 * found.gain.gain.mean:.1f} [" in text
    assert f"same {found.gain.gain.count} seeds: {found.gain.word}." in text


def test_other_data_is_named_where_an_attack_does_nothing():
    text = known_words(spec(attack="synper"))
    assert "is not seen to lower the accuracy on this data" in text
    assert "known to work on" in text
    assert "Shapes (" not in text


def test_what_was_not_measured_is_said():
    assert (
        known_words(spec(attack={"name": "cuda", "blur": 0.77}))
        == "**Not measured yet with these settings: Shapes + CUDA.**"
    )
    small = RunSpec.from_json({"dataset": {"name": "fashion", "train_size": 1000}, "attack": "cuda"})
    assert "CUDA is known to work on Fashion (" in known_words(small), "other sizes of the same data were measured"


def test_pages_say_it_before_anybody_trains(open_page):
    small = {"data": "shapes", "attack": "cuda"}
    for address in ("attack", "defence"):
        page = open_page(address, small)
        assert not page.exception
        assert any(c.value.startswith("**Measured: Shapes + CUDA:**") for c in page.caption), address
    page = open_page("defence", small)
    assert any("What was measured for Shapes + CUDA" in e.label for e in page.expander)
    page = open_page("runs", {"view": "new", "new_data": "shapes"})
    assert any("Measured: Shapes + CUDA" in c.value for c in page.caption)
