"""The signed tokens behind every pixel, image, link and attachment: all that an answer needs, nothing to look up.

A token is base64url of::

    version  1 byte, 2
    key id   1 byte
    kind     1 byte, ASCII, see `TokenKind`
    party    1 byte, the recipient's number, 255 where the mail has several
    item     2 bytes, big-endian
    email    16 bytes
    lengths  2 bytes, big-endian: 5 bits that of the name, 11 bits that of the target
    name     the organization's name, ASCII
    target   a link's or a sharing link's URL, or who withdraws, ASCII
    filling  1 zero byte where the length of all would be a multiple of three otherwise
    tag      16 bytes: HMAC-SHA-256 of all the above, truncated (RFC 2104 section 5)

split with ``/`` into segments under 200 characters, because front ends reject long ones.

It says how long it is, so that whatever other programs leave behind it is known not to be part of it. The filling makes
its last character hold less than six bits: a letter or a digit then, never ``-`` or ``_``, which programs that make
links of plain text leave out at an end. Tokens of version 1 have one byte for the name's length, a target that ends
where the tag begins, and no filling; mail with them has been sent.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from uuid import UUID

from shared.engagement.link_keys import LinkKeys

SEGMENT_LENGTH = 190
MAX_TOKEN_LENGTH = 4096
MAX_TARGET_LENGTH = 2047

_VERSION = 2
_FIRST_VERSION = 1
_TAG_LENGTH = 16
_HEAD_LENGTH = 24
_FIRST_HEAD_LENGTH = 23
_HEAD_TEXT_LENGTH = 32
_MAX_NAME_LENGTH = 31
_NO_PARTY = 255

_TO_BASE64 = bytes.maketrans(b"-_+/", b"+/--")
"""From base64url to base64; what stands for no value in the one stands for none in the other."""
_STRANGE = re.compile("[^A-Za-z0-9_-]")
_ENCODED = re.compile("[%=]([0-9A-Fa-f]{2})")


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
    """Return the path of `token` below its route, such as ``AgFv...`` or ``AgFj.../...``.

    Raises KeyError where the key id has no secret and ValueError where the target is not ASCII or longer than
    `MAX_TARGET_LENGTH`.
    """
    name, target = token.organization.encode("ascii"), token.target.encode("ascii")
    if len(name) > _MAX_NAME_LENGTH or len(target) > MAX_TARGET_LENGTH:
        raise ValueError(f"a token has room for {MAX_TARGET_LENGTH} characters of target, not for {len(target)}")
    party = _NO_PARTY if token.party is None or token.party >= _NO_PARTY else token.party
    head = bytes((_VERSION, token.key, ord(token.kind), party)) + token.item.to_bytes(2) + token.email.bytes
    lengths = len(name) * (MAX_TARGET_LENGTH + 1) + len(target)
    body = head + lengths.to_bytes(2) + name + target
    body = body.ljust(_length(len(name), len(target)) - _TAG_LENGTH, b"\0")
    text = base64.urlsafe_b64encode(body + _tag(body, secrets[token.key], token.organization)).rstrip(b"=").decode()
    return "/".join(text[at : at + SEGMENT_LENGTH] for at in range(0, len(text), SEGMENT_LENGTH))


def verify(path: str, secrets: Mapping[int, bytes], imported: LinkKeys = MappingProxyType({})) -> Token | None:
    """Return the token that `path` spells, or None for anything that neither we nor the deployment that an organization
    came from did sign, whatever it is. `imported` are the keys that organizations have brought along: key ids are each
    deployment's own, so that ours is tried first and then those that came under the same id.

    What other programs leave behind a token is passed over, and so is within it what no token has in it: four readings
    of a path are tried at most.
    """
    # What stands between a mail and its reader may encode the slashes, and front ends hand those on as they came.
    text = path[: 2 * MAX_TOKEN_LENGTH].replace("/", "")
    if "%" in text:
        text = text.replace("%2F", "").replace("%2f", "")
    token = _opened(text, secrets, imported)
    if token is not None or (strange := _STRANGE.search(text)) is None:
        return token
    # A mark that is left of an encoding may be no more than that, or stand with what follows for a character.
    without, decoded = (_STRANGE.sub("", one) for one in (text, _ENCODED.sub(_character, text)))
    for reading in dict.fromkeys((text[: strange.start()], without, decoded)):
        if (token := _opened(reading, secrets, imported)) is not None:
            return token
    return None


def _opened(text: str, secrets: Mapping[int, bytes], imported: LinkKeys) -> Token | None:
    """Return the token that a text begins with, None where it begins with none that was signed."""
    try:
        raw, start, middle, end = _taken_apart(text)
    except ValueError:
        return None
    body, tag, name = raw[:-_TAG_LENGTH], raw[-_TAG_LENGTH:], raw[start:middle]
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
        target=body[middle:end].decode("ascii"),
    )


def _taken_apart(text: str) -> tuple[bytes, int, int, int]:
    """Return the bytes of what has the form of a token and begins a text, with the places at which its name begins and
    ends and its target ends; raise ValueError where nothing has.
    """
    head = binascii.a2b_base64(_in_base64(text[:_HEAD_TEXT_LENGTH]))
    if len(head) < _HEAD_LENGTH:
        raise ValueError("it is cut")
    if head[0] == _VERSION:
        start = _HEAD_LENGTH
        name, target = divmod(int.from_bytes(head[start - 2 :]), MAX_TARGET_LENGTH + 1)
        length = _length(name, target)
        raw = _bytes(text[: (length * 4 + 2) // 3])
        if len(raw) != length:
            raise ValueError("it is cut")
    elif head[0] == _FIRST_VERSION and len(text) <= MAX_TOKEN_LENGTH:
        start, name = _FIRST_HEAD_LENGTH, head[_FIRST_HEAD_LENGTH - 1]
        raw = _bytes(text)
        target = len(raw) - start - name - _TAG_LENGTH
        if target < 0:
            raise ValueError("it is cut")
    else:
        raise ValueError("it is of no version")
    return raw, start, start + name, start + name + target


def _bytes(text: str) -> bytes:
    """Return what a text spells in base64url; of several spellings of one value only the one that we write is ours."""
    spelt = _in_base64(text)
    raw = binascii.a2b_base64(spelt + b"=" * (-len(spelt) % 4), strict_mode=True)
    if binascii.b2a_base64(raw, newline=False).rstrip(b"=") != spelt:
        raise ValueError("it is spelt in another way")
    return raw


def _in_base64(text: str) -> bytes:
    return text.encode("ascii").translate(_TO_BASE64)


def _length(name: int, target: int) -> int:
    """Return the bytes of a token: never a multiple of three, see above."""
    length = _HEAD_LENGTH + name + target + _TAG_LENGTH
    return length if length % 3 else length + 1


def _character(found: re.Match[str]) -> str:
    return chr(int(found[1], 16))


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
