"""Defences that learn something from the whole training set before they treat any image."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import Any, ClassVar

import torch

from ued_core.artefacts import LEARNED
from ued_core.context import Context
from ued_core.defenses.base import Defense
from ued_core.defenses.fixed import CHUNK
from ued_core.records import ImageSet

#: raised whenever code changes what is learned, so that old files are not taken for new ones
LEARNED_VERSION = 3


class LearnedDefense(Defense):
    """A defence that first learns a few tensors from all images, then treats each image by itself with them.

    What is learned depends on the images and labels and on the parameters named in ``learned_from``, never on the seed
    of the run, nor on how many threads whoever comes first computes with. It is an artefact under the home, named by
    all of that; a full or read-only disk is no error.
    Subclasses implement :meth:`learn`, :meth:`treat` and :meth:`seconds_for`.

    Attributes:
        learned_from: the parameters that decide what is learned; the others only decide how images are treated with it.
    """

    acts: ClassVar[frozenset[str]] = frozenset({"purify"})
    needs_whole_set: ClassVar[bool] = True
    learned_from: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def learn(self, data: ImageSet, ctx: Context) -> dict[str, torch.Tensor]:
        """The tensors, on the CPU; computed within :func:`ued_core.compiled.one_thread` where threads change the last
        bits.

        Args:
            data: the whole training set.
            ctx: device, progress, cancellation; its seed does not matter.
        """

    @abstractmethod
    def treat(self, images: torch.Tensor, labels: torch.Tensor, learned: dict[str, torch.Tensor]) -> torch.Tensor:
        """The treated images; each depends on itself, its label and what was learned.

        Args:
            images: uint8 (N, C, H, W), on any device; not changed.
            labels: int64 (N,), on the same device.
            learned: from :meth:`learn`, on the same device.

        Returns:
            uint8, same shape and device.
        """

    @abstractmethod
    def seconds_for(self, data: ImageSet) -> float: ...

    def folder(self, data: ImageSet) -> Path:
        """Where what was learned from this set is, or will be."""
        named: dict[str, Any] = {name: getattr(self, name) for name in self.learned_from}
        recipe = {"version": LEARNED_VERSION, "torch": torch.__version__, "defence": self.key, **named}
        recipe |= {"revision": self.revision()} if self.revision() else {}
        return LEARNED.address(self.key, recipe, data.content_hash)

    def is_learned(self, data: ImageSet) -> bool:
        """Whether nothing has to be learned from this set any more."""
        return LEARNED.card(self.folder(data)) is not None

    def seconds_before(self, whole: ImageSet) -> float:
        return 0.0 if self.is_learned(whole) else self.seconds_for(whole)

    def learned(self, data: ImageSet, ctx: Context) -> dict[str, torch.Tensor]:
        """What :meth:`learn` gives, read from the disk when it was learned before; on ``ctx.device``."""
        folder = self.folder(data)

        def kept() -> dict[str, torch.Tensor] | None:
            return LEARNED.read(folder, lambda found: found.tensors("learned"))

        def made() -> dict[str, torch.Tensor]:
            tensors = self.learn(data, ctx)
            card = {"defence": self.to_json(), "data": data.name, "data_hash": data.content_hash}
            LEARNED.keep(folder, card, tensors={"learned": tensors}, tell=ctx.on_note)
            return tensors

        waiting = f"{self.title}: another process learns from this set; waiting for it"
        tensors, _ = LEARNED.once(folder, kept, made, lambda: ctx.report(0, 1, waiting))
        return {name: tensor.to(ctx.device) for name, tensor in tensors.items()}

    def purify(self, data: ImageSet, ctx: Context) -> ImageSet:
        return self.purify_rows(data, data, ctx)

    def purify_rows(self, data: ImageSet, whole: ImageSet, ctx: Context) -> ImageSet:
        learned = self.learned(whole, ctx)
        result = torch.empty(data.images.shape, dtype=torch.uint8)
        for start in range(0, len(data), CHUNK):
            part = slice(start, start + CHUNK)
            result[part] = self.treat(data.images[part].to(ctx.device), data.labels[part].to(ctx.device), learned).cpu()
            ctx.report(min(start + CHUNK, len(data)), len(data), f"{self.title} on every image")
        return data.with_images(result)
