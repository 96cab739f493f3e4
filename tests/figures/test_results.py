"""Figures of results show every run, the right reference and every source."""

import plotly.graph_objects as go
import pytest

from tests.figures.test_theme import contrast
from tests.results.test_measured import row
from ued_core.errors import DataError
from ued_core.figures import results
from ued_core.figures.theme import SEQUENTIAL
from ued_core.results import measured
from ued_core.results.phenomenon import Condition
from ued_core.results.reported import reported
from ued_core.results.row import ResultRow

ROWS = reported()


def conditions(*rows: dict) -> list[Condition]:
    return measured.by_effect(measured.conditions([ResultRow.from_json(r) for r in rows], "shapes"))


FOUND = conditions(
    row("clean", 0, 0.95),
    row("clean, no augmentation", 0, 0.97),
    row("EM", 0, 0.2),
    row("EM", 1, 0.4),
    row("TAP, no augmentation", 0, 0.5),
    row("LSP", 0, 0.9, defenses=[{"name": "jpeg"}]),
)


def named(figure: go.Figure) -> dict[str, go.Scatter]:
    return {trace.name: trace for trace in figure.data}


def test_every_run_is_a_dot_and_the_mean_is_of_its_own_condition() -> None:
    traces = named(results.attack_dots(FOUND, 0.1))
    dots = traces["attacked, one run"]
    assert sorted(zip(dots.y, dots.x, strict=True)) == [("EM", 20.0), ("EM", 40.0), ("TAP, no augmentation", 50.0)]
    assert "EM, seed 1" in " ".join(dots.customdata)
    means = dict(zip(traces["mean of the seeds"].y, traces["mean of the seeds"].x, strict=True))
    assert means["EM"] == pytest.approx(30)
    assert "30.0 ± 14.1 % (n = 2)" in traces["mean of the seeds"].customdata
    assert list(traces["attacked, then defended, one run"].y) == ["LSP"]


def test_reference_is_the_clean_run_of_the_same_training() -> None:
    reference = named(results.attack_dots(FOUND, 0.1))["same training on clean data"]
    assert dict(zip(reference.y, reference.x, strict=True)) == pytest.approx(
        {"clean": 95, "clean, no augmentation": 97, "EM": 95, "TAP, no augmentation": 97, "LSP": 95}
    )


def test_lines_stand_in_the_given_order_with_guessing() -> None:
    figure = results.attack_dots(FOUND, 0.1)
    assert list(figure.layout.yaxis.categoryarray) == [c.name for c in FOUND]
    assert figure.layout.yaxis.range[0] > figure.layout.yaxis.range[1], "the first on top"
    assert figure.layout.shapes[0].x0 == pytest.approx(10)
    assert "10 %" in figure.layout.shapes[0].name


def test_a_clean_run_need_not_be_there() -> None:
    figure = results.attack_dots(conditions(row("EM", 0, 0.2)), 0.1)
    assert len(named(figure)["same training on clean data"].x) == 0
    with pytest.raises(DataError):
        results.attack_dots([], 0.1)


def grid() -> measured.Grid:
    coin = [{"name": "coin"}]
    rows = [
        row("EM", 0, 0.6, attack="EM", defence="COIN", defenses=coin),
        row("EM", 1, 0.8, attack="EM", defence="COIN", defenses=coin),
        row("EM", 0, 0.2, attack="EM", defence="none"),
        row("clean", 0, 0.9, attack="clean", defence="none"),
    ]
    return measured.grid([ResultRow.from_json(r) for r in rows], "shapes")


def test_map_holds_gains_on_the_same_seeds_and_leaves_gaps() -> None:
    """COIN's second seed has no run without a defence beside it: 60 % − 20 % on the first alone is the gain, and the
    colour is 20 % + 40 points, not the mean of both seeds, 70 %."""
    cells = results.measured_cells(grid())
    figure = results.accuracy_map(cells)
    heat, numbers = figure.data
    assert list(heat.y) == ["clean", "EM"]
    assert list(heat.x) == ["none", "COIN"]
    assert heat.z[1].tolist() == [20, 60]
    assert heat.z[0][0] == 90
    assert "not measured" in heat.customdata[0][1]
    assert "70.0 ± 14.1 % (n = 2)" in heat.customdata[1][1]
    assert "+40.0 points on one seed against EM on the same seeds: cannot be told (1 seed)" in heat.customdata[1][1]
    assert figure.layout.meta["least_width"] > 300, "words in cells need room"
    assert set(zip(numbers.y, numbers.x, numbers.text, strict=True)) == {
        ("clean", "none", "90.0 n1"), ("EM", "none", "20.0 n1"), ("EM", "COIN", "+40.0? n1"),
    }  # fmt: skip


def test_a_cell_that_cannot_be_paired_is_left_out_of_the_map() -> None:
    rows = [
        row("EM", 3, 0.9, attack="EM", defence="JPEG", defenses=[{"name": "jpeg"}]),
        row("EM", 0, 0.2, attack="EM", defence="none"),
    ]
    cells = results.measured_cells(measured.grid([ResultRow.from_json(r) for r in rows], "shapes"))
    heat, numbers = results.accuracy_map(cells).data
    assert list(numbers.text) == ["20.0 n1"]
    assert "no seed in common" in heat.customdata[0][1]


def test_turned_map_is_the_same_table() -> None:
    cells = results.measured_cells(grid())
    turned = cells.turned()
    assert (turned.rows, turned.columns) == (cells.columns, cells.rows)
    assert turned.values[1, 1] == cells.values[1, 1]
    assert turned.words[1][0] == cells.words[0][1]
    assert results.accuracy_map(turned).layout.yaxis.title.text == "defence"


def test_columns_are_sorted_and_single_seeds_bracketed() -> None:
    cells = results.measured_cells(grid())
    order = list(range(len(cells.columns)))[::-1]
    other = cells.sorted_columns(order)
    assert other.columns == cells.columns[::-1]
    assert repr(other.values.tolist()) == repr(cells.values[:, ::-1].tolist())
    assert other.words[0] == cells.words[0][::-1]
    texts = [text for row in cells.single_seeds_bracketed().texts for text in row]
    assert all(text.startswith("(") == text.strip("()").endswith(" n1") for text in texts if text)
    assert {text for text in texts if text.startswith("(")}, "there are cells of one seed in this table"


def on_scale(percent: float) -> str:
    place = percent / 100
    (low, first), (high, second) = next(
        (a, b) for a, b in zip(SEQUENTIAL, SEQUENTIAL[1:], strict=False) if a[0] <= place <= b[0]
    )
    share = (place - low) / (high - low)
    return "#" + "".join(
        f"{round(int(first[i : i + 2], 16) * (1 - share) + int(second[i : i + 2], 16) * share):02x}" for i in (1, 3, 5)
    )


def test_numbers_can_be_read_on_every_colour_of_the_map() -> None:
    colours = {p: results.ON_BRIGHT if p >= results.BRIGHT else results.ON_DARK for p in range(101)}
    assert min(contrast(colour, on_scale(percent)) for percent, colour in colours.items()) >= 4.4


def test_reported_map_names_source_and_spelling_in_every_cell() -> None:
    rows = [r for r in ROWS if r.source.title == "ISS"]
    cells = results.reported_cells(rows)
    assert cells.rows[0] == "clean"
    assert cells.columns[0] == "none"
    words = cells.words[cells.rows.index("OPS")][0]
    assert "36.55 %" in words
    assert "ISS" in words
    assert "OPS (L_0=1)" in words
    assert cells.values[cells.rows.index("OPS")][0] == pytest.approx(0.3655)


def test_two_networks_do_not_share_a_cell() -> None:
    with pytest.raises(DataError, match="two values"):
        results.reported_cells([r for r in ROWS if r.source.title == "APBench, other networks"])


def test_every_source_has_its_own_look_and_no_value_is_averaged() -> None:
    rows = [r for r in ROWS if (r.dataset.key, r.defense.key) == ("cifar10", "none")]
    figure = results.source_dots(rows)
    assert {trace.name for trace in figure.data} == {r.source.title for r in rows}
    assert sum(len(trace.x) for trace in figure.data) == len(rows)
    assert len({trace.marker.symbol for trace in figure.data}) == len(figure.data)
    assert len({trace.marker.color for trace in figure.data}) == len(figure.data)
    assert figure.layout.yaxis.categoryarray[0] == "clean"


@pytest.mark.parametrize("attack", ["em", "uc", "cuda", "synper"])
def test_beside_has_one_line_an_experiment(attack: str) -> None:
    rows = [r for r in ROWS if r.attack.key == attack and r.defense.key == "none"]
    em, clean = FOUND[2], FOUND[0]
    figure = results.beside([("Shapes · EM", em, clean)], rows, ROWS)
    labels = list(figure.layout.yaxis.categoryarray)
    assert len(labels) == len(set(labels)) == len(rows) + 1
    traces = named(figure)
    assert sorted(traces["reported"].x) == pytest.approx(sorted(100 * r.test_accuracy for r in rows))
    assert sorted(traces["measured here, one run"].x) == [20, 40]
    ticks = traces["on clean data, where known"]
    assert ticks.x[list(ticks.y).index("Shapes · EM")] == pytest.approx(95)
    with pytest.raises(DataError):
        results.beside([], [], ROWS)


def test_axes_have_titles() -> None:
    assert results.attack_dots(FOUND, 0.1).layout.xaxis.title.text.endswith("(%)")
    assert results.accuracy_map(results.measured_cells(grid())).layout.xaxis.title.text == "defence"
