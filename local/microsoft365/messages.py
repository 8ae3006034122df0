"""Messages and their attachments in the store: finding, changing, moving and removing them.

Every function that changes a message returns or records the changes that subscribers are told of; nothing here commits.
"""

import sqlite3
from dataclasses import dataclass, replace
from typing import Any, Literal

import orjson

from local.microsoft365 import ids
from local.microsoft365.errors import item_not_found
from local.microsoft365.filters import property_key
from local.microsoft365.queries import Query
from local.microsoft365.store import get_content, next_version, put_content
from local.microsoft365.times import now

FOLDERS = {
    "inbox": "Inbox",
    "drafts": "Drafts",
    "sentitems": "Sent Items",
    "deleteditems": "Deleted Items",
    "archive": "Archive",
    "junkemail": "Junk Email",
}
"""A mailbox's folders: Graph's well-known name and the display name."""

type ChangeType = Literal["created", "updated", "deleted"]


@dataclass(frozen=True, slots=True)
class Message:
    """A message in one mailbox.

    `id` is the immutable id; `moves` counts its moves between folders, `version` its place in the store's sequence of
    changes; `arrived` says that it came from outside. Times are seconds since 1970. `doc` holds the Graph properties
    that are neither ids nor times nor attachments. `mime` is the original when Exchange would keep more than the
    properties say.
    """

    id: str
    mailbox: str
    folder: str
    doc: dict[str, Any]
    created: float
    modified: float
    received: float
    sent: float
    is_draft: bool
    arrived: bool = False
    moves: int = 0
    version: int = 0
    has_attachments: bool = False
    mime: bytes | None = None

    def seen_id(self, immutable: bool) -> str:
        """Return the id a client sees, depending on its preference."""
        return self.id if immutable else ids.default_message_id(self.id, self.moves)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file attachment without its content; `size` is in bytes."""

    id: str
    name: str
    content_type: str | None
    size: int
    is_inline: bool
    content_id: str | None
    content_location: str | None
    modified: float
    hash: str


@dataclass(frozen=True, slots=True)
class Change:
    """Something happened to a message: what a change notification tells."""

    message: Message
    kind: ChangeType


def new_message(mailbox: str, folder: str, doc: dict[str, Any], *, is_draft: bool, arrived: bool = False) -> Message:
    """Return a message dated now, not yet stored."""
    moment = now()
    return Message(
        id=ids.new_message_id(),
        mailbox=mailbox,
        folder=folder,
        doc=doc,
        created=moment,
        modified=moment,
        received=moment,
        sent=moment,
        is_draft=is_draft,
        arrived=arrived,
    )


def save(db: sqlite3.Connection, message: Message) -> Message:
    """Store a message as it is now, under the next version, and return it so."""
    count = db.execute(
        "SELECT count(*) FROM attachments WHERE message = ? AND is_inline = 0", (message.id,)
    ).fetchone()[0]
    message = replace(message, version=next_version(db), has_attachments=bool(count))
    doc = message.doc
    db.execute(
        "INSERT OR REPLACE INTO messages VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)",
        (
            message.id,
            message.mailbox,
            message.folder,
            message.version,
            message.moves,
            message.arrived,
            message.created,
            message.modified,
            message.received,
            message.sent,
            message.is_draft,
            doc["isRead"],
            message.has_attachments,
            doc["conversationId"],
            doc["internetMessageId"],
            doc["subject"] or "",
            address_in(doc.get("from")) or "",
            doc["importance"],
            orjson.dumps(doc),
            message.mime,
        ),
    )
    db.execute("DELETE FROM properties WHERE message = ?", (message.id,))
    properties = [(message.id, property_key(p["id"]), p["value"]) for p in doc.get("singleValueExtendedProperties", [])]
    db.executemany("INSERT OR REPLACE INTO properties VALUES (?, ?, ?)", properties)
    return message


def find(db: sqlite3.Connection, mailbox: str, message_id: str, folder: str | None = None) -> Message:
    """Return a message by either kind of id; raise GraphError (404) when the mailbox (or folder) has none."""
    immutable, moves = ids.message_id_candidates(message_id)
    row = db.execute("SELECT * FROM messages WHERE id = ? AND mailbox = ?", (immutable, mailbox)).fetchone()
    if row is None or moves not in {None, row["moves"]} or folder not in {None, row["folder"]}:
        raise item_not_found()
    return _message(row)


def find_by_internet_id(db: sqlite3.Connection, mailbox: str, internet_id: str) -> Message | None:
    """Return the newest message of a mailbox with this Message-ID, or None."""
    row = db.execute(
        "SELECT * FROM messages WHERE mailbox = ? AND internet_id = ? ORDER BY version DESC LIMIT 1",
        (mailbox, internet_id),
    ).fetchone()
    return None if row is None else _message(row)


def search(db: sqlite3.Connection, mailbox: str, folder: str | None, query: Query) -> tuple[list[Message], int]:
    """Return one page of a mailbox's (or folder's) messages and how many match in all."""
    where, parameters = ["m.mailbox = ?"], [mailbox]
    if folder is not None:
        where.append("m.folder = ?")
        parameters.append(folder)
    if query.search is not None:
        where.append("instr(lower(m.subject || ' ' || CAST(m.doc AS TEXT)), lower(?)) > 0")
        parameters.append(query.search)
    arguments: list[object] = [*parameters]
    if query.condition is not None:
        where.append(query.condition.sql)
        arguments += query.condition.parameters
    # The clauses are made of column names and placeholders only; every value is a parameter.
    clause = f"FROM messages m WHERE {' AND '.join(where)}"
    total = db.execute(f"SELECT count(*) {clause}", arguments).fetchone()[0]
    rows = db.execute(
        f"SELECT m.* {clause} ORDER BY {query.order} LIMIT ? OFFSET ?",
        [*arguments, query.top, query.skip],
    )
    return [_message(row) for row in rows], total


def arrived(db: sqlite3.Connection, mailbox: str) -> list[Message]:
    """Return what arrived in a mailbox, newest first."""
    rows = db.execute(
        "SELECT * FROM messages WHERE mailbox = ? AND arrived = 1 ORDER BY received DESC, rowid DESC", (mailbox,)
    )
    return [_message(row) for row in rows]


def move(db: sqlite3.Connection, message: Message, folder: str) -> tuple[Message, list[Change]]:
    """Put a message into another folder: subscribers of the old one see it go, those of the new one see it come."""
    gone = Change(message, "deleted")
    _note_removal(db, message)
    moved = save(db, replace(message, folder=folder, moves=message.moves + 1, modified=now()))
    return moved, [gone, Change(moved, "created")]


def remove(db: sqlite3.Connection, message: Message) -> list[Change]:
    """Remove a message for good."""
    _note_removal(db, message)
    db.execute("DELETE FROM attachments WHERE message = ?", (message.id,))
    db.execute("DELETE FROM properties WHERE message = ?", (message.id,))
    db.execute("DELETE FROM messages WHERE id = ?", (message.id,))
    return [Change(message, "deleted")]


def changed_since(
    db: sqlite3.Connection, mailbox: str, folder: str | None, version: int, limit: int
) -> list[tuple[int, Message | sqlite3.Row]]:
    """Return up to `limit` changes after a version, oldest first: messages as they are now, or rows of removals."""
    found: list[tuple[int, Message | sqlite3.Row]] = []
    for row in db.execute(
        "SELECT * FROM messages WHERE mailbox = ?1 AND version > ?2 AND (?3 IS NULL OR folder = ?3) "
        "ORDER BY version LIMIT ?4",
        (mailbox, version, folder, limit),
    ):
        message = _message(row)
        found.append((message.version, message))
    gone = db.execute(
        "SELECT r.*, m.folder AS now_in FROM removals r LEFT JOIN messages m ON m.id = r.message "
        "WHERE r.mailbox = ?1 AND r.version > ?2 AND (?3 IS NULL OR r.folder = ?3) "
        "AND (m.id IS NULL OR (?3 IS NOT NULL AND m.folder <> ?3)) ORDER BY r.version LIMIT ?4",
        (mailbox, version, folder, limit),
    )
    found += [(row["version"], row) for row in gone]
    return sorted(found, key=lambda entry: entry[0])[:limit]


def add_attachment(db: sqlite3.Connection, message: Message, properties: dict[str, Any], content: bytes) -> Attachment:
    """Attach a file; `properties` are Graph's `name`, `contentType`, `isInline`, `contentId`, `contentLocation`."""
    attachment = Attachment(
        id=ids.new_attachment_id(),
        name=properties["name"],
        content_type=properties.get("contentType"),
        size=len(content),
        is_inline=bool(properties.get("isInline")),
        content_id=properties.get("contentId"),
        content_location=properties.get("contentLocation"),
        modified=now(),
        hash=put_content(db, content),
    )
    _insert_attachment(db, message.id, attachment)
    return attachment


def copy_attachments(db: sqlite3.Connection, source: Message, target: Message) -> None:
    """Give a copy of a message the same files."""
    for attachment in attachments_of(db, source):
        _insert_attachment(db, target.id, replace(attachment, id=ids.new_attachment_id()))


def attachments_of(db: sqlite3.Connection, message: Message) -> list[Attachment]:
    """Return a message's attachments in the order they were added."""
    rows = db.execute("SELECT * FROM attachments WHERE message = ? ORDER BY position", (message.id,))
    return [_attachment(row) for row in rows]


def find_attachment(db: sqlite3.Connection, message: Message, attachment_id: str) -> Attachment:
    """Return an attachment of a message; raise GraphError (404) when there is none with this id."""
    row = db.execute("SELECT * FROM attachments WHERE id = ? AND message = ?", (attachment_id, message.id)).fetchone()
    if row is None:
        raise item_not_found()
    return _attachment(row)


def remove_attachment(db: sqlite3.Connection, attachment: Attachment) -> None:
    """Take an attachment off its message."""
    db.execute("DELETE FROM attachments WHERE id = ?", (attachment.id,))


def content_of(db: sqlite3.Connection, attachment: Attachment) -> bytes:
    """Return the bytes of an attachment."""
    return get_content(db, attachment.hash)


def address_in(recipient: dict[str, Any] | None) -> str | None:
    """Return the address in a Graph recipient, or None."""
    return ((recipient or {}).get("emailAddress") or {}).get("address")


def _note_removal(db: sqlite3.Connection, message: Message) -> None:
    db.execute(
        "INSERT INTO removals VALUES (?, ?, ?, ?, ?)",
        (next_version(db), message.mailbox, message.folder, message.id, message.moves),
    )


def _insert_attachment(db: sqlite3.Connection, message_id: str, attachment: Attachment) -> None:
    position = db.execute(
        "SELECT coalesce(max(position), 0) + 1 FROM attachments WHERE message = ?", (message_id,)
    ).fetchone()[0]
    db.execute(
        "INSERT INTO attachments VALUES (?,?,?,?,?,?,?,?,?,?,?)",
        (
            attachment.id,
            message_id,
            position,
            attachment.name,
            attachment.content_type,
            attachment.size,
            attachment.is_inline,
            attachment.content_id,
            attachment.content_location,
            attachment.modified,
            attachment.hash,
        ),
    )


def _message(row: sqlite3.Row) -> Message:
    return Message(
        id=row["id"],
        mailbox=row["mailbox"],
        folder=row["folder"],
        doc=orjson.loads(row["doc"]),
        created=row["created"],
        modified=row["modified"],
        received=row["received"],
        sent=row["sent"],
        is_draft=bool(row["is_draft"]),
        arrived=bool(row["arrived"]),
        moves=row["moves"],
        version=row["version"],
        has_attachments=bool(row["has_attachments"]),
        mime=row["mime"],
    )


def _attachment(row: sqlite3.Row) -> Attachment:
    return Attachment(
        id=row["id"],
        name=row["name"],
        content_type=row["content_type"],
        size=row["size"],
        is_inline=bool(row["is_inline"]),
        content_id=row["content_id"],
        content_location=row["content_location"],
        modified=row["modified"],
        hash=row["hash"],
    )
