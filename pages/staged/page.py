"""The page Staged training: when shallow layers follow a perturbation, and what slowing them does."""

import streamlit as st

from pages.staged.views import own_part, stored_part
from pages.widgets.controls import segments

st.title("Staged training")
st.markdown(
    "**Can a model notice that it is being trapped?** The first layers latch on to a perturbation first: at them, "
    "images of one class become tight clusters early. Staged training (ST) measures this during training. When the "
    "clusters have grown too far, it goes back to the last good check and goes on with slower shallow layers. We could "
    "not access the paper's formulas; what follows is **our interpretation** in several readings, each beside plain "
    "training."
)
SOURCES = {"stored": "Stored runs", "own": "Trained here"}
if segments("Runs", SOURCES, key="source", default="stored") == "stored":
    stored_part()
else:
    own_part()
