"""The page Defence."""

import streamlit as st

st.title("Defence")
st.write("A defence changes poisoned images back, or trains so that the poison has nothing to offer.")
