"""The shipped tables of attacks and of defences: whatever rows are there, as means and spreads over seeds.

The tables are filled by benchmarks that can be stopped, so a file, a condition or a seed may be missing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ued_core.assets import asset
from ued_core.data import DATASETS
from ued_core.results.evidence import Comparison, Summary, compare, like_with_like, over
from ued_core.results.phenomenon import Condition
from ued_core.results.record import card_of
from ued_core.results.row import ResultRow

FOLDER = asset("results")
ATTACKS_FILE, DEFENCES_FILE = FOLDER / "attacks.json", FOLDER / "defences.json"


def study_command(name: str) -> str:
    """What fills a study's table."""
    return f"ued study run {name}"


ATTACKS_COMMAND, DEFENCES_COMMAND = study_command("attacks"), study_command("defences")


def reference_files() -> tuple[Path, ...]:
    """The tables of attacks and defences on photographs and on other sets: their clean runs are references for others
    on the same data."""
    return FOLDER / "fashion.json", DEFENCES_FILE


@dataclass(frozen=True)
class Grid:
    """Attack × defence on one data set.

    Attributes:
        attacks: names of the rows, clean first.
        defences: names of the columns, no defence first.
        cells: (attack, defence) → its runs; only what was measured.
    """

    attacks: tuple[str, ...]
    defences: tuple[str, ...]
    cells: Mapping[tuple[str, str], Condition]

    def none(self, attack: str) -> Condition | None:
        """The runs of an attack without a defence."""
        cells = (self.cells.get((attack, defence)) for defence in self.defences)
        return next((cell for cell in cells if cell is not None and not defences_of(cell)), None)

    def gain(self, attack: str, defence: str) -> Comparison | None:
        """What a defence gives over none on the draws that both have; None without a defence, or without such draws.

        A cell that cannot be paired has no place in a table of gains.
        """
        cell = self.cells.get((attack, defence))
        if cell is None or not defences_of(cell):
            return None
        found = against(cell, self.none(attack))
        return found if found.gain.count else None


def study_tables() -> dict[str, Path]:
    """The shipped studies whose finished runs ship too, as a table of the study's name."""
    files = (FOLDER / study.name for study in sorted(asset("studies").glob("*.json")))
    return {file.stem: file for file in files if file.exists()}


def crossed(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """The rows of a study whose conditions are an attack and a defence, perhaps on a named set, and nothing else."""
    return [row for row in rows if row.attack and row.defence and row.condition in _crossings(row)]


def _crossings(row: ResultRow) -> tuple[str, str]:
    cell = f"{row.attack} · {row.defence}"
    return cell, f"{row.dataset} · {cell}"


def by_rate(rows: Sequence[ResultRow]) -> dict[float, Condition]:
    """The runs of one defence at several rate targets, in nats per latent position, the tightest first; rows without
    such a defence are left out."""
    found: dict[float, list[ResultRow]] = {}
    for row in rows:
        targets = [defence["rate_1"] for defence in row.spec["defenses"] if "rate_1" in defence]
        if len(targets) == 1:
            found.setdefault(targets[0], []).append(row)
    return {target: Condition(own[0].condition, tuple(own)) for target, own in sorted(found.items())}


def undefended(rows: Sequence[ResultRow]) -> list[ResultRow]:
    """The rows of a study of attacks and defences that have no defence, named as the attack table names its own."""
    alone = (row for row in rows if row.attack and not row.spec["defenses"])
    return [ResultRow.from_json({**row.to_json(), "condition": row.attack}) for row in alone]


def data_sets(rows: Sequence[ResultRow]) -> list[str]:
    """The data sets in the rows, in stored order."""
    return list(dict.fromkeys(row.dataset for row in rows))


def data_title(name: str) -> str:
    """A data set's title; what a table calls it, where it is one of several of a data set."""
    return DATASETS[name].title if name in DATASETS else name[:1].upper() + name[1:]


def conditions(rows: Sequence[ResultRow], dataset: str) -> list[Condition]:
    """The conditions of one data set in the attack table, in stored order."""
    own = [row for row in rows if row.dataset == dataset]
    return [
        Condition(name, tuple(r for r in own if r.condition == name))
        for name in dict.fromkeys(r.condition for r in own)
    ]


def by_effect(found: Sequence[Condition]) -> list[Condition]:
    """Unattacked conditions first, then the others, the lowest mean of the last epoch first."""
    return sorted(found, key=lambda c: (attack_of(c) is not None, summary(c, "last").mean if attack_of(c) else 0.0))


def attack_of(condition: Condition) -> str | None:
    """Key of the attack in a condition's spec; None without one."""
    attack = condition.rows[0].spec["attack"]
    return attack["name"] if attack else None


def defences_of(condition: Condition) -> tuple[str, ...]:
    """Keys of the defences in a condition's spec, in the order in which they act."""
    return tuple(defence["name"] for defence in condition.rows[0].spec["defenses"])


def summary(condition: Condition, number: str) -> Summary:
    """One number of a condition over the seeds that have it."""
    return over(condition.values(number))


def reference(condition: Condition, found: Sequence[Condition]) -> Condition | None:
    """The condition without attack and defence that was trained in the same way; None where it is not there.

    Args:
        condition: what is compared.
        found: conditions of the same data set.
    """
    recipe = lambda c: [c.rows[0].spec[part] for part in ("model", "plan")]  # noqa: E731
    clean = [c for c in found if attack_of(c) is None and not defences_of(c)]
    return next((c for c in clean if recipe(c) == recipe(condition)), None)


def control(condition: Condition, found: Sequence[Condition]) -> Condition | None:
    """What a condition is compared with: without its defence, or, where it has none, without its attack; otherwise the
    same protocol. None for clean data without a defence, and where no such condition is there.

    Args:
        condition: what is compared.
        found: conditions of the same table.
    """
    own = card_of(condition.rows[0])
    cards = [(other, card_of(other.rows[0])) for other in found if other is not condition]
    plain = [(other, card) for other, card in cards if not card.defenses]
    if own.defenses:
        return next((other for other, card in plain if card.undefended() == own.undefended()), None)
    clean = (other for other, card in plain if card.attack is None and card.training() == own.training())
    return next(clean, None) if own.attack else None


def against(condition: Condition, other: Condition | None, number: str = "last") -> Comparison:
    """A condition against another on the draws that both have; without a common one it has no number."""
    return compare(*like_with_like(condition.rows, other.rows if other else (), number=number))


@dataclass(frozen=True)
class Frozen:
    """What an attack with a frozen encoder leaves of plain training, on one data set.

    Attributes:
        dataset: as the table calls it.
        name: what the condition is called.
        encoder: the attack's.
        clean: accuracy on clean test images, 0..1, after the same training on clean images; None where no run is there.
        attacked: the same after training on poisoned ones.
    """

    dataset: str
    name: str
    encoder: str
    clean: Summary | None
    attacked: Summary

    @property
    def lost(self) -> float:
        """How much accuracy the attack took, 0..1; nan where nothing tells."""
        return self.clean.mean - self.attacked.mean if self.clean is not None else math.nan


def frozen_effects(rows: Sequence[ResultRow]) -> list[Frozen]:
    """What attacks that differ in their frozen encoder alone leave, data set by data set, the strongest first.

    Args:
        rows: of the attack table.
    """
    told = []
    for dataset in data_sets(rows):
        known = conditions(rows, dataset)
        attacked = [c for c in known if "encoder" in (c.rows[0].spec["attack"] or {}) and not defences_of(c)]
        for own in by_effect(attacked):
            clean = reference(own, known)
            told.append(
                Frozen(
                    dataset,
                    own.name,
                    own.rows[0].spec["attack"]["encoder"],
                    None if clean is None else summary(clean, "last"),
                    summary(own, "last"),
                )
            )
    return told


def grid(rows: Sequence[ResultRow], dataset: str) -> Grid:
    """The defence table of one data set; which row is clean and which column undefended is read from the specs."""
    own = [row for row in rows if row.dataset == dataset]
    grouped: dict[tuple[str, str], list[ResultRow]] = {}
    for row in own:
        grouped.setdefault((row.attack, row.defence), []).append(row)
    # Without a defence the cell is the attack alone, as in the attack table.
    named = {(a, d): f"{a} · {d}" if found[0].spec["defenses"] else a for (a, d), found in grouped.items()}
    cells = {place: Condition(named[place], tuple(found)) for place, found in grouped.items()}
    attacks = {attack: attack_of(cell) is not None for (attack, _), cell in cells.items()}
    defences = {defence: bool(defences_of(cell)) for (_, defence), cell in cells.items()}
    return Grid(
        tuple(sorted(attacks, key=attacks.__getitem__)), tuple(sorted(defences, key=defences.__getitem__)), cells
    )
