"""The page Detection: how suspicious is a data set, and does a defence make it less so?"""

import streamlit as st

from pages.detection.evidence import evidence_view, known_failures
from pages.state.own_data import for_looking, one_each_words
from pages.state.selection import selection_chips
from pages.state.stack import main_control, stack_chip

st.title("Detection")
st.markdown(
    "**Would anybody notice?** Four tests that need nothing but the images and their labels, and one that has seen "
    "known attacks, on the "
    "clean set (the control that a victim does not have), on the poisoned one, and on what a defence leaves of it. "
    "None of them is proof: each says where it fails."
)
choice = selection_chips()
rest, draw = stack_chip()
stack = main_control(rest, named=True)
if for_looking(choice.data):
    st.info(one_each_words("The tests need"))
else:
    evidence_view(choice, stack, draw)
known_failures(choice)
