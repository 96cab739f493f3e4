"""The page Overview."""

import streamlit as st

st.title("Overview")
st.write("UED Studio shows why unlearnable data works and what breaks it.")
