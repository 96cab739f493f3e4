"""The part of Results that sets papers' claims beside the stored runs."""

from collections.abc import Callable

from streamlit.testing.v1 import AppTest

from ued_core.studies.claims import CLAIMS, judgements


def test_every_claim_has_a_line_with_its_verdict(open_page: Callable[..., AppTest]) -> None:
    page = open_page("results", {"part": "claims"})
    assert not page.exception
    assert not page.error
    frame = page.dataframe[0].value
    assert list(frame["Claim"]) == [claim.text for claim in CLAIMS]
    assert [said.split(" ", 1)[1] for said in frame["Here"]] == [one.verdict for one in judgements()]
    first = judgements()[0]
    assert frame["Checks"][0] == f"{sum(c is not None for _, c in first.found)} of {len(first.found)}"
    assert "does not refute the paper" in " ".join(m.value for m in page.markdown)
