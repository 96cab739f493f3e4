"""The stratified split: shares, disjointness, and classes that must be in both parts."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ued_core.data.base import stratified_split


def split(labels, test_size, seed=0):
    return stratified_split(np.array(labels), test_size, torch.Generator().manual_seed(seed))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(2, 30), min_size=2, max_size=8), st.floats(0.05, 0.5), st.integers(0, 5))
def test_shares_differ_by_less_than_one_from_the_exact_ones_or_keep_one(counts, rate, seed):
    labels = np.repeat(np.arange(len(counts)), counts)
    wanted = max(len(counts), round(rate * len(labels)))
    train, test = split(labels, wanted, seed)
    assert sorted([*train, *test]) == list(range(len(labels)))
    for label, count in enumerate(counts):
        here = int((labels[test] == label).sum())
        assert 1 <= here <= count - 1
        assert abs(here - count * wanted / len(labels)) < 1 or here in (1, count - 1)


def test_equal_classes_are_divided_exactly():
    train, test = split([0] * 10 + [1] * 10, 8)
    assert len(train) == 12
    assert len(test) == 8
    assert (np.array([0] * 10 + [1] * 10)[test] == 0).sum() == 4


def test_seeds_differ():
    assert split([0] * 50 + [1] * 50, 20, 0)[1].tolist() != split([0] * 50 + [1] * 50, 20, 1)[1].tolist()


@pytest.mark.parametrize("test_size", [3, 4])
def test_the_wanted_size_is_met(test_size):
    assert len(split([0] * 7 + [1] * 6 + [2] * 5, test_size)[1]) == test_size
