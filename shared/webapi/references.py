"""``$ref``: associating rows and taking them apart again, by a lookup or by the collection on its other side.

Source: Microsoft's "Associate and disassociate table rows using the Web API".
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

from shared.webapi import reading, writing
from shared.webapi.context import Context, etag
from shared.webapi.errors import Failure, bad_query, invalid
from shared.webapi.keys import RowKey, demand_id, parse_key
from shared.webapi.payloads import parse_reference
from shared.webapi.schema import Column, Table
from shared.webapi.tables import TABLES
from shared.webapi.values import target_of

_ATTEMPTS = 8


async def set_lookup(context: Context, table: Table, id: str, name: str, sent: Mapping[str, Any]) -> None:
    """Point a lookup at the row in ``{"@odata.id": ...}``."""
    _, target = table.by_navigation[name]
    found = await demand_id(
        context.organization, TABLES[target], parse_reference(sent.get("@odata.id"), target, "@odata.id")
    )
    await writing.update(context, table, id, {f"{name}@odata.bind": f"{TABLES[target].set}({found})"})


async def clear_lookup(context: Context, table: Table, id: str, name: str) -> None:
    """Point a lookup at nothing."""
    await writing.update(context, table, id, {f"{name}@odata.bind": None})


async def add_to_collection(context: Context, table: Table, id: str, name: str, sent: Mapping[str, Any]) -> None:
    """Add the row in ``{"@odata.id": ...}`` to a collection: its lookup is set, under its own rights and rules."""
    child, _, navigation = _other_side(table, name)
    found = await demand_id(
        context.organization, child, parse_reference(sent.get("@odata.id"), child.logical, "@odata.id")
    )
    await writing.update(_about_child(context), child, found, {f"{navigation}@odata.bind": f"{table.set}({id})"})


async def take_from_collection(
    context: Context, table: Table, id: str, name: str, key: str | None, reference: str | None
) -> None:
    """Take a row out of a collection, named as in ``Contact_Emails(id)/$ref`` or ``Contact_Emails/$ref?$id=..``.

    Raises `Failure` 404 where the row is not one of the collection's.
    """
    child, column, navigation = _other_side(table, name)
    found = await demand_id(context.organization, child, _named(child, key, reference))
    for _ in range(_ATTEMPTS):
        row = await reading.read_row(context, child, found)
        if row[column.name] != id or target_of(column, row) != table.logical:
            raise Failure(
                404, "0x80040217", f"{child.logical} With Id = {found} is not one of '{name}' of {table.logical} {id}."
            )
        try:
            seen = _about_child(context, etag(row["versionnumber"]))
            await writing.update(seen, child, found, {f"{navigation}@odata.bind": None})
        except Failure as failure:
            # Changed since it was read: it may have been associated with another row.
            if failure.status != 412:
                raise
        else:
            return
    raise Failure(412, "0x80060882", f"{child.logical} With Id = {found} is being changed by others: try again.")


def _named(child: Table, key: str | None, reference: str | None) -> RowKey:
    if key is not None:
        return parse_key(child, key)
    if reference is None:
        raise bad_query(f"Say which row is meant: ../$ref?$id={child.set}(<id>), or its id in parentheses.")
    return parse_reference(reference, child.logical, "$id")


def _other_side(table: Table, name: str) -> tuple[Table, Column, str]:
    """Return a collection's table, the lookup that its rows point here with, and that lookup's navigation property."""
    collection = table.collections[name]
    child = TABLES[TABLES[collection.table].view_of or collection.table]
    if child.kept == "child":
        raise invalid(
            f"The rows of '{name}' cannot be associated: each belongs to its email and is written with it or, where it "
            "is an attachment, through 'activitymimeattachments'."
        )
    column = child.by_name[collection.column]
    return child, column, next(key for key, target in column.navigations.items() if target == table.logical)


def _about_child(context: Context, match: str = "") -> Context:
    """The conditions of a request are about the row in its path, not about the row that changes."""
    return dataclasses.replace(context, match=match, none_match="")
