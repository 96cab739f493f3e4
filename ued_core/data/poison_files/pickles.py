"""Reading a pickle as data: its opcodes are interpreted here, and nothing in it is imported or called.

Python's own unpickler calls whatever the file names. This reader builds containers, texts, numbers
and byte strings, and understands by name only what arrays and pictures are made of: numpy's
reconstruction of arrays and scalars, and the raw state of Pillow images. Every other name is refused.
"""

from __future__ import annotations

import mmap
import pickletools
import re
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from ued_core.data.names import readable
from ued_core.errors import DataError, in_short

MAX_ITEMS = 5_000_000

_DTYPE = re.compile(r"^[<>=|]?([biuf][1248])$")
_NAME = re.compile(r"[A-Za-z_][\w.]{0,80} [A-Za-z_][\w.]{0,80}")
_BANDS = {"RGB": 3, "L": 1}
_ADVICE = "Ask whoever made it for npz, npy or safetensors, or convert it on a machine that you can lose."


class _Name(NamedTuple):
    """A global that the file names; never the object itself."""

    text: str


@dataclass
class _Dtype:
    code: str
    order: Literal["<", ">", "=", "|"] = "="


@dataclass
class _Array:
    value: np.ndarray | None = None


@dataclass
class _Picture:
    value: np.ndarray | None = None


class _Mark:
    """Where a run of stack entries begins."""


_MARK = _Mark()
_NUMPY = ("numpy.core", "numpy._core")
_RECONSTRUCT = {f"{home}.multiarray _reconstruct" for home in _NUMPY}
_SCALAR = {f"{home}.multiarray scalar" for home in _NUMPY}
_FROM_BUFFER = {f"{home}.numeric _frombuffer" for home in _NUMPY}
_PICTURES = {"PIL.Image Image", "PIL.PngImagePlugin PngImageFile", "PIL.JpegImagePlugin JpegImageFile"}
_BYTES = {"builtins bytes", "__builtin__ bytes"}
_BYTEARRAY = {"builtins bytearray", "__builtin__ bytearray"}
_OBJECT = {"builtins object", "__builtin__ object"}
_REBUILD = {"copyreg _reconstructor", "copy_reg _reconstructor"}
_PLAIN = {"numpy ndarray", "numpy dtype", "_codecs encode", "collections OrderedDict"}
KNOWN = _RECONSTRUCT | _SCALAR | _FROM_BUFFER | _PICTURES | _BYTES | _BYTEARRAY | _OBJECT | _REBUILD | _PLAIN
"""Every name that is understood; none of them is ever called."""


def names_pictures(name: str) -> bool:
    """Whether a dotted name is that of a kind of picture which is read."""
    module, _, kind = name.rpartition(".")
    return f"{module} {kind}" in _PICTURES


def read_pickle(path: Path) -> Any:
    """What a pickle holds, as plain data.

    Args:
        path: the file.

    Returns:
        Numbers, texts, bytes, None, lists, tuples, dicts, and numpy arrays; pictures become
        uint8 (H, W, bands).

    Raises:
        DataError: not a pickle, cut off, too large, or it names anything beyond arrays and pictures
            (the message says what).
    """
    path = Path(path)
    try:
        # A mapped file gives what is there when it is asked for terabytes; a read would reserve them first.
        with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return _run(content, readable(path.name))
    except OSError as error:
        raise DataError(f"{readable(path.name)} cannot be read: {in_short(error)}.", "Check the path.") from error


def read_pickle_bytes(content: bytes, name: str) -> Any:
    """The same of bytes; ``name`` is what messages call the file."""
    return _run(content, name)


def _run(content: mmap.mmap | bytes, name: str) -> Any:
    try:
        return _Reader(name).run(content)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        # Whatever a wrong opcode or argument raises, the file is at fault: nothing of ours has been called with it.
        raise DataError(
            f"{name} is not a pickle, or it is damaged: {unquoted(in_short(error))}.", "Write the file again."
        ) from error


def unquoted(told: str) -> str:
    """What a library says, without what it quotes of the file: the file may be anybody's."""
    return re.sub(r"(?<!\w)b?(['\"])(?:\\.|(?!\1).)*(?:\1|$)", "…", told)


class _Reader:
    """One pass over the opcodes of one file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}
        self.items = 0

    def run(self, file: mmap.mmap | bytes) -> Any:
        for opcode, argument, _ in pickletools.genops(file):  # type: ignore[arg-type]  # read and readline are enough
            step = _STEPS.get(opcode.name)
            if step is None:
                raise DataError(
                    f"{self.name} uses the pickle instruction {opcode.name}, which arrays, lists and pictures do "
                    "not need; nothing was read.",
                    _ADVICE,
                )
            step(self, argument)
            self.items += 1
            if self.items > MAX_ITEMS:
                raise self.too_large()
        return self.settled(self.stack.pop(), {})

    # ---- the stack

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def pop(self) -> Any:
        value = self.stack.pop()
        if value is _MARK:
            raise ValueError("an instruction takes more values than there are")
        return value

    def since_mark(self) -> list[Any]:
        place = next((i for i in range(len(self.stack) - 1, -1, -1) if self.stack[i] is _MARK), None)
        if place is None:
            raise ValueError("a run of values without a beginning")
        values = self.stack[place + 1 :]
        del self.stack[place:]
        return values

    # ---- what is understood

    def named(self, text: str) -> None:
        if text not in KNOWN:
            # Only what has the form of a name is quoted; lines of any other file are not.
            named = repr(text.replace(" ", ".")) if _NAME.fullmatch(text) else "something without a proper name"
            raise DataError(
                f"{self.name} is a pickle that would run or build {named}; "
                "only arrays, lists and pictures are read, and nothing was run.",
                _ADVICE,
            )
        self.push(_Name(text))

    def reduce(self) -> None:
        arguments, callee = self.pop(), self.pop()
        if not isinstance(callee, _Name) or not isinstance(arguments, tuple):
            raise ValueError("a call of something that has no name")
        self.push(self.built(callee.text, arguments))

    def built(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if name in _RECONSTRUCT:
            return _Array()
        if name in _FROM_BUFFER:
            data, dtype, shape, order = arguments
            return _Array(self.array(data, dtype, shape, order == "F"))
        if name in _SCALAR:
            dtype, data = arguments
            return self.array(data, dtype, (), False).item()
        if name == "numpy dtype":
            return _Dtype(self.code(arguments[0]))
        if name == "_codecs encode" and arguments[1] == "latin1":
            return arguments[0].encode("latin1")
        if name in _BYTES and not arguments:
            return b""
        if name in _BYTEARRAY and len(arguments) == 2 and arguments[1] == "latin-1":
            return arguments[0].encode("latin1")
        if name == "collections OrderedDict" and not arguments:
            return {}
        if name in _REBUILD and isinstance(arguments[0], _Name) and arguments[0].text in _PICTURES:
            return _Picture()
        raise ValueError(f"{name.replace(' ', '.')} with arguments that are not understood")

    def new(self) -> None:
        arguments, cls = self.pop(), self.pop()
        if not isinstance(cls, _Name) or cls.text not in _PICTURES or arguments != ():
            raise ValueError("an object that is neither an array nor a picture")
        self.push(_Picture())

    def build(self) -> None:
        state, target = self.pop(), self.stack[-1]
        match target:
            case _Array(value=None):
                shape, dtype, fortran, data = state[-4:]
                target.value = self.array(data, dtype, shape, bool(fortran))
            case _Dtype():
                if any(part is not None for part in state[2:5]):
                    raise ValueError("an array with fields")
                if state[1] not in ("<", ">", "|", "="):
                    raise ValueError(f"the byte order {state[1]!r}")
                target.order = state[1]
            case _Picture(value=None):
                target.value = self.picture(state)
            case _:
                raise ValueError("a state for something that has none")

    def code(self, text: Any) -> str:
        found = _DTYPE.match(text) if isinstance(text, str) else None
        if found is None:
            raise DataError(
                f"{self.name} holds an array of type {text!r}; only plain numbers are read, never arrays of objects.",
                _ADVICE,
            )
        return text if text[0] in "<>=|" else found[1]

    def array(self, data: Any, dtype: Any, shape: Any, fortran: bool) -> np.ndarray:
        if isinstance(data, str):
            # What Python 2 wrote.
            data = data.encode("latin1")
        if not isinstance(data, bytes | bytearray) or not isinstance(dtype, _Dtype):
            raise ValueError("an array without bytes or without a type")
        kind = np.dtype(dtype.code)
        kind = kind if dtype.order in "|=" else kind.newbyteorder(dtype.order)
        shape = tuple(shape)
        if any(not isinstance(side, int) or side < 0 for side in shape) or prod(shape) * kind.itemsize != len(data):
            raise ValueError(f"an array of shape {shape} with {len(data):,} bytes")
        return np.frombuffer(data, kind).reshape(shape, order="F" if fortran else "C")

    def picture(self, state: Any) -> np.ndarray:
        _, mode, size, _, data = state[:5]
        if mode not in _BANDS:
            raise DataError(f"{self.name} holds a picture of mode {mode!r}; only RGB and grey ones are read.", _ADVICE)
        width, height = size
        shape = (height, width, _BANDS[mode])
        if not isinstance(data, bytes) or prod(shape) != len(data):
            raise ValueError(f"a picture of {width} × {height} with {len(data):,} bytes")
        return np.frombuffer(data, np.uint8).reshape(shape)

    # ---- the result

    def settled(self, value: Any, done: dict[int, Any]) -> Any:
        """The same with arrays in the place of what stood for them; every object once, however often it is named."""
        if isinstance(value, _Array | _Picture):
            if value.value is None:
                raise ValueError("an array or a picture without content")
            return value.value
        if isinstance(value, _Name | _Dtype | _Mark):
            raise ValueError("it holds a name instead of data")
        if not isinstance(value, list | tuple | dict):
            return value
        if id(value) in done:
            return done[id(value)]
        # What contains itself settles to None inside.
        done[id(value)] = None
        if len(done) > MAX_ITEMS:
            raise self.too_large()
        if isinstance(value, dict):
            made: Any = {key: self.settled(part, done) for key, part in value.items()}
        else:
            made = type(value)(self.settled(part, done) for part in value)
        done[id(value)] = made
        return made

    def too_large(self) -> DataError:
        return DataError(f"{self.name} has more than {MAX_ITEMS:,} parts.", "Split the file.")


def _memoize(reader: _Reader, index: int | None) -> None:
    reader.memo[len(reader.memo) if index is None else index] = reader.stack[-1]


def _extend(reader: _Reader, argument: Any) -> None:
    values = reader.since_mark()
    target = reader.stack[-1]
    if not isinstance(target, list):
        raise ValueError("something is appended to what is no list")
    target.extend(values)


def _append(reader: _Reader, argument: Any) -> None:
    value = reader.pop()
    if not isinstance(reader.stack[-1], list):
        raise ValueError("something is appended to what is no list")
    reader.stack[-1].append(value)


def _set_items(reader: _Reader, values: list[Any]) -> None:
    target = reader.stack[-1]
    if (
        not isinstance(target, dict)
        or len(values) % 2
        or not all(isinstance(key, str | int | bytes) for key in values[::2])
    ):
        raise ValueError("a dict with odd keys")
    target.update(zip(values[::2], values[1::2], strict=True))


def _set_item(reader: _Reader, argument: Any) -> None:
    value, key = reader.pop(), reader.pop()
    _set_items(reader, [key, value])


def _tuple(count: int) -> Callable[[_Reader, Any], None]:
    def step(reader: _Reader, argument: Any) -> None:
        values = [reader.pop() for _ in range(count)]
        reader.push(tuple(reversed(values)))

    return step


def _stack_global(reader: _Reader, argument: Any) -> None:
    name, module = reader.pop(), reader.pop()
    if not isinstance(name, str) or not isinstance(module, str):
        raise ValueError("a name that is no text")
    reader.named(f"{module} {name}")


def _from_dict(reader: _Reader, argument: Any) -> None:
    values = reader.since_mark()
    reader.push({})
    _set_items(reader, values)


def _push(reader: _Reader, argument: Any) -> None:
    reader.push(argument)


def _nothing(reader: _Reader, argument: Any) -> None:
    """An instruction about the file, not about its content."""


_STEPS: dict[str, Callable[[_Reader, Any], object]] = {
    **dict.fromkeys(("PROTO", "FRAME", "STOP"), _nothing),
    **dict.fromkeys(
        (
            "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT",
            "STRING", "BINSTRING", "SHORT_BINSTRING", "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8",
            "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
        ),
        _push,
    ),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT", "MEMOIZE"), _memoize),
    **dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda reader, index: reader.push(reader.memo[index])),
    "NONE": lambda reader, _: reader.push(None),
    "NEWTRUE": lambda reader, _: reader.push(True),
    "NEWFALSE": lambda reader, _: reader.push(False),
    "MARK": lambda reader, _: reader.push(_MARK),
    "POP": lambda reader, _: reader.stack.pop(),
    "POP_MARK": lambda reader, _: reader.since_mark(),
    "DUP": lambda reader, _: reader.push(reader.stack[-1]),
    "EMPTY_LIST": lambda reader, _: reader.push([]),
    "EMPTY_TUPLE": lambda reader, _: reader.push(()),
    "EMPTY_DICT": lambda reader, _: reader.push({}),
    "LIST": lambda reader, _: reader.push(reader.since_mark()),
    "TUPLE": lambda reader, _: reader.push(tuple(reader.since_mark())),
    "TUPLE1": _tuple(1),
    "TUPLE2": _tuple(2),
    "TUPLE3": _tuple(3),
    "DICT": _from_dict,
    "APPEND": _append,
    "APPENDS": _extend,
    "SETITEM": _set_item,
    "SETITEMS": lambda reader, _: _set_items(reader, reader.since_mark()),
    "GLOBAL": lambda reader, text: reader.named(text),
    "STACK_GLOBAL": _stack_global,
    "REDUCE": lambda reader, _: reader.reduce(),
    "NEWOBJ": lambda reader, _: reader.new(),
    "BUILD": lambda reader, _: reader.build(),
}  # fmt: skip
