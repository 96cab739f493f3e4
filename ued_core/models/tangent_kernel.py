"""A network of infinite width: its neural tangent kernel in closed form."""

from __future__ import annotations

import math

import torch

WEIGHT_VARIANCE = 1.76
BIAS_VARIANCE = 0.18
"""Variance of a layer's weights, times its inputs, and of its biases, as NTGA draws them."""
CLOSEST = 1 - 1e-10
"""Largest cosine: the angle's slope is infinite at 1, where two images are the same."""


def tangent_kernel(left: torch.Tensor, right: torch.Tensor, hidden_layers: int) -> torch.Tensor:
    """Inner products of the gradients of an infinitely wide fully connected ReLU network with respect to its weights.

    Args:
        left: float64 (N, D), flattened images.
        right: float64 (M, D).
        hidden_layers: layers of ReLU before the output; 0 is a linear model.

    Returns:
        Float64 (N, M); differentiable. Positive semi-definite where ``left`` is ``right``.

    Source:
        Jacot et al., arXiv 1806.07572; the arc-cosine moments of Cho and Saul (NeurIPS 2009).
    """
    size = left.shape[1]
    own = (WEIGHT_VARIANCE * left.square().sum(1) / size + BIAS_VARIANCE)[:, None]
    other = (WEIGHT_VARIANCE * right.square().sum(1) / size + BIAS_VARIANCE)[None, :]
    covariance = WEIGHT_VARIANCE * (left @ right.T) / size + BIAS_VARIANCE
    kernel = covariance
    for _ in range(hidden_layers):
        scale = (own * other).sqrt()
        angle = torch.arccos((covariance / scale).clamp(-CLOSEST, CLOSEST))
        away = (math.pi - angle) / (2 * math.pi)
        covariance = WEIGHT_VARIANCE * scale * (angle.sin() / (2 * math.pi) + away * angle.cos()) + BIAS_VARIANCE
        kernel = covariance + WEIGHT_VARIANCE * away * kernel
        own, other = (WEIGHT_VARIANCE / 2 * own + BIAS_VARIANCE, WEIGHT_VARIANCE / 2 * other + BIAS_VARIANCE)
    return kernel
