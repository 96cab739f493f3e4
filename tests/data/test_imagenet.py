"""A folder of ImageNet: which classes are taken, in which order, how they are called, and what is refused."""

import pytest
from PIL import Image

from ued_core.context import Context
from ued_core.data import DATASETS, load_split, origin_json
from ued_core.data.cache import is_kept
from ued_core.data.imagenet import ImageNet
from ued_core.errors import Cancelled, DataError, NotAllowed, Unavailable
from ued_core.person import Person
from ued_core.runs.permission import check_data

IDS = [f"n0{1440764 + 10 * k}" for k in range(5)]


@pytest.fixture
def folder(tmp_path):
    """Five classes, three training and two validation photographs each; the red of one is its class."""
    root = tmp_path / "ILSVRC/Data/CLS-LOC"
    for part, count in (("train", 3), ("val", 2)):
        for label, wnid in enumerate(IDS):
            (root / part / wnid).mkdir(parents=True)
            for number in range(count):
                # ImageNet has PNG files that are called JPEG, and JPEG files in CMYK.
                picture = Image.new("RGB", (50, 40), (40 * label, 90 * number, 7))
                picture.save(root / part / wnid / f"{wnid}_{number}.JPEG", "PNG")
    return root


def load(root, **values):
    return ImageNet(**{"path": str(root), "size": 16, "classes": 0, **values}).load(Context())


def check(split, order):
    for part, count in ((split.train, 3), (split.test, 2)):
        assert part.labels.tolist() == [label for label in range(len(order)) for _ in range(count)]
        assert part.images[:, 0, 8, 8].tolist() == [40 * IDS.index(wnid) for wnid in order for _ in range(count)]


def test_all_classes_in_the_order_of_their_ids(folder):
    split = load(folder)
    check(split, IDS)
    assert split.train.class_names == tuple(IDS)
    assert split.train.shape == (3, 16, 16)


def test_the_first_classes(folder):
    check(load(folder, classes=3), IDS[:3])
    with pytest.raises(DataError, match=r"classes is 100, but train in .* has 5\. Take fewer, or 0 for all"):
        load(folder, classes=100)


def test_a_list_decides_classes_order_and_names(folder, tmp_path):
    (tmp_path / "mine.txt").write_text(f"# mine\n{IDS[4]}\n\n{IDS[1]} my tench, another name\r\n{IDS[0]}\tfish\n")
    (folder / "synset_words.txt").write_text(f"{IDS[4]} goldfish, Carassius auratus\n{IDS[1]} not this one\n")
    split = load(folder, class_list=str(tmp_path / "mine.txt"), classes=2)
    check(split, [IDS[4], IDS[1], IDS[0]])
    assert split.train.class_names == ("goldfish", "my tench", "fish")


@pytest.mark.parametrize("above", [0, 1, 3])
def test_names_from_the_file_of_the_publisher(folder, above):
    place = [folder, *folder.parents][above]
    (place / "LOC_synset_mapping.txt").write_text("".join(f"{wnid} kind {k}, too\n" for k, wnid in enumerate(IDS)))
    assert load(folder).train.class_names == tuple(f"kind {k}" for k in range(5))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tench\n", r"Line 1 of mine\.txt begins with 'tench', which is no WordNet id"),
        (f"{IDS[0]}5\n{IDS[1]}\n", "Line 1 of .* which is no WordNet id"),
        (f"{IDS[0]}\n{IDS[0]}\n", "Line 2 of .* a second time"),
        (f"{IDS[0]}\n", "names 1 classes; two are needed"),
        (f"{IDS[0]}\nn99999999\n", "train in .* has no folder for 1 of 2 classes: n99999999"),
    ],
)
def test_bad_lists(folder, tmp_path, text, words):
    (tmp_path / "mine.txt").write_text(text)
    with pytest.raises(DataError, match=words):
        load(folder, class_list=str(tmp_path / "mine.txt"))


def test_what_is_missing_is_told(folder, tmp_path):
    with pytest.raises(Unavailable, match=r"No folder of ImageNet is given\. Give its path\."):
        ImageNet().load(Context())
    assert ImageNet().identity()["files"] is None
    assert not is_kept(ImageNet())
    with pytest.raises(DataError, match="There is no folder .*gone"):
        load(tmp_path / "gone")
    with pytest.raises(DataError, match="There is no file .*gone"):
        load(folder, class_list=str(tmp_path / "gone.txt"))
    with pytest.raises(DataError, match="There is no folder train in"):
        load(tmp_path)
    for image in sorted((folder / "val").rglob("*.JPEG")):
        image.rename(folder / "val" / image.name)
    for wnid in IDS:
        (folder / "val" / wnid).rmdir()
    with pytest.raises(DataError, match=r"The folder val in .* has no folder that is named after a WordNet id"):
        load(folder)


def test_a_class_without_validation_images_is_told(folder):
    for image in (folder / "val" / IDS[2]).iterdir():
        image.unlink()
    (folder / "val" / IDS[2]).rmdir()
    with pytest.raises(DataError, match=f"val in .* has no folder for 1 of 5 classes: {IDS[2]}"):
        load(folder)


def test_damaged_and_other_files_are_named(folder):
    (folder / "train" / IDS[0] / f"{IDS[0]}_0.JPEG").write_bytes(b"\xff\xd8 broken")
    (folder / "train" / IDS[1] / "notes.txt").write_text("x")
    split = load(folder)
    assert len(split.train) == 14
    assert f"Left out, because they are no images: {IDS[1]}/notes.txt." in split.notes
    assert any(note.startswith("Skipped 1") and f"train/{IDS[0]}/{IDS[0]}_0.JPEG" in note for note in split.notes)


def test_the_cache_follows_files_lists_and_names(folder, tmp_path):
    (tmp_path / "mine.txt").write_text(f"{IDS[0]}\n{IDS[1]}\n")
    dataset = ImageNet(path=str(folder), size=16, class_list=str(tmp_path / "mine.txt"))
    load_split(dataset, Context())
    assert is_kept(dataset)
    (folder / "words.txt").write_text(f"{IDS[0]}\ttench\n")
    assert not is_kept(dataset), "a class has another name"
    assert load_split(dataset, Context()).train.class_names == ("tench", IDS[1])
    (tmp_path / "mine.txt").write_text(f"{IDS[1]}\n{IDS[0]}\n")
    assert not is_kept(dataset), "the classes have another order"


def test_paths_are_nobodys_business(folder):
    dataset = ImageNet(path=str(folder))
    assert origin_json(dataset, "train") == {"part": "train"}
    with pytest.raises(NotAllowed):
        check_data(dataset, Person("a", "A"))


def test_the_terms_are_told():
    assert "have to be accepted at the publisher's" in DATASETS["imagenet"].about()


def test_looking_through_the_folders_can_be_cancelled(folder):
    seen = []
    ctx = Context(on_report=lambda *report: seen.append(report), stop=lambda: len(seen) >= 3)
    with pytest.raises(Cancelled):
        load_split(ImageNet(path=str(folder), classes=0), ctx)
    assert seen == [(k, 5, "Looking through the folders of the classes") for k in range(3)]
