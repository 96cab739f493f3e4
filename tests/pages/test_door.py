"""The door before the app: who is asked for a passcode, what is answered without one, and what cannot be forged or
guessed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest

from pages.frame import door
from pages.frame.door import COOKIE, HEADER, Door, is_loopback, is_served, read_person
from pages.frame.passcodes import (
    SHORTEST_CODE,
    WAIT_S,
    WRONG_BEFORE_WAIT,
    Attempts,
    Codes,
    Keeper,
    fit_name,
    read_codes,
)
from pages.frame.sign_in import sign_in_page
from ued_core.errors import UedError
from ued_core.person import OWNER, Person

ROOM, OWN = "room-code-1", "owner-code-1"
HERE, THERE = ("127.0.0.1", 50000), ("192.0.2.7", 50000)
PATHS = (
    "/",
    "/attack",
    "/_stcore/metrics",
    "/_stcore/host-config",
    "/media/a.png",
    "/_stcore/upload_file/a/b",
    "/component/a/b.js",
    "/static/js/a.js",
    "/vendor/plotly-7.min.js",
    "/background/done",
    "/_stcore/agent/interact",
    "/sign-in/x",
    "/favicon.png",
)


@pytest.fixture(autouse=True)
def fresh(tmp_path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("UED_HOME", str(tmp_path))
    monkeypatch.setenv("UED_PASSCODE", ROOM)
    monkeypatch.setenv("UED_OWNER_PASSCODE", OWN)
    monkeypatch.setattr(door, "SLOW_S", 0.0)
    for kept in (door.keeper, door.announce):
        kept.cache_clear()
    yield
    for kept in (door.keeper, door.announce):
        kept.cache_clear()


@dataclass
class Answer:
    status: int
    headers: list[tuple[str, str]]
    body: str

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key == name), "")

    @property
    def cookie(self) -> str:
        return self.header("set-cookie").partition(";")[0].partition("=")[2]

    @property
    def person(self) -> Person:
        return read_person(self.body)


async def inner(scope, receive, send) -> None:
    """An app that says whom the door let in."""
    said = [value.decode() for name, value in scope["headers"] if name == HEADER.encode()]
    if scope["type"] == "websocket":
        await send({"type": "websocket.accept"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": (said[0] if len(said) == 1 else json.dumps(said)).encode()})


def ask(
    path: str = "/", *, client=THERE, server=("192.0.2.1", 8501), method="GET", cookie="", kind="http", body=b"", **more
) -> Answer:
    headers = {"host": f"{server[0]}:8501" if server else "x", "accept": "text/html"}
    headers |= {"cookie": f"{COOKIE}={cookie}"} if cookie else {}
    headers |= {name.replace("_", "-"): value for name, value in more.items()}
    where, _, query = path.partition("?")
    scope = {
        "type": kind,
        "method": method,
        "path": where,
        "raw_path": where.encode(),
        "query_string": query.encode(),
        "scheme": "http",
        "root_path": "",
        "headers": [(n.encode(), v.encode()) for n, v in headers.items()],
        "client": client,
        "server": server,
        "http_version": "1.1",
        "extensions": {},
    }
    sent: list[dict] = []

    async def receive() -> dict:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    asyncio.run(Door(inner)(scope, receive, send))
    if kind == "websocket":
        return Answer(101 if sent[0]["type"] == "websocket.accept" else 403, [], "")
    text = b"".join(message.get("body", b"") for message in sent[1:])
    return Answer(sent[0]["status"], [(n.decode(), v.decode()) for n, v in sent[0]["headers"]], text.decode())


def sign_in(code: str, name: str = "Ada", where: str = "/attack?x=1", **more) -> Answer:
    form = urlencode({"code": code, "name": name, "where": where}).encode()
    return ask("/sign-in", method="POST", body=form, **more)


# ---------------------------------------------------------------- who is asked


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost", "LOCALHOST.", "::ffff:127.0.0.1"]
)
def test_loopback(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [None, "", "0.0.0.0", "::", "192.168.0.2", "example.org", "unix:///tmp/s", "127.0.0.1.example.org", "testclient"],
)
def test_everything_else_is_reachable(host: str | None) -> None:
    assert not is_loopback(host)


def test_the_owner_at_this_computer_is_asked_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("UED_SERVED", raising=False)
    for client, server in ((HERE, ("127.0.0.1", 8501)), (("::1", 1), ("::1", 8501))):
        answer = ask("/attack", client=client, server=server, host="localhost:8501")
        assert (answer.status, answer.person) == (200, OWNER)
        assert ask(client=client, server=server, host="localhost", kind="websocket").status == 101


@pytest.mark.parametrize(
    "odd",
    [
        {"client": THERE},
        {"client": None},
        {"server": ("192.0.2.1", 8501), "host": "localhost:8501"},
        {"server": ("/tmp/socket", None)},
        {"host": "evil.example:8501"},
        {"host": "127.0.0.1.evil.example"},
        {"host": "[::"},
        {"x_forwarded_for": "192.0.2.7"},
        {"forwarded": "for=192.0.2.7"},
        {"x_real_ip": "192.0.2.7"},
    ],
)
def test_whoever_may_come_from_elsewhere_is_asked(odd: dict, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another address, a proxy's headers, a foreign name for this address (DNS rebinding)."""
    monkeypatch.delenv("UED_SERVED", raising=False)
    shared = {"client": HERE, "server": ("127.0.0.1", 8501), "host": "127.0.0.1:8501"}
    assert ask(**shared).status == 200
    assert ask(**{**shared, **odd}).status == 401
    assert ask(**{**shared, **odd}, kind="websocket").status == 403


def test_served_asks_at_this_computer_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, expected in (("1", True), ("yes", True), ("0", False), ("", False)):
        monkeypatch.setenv("UED_SERVED", said)
        assert is_served() is expected
        assert (ask(client=HERE, server=("127.0.0.1", 8501)).status == 401) is expected


# ---------------------------------------------------------------- what is answered without a passcode


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_answered_without_a_passcode(path: str) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
        answer = ask(path, method=method, accept="*/*")
        assert (answer.status, answer.body) == (401, "Sign in first.")
    assert "Come in" in ask(path).body
    assert ask(path).status == 401
    assert ask(path, kind="websocket").status == 403


def test_a_watcher_may_ask_whether_the_server_lives() -> None:
    assert ask("/_stcore/health").body == "[]"
    assert ask("/_stcore/health", method="POST").status == 401
    assert ask("/_stcore/health/../metrics").status == 401


def test_the_page_keeps_markup_out_and_is_kept_nowhere() -> None:
    answer = ask('/attack?"><script>alert(1)</script>')
    assert "<script" not in answer.body
    assert answer.header("cache-control") == "no-store"
    assert "default-src 'none'" in answer.header("content-security-policy")
    assert "<script" not in sign_in_page(action="/a", where="<script>", name="<script>", problem="<script>")


# ---------------------------------------------------------------- coming in


def test_a_visitor_comes_in_and_stays_the_same_person() -> None:
    answer = sign_in(ROOM)
    assert (answer.status, answer.header("location")) == (303, "/attack?x=1")
    for word in ("HttpOnly", "SameSite=lax", "Path=/"):
        assert word in answer.header("set-cookie")
    first = ask(cookie=answer.cookie).person
    assert (first.name, first.owner) == ("Ada", False)
    assert ask(cookie=answer.cookie, kind="websocket").status == 101
    again = ask(cookie=sign_in(ROOM, "", cookie=answer.cookie).cookie).person
    assert again == first
    assert ask(cookie=sign_in(ROOM).cookie).person.id != first.id


def test_the_owner_comes_in() -> None:
    visitor = sign_in(ROOM)
    owner = sign_in(OWN, cookie=visitor.cookie)
    assert ask(cookie=owner.cookie).person == OWNER
    assert ask(cookie=sign_in(ROOM, cookie=owner.cookie).cookie).person == ask(cookie=visitor.cookie).person


def test_metrics_of_the_server_are_the_owners() -> None:
    visitor, owner = (sign_in(code).cookie for code in (ROOM, OWN))
    assert ask("/_stcore/metrics", cookie=visitor).status == 403
    assert ask("/_stcore/metrics/", cookie=visitor).status == 403
    assert ask("/_stcore/metrics", cookie=owner).status == 200


def test_leaving_lets_nobody_in_but_remembers_the_name() -> None:
    cookie = sign_in(ROOM).cookie
    left = ask("/sign-out", cookie=cookie)
    assert left.status == 303
    assert ask(cookie=left.cookie).status == 401
    assert 'value="Ada"' in ask(cookie=left.cookie).body
    assert ask("/sign-out").status == 303


@pytest.mark.parametrize(
    "where", ["//evil.example", "https://evil.example", "/\\evil.example", "", "/a\r\nx: y", "javascript:alert(1)"]
)
def test_nobody_is_sent_elsewhere(where: str) -> None:
    assert sign_in(ROOM, where=where).header("location") == "/"


@pytest.mark.parametrize("code", ["", "room-code-2", ROOM[:-1], ROOM + "x", OWN.upper(), "ä" * 9])
def test_wrong_codes(code: str) -> None:
    answer = sign_in(code)
    assert answer.status == 401
    assert not answer.cookie
    assert 'role="alert"' in answer.body


def test_what_is_no_form_of_ours_is_refused() -> None:
    assert sign_in(ROOM, sec_fetch_site="cross-site").status == 403
    assert ask("/sign-in", method="POST", body=b"code=" + b"x" * 5000).status == 413
    assert ask("/sign-in", method="POST", body=b"\xff\xfe").status == 413
    assert ask("/sign-in", method="POST", body=b"&".join(b"a=1" for _ in range(99))).status == 413
    assert ask("/sign-in", method="DELETE").status == 405


# ---------------------------------------------------------------- forging and guessing


def test_a_header_of_the_browser_names_nobody() -> None:
    forged = json.dumps({"id": "", "name": "Owner", "owner": True})
    assert ask(**{HEADER: forged}).status == 401
    assert ask(cookie=sign_in(ROOM).cookie, **{HEADER: forged}).person.owner is False
    assert ask(cookie=sign_in(ROOM).cookie, **{HEADER.title(): forged}).person.owner is False


def test_a_cookie_cannot_be_made_up_or_changed() -> None:
    cookie = sign_in(ROOM).cookie
    body, _, rest = cookie.partition(".")
    # Not the last letter: two of its bits mean nothing.
    changed = cookie[:-5] + ("a" if cookie[-5] != "a" else "b") + cookie[-4:]
    for forged in ("x", "", "a.b.c", changed, body[:-2] + "AA." + rest, f"{body}."):
        assert ask(cookie=forged).status == 401
    stranger = Keeper(Codes(ROOM, OWN), b"\0" * 32).admit(OWN, "x")
    assert ask(cookie=stranger).status == 401


def test_a_new_passcode_ends_what_the_old_one_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = sign_in(ROOM).cookie
    before = ask(cookie=cookie).person
    monkeypatch.setenv("UED_PASSCODE", "another-code")
    door.keeper.cache_clear()
    assert ask(cookie=cookie).status == 401
    assert ask(cookie=sign_in("another-code", "", cookie=cookie).cookie).person == before, (
        "the same person, with the same runs"
    )


def test_a_cookie_grows_old(monkeypatch: pytest.MonkeyPatch) -> None:
    cookie = sign_in(ROOM).cookie
    import itsdangerous.timed

    now = itsdangerous.timed.time.time()
    monkeypatch.setattr(itsdangerous.timed.time, "time", lambda: now + 15 * 86_400)
    assert ask(cookie=cookie).status == 401


def test_guessing_is_slowed_down() -> None:
    for _ in range(WRONG_BEFORE_WAIT):
        assert sign_in("wrong-wrong").status == 401
    blocked = sign_in(ROOM)
    assert blocked.status == 429
    assert blocked.header("retry-after")
    assert not blocked.cookie
    assert sign_in(ROOM, client=("192.0.2.8", 1)).status == 303, "others are not kept out"


def test_guessing_from_many_addresses_of_one_network() -> None:
    now = [0.0]
    attempts = Attempts(lambda: now[0])
    for host in range(WRONG_BEFORE_WAIT):
        assert attempts.wait_s("2001:db8::1") == 0
        attempts.wrong(f"2001:db8::{host:x}")
    assert attempts.wait_s("2001:db8::ffff") == WAIT_S
    assert attempts.wait_s("2001:db8:0:1::1") == 0
    now[0] = WAIT_S + 1
    assert attempts.wait_s("2001:db8::1") <= 0
    for host in range(300):
        attempts.wrong(f"10.0.{host // 250}.{host % 250}")
    assert attempts.wait_s("192.0.2.99") > 0, "a crowd of addresses waits as a whole"


# ---------------------------------------------------------------- passcodes and names


def test_passcodes_are_made_where_none_is_set() -> None:
    codes, others = read_codes({}), read_codes({})
    assert codes.made == {"UED_PASSCODE", "UED_OWNER_PASSCODE"}
    assert len({codes.visitor, codes.owner, others.visitor, others.owner}) == 4
    assert len(codes.visitor) >= 14
    assert len(codes.owner) > len(codes.visitor)
    assert codes.visitor not in repr(codes)


def test_passcodes_from_a_file(tmp_path) -> None:
    (tmp_path / "code").write_text("from-a-file\n")
    codes = read_codes({"UED_PASSCODE_FILE": str(tmp_path / "code"), "UED_OWNER_PASSCODE": OWN})
    assert (codes.visitor, codes.owner, codes.made) == ("from-a-file", OWN, frozenset())


@pytest.mark.parametrize("name", ["UED_PASSCODE", "UED_OWNER_PASSCODE"])
def test_unusable_passcodes_are_refused(name: str, tmp_path) -> None:
    (tmp_path / "empty").write_text("")
    for environ in (
        {name: "x" * (SHORTEST_CODE - 1)},
        {f"{name}_FILE": str(tmp_path / "none")},
        {f"{name}_FILE": str(tmp_path / "empty")},
    ):
        with pytest.raises(UedError) as refused:
            read_codes(environ)
        assert name in str(refused.value)
    with pytest.raises(UedError, match="the same"):
        read_codes({"UED_PASSCODE": ROOM, "UED_OWNER_PASSCODE": ROOM})


def test_the_start_message_says_what_is_open(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    door.announce()
    said = capsys.readouterr().out
    assert ROOM not in said
    assert OWN not in said
    assert "as you have set it" in said
    monkeypatch.delenv("UED_PASSCODE")
    monkeypatch.delenv("UED_OWNER_PASSCODE")
    door.keeper.cache_clear()
    door.announce.cache_clear()
    door.announce()
    door.announce()
    said = capsys.readouterr().out
    assert said.count(door.keeper().codes.visitor) == 1
    assert said.count(door.keeper().codes.owner) == 1
    for word in ("Visitors", "no path", "owner sees and does everything"):
        assert word in said


def test_names_are_one_printable_line_and_nobody_is_called_owner() -> None:
    assert fit_name("  Ada \n\t Lovelace\u202e ") == "Ada Lovelace"
    assert fit_name("x" * 99) == "x" * 40
    assert fit_name(" oWner ") == fit_name("You") == ""
    assert ask(cookie=sign_in(ROOM, "Zoë 😀").cookie).person.name == "Zoë 😀"
    assert ask(cookie=sign_in(ROOM, "").cookie).person.name.startswith("Visitor ")


def test_the_key_is_kept_and_nobody_else_reads_it(tmp_path) -> None:
    cookie = sign_in(ROOM).cookie
    assert (tmp_path / "signing-key").stat().st_mode & 0o077 == 0
    door.keeper.cache_clear()
    assert ask(cookie=cookie).status == 200
    (tmp_path / "signing-key").write_text("damaged")
    door.keeper.cache_clear()
    assert ask(cookie=cookie).status == 401
