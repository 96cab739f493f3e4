"""Pictures of Unlearnable Clusters: groups of images, where their noise takes them, and how it was learned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ued_core.errors import DataError
from ued_core.figures.compose import compose
from ued_core.figures.results import Cells, accuracy_map, reported_words
from ued_core.figures.theme import (
    INK,
    MUTED,
    PAPER,
    ROLE_COLOURS,
    ROLE_DASHES,
    ROLE_SYMBOLS,
    SEQUENTIAL,
    axis_title,
    base_layout,
    class_colour,
    colour_scale,
)
from ued_core.records import Embedding
from ued_core.results.protocols import Protocol
from ued_core.results.reported import ReportedRow

FADED = 0.12
MOST_NUMBERS = 400
"""A table with more cells than this has no numbers in it."""
WHERE: tuple[tuple[str, str], ...] = (
    ("the anchor", "poisoned"),
    ("the own centre", "clean"),
    ("another centre", "neutral"),
)
MOMENTS: tuple[tuple[str, str, str], ...] = (
    ("clean_kl", "clean images", "clean"),
    ("first_kl", "noise before learning", "neutral"),
    ("last_kl", "noise after learning", "poisoned"),
)


def cluster_names(count: int) -> list[str]:
    """How clusters are called: they have numbers from 1."""
    return [f"cluster {number + 1}" for number in range(count)]


def cluster_scatter(embedding: Embedding, anchors: Sequence[int], selected: int | None = None) -> go.Figure:
    """Images coloured by cluster, shaped by copy, with the centres and an arrow from each centre to its anchor.

    Args:
        embedding: copies of images, then the centres (group ``centre``); ``labels`` are clusters.
        anchors: of every cluster.
        selected: the cluster that stands out; the others fade.

    Returns:
        A figure; every point's ``customdata`` is its cluster.
    """
    middles = embedding.group == "centre"
    centres = embedding.points[middles]
    names = cluster_names(len(centres))
    traces: list[dict[str, Any]] = []
    for copy in dict.fromkeys(embedding.group[~middles].tolist()):
        own = embedding.group == copy
        clusters = embedding.labels[own]
        shown = np.where(clusters == (clusters if selected is None else selected), 0.85, FADED)
        traces.append(
            {
                "type": "scatter",
                "x": embedding.points[own, 0],
                "y": embedding.points[own, 1],
                "mode": "markers",
                "name": copy,
                "marker": {
                    "symbol": ROLE_SYMBOLS.get(copy, "circle"),
                    "size": 7,
                    "color": [class_colour(cluster) for cluster in clusters.tolist()],
                    "opacity": shown,
                    "line": {"width": 0.5, "color": INK},
                },
                "customdata": clusters.astype(np.int32),
                "text": [
                    f"{names[c]} · image {row}"
                    for c, row in zip(clusters.tolist(), embedding.rows[own].tolist(), strict=True)
                ],
                "hovertemplate": "%{text} · " + copy + "<extra></extra>",
            }
        )
    for cluster in range(len(centres)) if selected is None else [selected]:
        traces.append(_arrow(centres[cluster], centres[anchors[cluster]], cluster, first=cluster == (selected or 0)))
    traces.append(
        {
            "type": "scatter",
            "x": centres[:, 0],
            "y": centres[:, 1],
            "mode": "markers+text",
            "name": "centre of a cluster",
            "marker": {
                "symbol": "circle",
                "size": 21,
                "color": PAPER,
                "line": {"width": 3, "color": [class_colour(cluster) for cluster in range(len(centres))]},
            },
            "text": [f"<b>{cluster + 1}</b>" for cluster in range(len(centres))],
            "textposition": "middle center",
            "textfont": {"color": INK, "size": 11},
            "customdata": np.arange(len(centres), dtype=np.int32),
            "hovertext": [
                f"centre of {name}, moves to {names[anchor]}" for name, anchor in zip(names, anchors, strict=True)
            ],
            "hovertemplate": "%{hovertext}<extra></extra>",
        }
    )
    axis = {"showticklabels": False, "showgrid": False, "zeroline": False}
    word = "Principal component" if embedding.method == "pca" else "UMAP axis"
    return compose(
        traces,
        base_layout(
            xaxis={**axis, "title": {"text": f"{word} 1 (no unit)"}},
            yaxis={**axis, "title": {"text": f"{word} 2 (no unit)"}, "scaleanchor": "x"},
            dragmode="pan",
            uirevision=embedding.method,
        ),
    )


def _arrow(start: np.ndarray, end: np.ndarray, cluster: int, *, first: bool) -> dict[str, Any]:
    colour = class_colour(cluster)
    return {
        "type": "scatter",
        "x": [float(start[0]), float(end[0])],
        "y": [float(start[1]), float(end[1])],
        "mode": "lines+markers",
        "line": {"color": colour, "width": 2.5},
        "marker": {
            # The head ends at the rim of the centre's circle.
            "symbol": "arrow",
            "size": [0, 14],
            "angleref": "previous",
            "standoff": [0, 11],
            "color": colour,
            "line": {"width": 1, "color": INK},
        },
        "name": "planned shift, own centre → anchor",
        "legendgroup": "shift",
        "showlegend": first,
        "hoverinfo": "skip",
    }


def destination_bars(panels: Mapping[str, np.ndarray], selected: int | None = None) -> go.Figure:
    """Where the images of every cluster have gone, as shares of the whole.

    Args:
        panels: what a panel is called → float (p, 3), shares at the anchor, at the own centre, at another one.
        selected: the cluster that stands out.

    Returns:
        A figure; every bar's ``customdata`` is its cluster.
    """
    count = len(next(iter(panels.values())))
    names = cluster_names(count)
    bright = [1.0 if selected in (None, cluster) else 0.35 for cluster in range(count)]
    layout: dict[str, Any] = {"barmode": "stack", "bargap": 0.25, "annotations": [], "margin": {"t": 56}}
    traces: list[dict[str, Any]] = []
    gap = 0.08
    width = (1 - gap * (len(panels) - 1)) / len(panels)
    for place, (title, shares) in enumerate(panels.items()):
        suffix = "" if place == 0 else str(place + 1)
        start = place * (width + gap)
        for part, (name, role) in enumerate(WHERE):
            traces.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "x": shares[:, part],
                    "y": names,
                    "name": name,
                    "legendgroup": name,
                    "xaxis": f"x{suffix}",
                    "yaxis": f"y{suffix}",
                    "showlegend": place == 0,
                    "marker": {
                        "color": ROLE_COLOURS[role],
                        "opacity": bright,
                        "pattern": {"shape": ("", "/", ".")[part]},
                    },
                    "customdata": np.arange(count, dtype=np.int32),
                    "hovertemplate": "%{y}: %{x:.0%} nearest to " + name + "<extra></extra>",
                }
            )
        layout[f"xaxis{suffix}"] = {
            "domain": [start, start + width],
            "anchor": f"y{suffix}",
            "range": [0, 1],
            "tickformat": ".0%",
            "dtick": 0.5,
            "title": {"text": axis_title("poisoned images", "%")},
        }
        layout[f"yaxis{suffix}"] = {
            "anchor": f"x{suffix}",
            "autorange": "reversed",
            "showticklabels": place == 0,
            "automargin": True,
        }
        layout["annotations"].append(
            {
                "xref": "paper",
                "yref": "paper",
                "x": start,
                "y": 1.0,
                "xanchor": "left",
                "yanchor": "bottom",
                "showarrow": False,
                "text": title,
                "font": {"size": 13, "color": INK},
            }
        )
    layout["legend"] = {"y": 1.09}
    return compose(traces, base_layout(**layout))


def agreement_map(counts: np.ndarray, class_names: Sequence[str], selected: int | None = None) -> go.Figure:
    """How the labels fall on the clusters.

    Args:
        counts: int (p, K), images of each cluster and label.
        class_names: one a label.
        selected: the cluster that is framed.

    Returns:
        A heat map of the shares of every cluster, with the numbers of images unless there are too many cells.
    """
    count, classes = counts.shape
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    cells: dict[str, Any] = {
        "type": "heatmap",
        "z": shares.astype(np.float32),
        "x": list(range(classes)),
        "y": list(range(count)),
        "zmin": 0,
        "zmax": 1,
        "colorscale": colour_scale(SEQUENTIAL),
        "xgap": 1,
        "ygap": 1,
        "text": counts,
        "customdata": np.broadcast_to(np.array(cluster_names(count))[:, None], counts.shape).tolist(),
        "hovertext": [list(class_names)] * count,
        "hovertemplate": "%{customdata}, %{hovertext}: %{text} images, %{z:.0%} of the cluster<extra></extra>",
        "colorbar": {"title": {"text": "share of<br>the cluster"}, "thickness": 12, "tickformat": ".0%"},
    }
    if counts.size <= MOST_NUMBERS:
        cells |= {"texttemplate": "%{text}", "textfont": {"size": 11}}
    frame = []
    if selected is not None:
        edge = {"color": ROLE_COLOURS["poisoned"], "width": 3}
        frame = [
            {"type": "rect", "x0": -0.5, "x1": classes - 0.5, "y0": selected - 0.5, "y1": selected + 0.5, "line": edge}
        ]
    ticks = list(range(0, classes, max(1, -(-classes // 40))))
    return compose(
        [cells],
        base_layout(
            xaxis={
                "title": {"text": "label"},
                "tickvals": ticks,
                "ticktext": [class_names[i] for i in ticks],
                "showgrid": False,
                "constrain": "domain",
            },
            yaxis={
                "title": {"text": ""},
                "tickvals": list(range(count)),
                "ticktext": cluster_names(count),
                "autorange": "reversed",
                "showgrid": False,
            },
            shapes=frame,
            margin={"t": 8},
        ),
    )


# ---- learning ------------------------------------------------------------------------------------


def distance_curves(trace: Sequence[Mapping[str, Any]], selected: int | None = None) -> go.Figure:
    """KL divergence to the anchor and to the own centre while the generators learn, one line per cluster and their
    mean.

    Args:
        trace: rows of the crafting log with ``cluster``, ``clean_kl``, ``clean_own_kl`` and ``curve``.
        selected: the cluster that stands out; the others fade.

    Returns:
        Two panels on one scale; every point's ``customdata`` is its cluster, −1 for the mean.
    """
    traces: list[dict[str, Any]] = []
    panels = (("to the anchor", "anchor_kl", "clean_kl"), ("to the own centre", "own_kl", "clean_own_kl"))
    layout: dict[str, Any] = {"annotations": [], "margin": {"t": 56}, "legend": {"y": 1.09}}
    for place, (title, number, clean) in enumerate(panels):
        suffix = "" if place == 0 else "2"
        shared = {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}", "type": "scatter"}
        for row in trace:
            cluster = row["cluster"]
            chosen = cluster == selected
            # One entry for all in the legend: their colours are those of the layout, and the pointer names them.
            told = "" if selected is None else f"cluster {selected + 1}"
            traces.append(
                {
                    **shared, "x": row["curve"]["step"], "y": row["curve"][number], "mode": "lines",
                    "name": told or "a cluster each, in its colour", "legendgroup": "clusters",
                    "showlegend": place == 0 and (chosen if told else row is trace[0]),
                    "line": {"color": class_colour(cluster), "width": 4 if chosen else 1.5},
                    "opacity": 1.0 if selected is None or chosen else 0.25,
                    "customdata": np.full(len(row["curve"]["step"]), cluster, np.int32),
                    "hovertemplate": f"cluster {cluster + 1}, step %{{x}}: %{{y:.3f}} nats<extra></extra>",
                }
            )  # fmt: skip
        steps = trace[0]["curve"]["step"]
        # Only clusters that were measured at the same steps have a mean at each of them.
        if all(row["curve"]["step"] == steps for row in trace):
            mean = np.mean([row["curve"][number] for row in trace], axis=0)
            traces.append(
                {
                    **shared,
                    "x": steps,
                    "y": mean,
                    "mode": "lines",
                    "name": "mean",
                    "legendgroup": "mean",
                    "showlegend": place == 0,
                    "line": {"color": INK, "width": 3, "dash": ROLE_DASHES["poisoned"]},
                    "customdata": np.full(len(steps), -1, np.int32),
                    "hovertemplate": "mean, step %{x}: %{y:.3f} nats<extra></extra>",
                }
            )
        start = float(np.mean([row[clean] for row in trace]))
        traces.append(
            {
                **shared,
                "x": [steps[0], steps[-1]],
                "y": [start, start],
                "mode": "lines",
                "name": "without noise, mean",
                "legendgroup": "clean",
                "showlegend": place == 0,
                "line": {"color": MUTED, "width": 1.5, "dash": "dot"},
                "hovertemplate": "without noise, mean: %{y:.3f} nats<extra></extra>",
            }
        )
        domain = [0.53 * place, 0.47 + 0.53 * place]
        layout[f"xaxis{suffix}"] = {"domain": domain, "anchor": f"y{suffix}", "title": {"text": "generator step"}}
        layout[f"yaxis{suffix}"] = {
            "anchor": f"x{suffix}",
            "rangemode": "tozero",
            **(
                {"title": {"text": axis_title("KL divergence", "nats")}}
                if place == 0
                else {"matches": "y", "showticklabels": True}
            ),
        }
        layout["annotations"].append(
            {
                "xref": "paper",
                "yref": "paper",
                "x": domain[0],
                "y": 1.0,
                "xanchor": "left",
                "yanchor": "bottom",
                "showarrow": False,
                "text": title,
                "font": {"size": 13, "color": INK},
            }
        )
    return compose(traces, base_layout(**layout))


def distance_bars(trace: Sequence[Mapping[str, Any]], selected: int | None = None) -> go.Figure:
    """KL divergence to the anchor at three moments: what older crafting logs hold.

    Args:
        trace: rows of the crafting log with ``cluster``, ``clean_kl``, ``first_kl`` and ``last_kl``.
        selected: the cluster that stands out.

    Returns:
        A figure; every bar's ``customdata`` is its cluster.
    """
    names = [f"cluster {row['cluster'] + 1}" for row in trace]
    clusters = np.array([row["cluster"] for row in trace], np.int32)
    bright = [1.0 if selected in (None, row["cluster"]) else 0.35 for row in trace]
    traces = [
        {
            "type": "bar", "x": names, "y": [row[number] for row in trace], "name": name, "customdata": clusters,
            "marker": {"color": ROLE_COLOURS[role], "opacity": bright},
            "hovertemplate": "%{x}: %{y:.3f} nats<extra>" + name + "</extra>",
        }
        for number, name, role in MOMENTS
    ]  # fmt: skip
    return compose(
        traces,
        base_layout(
            barmode="group",
            yaxis={"title": {"text": axis_title("KL divergence to the anchor", "nats")}, "rangemode": "tozero"},
        ),
    )


# ---- reported ------------------------------------------------------------------------------------


def across_data(rows: Sequence[ReportedRow]) -> Cells:
    """Reported values of one source and network, attack by data set, both as printed.

    Raises:
        DataError: two rows for one cell.
    """
    attacks, datasets = (
        list(dict.fromkeys(getattr(row, column).label for row in rows)) for column in ("attack", "dataset")
    )
    values = np.full((len(attacks), len(datasets)), np.nan)
    words = [["not reported"] * len(datasets) for _ in attacks]
    for row in rows:
        r, k = attacks.index(row.attack.label), datasets.index(row.dataset.label)
        if np.isfinite(values[r, k]):
            raise DataError(
                f"{row.source.title} has two values for {attacks[r]} on {datasets[k]} here.", "Choose one network."
            )
        values[r, k] = row.test_accuracy
        words[r][k] = reported_words(row)
    return Cells(tuple(attacks), tuple(datasets), values, tuple(map(tuple, words)))


def data_map(cells: Cells) -> go.Figure:
    """An :func:`ued_core.figures.results.accuracy_map` whose columns are data sets.

    Raises:
        DataError: the table is empty.
    """
    figure = accuracy_map(cells)
    figure.update_xaxes(title_text="data set")
    return figure


# ---- measured ------------------------------------------------------------------------------------

AXES: Mapping[str, str] = {"classes": "number of labels", "poison_rate": "share of poisoned images (%)"}


def protocol_lines(protocol: Protocol, *, chance: bool = False) -> go.Figure:
    """Clean accuracy along a protocol's axis: every run as a dot, means joined.

    Args:
        protocol: one with an axis.
        chance: draw what guessing among so many equally frequent labels gives; for an axis of label numbers.

    Raises:
        DataError: it has no axis, or no runs.
    """
    if protocol.axis == "none" or not protocol.lines:
        raise DataError(f"The protocol {protocol.name!r} has no axis to draw along, or no runs.")
    scale = 100 if protocol.axis == "poison_rate" else 1
    traces: list[dict[str, Any]] = []
    places = sorted({place for line in protocol.lines for place, _ in line.points})
    # What was trained on decides the colour, whatever else the line is about the dash.
    bases = [line.name.partition(",")[0] for line in protocol.lines]
    attacked = list(dict.fromkeys(base for base, line in zip(bases, protocol.lines, strict=True) if line.attacked))
    for number, line in enumerate(protocol.lines):
        role = ("poisoned", "control", "neutral")[min(attacked.index(bases[number]), 2)] if line.attacked else "clean"
        earlier = bases[:number].count(bases[number])
        dash = ("solid", "dash", "dot", "dashdot")[earlier % 4]
        x = [scale * place for place, _ in line.points]
        symbol = {
            "color": ROLE_COLOURS[role],
            "symbol": ROLE_SYMBOLS[role] if earlier % 2 == 0 else f"{ROLE_SYMBOLS[role]}-open",
        }
        runs = [(scale * place, row) for place, condition in line.points for row in condition.rows]
        traces.append(
            {
                "type": "scatter",
                "x": x,
                "y": [100 * condition.mean("last") for _, condition in line.points],
                "mode": "lines",
                "name": line.name,
                "legendgroup": line.name,
                "line": {"color": ROLE_COLOURS[role], "width": 2.5, "dash": dash},
                "hovertemplate": "%{x:g}: mean %{y:.1f} %<extra>" + line.name + "</extra>",
            }
        )
        traces.append(
            {
                "type": "scatter",
                "x": [place for place, _ in runs],
                "y": [100 * row.last for _, row in runs],
                "mode": "markers",
                "name": line.name,
                "legendgroup": line.name,
                "showlegend": False,
                "marker": {"size": 9, **symbol},
                "customdata": [f"seed {row.seed}, best epoch {100 * row.best:.1f} %" for _, row in runs],
                "hovertemplate": "%{x:g}: %{y:.1f} %, %{customdata}<extra>" + line.name + "</extra>",
            }
        )
    if chance:
        traces.append(
            {
                "type": "scatter",
                "x": places,
                "y": [100 / place for place in places],
                "mode": "lines",
                "name": "guessing",
                "line": {"color": MUTED, "width": 1.5, "dash": "dot"},
                "hovertemplate": "guessing: %{y:.1f} %<extra></extra>",
            }
        )
    return compose(
        traces,
        base_layout(
            xaxis={"title": {"text": AXES[protocol.axis]}},
            yaxis={"title": {"text": axis_title("accuracy on clean test images, last epoch", "%")}, "range": [0, 102]},
        ),
    )


def part_figure(curves: Mapping[str, np.ndarray]) -> go.Figure:
    """Training accuracy of the parts of a mixed set, epoch by epoch.

    Args:
        curves: ``poisoned`` and ``clean`` → float (epochs,), 0..1.
    """
    traces = [
        {
            "type": "scatter",
            "x": np.arange(1, len(values) + 1),
            "y": 100 * values,
            "mode": "lines+markers",
            "name": f"{part} images",
            "line": {"color": ROLE_COLOURS[part], "width": 2.5, "dash": ROLE_DASHES[part]},
            "marker": {"symbol": ROLE_SYMBOLS[part]},
            "hovertemplate": "epoch %{x}: %{y:.1f} %<extra>" + part + " images</extra>",
        }
        for part, values in curves.items()
    ]
    return compose(
        traces,
        base_layout(
            xaxis={"title": {"text": "epoch"}},
            yaxis={"title": {"text": axis_title("training accuracy", "%")}, "range": [0, 102]},
        ),
    )
