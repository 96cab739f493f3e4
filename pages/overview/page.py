"""The page Overview: what this is in two sentences and three pictures, the slider of the third, and a training."""

import streamlit as st

from pages.frame.navigation import script
from pages.overview.glance import glance
from pages.overview.story import story, training

st.title("Pictures that teach a model nothing")
st.markdown(
    "Artists can alter their pictures slightly before publishing them, so that a model trained on them looks perfect "
    "in training, yet fails on ordinary ones. Here you can watch that trick work, and break it: **drag the slider in "
    "picture 3**."
)
stack = story()
training(stack)
st.caption("Everything runs on this computer: no download, no account, no GPU.")
first, second, third, fourth = st.columns(4)
for place, (file, question, answer) in zip(
    (first, second, third, fourth),
    (
        ("attack/page.py", "What was changed?", "Every filter, pixel by pixel"),
        ("detection/page.py", "Would anybody notice?", "Five tests for poisoned data"),
        ("defence/page.py", "What breaks it?", "Each defence, alone or stacked"),
        ("results/page.py", "Does it hold?", "Every attack, every defence, measured"),
    ),
    strict=True,
):
    with place, st.container(border=True, key=f"card_{file.split('/')[0]}"):
        st.page_link(script(file), label=f"**{question}**")
        st.caption(answer)
glance()
