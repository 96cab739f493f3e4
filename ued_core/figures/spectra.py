"""One operator in four pictures: as matrix, as kernel, as singular values, as frequency response."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import plotly.graph_objects as go

from ued_core.errors import DataError
from ued_core.figures.compose import compose
from ued_core.figures.theme import (
    DIVERGING,
    INK,
    MUTED,
    PAPER,
    ROLE_COLOURS,
    SEQUENTIAL,
    axis_title,
    base_layout,
    colour_scale,
)
from ued_core.figures.tiles import Images, strip

MOST_CELLS = 70_000
#: numbers are printed into kernels up to this side
PRINTED = 9
#: rows and columns of a picture are enlarged to about this many pixels, because browsers smooth what they stretch
ENLARGED = 256
ABOVE = {"thickness": 10, "orientation": "h", "y": 1.02, "yanchor": "bottom"}
RATHER_THAN_ZERO = 1e-5


def operator_heatmap(block: np.ndarray, first_row: int, first_column: int, row: int) -> go.Figure:
    """A matrix, or a part of it, as cells; zero is the page itself, one row is framed.

    Args:
        block: float (R, C).
        first_row, first_column: place of its first entry in the whole matrix.
        row: the row to frame, counted in the whole matrix.

    Returns:
        One heat map; a click's ``y`` is the output pixel, its ``x`` the input pixel.

    Raises:
        DataError: more than 70,000 cells; the browser would choke.
    """
    if block.size > MOST_CELLS:
        raise DataError(
            f"A block of {block.shape[0]}×{block.shape[1]} cells is too large to draw; the limit is {MOST_CELLS} cells."
        )
    height, width = block.shape
    cells = {
        **_signed(block, float(np.abs(block).max(initial=0))), "x0": first_column, "dx": 1, "y0": first_row, "dy": 1,
        "xgap": 1 if width <= 100 else 0, "ygap": 1 if height <= 100 else 0,
        "hovertemplate": "output pixel %{y}, input pixel %{x}<br>entry %{z:.4f}<extra></extra>",
        "colorbar": {**ABOVE, "title": {"text": "entry", "side": "top"}, "len": 0.6},
    }  # fmt: skip
    # Given, not found by Plotly: a range that is found anew takes the reader's zoom away.
    across = (first_column - 0.5, first_column + width - 0.5)
    down = [first_row + height - 0.5, first_row - 0.5]
    y: dict[str, Any] = {
        "title": {"text": axis_title("output pixel p", "index")},
        "range": down,
        "constrain": "domain",
        "showgrid": False,
    }
    if height == width:
        y["scaleanchor"] = "x"
    layout = base_layout(
        xaxis={
            "title": {"text": axis_title("input pixel q", "index")},
            "range": across,
            "constrain": "domain",
            "showgrid": False,
        },
        yaxis=y,
        uirevision=f"operator {first_row} {first_column} {block.shape}",
        shapes=[_frame("x", "y", *across, row - 0.5, row + 0.5)],
    )
    return compose([cells], layout)


def operator_overview(density: np.ndarray, size: int, row: int) -> go.Figure:
    """Where the entries of a large matrix lie: the share of non-zeros in equal blocks, and one row as a line.

    Args:
        density: float (B, B), 0..1, as :func:`ued_core.theory.spectrum.block_density` returns it.
        size: d, rows of the whole matrix.
        row: the row to mark.

    Returns:
        One heat map over the whole index range; a click's ``y`` is the middle row of its block.
    """
    side = size / len(density)
    middle = (side - 1) / 2
    cells = {
        "type": "heatmap", "z": density.astype(np.float32), "x0": middle, "dx": side, "y0": middle, "dy": side,
        "colorscale": colour_scale(_HALF), "zmin": 0.0, "zmax": float(density.max()) or 1.0,
        "hovertemplate": "around row %{y:.0f}, column %{x:.0f}<br>%{z:.1%} of the entries are not zero<extra></extra>",
        "colorbar": {**ABOVE, "title": {"text": "share of entries that "
                                                "are not 0", "side": "top"}, "len": 0.6, "tickformat": ".0%"},
    }  # fmt: skip
    edge = [-0.5, size - 0.5]
    layout = base_layout(
        xaxis={
            "title": {"text": axis_title("input pixel q", "index")},
            "range": edge,
            "constrain": "domain",
            "showgrid": False,
        },
        yaxis={
            "title": {"text": axis_title("output pixel p", "index")},
            "range": edge[::-1],
            "scaleanchor": "x",
            "constrain": "domain",
            "showgrid": False,
        },
        uirevision=f"overview {size}",
        shapes=[
            {"type": "line", "x0": edge[0], "x1": edge[1], "y0": row, "y1": row, "line": {"color": INK, "width": 1.5}}
        ],
    )
    return compose([cells], layout)


def taps_in_image(image: Images, result: Images, weights: np.ndarray, row: int) -> go.Figure:
    """One row of a matrix in the plane of the image, between the image that is read and the one that is written.

    Args:
        image: uint8 (1, C, H, W), what the operator reads.
        result: uint8 (1, C, H, W), what it writes.
        weights: float (H, W), the row: weight of every input pixel.
        row: the output pixel, framed in all three pictures.

    Returns:
        Three panels; a click's ``x`` and ``y`` are column and row of the pixel in each of them.
    """
    height, width = weights.shape
    light = np.zeros((height, width), np.float32)
    taps = {
        **_signed(weights, float(np.abs(weights).max())), "xaxis": "x2", "yaxis": "y2",
        "xgap": 1 if width <= 32 else 0, "ygap": 1 if width <= 32 else 0,
        "hovertemplate": "row %{y}, column %{x}<br>weight %{z:.4f}<extra>taps</extra>",
        "colorbar": {**ABOVE, "y": -0.1, "yanchor": "top", "x": 0.5, "len": 0.28, "nticks": 3},
    }  # fmt: skip
    # Pictures cannot be clicked; what lies over them can.
    panes = [
        {
            "type": "heatmap", "z": light, "opacity": 0, "showscale": False, "xaxis": f"x{axis}", "yaxis": f"y{axis}",
            "hovertemplate": f"row %{{y}}, column %{{x}}<extra>{name}</extra>",
        }
        for axis, name in (("", "read"), ("3", "written"))
    ]  # fmt: skip
    y, x = divmod(row, width)
    axes: dict[str, Any] = {}
    shapes, notes = [], []
    titles = ("image x that is read", f"weights in row {row}", "image y that is written")
    for axis, domain, title in zip(("", "2", "3"), ([0.0, 0.31], [0.345, 0.655], [0.69, 1.0]), titles, strict=True):
        hidden = {"showgrid": False, "constrain": "domain", "showticklabels": False, "ticks": ""}
        axes[f"xaxis{axis}"] = {
            **hidden, "domain": domain, "range": [-0.5, width - 0.5], "anchor": f"y{axis}",
            "title": {"text": axis_title("column", "px") if axis != "2" else ""},
        }  # fmt: skip
        axes[f"yaxis{axis}"] = {
            **hidden, "range": [height - 0.5, -0.5], "scaleanchor": f"x{axis}", "anchor": f"x{axis}",
            "title": {"text": axis_title("row", "px") if not axis else ""},
        }  # fmt: skip
        place = (x - 0.5, x + 0.5, y - 0.5, y + 0.5)
        # Two frames: one of them stands out from whatever the picture shows there.
        # Cells of weight zero cannot be seen: the outline says where the image ends.
        shapes.append(_frame(f"x{axis}", f"y{axis}", -0.5, width - 0.5, -0.5, height - 0.5, colour=MUTED, width=1))
        shapes += [
            _frame(f"x{axis}", f"y{axis}", *place, colour=PAPER, width=4),
            _frame(f"x{axis}", f"y{axis}", *place),
        ]
        notes.append(
            {
                "text": title,
                "xref": "paper",
                "yref": "paper",
                "x": sum(domain) / 2,
                "y": 1.0,
                "xanchor": "center",
                "yanchor": "bottom",
                "showarrow": False,
            }
        )
    pictures = [
        {
            "source": _picture(picture),
            "xref": f"x{axis}",
            "yref": f"y{axis}",
            "x": -0.5,
            "y": -0.5,
            "sizex": width,
            "sizey": height,
            "sizing": "stretch",
            "layer": "below",
        }
        for picture, axis in ((image, ""), (result, "3"))
    ]
    layout = base_layout(
        **axes,
        images=pictures,
        shapes=shapes,
        annotations=notes,
        uirevision=f"taps {height} {width}",
        margin={"b": 24, "l": 24, "r": 4},
    )
    return compose([*panes, taps], layout)


def kernel_heatmap(window: np.ndarray) -> go.Figure:
    """A filter by displacement, with its numbers while they can be read.

    Args:
        window: float (2r+1, 2r+1), the pixel itself at the centre.

    Returns:
        One heat map; a click's ``x`` and ``y`` are the displacement.
    """
    reach = len(window) // 2
    cells = {
        **_signed(window, float(np.abs(window).max())),
        "x0": -reach,
        "dx": 1,
        "y0": -reach,
        "dy": 1,
        "xgap": 1,
        "ygap": 1,
        "hovertemplate": "%{y} down, %{x} right<br>weight %{z:.4f}<extra></extra>",
        "colorbar": {**ABOVE, "title": {"text": "weight", "side": "top"}, "len": 0.6},
    }
    if len(window) <= PRINTED:
        cells["text"] = np.where(
            window == 0, "0", np.char.mod("%.2f" if np.abs(window).max() >= 0.1 else "%.3f", window)
        ).tolist()
        cells["texttemplate"] = "%{text}"
        cells["textfont"] = {"size": 14 if len(window) <= 3 else 11 if len(window) <= 7 else 9}
    edge = [-reach - 0.5, reach + 0.5]
    step = {"dtick": 1 if reach <= 6 else 2, "showgrid": False, "constrain": "domain"}
    layout = base_layout(
        xaxis={**step, "title": {"text": axis_title("to the right", "px")}, "range": edge},
        yaxis={**step, "title": {"text": axis_title("down", "px")}, "range": edge[::-1], "scaleanchor": "x"},
        uirevision=f"kernel {reach}",
    )
    return compose([cells], layout)


Meaning = Literal["clean", "poisoned", "defended", "control", "neutral"]
Dash = Literal["solid", "dash", "dot", "dashdot"]


@dataclass(frozen=True)
class Spectrum:
    """Singular values of one operator.

    Attributes:
        name: in the legend.
        values: float (m,), largest first; all of them, or only the largest ones.
        role: what its colour means.
        dash: of the line; tells curves apart without colour.
        complete: all values; otherwise they are drawn as markers.
    """

    name: str
    values: np.ndarray
    role: Meaning
    dash: Dash = "solid"
    complete: bool = True


def singular_value_curves(spectra: Sequence[Spectrum], size: int) -> go.Figure:
    """Singular values of several operators, largest first, on a logarithmic axis.

    Args:
        spectra: at least one.
        size: d, number of pixels.

    Raises:
        DataError: nothing to draw.
    """
    if not spectra:
        raise DataError("A figure of singular values needs at least one operator.")
    largest = max(float(s.values.max(initial=0)) for s in spectra) or 1.0
    floor = largest * RATHER_THAN_ZERO
    traces = []
    for s in spectra:
        colour = ROLE_COLOURS[s.role]
        mark = (
            {"mode": "lines", "line": {"color": colour, "width": 2.5, "dash": s.dash}}
            if s.complete
            else {"mode": "markers", "marker": {"color": colour, "size": 8, "symbol": "diamond"}}
        )
        traces.append(
            {
                "type": "scatter",
                "x": np.arange(1, len(s.values) + 1, dtype=np.float32),
                # A logarithmic axis has no zero; what has vanished leaves the picture downwards.
                "y": np.maximum(s.values, floor / 100).astype(np.float32),
                "name": s.name,
                "hovertemplate": f"{s.name}<br>σ<sub>%{{x}}</sub> = %{{y:.4g}}<extra></extra>",
                **mark,
            }
        )
    layout = base_layout(
        xaxis={"title": {"text": axis_title("place in order, largest first", "index")}, "range": [0, size + 1]},
        yaxis={
            "title": {"text": "singular value σ"},
            "type": "log",
            "range": [float(np.log10(floor)), float(np.log10(largest * 1.5))],
            "exponentformat": "power",
            "dtick": 1,
        },
        # Curves start at the top: the lower left corner is free.
        legend={"orientation": "v", "x": 0.01, "y": 0.01, "yanchor": "bottom"},
        uirevision=f"singular values {size}",
    )
    return compose(traces, layout)


@dataclass(frozen=True)
class Response:
    """What an operator keeps of each spatial frequency.

    Attributes:
        name: above the panel.
        values: float (H, W), ≥ 0, frequency zero at the centre.
        top: end of its colour scale.
    """

    name: str
    values: np.ndarray
    top: float


def frequency_responses(panels: Sequence[Response]) -> go.Figure:
    """Frequency responses side by side, zero at the centre.

    Args:
        panels: one to three, of one shape.

    Raises:
        DataError: another number of panels, or shapes that differ.
    """
    if not 1 <= len(panels) <= 3 or len({p.values.shape for p in panels}) != 1:
        raise DataError("Frequency responses are shown one to three at a time, all of one shape.")
    height, width = panels[0].values.shape
    share, gap = 1 / len(panels), 0.05
    traces, axes = [], {}
    for i, panel in enumerate(panels):
        axis = "" if i == 0 else str(i + 1)
        domain = [i * share + (gap / 2 if i else 0), (i + 1) * share - (gap / 2 if i < len(panels) - 1 else 0)]
        traces.append(
            {
                "type": "heatmap", "z": panel.values.astype(np.float32), "xaxis": f"x{axis}", "yaxis": f"y{axis}",
                "x0": _lowest(width), "dx": 1 / width, "y0": _lowest(height), "dy": 1 / height,
                "colorscale": colour_scale(SEQUENTIAL), "zmin": 0.0, "zmax": panel.top or 1.0,
                "colorbar": {
                    **ABOVE, "title": {"text": panel.name, "side": "top"}, "x": sum(domain) / 2, "xanchor": "center",
                    "len": 0.8 * (domain[1] - domain[0]), "nticks": 4,
                },
                "hovertemplate": "%{x:.3f} across, %{y:.3f} down (cycles/pixel)<br>gain %{z:.4f}<extra></extra>",
            }
        )  # fmt: skip
        ends = [(_lowest(n) - 0.5 / n, _lowest(n) + 1 - 0.5 / n) for n in (width, height)]
        ticks = {"tickvals": [-0.5, -0.25, 0, 0.25, 0.5], "showgrid": False, "constrain": "domain"}
        axes[f"xaxis{axis}"] = {
            **ticks, "domain": domain, "range": list(ends[0]), "anchor": f"y{axis}",
            "title": {"text": axis_title("across", "cycles/pixel")},
        }  # fmt: skip
        axes[f"yaxis{axis}"] = {
            **ticks,
            "showticklabels": i == 0,
            "range": list(ends[1])[::-1],
            "scaleanchor": f"x{axis}",
            "anchor": f"x{axis}",
            "title": {"text": axis_title("down", "cycles/pixel") if i == 0 else ""},
        }
    return compose(traces, base_layout(**axes, uirevision=f"response {len(panels)} {height} {width}"))


# The upper half of the diverging scale: nothing is the page itself.
_HALF = tuple((2 * (position - 0.5), colour) for position, colour in DIVERGING if position >= 0.5)


def _signed(values: np.ndarray, limit: float) -> dict[str, Any]:
    """A heat map whose middle is zero."""
    top = limit or 1.0
    return {
        "type": "heatmap",
        "z": values.astype(np.float32),
        "colorscale": colour_scale(DIVERGING),
        "zmin": -top,
        "zmax": top,
    }


def _frame(
    x: str, y: str, x0: float, x1: float, y0: float, y1: float, colour: str = INK, width: float = 1.5
) -> dict[str, Any]:
    ends = {"x0": x0, "x1": x1, "y0": y0, "y1": y1}
    return {"type": "rect", "xref": x, "yref": y, **ends, "line": {"color": colour, "width": width}}


def _lowest(size: int) -> float:
    """The lowest of the ``size`` frequencies of an axis, in cycles/pixel."""
    return -(size // 2) / size


def _picture(image: Images) -> str:
    array = image.detach().cpu().numpy() if not isinstance(image, np.ndarray) else image
    factor = max(1, ENLARGED // array.shape[-1])
    large = array[:1].repeat(factor, axis=2).repeat(factor, axis=3)
    return "data:image/png;base64," + base64.b64encode(strip(large)).decode()
