"""The Overview: three pictures, and words that follow the stored numbers."""

import pytest

from pages.shared.glance import reading
from ued_core.analysis.phenomenon import Condition, conditions, shipped


def test_content(open_page):
    page = open_page("")
    assert not page.exception
    assert not page.error
    assert page.title[0].value.startswith("Why does unlearnable data work")
    assert [s.value for s in page.subheader] == ["1 · The poison", "2 · The trap", "3 · What breaks it"]
    text = " ".join(m.value for m in page.markdown)
    found = {c.name: c for c in conditions(shipped(), "shapes", "adamw")}
    run = found["CUDA"].rows[0]
    assert f"**{100 * run['train_accuracy']:.0f} %**" in text
    assert f"**{100 * run['last']:.0f} %**" in text
    assert f"{100 * found['CUDA + COIN'].mean('last'):.0f} %" in text
    assert "only the filter" not in text


def condition(name, last, true=None, followed=None):
    probe = None if true is None else {"wrong_true_rate": true, "wrong_perturbation_rate": followed, "clean_histogram": [0.7, 0.2, 0.1]}
    return Condition(name, ({"last": last, "seed": 0, "probe": probe},))


def some(poisoned, coin, true, followed):
    return [
        condition("clean", 0.96),
        condition("CUDA", poisoned, true, followed),
        condition("CUDA + COIN", coin),
        condition("one common kernel", 0.85),
        condition("clean + COIN", 0.9),
    ]


@pytest.mark.parametrize(
    ("found", "says", "not_says"),
    [
        (
            some(0.2, 0.8, 0.5, 0.2),
            ["The poison works here", "96 %", "20 %", "brings back 80 %", "costs 6 points", "both, the shape and the filter", "70 %"],
            "does not work",
        ),
        (some(0.95, 0.94, 0.9, 0.05), ["does not work here", "COIN ends at 94 %", "mostly the shape"], "brings back"),
        (some(0.7, 0.9, 0.9, 0.05), ["works in part", "70 %"], "does not work"),
        (some(0.1, 0.8, 0.05, 0.9), ["mostly the filter"], "mostly the shape"),
    ],
)  # fmt: skip
def test_words_follow_the_numbers(found, says, not_says):
    text = reading(found, "shapes")
    for part in says:
        assert part in text
    assert not_says not in text


def test_reason_names_measured_numbers_only_where_the_poison_fails():
    text = reading(some(0.95, 0.94, 0.9, 0.05), "digits")
    assert "half the Nyquist" in text
    assert "benchmarks.filter_readout" in text
    assert "Nyquist" not in reading(some(0.2, 0.8, 0.5, 0.2), "digits")


def test_spread_between_keys_is_told():
    found = some(0.5, 0.9, 0.9, 0.05)
    rows = tuple({**found[1].rows[0], "last": last} for last in (0.2, 0.8))
    found[1] = Condition("CUDA", rows)
    assert "end between 20 % and 80 %" in reading(found, "shapes")
    assert "depends on the key" not in reading(some(0.2, 0.8, 0.9, 0.05), "shapes")
