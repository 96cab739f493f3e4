"""Loading a data set through the disk: made once, memory-mapped afterwards."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from ued_core.artefacts import CARD, LOADED, Artefact
from ued_core.context import Context
from ued_core.data.base import Dataset
from ued_core.data.handles import located
from ued_core.data.room import touch_upload
from ued_core.params import fingerprint
from ued_core.records import DataSplit, ImageSet


def load_split(dataset: Dataset, ctx: Context) -> DataSplit:
    """Load a data set, from the cache when it was loaded before.

    The cache entry is an artefact (:mod:`ued_core.artefacts`) named after :meth:`Dataset.identity`. Whichever of
    several processes is first, it appears whole or not at all; a damaged one is made anew. Where it cannot be written
    the split is still returned and its notes say so. Entries have a limit (:func:`ued_core.artefacts.limits.limit`);
    those that go for a new one are named in its notes, this once.

    Args:
        dataset: the configured data set.
        ctx: told of the progress and of the set's notes; neither its seed nor its device matters.

    Returns:
        Images backed by private memory maps: writing to them changes no file.

    Raises:
        DataError, Unavailable, Cancelled: as :meth:`Dataset.load`.
    """
    split = _loaded(dataset, ctx)
    for note in split.notes:
        ctx.on_note(note)
    return split


def _loaded(dataset: Dataset, ctx: Context) -> DataSplit:
    dataset.fetch(ctx)
    folder = _entry(dataset, ctx)
    kept = LOADED.read(folder, _split)
    if kept is not None:
        _touch_uploads(dataset)
        return kept
    split = dataset.load(ctx)
    _touch_uploads(dataset)
    removed: list[str] = []
    error = _keep(folder, split, removed.append)
    if error is not None:
        # Without the path: visitors read this note too.
        why = getattr(error, "strerror", None) or error
        note = f"The images could not be kept on the disk for the next time: {why}."
        return DataSplit(split.train, split.test, (*split.notes, note))
    kept = LOADED.read(folder, _split) or split
    return DataSplit(kept.train, kept.test, (*kept.notes, *removed))


def _touch_uploads(dataset: Dataset) -> None:
    for text in dataset.chosen_paths().values():
        touch_upload(located(text))


def is_kept(dataset: Dataset) -> bool:
    """Whether :func:`load_split` would find an entry in the cache; it is not read."""
    return (_entry(dataset) / CARD).exists()


def _entry(dataset: Dataset, ctx: Context | None = None) -> Path:
    return LOADED.root() / f"{dataset.key}-{fingerprint(dataset.identity(ctx))}"


def _split(kept: Artefact) -> DataSplit:
    def part(name: str) -> ImageSet:
        images, labels = (torch.from_numpy(kept.array(f"{name}_{what}")) for what in ("images", "labels"))
        return ImageSet(images, labels, tuple(kept.card["class_names"]), kept.card["name"])

    return DataSplit(part("train"), part("test"), tuple(kept.card["notes"]))


def _keep(folder: Path, split: DataSplit, tell: Callable[[str], None]) -> Exception | None:
    arrays = {
        "train_images": split.train.images,
        "train_labels": split.train.labels,
        "test_images": split.test.images,
        "test_labels": split.test.labels,
    }
    card = {"name": split.train.name, "class_names": list(split.train.class_names), "notes": list(split.notes)}
    return LOADED.keep(folder, card, {name: tensor.numpy() for name, tensor in arrays.items()}, tell=tell)
