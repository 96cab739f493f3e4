"""Marked rows live in the address: a link restores them, bad links are answered, another data set has none."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from pages.state.marked import MOST, read_rows


def panel() -> None:
    import streamlit as st

    from pages.state.marked import mark_rows, marked_rows

    data = st.sidebar.radio("Data", ["a", "b"])
    typed = st.text_input("Rows", key="typed")
    if st.button("Mark"):
        mark_rows(data, [int(part) for part in typed.split(",") if part])
    st.json({"rows": marked_rows(data, 500)})


def opened(**query: str) -> AppTest:
    page = AppTest.from_function(panel)
    for name, value in query.items():
        page.query_params[name] = value
    return page.run()


def shown(page: AppTest) -> list[int]:
    import json

    assert not page.exception, page.exception
    return json.loads(page.json[0].value)["rows"]


def mark(page: AppTest, rows: str) -> AppTest:
    page.text_input(key="typed").set_value(rows)
    page.button[0].click()
    return page.run()


def test_nothing_is_marked_at_first() -> None:
    page = opened()
    assert shown(page) == []
    assert "rows" not in page.query_params


def test_a_link_marks_rows() -> None:
    page = opened(rows="44,3,17,3")
    assert shown(page) == [3, 17, 44]
    assert not page.warning
    assert page.query_params["rows"] == "3,17,44"


def test_marking_changes_the_address_and_stays() -> None:
    page = mark(opened(rows="3"), "9,2,9")
    assert shown(page) == [2, 9]
    assert page.query_params["rows"] == "2,9"
    assert shown(page.run()) == [2, 9]
    mark(page, "")
    assert shown(page) == []
    assert "rows" not in page.query_params


def test_another_data_set_has_no_marks() -> None:
    page = opened(rows="3,17")
    page.sidebar.radio[0].set_value("b").run()
    assert shown(page) == []
    assert "rows" not in page.query_params
    page.sidebar.radio[0].set_value("a").run()
    assert shown(page) == []


@pytest.mark.parametrize(
    ("text", "rows", "words"),
    [
        ("3,x,17", [3, 17], "'x' was asked for"),
        ("3,500", [3], "whole number from 0 to 499"),
        ("-1", [], "'-1'"),
        ("2.5,١", [], "'2.5'"),
        ("9" * 40, [], "whole number"),
    ],
)
def test_bad_rows_are_answered_in_words(text: str, rows: list[int], words: str) -> None:
    page = opened(rows=text)
    assert shown(page) == rows
    assert words in page.warning[0].value.replace("\\", "")
    assert len(page.run().warning) == 1, "said until the reader marks something"
    assert not mark(page, "4").warning


def test_an_address_holds_so_many_and_no_more() -> None:
    rows, problem = read_rows(",".join(map(str, range(300))), 500)
    assert rows == tuple(range(MOST))
    assert "300 rows were asked for" in problem
    page = mark(opened(), ",".join(map(str, range(200))))
    assert shown(page) == list(range(MOST))
    assert len(page.query_params["rows"]) < 500
    assert read_rows("", 500) == ((), "")
