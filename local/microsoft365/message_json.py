"""Messages as Graph writes and reads them: properties out, properties in.

Source: https://learn.microsoft.com/graph/api/resources/message.
"""

import base64
import re
import sqlite3
from html import escape, unescape
from typing import Any
from urllib.parse import quote

from local.microsoft365 import ids
from local.microsoft365.errors import bad_request
from local.microsoft365.filters import property_key
from local.microsoft365.messages import Attachment, Message, attachments_of, content_of
from local.microsoft365.times import stamp

_RECIPIENT_LISTS = ("toRecipients", "ccRecipients", "bccRecipients", "replyTo")
_READ_ONLY = frozenset(
    {
        "id",
        "changeKey",
        "createdDateTime",
        "lastModifiedDateTime",
        "receivedDateTime",
        "sentDateTime",
        "hasAttachments",
        "bodyPreview",
        "isDraft",
        "parentFolderId",
        "conversationId",
        "conversationIndex",
        "uniqueBody",
        "webLink",
        "extensions",
        "multiValueExtendedProperties",
    }
)
_BOOLEANS = frozenset({"isRead", "isDeliveryReceiptRequested", "isReadReceiptRequested"})
_CHOICES = {
    "importance": ("low", "normal", "high"),
    "inferenceClassification": ("focused", "other"),
}
_DEFAULT_HIDDEN = frozenset({"internetMessageHeaders", "uniqueBody"})
EDITABLE_AFTER_SENDING = frozenset(
    {"isRead", "categories", "flag", "importance", "inferenceClassification", "singleValueExtendedProperties"}
)


def read_properties(body: dict[str, Any]) -> dict[str, Any]:
    """Return the writable message properties of a request body, checked; raise GraphError naming the culprit.

    Read-only properties are ignored as Graph ignores them; `attachments` is left for the caller.
    """
    properties: dict[str, Any] = {}
    for name, value in body.items():
        if "@" in name or name in _READ_ONLY or name == "attachments":
            continue
        properties[name] = _read(name, value)
    return properties


def new_doc(properties: dict[str, Any], owner: dict[str, Any], domain: str) -> dict[str, Any]:
    """Return the stored properties of a new draft: what the client gave, and what Exchange assigns."""
    conversation = ids.new_conversation_id()
    return {
        "subject": "",
        "body": {"contentType": "text", "content": ""},
        "toRecipients": [],
        "ccRecipients": [],
        "bccRecipients": [],
        "replyTo": [],
        "from": owner,
        "sender": owner,
        "importance": "normal",
        "categories": [],
        "flag": {"flagStatus": "notFlagged"},
        "isRead": True,
        "isDeliveryReceiptRequested": False,
        "isReadReceiptRequested": False,
        "inferenceClassification": "focused",
        "conversationId": conversation,
        "conversationIndex": ids.conversation_index(conversation),
        "internetMessageId": ids.new_internet_message_id(domain),
    } | {name: value for name, value in properties.items() if value is not None}


def merge_properties(doc: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    """Return the stored properties after a PATCH; extended properties are merged one by one."""
    merged = doc | properties
    if "singleValueExtendedProperties" in properties:
        kept = {property_key(p["id"]): p for p in doc.get("singleValueExtendedProperties", [])}
        kept |= {property_key(p["id"]): p for p in properties["singleValueExtendedProperties"]}
        merged["singleValueExtendedProperties"] = list(kept.values())
    return merged


def message_json(
    message: Message, base_url: str, *, immutable: bool, select: frozenset[str] | None = None, as_text: bool = False
) -> dict[str, Any]:
    """Return a message as Graph shows it; headers and the unique body only when selected."""
    doc = message.doc
    seen = message.seen_id(immutable)
    etag = change_key(message)
    properties: dict[str, Any] = {
        "id": seen,
        "createdDateTime": stamp(message.created),
        "lastModifiedDateTime": stamp(message.modified),
        "changeKey": etag,
        "receivedDateTime": stamp(message.received),
        "sentDateTime": stamp(message.sent),
        "hasAttachments": message.has_attachments,
        "isDraft": message.is_draft,
        "parentFolderId": ids.folder_id(message.mailbox, message.folder),
        "webLink": f"{base_url}/mail/{quote(message.mailbox, safe='@')}/{quote(message.id, safe='')}",
        "bodyPreview": preview(doc["body"]),
        "uniqueBody": doc.get("uniqueBody", doc["body"]),
        **{name: value for name, value in doc.items() if name not in {"singleValueExtendedProperties", "uniqueBody"}},
    }
    if as_text:
        for name in ("body", "uniqueBody"):
            properties[name] = {"contentType": "text", "content": as_plain_text(properties[name])}
    shown = properties.keys() - _DEFAULT_HIDDEN if select is None else properties.keys() & (select | {"id"})
    return {"@odata.etag": f'W/"{etag}"', **{name: value for name, value in properties.items() if name in shown}}


def change_key(message: Message) -> str:
    """Return the change key of a message's present version."""
    return "CQAAAB" + base64.b64encode(message.version.to_bytes(8)).decode("ascii")


def extended_properties(message: Message, wanted: frozenset[str]) -> list[dict[str, str]]:
    """Return the extended properties with the wanted keys."""
    properties: list[dict[str, str]] = message.doc.get("singleValueExtendedProperties", [])
    return [p for p in properties if property_key(p["id"]) in wanted]


def attachment_json(
    db: sqlite3.Connection, attachment: Attachment, select: frozenset[str] | None = None
) -> dict[str, Any]:
    """Return a file attachment as Graph shows it, content and all unless not selected."""
    properties: dict[str, Any] = {
        "id": attachment.id,
        "lastModifiedDateTime": stamp(attachment.modified),
        "name": attachment.name,
        "contentType": attachment.content_type,
        "size": attachment.size,
        "isInline": attachment.is_inline,
        "contentId": attachment.content_id,
        "contentLocation": attachment.content_location,
    }
    if select is None or "contentBytes" in select:
        properties["contentBytes"] = base64.b64encode(content_of(db, attachment)).decode("ascii")
    shown = properties if select is None else {k: v for k, v in properties.items() if k in select | {"id"}}
    return {
        "@odata.type": "#microsoft.graph.fileAttachment",
        "@odata.mediaContentType": attachment.content_type,
        **shown,
    }


def attachments_json(db: sqlite3.Connection, message: Message) -> list[dict[str, Any]]:
    """Return a message's attachments as Graph shows them."""
    return [attachment_json(db, attachment) for attachment in attachments_of(db, message)]


def read_attachment(body: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    """Return the properties and the bytes of a file attachment in a request; raise GraphError naming the culprit."""
    if body.get("@odata.type") != "#microsoft.graph.fileAttachment":
        raise bad_request(
            f"'@odata.type' must be '#microsoft.graph.fileAttachment', not '{body.get('@odata.type')}'.",
            "RequestBodyRead",
        )
    if not isinstance(body.get("name"), str) or not body["name"]:
        raise bad_request("The required field 'Name' is missing.", "ErrorRequiredPropertyMissing")
    content = body.get("contentBytes")
    if not isinstance(content, str):
        raise bad_request("The required field 'ContentBytes' is missing.", "ErrorRequiredPropertyMissing")
    for name, kind in {"contentType": str, "isInline": bool, "contentId": str, "contentLocation": str}.items():
        if not isinstance(body.get(name), kind | None):
            raise _unreadable(name, body[name])
    try:
        return body, base64.b64decode(content, validate=True)
    except ValueError:
        raise bad_request("'contentBytes' is not base64.", "RequestBodyRead") from None


def as_plain_text(body: dict[str, str]) -> str:
    """Return a body's text without markup."""
    if body["contentType"].casefold() == "text":
        return body["content"]
    text = re.sub(r"(?is)<!--.*?-->|<(style|script|head|title)\b.*?</\1\s*>", " ", body["content"])
    text = re.sub(r"(?i)<(br|/p|/div|/tr|/h\d|hr)\b[^>]*>", "\n", text)
    text = unescape(re.sub(r"<[^>]*>", "", text))
    return re.sub(r"[ \t\xa0]*\n\s*", "\n", re.sub(r"[ \t\xa0]+", " ", text)).strip()


def as_html(text: str) -> str:
    """Return plain text as HTML that shows the same."""
    return escape(text, quote=False).replace("\r\n", "\n").replace("\n", "<br>\n")


def preview(body: dict[str, str]) -> str:
    """Return the first 255 characters of a body's text on one line."""
    beginning = {"contentType": body["contentType"], "content": body["content"][:20_000]}
    return " ".join(as_plain_text(beginning).split())[:255]


def _read(name: str, value: Any) -> Any:
    if name in _RECIPIENT_LISTS:
        return [_recipient(name, entry) for entry in _list(name, value)]
    if name in {"from", "sender"}:
        return None if value is None else _recipient(name, value)
    if name in _BOOLEANS:
        return _typed(name, value, bool)
    if name in _CHOICES:
        return _choice(name, value)
    match name:
        case "subject" | "internetMessageId":
            return value if value is None else _typed(name, value, str)
        case "body":
            return _body(value)
        case "categories":
            return [_typed(name, entry, str) for entry in _list(name, value)]
        case "flag":
            return _typed(name, value, dict)
        case "internetMessageHeaders":
            return [_header(entry) for entry in _list(name, value)]
        case "singleValueExtendedProperties":
            return [_extended(entry) for entry in _list(name, value)]
        case _:
            raise bad_request(
                f"The property '{name}' does not exist on type 'microsoft.graph.message'.", "RequestBodyRead"
            )


def _unreadable(name: str, value: Any) -> Exception:
    return bad_request(
        f"Cannot convert the value {str(value)[:60]!r} of '{name}' to the expected type.", "RequestBodyRead"
    )


def _typed(name: str, value: Any, kind: type) -> Any:
    if not isinstance(value, kind):
        raise _unreadable(name, value)
    return value


def _list(name: str, value: Any) -> list[Any]:
    entries: list[Any] = _typed(name, value, list)
    return entries


def _choice(name: str, value: Any) -> str:
    chosen = str(_typed(name, value, str)).casefold()
    if chosen not in _CHOICES[name]:
        raise _unreadable(name, value)
    return chosen


def _body(value: Any) -> dict[str, str]:
    if value is None:
        return {"contentType": "text", "content": ""}
    kind = _typed("body", value, dict).get("contentType", "text")
    if str(_typed("body/contentType", kind, str)).casefold() not in {"text", "html"}:
        raise _unreadable("body/contentType", kind)
    return {"contentType": kind.casefold(), "content": _typed("body/content", value.get("content") or "", str)}


def _recipient(name: str, value: Any) -> dict[str, Any]:
    address = _typed(f"{name}/emailAddress", _typed(name, value, dict).get("emailAddress"), dict)
    mail = _typed(f"{name}/emailAddress/address", address.get("address", ""), str)
    shown = address.get("name")
    return {
        "emailAddress": {
            "name": mail if shown is None else _typed(f"{name}/emailAddress/name", shown, str),
            "address": mail,
        }
    }


def _header(value: Any) -> dict[str, str]:
    name = _typed("internetMessageHeaders/name", _typed("internetMessageHeaders", value, dict).get("name"), str)
    if not name.casefold().startswith("x-") or not re.fullmatch(r"[!-9;-~]+", name):
        raise bad_request(
            f"The internet message header name '{name}' should start with 'x-' or 'X-'.", "InvalidInternetMessageHeader"
        )
    return {"name": name, "value": _typed("internetMessageHeaders/value", value.get("value"), str)}


def _extended(value: Any) -> dict[str, str]:
    property_id = _typed("singleValueExtendedProperties/id", _typed("extended", value, dict).get("id"), str)
    if not re.fullmatch(r"\w+ (\{[0-9A-Fa-f-]{36}\} (Name|Id) .+|0x[0-9A-Fa-f]+)", " ".join(property_id.split())):
        raise bad_request(f"'{property_id}' is not the id of an extended property.", "ErrorInvalidProperty")
    return {"id": property_id, "value": _typed("singleValueExtendedProperties/value", value.get("value"), str)}
