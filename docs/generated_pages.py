"""Pages of the site that are made when it is built: one per method, from the catalogues, and one per package, from its
docstrings.

mkdocs calls :func:`on_config` and :func:`on_files` (``hooks`` in mkdocs.yml). Nothing here is written to the disk.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path[:0] = [str(HERE.parent), str(HERE)]

from plain_roles import plain  # noqa: E402

from ued_core.attacks import ATTACKS, Attack  # noqa: E402
from ued_core.attacks.whole_set import WholeSetAttack  # noqa: E402
from ued_core.catalogue import Catalogue  # noqa: E402
from ued_core.data import DATASETS, Dataset  # noqa: E402
from ued_core.defenses import DEFENSES, Defense, StepCost  # noqa: E402
from ued_core.models import MODELS  # noqa: E402
from ued_core.params import Method, Parameter  # noqa: E402
from ued_core.training import PLANS  # noqa: E402

CHAPTERS: dict[str, tuple[str, Catalogue[Any], str]] = {
    "attacks": ("Attacks", ATTACKS, "An attack makes a poisoned image set out of a clean one."),
    "defences": ("Defences", DEFENSES, "A defence acts once before training, on every batch, or inside training."),
    "data-sets": ("Data sets", DATASETS, "Where clean images come from."),
    "models": ("Models", MODELS, "The networks that are trained on the published images."),
    "plans": ("Plans", PLANS, "How they are trained: optimiser, epochs, batches, schedule, crops and flips."),
}
"""Folder on the site → title, catalogue, one sentence."""
PACKAGES = {
    "ued_core": "Foundations",
    "ued_core.artefacts": "Artefacts",
    "ued_core.data": "Data sets",
    "ued_core.models": "Models",
    "ued_core.training": "Training",
    "ued_core.theory": "Theory",
    "ued_core.attacks": "Attacks",
    "ued_core.defenses": "Defences",
    "ued_core.analysis": "Analysis",
    "ued_core.results": "Results",
    "ued_core.figures": "Figures",
    "ued_core.runs": "Runs",
    "ued_core.studies": "Studies",
    "ued_core.checks": "Checks",
}
"""Public packages and how the site calls them, in reading order."""


def cell(text: object) -> str:
    """A text as a table's cell holds it."""
    return str(text).replace("|", "\\|").replace("\n", " ")


def row(parameter: Parameter) -> str:
    """One parameter as a table's row."""
    default = f"`{parameter.default}`" if parameter.default != "" else "empty"
    cells = (f"`{parameter.name}`", parameter.label, default, parameter.rule, parameter.help)
    return "| " + " | ".join(map(cell, cells)) + " |"


def cost_of(method: type[Method]) -> str:
    """What a method costs at its defaults, in one sentence or two; empty where its catalogue declares none."""
    if issubclass(method, Attack):
        if not issubclass(method, WholeSetAttack):
            return "No network takes part: images are changed one by one, thousands per second."
        count = method().gradient_evaluations(5000)
        return (
            f"Crafted on the whole set: {count:,} gradient evaluations (images through a network) for 5,000 images. "
            "`train --dry-run` says how many minutes this machine needs."
        )
    if issubclass(method, Defense):
        cost = method().step_cost(StepCost())
        step = "A training step takes what a plain one takes."
        if cost.passes != 1:
            step = f"A training step takes {cost.passes:.3g} times the network's work of a plain step."
        learns = " It first learns from the whole training set." if method.needs_whole_set else ""
        return step + learns + (f" {method.beyond_step_cost}" if method.beyond_step_cost else "")
    if issubclass(method, Dataset):
        return "Comes with the program." if method.embedded else "Needs files, or a download the first time."
    return ""


def method_page(method: type[Method]) -> str:
    """A method's page: what it does, its parameters with their ranges, what it costs, where it comes from, how it
    differs from that."""
    lines = [f"# {method.title}", "", f"**{method.summary()}**", "", method.description(), ""]
    if issubclass(method, Defense):
        lines += ["Acts in: " + ", ".join(f"`{moment}`" for moment in sorted(method.acts)) + ".", ""]
    parameters = method.parameters()
    if issubclass(method, Dataset) and (text := method.about()):
        lines += ["## Publication", "", text, ""]
    lines += ["## Parameters", ""]
    if parameters:
        lines += [
            "| name | on controls | default | must be | meaning |",
            "|---|---|---|---|---|",
            *map(row, parameters),
        ]
    else:
        lines.append("None.")
    if cost := cost_of(method):
        lines += ["", "## Cost", "", cost]
    for name, title in (("Source", "Source"), ("Differs", "Differences from the source")):
        if text := method.section(name):
            lines += ["", f"## {title}", "", text]
    return plain("\n".join([*lines, "", f"Code: `{method.__module__}.{method.__qualname__}`.", ""]))


def chapter_page(title: str, sentence: str, catalogue: Catalogue[Any]) -> str:
    """The list of a chapter's methods."""
    lines = [f"# {title}", "", sentence, "", "| name in specs | method | what it does |", "|---|---|---|"]
    for method in catalogue.values():
        lines.append(f"| `{method.key}` | [{cell(method.title)}]({method.key}.md) | {cell(method.summary())} |")
    return plain("\n".join([*lines, ""]))


def package_page(package: str, title: str) -> str:
    """The reference of a package: what it exports, or its modules where it exports nothing of its own."""
    module = importlib.import_module(package)
    lines = [f"# {title}", "", f"`{package}`", ""]
    if getattr(module, "__all__", None):
        options = ["    options:", "      members_order: __all__", "      show_root_heading: false"]
        return "\n".join([*lines, f"::: {package}", *options, ""])
    names = [m.name for m in pkgutil.iter_modules(module.__path__) if not (m.ispkg or m.name.startswith("_"))]
    return "\n".join([*lines, *(f"::: {package}.{name}\n" for name in names)])


def pages() -> dict[str, str]:
    """Path on the site → Markdown, of every page that is made."""
    made = {}
    for folder, (title, catalogue, sentence) in CHAPTERS.items():
        made[f"methods/{folder}/index.md"] = chapter_page(title, sentence, catalogue)
        made |= {f"methods/{folder}/{key}.md": method_page(method) for key, method in catalogue.items()}
    for package, title in PACKAGES.items():
        made[f"library/{package}.md"] = package_page(package, title)
    return made


def on_config(config: Any) -> Any:
    """Put the pages into the navigation."""
    methods = [
        {
            title: [
                f"methods/{folder}/index.md",
                *({m.title: f"methods/{folder}/{key}.md"} for key, m in entries.items()),
            ]
        }
        for folder, (title, entries, _) in CHAPTERS.items()
    ]
    library = [{title: f"library/{package}.md"} for package, title in PACKAGES.items()]
    filled = {"Methods": methods, "Library": library}
    config.nav = [{name: filled.get(name, inside) for name, inside in entry.items()} for entry in config.nav]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages."""
    from mkdocs.structure.files import File

    for path, text in pages().items():
        files.append(File.generated(config, path, content=text))
    return files
