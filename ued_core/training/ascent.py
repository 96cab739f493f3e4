"""Projected gradient steps on images, up or down the loss of a network that is held still meanwhile.

Attacks go with :func:`descend`, whose ball is that of :func:`project`; defences with :func:`climb`, whose ball is that
of :func:`into_ball` and may be L2. In L∞ both balls are the same set, but the two clip in another order, so that their
results differ in last bits; stored runs depend on either.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Literal, TypeVar

import torch
import torch.nn.functional as F

from ued_core.models import Network

N = TypeVar("N", bound=torch.nn.Module)
Norm = Literal["linf", "l2"]
TINY = 1e-12


@contextmanager
def frozen(network: N) -> Iterator[N]:
    """The network in evaluation mode, its weights without gradients; afterwards every weight as it was, and all modules
    in the mode of the whole network."""
    training = network.training
    needed = [p.requires_grad for p in network.parameters()]
    network.eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    try:
        yield network
    finally:
        network.train(training)
        for parameter, need in zip(network.parameters(), needed, strict=True):
            parameter.requires_grad_(need)


@contextmanager
def evaluating(network: Network) -> Iterator[None]:
    """Every module in evaluation mode, so that batch normalisation uses and keeps its statistics; afterwards as
    before."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, training in modes:
            module.training = training


def slope(loss: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor) -> torch.Tensor:
    """Gradient of a loss with respect to images; nobody else's gradients are touched.

    Args:
        loss: images → a scalar, a sum over images.
        images: float (N, C, H, W); not changed.

    Returns:
        Float (N, C, H, W), without gradient.
    """
    leaf = images.detach().requires_grad_(True)
    with torch.enable_grad():
        return torch.autograd.grad(loss(leaf), leaf)[0]


def input_gradient(network: Network, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Gradient of the summed cross-entropy with respect to the images.

    Args:
        images: float (N, C, H, W) in [0, 1].
        labels: int64 (N,).

    Returns:
        Float (N, C, H, W). Images do not influence each other, whatever the batch.
    """
    return slope(lambda given: summed_loss(network, given, labels), images)


def summed_loss(network: Network, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """The cross-entropy of images, float (N, C, H, W) in [0, 1], summed over them: a scalar."""
    return F.cross_entropy(network(images), labels, reduction="sum")


def project(images: torch.Tensor, clean: torch.Tensor, epsilon: float) -> torch.Tensor:
    """The nearest images within ``epsilon`` of the clean ones in every pixel, and in [0, 1]."""
    return torch.clamp(images, clean - epsilon, clean + epsilon).clamp_(0, 1)


def descend(
    network: Network,
    clean: torch.Tensor,
    start: torch.Tensor,
    labels: torch.Tensor,
    *,
    epsilon: float,
    step: float,
    steps: int,
    uphill: bool = False,
    prepare: Callable[[torch.Tensor], torch.Tensor] = lambda images: images,
    draws: int = 1,
    after: Callable[[int], None] = lambda count: None,
) -> torch.Tensor:
    """Projected sign-gradient steps on the cross-entropy towards ``labels``.

    Args:
        network: frozen.
        clean, start: float (N, C, H, W) in [0, 1]; the ball's centre and where to begin.
        labels: int64 (N,).
        epsilon, step: in units of 1, not of 1/255.
        steps: how many.
        uphill: climb instead.
        prepare: what the network sees of the images; differentiable, drawn anew at every step.
        draws: so many times at every step, whose gradients are added up.
        after: told the number of images after every draw; may raise to stop.

    Returns:
        Float (N, C, H, W) within the ball and [0, 1].
    """
    images, sign = start, 1.0 if uphill else -1.0
    for _ in range(steps):
        away = torch.zeros_like(images) if draws > 1 else None
        for _ in range(draws):
            own = slope(lambda given: summed_loss(network, prepare(given), labels), images)
            away = own if away is None else away.add_(own)
            after(len(images))
        assert away is not None
        images = project(images + sign * step * away.sign(), clean, epsilon)
    return images


def lengths(images: torch.Tensor) -> torch.Tensor:
    """L2 norm of every image, (N, 1, 1, 1); never zero."""
    return images.flatten(1).norm(dim=1).clamp(min=TINY).view(-1, 1, 1, 1)


def into_ball(images: torch.Tensor, clean: torch.Tensor, norm: Norm, radius: float) -> torch.Tensor:
    """The images moved into the ball around the clean ones, then clipped to [0, 1], which does not leave it.

    Args:
        images, clean: float (N, C, H, W), the clean ones in [0, 1].
        norm: ``linf`` bounds every value, ``l2`` the length of an image's change.
        radius: in units of 1.
    """
    change = images - clean
    change = change.clamp(-radius, radius) if norm == "linf" else change * (radius / lengths(change)).clamp(max=1)
    return (clean + change).clamp_(0, 1)


def climb(
    clean: torch.Tensor,
    start: torch.Tensor,
    loss: Callable[[torch.Tensor], torch.Tensor],
    norm: Norm,
    radius: float,
    step: float,
    steps: int,
) -> torch.Tensor:
    """Projected gradient ascent on the images.

    Args:
        clean, start: float (N, C, H, W); the ball's centre in [0, 1], and where to begin, which may lie outside the
            ball.
        loss: images → a sum over images.
        norm, radius: as in :func:`into_ball`.
        step: length of a step, in units of 1: of every value, or of the image's change.
        steps: how many.

    Returns:
        Float (N, C, H, W), without gradient, within the ball and [0, 1]. The network's gradients are not touched.
    """
    images = start
    for _ in range(steps):
        away = slope(loss, images)
        direction = away.sign() if norm == "linf" else away / lengths(away)
        images = into_ball(images + step * direction, clean, norm, radius)
    return images.detach()
