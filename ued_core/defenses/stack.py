"""Several defences one after another: what a run trains under, what a page shows, what a spec stores."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, overload

import torch

from ued_core.catalogue import Catalogue
from ued_core.context import Context
from ued_core.defenses.base import Defense, Displacements, StepCost
from ued_core.defenses.live import LiveOperation
from ued_core.records import ImageSet, to_bytes, to_float
from ued_core.training.hook import Setup, TrainingHook


class Purification(NamedTuple):
    """What one defence of a stack made of the training set.

    Attributes:
        defense: which.
        given, made: the training set as the defences before it leave it, and as this one does.
        log: of what was trained for it; None where nothing was.
    """

    defense: Defense
    given: ImageSet
    made: ImageSet
    log: Mapping[str, Any] | None


class Learner(NamedTuple):
    """A defence of a stack that learns from the whole training set.

    Attributes:
        defense: which.
        given: what it learns from, the training set as the defences before it leave it.
        last: whether no later defence of the stack learns from what this one makes.
    """

    defense: Defense
    given: ImageSet
    last: bool

    def ready(self, patience_s: float = 0.0) -> bool:
        """Whether images can be treated with it without learning for longer than ``patience_s`` seconds first."""
        return self.defense.ready(self.given, patience_s, finished=not self.last)


@dataclass(frozen=True, init=False)
class DefenseStack(Sequence[Defense]):
    """Defences in the order in which they act; the empty stack leaves everything as it is.

    ``purify`` and ``blend`` apply one defence after the other; training hooks wrap each other like the layers of an
    onion, the first defence outermost.

    Attributes:
        defenses: the single ones.
    """

    defenses: tuple[Defense, ...] = ()

    def __init__(self, defenses: Iterable[Defense] = ()) -> None:
        object.__setattr__(self, "defenses", tuple(defenses))

    def __len__(self) -> int:
        return len(self.defenses)

    def __iter__(self) -> Iterator[Defense]:
        return iter(self.defenses)

    @overload
    def __getitem__(self, place: int) -> Defense: ...

    @overload
    def __getitem__(self, place: slice) -> DefenseStack: ...

    def __getitem__(self, place: int | slice) -> Defense | DefenseStack:
        """One defence, or the stack of some."""
        return DefenseStack(self.defenses[place]) if isinstance(place, slice) else self.defenses[place]

    # ---- what it is called and how it is stored

    @property
    def title(self) -> str:
        """The titles of its defences, joined; empty for the empty stack."""
        return " + ".join(defense.title for defense in self.defenses)

    def to_json(self) -> list[dict[str, Any]]:
        """The list that a run spec stores; :meth:`from_json` reads it back."""
        return [defense.to_json() for defense in self.defenses]

    @classmethod
    def from_json(cls, values: Iterable[Any], catalogue: Catalogue[Defense]) -> DefenseStack:
        """Read what :meth:`to_json` wrote; a bare name means a defence with its defaults.

        Args:
            values: one entry for each defence, in order.
            catalogue: where the names are looked up.

        Raises:
            UnknownName, ParameterError: an entry means no defence.
        """
        return cls(catalogue.parse(value) for value in values)

    def located(self, base: Path | None) -> DefenseStack:
        """The same with every path absolute, see :meth:`ued_core.params.Method.located`.

        Raises:
            ParameterError: a relative path, and ``base`` is None.
        """
        return DefenseStack(defense.located(base) for defense in self.defenses)

    def with_first(self, **values: Any) -> DefenseStack:
        """A copy with some parameters of the first defence changed.

        Raises:
            ParameterError: a value outside its declaration.
        """
        return DefenseStack((self[0].with_values(**values), *self[1:]))

    # ---- what it does

    @property
    def acts(self) -> frozenset[str]:
        """The hooks that any of its defences uses, see :class:`Defense`."""
        return frozenset().union(*(defense.acts for defense in self.defenses))

    @property
    def needs_whole_set(self) -> bool:
        """Whether a few images cannot be treated by themselves."""
        return any(defense.needs_whole_set for defense in self.defenses)

    def displacements(self) -> Displacements | None:
        """The random displacements that the stack consists of, by 0 px for the empty one; None when it is anything
        else, and Θ undefined."""
        if not self.defenses:
            return Displacements(0.0, "periodic")
        return self.defenses[0].displacements() if len(self.defenses) == 1 else None

    def purify(self, data: ImageSet, ctx: Context) -> ImageSet:
        """The data set to train on: every defence's data hook, in order."""
        for done in self.purifications(data, ctx):
            data = done.made
        return data

    def purifications(self, data: ImageSet, ctx: Context, partial: Path | None = None) -> Iterator[Purification]:
        """:meth:`purify` for a run: defence by defence, each when its turn has come.

        Args:
            data: the training set as it was published.
            ctx: seed, device, progress, cancellation.
            partial: as in :func:`ued_core.defenses.purified.purify_once`.
        """
        for defense in self.defenses:
            made, log = defense.purify_logged(data, ctx, partial)
            yield Purification(defense, data, made, log)
            data = made

    def purify_rows(self, data: ImageSet, whole: ImageSet, ctx: Context) -> ImageSet:
        """The rows of ``purify(whole, ctx)`` that belong to ``data``, without treating more than needed.

        Args:
            data: some rows of ``whole``.
            whole: the training set.
            ctx: as in :meth:`purify`.
        """
        for place, defense in enumerate(self.defenses):
            data = defense.purify_rows(data, whole, ctx)
            if self[place + 1 :].needs_whole_set:
                # Not purify: it would train what the rows above are shown unfinished.
                whole = defense.purify_rows(whole, whole, ctx)
        return data

    def marks(self, data: ImageSet) -> torch.Tensor | None:
        """Which image each defence's batch hook treats; bool (N, D) on the CPU, or None: every defence treats all.

        Args:
            data: the N purified images.
        """
        chosen = [defense.chosen(data) for defense in self.defenses]
        if all(marks is None for marks in chosen):
            return None
        everything = torch.ones(len(data), dtype=torch.bool)
        return torch.stack([everything if marks is None else marks for marks in chosen], 1)

    def blend(
        self,
        images: torch.Tensor,
        targets: torch.Tensor,
        classes: int,
        rng: torch.Generator,
        marks: torch.Tensor | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Every defence's batch hook, in order; the training loop and the previews share it.

        Args:
            images, targets, classes, rng: as in :meth:`Defense.blend`.
            marks: bool (N, D) on the same device, the batch's rows of :meth:`marks`.

        Returns:
            Images and targets as :meth:`Defense.blend` gives them.
        """
        for place, defense in enumerate(self.defenses):
            own = None if marks is None else marks[:, place]
            if own is None or bool(own.all()):
                images, targets = defense.blend(images, targets, classes, rng)
            elif bool(own.any()):
                images = images.index_put((own,), defense.augment(images[own], rng))
        return images, targets

    def hooks(self, setup: Setup) -> list[tuple[str, TrainingHook]]:
        """What its defences do while the network learns, each with the defence's key; the first one is outermost."""
        hooks = [(defense.key, defense.training(setup)) for defense in self.defenses]
        return [(key, hook) for key, hook in hooks if hook is not None]

    def step_cost(self) -> StepCost:
        """What a training step takes under the stack, as its defences declare it."""
        cost = StepCost()
        for defense in reversed(self):
            cost = defense.step_cost(cost)
        return cost

    # ---- what it shows

    def preview(
        self,
        data: ImageSet,
        ctx: Context,
        chunk: int = 1024,
        stream: tuple[object, ...] = ("preview",),
        whole: ImageSet | None = None,
    ) -> ImageSet:
        """What a network would be shown in one epoch: every hook applied once, stored with 8 bits.

        Args:
            data: the images to defend.
            ctx: seed and device; the draws come from its named stream.
            chunk: images per step; bounds the memory.
            stream: name of the stream of draws, so that two previews can differ.
            whole: the training set that ``data`` are rows of, for defences with ``needs_whole_set``; None: ``data``
                itself.
        """
        data = self.purify(data, ctx) if whole is None else self.purify_rows(data, whole, ctx)
        marks, rng = self.marks(data), ctx.generator(*stream)
        # Written in place: a list of parts, joined at the end, would hold the images twice.
        images = torch.empty(data.images.shape, dtype=torch.uint8)
        for start in range(0, len(data), chunk):
            batch = to_float(data.images[start : start + chunk].to(ctx.device))
            labels = data.labels[start : start + chunk].to(ctx.device)
            own = None if marks is None else marks[start : start + chunk].to(ctx.device)
            images[start : start + chunk] = to_bytes(self.blend(batch, labels, data.classes, rng, own)[0]).cpu()
            ctx.report(min(start + chunk, len(data)), len(data), "defending images")
        return data.with_images(images)

    def live(self, data: ImageSet, ctx: Context, stream: tuple[object, ...] = ("preview",)) -> LiveOperation | None:
        """:meth:`preview` of some images for a browser that repeats it while the first defence's first parameter is
        dragged; None where more than that defence acts, or where it is no operation of a few lines.

        Args:
            data: the images to defend; at most one chunk of :meth:`preview`.
            ctx, stream: as in :meth:`preview`, so that the draws are the same.
        """
        if len(self) != 1:
            return None
        count, channels, height, width = data.images.shape
        found = self[0].live((count, channels, height, width), ctx.generator(*stream))
        return found if found is not None and self[0].chosen(data) is None else None

    def learners(
        self, whole: ImageSet, purified: Callable[[ImageSet, DefenseStack], ImageSet] | None = None
    ) -> Iterator[Learner]:
        """The defences that learn from the whole training set, in order.

        What each is given is made only when the iterator comes to it: whoever stops at one that is not ready trains
        nothing.

        Args:
            whole: the training set as it was published.
            purified: :meth:`purify` of a training set under a stack, for callers who keep results; None makes it anew.
        """
        places = [place for place, defense in enumerate(self.defenses) if defense.needs_whole_set]
        for place in places:
            before = self[:place]
            given = before.purify(whole, Context()) if purified is None else purified(whole, before)
            yield Learner(self[place], given, place == places[-1])

    def state_words(
        self, whole: ImageSet | None, purified: Callable[[ImageSet, DefenseStack], ImageSet] | None = None
    ) -> str:
        """Which states of unfinished work :meth:`preview` shows, as sentences for a caption; empty where it is of none.

        Args:
            whole, purified: as in :meth:`learners`; without a training set nothing has learned from one.
        """
        learners = () if whole is None else self.learners(whole, purified)
        said = [(learner.defense.title, learner.defense.state_words(learner.given)) for learner in learners]
        return "".join(f" {title}: {words}." for title, words in said if words)
