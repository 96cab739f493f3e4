"""What the sets that D-VAE purified are worth: each stage's images, accuracies of runs, and what was measured once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import streamlit as st
import torch

from pages.dvae.views import IN_BFLOAT16, VARIANT_WORDS, decibels, epochs_words, part_of
from pages.frame.cache import cached
from pages.frame.guard import plain
from pages.state.choice import Selection
from pages.state.own_data import other_data
from pages.state.run_words import percent, short_id
from pages.widgets.controls import pick
from pages.widgets.live_chart import live_chart
from pages.widgets.tile_rows import tile_rows
from ued_core import runs
from ued_core.analysis.purification import psnr
from ued_core.artefacts import PURIFIED
from ued_core.defenses.dvae import Dvae
from ued_core.defenses.purified import kept_sets, purified_card, read_purified
from ued_core.figures.separation import stage_curves
from ued_core.records import ImageSet
from ued_core.results.evidence import Summary
from ued_core.results.measured import (
    Grid,
    by_rate,
    data_sets,
    defences_of,
    grid,
    study_command,
    study_tables,
    summary,
)
from ued_core.results.phenomenon import Condition
from ued_core.results.row import ResultRow, stored_rows
from ued_core.results.words import LEGEND, gain_cell, level_cell
from ued_core.studies.estimate import duration

STAGES, RATES = "dvae", "dvae-rates"
"""The studies whose rows are shown."""
NOT_RUN = "not run yet"


def stages_part(choice: Selection, poisoned: ImageSet) -> None:
    """What complete purifications of this set gave, and what classifiers made of them."""
    st.subheader("Sets that were purified here")
    whole, early = (kept_sets(Dvae.key, poisoned.content_hash, early=early) for early in (False, True))
    folders = {_folder_name(folder): folder for _, folder in (*whole, *early)}
    if not folders:
        st.caption("Nothing purified yet for this choice. Train it below.")
        return
    options = {_folder_name(folder): _set_label(recipe) for recipe, folder in whole}
    options |= {_folder_name(folder): f"{_set_label(recipe)}, ended early" for recipe, folder in early}
    folder = folders[pick("Purified set", options, key="set", default=next(iter(options)))]
    kept, card = read_purified(folder), purified_card(folder)
    if kept is None or card is None:
        st.warning("This set is damaged or was deleted meanwhile; a run makes it anew.")
        return
    before, *quality = _qualities(str(folder), PURIFIED.sums(card), choice.train, poisoned)
    part = part_of(choice, poisoned, 1)
    if part is not None:
        after = [
            (f"stage {n}", f"{q:.1f} dB to clean", kept.stages[n - 1][part.rows]) for n, q in enumerate(quality, 1)
        ]
        tile_rows(
            [
                ("clean", "", part.clean.images),
                ("poisoned", f"{before:.1f} dB to clean", part.published.images),
                *after,
            ],
            key="dvae_stage_tiles",
            alt="One image per class: clean, poisoned, and after each stage of the purification.",
            names=part.names,
            caption=plain(
                f"{card['log']['note']} Made once in {duration(card['log']['seconds'])}. PSNR over all "
                f"{len(poisoned):,} images."
            ),
        )
    if choice.poison_rate < 1:
        _quality_table(choice, str(folder), PURIFIED.sums(card), len(kept.stages), poisoned)
    live_chart(
        stage_curves(card["log"]["stages"]), key="dvae_stage_chart", height=360, alt="PSNR and rate of every epoch of "
                                                                                     "each stage.",
        filename="dvae_stages", question="How did the stages learn?", formula="dotted: the targets",
        caption="The rate begins high and is pulled down to its target; the reconstruction sharpens meanwhile.",
    )  # fmt: skip
    _accuracies(choice)


def _quality_table(choice: Selection, folder: str, sums: dict[str, str], stages: int, published: ImageSet) -> None:
    """The same for poisoned images and for those that were left clean."""
    touched = choice.touched()
    lines = []
    for kind, rows in (("poisoned", touched), ("left clean", ~touched)):
        if bool(rows.any()):
            values = _qualities(folder, sums, choice.train, published, rows)
            lines.append(f"| {kind} | {int(rows.sum()):,} | " + " | ".join(map(decibels, values)) + " |")
    heads = ["images", "how many", "as published", *(f"after stage {n}" for n in range(1, stages + 1))]
    st.markdown("\n".join([f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *lines]))
    st.caption(
        "PSNR to the clean images: what the purification mends of the poisoned ones, and what it costs those that "
        "needed none."
    )


@cached(max_entries=16)
def _qualities(
    folder: str, sums: dict[str, str], clean: ImageSet, published: ImageSet, rows: torch.Tensor | None = None
) -> list[float]:
    """PSNR to the clean images before and after each stage, of all images or of those of a mask; ``sums`` name what the
    folder holds."""
    kept = read_purified(Path(folder))
    taken = slice(None) if rows is None else rows
    return [psnr(images[taken], clean.images[taken]) for images in (published.images, *(kept.stages if kept else ()))]


def _folder_name(folder: Path) -> str:
    return folder.parent.name + folder.suffix


def _set_label(recipe: Mapping[str, Any]) -> str:
    rates = (
        f"{recipe['rate_1']:g} and {recipe['rate_2']:g}"
        if recipe["variant"] == "two_stages"
        else f"{recipe['rate_1']:g}"
    )
    told = ", told shuffled labels" if recipe["labels"] == "shuffled" else ""
    defense = Dvae(**{name: value for name, value in recipe.items() if name != "name"})
    told += f", {IN_BFLOAT16}" * (defense.precision == "bfloat16")
    return f"{VARIANT_WORDS[defense.variant]}, rate {rates} nats, width {defense.width}, {epochs_words(defense)}{told}"


def _accuracies(choice: Selection) -> None:
    """Clean test accuracy of the finished runs of this choice, with and without D-VAE."""
    known = [
        (_defended(r.spec), r) for r in runs.snapshot().records if r.state == "finished" and trains_on(choice, r.spec)
    ]
    if known:
        lines = [f"| {plain(words)} | {percent(r.last, 1)} | {short_id(r.id)} |" for words, r in known[:12]]
        st.markdown("\n".join(["| trained on | clean test accuracy | run |", "|---|---|---|", *lines]))
    else:
        st.caption("No finished run of this choice yet; its accuracy will stand here.")


def trains_on(choice: Selection, spec: Mapping[str, Any]) -> bool:
    """Whether a run's spec names exactly the published set of this choice, with its own labels, whatever defends it."""
    wanted = {
        "dataset": choice.dataset.to_json(),
        "attack": choice.attack.to_json(),
        "attack_seed": choice.seed,
        "poison_rate": float(choice.poison_rate),
    }
    # These are only named where they are not the default.
    others = any(spec.get(name) for name in ("poison_classes", "train_on", "relabel"))
    return not others and all(spec.get(name) == value for name, value in wanted.items())


def _defended(spec: Mapping[str, Any]) -> str:
    words = [_set_label(d) if d["name"] == Dvae.key else d["name"] for d in spec.get("defenses", [])]
    return " + ".join(words) or "the published images as they are"


# ---- measured once -----------------------------------------------------------------------


def measured_part(choice: Selection) -> None:
    """What runs of the shipped studies say of the arms of D-VAE, and of its rate limit, whatever data is chosen."""
    files = study_tables()
    stages, rates = (stored_rows(files[name]) if name in files else [] for name in (STAGES, RATES))
    for dataset in data_sets(stages):
        found = grid(stages, dataset)
        st.subheader(plain(f"One stage or two? Measured on {dataset}"))
        other_data(choice.dataset, _names(row for row in stages if row.dataset == dataset))
        st.markdown(_arms(found))
        st.caption(
            f"Accuracy on clean test images in per cent; below *none*, what an arm adds to it, in points. {LEGEND} "
            f"The column *clean* is what D-VAE costs data that nobody poisoned. {_size(found)} Command: "
            f"{study_command(STAGES)}."
        )
    measured = by_rate(rates)
    if measured:
        other_data(choice.dataset, _names(rates))
        st.markdown(_rates(measured))
        st.caption(
            "Mean ± standard deviation over n seeds, after LSP. *Passing*: ⟨x̂(x+δ) − x̂(x), δ⟩ ÷ ⟨δ, δ⟩. *p̂*: "
            "correlation of its class means with the perturbation of the same class, and of the others. Command: "
            f"{study_command(RATES)}."
        )


def _names(rows: Iterable[ResultRow]) -> list[str]:
    """The catalogue's names of the data sets of some rows."""
    return [row.spec["dataset"]["name"] for row in rows]


def _arms(found: Grid) -> str:
    lines = ["| trained on | " + " | ".join(found.attacks) + " |", "|---" * (len(found.attacks) + 1) + "|"]
    for arm in found.defences:
        cells = []
        for attack in found.attacks:
            own, gain = found.cells.get((attack, arm)), found.gain(attack, arm)
            cell = gain_cell(gain) if gain else level_cell(summary(own, "last")) if own is not None else ""
            cells.append(cell or NOT_RUN)
        lines.append("| " + " | ".join([plain(arm), *cells]) + " |")
    return "\n".join(lines)


def _size(found: Grid) -> str:
    """How small the data and the networks are, beside the paper's."""
    row = next((cell.rows[0] for cell in found.cells.values() if defences_of(cell)), None)
    if row is None or row.data is None:
        return ""
    defense = Dvae(**{name: value for name, value in row.spec["defenses"][0].items() if name != "name"})
    steps = defense.epochs * max(1, row.data.train // defense.batch_size)
    return (
        f"Sizes of a CPU: {row.data.train:,} images, width {defense.width} and {steps:,} steps per stage; the paper "
        "has 50,000, 64 and 23,460."
    )


def _rates(measured: Mapping[float, Condition]) -> str:
    heads = ["rate target, nats", "clean test accuracy, %", "x̂ to clean, dB", "passing, %", "p̂ ~ own", "p̂ ~ others"]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for target, own in measured.items():
        numbers = (("psnr_clean", 1, 1), ("surviving", 100, 1), ("found", 1, 2), ("found_elsewhere", 1, 2))
        cells = [_spread(summary(own, number), scale, digits) for number, scale, digits in numbers]
        lines.append("| " + " | ".join([f"{target:g}", level_cell(summary(own, "last")), *cells]) + " |")
    return "\n".join(lines)


def _spread(found: Summary, scale: float, digits: int) -> str:
    """Mean ± sd, with a minus sign that is one."""
    if not found.count:
        return NOT_RUN
    mean = f"{round(scale * found.mean, digits) + 0.0:.{digits}f}".replace("-", "−")
    return mean + (f" ± {scale * found.spread:.{digits}f}" if found.count > 1 else "")
