"""Both edge detectors on one attack, against clean images or against another attack."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ued_core.analysis.edge_detector import Detection, Verdict, detection, verdict
from ued_core.attacks import Attack
from ued_core.context import Context
from ued_core.records import ImageSet

EVASION = {"padding": "reflect"}


@dataclass(frozen=True)
class EdgeComparison:
    """What the edge detectors make of an attack.

    Attributes:
        detection: the attack's images against the opponent's.
        poisoned, opponent: verdicts for both whole sets.
        evasion: detection of the same attack with reflection padding; None when it has no such choice, or has it
            already.
        evading: the verdict for that set.
    """

    detection: Detection
    poisoned: Verdict
    opponent: Verdict
    evasion: Detection | None
    evading: Verdict | None


def evading_version(attack: Attack) -> Attack | None:
    """The same attack with reflection padding, or None when it does not declare that choice or has made it."""
    padding = next((p for p in attack.parameters() if p.name == "padding"), None)
    if padding is None or EVASION["padding"] not in padding.choices:
        return None
    values = attack.model_dump()
    return None if values["padding"] == EVASION["padding"] else type(attack)(**{**values, **EVASION})


def compare_edges(
    images: ImageSet, poisoned: torch.Tensor, attack: Attack, seed: int, rival: Attack | None
) -> EdgeComparison:
    """Detect an attack among clean images, or among those of another attack.

    Args:
        images: the clean images.
        poisoned: uint8, what ``attack`` made of them.
        attack: the attack under test; its reflecting version is made here.
        seed: the private key of every attack.
        rival: whose images are the negatives; None for the clean ones.
    """
    ctx = Context(seed=seed)
    negatives = images.images if rival is None else rival.preview(images, seed).images
    evader = evading_version(attack)
    evaded = None if evader is None else evader.poison(images, ctx).images
    return EdgeComparison(
        detection=detection(poisoned, negatives),
        poisoned=verdict(poisoned),
        opponent=verdict(negatives),
        evasion=None if evaded is None else detection(evaded, negatives),
        evading=None if evaded is None else verdict(evaded),
    )
