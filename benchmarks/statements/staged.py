"""What the table of staged training says: what it gives, what of it does the work, and where it fails."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.statements.attacks import REM_SMALL
from benchmarks.statements.stored import Setting, between, bullets, cells, nested, told
from ued_core.results.evidence import Comparison, Word
from ued_core.results.known import Known
from ued_core.results.words import gain_cell, level

SMALL_CNN: Mapping[str, Any] = {"name": "small_cnn", "width": 12}
SHORT: Mapping[str, Any] = {"name": "adamw", "epochs": 12, "batch_size": 64}
DIGITS = Setting("digits", "digits", SHORT, SMALL_CNN)
LONG = Setting("digits with 2,200 steps", "digits", {**SHORT, "epochs": 100}, SMALL_CNN)
SHAPES = Setting("shapes", {"name": "shapes", "train_size": 2000, "test_size": 1000}, {**SHORT, "epochs": 8}, SMALL_CNN)
RESNET = Setting("digits", "digits", SHORT, {"name": "resnet18", "width": 8})
NOISE: Mapping[str, Any] = {"LSP": "synper", "EM": "em", "REM": REM_SMALL}
ST: Mapping[str, Any] = {"name": "staged", "threshold": 1.1}
QUIET: Mapping[str, Any] = {"name": "staged", "threshold": 2.0}
WATCHED: Mapping[str, Any] = {**QUIET, "reaction": "none"}
"""Plain training, bit for bit, with its layers measured."""
COLOURS: Mapping[str, Any] = {**WATCHED, "colours": "jitter and grey"}
ARMS: Mapping[str, Mapping[str, Any]] = {
    "shallow layers frozen untrained": {"name": "staged", "threshold": 0.0, "freeze_after": 1},
    "fixed slow rates (ST-lite)": {**QUIET, "reaction": "fixed"},
    "colour augmentation alone": COLOURS,
    "the speed of the loss as its sign": {**ST, "signal": "loss", "threshold": 2.0},
}
"""What else was tried in place of ST."""
SIMPLER = 3
"""So many of them, the first, do without a look at the layers."""


def words() -> str:
    """Markdown: what the rows say."""
    lines = [_gains("ST (our reading: activation clusters, threshold 1.1)", ST, DIGITS)]
    lines += [_gains(name[:1].upper() + name[1:], arm, DIGITS) for name, arm in ARMS.items()]
    lines += [
        _beside(),
        *(_gains(name, arm, LONG) for name, arm in (("ST", ST), ("Colour augmentation alone", COLOURS))),
    ]
    lines += [_shapes(), _resnet()]
    return bullets(lines)


def gain(at: Setting, arm: Mapping[str, Any], attack: Any = None) -> Comparison | None:
    """What an arm adds to plain training, which may have been watched."""
    return between(at.known(attack, [arm]), plain(at, attack))


def plain(at: Setting, attack: Any = None) -> Known | None:
    """Training without a reaction."""
    return at.known(attack) or at.known(attack, [WATCHED])


def _gains(name: str, arm: Mapping[str, Any], at: Setting) -> str:
    """An arm after each attack and on clean images."""
    found = {attack: one for attack, value in NOISE.items() if (one := gain(at, arm, value)) is not None}
    if not found:
        return ""
    price = gain(at, arm)
    verdicts = _verdicts(found, "helps after", "harms after", "cannot be told to help after")
    verdicts += [f"on clean images {gain_cell(price)}"] if price is not None else []
    return f"**{name}** on {at.name} {'; '.join(verdicts)}."


def _verdicts(found: Mapping[str, Comparison], better: str, worse: str, doubt: str) -> list[str]:
    """The differences under what can be told of them."""
    words: dict[Word, str] = {"better": better, "worse": worse, "cannot be told": doubt}
    sorted_out = {verdict: {name: one for name, one in found.items() if one.word == verdict} for verdict in words}
    return [f"{words[verdict]} {cells(own)}" for verdict, own in sorted_out.items() if own]


def _beside() -> str:
    """Whether looking at the layers adds anything to simpler means."""
    lines = []
    for name, arm in list(ARMS.items())[:SIMPLER]:
        pairs = {attack: (DIGITS.known(value, [ST]), DIGITS.known(value, [arm])) for attack, value in NOISE.items()}
        found = {attack: one for attack, pair in pairs.items() if (one := between(*pair)) is not None}
        if found:
            verdicts = _verdicts(found, "better after", "worse after", "cannot be told after")
            lines.append(f"against {name}: {'; '.join(verdicts)}")
    return nested("**ST beside simpler means** on digits", lines)


def _shapes() -> str:
    """Where staged training costs most."""
    clean, attacked = gain(SHAPES, ST), gain(SHAPES, ST, "cuda")
    parts = []
    if clean is not None:
        costs = (
            "on clean images ST costs {}",
            "on clean images ST adds {}",
            "it cannot be told whether it costs anything ({})",
        )
        parts.append(told(clean, costs[1], costs[0], costs[2]))
    if attacked is not None:
        helps = "after CUDA it gives {}", "after CUDA it takes {}", "whether it helps after CUDA cannot be told ({})"
        parts.append(told(attacked, *helps))
    return f"**On shapes** {'; '.join(parts)}." if parts else ""


def _resnet() -> str:
    """The other network."""
    attacked, defended = plain(RESNET, "synper"), RESNET.known("synper", [ST])
    if attacked is None or defended is None:
        return ""
    seeds = f"{attacked.accuracy.count} seed{'s' * (attacked.accuracy.count != 1)}"
    return (
        f"**A CIFAR ResNet-18 of width 8** trained on LSP digits reaches {level(attacked.accuracy)} % without a "
        f"defence and {level(defended.accuracy)} % with ST ({seeds})."
    )
