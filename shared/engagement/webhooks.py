"""Webhooks: which addresses may be told, and the signature that a receiver verifies.

Sources: the Standard Webhooks specification (github.com/standard-webhooks/standard-webhooks/blob/main/spec);
IANA's registries of special addresses, as `ipaddress` knows them; RFC 4291 (2000::/3 is global unicast), RFC 6052
(64:ff9b::/96 stands for an IPv4 address), RFC 6761, 6762, 8375 and ICANN's reservation of ``.internal`` for names.
"""

import base64
import binascii
import hashlib
import hmac
import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from ada_url import URL

from shared.engagement.links import target_of

MAX_URL = 2000
"""Characters of a webhook's address."""
SECRET_PREFIX = "whsec_"  # noqa: S105 - the specification's, no secret
SECRET_BYTES = range(24, 65)
"""How long a secret may be: the specification's 192 to 512 bits."""

_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
_AZURE_PLATFORM = IPv4Address("168.63.129.16")
"""Azure's platform as every virtual machine sees it (learn.microsoft.com/azure/virtual-network/what-is-ip-address-
168-63-129-16): public by its number, reachable from the inside only."""
_INSIDE = ("localhost", "local", "internal", "home.arpa")
"""Domains whose names mean something else on every network."""


def read_url(text: str, *, local: bool = False) -> str:
    """Return a webhook's address as the URL Standard serializes it; raise ValueError saying what would be right.

    `local`: the service runs on one machine against a Microsoft 365 stand-in, and loopback may be told too, over http
    as well. A name that leads to a private address shows only when it is resolved: see `may_connect`.

    >>> read_url("HTTPS://Hooks.Contoso.com:8443/alerts?team=7")
    'https://hooks.contoso.com:8443/alerts?team=7'
    """
    href = target_of(text)
    if href is None:
        raise ValueError("is not an address: give one such as https://hooks.contoso.com/alerts")
    url = URL(href)
    host = str(url.hostname).strip("[]").rstrip(".")
    loopback = local and _is_loopback(host)
    if str(url.protocol) != "https:" and not loopback:
        raise ValueError("must begin with https://")
    if url.username or url.password:
        raise ValueError("must not hold a user name or a password: the signature proves who calls")
    if "#" in href:
        raise ValueError("must not hold a fragment (#): it is never sent")
    if len(href) > MAX_URL:
        raise ValueError(f"must have at most {MAX_URL:,} characters")
    if not (loopback or _may_be_public(host)):
        raise ValueError("must name a host that is reached over the internet, not one of a private network")
    return href


def read_secret(text: str) -> bytes:
    """Return the key that a secret stands for; raise ValueError saying what would be right.

    >>> len(read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"))
    24
    """
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except (ValueError, binascii.Error):
        key = b""
    if not text.startswith(SECRET_PREFIX) or len(key) not in SECRET_BYTES:
        raise ValueError(
            f"must be '{SECRET_PREFIX}' and the base64 of {SECRET_BYTES[0]} to {SECRET_BYTES[-1]} random bytes, "
            f"such as {SECRET_PREFIX}$(openssl rand -base64 32)"
        )
    return key


def sign(key: bytes, id: str, timestamp: int, body: bytes) -> str:
    """Return what ``webhook-signature`` says of a message that is sent at `timestamp` (Unix seconds)."""
    signed = f"{id}.{timestamp}.".encode() + body
    return f"v1,{base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()}"


def may_connect(address: str, *, local: bool = False) -> bool:
    """Return whether an IP address that a webhook's host stands for may be connected to; `local` as in `read_url`.

    >>> may_connect("10.0.0.1"), may_connect("::ffff:10.0.0.1"), may_connect("64:ff9b::a00:1"), may_connect("1.1.1.1")
    (False, False, False, True)
    """
    return is_public(address) or (local and _is_loopback(address))


def is_public(address: str) -> bool:
    """Return whether an IP address is one of the internet's; False for what is no address."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address):
        inside = found.ipv4_mapped or (IPv4Address(int(found) & 0xFFFF_FFFF) if found in _NAT64 else None)
        if inside is None:
            return found in _GLOBAL_UNICAST and found.is_global
        found = inside
    return found.is_global and not found.is_multicast and found != _AZURE_PLATFORM


def _may_be_public(host: str) -> bool:
    if re.fullmatch(r"[\d.]+|.*:.*", host):
        return is_public(host)
    labels = host.split(".")
    return len(labels) > 1 and all(labels) and not any(f".{host}".endswith(f".{domain}") for domain in _INSIDE)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
