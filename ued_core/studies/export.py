"""Exporting the poison of a run spec: for the command line, and beside the web server with progress in a file."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import NamedTuple

from ued_core.attacks.checkpoint import poison_once
from ued_core.context import Context, pick_device
from ued_core.data import load_split, origin_json
from ued_core.data.poison_files import ENDINGS, export, recipe
from ued_core.errors import SpecError
from ued_core.files import write_json
from ued_core.home import home
from ued_core.params import fingerprint
from ued_core.runs.spec import RunSpec

KEPT = 8
"""Exports for download that are kept; older ones go."""
_TOLD_EVERY_S = 0.3


class Written(NamedTuple):
    """What an export wrote.

    Attributes:
        files: paths, the poison first.
        images: how many images the set has.
        poisoned: how many of them the attack touched.
    """

    files: tuple[str, ...]
    images: int
    poisoned: int


class Fraction(NamedTuple):
    """How far an export is: 0..1, and what is being done."""

    done: float
    text: str


def export_spec(spec: RunSpec, kind: str, out: Path, ctx: Context) -> Written:
    """Poison the training images that a spec names and write them; its defences, model and plan do not matter.

    Args:
        spec: names data, attack, key, rate and classes.
        kind: ``npz``, ``folder`` or ``em`` (:data:`ued_core.data.poison_files.KINDS`).
        out: the file.
        ctx: progress and cancellation; its seed and device are replaced by the spec's.

    Raises:
        SpecError: the spec names no attack.
        DataError, UnknownName: as :func:`ued_core.data.poison_files.export`.
    """
    if spec.attack is None:
        raise SpecError(
            "The spec names no attack, so there is no poison to export.", 'Add "attack": "cuda", for example.'
        )
    ctx = Context(spec.attack_seed, pick_device(spec.device), ctx.on_report, ctx.stop, on_note=ctx.on_note)
    train = load_split(spec.dataset, ctx).train
    poisoned = poison_once(spec.attack, train, ctx, spec.poison_rate, spec.poison_classes)
    about = recipe(poisoned, origin_json(spec.dataset, "train"), spec.poison_rate, spec.poison_classes)
    files = export(poisoned, kind, out, about, ctx)
    return Written(tuple(map(str, files)), len(train), int(poisoned.touched.sum()))


def export_folder(spec: RunSpec, kind: str) -> Path:
    """Where an export for download lies: named by everything that decides its content."""
    decides = {
        k: v
        for k, v in spec.identity().items()
        if k in ("dataset", "attack", "poison_rate", "poison_classes", "attack_seed")
    }
    return home() / "exports" / f"{kind}-{fingerprint(decides)}"


def export_for_download(spec: RunSpec, kind: str) -> Written:
    """Export into :func:`export_folder`; :func:`export_progress` says how far it is."""
    folder = export_folder(spec, kind)
    folder.mkdir(parents=True, exist_ok=True)
    told = time.monotonic()

    def report(done: float, total: float, text: str) -> None:
        nonlocal told
        if time.monotonic() - told > _TOLD_EVERY_S:
            told = time.monotonic()
            write_json(folder / "progress.json", {"done": done / total if total else 0.0, "text": text})

    attack = spec.attack.key if spec.attack else "clean"
    name = f"{spec.dataset.key}_{attack}_{spec.attack_seed}{ENDINGS[kind]}"
    written = export_spec(spec, kind, folder / name, Context(on_report=report))
    _trim(folder)
    return written


def export_progress(spec: RunSpec, kind: str) -> Fraction:
    """How far the export is; 0 before it has said anything."""
    try:
        told = json.loads((export_folder(spec, kind) / "progress.json").read_text(encoding="utf-8"))
        return Fraction(min(1.0, max(0.0, float(told["done"]))), str(told["text"]))
    except (OSError, ValueError, KeyError, TypeError):
        return Fraction(0.0, "")


def _trim(newest: Path) -> None:
    others = sorted((p for p in newest.parent.iterdir() if p.is_dir() and p != newest), key=lambda p: p.stat().st_mtime)
    for old in others[: max(0, len(others) + 1 - KEPT)]:
        shutil.rmtree(old, ignore_errors=True)
