"""One slider moves one curve."""

import numpy as np
import plotly.graph_objects as go
import streamlit as st

from pages.widgets.live_chart import live_chart
from ued_core.figures.theme import base_layout

st.set_page_config(layout="wide")
strength = st.slider("Strength α (px)", 0.0, 6.0, 2.0, step=0.05)
x = np.linspace(0, 6, 49)
curve = go.Scatter(x=x, y=np.sin(x * strength), mode="lines+markers")
live_chart(go.Figure(curve, layout=base_layout()), key="theta", height=430, alt=f"A curve for {strength:.2f}")
