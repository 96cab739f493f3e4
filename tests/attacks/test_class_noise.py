"""Class-wise noise: one uniform pattern per class, and adding with clipping and rounding by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ued_core.attacks import ClassNoise
from ued_core.attacks import base as additive
from ued_core.attacks.base import add_in_blocks, row_normals
from ued_core.class_numbers import read_classes, write_classes
from ued_core.context import Context
from ued_core.errors import ParameterError
from ued_core.records import ImageSet


def grey(count: int, classes: int, value: int = 128, shape: tuple[int, int, int] = (3, 16, 16)) -> ImageSet:
    images = torch.full((count, *shape), value, dtype=torch.uint8)
    return ImageSet(images, torch.arange(count) % classes, tuple("abcdefgh"[:classes]), "grey")


def test_one_pattern_a_class():
    poisoned = ClassNoise().poison(grey(40, 4), Context(seed=2))
    patterns = {d.numpy().tobytes() for d in poisoned.delta}
    assert len(patterns) == 4
    assert torch.equal(poisoned.delta[1], poisoned.delta[5])


def test_values_are_uniform():
    table = ClassNoise(epsilon=8).table(10, (3, 32, 32), seed=0)
    assert float(table.abs().max()) <= 8
    counts = np.histogram(table.numpy(), bins=16, range=(-8, 8))[0]
    expected = table.numel() / 16
    # Chi-square of 15 degrees of freedom; 99.99 % of uniform samples stay below 44.
    assert ((counts - expected) ** 2 / expected).sum() < 44
    correlation = np.corrcoef(table.flatten(1).numpy())
    assert np.abs(correlation - np.eye(10)).max() < 5 / 3072**0.5


@pytest.mark.parametrize("compiler", [True, False])
def test_add_clip_round_by_hand(compiler: bool, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(additive, "has_compiler", lambda: compiler)
    images = torch.tensor([[[[0, 10, 250, 255]]], [[[7, 7, 7, 7]]], [[[100, 100, 100, 100]]]], dtype=torch.uint8)
    change = {0: [-3.2, 1.6, 7.0, -0.4], 2: [0.5, 1.5, -0.5, -1.4]}
    rows = torch.tensor([2, 0])

    def delta(own: torch.Tensor) -> torch.Tensor:
        return torch.tensor([[[change[int(row)]]] for row in own])

    nearest = add_in_blocks(images, rows, delta, "nearest", Context())
    assert nearest.flatten(1).tolist() == [[100, 102, 100, 99], [0, 12, 255, 255]]
    cut = add_in_blocks(images, rows, delta, "truncate", Context())
    assert cut.flatten(1).tolist() == [[100, 101, 99, 98], [0, 11, 255, 254]]


def test_compiled_and_tensor_paths_agree(monkeypatch: pytest.MonkeyPatch):
    rng = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (700, 3, 9, 7), generator=rng, dtype=torch.uint8)
    noise = torch.randn((700, 3, 9, 7), generator=rng) * 40
    rows = torch.randperm(700, generator=rng)[:500]
    for rounding in ("nearest", "truncate"):
        made = []
        for compiler in (True, False):
            monkeypatch.setattr(additive, "has_compiler", lambda found=compiler: found)
            made.append(add_in_blocks(images, rows, lambda own: noise[own], rounding, Context()))
        assert torch.equal(*made)


def test_random_numbers_belong_to_rows():
    whole = row_normals(torch.arange(1000), 50, Context(seed=1), "x")
    rows = torch.tensor([999, 0, 256, 255, 0])
    assert torch.equal(row_normals(rows, 50, Context(seed=1), "x"), whole[rows])
    assert not torch.equal(row_normals(rows, 50, Context(seed=1), "y"), whole[rows])
    assert abs(float(whole.mean())) < 4 / 50_000**0.5
    assert abs(float(whole.std()) - 1) < 4 / 100_000**0.5
    assert np.abs(np.corrcoef(whole[:20].numpy()) - np.eye(20)).max() < 0.7, (
        "neighbouring rows or blocks share their draws"
    )
    assert not torch.equal(whole[0], whole[256])


@pytest.mark.parametrize(
    ("text", "numbers"),
    [("", None), (" ", None), ("3", (3,)), ("0, 3, 5-7", (0, 3, 5, 6, 7)), ("5 1,1", (1, 5)), ("2-2", (2,))],
)
def test_classes_as_people_write_them(text: str, numbers: tuple[int, ...] | None):
    assert read_classes(text) == numbers
    assert read_classes(write_classes(numbers)) == numbers


@pytest.mark.parametrize("text", ["a", "1-", "-2", "3-1", "1.5", "0-9999999", "²"])
def test_classes_that_make_no_sense(text: str):
    with pytest.raises(ParameterError, match="is no class number"):
        read_classes(text)
