"""What the home holds, and uploads that go while those that runs need stay."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from ued_core import runs
from ued_core.cli import main
from ued_core.data.handles import handle_of, imports_root
from ued_core.errors import DataError
from ued_core.runs.spec import RunSpec
from ued_core.runs.storage import areas, needed_uploads, tidy_uploads


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))


def upload(digit: str, age: float = 10_000) -> Path:
    path = imports_root() / (digit * 16)
    path.mkdir(parents=True)
    (path / "x").write_bytes(b"0" * 100)
    os.utime(path, (time.time() - age,) * 2)
    return path


def submit(path: str, **spec: object) -> str:
    return runs.submit(RunSpec.from_json({"dataset": {"name": "folder", "path": path}, **spec}), launch=False)


def test_uploads_that_runs_need_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    queued, by_path, over, unused, test, new = (upload(digit) for digit in "123456")
    submit(handle_of(queued))
    submit(str(by_path))
    runs.cancel(submit(handle_of(over)))
    runs.submit(
        RunSpec.from_json({"dataset": {"name": "npz", "path": "/a/p.npz", "test_path": handle_of(test)}}), launch=False
    )
    assert {queued, by_path, test} <= needed_uploads()
    assert tidy_uploads(new) == "", "there is room"
    monkeypatch.setenv("UED_CACHE_GB", str(450 / 1e9))
    told = tidy_uploads(new)
    assert "so 2 that were not used for longest were removed" in told
    assert [path.exists() for path in (queued, by_path, over, unused, test, new)] == [
        True,
        True,
        False,
        False,
        True,
        True,
    ]
    monkeypatch.setenv("UED_CACHE_GB", str(350 / 1e9))
    with pytest.raises(
        DataError, match="There is no room for this upload: uploads of the last hour and those that runs need"
    ):
        tidy_uploads(new)
    assert not new.exists()
    assert queued.exists()


def test_uploads_of_the_last_hour_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    fresh, new = upload("1", age=60), upload("2", age=0)
    monkeypatch.setenv("UED_CACHE_GB", str(150 / 1e9))
    with pytest.raises(DataError, match="no room"):
        tidy_uploads(new)
    assert fresh.exists()


def test_areas_and_the_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    upload("1"), upload("2")
    submit("/photos")
    found = {area.name: area for area in areas()}
    assert (found["imports"].entries, found["imports"].bytes, found["imports"].limit) == (2, 200, 20 * 10**9)
    assert (found["runs"].limit, found["runs"].entries > 0) == (None, True)
    monkeypatch.setenv("UED_CACHE_GB", str(100 / 1e9))
    tidy_uploads(upload("3"))
    assert main(["storage"]) == 0
    out = capsys.readouterr().out
    assert "uploads and examples" in out
    assert "1111111111111111" in out.split("removed", 1)[1]
    assert main(["storage", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert len(told["removed"]) == 2
    assert {area["name"] for area in told["areas"]} >= {"imports", "runs"}
