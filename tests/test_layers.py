"""Imports point down one ladder; checked on the syntax tree of every file, and in fresh processes."""

from __future__ import annotations

import ast
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# One folder per page; no page imports another.
ROOMS = tuple(f"pages.{folder.name}" for folder in sorted((ROOT / "pages").iterdir()) if (folder / "page.py").exists())
# Top to bottom. A module may import what stands on a lower rung; the names on one rung are
# neighbours, and neighbours never import each other.
LADDER: tuple[tuple[str, ...], ...] = (
    ("benchmarks",),
    ("app",),
    ROOMS,
    ("pages.state",),
    ("pages.widgets",),
    ("pages.frame",),
    ("ued_core.__main__",),
    ("ued_core.cli",),
    ("ued_core.studies", "ued_core.checks"),
    ("ued_core.runs", "ued_core.figures"),
    ("ued_core.results",),
    ("ued_core.attacks", "ued_core.defenses", "ued_core.analysis", "ued_core.theory"),
    ("ued_core.training",),
    ("ued_core.models", "ued_core.data"),
    ("ued_core.records",),
    ("ued_core.context",),
    ("ued_core.artefacts",),
    ("ued_core.catalogue",),
    ("ued_core.stored",),
    ("ued_core.params",),
    ("ued_core.class_numbers", "ued_core.displacement"),
    (
        "ued_core.errors",
        "ued_core.home",
        "ued_core.files",
        "ued_core.compiled",
        "ued_core.person",
        "ued_core.csv_export",
    ),
    ("ued_core.assets", "ued_core.border"),
)
RUNG = {name: rung for rung, names in enumerate(LADDER) for name in names}
OURS = ("app", "pages", "benchmarks", "ued_core")

# Library → the modules that may import it.
HOMES: dict[str, tuple[str, ...]] = {
    # Benchmarks measure the app against a bare page of their own.
    "streamlit": ("app", "pages", "benchmarks"),
    "plotly": ("pages", "ued_core.figures", "benchmarks"),
    "umap": ("ued_core.analysis.embedding",),
}
INSIDE_FUNCTIONS_ONLY = ("umap",)


@dataclass(frozen=True)
class Import:
    """One imported module: its full name, the line, and whether it happens when a function is called."""

    name: str
    line: int
    lazy: bool


def python_files(root: Path) -> Iterator[Path]:
    if (root / "app.py").exists():
        yield root / "app.py"
    for package in ("pages", "benchmarks", "ued_core"):
        yield from sorted((root / package).rglob("*.py"))


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path, root: Path) -> tuple[Import, ...]:
    """Every import of a file: plain, from, relative, inside functions, under TYPE_CHECKING, and by literal name."""
    module = module_name(path, root)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return _imports(path.read_text(encoding="utf-8"), package)


@cache
def _imports(text: str, package: str) -> tuple[Import, ...]:

    def visit(node: ast.AST, lazy: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, child.lineno, lazy) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = child.module or ""
                if child.level:
                    above = package.split(".")[: len(package.split(".")) - (child.level - 1)]
                    base = ".".join([*above, *([base] if base else [])])
                # "from ued_core import runs" imports ued_core.runs, whatever its form says.
                yield from (Import(f"{base}.{alias.name}", child.lineno, lazy) for alias in child.names)
            elif isinstance(child, ast.Call) and _imports_by_name(child):
                yield Import(child.args[0].value, child.lineno, lazy)
            yield from visit(child, lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda))

    return tuple(visit(ast.parse(text), False))


def _imports_by_name(call: ast.Call) -> bool:
    word = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    literal = call.args and isinstance(call.args[0], ast.Constant) and isinstance(call.args[0].value, str)
    return word in ("import_module", "__import__") and bool(literal)


def place(name: str) -> str | None:
    """The entry of the ladder that a module belongs to."""
    return next((entry for entry in RUNG if name == entry or name.startswith(entry + ".")), None)


def within(module: str, homes: tuple[str, ...]) -> bool:
    return any(module == home or module.startswith(home + ".") for home in homes)


# Recursion that the data itself has: the recipe in a file names the data set that it was made from.
RECURSIVE = "ued_core.data"


def cycles(root: Path) -> list[str]:
    """Modules that import each other, whether at the top, inside functions or for type checkers alone."""
    files = {module_name(path, root): path for path in python_files(root)}

    def target(name: str) -> str:
        while name and name not in files:
            name = name.rpartition(".")[0]
        return name

    graph = {
        module: {target(item.name) for item in imports(path, root)} - {module, ""} for module, path in files.items()
    }

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        ahead = [start]
        while ahead:
            for name in graph[ahead.pop()] - found:
                found.add(name)
                ahead.append(name)
        return found

    ways = {module: reached(module) for module in graph}
    found = []
    for module, reach in sorted(ways.items()):
        others = sorted(name for name in reach if module in ways[name] and name != module)
        if others and not within(module, (RECURSIVE,)):
            found.append(f"{module}: imports itself by way of {', '.join(others)}")
    return found


def private_names(root: Path) -> list[str]:
    """Names that begin with an underscore and are imported from a module of ours."""
    found = []
    for path in python_files(root):
        module = module_name(path, root)
        for item in imports(path, root):
            name = item.name.rpartition(".")[2]
            if item.name.split(".")[0] in OURS and name.startswith("_") and not name.startswith("__"):
                found.append(f"{module}:{item.line}: {item.name} is private to its module")
    return found


# Names that no module of the program uses, and why they stay: people who use the library call them.
FOR_OTHERS = {
    "ued_core.checks.check_attack": "whoever writes an attack calls it",
    "ued_core.checks.check_defense": "whoever writes a defence calls it",
    "ued_core.checks.declaration_checks": "whoever writes a method of another kind calls it",
    "ued_core.data.poison_files.comparison.detect": "says what a file of poison is, without laying it on images",
    "ued_core.defenses.coin.severity": "turns the official code's severity levels into strengths",
    "ued_core.defenses.warps.matched_strength": "finds the strength of equal distortion for comparisons",
    "ued_core.theory.consistency.theta_of_fields": "Θ of given displacement fields",
    "ued_core.theory.jitter.theta_of_kernels": "Θ of one given kernel per sample",
}


def unused_names(root: Path) -> list[str]:
    """Public names of modules that nothing in the program uses: dead, or alive for a test alone.

    A name counts as used where code anywhere reads it, whatever module it means; being imported or listed in
    ``__all__`` is no use.
    """
    defined: list[tuple[str, str, int]] = []
    used: set[str] = set()
    for path in python_files(root):
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                used.add(node.id)
            elif isinstance(node, ast.Attribute):
                used.add(node.attr)
        for node in tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            names = [target.id for target in targets if isinstance(target, ast.Name)]
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names = [node.name]
            defined += [(module_name(path, root), name, node.lineno) for name in names if not name.startswith("_")]
    return [
        f"{module}:{line}: nothing uses {name}"
        for module, name, line in defined
        if name not in used and f"{module}.{name}" not in FOR_OTHERS
    ]


def violations(root: Path) -> list[str]:
    """What breaks the rules, one line each; empty when all is well."""
    found = []
    for path in python_files(root):
        module = module_name(path, root)
        own = place(module)
        if own is None and module != "ued_core":
            found.append(f"{module}: stands on no rung of the ladder")
            continue
        for item in imports(path, root):
            where = f"{module}:{item.line}"
            top = item.name.split(".")[0]
            if top == "tests":
                found.append(f"{where}: the program imports its tests ({item.name})")
            if top in HOMES:
                if not within(module, HOMES[top]):
                    found.append(f"{where}: {top} belongs in {', '.join(HOMES[top])}")
                elif top in INSIDE_FUNCTIONS_ONLY and not item.lazy:
                    found.append(f"{where}: {top} must be imported inside functions")
            if top not in OURS:
                continue
            target = place(item.name)
            if module == "ued_core":
                found.append(f"{where}: the package itself must import nothing, so that its parts stay cheap")
            elif target is None:
                found.append(f"{where}: {item.name} stands on no rung of the ladder")
            elif target != own and RUNG[target] == RUNG[own]:
                found.append(f"{where}: {own} and {target} are neighbours")
            elif RUNG[target] < RUNG[own]:
                found.append(f"{where}: {own} imports {target}, which stands above it")
    return found


def test_imports_point_down() -> None:
    assert violations(ROOT) == []


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert cycles(ROOT) == []


def test_private_names_stay_in_their_module() -> None:
    assert private_names(ROOT) == []


def test_every_public_name_is_used() -> None:
    assert unused_names(ROOT) == []


def test_names_for_others_exist() -> None:
    for name in FOR_OTHERS:
        module, _, short = name.rpartition(".")
        assert callable(getattr(importlib.import_module(module), short))


def test_the_checker_reads_every_file() -> None:
    read = {module_name(path, ROOT) for path in python_files(ROOT)}
    assert {
        "app",
        "pages.runs.page",
        "pages.frame.router",
        "ued_core.cli",
        "ued_core.runs.worker",
        "ued_core.errors",
    } <= read
    found = [item for path in python_files(ROOT) for item in imports(path, ROOT)]
    assert {"torch", "ued_core.errors.UedError"} <= {item.name for item in found}
    assert any(item.lazy and item.name.split(".")[0] == "umap" for item in found)
    used = {place(item.name) for item in found if item.name.split(".")[0] in OURS}
    assert {entry for rung in LADDER[8:] for entry in rung} <= used


# ---------------------------------------------------------------- the test can fail

BROKEN = {
    "upwards": ("ued_core/records.py", "from ued_core.data import DATASETS", "which stands above it"),
    "upwards, plain import": ("ued_core/errors.py", "import ued_core.params", "which stands above it"),
    "upwards, package form": ("ued_core/theory/x.py", "from ued_core import runs", "which stands above it"),
    "upwards, relative": ("ued_core/training/x.py", "from ..attacks import ATTACKS", "which stands above it"),
    "upwards, relative to the parent": ("ued_core/training/x.py", "from .. import runs", "which stands above it"),
    "upwards, relative in a package": (
        "ued_core/data/__init__.py",
        "from ..training import train",
        "which stands above it",
    ),
    "upwards, in a function": (
        "ued_core/context.py",
        "def f():\n    from ued_core.records import ImageSet",
        "which stands above it",
    ),
    "upwards, for type checkers": (
        "ued_core/params.py",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from ued_core.context import Context",
        "which stands above it",
    ),
    "upwards, by name": (
        "ued_core/models/x.py",
        "import importlib\nimportlib.import_module('ued_core.cli')",
        "which stands above it",
    ),
    "the core imports a page": ("ued_core/cli/x.py", "import pages.runs.page", "which stands above it"),
    "a page imports a benchmark": ("pages/runs/x.py", "from benchmarks import phenomenon", "which stands above it"),
    "a page imports the app": ("pages/runs/x.py", "import app", "which stands above it"),
    "a page imports another": ("pages/runs/x.py", "from pages.theta.curves import real_images", "are neighbours"),
    "state imports a page": ("pages/state/x.py", "from pages.runs.table import run_table", "which stands above it"),
    "a widget imports state": ("pages/widgets/x.py", "from pages.state.cache import cached", "which stands above it"),
    "the frame imports a widget": ("pages/frame/x.py", "from pages.widgets import controls", "which stands above it"),
    "a page outside the rooms": ("pages/x.py", "", "stands on no rung"),
    "neighbours, runs and figures": ("ued_core/runs/x.py", "from ued_core.figures.theme import INK", "are neighbours"),
    "neighbours, attacks and defences": (
        "ued_core/attacks/x.py",
        "from ued_core.defenses import Coin",
        "are neighbours",
    ),
    "neighbours, relative": ("ued_core/models/x.py", "from ..data.base import Dataset", "are neighbours"),
    "neighbours at the bottom": ("ued_core/files.py", "from ued_core.errors import UedError", "are neighbours"),
    "streamlit in the core": ("ued_core/figures/x.py", "import streamlit as st", "streamlit belongs in"),
    "streamlit in a function of the core": (
        "ued_core/cli/x.py",
        "def f():\n    from streamlit import write",
        "streamlit belongs in",
    ),
    "plotly outside figures": ("ued_core/analysis/x.py", "import plotly.graph_objects as go", "plotly belongs in"),
    "umap elsewhere": ("ued_core/analysis/x.py", "def f():\n    import umap", "umap belongs in"),
    "umap at import": ("ued_core/analysis/embedding.py", "import umap", "umap must be imported inside functions"),
    "umap at import, in a class": (
        "ued_core/analysis/embedding.py",
        "class A:\n    import umap",
        "must be imported inside functions",
    ),
    "a module without a rung": ("ued_core/misc.py", "", "stands on no rung"),
    "an import without a rung": ("ued_core/runs/x.py", "from ued_core.misc import x", "stands on no rung"),
    "a package that imports": ("ued_core/__init__.py", "from ued_core.runs import submit", "must import nothing"),
    "tests in the program": ("ued_core/runs/x.py", "from tests.runs import conftest", "imports its tests"),
}
ALLOWED = {
    "downwards": ("ued_core/runs/x.py", "from ued_core.attacks import ATTACKS\nfrom .folder import RunFolder"),
    "downwards over several rungs": (
        "pages/runs/x.py",
        "import streamlit\nimport plotly\nfrom ued_core.errors import UedError",
    ),
    "umap in a function of its home": ("ued_core/analysis/embedding.py", "def f():\n    import umap"),
    "plotly in its home": ("ued_core/figures/x.py", "import plotly.graph_objects as go"),
    "names that only begin alike": ("ued_core/runs/x.py", "import streamlit_free_tool\nimport plotlyish"),
}


def tree(root: Path, path: str, text: str) -> Path:
    for package in ("pages", "ued_core"):
        (root / package).mkdir(parents=True, exist_ok=True)
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return root


@pytest.mark.parametrize("case", BROKEN)
def test_each_kind_of_violation_is_found(case: str, tmp_path: Path) -> None:
    path, text, words = BROKEN[case]
    found = violations(tree(tmp_path, path, text))
    assert len(found) == 1
    assert words in found[0]


@pytest.mark.parametrize("case", ALLOWED)
def test_what_is_allowed_is_not_reported(case: str, tmp_path: Path) -> None:
    assert violations(tree(tmp_path, *ALLOWED[case])) == []


CYCLES = {
    "at the top": "from pages.state.b import g",
    "in a function": "def f():\n    from pages.state.b import g",
    "for type checkers": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from pages.state.b import g",
}


@pytest.mark.parametrize("kind", CYCLES)
def test_a_cycle_inside_a_rung_is_found(kind: str, tmp_path: Path) -> None:
    tree(tmp_path, "pages/state/a.py", CYCLES[kind])
    tree(tmp_path, "pages/state/b.py", "from pages.state import c")
    tree(tmp_path, "pages/state/c.py", "import ued_core.errors")
    assert cycles(tmp_path) == []
    tree(tmp_path, "pages/state/c.py", "from pages.state.a import f")
    assert [line.split(":")[0] for line in cycles(tmp_path)] == ["pages.state.a", "pages.state.b", "pages.state.c"]
    assert "by way of pages.state.b, pages.state.c" in cycles(tmp_path)[0]


def test_a_private_name_that_travels_is_found(tmp_path: Path) -> None:
    tree(tmp_path, "ued_core/theory/x.py", "from ued_core.theory.y import __all__, open_one\nfrom torch import _C")
    assert private_names(tmp_path) == []
    tree(tmp_path, "ued_core/theory/z.py", "def f():\n    from ued_core.theory.y import _taps")
    assert private_names(tmp_path) == ["ued_core.theory.z:2: ued_core.theory.y._taps is private to its module"]


# ---------------------------------------------------------------- what an import really loads


def test_a_name_that_nothing_uses_is_found(tmp_path: Path) -> None:
    tree(tmp_path, "ued_core/attacks/cuda.py", "SIZE = 3\nLOST: int = 4\ndef craft(): return SIZE\ndef _own(): pass")
    tree(tmp_path, "ued_core/attacks/__init__.py", "from .cuda import craft, Lost\n__all__ = ['craft', 'Lost']")
    tree(tmp_path, "ued_core/runs/queue.py", "from ued_core import attacks\nclass Lost: pass\nattacks.craft()")
    assert unused_names(tmp_path) == [
        "ued_core.attacks.cuda:2: nothing uses LOST",
        "ued_core.runs.queue:2: nothing uses Lost",
    ]


def loaded_by(code: str) -> set[str]:
    """Top-level modules of a fresh process after some code."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"} | {"OMP_NUM_THREADS": "1"}
    script = f"{code}\nimport sys\nprint(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return set(done.stdout.split())


def test_attacks_load_only_what_they_need() -> None:
    loaded = loaded_by("import ued_core.attacks")
    assert "torch" in loaded
    assert not loaded & {"plotly", "streamlit", "umap", "sklearn", "torchvision", "scipy", "pandas", "numba"}


def test_a_worker_needs_no_screen() -> None:
    # The worker imports the pipeline when it has work; both must do without the screen's libraries.
    loaded = loaded_by("import ued_core.runs.worker, ued_core.runs.pipeline")
    assert "torch" in loaded
    assert not loaded & {"plotly", "streamlit", "umap"}


def test_the_queue_loads_without_torch() -> None:
    assert not loaded_by("import ued_core.runs, ued_core.runs.worker, ued_core.runs.supervisor") & {
        "torch",
        "streamlit",
        "plotly",
        "umap",
    }
