"""Published data sets: what is known of one before its files are here, and how the files come here once."""

from __future__ import annotations

from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, NamedTuple

from ued_core.artefacts import alone
from ued_core.context import Context
from ued_core.data.base import Dataset
from ued_core.errors import Unavailable
from ued_core.home import home
from ued_core.params import param


class Publication(NamedTuple):
    """What the publisher says of a data set.

    Attributes:
        train: training images.
        test: test images.
        classes: classes.
        split: where the division into both parts comes from, as the end of a sentence.
        licence: licence and terms of use, as sentences.
        address: where it is published.
    """

    train: int
    test: int
    classes: int
    split: str
    licence: str
    address: str


class Published(Dataset):
    """A data set that somebody has published.

    Attributes:
        publication: its size, division, licence and address.
        place: where its files lie, as words.
        by_hand: what cannot be fetched, and where to get it, in sentences; empty where all can be.
    """

    publication: ClassVar[Publication]
    place: ClassVar[str] = "in the folder data of the program's home"
    by_hand: ClassVar[str] = ""

    @classmethod
    @abstractmethod
    def files(cls) -> tuple[str, ...]:
        """What must lie in that place, as words for a message."""

    @classmethod
    def about(cls) -> str:
        """Size, division, licence and files, in sentences."""
        told = cls.publication
        by_hand = f" {cls.by_hand}" if cls.by_hand else ""
        return (
            f"{told.train:,} training and {told.test:,} test images in {told.classes:,} classes; {told.split}. "
            f"Licence: {told.licence} Files, {cls.place}: {', '.join(cls.files())}.{by_hand} Publisher: {told.address}"
        )

    def _advice(self, root: Path) -> str:
        by_hand = f" {self.by_hand}" if self.by_hand else ""
        return f"Put {' and '.join(self.files())} into {root}.{by_hand} The publisher is {self.publication.address}"


class Fetched(Published):
    """A published data set whose files can be fetched into the folder ``data`` of the program's home."""

    download: bool = param(True, "Fetch the files from their publisher when they are not here.", quick=False)

    @abstractmethod
    def _complete(self, root: Path) -> bool:
        """Whether everything that is read is in the folder."""

    @abstractmethod
    def _obtain(self, root: Path, ctx: Context) -> None:
        """Bring the missing files into the folder, or raise :class:`Unavailable`."""

    def _present(self, ctx: Context) -> Path:
        """The data folder, with all files; they are fetched first when they are missing and may be fetched."""
        root = data_folder()
        if not self._complete(root):
            root.mkdir(parents=True, exist_ok=True)
            waiting = "Waiting for another process that fetches the same files"
            with alone(root / f".{self.key}.lock", lambda: ctx.report(0, 1, waiting)):
                if not self._complete(root):
                    self._obtain(root, ctx)
        return root

    def _missing(self, root: Path) -> Unavailable:
        return Unavailable(
            f"The files of {self.title} are missing in {root} or damaged, and downloading is switched off.",
            self._advice(root),
        )


def data_folder() -> Path:
    """Where the files of published sets lie."""
    return home() / "data"
