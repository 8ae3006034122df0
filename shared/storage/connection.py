"""One HTTP/1.1 connection that is kept, for the journal's writes: a third of what a general client costs per request.

Recipients wait for these writes, one at a time per organization, so there is nothing to pool, to redirect or to decode.
A request that finds the kept connection closed is sent once more on a new one, and must therefore be repeatable.
"""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

from shared.storage.account import Unavailable

CONNECT_TIMEOUT = 2.0
ANSWER_TIMEOUT = 5.0

_MAX_HEAD = 32 * 1024


class Connection:
    """A connection to one origin, opened at the first request and again after it broke."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._is_secure = parts.scheme == "https"
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if self._is_secure else 80)
        self._host_header = parts.netloc
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def request(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """Send a request and return the status and the body of its answer (RFC 9112).

        Raises `Unavailable` where the origin cannot be reached or does not answer in time.
        """
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self._host_header}", f"Content-Length: {len(body)}"]
        lines.extend(f"{name}: {value}" for name, value in headers.items())
        message = "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + body
        was_kept = self._streams is not None
        try:
            try:
                return await self._exchange(message)
            except (OSError, EOFError):
                if not was_kept:
                    raise
                return await self._exchange(message)
        except (OSError, EOFError, TimeoutError, ValueError, asyncio.LimitOverrunError) as error:
            raise Unavailable(0, type(error).__name__, str(error)) from None

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None

    async def _exchange(self, message: bytes) -> tuple[int, bytes]:
        try:
            if self._streams is None:
                async with asyncio.timeout(CONNECT_TIMEOUT):
                    self._streams = await asyncio.open_connection(
                        self._host, self._port, ssl=True if self._is_secure else None, limit=_MAX_HEAD
                    )
            reader, writer = self._streams
            writer.write(message)
            async with asyncio.timeout(ANSWER_TIMEOUT):
                status, body, keeps = await _read_answer(reader)
        except BaseException:
            # Whatever broke off here, what is still to come on this connection answers nobody.
            self.close()
            raise
        if not keeps:
            self.close()
        return status, body


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes, bool]:
    """Return status, body, and whether the connection can be used again."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
    status = int(head[0].partition(" ")[2][:3])
    fields = {name: value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    if status == 204:
        body = b""
    elif "chunked" in fields.get("transfer-encoding", ""):
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(fields.get("content-length", "0")))
    return status, body, fields.get("connection") != "close"


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    chunks: list[bytes] = []
    while size := int((await reader.readuntil(b"\r\n")).partition(b";")[0], 16):
        chunks.append((await reader.readexactly(size + 2))[:-2])
    while await reader.readuntil(b"\r\n") != b"\r\n":
        pass
    return b"".join(chunks)
