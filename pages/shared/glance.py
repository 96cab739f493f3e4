"""The pictures of the Overview: from shipped results and live images, never from memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import streamlit as st

from pages.shared.cache import cached, split
from pages.shared.live_chart import live_chart
from pages.shared.tile_rows import tile_rows
from ued_core.analysis.phenomenon import COMMAND, READOUT_COMMAND, Condition, conditions, filter_readout, shipped
from ued_core.attacks import Cuda
from ued_core.context import Context
from ued_core.data import DATASETS
from ued_core.defenses import Coin, preview
from ued_core.figures.learning import run_figure
from ued_core.figures.phenomenon import condition_dots
from ued_core.records import ImageSet
from ued_core.runs.layout import balanced_rows
from ued_core.training import PLANS


@cached(max_entries=2)
def _pictures(train: ImageSet) -> tuple[ImageSet, ImageSet, ImageSet]:
    """Three clean, poisoned and defended images: a star, a heart, an arrow."""
    chosen = train.take(balanced_rows(train.labels, 1, 3)[[4, 7, 8]])
    poisoned = Cuda().poison(chosen, Context(seed=0)).as_training_set()
    return chosen, poisoned, preview((Coin(),), poisoned, Context(seed=0))


@cached(max_entries=1)
def _rows() -> list[dict[str, Any]]:
    return shipped()


def _named(found: list[Condition], name: str) -> Condition:
    return next(c for c in found if c.name == name)


def three_pictures() -> None:
    """Poison, trap, defence."""
    # Three pictures need no five thousand: the first page must not wait for them.
    data = split(DATASETS.build("shapes", train_size=200, test_size=10))
    clean, poisoned, defended = _pictures(data.train)
    found = conditions(_rows(), "shapes", "adamw")
    names = [clean.class_names[label] for label in clean.labels.tolist()]
    first, second, third = st.columns(3, gap="large")
    with first:
        st.subheader("1 · The poison")
        tile_rows(
            [("clean", "", clean.images), ("poisoned", "CUDA", poisoned.images)],
            alt="Three clean images and their poisoned copies.",
            names=names,
            key="poison",
        )
        st.markdown(
            "The attack **CUDA** gives every class its own small blur filter. To us a star stays a star; to a "
            "network, the blur alone already tells the class."
        )
    with second:
        st.subheader("2 · The trap")
        run = _named(found, "CUDA").rows[0]
        figure = run_figure(run["history"], len(run["history"]), chance=1 / clean.classes)
        live_chart(
            figure,
            key="trap",
            height=250,
            alt=f"Training accuracy ends at {100 * run['train_accuracy']:.0f} %, clean test accuracy at {100 * run['last']:.0f} %.",
            filename="trap",
        )
        st.markdown(
            f"Training looks perfect: **{100 * run['train_accuracy']:.0f} %**. On clean test images the same model reaches only "
            f"**{100 * run['last']:.0f} %** (a real run of seed {run['seed']}; the dotted line is guessing)."
        )
    with third:
        st.subheader("3 · What breaks it")
        tile_rows(
            [("poisoned", "", poisoned.images), ("defended", "COIN α = 2", defended.images)],
            alt="Three poisoned images and their copies after COIN.",
            names=names,
            key="defence",
        )
        back = _named(found, "CUDA + COIN")
        st.markdown(
            f"**COIN** moves every pixel by a random fraction, anew in every epoch. The classes' filters become alike, and "
            f"**{100 * back.mean('last'):.0f} %** comes back (mean of {len(back.rows)} seeds)."
        )


def glance() -> None:
    """All conditions of the shipped experiment, with controls, spread and a sober reading."""
    st.header("The phenomenon at a glance")
    rows = _rows()
    available = list(dict.fromkeys((r["dataset"], r["plan"]) for r in rows))
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
    st.markdown("**Which training data leads to a model that works on clean images?** Each dot is one run; the bar is the mean.")
    words = "; ".join(f"{c.name} {100 * c.mean('last'):.1f} %" for c in found)
    live_chart(
        condition_dots(found, 1 / len(rows[0]["data"]["class_names"])),
        key="glance",
        height=330,
        alt=f"Mean clean test accuracy: {words}.",
        filename=f"phenomenon_{dataset}_{plan}",
    )
    st.markdown(reading(found, dataset))
    environment = found[0].rows[0]["environment"]
    st.caption(
        f"{DATASETS[dataset].title}, small CNN, {PLANS[plan].title}, {seeds} seeds each (one seed draws images, "
        "kernels, weights and order), "
        f"{environment['precision']}, {environment['device']}. Dotted: guessing. Made by `{COMMAND}`."
    )
    with st.expander("The numbers"):
        st.dataframe(_table(found), hide_index=True)


def reading(found: list[Condition], dataset: str) -> str:
    """What the numbers say, in words that follow them."""
    by = {c.name: c for c in found}
    clean, poisoned = by["clean"].mean("last"), by["CUDA"].mean("last")
    control, coin, cost = by["one common kernel"].mean("last"), by["CUDA + COIN"].mean("last"), by["clean + COIN"].mean("last")
    true, followed = by["CUDA"].mean("wrong_true_rate"), by["CUDA"].mean("wrong_perturbation_rate")
    pct = lambda v: f"{100 * v:.0f} %"  # noqa: E731
    lines = []
    change = f"{pct(poisoned)} after training on CUDA against {pct(clean)} on clean data"
    if poisoned < 0.6 * clean:
        blur = f"Blur alone does not explain it: with one common filter for all classes {pct(control)} is left."
        lines.append(f"- **The poison works here**: {change}. {blur}")
    elif poisoned < 0.9 * clean:
        lines.append(f"- **The poison works in part**: {change}. With one common filter for all classes {pct(control)} is left.")
    else:
        lines.append(f"- **The poison does not work here**: {change}. {_why(dataset)}")
    ends = by["CUDA"].values("last")
    if ends.max() - ends.min() > 0.2:
        lines.append(
            f"- **It depends on the key**: the {len(ends)} runs end between {pct(ends.min())} and {pct(ends.max())}, "
            "each with its own kernels."
        )
    if coin > poisoned + 0.05:
        lines.append(f"- **COIN brings back {pct(coin)}**; on clean data it costs {pct(max(clean - cost, 0))[:-2]} points.")
    else:
        lines.append(f"- COIN ends at {pct(coin)}; on clean data it costs {pct(max(clean - cost, 0))[:-2]} points.")
    lines.append(
        f"- **What did the poisoned model learn?** Give test images another class's filter: {pct(true)} are still "
        "called by their true class, "
        f"{pct(followed)} by the class of the filter. {_learned(true, followed)}"
    )
    histogram = by["CUDA"].histogram()
    if histogram is not None and poisoned < 0.6 * clean:
        lines.append(
            f"- On clean images its answers pile up: its favourite class gets {pct(float(histogram[0]))} of them, the "
            f"next {pct(float(histogram[1]))}."
        )
    return "\n".join(lines)


def _learned(true: float, followed: float) -> str:
    """The probe in words: which of the two a filtered image is judged by."""
    if min(true, followed) > 0.15:
        return "It uses both, the shape and the filter."
    if true > followed:
        return "As long as an image is filtered, it reads mostly the shape; what it cannot do is cope with images that were never filtered."
    return "It reads mostly the filter."


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
