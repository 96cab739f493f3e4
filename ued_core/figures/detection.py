"""What the tests of a suspicious data set saw, as dots on one scale each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from plotly.graph_objects import Figure

from ued_core.analysis.detection import TESTS, Examination, Test
from ued_core.figures.compose import compose
from ued_core.figures.theme import INK, MUTED, ROLE_COLOURS, ROLE_SYMBOLS, axis_title, base_layout, faded

SHIFTS = {"clean": 0.2, "poisoned": 0.0, "defended": -0.2}


def evidence_dots(found: Mapping[str, Examination]) -> Figure:
    """Held-out accuracies of the tests, with their bound; beside them the border score, which has a scale of its own.

    Args:
        found: role (``clean``, ``poisoned``, ``defended``) → what the tests saw of those images.
    """
    first = next(iter(found.values()))
    trained = [e.test for e in first.evidence if e.test != "border"]
    traces = []
    for role, examination in found.items():
        seen = {e.test: e for e in examination.evidence}
        marker = {"color": ROLE_COLOURS[role], "symbol": ROLE_SYMBOLS[role], "size": 13}
        both: tuple[tuple[Sequence[Test], dict[str, str], str], ...] = (
            (trained, {}, "accuracy"),
            (("border",), {"xaxis": "x2", "yaxis": "y2"}, "score"),
        )
        for tests, axes, name in both:
            values = [seen[test].value for test in tests]
            words = [f"{100 * v:.1f} %" if name == "accuracy" else f"{v:.3f}" for v in values]
            traces.append(
                {
                    "type": "scatter",
                    "mode": "markers",
                    "name": role,
                    "legendgroup": role,
                    "showlegend": name == "accuracy",
                    "x": values,
                    "y": [_row(trained, test) + SHIFTS.get(role, 0.0) for test in tests],
                    "marker": marker,
                    "text": words,
                    "hovertemplate": "%{text}<extra>" + role + "</extra>",
                    **axes,
                }
            )
    controls = [e for e in first.evidence if e.control is not None]
    traces.append(
        {
            "type": "scatter", "mode": "markers", "name": "labels shuffled "
                                                          "(control)", "x": [e.control for e in controls],
            "y": [_row(trained, e.test) for e in controls], "hovertemplate": "%{x:.1%}<extra>shuffled labels</extra>",
            "marker": {"color": MUTED, "symbol": "line-ns-open", "size": 15, "line": {"width": 2}},
        }
    )  # fmt: skip
    bound, threshold = first.evidence[0].bound, first.evidence[-1].bound
    scores = [e.value for x in found.values() for e in x.evidence if e.test == "border"]
    reach = (min(-0.1, min(scores) - 0.05), max(2 * threshold, max(scores) * 1.15))
    names = [TESTS[t].title for t in trained]
    ticks = {"tickvals": [_row(trained, t) for t in trained], "ticktext": names, "range": [-0.6, len(trained) - 0.2]}
    accuracy = {"domain": [0, 0.6], "range": [0, 1.03], "tickformat": ".0%"}
    return compose(
        traces,
        base_layout(
            margin={"l": 130, "t": 48},
            xaxis={**accuracy, "title": {"text": axis_title("accuracy on held-out images", "%")}},
            yaxis=ticks,
            xaxis2={
                "domain": [0.72, 1],
                "range": list(reach),
                "anchor": "y2",
                "title": {"text": "border score"},
                "zeroline": True,
            },
            yaxis2={
                "range": [-0.6, 0.6],
                "tickvals": [0.0],
                "ticktext": ["dark<br>border"],
                "showgrid": False,
                "anchor": "x2",
            },
            shapes=[
                _band("x", "y", bound, 1.03),
                _band("x2", "y2", threshold, reach[1]),
            ],
            annotations=[
                _word("x", bound, f"suspicious<br>above {100 * bound:.0f} %"),
                _word("x2", threshold, f"above {threshold:g}"),
            ],
        ),
    )


@dataclass(frozen=True)
class EdgeRow:
    """What one trained edge detector calls its attack, in shares of images, 0..1.

    Attributes:
        attack: title of the attack that it knows.
        clean, own: of clean images, and of images that its attack poisoned with another key.
        bound: above it a set is suspicious; None where the detector cannot tell.
        flagged: role (``clean``, ``poisoned``, ``defended``) → of the images in question.
    """

    attack: str
    clean: float
    own: float
    bound: float | None
    flagged: Mapping[str, float]


def edge_dots(rows: Sequence[EdgeRow]) -> Figure:
    """Shares of images that trained edge detectors call convolution, one row a detector."""
    places = {row.attack: len(rows) - 1 - place for place, row in enumerate(rows)}
    traces = []
    for role in rows[0].flagged:
        traces.append(
            {
                "type": "scatter", "mode": "markers", "name": role, "x": [row.flagged[role] for row in rows],
                "y": [places[row.attack] + SHIFTS.get(role, 0.0) for row in rows],
                "marker": {
                    "color": ROLE_COLOURS[role],
                    "symbol": ROLE_SYMBOLS[role],
                    "size": 13,
                    # What cannot tell anything is there to be seen, but says nothing.
                    "opacity": [1.0 if row.bound is not None else 0.3 for row in rows],
                },
                "hovertemplate": "%{x:.1%}<extra>" + role + "</extra>",
            }
        )  # fmt: skip
    for name, symbol, values in (
        ("other clean images", "line-ns-open", [row.clean for row in rows]),
        ("its own attack, another key", "triangle-up-open", [row.own for row in rows]),
    ):
        traces.append(
            {
                "type": "scatter", "mode": "markers", "name": name, "x": values, "y": list(places.values()),
                "marker": {"color": MUTED, "symbol": symbol, "size": 15, "line": {"width": 2}},
                "hovertemplate": "%{x:.1%}<extra>" + name + "</extra>",
            }
        )  # fmt: skip
    bands = [
        {
            **_band("x", "y", row.bound, 1.03),
            "yref": "y",
            "y0": places[row.attack] - 0.4,
            "y1": places[row.attack] + 0.4,
        }
        for row in rows
        if row.bound is not None
    ]
    words = [row.attack if row.bound is not None else f"{row.attack}:<br>not counted" for row in rows]
    return compose(
        traces,
        base_layout(
            margin={"l": 130, "t": 48},
            xaxis={
                "range": [-0.03, 1.03],
                "tickformat": ".0%",
                "title": {"text": axis_title("images called convolution", "%")},
            },
            yaxis={"tickvals": list(places.values()), "ticktext": words, "range": [-0.6, len(rows) - 0.4]},
            shapes=bands,
        ),
    )


def _row(trained: Sequence[Test], test: Test) -> float:
    """Tests from top to bottom; the border score alone on its own axis."""
    return len(trained) - 1 - trained.index(test) if test in trained else 0.0


def _band(axis: str, other: str, low: float, high: float) -> dict:
    return {
        "type": "rect",
        "xref": axis,
        "yref": f"{other} domain",
        "x0": low,
        "x1": high,
        "y0": 0,
        "y1": 1,
        "layer": "below",
        "fillcolor": faded(ROLE_COLOURS["poisoned"], 0.10),
        "line": {"width": 0},
    }


def _word(axis: str, at: float, text: str) -> dict:
    return {
        "xref": axis, "yref": "paper", "x": at, "y": 1, "xanchor": "left", "yanchor": "top", "showarrow": False,
        "text": text, "font": {"size": 12, "color": INK},
    }  # fmt: skip
