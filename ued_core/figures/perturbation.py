"""Pictures of a perturbation: its size, its mean, where it lies in frequency and space, and who can read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ued_core.analysis.edge_detector import Roc
from ued_core.analysis.perturbation import Distortion, log_power
from ued_core.analysis.separability import Separability
from ued_core.errors import DataError
from ued_core.figures.compose import compose
from ued_core.figures.theme import (
    INK,
    MUTED,
    ROLE_COLOURS,
    ROLE_DASHES,
    ROLE_SYMBOLS,
    SEQUENTIAL,
    axis_title,
    base_layout,
    colour_scale,
    faded,
)

BINS = 24
MOST_CLASSES = 10
LEAST_MAP = 66
"""CSS pixels of a map with a name of usual length above it."""
MOST_SIDE = 48
# What most bounded attacks allow themselves; drawn so that unbounded ones are seen to be so.
USUAL_BOUND = 8


def mean_tiles(means: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Signed mean perturbations as tiles: grey is zero, and every tile has a gain of its own.

    Args:
        means: float (K, C, H, W), in 1/255.

    Returns:
        uint8 (K, C, H, W) and the gains, float64 (K,): powers of two from 1/2 to 256 at which the 99.5th percentile of
        the sizes just fits.
    """
    largest = np.maximum(np.percentile(np.abs(means), 99.5, axis=(1, 2, 3)), 1e-9)
    gains = 2.0 ** np.clip(np.floor(np.log2(127.5 / largest)), -1, 8)
    return np.clip(np.rint(127.5 + gains[:, None, None, None] * means), 0, 255).astype(np.uint8), gains


def distortion_histograms(found: Distortion) -> go.Figure:
    """How many images are changed how much, under four measures.

    Infinite PSNR (unchanged images) cannot be drawn and is left out; whoever shows the figure says how many there are.
    """
    panels = (
        (found.linf, "L∞", "1/255"),
        (found.l2, "L2", "pixel values 0..1"),
        (found.psnr[np.isfinite(found.psnr)], "PSNR", "dB"),
        (found.ssim, "SSIM", "1 = equal"),
    )
    layout: dict[str, Any] = {"showlegend": False, "bargap": 0.05, "shapes": [], "annotations": []}
    traces: list[dict[str, Any]] = []
    gap = 0.05
    width = (1 - 3 * gap) / 4
    for i, (values, name, unit) in enumerate(panels):
        suffix = "" if i == 0 else str(i + 1)
        start = i * (width + gap)
        layout[f"xaxis{suffix}"] = {
            "domain": [start, start + width],
            "anchor": f"y{suffix}",
            "title": {"text": axis_title(name, unit)},
        }
        layout[f"yaxis{suffix}"] = {
            "anchor": f"x{suffix}",
            "rangemode": "tozero",
            "automargin": True,
            **({"title": {"text": "images"}} if i == 0 else {}),
        }
        if len(values) == 0:
            continue
        counts, edges = np.histogram(values, BINS, _range(values))
        traces.append(
            {
                "type": "bar", "x": (edges[:-1] + edges[1:]) / 2, "y": counts, "width": float(edges[1] - edges[0]),
                "xaxis": f"x{suffix}", "yaxis": f"y{suffix}", "name": name,
                "marker": {"color": ROLE_COLOURS["poisoned"]},
                "hovertemplate": f"{name} about %{{x:.4g}} {unit if unit in ('dB', '1/255') else ''}<br>%{{y}} "
                                 "images<extra></extra>",
            }
        )  # fmt: skip
        layout["shapes"].append(_upright(float(np.median(values)), suffix, INK, "solid"))
        if i == 0:
            layout["shapes"].append(_upright(USUAL_BOUND, suffix, MUTED, "dot"))
    return compose(traces, base_layout(**layout))


def _range(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high - low > 1e-9 else (low - 0.5, high + 0.5)


def _upright(x: float, suffix: str, colour: str, dash: str) -> dict[str, Any]:
    return {
        "type": "line", "xref": f"x{suffix}", "yref": f"y{suffix} domain", "x0": x, "x1": x, "y0": 0, "y1": 1,
        "line": {"color": colour, "width": 2, "dash": dash},
    }  # fmt: skip


# ---- frequency ---------------------------------------------------------------------------------


def spectra(rows: Sequence[tuple[str, np.ndarray]], names: Sequence[str]) -> go.Figure:
    """The log power of every class, one small map each, all on one colour scale.

    Args:
        rows: label and power (K, H, W), centred; each row of maps has one map per class.
        names: one per class; at most ten are drawn.

    Raises:
        DataError: the rows differ in shape.
    """
    if not rows or len({power.shape for _, power in rows}) != 1:
        raise DataError("Spectra are drawn from rows of equal shape (K, H, W), at least one.")
    maps = [_smaller(log_power(power[:MOST_CLASSES])) for _, power in rows]
    count, height, width = maps[0].shape
    down, across = height + 2, width + 2
    canvas = np.full((down * len(rows) - 2, across * count - 2), np.nan, np.float32)
    for r, row in enumerate(maps):
        for k, cells in enumerate(row):
            canvas[r * down : r * down + height, k * across : k * across + width] = cells
    note = {"showarrow": False, "font": {"size": 12, "color": MUTED}}
    labels = [
        {**note, "x": k * across + (width - 1) / 2, "y": -0.5, "yanchor": "bottom", "text": name}
        for k, name in enumerate(names[:count])
    ]
    labels += [
        {**note, "x": -1, "y": r * down + (height - 1) / 2, "xanchor": "right", "text": name, "textangle": -90}
        for r, (name, _) in enumerate(rows)
    ]
    # A black or a single bright frequency must not take the scale from all others.
    drawn = canvas[np.isfinite(canvas)]
    cells = {
        "type": "heatmap", "z": canvas, "colorscale": colour_scale(SEQUENTIAL), "hoverongaps": False,
        "zmin": float(np.percentile(drawn, 1)), "zmax": float(np.percentile(drawn, 99.8)),
        "hovertemplate": "log₁₀ power %{z:.2f}<extra></extra>",
        "colorbar": {"title": {"text": "log₁₀ power"}, "thickness": 12, "len": 0.95},
    }  # fmt: skip
    hidden = {"visible": False}
    # The words lie within the ranges: Plotly leaves out what is written beyond them.
    beside = 0.05 * canvas.shape[1] if any(name for name, _ in rows) else 0.5
    above = 0.025 * canvas.shape[1]
    layout = base_layout(
        xaxis={**hidden, "constrain": "domain", "range": [-beside, canvas.shape[1] - 0.5]},
        yaxis={**hidden, "range": [canvas.shape[0] - 0.5, -above], "scaleanchor": "x", "constrain": "domain"},
        margin={"l": 4, "r": 8, "t": 8, "b": 4},
        annotations=labels,
        uirevision=f"spectra {canvas.shape}",
        # Below it the names of the maps would run into each other; the figure scrolls sideways then.
        meta={"least_width": LEAST_MAP * count},
    )
    return compose([cells], layout)


def _smaller(maps: np.ndarray) -> np.ndarray:
    """At most 48 cells per side, means of blocks; at odd factors zero stays in a cell of its own."""
    factor = -(-max(maps.shape[-2:]) // MOST_SIDE)
    if factor == 1:
        return maps
    height, width = (n // factor for n in maps.shape[-2:])
    cut = maps[:, : height * factor, : width * factor]
    return cut.reshape(len(maps), height, factor, width, factor).mean((2, 4))


def radial_curves(
    frequencies: np.ndarray, curves: Mapping[str, np.ndarray], perturbations: np.ndarray, names: Sequence[str]
) -> go.Figure:
    """Power against frequency: means of clean and poisoned images, and a band over the perturbations of the classes.

    Args:
        frequencies: float (R,), cycles per pixel.
        curves: role of the theme → power (R,).
        perturbations: power (K, R), one row per class; at most ten are drawn.
        names: one per class.
    """
    few = perturbations[:MOST_CLASSES]
    grey = ROLE_COLOURS["neutral"]
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter", "mode": "lines", "fill": "toself", "name": "perturbations of the classes",
            "x": np.concatenate([frequencies, frequencies[::-1]]),
            "y": np.concatenate([few.max(0), few.min(0)[::-1]]),
            "line": {"width": 0}, "fillcolor": faded(grey, 0.22), "hoverinfo": "skip",
        }
    ]  # fmt: skip
    for k, row in enumerate(few):
        traces.append(
            {
                "type": "scatter", "x": frequencies, "y": row, "mode": "lines", "name": f"δ {names[k]}",
                "line": {"color": faded(grey, 0.6), "width": 1}, "showlegend": False,
                "hovertemplate": "%{x:.3f} cycles/px<br>power %{y:.3g}<extra>perturbation, " + names[k] + "</extra>",
            }
        )  # fmt: skip
    for role, row in curves.items():
        traces.append(
            {
                "type": "scatter", "x": frequencies, "y": row, "mode": "lines+markers", "name": f"{role} images",
                "line": {"color": ROLE_COLOURS[role], "width": 3, "dash": ROLE_DASHES[role]},
                "marker": {"symbol": ROLE_SYMBOLS[role], "size": 6},
                "hovertemplate": "%{x:.3f} cycles/px<br>power %{y:.3g}<extra>" + role + " images</extra>",
            }
        )  # fmt: skip
    every = np.concatenate([perturbations[:MOST_CLASSES].ravel(), *curves.values()])
    positive = every[every > 1e-14]
    low, high = (float(np.log10(v)) for v in (positive.min(), positive.max())) if len(positive) else (-12.0, 0.0)
    return compose(
        traces,
        base_layout(
            xaxis={"title": {"text": axis_title("spatial frequency", "cycles per pixel")}},
            yaxis={
                "type": "log",
                "title": {"text": axis_title("mean power", "pixel values 0..1, squared")},
                "exponentformat": "power",
                "range": [low - 0.2, high + 0.2],
            },
        ),
    )


# ---- border ------------------------------------------------------------------------------------


def border_profile(distances: np.ndarray, curves: Mapping[str, np.ndarray]) -> go.Figure:
    """Mean brightness by distance from the border.

    Args:
        distances: int (R,), in pixels; 0 is the outermost ring.
        curves: role of the theme → brightness (R,), 0..1. The role ``control`` is named "reflection padding".
    """
    words = {"control": "reflection padding"}
    traces = [
        {
            "type": "scatter", "x": distances, "y": row, "mode": "lines+markers", "name": words.get(role, role),
            "line": {"color": ROLE_COLOURS[role], "width": 2.5, "dash": ROLE_DASHES[role]},
            "marker": {"symbol": ROLE_SYMBOLS[role], "size": 8},
            "hovertemplate": "%{x} px from the border<br>brightness "
                             "%{y:.3f}<extra>" + words.get(role, role) + "</extra>",
        }
        for role, row in curves.items()
    ]  # fmt: skip
    return compose(
        traces,
        base_layout(
            xaxis={
                "title": {"text": axis_title("distance from the border", "px")},
                "dtick": max(1, len(distances) // 8),
            },
            yaxis={"title": {"text": axis_title("mean brightness", "0 black, 1 white")}, "rangemode": "tozero"},
        ),
    )


def roc_curves(curves: Sequence[tuple[str, str, Roc]]) -> go.Figure:
    """Detectors' trade-offs, and the diagonal of guessing.

    Args:
        curves: name, role of the theme, and curve. One role may come twice: then the second is thinner.
    """
    traces: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "x": [0, 1],
            "y": [0, 1],
            "mode": "lines",
            "name": "guessing: 0.500",
            "hoverinfo": "skip",
            "line": {"color": MUTED, "width": 1.5, "dash": "dot"},
        }
    ]
    for name, role, curve in curves:
        traces.append(
            {
                "type": "scatter",
                "x": curve.false_alarms,
                "y": curve.hits,
                "mode": "lines",
                "name": f"{name}: {curve.auc:.3f}",
                "line": {"color": ROLE_COLOURS[role], "width": 2.5, "dash": ROLE_DASHES[role], "shape": "hv"},
                "hovertemplate": "false alarms %{x:.1%}<br>found %{y:.1%}<extra>" + name + "</extra>",
            }
        )
    axis = {"range": [-0.02, 1.02], "tickformat": ".0%"}
    return compose(
        traces,
        base_layout(
            xaxis={
                **axis,
                "title": {"text": axis_title("opponent's images taken for poisoned", "%")},
                "constrain": "domain",
            },
            yaxis={
                **axis,
                "title": {"text": axis_title("poisoned images found", "%")},
                "scaleanchor": "x",
                "constrain": "domain",
            },
            legend={
                "orientation": "v",
                "x": 1.02,
                "y": 0.0,
                "xanchor": "left",
                "yanchor": "bottom",
                "title": {"text": "AUC"},
            },
        ),
    )


# ---- who can read it ---------------------------------------------------------------------------


def separability_bars(found: Separability) -> go.Figure:
    """Held-out accuracies that mean something beside training accuracies that do not; chance as a line."""
    groups = (
        ("perturbation", found.perturbation),
        ("perturbation,<br>labels shuffled", found.shuffled),
        ("clean images", found.clean),
    )
    grey = ROLE_COLOURS["neutral"]
    hatched = {"color": faded(grey, 0.25), "line": {"color": grey, "width": 1}, "pattern": {"shape": "/"}}
    kinds = (
        ("images held out", "held_out", {"color": [ROLE_COLOURS[role] for role in ("poisoned", "control", "clean")]}),
        ("images trained on: no evidence", "training", hatched),
    )
    traces = [
        {
            "type": "bar",
            "name": name,
            "x": [label for label, _ in groups],
            "y": [getattr(fit, number) for _, fit in groups],
            "text": [f"{100 * getattr(fit, number):.0f} %" for _, fit in groups],
            "textposition": "outside",
            "cliponaxis": False,
            "marker": marker,
            "hovertemplate": "%{x}<br>%{y:.1%}<extra>" + name + "</extra>",
        }
        for name, number, marker in kinds
    ]
    chance = {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": found.chance, "y1": found.chance}
    word = {
        "xref": "paper", "x": 1.005, "y": found.chance, "xanchor": "left", "yanchor": "middle", "showarrow": False,
        "text": f"chance {100 * found.chance:.0f} %", "font": {"size": 12, "color": MUTED},
    }  # fmt: skip
    return compose(
        traces,
        base_layout(
            barmode="group",
            margin={"r": 84},
            xaxis={"title": {"text": "what the linear model is fitted to"}},
            yaxis={"title": {"text": axis_title("accuracy", "%")}, "range": [0, 1.12], "tickformat": ".0%"},
            shapes=[{**chance, "line": {"color": INK, "width": 1.5, "dash": "dot"}}],
            annotations=[word],
        ),
    )
