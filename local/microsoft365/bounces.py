"""Non-delivery reports: multipart/report with a delivery status (RFC 3462, RFC 3464), as Exchange writes them."""

import sqlite3
from datetime import UTC, datetime
from email.message import EmailMessage
from email.message import Message as MimeMessage
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText
from email.policy import SMTP
from email.utils import format_datetime
from html import escape

from local.microsoft365 import ids
from local.microsoft365.message_json import new_doc
from local.microsoft365.messages import Change, Message, address_in
from local.microsoft365.times import now
from local.microsoft365.world import send_from_outside

_POSTMASTER = "MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e"
_DIAGNOSIS = "550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found by SMTP address lookup"


def bounce(db: sqlite3.Connection, address: str, original: Message) -> tuple[Message, list[Change]]:
    """Return a message to its sender as undeliverable at an address; return the report that was sent."""
    sender = str(address_in(original.doc["from"]))
    domain = sender.partition("@")[2]
    postmaster = f"{_POSTMASTER}@{domain}"
    author = {"emailAddress": {"name": "Microsoft Outlook", "address": postmaster}}
    html = (
        f"<html><body><p>Your message to {escape(address)} couldn't be delivered.</p>"
        f"<p>{escape(address)} wasn't found at {escape(address.partition('@')[2])}.</p></body></html>"
    )
    report = _report(original, address, postmaster, sender, html)
    doc = new_doc({}, author, domain) | {
        "subject": str(report["Subject"]),
        "body": {"contentType": "html", "content": html},
        "toRecipients": [original.doc["from"]],
        "internetMessageId": str(report["Message-ID"]),
        "internetMessageHeaders": [
            {"name": name, "value": " ".join(str(value).split())} for name, value in report.items()
        ],
    }
    return send_from_outside(db, postmaster, doc, report.as_bytes(policy=SMTP))


def _report(original: Message, address: str, postmaster: str, sender: str, html: str) -> MIMEMultipart:
    report = MIMEMultipart("report", boundary=f"_000_{ids.new_guid()}_", report_type="delivery-status")
    answered = str(original.doc["internetMessageId"])
    headers = {
        "From": f'"Microsoft Outlook" <{postmaster}>',
        "To": sender,
        "Date": format_datetime(datetime.fromtimestamp(int(now()), UTC)),
        "Subject": " ".join(f"Undeliverable: {original.doc['subject'] or ''}".split()),
        "Message-ID": ids.new_internet_message_id(sender.partition("@")[2]),
        "In-Reply-To": answered,
        "References": answered,
        "Auto-Submitted": "auto-replied",
        "X-MS-Exchange-Message-Is-Ndr": "1",
        "Content-Language": "en-US",
    }
    for name, value in headers.items():
        report[name] = value
    # Spelled and folded as Exchange does it, without the quotes that the library would set around the report type.
    content_type = f'multipart/report; report-type=delivery-status;\r\n boundary="{report.get_boundary()}"'
    report.replace_header("Content-Type", content_type)
    report.attach(MIMEText(html, "html", "utf-8"))
    report.attach(_delivery_status(address))
    report.attach(MIMEMessage(_returned(original), "rfc822"))
    return report


def _delivery_status(address: str) -> MimeMessage:
    """Return the machine-readable part (RFC 3464 section 2): a block about the message, a block about the recipient."""
    about_message, about_recipient = MimeMessage(policy=SMTP), MimeMessage(policy=SMTP)
    about_message["Reporting-MTA"] = "dns;mail.stand-in.invalid"
    about_message["Arrival-Date"] = format_datetime(datetime.fromtimestamp(int(now()), UTC))
    about_recipient["Final-Recipient"] = f"rfc822;{address}"
    about_recipient["Action"] = "failed"
    about_recipient["Status"] = "5.1.10"
    about_recipient["Diagnostic-Code"] = f"smtp;{_DIAGNOSIS}"
    status = MimeMessage(policy=SMTP)
    status["Content-Type"] = "message/delivery-status"
    status.set_payload([about_message, about_recipient])
    return status


def _returned(original: Message) -> EmailMessage:
    returned = EmailMessage(policy=SMTP)
    for header in original.doc.get("internetMessageHeaders", []):
        if header["name"].casefold() in {"from", "to", "subject", "date", "message-id", "in-reply-to", "references"}:
            returned[header["name"]] = " ".join(header["value"].split())
    returned.set_content(original.doc["body"]["content"], subtype="html")
    return returned
