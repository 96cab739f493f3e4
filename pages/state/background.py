"""A process beside the server for work that would hold every reader up: layouts, features.

The web server is one Python process with one interpreter lock; a second of UMAP in a page run
is a second in which nobody's slider moves. Here functions run one after another in a process of
low priority. It is started with the server, started again when it dies, and ends with the
server, also when that is killed: its input then ends.
"""

from __future__ import annotations

import functools
import logging
import os
import subprocess
import sys
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import streamlit as st
from starlette.routing import Route
from streamlit.runtime.scriptrunner import get_script_run_ctx

from pages.frame.cache import content_id, key_of
from pages.frame.guard import plain
from pages.state.side_process import Failure, failure, read_message, write_message
from pages.widgets.waiting import rerun_when, waiting_route
from ued_core.errors import UedError
from ued_core.params import fingerprint

State = Literal["waiting", "running", "ready", "failed", "superseded"]
ROOT = Path(__file__).resolve().parents[2]
KEPT_RESULTS = 64
# A page that shows an error runs again when it comes: asked for at once, what cannot succeed would be tried for ever.
RETRY_AFTER_S = 60.0
# How soon the death of an idle process is noticed.
IDLE_LOOK_S = 2.0
DONE = "background/done"
PLACES = "background_places"
NOT_MEASURED = "This could not be measured"
T = TypeVar("T")
log = logging.getLogger("ued")


class WorkFailed(UedError):
    """Work in the side process failed; the message is that of its error."""


@dataclass(eq=False)
class Handle:
    """A piece of work on its way.

    Attributes:
        key: what is computed; equal keys share one handle.
        state: ``waiting`` → ``running`` → ``ready`` or ``failed``; ``superseded`` when the
            reader asked for something newer before it was begun.
        value: the result once it is ready.
        error: what went wrong once it has failed.
    """

    key: str
    call: tuple[Callable[..., Any], tuple[Any, ...]] | None
    slots: set[str] = field(default_factory=set)
    state: State = "waiting"
    value: Any = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)
    deaths: int = 0
    due: float = 0.0
    failed_at: float = 0.0

    def result(self, timeout: float | None = None) -> Any:
        """Wait for the value.

        Raises:
            TimeoutError: it did not come in ``timeout`` seconds.
            WorkFailed: it failed, or was superseded.
        """
        if not self.done.wait(timeout):
            raise TimeoutError(f"{self.key!r} is still {self.state} after {timeout} s")
        if self.error is not None:
            raise self.error
        if self.state == "superseded":
            raise WorkFailed("Something newer was asked for.")
        return self.value


@dataclass(frozen=True)
class Status:
    """How the side process is doing.

    Attributes:
        ready: the warm-up is done, so that the next layout takes its usual time.
        running: key of the work in progress, or ``None``.
        waiting: how many pieces of work wait.
        starts: how often the process has been started; 1 is normal.
    """

    ready: bool
    running: str | None
    waiting: int
    starts: int


class SideProcess:
    """The queue in front of one process, and the thread that feeds it.

    Args:
        warm_up: what the process does first, each time it is started; ``None`` for nothing.
    """

    def __init__(self, warm_up: Callable[[], Any] | None = None) -> None:
        self._warm_up = warm_up
        self._lock = threading.Condition()
        self._queue: deque[Handle] = deque()
        self._handles: OrderedDict[str, Handle] = OrderedDict()
        self._running: Handle | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._warm = warm_up is None
        self._starts = 0
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="side-process", daemon=True)
        self._thread.start()

    def submit(
        self, key: str, function: Callable[..., Any], *args: Any, slot: str = "", after_s: float = 0.0
    ) -> Handle:
        """Have ``function(*args)`` computed.

        Args:
            key: names the result; must name every input. Known keys are not computed again; those that failed, not for
                a minute.
            function: a module-level function of ``ued_core``.
            args: anything that can be pickled.
            slot: what the result is for. Older work for the same slot that has not begun is
                dropped unless another slot wants it too.
            after_s: seconds before it may begin. The page is drawn meanwhile, and a newer wish
                may replace it.
        """
        with self._lock:
            handle = self._handles.get(key)
            if handle is None or handle.state == "superseded" or self._may_try_again(handle):
                handle = Handle(key, (function, args), due=time.monotonic() + after_s)
                self._queue.append(handle)
            self._handles[key] = handle
            self._handles.move_to_end(key)
            if slot:
                self._take_slot(handle, slot)
            self._trim()
            self._lock.notify_all()
            return handle

    @staticmethod
    def _may_try_again(handle: Handle) -> bool:
        return handle.state == "failed" and time.monotonic() - handle.failed_at >= RETRY_AFTER_S

    def handles(self, keys: Sequence[str]) -> list[Handle]:
        """Those of the named handles that are still kept."""
        with self._lock:
            return [self._handles[key] for key in keys if key in self._handles]

    def status(self) -> Status:
        """How the process is doing."""
        with self._lock:
            running = self._running.key if self._running else None
            return Status(self._warm, running, len(self._queue), self._starts)

    def close(self) -> None:
        """End the process; work that has not been finished fails."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                self._process.kill()
            self._lock.notify_all()
        self._thread.join(5)

    def _take_slot(self, wanted: Handle, slot: str) -> None:
        wanted.slots.add(slot)
        for other in list(self._queue):
            if other is not wanted and slot in other.slots:
                other.slots.discard(slot)
                if not other.slots:
                    self._queue.remove(other)
                    self._finish(other, "superseded")

    def _trim(self) -> None:
        finished = [key for key, handle in self._handles.items() if handle.done.is_set()]
        for key in finished[: max(0, len(self._handles) - KEPT_RESULTS)]:
            del self._handles[key]

    @staticmethod
    def _finish(handle: Handle, state: State, value: Any = None, error: BaseException | None = None) -> None:
        handle.state, handle.value, handle.error, handle.call = state, value, error, None
        handle.failed_at = time.monotonic()
        handle.done.set()

    def _serve(self) -> None:
        while True:
            with self._lock:
                if self._closed:
                    break
            try:
                self._ensure_process()
            except OSError:
                log.exception("The side process could not be started")
                self._fail_all("The side process could not be started.")
                return
            handle = self._next()
            if handle is not None:
                self._compute(handle)
        self._fail_all("The server is stopping.")

    def _next(self) -> Handle | None:
        with self._lock:
            first = min(self._queue, key=lambda handle: handle.due, default=None)
            pause = IDLE_LOOK_S if first is None else first.due - time.monotonic()
            if pause > 0:
                self._lock.wait(min(pause, IDLE_LOOK_S))
                return None
            if self._closed or first is None:
                return None
            self._queue.remove(first)
            self._running, first.state = first, "running"
            return first

    def _compute(self, handle: Handle) -> None:
        try:
            answer = self._ask(handle.call)
        except (EOFError, OSError):
            self._bury()
            # Once may be chance, such as an end while it was idle; twice is the work's own doing.
            handle.deaths += 1
            if handle.deaths < 2 and self._wait_again(handle):
                return
            answer = Failure("The side process ended twice while it was computing this.", "Ask for less.", "")
        except Exception as error:  # what cannot be pickled is the caller's mistake, not the process's end
            answer = failure(error)
        with self._lock:
            self._running = None
            if isinstance(answer, Failure):
                log.warning("Background work %s failed: %s\n%s", handle.key, answer.what, answer.details)
                self._finish(handle, "failed", error=WorkFailed(answer.what, answer.do))
            else:
                self._finish(handle, "ready", value=answer)

    def _wait_again(self, handle: Handle) -> bool:
        with self._lock:
            if self._closed:
                return False
            self._running = None
            handle.state = "waiting"
            self._queue.appendleft(handle)
            return True

    def _ensure_process(self) -> None:
        with self._lock:
            if self._closed or (self._process is not None and self._process.poll() is None):
                return
            self._bury()
            self._starts += 1
            self._warm = self._warm_up is None
            self._process = subprocess.Popen(
                # Not -m: the module would be __main__ there, and its pickles unreadable here.
                [sys.executable, "-c", "from pages.state.side_process import main; main()"],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                # One thread: layouts are seeded, and the cores belong to readers and to training.
                env={**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"},
            )
        if self._warm_up is not None:
            try:
                answer = self._ask((self._warm_up, ()))
            except (EOFError, OSError):
                self._bury()
                return
            if isinstance(answer, Failure):
                log.warning("The warm-up of the side process failed: %s\n%s", answer.what, answer.details)
            with self._lock:
                self._warm = not isinstance(answer, Failure)

    def _bury(self) -> None:
        """Make sure that the process is gone; its pipes may end a moment before it does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(5)
            for pipe in (self._process.stdin, self._process.stdout):
                if pipe is not None:
                    with suppress(OSError):
                        pipe.close()

    def _ask(self, call: Any) -> Any:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        write_message(process.stdin, call)
        return read_message(process.stdout)

    def _fail_all(self, why: str) -> None:
        with self._lock:
            self._closed = True
            for handle in self._queue:
                self._finish(handle, "failed", error=WorkFailed(why))
            self._queue.clear()
        self._bury()


# ---- the server's one side process -----------------------------------------------------------


@functools.cache
def _side_process() -> SideProcess:
    from ued_core.analysis.embedding import warm_up

    return SideProcess(warm_up)


def start() -> None:
    """Start the process and its warm-up; called once when the server starts."""
    _side_process()


def stop() -> None:
    """End the process; called when the server stops."""
    if _side_process.cache_info().currsize:
        _side_process().close()
        _side_process.cache_clear()


def submit(key: str, function: Callable[..., Any], *args: Any, slot: str = "", after_s: float = 0.0) -> Handle:
    """Have ``function(*args)`` computed beside the server; returns at once.

    Args:
        key: names the result and every input of it; results are shared by all readers.
        function: a module-level function of ``ued_core``.
        args: anything that can be pickled; results, too, travel between processes.
        slot: the place on this reader's page that waits for it; older work for it is dropped.
        after_s: seconds before it may begin.
    """
    context = get_script_run_ctx()
    owner = f"{context.session_id if context else ''}:{slot}" if slot else ""
    return _side_process().submit(key, function, *args, slot=owner, after_s=after_s)


def status() -> Status:
    """How the side process is doing."""
    return _side_process().status()


@dataclass(frozen=True)
class Answer(Generic[T]):
    """What is known now of something that was asked for.

    Attributes:
        key: names the work.
        value: the result; while it is on its way or cannot be had, the last one that may stand in for it, or ``None``.
        ready: whether the value is what was asked for.
        waiting: whether the work is still to be done.
        error: why it cannot be had.
    """

    key: str
    value: T | None
    ready: bool
    waiting: bool
    error: BaseException | None = None


@dataclass
class _Place(Generic[T]):
    """What a reader saw last in a slot: for which ``like``, asked for under which name, and how that is computed."""

    like: str
    name: str = ""
    call: tuple[str, Callable[..., T]] | None = None
    value: T | None = None
    ready: bool = False


def ask(
    function: Callable[..., T],
    *args: Any,
    slot: str,
    key: str = "",
    like: str | None = None,
    after: Callable[[T], Mapping[str, Any]] | None = None,
    first: Callable[[], T | None] | None = None,
    after_s: float = 0.0,
) -> Answer[T]:
    """Have ``function(*args)`` computed beside the server; tell what is known of it now.

    Args:
        function: a module-level function of ``ued_core``.
        args: anything that can be pickled.
        slot: the place on this reader's page that waits for it; older work for it is dropped.
        key: names the result and every input of it; from the function and its arguments when left out.
        like: names for what a last value may stand in: one that was asked for with the same word does, until the new
            one is there. Without it nothing is kept.
        after: keyword arguments with which the work begins where the last value ended.
        first: makes what stands in when there is no last value yet; asked once, and ``None`` is nothing.
        after_s: seconds before it may begin.
    """
    name = key or key_of(function, *args)
    if like is None:
        return _answer(submit(name, function, *args, slot=slot, after_s=after_s), None)
    places: dict[str, _Place[T]] = st.session_state.setdefault(PLACES, {})
    place = places.get(slot)
    if place is None or place.like != like:
        place = places[slot] = _Place(like)
    if place.name != name or place.call is None:
        start = after(place.value) if after is not None and place.value is not None else {}
        place.name, place.ready, place.call = name, False, (name, function)
        if start:
            place.call = f"{name}:{fingerprint(content_id(dict(start)))}", functools.partial(function, **start)
    if place.ready:
        return Answer(name, place.value, ready=True, waiting=False)
    named, call = place.call
    handle = submit(named, call, *args, slot=slot, after_s=after_s)
    if handle.state == "ready":
        place.value, place.ready = handle.value, True
    elif place.value is None and first is not None:
        place.value = first()
    return _answer(handle, place.value)


def _answer(handle: Handle, last: T | None) -> Answer[T]:
    if handle.state == "ready":
        return Answer(handle.key, handle.value, ready=True, waiting=False)
    failed = handle.state == "failed"
    return Answer(handle.key, last, ready=False, waiting=not failed, error=handle.error if failed else None)


def wait_for(
    *answers: Answer[Any], slot: str, words: str | None = None, trouble: str = NOT_MEASURED, share: float | None = None
) -> None:
    """Say what the page waits for or why it waits in vain, and run the fragment (or page) around this call again once
    one of the answers is there.

    Call it also when nothing is waited for: what comes and goes would move the elements after it.

    Args:
        answers: of :func:`ask`.
        slot: unique on the page; that of the answers where they have one.
        words: what is being done, and how long it takes where that is known; shown while an answer has no value.
            Without words nothing is shown, failures neither: the page says it.
        trouble: begins the sentence about a failure.
        share: how much has been done, 0..1; drawn as a bar.
    """
    rerun_when(DONE, sorted(answer.key for answer in answers if answer.waiting), f"waiting_{slot}")
    if words is None:
        return
    # A place of its own: what is said here and gone at once must not move what follows.
    place = st.empty()
    error = next((answer.error for answer in answers if answer.error is not None), None)
    if error is not None:
        place.warning(f"{trouble}: {plain(str(error))}")
    elif any(answer.value is None for answer in answers):
        if share is None:
            place.info(words)
        else:
            place.progress(share, words)


def latest(
    function: Callable[..., T],
    *args: Any,
    slot: str,
    words: str | None = None,
    trouble: str = NOT_MEASURED,
    key: str = "",
    like: str | None = None,
    after: Callable[[T], Mapping[str, Any]] | None = None,
    first: Callable[[], T | None] | None = None,
    after_s: float = 0.0,
) -> Answer[T]:
    """Measure beside the server: the last value stays while the new one is computed, the wait and a failure are said,
    and the fragment (or page) around the call runs again when it is done.

    Arguments as in :func:`ask` and :func:`wait_for`, which do this for several measurements at once.
    """
    answer = ask(function, *args, slot=slot, key=key, like=like, after=after, first=first, after_s=after_s)
    wait_for(answer, slot=slot, words=words, trouble=trouble)
    return answer


async def _is_done(keys: list[str]) -> bool:
    known = _side_process().handles(keys)
    # What is not known any more will not come either: the page should look itself.
    return not known or any(handle.done.is_set() for handle in known)


def wait_route() -> Route:
    """Answers whether one of the pieces of work named by ``key`` is done, at the latest after some seconds."""
    return waiting_route(DONE, _is_done, look_s=0.05)
