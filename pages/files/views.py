"""Parts of the page Released files: what a file is, what its loader makes of it, and writing one's own."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import streamlit as st
import torch

from pages.files.choice import Chosen
from pages.frame.cache import Shelf, cached, key_of
from pages.frame.guard import guarded, plain
from pages.state import background
from pages.state.choice import Selection, protocol_line
from pages.widgets.controls import parameter_control, pick, segments
from pages.widgets.live_chart import live_chart
from pages.widgets.tile_rows import tile_rows
from ued_core.data.poison_files import (
    AFTERWARDS,
    FORMATS,
    IMAGE_SCALES,
    KINDS,
    NOISE_SCALES,
    Comparison,
    Imported,
    Reading,
    compare,
)
from ued_core.figures.poison_files import change_histogram
from ued_core.figures.tiles import amplified_difference, fitting_gain
from ued_core.params import Parameter, fingerprint
from ued_core.records import ImageSet
from ued_core.studies.export import export_folder, export_for_download, export_progress

DETECT = "detect"
CORRECTIONS = {
    "format": ("format", {key: form.title for key, form in FORMATS.items()}),
    "content": ("content", {"noise": "noise to be added", "images": "whole images"}),
    "layout": ("layout", {"NCHW": "NCHW: channels first", "NHWC": "NHWC: channels last"}),
    "scale": (
        "unit",
        {**{k: f"noise: {v}" for k, v in NOISE_SCALES.items()}, **{k: f"images: {v}" for k, v in IMAGE_SCALES.items()}},
    ),
    "per": (
        "one entry is for",
        {
            "sample": "one image",
            "class": "one class",
            "cluster": "one cluster",
            "pool": "an image of its class, in order",
        },
    ),
}
RADIUS = Parameter(
    name="radius",
    label="clip the noise to",
    kind="float",
    default=0.0,
    minimum=0.0,
    maximum=64.0,
    step=0.5,
    unit="1/255",
    help="0 takes the format's own bound: 16 for Unlearnable Clusters, none for the others.",
)
MOST_COMPARED = 500
MOST_TILES = 12


def reading_controls() -> Reading:
    """What the reader insists on; everything is detected at first."""
    with st.expander("Read it differently"):
        columns = st.columns(3)
        values = {}
        for place, (name, (label, options)) in enumerate(CORRECTIONS.items()):
            with columns[place % 3]:
                chosen = pick(
                    label.capitalize(), {DETECT: "as detected", **options}, key=f"read_{name}", default=DETECT
                )
                values[name] = "" if chosen == DETECT else chosen
        with columns[2]:
            radius = parameter_control(RADIUS, key="read_radius", default=0.0)
    return Reading(**values, radius=radius or None)


# ---- what it is ------------------------------------------------------------------------------


def report(imported: Imported) -> None:
    """What the file is, as a table."""
    lines = "\n".join(f"| {what} | {plain(told)} |" for what, told in imported.found.rows())
    st.markdown(f"| {plain(imported.found.name)} | |\n|---|---|\n{lines}\n| Content hash | {imported.content_hash} |")


# ---- what is made of it ----------------------------------------------------------------------


@cached(max_entries=8)
def _sample(images: ImageSet) -> torch.Tensor:
    """The first images of every class in turn: int64, at most :data:`MOST_COMPARED`."""
    labels = images.labels.numpy()
    each = max(1, MOST_COMPARED // images.classes)
    rows = np.concatenate([np.flatnonzero(labels == label)[:each] for label in np.unique(labels)])
    return torch.from_numpy(rows)


@st.fragment
def loader_view(choice: Selection, chosen: Chosen, imported: Imported) -> None:
    """Tiles and numbers: clean, as the released loader has it, by our rule, and the difference; follows its own control
    only."""
    with guarded():
        rules = {rule.key: rule.title for rule in imported.rules}
        first = next(iter(rules))
        key = (
            segments("Released loader", rules, key=f"loader_{imported.found.content}", default=first)
            if len(rules) > 1
            else first
        )
        _loader(choice, chosen, imported, key)


@dataclass(frozen=True)
class _Compared:
    """What the loader view draws."""

    found: Comparison
    clean: ImageSet
    ours: torch.Tensor
    released: torch.Tensor
    figure: str


@functools.cache
def _compared_before() -> Shelf:
    return Shelf(8)


def _compared(imported: Imported, images: ImageSet, key: str) -> _Compared:
    def make() -> _Compared:
        rows = _sample(images)
        touched = rows[imported.place(images)[rows] >= 0]
        found = compare(imported, images, key, rows=rows)
        ours, released = imported.onto(images, touched), imported.as_released(images, key, touched)
        figure = change_histogram(ours.delta.numpy(), released.delta.numpy()).to_json(validate=False)
        return _Compared(found, ours.clean, ours.images, released.images, figure)

    named = fingerprint([imported.content_hash, imported.found.to_json(), images.content_hash, key])
    return _compared_before().get(named, make)


def _loader(choice: Selection, chosen: Chosen, imported: Imported, key: str) -> None:
    images, rule = chosen.images, imported.rule(key)
    shown = _compared(imported, images, key)
    found = shown.found
    names = images.class_names
    places = np.unique(shown.clean.labels.numpy(), return_index=True)[1][:MOST_TILES]
    clean, left, right = shown.clean.images[places], shown.released[places], shown.ours[places]
    gain = fitting_gain(right, left)
    tile_rows(
        [
            ("clean", plain_name(images), clean),
            ("as released", rule.title, left),
            ("signed, rounded", "our rule", right),
            ("difference", f"× {gain:g}, grey = none", amplified_difference(right, left, gain)),
        ],
        key="file_tiles",
        alt=f"One image of each class: clean, as {rule.title} has it, by our rule, and the difference of the two "
        f"amplified {gain:g} times.",
        names=[names[label] for label in shown.clean.labels[places].tolist()],
        caption=f"**{rule.title}:** {rule.words} {AFTERWARDS} Source: {rule.source}.",
    )
    live_chart(
        shown.figure,
        key="file_changes",
        height=320,
        alt=_words(found),
        filename="released_against_signed",
        question="What does the official loader really add?",
        formula=FORMULAS.get(rule.key, "δ = x_{poisoned} − x"),
        caption=f"**{_words(found)}** Measured on {found.images:,} images; all of them: "
        f"python -m ued_core inspect FILE --data {choice.dataset.key}.",
    )


FORMULAS = {
    "em": "x' = ⌊min(255, x + max(0, 255·δ))⌋  instead of  x' = round(clip(x + 255·δ))",
    "em_signed": "x' = ⌊clip(x + 255·δ)⌋  instead of  x' = round(clip(x + 255·δ))",
    "lsp": "x' = ⌊255·clip(x/255 + δ)⌋  instead of  x' = round(255·clip(x/255 + δ))",
    "ntga": "x' = ⌊255·x⌋  instead of  x' = round(255·x)",
    "coin": "x' = ⌊255·x⌋ mod 256  instead of  x' = round(255·clip(x))",
}


def plain_name(images: ImageSet) -> str:
    """A short name for a label."""
    return images.name[:24]


def _words(found: Comparison) -> str:
    if found.differing == 0:
        return (
            "The loader gives exactly what our rule gives: nothing is lost. The largest change is "
            f"{found.ours_linf}/255."
        )
    lost = (
        f"{100 * found.lowered_lost:.1f} % of the values that the noise should darken are not darkened; "
        if found.lowered
        else ""
    )
    return (
        f"{lost}{100 * found.differing:.1f} % of all values differ, by {found.shift:+.2f}/255 on average and "
        f"{found.largest}/255 at most; "
        f"the mean size of the change is {found.released_mean:.2f}/255 instead of {found.ours_mean:.2f}/255."
    )


# ---- writing ---------------------------------------------------------------------------------


@st.fragment
def export_view(choice: Selection) -> None:
    """Write the poison of the selection; made beside the server, then offered for download."""
    with guarded():
        kind = segments(
            "Form", {key: words.partition(":")[0] for key, words in KINDS.items()}, key="form", default="npz"
        )
        spec = choice.spec()
        key = key_of(export_for_download, export_folder(spec, kind).name)
        st.caption(
            f"{protocol_line(choice)}: all {len(choice.train):,} training images. "
            f"{KINDS[kind][:1].upper()}{KINDS[kind][1:]}. The recipe names attack, key, data, hashes and versions."
        )
        asked = st.session_state.setdefault("exports_asked", set())
        if st.button("Make the file", key="make_export"):
            asked.add(key)
        if key not in asked:
            background.wait_for(slot="export")
            return
        export = background.latest(export_for_download, spec, kind, slot="export", key=key)
        if export.error is not None:
            asked.discard(key)
            raise export.error
        if export.value is None:
            st.fragment(_progress, run_every=1.0)(choice, kind)
            return
        files = [Path(path) for path in export.value.files]
        if not all(path.is_file() for path in files):
            st.info("This export has been cleared away since; change the key or ask again after a restart.")
            return
        st.success(f"{export.value.images:,} images, {export.value.poisoned:,} of them poisoned.")
        for path in files:
            st.download_button(
                f"{path.name} ({path.stat().st_size / 2**20:.1f} MiB)",
                path.read_bytes,
                path.name,
                "application/octet-stream",
                key=f"download_{path.name}",
                on_click="ignore",
                icon=":material/download:",
            )


def _progress(choice: Selection, kind: str) -> None:
    told = export_progress(choice.spec(), kind)
    st.progress(told.done, told.text or "Waiting for its turn …")
