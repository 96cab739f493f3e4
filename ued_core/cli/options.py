"""Options that are derived from the declarations of methods, and how values are read."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ued_core.errors import ParameterError

if TYPE_CHECKING:
    # Listing and cancelling runs must not wait for what describes methods.
    from ued_core.catalogue import Catalogue
    from ued_core.params import Method, Parameter


def catalogues() -> dict[str, Catalogue[Any]]:
    """Every catalogue under the name that ``methods`` prints."""
    from ued_core.attacks import ATTACKS
    from ued_core.data import DATASETS
    from ued_core.data.relabel import RELABELLINGS
    from ued_core.defenses import DEFENSES
    from ued_core.models import MODELS
    from ued_core.training import PLANS

    return {
        "attacks": ATTACKS,
        "defenses": DEFENSES,
        "datasets": DATASETS,
        "models": MODELS,
        "plans": PLANS,
        "relabellings": RELABELLINGS,
    }


def _convert(parameter: Parameter) -> Callable[[str], Any]:
    """Text of the command line → a value; the method itself checks the rule."""

    from ued_core.params import absolute_path

    def convert(text: str) -> Any:
        try:
            return absolute_path(text, Path.cwd()) if parameter.path else parameter.read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} given, but it must be {parameter.rule}") from None

    return convert


def add_options(
    parser: argparse.ArgumentParser, method: type[Method], prefix: str = "", without: Sequence[str] = ()
) -> None:
    """One ``--name value`` option for each declared parameter."""
    for parameter in method.parameters():
        if parameter.name in without:
            continue
        parser.add_argument(
            f"--{prefix}{parameter.name.replace('_', '-')}",
            dest=f"{prefix}{parameter.name}".replace("-", "_"),
            type=_convert(parameter),
            default=argparse.SUPPRESS,
            metavar=parameter.kind.upper(),
            help=f"{parameter.help} {parameter.rule[0].upper()}{parameter.rule[1:]}; default "
            f"{parameter.default!r}.".replace("%", "%%"),
        )


def given(options: argparse.Namespace, method: type[Method], prefix: str = "") -> dict[str, Any]:
    """The parameters that were given on the command line."""
    found = vars(options)
    names = {p.name: f"{prefix}{p.name}".replace("-", "_") for p in method.parameters()}
    return {name: found[dest] for name, dest in names.items() if dest in found}


def method_named(argv: Sequence[str], catalogue: Catalogue[Any]) -> type[Method] | None:
    """The method that a command names, wherever among its options it stands; None when there is no word at all."""
    words = [a for a in argv if not a.startswith("-")][1:]
    named = next((word for word in words if word in catalogue), None)
    return catalogue[named or words[0]] if words else None


def option_value(argv: Sequence[str], name: str) -> str | None:
    """What stands after the option, as ``--name value`` or ``--name=value``; None where it was not given."""
    for i, word in enumerate(argv):
        if word == name and i + 1 < len(argv):
            return argv[i + 1]
        if word.startswith(name + "="):
            return word.split("=", 1)[1]
    return None


def seed(text: str) -> int:
    """The seed or private key that a text means; argparse's error for any other text."""
    from ued_core.params import LARGEST_SEED

    if not text.isdigit() or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"{text!r} given, but a seed is a whole number from 0 to {LARGEST_SEED}")
    return int(text)


def class_numbers(text: str) -> tuple[int, ...] | None:
    """The class numbers that a text such as ``0,3,5-7`` means, None where it is empty; argparse's error otherwise."""
    from ued_core.class_numbers import read_classes

    try:
        return read_classes(text)
    except ParameterError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def at_least(smallest: int) -> Callable[[str], int]:
    """Reads a whole number that is no smaller; argparse's error for any other text."""

    def convert(text: str) -> int:
        if not text.isdigit() or int(text) < smallest:
            raise argparse.ArgumentTypeError(f"{text!r} given, but it must be a whole number of at least {smallest}")
        return int(text)

    return convert
