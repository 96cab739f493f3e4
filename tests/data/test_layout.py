"""What is a part and what is a class, by the names of the folders alone."""

import pytest

from ued_core.data.layout import MAX_CLASSES, find_layout, part_of
from ued_core.data.report import Report
from ued_core.data.walk import Found, Tree
from ued_core.errors import DataError


def laid_out(*names, folders=()):
    files = sorted(Found(tuple(name.split("/")), 1) for name in names)
    every = {file.parts[:depth] for file in files for depth in range(1, len(file.parts))} | {
        tuple(name.split("/")) for name in folders
    }
    report = Report()
    return find_layout(Tree(files, sorted(every)), "The folder 'x'", report), report.lines()


def in_parts(train, test, *more):
    parts = [(train, 3), (test, 2), *((name, 1) for name in more)]
    return laid_out(
        *(
            f"{part}/{label}/{n}.png"
            for part, count in parts
            for label in ("apple", "pear", "plum")
            for n in range(count)
        )
    )


TRAIN = [
    "train",
    "Train",
    "TRAIN",
    "training",
    "Training",
    "seg_train",
    "train_images",
    "trainset",
    "train2017",
    "Training data",
    "trn",
]
TEST = [
    "test",
    "TEST",
    "Testing",
    "test_set",
    "seg_test",
    "valid",
    "Validation",
    "val",
    "val2017",
    "dev",
    "eval",
    "holdout",
    "hold-out",
]


@pytest.mark.parametrize("train", TRAIN)
def test_usual_names_of_the_training_part(train):
    assert part_of(train) == "train"
    layout, notes = in_parts(train, "test")
    assert (layout.class_names, len(layout.train), len(layout.test)) == (("apple", "pear", "plum"), 9, 6)
    assert notes == ()


@pytest.mark.parametrize("test", TEST)
def test_usual_names_of_the_test_part(test):
    assert part_of(test) in ("test", "val")
    layout, notes = in_parts("train", test)
    assert (layout.class_names, len(layout.train), len(layout.test)) == (("apple", "pear", "plum"), 9, 6)
    assert notes == ()


@pytest.mark.parametrize(
    "name", ["cat", "trains", "trail", "bus", "valley", "device", "tested", "2019", "contest", "latest", "images", ""]
)
def test_other_names_are_no_parts(name):
    assert part_of(name) == ""


def test_of_test_and_validation_part_the_test_part_is_taken():
    layout, notes = in_parts("train", "test", "val")
    assert (len(layout.train), len(layout.test)) == (9, 6)
    assert notes == ("'val' is neither the training part ('train') nor the test part ('test'): left out, 3 images.",)


@pytest.mark.parametrize("wrap", ["set/", "a/b/", "images/"])
def test_folders_that_wrap_everything_are_left_out(wrap):
    layout, _ = laid_out(*(f"{wrap}{part}/{label}/1.png" for part in ("train", "test") for label in "ab"))
    assert (layout.class_names, len(layout.train), len(layout.test)) == (("a", "b"), 2, 2)


@pytest.mark.parametrize("inside", ["train", "images", "seg_train/images"])
def test_folders_that_wrap_the_classes_of_a_part_are_left_out(inside):
    layout, notes = laid_out(*(f"train/{inside}/{c}/1.png" for c in "ab"), *(f"test/{c}/1.png" for c in "ab"))
    assert (layout.class_names, len(layout.train), len(layout.test)) == (("a", "b"), 2, 2)
    assert notes == ()


def test_a_training_part_alone_is_divided_with_a_note():
    for names in (["train/a/1.png", "train/b/1.png"], ["train/a/1.png", "train/b/1.png", "test/1.png", "test/2.png"]):
        layout, notes = laid_out(*names)
        assert (layout.class_names, len(layout.train), layout.test) == (("a", "b"), 2, [])
        assert "the test part is drawn from it" in notes[0]


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ["fold1/a/1.png", "fold1/b/1.png", "fold2/a/1.png", "fold2/b/1.png"],
            "same subfolders.*'a' and 'b'.*Parts: name them 'train'.*Classes: put",
        ),
        (
            ["cat/day/1.png", "cat/night/1.png", "dog/day/1.png", "dog/night/1.png"],
            "not clear whether they are parts or classes",
        ),
        (
            ["cat/train/1.png", "cat/test/1.png", "dog/train/1.png", "dog/test/1.png"],
            "every class .* holds parts.*train/CLASS",
        ),
        (
            ["train/a/1.png", "train/b/1.png", "extra/a/1.png", "extra/b/1.png"],
            "'train' .* images in 'extra'.*name the other one 'test'",
        ),
        (
            ["train/day/1.png", "train/night/1.png", "bus/1.png", "car/1.png"],
            "images in 'bus' and 'car'.*without subfolders",
        ),
        (
            ["train/a/1.png", "train/b/1.png", "training/a/1.png", "training/b/1.png"],
            "'train' and 'training' .* same part",
        ),
        (
            ["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/1.png", "eval/a/1.png"],
            "'eval' and 'test' .* same part",
        ),
        (
            ["test/a/1.png", "test/b/1.png", "val/a/1.png", "val/b/1.png"],
            "no training part beside it.*Name the training part 'train'",
        ),
        (["train/a/1.png", "train/b/1.png", "test/a/1.png", "test/c/1.png"], "not have the same classes.*b, c"),
    ],
)
def test_what_is_not_clear_is_refused_with_the_way_out(names, words):
    with pytest.raises(DataError, match=words):
        laid_out(*names)


def test_classes_may_hold_folders_of_their_own():
    layout, notes = laid_out("cat/1.png", "cat/old/2.png", "dog/old/1.png", "dog/new/1.png")
    assert notes == ("'cat' and 'dog' hold subfolders; their images count as images of the top folder's class.",)
    assert layout.class_names == ("cat", "dog")
    assert [label for _, label in layout.train] == [0, 0, 1, 1]
    layout, _ = laid_out("cat/images/1.png", "dog/images/1.png")
    assert layout.class_names == ("cat", "dog")


def test_numbers_are_names_of_classes_and_keep_the_order_of_their_characters():
    for numbers in (["1", "2", "10"], ["1998", "2004"], ["0", "5", "7"]):
        layout, _ = laid_out(*(f"{number}/x.png" for number in numbers))
        assert layout.class_names == tuple(sorted(numbers))
        assert {layout.class_names[label] for _, label in layout.train} == set(numbers)
        assert all(file.parts[0] == layout.class_names[label] for file, label in layout.train)


def test_names_are_composed_and_kept_apart():
    layout, _ = laid_out("train/caf\u0065\u0301/1.png", "train/b/1.png", "test/caf\u00e9/1.png", "test/b/1.png")
    assert layout.class_names == ("b", "caf\u00e9"), "one name, in two ways to write it, as macOS and Linux do"
    layout, _ = laid_out("caf\udce9/1.png", "caf\udce8/1.png", "b/1.png")
    assert layout.class_names == ("b", "caf\ufffd", "caf\ufffd (2)")


def test_parts_that_hold_images_are_classes_with_a_note():
    layout, notes = laid_out("train/1.png", "test/1.png")
    assert layout.class_names == ("test", "train")
    assert "taken for classes" in notes[0]


def test_too_many_classes_are_refused():
    with pytest.raises(DataError, match=f"{MAX_CLASSES + 1:,} classes; at most {MAX_CLASSES:,}"):
        laid_out(*(f"{number}/x.png" for number in range(MAX_CLASSES + 1)))


def test_what_is_left_out_is_named():
    _, notes = laid_out(
        "a/1.png", "b/1.png", "a/x.txt", "b/photo.heif", "stray.png", "recipe.json", folders=["c", "a/deep"]
    )
    assert any("stray.png" in note and "outside any class folder" in note for note in notes)
    assert any("a class without images (c)" in note for note in notes)
    assert any("a/x.txt" in note for note in notes)
    assert not any("recipe.json" in note for note in notes)
