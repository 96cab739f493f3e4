"""One image file: formats, colours, orientation, and metadata that must not decide; memory of large ones."""

import io
import os
import struct
import subprocess
import sys
import textwrap
import zlib

import numpy as np
import pytest
from PIL import Image, ImageOps

from ued_core.data import image_file
from ued_core.data.image_file import header_size, is_image_name, read_square, readable_formats, why_no_image
from ued_core.data.report import Report, Unusable

SIGNATURE = b"\x89PNG\r\n\x1a\n"


def chunk(kind, data, sound=True):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data) ^ (not sound))


def png(width, height, bits, colour, rows, *extra):
    """A PNG from packed rows, with further chunks before the pixels."""
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return SIGNATURE + header + b"".join(extra) + body + chunk(b"IEND", b"")


@pytest.fixture
def read(tmp_path):
    def run(data, size=8, name="image.png"):
        path = tmp_path / name
        path.write_bytes(data)
        report = Report()
        return read_square(path, size, report), report.lines()

    return run


RNG = np.random.default_rng(0)
NOISE = RNG.integers(0, 256, (8, 8, 3), dtype=np.uint8)
ROWS = [row.tobytes() for row in NOISE]


METADATA = {
    "large text": chunk(b"zTXt", b"prompt\0\0" + zlib.compress(bytes(3 << 20))),
    "large international text": chunk(b"iTXt", b"workflow\0\1\0\0\0" + zlib.compress(bytes(3 << 20))),
    "large profile": chunk(b"iCCP", b"icc\0\0" + zlib.compress(bytes(3 << 20))),
    "many texts": b"".join(chunk(b"tEXt", b"k%d\0" % n + bytes(1 << 20)) for n in range(70)),
    "text with a wrong checksum": chunk(b"tEXt", b"a\0b", sound=False),
    "exif of odd bytes": chunk(b"eXIf", b"not what it should be"),
    "exif with an endless list": chunk(
        b"eXIf", b"MM\0*" + struct.pack(">IHHHII", 8, 1, 0x0112, 3, 0xFFFFFFFF, 0xFFFFFF)
    ),
    "exif that turns by text": chunk(
        b"eXIf", b"MM\0*" + struct.pack(">IHHHI4s", 8, 1, 0x0112, 2, 4, b"up!\0") + bytes(4)
    ),
    "short physical size": chunk(b"pHYs", b"\0"),
    "short gamma": chunk(b"gAMA", b""),
    "short chromaticities": chunk(b"cHRM", b"\0" * 5),
    "short rendering intent": chunk(b"sRGB", b""),
    "short animation control": chunk(b"acTL", b"\0"),
    "an unknown chunk": chunk(b"prVt", b"x" * 100, sound=False),
}


@pytest.mark.parametrize("kind", METADATA)
def test_what_stands_beside_the_pixels_never_decides(read, kind):
    data = png(8, 8, 8, 2, ROWS, METADATA[kind])
    pixels, _ = read(data)
    assert np.array_equal(pixels, NOISE.transpose(2, 0, 1))
    assert header_size(io.BytesIO(data)) == (8, 8)


@pytest.mark.parametrize("kind", ["large text", "text with a wrong checksum"])
def test_the_orientation_is_followed_beside_bad_metadata(read, kind):
    turn = chunk(b"eXIf", b"MM\0*" + struct.pack(">IHHHIHH", 8, 1, 0x0112, 3, 1, 3, 0) + bytes(4))
    pixels, _ = read(png(8, 8, 8, 2, ROWS, turn, METADATA[kind]))
    assert np.array_equal(pixels, NOISE[::-1, ::-1].transpose(2, 0, 1))


def test_segments_of_a_jpeg_never_decide(read):
    file = io.BytesIO()
    Image.fromarray(NOISE).save(file, "JPEG", quality=95)
    plain = file.getvalue()
    expected, _ = read(plain, name="x.jpg")
    odd = (
        (0xE1, b"Exif\0\0" + b"\xff" * 50),
        (0xE2, b"MPF\0" + b"\xff" * 60),
        (0xED, b"Photoshop 3.0\x008BIM" + b"\xff" * 9),
    )
    for marker, content in odd:
        segment = bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content
        pixels, notes = read(plain[:2] + segment + plain[2:], name="x.jpg")
        assert np.array_equal(pixels, expected), hex(marker)
        assert notes == ()


def test_pixels_that_are_damaged_stay_damaged(read):
    whole = png(8, 8, 8, 2, ROWS, METADATA["large text"])
    with pytest.raises(Unusable, match="damaged, cannot be decoded"):
        read(whole[:-40])
    body = bytearray(whole)
    body[-25] ^= 0xFF
    with pytest.raises(Unusable, match="damaged"):
        read(bytes(body))


GREY = RNG.integers(0, 256, (8, 8), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (8, 8)).astype(np.uint16)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
def test_the_transparent_grey_is_white_and_no_other(read, bits):
    values = DEEP if bits == 16 else GREY >> (8 - bits)
    clear = int(values[3, 4])
    if bits == 16:
        rows = [row.astype(">u2").tobytes() for row in values]
        grey = (values.astype(np.int64) // 257).astype(np.uint8)
    else:
        spread = np.unpackbits(values[..., None].astype(np.uint8), axis=-1)[..., 8 - bits :]
        rows = [np.packbits(row.reshape(-1)).tobytes() for row in spread]
        grey = (values.astype(int) * 255 // (2**bits - 1)).astype(np.uint8)
    pixels, notes = read(png(8, 8, bits, 0, rows, chunk(b"tRNS", struct.pack(">H", clear))))
    expected = np.where(values == clear, 255, grey)
    assert np.array_equal(pixels, np.stack([expected] * 3))
    assert "Converted 1: transparency → white." in notes


def test_a_transparent_colour_is_white(read):
    clear = tuple(int(v) for v in NOISE[2, 5])
    pixels, notes = read(png(8, 8, 8, 2, ROWS, chunk(b"tRNS", struct.pack(">HHH", *clear))))
    expected = NOISE.copy()
    expected[(clear == NOISE).all(-1)] = 255
    assert np.array_equal(pixels, expected.transpose(2, 0, 1))
    assert notes == ("Converted 1: transparency → white.",)


def test_sixteen_bit_colour_is_said(read):
    rows = [row.astype(">u2").tobytes() for row in NOISE.astype(np.uint16) * 257]
    pixels, notes = read(png(8, 8, 16, 2, rows))
    assert np.array_equal(pixels, NOISE.transpose(2, 0, 1))
    assert notes == ("Converted 1: 16-bit colour → 8-bit.",)


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "AVIF", "JPEG"])
def test_formats(read, kind):
    if kind not in readable_formats().upper():
        pytest.skip(f"no decoder of {kind} here")
    lossless = {
        "WEBP": {"lossless": True},
        "AVIF": {"quality": 100, "subsampling": "4:4:4"},
        "JPEG": {"quality": 100, "subsampling": 0},
    }
    smooth = np.asarray(Image.fromarray(NOISE).resize((32, 32)))
    file = io.BytesIO()
    Image.fromarray(smooth).save(file, kind, **lossless.get(kind, {}))
    pixels, notes = read(file.getvalue(), size=32, name=f"x.{kind.lower()}")
    assert abs(pixels.astype(int) - smooth.transpose(2, 0, 1)).max() <= (
        0 if kind in ("PNG", "BMP", "TIFF", "WEBP") else 6
    )
    assert notes == ()
    assert is_image_name(f"A.{kind}")


def test_names_of_what_is_not_read_say_why():
    assert "not a PNG, JPEG" in why_no_image("x.gif")
    if "HEIC" not in readable_formats():
        assert "pillow-heif" in why_no_image("IMG_1.HEIC")
        assert not is_image_name("IMG_1.HEIC")


@pytest.mark.parametrize("mode", ["F", "I", "LAB"])
def test_numbers_without_a_known_white_are_refused(read, mode):
    file = io.BytesIO()
    Image.new(mode, (8, 8)).save(file, "TIFF")
    with pytest.raises(Unusable, match="unknown|CIE"):
        read(file.getvalue(), name="x.tif")


def test_of_several_pages_and_pictures_the_first_is_taken(read):
    first, second = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    for kind, words in (("TIFF", "several pages"), ("MPO", "a second picture in the file")):
        file = io.BytesIO()
        first.save(file, kind, save_all=True, append_images=[second])
        pixels, notes = read(file.getvalue(), name="x.jpg" if kind == "MPO" else "x.tif")
        assert pixels[0].min() > 240
        assert notes == (f"Converted 1: {words} → the first.",)


@pytest.mark.parametrize("turn", range(1, 9))
@pytest.mark.parametrize("size", [(31, 20), (20, 31), (30, 20), (21, 21)])
def test_the_upright_image_is_cut_and_resized(read, turn, size):
    """As if it were turned first; resizing rounds by one level when rows and columns change places."""
    pixels = np.random.default_rng(turn).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    stored = Image.fromarray(pixels)
    exif = Image.Exif()
    exif[0x0112] = turn
    file = io.BytesIO()
    stored.save(file, "PNG", exif=exif)
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(file.getvalue())))
    side = min(upright.size)
    left, top = (upright.width - side) // 2, (upright.height - side) // 2
    expected = np.asarray(upright.crop((left, top, left + side, top + side)))
    whole, notes = read(file.getvalue(), size=side)
    assert np.array_equal(whole, expected.transpose(2, 0, 1))
    assert not any("Resized" in note for note in notes), "cut alone"
    small, notes = read(file.getvalue(), size=10)
    wanted = np.asarray(Image.fromarray(expected).resize((10, 10), Image.Resampling.BICUBIC)).transpose(2, 0, 1)
    assert abs(small.astype(int) - wanted).max() <= 1
    assert f"{upright.width} × {upright.height} → 10 × 10" in "".join(notes)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16"])
@pytest.mark.parametrize("turn", [1, 6])
def test_large_images_look_the_same_by_strips(read, monkeypatch, mode, turn):
    y, x = np.mgrid[:300, :411]
    wave = (127 + 60 * np.sin(x / 40) + 60 * np.cos(y / 50)).astype(np.uint8)
    if mode == "I;16":
        image = Image.fromarray(wave.astype(np.uint16) * 257)
    else:
        colour = Image.fromarray(np.stack([wave, wave[::-1], 255 - wave], -1))
        colour.putalpha(Image.fromarray(wave[:, ::-1].copy()))
        image = colour if mode == "RGBA" else colour.convert("RGB").convert(mode)
    exif = Image.Exif()
    exif[0x0112] = turn
    file = io.BytesIO()
    image.save(file, "TIFF" if mode == "CMYK" else "PNG", **({} if mode == "CMYK" else {"exif": exif}))
    small, notes = read(file.getvalue(), size=16)
    monkeypatch.setattr(image_file, "LARGE_PIXELS", 1000)
    strips, strip_notes = read(file.getvalue(), size=16)
    assert strip_notes == notes
    assert abs(strips.astype(int) - small).mean() < 1.5
    assert abs(strips.astype(int) - small).max() <= (60 if mode == "1" else 12)


def test_a_large_jpeg_is_decoded_small(read, monkeypatch):
    y, x = np.mgrid[:600, :800]
    wave = (127 + 60 * np.sin(x / 40) + 60 * np.cos(y / 50)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(np.stack([wave] * 3, -1)).save(file, "JPEG", quality=95)
    whole, notes = read(file.getvalue(), size=16, name="x.jpg")
    monkeypatch.setattr(image_file, "LARGE_PIXELS", 1000)
    small, small_notes = read(file.getvalue(), size=16, name="x.jpg")
    assert abs(small.astype(int) - whole).max() <= 6
    assert small_notes == notes
    assert "800 × 600 → 16 × 16" in "".join(notes)


PEAK = """
    import resource, sys
    from pathlib import Path
    from PIL import Image, features
    from ued_core.data.image_file import read_square, readable_formats
    from ued_core.data.report import Report
    readable_formats()
    # What the process once took is no measure of what it takes here: the mark is set back first.
    Path("/proc/self/clear_refs").write_text("5")
    mark = lambda: int(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
    before = mark()
    read_square(Path(sys.argv[1]), 32, Report())
    print(mark() - before)
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/clear_refs"), reason="peak memory is read from Linux's /proc")
@pytest.mark.parametrize(("mode", "bound_mb"), [("L", 90), ("P", 90), ("RGB", 240), ("RGBA", 240)])
def test_fifty_megapixels_are_in_memory_once(tmp_path, mode, bound_mb):
    """Bound: 4 bytes per pixel (1 where a pixel is one byte) and 40 MB; before, up to 433 MB on top."""
    Image.new(mode, (7070, 7070)).save(tmp_path / "large.png")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PEAK), str(tmp_path / "large.png")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) / 1024 < bound_mb


def test_special_files_and_refusals_of_the_system_are_reasons(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe.png")
    for path, words in (
        (tmp_path / "pipe.png", "FIFO"),
        (tmp_path / "gone.png", "does not exist"),
        (tmp_path, "a folder"),
    ):
        with pytest.raises(Unusable, match=words):
            read_square(path, 8, Report())
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(Unusable, match="empty"):
        header_size(tmp_path / "empty.png")
    monkeypatch.setattr(image_file, "MAX_FILE_BYTES", 10)
    (tmp_path / "long.png").write_bytes(png(8, 8, 8, 2, ROWS))
    with pytest.raises(Unusable, match="a file of more than"):
        header_size(tmp_path / "long.png")


def test_formats_whose_decoders_take_more_memory_have_a_lower_limit(tmp_path, monkeypatch):
    """Measured: 765 MB for a WebP of 50 megapixels."""
    monkeypatch.setattr(image_file, "BUFFERED_PIXELS", 99)
    for kind in ("WEBP", "AVIF"):
        if kind in readable_formats().upper():
            Image.new("RGB", (10, 10)).save(tmp_path / "x", kind)
            with pytest.raises(Unusable, match="megapixels"):
                header_size(tmp_path / "x")
    Image.new("RGB", (10, 10)).save(tmp_path / "x", "PNG")
    assert header_size(tmp_path / "x") == (10, 10)
    assert image_file.MAX_PIXELS > image_file.BUFFERED_PIXELS
