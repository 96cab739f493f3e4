"""A chart that lives: updates in place, keeps zoom and selection, follows the theme, reports clicks.

Streamlit's own Plotly element is remounted whenever a figure changes, so zoom, legend and
selection are lost. This one hands the new figure to ``Plotly.react`` on the same node.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import streamlit as st

from pages.frame.provenance import ABOUT
from pages.widgets.delivery import Part, declared, forget, pack, part
from pages.widgets.paper_route import paper_address, program
from pages.widgets.plotly_route import plotly_address
from ued_core.figures.roles import CLIENT_COLOURS as ROLE_NAMES
from ued_core.figures.theme import CLIENT_COLOURS

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

FRAME = (
    '<figure class="ued-figure"><div class="ued-head"><span class="ued-question"></span><span '
    'class="ued-formula"></span></div><div class="ued-tools"></div>'
    '<div class="ued-chart"></div><figcaption class="ued-caption"></figcaption></figure>'
)


# Numbers in base64, or a list without lists in it.
LONG_ARRAY = re.compile(r'("bdata":"[^"]{400,}"|\[[^\[\]{}]{400,}\])')
MOST_PIECES = 64


@dataclass(frozen=True)
class ChartEvent:
    """What a reader did last on a chart; stays until they do something else or deselect.

    Attributes:
        kind: ``click``, or ``select`` for a box or a lasso.
        points: one dict a point: ``trace`` and ``point`` (indices; a heat map's ``point`` is
            [row, column]), ``x``, ``y``, and ``z``, ``text``, ``customdata`` where the trace has them.
    """

    kind: Literal["click", "select"]
    points: tuple[dict[str, Any], ...]

    @property
    def first(self) -> dict[str, Any]:
        """The first point."""
        return self.points[0]


class Follows(NamedTuple):
    """Marks of a figure that follow a slider while it is dragged; the line ``layout.shapes[0]`` follows as well.

    Attributes:
        slider: key of the slider, whose values are the figure's x.
        value: of the slider, for which the figure was made.
        points: pairs of traces: one with a single point, and the one on whose straight lines it moves.
    """

    slider: str
    value: float
    points: tuple[tuple[int, int], ...]


@cache
def _component() -> Any:
    return declared("ued_live_chart", FRAME, js="live_chart.js")


def live_chart(
    figure: Figure | str,
    *,
    key: str,
    alt: str,
    changes: Mapping[str, Any] | None = None,
    height: int = 360,
    filename: str = "",
    clickable: bool = False,
    question: str = "",
    formula: str = "",
    caption: str = "",
    follows: Follows | None = None,
) -> ChartEvent | None:
    """Show a figure, with its question and formula above and its words below.

    The words are part of the chart: one element instead of four is what keeps a slider quick.

    A figure with ``layout.meta = {"least_width": 700}`` is never narrower than so many CSS pixels; on a narrow screen
    it is scrolled sideways. A figure with ``layout.meta = {"animate": True}`` whose scatter traces keep their number of
    points moves its points to their new places, unless the reader prefers reduced motion. A new
    ``layout.uirevision`` resets zoom and selection.

    Args:
        figure: as :func:`ued_core.figures.theme.base_layout` starts it; or its JSON, when it is kept and shown often.
        key: unique on the page; the chart keeps its node as long as the key stays.
        alt: what the figure shows, for those who cannot see it: content, not form.
        changes: what differs from ``figure`` now, by its place: ``{"data/2/x": [1.5]}``; numbers and short texts, not
            colours. The figure itself is then sent once, however often they change.
        height: in CSS pixels.
        filename: of downloads, without ending; the key when empty.
        clickable: report clicks and box or lasso selections; each one reruns the page.
        question: what the figure answers, one line.
        formula: of what is drawn; ``_{…}`` and ``^{…}`` are set as indices.
        caption: below the figure; ``**…**`` is bold, indices as in ``formula``.
        follows: the slider that its marks follow while it is dragged.

    Returns:
        The last event, or ``None``.
    """
    words = {
        "changes": dict(changes or {}),
        "height": height,
        "alt": alt,
        "filename": filename or key,
        "clickable": clickable,
        "question": question,
        "formula": formula,
        "caption": caption,
        "plotly": plotly_address(),
        "paper": paper_address(),
        "program": program(),
        "about": st.session_state.get(ABOUT, ""),
        "colours": {**CLIENT_COLOURS, **ROLE_NAMES},
        "follows": None if follows is None else follows._asdict(),
    }
    result = _component()(
        key=key,
        data=pack(
            key, words, _kept_pieces(figure) if isinstance(figure, str) else pieces(figure.to_json(validate=False))
        ),
        default={"event": None},
        on_event_change=_nothing,
        on_lost_change=lambda: forget(key),
    )
    event = result.event
    if not clickable or not event or not event.get("points"):
        return None
    return ChartEvent(event["kind"], tuple(event["points"]))


def pieces(figure: str) -> tuple[Part, ...]:
    """The JSON of a figure cut at its long arrays, so that those that stay need not be sent with those that change.

    Any cut would do: the browser joins the pieces before it reads them.
    """
    texts = [text for text in LONG_ARRAY.split(figure) if text]
    return tuple(map(part, texts if len(texts) <= MOST_PIECES else [figure]))


_kept_pieces = lru_cache(maxsize=64)(pieces)


def power(value: float) -> str:
    """A small number for captions: 0.00047 as ``4.700 × 10^{−4}``, as axes write it."""
    if value == 0:
        return "0"
    digits, exponent = f"{value:.3e}".split("e")
    return f"{digits} × 10^{{{int(exponent)}}}".replace("-", "−")


def fresh_click(*keys: str) -> dict[str, Any] | None:
    """The point that was clicked since the last call, before the chart is drawn again.

    For a click that moves a control: call it, and give the control its value, above the control.

    Args:
        keys: of the charts; the first one with a new click answers.
    """
    handled = st.session_state.setdefault("handled_clicks", {})
    for key in keys:
        event = (st.session_state.get(key) or {}).get("event")
        if event == handled.get(key):
            continue
        handled[key] = event
        if event and event.get("kind") == "click" and event.get("points"):
            return dict(event["points"][0], chart=key)
    return None


def _nothing() -> None:
    """The component needs a callback to hold state; the page reads the returned event instead."""
