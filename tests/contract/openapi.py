"""An OpenAPI 3.1 description of the Web API, derived from the schema of its tables: what a fuzzer is told to try."""

from collections.abc import Iterable, Mapping
from typing import Any

from shared.webapi.schema import CHOICES, GUIDS, LOOKUPS, NUMBERS, TEXTS, Column, Table, Type
from shared.webapi.tables import SETS, TABLES
from shared.webapi.tables.templates import TYPES

ERRORS: Mapping[str, Iterable[int]] = {
    "get": (400, 401, 403, 404, 405, 414, 429, 431, 501),
    "post": (400, 401, 403, 404, 405, 412, 413, 414, 415, 429, 431, 501),
    "patch": (400, 401, 403, 404, 405, 412, 413, 414, 415, 429, 431, 501),
    "put": (400, 401, 403, 404, 405, 412, 413, 414, 415, 429, 431, 501),
    "delete": (400, 401, 403, 404, 405, 412, 414, 429, 431, 501),
}
"""Statuses that an error may have, by method (docs of `shared.webapi.errors`; dynamics.md 3.3)."""

ERROR_SHAPE: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "additionalProperties": False,
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "additionalProperties": False,
            "properties": {
                "code": {"type": "string", "pattern": "^(0x[0-9a-fA-F]{8})?$"},
                "message": {"type": "string", "minLength": 1},
            },
        }
    },
}
"""The body of every error but 401, which has none."""

KNOWN_ID = "0b1d0b6e-0000-4000-8000-000000000001"
"""A row of this id is there at the beginning, in every set that takes one without any column."""
_LONG = 4000
"""Texts that may be longer are described without a limit: a fuzzer would send one character more than it."""
_GUID: Mapping[str, Any] = {"anyOf": [{"enum": [KNOWN_ID]}, {"type": ["string", "null"]}]}
_FILTERS: Mapping[str, str] = {
    "text": "contains({0},'a') or startswith({0},'%') or {0} eq 'it''s' or {0} in ('a','b')",
    "number": "{0} ge 1 and not ({0} eq 2)",
    "time": "{0} gt 2026-01-01T00:00:00Z or Microsoft.Dynamics.CRM.LastXDays(PropertyName='{0}',PropertyValue=7)",
    "guid": "{0} ne 0b1d0b6e-0000-4000-8000-000000000001 or {0} eq null",
    "flag": "{0} eq true",
}

_ARGUMENTS = {"anyOf": [{"enum": ["", "TimeZone='Europe/Berlin'", "TimeZone=@zone"]}, {"type": "string"}]}


def description() -> dict[str, Any]:
    """Return the description as OpenAPI 3.1; paths are below the Web API's root."""
    paths: dict[str, Any] = {
        "/": {"get": _operation("get", [], {"200": _json()})},
        "/$metadata": {"get": _operation("get", [], {"200": _content("application/xml")})},
        "/WhoAmI": {"get": _operation("get", [], {"200": _json()})},
        "/EntityDefinitions": {"get": _operation("get", _options("$select", "$filter"), {"200": _json()})},
        "/EntityDefinitions(LogicalName='{table}')/Attributes": {
            "get": _operation("get", [_path("table", {"enum": list(TABLES)})], {"200": _json()})
        },
        "/emails({id})/Microsoft.Dynamics.CRM.SendEmail": {
            "post": _operation("post", [_id()], {"200": _json()}, _object({"IssueSend": {"type": "boolean"}}))
        },
        "/emails({id})/Microsoft.Dynamics.CRM.ee_GetEmailHistory({arguments})": {
            "get": _operation("get", [_id(), _path("arguments", _ARGUMENTS), *_options("@zone")], {"200": _json()})
        },
        "/GetEmailEngagementAggregateCounts": {"post": _operation("post", [], {"200": _json()}, _figures())},
        "/ee_GetEmailEngagementSeries": {
            "post": _operation("post", [], {"200": _json()}, _figures({"TimeZone": {"type": ["string", "null"]}}))
        },
        "/FollowEmailAttachment": {"post": _follow()},
        "/UnfollowEmailAttachment": {"post": _follow()},
        "/InstantiateTemplate": {"post": _from_template({"ObjectType": {"enum": list(TYPES)}, "ObjectId": _GUID})},
        "/SendEmailFromTemplate": {
            "post": _from_template({"Regarding": {"type": ["object", "null"]}, "Target": _row(TABLES["email"])})
        },
    }
    for table in SETS.values():
        paths |= _table_paths(table)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Email Engagement Web API", "version": "9.2"},
        "paths": paths,
    }


def _table_paths(table: Table) -> dict[str, Any]:
    made = {"204": {"description": "done"}, "201": _json()}
    changed = {"204": {"description": "done"}, "200": _json(), "201": _json()}
    properties = [column.wire for column in table.columns]
    return {
        f"/{table.set}": {
            "get": _operation("get", _query(table), {"200": _json()}),
            "post": _operation("post", [_prefer()], made, _row(table)),
        },
        f"/{table.set}/$count": {
            "get": _operation("get", [_filter(table)], {"200": _content("text/plain")}),
        },
        f"/{table.set}({{id}})": {
            "get": _operation(
                "get",
                [_id(), _select(table), _expand(table), _header("If-None-Match", {"type": "string"})],
                {"200": _json(), "304": {"description": "unchanged"}},
            ),
            "patch": _operation("patch", [_id(), _match(), _prefer()], changed, _row(table)),
            "delete": _operation("delete", [_id(), _match()], {"204": {"description": "done"}}),
        },
        f"/{table.set}({{id}})/{{property}}": {
            "get": _operation(
                "get",
                [_id(), _path("property", {"enum": [*properties, *table.by_navigation, *table.collections]})],
                {"200": _json(), "204": {"description": "null"}},
            ),
            "put": _operation(
                "put",
                [_id(), _path("property", {"enum": properties})],
                {"204": {"description": "done"}},
                _object({"value": {}}),
            ),
        },
    }


def _row(table: Table) -> dict[str, Any]:
    """Return the schema of a row as clients write it."""
    properties = {
        column.name: _value(column) for column in table.columns if column.writable and column.type not in LOOKUPS
    }
    for name, (column, target) in table.by_navigation.items():
        if column.writable:
            reference = f"/{TABLES[target].set}({KNOWN_ID})" if target in TABLES else ""
            properties[f"{name}@odata.bind"] = {"anyOf": [{"enum": [reference, None]}, {"type": "string"}]}
    for name in table.collections:
        inner = TABLES[table.collections[name].table]
        if table.kept == "email" and inner.kept == "child":
            columns = {column.name: _value(column) for column in inner.columns if column.type not in LOOKUPS}
            properties[name] = {"type": "array", "maxItems": 3, "items": _object(columns)}
    return _object(properties)


def _value(column: Column) -> dict[str, Any]:
    if column.type in TEXTS:
        limit = {"maxLength": column.length} if column.length <= _LONG else {}
        return {"type": ["string", "null"], **limit}
    if column.type in CHOICES:
        return {"enum": [*column.options, None]}
    if column.type in NUMBERS:
        return {"type": ["integer", "null"], "minimum": column.low, "maximum": column.high}
    if column.type is Type.BOOLEAN:
        return {"type": ["boolean", "null"]}
    if column.type is Type.DATETIME:
        return {"anyOf": [{"type": "string", "format": "date-time"}, {"type": "null"}]}
    return {"anyOf": [{"type": "string", "format": "uuid"}, {"type": "null"}]}


def _query(table: Table) -> list[dict[str, Any]]:
    columns = [column.wire for column in table.columns if not column.lazy]
    return [
        _select(table),
        _filter(table),
        _option("$orderby", [*(f"{name} desc" for name in columns), ",".join(columns)]),
        _option("$top", ["0", "1", "5000"]),
        _option("$count", ["true", "false"]),
        _expand(table),
        _option("$skiptoken", ["", "WzFd"]),
        _header("Prefer", {"enum": ['odata.include-annotations="*"', "odata.maxpagesize=2", "return=representation"]}),
    ]


def _select(table: Table) -> dict[str, Any]:
    return _option("$select", [",".join(column.wire for column in table.columns), table.id])


def _filter(table: Table) -> dict[str, Any]:
    return _option(
        "$filter", [_FILTERS[_kind(column)].format(column.wire) for column in table.columns if not column.lazy]
    )


def _expand(table: Table) -> dict[str, Any]:
    navigations = [
        f"{name}($select={TABLES[target].id})" for name, (_, target) in table.by_navigation.items() if target in TABLES
    ]
    return _option("$expand", [*navigations, *(f"{name}($top=1)" for name in table.collections), ""])


def _kind(column: Column) -> str:
    if column.type in TEXTS:
        return "text"
    if column.type in GUIDS:
        return "guid"
    if column.type is Type.DATETIME:
        return "time"
    return "flag" if column.type is Type.BOOLEAN else "number"


def _options(*names: str) -> list[dict[str, Any]]:
    return [{"name": name, "in": "query", "schema": {"type": "string"}} for name in names]


def _option(name: str, likely: list[str]) -> dict[str, Any]:
    schema = {"anyOf": [{"enum": likely}, {"type": "string", "maxLength": 200}]}
    return {"name": name, "in": "query", "schema": schema}


def _path(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _id() -> dict[str, Any]:
    return _path("id", {"anyOf": [{"enum": [KNOWN_ID]}, {"type": "string", "format": "uuid"}]})


def _header(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": schema}


def _match() -> dict[str, Any]:
    return _header("If-Match", {"anyOf": [{"enum": ["*", 'W/"1"', "null"]}, {"type": "string"}]})


def _prefer() -> dict[str, Any]:
    return _header("Prefer", {"enum": ["return=representation", "return=minimal"]})


def _follow() -> dict[str, Any]:
    body = _object({"ActivityMimeAttachmentId": {"type": "string", "format": "uuid"}})
    return _operation("post", [], {"204": {"description": "done"}}, body)


def _from_template(more: dict[str, Any]) -> dict[str, Any]:
    return _operation("post", [], {"200": _json()}, _object({"TemplateId": _GUID, **more}))


def _figures(more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the schema of what the figures of a record are asked with."""
    known = {"@odata.type": {"enum": ["Microsoft.Dynamics.CRM.contact"]}, "contactid": {"enum": [KNOWN_ID]}}
    target = {"anyOf": [_object(known), _object({"@odata.id": {"type": "string"}}), {"type": "object"}]}
    moment = {"anyOf": [{"type": "string", "format": "date-time"}, {"type": ["string", "null"]}]}
    return _object({"Target": target, "From": moment, "To": moment, **(more or {})})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _operation(
    method: str, parameters: list[dict[str, Any]], answers: dict[str, Any], body: dict[str, Any] | None = None
) -> dict[str, Any]:
    errors = {
        str(status): {"description": "an error"} if status == 401 else _content("application/json", ERROR_SHAPE)
        for status in ERRORS[method]
    }
    sent = {"requestBody": {"content": {"application/json": {"schema": body}}}} if body else {}
    return {"parameters": parameters, "responses": {**answers, **errors}, **sent}


def _json() -> dict[str, Any]:
    return _content("application/json", {"type": "object"})


def _content(kind: str, schema: Mapping[str, Any] | None = None) -> dict[str, Any]:
    return {"description": kind, "content": {kind: {"schema": schema or {}}}}
