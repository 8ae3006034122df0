"""When people opened mail, an email a row, so that their habits are known without reading their mail.

``{org}Records`` has a partition ``opens {id}`` for every person to whom mail went alone, and one, ``opens``, for the
organization; a row's key inverts the time of sending, so the newest mail comes first. A row is written whole from all
of its email's opens: written twice it is the same, judged anew it is corrected.
"""

from shared.engagement.reading_times import load
from shared.engagement.times import MAX_TIME
from shared.storage import records
from shared.storage.calls import side_by_side
from shared.storage.contention import insist
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, literal

ORGANIZATION = "opens"
"""The partition of all of an organization's mail; its rows say in which zone the recipient is."""
NEWEST_OF_PERSON = 200
NEWEST_OF_ORGANIZATION = 1000
"""How many emails' opens are read: the newest, one page of storage."""


def of_person(id: str) -> str:
    """Return the partition of a person's opens."""
    return f"opens {id}"


async def write(
    organization: Organization,
    partition: str,
    email_id: str,
    sent_at: int,
    times: str,
    hits: int,
    zone: str = "",
) -> None:
    """Write the `times` (`shared.engagement.reading_times`) at which an email, sent at `sent_at` (ms), was opened.

    `hits` is how many hits that was told from: what knows fewer never overwrites what knows more.
    """
    key = f"{MAX_TIME - sent_at:014d}:{email_id}"
    columns = {"times": times, "hits": hits, "zone": zone}

    async def attempt() -> None:
        stored = await records.get(organization, partition, key)
        if stored is None:
            await records.insert(organization, partition, key, columns)
        elif stored["hits"] <= hits:
            await records.put(organization, partition, key, columns, stored["etag"])

    await insist(attempt, inserts=True)


async def forget(organization: Organization, partition: str, email_id: str, sent_at: int) -> None:
    """Remove when an email, sent at `sent_at` (ms), was opened."""
    await records.delete(organization, partition, f"{MAX_TIME - sent_at:014d}:{email_id}")


async def forget_person(organization: Organization, id: str) -> None:
    """Remove all of a person's opens."""
    await _remove(organization, f"PartitionKey eq {literal(of_person(id))}")


async def forget_before(organization: Organization, oldest: int) -> None:
    """Remove everybody's opens of mail that was sent before `oldest` (ms)."""
    everybody = f"PartitionKey ge {literal(ORGANIZATION)} and PartitionKey lt {literal(of_person('~'))}"
    await _remove(organization, f"{everybody} and RowKey gt {literal(f'{MAX_TIME - oldest:014d};')}")


async def _remove(organization: Organization, condition: str) -> None:
    async for page in organization.tables.query(organization.records, condition, ("PartitionKey", "RowKey")):
        await side_by_side(lambda row: records.delete(organization, row["PartitionKey"], row["RowKey"]), page)


async def read(organization: Organization, partition: str, newest: int) -> list[tuple[str, int]]:
    """Return the opens of the `newest` emails of a partition: the recipient's zone, "" for a person's, and the time
    (ms)."""
    rows: list[Entity] = []
    condition = f"PartitionKey eq {literal(partition)}"
    async for page in organization.tables.query(organization.records, condition, page_size=newest):
        rows += page
        if len(rows) >= newest:
            break
    return [(row.get("zone", ""), at) for row in rows[:newest] for at in load(row["times"])]
