"""The journal: where a hit is first written, in group commits, and read by the fold seconds later.

A hit's identity is its writer and the writer's sequence, fixed before the first write; the partition is the minute and
the writer. All hits of one group commit are one entity: a flush is one insert however many hits ride in it, which is a
third of the work of as many entities in a transaction (docs/decisions.md). Every write has a row key of its own, so
that nothing is ever replaced; a hit that is written twice is found twice, and the fold takes it once.

Of a flood only a count is journalled: one row stands for as many hits as their sequence numbers say, which follow each
other (`shared.engagement.floods`).
"""

import asyncio
import os
import re
from collections import deque
from collections.abc import AsyncIterator, Callable
from itertools import count
from typing import Any

import orjson

from shared.engagement.flooded import Counted
from shared.engagement.hits import Hit, Kind
from shared.engagement.ranges import Run
from shared.engagement.times import MAX_TIME
from shared.storage.account import NotFound, StorageError, account_of
from shared.storage.organizations import Organization, journal_table
from shared.storage.tables import Entity, EntityWriter, Operation, Tables, literal

type Row = dict[str, Any]

MAX_BATCH = 100
MAX_PROPERTY = 30_000
"""Characters of a string property; the service takes 32,768 (64 KiB in UTF-16)."""

WRITER = os.urandom(8).hex()
"""This process: 64 random bits."""

_sequence = count(1)
_writes = count(1)


def make_row(hit: Hit, email: str, key: int) -> Row:
    """Return what is journalled of a hit on `email`, whose token named `key`."""
    return {
        "partition": f"{hit.at // 60_000:010d}-{hit.id[:16]}",
        "sequence": hit.id[17:],
        "email": email,
        "hit": (int(hit.kind), hit.item, hit.at, hit.method, hit.address, hit.query, key, hit.headers),
    }


def read_hit(row: Row) -> tuple[Hit, int]:
    """Return the hit that was journalled, and the key id that its token named."""
    kind, item, at, method, address, query, key, headers = row["hit"]
    identity = f"{row['partition'][11:]}-{row['sequence']}"
    return Hit(identity, Kind(kind), item, at, method, address, headers, query), key


def make_count(sequence: int, email: str, at: int, kind: Kind = Kind.OPEN) -> Row:
    """Return what is journalled of a hit on `email` that is only counted; `at` is milliseconds since the epoch."""
    return {
        "partition": f"{at // 60_000:010d}-{WRITER}",
        "sequence": f"{sequence:012d}",
        "email": email,
        "hit": [1, int(kind), at, at],
    }


def count_in(row: Row, next_row: Row) -> bool:
    """Let a row of `make_count` stand for the hits of another too; return False where they do not follow its own."""
    hits, kind, first, last = row["hit"]
    more, next_kind, next_first, next_last = next_row["hit"]
    follows: bool = int(row["sequence"]) + hits == int(next_row["sequence"]) and kind == next_kind
    if follows:
        row["hit"][:] = hits + more, kind, min(first, next_first), max(last, next_last)
    return follows


def counted(row: Row) -> Counted | None:
    """Return the hits that a row only counts; None where it is a hit."""
    if len(row["hit"]) >= _FIELDS:
        return None
    first = int(row["sequence"])
    run = row["partition"][11:], first, first + row["hit"][0] - 1
    if len(row["hit"]) == 1:
        # As rows were written that say no more than how many hits they count.
        minute = partition_minute(row["partition"]) * 60_000
        return Counted(run, None, minute, minute)
    return Counted(run, Kind(row["hit"][1]), *row["hit"][2:])


def counted_run(row: Row) -> Run | None:
    """Return which hits a row only counts; None where it is a hit."""
    found = counted(row)
    return None if found is None else found.run


_FIELDS = 8
"""Of a hit in a row; a count has fewer."""
_PARTITION = re.compile(r"\d{10}-[0-9a-f]{16}")
_SEQUENCE = re.compile(r"\d{12,18}")
_EMAIL = re.compile(r"[\w-]{1,64}")


def is_row(row: object) -> bool:
    """Return whether this is a row as `make_row` and `make_count` make them."""
    match row:
        case {"partition": str(partition), "sequence": str(sequence), "email": str(email), "hit": [*hit]}:
            named = _PARTITION.fullmatch(partition) and _SEQUENCE.fullmatch(sequence) and _EMAIL.fullmatch(email)
            return bool(named) and _is_hit(hit)
    return False


def _is_hit(hit: list[Any]) -> bool:
    kinds = set(Kind)
    match hit:
        case [int(kind), int(), int(at), str(), str(), str(), int(), {**headers}]:
            texts = (text for header in headers.items() for text in header)
            return kind in kinds and 0 <= at < MAX_TIME and all(isinstance(text, str) for text in texts)
        case [int(hits)]:
            return hits > 0
        case [int(hits), int(kind), int(first), int(last)]:
            return hits > 0 and kind in kinds and 0 <= first <= last < MAX_TIME
    return False


def received_at(row: Row) -> int:
    """Return when a hit came (milliseconds since the epoch)."""
    at: int = row["hit"][2]
    return at


def next_hit_id() -> str:
    """Return the identity of this process's next hit."""
    return f"{WRITER}-{next(_sequence):012d}"


def partition_minute(partition: str) -> int:
    """Return the minute since the epoch that a partition is of."""
    return int(partition[:10])


class Writer:
    """One process's group commit into one organization's journal.

    One flush is in flight at a time; hits that arrive meanwhile ride in the next one. `committed` is told of every
    partition when its first rows are committed.
    """

    def __init__(self, organization: str, committed: Callable[[str, str], None]) -> None:
        self.organization = organization
        self.batches = 0
        """How many batches were taken so far; a row may be changed until the next one is."""
        self._committed = committed
        self._pending: deque[tuple[Row, asyncio.Future[bool]]] = deque()
        self._flushing: asyncio.Task[None] | None = None
        self._last_partition = ""
        self._entities = EntityWriter(account_of(organization), journal_table(organization))

    def append(self, row: Row) -> asyncio.Future[bool]:
        """Queue a row and return a future: True once it is committed, False where the write failed.

        The caller may resolve it first, which withdraws a row that no flush has taken yet.
        """
        future = asyncio.get_running_loop().create_future()
        self._pending.append((row, future))
        if self._flushing is None:
            self._flushing = asyncio.create_task(self._flush())
        return future

    async def _flush(self) -> None:
        try:
            while batch := self._take_batch():
                done = await self._write([row for row, _ in batch])
                for _, future in batch:
                    if not future.done():
                        future.set_result(done)
        finally:
            self._flushing = None

    def _take_batch(self) -> list[tuple[Row, asyncio.Future[bool]]]:
        self.batches += 1
        batch: list[tuple[Row, asyncio.Future[bool]]] = []
        while self._pending and len(batch) < MAX_BATCH:
            row, future = self._pending[0]
            if batch and row["partition"] != batch[0][0]["partition"]:
                break
            self._pending.popleft()
            if not future.done():
                batch.append((row, future))
        return batch

    async def _write(self, rows: list[Row]) -> bool:
        try:
            await self._entities.put(_entity(rows))
        except NotFound:
            # The organization is gone, and its hits with it.
            return True
        except StorageError:
            return False
        partition = rows[0]["partition"]
        if partition != self._last_partition:
            self._last_partition = partition
            self._committed(self.organization, partition)
        return True


async def write_rows(organization: str, rows: list[Row]) -> None:
    """Write hits of one partition, at most 100, in one entity. Those of an organization that is gone are dropped.

    Raises `Unavailable` where the same call may succeed later, `StorageError` where it is refused.
    """
    try:
        await Tables(account_of(organization)).apply(journal_table(organization), Operation("put", _entity(rows)))
    except NotFound:
        return


def hits_of(entity: Entity) -> list[Row]:
    """Return the hits that an entity of the journal holds."""
    partition = entity["PartitionKey"]
    texts = [line for name, text in entity.items() if name.startswith("hits") for line in text.split("\n")]
    loaded = map(orjson.loads, texts)
    return [{"partition": partition, "sequence": s, "email": email, "hit": hit} for s, email, hit in loaded]


def _entity(rows: list[Row]) -> Entity:
    return {
        "PartitionKey": rows[0]["partition"],
        "RowKey": f"{rows[0]['sequence']}-{WRITER}-{next(_writes)}",
        **_properties(rows),
    }


def _properties(rows: list[Row]) -> dict[str, str]:
    """Return the hits as JSON, one a line, in as few properties as their size allows."""
    groups: list[list[str]] = [[]]
    length = 0
    for row in rows:
        text = orjson.dumps((row["sequence"], row["email"], row["hit"])).decode()
        if groups[-1] and length + len(text) > MAX_PROPERTY:
            groups.append([])
            length = 0
        groups[-1].append(text)
        length += len(text) + 1
    return {f"hits{number}": "\n".join(group) for number, group in enumerate(groups)}


async def read_hits(
    organization: Organization, partition: str, most: int, entities: int
) -> tuple[list[Entity], list[Row], bool]:
    """Return a partition's first entities, by their keys, what they hold, and whether there may be more: `most` hits or
    so many `entities`, or up to a hundred entities more."""
    keys: list[Entity] = []
    rows: list[Row] = []
    condition = f"PartitionKey eq {literal(partition)}"
    async for page in organization.tables.query(organization.journal, condition, page_size=min(entities, MAX_BATCH)):
        for entity in page:
            keys.append({"PartitionKey": entity["PartitionKey"], "RowKey": entity["RowKey"]})
            rows.extend(hits_of(entity))
        if len(rows) >= most or len(keys) >= entities:
            return keys, rows, True
    return keys, rows, False


async def read_rows(organization: Organization, partition: str, limit: int | None = None) -> list[Entity]:
    """Return a partition's entities in order, at most `limit` or a page more; `hits_of` unpacks them."""
    rows: list[Entity] = []
    condition = f"PartitionKey eq {literal(partition)}"
    async for page in organization.tables.query(organization.journal, condition, page_size=min(limit or 1000, 1000)):
        rows.extend(page)
        if limit is not None and len(rows) >= limit:
            break
    return rows


async def delete_rows(organization: Organization, rows: list[Entity]) -> None:
    """Delete exactly these entities of one partition; some may be gone already."""
    for at in range(0, len(rows), MAX_BATCH):
        await _delete(
            organization,
            [
                Operation("delete", {"PartitionKey": row["PartitionKey"], "RowKey": row["RowKey"]}, etag="*")
                for row in rows[at : at + MAX_BATCH]
            ],
        )


async def _delete(organization: Organization, operations: list[Operation]) -> None:
    try:
        await organization.tables.transact(organization.journal, operations)
    except NotFound:
        # Another fold of the same partition was faster with some of them; a transaction is all or none.
        for operation in operations if len(operations) > 1 else []:
            await _delete(organization, [operation])


async def old_partitions(organization: Organization, before_minute: int) -> list[str]:
    """Return the partitions of minutes before this one that still hold rows, oldest first."""
    found: list[str] = []
    after, end = "", f"{before_minute:010d}"
    while True:
        condition = f"PartitionKey gt {literal(after)} and PartitionKey lt {literal(end)}"
        pages = organization.tables.query(organization.journal, condition, ("PartitionKey",), page_size=1)
        # A page of one row may be empty with a continuation; a partition is skipped whole by asking beyond it.
        first = await _first(pages)
        if first is None:
            return found
        found.append(first["PartitionKey"])
        after = first["PartitionKey"]


async def _first(pages: AsyncIterator[list[Entity]]) -> Entity | None:
    async for page in pages:
        if page:
            return page[0]
    return None
