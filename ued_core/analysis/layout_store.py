"""Layouts that are kept: a picture somebody has talked about must look the same tomorrow.

UMAP and t-SNE give another picture on another machine or with another version of their library.
A layout is therefore an artefact under the home, named by the features it shows, the parameters and the
version of the library; whoever asks for the same again gets the same points.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ued_core.artefacts import LAYOUTS
from ued_core.artefacts.limits import touch

LIBRARIES: Mapping[str, str] = {"umap": "umap-learn", "tsne": "scikit-learn", "pca": "numpy"}
FORMAT = 1


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
    """The points stored under a key, float32 (…, 2), or None; damaged ones count as none."""
    points = LAYOUTS.read(LAYOUTS.root() / key, lambda kept: np.array(kept.array("points")))
    return _of_an_older_version(key) if points is None else points


def store_layout(key: str, points: np.ndarray) -> None:
    """Keep points under a key; of more than :data:`ued_core.artefacts.LAYOUTS` allows the ones not used longest go.

    A full or read-only disk is no error: the layout is then computed again next time.
    """
    folder = LAYOUTS.root() / key
    LAYOUTS.keep(folder, {}, {"points": np.asarray(points, np.float32)}, replace=True)


def _of_an_older_version(key: str) -> np.ndarray | None:
    path = LAYOUTS.root() / f"{key}.safetensors"
    try:
        points = load_file(path)["points"]
    except (OSError, SafetensorError, KeyError):
        return None
    touch(path)
    return points
