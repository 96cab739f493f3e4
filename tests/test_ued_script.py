"""The start script: its words, when it installs, and what it starts. Nothing is installed here."""

from __future__ import annotations

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = ROOT / "ued.py"


@pytest.fixture
def ued(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The script as a module, with its environment and requirements in a temporary folder."""
    spec = importlib.util.spec_from_file_location("ued_script", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    scripts = tmp_path / ".venv" / "bin"
    places = {
        "ROOT": tmp_path,
        "REQUIREMENTS": tmp_path / "requirements.txt",
        "ENV": tmp_path / ".venv",
        "SCRIPTS": scripts,
        "PYTHON": scripts / "python",
        "STAMP": tmp_path / ".venv" / ".installed",
    }
    for name, value in places.items():
        monkeypatch.setattr(module, name, value)
    module.REQUIREMENTS.write_text("torch==2\n")
    return module


@pytest.fixture
def started(ued: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Everything that the script would do to the machine, in order."""
    seen: list[tuple[str, Any]] = []
    monkeypatch.chdir(Path.cwd())

    def create(folder: Path, with_pip: bool) -> None:
        seen.append(("venv", (folder, with_pip)))
        ued.PYTHON.parent.mkdir(parents=True)
        ued.PYTHON.touch()

    def run(command: list[str], **_: Any) -> SimpleNamespace:
        seen.append(("run", command))
        return SimpleNamespace(returncode=0)

    def execve(path: str, command: list[str], environment: dict[str, str]) -> None:
        seen.append(("exec", (command, environment, Path.cwd())))
        raise SystemExit(0)

    monkeypatch.setattr(ued.venv, "create", create)
    monkeypatch.setattr(ued.subprocess, "run", run)
    monkeypatch.setattr(ued.os, "execve", execve)
    monkeypatch.setattr(ued.shutil, "which", lambda name, path=None: "/bin/uv" if path is None else None)
    return seen


def call(ued: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> int | str | None:
    monkeypatch.setattr(sys, "argv", ["./ued.py", *words])
    try:
        return ued.main()
    except SystemExit as left:
        return left.code


def kinds(started: list[tuple[str, Any]]) -> list[str]:
    return [kind for kind, _ in started]


# ---------------------------------------------------------------- words


@pytest.mark.parametrize(("words", "code"), [(["--help"], 0), (["-h"], 0), ([], 2), (["tset"], 2), (["--version"], 2)])
def test_help_and_unknown_commands(words: list[str], code: int) -> None:
    done = subprocess.run(
        [sys.executable, "-S", str(SCRIPT), *words], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == code
    assert "./ued.py app" in done.stdout
    assert "./ued.py test" in done.stdout
    assert done.stderr == ""


def test_an_old_python_is_told_so_before_anything_happens(
    ued: ModuleType, started: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ued.sys, "version_info", (3, 10, 4, "final", 0))
    message = call(ued, monkeypatch, "test")
    assert isinstance(message, str)
    assert message.startswith("Python 3.11 or newer is needed, this is")
    assert started == []


def test_an_old_python_can_read_the_script() -> None:
    """Python 3.7 must get as far as that message: its grammar, and no annotation evaluated."""
    tree = ast.parse(SCRIPT.read_text(), feature_version=(3, 7))
    first = next(node for node in tree.body if isinstance(node, ast.ImportFrom))
    assert (first.module, first.names[0].name) == ("__future__", "annotations")


def test_standard_library_only() -> None:
    tree = ast.parse(SCRIPT.read_text())
    names = {
        alias.name.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names
    }
    names |= {node.module.split(".")[0] for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module}
    assert names <= sys.stdlib_module_names


# ---------------------------------------------------------------- installing


def test_the_first_call_makes_the_environment_and_installs(
    ued: ModuleType, started: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert call(ued, monkeypatch, "install") == 0
    assert kinds(started) == ["venv", "run", "run"]
    assert started[0][1] == (ued.ENV, True)
    command = started[1][1]
    assert command[:3] == ["/bin/uv", "pip", "install"]
    assert "--compile-bytecode" in command
    assert command[-2:] == ["-r", str(ued.REQUIREMENTS)]
    assert command[command.index("--python") + 1] == str(ued.PYTHON)
    assert started[2][1] == [str(ued.PYTHON), "-c", "import app; app.rehearse()"]


def test_later_calls_install_only_what_changed(
    ued: ModuleType, started: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    call(ued, monkeypatch, "install")
    started.clear()
    assert call(ued, monkeypatch, "install") == 0
    assert started == []
    ued.REQUIREMENTS.write_text("torch==3\n")
    assert call(ued, monkeypatch, "install") == 0
    assert kinds(started) == ["run", "run"], "the environment is kept, the packages are installed again"
    started.clear()
    monkeypatch.setattr(ued.sys, "version", "another Python")
    assert call(ued, monkeypatch, "install") == 0
    assert kinds(started) == ["run", "run"]


def test_a_failed_installation_is_not_remembered(
    ued: ModuleType, started: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        ued.subprocess, "run", lambda command, **_: started.append(("run", command)) or SimpleNamespace(returncode=1)
    )
    message = call(ued, monkeypatch, "app")
    assert isinstance(message, str)
    assert "could not be installed" in message
    assert [command[0] for kind, command in started if kind == "run"] == ["/bin/uv", str(ued.PYTHON)], (
        "pip gets its chance after uv"
    )
    assert not ued.STAMP.exists()
    assert "exec" not in kinds(started)


def test_without_uv_it_is_fetched_and_else_pip_does_it(
    ued: ModuleType, started: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ued.shutil, "which", lambda name, path=None: None)
    assert call(ued, monkeypatch, "install") == 0
    fetch, command, _ = (command for kind, command in started if kind == "run")
    assert fetch[-1] == "uv"
    assert command[:4] == [str(ued.PYTHON), "-m", "pip", "install"]


def test_a_python_without_venv_is_told_what_to_install(
    ued: ModuleType, started: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(folder: Path, with_pip: bool) -> None:
        folder.mkdir()
        raise subprocess.CalledProcessError(1, "ensurepip")

    monkeypatch.setattr(ued.venv, "create", broken)
    message = call(ued, monkeypatch, "test")
    assert isinstance(message, str)
    assert "apt install python3-venv" in message
    assert not ued.ENV.exists(), "half an environment would be taken for a whole one"
    assert started == []


def test_interrupting_the_installation(
    ued: ModuleType, started: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def pressed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ued.subprocess, "run", pressed)
    assert call(ued, monkeypatch, "app") == 130
    assert not ued.STAMP.exists()


# ---------------------------------------------------------------- starting


def test_what_is_started(
    ued: ModuleType, started: list[tuple[str, Any]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = Path.cwd()
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    call(ued, monkeypatch, "run", "methods", "--json")
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / "test_layers.py").touch()
    call(ued, monkeypatch, "test", "-x", "tests/test_layers.py")
    call(ued, monkeypatch, "app", "--server.port", "9000")
    (run, env, run_cwd), (test, _, test_cwd), (app, _, app_cwd) = (what for kind, what in started if kind == "exec")
    python = str(ued.PYTHON)
    assert run == [python, "-m", "ued_core", "methods", "--json"]
    assert test == [python, "-m", "pytest", "-x", "tests/test_layers.py"]
    assert app == [python, "-m", "streamlit", "run", str(tmp_path / "app.py"), "--server.port", "9000"]
    assert run_cwd == here, "paths given to the command line belong to the caller's folder"
    assert test_cwd == app_cwd == tmp_path
    assert "PYTHONDONTWRITEBYTECODE" not in env
    assert env["OMP_WAIT_POLICY"] == "PASSIVE"
    assert env["PYTHONPATH"].split(os.pathsep) == [str(tmp_path), "elsewhere"]
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    assert ued.environment()["OMP_WAIT_POLICY"] == "ACTIVE", "a wish of the user goes first"


@pytest.mark.parametrize(("cores", "processes"), [(1, []), (2, ["-n", "2"]), (None, []), (64, ["-n", "4"])])
def test_the_whole_suite_uses_several_cores(
    cores: int | None, processes: list[str], ued: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ued.os, "cpu_count", lambda: cores)
    assert ued.shared_out([])[:2] == ued.shared_out(["-m", "slow"])[:2] == processes
    (ued.ROOT / "tests").mkdir()
    assert ued.shared_out(["-x", "tests::test_one"]) == [], "a part of it starts sooner in one process"


def test_elsewhere_the_exit_code_is_passed_on(ued: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ued.os, "name", "nt")
    assert ued.start([sys.executable, "-c", "raise SystemExit(7)"]) == 7


def test_the_real_script_from_another_folder(ued: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ued, "REQUIREMENTS", ROOT / "requirements.txt")
    stamp = ROOT / ".venv" / ".installed"
    if not stamp.exists() or stamp.read_text() != ued.fingerprint():
        pytest.skip("The script would install first; ./ued.py test runs this.")
    command = [sys.executable, str(SCRIPT), "run", "methods", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "cuda" in {entry["name"] for entry in json.loads(done.stdout)["attacks"]}
