"""Features on the Defence page: which network looks, and what the page says of it."""

from typing import Any

from streamlit.testing.v1 import AppTest

from tests.pages.components import charts
from ued_core.studies.onlookers import CLEAN_WHY, POISONED_WHY

SMALL = {"data": "fashion", "data_fashion_train_size": "400", "data_fashion_test_size": "100"}


def features(page: AppTest) -> dict[str, Any]:
    (chart,) = [chart for chart in charts(page) if chart["question"].endswith("network sees")]
    return chart


def test_the_network_that_learned_the_poison_looks_where_one_ships(open_page):
    page = open_page("defence", SMALL)
    assert not page.exception
    assert features(page)["question"] == "What the poisoned network sees"
    assert POISONED_WHY in features(page)["caption"]
    page.segmented_control(key="onlooker").set_value("fashion").run()
    assert features(page)["question"] == "What a clean network sees"
    assert CLEAN_WHY in features(page)["caption"]


def test_a_poison_that_no_shipped_network_learned_is_looked_at_by_a_clean_one(open_page):
    page = open_page("defence", {**SMALL, "key": "3"})
    assert features(page)["question"] == "What a clean network sees"
    assert CLEAN_WHY in features(page)["caption"]
    assert "onlooker" not in page.session_state
