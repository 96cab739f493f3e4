"""Waiting for work beside the server: what a page shows meanwhile, and afterwards."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from pages.state import background
from pages.state.background import Handle, WorkFailed


class Desk:
    """Stands for the side process: work is done, or fails, when the test says so."""

    def __init__(self) -> None:
        self.handles: dict[str, Handle] = {}
        self.asked: list[tuple[str, Callable[..., Any], tuple[Any, ...]]] = []

    def submit(
        self, key: str, function: Callable[..., Any], *args: Any, slot: str = "", after_s: float = 0.0
    ) -> Handle:
        self.asked.append((key, function, args))
        handle = self.handles.get(key)
        if handle is None or handle.state == "superseded":
            handle = self.handles[key] = Handle(key, (function, args))
        return handle

    def do_all(self) -> None:
        """Finish everything that waits."""
        for handle in self.handles.values():
            if handle.state == "waiting" and handle.call is not None:
                function, args = handle.call
                handle.state, handle.value = "ready", function(*args)

    def fail_all(self, why: str, state: str = "failed") -> None:
        """End everything that waits without a value."""
        for handle in self.handles.values():
            if handle.state == "waiting":
                handle.state, handle.error = state, WorkFailed(why)  # type: ignore[assignment]


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    desk = Desk()
    monkeypatch.setattr(background, "submit", desk.submit)
    return desk


def page(number: int = 2, like: str | None = "squares", warm: bool = False, first: int = 0) -> AppTest:
    """A page that shows the square of a number, and the answer that it got."""

    def script() -> None:
        import streamlit as st

        from pages.state import background
        from tests.pages.test_latest import raised

        state = st.session_state
        answer = background.latest(
            raised,
            state.number,
            slot="square",
            words="Squaring (a second) …",
            like=state.like,
            after=(lambda last: {"start": last}) if state.warm else None,
            first=(lambda: state.first) if state.first else None,
        )
        state.answer = answer
        if answer.value is not None:
            st.markdown(f"{answer.value} {'now' if answer.ready else 'before'}")

    shown = AppTest.from_function(script, default_timeout=60)
    for name, value in {"number": number, "like": like, "warm": warm, "first": first}.items():
        shown.session_state[name] = value
    return shown.run()


def raised(number: int, start: int = 0) -> int:
    """A measurement; where it starts is seen in the result."""
    return number**2 + 1000 * start


def ask_for(shown: AppTest, number: int) -> None:
    shown.session_state["number"] = number
    shown.run()


def seen(shown: AppTest) -> tuple[list[str], list[str], list[str]]:
    """Values, words about the wait, and warnings."""
    return tuple([e.value for e in kind] for kind in (shown.markdown, shown.info, shown.warning))  # type: ignore[return-value]


def awaited(shown: AppTest) -> int:
    """For how many pieces of work the browser waits."""
    from tests.pages.components import json

    (waiting,) = (c.proto for c in shown.get("bidi_component") if c.proto.component_name == "ued_waiting")
    return len(json.loads(waiting.json)["keys"])


def test_the_first_wait_is_said_and_the_page_waits(desk: Desk) -> None:
    shown = page()
    assert seen(shown) == ([], ["Squaring (a second) …"], [])
    assert awaited(shown) == 1
    desk.do_all()
    shown.run()
    assert seen(shown) == (["4 now"], [], [])
    assert awaited(shown) == 0


def test_the_last_value_stays_while_the_next_one_is_measured(desk: Desk) -> None:
    shown = page()
    desk.do_all()
    ask_for(shown, 3)
    assert seen(shown) == ([], ["Squaring (a second) …"], []), "nothing was seen of the first one"
    desk.do_all()
    shown.run()
    ask_for(shown, 5)
    assert seen(shown) == (["9 before"], [], [])
    assert shown.session_state["answer"].waiting
    desk.do_all()
    shown.run()
    assert seen(shown) == (["25 now"], [], [])


def test_a_value_of_something_else_does_not_stand_in(desk: Desk) -> None:
    shown = page()
    desk.do_all()
    shown.run()
    shown.session_state["like"] = "other images"
    ask_for(shown, 3)
    assert seen(shown) == ([], ["Squaring (a second) …"], [])
    shown = page(like=None)
    desk.do_all()
    shown.run()
    ask_for(shown, 7)
    assert seen(shown)[0] == [], "nothing is kept unless the page says for what"


def test_a_failure_is_a_warning_and_nobody_waits(desk: Desk) -> None:
    shown = page()
    desk.fail_all("No *room* left.")
    shown.run()
    assert seen(shown) == ([], [], ["This could not be measured: No \\*room\\* left."])
    assert awaited(shown) == 0
    answer = shown.session_state["answer"]
    assert (answer.ready, answer.waiting, answer.value) == (False, False, None)
    ask_for(shown, 3)
    assert seen(shown) == ([], ["Squaring (a second) …"], []), "the next wish is a new one"


def test_what_was_overtaken_is_asked_for_again(desk: Desk) -> None:
    shown = page()
    desk.fail_all("Something newer was asked for.", state="superseded")
    shown.run()
    assert seen(shown) == ([], ["Squaring (a second) …"], [])
    desk.do_all()
    shown.run()
    assert seen(shown) == (["4 now"], [], [])


def test_a_server_that_ends_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real process, which is closed while the work waits."""
    side = background.SideProcess()
    side.submit("busy", time.sleep, 60)
    monkeypatch.setattr(background, "submit", side.submit)
    shown = page()
    assert seen(shown)[1] == ["Squaring (a second) …"]
    side.close()
    shown.run()
    assert seen(shown) == ([], [], ["This could not be measured: The server is stopping."])


def test_work_begins_where_the_last_value_ended(desk: Desk) -> None:
    shown = page(warm=True)
    desk.do_all()
    shown.run()
    ask_for(shown, 3)
    cold, warm = desk.asked[0], desk.asked[-1]
    assert warm[0] != background.key_of(raised, 3), "another start is another result"
    assert cold[0] == background.key_of(raised, 2)
    desk.do_all()
    shown.run()
    assert seen(shown)[0] == ["4009 now"]
    count = len(desk.asked)
    shown.run()
    assert seen(shown)[0] == ["4009 now"]
    assert len(desk.asked) == count, "what is there is not asked for again, least of all from where it ended itself"


def test_something_stands_in_until_there_is_a_first_value(desk: Desk) -> None:
    shown = page(first=77)
    assert seen(shown) == (["77 before"], [], [])
    desk.do_all()
    shown.run()
    assert seen(shown) == (["4 now"], [], [])
