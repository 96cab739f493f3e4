"""What a model is: a declaration that builds a network."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from ued_core.errors import UnknownName
from ued_core.models.feature_store import Identity
from ued_core.params import Method

PENULTIMATE = "penultimate"
"""The layer whose pooled activations are :meth:`Network.features`; every network has it, as its last one."""
HEAD = "head"
"""The name of the last block: the linear map from features to scores."""


class Network(nn.Module):
    """A classifier that takes images in [0, 1] and normalises them itself.

    Args:
        body: images → features (N, D).
        features: D.
        classes: number of scores.
        layers: name of a layer → name of the module in ``body`` whose output it is, from the image
            to the head; the last one is :data:`PENULTIMATE`. Left out: that one alone.

    Attributes:
        body: images → features (N, D).
        head: features → scores (N, classes).
        layers: the names of the layers that can be looked at, and their modules.
        frozen: what decides the features of a body that never learns; None where it learns.
        most_at_once: images in one pass without gradients, on a processor.
    """

    frozen: Identity | None = None
    most_at_once: int = 1024

    def __init__(self, body: nn.Module, features: int, classes: int, layers: Mapping[str, str] | None = None) -> None:
        super().__init__()
        self.body = body
        self.head = nn.Linear(features, classes)
        self.layers: Mapping[str, str] = MappingProxyType(dict(layers or {PENULTIMATE: ""}))

    def activations(self, images: torch.Tensor, names: Sequence[str], grid: int = 1) -> dict[str, torch.Tensor]:
        """What named layers answer, averaged over a coarse grid of places, in one pass.

        Args:
            images: float (N, C, H, W) in [0, 1].
            names: of :attr:`layers`.
            grid: each feature map is averaged over ``grid`` × ``grid`` fields; 1 is the mean over
                the whole image. Maps that are smaller than the grid keep their own size.

        Returns:
            name → float (N, channels · fields); for :data:`PENULTIMATE` and ``grid`` 1 equal to :meth:`features`.

        Raises:
            UnknownName: no such layer.
        """
        return self.scores_and_activations(images, names, grid)[1]

    def scores_and_activations(
        self, images: torch.Tensor, names: Sequence[str], grid: int
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Scores, (N, classes), and :meth:`activations`, in one pass."""
        scores, found = self._hooked(images, [(name, grid) for name in names])
        return scores, dict(zip(names, found, strict=True))

    def inside(self, images: torch.Tensor, layer: str, grid: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Scores, a layer's means and its averages over ``grid`` × ``grid`` fields, in one pass.

        Args:
            images, grid: as in :meth:`activations`.
            layer: one of :attr:`layers`.

        Returns:
            Float (N, classes), (N, channels) and (N, channels · fields).

        Raises:
            UnknownName: no such layer.
        """
        scores, (means, fields) = self._hooked(images, [(layer, 1), (layer, grid)])
        return scores, means, fields

    def _hooked(
        self, images: torch.Tensor, wanted: Sequence[tuple[str, int]]
    ) -> tuple[torch.Tensor, list[torch.Tensor]]:
        found: dict[int, torch.Tensor] = {}
        for name, _ in wanted:
            if name not in self.layers:
                raise UnknownName("layer", name, self.layers)
        hooks = [
            self.body.get_submodule(self.layers[name]).register_forward_hook(_keeper(found, index, grid))
            for index, (name, grid) in enumerate(wanted)
        ]
        try:
            scores = self.forward(images)
        finally:
            for hook in hooks:
                hook.remove()
        return scores, [found[index] for index in range(len(wanted))]

    def blocks(self) -> dict[str, tuple[nn.Module, ...]]:
        """The network cut at its layers: name → the modules between the layer before and this one, then the head.

        Every parameter and every buffer belongs to exactly one block, directly to one of its modules. Modules must
        be registered in the order in which they compute, as those of a sequence are.
        """
        names = [name for name, _ in self.body.named_modules()]
        modules = [module for _, module in self.body.named_modules()]
        ends = {}
        for layer, place in self.layers.items():
            inside = [i for i, name in enumerate(names) if not place or name == place or name.startswith(place + ".")]
            ends[layer] = inside[-1]
        # What follows the last layer, such as pooling, is counted with it.
        ends[list(self.layers)[-1]] = len(modules) - 1
        cut: dict[str, tuple[nn.Module, ...]] = {}
        start = 0
        for layer, end in ends.items():
            cut[layer] = tuple(modules[start : end + 1])
            start = max(start, end + 1)
        return {**cut, HEAD: (self.head,)}

    def features(self, images: torch.Tensor) -> torch.Tensor:
        """Penultimate features, (N, D), of float images (N, C, H, W) in [0, 1]."""
        return self.body((images - 0.5) / 0.25)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Class scores, (N, classes), of float images (N, C, H, W) in [0, 1]."""
        return self.head(self.features(images))


def _keeper(found: dict[int, torch.Tensor], index: int, grid: int) -> Callable[..., None]:
    """A hook that pools at once: a later module may write over the map in place."""

    def keep(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if output.ndim == 4:
            fields = (min(grid, output.shape[-2]), min(grid, output.shape[-1]))
            output = F.adaptive_avg_pool2d(output, fields).flatten(1)
        found[index] = output

    return keep


class Model(Method):
    """A network to be trained.

    Attributes:
        starts_pretrained: its body starts from published weights in a file, so that only the head is drawn.
        needs_download: that file comes with no package, so that a user must fetch it.
    """

    starts_pretrained: ClassVar[bool] = False
    needs_download: ClassVar[bool] = False

    @property
    def light(self) -> bool:
        """Whether one core trains it on some thousand small images within seconds."""
        return False

    @property
    def body_learns(self) -> bool:
        """Whether training changes more than the head."""
        return True

    @property
    def recommended_plan(self) -> Mapping[str, Any]:
        """Plan parameters that suit it better than those of the plan and of the data set; any plan has them."""
        return {}

    def initial_weights(self) -> dict[str, str] | None:
        """The file that the weights start from, ``file`` and ``sha256``; None where they are drawn.

        Raises:
            Unavailable: it is not here.
        """
        return None

    @abstractmethod
    def network(self, shape: tuple[int, int, int], classes: int) -> Network:
        """The network for images of shape (C, H, W), its weights not yet drawn."""

    def layer_names(self) -> tuple[str, ...]:
        """The layers of its networks, from the image to the head; nothing is allocated."""
        with torch.device("meta"):
            return tuple(self.network((3, 32, 32), 2).layers)

    def build(self, shape: tuple[int, int, int], classes: int, rng: torch.Generator) -> Network:
        """The network with weights drawn from ``rng`` (a CPU generator), on the CPU.

        The global random state is left as it was.
        """
        with torch.random.fork_rng(devices=[]):
            network = self.network(shape, classes)
        for module in network.modules():
            if isinstance(module, nn.Conv2d) and module.groups > 1:
                # torch counts all outputs, but an input of a group only reaches those of its own.
                reached = module.weight[:, 0].numel() // module.groups
                nn.init.normal_(module.weight, std=(2 / reached) ** 0.5, generator=rng)
            elif isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out" if isinstance(module, nn.Conv2d) else "fan_in", generator=rng
                )
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        draw_head(network, rng)
        return network


def draw_head(network: Network, rng: torch.Generator) -> None:
    """Draw the head's weights anew, so that scores start small; its bias starts at 0."""
    nn.init.normal_(network.head.weight, std=network.head.in_features**-0.5, generator=rng)
    nn.init.zeros_(network.head.bias)
