"""EM: what the noise must be, that it makes images easy, and that stopped work goes on as if it had not stopped."""

import pytest
import torch

from tests.attacks.surrogate_error import surrogate_error
from tests.attacks.toy_set import CLASSES, toy_set
from ued_core.artefacts import CRAFTED, Draft
from ued_core.attacks import ErrorMinimising
from ued_core.attacks.checkpoint import poison_once
from ued_core.attacks.error_minimising import _ClassWise, expected
from ued_core.attacks.surrogate import BATCH, build_network
from ued_core.context import Context
from ued_core.defenses import Coin
from ued_core.displacement import displace, draw_fields
from ued_core.errors import Cancelled
from ued_core.models import SmallCnn
from ued_core.training import AdamW, Job, accuracy, train
from ued_core.training.ascent import descend, frozen

SMALL = ErrorMinimising(surrogate_width=8, batches=12)


def empty_set(count=160, span=60):
    """Images that show nothing of their classes: white noise of at most ``span`` levels around mid-grey."""
    data = toy_set(count)
    drawn = torch.randint(
        128 - span, 128 + span, data.images.shape, generator=torch.Generator().manual_seed(50), dtype=torch.uint8
    )
    return data.with_images(drawn)


def distinct(images):
    return len({image.numpy().tobytes() for image in images})


def test_sample_wise_noise():
    data, made = toy_set(), SMALL.craft(toy_set(), Context(seed=1), Draft())
    delta = made.images.short() - data.images.short()
    assert int(delta.abs().max()) <= 8
    assert 0.3 < float((delta < 0).float().mean()) < 0.7
    assert distinct(delta) == len(data)
    assert made.log["converged"]
    last = made.log["trace"][-1]
    assert last["accuracy"] >= 0.99
    assert last["loss"] < 0.1
    assert len(made.log["trace"]) <= SMALL.max_rounds
    assert "Converged" in made.log["note"]


def test_class_wise_noise():
    """No more patterns than classes, before clipping: mid-grey images show them all."""
    data = empty_set()
    made = ErrorMinimising(surrogate_width=8, batches=4, granularity="class").craft(data, Context(seed=1), Draft())
    delta = made.images.short() - data.images.short()
    assert distinct(delta) == CLASSES
    assert int(delta.abs().max()) <= 8
    assert (delta < 0).any()
    assert (delta > 0).any()


def test_fresh_network_reads_the_classes_off_the_noise():
    """The images show nothing and the contrast is low, so what half of them teach can help with the rest only by the
    noise."""
    data = empty_set(640, span=10)
    images = SMALL.craft(data, Context(seed=1), Draft()).images
    reached = {}
    for name, stored in (("clean", data.images), ("perturbed", images)):
        network = build_network(SmallCnn(width=8), data, torch.Generator().manual_seed(4))
        given = data.with_images(stored)
        taught, asked = given.take(range(320)), given.take(range(320, 640))
        train(
            Job(taught, asked, network, AdamW(epochs=8, crop=0, flip="off", batch_size=32), flip=False), Context(seed=9)
        )
        reached[name] = accuracy(network, asked, Context())
    assert reached["clean"] < 0.4
    assert reached["perturbed"] > 0.8


@pytest.mark.slow
def test_signed_noise_teaches_more_than_its_positive_half():
    """Read off by a fresh network from images that show nothing: 99 % against 82 % with key 1."""
    data, reached = empty_set(640, span=10), {}
    for released in (False, True):
        images = SMALL.with_values(as_released=released).craft(data, Context(seed=1), Draft()).images
        network = build_network(SmallCnn(width=8), data, torch.Generator().manual_seed(4))
        given = data.with_images(images)
        taught, asked = given.take(range(320)), given.take(range(320, 640))
        train(
            Job(taught, asked, network, AdamW(epochs=8, crop=0, flip="off", batch_size=32), flip=False), Context(seed=9)
        )
        reached[released] = accuracy(network, asked, Context())
    assert reached[False] > reached[True] + 0.05


def test_as_released_keeps_positive_noise_only():
    data = toy_set()
    signed = SMALL.craft(data, Context(seed=1), Draft()).images.short() - data.images.short()
    released = (
        SMALL.with_values(as_released=True).craft(data, Context(seed=1), Draft()).images.short() - data.images.short()
    )
    assert int(released.min()) == 0
    assert int(released.max()) <= 8
    # The same noise but for its negative half, cut off to whole levels instead of rounded.
    assert int((signed.clamp(min=0) - released).abs().max()) <= 1
    assert float((released == 0).float().mean()) > 0.4


COIN_EXPECTED = {"expected_coin": 2.0, "coin_draws": 3}
KINDS = pytest.mark.parametrize(
    "kind",
    [
        {"granularity": "sample"},
        {"granularity": "class"},
        COIN_EXPECTED,
        {"granularity": "class", **COIN_EXPECTED},
    ],
    ids=["sample", "class", "sample that expects COIN", "class that expects COIN"],
)


@KINDS
def test_going_on_gives_what_one_execution_gives(tmp_path, kind):
    data, attack = toy_set(80), SMALL.with_values(max_rounds=4, batches=1, steps=1, step_size=0.05, **kind)
    whole = attack.craft(data, Context(seed=1), Draft())
    assert len(whole.log["trace"]) > 2
    rounds = []

    def stop_in_the_third_round(done, total, text):
        rounds.append(text)
        if text.startswith("round 3"):
            raise Cancelled("enough")

    path = tmp_path / "state"
    with pytest.raises(Cancelled):
        attack.craft(data, Context(seed=1, on_report=stop_in_the_third_round), Draft(path, every_s=0))
    later = []
    rest = attack.craft(
        data, Context(seed=1, on_report=lambda done, total, text: later.append(text)), Draft(path, every_s=0)
    )
    assert not any(text.startswith(("round 1", "round 2")) for text in later)
    assert torch.equal(rest.images, whole.images)
    assert rest.log == whole.log


def test_noise_that_expects_coin_lowers_the_loss_behind_it():
    """The step's direction by hand: the gradient of the mean loss over the draws, and none of the image itself."""
    data = toy_set(16)
    network = build_network(SmallCnn(width=8), data, torch.Generator().manual_seed(0))
    images, labels = data.images.float() / 255, data.labels
    drawn = [torch.Generator().manual_seed(k) for k in range(3)]
    with frozen(network):
        found = descend(
            network, images, images, labels, epsilon=8 / 255, step=1 / 255, steps=1, draws=3,
            prepare=lambda given: expected(given, 2.0, drawn.pop(0)),
        )  # fmt: skip
        leaf = images.clone().requires_grad_(True)
        sum(
            torch.nn.functional.cross_entropy(
                network(displace(leaf, *draw_fields((16, 16, 16), 2.0, torch.Generator().manual_seed(k)))), labels
            )
            for k in range(3)
        ).backward()
    by_hand = (images - leaf.grad.sign() / 255).clamp(0, 1)
    assert float((found - by_hand).abs().gt(1e-6).double().mean()) < 0.01
    assert drawn == []


def test_noise_that_expects_coin_is_easy_behind_it():
    """A surrogate that sees COIN is right about its own noise; without the expectation nobody asked it to be."""
    data = empty_set(80, span=10)
    quick = SMALL.with_values(max_rounds=4)
    plain = quick.craft(data, Context(seed=1), Draft())
    made = quick.with_values(**COIN_EXPECTED).craft(data, Context(seed=1), Draft())
    assert int((made.images.short() - data.images.short()).abs().max()) <= 8
    assert not torch.equal(made.images, plain.images)

    def reached(images):
        network = build_network(SmallCnn(width=8), data, torch.Generator().manual_seed(4))
        given = data.with_images(images)
        plan = AdamW(epochs=6, crop=0, flip="off", batch_size=16)
        job = Job(given, given, network, plan, augment=Coin(strength=2.0).augment, flip=False)
        train(job, Context(seed=9))
        return accuracy(network, given, Context())

    assert reached(made.images) > reached(plain.images) + 0.1


def test_limit_is_kept_and_said():
    made = SMALL.with_values(max_rounds=1, batches=1, steps=1, step_size=0.01).craft(toy_set(), Context(), Draft())
    assert not made.log["converged"]
    assert made.log["note"].startswith("Not converged")
    assert len(made.log["trace"]) == 1


@KINDS
def test_estimate_is_an_upper_bound(kind):
    attack, data, seen = SMALL.with_values(**kind, max_rounds=2), toy_set(100), []
    attack.craft(data, Context(on_report=lambda done, total, text: seen.append((done, total))), Draft())
    assert {total for _, total in seen} == {attack.gradient_evaluations(100)}
    assert seen[-1][0] == seen[-1][1]
    assert max(done for done, _ in seen[:-1]) <= seen[-1][0]


def test_labels_matter():
    data = toy_set()
    other = type(data)(data.images, data.labels.flip(0), data.class_names, data.name)
    quick = SMALL.with_values(max_rounds=1)
    assert not torch.equal(quick.craft(data, Context(), Draft()).images, quick.craft(other, Context(), Draft()).images)


def test_surrogate_error_by_hand():
    data = toy_set(40)
    network = build_network(SmallCnn(width=8), data, torch.Generator().manual_seed(0)).eval()
    guessed = network(data.images.float() / 255).argmax(1)
    assert surrogate_error(network, data.images, guessed, Context()) == 0
    assert surrogate_error(network, data.images, (guessed + 1) % CLASSES, Context()) == 1


# ---------------------------------------------------------------- class-wise noise as the release computes it


def saturated_set(count=320):
    """Every image black but for a third of its pixels, which are white: where noise is cut off at both ends."""
    data = toy_set(count)
    drawn = torch.rand(data.images.shape, generator=torch.Generator().manual_seed(51))
    return data.with_images(torch.where(drawn < 1 / 3, 255, 0).to(torch.uint8))


def as_released(network, images, labels, classes, epsilon, step, batches):
    """Class-wise noise, image by image and class by class, in the words of the release (``min_min_attack`` of one
    step).

    x' = clip(x + n[y]), x'' = x' - step · sign of the gradient, η = clip(x'' - x, ±ε); n[k] = clip(mean of η over class
    k, ±ε).
    """
    noise = torch.zeros(classes, *images.shape[1:])
    for rows in batches:
        found = {}
        for row in rows:
            image, label = images[row].double(), labels[row]
            seen = (image + noise[label].double()).clip(0, 1).float().unsqueeze(0).requires_grad_(True)
            torch.nn.CrossEntropyLoss()(network(seen), label.unsqueeze(0)).backward()
            stepped = seen.detach()[0].double() - step * seen.grad[0].sign().double()
            found.setdefault(int(label), []).append((stepped - image).clip(-epsilon, epsilon))
        for label, own in found.items():
            noise[label] = (sum(own) / len(own)).clip(-epsilon, epsilon).float()
    return noise


@pytest.mark.parametrize("make", [saturated_set, toy_set])
def test_class_wise_noise_is_the_releases(make):
    """Averaging before clipping gives the released noise on grey images only; on black and white ones it was four times
    as large (3.7 against 0.8 levels on average, correlation 0.86)."""
    data = make(320)
    attack = SMALL.with_values(granularity="class")
    crafting = _ClassWise(attack, data, Context(seed=1), Draft())
    crafting.train("some training, so that gradients have signs of their own")
    batches = [crafting.subset[i : i + BATCH].tolist() for i in range(0, len(crafting.subset), BATCH)]
    with frozen(crafting.network):
        for _ in range(12):
            crafting.improve("")
        expected = as_released(
            crafting.network, data.images.float() / 255, data.labels, CLASSES, 8 / 255, 0.2 * 8 / 255, 12 * batches
        )
    both = torch.stack([crafting.table.flatten(), expected.flatten()]).double()
    assert float(both.corrcoef()[0, 1]) > 0.999
    # Few values may differ, where a gradient is all but zero and its sign is that of rounding.
    assert float((both[0] - both[1]).abs().gt(1e-5).double().mean()) < 0.02


def test_noise_in_black_pixels_cannot_darken():
    """What no image shows is no noise: black pixels push their class up only, white ones down only, by one step at most
    the other way."""
    data = toy_set()
    half = data.images.clone()
    half[..., :8], half[..., 8:] = 0, 255
    made = ErrorMinimising(surrogate_width=8, batches=4, max_rounds=12, granularity="class")
    crafting = _ClassWise(made, data.with_images(half), Context(seed=1), Draft())
    crafting.craft()
    step = 0.2 * 8 / 255 + 1e-6
    assert float(crafting.table[..., :8].min()) >= -step
    assert float(crafting.table[..., 8:].max()) <= step
    assert float(crafting.table[..., :8].max()) > 2 * step


def test_sets_of_the_old_class_wise_rule_are_not_taken_for_new_ones(tmp_path, monkeypatch):
    """Their names differ; sample-wise sets keep theirs."""
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    data, quick = toy_set(40), SMALL.with_values(max_rounds=1, batches=1, steps=1)
    names = {}
    for revision in (0, None):
        for granularity in ("class", "sample"):
            with monkeypatch.context() as patch:
                if revision is not None:
                    patch.setattr(ErrorMinimising, "revision", lambda self: 0)
                before = set(CRAFTED.root().glob("*")) if CRAFTED.root().exists() else set()
                poison_once(quick.with_values(granularity=granularity), data, Context(seed=3))
                names[granularity, revision] = set(CRAFTED.root().glob("*")) - before
    assert len(names["class", 0]) == len(names["sample", 0]) == len(names["class", None]) == 1
    assert names["sample", None] == set(), "found again"
