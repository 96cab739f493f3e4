"""Parts of the page D-VAE: rate targets, what two stages made, training with pictures of every epoch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
import torch

from pages.shared.cache import cached
from pages.shared.controls import method_controls, pick, slide
from pages.shared.guard import guarded, plain
from pages.shared.handover import spec_of
from pages.shared.live_chart import live_chart
from pages.shared.navigation import script
from pages.shared.run_words import percent, short_id
from pages.shared.selection import Selection, protocol_line, selection_address
from pages.shared.tile_rows import tile_rows
from ued_core import runs
from ued_core.analysis.perturbation import class_means
from ued_core.analysis.purification import Separation, accuracy_by_arm, measure_separation, psnr, stored_rows
from ued_core.analysis.shipped_separations import Shipped, all_shipped, shipped_for
from ued_core.attacks import ATTACKS
from ued_core.context import Context
from ued_core.data import DATASETS
from ued_core.defenses.dvae import Dvae
from ued_core.defenses.purified import ask_enough, kept_sets, progress_of, purified_card, read_purified
from ued_core.errors import Unavailable
from ued_core.figures.separation import RatePoint, amplified, rate_distortion, stage_curves
from ued_core.figures.tiles import amplified_difference, fitting_gain
from ued_core.models.dvae import DvaeNetwork
from ued_core.records import ImageSet
from ued_core.runs import RunRecord
from ued_core.runs.estimate import duration
from ued_core.training.rate_constrained import separated

PER_CLASS = 20
LOOK_EVERY_S = 2.0
SHIPPED = "shipped"


@dataclass(frozen=True)
class Trained:
    """Networks of stage 1 that differ in their rate target only.

    Attributes:
        label: how they were trained, for people.
        places: rate target → where the network is: ``(SHIPPED, card)`` or ``("kept", folder)``.
    """

    label: str
    places: Mapping[float, tuple[str, str]]


# ---- what there is ---------------------------------------------------------------------------


def whole_poisoned(choice: Selection) -> ImageSet:
    """What a victim would train on: the set that D-VAE is given."""
    return choice.trained_on(choice.train)


def trained_for(choice: Selection, poisoned: ImageSet) -> list[Trained]:
    """All networks of stage 1 for this choice: those that ship, then those that runs here have trained."""
    found: list[Trained] = []
    shipped = shipped_for(choice.dataset.to_json(), choice.attack.to_json(), choice.seed)
    if shipped is not None:
        name = shipped.path.with_suffix(".json").name
        found.append(Trained(_shipped_label(shipped), {target: (SHIPPED, name) for target in shipped.targets}))
    groups: dict[str, dict[float, tuple[str, str]]] = {}
    for recipe, folder in kept_sets(Dvae.key, poisoned.content_hash):
        defense = Dvae(**{name: value for name, value in recipe.items() if name != "name"})
        # A plain VAE finds no perturbation, and labels that were shuffled are a control.
        if defense.variant != "plain_vae" and defense.labels == "true":
            groups.setdefault(_kept_label(defense), {}).setdefault(defense.rate_1, ("kept", str(folder)))
    return [*found, *(Trained(label, dict(sorted(places.items()))) for label, places in groups.items())]


def _shipped_label(shipped: Shipped) -> str:
    card = shipped.card
    return (
        f"shipped for a first look: width {card['defence']['width']}, {card['images']:,} images, "
        f"{card['targets'][0]['steps']:,} steps, copies of one network that were then tightened"
    )


def _kept_label(defense: Dvae) -> str:
    words = f"trained here: width {defense.width}, {defense.epochs} epochs, batch {defense.batch_size}, seed {defense.seed}"
    more = [defense.perturbation.replace("_", " ")] if defense.perturbation != "image_and_class" else []
    more += [defense.places] if defense.places != "spatial" else []
    return ", ".join([words, *more])


def network_at(place: tuple[str, str], target: float, images: ImageSet) -> DvaeNetwork:
    """The network of stage 1 from its place.

    Raises:
        Unavailable: it was deleted meanwhile.
    """
    kind, where = place
    if kind == SHIPPED:
        return next(s for s in all_shipped() if s.path.with_suffix(".json").name == where).network(target)
    card, kept = purified_card(Path(where)), read_purified(Path(where))
    if card is None or kept is None:
        raise Unavailable("This network is no longer on the disk.", "Reload the page, or train it again.")
    return Dvae(**{name: value for name, value in card["defence"].items() if name != "name"}).trained(images, kept, 1)


@cached(max_entries=64)
def _separated(place: tuple[str, str], target: float, images: ImageSet) -> tuple[torch.Tensor, torch.Tensor]:
    return separated(network_at(place, target, images), images.images, images.labels, Context())


@cached(max_entries=64)
def _measured(place: tuple[str, str], target: float, clean: ImageSet, poisoned: ImageSet) -> Separation:
    return measure_separation(network_at(place, target, poisoned), clean.images, poisoned, Context())


@cached(max_entries=64)
def _by_class(place: tuple[str, str], target: float, images: ImageSet) -> torch.Tensor:
    with torch.no_grad():
        return network_at(place, target, images).class_perturbations()


# ---- rate targets ------------------------------------------------------------------------------


@st.fragment
def rate_room(choice: Selection, trained: list[Trained]) -> None:
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
                    "Rate target, nats a latent position (2×2 pixels)", targets, key="rate", default=_middle(list(targets)),
                    help="1 nat a position is 0.36 bits a pixel. The slider snaps between the targets for which a network is there.",
                )  # fmt: skip
            else:
                chosen = next(iter(targets))
                st.markdown(f"**Rate target {chosen} nats a latent position**, the only one for which a network is there.")
            there = f"The slider snaps between the stored targets {', '.join(targets)}. " if len(targets) > 1 else ""
            st.caption(plain(f"{there}Networks: {group.label}."))
        _at_rate(choice, group, float(chosen))


def _middle(targets: list[str]) -> str:
    return "1" if "1" in targets else targets[len(targets) // 2]


def _at_rate(choice: Selection, group: Trained, target: float) -> None:
    place = group.places[target]
    images, _ = choice.shown(1)
    poisoned = choice.trained_on(images)
    names = [choice.train.class_names[label] for label in images.labels.tolist()]
    gain = fitting_gain(images.images, poisoned.images)
    image, perturbation = _separated(place, target, poisoned)
    many, _ = choice.shown(PER_CLASS)
    given = choice.trained_on(many)
    points = {t: _measured(p, t, many, given) for t, p in group.places.items()}
    now = points[target]
    tile_rows(
        [
            ("clean", "", images.images),
            ("poisoned", choice.attack.title, poisoned.images),
            ("x̂", "what the rate lets through", _bytes(image)),
            ("p̂, found", f"× {gain:g}, grey = none", amplified(perturbation, gain)),
            ("true one", f"× {gain:g}; unknown to D-VAE", amplified_difference(images.images, poisoned.images, gain)),
            ("poisoned − p̂", "what stage 1 gives", _bytes(poisoned.images.float() / 255 - perturbation)),
        ],
        key="dvae_rate_tiles",
        alt=f"One image a class at a rate target of {target:g} nats: clean, poisoned, reconstruction, estimated and true perturbation.",
        names=names,
        caption=f"{protocol_line(choice)}. The networks see poisoned images and labels only.",
    )
    live_chart(
        rate_distortion([_point(t, s) for t, s in points.items()], target),
        key="dvae_rate_chart",
        height=400,
        alt=f"At {now.nats:.2f} nats a position the reconstruction has {now.psnr_clean:.1f} dB to the clean images and "
        f"{100 * now.surviving:.1f} % of the perturbation passes.",
        filename=f"dvae_rate_{choice.dataset.key}_{choice.attack.key}",
        question="What does a looser limit let through?",
        formula="passing = ⟨x̂(x+δ) − x̂(x), δ⟩ ÷ ⟨δ, δ⟩",
        caption=f"At target {target:g}: **{now.nats:.2f} nats a position** ({now.bits_per_pixel:.2f} bits a pixel), x̂ at "
        f"**{now.psnr_clean:.1f} dB** to the clean and {now.psnr_input:.1f} dB to the poisoned images; "
        f"**{100 * now.surviving:.1f} %** of the perturbation passes. {len(many)} images.",
    )
    _class_tiles(choice, place, target, now, many, given)


def _class_tiles(
    choice: Selection, place: tuple[str, str], target: float, now: Separation, many: ImageSet, given: ImageSet
) -> None:
    decoded = _by_class(place, target, given)
    present, true = class_means(given.images.float() / 255 - many.images.float() / 255, given.labels)
    _, found = class_means(_separated(place, target, given)[1], given.labels)
    gain = _gain_of(true)
    st.subheader("What does the class alone foretell?")
    tile_rows(
        [
            ("class vector", "on an empty latent", amplified(decoded[torch.from_numpy(present)], gain)),
            ("p̂", f"mean of {PER_CLASS} images", amplified(found, gain)),
            ("true one", f"mean of {PER_CLASS} images", amplified(true, gain)),
        ],
        key="dvae_class_tiles",
        alt="For each class the perturbation decoded from its class vector, the mean estimated and the mean true perturbation.",
        names=[choice.train.class_names[k] for k in present.tolist()],
        caption=f"All × {gain:g}. Correlation of p̂'s class mean with the true one: **{now.found:.2f}** with its own class, "
        f"{now.found_elsewhere:.2f} with the others. Near 0 means that the second decoder has not found the noise: that takes "
        "thousands of steps, and noise that is a function of the class.",
    )


def _point(target: float, found: Separation) -> RatePoint:
    return RatePoint(target, found.nats, found.bits_per_pixel, found.psnr_input, found.psnr_clean, found.surviving)


def _bytes(values: torch.Tensor) -> np.ndarray:
    return (values.clamp(0, 1) * 255).round().to(torch.uint8).numpy()


def _gain_of(values: np.ndarray) -> float:
    """A round factor that brings most values into sight and lets the largest ones, such as borders, be cut off."""
    largest = float(np.quantile(np.abs(values), 0.97)) * 255
    return next((g for g in (64, 32, 16, 8, 4, 2) if g * largest <= 127), 1) if largest > 0 else 1


def nothing_there(choice: Selection) -> None:
    """Say that nothing is trained for this choice, and where there is something to see."""
    st.info(
        f"**No D-VAE is there for {choice.dataset.title} with {choice.attack.title} and key {choice.seed}.** Train one below: it runs in "
        "the background, and its pictures appear here. Or look at what ships:"
    )
    for shipped in all_shipped():
        dataset, attack = DATASETS.parse(shipped.card["dataset"]), ATTACKS.parse(shipped.card["attack"])
        st.page_link(
            script("dvae.py"), label=f"{dataset.title} with {attack.title} →",
            query_params=selection_address(dataset, attack, int(shipped.card["seed"])),
        )  # fmt: skip


# ---- two stages ----------------------------------------------------------------------------


def stages_part(choice: Selection, poisoned: ImageSet) -> None:
    """What complete purifications of this set gave, and what classifiers made of them."""
    st.subheader("What each stage gives back")
    whole, early = (kept_sets(Dvae.key, poisoned.content_hash, early=early) for early in (False, True))
    folders = {_folder_name(folder): folder for _, folder in (*whole, *early)}
    if not folders:
        st.caption("No purified set of this choice is on the disk yet.")
        return
    options = {_folder_name(folder): _set_label(recipe) for recipe, folder in whole}
    options |= {_folder_name(folder): f"{_set_label(recipe)}, ended early" for recipe, folder in early}
    folder = folders[pick("Purified set", options, key="set", default=next(iter(options)))]
    kept, card = read_purified(folder), purified_card(folder)
    if kept is None or card is None:
        st.warning("This set is damaged or was deleted meanwhile; a run makes it anew.")
        return
    images, rows = choice.shown(1)
    wanted = torch.tensor(rows)
    names = [choice.train.class_names[label] for label in images.labels.tolist()]
    before, *quality = _qualities(str(folder), card["stages"], choice.train, poisoned)
    after = [(f"stage {n}", f"{q:.1f} dB to clean", kept.stages[n - 1][wanted]) for n, q in enumerate(quality, 1)]
    tile_rows(
        [
            ("clean", "", images.images),
            ("poisoned", f"{before:.1f} dB to clean", poisoned.images[wanted]),
            *after,
        ],
        key="dvae_stage_tiles",
        alt="One image a class: clean, poisoned, and after each stage of the purification.",
        names=names,
        caption=plain(f"{card['log']['note']} Made once in {duration(card['log']['seconds'])}. PSNR over all {len(poisoned):,} images."),
    )
    live_chart(
        stage_curves(card["log"]["stages"]), key="dvae_stage_chart", height=360, alt="PSNR and rate of every epoch of each stage.",
        filename="dvae_stages", question="How did the stages learn?", formula="dotted: the targets",
        caption="The rate begins high and is pulled down to its target; the reconstruction sharpens meanwhile.",
    )  # fmt: skip
    _accuracies(choice)


@cached(max_entries=16)
def _qualities(folder: str, sums: list[dict[str, str]], clean: ImageSet, poisoned: ImageSet) -> list[float]:
    """PSNR to the clean images before and after each stage; ``sums`` name what the folder holds."""
    kept = read_purified(Path(folder))
    return [psnr(images, clean.images) for images in (poisoned.images, *(kept.stages if kept else ()))]


def _folder_name(folder: Path) -> str:
    return folder.parent.name + folder.suffix


def _set_label(recipe: Mapping[str, Any]) -> str:
    rates = f"{recipe['rate_1']:g} and {recipe['rate_2']:g}" if recipe["variant"] == "two_stages" else f"{recipe['rate_1']:g}"
    return f"{recipe['variant'].replace('_', ' ')}, rate {rates} nats, width {recipe['width']}, {recipe['epochs']} epochs"


def _accuracies(choice: Selection) -> None:
    """Clean test accuracy of the finished runs of this choice, with and without D-VAE."""
    wanted = {"dataset": choice.dataset.to_json(), "attack": choice.attack.to_json(), "attack_seed": choice.seed}
    alike = [r for r in runs.runs() if r.state == "finished" and all(r.spec.get(name) == value for name, value in wanted.items())]
    known = [(_defended(r.spec), r) for r in alike]
    if known:
        lines = [f"| {plain(words)} | {percent(r.last, 1)} | {short_id(r.id)} |" for words, r in known[:12]]
        st.markdown("\n".join(["| trained on | clean test accuracy | run |", "|---|---|---|", *lines]))
    else:
        st.caption("No finished run of this choice yet; its accuracy will stand here.")


def _defended(spec: Mapping[str, Any]) -> str:
    words = [_set_label(d) if d["name"] == Dvae.key else d["name"] for d in spec.get("defenses", [])]
    return " + ".join(words) or "the poisoned images as they are"


# ---- training -------------------------------------------------------------------------------


def training_part(choice: Selection, poisoned: ImageSet) -> None:
    """Choose parameters and start a run; or follow the one that purifies this set."""
    st.subheader("Train it")
    with st.expander("Parameters of D-VAE"):
        defense = method_controls(Dvae, key=Dvae.key)
    _follow(choice, poisoned, defense)


@cached(max_entries=64)
def _seconds(defense: Dvae, images: ImageSet, count: int) -> float:
    steps = max(1, count // defense.batch_size)
    return defense.seconds_for(images) / max(1, len(images) // min(defense.batch_size, len(images))) * steps


@st.fragment(run_every=LOOK_EVERY_S)
def _follow(choice: Selection, poisoned: ImageSet, defense: Dvae) -> None:
    with guarded():
        folder = defense.folder(poisoned.content_hash)
        found = purifying_run(choice, defense, runs.runs(limit=50))
        going = progress_of(folder)
        if purified_card(folder) is not None:
            if st.session_state.pop("dvae_waiting", None):
                st.rerun(scope="app")
            st.success("A set purified with exactly these parameters is on the disk; a run that asks for it reads it.")
        elif found is not None and not found.over:
            st.session_state["dvae_waiting"] = True
            words = f"The run {short_id(found.id)} is {'purifying' if found.state == 'running' else 'queued'}. {found.text}"
            st.progress(found.fraction if found.state == "running" else 0.0, plain(words))
        else:
            if found is not None and found.state != "finished":
                st.warning(plain(f"The last run that should train it is {found.state}. {found.error}"))
            images, _ = choice.shown(PER_CLASS)
            st.markdown(
                f"About **{duration(_seconds(defense, images, len(poisoned)))}** of this machine's processor for {len(poisoned):,} images, "
                "in the background; a run then trains the default model on the purified set."
            )
            st.button("Train it: start a run", type="primary", on_click=_start, args=(choice, defense), key="dvae_start")
        if going is not None:
            _live(choice, going, folder, found is not None and found.state == "running")
        st.page_link(script("runs.py"), label="All runs →")


def _live(choice: Selection, going: tuple[dict[str, Any], dict[str, np.ndarray]], folder: Path, running: bool) -> None:
    log, pictures = going
    stage = log["stages"][-1]
    done, planned = len(stage["trace"]), stage["planned_epochs"]
    labels = choice.train.labels[torch.from_numpy(pictures["rows"])].tolist()
    rows = [("given", f"to stage {stage['stage']}", pictures["given"]), ("x̂", f"epoch {done} of {planned}", pictures["image"])]
    if "perturbation" in pictures:
        gain = _gain_of(pictures["perturbation"])
        rows.append(("p̂, found", f"× {gain:g}", amplified(pictures["perturbation"], gain)))
    tile_rows(
        rows, key="dvae_live_tiles", alt="What the network that is being trained makes of one image a class.",
        names=[choice.train.class_names[k] for k in labels],
        caption=f"Stage {stage['stage']}, epoch {done} of {planned}: {stage['trace'][-1]['rate']:.2f} nats a position "
        f"(target {stage['target']:g}), x̂ at {stage['trace'][-1]['psnr']:.1f} dB.",
    )  # fmt: skip
    if not running:
        st.caption("No run is working on this now; the next one that asks for it goes on from its last saved state.")
    elif st.button(
        f"Good enough: end stage {stage['stage']} after this epoch", key="dvae_enough", disabled=done >= planned,
        help="What is there is used for the next step. A set that was ended early belongs to its run alone.",
    ):  # fmt: skip
        ask_enough(folder)
        st.toast(f"Stage {stage['stage']} ends after its present epoch.")
    live_chart(
        stage_curves(log["stages"]), key="dvae_live_chart", height=360, alt="PSNR and rate of every epoch so far.",
        filename="dvae_training", question="How is it learning?", formula="dotted: the targets",
    )  # fmt: skip


def purifying_run(choice: Selection, defense: Dvae, records: list[RunRecord]) -> RunRecord | None:
    """The newest run of this choice that begins with this defence; one that is not over comes first."""
    wanted = {"dataset": choice.dataset.to_json(), "attack": choice.attack.to_json(), "attack_seed": choice.seed}
    own = defense.to_json()
    alike = [
        r for r in records
        if all(r.spec.get(name) == value for name, value in wanted.items()) and (r.spec.get("defenses") or [None])[0] == own
    ]  # fmt: skip
    return next((r for r in alike if not r.over), next(iter(alike), None))


def _start(choice: Selection, defense: Dvae) -> None:
    st.session_state["dvae_waiting"] = True
    runs.submit(spec_of(choice, (defense,)))


# ---- measured once -----------------------------------------------------------------------


def measured_part() -> None:
    """Clean test accuracy by stage, from the shipped measurements."""
    table = accuracy_by_arm(stored_rows())
    if not table:
        return
    st.subheader("One stage or two? Measured once")
    attacks = list(dict.fromkeys(attack for row in table.values() for attack in row))
    lines = [
        f"| {plain(arm)} | " + " | ".join(" / ".join(percent(v, 1) for v in row.get(attack, [])) for attack in attacks) + " |"
        for arm, row in table.items()
    ]
    st.markdown("\n".join(["| trained on | " + " | ".join(attacks) + " |", "|---|" + "---|" * len(attacks), *lines]))
    st.caption(MEASURED_TEXT)


MEASURED_TEXT = (
    "Accuracy on clean test images, one value a seed; the column *clean* is what D-VAE costs data that nobody poisoned. "
    "Digits at 16×16 with half their contrast, 1,000 images, networks of width 8 and 1,240 steps a stage, classifier without crops. "
    "Sizes of a CPU: the paper has 50,000 images, width 64 and 23,460 steps. Command: python -m benchmarks.dvae."
)
