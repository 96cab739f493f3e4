"""What a poison file is, in words, and what a reader may insist on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from ued_core.data.poison_files.formats import FORMATS
from ued_core.data.poison_files.loaders import IMAGE_SCALES, NOISE_SCALES
from ued_core.errors import ParameterError

LAYOUTS = ("NCHW", "NHWC")
CONTENTS = ("noise", "images")
PER = ("sample", "class", "cluster", "pool")
_PER_WORDS = {
    "sample": "one per training image",
    "class": "one per class",
    "cluster": "one per cluster",
    "pool": "a pool of each class",
}


@dataclass(frozen=True)
class Reading:
    """What the reader of a file insists on; empty fields are detected.

    Attributes:
        format: key of :data:`FORMATS`.
        content: ``noise`` or ``images``.
        layout: ``NCHW`` or ``NHWC``.
        scale: a key of ``NOISE_SCALES`` or ``IMAGE_SCALES``.
        per: ``sample``, ``class``, ``cluster`` or ``pool`` (of each class, in its order).
        radius: clip the noise to this many levels of 1/255 first; None takes the format's own.

    Raises:
        ParameterError: a value that does not exist.
    """

    format: str = ""
    content: str = ""
    layout: str = ""
    scale: str = ""
    per: str = ""
    radius: float | None = None

    def __post_init__(self) -> None:
        allowed = {
            "format": tuple(FORMATS),
            "content": CONTENTS,
            "layout": LAYOUTS,
            "scale": (*NOISE_SCALES, *IMAGE_SCALES),
            "per": PER,
        }
        for name, known in allowed.items():
            value = getattr(self, name)
            if value and value not in known:
                raise ParameterError(
                    f"{name} is {value!r}, but it must be one of {', '.join(map(repr, known))}.", "Or leave it empty."
                )
        if self.radius is not None and not 0 < self.radius <= 255:
            raise ParameterError(f"radius is {self.radius!r}, but it must be a number above 0 and at most 255.")


@dataclass(frozen=True)
class Found:
    """What a poison file is.

    Attributes:
        name: of the file.
        format: key of :data:`FORMATS`.
        content: ``noise`` to be added, or whole ``images``.
        layout: of the file, ``NCHW`` or ``NHWC``.
        scale: unit of its values.
        per: what one entry is for: a ``sample``, a ``class``, a ``cluster``, or one of a class's ``pool``.
        shape: (entries, channels, height, width).
        sets: how many sets a 5-D file has; 1 otherwise. The first is used.
        dtype: of the file.
        low, high: smallest and largest value, in the file's unit.
        radius: largest size of noise, in 1/255; None for images.
        clip: the noise is clipped to this many 1/255 before use; None when it is not.
        negative_rate: share of negative values; None for images.
        order: what decides which training image an entry is for, in words.
        has_labels: whether labels came with it.
        missing: what the file does not say, in words.
        notes: what was guessed or noticed, in words.
    """

    name: str
    format: str
    content: str
    layout: str
    scale: str
    per: str
    shape: tuple[int, int, int, int]
    sets: int
    dtype: str
    low: float
    high: float
    radius: float | None
    clip: float | None
    negative_rate: float | None
    order: str
    has_labels: bool
    missing: tuple[str, ...]
    notes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    @property
    def scale_words(self) -> str:
        """The unit in words."""
        return NOISE_SCALES[self.scale] if self.content == "noise" else IMAGE_SCALES[self.scale]

    def rows(self) -> list[tuple[str, str]]:
        """The report: what, and what it is."""
        form = FORMATS[self.format]
        entries, channels, height, width = self.shape
        per = _PER_WORDS[self.per]
        values = f"{self.low:.4g} to {self.high:.4g}, read as {self.scale_words}"
        if self.radius is not None:
            values += f"; largest size {self.radius:.4g}/255, {100 * (self.negative_rate or 0):.1f} % negative"
        rows = [
            ("Format", f"{form.title}: {form.writes} ({form.source})"),
            ("Content", f"{'noise to be added' if self.content == 'noise' else 'whole poisoned images'}, {per}"),
            ("Entries", f"{entries:,} of {channels} × {height} × {width}, stored as {self.layout}, {self.dtype}"),
            ("Values", values),
            ("Order", self.order),
        ]
        if self.clip is not None:
            rows.append(("Bound", f"clipped to ±{self.clip:g}/255 before it is added"))
        if self.sets > 1:
            drawn = ", EM's loader draws one at random for each image" if self.content == "noise" else ""
            rows.append(("Sets", f"{self.sets} sets of {self.content}; the first is used{drawn}"))
        rows.extend(("Missing", line) for line in self.missing)
        rows.extend(("Note", line) for line in self.notes)
        return rows

    def summary(self) -> str:
        """What it is, in one line."""
        entries, channels, height, width = self.shape
        content = "noise" if self.content == "noise" else "whole images"
        labels = " with labels" if self.has_labels else ""
        return (
            f"{FORMATS[self.format].title}: {content}{labels}, {_PER_WORDS[self.per]}, {entries:,} of {channels} × "
            f"{height} × {width}"
        )

    def lines(self) -> list[str]:
        """The report as plain lines."""
        return [f"{what:<8} {told}" for what, told in self.rows()]
