"""How much of a server one visitor may take; the owner has no limits."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields

from ued_core.errors import ParameterError


@dataclass(frozen=True)
class Limits:
    """What a visitor may ask for at once.

    Attributes:
        waiting: runs of one visitor that may wait.
        running: runs of one visitor that may be executed at the same time.
        epochs: of anything that is trained.
        megapixels: of the images of a data set that is drawn.
    """

    waiting: int = 2
    running: int = 1
    epochs: int = 100
    megapixels: int = 64

    @classmethod
    def read(cls, environ: Mapping[str, str] | None = None) -> Limits:
        """The limits of this server: ``UED_VISITOR_WAITING``, ``…_RUNNING``, ``…_EPOCHS`` and ``…_MEGAPIXELS``.

        Raises:
            ParameterError: one is not a whole number of at least 1.
        """
        environ = os.environ if environ is None else environ
        chosen: dict[str, int] = {}
        for name in (f.name for f in fields(cls)):
            variable = f"UED_VISITOR_{name.upper()}"
            text = environ.get(variable, "").strip()
            if text and not (text.isascii() and text.isdigit() and 1 <= int(text) < 10**9):
                raise ParameterError(
                    f"{variable} is {text!r}, but it must be a whole number of at least 1.", "Set another one, or none."
                )
            chosen |= {name: int(text)} if text else {}
        return cls(**chosen)
