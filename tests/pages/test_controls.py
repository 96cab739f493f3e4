"""Controls come from declarations, and links cannot get past them."""

import pytest
from streamlit.testing.v1 import AppTest

from pages.widgets.controls import decimals, from_text, natural_step
from ued_core.errors import UedError
from ued_core.params import Parameter


def panel() -> None:
    from typing import ClassVar, Literal

    import streamlit as st

    from pages.widgets.controls import choose, method_controls
    from ued_core.catalogue import Catalogue
    from ued_core.params import Method, param

    class Blur(Method):
        """Blurs."""

        key: ClassVar[str] = "blur"
        title: ClassVar[str] = "Blurring filter"
        width: float = param(1.5, "How wide.", label="width of the filter", unit="px", ge=0.0, le=3.0, step=0.1)
        passes: int = param(2, "How often.", ge=1, le=9)
        seed: int = param(0, "Which draw.", ge=0)
        edge: Literal["periodic", "zero"] = param("periodic", "Beyond the edge.")
        grey: bool = param(False, "Without colour.")
        note: str = param("x", "A word.", min_length=1)

    class Plain(Method):
        """Does nothing."""

        key: ClassVar[str] = "plain"
        title: ClassVar[str] = "Nothing"

    class Sharp(Plain):
        """Sharpens."""

        key: ClassVar[str] = "sharp"
        title: ClassVar[str] = "Sharpening"

    page = st.sidebar.radio("Page", ["one", "two", "few", "own"])
    if page == "one":
        method = method_controls(choose(Catalogue("filter", [Plain, Blur]), key="filter", label="Filter"), key="a")
        st.json(method.to_json())
    elif page == "own":
        own = choose(Catalogue("filter", [Plain, Blur]), key="filter", label="Filter", default="blur")
        st.json({"name": own.key})
    elif page == "few":
        st.json({"name": choose(Catalogue("filter", [Plain, Sharp]), key="filter", label="Filter").key})
    else:
        st.write("elsewhere")


def shown(page: AppTest) -> dict:
    import json

    assert not page.exception, page.exception
    return json.loads(page.json[0].value)


def opened(**query: str) -> AppTest:
    page = AppTest.from_function(panel)
    for name, value in query.items():
        page.query_params[name] = value
    return page.run()


def test_every_kind_of_parameter_gets_its_control() -> None:
    page = opened(filter="blur")
    assert page.slider(key="a_blur_width").label == "Width of the filter (px)"
    assert (page.slider(key="a_blur_width").min, page.slider(key="a_blur_width").max) == (0.0, 3.0)
    assert page.slider(key="a_blur_width").help == "How wide."
    assert page.slider(key="a_blur_passes").value == 2
    assert page.number_input(key="a_blur_seed").value == 0
    assert page.selectbox(key="a_blur_edge").options == ["periodic", "zero"]
    assert page.toggle(key="a_blur_grey").value is False
    assert page.text_input(key="a_blur_note").value == "x"
    defaults = {"name": "blur", "width": 1.5, "passes": 2, "seed": 0, "edge": "periodic", "grey": False, "note": "x"}
    assert shown(page) == defaults


def test_moving_controls_changes_method_and_address() -> None:
    page = opened(filter="blur")
    page.slider(key="a_blur_width").set_value(2.5)
    page.toggle(key="a_blur_grey").set_value(True)
    page.run()
    assert shown(page)["width"] == 2.5
    assert shown(page)["grey"] is True
    assert page.query_params == {"filter": "blur", "a_blur_width": "2.5", "a_blur_grey": "true"}
    page.slider(key="a_blur_width").set_value(1.5).run()
    assert "a_blur_width" not in page.query_params


def test_a_link_sets_every_kind() -> None:
    page = opened(filter="blur", a_blur_width="0.7", a_blur_passes="9", a_blur_edge="zero", a_blur_grey="true")
    assert shown(page) == {
        "name": "blur", "width": 0.7, "passes": 9, "seed": 0, "edge": "zero", "grey": True, "note": "x",
    }  # fmt: skip
    assert not page.warning


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("a_blur_width", "7", "from 0 to 3 px"),
        ("a_blur_width", "nan", "from 0 to 3 px"),
        ("a_blur_passes", "2.5", "whole number"),
        ("a_blur_seed", "-1", "at least 0"),
        ("a_blur_edge", "mirror", "one of"),
        ("a_blur_grey", "maybe", "true or false"),
        ("filter", "blurr", "Did you mean"),
    ],
)
def test_a_bad_link_is_answered_in_words_and_the_default_stands(name: str, value: str, rule: str) -> None:
    page = opened(**{"filter": "blur", name: value})
    assert rule in page.warning[0].value.replace("\\", "")
    method = shown(page)
    assert method == {"name": "plain"} if name == "filter" else method["width"] == 1.5
    page.sidebar.radio[0].set_value("two").run()
    page.sidebar.radio[0].set_value("one").run()
    assert len(page.warning) == 1, "said until the reader uses the control"


def test_values_survive_a_page_that_does_not_show_them() -> None:
    page = opened(filter="blur")
    page.slider(key="a_blur_width").set_value(2.5).run()
    page.sidebar.radio[0].set_value("two").run()
    assert page.markdown[0].value == "elsewhere"
    page.sidebar.radio[0].set_value("one").run()
    assert shown(page)["width"] == 2.5


def test_a_choice_that_a_page_does_not_offer_is_named_there_and_kept_for_the_others() -> None:
    page = opened(filter="blur")
    page.sidebar.radio[0].set_value("few").run()
    assert shown(page) == {"name": "plain"}
    assert (
        "`blur` was chosen on another page and cannot be shown on this one; Nothing is shown instead"
        in page.info[0].value
    )
    page.run()
    assert len(page.info) == 1, "said as long as it is so"
    # Streamlit drops the value of a control that is not drawn, as it does between pages.
    for there in ("two", "one"):
        page.sidebar.radio[0].set_value(there).run()
    assert shown(page)["name"] == "blur"
    assert not page.info
    page.sidebar.radio[0].set_value("few").run()
    page.selectbox(key="filter").set_value("sharp").run()
    assert (shown(page), len(page.info)) == ({"name": "sharp"}, 0), "a choice of the reader's own takes its place"


def test_a_page_begins_with_its_own_entry_until_somebody_chooses() -> None:
    """Going there and back chooses nothing; a choice, also of what another page begins with, holds everywhere."""
    page = opened()
    assert shown(page)["name"] == "plain"
    # Streamlit drops the value of a control that is not drawn, as it does between pages.
    for there in ("two", "own"):
        page.sidebar.radio[0].set_value(there).run()
    assert shown(page)["name"] == "blur"
    assert "filter" not in page.query_params
    for there in ("two", "one"):
        page.sidebar.radio[0].set_value(there).run()
    assert shown(page)["name"] == "plain"
    page.selectbox(key="filter").set_value("blur").run()
    page.selectbox(key="filter").set_value("plain").run()
    for there in ("two", "own"):
        page.sidebar.radio[0].set_value(there).run()
    assert shown(page)["name"] == "plain"
    assert page.query_params["filter"] in ("plain", ["plain"])


def test_an_address_chooses_too() -> None:
    page = opened(filter="plain")
    assert "filter" not in page.query_params, "it is what this page begins with"
    for there in ("two", "own"):
        page.sidebar.radio[0].set_value(there).run()
    assert shown(page)["name"] == "plain"


def test_text_that_the_method_refuses_never_reaches_it() -> None:
    page = opened(filter="blur")
    page.text_input(key="a_blur_note").set_value("").run()
    assert shown(page)["note"] == "x"
    assert "text" in page.warning[0].value


def test_a_path_that_starts_nowhere_never_reaches_the_method(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/reader")

    def one() -> None:
        import streamlit as st

        from pages.widgets.controls import method_controls
        from ued_core.data import Folder

        st.json(method_controls(Folder, key="a").to_json())

    page = AppTest.from_function(one)
    page.query_params["a_folder_path"] = "imgs"
    page.run()
    assert shown(page)["path"] == ""
    assert "a relative path, and nothing says in which folder" in page.warning[0].value
    page.text_input(key="a_folder_path").set_value("~/imgs").run()
    assert (shown(page)["path"], len(page.warning)) == ("/home/reader/imgs", 0)


def declared(**values) -> Parameter:
    return Parameter(**{"name": "p", "label": "p", "kind": "float", "default": 0.0, **values})


def test_steps_are_round_and_shown_in_full() -> None:
    assert natural_step(declared(minimum=0, maximum=1)) == pytest.approx(0.01)
    assert natural_step(declared(minimum=0, maximum=0.3)) == pytest.approx(0.002)
    assert natural_step(declared(minimum=0, maximum=4)) == pytest.approx(0.05)
    assert [decimals(step) for step in (1.0, 0.1, 0.05, 0.002, 5.0)] == [0, 1, 2, 3, 0]


def test_infinite_numbers_are_refused() -> None:
    with pytest.raises(UedError):
        from_text(declared(), "inf")
