"""Image folders: layouts, colour modes, sizes, damaged files, and what the notes say."""

import os
import shutil
import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from ued_core.context import Context
from ued_core.data import Folder, image_file, load_split
from ued_core.data.base import NOT_CLEAN
from ued_core.data.image_file import read_square, readable_formats
from ued_core.data.report import Report, Unusable
from ued_core.errors import Cancelled, DataError


def load(path, **values):
    return Folder(path=str(path), **values).load(Context())


def square(tmp_path, image, name="image.png", size=8, **options):
    path = tmp_path / name
    image.save(path, **options)
    report = Report()
    return read_square(path, size, report), told(report.lines())


def told(notes):
    """The notes, without those on the size."""
    return tuple(note for note in notes if not note.startswith(("Cut", "Resized", "If these images")))


def test_classes_are_sorted_and_divided_with_their_shares(class_folder):
    split = load(class_folder(dogs=10, cats=20), size=16)
    assert split.train.class_names == ("cats", "dogs")
    assert torch.bincount(split.train.labels).tolist() == [16, 8]
    assert torch.bincount(split.test.labels).tolist() == [4, 2]
    assert split.train.shape == (3, 16, 16)
    assert split.train.name == "photos"
    assert told(split.notes) == ()


def test_every_image_lands_once_with_its_own_label(class_folder):
    split = load(class_folder(a=8, b=8))
    colours = {}
    for part in (split.train, split.test):
        for image, label in zip(part.images, part.labels, strict=True):
            assert (image == image[:, :1, :1]).all(), "a flat picture stays flat"
            colours[tuple(image[:, 0, 0].tolist())] = int(label)
    numbers = [(100 * label + index, label) for label in (0, 1) for index in range(8)]
    expected = {(number * 7 % 256, number * 31 % 256, 40): label for number, label in numbers}
    assert colours == expected


def test_seed_decides_the_division(class_folder):
    root = class_folder(a=12, b=12)
    same = [load(root, seed=3).test.images for _ in range(2)]
    assert torch.equal(*same)
    assert not torch.equal(same[0], load(root, seed=4).test.images)


@pytest.mark.parametrize("part", ["test", "val"])
def test_a_division_of_the_folder_is_kept(class_folder, part):
    root = class_folder(**{"train/a": 3, "train/b": 2, f"{part}/a": 1, f"{part}/b": 4, "other/a": 1})
    split = load(root, test_rate=0.5)
    assert split.train.class_names == ("a", "b")
    assert torch.bincount(split.train.labels).tolist() == [3, 2]
    assert torch.bincount(split.test.labels).tolist() == [1, 4]
    assert told(split.notes) == (
        f"'other' is neither the training part ('train') nor the test part ({part!r}): left out, 1 images.",
    )


def test_parts_with_different_classes_are_refused(class_folder):
    root = class_folder(**{"train/a": 2, "train/b": 2, "test/a": 2, "test/c": 2})
    with pytest.raises(DataError, match="do not have the same classes.*b, c"):
        load(root)


def test_classes_named_train_and_test_are_still_classes(class_folder):
    assert load(class_folder(train=4, test=4)).train.class_names == ("test", "train")


def test_the_notes_say_what_was_skipped_and_why(class_folder, picture):
    root = class_folder(a=4, b=4)
    (root / "a" / "readme.txt").write_text("hello")
    (root / "a" / "cut.png").write_bytes(picture(3, (40, 40))[:-30])
    (root / "b" / "text.jpg").write_text("no image")
    (root / "b" / "empty.webp").write_bytes(b"")
    (root / "empty class").mkdir()
    (root / "stray.png").write_bytes(picture())
    (root / ".hidden").mkdir()
    split = load(root)
    assert len(split.train) + len(split.test) == 8
    assert set(told(split.notes)) == {
        f"Skipped 1: not a {readable_formats()} file (a/readme.txt).",
        "Skipped 1: damaged, cannot be decoded (a/cut.png).",
        "Skipped 1: empty (b/empty.webp).",
        f"Skipped 1: no {readable_formats()} inside, or a damaged header (b/text.jpg).",
        "Skipped 1: a class without images (empty class).",
        "Skipped 1: outside any class folder (stray.png).",
        "Skipped 1: hidden, or kept by other programs (.hidden).",
    }


def test_many_names_are_counted_not_listed(class_folder):
    root = class_folder(a=3, b=3)
    for index in range(9):
        (root / "a" / f"{index}.txt").write_text("")
    assert told(load(root).notes) == (
        f"Skipped 9: not a {readable_formats()} file (a/0.txt, a/1.txt, a/2.txt and 6 more).",
    )


def test_a_class_of_damaged_images_is_left_out_and_labels_close_up(class_folder):
    root = class_folder(a=3, b=3, c=3)
    for path in (root / "b").iterdir():
        path.write_bytes(b"broken")
    split = load(root)
    assert split.train.class_names == ("a", "c")
    assert sorted(set(split.train.labels.tolist())) == [0, 1]
    assert "Skipped 1: a class without usable training images (b)." in split.notes


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({}, "has no class folders"),
        ({"a": 0, "b": 0}, "has no images in its class folders"),
        ({"a": 1}, "one image only, 'a/000.png'"),
        ({"a": 3, "b": 0}, "one class only, 'a'"),
        ({"a": 3, "b": 1}, "The class 'b' of 'photos' has one usable image"),
    ],
)
def test_folders_that_cannot_be_used(class_folder, counts, message):
    with pytest.raises(DataError, match=message):
        load(class_folder(**counts))


def test_missing_and_ungiven_paths(tmp_path):
    with pytest.raises(DataError, match="There is no folder"):
        load(tmp_path / "nowhere")
    with pytest.raises(DataError, match="No pictures are given"):
        Folder().load(Context())


def test_only_damaged_images(class_folder):
    root = class_folder(a=2, b=2)
    for path in root.rglob("*.png"):
        path.write_bytes(b"broken")
    with pytest.raises(DataError, match="Two classes with usable images are needed, but none has"):
        load(root)


def test_too_many_large_images_are_refused_before_reading(class_folder, monkeypatch):
    monkeypatch.setattr("ued_core.data.decoding.MAX_BYTES", 10_000)
    with pytest.raises(
        DataError, match="8 images of 32 × 32 take .* smaller size: 20 × 20 fits. Or take fewer images: 3 of"
    ):
        load(class_folder(a=4, b=4))


def test_reading_can_be_cancelled(class_folder):
    root = class_folder(a=2, b=2)
    with pytest.raises(Cancelled):
        Folder(path=str(root)).load(Context(stop=lambda: True))


def test_the_middle_square_of_a_wide_image_is_kept(tmp_path):
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 20:40, 0], wide[:, :20, 1], wide[:, 40:, 2] = 200, 200, 200
    pixels, _ = square(tmp_path, Image.fromarray(wide))
    assert (pixels[0] == 200).all()
    assert not pixels[1:].any()


def test_shrinking_is_antialiased(tmp_path):
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 255
    pixels, _ = square(tmp_path, Image.fromarray(stripes))
    assert abs(pixels.astype(int) - 127).max() <= 6, "every second column white must become grey"


def test_an_image_of_the_right_size_is_not_touched(tmp_path, noise):
    image = noise(8, 8)
    pixels, notes = square(tmp_path, Image.fromarray(image))
    assert np.array_equal(pixels, image.transpose(2, 0, 1))
    assert notes == ()


@pytest.mark.parametrize(
    ("mode", "colour", "expected", "note"),
    [
        ("L", 100, (100, 100, 100), "grey → RGB"),
        ("1", 1, (255, 255, 255), "grey → RGB"),
        ("I;16", 257 * 100, (100, 100, 100), "16-bit grey → RGB"),
        ("RGBA", (200, 0, 100, 0), (255, 255, 255), "transparency → white"),
        ("RGBA", (200, 0, 100, 255), (200, 0, 100), "transparency → white"),
        ("LA", (0, 0), (255, 255, 255), "transparency → white"),
    ],
)
def test_colour_modes(tmp_path, mode, colour, expected, note):
    pixels, notes = square(tmp_path, Image.new(mode, (9, 9), colour))
    assert pixels[:, 4, 4].tolist() == list(expected)
    assert notes == (f"Converted 1: {note}.",)


def test_palette_and_cmyk(tmp_path):
    palette = Image.new("RGB", (9, 9), (200, 0, 100)).quantize(4)
    assert square(tmp_path, palette)[0][:, 4, 4].tolist() == [200, 0, 100]
    pixels, notes = square(tmp_path, Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "ink.jpg")
    assert pixels[0, 4, 4] > 200
    assert pixels[1:, 4, 4].max() < 60
    assert notes == ("Converted 1: CMYK → RGB.",)


def test_of_an_animation_the_first_frame_is_taken(tmp_path):
    frames = [Image.new("RGB", (9, 9), colour) for colour in ("red", "blue")]
    pixels, notes = square(tmp_path, frames[0], "moving.webp", save_all=True, append_images=frames[1:], lossless=True)
    assert pixels[:, 4, 4].tolist() == [255, 0, 0]
    assert "Converted 1: animation → first frame." in notes


def test_the_camera_orientation_is_followed(tmp_path):
    upright = np.zeros((16, 16, 3), np.uint8)
    upright[:8] = 255
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels, _ = square(tmp_path, Image.fromarray(upright), "turned.png", exif=exif)
    assert pixels[:, :, 6:].min() == 255, "a quarter turn to the right"
    assert pixels[:, :, :2].max() == 0


def test_huge_dimensions_are_refused_from_the_header(tmp_path):
    """A valid PNG header of 100,000 × 100,000 pixels without the data."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    for side, name in ((100_000, "bomb.png"), (8_000, "large.png")):
        header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
        body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b"")
        (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n" + body)
        with pytest.raises(Unusable, match="more than 50 megapixels"):
            read_square(tmp_path / name, 8, Report())


def test_mixed_sizes_and_kinds_in_one_folder(class_folder, picture):
    root = class_folder(a=2, b=2)
    for index, (kind, size) in enumerate([("JPEG", (300, 20)), ("WEBP", (5, 90)), ("PNG", (1, 1))]):
        (root / "a" / f"x{index}.{kind.lower()}").write_bytes(picture(index, size, kind))
        (root / "b" / f"x{index}.{kind}").write_bytes(picture(50 + index, size, kind))
    split = load(root, size=24)
    assert len(split.train) + len(split.test) == 10
    assert split.train.shape == (3, 24, 24)


def test_junk_inside_classes_is_left_out_and_counted(class_folder):
    root = class_folder(a=4, b=4)
    for name in (".ipynb_checkpoints", "@eaDir", ".thumbnails"):
        for label in "ab":
            shutil.copytree(
                root / label,
                root / label / name,
                ignore=lambda where, names: [n for n in names if not n.startswith("00")],
            )
    split = load(root)
    assert len(split.train) + len(split.test) == 8
    assert told(split.notes) == (
        "Skipped 6: hidden, or kept by other programs (a/.ipynb_checkpoints, a/.thumbnails, a/@eaDir and 3 more).",
    )


def test_links_are_followed_or_named(class_folder, tmp_path, picture):
    store = tmp_path / "store"
    store.mkdir()
    for index in range(4):
        (store / f"{index}.png").write_bytes(picture(200 + index))
    root = class_folder(a=4)
    (root / "b").symlink_to(store)
    (root / "a" / "link.png").symlink_to(store / "0.png")
    (root / "a" / "gone.png").symlink_to(store / "9.png")
    (root / "a" / "round").symlink_to(root)
    split = load(root)
    assert split.train.class_names == ("a", "b")
    assert len(split.train) + len(split.test) == 9
    assert set(told(split.notes)) == {
        "Skipped 1: a link that leads nowhere (a/gone.png).",
        "Skipped 1: a link that leads back to a folder above it (a/round).",
    }


def test_special_files_are_named_and_not_waited_for(class_folder):
    root = class_folder(a=3, b=3)
    os.mkfifo(root / "a" / "z.png")
    os.mkfifo(root / "recipe.json")
    assert "Skipped 2: a FIFO (named pipe), not a plain file (a/z.png, recipe.json)." in load(root).notes
    with pytest.raises(DataError, match="is a FIFO"):
        load(root / "recipe.json")


def test_an_image_that_becomes_unreadable_is_one_image_less(class_folder, monkeypatch):
    root = class_folder(a=3, b=3)
    opened = image_file.open_plain

    def refuse(path):
        if path.name == "001.png" and path.parent.name == "a":
            raise OSError(5, "Input/output error")
        return opened(path)

    monkeypatch.setattr("ued_core.data.image_file.open_plain", refuse)
    assert "Skipped 1: cannot be read: the disk reports an error (a/001.png)." in load(root).notes


def test_a_resized_poison_is_said(class_folder, tmp_path):
    """8/255 from pixel to pixel: all of it at its own size, nothing of it at half of it."""
    y, x = np.mgrid[:64, :64]
    chequer = np.where((x + y) % 2, 8, -8)
    root = tmp_path / "poisoned"
    for label, sign in (("a", 1), ("b", -1)):
        (root / label).mkdir(parents=True)
        for index in range(4):
            Image.fromarray(np.repeat((128 + sign * chequer)[..., None], 3, 2).astype(np.uint8)).save(
                root / label / f"{index}.png"
            )
    own = load(root, size=64)
    assert (own.train.images.int() - 128).abs().max() == 8
    assert own.notes == ()
    half = load(root, size=32)
    assert (half.train.images.int() - 128).abs().max() == 0
    assert half.notes[0] == "Resized 8: 64 × 64 → 32 × 32."
    assert "can take it out" in half.notes[1]
    assert "The size 64 keeps the pixels as they are." in half.notes[1]
    (root / "recipe.json").write_text('{"attack": {"name": "cuda"}}')
    assert any(
        note.startswith("These images hold a poison (recipe.json names cuda)") for note in load(root, size=32).notes
    )


def test_hours_of_decoding_are_refused_from_the_headers(class_folder, monkeypatch):
    monkeypatch.setattr("ued_core.data.decoding.MAX_TOTAL_PIXELS", 500)
    with pytest.raises(DataError, match="The first 5 of 8 images have over .* gigapixels"):
        load(class_folder(a=4, b=4))


def test_names_of_any_bytes_become_text(class_folder):
    root = class_folder(a=3, b=3)
    (root / "a").rename(root / os.fsdecode(b"caf\xe9"))
    (root / "b" / os.fsdecode(b"l\xe9gende.txt")).write_text("x")
    split = load(root)
    assert split.train.class_names == ("b", "caf\ufffd")
    assert any("b/l\ufffdgende.txt" in note for note in split.notes)
    strange = root.rename(root.parent / os.fsdecode(b"\xe9t\xe9"))
    assert load(strange).train.name == "\ufffdt\ufffd"
    assert load_split(Folder(path=str(strange)), Context()).notes == load(strange).notes


def test_numbered_classes_keep_their_names(class_folder):
    split = load(class_folder(**{"1": 3, "2": 3, "10": 3}))
    assert split.train.class_names == ("1", "10", "2")
    assert sorted(set(split.train.labels.tolist())) == [0, 1, 2]


def test_the_cache_sees_what_the_reader_sees(class_folder, tmp_path, picture):
    root = class_folder(a=3, b=3)
    target = tmp_path / "elsewhere.png"
    target.write_bytes(picture(99))
    (root / "a" / "link.png").symlink_to(target)
    folder = Folder(path=str(root))
    identities = {str(folder.identity())}
    target.write_bytes(picture(98))
    os.utime(target, ns=(1, 1))
    identities.add(str(folder.identity()))
    (root / "a" / "@eaDir").mkdir()
    identities.add(str(folder.identity()))
    (root / "a" / "@eaDir" / "0.png").write_bytes(picture(97))
    identities.add(str(folder.identity()))
    assert len(identities) == 3, "what is not looked into changes nothing"
    told_notes = []
    load_split(folder, Context(on_note=told_notes.append))
    assert told_notes == list(load(root).notes)


def test_a_test_part_split_from_an_exported_poison_is_not_called_clean(tmp_path):
    import zipfile

    from ued_core.attacks import Cuda
    from ued_core.data import DATASETS
    from ued_core.data.poison_files import export, recipe

    clean = DATASETS.build("digits").load(Context()).train.take(range(60))
    poisoned = Cuda().poison(clean, Context())
    export(poisoned, "folder", tmp_path / "p.zip", recipe(poisoned))
    zipfile.ZipFile(tmp_path / "p.zip").extractall(tmp_path / "p")
    assert any(note.startswith(NOT_CLEAN) for note in Folder(path=str(tmp_path / "p")).load(Context()).notes)
