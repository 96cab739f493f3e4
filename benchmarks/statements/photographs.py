"""What holds on photographs of Fashion-MNIST, and where drawn shapes say something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.statements.key_and_seed import undefended
from benchmarks.statements.stored import COIN, FASHION, JPEG, SHAPES, SSK, bullets, change
from ued_core.results.evidence import Comparison
from ued_core.results.known import Known
from ued_core.results.open_answers import listed
from ued_core.results.row import ResultRow
from ued_core.results.words import level, points, what_decides

FILTERS: Mapping[str, Any] = {"CUDA": "cuda", "VUDA": "vuda", "HUDA": "huda"}
NOISE: Mapping[str, Any] = {"LSP": "synper", "region noise": "region", "EM": "em"}
GREY: Mapping[str, Any] = {"name": "greyscale"}
DEFENCES: Mapping[str, Any] = {"COIN": COIN, "JPEG 10": JPEG, "SSK + FF": SSK, "Greyscale": GREY}


def photographs() -> str:
    """Markdown: what holds on photographs of Fashion-MNIST."""
    lines = [_taken("Filters", FILTERS), _taken("Bounded noise", NOISE)]
    lines += [_given(name, [value]) for name, value in DEFENCES.items()]
    lines.append(_price())
    return bullets(lines)


def findings(crossed: Sequence[ResultRow]) -> str:
    """Markdown: the same in brief, for the README, and how much the key matters.

    Args:
        crossed: rows of the study that trains every key with every seed.
    """
    attacks = {**FILTERS, **NOISE}
    alone = {name: result for name, value in attacks.items() if (result := FASHION.known(value)) and result.loss}
    lines = [_all_taken(alone)]
    lines += [
        _in_brief(name, {a: FASHION.known(v, [value]) for a, v in attacks.items()}, FASHION.known(None, [value]))
        for name, value in DEFENCES.items()
    ]
    split = undefended(crossed)
    if split is not None:
        lines.append(f"**How much is the private key?** CUDA with {split.keys} keys and {split.seeds} training seeds: "
                     f"{what_decides(split)}.")  # fmt: skip
    return bullets(lines)


def _all_taken(alone: Mapping[str, Known]) -> str:
    """What each attack leaves, and of which it cannot be told that it takes anything."""
    if not alone:
        return ""
    left = listed([f"{name} {100 * result.accuracy.mean:.0f}" for name, result in alone.items()])
    clean = next(iter(alone.values())).clean
    open_ones = [name for name, result in alone.items() if not result.works]
    doubt = f"; of {listed(open_ones)} it cannot be told that it takes anything" if open_ones else ""
    return f"**What is left of {100 * clean.mean:.0f} %** after each attack: {left} %{doubt}."


def _in_brief(name: str, after: Mapping[str, Known | None], clean: Known | None) -> str:
    """What a defence gives back after which attack, and its price on clean images."""
    found = {attack: result.gain for attack, result in after.items() if result is not None and result.gain is not None}
    if not found:
        return ""
    kinds = {kind: {a: one for a, one in found.items() if _kind(one) == kind} for kind in _KINDS}
    parts = [
        words.format(listed([f"{attack} {100 * one.gain.mean:+.0f}".replace("-", "−") for attack, one in own.items()]))
        if "points" in words
        else words.format(listed(list(own)))
        for kind, words in _KINDS.items()
        if (own := kinds[kind])
    ]
    if clean is not None and clean.gain is not None:
        parts.append(
            "no price on clean ones" if _kind(clean.gain) == "nothing" else f"clean ones: {change(clean.gain)}"
        )
    return f"**{name}**: {'; '.join(parts)}."


_KINDS: Mapping[str, str] = {
    "better": "points back after {}",
    "worse": "points lost after {}",
    "cannot be told": "whether it helps cannot be told after {}",
    "nothing": "no change of any run after {}",
}


def _kind(found: Comparison) -> str:
    """The verdict; of equal runs on all seeds, that nothing changes."""
    same = found.gain.count > 1 and found.gain.mean == found.gain.spread == 0
    return "nothing" if same else found.word


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
