"""What is a part and what is a class among the folders that hold images; the same for folders and archives."""

from __future__ import annotations

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from ued_core.data.base import MAX_CLASSES
from ued_core.data.image_file import is_image_name, readable_formats, why_no_image
from ued_core.data.loose import MOST_ALONE, named_alike, stems
from ued_core.data.names import as_text, readable, shown_names
from ued_core.data.report import Report
from ued_core.data.walk import Found, Tree
from ued_core.errors import DataError

ORIGIN = ".import.json"
"""Written by a zip import beside the class folders: the upload's name, what was skipped, and the poison that it said it
holds."""
RECIPE = "recipe.json"
"""Written by the export of a poisoned set beside its class folders."""

_ROLES = {
    "train": ("train", "training", "trn"),
    "test": ("test", "testing", "tst", "eval", "evaluation", "holdout", "heldout"),
    "val": ("val", "valid", "validation", "dev", "development"),
}
_ROLE_OF = {word: role for role, words in _ROLES.items() for word in words}
_AFFIXES = frozenset(
    ["image", "images", "img", "imgs", "picture", "pictures", "photo", "photos", "data", "dataset", "set", "split"]
    + ["seg", "part", "folder", "samples", "small", "full", "new", "my", "the", "out", "held", "hold"]
)
_GLUED = re.compile(r"^(.+?)(?:set|data|images|imgs|img|split)?\d*$")


class Layout(NamedTuple):
    """The image files of a folder or an archive.

    Attributes:
        class_names: fit to be shown, in the order of the folders' names by code point (so "10" stands before "2"),
            as torchvision's ImageFolder has them. Names that are numbers are names.
        train: (file, class) pairs, in the order of their paths.
        test: the same for a test part of its own; empty when there is none.
        alone: every picture is a class of its own, so none can be kept for testing.
    """

    class_names: tuple[str, ...]
    train: list[tuple[Found, int]]
    test: list[tuple[Found, int]]
    alone: bool = False


def advice() -> str:
    """What a folder or archive of images must look like."""
    return f"It needs one subfolder for each class, with at least two {readable_formats()} images in each."


def part_of(name: str) -> str:
    """``train``, ``test`` or ``val`` for the usual names of parts, in any case and with the usual affixes; else empty.

    ``TRAIN``, ``seg_train``, ``train_images``, ``trainset``, ``train2017``, ``Training data``,
    ``valid``, ``dev``, ``holdout`` and the like.
    """
    name = re.sub(r"(?i)h(?:eld|old)[\W_]?out", "holdout", name)
    words = [word for word in re.split(r"[\W_]+", name.casefold()) if word and not word.isdigit()]
    bare = [found[1] for word in words if word not in _AFFIXES and (found := _GLUED.match(word))]
    return _ROLE_OF.get(bare[0], "") if len(bare) == 1 else ""


def find_layout(tree: Tree, shown: str, report: Report) -> Layout:
    """Divide the image files into parts and classes by the names of their folders; nothing is opened.

    Folders that wrap everything are left out. A part is a folder with a usual name
    (:func:`part_of`) that holds class folders. Pictures that lie together, without class folders, are classed by the
    beginnings of their names (:func:`ued_core.data.loose.named_alike`), or each is a class of its own.

    Args:
        tree: from a walk or an archive's listing.
        shown: what messages call it, as a sentence begins: ``The folder '…'``.
        report: told what is left out.

    Raises:
        DataError: no images, one image or one class only, too many images without class folders, more than 10,000
            classes, parts with different classes, or folders that may be parts as well as classes.
    """
    for name, reason in tree.left_out:
        if name != ORIGIN:
            report.skip(name, reason)
    level = _Level(_images(tree, report), ())
    level = _unwrapped(level, report)
    if pictures := _together(level, tree):
        return _loose(pictures, shown, report)
    if not level.folders:
        raise _without_classes(tree, shown)
    layout = _parted(level, tree, shown, report) or _classes_alone(level, tree, shown, report)
    if len(layout.class_names) > MAX_CLASSES:
        raise DataError(
            f"{shown} has {len(layout.class_names):,} classes; at most {MAX_CLASSES:,} are read.", "Take fewer."
        )
    if len(layout.class_names) < 2:
        raise DataError(f"{shown} has images of one class only, {layout.class_names[0]!r}; two are needed.", advice())
    return layout


def refuse_few_classes(names: tuple[str, ...], kept: Sequence[int], report: Report) -> None:
    """Refuse images of fewer than two classes.

    Args:
        names: of all classes.
        kept: numbers of those with usable training images.
        report: says why the others have none.

    Raises:
        DataError: fewer than two.
    """
    if len(kept) < 2:
        which = f"only {names[kept[0]]!r} has" if len(kept) else "none has"
        raise DataError(
            f"Two classes with usable images are needed, but {which}.", " ".join(report.skipped()) or advice()
        )


def is_recipe(file: Found) -> bool:
    """Whether the file's name is that of an export's recipe, beside the class folders or in a folder that wraps
    them."""
    return file.parts[-1] == RECIPE and len(file.parts) <= 3


def poison_of(recipe: bytes) -> str:
    """The poison that an export's recipe names, in words; empty when it is no such recipe."""
    try:
        attack = json.loads(recipe)["attack"]
        return f"{RECIPE} names {as_text(str(attack['name']))[:80]}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


class _Level:
    """The images below one folder: those that lie in it, and those of each of its subfolders.

    Attributes:
        prefix: the folder's parts.
        loose: images in the folder itself.
        folders: images below each subfolder, by its name; in the order of the names.
    """

    def __init__(self, images: Iterable[Found], prefix: tuple[str, ...]) -> None:
        self.prefix = prefix
        self.loose: list[Found] = []
        self.folders: dict[str, list[Found]] = {}
        depth = len(prefix)
        for file in images:
            if len(file.parts) == depth + 1:
                self.loose.append(file)
            else:
                self.folders.setdefault(file.parts[depth], []).append(file)
        self.folders = {name: self.folders[name] for name in sorted(self.folders)}

    def below(self, name: str) -> _Level:
        return _Level(self.folders[name], (*self.prefix, name))

    def shown(self, name: str = "") -> str:
        return readable("/".join((*self.prefix, name) if name else self.prefix))


def _images(tree: Tree, report: Report) -> Iterator[Found]:
    for file in tree.files:
        if not is_image_name(file.parts[-1]):
            if not is_recipe(file):
                report.skip(file.shown, why_no_image(file.parts[-1]))
        elif file.size == 0:
            report.skip(file.shown, "empty")
        else:
            yield file


def _unwrapped(level: _Level, report: Report, in_part: bool = False) -> _Level:
    """The level where the folders begin to differ; for a part, the level of its classes."""
    while len(level.folders) == 1:
        name = next(iter(level.folders))
        inside = level.below(name)
        if not inside.folders:
            break
        _skip_loose(level, report)
        role = "" if in_part else part_of(name)
        if role and not any(part_of(other) and inside.below(other).folders for other in inside.folders):
            _say_alone(level.shown(name), role, report)
        level = inside
    return level


def _say_alone(name: str, role: str, report: Report) -> None:
    """One sentence, whatever else lay beside the part: a zip that leaves the rest out is read as the folder was."""
    report.say(f"{name!r} is the only part with class folders; {_DRAWN[role]}.")


_DRAWN = {
    "train": "the test part is drawn from it",
    "test": "training and test part are drawn from it",
    "val": "training and test part are drawn from it",
}


def _parted(level: _Level, tree: Tree, shown: str, report: Report) -> Layout | None:
    """The layout of folders that are parts; None where they are classes."""
    nested = {name: level.below(name) for name in level.folders if level.below(name).folders}
    roles = {name: part_of(name) for name in nested}
    train = _only([name for name in nested if roles[name] == "train"], shown)
    if train is None:
        _refuse_unclear(level, nested, roles, shown)
        return None
    test = _only([name for name in nested if roles[name] == "test"], shown)
    test = test or _only([name for name in nested if roles[name] == "val"], shown)
    others = [name for name in level.folders if name not in (train, test)]
    _skip_loose(level, report)
    if test is None:
        return _train_alone(level, train, others, tree, shown, report)
    for name in others:
        left = (
            f"{level.shown(name)!r} is neither the training part ({readable(train)!r}) nor the test part "
            f"({readable(test)!r})"
        )
        report.say(f"{left}: left out, {len(level.folders[name]):,} images.")
    names, found = _classes(_unwrapped(nested[train], report, True), tree, report)
    test_names, test_found = _classes(_unwrapped(nested[test], report, True), tree, report)
    odd = sorted(set(names) ^ set(test_names))
    if odd:
        raise DataError(
            f"{readable(train)} and {readable(test)} in {_within(shown)} do not have the same classes; "
            f"only one of them has images of {', '.join(readable(name) for name in odd[:5])}.",
            "Give both the same class folders, or merge them into one.",
        )
    return Layout(shown_names(names), found, test_found)


def _train_alone(level: _Level, train: str, others: list[str], tree: Tree, shown: str, report: Report) -> Layout:
    unknown = [name for name in others if not part_of(name)]
    if unknown:
        raise DataError(
            f"{readable(train)!r} in {_within(shown)} holds class folders like a training part, but beside it lie "
            f"images in {_listed(unknown)}, and it is not clear whether they are parts or classes.",
            f"Parts: name the other one 'test'. Classes: put the images of {readable(train)!r} directly into it, "
            "without subfolders.",
        )
    for name in others:
        report.skip(level.shown(name), "a part without class folders")
    _say_alone(level.shown(train), "train", report)
    names, found = _classes(_unwrapped(level.below(train), report, True), tree, report)
    return Layout(shown_names(names), found, [])


def _only(names: list[str], shown: str) -> str | None:
    if len(names) > 1:
        raise DataError(
            f"{_listed(names)} in {_within(shown)} could all be the same part.",
            "Keep one of them there, or merge them.",
        )
    return names[0] if names else None


def _refuse_unclear(level: _Level, nested: dict[str, _Level], roles: dict[str, str], shown: str) -> None:
    """Refuse folders that may be parts as well as classes.

    Raises:
        DataError: a test part without a training part, or the same subfolders in every folder.
    """
    known = [name for name in nested if roles[name]]
    if known and len(level.folders) > 1:
        raise DataError(
            f"{_listed(known)} in {_within(shown)} is named and built like a test part, but there is no training part "
            "beside it.",
            "Name the training part 'train'. If these are classes, put their images directly into them, without "
            "subfolders.",
        )
    if len(nested) < 2 or len(nested) < len(level.folders):
        return
    counts = Counter(name for inside in nested.values() for name in inside.folders)
    shared = sorted(name for name, count in counts.items() if count == len(nested))
    if len(shared) < 2:
        return
    if {part_of(name) for name in shared} >= {"train", "test"} or {part_of(name) for name in shared} >= {
        "train",
        "val",
    }:
        raise DataError(
            f"In {_within(shown)} every class ({_listed(list(nested))}) holds parts ({_listed(shared)}).",
            "Put the parts outside and the classes inside them: train/CLASS and test/CLASS.",
        )
    raise DataError(
        f"All folders of {_within(shown)} ({_listed(list(nested))}) hold the same subfolders ({_listed(shared)}), "
        "so it is not clear whether they are parts or classes.",
        "Parts: name them 'train' and 'test'. Classes: put the images directly into them, without subfolders.",
    )


def _classes_alone(level: _Level, tree: Tree, shown: str, report: Report) -> Layout:
    if all(part_of(name) for name in level.folders) and len(level.folders) > 1:
        report.say(f"{_listed(list(level.folders))} are taken for classes: they hold images and no class folders.")
    deep = [name for name in level.folders if level.below(name).folders]
    if deep:
        held = "hold" if len(deep) > 1 else "holds"
        report.say(f"{_listed(deep)} {held} subfolders; their images count as images of the top folder's class.")
    names, found = _classes(level, tree, report)
    return Layout(shown_names(names), found, [])


def _classes(level: _Level, tree: Tree, report: Report) -> tuple[tuple[str, ...], list[tuple[Found, int]]]:
    """Names (composed, so that the same letters are one name) and (file, class) pairs of a folder of class folders."""
    _skip_loose(level, report)
    depth = len(level.prefix)
    for parts in tree.folders:
        if len(parts) == depth + 1 and parts[:depth] == level.prefix and parts[-1] not in level.folders:
            report.skip(readable("/".join(parts)), "a class without images")
    found = [(file, label) for label, files in enumerate(level.folders.values()) for file in files]
    return tuple(unicodedata.normalize("NFC", name) for name in level.folders), found


def _skip_loose(level: _Level, report: Report) -> None:
    for file in level.loose:
        report.skip(file.shown, "outside any class folder")
    level.loose = []


def _without_classes(tree: Tree, shown: str) -> DataError:
    return DataError(f"{shown} has no {'images in its class folders' if tree.folders else 'class folders'}.", advice())


def _together(level: _Level, tree: Tree) -> list[Found]:
    """The images where all of them lie in one folder that says nothing of classes; else none."""
    if not level.folders:
        return level.loose
    depth = len(level.prefix)
    beside = [parts for parts in tree.folders if len(parts) == depth + 1 and parts[:depth] == level.prefix]
    if len(level.folders) > 1 or level.loose or len(beside) > 1:
        return []
    return level.below(next(iter(level.folders))).loose


def _loose(pictures: list[Found], shown: str, report: Report) -> Layout:
    """The layout of images without class folders.

    Raises:
        DataError: there is one image only, or more than are classes of their own.
    """
    if len(pictures) < 2:
        raise DataError(
            f"{shown} has one image only, {pictures[0].shown!r}; two are needed, so that there are two classes.",
            "Give another one beside it.",
        )
    pictures = sorted(pictures, key=lambda file: file.parts)
    count = f"{len(pictures):,} images lie in no class folders"
    if alike := named_alike(pictures):
        told = _listed([f"{name} ({len(places)})" for name, places in alike.items()])
        report.say(f"{count}; the beginnings of their names are taken for classes: {told}.")
        found = [(pictures[place], label) for label, places in enumerate(alike.values()) for place in places]
        return Layout(shown_names(alike), sorted(found, key=lambda one: one[0].parts), [])
    if len(pictures) > MOST_ALONE:
        raise DataError(
            f"{count} of {_within(shown)}, and without them at most {MOST_ALONE} are read, each as a class of its own.",
            advice(),
        )
    report.say(
        f"{count}: each is a class of its own, named after its file. To train on them, make one subfolder for each "
        "class and zip the folder that holds them."
    )
    return Layout(shown_names(stems(pictures)), [(file, place) for place, file in enumerate(pictures)], [], alone=True)


def _within(shown: str) -> str:
    return shown[0].lower() + shown[1:]


def _listed(names: list[str]) -> str:
    words = [repr(readable(name)) for name in names[:4]]
    if len(names) > 4:
        words.append(f"{len(names) - 4} more")
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
