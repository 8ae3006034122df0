"""One email is one partition: its record and counters, its parties, links, attachments, and its timeline.

========================  ======================================================================================
row                       holds
========================  ======================================================================================
``email``                 the columns of Dataverse's ``email`` by logical name, and our own, which begin with ``_``
``party:000``             an activity party, in the order given: Dataverse's ``activityparty`` columns
``attachment:{id}``       Dataverse's ``activitymimeattachment`` columns but ``body``, and ``_blob``, which has it
``image:0000``            a hosted inline image, by the item in its token: ``blob``, ``mimetype``
``link:0000``             a link of the body in order: ``item`` (none: not followed), ``target``, ``text``, ``reason``
``interaction:{key}``     one hit or reply; the key inverts the time, so the newest comes first
========================  ======================================================================================

Every change carries the ``email`` row with If-Match, so that whoever changes an email has seen all of it; a deleted
email does not come back. The HTML body is the blob that ``_body`` names.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shared.storage import blobs
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation, chunks, literal

EMAIL = "email"
MAX_TIME = 10**14
"""Milliseconds since the epoch beyond every real time (the year 5138), to invert times with."""


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


async def read_partition(organization: Organization, id: str, *, interactions: bool = False) -> EmailPartition | None:
    """Return an email with everything under it, or None where there is no such email."""
    condition = f"PartitionKey eq {literal(id)}"
    if not interactions:
        condition += " and (RowKey lt 'interaction:' or RowKey ge 'interaction;')"
    rows = await organization.tables.query_all(organization.emails, condition)
    kinds: dict[str, list[Entity]] = {}
    for row in rows:
        kinds.setdefault(row["RowKey"].partition(":")[0], []).append(row)
    if EMAIL not in kinds:
        return None
    return EmailPartition(
        _without_cleared(kinds[EMAIL][0]),
        *(tuple(kinds.get(kind, ())) for kind in ("party", "attachment", "image", "link", "interaction")),
    )


async def commit(
    organization: Organization,
    id: str,
    etag: str,
    changes: dict[str, Any],
    rows: Sequence[Operation] = (),
) -> None:
    """Change an email that still has `etag`: merge `changes` into its row, and carry out `rows` under it.

    A change to None clears the column. Beyond one transaction the rows go first, in chunks, and the email's row with
    the last. Raises `PreconditionFailed` where somebody was faster and `NotFound` where the email is gone; the caller
    reads again and decides anew.
    """
    # A merge cannot remove a property, so a cleared column is stored as "" and not read back.
    cleared = {name: "" if value is None else value for name, value in changes.items()}
    head = Operation("merge", {**cleared, "PartitionKey": id, "RowKey": EMAIL}, etag)
    *earlier, last = chunks([*rows, head])
    for chunk in earlier:
        await organization.tables.transact(organization.emails, chunk)
    await organization.tables.transact(organization.emails, last)


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
