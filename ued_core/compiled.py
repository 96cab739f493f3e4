"""Just-in-time compilation for the few loops that tensors express badly."""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import ParamSpec, TypeVar

import torch

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R], *, contract: bool = False) -> Callable[P, R]:
    """Compile with numba at the first call: no GIL, cached on disk.

    numba is imported at that first call, not with this module. A product that is added is
    rounded by itself, as IEEE prescribes, so results do not depend on the machine; with
    ``contract`` the two become one fused multiply-add where the processor has it, which is what
    torch's own loops do.
    """

    @functools.cache
    def kernel() -> Callable[P, R]:
        import numba

        relaxed = {"contract"} if contract else False
        return numba.njit(function, nogil=True, cache=True, error_model="numpy", fastmath=relaxed)

    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        return kernel()(*args, **kwargs)

    return call


@functools.cache
def has_compiler() -> bool:
    """Whether numba can be imported."""
    try:
        import numba  # noqa: F401
    except ImportError:
        return False
    return True


def in_threads(work: Callable[[int, int], None], count: int, smallest: int = 32) -> None:
    """Split ``range(count)`` into one contiguous part a thread and call ``work(start, stop)`` on each.

    The number of threads is torch's, so one setting governs everything. ``work`` must release
    the GIL to gain anything.
    """
    threads = max(1, min(torch.get_num_threads(), os.cpu_count() or 1, count // smallest))
    if threads == 1:
        work(0, count)
        return
    edges = [count * k // threads for k in range(threads + 1)]
    # The caller works too; the others wait in a pool that is kept, because starting threads costs as much as a small
    # batch.
    others = [_pool(threads - 1).submit(work, a, b) for a, b in zip(edges[1:-1], edges[2:], strict=True)]
    work(edges[0], edges[1])
    for other in others:
        other.result()


_only = threading.Lock()


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch computes with one thread inside, one caller at a time; the number of before is back afterwards.

    For what must come out bit by bit the same however many threads a process has: the real inverse Fourier transform of
    a batch rounds differently when it is split among threads.
    """
    with _only:
        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            yield
        finally:
            torch.set_num_threads(before)


@functools.cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="compiled")
