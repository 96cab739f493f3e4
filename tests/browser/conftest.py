"""Real servers and a real browser."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.runs.conftest import end_all

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict) -> dict:
    found = os.environ.get("UED_BROWSER") or next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("No Chromium was found: install one, or set UED_BROWSER to its path.")
    return {**browser_type_launch_args, "executable_path": found, "args": FLAGS}


@contextmanager
def served(script: Path, home: Path) -> Iterator[str]:
    """``streamlit run`` of a script on a free port; yields its address once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = home / "server.log"
    command = [sys.executable, "-m", "streamlit", "run", str(script), "--server.port", str(port)]
    environment = {**os.environ, "UED_HOME": str(home), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--server.address", "127.0.0.1", "--server.headless", "true"],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        _wait_until_it_answers(address, process, log)
        yield address
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(15)


def _wait_until_it_answers(address: str, process: subprocess.Popen, log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            pytest.fail(f"The server ended at once:\n{log.read_text()}")
        try:
            with urllib.request.urlopen(f"{address}/_stcore/health", timeout=1):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    pytest.fail(f"The server did not answer within {seconds} s:\n{log.read_text()}")


@pytest.fixture(scope="session")
def serve() -> Callable[[str, Path], AbstractContextManager[str]]:
    """Starts a server: ``with serve("app.py", home) as address``."""
    return lambda script, home: served(ROOT / script, home)


@pytest.fixture(scope="session")
def own_app(
    serve: Callable[[str, Path], AbstractContextManager[str]], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[str], AbstractContextManager[str]]:
    """The app in a home of its own, so that the queue holds nothing else: ``with own_app("train") as address``."""

    @contextmanager
    def started(name: str) -> Iterator[str]:
        home = tmp_path_factory.mktemp(name)
        patch = pytest.MonkeyPatch()
        for variable, value in {"UED_IDLE_S": "2", "UED_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}.items():
            patch.setenv(variable, value)
        try:
            with serve("app.py", home) as found:
                yield found
        finally:
            end_all(home)
            patch.undo()

    return started


@pytest.fixture(scope="session")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The app."""
    with served(ROOT / "app.py", tmp_path_factory.mktemp("home")) as address:
        yield address


@pytest.fixture(scope="session")
def stage_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A page that holds only the shared parts, for tests that must not depend on any page."""
    with served(ROOT / "tests" / "browser" / "stage" / "stage.py", tmp_path_factory.mktemp("stage")) as address:
        yield address
