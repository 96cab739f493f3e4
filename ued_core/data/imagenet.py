"""A folder of ImageNet, whole or a subset of its classes."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar

from ued_core.context import Context
from ued_core.data.handles import located
from ued_core.data.image_file import is_image_name
from ued_core.data.names import readable
from ued_core.data.photo_set import Listed, Lists, PhotoSet
from ued_core.data.published import Publication
from ued_core.data.walk import MAX_ENTRIES, chosen_folder, open_plain, unreadable, walk
from ued_core.errors import DataError, Unavailable
from ued_core.params import param

NAME_FILES = ("LOC_synset_mapping.txt", "synset_words.txt", "words.txt")
"""Under which names the classes' names are published; looked for beside the parts and up to three folders above."""
_WNID = re.compile(r"n\d{8}")
_MOST_BYTES = 8 << 20
_LAYOUT = "It needs the folders train and val, and in each of them one folder per class, named after its WordNet id."


class ImageNet(PhotoSet):
    """A folder of ImageNet photographs: all classes, the first ones, or those of a list; also ImageNet-mini.

    The folder holds ``train`` and ``val``, each with one folder per class that is named after its WordNet id, as
    n01440764. The official validation part is what is tested on. Classes are numbered in the order of the list, or of
    their ids. A file of the publisher's with the names of the classes (LOC_synset_mapping.txt, synset_words.txt or
    words.txt) is read where it lies beside the parts or above them.

    Source:
        O. Russakovsky et al.: ImageNet Large Scale Visual Recognition Challenge (2015), arXiv 1409.0575; the layout is
        that of torchvision's ImageNet.
    """

    key: ClassVar[str] = "imagenet"
    title: ClassVar[str] = "ImageNet folder"
    place: ClassVar[str] = "in a folder of yours"
    publication: ClassVar[Publication] = Publication(
        1_281_167,
        50_000,
        1000,
        "the official training and validation part, of which the classes are chosen",
        "the terms of access allow non-commercial research and education, and have to be accepted at the publisher's.",
        "https://image-net.org/",
    )

    path: str = param("", "The folder that holds train and val.", path=True)
    class_list: str = param(
        "",
        "A text file with one WordNet id a line, perhaps with a name behind it: the classes in their order. Empty: the "
        "first ones.",
        path=True,
    )
    classes: int = param(
        100, "How many classes, the first in alphabetical order of their ids; 0 takes all. A list counts whole.", ge=0,
        le=1000,
    )  # fmt: skip

    @classmethod
    def files(cls) -> tuple[str, ...]:
        """The layout."""
        return "train/n01440764/….JPEG", "val/n01440764/….JPEG"

    def _uncounted(self, lists: Lists) -> list[str]:
        return []

    def _lists(self, ctx: Context) -> Lists:
        if not self.path.strip():
            raise Unavailable("No folder of ImageNet is given.", f"Give its path. {_LAYOUT}")
        root = chosen_folder(located(self.path), "ImageNet folder")
        shown = readable(str(root))
        parts = {part: _class_folders(root, part, shown) for part in ("train", "val")}
        names = self._chosen(sorted(parts["train"]), root)
        left_out: list[str] = []
        found = []
        for part, folders in parts.items():
            if absent := [wnid for wnid in names if wnid not in folders]:
                raise DataError(
                    f"{part} in {shown!r} has no folder for {len(absent):,} of {len(names):,} classes: "
                    f"{', '.join(absent[:5])}.",
                    "Add their images, or leave these classes out of the list.",
                )
            found.append(_images([folders[wnid] for wnid in names], left_out, ctx))
        note = f"Left out, because they are no images: {', '.join(left_out[:3])}"
        more = f" and {len(left_out) - 3:,} more." if len(left_out) > 3 else "."
        train, test = found
        return Lists(root, tuple(names.values()), train, test, (f"{note}{more}",) if left_out else ())

    def _chosen(self, there: list[str], root: Path) -> dict[str, str]:
        """WordNet ids of the chosen classes, in their order, and their names."""
        if self.class_list.strip():
            path = located(self.class_list)
            listed = _named(path)
            if len(listed) < 2:
                raise DataError(
                    f"The class list {readable(path.name)} names {len(listed)} classes; two are needed.",
                    "Write one WordNet id a line, as n01440764.",
                )
        elif self.classes > len(there):
            raise DataError(
                f"{self.title}: classes is {self.classes}, but train in {readable(str(root))!r} has {len(there)}.",
                "Take fewer, or 0 for all.",
            )
        else:
            listed = dict.fromkeys(there[: self.classes or len(there)], "")
        above = (root / name for root in (root, *root.parents[:3]) for name in NAME_FILES)
        known = next((_named(path) for path in above if path.is_file()), {})
        return {wnid: name or known.get(wnid) or wnid for wnid, name in listed.items()}


def _class_folders(root: Path, part: str, shown: str) -> dict[str, Path]:
    """WordNet id → folder."""
    try:
        entries = [entry for entry in (root / part).iterdir() if _WNID.fullmatch(entry.name) and entry.is_dir()]
    except OSError as error:
        raise DataError(f"There is no folder {part} in {shown!r} that can be read.", _LAYOUT) from error
    if not entries:
        raise DataError(
            f"The folder {part} in {shown!r} has no folder that is named after a WordNet id.",
            f"{_LAYOUT} torchvision.datasets.ImageNet sorts the published archives so.",
        )
    return {entry.name: entry for entry in entries}


def _images(folders: list[Path], left_out: list[str], ctx: Context) -> Listed:
    found: Listed = []
    for label, folder in enumerate(folders):
        ctx.report(label, len(folders), "Looking through the folders of the classes")
        for file in walk(folder, ctx).files:
            if is_image_name(file.parts[-1]):
                found.append((str(folder.joinpath(*file.parts)), label))
            else:
                left_out.append(f"{folder.name}/{file.shown}")
        if len(found) > MAX_ENTRIES:
            raise DataError(f"The chosen classes have more than {MAX_ENTRIES:,} images.", "Choose fewer classes.")
    return found


def _named(path: Path) -> dict[str, str]:
    """WordNet ids of a text file in their order, each with the name behind it, or an empty one.

    Raises:
        DataError: the file cannot be read, or a line has no WordNet id, or one of an earlier line.
    """
    try:
        with open_plain(path) as file:
            content = file.read(_MOST_BYTES)
    except OSError as error:
        raise unreadable(path, error, "list file") from error
    found: dict[str, str] = {}
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), 1):
        wnid, name = line.strip()[:9], line.strip()[9:]
        if not line.strip() or line.startswith("#"):
            continue
        if not _WNID.fullmatch(wnid) or name[:1].isalnum() or wnid in found:
            again = "a second time" if wnid in found else "which is no WordNet id, as n01440764"
            raise DataError(
                f"Line {number} of {readable(path.name)} begins with {line.strip()[:40]!r}, {again}.",
                "Write one WordNet id a line, perhaps with a name behind it.",
            )
        # "tench, Tinca tinca": the first of several names.
        found[wnid] = readable(name.strip(" \t,:;").split(",")[0].strip())
    return found
