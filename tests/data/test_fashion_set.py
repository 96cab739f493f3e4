"""The shipped photographs: counts, what a seed decides, and pixels that are still those that were published."""

import gzip
import hashlib
import json

import pytest
import torch

from ued_core.context import Context
from ued_core.data.fashion import CLASS_NAMES, FILES, GROUND, Fashion, framed
from ued_core.data.idx_set import read_idx
from ued_core.errors import ParameterError


def test_sizes_classes_and_colours():
    split = Fashion().load(Context())
    assert split.train.images.shape == (5000, 3, 32, 32)
    assert split.test.images.shape == (1000, 3, 32, 32)
    assert split.train.class_names == CLASS_NAMES
    assert torch.bincount(split.train.labels).tolist() == [500] * 10
    assert torch.bincount(split.test.labels).tolist() == [100] * 10
    assert (split.train.images[:, 0] == split.train.images[:, 2]).all(), "grey"


def test_all_that_ships_can_be_asked_for_and_is_of_equal_classes():
    split = Fashion(train_size=10_000, test_size=2_000).load(Context())
    assert torch.bincount(split.train.labels).tolist() == [1000] * 10
    assert torch.bincount(split.test.labels).tolist() == [200] * 10
    with pytest.raises(ParameterError, match="train_size"):
        Fashion(train_size=10_010)


def test_a_seed_decides_which_images_and_nothing_else_does():
    one, again = Fashion(seed=3).load(Context(seed=1)), Fashion(seed=3).load(Context(seed=9))
    other = Fashion(seed=4).load(Context())
    assert torch.equal(one.train.images, again.train.images)
    assert torch.equal(one.test.images, again.test.images)
    assert not torch.equal(one.train.images, other.train.images)
    assert not torch.equal(one.test.images, other.test.images)


def test_levels_and_border_by_hand():
    grey = torch.zeros(1, 28, 28, dtype=torch.uint8)
    grey[0, 0, 0], grey[0, 27, 5] = 255, 100
    image = framed(grey)[0]
    assert image[:, 2, 2].tolist() == [255] * 3
    # 16 + 100 · 239 / 255 = 109.7
    assert image[:, 29, 7].tolist() == [110] * 3
    assert image.to(torch.int64).sum() == 3 * (255 + 110 + (32 * 32 - 2) * GROUND)


def test_no_image_is_in_both_parts_and_the_ground_leaves_room_below():
    split = Fashion(train_size=10_000, test_size=2_000).load(Context())
    assert split.train.images.min() == split.test.images.min() == GROUND
    seen = {image.numpy().tobytes() for image in split.train.images[:, 0]}
    assert not any(image.numpy().tobytes() in seen for image in split.test.images[:, 0])


def test_the_files_are_those_of_the_card():
    card = json.loads((FILES / "card.json").read_text())
    for name, known in card["sha256"].items():
        assert hashlib.sha256((FILES / name).read_bytes()).hexdigest() == known
    assert "Copyright © 2017 Zalando SE" in (FILES / "LICENSE").read_text(encoding="utf-8")


def test_the_packed_files_are_in_the_official_format():
    """Another reader than ours: 16 bytes of head, then the pixels in rows."""
    raw = gzip.decompress((FILES / "train-images-idx3-ubyte.gz").read_bytes())
    assert raw[:16] == bytes([0, 0, 8, 3, 0, 0, 39, 16, 0, 0, 0, 28, 0, 0, 0, 28])
    assert raw[16:] == read_idx(FILES / "train-images-idx3-ubyte.gz", 3).tobytes()
