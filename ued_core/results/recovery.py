"""How many clean images undo a poison: the stored rows of ``benchmarks.recovery``, and what they say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from ued_core.results import evidence
from ued_core.results.evidence import Comparison, Draw, aligned, compare, draw_of, over
from ued_core.results.measured import FOLDER
from ued_core.results.open_answers import Answer, listed, rests_on
from ued_core.results.phenomenon import Condition
from ued_core.results.row import ResultRow, stored_rows
from ued_core.results.words import level, points

FILE = FOLDER / "recovery.json"
COMMAND = "python -m benchmarks.recovery"
METHODS = {
    "refitted": "last layer refitted",
    "tuned": "one epoch of all weights",
    "alone": "the same images alone",
    "alone_one_epoch": "one epoch on them alone",
}
"""Number of a point → what it is called: what the network gives, and its two controls."""
HALF = 0.5


@dataclass(frozen=True)
class Attacked:
    """The runs on one poison.

    Attributes:
        attack: its name in the table; ``clean`` is none.
        rows: one per seed.
    """

    attack: str
    rows: tuple[ResultRow, ...]

    @property
    def poisoned(self) -> bool:
        """Whether there is an attack at all."""
        return bool(self.rows and self.rows[0].spec.get("attack"))

    @property
    def known(self) -> list[int]:
        """The numbers of known images that any of the runs has, rising."""
        return sorted({point["known"] for row in self.rows for point in _points(row)})

    @property
    def as_trained(self) -> dict[Draw, float]:
        """Accuracy of the network as it is, by what a run drew."""
        return {draw_of(row): row.number("as_trained") for row in self.rows}

    def values(self, method: str, known: int) -> dict[Draw, float]:
        """An accuracy with so many known images, by what a run drew; runs without it are left out.

        Args:
            method: one of :data:`METHODS`.
            known: one of :attr:`known`.
        """
        found = {}
        for row in self.rows:
            value = next((point.get(method) for point in _points(row) if point["known"] == known), None)
            if value is not None:
                found[draw_of(row)] = float(value)
        return found


def _points(row: ResultRow) -> list[dict[str, Any]]:
    return row.value("points") or []


def by_attack(rows: Sequence[ResultRow]) -> list[Attacked]:
    """The runs attack by attack, in stored order."""
    names = dict.fromkeys(row.attack for row in rows)
    return [Attacked(name, tuple(row for row in rows if row.attack == name)) for name in names]


def stored() -> list[Attacked]:
    """What is stored; empty while nothing is."""
    return by_attack(stored_rows(FILE))


class Half(NamedTuple):
    """The fewest known images with which half of a loss is back.

    Attributes:
        known: how many.
        method: how, of :data:`METHODS`.
        share: of the loss that is back then.
    """

    known: int
    method: str
    share: float


def half_back(own: Attacked, clean: Attacked | None) -> Half | None:
    """The fewest known images with which the mean of half of a loss is back; None where no number of them does, or
    where it cannot be told that anything was lost.

    Args:
        own: the runs on one poison.
        clean: those on clean images.
    """
    if clean is None:
        return None
    for known in own.known:
        shares = {}
        for method in ("refitted", "tuned"):
            sides = aligned(own.values(method, known), own.as_trained, clean.as_trained)
            if sides[0] and (back := evidence.recovery(*sides)) is not None:
                shares[method] = back.share
        if shares and max(shares.values()) >= HALF:
            method = max(shares, key=shares.__getitem__)
            return Half(known, method, shares[method])
    return None


def over_alone(own: Attacked, method: str, known: int) -> Comparison | None:
    """What the network gives beyond the same images alone, on the same seeds; None without a common one."""
    first, second = aligned(own.values(method, known), own.values("alone", known))
    return compare(first, second) if first else None


def answer(found: Sequence[Attacked]) -> Answer:
    """How few clean images undo each poison, and whether they could have done it without the network."""
    clean = next((own for own in found if not own.poisoned), None)
    poisoned = [own for own in found if own.poisoned and own.known]
    seeds = rests_on([Condition(own.attack, own.rows) for own in found])
    if not poisoned:
        return Answer("Not measured yet.", (), seeds)
    halves, details = {own.attack: half_back(own, clean) for own in poisoned}, []
    for own in poisoned:
        details.append(_of_one(own, halves[own.attack]))
    if clean is not None and clean.known:
        details.append(_of_one(clean, None))
    parts = [f"{name} {half.known:,}" for name, half in halves.items() if half is not None]
    never = [name for name, half in halves.items() if half is None]
    words = f"Half of what an attack took is back with so many known clean images: {listed(parts)}" if parts else ""
    if never:
        most = max(own.known[-1] for own in poisoned)
        clause = f"of {listed(never)} it is not back, or not told, with {most:,}"
        words = f"{words}; {clause}" if words else f"Half of what an attack took: {clause}"
    return Answer(" ".join([f"{words}.", *_beside_alone(poisoned)]), tuple(details), seeds)


def _beside_alone(poisoned: Sequence[Attacked]) -> list[str]:
    """Whether the networks give more than the known images by themselves, at the fewest and at the most of them."""
    fewest, most = min(own.known[0] for own in poisoned), max(own.known[-1] for own in poisoned)
    beyond, behind = ([own.attack for own in poisoned if holds(own)] for holds in (_is_beyond, _is_behind))
    doubt = [own.attack for own in poisoned if own.attack not in beyond]
    told = [f"the network of {listed(beyond)} gives more than the same images alone"] if beyond else []
    if doubt:
        same = "does" if beyond else "gives more than the same images alone"
        told.append(f"whether the network of {listed(doubt)} {same} cannot be told")
    lines = [f"With {fewest:,} known images, {'; '.join(told)}."]
    if behind:
        lines.append(f"With {most:,}, the same images alone give more than the network of {listed(behind)}.")
    return lines


def _is_beyond(own: Attacked) -> bool:
    """Whether the network gives more than the fewest known images alone."""
    found = [over_alone(own, method, own.known[0]) for method in ("refitted", "tuned")]
    return any(one is not None and one.word == "better" for one in found)


def _is_behind(own: Attacked) -> bool:
    """Whether the most known images alone give more than the network, both ways."""
    found = [over_alone(own, method, own.known[-1]) for method in ("refitted", "tuned")]
    return all(one is not None and one.word == "worse" for one in found)


def _of_one(own: Attacked, half: Half | None) -> str:
    """One attack's curve in words: as trained, then at the fewest and the most known images."""
    text = f"{_capital(own.attack)}: {level(over(own.as_trained.values()))} % as trained"
    for known in dict.fromkeys((own.known[0], own.known[-1])):
        cells = {method: over(own.values(method, known).values()) for method in METHODS}
        best = max(("refitted", "tuned"), key=lambda method: cells[method].mean)
        text += f"; with {known:,} known images {level(cells['refitted'])} % by a new last layer, "
        text += f"{level(cells['tuned'])} % by one epoch of all weights"
        if cells["alone"].count and (beside := over_alone(own, best, known)) is not None:
            doubt = ", which cannot be told" if beside.word == "cannot be told" else ""
            text += f", {level(cells['alone'])} % from the same images alone (the better of both against it "
            text += f"{points(beside.gain)}{doubt})"
    if half is not None:
        text += f"; {100 * half.share:.0f} % of the loss are back with {half.known:,} ({METHODS[half.method]})"
    return f"{text}."


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
