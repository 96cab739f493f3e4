"""EPD and the border score: features worked by hand, ROC by brute force, evasion by reflection."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ued_core.analysis.edge_detector import THRESHOLD, detection, edge_sums, roc, shipped_detections, verdict
from ued_core.attacks import ATTACKS
from ued_core.context import Context
from ued_core.data.border import border_score, side_ratios
from ued_core.errors import DataError, Unavailable
from ued_core.records import ImageSet
from ued_core.studies.edge_comparison import compare_edges, evading_version


def framed(side: dict[str, int], inside: int = 200, shape: tuple[int, int] = (6, 8)) -> torch.Tensor:
    image = torch.full((1, 3, *shape), inside, dtype=torch.uint8)
    for name, value in side.items():
        {"top": image[:, :, 0], "bottom": image[:, :, -1], "left": image[..., 0], "right": image[..., -1]}[name][:] = (
            value
        )
    return image


def photos(count: int = 200, side: int = 16) -> ImageSet:
    """Smooth random pictures with no preference for their border."""
    coarse = torch.rand(count, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    large = torch.nn.functional.interpolate(coarse, size=(side + 6, side + 6), mode="bicubic")[..., 3:-3, 3:-3]
    return ImageSet((large.clamp(0.1, 1) * 255).to(torch.uint8), torch.arange(count) % 4, tuple("abcd"), "photos")


# ---------------------------------------------------------------- features and score


def test_edge_sums_are_twelve_numbers_in_order() -> None:
    image = torch.zeros((1, 3, 4, 5), dtype=torch.uint8)
    image[0, 0, 0] = 51
    image[0, 2, :, -1] = 255
    found = edge_sums(image)
    assert found.shape == (1, 12)
    expected = np.zeros((4, 3))
    expected[0, 0] = 5 * 0.2
    expected[2, 0] = 0.2
    expected[3, 0] = 0.2
    expected[:, 2] = [1, 1, 0, 4]
    assert np.allclose(found.reshape(4, 3), expected)


def test_side_ratios_of_a_frame() -> None:
    found = side_ratios(framed({"top": 99}, shape=(40, 40)))
    # One grey level is added above and below; the corner belongs to both sides.
    assert found[0, 0] == pytest.approx(100 / 201)
    assert found[0, 1] == pytest.approx(1)
    assert found[0, 2] == pytest.approx((99 + 39 * 200 + 40) / (201 * 40))


def test_score_is_zero_on_flat_and_on_black_images_and_signed_otherwise() -> None:
    flat = torch.stack([torch.full((3, 8, 8), v, dtype=torch.uint8) for v in (0, 1, 120, 255)])
    assert np.allclose(border_score(flat), 0)
    every = ("top", "bottom", "left", "right")
    dark, bright = framed(dict.fromkeys(every, 100)), framed(dict.fromkeys(every, 250))
    assert border_score(dark)[0] == pytest.approx(np.log(201 / 101))
    assert border_score(bright)[0] < 0


def test_score_does_not_change_with_orientation() -> None:
    images = photos(20).images
    turned = images.rot90(1, (2, 3))
    assert np.allclose(border_score(images), border_score(turned), atol=1e-6)
    assert np.allclose(border_score(images), border_score(images.flip(3)), atol=1e-6)


def test_tiny_images_are_refused() -> None:
    with pytest.raises(DataError, match="two rings"):
        border_score(torch.zeros((1, 3, 3, 8), dtype=torch.uint8))


# ---------------------------------------------------------------- curves


def test_auc_is_the_share_of_ordered_pairs() -> None:
    rng = np.random.default_rng(0)
    positive, negative = rng.integers(0, 6, 40) + 1.0, rng.integers(0, 6, 30) + 0.0
    pairs = positive[:, None] - negative
    found = roc(positive, negative)
    assert found.auc == pytest.approx(((pairs > 0) + 0.5 * (pairs == 0)).mean())
    assert (found.false_alarms[0], found.hits[0]) == (0, 0)
    assert (found.false_alarms[-1], found.hits[-1]) == (1, 1)
    assert (np.diff(found.hits) >= 0).all()
    assert (found.positives, found.negatives) == (40, 30)


def test_curve_is_thinned_but_its_area_is_not() -> None:
    rng = np.random.default_rng(0)
    positive, negative = rng.normal(1, 1, 3000), rng.normal(0, 1, 3000)
    found = roc(positive, negative)
    assert len(found.hits) == 200
    assert np.trapezoid(found.hits, found.false_alarms) == pytest.approx(found.auc, abs=2e-3)
    assert found.hits_at(0.5) == pytest.approx((positive > np.median(negative)).mean(), abs=0.01)


def test_perfect_reversed_and_empty() -> None:
    assert roc(np.array([2.0, 3]), np.array([0.0, 1])).auc == 1
    assert roc(np.array([0.0]), np.array([1.0])).auc == 0
    assert roc(np.array([2.0, 3]), np.array([0.0, 1])).hits_at(0) == 1
    with pytest.raises(DataError, match="both kinds"):
        roc(np.array([]), np.array([1.0]))


# ---------------------------------------------------------------- detection and verdict


@pytest.mark.parametrize("key", ["cuda", "vuda", "huda"])
def test_zero_padding_is_found_and_reflection_is_not(key: str) -> None:
    data = photos()
    attack = ATTACKS.build(key)
    poisoned = attack.poison(data, Context()).images
    found = compare_edges(data, poisoned, attack, 0, None)
    assert found.detection.free.auc > 0.95
    assert found.detection.trained.auc > 0.8
    assert found.poisoned.finding == "darkened"
    assert found.poisoned.flagged > 0.9
    assert found.opponent.finding == "not darkened"
    assert found.evasion.free.auc < 0.75
    assert found.evading.finding == "not darkened"


def test_clean_against_clean_is_a_coin_toss() -> None:
    data = photos(400)
    found = detection(data.images, data.images)
    assert found.free.auc == pytest.approx(0.5)
    assert found.trained.auc == pytest.approx(0.5, abs=1e-6)


def test_detector_is_tested_on_images_it_has_not_seen() -> None:
    # Twelve features cannot tell two stacks of independent noise apart on other images.
    rng = np.random.default_rng(0)
    first, second = (torch.from_numpy(rng.integers(0, 256, (40, 3, 8, 8), dtype=np.uint8)) for _ in range(2))
    found = [detection(first, second, seed) for seed in range(10)]
    assert abs(np.mean([f.trained.auc for f in found]) - 0.5) < 0.15
    assert {f.trained.positives for f in found} == {20}


def test_black_frames_cannot_be_judged() -> None:
    images = torch.zeros((4, 3, 12, 12), dtype=torch.uint8)
    images[:, :, 4:8, 4:8] = 255
    found = verdict(images)
    assert (found.finding, found.score, found.measurable) == ("cannot tell", 0, 0)


def test_threshold_decides() -> None:
    images = framed(dict.fromkeys(("top", "bottom", "left", "right"), 185), shape=(32, 32))
    score = float(border_score(images)[0])
    assert 0 < score < THRESHOLD
    assert verdict(images).finding == "not darkened"
    assert verdict(images, score / 2).finding == "darkened"
    assert verdict(images, score / 2).flagged == 1


def test_detection_refuses_unequal_stacks() -> None:
    data = photos(8).images
    with pytest.raises(DataError, match="same images"):
        detection(data, data[:6])


def test_comparison_with_a_rival_and_with_an_attack_that_reflects_already() -> None:
    data = photos(80)
    rival, attack = ATTACKS.build("huda"), ATTACKS.build("cuda", padding="reflect")
    assert evading_version(attack) is None
    assert evading_version(rival) == ATTACKS.build("huda", padding="reflect")
    found = compare_edges(data, attack.poison(data, Context()).images, attack, 0, rival)
    assert found.evasion is None
    assert found.opponent.finding == "darkened"
    assert found.detection.free.auc < 0.2, "the rival is the one with the dark frame"


# ---------------------------------------------------------------- the shipped table


def test_shipped_table_is_what_the_threshold_was_chosen_from() -> None:
    table = shipped_detections()
    assert table["threshold"] == THRESHOLD
    clean = {name: found["score"] for name, found in table["clean"].items()}
    zero = [r for r in table["rows"] if r["padding"] == "zero" and "failure" not in r]
    assert set(clean) == {"shapes", "digits", "photos"} == {r["dataset"] for r in zero}
    assert max(clean.values()) <= 0.023 + 5e-4
    assert min(r["score"] for r in zero) >= 0.23
    assert all(0 <= r["free_auc"] <= 1 and 0 <= r["trained_auc"] <= 1 for r in zero)
    assert {r["blur"] for r in zero} == {0.1, 0.3, 0.5}
    assert "failure" not in next(r for r in table["rows"] if r["against"] == "clean")


def test_a_missing_table_names_its_command(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setattr("ued_core.analysis.edge_detector.FILE", tmp_path / "none.json")
    with pytest.raises(Unavailable, match="benchmarks.edge_detector"):
        shipped_detections()
