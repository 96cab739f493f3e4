"""Small random inputs, and guards around a check: global randomness, threads, time, the home folder."""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from ued_core.params import Method, Parameter
from ued_core.records import ImageSet

SHAPES = ((3, 12, 12), (1, 12, 12), (3, 9, 17))
"""Channels, height and width that every method must take: colour, grey, not square."""


def image_set(count: int = 24, classes: int = 4, shape: tuple[int, int, int] = (3, 12, 12), seed: int = 0) -> ImageSet:
    """Uniform random bytes, uint8 (count, C, H, W); labels 0, 1, … in turn; named ``random``."""
    draw = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, *shape), generator=draw, dtype=torch.uint8)
    return ImageSet(images, torch.arange(count) % classes, tuple("abcdefghij"[:classes]), "random")


def batch(count: int = 40, shape: tuple[int, int, int] = (3, 12, 10), seed: int = 0) -> torch.Tensor:
    """Uniform random images as the network gets them, float32 (count, C, H, W) in [0, 1)."""
    return torch.rand((count, *shape), generator=torch.Generator().manual_seed(seed))


def rng(seed: int = 0) -> torch.Generator:
    """A generator on the processor."""
    return torch.Generator().manual_seed(seed)


def other_value(p: Parameter, value: Any = None) -> Any:
    """A legal value that is neither ``value`` nor far from it; the default's neighbour when it is left out."""
    value = p.default if value is None else value
    if p.kind == "bool":
        return not value
    if p.kind == "choice":
        return next(c for c in p.choices if c != value)
    if p.kind == "text":
        return f"{value}other"
    low = p.minimum if p.minimum is not None else value - 2
    high = p.maximum if p.maximum is not None else value + 2
    middle = (low + high) / 2
    if p.kind == "int":
        # An even distance keeps odd values odd, for kernel sizes.
        return value + 2 if value + 2 <= high else value - 2
    return middle if abs(middle - value) > (high - low) / 100 else (middle + high) / 2


def needed_values(entry: type[Method]) -> dict[str, str]:
    """Some text for each parameter that has no usable default, such as a path."""
    return {p.name: "x" for p in entry.parameters() if p.kind == "text" and not p.default}


@contextmanager
def refused(error: type[Exception], *parts: str) -> Iterator[None]:
    """Fails unless the body raises ``error`` with a message that holds every one of ``parts``."""
    told: str | None = None
    try:
        yield
    except error as caught:
        told = str(caught)
    assert told is not None, f"{error.__name__} should have been raised, but nothing was"
    missing = [part for part in parts if part not in told]
    assert not missing, f"the message {told!r} does not say {missing}"


@contextmanager
def global_randomness_unused() -> Iterator[None]:
    """Fails when the body drew from, or seeded, a global random state."""
    before = (torch.get_rng_state(), str(np.random.get_state()), random.getstate())  # noqa: NPY002
    yield
    assert torch.equal(torch.get_rng_state(), before[0]), "torch's global random state was used"
    assert str(np.random.get_state()) == before[1], "numpy's global random state was used"  # noqa: NPY002
    assert random.getstate() == before[2], "Python's global random state was used"


def with_threads() -> Iterator[int]:
    """Sets torch's number of threads to one, two and three in turn, and at the end to what it was."""
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            yield threads
    finally:
        torch.set_num_threads(before)


@contextmanager
def quick() -> Iterator[None]:
    """At most 3 s of this process's own time, whatever else the machine does; for a call after the first."""
    began = time.process_time()
    yield
    taken = time.process_time() - began
    assert taken <= 3, f"took {taken:.1f} s of processor time on two dozen images at quick values; at most 3 s"


@contextmanager
def empty_home() -> Iterator[None]:
    """The body keeps and finds what methods store (surrogates, crafted sets) in an empty folder of its own."""
    before = os.environ.get("UED_HOME")
    with tempfile.TemporaryDirectory(prefix="ued-checks-") as folder:
        os.environ["UED_HOME"] = folder
        try:
            yield
        finally:
            if before is None:
                del os.environ["UED_HOME"]
            else:
                os.environ["UED_HOME"] = before
