"""Parts of the page Detection: one examination a copy of the images, each computed beside the server."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.shared import background
from pages.shared.cache import key_of
from pages.shared.controls import parameter_control
from pages.shared.guard import guarded, plain
from pages.shared.live_chart import live_chart
from pages.shared.selection import Selection, protocol_line
from pages.shared.stack import defended
from ued_core.analysis.detection import COMMAND, MOST_IMAGES, TESTS, Examination, examine, shipped_examinations
from ued_core.context import Context
from ued_core.defenses import Defense
from ued_core.errors import Unavailable
from ued_core.figures.detection import evidence_dots
from ued_core.params import Parameter
from ued_core.records import ImageSet

SEED = Parameter(
    name="test_seed", label="seed of the tests", kind="int", default=0, minimum=0, maximum=9999,
    help="Which images are held out, and the weights of the test networks: another seed shows how far the numbers spread.",
)  # fmt: skip
ROLES = ("clean", "poisoned", "defended")


def examine_set(data: ImageSet, seed: int) -> Examination:
    """Every test on one set; for the process beside the server."""
    return examine(data, Context(seed=seed))


@st.fragment
def evidence_view(choice: Selection, stack: tuple[Defense, ...], draw: int) -> None:
    """Ask for three examinations, show those that are there."""
    with st.container(), guarded():
        with st.sidebar, st.expander("Tests"):
            seed = parameter_control(SEED, key="test_seed", default=SEED.default)
        clean, _ = choice.shown(max(5, MOST_IMAGES // choice.train.classes))
        poisoned = choice.trained_on(clean)
        copies = {"clean": clean, "poisoned": poisoned, "defended": defended(poisoned, stack, draw)}
        handles = {
            role: background.submit(f"{key_of(examine_set, data, seed)}", examine_set, data, seed, slot=f"examine_{role}")
            for role, data in copies.items()
        }
        background.rerun_when_done(*handles.values(), key="waiting_examine")
        for role, handle in handles.items():
            if handle.state == "failed":
                st.warning(plain(f"The {role} images could not be examined: {handle.error}"))
        found = {role: handle.value for role, handle in handles.items() if handle.state == "ready"}
        missing = [role for role, handle in handles.items() if handle.state not in ("ready", "failed")]
        if missing:
            st.info(f"Training small networks on {len(clean):,} {' and '.join(missing)} images each; some seconds a copy …")
        if found:
            _show(choice, stack, found)


def _show(choice: Selection, stack: tuple[Defense, ...], found: dict[str, Examination]) -> None:
    said = {role: _verdict(role, examination, found.get("clean")) for role, examination in found.items()}
    live_chart(
        evidence_dots(found),
        key="evidence",
        height=380,
        alt=" ".join(said.values()).replace("**", ""),
        filename=f"{choice.attack.key}_detection",
        question="Which tests find these images suspicious?",
        formula="accuracy on the fifth that is held out;  border score = −mean_{sides} log (b_{border} / b_{inside})",
        caption=f"{' '.join(said.values())} {protocol_line(choice)}; defended by {' + '.join(d.title for d in stack) or 'nothing'}. "
        f"{next(iter(found.values())).images:,} images, a fifth of them held out.",
    )
    with st.expander("The numbers"):
        st.dataframe(_table(found), key="evidence_table", hide_index=True)


def _verdict(role: str, seen: Examination, clean: Examination | None) -> str:
    alarms = [TESTS[e.test].title.lower() for e in seen.evidence if e.suspicious]
    which = f" ({', '.join(alarms)})" if alarms else ""
    words = f"**{role.capitalize()}: {seen.alarms} of {len(seen.evidence)} tests raise an alarm**{which}"
    if role == "clean" or clean is None:
        return words + (": false ones, so they say nothing here." if role == "clean" and alarms else ".")
    false = {e.test for e in clean.evidence if e.suspicious}
    worth = [e.test for e in seen.evidence if e.suspicious and e.test not in false]
    return words + (f", {len(worth)} of them not on the clean set." if alarms and false else ".")


def _table(found: dict[str, Examination]) -> pd.DataFrame:
    rows = [
        {
            "images": role,
            "test": TESTS[e.test].title,
            "value": f"{e.value:.3f}" if e.test == "border" else f"{100 * e.value:.1f} %",
            "bound": f"{e.bound:g}" if e.test == "border" else f"{100 * e.bound:.0f} %",
            "outcome": "cannot tell" if e.suspicious is None else "suspicious" if e.suspicious else "clear",
            "shuffled labels": "" if e.control is None else f"{100 * e.control:.1f} %",
            "chance": "" if e.test == "border" else f"{100 * e.chance:.1f} %",
        }
        for role, examination in found.items()
        for e in examination.evidence
    ]
    return pd.DataFrame(rows)


def known_failures() -> None:
    """What each test asks, where it fails, and the stored table over all attacks."""
    with st.expander("What the tests ask, where they fail, and how they did on every attack"):
        st.markdown("\n".join(f"- **{known.title}.** {known.asks} *Fails:* {known.fails}" for known in TESTS.values()))
        st.markdown(
            "The bound of 70 % is the published one, for CIFAR-10, where a linear model on clean images stays far below it. On easier "
            "sets it must be judged against clean images of the same kind: that is why they are drawn too."
        )
        try:
            table = shipped_examinations()
        except Unavailable:
            return
        shown = []
        for row in table["rows"]:
            values = {TESTS[e["test"]].title: e["value"] for e in row["evidence"]}
            shown.append({"data": row["dataset"], "attack": row["title"], **values, "alarms": row["alarms"]})
        st.dataframe(pd.DataFrame(shown), key="stored_examinations", hide_index=True, height=320)
        st.caption(f"Seed {table['seed']}. Command: `{COMMAND}`.")
