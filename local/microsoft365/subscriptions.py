"""Subscriptions to mail: creating, renewing, ending.

Source: https://learn.microsoft.com/graph/api/resources/subscription. Lifetimes of mail: at most 10,080 minutes; a time
less than 45 minutes ahead becomes 45 minutes.
"""

import re
import sqlite3
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from starlette.requests import Request
from starlette.responses import Response

from local.directory import Tenant
from local.microsoft365 import ids
from local.microsoft365.access import find_user, json_object, tenant_of, wants_immutable_ids
from local.microsoft365.errors import GraphError, bad_request
from local.microsoft365.filters import parse_filter
from local.microsoft365.issuer import application_of
from local.microsoft365.messages import FOLDERS
from local.microsoft365.notifications import validate
from local.microsoft365.replies import json_reply
from local.microsoft365.standin import standin_of
from local.microsoft365.times import now, parse, stamp

LONGEST_MINUTES = 10_080
SHORTEST_MINUTES = 45
_CHANGES = ("created", "updated", "deleted")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_RESOURCE = re.compile(
    r"/?users(?:/|\(')(?P<user>[^/']+)(?:'\))?(?:/mailFolders(?:/|\(')(?P<folder>[^/']+)(?:'\))?)?/messages/?",
    re.IGNORECASE,
)


async def list_subscriptions(request: Request) -> Response:
    """GET the tenant's subscriptions."""
    db = standin_of(request).db
    rows = db.execute("SELECT * FROM subscriptions WHERE tenant = ? AND expires > ?", (tenant_of(request).id, now()))
    return json_reply({"@odata.context": _context(request), "value": [_show(row) for row in rows]})


async def create_subscription(request: Request) -> Response:
    """POST a subscription; its receivers must echo a token first."""
    standin, tenant, body = standin_of(request), tenant_of(request), await json_object(request)
    changes = _read_changes(_text(body, "changeType"))
    mailbox, folder, condition = _read_resource(tenant, _text(body, "resource"))
    url, lifecycle_url = _read_url(body, "notificationUrl"), None
    if body.get("lifecycleNotificationUrl") is not None:
        lifecycle_url = _read_url(body, "lifecycleNotificationUrl")
    client_state = body.get("clientState")
    if client_state is not None and (not isinstance(client_state, str) or len(client_state) > 128):
        raise bad_request("'clientState' must be text of at most 128 characters.", "InvalidRequest")
    expires = _read_expiry(_text(body, "expirationDateTime"))
    for receiver in filter(None, (url, lifecycle_url)):
        wrong = await validate(receiver)
        if wrong:
            raise bad_request(f"Subscription validation request failed. {wrong}", "ValidationError")
    token = request.headers["authorization"].partition(" ")[2]
    row = (
        ids.new_guid(),
        tenant.id,
        application_of(token.strip()),
        body["resource"],
        mailbox,
        folder,
        condition,
        ",".join(changes),
        url,
        lifecycle_url,
        client_state,
        wants_immutable_ids(request),
        expires,
    )
    with standin.db:
        standin.db.execute("INSERT INTO subscriptions VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?)", row)
    return json_reply({"@odata.context": f"{_context(request)}/$entity", **_show(_find(request, row[0]))}, 201)


async def get_subscription(request: Request) -> Response:
    """GET one subscription."""
    found = _find(request, request.path_params["subscription"])
    return json_reply({"@odata.context": f"{_context(request)}/$entity", **_show(found)})


async def renew_subscription(request: Request) -> Response:
    """PATCH a subscription's expiry or receiver."""
    standin, body = standin_of(request), await json_object(request)
    found = _find(request, request.path_params["subscription"])
    unknown = {name for name in body if "@" not in name} - {"expirationDateTime", "notificationUrl"}
    if unknown:
        raise bad_request(f"'{min(unknown)}' cannot be changed.", "InvalidRequest")
    expires = _read_expiry(_text(body, "expirationDateTime")) if "expirationDateTime" in body else found["expires"]
    url = found["url"]
    if "notificationUrl" in body:
        url = _read_url(body, "notificationUrl")
        wrong = await validate(url)
        if wrong:
            raise bad_request(f"Subscription validation request failed. {wrong}", "ValidationError")
    with standin.db:
        standin.db.execute("UPDATE subscriptions SET expires = ?, url = ? WHERE id = ?", (expires, url, found["id"]))
    return json_reply({"@odata.context": f"{_context(request)}/$entity", **_show(_find(request, found["id"]))})


async def delete_subscription(request: Request) -> Response:
    """DELETE a subscription."""
    standin, found = standin_of(request), _find(request, request.path_params["subscription"])
    with standin.db:
        standin.db.execute("DELETE FROM subscriptions WHERE id = ?", (found["id"],))
    return Response(status_code=204)


async def reauthorize_subscription(request: Request) -> Response:
    """POST reauthorize: the answer to a `reauthorizationRequired` lifecycle notification."""
    _find(request, request.path_params["subscription"])
    return Response(status_code=204)


def _find(request: Request, subscription_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = (
        standin_of(request)
        .db.execute(
            "SELECT * FROM subscriptions WHERE id = ? AND tenant = ? AND expires > ?",
            (subscription_id, tenant_of(request).id, now()),
        )
        .fetchone()
    )
    if row is None:
        raise GraphError(404, "ResourceNotFound", "The object was not found.")
    return row


def _show(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "resource": row["resource"],
        "applicationId": row["application"],
        "changeType": row["changes"],
        "clientState": row["client_state"],
        "notificationUrl": row["url"],
        "lifecycleNotificationUrl": row["lifecycle_url"],
        "expirationDateTime": stamp(row["expires"]),
        "creatorId": row["application"],
        "includeResourceData": None,
        "latestSupportedTlsVersion": "v1_2",
        "notificationQueryOptions": None,
        "encryptionCertificate": None,
        "encryptionCertificateId": None,
        "notificationUrlAppId": None,
    }


def _context(request: Request) -> str:
    return f"{standin_of(request).base_url}/v1.0/$metadata#subscriptions"


def _text(body: dict[str, Any], name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise bad_request(f"'{name}' is required and must be text.", "InvalidRequest")
    return value


def _read_changes(text: str) -> list[str]:
    changes = [part.strip().casefold() for part in text.split(",")]
    wrong = [part for part in changes if part not in _CHANGES]
    if wrong:
        raise bad_request(f"'changeType' knows created, updated and deleted, not '{wrong[0]}'.", "InvalidRequest")
    return changes


def _read_resource(tenant: Tenant, text: str) -> tuple[str, str | None, str | None]:
    path, _, options = text.partition("?")
    match = _RESOURCE.fullmatch(unquote(path))
    if match is None:
        raise bad_request(
            f"'{text}' cannot be subscribed to; /users/{{id}}[/mailFolders('{{id}}')]/messages can.",
            "ExtensionError",
        )
    owner = find_user(tenant, match["user"])
    folder = None
    if match["folder"] is not None:
        known = {name: name for name in FOLDERS} | {ids.folder_id(owner.address, name): name for name in FOLDERS}
        folder = known.get(match["folder"], known.get(match["folder"].casefold()))
        if folder is None:
            raise GraphError(404, "ErrorItemNotFound", "The specified folder could not be found in the store.")
    condition = parse_qs(options).get("$filter", [None])[0]
    if condition is not None:
        parse_filter(condition)
    return owner.address, folder, condition


def _read_url(body: dict[str, Any], name: str) -> str:
    url = _text(body, name)
    try:
        parts = urlsplit(url)
        usable = (
            parts.scheme in {"http", "https"} and parts.hostname in _LOOPBACK and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        usable = False
    if not usable:
        raise bad_request(
            f"'{name}' must be an http address on this machine: the stand-in calls nobody else.", "InvalidRequest"
        )
    return url


def _read_expiry(text: str) -> float:
    try:
        expires = parse(text)
    except ValueError:
        raise bad_request(
            f"'expirationDateTime' must be an ISO 8601 time in UTC, not '{text}'.", "InvalidRequest"
        ) from None
    if expires <= now():
        raise bad_request("'expirationDateTime' must be in the future.", "InvalidRequest")
    if expires > now() + LONGEST_MINUTES * 60 + 60:
        raise bad_request(
            f"Subscription expiration can only be {LONGEST_MINUTES} minutes in the future.", "InvalidRequest"
        )
    return max(expires, now() + SHORTEST_MINUTES * 60)
