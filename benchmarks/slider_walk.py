"""What a move of COIN's slider walks through: ``python -m benchmarks.slider_walk``.

One reader opens the page Defence on 200 shapes, and moves α from 2.0 to 0.5. Everything of this project that the server
calls meanwhile inside the part of the page that follows the slider is counted: what a person reads who wants to know
how the number becomes pictures and Θ. It is no measure of time; ``benchmarks.load`` and ``benchmarks.speed`` are.

Options: ``--tree`` prints every call, indented by its depth.
"""

from __future__ import annotations

import argparse
import inspect
import os
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
OURS = (f"{ROOT}/pages/", f"{ROOT}/ued_core/")
FROM, TO = "2.0", 0.5
SLIDER = "defence_coin_strength"
SHAPES = {"data": "shapes", "data_shapes_train_size": "200", "data_shapes_test_size": "100", SLIDER: FROM}
OWN_SEEDS = ("data_shapes_seed", "key")
"""Of the images and of the kernels."""
FOLLOWS = ("pages/defence/page.py", "follow_the_slider")


@dataclass(frozen=True)
class Call:
    """One call of a named function of this project.

    Attributes:
        file: relative to the project's folder.
        function: with its class, if it has one.
        depth: how many calls of the project's named functions it is inside, from 0.
    """

    file: str
    function: str
    depth: int


@dataclass(frozen=True)
class Walk:
    """The calls of one move, in their order."""

    calls: tuple[Call, ...]

    @property
    def functions(self) -> Counter[tuple[str, str]]:
        """How often each function is called, by file and name."""
        return Counter((call.file, call.function) for call in self.calls)

    @property
    def files(self) -> Counter[str]:
        """How many calls each file has."""
        return Counter(call.file for call in self.calls)

    @property
    def depth(self) -> int:
        """Named functions inside each other at the deepest place."""
        return max(call.depth for call in self.calls) + 1

    def summary(self) -> str:
        """The four numbers, for people."""
        return (
            f"{len(self.calls)} calls of {len(self.functions)} functions in {len(self.files)} files, "
            f"at most {self.depth} inside each other"
        )


class _Tracer:
    """Notes calls of named functions of the project in the thread that draws the page, below one function."""

    def __init__(self, start: tuple[str, str]) -> None:
        self._start = start
        self._inside: list[FrameType] = []
        self._generators: set[FrameType] = set()
        self.calls: list[Call] = []

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        """As ``sys.setprofile`` wants it."""
        code = frame.f_code
        if event not in ("call", "return") or code.co_name.startswith("<") or not code.co_filename.startswith(OURS):
            return
        file = code.co_filename.removeprefix(f"{ROOT}/")
        if event == "return":
            if self._inside and self._inside[-1] is frame:
                self._inside.pop()
        elif self._inside or (file, code.co_name) == self._start:
            # A generator that goes on, such as the second half of a context manager, was called before.
            if frame not in self._generators:
                self.calls.append(Call(file, code.co_qualname.rpartition("<locals>.")[2], len(self._inside)))
            if code.co_flags & inspect.CO_GENERATOR:
                self._generators.add(frame)
            self._inside.append(frame)


@contextmanager
def _traced(tracer: _Tracer) -> Iterator[None]:
    threading.setprofile(tracer)
    try:
        yield
    finally:
        threading.setprofile(None)


def one_move() -> Walk:
    """Open the page in a fresh home, move the slider once, and tell what was called.

    Nothing is taken from results of an earlier move: the place is new, and so are images and key, since a process keeps
    what it computed for any reader. What every move shares, such as the poisoned images, is there already, as it is
    for a reader.
    """
    from streamlit.testing.v1 import AppTest
    from streamlit.util import calc_hash

    page = AppTest.from_file(str(ROOT / "pages" / "frame" / "router.py"), default_timeout=120)
    for name, value in {**SHAPES, **dict.fromkeys(OWN_SEEDS, str(time.time_ns() % 2**31))}.items():
        page.query_params[name] = value
    page._page_hash = calc_hash("defence")
    page.run()
    tracer = _Tracer(FOLLOWS)
    with _traced(tracer):
        page.slider(key=SLIDER).set_value(TO).run()
    if page.exception or page.error:
        raise RuntimeError(f"The page failed: {[e.value for e in (*page.exception, *page.error)]}")
    return Walk(tuple(tracer.calls))


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the walk."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tree", action="store_true", help="print every call, indented by its depth")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as home:
        os.environ["UED_HOME"] = home
        walk = one_move()
    print(walk.summary())
    if options.tree:
        for call in walk.calls:
            print(f"{'  ' * call.depth}{call.function}  {call.file}")
        return
    for file, count in walk.files.most_common():
        print(f"\n{file}: {count}")
        for (_, function), times in walk.functions.most_common():
            if _ == file:
                print(f"    {function}" + (f" × {times}" if times > 1 else ""))


if __name__ == "__main__":
    main(sys.argv[1:])
