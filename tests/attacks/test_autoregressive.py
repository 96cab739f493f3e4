"""AR: the recurrence against a loop, the search's rules, and noise that no linear classifier reads."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from ued_core.attacks import Autoregressive, autoregressive
from ued_core.attacks.autoregressive import DROPPED, least_response, processes, response, search, start_length
from ued_core.context import Context
from ued_core.errors import DataError
from ued_core.records import ImageSet


def image_set(count: int = 40, classes: int = 4, shape: tuple[int, int, int] = (3, 16, 16)) -> ImageSet:
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, *shape), generator=draw, dtype=torch.uint8)
    return ImageSet(images, torch.arange(count) % classes, tuple("abcdefghij"[:classes]), "random")


def by_loop(weights: np.ndarray, start: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """One process from the definition, float64 (H, W)."""
    height, width = size[0] + DROPPED, size[1] + DROPPED
    plane = np.zeros((height, width))
    plane[0], plane[1] = start[:width], start[width : 2 * width]
    for y in range(2, height):
        plane[y, :2] = start[2 * width + 2 * (y - 2) :][:2]
    kernel = weights.copy()
    kernel[2, 2] = 0
    for y in range(height - 2):
        for x in range(width - 2):
            plane[y + 2, x + 2] = (kernel * plane[y : y + 3, x : x + 3]).sum()
    return plane[DROPPED:, DROPPED:]


@pytest.mark.parametrize("compiler", [True, False])
def test_all_at_once_equals_one_at_a_time(compiler: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(autoregressive, "has_compiler", lambda: compiler)
    rng = np.random.default_rng(0)
    weights = search(4, (3, 7, 10), 0).reshape(-1, 3, 3)
    starts = rng.standard_normal((12, start_length(7, 10)))
    made = processes(weights, starts, (7, 10))
    assert made.shape == (12, 7, 10)
    for one, own, start in zip(made, weights, starts, strict=True):
        assert np.allclose(one, by_loop(own, start, (7, 10)), atol=1e-12)


def test_a_process_by_hand():
    """Weight 1 on the left neighbour alone repeats each row's second start value; on the upper one, the second row."""
    left, up = np.zeros((2, 3, 3))
    left[2, 1] = up[1, 2] = 1
    start = np.arange(start_length(2, 3), dtype=float)
    # Rows 0 and 1 are 0..6 and 7..13; rows 2 to 5 begin with (14, 15), (16, 17), (18, 19), (20, 21).
    made = processes(np.stack([left, up]), np.stack([start, start]), (2, 3))
    assert made.tolist() == [[[19.0] * 3, [21.0] * 3], [[11.0, 12.0, 13.0]] * 2]


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 12, 20)])
def test_noise_obeys_its_rule_and_has_its_length(shape: tuple[int, int, int]):
    data = image_set(60, 4, shape)
    attack = Autoregressive()
    weights = attack.coefficients(4, data.shape, 3)
    delta = attack.delta(data, torch.arange(60), Context(seed=3)).double().numpy() / 255
    assert np.linalg.norm(delta.reshape(60, -1), axis=1) == pytest.approx(np.ones(60), abs=1e-5)
    for one, label in zip(delta, data.labels.tolist(), strict=True):
        rest = -one[:, 2:, 2:]
        for (row, column), _ in np.ndenumerate(np.zeros((3, 3))):
            if (row, column) != (2, 2):
                factor = weights[label, :, row, column, None, None]
                rest = rest + factor * one[:, row : row + rest.shape[1], column : column + rest.shape[2]]
        assert np.abs(rest).max() < 1e-6
    largest = Autoregressive(norm="linf").delta(data, torch.arange(60), Context(seed=3)).flatten(1).abs().amax(1)
    assert torch.allclose(largest, torch.tensor(8.0))


def test_coefficients_keep_the_rules():
    weights = search(10, (3, 32, 32), 5)
    assert weights.shape == (10, 3, 3, 3)
    assert (weights[:, :, 2, 2] == 0).all()
    assert weights.sum((2, 3)) == pytest.approx(np.ones((10, 3)))
    assert np.isfinite(weights).all()
    assert len({w.tobytes() for w in weights}) == 10
    assert np.array_equal(search.__wrapped__(10, (3, 32, 32), 5), weights)
    assert not np.array_equal(search(10, (3, 32, 32), 6), weights)
    data = image_set(200, 10, (3, 32, 32))
    noise = Autoregressive().delta(data, torch.arange(200), Context(seed=5)).double().numpy() / 255
    answers = np.stack([response(own, noise) for own in weights])
    mean = np.stack([answers[:, data.labels.numpy() == k].mean(1) for k in range(10)], axis=1)
    assert np.diag(mean) == pytest.approx(np.zeros(10), abs=1e-4)
    # The floor was asked of three samples; means of fresh noise lie near it or above.
    assert mean[~np.eye(10, dtype=bool)].min() > 0.5 * least_response(10, (3, 32, 32))
    assert least_response(10, (3, 32, 32)) == 10


def test_divergent_processes_are_recognised_and_never_used():
    wild = np.zeros((1, 3, 3))
    wild[0, 2, 1], wild[0, 1, 2] = 2.0, -1.0
    assert np.abs(processes(wild, np.ones((1, start_length(32, 32))) + np.arange(136 + 4), (32, 32))).max() > 1e6
    rng = np.random.default_rng(1)
    for weights in search(10, (3, 32, 32), 0):
        starts = rng.standard_normal((60, start_length(32, 32)))
        noise = processes(np.tile(weights, (20, 1, 1)), starts, (32, 32))
        assert np.isfinite(noise).all()
        assert np.abs(noise).max() < 20, "three samples stayed below 5; no other one explodes"


def test_images_of_a_class_differ_and_no_line_separates_the_classes():
    data = image_set(1200, 10, (3, 16, 16))
    delta = Autoregressive().delta(data, torch.arange(1200), Context(seed=0)).flatten(1).numpy()
    assert len({one.tobytes() for one in delta}) == 1200
    labels = data.labels.numpy()
    score = (
        LinearDiscriminantAnalysis(solver="lsqr", shrinkage=0.1)
        .fit(delta[:900], labels[:900])
        .score(delta[900:], labels[900:])
    )
    assert score < 0.6


def test_images_smaller_than_a_filter():
    with pytest.raises(DataError, match="at least 3×3"):
        Autoregressive().poison(image_set(4, 2, (1, 2, 8)), Context())
