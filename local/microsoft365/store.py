"""What the stand-in remembers, in one SQLite file, so that a restart keeps mail, files and subscriptions.

One connection, used from the event loop's thread only: every change runs to its commit without a pause, which makes the
loop the one writer.
"""

import hashlib
import sqlite3
from pathlib import Path

_SCHEMA = """
CREATE TABLE IF NOT EXISTS contents (hash TEXT PRIMARY KEY, bytes BLOB NOT NULL) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS messages (
  id TEXT PRIMARY KEY, mailbox TEXT NOT NULL, folder TEXT NOT NULL, version INTEGER NOT NULL, moves INTEGER NOT NULL,
  arrived INTEGER NOT NULL, created REAL NOT NULL, modified REAL NOT NULL, received REAL NOT NULL, sent REAL NOT NULL,
  is_draft INTEGER NOT NULL, is_read INTEGER NOT NULL, has_attachments INTEGER NOT NULL, conversation TEXT NOT NULL,
  internet_id TEXT NOT NULL, subject TEXT NOT NULL, from_address TEXT NOT NULL, importance TEXT NOT NULL,
  doc BLOB NOT NULL, mime BLOB);
CREATE INDEX IF NOT EXISTS messages_by_folder ON messages (mailbox, folder, received);
CREATE INDEX IF NOT EXISTS messages_by_conversation ON messages (mailbox, conversation);
CREATE INDEX IF NOT EXISTS messages_by_internet_id ON messages (mailbox, internet_id);
CREATE INDEX IF NOT EXISTS messages_by_version ON messages (mailbox, version);

CREATE TABLE IF NOT EXISTS properties (
  message TEXT NOT NULL, property TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (message, property)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS properties_by_value ON properties (property, value);

CREATE TABLE IF NOT EXISTS attachments (
  id TEXT PRIMARY KEY, message TEXT NOT NULL, position INTEGER NOT NULL, name TEXT NOT NULL, content_type TEXT,
  size INTEGER NOT NULL, is_inline INTEGER NOT NULL, content_id TEXT, content_location TEXT, modified REAL NOT NULL,
  hash TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS attachments_by_message ON attachments (message, position);

CREATE TABLE IF NOT EXISTS removals (
  version INTEGER NOT NULL, mailbox TEXT NOT NULL, folder TEXT NOT NULL, message TEXT NOT NULL, moves INTEGER NOT NULL);
CREATE INDEX IF NOT EXISTS removals_by_mailbox ON removals (mailbox, version);

CREATE TABLE IF NOT EXISTS items (
  id TEXT PRIMARY KEY, owner TEXT NOT NULL, parent TEXT NOT NULL, name TEXT NOT NULL COLLATE NOCASE,
  is_folder INTEGER NOT NULL, content_type TEXT, size INTEGER NOT NULL, hash TEXT, version INTEGER NOT NULL,
  created REAL NOT NULL, modified REAL NOT NULL, download TEXT NOT NULL UNIQUE, UNIQUE (owner, parent, name));

CREATE TABLE IF NOT EXISTS links (
  id TEXT PRIMARY KEY, item TEXT NOT NULL, type TEXT NOT NULL, scope TEXT NOT NULL, token TEXT NOT NULL UNIQUE,
  expires REAL, UNIQUE (item, type, scope));

CREATE TABLE IF NOT EXISTS uploads (
  id TEXT PRIMARY KEY, kind TEXT NOT NULL, target TEXT NOT NULL, size INTEGER, received INTEGER NOT NULL,
  expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS upload_parts (
  upload TEXT NOT NULL, start INTEGER NOT NULL, bytes BLOB NOT NULL, PRIMARY KEY (upload, start)) WITHOUT ROWID;

CREATE TABLE IF NOT EXISTS subscriptions (
  id TEXT PRIMARY KEY, tenant TEXT NOT NULL, application TEXT NOT NULL, resource TEXT NOT NULL, mailbox TEXT NOT NULL,
  folder TEXT, filter TEXT, changes TEXT NOT NULL, url TEXT NOT NULL, lifecycle_url TEXT, client_state TEXT,
  immutable INTEGER NOT NULL, expires REAL NOT NULL);

CREATE TABLE IF NOT EXISTS switches (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
"""


def open_store(path: Path | str) -> sqlite3.Connection:
    """Open (and create) the store at a path, or in memory for `:memory:`."""
    db = sqlite3.connect(path, check_same_thread=False)
    db.row_factory = sqlite3.Row
    db.execute("PRAGMA journal_mode = WAL")
    # A crash of the process loses nothing; only one of the machine could, and this is a stand-in.
    db.execute("PRAGMA synchronous = OFF")
    db.executescript(_SCHEMA)
    return db


def next_version(db: sqlite3.Connection) -> int:
    """Return the next number of the store's one sequence of changes."""
    row = db.execute(
        "INSERT INTO counters VALUES ('version', 1) ON CONFLICT (name) DO UPDATE SET value = value + 1 RETURNING value"
    ).fetchone()
    return int(row["value"])


def put_content(db: sqlite3.Connection, content: bytes) -> str:
    """Keep bytes under their SHA-256 and return it; the same bytes are kept once."""
    digest = hashlib.sha256(content).hexdigest()
    db.execute("INSERT OR IGNORE INTO contents VALUES (?, ?)", (digest, content))
    return digest


def get_content(db: sqlite3.Connection, digest: str) -> bytes:
    """Return the bytes kept under a SHA-256."""
    row = db.execute("SELECT bytes FROM contents WHERE hash = ?", (digest,)).fetchone()
    return bytes(row["bytes"])


def is_on(db: sqlite3.Connection, switch: str) -> bool:
    """Return whether a switch is on; all are until somebody turns one off."""
    row = db.execute("SELECT value FROM switches WHERE name = ?", (switch,)).fetchone()
    return row is None or bool(row["value"])


def turn(db: sqlite3.Connection, switch: str, on: bool) -> None:
    """Turn a switch on or off."""
    with db:
        db.execute("INSERT OR REPLACE INTO switches VALUES (?, ?)", (switch, int(on)))
