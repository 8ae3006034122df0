"""OData system query options of a collection: what to take, in which order, and what to show of it.

Source: https://learn.microsoft.com/graph/query-parameters.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlencode

from local.microsoft365.errors import GraphError, bad_request
from local.microsoft365.filters import Condition, column_of, parse_filter, property_key

_KNOWN = frozenset(
    {"$select", "$expand", "$filter", "$orderby", "$top", "$skip", "$count", "$search", "$deltatoken", "$skiptoken"}
)
_LARGEST_PAGE = 1000


class Parameters(Protocol):
    """Query parameters with repetitions, as Starlette gives them."""

    def multi_items(self) -> list[tuple[str, str]]:
        """Return every name and value in order."""


@dataclass(frozen=True, slots=True)
class Query:
    """The options of one request; `select` None means all that is shown by default."""

    condition: Condition | None
    search: str | None
    order: str
    top: int
    skip: int
    select: frozenset[str] | None
    expand: Mapping[str, str]
    count: bool


def parse_query(parameters: Parameters, headers: Mapping[str, str], default_top: int = 10) -> Query:
    """Read the options of a request; raise GraphError for one that Graph would refuse."""
    options: dict[str, str] = {}
    for name, value in parameters.multi_items():
        if name.startswith("$") and name not in _KNOWN:
            raise bad_request(f"The query parameter '{name}' is not supported.")
        if name in options:
            raise bad_request(
                f"Query option '{name}' was specified more than once, but it must be specified at most once."
            )
        if name.startswith("$") and not value.strip():
            raise bad_request(f"The query option '{name}' must not be empty.")
        options[name] = value
    condition = parse_filter(options["$filter"]) if options.get("$filter") else None
    order, order_properties = _order(options.get("$orderby", ""))
    if condition is not None and order_properties:
        _refuse_inefficient(condition, order_properties)
    select = frozenset(part.strip() for part in options["$select"].split(",")) if options.get("$select") else None
    return Query(
        condition=condition,
        search=options.get("$search", "").strip('"') or None,
        order=order,
        top=_page(options, headers, default_top),
        skip=_number(options.get("$skip", "0"), "$skip", 0, 10_000_000),
        select=select,
        expand=_expand(options.get("$expand", "")),
        count=options.get("$count", "").casefold() == "true",
    )


def expanded_properties(expand: Mapping[str, str]) -> frozenset[str] | None:
    """Return the keys of the extended properties an `$expand` asks for, or None when it asks for none.

    Graph returns extended properties only by name:
    https://learn.microsoft.com/graph/api/singlevaluelegacyextendedproperty-get.
    """
    if "singleValueExtendedProperties" not in expand:
        return None
    names = re.findall(r"id\s+eq\s+'((?:[^']|'')*)'", expand["singleValueExtendedProperties"])
    return frozenset(property_key(name.replace("''", "'")) for name in names)


def link(base: str, path: str, options: Mapping[str, str]) -> str:
    """Return an absolute address with query options, as used in `@odata.nextLink` and `@odata.deltaLink`."""
    return f"{base}{path}?{urlencode(options, safe='$')}"


def _page(options: Mapping[str, str], headers: Mapping[str, str], default_top: int) -> int:
    preferred = re.search(r"odata\.maxpagesize\s*=\s*(\d+)", headers.get("prefer", ""))
    if "$top" in options:
        return _number(options["$top"], "$top", 1, _LARGEST_PAGE)
    return min(max(int(preferred[1]), 1), _LARGEST_PAGE) if preferred else default_top


def _number(text: str, name: str, least: int, most: int) -> int:
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise bad_request(f"Invalid value '{text}' for {name} query option: a number from {least} to {most} is needed.")
    return int(text)


def _order(text: str) -> tuple[str, list[str]]:
    columns, names = [], []
    for part in filter(None, (piece.strip() for piece in text.split(","))):
        name, _, direction = part.partition(" ")
        if direction.strip() not in {"", "asc", "desc"}:
            raise bad_request(f"Invalid $orderby direction '{direction}': use asc or desc.")
        columns.append(f"{column_of(name)} {direction.strip() or 'asc'}")
        names.append(name)
    return ", ".join([*columns, "m.received DESC", "m.version DESC"]), names


def _refuse_inefficient(condition: Condition, order_properties: list[str]) -> None:
    # Exchange's rule,
    # https://learn.microsoft.com/graph/api/user-list-messages#using-filter-and-orderby-in-the-same-query
    if list(dict.fromkeys(condition.properties))[: len(order_properties)] != order_properties:
        raise GraphError(400, "InefficientFilter", "The restriction or sort order is too complex for this operation.")


def _expand(text: str) -> dict[str, str]:
    expand: dict[str, str] = {}
    for part in filter(None, (piece.strip() for piece in _split(text))):
        match = re.fullmatch(r"(\w+)\s*(?:\((.*)\))?", part, re.DOTALL)
        if match is None or match[1] not in {"attachments", "singleValueExtendedProperties"}:
            raise bad_request(f"Messages cannot be expanded by '{part}' here.")
        expand[match[1]] = match[2] or ""
    return expand


def _split(text: str) -> list[str]:
    """Split at the commas outside parentheses and quotes."""
    parts, depth, quoted = [""], 0, False
    for character in text:
        quoted ^= character == "'"
        depth += 0 if quoted else (character == "(") - (character == ")")
        if character == "," and depth == 0 and not quoted:
            parts.append("")
        else:
            parts[-1] += character
    return parts
