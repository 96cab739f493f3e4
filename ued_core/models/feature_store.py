"""Features of frozen encoders, computed once for a set of images and kept under the home."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from ued_core.artefacts import FEATURES, Artefact
from ued_core.context import Context

LEAST_IMAGES = 256
"""Fewer images are looked at anew: that takes about a second."""


class Identity(NamedTuple):
    """What decides the features of a frozen encoder.

    Attributes:
        encoder: its key.
        sha256: of its file of weights.
        side: what images are brought to, in pixels.
    """

    encoder: str
    sha256: str
    side: int


def features_once(
    identity: Identity | None, images: torch.Tensor, dtype: torch.dtype, make: Callable[[], torch.Tensor], ctx: Context
) -> torch.Tensor:
    """Features of every image: those that are kept, or else those that are made now, and kept.

    Args:
        identity: of the frozen encoder; None of a network that learns, whose features are always made.
        images: uint8 (N, C, H, W).
        dtype: the arithmetic.
        make: computes them, float32 (N, D) on the CPU.
        ctx: asked for cancellation while another process computes the same.

    Returns:
        Float32 (N, D) on the CPU.
    """
    if identity is None or len(images) < LEAST_IMAGES:
        return make()
    recipe = {"sha256_of_weights": identity.sha256, "side": identity.side, "dtype": str(dtype).removeprefix("torch.")}
    folder = FEATURES.address(identity.encoder, recipe, _name_of(images))

    def kept(artefact: Artefact) -> torch.Tensor | None:
        found = artefact.array("features")
        return torch.from_numpy(found) if found.dtype == np.float32 and len(found) == len(images) else None

    def made() -> torch.Tensor:
        found = make()
        card = {"encoder": identity.encoder, **recipe, "images": len(images), "features": found.shape[1]}
        FEATURES.keep(folder, card, arrays={"features": found.numpy()}, tell=ctx.on_note)
        return found

    return FEATURES.once(folder, lambda: FEATURES.read(folder, kept), made, ctx.check)[0]


def _name_of(images: torch.Tensor) -> str:
    digest = hashlib.sha256(str(tuple(images.shape)).encode())
    for part in images.split(4096):
        digest.update(part.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()[:12]
