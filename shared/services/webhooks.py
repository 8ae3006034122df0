"""Posting to an address that an organization named: signed, to public addresses only, within five seconds.

The address is checked where the connection is made, on the very IP address that is connected to, so that a name which
leads elsewhere between a check and its use gains nothing. Redirects are not followed and of an answer only the status
is looked at: its body is not read.
"""

import asyncio
import errno
import socket
import ssl
from collections.abc import Mapping
from functools import cache

import aiohttp
from yarl import URL

from shared.engagement.webhooks import may_connect, sign

SECONDS = 5.0
"""How long a receiver may take, from looking up its name to its status line."""
GONE = 410
"""What a receiver answers that wants no more messages (Standard Webhooks)."""


class Undelivered(Exception):
    """A message was not taken. The text says why and names neither the address nor what the receiver wrote.

    `status` is the receiver's, 0 where there was no answer.
    """

    def __init__(self, reason: str, status: int = 0) -> None:
        super().__init__(reason)
        self.status = status


async def post(
    url: str, key: bytes, id: str, body: bytes, timestamp: int, *, local: bool = False, seconds: float = SECONDS
) -> None:
    """Post a JSON `body` and return when the receiver answered 2xx; raise `Undelivered` otherwise.

    `id` is the message's, the same each time it is sent, `timestamp` when it is sent now (Unix seconds), `key` what it
    is signed with; `local` lets loopback be told, as in `shared.engagement.webhooks.read_url`.
    """
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "EmailEngagement-Webhooks",
        "webhook-id": id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": sign(key, id, timestamp, body),
    }
    status = await _post(url, headers, body, local=local, seconds=seconds)
    if 300 <= status < 400:
        raise Undelivered(f"it answers {status}, and redirects are not followed: name where it leads to", status)
    if not 200 <= status < 300:
        raise Undelivered(f"it answers {status}", status)


async def _post(url: str, headers: Mapping[str, str], body: bytes, *, local: bool, seconds: float) -> int:
    refused: list[str] = []

    def open_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        if not may_connect(str(address[0]), local=local):
            refused.append(str(address[0]))
            raise OSError(errno.EACCES, "not a public address")
        return socket.socket(family, kind, protocol)

    tls = await asyncio.to_thread(_tls) if url.startswith("https:") else True
    connector = aiohttp.TCPConnector(socket_factory=open_socket, ssl=tls, force_close=True, use_dns_cache=False)
    try:
        async with (
            asyncio.timeout(seconds),
            aiohttp.ClientSession(
                connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=False, trust_env=False
            ) as session,
            session.post(URL(url, encoded=True), data=body, headers=headers, allow_redirects=False) as response,
        ):
            return response.status
    except TimeoutError:
        raise Undelivered(f"it does not answer within {seconds:g} seconds") from None
    except aiohttp.ClientConnectorCertificateError:
        raise Undelivered("its certificate is not valid for its name, or is signed by nobody known") from None
    # A name that cannot be one is a ValueError of the resolver.
    except (aiohttp.ClientError, OSError, ValueError) as error:
        if refused:
            raise Undelivered("its name leads to an address that is not public") from None
        raise Undelivered(f"it cannot be reached ({type(error).__name__})") from None


@cache
def _tls() -> ssl.SSLContext:
    """Return how certificates are checked; reading the known authorities takes a tenth of a second."""
    return ssl.create_default_context()
