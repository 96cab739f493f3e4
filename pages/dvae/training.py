"""Training D-VAE from its page: parameters, a run for both stages or for the first one alone, pictures of every
epoch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
import torch

from pages.dvae.sets import trains_on
from pages.dvae.views import PER_CLASS, VARIANT_WORDS, gain_of
from pages.frame.cache import cached
from pages.frame.guard import guarded, plain, refusable, show_refusal
from pages.frame.hidden import seen
from pages.frame.navigation import script
from pages.frame.visitor import who
from pages.state.choice import Selection
from pages.state.run_words import short_id
from pages.widgets.controls import method_controls
from pages.widgets.live_chart import live_chart
from pages.widgets.tile_rows import tile_rows
from ued_core import runs
from ued_core.context import pick_device
from ued_core.defenses.dvae import DRAFT_EPOCHS, Dvae
from ued_core.defenses.purified import ask_enough, progress_of, purified_card
from ued_core.figures.separation import amplified, stage_curves
from ued_core.records import ImageSet
from ued_core.runs import RunRecord
from ued_core.studies.estimate import duration
from ued_core.training.plan import fast_bfloat16

LOOK_EVERY_S = 2.0
MOST_RUNS = 50


def training_part(choice: Selection, published: ImageSet) -> None:
    """Choose parameters and start runs; or follow those that purify this set."""
    st.subheader("Train it")
    with st.expander("Parameters of D-VAE"):
        defense = method_controls(Dvae, key=Dvae.key)
    if defense.precision == "bfloat16" and not fast_bfloat16(pick_device()):
        st.warning(
            "**bfloat16** is chosen, but this machine does not multiply it in hardware. The result would be right, but "
            "float32 is quicker here."
        )
    _follow(choice, published, defense)


@cached(max_entries=64)
def _seconds(defense: Dvae, images: ImageSet, count: int) -> float:
    steps = max(1, count // defense.batch_size)
    return defense.seconds_for(images) / max(1, len(images) // min(defense.batch_size, len(images))) * steps


@st.fragment(run_every=LOOK_EVERY_S)
def _follow(choice: Selection, published: ImageSet, defense: Dvae) -> None:
    with guarded():
        show_refusal()
        known = runs.snapshot().records[:MOST_RUNS]
        runs.attend(known)
        jobs = {"dvae_start": defense}
        if (first := defense.first_stage()) is not None:
            jobs["dvae_start_first"] = first
        if (draft := defense.draft()) is not None:
            jobs["dvae_start_draft"] = draft
        missing = {key: job for key, job in jobs.items() if not _state(choice, published, job, known)}
        if missing:
            _offer(choice, published, missing)
        shown = [work for job in jobs.values() if (work := _work_of(choice, published, job, known)) is not None]
        if shown:
            # What a run is working on comes before what was left unfinished.
            _live(choice, *max(shown, key=lambda work: work[-1]))
        st.page_link(script("runs/page.py"), label="All runs →")


def _work_of(
    choice: Selection, published: ImageSet, job: Dvae, known: Sequence[RunRecord]
) -> tuple[tuple[dict[str, Any], dict[str, np.ndarray]], Path, bool] | None:
    """Log and pictures of an unfinished purification, its folder, and whether a run is working on it; None where there
    is none."""
    folder, found = job.folder(published.content_hash), purifying_run(choice, job, known)
    going = progress_of(folder)
    return None if going is None else (going, folder, found is not None and found.state == "running")


def _state(choice: Selection, published: ImageSet, job: Dvae, known: Sequence[RunRecord]) -> bool:
    """Say how far the purification with these parameters is; whether it is there or under way."""
    folder = job.folder(published.content_hash)
    found = purifying_run(choice, job, known)
    there, going = purified_card(folder) is not None, found is not None and not found.over
    _look_again_after(folder, (there, going))
    what = _capital(_named(job))
    if there:
        st.success(
            f"**{what}**: a set purified with exactly these parameters is on the disk; a run that asks for it reads it."
        )
    if found is not None and going:
        doing = "queued" if found.state == "queued" else "training its classifier" if there else "purifying"
        words = f"{what}: the run {short_id(found.id)} is {doing}. {seen(found.text)}"
        st.progress(found.fraction if found.state == "running" else 0.0, plain(words))
    elif not there and found is not None and found.state != "finished":
        st.warning(plain(f"{what}: the last run that should train it is {found.state}. {seen(found.error)}"))
    return there or going


def _look_again_after(folder: Path, now: tuple[bool, bool]) -> None:
    """Draw the whole page anew once a set or an accuracy has come."""
    known = st.session_state.setdefault("dvae_seen", {})
    before = known.get(str(folder), now)
    known[str(folder)] = now
    if now[0] and now != before:
        st.rerun(scope="app")


def _offer(choice: Selection, published: ImageSet, missing: Mapping[str, Dvae]) -> None:
    few, _ = choice.shown(PER_CLASS)
    timed = next(iter(missing.values()))
    # Every epoch of a stage takes the same in all runs.
    epoch_s = _seconds(timed, few, len(published)) / timed.stages / timed.epochs
    takes = [
        f"**{duration(epoch_s * job.epochs * _left(job, published))}** for {_named(job)}" for job in missing.values()
    ]
    listed = " and ".join(", ".join(takes).rsplit(", ", 1))
    st.markdown(
        f"About {listed} for {len(published):,} images, in the background. This is processor time, about what an "
        "otherwise idle machine takes; beside other work it lasts longer. A run then trains the default model on the "
        "purified images, so that the accuracies can be compared. What runs have in common is trained once."
    )
    if "dvae_start_draft" in missing:
        st.caption(
            f"A draft has {DRAFT_EPOCHS} epochs per stage: fewer steps, a blurrier reconstruction. Its set is named a "
            "draft."
        )
    with st.container(horizontal=True):
        for key, job in missing.items():
            st.button(
                f"Train {_named(job)}: start a run", type="primary" if key == "dvae_start" else "secondary", key=key,
                on_click=_start, args=(choice, job),
            )  # fmt: skip


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _named(job: Dvae) -> str:
    return f"a draft of {VARIANT_WORDS[job.variant]}" if job.is_draft else VARIANT_WORDS[job.variant]


def _left(job: Dvae, published: ImageSet) -> int:
    """How many of its stages are still to be trained."""
    return job.stages - (job.known_first(published) is not None)


def _live(choice: Selection, going: tuple[dict[str, Any], dict[str, np.ndarray]], folder: Path, running: bool) -> None:
    log, pictures = going
    stage = log["stages"][-1]
    done, planned = len(stage["trace"]), stage["planned_epochs"]
    labels = choice.train.labels[torch.from_numpy(pictures["rows"])].tolist()
    rows = [
        ("given", f"to stage {stage['stage']}", pictures["given"]),
        ("x̂", f"epoch {done} of {planned}", pictures["image"]),
    ]
    if "perturbation" in pictures:
        gain = gain_of(pictures["perturbation"])
        rows.append(("p̂, found", f"× {gain:g}", amplified(pictures["perturbation"], gain)))
    tile_rows(
        rows, key="dvae_live_tiles", alt="What the network that is being trained makes of one image per class.",
        names=[choice.train.class_names[k] for k in labels],
        caption=f"Stage {stage['stage']}, epoch {done} of {planned}: {stage['trace'][-1]['rate']:.2f} nats per "
                "position "
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


def purifying_run(choice: Selection, defense: Dvae, records: Sequence[RunRecord]) -> RunRecord | None:
    """The newest run of this choice that begins with this defence; one that is not over comes first."""
    own = defense.to_json()
    alike = [r for r in records if trains_on(choice, r.spec) and (r.spec.get("defenses") or [None])[0] == own]
    return next((r for r in alike if not r.over), next(iter(alike), None))


def _start(choice: Selection, defense: Dvae) -> None:
    with refusable():
        runs.submit(choice.spec((defense,)), by=who())
