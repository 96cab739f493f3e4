"""The page Released files: what a poison file is, what its official loader makes of it, and writing one's own."""

import streamlit as st

from pages.files.choice import chosen_file, loaded
from pages.files.views import export_view, loader_view, reading_controls, report
from pages.frame.guard import guarded
from pages.state.selection import selection_chips
from ued_core.data.poison_files import FORMATS

st.title("Released files")
st.markdown(
    "**What is in a published poison, and what does its own code make of it?** Some published loaders drop signs, "
    "truncate or reorder the noise, so their results describe a different poison from the paper's. Choose a file, and "
    "at the top the data set that it was made for."
)
choice = selection_chips()

st.subheader("Inspect a poison file")
with guarded():
    place = st.container()
    reading = reading_controls()
    with place:
        chosen = chosen_file(choice, reading)
    if chosen is None:
        known = ", ".join(f"{form.title}" for form in FORMATS.values())
        st.info(f"Known are: {known}. Pickles are read by an interpreter of our own that runs nothing.")
    else:
        imported = loaded(chosen, reading)
        report(imported)
        loader_view(choice, chosen, imported)

st.subheader("Export the poison chosen at the top")
export_view(choice)
