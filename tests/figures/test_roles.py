"""One table of roles: readable in both themes, away from the classes, and the only place of its colours."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import plotly.graph_objects as go
import pytest

from tests.figures.role_contract import misused
from tests.figures.test_theme import CONFIG, DEFICIENCIES, contrast, lab, linear
from ued_core.figures import learning, open_questions, roles
from ued_core.figures.learning import TEST, Curve
from ued_core.figures.roles import CLASSES, PICTURES, ROLES, SURFACES
from ued_core.results.parts import EpochRow

ROOT = Path(__file__).parents[2]


def looks(role: roles.Role, dark: bool) -> SimpleNamespace:
    return SimpleNamespace(mark=role.dark if dark else role.light, text=role.dark_text if dark else role.light_text)


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("surface", ["page", "card"])
def test_marks_and_words_are_readable_on_page_and_card(surface: str, dark: bool) -> None:
    paper = SURFACES[surface][dark]
    assert {name for name, role in ROLES.items() if contrast(looks(role, dark).mark, paper) < 3} == set()
    assert {name for name, role in ROLES.items() if contrast(looks(role, dark).text, paper) < 5} == set()
    assert contrast(SURFACES["soft"][dark], paper) >= 4.5, "captions"


@pytest.mark.parametrize("dark", [False, True])
def test_no_class_has_the_colour_of_a_kind_of_picture(dark: bool) -> None:
    near = {
        (pair[dark], name): round(float(np.linalg.norm(lab(linear(pair[dark])) - lab(linear(looks(role, dark).mark)))))
        for pair in CLASSES
        for name, role in ROLES.items()
        if name in PICTURES
    }
    assert min(near.values()) >= 25, {pair: d for pair, d in near.items() if d < 25}


@pytest.mark.parametrize("eye", DEFICIENCIES)
def test_kinds_of_pictures_are_told_apart_in_the_dark_too(eye: str) -> None:
    seen = [lab(DEFICIENCIES[eye] @ linear(ROLES[name].dark)) for name in PICTURES]
    assert min(np.linalg.norm(seen[a] - seen[b]) for a, b in ((0, 1), (0, 2), (1, 2))) > 8


def test_marks_symbols_and_dashes_need_no_colour() -> None:
    assert len({role.mark for role in ROLES.values()}) == len(ROLES)
    assert len({role.symbol for role in ROLES.values()}) == len(ROLES)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_the_app_is_configured_with_the_same_colours(mode: str) -> None:
    theme, dark = CONFIG["theme"][mode], mode == "dark"
    for name in PICTURES:
        role = ROLES[name]
        own = looks(role, dark)
        assert (theme[f"{role.tint}Color"], theme[f"{role.tint}TextColor"]) == (own.mark, own.text), name
    keys = {"page": "backgroundColor", "ink": "textColor", "line": "borderColor", "act": "primaryColor"}
    assert {name: theme[key] for name, key in keys.items()} == {name: SURFACES[name][dark] for name in keys}
    assert CONFIG["theme"]["chartCategoricalColors"] == [light for light, _ in CLASSES]


def test_the_colours_of_roles_stand_in_one_file() -> None:
    own = {value for role in ROLES.values() for value in (role.light, role.dark, role.light_text, role.dark_text)}
    files = [
        file
        for folder, endings in (("ued_core", ("py",)), ("pages", ("py", "js", "css")))
        for ending in endings
        for file in (ROOT / folder).rglob(f"*.{ending}")
        if file != Path(roles.__file__)
    ]
    found = {(file.name, colour) for file in files for colour in own if colour in file.read_text("utf-8").lower()}
    assert found == set()


def test_cycles_for_other_things_are_no_roles() -> None:
    others = [*learning.RUN_COLOURS, *(colour for colour, *_ in open_questions.LINE_LOOKS)]
    for colour in others:
        away = [np.linalg.norm(lab(linear(colour)) - lab(linear(ROLES[name].light))) for name in PICTURES]
        assert min(away) >= 25, colour
    assert not {symbol for _, symbol, *_ in open_questions.LINE_LOOKS} & {ROLES[name].symbol for name in PICTURES}


def test_words_of_a_role() -> None:
    assert roles.marked("clean") == "● clean"
    assert roles.marked("defended", "COIN") == "◆ COIN"
    assert roles.tinted("poisoned") == ":orange[✕ poisoned]"
    assert [roles.role_of(words) for words in ("clean", "cleaned")] == ["clean", ""]
    pairs = [(False, False), (True, False), (True, True), (False, True)]
    assert [roles.picture_role(poisoned=p, defended=d) for p, d in pairs] == [
        "clean", "poisoned", "defended", "defended",
    ]  # fmt: skip


def test_style_sheet_has_both_themes_and_nothing_that_looks_like_an_element() -> None:
    sheet = roles.stylesheet()
    assert "--ued-clean: light-dark(#0a7abf, #4aa8e8);" in sheet
    assert "--ued-poisoned-text: light-dark(#b04d00, #f8a469);" in sheet
    assert "<" not in sheet, "Streamlit drops a style sheet with an element in it"


ROWS = (EpochRow({"epoch": 1, "test_accuracy": 0.5}),)


def test_compared_runs_have_the_colour_of_what_they_were_trained_on() -> None:
    curves = [Curve("CUDA", (ROWS,), role="poisoned"), Curve("COIN 1", (ROWS,), role="defended"),
              Curve("COIN 2", (ROWS,), role="defended"), Curve("none", (ROWS,), role="clean")]  # fmt: skip
    lines = learning.compare_figure(curves, TEST).data
    assert [line.line.color for line in lines] == [
        ROLES[name].light for name in ("poisoned", "defended", "defended", "clean")
    ]
    assert len({(line.line.dash, line.marker.symbol) for line in lines}) == 4, "told apart without colours"
    assert (lines[1].line.dash, lines[1].marker.symbol) == ("solid", "diamond")


def test_runs_of_one_role_have_colours_of_their_own() -> None:
    lines = learning.compare_figure([Curve(str(k), (ROWS,), role="defended") for k in range(3)], TEST).data
    assert len({line.line.color for line in lines}) == 3


def test_the_contract_finds_a_wrong_colour_and_a_wrong_mark() -> None:
    def figure(colour: str, symbol: str) -> go.Figure:
        return go.Figure(go.Scatter(x=[1], y=[1], name="clean", marker={"color": colour, "symbol": symbol}))

    assert misused(figure(ROLES["clean"].light, "circle").to_plotly_json()) == []
    assert misused(figure(ROLES["poisoned"].light, "circle").to_plotly_json())
    assert misused(figure(ROLES["clean"].light, "x").to_plotly_json())
    assert misused({"data": [{"name": "defended, mean", "line": {"color": "#123456"}}]})
    assert misused({"data": [{"name": "class 3", "line": {"color": "#123456"}}]}) == []
