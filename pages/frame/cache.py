"""The only home of caching: what is kept is named by everything that it was made from."""

from __future__ import annotations

import functools
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch

from ued_core.context import Context
from ued_core.defenses import DefenseStack
from ued_core.params import Declaring, Method, fingerprint
from ued_core.records import DataSplit, Embedding, ImageSet, PoisonedSet

P = ParamSpec("P")
R = TypeVar("R")
PLAIN = (type(None), bool, int, float, str)


def content_id(value: Any) -> Any:
    """A JSON value that names ``value`` by what it holds.

    Methods and run specs by their JSON, image sets and arrays by a hash of their content, records and
    containers by their parts.

    Raises:
        TypeError: something whose content cannot be named; caching by it would be wrong.
    """
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().numpy()
    match value:
        case np.ndarray():
            digest = hashlib.sha256(np.ascontiguousarray(value).view(np.uint8).data).hexdigest()[:16]
            return ["array", str(value.dtype), list(value.shape), digest]
        case None | bool() | int() | float() | str():
            return value
        case Declaring() | DefenseStack():
            return value.to_json()
        case ImageSet():
            return ["images", value.content_hash, list(value.class_names), value.name]
        case PoisonedSet():
            return [
                "poisoned",
                content_id(value.clean),
                dict(value.attack),
                value.seed,
                content_id(value.images),
                content_id(value.touched),
            ]
        case DataSplit():
            return ["split", content_id(value.train), content_id(value.test)]
        case Embedding():
            arrays = (value.points, value.rows, value.labels, value.group)
            return ["embedding", *map(content_id, arrays), value.method, value.source]
        case Context():
            return ["context", value.seed, str(value.device)]
        case tuple() | list():
            # Most parts are plain values: not one more call for each of them.
            return [part if type(part) in PLAIN else content_id(part) for part in value]
        case dict():
            return [[content_id(key), content_id(part)] for key, part in value.items()]
        case type() if issubclass(value, Method):
            return ["class", value.__module__, value.__qualname__]
    raise TypeError(f"{type(value).__name__} has no content id; pass what it was made from instead")


def key_of(function: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """The name under which a result is kept; also a good key for background work."""
    named = content_id([len(args), *args, *sorted(kwargs.items())])
    return f"{function.__module__}.{function.__qualname__}:{fingerprint(named)}"


class Shelf:
    """The last few results, for all readers; each is computed once, however many ask for it.

    Unlike Streamlit's caches it lets the work draw a progress bar.

    Args:
        max_entries: how many results are kept; the one not asked for longest goes first.
    """

    def __init__(self, max_entries: int) -> None:
        self._most = max_entries
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Any] = OrderedDict()
        self._making: dict[str, threading.Lock] = {}

    def get(self, key: str, make: Callable[[], R]) -> R:
        """The result named ``key``, made by ``make`` unless it is here; errors are not kept."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._kept:
                    return self._kept[key]
            try:
                made = make()
            finally:
                with self._lock:
                    self._making.pop(key, None)
            with self._lock:
                self._kept[key] = made
                while len(self._kept) > self._most:
                    self._kept.popitem(last=False)
            return made

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: str) -> bool:
        return key in self._kept


class Recent:
    """Answers of the disk that took long, for a while that grows with the time they took.

    What was quick is asked for every time, so that a change shows at once. Looking through 20,000 files at every rerun
    would take more time than all else that a page does; so that answer may be some seconds old.

    Args:
        times: an answer is taken for so many times as long as finding it took, ...
        most_s: ... but for no more seconds than this.
        quick_s: what took less is not kept.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        times: float = 20.0,
        most_s: float = 30.0,
        quick_s: float = 0.05,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._times, self._most_s, self._quick_s, self._clock = times, most_s, quick_s, clock
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[str, float]] = {}

    def known(self, key: str) -> str | None:
        """The answer to ``key`` while it may be taken."""
        with self._lock:
            self._kept = {own: found for own, found in self._kept.items() if found[1] > self._clock()}
            return self._kept[key][0] if key in self._kept else None

    def ask(self, key: str, find: Callable[[], str]) -> str:
        """The answer of ``find``, now; errors are not kept."""
        began = self._clock()
        found = find()
        now = self._clock()
        if now - began >= self._quick_s:
            with self._lock:
                self._kept[key] = (found, now + min(self._most_s, self._times * (now - began)))
        return found


def cached(max_entries: int) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Keep the last ``max_entries`` results of a function, for all readers.

    Results are shared, not copied: nobody changes them. Every argument must have a
    :func:`content_id`, and the function must depend on nothing else.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        shelf = Shelf(max_entries)

        @functools.wraps(function)
        def call(*args: P.args, **kwargs: P.kwargs) -> R:
            return shelf.get(key_of(function, *args, **kwargs), lambda: function(*args, **kwargs))

        return call

    return decorate
