"""Colours that can be seen and told apart, on both pages of the app."""

import tomllib
from itertools import combinations
from pathlib import Path

import numpy as np
import plotly.graph_objects as go
import pytest

from ued_core.figures import theme

CONFIG = tomllib.loads((Path(__file__).parents[2] / ".streamlit" / "config.toml").read_text("utf-8"))
# Machado, Oliveira and Fernandes (2009), severity 1, on linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": np.array([[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]]),
    "deuteranopia": np.array([[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]]),
    "tritanopia": np.array([[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]]),
}


def linear(colour: str) -> np.ndarray:
    channels = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def contrast(first: str, second: str) -> float:
    low, high = sorted(float(linear(colour) @ (0.2126, 0.7152, 0.0722)) for colour in (first, second))
    return (high + 0.05) / (low + 0.05)


def lab(rgb: np.ndarray) -> np.ndarray:
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb.clip(0, 1)
    scaled = xyz / (0.9505, 1.0, 1.089)
    f = np.where(scaled > 0.008856, np.cbrt(scaled), 7.787 * scaled + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_roles_stand_out_from_the_page(mode: str) -> None:
    paper = CONFIG["theme"][mode]["backgroundColor"]
    assert {role: c for role, c in theme.ROLE_COLOURS.items() if contrast(c, paper) < 3} == {}


@pytest.mark.parametrize("eye", DEFICIENCIES)
def test_roles_can_be_told_apart_by_every_eye(eye: str) -> None:
    seen = {role: lab(DEFICIENCIES[eye] @ linear(colour)) for role, colour in theme.ROLE_COLOURS.items()}
    distances = {pair: np.linalg.norm(seen[pair[0]] - seen[pair[1]]) for pair in combinations(seen, 2)}
    # Where two colours come close, symbol and dash differ.
    assert min(distances.values()) > 8, distances
    looks = [(theme.ROLE_SYMBOLS[role], theme.ROLE_DASHES[role]) for role in seen]
    assert len(set(looks)) == len(looks)


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("place", ["", "sidebar"])
def test_text_is_readable(mode: str, place: str) -> None:
    colours = CONFIG["theme"][mode] | CONFIG["theme"][mode].get(place, {})
    for paper in ("backgroundColor", "secondaryBackgroundColor"):
        for text in ("textColor", "linkColor", "codeTextColor"):
            assert contrast(colours[text], colours[paper]) >= 4.5, (text, paper)
        assert contrast(colours["primaryColor"], colours[paper]) >= 4.5, paper


def test_twenty_classes_have_twenty_looks() -> None:
    looks = {(theme.class_colour(label), theme.class_symbol(label)) for label in range(20)}
    assert len(looks) == 20


def test_layout_is_what_plotly_takes_and_leaves_text_to_the_page() -> None:
    layout = theme.base_layout(xaxis={"title": {"text": theme.axis_title("shift", "px")}}, meta={"animate": True})
    figure = go.Figure(go.Heatmap(z=np.zeros((2, 2)), colorscale=theme.colour_scale(theme.DIVERGING)), layout=layout)
    assert figure.layout.xaxis.title.text == "shift (px)"
    assert figure.layout.xaxis.automargin is True, "nested settings are merged, not replaced"
    assert figure.layout.font.color is None
    assert theme.PAPER in figure.to_json(), "the page's colours reach the browser verbatim"
    assert len(go.Figure(layout=layout).to_json()) < 1500


def test_fixed_colours_are_told_apart() -> None:
    assert len(set(theme.CLIENT_COLOURS)) == len(set(theme.CLIENT_COLOURS.values())) == 4
    assert theme.faded("#0a7abf", 0.25) == "rgba(10, 122, 191, 0.25)"
