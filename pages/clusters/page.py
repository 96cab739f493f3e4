"""The page Unlearnable Clusters: groups, shifts, noise, learning and effect of the attack that looks at no label."""

import streamlit as st

from pages.clusters.effects import effect_part, strength_line
from pages.clusters.views import room, variant_line
from pages.state.choice import protocol_line
from pages.state.selection import selection_chips
from ued_core.attacks import UnlearnableClusters

st.title("Unlearnable Clusters")
st.markdown(
    "**How can images be protected from training when nobody knows which labels they will get?** Most attacks put one "
    "perturbation on each "
    "*class*. Unlearnable Clusters lets a frozen encoder divide the images into *clusters* and puts one noise on each "
    "of those. Whatever the labels are, if they resemble the clusters, the noise is a shortcut."
)
choice = selection_chips(attacked=False, only=UnlearnableClusters)
st.caption(f"{protocol_line(choice)}")
st.markdown(variant_line(choice))
strength_line(choice)
room(choice)
effect_part(choice.dataset)
