"""What every defence promises about purifying, about batches, and about training."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import torch

from ued_core.checks.sample import (
    SHAPES,
    batch,
    empty_home,
    global_randomness_unused,
    image_set,
    other_value,
    quick,
    refused,
    rng,
)
from ued_core.context import Context
from ued_core.defenses import Defense, DefenseStack
from ued_core.errors import Cancelled
from ued_core.models import MODELS
from ued_core.records import ImageSet, to_bytes, to_float
from ued_core.training import PLANS, Job, Setup, soft_labels, train


def configured(entry: type[Defense]) -> Defense:
    """The defence at its quick values."""
    return entry(**entry.quick_values())


def blended(defense: Defense, images: torch.Tensor, draws: torch.Generator) -> torch.Tensor:
    """What the batch hook makes of images of four classes; float32 (N, C, H, W)."""
    return DefenseStack([defense]).blend(images, torch.arange(len(images)) % 4, 4, draws)[0]


def augment_gives_images(entry: type[Defense]) -> None:
    """Images of the same shape in [0, 1], the input unchanged, draws from the generator that is given."""
    for shape in SHAPES:
        with global_randomness_unused():
            defense, images = configured(entry), batch(shape=shape)
            before = images.clone()
            first = blended(defense, images, rng(1))
            assert (first.shape, first.dtype, first.device) == (images.shape, torch.float32, images.device)
            assert 0 <= float(first.min()) <= float(first.max()) <= 1, "values leave 0..1"
            assert torch.equal(images, before), "the batch that was given was changed"
            with quick():
                again = blended(defense, images, rng(1))
            assert torch.equal(again, first), "the same generator must give the same batch"
            assert blended(defense, images[:1], rng(1)).shape == images[:1].shape
            if "augment" in defense.acts:
                assert not torch.equal(first, images), "acts names augment, but the batch stays as it is"
                assert not torch.equal(blended(defense, images, rng(2)), first), "the draws change nothing"
            else:
                assert torch.equal(first, images), "acts does not name augment, but the batch is changed"


def declared_hooks_are_the_overridden_ones(entry: type[Defense]) -> None:
    """``acts`` names the hooks that the class implements, and at least one."""
    methods = {"purify": "purify", "augment": "augment", "blend": "augment", "training": "training"}
    own = {hook for name, hook in methods.items() if getattr(entry, name) is not getattr(Defense, name)}
    assert own == entry.acts, f"acts says {sorted(entry.acts)}, the class overrides {sorted(own)}"
    assert own, "the class overrides no hook"


def purify_keeps_labels_and_its_input(entry: type[Defense]) -> None:
    """Labels, shape and names stay; the same seed gives the same images, also when everything is learned again."""
    with global_randomness_unused():
        defense, data = configured(entry), image_set()
        before = data.images.clone()
        pure = defense.purify(data, Context(seed=1))
        assert torch.equal(pure.labels, data.labels), "the labels were changed"
        assert (pure.shape, len(pure), pure.class_names) == (data.shape, len(data), data.class_names)
        assert torch.equal(data.images, before), "the set that was given was changed"
        assert torch.equal(defense.purify(data, Context(seed=1)).images, pure.images), "the same seed gave other images"
        # In an empty home, so that what was learned is learned again and counts.
        with empty_home():
            assert (defense.seconds_before(data) > 0) == defense.needs_whole_set
            with quick():
                again = defense.purify(data, Context(seed=1)).images
        assert torch.equal(again, pure.images), "learned again, it gave other images"


def trained(defense: Defense, data: ImageSet, ctx: Context) -> tuple[torch.Tensor, str, list[dict[str, float]]]:
    """All weights of a small network after two epochs under this defence alone, what its hook reports, and the history
    without times."""
    plan = PLANS.build("adamw", epochs=2, batch_size=12, crop=0, flip="off", precision="float32")
    network = MODELS.build("small_cnn", width=4).build(data.shape, data.classes, rng())
    hook = defense.training(Setup(data, network, plan, ctx))
    assert hook is not None, "acts names training, but training() returns no hook"
    job = Job(
        data,
        data,
        network,
        plan,
        blend=lambda images, targets, draws: defense.blend(images, targets, data.classes, draws),
        hooks=(hook,),
    )
    rows = [{k: v for k, v in row.items() if k not in ("seconds", "images_per_s")} for row in train(job, ctx).rows]
    return torch.cat([p.detach().flatten() for p in network.parameters()]), json.dumps(hook.report()), rows


def training_hook_repeats_itself(entry: type[Defense]) -> None:
    """The same seed ends in the same weights by the same history, in at most 3 s; another seed in others."""
    with global_randomness_unused():
        defense, data = configured(entry), image_set()
        weights, told, history = trained(defense, data, Context(seed=3))
        with quick():
            again = trained(defense, data, Context(seed=3))
        assert torch.equal(again[0], weights), "the same seed gave other weights"
        assert again[1:] == (told, history), "the same seed gave another report or history"
        other = trained(defense, data, Context(seed=4))
        assert not torch.equal(other[0], weights), "another seed gave the same weights"
        assert other[2] != history


def every_parameter_matters(entry: type[Defense]) -> None:
    """Another value of any parameter gives other images, targets, weights or another report."""
    defense, data = configured(entry), image_set()

    def outcome(one: Defense) -> tuple[torch.Tensor, str]:
        if "training" in one.acts:
            return trained(one, data, Context())[:2]
        pure, alone = one.purify(data, Context()), DefenseStack([one])
        images, targets = alone.blend(to_float(pure.images), data.labels, data.classes, rng(1), alone.marks(pure))
        return torch.cat([images.flatten(), soft_labels(targets, data.classes).flatten()]), ""

    plain, told = outcome(defense)
    for p in defense.parameters():
        result, said = outcome(defense.with_values(**{p.name: other_value(p)}))
        assert said != told or not torch.equal(result, plain), f"{p.name} changes nothing"


def seen_and_previewed(stack: DefenseStack, data: ImageSet, ctx: Context) -> tuple[torch.Tensor, torch.Tensor]:
    """The first batch that reaches the network in epoch 1, and the preview of its images under the same stream of
    draws; both uint8."""
    plan = PLANS.build("adamw", epochs=1, batch_size=16, crop=0, flip="off", precision="float32")
    network = MODELS.build("small_cnn", width=4).build(data.shape, data.classes, rng())
    seen: list[torch.Tensor] = []
    assert isinstance(network.body, torch.nn.Module)
    network.body.register_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].clone()) if network.training else None
    )
    pure = stack.purify(data, ctx)

    def blend(
        images: torch.Tensor, targets: torch.Tensor, draws: torch.Generator, marks: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        return stack.blend(images, targets, data.classes, draws, marks)

    job = Job(pure, data, network, plan, blend=blend)
    train(replace(job, marks=stack.marks(pure)), ctx)
    order = torch.randperm(len(data), generator=ctx.generator("order", 0))
    assert len(seen) == 3
    expected = stack.preview(data.take(order[:16]), ctx, stream=("train", 0), whole=data)
    return to_bytes(seen[0] * 0.25 + 0.5), expected.images


def preview_shows_what_training_sees(entry: type[Defense]) -> None:
    """The pictures on a page are the bytes that reach the network."""
    seen, expected = seen_and_previewed(DefenseStack([configured(entry)]), image_set(count=40), Context(seed=8))
    assert torch.equal(seen, expected), "the preview shows other images than training sees"


def images_are_chosen_one_by_one(entry: type[Defense]) -> None:
    """A defence that treats chosen images judges each by itself, and leaves labels alone."""
    defense, data = configured(entry), image_set(count=30)
    marks = defense.chosen(data)
    if marks is None:
        return
    assert (marks.dtype, marks.shape, marks.device.type) == (torch.bool, (30,), "cpu")
    rows = torch.tensor([29, 3, 4])
    some = defense.chosen(data.take(rows))
    assert some is not None
    assert torch.equal(some, marks[rows]), "an image is judged by the others beside it"
    kept = defense.blend(to_float(data.images), data.labels, data.classes, rng())[1]
    assert kept is data.labels, "a defence that chooses must leave labels alone"


def draws_are_fresh_in_every_epoch(entry: type[Defense]) -> None:
    """An image is changed in another way in each epoch."""
    defense, data, ctx = configured(entry), image_set(count=16), Context(seed=8)
    plan = PLANS.build("adamw", epochs=3, batch_size=16, crop=0, flip="off", precision="float32")
    network = MODELS.build("small_cnn", width=4).build(data.shape, data.classes, rng())
    given: list[torch.Tensor] = []
    made: list[torch.Tensor] = []
    seeds: list[int] = []

    def blend(images: torch.Tensor, targets: torch.Tensor, draws: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        seeds.append(draws.initial_seed())
        given.append(images.clone())
        changed, targets = defense.blend(images, targets, data.classes, draws)
        made.append(changed)
        return changed, targets

    train(Job(data, data, network, plan, blend=blend), ctx)
    # Bring the three epochs into one order of images, then compare the draws.
    orders = [torch.argsort(torch.randperm(16, generator=ctx.generator("order", epoch))) for epoch in range(3)]
    assert torch.equal(given[0][orders[0]], given[1][orders[1]])
    # The order of the images changes too, so equal streams would still show other pictures.
    assert len(set(seeds)) == 3
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert not torch.equal(made[a][orders[a]], made[b][orders[b]]), "two epochs saw the same images"


def preview_is_cancelled_and_reports(entry: type[Defense]) -> None:
    """A preview can be stopped, and reports its way to the end."""
    defense, data = configured(entry), image_set(count=50)
    with refused(Cancelled):
        DefenseStack([defense]).preview(data, Context(stop=lambda: True))
    seen: list[float] = []
    DefenseStack([defense]).preview(
        data, Context(on_report=lambda done, total, text: seen.append(done / total)), chunk=20
    )
    assert seen[-1] == 1, "the last progress is not the whole"
    assert len(seen) >= 3


EVERY: tuple[Callable[[type[Defense]], None], ...] = (
    augment_gives_images,
    declared_hooks_are_the_overridden_ones,
    purify_keeps_labels_and_its_input,
    every_parameter_matters,
    preview_shows_what_training_sees,
    images_are_chosen_one_by_one,
    preview_is_cancelled_and_reports,
)


def checks_for(entry: type[Defense]) -> list[Callable[..., None]]:
    """The checks that concern a defence with these hooks."""
    return [
        *EVERY,
        *((training_hook_repeats_itself,) if "training" in entry.acts else ()),
        *((draws_are_fresh_in_every_epoch,) if "augment" in entry.acts else ()),
    ]
