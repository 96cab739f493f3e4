"""Parts of the page Detection: one examination a copy of the images, each computed beside the server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd
import streamlit as st

from pages.frame.guard import guarded, plain
from pages.frame.navigation import script
from pages.state import background
from pages.state.choice import Selection, protocol_line
from pages.state.own_data import other_data
from pages.state.selection import PICK, selection_address
from pages.state.stack import defended
from pages.widgets.controls import parameter_control
from pages.widgets.live_chart import live_chart
from ued_core.analysis.confidence import ENOUGH
from ued_core.analysis.detection import COMMAND, MOST_IMAGES, TESTS, Examination, Known, examine, shipped_examinations
from ued_core.analysis.edge_detector import shipped_detections
from ued_core.context import Context
from ued_core.defenses import DefenseStack
from ued_core.errors import Unavailable
from ued_core.figures.detection import EdgeRow, edge_dots, evidence_dots
from ued_core.params import Parameter
from ued_core.records import ImageSet
from ued_core.results.open_answers import listed
from ued_core.studies.edge_evidence import KNOWN, EdgeEvidence, edge_evidence

SEED = Parameter(
    name="test_seed", label="seed of the tests", kind="int", default=0, minimum=0, maximum=9999,
    help="Which images are held out, and the weights of the test networks: another seed shows how far the "
         "numbers spread.",
)  # fmt: skip
ROLES = ("clean", "poisoned", "defended")
ALL_TESTS = {**TESTS, "edges": KNOWN}
NOTHING = "nothing found"
"""No all-clear: every test is blind to some poisons."""


def examine_set(data: ImageSet, seed: int) -> Examination:
    """Every test on one set; for the process beside the server."""
    return examine(data, Context(seed=seed))


@st.fragment
def evidence_view(choice: Selection, stack: DefenseStack, draw: int) -> None:
    """Ask for three examinations, show those that are there."""
    with st.container(), guarded():
        with st.popover("Tests"):
            seed = parameter_control(SEED, key="test_seed", default=SEED.default)
        clean, _ = choice.shown(max(5, MOST_IMAGES // choice.train.classes))
        poisoned = choice.trained_on(clean)
        copies = {"clean": clean, "poisoned": poisoned, "defended": defended(poisoned, stack, draw)}
        versions = {role: data.images for role, data in copies.items()}
        # Before the others: they train networks, this one takes no second.
        edges = background.ask(edge_evidence, clean, versions, seed, slot="examine_edges")
        asked = {role: background.ask(examine_set, data, seed, slot=f"examine_{role}") for role, data in copies.items()}
        background.wait_for(edges, *asked.values(), slot="examine")
        failed = {role: answer.error for role, answer in asked.items() if answer.error is not None}
        if failed:
            # Most often the set is too small, and all copies fail alike.
            first = next(iter(failed.values()))
            st.warning(plain(f"The {listed(list(failed))} images could not be examined: {first}"))
        found = {role: answer.value for role, answer in asked.items() if answer.value is not None}
        missing = [role for role, answer in asked.items() if answer.waiting]
        if missing:
            st.info(
                f"Training small networks on {len(clean):,} {listed(list(missing))} images each; some seconds "
                "per copy …"
            )
        if edges.error is not None:
            st.warning(plain(f"The trained edge detectors could not be applied: {edges.error}"))
        known = edges.value
        whole = {role: _with_edges(seen, known, role) for role, seen in found.items()}
        if found:
            _show(choice, stack, found, whole)
        if known is not None:
            _edges(choice, known, ROLES)
        elif edges.waiting:
            st.info("The edge detectors are learning from known convolutions (a second) …")
        if found:
            _numbers(choice, whole)


def _show(choice: Selection, stack: DefenseStack, found: dict[str, Examination], whole: dict[str, Examination]) -> None:
    said = {role: _verdict(role, examination, whole.get("clean")) for role, examination in whole.items()}
    counted = any(len(whole[role].evidence) > len(found[role].evidence) for role in found)
    together = "One of these tests, the trained edge detectors, has the chart below. " if counted else ""
    live_chart(
        evidence_dots(found),
        key="evidence",
        height=380,
        alt=" ".join(said.values()).replace("**", ""),
        filename=f"{choice.attack.key}_detection",
        question="Which tests find these images suspicious?",
        formula="accuracy on the fifth that is held out;  border score = −mean_{sides} log (b_{border} / b_{inside})",
        caption=f"{' '.join(said.values())} {together}{protocol_line(choice)}; "
        f"defended by {stack.title or 'nothing'}. "
        f"{next(iter(found.values())).images:,} images, a fifth of them held out.",
    )


def _numbers(choice: Selection, whole: dict[str, Examination]) -> None:
    with st.expander("The numbers"):
        st.dataframe(
            _table(whole),
            key="evidence_table",
            hide_index=True,
            height="content",
            alt="What each test says of each copy of the images.",
        )
    address = {**selection_address(choice.dataset, choice.attack, choice.seed), PICK.name: str(choice.pick)}
    st.page_link(
        script("perturbations/page.py"), query_params=address,
        label="Is the perturbation alone linearly separable? →",
        help="The tests here read whole images; the page Perturbations fits linear models to what the attack adds.",
    )  # fmt: skip


def _with_edges(seen: Examination, edges: EdgeEvidence | None, role: str) -> Examination:
    return seen if edges is None else replace(seen, evidence=(*seen.evidence, edges.evidence(role)))


def _edges(choice: Selection, edges: EdgeEvidence, roles: tuple[str, ...]) -> None:
    """The one test that has to be shown known poisons first, by itself: it knows more than the others."""
    rows = [
        EdgeRow(one.attack, one.clean, one.own, one.bound if one.tells else None, one.flagged)
        for one in edges.detectors
    ]
    blind = [one.attack for one in edges.detectors if not one.tells]
    said = " ".join(_edge_words(edges, role) for role in roles)
    live_chart(
        edge_dots(rows),
        key="edge_evidence",
        height=360,
        alt=f"Shares of images that trained edge detectors call convolution. {said}".replace("**", ""),
        filename=f"{choice.attack.key}_edge_evidence",
        question="Do detectors that have seen known convolutions recognise these images?",
        formula="EPD: sign(w·(12 edge sums) + b);  suspicious: more than half-way from clean images to its own attack",
        caption=f"{_ignored(blind)}{said} "
        + f"Each learned from {edges.trained} clean images and one attack on them, as many others set its bound, "
          f"{edges.held_out} more are "
        "judged; no key is used twice. **Unlike the other tests this needs clean images of the same kind**, and "
        "attacks that one suspects.",
    )  # fmt: skip


def _ignored(blind: Sequence[str]) -> str:
    """Why detectors are left out, if any are."""
    if not blind:
        return ""
    names = listed(list(blind))
    if len(blind) == 1:
        return f"**The detector trained on {names} cannot separate {names} from clean images, so we ignore it.** "
    return f"**The detectors trained on {names} cannot separate these from clean images, so we ignore them.** "


def _edge_words(edges: EdgeEvidence, role: str) -> str:
    if edges.held_out < ENOUGH:
        return f"{role.capitalize()}: no verdict from {edges.held_out} images."
    hits = [one for one in edges.detectors if one.tells and one.flagged[role] > one.bound]
    if not any(one.tells for one in edges.detectors):
        return f"{role.capitalize()}: cannot tell."
    named = ", ".join(f"{one.attack} {100 * one.flagged[role]:.0f} %" for one in hits)
    return f"{role.capitalize()}: **{f'suspicious ({named})' if hits else NOTHING}**."


def _verdict(role: str, seen: Examination, clean: Examination | None) -> str:
    if seen.held_out < ENOUGH:
        return f"**{role.capitalize()}: no verdict**, because the accuracies rest on {seen.held_out} held-out images."
    alarms = [ALL_TESTS[e.test].short for e in seen.evidence if e.suspicious]
    which = f" ({', '.join(alarms)})" if alarms else ""
    raised = f"{seen.alarms} of {len(seen.evidence)} tests {'raises' if seen.alarms == 1 else 'raise'} an alarm"
    words = f"**{role.capitalize()}: {raised}**{which}"
    if role == "clean" or clean is None:
        return words + (": false ones, so they say nothing here." if role == "clean" and alarms else ".")
    false = {e.test for e in clean.evidence if e.suspicious}
    worth = [e.test for e in seen.evidence if e.suspicious and e.test not in false]
    return words + (f", {len(worth)} of them not on the clean set." if alarms and false else ".")


def _table(found: dict[str, Examination]) -> pd.DataFrame:
    rows = [
        {
            "images": role,
            "test": ALL_TESTS[e.test].title,
            "value": f"{e.value:.3f}" if e.test == "border" else f"{100 * e.value:.1f} %",
            "bound": f"{e.bound:g}" if e.test == "border" else f"{100 * e.bound:.0f} %",
            "outcome": _outcome(e.suspicious, examination),
            "shuffled labels": "" if e.control is None else f"{100 * e.control:.1f} %",
            "chance": "" if e.test in ("border", "edges") else f"{100 * e.chance:.1f} %",
        }
        for role, examination in found.items()
        for e in examination.evidence
    ]
    return pd.DataFrame(rows)


def _outcome(suspicious: bool | None, seen: Examination) -> str:
    if seen.held_out < ENOUGH:
        return "too few images"
    return "cannot tell" if suspicious is None else "suspicious" if suspicious else NOTHING


def _known(known: Known) -> str:
    differs = f" *Differs from the published test:* {known.differs}" if known.differs else ""
    return f"- **{known.title}.** {known.asks} *Fails:* {known.fails}{differs}"


def known_failures(choice: Selection) -> None:
    """What each test asks, where it fails, and the stored table over all attacks."""
    with st.expander("What the tests ask, where they fail, and how they did on every attack"):
        st.markdown("\n".join(_known(known) for known in ALL_TESTS.values()))
        st.markdown(_edge_benchmark())
        st.markdown(
            "The bound of 70 % is the published one, for CIFAR-10, where a linear model on clean images stays far "
            "below it. On easier "
            "sets it must be judged against clean images of the same kind: that is why they are drawn too."
        )
        try:
            table = shipped_examinations()
        except Unavailable:
            return
        other_data(choice.dataset, [row["dataset"] for row in table["rows"]])
        shown = []
        for row in table["rows"]:
            values = {TESTS[e["test"]].title: e["value"] for e in row["evidence"]}
            shown.append({"data": row["dataset"], "attack": row["title"], **values, "alarms": row["alarms"]})
        st.dataframe(
            pd.DataFrame(shown),
            key="stored_examinations",
            hide_index=True,
            height=320,
            alt="The tests on every attack.",
        )
        st.caption(f"Seed {table['seed']}. Command: `{COMMAND}`.")


def _edge_benchmark() -> str:
    """What the stored benchmark of both edge detectors says of EPD against clean images."""
    try:
        table = shipped_detections()
    except Unavailable:
        return ""
    against = [row for row in table["rows"] if row["against"] == "clean"]
    parts = []
    for data in dict.fromkeys(row["dataset"] for row in against):
        for padding in ("zero", "reflect"):
            areas = [row["trained_auc"] for row in against if (row["dataset"], row["padding"]) == (data, padding)]
            parts.append(f"{data}, {padding} padding {min(areas):.2f} to {max(areas):.2f}")
    return (
        f"EPD, image by image against clean ones, over convolutions and blurs (AUC): {'; '.join(parts)}. "
        f"`{table['command']}`"
    )
