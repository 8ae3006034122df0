"""Graph's mail: messages, folders, attachments, sending, and following changes.

Source: https://learn.microsoft.com/graph/api/resources/mail-api-overview.
"""

import sqlite3
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from local.directory import Person
from local.microsoft365 import ids
from local.microsoft365.access import json_object, mailbox_of, user_of, wants_immutable_ids
from local.microsoft365.delivery import send
from local.microsoft365.errors import GraphError, bad_request
from local.microsoft365.message_json import (
    EDITABLE_AFTER_SENDING,
    attachment_json,
    attachments_json,
    extended_properties,
    merge_properties,
    message_json,
    new_doc,
    read_attachment,
    read_properties,
)
from local.microsoft365.messages import (
    FOLDERS,
    Change,
    Message,
    add_attachment,
    attachments_of,
    changed_since,
    content_of,
    find,
    find_attachment,
    move,
    new_message,
    remove,
    remove_attachment,
    save,
    search,
)
from local.microsoft365.mime import as_mime, media_type
from local.microsoft365.notifications import publish
from local.microsoft365.queries import Query, expanded_properties, link, parse_query
from local.microsoft365.replies import json_reply
from local.microsoft365.standin import standin_of
from local.microsoft365.times import now

LARGEST_SIMPLE_ATTACHMENT = 3 * 1024 * 1024
"""Bytes from which an attachment needs an upload session."""


async def get_user(request: Request) -> Response:
    """GET /users/{id}."""
    user = user_of(request)
    given, _, family = user.name.partition(" ")
    return json_reply(
        {
            "@odata.context": f"{_base(request)}/$metadata#users/$entity",
            "id": user.id,
            "displayName": user.name,
            "givenName": given,
            "surname": family,
            "mail": user.address,
            "userPrincipalName": user.address,
        }
    )


async def list_messages(request: Request) -> Response:
    """GET messages of a mailbox or folder."""
    standin, owner, folder = standin_of(request), mailbox_of(request), _folder_of(request)
    query = parse_query(request.query_params, request.headers)
    found, total = search(standin.db, owner.address, folder, query)
    body: dict[str, Any] = {"@odata.context": _context(request, owner, "messages")}
    if query.count:
        body["@odata.count"] = total
    body["value"] = [_show(request, message, query) for message in found]
    if query.skip + len(found) < total and found:
        options = dict(request.query_params) | {"$skip": str(query.skip + len(found))}
        body["@odata.nextLink"] = link(standin.base_url, request.url.path, options)
    return json_reply(body, headers=_applied(request))


async def create_message(request: Request) -> Response:
    """POST a draft into a mailbox's Drafts or into a folder."""
    standin, owner = standin_of(request), mailbox_of(request)
    folder = _folder_of(request) or "drafts"
    posted = await json_object(request)
    with standin.db:
        draft, changes = _make_draft(standin.db, owner, posted, folder)
    publish(standin, changes)
    body = {"@odata.context": f"{_context(request, owner, 'messages')}/$entity", **_show(request, draft, _PLAIN)}
    return json_reply(
        body, 201, {"Location": f"{str(request.url).partition('?')[0]}/{body['id']}", **_applied(request)}
    )


async def get_message(request: Request) -> Response:
    """GET one message."""
    owner, message = mailbox_of(request), _message_of(request)
    query = parse_query(request.query_params, request.headers)
    body = _show(request, message, query)
    return json_reply(
        {"@odata.context": f"{_context(request, owner, 'messages')}/$entity", **body}, headers=_applied(request)
    )


async def update_message(request: Request) -> Response:
    """PATCH a message; what it says and to whom only while it is a draft."""
    standin, owner = standin_of(request), mailbox_of(request)
    properties = read_properties(await json_object(request))
    message = _message_of(request)
    if not message.is_draft and properties.keys() - EDITABLE_AFTER_SENDING:
        name = min(properties.keys() - EDITABLE_AFTER_SENDING)
        raise bad_request(f"'{name}' can be changed only while the message is a draft.", "ErrorInvalidPropertySet")
    with standin.db:
        doc = merge_properties(message.doc, properties)
        message = save(standin.db, replace(message, doc=doc, modified=now()))
    publish(standin, [Change(message, "updated")])
    body = {"@odata.context": f"{_context(request, owner, 'messages')}/$entity", **_show(request, message, _PLAIN)}
    return json_reply(body, headers=_applied(request))


async def delete_message(request: Request) -> Response:
    """DELETE a message: into Deleted Items, and from there for good."""
    standin, message = standin_of(request), _message_of(request)
    with standin.db:
        if message.folder == "deleteditems":
            changes = remove(standin.db, message)
        else:
            _, changes = move(standin.db, message, "deleteditems")
    publish(standin, changes)
    return Response(status_code=204)


async def send_message(request: Request) -> Response:
    """POST send: 202, and the draft becomes a sent message of the same immutable id."""
    standin = standin_of(request)
    with standin.db:
        changes = send(standin.db, _message_of(request))
    publish(standin, changes)
    return Response(status_code=202)


async def send_mail(request: Request) -> Response:
    """POST sendMail: a message in one call."""
    standin, owner = standin_of(request), mailbox_of(request)
    body = await json_object(request)
    message = body.get("message", body.get("Message"))
    keep = body.get("saveToSentItems", body.get("SaveToSentItems", True))
    if not isinstance(message, dict) or keep not in (True, False, None, "true", "false"):
        raise bad_request("'message' must be a message, and 'saveToSentItems' true or false.", "RequestBodyRead")
    with standin.db:
        draft, _ = _make_draft(standin.db, owner, message, "drafts")
        changes = send(standin.db, draft, keep=keep not in {False, "false"})
    publish(standin, changes)
    return Response(status_code=202)


async def get_mime(request: Request) -> Response:
    """GET $value of a message: its MIME content (RFC 5322)."""
    mailbox_of(request)
    return Response(as_mime(standin_of(request).db, _message_of(request)), media_type="text/plain")


async def list_attachments(request: Request) -> Response:
    """GET the attachments of a message."""
    db, owner, message = standin_of(request).db, mailbox_of(request), _message_of(request)
    select = parse_query(request.query_params, request.headers).select
    value = [attachment_json(db, attachment, select) for attachment in attachments_of(db, message)]
    return json_reply({"@odata.context": _context(request, owner, "messages/attachments"), "value": value})


async def create_attachment(request: Request) -> Response:
    """POST a file attachment of less than 3 MB."""
    standin, owner, message = standin_of(request), mailbox_of(request), _message_of(request)
    properties, content = read_attachment(await json_object(request))
    attached, changes = attach(standin.db, message, properties, content)
    publish(standin, changes)
    return json_reply(
        {"@odata.context": f"{_context(request, owner, 'messages/attachments')}/$entity", **attached}, 201
    )


def attach(
    db: sqlite3.Connection,
    message: Message,
    properties: dict[str, Any],
    content: bytes,
    limit: int = LARGEST_SIMPLE_ATTACHMENT,
) -> tuple[dict[str, Any], list[Change]]:
    """Add a file to a draft and return it as Graph shows it; raise GraphError if it is too large or was sent."""
    if len(content) >= limit:
        raise GraphError(413, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.")
    if not message.is_draft:
        raise bad_request("Attachments are added only while the message is a draft.", "ErrorInvalidOperation")
    with db:
        attachment = add_attachment(db, message, properties, content)
        changed = save(db, replace(message, modified=now()))
    return attachment_json(db, attachment), [Change(changed, "updated")]


async def get_attachment(request: Request) -> Response:
    """GET one attachment."""
    db, owner = standin_of(request).db, mailbox_of(request)
    attachment = find_attachment(db, _message_of(request), request.path_params["attachment"])
    select = parse_query(request.query_params, request.headers).select
    context = f"{_context(request, owner, 'messages/attachments')}/$entity"
    return json_reply({"@odata.context": context, **attachment_json(db, attachment, select)})


async def get_attachment_content(request: Request) -> Response:
    """GET $value of an attachment: its bytes."""
    db = standin_of(request).db
    mailbox_of(request)
    attachment = find_attachment(db, _message_of(request), request.path_params["attachment"])
    return Response(content_of(db, attachment), media_type=media_type(attachment.content_type))


async def delete_attachment(request: Request) -> Response:
    """DELETE an attachment."""
    standin, message = standin_of(request), _message_of(request)
    attachment = find_attachment(standin.db, message, request.path_params["attachment"])
    with standin.db:
        remove_attachment(standin.db, attachment)
        changed = save(standin.db, replace(message, modified=now()))
    publish(standin, [Change(changed, "updated")])
    return Response(status_code=204)


async def list_folders(request: Request) -> Response:
    """GET the folders of a mailbox."""
    db, owner = standin_of(request).db, mailbox_of(request)
    value = [_folder_json(db, owner, name) for name in FOLDERS]
    return json_reply({"@odata.context": _context(request, owner, "mailFolders"), "value": value})


async def get_folder(request: Request) -> Response:
    """GET one folder by id or well-known name."""
    owner = mailbox_of(request)
    folder = _folder_json(standin_of(request).db, owner, str(_folder_of(request)))
    return json_reply({"@odata.context": f"{_context(request, owner, 'mailFolders')}/$entity", **folder})


async def follow_messages(request: Request) -> Response:
    """GET delta: what changed in a folder (or mailbox) since the last deltaLink.

    Source: https://learn.microsoft.com/graph/delta-query-messages. A token is a version of the store; a page that is
    full ends in a nextLink, the last one in a deltaLink.
    """
    standin, owner, folder = standin_of(request), mailbox_of(request), _folder_of(request)
    query = parse_query(request.query_params, request.headers)
    options = dict(request.query_params)
    first = not options.keys() & {"$deltatoken", "$skiptoken"}
    tokens = [options.pop(name, "") for name in ("$deltatoken", "$skiptoken")]
    since = _token(tokens[0] or tokens[1] or "0")
    found = changed_since(standin.db, owner.address, folder, since, query.top + 1)
    page, more = found[: query.top], len(found) > query.top
    body: dict[str, Any] = {"@odata.context": _context(request, owner, "messages") + "/$delta", "value": []}
    for _, entry in page:
        if isinstance(entry, Message):
            body["value"].append(_show(request, entry, query))
        elif not first:
            body["value"].append({"id": _removed_id(request, entry), "@removed": {"reason": "deleted"}})
    token = str(page[-1][0] if page else since)
    name, kind = ("$skiptoken", "@odata.nextLink") if more else ("$deltatoken", "@odata.deltaLink")
    body[kind] = link(standin.base_url, request.url.path, options | {name: token})
    return json_reply(body, headers=_applied(request))


_PLAIN = Query(None, None, "", 10, 0, None, {}, False)


def _make_draft(
    db: sqlite3.Connection, owner: Person, body: dict[str, Any], folder: str
) -> tuple[Message, list[Change]]:
    properties = read_properties(body)
    files = [read_attachment(entry) for entry in body.get("attachments") or [] if isinstance(entry, dict)]
    if any(len(content) >= LARGEST_SIMPLE_ATTACHMENT for _, content in files):
        raise GraphError(413, "ErrorMessageSizeExceeded", "The message exceeds the maximum supported size.")
    sender = {"emailAddress": {"name": owner.name, "address": owner.address}}
    doc = new_doc(properties, sender, owner.address.partition("@")[2])
    draft = new_message(owner.address, folder, doc, is_draft=True)
    for file, content in files:
        add_attachment(db, draft, file, content)
    draft = save(db, draft)
    return draft, [Change(draft, "created")]


def _show(request: Request, message: Message, query: Query) -> dict[str, Any]:
    standin = standin_of(request)
    as_text = 'outlook.body-content-type="text"' in request.headers.get("prefer", "")
    body = message_json(
        message, standin.base_url, immutable=wants_immutable_ids(request), select=query.select, as_text=as_text
    )
    if "attachments" in query.expand:
        body["attachments"] = attachments_json(standin.db, message)
    wanted = expanded_properties(query.expand)
    shown = extended_properties(message, wanted) if wanted else []
    if shown:
        body["singleValueExtendedProperties"] = shown
    return body


def _message_of(request: Request) -> Message:
    owner = mailbox_of(request)
    return find(standin_of(request).db, owner.address, request.path_params["message"], _folder_of(request))


def _folder_of(request: Request) -> str | None:
    if "folder" not in request.path_params:
        return None
    wanted = request.path_params["folder"]
    owner = mailbox_of(request)
    for name in FOLDERS:
        if wanted.casefold() == name or wanted == ids.folder_id(owner.address, name):
            return name
    raise GraphError(
        404, "ErrorItemNotFound", "The specified object was not found in the store., The folder does not exist."
    )


def _folder_json(db: sqlite3.Connection, owner: Person, name: str) -> dict[str, Any]:
    total, unread = db.execute(
        "SELECT count(*), coalesce(sum(is_read = 0), 0) FROM messages WHERE mailbox = ? AND folder = ?",
        (owner.address, name),
    ).fetchone()
    return {
        "id": ids.folder_id(owner.address, name),
        "displayName": FOLDERS[name],
        "parentFolderId": ids.folder_id(owner.address, "msgfolderroot"),
        "childFolderCount": 0,
        "unreadItemCount": unread,
        "totalItemCount": total,
        "isHidden": False,
    }


def _token(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise GraphError(
            410, "SyncStateNotFound", "The sync state generation is not found; start again without a token."
        )
    return int(text)


def _removed_id(request: Request, row: sqlite3.Row) -> str:
    if wants_immutable_ids(request):
        return str(row["message"])
    return ids.default_message_id(row["message"], row["moves"])


def _base(request: Request) -> str:
    return f"{standin_of(request).base_url}/v1.0"


def _context(request: Request, owner: Person, what: str) -> str:
    return f"{_base(request)}/$metadata#users('{owner.id}')/{what}"


def _applied(request: Request) -> dict[str, str]:
    return {"Preference-Applied": 'IdType="ImmutableId"'} if wants_immutable_ids(request) else {}
