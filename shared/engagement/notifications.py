"""What Microsoft Graph posts to us about mailboxes: whether it is Graph's, and which mailbox and message it is about.

Anybody can post; what makes a notification Graph's is the ``clientState`` that we gave with the subscription: the
mailbox it is for, signed with a key derived from the token secrets, so that nothing secret is stored.
Source: learn.microsoft.com/graph/change-notifications-delivery-webhooks, .../change-notifications-lifecycle-events.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from shared.engagement.tokens import derive_key

MAX_BODY = 1024 * 1024
"""Bytes of a notification's body beyond which it is refused unread; Graph's are some hundred bytes a message."""
MAX_NOTIFICATIONS = 2000
"""Notifications of one body that are looked at; of Graph's no more fit into it."""
MAX_VALUES = 50_000
"""Braces, brackets and commas of a body beyond which it is refused unread: more than twice what the largest of Graph's
own has, and few enough to be read in an instant."""
MAX_CLIENT_STATE = 128
"""Characters that Graph takes for a client state."""
MAX_ID = 512

_STATE = re.compile(r"(\d{1,3})\.([a-z][a-z0-9]{2,30})\.([0-9a-zA-Z-]{1,64})\.([A-Za-z0-9_-]{22})", re.ASCII)


@dataclass(frozen=True, slots=True)
class Notification:
    """A notification that is Graph's: of a message (`message`, its immutable id) or of its subscription (`event`)."""

    organization: str
    mailbox: str
    message: str = ""
    event: str = ""
    subscription: str = ""


def client_state(organization: str, mailbox: str, key: int, secrets: Mapping[int, bytes]) -> str:
    """Return the client state of a mailbox's subscription, under the secret with the id `key`."""
    named = f"{key}.{organization}.{mailbox}"
    return f"{named}.{_tag(named, organization, secrets[key])}"


def read_client_state(text: str, secrets: Mapping[int, bytes]) -> tuple[str, str] | None:
    """Return the organization and mailbox of a client state, or None for anything that we did not sign."""
    found = _STATE.fullmatch(text) if len(text) <= MAX_CLIENT_STATE else None
    secret = secrets.get(int(found[1])) if found else None
    if found is None or secret is None:
        return None
    genuine = _tag(text.rpartition(".")[0], found[2], secret)
    return (found[2], found[3]) if hmac.compare_digest(genuine, found[4]) else None


def read_notifications(body: bytes, secrets: Mapping[int, bytes]) -> tuple[list[Notification], int]:
    """Return the distinct notifications of a body that are Graph's, in order, and how many are not.

    What stands beyond `MAX_NOTIFICATIONS` is not. Raises ValueError where the body is no collection of notifications,
    or of more than anybody has to tell.
    """
    if sum(map(body.count, (b"{", b"[", b","))) > MAX_VALUES:
        raise ValueError(f"a collection of notifications has at most {MAX_VALUES:,} braces, brackets and commas")
    collection = orjson.loads(body)
    entries = collection.get("value") if isinstance(collection, dict) else None
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise ValueError('a collection of notifications is needed: {"value": [{..}, ..]}')
    read = [_read(entry, secrets) for entry in entries[:MAX_NOTIFICATIONS]]
    genuine = [notification for notification in read if notification is not None]
    return list(dict.fromkeys(genuine)), len(entries) - len(genuine)


def _read(entry: Mapping[str, Any], secrets: Mapping[int, bytes]) -> Notification | None:
    mailbox = read_client_state(_text(entry.get("clientState")), secrets)
    if mailbox is None:
        return None
    data = entry.get("resourceData")
    message = _text(data.get("id"))[:MAX_ID] if isinstance(data, dict) else ""
    event = _text(entry.get("lifecycleEvent"))[:MAX_ID]
    # Which subscription it was matters for what happened to it; a message is one, whoever tells of it.
    return Notification(*mailbox, message, event, _text(entry.get("subscriptionId"))[:MAX_ID] if event else "")


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _tag(named: str, organization: str, secret: bytes) -> str:
    key = derive_key(secret, organization, "notifications")
    return base64.urlsafe_b64encode(hmac.digest(key, named.encode(), hashlib.sha256)[:16]).rstrip(b"=").decode()
