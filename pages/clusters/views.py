"""Parts of the page Unlearnable Clusters: groups, shifts, noise, learning; a cluster picked in one is marked in all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
import streamlit as st
import torch

from pages.frame.cache import cached, key_of
from pages.frame.guard import guarded, plain
from pages.frame.navigation import script
from pages.state import background
from pages.state.choice import Selection, protocol_line
from pages.state.crafting import crafting_note, is_crafted, look_note, offer_crafting, shipped_look_of
from pages.state.selection import selection_address
from pages.widgets.controls import parameter_control, pick, segments, set_control
from pages.widgets.live_chart import fresh_click, live_chart
from pages.widgets.tile_rows import tile_rows
from ued_core.analysis.cluster_noise import NoiseMaps, noise_maps
from ued_core.attacks import Attack, UnlearnableClusters
from ued_core.attacks.checkpoint import crafted_card
from ued_core.attacks.feature_clusters import anchors
from ued_core.attacks.looks import Look
from ued_core.data.relabel import RELABELLINGS
from ued_core.figures.clusters import (
    agreement_map,
    cluster_names,
    cluster_scatter,
    destination_bars,
    distance_bars,
    distance_curves,
)
from ued_core.figures.perturbation import mean_tiles
from ued_core.figures.tiles import amplified_difference, fitting_gain
from ued_core.params import Parameter
from ued_core.records import Embedding, ImageSet, balanced_rows
from ued_core.studies.cluster_room import (
    Grouping,
    Picture,
    cluster_picture,
    group_images,
    slice_size,
    surrogate_features,
)

EVERY = "all"
AS_THEY_ARE = "own"
CLUSTER = "cluster"
GROUP_TILES, NOISE_TILES = "cluster_tiles", "cluster_noise_tiles"
MAP, PLOT, BARS, CURVES = "cluster_map", "cluster_plot", "cluster_bars", "cluster_curves"
METHODS: Mapping[str, str] = {"umap": "UMAP", "pca": "PCA"}
SHOWN_IMAGES = 300
READ_IMAGES = 2000
"""The noise is read off so many published images."""
MOST_TILES = 16
ENOUGH_IMAGES = 20
"""Images of a cluster, on average, below which fewer clusters are advised."""
DRAWN_FIRST_S = 0.1


@dataclass(frozen=True)
class Scene:
    """What the whole page looks at.

    Attributes:
        choice: data, Unlearnable Clusters as configured, key.
        grouping: the clusters.
        aims: the anchor of every cluster.
        selected: the cluster that stands out in all views, or None.
        log: of crafting, or None before it.
        look: a few images of a crafting that ship; None where there are none, and where the whole set is there.
    """

    choice: Selection
    grouping: Grouping
    aims: tuple[int, ...]
    selected: int | None
    log: Mapping[str, Any] | None
    look: Look | None = None

    @property
    def attack(self) -> UnlearnableClusters:
        """The attack."""
        return cast(UnlearnableClusters, self.choice.attack)


@st.fragment
def room(choice: Selection) -> None:
    """Everything that follows the clusters; a click stays in it."""
    with guarded():
        grouping = _grouping(choice)
        if grouping is None:
            return
        selected = _selected(grouping)
        attack = cast(UnlearnableClusters, choice.attack)
        card = crafted_card(attack, choice.seed, choice.train.content_hash)
        scene = Scene(
            choice,
            grouping,
            tuple(anchors(len(grouping), attack.offset)),
            selected,
            card["log"] if card else None,
            None if card else shipped_look_of(choice),
        )
        groups_part(scene)
        shift_part(scene)
        noise_part(scene)
        learning_part(scene)


def variant_line(choice: Selection) -> str:
    """What results with these parameters are called, and what looks at the images."""
    attack = cast(UnlearnableClusters, choice.attack)
    told = {
        "embedded": "a small encoder that ships with the program **stands in for** the paper's, which were trained on "
        "ImageNet or by CLIP",
        "labelled": "the encoder learned the labels themselves, so this is a **control and not label-agnostic**; "
        "another encoder's noise may harm more",
        "lite0": "the encoder is EfficientNet-Lite0, trained on ImageNet: a smaller network than the paper's",
        "convnext_tiny": "the encoder is ConvNeXt-Tiny, trained on ImageNet: a newer network than the paper's",
        "resnet50": "the encoder is ResNet-50, trained on ImageNet, as in the paper",
        "clip": "the encoder is CLIP's RN50, as in the paper",
    }
    return f"**{attack.variant}**: {told[attack.encoder]}."


# ---- what waits ----------------------------------------------------------------------------------


def _grouping(choice: Selection) -> Grouping | None:
    """The clusters of the whole training set, or None after saying what is waited for, or what failed.

    The encoder looks at slice after slice, so that other readers get their turn.
    """
    attack, train = cast(UnlearnableClusters, choice.attack), choice.train
    looked = key_of(surrogate_features, train.content_hash, train.name, attack.encoder, attack.crafting_inputs())
    wanted = key_of(group_images, looked, attack.clusters, choice.seed)
    done: dict[str, Any] = st.session_state.setdefault("cluster_work", {})
    if done.get("grouped") == wanted:
        _say_wait()
        return done["grouping"]
    if done.get("looked") != looked:
        done["looked"], done["features"] = looked, []
    features: list[np.ndarray] = done["features"]
    size = slice_size(attack.encoder, train.name)
    for start in range(len(features) * size, len(train), size):
        images = train.take(np.arange(start, min(start + size, len(train))))
        part = background.ask(
            surrogate_features,
            images,
            attack.encoder,
            slot="clusters",
            key=f"{looked}:{start}",
            after_s=DRAWN_FIRST_S,
        )
        if part.value is None:
            told = f"; {start:,} are done" if start else ""
            _say_wait(part, words=f"The encoder looks at {len(train):,} images{told} …")
            return None
        features.append(part.value)
    grouped = background.ask(
        group_images,
        np.concatenate(features),
        train.labels.numpy(),
        train.classes,
        attack.clusters,
        choice.seed,
        slot="clusters",
        key=wanted,
        after_s=DRAWN_FIRST_S,
    )
    words = f"k-means divides {len(train):,} images into {attack.clusters} clusters, ten times over (a few seconds) …"
    _say_wait(grouped, words=words)
    if grouped.value is not None:
        done["grouped"], done["grouping"] = wanted, grouped.value
    return grouped.value


def _say_wait(*parts: background.Answer[Any], words: str = "") -> None:
    background.wait_for(*parts, slot="clusters", words=words, trouble="The clusters could not be found")


# ---- the picked cluster --------------------------------------------------------------------------


def _selected(grouping: Grouping) -> int | None:
    """The cluster that stands out, after what the reader did last anywhere on the page."""
    clicked = _clicked()
    if clicked is not None and clicked < len(grouping):
        now = str(clicked + 1)
        set_control(CLUSTER, EVERY if st.session_state.get(CLUSTER) == now else now)
    names = {EVERY: "all"} | {str(i + 1): name for i, name in enumerate(cluster_names(len(grouping)))}
    left, _ = st.columns([1, 3])
    with left:
        chosen = pick(
            "Cluster to mark", names, key=CLUSTER, default=EVERY,
            help="Marked in every picture below. A click on a point, a cell, a bar, a curve or a tile picks it "
                 "as well.",
        )  # fmt: skip
    return None if chosen == EVERY else int(chosen) - 1


def _clicked() -> int | None:
    """The number of the cluster that was clicked since the last run of the page."""
    point = fresh_click(MAP, PLOT, BARS, CURVES)
    if point is not None:
        place = point["point"][0] if point["chart"] == MAP else point.get("customdata")
        return int(place) if isinstance(place, int | float) and place >= 0 else None
    drawn = st.session_state.get("cluster_drawn", ())
    for key in (GROUP_TILES, NOISE_TILES):
        picked = (st.session_state.get(key) or {}).get("picked")
        if picked and int(picked["column"]) < len(drawn):
            return drawn[int(picked["column"])]
    return None


def _columns(scene: Scene) -> tuple[int, ...]:
    """The clusters that have a tile: all, or the first ones with the picked one."""
    count = len(scene.grouping)
    if count <= MOST_TILES or scene.selected is None or scene.selected < MOST_TILES:
        return tuple(range(min(count, MOST_TILES)))
    return (*range(MOST_TILES - 1), scene.selected)


def _tiles(scene: Scene, rows: Sequence[tuple[str, str, Any]], *, key: str, alt: str, caption: str) -> None:
    columns = _columns(scene)
    # A click comes back before the tiles are drawn again: it is about these.
    st.session_state["cluster_drawn"] = columns
    left_out = len(scene.grouping) - len(columns)
    more = f" {left_out} more clusters have no tile here; the list above picks any." if left_out else ""
    tile_rows(
        rows,
        key=key,
        alt=alt,
        names=[f"{cluster + 1} → {scene.aims[cluster] + 1}" for cluster in columns],
        caption=caption + more,
        clickable=True,
        selected=[columns.index(scene.selected)] if scene.selected in columns else [],
    )


# ---- groups --------------------------------------------------------------------------------------


@cached(max_entries=16)
def _nearest(train: ImageSet, rows: tuple[int, ...]) -> ImageSet:
    return train.take(np.array(rows))


def fewer_clusters(sizes: np.ndarray) -> str:
    """What to do where clusters have too few images for one noise to be learned; empty where they have enough.

    Args:
        sizes: int (p,), the images of every cluster.
    """
    if sizes.mean() >= ENOUGH_IMAGES or len(sizes) <= 2:
        return ""
    return (
        f"**{len(sizes)} clusters of {sizes.min()} to {sizes.max()} images are many for so few images:** each noise is "
        f"learned from its cluster alone. Choose {max(2, int(sizes.sum()) // ENOUGH_IMAGES)} clusters in the attack's "
        "parameters, so that each has about "
        f"{ENOUGH_IMAGES} images."
    )


def groups_part(scene: Scene) -> None:
    """Which images the encoder puts together, and what that has to do with labels."""
    grouping, train = scene.grouping, scene.choice.train
    st.subheader("1 · Which images does the encoder put together?")
    if advice := fewer_clusters(np.bincount(grouping.assignment, minlength=len(grouping))):
        st.info(advice)
    columns = _columns(scene)
    depth = min(len(grouping.nearest[cluster]) for cluster in columns)
    rows = [
        (
            ("nearest to the centre", "second", "third")[place], "",
            _nearest(train, tuple(grouping.nearest[cluster][place] for cluster in columns)).images,
        )
        for place in range(depth)
    ]  # fmt: skip
    sizes = np.bincount(grouping.assignment)
    _tiles(
        scene,
        rows,
        key=GROUP_TILES,
        alt=f"For each of {len(grouping)} clusters the images nearest to its centre.",
        caption=f"k-means on the encoder's features of all **{len(train):,} training images**, which looked at no "
        f"label: {len(grouping)} "
        f"clusters of {sizes.min():,} to {sizes.max():,} images. **3 → 4** means: the noise of cluster 3 should make "
        "its images look like cluster 4 to the encoder. Click a tile to mark its cluster everywhere.",
    )
    _agreement(scene)


def _agreement(scene: Scene) -> None:
    """Clusters beside labels: those of the data set, or others that somebody may choose."""
    st.markdown(
        "Nobody can know which labels the images will get. Choose some: the clusters stay as they are, because they "
        "were made without any."
    )
    train = scene.choice.train
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    titles = {AS_THEY_ARE: "as in the data set"} | {key: entry.title for key, entry in RELABELLINGS.items()}
    with left:
        rule = segments("Labels that somebody trains with", titles, key="labels", default=AS_THEY_ARE)
    with right:
        labelled = train if rule == AS_THEY_ARE else _relabelled(train, rule, _classes(train.classes))
    grouping = scene.grouping if rule == AS_THEY_ARE else scene.grouping.compared_with(labelled)
    guessed, blind = 100 * grouping.guessed_rate, 100 * grouping.blind_rate
    live_chart(
        agreement_map(grouping.counts, labelled.class_names, scene.selected),
        key=MAP,
        height=90 + 30 * len(grouping) if len(grouping) <= 20 else 690,
        alt=f"Images of each cluster and label; NMI {grouping.nmi:.2f}.",
        filename="cluster_labels",
        clickable=True,
        question="Do the clusters match the labels?",
        formula="NMI = 2 I(clusters; labels) / (H(clusters) + H(labels))",
        caption=f"**NMI {grouping.nmi:.2f}** (0: clusters and labels have nothing in common, 1: they are the same "
        "division). In plain "
        f"words: whoever sees only an image's cluster guesses its label in **{guessed:.0f} %** of the cases; without "
        f"it, in {blind:.0f} %; "
        f"and {100 * grouping.gathered_rate:.0f} % of the images are in the main cluster of their label. "
        f"{_meaning(grouping)} The labels are looked at here and nowhere in the attack.",
    )


def _classes(most: int) -> int:
    """How many classes are left after merging."""
    if most == 2:
        return most
    few = Parameter(
        name="labels_classes", label="classes after merging", kind="int", default=min(5, most), minimum=2, maximum=most,
        help="Merged classes have one label together, as in the paper's relabelling experiment.",
    )  # fmt: skip
    return parameter_control(few, key="labels_classes", default=few.default)


@cached(max_entries=8)
def _relabelled(train: ImageSet, rule: str, classes: int) -> ImageSet:
    return RELABELLINGS.build(rule, classes=classes).apply(train)


def _meaning(grouping: Grouping) -> str:
    """What the numbers mean for the attack: how much of the way from blind guessing to certainty a cluster gives."""
    gained = (grouping.guessed_rate - grouping.blind_rate) / max(1 - grouping.blind_rate, 1e-9)
    if gained >= 0.7:
        return (
            "That is what the attack needs: a cluster's noise nearly gives the label away, a shortcut that "
            "training can take."
        )
    if gained >= 0.3:
        return "That is half-way: some labels share a noise, so the noise alone tells only some of them apart."
    return (
        "That is little: the noises hardly tell the labels apart, so expect training to look at the content after all."
    )


# ---- shift ---------------------------------------------------------------------------------------


@cached(max_entries=32)
def _scatter(embedding: Embedding, aims: tuple[int, ...], selected: int | None) -> str:
    return cluster_scatter(embedding, aims, selected).to_json(validate=False)


@cached(max_entries=16)
def _some_of_each(assignment: np.ndarray, most: int, seed: int) -> np.ndarray:
    """The same number of images of every cluster, about ``most`` in all."""
    clusters = torch.from_numpy(assignment)
    return balanced_rows(clusters, max(4, most // int(clusters.max() + 1)), seed)


@cached(max_entries=16)
def _taken(train: ImageSet, rows: np.ndarray) -> ImageSet:
    return train.take(rows)


def shift_part(scene: Scene) -> None:
    """The layout with centres and planned shifts, and where the poisoned images have gone."""
    st.subheader("2 · Pull together, then swap: where should the clusters go, and do they get there?")
    st.markdown(
        "The attack aims at the centres **in a circle**: all images of a cluster are pulled *together*, and "
        "the point that they are pulled to is *another* cluster's centre, as if the clusters swapped places. A network "
        "then finds the noise easier to follow than what is in the image."
    )
    method = segments(
        "Layout", METHODS, key="layout_by", default="umap", help="UMAP shows who is near whom; PCA shows directions."
    )
    picture, note = _picture(scene, method)
    if picture is None:
        return
    rates = picture.rates("poisoned", list(scene.aims)) if scene.log or scene.look else None
    shown = (picture.embedding.group == "clean").sum()
    done = (
        "**No noise has been made yet**: the arrows say what is planned, and the crosses of the poisoned copies are "
        "still missing."
        if rates is None
        else f"Crosses are the same images with their noise: **{100 * np.nanmean(rates[:, 0]):.0f} %** are nearest to "
        f"their anchor, {100 * np.nanmean(rates[:, 1]):.0f} % are still nearest to their own centre."
    )
    live_chart(
        _scatter(picture.embedding, scene.aims, scene.selected),
        key=PLOT,
        height=560,
        alt=f"{shown} images of {len(scene.grouping)} clusters with their centres and an arrow from each centre to "
        "its anchor.",
        filename="clusters",
        clickable=True,
        question="Where does the encoder see clean and poisoned images, and where should they go?",
        formula="h(x) and h(x + δ_{c}), anchor of cluster i: centre of cluster (i + offset) mod p",
        caption=f"{note}**{METHODS[picture.embedding.method]}, {picture.origin}**, of {shown} images and "
        f"{len(scene.grouping)} centres "
        f"({scene.grouping.centres.shape[1]} features). {done} Colours are the clusters of the clean images, numbers "
        "their centres.",
    )
    if rates is not None:
        _destinations(scene, picture, rates)


def _destinations(scene: Scene, picture: Picture, rates: np.ndarray) -> None:
    aims = list(scene.aims)
    profile = picture.rates("poisoned", aims, "likest")
    told = [row["hit_rate"] for row in scene.log["trace"] if "hit_rate" in row] if scene.log else []
    crafted = (
        f" While crafting, up to 128 images of each cluster were asked: {100 * np.mean(told):.0f} % by distance."
        if told
        else ""
    )
    live_chart(
        destination_bars({"by distance": rates, "by profile (KL)": profile}, scene.selected),
        key=BARS,
        height=130 + 24 * len(aims),
        alt=f"Share of poisoned images nearest to the anchor: {100 * np.nanmean(rates[:, 0]):.0f} % by distance, "
        f"{100 * np.nanmean(profile[:, 0]):.0f} % by profile.",
        filename="cluster_hits",
        clickable=True,
        question="Which share of a cluster's poisoned images is nearest to its anchor?",
        formula="argmin_{j} ‖h(x + δ) − μ_{j}‖   and   argmin_{j} KL(softmax μ_{j} ‖ softmax h(x + δ))",
        caption=f"Mean over clusters: **{100 * np.nanmean(rates[:, 0]):.0f} %** by distance, "
        f"**{100 * np.nanmean(profile[:, 0]):.0f} %** "
        f"by profile (hit rate).{crafted} The generators follow profiles, and a constant added to all features "
        "changes none: an image can have the anchor's profile and still lie nearer to another centre.",
    )


def _picture(scene: Scene, method: str) -> tuple[Picture | None, str]:
    """The layout of what is chosen now, or the last one of these clusters and what is waited for."""
    choice, grouping = scene.choice, scene.grouping
    if scene.look is None:
        rows = _some_of_each(grouping.assignment, SHOWN_IMAGES, choice.pick)
        chosen = _taken(choice.train, rows)
        published = choice.poisoned(chosen).images if scene.log else None
    else:
        rows, chosen, published = np.array(scene.look.rows), scene.look.clean, scene.look.images
    found = background.latest(
        cluster_picture,
        chosen,
        published,
        rows,
        grouping.assignment[rows],
        grouping.centres,
        scene.attack.encoder,
        method,
        slot="cluster_picture",
        words=f"The encoder looks at {len(rows)} images, then they are laid out (UMAP: ten seconds more after the "
        "start of the app) …",
        trouble="The features could not be laid out",
        like=key_of(cluster_picture, chosen, rows, scene.attack.encoder, scene.log is None),
        after_s=DRAWN_FIRST_S,
    )
    if found.value is None or found.error is not None:
        return None, ""
    return found.value, "" if found.ready else "**The next picture is being computed …** Still shown: "


# ---- noise ---------------------------------------------------------------------------------------


@cached(max_entries=8)
def _noise(images: ImageSet, attack: Attack, seed: int, assignment: np.ndarray, count: int) -> NoiseMaps:
    return noise_maps(images.images.numpy(), attack.preview(images, seed).images.numpy(), assignment, count)


def noise_part(scene: Scene) -> None:
    """Every cluster's noise with an image before and after, or how to get them."""
    st.subheader("3 · Which noise takes them there?")
    choice, grouping = scene.choice, scene.grouping
    if not is_crafted(choice):
        st.markdown(
            "For every cluster a small generator network learns **one** noise, the same for all images of the cluster. "
            "Everything above needed no noise; everything from here on does."
        )
        if scene.look is None:
            offer_crafting(choice)
        else:
            look_note(choice, scene.look)
            _look_tiles(replace(choice, look=scene.look))
        return
    rows = _some_of_each(grouping.assignment, READ_IMAGES, 0)
    read = _noise(_taken(choice.train, rows), scene.attack, choice.seed, grouping.assignment[rows], len(grouping))
    if read.held < 1:
        st.warning(
            f"Only {100 * read.held:.1f} % of the published images are their clean version plus the noise of the "
            "cluster found here: the "
            "set was crafted with other clusters, for example on another device. Read the tiles with care."
        )
    columns = list(_columns(scene))
    before = _nearest(choice.train, tuple(grouping.nearest[cluster][0] for cluster in columns))
    after = choice.poisoned(before).images
    tiles, gains = mean_tiles(read.maps[columns].astype(np.float32))
    gain = _gains(gains)
    own = fitting_gain(before.images, after)
    hidden = 100 * (1 - read.known.mean())
    unseen = f" {hidden:.1f} % of the values are cut off in every image and drawn grey." if hidden >= 0.05 else ""
    _tiles(
        scene,
        [
            ("noise", f"× {gain}, grey = none", tiles),
            ("an image before", "nearest to the centre", before.images),
            ("after", "with the noise", after),
            ("difference", f"× {own:g}, grey = none", amplified_difference(before.images, after, own)),
        ],
        key=NOISE_TILES,
        alt=f"The noise of each cluster amplified {gain} times, and one image before and after.",
        caption=f"One noise per cluster, drawn as 127.5 + **{gain}** · δ; the largest value is "
        f"{np.abs(read.maps).max()}/255 of "
        f"the {scene.attack.epsilon}/255 allowed. It is read off {len(rows):,} published images: "
        f"**{100 * read.held:.0f} %** of them are exactly their clean version plus this noise, cut to 0..255.{unseen}",
    )
    crafting_note(choice)
    address = selection_address(choice.dataset, choice.attack, choice.seed)
    st.page_link(
        script("perturbations/page.py"),
        label="Measure this perturbation: size, spectrum, who can read it →",
        query_params=address,
    )


def _gains(gains: np.ndarray) -> str:
    """By how much the tiles of a row are amplified, each by its own gain."""
    low, high = gains.min(), gains.max()
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _look_tiles(choice: Selection) -> None:
    """The images that ship, one of each class; their clusters are not known here."""
    images, _ = choice.shown(1)
    after = choice.poisoned(images).images
    gain = fitting_gain(images.images, after)
    tile_rows(
        [
            ("clean", "", images.images),
            ("poisoned", choice.attack.title, after),
            ("difference", f"× {gain:g}, grey = none", amplified_difference(images.images, after, gain)),
        ],
        key="look_tiles",
        alt=f"One image of each class, clean, with the noise of its cluster, and their difference amplified {gain:g} "
        "times.",
        names=[images.class_names[label] for label in images.labels.tolist()],
        caption=f"{protocol_line(choice)}. One image of each class; images of one cluster have the same noise.",
    )


# ---- learning ------------------------------------------------------------------------------------


def learning_part(scene: Scene) -> None:
    """The distances while the generators learned."""
    st.subheader("4 · How did the generators learn it?")
    trace = [row for row in scene.log["trace"] if "anchor" in row] if scene.log else []
    if scene.look is not None:
        st.markdown(
            f"{plain(scene.look.card['log']['note'])} The curves of each cluster appear here once the whole set is "
            "crafted."
        )
        return
    if not trace:
        st.markdown(
            "Crafting keeps, for every cluster, how far its images are from the anchor and from their own centre "
            "while the generator learns. "
            + (
                "The curves appear here once the set is crafted."
                if scene.log is None
                else "One cluster alone has nothing to aim at."
            )
        )
        return
    first, last = (float(np.mean([row[name] for row in trace])) for name in ("first_kl", "last_kl"))
    share = 100 * float(np.mean([row["ratio"] for row in trace]))
    ratio = (
        f"the distance to the anchor went from {first:.2f} to **{last:.2f} nats** (to **{share:.0f} %**, averaged "
        "cluster by cluster)"
    )
    chart = partial(
        live_chart,
        key=CURVES,
        filename="cluster_kl",
        clickable=True,
        question="Does the noise bring the images to the anchor, and away from where they were?",
        formula="KL(softmax μ ‖ softmax h(x + δ)), mean over images of the cluster",
    )
    if all("curve" in row for row in trace):
        own = [float(np.mean([row["curve"]["own_kl"][place] for row in trace])) for place in (0, -1)]
        grew = "grew" if own[1] > own[0] else "fell"
        chart(
            distance_curves(trace, scene.selected),
            height=460,
            alt=f"KL divergence over generator steps; to the anchor from {first:.2f} to {last:.2f}, to the own centre "
            f"from {own[0]:.2f} to {own[1]:.2f} nats.",
            caption=f"Mean over {len(trace)} clusters: {ratio}; the distance to the own centre {grew} from "
            f"{own[0]:.2f} to "
            f"**{own[1]:.2f} nats**. Measured on up to 128 images of each cluster; colours as in the layout above. "
            "Dotted: without noise. Step 0 is the noise of an untrained generator, which already moves the features.",
        )
        return
    st.info(
        "This set was crafted by an older version, which kept the distance to the anchor at three moments only; here "
        "they are as bars."
    )
    chart(
        distance_bars(trace, scene.selected),
        height=340,
        alt=f"KL divergence to the anchor, clean, before and after learning; mean from {first:.2f} to {last:.2f} nats.",
        caption=f"Mean over {len(trace)} clusters: {ratio}.",
    )
