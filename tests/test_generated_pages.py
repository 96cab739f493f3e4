"""The site's pages of methods and packages say what the declarations say."""

from __future__ import annotations

import importlib.util
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import pytest

import ued_core
from ued_core.attacks import ATTACKS
from ued_core.defenses import DEFENSES

SCRIPT = Path(__file__).resolve().parents[1] / "docs" / "generated_pages.py"
NOT_SHOWN = {"ued_core.cli"}
"""The command line has pages written by hand."""


@pytest.fixture(scope="module")
def site() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generated_pages", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(site: ModuleType) -> dict[str, str]:
    return site.pages()


def test_every_method_has_a_page_with_its_parameters_and_differences(site: ModuleType, pages: dict[str, str]) -> None:
    for folder, (_, catalogue, _) in site.CHAPTERS.items():
        listed = pages[f"methods/{folder}/index.md"]
        for key, method in catalogue.items():
            page = pages[f"methods/{folder}/{key}.md"]
            assert page.startswith(f"# {method.title}\n")
            assert f"]({key}.md)" in listed
            for parameter in method.parameters():
                assert f"| `{parameter.name}` |" in page
                assert site.cell(parameter.rule) in page
            assert ("## Differences from the source" in page) == bool(method.section("Differs"))


def test_costs_are_those_that_methods_declare(site: ModuleType) -> None:
    assert site.cost_of(DEFENSES["coin"]) == "A training step takes what a plain one takes."
    assert "2 times the network's work" in site.cost_of(DEFENSES["ueraser"])
    assert "No network takes part" in site.cost_of(ATTACKS["cuda"])
    assert f"{ATTACKS['em']().gradient_evaluations(5000):,} gradient evaluations" in site.cost_of(ATTACKS["em"])


def test_every_package_is_in_the_reference(site: ModuleType, pages: dict[str, str]) -> None:
    packages = {f"ued_core.{found.name}" for found in pkgutil.iter_modules(ued_core.__path__) if found.ispkg}
    assert packages - NOT_SHOWN == set(site.PACKAGES) - {"ued_core"}
    assert "::: ued_core.attacks\n" in pages["library/ued_core.attacks.md"]
    assert "::: ued_core.figures.tiles\n" in pages["library/ued_core.figures.md"]


def test_no_role_of_sphinx_is_left(pages: dict[str, str]) -> None:
    left = {path for path, text in pages.items() if re.search(r":(?:mod|class|func|meth|attr|data):`", text)}
    assert left == set()
