"""Parts of the page D-VAE: rate targets, which images are poisoned, what the class alone gives away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
import torch

from pages.frame.cache import cached
from pages.frame.guard import guarded, plain
from pages.state.choice import Selection, protocol_line
from pages.state.run_words import percent
from pages.state.selection import choose_all_poisoned
from pages.widgets.controls import pick, set_control, slide
from pages.widgets.live_chart import live_chart
from pages.widgets.tile_rows import tile_rows
from ued_core.analysis.perturbation import class_means, difference
from ued_core.analysis.purification import (
    Ground,
    Recovery,
    Separation,
    measure_ground,
    measure_recovery,
    measure_separation,
    psnr,
    surviving,
)
from ued_core.attacks import ATTACKS, Attack
from ued_core.context import Context
from ued_core.data import DATASETS
from ued_core.data.base import Dataset
from ued_core.defenses.dvae import Dvae, purify_batch
from ued_core.defenses.purified import kept_sets, purified_card, read_purified
from ued_core.errors import Unavailable
from ued_core.figures.separation import RatePoint, amplified, rate_distortion
from ued_core.figures.tiles import amplified_difference, fitting_gain
from ued_core.models.dvae import DvaeNetwork
from ued_core.records import ImageSet, balanced_rows, to_bytes, to_float
from ued_core.results.shipped_separations import Shipped, all_shipped, shipped_for
from ued_core.training.rate_constrained import separated

PER_CLASS = 20
SHIPPED = "shipped"
GROUND_SHARE = 0.1
"""Share of values of the lowest level from which the page says what p̂ does there."""
WHERE_IT_FAILS = {("fashion", "cuda"): "1", ("digits", "region"): "0.3"}
"""Data set and attack of what ships → the rate target at which it is to be seen."""
WORSE_LEVELS = 1
"""By how much more x − p̂ must miss the level of the ground than x, in 1/255, before the page speaks of it."""
IN_BFLOAT16 = "trained in bfloat16"
VARIANT_WORDS = {
    "two_stages": "both stages",
    "subtraction": "stage 1 alone (x − p̂)",
    "reconstruction": "stage 1 alone (x̂)",
    "plain_vae": "plain VAE",
}


@dataclass(frozen=True)
class Trained:
    """Networks of stage 1 that differ in their rate target only.

    Attributes:
        label: how they were trained, for people.
        places: rate target → where the network is: ``(SHIPPED, card)`` or ``("kept", folder)``.
        shuffled: the defence that shuffled the labels which they were told; None where those are the true ones.
    """

    label: str
    places: Mapping[float, tuple[str, str]]
    shuffled: Dvae | None = None

    def told(self, labels: torch.Tensor) -> torch.Tensor:
        """The labels that the networks were given for the training set, int64 (N,)."""
        return labels if self.shuffled is None else self.shuffled.told_labels(labels)


@dataclass(frozen=True)
class Part:
    """Some of the published images: poisoned ones, or ones that were left as they are.

    Attributes:
        rows: which of the training set.
        clean, published: before the attack, and as published.
        poisoned: uint8, what the attack makes of them, or would have made of them.
    """

    rows: torch.Tensor
    clean: ImageSet
    published: ImageSet
    poisoned: torch.Tensor

    @property
    def names(self) -> list[str]:
        """The class of each image."""
        return [self.clean.class_names[label] for label in self.clean.labels.tolist()]


# ---- what there is ---------------------------------------------------------------------------


def whole_poisoned(choice: Selection) -> ImageSet:
    """What a victim would train on: the set that D-VAE is given."""
    return choice.published()


def part_of(choice: Selection, published: ImageSet, per_class: int, touched: bool = True) -> Part | None:
    """As many published images of every class as there are, at most so many: poisoned ones, or untouched ones; None
    without any."""
    if choice.poison_rate == 1:
        rows = torch.tensor(choice.shown(per_class)[1]) if touched else None
    else:
        own = (choice.touched() == touched).nonzero()[:, 0]
        rows = (
            own[torch.from_numpy(balanced_rows(choice.train.labels[own], per_class, choice.pick))] if len(own) else None
        )
    if rows is None:
        return None
    clean, given = choice.train.take(rows), published.take(rows)
    return Part(rows, clean, given, given.images if touched else choice.poisoned(choice.train).images[rows])


def trained_for(choice: Selection, poisoned: ImageSet) -> list[Trained]:
    """All networks of stage 1 for this choice: those that ship, then those that runs here have trained."""
    found: list[Trained] = []
    shipped = shipped_for(choice.dataset.to_json(), choice.attack.to_json(), choice.seed)
    # What ships was trained on sets all of whose images are poisoned.
    if shipped is not None and choice.poison_rate == 1:
        name = shipped.path.with_suffix(".json").name
        found.append(Trained(_shipped_label(shipped), {target: (SHIPPED, name) for target in shipped.targets}))
    groups: dict[str, dict[float, tuple[str, str]]] = {}
    shuffled: dict[str, Dvae] = {}
    for recipe, folder in kept_sets(Dvae.key, poisoned.content_hash):
        defense = Dvae(**{name: value for name, value in recipe.items() if name != "name"})
        # A plain VAE finds no perturbation.
        if defense.variant != "plain_vae":
            label = _kept_label(defense)
            groups.setdefault(label, {}).setdefault(defense.rate_1, ("kept", str(folder)))
            if defense.labels == "shuffled":
                shuffled[label] = defense
    own = [Trained(label, dict(sorted(places.items())), shuffled.get(label)) for label, places in groups.items()]
    # The control comes last: nobody should take it for the method. Before it, p̂ of another arithmetic.
    return [*found, *sorted(own, key=lambda group: (group.shuffled is not None, IN_BFLOAT16 in group.label))]


def _shipped_label(shipped: Shipped) -> str:
    card = shipped.card
    return (
        f"shipped for a first look: width {card['defence']['width']}, {card['images']:,} images, "
        f"{card['targets'][0]['steps']:,} steps, copies of one network that were then tightened"
    )


def _kept_label(defense: Dvae) -> str:
    words = (
        f"trained here: width {defense.width}, {epochs_words(defense)}, batch {defense.batch_size}, seed {defense.seed}"
    )
    more = [defense.perturbation.replace("_", " ")] if defense.perturbation != "image_and_class" else []
    more += [defense.places] if defense.places != "spatial" else []
    more += [f"{IN_BFLOAT16}, whose p̂ differs from that of float32"] if defense.precision == "bfloat16" else []
    more += ["told shuffled labels (control)"] if defense.labels == "shuffled" else []
    return ", ".join([words, *more])


def epochs_words(defense: Dvae) -> str:
    """How long a stage is trained, and that it is a draft where it is one."""
    return f"{defense.epochs} epoch{'s' * (defense.epochs != 1)}{', a draft' * defense.is_draft}"


def network_at(place: tuple[str, str], target: float, images: ImageSet) -> DvaeNetwork:
    """The network of stage 1 from its place.

    Raises:
        Unavailable: it was deleted meanwhile.
    """
    kind, where = place
    if kind == SHIPPED:
        return _shipped_at(where).network(target)
    card, kept = purified_card(Path(where)), read_purified(Path(where))
    if card is None or kept is None:
        raise Unavailable("This network is no longer on the disk.", "Reload the page, or train it again.")
    return Dvae(**{name: value for name, value in card["defence"].items() if name != "name"}).trained(images, kept, 1)


def _shipped_at(card: str) -> Shipped:
    return next(s for s in all_shipped() if s.path.with_suffix(".json").name == card)


@cached(max_entries=64)
def after_stages(
    place: tuple[str, str], target: float, images: ImageSet, told: torch.Tensor, rows: torch.Tensor
) -> tuple[torch.Tensor, ...]:
    """Some published images after stage 1 (x − p̂) and, where there is one, after stage 2: uint8, shape of the images.

    Args:
        place: of the network of stage 1, which has this target.
        images: of the set.
        told: int64, their labels as the networks are given them.
        rows: which of the set they are.
    """
    kind, where = place
    card, kept = (None, None) if kind == SHIPPED else (purified_card(Path(where)), read_purified(Path(where)))
    if card is not None and kept is not None and card["defence"]["variant"] in ("two_stages", "subtraction"):
        return tuple(stage[rows] for stage in kept.stages)
    first = network_at(place, target, images)
    made = [to_bytes(purify_batch(first, to_float(images.images), told, ("subtract",), None), "truncate")]
    if kind == SHIPPED and (shipped := _shipped_at(where)).after == target:
        steps = Dvae().steps(2)
        made.append(to_bytes(purify_batch(shipped.second_network(), to_float(made[0]), told, steps, None), "truncate"))
    return tuple(made)


@cached(max_entries=64)
def _what_is_left(clean: ImageSet, published: torch.Tensor, stages: tuple[torch.Tensor, ...]) -> list[list[float]]:
    """Share of the perturbation that is left, and PSNR to the clean images: as published, and after each stage."""
    original, delta = to_float(clean.images), difference(clean.images, published).float() / 255
    found = (published, *stages)
    return [[surviving(original, to_float(images), delta), psnr(images, clean.images)] for images in found]


@cached(max_entries=64)
def _separated(
    place: tuple[str, str], target: float, images: ImageSet, told: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    return separated(network_at(place, target, images), images.images, told, Context())


@cached(max_entries=64)
def _measured(
    place: tuple[str, str], target: float, clean: ImageSet, poisoned: ImageSet, told: torch.Tensor
) -> Separation:
    return measure_separation(network_at(place, target, poisoned), clean.images, poisoned, Context(), told)


@cached(max_entries=64)
def _by_class(place: tuple[str, str], target: float, images: ImageSet) -> torch.Tensor:
    with torch.no_grad():
        return network_at(place, target, images).class_perturbations()


# ---- rate targets ------------------------------------------------------------------------------


@st.fragment
def rate_room(choice: Selection, published: ImageSet, trained: list[Trained]) -> None:
    """Everything that moves with the rate target."""
    with guarded():
        group = trained[0]
        if len(trained) > 1:
            labels = {str(number): entry.label for number, entry in enumerate(trained)}
            group = trained[int(pick("Networks", labels, key="networks", default="0"))]
        targets = {f"{target:g}": f"{target:g}" for target in group.places}
        with st.container(border=True):
            if len(targets) > 1:
                chosen = slide(
                    "How much passes the bottleneck (rate target, nats per position of 2 × 2 pixels)", targets,
                    key="rate", default=_middle(list(targets)),
                    help="1 nat per position is 0.36 bits per pixel. At a low target less noise passes, and less of "
                         "the image. The slider snaps between the targets for which a network is there.",
                )  # fmt: skip
            else:
                chosen = next(iter(targets))
                st.markdown(
                    f"**Rate target {chosen} nats per position of 2 × 2 pixels**, the only one for which a network is "
                    "there."
                )
            there = f"The slider snaps between the stored targets {', '.join(targets)}. " if len(targets) > 1 else ""
            st.caption(plain(f"{there}Networks: {group.label}."))
        _at_rate(choice, published, group, float(chosen))


def _middle(targets: list[str]) -> str:
    return "1" if "1" in targets else targets[len(targets) // 2]


def _at_rate(choice: Selection, published: ImageSet, group: Trained, target: float) -> None:
    few, many = (part_of(choice, published, count) for count in (1, PER_CLASS))
    if few is None or many is None:
        st.info("At this share not one of these few images is poisoned: choose a larger one.")
        return
    place, told = group.places[target], group.told(choice.train.labels)
    gain = fitting_gain(few.clean.images, few.poisoned)

    def measured(other: float) -> Separation:
        return _measured(group.places[other], other, many.clean, many.published, told[many.rows])

    partly = choice.poison_rate < 1
    # Before the pictures only what may need words above them.
    fails = _filters(choice) and _say_no_noise(choice, measured(target))
    purified = after_stages(place, target, few.published, told[few.rows], few.rows)
    _rate_tiles(choice, few, _separated(place, target, few.published, told[few.rows]), purified, target, gain)
    if partly:
        _untouched_tiles(choice, published, place, target, told, gain)
    if not fails:
        _offer_where_it_fails(choice)
    _left_table(many, place, target, told, group)
    points = {other: measured(other) for other in group.places}
    now = points[target]
    live_chart(
        rate_distortion([_point(t, s) for t, s in points.items()], target),
        key="dvae_rate_chart",
        height=400,
        alt=f"At {now.nats:.2f} nats per position the reconstruction has {now.psnr_clean:.1f} dB to the clean "
        f"images and {100 * now.surviving:.1f} % of the perturbation passes.",
        filename=f"dvae_rate_{choice.dataset.key}_{choice.attack.key}",
        question="What does a looser limit let through?",
        formula="passing = ⟨x̂(x+δ) − x̂(x), δ⟩ ÷ ⟨δ, δ⟩",
        caption=f"At target {target:g}: **{now.nats:.2f} nats per position** ({now.bits_per_pixel:.2f} bits per "
        f"pixel), x̂ at **{now.psnr_clean:.1f} dB** to the clean and {now.psnr_input:.1f} dB to the poisoned images; "
        f"**{100 * now.surviving:.1f} %** of the perturbation passes. {len(many.rows)} "
        f"images{', all of them poisoned' * partly}.",
    )
    untouched = part_of(choice, published, PER_CLASS, touched=False)
    if untouched is not None:
        _who_is_poisoned(many, untouched, place, target, told)
    _class_tiles(many, untouched, place, target, told, now)


def _rate_tiles(
    choice: Selection,
    part: Part,
    found: tuple[torch.Tensor, torch.Tensor],
    purified: tuple[torch.Tensor, ...],
    target: float,
    gain: float,
) -> None:
    image, perturbation = found
    second = [("after stage 2", "x̂ of a second network", stage) for stage in purified[1:]]
    tile_rows(
        [
            ("clean", "", part.clean.images),
            ("poisoned", choice.attack.title, part.published.images),
            ("x̂", "what passes the bottleneck", _bytes(image)),
            ("p̂, found", f"× {gain:g}, grey = none", amplified(perturbation, gain)),
            (
                "true one",
                f"× {gain:g}; unknown to D-VAE",
                amplified_difference(part.clean.images, part.published.images, gain),
            ),
            ("poisoned − p̂", "what stage 1 gives", _bytes(part.published.images.float() / 255 - perturbation)),
            *second,
        ],
        key="dvae_rate_tiles",
        alt=f"One image per class at a rate target of {target:g} nats: clean, poisoned, reconstruction, estimated and "
        f"true perturbation, without the estimate{', and after stage 2' * bool(second)}.",
        names=part.names,
        caption=f"{protocol_line(choice)}. The networks see published images and labels only.",
    )


def _untouched_tiles(
    choice: Selection, published: ImageSet, place: tuple[str, str], target: float, told: torch.Tensor, gain: float
) -> None:
    part = part_of(choice, published, 1, touched=False)
    if part is None:
        return
    image, perturbation = _separated(place, target, part.published, told[part.rows])
    tile_rows(
        [
            ("left clean", "published as it is", part.published.images),
            ("x̂", "what passes the bottleneck", _bytes(image)),
            ("p̂, found", f"× {gain:g}; grey = rightly none", amplified(perturbation, gain)),
            (
                "spared",
                f"× {gain:g}; what poisoning would add",
                amplified_difference(part.clean.images, part.poisoned, gain),
            ),
            ("clean − p̂", "what stage 1 gives", _bytes(part.published.images.float() / 255 - perturbation)),
        ],
        key="dvae_untouched_tiles",
        alt=f"One image per class that was not poisoned, at a rate target of {target:g} nats: as published, "
        "reconstruction, what is taken for a perturbation, and what poisoning would have added.",
        names=part.names,
        caption="Images that the attack left as they are. D-VAE is not told which ones: all that it takes off here "
        "is damage.",
    )


# ---- what is left ----------------------------------------------------------------------------


@cached(max_entries=64)
def _ground(
    place: tuple[str, str], target: float, clean: ImageSet, published: ImageSet, told: torch.Tensor
) -> list[Any]:
    found = measure_ground(clean.images, published.images, *_separated(place, target, published, told))
    return list(vars(found).values())


def _left_table(many: Part, place: tuple[str, str], target: float, told: torch.Tensor, group: Trained) -> None:
    """How much of the perturbation each stage leaves, and why stage 1 alone may leave more than there was."""
    stages = after_stages(place, target, many.published, told[many.rows], many.rows)
    found = _what_is_left(many.clean, many.published.images, stages)
    st.subheader("How much is left after each stage?")
    kinds = ["as published", *(f"after stage {number}" for number in range(1, len(stages) + 1))]
    lines = [
        f"| {kind} | {percent(left)} | {decibels(near)} |" for kind, (left, near) in zip(kinds, found, strict=True)
    ]
    st.markdown("\n".join(["| images | left along δ | PSNR to clean |", "|---|---|---|", *lines]))
    other = ""
    if len(stages) == 1 and place[0] == SHIPPED and (after := _shipped_at(place[1]).after) is not None:
        other = f" Stage 2 ships for a rate target of {after:g}."
    st.caption(
        f"*Left along δ*: ⟨image − clean, δ⟩ ÷ ⟨δ, δ⟩ over {len(many.rows)} images, where δ is the true perturbation; "
        "all that points along δ counts, errors of the reconstruction too. *PSNR* counts every error: it falls where a "
        f"stage takes more from the image than from the perturbation.{other}"
    )
    ground = Ground(*_ground(place, target, many.clean, many.published, told[many.rows]))
    if words := ground_words(ground, found[1][0]):
        st.markdown(words)


def ground_words(ground: Ground, left: float) -> str:
    """How p̂ spoils the ground of the images; empty where there is none, or where x − p̂ is not worse there than x.

    Args:
        ground: the values of the lowest level.
        left: share of the perturbation that stage 1 leaves.
    """
    moved = ground.subtracted - ground.published
    worse = abs(ground.subtracted - ground.level) - abs(ground.published - ground.level)
    if ground.share < GROUND_SHARE or worse < WORSE_LEVELS:
        return ""
    what = "black" if ground.level == 0 else f"the lowest level, {ground.level}/255"
    how, estimate, image = (
        "brighter" if moved > 0 else "darker",
        level_words(ground.estimate),
        level_words(ground.image),
    )
    there = (
        f"**Stage 1 makes the ground {how}.** {percent(ground.share)} of the clean values are {what}. On average p̂ is "
        f"**{estimate}** there, and x̂ {image}."
    )
    after = (
        f"the ground is at {level_words(ground.published)} as published and at **{level_words(ground.subtracted)}** "
        "after stage 1."
    )
    if ground.level == 0 and moved > 0:
        more = " That is more than there was, for this brightness points along δ." if left > 1 else ""
        return (
            f"{there} On **{percent(ground.hidden)}** of them x̂ + p̂ lies below 0. The loss of D-VAE compares "
            "clip(x̂ + p̂) with the image, so it does not see what lies below 0. x − p̂ does: "
            f"{after} Stage 1 leaves {percent(left)} of the perturbation.{more}"
        )
    divided = "The loss of D-VAE asks that x̂ + p̂ be like the image, not how the two divide it:"
    if moved < 0:
        return f"{there} {divided} p̂ may hold brightness that belongs to the image. x − p̂ lacks it: {after}"
    return f"{there} {divided} p̂ may take off what x̂ has too much. x − p̂ has that twice: {after}"


def level_words(value: float) -> str:
    """A brightness in 1/255, with a minus sign that is one."""
    return f"{round(value, 1) + 0.0:.1f}/255".replace("-", "−")


# ---- which images are poisoned ---------------------------------------------------------------


@cached(max_entries=64)
def _recovered(
    place: tuple[str, str],
    target: float,
    published: ImageSet,
    clean: ImageSet,
    poisoned: torch.Tensor,
    told: torch.Tensor,
) -> tuple[int, float, float, float, float]:
    perturbation = _separated(place, target, published, told)[1]
    found = measure_recovery(perturbation, published.images, clean.images, poisoned)
    return found.images, found.recovered, found.size, found.before, found.after


def _recovery(part: Part, place: tuple[str, str], target: float, told: torch.Tensor) -> Recovery:
    return Recovery(*_recovered(place, target, part.published, part.clean, part.poisoned, told[part.rows]))


def _who_is_poisoned(many: Part, untouched: Part, place: tuple[str, str], target: float, told: torch.Tensor) -> None:
    """The control that a partly poisoned set allows: p̂ on poisoned images against p̂ on clean ones."""
    st.subheader("Does it see which images are poisoned?")
    found = {"poisoned": _recovery(many, place, target, told), "left clean": _recovery(untouched, place, target, told)}
    lines = [
        f"| {kind} | {row.images} | {percent(row.recovered)} | {row.size:.1f}/255 | {decibels(row.before)} | "
        f"{decibels(row.after)} |"
        for kind, row in found.items()
    ]
    head = "| images | how many | perturbation in p̂ | size of p̂ | PSNR as published | PSNR without p̂ |"
    st.markdown("\n".join([head, "|---|---|---|---|---|---|", *lines]))
    st.caption(
        f"{recovery_words(found['poisoned'], found['left clean'])} *Perturbation in p̂* is ⟨p̂, δ⟩ ÷ ⟨δ, δ⟩; for "
        "images that were left clean "
        "δ is what poisoning would have added, so 0 % is right for them. *Size*: root mean square. PSNR is to the "
        "clean images."
    )


def recovery_words(poisoned: Recovery, clean: Recovery) -> str:
    """What the two rows of the table say."""
    held, false = poisoned.recovered, clean.recovered
    numbers = (
        f"p̂ holds **{percent(held)}** of the perturbation of poisoned images, and **{percent(false)}** of one "
        "that clean images lack."
    )
    if held < 0.05:
        return f"{numbers} It has hardly found the perturbation, so there is nothing to tell apart yet."
    if false < held / 3:
        return f"{numbers} It mostly sees which images are poisoned."
    if false < 2 * held / 3:
        return f"{numbers} It sees in part which images are poisoned."
    return f"{numbers} It follows the class, and does not see which images are poisoned: clean ones pay for it."


def decibels(value: float) -> str:
    """For tables and captions."""
    return f"{value:.1f} dB" if np.isfinite(value) else "the same"


# ---- what the class gives away ---------------------------------------------------------------


def _class_tiles(
    many: Part, untouched: Part | None, place: tuple[str, str], target: float, told: torch.Tensor, now: Separation
) -> None:
    decoded = _by_class(place, target, many.published)
    present, true = class_means(
        many.published.images.float() / 255 - many.clean.images.float() / 255, many.published.labels
    )
    _, found = class_means(_separated(place, target, many.published, told[many.rows])[1], many.published.labels)
    gain = gain_of(true)
    seen = f"mean of {PER_CLASS} images" if untouched is None else f"mean of up to {PER_CLASS}"
    rows = [
        ("class alone", "drawn without any image", amplified(decoded[torch.from_numpy(present)], gain)),
        ("p̂", seen, amplified(found, gain)),
    ]
    if untouched is not None:
        kept, spared = class_means(
            _separated(place, target, untouched.published, told[untouched.rows])[1], untouched.published.labels
        )
        rows = [(label, more, tiles[np.isin(present, kept)]) for label, more, tiles in rows]
        rows.append(("p̂, left clean", seen, amplified(spared[np.isin(kept, present)], gain)))
        present, true = present[np.isin(present, kept)], true[np.isin(present, kept)]
    st.subheader("What does the class alone give away?")
    tile_rows(
        [*rows, ("true one", seen, amplified(true, gain))],
        key="dvae_class_tiles",
        alt="For each class the perturbation that is drawn from the class alone, the mean estimated and the mean true "
        "perturbation.",
        names=[many.clean.class_names[k] for k in present.tolist()],
        caption=f"All × {gain:g}. Correlation of p̂'s class mean with the true one: **{signed(now.found)}** with its "
        "own class, "
        f"{signed(now.found_elsewhere)} with the others. Near 0 means that the second decoder has not found the "
        "noise: that takes thousands of steps, and noise that is a function of the class.",
    )


def signed(value: float) -> str:
    """Two decimals, with a minus sign that is one, and none before zero."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _point(target: float, found: Separation) -> RatePoint:
    return RatePoint(target, found.nats, found.bits_per_pixel, found.psnr_input, found.psnr_clean, found.surviving)


def _bytes(values: torch.Tensor) -> np.ndarray:
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def gain_of(values: np.ndarray) -> float:
    """A round factor that brings most values into sight and lets the largest ones, such as borders, be cut off."""
    largest = float(np.quantile(np.abs(values), 0.97)) * 255
    return next((g for g in (64, 32, 16, 8, 4, 2) if g * largest <= 127), 1) if largest > 0 else 1


def _say_no_noise(choice: Selection, now: Separation) -> bool:
    """Say that a filter is no noise that a rate limit takes off, where the numbers show it, and where to see noise;
    whether it was said."""
    if now.psnr_input <= now.psnr_clean:
        return False
    st.info(
        f"**Here D-VAE fails: {plain(choice.attack.title)} filters the images, and D-VAE is made for noise.** A rate "
        "limit drops what is costly to describe; noise is, a filter is not. x̂ is nearer to the poisoned images "
        f"({now.psnr_input:.1f} dB) than to the clean ones ({now.psnr_clean:.1f} dB), and p̂ correlates "
        f"{signed(now.found)} with the true change of its class. Noise is another matter:"
    )
    noises = [s for s in all_shipped() if not _filters(choice, _attack_of(s))]
    if _shipped_buttons(sorted(noises, key=lambda s: s.card["dataset"]["name"] != choice.dataset.key)):
        # In a fragment a button runs the fragment alone.
        st.rerun(scope="app")
    return True


def _filters(choice: Selection, attack: Attack | None = None) -> bool:
    """Whether an attack, the chosen one where none is named, filters images with kernels instead of adding noise."""
    return (attack or choice.attack).kernels(choice.train.classes, choice.seed) is not None


def _offer_where_it_fails(choice: Selection) -> None:
    """The way to the two cases among those that ship in which D-VAE goes wrong."""
    here = (choice.dataset.key, choice.attack.key)
    cases = {names: target for names, target in WHERE_IT_FAILS.items() if names != here}
    offered = {(s.card["dataset"]["name"], s.card["attack"]["name"]): s for s in all_shipped()}
    st.markdown(
        "**D-VAE is made for noise. Where it fails:** a filter instead of noise; noise on a black ground, under a "
        "tight limit."
    )
    if _shipped_buttons([offered[names] for names in cases], {offered[n].path.stem: t for n, t in cases.items()}):
        st.rerun(scope="app")


def _attack_of(shipped: Shipped) -> Attack:
    return ATTACKS.parse(shipped.card["attack"])


def _shipped_buttons(offered: Sequence[Shipped], targets: Mapping[str, str] | None = None) -> bool:
    """Buttons that choose what networks ship for; whether one was pressed.

    Args:
        offered: in their order.
        targets: the rate target that is chosen too, by the names of the files; the others leave it as it is.
    """
    pressed = False
    with st.container(horizontal=True):
        for shipped in offered:
            dataset, attack = DATASETS.parse(shipped.card["dataset"]), _attack_of(shipped)
            target = (targets or {}).get(shipped.path.stem)
            pressed |= st.button(
                f"{dataset.title} with {attack.title} →", key=f"dvae_shipped_{shipped.path.stem}",
                on_click=_choose, args=(dataset, attack, int(shipped.card["seed"]), target),
            )  # fmt: skip
    return pressed


def _choose(dataset: Dataset, attack: Attack, seed: int, target: str | None) -> None:
    choose_all_poisoned(dataset, attack, seed)
    if target is not None:
        set_control("rate", target)


def nothing_there(choice: Selection) -> None:
    """Say that nothing is trained for this choice, and where there is something to see."""
    part = "" if choice.poison_rate == 1 else f", {100 * choice.poison_rate:g} % of the images poisoned"
    st.info(
        f"**No D-VAE is there for {choice.dataset.title} with {choice.attack.title} and key {choice.seed}{part}.** "
        "Train one below: it runs in the background, and its pictures appear here. Or look at what ships:"
    )
    _shipped_buttons(all_shipped())
