"""Defences that learn something from the whole training set before they treat any image."""

from __future__ import annotations

from abc import abstractmethod
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from ued_core.context import Context
from ued_core.defenses.base import Defense
from ued_core.defenses.fixed import CHUNK
from ued_core.files import write_atomic
from ued_core.home import home
from ued_core.params import fingerprint
from ued_core.records import ImageSet

#: raised whenever code changes what is learned, so that old files are not taken for new ones
LEARNED_VERSION = 3


class LearnedDefense(Defense):
    """A defence that first learns a few tensors from all images, then treats each image by itself with them.

    What is learned depends on the images and labels and on the parameters named in ``learned_from``, never on the seed
    of the run, nor on how many threads whoever comes first computes with. It is one file under the home, named by all
    of that; a full or read-only disk is no error.
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

    def path(self, data: ImageSet) -> Path:
        """Where what was learned from this set is, or will be."""
        named: dict[str, Any] = {name: getattr(self, name) for name in self.learned_from}
        recipe = {"version": LEARNED_VERSION, "torch": torch.__version__, "defence": self.key, **named}
        recipe |= {"revision": self.revision()} if self.revision() else {}
        return home() / "learned" / f"{self.key}-{fingerprint(recipe)}" / f"{data.content_hash}.safetensors"

    def is_learned(self, data: ImageSet) -> bool:
        """Whether nothing has to be learned from this set any more."""
        return self.path(data).exists()

    def seconds_before(self, whole: ImageSet) -> float:
        return 0.0 if self.is_learned(whole) else self.seconds_for(whole)

    def learned(self, data: ImageSet, ctx: Context) -> dict[str, torch.Tensor]:
        """What :meth:`learn` gives, read from the disk when it was learned before; on ``ctx.device``."""
        path = self.path(data)
        tensors: dict[str, torch.Tensor] | None = None
        # A damaged file is written anew.
        with suppress(OSError, SafetensorError):
            tensors = load_file(path)
        if tensors is None:
            tensors = self.learn(data, ctx)
            with suppress(OSError, SafetensorError):
                write_atomic(path, lambda temporary: save_file(tensors, temporary))
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
