"""Figures of the open questions: means, spread and every run stand where the rows say."""

import plotly.graph_objects as go
import pytest

from tests.figures.test_theme import CONFIG, contrast
from tests.results.test_open_questions import CUDA, coin, conditions, row
from ued_core.errors import DataError
from ued_core.figures import open_questions as figures
from ued_core.figures.theme import ROLE_COLOURS
from ued_core.results import open_questions as series


def runs(name: str, lasts: list[float], attack=None, defenses=(), **more) -> list[dict]:
    return [row(name, seed, last, attack, defenses, **more) for seed, last in enumerate(lasts)]


def traces(figure: go.Figure) -> dict[str, list]:
    found: dict[str, list] = {}
    for trace in figure.data:
        found.setdefault(trace.name, []).append(trace)
    return found


def texts(figure: go.Figure) -> list[str]:
    return [note.text for note in figure.layout.annotations]


def test_cost_has_means_spread_and_runs_of_both_data_sets() -> None:
    rows = [
        *runs("0", [0.9, 0.94]), *runs("2", [0.8], defenses=coin(2.0)),
        *runs("d", [0.99], dataset="digits"),
    ]  # fmt: skip
    figure = figures.cost_figure(series.cost_lines(conditions(*rows)))
    found = traces(figure)
    (shapes,), (dots,) = found["Shapes"], found["Shapes, one run"]
    assert (list(shapes.x), list(shapes.y)) == ([0, 2], pytest.approx([92, 80]))
    assert list(shapes.error_y.array) == pytest.approx([4 / 2**0.5, 0]), "sample deviation; none for one run"
    assert sorted(dots.y) == pytest.approx([80, 90, 94])
    assert [0 < s - x < 0.1 for x, s in zip(dots.x, (0, 0, 2), strict=True)] == [True] * 3, "beside their mean"
    assert "α = 2 px<br>seed 0" in dots.customdata[2]
    assert any(text.endswith("Shapes") for text in texts(figure))
    assert any(text.endswith("Digits") for text in texts(figure))
    assert figure.layout.yaxis.range[0] == pytest.approx(77), "below the lowest run"
    assert figure.layout.xaxis.title.text == "strength α of COIN (px)"
    assert figure.layout.yaxis.title.text.endswith("(%)")


def test_names_at_the_ends_of_lines_do_not_overlap() -> None:
    rows = [r for k, d in enumerate(("shapes", "digits")) for r in runs(d, [0.9 + k / 1000], dataset=d)]
    figure = figures.cost_figure(series.cost_lines(conditions(*rows)))
    low, high = sorted(note.y for note in figure.layout.annotations)
    assert high - low > 0.05 * (figure.layout.yaxis.range[1] - figure.layout.yaxis.range[0])


def test_resolution_has_a_panel_a_side_with_its_clean_line() -> None:
    rows = [
        r
        for side in (32, 64, 96)
        for a in (0.0, 2.0)
        for r in runs(f"{side}{a}", [0.2], CUDA, coin(a) if a else [], side=side)
    ]
    rows += runs("clean", [0.9], side=64)
    figure = figures.resolution_figure(series.resolution_lines(conditions(*rows), rows))
    assert [t.xaxis for t in figure.data if not t.name.endswith("run")] == ["x", "x2", "x3"]
    assert {"32×32 px", "64×64 px", "96×96 px"} < set(texts(figure))
    (line,) = figure.layout.shapes
    assert (line.xref, line.yref, line.y0, line.y1) == ("x2 domain", "y2", 90, 90)
    assert list(figure.data[0].marker.symbol) == ["x", "diamond"], "α = 0 is the attack"


def test_optimum_has_one_panel_by_blur_and_one_by_kernel() -> None:
    rows = [r for b in (0.1, 0.3, 0.6) for r in runs(f"{b}", [b], {**CUDA, "blur": b})]
    rows += runs("k", [0.5], {**CUDA, "kernel_size": 5})
    figure = figures.optimum_figure(*series.optimum_lines(conditions(*rows), []))
    panels = {name: found[0].xaxis for name, found in traces(figure).items() if not name.endswith("run")}
    assert panels == {"p_b = 0.1": "x", "p_b = 0.3": "x", "p_b = 0.6": "x", "k = 3": "x2", "k = 5": "x2"}
    assert {"how strongly kernels blur (k = 3)", "how wide kernels are (p_b = 0.3)"} < set(texts(figure))
    only = figures.optimum_figure(series.optimum_lines(conditions(*rows[:3]), [])[0], [])
    assert "xaxis2" not in only.to_dict()["layout"]


def test_rivals_are_strips_between_no_defence_and_clean() -> None:
    rows = [
        *runs("none", [0.2], CUDA),
        *runs("COIN", [0.6, 0.8], CUDA, coin(2.0)),
        *runs("shifts", [0.5], CUDA, [{"name": "coin_shifts"}]),
        *runs("elastic", [0.4], CUDA, [{"name": "elastic"}]),
    ]
    group = series.rivals(conditions(*rows), runs("none", [0.9]))
    figure = figures.rivals_figure(group)
    found = traces(figure)
    (mean,), (dots,) = found["COIN"], found["COIN, one run"]
    assert (list(mean.x), list(mean.y), list(mean.text)) == (pytest.approx([70]), [1], ["70"])
    assert list(mean.error_x.array) == pytest.approx([20 / 2**0.5])
    assert sorted(dots.x) == pytest.approx([60, 80])
    assert set(dots.y) == {1 + figures.BELOW}
    assert list(figure.layout.yaxis.ticktext) == ["no defence", "COIN", "shifts", "elastic"]
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1], "the first on top"
    assert sorted(line.x0 for line in figure.layout.shapes) == pytest.approx([20, 90])
    assert {"no defence 20 %", "clean data 90 %"} <= set(texts(figure))
    looks = [(found[c.name][0].marker.color, found[c.name][0].marker.symbol) for c in group.conditions]
    assert len(set(looks)) == 4
    assert figures.strips_height([group]) > 4 * figures.ROW


def test_mixtures_and_seeds_share_their_lines_over_panels() -> None:
    rows = [r for rate in (0.5, 0.8) for d in ([], coin(2.0)) for r in runs(f"{rate}{d}", [0.5], CUDA, d, rate=rate)]
    figure = figures.mixtures_figure(series.mixtures(conditions(*rows), []))
    assert not figure.layout.shapes, "no defence has a row of its own, and clean data was not measured"
    assert list(figure.layout.yaxis.ticktext) == ["no defence", "COIN on all"]
    assert [t.yaxis for t in traces(figure)["COIN on all"]] == ["y", "y2"]
    assert {"50 % of the images poisoned", "80 % of the images poisoned"} == set(texts(figure))
    named = [(p, c, r) for p in ("adamw", "sgd") for c in "ab" for r in runs(c, [0.4, 0.6])]
    stored = [r.model_copy(update={"dataset": "shapes", "plan": p, "condition": c}) for p, c, r in named]
    figure = figures.seeds_figure(series.seed_groups(stored))
    assert sum(len(t.x) for t in figure.data if t.name.endswith("one run")) == len(stored)


def test_attackers_are_joined_where_both_ends_are_known() -> None:
    wide = {**CUDA, "kernel_size": 7}
    rows = [*runs("p", [0.2], CUDA), *runs("pc", [0.7], CUDA, coin(2.0)), *runs("w", [0.3], wide)]
    pairs = series.attackers(conditions(*rows))
    figure = figures.attackers_figure(pairs, conditions(*runs("none", [0.9]))[0])
    bars = [t for t in figure.data if t.mode == "lines"]
    assert [(list(t.x), list(t.y)) for t in bars] == [([20, 70], [0, 0])]
    numbers = {t.text[0]: t.textposition for t in figure.data if t.text}
    assert numbers == {"20": "top left", "70": "top right", "30": "top center"}
    assert list(figure.layout.yaxis.ticktext) == ["as published", "7×7 kernels"]
    assert {"<b>without COIN</b>", "<b>with COIN</b>", "clean data 90 %"} == set(texts(figure))


def test_nothing_to_draw_is_said() -> None:
    for draw in (
        lambda: figures.cost_figure([]), lambda: figures.resolution_figure([]), lambda: figures.optimum_figure([], []),
        lambda: figures.seeds_figure([]), lambda: figures.attackers_figure([]),
    ):  # fmt: skip
        with pytest.raises(DataError):
            draw()


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_lines_stand_out_and_differ_without_colour(mode: str) -> None:
    paper = CONFIG["theme"][mode]["backgroundColor"]
    assert min(contrast(colour, paper) for colour, *_ in figures.LINE_LOOKS) >= 3
    assert (
        len({symbol for _, symbol, *_ in figures.LINE_LOOKS})
        == len({dash for _, _, dash, _ in figures.LINE_LOOKS})
        == 4
    )
    assert not {colour for colour, *_ in figures.LINE_LOOKS} & {
        ROLE_COLOURS[r] for r in ("clean", "poisoned", "defended")
    }
