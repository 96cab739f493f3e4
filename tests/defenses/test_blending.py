"""Mixup and CutMix: shares, rectangles and soft labels by hand."""

import pytest
import torch

from ued_core.defenses.blending import CutMix, Mixup, beta, rectangles


def rng(seed=0):
    return torch.Generator().manual_seed(seed)


def flat(count=200, side=8):
    """Image n has the value n / count everywhere, so a mixture tells its share."""
    return (torch.arange(count) / count).view(-1, 1, 1, 1).expand(-1, 3, side, side).contiguous(), torch.arange(
        count
    ) % 4


@pytest.mark.parametrize("alpha", [0.1, 1.0, 4.0])
def test_beta(alpha):
    drawn = beta(20_000, alpha, rng())
    assert drawn.isfinite().all()
    # Beta(α, α) has the mean 1/2 and the variance 1/(4(2α+1)); 0.01 is over four standard errors.
    assert abs(float(drawn.mean()) - 0.5) < 0.02
    assert float(drawn.var()) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.04)


def test_mixup_by_hand():
    images, targets = flat()
    made, soft = Mixup().blend(images, targets, 4, rng(3))
    draws = rng(3)
    partner = torch.randperm(200, generator=draws)
    torch.rand(200, generator=draws)
    share = beta(200, 1.0, draws)
    value = share * images[:, 0, 0, 0] + (1 - share) * images[partner][:, 0, 0, 0]
    assert torch.allclose(made, value.view(-1, 1, 1, 1).expand_as(made), atol=1e-6)
    for n in range(200):
        expected = torch.zeros(4)
        expected[targets[n]] += share[n]
        expected[targets[partner[n]]] += 1 - share[n]
        assert torch.allclose(soft[n], expected, atol=1e-6)


def test_shares_of_labels_are_those_of_the_area():
    images, targets = flat(side=10)
    made, soft = CutMix(probability=1.0).blend(images, targets, 200, rng(1))
    partner = torch.randperm(200, generator=rng(1))
    hard = torch.nn.functional.one_hot(targets, 200).float()
    for n in range(200):
        own = float((made[n, 0] == images[n, 0, 0, 0]).float().mean())
        if partner[n] != n:
            assert torch.allclose(soft[n], own * hard[n] + (1 - own) * hard[partner[n]], atol=1e-5)
    assert torch.allclose(soft.sum(1), torch.ones(200))


def test_rectangle_by_hand():
    found = rectangles((500, 8, 12), torch.full((500,), 0.25), rng())
    area = found.flatten(1).sum(1)
    # Half of each side: 4 × 6 pixels, less where the border cuts; never less than a quarter of it.
    assert int(area.max()) == 24
    assert 0.05 < float((area == 24).float().mean()) < 0.6
    for inside in found[:40]:
        rows, columns = inside.any(1), inside.any(0)
        assert torch.equal(inside, rows[:, None] & columns)
        assert 2 <= int(rows.sum()) <= 4
        assert 3 <= int(columns.sum()) <= 6
    assert not rectangles((5, 8, 8), torch.zeros(5), rng()).any()
    assert float(found.float().mean((0,))[4, 6]) > 2 * float(found.float().mean(0)[0, 0])


@pytest.mark.parametrize("defence", [Mixup, CutMix])
def test_probability_and_kept_labels(defence):
    images, targets = flat()
    made, soft = defence(probability=0.0).blend(images, targets, 4, rng())
    assert torch.equal(made, images)
    assert torch.equal(soft, torch.nn.functional.one_hot(targets, 4).float())
    made, kept = defence(labels="kept", probability=1.0).blend(images, targets, 4, rng())
    assert kept is targets
    assert not torch.equal(made, images)
    changed = (defence(probability=0.3).blend(images, targets, 4, rng())[0] != images).flatten(1).any(1).float().mean()
    # Four standard deviations of a share of 200; CutMix also draws rectangles of no area.
    assert abs(float(changed) - 0.28) < 0.14


def test_constant_forms():
    images, targets = flat()
    made = Mixup(weight="constant").blend(images, targets, 4, rng(2))[0]
    partner = torch.randperm(200, generator=rng(2))
    assert torch.allclose(made, 0.9 * images + 0.1 * images[partner], atol=1e-6)
    made = CutMix(area="constant", probability=1.0).blend(images, targets, 4, rng(2))[0]
    # √0.1 of 8 pixels is 2.5: a square of 2 × 2 pixels, unless the border cuts it.
    pasted = (made != images)[:, 0].flatten(1).sum(1)
    assert int(pasted.max()) == 4


def test_soft_labels_can_be_mixed_again():
    images, targets = flat()
    draws = rng()
    made, soft = Mixup().blend(images, targets, 4, draws)
    made, soft = CutMix(probability=1.0).blend(made, soft, 4, draws)
    assert made.shape == images.shape
    assert torch.allclose(soft.sum(1), torch.ones(200), atol=1e-5)
    assert int((soft > 1e-6).sum(1).max()) > 2
