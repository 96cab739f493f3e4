"""The page Matrices: the same operator as kernel, matrix, singular values and frequency response."""

import numpy as np
import streamlit as st

from pages.frame.guard import guarded
from pages.matrices.views import (
    controls,
    download,
    kernel_view,
    matrix_view,
    response_view,
    singular_view,
    taps_view,
)
from pages.state.choice import Selection, protocol_line
from pages.state.selection import selection_chips


@st.fragment
def room(choice: Selection, kernels: np.ndarray | None) -> None:
    """Everything that follows the controls; the rest of the page is not run again then."""
    with guarded():
        shown, row = controls(choice, kernels)
        images, _ = choice.shown(1)
        own = images.labels.numpy() == list(choice.train.class_names).index(shown.label)
        left, right = st.columns([5, 6], gap="medium")
        with left:
            matrix_view(shown, row)
            singular_view(shown)
        with right:
            taps_view(shown, row, images.images[np.flatnonzero(own)[:1]])
            kernel_view(shown, row)
            response_view(shown)
        download(shown)
        st.caption(
            f"{protocol_line(choice)}. A matrix acts on one channel; the attack's division by the image's maximum is "
            "left out of it. COIN's border wraps, as in the paper's formula."
        )


st.title("Matrices")
st.markdown(
    "**The same operator as kernel, matrix, singular values and frequency response: what does COIN do to it?** "
    "Write an image as one long vector x; then attack and defence are matrices. A is the attack's, R is one random "
    "draw of COIN's, R·A is the attack with COIN after it, and E[R] is the average over all draws. Click a row or a "
    "pixel, and every picture follows."
)
choice = selection_chips(attacked=False)
kernels = choice.attack.kernels(choice.train.classes, choice.seed)
if kernels is None:
    st.info(f"{choice.attack.title} does not work by class kernels, so it has no matrix A. COIN's matrix R is shown.")
room(choice, kernels)
