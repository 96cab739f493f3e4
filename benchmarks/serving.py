"""Real servers and a real browser for the benchmarks."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from playwright.sync_api import Browser

ROOT = Path(__file__).resolve().parents[1]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@dataclass(frozen=True)
class Server:
    """A server that answers.

    Attributes:
        address: ``http://127.0.0.1:port``.
        process: what was started.
    """

    address: str
    process: subprocess.Popen[bytes]

    def cpu_s(self) -> float:
        """CPU seconds of the web server so far, without the processes beside it."""
        times = psutil.Process(self.process.pid).cpu_times()
        return times.user + times.system


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def started(command: Sequence[str], home: Path) -> Iterator[Server]:
    """Start a server command; yields at once, ends the whole group afterwards."""
    port = free_port()
    options = ["--server.port", str(port), "--server.address", "127.0.0.1", "--server.headless", "true"]
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, "UED_HOME": str(home), "UED_IDLE_S": "5"}
    home.mkdir(parents=True, exist_ok=True)
    with (home / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [*command, *options],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        yield Server(f"http://127.0.0.1:{port}", process)
    finally:
        for end in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, end)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)
                break


@contextmanager
def served(script: Path, home: Path) -> Iterator[Server]:
    """``streamlit run`` of a script; yields once it answers.

    Raises:
        RuntimeError: it did not answer within a minute; the message ends with its log.
    """
    with started([sys.executable, "-m", "streamlit", "run", str(script)], home) as server:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            with (
                contextlib.suppress(urllib.error.URLError, OSError),
                urllib.request.urlopen(f"{server.address}/_stcore/health", timeout=1),
            ):
                break
            time.sleep(0.05)
        else:
            raise RuntimeError(f"{script} did not answer:\n{(home / 'server.log').read_text('utf-8')}")
        yield server


@contextmanager
def browser() -> Iterator[Browser]:
    """Headless Chromium; ``UED_BROWSER`` may name it.

    Raises:
        SystemExit: none was found.
    """
    from playwright.sync_api import sync_playwright

    found = os.environ.get("UED_BROWSER") or next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        sys.exit("No Chromium was found: install one, or set UED_BROWSER to its path.")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=FLAGS)
        try:
            yield chromium
        finally:
            chromium.close()
