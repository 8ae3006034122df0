"""What the service says about itself: the service document, ``$metadata``, and definitions of tables."""

from collections.abc import Mapping
from typing import Any

from shared.webapi import definitions
from shared.webapi.csdl import NAMESPACE, csdl
from shared.webapi.errors import Failure
from shared.webapi.http import JSON, Response, json_body
from shared.webapi.schema import Table
from shared.webapi.tables import TABLES

_ONE_TO_MANY = f"{NAMESPACE}.OneToManyRelationshipMetadata"


def answer(base: str, name: str, key: str | None, rest: tuple[str, ...], options: Mapping[str, str]) -> Response | None:
    """Return the description that a path names, or None where it names none. `name` and `key` are the first segment's,
    `rest` the segments after it."""
    if name == "" and not rest:
        sets = [{"name": table.set, "kind": "EntitySet", "url": table.set} for table in TABLES.values()]
        return _json({"@odata.context": f"{base}/$metadata", "value": sets})
    if name == "$metadata" and not rest:
        return Response(200, {"Content-Type": "application/xml"}, csdl())
    if name == "sdkmessagefilters" and not rest:
        return _list(base, name, definitions.messages(), _by_message(options))
    if name == "RelationshipDefinitions" and rest in ((), (_ONE_TO_MANY,)):
        return _list(base, name, definitions.one_to_many(), options)
    if name != "EntityDefinitions":
        return None
    if key is None:
        return None if rest else _list(base, name, definitions.tables(), options)
    return _definition(base, key, rest, options)


def _definition(base: str, key: str, rest: tuple[str, ...], options: Mapping[str, str]) -> Response | None:
    table = definitions.find_table(key)
    if table is None:
        raise Failure(404, "0x80060888", f"Could not find an entity with the key {key[:80]}.")
    if not rest:
        (found,) = definitions.arrange([definitions.table_definition(table)], _without_filter(options))
        return _json({"@odata.context": f"{base}/$metadata#EntityDefinitions/$entity", **found})
    items = _parts(table, rest)
    if items is None:
        return None
    if isinstance(items, dict):
        (found,) = definitions.arrange([items], _without_filter(options))
        return _json({"@odata.context": f"{base}/$metadata#EntityDefinitions", **found})
    return _list(base, "EntityDefinitions", items, options)


def _parts(table: Table, rest: tuple[str, ...]) -> list[dict[str, Any]] | dict[str, Any] | None:
    """Return what a path below a table's definition names: a list, one attribute, or None."""
    part, *more = rest
    if part == "Attributes" and len(more) <= 1:
        return definitions.attributes(table, more[0].removeprefix(f"{NAMESPACE}.") if more else "")
    if part.startswith("Attributes(LogicalName='") and part.endswith("')"):
        name = part.removeprefix("Attributes(LogicalName='").removesuffix("')")
        return next((item for item in definitions.attributes(table) if item["LogicalName"] == name), None)
    if more:
        return None
    if part == "ManyToOneRelationships":
        return definitions.many_to_one(table)
    if part == "OneToManyRelationships":
        return definitions.one_to_many(table)
    return [] if part in ("Keys", "ManyToManyRelationships") else None


def _list(base: str, name: str, items: list[dict[str, Any]], options: Mapping[str, str]) -> Response:
    return _json({"@odata.context": f"{base}/$metadata#{name}", "value": definitions.arrange(items, options)})


def _by_message(options: Mapping[str, str]) -> dict[str, str]:
    """Return options whose filter looks at a message's name where it is, beside the table and not behind a lookup."""
    return {name: value.replace("sdkmessageid/name", "name") for name, value in options.items()}


def _without_filter(options: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in options.items() if name != "$filter"}


def _json(value: object) -> Response:
    return Response(200, {"Content-Type": JSON}, json_body(value))
