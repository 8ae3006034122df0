"""Upload sessions: large files in ranges, to an address that is its own authorization.

Sources: https://learn.microsoft.com/graph/outlook-large-attachments (ranges up to 4 MB, in order) and
https://learn.microsoft.com/graph/api/driveitem-createuploadsession (multiples of 320 KiB under 60 MiB).
"""

import re
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from local.microsoft365.errors import GraphError, bad_request
from local.microsoft365.ids import new_secret
from local.microsoft365.replies import json_reply
from local.microsoft365.standin import StandIn, standin_of
from local.microsoft365.times import now, stamp

ATTACHMENT_RANGE = 4 * 1024 * 1024
DRIVE_RANGE = 60 * 1024 * 1024
DRIVE_UNIT = 320 * 1024
_LIFETIME = 24 * 3600

type Finish = Callable[[StandIn, dict[str, Any], bytes], Response]


@dataclass(frozen=True, slots=True)
class _Range:
    start: int
    end: int
    total: int


def open_upload(standin: StandIn, kind: str, target: dict[str, Any], size: int | None) -> dict[str, Any]:
    """Start an upload session of a kind ("attachment" or "drive") and return it as Graph shows it.

    `target` is handed to the kind's finisher with the bytes; `size` in bytes is None when the first range tells it.
    """
    upload_id, expires = new_secret(), now() + _LIFETIME
    with standin.db:
        standin.db.execute(
            "INSERT INTO uploads VALUES (?, ?, ?, ?, 0, ?)", (upload_id, kind, orjson.dumps(target), size, expires)
        )
    return {
        "uploadUrl": f"{standin.base_url}/uploads/{upload_id}",
        "expirationDateTime": stamp(expires),
        "nextExpectedRanges": ["0-"],
    }


def upload_endpoint(finishers: dict[str, Finish]) -> Callable[[Request], Any]:
    """Return the handler of upload addresses; `finishers` turn the bytes of a kind of upload into its last answer."""

    async def upload(request: Request) -> Response:
        if "authorization" in request.headers:
            raise GraphError(401, "unauthenticated", "Upload addresses are called without an Authorization header.")
        standin = standin_of(request)
        row = _find(standin.db, request.path_params["upload"])
        if request.method == "DELETE":
            with standin.db:
                _close(standin.db, row["id"])
            return Response(status_code=204)
        if request.method == "GET":
            return json_reply(_progress(row, row["received"]))
        part = _read_range(request, row)
        data = await request.body()
        if len(data) != part.end - part.start + 1:
            raise bad_request("The Content-Range does not fit the length of the body.", "invalidRequest")
        row = _find(standin.db, row["id"])
        _refuse_wrong_place(row, part)
        return _take(standin, row, part, data, finishers)

    return upload


def _find(db: sqlite3.Connection, upload_id: str) -> sqlite3.Row:
    row: sqlite3.Row | None = db.execute(
        "SELECT * FROM uploads WHERE id = ? AND expires > ?", (upload_id, now())
    ).fetchone()
    if row is None:
        raise GraphError(404, "itemNotFound", "The upload session was not found: it is finished, cancelled or expired.")
    return row


def _read_range(request: Request, row: sqlite3.Row) -> _Range:
    match = re.fullmatch(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})", request.headers.get("content-range", ""))
    if match is None:
        raise bad_request("A header 'Content-Range: bytes first-last/total' is needed.", "invalidRequest")
    part = _Range(*(int(number) for number in match.groups()))
    if part.end < part.start or part.end >= part.total or row["size"] not in {None, part.total}:
        raise bad_request(f"The Content-Range {match[0]} does not fit the file's size.", "invalidRequest")
    length, last = part.end - part.start + 1, part.end + 1 == part.total
    if row["kind"] == "attachment" and length > ATTACHMENT_RANGE:
        raise GraphError(413, "ErrorMessageSizeExceeded", "A range is at most 4 MB.")
    if row["kind"] == "drive" and length > DRIVE_RANGE:
        raise GraphError(413, "invalidRequest", "A range is at most 60 MiB.")
    if row["kind"] == "drive" and not last and length % DRIVE_UNIT:
        raise bad_request(
            "A range that is not the last must be a multiple of 320 KiB (327,680 bytes).", "invalidRequest"
        )
    return part


def _refuse_wrong_place(row: sqlite3.Row, part: _Range) -> None:
    if part.start != row["received"]:
        raise GraphError(
            416,
            "invalidRange",
            f"The next range starts at {row['received']}, not at {part.start}; ask with GET where to go on.",
        )


def _take(standin: StandIn, row: sqlite3.Row, part: _Range, data: bytes, finishers: dict[str, Finish]) -> Response:
    db = standin.db
    with db:
        db.execute("INSERT INTO upload_parts VALUES (?, ?, ?)", (row["id"], part.start, data))
        db.execute("UPDATE uploads SET received = ?, size = ? WHERE id = ?", (part.end + 1, part.total, row["id"]))
    if part.end + 1 < part.total:
        status = 202 if row["kind"] == "drive" else 200
        return json_reply(_progress(row, part.end + 1), status)
    parts = db.execute("SELECT bytes FROM upload_parts WHERE upload = ? ORDER BY start", (row["id"],))
    content = b"".join(bytes(stored["bytes"]) for stored in parts)
    with db:
        _close(db, row["id"])
    return finishers[row["kind"]](standin, orjson.loads(row["target"]), content)


def _close(db: sqlite3.Connection, upload_id: str) -> None:
    db.execute("DELETE FROM upload_parts WHERE upload = ?", (upload_id,))
    db.execute("DELETE FROM uploads WHERE id = ?", (upload_id,))


def _progress(row: sqlite3.Row, received: int) -> dict[str, Any]:
    return {"expirationDateTime": stamp(row["expires"]), "nextExpectedRanges": [f"{received}-"]}
