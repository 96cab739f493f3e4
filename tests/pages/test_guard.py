"""Errors on a page: those of users are explained, bugs are owned up to."""

import re

import pytest
from streamlit.testing.v1 import AppTest


def page_with(what: str) -> AppTest:
    def script(what: str) -> None:
        from pathlib import Path

        import streamlit as st

        from pages.frame.guard import guarded
        from ued_core.errors import DataError

        with guarded():
            if what == "mistake":
                raise DataError("The file *x* has 3 columns.", "Give one with 4.")
            if what == "bug":
                raise ZeroDivisionError("0 / 0")
            if what == "system":
                Path("/dev/null/file").read_text()
            if what == "read-only":
                raise OSError(30, "Read-only file system", "/srv/home/x")
            if what == "full":
                raise OSError(28, "No space left on device")
            if what == "broken pipe":
                raise BrokenPipeError(32, "Broken pipe")
            if what == "stop":
                st.stop()
            if what == "rerun" and "again" not in st.session_state:
                st.session_state["again"] = True
                st.rerun()
        st.write("after")

    return AppTest.from_function(script, kwargs={"what": what}).run()


def test_a_mistake_is_explained_and_the_page_goes_on() -> None:
    page = page_with("mistake")
    assert "The file \\*x\\* has 3 columns" in page.error[0].value
    assert "What to do:" in page.error[0].value
    assert "Give one with 4" in page.error[0].value
    assert not page.exception
    assert page.markdown[-1].value == "after"


def test_a_bug_is_shown_as_one_with_its_traceback() -> None:
    page = page_with("bug")
    assert "This is a bug in UED Studio" in page.error[0].value
    assert "ZeroDivisionError" in page.code[0].value


def test_streamlits_own_control_flow_passes() -> None:
    assert [m.value for m in page_with("stop").markdown] == []
    assert [m.value for m in page_with("rerun").markdown] == ["after"]
    assert not page_with("rerun").error


@pytest.mark.parametrize(
    ("what", "said", "do"),
    [
        ("system", "/dev/null/file", "Check the path"),
        ("read-only", "/srv/home/x': read-only file system", "UED_HOME"),
        ("full", "no space left on device", "Make room on the disk"),
    ],
)
def test_what_the_system_says_of_a_file_is_no_bug(what: str, said: str, do: str) -> None:
    page = page_with(what)
    (error,) = (e.value.replace("\\", "") for e in page.error)
    assert said in error
    assert do in error
    assert "bug" not in error
    assert not page.code
    assert page.markdown[-1].value == "after"


def test_what_it_says_of_no_file_is_one() -> None:
    assert "This is a bug" in page_with("broken pipe").error[0].value


def test_a_visitor_gets_the_number_of_a_bug_and_the_log_the_rest(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("UED_SERVED", "1")
    page = page_with("bug")
    (error,) = page.error
    number = re.search(r"\*\*([0-9a-f]{8})\*\*", error.value)
    assert number
    assert "0 / 0" not in error.value
    assert not page.code
    assert not page.expander
    (logged,) = (record for record in caplog.records if number[1] in record.getMessage())
    assert "ZeroDivisionError: 0 / 0" in caplog.text
    assert logged.levelname == "ERROR"


def test_a_visitor_reads_no_path_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UED_SERVED", "1")
    for what in ("system", "read-only"):
        (error,) = page_with(what).error
        assert "/dev" not in error.value
        assert "/srv" not in error.value
