"""Training on npz files: the usual arrays of other programs, and never a test on poisoned images by accident."""

import json
import os
import zipfile

import numpy as np
import pytest
import torch

from ued_core.attacks import Cuda
from ued_core.context import Context
from ued_core.data import DATASETS, Npz, load_split, write_npz
from ued_core.data.provenance import Provenance, provenance, without_paths
from ued_core.errors import DataError
from ued_core.records import ImageSet

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (20, 12, 12, 3), dtype=np.uint8)
LABELS = np.arange(20) % 2


def load(path, **values):
    return Npz(path=str(path), **values).load(Context())


def all_rows(split):
    return torch.cat([split.train.images, split.test.images]), torch.cat([split.train.labels, split.test.labels])


def image_set(pixels=PIXELS, labels=LABELS, names=("a", "b")):
    return ImageSet(
        torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(),
        torch.from_numpy(labels.astype(np.int64)),
        names,
        "set",
    )


FORMS = {
    "ours": {"images": PIXELS, "labels": LABELS},
    "AVATAR": {"data": PIXELS, "targets": LABELS.astype(np.int32)},
    "Keras": {"x_train": PIXELS, "y_train": LABELS[:, None].astype(np.uint8)},
    "channels first": {"images": PIXELS.transpose(0, 3, 1, 2), "labels": LABELS},
    "floats": {"images": PIXELS.astype(np.float32) / 255, "labels": LABELS.astype(np.float64)},
    "doubles": {"images": PIXELS / 255, "labels": LABELS},
    "whole floats": {"images": PIXELS.astype(np.float32), "labels": LABELS},
    "wide integers": {"images": PIXELS.astype(np.int64), "labels": LABELS},
    "one-hot": {"images": PIXELS, "labels": np.eye(2)[LABELS]},
    "Fortran": {"images": np.asfortranarray(PIXELS), "labels": LABELS},
}


@pytest.mark.parametrize("form", list(FORMS))
def test_every_usual_form_gives_the_same_images(tmp_path, form):
    np.savez(tmp_path / "a.npz", **FORMS[form])
    split = load(tmp_path / "a.npz")
    assert (len(split.train), len(split.test)) == (16, 4)
    whole, notes = Npz(path=str(tmp_path / "a.npz")).whole("train", Context())
    assert np.array_equal(whole.images.numpy(), PIXELS.transpose(0, 3, 1, 2))
    assert whole.labels.tolist() == LABELS.tolist()
    assert whole.class_names == ("0", "1")
    assert any("rounded" in note for note in notes) == (form in ("floats", "doubles"))


def test_grey_images_and_labels_that_are_texts(tmp_path):
    np.savez(tmp_path / "a.npz", x=PIXELS[..., 0], y=np.array(["owl", "cat"])[LABELS])
    split = load(tmp_path / "a.npz")
    assert split.train.class_names == ("cat", "owl")
    assert "Converted 20: grey → RGB." in split.notes
    assert torch.equal(split.train.images[:, 0], split.train.images[:, 2])


def test_an_own_test_part_is_used(tmp_path):
    np.savez(
        tmp_path / "m.npz",
        train_images=PIXELS,
        train_labels=LABELS[:, None],
        test_images=PIXELS[:6] // 2,
        test_labels=LABELS[:6],
        val_images=PIXELS[:2],
        val_labels=LABELS[:2],
    )
    split = load(tmp_path / "m.npz")
    assert (len(split.train), len(split.test)) == (20, 6)
    assert any("val_images" in note for note in split.notes), "what is not read is said"
    assert not any("no clean" in note for note in split.notes)


def test_the_split_is_stratified_and_follows_the_seed(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=LABELS)
    first, again, other = (load(tmp_path / "a.npz", seed=seed, test_rate=0.3) for seed in (0, 0, 1))
    assert torch.bincount(first.test.labels).tolist() == [3, 3]
    assert torch.equal(first.test.images, again.test.images)
    assert not torch.equal(first.test.images, other.test.images)
    assert "give clean ones as test_path" in first.notes[0], "of a file of unknown origin"


def test_a_test_file(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=LABELS, class_names=np.array(["cat", "owl"]))
    np.savez(tmp_path / "t.npz", data=PIXELS[:4] // 2, targets=1 - LABELS[:4], class_names=np.array(["owl", "cat"]))
    split = load(tmp_path / "a.npz", test_path=str(tmp_path / "t.npz"))
    assert (len(split.train), split.train.class_names) == (20, ("cat", "owl"))
    assert split.test.labels.tolist() == LABELS[:4].tolist()
    assert any("renumbered by their names" in note for note in split.notes)
    np.savez(tmp_path / "o.npz", data=PIXELS[:4], targets=LABELS[:4], class_names=np.array(["owl", "dog"]))
    with pytest.raises(DataError, match="other classes: cat, dog"):
        load(tmp_path / "a.npz", test_path=str(tmp_path / "o.npz"))
    with pytest.raises(DataError, match="are the same"):
        load(tmp_path / "a.npz", test_path=str(tmp_path / "a.npz"))


def test_test_images_that_are_training_images_are_said(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=LABELS)
    np.savez(tmp_path / "t.npz", images=np.concatenate([PIXELS[:3], PIXELS[:2] // 2]), labels=LABELS[:5])
    split = load(tmp_path / "a.npz", test_path=str(tmp_path / "t.npz"))
    assert any("3 of the 5 test images are among the training images" in note for note in split.notes)


def test_sizes(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS[:, :, :10], labels=LABELS)
    np.savez(tmp_path / "t.npz", images=PIXELS, labels=LABELS)
    assert load(tmp_path / "a.npz").train.shape == (3, 12, 10)
    split = load(tmp_path / "a.npz", size=8)
    assert split.train.shape == split.test.shape == (3, 8, 8)
    assert any("→ 8 × 8" in note for note in split.notes)
    assert any("left out" in note for note in split.notes), "cut to the square"
    with pytest.raises(DataError, match=r"training images of 'a' are 10 × 12, the test images 12 × 12\. Choose a size"):
        load(tmp_path / "a.npz", test_path=str(tmp_path / "t.npz"))
    assert load(tmp_path / "a.npz", test_path=str(tmp_path / "t.npz"), size=9).test.shape == (3, 9, 9)


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"pictures": PIXELS, "labels": LABELS}, "no array that is called 'images'"),
        ({"images": PIXELS}, "no array that is called 'labels'"),
        ({"images": PIXELS, "data": PIXELS, "labels": LABELS}, "'images' and 'data', and nothing says which"),
        ({"images": PIXELS[:5], "labels": LABELS}, "5 images but 20 labels"),
        ({"data": PIXELS[:5], "labels": LABELS}, "5 images in 'data' but 20 labels"),
        ({"images": PIXELS - 0.5, "labels": LABELS}, "neither whole numbers from 0 to 255 nor numbers from 0 to 1"),
        ({"images": np.full((4, 8, 8, 3), np.nan), "labels": LABELS[:4]}, "neither whole numbers"),
        ({"images": PIXELS.astype(np.int16) - 1, "labels": LABELS}, "neither whole numbers"),
        ({"images": np.zeros((20, 12, 12, 4), np.uint8), "labels": LABELS}, "are no images"),
        ({"images": np.zeros((20, 12), np.uint8), "labels": LABELS}, "are no images"),
        ({"images": PIXELS, "labels": LABELS + 0.5}, "one whole number per image"),
        ({"data": PIXELS, "labels": LABELS - 1}, "run from -1 to 0"),
        ({"images": PIXELS, "labels": np.array([None] * 20)}, "pickled Python objects"),
        ({"images": PIXELS, "labels": np.arange(20)}, "has one usable image"),
        ({"x_train": PIXELS, "y_train": LABELS, "x_test": PIXELS}, "'test_labels'"),
        ({"data": PIXELS[:0], "labels": LABELS[:0]}, "no images"),
    ],
)
def test_files_that_cannot_be_used(tmp_path, arrays, words):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(DataError, match=words):
        load(tmp_path / "a.npz")


def test_no_file_and_no_npz(tmp_path):
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04 and so on")
    (tmp_path / "two").mkdir()
    for text, words in (
        ("", "No file is given"),
        ("none.npz", "There is no file"),
        ("b.npz", "not an npz"),
        ("two", "holds 0 npz files"),
    ):
        with pytest.raises(DataError, match=words):
            Npz(path=str(tmp_path / text) if text else "").load(Context())


def test_a_folder_with_one_file_is_that_file(tmp_path):
    (tmp_path / "up").mkdir()
    np.savez(tmp_path / "up" / "a.npz", images=PIXELS, labels=LABELS)
    assert len(load(tmp_path / "up").train) == 16


def test_the_cache_sees_another_file(tmp_path, ued_home):
    path = tmp_path / "a.npz"
    np.savez(path, images=PIXELS, labels=LABELS)
    before = load_split(Npz(path=str(path)), Context())
    np.savez(path, images=255 - PIXELS, labels=LABELS)
    assert not torch.equal(load_split(Npz(path=str(path)), Context()).train.images, before.train.images)


# ---------------------------------------------------------------- never a test on poisoned images by accident


@pytest.fixture
def poisoned(tmp_path):
    """A poisoned file of images whose data set nobody can load."""
    data = image_set()
    made = Cuda().poison(data, Context(seed=1)).as_training_set()
    recipe = {
        "attack": Cuda().to_json(),
        "poison_rate": 1.0,
        "seed": 1,
        "clean_hash": data.content_hash,
        "data": {"part": "train"},
    }
    write_npz(tmp_path / "p.npz", made, recipe=recipe)
    return tmp_path / "p.npz", data


def test_a_test_part_split_from_poisoned_images_is_refused(poisoned):
    path, _ = poisoned
    with pytest.raises(
        DataError, match=r"changed by cuda, and a test part split from them would be no clean one.*test_path"
    ):
        load(path)
    assert any(
        "hold a poison (cuda), and resizing can take it out" in note
        for note in load(path, split_poisoned=True, size=8).notes
    )
    split = load(path, split_poisoned=True)
    assert (len(split.train), len(split.test)) == (16, 4)
    assert (
        split.notes[0]
        == "The images of p.npz were changed by cuda already; an attack or a defence of the run comes on top."
    )
    assert split.notes[1].startswith("NOT CLEAN: the test images are changed by cuda")


def test_poisoned_test_images_and_the_originals_are_refused(poisoned, tmp_path):
    path, data = poisoned
    (tmp_path / "q.npz").write_bytes(path.read_bytes())
    with pytest.raises(DataError, match="The test images were changed by cuda"):
        load(path, test_path=str(tmp_path / "q.npz"))
    assert any("NOT CLEAN" in n for n in load(path, test_path=str(tmp_path / "q.npz"), split_poisoned=True).notes)
    write_npz(tmp_path / "c.npz", data, recipe={"clean_hash": data.content_hash, "data": {}})
    with pytest.raises(DataError, match="clean originals of the training images"):
        load(path, test_path=str(tmp_path / "c.npz"))
    np.savez(tmp_path / "t.npz", images=PIXELS // 2, labels=LABELS)
    assert not any("CLEAN" in note for note in load(path, test_path=str(tmp_path / "t.npz")).notes)


def test_the_clean_test_part_of_the_data_set_that_the_file_names(tmp_path):
    digits = DATASETS.build("digits")
    split = load_split(digits, Context())
    made = Cuda().poison(split.train, Context(seed=1)).as_training_set()
    recipe = {
        "attack": Cuda().to_json(),
        "clean_hash": split.train.content_hash,
        "data": {"dataset": digits.to_json(), "part": "train"},
    }
    write_npz(tmp_path / "p.npz", made, recipe=recipe)
    found = load(tmp_path / "p.npz")
    assert torch.equal(found.train.images, made.images)
    assert torch.equal(found.test.images, split.test.images)
    assert any(note.startswith("Tested on the clean test part of Digits") for note in found.notes)
    assert not Npz(path=str(tmp_path / "p.npz")).mirror_safe, "as digits"
    assert Npz(path=str(tmp_path / "p.npz"), mirror="yes").mirror_safe
    for change, words in (
        ({"clean_hash": "0" * 12}, "other images than those that Digits has here"),
        ({"data": {"dataset": digits.to_json(), "part": "test"}}, "they were its test part"),
        (
            {"data": {"dataset": {"name": "cifar10", "download": False}, "part": "train"}},
            "CIFAR-10, from which they were made, cannot be",
        ),
        (
            {"data": {"dataset": {"name": "folder", "path": str(tmp_path)}, "part": "train"}},
            "does not name a data set that can be loaded",
        ),
        ({"data": "digits"}, "does not name a data set"),
    ):
        write_npz(tmp_path / "p.npz", made, recipe={**recipe, **change})
        with pytest.raises(DataError, match=words):
            load(tmp_path / "p.npz")


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        (None, None), ("x", None), ({}, None), ({"other": 1}, None), ([], None),
        ({"attack": {"name": "cuda"}, "clean_hash": "a"}, Provenance(("cuda",), None, "", "a")),
        ({"attack": {"name": "cuda"}, "poison_rate": 0.0}, Provenance()),
        ({"attack": 5, "data": 3}, Provenance(("5",))),
        ({"defenses": [{"name": "coin"}, "jpeg"], "given_hash": "g"}, Provenance(("coin", "jpeg"), None, "", "g")),
        ({"defenses": ["coin"], "given_hash": "g", "given": {"attack": {"name": "cuda"}, "clean_hash": "a", "data":
         {"part": "train"}}}, Provenance(("cuda", "coin"), None, "train", "a")),
        ({"data": {"dataset": "digits", "part": "test"}, "clean_hash": "c"}, Provenance((), "digits", "test", "c")),
    ],
)  # fmt: skip
def test_what_a_recipe_says(recipe, expected):
    assert provenance(recipe) == expected


def test_a_recipe_without_end(tmp_path):
    recipe = {"attack": {"name": "cuda"}}
    for _ in range(100):
        recipe = {"given": recipe}
    assert provenance(recipe) is None
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=LABELS, recipe=np.array(json.dumps(recipe)))
    np.savez(tmp_path / "b.npz", images=PIXELS, labels=LABELS, recipe=np.zeros(3))
    assert len(load(tmp_path / "a.npz").train) == len(load(tmp_path / "b.npz").train) == 16


# ---- what a file may claim, and what is silent ------------------------------------------------


def test_names_of_many_classes_do_not_move_images_to_the_test_part(tmp_path):
    """ImageNet's thousand names beside images of two classes; labels of 255."""
    many = np.array([f"n{i}" for i in range(1000)])
    for name, arrays in {
        "names": {"images": PIXELS, "labels": LABELS, "class_names": many},
        "gaps": {"images": PIXELS, "labels": LABELS * 255},
        "gaps32": {"x": PIXELS, "y": (LABELS * 255).astype(np.int32)},
    }.items():
        np.savez(tmp_path / f"{name}.npz", **arrays)
        split = load(tmp_path / f"{name}.npz")
        assert (len(split.train), len(split.test)) == (16, 4), name
        assert any("classes have no training images" in note for note in split.notes), name


def test_classes_without_images_and_test_images_of_such_are_said(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=PIXELS, y_train=LABELS + 1, x_test=PIXELS[:4] // 2, y_test=[1, 2, 3, 3])
    notes = load(tmp_path / "a.npz").notes
    assert "2 of 4 classes have no training images: '0', '3'." in notes
    assert any(note.startswith("2 of the 4 test images are of classes without training images") for note in notes)


def test_one_class_is_refused(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=LABELS * 0)
    with pytest.raises(DataError, match="All 20 images of 'a' are of one class"):
        load(tmp_path / "a.npz")


@pytest.mark.parametrize(("descr", "shape"), [("<U0", (10**11,)), ("<U2", (20_000,))])
def test_names_without_end(tmp_path, descr, shape):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for key, array in {"images": PIXELS, "labels": LABELS.astype(np.int64)}.items():
            with archive.open(f"{key}.npy", "w") as member:
                np.save(member, array)
        with archive.open("class_names.npy", "w") as member:
            np.lib.format.write_array_header_1_0(member, {"descr": descr, "fortran_order": False, "shape": shape})
            member.write(b"\0" * (np.dtype(descr).itemsize * shape[0]))
    with pytest.raises(DataError, match=r"class_names.*no content|names 20,000 classes; at most 10,000"):
        load(tmp_path / "a.npz")


def test_names_are_fit_to_be_shown_and_no_two_are_equal(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=LABELS, class_names=np.array(["a", "a", "\x1b[31mred\n"]))
    assert load(tmp_path / "a.npz").train.class_names == ("a", "a (2)", "[U+001B][31mred[U+000A]")


def test_equal_names_in_another_order_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=LABELS, class_names=np.array(["a", "b", "a"]))
    np.savez(tmp_path / "b.npz", images=PIXELS // 2, labels=LABELS, class_names=np.array(["a", "a", "b"]))
    with pytest.raises(DataError, match="two classes have the same name"):
        load(tmp_path / "a.npz", test_path=str(tmp_path / "b.npz"))


def test_numbers_that_are_taken_for_the_names_of_the_test_part_are_said(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=LABELS)
    np.savez(tmp_path / "b.npz", images=PIXELS // 2, labels=np.array(["owl", "cat"])[LABELS])
    assert any(
        "Only the test part names its classes" in note
        for note in load(tmp_path / "a.npz", test_path=str(tmp_path / "b.npz")).notes
    )


@pytest.mark.parametrize("key", ["images", "x"])
def test_images_of_zeros_and_ones_in_bytes_are_said(tmp_path, key):
    np.savez(tmp_path / "a.npz", **{key: PIXELS // 128}, labels=LABELS)
    assert any("largest value of" in note and "1 of 255" in note for note in load(tmp_path / "a.npz").notes)


def test_labels_in_one_column(tmp_path):
    np.savez(tmp_path / "a.npz", images=PIXELS, labels=LABELS[:, None].astype(np.int64))
    assert len(load(tmp_path / "a.npz").train) == 16


@pytest.mark.parametrize("kind", ["npz", "idx", "parquet"])
def test_paths_that_are_no_files(tmp_path, kind):
    os.mkfifo(tmp_path / "pipe.npz")
    for path, words in {
        f"{tmp_path}/a\0b": "is no path",
        "~nobody-of-this-name/x.npz": "is no path",
        "/" + "x" * 3000: "longer than the file system allows",
        str(tmp_path / "pipe.npz"): "a FIFO",
        str(tmp_path / "none.npz"): "There is no file or folder",
    }.items():
        with pytest.raises(DataError, match=words):
            DATASETS.build(kind, path=path).load(Context())


def test_a_recipe_of_any_length_is_told_in_short(tmp_path):
    recipe = {"attack": "x" * 100_000, "defenses": ["\x1b[31m"] * 1000}
    told = provenance(recipe).changes
    assert len("".join(told)) < 2000
    assert "\x1b" not in "".join(told)


def test_a_recipe_that_is_passed_on_names_no_path():
    inner = {
        "attack": {"name": "cuda"},
        "data": {"dataset": {"name": "folder", "path": "/home/me/secret"}, "part": "train"},
    }
    assert without_paths({"given": inner, "defenses": []}) == {
        "given": {"attack": {"name": "cuda"}, "data": {"part": "train"}}, "defenses": [],
    }  # fmt: skip
    kept = {"data": {"dataset": {"name": "shapes", "seed": 1}}, "attack": {"name": "cuda"}}
    assert without_paths(kept) == kept
