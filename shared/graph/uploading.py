"""Upload sessions of Outlook and OneDrive: a file in ranges, to an address that is its own authorization.

The SDK's upload task is not used: it fails on the ranges that Graph documents and sends the bearer token along
(measured with msgraph-core 1.5.2). Sources: learn.microsoft.com/graph/outlook-large-attachments,
learn.microsoft.com/graph/api/driveitem-createuploadsession.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
from yarl import URL

from shared.graph.client import GraphError, Rejected, Unreachable, error_for

type Read = Callable[[int, int], Awaitable[bytes]]
"""Gives `length` bytes of a file from `offset`."""
type Progress = Callable[[], Awaitable[None]]

_TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=5)
_FAILURES = 3
"""How many ranges may fail before the upload is given up."""


async def no_progress() -> None:
    """Nobody wants to know."""


async def upload(url: str, size: int, range_length: int, read: Read, progress: Progress = no_progress) -> None:
    """Upload `size` bytes to an upload session's address in ranges of `range_length`.

    After a range whose outcome is unknown the session is asked where to go on. Raises `Throttled`, `Unreachable`
    (whether the last range completed the file is then unknown) and `Rejected`.
    """
    start = failures = 0
    async with aiohttp.ClientSession(timeout=_TIMEOUT, auto_decompress=False) as session:
        while start < size:
            data = await read(start, min(range_length, size - start))
            if not data:
                raise Rejected(400, "FileTooShort", f"the file ends at {start} of {size} bytes")
            try:
                following = await _put(session, url, start, data, size)
            except GraphError as error:
                if error.status == 404:
                    # aiohttp repeats a PUT whose connection broke: the first one may have completed the file.
                    raise Unreachable(404, "UploadSessionGone") from None
                failures += 1
                if failures > _FAILURES or not (isinstance(error, Unreachable) or error.status == 416):
                    raise
                following = await _next_start(session, url)
            else:
                await progress()
            start = size if following is None else following


async def _put(session: aiohttp.ClientSession, url: str, start: int, data: bytes, size: int) -> int | None:
    """Send one range; return where the next one starts, None where the file is complete."""
    headers = {
        "Content-Range": f"bytes {start}-{start + len(data) - 1}/{size}",
        "Content-Type": "application/octet-stream",
    }
    status, body = await _call(session, "PUT", url, headers, data)
    following = _following(body)
    return None if status == 201 or following is None else following


async def _next_start(session: aiohttp.ClientSession, url: str) -> int:
    """Ask the session where to go on. A session that is gone may have completed: nobody can tell from here."""
    try:
        _, body = await _call(session, "GET", url, {}, None)
    except Rejected as error:
        raise Unreachable(error.status, "UploadSessionGone") from None
    following = _following(body)
    if following is None:
        raise Unreachable(0, "UploadSessionGone")
    return following


async def _call(
    session: aiohttp.ClientSession, method: str, url: str, headers: dict[str, str], data: bytes | None
) -> tuple[int, Any]:
    try:
        async with session.request(method, URL(url, encoded=True), headers=headers, data=data) as response:
            text = await response.read()
            if response.status >= 300:
                error = _parsed(text).get("error")
                named = error if isinstance(error, dict) else {}
                code, message = str(named.get("code", "")), str(named.get("message", ""))
                raise error_for(response.status, response.headers, code, message)
            return response.status, _parsed(text)
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unreachable(0, type(error).__name__) from None


def _parsed(text: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(text or b"{}")
    except orjson.JSONDecodeError:
        return {}
    return body if isinstance(body, dict) else {}


def _following(body: dict[str, Any]) -> int | None:
    """Return the start of the first expected range: ``["5242880-"]``, ``["26-100"]``, Outlook also ``["2097152"]``."""
    ranges = body.get("nextExpectedRanges") or body.get("NextExpectedRanges") or []
    number = re.match(r"\d+", str(ranges[0])) if ranges else None
    return int(number[0]) if number else None
