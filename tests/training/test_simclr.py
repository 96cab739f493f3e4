"""SimCLR: its loss by hand, its views, its linear layer, and a training that can be stopped and resumed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.attacks.toy_set import toy_set
from ued_core.context import Context
from ued_core.errors import Cancelled, RunError
from ued_core.models import MODELS, Network
from ued_core.records import History, ImageSet
from ued_core.training import Job, SimClr, TrainingHook, accuracy, train
from ued_core.training.colour import hue_rotation, jitter_by_rotation, random_grey
from ued_core.training.simclr import info_nce, linear_fit
from ued_core.training.views import resized_crop, view

TIMES = ("seconds", "images_per_s")


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


# ---------------------------------------------------------------- the loss


def test_loss_of_two_pairs_by_hand() -> None:
    """Two images, views along the axes: each view has cosine 1 with its partner and 0 with two others."""
    views = torch.tensor([[1.0, 0.0], [0.0, 3.0], [2.0, 0.0], [0.0, 1.0]])
    assert float(info_nce(views, 1.0)) == pytest.approx(-math.log(math.e / (math.e + 2)))
    assert float(info_nce(views, 0.5)) == pytest.approx(-math.log(math.e**2 / (math.e**2 + 2)))
    # Partners the other way round: cosine 0 with the partner, 1 with one other view, 0 with the third.
    swapped = views[[0, 1, 3, 2]]
    assert float(info_nce(swapped, 1.0)) == pytest.approx(-math.log(1 / (1 + math.e + 1)))


def test_loss_of_two_pairs_with_angles() -> None:
    """Unit vectors at 0°, 90° (first views) and 60°, 120° (second ones); cosines from the differences of angles."""
    angles = [math.radians(a) for a in (0, 90, 60, 120)]
    views = torch.tensor([[math.cos(a), math.sin(a)] for a in angles])
    losses = []
    for i, partner in enumerate((2, 3, 0, 1)):
        weights = {j: math.exp(math.cos(angles[i] - angles[j]) / 0.5) for j in range(4) if j != i}
        losses.append(-math.log(weights[partner] / sum(weights.values())))
    assert float(info_nce(views, 0.5)) == pytest.approx(sum(losses) / 4, rel=1e-5)


def test_loss_of_chance() -> None:
    """Views that are all alike: a guess among 2N − 1."""
    assert float(info_nce(torch.ones(16, 3), 0.07)) == pytest.approx(math.log(15), rel=1e-5)


# ---------------------------------------------------------------- the views


def test_crops_show_a_part_of_the_right_size() -> None:
    """On a ramp from left to right, the range of values in a crop is its width; the same from top to bottom."""
    side = 64
    ramp = (torch.arange(side) + 0.5) / side
    images = torch.stack([ramp.expand(side, side), ramp.view(-1, 1).expand(side, side)]).expand(400, 2, side, side)
    made = resized_crop(images, rng(1), 0.25)
    wide = made[:, 0, 0, -1] - made[:, 0, 0, 0]
    high = made[:, 1, -1, 0] - made[:, 1, 0, 0]
    # From the first to the last pixel's middle is one pixel less than the whole side.
    area = wide * high / (1 - 1 / side) ** 2
    assert 0.2 < float(area.min()) < 0.3
    assert 0.85 < float(area.max()) <= 1.0
    assert 0.70 < float((wide / high).min()) < 0.85
    assert 1.18 < float((wide / high).max()) < 1.42
    assert float(made.min()) >= 0
    assert float(made.max()) <= 1
    # Not always the middle.
    assert float((made[:, 0, 0, 0]).std()) > 0.05


def test_the_whole_area_is_the_image() -> None:
    images = torch.rand(5, 3, 9, 12, generator=rng())
    assert torch.allclose(resized_crop(images, rng(1), 1.0), images, atol=1e-5)


def test_hue_turns_by_hand() -> None:
    """A third of a turn moves red to green, a whole turn is nothing, greys stay."""
    turned = hue_rotation(torch.tensor([1 / 3, 1.0, 0.13]))
    red = torch.tensor([1.0, 0.0, 0.0])
    assert torch.allclose(turned[0] @ red, torch.tensor([0.0, 1.0, 0.0]), atol=1e-6)
    assert torch.allclose(turned[1], torch.eye(3), atol=1e-6)
    assert torch.allclose(turned[2] @ torch.ones(3), torch.ones(3), atol=1e-6)
    assert torch.allclose(turned[2] @ turned[2].T, torch.eye(3), atol=1e-6)


def test_shares_of_changed_images() -> None:
    images = 0.2 + 0.6 * torch.rand(2000, 3, 2, 2, generator=rng())
    # Four standard deviations of a binomial share of 2,000.
    same = (jitter_by_rotation(images, rng(1), 0.5) == images).flatten(1).all(1).float().mean()
    assert abs(float(same) - 0.2) < 4 * (0.16 / 2000) ** 0.5
    made = random_grey(images, rng(1))
    grey = (made[:, 0] == made[:, 1]).flatten(1).all(1)
    assert abs(float(grey.float().mean()) - 0.2) < 4 * (0.16 / 2000) ** 0.5
    assert torch.allclose(
        made[grey][:, 0],
        0.299 * images[grey][:, 0] + 0.587 * images[grey][:, 1] + 0.114 * images[grey][:, 2],
        atol=1e-6,
    )
    assert torch.equal(made[~grey], images[~grey])


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_views_are_drawn_from_their_generator_alone(channels: int) -> None:
    images = torch.rand(6, channels, 8, 10, generator=rng())
    before, kept = torch.get_rng_state(), images.clone()
    first = view(images, rng(3), smallest=0.2, colour=0.5, flip=True)
    assert torch.equal(view(images, rng(3), smallest=0.2, colour=0.5, flip=True), first)
    assert not torch.equal(view(images, rng(4), smallest=0.2, colour=0.5, flip=True), first)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(images, kept)
    assert first.shape == images.shape
    assert 0 <= float(first.min()) <= float(first.max()) <= 1
    plain = view(images, rng(3), smallest=1.0, colour=0.0, flip=False)
    assert torch.allclose(plain, images, atol=1e-5)


# ---------------------------------------------------------------- the linear layer


def test_linear_layer_finds_what_separates() -> None:
    labels = torch.arange(300) % 3
    found = torch.randn(300, 5, generator=rng()) * torch.tensor([1, 100.0, 0.01, 1, 0]) + 7
    found[:, 2] += 0.05 * labels
    weight, bias = linear_fit(found, labels, 3)
    assert (weight.shape, bias.shape) == ((3, 5), (3,))
    assert float(((found @ weight.T + bias).argmax(1) == labels).float().mean()) > 0.95
    shuffled = labels[torch.randperm(300, generator=rng(1))]
    weight, bias = linear_fit(found, shuffled, 3)
    assert float(((found @ weight.T + bias).argmax(1) == shuffled).float().mean()) < 0.6


# ---------------------------------------------------------------- training


def job_of(data: ImageSet | None = None, **more: Any) -> Job:
    data = data or toy_set(96)
    plan = {"epochs": 3, "batch_size": 32, "precision": "float32", **more.pop("plan", {})}
    network = MODELS.build("small_cnn", width=4).build(data.shape, data.classes, rng(2))
    return Job(data, toy_set(48, seed=1), network, SimClr(**plan), **more)


def timeless(history: History) -> list[dict[str, float]]:
    return [{k: v for k, v in row.items() if k not in TIMES} for row in history.rows]


def test_rows_have_the_keys_of_every_training() -> None:
    told: list[str] = []
    rows: list[dict[str, float]] = []
    before = torch.get_rng_state()
    job = job_of(on_epoch=rows.append)
    history = train(job, Context(on_report=lambda done, total, text: told.append(text)))
    assert history.rows == rows
    assert torch.equal(torch.get_rng_state(), before)
    for number, row in enumerate(rows, 1):
        assert row["epoch"] == number
        assert set(row) == {
            "epoch",
            "loss",
            "train_accuracy",
            "test_accuracy",
            "seconds",
            "images_per_s",
            "learning_rate",
        }
    assert told[-1] == "epoch 3 of 3"
    # The accuracies are those of the network that is left, head included.
    assert rows[-1]["test_accuracy"] == accuracy(job.network, job.test, Context())
    assert rows[-1]["train_accuracy"] == pytest.approx(accuracy(job.network, job.train, Context()), abs=0.02)


def test_labels_reach_the_head_alone() -> None:
    data = toy_set(96)
    mixed = ImageSet(data.images, data.labels[torch.randperm(96, generator=rng(3))], data.class_names, data.name)
    jobs = [job_of(data), job_of(mixed)]
    rows = [train(job, Context()).rows[-1] for job in jobs]
    assert rows[0]["loss"] == rows[1]["loss"]
    bodies = [torch.cat([p.detach().flatten() for p in job.network.body.parameters()]) for job in jobs]
    assert torch.equal(*bodies)
    assert not torch.equal(jobs[0].network.head.weight, jobs[1].network.head.weight)


def test_features_learn() -> None:
    job = job_of(plan={"epochs": 8, "learning_rate": 0.01})
    rows = train(job, Context()).rows
    assert rows[-1]["loss"] < rows[0]["loss"] - 0.3
    assert rows[-1]["test_accuracy"] > 0.7


def test_resumed_training_equals_an_uninterrupted_one(tmp_path: Path) -> None:
    whole = train(job_of(), Context(seed=4))
    reached: list[dict[str, float]] = []
    with pytest.raises(Cancelled):
        train(
            job_of(checkpoint=tmp_path / "c", on_epoch=reached.append), Context(seed=4, stop=lambda: len(reached) >= 2)
        )
    kept: list[int] = []
    job = job_of(checkpoint=tmp_path / "c", on_weights=lambda epoch, network: kept.append(epoch))
    assert timeless(train(job, Context(seed=4))) == timeless(whole)
    assert kept in ([2, 3], [1, 2, 3], [0, 1, 2, 3])
    assert timeless(train(job_of(), Context(seed=5))) != timeless(whole)


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": 0.5},
        {"smallest_crop": 0.9},
        {"colour": 0.0},
        {"crop": 3},
        {"flip": "off"},
        {"weight_decay": 0.5},
    ],
)
def test_parameters_of_the_recipe_matter(change: dict[str, Any]) -> None:
    assert timeless(train(job_of(plan={"epochs": 1, **change}), Context())) != timeless(
        train(job_of(plan={"epochs": 1}), Context())
    )


def test_both_parts_of_a_mixed_set_are_counted() -> None:
    touched = torch.arange(96) < 30
    row = train(job_of(touched=touched), Context()).rows[-1]
    assert (30 * row["touched_accuracy"] + 66 * row["untouched_accuracy"]) / 96 == pytest.approx(row["train_accuracy"])


def test_defences_see_the_batch_before_the_views() -> None:
    seen: list[torch.Tensor] = []

    def blend(images: torch.Tensor, targets: torch.Tensor, draws: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(images)
        return images * 0.5, targets

    job = job_of(blend=blend, plan={"epochs": 1})
    given: list[torch.Tensor] = []

    def keep(network: Network, inputs: tuple[torch.Tensor, ...]) -> None:
        if network.training:
            given.append(inputs[0])

    job.network.body.register_forward_pre_hook(keep)
    train(job, Context())
    assert len(seen) == 2 * 3
    assert all(len(images) == 64 for images in given)
    # Normalised: (x - 0.5) / 0.25 of halved brightness, at most raised by 0.4 and a contrast of 1.4.
    assert float(torch.cat(given).mean()) < float((torch.cat(seen).mean() - 0.5) / 0.25) - 0.5


def test_training_hooks_are_refused() -> None:
    with pytest.raises(RunError, match="no labels in its loss"):
        train(job_of(hooks=[TrainingHook()]), Context())


def test_each_image_takes_its_marks_along() -> None:
    """Image i is marked when it holds 200: so is every row that a defence is shown."""
    data = toy_set(96)
    marked = torch.arange(96) % 3 == 0
    images = torch.where(marked.view(-1, 1, 1, 1), 200, 50).to(torch.uint8).expand(data.images.shape).contiguous()
    shown: list[bool] = []

    def looking(
        images: torch.Tensor, targets: torch.Tensor, draws: Any, marks: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        shown.append(torch.equal(marks[:, 0], images.flatten(1).amax(1) > 0.5))
        return images, targets

    train(job_of(data.with_images(images), blend=looking, marks=marked[:, None], plan={"epochs": 1}), Context())
    assert shown == [True] * 6
