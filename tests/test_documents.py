"""The code in the documents runs, and the example attack keeps every contract of an attack."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

import tests.test_contracts as contracts
from ued_core.attacks import ATTACKS, Attack
from ued_core.params import Catalogue

ROOT = Path(__file__).resolve().parents[1]


def blocks(document: str) -> list[str]:
    """The Python code of a document, block by block."""
    return re.findall(r"```python\n(.*?)```", (ROOT / document).read_text("utf-8"), re.S)


def example_attack() -> type[Attack]:
    code = next(block for block in blocks("README.md") if "class Tint(" in block)
    names: dict[str, Any] = {"__name__": "tests.example_attack"}
    exec(compile(code, "README.md", "exec"), names)
    return names["Tint"]


def of_attacks() -> list[str]:
    """Names of the contracts that every attack, or every additive one, is held to by its name alone."""
    marks = (contracts.every_attack.mark, contracts.every_additive_attack.mark)
    return [
        name
        for name, function in vars(contracts).items()
        if any(mark in marks for mark in getattr(function, "pytestmark", ()))
        and list(inspect.signature(function).parameters) == ["name"]
    ]


def test_the_contracts_are_found() -> None:
    assert len(of_attacks()) >= 10
    assert "test_attack_can_be_cancelled_and_reports" in of_attacks()


@pytest.mark.parametrize("contract", of_attacks())
def test_the_example_attack_keeps_the_contract(contract: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tint = example_attack()
    monkeypatch.setattr(contracts, "ATTACKS", Catalogue("attack", [*ATTACKS.values(), tint]))
    getattr(contracts, contract)(tint.key)


def test_every_block_of_the_readme_runs() -> None:
    found = blocks("README.md")
    assert len(found) >= 2
    for block in found:
        exec(compile(block, "README.md", "exec"), {"__name__": "tests.readme"})
