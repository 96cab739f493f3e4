"""The five tutorials are followed word by word in a copy of the code, and the project's tests are asked what they say.

A block with a file's path as its title is a new file when it is Python, and a change of an existing file when it is a
diff without line numbers.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
MOST_TOUCHED = 2
COPIED = (
    "ued_core",
    "pages",
    "tests/pages/conftest.py",
    "tests/pages/test_navigation.py",
    "tests/test_contracts.py",
    "docs/tour.md",
)
KEPT = ("assets", "pyproject.toml", ".streamlit", "app.py", "benchmarks")
BLOCK = re.compile(r'^```(\w+) title="([^"]+)"\n(.*?)^```$', re.M | re.S)
FIGURE_CONTRACT = '''"""What every figure promises, asked of the tutorial's."""

import torch

from ued_core.figures import theme
from ued_core.figures.brightness import class_brightness
from ued_core.records import ImageSet


def test_the_figure_of_the_tutorial_keeps_the_contracts_of_figures() -> None:
    images = ImageSet(torch.zeros(2, 3, 2, 2, dtype=torch.uint8), torch.arange(2), ("a", "b"), "black")
    figure = class_brightness(images, images)
    assert figure.layout.uirevision == "kept"
    assert figure.layout.font.color is None
    assert figure.layout.paper_bgcolor == "rgba(0,0,0,0)"
    assert all(figure.layout[axis].title.text for axis in ("xaxis", "yaxis"))
    assert {trace.marker.color for trace in figure.data} <= set(theme.ROLE_COLOURS.values())
'''


@dataclass(frozen=True)
class Tutorial:
    """What a tutorial tells its reader to do.

    Attributes:
        new: path → text of every file that is written.
        changes: path and diff, in order.
        stated: existing files that it says it touches.
    """

    new: dict[str, str]
    changes: tuple[tuple[str, str], ...]
    stated: tuple[str, ...]


@cache
def read(page: Path) -> Tutorial:
    text = page.read_text("utf-8")
    blocks = BLOCK.findall(text)
    said = re.search(r"^Existing files touched: (.+)\.$", text, re.M)
    assert said, f"{page.name} does not say which existing files it touches"
    return Tutorial(
        {path: code for kind, path, code in blocks if kind == "python"},
        tuple((path, code) for kind, path, code in blocks if kind == "diff"),
        tuple(re.findall(r"`([^`]+)`", said[1])),
    )


def changed(text: str, diff: str) -> str:
    """A file's text after a diff without line numbers; what it shows of the file must be there exactly once."""
    lines = diff.splitlines()
    before = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("+"))
    after = "".join(f"{line[1:]}\n" for line in lines if not line.startswith("-"))
    assert text.count(before) == 1, f"found {text.count(before)} times:\n{before}"
    return text.replace(before, after)


def follow(tutorial: Tutorial, folder: Path) -> None:
    for path, code in tutorial.new.items():
        assert not (folder / path).exists(), f"{path} is called new, but it is there"
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(code, "utf-8")
    for path, diff in tutorial.changes:
        # In place of the text, not of the file: a link would lead into the checkout.
        assert not (folder / path).is_symlink()
        (folder / path).write_text(changed((folder / path).read_text("utf-8"), diff), "utf-8")


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkout in which all five tutorials were followed."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in COPIED:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        # With the compiled loops, whose names hold the times of their sources.
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy2)(ROOT / name, folder / name)
    for name in KEPT:
        (folder / name).symlink_to(ROOT / name)
    for page in TUTORIALS:
        follow(read(page), folder)
    (folder / "tests" / "figures" / "test_contract.py").write_text(FIGURE_CONTRACT, "utf-8")
    return folder


def test_there_are_five() -> None:
    assert [page.stem for page in TUTORIALS] == ["attack", "data-set", "defence", "figure", "page"]


@pytest.mark.parametrize("path", TUTORIALS, ids=lambda path: path.stem)
def test_a_tutorial_touches_the_files_that_it_names_and_at_most_two(path: Path) -> None:
    tutorial = read(path)
    assert tutorial.stated == tuple(dict.fromkeys(file for file, _ in tutorial.changes))
    assert len(tutorial.stated) <= MOST_TOUCHED
    assert any(file.startswith("tests/") for file in tutorial.new), "every tutorial ends with a test"


def test_the_additions_keep_all_contracts(copy: Path, tmp_path: Path) -> None:
    """Their own tests, and those of the contracts that name them by their keys."""
    own = [path for page in TUTORIALS for path in read(page).new if path.startswith("tests/")]
    report = tmp_path / "report.xml"
    command = [
        *(
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:playwright",
            f"--junitxml={report}",
        ),
        *("-k", "tint or label_smoothing or gratings or gallery or brightness or tutorial or (own_title and Attack)"),
        *("tests/test_contracts.py", "tests/pages/test_navigation.py", "tests/figures/test_contract.py", *own),
    ]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    environment |= {"UED_HOME": str(tmp_path / "home"), "PYTHONPATH": str(copy)}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    told = report.read_text("utf-8")
    for part, least in {
        "tint": 20,
        "label_smoothing": 15,
        "gratings": 8,
        "gallery": 1,
        "Gallery": 1,
        "brightness": 1,
    }.items():
        assert len(re.findall(f'name="[^"]*{part}|classname="[^"]*{part}', told)) >= least, f"{part} was hardly tested"


def test_a_diff_that_does_not_fit_is_found() -> None:
    assert changed("a\nb\nc\n", " a\n+x\n b\n") == "a\nx\nb\nc\n"
    assert changed("a\nb\nc\n", "-b\n+x\n") == "a\nx\nc\n"
    with pytest.raises(AssertionError, match="found 0 times"):
        changed("a\nb\n", " c\n+x\n")
    with pytest.raises(AssertionError, match="found 2 times"):
        changed("a\na\n", " a\n+x\n")
