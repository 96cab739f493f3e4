"""Docstrings name other code by Sphinx roles, as editors know them; on the site they become plain code words."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:mod|class|func|meth|attr|data):`~?([^`]+)`")
SECTION = re.compile(r"^(Source|Differs):$", re.M)


def plain(text: str) -> str:
    """A docstring without roles: ``:meth:`x``` becomes ```x```; sections that Google's style does not know get a name.

    ``Attributes:`` and ``Args:`` are left to griffe.
    """
    return ROLE.sub(r"`\1`", text)


class PlainRoles(griffe.Extension):
    """Applied to every docstring that griffe collects."""

    def on_instance(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = plain(obj.docstring.value)
