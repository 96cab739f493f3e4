"""Pictures of operators: they hold the numbers they were given, in their places, and stay small."""

from __future__ import annotations

import base64
import io

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from ued_core.attacks.convolution import draw_kernels
from ued_core.errors import DataError
from ued_core.figures.spectra import (
    MOST_CELLS,
    Response,
    Spectrum,
    frequency_responses,
    kernel_heatmap,
    operator_heatmap,
    operator_overview,
    singular_value_curves,
    taps_in_image,
)
from ued_core.figures.theme import PAPER, ROLE_COLOURS
from ued_core.theory.spectrum import block_density, frequencies, frequency_response, operator

KERNELS = draw_kernels(2, 3, 0.3, "full", 3).astype(np.float64)


def checked(figure: go.Figure) -> go.Figure:
    """The same figure through Plotly's own checks, which composing leaves out."""
    return go.Figure(figure.to_dict())


def numbers(value: object) -> np.ndarray:
    """An array as the browser gets it."""
    if not isinstance(value, dict):
        return np.asarray(value)
    flat = np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"])
    return flat.reshape([int(n) for n in value["shape"].split(",")]) if "shape" in value else flat


def is_neutral_at_zero(trace: go.Heatmap) -> bool:
    return trace.zmin == -trace.zmax < 0 and trace.colorscale[len(trace.colorscale) // 2] == (0.5, PAPER)


def test_operator_heatmap_holds_the_block_and_frames_the_row() -> None:
    block = np.array([[0.0, -0.25, 1.0], [0.5, 0.0, 0.0]])
    figure = checked(operator_heatmap(block, 40, 7, 41))
    (cells,) = figure.data
    assert np.allclose(numbers(cells.z), block), "zeros stay, so that they can be clicked"
    assert (cells.x0, cells.dx, cells.y0, cells.dy) == (7, 1, 40, 1)
    assert is_neutral_at_zero(cells)
    assert cells.zmax == 1
    assert tuple(figure.layout.yaxis.range) == (41.5, 39.5), "row 40 is at the top"
    (frame,) = figure.layout.shapes
    assert (frame.x0, frame.x1, frame.y0, frame.y1) == (6.5, 9.5, 40.5, 41.5)
    assert checked(operator_heatmap(np.zeros((2, 2)), 0, 0, 0)).data[0].zmax == 1
    with pytest.raises(DataError, match="too large to draw"):
        operator_heatmap(np.zeros((300, MOST_CELLS // 300 + 1)), 0, 0, 0)


def test_overview_covers_all_indices() -> None:
    matrix = operator("attack", KERNELS[0], size=(32, 32), strength=0, draws=1, seed=0)
    density = block_density(matrix)
    figure = checked(operator_overview(density, 1024, 77))
    (cells,) = figure.data
    assert np.allclose(numbers(cells.z), density)
    first, last = cells.y0, cells.y0 + cells.dy * (len(density) - 1)
    assert (first - cells.dy / 2, last + cells.dy / 2) == (-0.5, 1023.5)
    assert cells.colorscale[0] == (0.0, PAPER)
    assert figure.layout.shapes[0].y0 == figure.layout.shapes[0].y1 == 77


def test_taps_lie_between_the_two_images() -> None:
    image = np.zeros((1, 3, 6, 8), np.uint8)
    image[0, 0, 1, 2] = 200
    weights = np.arange(48.0).reshape(6, 8) - 10
    figure = checked(taps_in_image(image, 255 - image, weights, 19))
    taps = next(trace for trace in figure.data if trace.xaxis == "x2")
    assert np.allclose(numbers(taps.z), weights)
    assert is_neutral_at_zero(taps)
    assert {trace.xaxis for trace in figure.data} == {"x", "x2", "x3"}, "every panel can be clicked"
    assert all(numbers(trace.z).shape == (6, 8) for trace in figure.data)
    outlines = [s for s in figure.layout.shapes if s.x0 == -0.5]
    assert [(s.x1, s.y1) for s in outlines] == [(7.5, 5.5)] * 3
    for shape in figure.layout.shapes:
        if shape in outlines:
            continue
        assert (shape.x0, shape.x1, shape.y0, shape.y1) == (2.5, 3.5, 1.5, 2.5), "pixel 19 of 6×8 is row 2, column 3"
    assert {shape.xref for shape in figure.layout.shapes} == {"x", "x2", "x3"}
    for placed, source in zip(figure.layout.images, (image, 255 - image), strict=True):
        drawn = np.asarray(Image.open(io.BytesIO(base64.b64decode(placed.source.split(",")[1]))))
        factor = drawn.shape[0] // 6
        assert factor >= 16, "enlarged, because browsers smooth"
        assert np.array_equal(drawn[::factor, ::factor], source[0].transpose(1, 2, 0))
        assert (placed.x, placed.y, placed.sizex, placed.sizey) == (-0.5, -0.5, 8, 6)


def test_kernel_shows_its_numbers_while_they_can_be_read() -> None:
    figure = checked(kernel_heatmap(KERNELS[0]))
    (cells,) = figure.data
    assert numbers(cells.text).ravel().tolist() == [f"{v:.2f}" for v in KERNELS[0].ravel()]
    assert (cells.x0, cells.y0) == (-1, -1)
    assert tuple(figure.layout.yaxis.range) == (1.5, -1.5)
    small = checked(kernel_heatmap(np.full((3, 3), 0.0123))).data[0]
    assert set(numbers(small.text).ravel()) == {"0.012"}, "small weights get one more digit"
    assert kernel_heatmap(np.ones((11, 11))).data[0].text is None


def test_singular_values_are_drawn_in_order_on_a_logarithmic_axis() -> None:
    spectra = [
        Spectrum("attack", np.array([2.0, 1.0, 0.5]), "poisoned"),
        Spectrum("mean", np.array([1.0, 1e-3, 0.0]), "defended", "dash"),
        Spectrum("largest", np.array([1.5, 1.4]), "clean", complete=False),
    ]
    figure = checked(singular_value_curves(spectra, 3))
    assert figure.layout.yaxis.type == "log"
    assert [trace.name for trace in figure.data] == ["attack", "mean", "largest"]
    assert [trace.mode for trace in figure.data] == ["lines", "lines", "markers"]
    assert np.allclose(numbers(figure.data[0].y), [2, 1, 0.5])
    low, high = (10.0**end for end in figure.layout.yaxis.range)
    assert low < 1e-4
    assert high > 2
    assert 0 < numbers(figure.data[1].y)[2] < low, "a value that vanishes leaves the picture, and the axis stays finite"
    assert figure.data[0].line.color == ROLE_COLOURS["poisoned"]
    with pytest.raises(DataError, match="at least one operator"):
        singular_value_curves([], 3)


@pytest.mark.parametrize("size", [6, 7, 8])
def test_frequency_zero_is_at_zero(size: int) -> None:
    response = frequency_response(KERNELS[0], size, size)
    figure = checked(frequency_responses([Response("a", response, 2.0), Response("b", response / 2, 2.0)]))
    for trace, values in zip(figure.data, (response, response / 2), strict=True):
        assert np.allclose(numbers(trace.z), values)
        assert np.allclose(trace.x0 + trace.dx * np.arange(size), frequencies(size))
        assert (trace.zmin, trace.zmax) == (0, 2)
    assert figure.layout.xaxis.title.text == "across (cycles/pixel)"
    first, second = figure.layout.xaxis.domain, figure.layout.xaxis2.domain
    assert first[1] < second[0], "the panels share no space"
    with pytest.raises(DataError, match="one to three"):
        frequency_responses([])
    with pytest.raises(DataError, match="all of one shape"):
        frequency_responses([Response("a", response, 1.0), Response("b", response[:-1], 1.0)])
