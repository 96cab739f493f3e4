"""The film of the page Features: a run looked at in every epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import streamlit as st

from pages.features.views import MEASURES, METHODS, Scene, Viewer, runs_of
from pages.frame.cache import key_of
from pages.frame.navigation import script
from pages.state import background
from pages.widgets.controls import parameter_control, segments
from pages.widgets.epoch_player import Line, Strip, epoch_player
from ued_core import runs
from ued_core.analysis.clusters import ClusterMeasures
from ued_core.figures.layouts import point_colours
from ued_core.figures.theme import ROLE_COLOURS, ROLE_SYMBOLS
from ued_core.params import Parameter
from ued_core.results.parts import EpochRow
from ued_core.studies.feature_room import CopyFeatures, frame_epochs, lay_out_epochs, look_at_epochs
from ued_core.studies.layout import COPIES

SMALL_FILE = 4_000_000
"""Networks whose weights take more bytes look slowly; their film is computed on demand."""
BATCH = 4
WHAT_MEASURES_SAY = r"""
All four ask how clearly the images of a class lie together, apart from other classes; each copy is measured by itself,
in the layer's own space and never in the picture.

- **Silhouette** compares an image's mean distance to its own class with that to the nearest other class: −1 to 1
  (Rousseeuw 1987).
- **Neighbours of the own class**: the mean share among the ten nearest images. Guessing reaches the share of a class.
- **k-means against classes**: how much clusters found without labels say about the labels, 0 to 1 (normalised mutual
  information).
- **Activation clusters**: mean distance between class means over mean distance to the own class mean, of activations
  averaged over 4 × 4 fields. It is our reading of the measure named in *Progressive Staged Training*
  (arXiv:2306.02064), whose formula was not at hand. Compare it with its own value before training, not between layers
  or data sets.

**What to look for.** A shortcut shows in *shallow* layers: there clean images of one class hardly lie together, but
poisoned ones do, after an epoch or two, before the training accuracy says anything.
"""


@dataclass(frozen=True)
class Film:
    """A run seen at every epoch.

    Attributes:
        epochs: rising.
        points: float32 (E, M, 2).
        predictions: int64 (E, M).
        measures: one dict per epoch: copy → measures.
        origin: ``stored`` or ``recomputed``.
    """

    epochs: tuple[int, ...]
    points: np.ndarray
    predictions: np.ndarray
    measures: tuple[Mapping[str, ClusterMeasures], ...]
    origin: str


def film_part(scene: Scene, viewer: Viewer, marked: Sequence[int]) -> None:
    """The epochs of the chosen run as a film, or how to get one."""
    st.subheader("Through the epochs", anchor=False)
    if viewer.record is None:
        _how_to_get_one(scene)
        return
    if len(viewer.epochs) < 2:
        st.info("This run has the weights of one epoch so far; the film begins with two.")
        return
    large = _file_size(viewer) > SMALL_FILE
    on = Parameter(
        name="film", label="look at all epochs", kind="bool", default=not large,
        help="The network of every epoch looks at all images; a large network takes a while.",
    )  # fmt: skip
    first, second = st.columns([1, 3], vertical_alignment="bottom")
    with first:
        wanted = parameter_control(on, key="film", default=on.default)
    with second:
        titles = {name: title for name, (title, _) in MEASURES.items()}
        measure = segments("Measure of clusters", titles, key="measure", default="silhouette")
    if not wanted:
        return
    method = "pca" if st.session_state.get("layout_by") == "pca" else "umap"
    with st.container():
        film = _film(scene, viewer, method)
    if film is not None:
        _play(scene, viewer, film, measure, method, marked)
        with st.expander("What the measures say"):
            st.markdown(WHAT_MEASURES_SAY)


def _how_to_get_one(scene: Scene) -> None:
    known = runs_of(scene.choice)
    if known:
        st.markdown(
            f"Choose a run as the **network** above: {len(known)} of this data set can be played epoch by epoch."
        )
        return
    st.markdown(
        "A run keeps its network after every epoch. Train one on this data set, then come back and choose it as the "
        "network: "
        "you can watch clusters form, see which copies they form for, and find the epoch in which the shortcut is "
        "learned."
    )
    st.page_link(script("runs/page.py"), label="Start a run", icon=":material/arrow_forward:")


def _file_size(viewer: Viewer) -> int:
    folder = runs.folder(viewer.source).epoch_folder
    try:
        return (folder / f"epoch_{viewer.epochs[0]:03d}.safetensors").stat().st_size
    except OSError:
        return 0


def _film(scene: Scene, viewer: Viewer, method: str) -> Film | None:
    """The film, or None while it is being made; a few epochs at a time, so that others get their turn."""
    state = st.session_state
    epochs = frame_epochs(viewer.epochs)
    wanted = key_of(look_at_epochs, *scene.work, viewer.source, list(epochs), viewer.layer, method)
    if state.get("feature_film_key") == wanted:
        background.wait_for(slot="film")
        return state["feature_film"]
    steps = len(epochs) + 2
    looks: list[CopyFeatures] = []
    for start in range(0, len(epochs), BATCH):
        batch = epochs[start : start + BATCH]
        found = background.ask(look_at_epochs, *scene.work, viewer.source, batch, viewer.layer, slot="film")
        if found.value is None:
            _wait_for(found, len(looks) / steps, f"The network of epoch {batch[0]} of {epochs[-1]} is looking …")
            return None
        looks.extend(found.value)
    frames = [seen.vectors for seen in looks]
    layout = background.ask(lay_out_epochs, frames, method, slot="film", key=f"{wanted}:layout")
    if layout.value is None:
        _wait_for(layout, len(epochs) / steps, f"{len(epochs)} epochs are being laid out together …")
        return None
    points, origin = layout.value
    predictions = np.stack([seen.predictions for seen in looks])
    state["feature_film"] = Film(epochs, points, predictions, tuple(seen.measures for seen in looks), origin)
    state["feature_film_key"] = wanted
    background.wait_for(slot="film")
    return state["feature_film"]


def _wait_for(part: background.Answer[Any], share: float, words: str) -> None:
    background.wait_for(part, slot="film", words=words, trouble="The film could not be made", share=share)


def _play(scene: Scene, viewer: Viewer, film: Film, measure: str, method: str, marked: Sequence[int]) -> None:
    colouring = st.session_state.get("colour", "class")
    labels = np.tile(scene.images.labels.numpy(), len(COPIES))
    group = np.repeat(np.array(COPIES), len(scene.rows))
    colours = point_colours(colouring, labels, film.predictions, group, scene.names)
    title, formula = MEASURES[measure]
    first, last = film.measures[0]["poisoned"], film.measures[-1]["poisoned"]
    place = {row: index for index, row in enumerate(scene.rows)}
    epoch_player(
        film.points,
        film.epochs,
        colours,
        [(name, ROLE_SYMBOLS[name]) for name in COPIES],
        [learning_strip(runs.folder(viewer.source).history()), measure_strip(film, measure)],
        key="film_player",
        alt=f"{film.points.shape[1]} image copies in {len(film.epochs)} epochs; {title} of the poisoned copies "
        f"from {getattr(first, measure):.2f} to {getattr(last, measure):.2f}.",
        question="When do clusters form, and for which copies?",
        formula=formula,
        caption=f"**{METHODS[method]}, {film.origin}**: one layout for all epochs, "
        + (
            "each started from the one before and turned towards it"
            if method == "umap"
            else "on the components of all epochs together"
        )
        + f"; layer {viewer.layer}. The cursor in the charts moves with the film. Space plays, the arrow keys step.",
        joined=bool(st.session_state.get("joined", False)),
        marked=[place[row] for row in marked if row in place],
    )


def learning_strip(rows: Sequence[EpochRow]) -> Strip:
    """Training accuracy and accuracy on clean test images over the epochs, in per cent."""
    epochs = tuple(float(row.epoch) for row in rows)
    curves = (("training", "train_accuracy", "poisoned", "6 3"), ("clean test", "test_accuracy", "clean", ""))
    lines = tuple(
        Line(name, ROLE_COLOURS[role], dash, epochs, tuple(100 * float(row.numbers[column]) for row in rows))
        for name, column, role, dash in curves
    )
    return Strip("Accuracy (%)", " %", 1, 0.0, 100.0, lines)


def measure_strip(film: Film, measure: str) -> Strip:
    """One cluster measure of every copy over the epochs."""
    dashes = {"clean": "", "poisoned": "6 3", "defended": "2 3"}
    values = {copy: tuple(float(getattr(found[copy], measure)) for found in film.measures) for copy in COPIES}
    epochs = tuple(float(epoch) for epoch in film.epochs)
    lines = tuple(Line(copy, ROLE_COLOURS[copy], dashes[copy], epochs, values[copy]) for copy in COPIES)
    every = [value for line in lines for value in line.y]
    low, high = min(0.0, *every), max(0.0, *every)
    title = MEASURES[measure][0]
    return Strip(f"{title[:1].upper() + title[1:]} (no unit)", "", 2, low, max(high, low + 0.1), lines)
