"""Figures of the perturbation room: they hold the numbers they were given, are valid, and stay small."""

from __future__ import annotations

import base64

import numpy as np
import plotly.graph_objects as go
import pytest

from ued_core.analysis.edge_detector import roc
from ued_core.analysis.perturbation import Distortion
from ued_core.analysis.separability import Fit, Separability
from ued_core.errors import DataError
from ued_core.figures import perturbation as figures
from ued_core.figures.theme import ROLE_COLOURS

RNG = np.random.default_rng(0)
NAMES = [f"class {k}" for k in range(10)]


def valid(figure: go.Figure) -> go.Figure:
    """The figure, built once more with Plotly's checks on, and small enough to send."""
    assert len(figure.to_json(validate=False)) < 600_000
    return go.Figure(figure.to_dict())


def numbers(values: object) -> np.ndarray:
    if isinstance(values, dict):
        shape = [int(n) for n in values.get("shape", "-1").split(",")]
        return np.frombuffer(base64.b64decode(values["bdata"]), values["dtype"]).reshape(shape).astype(np.float64)
    return np.asarray(values, dtype=np.float64)


# ---------------------------------------------------------------- tiles of means


def test_mean_tiles_are_grey_at_zero_and_signed() -> None:
    means = np.zeros((2, 3, 4, 4))
    means[0], means[1] = 10, -10
    means[1] = -20
    tiles, gains = figures.mean_tiles(means)
    assert gains.tolist() == [8, 4], "each pattern fills its own tile"
    assert np.unique(tiles[0]).tolist() == [208]
    assert np.unique(tiles[1]).tolist() == [48]
    grey, gains = figures.mean_tiles(np.zeros((1, 1, 2, 2)))
    assert (np.unique(grey).tolist(), gains.tolist()) == ([128], [256])
    assert figures.mean_tiles(np.full((1, 1, 2, 2), 200.0))[1].tolist() == [0.5]


# ---------------------------------------------------------------- sizes


def test_histograms_count_every_image_and_mark_the_median() -> None:
    psnr = np.where(np.arange(50) < 5, np.inf, RNG.uniform(10, 40, 50))
    found = Distortion(
        RNG.integers(1, 90, 50).astype(float), RNG.uniform(0, 5, 50), RNG.uniform(0, 1, 50), psnr, RNG.uniform(0, 1, 50)
    )
    figure = valid(figures.distortion_histograms(found))
    assert [int(numbers(t.y).sum()) for t in figure.data] == [50, 50, 45, 50]
    first = figure.data[0]
    assert np.dot(numbers(first.x), numbers(first.y)) / 50 == pytest.approx(found.linf.mean(), abs=first.width / 2)
    marks = [s.x0 for s in figure.layout.shapes if s.xref == "x"]
    assert marks == [np.median(found.linf), 8]
    assert figure.layout.xaxis.title.text == "L∞ (1/255)"


def test_histograms_of_nothing_changed() -> None:
    zero, one = np.zeros(4), np.ones(4)
    figure = valid(figures.distortion_histograms(Distortion(zero, zero, zero, np.full(4, np.inf), one)))
    assert [t.name for t in figure.data] == ["L∞", "L2", "SSIM"]
    assert [int(numbers(t.y).sum()) for t in figure.data] == [4, 4, 4]


# ---------------------------------------------------------------- frequency


def test_spectra_put_every_map_in_its_place() -> None:
    first, second = RNG.uniform(1e-6, 1, (2, 3, 8, 6))
    figure = valid(figures.spectra([("clean", first), ("poisoned", second)], NAMES[:3]))
    canvas = numbers(figure.data[0].z)
    assert canvas.shape == (18, 22)
    assert np.allclose(canvas[:8, 8:14], np.log10(first[1]), atol=1e-5)
    assert np.allclose(canvas[10:, 16:], np.log10(second[2]), atol=1e-5)
    assert np.isnan(canvas[8:10]).all()
    assert np.isnan(canvas[:, 6:8]).all()
    assert [a.text for a in figure.layout.annotations] == [*NAMES[:3], "clean", "poisoned"]


def test_large_and_many_spectra_are_made_small() -> None:
    figure = valid(figures.spectra([("clean", RNG.uniform(0, 1, (20, 224, 224)))] * 2, [str(k) for k in range(20)]))
    assert numbers(figure.data[0].z).shape == (2 * (44 + 2) - 2, 10 * (44 + 2) - 2)


def test_shrinking_takes_means_of_blocks() -> None:
    power = np.full((1, 96, 96), 1e-3)
    power[0, :2, :2] = [[1, 1e-2], [1e-4, 1e-6]]
    canvas = numbers(figures.spectra([("", power)], ["a"]).data[0].z)
    assert canvas.shape == (48, 48)
    assert canvas[0, 0] == pytest.approx(-3, abs=1e-5)


def test_unequal_spectra_are_refused() -> None:
    with pytest.raises(DataError, match="equal shape"):
        figures.spectra([("a", np.ones((2, 8, 8))), ("b", np.ones((3, 8, 8)))], NAMES)
    with pytest.raises(DataError, match="at least one"):
        figures.spectra([], NAMES)


def test_radial_curves() -> None:
    frequencies = np.linspace(0, 0.7, 23)
    rows, clean = RNG.uniform(1e-8, 1, (12, 23)), RNG.uniform(1e-8, 1, 23)
    figure = valid(
        figures.radial_curves(frequencies, {"clean": clean, "poisoned": clean / 2}, rows, [str(k) for k in range(12)])
    )
    named = [t.name for t in figure.data if t.showlegend is not False]
    assert named == ["perturbations of the classes", "clean images", "poisoned images"]
    band = numbers(figure.data[0].y)
    assert np.allclose(band, [*rows[:10].max(0), *rows[:10].min(0)[::-1]])
    assert [t.name for t in figure.data[1:11]] == [f"δ {k}" for k in range(10)], "each is found by pointing at it"
    assert np.allclose(numbers(figure.data[4].y), rows[3])
    assert np.allclose(numbers(figure.data[-1].y), clean / 2)
    assert figure.layout.yaxis.type == "log"
    drawn = np.concatenate([rows[:10].ravel(), clean / 2, clean])
    assert figure.layout.yaxis.range[0] < np.log10(drawn.min()) < np.log10(drawn.max()) < figure.layout.yaxis.range[1]
    silent = valid(figures.radial_curves(frequencies, {}, np.zeros((1, 23)), ["a"]))
    assert np.isfinite(numbers(silent.layout.yaxis.range)).all()


# ---------------------------------------------------------------- border and detectors


def test_border_profile() -> None:
    figure = valid(figures.border_profile(np.arange(4), {"clean": np.full(4, 0.5), "control": np.arange(4) / 4}))
    assert [t.name for t in figure.data] == ["clean", "reflection padding"]
    assert numbers(figure.data[1].y).tolist() == [0, 0.25, 0.5, 0.75]
    assert figure.layout.xaxis.title.text == "distance from the border (px)"


def test_roc_curves_name_their_area_and_show_guessing() -> None:
    curve = roc(RNG.normal(1, 1, 4000), RNG.normal(0, 1, 4000))
    figure = valid(figures.roc_curves([("border score", "poisoned", curve), ("EPD", "clean", curve)]))
    assert [t.name for t in figure.data] == [
        "guessing: 0.500",
        f"border score: {curve.auc:.3f}",
        f"EPD: {curve.auc:.3f}",
    ]
    assert numbers(figure.data[0].x).tolist() == numbers(figure.data[0].y).tolist() == [0, 1]
    assert np.array_equal(numbers(figure.data[1].y), curve.hits)
    assert {t.line.color for t in figure.data[1:]} == {ROLE_COLOURS["poisoned"], ROLE_COLOURS["clean"]}


def test_separability_bars() -> None:
    found = Separability(Fit(0.64, 1.0), Fit(0.09, 1.0), Fit(0.17, 0.99), 0.1, 1000, 3072)
    figure = valid(figures.separability_bars(found))
    held, training = figure.data
    assert list(held.y) == [0.64, 0.09, 0.17]
    assert list(training.y) == [1.0, 1.0, 0.99]
    assert "no evidence" in training.name
    assert (figure.layout.shapes[0].y0, figure.layout.shapes[0].y1) == (0.1, 0.1)
    assert figure.layout.annotations[0].text == "chance 10 %"
