"""Reading: sets page by page, single rows, what belongs to a row, single columns."""

import asyncio
import base64
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from shared.engagement.statustext import status_text
from shared.storage import blobs
from shared.storage.account import NotFound
from shared.storage.tables import Entity
from shared.webapi import sources
from shared.webapi.context import Context, etag
from shared.webapi.errors import does_not_exist, unknown_segment
from shared.webapi.query import (
    MAX_PAGE,
    Order,
    Place,
    Query,
    default_order,
    is_after,
    make_token,
    parse_query,
    sort_rows,
)
from shared.webapi.schema import LOOKUPS, Column, Table
from shared.webapi.tables import TABLES
from shared.webapi.values import formatted, from_stored, target_of

FORMATTED = "OData.Community.Display.V1.FormattedValue"
LOOKUP_TABLE = "Microsoft.Dynamics.CRM.lookuplogicalname"
LOOKUP_NAVIGATION = "Microsoft.Dynamics.CRM.associatednavigationproperty"
_AT_ONCE = 32
"""Calls to storage that one request keeps in flight."""

type Row = dict[str, Any]


async def read_set(context: Context, table: Table, options: Mapping[str, str]) -> dict[str, Any]:
    """Return a page of a set: ``value``, with ``@odata.count`` and ``@odata.nextLink`` where they belong."""
    query = parse_query(options, table)
    rows, total, token = await _load(context, query)
    answer: dict[str, Any] = {"@odata.context": _context_url(context, table, query)}
    if query.count:
        answer["@odata.count"] = total
    if token:
        answer["@odata.nextLink"] = _next_link(context, table, options, token)
    answer["value"] = await _render_all(context, query, rows, single=False)
    return answer


async def count_set(context: Context, table: Table, options: Mapping[str, str]) -> int:
    """Return how many rows of a set a filter keeps."""
    query = parse_query({name: value for name, value in options.items() if not name.startswith("$top")}, table)
    return len(await _kept(context, query))


async def read_row(context: Context, table: Table, id: str) -> Row:
    """Return a row by logical name; raise `Failure` 404 where there is none."""
    entity = await sources.get(context.organization, table, id)
    if entity is None:
        raise does_not_exist(table.logical, id)
    return view(context, table, entity)


async def read_single(context: Context, table: Table, id: str, options: Mapping[str, str]) -> dict[str, Any]:
    """Return a row as it is answered, lazy columns included unless ``$select`` leaves them out."""
    query = parse_query(options, table)
    row = await read_row(context, table, id)
    (rendered,) = await _render_all(context, query, [row], single=True)
    return {"@odata.context": f"{_context_url(context, table, query)}/$entity", **rendered}


async def read_property(context: Context, table: Table, id: str, name: str, options: Mapping[str, str]) -> Any:
    """Return what ``set(id)/name`` stands for: a column's value, the row a lookup points at, or the rows of a
    collection; None where it is null. Raises `Failure` 404."""
    if name in table.collections:
        collection = table.collections[name]
        await read_row(context, table, id)
        query = parse_query(options, TABLES[collection.table])
        rows = _arranged(await _children(context, query.table, id), query)
        rendered = await _render_all(context, query, rows, single=False)
        return {"@odata.context": _context_url(context, query.table, query), "value": rendered}
    if name in table.by_navigation:
        column, target = table.by_navigation[name]
        row = await read_row(context, table, id)
        if row[column.name] is None or target_of(column, row) != target:
            return None
        return await read_single(context, TABLES[target], row[column.name], options)
    column_read = table.by_wire.get(name)
    if column_read is None:
        raise unknown_segment(name)
    single = await read_single(context, table, id, {"$select": name})
    if single.get(name) is None:
        return None
    return {"@odata.context": f"{context.base}/$metadata#{table.set}({id})/{name}", "value": single[name]}


def view(context: Context, table: Table, entity: Entity) -> Row:
    """Return a stored row with every column that is not lazy, computed ones included."""
    row = from_stored(table, entity)
    if table.kept == "email":
        row["ee_statustext"] = status_text(row, context.now) or None
    return row


async def _load(context: Context, query: Query) -> tuple[list[Row], int, str]:
    """Return the rows of the page, how many there are in all (0 unless counted), and the token of the next page."""
    size = query.after.size if query.after else context.preferences.page_size or MAX_PAGE
    rest = query.after.rest if query.after else query.top
    wanted = size if rest is None else min(size, rest)
    order = query.order or default_order(query.table)
    total = 0
    if order or query.count or query.table.kept == "child":
        rows = await _kept(context, query)
        total = len(rows)
        sort_rows(rows, query.table, order)
        if query.after:
            rows = [row for row in rows if is_after(row, query.table, order, query.after)]
    else:
        rows = await _kept(context, query, wanted + 1, query.after)
    page = rows[:wanted]
    if len(rows) <= wanted or not page or (rest is not None and rest <= wanted):
        return page, total, ""
    return page, total, make_token(page[-1], query.table, order, size, None if rest is None else rest - wanted)


async def _kept(context: Context, query: Query, limit: int | None = None, after: Place | None = None) -> list[Row]:
    """Return the rows that the filter keeps, in the order of their keys; with `limit` as many as that suffices."""
    found: list[Row] = []
    if limit == 0:
        return found
    start = after.id if after else ""
    async for page in sources.scan(context.organization, query.table, query.filter.pushed, start):
        for entity in page:
            row = view(context, query.table, entity)
            if query.filter.keeps(row) and (after is None or is_after(row, query.table, (), after)):
                found.append(row)
                if len(found) == limit:
                    return found
    return found


async def _children(context: Context, table: Table, email: str) -> list[Row]:
    return [view(context, table, entity) for entity in await sources.children(context.organization, table, email)]


def _arranged(rows: list[Row], query: Query) -> list[Row]:
    """Return an expanded collection's rows as its options ask: parties in the order given, unless sorted."""
    kept = [row for row in rows if query.filter.keeps(row)]
    order: Sequence[Order] = query.order or default_order(query.table)
    if order:
        sort_rows(kept, query.table, order)
    return kept if query.top is None else kept[: query.top]


async def _render_all(context: Context, query: Query, rows: Sequence[Row], *, single: bool) -> list[dict[str, Any]]:
    names = await _lookup_names(context, query, rows) if context.preferences.annotates(FORMATTED) else {}
    rendered = []
    for start in range(0, len(rows), _AT_ONCE):
        some = rows[start : start + _AT_ONCE]
        rendered += await asyncio.gather(*(_render(context, query, row, names, single=single) for row in some))
    return rendered


async def _render(
    context: Context, query: Query, row: Row, names: Mapping[tuple[str, str], str], *, single: bool
) -> dict[str, Any]:
    """Return a row as it is answered. `names` are those of the rows that lookups point at."""
    answer: dict[str, Any] = {"@odata.etag": etag(row["versionnumber"])}
    for column in query.select if query.select is not None else query.table.columns:
        if column.lazy:
            if query.wants(column) or (single and query.select is None):
                answer[column.name] = await _read_blob(context, column, row)
            continue
        value = row[column.name]
        answer[column.wire] = value
        if value is not None:
            _annotate(context, answer, column, row, names)
    for name, inner in query.expand.items():
        answer[name] = await _expanded(context, query.table, name, inner, row)
    return answer


def _annotate(
    context: Context, answer: dict[str, Any], column: Column, row: Row, names: Mapping[tuple[str, str], str]
) -> None:
    asked = context.preferences.annotates
    if column.type in LOOKUPS:
        target = target_of(column, row)
        name = names.get((target, row[column.name]))
        if asked(FORMATTED) and name:
            answer[f"{column.wire}@{FORMATTED}"] = name
        if asked(LOOKUP_TABLE) and target:
            answer[f"{column.wire}@{LOOKUP_TABLE}"] = target
        if asked(LOOKUP_NAVIGATION):
            navigation = next((key for key, table in column.navigations.items() if table == target), None)
            if navigation:
                answer[f"{column.wire}@{LOOKUP_NAVIGATION}"] = navigation
    elif asked(FORMATTED):
        shown = formatted(column, row[column.name])
        if shown is not None:
            answer[f"{column.wire}@{FORMATTED}"] = shown


async def _lookup_names(context: Context, query: Query, rows: Sequence[Row]) -> dict[tuple[str, str], str]:
    """Return the names of all that the rows' lookups point at, each read once."""
    columns = query.select if query.select is not None else query.table.columns
    pointed = {
        (target_of(column, row), row[column.name])
        for column in columns
        if column.type in LOOKUPS
        for row in rows
        if row[column.name] is not None
    }
    wanted = sorted(key for key in pointed if key[0] in TABLES)
    names: dict[tuple[str, str], str] = {}
    for start in range(0, len(wanted), _AT_ONCE):
        some = wanted[start : start + _AT_ONCE]
        found = await asyncio.gather(*(sources.get(context.organization, TABLES[key[0]], key[1]) for key in some))
        names |= {
            key: str(entity.get(TABLES[key[0]].name) or "")
            for key, entity in zip(some, found, strict=True)
            if entity is not None
        }
    return names


async def _read_blob(context: Context, column: Column, row: Row) -> str | None:
    if not row["_blob"]:
        return None
    try:
        content = await blobs.get(context.organization, row["_blob"])
    except NotFound:
        # The email changed between reading its row and its blob.
        return None
    if column.name == "body":
        return base64.b64encode(content).decode()
    return content.decode("utf-8", "surrogatepass")


async def _expanded(context: Context, table: Table, name: str, query: Query, row: Row) -> Any:
    if name in table.collections:
        rows = _arranged(await _children(context, query.table, row[table.id]), query)
        return await _render_all(context, query, rows, single=False)
    column, target = table.by_navigation[name]
    pointed = row[column.name]
    if pointed is None or target_of(column, row) != target:
        return None
    entity = await sources.get(context.organization, TABLES[target], pointed)
    if entity is None:
        return None
    (rendered,) = await _render_all(context, query, [view(context, TABLES[target], entity)], single=False)
    return rendered


def _context_url(context: Context, table: Table, query: Query) -> str:
    names = [column.wire for column in query.select or ()]
    names += [f"{name}()" for name in query.expand]
    selection = f"({','.join(names)})" if names else ""
    return f"{context.base}/$metadata#{table.set}{selection}"


def _next_link(context: Context, table: Table, options: Mapping[str, str], token: str) -> str:
    kept = {name: value for name, value in options.items() if name != "$skiptoken"} | {"$skiptoken": token}
    query = "&".join(f"{quote(name, safe='$@')}={quote(value, safe='')}" for name, value in kept.items())
    return f"{context.base}/{table.set}?{query}"
