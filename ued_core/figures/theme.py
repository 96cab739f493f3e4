"""The one theme of all figures: a colour means one thing everywhere.

Nothing here depends on light or dark. Four colours stand for the page's own ones
(:data:`INK`, :data:`MUTED`, :data:`GRID`, :data:`PAPER`): they are sensible on white, and the
page replaces exactly these strings by the reader's colours, so that a figure follows a switch
of the theme without being computed again. Roles and classes have theirs from :mod:`ued_core.figures.roles`.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ued_core.figures.roles import CLASSES, ROLES

INK = "rgb(28, 36, 49)"
MUTED = "rgb(92, 101, 117)"
GRID = "rgb(226, 229, 235)"
PAPER = "rgb(255, 255, 254)"
CLIENT_COLOURS: Mapping[str, str] = MappingProxyType({INK: "ink", MUTED: "muted", GRID: "grid", PAPER: "paper"})

ROLE_COLOURS: Mapping[str, str] = MappingProxyType({name: role.light for name, role in ROLES.items()})
ROLE_SYMBOLS: Mapping[str, str] = MappingProxyType({name: role.symbol for name, role in ROLES.items()})
ROLE_DASHES: Mapping[str, str] = MappingProxyType({name: role.dash for name, role in ROLES.items()})

CLASS_COLOURS: tuple[str, ...] = tuple(light for light, _ in CLASSES)
# The symbols tell classes apart without any colour.
CLASS_SYMBOLS: tuple[str, ...] = (
    "circle", "square", "diamond", "cross", "x",
    "triangle-up", "triangle-down", "star", "pentagon", "hexagram",
)  # fmt: skip

# Cividis (Nuñez et al. 2018), sampled: perceptually even, the same to every eye.
SEQUENTIAL: tuple[tuple[float, str], ...] = (
    (0.0, "#00224e"), (0.125, "#123570"), (0.25, "#3b496c"), (0.375, "#575d6d"), (0.5, "#707173"),
    (0.625, "#8a8678"), (0.75, "#a59c74"), (0.875, "#c3b369"), (1.0, "#fee838"),
)  # fmt: skip
# The middle is the page itself, so that zero disappears in light and in dark.
DIVERGING: tuple[tuple[float, str], ...] = (
    (0.0, ROLE_COLOURS["clean"]), (0.25, "#6fb0dc"), (0.5, PAPER), (0.75, "#e9a26a"), (1.0, ROLE_COLOURS["poisoned"]),
)  # fmt: skip


def class_colour(label: int) -> str:
    """The colour of class ``label``; repeats after ten."""
    return CLASS_COLOURS[label % len(CLASS_COLOURS)]


def class_symbol(label: int) -> str:
    """The marker symbol of class ``label``; shifts by one every ten, so that twenty classes stay distinct."""
    return CLASS_SYMBOLS[(label + label // len(CLASS_COLOURS)) % len(CLASS_SYMBOLS)]


def colour_scale(stops: tuple[tuple[float, str], ...]) -> list[list[float | str]]:
    """A scale from this module in the form that Plotly takes."""
    return [[position, colour] for position, colour in stops]


def faded(colour: str, opacity: float) -> str:
    """``#rrggbb`` with an opacity from 0 to 1, as ``rgba(…)``: for bands and fills."""
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red}, {green}, {blue}, {opacity:g})"


def axis_title(quantity: str, unit: str = "") -> str:
    """``quantity (unit)``: how every axis names what it shows."""
    return f"{quantity} ({unit})" if unit else quantity


def base_layout(**overrides: Any) -> dict[str, Any]:
    """The layout that every figure starts from; ``overrides`` win, nested dicts are merged.

    Transparent, without any text or grid colour: those belong to the page.

    Returns:
        A dict for ``plotly.graph_objects.Figure(layout=…)``.
    """
    base: dict[str, Any] = {
        # An empty template keeps Plotly's own 7 kB of colours out of every figure.
        "template": {},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "colorway": list(CLASS_COLOURS),
        "margin": {"l": 56, "r": 16, "t": 28, "b": 48},
        "hovermode": "closest",
        "uirevision": "kept",
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom", "title": {"text": ""}},
        "xaxis": {"automargin": True, "zeroline": False},
        "yaxis": {"automargin": True, "zeroline": False},
    }
    return _merged(base, overrides)


def _merged(base: dict[str, Any], over: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for name, value in over.items():
        inner = result.get(name)
        result[name] = _merged(inner, value) if isinstance(inner, dict) and isinstance(value, Mapping) else value
    return result
