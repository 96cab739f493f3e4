"""Measures of a purification, each worked by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ued_core.analysis.purification import (
    measure_ground,
    measure_purification,
    measure_recovery,
    measure_separation,
    measured_rows,
    pattern_correlation,
    psnr,
    surviving,
)
from ued_core.context import Context
from ued_core.errors import DataError
from ued_core.models.dvae import build_dvae, rate
from ued_core.records import ImageSet, to_float
from ued_core.training.rate_constrained import separated


def test_psnr_by_hand() -> None:
    """Three quarters of the values are right, the rest is off by 0.2: mean square 0.01, 20 dB."""
    reference = torch.full((300, 1, 2, 2), 0.5)
    images = reference.clone()
    images[:, :, 0, 0] += 0.2
    assert psnr(images, reference) == pytest.approx(20, abs=1e-4)
    assert psnr(reference, reference) == math.inf
    levels = torch.full((2, 1, 2, 2), 51, dtype=torch.uint8)
    assert psnr(levels, torch.zeros_like(levels)) == pytest.approx(-20 * math.log10(0.2), abs=1e-4)
    assert psnr(levels, torch.full((2, 1, 2, 2), 0.3)) == pytest.approx(20, abs=1e-4)
    with pytest.raises(DataError, match="one shape"):
        psnr(levels, levels[:1])


def test_black_ground_by_hand() -> None:
    """Four black values of eight, published at 0, 4, 0 and 4. p̂ is −32, −8, 0 and +20 parts of 256 on them and x̂ is 8
    everywhere: the sum lies below 0 on the first value alone, and is 0 on the second."""
    clean = torch.tensor([0, 0, 0, 0, 100, 100, 100, 100], dtype=torch.uint8).view(2, 1, 2, 2)
    published = torch.tensor([0, 4, 0, 4, 90, 90, 90, 90], dtype=torch.uint8).view(2, 1, 2, 2)
    perturbation = torch.tensor([-32.0, -8, 0, 20, -255, -255, -255, -255]).view(2, 1, 2, 2) / 256
    image = torch.full_like(perturbation, 8 / 256)
    found, part = measure_ground(clean, published, image, perturbation), 255 / 256
    assert (found.level, found.share, found.hidden) == (0, 0.5, 0.25)
    assert (found.estimate, found.image, found.published) == pytest.approx((-5 * part, 8 * part, 2), abs=1e-4)
    # 32 parts, 4 levels and 8 parts, nothing; 4 − 20 is cut off at 0.
    assert found.subtracted == pytest.approx((32 * part + 4 + 8 * part) / 4, abs=1e-4)


def test_a_ground_that_is_not_black_by_hand() -> None:
    """Half of the values are at 16, published at 14 and 18; x̂ has 6 of it and p̂ 10, so that x − p̂ has 6 left."""
    clean = torch.tensor([16, 16, 100, 100], dtype=torch.uint8).view(1, 1, 2, 2)
    published = torch.tensor([14, 18, 100, 100], dtype=torch.uint8).view(1, 1, 2, 2)
    image, perturbation = torch.full((1, 1, 2, 2), 6 / 255), torch.full((1, 1, 2, 2), 10 / 255)
    found = measure_ground(clean, published, image, perturbation)
    assert (found.level, found.share, found.hidden) == (16, 0.5, 0)
    assert (found.estimate, found.image, found.published) == pytest.approx((10, 6, 16), abs=1e-4)
    assert found.subtracted == pytest.approx(6, abs=1e-4)


def test_purification_by_hand() -> None:
    """Poisoned by 40 levels of which 30 were taken off: 10 levels from the clean images, 30 from the published ones."""
    clean = torch.full((3, 1, 2, 2), 100, dtype=torch.uint8)
    found = measure_purification(clean, clean + 40, clean + 10)
    assert found.psnr_clean == pytest.approx(20 * math.log10(255 / 10))
    assert found.psnr_input == pytest.approx(20 * math.log10(255 / 30))
    assert measure_purification(clean, clean + 40, clean).psnr_clean == math.inf
    assert set(found.to_json()) == {"psnr_clean", "psnr_input"}


def test_a_run_measures_at_most_a_thousand_images_of_the_whole_set() -> None:
    assert measured_rows(7).tolist() == list(range(7))
    assert measured_rows(1000).tolist() == list(range(1000))
    assert measured_rows(1001).tolist() == list(range(0, 1001, 2))
    assert (len(measured_rows(50_000)), int(measured_rows(50_000)[-1])) == (1000, 49_950)


def test_surviving_by_hand() -> None:
    delta = torch.tensor([3.0, -4.0]).view(1, 2, 1, 1)
    before = torch.rand((1, 2, 1, 1))
    assert surviving(before, before + delta, delta) == pytest.approx(1)
    assert surviving(before, before + 0.25 * delta, delta) == pytest.approx(0.25)
    assert surviving(before, before - 0.5 * delta, delta) == pytest.approx(-0.5)
    # What lies across the perturbation does not count: (4, 3) is orthogonal to (3, −4).
    across = torch.tensor([4.0, 3.0]).view(1, 2, 1, 1)
    assert surviving(before, before + across + 0.1 * delta, delta) == pytest.approx(0.1, abs=1e-5)
    assert math.isnan(surviving(before, before, torch.zeros_like(delta)))


def test_pattern_correlation_by_hand() -> None:
    """Class 0 is found up to scale and offset; class 2 is found as the opposite of class 0's pattern."""
    first, second = torch.tensor([1.0, -1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 1.0, -1.0])
    labels = torch.tensor([2, 0, 0, 2])
    delta = torch.stack([second, first, first, second]).view(4, 1, 2, 2)
    spread = torch.tensor([0.3, 0.1, -0.2, 0.4])
    found = torch.stack([-first, 5 * first + 2 + spread, 5 * first + 2 - spread, -first]).view(4, 1, 2, 2)
    assert pattern_correlation(found, delta, labels) == pytest.approx(np.array([[1, 0], [-1, 0]]), abs=1e-6)
    assert pattern_correlation(torch.ones_like(found), delta, labels) == pytest.approx(np.zeros((2, 2)))


def test_pattern_correlation_is_pearsons() -> None:
    draw = torch.Generator().manual_seed(0)
    found, delta = (torch.randn((30, 3, 4, 4), generator=draw) for _ in range(2))
    labels = torch.arange(30) % 3
    means = [[values[labels == k].mean(0).flatten() for k in range(3)] for values in (found, delta)]
    expected = [[np.corrcoef(a, b)[0, 1] for b in means[1]] for a in means[0]]
    assert pattern_correlation(found, delta, labels) == pytest.approx(np.array(expected), abs=1e-6)


def test_measured_separation_is_made_of_these() -> None:
    draw = torch.Generator().manual_seed(0)
    clean = torch.randint(40, 200, (300, 3, 8, 8), generator=draw, dtype=torch.uint8)
    labels = torch.arange(300) % 3
    pattern = torch.randint(0, 20, (3, 3, 8, 8), generator=draw, dtype=torch.uint8)
    poisoned = ImageSet(clean + pattern[labels], labels, ("a", "b", "c"), "drawn")
    told = labels.roll(1)
    network = build_dvae(poisoned.shape, 3, 4, draw)
    found = measure_separation(network, clean, poisoned, Context(), told)
    image, perturbation = separated(network, poisoned.images, told, Context())
    delta = pattern[labels].float() / 255
    with torch.no_grad():
        made = network.eval()(to_float(poisoned.images), told)
    assert found.nats == pytest.approx(float(rate(made.mean, made.log_variance)), rel=1e-4)
    assert found.bits_per_pixel == pytest.approx(found.nats / (4 * math.log(2)))
    assert found.psnr_input == pytest.approx(psnr(image, poisoned.images))
    assert found.psnr_clean == pytest.approx(psnr(image, clean))
    assert found.psnr_joint == pytest.approx(psnr((image + perturbation).clamp(0, 1), poisoned.images))
    assert found.surviving == pytest.approx(surviving(separated(network, clean, told, Context())[0], image, delta))
    table = pattern_correlation(perturbation, delta, labels)
    assert found.found == pytest.approx(table.diagonal().mean())
    assert found.found_elsewhere == pytest.approx((table.sum() - table.trace()) / 6)
    assert set(found.to_json()) == {
        "nats", "bits_per_pixel", "psnr_input", "psnr_clean", "psnr_joint", "surviving", "found", "found_elsewhere"
    }  # fmt: skip


def test_where_nothing_was_poisoned_nothing_can_survive_or_be_found() -> None:
    clean = ImageSet(torch.randint(0, 255, (9, 1, 8, 8), dtype=torch.uint8), torch.arange(9) % 3, ("a", "b", "c"), "x")
    found = measure_separation(build_dvae(clean.shape, 3, 4, torch.Generator()), clean.images, clean, Context())
    assert all(math.isnan(value) for value in (found.surviving, found.found, found.found_elsewhere))
    assert math.isfinite(found.nats)
    assert found.psnr_clean == found.psnr_input


def test_recovery_by_hand() -> None:
    """Of a perturbation of 10 levels a quarter is found, on a poisoned image and on one that was left clean."""
    clean = torch.full((2, 1, 2, 2), 100, dtype=torch.uint8)
    poisoned = clean + 10
    found = torch.full((2, 1, 2, 2), 2.5 / 255)
    touched, untouched = (measure_recovery(found, published, clean, poisoned) for published in (poisoned, clean))
    for row in (touched, untouched):
        assert row.images == 2
        assert row.recovered == pytest.approx(0.25)
        assert row.size == pytest.approx(2.5)
    assert touched.before == pytest.approx(20 * math.log10(255 / 10))
    assert touched.after == pytest.approx(20 * math.log10(255 / 7.5))
    assert untouched.before == math.inf
    assert untouched.after == pytest.approx(20 * math.log10(255 / 2.5))
    assert set(touched.to_json()) == {"images", "recovered", "size", "before", "after"}
