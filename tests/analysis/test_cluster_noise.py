"""Noise read off published images: exact where it shows, unknown where it is cut, and no silence about wrong
clusters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ued_core.analysis.cluster_noise import noise_maps
from ued_core.errors import DataError


def published(clean: np.ndarray, noise: np.ndarray, assignment: np.ndarray) -> np.ndarray:
    return np.clip(clean.astype(np.int16) + noise[assignment], 0, 255).astype(np.uint8)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_noise_is_found_wherever_an_image_shows_it(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    clean = rng.integers(0, 256, (12, 3, 4, 5), dtype=np.uint8)
    noise = rng.integers(-16, 17, (count, 3, 4, 5), dtype=np.int16)
    assignment = rng.integers(0, count, 12)
    made = published(clean, noise, assignment)
    found = noise_maps(clean, made, assignment, count)
    assert found.held == 1
    assert np.array_equal(found.maps[found.known], noise[found.known])
    assert not found.maps[~found.known].any()
    shows = np.zeros(noise.shape, bool)
    for row, cluster in enumerate(assignment):
        shows[cluster] |= (made[row] > 0) & (made[row] < 255)
    assert np.array_equal(found.known, shows)


def test_values_that_are_cut_in_every_image_are_unknown() -> None:
    clean = np.full((3, 1, 2, 2), 128, np.uint8)
    clean[:, 0, 0, 0] = 0
    noise = np.full((1, 1, 2, 2), -9, np.int16)
    found = noise_maps(clean, published(clean, noise, np.zeros(3, int)), np.zeros(3, int), 1)
    assert found.known[0, 0].tolist() == [[False, True], [True, True]]
    assert found.maps[0, 0].tolist() == [[0, -9], [-9, -9]]
    assert found.held == 1


def test_one_image_that_is_not_cut_is_enough() -> None:
    clean = np.array([3, 250, 100], np.uint8).reshape(3, 1, 1, 1)
    for level in (-16, 16):
        made = published(clean, np.array([[[[level]]]], np.int16), np.zeros(3, int))
        assert noise_maps(clean, made, np.zeros(3, int), 1).maps.item() == level


def test_wrong_clusters_are_told() -> None:
    rng = np.random.default_rng(0)
    clean = rng.integers(40, 200, (20, 3, 4, 4), dtype=np.uint8)
    noise = rng.integers(-16, 17, (2, 3, 4, 4), dtype=np.int16)
    assignment = np.arange(20) % 2
    made = published(clean, noise, assignment)
    wrong = assignment.copy()
    wrong[:2] = wrong[:2][::-1]
    assert noise_maps(clean, made, wrong, 2).held < 0.5


def test_rounding_by_a_level_is_no_other_noise() -> None:
    clean = np.full((2, 1, 2, 2), 100, np.uint8)
    made = np.full((2, 1, 2, 2), 105, np.uint8)
    made[1, 0, 0, 0] = 106
    assert noise_maps(clean, made, np.zeros(2, int), 1).held == 1
    made[1, 0, 0, 0] = 107
    assert noise_maps(clean, made, np.zeros(2, int), 1).held == 0.5


def test_a_cluster_without_images_has_no_noise() -> None:
    clean = np.full((2, 1, 2, 2), 100, np.uint8)
    found = noise_maps(clean, clean + 5, np.array([1, 1]), 3)
    assert found.known.any((1, 2, 3)).tolist() == [False, True, False]
    assert not found.maps[[0, 2]].any()


def test_what_does_not_belong_together_is_refused() -> None:
    clean = np.zeros((2, 1, 2, 2), np.uint8)
    for arguments in (
        (clean, clean[:1], np.zeros(2, int)),
        (clean, clean, np.zeros(3, int)),
        (clean[:0], clean[:0], np.zeros(0, int)),
    ):
        with pytest.raises(DataError, match="row by row"):
            noise_maps(*arguments, 1)
