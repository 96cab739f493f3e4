"""The records: what is refused, what is derived, and the one function that rounds; files and compiled loops."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from ued_core.compiled import in_threads
from ued_core.errors import DataError
from ued_core.files import write_atomic, write_json
from ued_core.home import home
from ued_core.records import (
    DataSplit,
    Embedding,
    History,
    ImageSet,
    PoisonedSet,
    balanced_rows,
    round_levels,
    to_bytes,
    to_float,
)


def image_set(count: int = 6, classes: int = 3, shape: tuple[int, int, int] = (3, 4, 5)) -> ImageSet:
    images = torch.randint(0, 256, (count, *shape), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return ImageSet(images, torch.arange(count) % classes, tuple("abc"[:classes]), "six")


# ---------------------------------------------------------------- bytes and floats


def test_every_byte_survives() -> None:
    every = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_bytes(to_float(every)), every)
    assert to_float(every).dtype == torch.float32
    assert (float(to_float(every)[0]), float(to_float(every)[255])) == (0.0, 1.0)


def test_rounding_by_hand() -> None:
    values = torch.tensor([-0.2, 0.0, 0.5 / 255 + 1e-4, 0.9 / 255, 1.2 / 255, 0.999, 1.0, 1.7])
    assert to_bytes(values).tolist() == [0, 0, 1, 1, 1, 255, 255, 255]
    assert to_bytes(values, "truncate").tolist() == [0, 0, 0, 0, 1, 254, 255, 255]


def test_rounding_leaves_its_input() -> None:
    values = torch.rand(10)
    before = values.clone()
    to_bytes(values)
    to_bytes(values, "truncate")
    assert torch.equal(values, before)
    every = torch.arange(256, dtype=torch.uint8)
    to_float(every)
    assert every.dtype == torch.uint8


# ---------------------------------------------------------------- image sets


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda i, t: (i.float(), t), "must be uint8 with shape"),
        (lambda i, t: (i[0], t), "must be uint8 with shape"),
        (lambda i, t: (i, t.int()), "must be int64 with shape"),
        (lambda i, t: (i, t[:-1]), "one per image"),
        (lambda i, t: (i[:0], t[:0]), "has no images"),
        (lambda i, t: (i, t + 1), "run from 1 to 3"),
        (lambda i, t: (i, t - 1), "run from -1 to 1"),
    ],
)
def test_bad_image_sets(change: Callable[..., tuple[torch.Tensor, torch.Tensor]], words: str) -> None:
    good = image_set()
    images, labels = change(good.images, good.labels)
    with pytest.raises(DataError, match=words) as caught:
        ImageSet(images, labels, good.class_names, "mine")
    assert "'mine'" in str(caught.value)


def test_take_and_with_images() -> None:
    data = image_set()
    some = data.take([4, 0])
    assert torch.equal(some.images, data.images[[4, 0]])
    assert some.labels.tolist() == [1, 0]
    assert torch.equal(data.take(np.array([4, 0])).images, some.images)
    other = data.with_images(255 - data.images, "negative")
    assert (other.name, other.labels is data.labels) == ("negative", True)
    assert (data.classes, data.shape, len(data)) == (3, (3, 4, 5), 6)


def test_content_hash_names_pixels_shape_and_labels() -> None:
    data = image_set()
    assert image_set().content_hash == data.content_hash
    pixel, label = data.images.clone(), data.labels.clone()
    pixel[3, 1, 2, 2] ^= 1
    label[3] = 1
    turned = data.images.reshape(6, 3, 5, 4)
    hashes = {
        data.content_hash,
        data.with_images(pixel).content_hash,
        ImageSet(data.images, label, data.class_names, "six").content_hash,
        data.with_images(turned).content_hash,
    }
    assert len(hashes) == 4
    assert data.with_images(data.images, "renamed").content_hash == data.content_hash
    strided = data.images.permute(0, 1, 3, 2).contiguous().permute(0, 1, 3, 2)
    assert data.with_images(strided).content_hash == data.content_hash


def test_split_parts_must_fit() -> None:
    with pytest.raises(DataError, match="differ in classes or image shape"):
        DataSplit(image_set(), image_set(shape=(3, 5, 5)))
    with pytest.raises(DataError, match="differ in classes"):
        DataSplit(image_set(), image_set(classes=2))


# ---------------------------------------------------------------- poisoned sets


def poisoned(images: torch.Tensor, touched: list[int]) -> PoisonedSet:
    mask = torch.zeros(6, dtype=torch.bool)
    mask[touched] = True
    return PoisonedSet(image_set(), images, mask, {"name": "cuda"}, 0)


def test_an_attack_cannot_change_what_it_says_it_left() -> None:
    changed = image_set().images.clone()
    changed[2] ^= 1
    assert poisoned(changed, [2, 3]).touched.sum() == 2
    with pytest.raises(DataError, match="says it did not touch"):
        poisoned(changed, [3])
    with pytest.raises(DataError, match="must agree"):
        poisoned(changed[:5], [2])
    with pytest.raises(DataError, match="must agree"):
        poisoned(changed.float(), [2])
    with pytest.raises(DataError, match="must be bool"):
        PoisonedSet(image_set(), changed, torch.zeros(6), {"name": "cuda"}, 0)


def test_delta_is_signed() -> None:
    clean = image_set()
    made = poisoned(255 - clean.images, list(range(6)))
    assert made.delta.dtype == torch.int16
    assert torch.equal(made.delta, 255 - 2 * clean.images.to(torch.int16))
    assert made.delta.min() < 0 < made.delta.max()
    training = made.as_training_set()
    assert (training.name, training.labels.tolist()) == ("six + cuda", clean.labels.tolist())
    assert torch.equal(training.images, 255 - clean.images)


# ---------------------------------------------------------------- history and embedding


def test_history() -> None:
    history = History()
    history.add({"epoch": 1, "loss": 2.0})
    history.add({"epoch": 2, "loss": 1.0, "extra": 5.0})
    assert history.column("loss").tolist() == [2.0, 1.0]
    assert np.isnan(history.column("extra")[0])
    for epoch in (1, 2):
        with pytest.raises(DataError, match="epochs must increase"):
            history.add({"epoch": epoch})


def test_embedding_lengths() -> None:
    points, rows, group = np.zeros((4, 2), np.float32), np.arange(4), np.array(["clean"] * 4)
    Embedding(points, rows, rows, group, "pca", "here")
    for bad in (
        (points[:3], rows, rows, group),
        (points, rows, rows[:2], group),
        (np.zeros((4, 3)), rows, rows, group),
    ):
        with pytest.raises(DataError, match=r"\(M, 2\) points"):
            Embedding(*bad, "pca", "here")


# ---------------------------------------------------------------- files, home, threads


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "x.json"
    write_json(path, {"a": 1})

    def half(temporary: Path) -> None:
        temporary.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_atomic(path, half)
    assert json.loads(path.read_text()) == {"a": 1}
    assert [p.name for p in path.parent.iterdir()] == ["x.json"]


def test_json_is_readable_and_not_escaped(tmp_path: Path) -> None:
    write_json(tmp_path / "x.json", {"α": [1, 2.5, None]})
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert "α" in text
    assert json.loads(text) == {"α": [1, 2.5, None]}


def test_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("UED_HOME", str(tmp_path / "a" / ".." / "b"))
    assert home() == tmp_path / "b"
    monkeypatch.delenv("UED_HOME")
    assert home() == Path(__file__).resolve().parents[1] / ".ued"


@pytest.mark.parametrize("count", [0, 1, 5, 64, 257])
def test_threads_cover_every_row_once(count: int) -> None:
    before = torch.get_num_threads()
    seen: list[int] = []
    try:
        torch.set_num_threads(2)
        in_threads(lambda start, stop: seen.extend(range(start, stop)), count, smallest=4)
    finally:
        torch.set_num_threads(before)
    assert sorted(seen) == list(range(count))


def test_an_error_in_a_thread_is_raised() -> None:
    def fail(start: int, stop: int) -> None:
        raise DataError("in a thread")

    with pytest.raises(DataError, match="in a thread"):
        in_threads(fail, 1000)


@pytest.mark.parametrize(
    ("rounding", "expected"), [("nearest", [0, 0, 1, 2, 255, 255]), ("truncate", [0, 0, 0, 2, 254, 255])]
)
def test_round_levels(rounding: str, expected: list[int]) -> None:
    levels = torch.tensor([-3.0, 0.4, 0.6, 2.3, 254.9, 270.0])
    assert round_levels(levels, rounding).tolist() == expected


def test_balanced_rows() -> None:
    labels = torch.tensor([0] * 20 + [1] * 3 + [2] * 20)
    rows = balanced_rows(labels, 5, 1)
    assert labels[rows].tolist() == [0] * 5 + [1] * 3 + [2] * 5
    assert len(set(rows.tolist())) == 13
    assert np.array_equal(rows, balanced_rows(labels, 5, 1))
    assert not np.array_equal(rows, balanced_rows(labels, 5, 2))
