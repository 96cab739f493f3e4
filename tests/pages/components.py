"""What a page handed to its own components."""

import json
from typing import Any

from streamlit.testing.v1 import AppTest

from pages.widgets.delivery import kept
from tests.changed_figure import changed
from tests.figures.role_contract import misused


def charts(page: AppTest) -> list[dict[str, Any]]:
    """Data of every live chart, in order: ``figure`` (JSON, changes made), ``question``, ``formula``, ``caption``,
    ``alt``, …; each must keep to the table of roles."""
    found = [
        {**words, "figure": _changed(b"".join(pieces).decode(), words["changes"])}
        for words, pieces in _opened(page, "ued_live_chart")
    ]
    assert [problem for chart in found for problem in misused(json.loads(chart["figure"]))] == []
    return found


def tiles(page: AppTest) -> list[dict[str, Any]]:
    """Data of every group of tiles, in order: ``rows`` (with the PNG as ``source``), ``names``, ``caption``, …"""
    return [
        {**words, "rows": [{**row, "source": png} for row, png in zip(words["rows"], pictures, strict=True)]}
        for words, parts in _opened(page, "ued_tile_rows")
        # Behind the pictures comes what a row that follows a slider is made with.
        for pictures in [parts[: len(parts) - _draws(words)]]
    ]


def _draws(words: dict[str, Any]) -> int:
    return int(words["live"] is not None and words["live"]["draws"] is not None)


def hills(page: AppTest) -> list[dict[str, Any]]:
    """Data of every hill over a slider, in order: ``points``, ``slider``, ``value``, …"""
    return [words for words, _ in _opened(page, "ued_hill")]


def meters(page: AppTest) -> list[dict[str, Any]]:
    """Data of every group of bars that follow a slider: ``meters``, ``at``, ``value``, …"""
    return [words for words, _ in _opened(page, "ued_meters")]


def _changed(figure: str, changes: dict[str, Any]) -> str:
    return json.dumps(changed(figure, changes)) if changes else figure


def _opened(page: AppTest, component: str) -> list[tuple[dict[str, Any], list[bytes]]]:
    packets = [c.proto.bytes for c in page.get("bidi_component") if c.proto.component_name == component]
    return [opened(packet) for packet in packets]


def opened(packet: bytes) -> tuple[dict[str, Any], list[bytes]]:
    """The words of a packet and its parts, as a browser gets them that fetches what it was not sent."""
    end = 4 + int.from_bytes(packet[:4], "little")
    head, contents = json.loads(packet[4:end]), {}
    for name, size in head["parts"]:
        if size is not None:
            contents[name], end = packet[end : end + size], end + size
        elif name not in contents:
            contents[name] = kept().get(name)
            assert contents[name] is not None, f"the server does not have {name} any more"
    return head["words"], [contents[name] for name, _ in head["parts"]]
