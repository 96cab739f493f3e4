"""The pages, in one list, and the frame around each of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pages.shared.guard import guarded, plain
from pages.shared.hidden import seen
from pages.shared.visitor import name_badge
from ued_core.assets import asset
from ued_core.home import unwritable

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class PageEntry:
    """One page: its file below ``pages/``, its title in the navigation, its address (empty for the first page), its
    heading."""

    file: str
    title: str
    address: str
    heading: str

    @property
    def path(self) -> Path:
        """The script that draws it."""
        return ROOT / "pages" / self.file


PAGES: tuple[PageEntry, ...] = (
    PageEntry("overview.py", "Overview", "", "Why does unlearnable data work, and what breaks it?"),
    PageEntry("attack.py", "Attack", "attack", "Attack"),
    PageEntry("perturbations.py", "Perturbations", "perturbations", "Perturbations"),
    PageEntry("detection.py", "Detection", "detection", "Detection"),
    PageEntry("matrices.py", "Matrices", "matrices", "Matrices"),
    PageEntry("theta.py", "Consistency Θ", "theta", "Consistency Θ"),
    PageEntry("defence.py", "Defence", "defence", "Defence"),
    PageEntry("dvae.py", "D-VAE", "dvae", "D-VAE"),
    PageEntry("staged.py", "Staged training", "staged", "Staged training"),
    PageEntry("features.py", "Features", "features", "Features"),
    PageEntry("clusters.py", "Clusters", "clusters", "Unlearnable Clusters"),
    PageEntry("files.py", "Files", "files", "Files"),
    PageEntry("results.py", "Results", "results", "Results"),
    PageEntry("runs.py", "Runs", "runs", "Runs"),
)


def script(file: str) -> str:
    """A page's script as ``st.page_link`` and ``st.switch_page`` take it: relative names would start at the router's
    folder."""
    return str(ROOT / "pages" / file)


def show_current_page() -> None:
    """Draw the navigation and run the page that the address names."""
    # A :material icon on a page makes the browser fetch its tab icon from a font server.
    st.set_page_config(page_icon=str(asset("icon.png")), layout="wide")
    st.html(Path(__file__).with_name("frame.css"))
    entries = [
        st.Page(entry.path, title=entry.title, url_path=entry.address, default=not entry.address) for entry in PAGES
    ]
    # All of them in sight: fourteen pages would be folded to ten otherwise.
    current = st.navigation(entries, position="sidebar", expanded=True)
    st.logo(str(asset("logo.png")), icon_image=str(asset("icon.png")), size="large")
    name_badge()
    with guarded():
        if problem := unwritable():
            st.warning(plain(seen(problem)))
        current.run()
