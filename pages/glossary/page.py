"""The page Glossary: the words that a newcomer has to be told, and what this is not."""

import streamlit as st

from pages.frame.glossary import ASKED, LIKE_GLAZE, WORDS
from pages.frame.navigation import PAGES


def entry(key: str) -> None:
    """One word: what it means, and the pages that use it."""
    st.subheader(WORDS[key].term, anchor=key)
    st.markdown(WORDS[key].text)
    pages = [page for page in PAGES if key in page.words]
    links = ", ".join(f"[{page.title}]({page.address or '.'})" for page in pages)
    st.markdown(f":small[On {'the page' if len(pages) == 1 else 'the pages'} {links}.]")


st.title("Glossary")
st.markdown(
    f"**Which words does one need here?** These {len(WORDS)}. Every page lists the ones that it uses under *Words*, at "
    "its top."
)
asked = st.query_params.get(ASKED, "")
if asked in WORDS:
    with st.container(border=True, key="asked"):
        entry(asked)
with st.container(border=True):
    st.markdown(LIKE_GLAZE)
for key in WORDS:
    if key != asked:
        entry(key)
