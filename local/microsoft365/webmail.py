"""Web mail: what a recipient sees, small and safe.

A mail is shown in a sandboxed frame without scripts, in an origin of its own; images load, links open in a new tab or
save a file, as in any mail client, because that is what the product is about. Pages load nothing from elsewhere.
"""

import re
import sqlite3
from datetime import UTC, datetime
from html import escape, unescape
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from local.microsoft365.delivery import is_address
from local.microsoft365.errors import GraphError
from local.microsoft365.message_json import as_html, preview
from local.microsoft365.messages import Attachment, Message, arrived, attachments_of, content_of, find, find_attachment
from local.microsoft365.mime import media_type
from local.microsoft365.notifications import publish
from local.microsoft365.sharing import file_headers
from local.microsoft365.standin import standin_of
from local.microsoft365.world import reply

_PAGE_POLICY = (
    "default-src 'none'; style-src 'self'; frame-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_FRAME = "allow-downloads allow-popups allow-popups-to-escape-sandbox"
_BODY_POLICY = (
    "default-src 'none'; img-src http: https: data:; style-src 'unsafe-inline' http: https:; "
    "font-src http: https: data:; "
    f"media-src http: https:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'; sandbox {_FRAME}"
)
_BODY_STYLE = '<style>body{margin:1rem;font:15px/1.5 system-ui,"Segoe UI",sans-serif}</style>'
_STYLE = Path(__file__).with_name("webmail.css")


async def list_mailboxes(request: Request) -> Response:
    """GET /: every mailbox that something arrived in."""
    rows = standin_of(request).db.execute(
        "SELECT mailbox, count(*) AS total, sum(is_read = 0) AS unread, max(received) AS latest FROM messages "
        "WHERE arrived = 1 GROUP BY mailbox ORDER BY latest DESC"
    )
    entries = "".join(_mailbox_entry(row) for row in rows) or "<p class=empty>No mail has arrived yet.</p>"
    return _page("Mailboxes", f"<header><h1>Mailboxes</h1></header><main class=list>{entries}</main>")


async def list_mail(request: Request) -> Response:
    """GET /mail/{address}: what arrived there."""
    address = _address_of(request)
    messages = arrived(standin_of(request).db, address)
    entries = (
        "".join(_message_entry(message) for message in messages) or "<p class=empty>Nothing has arrived here yet.</p>"
    )
    head = f'<header><a class=back href="/">Mailboxes</a><h1>{escape(address)}</h1></header>'
    notice = "<p role=status class=notice>Your answer has been sent.</p>" if "sent" in request.query_params else ""
    return _page(address, f"{head}{notice}<main class=list>{entries}</main>")


async def show_mail(request: Request) -> Response:
    """GET /mail/{address}/{id}: one message, its files, and a form to answer it."""
    standin, message = standin_of(request), _message_of(request)
    with standin.db:
        _mark_read(standin.db, message)
    files = [attachment for attachment in attachments_of(standin.db, message) if not attachment.is_inline]
    subject = message.doc["subject"] or "(no subject)"
    place = _place(message)
    body = f"""<header><a class=back href="/mail/{_quoted(message.mailbox)}">{escape(message.mailbox)}</a>
<h1>{escape(subject)}</h1>{_envelope(message)}{_file_list(message, files)}</header>
<main><iframe title="Message" src="{place}/body" sandbox="{_FRAME}" referrerpolicy="no-referrer"></iframe>
<form method=post action="{place}"><label for=reply>Reply</label>
<textarea id=reply name=body rows=4 required placeholder="Write an answer"></textarea>
<button>Send</button></form></main>"""
    return _page(subject, body)


async def show_body(request: Request) -> Response:
    """GET /mail/{address}/{id}/body: the message's own HTML, for the frame."""
    message = _message_of(request)
    body = message.doc["body"]
    html = body["content"] if body["contentType"] == "html" else f"<pre>{as_html(body['content'])}</pre>"
    html = _with_inline_images(html, message, attachments_of(standin_of(request).db, message))
    headers = {
        "Content-Security-Policy": _BODY_POLICY,
        "Referrer-Policy": "no-referrer",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(f'<!doctype html><meta charset="utf-8"><base target="_blank">{_BODY_STYLE}{html}', 200, headers)


async def show_attachment(request: Request) -> Response:
    """GET an attachment: images of the mail to be shown, everything else to be saved."""
    db, message = standin_of(request).db, _message_of(request)
    attachment = find_attachment(db, message, request.path_params["attachment"])
    kind = attachment.content_type or "application/octet-stream"
    headers = file_headers(attachment.name, inline=kind.startswith("image/") and attachment.is_inline)
    return Response(content_of(db, attachment), 200, headers, media_type(kind))


async def answer_mail(request: Request) -> Response:
    """POST /mail/{address}/{id}: send a reply; only from our own page."""
    standin, message = standin_of(request), _message_of(request)
    origin = request.headers.get("origin", "")
    if urlsplit(origin).netloc != request.headers["host"]:
        raise GraphError(403, "accessDenied", "A reply is sent from the page of the message only.")
    async with request.form() as form:
        text = form.get("body")
    if not isinstance(text, str) or not text.strip():
        raise GraphError(400, "BadRequest", "A reply needs a text.")
    with standin.db:
        _, changes = reply(standin.db, message.mailbox, message, as_html(text), {})
    publish(standin, changes)
    return RedirectResponse(f"/mail/{_quoted(message.mailbox)}?sent=1", 303)


async def style(_: Request) -> Response:
    """GET the style sheet."""
    return Response(_STYLE.read_bytes(), media_type="text/css")


def _page(title: str, content: str) -> Response:
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/mail.css"></head><body>{content}</body></html>'
    )
    headers = {
        "Content-Security-Policy": _PAGE_POLICY,
        "Referrer-Policy": "same-origin",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return HTMLResponse(html, 200, headers)


def _mailbox_entry(row: sqlite3.Row) -> str:
    unread = f"<b class=badge>{row['unread']}</b>" if row["unread"] else ""
    latest = _when(row["latest"])
    return (
        f'<a class=entry href="/mail/{_quoted(row["mailbox"])}"><span class=who>{escape(row["mailbox"])}</span>'
        f"<span class=what>{row['total']} message{'s' * (row['total'] != 1)}</span>{unread}<time>{latest}</time></a>"
    )


def _message_entry(message: Message) -> str:
    sender = message.doc["from"]["emailAddress"]
    state = "" if message.doc["isRead"] else " unread"
    clip = " <span class=clip>with files</span>" if message.has_attachments else ""
    return (
        f'<a class="entry{state}" href="{_place(message)}">'
        f"<span class=who>{escape(sender.get('name') or sender['address'])}</span>"
        f"<span class=what><span class=subject>{escape(message.doc['subject'] or '(no subject)')}</span>{clip} "
        f"<span class=preview>{escape(preview(message.doc['body']))}</span></span>"
        f"<time>{_when(message.received)}</time></a>"
    )


def _envelope(message: Message) -> str:
    sender = message.doc["from"]["emailAddress"]
    name = escape(sender.get("name") or sender["address"])
    to = ", ".join(escape(recipient["emailAddress"]["address"]) for recipient in message.doc["toRecipients"])
    cc = ", ".join(escape(recipient["emailAddress"]["address"]) for recipient in message.doc["ccRecipients"])
    copies = f"<br>Cc: {cc}" if cc else ""
    return (
        f"<p class=envelope><b>{name}</b> &lt;{escape(sender['address'])}&gt; <time>{_when(message.sent)}</time>"
        f"<br>To: {to}{copies}</p>"
    )


def _file_list(message: Message, files: list[Attachment]) -> str:
    if not files:
        return ""
    links = "".join(
        f'<a class=file href="{_place(message)}/attachments/{quote(file.id, safe="")}" download>'
        f"{escape(file.name)} <small>{_size(file.size)}</small></a>"
        for file in files
    )
    return f"<p class=files>{links}</p>"


def _with_inline_images(html: str, message: Message, attachments: list[Attachment]) -> str:
    """Point `cid:` addresses (RFC 2392) at the attachments they name."""
    known = {attachment.content_id.strip("<>"): attachment for attachment in attachments if attachment.content_id}

    def place(match: re.Match[str]) -> str:
        attachment = known.get(unquote(unescape(match[2])))
        return (
            match[0]
            if attachment is None
            else f"{match[1]}{_place(message)}/attachments/{quote(attachment.id, safe='')}"
        )

    return re.sub(r"""(?i)(\b(?:src|background)\s*=\s*["']?|url\(["']?)cid:([^"'\s>)]+)""", place, html)


def _mark_read(db: sqlite3.Connection, message: Message) -> None:
    # A recipient looking at a mail is no change that subscribers are told of.
    db.execute(
        "UPDATE messages SET is_read = 1, doc = CAST(json_set(CAST(doc AS TEXT), '$.isRead', json('true')) AS BLOB) "
        "WHERE id = ? AND is_read = 0",
        (message.id,),
    )


def _message_of(request: Request) -> Message:
    return find(standin_of(request).db, _address_of(request), request.path_params["message"])


def _address_of(request: Request) -> str:
    address: str = request.path_params["address"]
    if not is_address(address):
        raise GraphError(404, "ErrorInvalidUser", f"'{address}' is not a mail address.")
    return address.casefold()


def _place(message: Message) -> str:
    return f"/mail/{_quoted(message.mailbox)}/{quote(message.id, safe='')}"


def _quoted(address: str) -> str:
    return quote(address, safe="@")


def _when(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%d %b %Y %H:%M")


def _size(count: int) -> str:
    return f"{count / 1_048_576:.1f} MB" if count >= 1_048_576 else f"{max(1, round(count / 1024))} KB"
