"""Damaged poison files, 3,400 of them: a clear error or a sound result, nothing executed, nothing written, little
memory."""

from __future__ import annotations

import io
import os
import pickle
import resource
import struct
import sys
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save

from ued_core.data.poison_files import compare, load
from ued_core.data.poison_files.pickles import KNOWN
from ued_core.errors import UedError
from ued_core.records import ImageSet

COUNT, CLASSES, SIDE = 12, 4, 4
FILES_EACH = 200
HUGE = 100 << 30


# ---------------------------------------------------------------- sound files, as the repositories write them


def clean() -> ImageSet:
    images = np.random.default_rng(0).integers(60, 200, (COUNT, 3, SIDE, SIDE), dtype=np.uint8)
    return ImageSet(torch.from_numpy(images), torch.arange(COUNT) % CLASSES, tuple("abcd"), "small")


def noise(rng: np.random.Generator) -> np.ndarray:
    return rng.integers(-8, 9, (COUNT, 3, SIDE, SIDE)).astype(np.int8)


def npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=True)
    return buffer.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def torch_bytes(value: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer, **options)
    return buffer.getvalue()


def png(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


Make = Callable[[np.ndarray, Any], bytes]
"""From noise in levels, or whatever takes its place, and a guest that is to ride along (None: nothing), to a file."""


def _with(value: Any, guest: Any) -> Any:
    return value if guest is None else [value, guest]


def _uc(delta: np.ndarray, guest: Any) -> bytes:
    one = {
        "state_dict": OrderedDict(w=torch.zeros(2)),
        "perturbation": torch.from_numpy(delta[:1].astype(np.float32)) / 255,
    }
    one |= {} if guest is None else {"init_noise": guest}
    return zipped(
        {"perturbation_0.pth": torch_bytes(one), "s_cluster1.pth": torch_bytes({"pred_idx": np.zeros(COUNT, np.int64)})}
    )


def _pairs(delta: np.ndarray, guest: Any) -> bytes:
    rows = (delta.astype(int) + 120).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    pairs: list[Any] = [(row.tobytes(), i % CLASSES) for i, row in enumerate(rows)]
    return pickle.dumps(pairs + ([] if guest is None else [(guest, 0)]), protocol=4)


def _pictures(delta: np.ndarray, guest: Any) -> bytes:
    rows = (delta.astype(int) + 120).clip(0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    extra = {} if guest is None else {"x/perturbation_0.pth": torch_bytes(guest)}
    return zipped({f"{i % CLASSES}/{i}.png": png(row) for i, row in enumerate(rows)} | extra)


def _images(delta: np.ndarray) -> np.ndarray:
    return (delta.astype(int) + 120).clip(0, 255).astype(np.uint8)


def _labelled(delta: np.ndarray, guest: Any) -> bytes:
    value = {"data": torch.from_numpy(_images(delta)).float() / 255, "labels": torch.arange(len(delta)) % CLASSES}
    return torch_bytes(value | ({} if guest is None else {"x": guest}))


def _delusive(delta: np.ndarray, guest: Any) -> bytes:
    return torch_bytes((torch.from_numpy(_images(delta)), list(range(len(delta))) if guest is None else guest))


def _torch_pictures(delta: np.ndarray, guest: Any) -> bytes:
    """Torch's reader refuses the pictures, so that ours reads the instructions inside."""
    rows = [Image.fromarray(row) for row in _images(delta).transpose(0, 2, 3, 1)]
    return torch_bytes({"data": rows, "labels": [i % CLASSES for i in range(len(rows))] if guest is None else guest})


def _safetensors(delta: np.ndarray, guest: Any) -> bytes:
    """It has no room for a guest, so code comes as a pickle under its name."""
    if guest is not None:
        return pickle.dumps(guest)
    noise, labels = torch.from_numpy(delta.astype(np.float32)) / 255, torch.arange(len(delta)) % CLASSES
    return save({"noise": noise, "labels": labels}, {"recipe": "{}"})


FORMATS: dict[str, tuple[str, Make]] = {
    "em": ("perturbation.pt", lambda d, g: torch_bytes(_with(torch.from_numpy(d.astype(np.float32)) / 255, g))),
    "em before 2020": (
        "perturbation.pt",
        lambda d, g: torch_bytes(
            _with(torch.from_numpy(d.astype(np.float32)) / 255, g), _use_new_zipfile_serialization=False
        ),
    ),
    "rem": ("rem-fin-def-noise.pkl", lambda d, g: pickle.dumps(_with(d, g), protocol=4)),
    "rem, protocol 2": ("rem-fin-def-noise.pkl", lambda d, g: pickle.dumps(_with(d, g), protocol=2)),
    "tap": (
        "packed.pth",
        lambda d, g: torch_bytes(
            [torch.from_numpy(d.astype(np.float32)) / 255, list(range(len(d))) if g is None else g]
        ),
    ),
    "tap pickled": (
        "packed.pkl",
        lambda d, g: pickle.dumps([d / np.float32(255), list(range(len(d))) if g is None else [g]]),
    ),
    "npy noise": ("deepconfuse.npy", lambda d, g: npy(d / 255 if g is None else np.array([d, g], dtype=object))),
    "npy images": (
        "x_train_cifar10_ntga.npy",
        lambda d, g: npy(
            (d.astype(np.float32).transpose(0, 2, 3, 1) + 120) / 255 if g is None else np.array([g], dtype=object)
        ),
    ),
    "npz": (
        "own.npz",
        lambda d, g: npz(
            images=(d.astype(int) + 120).astype(np.uint8).transpose(0, 2, 3, 1)
            if g is None
            else np.array([g], dtype=object),
            labels=np.arange(COUNT) % CLASSES,
        ),
    ),
    "npz of others": (
        "data_targets.npz",
        lambda d, g: npz(
            data=_images(d).transpose(0, 2, 3, 1) if g is None else np.array([g], dtype=object),
            targets=np.arange(len(d)) % CLASSES,
        ),
    ),
    "images and labels": ("PIL.pt", _labelled),
    "delusive": ("L2.p1", _delusive),
    "pictures in torch": ("pictures.pt", _torch_pictures),
    "safetensors": ("noise.safetensors", _safetensors),
    "coin": ("EM.pkl", _pairs),
    "apbench": ("tree.zip", _pictures),
    "uc": ("uc.zip", _uc),
}


# ---------------------------------------------------------------- damage


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path, call: int) -> None:
        self.path, self.call = str(path), call

    def __reduce__(self) -> Any:
        match self.call:
            case 0:
                return os.system, (f"touch {self.path}",)
            case 1:
                return eval, (f"open({self.path!r}, 'w').close()",)
            case 2:
                return open, (self.path, "w")
        return np.savetxt, (self.path, [0.0])


Damage = Callable[[Make, np.random.Generator, Path], bytes]


def cut(make: Make, rng: np.random.Generator, mark: Path) -> bytes:
    whole = make(noise(rng), None)
    return whole[: int(rng.integers(0, len(whole)))]


def turned(make: Make, rng: np.random.Generator, mark: Path) -> bytes:
    """A few bytes are others."""
    whole = bytearray(make(noise(rng), None))
    for place in rng.integers(0, len(whole), int(rng.integers(1, 9))):
        whole[place] = rng.integers(0, 256)
    return bytes(whole)


def turned_head(make: Make, rng: np.random.Generator, mark: Path) -> bytes:
    """Where the lengths, names and instructions are."""
    whole = bytearray(make(noise(rng), None))
    for place in rng.integers(0, min(160, len(whole)), 3):
        whole[place] = rng.integers(0, 256)
    return bytes(whole)


def moved(make: Make, rng: np.random.Generator, mark: Path) -> bytes:
    """Bytes are missing, twice there, or other ones are between."""
    whole = make(noise(rng), None)
    place, length = int(rng.integers(0, len(whole))), int(rng.integers(1, 40))
    middle = (b"", whole[place : place + length] * 2, rng.bytes(length))[int(rng.integers(0, 3))]
    return whole[:place] + middle + whole[place + length :]


def not_finite(make: Make, rng: np.random.Generator, mark: Path) -> bytes:
    wrong = noise(rng).astype(np.float32)
    wrong.flat[rng.integers(0, wrong.size, int(rng.integers(1, 5)))] = rng.choice([np.nan, np.inf, -np.inf, 3e38])
    with np.errstate(invalid="ignore", over="ignore"):
        return make(wrong, None)


def other_type(make: Make, rng: np.random.Generator, mark: Path) -> bytes:
    kinds = ("i8", "u2", "u4", "f2", "f8", "?", "c8", "S3", "U2", "M8[s]", "i4,f4")
    raw = np.resize(np.frombuffer(noise(rng).tobytes(), np.uint8), COUNT * 3 * SIDE * SIDE * 16)
    kind = np.dtype(str(rng.choice(kinds)))
    array = np.zeros((COUNT, 3, SIDE, SIDE), kind)
    if kind.kind in "iufb?":
        array = raw[: array.size].reshape(array.shape).astype(kind)
    whole = io.BytesIO()
    if rng.integers(0, 2):
        np.save(whole, array, allow_pickle=True)
        return whole.getvalue()
    return pickle.dumps(array, protocol=int(rng.integers(2, 6)))


def other_shape(make: Make, rng: np.random.Generator, mark: Path) -> bytes:
    """Fewer or more entries, channels, rows; no entries; other numbers of axes."""
    count, channels = int(rng.choice([0, 1, 3, CLASSES, COUNT - 1, COUNT + 1, 40])), int(rng.choice([1, 2, 3, 4]))
    high, wide = (int(side) for side in rng.integers(0, 7, 2))
    array = rng.integers(-8, 9, (count, channels, high, wide)).astype(np.int8)
    array = array.reshape(
        [(count, channels, high, wide), (1, count, channels, high, wide), (count, channels * high * wide), (-1,)][
            int(rng.integers(0, 4)) if array.size else 0
        ]
    )
    kind = int(rng.integers(0, 3))
    if kind == 0:
        return pickle.dumps(array)
    return npy(array / 255) if kind == 1 else torch_bytes(torch.from_numpy(array.astype(np.float32)) / 255)


def code(make: Make, rng: np.random.Generator, mark: Path) -> bytes:
    return make(noise(rng), Payload(mark, int(rng.integers(0, 4))))


def code_in_the_middle(make: Make, rng: np.random.Generator, mark: Path) -> bytes:
    """Instructions that call something, put into a sound pickle at any place."""
    whole = make(noise(rng), None)
    calls = [
        b"cos\nsystem\n(S'touch %s'\ntR" % str(mark).encode(),
        b"\x8c\x08builtins\x8c\x04eval\x93\x8c\x011\x85R",
        b"(S'touch %s'\nios\nsystem\n" % str(mark).encode(),
        b"c" + str(rng.choice(sorted(KNOWN))).replace(" ", "\n").encode() + b"\n)R",
    ]
    place = int(rng.integers(0, len(whole)))
    return whole[:place] + calls[int(rng.integers(0, len(calls)))] + whole[place:]


def huge(make: Make, rng: np.random.Generator, mark: Path) -> bytes:
    """A few bytes that speak of a hundred gigabytes."""
    side = int((HUGE // 3) ** 0.5) + int(rng.integers(0, 1000))
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (%d, 3, 1024, 1024), }" % (
        HUGE // (3 << 22) + int(rng.integers(0, 9))
    )
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", 118) + header.ljust(117) + b"\n" + bytes(64)
    match int(rng.integers(0, 6)):
        case 0:
            return array
        case 1:
            return zipped({"images.npy": array, "labels.npy": npy(np.arange(COUNT))})
        case 2:
            tags = (b"B", b"X", b"T")
            return (
                b"\x80\x04"
                + tags[int(rng.integers(0, 3))]
                + struct.pack("<I", 2**32 - 1 - int(rng.integers(0, 99)))
                + bytes(30)
            )
        case 3:
            return (
                b"\x80\x04"
                + (b"\x8e", b"\x8d", b"\x96")[int(rng.integers(0, 3))]
                + struct.pack("<Q", HUGE + side)
                + bytes(30)
            )
        case 4:
            whole = torch.zeros(1).expand(side, 3, 1024, 1024)
            return torch_bytes(whole, _use_new_zipfile_serialization=bool(rng.integers(0, 2)))
    picture = bytearray(png(np.zeros((SIDE, SIDE, 3), np.uint8)))
    picture[16:24] = struct.pack(">II", side, side)
    # Its checksum fits, so that only the size is wrong.
    import zlib

    picture[29:33] = struct.pack(">I", zlib.crc32(bytes(picture[12:29])))
    return zipped({f"{i}.png": bytes(picture) for i in range(3)})


DAMAGES: dict[str, Damage] = {
    "cut off": cut,
    "bytes turned": turned,
    "head turned": turned_head,
    "moved": moved,
    "not finite": not_finite,
    "other type": other_type,
    "other shape": other_shape,
    "code": code,
    "code in the middle": code_in_the_middle,
    "huge": huge,
}


# ---------------------------------------------------------------- the watch


class Watch:
    """Python's own audit events of what no reader may do; a hook cannot be taken out again, so it is armed when
    needed."""

    FORBIDDEN = (
        *(
            "os.system",
            "os.exec",
            "os.fork",
            "os.posix_spawn",
            "subprocess.Popen",
            "socket.connect",
            "pickle.find_class",
            "ctypes.dlopen",
        ),
        *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod"),
    )

    def __init__(self) -> None:
        self.armed, self.seen = False, list[str]()
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self.armed:
            return
        if event in self.FORBIDDEN:
            self.seen.append(f"{event}{arguments!r:.200}")
        elif event == "compile":
            # numpy parses the head of an npy file as a literal, which makes a tree and no code; it has this name.
            if arguments[1] != "<unknown>":
                self.seen.append(f"compile{arguments!r:.200}")
        elif event == "open":
            _, mode, flags = arguments
            if (isinstance(mode, str) and set(mode) & set("wax+")) or (
                isinstance(flags, int) and flags & (os.O_WRONLY | os.O_RDWR)
            ):
                self.seen.append(f"open{arguments!r:.200}")

    @contextmanager
    def on(self) -> Iterator[None]:
        self.armed = True
        try:
            yield
        finally:
            self.armed = False
        assert not self.seen, self.seen


@pytest.fixture(scope="module")
def watch() -> Watch:
    return Watch()


def read(path: Path, data: ImageSet) -> str:
    """What a person does with a file: look, lay it on the images, compare; the outcome in a word."""
    try:
        imported = load(path, data)
        imported.found.lines()
        made = imported.onto(data)
        assert made.images.dtype == torch.uint8
        assert made.images.shape == data.images.shape
        for rule in imported.rules:
            compare(imported, data, rule.key)
    except UedError as refusal:
        return f"refused: {refusal}"
    return "read"


def test_the_watch_sees(watch: Watch, tmp_path: Path) -> None:
    acts = [
        lambda: os.system("true"),
        lambda: eval("1"),
        lambda: (tmp_path / "x").touch(),
        lambda: pickle.loads(b"cos\nsystem\n."),
    ]
    for act in acts:
        with pytest.raises(AssertionError), watch.on():
            act()
        watch.seen.clear()


@pytest.mark.parametrize("name", list(FORMATS))
def test_sound_files_are_read(watch: Watch, tmp_path: Path, name: str) -> None:
    """Otherwise the damaged ones would prove nothing."""
    file, make = FORMATS[name]
    (tmp_path / file).write_bytes(make(noise(np.random.default_rng(0)), None))
    assert read(tmp_path / file, clean()) == "read"
    with watch.on():
        assert read(tmp_path / file, clean()) == "read"


@pytest.mark.parametrize("name", list(FORMATS))
def test_damaged_files(watch: Watch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Every kind of damage in turn; all seeds are in the message of what fails."""
    home, mark = tmp_path / "home", tmp_path / "executed"
    monkeypatch.setenv("UED_HOME", str(home))
    monkeypatch.chdir(tmp_path)
    file, make = FORMATS[name]
    path, data, outcomes, different = tmp_path / file, clean(), Counter[tuple[str, str]](), set[bytes]()
    path.write_bytes(make(noise(np.random.default_rng(0)), None))
    read(path, data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(FILES_EACH):
        kind = list(DAMAGES)[seed % len(DAMAGES)]
        content = DAMAGES[kind](make, np.random.default_rng([seed, len(name)]), mark)
        path.write_bytes(content)
        different.add(content)
        try:
            with watch.on():
                outcome = read(path, data)
        except BaseException as error:
            raise AssertionError(f"{name}, {kind}, seed {seed}: {type(error).__name__}: {error}") from error
        if outcome != "read":
            assert outcome.endswith((".", "?")), f"{name}, {kind}, seed {seed}: no sentence: {outcome}"
            assert len(outcome) < 600
        outcomes[kind, outcome.partition(":")[0]] += 1
        assert not mark.exists(), f"{name}, {kind}, seed {seed}: something was executed"
        assert path.read_bytes() == content, f"{name}, {kind}, seed {seed}: the file was changed"
    assert sorted(p.name for p in tmp_path.iterdir()) == [file], "something was written"
    assert len(different) >= 170, "seventeen such formats: 2,890 different files"
    for kind in ("cut off", "code", "huge"):
        assert outcomes[kind, "read"] == 0, (kind, outcomes)
    assert sum(count for (_, outcome), count in outcomes.items() if outcome == "refused") > 0.5 * FILES_EACH
    # A hundred gigabytes were named again and again.
    assert (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) >> 10 < 400
