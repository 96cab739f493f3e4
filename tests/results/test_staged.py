"""What stored runs let expect of staged training: said from the rows, and true of them."""

from __future__ import annotations

from typing import Any

from ued_core.defenses.staged_training import StagedTraining
from ued_core.results import staged
from ued_core.results.row import ResultRow, stored_rows


def row(scene: str, arm: str, last: float, signals: list[float], seed: int = 0, **values: Any) -> ResultRow:
    dataset, attack = scene.split()[1], None if scene.startswith("clean") else {"name": "synper"}
    method = None if arm == staged.PLAIN else StagedTraining(**values)
    checks = [
        {
            "epoch": float(i),
            "acm": {"block 1": 1.0},
            "signal": s,
            "trapped": bool(method and i and s > method.threshold),
            "action": "accepted" if i else "start",
            "rates": {"block 1": 1.0},
        }
        for i, s in enumerate([1.0, *signals])
    ]
    report = (
        [{"name": "staged", "layers": ["block 1"], "alarms": 0, "alarms_left": 20, "checks": checks}] if method else []
    )
    spec = {"dataset": {"name": dataset}, "attack": attack, "defenses": [method.to_json()] if method else []}
    labels = {"scene": scene, "arm": arm, "seed": seed, "key": f"{scene}, {arm}"}
    return ResultRow.from_json({**labels, "spec": spec, "last": last, "history": [], "training": report})


ROWS = [
    row("LSP digits", "watched only", 0.5, [1.2, 1.6], reaction="none", threshold=2.0),
    row("LSP digits", "watched only", 0.7, [1.1, 1.3], 1, reaction="none", threshold=2.0),
    row("clean digits", "watched only", 0.99, [1.05, 1.2], reaction="none", threshold=2.0),
    row("LSP digits", "ST", 0.9, [1.2], threshold=1.25),
    row("LSP digits", "ST", 0.8, [1.2], 1, threshold=1.25),
    row("clean digits", "ST", 0.96, [1.2], threshold=1.25),
    row("clean digits", "quiet", 0.99, [1.2], threshold=2.0),
]


def expected(**values: Any) -> str:
    return staged.expectation(ROWS, {"defenses": [{"name": "coin"}, StagedTraining(**values).to_json()]})


def test_words_by_hand() -> None:
    assert staged.expectation(ROWS, {"defenses": [{"name": "coin"}]}) == ""
    assert expected(threshold=1.25) == (
        "Stored runs of plain training whose signal acm exceeded 1.25: 0 of 1 on clean digits, 2 of 2 on poisoned "
        "digits. Clean test accuracy with exactly these settings (3 runs): most gained: LSP digits from 60 to 85 %; "
        "most lost: clean digits from 99 to 96 %."
    )
    assert "exceeded 1.5: 0 of 1 on clean digits, 1 of 2 on poisoned digits." in expected(threshold=1.5)
    quiet = expected(threshold=2.0)
    assert "0 of 1 on clean digits, 0 of 2 on poisoned digits. **Expect no alarm" in quiet
    assert quiet.endswith("Clean test accuracy with exactly these settings (1 run): as without this defence.")
    assert "exactly these settings" not in expected(threshold=1.25, factor=0.5)
    assert "not known whether an alarm will ring" in expected(signal="gap")
    for values in ({"reaction": "none"}, {"reaction": "fixed"}, {"most_alarms": 0}):
        assert expected(**values) == "Staged training as it is set answers no alarm."


def test_the_default_reacts_and_is_what_the_stored_runs_measured() -> None:
    """Whoever writes "staged" and no more gets the defence of the tables, not plain training under another name."""
    rows = stored_rows(staged.FILE)
    measured = [staged.method_of(r.spec) for r in rows if r.arm == "ST"]
    assert measured
    assert all(method == StagedTraining().to_json() for method in measured)
    answered = [r.training[0]["alarms"] for r in rows if r.arm == "ST" and r.spec["attack"] is not None]
    assert min(answered) > 0
    assert "Expect no alarm" not in staged.expectation(rows, {"defenses": [StagedTraining().to_json()]})
    assert "Expect no alarm" in staged.expectation(rows, {"defenses": [StagedTraining(threshold=2.5).to_json()]})
