"""The pages, in one list, and the frame around each of them."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import streamlit as st

from pages.frame.chips import chips_row
from pages.frame.glossary import WORDS, term
from pages.frame.guard import guarded, plain
from pages.frame.hidden import seen
from pages.frame.provenance import forget_what_figures_are_about
from pages.frame.visitor import name_badge
from ued_core.assets import asset
from ued_core.figures.roles import stylesheet
from ued_core.home import unwritable

ROOT = Path(__file__).resolve().parents[2]


SIDEBAR_PX = 216
"""Width of the navigation, as narrow as its longest title allows."""


@dataclass(frozen=True)
class PageEntry:
    """One page.

    Attributes:
        file: its script below ``pages/``.
        title: in the navigation.
        address: empty for the first page.
        heading: the page's own first line.
        group: the heading in the navigation under which it stands; one of :data:`GROUPS`.
        words: keys of the glossary (:data:`pages.frame.glossary.WORDS`) that its texts use; listed at its top.
    """

    file: str
    title: str
    address: str
    heading: str
    group: str
    words: tuple[str, ...] = ()

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


LEARN, ATTACK, DEFEND, MEASURE, WORK = GROUPS = ("Learn", "Attack", "Defend", "Measure", "Work")
"""In the order in which a newcomer goes through them."""

PAGES: tuple[PageEntry, ...] = (
    PageEntry("overview/page.py", "Overview", "", "Pictures that teach a model nothing", LEARN,
              ("unlearnable", "shortcut", "perturbation", "filter", "key", "clean-accuracy", "coin", "seed")),
    PageEntry("glossary/page.py", "Glossary", "glossary", "Glossary", LEARN),
    PageEntry("attack/page.py", "Attack", "attack", "Attack", ATTACK,
              ("perturbation", "filter", "key", "epsilon", "crafting", "clean-accuracy", "coin")),
    PageEntry("perturbations/page.py", "Perturbations", "perturbations", "Perturbations", ATTACK,
              ("unlearnable", "shortcut", "perturbation", "filter", "key", "epsilon", "crafting", "coin")),
    PageEntry("clusters/page.py", "Clusters", "clusters", "Unlearnable Clusters", ATTACK,
              ("unlearnable", "shortcut", "perturbation", "crafting", "key", "clean-accuracy", "features", "umap",
               "nmi", "rate", "seed")),
    PageEntry("files/page.py", "Released files", "files", "Released files", ATTACK,
              ("unlearnable", "perturbation", "key", "crafting")),
    PageEntry("defence/page.py", "Defence", "defence", "Defence", DEFEND,
              ("shortcut", "perturbation", "filter", "key", "coin", "theta", "features", "umap", "left",
               "clean-accuracy", "seed")),
    PageEntry("dvae/page.py", "D-VAE", "dvae", "D-VAE", DEFEND,
              ("perturbation", "filter", "key", "poison-rate", "d-vae", "rate", "clean-accuracy", "seed")),
    PageEntry("staged/page.py", "Staged training", "staged", "Staged training", DEFEND,
              ("shortcut", "perturbation", "key", "staged", "acm", "clean-accuracy", "seed")),
    PageEntry("detection/page.py", "Detection", "detection", "Detection", MEASURE,
              ("perturbation", "key", "crafting", "poison-rate", "seed")),
    PageEntry("features/page.py", "Features", "features", "Features", MEASURE,
              ("shortcut", "key", "features", "umap", "nmi", "acm", "clean-accuracy", "seed", "staged")),
    PageEntry("matrices/page.py", "Matrices", "matrices", "Matrices", MEASURE,
              ("filter", "key", "coin", "theta")),
    PageEntry("theta/page.py", "Consistency Θ", "theta", "Consistency Θ", MEASURE,
              ("shortcut", "filter", "theta", "coin", "clean-accuracy", "key", "seed")),
    PageEntry("results/page.py", "Results", "results", "Results", MEASURE,
              ("unlearnable", "perturbation", "filter", "key", "crafting", "epsilon", "coin", "staged", "d-vae",
               "clean-accuracy", "features", "nmi", "seed")),
    PageEntry("runs/page.py", "Runs", "runs", "Runs", WORK,
              ("unlearnable", "perturbation", "key", "crafting", "poison-rate", "clean-accuracy", "seed")),
    PageEntry("studies/page.py", "Studies", "studies", "Studies", WORK,
              ("clean-accuracy", "key", "seed")),
)  # fmt: skip


def script(file: str) -> str:
    """A page's script as ``st.page_link`` and ``st.switch_page`` take it: relative names would start at the router's
    folder."""
    return str(ROOT / "pages" / file)


def show_words(entry: PageEntry) -> None:
    """The words of art on a page, each with its entry, one click away at the top of the page."""
    if not entry.words:
        return
    # Out of the flow (frame.css): it takes no room from the page.
    with (
        st.container(key="words_on_page"),
        st.popover("Words", icon=":material/dictionary:", type="tertiary", width="content"),
    ):
        st.markdown("\n\n".join(f"**{term(key)}**. {WORDS[key].text}" for key in entry.words))


def show_current_page() -> None:
    """Draw the navigation and run the page that the address names."""
    # A :material icon on a page makes the browser fetch its tab icon from a font server.
    st.set_page_config(page_icon=str(asset("icon.png")), layout="wide", initial_sidebar_state=SIDEBAR_PX)
    st.html(f"<style>{stylesheet()}{Path(__file__).with_name('frame.css').read_text('utf-8')}</style>")
    pages = {
        entry: st.Page(entry.path, title=entry.title, url_path=entry.address, default=not entry.address)
        for entry in PAGES
    }
    # All of them in sight: so many pages would be folded to ten otherwise.
    current = st.navigation(
        {group: [page for entry, page in pages.items() if entry.group == group] for group in GROUPS},
        position="sidebar",
        expanded=True,
    )
    st.logo(str(asset("logo.png")), icon_image=str(asset("icon.png")), size="large")
    name_badge()
    show_words(next(entry for entry, page in pages.items() if page == current))
    chips_row()
    forget_what_figures_are_about()
    with guarded():
        if problem := unwritable():
            st.warning(plain(seen(problem)))
        current.run()
