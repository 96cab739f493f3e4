"""A home of its own for every test of this folder, and makers of small image files."""

import io
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image


@pytest.fixture(autouse=True)
def ued_home(tmp_path, monkeypatch) -> Path:
    """The program's home, empty."""
    path = tmp_path / "home"
    monkeypatch.setenv("UED_HOME", str(path))
    return path


@pytest.fixture
def picture() -> Callable[..., bytes]:
    """Makes the bytes of one flat picture; no two numbers give the same file."""

    def make(number: int = 0, size: tuple[int, int] = (12, 10), kind: str = "PNG") -> bytes:
        file = io.BytesIO()
        Image.new("RGB", size, (number * 7 % 256, number * 31 % 256, 40)).save(file, kind)
        return file.getvalue()

    return make


@pytest.fixture
def class_folder(tmp_path, picture) -> Callable[..., Path]:
    """Makes a folder with the given number of pictures in each class."""

    def make(name: str = "photos", **counts: int) -> Path:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        for offset, (label, count) in enumerate(counts.items()):
            (root / label).mkdir(parents=True, exist_ok=True)
            for index in range(count):
                (root / label / f"{index:03}.png").write_bytes(picture(100 * offset + index))
        return root

    return make


@pytest.fixture
def noise() -> Callable[[int, int], np.ndarray]:
    """Makes uint8 noise (height, width, 3)."""
    return lambda height, width: np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, bytes], list[str]]]:
    """A web server on this machine: its address, the files that it offers, and what was asked for."""
    offered: dict[str, bytes] = {}
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            data = offered.get(self.path[1:])
            if data is None:
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Length", str(len(data) + (1000 if self.path.endswith("short") else 0)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}", offered, asked
    running.shutdown()
    thread.join()
    running.server_close()
