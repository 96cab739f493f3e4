"""The floor under every interaction: a server with one slider and one chart, made with the app's own parts."""

import sys
from pathlib import Path

import streamlit as st

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

from pages.widgets.plotly_route import plotly_route  # noqa: E402

app = st.App(HERE / "script.py", routes=[plotly_route()])
