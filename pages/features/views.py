"""Parts of the page Features: the network that looks, the plot and what is marked in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import streamlit as st

from pages.features.parquet import table_part
from pages.frame.cache import cached, key_of
from pages.frame.guard import plain
from pages.state import background
from pages.state.choice import Selection
from pages.state.marked import MOST, mark_rows, marked_rows
from pages.state.whose import is_open
from pages.widgets.controls import parameter_control, pick, segments, set_control
from pages.widgets.live_chart import live_chart
from pages.widgets.tile_rows import tile_rows
from ued_core import runs
from ued_core.analysis.clusters import ClusterMeasures
from ued_core.analysis.confidence import ENOUGH, share_interval
from ued_core.analysis.embedding import MOST_TSNE_POINTS
from ued_core.analysis.feature_quality import FeatureQuality
from ued_core.analysis.reference import (
    encoder_words,
    ready_encoders,
    reference_card,
    reference_for,
    victims_of,
)
from ued_core.attacks import ATTACKS, Attack
from ued_core.defenses import DefenseStack
from ued_core.figures.layouts import Colouring, feature_scatter
from ued_core.figures.tiles import amplified_difference, fitting_gain
from ued_core.models import MODELS, PENULTIMATE
from ued_core.params import Parameter
from ued_core.records import Embedding, ImageSet, PoisonedSet
from ued_core.runs import RunRecord
from ued_core.runs.weights import stored_epochs
from ued_core.studies.feature_room import CopyFeatures, FeatureView, feature_room, quality_at
from ued_core.studies.layout import COPIES, copies
from ued_core.studies.onlookers import CLEAN_WHY, POISONED_WHY, onlookers, victim_attack, victim_for, victim_words

PLOT, TILES = "features_plot", "marked_tiles"
REFERENCE, NETWORK, LOOKED = "reference", "network", "network_looked"
ENCODER_WHY = "This network never saw such pictures in training: it shows what they look like to one that knows others."
OTHER_WHY = "This network was trained on another poison, so it need not react to the one that is chosen."
DEFENDED_WHY = "This network was trained on this poison under a defence, so it shows what the defence let through."
MOST_RUNS = 40
MOST_IMAGES = 1200
"""So that a plot and a film stay below 600 kB, also with a hundred classes."""
DRAWN_FIRST_S = 0.1
"""The page is drawn before the side process takes its core."""
SHOWN_TILES = 12
SAME = 0.02
"""Accuracies that differ by less are called equal: two networks of other seeds do so too."""
METHODS: Mapping[str, str] = {"umap": "UMAP", "pca": "PCA", "tsne": "t-SNE"}
COLOURINGS: Mapping[Colouring, str] = {
    "class": "class",
    "prediction": "prediction",
    "correctness": "right or wrong",
    "copy": "copy",
}
PER_CLASS = Parameter(
    name="per_class", label="images of each class", kind="int", default=20, minimum=5, maximum=60,
    help="Each of them is shown three times: clean, poisoned and defended.",
)  # fmt: skip
JOINED = Parameter(
    name="joined", label="join the copies", kind="bool", default=False,
    help="Draws a line from each clean image through its poisoned to its defended copy. Marked images are "
         "always joined.",
)  # fmt: skip
MEASURES: Mapping[str, tuple[str, str]] = {
    "silhouette": ("silhouette", "s_{i} = (b_{i} − a_{i}) / max(a_{i}, b_{i})"),
    "purity": ("neighbours of the own class", "mean share among the 10 nearest"),
    "nmi": ("k-means against classes", "NMI = 2 I(clusters; classes) / (H + H)"),
    "acm": ("activation clusters", "ACM = mean_{c<c'} ‖μ_{c} − μ_{c'}‖ / mean_{c} mean_{i} ‖a_{i} − μ_{c}‖"),
}


@dataclass(frozen=True)
class Viewer:
    """The network that looks.

    Attributes:
        source: name of a network that ships, or a run's id.
        epoch: None for a network that ships.
        layer: one of its layers.
        words: what it is, for captions.
        why: one sentence on what it can show.
        shipped: whether it is one of the small networks that ship, which look at images in no time.
        record: the run, or None.
        epochs: those whose weights the run has.
    """

    source: str
    epoch: int | None
    layer: str
    words: str
    why: str
    shipped: bool = False
    record: RunRecord | None = None
    epochs: tuple[int, ...] = ()


def viewer_controls(choice: Selection) -> Viewer:
    """Let the reader choose network, epoch and layer; where a network that learned the chosen poison ships, it looks at
    first."""
    known = runs_of(choice)
    encoders, victims = ready_encoders(), victims_of(choice.dataset.key)
    fitting = victim_for(choice.dataset, choice.attack, choice.seed)
    options = {fitting: _victim(fitting)} if fitting else {}
    options |= {REFERENCE: "Reference: small CNN trained on clean images"}
    options |= {name: _victim(name) for name in victims}
    options |= {name: f"Encoder: {MODELS[name].title}" for name in encoders} | {
        record.id: f"{record.title} · seed {record.spec.get('seed', '–')} · {record.id[-4:]}" for record in known
    }
    first, second, third = st.columns([5, 2, 2], vertical_alignment="bottom")
    at_first = fitting or REFERENCE
    _follow(at_first)
    with first:
        name = pick(
            "Network",
            options,
            key=NETWORK,
            default=at_first,
            help="A network that learned a poison shows the shortcut, the reference model what is left of the shapes. "
            "There are also encoders that know photographs of all kinds, and your runs of this data set.",
        )
    st.session_state[LOOKED] = at_first, name
    record = next((r for r in known if r.id == name), None)
    with second:
        layer = _layer(
            MODELS.parse(
                name
                if name in encoders
                else reference_card(name if name in victims else reference_for(choice.dataset.key))["spec"]["model"]
                if record is None
                else record.spec["model"]
            ).layer_names()
        )
    if name in encoders:
        return Viewer(name, None, layer, encoder_words(name), ENCODER_WHY)
    if record is None:
        source = name if name in victims else reference_for(choice.dataset.key)
        looking = {found.name: found for found in onlookers(choice.dataset, choice.attack, choice.seed)}
        if source in looking:
            return Viewer(source, None, layer, looking[source].words, looking[source].why, True)
        return Viewer(source, None, layer, victim_words(source), OTHER_WHY, True)
    epochs = stored_epochs(runs.folder(record.id))
    with third:
        epoch = _epoch(record, epochs)
    words = f"the run {plain(record.title)} ({record.id[-4:]}) after {epoch} of {record.epochs} epochs"
    return Viewer(record.id, epoch, layer, words, run_why(record, choice), False, record, epochs)


def _follow(default: str) -> None:
    """Where the reader left the network as it was at first, another poison brings another one."""
    before, looked = st.session_state.get(LOOKED, (default, None))
    if before != default and looked == before and NETWORK not in st.query_params:
        set_control(NETWORK, default)


def run_why(record: RunRecord, choice: Selection) -> str:
    """What a run's network can show of the chosen poison, in one sentence."""
    attack = record.spec.get("attack")
    if not attack:
        return CLEAN_WHY
    same = ATTACKS.parse(attack) == choice.attack and record.spec.get("attack_seed", 0) == choice.seed
    if not same:
        return OTHER_WHY
    return DEFENDED_WHY if record.spec.get("defenses") else POISONED_WHY


def _victim(name: str) -> str:
    """Its place in the list; not every poison is a shortcut that a network takes."""
    clean = 100 * reference_card(name)["clean_test_accuracy"]
    return f"{victim_attack(name).title}: small CNN trained on poisoned images ({clean:.0f} % on clean ones)"


def _layer(names: Sequence[str]) -> str:
    return pick(
        "Layer", {name: name for name in names}, key="layer", default=PENULTIMATE,
        help="Block outputs from the image to the head, averaged over the image.",
    )  # fmt: skip


def _epoch(record: RunRecord, epochs: Sequence[int]) -> int:
    if len(epochs) == 1:
        return epochs[0]
    wanted = parameter_control(
        Parameter(
            name="epoch", label="epoch", kind="int", default=epochs[-1], minimum=epochs[0], maximum=epochs[-1],
            help="0 is the network before training.",
        ),
        key=f"epoch_{record.id[-4:]}",
        default=epochs[-1],
    )  # fmt: skip
    return min(epochs, key=lambda epoch: abs(epoch - wanted))


def runs_of(choice: Selection) -> list[RunRecord]:
    """The newest runs of the chosen data set, with its labels, whose networks can be looked into."""
    found = []
    for record in runs.snapshot().records[:MOST_RUNS]:
        data = record.spec.get("dataset")
        # With the hacker's own labels the answers are other classes than those that the plot names.
        usable = isinstance(data, Mapping) and data.get("name") == choice.dataset.key and not record.spec.get("relabel")
        if usable and is_open(record.spec) and stored_epochs(runs.folder(record.id)):
            found.append(record)
    return found


# ---- the plot --------------------------------------------------------------------------------


Copies = tuple[ImageSet, Attack | PoisonedSet, int, DefenseStack, int]
"""The arguments of :func:`ued_core.studies.layout.copies`."""


@dataclass(frozen=True)
class Scene:
    """What is looked at: some images of every class, and what is done to them.

    Attributes:
        choice: data, attack, key.
        stack: the defences.
        draw: whose draws of the defences.
        images, rows: the images, and their places in the training set.
    """

    choice: Selection
    stack: DefenseStack
    draw: int
    images: ImageSet
    rows: tuple[int, ...]

    @property
    def work(self) -> Copies:
        """The first arguments of everything that is computed about the copies."""
        return (self.images, self.choice.poison(self.images), self.choice.seed, self.stack, self.draw)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes."""
        return tuple(self.choice.train.class_names)


def scene_of(choice: Selection, stack: DefenseStack, draw: int, per_class: int, marked: Sequence[int]) -> Scene:
    """What is looked at: some images of every class, and the marked ones, wherever they were marked."""
    images, rows = choice.shown(max(1, min(per_class, MOST_IMAGES // choice.train.classes)))
    # Of a look there are no other images than those that ship.
    others = [] if choice.look else [row for row in marked if row not in set(rows)]
    if others:
        rows = [*rows, *others]
        images = _taken(choice.train, tuple(rows))
    return Scene(choice, stack, draw, images, tuple(rows))


@cached(max_entries=8)
def _taken(train: ImageSet, rows: tuple[int, ...]) -> ImageSet:
    return train.take(np.array(rows))


class Looked(NamedTuple):
    """The first arguments of :func:`ued_core.studies.feature_room.feature_room`: what is looked at and by whom."""

    chosen: ImageSet
    attack: Attack | PoisonedSet
    attack_seed: int
    defenses: DefenseStack
    seed: int
    rows: np.ndarray
    source: str
    epoch: int | None
    layer: str


@cached(max_entries=8)
def _stand_in(work: Looked) -> FeatureView:
    return feature_room(*work, "pca")


@cached(max_entries=8)
def _copies(work: Copies) -> dict[str, ImageSet]:
    return copies(*work)


@cached(max_entries=64)
def _scatter(
    shown: Embedding,
    names: tuple[str, ...],
    answers: np.ndarray,
    colouring: Colouring,
    joined: bool,
    marked: tuple[int, ...],
    focus: int | None,
) -> str:
    figure = feature_scatter(shown, names, answers, colouring=colouring, joined=joined, marked=marked, focus=focus)
    return figure.to_json(validate=False)


def plot_part(scene: Scene, viewer: Viewer, marked: tuple[int, ...]) -> None:
    """The plot of all copies, and the marked images below it."""
    st.markdown(f"**Who looks?** {viewer.why}")
    # Not columns: on a small screen these controls go below each other, and none is cut.
    with st.container(horizontal=True, vertical_alignment="bottom"):
        told = "UMAP and t-SNE show who is near whom; PCA shows directions."
        method = segments("Layout", METHODS, key="layout_by", default="umap", help=told)
        colouring = segments("Colour by", COLOURINGS, key="colour", default="class")
        joined = parameter_control(JOINED, key="joined", default=False)
    # A place of its own: words that come and go must not move the chart, or it would be drawn anew.
    with st.container():
        room, note = _room(scene, viewer, method)
    if room is None:
        return
    focus = st.session_state.get("feature_focus")
    seen = room.look
    live_chart(
        _scatter(room.embedding, scene.names, seen.predictions, colouring, joined, marked, focus),
        key=PLOT,
        alt=_alt(room, marked),
        height=520,
        filename=f"features_{viewer.layer.replace(' ', '_')}",
        clickable=True,
        question="Which images look alike to the network, and where do their poisoned and defended copies go?",
        formula="h_{l}(x), averaged over the image, laid out in the plane",
        caption=f"{note}**{METHODS[room.embedding.method]}, {room.origin}**, of layer {viewer.layer} "
        f"({seen.vectors.shape[1]} numbers "
        f"per image) of {viewer.words}; {len(scene.rows)} images, three copies each. {_measure_words(seen.measures)} "
        "Draw a lasso or a box, or click a point, to see the images; double-click to clear.",
    )
    table_part(
        room,
        lambda: _copies(scene.work),
        scene.names,
        f"Layer {viewer.layer} of {viewer.words}; {METHODS[room.embedding.method]}; defences "
        f"{' → '.join(defence.named(lead=True) for defence in scene.stack) or 'none'}.",
    )
    _table_and_tiles(scene, room, marked)


def marks(choice: Selection) -> tuple[int, ...]:
    """The marked rows, after what the reader did last on the plot or the tiles."""
    state = st.session_state
    data = choice.train.content_hash
    marked = marked_rows(data, len(choice.train))
    event = (state.get(PLOT) or {}).get("event")
    if event != state.get("feature_event"):
        state["feature_event"] = event
        rows = {
            int(point["customdata"])
            for point in (event or {}).get("points", ())
            if isinstance(point.get("customdata"), int | float)
        }
        state["feature_found"] = len(rows)
        state["feature_focus"] = None
        marked = mark_rows(data, rows)
    picked = (state.get(TILES) or {}).get("picked")
    drawn = state.get("feature_tiles", ())
    if picked and int(picked["column"]) < len(drawn):
        row = drawn[int(picked["column"])]
        state["feature_focus"] = None if state.get("feature_focus") == row else row
    return marked


def _room(scene: Scene, viewer: Viewer, method: str) -> tuple[FeatureView | None, str]:
    """The picture of what is chosen now, or the last one and what is waited for."""
    work = Looked(*scene.work, np.array(scene.rows), viewer.source, viewer.epoch, viewer.layer)
    if method == "tsne" and len(COPIES) * len(scene.rows) > MOST_TSNE_POINTS:
        method = "umap"
        st.info(
            f"t-SNE takes up to {MOST_TSNE_POINTS} points, that is {MOST_TSNE_POINTS // len(COPIES)} images; UMAP is "
            "shown instead."
        )

    def start_at(last: FeatureView) -> dict[str, np.ndarray]:
        alike = last.embedding.method == method
        return {"previous": last.embedding.points, "previous_vectors": last.look.vectors} if alike else {}

    # Compiling takes ten seconds after the start; principal components need none of it.
    compiling = viewer.shipped and not background.status().ready
    found = background.latest(
        feature_room,
        *work,
        method,
        slot="room",
        words=f"The network is looking at {len(COPIES) * len(scene.rows)} images …",
        trouble="The features could not be computed",
        like=key_of(_stand_in, scene.images, np.array(scene.rows)),
        after=start_at,
        first=lambda: _stand_in(work) if compiling else None,
        after_s=DRAWN_FIRST_S,
    )
    if found.value is None or found.error is not None:
        return None, ""
    if found.ready:
        return found.value, ""
    if compiling and found.value.embedding.method == "pca" != method:
        return (
            found.value,
            "**UMAP is compiling (about ten seconds after the start); principal components stand in.** ",
        )
    return found.value, "**The next picture is being computed …** Still shown: "


def _measure_words(measures: Mapping[str, ClusterMeasures]) -> str:
    parts = []
    for name, (title, _) in MEASURES.items():
        values = ", ".join(f"{copy} {getattr(found, name):.2f}" for copy, found in measures.items())
        parts.append(f"**{title}** {values}")
    return "; ".join(parts) + "."


def _alt(room: FeatureView, marked: Sequence[int]) -> str:
    told = ", ".join(f"{copy} {found.silhouette:.2f}" for copy, found in room.look.measures.items())
    points = (
        f"{len(room.embedding.points)} points, each an image copy, coloured and shaped; silhouette of the "
        f"classes: {told}."
    )
    return points + (f" {len(marked)} images are marked." if marked else "")


# ---- what is marked --------------------------------------------------------------------------


def _table_and_tiles(scene: Scene, room: FeatureView, marked: tuple[int, ...]) -> None:
    """The marked images as tiles and as a table."""
    state = st.session_state
    place = {row: index for index, row in enumerate(room.embedding.rows[: len(scene.rows)].tolist())}
    shown = [row for row in marked if row in place]
    if not marked:
        st.caption("No image is marked yet.")
        return
    if (found := state.get("feature_found", 0)) > MOST:
        st.info(f"{found} images were chosen; the first {MOST} of them are marked.")
    if not shown:
        return
    part = shown
    if len(shown) > SHOWN_TILES:
        pages = -(-len(shown) // SHOWN_TILES)
        page = st.pagination(pages, key=f"tiles_page_{pages}")
        part = shown[(page - 1) * SHOWN_TILES : page * SHOWN_TILES]
    _tiles(scene, [place[row] for row in part], part)
    st.dataframe(
        marked_table(room.look, room.embedding, scene.names, [place[row] for row in shown]),
        hide_index=True,
        height=min(38 + 35 * len(shown), 388),
        key="marked_table",
    )


def _tiles(scene: Scene, places: list[int], rows: list[int]) -> None:
    made = {name: stack.images[places] for name, stack in _copies(scene.work).items()}
    clean, poisoned, defended = (made[name] for name in COPIES)
    gain = fitting_gain(clean, defended)
    state = st.session_state
    # A click comes back before the tiles are drawn again: it is about these.
    state["feature_tiles"] = tuple(rows)
    focus = state.get("feature_focus")
    labels = scene.images.labels[places].tolist()
    tile_rows(
        [
            ("clean", "", clean),
            ("poisoned", scene.choice.attack.title, poisoned),
            ("defended", scene.stack.title or "nothing", defended),
            ("poisoned − clean", f"× {gain:g}, grey = none", amplified_difference(clean, poisoned, gain)),
            ("defended − clean", f"× {gain:g}, grey = none", amplified_difference(clean, defended, gain)),
        ],
        alt=f"{len(rows)} marked images: clean, poisoned, defended, and what was changed, amplified {gain:g} times.",
        key=TILES,
        names=[f"{scene.names[label]} {row}" for label, row in zip(labels, rows, strict=True)],
        caption="Click a tile to find its three points in the plot.",
        clickable=True,
        selected=[rows.index(focus)] if focus in rows else [],
    )


def marked_table(look: CopyFeatures, layout: Embedding, names: Sequence[str], places: Sequence[int]) -> pd.DataFrame:
    """What the network answers on every copy of some images.

    Args:
        look, layout: features of all copies, and their picture.
        names: of the classes.
        places: of the images among those that are shown.

    Returns:
        A row per image: its row in the data set, its class, and answer and confidence (%) on each copy.
    """
    count = len(layout.rows) // len(COPIES)
    columns: dict[str, list[Any]] = {
        "row": [int(layout.rows[place]) for place in places],
        "class": [names[layout.labels[place]] for place in places],
    }
    for index, copy in enumerate(COPIES):
        answers = [int(look.predictions[index * count + place]) for place in places]
        columns[f"{copy}: answer"] = [names[answer] if answer < len(names) else f"class {answer}" for answer in answers]
        columns[f"{copy}: confidence (%)"] = [
            round(100 * float(look.confidence[index * count + place]), 1) for place in places
        ]
    return pd.DataFrame(columns)


# ---- what the features are worth --------------------------------------------------------------


def quality_part(viewer: Viewer) -> None:
    """Whether the chosen run's network can see, though it answers by the shortcut: its last layer refitted on clean
    images."""
    if viewer.record is None or viewer.epoch is None:
        return
    st.subheader("What are these features worth?", anchor=False)
    told = (
        "Fits a new last layer to the features of up to 5,000 clean training images; everything before it stays "
        "as it is."
    )
    if st.button("Refit the last layer on clean images", key="quality", icon=":material/refresh:", help=told):
        st.session_state["quality_wanted"] = (viewer.source, viewer.epoch)
    if st.session_state.get("quality_wanted") != (viewer.source, viewer.epoch):
        return
    found = background.latest(
        quality_at,
        viewer.source,
        viewer.epoch,
        slot="quality",
        words="A new last layer is being fitted …",
        trouble="The last layer could not be refitted",
    )
    if found.value is not None:
        _quality(found.value, viewer)


def quality_words(found: FeatureQuality) -> str:
    """What the refit says against its control; withheld where too few test images were looked at."""
    if found.tested < ENOUGH:
        return f"no verdict from {found.tested} test images"
    if found.refitted - found.untrained <= SAME:
        return "its features are worth no more than random ones on clean images"
    if share_interval(found.refitted, found.tested).low <= share_interval(found.untrained, found.tested).high:
        return (
            f"more, but {found.tested:,} test images cannot tell whether the network sees more than one that was "
            "never trained"
        )
    return "the network sees more than one that was never trained"


def _quality(found: FeatureQuality, viewer: Viewer) -> None:
    shown = (
        ("As trained", found.as_trained, "The network with its own last layer."),
        ("Last layer refitted", found.refitted, "The same features, read by a layer that saw clean images."),
        ("Refitted, never trained", found.untrained, "The control: a fresh layer on the network before training."),
    )
    for column, (title, value, words) in zip(st.columns(3), shown, strict=True):
        column.metric(title, f"{100 * value:.1f} %", help=words)
    gained = found.refitted - found.untrained
    st.caption(
        f"Accuracy on clean test images, of {viewer.words}. Against the control {100 * gained:+.1f} points: "
        f"{quality_words(found)}. "
        "If the second number is far above the first, the features are there and only the decision follows the "
        "shortcut. "
        f"{found.values} features, {found.images:,} clean images; deep feature reweighting, as in arXiv:2305.19254. "
        "Unlike in its release, "
        "the new layer is fitted to the optimum instead of in 15 passes over batches, and batch normalisation keeps "
        "its statistics."
    )
