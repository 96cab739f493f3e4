"""What a torch file, pickle, npz or safetensors file holds is judged from its values, and every judgement is told."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from ued_core.data.poison_files import Imported, Reading, compare, load
from ued_core.errors import DataError
from ued_core.records import ImageSet

COUNT, CLASSES, SIDE = 40, 4, 8


@pytest.fixture
def data() -> ImageSet:
    images = np.random.default_rng(0).integers(0, 256, (COUNT, 3, SIDE, SIDE), dtype=np.uint8)
    return ImageSet(torch.from_numpy(images), torch.arange(COUNT) % CLASSES, tuple("abcd"), "small")


@pytest.fixture
def delta() -> np.ndarray:
    noise = np.random.default_rng(1).integers(-8, 9, (COUNT, 3, SIDE, SIDE))
    noise[:, :, 0, 0], noise[:, :, 0, 1] = 8, -8
    return noise


@pytest.fixture
def poisoned(data: ImageSet, delta: np.ndarray) -> np.ndarray:
    return (data.images.numpy().astype(int) + delta).clip(0, 255).astype(np.uint8)


def torch_file(path: Path, value: Any) -> Path:
    torch.save(value, path)
    return path


def pickled(path: Path, value: Any) -> Path:
    path.write_bytes(pickle.dumps(value))
    return path


def is_images(imported: Imported, data: ImageSet, poisoned: np.ndarray, exact: bool = True) -> None:
    """The whole way: content, pixels, and the size of the change."""
    assert imported.found.content == "images", imported.found.lines()
    made = imported.onto(data).images.numpy()
    if exact:
        assert np.array_equal(made, poisoned)
    else:
        assert np.abs(made.astype(int) - poisoned).max() <= 1
    assert compare(imported, data).ours_linf <= 9
    assert any(note.startswith("Judged: whole images") for note in imported.found.notes), imported.found.notes


# ---------------------------------------------------------------- one tensor of whole images

FORMS: dict[str, Callable[[np.ndarray], torch.Tensor]] = {
    "float 0..1": lambda p: torch.from_numpy(p).float() / 255,
    "float 0..255": lambda p: torch.from_numpy(p).float(),
    "double": lambda p: torch.from_numpy(p).double() / 255,
    "half": lambda p: (torch.from_numpy(p).float() / 255).half(),
    "uint8": torch.from_numpy,
    "int64": lambda p: torch.from_numpy(p).long(),
    "-1..1": lambda p: torch.from_numpy(p).float() / 127.5 - 1,
    "NHWC": lambda p: torch.from_numpy(p).permute(0, 2, 3, 1).float() / 255,
    "NHWC uint8": lambda p: torch.from_numpy(p).permute(0, 2, 3, 1).contiguous(),
    "channels last": lambda p: (torch.from_numpy(p).float() / 255).to(memory_format=torch.channels_last),
    "a stack of one": lambda p: (torch.from_numpy(p).float() / 255)[None],
    "a stack of two": lambda p: torch.stack([torch.from_numpy(p), torch.from_numpy(p).flip(0)]),
    "sets on the second axis": lambda p: torch.stack([torch.from_numpy(p), torch.from_numpy(p).flip(0)], 1),
    "halves": lambda p: torch.from_numpy(p).view(2, COUNT // 2, 3, SIDE, SIDE),
    "parameter": lambda p: torch.nn.Parameter(torch.from_numpy(p).float() / 255),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("known", [True, False], ids=["clean set known", "alone"])
def test_whole_images_as_a_tensor(tmp_path: Path, data: ImageSet, poisoned: np.ndarray, form: str, known: bool) -> None:
    path = torch_file(tmp_path / "x.pt", FORMS[form](poisoned))
    if not known:
        assert load(path).found.content == "images"
        return
    is_images(load(path, data), data, poisoned)
    assert load(path, data).found.layout == ("NHWC" if "NHWC" in form else "NCHW")


@pytest.mark.parametrize("low", [-30, 0, 20], ids=["unclipped", "dark", "bright"])
def test_images_that_were_not_clipped(tmp_path: Path, data: ImageSet, low: int) -> None:
    """PIL's noise is subtracted without clipping, so values leave 0..1; they are not taken for 0..255."""
    noise = np.random.default_rng(2).integers(-30, 31, data.images.shape) + low
    sums = (data.images.numpy() + noise) / np.float32(255)
    for clean in (data, None):
        imported = load(torch_file(tmp_path / "x.pt", torch.from_numpy(sums)), clean)
        assert (imported.found.content, imported.found.scale) == ("images", "0..1"), imported.found.lines()
    assert any("are clipped" in note for note in imported.found.notes)
    assert np.array_equal(imported.onto(data).images.numpy(), (sums * 255).round().clip(0, 255).astype(np.uint8))


def test_dark_images_are_known_by_the_clean_ones(tmp_path: Path) -> None:
    """Strokes on black have a small mean; shuffled they are images too."""
    rng = np.random.default_rng(3)
    strokes = np.where(
        rng.random((COUNT, 1, SIDE, SIDE)) < 0.06, rng.integers(150, 256, (COUNT, 1, SIDE, SIDE)), 0
    ).astype(np.uint8)
    strokes[:, :, 2, 2] = 200
    dark = ImageSet(torch.from_numpy(strokes), torch.arange(COUNT) % CLASSES, tuple("abcd"), "dark")
    changed = (strokes.astype(int) + rng.integers(0, 9, strokes.shape)).clip(0, 255).astype(np.uint8)
    path = torch_file(tmp_path / "x.pt", torch.from_numpy(changed).float() / 255)
    imported = load(path, dark)
    assert imported.found.content == "images"
    assert np.array_equal(imported.onto(dark).images.numpy(), changed)


def test_normalised_images_are_refused_in_words(tmp_path: Path, data: ImageSet, poisoned: np.ndarray) -> None:
    mean, std = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in ((0.49, 0.48, 0.45), (0.25, 0.24, 0.26)))
    path = torch_file(tmp_path / "x.pt", torch.from_numpy((poisoned / np.float32(255) - mean) / std))
    with pytest.raises(DataError, match="images after a normalisation"):
        load(path, data)
    assert load(path, data, Reading(content="noise")).found.content == "noise", (
        "the reader's word stands above the judgement"
    )


# ---------------------------------------------------------------- noise stays noise

NOISE: dict[str, Callable[[np.ndarray], torch.Tensor]] = {
    "unit": lambda d: torch.from_numpy(d).float() / 255,
    "levels": lambda d: torch.from_numpy(d).float(),
    "int8": lambda d: torch.from_numpy(d).to(torch.int8),
    "int64": torch.from_numpy,
    "sets": lambda d: torch.stack([torch.from_numpy(d).float() / 255] * 3),
    "NHWC": lambda d: torch.from_numpy(d).permute(0, 2, 3, 1).float() / 255,
}


@pytest.mark.parametrize("form", NOISE)
def test_noise_as_a_tensor(tmp_path: Path, data: ImageSet, delta: np.ndarray, poisoned: np.ndarray, form: str) -> None:
    path = torch_file(tmp_path / "x.pt", NOISE[form](delta))
    for clean in (data, None):
        imported = load(path, clean)
        assert (imported.found.content, imported.found.radius) == ("noise", pytest.approx(8, rel=1e-3))
        assert any(note.startswith("Judged: noise, because") for note in imported.found.notes)
    assert np.array_equal(load(path, data).onto(data).images.numpy(), poisoned)


@pytest.mark.parametrize("strength", [0.3, -0.5, 0.45])
def test_noise_that_follows_the_images_is_noise(tmp_path: Path, data: ImageSet, strength: float) -> None:
    """A brighter or darker image differs by a multiple of itself."""
    noise = (data.images.float() * strength).round() / 255
    for values in (noise, noise * 255):
        imported = load(torch_file(tmp_path / "x.pt", values), data)
        assert imported.found.content == "noise", imported.found.lines()
        expected = (data.images.float() * (1 + strength)).round().clamp(0, 255)
        assert (imported.onto(data).images.float() - expected).abs().max() <= 1


def test_small_bytes_are_noise(tmp_path: Path, data: ImageSet) -> None:
    small = torch.randint(0, 17, data.images.shape, dtype=torch.uint8)
    imported = load(torch_file(tmp_path / "x.pt", small), data)
    assert (imported.found.content, imported.found.scale) == ("noise", "levels")
    assert load(torch_file(tmp_path / "x.pt", small), data, Reading(content="images")).found.scale == "0..255"


def test_the_judgement_can_be_overruled(tmp_path: Path, data: ImageSet, poisoned: np.ndarray) -> None:
    path = torch_file(tmp_path / "x.pt", torch.from_numpy(poisoned).float() / 255)
    for content in ("noise", "images"):
        found = load(path, data, Reading(content=content)).found
        assert found.content == content
        assert not any(note.startswith("Judged: whole") for note in found.notes)
    assert load(path, data, Reading(scale="-1..1")).found.scale == "-1..1"


# ---------------------------------------------------------------- pairs, dicts, lists

LABELS: dict[str, Callable[[torch.Tensor], Any]] = {
    "int64": lambda y: y,
    "float": lambda y: y.float(),
    "uint8": lambda y: y.to(torch.uint8),
    "one-hot": lambda y: torch.nn.functional.one_hot(y, CLASSES),
    "one-hot float": lambda y: torch.nn.functional.one_hot(y, CLASSES).double(),
    "column": lambda y: y[:, None],
    "list": lambda y: y.tolist(),
    "list of tensors": lambda y: list(y),
    "numpy": lambda y: y.numpy(),
    "numpy scalars": lambda y: [np.int64(i) for i in y.tolist()],
}


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("container", ["tuple", "list", "labels first", "dict", "targets", "x and y"])
def test_images_with_labels(tmp_path: Path, data: ImageSet, poisoned: np.ndarray, labels: str, container: str) -> None:
    images, own = torch.from_numpy(poisoned).float() / 255, LABELS[labels](data.labels)
    value = {
        "tuple": (images, own),
        "list": [images, own],
        "labels first": (own, images),
        "dict": {"data": images, "labels": own},
        "targets": {"images": images, "targets": own},
        "x and y": {"x": images, "y": own, "epoch": 3},
    }[container]
    path = torch_file(tmp_path / "L2.p1", value)
    for clean in (data, None):
        imported = load(path, clean)
        assert imported.found.has_labels
        assert imported.ids is None
        assert torch.equal(imported.labels, data.labels)
        assert np.array_equal(imported.image_set().images.numpy(), poisoned)
    is_images(load(path, data), data, poisoned)


def test_pil_and_delusive_are_truncated_by_their_loader(tmp_path: Path, data: ImageSet, poisoned: np.ndarray) -> None:
    imported = load(
        torch_file(tmp_path / "PIL.pt", {"data": torch.from_numpy(poisoned).float() / 255, "labels": data.labels}), data
    )
    official = torch.from_numpy(poisoned).float().div(255).mul(255).byte()
    assert torch.equal(imported.as_released(data).images, official)
    assert imported.rules[0].key == "pil"


def test_pairs_whose_numbers_do_not_repeat(
    tmp_path: Path, data: ImageSet, poisoned: np.ndarray, delta: np.ndarray
) -> None:
    """As many images as classes: labels beside images, indices beside noise."""
    rows = torch.tensor([2, 0, 3, 1])
    few = data.take(rows)
    images = torch.from_numpy(poisoned)[rows].float() / 255
    imported = load(torch_file(tmp_path / "four.pt", (images, few.labels)), few)
    is_images(imported, few, poisoned[rows.numpy()])
    assert imported.found.has_labels
    noise = torch.from_numpy(delta)[rows].float() / 255
    tap = load(torch_file(tmp_path / "tap.pth", (noise, rows)), data)
    assert (tap.found.format, tap.found.has_labels) == ("tap", False)
    assert tap.onto(data).touched.nonzero()[:, 0].tolist() == [0, 1, 2, 3]
    forced = load(torch_file(tmp_path / "ids.pth", (images, rows)), data, Reading(format="tap", content="images"))
    assert torch.equal(forced.ids, rows)


def test_images_with_indices(tmp_path: Path, data: ImageSet, poisoned: np.ndarray) -> None:
    rows = torch.tensor([30, 4, 17, 39, 8])
    imported = load(torch_file(tmp_path / "x.pt", [torch.from_numpy(poisoned)[rows], rows]), data)
    made = imported.onto(data)
    assert made.touched.nonzero()[:, 0].tolist() == sorted(rows.tolist())
    assert np.array_equal(made.images[rows].numpy(), poisoned[rows.numpy()])


@pytest.mark.parametrize("key", ["noise", "delta", "perturbation", "perturbations"])
@pytest.mark.parametrize(
    "extra", [{}, {"labels": torch.arange(COUNT) % CLASSES}, {"config": {"eps": 8}, "loss": [0.1]}]
)
def test_dicts_of_noise(
    tmp_path: Path, data: ImageSet, delta: np.ndarray, poisoned: np.ndarray, key: str, extra: dict[str, Any]
) -> None:
    imported = load(torch_file(tmp_path / "x.pt", {key: torch.from_numpy(delta).float() / 255, **extra}), data)
    assert (imported.found.content, imported.found.per) == ("noise", "sample")
    assert np.array_equal(imported.onto(data).images.numpy(), poisoned)
    if "config" in extra:
        assert any("not used: 'config', 'loss'" in note for note in imported.found.notes)


def test_a_wrong_name_does_not_decide_over_the_clean_images(
    tmp_path: Path, data: ImageSet, poisoned: np.ndarray
) -> None:
    imported = load(torch_file(tmp_path / "x.pt", {"delta": torch.from_numpy(poisoned).float() / 255}), data)
    is_images(imported, data, poisoned)
    assert any("although the file calls them 'delta'" in note for note in imported.found.notes)
    alone = load(tmp_path / "x.pt").found
    assert alone.content == "noise"
    assert any("the values alone look like whole images" in note for note in alone.notes)


def test_noise_with_labels_is_sample_wise_class_wise_or_a_pool(
    tmp_path: Path, data: ImageSet, delta: np.ndarray
) -> None:
    noise = torch.from_numpy(delta).float() / 255
    per_class = load(torch_file(tmp_path / "c.pt", {"noise": noise[:4], "labels": torch.tensor([3, 1, 0, 2])}), data)
    assert per_class.found.per == "class"
    ours = per_class.onto(data).delta.float() / 255
    kept = (data.images > 8) & (data.images < 247)
    assert torch.equal(ours[3][kept[3]], noise[0][kept[3]]), "the first map is for class 3"
    pool = load(torch_file(tmp_path / "p.pt", (noise, data.labels.flip(0))), data)
    assert pool.found.per == "pool"
    pool.onto(data)
    numbered = load(torch_file(tmp_path / "n.pt", {k: noise[k] for k in (7, 3, 21, 9, 11)}), data)
    assert numbered.onto(data).touched.nonzero()[:, 0].tolist() == [3, 7, 9, 11, 21]
    classes = load(torch_file(tmp_path / "k.pt", {k: noise[k] for k in range(CLASSES)}), data)
    assert classes.found.per == "class"


@pytest.mark.parametrize(
    "form", ["list", "tuple", "pictures", "batches", "numpy", "rows", "rows, label first", "rows with index"]
)
@pytest.mark.parametrize("ending", ["pt", "pkl"])
def test_lists(tmp_path: Path, data: ImageSet, poisoned: np.ndarray, form: str, ending: str) -> None:
    kind = torch.from_numpy if ending == "pt" else np.asarray
    images, y = kind(poisoned), data.labels.tolist()
    value = {
        "list": lambda: list(images),
        "tuple": lambda: tuple(images),
        "pictures": lambda: [kind(np.ascontiguousarray(image.transpose(1, 2, 0))) for image in poisoned],
        "batches": lambda: [images[:16], images[16:32], images[32:]],
        "numpy": lambda: [[np.asarray(image) for image in poisoned], y],
        "rows": lambda: list(zip(images, y, strict=True)),
        "rows, label first": lambda: list(zip(y, images, strict=True)),
        "rows with index": lambda: [(image, label, i) for i, (image, label) in enumerate(zip(images, y, strict=True))],
    }[form]()
    path = (torch_file if ending == "pt" else pickled)(tmp_path / f"x.{ending}", value)
    imported = load(path, data)
    is_images(imported, data, poisoned)
    assert imported.found.has_labels == (form.startswith("rows") or form == "numpy")


def test_cifar_batches(tmp_path: Path) -> None:
    """Rows of bytes under b'data', as CIFAR's own pickles."""
    images = np.random.default_rng(0).integers(0, 256, (20, 3, 32, 32), dtype=np.uint8)
    clean = ImageSet(torch.from_numpy(images), torch.arange(20) % 5, tuple("abcde"), "cifar")
    path = pickled(
        tmp_path / "data_batch_1.pkl",
        {b"data": images.reshape(20, -1), b"labels": clean.labels.tolist(), b"batch_label": b"1"},
    )
    imported = load(path, clean)
    assert torch.equal(imported.onto(clean).images, clean.images)
    assert any("CIFAR" in note for note in imported.found.notes)


def test_grey_stacks_and_single_maps(tmp_path: Path, data: ImageSet, delta: np.ndarray) -> None:
    grey = ImageSet(data.images[:, :1], data.labels, data.class_names, "grey")
    changed = (grey.images.int() + torch.from_numpy(delta[:, :1])).clamp(0, 255).to(torch.uint8)
    imported = load(torch_file(tmp_path / "g.pt", changed[:, 0]), grey)
    assert torch.equal(imported.onto(grey).images, changed)
    universal = load(torch_file(tmp_path / "u.pt", torch.from_numpy(delta[0]).float() / 255), data)
    assert universal.found.order == "one map for every image"
    expected = (data.images.int() + torch.from_numpy(delta[0])).clamp(0, 255).to(torch.uint8)
    assert torch.equal(universal.onto(data).images, expected)


# ---------------------------------------------------------------- types


@pytest.mark.parametrize("kind", ["float8_e4m3fn", "float8_e5m2", "bfloat16"])
@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_small_floats_are_converted_and_named(
    tmp_path: Path, data: ImageSet, delta: np.ndarray, kind: str, ending: str
) -> None:
    noise = torch.from_numpy(delta).float().to(getattr(torch, kind))
    path = tmp_path / f"x.{ending}"
    torch_file(path, noise) if ending == "pt" else save_file({"noise": noise}, path)
    imported = load(path, data)
    assert (imported.found.content, imported.found.dtype, imported.found.radius) == ("noise", kind, 8.0)
    assert np.array_equal(imported.values.numpy(), noise.float().numpy())


REFUSED: dict[str, tuple[Callable[[], Any], str]] = {
    "complex": (lambda: torch.zeros(4, 3, 8, 8, dtype=torch.complex64), "complex numbers"),
    "complex beside labels": (
        lambda: {"data": torch.zeros(4, 3, 8, 8, dtype=torch.complex64), "labels": [0, 1, 0, 1]},
        "complex numbers",
    ),
    "bool": (lambda: torch.zeros(4, 3, 8, 8, dtype=torch.bool), "mask"),
    "sparse": (lambda: torch.zeros(4, 3, 8, 8).to_sparse(), "dense"),
    "16 bit": (lambda: torch.full((4, 3, 8, 8), 40000), "16-bit"),
    "huge noise": (lambda: torch.linspace(-4000, 9000, 768).view(4, 3, 8, 8), "no change of an 8-bit image"),
    "weights": (lambda: {"conv.weight": torch.zeros(8, 3, 3, 3), "conv.bias": torch.zeros(8)}, "no known poison"),
    "two sets": (lambda: [torch.zeros(4, 3, 8, 8), torch.zeros(4, 3, 8, 8)], "two arrays of the same shape"),
    "two names": (lambda: {"images": torch.zeros(4, 3, 8, 8), "data": torch.zeros(4, 3, 8, 8)}, "which of them"),
    "labels only": (lambda: torch.arange(9), "labels or features"),
    "features": (lambda: {"data": torch.rand(10, 512)}, "labels or features"),
    "soft labels": (lambda: (torch.rand(4, 3, 8, 8), torch.full((4, 2), 0.5)), "whole numbers"),
    "fewer labels": (lambda: {"data": torch.rand(4, 3, 8, 8), "labels": [0, 1, 0]}, "4 images but 3 labels"),
    "ids twice": (lambda: {"noise": torch.rand(3, 3, 8, 8) / 50, "ids": [0, 1, 1]}, "twice"),
    "unequal": (lambda: [torch.rand(3, 8, 8), torch.rand(3, 8, 9)], "one shape"),
    "empty": (lambda: torch.zeros(0, 3, 8, 8), "shape"),
    "nothing": (list, "a list of 0"),
    "texts": (lambda: {"a": "b"}, "a dict with 'a'"),
    "nested": (lambda: {"train": {"data": torch.rand(4, 3, 8, 8)}}, "no known poison"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_read_is_refused_with_the_rule(tmp_path: Path, case: str) -> None:
    make, words = REFUSED[case]
    with pytest.raises(DataError, match=words) as refused:
        load(torch_file(tmp_path / "x.pt", make()))
    assert refused.value.do


def test_pictures_in_a_torch_file(tmp_path: Path, data: ImageSet, poisoned: np.ndarray) -> None:
    """Torch's own reader refuses to build them; ours reads them as data."""
    pictures = [Image.fromarray(image.transpose(1, 2, 0)) for image in poisoned]
    imported = load(torch_file(tmp_path / "x.pt", {"data": pictures, "labels": data.labels.tolist()}), data)
    is_images(imported, data, poisoned)


# ---------------------------------------------------------------- npz and safetensors


@pytest.mark.parametrize(
    "names", [("data", "targets"), ("images", "labels"), ("x_train", "y_train"), ("arr_0", "labels")]
)
@pytest.mark.parametrize("form", ["uint8", "float", "int32 labels"])
def test_npz_of_other_programs(
    tmp_path: Path, data: ImageSet, poisoned: np.ndarray, names: tuple[str, str], form: str
) -> None:
    rows = poisoned.transpose(0, 2, 3, 1)
    rows = rows / np.float32(255) if form == "float" else rows
    labels = data.labels.numpy().astype(np.int32 if form == "int32 labels" else np.int64)
    np.savez_compressed(tmp_path / "x.npz", **{names[0]: rows, names[1]: labels})
    imported = load(tmp_path / "x.npz", data)
    assert imported.found.content == "images"
    assert imported.found.has_labels
    assert np.array_equal(imported.onto(data).images.numpy(), poisoned)


def test_bridgepure_holds_the_first_images_only(tmp_path: Path, data: ImageSet, poisoned: np.ndarray) -> None:
    np.savez(tmp_path / "data_targets.npz", data=poisoned[:30].transpose(0, 2, 3, 1), targets=data.labels[:30].numpy())
    imported = load(tmp_path / "data_targets.npz", data)
    assert imported.found.format == "npz_arrays"
    made = imported.onto(data)
    assert made.touched.nonzero()[:, 0].tolist() == list(range(30))
    assert np.array_equal(made.images[:30].numpy(), poisoned[:30])
    assert any("first 30 training images" in note for note in imported.found.notes)


def test_npz_heads_that_lie(tmp_path: Path) -> None:
    def written(member: bytes) -> Path:
        with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
            archive.writestr("data.npy", member)
        return tmp_path / "x.npz"

    whole = io.BytesIO()
    np.save(whole, np.zeros((4, 8, 8, 3), np.uint8))
    for bad in (whole.getvalue()[:-5], whole.getvalue().replace(b"(4, 8", b"(9, 8"), b"no array", b""):
        with pytest.raises(DataError, match=r"'data' in x.npz is damaged"):
            load(written(bad))
    objects = io.BytesIO()
    np.save(objects, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="never loaded"):
        load(written(objects.getvalue()))


@pytest.mark.parametrize("key", ["images", "data", "noise", "perturbation", "anything"])
def test_safetensors(tmp_path: Path, data: ImageSet, delta: np.ndarray, poisoned: np.ndarray, key: str) -> None:
    noise = key in ("noise", "perturbation")
    values = torch.from_numpy(delta).float() / 255 if noise else torch.from_numpy(poisoned)
    save_file(
        {key: values, "labels": data.labels}, tmp_path / "x.safetensors", {"recipe": '{"attack": {"name": "em"}}'}
    )
    imported = load(tmp_path / "x.safetensors", data)
    assert imported.found.format == "safetensors"
    assert imported.found.content == ("noise" if noise else "images")
    assert imported.recipe == {"attack": {"name": "em"}}
    assert np.array_equal(imported.onto(data).images.numpy(), poisoned)


def test_damaged_safetensors(tmp_path: Path) -> None:
    save_file({"noise": torch.rand(4, 3, 8, 8)}, tmp_path / "x.safetensors")
    whole = (tmp_path / "x.safetensors").read_bytes()
    (tmp_path / "x.safetensors").write_bytes(whole[:-4])
    with pytest.raises(DataError, match="not a safetensors file, or it is damaged"):
        load(tmp_path / "x.safetensors")


# ---------------------------------------------------------------- sorted by class


@pytest.mark.parametrize("form", ["as DUNE writes it", "with its own order"])
def test_sorted_by_class_is_said(tmp_path: Path, data: ImageSet, poisoned: np.ndarray, form: str) -> None:
    rows = np.argsort(data.labels.numpy(), kind="stable")
    if form == "with its own order":
        rows = np.concatenate([np.random.default_rng(0).permutation(rows[k : k + 10]) for k in range(0, 40, 10)])
    pairs = [((poisoned[i] / np.float32(255)), int(data.labels[i])) for i in rows]
    path = pickled(tmp_path / "DUNE.pkl", pairs)
    for clean in (data, None):
        imported = load(path, clean)
        assert any("sorted by class, as DUNE writes them" in note for note in imported.found.notes)
        assert np.array_equal(imported.image_set().images.numpy(), poisoned[rows])
    imported = load(path, data)
    if form == "as DUNE writes it":
        assert np.array_equal(imported.onto(data).images.numpy(), poisoned), "the clean images say which is which"
        assert "within a class" in imported.found.order
    else:
        assert "is not in the file" in imported.found.order
        with pytest.raises(DataError, match="in another order"):
            imported.onto(data)


def test_a_set_that_is_in_the_order_of_the_clean_one_is_not_called_sorted(
    tmp_path: Path, data: ImageSet, poisoned: np.ndarray
) -> None:
    rows = torch.argsort(data.labels, stable=True)
    clean = data.take(rows)
    imported = load(torch_file(tmp_path / "x.pt", (torch.from_numpy(poisoned)[rows], clean.labels)), clean)
    assert not any("sorted" in note for note in imported.found.notes)


def test_images_that_follow_no_clean_image_are_said(
    tmp_path: Path, data: ImageSet, delta: np.ndarray, poisoned: np.ndarray
) -> None:
    """Noise in bytes without a sign looks like pictures: -1 is 255 there."""
    wrapped = load(torch_file(tmp_path / "a.pt", torch.from_numpy(delta.astype(np.int8).view(np.uint8))), data)
    assert any("do not follow the clean images" in note for note in wrapped.found.notes)
    sound = load(torch_file(tmp_path / "b.pt", torch.from_numpy(poisoned)), data)
    assert not any("do not follow the clean images" in note for note in sound.found.notes)
