"""Every field of a run spec has its option, which is read, checked and put in place of what the file says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ued_core.cli.parser import build_parser
from ued_core.cli.spec_options import given_fields
from ued_core.errors import SpecError
from ued_core.runs.spec import RunSpec

FILE = {"dataset": {"name": "shapes", "train_size": 300}, "attack": "cuda", "poison_rate": 0.5, "defenses": ["coin"]}
# Option → its text and what the spec then says.
CHANGES: dict[str, tuple[str, Any]] = {
    "dataset": ('{"name": "shapes", "train_size": 400}', {"name": "shapes", "train_size": 400}),
    "attack": ('{"name": "cuda", "blur": 0.25}', {"name": "cuda", "blur": 0.25}),
    "poison_rate": ("0.25", 0.25),
    "poison_classes": ("2, 0-1", [0, 1, 2]),
    "train_on": ("clean", "clean"),
    "relabel": ("modulo", {"name": "modulo"}),
    "attack_seed": ("3000000000", 3_000_000_000),
    "defenses": ("jpeg,coin", [{"name": "jpeg"}, {"name": "coin"}]),
    "model": ("resnet18", {"name": "resnet18"}),
    "plan": ('{"name": "sgd", "epochs": 2}', {"name": "sgd", "epochs": 2}),
    "seed": ("7", 7),
    "device": ("cpu", "cpu"),
    "note": ("x = 1", "x = 1"),
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(FILE))
    return path


def changed(file: Path, *words: str) -> RunSpec:
    argv = ["train", str(file), *words]
    return RunSpec.read(file, given_fields(build_parser(argv).parse_args(argv)))


def includes(whole: Any, part: Any) -> bool:
    if isinstance(part, dict):
        return all(includes(whole[name], entry) for name, entry in part.items())
    if isinstance(part, list):
        return len(whole) == len(part) and all(map(includes, whole, part))
    return bool(whole == part)


def test_every_field_has_an_option() -> None:
    assert set(CHANGES) == set(RunSpec.model_fields)


@pytest.mark.parametrize("field", CHANGES)
def test_an_option_replaces_what_the_file_says(field: str, file: Path) -> None:
    text, value = CHANGES[field]
    before, after = changed(file).to_json(), changed(file, f"--{field.replace('_', '-')}", text).to_json()
    assert includes(after.pop(field), value)
    assert before.pop(field, None) != value
    assert after == before, "and nothing else"


def test_none_is_a_word_for_nothing(file: Path) -> None:
    spec = changed(file, "--attack", "none", "--defenses", "none", "--poison-classes", "")
    assert (spec.attack, len(spec.defenses), spec.poison_classes) == (None, 0, None)


def test_help_says_limits_and_defaults(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        build_parser(["train", "--help"]).parse_args(["train", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    for parameter in RunSpec.parameters():
        assert f"--{parameter.name.replace('_', '-')} " in text
        assert f"{parameter.rule[1:]}; default {parameter.default!r}." in text


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--attack-seed", "4294967296"), "'4294967296' given, but it must be a whole number from 0 to 4294967295"),
        (("--poison-rate", "1.5"), "'1.5' given, but it must be a number from 0 to 1"),
        (("--poison-classes", "x"), "'x' is no class number"),
        (("--train-on", "dirty"), "one of 'all', 'clean'"),
        (("--note", "x" * 501), "text of at most 500 characters"),
        (("--attack", "cudda"), "There is no attack 'cudda'. Did you mean 'cuda'"),
        (("--attack", '{"name": "cuda", "blur": 9}'), "blur is 9, but it must be a number from"),
        (("--attack", "{"), "is not JSON"),
        (("--model", "none"), "There is no model 'none'"),
        (("--defenses", "coin,coim"), "There is no defence 'coim'"),
    ],
)
def test_values_that_cannot_be(
    words: tuple[str, ...], message: str, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        changed(file, *words)
    assert left.value.code == 2
    assert message in capsys.readouterr().err


def test_values_that_do_not_fit_together(file: Path) -> None:
    with pytest.raises(SpecError, match="leaves no image clean"):
        changed(file, "--train-on", "clean", "--poison-rate", "1")


def test_a_path_starts_where_it_is_typed(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    spec = changed(file, "--dataset", '{"name": "folder", "path": "photos"}')
    assert spec.dataset.chosen_paths() == {"path": str(tmp_path / "elsewhere" / "photos")}
