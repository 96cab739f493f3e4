"""Folders and zips: the maps of Unlearnable Clusters, and trees of PNG files."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ued_core.context import Context
from ued_core.data.bare_image import without_metadata
from ued_core.data.image_file import MAX_PIXELS
from ued_core.data.names import as_text, readable
from ued_core.data.poison_files.arrays import RULE, as_labels, as_numbers, refuse_large
from ued_core.data.poison_files.containers import load_torch
from ued_core.data.poison_files.formats import Numbers, Raw
from ued_core.data.poison_files.members import Member, Members, unwrapped
from ued_core.errors import DataError

_NUMBERED = re.compile(r"^perturbation_(\d{1,9})\.pth?$")
_TREE = "Use <index>.png or <class>/<index>.png."
_EXACT = {"1": "L", "P": "RGB", "L": "L", "RGB": "RGB"}
"""Modes of PNG files and what they become without any loss."""


def is_map_of_a_cluster(name: str) -> bool:
    """Whether a file is named as the maps of Unlearnable Clusters, or as the assignment beside them."""
    return _NUMBERED.match(name) is not None or re.match(r"^.*cluster\d*\.pth?$", name) is not None


def read_clusters(found: Members) -> Raw:
    """The maps of Unlearnable Clusters in the order of their numbers, and the assignment if it is there.

    Raises:
        DataError: a map is missing, damaged or of another shape.
    """
    noise: dict[int, np.ndarray] = {}
    clusters = None
    for file in found.ending(".pth", ".pt"):
        value = load_torch(io.BytesIO(file.read()), file.name)
        if numbered := _NUMBERED.match(file.parts[-1]):
            if not isinstance(value, dict) or "perturbation" not in value:
                raise DataError(f"{file.name} in {found.name} has no 'perturbation'.", RULE)
            noise[int(numbered[1])] = as_numbers(value["perturbation"], file.name, "'perturbation'")
        elif isinstance(value, dict) and "pred_idx" in value:
            clusters = as_labels(value["pred_idx"], file.name, "'pred_idx'")
    if sorted(noise) != list(range(len(noise))) or not noise:
        raise DataError(
            f"The maps in {found.name} are numbered {sorted(noise)[:20]}, but they must run from 0 without a gap.", RULE
        )
    if len({one.shape for one in noise.values()}) != 1 or any(one.ndim != 4 or len(one) != 1 for one in noise.values()):
        raise DataError(f"The maps in {found.name} differ in shape, or a file has several.", RULE)
    maps = np.concatenate([noise[i] for i in range(len(noise))])
    return Raw("uc", maps, "noise", clusters=clusters, notes=found.notes())


def read_pictures(found: Members, ctx: Context | None = None) -> Raw:
    """Whole images from PNG files; the numbers in the names are the indices.

    Raises:
        DataError: no PNG files, they lie at different depths, or one is damaged.
        Cancelled: the user stopped the work.
    """
    ctx = ctx or Context()
    files, above = unwrapped(found.ending(".png"))
    if not files:
        raise DataError(f"{found.name} has no .png and no .pth files{_what_there_is(found)}.", _instead(found))
    depth = _depth(files, found)
    stems = [Path(file.parts[-1]).stem for file in files]
    numbered = all(re.fullmatch(r"[0-9]{1,9}", stem) for stem in stems)
    notes = [] if numbered else ["File names are no numbers, so images are in the order of their names."]
    ids = np.array([int(stem) for stem in stems], np.int64) if numbered else None
    if ids is not None and len(np.unique(ids)) != len(ids):
        ids = None
        notes.append(
            "Numbers occur in several classes, so they are no indices; images are in the order of their names."
        )
    order = np.argsort(ids, kind="stable") if ids is not None else np.arange(len(files))
    files = [files[place] for place in order]
    array = _decoded(files, found.name, ctx)
    others = [
        (file.shown, "not a PNG file") for file in found.files if not file.parts[-1].lower().endswith((".png", ".json"))
    ]
    return Raw(
        "apbench",
        array,
        "images",
        numbers=() if ids is None else (Numbers("The file names", ids[order], "ids"),),
        folders=tuple(readable(file.parts[0]) for file in files) if depth == 2 else (),
        recipe=_recipe(found, above),
        notes=(*notes, *found.notes(*others)),
    )


def _what_there_is(found: Members) -> str:
    endings = Counter(Path(readable(file.parts[-1])).suffix.lower() or "no ending" for file in found.files)
    told = ", ".join(f"{count:,} × {ending}" for ending, count in endings.most_common(4))
    return f" (there are {told})" if told else " (it is empty)"


def _instead(found: Members) -> str:
    if found.ending(".jpg", ".jpeg", ".webp"):
        return (
            "JPEG and WebP change the pixels, and the poison with them: export PNG, or load the folder as a data "
            "set of its own."
        )
    return RULE


def _depth(files: Sequence[Member], found: Members) -> int:
    depths = {len(file.parts) for file in files}
    if depths <= {1} or depths == {2}:
        return depths.pop()
    if len(depths) > 1:
        shallow, deep = (min(files, key=lambda f: len(f.parts)).shown, max(files, key=lambda f: len(f.parts)).shown)
        raise DataError(f"The images in {found.name} lie at different depths, such as {shallow!r} and {deep!r}.", _TREE)
    tops = sorted({readable(file.parts[0]) for file in files})
    raise DataError(
        f"The images in {found.name} all lie {depths.pop() - 1} folders deep, such as {files[0].shown!r}; at most one "
        f"folder, the class, may stand above an image.",
        f"Give one of the outer folders alone: {', '.join(map(repr, tops[:5]))}{' …' if len(tops) > 5 else ''}.",
    )


def _decoded(files: Sequence[Member], name: str, ctx: Context) -> np.ndarray:
    """uint8 (N, H, W, 1 or 3)."""
    array: np.ndarray | None = None
    for place, file in enumerate(files):
        if place % 64 == 0:
            ctx.report(place, len(files), "Reading PNG files")
        pixels = _pixels(file, name)
        if array is None:
            refuse_large(len(files) * prod(pixels.shape), name)
            array = np.empty((len(files), *pixels.shape), np.uint8)
        if pixels.shape != array.shape[1:]:
            raise DataError(
                f"{file.shown} in {name} has shape {pixels.shape}, others {array.shape[1:]}.", "All must have one size."
            )
        array[place] = pixels
    assert array is not None
    return array


def _pixels(file: Member, name: str) -> np.ndarray:
    """uint8 (H, W, 1 or 3); texts and profiles beside the pixels never decide whether they are read."""
    content = file.read()
    for attempt in (content, without_metadata(content)):
        try:
            if attempt is not None:
                return _decoded_png(attempt, file, name)
        except DataError:
            raise
        except Exception as error:
            # Decoders raise almost anything on damaged files.
            failure = error
    raise DataError(
        f"{file.shown} in {name} is damaged; nothing was imported.", "Write the archive again."
    ) from failure


def _decoded_png(content: bytes, file: Member, name: str) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(content), formats=("PNG",)) as image:
        if image.width * image.height > MAX_PIXELS:
            raise DataError(
                f"{file.shown} in {name} has more than {MAX_PIXELS // 1_000_000} megapixels.", "Use smaller images."
            )
        mode = _EXACT.get(image.mode)
        if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
            mode = "RGB"
        if mode is None or (image.mode != "RGBA" and "transparency" in image.info):
            raise DataError(
                f"{file.shown} in {name} is of mode {image.mode}, or has transparent parts; 8-bit RGB or grey "
                "is needed.",
                "Save it again as RGB.",
            )
        return np.asarray(image.convert(mode)).reshape(image.height, image.width, -1)


def _recipe(found: Members, above: tuple[str, ...]) -> Any:
    for file in found.files:
        if file.parts == (*above, "recipe.json"):
            try:
                return as_text(json.loads(file.read()))
            except (ValueError, RecursionError):
                return None
    return None
