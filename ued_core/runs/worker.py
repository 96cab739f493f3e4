"""The process that executes one run: ``python -m ued_core.runs.worker FOLDER``.

It takes the run's token, or leaves without touching anything. Then it writes a heartbeat,
a line per report, a row per epoch, checkpoints, and in the end the result or the error.

Exit codes:
    0 finished, 1 failed (error.json says why), 2 wrong arguments, 3 not taken: another worker
    has the run or it does not wait, 4 cancelled, 5 asked to stop without a cancel request (the
    machine shuts down): interrupted, can be resumed, 6 the run's folder was deleted.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
from filelock import FileLock, Timeout

from ued_core.errors import Cancelled, UedError
from ued_core.runs.folder import RunFolder, notify
from ued_core.runs.jsonl import append_line
from ued_core.runs.launcher import NOT_CLAIMED
from ued_core.runs.record import process_name

if TYPE_CHECKING:
    from ued_core.records import PoisonedSet
    from ued_core.runs.result import RunResult

FINISHED, FAILED, USAGE, CANCELLED, STOPPED, GONE = 0, 1, 2, 4, 5, 6
HEARTBEAT_S = 1.0
CANCEL_CHECK_S = 0.1
REPORT_S, REPORT_MOST_S = 0.2, 2.0
NICENESS = 5


class Stopper:
    """Answers cheaply whether to stop: a signal came, the cancel file is there, or the run's folder is not."""

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self.signalled = False
        self._next = 0.0

    def listen(self) -> None:
        """Catch SIGTERM (and CTRL-BREAK on Windows)."""
        for name in ("SIGTERM", "SIGBREAK"):
            if hasattr(signal, name):
                signal.signal(getattr(signal, name), self._on_signal)

    def _on_signal(self, number: int, frame: Any) -> None:
        self.signalled = True

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self.signalled and now >= self._next:
            self._next = now + CANCEL_CHECK_S
            self.signalled = self.folder.cancel_requested() or self.folder.gone()
        return self.signalled


class EarlyStop:
    """Whether somebody asked to end crafting early, answered cheaply.

    Whoever crafts asks only once there is something that could be published; being asked makes this known.
    """

    def __init__(self, folder: RunFolder) -> None:
        self.folder = folder
        self._next = 0.0
        self._wanted = False
        # Of an earlier attempt.
        folder.usable.unlink(missing_ok=True)

    def __call__(self) -> bool:
        now = time.monotonic()
        if not self._wanted and now >= self._next:
            self._next = now + CANCEL_CHECK_S
            self.folder.usable.touch()
            self._wanted = self.folder.stop_crafting_requested()
        return self._wanted

    def over(self, poisoned: PoisonedSet) -> None:
        """The poison is there: nothing can be ended early any more."""
        self.folder.usable.unlink(missing_ok=True)
        if poisoned.log is not None:
            say(str(poisoned.log["note"]))


class Reporter:
    """Writes reports, at most one in 0.2 s; in long runs fewer, so that the file stays small. One that cannot be
    written is left out."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.began = time.monotonic()
        self._last = -1e9
        self._total: float | None = None

    def __call__(self, done: float, total: float, text: str) -> None:
        now = time.monotonic()
        wait = min(REPORT_MOST_S, max(REPORT_S, (now - self.began) / 1000))
        if total == self._total and now - self._last < wait:
            return
        self._last, self._total = now, total
        # A full disk ends a run where something is lost by it, at its history or a checkpoint.
        with suppress(OSError):
            append_line(self.path, {"time": time.time(), "done": done, "total": total, "text": text})


def claim(folder: RunFolder, threads: int) -> int | None:
    """Take the run's token and note the attempt; its number, or None when there is nothing to take.

    Must be called while holding the folder's lock.

    Raises:
        OSError: there is no room for the last words, or the attempt cannot be noted.
    """
    if folder.result_path.exists() or not folder.queued():
        return None
    folder.reserve()
    # Before the token: without both, the run would look failed for a moment.
    folder.error_path.unlink(missing_ok=True)
    if not folder.take_token():
        return None
    attempt = len(folder.attempts()) + 1
    where = {"slot": os.environ.get("UED_SLOT", "cpu:0"), "device": os.environ.get("UED_DEVICE", "CPU")}
    row = {"attempt": attempt, "time": time.time(), **process_name(), **where, "threads": threads}
    append_line(folder.attempts_path, row)
    append_line(folder.progress_path, {"attempt": attempt, "time": time.time()})
    notify(folder.path.parent, folder.run_id)
    return attempt


def thread_count(folder: RunFolder) -> int:
    """Threads to compute with: those of the run's first attempt, because sums depend on them."""
    attempts = folder.attempts()
    first = attempts[0].threads if attempts else None
    wanted = os.environ.get("OMP_NUM_THREADS", "")
    return first if first else int(wanted) if wanted.isdigit() else 1


def beat(folder: RunFolder, over: threading.Event) -> None:
    """Touch the heartbeat until told to end; a step of many minutes does not look dead."""
    while True:
        with suppress(OSError):
            folder.heartbeat.touch()
        if over.wait(HEARTBEAT_S):
            return


def compute(folder: RunFolder, stop: Callable[[], bool], threads: int) -> RunResult:
    """Execute the spec; the imports that take seconds happen here."""
    import torch

    from ued_core.context import Context, pick_device
    from ued_core.runs.pipeline import environment, execute
    from ued_core.runs.spec import RunSpec

    torch.set_num_threads(threads)
    enough = EarlyStop(folder)
    spec = RunSpec.read_submitted(folder.spec_path)
    device = pick_device(spec.device)
    append_line(folder.environments_path, environment(device, spec.plan.dtype(device)).to_json())
    return execute(
        spec,
        Context(
            on_report=Reporter(folder.progress_path),
            stop=stop,
            enough=enough,
            on_note=lambda note: say(f"note: {note}"),
        ),
        checkpoint=folder.checkpoint,
        weights=folder.weights,
        epoch_folder=folder.epoch_folder,
        partial=folder.partial,
        on_poisoned=enough.over,
        on_epoch=lambda row: append_line(folder.history_path, row),
    )


def explain(error: Exception, trace: str) -> dict[str, str]:
    """What an exception means to the person who reads it, as :meth:`RunFolder.write_error` takes it."""
    if isinstance(error, UedError):
        return {"what": error.what, "do": error.do, "kind": type(error).__name__}
    if out_of_memory(error):
        return {
            "what": f"The memory was not enough: {str(error).splitlines()[0] if str(error) else type(error).__name__}",
            "do": "Use a smaller batch, model or data set, or run fewer at a time.",
            "kind": "memory",
            "traceback": trace,
        }
    if disk_full(error):
        return {
            "what": "The disk is full: a checkpoint, the weights or another file of the run could not be written.",
            "do": "Make room, then resume the run.",
            "kind": "disk",
            "traceback": trace,
        }
    return {
        "what": f"A bug in the program: {type(error).__name__}: {error}",
        "do": "Please report it with the traceback.",
        "kind": "bug",
        "traceback": trace,
    }


def out_of_memory(error: Exception) -> bool:
    """Whether the processor's or the GPU's memory was exhausted."""
    return (
        isinstance(error, MemoryError)
        or type(error).__name__ == "OutOfMemoryError"
        or (isinstance(error, RuntimeError) and "can't allocate memory" in str(error))
    )


def disk_full(error: Exception) -> bool:
    """Whether a file could not be written whole, in the words of Python, of torch (whose writer lost its place) or of
    safetensors."""
    if isinstance(error, OSError):
        return error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    words = str(error)
    return any(
        part in words for part in ("PytorchStreamWriter", "unexpected pos", "Error while serializing: I/O error")
    )


def work(folder: RunFolder, stop: Stopper, attempt: int, threads: int) -> int:
    """Execute a claimed run and record how it ended; the exit code."""
    say(f"attempt {attempt}: process {os.getpid()} on {os.environ.get('UED_DEVICE', 'CPU')}, {threads} threads")
    try:
        result = compute(folder, stop, threads)
        if folder.gone():
            return _gone(folder)
        folder.write_result(result.model_copy(update={"attempts": attempt}))
    except Cancelled:
        if folder.gone():
            return _gone(folder)
        asked = folder.cancel_requested()
        say("cancelled" if asked else "stopped by a signal; the run can be resumed")
        return CANCELLED if asked else STOPPED
    except Exception as error:
        trace = traceback.format_exc()
        say(trace)
        return _gone(folder) if folder.gone() else _failed(folder, error, trace)
    folder.checkpoint.unlink(missing_ok=True)
    folder.last_words.unlink(missing_ok=True)
    say(f"finished in {result.seconds:.1f} s: clean test accuracy {result.last:.4f}")
    return FINISHED


def _failed(folder: RunFolder, error: Exception, trace: str) -> int:
    try:
        folder.write_error(**explain(error, trace))
    except OSError as silenced:
        say(f"the error cannot be written: {silenced}")
    return FAILED


def _gone(folder: RunFolder) -> int:
    """Leave nothing behind of a run that somebody deletes while it is executed."""
    say("the run's folder was deleted")
    shutil.rmtree(folder.path, ignore_errors=True)
    return GONE


def say(text: str) -> None:
    """Write to the log, with the time; what a full disk does not take is lost."""
    try:
        print(time.strftime("%H:%M:%S"), text, flush=True)
    except OSError:
        # Python would try again at its end, and end with an exit code of its own.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: list[str]) -> int:
    """Claim the run and work; see the module's exit codes."""
    if len(arguments) != 1 or not Path(arguments[0]).is_dir():
        print("usage: python -m ued_core.runs.worker FOLDER", file=sys.stderr)
        return USAGE
    folder = RunFolder(Path(arguments[0]).resolve())
    stop = Stopper(folder)
    stop.listen()
    try:
        with FileLock(folder.lock, timeout=0):
            threads = thread_count(folder)
            try:
                attempt = claim(folder, threads)
            except OSError as error:
                folder.take_token()
                return _failed(folder, error, traceback.format_exc())
            return NOT_CLAIMED if attempt is None else attend(folder, stop, attempt, threads)
    except Timeout:
        return NOT_CLAIMED


def attend(folder: RunFolder, stop: Stopper, attempt: int, threads: int) -> int:
    """Work with a beating heart and good manners; tell the supervisor at the end."""
    with suppress(psutil.Error, OSError):
        if sys.platform == "win32":
            psutil.Process().nice(psutil.BELOW_NORMAL_PRIORITY_CLASS)
        else:
            psutil.Process().nice(NICENESS)
    over = threading.Event()
    threading.Thread(target=beat, args=(folder, over), daemon=True).start()
    try:
        return work(folder, stop, attempt, threads)
    finally:
        over.set()
        notify(folder.path.parent, folder.run_id)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
