"""The page Results: what was measured here, and what papers report."""

import streamlit as st

from pages.shared.controls import segments
from pages.shared.measured_views import go_where_asked, measured_view
from pages.shared.reported_views import reported_view

PARTS = {"measured": "Measured here", "reported": "Reported in papers"}

go_where_asked()
st.title("Results")
st.markdown(
    "**What does each attack do to a model, and which defence undoes it?** The accuracy on *clean* test images tells: "
    "an attack works if it is low although training looked perfect; a defence works if it is high again."
)
if segments("Where the numbers come from", PARTS, key="part", default="measured") == "measured":
    measured_view()
else:
    reported_view()
