#!/usr/bin/env python3
"""UED Studio in one command.

    ./ued.py app  [streamlit options]   start the app on embedded data
    ./ued.py test [pytest options]      pass the tests
    ./ued.py run  ARGS ...              the command line: python -m ued_core ARGS ...
    ./ued.py install                    only install what is missing

Needs Python 3.11 or newer and nothing else (Windows: py ued.py app). The first call
makes .venv beside this file and installs the pinned requirements into it; later calls
install again only when requirements.txt changed. Standard library only.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
REQUIREMENTS = ROOT / "requirements.txt"
ENV = ROOT / ".venv"
MOST_PROCESSES = 4  # of the tests; each takes about 2 GB
SCRIPTS = ENV / ("Scripts" if os.name == "nt" else "bin")
PYTHON = SCRIPTS / ("python.exe" if os.name == "nt" else "python")
STAMP = ENV / ".installed"


def fingerprint() -> str:
    return hashlib.sha256(REQUIREMENTS.read_bytes() + sys.version.encode()).hexdigest()


def make_environment() -> None:
    if PYTHON.exists():
        return
    try:
        venv.create(ENV, with_pip=True)
    except (subprocess.CalledProcessError, SystemExit) as error:
        shutil.rmtree(ENV, ignore_errors=True)
        sys.exit(
            f"This Python ({sys.executable}) cannot make a virtual environment: {error}\n"
            "On Debian and Ubuntu install it with: apt install python3-venv"
        )


def installer() -> list[str]:
    """uv when it can be had (a third of pip's time), else pip."""
    uv = shutil.which("uv") or shutil.which("uv", path=str(SCRIPTS))
    if uv is None:
        pip = [str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check", "uv"]
        if subprocess.run(pip, cwd=ROOT).returncode == 0:
            uv = shutil.which("uv", path=str(SCRIPTS))
    if uv is not None:
        # Unlike pip, uv leaves the compiling to the first import: ten seconds at every start of a worker
        # where Python may not write bytecode, and one slow first start where it may.
        return [uv, "pip", "install", "-q", "--compile-bytecode", "--python", str(PYTHON)]
    return [str(PYTHON), "-m", "pip", "install", "-q", "--disable-pip-version-check"]


def install() -> None:
    if STAMP.exists() and STAMP.read_text() == fingerprint():
        return
    print("Installing the pinned packages into .venv (first time: several GB, mostly torch) ...", file=sys.stderr)
    make_environment()
    command = [*installer(), "-r", str(REQUIREMENTS)]
    if subprocess.run(command, cwd=ROOT).returncode != 0:
        fallback = [str(PYTHON), "-m", "pip", "install", "--disable-pip-version-check", "-r", str(REQUIREMENTS)]
        if subprocess.run(fallback, cwd=ROOT).returncode != 0:
            sys.exit("The packages could not be installed; the lines above say why. Nothing was started.")
    # Compiles the few numba loops into the checkout's caches, so that the first start need not; a failure costs only
    # time.
    subprocess.run(
        [str(PYTHON), "-c", "import app; app.rehearse()"], cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL
    )
    STAMP.write_text(fingerprint())


def environment() -> dict[str, str]:
    """What the started program gets: this environment, fit for many processes on a small machine."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    paths = [str(ROOT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    # Spinning OpenMP threads starve every other process on a small machine; must be set before torch loads.
    return {"OMP_WAIT_POLICY": "PASSIVE", **kept, "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths))}


def start(command: list[str]) -> int:
    """Become the program where the system can, so that signals reach it; else run it and wait."""
    sys.stdout.flush()
    if os.name != "nt":
        os.execve(command[0], command, environment())
    return subprocess.call(command, env=environment())


def shared_out(options: list[str]) -> list[str]:
    """Options by which pytest uses several cores, where the whole suite is asked for; tests/conftest.py says how."""
    chosen = any((ROOT / option.split("::")[0]).exists() for option in options if not option.startswith("-"))
    processes = min(os.cpu_count() or 1, MOST_PROCESSES)
    return [] if chosen or processes < 2 else ["-n", str(processes), "--no-loadscope-reorder"]


def main() -> int:
    commands = {
        "app": [str(PYTHON), "-m", "streamlit", "run", str(ROOT / "app.py")],
        "test": [str(PYTHON), "-m", "pytest"],
        "run": [str(PYTHON), "-m", "ued_core"],
        "install": None,
    }
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        print(__doc__)
        return 0 if sys.argv[1:] in (["-h"], ["--help"]) else 2
    if sys.version_info < (3, 11):  # noqa: UP036
        sys.exit(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}. Try: python3.12 {sys.argv[0]}")
    try:
        install()
        command = commands[sys.argv[1]]
        if command is None:
            return 0
        if sys.argv[1] != "run":
            # Streamlit and pytest read their settings here; paths given to "run" belong to the caller's folder.
            os.chdir(ROOT)
        options = sys.argv[2:]
        if sys.argv[1] == "test":
            command += shared_out(options)
        return start([*command, *options])
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
