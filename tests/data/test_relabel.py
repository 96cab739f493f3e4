"""Labels of the hacker's own: both maps by hand, on images that stay."""

from __future__ import annotations

import pytest
import torch

from ued_core.data.relabel import RELABELLINGS, Blocks, Modulo
from ued_core.errors import ParameterError
from ued_core.params import Method
from ued_core.records import ImageSet


def ten(count: int = 20) -> ImageSet:
    images = torch.arange(count, dtype=torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 2, 2).contiguous()
    return ImageSet(images, torch.arange(count) % 10, tuple("abcdefghij"), "ten")


@pytest.mark.parametrize(
    ("rule", "classes", "expected"),
    [
        (Modulo, 5, [0, 1, 2, 3, 4, 0, 1, 2, 3, 4]),
        (Blocks, 5, [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]),
        (Modulo, 2, [0, 1, 0, 1, 0, 1, 0, 1, 0, 1]),
        (Blocks, 2, [0, 0, 0, 0, 0, 1, 1, 1, 1, 1]),
        (Modulo, 3, [0, 1, 2, 0, 1, 2, 0, 1, 2, 0]),
        # ⌊y·3/10⌋: 0, 0.3, 0.6, 0.9 | 1.2, 1.5, 1.8 | 2.1, 2.4, 2.7.
        (Blocks, 3, [0, 0, 0, 0, 1, 1, 1, 2, 2, 2]),
        (Modulo, 10, list(range(10))),
        (Blocks, 10, list(range(10))),
    ],
)
def test_maps_by_hand(rule: type[Method], classes: int, expected: list[int]) -> None:
    data = ten()
    made = rule(classes=classes).apply(data)
    assert made.labels.tolist() == expected * 2
    assert made.images is data.images
    assert made.classes == classes
    assert data.labels.tolist() == list(range(10)) * 2, "the set that was given was changed"


def test_names_say_what_was_united() -> None:
    assert Modulo(classes=5).apply(ten()).class_names == ("a/f", "b/g", "c/h", "d/i", "e/j")
    assert Blocks(classes=3).apply(ten()).class_names == ("a/b/c/d", "e/f/g", "h/i/j")
    long = ImageSet(ten().images, ten().labels, tuple(f"class number {k}" for k in range(10)), "long")
    assert Blocks(classes=2).apply(long).class_names == ("class number 0 +4", "class number 5 +4")


def test_more_classes_than_there_are() -> None:
    with pytest.raises(ParameterError, match="classes is 11, but 'ten' has 10"):
        Modulo(classes=11).apply(ten())
    for wrong in (1, 2.5, "two"):
        with pytest.raises(ParameterError, match="whole number from 2"):
            RELABELLINGS.parse({"name": "blocks", "classes": wrong})
