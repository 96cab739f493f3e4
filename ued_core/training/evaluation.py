"""What a network answers and holds inside, for whole sets of stored images, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import torch

from ued_core.context import Context
from ued_core.models import Network
from ued_core.models.feature_store import features_once
from ued_core.records import ImageSet, to_float
from ued_core.training.activation_clusters import GRID

CHUNK = 1024
MORE_ON_A_GPU = 16


@torch.no_grad()
def predict(network: Network, images: torch.Tensor, ctx: Context, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Predicted classes, int64 (N,) on the CPU, of uint8 images (N, C, H, W)."""
    if network.frozen is not None:
        known = features(network, images, ctx, dtype).to(ctx.device)
        with _arithmetic(ctx, dtype):
            return network.head(known).float().argmax(1).cpu()
    return _in_chunks(network, network.forward, images, ctx, dtype).argmax(1)


@torch.no_grad()
def features(network: Network, images: torch.Tensor, ctx: Context, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Penultimate features, float32 (N, D) on the CPU, of uint8 images (N, C, H, W).

    Those of a body that never learns are computed once for a set and kept (:mod:`ued_core.models.feature_store`).
    """

    def made() -> torch.Tensor:
        return _in_chunks(network, network.features, images, ctx, dtype)

    return features_once(network.frozen, images, dtype, made, ctx)


@torch.no_grad()
def inside(
    network: Network, images: torch.Tensor, layer: str, ctx: Context, grid: int = 4
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What a network answers and what one of its layers holds, of uint8 images (N, C, H, W).

    Returns:
        Scores, means and averages over fields, as :meth:`ued_core.models.Network.inside`; float32 on the CPU.
    """
    means: list[torch.Tensor] = []
    fields: list[torch.Tensor] = []

    def step(batch: torch.Tensor) -> torch.Tensor:
        scores, mean, field = network.inside(batch, layer, grid)
        means.append(mean.cpu())
        fields.append(field.cpu())
        return scores

    scores = _in_chunks(network, step, images, ctx, torch.float32)
    return scores, torch.cat(means), torch.cat(fields)


@torch.no_grad()
def layer_fields(
    network: Network, images: torch.Tensor, ctx: Context, grid: int = GRID
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Scores and all layers' averages over fields, of uint8 images (N, C, H, W); statistics and gradients stay as they
    are.

    Returns:
        Float32 (N, classes), and layer → float32 (N, channels · fields) as :meth:`ued_core.models.Network.activations`;
        on the CPU.
    """
    parts: list[dict[str, torch.Tensor]] = []

    def step(batch: torch.Tensor) -> torch.Tensor:
        scores, fields = network.scores_and_activations(batch, tuple(network.layers), grid)
        parts.append({name: value.float().cpu() for name, value in fields.items()})
        return scores

    scores = _in_chunks(network, step, images, ctx, torch.float32)
    return scores, {name: torch.cat([part[name] for part in parts]) for name in network.layers}


def _in_chunks(
    network: Network,
    step: Callable[[torch.Tensor], torch.Tensor],
    images: torch.Tensor,
    ctx: Context,
    dtype: torch.dtype,
) -> torch.Tensor:
    was_training = network.training
    network.eval()
    parts = []
    try:
        size = min(CHUNK, network.most_at_once * (1 if ctx.device.type == "cpu" else MORE_ON_A_GPU))
        for start in range(0, len(images), size):
            ctx.check()
            batch = to_float(images[start : start + size].to(ctx.device)).contiguous(memory_format=torch.channels_last)
            with _arithmetic(ctx, dtype):
                parts.append(step(batch).float().cpu())
    finally:
        network.train(was_training)
    return torch.cat(parts)


def _arithmetic(ctx: Context, dtype: torch.dtype) -> AbstractContextManager[Any]:
    return torch.autocast(ctx.device.type, dtype=torch.bfloat16, enabled=dtype == torch.bfloat16)


def accuracy(network: Network, data: ImageSet, ctx: Context, dtype: torch.dtype = torch.float32) -> float:
    """Share of images whose predicted class is their label, 0..1."""
    return int((predict(network, data.images, ctx, dtype) == data.labels).sum()) / len(data)


def counted_apart(right: torch.Tensor, rows: torch.Tensor, touched: torch.Tensor | None) -> dict[str, float]:
    """Accuracy of the images that an attack changed and of the others, for a row of the history.

    Args:
        right: bool (N,), whether the answer to a training image was its label.
        rows: int64 (M,), the images that were shown.
        touched: bool (N,), or None: nothing is to be counted.

    Returns:
        ``touched_accuracy`` and ``untouched_accuracy``, 0..1; empty when one of them has no image.
    """
    if touched is None:
        return {}
    answers, marks = right[rows].cpu(), touched.to(rows.device)[rows].cpu()
    if bool(marks.all()) or not bool(marks.any()):
        return {}
    return {
        "touched_accuracy": float(answers[marks].double().mean()),
        "untouched_accuracy": float(answers[~marks].double().mean()),
    }
