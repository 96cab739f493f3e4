"""Warps: their fields have the shape that is said and move pixels as far as COIN."""

import math

import pytest
import torch
from scipy.ndimage import gaussian_filter

from ued_core.defenses import Coin
from ued_core.defenses.coin_parts import CoinInterpolation, CoinShifts
from ued_core.defenses.warps import (
    CORNERS,
    Elastic,
    RandomAffine,
    RandomPerspective,
    SmoothField,
    circular_blur,
    distortion,
    homographies,
    matched_strength,
    spline_weights,
)
from ued_core.displacement import draw_fields
from ued_core.errors import DataError, ParameterError

WARPS = pytest.mark.parametrize("warp", [RandomAffine, RandomPerspective, Elastic, SmoothField], ids=lambda w: w.key)
PARTS = pytest.mark.parametrize("part", [CoinShifts, CoinInterpolation], ids=lambda p: p.key)


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def smooth_images(count=40, side=32):
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    turn = 2 * math.pi / side
    waves = [torch.sin(turn * (1 + n % 3) * x + n) * torch.cos(turn * (1 + n % 2) * y) for n in range(count)]
    return (0.5 + 0.4 * torch.stack(waves)[:, None]).expand(-1, 3, -1, -1)


@WARPS
@pytest.mark.parametrize("size", [(32, 32), (12, 20)], ids=str)
@pytest.mark.parametrize("strength", [0.5, 2.0])
def test_pixels_move_as_far_as_under_coin(warp, size, strength):
    dx, dy = warp(strength=strength).fields((3000, *size), rng())
    coin = torch.stack(draw_fields((200, *size), strength, rng()))
    root = float(((dx.square() + dy.square()) / 2).mean().sqrt())
    assert root == pytest.approx(strength / math.sqrt(3), rel=0.025)
    assert root == pytest.approx(float(coin.square().mean().sqrt()), rel=0.025)
    assert abs(float(dx.mean())) < 0.08 * strength
    assert abs(float((dx * dy).mean())) < 0.05 * strength**2


@WARPS
def test_neighbours_move_together(warp):
    dx, _ = warp().fields((300, 32, 32), rng())
    step = float((dx[:, :, 1:] - dx[:, :, :-1]).square().mean())
    # Independent neighbours differ by twice the variance.
    assert step < 0.15 * 2 * float(dx.square().mean())


@WARPS
def test_constants_stay_and_zero_is_nothing(warp):
    flat = torch.full((5, 3, 16, 16), 0.3)
    assert torch.allclose(warp(strength=1.5).augment(flat, rng()), flat, atol=1e-6)
    images = torch.rand(5, 3, 16, 16)
    assert torch.allclose(warp(strength=0.0).augment(images, rng()), images, atol=1e-5)


@WARPS
def test_each_image_has_its_own_field(warp):
    same = smooth_images(1).expand(6, -1, -1, -1)
    moved = warp().augment(same, rng())
    assert all(float((moved[n] - moved[0]).abs().mean()) > 0.005 for n in range(1, 6))


def test_affine_fields_are_linear():
    dx, dy = RandomAffine(strength=3.0).fields((50, 14, 20), rng())
    for field in (dx, dy):
        for axis in (1, 2):
            assert field.diff(n=2, dim=axis).abs().max() < 1e-5
        assert field.diff(dim=2).abs().mean() > 0.02, "not only a shift"


def test_perspective_moves_the_corners_where_they_go():
    moved = torch.rand((30, 4, 2), generator=rng(), dtype=torch.float64) * 0.6 - 0.3
    a, b, c, d, e, f, g, h = homographies(moved).T
    for k, (x, y) in enumerate(CORNERS):
        below = 1 + g * x + h * y
        assert torch.allclose((a * x + b * y + c) / below, x + moved[:, k, 0], atol=1e-12)
        assert torch.allclose((d * x + e * y + f) / below, y + moved[:, k, 1], atol=1e-12)


def test_perspective_keeps_straight_lines_straight_and_is_not_affine():
    dx, dy = (field.double() for field in RandomPerspective(strength=2.0).fields((60, 21, 21), rng()))
    place = torch.arange(21, dtype=torch.float64)
    x, y = place + dx, place[:, None] + dy
    for line in ((slice(None), 7), (slice(None), slice(None), 4)):
        points = torch.stack([x[line], y[line]], -1)
        first, last = points[:, :1], points[:, -1:]
        along, away = last - first, points - first
        assert (along[..., 0] * away[..., 1] - along[..., 1] * away[..., 0]).abs().max() / along.norm(
            dim=-1
        ).min() < 1e-4
    assert dx.diff(n=2, dim=2).abs().max() > 0.01


def test_perspective_that_would_fold_the_image_is_refused():
    with pytest.raises(DataError, match="Take at most") as caught:
        RandomPerspective(strength=3.2).augment(torch.rand(2, 3, 12, 12), rng())
    allowed = float(str(caught.value).split("at most ")[1].split(" px")[0])
    dx, _ = RandomPerspective(strength=allowed - 0.01).fields((5000, 12, 12), rng())
    assert dx.abs().max() < 12
    with pytest.raises(DataError, match="four different corners"):
        RandomPerspective().augment(torch.rand(2, 3, 1, 12), rng())


def test_elastic_without_smoothing_is_coin():
    images = torch.rand(4, 3, 16, 16)
    assert torch.equal(
        Elastic(strength=1.3, smoothness=0.0).augment(images, rng(5)), Coin(strength=1.3).augment(images, rng(5))
    )


@pytest.mark.parametrize("sigma", [0.5, 2.0, 6.0])
def test_elastic_is_a_blur_around_the_border(sigma):
    field = torch.rand((18, 24), generator=rng(), dtype=torch.float64)
    made = circular_blur(18, sigma) @ field @ circular_blur(24, sigma)
    plain = gaussian_filter(field.numpy(), sigma, mode="wrap", truncate=5)
    scale = float(made.sum()) / float(plain.sum())
    assert torch.allclose(made, torch.from_numpy(plain) * scale, atol=1e-3)
    assert torch.allclose(circular_blur(18, sigma).square().sum(1), torch.ones(18, dtype=torch.float64))


def test_spline_weights_by_hand():
    """On a control point a cubic B-spline gives it 4/6 and its neighbours 1/6; half way 23/48 and 1/48."""
    weights = spline_weights(12, 6)
    weights = weights / weights[0].sum()
    assert torch.allclose(weights.sum(1), torch.ones(12, dtype=torch.float64))
    expected = torch.tensor([[4, 1, 0, 0, 0, 1], [2.875, 2.875, 0.125, 0, 0, 0.125]], dtype=torch.float64) / 6
    assert torch.allclose(weights[:2], expected)
    assert torch.allclose(weights[2:4], expected.roll(1, 1))


@PARTS
def test_parts_keep_constants(part):
    flat = torch.full((5, 3, 16, 16), 0.3)
    assert torch.allclose(part().augment(flat, rng()), flat, atol=1e-6)


def test_parts_add_up_to_coin():
    """The image of column numbers shows where each pixel came from, away from the border."""
    ramp = (torch.arange(32) / 31).view(1, 1, 1, 32).expand(20, 1, 32, 32)
    inner = (slice(None), slice(None), slice(None), slice(8, 24))
    away = {d.key: ((d.augment(ramp, rng(9)) - ramp) * 31)[inner] for d in (Coin(), CoinShifts(), CoinInterpolation())}
    assert torch.allclose(away["coin_shifts"] + away["coin_interpolation"], away["coin"], atol=1e-4)
    steps, counts = away["coin_shifts"].round().unique(return_counts=True)
    assert steps.tolist() == [-2, -1, 0, 1, 2]
    assert torch.allclose(counts / counts.sum(), torch.tensor([1, 2, 2, 2, 1]) / 8, atol=0.01)
    assert 0.49 < float(away["coin_interpolation"].abs().max()) <= 0.5001


def test_shifts_make_no_new_values():
    images = torch.randint(0, 256, (6, 3, 16, 16), generator=rng()).float() / 255
    moved = CoinShifts().augment(images, rng())
    for before, after in zip(images, moved, strict=True):
        colours = {tuple(c) for c in before.flatten(1).T.tolist()}
        assert {tuple(c) for c in after.flatten(1).T.tolist()} <= colours


def test_interpolation_looks_no_farther_than_the_neighbours():
    image = torch.zeros(1, 1, 9, 9)
    image[0, 0, 4, 4] = 1
    seen = torch.zeros(9, 9)
    for seed in range(50):
        seen += CoinInterpolation().augment(image, rng(seed))[0, 0]
    expected = torch.zeros(9, 9, dtype=torch.bool)
    expected[3:6, 3:6] = True
    assert torch.equal(seen > 0, expected)


def test_below_half_a_pixel_only_interpolation_is_left():
    images = torch.rand(4, 3, 12, 12)
    assert torch.equal(CoinShifts(strength=0.5).augment(images, rng(2)), images)
    assert torch.equal(
        CoinInterpolation(strength=0.5).augment(images, rng(2)), Coin(strength=0.5).augment(images, rng(2))
    )


@pytest.mark.parametrize("rival", [RandomAffine(), Elastic(), SmoothField(), CoinInterpolation()], ids=lambda r: r.key)
def test_matched_distortion(rival):
    images = torch.rand((30, 3, 16, 16), generator=rng())
    images = (images + images.roll(1, 2) + images.roll(1, 3) + images.roll((1, 1), (2, 3))) / 4
    target = distortion(Coin(strength=0.4), images)
    strength = matched_strength(rival, images, target)
    assert distortion(rival.with_values(strength=strength), images) == pytest.approx(target, rel=0.01)


def test_distortion_by_hand_and_out_of_reach():
    board = ((torch.arange(8)[:, None] + torch.arange(8)) % 2).float().view(1, 1, 8, 8)
    assert distortion(Coin(strength=0.0), board) == 0
    with pytest.raises(ParameterError, match="must be from 0 to"):
        matched_strength(RandomAffine(), torch.full((2, 1, 8, 8), 0.5), 0.1)
