"""Charts and controls of the stage."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import ClassVar, Literal
from unittest import mock

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from pages.frame.provenance import figures_are_about
from pages.widgets.controls import choose, method_controls
from pages.widgets.delivery import KEPT_BYTES, SENT, Part, kept
from pages.widgets.live_chart import live_chart, pieces
from ued_core.catalogue import Catalogue
from ued_core.figures import theme
from ued_core.params import Method, param


@contextmanager
def letting_go() -> Iterator[None]:
    """The server has dropped everything that it kept, and keeps nothing meanwhile."""
    kept().keep([Part("filler", b" " * KEPT_BYTES)])
    with mock.patch.object(kept(), "keep"):
        yield


class Wave(Method):
    """A wave."""

    key: ClassVar[str] = "wave"
    title: ClassVar[str] = "A wave"

    strength: float = param(1.0, "How high.", label="strength", unit="px", ge=0.0, le=4.0, step=0.1)
    seed: int = param(0, "Which one.", ge=0, le=10_000)
    edge: Literal["periodic", "zero"] = param("periodic", "What lies beyond the edge.")
    noisy: bool = param(False, "With noise.")


class Flat(Method):
    """No wave."""

    key: ClassVar[str] = "flat"
    title: ClassVar[str] = "Flat"


SHAPES = Catalogue("shape", [Wave, Flat])

st.set_page_config(layout="wide", page_title="Stage")
st.title("Stage")
with st.sidebar:
    shape = method_controls(choose(SHAPES, key="shape", label="Shape"), key="panel")
strength = getattr(shape, "strength", 0.0)
st.write(f"strength is {strength:.1f}")

x = np.linspace(0, 6, 80, dtype=np.float32)
lines = go.Figure(
    [
        go.Scatter(
            x=x,
            y=(np.sin(x + i) * strength).astype(np.float32),
            name=role,
            mode="lines+markers",
            line={"color": theme.ROLE_COLOURS[role], "dash": theme.ROLE_DASHES[role]},
            marker={"symbol": theme.ROLE_SYMBOLS[role]},
        )
        for i, role in enumerate(theme.ROLE_COLOURS)
    ],
    layout=theme.base_layout(
        xaxis={"title": {"text": theme.axis_title("place", "px")}},
        yaxis={"title": {"text": "height"}, "range": [-4, 4]},
    ),
)
rng = np.random.default_rng(0)
centres = rng.normal(size=(10, 2)) * 4
cloud = go.Figure(
    [
        go.Scatter(
            x=(centres[c, 0] + rng.normal(size=60) + strength).astype(np.float32),
            y=(centres[c, 1] * (1 + strength / 2) + rng.normal(size=60)).astype(np.float32),
            name=f"class {c}",
            mode="markers",
            marker={
                "color": theme.class_colour(c),
                "symbol": theme.class_symbol(c),
                "size": 8,
                "line": {"width": 0.5, "color": theme.PAPER},
            },
            customdata=np.arange(60),
        )
        for c in range(10)
    ],
    layout=theme.base_layout(meta={"animate": True}, xaxis={"range": [-16, 16]}, yaxis={"range": [-30, 30]}),
)
matrix = np.zeros((24, 24), np.float32)
matrix[np.arange(24), np.arange(24)] = 1 - strength / 4
matrix[np.arange(23), np.arange(1, 24)] = -0.5
heat = go.Figure(
    go.Heatmap(z=matrix, colorscale=theme.colour_scale(theme.DIVERGING), zmid=0, zmin=-1, zmax=1),
    layout=theme.base_layout(yaxis={"autorange": "reversed"}),
)
# What reconnecting and overtaken messages do: the server takes a browser to have what it never got, or has let go of it
# itself.
if "never_got" in st.query_params and SENT not in st.session_state:
    st.session_state[SENT] = {"lines": frozenset(piece.name for piece in pieces(lines.to_json(validate=False)))}
figures_are_about("about waves")
left, right = st.columns(2)
with left:
    # Let go of before the browser is told: afterwards it may already have fetched some.
    # Also in a run that comes before the browser has asked for everything (which forgets what was sent).
    with letting_go() if "let_go" in st.query_params and "lines" in st.session_state.get(SENT, {}) else nullcontext():
        live_chart(lines, key="lines", alt="Five waves", height=340, filename="waves")
    cell = live_chart(heat, key="heat", alt="A banded matrix", height=340, clickable=True)
    st.write(f"cell {[cell.first['x'], cell.first['y']] if cell else None}")
with right:
    event = live_chart(cloud, key="cloud", alt="Ten clusters", height=700, clickable=True)
    st.write(f"event {event.kind} {len(event.points)}" if event else "no event")
