"""What holds on photographs of Fashion-MNIST, and where drawn shapes say something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.statements.stored import COIN, FASHION, JPEG, SHAPES, SSK, bullets, change
from ued_core.results.words import level, points

FILTERS: Mapping[str, Any] = {"CUDA": "cuda", "VUDA": "vuda", "HUDA": "huda"}
NOISE: Mapping[str, Any] = {"LSP": "synper", "region noise": "region", "EM": "em"}
DEFENCES: Mapping[str, Any] = {"COIN": COIN, "JPEG 10": JPEG, "SSK + FF": SSK}


def photographs() -> str:
    """Markdown: what holds on photographs of Fashion-MNIST."""
    lines = [_taken("Filters", FILTERS), _taken("Bounded noise", NOISE)]
    lines += [_given(name, [value]) for name, value in DEFENCES.items()]
    lines.append(_price())
    return bullets(lines)


def drawn() -> str:
    """Markdown: where drawn shapes say something else than photographs."""
    lines = [_differs(name, value) for name, value in {**FILTERS, **NOISE}.items()]
    lines += [_differs_with(f"{defence} after CUDA", "cuda", [value]) for defence, value in DEFENCES.items()]
    return bullets(lines)


def _taken(title: str, attacks: Mapping[str, Any]) -> str:
    """What a family of attacks takes."""
    told = []
    for name, value in attacks.items():
        result = FASHION.known(value)
        if result is not None and result.loss is not None:
            told.append(f"{name} takes {change(result.loss, sign=False)} and leaves {level(result.accuracy)} %")
    return f"**{title}:** {'; '.join(told)}." if told else ""


def _given(name: str, defences: list[Any]) -> str:
    """What a defence gives back after each attack."""
    told = []
    for attack, value in {**FILTERS, **NOISE}.items():
        result = FASHION.known(value, defences)
        if result is not None and result.gain is not None:
            told.append(f"{attack}: {change(result.gain)}, to {level(result.accuracy)} %")
    return f"**{name}** after {'; '.join(told)}." if told else ""


def _price() -> str:
    """What COIN costs on clean images, and how high it can lead at best."""
    result = FASHION.known(None, [COIN])
    if result is None or result.gain is None:
        return ""
    return (
        f"COIN changes the accuracy on clean images by {points(result.gain.gain)}, to {level(result.accuracy)} %: "
        "that, and not the clean accuracy, is what it can lead to."
    )


def _differs(name: str, attack: Any) -> str:
    """An attack that takes effect on one of the two sets alone."""
    photographs, shapes = FASHION.known(attack), SHAPES.known(attack)
    if photographs is None or shapes is None or photographs.works == shapes.works:
        return ""
    where, not_where = ("photographs", "shapes") if photographs.works else ("shapes", "photographs")
    return (
        f"{name} is seen to take effect on {where} and not on {not_where}: {level(photographs.accuracy)} % are left on "
        f"photographs, {level(shapes.accuracy)} % on shapes."
    )


def _differs_with(name: str, attack: Any, defences: list[Any]) -> str:
    """A defence whose verdict is another one on the other set."""
    photographs, shapes = (data.known(attack, defences) for data in (FASHION, SHAPES))
    if photographs is None or shapes is None or photographs.gain is None or shapes.gain is None:
        return ""
    if photographs.gain.word == shapes.gain.word:
        return ""
    return f"{name}: on photographs {change(photographs.gain)}, on shapes {change(shapes.gain)}."
