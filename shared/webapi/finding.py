"""Finding the rows that a query means: which of them to read, in which order, and how many at most.

Mail in one of the orders of `shared.storage.lists` is read from there, a page at a time, however much mail there is.
Rows in no particular order come by their keys, a page at a time too. Any other order, and what no list decides alone,
is worked out from all rows that may be meant, up to `MAX_ROWS` of them; past that the error says how to narrow it.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.engagement.clocks import Clock
from shared.engagement.history import happened
from shared.engagement.statustext import status_text
from shared.services.rights import Denied
from shared.storage import emails, lists
from shared.storage.calls import side_by_side
from shared.storage.tables import Entity
from shared.webapi import sources
from shared.webapi.aside import aside
from shared.webapi.context import MAX_ROWS, Context
from shared.webapi.filters import Condition, Filter, attach
from shared.webapi.query import MAX_PAGE, Order, Query, demand_place, implied_order, is_after, make_token, sort_rows
from shared.webapi.schema import Column, Table
from shared.webapi.sharing import demand_sight, may_see
from shared.webapi.tables import TABLES
from shared.webapi.values import from_stored, target_of

_STATUS_TEXT = "ee_statustext"
"""The column that is told by the caller's clock."""

MAX_COUNT = 5_000
"""What ``@odata.count`` counts to (Microsoft's "Count rows")."""

MAX_PAGE_TEXT = 16 * 1024 * 1024
"""Characters of a page's texts: it ends before the row that would be beyond, though the next one has that."""

_WALK = 1_000
"""Emails of a list that are looked at one by one for those that a filter keeps; after that reading all is cheaper."""

type Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """Rows in order; `token` is the ``$skiptoken`` of the next page, "" where there is none; `total` is how many rows
    there are on all pages, counted to `MAX_COUNT` + 1, where that was asked for."""

    rows: list[Row]
    token: str
    total: int | None


@dataclass(frozen=True, slots=True)
class _List:
    """A list of `shared.storage.lists`; `decides` is whether it holds just the rows that the filter keeps."""

    where: str
    column: str
    decides: bool


async def find(context: Context, query: Query, size: int = MAX_PAGE) -> Page:
    """Return a page of at most `size` rows (a page that follows has the size of the first)."""
    demand_place(query)
    size = query.after.size if query.after else size
    rest = query.after.rest if query.after else query.top
    wanted = size if rest is None else min(size, rest)
    rows, total = await _rows(context, query, wanted + 1)
    page = _fitting(rows[:wanted])
    if len(rows) <= len(page) or not page or (rest is not None and rest <= len(page)):
        return Page(page, "", total)
    return Page(page, make_token(page[-1], query.order, size, None if rest is None else rest - len(page)), total)


def _fitting(rows: list[Row]) -> list[Row]:
    """Return the first rows whose texts are no more than a page holds; one at least."""
    left = MAX_PAGE_TEXT
    for number, row in enumerate(rows):
        left -= sum(len(value) for value in row.values() if isinstance(value, str))
        if left < 0 and number:
            return rows[:number]
    return rows


async def count(context: Context, query: Query, limit: int = MAX_ROWS) -> int:
    """Return how many rows a filter keeps, counting to `limit` + 1."""
    chosen = _list(query, "createdon")
    if chosen is not None and chosen.decides:
        total = 0
        async for keys in lists.walk(context.organization, chosen.where, chosen.column, page_size=1000):
            total += len(keys)
            context.reads.spend(len(keys))
            if total > limit:
                break
        return min(total, limit + 1)
    return len(await _by_key(context, replace(query, after=None), limit + 1))


async def get(context: Context, query: Query, id: str) -> Row | None:
    """Return a row of the query's table by its id, with the columns that the query selects, or None; raise `Denied`
    where it is somebody else's alone."""
    entity = await sources.get(context.organization, query.table, id)
    if entity is None:
        return None
    demand_sight(context.caller, query.table, entity)
    return _view(context, query.table, entity, await _clock(context, query))


def _view(context: Context, table: Table, entity: Entity, clock: Clock | None) -> Row:
    """Return a stored row with every column that is not lazy, computed ones included; ``_place`` orders rows by key.

    Without a clock what is told by it is None.
    """
    row = from_stored(table, entity)
    row["_place"] = f"{entity['PartitionKey']} {entity['RowKey']}" if table.kept == "child" else row[table.id]
    if clock is not None:
        row[_STATUS_TEXT] = status_text(row, context.now, clock) or None
    if table.logical == "interactionforemail":
        row[table.name] = happened(row)
    return row


async def _clock(context: Context, query: Query) -> Clock | None:
    """Return the caller's clock where the query shows, filters or sorts by what is told by it."""
    column = query.table.by_name.get(_STATUS_TEXT)
    if column is None:
        return None
    shown = query.select is None or column in query.select
    looked_at = column.name in query.filter.columns or any(order.column is column for order in query.order)
    return await context.clock() if shown or looked_at else None


def related(query: Query, table: Table, name: str, id: str) -> Query:
    """Return `query`, of the collection `name` of `table`, for what belongs to the row `id` of it."""
    column = query.table.by_name[table.collections[name].column]
    inner = query.filter

    def belongs(row: Mapping[str, Any]) -> bool:
        return bool(row[column.name] == id and target_of(column, row) in (table.logical, table.view_of, ""))

    narrowed = Filter(
        lambda row: belongs(row) and inner.keeps(row),
        (*inner.pushed, Condition(column, "eq", id)),
        inner.columns | {column.name},
        inner.relations,
        lambda row: belongs(row) and inner.early(row),
        inner.within,
        {**inner.equals, column.name: id},
        inner.only_equals,
        inner.weight + 1,
    )
    return replace(query, filter=narrowed, order=query.order or implied_order(query.table, narrowed))


async def _rows(context: Context, query: Query, limit: int) -> tuple[list[Row], int | None]:
    """Return the first `limit` rows from the query's place on, and how many rows there are where that is asked for."""
    chosen = _list(query, _newest_first(query.order))
    found = await _by_list(context, query, chosen, limit) if chosen is not None else None
    if found is None and not query.order:
        found = await _by_key(context, query, limit)
    if found is not None:
        return found, await count(context, query, MAX_COUNT) if query.count else None
    rows = await _by_key(context, replace(query, after=None), MAX_ROWS)
    total = min(len(rows), MAX_COUNT + 1) if query.count else None
    return await aside(_sorted, rows, query), total


def _sorted(rows: list[Row], query: Query) -> list[Row]:
    """Return rows in the query's order, from its place on."""
    sort_rows(rows, query.order)
    return [row for row in rows if is_after(row, query.order, query.after)] if query.after else rows


async def _by_list(context: Context, query: Query, chosen: _List, limit: int) -> list[Row] | None:
    """Return the first rows of a list that the filter keeps, or None where too few of its emails are among them."""
    place = lists.Place(query.after.keys[0], query.after.id) if query.after else None
    page_size = min(limit, 1000) if chosen.decides else min(max(limit, 100), 500)
    found: list[Row] = []
    read = 0
    pages = emails.listed(context.organization, chosen.where, chosen.column, place, page_size)
    async for page in pages:
        read += len(page)
        found += await _kept(context, query, page)
        if len(found) >= limit:
            break
        if not chosen.decides and read >= _WALK:
            return None
    return found[:limit]


async def _by_key(context: Context, query: Query, limit: int) -> list[Row]:
    """Return the first rows that the filter keeps, in the order of their keys."""
    found: list[Row] = []
    async for page in _candidates(context, query):
        found += await _kept(context, query, page)
        if len(found) >= limit:
            break
    return found[:limit]


async def _candidates(context: Context, query: Query) -> AsyncIterator[Sequence[Entity]]:
    """Yield the stored rows that the filter may keep, in the order of their keys, from the query's place on."""
    organization, table = context.organization, query.table
    after = query.after.id if query.after else ""
    for name, conditions in query.filter.within if table.kept == "email" else ():
        collection = table.collections[name]
        inner = TABLES[collection.table]
        if inner.parent != collection.column:
            continue
        ids: set[str] = set()
        async for page in sources.scan(organization, inner, conditions):
            context.reads.spend(len(page))
            ids.update(entity["PartitionKey"] for entity in page)
        wanted = sorted(email for email in ids if email > after)
        for start in range(0, len(wanted), 500):
            found = await emails.get_emails(organization, wanted[start : start + 500])
            yield [entity for entity in found if entity is not None]
        return
    async for page in sources.scan(organization, table, query.filter.pushed, after):
        yield page


async def _kept(context: Context, query: Query, entities: Sequence[Entity]) -> list[Row]:
    """Return those of the stored rows that the filter keeps, with what it looks at attached."""
    context.reads.spend(len(entities))
    if query.table.private_where:
        entities = [entity for entity in entities if may_see(context.caller, query.table, entity)]
    clock = await _clock(context, query)
    context.reads.compare(len(entities), query.filter.weight)
    rows = await _perhaps_aside(len(entities), query.filter, _viewed, context, query, entities, clock)
    if not query.filter.relations:
        return rows
    attached = sum(await side_by_side(lambda row: _attach(context, query, row), rows))
    context.reads.compare(attached, query.filter.weight)
    return await _perhaps_aside(len(rows) + attached, query.filter, _filtered, query.filter, rows)


async def _perhaps_aside[Answer](rows: int, filter: Filter, work: Callable[..., Answer], *given: Any) -> Answer:
    """Return what work on so many rows returns, done beside the event loop where it takes more than a moment."""
    return await aside(work, *given) if rows * (filter.weight + _A_ROW) > _MOMENT else work(*given)


_A_ROW, _MOMENT = 40, 10_000
"""What it costs to look at a row, and some milliseconds, in comparisons."""


def _viewed(context: Context, query: Query, entities: Sequence[Entity], clock: Clock | None) -> list[Row]:
    rows = (_view(context, query.table, entity, clock) for entity in entities)
    return [row for row in rows if query.filter.early(row)]


def _filtered(filter: Filter, rows: Sequence[Row]) -> list[Row]:
    return [row for row in rows if filter.keeps(row)]


async def _attach(context: Context, query: Query, row: Row) -> int:
    """Read the rows that the filter looks at beside its own, and return how many those of collections are."""
    table, attached = query.table, 0
    for name in query.filter.relations:
        if name in table.collections:
            inner = Query(TABLES[table.collections[name].table])
            page = await find(context, related(inner, table, name, row[table.id]), MAX_ROWS)
            attach(row, name, page.rows)
            attached += len(page.rows)
        else:
            column, target = table.by_navigation[name]
            attach(row, name, await pointed(context, column, Query(TABLES[target]), row))
    return attached


async def pointed(context: Context, column: Column, query: Query, row: Row) -> Row | None:
    """Return the row of the query's table that a lookup points at; None where it points elsewhere or nowhere, or at
    what the caller may not see."""
    if row[column.name] is None or target_of(column, row) != query.table.logical:
        return None
    context.reads.spend(1)
    try:
        return await get(context, query, row[column.name])
    except Denied:
        return None


def _list(query: Query, column: str) -> _List | None:
    """Return the list that has the rows of a query, sorted by `column`, or None."""
    equals = query.filter.equals
    if query.table.kept != "email":
        return None
    places = [("regarding", "regardingobjectid"), ("owner", "ownerid")] if column in lists.DATES else []
    for kind, name in places:
        if name in equals:
            decides = query.filter.only_equals and equals.keys() == {name}
            return _List(lists.partition(kind, column, str(equals[name])), column, decides)
    if column == "createdon" and "templateid" in equals:
        decides = query.filter.only_equals and equals.keys() == {"templateid"}
        return _List(lists.partition("template", column, str(equals["templateid"])), column, decides)
    if column in (*lists.DATES, *lists.ENGAGEMENT) and equals.get("isemailfollowed"):
        decides = query.filter.only_equals and equals.keys() == {"isemailfollowed"}
        return _List(lists.partition("followed", column), column, decides)
    if column in lists.DATES:
        return _List(lists.partition("all", column), column, query.filter.only_equals and not equals)
    return None


def _newest_first(order: Sequence[Order]) -> str:
    """Return the column that rows are sorted by, greatest first, and nothing else; "" where it is another order."""
    return order[0].column.name if len(order) == 1 and order[0].descending else ""
