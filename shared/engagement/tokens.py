"""The signed tokens behind every pixel, image, link and attachment: all that an answer needs, nothing to look up.

A token is base64url of::

    version  1 byte, 1
    key id   1 byte
    kind     1 byte, ASCII, see `TokenKind`
    party    1 byte, the recipient's number, 255 where the mail has several
    item     2 bytes, big-endian
    email    16 bytes
    name     1 byte length, then the organization's name
    target   the rest: a link's or a sharing link's URL, or who withdraws, ASCII
    tag      16 bytes: HMAC-SHA-256 of all the above, truncated (RFC 2104 section 5)

split with ``/`` into segments under 200 characters, because front ends reject long ones.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from shared.engagement.link_keys import LinkKeys

SEGMENT_LENGTH = 190
MAX_TOKEN_LENGTH = 4096

_VERSION = 1
_TAG_LENGTH = 16
_HEAD_LENGTH = 23
_NO_PARTY = 255


class TokenKind(StrEnum):
    """What a token opens, as the first segment of its path says; a quiet image is shown and never recorded."""

    OPEN = "o"
    IMAGE = "i"
    LINK = "c"
    ATTACHMENT = "a"
    QUIET_IMAGE = "q"
    WITHDRAWAL = "w"

    @property
    def route(self) -> str:
        """The first path segment."""
        return "i" if self is TokenKind.QUIET_IMAGE else self.value


@dataclass(frozen=True, slots=True)
class Token:
    """What a link says about itself. `party` is None where the mail went to several people."""

    key: int
    organization: str
    kind: TokenKind
    email: UUID
    item: int
    party: int | None = None
    target: str = ""


def mint(token: Token, secrets: Mapping[int, bytes]) -> str:
    """Return the path of `token` below its route, such as ``AQFv...`` or ``AQFj.../...``.

    Raises KeyError where the key id has no secret and ValueError where the target is not ASCII.
    """
    name = token.organization.encode("ascii")
    party = _NO_PARTY if token.party is None or token.party >= _NO_PARTY else token.party
    head = bytes((_VERSION, token.key, ord(token.kind), party)) + token.item.to_bytes(2) + token.email.bytes
    body = head + bytes((len(name),)) + name + token.target.encode("ascii")
    text = base64.urlsafe_b64encode(body + _tag(body, secrets[token.key], token.organization)).rstrip(b"=").decode()
    return "/".join(text[at : at + SEGMENT_LENGTH] for at in range(0, len(text), SEGMENT_LENGTH))


def verify(path: str, secrets: Mapping[int, bytes], imported: LinkKeys = MappingProxyType({})) -> Token | None:
    """Return the token that `path` spells, or None for anything that neither we nor the deployment that an organization
    came from did sign, whatever it is. `imported` are the keys that organizations have brought along: key ids are each
    deployment's own, so that ours is tried first and then those that came under the same id.
    """
    # What stands between a mail and its reader may encode the slashes, and front ends hand those on as they came.
    text = path.replace("/", "").replace("%2F", "").replace("%2f", "")
    if len(text) > MAX_TOKEN_LENGTH or not text.isascii():
        return None
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    if len(raw) < _HEAD_LENGTH + _TAG_LENGTH or raw[0] != _VERSION:
        return None
    # Base64 has several spellings for one value; only the one that we write is ours.
    if base64.urlsafe_b64encode(raw).rstrip(b"=").decode() != text:
        return None
    body, tag = raw[:-_TAG_LENGTH], raw[-_TAG_LENGTH:]
    name = body[_HEAD_LENGTH : _HEAD_LENGTH + body[_HEAD_LENGTH - 1]]
    if not name.isascii():
        return None
    organization = name.decode()
    secret = secrets.get(body[1])
    signed = secret is not None and hmac.compare_digest(tag, _tag(body, secret, organization))
    if not signed and not _is_signed_elsewhere(body, tag, imported.get((organization, body[1]), ())):
        return None
    if signed and secret is not None:
        _remember(secret, organization)
    return Token(
        key=body[1],
        organization=organization,
        kind=TokenKind(chr(body[2])),
        email=UUID(bytes=body[6:22]),
        item=int.from_bytes(body[4:6]),
        party=None if body[3] == _NO_PARTY else body[3],
        target=body[_HEAD_LENGTH + len(name) :].decode("ascii"),
    )


def derive_key(secret: bytes, organization: str, purpose: str) -> bytes:
    """Return the 32-byte key of one organization for one purpose, by HKDF-Expand with one block (RFC 5869)."""
    return hmac.digest(secret, f"email-engagement/{purpose}/{organization}\x01".encode(), hashlib.sha256)


def link_key(secret: bytes, organization: str) -> bytes:
    """Return the key that signs an organization's links, all that another deployment needs to know them."""
    return derive_key(secret, organization, "links")


def _is_signed_elsewhere(body: bytes, tag: bytes, keys: Iterable[bytes]) -> bool:
    return any(hmac.compare_digest(tag, hmac.digest(key, body, hashlib.sha256)[:_TAG_LENGTH]) for key in keys)


def _tag(body: bytes, secret: bytes, organization: str) -> bytes:
    kept = _signers.get((secret, organization))
    signing = _signer(secret, organization) if kept is None else kept.copy()
    signing.update(body)
    return signing.digest()[:_TAG_LENGTH]


def _signer(secret: bytes, organization: str) -> hmac.HMAC:
    """Return an HMAC that has the organization's key in it already; a copy costs a third of a new one."""
    return hmac.new(link_key(secret, organization), digestmod=hashlib.sha256)


_signers: dict[tuple[bytes, str], hmac.HMAC] = {}
"""Of organizations that a token was proven of: as many as the operator has made, whatever names strangers send."""


def _remember(secret: bytes, organization: str) -> None:
    if (secret, organization) not in _signers:
        _signers[secret, organization] = _signer(secret, organization)
