"""The other query options: ``$select``, ``$orderby``, ``$top``, ``$count``, ``$expand``, and pages.

Query option names are case-sensitive, ``$skip`` is not supported, and a page holds at most 5,000 rows (Microsoft's
"Query data using the Web API").
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_plus

import orjson

from shared.webapi.errors import bad_query, unknown_property
from shared.webapi.filters import EVERYTHING, Filter, Row, parse_filter, substitute_aliases
from shared.webapi.schema import Column, Table
from shared.webapi.values import sortable

MAX_PAGE = 5000
_OPTIONS = frozenset({"$select", "$filter", "$orderby", "$top", "$count", "$expand", "$skiptoken"})
_OPTIONS_OF_EXPAND = frozenset({"$select", "$filter", "$orderby", "$top", "$expand"})


@dataclass(frozen=True, slots=True)
class Order:
    """A column to sort by."""

    column: Column
    descending: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: after the row with these sort values and this id. `rest` is how many rows are still wanted
    under ``$top``, None for all; `size` is the page's."""

    size: int
    keys: tuple[Any, ...]
    id: str
    rest: int | None


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked of a table. `select` is None for all columns."""

    table: Table
    select: tuple[Column, ...] | None = None
    filter: Filter = EVERYTHING
    order: tuple[Order, ...] = ()
    top: int | None = None
    count: bool = False
    expand: Mapping[str, "Query"] = field(default_factory=dict)
    after: Place | None = None

    def wants(self, column: Column) -> bool:
        """Whether a lazy column was asked for by name."""
        return self.select is not None and column in self.select


def parse_options(query: str) -> dict[str, str]:
    """Return the options of a URL's query part, by name.

    Clients encode in three ways (``%24select=a+b``, ``$select=a%20b``, raw): the text is split on ``&`` before it is
    decoded, and ``+`` is a space.
    """
    options: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        options[unquote_plus(name).strip()] = unquote_plus(value)
    return options


def parse_query(options: Mapping[str, str], table: Table) -> Query:
    """Return what `options` ask of `table`; raise `Failure` 400 naming the option or column that is wrong."""
    aliases = {name: value for name, value in options.items() if name.startswith("@")}
    for name in options:
        if name.startswith("$") and name not in _OPTIONS:
            raise bad_query(f"The query option '{name}' is not supported.")
    for name in ("fetchXml", "sql", "savedQuery", "userQuery"):
        if name in options:
            raise bad_query(f"The query option '{name}' is not supported; use $filter, $select and $orderby.")
    return _query(options, table, aliases, "$skiptoken" in options)


def _query(options: Mapping[str, str], table: Table, aliases: Mapping[str, str], continued: bool) -> Query:
    order = _order(substitute_aliases(options.get("$orderby", ""), aliases), table)
    return Query(
        table,
        _select(options["$select"], table) if options.get("$select", "").strip() not in ("", "*") else None,
        parse_filter(options["$filter"], table, aliases) if options.get("$filter", "").strip() else EVERYTHING,
        order,
        _top(options["$top"]) if "$top" in options else None,
        _flag("$count", options.get("$count", "false")),
        dict(_expand(item, table, aliases) for item in split_top(options.get("$expand", ""), ",")),
        _place(options["$skiptoken"], len(order or default_order(table))) if continued else None,
    )


def split_top(text: str, separator: str) -> list[str]:
    """Split a text at separators outside of quotes and parentheses; empty parts are dropped.

    >>> split_top("a($select=b,c),d", ",")
    ['a($select=b,c)', 'd']
    """
    parts, depth, quoted, start = [], 0, False, 0
    for position, character in enumerate(text):
        if character == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == separator and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def _select(text: str, table: Table) -> tuple[Column, ...]:
    names = dict.fromkeys(split_top(text, ","))
    columns = []
    for name in names:
        # Lookups may be selected under their plain name too, as Dataverse allows.
        column = table.by_wire.get(name) or table.by_name.get(name)
        if column is None:
            raise unknown_property(name, table.logical)
        columns.append(column)
    key = table.by_name[table.id]
    return tuple(columns) if key in columns else (*columns, key)


def _order(text: str, table: Table) -> tuple[Order, ...]:
    orders = []
    for item in split_top(text, ","):
        name, *direction = item.split()
        column = table.by_wire.get(name) or table.by_name.get(name)
        if column is None:
            raise unknown_property(name, table.logical)
        if column.lazy:
            raise bad_query(f"'{name}' is kept as a file and cannot be sorted by.")
        if direction not in ([], ["asc"], ["desc"]):
            raise bad_query(f"'{item}' in $orderby is not a column followed by asc or desc.")
        orders.append(Order(column, direction == ["desc"]))
    return tuple(orders)


def _top(text: str) -> int:
    if not text.strip().isdecimal() or len(text) > 9:
        raise bad_query(f"'{text[:40]}' is not a valid value of $top: give a whole number, 0 or more.")
    return int(text)


def _flag(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise bad_query(f"'{text[:40]}' is not a valid value of {name}: give true or false.")
    return text == "true"


def _expand(item: str, table: Table, aliases: Mapping[str, str]) -> tuple[str, Query]:
    from shared.webapi.tables import TABLES

    name, _, inner = item.partition("(")
    if inner and not inner.endswith(")"):
        raise bad_query(f"'{item[:80]}' in $expand lacks a closing parenthesis.")
    name = name.strip()
    if name in table.collections:
        target = TABLES[table.collections[name].table]
    elif name in table.by_navigation and table.by_navigation[name][1] in TABLES:
        target = TABLES[table.by_navigation[name][1]]
    else:
        raise unknown_property(name, table.logical)
    options: dict[str, str] = {}
    for part in split_top(inner.removesuffix(")"), ";"):
        option, _, value = part.partition("=")
        if option.strip() not in _OPTIONS_OF_EXPAND:
            raise bad_query(f"The query option '{option.strip()[:40]}' is not supported in $expand.")
        options[option.strip()] = value
    return name, _query(options, target, aliases, continued=False)


def default_order(table: Table) -> tuple[Order, ...]:
    """Return how a table's rows are sorted where a request does not say."""
    return (Order(table.by_name[table.order], descending=True),) if table.order else ()


def sort_rows(rows: list[dict[str, Any]], table: Table, order: Sequence[Order]) -> None:
    """Sort rows in place, nulls first (last when descending), equal ones by id."""
    rows.sort(key=lambda row: str(row[table.id]))
    for item in reversed(order):
        rows.sort(key=lambda row: _rank(item.column, row), reverse=item.descending)


def _rank(column: Column, row: Row) -> tuple[bool, Any]:
    value = sortable(column, row.get(column.name))
    return (value is not None, value)


def is_after(row: Row, table: Table, order: Sequence[Order], place: Place) -> bool:
    """Return whether a row comes after `place` in the given order."""
    for item, key in zip(order, place.keys, strict=True):
        mine, theirs = _rank(item.column, row), (key is not None, key)
        if mine != theirs:
            try:
                return (mine > theirs) is not item.descending
            except TypeError:
                raise bad_query("The $skiptoken does not belong to this query.") from None
    return str(row[table.id]) > place.id


def make_token(row: Row, table: Table, order: Sequence[Order], size: int, rest: int | None) -> str:
    """Return the ``$skiptoken`` of the page that begins after `row`."""
    keys = [sortable(item.column, row.get(item.column.name)) for item in order]
    token = orjson.dumps([size, keys, str(row[table.id]), rest])
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def _place(token: str, keys: int) -> Place:
    try:
        decoded = orjson.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        size, values, last, rest = decoded
    except (ValueError, TypeError, binascii.Error):
        raise bad_query("The $skiptoken is malformed: follow @odata.nextLink as it was given.") from None
    plausible = (
        type(size) is int
        and 1 <= size <= MAX_PAGE
        and isinstance(values, list)
        and isinstance(last, str)
        and (rest is None or type(rest) is int)
    )
    if not plausible or len(values) != keys:
        raise bad_query("The $skiptoken does not belong to this query: follow @odata.nextLink as it was given.")
    return Place(size, tuple(values), last, rest)
