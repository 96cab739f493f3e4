"""The page D-VAE: what passes a bottleneck, what the class alone gives away, and training it."""

import streamlit as st

from pages.dvae.sets import measured_part, stages_part
from pages.dvae.training import training_part
from pages.dvae.views import nothing_there, rate_room, trained_for, whole_poisoned
from pages.state.selection import selection_chips
from ued_core.attacks import SynPer

st.title("D-VAE")
st.markdown(
    "**Can poisoned images be washed before anybody trains on them?** D-VAE squeezes each image through a bottleneck "
    "too narrow for weak noise (reconstruction x̂). A second decoder sees only the class and draws whatever all images "
    "of that class share: the poison (p̂). Subtract p̂ (stage 1), squeeze what is left once more (stage 2), and the "
    "image is cleaner, though nobody had a clean one to compare with. **Drag the limit and watch both.**"
)
choice = selection_chips(rates=True, opens_with=SynPer)
poisoned = whole_poisoned(choice)
trained = trained_for(choice, poisoned)
if trained:
    rate_room(choice, poisoned, trained)
else:
    nothing_there(choice)
stages_part(choice, poisoned)
training_part(choice, poisoned)
measured_part(choice)
