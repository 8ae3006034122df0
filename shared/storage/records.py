"""Every record that is not an email: one row by table name and id, and the keys by which mail is found again."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from shared.storage.account import NotFound
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation, literal

BEYOND = "~"
"""Begins the row keys of what is kept beside a table's records (`shared.storage.keys`) and sorts after all of them."""


async def get(organization: Organization, table: str, id: str) -> Entity | None:
    """Return a record by its id, with its ``etag``, or None."""
    return await organization.tables.get(organization.records, table, id)


async def insert(organization: Organization, table: str, id: str, columns: Mapping[str, Any]) -> str:
    """Create a record and return its etag; raise `Conflict` where the id is taken."""
    return await organization.tables.apply(organization.records, Operation("insert", _row(table, id, columns)))


async def put(
    organization: Organization,
    table: str,
    id: str,
    columns: Mapping[str, Any],
    etag: str | None = None,
) -> str:
    """Write a record whole and return its etag; with `etag`, only over the one that has it (``*``: any)."""
    return await organization.tables.apply(organization.records, Operation("put", _row(table, id, columns), etag))


async def merge(organization: Organization, table: str, id: str, columns: Mapping[str, Any], etag: str = "*") -> str:
    """Change some columns of a record that must exist and return its etag."""
    return await organization.tables.apply(organization.records, Operation("merge", _row(table, id, columns), etag))


async def delete(organization: Organization, table: str, id: str, etag: str = "*") -> bool:
    """Delete a record; return whether it was there."""
    try:
        await organization.tables.apply(
            organization.records, Operation("delete", {"PartitionKey": table, "RowKey": id}, etag)
        )
    except NotFound:
        return False
    return True


def query(
    organization: Organization,
    table: str,
    filter: str = "",
    select: Sequence[str] = (),
) -> AsyncIterator[list[Entity]]:
    """Yield a table's records in pages, by id; `filter` is in the Table service's language."""
    own = f"PartitionKey eq {literal(table)} and RowKey lt {literal(BEYOND)}"
    return organization.tables.query(organization.records, f"{own} and ({filter})" if filter else own, select)


def hashed_key(text: str) -> str:
    """Return a row key for a foreign string (a conversation or message id), which may hold forbidden characters."""
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _row(table: str, id: str, columns: Mapping[str, Any]) -> dict[str, Any]:
    return {**columns, "PartitionKey": table, "RowKey": id}
