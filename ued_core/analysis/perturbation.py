"""How large a perturbation is, what it looks like on average, and where it lies in frequency and space.

Everything takes stored images, uint8 (N, C, H, W), so what is measured is what a published poison
holds after rounding, not what its attack computed before.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ued_core.errors import DataError
from ued_core.records import to_float

CHUNK = 256
FLOOR = 1e-12
SSIM_WINDOW = 11


@dataclass(frozen=True)
class Distortion:
    """How far two copies of the same images are apart, image by image; float64 (N,) each.

    Attributes:
        linf: largest absolute change of a pixel value, in 1/255.
        l2: Euclidean length of the whole image's change, with pixel values in 0..1.
        changed: share of pixel values that changed, 0..1.
        psnr: peak signal-to-noise ratio in dB, peak 1; ``inf`` where nothing changed.
        ssim: structural similarity (Wang et al. 2004; Gaussian window 11×11, σ = 1.5), 1 where nothing changed.
    """

    linf: np.ndarray
    l2: np.ndarray
    changed: np.ndarray
    psnr: np.ndarray
    ssim: np.ndarray

    def __len__(self) -> int:
        return len(self.linf)

    @property
    def l2_bytes(self) -> np.ndarray:
        """The Euclidean length in 1/255: 255 times :attr:`l2`."""
        return 255 * self.l2


def _same_shape(clean: torch.Tensor, other: torch.Tensor) -> None:
    if clean.dtype != torch.uint8 or other.dtype != torch.uint8 or clean.shape != other.shape or clean.ndim != 4:
        raise DataError(
            f"A distortion needs two uint8 stacks of one shape (N, C, H, W), not {clean.dtype} {tuple(clean.shape)} "
            f"and {other.dtype} {tuple(other.shape)}."
        )


def difference(clean: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """``other`` minus ``clean``, int16, in 1/255.

    Raises:
        DataError: the stacks are not uint8 of one shape.
    """
    _same_shape(clean, other)
    return other.to(torch.int16) - clean.to(torch.int16)


def distortion(clean: torch.Tensor, other: torch.Tensor) -> Distortion:
    """Measure every image's change. PSNR and SSIM are torchmetrics' own.

    Args:
        clean, other: uint8 (N, C, H, W); H and W at least 11 for SSIM's window.

    Raises:
        DataError: shapes or types differ, or the images are smaller than the window.
    """
    _same_shape(clean, other)
    if min(clean.shape[-2:]) < SSIM_WINDOW:
        raise DataError(
            f"SSIM compares windows of {SSIM_WINDOW}×{SSIM_WINDOW} pixels, but the images have "
            f"{clean.shape[-2]}×{clean.shape[-1]}.",
            "Take larger images.",
        )
    parts = [_distortion(clean[i : i + CHUNK], other[i : i + CHUNK]) for i in range(0, len(clean), CHUNK)]
    return Distortion(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _distortion(clean: torch.Tensor, other: torch.Tensor) -> tuple[np.ndarray, ...]:
    # Half a second and more: torchmetrics imports all of its metrics.
    from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure

    delta = difference(clean, other).flatten(1)
    before, after = to_float(clean), to_float(other)
    psnr = peak_signal_noise_ratio(after, before, data_range=1.0, reduction="none", dim=(1, 2, 3))
    ssim = structural_similarity_index_measure(after, before, data_range=1.0, kernel_size=SSIM_WINDOW, reduction="none")
    # A pair only where the contrast is asked for too.
    assert isinstance(ssim, torch.Tensor)
    found = (
        delta.abs().amax(1),
        delta.double().div_(255).norm(dim=1),
        (delta != 0).double().mean(1),
        psnr.reshape(-1),
        ssim.reshape(-1),
    )
    return tuple(values.numpy().astype(np.float64) for values in found)


def mean_size(clean: torch.Tensor, other: torch.Tensor) -> dict[str, float]:
    """How large a perturbation is on the images that it changes, in brief and in a moment.

    Args:
        clean, other: uint8 (N, C, H, W).

    Returns:
        ``linf`` (largest change of an image, in 1/255), ``l2`` (length of an image's change, pixel values in 0..1) and
        ``psnr`` (dB), means over the images that differ; empty where none does.

    Raises:
        DataError: the stacks are not uint8 of one shape.
    """
    _same_shape(clean, other)
    found = [_sizes(clean[i : i + CHUNK], other[i : i + CHUNK]) for i in range(0, len(clean), CHUNK)]
    sizes = np.concatenate(found, axis=1)
    return dict(zip(("linf", "l2", "psnr"), sizes.mean(axis=1).tolist(), strict=True)) if sizes.size else {}


def _sizes(clean: torch.Tensor, other: torch.Tensor) -> np.ndarray:
    """L∞, L2 and PSNR of the images that differ, float64 (3, n)."""
    delta = difference(clean, other).flatten(1).double()
    delta = delta[delta.any(dim=1)]
    square = delta.div(255).square()
    psnr = -10 * square.mean(dim=1).log10()
    return (
        torch.stack([delta.abs().amax(1), square.sum(dim=1).sqrt(), psnr]).numpy() if len(delta) else np.empty((3, 0))
    )


# ---- per class ---------------------------------------------------------------------------------


def class_means(values: torch.Tensor, labels: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """The mean of some per-image values over each class.

    Args:
        values: (N, …), any real type.
        labels: int64 (N,).

    Returns:
        The classes that occur, int64 (K,) ascending, and their means, float64 (K, …).
    """
    present, place, count = torch.unique(labels, return_inverse=True, return_counts=True)
    total = torch.zeros((len(present), *values.shape[1:]), dtype=torch.float64)
    total.index_add_(0, place, values.double())
    return present.numpy(), (total / count.view(-1, *[1] * (values.ndim - 1))).numpy()


def class_share(delta: torch.Tensor, labels: torch.Tensor) -> float:
    """How much of the perturbation is one pattern per class: 1 for class-wise noise, 0 for independent zero-mean noise.

    Σ_k n_k ‖μ_k‖² ÷ Σ_i ‖δ_i‖², where ‖μ_k‖² is estimated without the bias of few images: the mean of
    δ_iᵀδ_j over pairs i ≠ j of the class.

    Args:
        delta: (N, …), the perturbations.
        labels: int64 (N,).

    Returns:
        nan when nothing changed, or when no class has two images.
    """
    flat = delta.flatten(1).double()
    energy = flat.square().sum(1)
    kept = total = 0.0
    for label in torch.unique(labels):
        own = labels == label
        count = int(own.sum())
        if count < 2:
            continue
        own_energy = float(energy[own].sum())
        pairs = float(flat[own].sum(0).square().sum()) - own_energy
        kept += pairs / (count - 1)
        total += own_energy
    return kept / total if total > 0 else float("nan")


# ---- frequency ---------------------------------------------------------------------------------


def power_spectrum(values: torch.Tensor, labels: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean power of each class's images or perturbations at every frequency.

    |DFT|² ÷ (H·W)², averaged over channels and images: the sum over all frequencies is the mean
    square of a pixel value (Parseval). Frequency zero is in the middle (``fftshift``).

    Args:
        values: uint8 images or int16 differences, (N, C, H, W), in 1/255.
        labels: int64 (N,).

    Returns:
        The classes that occur, int64 (K,), and float64 (K, H, W), for pixel values in 0..1.
    """
    height, width = values.shape[-2:]
    kept = width // 2 + 1
    present, place, count = torch.unique(labels, return_inverse=True, return_counts=True)
    half = torch.zeros((len(present), height, kept), dtype=torch.float64)
    for start in range(0, len(values), CHUNK):
        part = values[start : start + CHUNK].to(torch.float32).div_(255)
        found = torch.view_as_real(torch.fft.rfft2(part, norm="forward"))
        half.index_add_(0, place[start : start + CHUNK], found.square_().sum(-1).mean(1).double())
    half /= count.view(-1, 1, 1)
    # Real values: a frequency and its opposite have the same power.
    opposite = half[:, (-torch.arange(height)) % height][:, :, width - torch.arange(kept, width)]
    return present.numpy(), np.fft.fftshift(torch.cat([half, opposite], 2).numpy(), axes=(-2, -1))


def log_power(power: np.ndarray) -> np.ndarray:
    """Base-10 logarithm of a power spectrum, from -12 upwards; same shape."""
    return np.log10(power + FLOOR)


def radial_average(power: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean power over rings of equal distance from frequency zero.

    Args:
        power: (…, H, W), centred as :func:`power_spectrum` returns it.

    Returns:
        Frequencies in cycles per pixel, float64 (R,), from 0 to at most 0.707 (the corners), and the
        means, (…, R). A ring is as wide as the coarser of the two frequency steps.
    """
    height, width = power.shape[-2:]
    down, across = (np.fft.fftshift(np.fft.fftfreq(n)) for n in (height, width))
    step = 1 / min(height, width)
    ring = np.rint(np.hypot(down[:, None], across) / step).astype(int).ravel()
    members = np.bincount(ring)
    flat = power.reshape(-1, height * width)
    sums = np.stack([np.bincount(ring, row) for row in flat])
    filled = members > 0
    means = sums[:, filled] / members[filled]
    return np.flatnonzero(filled) * step, means.reshape(*power.shape[:-2], -1)


# ---- border ------------------------------------------------------------------------------------


def ring_profile(images: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """Mean brightness by distance from the border.

    Args:
        images: uint8 (N, C, H, W).

    Returns:
        Distances in pixels, int64 (R,), 0 is the outermost ring, and the mean over images, channels
        and the ring's pixels, float64 (R,), 0..1.
    """
    height, width = images.shape[-2:]
    down, across = np.arange(height), np.arange(width)
    distance = np.minimum(np.minimum(down, height - 1 - down)[:, None], np.minimum(across, width - 1 - across))
    brightness = torch.zeros((height, width), dtype=torch.float64)
    for start in range(0, len(images), CHUNK):
        brightness += images[start : start + CHUNK].sum((0, 1), dtype=torch.int64)
    brightness /= 255 * images.shape[0] * images.shape[1]
    members = np.bincount(distance.ravel())
    return np.arange(len(members)), np.bincount(distance.ravel(), brightness.numpy().ravel()) / members
