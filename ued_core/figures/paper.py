"""Figures for papers: a PDF of a drawn figure that keeps its lines and its letters, and says where it comes from."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ued_core.errors import DataError

COLUMN_MM, PAGE_MM = 84.0, 175.0
"""Usual widths of one column and of two."""
NARROWEST_MM, WIDEST_MM = 20.0, 400.0
MOST_BYTES = 16 << 20
# Everything that is told arrives as a value, so no text of a figure is read as markup.
_PAGE = b"""#let told = sys.inputs
#set document(title: told.title, author: "UED Studio", description: told.caption,
  keywords: told.keywords.split("\\n").filter(word => word != ""), date: none)
#set page(width: float(told.width) * 1mm, height: auto, margin: 0pt, fill: none)
#image(bytes(told.svg), format: "svg", width: 100%, alt: told.title)
"""
# Scripts that New Computer Modern, which comes with the library, does not have; before them come Latin, Greek, Cyrillic
# and marks.
_BEYOND = 0x2E80


def pdf_of(svg: str, width_mm: float, title: str, caption: str = "", keywords: Sequence[str] = ()) -> bytes:
    """One page of exactly the figure's size; fonts are embedded, text stays text.

    Args:
        svg: the drawn figure.
        width_mm: of the page; its height follows.
        title, caption, keywords: in the file's properties, as title, subject and keywords.

    Raises:
        DataError: the width is out of range, or the drawing is none or too large.
    """
    # A third of a second, and only who takes a figure along needs it.
    import typst

    if not NARROWEST_MM <= width_mm <= WIDEST_MM:
        raise DataError(
            f"The figure is to be {width_mm:g} mm wide, but it must be {NARROWEST_MM:g} to {WIDEST_MM:g} mm.",
            f"One column of a paper has {COLUMN_MM:g} mm, two have {PAGE_MM:g} mm.",
        )
    if len(svg) > MOST_BYTES:
        raise DataError(
            f"The drawing has {len(svg) >> 20} MiB, but a PDF is made of at most {MOST_BYTES >> 20} MiB.",
            "Take the PNG, or show fewer points.",
        )
    told = {
        # The heavy cross of the poisoned is in no text font.
        "svg": svg.replace("✕", "×"),
        "width": f"{width_mm:g}",
        "title": title,
        "caption": caption,
        "keywords": "\n".join(keywords),
    }
    ours = all(ord(letter) < _BEYOND for letter in svg)
    with tempfile.TemporaryDirectory() as nothing:
        page = Path(nothing) / "page.typ"
        page.write_bytes(_PAGE)
        try:
            # What TeX includes without a word; later versions bring a warning.
            made = typst.compile(page, root=page.parent, sys_inputs=told, ignore_system_fonts=ours, pdf_standards="1.5")
        except RuntimeError as error:
            raise DataError(f"No PDF can be made of this drawing: {error}", "Take the SVG.") from error
    assert isinstance(made, bytes)
    return made
