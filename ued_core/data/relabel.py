"""Other labels for the same images: what a hacker may choose after the protector has published."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import torch

from ued_core.catalogue import Catalogue
from ued_core.errors import ParameterError
from ued_core.params import Method, param
from ued_core.records import ImageSet

LONGEST_NAME = 24


class Relabelling(Method):
    """A rule from the classes of a data set to fewer classes; subclasses implement :meth:`merged`."""

    classes: int = param(5, "How many classes there are afterwards; no more than before.", ge=2, le=1000, quick=2)

    @abstractmethod
    def merged(self, before: int) -> torch.Tensor:
        """Old class → new class, int64 (before,); every one of 0..classes-1 occurs.

        Args:
            before: number of classes, at least ``classes``.
        """

    def apply(self, data: ImageSet) -> ImageSet:
        """The same images with the new labels; a new class is named after those that it unites.

        Raises:
            ParameterError: the set has fewer classes than there shall be.
        """
        if self.classes > data.classes:
            raise ParameterError(
                f"{self.title}: classes is {self.classes}, but {data.name!r} has {data.classes} classes.",
                "Merging makes fewer of them, or as many.",
            )
        table = self.merged(data.classes)
        groups = [
            [name for name, new in zip(data.class_names, table.tolist(), strict=True) if new == k]
            for k in range(self.classes)
        ]
        return ImageSet(data.images, table[data.labels], tuple(map(_joined, groups)), data.name)


class Modulo(Relabelling):
    """Every n-th class belongs together: the new label is y mod n.

    Source:
        Unlearnable Clusters (arXiv 2301.01217) trains on labels merged to 5…35 classes; its rule is not released. This
        is one of two rules that we take.
    """

    key: ClassVar[str] = "modulo"
    title: ClassVar[str] = "Classes by remainder"

    def merged(self, before: int) -> torch.Tensor:
        return torch.arange(before) % self.classes


class Blocks(Relabelling):
    """Neighbouring classes belong together: the new label is ⌊y·n/K⌋, of K classes.

    Source:
        Unlearnable Clusters (arXiv 2301.01217) trains on labels merged to 5…35 classes; its rule is not released. This
        is the other of two rules that we take.
    """

    key: ClassVar[str] = "blocks"
    title: ClassVar[str] = "Neighbouring classes"

    def merged(self, before: int) -> torch.Tensor:
        return torch.arange(before) * self.classes // before


RELABELLINGS: Catalogue[Relabelling] = Catalogue(
    "relabelling", [Modulo, Blocks], group="ued_core.relabellings", base=Relabelling
)


def _joined(names: list[str]) -> str:
    whole = "/".join(names)
    return whole if len(whole) <= LONGEST_NAME or len(names) == 1 else f"{names[0]} +{len(names) - 1}"
