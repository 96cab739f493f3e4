"""The page D-VAE: what a rate limit lets through, what the class foretells, and training it."""

import streamlit as st

from pages.dvae.sets import measured_part, stages_part
from pages.dvae.training import training_part
from pages.dvae.views import nothing_there, rate_room, trained_for, whole_poisoned
from pages.state.selection import sidebar_selection
from ued_core.attacks import SynPer

st.title("D-VAE")
st.markdown(
    "**Can poisoned images be washed before anybody trains on them?** D-VAE trains an autoencoder that may keep only "
    "a few nats for "
    "each position: enough for what an image shows (x̂), too little for weak noise. A second decoder is told the "
    "class and may draw "
    "without limit what the class foretells (p̂). Stage 1 takes p̂ off the images; stage 2 does so again with a "
    "looser limit and passes them through itself. It needs no clean images. **Drag the limit and watch both.**"
)
choice = sidebar_selection(rates=True, opens_with=SynPer)
poisoned = whole_poisoned(choice)
trained = trained_for(choice, poisoned)
if trained:
    rate_room(choice, poisoned, trained)
else:
    nothing_there(choice)
stages_part(choice, poisoned)
training_part(choice, poisoned)
measured_part(choice)
