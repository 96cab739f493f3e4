"""Numbers of some classes: checked, read from what a person writes, and written."""

from __future__ import annotations

from collections.abc import Sequence

from ued_core.errors import ParameterError


def check_classes(numbers: object) -> tuple[int, ...]:
    """The class numbers in order, each once.

    Raises:
        ParameterError: none is given, or something is no class number.
    """
    if isinstance(numbers, str) or not isinstance(numbers, Sequence) or not numbers:
        raise ParameterError(
            f"The poisoned classes are {numbers!r}, but they must be a list of class numbers.",
            "Leave them out for all.",
        )
    for number in numbers:
        if not isinstance(number, int) or isinstance(number, bool) or number < 0:
            raise ParameterError(f"A poisoned class is {number!r}, but it must be a whole number of at least 0.")
    return tuple(sorted(set(numbers)))


def read_classes(text: str) -> tuple[int, ...] | None:
    """Class numbers from what a person writes: ``"0, 3, 5-7"``; nothing means all classes, None.

    Raises:
        ParameterError: it cannot be read.
    """
    found: list[int] = []
    for word in text.replace(",", " ").split():
        first, dash, last = word.partition("-")
        if not (first.isdecimal() and len(first) < 6) or (
            dash and not (last.isdecimal() and len(last) < 6 and int(first) <= int(last))
        ):
            raise ParameterError(
                f"The poisoned classes are {text!r}, but {word!r} is no class number and no range of them.",
                "Write for example 0, 3, 5-7; nothing means all classes.",
            )
        found += range(int(first), int(last or first) + 1)
    return check_classes(found) if found else None


def write_classes(numbers: Sequence[int] | None) -> str:
    """Class numbers as :func:`read_classes` reads them."""
    return "" if numbers is None else ", ".join(map(str, numbers))
