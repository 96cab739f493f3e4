"""Nobody asks a method which one it is: what others must know, a class of methods declares.

Outside the packages of methods no ``isinstance`` against a method and no comparison with its name may decide anything;
only the page that is about one method alone (``Method.page``) may ask for that one.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.test_layers import ROOT, module_name, python_files, tree, within
from ued_core.attacks import ATTACKS, Attack
from ued_core.attacks.whole_set import WholeSetAttack
from ued_core.data import DATASETS, Dataset
from ued_core.defenses import DEFENSES, Defense
from ued_core.params import Method

ENTRIES = (*ATTACKS.values(), *DEFENSES.values(), *DATASETS.values())
# ``needs_whole_set`` says the same; the type is narrowed where crafting is timed or read.
BASES = {Method, Attack, WholeSetAttack, Defense, Dataset}
CLASSES = {cls.__name__: cls for entry in ENTRIES for cls in entry.__mro__ if issubclass(cls, Method)}
CLASSES = {name: cls for name, cls in CLASSES.items() if cls not in BASES}
KEYS = {entry.key: entry for entry in ENTRIES}
# Methods themselves, and the checks of their promises, which differ from family to family.
HOMES = ("ued_core.attacks", "ued_core.defenses", "ued_core.data", "ued_core.checks")


def questions(root: Path) -> list[str]:
    """Where a method is asked which one it is, one line each."""
    found = []
    for path in python_files(root):
        module = module_name(path, root)
        if within(module, HOMES):
            continue
        for line, method in asked(ast.parse(path.read_text(encoding="utf-8"))):
            if not method.page or not within(module, (f"pages.{method.page}",)):
                found.append(f"{module}:{line}: asks whether a method is {method.__name__}")
    return found


def asked(module: ast.Module) -> Iterator[tuple[int, type[Method]]]:
    """Line and method of every question in a file."""
    # "from ued_core.defenses import Coin as Moved" asks for Coin all the same.
    aliases = {
        alias.asname: alias.name
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if alias.asname
    }

    def classes(node: ast.AST) -> list[type[Method]]:
        names = [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
        names += [part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)]
        return [CLASSES[name] for name in (aliases.get(name, name) for name in names) if name in CLASSES]

    def keys(node: ast.AST) -> list[type[Method]]:
        values = [part.value for part in ast.walk(node) if isinstance(part, ast.Constant)]
        return [KEYS[value] for value in values if isinstance(value, str) and value in KEYS]

    for node in ast.walk(module):
        match node:
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, kinds]):
                yield from ((node.lineno, cls) for cls in classes(kinds))
            case ast.MatchClass(cls=kind):
                yield from ((node.lineno, cls) for cls in classes(kind))
            case ast.Match(subject=subject, cases=cases) if _is_name(subject):
                yield from ((case.pattern.lineno, cls) for case in cases for cls in keys(case.pattern))
            case ast.Compare():
                operands = [node.left, *node.comparators]
                if any(_is_name(part) for part in operands):
                    yield from ((node.lineno, cls) for part in operands if not _is_name(part) for cls in keys(part))
                # "type(x) is Coin", "x.key == Coin.key"
                for part in operands:
                    of = part.value if isinstance(part, ast.Attribute) and part.attr == "key" else part
                    if isinstance(of, ast.Name | ast.Attribute):
                        yield from ((node.lineno, cls) for cls in classes(of))


def _is_name(node: ast.AST) -> bool:
    """Whether an expression is the name of a method: ``x.key``, ``spec["name"]`` or ``spec.get("name")``."""
    match node:
        case ast.Attribute(attr="key"):
            return True
        case ast.Subscript(slice=ast.Constant(value="name")):
            return True
        case ast.Call(func=ast.Attribute(attr="get"), args=[ast.Constant(value="name"), *_]):
            return True
    return False


def test_no_method_is_asked_which_one_it_is() -> None:
    assert questions(ROOT) == []


def test_the_rule_knows_the_methods() -> None:
    assert {"Coin", "Dvae", "TrainedDefense", "Cuda", "Convolution", "FileSet"} <= set(CLASSES)
    assert {"coin", "cuda", "folder"} <= set(KEYS)
    assert not {"Defense", "Attack", "Method", "BaseModel"} & set(CLASSES)


def test_pages_of_methods_exist() -> None:
    pages = {entry.page for entry in ENTRIES if entry.page}
    assert pages
    assert all((ROOT / "pages" / page / "page.py").exists() for page in pages)
    assert all(entry.page for entry in ENTRIES if entry.page_words)


# ---------------------------------------------------------------- the test can fail

ASKS = {
    "isinstance": "isinstance(d, Coin)",
    "isinstance, several": "isinstance(d, Dvae | Coin)",
    "isinstance, tuple": "isinstance(d, (int, Coin))",
    "isinstance, through the package": "import ued_core.defenses as m\nisinstance(d, m.Coin)",
    "issubclass": "[d for d in all if issubclass(d, TrainedDefense)]",
    "another name": "from ued_core.defenses import Coin as Moved\nisinstance(d, Moved)",
    "type": "type(d) is Coin",
    "key and literal": 'd.key == "coin"',
    "literal and key": '"coin" != d.key',
    "key among literals": 'd.key in ("coin", "jpeg")',
    "key of the class": "d.key == Coin.key",
    "name in a spec": 'spec["name"] == "coin"',
    "name in a spec, perhaps": 'spec.get("name") == "coin"',
    "class pattern": "match d:\n    case Coin():\n        pass",
    "key pattern": 'match d.key:\n    case "coin":\n        pass',
    "attack": "isinstance(a, Convolution)",
    "data set": 'data.key == "folder"',
}
FINE = {
    "a declared answer": "d.trains_networks",
    "the base": "isinstance(d, Defense)",
    "other words": 'shown.name == "coin"',
    "another key": 'parameter.key == "strength"',
    "building one": 'Coin(strength=2.0), DEFENSES["coin"]',
}


@pytest.mark.parametrize("case", ASKS)
def test_each_kind_of_question_is_found(case: str, tmp_path: Path) -> None:
    assert questions(tree(tmp_path, "pages/state/x.py", ASKS[case])) != []


@pytest.mark.parametrize("case", FINE)
def test_what_is_no_question_is_not_reported(case: str, tmp_path: Path) -> None:
    assert questions(tree(tmp_path, "pages/state/x.py", FINE[case])) == []


def test_only_its_own_page_asks_for_a_method(tmp_path: Path) -> None:
    tree(tmp_path, "pages/dvae/x.py", "isinstance(d, Dvae)")
    assert questions(tmp_path) == []
    tree(tmp_path, "pages/dvae/x.py", "isinstance(d, Coin)")
    assert questions(tmp_path) == ["pages.dvae.x:1: asks whether a method is Coin"]
