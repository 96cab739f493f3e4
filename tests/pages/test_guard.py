"""Errors on a page: those of users are explained, bugs are owned up to."""

from streamlit.testing.v1 import AppTest


def page_with(what: str) -> AppTest:
    def script(what: str) -> None:
        import streamlit as st

        from pages.shared.guard import guarded
        from ued_core.errors import DataError

        with guarded():
            if what == "mistake":
                raise DataError("The file *x* has 3 columns.", "Give one with 4.")
            if what == "bug":
                raise ZeroDivisionError("0 / 0")
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
