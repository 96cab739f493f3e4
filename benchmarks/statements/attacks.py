"""What the table of attacks says: which of them take accuracy on which data, and where settings decide it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.statements.stored import DIGITS, SHAPES, Setting, between, bullets, cells, nested, told, turned
from ued_core.results.evidence import Comparison
from ued_core.results.known import Known
from ued_core.results.open_answers import listed
from ued_core.results.words import gain_cell, level

LOW = 0.1
"""From such a loss of the mean on, an attack whose harm cannot be told is named with its numbers."""
PLAIN: Mapping[str, Any] = {"name": "adamw", "crop": 0, "flip": "off"}
SLOW_SGD: Mapping[str, Any] = {"name": "sgd", "learning_rate": 0.02, "crop": 0, "flip": "off"}
PROXY, LABELLED = {"name": "uc"}, {"name": "uc", "encoder": "labelled"}
REM_PUBLISHED: Mapping[str, Any] = {"name": "rem", "train_steps": 300}
REM_SMALL: Mapping[str, Any] = {
    "name": "rem", "train_steps": 400, "noise_steps": 3, "adversarial_steps": 1, "adversarial_radius": 1
}  # fmt: skip


def words() -> str:
    """Markdown: what the rows say."""
    lines = [_harm(at) for at in (SHAPES, DIGITS)]
    lines += [_encoders(), _released(), _pixel(), _radius()]
    return bullets(lines)


def _harm(at: Setting) -> str:
    """Every attack of a data set, by what can be told of it."""
    lost = {name: turned(runs.loss) for name, runs in at.attacks().items() if runs.loss is not None}
    if not lost:
        return ""
    harm = {name: one for name, one in lost.items() if one.word == "worse"}
    low = {name: one for name, one in lost.items() if one.word == "cannot be told" and one.gain.mean <= -LOW}
    more = {name: one for name, one in lost.items() if one.word == "better"}
    rest = [name for name in lost if name not in {*harm, *low, *more}]
    parts = [
        f"{len(harm)} of {len(lost)} attacks take accuracy: {cells(harm)}"
        if harm
        else "no attack is seen to take accuracy"
    ]
    if low:
        parts.append(f"means fall by {100 * LOW:.0f} points or more, but seeds differ too much to tell: {cells(low)}")
    if more:
        parts.append(f"accuracy rises with {cells(more)}")
    if rest:
        most = max(abs(lost[name].gain.mean) for name in rest)
        parts.append(
            f"nothing can be told of {listed(rest)}, whose means stay within {100 * most:.1f} points of clean images"
        )
    return nested(f"**On {at.name}**", parts)


def _encoders() -> str:
    """Unlearnable Clusters with the embedded encoder against one that knows the labels."""
    parts = []
    for at in (SHAPES, DIGITS):
        proxy, labelled = at.known(PROXY), at.known(LABELLED)
        found = between(proxy, labelled)
        if proxy is None or labelled is None or found is None:
            continue
        verdict = told(
            found,
            "the one that knows the labels takes {} more",
            "the embedded one takes {} more",
            "which takes more cannot be told ({})",
        )
        parts.append(
            f"on {at.name} {level(proxy.accuracy)} % are left with the embedded encoder and "
            f"{level(labelled.accuracy)} % with one that knows the labels: {verdict}"
        )
    return f"**Unlearnable Clusters and their encoder:** {'; '.join(parts)}." if parts else ""


def _released() -> str:
    """Error-minimising noise as its release stores it."""
    own, released = DIGITS.known({"name": "em"}), DIGITS.known({"name": "em", "as_released": True})
    found = between(released, own)
    if own is None or released is None or found is None:
        return ""
    verdict = told(found, "it takes {} less", "it takes {} more", "whether it is weaker cannot be told ({})")
    return (
        f"**EM as released**, with negative values cut off, on digits: {level(released.accuracy)} % are left instead "
        f"of {level(own.accuracy)} %; {verdict}."
    )


def _pixel() -> str:
    """One-pixel shortcuts under three recipes, each against clean images with the same recipe."""
    parts = []
    for name in ("shapes", "digits"):
        recipes = {
            "the default plan": Setting(name, name, "adamw"),
            "the plan without augmentation": Setting(name, name, PLAIN),
            "slow SGD without augmentation": Setting(name, name, SLOW_SGD),
        }
        cells_of = {words: _loss(at.known({"name": "one_pixel"})) for words, at in recipes.items()}
        known = [f"{gain_cell(one)} with {words}" for words, one in cells_of.items() if one is not None]
        if known:
            parts.append(f"on {name} {', '.join(known)}")
    return f"**One painted pixel (OPS)**, against clean images of the same recipe: {'; '.join(parts)}." if parts else ""


def _loss(found: Known | None) -> Comparison | None:
    return None if found is None or found.loss is None else turned(found.loss)


def _radius() -> str:
    """REM with two radii of the shifts."""
    parts = []
    for attack, radius in ((REM_PUBLISHED, "4/255 after 300 steps"), (REM_SMALL, "1/255 after 400 steps")):
        found = DIGITS.known(attack)
        if found is not None and (lost := _loss(found)) is not None:
            parts.append(f"{gain_cell(lost)} with a radius of {radius}")
    return f"**REM** on digits: {'; '.join(parts)}. The paper takes 4/255 and 5,000 steps." if parts else ""
