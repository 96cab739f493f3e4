"""An imported poison on a data set: by our rule, as its released loader has it, and the two compared."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ued_core.context import Context
from ued_core.data.names import readable
from ued_core.data.poison_files.decision import decide
from ued_core.data.poison_files.formats import FORMATS
from ued_core.data.poison_files.loaders import RULES, Rule, rounded, signed
from ued_core.data.poison_files.readers import read
from ued_core.data.poison_files.verdict import Found, Reading
from ued_core.errors import DataError, UnknownName
from ued_core.records import ImageSet, PoisonedSet

_BLOCK = 1024


def load(
    path: Path, data: ImageSet | None = None, reading: Reading | None = None, ctx: Context | None = None
) -> Imported:
    """Read a poison file whole; nothing in it is executed.

    Args:
        path: file, zip or folder.
        data: the clean images that it is for, if they are known; they tell whole images from noise, labels from
            indices, and class-wise from sample-wise.
        reading: what to insist on; everything is judged when left out, with the reasons among the notes.
        ctx: told of the progress, asked for cancellation.

    Raises:
        DataError: it cannot be read, is unsafe, or is no poison.
        Cancelled: the user stopped the work.
        ParameterError, UnknownName: ``reading`` asks for what there is not.
    """
    reading = reading or Reading()
    path = Path(path)
    raw = read(path, reading.format, ctx)
    made = decide(raw, readable(path.name), reading, data)
    return Imported(
        found=made.found,
        values=_tensor(made.array),
        ids=None if made.ids is None else torch.from_numpy(made.ids),
        labels=None if made.labels is None else torch.from_numpy(made.labels),
        clusters=None if raw.clusters is None else torch.from_numpy(raw.clusters),
        class_names=tuple(readable(name) for name in made.class_names),
        recipe=raw.recipe,
    )


def detect(path: Path, data: ImageSet | None = None, reading: Reading | None = None) -> Found:
    """What a poison file is; arguments and errors as in :func:`load`."""
    return load(path, data, reading).found


def _tensor(array: np.ndarray) -> torch.Tensor:
    """A tensor of a type that torch computes on; mapped files stay mapped."""
    if array.dtype.kind == "f":
        kind = array.dtype.newbyteorder("=") if array.dtype.itemsize >= 4 else np.dtype(np.float32)
    elif array.dtype in (np.uint8, np.int8, np.int16):
        kind = array.dtype.newbyteorder("=")
    else:
        kind = np.dtype(np.int64 if array.dtype.itemsize > 2 else np.int32)
    array = array.astype(kind, copy=False)
    return torch.from_numpy(array if array.flags.writeable else array.copy(order="K"))


@dataclass(frozen=True)
class Imported:
    """A poison file's content, placed on nothing yet.

    Attributes:
        found: what it is.
        values: (N, C, H, W) in the file's type and unit.
        ids: int64 (N,), the training image of each entry; None: entry i is for image i.
        labels: int64 (N,); None when none came with it.
        clusters: int64 (images,), the map of each image; None when there are none.
        class_names: of the labels; empty when there are none.
        recipe: JSON that came with it, or None.
    """

    found: Found
    values: torch.Tensor
    ids: torch.Tensor | None = None
    labels: torch.Tensor | None = None
    clusters: torch.Tensor | None = None
    class_names: tuple[str, ...] = ()
    recipe: Any = None

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def content_hash(self) -> str:
        """Twelve hex digits that name the values."""
        digest = hashlib.sha256(f"{self.found.content} {self.found.scale} {tuple(self.values.shape)}".encode())
        for start in range(0, len(self.values), _BLOCK):
            digest.update(self.values[start : start + _BLOCK].contiguous().numpy().tobytes())
        return digest.hexdigest()[:12]

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The released loaders that read this content, the usual one first."""
        usual = [RULES[key] for key in FORMATS[self.found.format].rules]
        return tuple(rule for rule in usual if rule.content == self.found.content) or tuple(
            rule for rule in RULES.values() if rule.content == self.found.content
        )

    def rule(self, key: str = "") -> Rule:
        """A loader by its key; the usual one for the empty key.

        Raises:
            UnknownName: no loader of this content has that key.
        """
        if not key:
            return self.rules[0]
        known = {name: rule for name, rule in RULES.items() if rule.content == self.found.content}
        if key not in known:
            raise UnknownName(f"loader of {self.found.content}", key, known)
        return known[key]

    def place(self, data: ImageSet) -> torch.Tensor:
        """Which entry each image of ``data`` gets: int64 (images,), −1 for none.

        Raises:
            DataError: numbers, labels, indices or shapes do not fit the data set; the message says which.
        """
        self._refuse_other_shape(data)
        match self.found.per:
            case "class":
                self._refuse_count(data.classes, "classes", data)
                return data.labels.clone()
            case "cluster":
                return self._by_cluster(data)
            case "pool":
                return self._by_pool(data)
        return self._by_sample(data)

    def onto(self, data: ImageSet, rows: torch.Tensor | None = None) -> PoisonedSet:
        """The poison on clean images by our rule: sign kept, clipped, rounded.

        Args:
            data: the whole clean set that it is for.
            rows: int64 (M,), only these images; all when left out.

        Returns:
            A poisoned set of the given rows.

        Raises:
            DataError: as :meth:`place`.
        """
        return self._poisoned(data, rows, None)

    def as_released(self, data: ImageSet, rule: str = "", rows: torch.Tensor | None = None) -> PoisonedSet:
        """The same as a released loader has it, before any augmentation.

        Args:
            data, rows: as in :meth:`onto`.
            rule: key of the loader; the format's usual one when empty.

        Raises:
            UnknownName: no such loader for this content.
            DataError: as :meth:`place`.
        """
        return self._poisoned(data, rows, self.rule(rule))

    def image_set(self, name: str = "") -> ImageSet:
        """Whole images with their own labels as a data set, without any clean counterpart.

        Raises:
            DataError: it is noise, or it has no labels.
        """
        if self.found.content != "images" or self.labels is None:
            raise DataError(
                f"{self.found.name} has no {'images' if self.found.content == 'noise' else 'labels'} of its own."
            )
        count = int(self.labels.max()) + 1
        names = self.class_names if len(self.class_names) >= count else tuple(str(i) for i in range(count))
        images = rounded(self.values, self.values, self.found.scale, None)
        return ImageSet(images.contiguous(), self.labels, names, name or Path(self.found.name).stem)

    # ---- placing

    def _refuse_other_shape(self, data: ImageSet) -> None:
        shape, wanted = tuple(self.values.shape[1:]), data.shape
        small = (
            self.found.content == "noise"
            and shape[0] == wanted[0]
            and all(a <= b for a, b in zip(shape[1:], wanted[1:], strict=True))
        )
        if shape != wanted and not small and self.found.format != "uc":
            raise DataError(
                f"The entries of {self.found.name} are {' × '.join(map(str, shape))}, "
                f"the images of {data.name!r} {' × '.join(map(str, wanted))}.",
                "Choose the data set that it was made for, or another layout.",
            )

    def _refuse_count(self, wanted: int, what: str, data: ImageSet) -> None:
        if len(self) != wanted:
            raise DataError(
                f"{self.found.name} has {len(self):,} entries, but {data.name!r} has {wanted:,} {what}.",
                "Choose the data set that it was made for, with the same number of images.",
            )

    def _by_cluster(self, data: ImageSet) -> torch.Tensor:
        if self.clusters is None:
            if len(self) == 1:
                return torch.zeros(len(data), dtype=torch.int64)
            raise DataError(
                f"{self.found.name} has {len(self)} maps but no assignment of images to them.",
                "Add the …_cluster….pth file to the zip.",
            )
        if len(self.clusters) != len(data) or int(self.clusters.max()) >= len(self):
            raise DataError(
                f"The assignment in {self.found.name} is for {len(self.clusters):,} images and "
                f"{int(self.clusters.max()) + 1} clusters; "
                f"{data.name!r} has {len(data):,} images, and there are {len(self)} maps.",
                "Choose the data set that it was made for.",
            )
        return self.clusters.clone()

    def _by_pool(self, data: ImageSet) -> torch.Tensor:
        if self.labels is None:
            raise DataError(
                f"{self.found.name} has no labels, so its pool cannot be handed out.", "Put its label file beside it."
            )
        entry = torch.full((len(data),), -1, dtype=torch.int64)
        for label in data.labels.unique().tolist():
            own, pool = (data.labels == label).nonzero()[:, 0], (self.labels == label).nonzero()[:, 0]
            if len(pool) < len(own):
                raise DataError(
                    f"{self.found.name} has {len(pool):,} entries for class {label}, but {data.name!r} has "
                    f"{len(own):,} such images.",
                    "Choose the data set that it was made for, or make a larger pool.",
                )
            entry[own] = pool[: len(own)]
        return entry

    def _by_sample(self, data: ImageSet) -> torch.Tensor:
        if self.ids is None:
            self._refuse_count(len(data), "training images", data)
            entry = torch.arange(len(data))
        else:
            if int(self.ids.max()) >= len(data):
                raise DataError(
                    f"The indices in {self.found.name} go up to {int(self.ids.max()):,}, but {data.name!r} has "
                    f"{len(data):,} images.",
                    "Choose the data set that it was made for.",
                )
            entry = torch.full((len(data),), -1, dtype=torch.int64)
            entry[self.ids] = torch.arange(len(self.ids))
        if self.labels is not None and self.found.content == "images":
            rows = (entry >= 0).nonzero()[:, 0]
            agree = float((self.labels[entry[rows]] == data.labels[rows]).float().mean())
            if agree < 1.0:
                raise DataError(
                    f"Only {100 * agree:.1f} % of the labels in {self.found.name} agree with those of {data.name!r}: "
                    "it is in another order, or for another data set.",
                    "Choose the data set that it was made for; a shuffled file can be used as a data set of its "
                    "own only.",
                )
        return entry

    # ---- applying

    def _poisoned(self, data: ImageSet, rows: torch.Tensor | None, rule: Rule | None) -> PoisonedSet:
        entry = self.place(data)
        rows = torch.arange(len(data)) if rows is None else torch.as_tensor(rows, dtype=torch.int64)
        clean = data if len(rows) == len(data) and bool((rows == torch.arange(len(data))).all()) else data.take(rows)
        made = torch.cat(list(self._blocks(clean, entry[rows], rule)))
        attack = {
            "name": "imported",
            "file": self.found.name,
            "format": self.found.format,
            "rule": rule.key if rule else "signed, rounded",
            "content_hash": self.content_hash,
        }
        return PoisonedSet(clean=clean, images=made, touched=entry[rows] >= 0, attack=attack, seed=0)

    def _blocks(self, clean: ImageSet, entry: torch.Tensor, rule: Rule | None) -> Iterator[torch.Tensor]:
        for start in range(0, len(clean), _BLOCK):
            images, own = clean.images[start : start + _BLOCK], entry[start : start + _BLOCK]
            touched = own >= 0
            if not bool(touched.any()):
                yield images.clone()
                continue
            made = self._applied(images[touched], own[touched], rule)
            if bool(touched.all()):
                yield made
            else:
                yield images.clone().index_copy_(0, touched.nonzero()[:, 0], made)

    def _applied(self, clean: torch.Tensor, entry: torch.Tensor, rule: Rule | None) -> torch.Tensor:
        values = self._fitted(self.values[entry], clean.shape[-2:])
        apply = rule.apply if rule else (signed if self.found.content == "noise" else rounded)
        return apply(clean, values, self.found.scale, self.found.clip)

    def _fitted(self, values: torch.Tensor, size: torch.Size) -> torch.Tensor:
        """Noise at the size of the images: UC's resized by the nearest pixel, a smaller patch centred as EM does."""
        if values.shape[-2:] == size:
            return values
        if self.found.format == "uc":
            return torch.nn.functional.interpolate(values.to(torch.float32), list(size))
        high, wide = values.shape[-2:]
        # EM counts half the patch to both sides of the middle, so that odd patches do not fit its own loader.
        top, left = size[0] // 2 - high // 2, size[1] // 2 - wide // 2
        whole = values.new_zeros((*values.shape[:-2], *size))
        whole[..., top : top + high, left : left + wide] = values
        return whole


@dataclass(frozen=True)
class Comparison:
    """What a released loader makes of a poison, beside our rule.

    Attributes:
        images: how many poisoned images were compared.
        lowered: pixel values that our rule makes darker than the clean image.
        lowered_lost: share of those that the loader does not make darker, 0..1; 0 when there are none.
        differing: share of all pixel values that differ between the two, 0..1.
        shift: mean of loader minus ours, in 1/255.
        largest: largest difference between the two, in 1/255.
        ours_linf, released_linf: largest change of a clean pixel value, in 1/255.
        ours_mean, released_mean: mean size of the change, in 1/255.
    """

    images: int
    lowered: int
    lowered_lost: float
    differing: float
    shift: float
    largest: int
    ours_linf: int
    released_linf: int
    ours_mean: float
    released_mean: float


def compare(
    imported: Imported, data: ImageSet, rule: str = "", ctx: Context | None = None, rows: torch.Tensor | None = None
) -> Comparison:
    """Measure a released loader against our rule, in blocks.

    Args:
        imported: the poison.
        data: the whole clean set that it is for.
        rule: key of the loader; the usual one when empty.
        ctx: told of the progress.
        rows: int64, only these images; all poisoned ones when left out.

    Raises:
        DataError, UnknownName, Cancelled: as :meth:`Imported.as_released`.
    """
    ctx, chosen, entry = ctx or Context(), imported.rule(rule), imported.place(data)
    wanted = torch.arange(len(data)) if rows is None else torch.as_tensor(rows, dtype=torch.int64)
    wanted = wanted[entry[wanted] >= 0]
    if len(wanted) == 0:
        raise DataError(f"{imported.found.name} touches none of the chosen images.", "Choose others.")
    counts = dict.fromkeys(("lowered", "lost", "differing", "shift", "ours", "released"), 0)
    largest = ours_linf = released_linf = 0
    for start in range(0, len(wanted), _BLOCK):
        ctx.report(start, len(wanted), "Comparing")
        own = wanted[start : start + _BLOCK]
        clean = data.images[own]
        ours = imported._applied(clean, entry[own], None).to(torch.int16)
        released = imported._applied(clean, entry[own], chosen).to(torch.int16)
        before = clean.to(torch.int16)
        apart, change, theirs = released - ours, ours - before, released - before
        lower = change < 0
        counts["lowered"] += int(lower.sum())
        counts["lost"] += int((lower & (theirs >= 0)).sum())
        counts["differing"] += int((apart != 0).sum())
        counts["shift"] += int(apart.sum())
        counts["ours"] += int(change.abs().sum())
        counts["released"] += int(theirs.abs().sum())
        largest = max(largest, int(apart.abs().max()))
        ours_linf, released_linf = max(ours_linf, int(change.abs().max())), max(released_linf, int(theirs.abs().max()))
    total = len(wanted) * int(np.prod(data.shape))
    return Comparison(
        images=len(wanted),
        lowered=counts["lowered"],
        lowered_lost=counts["lost"] / max(counts["lowered"], 1),
        differing=counts["differing"] / total,
        shift=counts["shift"] / total,
        largest=largest,
        ours_linf=ours_linf,
        released_linf=released_linf,
        ours_mean=counts["ours"] / total,
        released_mean=counts["released"] / total,
    )
