"""How often a surrogate is wrong."""

from __future__ import annotations

import torch

from ued_core.attacks.error_minimising import judged
from ued_core.attacks.gradient import chunk_of
from ued_core.attacks.surrogate import chunks
from ued_core.context import Context
from ued_core.models import Network
from ued_core.records import to_float
from ued_core.training.ascent import frozen


def surrogate_error(network: Network, images: torch.Tensor, labels: torch.Tensor, ctx: Context) -> float:
    """Share of uint8 images that the network does not recognise, 0..1."""
    right = 0
    with frozen(network):
        for rows in chunks(len(images), chunk_of(ctx.device)):
            ctx.check()
            right += judged(network, to_float(images[rows].to(ctx.device)), labels[rows].to(ctx.device))[0]
    return 1 - right / len(images)
