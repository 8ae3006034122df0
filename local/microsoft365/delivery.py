"""Sending: a draft becomes a sent message, and every recipient in the world gets a copy.

Any address has a mailbox. A copy is what arrives: the headers of RFC 5322 are there, Bcc is not.
"""

import re
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

from local.microsoft365 import ids
from local.microsoft365.errors import GraphError, bad_request
from local.microsoft365.filters import property_key
from local.microsoft365.messages import (
    Change,
    Message,
    address_in,
    attachments_of,
    copy_attachments,
    find_by_internet_id,
    move,
    new_message,
    save,
)
from local.microsoft365.times import now

LARGEST_MESSAGE = 35 * 1024 * 1024
"""Exchange Online's default limit for a whole message as sent, in bytes."""

_IN_REPLY_TO = property_key("String 0x1042")
_REFERENCES = property_key("String 0x1039")
_MESSAGE_ID = re.compile(r"<[^<>\s]+>")


def send(db: sqlite3.Connection, draft: Message, *, keep: bool = True) -> list[Change]:
    """Send a draft: into Sent Items under the same immutable id, and a copy to every recipient.

    Raises GraphError when it has no valid recipient, speaks for another mailbox, or is too large.
    """
    _check(db, draft)
    moment = now()
    doc = draft.doc | {"internetMessageHeaders": transport_headers(draft.doc, moment)}
    sent = replace(draft, doc=doc, is_draft=False, sent=moment, received=moment)
    changes: list[Change] = []
    for address in recipients_of(doc):
        _, arrival = deliver(db, sent, address, attachments_from=draft)
        changes += arrival
    # Exchange shows the transport headers on what arrived, not on the sender's own copy.
    kept = [header for header in doc["internetMessageHeaders"] if header["name"].casefold().startswith("x-")]
    filed, filing = move(db, replace(sent, doc=doc | {"internetMessageHeaders": kept, "isRead": True}), "sentitems")
    if not keep:
        _, disposal = move(db, filed, "deleteditems")
        filing += disposal
    return filing + changes


def deliver(
    db: sqlite3.Connection, sent: Message, address: str, attachments_from: Message | None = None
) -> tuple[Message, list[Change]]:
    """Put a copy of a sent message (with its transport headers) into an address's Inbox, in the right conversation."""
    mailbox = address.casefold()
    doc = {
        name: value
        for name, value in sent.doc.items()
        if name not in {"singleValueExtendedProperties", "categories", "flag"}
    }
    conversation = conversation_for(db, mailbox, doc)
    doc |= {
        "bccRecipients": [],
        "categories": [],
        "flag": {"flagStatus": "notFlagged"},
        "isRead": False,
        "conversationId": conversation,
        "conversationIndex": ids.conversation_index(conversation),
    }
    copy = replace(
        new_message(mailbox, "inbox", doc, is_draft=False, arrived=True), sent=sent.sent, received=now(), mime=sent.mime
    )
    if attachments_from is not None:
        copy_attachments(db, attachments_from, copy)
    stored = save(db, copy)
    return stored, [Change(stored, "created")]


def recipients_of(doc: dict[str, Any]) -> list[str]:
    """Return the addresses a message goes to, each once, in lower case."""
    everybody = [*doc["toRecipients"], *doc["ccRecipients"], *doc["bccRecipients"]]
    return list(dict.fromkeys(str(address_in(recipient)).casefold() for recipient in everybody))


def transport_headers(doc: dict[str, Any], moment: float) -> list[dict[str, str]]:
    """Return the headers a message travels with (RFC 5322 section 3.6), the sender's own `x-` headers last."""
    extended = {property_key(p["id"]): p["value"] for p in doc.get("singleValueExtendedProperties", [])}
    headers = {
        "From": _mailboxes([doc["from"]]),
        "To": _mailboxes(doc["toRecipients"]),
        "Cc": _mailboxes(doc["ccRecipients"]),
        "Reply-To": _mailboxes(doc["replyTo"]),
        "Subject": doc["subject"] or "",
        "Thread-Topic": doc["subject"] or "",
        "Thread-Index": doc["conversationIndex"],
        "Date": format_datetime(datetime.fromtimestamp(int(moment), UTC)),
        "Message-ID": doc["internetMessageId"],
        "References": extended.get(_REFERENCES, ""),
        "In-Reply-To": extended.get(_IN_REPLY_TO, ""),
        "MIME-Version": "1.0",
    }
    present = [{"name": name, "value": value} for name, value in headers.items() if value or name == "Subject"]
    return present + list(doc.get("internetMessageHeaders", []))


def header(doc: dict[str, Any], name: str) -> str:
    """Return the value of a header of a message (any case), or an empty text."""
    for entry in doc.get("internetMessageHeaders", []):
        if entry["name"].casefold() == name.casefold():
            return str(entry["value"])
    return ""


def conversation_for(db: sqlite3.Connection, mailbox: str, doc: dict[str, Any]) -> str:
    """Return the conversation a message joins in a mailbox: that of what it answers, or a new one.

    What it answers is named by In-Reply-To and References (RFC 5322 section 3.6.4), the nearest first. A message the
    mailbox sent to itself joins its own conversation.
    """
    named = _MESSAGE_ID.findall(header(doc, "In-Reply-To")) + _MESSAGE_ID.findall(header(doc, "References"))[::-1]
    for message_id in [doc["internetMessageId"], *named]:
        known = find_by_internet_id(db, mailbox, message_id)
        if known is not None:
            return str(known.doc["conversationId"])
    return ids.new_conversation_id()


def is_address(text: str) -> bool:
    """Return whether a text can be a mail address."""
    return re.fullmatch(r"[^@\s<>,;]+@[^@\s<>,;]+", text) is not None and text.isprintable()


def _check(db: sqlite3.Connection, draft: Message) -> None:
    if not draft.is_draft:
        raise bad_request("The message has been sent already.", "ErrorInvalidOperation")
    addresses = recipients_of(draft.doc)
    if not addresses:
        raise bad_request("At least one recipient is not specified.", "ErrorInvalidRecipients")
    wrong = [address for address in addresses if not is_address(address)]
    if wrong:
        raise bad_request(f"At least one recipient isn't valid: '{wrong[0]}'.", "ErrorInvalidRecipients")
    if (address_in(draft.doc["from"]) or "").casefold() != draft.mailbox:
        raise GraphError(
            403,
            "ErrorSendAsDenied",
            "The user account which was used to submit this request does not have the right to "
            "send mail on behalf of the specified sending account.",
        )
    if size_as_sent(db, draft) > LARGEST_MESSAGE:
        raise GraphError(413, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.")


def size_as_sent(db: sqlite3.Connection, message: Message) -> int:
    """Return the bytes of a message on the wire: its body, and its attachments in base64 lines of 76 characters."""
    encoded = sum(-(-attachment.size // 57) * 78 for attachment in attachments_of(db, message))
    return len(message.doc["body"]["content"].encode()) + encoded


def _mailboxes(recipients: list[dict[str, Any]]) -> str:
    shown = []
    for recipient in recipients:
        address, name = address_in(recipient), recipient["emailAddress"].get("name") or ""
        quoted = name.replace("\\", "\\\\").replace('"', '\\"')
        shown.append(f'"{quoted}" <{address}>' if name and name != address else str(address))
    return ", ".join(shown)
