"""What the recipe in an npz file says of its images: where they come from, and what was done to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ued_core.data.names import readable
from ued_core.errors import UedError

if TYPE_CHECKING:
    from ued_core.data.base import Dataset
    from ued_core.params import Parameter

_DEEPEST = 20
_LONGEST = 80
_MOST = 20


@dataclass(frozen=True)
class Provenance:
    """Where images come from.

    Attributes:
        changes: keys of the attacks and defences that were applied, in their order; empty for clean images.
        dataset: JSON of the data set whose images they were; None where it is not named.
        part: which part of it, ``train`` or ``test``; empty where it is not named.
        clean_hash: content hash of the images before the first change; empty where it is not named.
    """

    changes: tuple[str, ...] = ()
    dataset: Any = None
    part: str = ""
    clean_hash: str = ""

    def origin(self) -> Dataset | None:
        """The data set, configured; None where it is not named, or named by a path, which a file of others must not
        choose."""
        from ued_core.data import DATASETS

        try:
            found = DATASETS.parse(self.dataset)
        except UedError:
            return None
        return None if found.chosen_paths() else found


def origin_json(dataset: Dataset, part: str) -> dict[str, Any]:
    """What a recipe keeps of the data set; a path says nothing elsewhere and is nobody's business, so such a set stays
    unnamed."""
    named = {} if dataset.chosen_paths() else {"dataset": dataset.to_json()}
    return {**named, "part": part}


def without_paths(recipe: Any) -> Any:
    """A recipe of another file, without the data sets that it names by a path, as older versions of this program wrote
    them."""
    from ued_core.data import DATASETS

    if isinstance(recipe, list):
        return [without_paths(item) for item in recipe]
    if not isinstance(recipe, Mapping):
        return recipe
    kept = dict(recipe)
    dataset = kept.get("dataset")
    if isinstance(dataset, Mapping):
        name = dataset.get("name")
        if isinstance(name, str) and name in DATASETS and any(dataset.get(p.name) for p in _paths(DATASETS[name])):
            del kept["dataset"]
    return {key: without_paths(value) for key, value in kept.items()}


def _paths(dataset: type[Dataset]) -> list[Parameter]:
    return [p for p in dataset.parameters() if p.path]


def provenance(recipe: Any) -> Provenance | None:
    """Read what ``poison``, ``defend``, ``data`` and ``export`` wrote; None for anything else.

    Args:
        recipe: JSON of a file that anybody may have written.
    """
    changes: list[str] = []
    for _ in range(_DEEPEST):
        if not isinstance(recipe, Mapping):
            return None
        changes = [*_changes(recipe), *changes]
        if isinstance(recipe.get("given"), Mapping):
            recipe = recipe["given"]
            continue
        if not recipe.keys() & {"attack", "defenses", "data"}:
            return None
        data = recipe.get("data")
        data = data if isinstance(data, Mapping) else {}
        first = "clean_hash" if "clean_hash" in recipe else "given_hash"
        return Provenance(tuple(changes), data.get("dataset"), str(data.get("part", "")), str(recipe.get(first, "")))
    return None


def _changes(recipe: Mapping[str, Any]) -> list[str]:
    defenses = recipe.get("defenses")
    made = [*(defenses if isinstance(defenses, list) else [])]
    if recipe.get("attack") and recipe.get("poison_rate", 1.0) != 0:
        made.insert(0, recipe["attack"])
    named = (one.get("name", "?") if isinstance(one, Mapping) else one for one in made)
    return [readable(str(name))[:_LONGEST] for name in named][:_MOST]
