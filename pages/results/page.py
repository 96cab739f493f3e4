"""The page Results: what was measured here, what papers report and claim, what nobody had measured, and the record."""

import streamlit as st

from pages.results.claims import claims_view
from pages.results.measured import go_where_asked, measured_view
from pages.results.questions import open_view
from pages.results.record import record_view
from pages.results.reported import reported_view
from pages.results.starts import starts_view
from pages.widgets.controls import segments

PARTS = {
    "measured": "Measured here",
    "reported": "Reported in papers",
    "claims": "Papers' claims",
    "open": "Open questions",
    "starts": "Pretrained start and recovery",
    "record": "Record",
}
VIEWS = {
    "measured": measured_view,
    "reported": reported_view,
    "claims": claims_view,
    "open": open_view,
    "starts": starts_view,
    "record": record_view,
}

go_where_asked()
st.title("Results")
st.markdown(
    "**What does each attack do to a model, and which defence undoes it?** The accuracy on *clean* test images tells: "
    "an attack works if it is low although training looked perfect; a defence works if it is high again."
)
VIEWS[segments("Where the numbers come from", PARTS, key="part", default="measured")]()
