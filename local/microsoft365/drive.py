"""OneDrive: files and folders by id or by path.

Sources: https://learn.microsoft.com/graph/api/resources/driveitem, and for what names may be
https://support.microsoft.com/office/64883a5d-228e-48f5-b3d2-eb39e07630fa.
"""

import mimetypes
import sqlite3
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from local.directory import Person, find_person
from local.microsoft365 import ids
from local.microsoft365.access import drive_owner_of, json_object
from local.microsoft365.errors import GraphError, bad_request, drive_item_not_found
from local.microsoft365.replies import json_reply
from local.microsoft365.standin import StandIn, standin_of
from local.microsoft365.store import next_version, put_content
from local.microsoft365.times import now, stamp
from local.microsoft365.uploads import open_upload

_FORBIDDEN = frozenset('"*:<>?/\\|')
_RESERVED = frozenset({".lock", "con", "prn", "aux", "nul", "desktop.ini"}) | {
    f"{name}{number}" for name in ("com", "lpt") for number in range(10)
}
_LONGEST_PATH = 400
_CONFLICTS = ("replace", "rename", "fail")


async def get_drive(request: Request) -> Response:
    """GET a person's drive."""
    standin, owner = standin_of(request), drive_owner_of(request)
    used = standin.db.execute("SELECT coalesce(sum(size), 0) FROM items WHERE owner = ?", (owner.address,)).fetchone()[
        0
    ]
    total = 1024**4
    return json_reply(
        {
            "@odata.context": f"{standin.base_url}/v1.0/$metadata#drives/$entity",
            "id": ids.drive_id(owner.address),
            "driveType": "business",
            "name": "OneDrive",
            "owner": {"user": {"id": owner.id, "displayName": owner.name, "email": owner.address}},
            "quota": {"total": total, "used": used, "remaining": total - used, "deleted": 0, "state": "normal"},
            "webUrl": f"{standin.base_url}/mail/{quote(owner.address, safe='@')}",
        }
    )


async def get_item(request: Request) -> Response:
    """GET a file or folder."""
    owner, row = drive_owner_of(request), item_of(request)
    return json_reply({"@odata.context": _context(request, owner), **item_json(standin_of(request), row)})


async def list_children(request: Request) -> Response:
    """GET what a folder holds."""
    standin, row = standin_of(request), item_of(request)
    rows = standin.db.execute(
        "SELECT * FROM items WHERE owner = ? AND parent = ? ORDER BY name", (row["owner"], row["id"])
    )
    return json_reply(
        {"@odata.context": _context(request, drive_owner_of(request)), "value": [item_json(standin, r) for r in rows]}
    )


async def create_folder(request: Request) -> Response:
    """POST a folder into the root."""
    standin, owner, body = standin_of(request), drive_owner_of(request), await json_object(request)
    if not isinstance(body.get("folder"), dict) or not isinstance(body.get("name"), str):
        raise bad_request("A folder needs 'name' and 'folder': {}.", "invalidRequest")
    conflict = _conflict(body.get("@microsoft.graph.conflictBehavior", "fail"))
    with standin.db:
        root = _root(standin.db, owner)
        name = _checked_name(body["name"])
        existing = _child(standin.db, root, name)
        if existing is not None and conflict == "fail":
            raise _exists()
        if existing is not None and conflict == "rename":
            existing, name = None, _free_name(standin.db, root, name)
        row = existing or _insert(standin.db, root, name, is_folder=True)
    return json_reply({"@odata.context": _context(request, owner), **item_json(standin, row)}, 201)


async def upload(request: Request) -> Response:
    """PUT content: a new file (201), or new content of one that is there (200)."""
    standin, owner = standin_of(request), drive_owner_of(request)
    conflict = _conflict(request.query_params.get("@microsoft.graph.conflictBehavior", "replace"))
    target = _upload_target(request, conflict)
    content, content_type = await request.body(), request.headers.get("content-type")
    with standin.db:
        row, is_new = _write_file(standin.db, owner, target, content, content_type)
    return json_reply({"@odata.context": _context(request, owner), **item_json(standin, row)}, 201 if is_new else 200)


async def download(request: Request) -> Response:
    """GET content: a redirect to an address that needs no token."""
    row = item_of(request)
    if row["is_folder"]:
        raise bad_request("A folder has no content.", "invalidRequest")
    return RedirectResponse(download_url(standin_of(request), row), 302)


async def create_session(request: Request) -> Response:
    """POST createUploadSession for a file."""
    standin, owner = standin_of(request), drive_owner_of(request)
    body = await json_object(request) if await request.body() else {}
    item = body.get("item") or {}
    if not isinstance(item, dict):
        raise bad_request("'item' must be an object.", "invalidRequest")
    size = item.get("fileSize", body.get("fileSize"))
    if size is not None and (isinstance(size, bool) or not isinstance(size, int) or not 0 <= size < 2**50):
        raise bad_request("'fileSize' must be a number of bytes.", "invalidRequest")
    conflict = _conflict(item.get("@microsoft.graph.conflictBehavior", "replace"))
    target = {"owner": owner.address, **_upload_target(request, conflict)}
    context = f"{standin.base_url}/v1.0/$metadata#microsoft.graph.uploadSession"
    return json_reply({"@odata.context": context, **open_upload(standin, "drive", target, size)})


def finish_drive_item(standin: StandIn, target: dict[str, Any], content: bytes) -> Response:
    """Write what was uploaded in ranges: 201 for a new file, 200 for a replaced one."""
    found = find_person(target["owner"])
    if found is None:
        raise drive_item_not_found()
    with standin.db:
        row, is_new = _write_file(standin.db, found[1], target, content, None)
    return json_reply(item_json(standin, row), 201 if is_new else 200)


async def update_item(request: Request) -> Response:
    """PATCH: rename, or move to another folder."""
    standin, owner, body = standin_of(request), drive_owner_of(request), await json_object(request)
    row = item_of(request)
    name, parent = row["name"], row["parent"]
    if "name" in body:
        name = _checked_name(body["name"])
    if "parentReference" in body:
        reference = body["parentReference"]
        if not isinstance(reference, dict) or not isinstance(reference.get("id"), str):
            raise bad_request("'parentReference' needs the 'id' of a folder.", "invalidRequest")
        folder = find_item(standin.db, owner, reference["id"])
        if not folder["is_folder"] or _is_inside(standin.db, folder, row["id"]):
            raise bad_request("'parentReference' must be a folder that is not inside the item.", "invalidRequest")
        parent = folder["id"]
    if not row["parent"]:
        raise bad_request("The root cannot be changed.", "invalidRequest")
    try:
        with standin.db:
            standin.db.execute(
                "UPDATE items SET name = ?, parent = ?, version = ?, modified = ? WHERE id = ?",
                (name, parent, next_version(standin.db), now(), row["id"]),
            )
    except sqlite3.IntegrityError:
        raise _exists() from None
    return json_reply(
        {"@odata.context": _context(request, owner), **item_json(standin, find_item(standin.db, owner, row["id"]))}
    )


async def delete_item(request: Request) -> Response:
    """DELETE a file, or a folder with all it holds; links to it stop working."""
    standin, row = standin_of(request), item_of(request)
    if not row["parent"]:
        raise bad_request("The root cannot be deleted.", "invalidRequest")
    with standin.db:
        _delete(standin.db, row)
    return Response(status_code=204)


def item_of(request: Request) -> sqlite3.Row:
    """Return the item that a request's id or path names; raise GraphError (404)."""
    db, owner = standin_of(request).db, drive_owner_of(request)
    if "item" in request.path_params:
        return find_item(db, owner, request.path_params["item"])
    row = _root(db, owner)
    for name in _names(request.path_params.get("path", "").removesuffix(":")):
        child = _child(db, row, name)
        if child is None:
            raise drive_item_not_found()
        row = child
    return row


def find_item(db: sqlite3.Connection, owner: Person, item_id: str) -> sqlite3.Row:
    """Return an item of a drive by its id; raise GraphError (404)."""
    if item_id == "root":
        return _root(db, owner)
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM items WHERE id = ? AND owner = ?", (item_id, owner.address)
    ).fetchone()
    if row is None:
        raise drive_item_not_found()
    return row


def download_url(standin: StandIn, row: sqlite3.Row) -> str:
    """Return the address that a file is downloaded from without a token."""
    return f"{standin.base_url}/download/{row['download']}"


def item_json(standin: StandIn, row: sqlite3.Row) -> dict[str, Any]:
    """Return a file or folder as Graph shows it."""
    db = standin.db
    shown: dict[str, Any] = {
        "id": row["id"],
        "name": row["name"] if row["parent"] else "root",
        "size": row["size"],
        "createdDateTime": stamp(row["created"]),
        "lastModifiedDateTime": stamp(row["modified"]),
        "eTag": f'"{{{row["id"]}}},{row["version"]}"',
        "cTag": f'"c:{{{row["id"]}}},{row["version"]}"',
        "webUrl": f"{standin.base_url}/download/{row['download']}",
        "parentReference": _parent_json(db, row),
        "fileSystemInfo": {"createdDateTime": stamp(row["created"]), "lastModifiedDateTime": stamp(row["modified"])},
    }
    if row["is_folder"]:
        count = db.execute(
            "SELECT count(*) FROM items WHERE owner = ? AND parent = ?", (row["owner"], row["id"])
        ).fetchone()[0]
        shown |= {"folder": {"childCount": count}} | ({} if row["parent"] else {"root": {}})
        return shown
    hashes = {"sha256Hash": row["hash"].upper()}
    return {
        "@microsoft.graph.downloadUrl": download_url(standin, row),
        **shown,
        "file": {"mimeType": row["content_type"], "hashes": hashes},
    }


def _context(request: Request, owner: Person) -> str:
    return f"{standin_of(request).base_url}/v1.0/$metadata#users('{owner.id}')/drive/items"


def _parent_json(db: sqlite3.Connection, row: sqlite3.Row) -> dict[str, Any]:
    reference = {"driveId": ids.drive_id(row["owner"]), "driveType": "business"}
    if not row["parent"]:
        return reference
    names, parent = [], row["parent"]
    while parent:
        above = db.execute("SELECT * FROM items WHERE id = ?", (parent,)).fetchone()
        if above["parent"]:
            names.append(quote(above["name"]))
        parent = above["parent"]
    return reference | {"id": row["parent"], "path": "/".join(["/drive/root:", *reversed(names)])}


def _root(db: sqlite3.Connection, owner: Person) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM items WHERE owner = ? AND parent = ''", (owner.address,)
    ).fetchone()
    if row is not None:
        return row
    with db:
        return _insert_row(db, owner.address, "", "root", is_folder=True)


def _child(db: sqlite3.Connection, folder: sqlite3.Row, name: str) -> sqlite3.Row | None:
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM items WHERE owner = ? AND parent = ? AND name = ?", (folder["owner"], folder["id"], name)
    ).fetchone()
    return row


def _insert(db: sqlite3.Connection, folder: sqlite3.Row, name: str, *, is_folder: bool) -> sqlite3.Row:
    return _insert_row(db, folder["owner"], folder["id"], name, is_folder=is_folder)


def _insert_row(db: sqlite3.Connection, owner: str, parent: str, name: str, *, is_folder: bool) -> sqlite3.Row:
    moment, item_id = now(), ids.new_drive_item_id()
    db.execute(
        "INSERT INTO items VALUES (?,?,?,?,?,NULL,0,NULL,?,?,?,?)",
        (item_id, owner, parent, name, is_folder, next_version(db), moment, moment, ids.new_secret()),
    )
    row: sqlite3.Row = db.execute("SELECT * FROM items WHERE id = ?", (item_id,)).fetchone()
    return row


def _upload_target(request: Request, conflict: str) -> dict[str, Any]:
    if "item" in request.path_params:
        row = item_of(request)
        if row["is_folder"]:
            raise bad_request("A folder has no content.", "invalidRequest")
        return {"item": row["id"], "conflict": conflict}
    names = _names(request.path_params["path"])
    if not names:
        raise bad_request("The path of a file is needed.", "invalidRequest")
    return {"names": names, "conflict": conflict}


def _write_file(
    db: sqlite3.Connection, owner: Person, target: dict[str, Any], content: bytes, content_type: str | None
) -> tuple[sqlite3.Row, bool]:
    row, is_new = _place(db, owner, target)
    guessed = mimetypes.guess_type(row["name"])[0]
    declared = None if content_type in {None, "", "text/plain", "application/octet-stream"} else content_type
    db.execute(
        "UPDATE items SET content_type = ?, size = ?, hash = ?, version = ?, modified = ? WHERE id = ?",
        (
            guessed or declared or "application/octet-stream",
            len(content),
            put_content(db, content),
            next_version(db),
            now(),
            row["id"],
        ),
    )
    return find_item(db, owner, row["id"]), is_new


def _place(db: sqlite3.Connection, owner: Person, target: dict[str, Any]) -> tuple[sqlite3.Row, bool]:
    """Return the row to write a file into, making folders on the way as OneDrive does."""
    if "item" in target:
        return find_item(db, owner, target["item"]), False
    folder = _root(db, owner)
    *above, name = target["names"]
    for part in above:
        child = _child(db, folder, part) or _insert(db, folder, part, is_folder=True)
        if not child["is_folder"]:
            raise bad_request(f"'{part}' is a file, not a folder.", "invalidRequest")
        folder = child
    existing = _child(db, folder, name)
    if existing is None:
        return _insert(db, folder, name, is_folder=False), True
    if target["conflict"] == "rename":
        return _insert(db, folder, _free_name(db, folder, name), is_folder=False), True
    if target["conflict"] == "fail" or existing["is_folder"]:
        raise _exists()
    return existing, False


def _free_name(db: sqlite3.Connection, folder: sqlite3.Row, name: str) -> str:
    stem, dot, extension = name.rpartition(".")
    number = 1
    while True:
        candidate = f"{stem} {number}{dot}{extension}" if stem else f"{name} {number}"
        if _child(db, folder, candidate) is None:
            return candidate
        number += 1


def _delete(db: sqlite3.Connection, row: sqlite3.Row) -> None:
    for child in db.execute("SELECT * FROM items WHERE owner = ? AND parent = ?", (row["owner"], row["id"])).fetchall():
        _delete(db, child)
    db.execute("DELETE FROM links WHERE item = ?", (row["id"],))
    db.execute("DELETE FROM items WHERE id = ?", (row["id"],))


def _is_inside(db: sqlite3.Connection, folder: sqlite3.Row, item_id: str) -> bool:
    place: sqlite3.Row | None = folder
    while place is not None:
        if place["id"] == item_id:
            return True
        place = db.execute("SELECT * FROM items WHERE id = ?", (place["parent"],)).fetchone()
    return False


def _names(path: str) -> list[str]:
    if len(path) > _LONGEST_PATH:
        raise bad_request(f"A path has at most {_LONGEST_PATH} characters.", "invalidRequest")
    return [_checked_name(part) for part in path.strip("/").split("/") if part]


def _checked_name(name: Any) -> str:
    if not isinstance(name, str) or not name or len(name) > 255:
        raise bad_request("A name needs 1 to 255 characters.", "invalidRequest")
    wrong = sorted(_FORBIDDEN & set(name)) or [c for c in name if ord(c) < 32]
    if wrong:
        raise bad_request(f"The name '{name}' contains {wrong[0]!r}, which OneDrive does not allow.", "invalidRequest")
    stripped = name.strip(" ").rstrip(".")
    if stripped != name or name.startswith("~$") or name.casefold() in _RESERVED or "_vti_" in name:
        raise bad_request(f"OneDrive does not allow the name '{name}'.", "invalidRequest")
    return name


def _conflict(value: Any) -> str:
    if value not in _CONFLICTS:
        raise bad_request(f"conflictBehavior must be one of {', '.join(_CONFLICTS)}, not '{value}'.", "invalidRequest")
    return str(value)


def _exists() -> GraphError:
    return GraphError(409, "nameAlreadyExists", "An item with the same name already exists under the parent.")
