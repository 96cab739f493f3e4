"""How a method declares its parameters.

A configured method *is* a frozen pydantic model: its fields are its parameters. Controls,
command-line options, JSON, cache keys, run identity and the contract tests are derived from
the declaration here; nothing repeats it.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from ued_core.class_numbers import read_classes, write_classes
from ued_core.errors import ParameterError, UnknownName, quoted

UPLOAD = "import:"
"""How the name of something uploaded begins, where a path could stand."""
LARGEST_SEED = 2**32 - 1
"""Seeds and private keys are whole numbers from 0 to this one; numpy's ``RandomState``, which draws kernels, takes 32
bits."""
MOST_NAMED = 3
"""So many parameters stand in the name of a configured method."""
WORDS_FOR_TRUE, WORDS_FOR_FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def param(
    default: Any,
    help: str,
    *,
    label: str | None = None,
    unit: str = "",
    ge: float | None = None,
    le: float | None = None,
    step: float | None = None,
    quick: Any = None,
    min_length: int | None = None,
    max_length: int | None = None,
    later: bool = False,
    path: bool = False,
) -> Any:
    """Declare one parameter of a method.

    Args:
        default: the paper's value.
        help: one or two sentences for the person who turns it.
        label: its name on a control; the field's name when left out.
        unit: e.g. ``"px"`` or ``"1/255"``.
        ge, le: inclusive range; both are needed for a slider.
        step: a control's step.
        quick: a value that makes the method cheap enough for a contract test.
        min_length, max_length: length of the shortest and longest text that is accepted.
        later: declared after results were stored: left out of :meth:`Method.to_json` while it has its default, so that
            runs from before keep their keys. Such a default must do what the method did without the parameter.
        path: the text names a file or folder of the machine that runs UED Studio (:meth:`Method.chosen_paths`);
            :meth:`Method.located` makes it absolute. Empty means none.
    """
    limits: dict[str, Any] = {"ge": ge, "le": le, "min_length": min_length, "max_length": max_length}
    limits |= {"allow_inf_nan": False} if isinstance(default, float) else {}
    field = Field(default=default, description=help, **{k: v for k, v in limits.items() if v is not None})
    field.metadata.append(Declared(label, unit, step, quick, later, path))
    return field


def redeclared(parameter: Parameter, **changes: Any) -> Any:
    """Declare a parameter as another one is, so that default, help and limits stand in one place.

    Args:
        parameter: the other one.
        changes: arguments of :func:`param` that differ.
    """
    same = {
        "default": parameter.default,
        "help": parameter.help,
        "label": parameter.label,
        "unit": parameter.unit,
        "ge": parameter.minimum,
        "le": parameter.maximum,
        "step": parameter.step,
        "max_length": parameter.longest,
        "path": bool(parameter.path),
    }
    return param(**{**same, **changes})


@dataclass(frozen=True)
class Declared:
    """What :func:`param` declares beyond a pydantic field; it stands in the field's metadata."""

    label: str | None = None
    unit: str = ""
    step: float | None = None
    quick: Any = None
    later: bool = False
    path: bool = False


Kind = Literal["int", "float", "bool", "choice", "text", "classes"]


class Parameter(BaseModel):
    """What is known of one declared parameter; derived, never written by hand."""

    model_config = ConfigDict(frozen=True)

    name: str
    label: str
    kind: Kind
    default: Any
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    unit: str = ""
    help: str = ""
    quick: Any = None
    path: bool | None = None
    longest: int | None = None

    @property
    def rule(self) -> str:
        """The rule in words, generated from the same numbers that are checked."""
        if self.kind == "choice":
            return "one of " + ", ".join(repr(c) for c in self.choices)
        words = {
            "int": "a whole number",
            "float": "a number",
            "bool": "true or false",
            "text": "text",
            "classes": "a list of class numbers",
        }[self.kind]
        unit = f" {self.unit}" if self.unit else ""
        if self.longest is not None:
            return f"{words} of at most {self.longest} characters"
        if self.minimum is not None and self.maximum is not None:
            return f"{words} from {_written(self.minimum)} to {_written(self.maximum)}{unit}"
        if self.minimum is not None:
            return f"{words} of at least {_written(self.minimum)}{unit}"
        return words + unit

    @property
    def symbol(self) -> str:
        """What stands before its value in a name: the Greek letter that ends the label, or else the label."""
        last = self.label.rpartition(" ")[2]
        return last if len(last) == 1 and not last.isascii() else self.label

    def valued(self, value: Any) -> str:
        """``α = 1.5``: the symbol with a value; of true and false the label alone, or ``not`` and the label."""
        if isinstance(value, bool):
            return self.label if value else f"not {self.label}"
        return f"{self.symbol} = {f'{value:g}' if isinstance(value, float) else self.write(value)}"

    def read(self, text: str) -> Any:
        """The value that a text of a link or of the command line means; whether it keeps the rule is not looked at.

        Raises:
            ValueError: the text is no number, or no word for true or false.
            ParameterError: the text holds something that is no class number.
        """
        match self.kind:
            case "int":
                return int(text)
            case "float":
                return float(text)
            case "bool":
                if text.lower() not in (*WORDS_FOR_TRUE, *WORDS_FOR_FALSE):
                    raise ValueError(text)
                return text.lower() in WORDS_FOR_TRUE
            case "classes":
                return read_classes(text)
        return text

    def parse(self, text: str) -> Any:
        """The value that a text means, which keeps the rule.

        Raises:
            ValueError: it breaks the rule (:attr:`rule`), or :meth:`read` does not take it.
            ParameterError: the text holds something that is no class number.
        """
        value = self.read(text)
        match self.kind:
            case "int" | "float":
                low = -math.inf if self.minimum is None else self.minimum
                high = math.inf if self.maximum is None else self.maximum
                # Whole numbers may be too large for math.isfinite.
                kept = low <= value <= high and (self.kind == "int" or math.isfinite(value))
            case "choice":
                kept = value in self.choices
            case "text":
                kept = self.longest is None or len(value) <= self.longest
            case _:
                kept = True
        if not kept:
            raise ValueError(text)
        return value

    def write(self, value: Any) -> str:
        """The text that :meth:`read` takes for a value."""
        if self.kind == "classes":
            return write_classes(value)
        return str(value).lower() if isinstance(value, bool) else str(value)


def _written(limit: float) -> str:
    """A limit with all its digits where it is whole: 2147483647, not 2.14748e+09."""
    return f"{limit:.0f}" if float(limit).is_integer() and abs(limit) < 1e15 else f"{limit:g}"


class Declaring(BaseModel):
    """A frozen value whose fields are declared with :func:`param`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @classmethod
    @cache
    def parameters(cls) -> tuple[Parameter, ...]:
        """The declared parameters, in order."""
        return tuple(_parameter(name, field) for name, field in cls.model_fields.items() if declared(field))

    def to_json(self) -> dict[str, Any]:
        """Plain values that say all about it; subclasses implement this."""
        raise NotImplementedError


class Method(Declaring):
    """A configured attack, defence, data set, model or plan.

    Subclasses set ``key`` and declare fields with :func:`param`. The first line of the
    docstring is what users read; its ``Source:`` and ``Differs:`` sections are shown too.

    Attributes:
        page: the folder below ``pages/`` of the page that is about this method alone; empty without one.
        page_words: what a link to that page says where the method's work cannot be seen yet; empty for no link.

    Raises:
        ParameterError: for an unknown parameter or a value outside its declaration.
    """

    key: ClassVar[str]
    title: ClassVar[str]
    page: ClassVar[str] = ""
    page_words: ClassVar[str] = ""

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise self._explain(error) from None

    @classmethod
    def _explain(cls, error: ValidationError) -> ParameterError:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        declared = {p.name: p for p in cls.parameters()}
        if name not in declared:
            if not name:
                return ParameterError(f"{cls.title}: {first['msg']}.", "Change the parameters that it names.")
            unknown = UnknownName("parameter", name, declared or ("none: it has no parameters",))
            return ParameterError(f"{cls.title}: {unknown.what}", unknown.do)
        return ParameterError(
            f"{cls.title}: {name} is {quoted(first['input'])}, but it must be {declared[name].rule}.",
            f"Its default is {declared[name].default!r}.",
        )

    @classmethod
    def quick_values(cls) -> dict[str, Any]:
        """Values that make the method cheap: what ``quick`` declares."""
        return {p.name: p.quick for p in cls.parameters() if p.quick is not None}

    @classmethod
    def capabilities(cls) -> dict[str, bool | list[str]]:
        """What classes of this kind declare of themselves beside parameters, such as ``needs_whole_set``; JSON-ready.

        These are the class variables that hold true, false, or a set of words.
        """
        found: dict[str, bool | list[str]] = {}
        for base in cls.__mro__:
            if issubclass(base, Method):
                for name in inspect.get_annotations(base):
                    value = getattr(cls, name, None)
                    if (
                        not name.startswith("_")
                        and name not in cls.model_fields
                        and isinstance(value, bool | frozenset)
                    ):
                        found[name] = value if isinstance(value, bool) else sorted(value)
        return dict(sorted(found.items()))

    @classmethod
    def section(cls, name: str) -> str:
        """A section of the docstring (``Source``, ``Differs``), its lines joined; empty if absent."""
        lines = inspect.cleandoc(cls.__doc__ or "").splitlines()
        found: list[str] = []
        inside = False
        for line in lines:
            if line.rstrip() == f"{name}:":
                inside = True
            elif inside and line and not line.startswith(" "):
                break
            elif inside:
                found.append(line.strip())
        return " ".join(found).strip()

    @classmethod
    def summary(cls) -> str:
        """First line of the docstring."""
        return inspect.cleandoc(cls.__doc__ or "").splitlines()[0]

    @classmethod
    def description(cls) -> str:
        """The docstring without its named sections, as running text."""
        kept: list[str] = []
        for line in inspect.cleandoc(cls.__doc__ or "").splitlines()[1:]:
            if line.rstrip() in {"Source:", "Differs:", "Raises:", "Args:"}:
                break
            kept.append(line)
        return "\n".join(kept).strip()

    @classmethod
    def describe(cls) -> dict[str, Any]:
        """Everything that other programs need to offer this method, JSON-ready."""
        return {
            "name": cls.key,
            "title": cls.title,
            "summary": cls.summary(),
            "source": cls.section("Source"),
            "differs": cls.section("Differs"),
            "capabilities": cls.capabilities(),
            "parameters": [
                {k: v for k, v in p.model_dump().items() if v not in (None, (), "")} | {"default": p.default}
                for p in cls.parameters()
            ],
        }

    def named(self, lead: bool = False) -> str:
        """The title with what is not at its default: ``COIN α = 1.5``; texts and paths are left out.

        Args:
            lead: name the first parameter at its default too, where it is a number with a range: the strength, of most
                defences.
        """
        told = []
        for place, known in enumerate(self.parameters()):
            value = getattr(self, known.name)
            first = lead and place == 0 and None not in (known.minimum, known.maximum)
            if (value != known.default or first) and known.kind != "text":
                told.append(known.valued(value))
        more = ["…"] if len(told) > MOST_NAMED else []
        return " ".join([self.title, ", ".join([*told[:MOST_NAMED], *more])]).strip()

    def chosen_paths(self) -> dict[str, str]:
        """Name → text of the parameters that name a file or folder here, without the empty ones."""
        named = {p.name: getattr(self, p.name) for p in self.parameters() if p.path}
        return {name: text for name, text in named.items() if text.strip()}

    def to_json(self) -> dict[str, Any]:
        """``{"name": key, parameter: value, …}``; :meth:`Catalogue.parse` reads it back."""
        values = self.model_dump(mode="json")
        for name, default in self._later().items():
            if values[name] == default:
                del values[name]
        return {"name": self.key, **values}

    @classmethod
    @cache
    def _later(cls) -> dict[str, Any]:
        """Defaults of the fields that were declared after results were stored."""
        return {n: f.default for n, f in cls.model_fields.items() if (known := declared(f)) and known.later}

    def revision(self) -> int:
        """How often code has changed what this configuration computes.

        A part of the names of runs, of crafted and purified sets, and of what defences learned: raise it for the
        configurations that a change touches, and those of all others keep their names. 0, which is not named, where
        nothing has changed.
        """
        return 0

    def with_values(self, **values: Any) -> Self:
        """A copy with some parameters changed, checked like a new one."""
        return type(self)(**{**self.model_dump(), **values})

    def located(self, base: Path | None) -> Self:
        """The same with every path absolute; ``~`` is the home folder of whoever runs the program.

        A path is text that means something in one folder only. Whoever knows that folder calls this once, and what is
        stored, shown and handed to other processes or machines is absolute from then on.

        Args:
            base: an absolute folder where relative paths start; None where nobody knows one, as in a browser.

        Raises:
            ParameterError: a relative path, and nobody knows where it starts.
        """
        told = {name: text.strip() for name, text in self.chosen_paths().items()}
        for name, text in told.items():
            if "\0" in text:
                raise ParameterError(f"{self.title}: {name} is {text!r}; a path holds no NUL character.", "Remove it.")
        whole = {name: absolute_path(text, base) for name, text in told.items()}
        for name, path in whole.items():
            if path is None:
                raise ParameterError(
                    f"{self.title}: {name} is {told[name]!r}, a relative path, and nothing says in which folder "
                    "it starts.",
                    "Write the whole path, from the root of the disk or from ~, your home folder.",
                )
        changed = {name: path for name, path in whole.items() if path != getattr(self, name)}
        return self.with_values(**changed) if changed else self


def absolute_path(text: str, base: Path | None) -> str | None:
    """The path that a user means by ``text``, absolute; None for a relative one where there is no ``base``.

    Links stay links, so that one that is set anew means the new place; ``..`` is followed now. The name of an upload is
    no path.
    """
    if text.startswith(UPLOAD):
        return text
    try:
        path = Path(text).expanduser()
    except RuntimeError:
        # "~name" of nobody on this machine is a name like any other.
        path = Path(text)
    if not path.is_absolute():
        if base is None:
            return None
        path = base / path
    return str(path.resolve() if ".." in path.parts else path)


def declared(field: FieldInfo) -> Declared | None:
    """What :func:`param` said of a field; None for a field that it did not make."""
    return next((known for known in field.metadata if isinstance(known, Declared)), None)


def _parameter(name: str, field: FieldInfo) -> Parameter:
    known = declared(field) or Declared()
    annotation: Any = field.annotation
    choices: tuple[str, ...] = ()
    kind: Kind
    if get_origin(annotation) is Literal:
        kind, choices = "choice", tuple(get_args(annotation))
    else:
        kind = _KINDS[annotation]
    bounds = {type(m).__name__: m for m in field.metadata}
    return Parameter(
        name=name,
        label=known.label or name.replace("_", " "),
        kind=kind,
        default=field.default,
        minimum=getattr(bounds.get("Ge"), "ge", None),
        maximum=getattr(bounds.get("Le"), "le", None),
        step=known.step,
        choices=choices,
        unit=known.unit,
        help=field.description or "",
        quick=known.quick,
        path=known.path or None,
        longest=getattr(bounds.get("MaxLen"), "max_length", None),
    )


_KINDS: dict[object, Kind] = {
    bool: "bool",
    int: "int",
    float: "float",
    str: "text",
    tuple[int, ...] | None: "classes",
}


def fingerprint(value: Any) -> str:
    """Twelve hex digits that name a JSON value: SHA-256 of its canonical form."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    # Paths may hold bytes that are no text, which Python keeps as lone surrogates.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
