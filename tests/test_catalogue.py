"""Methods of installed packages stand in the catalogues; a package that is broken takes nothing else with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ued_core.attacks import ATTACKS, Attack
from ued_core.catalogue import Catalogue
from ued_core.defenses import DEFENSES
from ued_core.errors import ParameterError, UnknownName

ROOT = Path(__file__).resolve().parents[1]
STAIN = '''
from typing import ClassVar

import torch

from ued_core.attacks import ATTACKS
from ued_core.attacks.base import AdditiveAttack, Bound
from ued_core.params import param

BEFORE = list(ATTACKS)


class Stain(AdditiveAttack):
    """Every class gets a colour cast.

    Source:
        Made up for this test.
    """

    key: ClassVar[str] = "stain"
    title: ClassVar[str] = "Stain"
    epsilon: int = param(8, "Largest change of a pixel value.", label="ε", unit="1/255", ge=1, le=64)

    def bound(self, shape):
        return Bound("linf", self.epsilon)

    def delta(self, data, rows, ctx):
        draws = torch.rand((data.classes, data.shape[0], 1, 1), generator=ctx.generator("stain", device="cpu"))
        cast = torch.where(draws < 0.5, -1.0, 1.0) * self.epsilon
        return cast[data.labels[rows]].expand(-1, *data.shape)


class Other(Stain):
    key: ClassVar[str] = "other"
'''
POINTS = """
[ued_core.attacks]
stain = stained.stain:Stain
cuda = stained.stain:Stain
misnamed = stained.stain:Other
absent = stained.nowhere:Stain
function = stained.stain:torch.rand
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder as an installer leaves it: the package stained 1.2 with its entry points."""
    for path, text in {
        "stained/__init__.py": "",
        "stained/stain.py": STAIN,
        "stained-1.2.dist-info/METADATA": "Metadata-Version: 2.1\nName: stained\nVersion: 1.2\n",
        "stained-1.2.dist-info/entry_points.txt": POINTS,
    }.items():
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(text)
    return tmp_path


PROBLEMS = {
    "cuda": "another method has this name",
    "misnamed": "the key of stained.stain:Other is 'other'",
    "absent": "No module named 'stained.nowhere'",
    "function": "stained.stain:torch.rand is no class derived from Attack",
}


@pytest.mark.filterwarnings("ignore:stained 1.2 registers")
def test_methods_of_installed_packages(installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Read before the package is on the path: the real catalogue must not take it.
    own = list(ATTACKS.values())
    monkeypatch.syspath_prepend(str(installed))
    catalogue: Catalogue[Attack] = Catalogue("attack", own, group="ued_core.attacks", base=Attack)
    with pytest.warns(UserWarning, match=r"stained 1\.2 registers the attack 'absent', but"):
        assert list(catalogue) == [*ATTACKS, "stain"]
    assert (catalogue["stain"].title, catalogue.provider("stain"), catalogue.provider("cuda")) == (
        "Stain",
        "stained 1.2",
        "",
    )
    assert catalogue["cuda"] is ATTACKS["cuda"]
    assert catalogue.build("stain", epsilon=3) == catalogue.parse({"name": "stain", "epsilon": 3})
    told = catalogue.problems
    assert len(told) == len(PROBLEMS)
    for name, why in PROBLEMS.items():
        assert any(f"'{name}', but {why}" in problem for problem in told), (name, told)
    with pytest.raises(UnknownName, match="registers the attack 'absent'"):
        catalogue["absent"]


def test_the_command_line_and_a_run_take_them(installed: Path, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": f"{installed}{os.pathsep}{ROOT}", "UED_HOME": str(tmp_path / "home")}

    def ued(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "ignore", "-m", "ued_core", *words]
        return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=180)

    listed = ued("methods", "stai*", "--json")
    assert [entry["name"] for entry in json.loads(listed.stdout)["attacks"]] == ["stain"]
    assert listed.stderr.count("Note: stained 1.2 registers") == len(PROBLEMS)
    # The worker that trains is a process of its own.
    spec = {"dataset": {"name": "shapes", "train_size": 100, "test_size": 100}, "attack": {"name": "stain"}}
    (tmp_path / "spec.json").write_text(json.dumps(spec | {"plan": {"name": "adamw", "epochs": 1}}))
    run = ued("train", "--wait", str(tmp_path / "spec.json"))
    assert run.returncode == 0, run.stdout + run.stderr


def test_entries_are_chosen_by_name_and_by_what_they_declare() -> None:
    assert list(ATTACKS.where("?uda")) == ["cuda", "vuda", "huda"]
    assert list(ATTACKS.where("unlearnable *")) == ["uc"]
    assert list(ATTACKS.where(uses_labels=False)) == ["uc"]
    purifying = DEFENSES.where(acts="purify", needs_whole_set=False)
    assert list(purifying) == [
        name for name, entry in DEFENSES.items() if "purify" in entry.acts and not entry.needs_whole_set
    ]
    assert 0 < len(purifying) < len(DEFENSES)
    assert list(DEFENSES.where("nothing like it")) == []
    with pytest.raises(ParameterError, match="'colour', which they do not declare. They declare: keyed"):
        ATTACKS.where(colour=True)
