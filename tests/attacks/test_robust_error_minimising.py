"""REM: its nested searches by their limits, and that it says what it has not reached."""

import pytest
import torch

from tests.attacks.toy_set import toy_set
from ued_core.artefacts import Draft
from ued_core.attacks import RobustErrorMinimising
from ued_core.attacks.gradient import LEVEL, Effort, on_device
from ued_core.attacks.robust_error_minimising import robust
from ued_core.attacks.surrogate import build_network
from ued_core.context import Context
from ued_core.errors import Cancelled, ParameterError
from ued_core.models import SmallCnn
from ued_core.training.ascent import frozen, input_gradient

QUICK = RobustErrorMinimising(surrogate_width=8, train_steps=6, noise_steps=2, adversarial_steps=2)


def test_without_shifts_and_views_it_takes_the_steps_of_em():
    """Radius 0, one view, no augmentation: the slope is the gradient that EM follows."""
    data = toy_set(40)
    network = build_network(SmallCnn(width=8), data, torch.Generator().manual_seed(0))
    clean, labels = on_device(data, slice(0, 40), torch.device("cpu"))
    delta = (2 * torch.rand(clean.shape, generator=torch.Generator().manual_seed(1)) - 1) * 8 * LEVEL
    plain = QUICK.with_values(adversarial_radius=0, augment=False)
    with frozen(network):
        slope = plain.slope(network, clean, delta, labels, torch.Generator(), Effort(Context(), 1), "")
        expected = input_gradient(network, clean + delta, labels)
        assert torch.allclose(slope, expected, atol=1e-6)
        shifted = QUICK.with_values(augment=False).slope(
            network, clean, delta, labels, torch.Generator(), Effort(Context(), 1), ""
        )
    assert not torch.allclose(shifted, expected, atol=1e-6)


def test_slope_is_pulled_back_through_the_view():
    """A crop moves the gradient to where the pixels came from: what is cut off has none."""
    data = toy_set(40)
    network = build_network(SmallCnn(width=8), data, torch.Generator().manual_seed(0))
    clean, labels = on_device(data, slice(0, 40), torch.device("cpu"))
    attack = QUICK.with_values(adversarial_radius=0)
    with frozen(network):
        rng = torch.Generator().manual_seed(5)
        slope = attack.slope(network, clean, torch.zeros_like(clean), labels, rng, Effort(Context(), 1), "")
        # The same draws on the numbers of the pixels tell which of them are seen.
        numbers = torch.arange(clean[0].numel(), dtype=torch.float32).view(1, *clean.shape[1:]).expand_as(clean) + 1
        seen = attack._view(numbers, torch.Generator().manual_seed(5)).long().flatten(1)
    for image in range(40):
        outside = torch.ones(clean[0].numel(), dtype=torch.bool)
        outside[seen[image][seen[image] > 0] - 1] = False
        assert (slope[image].flatten()[outside] == 0).all()
    assert outside.any() or (slope != 0).any()


def test_every_image_gets_noise_within_the_bound():
    data = toy_set(150)
    made = QUICK.craft(data, Context(seed=2), Draft())
    delta = made.images.short() - data.images.short()
    assert int(delta.abs().max()) <= 8
    assert (delta.flatten(1).abs().amax(1) > 0).all()
    assert not made.log["converged"]
    assert made.log["note"].startswith("Not converged")
    assert [row["step"] for row in made.log["trace"]] == [1, 2, 3, 4, 5, 6]


def test_stops_once_the_robust_loss_is_low():
    assert not robust([0.0] * 19)
    assert robust([5.0] + [0.0] * 20)
    assert not robust([0.2] * 30)
    data = toy_set(40)
    attack = QUICK.with_values(train_steps=200, adversarial_radius=0, augment=False, epsilon=32)
    made = attack.craft(data, Context(seed=2), Draft())
    assert made.log["converged"]
    assert 20 <= len(made.log["trace"]) < 200


def test_going_on_gives_what_one_execution_gives(tmp_path):
    data, path = toy_set(60), tmp_path / "state"
    whole = QUICK.craft(data, Context(seed=2), Draft())

    def stop_in_the_fourth_step(done, total, text):
        if text.startswith("step 4"):
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        QUICK.craft(data, Context(seed=2, on_report=stop_in_the_fourth_step), Draft(path, every_s=0))
    later = []
    rest = QUICK.craft(
        data, Context(seed=2, on_report=lambda done, total, text: later.append(text)), Draft(path, every_s=0)
    )
    assert not any(text.startswith(("step 1 ", "step 2 ", "step 3 ")) for text in later)
    assert torch.equal(rest.images, whole.images)
    assert rest.log == whole.log


def test_radius_beyond_epsilon_is_refused():
    with pytest.raises(ParameterError, match="adversarial_radius is 4 and ε is 2"):
        RobustErrorMinimising(epsilon=2)


def test_cost_of_the_published_values():
    """561 gradient evaluations for an image of a step and 550 for every image in the end, as its code does."""
    paper = RobustErrorMinimising(train_steps=5000, noise_steps=10, adversarial_steps=10, views=5)
    assert paper.gradient_evaluations(50_000) == 5000 * 128 * 561 + 50_000 * 550
