"""What a page handed to its own components."""

import json
from typing import Any

from streamlit.testing.v1 import AppTest


def charts(page: AppTest) -> list[dict[str, Any]]:
    """Data of every live chart, in order: ``figure`` (JSON), ``question``, ``formula``, ``caption``, ``alt``, …"""
    return _data(page, "ued_live_chart")


def tiles(page: AppTest) -> list[dict[str, Any]]:
    """Data of every group of tiles, in order: ``rows``, ``names``, ``caption``, …"""
    return _data(page, "ued_tile_rows")


def _data(page: AppTest, component: str) -> list[dict[str, Any]]:
    return [json.loads(c.proto.json) for c in page.get("bidi_component") if c.proto.component_name == component]
