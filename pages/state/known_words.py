"""What the stored runs say of the chosen data, attack and defences, before anybody trains them."""

from __future__ import annotations

import json

import streamlit as st

from pages.frame.guard import plain
from pages.state.own_data import OTHER_DATA
from pages.state.run_words import method_words
from ued_core.data import DATASETS
from ued_core.defenses import DEFENSES, DefenseStack
from ued_core.models import MODELS
from ued_core.results.evidence import Comparison
from ued_core.results.known import Known, known, where_it_works, with_defences
from ued_core.results.words import LEGEND, gain_cell, level, points
from ued_core.runs.spec import RunSpec
from ued_core.training import PLANS

MOST_NAMED = 3
"""Of the data sets on which an attack works, at most so many are named."""


def known_caption(spec: RunSpec, kinds: DefenseStack | None = None) -> None:
    """Draw :func:`known_words`, and :func:`known_with_words` for the kinds of a stack; in a box where the attack was
    measured and does nothing, because then a training run shows nothing either."""
    more = known_with_words(spec, kinds) if kinds else ""
    show = st.info if without_effect(known(spec.with_values(defenses=DefenseStack()).to_json())) else st.caption
    show(f"{known_words(spec)} {more}".strip())


def without_effect(found: Known | None) -> bool:
    """Whether stored runs have the attack on clean data's level."""
    return found is not None and found.loss is not None and not found.works


def known_words(spec: RunSpec) -> str:
    """One or two sentences of Markdown, computed from the shipped rows.

    Args:
        spec: what would be trained; its seeds do not matter.
    """
    found = known(spec.to_json())
    name = known_name(spec)
    parts = (
        [f"**Measured: {plain(name)}:** {_level(found)}"]
        if found
        else [f"**Not measured yet with these settings: {plain(name)}.**"]
    )
    if spec.attack is not None:
        parts += _recommended(spec, found)
    return " ".join(part for part in parts if part)


def known_with_words(spec: RunSpec, stack: DefenseStack) -> str:
    """What defences of the same kinds as a stack's were measured to reach, whatever their parameters, in Markdown; the
    highest first.

    Args:
        spec: data and attack.
        stack: the kinds, in their order.
    """
    kinds = [type(defence) for defence in stack]
    told = []
    for text, own in with_defences(spec.to_json()).items():
        stored = [DEFENSES.parse(value) for value in json.loads(text)]
        if stored and own.gain and [type(defence) for defence in stored] == kinds:
            name = " → ".join(method_words(defence) for defence in stored)
            told.append(f"**{plain(name)}:** {level(own.accuracy)} %, {_gain(own.gain)}.")
    return f"With {' '.join(told[:MOST_NAMED])}" if told else ""


def known_table(spec: RunSpec) -> None:
    """All stored stacks of defences on the spec's data and attack, as a table; nothing where there is only one."""
    found = with_defences(spec.to_json())
    if len(found) < 2:
        return
    with st.expander(f"What was measured for {known_name(spec.with_values(defenses=DefenseStack()))}"):
        st.dataframe([_row(stack, own) for stack, own in found.items()], hide_index=True)
        st.caption(f"{_recipe(next(iter(found.values())))}. {LEGEND}")


def _row(stack: str, own: Known) -> dict[str, str]:
    defences = [DEFENSES.parse(value) for value in json.loads(stack)]
    return {
        "defence": " → ".join(method_words(defence) for defence in defences) or "none",
        "clean test accuracy (%)": level(own.accuracy),
        "gain over none, same seeds (points)": gain_cell(own.gain) if own.gain else "",
        "": own.gain.verdict if own.gain else "",
        "n": str(own.accuracy.count),
    }


def _recipe(found: Known) -> str:
    model, plan = MODELS.parse(json.loads(found.recipe.model)), PLANS.parse(json.loads(found.recipe.plan))
    return f"{method_words(model)}, {method_words(plan)}"


def known_name(spec: RunSpec) -> str:
    """``Fashion + CUDA + COIN``."""
    return " + ".join(m.title for m in (spec.dataset, spec.attack, *spec.defenses) if m is not None)


def _level(found: Known) -> str:
    """``43.1 ± 4.0 of the 84.7 ± 0.4 % that clean data gives``, what the defences give, and how it was trained."""
    compared = found.clean.count and (found.loss or found.gain)
    of = f" of the {level(found.clean)} % that clean data gives" if compared else " %"
    seeds = f"{found.accuracy.count} seed{'s' * (found.accuracy.count != 1)}"
    said = f"{level(found.accuracy)}{of} on clean test images ({_recipe(found)}, {seeds})"
    if found.gain is not None:
        said += f", {_gain(found.gain)}"
    return f"{said}."


def _gain(gain: Comparison) -> str:
    """``+38.0 [30, 46] points over no defence on the same 5 seeds: better``."""
    seeds = f"{gain.gain.count} seed{'s' * (gain.gain.count != 1)}"
    return f"{points(gain.gain)} over no defence on the same {seeds}: {gain.word}"


def _recommended(spec: RunSpec, found: Known | None) -> list[str]:
    """Where the attack is known to work, unless the chosen data is such."""
    if found is not None and found.works:
        return []
    assert spec.attack is not None
    title = plain(spec.attack.title)
    # Where other settings of the chosen data were measured, they are named first.
    works = [k for k in where_it_works(spec.attack.to_json()) if found is None or _data(k) != spec.dataset.key]
    weak = [f"**{title} alone is not seen to lower the accuracy on this data.**"] if found is not None else []
    works.sort(key=lambda k: _data(k) != spec.dataset.key)
    if not works:
        return weak
    own = spec.dataset.key
    named = ", ".join(
        f"{DATASETS[_data(k)].title}{' with other settings' * (_data(k) == own)} "
        f"({100 * k.clean.mean:.0f} → {100 * (k.clean.mean - k.loss.gain.mean):.0f} %)"
        for k in works[:MOST_NAMED]
        if k.loss
    )
    mark = "" if own in {_data(k) for k in works[:MOST_NAMED]} else f"{OTHER_DATA} "
    return [*weak, f"{mark}{title} is known to work on {named}."]


def _data(found: Known) -> str:
    return str(json.loads(found.recipe.dataset)["name"])
