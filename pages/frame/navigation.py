"""The pages, in one list, and the frame around each of them."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pages.frame.guard import guarded, plain
from pages.frame.hidden import seen
from pages.frame.visitor import name_badge
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

    def load(self) -> None:
        """Import what the script imports, without drawing the page: its own imports are then quick."""
        for node in ast.parse(self.path.read_text("utf-8")).body:
            match node:
                case ast.Import():
                    for alias in node.names:
                        __import__(alias.name)
                case ast.ImportFrom(module=str(module)):
                    # With the names, "from ued_core import runs" loads the module of that name too.
                    __import__(module, fromlist=[alias.name for alias in node.names])


PAGES: tuple[PageEntry, ...] = (
    PageEntry("overview/page.py", "Overview", "", "Why does unlearnable data work, and what breaks it?"),
    PageEntry("attack/page.py", "Attack", "attack", "Attack"),
    PageEntry("perturbations/page.py", "Perturbations", "perturbations", "Perturbations"),
    PageEntry("detection/page.py", "Detection", "detection", "Detection"),
    PageEntry("matrices/page.py", "Matrices", "matrices", "Matrices"),
    PageEntry("theta/page.py", "Consistency Θ", "theta", "Consistency Θ"),
    PageEntry("defence/page.py", "Defence", "defence", "Defence"),
    PageEntry("dvae/page.py", "D-VAE", "dvae", "D-VAE"),
    PageEntry("staged/page.py", "Staged training", "staged", "Staged training"),
    PageEntry("features/page.py", "Features", "features", "Features"),
    PageEntry("clusters/page.py", "Clusters", "clusters", "Unlearnable Clusters"),
    PageEntry("files/page.py", "Files", "files", "Files"),
    PageEntry("results/page.py", "Results", "results", "Results"),
    PageEntry("runs/page.py", "Runs", "runs", "Runs"),
    PageEntry("studies/page.py", "Studies", "studies", "Studies"),
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
    # All of them in sight: fifteen pages would be folded to ten otherwise.
    current = st.navigation(entries, position="sidebar", expanded=True)
    st.logo(str(asset("logo.png")), icon_image=str(asset("icon.png")), size="large")
    name_badge()
    with guarded():
        if problem := unwritable():
            st.warning(plain(seen(problem)))
        current.run()
