"""The command line: the contract that scripts outside this repository rely on."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.cli.conftest import Run
from tests.runs.conftest import end_all
from ued_core.attacks import ATTACKS
from ued_core.cli import catalogues
from ued_core.context import Context
from ued_core.data import DATASETS
from ued_core.defenses import Coin, DefenseStack
from ued_core.records import ImageSet
from ued_core.theory import limit, theta

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    for name, value in {"UED_HOME": tmp_path / "home", "UED_IDLE_S": 2, "UED_SLOTS": 1, "UED_THREADS": 1}.items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
    yield tmp_path
    end_all(tmp_path / "home")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """An npz in the agreed format, as another program would write it."""
    path = tmp_path / "photos.npz"
    rng = np.random.default_rng(0)
    np.savez(
        path, images=rng.integers(0, 256, (30, 9, 11, 3), dtype=np.uint8), labels=np.arange(30, dtype=np.int64) % 3
    )
    return path


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


# ---------------------------------------------------------------- methods


def test_methods_json(run: Run) -> None:
    code, out, err = run("methods", "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert list(told) == ["attacks", "defenses", "datasets", "models", "plans", "relabellings"]
    for kind, catalogue in catalogues().items():
        assert [entry["name"] for entry in told[kind]] == list(catalogue)
        for entry, declared in zip(told[kind], catalogue.values(), strict=True):
            assert {"name", "title", "summary", "source", "differs", "capabilities", "parameters"} == set(entry)
            for p, own in zip(entry["parameters"], declared.parameters(), strict=True):
                assert (p["name"], p["kind"], p["default"], p["help"]) == (own.name, own.kind, own.default, own.help)
                assert (p.get("minimum"), p.get("maximum")) == (own.minimum, own.maximum)
                assert p.get("choices", []) == list(own.choices)
    cuda = {p["name"]: p for p in told["attacks"][0]["parameters"]}
    assert (cuda["blur"]["default"], cuda["kernel_size"]["default"]) == (0.3, 3)


def test_methods_for_people(run: Run) -> None:
    code, out, _ = run("methods")
    assert code == 0
    for catalogue in catalogues().values():
        for name, entry in catalogue.items():
            assert f"  {name} " in out
            assert all(f"--{p.name.replace('_', '-')}" in out for p in entry.parameters())


def test_methods_are_chosen_by_name_and_by_what_they_declare(run: Run) -> None:
    def names(*words: str) -> dict[str, list[str]]:
        code, out, err = run("methods", "--json", *words)
        assert (code, err) == (0, "")
        return {kind: [entry["name"] for entry in entries] for kind, entries in json.loads(out).items()}

    assert names("cu*")["attacks"] == ["cuda"]
    assert names("cu*")["defenses"] == ["cutout", "cutmix"]
    expected = [name for name, entry in catalogues()["defenses"].items() if "training" in entry.acts]
    assert names("--kind", "defenses", "--where", "acts=training") == {"defenses": expected}
    assert names("--kind", "attacks", "--where", "needs-whole-set=no", "--where", "keyed=off") == {
        "attacks": ["one_pixel"]
    }
    assert run("methods", "nothing like it")[1] == "No method fits.\n"
    for words, told in (
        (["--where", "keyed=no"], "Add --kind with one of: attacks, "),
        (["--kind", "attacks", "--where", "keyed"], "it must be NAME=VALUE"),
        (["--kind", "attacks", "--where", "colour=no"], "They declare: keyed, needs_whole_set"),
    ):
        code, _, err = run("methods", *words)
        assert code == 2
        assert told in err


# ---------------------------------------------------------------- poison


@pytest.mark.parametrize("name", ["cuda_seed0", "cuda_seed7_blur05"])
def test_official_cuda_images(name: str, run: Run, tmp_path: Path) -> None:
    golden = arrays(GOLDEN / f"{name}.npz")
    given, made = tmp_path / "given.npz", tmp_path / "made.npz"
    np.savez(given, images=golden["images"], labels=golden["labels"])
    seed, blur = int(golden["seed"]), float(golden["blur_parameter"])
    code, out, err = run("poison", "cuda", "--data", given, "--seed", seed, "--blur", blur, "--out", made)
    assert (code, err) == (0, "")
    assert str(made) in out
    found = arrays(made)
    assert (found["images"].dtype, found["images"].shape) == (np.uint8, golden["images"].shape)
    assert (found["labels"].dtype, found["labels"].tolist()) == (np.int64, golden["labels"].tolist())
    assert np.abs(found["images"].astype(int) - golden["poisoned"].astype(int)).max() <= 1


@pytest.mark.parametrize("name", list(ATTACKS))
def test_poison_is_the_library_call(name: str, run: Run, photos: Path, tmp_path: Path) -> None:
    out, values = tmp_path / "out.npz", ATTACKS[name].quick_values() or ({"kernel_size": 5} if name == "cuda" else {})
    options = [text for key, value in values.items() for text in (f"--{key.replace('_', '-')}", value)]
    some = ["--poison-rate", 0.5, "--poison-classes", "0,2"]
    assert run("poison", name, "--data", photos, "--seed", 5, *some, *options, "--out", out)[0] == 0
    given = arrays(photos)
    data = ImageSet(
        torch.from_numpy(given["images"]).permute(0, 3, 1, 2), torch.from_numpy(given["labels"]), tuple("012"), "photos"
    )
    expected = ATTACKS.build(name, **values).poison(data, Context(seed=5), 0.5, [0, 2])
    made = arrays(out)
    assert np.array_equal(made["images"], expected.images.permute(0, 2, 3, 1).numpy())
    recipe = json.loads(str(made["recipe"]))
    assert recipe["attack"] == ATTACKS.build(name, **values).to_json()
    assert (recipe["seed"], recipe["poison_rate"], recipe["poison_classes"]) == (5, 0.5, [0, 2])


@pytest.mark.parametrize("text", ["x", "1-", "3-1", "-1", "0.5"])
def test_classes_that_cannot_be_read(text: str, run: Run, photos: Path, tmp_path: Path) -> None:
    code, _, err = run("poison", "cuda", "--data", photos, f"--poison-classes={text}", "--out", tmp_path / "out.npz")
    assert code == 2
    assert "is no class number" in err


def test_the_same_command_writes_the_same_bytes(run: Run, photos: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert run("poison", "cuda", "--data", photos, "--seed", 1, "--out", tmp_path / f"{name}.npz")[0] == 0
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    run("poison", "cuda", "--data", photos, "--seed", 2, "--out", tmp_path / "c.npz")
    assert (tmp_path / "a.npz").read_bytes() != (tmp_path / "c.npz").read_bytes()
    run("poison", "--seed", 1, "--data", photos, "--out", tmp_path / "d.npz", "cuda")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "d.npz").read_bytes(), (
        "the order of the options does not matter"
    )


def test_named_data_set_with_its_own_options(run: Run, tmp_path: Path) -> None:
    for part, rows in (("train", 200), ("test", 100)):
        out = tmp_path / f"{part}.npz"
        words = (
            "poison",
            "cuda",
            "--data",
            "shapes",
            "--data-train-size",
            200,
            "--data-test-size",
            100,
            "--data-seed",
            3,
        )
        assert run(*words, "--part", part, "--seed", 0, "--out", out)[0] == 0
        made = arrays(out)
        assert made["images"].shape == (rows, 32, 32, 3)
        clean = getattr(DATASETS.build("shapes", train_size=200, test_size=100, seed=3).load(Context()), part)
        assert np.array_equal(made["labels"], clean.labels.numpy())
        assert made["class_names"].tolist() == list(clean.class_names)
        expected = ATTACKS.build("cuda").poison(clean, Context(seed=0)).images
        assert np.array_equal(made["images"], expected.permute(0, 2, 3, 1).numpy())


def test_a_run_on_a_written_file_is_followed_to_its_accuracy(run: Run, photos: Path, tmp_path: Path) -> None:
    """Tested on images that were changed, no accuracy is called clean."""
    assert run("poison", "cuda", "--data", photos, "--out", tmp_path / "p.npz")[0] == 0
    value = {
        "dataset": {"name": "npz", "path": "p.npz", "size": 16},
        "plan": {"name": "adamw", "epochs": 1},
        "device": "cpu",
    }
    for more, words in (({}, "failed"), ({"split_poisoned": True}, "finished: NOT CLEAN test accuracy ")):
        (tmp_path / "spec.json").write_text(json.dumps({**value, "dataset": {**value["dataset"], **more}}))
        _, out, _ = run("train", tmp_path / "spec.json", "--wait")
        assert out.splitlines()[-1].startswith(words)


# ---------------------------------------------------------------- data by path


def test_data_by_path_is_the_data_set_that_lies_there(
    run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder and a file of a known kind, relative to the caller, with the options of their data set."""
    from PIL import Image

    given = arrays(photos)
    for row, label in enumerate(given["labels"][:12]):
        (tmp_path / "pictures" / f"c{label}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(given["images"][row]).save(tmp_path / "pictures" / f"c{label}" / f"{row}.png")
    monkeypatch.chdir(tmp_path)
    for words, images in (
        (["pictures", "--data-size", 8, "--part", "test"], 3), (["photos.npz", "--data-size", 8], 30), ([photos], 30),
        (["npz", "--data-path", "photos.npz", "--part", "test"], 6),
    ):  # fmt: skip
        assert run("data", "--data", *words, "--out", "out.npz")[:2] == (
            0,
            f"out.npz: {images} images in 3 classes\n",
        ), words
        assert arrays(tmp_path / "out.npz")["images"].shape[0] == images


def test_recipes_say_what_was_done_before(run: Run, photos: Path, tmp_path: Path) -> None:
    from ued_core.data import provenance, read_recipe

    poisoned, defended, clean = (tmp_path / f"{name}.npz" for name in ("p", "d", "c"))
    digits = DATASETS.build("digits")
    assert run("poison", "huda", "--data", "digits", "--out", poisoned)[0] == 0
    assert run("defend", "coin", "--data", poisoned, "--out", defended)[0] == 0
    found = provenance(read_recipe(defended))
    assert found is not None
    assert (found.changes, found.dataset, found.part) == (("huda", "coin"), digits.to_json(), "train")
    assert found.clean_hash == digits.load(Context()).train.content_hash
    assert run("data", "--data", "digits", "--part", "test", "--out", clean)[0] == 0
    assert (provenance(read_recipe(clean)).changes, provenance(read_recipe(clean)).part) == ((), "test")
    assert run("poison", "cuda", "--data", photos, "--out", poisoned)[0] == 0
    assert (provenance(read_recipe(poisoned)).changes, provenance(read_recipe(poisoned)).dataset) == (("cuda",), None)


# ---------------------------------------------------------------- defend


def test_defend_is_the_preview(run: Run, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    code, text, err = run(
        "defend", "coin", "--data", photos, "--seed", 4, "--strength", 1.5, "--boundary", "scipy_wrap", "--out", out
    )
    assert (code, err) == (0, "")
    assert "30 images defended by COIN" in text
    given = arrays(photos)
    data = ImageSet(
        torch.from_numpy(given["images"]).permute(0, 3, 1, 2), torch.from_numpy(given["labels"]), tuple("012"), "photos"
    )
    defense = Coin(strength=1.5, boundary="scipy_wrap")
    made = arrays(out)
    assert np.array_equal(
        made["images"], DefenseStack([defense]).preview(data, Context(seed=4)).images.permute(0, 2, 3, 1).numpy()
    )
    assert np.array_equal(made["labels"], given["labels"])
    assert json.loads(str(made["recipe"]))["defenses"] == [defense.to_json()]


def test_what_poison_writes_defend_reads(run: Run, photos: Path, tmp_path: Path) -> None:
    poisoned, defended = tmp_path / "p.npz", tmp_path / "d.npz"
    assert run("poison", "huda", "--data", photos, "--seed", 1, "--out", poisoned)[0] == 0
    assert run("defend", "coin", "--data", poisoned, "--seed", 1, "--strength", 0, "--out", defended)[0] == 0
    assert np.array_equal(arrays(defended)["images"], arrays(poisoned)["images"]), "strength 0 moves nothing"
    assert run("defend", "coin", "--data", poisoned, "--seed", 1, "--truncate", "on", "--out", defended)[0] == 0
    assert not np.array_equal(arrays(defended)["images"], arrays(poisoned)["images"])


# ---------------------------------------------------------------- theta


@pytest.mark.parametrize("boundary", ["periodic", "scipy_wrap"])
def test_theta_json(boundary: str, run: Run) -> None:
    words = (
        "--attack",
        "vuda",
        "--seed",
        6,
        "--strength",
        1.5,
        "--samples",
        20,
        "--boundary",
        boundary,
        "--size",
        12,
        "--blur",
        0.4,
        "--json",
    )
    code, out, err = run("theta", *words)
    assert (code, err) == (0, "")
    told = json.loads(out)
    kernels = ATTACKS.build("vuda", blur=0.4).kernels(10, 6)
    drawn = theta(kernels, 1.5, 20, np.random.default_rng(6), (12, 12), boundary)
    full = limit(kernels, 1.5, (12, 12), boundary)
    assert told["theta_imi"] == pytest.approx(drawn.imi, rel=1e-12)
    assert told["theta_imc"] == pytest.approx(drawn.imc, rel=1e-12)
    assert told["theta_imi_limit"] == pytest.approx(full.imi, rel=1e-12)
    assert told["theta_imc_limit"] == pytest.approx(full.imc, rel=1e-12)
    assert told["attack"] == ATTACKS.build("vuda", blur=0.4).to_json()
    assert (told["seed"], told["strength"], told["samples"], told["boundary"]) == (6, 1.5, 20, boundary)


def test_theta_has_defaults_and_words(run: Run) -> None:
    told = json.loads(run("theta", "--size", 8, "--json")[1])
    assert (told["attack"]["name"], told["seed"], told["strength"], told["samples"], told["classes"]) == (
        "cuda",
        0,
        2.0,
        50,
        10,
    )
    code, out, _ = run("theta", "--size", 8)
    assert code == 0
    assert f"{told['theta_imi']:.6g}" in out
    assert f"{told['theta_imc_limit']:.6g}" in out


# ---------------------------------------------------------------- mistakes

MISTAKES: list[tuple[list[str], str]] = [
    ([], "COMMAND"),
    (["posion", "cuda"], "invalid choice"),
    (["poison", "cudda", "--data", "shapes", "--out", "OUT"], "There is no attack 'cudda'. Did you mean 'cuda'"),
    (["poison", "--data", "PHOTOS", "--out", "OUT"], "There is no attack"),
    (["defend", "cuda", "--data", "PHOTOS", "--out", "OUT"], "There is no defence 'cuda'"),
    (["poison", "cuda", "--out", "OUT"], "--data"),
    (["poison", "cuda", "--data", "PHOTOS"], "--out"),
    (["poison", "cuda", "--data", "shape", "--out", "OUT"], "There is no data set 'shape'. Did you mean 'shapes'?"),
    (["poison", "cuda", "--data", "missing.npz", "--out", "OUT"], "missing.npz'"),
    (["poison", "cuda", "--data", "none/missing", "--out", "OUT"], "There is no file or folder"),
    (
        ["poison", "cuda", "--data", "BADSPEC", "--out", "OUT"],
        "badspec is no data set. A data set is an npz file, IDX files",
    ),
    (["data", "--data", "PHOTOS", "--part", "test", "--out", "OUT"], "has no test part of its own"),
    (["poison", "cuda", "--data", "BROKEN", "--out", "OUT"], "is not an npz file"),
    (
        ["poison", "cuda", "--data", "PHOTOS", "--out", "OUT", "--blur", "7"],
        "blur is 7.0, but it must be a number from 0.01 to",
    ),
    (
        ["poison", "cuda", "--data", "PHOTOS", "--out", "OUT", "--blur", "much"],
        "'much' given, but it must be a number from 0.01 to",
    ),
    (["poison", "cuda", "--data", "PHOTOS", "--out", "OUT", "--blur", "nan"], "blur is nan"),
    (["poison", "cuda", "--data", "PHOTOS", "--out", "OUT", "--kernel-size", "4"], "must be odd"),
    (["poison", "cuda", "--data", "PHOTOS", "--out", "OUT", "--kernel-size", "3.5"], "a whole number"),
    (["poison", "cuda", "--data", "PHOTOS", "--out", "OUT", "--support", "diagonal"], "one of 'full', 'column', 'row'"),
    (["poison", "cuda", "--data", "PHOTOS", "--out", "OUT", "--blurr", "0.3"], "unrecognized arguments: --blurr"),
    (["poison", "cuda", "--data", "PHOTOS", "--out", "OUT", "--blu", "0.3"], "unrecognized arguments: --blu"),
    (
        ["poison", "cuda", "--data", "PHOTOS", "--out", "OUT", "--poison-rate", "2"],
        "'2' given, but it must be a number from 0 to 1",
    ),
    (
        ["poison", "cuda", "--data", "PHOTOS", "--out", "OUT", "--seed", "4294967296"],
        "a whole number from 0 to 4294967295",
    ),
    (
        ["poison", "cuda", "--data", "PHOTOS", "--out", "OUT", "--seed", "x"],
        "'x' given, but it must be a whole number from 0 to 4294967295",
    ),
    (["poison", "cuda", "--data", "PHOTOS", "--out", "OUT", "--data-train-size", "200"], "unrecognized arguments"),
    (
        ["poison", "cuda", "--data", "shapes", "--data-train-size", "1", "--out", "OUT"],
        "train_size is 1, but it must be",
    ),
    (["poison", "cuda", "--data", "PHOTOS", "--out", "WRONGSUFFIX"], "must end in .npz"),
    (["poison", "cuda", "--data", "PHOTOS", "--out", "UNDERFILE"], "Check the path"),
    (["poison", "cuda", "--data", "PHOTOS", "--out", "OUT", "--device", "cuda"], "torch sees no GPU"),
    (["poison", "cuda", "--data", "PHOTOS", "--out", "OUT", "--device", "mps"], "torch sees no Apple GPU"),
    (["defend", "coin", "--data", "PHOTOS", "--out", "OUT", "--strength", "-1"], "strength"),
    (["defend", "coin", "--data", "PHOTOS", "--out", "OUT", "--truncate", "perhaps"], "true or false"),
    (["defend", "coin", "--data", "PHOTOS", "--out", "OUT", "--boundary", "mirror"], "one of 'periodic', 'scipy_wrap'"),
    (["theta", "--attack", "cudda"], "There is no attack 'cudda'"),
    (["theta", "--strength", "-1"], "strength"),
    (["theta", "--strength", "nan"], "The strength is nan"),
    (["theta", "--samples", "0"], "at least 1"),
    (["theta", "--boundary", "mirror"], "invalid choice"),
    (["train", "missing.json"], "missing.json cannot be read"),
    (["train", "BADSPEC"], "has no 'epochs'"),
    (["run", "nothing"], "There is no run 'nothing'"),
    (["cancel", "nothing"], "There is no run"),
    (["resume", "nothing"], "There is no run"),
]


@pytest.mark.parametrize(("words", "message"), MISTAKES, ids=[" ".join(words) or "nothing" for words, _ in MISTAKES])
def test_mistakes_are_words_and_write_nothing(
    words: list[str], message: str, run: Run, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    paths = {name: tmp_path / name.lower() for name in ("BROKEN", "BADSPEC")}
    paths["BROKEN"] = tmp_path / "broken.npz"
    paths["BROKEN"].write_bytes(photos.read_bytes()[:500])
    paths["BADSPEC"].write_text('{"dataset": "shapes", "epochs": 3}')
    outputs = {
        "OUT": tmp_path / "out.npz",
        "WRONGSUFFIX": tmp_path / "out.png",
        "UNDERFILE": photos / "out.npz",
        "PHOTOS": photos,
    }
    places = {**paths, **outputs}
    before = {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()}
    code, out, err = run(*[places.get(word, word) for word in words])
    assert code == 2
    assert message in err
    assert "Traceback" not in err
    assert out == ""
    assert {p: p.read_bytes() for p in tmp_path.iterdir() if p.is_file()} == before
    assert not list((tmp_path / "home").rglob("spec.json"))


def test_an_old_result_survives_a_mistake(run: Run, photos: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.npz"
    assert run("poison", "cuda", "--data", photos, "--out", out)[0] == 0
    before = out.read_bytes()
    assert run("poison", "cuda", "--data", photos, "--blur", 9, "--out", out)[0] == 2
    assert run("poison", "cuda", "--data", tmp_path / "no.npz", "--out", out)[0] == 2
    assert out.read_bytes() == before
    # Writing over one's own input is allowed.
    assert run("defend", "coin", "--data", out, "--out", out)[0] == 0
    assert out.read_bytes() != before


def test_help(run: Run) -> None:
    code, out, _ = run("--help")
    assert code == 0
    assert all(
        f"    {name} " in out
        for name in ("methods", "poison", "defend", "theta", "train", "runs", "run", "cancel", "resume")
    )
    for command, method in (("poison", ATTACKS["cuda"]), ("defend", Coin)):
        code, out, _ = run(command, method.key, "--help")
        assert code == 0
        flat = " ".join(out.split())
        for p in method.parameters():
            assert f"--{p.name.replace('_', '-')} " in out
            assert f"default {p.default!r}" in flat
    assert "--data-train-size" in run("poison", "cuda", "--data", "shapes", "--help")[1]


# ---------------------------------------------------------------- as a process

SPEC = {
    "dataset": {"name": "shapes", "train_size": 200, "test_size": 100},
    "attack": "cuda",
    "model": {"name": "small_cnn", "width": 4},
    "plan": {"name": "adamw", "epochs": 2},
    "device": "cpu",
}


def shell(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ued_core", *words],
        cwd=ROOT,
        env=dict(os.environ),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_train_runs_and_run(tmp_path: Path, run: Run) -> None:
    """A real worker: queued, followed to its end, listed, shown."""
    path = tmp_path / "spec.json"
    path.write_text(json.dumps(SPEC))
    done = shell("train", str(path), "--wait")
    assert done.returncode == 0, done.stderr
    run_id, verdict = done.stdout.split("\n")[:2]
    assert verdict.startswith("finished: clean test accuracy 0.")
    (record,) = json.loads(run("runs", "--json")[1])
    assert (record["id"], record["state"]) == (run_id, "finished")
    told: dict[str, Any] = json.loads(run("run", run_id, "--json")[1])
    assert [row["epoch"] for row in told["history"]] == [1, 2]
    assert verdict == f"finished: clean test accuracy {told['result']['last']:.4f}"
    assert told["spec"]["attack"]["name"] == "cuda"
    code, out, _ = run("runs")
    assert code == 0
    assert run_id in out
    assert "finished" in out
    assert "clean test accuracy" in run("run", run_id, "--lines", 5)[1]
    code, _, err = run("cancel", run_id)
    assert code == 2
    assert "it is finished" in err
    code, _, err = run("resume", run_id)
    assert code == 2
    assert "Submit its spec again" in err


def test_cancel_and_resume(tmp_path: Path, run: Run) -> None:
    """A queued run is cancelled, and resumed to its end."""
    from ued_core import runs
    from ued_core.runs import RunSpec

    run_id = runs.submit(RunSpec.from_json(SPEC), launch=False)
    code, out, _ = run("cancel", run_id)
    assert code == 0
    assert f"{run_id}: cancel requested" in out
    assert json.loads(run("run", run_id, "--json")[1])["state"] == "cancelled"
    code, out, err = run("resume", run_id, "--wait")
    assert (code, err) == (0, "")
    assert f"{run_id}: queued again" in out
    assert "finished: clean test accuracy" in out


def test_a_run_that_fails_ends_with_1(tmp_path: Path, run: Run) -> None:
    path = tmp_path / "spec.json"
    gone = {
        "dataset": {"name": "folder", "path": str(tmp_path / "no folder")},
        "plan": {"name": "adamw", "epochs": 1},
        "device": "cpu",
    }
    path.write_text(json.dumps(gone))
    code, out, _ = run("train", path, "--wait")
    assert code == 1
    assert "failed" in out
    told = json.loads(run("run", out.split()[0], "--json")[1])
    assert "no folder" in told["error"]["what"]


def test_no_runs_yet(run: Run) -> None:
    assert json.loads(run("runs", "--json")[1]) == []
    assert "No runs yet" in run("runs")[1]


def test_a_closed_pipe_is_no_error() -> None:
    """``… | head -1`` ends without a traceback."""
    command = f"{sys.executable} -m ued_core methods --json | head -1"
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout == "{\n"
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_interrupted(monkeypatch: pytest.MonkeyPatch, run: Run, photos: Path, tmp_path: Path) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ATTACKS["cuda"], "perturb", pressed)
    code, out, err = run("poison", "cuda", "--data", photos, "--out", tmp_path / "out.npz")
    assert (code, out) == (130, "")
    assert "interrupted" in err
    assert not (tmp_path / "out.npz").exists()
