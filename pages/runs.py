"""The page Runs."""

import streamlit as st

st.title("Runs")
st.write("Every training run works in a process of its own and outlives this page.")
