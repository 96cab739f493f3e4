"""The code in the documents runs, and the example attack keeps every contract of an attack."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ued_core.attacks import Attack
from ued_core.checks import Check, attack_checks

ROOT = Path(__file__).resolve().parents[1]


def blocks(document: str) -> list[str]:
    """The Python code of a document, block by block."""
    return re.findall(r"```python\n(.*?)```", (ROOT / document).read_text("utf-8"), re.S)


def example_attack() -> type[Attack]:
    code = next(block for block in blocks("README.md") if "class Tint(" in block)
    names: dict[str, Any] = {"__name__": "tests.example_attack"}
    exec(compile(code, "README.md", "exec"), names)
    return names["Tint"]


@pytest.mark.parametrize("check", attack_checks(example_attack()), ids=str)
def test_the_example_attack_keeps_every_promise(check: Check) -> None:
    check()


def test_every_block_of_the_readme_runs() -> None:
    found = blocks("README.md")
    assert len(found) >= 2
    for block in found:
        exec(compile(block, "README.md", "exec"), {"__name__": "tests.readme"})
