"""Garbage is collected by the clock: not after reruns, not by Python's counts, and nothing is frozen after the
start."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from streamlit import config

import app
from pages.frame import garbage
from pages.frame.navigation import ROOT


@pytest.fixture
def thresholds() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


@contextmanager
def full_collections() -> Iterator[list[int]]:
    """What was found by each full collection that somebody asked for; Python's own are off meanwhile."""
    found: list[int] = []

    def note(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 2:
            found.append(info["collected"])

    gc.disable()
    gc.callbacks.append(note)
    try:
        yield found
    finally:
        gc.callbacks.remove(note)
        gc.enable()


def test_streamlit_does_not_collect_after_every_rerun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    config.get_config_options(force_reparse=True)
    assert config.get_option("runner.postScriptGC") is False


def run_for(seconds: float, every_s: float) -> None:
    async def limited() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(garbage.collect_by_the_clock(every_s), seconds)

    asyncio.run(limited())


@pytest.mark.usefixtures("thresholds")
def test_the_clock_collects_what_a_session_left_behind_and_freezes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Session:
        """Keeps itself alive, as sessions do."""

        def __init__(self) -> None:
            self.me = self

    monkeypatch.setattr(gc, "freeze", lambda: pytest.fail("what sessions hold must not be frozen"))
    gc.collect()
    Session()
    with full_collections() as seen:
        run_for(1.0, 0.2)
    assert 1 <= len(seen) <= 4
    assert seen[0] > 0
    assert not [thing for thing in gc.get_objects() if type(thing) is Session]


@pytest.mark.usefixtures("thresholds")
def test_counts_cause_no_full_collection() -> None:
    run_for(0.1, 30.0)
    before = gc.get_stats()[2]["collections"]
    # Without the clock's threshold this causes several.
    kept = [[i] for i in range(400_000)]
    assert gc.get_stats()[2]["collections"] == before
    assert len(kept) == 400_000


def test_what_is_loaded_is_frozen_once_before_the_clock_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []

    async def clock() -> None:
        order.append("clock")

    for name in ("ensure_supervisor", "import_heavy_modules", "rehearse"):
        monkeypatch.setattr(app, name, lambda name=name: order.append(name))
    monkeypatch.setattr(app.background, "start", lambda: order.append("side process"))
    monkeypatch.setattr(app, "collect_by_the_clock", clock)
    monkeypatch.setattr(gc, "freeze", lambda: order.append("freeze"))
    asyncio.run(app.start_up())
    assert order.count("freeze") == 1
    assert order[-2:] == ["freeze", "clock"]
