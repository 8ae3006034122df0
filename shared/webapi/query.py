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

from shared.webapi.aside import LARGE_QUERY, aside
from shared.webapi.errors import Failure, bad_query, not_implemented, shown, unknown_property
from shared.webapi.filters import EVERYTHING, MAX_LENGTH, Filter, Row, parse_filter, substitute_aliases
from shared.webapi.query_functions import NOBODY, Asker
from shared.webapi.schema import NUMBERS, Column, Table, Type
from shared.webapi.values import parse_time, sortable

MAX_PAGE = 5000
MAX_EXPANDS = 15
"""Navigation properties that a query expands, those one within another included: Dataverse's own limit (Microsoft's
"Join tables using OData")."""
MAX_ORDERS = 10
"""Columns to sort by."""
MAX_CONDITIONS = 2 * MAX_LENGTH
"""Characters of all ``$filter`` and ``$orderby`` of a query, with the values of parameter aliases in their places."""
_OPTIONS = frozenset({"$select", "$filter", "$orderby", "$top", "$count", "$expand", "$skiptoken"})
_NOT_HERE = frozenset({"fetchxml", "sql", "savedquery", "userquery", "$apply"})
"""Options in lower case: clients write those without a dollar sign in any."""
_OPTIONS_OF_EXPAND = frozenset({"$select", "$filter", "$orderby", "$top", "$expand"})


@dataclass(frozen=True, slots=True)
class Order:
    """A column to sort by."""

    column: Column
    descending: bool


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins: after the row with these sort values and this place among all (its id, or its keys). `rest`
    is how many rows are still wanted under ``$top``, None for all; `size` is the page's."""

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
    options: Mapping[str, str] = field(default_factory=dict)
    """What was asked, as it was asked."""


def parse_options(query: str) -> dict[str, str]:
    """Return the options of a URL's query part, by name.

    Clients encode in three ways (``%24select=a+b``, ``$select=a%20b``, raw): the text is split on ``&`` before it is
    decoded, and ``+`` is a space. Raises `Failure` 400 where a ``$`` or ``@`` option is given twice (OData 4.0 URL
    Conventions, 5.1): one of them would not be heeded.
    """
    options: dict[str, str] = {}
    for part in filter(None, query.split("&")):
        name, _, value = part.partition("=")
        option = unquote_plus(name).strip()
        if option in options and option.startswith(("$", "@")):
            raise bad_query(f"The query option '{option[:40]}' was specified more than once: give it once.")
        options[option] = unquote_plus(value)
    return options


async def read_query(options: Mapping[str, str], table: Table, asker: Asker = NOBODY) -> Query:
    """Return what `options` ask as `parse_query` does, long ones beside the event loop."""
    if sum(map(len, options.values())) > LARGE_QUERY:
        return await aside(parse_query, options, table, asker)
    return parse_query(options, table, asker)


def parse_query(options: Mapping[str, str], table: Table, asker: Asker = NOBODY) -> Query:
    """Return what `options` ask of `table`; raise `Failure` 400 naming the option or column that is wrong, 501 for one
    that Dataverse has and we do not."""
    aliases = {name: value for name, value in options.items() if name.startswith("@")}
    for name in options:
        if name.lower() in _NOT_HERE:
            raise not_implemented(
                f"The query option '{name}' is not available here: use $filter, $select and $orderby."
            )
        if name.startswith("$") and name not in _OPTIONS:
            raise bad_query(f"The query option '{shown(name)}' is not supported.")
    if options.get("$expand", "").count("$expand") >= MAX_EXPANDS:
        raise _too_many_expands()
    return _query(options, table, _Asked(aliases, asker), continued="$skiptoken" in options)


@dataclass(slots=True)
class _Asked:
    """What all parts of a query share, and how much of what a query may have they have used up."""

    aliases: Mapping[str, str]
    asker: Asker
    expands: int = 0
    conditions: int = 0

    def expand(self) -> None:
        """Count a navigation property that is expanded; raise `Failure` 400 past `MAX_EXPANDS`."""
        self.expands += 1
        if self.expands > MAX_EXPANDS:
            raise _too_many_expands()

    def condition(self, text: str) -> str:
        """Return a text with its aliases replaced; raise `Failure` 400 where all together get too long."""
        replaced = substitute_aliases(text, self.aliases)
        self.conditions += len(replaced)
        if self.conditions > MAX_CONDITIONS:
            raise bad_query(
                f"All $filter and $orderby of the query have more than {MAX_CONDITIONS:,} characters together, with "
                "parameter aliases replaced: shorten them, or send several queries."
            )
        return replaced


def _too_many_expands() -> Failure:
    return bad_query(
        f"A query has at most {MAX_EXPANDS} $expand options, each navigation property counted: expand fewer of them."
    )


def _query(options: Mapping[str, str], table: Table, asked: _Asked, *, continued: bool) -> Query:
    kept = EVERYTHING
    if options.get("$filter", "").strip():
        kept = parse_filter(asked.condition(options["$filter"]), table, None, asked.asker)
    order = _order(asked.condition(options.get("$orderby", "")), table) or implied_order(table, kept)
    return Query(
        table,
        _select(options["$select"], table) if options.get("$select", "").strip() not in ("", "*") else None,
        kept,
        order,
        _top(options["$top"]) if "$top" in options else None,
        _flag("$count", options.get("$count", "false")),
        dict(_expand(item, table, asked) for item in split_top(options.get("$expand", ""), ",")),
        _place(options["$skiptoken"]) if continued else None,
        options,
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
            raise bad_query(f"'{shown(item)}' in $orderby is not a column followed by asc or desc.")
        orders.append(Order(column, direction == ["desc"]))
        if len(orders) > MAX_ORDERS:
            raise bad_query(f"$orderby names more than {MAX_ORDERS} columns: sort by fewer.")
    return tuple(orders)


def _top(text: str) -> int:
    if not text.strip().isdecimal() or len(text) > 9:
        raise bad_query(f"'{text[:40]}' is not a valid value of $top: give a whole number, 0 or more.")
    return int(text)


def _flag(name: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise bad_query(f"'{text[:40]}' is not a valid value of {name}: give true or false.")
    return text == "true"


def _expand(item: str, table: Table, asked: _Asked) -> tuple[str, Query]:
    from shared.webapi.tables import TABLES

    asked.expand()
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
    return name, _query(options, target, asked, continued=False)


def implied_order(table: Table, filter: Filter) -> tuple[Order, ...]:
    """Return how rows are sorted where a request does not say: newest first where that is a list of its own (somebody's
    mail, what belongs to an email), else by key, so that a large set can be read to its end."""
    if table.kept == "email" and (
        filter.equals.keys() & {"ownerid", "regardingobjectid", "templateid", "isemailfollowed"}
    ):
        return (Order(table.by_name["createdon"], descending=True),)
    if table.order and table.parent in filter.equals:
        return (Order(table.by_name[table.order], descending=True),)
    return ()


def sort_rows(rows: list[dict[str, Any]], order: Sequence[Order]) -> None:
    """Sort rows in place, nulls first (last when descending), equal ones by their place among all."""
    rows.sort(key=lambda row: str(row["_place"]))
    for item in reversed(order):
        rows.sort(key=lambda row: _rank(item.column, row), reverse=item.descending)


def _rank(column: Column, row: Row) -> tuple[bool, Any]:
    value = sortable(column, row.get(column.name))
    return (value is not None, value)


def is_after(row: Row, order: Sequence[Order], place: Place) -> bool:
    """Return whether a row comes after `place` in the given order."""
    for item, key in zip(order, place.keys, strict=True):
        mine, theirs = _rank(item.column, row), (key is not None, key)
        if mine != theirs:
            return (mine > theirs) is not item.descending
    return str(row["_place"]) > place.id


def make_token(row: Row, order: Sequence[Order], size: int, rest: int | None) -> str:
    """Return the ``$skiptoken`` of the page that begins after `row`."""
    keys = [sortable(item.column, row.get(item.column.name)) for item in order]
    token = orjson.dumps([size, keys, str(row["_place"]), rest])
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def _place(token: str) -> Place:
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
        and (rest is None or (type(rest) is int and rest >= 0))
    )
    if not plausible:
        raise _foreign_token()
    return Place(size, tuple(values), last, rest)


def demand_place(query: Query) -> None:
    """Raise `Failure` 400 where a query goes on at a place that is none in its order: a token of another query."""
    keys = query.after.keys if query.after else None
    if keys is not None and (
        len(keys) != len(query.order) or not all(map(_fits, (order.column for order in query.order), keys))
    ):
        raise _foreign_token()


def _fits(column: Column, key: Any) -> bool:
    if key is None:
        return True
    if column.type is Type.DATETIME:
        return isinstance(key, str) and parse_time(key) is not None
    return type(key) is (int if column.type in NUMBERS or column.type is Type.BOOLEAN else str)


def _foreign_token() -> Failure:
    return bad_query("The $skiptoken does not belong to this query: follow @odata.nextLink as it was given.")
