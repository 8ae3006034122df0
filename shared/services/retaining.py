"""Retention: hits older than the organization keeps, when they were read, and cards about them are removed.

Counters and figures stay: an email keeps what they need as numbers (`shared.engagement.frozen`). Replies, their text
and the mail itself are correspondence and stay until they are deleted as such; so does the proof of consent.

The work is cut into slices, ranges of the emails' ids, as wide as a second or so allows; a message takes as many as
its time allows and sends the next one. Every slice can be repeated.
"""

import logging
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.engagement import frozen
from shared.engagement.labels import load
from shared.engagement.reading_times import dump as dump_times
from shared.engagement.reading_times import reading_times
from shared.engagement.times import MAX_TIME, iso_seconds
from shared.services.folding import facts_of, flooded_of, is_flood_before, oldest_kept, tell_all
from shared.storage import emails, opens, queues, records
from shared.storage.account import NotFound, StorageError
from shared.storage.contention import insist
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization, list_organizations
from shared.storage.tables import Operation, chunks, literal

SLICES = 256
BUDGET = 20.0
"""Seconds of work that one message takes."""
RETAIN = "retain"
_FAST = 1.0
"""Seconds within which a reading makes the next one twice as wide."""

_CARDS = ("actioncard", "actioncarduserstate")

_log = logging.getLogger(__name__)


async def start(now: datetime) -> None:
    """Send every organization that keeps hits for some days only on its way."""
    for organization in await list_organizations():
        if oldest_kept(organization, now):
            try:
                await queues.send(queues.PRIVACY, {"organization": organization.name, "work": RETAIN, "slice": "0"})
            except StorageError as error:
                _log.warning("retention of %s waits for tomorrow: %s", organization.name, error.code)


async def retain(
    organization: Organization, work: Mapping[str, str], now: datetime, budget: float = BUDGET
) -> dict[str, str] | None:
    """Remove what is too old, from the slice that `work` names on; return the work that remains, None for none."""
    oldest = oldest_kept(organization, now)
    if not oldest:
        return None
    pace, number = Pace(budget), int(work["slice"])
    while number < SLICES:
        async for email_id in _due(organization, number, pace.width, oldest):
            await _clear(organization, email_id, oldest)
        number += pace.width
        if pace.is_over():
            return {**work, "slice": str(number)}
    await opens.forget_before(organization, oldest)
    await _remove_cards(organization, oldest)
    return None


class Pace:
    """How many slices are read at once, and whether a message's time, `budget` in seconds, is over."""

    def __init__(self, budget: float) -> None:
        self.width = 1
        self._last = time.monotonic()
        self._end = self._last + budget

    def is_over(self) -> bool:
        """Return whether the time is over; to be asked after each reading, by which the next one's width is chosen."""
        now = time.monotonic()
        self.width = min(2 * self.width, SLICES) if now - self._last < _FAST else max(1, self.width // 4)
        self._last = now
        return now > self._end


def range_of(number: int, width: int) -> str:
    """Return the condition for the emails of `width` slices from one on, by the first two characters of their ids.

    >>> range_of(1, 1), range_of(254, 4)
    ("PartitionKey ge '01' and PartitionKey lt '02'", "PartitionKey ge 'fe' and PartitionKey lt '~'")
    """
    first, last = f"{number:02x}" if number else "", f"{number + width:02x}" if number + width < SLICES else "~"
    return f"PartitionKey ge {literal(first)} and PartitionKey lt {literal(last)}"


async def _due(organization: Organization, number: int, width: int, oldest: int) -> AsyncIterator[str]:
    """Yield the emails of some slices that have hits older than `oldest` (ms)."""
    # Keys invert the time: what is older comes after.
    first = f"interaction:{MAX_TIME - oldest:014d};"
    condition = f"{range_of(number, width)} and RowKey ge {literal(first)} and RowKey lt 'interaction;'"
    columns = ("PartitionKey", "_hit", "_flood", "emailinteractiontime")
    last = ""
    async for page in organization.tables.query(organization.emails, condition, columns):
        for row in page:
            is_due = "_hit" in row or ("_flood" in row and is_flood_before(row, oldest))
            if is_due and row["PartitionKey"] != last:
                last = row["PartitionKey"]
                yield last


async def _clear(organization: Organization, email_id: str, oldest: int) -> None:
    """Remove an email's hits older than `oldest` (ms); what it counted stays counted."""

    async def attempt() -> None:
        partition = await emails.read_partition(organization, email_id, interactions=True)
        if partition is not None:
            await _remove_hits(organization, partition, oldest)

    await insist(attempt)


async def _remove_hits(organization: Organization, partition: EmailPartition, oldest: int) -> None:
    # The numbers first, with the time before which hits are in them: whoever folds while rows are removed looks at none
    # of those, and a crash in between loses no count and counts nothing twice.
    await emails.commit(organization, partition.email, await _changes(partition, oldest))
    gone = [row for row in partition.interactions if _is_gone(row, oldest)]
    # A flood's row may have been written anew meanwhile; a hit's never changes its time.
    for chunk in chunks([Operation("delete", row, row["etag"] if "_flood" in row else "*") for row in gone]):
        await _delete(organization, chunk)


def _is_gone(row: Mapping[str, Any], oldest: int) -> bool:
    if "_observation" in row:
        return load(row["_observation"]).at < oldest
    return "_flood" in row and is_flood_before(row, oldest)


async def _changes(partition: EmailPartition, oldest: int) -> dict[str, Any]:
    facts, kept = facts_of(partition), frozen.load(partition.email.get("_frozen"))
    hits = [load(row["_observation"]) for row in partition.interactions if "_observation" in row]
    before = await tell_all(facts, [hit for hit in hits if hit.at >= kept.before])
    after = await tell_all(facts, [hit for hit in hits if hit.at >= max(oldest, kept.before)])
    flood = next((row for row in partition.interactions if "_flood" in row), None)
    ends = flood is not None and is_flood_before(flood, oldest)
    counted = flooded_of(flood, kept.before).kinds if ends else {}
    return {
        "_frozen": frozen.dump(frozen.freeze(before, after, kept, oldest, counted)),
        "_readat": dump_times(reading_times(after)) or None,
        **({"_flooded": None} if ends else {}),
    }


async def _delete(organization: Organization, operations: Sequence[Operation]) -> None:
    """Delete rows of one email together, or one by one where somebody else has deleted some of them."""
    try:
        await organization.tables.transact(organization.emails, operations)
    except NotFound:
        if len(operations) > 1:
            for operation in operations:
                await _delete(organization, [operation])


async def _remove_cards(organization: Organization, oldest: int) -> None:
    before = iso_seconds(oldest)
    for table in _CARDS:
        async for page in records.query(organization, table, f"createdon lt {literal(before)}", ("RowKey",)):
            for row in page:
                await records.delete(organization, table, row["RowKey"])
