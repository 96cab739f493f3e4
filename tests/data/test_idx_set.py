"""IDX files, as MNIST and its relatives are published."""

import gzip
import struct

import numpy as np
import pytest
import torch

from ued_core.context import Context
from ued_core.data.idx_set import Idx, read_idx
from ued_core.errors import DataError

RNG = np.random.default_rng(0)


def idx(array):
    return struct.pack(f">2xBB{array.ndim}I", 8, array.ndim, *array.shape) + array.tobytes()


def publish(folder, packed=False, prefix="", parts=("train", "t10k"), dot="-"):
    folder.mkdir(exist_ok=True)
    made = {}
    for part, count in zip(("train", "t10k"), (20, 6), strict=True):
        made[part] = RNG.integers(0, 256, (count, 28, 28), dtype=np.uint8), (np.arange(count) % 2).astype(np.uint8)
        for what, array in zip((f"images{dot}idx3", f"labels{dot}idx1"), made[part], strict=True):
            if part in parts:
                path = folder / f"{prefix}{part}-{what}-ubyte{'.gz' * packed}"
                path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    return made


def load(path, **values):
    return Idx(path=str(path), **values).load(Context())


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("given", ["", "train-images-idx3-ubyte", "t10k-labels-idx1-ubyte"])
def test_as_published(tmp_path, packed, given):
    made = publish(tmp_path / "m", packed)
    split = load(tmp_path / "m" / (given + ".gz" * packed if given else ""))
    for part, found in (("train", split.train), ("t10k", split.test)):
        assert np.array_equal(found.images[:, 1].numpy(), made[part][0])
        assert found.labels.tolist() == made[part][1].tolist()
    assert "Converted 26: grey → RGB." in split.notes
    assert not Idx(path="x").mirror_safe, "a mirrored digit is another one"


def test_other_names(tmp_path):
    made = publish(tmp_path / "raw", dot=".")
    assert np.array_equal(load(tmp_path).train.images[:, 0].numpy(), made["train"][0]), "the folder of torchvision"
    publish(tmp_path / "e", prefix="emnist-letters-")
    assert len(load(tmp_path / "e").test) == 6
    publish(tmp_path / "e", prefix="emnist-digits-")
    with pytest.raises(DataError, match=r"several data sets: emnist-digits-, emnist-letters-\. Give one"):
        load(tmp_path / "e")
    assert len(load(tmp_path / "e" / "emnist-digits-train-images-idx3-ubyte").train) == 20


def test_one_part_is_divided_and_resized(tmp_path):
    publish(tmp_path / "m", parts=("train",))
    split = load(tmp_path / "m", size=16, test_rate=0.2)
    assert (len(split.train), len(split.test), split.test.shape) == (16, 4, (3, 16, 16))
    assert torch.bincount(split.test.labels).tolist() == [2, 2]


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda data: data[:-5], "damaged or cut off"),
        (lambda data: data + b"x", "longer than its header says"),
        (lambda data: b"", "no IDX file"),
        (lambda data: b"hello" * 100, "no IDX file"),
        (lambda data: data[:2] + b"\x0d" + data[3:], "no IDX file of bytes"),
        (lambda data: data[:4] + struct.pack(">3I", 2**32 - 1, 2**16, 2**16) + data[16:], "at most 2 GiB"),
        (lambda data: data[:4] + struct.pack(">3I", 60000, 28, 28) + data[16:], "damaged or cut off"),
        (lambda data: data[:4] + struct.pack(">3I", 0, 28, 28), "0 images, but"),
        (lambda data: data[:4] + struct.pack(">3I", 20, 0, 28), "has no images"),
    ],
)
def test_damaged_files(tmp_path, packed, change, words):
    publish(tmp_path / "m", packed)
    path = tmp_path / "m" / f"train-images-idx3-ubyte{'.gz' * packed}"
    whole = gzip.decompress(path.read_bytes()) if packed else path.read_bytes()
    path.write_bytes(gzip.compress(change(whole)) if packed else change(whole))
    with pytest.raises(DataError, match=words):
        load(tmp_path / "m")


def test_a_cut_archive_and_missing_files(tmp_path):
    publish(tmp_path / "m", packed=True)
    path = tmp_path / "m" / "train-labels-idx1-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match="damaged or cut off"):
        read_idx(path, 1)
    path.unlink()
    with pytest.raises(DataError, match="labels that belong to train-images-idx3-ubyte.gz are not in"):
        load(tmp_path / "m")
    for text, words in (
        ("", "No file is given"),
        ("none", "There is no file"),
        ("m/x.txt", "not have the name of an IDX file"),
    ):
        (tmp_path / "m" / "x.txt").write_text("x")
        with pytest.raises(DataError, match=words):
            Idx(path=str(tmp_path / text) if text else "").load(Context())
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no IDX files"):
        load(tmp_path / "empty")


def test_a_test_part_alone_is_said(tmp_path):
    publish(tmp_path / "m", parts=("t10k",))
    assert any("is a test part; there is no training part beside it" in note for note in load(tmp_path / "m").notes)
