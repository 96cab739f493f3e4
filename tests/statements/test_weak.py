"""DeepConfuse and NTGA: the words follow made-up cells."""

import pytest

from benchmarks.statements import weak
from benchmarks.statements.studies import shipped
from ued_core.results.evidence import Draw


def cell(*values: float) -> dict[Draw, float]:
    return {Draw(seed, seed, seed, "float32"): value for seed, value in enumerate(values)}


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> dict[str, dict[Draw, float]]:
    cells: dict[str, dict[Draw, float]] = {}
    monkeypatch.setattr(weak, "_draws", lambda found, attack: cells.get(attack, {}))
    return cells


def test_from_which_size_on(table: dict[str, dict[Draw, float]]) -> None:
    for size in weak.SIZES:
        table[f"noise per image, ε {size}"] = cell(0.8, 0.81, 0.79)
        table[f"NTGA, ε {size}"] = cell(0.8, 0.81, 0.8) if size == 8 else cell(0.6, 0.62, 0.61)
    text = weak._size("NTGA", None)
    assert "ε 8 +0.3 [" in text
    assert text.endswith("it takes more than random noise of the same size at ε 16 and 32 alone.")
    table["NTGA, ε 8"] = cell(0.7, 0.72, 0.7)
    assert weak._size("NTGA", None).endswith("at each of these sizes.")
    for size in weak.SIZES:
        table[f"NTGA, ε {size}"] = cell(0.9, 0.7, 0.8)
    assert "at none of these sizes can it be told" in weak._size("NTGA", None)
    assert weak._size("DeepConfuse", None) == "", "nothing was run"


def test_what_a_larger_budget_changes(table: dict[str, dict[Draw, float]]) -> None:
    assert weak._budget("DeepConfuse", None) == ""
    table |= {"DeepConfuse, ε 32": cell(0.4, 0.42, 0.41), "DeepConfuse, ε 32, 100 loops": cell(0.2, 0.21, 0.22)}
    text = weak._budget("DeepConfuse", None)
    assert text.startswith("**DeepConfuse**, 100 loops against 10 at ε 32: it leaves 20.0 [")
    assert "less" in text
    table["DeepConfuse, ε 32, 100 loops"] = cell(0.6, 0.2, 0.4)
    assert "cannot be told" in weak._budget("DeepConfuse", None)


def test_every_condition_that_is_named_exists() -> None:
    places = {cell.condition.places["attack"] for cell in shipped("fashion-weak").cells.values()}
    for method, (_, larger, smaller) in weak.BUDGETS.items():
        assert {larger, smaller, *(f"{method}, ε {e}" for e in weak.SIZES)} <= places
    assert {f"noise per image, ε {e}" for e in weak.SIZES} <= places
