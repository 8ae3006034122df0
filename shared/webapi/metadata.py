"""What the service says about itself: the service document, ``$metadata``, and definitions of tables."""

import re
from collections.abc import Mapping, Sequence

from shared.webapi import definitions
from shared.webapi.aside import LARGE_QUERY, aside
from shared.webapi.csdl import NAMESPACE, csdl
from shared.webapi.definitions import Definition
from shared.webapi.errors import Failure, bad_query, unknown_segment
from shared.webapi.http import JSON, Response, json_body
from shared.webapi.tables import TABLES

_ONE_TO_MANY = f"{NAMESPACE}.OneToManyRelationshipMetadata"
_OPTION_SET = f"{NAMESPACE}.OptionSetMetadata"
_MANY_TO_MANY = f"{NAMESPACE}.ManyToManyRelationshipMetadata"
_WITH_KEY = re.compile(r"(\w+)\((.+)\)")

type Found = Definition | Sequence[Definition] | None
"""What a path names: a definition, a list of them, or None for nothing."""


MAX_OPTIONS = 4096
"""Characters of the query options of a description: they are applied to each of hundreds of columns."""


async def answer(
    base: str, name: str, key: str | None, rest: tuple[str, ...], options: Mapping[str, str]
) -> Response | None:
    """Return the description that a path names, or None where it names none. `name` and `key` are the first segment's,
    `rest` the segments after it. Raises `Failure` 400 for query options that are longer than `MAX_OPTIONS` together."""
    length = sum(map(len, (*options, *options.values())))
    if length <= LARGE_QUERY // 4:
        return _described(base, name, key, rest, options)
    if length > MAX_OPTIONS:
        raise bad_query(f"The query options have {length:,} characters; at most {MAX_OPTIONS:,} are taken here.")
    return await aside(_described, base, name, key, rest, options)


def _described(
    base: str, name: str, key: str | None, rest: tuple[str, ...], options: Mapping[str, str]
) -> Response | None:
    if name == "" and not rest:
        sets = [{"name": table.set, "kind": "EntitySet", "url": table.set} for table in TABLES.values()]
        return _json({"@odata.context": f"{base}/$metadata", "value": sets})
    if name == "$metadata" and not rest:
        # XML whatever Accept says: OData's other form of it, CSDL JSON, is not what clients of Dataverse read.
        return Response(200, {"Content-Type": "application/xml"}, csdl())
    if name == "sdkmessagefilters" and not rest:
        by_name = {option: value.replace("sdkmessageid/name", "name") for option, value in options.items()}
        return _list(base, name, definitions.messages(), by_name)
    if name == "GlobalOptionSetDefinitions" and key is None and rest in ((), (_OPTION_SET,)):
        # Every choice belongs to a column of its own.
        return _list(base, name, [], {})
    if name == "RelationshipDefinitions":
        return _answer(base, name, _relationship(key, rest), options)
    if name != "EntityDefinitions":
        return None
    if key is None:
        return None if rest else _answer(base, name, definitions.tables(), options)
    table = definitions.find(definitions.tables(), key)
    if table is None:
        raise Failure(404, "0x80060888", f"Could not find an entity with the key {key[:80]}.")
    found = _below(table, rest)
    if found is None:
        raise unknown_segment("/".join(rest)[:200])
    return _answer(base, name, found, options)


def _relationship(key: str | None, rest: tuple[str, ...]) -> Found:
    if key is not None:
        found = definitions.find(definitions.relationships(), key, "SchemaName")
        return found if rest in ((), (_ONE_TO_MANY,)) else None
    if rest == (_MANY_TO_MANY,):
        return []
    return definitions.relationships() if rest in ((), (_ONE_TO_MANY,)) else None


def _below(table: Definition, rest: tuple[str, ...]) -> Found:
    """Return what a path below a table's definition names: the table, a list of its parts, one of them, or None."""
    if not rest:
        return table
    part, *more = rest
    keyed = _WITH_KEY.fullmatch(part)
    name, key = (keyed[1], keyed[2]) if keyed else (part, None)
    if name not in definitions.PARTS:
        return None
    items: Sequence[Definition] = definitions.parts(table["LogicalName"], name)
    if name == "Attributes" and more and more[0].startswith(f"{NAMESPACE}."):
        items = definitions.of_kind(items, more.pop(0).removeprefix(f"{NAMESPACE}."))
    found: Found = items if key is None else definitions.find(items, key)
    if more == ["OptionSet"] and isinstance(found, dict):
        return found.get("OptionSet")
    return None if more else found


def _answer(base: str, name: str, found: Found, options: Mapping[str, str]) -> Response | None:
    if found is None:
        return None
    if not isinstance(found, dict):
        return _list(base, name, found, options)
    context = f"{base}/$metadata#{name}/$entity"
    return _json({"@odata.context": context, **definitions.arrange_one(found, options)})


def _list(base: str, name: str, items: Sequence[Definition], options: Mapping[str, str]) -> Response:
    arranged = definitions.arrange(items, options)
    counted = {"@odata.count": len(arranged)} if options.get("$count") == "true" else {}
    return _json({"@odata.context": f"{base}/$metadata#{name}", **counted, "value": arranged})


def _json(value: object) -> Response:
    return Response(200, {"Content-Type": JSON}, json_body(value))
