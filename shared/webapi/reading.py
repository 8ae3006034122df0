"""Reading: sets page by page, single rows, what belongs to a row, single columns."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from shared.storage.calls import side_by_side
from shared.webapi import finding, sources, texts
from shared.webapi.context import Context, etag
from shared.webapi.errors import bad_query, does_not_exist, unknown_segment
from shared.webapi.finding import Row
from shared.webapi.query import MAX_PAGE, Query, read_query
from shared.webapi.query_functions import Asker
from shared.webapi.schema import LOOKUPS, Column, Table
from shared.webapi.sharing import may_see
from shared.webapi.tables import TABLES
from shared.webapi.values import formatted, target_of

FORMATTED = "OData.Community.Display.V1.FormattedValue"
LOOKUP_TABLE = "Microsoft.Dynamics.CRM.lookuplogicalname"
LOOKUP_NAVIGATION = "Microsoft.Dynamics.CRM.associatednavigationproperty"
TOTAL = "Microsoft.Dynamics.CRM.totalrecordcount"
TOTAL_EXCEEDED = "Microsoft.Dynamics.CRM.totalrecordcountlimitexceeded"

MAX_PAGE_OF_TEXTS = 500
"""Rows of a page that shows texts or files which are kept beside their rows, such as bodies."""

_OPTIONS_OF_SETS = frozenset({"$filter", "$orderby", "$top", "$count", "$skiptoken"})


async def read_set(context: Context, table: Table, options: Mapping[str, str]) -> dict[str, Any]:
    """Return a page of a set: ``value``, with ``@odata.count`` and ``@odata.nextLink`` where they belong."""
    query = await read_query(options, table, _asker(context))
    return await _page(context, query, options, f"{context.base}/{table.set}")


async def count_set(context: Context, table: Table, options: Mapping[str, str]) -> int:
    """Return how many rows of a set a filter keeps."""
    return await finding.count(context, await read_query(_counted(options), table, _asker(context)))


async def count_collection(context: Context, table: Table, id: str, name: str, options: Mapping[str, str]) -> int:
    """Return how many rows of a row's collection a filter keeps; raise `Failure` 404 where there is no such row."""
    await read_row(context, table, id)
    query = await read_query(_counted(options), TABLES[table.collections[name].table], _asker(context))
    return await finding.count(context, finding.related(query, table, name, id))


async def read_row(context: Context, table: Table, id: str) -> Row:
    """Return a row by logical name, without what is told by the caller's clock; raise `Failure` 404 where there is
    none."""
    return await _read(context, Query(table, select=()), id)


async def _read(context: Context, query: Query, id: str) -> Row:
    row = await finding.get(context, query, id)
    if row is None:
        raise does_not_exist(query.table.logical, id)
    return row


async def read_single(context: Context, table: Table, id: str, options: Mapping[str, str]) -> dict[str, Any]:
    """Return a row as it is answered, lazy columns included unless ``$select`` leaves them out. Raises `Failure` 400
    where an option is one of sets: the row would be answered whatever it says."""
    query = await read_query(options, table, _asker(context))
    for name in _OPTIONS_OF_SETS & options.keys():
        raise bad_query(f"The query option '{name}' cannot be applied to a single row: use $select and $expand.")
    row = await _read(context, query, id)
    (rendered,) = await _render_all(context, query, [row], single=True)
    return {"@odata.context": f"{_context_url(context, query)}/$entity", **rendered}


async def read_property(context: Context, table: Table, id: str, name: str, options: Mapping[str, str]) -> Any:
    """Return what ``set(id)/name`` stands for: a column's value, the row a lookup points at, or the rows of a
    collection; None where it is null. Raises `Failure` 404."""
    if name in table.collections:
        await read_row(context, table, id)
        query = await read_query(options, TABLES[table.collections[name].table], _asker(context))
        url = f"{context.base}/{table.set}({id})/{name}"
        return await _page(context, finding.related(query, table, name, id), options, url)
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


async def _page(context: Context, query: Query, options: Mapping[str, str], url: str) -> dict[str, Any]:
    """Return a page of rows; `url` is where the next one is asked for."""
    size = context.preferences.page_size or MAX_PAGE
    if any(column.lazy for column in query.select or ()):
        size = min(size, MAX_PAGE_OF_TEXTS)
    page = await finding.find(context, query, size)
    answer: dict[str, Any] = {"@odata.context": _context_url(context, query)}
    if page.total is not None:
        answer |= _count_annotations(context, page.total)
    if page.token:
        answer["@odata.nextLink"] = _next_link(url, options, page.token)
    answer["value"] = await _render_all(context, query, page.rows, single=False)
    return answer


def _count_annotations(context: Context, total: int) -> dict[str, Any]:
    counted, asked = min(total, finding.MAX_COUNT), context.preferences.annotates
    found: dict[str, Any] = {"@odata.count": counted}
    if asked(TOTAL):
        found[f"@{TOTAL}"] = counted
    if asked(TOTAL_EXCEEDED):
        found[f"@{TOTAL_EXCEEDED}"] = total > counted
    return found


async def _render_all(context: Context, query: Query, rows: Sequence[Row], *, single: bool) -> list[dict[str, Any]]:
    names = await _lookup_names(context, query, rows) if context.preferences.annotates(FORMATTED) else {}
    asked = query.table.lazy_columns if single and query.select is None else query.select or ()
    lazy = [column for column in asked if column.lazy]
    return await side_by_side(lambda row: _render(context, query, row, names, lazy), rows)


async def _render(
    context: Context, query: Query, row: Row, names: Mapping[tuple[str, str], str], lazy: Collection[Column]
) -> dict[str, Any]:
    """Return a row as it is answered. `names` are those of the rows that lookups point at, `lazy` the columns whose
    texts are read."""
    row, found = await with_texts(context, query, row, lazy)
    answer: dict[str, Any] = {"@odata.etag": etag(row["versionnumber"])}
    for column in query.select if query.select is not None else query.table.columns:
        if column.lazy:
            if column.name in found:
                answer[column.name] = found[column.name]
            continue
        value = row[column.name]
        answer[column.wire] = value
        if value is not None:
            _annotate(context, answer, column, row, names)
    for name, inner in query.expand.items():
        await _expand(context, answer, query.table, name, inner, row)
    return answer


async def with_texts(
    context: Context, query: Query, row: Row, columns: Collection[Column]
) -> tuple[Row, dict[str, str | None]]:
    """Return a row and the texts of its lazy `columns`, None for an empty one; all of one version, which is newer than
    `row` where that was changed meanwhile: what it names is gone then."""
    while True:
        found: dict[str, str | None] = {}
        for column in columns:
            if row.get(column.lazy):
                context.reads.demand_room_for_text()
            # How large a file is, is known before it is read; others must not begin to be read meanwhile.
            known = int(row.get("filesize") or 0)
            context.reads.text += known
            found[column.name] = text = await texts.read(context.organization, column, row)
            context.reads.text += len(text or "") - known
        gone = {
            column.lazy: row[column.lazy] for column in columns if row.get(column.lazy) and found[column.name] is None
        }
        if not gone:
            return row, found
        newer = await finding.get(context, query, row[query.table.id])
        if newer is None or all(newer.get(stored) == name for stored, name in gone.items()):
            return row, found
        row = newer


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
    found = await side_by_side(lambda key: sources.get(context.organization, TABLES[key[0]], key[1]), wanted)
    return {
        key: str(entity.get(TABLES[key[0]].name) or "")
        for key, entity in zip(wanted, found, strict=True)
        if entity is not None and may_see(context.caller, TABLES[key[0]], entity)
    }


async def _expand(context: Context, answer: dict[str, Any], table: Table, name: str, query: Query, row: Row) -> None:
    """Put what a navigation property leads to into an answer."""
    context.reads.expand()
    if name in table.collections:
        page = await finding.find(context, finding.related(query, table, name, row[table.id]))
        if query.table.kept == "email":
            # Each mail of a list is read by its key.
            context.reads.expand(len(page.rows))
        answer[name] = await _render_all(context, query, page.rows, single=False)
        if page.token:
            url = f"{context.base}/{table.set}({row[table.id]})/{name}"
            answer[f"{name}@odata.nextLink"] = _next_link(url, query.options, page.token)
        return
    column, _ = table.by_navigation[name]
    found = await finding.pointed(context, column, query, row)
    answer[name] = None if found is None else (await _render_all(context, query, [found], single=False))[0]


def _counted(options: Mapping[str, str]) -> dict[str, str]:
    """Return the options that decide how many rows there are."""
    return {name: value for name, value in options.items() if name not in ("$top", "$orderby")}


def _asker(context: Context) -> Asker:
    return Asker(context.now, context.caller.user)


def _context_url(context: Context, query: Query) -> str:
    names = [column.wire for column in query.select or ()]
    names += [f"{name}()" for name in query.expand]
    selection = f"({','.join(names)})" if names else ""
    return f"{context.base}/$metadata#{query.table.set}{selection}"


def _next_link(url: str, options: Mapping[str, str], token: str) -> str:
    kept = {name: value for name, value in options.items() if name != "$skiptoken"} | {"$skiptoken": token}
    return f"{url}?" + "&".join(f"{quote(name, safe='$@')}={quote(value, safe='')}" for name, value in kept.items())
