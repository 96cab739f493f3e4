"""The weights of a run after each epoch: written while it trains, read by whoever looks inside.

A file is a whole network: its metadata say for which images and how many classes it was built, so
that nothing but the run's folder is needed to load it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from ued_core.errors import RunError, UedError, in_short
from ued_core.files import write_atomic
from ued_core.models import Network
from ued_core.runs.folder import RunFolder
from ued_core.runs.spec import RunSpec
from ued_core.runs.stored import WeightsCard

MOST_BYTES = 200_000_000
"""What the weights of one run's epochs may take on the disk together."""
CARD = "network"
"""Name of the one entry of a file's metadata: JSON with ``spec`` (the run's key), ``epoch``, ``shape`` (C, H, W) and
``classes``."""
FILE = re.compile(r"epoch_(\d{3,})\.safetensors")


def save_weights(path: Path, network: Network, metadata: Mapping[str, str]) -> None:
    """Write a network's state as safetensors, atomically, into a folder that is there."""
    state = {k: v.detach().cpu().contiguous() for k, v in network.state_dict().items()}
    write_atomic(path, lambda temporary: save_file(state, temporary, metadata=dict(metadata)), parents=False)


def size_of(network: Network) -> int:
    """Bytes of a network's state."""
    return sum(value.numel() * value.element_size() for value in network.state_dict().values())


def kept_epochs(epochs: int, size: int, most: int = MOST_BYTES) -> tuple[int, ...]:
    """The epochs whose weights are kept: all of them when they fit, else evenly spaced ones.

    The start (0) and the last epoch are always among them, also when even two do not fit.

    Args:
        epochs: how many are trained.
        size: bytes of one network's weights.
        most: bytes that they may take together.
    """
    count = min(epochs + 1, max(2, most // max(1, size)))
    return tuple(sorted({round(i * epochs / (count - 1)) for i in range(count)})) if epochs else (0,)


class EpochWeights:
    """Writes the weights of epochs into a folder, as :class:`ued_core.training.Job` calls it.

    A resumed run calls it first with the epoch that it goes on from; what an earlier execution
    wrote of that epoch and later ones is removed, so that all files belong to one history.

    Args:
        folder: made when needed.
        spec: the run's key.
        shape: (C, H, W) of the images.
        epochs: how many will be trained.
    """

    def __init__(self, folder: Path, spec: str, shape: tuple[int, int, int], epochs: int) -> None:
        self.folder, self.spec, self.shape, self.epochs = folder, spec, shape, epochs
        self._kept: tuple[int, ...] | None = None

    def __call__(self, epoch: int, network: Network) -> None:
        if self._kept is None:
            self._kept = kept_epochs(self.epochs, size_of(network))
            # Not the folder above: a run whose folder was deleted stays deleted.
            self.folder.mkdir(exist_ok=True)
            for later, path in _files(self.folder).items():
                if later >= epoch:
                    path.unlink(missing_ok=True)
        if epoch in self._kept:
            card = {"spec": self.spec, "epoch": epoch, "shape": self.shape, "classes": network.head.out_features}
            # One entry: the library writes several in any order, and equal weights would be unequal files.
            save_weights(self.folder / f"epoch_{epoch:03d}.safetensors", network, {CARD: json.dumps(card)})


def _files(folder: Path) -> dict[int, Path]:
    try:
        found = {int(match[1]): path for path in folder.iterdir() if (match := FILE.fullmatch(path.name))}
    except OSError:
        return {}
    return dict(sorted(found.items()))


def stored_epochs(folder: RunFolder) -> tuple[int, ...]:
    """The epochs whose weights the run has, rising; empty when it has none (yet)."""
    return tuple(_files(folder.epoch_folder))


def network_at(folder: RunFolder, epoch: int) -> Network:
    """A run's network after ``epoch`` epochs, in evaluation mode, on the CPU.

    Args:
        folder: of the run, running or over.
        epoch: one of :func:`stored_epochs`; 0 is before training.

    Raises:
        RunError: there are no weights of that epoch, or they are damaged or of another model.
    """
    path = _files(folder.epoch_folder).get(epoch)
    if path is None:
        raise RunError(f"The run {folder.run_id} has no weights of epoch {epoch}.", _what_there_is(folder))
    try:
        with safe_open(path, "pt") as file:
            card = WeightsCard.model_validate(json.loads((file.metadata() or {})[CARD]))
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        model = RunSpec.read(folder.spec_path).model
        channels, height, width = card.shape
        with torch.device("meta"):
            network = model.network((channels, height, width), card.classes)
        network.load_state_dict(state, assign=True)
    except (OSError, SafetensorError, KeyError, TypeError, ValueError, RuntimeError, RecursionError, UedError) as error:
        raise RunError(
            f"The weights of epoch {epoch} of the run {folder.run_id} cannot be used: {in_short(error)}.",
            "Choose another epoch, or train the run again.",
        ) from error
    network.eval()
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    return network.to(memory_format=torch.channels_last)


def _what_there_is(folder: RunFolder) -> str:
    epochs = stored_epochs(folder)
    if not epochs:
        return "It was trained before weights were kept, or has not begun; train it again to look inside."
    if len(epochs) == epochs[-1] + 1:
        return f"It has those of epochs 0 to {epochs[-1]}."
    return f"It has those of epochs {', '.join(map(str, epochs))}."
