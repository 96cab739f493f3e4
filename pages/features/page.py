"""The page Features: what a network makes of clean, poisoned and defended images, now and through its epochs."""

import streamlit as st

from pages.features.film import film_part
from pages.features.views import PER_CLASS, marks, plot_part, quality_part, scene_of, viewer_controls
from pages.frame.chips import chip
from pages.frame.guard import guarded
from pages.state.choice import Selection, protocol_line
from pages.state.own_data import for_looking, one_each_words
from pages.state.selection import selection_chips
from pages.state.stack import main_control, stack_chip
from pages.widgets.controls import parameter_control
from ued_core.defenses import DefenseStack


@st.fragment
def room(choice: Selection, stack: DefenseStack, draw: int, per_class: int) -> None:
    """Everything that follows the network, the layer and the marks."""
    with guarded():
        with st.container():
            marked = marks(choice)
        scene = scene_of(choice, stack, draw, per_class, marked)
        viewer = viewer_controls(choice)
        plot_part(scene, viewer, marked)
        quality_part(viewer)
        film_part(scene, viewer, marked)


st.title("Features")
st.markdown(
    "**What does the network see in an image, and what do the attack and the defence make of it?** "
    "Every point is one copy of an image, placed by what a layer of a network holds of it."
)
choice = selection_chips(looks=True)
rest, draw = stack_chip()
with chip("Strength and number"):
    stack = main_control(rest)
    per_class = PER_CLASS.default
    # Of a look all images are shown.
    if choice.look is None:
        per_class = parameter_control(PER_CLASS, key="per_class", default=PER_CLASS.default)
st.caption(protocol_line(choice))
if for_looking(choice.data):
    st.info(one_each_words("Clusters need"))
    st.stop()
room(choice, stack, draw, per_class)
