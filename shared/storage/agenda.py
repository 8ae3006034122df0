"""The agenda: what the timer must do, by minute, across all organizations. Entries carry ids only.

There is no watermark: the timer reads every partition up to now and deletes an entry after handing it over. An entry is
written before the email that it is about; whoever acts on it compares with the email and drops what no longer matches.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime

from shared.storage.account import NotFound, host_account
from shared.storage.tables import Operation, Tables, literal

AGENDA = "Agenda"

_FORMAT = "%Y%m%d%H%M"


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to do for one email at a minute; `kind` is what, such as ``deliver``."""

    due: datetime
    kind: str
    organization: str
    email: str


async def add(entry: Entry) -> None:
    """Write an entry; writing it again changes nothing."""
    partition, row = _keys(entry)
    await Tables(host_account()).apply(AGENDA, Operation("put", {"PartitionKey": partition, "RowKey": row}))


async def due(now: datetime) -> AsyncIterator[list[Entry]]:
    """Yield, page by page, the entries of every minute up to and including now's, earliest first."""
    last = now.astimezone(UTC).strftime(_FORMAT)
    async for page in Tables(host_account()).query(AGENDA, f"PartitionKey le {literal(last)}"):
        yield [_entry(row["PartitionKey"], row["RowKey"]) for row in page]


async def remove(entry: Entry) -> None:
    """Delete an entry that has been handed over; it may be gone already."""
    partition, row = _keys(entry)
    try:
        await Tables(host_account()).apply(
            AGENDA, Operation("delete", {"PartitionKey": partition, "RowKey": row}, etag="*")
        )
    except NotFound:
        return


def _keys(entry: Entry) -> tuple[str, str]:
    return entry.due.astimezone(UTC).strftime(_FORMAT), f"{entry.organization}:{entry.kind}:{entry.email}"


def _entry(partition: str, row: str) -> Entry:
    organization, kind, email = row.split(":")
    return Entry(datetime.strptime(partition, _FORMAT).replace(tzinfo=UTC), kind, organization, email)
