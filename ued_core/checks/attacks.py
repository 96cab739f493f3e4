"""What every attack promises about the images it makes."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import torch

from ued_core.attacks.base import AdditiveAttack, Attack, touched_rows
from ued_core.attacks.whole_set import WholeSetAttack
from ued_core.checks.sample import (
    SHAPES,
    global_randomness_unused,
    image_set,
    other_value,
    quick,
    refused,
    with_threads,
)
from ued_core.context import Context
from ued_core.errors import Cancelled, ParameterError
from ued_core.records import ImageSet


def configured(entry: type[Attack]) -> Attack:
    """The attack at its quick values."""
    return entry(**entry.quick_values())


def largest(delta: torch.Tensor) -> torch.Tensor:
    """The largest absolute change per image; (N,)."""
    return delta.flatten(1).abs().amax(1)


def poisons(entry: type[Attack]) -> None:
    """Every image changes, the input does not; one key gives one result, another key another."""
    for shape in SHAPES:
        with global_randomness_unused():
            data = image_set(shape=shape)
            images, labels = data.images.clone(), data.labels.clone()
            attack = configured(entry)
            poisoned = attack.poison(data, Context(seed=3))
            assert poisoned.images.dtype == torch.uint8
            assert poisoned.images.shape == data.images.shape
            assert poisoned.touched.all()
            assert (largest(poisoned.delta) > 0).all(), "an image that was said to be poisoned is unchanged"
            assert torch.equal(data.images, images), "the clean images were changed"
            assert torch.equal(data.labels, labels), "the labels were changed"
            assert poisoned.as_training_set().labels is data.labels
            assert (poisoned.attack, poisoned.seed) == (attack.to_json(), 3)
            with quick():
                again = attack.poison(data, Context(seed=3))
            assert torch.equal(again.images, poisoned.images), "the same key gave other images"
            other = attack.poison(data, Context(seed=4))
            assert torch.equal(other.images, poisoned.images) == (not attack.keyed), "keyed says otherwise"


def does_not_depend_on_global_seeds(entry: type[Attack]) -> None:
    """Draws come from the context alone."""
    attack, data = configured(entry), image_set()
    # The caller's own random state comes back.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)
        first = attack.poison(data, Context(seed=3)).images
        torch.manual_seed(2)
        assert torch.equal(attack.poison(data, Context(seed=3)).images, first), "the global seed decides"


def does_not_depend_on_the_number_of_threads(entry: type[Attack]) -> None:
    """Purified sets are found by a hash of the poisoned images. Crafting trains networks, whose sums depend on it."""
    data, attack = image_set(count=300, shape=(3, 32, 32)), configured(entry)
    hashes = {attack.poison(data, Context(seed=3)).as_training_set().content_hash for _ in with_threads()}
    assert len(hashes) == 1, "the number of threads decides"


def poison_rate(entry: type[Attack]) -> None:
    """A share of the images is poisoned, drawn by the key; the others stay."""
    data, attack = image_set(count=600), configured(entry)
    some = attack.poison(data, Context(seed=5), poison_rate=0.4)
    share = float(some.touched.float().mean())
    # Four standard deviations of a binomial share.
    assert abs(share - 0.4) < 4 * (0.4 * 0.6 / 600) ** 0.5, f"{share} of the images are poisoned instead of 0.4"
    assert torch.equal(some.images[~some.touched], data.images[~some.touched]), "an image that stays clean was changed"
    assert (largest(some.delta[some.touched]) > 0).all()
    assert torch.equal(touched_rows(data, Context(seed=5), 0.4), some.touched)
    assert not torch.equal(touched_rows(data, Context(seed=6), 0.4), some.touched)
    assert torch.equal(attack.poison(data, Context(seed=5), poison_rate=0.0).images, data.images)
    for wrong in (-0.1, 1.1, float("nan")):
        with refused(ParameterError, "from 0 to 1"):
            attack.poison(data, Context(), poison_rate=wrong)


def class_subset(entry: type[Attack]) -> None:
    """A subset touches its classes alone, and the images that all classes at this rate would have touched."""
    data, attack = image_set(count=200), configured(entry)
    some = attack.poison(data, Context(seed=5), poison_classes=[2, 0, 2])
    assert torch.equal(some.touched, (data.labels == 0) | (data.labels == 2))
    assert torch.equal(some.images[~some.touched], data.images[~some.touched])
    assert (largest(some.delta[some.touched]) > 0).all()
    half = touched_rows(data, Context(seed=5), 0.5)
    both = attack.poison(data, Context(seed=5), poison_rate=0.5, poison_classes=[0, 2])
    assert torch.equal(both.touched, half & some.touched)
    with refused(ParameterError, "Class 4 is to be poisoned, but 'random' has 4 classes"):
        attack.poison(data, Context(), poison_classes=[4])


def perturbations_belong_to_images_or_to_groups(entry: type[Attack]) -> None:
    """Away from black and white nothing is clipped: as many perturbations as images, or at most one per class or per
    cluster."""
    attack, data = configured(entry), image_set(count=48)
    data = data.with_images(64 + data.images // 2)
    delta = attack.poison(data, Context(seed=3)).delta
    found = len({one.numpy().tobytes() for one in delta})
    assert found > 0.99 * len(data) or found <= max(data.classes, getattr(attack, "clusters", 0)), (
        f"48 images of 4 classes have {found} different perturbations"
    )


def labels_matter(entry: type[Attack]) -> None:
    """Images alone decide only where the class says so: ``uses_labels``."""
    attack, data = configured(entry), image_set()
    # Shuffled, not renamed: other images go together.
    shuffled = data.labels[torch.randperm(len(data), generator=torch.Generator().manual_seed(1))]
    other = ImageSet(data.images, shuffled, data.class_names, data.name)
    same = torch.equal(attack.poison(data, Context(seed=3)).images, attack.poison(other, Context(seed=3)).images)
    assert same == (not entry.uses_labels), f"uses_labels is {entry.uses_labels}"


def every_parameter_matters(entry: type[Attack]) -> None:
    """Another value of any parameter gives other images."""
    data, attack = image_set(), configured(entry)
    plain = attack.poison(data, Context(seed=3)).images
    for p in attack.parameters():
        changed = attack.with_values(**{p.name: other_value(p, getattr(attack, p.name))})
        assert not torch.equal(changed.poison(data, Context(seed=3)).images, plain), f"{p.name} changes nothing"


def can_be_cancelled_and_reports(entry: type[Attack]) -> None:
    """``ctx.check()`` is asked, and ``ctx.report`` is told progress that rises to the end."""
    count = 1_000 if entry.needs_whole_set else 10_000
    attack, data = configured(entry), image_set(count=count, shape=(3, 6, 6))
    with refused(Cancelled):
        attack.poison(data, Context(stop=lambda: True))
    seen: list[float] = []
    attack.poison(data, Context(on_report=lambda done, total, text: seen.append(done / total)))
    assert len(seen) > 1, "progress was reported less than twice"
    assert seen == sorted(seen), "progress went back"
    assert seen[-1] == 1, "the last progress is not the whole"


def asks_at_least_every_two_seconds_whether_to_stop(entry: type[Attack]) -> None:
    """Seconds of this process's own time, so that a busy machine changes nothing; at the default values."""
    attack, data = entry(), image_set(count=600, shape=(3, 32, 32))
    began, gaps = time.process_time(), [0.0]
    last = began

    def stop() -> bool:
        nonlocal last
        now = time.process_time()
        gaps.append(now - last)
        last = now
        return now - began > 1.5

    try:
        attack.poison(data, Context(stop=stop))
    except Cancelled:
        gaps.append(time.process_time() - last)
    assert len(gaps) > 1, "the context was never asked whether to stop"
    assert max(gaps) <= 2, f"{max(gaps):.1f} s passed between two questions whether to stop"


def one_image_and_one_class(entry: type[Attack]) -> None:
    """The smallest set there is."""
    assert configured(entry).poison(image_set(count=1, classes=1), Context()).images.shape == (1, 3, 12, 12)


def as_class_agrees_with_poison(entry: type[Attack]) -> None:
    """Where ``as_class`` answers, an image as its own class is the poisoned image."""
    data, attack = image_set(), configured(entry)
    own = attack.as_class(data.images, data.labels, data.classes, 3, data)
    if own is not None:
        assert torch.equal(own, attack.poison(data, Context(seed=3)).images)
        other = attack.as_class(data.images, (data.labels + 1) % data.classes, data.classes, 3, data)
        assert other is not None
        assert not torch.equal(other, own)


# ---------------------------------------------------------------- additive attacks


def to_levels(images: torch.Tensor, delta: torch.Tensor, rounding: str) -> torch.Tensor:
    """Add, clip, round, written once more with numpy; int16."""
    total = np.clip(images.numpy().astype(np.float32) + delta.numpy(), 0, 255)
    return torch.from_numpy((np.rint(total) if rounding == "nearest" else np.floor(total)).astype(np.int16))


def norm_bound_holds_before_and_after_storage(entry: type[AdditiveAttack]) -> None:
    """Black and white images show both signs before clipping; bytes may leave an L2 ball by what rounding adds."""
    base = configured(entry)
    assert isinstance(base, AdditiveAttack)
    for shape in ((3, 12, 12), (1, 9, 17)):
        for rounding in ("nearest", "truncate") if "rounding" in entry.model_fields else ("nearest",):
            attack = base.with_values(rounding=rounding) if rounding == "truncate" else base
            data = image_set(count=60, shape=shape)
            data.images[:20], data.images[20:40] = 0, 255
            bound, size = attack.bound(data.shape), float(np.prod(shape)) ** 0.5
            delta = attack.delta(data, torch.arange(60), Context(seed=3))
            assert (delta.dtype, delta.shape, delta.device.type) == (torch.float32, data.images.shape, "cpu")
            assert delta.isfinite().all()
            assert delta.min() < 0 < delta.max()
            stored = attack.poison(data, Context(seed=3)).delta
            assert torch.equal(stored, to_levels(data.images, delta, rounding) - data.images.short())
            if bound.norm == "linf":
                assert bound.size == round(bound.size), "a fraction of a level would let rounding leave the ball"
                assert 0.5 * bound.size < float(delta.abs().max()) <= bound.size
                assert int(stored.abs().max()) <= bound.size
            else:
                before, after = delta.flatten(1).norm(dim=1), stored.float().flatten(1).norm(dim=1)
                assert float(before.max()) <= bound.size * (1 + 1e-5)
                assert float(after.max()) <= bound.size + size * (0.5 if rounding == "nearest" else 1)


def perturbation_of_an_image_does_not_depend_on_the_others(entry: type[AdditiveAttack]) -> None:
    """Some rows alone, or among fewer poisoned ones, are what they are in the whole set."""
    data, attack = image_set(count=600, shape=(3, 6, 6)), configured(entry)
    assert isinstance(attack, AdditiveAttack)
    whole = attack.delta(data, torch.arange(600), Context(seed=3))
    rows = torch.tensor([599, 3, 255, 256, 257])
    assert torch.allclose(attack.delta(data, rows, Context(seed=3)), whole[rows], rtol=0, atol=1e-4)
    part, full = attack.poison(data, Context(seed=3), poison_rate=0.4), attack.poison(data, Context(seed=3))
    difference = (part.delta - full.delta)[part.touched].abs()
    # A matrix product may sum in another order for another number of rows, so a value beside a half may fall to the
    # other side.
    assert int(difference.max()) <= 1
    assert float((difference > 0).float().mean()) < 1e-3


# ---------------------------------------------------------------- attacks that craft whole sets


def norm_bound_of_crafted_sets_holds_after_storage(entry: type[WholeSetAttack]) -> None:
    """Black and white images too, where clipping meets the bound."""
    attack, data = configured(entry), image_set(count=48)
    assert isinstance(attack, WholeSetAttack), "needs_whole_set, but it is no WholeSetAttack"
    data.images[:8], data.images[8:16] = 0, 255
    bound, delta = attack.bound(data.shape), attack.poison(data, Context(seed=3)).delta
    if bound.norm == "linf":
        assert int(delta.abs().max()) <= bound.size
    else:
        assert float(delta.float().flatten(1).norm(dim=1).max()) <= bound.size + 0.5 * float(np.prod(data.shape)) ** 0.5


EVERY: tuple[Callable[[type[Attack]], None], ...] = (
    poisons,
    does_not_depend_on_global_seeds,
    poison_rate,
    class_subset,
    perturbations_belong_to_images_or_to_groups,
    labels_matter,
    every_parameter_matters,
    can_be_cancelled_and_reports,
    asks_at_least_every_two_seconds_whether_to_stop,
    one_image_and_one_class,
    as_class_agrees_with_poison,
)
BY_ROWS = (does_not_depend_on_the_number_of_threads,)
ADDITIVE = (norm_bound_holds_before_and_after_storage, perturbation_of_an_image_does_not_depend_on_the_others)
CRAFTED = (norm_bound_of_crafted_sets_holds_after_storage,)


def checks_for(entry: type[Attack]) -> list[Callable[..., None]]:
    """The checks that concern an attack of this kind."""
    return [
        *EVERY,
        *(CRAFTED if entry.needs_whole_set else BY_ROWS),
        *(ADDITIVE if issubclass(entry, AdditiveAttack) else ()),
    ]
