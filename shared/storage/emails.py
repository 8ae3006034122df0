"""One email is one partition: its record and counters, its parties, links, attachments, and its timeline.

========================  ======================================================================================
row                       holds
========================  ======================================================================================
``email``                 the columns of Dataverse's ``email`` by logical name, and our own, which begin with ``_``
``party:000``             an activity party, in the order given: Dataverse's ``activityparty`` columns
``attachment:{id}``       Dataverse's ``activitymimeattachment`` columns but ``body``, and ``_blob``, which has it
``image:0000``            a hosted inline image, by the item in its token: ``blob``, ``mimetype``
``link:0000``             a link of the body in order: ``item`` (none: not followed), ``target``, ``text``, ``reason``
``interaction:{key}``     one hit or reply; the key inverts the time, so the newest comes first; a flood is counted in
                          one, with the greatest key
========================  ======================================================================================

Every change carries the ``email`` row with If-Match, so that whoever changes an email has seen all of it; a deleted
email does not come back. The HTML body is the blob that ``_body`` names. Emails are made, changed and deleted through
this module, which keeps their index rows (`shared.storage.lists`) and announces what changes in the figures
(`shared.storage.pending_figures`).
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.engagement import figures
from shared.engagement.times import MAX_TIME
from shared.storage import blobs, lists, pending_figures
from shared.storage.account import StorageError, Unavailable
from shared.storage.calls import side_by_side
from shared.storage.organizations import Organization
from shared.storage.tables import MAX_OPERATIONS, Entity, Operation, chunks, literal

EMAIL = "email"
FLOOD = f"interaction:{MAX_TIME:014d}:flood"
_THREAD_FROM = 300
"""From how many rows they are split into transactions in a thread, so that no recipient in this process waits."""


@dataclass(frozen=True, slots=True)
class EmailPartition:
    """An email as it is stored; `interactions` newest first, empty where they were not read."""

    email: Entity
    parties: tuple[Entity, ...]
    attachments: tuple[Entity, ...]
    images: tuple[Entity, ...]
    links: tuple[Entity, ...]
    interactions: tuple[Entity, ...]


async def get_email(organization: Organization, id: str, select: Sequence[str] = ()) -> Entity | None:
    """Return the ``email`` row with its etag, or None."""
    row = await organization.tables.get(organization.emails, id, EMAIL, select)
    return None if row is None else _without_cleared(row)


async def read_partition(
    organization: Organization, id: str, *, interactions: bool = False, columns: Collection[str] = ()
) -> EmailPartition | None:
    """Return an email with everything under it, or None where there is no such email.

    There may be very many interactions: where `columns` are given, only these of them stay in memory.
    """
    condition = f"PartitionKey eq {literal(id)}"
    if not interactions:
        condition += " and (RowKey lt 'interaction:' or RowKey ge 'interaction;')"
    kinds: dict[str, list[Entity]] = {}
    async for page in organization.tables.query(organization.emails, condition):
        for row in page:
            kind = row["RowKey"].partition(":")[0]
            if columns and kind == "interaction":
                kinds.setdefault(kind, []).append({name: row[name] for name in columns if name in row})
            else:
                kinds.setdefault(kind, []).append(row)
    if EMAIL not in kinds:
        return None
    return EmailPartition(
        _without_cleared(kinds[EMAIL][0]),
        *(tuple(kinds.get(kind, ())) for kind in ("party", "attachment", "image", "link", "interaction")),
    )


async def get_flood(organization: Organization, id: str) -> Entity | None:
    """Return the row that counts a flood of hits on an email, or None."""
    return await organization.tables.get(organization.emails, id, FLOOD)


async def listed(
    organization: Organization, where: str, column: str, after: lists.Place | None = None, page_size: int = 50
) -> AsyncIterator[list[Entity]]:
    """Yield the ``email`` rows of a list (`shared.storage.lists`) in its order, page by page."""
    async for keys in lists.walk(organization, where, column, after, page_size):
        found = await get_emails(organization, [lists.id_of(key) for key in keys])
        yield [
            email
            for key, email in zip(keys, found, strict=True)
            if email is not None and lists.names(email, where, key)
        ]


async def get_emails(organization: Organization, ids: Sequence[str]) -> list[Entity | None]:
    """Return the ``email`` rows of these ids in their order, None where there is none."""
    return await side_by_side(lambda email: get_email(organization, email), ids)


async def sent(organization: Organization) -> AsyncIterator[list[str]]:
    """Yield, page by page, the ids of all outgoing mail that was sent, read from one end of the table to the other."""
    columns = ("PartitionKey", "statuscode", "directioncode", "senton")
    async for page in organization.tables.query(organization.emails, f"RowKey eq '{EMAIL}'", columns):
        yield [row["PartitionKey"] for row in page if figures.sources(row)]


async def insert(organization: Organization, email: Entity, rows: Sequence[Entity]) -> None:
    """Write a new email with `rows` under it, its own row last: until then there is no email.

    Raises `Conflict` where there is one of this id.
    """
    listing = lists.plan(email)
    inserts = [Operation("insert", row) for row in (*rows, {**email, "_lists": listing.names})]
    await _carry_out(organization, listing, chunks(inserts))


async def commit(
    organization: Organization,
    email: Entity,
    changes: Mapping[str, Any],
    rows: Sequence[Operation] = (),
    leaves: Collection[str] = (),
) -> None:
    """Change an email that still is as it was read: merge `changes` into its row, and carry out `rows` under it.

    A change to None clears the column. `leaves` are scopes of the figures that it may leave because its parties change.
    Beyond one transaction the rows go first, in chunks, and the email's row with the last. Parties say who sends and
    who is written to, so each chunk that has some is written only while the email still is as it was judged. Raises
    `PreconditionFailed` where somebody was faster and `NotFound` where the email is gone; the caller reads again and
    decides anew.
    """
    listing = lists.plan({**email, **changes})
    counts = bool(leaves) or figures.sources(email) != figures.sources({**email, **changes})
    if counts:
        changes = {**changes, "_figures": version_of(email) + 1}
        await pending_figures.announce(
            organization, email["PartitionKey"], changes["_figures"], {*figures.scopes(email, ()), *leaves}
        )
    # A merge cannot remove a property, so a cleared column is stored as "" and not read back.
    cleared = {name: "" if value is None else value for name, value in changes.items()}
    if listing.added or listing.removed:
        cleared["_lists"] = listing.names
    keys = {"PartitionKey": email["PartitionKey"], "RowKey": EMAIL}
    head = Operation("merge", {**cleared, **keys}, email["etag"])
    changed = [*rows, head]
    transactions = chunks(changed) if len(changed) < _THREAD_FROM else await asyncio.to_thread(chunks, changed)
    if len(transactions) > 1 and any(row.entity["RowKey"].startswith("party:") for row in rows):
        touch = Operation("merge", keys, email["etag"])
        transactions = [[touch, *chunk] for chunk in chunks(rows, MAX_OPERATIONS - 1)] + [[head]]
    await _carry_out(organization, listing, transactions)
    if counts:
        await pending_figures.hint(organization)


async def announce_deletion(organization: Organization, rows: Sequence[Entity]) -> None:
    """Announce, before it happens, that an email is deleted with all of its `rows`."""
    email = next(row for row in rows if row["RowKey"] == EMAIL)
    scopes = figures.scopes(email, [row for row in rows if row["RowKey"].startswith("party:")])
    if scopes:
        version = version_of(email) + 1
        await pending_figures.announce(organization, email["PartitionKey"], version, scopes, removed=True)


async def unlist(organization: Organization, email: Mapping[str, Any]) -> None:
    """Remove the index rows of an email that was deleted, which readers pass over, and have the figures know."""
    await lists.remove(organization, lists.owned(email))
    if figures.sources(email):
        await pending_figures.hint(organization)


def version_of(email: Mapping[str, Any]) -> int:
    """Return how often an email has changed what it adds to the figures."""
    return int(email.get("_figures") or 0)


async def _carry_out(organization: Organization, listing: lists.Change, transactions: list[list[Operation]]) -> None:
    """Carry out transactions; one that begins with the email's row is about the version that the one before left."""
    await lists.write(organization, listing.added)
    version = ""
    try:
        for first, *others in transactions:
            leads = first.entity["RowKey"] == EMAIL
            head = replace(first, etag=version) if leads and version else first
            etags = await organization.tables.transact(organization.emails, [head, *others])
            version = etags[0] if leads else ""
    except StorageError as error:
        # A call that was not answered may have been carried out: the email may name these rows.
        if not isinstance(error, Unavailable):
            await lists.remove(organization, listing.added)
        raise
    await lists.remove(organization, listing.removed)


def image_blob(id: str, item: int) -> str:
    """Return the name of the blob that holds a hosted image, known from its token alone."""
    return f"images/{id}/{item:04d}"


async def read_body(organization: Organization, email: Entity) -> str:
    """Return the HTML body that an email row names, "" where it has none."""
    name = email.get("_body")
    return (await blobs.get(organization, name)).decode("utf-8", "surrogatepass") if name else ""


def interaction_key(at: int, hit: str) -> str:
    """Return the row key of an interaction: `at` in milliseconds since the epoch, and the identity of the hit."""
    return f"interaction:{MAX_TIME - at:014d}:{hit}"


def _without_cleared(row: Entity) -> Entity:
    return {name: value for name, value in row.items() if value != ""}
