"""What Unlearnable Clusters does to those who train: as reported, and as measured here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast

import streamlit as st

from pages.frame.cache import cached
from pages.frame.navigation import script
from pages.state.choice import Selection
from pages.state.own_data import OTHER_DATA, other_data
from pages.widgets.controls import segments, set_method
from pages.widgets.live_chart import live_chart
from ued_core.analysis.reference import reference_card, reference_for, victims_of
from ued_core.attacks import ATTACKS, UnlearnableClusters
from ued_core.attacks.encoders import embedded_card
from ued_core.data import DATASETS, Dataset
from ued_core.figures.clusters import across_data, data_map, part_figure, protocol_lines
from ued_core.figures.results import attack_dots, dots_height, map_height
from ued_core.results.evidence import Summary, over
from ued_core.results.measured import ATTACKS_FILE, FOLDER, Frozen, data_title, frozen_effects
from ued_core.results.protocols import Protocol, part_curves
from ued_core.results.reported import ReportedRow, reported
from ued_core.results.row import guessing, stored_rows
from ued_core.results.uc_protocols import COMMAND, FILE, attack_words, stored_protocols

SOURCE = "UC slides, Table 1"
PLAIN_FILES = (ATTACKS_FILE, FOLDER / "fashion.json")
STRONG, WEAK = 0.3, 0.1
"""Accuracy that a poison takes, as a share of 1: from here on it works, and below here it hardly does."""
QUESTIONS: Mapping[str, str] = {
    "classes": "Does the poison hold when the images get other labels?",
    "poison_rate": "What do the poisoned images add when only some are poisoned?",
    "none": "Does it carry over to other ways of training?",
}
READINGS: Mapping[str, str] = {
    "classes": "The poison stays as it is; only the labels change. Compare a line with its clean one.",
    "poison_rate": "Where both lines agree, the poisoned images teach nothing that the clean ones do not.",
    "none": "Blue ticks: the same training on clean images.",
}


def effect_part(chosen: Dataset) -> None:
    """The protocols of the paper: measured here with a proxy, and the paper's own table.

    Args:
        chosen: the reader's data set; what is about another one says so.
    """
    st.subheader("5 · What does it do to those who train?")
    plain_part(chosen)
    measured_part(chosen)
    reported_part(chosen)


# ---- plain training ------------------------------------------------------------------------------


@cached(max_entries=2)
def _effects(_changed: tuple[int, ...]) -> list[Frozen]:
    """What is stored, and the network that ships for a data set of which no run is."""
    found = frozen_effects([row for file in PLAIN_FILES if file.exists() for row in stored_rows(file)])
    for name in (name for dataset in DATASETS for name in victims_of(dataset)):
        card = reference_card(name)
        dataset, attack = card["spec"]["dataset"]["name"], ATTACKS.parse(card["spec"]["attack"])
        known = {(effect.dataset, effect.encoder) for effect in found}
        if isinstance(attack, UnlearnableClusters) and (dataset, attack.encoder) not in known:
            clean, own = (over([of["clean_test_accuracy"]]) for of in (reference_card(reference_for(dataset)), card))
            found.append(Frozen(dataset, attack.label(), attack.encoder, clean, own))
    return found


def _stored_effects() -> list[Frozen]:
    return _effects(tuple(file.stat().st_mtime_ns for file in PLAIN_FILES if file.exists()))


def strength_line(choice: Selection) -> None:
    """Whether the poison that is chosen takes on the chosen data, in a sentence of measured numbers, and where it does
    better."""
    encoder = cast(UnlearnableClusters, choice.attack).encoder
    own = [effect for effect in _stored_effects() if effect.encoder == encoder and effect.clean is not None]
    here = next((effect for effect in own if effect.dataset == choice.dataset.key), None)
    best = max(own, key=lambda effect: effect.lost, default=None)
    if here is not None:
        st.markdown(f"**{strength_word(here)} on {data_title(here.dataset)}:** {effect_words(here)}.")
    if best is not None and best is not here and (here is None or best.lost > here.lost) and best.lost >= STRONG:
        mark = "" if here else f"{OTHER_DATA} "
        st.markdown(f"{mark}**{strength_word(best)} on {data_title(best.dataset)}:** {effect_words(best)}.")
        if best.dataset in DATASETS:
            st.button(
                f"Show {data_title(best.dataset)} →", on_click=set_method, args=("data", DATASETS.build(best.dataset)),
                key="clusters_best", help="Its noise has to be crafted first; clusters and plans are there at once.",
            )  # fmt: skip


def strength_word(effect: Frozen) -> str:
    """How well the poison works, by what it took."""
    if effect.lost >= STRONG:
        return "It works"
    return "It hardly works" if effect.lost < WEAK else "It works in part"


def effect_words(effect: Frozen) -> str:
    """The numbers behind it."""
    assert effect.clean is not None
    runs = f"{effect.attacked.count} stored run{'s' * (effect.attacked.count != 1)}"
    return (
        f"a network that is trained on it still names {100 * effect.attacked.mean:.0f} % of clean test images rightly "
        f"({runs}), {100 * effect.clean.mean:.0f} % after training on clean ones"
    )


def plain_part(chosen: Dataset) -> None:
    """Plain training on every data set for which something is stored."""
    found = _stored_effects()
    if not found:
        return
    names = list(dict.fromkeys(effect.dataset for effect in found))
    attacks = list(dict.fromkeys(effect.name for effect in found))
    other_data(chosen, names)
    cells = {(effect.name, effect.dataset): effect.attacked for effect in found}
    clean = {effect.dataset: effect.clean for effect in found}
    lines = [["clean images", *(_cell(clean[name]) for name in names)]]
    lines += [[attack, *(_cell(cells.get((attack, name))) for name in names)] for attack in attacks]
    heads = ["trained on", *map(data_title, names)]
    st.markdown("\n".join(f"| {' | '.join(line)} |" for line in [heads, ["---"] * len(heads), *lines]))
    st.caption(
        "**Measured here: plain training.** Accuracy on clean test images, mean of n runs. A labelled surrogate has "
        "learned the labels: a control, not label-agnostic."
    )


def _cell(found: Summary | None) -> str:
    return "not measured" if found is None else f"{100 * found.mean:.1f} % (n = {found.count})"


# ---- measured ------------------------------------------------------------------------------------


@cached(max_entries=4)
def _protocols(file: str, _changed: int) -> list[Protocol]:
    """Those in which something was attacked: clean runs alone say nothing of the attack."""
    return [one for one in stored_protocols(Path(file)) if any(row.spec["attack"] for row in one.rows)]


def measured_part(chosen: Dataset) -> None:
    """Stored runs, protocol by protocol."""
    found = _protocols(str(FILE), FILE.stat().st_mtime_ns) if FILE.exists() else []
    if not found:
        st.caption(
            "No run of the paper's protocols (other labels, mixing, SimCLR, other networks) with the attack is stored "
            "here yet."
        )
        return
    names = {f"{number}": f"{protocol.name} · {_data(protocol)}" for number, protocol in enumerate(found)}
    control = (
        " A labelled surrogate has learned the labels: a control, not label-agnostic."
        if "labelled" in _called(found)
        else ""
    )
    st.markdown(f"**Measured here: {_called(found)}.**{control} {_foreseen(found)}")
    protocol = found[int(segments("Protocol", names, key="protocol", default="0"))]
    other_data(chosen, [protocol.dataset])
    if protocol.axis == "none":
        chance = guessing(protocol.rows[0])
        figure, height = attack_dots(protocol.conditions, chance), dots_height(len(protocol.lines))
    else:
        # Several lines at one number of labels share what guessing gives there.
        figure, height = protocol_lines(protocol, chance=protocol.axis == "classes"), 400
    live_chart(
        figure,
        key="cluster_protocol",
        height=height,
        alt="; ".join(f"{line.name}: {100 * line.points[-1][1].mean('last'):.1f} %" for line in protocol.lines),
        filename=f"uc_{protocol.name}",
        question=QUESTIONS[protocol.axis],
        formula="accuracy on clean test images",
        caption=f"**{_called([protocol])}**; {_data(protocol)}, {_effort(protocol)}, seed"
        f"{'s' * (len(protocol.seeds) != 1)} {', '.join(map(str, protocol.seeds))}. Dots are "
        f"runs; lines join, and ticks are, means. {READINGS[protocol.axis]} Command: {COMMAND}.",
    )
    _parts(protocol)


def _parts(protocol: Protocol) -> None:
    """How the parts of mixed sets were learned."""
    rates = sorted({row.spec["poison_rate"] for row in protocol.rows if part_curves([row])})
    if not rates:
        return
    shown = {f"{rate:g}": f"{100 * rate:.0f} %" for rate in rates}
    rate = segments("Share of poisoned images", shown, key="mixed_rate", default=next(iter(shown)))
    rows = [row for row in protocol.rows if f"{row.spec['poison_rate']:g}" == rate]
    curves = part_curves(rows)
    ends = {part: 100 * values[-1] for part, values in curves.items()}
    live_chart(
        part_figure(curves),
        key="cluster_parts",
        height=320,
        alt=f"Training accuracy in the last epoch: {ends['poisoned']:.0f} % on poisoned images, {ends['clean']:.0f} % "
        "on clean ones.",
        filename="uc_mixed_parts",
        question="Are the poisoned images learned before the clean ones?",
        formula="share of training images of a part that the network names rightly while it trains",
        caption=f"Mean of {sum(bool(part_curves([row])) for row in rows)} runs with {shown[rate]} poisoned images.",
    )


def _data(protocol: Protocol) -> str:
    return DATASETS[protocol.dataset].title if protocol.dataset in DATASETS else protocol.dataset


def _called(found: list[Protocol]) -> str:
    """What the attack is called in these runs."""
    names = dict.fromkeys(attack_words(row.spec) for protocol in found for row in protocol.rows if row.spec["attack"])
    return ", ".join(names) or "no attack"


def _foreseen(found: list[Protocol]) -> str:
    """How far the embedded encoder's clusters agree with the labels of these data sets, from its card."""
    card = embedded_card()["nmi"]
    known = [
        f"**{card[name]:.2f}** on {DATASETS[name].title}"
        for name in dict.fromkeys(p.dataset for p in found)
        if name in card
    ]
    return (
        f"NMI of the embedded encoder's clusters with the data set's own labels: {', '.join(known)}." if known else ""
    )


def _effort(protocol: Protocol) -> str:
    """How much was trained on, and for how long."""

    def span(values: set[int]) -> str:
        return f"{min(values):,}" + (f" to {max(values):,}" if len(values) > 1 else "")

    sizes = {row.data.train for row in protocol.rows if row.data}
    epochs = {row.spec["plan"]["epochs"] for row in protocol.rows}
    return (f"{span(sizes)} training images, " if sizes else "") + f"{span(epochs)} epochs"


# ---- reported ------------------------------------------------------------------------------------


@cached(max_entries=1)
def _reported() -> tuple[ReportedRow, ...]:
    return tuple(row for row in reported() if row.source.title == SOURCE)


def reported_part(chosen: Dataset) -> None:
    """The paper's main table."""
    rows = _reported()
    models = {row.model.key: row.model.label for row in rows}
    st.markdown(
        "**Reported, not measured here.** The authors' encoders are ResNet-50 (UC) and CLIP (UC-CLIP), both "
        "pre-trained on large data; the embedded proxy is neither."
    )
    model = segments("Network that was trained", models, key="reported_model", default=next(iter(models)))
    own = [row for row in rows if row.model.key == model]
    other_data(chosen, {row.dataset.key: row.dataset.label for row in own})
    cells = across_data(own)
    live_chart(
        data_map(cells),
        key="cluster_reported",
        height=map_height(cells),
        alt="; ".join(f"{row.dataset.label}, {row.attack.label}: {100 * row.test_accuracy:.1f} %" for row in own),
        filename="uc_reported",
        question="How much do models learn from images whose labels the protector did not know?",
        formula="clean test accuracy after training on poisoned images (%)",
        caption=f"Bright is learnable; **read down a column**. Source: **{own[0].source.title}** "
        f"({own[0].source.kind}; {own[0].source.where}). {own[0].source.note}",
    )
    st.page_link(script("results/page.py"), label="All reported and measured results →")
