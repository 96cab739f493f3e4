"""Who asks for something: the owner of this program, or a visitor of a server that others reach."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """Whoever uses the program.

    Attributes:
        id: unique and stable; empty for the owner.
        name: what others see.
        owner: may do everything: name files and folders by path, act on all runs, without a quota.
    """

    id: str
    name: str
    owner: bool = False


OWNER = Person("", "Owner", owner=True)
"""Whoever uses the command line, or the app on the computer on which it runs."""
