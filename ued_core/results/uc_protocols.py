"""Stored runs of what is tried on Unlearnable Clusters: other labels, mixing with clean images, no labels, other
networks.

A protocol's axis follows from the specs of its runs, so that a new protocol needs nothing here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ued_core.attacks import ATTACKS
from ued_core.data.relabel import RELABELLINGS
from ued_core.models import MODELS
from ued_core.results.measured import FOLDER, study_command
from ued_core.results.phenomenon import Condition
from ued_core.results.protocols import Axis, Line, Protocol
from ued_core.results.row import ResultRow, guessing, stored_rows
from ued_core.training import PLANS

FILE = FOLDER / "uc-protocols.json"
COMMAND = study_command(FILE.stem)


def stored_protocols(file: Path = FILE) -> list[Protocol]:
    """What is stored, in stored order; empty while nothing is.

    Raises:
        DataError: the file is no table of runs.
    """
    grouped: dict[tuple[str, str], list[ResultRow]] = {}
    for row in stored_rows(file):
        grouped.setdefault((row.protocol, row.spec["dataset"]["name"]), []).append(row)
    return [_protocol(name, dataset, rows) for (name, dataset), rows in grouped.items()]


def attack_words(spec: Mapping[str, Any]) -> str:
    """What a run trained on: ``clean``, an attack's title, or what Unlearnable Clusters is called with that encoder."""
    if spec["attack"] is None:
        return "clean"
    return ATTACKS.parse(spec["attack"]).label()


def _protocol(name: str, dataset: str, rows: Sequence[ResultRow]) -> Protocol:
    specs = [row.spec for row in rows]
    axis: Axis = "none"
    if any("relabel" in spec for spec in specs):
        axis = "classes"
    elif any(spec["attack"] and 0 < spec["poison_rate"] < 1 for spec in specs):
        axis = "poison_rate"
    lines: dict[str, dict[float, list[ResultRow]]] = {}
    # Runs at the end of the axis come last: they belong to all lines that lead there.
    for row in sorted(rows, key=lambda row: _at_the_end(row.spec, axis)):
        own = _line_name(row.spec, axis, specs)
        leads_there = [line for line in lines if axis == "poison_rate" or line.startswith(f"{own}, ")]
        for line in (leads_there if _at_the_end(row.spec, axis) else []) or [own]:
            lines.setdefault(line, {}).setdefault(_place(row, axis), []).append(row)
    made = []
    for line, places in lines.items():
        points = tuple((place, Condition(line, tuple(places[place]))) for place in sorted(places))
        made.append(Line(line, any(_attacked(row.spec) for found in places.values() for row in found), points))
    return Protocol(name, dataset, axis, tuple(made), tuple(rows))


def _at_the_end(spec: Mapping[str, Any], axis: Axis) -> bool:
    """Whether a run is where its axis begins or ends: all labels, or no poisoned image."""
    return (axis == "classes" and "relabel" not in spec) or (axis == "poison_rate" and spec["attack"] is None)


def _attacked(spec: Mapping[str, Any]) -> bool:
    return spec["attack"] is not None and spec.get("train_on") != "clean"


def _place(row: ResultRow, axis: Axis) -> float:
    spec = row.spec
    if axis == "classes":
        return float(spec["relabel"]["classes"] if "relabel" in spec else round(1 / guessing(row)))
    return float(spec["poison_rate"] if spec["attack"] else 0.0) if axis == "poison_rate" else 0.0


def _line_name(spec: Mapping[str, Any], axis: Axis, all_specs: Sequence[Mapping[str, Any]]) -> str:
    """What tells a run from the others of its protocol, besides the axis and the seed."""
    alone = spec.get("train_on") == "clean"
    parts = ["the clean images alone" if alone else attack_words(spec)]
    if axis == "classes" and "relabel" in spec:
        parts.append(RELABELLINGS[spec["relabel"]["name"]].title.lower())
    for part, catalogue in (("model", MODELS), ("plan", PLANS)):
        if len({other[part]["name"] for other in all_specs}) > 1:
            parts.append(catalogue[spec[part]["name"]].title)
    return ", ".join(parts)
