"""What is said about a run: states, durations, and the sentence that follows from its result."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from pages.frame.hidden import seen, seen_parameter
from ued_core.params import Method
from ued_core.runs import RunRecord
from ued_core.studies.estimate import duration


@dataclass(frozen=True)
class StateWords:
    """How a state is shown: icon, word, colour of its badge, and what it means."""

    icon: str
    word: str
    colour: Literal["gray", "blue", "green", "red", "orange"]
    meaning: str


STATE_WORDS: Mapping[str, StateWords] = MappingProxyType(
    {
        "queued": StateWords(
            "○",
            "Queued",
            "gray",
            "waits for a free processor or GPU; people take turns, and the runs of one person begin in the order of "
            "submission",
        ),
        "running": StateWords(
            "▶", "Running", "blue", "is being computed by a process of its own; closing this page does not stop it"
        ),
        "finished": StateWords("✔", "Finished", "green", "trained to the last epoch and measured"),
        "failed": StateWords(
            "✖", "Failed", "red", "stopped with an error, which its page explains; resume it once that is mended"
        ),
        "cancelled": StateWords("■", "Cancelled", "gray", "was stopped on request; it can be resumed"),
        "interrupted": StateWords(
            "▲",
            "Interrupted",
            "orange",
            "its process died (power, memory, kill); it can be resumed",
        ),
    }
)


def state_text(record: RunRecord) -> str:
    """Icon and word of the run's state."""
    words = STATE_WORDS[record.state]
    if record.cancelling:
        return f"{words.icon} Cancelling"
    if not record.responding:
        return f"{words.icon} Not responding"
    return f"{words.icon} {words.word}"


def damage_words(record: RunRecord) -> str:
    """What of the run's files cannot be, in one line; empty for a sound run."""
    return f"damaged: {'; '.join(record.damaged)}" if record.damaged else ""


def percent(value: float | None, digits: int = 0) -> str:
    """``0.214`` as ``21 %``; a dash for what is not known."""
    return "–" if value is None or not math.isfinite(value) else f"{100 * value:.{digits}f} %"


def progress_of(record: RunRecord) -> float:
    """Share of the training that is done, 0..1: of all epochs when they are known."""
    if record.state == "finished":
        return 1.0
    by_epochs = record.epoch / record.epochs if record.epochs else 0.0
    # Reports within an epoch count steps of the whole training.
    inside = record.fraction if record.text.startswith("epoch") else 0.0
    return min(1.0, max(by_epochs, inside))


def time_left(record: RunRecord) -> str:
    """The time that a running run still needs, or before its training the step that it is in; empty while nobody
    knows."""
    if record.state != "running" or record.seconds_left is None:
        return ""
    if not record.text.startswith("epoch"):
        return f"{duration(record.seconds_left)} left of this step" if record.fraction < 1 else ""
    return f"{duration(record.seconds_left)} left"


def seed_of(spec: Mapping[str, Any]) -> int | None:
    """The spec's seed; None when the spec is unreadable."""
    return spec.get("seed") if isinstance(spec.get("seed"), int) else None


def seed_words(spec: Mapping[str, Any]) -> str:
    """The spec's seed for a sentence."""
    seed = seed_of(spec)
    return "unknown" if seed is None else str(seed)


def short_id(run_id: str) -> str:
    """The last four characters, which :func:`ued_core.runs.run` accepts."""
    return run_id.rpartition("-")[2]


def flat(value: Any, prefix: str = "") -> dict[str, str]:
    """Every parameter of a spec by its path, as text: what comparing and the protocol show.

    ``{"plan": {"name": "sgd", "epochs": 3}}`` becomes ``{"plan": "sgd", "plan · epochs": "3"}``.
    """
    found: dict[str, str] = {}
    for name, entry in value.items():
        path = f"{prefix} · {name}" if prefix else name
        path = path.replace("_", " ")
        if isinstance(entry, Mapping):
            found[path] = str(entry.get("name", ""))
            found |= flat({k: v for k, v in entry.items() if k != "name"}, path)
        elif isinstance(entry, list | tuple):
            names = [str(part.get("name", "")) if isinstance(part, Mapping) else str(part) for part in entry]
            found[path] = " → ".join(names) or "none"
            for part in entry:
                if isinstance(part, Mapping):
                    found |= flat({k: v for k, v in part.items() if k != "name"}, f"{path} · {part.get('name', '')}")
        else:
            found[path] = "none" if entry is None else f"{entry:g}" if isinstance(entry, float) else seen(str(entry))
    return found


def method_words(method: Method) -> str:
    """A configured method in a few words: its title, and what is not at its default."""
    declared = {p.name: p for p in method.parameters()}
    changed = {name: value for name, value in method.model_dump().items() if value != declared[name].default}
    parts = []
    for name, value in changed.items():
        if isinstance(value, bool):
            parts.append(declared[name].label if value else f"not {declared[name].label}")
            continue
        text = f"{value:g}" if isinstance(value, float) else seen_parameter(declared[name], value)
        parts.append(f"{declared[name].label} {text} {declared[name].unit}".rstrip())
    return f"{method.title} ({', '.join(parts)})" if parts else method.title


def differing(specs: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """One dict a spec with the parameters in which they are not all alike.

    A method that only some of them have counts as one difference, not as one for each of its
    parameters: those are listed only where two specs have the method and disagree. What a spec
    lacks is shown by a dash.
    """
    tables = [flat({k: v for k, v in spec.items() if k not in ("note", "device")}) for spec in specs]
    names = list(dict.fromkeys(name for table in tables for name in table))
    chosen = [name for name in names if len({table[name] for table in tables if name in table}) > 1]
    return [{name: table.get(name, "–") for name in chosen} for table in tables]


def surroundings(records: Sequence[RunRecord]) -> dict[str, str]:
    """What the results of some runs may depend on besides their specs; several values where they differ, nothing where
    it is unknown."""
    rows = [
        {
            "precision": r.precision,
            "device": r.device,
            **{name: str(r.environment.get(name, "")) for name in ("torch", "threads")},
        }
        for r in records
    ]
    told = {
        name: ", ".join(dict.fromkeys(row[name] for row in rows if row[name]))
        for name in ("precision", "device", "torch", "threads")
    }
    return {name: text for name, text in told.items() if text}


def other_surroundings(groups: Sequence[Sequence[RunRecord]]) -> list[dict[str, str]]:
    """One dict a group of runs with what of their :func:`surroundings` is not alike in all of them; a dash where it is
    unknown."""
    alone = [surroundings([record]) for group in groups for record in group]
    names = list(dict.fromkeys(name for table in alone for name in table))
    chosen = [name for name in names if len({table[name] for table in alone if name in table}) > 1]
    return [{name: table.get(name, "–") for name in chosen} for table in map(surroundings, groups)]


# What titles and columns of their own say already.
_SAID = frozenset({"dataset", "attack", "defenses", "model", "seed"})
_SHORT = {"attack_seed": "private key"}
# What people vary comes first: a table cuts long words off.
_FIRST = ("defenses", "attack", "poison", "plan", "model")


def _rank(path: str) -> int:
    return next((place for place, start in enumerate(_FIRST) if path.startswith(start)), len(_FIRST))


def told_apart(records: Sequence[RunRecord]) -> list[str]:
    """For each run, in which parameters it differs from the others of the same title; empty where there is nothing to
    tell apart."""
    words = dict.fromkeys((record.id for record in records), "")
    for title in {record.title for record in records}:
        alike = [record for record in records if record.title == title]
        around = other_surroundings([[record] for record in alike])
        for record, parameters, computed in zip(
            alike, differing([record.spec for record in alike]), around, strict=True
        ):
            # The arithmetic is part of a run's identity; the rest of what computed it is told where runs are compared.
            parameters = {"precision": computed.get("precision", "–"), **parameters}
            own = {
                name: parameters[name]
                for name in sorted(parameters, key=_rank)
                if name not in _SAID and parameters[name] != "–"
            }
            words[record.id] = ", ".join(
                f"{_SHORT.get(name, name.rpartition(' · ')[2].replace('_', ' '))} {value}"
                for name, value in own.items()
            )
    return [words[record.id] for record in records]
