"""What every figure promises: a trace that is named after a kind of picture has its colour or its mark."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ued_core.figures.roles import PICTURES, ROLES

NAMED = re.compile(rf"({'|'.join(PICTURES)})\b(?! [−-])")


def misused(figure: Mapping[str, Any]) -> list[str]:
    """Traces named ``clean …``, ``poisoned …`` or ``defended …`` that look like something else.

    Where a trace has a colour per point (classes, say), the mark alone has to be the role's.

    Args:
        figure: as Plotly's JSON.
    """
    wrong = []
    for trace in figure["data"]:
        found = NAMED.match(str(trace.get("name") or ""))
        if not found or trace.get("type") in ("heatmap", "image"):
            continue
        role = ROLES[found[1]]
        marker, line = trace.get("marker") or {}, trace.get("line") or {}
        colours = {c for c in (marker.get("color"), line.get("color")) if isinstance(c, str)}
        if colours and not any(_is(colour, role.light) for colour in colours):
            wrong.append(f"{trace['name']}: {sorted(colours)}, not {role.light}")
        symbol = marker.get("symbol")
        if isinstance(symbol, str) and symbol.removesuffix("-open") != role.symbol:
            wrong.append(f"{trace['name']}: marker {symbol}, not {role.symbol}")
    return wrong


def _is(colour: str, own: str) -> bool:
    channels = ", ".join(str(int(own[i : i + 2], 16)) for i in (1, 3, 5))
    return colour == own or colour.startswith(f"rgba({channels}, ")
