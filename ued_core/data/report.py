"""What was skipped or changed while images were read, as a few lines for the user."""

from __future__ import annotations

from collections import Counter, defaultdict

from ued_core.data.names import readable

_NAMED = 3
_LONGEST = 80


class Unusable(Exception):
    """Why one image file is skipped; never leaves this package."""


class Report:
    """Counts what was skipped, converted and resized, and keeps the first names of each kind.

    Attributes:
        poison: what the images are known to hold, in words; empty where nothing says so.

    Args:
        clean: the images are known to hold no poison.
    """

    def __init__(self, clean: bool = False) -> None:
        self.poison = ""
        self._clean = clean
        self._skipped: dict[str, list[str]] = defaultdict(list)
        self._converted: Counter[str] = Counter()
        self._sizes: Counter[tuple[int, int]] = Counter()
        self._size = 0
        self._said: list[str] = []

    def skip(self, name: str, reason: str) -> None:
        """Note that ``name`` was skipped."""
        self._skipped[reason].append(name)

    def convert(self, what: str) -> None:
        """Note that one image was converted."""
        self._converted[what] += 1

    def resize(self, width: int, height: int, size: int) -> None:
        """Note that one image of ``width`` × ``height`` became ``size`` × ``size``."""
        self._size = size
        if (width, height) != (size, size):
            self._sizes[width, height] += 1

    def say(self, sentence: str) -> None:
        """Note anything else."""
        self._said.append(sentence)

    def lines(self) -> tuple[str, ...]:
        """What was skipped, then what was changed, one line a kind."""
        converted = [f"Converted {count:,}: {what}." for what, count in self._converted.items()]
        return (*self._said, *self.skipped(), *converted, *self._cut(), *self._resized())

    def skipped(self) -> tuple[str, ...]:
        """One line a reason, with a count and examples."""
        lines = []
        for reason, names in self._skipped.items():
            more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
            lines.append(
                f"Skipped {len(names):,}: {reason} ({', '.join(_short(name) for name in names[:_NAMED])}{more})."
            )
        return tuple(lines)

    def _cut(self) -> list[str]:
        lost = {size: 1 - min(size) / max(size) for size in self._sizes if size[0] != size[1]}
        if not lost:
            return []
        count = sum(self._sizes[size] for size in lost)
        mean = sum(self._sizes[size] * share for size, share in lost.items()) / count
        most = max(lost.values())
        how = f"{100 * most:.0f} %" if len(lost) == 1 else f"on average {100 * mean:.0f} %, at most {100 * most:.0f} %"
        return [f"Cut {count:,} to the centred square: {how} of a picture is left out."]

    def _resized(self) -> list[str]:
        changed = {size: count for size, count in self._sizes.items() if min(size) != self._size}
        if not changed:
            return []
        count = sum(changed.values())
        small, large = min(changed, key=lambda s: s[0] * s[1]), max(changed, key=lambda s: s[0] * s[1])
        before = _by(small) if len(changed) == 1 else f"{len(changed):,} sizes from {_by(small)} to {_by(large)}"
        enlarged = sum(count for size, count in changed.items() if min(size) < self._size)
        grown = "" if not enlarged else ", enlarged" if enlarged == count else f", {enlarged:,} of them enlarged"
        line = f"Resized {count:,}: {before} → {self._size} × {self._size}{grown}."
        return [line] if self._clean else [line, self._warning(changed)]

    def _warning(self, changed: dict[tuple[int, int], int]) -> str:
        held = (
            f"These images hold a poison ({self.poison}), and resizing"
            if self.poison
            else "If these images hold a poison, resizing"
        )
        only = next(iter(changed)) if len(changed) == 1 and len(self._sizes) == 1 else (0, 1)
        keep = (
            f" The size {only[0]} keeps the pixels as they are." if only[0] == only[1] and 8 <= only[0] <= 256 else ""
        )
        return f"{held} can take it out: a change of 8/255 from pixel to pixel is 0/255 at half the size.{keep}"


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} × {size[1]}"


def _short(name: str) -> str:
    name = readable(name)
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST // 2]}…{name[-_LONGEST // 2 :]}"
