"""What a finished run shows of recovery: nothing until it is asked for, then a curve that grows."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator

import pytest
from streamlit.testing.v1 import AppTest

from pages.runs import recovery as part
from pages.runs.recovery import recovery_verdict
from pages.state import background
from tests.pages.components import charts
from ued_core.analysis.recovery import Recovered
from ued_core.context import Context
from ued_core.runs import RunFolder, RunSpec
from ued_core.runs.jsonl import append_line
from ued_core.runs.pipeline import execute
from ued_core.studies.recovery_room import recovered_at

TINY = {
    "dataset": {"name": "shapes", "train_size": 60, "test_size": 100},
    "attack": "cuda",
    "model": {"name": "small_cnn", "width": 4},
    "plan": {"name": "adamw", "epochs": 2},
    "device": "cpu",
}
PATIENCE_S = 240


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunFolder]:
    """A finished run; the side process begins anew, so that it looks for runs in this home."""
    background.stop()
    home, spec = tmp_path_factory.mktemp("home"), RunSpec.from_json(TINY)
    request = {"title": spec.title(), "key": spec.key(), "created": time.time()}
    folder = RunFolder.create(home / "runs", spec.to_json(), request)
    folder.take_token()
    on_epoch = lambda row: append_line(folder.history_path, row)  # noqa: E731
    result = execute(spec, Context(), weights=folder.weights, epoch_folder=folder.epoch_folder, on_epoch=on_epoch)
    folder.write_result(result.model_copy(update={"attempts": 1}))
    yield folder
    background.stop()


@pytest.fixture
def page(trained: RunFolder, open_page: Callable[..., AppTest], monkeypatch: pytest.MonkeyPatch) -> AppTest:
    monkeypatch.setenv("UED_HOME", str(trained.path.parents[1]))
    return open_page("runs", {"run": trained.run_id})


def drawn(page: AppTest) -> dict[str, object] | None:
    return next((chart for chart in charts(page) if chart["filename"].startswith("recovery-")), None)


def test_it_is_measured_on_demand_for_as_many_images_as_there_are(page: AppTest, trained: RunFolder) -> None:
    assert drawn(page) is None
    page.button(key="recovery").click().run()
    deadline = time.monotonic() + PATIENCE_S
    while (chart := drawn(page)) is None or "with 50" not in str(chart["alt"]):
        assert not page.exception
        assert not page.error
        assert time.monotonic() < deadline, [w.value for w in page.warning]
        time.sleep(0.2)
        page.run()
    traces = {trace["name"]: trace for trace in json.loads(str(chart["figure"]))["data"]}
    found = [recovered_at(trained.run_id, known, True).points[0] for known in (10, 50)]
    assert traces["last layer refitted"]["y"] == pytest.approx([100 * point.refitted for point in found])
    assert traces["the same images alone"]["y"] == pytest.approx([100 * point.alone for point in found if point.alone])
    assert "100 clean test images" in str(chart["caption"])


def test_long_runs_get_no_control_here_and_the_command_that_makes_it(
    page: AppTest, trained: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(part, "LONG_S", 0.0)
    page.button(key="recovery").click().run()
    deadline = time.monotonic() + PATIENCE_S
    while (chart := drawn(page)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.2)
        page.run()
    assert f"python -m ued_core recover {trained.run_id} measures it" in str(chart["caption"])
    assert "the same images alone" not in str(chart["alt"])


def point(known: int, refitted: float, tuned: float, alone: float | None) -> Recovered:
    return Recovered(known, 10, refitted, tuned, 0.001, alone, 5, 0.1)


@pytest.mark.parametrize(
    ("points", "tested", "says"),
    [
        ([point(10, 0.9, 0.9, 0.1)], 99, "No verdict from 99 test images."),
        (
            [point(10, 0.31, 0.3, 0.1)],
            1000,
            "it cannot be told that any accuracy comes back",
        ),
        (
            [point(10, 0.3, 0.3, 0.1), point(50, 0.6, 0.5, None)],
            1000,
            "With 50 known images a new last layer ends",
        ),
        (
            [point(10, 0.5, 0.6, 0.3)],
            1000,
            "all weights ends at 60.0 %, instead of 30.0 % as trained: more",
        ),
        ([point(10, 0.5, 0.6, 0.61)], 1000, "which cannot be told from what these images give alone (61.0 %)"),
        ([point(10, 0.5, 0.6, 0.8)], 1000, "less than these images give alone (80.0 %)"),
    ],
)
def test_the_verdict_follows_the_numbers_and_their_intervals(points: list[Recovered], tested: int, says: str) -> None:
    assert says in recovery_verdict(points, 0.3, tested)
