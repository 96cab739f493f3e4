"""The page Glossary: the words that a newcomer has to be told, and what this is not."""

import streamlit as st

from pages.frame.glossary import LIKE_GLAZE, WORDS
from pages.frame.navigation import PAGES

st.title("Glossary")
st.markdown(
    f"**Which words does one need here?** These {len(WORDS)}. Every page lists the ones that it uses under *Words*, at "
    "its top."
)
with st.container(border=True):
    st.markdown(LIKE_GLAZE)
for key, word in WORDS.items():
    st.subheader(word.term, anchor=key)
    st.markdown(word.text)
    pages = [entry for entry in PAGES if key in entry.words]
    links = ", ".join(f"[{entry.title}]({entry.address or '.'})" for entry in pages)
    st.markdown(f":small[On {'the page' if len(pages) == 1 else 'the pages'} {links}.]")
