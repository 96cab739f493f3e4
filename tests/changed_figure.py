"""A figure after changes, as a browser makes them."""

import json
from collections.abc import Mapping
from typing import Any


def changed(figure: str, changes: Mapping[str, Any]) -> dict[str, Any]:
    """The figure with the new values in their places; a place that is not there is an error."""
    whole = json.loads(figure)
    for place, value in changes.items():
        *steps, last = place.split("/")
        part = whole
        for step in steps:
            part = part[int(step) if isinstance(part, list) else step]
        assert last in part, f"the figure has no {place}"
        part[last] = value
    return whole
