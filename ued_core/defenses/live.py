"""What a browser needs to repeat a defence on a few images while its first parameter moves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class LiveOperation:
    """A defence as an operation of a few lines that follows one number.

    The operations are written down twice: here by whoever declares one, and in ``pages/widgets/live_operations.js``; a
    test holds both together.

    Attributes:
        name: of the operation: ``displace``, ``shift``, ``interpolate``, ``blur``, ``noise`` or ``bits``.
        parameter: name of the defence's parameter that moves.
        scale: what its value is multiplied with, such as 1/255.
        settings: whatever else the operation must know, as JSON values.
        draws: float32, what was drawn for one unit of the parameter, one image after another; shape (N, F, H, W) with F
            numbers per pixel. None where nothing is random.
    """

    name: str
    parameter: str
    scale: float = 1.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    draws: np.ndarray | None = None
