"""One kind of artefact under the home: made once, whole or not there, checked when it is read, within a limit.

An artefact is a folder that is found again by what it was made from. Its ``card.json`` says what is known of it and has
the checksum of each of its other files: arrays (``.npy``) and groups of tensors (``.safetensors``). Beside it may lie
``.lock``, ``.draft`` or ``.work``, which belong to the process that makes it, and ``.early``, one whose making the user
ended.
"""

from __future__ import annotations

import functools
import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from safetensors import SafetensorError

from ued_core.artefacts.limits import (
    MOST_BYTES,
    Entry,
    entry,
    gigabytes,
    inside,
    limit,
    limit_words,
    make_room,
    removed_words,
    touch,
)
from ued_core.errors import DataError
from ued_core.files import folder_atomic, sha256_of, write_json
from ued_core.home import home
from ued_core.params import fingerprint

if TYPE_CHECKING:
    import numpy as np
    import torch

CARD = "card.json"
SUMS = "sha256"
"""In the card: file name → SHA-256, of an array's values or of another file's bytes."""
LOCK, DRAFT, WORK, EARLY = ".lock", ".draft", ".work", ".early"
ASK_S = 0.5
_DAMAGED = (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, SafetensorError, DataError)

T = TypeVar("T")


@dataclass(frozen=True)
class Artefact:
    """An artefact on the disk whose checksums are right.

    Attributes:
        folder: where it lies.
        card: what is known of it.
    """

    folder: Path
    card: dict[str, Any]

    def array(self, name: str) -> np.ndarray:
        """The array ``<name>.npy``, mapped privately: writing to it changes no file."""
        import numpy as np

        return np.load(self.folder / f"{name}.npy", mmap_mode="c", allow_pickle=False)

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        """The tensors of ``<name>.safetensors``, on the CPU."""
        from safetensors.torch import load_file

        return load_file(self.folder / f"{name}.safetensors")


@dataclass(frozen=True)
class Store:
    """All artefacts of one kind.

    Attributes:
        place: their folder below the home, such as ``"cache/data"``.
        what: what they are, a plural that begins a sentence.
        depth: 1 where the artefacts lie in that folder, 2 where they lie in folders of their recipe (:meth:`address`).
        most: bytes that they may take; None for those that the variable ``UED_CACHE_GB`` limits.
        most_entries: how many there may be.
        older_sums: checksums in the card of an earlier version of this program, as :data:`SUMS`; it may raise KeyError
            or TypeError. An artefact of which it knows none counts as damaged and is made again.
    """

    place: str
    what: str
    depth: int = 2
    most: int | None = MOST_BYTES
    most_entries: float = math.inf
    older_sums: Callable[[dict[str, Any]], dict[str, str]] = lambda card: {}

    def root(self) -> Path:
        """The folder of all of them; it is not made here."""
        return home() / self.place

    def address(self, key: str, recipe: Mapping[str, Any], name: str) -> Path:
        """Where an artefact is, or will be.

        Args:
            key: of the method that makes it.
            recipe: JSON-ready, everything that decides what the method makes of a set.
            name: names the set: its content hash; empty for the folder of all that the recipe makes.
        """
        return self.root() / f"{key}-{fingerprint(dict(recipe))}" / name

    def limit(self) -> int:
        """Bytes that they may take.

        Raises:
            ParameterError: ``UED_CACHE_GB`` is no positive number.
        """
        return limit() if self.most is None else self.most

    def card(self, folder: Path) -> dict[str, Any] | None:
        """What is known of an artefact, or None when it is not there; quick, for it checks no file but the card."""
        try:
            card = json.loads((folder / CARD).read_text(encoding="utf-8"))
            return card if self.sums(card) else None
        except _DAMAGED:
            return None

    def read(self, folder: Path, of: Callable[[Artefact], T | None]) -> T | None:
        """An artefact, or None when it is absent or damaged; reading is using it.

        Each file is compared with its checksum when it is first read in a process, and after every change.

        Args:
            folder: where it is.
            of: makes it of its files; it may raise what reading damaged files raises, or return None for one that does
                not fit.
        """
        try:
            card = json.loads((folder / CARD).read_text(encoding="utf-8"))
            for name, digest in self.sums(card).items():
                state = (folder / name).stat()
                _check(folder / name, digest, state.st_mtime_ns, state.st_size)
            found = of(Artefact(folder, card)) if self.sums(card) else None
        except _DAMAGED:
            return None
        if found is not None:
            touch(folder)
        return found

    def keep(
        self,
        folder: Path,
        card: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray] | None = None,
        tensors: Mapping[str, Mapping[str, torch.Tensor]] | None = None,
        *,
        replace: bool = False,
        parents: bool = True,
        more: Callable[[Path], None] = lambda fresh: None,
        tell: Callable[[str], None] = lambda sentence: None,
    ) -> Exception | None:
        """Keep an artefact, which appears whole or not at all, and make room for it.

        Args:
            folder: where.
            card: what is known of it, JSON-ready.
            arrays: name → array.
            tensors: name → a group of named tensors, on the CPU.
            replace: take the place of a sound one that is there; otherwise that one stays, as both are equal. A damaged
                one always goes.
            parents: whether all folders above are made; otherwise only the last one, where a missing one above it means
                that somebody deleted it.
            more: puts more files into the folder, which have no checksum.
            tell: called with what was removed to make room, as a sentence; only when something was.

        Returns:
            None, or why it could not be kept: a full or read-only disk is no error, for the work is done all the same.
        """
        try:
            folder.parent.mkdir(parents=parents, exist_ok=True)
            with folder_atomic(folder, lambda other: not replace and self._sound(other), parents=False) as fresh:
                sums = _written(fresh, arrays or {}, tensors or {})
                more(fresh)
                write_json(fresh / CARD, {**card, SUMS: sums})
        except (OSError, SafetensorError) as error:
            return error
        removed = self.make_room(folder)
        if removed:
            tell(removed)
        return None

    def once(
        self, folder: Path, read: Callable[[], T | None], make: Callable[[], T], waiting: Callable[[], None]
    ) -> tuple[T, Literal["before", "meanwhile", "now"]]:
        """What is kept, or what is made now by one process at a time.

        Args:
            folder: where it is, or will be.
            read: gives what is kept, or None; asked again once nobody else makes it.
            make: makes and keeps it.
            waiting: called about twice a second while another process makes it; may raise to stop waiting.

        Returns:
            It, and when it was made: before, meanwhile by another process, or now.
        """
        kept = read()
        if kept is not None:
            return kept, "before"
        with ExitStack() as stack:
            # A place that cannot be written has no lock, and nothing is kept there.
            with suppress(OSError, NotImplementedError):
                folder.parent.mkdir(parents=True, exist_ok=True)
                stack.enter_context(alone(folder.with_suffix(LOCK), waiting))
            kept = read()
            return (make(), "now") if kept is None else (kept, "meanwhile")

    def entries(self) -> list[Entry]:
        """All artefacts that are kept, and what crashes left of some."""
        folders = [self.root()] if self.depth == 1 else inside(self.root())
        found = [path for folder in folders for path in inside(folder)]
        return [entry(path) for path in found if path.suffix not in (LOCK, DRAFT, WORK)]

    def make_room(self, newest: Path) -> str:
        """Remove the ones not used longest until the rest is within the limit.

        Args:
            newest: stays, whatever it takes.

        Returns:
            What was removed, as a sentence; empty when nothing was.
        """
        removed = make_room(self.entries(), self.limit(), {newest}, most_entries=self.most_entries)
        bytes_ = limit_words() if self.most is None else gigabytes(self.most)
        may = bytes_ if math.isinf(self.most_entries) else f"{bytes_} and be at most {self.most_entries:,}"
        return removed_words(removed, self.what, may, self.root())

    def sums(self, card: Any) -> dict[str, str]:
        """The checksums of an artefact's files by name, which say what it holds."""
        return card[SUMS] if isinstance(card.get(SUMS), dict) else self.older_sums(card)

    def _sound(self, folder: Path) -> bool:
        return self.read(folder, lambda found: found) is not None


def _written(
    folder: Path, arrays: Mapping[str, np.ndarray], tensors: Mapping[str, Mapping[str, torch.Tensor]]
) -> dict[str, str]:
    """Write the files of an artefact; their checksums."""
    import numpy as np

    sums: dict[str, str] = {}
    for name, array in arrays.items():
        array = np.ascontiguousarray(array)
        np.save(folder / f"{name}.npy", array)
        sums[f"{name}.npy"] = sha256_of(array)
    for name, group in tensors.items():
        from safetensors.torch import save_file

        path = folder / f"{name}.safetensors"
        save_file({key: value.contiguous() for key, value in group.items()}, path)
        sums[path.name] = sha256_of(path)
    return sums


@contextmanager
def alone(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a lock between processes; it ends with the process that holds it.

    Args:
        path: the lock's file, in a folder that is there; it stays.
        waiting: called about twice a second while another process holds it; may raise to stop waiting.

    Raises:
        OSError: the file cannot be made.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    while True:
        try:
            lock.acquire(timeout=ASK_S)
            break
        except Timeout:
            waiting()
    try:
        yield
    finally:
        lock.release()


@functools.lru_cache(maxsize=256)
def _check(path: Path, digest: str, changed_ns: int, size: int) -> None:
    import numpy as np

    array = path.suffix == ".npy"
    if sha256_of(np.load(path, mmap_mode="r", allow_pickle=False) if array else path) != digest:
        raise ValueError(f"{path.name} in {path.parent.name} does not have the checksum it was written with")
