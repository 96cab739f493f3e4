"""Stored runs as sentences need them: by data, plan, attack and defences, whatever their seeds and in whichever table
they stand; and differences in words."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pages.state.run_words import method_words
from ued_core.attacks import ATTACKS
from ued_core.defenses import DEFENSES
from ued_core.results.evidence import FEW, Comparison, Draw, aligned, compare, judge
from ued_core.results.known import Known, attacks_alone, known, with_defences
from ued_core.results.open_answers import listed
from ued_core.results.shipped_runs import shipped_row, shipped_runs
from ued_core.results.words import gain_cell, points
from ued_core.runs.spec import RunSpec

CUDA: Mapping[str, Any] = {"name": "cuda", "blur": 0.3}
COMMON: Mapping[str, Any] = {**CUDA, "assignment": "common"}
COIN: Mapping[str, Any] = {"name": "coin", "strength": 2.0}
JPEG: Mapping[str, Any] = {"name": "jpeg", "quality": 10}
SSK: Mapping[str, Any] = {"name": "ssk"}


@dataclass(frozen=True)
class Setting:
    """Data, plan and model of the runs that a sentence is about.

    Attributes:
        name: what the sentence calls it.
        dataset, plan, model: as a run spec writes them; None for the default.
    """

    name: str
    dataset: Any
    plan: Any = None
    model: Any = None

    def known(self, attack: Any = None, defences: Sequence[Any] = ()) -> Known | None:
        """The stored runs with an attack and defences, trained just so; None without any."""
        spec = self._spec(attack, defences).to_json()
        result = known(spec)
        own = result is not None and all(json.loads(getattr(result.recipe, p)) == spec[p] for p in ("model", "plan"))
        return result if own else None

    def attacks(self) -> dict[str, Known]:
        """Every stored attack without a defence under its name, the largest loss first."""
        found = attacks_alone(self._spec().to_json())
        return {method_words(ATTACKS.parse(json.loads(attack))): runs for attack, runs in found.items()}

    def defences(self, attack: Any = None) -> dict[str, Known]:
        """Every stored stack of defences after an attack under its name, the highest accuracy first."""
        if self.known(attack) is None:
            return {}
        found = with_defences(self._spec(attack).to_json())
        parsed = {text: [DEFENSES.parse(value) for value in json.loads(text)] for text in found}
        return {" → ".join(map(method_words, stack)): found[text] for text, stack in parsed.items() if stack}

    def numbers(self, name: str, attack: Any = None, defences: Sequence[Any] = ()) -> dict[Draw, float]:
        """A number of the whole rows (:meth:`ued_core.results.row.ResultRow.number`) by what each run drew."""
        result, spec, shipped = self.known(attack, defences), self._spec(attack, defences), shipped_runs()
        found = {}
        for draw in result.draws if result else ():
            seeded = {"seed": draw.seed, "attack_seed": draw.seed if draw.key is None else draw.key}
            data = {**spec.dataset.to_json(), **({} if draw.images is None else {"seed": draw.images})}
            key = RunSpec.from_json({**spec.to_json(), **seeded, "dataset": data}).key()
            row = shipped_row(key, shipped[key]) if key in shipped else None
            if row is not None and math.isfinite(value := row.number(name)):
                found[draw] = value
        return found

    def _spec(self, attack: Any = None, defences: Sequence[Any] = ()) -> RunSpec:
        given = {"dataset": self.dataset, "attack": attack, "defenses": list(defences)}
        recipe = {"plan": self.plan, "model": self.model}
        return RunSpec.from_json(given | {part: value for part, value in recipe.items() if value is not None})


FASHION = Setting("fashion", "fashion", "adamw")
SHAPES = Setting("shapes", "shapes", "adamw")
DIGITS = Setting("digits", "digits", "adamw")


# ---- differences in words ----------------------------------------------------------------------


def bullets(lines: Iterable[str]) -> str:
    """Markdown: a list of the lines that say something."""
    return "\n".join(f"- {line}" for line in lines if line)


def between(first: Known | None, second: Known | None) -> Comparison | None:
    """How much higher the first is than the second on the draws that both have; None without a common one."""
    if first is None or second is None:
        return None
    one, other = aligned(first.draws, second.draws)
    return compare(one, other) if one else None


def turned(found: Comparison) -> Comparison:
    """The same comparison with its sides exchanged, alone."""
    return judge(replace(found.gain, mean=-found.gain.mean))


def change(found: Comparison, sign: bool = True) -> str:
    """``+57.5 [39, 76] points (3 seeds)``, and whether it cannot be told."""
    words = [f"{found.gain.count} seeds"] if 1 < found.gain.count < FEW else []
    words += [found.word] if found.word == "cannot be told" else []
    return points(found.gain, sign) + (f" ({', '.join(words)})" if words else "")


def told(found: Comparison, more: str, less: str, doubt: str) -> str:
    """One of three clauses, by what may be said of a difference; ``{}`` in it becomes the difference.

    Args:
        found: the difference.
        more, less: where it is above or below zero; the difference has no sign there.
        doubt: where it cannot be told.
    """
    match found.word:
        case "better":
            return more.format(change(found, sign=False))
        case "worse":
            return less.format(change(turned(found), sign=False))
        case _:
            few = f", {found.gain.count} seeds" if 1 < found.gain.count < FEW else ""
            return doubt.format(points(found.gain) + few)


def nested(head: str, lines: Sequence[str]) -> str:
    """A line with lines of its own below it; empty without any."""
    return "\n".join([f"{head}:", *(f"  - {line}" for line in lines)]) if lines else ""


def title(name: str) -> str:
    """The beginning of a line."""
    return f"**{name[:1].upper()}{name[1:]}:**"


def cells(found: Mapping[str, Comparison | None], most: int | None = None) -> str:
    """``CUDA −72.8 [−96, −50] n3, VUDA …``: so many of the named differences, the largest first."""
    given = [(name, one) for name, one in found.items() if one is not None]
    ranked = sorted(given, key=lambda entry: -abs(entry[1].gain.mean))
    return listed([f"{name} {gain_cell(one)}" for name, one in ranked[:most]])
