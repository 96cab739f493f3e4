"""The page Attack."""

import streamlit as st

st.title("Attack")
st.write(
    "An availability attack changes training images a little, so that a model trained on them fails on clean ones."
)
