"""How positions beyond the border of an image come back: a choice that COIN and the theory of it share.

``periodic``: with the period of the image's side, so that the first pixel follows the last one. ``scipy_wrap``: as
scipy's mode ``wrap``, with a period of one less, and nothing beyond the last pixel.
"""

from __future__ import annotations

from typing import Literal

Boundary = Literal["periodic", "scipy_wrap"]
BOUNDARIES: tuple[Boundary, ...] = ("periodic", "scipy_wrap")
