"""The agenda: what the timer must do, by minute, across all organizations. Entries carry ids only.

There is no watermark: the timer reads everything up to now and deletes an entry after handing it over. An entry is
written before the email that it is about; whoever acts on it compares with the email and drops what no longer matches.

A partition is one minute of one shard, so that a popular minute is not one partition (Azure gives one 2,000 operations
a second) and the entries that are due are one range of keys per shard, however many are not due yet.
"""

import logging
import zlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import batched

from shared.storage import undo
from shared.storage.account import NotFound, host_account
from shared.storage.tables import MAX_OPERATIONS, Entity, Operation, Tables, literal

AGENDA = "Agenda"
SHARDS = tuple("0123456789abcdef")
"""The shards; an entry's is a hash of its email's id."""

_MINUTE = "%Y%m%d%H%M"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to do for one email at a time, to the second; `kind` is what, such as ``deliver``."""

    due: datetime
    kind: str
    organization: str
    email: str


async def add(entry: Entry) -> None:
    """Write an entry; writing it again changes nothing.

    A change set that fails takes it back only with all else: an email that storage did not take back would wait for
    ever without it, while whoever finds an entry of one that is gone drops it.
    """
    with undo.hinting():
        await Tables(host_account()).apply(AGENDA, Operation("put", entity(entry)))


async def due(now: datetime, shards: Sequence[str] = SHARDS) -> AsyncIterator[list[Entry]]:
    """Yield, page by page, the entries of every minute up to and including now's; of each shard the earliest first."""
    minute = now.astimezone(UTC).strftime(_MINUTE)
    for shard in shards:
        condition = f"PartitionKey ge {literal(f'{shard}:')} and PartitionKey le {literal(f'{shard}:{minute}')}"
        async for page in Tables(host_account()).query(AGENDA, condition):
            yield [entry for row in page if (entry := _entry(row["PartitionKey"], row["RowKey"])) is not None]


async def remove_organization(organization: str) -> int:
    """Delete every entry of an organization, due or not, and return how many there were."""
    count = 0
    async for page in Tables(host_account()).query(AGENDA):
        found = (_entry(row["PartitionKey"], row["RowKey"]) for row in page)
        own = [entry for entry in found if entry is not None and entry.organization == organization]
        await remove(own)
        count += len(own)
    return count


async def remove(entries: Iterable[Entry]) -> None:
    """Delete entries that have been handed over; they may be gone already."""
    partitions: dict[str, list[Operation]] = {}
    for row in map(entity, entries):
        partitions.setdefault(row["PartitionKey"], []).append(Operation("delete", row, "*"))
    for operations in partitions.values():
        for some in batched(operations, MAX_OPERATIONS, strict=False):
            await _delete(some)


async def _delete(operations: Sequence[Operation]) -> None:
    """Delete rows of one partition together, or one by one where somebody else has deleted some of them."""
    try:
        await Tables(host_account()).transact(AGENDA, operations)
    except NotFound:
        if len(operations) > 1:
            for operation in operations:
                await _delete([operation])


def entity(entry: Entry) -> Entity:
    """Return the row of an entry: all of it is in the keys."""
    moment = entry.due.astimezone(UTC)
    shard = SHARDS[zlib.crc32(entry.email.encode()) % len(SHARDS)]
    return {
        "PartitionKey": f"{shard}:{moment:{_MINUTE}}",
        "RowKey": f"{moment:%S}:{entry.organization}:{entry.kind}:{entry.email}",
    }


def _entry(partition: str, row: str) -> Entry | None:
    try:
        second, organization, kind, email = row.split(":")
        moment = datetime.strptime(partition.partition(":")[2] + second, f"{_MINUTE}%S").replace(tzinfo=UTC)
    except ValueError:
        _log.error("the agenda has an entry that nobody here can have written; delete it: %s/%s", partition, row)
        return None
    return Entry(moment, kind, organization, email)
