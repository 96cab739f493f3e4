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
from pages.state.selection import selection_chips

QUESTIONS = {
    "change": "What does the attack change?",
    "size": "How large is the change?",
    "pattern": "Is it one pattern per class?",
    "frequencies": "Which frequencies does it touch?",
    "linear": "Can a linear model tell the class from the perturbation alone?",
    "border": "Does the border give it away?",
}
"""By their anchors on the page."""


def question(anchor: str) -> None:
    """The heading of one part, which the links at the top lead to."""
    st.header(QUESTIONS[anchor], anchor=anchor)


st.title("Perturbations")
st.markdown(
    "**What exactly is added, and who can read it?** The same six questions for every attack. Everything is measured "
    "on the stored images, after rounding to 8 bits. Choose data and attack at the top."
)
choice = selection_chips(looks=True)
st.markdown(" · ".join(f"[{words}](#{anchor})" for anchor, words in QUESTIONS.items()))

question("change")
difference_view(choice)

question("size")
distortion_view(choice)

question("pattern")
mean_view(choice)

question("frequencies")
spectrum_view(choice)

question("linear")
if for_looking(choice.data):
    st.caption(one_each_words("A linear model needs"))
elif choice.look is None:
    separability_view(choice)
else:
    st.info(too_few(choice.look, "Linear models have to be fitted to hundreds of perturbations"))

question("border")
border_view(choice)
if for_looking(choice.data):
    st.caption(one_each_words("The edge detectors need"))
elif choice.look is None:
    edge_view(choice)
else:
    st.info(too_few(choice.look, "The edge detectors learn from one half of the images and judge the other"))
edge_notes(choice)
