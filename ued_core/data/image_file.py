"""One image file of a user: what it is, and its pixels at the wanted size."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

import numpy as np

from ued_core.data.bare_image import without_metadata
from ued_core.data.colours import to_rgb
from ued_core.data.report import Report, Unusable
from ued_core.data.walk import open_plain, reason_of

if TYPE_CHECKING:
    from PIL import Image

MAX_PIXELS = 50_000_000
"""Larger images are skipped before they are decoded: Pillow takes 4 bytes per pixel."""
BUFFERED_PIXELS = 20_000_000
"""The same for WebP, AVIF and HEIC, whose decoders take up to 16 bytes per pixel."""
MAX_FILE_BYTES = 256 << 20
LARGE_PIXELS = 16_000_000
"""From here on an image is averaged down in strips before its colours are converted, so that it is in memory once."""

_OVERSAMPLED = 4
_STRIP_PIXELS = 1_000_000
_ORIENTATION = 0x0112


class _Format(NamedTuple):
    title: str
    names: tuple[str, ...]
    suffixes: tuple[str, ...]


_FORMATS = (
    _Format("PNG", ("PNG",), (".png",)),
    _Format("JPEG", ("JPEG",), (".jpg", ".jpeg", ".jpe", ".jfif")),
    _Format("WebP", ("WEBP",), (".webp",)),
    _Format("BMP", ("BMP",), (".bmp", ".dib")),
    _Format("TIFF", ("TIFF",), (".tif", ".tiff")),
    _Format("AVIF", ("AVIF",), (".avif",)),
    _Format("HEIC", ("HEIF",), (".heic", ".heif", ".hif")),
)


@cache
def _readable() -> tuple[_Format, ...]:
    from PIL import features

    missing = set() if features.check("avif") else {"AVIF"}
    try:
        from pillow_heif import register_heif_opener

        register_heif_opener()
    except ImportError:
        missing.add("HEIC")
    if not features.check("webp"):
        missing.add("WebP")
    return tuple(entry for entry in _FORMATS if entry.title not in missing)


def readable_formats(last: str = "or") -> str:
    """The formats that can be read on this machine, as words: ``PNG, JPEG, WebP, BMP, TIFF or AVIF``."""
    titles = [entry.title for entry in _readable()]
    return f"{', '.join(titles[:-1])} {last} {titles[-1]}"


def is_image_name(name: str) -> bool:
    """Whether the file name is that of an image in one of the :func:`readable_formats`."""
    return name.lower().endswith(_suffixes())


@cache
def _suffixes() -> tuple[str, ...]:
    return tuple(suffix for entry in _readable() for suffix in entry.suffixes)


def why_no_image(name: str) -> str:
    """Why a file of this name is not read, for one that is no :func:`is_image_name`."""
    known = next((entry.title for entry in _FORMATS if name.lower().endswith(entry.suffixes)), "")
    if known == "HEIC":
        return "HEIC, which is read only where the package pillow-heif is installed"
    return f"{known}, which cannot be read on this machine" if known else f"not a {readable_formats()} file"


def header_size(source: Path | BinaryIO, also: Sequence[str] = ()) -> tuple[int, int]:
    """Width and height of an image; only its header is read.

    Args:
        source: the file's path, or an open binary file.
        also: as for :func:`read_square`.

    Raises:
        Unusable: it is no image of a readable format, it is too large to decode, or it cannot be opened.
    """
    with _file(source) as file:
        for content in _attempts(file):
            image = _opened(content, also)
            if image is not None:
                return image.size
    raise _not_an_image()


def read_square(source: Path | BinaryIO, size: int, report: Report, also: Sequence[str] = ()) -> np.ndarray:
    """The centre of an image as RGB.

    The image is turned as its camera tag says, cut to the largest centred square and
    resized with antialiasing. Of an animation or of several pages the first is taken;
    transparent parts are laid on white; 16-bit values are scaled to 8 bits. What stands
    beside the pixels (texts, profiles, broken tags) never decides whether they are read.

    Decoding takes at most 4 bytes of memory per pixel and some for strips, and up to 16 bytes per
    pixel for the formats of :data:`BUFFERED_PIXELS`: about 350 MB at worst.

    Args:
        source: an image file of one of the :func:`readable_formats`: its path, or the open binary file.
        size: side of the result, in pixels.
        report: told of conversions and of the size before.
        also: names of further formats, as Pillow calls them, in which a published set comes.

    Returns:
        uint8 (3, size, size).

    Raises:
        Unusable: the file cannot be opened or decoded, or it is too large.
    """
    failure: Exception | None = None
    with _file(source) as file:
        for content in _attempts(file):
            image = _opened(content, also)
            if image is None:
                continue
            try:
                return _square(image, size, report)
            except Unusable:
                raise
            except Exception as error:
                # Decoders raise almost anything on damaged files; whatever it is, this one file is at fault.
                failure = error
    if failure is not None:
        raise Unusable("damaged, cannot be decoded") from failure
    raise _not_an_image()


def file_too_large() -> Unusable:
    """The reason for a file of more than :data:`MAX_FILE_BYTES`."""
    return Unusable(f"a file of more than {MAX_FILE_BYTES >> 20} MiB")


def _not_an_image() -> Unusable:
    return Unusable(f"no {readable_formats()} inside, or a damaged header")


@contextmanager
def _file(source: Path | BinaryIO) -> Iterator[BinaryIO]:
    if not isinstance(source, Path):
        yield source
        return
    try:
        with open_plain(source) as file:
            yield file
    except OSError as error:
        raise Unusable(reason_of(error)) from error


def _attempts(file: BinaryIO) -> Iterator[BinaryIO]:
    """The file as it is, then without its metadata; images made of it are not closed, since that closes the file."""
    size = file.seek(0, io.SEEK_END)
    if size > MAX_FILE_BYTES:
        raise file_too_large()
    if size == 0:
        raise Unusable("empty")
    file.seek(0)
    yield file
    file.seek(0)
    if (bare := without_metadata(file.read())) is not None:
        yield io.BytesIO(bare)


def _opened(file: BinaryIO, also: Sequence[str]) -> Image.Image | None:
    from PIL import Image

    try:
        known = [name for entry in _readable() for name in entry.names]
        image = Image.open(file, formats=[*known, *also])
    except Image.DecompressionBombError:
        raise _too_many_pixels() from None
    except Exception:
        # Whatever a decoder makes of a damaged file: the caller tries it again without its metadata, and says what is
        # wrong.
        return None
    most = BUFFERED_PIXELS if image.format in ("WEBP", "AVIF", "HEIF") else MAX_PIXELS
    if image.width * image.height > most:
        raise _too_many_pixels(most)
    return image


def _too_many_pixels(most: int = MAX_PIXELS) -> Unusable:
    return Unusable(f"more than {most // 1_000_000} megapixels")


def _square(image: Image.Image, size: int, report: Report) -> np.ndarray:
    from PIL import Image

    raw_mode = _raw_mode(image)
    width, height = image.size
    kind = image.format
    if width * height > LARGE_PIXELS and kind in ("JPEG", "MPO") and min(width, height) > _OVERSAMPLED * size:
        # The decoder halves the image as often as it can while there are enough pixels left to average.
        wanted = _OVERSAMPLED * size / min(width, height)
        image.draft(None, (int(width * wanted), int(height * wanted)))
    image.load()
    turn = _orientation(image)
    square, notes = _centre(image, turn, size, raw_mode)
    if (method := _TURNS.get(turn)) is not None:
        square = square.transpose(Image.Transpose(method))
    small = square.resize((size, size), Image.Resampling.BICUBIC)
    pixels = np.asarray(small).transpose(2, 0, 1)
    for note in notes:
        report.convert(note)
    if several := _several(image, kind):
        report.convert(several)
    report.resize(*((height, width) if turn >= 5 else (width, height)), size)
    return pixels


# What turns an image upright, by the number of its camera tag: members of Image.Transpose.
_TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
# Whether the left edge, or the top edge, of the stored image lies on the far side of the upright one.
_RIGHT_TO_LEFT, _BOTTOM_TO_TOP = (2, 3, 7, 8), (3, 4, 6, 7)


def _centre(image: Image.Image, turn: int, size: int, raw_mode: str) -> tuple[Image.Image, tuple[str, ...]]:
    """The centred square of the stored image as RGB, and what was converted.

    Where the rest of a side is odd, the square is the one that the upright image has.
    """
    from PIL import Image

    side = min(image.size)
    left = (image.width - side + (turn in _RIGHT_TO_LEFT)) // 2
    top = (image.height - side + (turn in _BOTTOM_TO_TOP)) // 2
    factor = side // (_OVERSAMPLED * size)
    if side * side <= LARGE_PIXELS or factor < 2:
        return to_rgb(image.crop((left, top, left + side, top + side)), raw_mode)
    across = -(-side // factor)
    square = Image.new("RGB", (across, across))
    notes: tuple[str, ...] = ()
    rows = max(1, _STRIP_PIXELS // (side * factor))
    for row in range(0, across, rows):
        bottom = min(side, (row + rows) * factor)
        strip, notes = to_rgb(image.crop((left, top + row * factor, left + side, top + bottom)), raw_mode)
        square.paste(strip.reduce(factor), (0, row))
    return square, notes


def _raw_mode(image: Image.Image) -> str:
    """How the file stores a pixel, as ``L;4``; empty where that is not known."""
    tile = getattr(image, "tile", None)
    args = tile[0][3] if tile and tile[0] else ""
    first = args[0] if isinstance(args, tuple) and args else args
    return first if isinstance(first, str) else ""


def _orientation(image: Image.Image) -> int:
    try:
        turn = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        # Whatever a camera or an editor wrote there, the pixels are sound.
        return 1
    return turn if isinstance(turn, int) and 1 <= turn <= 8 else 1


def _several(image: Image.Image, kind: str | None) -> str:
    try:
        image.seek(1)
    except Exception:
        # There is no second picture, or it is damaged: the first one is what is wanted.
        return ""
    return {"MPO": "a second picture in the file → the first", "TIFF": "several pages → the first"}.get(
        kind or "", "animation → first frame"
    )
