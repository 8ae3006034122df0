"""Index rows: an organization's mail newest or highest first, without reading the organization.

The table ``{org}Lists`` has one partition per list and sort column and one row per email in it:

========================================  =====================================================================
partition                                 the emails, by
========================================  =====================================================================
``all {column}``                          all of the organization: ``createdon``, ``senton``
``owner {id} {column}``                   of one owner: the same
``regarding {id} {column}``               about one record: the same
``template {id} {column}``                made of one template: ``createdon``
``followed {column}``                     that are followed: the same, and what recipients did
========================================  =====================================================================

A row's key is ``{sort}:{id}:{nonce}``: the inverted sort value, the email's id, a nonce that is new with every write.
It holds nothing else; a page reads its emails by their keys, so that no list shows what is no longer so.

The email's ``_lists`` names the index rows that it owns. They are written before the email says so and removed after
it no longer does; because of the nonce nobody else's row is ever removed. A row that its email does not name was left
by a change that never happened, or is about to be removed: readers pass it over.
"""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from shared.engagement.times import MAX_TIME, milliseconds, parse_iso
from shared.storage.account import NotFound, StorageError
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation, literal

DATES = ("createdon", "senton")
ENGAGEMENT = ("lastopenedtime", "opencount", "linksclickedcount", "attachmentopencount", "replycount")

_MAX_COUNT = 2**31 - 1
_NULL = "~"
"""Sorts behind every digit: an email without the value comes last."""
_END = ";"
"""The character after ``:``: behind it no row of the same sort value and email is left."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a walk begins: after the email `id` with this sort `value` (None: it has none)."""

    value: str | int | None
    id: str


@dataclass(frozen=True, slots=True)
class Change:
    """What a change of an email means for its index rows: `names` is its new ``_lists``."""

    names: str
    added: tuple[Entity, ...]
    removed: tuple[Entity, ...]


def partition(kind: str, column: str, of: str = "") -> str:
    """Return the partition of a list: ``all``, ``followed``, or of a record ``owner``, ``regarding``, ``template``."""
    return f"{kind} {of} {column}" if of else f"{kind} {column}"


def plan(email: Mapping[str, Any]) -> Change:
    """Return what an email, as it is to be stored, needs of index rows; ``_lists`` says which it has already.

    >>> plan({"PartitionKey": "1", "createdon": "2026-11-24T08:00:00Z"}).names.splitlines()[0].rpartition(" ")[0]
    'all createdon 98204492800000'
    """
    owned = {name.rpartition(" ")[0]: name for name in str(email.get("_lists") or "").splitlines()}
    wanted = {f"{where} {sort}" for where, sort in _wanted(email)}
    fresh = {place: f"{place} {secrets.token_hex(4)}" for place in sorted(wanted - owned.keys())}
    kept = [name for place, name in owned.items() if place in wanted]
    gone = [name for place, name in owned.items() if place not in wanted]
    return Change(
        "\n".join([*kept, *fresh.values()]),
        tuple(_row(email, name) for name in fresh.values()),
        tuple(_row(email, name) for name in gone),
    )


def owned(email: Mapping[str, Any]) -> tuple[Entity, ...]:
    """Return every index row that an email names."""
    return tuple(_row(email, name) for name in str(email.get("_lists") or "").splitlines())


async def write(organization: Organization, rows: Sequence[Entity]) -> None:
    """Write index rows; each is in a partition of its own, so they are written side by side."""
    puts = (organization.tables.apply(organization.lists, Operation("put", row)) for row in rows)
    # All are waited for, also where one fails: a write still on its way would come after what undoes it.
    for outcome in await asyncio.gather(*puts, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome


async def remove(organization: Organization, rows: Sequence[Entity]) -> None:
    """Remove index rows; one that cannot be removed now is passed over by readers and only wasted space."""
    await asyncio.gather(*(_remove(organization, row) for row in rows))


async def _remove(organization: Organization, row: Entity) -> None:
    try:
        await organization.tables.apply(organization.lists, Operation("delete", row, "*"))
    except NotFound:
        return
    except StorageError as error:
        _log.warning("an index row of organization %s was left behind: %s", organization.name, error.code)


async def walk(
    organization: Organization, where: str, column: str, after: Place | None = None, page_size: int = 50
) -> AsyncIterator[list[str]]:
    """Yield the keys of a list's index rows, page by page. `where` is its partition, `column` what it is sorted by."""
    condition = f"PartitionKey eq {literal(where)}"
    if after is not None:
        condition += f" and RowKey gt {literal(f'{_sort(column, after.value)}:{after.id}{_END}')}"
    async for rows in organization.tables.query(organization.lists, condition, ("RowKey",), page_size):
        yield [row["RowKey"] for row in rows]


def names(email: Mapping[str, Any], where: str, key: str) -> bool:
    """Return whether an email says that the index row `key` in the partition `where` is its own."""
    sort, _, nonce = key.split(":")
    return f"{where} {sort} {nonce}" in str(email.get("_lists") or "").splitlines()


def id_of(key: str) -> str:
    """Return the email's id in the key of an index row."""
    return key.split(":")[1]


def _wanted(email: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the partition and the sort key of every list that an email belongs to."""
    kinds = [("all", "")]
    kinds += [("owner", str(email["ownerid"]))] if email.get("ownerid") else []
    kinds += [("regarding", str(email["regardingobjectid"]))] if email.get("regardingobjectid") else []
    places = [(kind, of, column) for kind, of in kinds for column in DATES]
    places += [("template", str(email["templateid"]), "createdon")] if email.get("templateid") else []
    places += [("followed", "", column) for column in (*DATES, *ENGAGEMENT)] if email.get("isemailfollowed") else []
    for kind, of, column in places:
        yield partition(kind, column, of), _sort(column, email.get(column))


def _sort(column: str, value: str | int | None) -> str:
    """Return a sort value so that greater ones come first."""
    if column.endswith("count"):
        return f"{_MAX_COUNT - int(value or 0):010d}"
    return f"{MAX_TIME - max(0, milliseconds(parse_iso(str(value)))):014d}" if value else _NULL


def _row(email: Mapping[str, Any], name: str) -> Entity:
    where, sort, nonce = name.rsplit(" ", 2)
    return {"PartitionKey": where, "RowKey": f"{sort}:{email['PartitionKey']}:{nonce}"}
