"""A message as MIME (RFC 2045, RFC 5322), built with the standard library's `email` package."""

import re
import sqlite3
from email.message import EmailMessage
from email.policy import SMTP

from local.microsoft365.delivery import transport_headers
from local.microsoft365.messages import Message, attachments_of, content_of

_OWN = frozenset({"content-type", "content-transfer-encoding", "mime-version"})


def as_mime(db: sqlite3.Connection, message: Message) -> bytes:
    """Return a message with its attachments as bytes; the original ones where they were kept."""
    if message.mime is not None:
        return message.mime
    doc = message.doc
    mail = EmailMessage(policy=SMTP)
    headers = doc.get("internetMessageHeaders", [])
    for header in headers if message.arrived else transport_headers(doc, message.sent):
        if header["name"].casefold() not in _OWN:
            mail[header["name"]] = _one_line(str(header["value"]))
    mail.set_content(doc["body"]["content"], subtype="html" if doc["body"]["contentType"] == "html" else "plain")
    for attachment in attachments_of(db, message):
        kind, _, subtype = media_type(attachment.content_type).partition(";")[0].partition("/")
        if kind in {"multipart", "message", "text"}:
            # The library would parse or recode these; a file's bytes are nobody's business.
            kind, subtype = "application", "octet-stream"
        content_id = f"<{_one_line(attachment.content_id)}>" if attachment.content_id else None
        mail.add_attachment(
            content_of(db, attachment),
            maintype=kind,
            subtype=subtype,
            filename=_one_line(attachment.name),
            disposition="inline" if attachment.is_inline else "attachment",
            cid=content_id,
        )
    return mail.as_bytes()


def media_type(declared: str | None) -> str:
    """Return a declared media type when it is one (RFC 9110 section 8.3.1), or else that of unknown bytes."""
    if declared is not None and re.fullmatch(r"[\w.+-]+/[\w.+-]+(;[ -~]*)?", declared, re.ASCII):
        return declared
    return "application/octet-stream"


def _one_line(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)
