"""A hit: one fetch of a pixel, an image, a link or an attachment by whatever fetched it."""

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

type Network = ipaddress.IPv4Network | ipaddress.IPv6Network
type Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Kind(IntEnum):
    """What was fetched; the first three are Dataverse's ``interaction_type``, images count as opens."""

    OPEN = 0
    LINK = 1
    ATTACHMENT = 2
    IMAGE = 3


@dataclass(frozen=True, slots=True)
class Hit:
    """One fetch, as it was received.

    `id` is the writer (16 hex digits, random per process start) and its sequence: the hit's identity wherever it is
    written again. `at` is milliseconds since the epoch, `headers` has lower-case names.
    """

    id: str
    kind: Kind
    item: int
    at: int
    method: str
    address: str
    headers: Mapping[str, str]
    query: str


MAX_HEADERS = 40
MAX_HEADER_LENGTH = 512
MAX_HEADERS_LENGTH = 8192
"""Characters of all values together, so that a hit always fits into a table property."""

_MAX_ADDRESS = 64
"""Characters of an entry in X-Forwarded-For, zone and port included; beyond, it names nobody and is not remembered."""

_FORGOTTEN = frozenset({
    "authorization", "connection", "cookie", "host", "keep-alive", "proxy-authorization", "te", "trailer",
    "transfer-encoding", "upgrade", "content-length", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host",
    "x-original-url", "x-waws-unencoded-url", "x-client-ip", "x-client-port", "x-arr-log-id", "x-arr-ssl",
    "x-site-deployment-id", "was-default-hostname", "client-ip", "disguised-host", "max-forwards", "x-appservice-proto",
    "x-forwarded-tlsversion",
})  # fmt: skip
"""Hop-by-hop headers, the front end's own, and what must never be kept."""


def kept_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that labelling may look at: lower-case names, bounded in number and length."""
    kept: dict[str, str] = {}
    left = MAX_HEADERS_LENGTH
    for name, value in headers.items():
        lower = name.lower()
        if lower not in _FORGOTTEN:
            kept[lower[:64]] = short = value[:MAX_HEADER_LENGTH]
            left -= len(short)
            if left < 0 or len(kept) == MAX_HEADERS:
                break
    return kept


def client_address(forwarded_for: str, trusted: Sequence[Network]) -> str:
    """Return the client's address from ``X-Forwarded-For``, or "" where it does not name one.

    The front end appends the peer it saw, so the list is walked from the right past the proxies in `trusted`, and
    nothing further left is believed. An entry may carry a port (``203.0.113.9:4711``, ``[2001:db8::1]:4711``).

    >>> client_address("198.51.100.7, 203.0.113.9:4711", ())
    '203.0.113.9'
    >>> client_address("198.51.100.7, 127.0.0.1:80", (ipaddress.ip_network("127.0.0.0/8"),))
    '198.51.100.7'
    """
    found = ""
    for entry in map(str.strip, reversed(forwarded_for.split(","))):
        address, text = _parse_address(entry) if len(entry) <= _MAX_ADDRESS else (None, "")
        if address is None:
            break
        found = text
        if not any(address in network for network in trusted):
            break
    return found


@lru_cache(maxsize=4096)
def _parse_address(text: str) -> tuple[Address | None, str]:
    """Return the address that an entry names, without its port, and its text; (None, "") where it names none."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None, ""
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address, str(address)


def source_of(address: str) -> str:
    """Return who asks from `address`: in IPv4 the address; in IPv6 its /64, of which every subscriber has a whole one
    and changes addresses within it at will (RFC 4291 2.5.4, RFC 8981); what names no address stays as it is.

    An IPv4 address that is written into an IPv6 one is that IPv4 address.

    >>> source_of("192.0.2.1"), source_of("2001:db8:1:2:3:4:5:6"), source_of("2002:c000:201::1")
    ('192.0.2.1', '2001:db8:1:2::/64', '192.0.2.1')
    """
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    value = int(parsed)
    if value >> 80 == _LOCAL_NAT64:
        # Where in it the IPv4 address stands is the network's own choice; each has one of these (RFC 8215).
        return str(parsed)
    inside = parsed.sixtofour or (parsed.teredo[1] if parsed.teredo else None)
    if inside is None and value >> 32 in _IPV4_BEHIND and value >> 16:
        inside = ipaddress.IPv4Address(value & 0xFFFF_FFFF)
    return str(inside or ipaddress.IPv6Network((value >> 64 << 64, 64)))


_IPV4_BEHIND = frozenset(
    int(ipaddress.ip_address(prefix)) >> 32 for prefix in ("::", "::ffff:0:0", "::ffff:0:0:0", "64:ff9b::")
)
"""/96 that an IPv4 address follows: compatible and mapped (RFC 4291 2.5.5), translated (RFC 2765), NAT64 (RFC 6052).
6to4 (RFC 3056) and Teredo (RFC 4380) have theirs elsewhere."""
_LOCAL_NAT64 = int(ipaddress.ip_address("64:ff9b:1::")) >> 80
