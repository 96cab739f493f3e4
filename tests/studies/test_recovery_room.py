"""Recovery of a stored run, and the command that measures it."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from tests.cli.conftest import (
    Run,
    run,  # noqa: F401  # a fixture
)
from ued_core.context import Context
from ued_core.errors import Cancelled, RunError
from ued_core.runs import RunFolder, RunSpec
from ued_core.runs.jsonl import append_line
from ued_core.runs.pipeline import execute
from ued_core.studies.recovery_room import no_control, recover, recovered_at

SPEC = {
    "dataset": {"name": "shapes", "train_size": 200, "test_size": 100},
    "attack": "cuda",
    "model": {"name": "small_cnn", "width": 4},
    "plan": {"name": "adamw", "epochs": 2},
    "device": "cpu",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a finished run and one that only waits."""
    home = tmp_path_factory.mktemp("home")
    spec = RunSpec.from_json(SPEC)
    request = {"title": spec.title(), "key": spec.key(), "created": time.time()}
    folder = RunFolder.create(home / "runs", spec.to_json(), request)
    folder.take_token()
    on_epoch = lambda row: append_line(folder.history_path, row)  # noqa: E731
    result = execute(spec, Context(), weights=folder.weights, epoch_folder=folder.epoch_folder, on_epoch=on_epoch)
    folder.write_result(result.model_copy(update={"attempts": 1}))
    time.sleep(0.002)
    RunFolder.create(home / "runs", spec.to_json(), request)
    return home


@pytest.fixture(autouse=True)
def own_home(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UED_HOME", str(home))


@pytest.fixture
def finished(home: Path) -> str:
    return next(path.name for path in sorted((home / "runs").iterdir()) if (path / "result.json").exists())


def test_a_run_is_recovered_under_its_own_seed(finished: str, home: Path) -> None:
    result = RunFolder(home / "runs" / finished).result()
    assert result is not None
    found = recover(finished, [10, 20])
    assert (found.run, found.key) == (finished, RunSpec.from_json(SPEC).key())
    assert found.as_trained == result.last, "the network is that of the last epoch, on the test images of the run"
    # 200 images are two steps of 128; 10 and 20 are one step of all of them.
    assert (found.steps, found.tested) == (4, 100)
    assert [(point.known, point.alone_steps) for point in found.points] == [(10, 4), (20, 4)]
    assert recovered_at(finished, 10, True).points == found.points[:1], "seeds decide everything"
    assert json.loads(json.dumps(found.to_json()))["points"][1]["known"] == 20


def test_the_control_may_be_shared_or_left_out(finished: str) -> None:
    (shared,) = recover(finished, [10], control=lambda test, known: (0.25, 7)).points
    assert (shared.alone, shared.alone_steps) == (0.25, 7)
    (without,) = recover(finished, [10], control=no_control).points
    assert (without.alone, without.alone_steps) == (None, None)


def test_it_tells_how_far_it_is_and_can_be_stopped(finished: str) -> None:
    told: list[tuple[float, float, str]] = []
    recover(finished, [10, 20], Context(on_report=lambda *words: told.append(words)), no_control)
    assert told[1] == (0, 2, "10 known images")
    assert any(words.startswith("20 known images, epoch 1 of 1") for *_, words in told)
    with pytest.raises(Cancelled):
        recover(finished, [10], Context(stop=lambda: True))


def test_a_run_that_has_not_finished_has_nothing_to_recover(home: Path, finished: str) -> None:
    waiting = next(path.name for path in (home / "runs").iterdir() if path.name != finished)
    with pytest.raises(RunError, match=rf"{waiting} has not finished"):
        recover(waiting)


def test_the_command_for_people_and_for_programs(finished: str, run: Run) -> None:  # noqa: F811
    code, out, err = run("recover", finished, "--known", 10, 20, "--device", "cpu")
    assert (code, err) == (0, "")
    head, columns, *lines, legend = out.splitlines()
    assert head.startswith(f"Run {finished}: clean test accuracy ")
    assert [line.split()[0] for line in lines] == ["10", "20"]
    assert "last layer" in columns
    assert "trained on them alone" in legend
    code, out, _ = run("recover", finished[-4:], "--known", 10, "--quick", "--json", "--device", "cpu")
    told = json.loads(out)
    assert (code, told["run"], told["points"][0]["alone"]) == (0, finished, None)
    assert told["points"][0]["refitted"] == recover(finished, [10], control=no_control).points[0].refitted


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("recover", "20200101-000000-000-0000"), "There is no run '20200101-000000-000-0000'"),
        (("recover", "FINISHED", "--known", "1"), "at least 2"),
        (
            ("recover", "FINISHED", "--known", "201"),
            "201 known images were asked for, but of 'shapes' it must be from 2 to 200",
        ),
    ],
)
def test_bad_input_is_told_in_words(words: tuple[str, ...], says: str, finished: str, run: Run) -> None:  # noqa: F811
    code, out, err = run(*(finished if word == "FINISHED" else word for word in words))
    assert code != 0
    assert out == ""
    assert says in err
