"""Does poison survive a pretrained start? The stored rows of the study ``pretrained``, and what they say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ued_core.results.evidence import (
    Comparison,
    Draw,
    aligned,
    compare,
    corrected,
    judge,
    like_with_like,
    minus,
    over,
    summed,
)
from ued_core.results.measured import FOLDER, study_command
from ued_core.results.open_answers import NOT_YET, Answer, listed, rests_on
from ued_core.results.phenomenon import Condition
from ued_core.results.row import ResultRow, stored_rows
from ued_core.results.words import bounds, level, points

STUDY = "pretrained"
FILE = FOLDER / f"{STUDY}.json"
COMMAND = study_command(STUDY)
BETWEEN = " · "
SCRATCH = "from scratch"
STARTS = (SCRATCH, "linear probe", "fine-tuned")
ATTACKS = ("CUDA", "LSP", "region", "EM", "UC")
"""What the study declares, which may not be trained yet."""


@dataclass(frozen=True)
class Starts:
    """What every attack leaves of every start of training.

    Attributes:
        cells: (start, attack) → its runs.
    """

    cells: Mapping[tuple[str, str], Condition]

    @property
    def starts(self) -> tuple[str, ...]:
        """In stored order."""
        return tuple(dict.fromkeys(start for start, _ in self.cells))

    @property
    def attacks(self) -> tuple[str, ...]:
        """In stored order, those without an attack first."""
        found = dict.fromkeys(attack for _, attack in self.cells)
        return tuple(sorted(found, key=lambda attack: attack in self._attacked))

    @cached_property
    def _attacked(self) -> frozenset[str]:
        return frozenset(attack for (_, attack), c in self.cells.items() if c.rows[0].spec.get("attack"))

    def clean(self, start: str) -> Condition | None:
        """The runs of a start on clean images; None while there are none."""
        own = (attack for place, attack in self.cells if place == start and attack not in self._attacked)
        return next((self.cells[start, attack] for attack in own), None)

    @cached_property
    def losses(self) -> dict[tuple[str, str], Comparison]:
        """What every attack leaves against clean images of the same start, negative where it takes; those without a
        common seed are left out. p is corrected for the number of comparisons that the study declares."""
        places = [place for place in self.cells if place[1] in self._attacked]
        found = [compare(*self._pair(place)) for place in places]
        found += [compare({}, {})] * (len(STARTS) * len(ATTACKS) - len(found))
        judged = zip(places, corrected(found)[: len(places)], strict=True)
        return {place: one for place, one in judged if one.gain.count}

    def _pair(self, place: tuple[str, str]) -> list[dict[Draw, float]]:
        clean = self.clean(place[0])
        return like_with_like(self.cells[place].rows, clean.rows if clean else ())

    def spared(self, start: str, attack: str, other: str = SCRATCH) -> Comparison | None:
        """How much less an attack takes of a start than of another, on the same seeds; None without a common one.

        Args:
            start, attack: a place.
            other: the start that is compared with.
        """
        if (start, attack) not in self.cells or (other, attack) not in self.cells:
            return None
        own, theirs = aligned(*(minus(*self._pair((name, attack))) for name in (start, other)))  # type: ignore[arg-type]  # draws
        return judge(summed(minus(own, theirs))) if own else None


def starts_of(rows: Sequence[ResultRow]) -> Starts:
    """The rows of the study, start by start and attack by attack."""
    cells: dict[tuple[str, str], list[ResultRow]] = {}
    for row in rows:
        start = row.condition.removesuffix(f"{BETWEEN}{row.attack}")
        cells.setdefault((start, row.attack), []).append(row)
    return Starts({place: Condition(BETWEEN.join(place), tuple(found)) for place, found in cells.items()})


def stored() -> Starts:
    """What is stored; without cells while nothing is."""
    return starts_of(stored_rows(FILE))


def answer(found: Starts) -> Answer:
    """What each attack takes of each start, and whether a pretrained one is spared."""
    seeds = rests_on(list(found.cells.values()))
    if not found.losses:
        return Answer(NOT_YET, (), seeds)
    parts = [f"{words}." for start in found.starts if (words := _harm(found, start))]
    details = [words for start in found.starts if (words := _detail(found, start))]
    return Answer(" ".join(parts), (*details, *_untrained(found)), seeds)


def _untrained(found: Starts) -> list[str]:
    """What the study declares and nobody has trained yet, start by start."""
    absent = {start: [attack for attack in ATTACKS if (start, attack) not in found.losses] for start in STARTS}
    parts = [f"{start} {listed(attacks)}" for start, attacks in absent.items() if attacks]
    return [f"Not trained yet on poison and clean images: {'; '.join(parts)}."] if parts else []


def _harm(found: Starts, start: str) -> str:
    """Which attacks take accuracy of a start, and whether they take less than of one from scratch."""
    own = {attack: one for (place, attack), one in found.losses.items() if place == start}
    if not own:
        return ""
    by = {word: [attack for attack, one in own.items() if one.word == word] for word in ("worse", "cannot be told")}
    harm, doubt = by["worse"], by["cannot be told"]
    parts = [f"{len(harm)} of {len(own)} attacks take accuracy ({listed(harm)})"] if harm else []
    if doubt:
        parts.append(f"of {listed(doubt)} it cannot be told whether accuracy is lost")
    rises = "" if harm or doubt else "no attack is seen to take accuracy"
    words = f"{_capital(start)}: {', '.join(parts) or rises}"
    return words + (_spared(found, start, list(own)) if start != SCRATCH else "")


def _spared(found: Starts, start: str, attacks: Sequence[str]) -> str:
    """How a pretrained start fares beside one from scratch, as the end of a sentence."""
    compared = {attack: one for attack in attacks if (one := found.spared(start, attack)) is not None}
    words = {
        "better": "{} less than from scratch",
        "worse": "{} more than from scratch",
        "cannot be told": "whether {} less than from scratch cannot be told",
    }
    parts = []
    for word, clause in words.items():
        names = [attack for attack, one in compared.items() if one.word == word]
        if names:
            parts.append(clause.format(f"{listed(names)} {'take' if len(names) > 1 else 'takes'}"))
    return f"; {'; '.join(parts)}" if parts else ""


def _detail(found: Starts, start: str) -> str:
    """A start in numbers: clean, then every attack with its loss and what is spared of it."""
    clean = found.clean(start)
    if clean is None:
        return ""
    cells = []
    for attack in found.attacks:
        lost = found.losses.get((start, attack))
        if lost is None:
            continue
        text = f"{attack} {points(lost.gain)}"
        text += " (cannot be told)" if lost.word == "cannot be told" else ""
        spared = None if start == SCRATCH else found.spared(start, attack)
        if spared is not None:
            doubt = "?" if spared.word == "cannot be told" else ""
            text += f", {_signed(spared)}{doubt}{bounds(spared.gain.interval)} against from scratch"
        cells.append(f"{text}, n = {lost.gain.count}")
    accuracy = f"{_capital(start)}: clean {level(over(clean.values('last')))} % (n = {len(clean.rows)})"
    return f"{accuracy}; {'; '.join(cells)}." if cells else f"{accuracy}."


def _signed(found: Comparison) -> str:
    return f"{100 * found.gain.mean:+.1f}".replace("-", "−")


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]
