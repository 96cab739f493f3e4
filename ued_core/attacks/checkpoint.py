"""Crafted sets as artefacts: what took minutes to compute is computed once.

An attack that trains a surrogate works on a whole training set. What it made is a folder under the home, named by
the attack, its private key and the content of the clean set; it appears whole or not at all. While it is being made,
its state lies beside it, so that crafting that was stopped goes on where it was.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ued_core.artefacts import CARD, CRAFTED, DRAFT, STOPPED, Artefact, Draft
from ued_core.attacks.base import Attack, touched_rows
from ued_core.context import Context
from ued_core.records import ImageSet, PoisonedSet

#: raised whenever code changes what all attacks craft, so that old artefacts are not taken for new ones; one attack has
# its ``revision``
CRAFT_VERSION = 1


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


def _address(attack: Any, seed: int, data_hash: str) -> Path:
    named = {"version": CRAFT_VERSION, "torch": torch.__version__, "attack": attack.to_json(), "seed": seed}
    inputs = attack.crafting_inputs()
    named |= {"inputs": inputs} if inputs else {}
    named |= {"revision": attack.revision()} if attack.revision() else {}
    return CRAFTED.address(attack.key, named, data_hash)


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
    mine = None if own is None else _kept(own, data)
    if mine is not None:
        ctx.report(1, 1, f"{attack.title}: read from the disk, {mine.log.get(STOPPED, '')}")
        return mine
    folder = _address(attack, ctx.seed, data.content_hash)
    waiting = f"{attack.title}: another run crafts this set; waiting for it"
    made, when = CRAFTED.once(
        folder,
        lambda: _kept(folder, data),
        lambda: _made(attack, data, ctx, folder, own),
        lambda: ctx.report(0, 1, waiting),
    )
    if when != "now":
        told = "crafted before, read from the disk" if when == "before" else "crafted meanwhile by another run"
        ctx.report(1, 1, f"{attack.title}: {told}")
    return made


def _made(attack: Any, data: ImageSet, ctx: Context, folder: Path, own: Path | None) -> Crafted:
    draft, began, cpu = Draft(folder.with_suffix(DRAFT)), time.perf_counter(), time.process_time()
    told: dict[str, float] = {}

    def report(done: float, total: float, text: str) -> None:
        told[text] = max(done, told.get(text, 0.0))
        ctx.on_report(done, total, text)

    made = attack.craft(data, replace(ctx, on_report=report), draft)
    known = attack.surrogate_note(data, ctx.seed)
    # The last report jumps to the end, whatever was needed.
    evaluations = max((done for text, done in told.items() if not text.startswith(made.log["note"])), default=0.0)
    cost = {"seconds": time.perf_counter() - began, "cpu_s": time.process_time() - cpu, "evaluations": int(evaluations)}
    log = {**made.log, **({"surrogate": known} if known else {}), **cost}
    made = Crafted(made.images, log)
    target = own if STOPPED in log else folder
    if target is None:
        return made
    about = {"attack": attack.to_json(), "seed": ctx.seed, "data": data.name, "data_hash": data.content_hash}
    arrays = {"images": made.images.numpy(), "rows": _digests(data)}
    card = {**about, "log": log}
    if CRAFTED.keep(target, card, arrays, parents=target == folder, tell=ctx.on_note) is not None:
        return made
    if target == folder:
        draft.discard()
    return read_crafted(target) or made


def changed_rows(images: torch.Tensor, clean: torch.Tensor) -> torch.Tensor:
    """Which images differ from the clean ones; bool (N,), in blocks."""
    starts = range(0, len(images), 1024)
    return torch.cat([(images[s : s + 1024] != clean[s : s + 1024]).flatten(1).any(1) for s in starts])


def crafted_card(attack: Attack, seed: int, data_hash: str) -> dict[str, Any] | None:
    """What is known of a crafted set (``attack``, ``seed``, ``data``, ``log``), or None when there is none."""
    return CRAFTED.card(_address(attack, seed, data_hash))


def crafted_rows(attack: Attack, seed: int, images: ImageSet) -> torch.Tensor | None:
    """The crafted versions of some images, from any crafted set that holds all of them; the newest one first.

    Args:
        images: rows of a training set, whatever their order.

    Returns:
        uint8, shape of ``images.images``, or None when no crafted set holds them.
    """
    wanted = _digests(images)

    def held(kept: Artefact) -> torch.Tensor | None:
        crafted = _crafted(kept).images
        known = kept.array("rows")
        order = np.argsort(known, kind="stable")
        rows = order[np.minimum(np.searchsorted(known[order], wanted), len(known) - 1)]
        fits = crafted.shape[1:] == images.images.shape[1:] and np.array_equal(known[rows], wanted)
        return crafted[torch.from_numpy(rows)] if fits else None

    found = (CRAFTED.read(folder, held) for folder in _newest_first(_address(attack, seed, "")))
    return next((rows for rows in found if rows is not None), None)


def read_crafted(folder: Path) -> Crafted | None:
    """A crafted set, memory-mapped, or None when it is absent or damaged."""
    return CRAFTED.read(folder, _crafted)


def _crafted(kept: Artefact) -> Crafted:
    return Crafted(torch.from_numpy(kept.array("images")), kept.card["log"])


def _kept(folder: Path, data: ImageSet) -> Crafted | None:
    kept = read_crafted(folder)
    return kept if kept is not None and kept.images.shape == data.images.shape else None


def _newest_first(family: Path) -> list[Path]:
    try:
        folders = [path for path in family.iterdir() if (path / CARD).exists()]
        return sorted(folders, key=lambda path: path.stat().st_mtime, reverse=True)
    except OSError:
        return []


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
