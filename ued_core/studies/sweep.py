"""A study of one slider: the first defence's parameter at several values, beside the attack alone and clean images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ued_core.errors import NotAllowed
from ued_core.files import write_json
from ued_core.params import fingerprint
from ued_core.person import OWNER, Person
from ued_core.runs.spec import RunSpec
from ued_core.studies.shelf import own_studies
from ued_core.studies.study import Study
from ued_core.studies.submission import Submission, submit_missing

ALONE, CLEAN = "the attack alone", "clean images"
"""Labels of the conditions outside of the slider."""


def sweep(spec: RunSpec, parameter: str, values: Sequence[float], seeds: Sequence[int]) -> dict[str, Any]:
    """The study as the JSON of its file; equal sweeps have the same name.

    Args:
        spec: what is trained at every value, with an attack and at least one defence; its seeds do not matter.
        parameter: of the first defence.
        values: of the parameter, all different.
        seeds: one run of each condition per seed; a seed draws everything that the data set, the attack and training
            draw.

    Raises:
        SpecError, ParameterError: a value is none that the parameter may have, or the values are not all different.
    """
    base = {name: value for name, value in spec.to_json().items() if name not in ("seed", "attack_seed", "note")}
    base["dataset"] = {name: value for name, value in base["dataset"].items() if name != "seed"}
    first = spec.defenses[0]
    label = next(known.label for known in first.parameters() if known.name == parameter)
    titles = [m.title for m in (spec.dataset, spec.attack, *spec.defenses) if m is not None]
    declared = {
        "title": f"{' · '.join(titles)}: {label} at {len(values)} values",
        "note": f"From the slider of the page Defence. One run per value of {label} and seed, everything else alike.",
        "base": base,
        "axes": [{"name": label, "field": f"defenses.0.{parameter}", "values": list(values)}],
        "extra": [
            {"label": ALONE, "set": {"defenses": []}},
            {"label": CLEAN, "set": {"attack": None, "defenses": []}},
        ],
        "seeds": list(seeds),
        "comparisons": [
            {"name": f"What {first.title} gives back", "of": {label: [f"{value:.10g}" for value in values]}},
            {"name": "What the attack takes", "of": [ALONE], "against": CLEAN},
        ],
    }
    parts = (spec.dataset.key, spec.attack.key if spec.attack else "clean", first.key, fingerprint(declared)[:6])
    made = {"name": "-".join(part.replace("_", "-") for part in parts), **declared}
    Study.from_json(made, "The sweep")
    return made


def start_sweep(
    spec: RunSpec, parameter: str, values: Sequence[float], seeds: Sequence[int], by: Person = OWNER
) -> tuple[str, Submission]:
    """Keep the study among those of the home and queue its runs.

    Returns:
        The study's name, and what was done; a sweep that is there already goes on.

    Raises:
        NotAllowed: ``by`` is a visitor. Otherwise as :func:`sweep` and :func:`submit_missing`.
    """
    if not by.owner:
        raise NotAllowed("Only the owner of this server may keep a study.", "Train runs of your own on the page Runs.")
    made = sweep(spec, parameter, values, seeds)
    file: Path = own_studies() / f"{made['name']}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        write_json(file, made)
    return made["name"], submit_missing(file, by=by)
