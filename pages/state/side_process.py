"""What runs beside the server: reads calls, computes them one after another, writes answers.

Started by :mod:`pages.state.background`. A message is eight bytes of length and a pickle; both
ends are one program on one machine.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import struct
import sys
import traceback
from dataclasses import dataclass
from typing import IO, Any

from ued_core.errors import UedError

LENGTH = struct.Struct("<Q")


@dataclass(frozen=True)
class Failure:
    """An error as it travels: what happened, what to do, and the traceback for the log."""

    what: str
    do: str
    details: str


def write_message(pipe: IO[bytes], value: Any) -> None:
    """Send one object.

    Raises:
        pickle.PicklingError, AttributeError, TypeError: it cannot be pickled; nothing was sent.
        OSError: nobody reads any more.
    """
    body = pickle.dumps(value, pickle.HIGHEST_PROTOCOL)
    pipe.write(LENGTH.pack(len(body)))
    pipe.write(body)
    pipe.flush()


def read_message(pipe: IO[bytes]) -> Any:
    """Receive one object.

    Raises:
        EOFError: the other end is gone.
    """
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    (length,) = LENGTH.unpack(head)
    body = pipe.read(length)
    if len(body) < length:
        raise EOFError
    return pickle.loads(body)


def failure(error: BaseException) -> Failure:
    """Describe an error raised by submitted work."""
    details = "".join(traceback.format_exception(error))
    if isinstance(error, UedError):
        return Failure(error.what, error.do, details)
    return Failure(f"{type(error).__name__}: {error}", "", details)


def answer_one(requests: IO, answers: IO) -> None:
    """Read a call, compute it, send the value or a :class:`Failure`."""
    try:
        function, args = read_message(requests)
        answer = function(*args)
    except EOFError:
        raise
    except Exception as error:
        answer = failure(error)
    try:
        write_message(answers, answer)
    except OSError:
        raise EOFError from None
    except Exception as error:
        write_message(answers, failure(error))


def main() -> None:
    """Serve until the input ends, which it does when the server is gone, however it went."""
    # Ctrl-C in the terminal reaches the whole process group; the server decides what ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(AttributeError, OSError):
        os.nice(10)
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    # A library that prints must not write into the answers.
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with contextlib.suppress(EOFError):
        while True:
            answer_one(sys.stdin.buffer, answers)
