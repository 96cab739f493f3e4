"""What the sets that D-VAE purified are worth: each stage's images, accuracies of runs, and what was measured once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import streamlit as st
import torch

from pages.dvae.views import VARIANT_WORDS, decibels, part_of
from pages.frame.cache import cached
from pages.frame.guard import plain
from pages.state.choice import Selection
from pages.state.run_words import percent, short_id
from pages.widgets.controls import pick
from pages.widgets.live_chart import live_chart
from pages.widgets.tile_rows import tile_rows
from ued_core import runs
from ued_core.analysis.purification import accuracy_by_arm, psnr, stored_rows
from ued_core.artefacts import PURIFIED
from ued_core.defenses.dvae import Dvae
from ued_core.defenses.purified import kept_sets, purified_card, read_purified
from ued_core.figures.separation import stage_curves
from ued_core.records import ImageSet
from ued_core.studies.estimate import duration

# Where it is narrow, a line ends with the stroke rather than beginning with it.
BETWEEN_SEEDS = "\u00a0/ "
MEASURED_TEXT = (
    "Accuracy on clean test images in per cent, one value per seed; the column *clean* is what D-VAE costs data that "
    "nobody poisoned. "
    "Digits at 16×16 with half their contrast, 1,000 images, networks of width 8 and 1,240 steps per stage, classifier "
    "without crops. "
    "Sizes of a CPU: the paper has 50,000 images, width 64 and 23,460 steps. Command: python -m benchmarks.dvae."
)


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
    return (
        f"{VARIANT_WORDS[recipe['variant']]}, rate {rates} nats, width {recipe['width']}, {recipe['epochs']} "
        f"epochs{told}"
    )


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


def measured_part() -> None:
    """Clean test accuracy by stage, from the shipped measurements."""
    table = accuracy_by_arm(stored_rows())
    if not table:
        return
    st.subheader("One stage or two? Measured once")
    attacks = list(dict.fromkeys(attack for row in table.values() for attack in row))
    lines = [
        f"| {plain(arm)} | "
        + " | ".join(BETWEEN_SEEDS.join(f"{100 * v:.1f}" for v in row.get(attack, [])) for attack in attacks)
        + " |"
        for arm, row in table.items()
    ]
    st.markdown("\n".join(["| trained on | " + " | ".join(attacks) + " |", "|---|" + "---|" * len(attacks), *lines]))
    st.caption(MEASURED_TEXT)
