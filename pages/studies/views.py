"""One study: how far it is, its matrix, a parameter's curve, the comparisons, and every condition with its runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from pages.frame.guard import guarded, plain, refusable, show_refusal
from pages.frame.hidden import seen
from pages.frame.navigation import script
from pages.frame.provenance import figures_are_about
from pages.frame.visitor import who
from pages.state.run_changes import CHANGED
from pages.widgets.controls import pick, set_control
from pages.widgets.live_chart import fresh_click, live_chart
from pages.widgets.waiting import rerun_when
from ued_core import runs
from ued_core.figures.results import Cells
from ued_core.figures.roles import picture_role
from ued_core.figures.studies import Level, Point, study_curves, study_map
from ued_core.params import Method
from ued_core.results.evidence import RULE, Recovery, Split
from ued_core.results.shipped_runs import shipped_runs
from ued_core.results.words import bounds, points, share, shares, what_decides
from ued_core.runs import RunSpec, Snapshot
from ued_core.runs.devices import slots
from ued_core.studies.estimate import duration
from ued_core.studies.progress import GIVEN_UP, Cell, StudyProgress, TrialState, progress_of, seconds_left
from ued_core.studies.shelf import study_files
from ued_core.studies.study import Axis, Study
from ued_core.studies.submission import cancel_study, extend, submit_missing

GO_TO = "studies_go_to"
WORDS: dict[TrialState, str] = {
    "finished": "finished",
    "running": "running",
    "queued": "waiting",
    "interrupted": "interrupted",
    "failed": "failed",
    "cancelled": "cancelled",
    "missing": "not started",
}
MOST_TOLD = 60
"""So many cells are named in the words for those who cannot see the matrix; all of them are in the table below it."""
LINE = 44
"""CSS pixels of one row of the matrix."""


def go_where_asked() -> None:
    """Follow the button that was pressed; at the top of the page, because callbacks cannot change pages."""
    if (asked := st.session_state.pop(GO_TO, None)) is not None:
        st.switch_page(script("runs/page.py"), query_params={"run" if len(asked) == 1 else "compare": ",".join(asked)})


@st.fragment
def study_view(path: Path) -> None:
    """Everything about one study, drawn again when runs have changed."""
    with guarded():
        # Another page was asked for, or a longer study stands in this one's place: the whole page decides anew.
        if GO_TO in st.session_state or study_files().get(path.stem) != path:
            st.rerun()
        show_refusal()
        shared = runs.snapshot()
        runs.attend(shared.waiting)
        rerun_when(CHANGED, [shared.version], key="studies_changed")
        found = _progress(path, path.stat().st_mtime_ns, shared)
        seeds = ", ".join(map(str, found.study.seeds))
        figures_are_about(f"Study {found.study.name}: {seen(found.study.title)}; seeds {seeds}.")
        if found.study.note:
            st.caption(plain(seen(found.study.note)))
        _how_far(found)
        _buttons(path, found)
        clicked = _matrix(found)
        _curve(found)
        _one_condition(found, clicked)
        _answers(found)
        _key_and_seed(found)
        _conditions(found)


def study_at(path: Path) -> Study:
    """The study of a file, read again when the file has changed.

    Raises:
        SpecError, UnknownName: as :meth:`Study.read`.
    """
    return _study(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=64)
def _study(path: Path, _changed: int) -> Study:
    return Study.read(path)


@lru_cache(maxsize=16)
def _progress(path: Path, changed: int, now: Snapshot) -> StudyProgress:
    """The same for all readers of a snapshot."""
    return progress_of(_study(path, changed), now, shipped_runs())


# ---- how far ------------------------------------------------------------------------------------


def _how_far(found: StudyProgress) -> None:
    done, of = found.counts.get("finished", 0), len(found.trials)
    st.progress(done / of, f"{done:,} of {of:,} runs have finished")
    shipped = f" ({found.shipped:,} of them ship with the program)" if found.shipped else ""
    told = [
        f"{found.counts[state]:,} {words}" + (shipped if state == "finished" else "")
        for state, words in WORDS.items()
        if state in found.counts
    ]
    seeds = len(found.study.seeds)
    st.markdown(f"{len(found.cells):,} conditions, {seeds} seed{'s' * (seeds != 1)}: {', '.join(told)}.")
    cost = f"Processor time: {duration(found.spent.cpu_s)} so far in this home"
    if found.complete:
        st.caption(f"{cost}.")
    elif found.left is None:
        st.caption(f"{cost}; what is left is known once a run of this model has finished on this data set here.")
    else:
        clock = seconds_left(found, slots()) or 0.0
        st.caption(f"{cost}, about {duration(found.left.cpu_s)} left; about {duration(clock)} by the clock.")


def _buttons(path: Path, found: StudyProgress) -> None:
    missing = found.counts.get("missing", 0) + found.counts.get("interrupted", 0)
    given_up = sum(found.counts.get(state, 0) for state in GIVEN_UP)
    going = sum(t.record is not None and not t.record.over and t.record.by == who().id for t in found.trials.values())
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            f"Run what is missing ({missing:,})", type="primary", key="study_run", disabled=not missing,
            on_click=_run, args=(path, False), help="Queues each missing run once; interrupted ones go on.",
        )  # fmt: skip
        if given_up:
            st.button(
                f"Try failed and cancelled ones again ({given_up:,})", key="study_retry", on_click=_run,
                args=(path, True),
            )  # fmt: skip
        if going:
            st.button(
                f"Cancel ({going:,})", key="study_cancel", on_click=_cancel, args=(path,),
                help="Runs that another study wants go on.",
            )  # fmt: skip
        if who().owner:
            with st.popover("Add seeds …"):
                first = max(found.study.seeds) + 1
                more = int(st.number_input("How many seeds more", 1, 20, 1, key="study_more"))
                st.caption(f"Seeds {first} to {first + more - 1}: about {more * len(found.cells):,} runs more.")
                st.button("Add and run", key="study_extend", on_click=_extend, args=(path, first, more))


def _run(path: Path, retry: bool) -> None:
    with refusable():
        done = submit_missing(path, by=who(), retry=retry)
        st.toast(f"{len(done.queued):,} runs queued, {len(done.resumed):,} resumed.")


def _cancel(path: Path) -> None:
    with refusable():
        done = cancel_study(path, by=who())
        kept = done.wanted + done.others
        st.toast(f"{len(done.cancelled):,} runs cancelled" + (f"; {kept:,} go on for others." if kept else "."))


def _extend(path: Path, first: int, more: int) -> None:
    with refusable():
        _, done = extend(path, range(first, first + more), by=who())
        st.toast(f"{more} seeds added, {len(done.queued):,} runs queued.")


# ---- pictures -----------------------------------------------------------------------------------


def _matrix(found: StudyProgress) -> str:
    """The matrix; the label of the cell that was clicked, or nothing."""
    axes = found.study.grid_axes
    if len(axes) < 2:
        return ""
    st.subheader("Matrix", anchor=False)
    # The two longest axes, numbers to the right.
    longest = sorted(axes, key=lambda axis: -len(axis.choices))[:2]
    by_size = sorted(longest, key=lambda axis: axis.numbers is not None)
    with st.container(horizontal=True):
        names = {axis.title: seen(axis.title) for axis in axes}
        rows = pick("Rows", names, key="study_rows", default=by_size[0].title)
        others = {name: words for name, words in names.items() if name != rows}
        usual = next(axis.title for axis in [*by_size, *axes] if axis.title != rows)
        columns = pick("Columns", others, key="study_columns", default=usual)
        fixed = _fixed(axes, (rows, columns), "study_at")
    down, across = found.study.by_axis[rows], found.study.by_axis[columns]
    cells = [[_at(found, {**fixed, rows: r, columns: c}) for c in across.by_label] for r in down.by_label]
    values = np.array([[cell.accuracy.mean if cell else math.nan for cell in line] for line in cells])
    words = tuple(tuple(_cell_words(cell) for cell in line) for line in cells)
    table = Cells(
        tuple(map(seen, down.by_label)), tuple(map(seen, across.by_label)), values, words,
        of_rows=seen(rows), of_columns=seen(columns),
    )  # fmt: skip
    point = fresh_click("study_matrix")
    live_chart(
        study_map(table, [[_mark(cell) for cell in line] for line in cells]),
        key="study_matrix", height=120 + LINE * len(cells), clickable=True, filename=found.study.name,
        alt="Mean clean test accuracy in per cent: "
        + "; ".join([_alt(cell) for line in cells for cell in line if cell][:MOST_TOLD]),
        question="How well does a model do on clean images after training on …?",
        caption="Mean clean test accuracy after the last epoch, in per cent, and below it how many of the runs have "
        "finished. Click a cell to look into it.",
    )  # fmt: skip
    if point is None or not {"x", "y"} <= point.keys():
        return ""
    place = {rows: _label(down, str(point["y"])), columns: _label(across, str(point["x"]))}
    cell = _at(found, {**fixed, **place})
    return cell.condition.label if cell else ""


def _label(axis: Axis, shown: str) -> str:
    return next((label for label in axis.by_label if seen(label) == shown), "")


def _fixed(axes: Sequence[Axis], free: Sequence[str], key: str) -> dict[str, str]:
    """A value of every axis that the picture does not show."""
    return {
        axis.title: pick(
            seen(axis.title), {label: seen(label) for label in axis.by_label}, key=f"{key}_{place}",
            default=next(iter(axis.by_label)),
        )
        for place, axis in enumerate(axes) if axis.title not in free
    }  # fmt: skip


def _at(found: StudyProgress, places: dict[str, str]) -> Cell | None:
    return found.by_places.get(tuple(places[axis.title] for axis in found.study.grid_axes))


def _mark(cell: Cell | None) -> str:
    if cell is None:
        return ""
    going = "…" if cell.counts.get("running") or cell.counts.get("queued") else ""
    return f"{cell.accuracy.count}/{len(cell.distinct)}{going}"


def _cell_words(cell: Cell | None) -> str:
    if cell is None:
        return "left out"
    counts = ", ".join(f"{cell.counts[state]} {words}" for state, words in WORDS.items() if state in cell.counts)
    return f"{_percent(cell)}<br>{counts}" if cell.accuracy.count else counts


def _alt(cell: Cell) -> str:
    return f"{seen(cell.condition.label)} {_percent(cell) or 'not known yet'}"


def _percent(cell: Cell) -> str:
    found = cell.accuracy
    if not found.count:
        return ""
    spread = "" if math.isnan(found.spread) else f" ± {100 * found.spread:.1f}"
    return f"{100 * found.mean:.1f}{spread} % (n = {found.count})"


def _one_condition(found: StudyProgress, clicked: str) -> None:
    """One condition with the way to its runs and to its control's: the cell that was just clicked, or one of a list
    that begins with the lowest."""
    lowest = sorted(found.cells, key=lambda label: (not (a := found.cells[label].accuracy).count, a.mean))
    if clicked:
        set_control("study_condition", clicked)
    with st.container(border=True):
        label = pick(
            "Look into a condition, the lowest first", {label: seen(label) for label in lowest},
            key="study_condition", default=lowest[0],
        )  # fmt: skip
        cell = found.cells[label]
        st.markdown(f"**{plain(seen(label))}**: {_percent(cell) or 'nothing has finished yet'}")
        for one in found.answers.get(label, ()):
            st.markdown(f"{plain(seen(one.compared.question))}: {_gain_words(found, label)}")
        with st.container(horizontal=True):
            ids = list(cell.run_ids)
            if not ids:
                st.caption("No run of this home: its results ship with the program, or nothing has been started.")
            elif st.button(f"Open its runs ({len(ids)})", key="study_open_cell"):
                _go(ids)
            for one in found.answers.get(label, ())[:1]:
                control = list(found.cells[one.compared.control.label].run_ids)
                if (
                    ids
                    and control
                    and st.button(f"Compare with {plain(seen(one.compared.control.label))}", key="study_open_both")
                ):
                    _go(ids + control)


def _go(ids: Sequence[str]) -> None:
    st.session_state[GO_TO] = list(ids)
    st.rerun()


def _curve(found: StudyProgress) -> None:
    """Accuracy over an axis of numbers, one line per value of another axis."""
    axes = found.study.grid_axes
    numeric = [axis for axis in axes if axis.numbers is not None]
    if not numeric:
        return
    st.subheader("Curve", anchor=False)
    with st.container(horizontal=True):
        name = pick("Over", {a.title: seen(a.title) for a in numeric}, key="study_over", default=numeric[-1].title)
        axis = found.study.by_axis[name]
        line_axis = next((a for a in axes if a.title != name), None)
        free = [name] + ([line_axis.title] if line_axis else [])
        fixed = _fixed(axes, free, "study_curve_at")
    lines, places = {}, []
    for label in line_axis.by_label if line_axis else ("",):
        place = {**fixed, **({line_axis.title: label} if line_axis else {})}
        cells = [(x, _at(found, {**place, name: at})) for at, x in zip(axis.by_label, axis.numbers or (), strict=True)]
        places.append(cells)
        lines[seen(label) or _line_name(cells)] = [_point(x, cell) for x, cell in cells if cell is not None]
    if any(lines.values()):
        shown = [cell for line in places for _, cell in line if cell is not None]
        levels = _levels(found, [cell.condition.label for cell in shown])
        published = _published(axis, shown[0].condition.spec)
        told = [f"{line} at {p.x:g}: {p.words}" for line, points in lines.items() for p in points]
        one = shown[0].condition.spec
        live_chart(
            study_curves(
                lines,
                seen(name),
                levels,
                published=published,
                role=picture_role(poisoned=one.attack is not None, defended=bool(one.defenses))
                if len(lines) == 1
                else "",
            ),
            key="study_curve",
            filename=f"{found.study.name}_curve",
            alt=f"Clean test accuracy over {seen(name)}: "
            + "; ".join([*told, *(f"{level.name}: {level.words}" for level in levels)]),
            question=f"What does {seen(name)} do?",
            caption="Mean clean test accuracy after the last epoch; bars and bands are the 95 % interval, from two "
            "runs on." + ("" if published is None else f" Dotted upright: the published value, {published:g}."),
        )


def _levels(found: StudyProgress, labels: Sequence[str]) -> list[Level]:
    """What the conditions on a curve are compared with, and what recovery is measured by: the undefended level and that
    of clean images. None of them where the conditions have several controls."""
    asked = [one.compared for label in labels for one in found.answers.get(label, ())]
    levels = []
    for kind in (
        {compared.control.label: compared.control for compared in asked},
        {compared.clean.label: compared.clean for compared in asked if compared.clean is not None},
    ):
        known = [condition for label, condition in kind.items() if label not in labels]
        if len(kind) != 1 or not known:
            continue
        cell, spec = found.cells[known[0].label], known[0].spec
        if cell.accuracy.count:
            point = _point(math.nan, cell)
            role = picture_role(poisoned=spec.attack is not None, defended=bool(spec.defenses))
            levels.append(Level(seen(known[0].label), point.mean, point.low, point.high, role, point.words))
    return levels


def _published(axis: Axis, spec: RunSpec) -> float | None:
    """The default of the parameter that an axis sets: the paper's value."""
    part, _, rest = axis.field.partition(".")
    place, _, name = rest.rpartition(".")
    value = getattr(spec, part, None) if part in RunSpec.parts() else None
    if place.isdigit() and int(place) < len(spec.defenses):
        value = spec.defenses[int(place)]
    if not isinstance(value, Method):
        return None
    known = next((parameter for parameter in value.parameters() if parameter.name == name), None)
    return float(known.default) if known is not None and known.kind in ("int", "float") else None


def _line_name(cells: Sequence[tuple[float, Cell | None]]) -> str:
    """The defences, or else the attack, of the only line."""
    spec = next((cell.condition.spec for _, cell in cells if cell is not None), None)
    methods = [] if spec is None else [*spec.defenses] or [m for m in (spec.attack,) if m is not None]
    return " → ".join(method.title for method in methods) or "mean"


def _point(x: float, cell: Cell) -> Point:
    held = cell.accuracy.interval
    low, high = (held.low, held.high) if held else (math.nan, math.nan)
    return Point(x, cell.accuracy.mean, low, high, _percent(cell) or "not known yet")


# ---- words and numbers --------------------------------------------------------------------------


def _answers(found: StudyProgress) -> None:
    if not found.judged:
        return
    st.subheader("What was asked", anchor=False)
    for place, question in enumerate(dict.fromkeys(one.compared.question for one in found.judged)):
        own = [one for one in found.judged if one.compared.question == question]
        known = [one for one in own if one.comparison.gain.count]
        with st.expander(f"{plain(seen(question))} ({len(known)} of {len(own)} known)"):
            st.dataframe(
                pd.DataFrame(
                    [
                        {
                            "Condition": seen(one.compared.condition.label),
                            "Against": seen(one.compared.control.label),
                            "Gain": 100 * one.comparison.gain.mean,
                            "Interval": bounds(one.comparison.gain.interval).strip(),
                            "Pairs": one.comparison.gain.count,
                            "Verdict": one.comparison.verdict,
                            "Recovered": _back(one.recovery),
                        }
                        for one in own
                    ]
                ),
                hide_index=True, placeholder="–", key=f"study_answers_{place}",
                alt=f"Comparisons of the question {seen(question)}: gain in points, interval, verdict.",
                column_config={"Gain": st.column_config.NumberColumn(format="%+.1f", help="In points.")},
            )  # fmt: skip
    st.caption(f"{RULE} Verdicts are corrected for all {len(found.judged)} comparisons of the study (Holm).")


def _back(back: Recovery | None) -> str:
    return "" if back is None else f"{100 * back.share:.0f} %"


def _gain_words(found: StudyProgress, label: str) -> str:
    one = found.answers[label][0]
    gain = one.comparison.gain
    if not gain.count:
        return "no common seed yet"
    return f"{points(gain)} against {plain(seen(one.compared.control.label))}, {one.comparison.verdict}"


def _key_and_seed(found: StudyProgress) -> None:
    """Where the spread of runs comes from, in a study that trains keys with several seeds each."""
    if not any("attack_seed" in axis.fields for axis in found.study.axes if axis.repeats):
        return
    st.subheader("How much is the key?", anchor=False)
    named = {label: cell.accuracy for label, cell in found.cells.items()}
    named |= {
        f"{one.compared.condition.label} over {one.compared.control.label}": one.comparison.gain for one in found.judged
    }
    split = {name: summary.split for name, summary in named.items() if summary.split is not None}
    if not split:
        st.caption("It can be said as soon as every key has been trained with every seed.")
        return
    st.markdown("\n".join(f"- **{plain(seen(name))}**: {what_decides(own)}." for name, own in split.items()))
    st.dataframe(
        pd.DataFrame([_split_row(seen(name), own) for name, own in split.items()]),
        hide_index=True, key="study_split", placeholder="–",
        alt="; ".join(f"{seen(name)}: {shares(own)}" for name, own in split.items()),
        column_config={"Spread": st.column_config.NumberColumn("sd of one run", format="%.1f", help="In points.")},
    )  # fmt: skip
    st.caption(
        "Shares of the variance of one run with another key and another training seed; p is of the F test that keys, "
        "or training seeds, make no difference, against what neither explains."
    )


def _split_row(name: str, own: Split) -> dict[str, object]:
    known = not math.isnan(own.key)
    return {
        "Condition": name,
        "Spread": 100 * own.spread,
        "The key's": share(own.key, own.key_p) if known else "",
        "The training seed's": share(own.seed, own.seed_p) if known else "",
        "Neither's": share(own.rest) if known else "",
    }


def _conditions(found: StudyProgress) -> None:
    st.subheader("Conditions", anchor=False)
    cells = list(found.cells.values())

    def open_clicked() -> None:
        row = st.session_state["study_table_open"]["row"]
        if row < len(cells) and cells[row].run_ids:
            st.session_state[GO_TO] = list(cells[row].run_ids)

    kit = st.column_config
    st.dataframe(
        pd.DataFrame([_row(cell) for cell in cells]),
        hide_index=True, key="study_table", placeholder="–", height=460 if len(cells) > 12 else "content",
        alt="Table of conditions: runs by state, mean clean test accuracy and its spread.",
        column_config={
            "Open": kit.ButtonColumn("", key="study_table_open", on_click=open_clicked, width=70),
            "Condition": kit.TextColumn(pinned=True, width=240),
            "Mean": kit.NumberColumn("clean test %", format="%.1f", help="Mean over the runs, after the last epoch."),
            "Spread": kit.NumberColumn("± sd", format="%.1f", help="Sample standard deviation, in points."),
        },
    )  # fmt: skip


def _row(cell: Cell) -> dict[str, object]:
    found, counts = cell.accuracy, cell.counts
    return {
        "Open": "Runs" if cell.run_ids else "",
        "Condition": seen(cell.condition.label),
        "Mean": 100 * found.mean if found.count else None,
        "Spread": 100 * found.spread if found.count > 1 else None,
        "Finished": f"{found.count}/{len(cell.distinct)}",
        "Running": counts.get("running", 0),
        "Waiting": counts.get("queued", 0),
        "Not finished": sum(counts.get(state, 0) for state in ("failed", "cancelled", "interrupted")),
    }
