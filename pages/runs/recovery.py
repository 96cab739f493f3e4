"""How few clean images bring a finished run's accuracy back: measured on demand, point by point, beside the server."""

from __future__ import annotations

import streamlit as st

from pages.frame.guard import guarded
from pages.state import background
from pages.state.whose import is_open
from pages.widgets.live_chart import live_chart
from ued_core.analysis.confidence import ENOUGH, share_interval
from ued_core.analysis.recovery import KNOWN, Recovered
from ued_core.figures.recovery import Curves, recovery_figure, recovery_words
from ued_core.results.evidence import over
from ued_core.results.recovery import METHODS
from ued_core.runs import RunRecord, RunResult
from ued_core.studies.estimate import duration
from ued_core.studies.recovery_room import RunRecovery, recovered_at

LONG_S = 60
"""A run whose training took longer gets no control here: that takes as long, and the side process serves everybody."""
WANTED = "recovery_wanted"


def recovery_part(record: RunRecord, result: RunResult) -> None:
    """A button, then a curve that grows by a point at a time; nothing for runs that learn without labels, or on files
    of the owner's."""
    spec = record.run_spec
    counts = [count for count in KNOWN if count <= result.data.train]
    if spec is None or not spec.plan.labelled or not counts or not is_open(record.spec):
        return

    @st.fragment
    def part() -> None:
        with guarded():
            _part(record, result, counts)

    part()


def _part(record: RunRecord, result: RunResult, counts: list[int]) -> None:
    st.subheader("How few clean images bring the accuracy back?", anchor=False)
    control = min(result.train_seconds, result.cpu_s or result.train_seconds) <= LONG_S
    told = (
        f"Refits the last layer to {', '.join(f'{count:,}' for count in counts)} clean images, and moves all weights "
        "for one epoch on them."
    )
    if st.button("Measure the recovery", key="recovery", icon=":material/healing:", help=told):
        st.session_state[WANTED] = record.id
    if st.session_state.get(WANTED) != record.id:
        st.caption(told)
        return
    found: list[RunRecovery] = []
    for count in counts:
        # One at a time: others use the side process in between.
        answer = background.latest(
            recovered_at,
            record.id,
            count,
            control,
            slot=f"recovery_{count}",
            words=f"{count:,} known images: {len(found)} of {len(counts)} numbers are done …",
            trouble="The recovery could not be measured",
        )
        if answer.value is None:
            break
        found.append(answer.value)
    if found:
        _shown(record, result, found, control)


def _shown(record: RunRecord, result: RunResult, found: list[RunRecovery], control: bool) -> None:
    points = [point for one in found for point in one.points]
    lines = {
        method: {p.known: over([value]) for p in points if (value := getattr(p, method)) is not None}
        for method in METHODS
    }
    curves = Curves(
        "", over([found[0].as_trained]), bool(record.spec.get("attack")), {m: v for m, v in lines.items() if v}
    )
    missing = ""
    if not control:
        missing = (
            f" The control that trains on the known images for as long as this run was trained takes about "
            f"{duration(result.train_seconds)} for each number; the command python -m ued_core recover {record.id} "
            "measures it."
        )
    verdict = recovery_verdict(points, found[0].as_trained, found[0].tested)
    live_chart(
        recovery_figure([curves]),
        key=f"recovery_{record.id}",
        height=340,
        filename=f"recovery-{record.id}",
        alt=recovery_words([curves]),
        caption=f"{verdict} One run, {found[0].tested:,} clean test images; the known images are clean originals of "
        f"training images, drawn by the run's seed.{missing}",
    )


def recovery_verdict(points: list[Recovered], as_trained: float, tested: int) -> str:
    """What the curve says, by the intervals of its shares; withheld where too few test images were looked at."""
    if tested < ENOUGH:
        return f"No verdict from {tested} test images."
    high = share_interval(as_trained, tested).high
    risen = next((p for p in points if share_interval(max(p.refitted, p.tuned), tested).low > high), None)
    if risen is None:
        return f"With up to {points[-1].known:,} known images it cannot be told that any accuracy comes back."
    way = "a new last layer" if risen.refitted >= risen.tuned else "one epoch of all weights"
    words = (
        f"With {risen.known:,} known images {way} ends at {100 * max(risen.refitted, risen.tuned):.1f} %, instead of "
    )
    words += f"{100 * as_trained:.1f} % as trained."
    if risen.alone is None:
        return words
    alone = share_interval(risen.alone, tested)
    own = share_interval(max(risen.refitted, risen.tuned), tested)
    verdict = (
        "more than these images give alone"
        if own.low > alone.high
        else "less than these images give alone"
        if own.high < alone.low
        else "which cannot be told from what these images give alone"
    )
    return f"{words[:-1]}: {verdict} ({100 * risen.alone:.1f} %)."
