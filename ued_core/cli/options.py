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


def _convert(parameter: Parameter, strict: bool) -> Callable[[str], Any]:
    """Text of the command line → a value. Unless ``strict``, the method itself checks the rule."""

    from ued_core.params import absolute_path

    def convert(text: str) -> Any:
        try:
            if parameter.path:
                return absolute_path(text, Path.cwd())
            return parameter.parse(text) if strict else parameter.read(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} given, but it must be {parameter.rule}") from None
        except ParameterError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert


def add_option(
    parser: argparse.ArgumentParser | argparse._ArgumentGroup,
    parameter: Parameter,
    *,
    prefix: str = "",
    default: Any = argparse.SUPPRESS,
    strict: bool = False,
) -> None:
    """One ``--name value`` option for a declared parameter.

    Args:
        parser: of the command, or a group of its options.
        parameter: its name, help and rule are the option's.
        prefix: stands before the name.
        default: the value where it is not given; left out of the parsed options when it is not named.
        strict: refuse a value that breaks the rule already here.
    """
    rule = parameter.rule
    parser.add_argument(
        f"--{prefix}{parameter.name.replace('_', '-')}",
        dest=f"{prefix}{parameter.name}".replace("-", "_"),
        type=_convert(parameter, strict),
        default=default,
        metavar=parameter.kind.upper(),
        help=f"{parameter.help} {rule[0].upper()}{rule[1:]}; default {parameter.default!r}.".replace("%", "%%"),
    )


def add_options(
    parser: argparse.ArgumentParser, method: type[Method], prefix: str = "", without: Sequence[str] = ()
) -> None:
    """One ``--name value`` option for each declared parameter."""
    for parameter in method.parameters():
        if parameter.name not in without:
            add_option(parser, parameter, prefix=prefix)


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


def at_least(smallest: int) -> Callable[[str], int]:
    """Reads a whole number that is no smaller; argparse's error for any other text."""

    def convert(text: str) -> int:
        if not text.isdigit() or int(text) < smallest:
            raise argparse.ArgumentTypeError(f"{text!r} given, but it must be a whole number of at least {smallest}")
        return int(text)

    return convert
