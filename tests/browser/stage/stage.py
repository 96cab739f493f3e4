"""A server with nothing but the parts under test: the live chart and the controls."""

import sys
from pathlib import Path

import streamlit as st

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[2]))

from pages.widgets.delivery import delivery_routes  # noqa: E402
from pages.widgets.paper_route import paper_route  # noqa: E402
from pages.widgets.plotly_route import plotly_route  # noqa: E402

app = st.App(HERE / "script.py", routes=[plotly_route(), paper_route(), *delivery_routes()])
