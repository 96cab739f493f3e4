"""Kernels and Θ curves: the picture holds the numbers it was given, in their places."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest

from tests.changed_figure import changed
from ued_core.attacks import Cuda
from ued_core.figures.consistency import marks_on_curves, moved_to, theta_curves
from ued_core.figures.operators import kernel_grid


def numbers(values: object) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)


# ---------------------------------------------------------------- kernels


@pytest.mark.parametrize(("classes", "size", "columns"), [(10, 3, 5), (7, 5, 3), (2, 3, 5)])
def test_kernel_grid_holds_every_kernel_once(classes: int, size: int, columns: int) -> None:
    kernels = Cuda(kernel_size=size).kernels(classes, 1)
    names = [f"class {k}" for k in range(classes)]
    figure = kernel_grid(kernels, names, columns)
    drawn, owner = numbers(figure.data[0].z), np.asarray(figure.data[0].customdata)
    for k in range(classes):
        own = owner == k
        rows, places = np.nonzero(own)
        assert own.sum() == size**2
        assert np.allclose(drawn[rows.min() : rows.max() + 1, places.min() : places.max() + 1], kernels[k])
    assert np.isnan(drawn[owner == -1]).all()
    assert (figure.data[0].zmin, figure.data[0].zmax) == (0, 1), "all kernels share one scale"
    assert [note.text for note in figure.layout.annotations] == names
    assert figure.layout.yaxis.autorange == "reversed", "row 0 is at the top"


def test_kernel_grid_writes_the_numbers_and_frames_the_chosen_class() -> None:
    kernels = Cuda().kernels(4, 1)
    figure = kernel_grid(kernels, list("abcd"), 2, selected=3)
    text, owner = np.asarray(figure.data[0].text), np.asarray(figure.data[0].customdata)
    assert text[owner == 2].tolist() == [f"{v:.2f}" for v in kernels[2].ravel()]
    assert set(text[owner == -1].tolist()) == {""}
    (frame,) = figure.layout.shapes
    rows, columns = np.nonzero(owner == 3)
    assert (frame.x0, frame.x1) == (columns.min() - 0.5, columns.max() + 0.5)
    assert (frame.y0, frame.y1) == (rows.min() - 0.5, rows.max() + 0.5)
    assert [note.text for note in figure.layout.annotations] == ["a", "b", "c", "<b>d</b>"]
    assert kernel_grid(Cuda(kernel_size=7).kernels(4, 1), list("abcd")).data[0].text is None, (
        "49 numbers per kernel are no help"
    )


# ---------------------------------------------------------------- Θ


def test_theta_curves_show_limits_expectations_and_the_draw() -> None:
    strengths = np.linspace(0, 4, 5)
    limits = (strengths / 100, 1 - strengths / 10)
    expectations = (strengths / 101, 1 - strengths / 9)
    figure = theta_curves(strengths, limits, expectations, 50, (1.5, 0.021, 0.79))
    assert len(figure.data) == 8
    for axis, i in (("y", 0), ("y2", 1)):
        limit, expected, exact, now = [trace for trace in figure.data if (trace.yaxis or "y") == axis]
        assert np.allclose(numbers(limit.y), limits[i], atol=1e-6)
        assert np.allclose(numbers(expected.y), expectations[i], atol=1e-6)
        assert np.allclose(numbers(limit.x), strengths)
        assert (now.x[0], now.y[0]) == (1.5, (0.021, 0.79)[i])
        assert (exact.x[0], round(exact.y[0], 6)) == (1.5, (0.015, 0.85)[i]), "on the curve, between two of its points"
        assert limit.line.dash != expected.line.dash, "told apart without colour"
        assert exact.marker.symbol != now.marker.symbol
    assert not figure.layout.showlegend, "the caption names what is drawn"
    assert [(shape.x0, shape.x1) for shape in figure.layout.shapes] == [(1.5, 1.5)] * 2
    assert all("↑ good" in note.text for note in figure.layout.annotations), "which way is good"
    assert figure.layout.xaxis.domain[1] < figure.layout.xaxis2.domain[0], "the two share no space"
    assert marks_on_curves(figure.to_json()) == ((2, 0), (3, 1), (6, 4), (7, 5))


def test_moving_the_current_strength_equals_drawing_it_anew() -> None:
    line = np.linspace(0, 6, 5)

    def built(current: tuple[float, float, float]) -> str:
        return theta_curves(line, (line, line / 6), (line, line / 7), 20, current).to_json(validate=False)

    start = built((0.0, 0.0, 0.0))
    moved, anew = changed(start, moved_to(start, (1.5, 2e-4, 0.75))), json.loads(built((1.5, 2e-4, 0.75)))
    for part in (t for t in anew["data"] if t["legendgroup"] in ("now", "exact")):
        for axis in ("x", "y"):
            part[axis] = np.frombuffer(base64.b64decode(part[axis]["bdata"]), part[axis]["dtype"]).tolist()
    assert moved == anew
