"""The page Perturbations: what any attack adds, measured in space, in size, in frequency, and by who can read it."""

import streamlit as st

from pages.perturbations.views import (
    border_view,
    difference_view,
    distortion_view,
    edge_notes,
    edge_view,
    mean_view,
    separability_view,
    spectrum_view,
)
from pages.state.crafting import too_few
from pages.state.own_data import for_looking, one_each_words
from pages.state.selection import sidebar_selection

st.title("Perturbations")
st.markdown(
    "**What exactly is added, and who can read it?** The same six questions for every attack. Everything is measured "
    "on the stored images, after rounding to 8 bits. Choose data and attack at the top."
)
choice = sidebar_selection(looks=True)

st.subheader("What does the attack change?")
difference_view(choice)

st.subheader("How large is the change?")
distortion_view(choice)

st.subheader("Is it one pattern for each class?")
mean_view(choice)

st.subheader("Which frequencies does it touch?")
spectrum_view(choice)

st.subheader("Can a linear model read the class off it?")
if for_looking(choice.data):
    st.caption(one_each_words("A linear model needs"))
elif choice.look is None:
    separability_view(choice)
else:
    st.info(too_few(choice.look, "Linear models have to be fitted to hundreds of perturbations"))

st.subheader("Does the border give it away?")
border_view(choice)
if for_looking(choice.data):
    st.caption(one_each_words("The edge detectors need"))
elif choice.look is None:
    edge_view(choice)
else:
    st.info(too_few(choice.look, "The edge detectors learn from one half of the images and judge the other"))
edge_notes(choice)
