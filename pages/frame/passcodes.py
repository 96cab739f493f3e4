"""Who may come in when others can reach the server: passcodes, the signed cookie, and what slows down guessing."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import os
import secrets
import time
import unicodedata
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from itsdangerous import BadData, URLSafeTimedSerializer

from ued_core.errors import ParameterError, Unavailable
from ued_core.home import home
from ued_core.person import OWNER, Person

VISITOR_CODE, OWNER_CODE = "UED_PASSCODE", "UED_OWNER_PASSCODE"
SHORTEST_CODE, LONGEST_CODE, LONGEST_NAME = 8, 200, 40
# Letters and digits that nobody confuses when they are read out in a room.
ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
DAYS = 14
WRONG_BEFORE_WAIT, WRONG_IN_ALL, WAIT_S = 10, 300, 60.0
MOST_ADDRESSES = 4096


@dataclass(frozen=True)
class Codes:
    """The two passcodes.

    Attributes:
        visitor, owner: what is typed.
        made: which of the two were drawn for this start, because nobody had set them.
    """

    visitor: str = field(repr=False)
    owner: str = field(repr=False)
    made: frozenset[str] = frozenset()


def read_codes(environ: Mapping[str, str]) -> Codes:
    """The passcodes from ``UED_PASSCODE`` and ``UED_OWNER_PASSCODE``, or from the files that ``…_FILE`` name; drawn
    where neither is set.

    Raises:
        ParameterError: one is too short, or both are the same.
        Unavailable: a file cannot be read.
    """
    visitor, owner = (_set_code(environ, name) for name in (VISITOR_CODE, OWNER_CODE))
    made = frozenset(name for name, code in ((VISITOR_CODE, visitor), (OWNER_CODE, owner)) if not code)
    visitor, owner = visitor or _drawn(3), owner or _drawn(6)
    if visitor == owner:
        raise ParameterError(
            f"{VISITOR_CODE} and {OWNER_CODE} are the same, so every visitor would be the owner.", "Set two of them."
        )
    return Codes(visitor, owner, made)


def _set_code(environ: Mapping[str, str], name: str) -> str:
    code, source = environ.get(name, ""), name
    if file := environ.get(f"{name}_FILE", ""):
        source = f"{name}_FILE"
        try:
            code = Path(file).expanduser().read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Unavailable(
                f"The passcode cannot be read from the file {file!r} of {source}: {error}.", "Correct the path."
            ) from error
    code = _typed(code)
    if (code or source != name) and not SHORTEST_CODE <= len(code) <= LONGEST_CODE:
        raise ParameterError(
            f"The passcode in {source} has {len(code)} characters, but it must have {SHORTEST_CODE} to {LONGEST_CODE}.",
            "Set another one, or none: one is then made at every start.",
        )
    return code


def _drawn(groups: int) -> str:
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(groups))


def _typed(text: str) -> str:
    return unicodedata.normalize("NFC", text.strip())


class Attempts:
    """Counts wrong passcodes, so that they cannot be tried by the thousand.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._of: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque(maxlen=WRONG_IN_ALL)

    def wait_s(self, address: str) -> float:
        """Seconds until somebody at this address may try again; 0 for now."""
        own = self._of.get(_network(address), deque())
        full = [times for times, most in ((own, WRONG_BEFORE_WAIT), (self._all, WRONG_IN_ALL)) if len(times) >= most]
        return max((WAIT_S - (self._clock() - times[0]) for times in full), default=0.0)

    def wrong(self, address: str) -> None:
        """Somebody at this address was wrong."""
        name = _network(address)
        self._of.setdefault(name, deque(maxlen=WRONG_BEFORE_WAIT)).append(self._clock())
        self._of.move_to_end(name)
        self._all.append(self._clock())
        while len(self._of) > MOST_ADDRESSES:
            self._of.popitem(last=False)


def _network(address: str) -> str:
    """One household has more IPv6 addresses than there are passcodes."""
    with suppress(ValueError):
        found = ipaddress.ip_address(address)
        return str(ipaddress.ip_network((found, 64), strict=False)) if found.version == 6 else str(found)
    return address


class Keeper:
    """Knows the passcodes and signs the cookie that remembers who gave one.

    Args:
        codes: what lets in.
        key: signs cookies; a person keeps their name and runs as long as it is the same.
    """

    def __init__(self, codes: Codes, key: bytes) -> None:
        self.codes = codes
        self.attempts = Attempts()
        self._key = key
        self._signer = URLSafeTimedSerializer(key, salt="ued person", signer_kwargs={"digest_method": hashlib.sha256})

    def admit(self, code: str, name: str, cookie: str = "") -> str | None:
        """A cookie for whoever typed a passcode; None when it is wrong.

        Args:
            code: as typed.
            name: what others shall see; made up when it is empty.
            cookie: what the browser had before; its visitor stays the same person.
        """
        given = _typed(code).encode()
        # Both are always compared, so that the time tells nothing.
        owner, visitor = (
            hmac.compare_digest(given, known.encode()) for known in (self.codes.owner, self.codes.visitor)
        )
        if not owner and not visitor:
            return None
        known = self._said(cookie, None)
        person = str(known.get("id") or secrets.token_hex(8))
        named = fit_name(name) or str(known.get("name") or f"Visitor {person[:4]}")
        return self._signer.dumps({"id": person, "name": named, "owner": owner, "code": self._mark(owner)})

    def person(self, cookie: str) -> Person | None:
        """Whoever a cookie is from; None when it is not signed here, too old, or from before the passcode was
        changed."""
        said = self._said(cookie, DAYS * 86_400)
        owner = said.get("owner") is True
        if not said or not hmac.compare_digest(str(said.get("code", "")), self._mark(owner)):
            return None
        return OWNER if owner else Person(str(said["id"]), str(said["name"]))

    def leave(self, cookie: str) -> str:
        """A cookie that lets nobody in but remembers the visitor's name and runs; empty when there is nobody to
        remember."""
        known = self._said(cookie, None)
        return self._signer.dumps({**known, "owner": False, "code": ""}) if known else ""

    def name(self, cookie: str) -> str:
        """The name of a visitor who comes back; empty for a new one."""
        return str(self._said(cookie, None).get("name", ""))

    def _said(self, cookie: str, max_age: int | None) -> dict[str, Any]:
        try:
            said = self._signer.loads(cookie, max_age=max_age)
        except BadData:
            return {}
        return said if isinstance(said, dict) else {}

    def _mark(self, owner: bool) -> str:
        code = self.codes.owner if owner else self.codes.visitor
        return hmac.new(self._key, f"{owner}:{code}".encode(), hashlib.sha256).hexdigest()[:32]


def fit_name(text: str) -> str:
    """A visitor's name as it is kept: printable, one line, at most :data:`LONGEST_NAME` characters; "Owner" and "you"
    are taken."""
    name = " ".join("".join(c if c.isprintable() else " " for c in text).split())[:LONGEST_NAME].strip()
    return "" if name.casefold() in (OWNER.name.casefold(), "you") else name


def signing_key() -> bytes:
    """The key of this home, drawn once and readable by the owner alone; one for this start where the home cannot be
    written."""
    path = home() / "signing-key"
    with suppress(OSError, ValueError):
        kept = bytes.fromhex(json.loads(path.read_text(encoding="utf-8")))
        if len(kept) == 32:
            return kept
    key = secrets.token_bytes(32)
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            json.dump(key.hex(), file)
    return key
