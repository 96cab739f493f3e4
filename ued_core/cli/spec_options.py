"""Options for the fields of a run spec, derived from their declarations."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ued_core.cli.options import add_option
from ued_core.errors import UedError

if TYPE_CHECKING:
    from ued_core.runs.spec import Part

NONE = "none"
"""The word for no attack, no relabelling, no defences."""


def add_field(parser: argparse.ArgumentParser, field: str, *, name: str = "", help: str = "") -> None:
    """One option with the default, the limits and the help of a field that is a number, a choice or a text.

    Args:
        parser: of the command.
        field: of :class:`ued_core.runs.spec.RunSpec`.
        name: of the option and of its place among the parsed ones, where it is not the field's.
        help: in place of the field's.
    """
    from ued_core.runs.spec import RunSpec

    parameter = RunSpec.parameter(field)
    changes = {"name": name or field, "help": help or parameter.help}
    add_option(parser, parameter.model_copy(update=changes), default=parameter.default, strict=True)


def add_fields(parser: argparse.ArgumentParser) -> None:
    """One option for each field of a run spec; those that are given replace what a file says (:func:`given_fields`)."""
    from ued_core.runs.spec import RunSpec

    group = parser.add_argument_group(
        "in place of what the file says", "The defaults are those of a file that says nothing."
    )
    parts, declared = RunSpec.parts(), {parameter.name: parameter for parameter in RunSpec.parameters()}
    for name, field in RunSpec.model_fields.items():
        if name in declared:
            add_option(group, declared[name], default=argparse.SUPPRESS, strict=True)
            continue
        part, optional = parts[name], not field.is_required()
        names = ", ".join([*([NONE] if optional else []), *part.catalogue])
        what = "one of them, several with commas between them, or a JSON list" if part.several else "or a JSON object"
        group.add_argument(
            f"--{name}",
            type=_methods(part, optional),
            default=argparse.SUPPRESS,
            metavar="NAME|JSON",
            help=f"{field.description} {names}; {what}.".replace("%", "%%"),
        )


def given_fields(options: argparse.Namespace) -> dict[str, Any]:
    """The fields that were given, as :meth:`ued_core.runs.spec.RunSpec.from_json` reads them."""
    from ued_core.runs.spec import RunSpec

    return {name: value for name, value in vars(options).items() if name in RunSpec.model_fields}


def _methods(part: Part, optional: bool) -> Callable[[str], Any]:
    from ued_core.runs.spec import read_json

    def one(value: Any) -> Any:
        # A relative path of a file starts in the folder of that file, one of the command line where it is typed.
        method = part.catalogue.parse(value)
        return method.located(Path.cwd()).to_json() if method.chosen_paths() else value

    def convert(text: str) -> Any:
        try:
            if optional and text == NONE:
                return None
            value = read_json(text.encode(), repr(text)) if text.lstrip()[:1] in ("{", "[") else text
            if not part.several:
                return one(value)
            several = value.split(",") if isinstance(value, str) else value if isinstance(value, list) else [value]
            return [one(entry) for entry in several]
        except UedError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return convert
