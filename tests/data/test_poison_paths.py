"""Paths and names of poison files: what is no plain file, bounds, permissions, names of any kind, class folders,
uploads."""

from __future__ import annotations

import io
import json
import os
import pickle
import socket
import time
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, PngImagePlugin

from ued_core.context import Context
from ued_core.data.poison_files import export, keep_upload, keep_uploads, load, members, recipe, state_of
from ued_core.errors import Cancelled, DataError
from ued_core.records import ImageSet, PoisonedSet

COUNT, CLASSES, SIDE = 24, 4, 8


@pytest.fixture
def data() -> ImageSet:
    images = np.random.default_rng(0).integers(60, 200, (COUNT, 3, SIDE, SIDE), dtype=np.uint8)
    return ImageSet(torch.from_numpy(images), torch.arange(COUNT) % CLASSES, ("apple", "pear", "plum", "fig"), "fruit")


@pytest.fixture
def poisoned(data: ImageSet) -> np.ndarray:
    noise = np.random.default_rng(1).integers(-8, 9, data.images.shape)
    return (data.images.numpy() + noise).clip(0, 255).astype(np.uint8)


def png(image: np.ndarray, mode: str = "RGB", **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image.transpose(1, 2, 0)).convert(mode).save(buffer, "PNG", **options)
    return buffer.getvalue()


def folder_of(root: Path, files: dict[str | bytes, bytes]) -> Path:
    root.mkdir()
    for name, content in files.items():
        path = os.path.join(os.fsencode(root), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
    return root


class Unmarked(zipfile.ZipInfo):
    """A member whose name is written byte for byte."""

    def _encodeFilenameFlags(self) -> tuple[bytes, int]:
        return self.filename.encode("cp437"), 0


def zip_of(path: Path, files: dict[str | bytes, bytes]) -> Path:
    """Names in bytes are written as Linux's zip does, without the mark for UTF-8."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            if isinstance(name, str):
                archive.writestr(name, content)
                continue
            info = Unmarked(name.decode("cp437"))
            info.create_system = 3
            archive.writestr(info, content)
    return path


# ---------------------------------------------------------------- what is no plain file


@pytest.mark.parametrize(
    "kind", ["fifo", "socket", "device", "proc", "environ", "sys", "nul", "long", "loop", "nothing", "empty"]
)
def test_what_is_no_plain_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path, words = tmp_path / kind, kind
    listener = socket.socket(socket.AF_UNIX)
    match kind:
        case "fifo":
            os.mkfifo(path)
            words = "FIFO"
        case "socket":
            listener.bind(str(path))
        case "device":
            path = Path("/dev/zero")
        case "proc":
            path, words = Path("/proc/self"), "belongs to the operating system"
        case "environ":
            path, words = Path("/proc/self/environ"), "belongs to the operating system"
        case "sys":
            path, words = Path("/sys"), "belongs to the operating system"
        case "nul":
            path, words = tmp_path / "a\0b", "no path"
        case "long":
            path, words = tmp_path / ("a" * 400), "longer than the file system allows"
        case "loop":
            path.symlink_to(path)
            words = "leads back to itself"
        case "nothing":
            words = "There is no file"
        case "empty":
            path.touch()
            words = "is empty"
    if str(path).startswith(("/proc", "/sys", "/dev")) and not path.exists():
        pytest.skip("not on this system")
    began = time.process_time()
    for act in (load, state_of) if kind != "empty" else (load,):
        with pytest.raises(DataError, match=words):
            act(path)
    listener.close()
    assert time.process_time() - began < 1.0


def test_what_may_not_be_read_is_said_in_words(
    tmp_path: Path, poisoned: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tests may run as root, to whom everything is open, so the system's answer is put in its mouth."""
    path = tmp_path / "secret.npy"
    np.save(path, poisoned)

    def closed(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("ued_core.data.walk.os.open", closed)
    with pytest.raises(DataError, match=r"secret.npy' may not be read. Change its permissions"):
        load(path)
    with pytest.raises(DataError, match=r"0.png' may not be read"):
        load(folder_of(tmp_path / "tree", {"0.png": png(poisoned[0])}))


@pytest.mark.parametrize("name", ["notes.txt", "shadow", "key.pkl", "x.pt", "cut.npy"])
def test_messages_never_quote_a_foreign_file(tmp_path: Path, name: str) -> None:
    """Whoever names a path learns nothing of what is in it."""
    secret = b"root:*:2secret"
    heads = {
        "key.pkl": b"csecret root:*\nroot:*:2secret line\n.",
        "x.pt": b"\x80\x02" + secret,
        "cut.npy": b"\x93NUMPY\x01\x00v\x00{'" + secret,
    }
    (tmp_path / name).write_bytes(heads.get(name, secret + b"\n") * 3)
    with pytest.raises(DataError) as refused:
        load(tmp_path / name)
    assert "root" not in str(refused.value)
    assert "secret" not in str(refused.value)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("data.npy", secret * 9)
    with pytest.raises(DataError) as refused:
        load(tmp_path / "x.npz")
    assert "root" not in str(refused.value)


def test_walks_are_bounded_and_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = folder_of(tmp_path / "many", {f"{k % 7}/{k}.txt": b"" for k in range(600)})
    with pytest.raises(Cancelled):
        load(root, ctx=Context(stop=lambda: True))
    for act in (load, state_of):
        monkeypatch.setattr(members, "MAX_FILES", 50)
        monkeypatch.setattr("ued_core.data.poison_files.readers.MAX_FILES", 50)
        with pytest.raises(DataError, match="more than 50 files and folders"):
            act(root)
    monkeypatch.setattr(members, "MAX_FILES", 10_000)
    monkeypatch.setattr(members, "MAX_SECONDS", -1.0)
    with pytest.raises(DataError, match="takes longer"):
        load(root)


def test_reading_pictures_can_be_stopped(tmp_path: Path, poisoned: np.ndarray) -> None:
    root = folder_of(tmp_path / "tree", {f"{i}.png": png(image) for i, image in enumerate(poisoned)})
    told: list[str] = []
    load(root, ctx=Context(on_report=lambda done, total, text: told.append(text)))
    assert "Reading PNG files" in told

    def stop() -> bool:
        return len(told) > 0

    with pytest.raises(Cancelled):
        load(root, ctx=Context(stop=stop))


def test_fifos_and_links_inside_a_tree(tmp_path: Path, data: ImageSet, poisoned: np.ndarray) -> None:
    root = folder_of(tmp_path / "tree", {f"{i}.png": png(image) for i, image in enumerate(poisoned) if i != 3})
    os.mkfifo(root / "z.png")
    (tmp_path / "own.png").write_bytes(png(poisoned[3]))
    (root / "3.png").symlink_to(tmp_path / "own.png")
    imported = load(root, data)
    assert np.array_equal(imported.onto(data).images.numpy(), poisoned), "a link to a file is that file"
    assert any("FIFO" in note and "z.png" in note for note in imported.found.notes)


def test_the_state_sees_what_the_reader_sees(tmp_path: Path, poisoned: np.ndarray) -> None:
    root = folder_of(tmp_path / "tree", {"a/0.png": png(poisoned[0])})
    before = state_of(root)
    (root / "a" / "1.png").write_bytes(png(poisoned[1]))
    assert state_of(root) != before
    np.save(tmp_path / "x_train_c_ntga.npy", poisoned)
    before = state_of(tmp_path / "x_train_c_ntga.npy")
    np.save(tmp_path / "y_train_c.npy", np.arange(COUNT))
    assert state_of(tmp_path / "x_train_c_ntga.npy") != before


# ---------------------------------------------------------------- names

ODD: dict[str, str | bytes] = {
    "not UTF-8": b"\xe4pfel",
    "narrow no-break space": "Screenshot 9.41\u202fAM",
    "ideographic space": "水果\u3000一",
    "emoji": "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "private use": "\uf8ff",
    "soft hyphen": "ap\u00adple",
    "quotes": "a'b\"c",
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("make", [folder_of, zip_of], ids=["folder", "zip"])
def test_odd_names_of_classes(tmp_path: Path, data: ImageSet, poisoned: np.ndarray, name: str, make: Any) -> None:
    names = [ODD[name], b"b" if isinstance(ODD[name], bytes) else "b", "c", "d"]
    files = {}
    for i, image in enumerate(poisoned):
        own = names[i % CLASSES]
        files[own + (b"/%d.png" % i if isinstance(own, bytes) else f"/{i}.png")] = png(image)
    imported = load(make(tmp_path / "tree.zip", files))
    assert len(imported) == COUNT
    assert len(imported.class_names) == CLASSES
    json.dumps(imported.class_names, ensure_ascii=False).encode()
    "\n".join(imported.found.lines()).encode()
    made = imported.image_set()
    assert np.array_equal(made.images.numpy(), poisoned)


@pytest.mark.parametrize("make", [folder_of, zip_of], ids=["folder", "zip"])
def test_one_odd_name_does_not_refuse_the_rest(tmp_path: Path, data: ImageSet, poisoned: np.ndarray, make: Any) -> None:
    files: dict[str | bytes, bytes] = {f"{i}.png": png(image) for i, image in enumerate(poisoned)}
    files |= {
        "Icon\r": b"",
        "Screenshot\u202f1.txt": b"x",
        b"\xff\xfe.txt": b"x",
        "bell\x07.png": b"x",
        "__MACOSX/._0.png": b"x",
    }
    imported = load(make(tmp_path / "tree.zip", files), data)
    assert np.array_equal(imported.onto(data).images.numpy(), poisoned)
    told = " ".join(imported.found.notes)
    assert "U+0007" in told
    told.encode()


@pytest.mark.parametrize("name", [b"\xe4.pt", "a\u202fb.pt", "\U0001f468\u200d\U0001f469.pkl"])
def test_odd_names_of_files(tmp_path: Path, name: str | bytes) -> None:
    content = io.BytesIO()
    torch.save(torch.zeros(4, 3, 8, 8) + 0.01, content)
    path = Path(os.fsdecode(os.path.join(os.fsencode(tmp_path), os.fsencode(name))))
    path.write_bytes(content.getvalue())
    "\n".join([load(path).found.name, *load(path).found.lines()]).encode()
    path.write_bytes(b"other")
    with pytest.raises(DataError) as refused:
        load(path)
    str(refused.value).encode()


# ---------------------------------------------------------------- class folders and trees


def tree(tmp_path: Path, data: ImageSet, poisoned: np.ndarray, names: list[str], per_class: bool = False) -> Path:
    """Class folders under these names; numbers run through all images, or start anew in each class."""
    counts = dict.fromkeys(range(CLASSES), 0)
    files: dict[str | bytes, bytes] = {}
    for i, label in enumerate(data.labels.tolist()):
        files[f"{names[label]}/{counts[label] if per_class else i}.png"] = png(poisoned[i])
        counts[label] += 1
    return folder_of(tmp_path / "tree", files)


NUMBERED = {
    "from 0": (["0", "1", "2", "3"], ["0", "1", "2", "3"]),
    "from 1": (["1", "2", "3", "4"], ["1", "2", "3", "4"]),
    "with gaps": (["2", "7", "11", "100"], ["2", "7", "11", "100"]),
    "years": (["1998", "2003", "2011", "2020"], ["1998", "2003", "2011", "2020"]),
    "leading zeros": (["01", "02", "09", "10"], ["01", "02", "09", "10"]),
    "numbered names": (
        ["001.Albatross", "002.Auklet", "003.Crow", "010.Finch"],
        ["001.Albatross", "002.Auklet", "003.Crow", "010.Finch"],
    ),
    "numbers with gaps and names": (["0001_a", "0004_b", "0005_c", "0009_d"], ["0001_a", "0004_b", "0005_c", "0009_d"]),
}


@pytest.mark.parametrize("case", NUMBERED)
@pytest.mark.parametrize("per_class", [False, True], ids=["indices", "numbers start anew"])
def test_folders_that_are_numbers_are_names(
    tmp_path: Path, data: ImageSet, poisoned: np.ndarray, case: str, per_class: bool
) -> None:
    names, expected = NUMBERED[case]
    imported = load(tree(tmp_path, data, poisoned, names, per_class))
    assert list(imported.class_names) == expected
    made = imported.image_set()
    assert set(made.labels.tolist()) == {0, 1, 2, 3}, "no class without images"
    if not per_class:
        assert [made.class_names[label] for label in made.labels.tolist()] == expected * (COUNT // CLASSES)


EXPORTED = ["0000_apple", "0001_pear", "0002_plum", "0003_fig"]


@pytest.mark.parametrize(
    "names", [list("1234"), list("0123"), ["apple", "pear", "plum", "fig"], EXPORTED], ids=lambda names: names[0]
)
def test_folders_that_match_the_clean_set_are_its_labels(
    tmp_path: Path, data: ImageSet, poisoned: np.ndarray, names: list[str]
) -> None:
    imported = load(tree(tmp_path, data, poisoned, names), data)
    assert torch.equal(imported.labels[torch.argsort(imported.ids)], data.labels)
    assert imported.class_names == data.class_names
    assert np.array_equal(imported.onto(data).images.numpy(), poisoned)


def test_names_in_another_order_than_the_clean_classes(tmp_path: Path, data: ImageSet, poisoned: np.ndarray) -> None:
    """Sorted, fig stands second; its label is 3."""
    imported = load(tree(tmp_path, data, poisoned, list(data.class_names), per_class=True), data)
    assert imported.image_set().class_names == data.class_names
    assert sorted(imported.labels.tolist()) == sorted(data.labels.tolist())
    assert np.array_equal(imported.image_set().images[imported.labels == 3].numpy(), poisoned[data.labels.numpy() == 3])


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("where", ["zip", "folder", "zipped again"])
def test_our_own_export_comes_back_with_its_names(
    tmp_path: Path, data: ImageSet, poisoned: np.ndarray, known: bool, where: str
) -> None:
    odd = ImageSet(data.images, data.labels, ("a b/c", "ünlike", "3", "plum"), "odd")
    whole = PoisonedSet(odd, torch.from_numpy(poisoned), torch.ones(COUNT, dtype=torch.bool), {"name": "made"}, 0)
    path = export(whole, "folder", tmp_path / "out.zip", recipe(whole))[0]
    if where != "zip":
        with zipfile.ZipFile(path) as archive:
            archive.extractall(tmp_path / "wrap" / "out")
        path = tmp_path / "wrap"
    if where == "zipped again":
        files = {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}
        path = zip_of(tmp_path / "again.zip", files)
    imported = load(path, odd if known else None)
    assert imported.class_names == odd.class_names
    assert torch.equal(imported.labels, odd.labels)
    assert imported.recipe["attack"] == {"name": "made"}
    assert np.array_equal(imported.onto(odd).images.numpy(), poisoned)


def test_an_export_without_its_recipe_keeps_the_names_of_its_folders(
    tmp_path: Path, data: ImageSet, poisoned: np.ndarray
) -> None:
    imported = load(tree(tmp_path, data, poisoned, EXPORTED))
    assert imported.class_names == ("apple", "pear", "plum", "fig")


def test_trees_of_equal_and_of_different_depth(tmp_path: Path, poisoned: np.ndarray) -> None:
    image = png(poisoned[0])
    deep = {
        f"{part}/{label}/{i}.png": image
        for i, (part, label) in enumerate((p, k) for p in ("train", "test") for k in "ab")
    }
    with pytest.raises(
        DataError,
        match=r"all lie 2 folders deep, such as 'test/a/2.png'.*one of the outer folders alone: 'test', 'train'",
    ):
        load(zip_of(tmp_path / "deep.zip", deep))
    with pytest.raises(DataError, match=r"different depths, such as '0.png' and 'a/1.png'"):
        load(zip_of(tmp_path / "mixed.zip", {"0.png": image, "a/1.png": image}))


def test_folders_without_poison_say_what_is_there(tmp_path: Path, poisoned: np.ndarray) -> None:
    jpeg = io.BytesIO()
    Image.fromarray(poisoned[0].transpose(1, 2, 0)).save(jpeg, "JPEG")
    with pytest.raises(DataError, match=r"2 × .jpg.*JPEG and WebP change the pixels"):
        load(folder_of(tmp_path / "photos", {"a/0.jpg": jpeg.getvalue(), "b/1.jpg": jpeg.getvalue()}))
    content = io.BytesIO()
    torch.save(torch.zeros(4, 3, 8, 8) + 0.01, content)
    one = folder_of(tmp_path / "one", {"run/EM.pt": content.getvalue(), "readme.txt": b"x"})
    assert load(one).found.format == "em"
    with pytest.raises(DataError, match=r"holds 2 poison files \(a.pt, b.pt\). Choose one"):
        load(folder_of(tmp_path / "two", {"a.pt": content.getvalue(), "b.pt": content.getvalue()}))
    with pytest.raises(DataError, match="Unpack the archive"):
        load(zip_of(tmp_path / "two.zip", {"a.pt": content.getvalue()}))


@pytest.mark.parametrize("mode", ["RGB", "P", "RGBA", "L", "1"])
def test_modes_that_lose_nothing(tmp_path: Path, mode: str) -> None:
    """Few colours as a palette, an opaque alpha channel, black and white."""
    image = np.random.default_rng(0).choice([0, 255], (1, SIDE, SIDE)).astype(np.uint8).repeat(3, 0)
    path = folder_of(tmp_path / "tree", {"0.png": png(image, mode), "1.png": png(image, mode)})
    made = load(path).values.numpy()
    assert np.array_equal(made[0], image[: made.shape[1]])


def test_transparent_pictures_are_refused(tmp_path: Path, poisoned: np.ndarray) -> None:
    half = Image.fromarray(poisoned[0].transpose(1, 2, 0)).convert("RGBA")
    half.putalpha(100)
    buffer = io.BytesIO()
    half.save(buffer, "PNG")
    with pytest.raises(DataError, match="transparent parts"):
        load(folder_of(tmp_path / "tree", {"0.png": buffer.getvalue()}))


def test_large_text_in_a_png_does_not_decide_over_its_pixels(
    tmp_path: Path, data: ImageSet, poisoned: np.ndarray
) -> None:
    told = PngImagePlugin.PngInfo()
    told.add_text("workflow", "x" * 3_000_000, zip=True)
    files = {f"{i}.png": png(image, pnginfo=told if i == 2 else None) for i, image in enumerate(poisoned)}
    assert np.array_equal(load(folder_of(tmp_path / "tree", files), data).onto(data).images.numpy(), poisoned)


# ---------------------------------------------------------------- uploads, and the log


def test_uploads_that_belong_together_are_kept_together(tmp_path: Path, data: ImageSet, poisoned: np.ndarray) -> None:
    def npy(array: np.ndarray) -> bytes:
        buffer = io.BytesIO()
        np.save(buffer, array)
        return buffer.getvalue()

    rows = poisoned.transpose(0, 2, 3, 1) / np.float32(255)
    files = [
        ("y_train_c.npy", npy(data.labels.numpy())),
        ("evil.pkl", pickle.dumps(print)),
        ("0.png", png(poisoned[0])),
        ("x_train_c_ntga.npy", npy(rows)),
        ("1.png", png(poisoned[1])),
        ("noise.npy", npy(np.zeros((COUNT, 3, 8, 8)) + 0.01)),
        ("noise.npy", npy(np.zeros((COUNT, 3, 8, 8)) + 0.02)),
    ]
    kept = keep_uploads(files, tmp_path)
    assert [one.title for one in kept] == [
        "x_train_c_ntga.npy",
        "evil.pkl",
        "0.png and 1 more",
        "noise.npy",
        "noise.npy",
    ]
    with_labels = load(kept[0].path, data)
    assert with_labels.found.has_labels
    assert np.array_equal(with_labels.onto(data).images.numpy(), poisoned)
    with pytest.raises(DataError, match="builtins.print"):
        load(kept[1].path)
    assert len(load(kept[2].path)) == 2
    assert [load(one.path).found.high for one in kept[3:]] == [pytest.approx(0.01), pytest.approx(0.02)], (
        "equal names, both kept"
    )
    assert [one.path for one in keep_uploads(files, tmp_path)] == [one.path for one in kept], "stored once"


@pytest.mark.parametrize(
    "name", ["../../x.pt", "a\0b.pt", "C:\\x\\y.pt", "猫.npy", "x" * 400 + ".pt", ".hidden", "", "\ud800.pt"]
)
def test_names_of_uploads_are_harmless(tmp_path: Path, name: str) -> None:
    path = keep_upload(b"abc", name, tmp_path)
    assert path.read_bytes() == b"abc"
    assert path.parent.parent == tmp_path
    assert path.suffix == Path(name.replace("\\", "/")).suffix or name == ".hidden"
    assert keep_upload(b"abc", "猫.npy", tmp_path).name == "猫.npy"


def test_a_full_or_closed_disk_is_said(tmp_path: Path) -> None:
    (tmp_path / "closed").write_bytes(b"a file where a folder is needed")
    with pytest.raises(DataError, match="could not be kept on the server"):
        keep_upload(b"abc", "x.pt", tmp_path / "closed")


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_nothing_goes_to_the_log_for_an_upload(tmp_path: Path, protocol: int) -> None:
    torch.save(torch.zeros(4, 3, 8, 8) + 0.01, tmp_path / "x.pt", pickle_protocol=protocol)
    content = (tmp_path / "x.pt").read_bytes()
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        for place in range(3):
            (tmp_path / f"{place}.pt").write_bytes(content)
            if protocol == 3:
                load(tmp_path / f"{place}.pt")
            else:
                with pytest.raises(DataError, match="pickle protocol"):
                    load(tmp_path / f"{place}.pt")
    assert [str(warning.message) for warning in heard if "pickle protocol" in str(warning.message)] == []
