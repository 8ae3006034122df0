"""The outside world: people who answer mail.

What they send is real mail: a reply names what it answers (RFC 5322 section 3.6.4) and quotes it.
"""

import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime, getaddresses
from html import escape
from typing import Any

from local.directory import find_person
from local.microsoft365 import ids
from local.microsoft365.delivery import deliver, header, is_address, recipients_of, transport_headers
from local.microsoft365.errors import bad_request
from local.microsoft365.message_json import as_html, new_doc
from local.microsoft365.messages import Change, Message, address_in, find, find_by_internet_id, new_message, save
from local.microsoft365.times import now


def find_received(db: sqlite3.Connection, address: str, message_id: str) -> Message:
    """Return a message in a mailbox by its `id` or `internetMessageId`; raise GraphError (404)."""
    by_internet_id = find_by_internet_id(db, address.casefold(), message_id)
    if by_internet_id is not None:
        return by_internet_id
    return find(db, address.casefold(), message_id)


def reply(
    db: sqlite3.Connection, address: str, original: Message, html: str, overrides: dict[str, str | None]
) -> tuple[Message, list[Change]]:
    """Answer a message from an address and return the sent reply.

    `html` is what the person writes above the quoted history. `overrides` replace headers (None takes one away): with
    another In-Reply-To the References follow it unless they are overridden too.
    """
    person = find_person(address)
    author = {"emailAddress": {"name": person[1].name if person else address, "address": address}}
    doc = _without_overridden(new_doc({}, author, address.partition("@")[2]), overrides)
    subject = original.doc["subject"] or ""
    doc |= {
        "subject": overrides.get("subject") or (subject if subject[:3].casefold() == "re:" else f"Re: {subject}"),
        "body": {"contentType": "html", "content": _quoted(html, original)},
        "uniqueBody": {"contentType": "html", "content": f"<html><body><div>{html}</div></body></html>"},
        "toRecipients": original.doc["replyTo"] or [original.doc["from"]],
        "conversationId": original.doc["conversationId"],
        "conversationIndex": original.doc["conversationIndex"],
    }
    doc["toRecipients"] = _recipients(overrides.get("to")) or doc["toRecipients"]
    doc["ccRecipients"] = _recipients(overrides.get("cc"))
    doc["internetMessageHeaders"] = _reply_headers(doc, original, overrides)
    return send_from_outside(db, address, doc)


def send_from_outside(
    db: sqlite3.Connection, address: str, doc: dict[str, Any], mime: bytes | None = None
) -> tuple[Message, list[Change]]:
    """Send a message with its transport headers from any address; return the sender's copy. Raises GraphError."""
    mailbox = address.casefold()
    recipients = recipients_of(doc)
    if not recipients or not all(is_address(recipient) for recipient in recipients):
        raise bad_request("The message names nobody it could be answered to.", "ErrorInvalidRecipients")
    if find_by_internet_id(db, mailbox, doc["internetMessageId"]) is not None:
        doc["internetMessageId"] = ids.new_internet_message_id(mailbox.partition("@")[2])
    sent = replace(new_message(mailbox, "sentitems", doc, is_draft=False), mime=mime)
    changes: list[Change] = []
    for recipient in recipients:
        _, arrival = deliver(db, sent, recipient)
        changes += arrival
    filed = save(db, sent)
    return filed, [Change(filed, "created"), *changes]


def _quoted(html: str, original: Message) -> str:
    doc = original.doc
    sender = doc["from"]["emailAddress"]
    receivers = "; ".join(escape(str(address_in(recipient))) for recipient in doc["toRecipients"])
    sent = format_datetime(datetime.fromtimestamp(int(original.sent), UTC))
    history = doc["body"]["content"] if doc["body"]["contentType"] == "html" else as_html(doc["body"]["content"])
    return (
        f'<html><body><div>{html}</div><hr style="display:inline-block;width:98%"><div id="divRplyFwdMsg" dir="ltr">'
        f"<b>From:</b> {escape(sender.get('name') or '')} &lt;{escape(sender['address'])}&gt;<br>"
        f"<b>Sent:</b> {sent}<br>"
        f"<b>To:</b> {receivers}<br><b>Subject:</b> {escape(doc['subject'] or '')}</div>"
        f"<div>{history}</div></body></html>"
    )


def _without_overridden(doc: dict[str, Any], overrides: dict[str, str | None]) -> dict[str, Any]:
    author = getaddresses([overrides.get("from") or ""])[0]
    if is_address(author[1]):
        doc["from"] = doc["sender"] = {"emailAddress": {"name": author[0] or author[1], "address": author[1]}}
    if overrides.get("message-id"):
        doc["internetMessageId"] = overrides["message-id"]
    return doc


def _recipients(text: str | None) -> list[dict[str, Any]]:
    found = getaddresses([text or ""])
    return [
        {"emailAddress": {"name": name or address, "address": address}}
        for name, address in found
        if is_address(address)
    ]


def _reply_headers(doc: dict[str, Any], original: Message, overrides: dict[str, str | None]) -> list[dict[str, str]]:
    answered = original.doc["internetMessageId"]
    thread = {
        "In-Reply-To": answered,
        "References": " ".join(filter(None, [header(original.doc, "References"), answered])),
    }
    if "in-reply-to" in overrides:
        thread["References"] = overrides["in-reply-to"] or ""
    written = transport_headers(doc, now()) + [
        {"name": name, "value": value} for name, value in thread.items() if value
    ]
    kept = [entry for entry in written if entry["name"].casefold() not in overrides]
    return kept + [{"name": _spelled(name), "value": value} for name, value in overrides.items() if value is not None]


def _spelled(name: str) -> str:
    known = {"message-id": "Message-ID", "mime-version": "MIME-Version"}
    return known.get(name, "-".join(part.capitalize() for part in name.split("-")))
