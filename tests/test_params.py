"""Declarations: rules, messages, controls' numbers, JSON."""

from __future__ import annotations

from typing import ClassVar, Literal

import pytest

from ued_core.catalogue import Catalogue
from ued_core.defenses import Coin
from ued_core.errors import ParameterError, UedError, UnknownName
from ued_core.params import LARGEST_SEED, Method, fingerprint, param


class Blur(Method):
    """Blurs with a disc.

    More words
    over two lines.

    Source:
        Somebody, 2020,
        page 3.

    Differs:
        In nothing.
    """

    key: ClassVar[str] = "blur"
    title: ClassVar[str] = "Blur"

    radius: float = param(1.5, "How wide.", unit="px", ge=0.0, le=4.0, step=0.5, quick=0.5)
    passes: int = param(2, "How often.", ge=1)
    edge: Literal["mirror", "zero"] = param("mirror", "What lies beyond.", label="border")
    keep: bool = param(False, "Whether to keep the mean.")
    tag: str = param("", "Free text.")


class Other(Method):
    """Does nothing.

    Source:
        None needed.
    """

    key: ClassVar[str] = "other"
    title: ClassVar[str] = "Other"


def test_what_is_known_of_a_parameter() -> None:
    radius, passes, edge, keep, tag = Blur.parameters()
    assert (radius.kind, radius.minimum, radius.maximum, radius.step, radius.unit, radius.quick) == (
        "float",
        0,
        4,
        0.5,
        "px",
        0.5,
    )
    assert (passes.kind, passes.minimum, passes.maximum) == ("int", 1, None)
    assert (edge.kind, edge.choices, edge.label, keep.label) == ("choice", ("mirror", "zero"), "border", "keep")
    assert [p.rule for p in (radius, passes, edge, keep, tag)] == [
        "a number from 0 to 4 px",
        "a whole number of at least 1",
        "one of 'mirror', 'zero'",
        "true or false",
        "text",
    ]
    assert Blur.quick_values() == {"radius": 0.5}


def test_docstring_sections() -> None:
    assert Blur.summary() == "Blurs with a disc."
    assert Blur.description() == "More words\nover two lines."
    assert Blur.section("Source") == "Somebody, 2020, page 3."
    assert Blur.section("Differs") == "In nothing."
    assert Other.section("Differs") == ""


def test_messages_say_what_value_rule_and_remedy() -> None:
    with pytest.raises(ParameterError) as caught:
        Blur(radius=5)
    assert str(caught.value) == "Blur: radius is 5, but it must be a number from 0 to 4 px. Its default is 1.5."
    with pytest.raises(ParameterError) as caught:
        Blur(radios=1)
    assert str(caught.value) == (
        "Blur: There is no parameter 'radios'. Did you mean 'radius'? Known: radius, passes, edge, keep, tag."
    )
    with pytest.raises(ParameterError, match="it has no parameters"):
        Other(x=1)
    assert issubclass(ParameterError, UedError)


def test_copies_are_checked_and_originals_stay() -> None:
    first = Blur()
    second = first.with_values(radius=2)
    assert (first.radius, second.radius, second.passes) == (1.5, 2.0, 2)
    with pytest.raises(ParameterError, match="from 0 to 4"):
        first.with_values(radius=9)


def test_equal_values_of_two_classes_differ() -> None:
    class Twin(Blur):
        key: ClassVar[str] = "twin"

    assert Twin() != Blur()
    assert Blur(radius=2) == Blur(radius=2.0)
    assert Blur(radius=2).to_json() == {
        "name": "blur",
        "radius": 2.0,
        "passes": 2,
        "edge": "mirror",
        "keep": False,
        "tag": "",
    }


def test_catalogue() -> None:
    catalogue: Catalogue[Method] = Catalogue("filter", [Blur, Other])
    assert list(catalogue) == ["blur", "other"]
    assert len(catalogue) == 2
    assert "blur" in catalogue
    assert "blurr" not in catalogue
    assert catalogue.build("blur", passes=3).passes == 3
    assert catalogue.parse({"name": "blur", "edge": "zero"}) == Blur(edge="zero")
    assert catalogue.parse("other") == Other()
    for wrong in ("blurr", 3, None, ["blur"]):
        with pytest.raises(UnknownName, match=r"There is no filter .*Known: blur, other\."):
            catalogue[wrong]
    with pytest.raises(UnknownName, match="Did you mean 'blur'"):
        catalogue.parse({"name": "blr"})
    for wrong in (None, 3, [], {}):
        with pytest.raises(ParameterError, match='For example {"name": "blur"}'):
            catalogue.parse(wrong)
    with pytest.raises(ValueError, match="share one key"):
        Catalogue("filter", [Blur, Blur])


def test_fingerprint_is_of_the_value_not_of_its_order() -> None:
    assert fingerprint({"a": 1, "b": [1, 2]}) == fingerprint({"b": [1, 2], "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    # Written down once: a change would give every stored result another name.
    assert fingerprint({"name": "cuda", "α": 0.5}) == "43f04693fe0b"
    assert len(fingerprint(None)) == 12


def test_a_later_parameter_is_named_only_when_it_is_not_the_default():
    class Grown(Method):
        key: ClassVar[str] = "grown"
        title: ClassVar[str] = "Grown"
        old: int = param(1, "Old.", ge=0, le=9)
        new: int = param(2, "New.", ge=0, le=9, later=True)

    assert Grown().to_json() == {"name": "grown", "old": 1}
    assert Grown(new=3).to_json() == {"name": "grown", "old": 1, "new": 3}
    assert Catalogue("thing", [Grown]).parse(Grown(new=3).to_json()) == Grown(new=3)


@pytest.mark.parametrize("word", ["true", "YES", "1", "on"])
def test_words_for_true_and_their_opposites(word: str) -> None:
    keep = next(p for p in Blur.parameters() if p.kind == "bool")
    opposite = {"true": "False", "yes": "no", "1": "0", "on": "off"}[word.lower()]
    assert (keep.read(word), keep.read(opposite)) == (True, False)
    with pytest.raises(ValueError, match="maybe"):
        keep.read("maybe")


def test_large_limits_are_written_with_all_their_digits() -> None:
    class Seeded(Blur):
        seed: int = param(0, "Draws.", ge=0, le=LARGEST_SEED)
        share: float = param(0.25, "Part.", ge=0.0, le=0.5)

    rules = {p.name: p.rule for p in Seeded.parameters()}
    assert rules["seed"] == "a whole number from 0 to 4294967295"
    assert rules["share"] == "a number from 0 to 0.5"


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [("radius", "4", 4.0), ("passes", "1", 1), ("edge", "zero", "zero"), ("keep", "on", True), ("tag", "", "")],
)
def test_texts_that_keep_the_rule(name: str, text: str, value: object) -> None:
    parameter = next(p for p in Blur.parameters() if p.name == name)
    assert parameter.parse(text) == value
    assert parameter.parse(parameter.write(value)) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [("radius", "4.1"), ("radius", "nan"), ("radius", "inf"), ("passes", "0"), ("passes", "x"), ("edge", "Zero"),
     ("keep", "maybe"), ("passes", "-" + "9" * 400)],
)  # fmt: skip
def test_texts_that_break_it(name: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        next(p for p in Blur.parameters() if p.name == name).parse(text)


def test_a_whole_number_may_be_larger_than_any_other_number() -> None:
    assert next(p for p in Blur.parameters() if p.name == "passes").parse("9" * 400) == int("9" * 400)


def test_class_numbers_and_longest_texts_are_declared_too() -> None:
    class Chosen(Blur):
        some: tuple[int, ...] | None = param(None, "Which.")
        words: str = param("", "Said of it.", max_length=5)

    some, words = Chosen.parameters()[-2:]
    assert (some.parse("0, 3, 5-7"), some.parse(""), some.write((0, 3)), some.write(None)) == (
        (0, 3, 5, 6, 7),
        None,
        "0, 3",
        "",
    )
    with pytest.raises(ParameterError, match="'x' is no class number"):
        some.parse("x")
    assert words.rule == "text of at most 5 characters"
    with pytest.raises(ParameterError, match="of at most 5 characters"):
        Chosen(words="longer")
    with pytest.raises(ValueError, match="longer"):
        words.parse("longer")


def test_parameters_are_listed_once_per_class() -> None:
    class Wider(Blur):
        more: int = param(0, "More.")

    assert Blur.parameters() is Blur.parameters()
    assert [p.name for p in Wider.parameters()] == [*(p.name for p in Blur.parameters()), "more"]


def test_a_name_says_what_differs_from_the_defaults() -> None:
    assert Coin().named() == "COIN"
    assert Coin().named(lead=True) == "COIN α = 2"
    assert Coin(strength=1.5, truncate=True).named() == "COIN α = 1.5, truncate to 8 bits"
    assert Coin(boundary="scipy_wrap").named(lead=True) == "COIN α = 2, boundary = scipy_wrap"
