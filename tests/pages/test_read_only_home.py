"""With a home that cannot be written every page says so in one sentence and shows what needs no disk."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pages.frame.guard import BUG
from pages.frame.navigation import PAGES
from ued_core import runs
from ued_core.cli import main
from ued_core.errors import RunError
from ued_core.home import unwritable
from ued_core.runs import RunSpec


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk that is mounted for reading only: permissions would not stop root."""
    place = tmp_path / "read-only"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(place)]
    if not shutil.which("mount") or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.parametrize("address", [entry.address for entry in PAGES])
def test_every_page_says_it_in_one_sentence(
    open_page, read_only: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setenv("UED_HOME", str(read_only))
    page = open_page(address)
    assert not page.exception
    assert not [box.value for box in page.error if BUG in box.value]
    said = [box.value.replace("\\", "") for box in page.warning]
    assert sum("cannot be written, so no run can be started" in text and "Set UED_HOME" in text for text in said) == 1


def test_a_run_is_refused_with_what_to_do(
    read_only: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("UED_HOME", str(read_only))
    with pytest.raises(RunError, match=r"read-only file system\. .*set UED_HOME"):
        runs.submit(RunSpec.from_json({"dataset": "shapes"}))
    assert main(["runs"]) == 0
    with pytest.raises(RunError, match="set UED_HOME"):
        runs.ensure_supervisor()
    runs.attend(runs.runs())


def test_a_home_that_can_be_made_is_no_problem(tmp_path: Path) -> None:
    assert unwritable(tmp_path / "a" / "b") == ""
    (tmp_path / "file").write_text("")
    assert "is no folder" in unwritable(tmp_path / "file" / "home")
