"""The part of the page Results that sets what papers claim beside what the stored runs say."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from pages.frame.cache import cached
from ued_core.assets import asset
from ued_core.results.words import bounds
from ued_core.studies.claims import LEAST, MARGIN, Judgement, Verdict, judgements

INTRODUCTION = (
    "**Do the papers' claims hold here?** Each line is something that a paper of one of the four systems, or that of "
    "CUDA, says, tried on photographs of Fashion-MNIST with small networks. That a claim does not hold at this size "
    "does not refute the paper; that it holds does not prove it for larger ones."
)
RULE = (
    "A claim holds when all its comparisons come out as it says: the 95 % interval of the paired difference lies "
    f"beyond zero, or, where no change is claimed, reaches no further than {100 * MARGIN:.0f} points to the wrong "
    "side. It holds in part when some do, does not hold when none does and one comes out the other way round, and "
    f"cannot be told otherwise. Comparisons with fewer than {LEAST} pairs of runs do not count."
)
SIGNS: dict[Verdict, str] = {
    "holds": "✓ holds",
    "holds so far": "✓ holds so far",
    "holds in part": "◐ holds in part",
    "does not hold": "✗ does not hold",
    "cannot be told": "? cannot be told",
    "not run yet": "– not run yet",
}


@cached(max_entries=2)
def _found(_changed: tuple[int, ...]) -> list[Judgement]:
    return judgements()


def claims_view() -> None:
    """One line per claim, then the comparisons behind one of them."""
    st.markdown(INTRODUCTION)
    found = _found(tuple(file.stat().st_mtime_ns for file in sorted(asset("results").glob("*.json"))))
    frame = pd.DataFrame([_row(one) for one in found])
    chosen = st.dataframe(
        frame,
        key="claims",
        hide_index=True,
        height="content",
        on_select="rerun",
        selection_mode="single-row",
        alt="; ".join(f"{one.claim.paper}: {one.claim.text} {one.verdict}" for one in found),
        column_config={
            "Here": st.column_config.TextColumn(width=125),
            "Claim": st.column_config.TextColumn(width=470),
            "Checks": st.column_config.TextColumn(width=70, help="Comparisons with enough runs, of all that it needs."),
            "Paper": st.column_config.TextColumn(width=260),
        },
    )
    st.caption(f"Click a line for the numbers behind it. {RULE}")
    rows = chosen["selection"]["rows"]
    if rows and rows[0] < len(found):
        _numbers(found[rows[0]])


def _row(one: Judgement) -> dict[str, str]:
    known = sum(comparison is not None for _, comparison in one.found)
    return {
        "Here": SIGNS[one.verdict],
        "Claim": one.claim.text,
        "Checks": f"{known} of {len(one.found)}",
        "Paper": one.claim.paper,
    }


def _numbers(one: Judgement) -> None:
    st.markdown(f"**{one.claim.text}** {SIGNS[one.verdict].split(' ', 1)[1].capitalize()}.")
    lines = [
        {
            "Comparison": check.name,
            "Condition": check.condition,
            "Against": check.control,
            "Claimed": check.wanted,
            "Difference": None if comparison is None else 100 * comparison.gain.mean,
            "Interval": "" if comparison is None else bounds(comparison.gain.interval).strip(),
            "Pairs": 0 if comparison is None else comparison.gain.count,
        }
        for check, comparison in one.found
    ]
    st.dataframe(
        pd.DataFrame(lines),
        key="claim_numbers",
        hide_index=True,
        placeholder="–",
        height="content",
        alt="Comparisons of the claim: difference in points, interval, number of pairs.",
        column_config={
            "Difference": st.column_config.NumberColumn(format="%+.1f", help="In points, on the same draws.")
        },
    )
    st.caption(f"Command: `ued study run {one.claim.study}`; it can be stopped and goes on where it was.")
