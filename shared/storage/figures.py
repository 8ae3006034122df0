"""Figures in storage: counters, and tickets that say what each email has added to them.

``{org}Records`` has a partition ``figures {scope}`` for every record, user, template and the organization as a whole:

==================  ============================================================================================
row                 holds
==================  ============================================================================================
``month:...``       counters (`shared.engagement.figures`): a column per UTC day, each JSON: counts by quarter hour
``weeks``           counters of a template: a column per kind of record, each JSON: counts by week
``email:{id}``      the ticket of an email: the cells that it has added, and its version that said so
==================  ============================================================================================

Counters and tickets change in one transaction, by the difference between what an email adds and what its ticket says:
doing it twice, late, or beside somebody else leaves the same. A ticket without cells is one of an email that has left.
A row of counters counts its changes in ``revision``.
"""

from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial

import orjson

from shared.engagement.figures import Cell, Cells, difference, dump_cells, load_cells, quarters, total
from shared.storage.calls import side_by_side
from shared.storage.contention import insist
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation, literal

_TICKET = "email:"
_BEYOND = "~"
"""Sorts after every key of ours."""
_AT_ONCE = 45
"""Emails in one transaction, beside up to 55 rows of counters."""
_OTHER_COLUMNS = {"PartitionKey", "RowKey", "etag", "revision"}


@dataclass(frozen=True, slots=True)
class Addition:
    """What an email, as of a version of it, adds to a scope."""

    email: str
    version: int
    cells: Cells


@dataclass(frozen=True, slots=True)
class Ticket:
    """What is known of an email that has added to a scope."""

    email: str
    version: int


@dataclass(frozen=True, slots=True)
class Counters:
    """A row of counters; `revision` grows with every change."""

    cells: Cells
    revision: int


async def add(organization: Organization, scope: str, additions: Sequence[Addition]) -> None:
    """Bring a scope's figures up to what these emails add to it; what is older than their tickets is passed over."""
    for start in range(0, len(additions), _AT_ONCE):
        await insist(partial(_add, organization, scope, additions[start : start + _AT_ONCE]), inserts=True)


async def recount(organization: Organization, scope: str) -> bool:
    """Make a scope's counters the sum of its tickets; return whether they were not."""
    return await insist(partial(_recount, organization, scope), inserts=True)


async def get(organization: Organization, scope: str, name: str) -> Counters:
    """Return one row of a scope's counters."""
    row = await _get(organization, scope, name)
    return Counters({}, 0) if row is None else Counters(_cells(name, row), row["revision"])


async def read(organization: Organization, scope: str, first: date, last: date) -> dict[int, tuple[int, ...]]:
    """Return a record's counts by quarter hour since the epoch, from the `first` day to the `last` (UTC, inclusive).

    The scope of a record is its table and id (``contact {id}``); that of all of the organization is ``organization``.
    """
    rows = await _counters(organization, scope, f"month:{first:%Y-%m}", f"month:{last:%Y-%m}")
    return quarters(total(_cells(row["RowKey"], row) for row in rows), first, last)


async def tickets(organization: Organization, scope: str) -> AsyncIterator[list[Ticket]]:
    """Yield, page by page, the emails that add to a scope."""
    async for page in _tickets(organization, scope):
        yield [Ticket(row["RowKey"].removeprefix(_TICKET), row["version"]) for row in page if load_cells(row["cells"])]


async def emails_of(organization: Organization, scope: str) -> AsyncIterator[list[str]]:
    """Yield, page by page, the ids of the emails that add to a scope: those sent to, by or about a record."""
    async for page in tickets(organization, scope):
        yield [ticket.email for ticket in page]


async def list_scopes(organization: Organization) -> AsyncIterator[str]:
    """Yield every scope that has figures."""
    last = _partition("")
    while True:
        condition = f"PartitionKey gt {literal(last)} and PartitionKey lt {literal(_partition(_BEYOND))}"
        found = organization.tables.query(organization.records, condition, ("PartitionKey",), page_size=1)
        row = next(iter(await anext(found, [])), None)
        if row is None:
            return
        last = row["PartitionKey"]
        yield last.removeprefix(_partition(""))


async def _add(organization: Organization, scope: str, additions: Sequence[Addition]) -> None:
    tickets = await side_by_side(lambda one: _get(organization, scope, _TICKET + one.email), additions)
    due = [pair for pair in zip(additions, tickets, strict=True) if _is_due(*pair)]
    if not due:
        return
    changed = total(difference(one.cells, load_cells(ticket["cells"]) if ticket else {}) for one, ticket in due)
    names = sorted({cell.row for cell in changed})
    columns = {name: {cell.column for cell in changed if cell.row == name} for name in names}
    rows = await side_by_side(lambda name: _get(organization, scope, name, (*columns[name], "revision")), names)
    counters = [
        _change(scope, name, row, columns[name], total([_cells(name, row), _of_row(name, changed)]))
        for name, row in zip(names, rows, strict=True)
    ]
    operations = [_ticket(scope, one, ticket) for one, ticket in due] + counters
    await organization.tables.transact(organization.records, operations)


def _is_due(addition: Addition, ticket: Entity | None) -> bool:
    if ticket is None or ticket["version"] < addition.version:
        return True
    return bool(ticket["version"] == addition.version and ticket["cells"] != dump_cells(addition.cells))


async def _recount(organization: Organization, scope: str) -> bool:
    # Counters before tickets: whatever is added meanwhile changes the counters' etags.
    rows = {row["RowKey"]: row for row in await _counters(organization, scope)}
    sums: Cells = {}
    async for page in _tickets(organization, scope):
        sums = total([sums, *(load_cells(ticket["cells"]) for ticket in page)])
    wrong = False
    for name in sorted(rows.keys() | {cell.row for cell in sums}):
        counted, right = _cells(name, rows.get(name)), _of_row(name, sums)
        if counted != right:
            columns = {cell.column for cell in counted.keys() | right.keys()}
            change = _change(scope, name, rows.get(name), columns, right)
            await organization.tables.apply(organization.records, change)
            wrong = True
    return wrong


def _tickets(organization: Organization, scope: str) -> AsyncIterator[list[Entity]]:
    condition = f"PartitionKey eq {literal(_partition(scope))} and RowKey ge '{_TICKET}' and RowKey lt '{_TICKET}~'"
    return organization.tables.query(organization.records, condition, ("RowKey", "version", "cells"))


async def _counters(
    organization: Organization, scope: str, first: str = f"{_TICKET}~", last: str = _BEYOND
) -> list[Entity]:
    condition = (
        f"PartitionKey eq {literal(_partition(scope))} and RowKey ge {literal(first)} and RowKey le {literal(last)}"
    )
    return await organization.tables.query_all(organization.records, condition)


async def _get(organization: Organization, scope: str, row: str, select: Sequence[str] = ()) -> Entity | None:
    return await organization.tables.get(organization.records, _partition(scope), row, select)


def _partition(scope: str) -> str:
    return f"figures {scope}"


def _cells(name: str, row: Entity | None) -> Cells:
    """Return the cells in a row of counters."""
    return {
        Cell(name, column, key): tuple(counts)
        for column, text in (row or {}).items()
        if column not in _OTHER_COLUMNS
        for key, counts in orjson.loads(text).items()
    }


def _of_row(name: str, cells: Cells) -> Cells:
    return {cell: counts for cell, counts in cells.items() if cell.row == name}


def _change(scope: str, name: str, row: Entity | None, columns: Collection[str], cells: Cells) -> Operation:
    """Return the operation that gives `columns` of a row of counters, read as `row`, their `cells`."""
    told: dict[str, dict[str, Sequence[int]]] = {column: {} for column in columns}
    for cell in sorted(cells):
        told[cell.column][cell.key] = cells[cell]
    entity: Entity = {column: orjson.dumps(kept).decode() for column, kept in told.items()}
    entity |= {"PartitionKey": _partition(scope), "RowKey": name, "revision": (row["revision"] if row else 0) + 1}
    return Operation("insert", entity) if row is None else Operation("merge", entity, row["etag"])


def _ticket(scope: str, addition: Addition, ticket: Entity | None) -> Operation:
    entity = {
        "PartitionKey": _partition(scope),
        "RowKey": _TICKET + addition.email,
        "version": addition.version,
        "cells": dump_cells(addition.cells),
    }
    return Operation("insert", entity) if ticket is None else Operation("put", entity, ticket["etag"])
