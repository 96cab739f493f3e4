"""The noise of every cluster, read off published images: what an attack with one noise per cluster added."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ued_core.errors import DataError


@dataclass(frozen=True)
class NoiseMaps:
    """One noise per cluster.

    Attributes:
        maps: int16 (p, C, H, W), in 1/255; 0 where nothing is known.
        known: bool (p, C, H, W), where at least one image shows the noise uncut.
        held: 0..1, share of the images that are their clean version plus the noise of their cluster, cut to 0..255,
            within one level of rounding. Below 1 the clusters are not those that the noise was made for.
    """

    maps: np.ndarray
    known: np.ndarray
    held: float


def noise_maps(clean: np.ndarray, published: np.ndarray, assignment: np.ndarray, count: int) -> NoiseMaps:
    """The noise that images of a cluster have in common.

    Cutting a sum to 0..255 only ever shortens a change, so the largest change of a value over a cluster is the whole
    one, unless every image was cut there.

    Args:
        clean, published: uint8 (M, C, H, W), row by row.
        assignment: int (M,), 0..count-1.
        count: of clusters; one without an image has no known noise.

    Raises:
        DataError: shapes differ, or no image.
    """
    if clean.shape != published.shape or clean.shape[:1] != assignment.shape or not len(clean):
        raise DataError(
            f"Clean images {clean.shape}, published images {published.shape} and clusters {assignment.shape} must "
            "belong together row by row, and there must be one at least."
        )
    change = published.astype(np.int16) - clean
    maps = np.zeros((count, *clean.shape[1:]), np.int16)
    known = np.zeros(maps.shape, bool)
    uncut = (published > 0) & (published < 255)
    for cluster in np.unique(assignment):
        own = assignment == cluster
        low, high = change[own].min(0), change[own].max(0)
        maps[cluster] = np.where(-low > high, low, high)
        known[cluster] = uncut[own].any(0)
    expected = np.clip(clean + maps[assignment], 0, 255)
    held = np.abs(published - expected).reshape(len(clean), -1).max(1) <= 1
    return NoiseMaps(np.where(known, maps, 0).astype(np.int16), known, float(held.mean()))
