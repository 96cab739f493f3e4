"""The page Studies: declared grids of runs, how far they are and what they say so far."""

from __future__ import annotations

import streamlit as st

from pages.frame.guard import plain
from pages.frame.hidden import seen
from pages.studies.views import go_where_asked, study_at, study_view
from pages.widgets.controls import pick
from ued_core.errors import UedError
from ued_core.studies.shelf import ships, study_files
from ued_core.studies.study import Study

go_where_asked()
st.title("Studies")
st.markdown(
    "A study is a grid of runs, attack × defence × any parameter, that is **declared before it is trained**: its "
    "seeds, and which conditions are compared. Runs that are there already count, whoever trained them."
)
files = study_files()
titles = {}
for name, path in files.items():
    try:
        # What ships is known to be right, and making all of its runs takes longer than the page.
        titles[name] = seen(Study.heading(path) if ships(path) else study_at(path).title or name)
    except UedError as error:
        st.warning(plain(seen(f"The study {name} is left out. {error}")))
if titles:
    first = "fashion" if "fashion" in titles else next(iter(titles))
    study_view(files[pick("Study", titles, key="study", default=first)])
else:
    st.info("There is no study. Put a file into the folder studies of the home.")
