"""Every published set of photographs from a tiny copy in its official layout, whole, damaged and missing."""

import errno
import hashlib
import io
import json
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image
from torchvision import datasets

from ued_core.context import Context
from ued_core.data import DATASETS, decoding, load_split
from ued_core.data.cache import is_kept
from ued_core.data.photo_sets import PHOTO_SETS, EuroSat, Flowers, Gtsrb, Imagenette, Pets, Sun397, Textures
from ued_core.errors import Cancelled, DataError, NotAllowed, Unavailable
from ued_core.params import fingerprint
from ued_core.person import Person
from ued_core.runs.permission import check_data

PETS = ("Abyssinian", "american_bulldog", "Sphynx")
FLOWERS = {"train": 3, "val": 2, "test": 4}
DISHES = ("apple_pie", "waffles")
SCENES = ("/a/abbey", "/a/apse/indoor", "/z/zoo")
NETTE = ("n01440764", "n02102040")


def colour(label: int, number: int) -> tuple[int, int, int]:
    return 60 * label % 256, 17 * number % 256, 200


def save(path: Path, label: int, number: int, size: tuple[int, int] = (40, 30), kind: str = "PNG") -> None:
    """A flat picture whose red is its class; the file is whatever its name says it is called."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, colour(label, number)).save(path, kind)


def lines(path: Path, found: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in found))


def mat(path: Path, **values: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scipy.io.savemat(path, values)


def pets(root: Path, _: pytest.MonkeyPatch) -> None:
    base = root / "oxford-iiit-pet"
    for part, count in (("trainval", 3), ("test", 2)):
        listed = []
        for label, name in enumerate(PETS):
            for number in range(count):
                image = f"{name}_{100 * (part == 'test') + number}"
                save(base / f"images/{image}.jpg", label, number)
                listed.append(f"{image} {label + 1} {1 + name.islower()} {number}")
        lines(base / f"annotations/{part}.txt", listed)


def cars(root: Path, _: pytest.MonkeyPatch) -> None:
    base = root / "stanford_cars"
    mat(base / "devkit/cars_meta.mat", class_names=np.array([["Audi", "BMW"]], object))
    for part, place in (("train", "devkit/cars_train_annos.mat"), ("test", "cars_test_annos_withlabels.mat")):
        rows = []
        for label in range(2):
            for number in range(3):
                name = f"{label}{number}.jpg"
                save(base / f"cars_{part}" / name, label, number)
                rows.append((0, 0, 9, 9, label + 1, name))
        fields = [(name, "O") for name in ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")]
        mat(base / place, annotations=np.array([rows], dtype=fields))


def flowers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    base, number = root / "flowers-102", 1
    labels: list[int] = []
    ids: dict[str, list[int]] = {}
    for part, count in FLOWERS.items():
        ids[part] = []
        for label in (0, 101):
            for _ in range(count):
                save(base / f"jpg/image_{number:05d}.jpg", label, number)
                labels.append(label + 1)
                ids[part].append(number)
                number += 1
    mat(base / "imagelabels.mat", labels=np.array([labels], np.uint8))
    mat(base / "setid.mat", trnid=[ids["train"]], valid=[ids["val"]], tstid=[ids["test"]])
    known = dict(datasets.Flowers102._file_dict)
    for what, name in (("label", "imagelabels.mat"), ("setid", "setid.mat")):
        known[what] = (name, hashlib.md5((base / name).read_bytes()).hexdigest())
    monkeypatch.setattr(datasets.Flowers102, "_file_dict", known)


def food(root: Path, _: pytest.MonkeyPatch) -> None:
    for part, count in (("train", 3), ("test", 1)):
        listed: dict[str, list[str]] = {}
        for label, name in enumerate(DISHES):
            listed[name] = [f"{name}/{part == 'test':d}{number}" for number in range(count)]
            for number, image in enumerate(listed[name]):
                save(root / f"food-101/images/{image}.jpg", label, number)
        (root / "food-101/meta").mkdir(exist_ok=True)
        (root / f"food-101/meta/{part}.json").write_text(json.dumps(listed))


def sun397(root: Path, _: pytest.MonkeyPatch) -> None:
    base = root / "SUN397"
    lines(base / "ClassName.txt", list(SCENES))
    for word, count in (("Training", 3), ("Testing", 2)):
        listed = [f"{name}/sun_{word[:2].lower()}{number}.jpg" for name in SCENES for number in range(count)]
        for place, line in enumerate(listed):
            save(base / line[1:], place // count, place % count)
        lines(base / f"{word}_01.txt", listed)
        lines(base / f"{word}_02.txt", listed[::-1])


def eurosat(root: Path, _: pytest.MonkeyPatch) -> None:
    for label, name in enumerate(("Forest", "River")):
        for number in range(10):
            save(root / f"eurosat/2750/{name}/{name}_{number}.jpg", label, number, (64, 64))


def gtsrb(root: Path, _: pytest.MonkeyPatch) -> None:
    base = root / "gtsrb"
    for label in (3, 14):
        for number in range(3):
            save(base / f"GTSRB/Training/{label:05d}/0000{number}.ppm", label, number, (25, 30), "PPM")
        lines(base / f"GTSRB/Training/{label:05d}/GT-{label:05d}.csv", ["Filename;ClassId", f"00000.ppm;{label}"])
    listed = ["Filename;Width;Height;Roi.X1;Roi.Y1;Roi.X2;Roi.Y2;ClassId"]
    for number, label in enumerate((14, 3, 14)):
        save(base / f"GTSRB/Final_Test/Images/0000{number}.ppm", label, number, (25, 30), "PPM")
        listed.append(f"0000{number}.ppm;25;30;5;5;20;25;{label}")
    lines(base / "GT-final_test.csv", listed)


def dtd(root: Path, _: pytest.MonkeyPatch) -> None:
    base = root / "dtd/dtd"
    for part, count in (("train", 3), ("val", 1), ("test", 2)):
        listed = []
        for label, name in enumerate(("banded", "zigzagged")):
            for number in range(count):
                image = f"{name}/{name}_{part}{number}.jpg"
                save(base / "images" / image, label, number)
                listed.append(image)
        lines(base / f"labels/{part}1.txt", listed)
        lines(base / f"labels/{part}2.txt", listed[::-1])


def imagenette(root: Path, _: pytest.MonkeyPatch) -> None:
    for part, count in (("train", 3), ("val", 2)):
        for label, name in enumerate(NETTE):
            for number in range(count):
                save(root / f"imagenette2-160/{part}/{name}/{number}.JPEG".replace("JPEG", "jpeg"), label, number)


COPIES: dict[str, Callable[[Path, pytest.MonkeyPatch], None]] = {
    "pets": pets, "cars": cars, "flowers": flowers, "food": food, "sun397": sun397, "eurosat": eurosat,
    "gtsrb": gtsrb, "dtd": dtd, "imagenette": imagenette,
}  # fmt: skip
# Labels of the training and of the test part, names of two classes, a list and a place that must be there.
EXPECTED: dict[str, tuple[list[int], list[int], dict[int, str], str, str]] = {
    "pets": ([0, 0, 0, 1, 1, 1, 2, 2, 2], [0, 0, 1, 1, 2, 2], {0: "Abyssinian", 1: "American Bulldog"},
             "oxford-iiit-pet/annotations/test.txt", "oxford-iiit-pet/annotations"),
    "cars": ([0, 0, 0, 1, 1, 1], [0, 0, 0, 1, 1, 1], {0: "Audi", 1: "BMW"},
             "stanford_cars/devkit/cars_meta.mat", "stanford_cars/devkit/cars_meta.mat"),
    "flowers": ([0, 0, 0, 101, 101, 101], [0] * 4 + [101] * 4, {0: "pink primrose", 101: "blackberry lily"},
                "flowers-102/setid.mat", "flowers-102/setid.mat"),
    "food": ([0, 0, 0, 1, 1, 1], [0, 1], {0: "apple_pie", 1: "waffles"}, "food-101/meta/train.json", "food-101"),
    "sun397": ([0, 0, 0, 1, 1, 1, 2, 2, 2], [0, 0, 1, 1, 2, 2], {0: "abbey", 1: "apse/indoor"},
               "SUN397/Testing_01.txt", "Partitions/Training_01.txt"),
    "eurosat": ([0] * 8 + [1] * 8, [0, 0, 1, 1], {0: "Forest", 1: "River"}, "", "eurosat/2750"),
    "gtsrb": ([3, 3, 3, 14, 14, 14], [14, 3, 14], {0: "speed limit 20", 14: "stop"},
              "gtsrb/GT-final_test.csv", "gtsrb/GTSRB/Final_Test/Images"),
    "dtd": ([0, 0, 0, 1, 1, 1], [0, 0, 1, 1], {0: "banded", 1: "zigzagged"}, "dtd/dtd/labels/train1.txt", "dtd/dtd"),
    "imagenette": ([0, 0, 0, 1, 1, 1], [0, 0, 1, 1], {0: "tench", 1: "English springer"}, "", "imagenette2-160"),
}  # fmt: skip
every_set = pytest.mark.parametrize("name", list(COPIES))


@pytest.fixture
def copy(ued_home: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Writes the tiny copy of a set into the data folder, and gives that folder."""

    def make(name: str) -> Path:
        root = ued_home / "data"
        COPIES[name](root, monkeypatch)
        return root

    return make


def no_network(*_: Any, **__: Any) -> None:
    raise AssertionError("the network was asked")


def load(name: str, **values: Any):
    return DATASETS.build(name, **{"size": 16, **values}).load(Context())


def reds(images) -> list[int]:
    return images.images[:, 0, 8, 8].tolist()


def test_every_set_is_tested_here_and_says_its_terms():
    assert [entry.key for entry in PHOTO_SETS] == list(COPIES) == list(EXPECTED)
    for entry in PHOTO_SETS:
        told = entry.publication
        words = (
            f"{told.train:,} training",
            f"{told.test:,} test",
            f"{told.classes} classes",
            told.licence,
            "data of the",
        )
        assert all(word in entry.about() for word in words)
        assert told.address.startswith("https://")
        assert not entry.embedded


@every_set
def test_the_official_layout(name, copy, monkeypatch):
    copy(name)
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    train, test, names, _, _ = EXPECTED[name]
    split = load(name)
    assert split.train.labels.tolist() == train
    assert split.test.labels.tolist() == test
    assert {label: split.train.class_names[label] for label in names} == names
    assert split.train.images.shape == (len(train), 3, 16, 16)
    for part in (split.train, split.test):
        # The red of a picture is its class, so images and labels belong together.
        assert reds(part) == [60 * label % 256 for label in part.labels.tolist()]
        assert part.name == name
    counts = DATASETS[name].publication
    told = f"{DATASETS[name].title} has {counts.train:,} training images, but {len(train):,} are listed here."
    assert told in split.notes
    assert any(note.startswith("Resized") for note in split.notes)
    assert not any("poison" in note for note in split.notes), "published images are known to be clean"


@every_set
def test_the_second_load_comes_from_the_cache_until_a_file_changes(name, copy):
    root = copy(name)
    dataset = DATASETS.build(name, size=16)
    assert not is_kept(dataset)
    first = load_split(dataset, Context())
    assert is_kept(dataset)
    again = load_split(dataset, Context())
    assert again.train.content_hash == first.train.content_hash
    assert again.notes == first.notes
    image = next(path for path in sorted(root.rglob("*")) if path.suffix in (".jpg", ".ppm", ".jpeg"))
    save(image, 1, 200, kind="PPM" if image.suffix == ".ppm" else "PNG")
    assert not is_kept(dataset)


@every_set
def test_offline_the_message_names_files_folder_and_publisher(name, ued_home, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(Unavailable) as caught:
        load_split(DATASETS.build(name), Context())
    missing = EXPECTED[name][4]
    for words in (missing, str(ued_home / "data"), DATASETS[name].publication.address):
        assert words in str(caught.value)
    assert ("Downloading is switched off." in str(caught.value)) == (name != "cars")
    assert DATASETS.build(name).identity()["files"] is None
    assert not is_kept(DATASETS.build(name))


@pytest.mark.parametrize("name", [name for name in COPIES if name != "cars"])
def test_without_a_network_the_message_says_so_and_nothing_is_left(name, ued_home, monkeypatch):

    for word in ("Training", "Testing"):
        # SUN397 is not fetched without its division.
        lines(ued_home / f"data/Partitions/{word}_01.txt", [])

    def unreachable(request, timeout):
        assert timeout == 30, "a server that does not answer must not be waited for without end"
        raise OSError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(Unavailable, match=r"could not be downloaded from http.*no route to host") as caught:
        DATASETS.build(name, download=True).load(Context())
    assert str(ued_home / "data") in str(caught.value)
    left = [path.name for path in (ued_home / "data").rglob("*") if path.is_file() and path.suffix != ".lock"]
    assert sorted(left) == ["Testing_01.txt", "Training_01.txt"]


@every_set
def test_damaged_and_missing_images_are_named_and_skipped(name, copy):
    root = copy(name)
    found = sorted(path for path in root.rglob("*") if path.suffix in (".jpg", ".ppm", ".jpeg"))
    whole = load(name)
    # Class folders or lists put the first files into the training part; not all of a class.
    damaged = next(path for path in found if "test" not in str(path.relative_to(root)).lower())
    damaged.write_bytes(damaged.read_bytes()[:40])
    split = load(name)
    assert len(split.train) + len(split.test) == len(whole.train) + len(whole.test) - 1
    told = [note for note in split.notes if note.startswith("Skipped 1")]
    assert len(told) == 1
    assert str(damaged.relative_to(root)) in told[0]


@pytest.mark.parametrize("name", [name for name, expected in EXPECTED.items() if expected[3]])
def test_damaged_lists_are_told_with_what_to_do(name, copy):
    root, listed = copy(name), EXPECTED[name][3]
    (root / listed).write_bytes(b"\x00\x01 nothing / that; makes\n sense")
    with pytest.raises((DataError, Unavailable)) as caught:
        load(name)
    assert str(root) in str(caught.value)
    assert "Put " in str(caught.value)


@every_set
def test_a_draw_keeps_the_shares_of_the_classes_and_belongs_to_the_seed(name, copy):
    copy(name)
    train = EXPECTED[name][0]
    classes = sorted(set(train))
    split = load(name, train_size=2 * len(classes), test_size=len(classes))
    assert split.train.labels.tolist() == sorted(classes * 2)
    greens = {
        tuple(load(name, train_size=len(classes), seed=seed).train.images[:, 1, 8, 8].tolist()) for seed in range(6)
    }
    assert len(greens) > 1, "another seed draws others"
    again = [load(name, train_size=len(classes), seed=3).train.content_hash for _ in range(2)]
    assert again[0] == again[1]
    assert split.train.class_names == load(name).train.class_names
    with pytest.raises(DataError, match=rf"train_size is 900, but the part has {len(train)} images"):
        load(name, train_size=900)


def test_parameters_are_part_of_the_identity_and_downloading_is_not(copy):
    copy("pets")
    base = fingerprint(Pets().identity())
    assert fingerprint(Pets(download=True).identity()) == base
    for changed in ({"size": 32}, {"train_size": 3}, {"test_size": 3}):
        assert fingerprint(Pets(**changed).identity()) != base


def test_the_middle_of_a_wide_photograph_is_kept_at_the_wanted_size(copy):
    root = copy("pets")
    wide = Image.new("RGB", (90, 30), (255, 0, 0))
    wide.paste((0, 0, 255), (30, 0, 60, 30))
    wide.save(root / "oxford-iiit-pet/images/Abyssinian_0.jpg", "PNG")
    image = load("pets", size=8).train.images[0]
    assert image.shape == (3, 8, 8)
    assert (image[2] == 255).all()
    assert (image[0] == 0).all()


def test_too_much_is_refused_before_decoding_with_what_fits(copy, monkeypatch):
    copy("pets")
    monkeypatch.setattr("ued_core.data.photo_set.read_squares", no_network)
    monkeypatch.setattr(decoding, "MAX_BYTES", 15 * 3 * 40**2 - 1)
    with pytest.raises(
        DataError, match=r"15 images of 64 × 64 .* 39 × 39 fits\. Or take fewer images: 5 of this size fit"
    ):
        load("pets", size=64)
    monkeypatch.setattr(decoding, "MAX_BYTES", 2 << 30)
    monkeypatch.setattr(decoding, "MAX_TOTAL_PIXELS", 5000)
    with pytest.raises(DataError, match="The first 5 of 15 images have over"):
        load("pets")


def test_reading_reports_and_can_be_cancelled(copy):
    copy("food")
    seen: list[str] = []
    ctx = Context(on_report=lambda done, total, text: seen.append(text), stop=lambda: "Reading images" in seen)
    with pytest.raises(Cancelled):
        DATASETS.build("food").load(ctx)
    assert seen == ["Looking at the sizes of the images", "Reading images"]


def test_validation_images_are_trained_on_where_asked(copy):
    copy("flowers")
    copy("dtd")
    assert (
        Flowers(size=8, validation=True).load(Context()).train.labels.tolist()
        == [0] * 3 + [101] * 3 + [0] * 2 + [101] * 2
    )
    textures = Textures(size=8, validation=True).load(Context())
    assert len(textures.train) == 8
    assert "Describable Textures (DTD) has 3,760 training images, but 8 are listed here." in textures.notes


def test_another_official_division(copy):
    copy("sun397")
    copy("dtd")
    assert Sun397(size=8, partition=2).load(Context()).train.labels.tolist() == [2, 2, 2, 1, 1, 1, 0, 0, 0]
    assert Textures(size=8, partition=2).load(Context()).test.labels.tolist() == [1, 1, 0, 0]
    with pytest.raises(Unavailable, match=r"Partitions/Training_03\.txt, Partitions/Testing_03\.txt.*Partitions\.zip"):
        Sun397(partition=3).load(Context())


def test_a_scene_of_no_class_is_told(copy):
    root = copy("sun397")
    with (root / "SUN397/Training_01.txt").open("a") as file:
        file.write("/q/quarry/sun_x.jpg\n")
    with pytest.raises(DataError, match=r"lists '/q/quarry/sun_x\.jpg', whose class is not in ClassName\.txt"):
        load("sun397")


def test_the_division_of_eurosat_is_drawn_and_said(copy):
    copy("eurosat")
    split = load("eurosat", test_rate=0.3)
    assert np.bincount(split.test.labels).tolist() == [3, 3]
    assert "EuroSAT has no official division: 30 % of every class are tested on." in split.notes
    parts = [EuroSat(size=8, seed=seed).load(Context()).test.images[:, 1, 4, 4].tolist() for seed in range(5)]
    assert len({tuple(part) for part in parts}) > 1


def test_signs_keep_their_numbers_where_classes_are_missing(copy):
    root = copy("gtsrb")
    split = load("gtsrb")
    assert split.train.classes == 43
    assert not Gtsrb.mirror_safe
    assert any(note.startswith("41 of 43 classes have no training images") for note in split.notes)
    save(root / "gtsrb/GTSRB/Training/00050/00000.ppm", 50, 0, kind="PPM")
    with pytest.raises(DataError, match="lists the class 50, but classes are 0 to 42"):
        load("gtsrb")


def test_the_edition_of_imagenette_is_another_folder(copy):
    copy("imagenette")
    with pytest.raises(Unavailable, match=r"needs files that are not in .*: imagenette2-320\."):
        Imagenette(edition="320px").load(Context())


def test_parts_with_other_classes_are_refused(copy):
    root = copy("imagenette")
    save(root / "imagenette2-160/val/n02979186/0.jpeg", 2, 0)
    with pytest.raises(DataError, match="list 2 and 3 classes, but they must be the same"):
        load("imagenette")


def packed_tar(folder: Path, *names: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        for name in names:
            archive.add(folder / name, name)
    return file.getvalue()


def md5(data: bytes) -> str:
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def archives(tmp_path, monkeypatch) -> dict[str, bytes]:
    """Pets as published: name → bytes of both archives."""
    pets(tmp_path / "elsewhere", monkeypatch)
    base = tmp_path / "elsewhere/oxford-iiit-pet"
    made = {f"{name}.tar.gz": packed_tar(base, name) for name in ("images", "annotations")}
    found = tuple((f"https://x.invalid/{name}", md5(data)) for name, data in made.items())
    monkeypatch.setattr(datasets.OxfordIIITPet, "_RESOURCES", found)
    return made


@pytest.mark.parametrize("place", ["", "oxford-iiit-pet"])
def test_archives_that_a_user_placed_are_checked_and_unpacked(archives, ued_home, place, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    folder = ued_home / "data" / place
    folder.mkdir(parents=True)
    for name, data in archives.items():
        (folder / name).write_bytes(data)
    reports: list[str] = []
    split = load_split(Pets(size=16), Context(on_report=lambda *report: reports.append(report[2])))
    assert split.train.labels.tolist() == EXPECTED["pets"][0]
    assert {"Checking images.tar.gz", "Unpacking images.tar.gz"} <= set(reports)
    assert is_kept(Pets(size=16))


def test_a_wrong_archive_is_named_with_both_checksums(archives, ued_home):
    folder = ued_home / "data/oxford-iiit-pet"
    folder.mkdir(parents=True)
    (folder / "images.tar.gz").write_bytes(archives["images.tar.gz"])
    (folder / "annotations.tar.gz").write_bytes(b"something else")
    right = md5(archives["annotations.tar.gz"])
    with pytest.raises(Unavailable, match=f"has the MD5 {md5(b'something else')}, but it must be {right}"):
        Pets().load(Context())
    assert sorted(path.name for path in folder.iterdir()) == ["annotations.tar.gz", "images", "images.tar.gz"]


def test_fetched_with_progress_then_read_without_the_network(archives, server, ued_home, monkeypatch):
    address, offered, asked = server
    offered |= archives
    found = tuple((f"{address}/{name}", md5(data)) for name, data in archives.items())
    monkeypatch.setattr(datasets.OxfordIIITPet, "_RESOURCES", found)
    first = load_split(Pets(size=16, download=True), Context())
    assert load_split(Pets(size=16), Context()).train.content_hash == first.train.content_hash
    assert asked == ["/images.tar.gz", "/annotations.tar.gz"]


def test_an_archive_can_be_cancelled_while_it_is_unpacked(archives, ued_home, monkeypatch):
    monkeypatch.setattr("ued_core.data.unpacking._OFTEN", 1)
    folder = ued_home / "data"
    folder.mkdir(parents=True)
    for name, data in archives.items():
        (folder / name).write_bytes(data)
    seen: list[str] = []
    ctx = Context(on_report=lambda *report: seen.append(report[2]), stop=lambda: any("Unpack" in text for text in seen))
    with pytest.raises(Cancelled):
        Pets().load(ctx)
    assert not any((folder / "oxford-iiit-pet").iterdir()), "nothing half-unpacked"


def test_zips_of_signs_are_unpacked_to_where_torchvision_looks(tmp_path, ued_home, monkeypatch):
    gtsrb(tmp_path, monkeypatch)
    folder = ued_home / "data/gtsrb"
    folder.mkdir(parents=True)
    sums = {}
    for archive in Gtsrb.archives():
        with zipfile.ZipFile(folder / archive.name, "w") as packed:
            for path in sorted((tmp_path / "gtsrb").rglob("*")):
                name = str(path.relative_to(tmp_path / "gtsrb"))
                if path.is_file() and name.startswith(archive.inside):
                    packed.write(path, name)
        sums[archive.name] = md5((folder / archive.name).read_bytes())
    found = tuple(archive._replace(md5=sums[archive.name]) for archive in Gtsrb.archives())
    monkeypatch.setattr(Gtsrb, "archives", classmethod(lambda cls: found))
    assert load("gtsrb").test.labels.tolist() == EXPECTED["gtsrb"][1]


def test_an_archive_without_what_is_wanted(archives, ued_home, tmp_path, monkeypatch):
    other = packed_tar(tmp_path / "elsewhere/oxford-iiit-pet", "annotations")
    monkeypatch.setattr(datasets.OxfordIIITPet, "_RESOURCES", (("https://x.invalid/images.tar.gz", md5(other)),) * 2)
    (ued_home / "data").mkdir(parents=True)
    (ued_home / "data/images.tar.gz").write_bytes(other)
    with pytest.raises(Unavailable, match=r"images\.tar\.gz does not hold images"):
        Pets().load(Context())


def test_visitors_start_no_fetching(copy):
    check_data(Pets(), Person("a", "A"))
    with pytest.raises(NotAllowed, match=r"Oxford-IIIT Pets are not here, and visitors may not fetch them"):
        check_data(Pets(download=True), Person("a", "A"))
    copy("pets")
    check_data(Pets(download=True), Person("a", "A"))


def test_a_full_disk_is_told_as_such(archives, ued_home, monkeypatch):
    (ued_home / "data").mkdir(parents=True)
    for name, data in archives.items():
        (ued_home / "data" / name).write_bytes(data)

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tarfile.TarFile, "extract", full)
    with pytest.raises(Unavailable, match=r"no space left on device\. Make room on the disk"):
        Pets().load(Context())
    assert not (ued_home / "data/oxford-iiit-pet/images").exists()


def test_scenes_are_not_fetched_without_their_division(ued_home, monkeypatch):
    monkeypatch.setattr("urllib.request.urlopen", no_network)
    with pytest.raises(Unavailable, match=r"SUN397 needs files that are not in .*Partitions/Training_01\.txt"):
        Sun397(download=True).load(Context())


def test_lists_of_scenes_may_lie_beside_them(copy):
    root = copy("sun397")
    expected = load("sun397").train.content_hash
    for place in ("SUN397/Partitions", "Partitions"):
        (root / place).mkdir()
        for word in ("Training", "Testing"):
            found = next(path for path in root.rglob(f"{word}_01.txt"))
            found.rename(root / place / found.name)
        assert load("sun397").train.content_hash == expected
