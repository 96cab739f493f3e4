"""What surrogate-based attacks keep count of and keep: gradient evaluations, the noise of a whole set, its bytes."""

from __future__ import annotations

from dataclasses import replace

import torch

from ued_core.context import Context
from ued_core.records import ImageSet, to_bytes, to_float

LEVEL = 1 / 255
STEPS_OF_NOISE = 127


class Effort:
    """Counts gradient evaluations and tells how many of all that were planned are done.

    One evaluation is one image once through the surrogate; the total is an upper bound, and work that stops
    early jumps to the end.

    Args:
        ctx: who is told, and who may cancel.
        total: what was planned.
    """

    def __init__(self, ctx: Context, total: int) -> None:
        self.ctx, self.total, self.done = ctx, max(1, total), 0

    def spend(self, count: int, text: str) -> None:
        """``count`` evaluations more.

        Raises:
            Cancelled: the user has stopped the work.
        """
        self.done = min(self.total, self.done + count)
        self.ctx.report(self.done, self.total, f"{text} ({self.done:,} of at most {self.total:,} gradient evaluations)")

    def skip(self, count: int) -> None:
        """``count`` evaluations were done by an earlier execution; nobody is told yet."""
        self.done = min(self.total, self.done + count)

    def finish(self, text: str) -> None:
        """The rest was not needed."""
        self.spend(self.total - self.done, text)

    def part(self, count: int, text: str) -> Context:
        """A context for work of its own that reports as ``count`` evaluations of this one."""
        start, told = self.done, self.ctx.on_report

        def report(done: float, total: float, own: str) -> None:
            at = start + count * done / max(total, 1e-9)
            told(min(max(at, start), start + count, self.total), self.total, f"{text}, {own}" if own else text)

        return replace(self.ctx, on_report=report)


def chunk_of(device: torch.device) -> int:
    """Images in one gradient step: few on a CPU, so that a wish to stop is heard within a second."""
    return 1024 if device.type == "cuda" else 128


def on_device(data: ImageSet, rows: torch.Tensor | slice, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Some images as floats in [0, 1], and their labels, on the device."""
    images = to_float(data.images[rows].to(device)).contiguous(memory_format=torch.channels_last)
    return images, data.labels[rows].to(device)


class Noise:
    """The perturbation of a whole set between rounds: one byte a value.

    Values are kept in units of ε/127, sixteen times finer than the bytes of an image at ε = 8/255.

    Args:
        data: the clean images.
        epsilon: bound of every value, in units of 1.
        kept: int8 (N, C, H, W), what an earlier execution had reached; None starts at zero.
    """

    def __init__(self, data: ImageSet, epsilon: float, kept: torch.Tensor | None = None) -> None:
        self.data, self.epsilon = data, epsilon
        self.values = torch.zeros(data.images.shape, dtype=torch.int8) if kept is None else kept

    def delta(self, rows: torch.Tensor | slice, device: torch.device) -> torch.Tensor:
        """Float (M, C, H, W), in units of 1."""
        return self.values[rows].to(device).to(torch.float32).mul_(self.epsilon / STEPS_OF_NOISE)

    def on(self, rows: torch.Tensor | slice, device: torch.device) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Clean images, perturbed images clipped to [0, 1], labels; on the device."""
        clean, labels = on_device(self.data, rows, device)
        return clean, (clean + self.delta(rows, device)).clamp_(0, 1), labels

    def put(self, rows: torch.Tensor | slice, delta: torch.Tensor) -> None:
        """Keep new values; they must lie within ε."""
        self.values[rows] = (
            (delta / self.epsilon * STEPS_OF_NOISE)
            .round_()
            .clamp_(-STEPS_OF_NOISE, STEPS_OF_NOISE)
            .to(torch.int8)
            .cpu()
        )

    def stored(self, positive_only: bool = False) -> torch.Tensor:
        """The images as they are published, uint8 (N, C, H, W); uses up the noise, whose memory it takes over.

        Args:
            positive_only: cut negative values off and truncate the noise to whole levels, as the EM release does.
        """
        result, cpu = self.values.view(torch.uint8), torch.device("cpu")
        for start in range(0, len(self.values), 1024):
            rows = slice(start, start + 1024)
            delta = self.delta(rows, cpu)
            if positive_only:
                delta = (delta.clamp_(min=0) * 255 + 1e-4).floor_() / 255
            result[rows] = published(self.data.images[rows], delta)
        return result


def published(clean: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    """Add, clip, round: uint8 images from uint8 images and a float perturbation in units of 1.

    As ε is a whole number of levels and clean images lie on the grid of levels, rounding cannot leave the ball.
    """
    return to_bytes((to_float(clean) + delta).clamp_(0, 1))
