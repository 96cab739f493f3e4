"""PNG and JPEG files without what is said beside the pixels.

Pillow refuses a whole file for one large text, profile or checksum of a chunk that no pixel
needs. Where it does, the file is read again without them.
"""

from __future__ import annotations

import struct
import zlib

_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_KEPT = (b"IHDR", b"PLTE", b"IDAT", b"IEND")
_PNG_KEPT_WHEN_SOUND = (b"tRNS", b"eXIf")
_LARGEST_EXIF = 1 << 16

_JPEG = b"\xff\xd8"
_EXIF, _ADOBE, _COMMENT, _SCAN = 0xE1, 0xEE, 0xFE, 0xDA
_STANDALONE = (0x01, *range(0xD0, 0xD9))


def without_metadata(data: bytes) -> bytes | None:
    """The image with its pixels, transparency and orientation alone; None when it is neither PNG nor JPEG."""
    if data.startswith(_PNG):
        return _bare_png(data)
    return _bare_jpeg(data) if data.startswith(_JPEG) else None


def _bare_png(data: bytes) -> bytes:
    kept, at = [_PNG], len(_PNG)
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        kind, end = data[at + 4 : at + 8], at + 12 + length
        if kind in _PNG_KEPT or (kind in _PNG_KEPT_WHEN_SOUND and length <= _LARGEST_EXIF and _sound(data[at:end])):
            kept.append(data[at:end])
        at = end
        if kind == b"IEND":
            break
    return b"".join(kept)


def _sound(chunk: bytes) -> bool:
    return zlib.crc32(chunk[4:-4]) == struct.unpack(">I", chunk[-4:])[0]


def _bare_jpeg(data: bytes) -> bytes:
    kept, at = [_JPEG], 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF or marker in _STANDALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker == _SCAN:
            break
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        spoken = 0xE0 <= marker <= 0xEF or marker == _COMMENT
        if not spoken or marker in (_EXIF, _ADOBE):
            kept.append(data[at:end])
        at = end
    return b"".join(kept) + data[at:]
