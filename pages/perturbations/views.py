"""Parts of the page Perturbations: what is measured of the chosen attack, whatever it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np
import pandas as pd
import streamlit as st
import torch

from pages.frame.cache import cached, key_of
from pages.frame.guard import guarded
from pages.state import background
from pages.state.choice import Selection, poisoned, protocol_line
from pages.state.own_data import other_data
from pages.widgets.compare_slider import compare_slider
from pages.widgets.controls import slide
from pages.widgets.live_chart import live_chart
from pages.widgets.tile_rows import tile_rows
from ued_core.analysis.edge_detector import Verdict, shipped_detections
from ued_core.analysis.perturbation import (
    Distortion,
    class_means,
    class_share,
    difference,
    distortion,
    power_spectrum,
    radial_average,
    ring_profile,
)
from ued_core.analysis.separability import MOST_IMAGES, separability
from ued_core.attacks import ATTACKS, Attack
from ued_core.context import Context
from ued_core.figures.perturbation import (
    MOST_CLASSES,
    border_profile,
    distortion_histograms,
    mean_tiles,
    radial_curves,
    roc_curves,
    separability_bars,
    spectra,
)
from ued_core.figures.roles import marked
from ued_core.figures.tiles import amplified_difference, fitting_gain
from ued_core.records import ImageSet, PoisonedSet
from ued_core.studies.edge_comparison import EdgeComparison, compare_edges, evading_version

T = TypeVar("T")
AUTOMATIC = "0"
GAINS = {AUTOMATIC: "auto", **{f"{2**power}": f"× {2**power}" for power in range(7)}}
"""By how much the difference can be multiplied, and in words; what stands in an address comes first."""
ENLARGED = 320
"""CSS pixels of a single image."""
MOST_PER_CLASS = 100
MOST_VALUES = 24_000_000
# What the page itself computes when a control moves takes these; a thousand would take a quarter of a second.
FEW = 300
MOST_TILES = 12
CLEAN = "clean images"


def measured(choice: Selection) -> tuple[ImageSet, list[int]]:
    """The images that this page measures, and their rows: the same number of each class, a thousand at most."""
    train = choice.train
    fit = min(MOST_IMAGES, MOST_VALUES // int(np.prod(train.shape))) // train.classes
    return choice.shown(max(2, min(MOST_PER_CLASS, fit)))


@cached(max_entries=32)
def _few(images: ImageSet) -> tuple[np.ndarray, ImageSet]:
    """The first images of every class, as many of each, about 300 in all: their places among the given ones, and they
    themselves."""
    labels = images.labels.numpy()
    each = max(2, FEW // images.classes)
    rows = np.concatenate([np.flatnonzero(labels == label)[:each] for label in np.unique(labels)])
    return rows, images.take(rows)


def _measured(
    choice: Selection,
    function: Callable[..., T],
    *args: Any,
    slot: str,
    words: str,
    against: str = "",
    opponent: Attack | None = None,
) -> tuple[T | None, str]:
    """What is measured of the chosen perturbation, beside the server, and a note where it belongs to the last choice.

    The arguments follow from images, attack, private key and opponent, which name the work; hashing a thousand poisoned
    images for it would take longer.
    """
    images, _ = measured(choice)
    found = background.latest(
        function,
        *args,
        slot=slot,
        words=words,
        key=key_of(function, images, choice.poison(images), choice.seed, opponent),
        like=f"{images.content_hash} {choice.attack.key} {against}",
    )
    if found.value is None or found.error is not None:
        return None, ""
    return found.value, f"**{words}** Until then this belongs to the last choice. " if found.waiting else ""


@cached(max_entries=32)
def _one_a_class(labels: np.ndarray) -> np.ndarray:
    return np.unique(labels, return_index=True)[1][:MOST_TILES]


# ---- what is changed ---------------------------------------------------------------------------


@st.fragment
def difference_view(choice: Selection) -> None:
    """Clean, poisoned and amplified difference, and one image behind a cut; follows its own two controls only."""
    with guarded():
        images, _ = measured(choice)
        result = choice.poisoned(images)
        rows = _one_a_class(images.labels.numpy())
        clean, after = images.images[rows], result.images[rows]
        names = [images.class_names[label] for label in images.labels[rows].tolist()]
        asked = slide(
            "Gain of the difference", GAINS, key="gain", default=AUTOMATIC,
            help="By how much the difference is multiplied before it is drawn around grey. *auto* takes the largest "
                 "power of two at which the largest changes still fit.",
        )  # fmt: skip
        gain = float(asked) or fitting_gain(clean, after)
        largest = int((after.short() - clean.short()).abs().max())
        lost = 127.5 / gain
        tile_rows(
            [
                ("clean", "", clean),
                ("poisoned", choice.attack.title, after),
                ("difference", f"× {gain:g}, grey = none", amplified_difference(clean, after, gain)),
            ],
            key="difference_tiles",
            alt=f"One image of each class, clean, poisoned by {choice.attack.title}, and their difference amplified "
            f"{gain:g} times.",
            names=names,
            caption=f"{protocol_line(choice)}. The difference is drawn as 127.5 + **{gain:g}** · (poisoned − clean): "
            f"changes beyond ±{lost:.0f}/255 are cut off, the largest here is {largest}/255.",
        )
        shown = st.selectbox("Image to compare", range(len(names)), format_func=names.__getitem__, key="compare")
        first, second, third = st.columns(3)
        with first:
            compare_slider(
                clean[shown].numpy(),
                after[shown].numpy(),
                key="compare_slider",
                alt=f"An image of the class {names[shown]}: clean left of the cut, poisoned by {choice.attack.title} "
                "right of it.",
                labels=(marked("clean"), marked("poisoned")),
                caption="Pull the slider, or focus it and use the arrow keys.",
            )
        with second:
            _enlarged(amplified_difference(clean[shown : shown + 1], after[shown : shown + 1], gain)[0], gain)
        with third:
            _spectrum_of(clean[shown : shown + 1], after[shown : shown + 1], names[shown])


def _enlarged(difference: np.ndarray, gain: float) -> None:
    """One difference as large as the images beside it: uint8 (C, H, W)."""
    pixels = difference.transpose(1, 2, 0)
    large = np.kron(pixels, np.ones((-(-ENLARGED // pixels.shape[0]),) * 2 + (1,), np.uint8))
    st.image(large if large.shape[2] == 3 else large[..., 0], width=ENLARGED)
    st.caption(f"The difference, × {gain:g}; grey means unchanged.")


def _spectrum_of(clean: torch.Tensor, after: torch.Tensor, name: str) -> None:
    """The power of one difference over the frequencies: (1, C, H, W)."""
    _, power = power_spectrum(difference(clean, after), torch.zeros(1, dtype=torch.long))
    live_chart(
        spectra([("", power)], [""]),
        key="one_spectrum",
        height=ENLARGED - 40,
        alt=f"Log power spectrum of the difference on an image of the class {name}.",
        filename="one_spectrum",
        caption="The frequencies of this difference: coarse in the middle, fine at the edge.",
    )


# ---- how much ----------------------------------------------------------------------------------


@st.fragment
def distortion_view(choice: Selection) -> None:
    """Sizes of the change, image by image and as distributions; measured beside the server."""
    # One element to the page, whether it shows a chart or what it waits for.
    with st.container(), guarded():
        _distortion(choice)


def _distortion(choice: Selection) -> None:
    images, rows = measured(choice)
    chosen, _ = _few(images)
    found, note = _measured(
        choice,
        distortion,
        images.images[chosen],
        choice.poisoned(images).images[chosen],
        slot="distortion",
        words=f"Measuring {len(chosen)} images, SSIM among them (a second; the first time a few) …",
    )
    if found is None:
        return
    same = int((~np.isfinite(found.psnr)).sum())
    middle = {name: float(np.median(getattr(found, name))) for name in ("linf", "l2", "psnr", "ssim")}
    live_chart(
        distortion_histograms(found),
        key="distortion",
        height=280,
        alt=f"Four histograms over {len(found)} images with medians L∞ {middle['linf']:.0f}/255, L2 "
        f"{middle['l2']:.2f}, PSNR {middle['psnr']:.1f} dB, SSIM {middle['ssim']:.3f}.",
        filename=f"{choice.attack.key}_distortion",
        question="How far is a poisoned image from its original?",
        formula="δ = x_{poisoned} − x,  PSNR = −10 log_{10} mean δ^{2}",
        caption=f"{note}Medians over {len(found)} images (full lines): **L∞ {middle['linf']:.0f}/255**, **L2 "
        f"{middle['l2']:.2f}** with "
        f"pixel values in 0..1 ({255 * middle['l2']:.0f} in 1/255), **PSNR {middle['psnr']:.1f} dB**, **SSIM "
        f"{middle['ssim']:.3f}**. Dotted: 8/255, the usual limit of bounded attacks."
        + (f" {same} unchanged images have infinite PSNR and are not in its histogram." if same else ""),
    )
    with st.expander("The numbers of every image"):
        names = [images.class_names[label] for label in images.labels[chosen].tolist()]
        st.dataframe(
            _table(found, np.array(rows)[chosen], names),
            key="distortion_table",
            hide_index=True,
            height=300,
            column_config=COLUMNS,
        )


COLUMNS = {
    "image": st.column_config.NumberColumn("image", help="Row in the training set"),
    "changed": st.column_config.NumberColumn("changed values", format="percent"),
    "l2": st.column_config.NumberColumn("L2 (values 0..1)", format="%.3f"),
    "l2_bytes": st.column_config.NumberColumn("L2 (1/255)", format="%.1f"),
    "linf": st.column_config.NumberColumn("L∞ (1/255)", format="%d"),
    "psnr": st.column_config.NumberColumn("PSNR (dB)", format="%.2f"),
    "ssim": st.column_config.NumberColumn("SSIM", format="%.4f"),
}


def _table(found: Distortion, rows: np.ndarray, names: list[str]) -> pd.DataFrame:
    numbers = {name: getattr(found, name) for name in ("linf", "l2", "l2_bytes", "changed", "psnr", "ssim")}
    return pd.DataFrame({"image": rows, "class": names, **numbers})


# ---- one pattern per class -----------------------------------------------------------------------


@cached(max_entries=16)
def _means(
    images: ImageSet, poison: Attack | PoisonedSet, seed: int
) -> tuple[np.ndarray, np.ndarray, float, float, tuple[str, ...]]:
    rows, few = _few(images)
    delta = difference(few.images, poisoned(images, poison, seed).images[rows])
    present, means = class_means(delta, few.labels)
    shown = means[:MOST_TILES]
    tiles, gains = mean_tiles(shown)
    names = tuple(images.class_names[k] for k in present[:MOST_TILES])
    return tiles, gains, float(np.abs(shown).max()), class_share(delta, few.labels), names


def mean_view(choice: Selection) -> None:
    """Every class's mean perturbation, and how much of the whole it is."""
    images, _ = measured(choice)
    tiles, gains, largest, share, names = _means(images, choice.poison(images), choice.seed)
    words = (
        "nothing changed"
        if np.isnan(share)
        else f"the class mean carries **{100 * share:.0f} %** of the perturbation's energy"
    )
    tile_rows(
        [("mean δ", "grey = none", tiles)],
        key="mean_tiles",
        alt=f"The mean perturbation of each class, each amplified by its own gain; the largest value is "
        f"{largest:.1f}/255.",
        names=[f"{name} × {gain:g}" for name, gain in zip(names, gains, strict=True)],
        caption="Each class has its own gain, so that weak patterns are seen too. "
        f"Means over about {len(_few(images)[0]) // images.classes} images per class: {words} "
        "(100 %: the same pattern on every image of a class; 0 %: images of a class share nothing on average). "
        f"Largest mean value {largest:.1f}/255. "
        "The share is Σ δᵢ·δⱼ over pairs of different images of a class, divided by Σ ‖δᵢ‖² and scaled for the number "
        "of pairs.",
    )


# ---- frequency ---------------------------------------------------------------------------------


@cached(max_entries=16)
def _clean_spectrum(images: ImageSet) -> tuple[np.ndarray, np.ndarray]:
    return power_spectrum(images.images, images.labels)


@cached(max_entries=16)
def _spectrum_figures(
    images: ImageSet, poison: Attack | PoisonedSet, seed: int
) -> tuple[str, str, str, tuple[float, float]]:
    rows, few = _few(images)
    result = poisoned(images, poison, seed).images[rows]
    present, clean = _clean_spectrum(few)
    _, after = power_spectrum(result, few.labels)
    _, delta = power_spectrum(difference(few.images, result), few.labels)
    names = [images.class_names[k] for k in present]
    frequencies, of_delta = radial_average(delta)
    curves = {"clean": radial_average(clean.mean(0))[1], "poisoned": radial_average(after.mean(0))[1]}
    figures = (
        spectra([("clean", clean), ("poisoned", after)], names),
        spectra([("", delta)], names),
        radial_curves(frequencies, curves, of_delta, names),
    )
    high = frequencies > 0.25
    kept = [
        float(curves["poisoned"][part].sum() / max(curves["clean"][part].sum(), 1e-30))
        for part in (high, ~high & (frequencies > 0))
    ]
    first, second, third = (figure.to_json(validate=False) for figure in figures)
    return first, second, third, (kept[0], kept[1])


def spectrum_view(choice: Selection) -> None:
    """Where the images' and the perturbations' power lies."""
    images, _ = measured(choice)
    of_images, of_delta, radial, (high, low) = _spectrum_figures(images, choice.poison(images), choice.seed)
    some = f" The first {MOST_CLASSES} classes." if images.classes > MOST_CLASSES else ""
    shape = images.shape[1:]
    wide = 110 * MOST_CLASSES / min(MOST_CLASSES, images.classes)
    live_chart(
        of_images,
        key="spectra_images",
        height=int(60 + min(2 * wide, 420)),
        alt="Log power spectra of each class, clean above, poisoned below.",
        filename=f"{choice.attack.key}_spectra",
        question="Which frequencies do the images lose or gain?",
        formula="log_{10} mean_{i, channels} |DFT x_{i}|^{2} / (HW)^{2}",
        caption="The middle is the mean brightness (frequency 0), the edge the finest detail (½ cycle per pixel). "
        "Compare above with below: "
        f"darker means lost. Mean over {len(_few(images)[0])} images of {shape[0]}×{shape[1]} pixels.{some}",
    )
    live_chart(
        of_delta,
        key="spectra_delta",
        height=int(50 + min(wide, 220)),
        alt="Log power spectrum of each class's perturbations.",
        filename=f"{choice.attack.key}_spectra_delta",
        question="Where does the perturbation itself lie, and do the classes differ?",
        formula="log_{10} mean_{i, channels} |DFT δ_{i}|^{2} / (HW)^{2}",
        caption="A bright middle is a change of brightness or of coarse shapes, a bright edge is fine noise. Maps "
        "that differ between classes more than those of the clean images do are a shortcut that needs no shape.",
    )
    live_chart(
        radial,
        key="radial",
        height=400,
        alt="Mean power against spatial frequency for clean and poisoned images and each class's perturbation; above "
        f"a quarter cycle a pixel poisoned images have {high:.2f} times the clean power.",
        filename=f"{choice.attack.key}_radial",
        question="Is the perturbation stronger than the image at some frequency?",
        formula="P(r) = mean_{|f| ≈ r} mean_{i} |DFT(f)|^{2} / (HW)^{2}",
        caption=f"Poisoned images have **{high:.2f} times** the clean power above ¼ cycle per pixel (sum of ring "
        f"means), and {low:.2f} times "
        "below it (without frequency 0). Grey: from the weakest to the strongest class's perturbation; point at a thin "
        "line to read whose it is. Where it lies above the clean curve it outweighs the image.",
    )


# ---- can it be read ----------------------------------------------------------------------------


@st.fragment
def separability_view(choice: Selection) -> None:
    """Linear models on perturbations, with the control that tells evidence from counting."""
    with st.container(), guarded():
        _separability(choice)


def _separability(choice: Selection) -> None:
    images, _ = measured(choice)
    found, note = _measured(
        choice,
        separability,
        images.images,
        choice.poisoned(images).images,
        images.labels,
        slot="separability",
        words=f"Fitting linear models to {len(images)} perturbations (one to three seconds) …",
    )
    if found is None:
        return
    kept, control, clean = (100 * fit.held_out for fit in (found.perturbation, found.shuffled, found.clean))
    depends = choice.attack.kernels(images.classes, choice.seed) is not None
    live_chart(
        separability_bars(found),
        key="separability",
        height=360,
        alt=f"Held-out accuracy {kept:.0f} % on perturbations, {control:.0f} % with shuffled labels, {clean:.0f} % on "
        f"clean images; chance {100 * found.chance:.0f} %.",
        filename=f"{choice.attack.key}_separability",
        question="Is the perturbation, taken alone, linearly separable by class?",
        formula="argmax_{k} w_{k}·δ + b_{k}, fitted on one half, scored on the other",
        caption=f"{note}Held out: **{kept:.0f} %** on perturbations, **{control:.0f} %** with shuffled labels (the "
        f"control), {clean:.0f} % "
        f"on clean images. The hatched bars are what papers report: with {found.images // 2} images of "
        f"{found.values:,} values a model can "
        f"learn labels by heart ({100 * found.shuffled.training:.0f} % for shuffled ones), so training accuracy is no "
        "evidence."
        + (
            " A filter's perturbation depends on the image too: a linear model need not read all of it, a network can."
            if depends
            else ""
        ),
    )


# ---- the frame ---------------------------------------------------------------------------------


@cached(max_entries=16)
def _border_figure(images: ImageSet, poison: Attack | PoisonedSet, seed: int) -> tuple[str, dict[str, float]]:
    rows, few = _few(images)
    copies = {"clean": few.images, "poisoned": poisoned(images, poison, seed).images[rows]}
    evader = None if isinstance(poison, PoisonedSet) else evading_version(poison)
    if evader is not None:
        copies["control"] = evader.poison(few, Context(seed=seed)).images
    profiles = {role: ring_profile(stack) for role, stack in copies.items()}
    distances = profiles["clean"][0]
    drop = {role: float(row[0] / max(row[1], 1e-9)) for role, (_, row) in profiles.items()}
    return border_profile(distances, {role: row for role, (_, row) in profiles.items()}).to_json(validate=False), drop


def border_view(choice: Selection) -> None:
    """Brightness from the border inwards."""
    images, _ = measured(choice)
    figure, drop = _border_figure(images, choice.poison(images), choice.seed)
    reflected = f", {drop['control']:.3f} with reflection padding" if "control" in drop else ""
    words = (
        f"Outermost ring over the next one: {drop['clean']:.3f} clean, **{drop['poisoned']:.3f} poisoned**{reflected}."
    )
    live_chart(
        figure,
        key="border",
        height=330,
        alt=words.replace("**", ""),
        filename=f"{choice.attack.key}_border",
        question="Is the frame darker than what lies inside it?",
        formula="b(r) = mean of x over pixels at distance r from the border",
        caption=f"{words} A filter that finds zeros beyond the border mixes black into the frame.",
    )


@st.fragment
def edge_view(choice: Selection) -> None:
    """Both edge detectors on the chosen attack, against an opponent of the reader's choice, and the evasion."""
    with st.container(), guarded():
        _against(choice)


def _against(choice: Selection) -> None:
    images, _ = measured(choice)
    others = [CLEAN, *(name for name in ATTACKS if name != choice.attack.key)]
    rival = st.selectbox(
        "Tell it apart from",
        others,
        format_func=lambda name: name if name == CLEAN else ATTACKS[name].title,
        key="opponent",
        help="EPD was published as a test among unlearnable examples: convolution or another attack. In practice one "
        "also wants to know whether a set is clean.",
    )
    opponent = None if rival == CLEAN else ATTACKS.build(rival)
    name = CLEAN if opponent is None else opponent.title
    found, note = _measured(
        choice,
        compare_edges,
        images,
        choice.poisoned(images).images,
        choice.attack,
        choice.seed,
        opponent,
        slot="edges",
        words=f"Training EPD on {choice.attack.title} against {name} (a second or two) …",
        against=name,
        opponent=opponent,
    )
    if found is not None:
        _edges(choice, found, name, note)


def _edges(choice: Selection, found: EdgeComparison, opponent: str, note: str) -> None:
    seen = found.detection
    curves = [("border score", "poisoned", seen.free), ("EPD", "clean", seen.trained)]
    evaded = ""
    if found.evasion is not None and found.evading is not None:
        curves += [
            ("border score, reflected", "control", found.evasion.free),
            ("EPD, reflected", "defended", found.evasion.trained),
        ]
        gone = found.evading.finding != "darkened"
        words = "evades the verdict" if gone else "does not evade the verdict here"
        areas = f"AUC {found.evasion.free.auc:.3f} (score) and {found.evasion.trained.auc:.3f} (EPD)"
        evaded = (
            f" **Reflection padding {words}**: the same attack with it has {areas}, verdict {_said(found.evading)}."
            + (
                ""
                if gone
                else " Its filters move content over a margin that was empty, which darkens the frame as well."
            )
        )
    live_chart(
        roc_curves(curves),
        key="roc",
        height=400,
        alt=f"ROC curves against {opponent}: border score {seen.free.auc:.3f}, EPD {seen.trained.auc:.3f}.",
        filename=f"{choice.attack.key}_edge_roc",
        question=f"Do the edge pixels tell {choice.attack.title} from {opponent}?",
        formula="score = −mean_{sides} log (b_{border} / b_{inside}),  EPD: sign(w·(12 edge sums) + b)",
        caption=f"{note}Border score (no training): **AUC {seen.free.auc:.3f}**, {100 * seen.free.hits_at(0.05):.0f} "
        "% found at 5 % false "
        "alarms. EPD (linear support vector machine on 12 edge sums, trained on the other half): **AUC "
        f"{seen.trained.auc:.3f}**, balanced "
        f"accuracy {100 * seen.trained_accuracy:.1f} %, both on {seen.free.positives} held-out images. **Verdicts** "
        "on whole sets, no "
        f"training: {choice.attack.title} {_said(found.poisoned)}; {opponent} {_said(found.opponent)}.{evaded}",
    )


def _said(found: Verdict) -> str:
    return f"**{found.finding}** (mean score {found.score:.3f}, threshold {found.threshold:g})"


EDGE_TEXT = """
**EPD** is the edge-pixel detector of the COIN paper as its reviews describe it: for each image the sum of pixel values
along its four edges, for three channels, and a linear support vector machine that is trained to tell convolution-based
from *other* unlearnable examples (reported AUC 0.891 on CIFAR-10). Its penalty could not be read; ours is 1. **The
border score** is ours and needs no training: the mean logarithm of how much darker the outermost line of each side is
than the next one.

**The threshold 0.1** calls a set darkened when its frames are about a tenth darker than the line inside them. It was
put between what the stored benchmark shows: at most 0.023 on clean shapes, digits and photographs, at least 0.29 under
every zero-padded attack. "Cannot tell" means that most frames are black anyway. If only a share of the images is
poisoned, the mean falls with that share.

**The evasion that everybody names**: the same attack with reflection padding has nothing black to mix in. The stored
table says how far that goes: it evades the score on shapes and photographs, but CUDA and HUDA stay visible on digits,
whose margins are empty.
"""


@cached(max_entries=32)
def _stored(key: str) -> tuple[str, list[dict[str, Any]]]:
    """The stored benchmark's rows in which an attack takes part, or all when it does not."""
    table = shipped_detections()
    own = (
        [r for r in table["rows"] if r["attack"] == key]
        or [r for r in table["rows"] if r["against"] == key]
        or table["rows"]
    )
    return table["command"], own


@cached(max_entries=32)
def _stored_frame(key: str) -> pd.DataFrame:
    shown = pd.DataFrame(_stored(key)[1]).reindex(
        columns=[
            "dataset",
            "attack",
            "blur",
            "padding",
            "against",
            "trained_auc",
            "free_auc",
            "score",
            "finding",
            "failure",
        ]
    )
    shown = shown.rename(
        columns={"trained_auc": "EPD AUC", "free_auc": "border score AUC", "score": "mean score", "finding": "verdict"}
    )
    return shown.drop(columns="failure") if shown["failure"].isna().all() else shown


def edge_notes(choice: Selection) -> None:
    """What the two detectors are, and the stored table over data sets, blur, padding and opponents."""
    with st.expander("The two detectors, the threshold, and the stored table"):
        st.markdown(EDGE_TEXT + f"\nTable: `{_stored(choice.attack.key)[0]}`.")
        other_data(choice.dataset, [row["dataset"] for row in _stored(choice.attack.key)[1]])
        st.dataframe(_stored_frame(choice.attack.key), key="edge_table", hide_index=True, height=320)
