"""The page Consistency Θ: exact curves, trained models, and the one-dimensional experiment."""

import streamlit as st

from pages.state.selection import selection_chips
from pages.theta.curves import more_theta, real_images
from pages.theta.mixture import one_dimensional
from pages.theta.points import measured_points

st.title("Consistency Θ")
st.markdown(
    "**Why does shaking pixels break the shortcut?** COIN's authors answer with two numbers: how much the noise "
    "varies *within* a class ($\\Theta_{imi}$) and "
    "how alike it is *between* classes ($\\Theta_{imc}$). Their hypothesis: more of either gives more accuracy. "
    "Here it is tested three times."
)
choice = selection_chips(attacked=False)
points = measured_points(choice)
st.header("1. Do both metrics really rise under COIN?")
real_images(choice, points)
st.header("2. Does more Θ mean more accuracy?")
more_theta(choice, points)
st.header("3. The one-dimensional experiment, live")
one_dimensional(choice.seed)
