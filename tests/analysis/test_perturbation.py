"""Distortion, spectra, class means and ring profiles against numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ued_core.analysis.perturbation import (
    class_means,
    class_share,
    difference,
    distortion,
    log_power,
    mean_size,
    power_spectrum,
    radial_average,
    ring_profile,
)
from ued_core.errors import DataError


def noise(shape: tuple[int, ...], seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8))


# ---------------------------------------------------------------- distortion


def test_one_changed_value() -> None:
    clean = noise((2, 3, 16, 16))
    clean[0, 1, 4, 5] = 100
    other = clean.clone()
    other[0, 1, 4, 5] = 49
    found = distortion(clean, other)
    assert found.linf.tolist() == [51, 0]
    assert found.l2[0] == pytest.approx(0.2, abs=1e-7), "51/255"
    assert found.l2_bytes[0] == pytest.approx(51, abs=1e-4)
    assert found.changed.tolist() == [pytest.approx(1 / 768), 0]
    assert found.psnr[1] == np.inf
    assert found.ssim[1] == pytest.approx(1, abs=1e-6)
    assert found.ssim[0] < 1


def test_psnr_of_a_constant_offset() -> None:
    clean = torch.full((1, 3, 16, 20), 100, dtype=torch.uint8)
    found = distortion(clean, clean + 51)
    # Mean square error 0.2² = 0.04, so 10·log10(1/0.04) dB.
    assert found.psnr[0] == pytest.approx(10 * np.log10(25), abs=1e-4)
    assert found.l2[0] == pytest.approx(0.2 * np.sqrt(960), rel=1e-6)
    # Flat images: no structure, only SSIM's luminance term remains.
    a, b, c = 100 / 255, 151 / 255, 0.01**2
    assert found.ssim[0] == pytest.approx((2 * a * b + c) / (a * a + b * b + c), abs=1e-4)


def test_images_are_measured_one_by_one_across_chunks() -> None:
    clean, other = noise((300, 1, 12, 12)), noise((300, 1, 12, 12), 1)
    whole = distortion(clean, other)
    assert len(whole) == 300
    for row in (0, 255, 256, 299):
        alone = distortion(clean[row : row + 1], other[row : row + 1])
        assert whole.linf[row] == alone.linf[0]
        assert whole.psnr[row] == pytest.approx(alone.psnr[0], rel=1e-6)
        assert whole.ssim[row] == pytest.approx(alone.ssim[0], abs=1e-5)


def test_mean_size_counts_the_images_that_differ() -> None:
    clean = torch.full((300, 1, 4, 4), 100, dtype=torch.uint8)
    other = clean.clone()
    other[0] += 51
    other[299, 0, 0, 0] += 102
    found = mean_size(clean, other)
    # Changes of 0.2 in 16 values (0.8 long, mean square 0.04), and of 0.4 in one of them (mean square 0.01).
    assert found == {
        "linf": pytest.approx((51 + 102) / 2),
        "l2": pytest.approx((0.8 + 0.4) / 2),
        "psnr": pytest.approx((10 * np.log10(25) + 10 * np.log10(100)) / 2),
    }
    assert mean_size(clean, clean) == {}
    with pytest.raises(DataError):
        mean_size(clean, other[:5])


def test_mean_size_is_the_mean_of_the_distortion() -> None:
    clean, other = noise((20, 3, 12, 12)), noise((20, 3, 12, 12), 1)
    whole, brief = distortion(clean, other), mean_size(clean, other)
    for name, value in brief.items():
        assert value == pytest.approx(getattr(whole, name).mean(), rel=1e-5)


@pytest.mark.parametrize(
    ("clean", "other"),
    [(noise((1, 3, 16, 16)), noise((1, 3, 16, 17))), (noise((1, 3, 16, 16)), torch.zeros(1, 3, 16, 16))],
)
def test_distortion_refuses_what_cannot_be_compared(clean: torch.Tensor, other: torch.Tensor) -> None:
    with pytest.raises(DataError, match="one shape"):
        distortion(clean, other)


def test_distortion_refuses_images_below_its_window() -> None:
    with pytest.raises(DataError, match="11×11"):
        distortion(noise((1, 3, 10, 32)), noise((1, 3, 10, 32)))


def test_difference_has_a_sign() -> None:
    low, high = torch.zeros(1, 1, 1, 1, dtype=torch.uint8), torch.full((1, 1, 1, 1), 255, dtype=torch.uint8)
    assert difference(high, low).item() == -255
    assert difference(low, high).item() == 255


# ---------------------------------------------------------------- per class


def test_class_means() -> None:
    values = torch.tensor([[1, 2], [3, 4], [10, 0], [20, 2]], dtype=torch.int16)
    present, means = class_means(values, torch.tensor([5, 5, 2, 2]))
    assert present.tolist() == [2, 5]
    assert means.tolist() == [[15, 1], [2, 3]]


def test_class_share_of_a_class_wise_pattern_is_one() -> None:
    patterns = torch.from_numpy(np.random.default_rng(0).normal(size=(4, 3, 8, 8)))
    labels = torch.arange(4).repeat(5)
    assert class_share(patterns[labels], labels) == pytest.approx(1, abs=1e-12)


def test_class_share_of_independent_noise_is_zero_on_average() -> None:
    rng = np.random.default_rng(0)
    labels = torch.arange(2).repeat(2)
    # Only two images per class: the plain ‖mean‖² would be half of the energy.
    shares = [class_share(torch.from_numpy(rng.normal(size=(4, 1, 16, 16))), labels) for _ in range(200)]
    assert abs(np.mean(shares)) < 4 * np.std(shares) / np.sqrt(200)


def test_class_share_of_half_and_half() -> None:
    rng = np.random.default_rng(0)
    labels = torch.arange(3).repeat_interleave(100)
    shared = torch.from_numpy(rng.normal(size=(3, 1, 20, 20)))[labels]
    own = torch.from_numpy(rng.normal(size=(300, 1, 20, 20)))
    assert class_share(shared + own, labels) == pytest.approx(0.5, abs=0.05)


def test_class_share_without_change_or_without_pairs() -> None:
    assert np.isnan(class_share(torch.zeros(4, 1, 2, 2), torch.tensor([0, 0, 1, 1])))
    assert np.isnan(class_share(torch.ones(2, 1, 2, 2), torch.tensor([0, 1])))


# ---------------------------------------------------------------- frequency


def test_spectrum_of_a_wave_has_two_peaks() -> None:
    y, x = np.mgrid[:16, :16]
    wave = np.rint(127.5 + 100 * np.cos(2 * np.pi * 3 * x / 16)).astype(np.uint8)
    images = torch.from_numpy(wave)[None, None].repeat(2, 3, 1, 1)
    present, power = power_spectrum(images, torch.tensor([7, 7]))
    assert present.tolist() == [7]
    assert power.shape == (1, 16, 16)
    middle = 8
    peaks = {tuple(place) for place in np.argwhere(power[0] > 1e-3)}
    assert peaks == {(middle, middle), (middle, middle - 3), (middle, middle + 3)}
    # A cosine of amplitude a puts a²/4 on each side.
    assert power[0, middle, middle + 3] == pytest.approx((100 / 255) ** 2 / 4, rel=1e-2)
    assert power[0, middle, middle] == pytest.approx(0.25, rel=1e-2)


def test_spectrum_keeps_the_mean_square_and_separates_classes() -> None:
    delta = torch.from_numpy(np.random.default_rng(0).integers(-255, 256, (300, 3, 12, 10)).astype(np.int16))
    labels = torch.arange(300) % 3
    present, power = power_spectrum(delta, labels)
    for k in present:
        own = delta[labels == k].double() / 255
        assert power[k].sum() == pytest.approx(float(own.square().mean()), rel=1e-5)


@pytest.mark.parametrize("size", [(6, 8), (7, 5), (5, 6), (8, 7)])
def test_spectrum_is_the_definition(size: tuple[int, int]) -> None:
    images = noise((4, 3, *size))
    labels = torch.tensor([1, 0, 1, 0])
    _, power = power_spectrum(images, labels)
    transformed = np.fft.fft2(images.numpy() / 255) / (size[0] * size[1])
    for k in range(2):
        mean = (np.abs(transformed[labels.numpy() == k]) ** 2).mean((0, 1))
        assert np.allclose(power[k], np.fft.fftshift(mean), rtol=1e-4, atol=1e-9)


def test_log_power_is_finite_at_zero() -> None:
    assert log_power(np.array([0.0, 1.0])).tolist() == [-12, pytest.approx(0)]


def test_radial_average() -> None:
    power = np.zeros((2, 8, 8))
    power[0, 4, 4] = 5.0
    power[1, 4, 6] = power[1, 4, 2] = power[1, 2, 4] = power[1, 6, 4] = 3.0
    frequencies, means = radial_average(power)
    assert frequencies[0] == 0
    assert frequencies[-1] == pytest.approx(6 / 8), "0.707 rounded to the ring"
    assert np.allclose(np.diff(frequencies), 1 / 8)
    assert means[0, 0] == 5
    assert means[0, 1:].tolist() == [0] * (len(frequencies) - 1)
    # Ring 2 of 8×8: (±2,0), (0,±2), (±1,±2), (±2,±1): 12 cells, 4 of them 3.
    assert means[1, 2] == pytest.approx(1.0)


def test_radial_average_of_white_noise_is_flat() -> None:
    _, means = radial_average(np.ones((9, 14)))
    assert np.allclose(means, 1)


# ---------------------------------------------------------------- border


def test_ring_profile_of_a_synthetic_frame() -> None:
    images = torch.full((3, 3, 6, 8), 200, dtype=torch.uint8)
    images[:, :, [0, -1]] = 51
    images[:, :, :, [0, -1]] = 51
    images[:, :, 2:4, 2:6] = 255
    distances, brightness = ring_profile(images)
    assert distances.tolist() == [0, 1, 2]
    assert np.allclose(brightness, [0.2, 200 / 255, 1.0])


def test_ring_profile_keeps_the_mean() -> None:
    images = noise((5, 3, 7, 9))
    distances, brightness = ring_profile(images)
    sizes = [2 * (7 - 2 * d) + 2 * (9 - 2 * d) - 4 if 7 - 2 * d > 1 else 9 - 2 * d for d in distances]
    assert np.dot(brightness, sizes) / 63 == pytest.approx(float(images.double().mean()) / 255)
