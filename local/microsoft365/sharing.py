"""Sharing links of OneDrive, and where they and download addresses lead.

Source: https://learn.microsoft.com/graph/api/driveitem-createlink: asking again for the same kind of link returns it.
"""

import sqlite3
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from local.microsoft365 import ids
from local.microsoft365.access import json_object, tenant_of
from local.microsoft365.drive import item_of
from local.microsoft365.errors import GraphError, bad_request
from local.microsoft365.replies import json_reply
from local.microsoft365.standin import StandIn, standin_of
from local.microsoft365.store import get_content, is_on
from local.microsoft365.times import now, parse, stamp

_TYPES = ("view", "edit", "embed")
_SCOPES = ("anonymous", "organization", "users")


async def create_link(request: Request) -> Response:
    """POST createLink: 201 with a new link, or 200 with the one that is there."""
    standin, tenant, row = standin_of(request), tenant_of(request), item_of(request)
    body = await json_object(request) if await request.body() else {}
    kind, scope, expires = body.get("type", "view"), body.get("scope", "organization"), _expiry(body)
    if kind not in _TYPES or scope not in _SCOPES:
        raise bad_request(
            f"'type' must be one of {', '.join(_TYPES)} and 'scope' one of {', '.join(_SCOPES)}.", "invalidRequest"
        )
    if scope == "anonymous" and not is_on(standin.db, f"anonymous links {tenant.id}"):
        raise GraphError(403, "accessDenied", "The organization's sharing policy does not allow anonymous links.")
    wanted = (row["id"], kind, scope)
    link = _find(standin.db, *wanted)
    is_new = link is None
    with standin.db:
        if is_new:
            new = (ids.new_guid(), *wanted, ids.new_secret(), expires)
            standin.db.execute("INSERT INTO links VALUES (?, ?, ?, ?, ?, ?)", new)
        elif expires is not None:
            standin.db.execute(
                "UPDATE links SET expires = ? WHERE item = ? AND type = ? AND scope = ?", (expires, *wanted)
            )
    link = _find(standin.db, *wanted)
    context = f"{standin.base_url}/v1.0/$metadata#permission"
    return json_reply({"@odata.context": context, **_permission(standin, link)}, 201 if is_new else 200)


async def list_permissions(request: Request) -> Response:
    """GET who may see an item: its links."""
    standin, row = standin_of(request), item_of(request)
    links = standin.db.execute("SELECT * FROM links WHERE item = ?", (row["id"],))
    context = f"{standin.base_url}/v1.0/$metadata#permissions"
    return json_reply({"@odata.context": context, "value": [_permission(standin, link) for link in links]})


async def get_permission(request: Request) -> Response:
    """GET one link."""
    return json_reply(_permission(standin_of(request), _permission_of(request)))


async def delete_permission(request: Request) -> Response:
    """DELETE a link: it stops working."""
    standin, link = standin_of(request), _permission_of(request)
    with standin.db:
        standin.db.execute("DELETE FROM links WHERE id = ?", (link["id"],))
    return Response(status_code=204)


async def open_link(request: Request) -> Response:
    """GET a sharing link, as anybody who has it: the file, to be saved."""
    db = standin_of(request).db
    row = db.execute(
        "SELECT i.* FROM links l JOIN items i ON i.id = l.item "
        "WHERE l.token = ? AND (l.expires IS NULL OR l.expires > ?)",
        (request.path_params["token"], now()),
    ).fetchone()
    return _file(db, row)


async def open_download(request: Request) -> Response:
    """GET a download address."""
    db = standin_of(request).db
    return _file(db, db.execute("SELECT * FROM items WHERE download = ?", (request.path_params["token"],)).fetchone())


def file_headers(name: str, *, inline: bool = False) -> dict[str, str]:
    """Return headers under which a stranger's file is harmless, with its name for any browser (RFC 6266, RFC 8187)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%' else "_" for c in name)
    disposition = "inline" if inline else "attachment"
    encoded = quote(name.encode("utf-8", "replace"), safe="!#$&+^`|~")
    return {
        "Content-Disposition": f"{disposition}; filename=\"{plain}\"; filename*=UTF-8''{encoded}",
        "X-Content-Type-Options": "nosniff",
        "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }


def _file(db: sqlite3.Connection, row: sqlite3.Row | None) -> Response:
    if row is None or row["is_folder"]:
        gone = "<!doctype html><title>Not found</title><p>This link has been removed, or it has expired.</p>"
        return HTMLResponse(gone, 404, {"Content-Security-Policy": "default-src 'none'"})
    return Response(get_content(db, row["hash"]), 200, file_headers(row["name"]), row["content_type"])


def _expiry(body: dict[str, Any]) -> float | None:
    text = body.get("expirationDateTime")
    if text is None:
        return None
    try:
        return parse(text)
    except (TypeError, ValueError):
        raise bad_request(f"'expirationDateTime' must be an ISO 8601 time, not '{text}'.", "invalidRequest") from None


def _find(db: sqlite3.Connection, item: str, kind: str, scope: str) -> Any:
    return db.execute("SELECT * FROM links WHERE item = ? AND type = ? AND scope = ?", (item, kind, scope)).fetchone()


def _permission_of(request: Request) -> sqlite3.Row:
    wanted = (request.path_params["permission"], item_of(request)["id"])
    row: sqlite3.Row | None = (
        standin_of(request).db.execute("SELECT * FROM links WHERE id = ? AND item = ?", wanted).fetchone()
    )
    if row is None:
        raise GraphError(404, "itemNotFound", "The permission could not be found.")
    return row


def _permission(standin: StandIn, link: Any) -> dict[str, Any]:
    shown = {
        "id": link["id"],
        "roles": ["write" if link["type"] == "edit" else "read"],
        "shareId": f"s!{link['token']}",
        "hasPassword": False,
        "link": {
            "type": link["type"],
            "scope": link["scope"],
            "webUrl": f"{standin.base_url}/sharing/{link['token']}",
            "preventsDownload": False,
        },
    }
    return shown if link["expires"] is None else shown | {"expirationDateTime": stamp(link["expires"])}
