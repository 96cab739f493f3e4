"""How a model is trained: optimiser, schedule, augmentation, precision."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar, Literal

import torch

from ued_core.context import Context
from ued_core.params import Method, param
from ued_core.training.objective import Objective, Parameters

Precision = Literal["auto", "float32", "bfloat16"]


class Plan(Method):
    """A training recipe; subclasses choose the optimiser and its defaults.

    Attributes:
        labelled: whether its loss knows the labels; otherwise its steps take another time.
    """

    labelled: ClassVar[bool] = True

    epochs: int = param(10, "Passes over the training set.", ge=1, le=1000, quick=2)
    batch_size: int = param(128, "Images in one step.", ge=2, le=4096, quick=64)
    schedule: Literal["one_cycle", "cosine", "constant"] = param(
        "one_cycle", "How the learning rate moves: up and down, down only, or not at all."
    )
    crop: int = param(
        4,
        "Random crop after padding by this many pixels; 0 turns it off.",
        label="random crop padding",
        unit="px",
        ge=0,
        le=16,
    )
    flip: Literal["auto", "on", "off"] = param(
        "auto",
        "Random horizontal flip; auto flips where a mirror image keeps its class (not digits).",
        label="random flip",
    )
    precision: Precision = param(
        "auto",
        "Arithmetic of the network; auto is float32 on a processor, and bfloat16 on a GPU that multiplies it in "
        "hardware.",
    )
    compile: bool = param(
        False, "Compile the network first: pays off in long runs on a GPU only.", label="torch.compile"
    )

    @abstractmethod
    def optimizer(self, parameters: Parameters) -> torch.optim.Optimizer:
        """The optimiser at its peak learning rate."""

    def objective(self, job: Any, ctx: Context) -> Objective | None:
        """What is minimised, for plans that do not learn from labels from the first step on.

        Args:
            job: the :class:`ued_core.training.Job`.
            ctx: seed, device, progress and cancellation.

        Returns:
            None for classification (:class:`ued_core.training.classification.Classification`).
        """
        return None

    def rate(self, step: int, steps: int) -> float:
        """Factor on the learning rate at a step of 0..steps-1."""
        position = step / max(steps, 1)
        if self.schedule == "constant":
            return 1.0
        if self.schedule == "cosine":
            return 0.5 * (1 + math.cos(math.pi * position))
        rise = 0.25
        if position < rise:
            return 0.1 + 0.9 * position / rise
        return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * (position - rise) / (1 - rise)))

    def dtype(self, device: torch.device) -> torch.dtype:
        """The arithmetic that ``precision`` means on this device.

        On a processor ``auto`` is float32 whatever the processor could do: results must not depend on which one it is.
        """
        if self.precision != "auto":
            return getattr(torch, self.precision)
        return torch.bfloat16 if device.type == "cuda" and fast_bfloat16(device) else torch.float32


def fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 in hardware, as far as torch tells; elsewhere it is slow, not wrong."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    # Names of x86 and of ARM.
    return device.type == "cpu" and any(
        torch.cpu.get_capabilities().get(name, False) for name in ("avx512_bf16", "amx_bf16", "bf16")
    )


class AdamW(Plan):
    """AdamW with a one-cycle schedule: the default on small data.

    Source:
        Decoupled weight decay, arXiv 1711.05101.
    """

    key: ClassVar[str] = "adamw"
    title: ClassVar[str] = "AdamW"

    learning_rate: float = param(0.004, "Peak learning rate.", ge=1e-6, le=1.0)
    weight_decay: float = param(0.01, "Decoupled weight decay.", ge=0.0, le=1.0)

    def optimizer(self, parameters: Parameters) -> torch.optim.Optimizer:
        return torch.optim.AdamW(parameters, lr=self.learning_rate, weight_decay=self.weight_decay)


class Sgd(Plan):
    """SGD with Nesterov momentum: the papers' optimiser.

    Source:
        COIN trains with SGD, rate 0.1, momentum 0.9, batches of 128, 80 epochs (arXiv 2311.18403).

    Differs:
        Peak rate 0.2 with a one-cycle schedule, sized for ten epochs on 5,000 images.
    """

    key: ClassVar[str] = "sgd"
    title: ClassVar[str] = "SGD"

    learning_rate: float = param(0.2, "Peak learning rate.", ge=1e-6, le=10.0)
    momentum: float = param(0.9, "Nesterov momentum.", ge=0.0, le=0.999)
    weight_decay: float = param(0.0005, "L2 penalty on the weights.", ge=0.0, le=1.0)

    def optimizer(self, parameters: Parameters) -> torch.optim.Optimizer:
        nesterov = self.momentum > 0
        return torch.optim.SGD(
            parameters, lr=self.learning_rate, momentum=self.momentum, weight_decay=self.weight_decay, nesterov=nesterov
        )
