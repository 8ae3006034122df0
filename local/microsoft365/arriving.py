"""A message that others wrote, whole, as it arrives: what Exchange shows of it, and its text untouched."""

import sqlite3
from email.errors import HeaderParseError
from email.header import decode_header, make_header
from email.message import EmailMessage
from email.message import Message as MimeMessage
from email.parser import BytesHeaderParser, BytesParser
from email.policy import compat32, default
from email.utils import getaddresses
from itertools import islice
from typing import Any

from local.microsoft365.delivery import is_address
from local.microsoft365.message_json import new_doc
from local.microsoft365.messages import Change, Message
from local.microsoft365.world import send_from_outside

LARGEST_PARSED = 256 * 1024
"""Bytes up to which a text is looked for among a message's parts; of a larger one its source is shown."""
MAX_HEADERS = 1000
"""Headers of a message that are shown."""
_LONGEST_HEADER = 32 * 1024
"""Characters of a header that are shown; Exchange cuts them too."""


def arrive(db: sqlite3.Connection, address: str, original: Message, mime: bytes) -> tuple[Message, list[Change]]:
    """Let a whole message arrive at whoever sent `original`, from an address, and return what was sent.

    Author, subject, Message-ID and every other header are the message's own, whatever they say.
    """
    header: MimeMessage = BytesHeaderParser(policy=compat32).parsebytes(mime)
    fields = [(name, _unfolded(value)) for name, value in islice(header.items(), MAX_HEADERS)]
    first = {name.casefold(): value for name, value in reversed(fields)}
    author = {"emailAddress": _party(first.get("from", ""))}
    doc = new_doc({}, author, address.partition("@")[2])
    doc |= {
        "sender": {"emailAddress": _party(first["sender"])} if "sender" in first else author,
        "subject": _decoded(first.get("subject", "")),
        "body": _body(mime),
        "toRecipients": [original.doc["from"]],
        "internetMessageHeaders": [{"name": name, "value": value} for name, value in fields],
    }
    if first.get("message-id"):
        doc["internetMessageId"] = first["message-id"].strip()
    return send_from_outside(db, address, doc, mime)


def _unfolded(value: object) -> str:
    text = str(value)[:_LONGEST_HEADER]
    return text.replace("\r", "").replace("\n", "").strip()


def _party(value: str) -> dict[str, str]:
    """Return a header's first mailbox as Graph shows it; a name without an address keeps its place."""
    name, address = (getaddresses([value[:1000]], strict=False) or [("", "")])[0]
    address = address if is_address(address) else ""
    return {"name": _decoded(name) or address or _decoded(value[:1000]), "address": address}


def _decoded(value: str) -> str:
    try:
        return str(make_header(decode_header(value[:1000])))
    except (HeaderParseError, LookupError, ValueError):
        return value


def _body(mime: bytes) -> dict[str, Any]:
    if len(mime) > LARGEST_PARSED:
        return {"contentType": "text", "content": mime[:LARGEST_PARSED].decode("utf-8", "replace")}
    try:
        message = BytesParser(EmailMessage, policy=default).parsebytes(mime)
        part = message.get_body(("html", "plain"))
        content = str(part.get_content()) if part is not None else ""
    except (LookupError, ValueError, KeyError, RecursionError, AttributeError):
        return {"contentType": "text", "content": mime.decode("utf-8", "replace")}
    kind = "html" if part is not None and part.get_content_subtype() == "html" else "text"
    return {"contentType": kind, "content": content}
