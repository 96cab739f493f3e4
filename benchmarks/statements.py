"""What README and docs/results.md say of the stored runs: sentences made from the rows, whose words follow them.

Each sentence is left out while its rows are missing, and says that something cannot be told where the rows do not
decide it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ued_core.results.evidence import FEW, Comparison
from ued_core.results.known import Known, known
from ued_core.results.words import level, points
from ued_core.runs.spec import RunSpec

FILTERS: Mapping[str, Any] = {"CUDA": "cuda", "VUDA": "vuda", "HUDA": "huda"}
NOISE: Mapping[str, Any] = {"LSP": "synper", "region noise": "region", "EM": "em"}
COIN, JPEG, SSK = {"name": "coin", "strength": 2.0}, {"name": "jpeg", "quality": 10}, "ssk"
DEFENCES: Mapping[str, Any] = {"COIN": COIN, "JPEG 10": JPEG, "SSK + FF": SSK}


def photographs() -> str:
    """Markdown: what holds on photographs of Fashion-MNIST."""
    lines = [_taken("Filters", FILTERS), _taken("Bounded noise", NOISE)]
    lines += [_given(name, [value]) for name, value in DEFENCES.items()]
    lines.append(_price("fashion"))
    return "\n".join(f"- {line}" for line in lines if line)


def drawn() -> str:
    """Markdown: where drawn shapes say something else than photographs."""
    lines = [_differs(name, value) for name, value in {**FILTERS, **NOISE}.items()]
    lines += [_differs_with(f"{defence} after CUDA", "cuda", [value]) for defence, value in DEFENCES.items()]
    return "\n".join(f"- {line}" for line in lines if line)


def found(dataset: str, attack: Any = None, defences: list[Any] | None = None) -> Known | None:
    """The stored runs of a choice with the default sizes, model and plan; None without any."""
    spec = RunSpec.from_json({"dataset": dataset, "attack": attack, "defenses": defences or []}).to_json()
    result = known(spec)
    plan, model = (str(spec[part]["name"]) for part in ("plan", "model"))
    own = result is not None and f'"{plan}"' in result.recipe.plan and f'"{model}"' in result.recipe.model
    return result if own else None


def _taken(title: str, attacks: Mapping[str, Any]) -> str:
    """What a family of attacks takes."""
    told = []
    for name, value in attacks.items():
        result = found("fashion", value)
        if result is not None and result.loss is not None:
            told.append(f"{name} takes {_change(result.loss, sign=False)} and leaves {level(result.accuracy)} %")
    return f"**{title}:** {'; '.join(told)}." if told else ""


def _given(name: str, defences: list[Any]) -> str:
    """What a defence gives back after each attack."""
    told = []
    for attack, value in {**FILTERS, **NOISE}.items():
        result = found("fashion", value, defences)
        if result is not None and result.gain is not None:
            told.append(f"{attack}: {_change(result.gain)}, to {level(result.accuracy)} %")
    return f"**{name}** after {'; '.join(told)}." if told else ""


def _price(dataset: str) -> str:
    """What COIN costs on clean images, and how high it can lead at best."""
    result = found(dataset, None, [COIN])
    if result is None or result.gain is None:
        return ""
    return (
        f"COIN changes the accuracy on clean images by {points(result.gain.gain)}, to {level(result.accuracy)} %: "
        "that, and not the clean accuracy, is what it can lead to."
    )


def _change(comparison: Comparison, sign: bool = True) -> str:
    """A paired difference, on how few seeds it rests, and whether it can be told."""
    words = [f"{comparison.gain.count} seeds"] if 1 < comparison.gain.count < FEW else []
    words += [comparison.word] if comparison.word == "cannot be told" else []
    return points(comparison.gain, sign) + (f" ({', '.join(words)})" if words else "")


def _differs(name: str, attack: Any) -> str:
    """An attack that takes effect on one of the two sets alone."""
    photographs, shapes = found("fashion", attack), found("shapes", attack)
    if photographs is None or shapes is None or photographs.works == shapes.works:
        return ""
    where, not_where = ("photographs", "shapes") if photographs.works else ("shapes", "photographs")
    return (
        f"{name} is seen to take effect on {where} and not on {not_where}: {level(photographs.accuracy)} % are left on "
        f"photographs, {level(shapes.accuracy)} % on shapes."
    )


def _differs_with(name: str, attack: Any, defences: list[Any]) -> str:
    """A defence whose verdict is another one on the other set."""
    photographs, shapes = (found(dataset, attack, defences) for dataset in ("fashion", "shapes"))
    if photographs is None or shapes is None or photographs.gain is None or shapes.gain is None:
        return ""
    if photographs.gain.word == shapes.gain.word:
        return ""
    return (
        f"{name}: {points(photographs.gain.gain)} on photographs ({photographs.gain.verdict}), "
        f"{points(shapes.gain.gain)} on shapes ({shapes.gain.verdict})."
    )
