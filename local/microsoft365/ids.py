"""Identifiers shaped like Microsoft 365's own, so that nobody builds on prettier ones.

Message ids: a mailbox gives a message an immutable id for life; the default id is another one and changes when the
message moves (https://learn.microsoft.com/graph/outlook-immutable-id). Conversation ids are standard base64 and contain
`/`.
"""

import base64
import hashlib
import re
import secrets
import uuid

_DEFAULT_PREFIX = "AAMkA"
_IMMUTABLE_PREFIX = "AAkAL"


def new_message_id() -> str:
    """Return a fresh immutable message id."""
    return _IMMUTABLE_PREFIX + base64.urlsafe_b64encode(secrets.token_bytes(43)).decode("ascii")


def default_message_id(immutable_id: str, moves: int) -> str:
    """Return the id a message has without `Prefer: IdType="ImmutableId"`, after so many moves between folders."""
    core = immutable_id.removeprefix(_IMMUTABLE_PREFIX).rstrip("=")
    return f"{_DEFAULT_PREFIX}{core}{moves:04d}="


def message_id_candidates(message_id: str) -> tuple[str, int | None]:
    """Return the immutable id that a given id stands for, and the number of moves it was valid for (None: all)."""
    match = re.fullmatch(_DEFAULT_PREFIX + r"(.+)(\d{4})=", message_id)
    if match is None:
        return message_id, None
    core = match[1]
    return _IMMUTABLE_PREFIX + core + "=" * (-len(core) % 4), int(match[2])


def new_attachment_id() -> str:
    """Return a fresh attachment id."""
    return "AAMkAttach" + base64.urlsafe_b64encode(secrets.token_bytes(30)).decode("ascii")


def new_conversation_id() -> str:
    """Return a fresh conversation id; it contains a slash, as real ones may."""
    return "AAQk" + base64.b64encode(secrets.token_bytes(15)).decode("ascii") + "/" + secrets.token_hex(8) + "A="


def conversation_index(conversation_id: str) -> str:
    """Return a conversation index (22 bytes in base64, [MS-OXOMSG] 2.2.1.3) that belongs to the conversation."""
    digest = hashlib.sha256(conversation_id.encode()).digest()[:21]
    return base64.b64encode(b"\x01" + digest).decode("ascii")


def new_internet_message_id(domain: str) -> str:
    """Return a fresh Message-ID (RFC 5322 section 3.6.4) in angle brackets."""
    return f"<{secrets.token_hex(16).upper()}@{domain}>"


def drive_id(address: str) -> str:
    """Return the id of a person's OneDrive."""
    digest = hashlib.sha256(address.encode()).digest()
    return "b!" + base64.urlsafe_b64encode(digest).decode("ascii").rstrip("=")


def new_drive_item_id() -> str:
    """Return a fresh drive item id."""
    return "01" + base64.b32encode(secrets.token_bytes(20)).decode("ascii")


def new_guid() -> str:
    """Return a fresh GUID in lower case."""
    return str(uuid.uuid4())


def new_secret() -> str:
    """Return 128 random bits for an address that is its own authorization."""
    return secrets.token_urlsafe(16)


def folder_id(address: str, name: str) -> str:
    """Return the id of a mailbox's well-known folder."""
    digest = hashlib.sha256(f"{address}/{name}".encode()).digest()
    return "AQMkA" + base64.urlsafe_b64encode(digest).decode("ascii")
