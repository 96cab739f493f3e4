"""A page looks for changed files at every rerun, but not where that takes longer than all the rest."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from PIL import Image

from pages.frame.cache import Recent, Shelf
from pages.state.sets import split
from ued_core.context import Context
from ued_core.data import DATASETS
from ued_core.data.folder import Folder
from ued_core.params import fingerprint


class Clock:
    """Seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_an_answer_is_taken_as_long_as_finding_it_was_slow() -> None:
    clock = Clock()
    recent = Recent(times=20, most_s=30, quick_s=0.05, clock=clock)

    def find(answer: str, seconds: float) -> str:
        clock.now += seconds
        return answer

    assert recent.ask("quick", lambda: find("a", 0.04)) == "a"
    assert recent.known("quick") is None, "what is quick is asked for every time"
    recent.ask("slow", lambda: find("b", 0.5))
    clock.now += 9.9
    assert recent.known("slow") == "b"
    clock.now += 0.2
    assert recent.known("slow") is None, "20 times 0.5 s are over"
    recent.ask("slower", lambda: find("c", 5))
    clock.now += 29.9
    assert recent.known("slower") == "c"
    clock.now += 0.2
    assert recent.known("slower") is None, "nothing is taken for more than 30 s"


def test_a_failure_is_no_answer() -> None:
    recent = Recent(quick_s=0)
    with pytest.raises(ValueError, match="invalid literal"):
        recent.ask("folder", lambda: str(int("x")))
    assert recent.known("folder") is None


class OnASlowDisk(Folder):
    """A folder whose files take a while to look through, by a clock of its own."""

    clock: ClassVar[Clock] = Clock()
    seconds: ClassVar[float] = 0.0
    looks: ClassVar[int] = 0

    def identity(self, ctx: Context | None = None) -> dict[str, Any]:
        type(self).looks += 1
        self.clock.now += self.seconds
        return super().identity(ctx)


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two classes of four noise pictures, and a home of their own."""
    monkeypatch.setenv("UED_HOME", str(tmp_path / "home"))
    values = np.random.default_rng(0)
    for name in ("cats", "dogs"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for number in range(4):
            pixels = values.integers(0, 256, (16, 16, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{number}.png")
    return tmp_path / "photos"


@pytest.fixture
def disk(photos: Path, monkeypatch: pytest.MonkeyPatch) -> OnASlowDisk:
    """The pictures on a disk whose clock is the one by which pages forget."""
    recent = Recent(clock=OnASlowDisk.clock)
    monkeypatch.setattr("pages.state.sets._identities", lambda: recent)
    return OnASlowDisk(path=str(photos), size=16)


@pytest.mark.parametrize(("seconds", "looks"), [(0.0, 5), (1.0, 0)])
def test_reruns_look_through_a_quick_folder_only(disk: OnASlowDisk, monkeypatch, seconds: float, looks: int) -> None:
    monkeypatch.setattr(OnASlowDisk, "seconds", seconds)
    first = split(disk)
    monkeypatch.setattr(OnASlowDisk, "looks", 0)
    for _ in range(5):
        assert split(disk) is first
    assert OnASlowDisk.looks == looks


def test_changed_files_are_seen_once_the_answer_is_old(disk: OnASlowDisk, photos: Path, monkeypatch) -> None:
    monkeypatch.setattr(OnASlowDisk, "seconds", 1.0)

    def images() -> int:
        data = split(disk)
        return len(data.train) + len(data.test)

    assert images() == 8
    (photos / "cats" / "3.png").unlink()
    assert images() == 8, "20 s are not over"
    disk.clock.now += 21
    assert images() == 7


def test_what_is_loaded_anew_is_kept_under_its_own_state(disk: OnASlowDisk, photos: Path, monkeypatch) -> None:
    """Where the older images are no longer kept, the files are looked at again, however new the answer is."""
    monkeypatch.setattr(OnASlowDisk, "seconds", 1.0)
    shelf = Shelf(1)
    monkeypatch.setattr("pages.state.sets._splits", lambda: shelf)
    split(disk)
    (photos / "dogs" / "0.png").unlink()
    split(DATASETS.build("digits"))
    kept = split(disk)
    assert len(kept.train) + len(kept.test) == 7
    assert fingerprint(disk.identity()) in shelf
