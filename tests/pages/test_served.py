"""A real server that listens on every address: what a browser, a program and a websocket get of it without a passcode,
and with one."""

from __future__ import annotations

import asyncio
import http.client
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from pages.frame.navigation import PAGES, ROOT

ROOM, OWN = "room-code-1", "owner-code-1"


class Served:
    """A server on 0.0.0.0 that is asked at 127.0.0.1."""

    def __init__(self, home: Path, *options: str, **environ: str) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = home / "server.log"
        more = {"UED_HOME": str(home), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE", "UED_IDLE_S": "1"}
        command = [
            "-m",
            "streamlit",
            "run",
            str(ROOT / "app.py"),
            "--server.port",
            str(self.port),
            "--server.headless",
            "true",
            *options,
        ]
        with self.log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env={**os.environ, **more, **environ},
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def wait(self, seconds: float = 120) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until and self.process.poll() is None:
            try:
                if self.ask("/_stcore/health")[0] == 200:
                    return
            except OSError:
                time.sleep(0.1)
        pytest.fail(f"The server did not answer:\n{self.log.read_text()}")

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(15)

    def ask(
        self, path: str, method: str = "GET", body: str | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        line = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            line.request(method, path, body, headers)
            answer = line.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            line.close()

    def sign_in(self, code: str, name: str = "Ada") -> str:
        status, headers, _ = self.ask("/sign-in", "POST", urlencode({"code": code, "name": name, "where": "/"}))
        assert status == 303
        return headers["set-cookie"].partition(";")[0]

    def visit(self, cookie: str, page: str = "", query: str = "") -> bytes:
        """Everything that the server sends for a page, to the end of its script."""
        return asyncio.run(self._visit(cookie, page, query))

    async def _visit(self, cookie: str, page: str, query: str) -> bytes:
        headers = {"Cookie": cookie} if cookie else {}
        url = f"ws://127.0.0.1:{self.port}/_stcore/stream"
        async with websockets.connect(
            url, subprotocols=["streamlit"], max_size=None, additional_headers=headers
        ) as line:
            message = BackMsg()
            message.rerun_script.page_name = page
            message.rerun_script.query_string = query
            await line.send(message.SerializeToString())
            seen = b""
            async with asyncio.timeout(120):
                while True:
                    part = await line.recv()
                    seen += part
                    told = ForwardMsg.FromString(part)
                    if told.WhichOneof("type") == "script_finished" and told.script_finished in (0, 1):
                        return seen


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home = tmp_path_factory.mktemp("served")
    running = Served(home, "--server.address", "0.0.0.0", UED_PASSCODE=ROOM, UED_OWNER_PASSCODE=OWN)
    try:
        running.wait()
        yield running
    finally:
        running.stop()


PATHS = (
    "/",
    *(f"/{entry.address}" for entry in PAGES if entry.address),
    "/_stcore/metrics",
    "/_stcore/host-config",
    "/static/index.html",
    "/media/x.png",
    "/component/x/y",
    "/background/done",
    "/_stcore/upload_file/a/b",
    "/index.html",
)


@pytest.mark.parametrize("path", PATHS)
def test_without_a_passcode_there_is_only_the_sign_in_page(server: Served, path: str) -> None:
    assert server.ask(path)[::2] == (401, b"Sign in first.")
    status, _, page = server.ask(path, Accept="text/html")
    assert status == 401
    assert b"Passcode" in page
    assert b"streamlit" not in page.lower()


def test_without_a_passcode_there_is_no_websocket(server: Served) -> None:
    for cookie in ("", "ued_person=x.y.z"):
        with pytest.raises(websockets.InvalidStatus) as refused:
            server.visit(cookie)
        assert refused.value.response.status_code == 403


def test_with_it_the_app_is_there(server: Served) -> None:
    cookie = server.sign_in(ROOM)
    assert server.ask("/attack", Cookie=cookie, Accept="text/html")[0] == 200
    assert server.ask("/_stcore/host-config", Cookie=cookie)[0] == 200
    seen = server.visit(cookie)
    assert b"Ada (visitor)" in seen
    assert b"Sign out" in seen
    assert b"(visitor)" not in server.visit(server.sign_in(OWN))


def test_no_page_of_a_visitor_names_a_place_on_the_disk(server: Served) -> None:
    """Every page over the websocket, as a browser gets it, with links that name folders of the server."""
    cookie = server.sign_in(ROOM)
    home = str(server.log.parent)
    for entry in PAGES:
        # Streamlit's page scripts are named to the browser by a hash; the links are as a browser sends them.
        for query in (
            "",
            f"data=folder&data_folder_path={home}&from=path&path={home}/server.log&view=new&new_data=folder",
        ):
            seen = server.visit(cookie, entry.address, query)
            for secret in (home, str(ROOT), str(Path.home())):
                assert secret.encode() not in seen.replace(query.encode(), b""), f"{entry.address}?{query}"


def test_the_terminal_says_what_is_open_and_keeps_set_codes(server: Served) -> None:
    said = server.log.read_text()
    assert "Others can reach this server" in said
    assert f":{server.port}" in said
    assert ROOM not in said
    assert OWN not in said


def test_an_unusable_passcode_keeps_the_server_from_starting(tmp_path: Path) -> None:
    refused = Served(tmp_path, "--server.address", "0.0.0.0", UED_PASSCODE="short")
    try:
        assert refused.process.wait(120) != 0
    finally:
        refused.stop()
    assert "The app was not started. The passcode in UED_PASSCODE has 5 characters" in refused.log.read_text()
    assert "Traceback" not in refused.log.read_text()


def test_on_loopback_nobody_is_asked(tmp_path: Path) -> None:
    own = Served(tmp_path, UED_SERVED="")
    try:
        own.wait()
        assert own.ask("/attack", Accept="text/html")[0] == 200
        assert b"Sign out" not in own.visit("")
        assert own.ask("/attack", Accept="text/html", **{"X-Forwarded-For": "192.0.2.7"})[0] == 401
    finally:
        own.stop()
    assert "Passcode for visitors" in own.log.read_text(), "made when the first reader from elsewhere came"
