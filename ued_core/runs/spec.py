"""What a run is: every choice that decides its result, and its name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

from ued_core.attacks import ATTACKS, Attack
from ued_core.class_numbers import check_classes
from ued_core.data import DATASETS
from ued_core.data.base import Dataset
from ued_core.data.relabel import RELABELLINGS, Relabelling
from ued_core.data.walk import open_plain
from ued_core.defenses import DEFENSES, DefenseStack
from ued_core.errors import SpecError, in_short
from ued_core.files import text_of
from ued_core.models import MODELS, Model
from ued_core.params import LARGEST_SEED, fingerprint
from ued_core.training import PLANS, Plan

# Raised whenever code changes what every spec computes, so that old results keep their own names; a method has its
# ``revision``.
RESULTS_VERSION = 1
_MOST_BYTES = 4 << 20
TrainOn = Literal["all", "clean"]
Device = Literal["auto", "cpu", "cuda"]


@dataclass(frozen=True)
class RunSpec:
    """One training run, complete.

    Attributes:
        dataset: what is trained and tested on.
        attack: poisons the training part, or None.
        poison_rate: share of the training images that are poisoned, 0..1.
        poison_classes: numbers of the classes that are poisoned, or None for all.
        attack_seed: the attack's private key.
        train_on: ``all`` images, or those alone that the attack leaves ``clean``: the control for a poison rate below
            1.
        relabel: the labels that the hacker gives training and test images, or None for those of the data set; the
            attack never sees them.
        defenses: the stack that the run trains under; any sequence of defences is taken for one.
        model: what is trained.
        plan: how.
        seed: weights, order of the images, augmentation and defence draws.
        device: ``auto``, ``cpu`` or ``cuda``; not part of the identity.
        note: free text; not part of the identity.

    Raises:
        SpecError: the combination makes no sense.
    """

    dataset: Dataset
    model: Model
    plan: Plan
    attack: Attack | None = None
    poison_rate: float = 1.0
    poison_classes: tuple[int, ...] | None = None
    attack_seed: int = 0
    train_on: TrainOn = "all"
    relabel: Relabelling | None = None
    defenses: DefenseStack = DefenseStack()
    seed: int = 0
    device: Device = "auto"
    note: str = ""

    def __post_init__(self) -> None:
        if (
            not isinstance(self.poison_rate, int | float)
            or isinstance(self.poison_rate, bool)
            or not 0.0 <= self.poison_rate <= 1.0
        ):
            raise SpecError(f"The poison rate is {self.poison_rate!r}, but it must be a number from 0 to 1.")
        object.__setattr__(self, "defenses", DefenseStack(self.defenses))
        if self.poison_classes is not None:
            object.__setattr__(self, "poison_classes", check_classes(self.poison_classes))
        for name in ("seed", "attack_seed"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST_SEED:
                raise SpecError(f"{name} is {value!r}, but it must be a whole number from 0 to {LARGEST_SEED}.")
        if self.train_on not in get_args(TrainOn):
            raise SpecError(f"train_on is {self.train_on!r}, but it must be 'all' or 'clean'.")
        if self.train_on == "clean" and self.attack is None:
            raise SpecError(
                "train_on is 'clean', but no attack is named that would leave images clean.",
                "Name one, or write 'all'.",
            )
        if self.train_on == "clean" and self.poison_rate == 1 and self.poison_classes is None:
            raise SpecError(
                "train_on is 'clean', but a poison rate of 1 leaves no image clean.",
                "Lower the rate, or poison some classes alone.",
            )
        if self.device not in ("auto", "cpu", "cuda"):
            raise SpecError(f"The device is {self.device!r}, but it must be 'auto', 'cpu' or 'cuda'.")
        if not isinstance(self.note, str) or len(self.note) > 500:
            raise SpecError("The note must be text of at most 500 characters.", "Shorten it.")

    def to_json(self) -> dict[str, Any]:
        """Plain values; :meth:`from_json` reads them back."""
        return {**self.identity(), "device": self.device, "note": self.note}

    def identity(self) -> dict[str, Any]:
        """The part that decides the result. Without an attack, its rate, classes and key decide nothing."""
        # Only named where they are not the default: runs from before they existed keep their keys.
        some: dict[str, Any] = (
            {"poison_classes": list(self.poison_classes)} if self.attack and self.poison_classes is not None else {}
        )
        some |= {"train_on": self.train_on} if self.train_on != "all" else {}
        some |= {"relabel": self.relabel.to_json()} if self.relabel else {}
        return {
            "dataset": self.dataset.to_json(),
            "attack": self.attack.to_json() if self.attack else None,
            "poison_rate": float(self.poison_rate) if self.attack else 1.0,
            **some,
            "attack_seed": self.attack_seed if self.attack else 0,
            "defenses": self.defenses.to_json(),
            "model": self.model.to_json(),
            "plan": self.plan.to_json(),
            "seed": self.seed,
        }

    def key(self) -> str:
        """Twelve hex digits: two runs with the same key have the same result."""
        methods = [m for m in (self.dataset, self.attack, self.relabel, *self.defenses, self.model, self.plan) if m]
        revised = [[m.key, m.revision()] for m in methods if m.revision()]
        return fingerprint({"version": RESULTS_VERSION, **self.identity(), **({"revised": revised} if revised else {})})

    def title(self) -> str:
        """A short readable name, e.g. ``shapes · CUDA · COIN · Small CNN``."""
        parts = [self.dataset.label(), self.attack.title if self.attack else self.dataset.without_attack]
        parts += [f"{self.relabel.classes} classes"] if self.relabel else []
        parts += ["its clean images alone"] if self.train_on == "clean" else []
        return " · ".join([*parts, *(d.title for d in self.defenses), self.model.title])

    def located(self, base: Path | None) -> RunSpec:
        """The same with every path absolute (:meth:`ued_core.params.Method.located`), whichever method declares it.

        Raises:
            ParameterError: a relative path, and ``base`` is None.
        """
        one = {
            name: value.located(base)
            for name in ("dataset", "attack", "relabel", "model", "plan")
            if (value := getattr(self, name))
        }
        return replace(self, **one, defenses=self.defenses.located(base))

    @classmethod
    def from_json(cls, value: Any) -> RunSpec:
        """Read a spec; methods may be bare names, and everything has a default but the data set. Paths stay as they are
        written.

        Raises:
            SpecError, UnknownName, ParameterError: what is wrong and what to do.
        """
        if not isinstance(value, Mapping):
            raise SpecError(f"A run spec must be a JSON object, but this is {type(value).__name__}.")
        known = {
            "dataset",
            "attack",
            "poison_rate",
            "poison_classes",
            "attack_seed",
            "train_on",
            "relabel",
            "defenses",
            "model",
            "plan",
            "seed",
            "device",
            "note",
        }
        unknown = sorted(set(value) - known)
        if unknown:
            raise SpecError(
                f"A run spec has no {', '.join(map(repr, unknown))}.", f"It may have {', '.join(sorted(known))}."
            )
        if "dataset" not in value:
            raise SpecError("The run spec names no data set.", 'Add "dataset": "shapes", for example.')
        defenses = [] if value.get("defenses") is None else value["defenses"]
        if not isinstance(defenses, list | tuple):
            raise SpecError(f"'defenses' is {defenses!r}, but it must be a list, in the order in which they act.")
        dataset = DATASETS.parse(value["dataset"])
        plan = "adamw" if value.get("plan") is None else value["plan"]
        if isinstance(plan, str):
            plan = {"name": plan}
        if isinstance(plan, Mapping):
            plan = {**dataset.recommended_plan, **plan}
        return cls(
            dataset=dataset,
            attack=ATTACKS.parse(value["attack"]) if value.get("attack") is not None else None,
            poison_rate=value.get("poison_rate", 1.0),
            poison_classes=value.get("poison_classes"),
            attack_seed=value.get("attack_seed", 0),
            train_on="all" if value.get("train_on") is None else value["train_on"],
            relabel=RELABELLINGS.parse(value["relabel"]) if value.get("relabel") is not None else None,
            defenses=DefenseStack.from_json(defenses, DEFENSES),
            model=MODELS.parse("small_cnn" if value.get("model") is None else value["model"]),
            plan=PLANS.parse(plan),
            seed=value.get("seed", 0),
            device=value.get("device", "auto"),
            note=value.get("note", ""),
        )

    @classmethod
    def read(cls, path: Path) -> RunSpec:
        """Read a spec that a user wrote into a file; a relative path in it starts in the file's own folder.

        Raises:
            SpecError: the file is missing, no text or not JSON, besides what :meth:`from_json` raises.
        """
        return cls._read(path).located(path.absolute().parent)

    @classmethod
    def read_submitted(cls, path: Path) -> RunSpec:
        """Read the spec of a run's folder, whose paths became absolute when it was submitted.

        Raises:
            SpecError: as :meth:`read`.
            ParameterError: a relative path, in a run from before they were made absolute.
        """
        return cls._read(path).located(None)

    @classmethod
    def _read(cls, path: Path) -> RunSpec:
        try:
            with open_plain(path) as file:
                content = file.read(_MOST_BYTES + 1)
        except (OSError, ValueError) as error:
            raise SpecError(f"The spec file {path} cannot be read: {in_short(error)}.", "Check the path.") from error
        if len(content) > _MOST_BYTES:
            raise SpecError(f"The spec file {path} has more than {_MOST_BYTES >> 20} MiB.", "Check the path.")
        return cls.from_json(read_json(content, f"The spec file {path}"))


def _once(pairs: list[tuple[str, Any]], name: str) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for number, (key, _) in enumerate(pairs) if key in dict(pairs[:number]))
        raise SpecError(f"{name} has {twice!r} twice, and nothing says which is meant.", "Keep one of them.")
    return found


def read_json(content: bytes, name: str) -> Any:
    """The value of a user's JSON text (:func:`ued_core.files.text_of`).

    Args:
        content: the text's bytes.
        name: what the text is, as the beginning of a sentence.

    Raises:
        SpecError: it is no text, or no JSON.
    """
    try:
        text = text_of(content)
    except UnicodeError as error:
        what = f"{name} is not text in UTF-8, UTF-16 or UTF-32: {in_short(error)}."
        raise SpecError(what, "Open it in an editor and save it as UTF-8.") from error
    try:
        return json.loads(text, object_pairs_hook=lambda pairs: _once(pairs, name))
    except json.JSONDecodeError as error:
        where = f"{error.msg} in line {error.lineno}, column {error.colno}"
        raise SpecError(f"{name} is not JSON: {where}.", "Correct it there, or write it anew.") from None
    except (ValueError, RecursionError) as error:
        raise SpecError(f"{name} is not JSON: {in_short(error)}.", "Correct it, or write it anew.") from error
