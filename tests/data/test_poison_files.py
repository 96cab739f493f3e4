"""Poison files of other programs: every format written here by hand, detected, placed, and compared with its loader."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections import OrderedDict
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ued_core.context import Context
from ued_core.data import read_npz, read_npz_json
from ued_core.data.poison_files import (
    FORMATS,
    KINDS,
    RULES,
    Reading,
    compare,
    detect,
    export,
    keep_upload,
    load,
    recipe,
)
from ued_core.data.poison_files.pickles import read_pickle
from ued_core.errors import Cancelled, DataError, ParameterError, UnknownName
from ued_core.records import ImageSet, PoisonedSet

COUNT, CLASSES, SIDE = 40, 4, 8


@pytest.fixture
def data() -> ImageSet:
    """Clean images whose values stay away from 0 and 255, so that nothing but the rules shows."""
    images = np.random.default_rng(0).integers(60, 200, (COUNT, 3, SIDE, SIDE), dtype=np.uint8)
    return ImageSet(torch.from_numpy(images), torch.arange(COUNT) % CLASSES, tuple("abcd"), "small")


@pytest.fixture
def delta() -> np.ndarray:
    """Whole levels from −8 to 8, int8 (N, 3, S, S), both bounds reached."""
    noise = np.random.default_rng(1).integers(-8, 9, (COUNT, 3, SIDE, SIDE)).astype(np.int8)
    noise[:, :, 0, 0], noise[:, :, 0, 1] = 8, -8
    return noise


def added(data: ImageSet, delta: np.ndarray) -> np.ndarray:
    return (data.images.numpy().astype(int) + delta).clip(0, 255).astype(np.uint8)


def dumped(path: Path, value: Any, protocol: int = 4) -> Path:
    path.write_bytes(pickle.dumps(value, protocol=protocol))
    return path


def torch_file(path: Path, value: Any, **options: Any) -> Path:
    torch.save(value, path, **options)
    return path


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


# ---------------------------------------------------------------- EM


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before 2020"])
def test_em_samplewise(tmp_path: Path, data: ImageSet, delta: np.ndarray, old: bool) -> None:
    noise = torch.from_numpy(delta).float() / 255
    path = torch_file(tmp_path / "perturbation.pt", noise, _use_new_zipfile_serialization=not old)
    imported = load(path, data)
    found = imported.found
    assert (found.format, found.content, found.layout, found.scale, found.per) == (
        "em",
        "noise",
        "NCHW",
        "unit",
        "sample",
    )
    assert found.shape == (COUNT, 3, SIDE, SIDE)
    assert found.radius == pytest.approx(8)
    assert found.negative_rate == pytest.approx((delta < 0).mean())
    assert np.array_equal(imported.onto(data).images.numpy(), added(data, delta))
    released = imported.as_released(data).images.numpy().astype(int)
    positive = np.trunc(data.images.numpy() + (noise.numpy() * np.float32(255)).clip(0, 255)).astype(int)
    assert np.array_equal(released, positive)
    assert (released >= data.images.numpy()).all(), "EM's loader only ever brightens"
    lost = compare(imported, data)
    assert lost.lowered == (delta < 0).sum()
    assert lost.lowered_lost == 1.0
    assert (lost.ours_linf, lost.released_linf) == (8, 8)
    assert lost.largest == 8
    assert lost.shift == pytest.approx((released - added(data, delta)).mean())
    kept = compare(imported, data, "em_signed")
    assert kept.lowered_lost < 0.05
    assert kept.largest <= 1


def test_comparison_by_hand(tmp_path: Path) -> None:
    """One image of four values 100; noise +2.6, −3, +0.4, −0.2 levels, worked out on paper."""
    one = ImageSet(torch.full((2, 1, 2, 2), 100, dtype=torch.uint8), torch.tensor([0, 1]), ("a", "b"), "flat")
    noise = torch.tensor([2.6, -3.0, 0.4, -0.2]).view(1, 1, 2, 2).repeat(2, 1, 1, 1) / 255
    imported = load(torch_file(tmp_path / "p.pt", noise), one, Reading(per="sample"))
    assert imported.onto(one).images[0].flatten().tolist() == [103, 97, 100, 100]
    # EM: 102.6 → 102, 100 + 0, 100.4 → 100, 100 + 0.
    assert imported.as_released(one).images[0].flatten().tolist() == [102, 100, 100, 100]
    # Signed but truncated: 102, 97, 100, 99.8 → 99.
    assert imported.as_released(one, "em_signed").images[0].flatten().tolist() == [102, 97, 100, 99]
    found = compare(imported, one)
    assert (found.images, found.lowered, found.lowered_lost) == (2, 2, 1.0)
    assert found.differing == 0.5
    assert found.shift == pytest.approx((-1 + 3) / 4)
    assert (found.largest, found.ours_linf, found.released_linf) == (3, 3, 2)
    assert found.ours_mean == pytest.approx((3 + 3) / 4)
    assert found.released_mean == pytest.approx(2 / 4)


def test_em_classwise(tmp_path: Path, data: ImageSet, delta: np.ndarray) -> None:
    path = torch_file(tmp_path / "p.pt", torch.from_numpy(delta[:CLASSES]).float() / 255)
    imported = load(path, data)
    assert imported.found.per == "class"
    assert not any("guess" in note for note in imported.found.notes)
    assert np.array_equal(imported.onto(data).images.numpy(), added(data, delta[data.labels.numpy()]))
    alone = detect(path)
    assert alone.per == "class"
    assert any("guess" in note for note in alone.notes)


def test_em_patch_and_sets(tmp_path: Path, data: ImageSet, delta: np.ndarray) -> None:
    patch = delta[:CLASSES, :, :4, :4]
    imported = load(torch_file(tmp_path / "p.pt", torch.from_numpy(patch[None].repeat(3, 0)).float() / 255), data)
    assert imported.found.sets == 3
    made = imported.onto(data).images.numpy()
    whole = np.zeros_like(delta)
    whole[:, :, 2:6, 2:6] = patch[data.labels.numpy()]
    assert np.array_equal(made, added(data, whole))


def test_em_in_levels_and_half_precision(tmp_path: Path, data: ImageSet, delta: np.ndarray) -> None:
    for name, noise in {
        "levels": torch.from_numpy(delta).float(),
        "bf": torch.from_numpy(delta).to(torch.bfloat16),
    }.items():
        imported = load(torch_file(tmp_path / f"{name}.pt", noise), data)
        assert imported.found.scale == "levels"
        assert np.array_equal(imported.onto(data).images.numpy(), added(data, delta))


def test_clip_to_a_radius(tmp_path: Path, data: ImageSet, delta: np.ndarray) -> None:
    path = torch_file(tmp_path / "p.pt", torch.from_numpy(delta).float() / 255)
    made = load(path, data, Reading(radius=3)).onto(data)
    assert np.array_equal(made.images.numpy(), added(data, delta.clip(-3, 3)))


# ---------------------------------------------------------------- REM


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_rem(tmp_path: Path, data: ImageSet, delta: np.ndarray, protocol: int) -> None:
    imported = load(dumped(tmp_path / "rem-fin-def-noise.pkl", delta, protocol), data)
    found = imported.found
    assert (found.format, found.scale, found.per, found.dtype, found.radius) == ("rem", "levels", "sample", "int8", 8.0)
    assert np.array_equal(imported.onto(data).images.numpy(), added(data, delta))
    assert torch.equal(imported.as_released(data).images, imported.onto(data).images)
    same = compare(imported, data)
    assert (same.differing, same.lowered_lost, same.largest) == (0.0, 0.0, 0)


def test_rem_of_old_numpy_and_fortran_order(tmp_path: Path, data: ImageSet, delta: np.ndarray) -> None:
    content = pickle.dumps(np.asfortranarray(delta), protocol=2).replace(b"numpy._core.", b"numpy.core.")
    path = tmp_path / "old.pkl"
    path.write_bytes(content)
    assert np.array_equal(read_pickle(path), delta)
    big_endian = dumped(tmp_path / "big.pkl", delta.astype(">f4") / 255)
    assert np.array_equal(load(big_endian, data).onto(data).images.numpy(), added(data, delta))


def test_rems_loader_refuses_fractions(tmp_path: Path, data: ImageSet, delta: np.ndarray) -> None:
    path = torch_file(tmp_path / "p.pt", torch.from_numpy(delta).float() / 300)
    with pytest.raises(DataError, match="int8 noise only"):
        load(path, data).as_released(data, "rem")


# ---------------------------------------------------------------- TAP


@pytest.mark.parametrize("ending", ["pth", "pkl"])
def test_tap_delta_and_ids(tmp_path: Path, data: ImageSet, delta: np.ndarray, ending: str) -> None:
    ids = np.random.default_rng(2).permutation(COUNT)[:25]
    noise = delta[:25] / np.float32(255)
    if ending == "pth":
        path = torch_file(tmp_path / "packed.pth", [torch.from_numpy(noise), torch.from_numpy(ids)])
    else:
        path = dumped(tmp_path / "packed.pkl", [noise, [int(i) for i in ids]])
    imported = load(path, data)
    assert (imported.found.format, imported.found.per) == ("tap", "sample")
    assert f"{ids.min()} to {ids.max()}" in imported.found.order
    whole = np.zeros_like(delta)
    whole[ids] = delta[:25]
    made = imported.onto(data)
    assert np.array_equal(made.images.numpy(), added(data, whole))
    assert sorted(made.touched.nonzero()[:, 0].tolist()) == sorted(ids.tolist())
    assert compare(imported, data).images == 25
    rows = torch.tensor([int(ids[0]), int(np.setdiff1d(np.arange(COUNT), ids)[0])])
    some = imported.onto(data, rows)
    assert torch.equal(some.images, made.images[rows])
    assert some.touched.tolist() == [True, False]


def test_tap_in_normalised_units(tmp_path: Path, data: ImageSet, delta: np.ndarray) -> None:
    std = np.array([0.24703224, 0.24348514, 0.26158786], np.float32).reshape(1, 3, 1, 1)
    path = torch_file(tmp_path / "packed.pth", [torch.from_numpy(delta / np.float32(255) / std), list(range(COUNT))])
    imported = load(path, data)
    assert imported.found.scale == "std"
    assert imported.found.radius == pytest.approx(8, rel=1e-3)
    assert np.array_equal(imported.onto(data).images.numpy(), added(data, delta))
    assert detect(path, data, Reading(scale="unit")).radius == pytest.approx(8 / std.min(), rel=1e-3)


def test_ids_that_do_not_fit(tmp_path: Path, data: ImageSet, delta: np.ndarray) -> None:
    noise = torch.from_numpy(delta[:3]).float() / 255
    with pytest.raises(DataError, match="2 indices"):
        load(torch_file(tmp_path / "a.pth", [noise, [1, 2]]))
    with pytest.raises(DataError, match="twice"):
        load(torch_file(tmp_path / "b.pth", [noise, [1, 2000, 2000]]))
    imported = load(torch_file(tmp_path / "c.pth", [noise, [1, 2, 40]]))
    with pytest.raises(DataError, match="go up to 40"):
        imported.onto(data)
    with pytest.raises(DataError, match="negative"):
        load(torch_file(tmp_path / "d.pth", [noise, [1, 2, -4]]))


# ---------------------------------------------------------------- NTGA, LSP, npy


def test_ntga(tmp_path: Path, data: ImageSet, delta: np.ndarray) -> None:
    poisoned = added(data, delta)
    x = (poisoned.transpose(0, 2, 3, 1) / 255).astype(np.float32)
    np.save(tmp_path / "x_train_cifar10_ntga_cnn_best.npy", x)
    np.save(tmp_path / "y_train_cifar10.npy", np.eye(CLASSES)[data.labels.numpy()])
    imported = load(tmp_path / "x_train_cifar10_ntga_cnn_best.npy", data)
    found = imported.found
    assert (found.format, found.content, found.layout, found.scale, found.has_labels) == (
        "ntga",
        "images",
        "NHWC",
        "0..1",
        True,
    )
    assert np.array_equal(imported.onto(data).images.numpy(), poisoned)
    # Truncation turns some k/255 of float32 into k − 1; which ones, numpy says.
    assert np.array_equal(imported.as_released(data).images.numpy(), (x * 255).astype(np.uint8).transpose(0, 3, 1, 2))
    assert np.array_equal(imported.image_set().images.numpy(), poisoned)


def test_order_is_checked_by_labels(tmp_path: Path, data: ImageSet, delta: np.ndarray) -> None:
    turned = np.roll(np.arange(COUNT), 1)
    np.save(
        tmp_path / "poisoned_training_data.npy", added(data, delta).transpose(0, 2, 3, 1)[turned].astype(np.float64)
    )
    np.save(tmp_path / "poisoned_training_labels.npy", data.labels.numpy()[turned].astype(np.float64))
    imported = load(tmp_path / "poisoned_training_data.npy", data)
    assert (imported.found.format, imported.found.scale) == ("images_npy", "0..255")
    with pytest.raises(DataError, match="Only 0.0 % of the labels"):
        imported.onto(data)


def test_lsp_pool(tmp_path: Path, data: ImageSet) -> None:
    rng = np.random.default_rng(3)
    labels = rng.permutation(np.repeat(np.arange(CLASSES), 15))
    noise = rng.normal(0, 6 / 255, (60, SIDE, SIDE, 3))
    np.save(tmp_path / "simple_data.npy", noise)
    np.save(tmp_path / "simple_label.npy", labels)
    imported = load(tmp_path / "simple_data.npy", data)
    found = imported.found
    assert (found.format, found.content, found.layout, found.scale, found.per) == (
        "lsp",
        "noise",
        "NHWC",
        "unit",
        "pool",
    )
    # The official loop, image by image.
    clean, exact = data.images.numpy().transpose(0, 2, 3, 1), np.empty((COUNT, SIDE, SIDE, 3))
    for label in range(CLASSES):
        own = data.labels.numpy() == label
        exact[own] = clean[own] / 255 + noise[labels == label][: own.sum()]
    official = (exact.clip(0, 1) * 255).astype(np.uint8)
    assert np.array_equal(imported.as_released(data).images.numpy().transpose(0, 2, 3, 1), official)
    ours = imported.onto(data).images.numpy().transpose(0, 2, 3, 1)
    assert np.abs(ours - exact * 255).max() <= 0.5 + 1e-3
    # Truncation moves fractional noise down by half a level on average.
    assert compare(imported, data).shift == pytest.approx(-0.5, abs=0.03)
    np.save(tmp_path / "simple_label.npy", np.zeros(60, int))
    with pytest.raises(DataError, match="0 entries for class 1"):
        load(tmp_path / "simple_data.npy", data).onto(data)


def test_noise_and_signed_images_as_npy(tmp_path: Path, data: ImageSet, delta: np.ndarray) -> None:
    np.save(tmp_path / "deepconfuse.npy", delta / 255)
    imported = load(tmp_path / "deepconfuse.npy", data)
    assert (imported.found.format, imported.found.content, imported.found.layout) == ("noise_npy", "noise", "NCHW")
    assert np.array_equal(imported.onto(data).images.numpy(), added(data, delta))
    wide = np.random.default_rng(5).integers(0, 256, (COUNT, SIDE, SIDE, 3), dtype=np.uint8)
    np.save(tmp_path / "centred.npy", wide / 127.5 - 1)
    imported = load(tmp_path / "centred.npy", data)
    assert (imported.found.content, imported.found.scale) == ("images", "-1..1")
    assert np.array_equal(imported.onto(data).images.numpy(), wide.transpose(0, 3, 1, 2))


def test_npy_with_objects_or_cut_off(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}, None], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="never loaded"):
        load(tmp_path / "objects.npy")
    np.save(tmp_path / "cut.npy", np.zeros((4, 8, 8, 3), np.float32))
    whole = (tmp_path / "cut.npy").read_bytes()
    (tmp_path / "cut.npy").write_bytes(whole[:-10])
    with pytest.raises(DataError, match="cut.npy was not read"):
        load(tmp_path / "cut.npy")
    np.save(tmp_path / "labels.npy", np.arange(5))
    with pytest.raises(DataError, match="labels or features"):
        load(tmp_path / "labels.npy")


# ---------------------------------------------------------------- COIN and ECLIPSE


@pytest.mark.parametrize("form", ["bytes", "picture", "array", "float"])
def test_pickled_lists(tmp_path: Path, data: ImageSet, delta: np.ndarray, form: str) -> None:
    poisoned = added(data, delta)
    rows = poisoned.transpose(0, 2, 3, 1)
    make = {
        "bytes": lambda i: rows[i].tobytes(),
        "picture": lambda i: Image.fromarray(rows[i]),
        "array": lambda i: rows[i],
        "float": lambda i: (poisoned[i] / 255).astype(np.float32),
    }[form]
    pairs = [(make(i), np.int64(label) if form == "array" else int(label)) for i, label in enumerate(data.labels)]
    imported = load(dumped(tmp_path / "EM.pkl", pairs), data)
    assert (imported.found.format, imported.found.content, imported.found.has_labels) == ("coin", "images", True)
    assert np.array_equal(imported.onto(data).images.numpy(), poisoned)
    if form == "float":
        wrapped = (np.stack([pair[0] for pair in pairs]) * 255).astype(np.int64) % 256
        assert np.array_equal(imported.as_released(data).images.numpy(), wrapped)
    else:
        assert torch.equal(imported.as_released(data).images, imported.onto(data).images)


def test_floats_above_one_wrap_as_coins_loader_has_it(tmp_path: Path) -> None:
    flat = ImageSet(torch.full((2, 1, 1, 2), 250, dtype=torch.uint8), torch.tensor([0, 1]), ("a", "b"), "flat")
    pairs = [(np.array([[[1.01, 0.5]]], np.float32), i) for i in range(2)]
    imported = load(dumped(tmp_path / "p.pkl", pairs), flat, Reading(scale="0..1"))
    assert imported.as_released(flat).images[0].flatten().tolist() == [257 - 256, 127]
    assert imported.onto(flat).images[0].flatten().tolist() == [255, 128]


def test_lists_that_are_wrong(tmp_path: Path) -> None:
    for name, value, message in (
        ("uneven", [(b"abc", 0), (b"abcdef", 1)], "differ in size"),
        ("not square", [(b"abcdef", 0)], "no square"),
        ("label", [(b"abc", "cat")], "label"),
        ("names", ["a", "b", "c"], "no known poison"),
        ("mode", [(Image.new("CMYK", (2, 2)), 0)], "mode 'CMYK'"),
    ):
        with pytest.raises(DataError, match=message):
            load(dumped(tmp_path / f"{name}.pkl", value))


# ---------------------------------------------------------------- APBench and our own tree


@pytest.mark.parametrize("where", ["zip", "folder"])
@pytest.mark.parametrize("classes", [False, True], ids=["flat", "class folders"])
def test_png_tree(tmp_path: Path, data: ImageSet, delta: np.ndarray, where: str, classes: bool) -> None:
    poisoned = added(data, delta)
    # Names without leading zeros: 10.png sorts before 2.png, which must not matter.
    names = [f"em_poisons/{label}/{i}.png" if classes else f"c10/data/{i}.png" for i, label in enumerate(data.labels)]
    files = {name: png(poisoned[i].transpose(1, 2, 0)) for i, name in enumerate(names)}
    if where == "zip":
        path = zipped(tmp_path / "tree.zip", {**files, "__MACOSX/x.png": b"junk"})
    else:
        path = tmp_path / "tree"
        for name, content in files.items():
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(content)
    imported = load(path, data)
    assert (imported.found.format, imported.found.content, imported.found.per) == ("apbench", "images", "sample")
    assert imported.found.has_labels == classes
    assert np.array_equal(imported.onto(data).images.numpy(), poisoned)
    assert torch.equal(imported.as_released(data).images, imported.onto(data).images)


def test_png_tree_with_gaps_keeps_its_indices(tmp_path: Path, data: ImageSet, delta: np.ndarray) -> None:
    poisoned = added(data, delta)
    path = zipped(tmp_path / "some.zip", {f"{i}.png": png(poisoned[i].transpose(1, 2, 0)) for i in (3, 30, 12)})
    made = load(path, data).onto(data)
    assert made.touched.nonzero()[:, 0].tolist() == [3, 12, 30]
    assert np.array_equal(made.images[[3, 12, 30]].numpy(), poisoned[[3, 12, 30]])


@pytest.mark.parametrize("name", ["../../evil.png", "/etc/evil.png", "C:\\evil.png"])
def test_unsafe_archives(tmp_path: Path, name: str) -> None:
    path = zipped(tmp_path / "evil.zip", {"0.png": png(np.zeros((4, 4, 3), np.uint8)), name: b"x"})
    with pytest.raises(DataError, match="points outside the archive"):
        load(path)


def test_bombs(tmp_path: Path) -> None:
    path = zipped(tmp_path / "bomb.zip", {"0.png": bytes(8 << 20)})
    with pytest.raises(DataError, match="bombs"):
        load(path)
    pt = torch_file(tmp_path / "p.pt", torch.zeros(40, 3, 100, 100))
    with zipfile.ZipFile(pt) as given, zipfile.ZipFile(tmp_path / "packed.pt", "w", zipfile.ZIP_DEFLATED) as packed:
        for info in given.infolist():
            packed.writestr(info.filename, given.read(info))
    with pytest.raises(DataError, match="bombs"):
        load(tmp_path / "packed.pt")
    wide = torch_file(tmp_path / "wide.pt", torch.zeros(1).expand(2_000_000, 3, 32, 32))
    with pytest.raises(DataError, match="GiB"):
        load(wide)
    big = Image.new("RGB", (8000, 7000))
    buffer = io.BytesIO()
    big.save(buffer, "PNG")
    with pytest.raises(DataError, match="megapixels|bombs"):
        load(zipped(tmp_path / "big.zip", {"0.png": buffer.getvalue()}))


def test_damaged_pictures_import_nothing(tmp_path: Path) -> None:
    good = png(np.zeros((4, 4, 3), np.uint8))
    with pytest.raises(DataError, match=r"1.png .* is damaged; nothing was imported"):
        load(zipped(tmp_path / "a.zip", {"0.png": good, "1.png": good[:40]}))
    with pytest.raises(DataError, match="shape"):
        load(zipped(tmp_path / "b.zip", {"0.png": good, "1.png": png(np.zeros((5, 4, 3), np.uint8))}))
    with pytest.raises(DataError, match="different depths"):
        load(zipped(tmp_path / "c.zip", {"0.png": good, "x/1.png": good}))
    with pytest.raises(DataError, match="no .png"):
        load(zipped(tmp_path / "d.zip", {"readme.txt": b"hello"}))


# ---------------------------------------------------------------- Unlearnable Clusters


def test_clusters(tmp_path: Path, data: ImageSet) -> None:
    """Maps of twice the size, unclipped; the released generator written out."""
    rng = np.random.default_rng(4)
    maps = [torch.from_numpy(rng.uniform(-0.3, 0.3, (1, 3, 2 * SIDE, 2 * SIDE)).astype(np.float32)) for _ in range(3)]
    assignment = rng.integers(0, 3, COUNT)
    folder = tmp_path / "uc"
    folder.mkdir()
    for i, one in enumerate(maps):
        state = OrderedDict(weight=torch.zeros(2, 2))
        torch_file(folder / f"perturbation_{i}.pth", {"state_dict": state, "init_noise": one, "perturbation": one})
    torch_file(folder / "pets_cluster3.pth", {"centers": torch.zeros(3, 5), "pred_idx": assignment})
    imported = load(folder, data)
    found = imported.found
    assert (found.format, found.per, found.clip, len(imported)) == ("uc", "cluster", 16.0, 3)
    expected = []
    for i in range(COUNT):
        noise = maps[assignment[i]].clamp(-16 / 255, 16 / 255)
        noise = torch.nn.functional.interpolate(noise, [SIDE, SIDE])[0]
        expected.append(((data.images[i] / 255 + noise).clamp(0, 1) * 255 + 0.5).clamp(0, 255).to(torch.uint8))
    assert torch.equal(imported.as_released(data).images, torch.stack(expected))
    assert compare(imported, data).differing < 0.001
    assert compare(imported, data).ours_linf == 16
    files = {p.name: p.read_bytes() for p in folder.iterdir()}
    assert torch.equal(load(zipped(tmp_path / "uc.zip", files), data).onto(data).images, imported.onto(data).images)
    del files["pets_cluster3.pth"]
    with pytest.raises(DataError, match="no assignment"):
        load(zipped(tmp_path / "half.zip", files), data).onto(data)
    del files["perturbation_1.pth"]
    with pytest.raises(DataError, match="without a gap"):
        load(zipped(tmp_path / "gap.zip", files))
    single = detect(folder / "perturbation_0.pth")
    assert any("assignment" in line for line in single.missing)
    with pytest.raises(DataError, match="holds no noise"):
        load(folder / "pets_cluster3.pth")


# ---------------------------------------------------------------- nothing is executed


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path, call: str) -> None:
        self.path, self.call = str(path), call

    def __reduce__(self) -> Any:
        import os

        if self.call == "eval":
            return eval, (f"open({self.path!r}, 'w').close()",)
        if self.call == "open":
            return open, (self.path, "w")
        return os.system, (f"touch {self.path}",)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
@pytest.mark.parametrize("call", ["eval", "open", "system"])
@pytest.mark.parametrize("inside", ["alone", "list", "pairs", "dict"])
def test_pickles_do_not_execute(tmp_path: Path, delta: np.ndarray, protocol: int, call: str, inside: str) -> None:
    bad = Payload(tmp_path / "executed", call)
    value = {
        "alone": bad,
        "list": [delta, bad],
        "pairs": [(b"abc", 0), (bad, 1)],
        "dict": {"perturbation": delta, "x": bad},
    }[inside]
    path = dumped(tmp_path / "noise.pkl", value, protocol)
    with pytest.raises(DataError, match={"eval": "eval", "open": "open", "system": "system"}[call]):
        load(path)
    assert not (tmp_path / "executed").exists()
    # The payload is real: Python's own unpickler runs it.
    pickle.loads(path.read_bytes())
    assert (tmp_path / "executed").exists()


@pytest.mark.parametrize("old", [False, True], ids=["zip", "before 2020"])
def test_torch_files_do_not_execute(tmp_path: Path, old: bool) -> None:
    value = [torch.zeros(2, 3, 4, 4), Payload(tmp_path / "executed", "system")]
    path = torch_file(tmp_path / "perturbation.pt", value, _use_new_zipfile_serialization=not old)
    with pytest.raises(DataError, match=r"was not read: it would run or build '\w+\.system'"):
        load(path)
    members = {"perturbation_0.pth": path.read_bytes()}
    with pytest.raises(DataError, match="was not read"):
        load(zipped(tmp_path / "uc.zip", members))
    assert not (tmp_path / "executed").exists()


OPCODES = {
    "persistent id": b"\x80\x02Psome id\n.",
    "extension": b"\x80\x02\x82\x01.",
    "instance": b"(ios\nsystem\n.",
    "state on a function": b"\x80\x02c_codecs\nencode\n}X\x01\x00\x00\x00aK\x01sb.",
    "call of a text": b"\x80\x02X\x01\x00\x00\x00a)R.",
    "codec": b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x03\x00\x00\x00zip\x86R.",
    "huge array": b"\x80\x02cnumpy\nndarray\n\x8a\x06\x00\x00\x00\x00\x00\x10\x85R.",
    "huge bytes": b"\x80\x02c__builtin__\nbytearray\n\x8a\x06\x00\x00\x00\x00\x00\x10\x85R.",
    "huge memo": b"\x80\x02]r\xff\xff\xff\xff.",
    "empty stack": b"\x80\x02.",
    "no mark": b"\x80\x02K\x01t.",
    "nested": b"\x80\x02" + b"(" * 200_000 + b"l" * 200_000 + b".",
    "cut off": b"\x80\x02]",
    "text": b"\x80hello",
}


@pytest.mark.parametrize("case", OPCODES)
def test_odd_pickles_are_refused(tmp_path: Path, case: str) -> None:
    path = tmp_path / "odd.pkl"
    path.write_bytes(OPCODES[case])
    with pytest.raises(DataError):
        load(path)


def test_arrays_of_objects_and_wrong_sizes(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="arrays of objects"):
        load(dumped(tmp_path / "a.pkl", np.array([object, None], dtype=object)))
    with pytest.raises(DataError, match="fields|type"):
        load(dumped(tmp_path / "b.pkl", np.zeros(3, dtype=[("a", "i4")])))
    content = pickle.dumps(np.zeros((2, 3, 4, 4), np.int8), protocol=2).replace(
        b"K\x02K\x03K\x04K\x04", b"K\x02K\x03K\x04K\x05"
    )
    (tmp_path / "c.pkl").write_bytes(content)
    with pytest.raises(DataError, match="bytes"):
        load(tmp_path / "c.pkl")


def test_a_list_within_itself_ends(tmp_path: Path) -> None:
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(DataError):
        load(dumped(tmp_path / "circle.pkl", circle))


@pytest.mark.parametrize("seed", range(3))
def test_damaged_pickles_raise_nothing_else(tmp_path: Path, seed: int) -> None:
    """Random changes of a good file: it is read or refused in words."""
    rng = np.random.default_rng(seed)
    good = bytearray(
        pickle.dumps([(bytes(12), 1), (Image.new("RGB", (2, 2)), 2), np.zeros((2, 3, 4, 4), np.int8)], protocol=4)
    )
    path = tmp_path / "x.pkl"
    for _ in range(300):
        bad = bytearray(good)
        for place in rng.integers(0, len(bad), 3):
            bad[place] = rng.integers(0, 256)
        path.write_bytes(bad)
        with suppress(DataError):
            read_pickle(path)


def test_known_formats_have_known_loaders() -> None:
    for form in FORMATS.values():
        assert all(key in RULES for key in form.rules)
        assert len(form.source) > 2
    assert all(len(rule.words) > 20 and rule.source for rule in RULES.values())


# ---------------------------------------------------------------- detection in words, and corrections


def test_report_in_words(tmp_path: Path, data: ImageSet, delta: np.ndarray) -> None:
    path = torch_file(tmp_path / "perturbation.pt", torch.from_numpy(delta).float() / 255)
    told = "\n".join(detect(path, data).lines())
    shape = "40 of 3 × 8 × 8, stored as NCHW, float32"
    for part in ("EM perturbation.pt", "noise to be added, one per training image", shape, "8/255", "% negative"):
        assert part in told
    assert json.loads(json.dumps(detect(path).to_json()))["format"] == "em"


def test_corrections(tmp_path: Path, data: ImageSet, delta: np.ndarray) -> None:
    three = torch.from_numpy(delta[:, :, :3, :3]).float() / 255
    path = torch_file(tmp_path / "p.pt", three)
    assert any("both layouts" in note for note in detect(path).notes)
    assert detect(path, None, Reading(layout="NHWC")).layout == "NHWC"
    path = torch_file(tmp_path / "q.pt", torch.from_numpy(delta).float() / 255)
    with pytest.raises(DataError, match="8 channels"):
        detect(path, None, Reading(layout="NHWC"))
    with pytest.raises(DataError, match="no unit of noise"):
        detect(path, None, Reading(scale="0..255"))
    with pytest.raises(DataError, match="cannot be read as"):
        detect(path, None, Reading(format="coin"))
    with pytest.raises(ParameterError, match="layout is 'CHW'"):
        Reading(layout="CHW")
    with pytest.raises(ParameterError, match="radius"):
        Reading(radius=-1)
    with pytest.raises(UnknownName, match="rem"):
        load(path).rule("remm")
    assert detect(path, data, Reading(format="noise_npy")).format == "noise_npy"


def test_wrong_data_set(tmp_path: Path, data: ImageSet, delta: np.ndarray) -> None:
    imported = load(
        torch_file(tmp_path / "p.pt", torch.from_numpy(delta[:30]).float() / 255), None, Reading(per="sample")
    )
    with pytest.raises(DataError, match="30 entries, but 'small' has 40 training images"):
        imported.onto(data)
    other = load(torch_file(tmp_path / "q.pt", torch.zeros(COUNT, 3, 9, 9) + 0.01), data)
    with pytest.raises(DataError, match="3 × 9 × 9"):
        other.onto(data)
    with pytest.raises(DataError, match="not finite"):
        load(torch_file(tmp_path / "nan.pt", torch.full((COUNT, 3, 8, 8), float("nan"))))


def test_not_a_poison(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"hello")
    with pytest.raises(DataError, match="none of the known"):
        load(tmp_path / "a.pt")
    with pytest.raises(DataError, match="There is no file"):
        load(tmp_path / "nothing.pt")
    with pytest.raises(DataError, match="no known poison"):
        load(torch_file(tmp_path / "weights.pth", {"conv.weight": torch.zeros(3, 3)}))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="has no .png"):
        load(tmp_path / "empty")


# ---------------------------------------------------------------- export and round trips


@pytest.fixture
def poisoned(data: ImageSet, delta: np.ndarray) -> PoisonedSet:
    whole = delta.copy()
    whole[::5] = 0
    touched = torch.ones(COUNT, dtype=torch.bool)
    touched[::5] = False
    return PoisonedSet(data, torch.from_numpy(added(data, whole)), touched, {"name": "made up", "radius": 8}, 17)


@pytest.mark.parametrize("kind", list(KINDS))
def test_round_trip_bit_for_bit(tmp_path: Path, data: ImageSet, poisoned: PoisonedSet, kind: str) -> None:
    about = recipe(poisoned, {"dataset": {"name": "made"}, "part": "train"}, 0.8)
    files = export(poisoned, kind, tmp_path / f"out{ {'npz': '.npz', 'folder': '.zip', 'em': '.pt'}[kind] }", about)
    imported = load(files[0], data)
    assert torch.equal(imported.onto(data).images, poisoned.images)
    kept = json.loads(files[1].read_text()) if kind == "em" else imported.recipe
    assert kept == json.loads(json.dumps(about))
    assert (kept["seed"], kept["clean_hash"], kept["poisoned_images"]) == (17, data.content_hash, 32)
    assert kept["poisoned_hash"] == imported.onto(data).as_training_set().content_hash
    again = export(poisoned, kind, tmp_path / "again" / files[0].name, about)
    assert again[0].read_bytes() == files[0].read_bytes(), "equal sets give equal bytes"


def test_em_export_is_what_ems_loader_expects(tmp_path: Path, data: ImageSet, poisoned: PoisonedSet) -> None:
    path = export(poisoned, "em", tmp_path / "perturbation.pt", {})[0]
    noise = torch.load(path, weights_only=True)
    assert noise.dtype == torch.float32
    assert noise.shape == (COUNT, 3, SIDE, SIDE)
    assert torch.equal((noise * 255).round().to(torch.int16), poisoned.delta)
    assert detect(path, data).format == "em"


def test_npz_and_tree_are_read_by_others(tmp_path: Path, data: ImageSet, poisoned: PoisonedSet) -> None:
    from torchvision.datasets import ImageFolder

    npz = export(poisoned, "npz", tmp_path / "a.npz", {"x": 1})[0]
    assert torch.equal(read_npz(npz).images, poisoned.images)
    assert read_npz_json(npz) == {"x": 1}
    tree = export(poisoned, "folder", tmp_path / "a.zip", {})[0]
    with zipfile.ZipFile(tree) as archive:
        archive.extractall(tmp_path / "tree")
    folder = ImageFolder(str(tmp_path / "tree"))
    for path, label in folder.samples:
        row = int(Path(path).stem)
        assert label == int(data.labels[row])
        assert np.array_equal(np.asarray(Image.open(path)).transpose(2, 0, 1), poisoned.images[row].numpy())


def test_grey_images_travel_too(tmp_path: Path) -> None:
    images = torch.from_numpy(np.random.default_rng(0).integers(0, 256, (6, 1, 5, 7), dtype=np.uint8))
    grey = ImageSet(images, torch.arange(6) % 2, ("odd/name", "ünlike"), "grey")
    changed = PoisonedSet(grey, images.flip(0), torch.ones(6, dtype=torch.bool), {"name": "flip"}, 0)
    for kind, name in (("folder", "a.zip"), ("em", "a.pt")):
        path = export(changed, kind, tmp_path / name, {})[0]
        assert torch.equal(
            load(path, grey, Reading(per="sample" if kind == "em" else "")).onto(grey).images, changed.images
        )


def test_export_refuses_and_stops(tmp_path: Path, poisoned: PoisonedSet) -> None:
    with pytest.raises(UnknownName):
        export(poisoned, "jpeg", tmp_path / "a.zip", {})
    with pytest.raises(DataError, match="end in '.npz'"):
        export(poisoned, "npz", tmp_path / "a.zip", {})
    (tmp_path / "a.zip").write_bytes(b"older")
    with pytest.raises(Cancelled):
        export(poisoned, "folder", tmp_path / "a.zip", {}, Context(stop=lambda: True))
    assert (tmp_path / "a.zip").read_bytes() == b"older"
    told: list[float] = []
    export(
        poisoned,
        "folder",
        tmp_path / "a.zip",
        {},
        Context(on_report=lambda done, total, text: told.append(done / total)),
    )
    assert told
    assert told == sorted(told)


def test_uploads_are_kept_once_under_harmless_names(tmp_path: Path) -> None:
    first = keep_upload(b"abc", "../../pert urbation.pt", tmp_path)
    assert first.parent.parent == tmp_path
    assert first.name == "pert_urbation.pt"
    assert keep_upload(b"abc", "../../pert urbation.pt", tmp_path) == first
    assert keep_upload(b"abd", "x.pt", tmp_path).parent != first.parent
    assert keep_upload(b"abc", "..", tmp_path).name == "file"


def test_own_recipe_survives_in_the_found_report(tmp_path: Path, data: ImageSet, poisoned: PoisonedSet) -> None:
    path = export(poisoned, "npz", tmp_path / "a.npz", recipe(poisoned))[0]
    assert not any("Which attack" in line for line in detect(path, data).missing)
