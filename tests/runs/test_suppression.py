"""What a defence leaves of a perturbation, on cases that can be worked by hand."""

import math

import pytest
import torch

from ued_core.defenses import DEFENSES, DefenseStack
from ued_core.defenses.base import Defense
from ued_core.records import ImageSet
from ued_core.studies.suppression import suppression, suppression_curve, sweep_values


class Halved(Defense):
    """Every value divided by two."""

    key = "halved"
    title = "Halved"
    acts = frozenset({"purify"})

    def purify(self, data, ctx):
        return data.with_images(data.images // 2)


def pair():
    rng = torch.Generator().manual_seed(0)
    clean = torch.randint(50, 100, (12, 3, 16, 16), generator=rng, dtype=torch.uint8) * 2
    data = ImageSet(clean, torch.arange(12) % 3, ("a", "b", "c"), "toy")
    sign = torch.randint(0, 2, clean.shape, generator=rng) * 2 - 1
    return data, data.with_images((clean.int() + 8 * sign).to(torch.uint8))


def test_no_defence_leaves_all_of_it():
    clean, poisoned = pair()
    found = suppression(clean, poisoned, DefenseStack())
    assert found.energy == found.aligned == 1
    assert found.psnr == found.psnr_poisoned == pytest.approx(20 * math.log10(255 / 8))


def test_half_the_values_leave_a_quarter_of_the_energy():
    clean, poisoned = pair()
    found = suppression(clean, poisoned, DefenseStack([Halved()]))
    assert found.energy == pytest.approx(0.25)
    assert found.aligned == pytest.approx(0.5)


def test_nothing_added_means_nothing_to_measure():
    clean, _ = pair()
    assert math.isnan(suppression(clean, clean, DefenseStack()).energy)


def test_both_copies_get_the_same_draws():
    clean, poisoned = pair()
    coin = DEFENSES.build("coin", strength=2.0)
    found = suppression(clean, poisoned, DefenseStack([coin]), seed=3)
    # COIN is linear: with other draws for the clean copy, the content itself would count as perturbation.
    assert 0 < found.energy < 1
    assert abs(found.aligned) < found.energy


def test_a_curve_is_one_measurement_a_value():
    clean, poisoned = pair()
    coin = DEFENSES.build("coin")
    curve = suppression_curve(clean, poisoned, DefenseStack([coin]), "strength", (0.0, 2.0))
    assert curve[0].energy == pytest.approx(1)
    assert curve[1].energy < 0.9
    assert curve[0].psnr > curve[1].psnr


def test_values_span_the_declared_range():
    strength = next(p for p in DEFENSES["coin"].parameters() if p.name == "strength")
    values = sweep_values(strength)
    assert (values[0], values[-1]) == (strength.minimum, strength.maximum)
    bits = next(p for p in DEFENSES["bit_depth"].parameters() if p.name == "bits")
    assert sweep_values(bits) == (1, 2, 3, 4, 5, 6, 7)
    assert sweep_values(next(p for p in DEFENSES["coin"].parameters() if p.kind == "bool")) == ()
