"""What a command of the command line is."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Command:
    """One command; its module imports what it needs when it is called, so that the list of commands stays cheap.

    Attributes:
        name: as it is typed.
        action: does it and returns the exit code; its docstring is the command's help.
        add_options: declares its arguments on its parser; called for the command that was given alone, with all
            words of the command line, since a method that is named among them has options of its own.
    """

    name: str
    action: Callable[[argparse.Namespace], int]
    add_options: Callable[[argparse.ArgumentParser, Sequence[str]], None]
