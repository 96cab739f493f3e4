"""Each check fails for a class that breaks its promise, and says which one."""

from __future__ import annotations

import random
from typing import ClassVar

import pytest
import torch

from ued_core.attacks import ATTACKS, Attack
from ued_core.attacks.base import AdditiveAttack, Bound
from ued_core.checks import CheckFailed, attack_checks, check_attack, check_defense, defense_checks
from ued_core.context import Context
from ued_core.defenses import DEFENSES, Defense
from ued_core.errors import ParameterError
from ued_core.params import param
from ued_core.records import ImageSet


class Shift(AdditiveAttack):
    """Every class is made brighter or darker.

    Source:
        Made up for this test.
    """

    key: ClassVar[str] = "shift"
    title: ClassVar[str] = "Shift"
    epsilon: int = param(8, "Largest change of a pixel value.", label="ε", unit="1/255", ge=1, le=64)

    def bound(self, shape: tuple[int, int, int]) -> Bound:
        return Bound("linf", self.epsilon)

    def delta(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        draws = torch.rand((data.classes, *data.shape), generator=ctx.generator("shift", device="cpu"))
        return (torch.where(draws < 0.5, -1.0, 1.0) * self.epsilon)[data.labels[rows]]


class Untold(Shift):
    """Brighter or darker, from nowhere."""


class Misnamed(Shift):
    __doc__ = Shift.__doc__
    key: ClassVar[str] = "Shift"


class IgnoresItsParameter(Shift):
    __doc__ = Shift.__doc__

    def delta(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        return super().delta(data, rows, ctx).sign() * 8


class LeavesItsBall(Shift):
    __doc__ = Shift.__doc__

    def delta(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        return super().delta(data, rows, ctx) * 1.5


class DrawsFromEverywhere(Shift):
    __doc__ = Shift.__doc__

    def delta(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        random.random()
        return super().delta(data, rows, ctx)


class IgnoresTheKey(Shift):
    __doc__ = Shift.__doc__

    def delta(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        return super().delta(data, rows, Context(seed=0))


class ChangesItsInput(Shift):
    __doc__ = Shift.__doc__

    def delta(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        data.images[0] = 0
        return super().delta(data, rows, ctx)


class LooksAtOthers(Shift):
    __doc__ = Shift.__doc__

    def delta(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        made = super().delta(data, rows, ctx)
        made[0, :, 0, 0] *= 0.5
        return made


class IgnoresLabels(Shift):
    __doc__ = Shift.__doc__

    def delta(self, data: ImageSet, rows: torch.Tensor, ctx: Context) -> torch.Tensor:
        draws = torch.rand(data.shape, generator=ctx.generator("shift", device="cpu"))
        return (torch.where(draws < 0.5, -1.0, 1.0) * self.epsilon).expand(len(rows), *data.shape).clone()


@pytest.mark.parametrize(
    ("entry", "check"),
    [
        (Untold, "description_is_complete"),
        (Misnamed, "description_is_complete"),
        (IgnoresItsParameter, "every_parameter_matters"),
        (LeavesItsBall, "norm_bound_holds_before_and_after_storage"),
        (DrawsFromEverywhere, "poisons"),
        (IgnoresTheKey, "poisons"),
        (ChangesItsInput, "poisons"),
        (LooksAtOthers, "perturbation_of_an_image_does_not_depend_on_the_others"),
        (IgnoresLabels, "labels_matter"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_an_attack_that_breaks_a_promise(entry: type[Attack], check: str) -> None:
    with pytest.raises(CheckFailed, match=f"^{entry.__name__}, {check.replace('_', ' ')}: "):
        next(one for one in attack_checks(entry) if one.name == check)()
    with pytest.raises(CheckFailed, match=f"^{entry.__name__}, "):
        check_attack(entry)


def test_an_attack_that_keeps_its_promises() -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    check_attack(Shift)
    assert torch.equal(torch.get_rng_state(), before), "whoever asks keeps the own random state"
    assert torch.get_num_threads() == threads
    assert "shift" not in ATTACKS


class Fade(Defense):
    """Every batch is mixed with grey by a random share.

    Source:
        Made up for this test.
    """

    key: ClassVar[str] = "fade"
    title: ClassVar[str] = "Fade"
    acts: ClassVar[frozenset[str]] = frozenset({"augment"})
    most: float = param(0.5, "Largest share of grey.", label="largest share", ge=0.1, le=1.0)

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        share = self.most * torch.rand((len(images), 1, 1, 1), generator=rng)
        return images * (1 - share) + 0.5 * share


class InPlace(Fade):
    __doc__ = Fade.__doc__

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return images.mul_(1 - self.most * torch.rand((len(images), 1, 1, 1), generator=rng))


class TooBright(Fade):
    __doc__ = Fade.__doc__

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return super().augment(images, rng) + 0.5


class SaysOtherHooks(Fade):
    __doc__ = Fade.__doc__
    acts: ClassVar[frozenset[str]] = frozenset({"augment", "purify"})


class SameEveryEpoch(Fade):
    __doc__ = Fade.__doc__

    def augment(self, images: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
        return images * (1 - self.most / 2)


class ChangesLabels(Fade):
    __doc__ = Fade.__doc__
    acts: ClassVar[frozenset[str]] = frozenset({"purify"})
    augment = Defense.augment

    def purify(self, data: ImageSet, ctx: Context) -> ImageSet:
        return ImageSet(data.images, data.labels.flip(0), data.class_names, data.name)


@pytest.mark.parametrize(
    ("entry", "check"),
    [
        (InPlace, "augment_gives_images"),
        (TooBright, "augment_gives_images"),
        (SaysOtherHooks, "declared_hooks_are_the_overridden_ones"),
        (SameEveryEpoch, "draws_are_fresh_in_every_epoch"),
        (ChangesLabels, "purify_keeps_labels_and_its_input"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_defence_that_breaks_a_promise(entry: type[Defense], check: str) -> None:
    with pytest.raises(CheckFailed, match=f"^{entry.__name__}, {check.replace('_', ' ')}: "):
        next(one for one in defense_checks(entry) if one.name == check)()


def test_a_defence_that_keeps_its_promises() -> None:
    check_defense(Fade)
    assert "fade" not in DEFENSES


def test_what_is_no_class_of_the_kind_is_refused() -> None:
    with pytest.raises(ParameterError, match="a class derived from Attack"):
        check_attack(Fade)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="Give the class itself"):
        check_defense(Fade())  # type: ignore[arg-type]
