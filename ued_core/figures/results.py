"""Results side by side: attacks over seeds, attack × defence, and what papers report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import plotly.graph_objects as go

from ued_core.errors import DataError
from ued_core.figures.learning import RUN_COLOURS
from ued_core.figures.theme import (
    CLASS_SYMBOLS,
    INK,
    MUTED,
    PAPER,
    ROLE_COLOURS,
    ROLE_SYMBOLS,
    SEQUENTIAL,
    axis_title,
    base_layout,
    colour_scale,
)
from ued_core.results.measured import Grid, attack_of, defences_of, reference, summary
from ued_core.results.phenomenon import Condition
from ued_core.results.reported import Name, ReportedRow, clean_reference
from ued_core.results.words import gain_cell, level_cell, points

ACCURACY = axis_title("accuracy on clean test images", "%")
ROW_HEIGHT = 26
"""CSS pixels of one line of a dot plot."""
ON_DARK, ON_BRIGHT, BRIGHT = "#ffffff", "#000000", 53
"""Colours of the numbers on the map, and from which per cent on the second is easier to read."""
MOST_UPRIGHT = 6
"""With more columns than this their names are turned."""
NAMES_WIDTH, TEXT_WIDTH = 220, 112
"""CSS pixels that the names of rows with the scale, and a cell with a gain and its interval, take."""
ROLE_WORDS = {
    "clean": "not attacked",
    "poisoned": "attacked",
    "defended": "attacked, then defended",
    "neutral": "defended, not attacked",
}
_REFERENCE = "same training on clean data"


@dataclass(frozen=True)
class Cells:
    """A table of accuracies, as :func:`accuracy_map` draws it.

    Attributes:
        rows, columns: their names.
        values: float64 (R, C), 0..1; nan where nothing is known.
        words: what the pointer finds on each cell, (R, C).
        texts: what stands in each cell, (R, C); None for the values in whole per cent.
        of_rows, of_columns: what the rows and the columns are.
    """

    rows: tuple[str, ...]
    columns: tuple[str, ...]
    values: np.ndarray
    words: tuple[tuple[str, ...], ...]
    texts: tuple[tuple[str, ...], ...] | None = None
    of_rows: str = "attack"
    of_columns: str = "defence"

    def sorted_columns(self, order: Sequence[int]) -> Cells:
        """The same with its columns in another order.

        Args:
            order: places of the columns, each once.
        """
        pick = tuple(order)
        return replace(
            self,
            columns=tuple(self.columns[k] for k in pick),
            values=self.values[:, list(pick)],
            words=tuple(tuple(row[k] for k in pick) for row in self.words),
            texts=self.texts and tuple(tuple(row[k] for k in pick) for row in self.texts),
        )

    def single_seeds_bracketed(self) -> Cells:
        """The same with the texts of cells of a single run in brackets."""
        shown = self.texts and tuple(
            tuple(f"({text})" if text.endswith(" n1") else text for text in row) for row in self.texts
        )
        return replace(self, texts=shown)

    def turned(self) -> Cells:
        """The same with rows and columns exchanged."""
        words = tuple(zip(*self.words, strict=True))
        texts = self.texts and tuple(zip(*self.texts, strict=True))
        return Cells(self.columns, self.rows, self.values.T, words, texts, self.of_columns, self.of_rows)


def dots_height(rows: int) -> int:
    """Height of a dot plot with so many lines, in CSS pixels."""
    return 120 + ROW_HEIGHT * rows


def role_of(condition: Condition) -> str:
    """Role of a condition in the theme, from its spec."""
    if attack_of(condition) is None:
        return "neutral" if defences_of(condition) else "clean"
    return "defended" if defences_of(condition) else "poisoned"


def condition_words(condition: Condition) -> str:
    """``12.3 ± 1.0 % (n = 3)``: the last epoch's clean accuracy, mean ± sample standard deviation."""
    found = summary(condition, "last")
    around = f" ± {100 * found.spread:.1f}" if found.count > 1 else ""
    return f"{100 * found.mean:.1f}{around} % (n = {found.count})"


def attack_dots(found: Sequence[Condition], chance: float) -> go.Figure:
    """Clean accuracy of every run, one line a condition: the mean as a bar, what clean data gives as a tick.

    Args:
        found: conditions of one data set, in the order of the lines.
        chance: accuracy of guessing, 0..1.

    Raises:
        DataError: there are no conditions.
    """
    if not found:
        raise DataError("A plot of results needs at least one condition.")
    figure = go.Figure()
    # Under everything else: ticks as high as a line, so that they join where the references are alike.
    references = [(c, clean) for c in found if (clean := reference(c, found)) is not None]
    figure.add_scatter(
        x=[100 * summary(clean, "last").mean for _, clean in references],
        y=[c.name for c, _ in references],
        name=_REFERENCE,
        **_ticks(ROLE_COLOURS["clean"], ROW_HEIGHT, 2),
        customdata=[f"{clean.name}: {condition_words(clean)}" for _, clean in references],
        hovertemplate="%{customdata}<extra></extra>",
    )
    figure.add_scatter(
        x=[100 * summary(c, "last").mean for c in found],
        y=[c.name for c in found],
        name="mean of the seeds",
        **_ticks(INK, 20, 3),
        customdata=[condition_words(c) for c in found],
        hovertemplate="%{y}<br>mean %{customdata}<extra></extra>",
    )
    for role, words in ROLE_WORDS.items():
        own = [c for c in found if role_of(c) == role]
        if own:
            figure.add_scatter(**_seed_dots(own, role, f"{words}, one run"))
    figure.add_vline(
        x=100 * chance,
        name=f"guessing ({100 * chance:.3g} %)",
        showlegend=True,
        line={"color": MUTED, "width": 1.5, "dash": "dot"},
    )
    figure.update_layout(_dot_layout([c.name for c in found], "trained on"))
    return figure


def _seed_dots(found: Sequence[Condition], role: str, name: str, labels: Sequence[str] = ()) -> dict:
    """Every run of some conditions as a scatter trace."""
    rows = [
        (label, c, row) for label, c in zip(labels or [c.name for c in found], found, strict=True) for row in c.rows
    ]
    told = [
        f"{label}, seed {row.seed}<br>last epoch {100 * row.last:.1f} %, best epoch {100 * row.best:.1f} %<br>"
        f"training {100 * row.train_accuracy:.1f} %"
        for label, _, row in rows
    ]
    return {
        "x": [100 * row.last for _, _, row in rows],
        "y": [label for label, _, _ in rows],
        "mode": "markers",
        "name": name,
        "marker": {"color": ROLE_COLOURS[role], "symbol": ROLE_SYMBOLS[role], "size": 10},
        "customdata": told,
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _ticks(colour: str, height: int, width: int) -> dict:
    """Upright ticks of one colour."""
    return {
        "mode": "markers",
        "marker": {"symbol": "line-ns", "size": height, "color": colour, "line": {"color": colour, "width": width}},
    }


def _dot_layout(labels: Sequence[str], title: str) -> dict:
    return base_layout(
        xaxis={"title": {"text": ACCURACY}, "range": [0, 102]},
        yaxis={
            "type": "category",
            "categoryorder": "array",
            "categoryarray": list(labels),
            "range": [len(labels) - 0.5, -0.5],
            "title": {"text": title},
            "showgrid": True,
        },
        legend={"font": {"size": 12}},
        margin={"t": 48},
        showlegend=True,
    )


# ---- attack × defence --------------------------------------------------------------------------


def measured_cells(table: Grid) -> Cells:
    """What the defence table holds of the last epoch: without a defence the mean, and for each defence its gain over
    that on the same seeds; one row an attack. A cell that shares no seed with its row's *none* is left out.

    The colour of a defended cell is the mean without a defence plus the gain, so that colours of one row differ by what
    was paired.
    """
    values = np.full((len(table.attacks), len(table.defences)), np.nan)
    words = [["not measured"] * len(table.defences) for _ in table.attacks]
    texts = [[""] * len(table.defences) for _ in table.attacks]
    for r, attack in enumerate(table.attacks):
        none = table.none(attack)
        for k, defence in enumerate(table.defences):
            if (cell := table.cells.get((attack, defence))) is None:
                continue
            gain = table.gain(attack, defence)
            if defences_of(cell) and (gain is None or none is None):
                words[r][k] = f"{condition_words(cell)}<br>no seed in common with the runs without a defence"
                continue
            best, train = (100 * summary(cell, number).mean for number in ("best", "train_accuracy"))
            words[r][k] = f"{condition_words(cell)}<br>best epoch {best:.1f} %, training {train:.1f} %"
            if gain is None or none is None:
                values[r, k] = summary(cell, "last").mean
                texts[r][k] = level_cell(summary(cell, "last"))
            else:
                values[r, k] = min(1.0, max(0.0, summary(none, "last").mean + gain.gain.mean))
                texts[r][k] = gain_cell(gain)
                words[r][k] += f"<br>{points(gain.gain)} against {none.name} on the same seeds: {gain.verdict}"
    return Cells(table.attacks, table.defences, values, tuple(map(tuple, words)), tuple(map(tuple, texts)))


def reported_cells(rows: Sequence[ReportedRow]) -> Cells:
    """Rows of one source, data set and model as a table: clean first, no defence first, otherwise as printed.

    Raises:
        DataError: two rows for one cell.
    """
    attacks = sorted(dict.fromkeys(row.attack for row in rows), key=lambda name: name.key != "clean")
    defenses = sorted(dict.fromkeys(row.defense for row in rows), key=lambda name: name.key != "none")
    values = np.full((len(attacks), len(defenses)), np.nan)
    words = [["not reported"] * len(defenses) for _ in attacks]
    for row in rows:
        r, k = attacks.index(row.attack), defenses.index(row.defense)
        if np.isfinite(values[r, k]):
            raise DataError(
                f"{row.source.title} has two values for {row.attack.label} with {row.defense.label} here.",
                "Choose one model.",
            )
        values[r, k] = row.test_accuracy
        words[r][k] = reported_words(row)
    return Cells(tuple(n.label for n in attacks), tuple(n.label for n in defenses), values, tuple(map(tuple, words)))


def reported_words(row: ReportedRow) -> str:
    """A reported value with its source and the source's own spelling."""
    spelled = row.spelled
    return (
        f"{100 * row.test_accuracy:.2f} %, reported by {row.source.title}<br>{row.dataset.label}, {row.model.label}<br>"
        f"printed as: {spelled['attack']} · {spelled['defense']}<br>{row.source.where}"
    )


def accuracy_map(cells: Cells) -> go.Figure:
    """A table of accuracies as colours and numbers; bright is learnable.

    Raises:
        DataError: the table is empty.
    """
    if not cells.rows or not cells.columns:
        raise DataError("A table of results needs at least one row and one column.")
    percent = 100 * cells.values
    many = len(cells.columns) > MOST_UPRIGHT
    plain = {"type": "category", "showgrid": False, "dtick": 1}
    figure = go.Figure(
        go.Heatmap(
            z=np.round(percent, 2),
            x=list(cells.columns),
            y=list(cells.rows),
            zmin=0,
            zmax=100,
            colorscale=colour_scale(SEQUENTIAL),
            colorbar={"title": {"text": "%"}, "ticks": ""},
            xgap=2,
            ygap=2,
            hoverongaps=False,
            customdata=cells.words,
            hovertemplate="%{y} · %{x}<br>%{customdata}<extra></extra>",
        ),
        layout=base_layout(
            xaxis={"side": "top", "title": {"text": cells.of_columns}, **({"tickangle": -40} if many else {}), **plain},
            yaxis={"autorange": "reversed", "title": {"text": cells.of_rows}, **plain},
            margin={"t": 110 if many else 60, "b": 8},
            showlegend=False,
            **({"meta": {"least_width": NAMES_WIDTH + TEXT_WIDTH * len(cells.columns)}} if cells.texts else {}),
        ),
    )
    # Numbers of their own: those of a heat map come in two greys that are hard to read on its middle.
    known = [(r, k) for r, k in np.argwhere(np.isfinite(percent)).tolist()]
    figure.add_scatter(
        x=[cells.columns[k] for _, k in known],
        y=[cells.rows[r] for r, _ in known],
        text=[cells.texts[r][k] if cells.texts else f"{percent[r, k]:.0f}" for r, k in known],
        mode="text",
        textfont={"size": 12, "color": [ON_BRIGHT if percent[r, k] >= BRIGHT else ON_DARK for r, k in known]},
        hoverinfo="skip",
    )
    return figure


def map_height(cells: Cells) -> int:
    """Height of an :func:`accuracy_map`, in CSS pixels."""
    return (150 if len(cells.columns) > MOST_UPRIGHT else 90) + 30 * max(len(cells.rows), 3)


# ---- sources beside each other -----------------------------------------------------------------


def source_dots(rows: Sequence[ReportedRow]) -> go.Figure:
    """What several sources report for one data set and defence, one line an attack, one colour and symbol a source.

    Args:
        rows: of one data set and one defence.

    Raises:
        DataError: there are no rows.
    """
    if not rows:
        raise DataError("A plot of reported results needs at least one row.")
    labels = [name.label for name in attack_order(rows)]
    figure = go.Figure()
    for number, source in enumerate(dict.fromkeys(row.source for row in rows)):
        own = [row for row in rows if row.source == source]
        colour, symbol = RUN_COLOURS[number % len(RUN_COLOURS)], CLASS_SYMBOLS[number % len(CLASS_SYMBOLS)]
        figure.add_scatter(
            x=[100 * row.test_accuracy for row in own],
            y=[row.attack.label for row in own],
            mode="markers",
            name=source.title,
            marker={"color": colour, "symbol": symbol, "size": 11, "line": {"color": PAPER, "width": 1}},
            customdata=[reported_words(row) for row in own],
            hovertemplate="%{y}<br>%{customdata}<extra></extra>",
        )
    figure.update_layout(_dot_layout(labels, "attack"))
    return figure


def attack_order(rows: Sequence[ReportedRow]) -> list[Name]:
    """The attacks of some rows, clean first, then by their lowest reported value."""
    lowest: dict[Name, float] = {}
    for row in rows:
        lowest[row.attack] = min(row.test_accuracy, lowest.get(row.attack, 1.0))
    return sorted(lowest, key=lambda name: (name.key != "clean", lowest[name], name.label))


Labelled = tuple[str, Condition, Condition | None]


def beside(measured: Sequence[Labelled], rows: Sequence[ReportedRow], every: tuple[ReportedRow, ...]) -> go.Figure:
    """One attack: what was measured here above what is reported, one line an experiment, never averaged.

    Args:
        measured: label, runs (all with or all without a defence), and the runs on clean data that belong to them, if
            any.
        rows: reported values of the same attack.
        every: all reported rows, to find what the same source reports for clean data.

    Raises:
        DataError: there is nothing to show.
    """
    if not measured and not rows:
        raise DataError("There is neither a measured nor a reported value to show.")
    labels = [label for label, _, _ in measured] + [beside_label(row) for row in rows]
    figure = go.Figure()
    ticks = [
        (label, summary(clean, "last").mean, f"{clean.name}, measured here: {condition_words(clean)}")
        for label, _, clean in measured
        if clean is not None
    ]
    for row in rows:
        if (value := clean_reference(row, every)) is not None:
            ticks.append((beside_label(row), value, f"clean, reported by {row.source.title}: {100 * value:.2f} %"))
    figure.add_scatter(
        x=[100 * value for _, value, _ in ticks],
        y=[label for label, _, _ in ticks],
        name="on clean data, where known",
        **_ticks(ROLE_COLOURS["clean"], 16, 3),
        customdata=[words for _, _, words in ticks],
        hovertemplate="%{y}<br>%{customdata}<extra></extra>",
    )
    if measured:
        shown = [c for _, c, _ in measured]
        figure.add_scatter(
            **_seed_dots(shown, role_of(shown[0]), "measured here, one run", [label for label, _, _ in measured])
        )
    if rows:
        figure.add_scatter(
            x=[100 * row.test_accuracy for row in rows],
            y=[beside_label(row) for row in rows],
            mode="markers",
            name="reported",
            marker={
                "color": ROLE_COLOURS["control"],
                "symbol": "square",
                "size": 9,
                "line": {"color": PAPER, "width": 1},
            },
            customdata=[reported_words(row) for row in rows],
            hovertemplate="%{customdata}<extra></extra>",
        )
    figure.update_layout(_dot_layout(labels, ""))
    return figure


def beside_label(row: ReportedRow) -> str:
    """What a reported value is called beside others: data, model, form of the attack and defence, source."""
    forms = [name.variant for name in (row.attack, row.defense) if name.variant]
    return " · ".join([row.dataset.label, row.model.label, *forms, row.source.title])
