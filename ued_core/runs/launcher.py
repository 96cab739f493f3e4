"""How the processes of the queue are started, asked after and stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import psutil
from filelock import FileLock, Timeout

from ued_core.errors import RunError
from ued_core.home import home
from ued_core.runs.devices import Slot
from ued_core.runs.folder import RunFolder, cannot_write, runs_root
from ued_core.runs.stored import Attempt
from ued_core.stored import fitted

PACKAGE_PARENT = Path(__file__).resolve().parents[2]
NOT_CLAIMED = 3
"""A worker's exit code when the run is not its to execute: another one has it, or it does not wait."""
SAME_S = 2.0
"""Start times of one process, told by two others, differ by less."""
WATCH_S, WATCH_MOST_S = 2.0, 60.0
"""How often those who watch look whether a supervisor lives, and how rarely at least while each that they start
dies."""


@dataclass(frozen=True)
class Handle:
    """The identity of a process: a number alone is given to another one sooner or later.

    Attributes:
        host: machine.
        pid: process number.
        created: start time, seconds since 1970. Two processes that ask for it may hear times that differ by a second,
            and a clock that is set moves it.
        birth: what nothing moves, where the system tells it: the boot that the process belongs to and its clock ticks
            since then.
    """

    host: str
    pid: int
    created: float
    birth: str = ""

    @classmethod
    def of(cls, pid: int) -> Handle:
        """The handle of a process on this machine; a process that is gone gets one that is dead."""
        try:
            created = psutil.Process(pid).create_time()
        except psutil.Error:
            created = 0.0
        return cls(socket.gethostname(), pid, created, birth_of(pid))

    @classmethod
    def from_attempt(cls, attempt: Attempt) -> Handle | None:
        """The process of a line of ``attempts.jsonl``; None when it names none."""
        if attempt.pid is None or attempt.created is None:
            return None
        return cls(attempt.host or socket.gethostname(), attempt.pid, attempt.created, attempt.birth)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: Any) -> Handle | None:
        """Read what :meth:`to_json` wrote; None for anything else."""
        try:
            value = json.loads(text)
        except (TypeError, ValueError, RecursionError):
            return None
        return cls.from_attempt(fitted(Attempt, value, "a handle"))

    def same(self, other: Handle) -> bool:
        """Whether both name one process."""
        if (self.host, self.pid) != (other.host, other.pid):
            return False
        return self.birth == other.birth if self.birth and other.birth else abs(self.created - other.created) < SAME_S

    def here(self) -> bool:
        """Whether the process belongs to this machine."""
        return self.host == socket.gethostname()

    def alive(self) -> bool:
        """Whether this very process runs; a zombie does not."""
        if not self.here():
            return False
        try:
            process = psutil.Process(self.pid)
            mine = Handle(self.host, self.pid, process.create_time(), birth_of(self.pid) if self.birth else "")
            return self.same(mine) and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return False
        except psutil.Error:
            return True


def birth_of(pid: int) -> str:
    """Boot and clock ticks of a process's start; empty where the system does not tell them, or the process is gone."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        # The name of the program stands in brackets and may hold anything; the start time is the 22nd field.
        ticks = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, ValueError, IndexError):
        return ""
    return f"{boot} {ticks}"


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

    def reap(self) -> None:
        """Leave no ended worker behind as a zombie, whether anybody asks after it or not."""
        ...


KEEP_FREED = {"MALLOC_MMAP_THRESHOLD_": str(1 << 32), "MALLOC_TRIM_THRESHOLD_": str(1 << 33)}
"""For glibc's allocator, read by no other: a worker keeps what it freed. A step of a network allocates the same tensors
as the one before, and fetching their pages from the system each time is a sixth of its time
(``benchmarks.allocator``)."""


@dataclass
class LocalLauncher:
    """Workers as processes of this machine, each in a session of its own.

    Attributes:
        slots: how many run beside each other; the processor's cores are divided among them.
    """

    slots: int = 1
    _children: dict[int, tuple[Handle, subprocess.Popen[bytes]]] = field(default_factory=dict)

    def start(self, folder: RunFolder, slot: Slot) -> Handle:
        env = child_environment() | {
            "UED_SLOT": slot.name,
            "UED_DEVICE": slot.label,
            "CUDA_VISIBLE_DEVICES": slot.visible,
            # What torch cannot compute on Apple's GPU, the processor computes; read when torch is imported.
            "PYTORCH_ENABLE_MPS_FALLBACK": "1",
            # Waiting threads that spin make an epoch many times slower as soon as another process wants the core.
            "OMP_WAIT_POLICY": "PASSIVE",
            "OMP_NUM_THREADS": str(threads_per_worker(self.slots)),
        }
        env = KEEP_FREED | env
        with open(folder.log, "ab") as log:
            child = spawn(["-m", "ued_core.runs.worker", str(folder.path)], env, log)
        handle = Handle.of(child.pid)
        self._children[child.pid] = handle, child
        return handle

    def _child(self, handle: Handle) -> subprocess.Popen[bytes] | None:
        known, child = self._children.get(handle.pid, (None, None))
        return child if known is not None and known.same(handle) else None

    def alive(self, handle: Handle) -> bool:
        child = self._child(handle)
        return child.poll() is None if child else handle.alive()

    def exit_code(self, handle: Handle) -> int | None:
        child = self._child(handle)
        return child.poll() if child else None

    def reap(self) -> None:
        # Asking a child how it ended is what lets the system forget it.
        for _, child in self._children.values():
            child.poll()

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
    """Start the supervisor unless one is alive; true when one was started.

    Raises:
        RunError: the home cannot be written.
    """
    root = runs_root()
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe = supervisor_lock(root)
        probe.acquire(timeout=0)
    except Timeout:
        return False
    except OSError as error:
        raise cannot_write(error, root) from error
    probe.release()
    with open(root / "supervisor.log", "ab") as log:
        child = spawn(["-m", "ued_core.runs.supervisor"], child_environment(), log)
    # Somebody has to wait for it, or it stays a zombie for as long as this process lives.
    threading.Thread(target=child.wait, name="supervisor's end", daemon=True).start()
    return True


class Watch:
    """Sees to it that somebody executes what waits under one home; cheap enough for everybody who looks.

    It looks once in :data:`WATCH_S` at most, however many threads ask. A supervisor that never gets going is started
    again ever more rarely.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next = 0.0
        self._pause = WATCH_S

    def look(self) -> bool:
        """Start the supervisor if there is none; true when one was started."""
        with self._lock:
            if time.monotonic() < self._next:
                return False
            try:
                started = ensure_supervisor()
            except (RunError, OSError):
                # Whoever only looks is not told that the home cannot be written: whoever submits is.
                started = False
            self._pause = min(2 * self._pause, WATCH_MOST_S) if started else WATCH_S
            self._next = time.monotonic() + self._pause
            return started


@lru_cache(maxsize=4)
def watch_of(root: Path) -> Watch:
    """The one watch over a folder of runs in this process."""
    return Watch()
