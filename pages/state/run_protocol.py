"""The protocol of a finished run: everything that a paper's table would have to say about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from pages.frame.guard import plain
from pages.frame.hidden import seen, seen_parameter
from pages.state.run_words import flat, percent
from ued_core.class_numbers import write_classes
from ued_core.data.base import NOT_CLEAN
from ued_core.data.handles import is_handle
from ued_core.params import Method, Parameter
from ued_core.runs import RunRecord, RunResult, RunSpec
from ued_core.studies.estimate import duration


def protocol_card(record: RunRecord, result: RunResult) -> None:
    """Draw the card."""
    spec = record.run_spec
    if spec is None:
        rows = flat(record.spec)
    else:
        # The key under which it was computed: a method may have been corrected since, and the spec then has another
        # one.
        rows = protocol(spec, result) | ({"Spec key": record.key} if record.key else {})
    with st.container(border=True):
        st.subheader("Protocol", anchor=False)
        lines = "\n".join(f"| {plain(name)} | {plain(text)} |" for name, text in rows.items())
        st.markdown(f"| What | How |\n|---|---|\n{lines}")
        notes = result.data.notes
        for note in notes:
            if note.startswith(NOT_CLEAN):
                st.warning(plain(seen(note)))
        if notes:
            with st.expander(f"Notes from loading the data ({len(notes)})"):
                st.markdown("\n".join(f"- {plain(seen(note))}" for note in notes))


def protocol(spec: RunSpec, result: RunResult) -> dict[str, str]:
    """The rows of the card, in the order in which things happen."""
    data, env = result.data, result.environment
    where = f" in epoch {result.peak.epoch}" if result.peak else ""
    poison, key = "none", ""
    if spec.attack:
        share = f"{100 * spec.poison_rate:g} % of the training images"
        if spec.poison_classes is not None:
            share += f" of the classes {write_classes(spec.poison_classes)} alone"
        poison = f"{in_words(spec.attack)} on {share}, private key {spec.attack_seed}; the test images stay clean"
        poison += "; of them, those alone are trained on that it leaves clean" if spec.train_on == "clean" else ""
        key = f"; attack {spec.attack_seed}"
    sizes = f"{data.train:,} training and {data.test:,} test images, {len(data.class_names)} classes"
    times = f"{duration(result.train_seconds)} training of {duration(result.seconds)} in all"
    threads = f"{env.threads} thread" + "s" * (env.threads != 1)
    versions = f"torch {env.torch}, numpy {env.numpy}, Python {env.python}"
    return {
        "Data": f"{in_words(spec.dataset)}: {sizes}",
        "Poison": poison,
        **_labels(spec),
        **_crafting(result),
        "Defences": " → ".join(f"{in_words(d)}, acts {_moments(d)}" for d in spec.defenses) or "none",
        "A training image passes": _order(spec),
        "Model": in_words(spec.model),
        "Optimiser": in_words(spec.plan),
        "Epochs": f"{result.epochs}, batches of {spec.plan.batch_size}; {times}",
        "Seeds": f"run {spec.seed} (weights, order, augmentation, defence draws){key}",
        "Clean test accuracy": (
            f"{percent(result.last, 1)} after the last epoch; peak {percent(result.best, 1)}{where} "
            f"(picked by looking at the test images, so it flatters)"
        ),
        "Training accuracy": (
            f"{percent(result.train_accuracy, 1)} over the last epoch as trained; the finished model on the stored "
            f"training images, without augmentation: {percent(result.poisoned_accuracy, 1)}"
        ),
        **_parts(result),
        "Arithmetic": f"{env.precision}, {_chosen(spec.plan.precision, env.device)}",
        "Environment": f"{env.device} ({env.device_name}), {threads}, {versions}",
        "Content hashes": f"clean {data.clean_hash} → trained on {data.trained_on_hash}",
        "Spec key": spec.key(),
    }


def _chosen(asked: str, device: str) -> str:
    if asked != "auto":
        return "as the plan asks"
    return f"which auto took on this {'processor' if device == 'cpu' else 'GPU'}; another arithmetic is another result"


def _labels(spec: RunSpec) -> dict[str, str]:
    if spec.relabel is None:
        return {}
    return {"Labels": f"{in_words(spec.relabel)}; given after poisoning, to training and test images"}


def _parts(result: RunResult) -> dict[str, str]:
    if result.touched_accuracy is None or result.untouched_accuracy is None:
        return {}
    words = (
        f"of the poisoned {percent(result.touched_accuracy, 1)}, of the clean ones "
        f"{percent(result.untouched_accuracy, 1)}"
    )
    return {"Accuracy on stored training images": words}


def _crafting(result: RunResult) -> dict[str, str]:
    log = result.crafting
    if not log:
        return {}
    early = f"; stopped early {log.stopped_early}, so this is not the attack as configured" if log.stopped_early else ""
    known = f" {log.surrogate}" if log.surrogate else ""
    return {"Crafting": f"{duration(log.seconds)}{early}. {log.note}{known}"}


def in_words(method: Method) -> str:
    """A configured method with every parameter, for the record."""
    declared = {p.name: p for p in method.parameters()}
    parts = [f"{declared[name].label} "
             f"{_text(declared[name], value)}{' ' + declared[name].unit if declared[name].unit else ''}"
             for name, value in method.model_dump().items() if value != ""]  # fmt: skip
    return f"{method.title} ({', '.join(parts)})" if parts else method.title


def _text(parameter: Parameter, value: Any) -> str:
    if isinstance(value, bool):
        return "on" if value else "off"
    if parameter.path and not is_handle(value):
        # A record goes into papers; where a file lies on this machine stands in the spec alone.
        return seen_parameter(parameter, Path(value).name)
    return f"{value:g}" if isinstance(value, float) else seen_parameter(parameter, value)


def _moments(defence: Any) -> str:
    words = {
        "purify": "once before training",
        "augment": "on every batch with fresh draws",
        "training": "on how the model is trained",
    }
    return " and ".join(text for moment, text in words.items() if moment in defence.acts) or "nowhere"


def _order(spec: RunSpec) -> str:
    plan = spec.plan
    steps = [d.title for d in spec.defenses if "purify" in d.acts]
    steps += [f"random crop ({plan.crop} px padding)"] if plan.crop else []
    flips = plan.flip == "on" or (plan.flip == "auto" and spec.dataset.mirror_safe)
    steps += ["random flip (½)"] if flips else []
    steps += [d.title for d in spec.defenses if "augment" in d.acts]
    return " → ".join(["as stored", *steps, "normalisation inside the model"])
