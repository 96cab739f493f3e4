"""The sentence on what was measured, beside the numbers that it is made from."""

import json

from pages.state.known_words import MOST_NAMED, known_with_words, known_words
from ued_core.defenses import DEFENSES, DefenseStack
from ued_core.results.known import known, with_defences
from ued_core.results.words import level
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
    small = RunSpec.from_json({"dataset": {"name": "fashion", "train_size": 1500}, "attack": "cuda"})
    assert "CUDA is known to work on Fashion with other settings (" in known_words(small), (
        "other sizes of the same data were measured"
    )


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


def test_a_kind_of_defence_is_told_with_every_stored_parameter():
    alone = spec(attack="cuda", dataset={"name": "fashion"})
    stored = {json.loads(text)[0]["name"] for text in with_defences(alone.to_json()) if len(json.loads(text)) == 1}
    assert {"coin", "jpeg"} <= stored
    for name in stored:
        text = known_with_words(alone, DefenseStack([DEFENSES.build(name)]))
        own = [k for t, k in with_defences(alone.to_json()).items() if [d["name"] for d in json.loads(t)] == [name]]
        assert text.startswith("With **")
        # Of a slider that was measured at many values the best ones are told; the others lie on the slider.
        told = sorted(own, key=lambda k: -k.accuracy.mean)[:MOST_NAMED]
        assert text.count(" over no defence on the same ") == len(told)
        assert all(f"{level(k.accuracy)} %, " in text for k in told)
    unknown = next(name for name in DEFENSES if name not in stored)
    assert known_with_words(alone, DefenseStack([DEFENSES.build(unknown)])) == ""
    both = DefenseStack([DEFENSES.build("coin"), DEFENSES.build("cutout")])
    assert known_with_words(alone, both) == "", "a stack of two is another condition"


def test_defence_says_what_its_defence_was_measured_to_give(open_page):
    page = open_page("defence", {"data": "shapes", "attack": "cuda"})
    told = next(c.value for c in page.caption if c.value.startswith("**Measured: Shapes + CUDA:**"))
    found = known(spec(attack="cuda", defenses=["coin"]).to_json())
    assert f"**COIN:** {level(found.accuracy)} %" in told
