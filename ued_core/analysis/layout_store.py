"""Layouts that are kept: a picture somebody has talked about must look the same tomorrow.

UMAP and t-SNE give another picture on another machine or with another version of their library.
A layout is therefore a file under the home, named by the features it shows, the parameters and the
version of the library; whoever asks for the same again gets the same points.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from ued_core.files import write_atomic
from ued_core.home import home

LIBRARIES: Mapping[str, str] = {"umap": "umap-learn", "tsne": "scikit-learn", "pca": "numpy"}
FORMAT = 1
MOST_LAYOUTS = 500


def layouts_root() -> Path:
    """The folder of all stored layouts; it is not made here."""
    return home() / "layouts"


def layout_key(frames: Sequence[np.ndarray], method: str, parameters: Mapping[str, Any] | None = None) -> str:
    """Sixteen hex digits that name a layout: by its features, its method and parameters, and the library's version.

    Args:
        frames: the features, one array a frame; a single picture is one frame.
        method: ``umap``, ``tsne`` or ``pca``.
        parameters: plain values of whatever else decides it.
    """
    named = {
        "format": FORMAT,
        "method": method,
        "version": version(LIBRARIES[method]),
        "parameters": dict(parameters or {}),
    }
    digest = hashlib.sha256(json.dumps(named, sort_keys=True).encode())
    for frame in frames:
        digest.update(f"{frame.dtype}{frame.shape}".encode())
        digest.update(np.ascontiguousarray(frame).view(np.uint8).data)
    return digest.hexdigest()[:16]


def stored_layout(key: str) -> np.ndarray | None:
    """The points stored under a key, float32 (…, 2), or None; a damaged file counts as none."""
    path = layouts_root() / f"{key}.safetensors"
    try:
        points = load_file(path)["points"]
        path.touch()
    except (OSError, SafetensorError, KeyError):
        return None
    return points


def store_layout(key: str, points: np.ndarray) -> None:
    """Keep points under a key, atomically; of more than :data:`MOST_LAYOUTS` the ones not used longest go.

    A full or read-only disk is no error: the layout is then computed again next time.
    """
    root = layouts_root()
    with suppress(OSError, SafetensorError):
        array = {"points": np.ascontiguousarray(points, np.float32)}
        write_atomic(root / f"{key}.safetensors", lambda temporary: save_file(array, temporary, {"key": key}))
        files = sorted(root.glob("*.safetensors"), key=lambda path: path.stat().st_mtime, reverse=True)
        for path in files[MOST_LAYOUTS:]:
            path.unlink(missing_ok=True)
