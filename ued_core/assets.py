"""Files that ship with the program: results, reference models, tables of papers, pictures."""

from __future__ import annotations

from pathlib import Path

PACKAGE = Path(__file__).resolve().parent
CHECKOUT = PACKAGE.parent


def in_checkout() -> bool:
    """Whether the package is read from a checkout, and not from an installed wheel."""
    return (CHECKOUT / "pyproject.toml").is_file() and (CHECKOUT / "assets").is_dir()


def asset(*parts: str) -> Path:
    """The path of a shipped file or folder, whether it is there or not.

    A checkout has them in ``assets/`` beside the package, a wheel in ``_assets/`` inside it.

    Args:
        parts: names below the folder of assets, e.g. ``"results", "attacks.json"``.
    """
    return (CHECKOUT / "assets" if in_checkout() else PACKAGE / "_assets").joinpath(*parts)
