"""Poison files of other programs: what they are, what their released loaders make of them, and writing our own.

:func:`detect` says what a file is, :func:`load` reads it, :meth:`Imported.onto` lays it on clean images by our
rule, :meth:`Imported.as_released` as a released loader does, :func:`compare` measures the two, and
:func:`export` writes a poisoned set with its :func:`recipe`. Nothing in a file is ever executed.

Source:
    The released code of the repositories named in ``FORMATS`` and ``RULES``.
"""

from ued_core.data.poison_files.comparison import Comparison, Imported, compare, detect, load
from ued_core.data.poison_files.export import ENDINGS, KINDS, export, recipe
from ued_core.data.poison_files.formats import FORMATS, Format
from ued_core.data.poison_files.loaders import AFTERWARDS, IMAGE_SCALES, NOISE_SCALES, RULES, Rule
from ued_core.data.poison_files.readers import state_of
from ued_core.data.poison_files.uploads import Kept, keep_upload, keep_uploads
from ued_core.data.poison_files.verdict import Found, Reading

__all__ = [
    "AFTERWARDS",
    "ENDINGS",
    "FORMATS",
    "IMAGE_SCALES",
    "KINDS",
    "NOISE_SCALES",
    "RULES",
    "Comparison",
    "Format",
    "Found",
    "Imported",
    "Kept",
    "Reading",
    "Rule",
    "compare",
    "detect",
    "export",
    "keep_upload",
    "keep_uploads",
    "load",
    "recipe",
    "state_of",
]
