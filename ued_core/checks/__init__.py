"""What every method promises, as checks of a class that need no catalogue: for methods of other people.

The project's own tests run every entry of its catalogues through the same checks. In a test file of one's own::

    import pytest
    from ued_core.checks import attack_checks

    @pytest.mark.parametrize("check", attack_checks(MyAttack), ids=str)
    def test_my_attack(check):
        check()

or, without pytest, ``check_attack(MyAttack)``.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ued_core.attacks import Attack
from ued_core.checks import attacks, declarations, defenses
from ued_core.checks.sample import empty_home
from ued_core.defenses import Defense
from ued_core.errors import ParameterError
from ued_core.params import Method


class CheckFailed(AssertionError):
    """A class breaks a promise of its kind; the message says which one."""


@dataclass(frozen=True)
class Check:
    """One promise of one class; calling it keeps quiet or raises :class:`CheckFailed`.

    What the class stores meanwhile, such as a surrogate, goes into an empty home of its own.
    """

    entry: type[Method]
    function: Callable[..., None]

    @property
    def name(self) -> str:
        """The promise in a few words, with underscores."""
        return self.function.__name__

    def __str__(self) -> str:
        return self.name

    def __call__(self) -> None:
        if not __debug__:
            raise RuntimeError("The checks are assertions, which python -O leaves out; run them without -O.")
        try:
            with empty_home():
                self.function(self.entry)
        except AssertionError as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            told = str(error) or where.line or "a condition does not hold"
            raise CheckFailed(f"{self.entry.__name__}, {self.name.replace('_', ' ')}: {told}") from error


def attack_checks(entry: type[Attack]) -> list[Check]:
    """The checks that concern this attack.

    Raises:
        ParameterError: ``entry`` is no class of an attack.
    """
    return _checks(entry, Attack, attacks.checks_for)


def defense_checks(entry: type[Defense]) -> list[Check]:
    """The checks that concern this defence.

    Raises:
        ParameterError: ``entry`` is no class of a defence.
    """
    return _checks(entry, Defense, defenses.checks_for)


def declaration_checks(entry: type[Method]) -> list[Check]:
    """The checks of a declaration alone, which hold for methods of every kind: data sets, models, plans too."""
    return [Check(entry, function) for function in declarations.CHECKS]


def check_attack(entry: type[Attack]) -> None:
    """Run all checks of an attack; at quick values and on random images, so that it takes seconds to a minute.

    Args:
        entry: the class; it need not be in the catalogue.

    Raises:
        CheckFailed: the first promise that the class breaks.
        ParameterError: ``entry`` is no class of an attack.
    """
    _run(attack_checks(entry))


def check_defense(entry: type[Defense]) -> None:
    """Run all checks of a defence; at quick values and on random images, so that it takes seconds to a minute.

    Args:
        entry: the class; it need not be in the catalogue.

    Raises:
        CheckFailed: the first promise that the class breaks.
        ParameterError: ``entry`` is no class of a defence.
    """
    _run(defense_checks(entry))


def _checks(
    entry: type[Method], base: type[Method], checks_for: Callable[..., Sequence[Callable[..., None]]]
) -> list[Check]:
    if not (isinstance(entry, type) and issubclass(entry, base)):
        raise ParameterError(
            f"{entry!r} is to be checked, but it must be a class derived from {base.__name__}.",
            "Give the class itself, not an object of it.",
        )
    return [Check(entry, function) for function in (*declarations.CHECKS, *checks_for(entry))]


def _run(checks: Sequence[Check]) -> None:
    for check in checks:
        check()


__all__ = [
    "Check",
    "CheckFailed",
    "attack_checks",
    "check_attack",
    "check_defense",
    "declaration_checks",
    "defense_checks",
]
