"""Alternate keys of records: which record has a key's values, and that no two of a table have the same.

An entry per key and values is a row of the record's own partition and changes in one transaction with the record, so
no crash and no race parts the two. Still the record decides: an entry whose record is gone or has other values is
stale, leads nowhere, and is taken over by whoever needs the values next.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from shared.storage import records
from shared.storage.account import Conflict, PreconditionFailed
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation

type Keys = Mapping[str, Sequence[str]]
"""The columns of each of a table's alternate keys, by the key's name."""

_ATTEMPTS = 8


def entry_row(key: str, values: Iterable[Any]) -> str:
    """Return the row key of a key's entry for these values; text counts without regard to case, as in Dataverse.

    >>> entry_row("code", ["A1"]) == entry_row("code", ["a1"]) != entry_row("code", ["a2"])
    True
    """
    return records.BEYOND + records.hashed_key(json.dumps([key, *map(comparable, values)]))


def comparable(value: Any) -> Any:
    """Return a value in the form that keys compare."""
    return value.casefold() if isinstance(value, str) else value


def entry_rows(keys: Keys, columns: Mapping[str, Any]) -> set[str]:
    """Return the row keys of a record's entries. A key of which a column is empty has none: it names no record."""
    values = {key: [columns.get(name) for name in names] for key, names in keys.items()}
    return {entry_row(key, found) for key, found in values.items() if not {None, ""} & set(found)}


async def find(organization: Organization, table: str, keys: Keys, key: str, values: Sequence[Any]) -> str | None:
    """Return the id of the record that has these values, or None."""
    row = entry_row(key, values)
    entry = await records.get(organization, table, row)
    if entry is None or not await _holds(organization, table, entry["id"], row, keys):
        return None
    return str(entry["id"])


async def insert(
    organization: Organization,
    table: str,
    id: str,
    columns: Mapping[str, Any],
    keys: Keys,
    beside: Sequence[Operation] = (),
) -> None:
    """Create a record with its entries and what is written `beside` it in the same partition; raise `Conflict` where
    its id or the values of one of its keys are taken."""
    rows = entry_rows(keys, columns)
    for _ in range(_ATTEMPTS):
        made = Operation("insert", {**columns, "PartitionKey": table, "RowKey": id})
        claims = await _claims(organization, table, id, rows, keys)
        try:
            await organization.tables.transact(organization.records, [made, *claims, *beside])
        except (Conflict, PreconditionFailed):
            if not rows or await records.get(organization, table, id) is not None:
                raise Conflict(409, "EntityAlreadyExists") from None
            # Somebody claimed one of the values in the meantime: the next look says whether they have it.
        else:
            return
    raise Conflict(409, "EntityAlreadyExists")


async def put(
    organization: Organization,
    table: str,
    id: str,
    columns: Mapping[str, Any],
    old: Entity,
    keys: Keys,
    beside: Sequence[Operation] = (),
) -> None:
    """Write a record whole over `old`, as it was read, and what is `beside` it in the same partition; move its entries.

    Raises `Conflict` where another record has the values of a key, `PreconditionFailed` where somebody was faster,
    `NotFound` where the record is gone.
    """
    rows, had = entry_rows(keys, columns), entry_rows(keys, old)
    for _ in range(_ATTEMPTS):
        changed = Operation("put", {**columns, "PartitionKey": table, "RowKey": id}, old["etag"])
        claims = await _claims(organization, table, id, rows - had, keys)
        releases = await _releases(organization, table, id, had - rows)
        try:
            await organization.tables.transact(organization.records, [changed, *claims, *releases, *beside])
        except Conflict:
            continue
        return
    raise Conflict(409, "EntityAlreadyExists")


async def delete(organization: Organization, table: str, id: str, old: Entity, keys: Keys) -> None:
    """Delete a record, as it was read, with its entries; raise `PreconditionFailed` or `NotFound` where somebody was
    faster with one of them."""
    releases = await _releases(organization, table, id, entry_rows(keys, old))
    await organization.tables.transact(organization.records, [Operation("delete", old, old["etag"]), *releases])


async def _holds(organization: Organization, table: str, id: str, row: str, keys: Keys) -> bool:
    record = await records.get(organization, table, id)
    return record is not None and row in entry_rows(keys, record)


async def _claims(organization: Organization, table: str, id: str, rows: Iterable[str], keys: Keys) -> list[Operation]:
    """Return the operations that make entries lead to a record; raise `Conflict` where one leads to another."""
    operations = []
    for row in rows:
        entry = await records.get(organization, table, row)
        if entry is not None and entry["id"] != id and await _holds(organization, table, entry["id"], row, keys):
            raise Conflict(409, "EntityAlreadyExists")
        claim = {"PartitionKey": table, "RowKey": row, "id": id}
        operations.append(Operation("put", claim, entry["etag"]) if entry is not None else Operation("insert", claim))
    return operations


async def _releases(organization: Organization, table: str, id: str, rows: Iterable[str]) -> list[Operation]:
    """Return the operations that delete those of a record's entries that lead to it."""
    found = [await records.get(organization, table, row) for row in rows]
    return [Operation("delete", entry, entry["etag"]) for entry in found if entry is not None and entry["id"] == id]
