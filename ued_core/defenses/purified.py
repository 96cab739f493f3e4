"""Purified sets as artefacts: what took minutes to train is trained once, can be resumed, watched and ended early.

What a trained defence made of a training set is a folder under the home, named by the defence and the content of the
set that it was given; it appears whole or not at all. While it is being made a workshop lies beside it, where the state
of unfinished work, one row per epoch and a few pictures of the latest epoch can be found.
"""

from __future__ import annotations

import functools
import hashlib
import io
import json
import shutil
import time
from abc import abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch

from ued_core.artefacts import CARD, EARLY, PURIFIED, STOPPED, WORK, Artefact, Draft
from ued_core.context import Context
from ued_core.defenses.base import Defense
from ued_core.errors import Unavailable
from ued_core.files import write_atomic, write_json
from ued_core.records import ImageSet

#: raised whenever code changes what a trained defence makes, so that old artefacts are not taken for new ones
PURIFY_VERSION = 1
PICTURES = "pictures.npz"
"""Name of the latest pictures in a workshop, and of the last ones in a purified set."""
STATE = "state.pt"
"""Name of the state of unfinished work in its workshop."""


@dataclass(frozen=True)
class Purified:
    """What a trained defence made of a set.

    Attributes:
        images: uint8 (N, C, H, W), what is trained on; memory-mapped when it was read.
        stages: the images after each stage, the last one equal to ``images``.
        log: JSON-ready: at least ``note`` (a sentence) and ``stages`` (a list of objects). Only when the user ended a
            stage early, ``stopped_early``.
        weights: the trained tensors of each stage.
    """

    images: torch.Tensor
    stages: tuple[torch.Tensor, ...]
    log: dict[str, Any] = field(default_factory=dict)
    weights: tuple[dict[str, torch.Tensor], ...] = ()


class Workshop(Draft):
    """The folder of a purification that is under way, or nowhere: the state of the work and what others see of it.

    Args:
        folder: None keeps nothing. A full or read-only disk is no error.
        every_s: least time between two savings of the state; 0 saves whenever asked.
    """

    def __init__(self, folder: Path | None = None, every_s: float = 2.0) -> None:
        super().__init__(None if folder is None else folder / STATE, every_s)
        self.folder = folder

    def show(self, log: Mapping[str, Any], pictures: Mapping[str, np.ndarray]) -> None:
        """Let others see how far the work is: the log so far and some pictures."""
        if self.folder is None:
            return
        with suppress(OSError):
            write_json(self.folder / "log.json", dict(log))
            write_atomic(self.folder / PICTURES, lambda temporary: _write_arrays(temporary, pictures))

    def enough(self) -> bool:
        """Whether somebody asked to end the stage; the answer serves the request."""
        path = self.folder and self.folder / "enough"
        if path is None or not path.exists():
            return False
        path.unlink(missing_ok=True)
        return True

    def discard(self) -> None:
        """Remove the folder."""
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


class TrainedDefense(Defense):
    """A defence that trains networks on the whole training set, which takes minutes.

    :meth:`purify` reads what was purified before, and otherwise purifies and keeps it. Neither the seed of the run nor
    its device is part of the name: a subclass declares a seed of its own. Subclasses implement :meth:`separate` and
    :meth:`seconds_for`.
    """

    acts: ClassVar[frozenset[str]] = frozenset({"purify"})
    needs_whole_set: ClassVar[bool] = True
    trains_networks: ClassVar[bool] = True

    @abstractmethod
    def separate(self, data: ImageSet, ctx: Context, workshop: Workshop) -> Purified:
        """Train and purify, going on from the workshop's state.

        Args:
            data: the whole training set as it was published.
            ctx: device, progress (reported to its end), cancellation; its seed does not matter.
            workshop: where the state of unfinished work is kept and found, and who may end a stage.
        """

    @abstractmethod
    def seconds_for(self, data: ImageSet) -> float: ...

    @abstractmethod
    def reached(self, state: Mapping[str, Any]) -> str:
        """How far unfinished work is, in words.

        Args:
            state: as :meth:`separate` saved it.
        """

    @abstractmethod
    def so_far(self, state: Mapping[str, Any], whole: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        """What unfinished work makes of some images: uint8 (M, C, H, W).

        Args:
            state: as :meth:`separate` saved it.
            whole: the training set.
            rows: int64 (M,), which of its images.
            ctx: device and cancellation.
        """

    def purify(self, data: ImageSet, ctx: Context) -> ImageSet:
        return self.purify_logged(data, ctx)[0]

    def purify_logged(
        self, data: ImageSet, ctx: Context, partial: Path | None = None
    ) -> tuple[ImageSet, Mapping[str, Any]]:
        made = purify_once(self, data, ctx, partial)
        return data.with_images(made.images), made.log

    def purify_rows(self, data: ImageSet, whole: ImageSet, ctx: Context) -> ImageSet:
        """The purified versions of some images, for looking at: of the purified set, or of the newest state of its
        making.

        Raises:
            Unavailable: there is neither, or the set does not hold these images.
        """
        kept, state = self.kept(whole, early=True), self._state(whole)
        rows = None
        if kept is not None or state is not None:
            rows = torch.arange(len(whole)) if data is whole else rows_of(whole, data)
        if rows is not None and state is not None:
            return data.with_images(self.so_far(state, whole, rows, ctx))
        if rows is not None and kept is not None:
            return data.with_images(kept.images[rows])
        raise Unavailable(
            f"{self.title} is trained on the whole training set, and this set has not been purified with these "
            "parameters yet.",
            "Start a training run with this defence: it purifies the set first and keeps it.",
        )

    def checkpoint(self, whole: ImageSet) -> str | None:
        """What :meth:`purify_rows` shows, in words: "purified" when the work is done, None when there is nothing to
        show."""
        if (state := self._state(whole)) is not None:
            return self.reached(state)
        kept = self.kept(whole, early=True)
        return None if kept is None else f"ended early, {kept.log[STOPPED]}" if STOPPED in kept.log else "purified"

    def _state(self, whole: ImageSet) -> dict[str, Any] | None:
        """The newest state of a purification that is not done, or None."""
        folder = self.folder(whole.content_hash)
        if self.kept(whole) is not None:
            return None
        try:
            return _saved(work_of(folder), (work_of(folder) / STATE).stat().st_mtime_ns)
        except OSError:
            return None

    def seconds_before(self, whole: ImageSet) -> float:
        return 0.0 if self.checkpoint(whole) is not None else self.seconds_for(whole)

    def ready(self, whole: ImageSet, patience_s: float = 0.0, finished: bool = False) -> bool:
        """As for every defence; but networks are never trained for looking at images, however patient somebody is."""
        return (self.kept(whole) if finished else self.checkpoint(whole)) is not None

    def state_words(self, whole: ImageSet) -> str:
        return self.checkpoint(whole) or ""

    def folder(self, data_hash: str) -> Path:
        """Where the purified version of the set with this content hash is, or will be."""
        named = {"version": PURIFY_VERSION, "torch": torch.__version__, "defence": self.to_json()}
        named |= {"revision": self.revision()} if self.revision() else {}
        return PURIFIED.address(self.key, named, data_hash)

    def made_for(self, data: ImageSet, partial: Path | None) -> Purified | None:
        """What :meth:`purify_logged` gave whoever asked, read from the disk; None where it could not be kept.

        Args:
            data, partial: as they were given there.
        """
        return _kept(data, _own(self, data, partial), self.folder(data.content_hash))

    def kept(self, data: ImageSet, early: bool = False) -> Purified | None:
        """What was made of this set before, memory-mapped, or None when it is absent or damaged.

        Args:
            early: take also a set whose making was ended early, when there is no whole one.
        """
        folder = self.folder(data.content_hash)
        return _kept(data, folder, early_of(folder) if early else None)


def purify_once(defense: TrainedDefense, data: ImageSet, ctx: Context, partial: Path | None = None) -> Purified:
    """The purified set from the disk, or purified now and kept.

    Two processes that want the same set do not make it twice: the second one waits for the first.

    Args:
        defense, data: what is applied to what.
        ctx: device, progress, cancellation.
        partial: folder of whoever asks. A set whose making was ended early is kept there for the next time that they
            ask. To all others it does not exist: they begin anew. (The latest one can still be looked at.)

    Raises:
        Cancelled: the user stopped; the state stays and the next call goes on from it.
    """
    folder = defense.folder(data.content_hash)
    own = _own(defense, data, partial)
    waiting = f"{defense.title}: another run purifies this set; waiting for it"
    made, when = PURIFIED.once(
        folder,
        lambda: _kept(data, own, folder),
        lambda: _made(defense, data, ctx, folder, own),
        lambda: ctx.report(0, 1, waiting),
    )
    if when != "now":
        told = "purified before, read from the disk" if when == "before" else "purified meanwhile by another run"
        ctx.report(1, 1, f"{defense.title}: {told}")
    return made


def _own(defense: TrainedDefense, data: ImageSet, partial: Path | None) -> Path | None:
    """Where whoever asks keeps a set whose making was ended early."""
    return None if partial is None else partial / f"{defense.key}-{data.content_hash}"


def _kept(data: ImageSet, *places: Path | None) -> Purified | None:
    """The first of some purified sets that is there and fits the set that it was made of."""

    def fitting(kept: Artefact) -> Purified | None:
        found = _purified(kept)
        return found if found.images.shape == data.images.shape else None

    found = (PURIFIED.read(place, fitting) for place in places if place is not None)
    return next((kept for kept in found if kept is not None), None)


def _made(defense: TrainedDefense, data: ImageSet, ctx: Context, folder: Path, own: Path | None) -> Purified:
    workshop, began = Workshop(work_of(folder)), time.perf_counter()
    about = {"defence": defense.to_json(), "data": data.name, "data_hash": data.content_hash}
    with suppress(OSError):
        write_json(work_of(folder) / "about.json", about)
    made = defense.separate(data, ctx, workshop)
    log = {**made.log, "seconds": time.perf_counter() - began}
    made = Purified(made.images, made.stages, log, made.weights)
    targets = [early_of(folder), *([own] if own else [])] if STOPPED in log else [folder]
    for target in targets:
        if not _keep(target, made, {**about, "log": log}, work_of(folder) / PICTURES, target != own, ctx):
            return made
    workshop.discard()
    return read_purified(targets[-1]) or made


def _keep(folder: Path, made: Purified, card: Mapping[str, Any], pictures: Path, parents: bool, ctx: Context) -> bool:
    """Keep a set, with the last pictures of its making; whether that could be done."""

    def add_pictures(fresh: Path) -> None:
        if pictures.exists():
            shutil.copyfile(pictures, fresh / PICTURES)

    # What is there is damaged, or was ended early at another time.
    failed = PURIFIED.keep(
        folder,
        card,
        {f"stage{number}": images.numpy() for number, images in enumerate(made.stages, 1)},
        {f"stage{number}": weights for number, weights in enumerate(made.weights, 1)},
        replace=True,
        parents=parents,
        more=add_pictures,
        tell=ctx.on_note,
    )
    return failed is None


def work_of(folder: Path) -> Path:
    """The workshop that belongs to the folder of a purified set."""
    return folder.with_suffix(WORK)


def early_of(folder: Path) -> Path:
    """Where the latest set whose making was ended early can be looked at."""
    return folder.with_suffix(EARLY)


def ask_enough(folder: Path) -> None:
    """End the stage that is under way after its present epoch.

    Raises:
        Unavailable: nothing is under way.
    """
    try:
        (work_of(folder) / "enough").touch()
    except OSError as error:
        raise Unavailable("Nothing is being purified there that could be ended.", "Look at the page Runs.") from error


def progress_of(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """The log so far and the latest pictures of a set that is being purified, or None before the first epoch."""
    return _log_and_pictures(work_of(folder))


def _log_and_pictures(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    try:
        return json.loads((folder / "log.json").read_text(encoding="utf-8")), _read_arrays(folder / PICTURES)
    except (OSError, ValueError):
        return None


def purified_card(folder: Path) -> dict[str, Any] | None:
    """What is known of a purified set (``defence``, ``data``, ``log``), or None when there is none; quick."""
    return PURIFIED.card(folder)


def kept_sets(key: str, data_hash: str, early: bool = False) -> list[tuple[dict[str, Any], Path]]:
    """All purified versions of one set that lie under the home: the defence as JSON, and the folder; the newest first.

    Args:
        key: of the defence.
        data_hash: content hash of the set that was purified.
        early: those whose making was ended early, instead of the whole ones.
    """
    name = early_of(Path(data_hash)).name if early else data_hash
    cards = sorted(PURIFIED.root().glob(f"{key}-*/{name}/{CARD}"), key=_written, reverse=True)
    found = [(purified_card(card.parent), card.parent) for card in cards]
    return [(card["defence"], folder) for card, folder in found if card is not None]


def _written(card: Path) -> float:
    """When; 0 for one that another process has just removed to make room."""
    try:
        return card.stat().st_mtime
    except OSError:
        return 0.0


def read_purified(folder: Path) -> Purified | None:
    """A purified set, its images memory-mapped, or None when it is absent or damaged."""
    return PURIFIED.read(folder, _purified)


def _purified(kept: Artefact) -> Purified:
    names = [f"stage{number}" for number in range(1, 1 + len(list(kept.folder.glob("stage*.npy"))))]
    stages = tuple(torch.from_numpy(kept.array(name)) for name in names)
    return Purified(stages[-1], stages, kept.card["log"], tuple(kept.tensors(name) for name in names))


@functools.lru_cache(maxsize=1)
def _saved(folder: Path, written: int) -> dict[str, Any] | None:
    return Workshop(folder).load()


def rows_of(whole: ImageSet, part: ImageSet) -> torch.Tensor | None:
    """Which rows of ``whole`` the images of ``part`` are, int64 (M,), or None when one of them is not there."""
    known: dict[tuple[bytes, int], int] = {}
    for row in range(len(whole) - 1, -1, -1):
        known[_digest(whole, row)] = row
    found = [known.get(_digest(part, row)) for row in range(len(part))]
    return None if None in found else torch.tensor(found, dtype=torch.int64)


def _digest(data: ImageSet, row: int) -> tuple[bytes, int]:
    return hashlib.blake2b(data.images[row].contiguous().numpy().tobytes(), digest_size=12).digest(), int(
        data.labels[row]
    )


def _write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    # Through memory: numpy would add an ending to the name of a temporary file.
    held = io.BytesIO()
    np.savez(held, allow_pickle=False, **arrays)
    path.write_bytes(held.getvalue())


def _read_arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
        return {name: file[name] for name in file.files}
