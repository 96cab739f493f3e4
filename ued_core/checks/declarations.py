"""What every method promises by its declaration, whatever its kind: parameters, texts, JSON."""

from __future__ import annotations

import json
from typing import Any

from ued_core.catalogue import Catalogue
from ued_core.checks.sample import needed_values, other_value, refused
from ued_core.errors import ParameterError
from ued_core.params import Method, Parameter


def description_is_complete(entry: type[Method]) -> None:
    """Name, title, a summary of one sentence, a source, and help for every parameter; all of it JSON."""
    told = entry.describe()
    assert json.loads(json.dumps(told)) == json.loads(json.dumps(told, allow_nan=False))
    assert told["name"] == entry.key == entry.key.lower(), "the key is written in small letters"
    assert told["title"], "the class has no title"
    assert told["summary"].endswith((".", ":")), "the docstring's first line must be a sentence"
    assert len(told["summary"]) > 15, "the docstring's first line says too little"
    assert len(told["source"]) > 10, f"{entry.__name__}'s docstring has no section Source"
    assert "name" not in entry.model_fields, "to_json() writes the entry's own name under this key"
    for p in told["parameters"]:
        assert len(p["help"]) > 10, f"{p['name']} has no help"
        assert p["label"], f"{p['name']} has no label"


def defaults_and_quick_values_are_legal(entry: type[Method]) -> None:
    """Defaults lie inside their limits and on a slider's steps; quick values are taken."""
    needed = needed_values(entry)
    default = entry(**needed)
    for p in entry.parameters():
        assert p.name in needed or getattr(default, p.name) == p.default
        if p.minimum is not None:
            assert p.minimum <= p.default, f"{p.name}'s default lies below its minimum"
        if p.maximum is not None:
            assert p.default <= p.maximum, f"{p.name}'s default lies above its maximum"
        if p.kind == "choice":
            assert p.default in p.choices, f"{p.name}'s default is none of its choices"
        if p.step is not None:
            assert p.minimum is not None, f"{p.name} has a step and no minimum that steps start from"
            steps = (p.default - p.minimum) / p.step
            assert abs(steps - round(steps)) < 1e-6, f"a slider with step {p.step} never stands on {p.name}'s default"
    entry(**needed, **{k: v for k, v in entry.quick_values().items() if k not in needed})


def unknown_parameters_are_refused(entry: type[Method]) -> None:
    """A misspelt parameter is refused, and the message offers the one that was meant."""
    for name, expected in [(f"{p.name[:-1]}", p.name) for p in entry.parameters()] + [("zzzz", entry.title)]:
        if name not in entry.model_fields and name:
            with refused(ParameterError, repr(name), expected):
                entry(**{name: 1})


def wrong_values(p: Parameter) -> list[Any]:
    """Values that the parameter must refuse."""
    wrong: list[Any] = ["no such value"] if p.kind != "text" else [3]
    if p.minimum is not None:
        wrong.append(p.minimum - (1 if p.kind == "int" else 1e-3))
    if p.maximum is not None:
        wrong.append(p.maximum + (1 if p.kind == "int" else 1e-3))
    if p.kind == "float":
        wrong += [float("nan"), float("inf"), None]
    if p.kind == "int":
        wrong += [p.default + 0.5, None, []]
    return wrong


def values_outside_are_refused(entry: type[Method]) -> None:
    """The message names the method, the parameter, the value and the rule."""
    for p in entry.parameters():
        for value in wrong_values(p):
            with refused(ParameterError, p.name, repr(value), p.rule, entry.title):
                entry(**{p.name: value})


def limits_are_allowed(entry: type[Method]) -> None:
    """Minimum and maximum are legal values themselves."""
    for p in entry.parameters():
        for value in (p.minimum, p.maximum):
            if value is None:
                continue
            try:
                made = entry(**{p.name: int(value) if p.kind == "int" else value})
            except ParameterError as error:
                # A rule between several parameters may exclude a limit, but must say so in its own words.
                told = str(error)
            else:
                told = ""
                assert getattr(made, p.name) == value, f"{p.name} = {value} was changed"
            assert p.rule not in told, f"{p.name} = {value} was refused"


def json_round_trip(entry: type[Method]) -> None:
    """``to_json`` holds every parameter, and what is read back is equal; configurations can be kept in sets."""
    catalogue: Catalogue[Method] = Catalogue(entry.key, [entry])
    needed = needed_values(entry)
    first = entry(**needed)
    assert catalogue.parse(json.loads(json.dumps(first.to_json()))) == first
    for p in entry.parameters():
        changed = first.with_values(**{p.name: other_value(p)})
        again = catalogue.parse(json.loads(json.dumps(changed.to_json())))
        assert again == changed, f"{p.name} is lost in JSON"
        assert hash(again) == hash(changed)
        assert again != first
    assert entry(**needed) == first
    assert len({first, entry(**needed)}) == 1
    if not needed:
        assert catalogue.parse(entry.key) == first


def entries_are_frozen(entry: type[Method]) -> None:
    """No parameter of a configured method can be set."""
    made = entry(**needed_values(entry))
    for p in entry.parameters():
        with refused(Exception, "frozen"):
            setattr(made, p.name, other_value(p))


CHECKS = (
    description_is_complete,
    defaults_and_quick_values_are_legal,
    unknown_parameters_are_refused,
    values_outside_are_refused,
    limits_are_allowed,
    json_round_trip,
    entries_are_frozen,
)
