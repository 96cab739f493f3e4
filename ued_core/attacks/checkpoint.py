"""Crafted sets as artefacts: what took minutes to compute is computed once.

An attack that trains a surrogate works on a whole training set. What it made is a folder under the home, named by
the attack, its private key and the content of the clean set; it appears whole or not at all. While it is being made,
its state lies beside it, so that crafting that was stopped goes on where it was.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ued_core.attacks.base import Attack, touched_rows
from ued_core.context import Context
from ued_core.files import folder_atomic, sha256_of, write_atomic, write_json
from ued_core.home import home
from ued_core.params import fingerprint
from ued_core.records import ImageSet, PoisonedSet

#: raised whenever code changes what all attacks craft, so that old artefacts are not taken for new ones; one attack has
# its ``revision``
CRAFT_VERSION = 1
MOST_BYTES = 8_000_000_000
"""What all crafted sets may take on the disk; the ones not used longest go."""
STOPPED = "stopped_early"
"""In the log of a set whose crafting the user ended, and in no other."""
SHARE_OF_TIME = 0.05
"""What saving the state of unfinished work may cost."""


@dataclass(frozen=True)
class Crafted:
    """What crafting gave.

    Attributes:
        images: uint8 (N, C, H, W), the whole set as published; memory-mapped when it was read.
        log: JSON-ready: at least ``converged`` (bool), ``note`` (a sentence) and ``trace`` (a list of rows);
            ``surrogate``, what is known of a model that was trained beforehand, where there is one. Only when
            :attr:`Context.enough` ended the work, ``stopped_early``: ``"after 3 of at most 30 rounds"``.
    """

    images: torch.Tensor
    log: dict[str, Any] = field(default_factory=dict)


def log_of(done: str, wanted: str, converged: bool, trace: list[dict[str, Any]], stopped: str = "") -> dict[str, Any]:
    """The log of a crafted set.

    Args:
        done: what was reached, as a sentence without its end.
        wanted: what was to be reached.
        converged: whether it was.
        trace: a row a round.
        stopped: how far the work was when the user ended it, ``"after 3 of at most 30 rounds"``; empty when it ran to
            its end.
    """
    state = f"Stopped early {stopped}" if stopped else "Converged" if converged else "Not converged"
    note = f"{state}: {done}." if converged else f"{state}: {done}; {wanted}."
    return {"converged": converged, "note": note, "trace": trace} | ({STOPPED: stopped} if stopped else {})


class Draft:
    """The state of unfinished crafting in one file.

    Args:
        path: None keeps nothing.
        every_s: least time between two saves; 0 saves whenever asked.
    """

    def __init__(self, path: Path | None = None, every_s: float = 2.0) -> None:
        self.path, self.every_s = path, every_s
        self._cost, self._last = 0.0, time.perf_counter()

    def load(self) -> dict[str, Any] | None:
        """What was saved last, or None; a damaged file counts as none."""
        if self.path is None or not self.path.exists():
            return None
        try:
            return torch.load(self.path, map_location="cpu", weights_only=True)
        except Exception:  # whatever torch and pickle say of a torn file: the work begins anew
            return None

    def save(self, state: Callable[[], Mapping[str, Any]]) -> None:
        """Save, but not so often that it takes more than a twentieth of the time; a full disk is no error."""
        now = time.perf_counter()
        pause = max(self.every_s, self._cost / SHARE_OF_TIME) if self.every_s else 0.0
        if self.path is None or now - self._last < pause:
            return
        held = dict(state())
        # torch says RuntimeError of a full disk.
        with suppress(OSError, RuntimeError):
            write_atomic(self.path, lambda temporary: torch.save(held, temporary))
        self._last = time.perf_counter()
        self._cost = self._last - now

    def discard(self) -> None:
        """Remove the file."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)


def crafted_root() -> Path:
    """The folder of all crafted sets; it is not made here."""
    return home() / "crafted"


def _family(attack: Any, seed: int) -> Path:
    named = {"version": CRAFT_VERSION, "torch": torch.__version__, "attack": attack.to_json(), "seed": seed}
    inputs = attack.crafting_inputs()
    named |= {"inputs": inputs} if inputs else {}
    named |= {"revision": attack.revision()} if attack.revision() else {}
    return crafted_root() / f"{attack.key}-{fingerprint(named)}"


def poison_once(
    attack: Attack,
    data: ImageSet,
    ctx: Context,
    poison_rate: float = 1.0,
    poison_classes: Sequence[int] | None = None,
    partial: Path | None = None,
) -> PoisonedSet:
    """:meth:`Attack.poison`, but what a whole-set attack crafted once is read instead of crafted again.

    Args:
        attack, data, ctx, poison_rate, poison_classes: as :meth:`Attack.poison`. Where ``ctx.enough`` ends crafting
            early, images that have no noise yet count as untouched.
        partial: as :func:`craft_once`.

    Raises:
        Cancelled: the user stopped; the state stays and the next call goes on from it.
    """
    if not attack.needs_whole_set:
        return attack.poison(data, ctx, poison_rate, poison_classes)
    touched = touched_rows(data, ctx, poison_rate, poison_classes)
    made = craft_once(attack, data, ctx, partial) if bool(touched.any()) else Crafted(data.images)
    if STOPPED in made.log:
        touched = touched & changed_rows(made.images, data.images)
    images = made.images if bool(touched.all()) else torch.where(touched.view(-1, 1, 1, 1), made.images, data.images)
    return PoisonedSet(data, images, touched, attack.to_json(), ctx.seed, made.log or None)


def craft_once(attack: Any, data: ImageSet, ctx: Context, partial: Path | None = None) -> Crafted:
    """The crafted set from the disk, or crafted now and kept.

    Args:
        attack: one with ``needs_whole_set``, so it has a ``craft(data, ctx, draft)``.
        data: the whole clean set.
        ctx: its seed is the private key.
        partial: folder of whoever asks. A set whose crafting ``ctx.enough`` ended is kept there alone, for the next
            time that they ask; to everybody else it does not exist, and they craft on where it was left. None keeps
            none.
    """
    own = None if partial is None else partial / data.content_hash
    mine = None if own is None else read_crafted(own)
    if mine is not None and mine.images.shape == data.images.shape:
        ctx.report(1, 1, f"{attack.title}: read from the disk, {mine.log.get(STOPPED, '')}")
        return mine
    folder = _family(attack, ctx.seed) / data.content_hash
    kept = read_crafted(folder)
    if kept is not None and kept.images.shape == data.images.shape:
        ctx.report(1, 1, f"{attack.title}: crafted before, read from the disk")
        return kept
    draft = Draft(folder.with_suffix(".draft"))
    began = time.perf_counter()
    made = attack.craft(data, ctx, draft)
    known = attack.surrogate_note(data, ctx.seed)
    log = {**made.log, **({"surrogate": known} if known else {}), "seconds": time.perf_counter() - began}
    target = own if STOPPED in log else folder
    try:
        if own is not None and target == own:
            # Not the folder above: a run whose folder was deleted stays deleted.
            own.parent.mkdir(exist_ok=True)
        if target is not None:
            _write(
                target, made.images, data, {"attack": attack.to_json(), "seed": ctx.seed, "data": data.name, "log": log}
            )
    except OSError:
        # A full or read-only disk: the work is done all the same, it only cannot be kept.
        return Crafted(made.images, log)
    if target == folder:
        draft.discard()
    return (None if target is None else read_crafted(target)) or Crafted(made.images, log)


def changed_rows(images: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Which images differ from the clean ones; bool (N,), in blocks."""
    starts = range(0, len(images), 1024)
    return torch.cat([(images[s : s + 1024] != clean[s : s + 1024]).flatten(1).any(1) for s in starts])


def crafted_card(attack: Attack, seed: int, data_hash: str) -> dict[str, Any] | None:
    """What is known of a crafted set (``attack``, ``seed``, ``data``, ``log``), or None when there is none."""
    try:
        return json.loads((_family(attack, seed) / data_hash / "card.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def crafted_rows(attack: Attack, seed: int, images: ImageSet) -> torch.Tensor | None:
    """The crafted versions of some images, from any crafted set that holds all of them; the newest one first.

    Args:
        images: rows of a training set, whatever their order.

    Returns:
        uint8, shape of ``images.images``, or None when no crafted set holds them.
    """
    try:
        folders = [path for path in _family(attack, seed).iterdir() if (path / "card.json").exists()]
    except OSError:
        return None
    wanted = _digests(images)
    for folder in sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True):
        kept = read_crafted(folder)
        if kept is None or kept.images.shape[1:] != images.images.shape[1:]:
            continue
        known = np.load(folder / "rows.npy")
        order = np.argsort(known, kind="stable")
        at = np.minimum(np.searchsorted(known[order], wanted), len(known) - 1)
        rows = order[at]
        if np.array_equal(known[rows], wanted):
            return kept.images[torch.from_numpy(rows)]
    return None


def read_crafted(folder: Path) -> Crafted | None:
    """A crafted set, memory-mapped, or None when it is absent or damaged."""
    try:
        written = (folder / "card.json").stat().st_mtime_ns
        found = _mapped(folder, written)
        os.utime(folder)
    except (OSError, EOFError, ValueError, KeyError):
        return None
    return found


@functools.lru_cache(maxsize=4)
def _mapped(folder: Path, written: int) -> Crafted:
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    array = np.load(folder / "images.npy", mmap_mode="c", allow_pickle=False)
    if sha256_of(array) != card["sha256"]:
        raise ValueError(f"{folder.name} does not have the checksum it was written with")
    return Crafted(torch.from_numpy(array), card["log"])


def _write(folder: Path, images: torch.Tensor, data: ImageSet, card: Mapping[str, Any]) -> None:
    # Another process that crafted the same may have been quicker: its files are equal.
    with folder_atomic(folder, stays=lambda other: read_crafted(other) is not None) as entry:
        array = images.contiguous().numpy()
        np.save(entry / "images.npy", array)
        np.save(entry / "rows.npy", _digests(data))
        write_json(entry / "card.json", {**card, "data_hash": data.content_hash, "sha256": sha256_of(array)})
    _make_room(folder)


def _make_room(newest: Path) -> None:
    with suppress(OSError):
        entries = sorted(
            crafted_root().glob("*/*/images.npy"), key=lambda path: path.parent.stat().st_mtime, reverse=True
        )
        total = 0
        for path in entries:
            total += path.stat().st_size
            if total > MOST_BYTES and path.parent != newest:
                shutil.rmtree(path.parent, ignore_errors=True)


def _digests(data: ImageSet) -> np.ndarray:
    """Eight bytes that name each image with its label, uint64 (N,)."""
    labels = data.labels.tolist()
    images = data.images
    found = np.empty(len(data), np.uint64)
    for row, label in enumerate(labels):
        digest = hashlib.blake2b(
            images[row].contiguous().numpy().tobytes(), digest_size=8, salt=str(label).encode()[:16]
        )
        found[row] = int.from_bytes(digest.digest(), "big")
    return found
