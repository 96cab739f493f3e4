"""What the table of defences says: what each attack is healed by, at which price, and what cannot be told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from benchmarks.statements.stored import COIN, CUDA, DIGITS, JPEG, SSK, Setting, between, bullets, cells, nested
from ued_core.results.evidence import Comparison
from ued_core.results.open_answers import listed

BATCHES_OF_64: Mapping[str, Any] = {"name": "adamw", "batch_size": 64}
SMALL = Setting("2,000 shapes", {"name": "shapes", "train_size": 2000, "test_size": 500}, BATCHES_OF_64)
LARGE = Setting("5,000 shapes", "shapes", "adamw")
LONGER = Setting("5,000 shapes for 30 epochs", "shapes", {"name": "adamw", "epochs": 30})
ATTACKS: Mapping[str, Any] = {
    "CUDA": CUDA, "VUDA": {"name": "vuda"}, "HUDA": {"name": "huda"}, "LSP": {"name": "synper"},
    "EM": {"name": "em"}, "EM ε 16": {"name": "em", "epsilon": 16}, "TAP": {"name": "tap"},
    "Unlearnable Clusters": {"name": "uc"},
}  # fmt: skip
RIVALS: Mapping[str, Any] = {"JPEG 10": JPEG, "SSK + FF": SSK, "COIN with α = 1": {**COIN, "strength": 1.0}}
MOST = 4
"""So many gains are named; the table has all of them."""
TRIED = 3
"""An attack after which fewer defences were tried says nothing of them."""
LARGE_GAIN = 0.5
"""From such a gain on, a single seed is named as worth more."""

ROUNDING = 1e-6
"""Accuracies that differ by less are the same count of images."""


def words() -> str:
    """Markdown: what the rows say."""
    settings = (SMALL, LARGE, DIGITS)
    lines = [_healed(at) for at in settings]
    lines += [_against_coin(LARGE), *(_price(at) for at in settings), _never(settings), _same(settings)]
    lines += [_single((*settings, LONGER))]
    return bullets(lines)


def _gains(at: Setting, attack: Any) -> dict[str, Comparison]:
    return {name: runs.gain for name, runs in at.defences(attack).items() if runs.gain is not None}


def _healed(at: Setting) -> str:
    """What can be told to help after each attack."""
    parts = []
    for name, attack in ATTACKS.items():
        found = _gains(at, attack)
        better = {defence: one for defence, one in found.items() if one.word == "better"}
        if len(found) < TRIED:
            continue
        if better:
            parts.append(f"after {name} {len(better)} of {len(found)}: {cells(better, MOST)}{_more(better)}")
        else:
            parts.append(f"after {name} none of {len(found)}; the largest change is {cells(found, 1)}")
    return nested(f"**Defences that can be told to help** on {at.name}", parts)


def _more(found: Mapping[str, Comparison]) -> str:
    return " (the largest)" if len(found) > MOST else ""


def _against_coin(at: Setting) -> str:
    """COIN beside its rivals on the same seeds."""
    parts = []
    for name, attack in {"CUDA": CUDA, "clean images": None}.items():
        coin = at.known(attack, [COIN])
        found = {rival: between(at.known(attack, [value]), coin) for rival, value in RIVALS.items()}
        if any(one is not None for one in found.values()):
            parts.append(f"on {name} {cells(found)}" if attack is None else f"after {name} {cells(found)}")
    return f"**Against COIN** on {at.name}: {'; '.join(parts)}." if parts else ""


def _price(at: Setting) -> str:
    """What can be told to cost accuracy on clean images."""
    found = _gains(at, None)
    worse = {name: one for name, one in found.items() if one.word == "worse"}
    if not worse:
        return ""
    return (
        f"**Defences that can be told to cost accuracy** on clean {at.name}, {len(worse)} of {len(found)}: "
        f"{cells(worse, MOST)}{_more(worse)}."
    )


def _never(settings: tuple[Setting, ...]) -> str:
    """Defences with several seeds of which nowhere a gain can be told."""
    seen: dict[str, list[Comparison]] = {}
    for at in settings:
        for attack in ATTACKS.values():
            for name, one in _gains(at, attack).items():
                seen.setdefault(name, []).append(one)
    tried = {name: own for name, own in seen.items() if any(one.gain.count > 1 for one in own)}
    never = [name for name, own in tried.items() if not any(one.word == "better" for one in own)]
    negative = [name for name in never if sum(one.gain.mean < 0 for one in seen[name]) > len(seen[name]) / 2]
    if not never:
        return ""
    below = f" Most means of {listed(negative)} are negative." if negative else ""
    return f"**Nowhere can a gain be told** of {listed(sorted(never))}.{below}"


def _same(settings: tuple[Setting, ...]) -> str:
    """Defences whose runs are those of no defence."""
    same: dict[str, int] = {}
    other = set()
    for at in settings:
        for attack in (None, *ATTACKS.values()):
            plain = at.known(attack)
            for name, runs in at.defences(attack).items():
                shared = [draw for draw in runs.draws if plain is not None and draw in plain.draws]
                equal = plain is not None and all(
                    math.isclose(runs.draws[d], plain.draws[d], abs_tol=ROUNDING) for d in shared
                )
                same[name] = same.get(name, 0) + (len(shared) if equal else 0)
                other |= set() if equal else {name}
    found = {name: count for name, count in same.items() if count and name not in other}
    parts = [f"{name} ends where no defence does in all of its {count} runs" for name, count in found.items()]
    return f"{'; '.join(parts)}." if parts else ""


def _single(settings: tuple[Setting, ...]) -> str:
    """Large gains on one seed."""
    parts = []
    for at in settings:
        for name, attack in ATTACKS.items():
            found = {
                d: one for d, one in _gains(at, attack).items() if one.gain.count == 1 and one.gain.mean >= LARGE_GAIN
            }
            if found:
                parts.append(f"after {name} on {at.name} {cells(found, MOST)}")
    return nested(
        f"**One seed alone**, so nothing can be told yet, but gains of {100 * LARGE_GAIN:.0f} points or more", parts
    )
