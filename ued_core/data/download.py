"""Downloading one published file: progress, cancellation, checksum, nothing half-written."""

from __future__ import annotations

import hashlib
import http.client
import os
import urllib.error
import urllib.request
from pathlib import Path

from ued_core.context import Context
from ued_core.errors import Unavailable
from ued_core.files import write_atomic

_BLOCK = 1 << 18
_PATIENCE_S = 30


def fetch(url: str, path: Path, md5: str, ctx: Context, do: str) -> None:
    """Fetch ``url`` into ``path``; afterwards the file is there whole and verified, or not at all.

    Args:
        url: http or https address.
        path: where the file goes; its folder is made.
        md5: hexadecimal MD5 that the publisher states.
        ctx: told the bytes done and in total.
        do: what the user can do instead, for the message of a failure.

    Raises:
        Unavailable: the network, the server, the disk or the checksum says no.
        Cancelled: the user stopped the work.
    """

    def write(temporary: Path) -> None:
        found = _stream(url, temporary, path.name, ctx)
        if found != md5:
            raise Unavailable(f"{path.name} from {url} has the MD5 {found}, but it must be {md5}.", do)

    try:
        write_atomic(path, write)
    except (urllib.error.URLError, http.client.HTTPException, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise Unavailable(f"{path.name} could not be downloaded from {url}: {reason}.", do) from error


def _stream(url: str, target: Path, name: str, ctx: Context) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    request = urllib.request.Request(url, headers={"User-Agent": "ued-studio"})
    ctx.report(0, 1, f"Downloading {name}")
    with urllib.request.urlopen(request, timeout=_PATIENCE_S) as answer, open(target, "wb") as file:
        total = int(answer.headers.get("Content-Length") or 0)
        done = 0
        while block := answer.read(_BLOCK):
            file.write(block)
            digest.update(block)
            done += len(block)
            ctx.report(done, max(total, done), f"Downloading {name}")
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()
