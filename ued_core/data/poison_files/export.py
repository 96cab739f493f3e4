"""Writing a poisoned set in the forms that other programs read, each with the recipe that made it."""

from __future__ import annotations

import io
import json
import platform
import re
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch

from ued_core.context import Context
from ued_core.data.npz import write_npz
from ued_core.errors import DataError, UnknownName
from ued_core.files import write_atomic, write_json
from ued_core.records import PoisonedSet

RECIPE_VERSION = 1
KINDS: Mapping[str, str] = MappingProxyType(
    {
        "npz": "npz: images, labels and the recipe in one file",
        "folder": "zip of PNG files, one folder per class (lossless)",
        "em": "perturbation.pt as EM's loader reads it, the recipe beside it",
    }
)
ENDINGS: Mapping[str, str] = MappingProxyType({"npz": ".npz", "folder": ".zip", "em": ".pt"})


def recipe(
    poisoned: PoisonedSet,
    data: Mapping[str, Any] | None = None,
    poison_rate: float = 1.0,
    poison_classes: Sequence[int] | None = None,
) -> dict[str, Any]:
    """Everything that is needed to make the same poison again, and to know that it is the same.

    Args:
        poisoned: the set.
        data: what names the clean set, e.g. ``{"dataset": …, "part": "train"}``.
        poison_rate, poison_classes: as they were given to the attack.
    """
    clean = poisoned.clean
    return {
        "recipe": RECIPE_VERSION,
        "attack": dict(poisoned.attack),
        "seed": poisoned.seed,
        "poison_rate": poison_rate,
        "poison_classes": None if poison_classes is None else list(poison_classes),
        "poisoned_images": int(poisoned.touched.sum()),
        "data": {
            **dict(data or {}),
            "name": clean.name,
            "images": len(clean),
            "shape": list(clean.shape),
            "class_names": list(clean.class_names),
        },
        "clean_hash": clean.content_hash,
        "poisoned_hash": poisoned.as_training_set().content_hash,
        "versions": {"python": platform.python_version(), "torch": torch.__version__, "numpy": np.__version__},
    }


def export(
    poisoned: PoisonedSet, kind: str, path: Path, about: Mapping[str, Any], ctx: Context | None = None
) -> list[Path]:
    """Write a poisoned set.

    Args:
        poisoned: the set.
        kind: key of :data:`KINDS`.
        path: the file; must have the kind's ending.
        about: from :func:`recipe`; written into the file, for ``em`` into a JSON file beside it.
        ctx: told of the progress.

    Returns:
        The files written.

    Raises:
        UnknownName: no such kind.
        DataError: another ending, or images that the form cannot hold.
        Cancelled: the user stopped the work. An older file survives.
    """
    if kind not in KINDS:
        raise UnknownName("export", kind, KINDS)
    path, ctx = Path(path), ctx or Context()
    if path.suffix != ENDINGS[kind]:
        raise DataError(
            f"{path.name!r} does not end in {ENDINGS[kind]!r}, as a {kind} export does.", "Change the name."
        )
    return _WRITERS[kind](poisoned, path, about, ctx)


def _npz(poisoned: PoisonedSet, path: Path, about: Mapping[str, Any], ctx: Context) -> list[Path]:
    ctx.report(0, 1, "Writing the npz")
    write_npz(path, poisoned.as_training_set(), recipe=dict(about))
    return [path]


def _em(poisoned: PoisonedSet, path: Path, about: Mapping[str, Any], ctx: Context) -> list[Path]:
    """δ in fractions of 1, float32 (N, C, H, W), one per training image."""
    ctx.report(0, 1, "Writing the perturbation")
    delta = poisoned.delta.to(torch.float32).div_(255)
    write_atomic(path, lambda temporary: _save(delta, temporary))
    beside = path.with_suffix(".recipe.json")
    write_json(beside, dict(about))
    return [path, beside]


def _save(delta: torch.Tensor, path: Path) -> None:
    # Given a name instead of an open file, torch writes the name into the file, and a temporary one differs every time.
    with open(path, "wb") as file:
        torch.save(delta, file)


def _folder(poisoned: PoisonedSet, path: Path, about: Mapping[str, Any], ctx: Context) -> list[Path]:
    if poisoned.clean.shape[0] not in (1, 3):
        raise DataError(
            f"PNG files hold 1 or 3 channels, but these images have {poisoned.clean.shape[0]}.", "Export npz or em."
        )
    write_atomic(path, lambda temporary: _write_tree(poisoned, temporary, about, ctx))
    return [path]


def class_folder(label: int, name: str) -> str:
    """A folder name whose sorting is that of the labels (up to 10,000), as torchvision's ImageFolder needs."""
    return f"{label:04d}_{re.sub(r'[^A-Za-z0-9-]+', '-', name).strip('-') or 'class'}"


def _write_tree(poisoned: PoisonedSet, path: Path, about: Mapping[str, Any], ctx: Context) -> None:
    from PIL import Image

    folders = [class_folder(label, name) for label, name in enumerate(poisoned.clean.class_names)]
    labels = poisoned.clean.labels.tolist()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        # A ZipInfo without a date has a fixed one, so that equal sets give equal bytes.
        archive.writestr(zipfile.ZipInfo("recipe.json"), json.dumps(dict(about), indent=2, sort_keys=True))
        for row, label in enumerate(labels):
            if row % 256 == 0:
                ctx.report(row, len(labels), "Writing PNG files")
            pixels = poisoned.images[row].permute(1, 2, 0).contiguous().numpy()
            buffer = io.BytesIO()
            Image.fromarray(pixels if pixels.shape[2] == 3 else pixels[..., 0]).save(buffer, "PNG", compress_level=6)
            archive.writestr(zipfile.ZipInfo(f"{folders[label]}/{row:06d}.png"), buffer.getvalue())


_WRITERS: Mapping[str, Callable[[PoisonedSet, Path, Mapping[str, Any], Context], list[Path]]] = MappingProxyType(
    {"npz": _npz, "folder": _folder, "em": _em}
)
