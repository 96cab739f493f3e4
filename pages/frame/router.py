"""The script that Streamlit runs for every visit, whatever the address.

It lies in a folder of its own because Streamlit takes ``pages/`` beside its main script for a
list of pages, and would run one of them without this frame on a first visit.
"""

import sys
from pathlib import Path

ROOT = str(Path(__file__).resolve().parents[2])
if ROOT not in sys.path:
    sys.path.insert(0, ROOT)

from pages.frame.navigation import show_current_page  # noqa: E402

show_current_page()
