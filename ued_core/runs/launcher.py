"""How the processes of the queue are started, asked after and stopped."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import psutil
from filelock import FileLock, Timeout

from ued_core.home import home
from ued_core.runs.devices import Slot
from ued_core.runs.folder import RunFolder, runs_root

PACKAGE_PARENT = Path(__file__).resolve().parents[2]
NOT_CLAIMED = 3
"""A worker's exit code when the run is not its to execute: another one has it, or it does not wait."""


@dataclass(frozen=True)
class Handle:
    """The identity of a process: a number alone is given to another one sooner or later.

    Attributes:
        host: machine.
        pid: process number.
        created: start time, seconds since 1970.
    """

    host: str
    pid: int
    created: float

    @classmethod
    def of(cls, pid: int) -> Handle:
        """The handle of a process on this machine; a process that is gone gets one that is dead."""
        try:
            created = psutil.Process(pid).create_time()
        except psutil.Error:
            created = 0.0
        return cls(socket.gethostname(), pid, created)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Handle | None:
        """Read a line of ``attempts.jsonl``; None when it names no process."""
        try:
            return cls(str(row.get("host", socket.gethostname())), int(row["pid"]), float(row["created"]))
        except (KeyError, TypeError, ValueError):
            return None

    def here(self) -> bool:
        """Whether the process belongs to this machine."""
        return self.host == socket.gethostname()

    def alive(self) -> bool:
        """Whether this very process runs; a zombie does not."""
        if not self.here():
            return False
        try:
            process = psutil.Process(self.pid)
            return abs(process.create_time() - self.created) < 1.0 and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.Error:
            return True


class Launcher(Protocol):
    """Starts, watches and stops workers: on this machine, or through a cluster's own queue."""

    def start(self, folder: RunFolder, slot: Slot) -> Handle:
        """Start a worker for the run on the slot's device.

        Raises:
            OSError: no process can be started.
        """
        ...

    def alive(self, handle: Handle) -> bool:
        """Whether the worker still runs."""
        ...

    def exit_code(self, handle: Handle) -> int | None:
        """How it ended; None when it runs or nobody can know."""
        ...

    def stop(self, handle: Handle, force: bool = False) -> None:
        """Ask the worker to stop, or end it and everything that it started."""
        ...


@dataclass
class LocalLauncher:
    """Workers as processes of this machine, each in a session of its own.

    Attributes:
        slots: how many run beside each other; the processor's cores are divided among them.
    """

    slots: int = 1
    _children: dict[Handle, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(self, folder: RunFolder, slot: Slot) -> Handle:
        env = child_environment() | {
            "UED_SLOT": slot.name,
            "UED_DEVICE": slot.label,
            "CUDA_VISIBLE_DEVICES": slot.visible,
            # Waiting threads that spin make an epoch many times slower as soon as another process wants the core.
            "OMP_WAIT_POLICY": "PASSIVE",
            "OMP_NUM_THREADS": str(threads_per_worker(self.slots)),
        }
        with open(folder.log, "ab") as log:
            child = spawn(["-m", "ued_core.runs.worker", str(folder.path)], env, log)
        handle = Handle.of(child.pid)
        self._children[handle] = child
        return handle

    def alive(self, handle: Handle) -> bool:
        child = self._children.get(handle)
        return child.poll() is None if child else handle.alive()

    def exit_code(self, handle: Handle) -> int | None:
        child = self._children.get(handle)
        return child.poll() if child else None

    def stop(self, handle: Handle, force: bool = False) -> None:
        if not self.alive(handle):
            return
        with suppress(ProcessLookupError, PermissionError, psutil.Error):
            if os.name == "nt":
                # Windows has no polite signal for a detached process; the cancel file asks, and this ends.
                if force:
                    end_tree(psutil.Process(handle.pid))
            elif force:
                os.killpg(handle.pid, signal.SIGKILL)
            else:
                os.kill(handle.pid, signal.SIGTERM)


def end_tree(process: psutil.Process) -> None:
    """End a process and everything that it started."""
    for one in [*process.children(recursive=True), process]:
        with suppress(psutil.Error):
            one.kill()


def threads_per_worker(slots: int) -> int:
    """``UED_THREADS``, or all cores but one divided among the slots."""
    wanted = os.environ.get("UED_THREADS", "")
    return int(wanted) if wanted.isdigit() and int(wanted) else max(1, ((os.cpu_count() or 2) - 1) // max(1, slots))


def child_environment() -> dict[str, str]:
    """This process's environment, with what a child needs to find the package and the data again."""
    paths = [str(PACKAGE_PARENT), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    own = {"UED_HOME": str(home()), "PYTHONPATH": os.pathsep.join(dict.fromkeys(paths)), "PYTHONUNBUFFERED": "1"}
    return dict(os.environ) | own


def spawn(arguments: list[str], env: Mapping[str, str], output: Any) -> subprocess.Popen[bytes]:
    """Start Python detached: it outlives this process, its terminal and its signals."""
    detached: dict[str, Any] = {"start_new_session": True}
    if os.name == "nt":
        flags = ("CREATE_NEW_PROCESS_GROUP", "DETACHED_PROCESS")
        detached = {"creationflags": sum(getattr(subprocess, flag) for flag in flags)}
    return subprocess.Popen(
        [sys.executable, *arguments],
        env=dict(env),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        close_fds=True,
        **detached,
    )


def supervisor_lock(root: Path) -> FileLock:
    """Held by the supervisor for as long as it lives."""
    return FileLock(root / "supervisor.lock")


def ensure_supervisor() -> bool:
    """Start the supervisor unless one is alive; true when one was started."""
    root = runs_root()
    root.mkdir(parents=True, exist_ok=True)
    probe = supervisor_lock(root)
    try:
        probe.acquire(timeout=0)
    except Timeout:
        return False
    probe.release()
    with open(root / "supervisor.log", "ab") as log:
        spawn(["-m", "ued_core.runs.supervisor"], child_environment(), log)
    return True
