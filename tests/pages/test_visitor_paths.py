"""A visitor crawls every page, with links that name paths and files that break, and never reads where anything lies."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from streamlit.testing.v1 import AppTest

from pages.frame import visitor
from pages.frame.hidden import HIDDEN, seen, without_paths
from pages.frame.navigation import PAGES, ROOT
from ued_core.context import Context
from ued_core.data import DATASETS
from ued_core.data.handles import PREFIX
from ued_core.data.uploads import keep_files
from ued_core.person import OWNER, Person

ADA = Person("ada", "Ada")
SMALL = {"data_shapes_train_size": "200", "data_shapes_test_size": "100"}


@pytest.fixture
def as_ada(monkeypatch: pytest.MonkeyPatch) -> None:
    """The reader is a visitor, as the door would say."""
    monkeypatch.setenv("UED_SERVED", "1")
    monkeypatch.setattr(visitor, "NOBODY", ADA)


def secrets_of(home: Path) -> list[str]:
    """What no page may show a visitor."""
    return [str(home), str(home.resolve()), str(ROOT), str(Path.home()), "/etc/", "hushhush"]


def everything(page: AppTest, link: dict[str, str] | None = None) -> str:
    """All that the page sent, and what it added to the address of the link."""
    sent = page._tree.__repr__() + " ".join(
        str(element.proto) for block in page._tree.children.values() for element in walk(block)
    )
    added = {name: value for name, value in page.query_params.items() if (link or {}).get(name) not in (value, *value)}
    return sent + " ".join(f"{name}={value}" for name, value in added.items())


def walk(block: object) -> Iterator[object]:
    for child in getattr(block, "children", {}).values():
        if hasattr(child, "children"):
            if getattr(child, "proto", None) is not None:
                yield child
            yield from walk(child)
        else:
            yield child


@pytest.fixture
def private(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of images of the owner that no link may open."""
    root = tmp_path_factory.mktemp("hushhush")
    for name in ("cat", "dog"):
        (root / name).mkdir()
        for number in range(3):
            Image.fromarray(np.full((16, 16, 3), 40 * number, np.uint8)).save(root / name / f"{number}.png")
    np.save(root / "hushhush.npy", np.zeros((2, 3, 8, 8), np.float32))
    return root


def hostile(private: Path) -> dict[str, str]:
    """A link that names the folder in every parameter that could take it."""
    named = {
        "from": "path",
        "path": str(private / "hushhush.npy"),
        "run": str(private),
        "compare": f"{private},../../etc",
    }
    for name, data in DATASETS.items():
        for parameter in data.parameters():
            if parameter.path:
                named |= {f"{key}_{name}_{parameter.name}": str(private) for key in ("data", "new_data")}
    return named


def links(private: Path, page: str) -> list[dict[str, str]]:
    named = hostile(private)
    by_path = [name for name, data in DATASETS.items() if any(p.path for p in data.parameters())]
    found = [SMALL, *({**named, "data": name, "new_data": name} for name in by_path)]
    if page == "files":
        named_here = (str(private / "hushhush.npy"), "/etc/passwd", "~", "/proc/self/environ")
        found += [{**SMALL, "from": "path", "path": path} for path in named_here]
    if page == "runs":
        found += [
            {"view": "new", "new_data": name, **{k: v for k, v in named.items() if k.startswith("new_")}}
            for name in by_path
        ]
        found += [{"run": str(private)}, {"compare": str(private)}]
    return [{k: v for k, v in link.items() if k not in ("run", "compare") or page == "runs"} for link in found]


@pytest.mark.parametrize("address", [entry.address for entry in PAGES])
def test_no_page_shows_a_path(open_page, as_ada, tmp_path: Path, private: Path, address: str) -> None:
    for link in links(private, address):
        page = open_page(address, link)
        told = everything(page, link)
        assert len(told) > 500
        for secret in secrets_of(tmp_path):
            assert secret not in told.replace(PREFIX, ""), f"{address} {link}"
        assert not any("bug in UED Studio" in error.value for error in page.error), f"{address} {link}"


def test_the_owner_of_the_same_server_sees_the_folder(
    open_page, monkeypatch: pytest.MonkeyPatch, private: Path
) -> None:
    """The crawl would find a path: the owner's page has it."""
    monkeypatch.setenv("UED_SERVED", "1")
    monkeypatch.setattr(visitor, "NOBODY", OWNER)
    page = open_page("attack", {"data": "folder", "data_folder_path": str(private)})
    assert str(private) in everything(page)
    assert not page.error


def test_a_link_to_a_path_is_refused_in_words(open_page, as_ada, private: Path) -> None:
    page = open_page("attack", {"data": "folder", "data_folder_path": str(private)})
    assert any("visitors may not use" in warning.value for warning in page.warning)
    assert not page.text_input


def test_a_path_that_got_into_the_session_is_refused_where_it_is_loaded(as_ada, private: Path) -> None:
    from pages.state.sets import split
    from ued_core.errors import NotAllowed

    with pytest.raises(NotAllowed, match="visitors may not use"):
        split(DATASETS.build("folder", path=str(private)))
    with pytest.raises(NotAllowed, match="million pixels"):
        split(DATASETS.build("shapes", train_size=50000, side=128))


def zipped(**files: bytes) -> io.BytesIO:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    packed.name = "pets.zip"
    return packed


def test_an_upload_is_a_visitors_folder(open_page, as_ada, tmp_path: Path) -> None:
    picture = io.BytesIO()
    Image.fromarray(np.full((16, 16, 3), 99, np.uint8)).save(picture, "PNG")
    archive = zipped(
        **{f"{name}/{k}.png": picture.getvalue() for name in ("cat", "dog") for k in range(3)} | {"dog/odd.txt": b"x"}
    )
    page = open_page("attack", {"data": "folder"})
    page.file_uploader[0].set_value([("pets.zip", archive.getvalue(), "application/zip")])
    page.run()
    assert not page.error
    assert page.query_params["data_folder_path"].startswith(PREFIX)
    told = everything(page)
    assert "odd.txt" in told, "the notes name what was skipped"
    for secret in secrets_of(tmp_path):
        assert secret not in told
    again = open_page("perturbations", {"data": "folder", "data_folder_path": page.query_params["data_folder_path"]})
    assert not again.error, "the link shows others the same images"


def test_broken_uploads_are_refused_without_a_path(open_page, as_ada, tmp_path: Path) -> None:
    for name, content in (
        ("pets.zip", b"PK no zip"),
        ("pets.zip", zipped(**{"a.png": b"x"}).getvalue()),
        ("x.bin", b"\0"),
    ):
        page = open_page("attack", {"data": "folder"})
        page.file_uploader[0].set_value([(name, content, "application/zip")])
        page.run()
        told = everything(page)
        for secret in secrets_of(tmp_path):
            assert secret not in told
    page = open_page("files", {**SMALL, "from": "upload"})
    page.file_uploader[0].set_value([("noise.npy", b"nothing", "")])
    page.run()
    assert page.error
    assert str(tmp_path) not in everything(page)


def test_uploads_of_files_are_kept_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    files = [("../b c.npz", io.BytesIO(b"one")), ("a.npz", io.BytesIO(b"two"))]
    handle = keep_files(files, Context())
    assert keep_files(files[::-1], Context()) == handle
    (folder,) = (tmp_path / "imports").iterdir()
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == {"b_c.npz": b"one", "a.npz": b"two"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("There is no folder '/srv/my data/x'.", f"There is no folder '{HIDDEN}'."),
        ('In "/a/b.png": damaged', f'In "{HIDDEN}": damaged'),
        ("[Errno 2] No such file: /srv/data/x.npy", f"[Errno 2] No such file: {HIDDEN}"),
        ("~/data and ~bob/x and '~'", f"{HIDDEN} and {HIDDEN} and '{HIDDEN}'"),
        (r"C:\Users\bob\x.png", HIDDEN),
        (r"\\host\share\x", HIDDEN),
        ("file:///srv/x", HIDDEN),
        (
            "8/255 of train/test, 3 / 4, and/or, https://example.org/a",
            "8/255 of train/test, 3 / 4, and/or, https://example.org/a",
        ),
        ("/srv/my data, old/two words", HIDDEN),
        ("The folder /srv/my old data/two is empty.", f"The folder {HIDDEN} is empty."),
        ("from /srv/a to /srv/b", f"from {HIDDEN} to {HIDDEN}"),
        ("cat/0.png is damaged", "cat/0.png is damaged"),
        ("import:0123456789abcdef", "import:0123456789abcdef"),
    ],
)
def test_paths_in_texts(text: str, expected: str, as_ada) -> None:
    assert without_paths(text) == expected
    assert seen({"a": [text], "b": 3}) == {"a": [expected], "b": 3}


def test_the_owner_reads_texts_as_they_are() -> None:
    assert seen("/srv/data") == "/srv/data"
