"""The one table of roles: which colour and which mark a kind of picture has, in every figure, tile, table and sentence.

Blue says that clean pictures are looked at, orange that poisoned ones are, green that a defence has acted. Violet is
what a reader can act on and stands for no data. The colours of classes lie away from those of the three kinds.

Plotly's figures hold the light colours as fixed strings, and the page replaces exactly these strings by the reader's
colours (:data:`CLIENT_COLOURS`); everything else on a page names the variables of :func:`stylesheet`. So both follow a
switch of the theme without being computed again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Role:
    """How one kind of picture looks.

    Attributes:
        mark: one character that stands before its name.
        light, dark: colour of marks and lines on either page, ``#rrggbb``.
        light_text, dark_text: colour of words; darker or brighter, so that small type is readable.
        symbol, dash: Plotly's marker and line.
        tint: how Streamlit's Markdown names the colour.
    """

    mark: str
    light: str
    dark: str
    light_text: str
    dark_text: str
    symbol: str
    dash: str
    tint: str


# Okabe and Ito's palette, in two brightnesses: told apart with every common colour-vision deficiency.
ROLES: Mapping[str, Role] = MappingProxyType(
    {
        "clean": Role("●", "#0a7abf", "#4aa8e8", "#0869a5", "#7cc3f2", "circle", "solid", "blue"),
        "poisoned": Role("✕", "#d55e00", "#f2853a", "#b04d00", "#f8a469", "x", "dash", "orange"),
        "defended": Role("◆", "#009e73", "#27bd92", "#007a59", "#52d3ad", "diamond", "solid", "green"),
        "control": Role("■", "#c2689b", "#d98cb8", "#a04a7b", "#e3a6c9", "square", "dot", "gray"),
        "neutral": Role("○", "#6c7079", "#98a0ad", "#566072", "#a3adbd", "circle-open", "dashdot", "gray"),
    }
)
PICTURES = ("clean", "poisoned", "defended")
"""The kinds of pictures; the other roles are controls beside them."""

CLASSES: tuple[tuple[str, str], ...] = (
    ("#8250c4", "#b08cf0"), ("#c2417c", "#f07cae"), ("#8c564b", "#c39a8e"), ("#b8930a", "#e0c04a"),
    ("#66758c", "#9fb0c8"), ("#a3324a", "#e07a8c"), ("#e07fc0", "#f3a6dc"), ("#3b4ba8", "#8b9cf5"),
    ("#8a9a2b", "#bccb62"), ("#35a6b8", "#6fd3e2"),
)  # fmt: skip
"""Light and dark colour of each of ten classes."""

SURFACES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "page": ("#f7f8fa", "#11151d"),
        "card": ("#ffffff", "#191f29"),
        "line": ("#dfe3ea", "#2d3543"),
        "ink": ("#1b2330", "#e7eaf1"),
        "soft": ("#566072", "#a3adbd"),
        "act": ("#4a47c2", "#a3a0ff"),
    }
)
"""The page around the pictures, light and dark: ``soft`` is for captions, ``act`` for what can be used."""

CLIENT_COLOURS: Mapping[str, str] = MappingProxyType(
    {
        **{role.light: name for name, role in ROLES.items()},
        **{light: f"class-{number}" for number, (light, _) in enumerate(CLASSES)},
    }
)
"""Fixed colour in a figure → the name behind ``--ued-`` of the reader's."""


def marked(role: str, words: str = "") -> str:
    """``● clean``: a role's mark before its name, or before other words."""
    return f"{ROLES[role].mark} {words or role}"


def tinted(role: str, words: str = "") -> str:
    """:func:`marked` in the role's colour, as Streamlit's Markdown; the words must be Markdown."""
    return f":{ROLES[role].tint}[{marked(role, words)}]"


def role_of(words: str) -> str:
    """The role of which the words are the name; empty when they are none's."""
    return words if words in ROLES else ""


def picture_role(*, poisoned: bool, defended: bool) -> str:
    """The role of what a model was trained on."""
    return "defended" if defended else "poisoned" if poisoned else "clean"


def stylesheet() -> str:
    """The colours as CSS variables, for both themes: ``--ued-clean``, ``--ued-clean-text``, ``--ued-class-0``,
    ``--ued-soft``, …

    Registered as colours, so that a script reads the one of the present theme and no formula.
    """
    pairs = {
        **{name: (role.light, role.dark) for name, role in ROLES.items()},
        **{f"{name}-text": (role.light_text, role.dark_text) for name, role in ROLES.items()},
        **{f"class-{number}": pair for number, pair in enumerate(CLASSES)},
        **SURFACES,
    }
    # Streamlit leaves out a style sheet in which anything looks like an element, so the bracket is escaped.
    known = "".join(
        f'@property --ued-{name} {{ syntax: "\\3c color>"; inherits: true; initial-value: {light}; }}\n'
        for name, (light, _) in pairs.items()
    )
    values = " ".join(f"--ued-{name}: light-dark({light}, {dark});" for name, (light, dark) in pairs.items())
    return f'{known}.stApp, [data-testid="stSidebar"] {{ {values} }}\n'
