"""A message as MIME (RFC 2045, RFC 5322), built with the standard library's `email` package."""

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
            mail[header["name"]] = " ".join(str(header["value"]).splitlines())
    mail.set_content(doc["body"]["content"], subtype="html" if doc["body"]["contentType"] == "html" else "plain")
    for attachment in attachments_of(db, message):
        kind, _, subtype = (attachment.content_type or "application/octet-stream").partition(";")[0].partition("/")
        content_id = f"<{attachment.content_id}>" if attachment.content_id else None
        mail.add_attachment(
            content_of(db, attachment),
            maintype=kind if subtype and kind not in {"multipart", "message"} else "application",
            subtype=subtype if subtype and kind not in {"multipart", "message"} else "octet-stream",
            filename=attachment.name,
            disposition="inline" if attachment.is_inline else "attachment",
            cid=content_id,
        )
    return mail.as_bytes()
