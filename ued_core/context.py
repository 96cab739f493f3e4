"""What every long function is given: where to compute, how to draw, whom to tell."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch

from ued_core.errors import Cancelled, Unavailable

WITHOUT_FLOAT64 = ("mps",)
"""Kinds of devices that hold no float64."""


def _silent(done: float, total: float, text: str) -> None:
    return None


def _untold(note: str) -> None:
    return None


def _never() -> bool:
    return False


@dataclass(frozen=True)
class Context:
    """Device, randomness, progress and cancellation of one piece of work.

    Attributes:
        seed: the root of all randomness. Every consumer draws from its own named stream
            (:meth:`generator`), so adding a consumer changes no other one's draws, and a
            resumed run draws what an uninterrupted one would have drawn.
        device: where tensors are computed.
        on_report: called with (done, total, what is being done).
        stop: asked between steps; true means that the user cancelled.
        enough: asked between the parts of work whose state can be used as it is, once there is something to use;
            true means that the user wants the work to end there. Work that cannot be used unfinished never asks.
        on_note: called with a sentence that the user must know beside the result: what was skipped or changed.
    """

    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    on_report: Callable[[float, float, str], None] = _silent
    stop: Callable[[], bool] = _never
    enough: Callable[[], bool] = _never
    on_note: Callable[[str], None] = _untold

    def report(self, done: float, total: float, text: str = "") -> None:
        """Tell how far the work is.

        Raises:
            Cancelled: the user has stopped the work.
        """
        self.check()
        self.on_report(done, total, text)

    def check(self) -> None:
        """Raise :class:`Cancelled` when the user has stopped the work."""
        if self.stop():
            raise Cancelled("cancelled")

    def stream_seed(self, *name: object) -> int:
        """A 63-bit seed that belongs to this context's seed and the given name."""
        text = "/".join(str(part) for part in (self.seed, *name))
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1

    def generator(self, *name: object, device: torch.device | str | None = None) -> torch.Generator:
        """A fresh generator for the named stream, on this context's device unless told otherwise."""
        made = torch.Generator(device=self.device if device is None else device)
        return made.manual_seed(self.stream_seed(*name))

    def with_seed(self, seed: int) -> Context:
        """The same context with another root seed."""
        return replace(self, seed=seed)


def pick_device(wanted: str = "auto") -> torch.device:
    """The device for a run: ``auto`` takes a GPU that CUDA reaches when there is one, never Apple's, which is ``mps``.

    Raises:
        Unavailable: a GPU was asked for by name and none is there.
    """
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise Unavailable(
            f"The run asks for the device {wanted!r}, but torch sees no GPU here.",
            "Use device 'auto' or 'cpu'.",
        )
    if wanted == "mps" and not torch.backends.mps.is_available():
        raise Unavailable(
            "The run asks for the device 'mps', but torch sees no Apple GPU here.",
            "Use device 'auto' or 'cpu'.",
        )
    return torch.device(wanted)


def exact_device(device: torch.device) -> torch.device:
    """Where float64 is computed for work on a device: there, or on the processor where the device has none."""
    return torch.device("cpu") if device.type in WITHOUT_FLOAT64 else device


def exact_generator(rng: torch.Generator) -> torch.Generator:
    """A generator for draws on :func:`exact_device`: the given one, or one that is seeded by its next draw."""
    if exact_device(rng.device) == rng.device:
        return rng
    return torch.Generator().manual_seed(int(torch.randint(2**31 - 1, (), generator=rng, device=rng.device)))
