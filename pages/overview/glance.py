"""The pictures of the Overview: from shipped results and live images, never from memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from pages.frame.cache import cached
from pages.state.run_words import percent
from pages.widgets.live_chart import live_chart
from ued_core.analysis.confidence import ENOUGH
from ued_core.data import DATASETS
from ued_core.figures.phenomenon import condition_dots
from ued_core.results.open_answers import difference, kind
from ued_core.results.phenomenon import COMMAND, READOUT_COMMAND, Condition, conditions, filter_readout, shipped
from ued_core.results.row import ResultRow, guessing
from ued_core.results.words import points
from ued_core.training import PLANS

WORKS, IN_PART = 0.6, 0.9
"""Shares of the clean accuracy: below the first a poison is said to work, below the second to work in part."""


@cached(max_entries=1)
def stored_rows() -> list[ResultRow]:
    """The shipped rows of the experiment, read once."""
    return shipped()


def glance() -> None:
    """All conditions of the shipped experiment, with controls, spread and a sober reading."""
    st.header("The phenomenon at a glance")
    rows = stored_rows()
    available = list(dict.fromkeys((r.dataset, r.plan) for r in rows))
    datasets = list(dict.fromkeys(d for d, _ in available))
    left, right = st.columns(2)
    dataset = left.segmented_control(
        "Data", datasets, default=datasets[0], format_func=lambda d: DATASETS[d].title, key="glance_data", required=True
    )
    plans = [p for d, p in available if d == dataset]
    plan = right.segmented_control(
        "Optimiser", plans, default=plans[0], format_func=lambda p: PLANS[p].title, key="glance_plan", required=True
    )
    found = conditions(rows, dataset, plan)
    seeds = len(found[0].rows)
    st.markdown(
        "**Which training data leads to a model that works on clean images?** Each dot is one run; the bar is the mean."
    )
    words = "; ".join(f"{c.name} {100 * c.mean('last'):.1f} %" for c in found)
    live_chart(
        condition_dots(found, guessing(rows[0])),
        key="glance",
        height=330,
        alt=f"Mean clean test accuracy: {words}.",
        filename=f"phenomenon_{dataset}_{plan}",
    )
    st.markdown(reading(found, dataset))
    machine = found[0].rows[0].environment
    st.caption(
        f"{DATASETS[dataset].title}, small CNN, {PLANS[plan].title}, {seeds} seeds each (one seed draws images, "
        "kernels, weights and order), "
        f"{f'{machine.precision}, {machine.device}' if machine else ''}. Dotted: guessing. Made by `{COMMAND}`."
    )
    with st.expander("The numbers"):
        st.dataframe(_table(found), hide_index=True)


def reading(found: list[Condition], dataset: str) -> str:
    """What the numbers say, in words that follow them; sentences whose rows are missing or too few are left out."""
    by = {c.name: c for c in found}
    clean, attacked = by["clean"].mean("last"), by["CUDA"]
    poisoned, control = attacked.mean("last"), by["one common kernel"].mean("last")
    lines = [_effect(poisoned, clean, control, dataset)]
    ends = attacked.values("last")
    if ends.max() - ends.min() > 0.2:
        lines.append(
            f"- **It depends on the key**: the {len(ends)} runs end between {percent(ends.min())} and "
            f"{percent(ends.max())}, each with its own kernels."
        )
    lines.append(_coin(by))
    true, followed = attacked.mean("wrong_true_rate"), attacked.mean("wrong_perturbation_rate")
    if all(row.probe and row.probe.images >= ENOUGH for row in attacked.rows):
        lines.append(
            "- **What did the model learn that was trained on CUDA?** Give test images another class's filter: "
            f"{percent(true)} are still called by their true class, {percent(followed)} by the class of the filter. "
            f"{_learned(true, followed, poisoned)}"
        )
    histogram = attacked.histogram()
    if histogram is not None and poisoned < WORKS * clean:
        lines.append(
            f"- On clean images its answers pile up: its favourite class gets {percent(float(histogram[0]))} of "
            f"them, the next {percent(float(histogram[1]))}."
        )
    return "\n".join(lines)


def _effect(poisoned: float, clean: float, control: float, dataset: str) -> str:
    """What training on the poison does, and how much of it a common filter does as well."""
    change = f"{percent(poisoned)} after training on CUDA against {percent(clean)} on clean data"
    common = f"with one common filter for all classes accuracy stays at {percent(control)}"
    if poisoned >= IN_PART * clean:
        return f"- **The poison does not work here**: {change}. {_why(dataset)}"
    if poisoned >= WORKS * clean:
        return f"- **The poison works in part**: {change}; {common}."
    share = (clean - control) / (clean - poisoned)
    if share < 0.1:
        blur = f"Blur alone does not explain it: {common}."
    else:
        blur = (
            f"Blur alone explains {'most' if share > 0.5 else 'a part'} of it ({percent(share)} of the loss): {common}."
        )
    return f"- **The poison works here**: {change}. {blur}"


def _coin(by: dict[str, Condition]) -> str:
    """What COIN gives and what it costs, paired by seed."""
    gain, cost = difference(by["CUDA + COIN"], by["CUDA"]), difference(by["clean"], by["clean + COIN"])
    end = percent(by["CUDA + COIN"].mean("last"))
    on_seeds = points(gain) + (f" on the same {gain.count} seeds" if gain.count > 1 else "")
    match kind(gain):
        case "more":
            said = f"- **With COIN accuracy recovers to {end}** ({on_seeds})"
        case "less":
            said = f"- **With COIN accuracy falls to {end}** ({on_seeds})"
        case "untold":
            said = f"- With COIN training ends at {end}: whether it is better cannot be told ({on_seeds})"
        case _:
            said = f"- With COIN training ends at {end}"
    back = points(difference(by["clean + COIN"], by["clean"]))
    on_clean = {
        "more": f"it costs {points(cost, sign=False)}",
        "less": f"accuracy changes by {back}",
        "untold": f"it cannot be told whether it costs anything ({back})",
    }
    return f"{said}; on clean data {on_clean[price]}." if (price := kind(cost)) != "unpaired" else f"{said}."


def _learned(true: float, followed: float, poisoned: float) -> str:
    """The probe in words: which of the two a filtered image is judged by, and what happens without a filter."""
    if min(true, followed) > 0.15:
        return "It uses both, the shape and the filter."
    if followed >= true:
        return "It reads mostly the filter."
    if true - poisoned > 0.2:
        return (
            "As long as an image is filtered, it reads mostly the shape; what it cannot do is cope with images that "
            f"were never filtered: it is right about {percent(poisoned)} of those."
        )
    return f"It reads the shape, with a filter and without one ({percent(poisoned)} of the clean images)."


def _why(dataset: str) -> str:
    """Why a small filter leaves little trace on this data set, from the stored read-out."""
    seen = filter_readout()
    if dataset not in seen or dataset == "shapes":
        return ""
    own, other = seen[dataset], seen["shapes"]
    return (
        f"The filters differ in fine detail, and there is hardly any: {100 * own['high_power']:.1f} % of the images' "
        "power lies above half the Nyquist "
        f"frequency (Shapes: {100 * other['high_power']:.1f} %), so clean and filtered images look alike to the "
        "model. A linear read-out of the spectrum finds the "
        f"filter in {100 * own['readout']:.0f} % of them (Shapes: {100 * other['readout']:.0f} %; `{READOUT_COMMAND}`)."
    )


def _table(found: list[Condition]) -> dict[str, list[Any]]:
    def show(condition: Condition, number: str) -> str:
        mean, spread = condition.mean(number), condition.spread(number)
        return "" if np.isnan(mean) else f"{100 * mean:.1f}" + ("" if np.isnan(spread) else f" ± {100 * spread:.1f}")

    columns = {
        "clean test, last epoch (%)": "last",
        "clean test, best epoch (%)": "best",
        "training (%)": "train_accuracy",
        "wrong filter: true class (%)": "wrong_true_rate",
        "wrong filter: filter's class (%)": "wrong_perturbation_rate",
    }
    table: dict[str, list[Any]] = {"trained on": [c.name for c in found]}
    return table | {title: [show(c, number) for c in found] for title, number in columns.items()}
