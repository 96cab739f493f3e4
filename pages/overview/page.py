"""The page Overview: what this is, in three pictures, and the phenomenon at a glance."""

import streamlit as st

from pages.frame.navigation import script
from pages.overview.glance import glance, three_pictures

st.title("Why does unlearnable data work, and what breaks it?")
st.markdown(
    "Some people change their pictures a little before they publish them, so that a model trained on them scores high "
    "in training and "
    "**fails on clean pictures**: *unlearnable examples*, or availability poisons. Others try to undo it. "
    "Here you can see both at work, on photographs that come with the program: nothing is downloaded, no account, "
    "no GPU."
)
three_pictures()
glance()
st.divider()
st.page_link(script("attack/page.py"), label="**Attack**: see what is changed, kernel by kernel")
st.page_link(script("matrices/page.py"), label="**Matrices**: the same filter as a matrix, and what COIN makes of it")
st.page_link(script("defence/page.py"), label="**Defence**: pull COIN's slider and watch")
st.page_link(script("runs/page.py"), label="**Runs**: train it yourself")
