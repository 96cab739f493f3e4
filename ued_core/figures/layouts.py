"""Pictures of feature layouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from ued_core.figures.compose import compose
from ued_core.figures.theme import CLASS_COLOURS, INK, MUTED, ROLE_COLOURS, ROLE_SYMBOLS, base_layout, class_colour
from ued_core.records import Embedding

Colouring = Literal["class", "prediction", "correctness", "copy"]
RIGHT, WRONG = ROLE_COLOURS["clean"], ROLE_COLOURS["poisoned"]
MOST_LEGEND_CLASSES = 12
MOST_SVG_POINTS = 1500
"""More points than this are drawn by WebGL: quick, but they jump instead of moving."""
MARGIN = 0.06
"""Free room around the points, as a share of what they span."""
LABEL_ROOM = (0.16, 0.045)
"""Width and height that the name of a class takes, as shares of what the points span."""


def embedding_scatter(embedding: Embedding, class_names: Sequence[str]) -> go.Figure:
    """Points coloured by class, shaped by copy; they move when the next layout arrives.

    Args:
        embedding: the layout; ``group`` names the copy of each point.
        class_names: one per class; those of few stand beside the copy whose classes lie clearest apart.
    """
    groups = list(dict.fromkeys(embedding.group.tolist()))
    traces = []
    names = np.array(class_names)
    for group in groups:
        own = embedding.group == group
        labels = embedding.labels[own]
        traces.append(
            {
                "type": "scatter",
                "x": embedding.points[own, 0],
                "y": embedding.points[own, 1],
                "mode": "markers",
                "name": group,
                "marker": {
                    "symbol": ROLE_SYMBOLS.get(group, "circle"),
                    "size": 8 if group != "poisoned" else 7,
                    "color": [CLASS_COLOURS[label % len(CLASS_COLOURS)] for label in labels.tolist()],
                    "opacity": 0.85,
                    "line": {"width": 0.5, "color": INK},
                },
                "customdata": embedding.rows[own].astype(np.int32),
                "text": names[labels].tolist(),
                "hovertemplate": "%{text} · " + group + "<br>image %{customdata}<extra></extra>",
                "legendgroup": group,
                "showlegend": False,
            }
        )
    traces += [_copy_in_legend(group, "scatter") for group in groups]
    traces += _class_names(embedding, class_names, "scatter")
    axis = {"showticklabels": False, "showgrid": False, "zeroline": False}
    across, up = _span(embedding, traces)
    word = embedding.method.upper()
    return compose(
        traces,
        base_layout(
            xaxis={**axis, "title": {"text": f"{word} axis 1 (no unit)"}, "range": across},
            yaxis={**axis, "title": {"text": f"{word} axis 2 (no unit)"}, "range": up, "scaleanchor": "x"},
            meta={"animate": True},
            uirevision=embedding.method,
        ),
    )


def _span(embedding: Embedding, traces: Sequence[Mapping[str, Any]]) -> tuple[list[float], list[float]]:
    """From where to where the axes go: around all points and names.

    Left to the browser, a view that was drawn for one layout stays when the next one arrives, and cuts off what moved
    out of it.
    """
    named = [np.column_stack([trace["x"], trace["y"]]) for trace in traces if trace["mode"] == "text"]
    places = np.concatenate([embedding.points, *named])
    low, high = places.min(0), places.max(0)
    # Points may all lie in one place.
    room = np.maximum(MARGIN * (high - low), 1e-3)
    (left, lower), (right, upper) = (low - room).tolist(), (high + room).tolist()
    return [left, right], [lower, upper]


def _copy_in_legend(name: str, kind: str) -> dict[str, Any]:
    """A copy's mark for the legend, in the colour of its role: the points would bring that of whichever class is
    first."""
    marker = {"symbol": ROLE_SYMBOLS.get(name, "circle"), "size": 9, "color": ROLE_COLOURS.get(name, MUTED)}
    return {
        "type": kind, "x": [None], "y": [None], "mode": "markers", "name": name, "legendgroup": name,
        "marker": marker, "hoverinfo": "skip",
    }  # fmt: skip


def clearest_copy(embedding: Embedding) -> str:
    """The copy whose classes lie clearest apart: the least mean distance from the class's middle, by the spread of all
    of its points."""
    found = {}
    for name in dict.fromkeys(embedding.group.tolist()):
        own = embedding.group == name
        points, labels = embedding.points[own], embedding.labels[own]
        middles = np.stack([np.median(points[labels == label], 0) for label in np.unique(labels)])
        inside = np.linalg.norm(points - middles[np.searchsorted(np.unique(labels), labels)], axis=1).mean()
        found[name] = float(inside) / max(float(points.std()), 1e-9)
    return min(found, key=found.__getitem__)


def _class_names(embedding: Embedding, class_names: Sequence[str], kind: str) -> list[dict[str, Any]]:
    """The classes' names, each above the middle of its points; none where there are too many to be read."""
    if len(class_names) > MOST_LEGEND_CLASSES:
        return []
    own = embedding.group == clearest_copy(embedding)
    points, labels = embedding.points[own], embedding.labels[own]
    middles = {label: np.median(points[labels == label], 0).tolist() for label in np.unique(labels).tolist()}
    wide, high = (np.array(LABEL_ROOM) * np.maximum(np.ptp(embedding.points, axis=0), 1e-3)).tolist()
    places: dict[int, tuple[float, float]] = {}
    # From below, so that a name in the way of another one only ever moves up.
    for label, (x, middle) in sorted(middles.items(), key=lambda found: found[1][1]):
        y = middle + high
        while any(abs(x - left) < wide and abs(y - up) < high for left, up in places.values()):
            y += high / 4
        places[label] = x, y
    shown = sorted(places)
    return [
        {
            "type": kind, "x": [places[label][0] for label in shown], "y": [places[label][1] for label in shown],
            "mode": "text", "text": [f"<b>{class_names[label]}</b>" for label in shown],
            "textfont": {"size": 12, "color": INK}, "name": "classes", "hoverinfo": "skip", "showlegend": False,
        }
    ]  # fmt: skip


@dataclass(frozen=True)
class PointColours:
    """A colour for every point.

    Attributes:
        index: uint8, same shape as the points: which of ``palette``.
        palette: CSS colours.
        legend: name and colour of what the colours mean; empty for too many classes and for copies,
            which have a legend of their own.
    """

    index: np.ndarray
    palette: tuple[str, ...]
    legend: tuple[tuple[str, str], ...]


def point_colours(
    colouring: Colouring, labels: np.ndarray, predictions: np.ndarray, group: np.ndarray, class_names: Sequence[str]
) -> PointColours:
    """What each point's colour is.

    Args:
        colouring: by true class, by predicted class, by whether both agree, or by copy.
        labels: int (M,).
        predictions: int (…, M): of one network, or of one per epoch.
        group: str (M,), the copies.
        class_names: one per class.

    Returns:
        An index of the shape of ``predictions`` where these decide, else (M,).
    """
    if colouring == "correctness":
        return PointColours(
            (predictions != labels).astype(np.uint8), (RIGHT, WRONG), (("right", RIGHT), ("wrong", WRONG))
        )
    if colouring == "copy":
        names = list(dict.fromkeys(group.tolist()))
        index = np.array([names.index(name) for name in group.tolist()], np.uint8)
        return PointColours(index, tuple(ROLE_COLOURS.get(name, ROLE_COLOURS["neutral"]) for name in names), ())
    values = labels if colouring == "class" else predictions
    named = tuple((name, class_colour(label)) for label, name in enumerate(class_names))
    legend = named if len(named) <= MOST_LEGEND_CLASSES else ()
    return PointColours((values % len(CLASS_COLOURS)).astype(np.uint8), CLASS_COLOURS, legend)


def feature_scatter(
    embedding: Embedding,
    class_names: Sequence[str],
    predictions: np.ndarray,
    *,
    colouring: Colouring = "class",
    joined: bool = False,
    marked: Sequence[int] = (),
    focus: int | None = None,
) -> go.Figure:
    """Copies of images in the plane, for choosing some of them with a box, a lasso or a click.

    Every point's ``customdata`` is the image's row. The copies of a marked image are ringed and joined.

    Args:
        embedding: the layout; the same images in every group.
        class_names: one per class.
        predictions: int (M,), what the network answers.
        colouring: what a colour means.
        joined: join the copies of every image.
        marked: rows that are picked out; others fade.
        focus: the one row to find at once.
    """
    names = list(dict.fromkeys(embedding.group.tolist()))
    count = len(embedding.points) // max(1, len(names))
    coloured = point_colours(colouring, embedding.labels, predictions, embedding.group, class_names)
    kind = "scatter" if len(embedding.points) <= MOST_SVG_POINTS else "scattergl"
    rows = embedding.rows[:count]
    chosen = np.flatnonzero(np.isin(rows, np.array(list(marked), np.int64)))
    traces: list[dict[str, Any]] = []
    if joined:
        traces.append(_joins(embedding, np.arange(count), len(names), kind, MUTED, 0.6, 0.45))
    if len(chosen):
        traces.append(_joins(embedding, chosen, len(names), kind, INK, 1.0, 0.8))
    answers = [class_names[p] if p < len(class_names) else f"class {p}" for p in predictions.tolist()]
    for place, name in enumerate(names):
        own = slice(place * count, (place + 1) * count)
        trace = {
            "type": kind,
            "x": embedding.points[own, 0],
            "y": embedding.points[own, 1],
            "mode": "markers",
            "name": name,
            "marker": {
                "symbol": ROLE_SYMBOLS.get(name, "circle"),
                "size": 8 if name != "poisoned" else 7,
                "color": [coloured.palette[i] for i in coloured.index[own].tolist()],
                "opacity": 0.85,
                "line": {"width": 0.5, "color": INK},
            },
            "customdata": rows.astype(np.int32),
            "text": [
                f"{class_names[label]} → {answer}"
                for label, answer in zip(embedding.labels[own].tolist(), answers[own], strict=True)
            ],
            "hovertemplate": "%{text} · " + name + "<br>image %{customdata}<extra></extra>",
            "legendgroup": name,
            "showlegend": False,
        }
        if len(chosen):
            trace |= {"selectedpoints": chosen.tolist(), "unselected": {"marker": {"opacity": 0.3}}}
        traces.append(trace)
    if len(chosen):
        traces.append(_rings(embedding, chosen, len(names), kind, 13, 1.2, "marked"))
    found = np.flatnonzero(rows == focus) if focus is not None else np.array([], np.int64)
    if len(found):
        traces.append(_joins(embedding, found, len(names), kind, INK, 2.5, 1.0))
        traces.append(_rings(embedding, found, len(names), kind, 20, 3.0, f"image {focus}"))
    traces += [_copy_in_legend(name, kind) for name in names]
    if colouring == "class":
        traces += _class_names(embedding, class_names, kind)
    for name, colour in coloured.legend:
        marker = {"symbol": "square", "size": 9, "color": colour}
        traces.append(
            {
                "type": kind,
                "x": [None],
                "y": [None],
                "mode": "markers",
                "name": name,
                "marker": marker,
                "hoverinfo": "skip",
            }
        )
    axis = {"showticklabels": False, "showgrid": False, "zeroline": False}
    across, up = _span(embedding, traces)
    word = {"pca": "Principal component", "tsne": "t-SNE axis"}.get(embedding.method, "UMAP axis")
    return compose(
        traces,
        base_layout(
            xaxis={**axis, "title": {"text": f"{word} 1 (no unit)"}, "range": across},
            yaxis={**axis, "title": {"text": f"{word} 2 (no unit)"}, "range": up, "scaleanchor": "x"},
            dragmode="lasso",
            meta={"animate": kind == "scatter"},
            uirevision=embedding.method,
        ),
    )


def _joins(
    embedding: Embedding, places: np.ndarray, copies: int, kind: str, colour: str, width: float, opacity: float
) -> dict[str, Any]:
    """One line per image through its copies, a gap after each."""
    stacked = embedding.points.reshape(copies, -1, 2)[:, places]
    gap = np.full((1, len(places), 2), np.nan, np.float32)
    path = np.concatenate([stacked, gap]).transpose(1, 0, 2).reshape(-1, 2)
    line = {"color": colour, "width": width}
    return {
        "type": kind, "x": path[:, 0], "y": path[:, 1], "mode": "lines", "line": line, "opacity": opacity,
        "hoverinfo": "skip", "showlegend": False, "name": "copies of one image", "connectgaps": False,
    }  # fmt: skip


def _rings(
    embedding: Embedding, places: np.ndarray, copies: int, kind: str, size: int, width: float, name: str
) -> dict[str, Any]:
    stacked = embedding.points.reshape(copies, -1, 2)[:, places].reshape(-1, 2)
    marker = {"symbol": "circle-open", "size": size, "color": INK, "line": {"width": width, "color": INK}}
    rows = np.tile(embedding.rows[: len(embedding.rows) // copies][places], copies).astype(np.int32)
    return {
        "type": kind,
        "x": stacked[:, 0],
        "y": stacked[:, 1],
        "mode": "markers",
        "marker": marker,
        "name": name,
        "hoverinfo": "skip",
        "customdata": rows,
    }
