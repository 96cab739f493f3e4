"""Which poison file the page looks at: an example, uploads, or a path; what each upload is, and its content."""

from __future__ import annotations

import functools
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from pages.frame.cache import Shelf, key_of
from pages.frame.guard import plain
from pages.frame.hidden import seen
from pages.frame.visitor import who
from pages.state.choice import Selection
from pages.widgets.controls import parameter_control, pick, segments
from pages.widgets.path_upload import make_room_for
from ued_core.attacks import Attack
from ued_core.context import Context
from ued_core.data.poison_files import Imported, Kept, Reading, export, keep_uploads, load, recipe, state_of
from ued_core.data.room import touch_upload
from ued_core.errors import DataError, NotAllowed, UedError
from ued_core.home import home
from ued_core.params import Parameter, fingerprint
from ued_core.records import ImageSet

SOURCES = {"example": "The attack chosen at the top", "upload": "Upload", "path": "Path on the server"}
PATH = Parameter(
    name="path", label="path", kind="text", default="",
    help="A file, a zip or a folder on the machine that runs UED Studio. Label files are found when they lie "
         "beside it.",
)  # fmt: skip
EXAMPLE_PER_CLASS = 20
_STATE_KEPT_S = 5.0
_TOLD_EVERY_S = 0.2


@dataclass(frozen=True)
class Chosen:
    """A file to look at, and the clean images that it is for."""

    path: Path
    images: ImageSet


def chosen_file(choice: Selection, reading: Reading) -> Chosen | None:
    """Let the reader name a file; None until there is one that can be read."""
    sources = SOURCES if who().owner else {name: words for name, words in SOURCES.items() if name != "path"}
    source = segments(
        "File", sources, key="from", default="example", help="Files are read as data; nothing in them is ever executed."
    )
    if source == "example":
        images, _ = choice.shown(EXAMPLE_PER_CLASS)
        st.caption(
            f"{choice.attack.title} on {len(images)} images of {plain(choice.dataset.title)}, written the way EM "
            "publishes its noise. Take it as an example, then try files of your own."
        )
        return Chosen(Path(_example(images, choice.attack, choice.seed, str(home()))), images)
    if source == "upload":
        return _uploaded(choice, reading)
    if not who().owner:
        raise NotAllowed("Visitors name no path of the server.", "Upload the file instead.")
    text = parameter_control(PATH, key="path", default="")
    if not text.strip():
        return None
    try:
        return Chosen(Path(text.strip()).expanduser(), choice.train)
    except RuntimeError as error:
        raise DataError(f"{text.strip()!r} is no path: {error}.", "Check the path.") from error


def _example(images: ImageSet, attack: Attack, seed: int, root: str) -> str:
    """The attack's noise on a few images as EM's perturbation.pt; a path, as text."""
    name = key_of(_example, images, attack, seed).rpartition(":")[2]
    path = Path(root) / "imports" / "files" / f"example-{name}" / "perturbation.pt"
    try:
        if not path.is_file():
            poisoned = attack.preview(images, seed)
            export(poisoned, "em", path, recipe(poisoned))
    except OSError as error:
        raise DataError(
            f"The example cannot be written into the folder of UED Studio: {error.strerror or type(error).__name__}.",
            "Make room on the disk, or make the folder writable; files given by path can be read all the same.",
        ) from error
    touch_upload(path)
    make_room_for(path)
    return str(path)


# ---- uploads ---------------------------------------------------------------------------------


def _uploaded(choice: Selection, reading: Reading) -> Chosen | None:
    """The upload to look at; of several, one line each says what was read and why the others were not."""
    uploads = st.file_uploader(
        "Poison files, with their label files or other parts if "
        "there are any", accept_multiple_files=True, key="files_upload",
        help="What belongs together is read together: x_train….npy with y_train….npy, perturbation_….pth with their "
             "clusters, "
        "PNG files. All other files are read one by one.",
    )  # fmt: skip
    if not uploads:
        return None
    kept = _kept(uploads)
    if len(kept) == 1:
        return Chosen(kept[0].path, choice.train)
    verdicts = [_verdict(one, choice.train, reading) for one in kept]
    lines = []
    for one, (good, told) in zip(kept, verdicts, strict=True):
        word = "**read**" if good else "**refused**"
        lines.append(f"| {plain(one.title)} | {word} | {plain(seen(told))} |")
        beside = one.names[1:] if one.path.is_file() else ()
        lines.extend(f"| {plain(name)} | {word} | with {plain(one.title)}: its labels |" for name in beside)
    st.markdown("\n".join([f"| {len(uploads)} files | | |", "|---|---|---|", *lines]))
    read = {str(place): one.title for place, (one, (good, _)) in enumerate(zip(kept, verdicts, strict=True)) if good}
    if not read:
        return None
    chosen = pick("Look at", read, key="files_one", default=next(iter(read))) if len(read) > 1 else next(iter(read))
    return Chosen(kept[int(chosen)].path, choice.train)


def _kept(uploads: Sequence[UploadedFile]) -> list[Kept]:
    """The uploads on the disk; written once, not with every rerun."""
    named = fingerprint([[upload.name, upload.file_id] for upload in uploads])
    before = st.session_state.get("files_kept")
    if before is None or before[0] != named or not all(one.path.exists() for one in before[1]):
        contents = [(upload.name, upload.getvalue()) for upload in uploads]
        st.session_state["files_kept"] = before = (named, keep_uploads(contents, home() / "imports" / "files"))
    for one in before[1]:
        touch_upload(one.path)
        make_room_for(one.path)
    return before[1]


@functools.cache
def _verdicts() -> Shelf:
    return Shelf(128)


def _verdict(one: Kept, images: ImageSet, reading: Reading) -> tuple[bool, str]:
    """Whether an upload was read, and a line that says what it is or why not."""

    try:
        return True, _verdicts().get(
            _named(one.path, images, reading), lambda: loaded(Chosen(one.path, images), reading).found.summary()
        )
    except UedError as error:
        return False, f"{error.what} {error.do}".strip()


# ---- content ---------------------------------------------------------------------------------


@functools.cache
def _contents() -> Shelf:
    return Shelf(3)


def _named(path: Path, images: ImageSet, reading: Reading) -> str:
    asked = [reading.format, reading.content, reading.layout, reading.scale, reading.per, reading.radius]
    return fingerprint([str(path).encode("utf-8", "surrogateescape").hex(), _state(path), images.content_hash, asked])


def _state(path: Path) -> str:
    """What changes when the file does; a folder is not walked again with every rerun."""
    kept = st.session_state.setdefault("files_states", {})
    at, state = kept.get(str(path), (0.0, ""))
    if not state or time.monotonic() - at > _STATE_KEPT_S:
        with _telling("Looking at the file …") as ctx:
            state = state_of(path, ctx)
        while len(kept) > 32:
            kept.pop(next(iter(kept)))
        kept[str(path)] = (time.monotonic(), state)
    return state


class _telling:
    """A line that says how far the work is; drawing it also ends the work when the reader has moved on."""

    def __init__(self, text: str) -> None:
        self.text, self.last = text, time.monotonic()

    def __enter__(self) -> Context:
        self.place = st.empty()
        return Context(on_report=self._report)

    def __exit__(self, *_: object) -> None:
        self.place.empty()

    def _report(self, done: float, total: float, text: str) -> None:
        if time.monotonic() - self.last > _TOLD_EVERY_S:
            self.last = time.monotonic()
            self.place.caption(plain(text or self.text))


def loaded(chosen: Chosen, reading: Reading) -> Imported:
    """The file's content; large files take seconds, which the page says.

    Raises:
        UedError: it cannot be read.
    """

    def make() -> Imported:
        with st.spinner("Reading the file …"), _telling("Reading …") as ctx:
            return load(chosen.path, chosen.images, reading, ctx)

    return _contents().get(_named(chosen.path, chosen.images, reading), make)
