"""What a path names, and what each method does with it: sets, rows, columns, references, functions and actions."""

from collections.abc import Mapping
from typing import Any

from shared.storage.organizations import Organization
from shared.webapi import actions, metadata, reading, references, writing
from shared.webapi.context import Context, version_in
from shared.webapi.errors import Failure, bad_payload, method_not_allowed, stale, unknown_segment
from shared.webapi.http import JSON, Address, Request, Response, json_body
from shared.webapi.keys import RowKey, demand_id, parse_key
from shared.webapi.operations import parse_arguments
from shared.webapi.paths import SEGMENT, Path, parse_path
from shared.webapi.payloads import read_json
from shared.webapi.query import parse_options, read_query
from shared.webapi.schema import Table
from shared.webapi.tables import SETS, TABLES, navigation_of

BATCH = "$batch"

_NAMESPACE = "Microsoft.Dynamics.CRM."
_MAX_BODY = 1024 * 1024
_MAX_BODY_OF_MANY = 8 * 1024 * 1024
"""Bytes of a request that writes many rows."""
_ROOM = 8 * 1024 * 1024
"""Bytes beside the base64 of the largest attachment: a body with images written into it, and the rest of the JSON."""
_WITH_FILES = frozenset({"emails", "activitymimeattachments", "templates", "SendEmailFromTemplate", BATCH})


async def respond(context: Context, request: Request, address: Address) -> Response:
    """Answer one request of a caller who is known: one that came alone, or a part of a batch."""
    if address.path == BATCH:
        raise bad_payload("A batch cannot contain another batch.")
    path = parse_path(address.path)
    demand_size(request, path, context.organization)
    options = parse_options(address.query)
    if path.first in SETS:
        return await _on_table(context, request, SETS[path.first], path, options)
    return await _on_service(context, request, path, options)


async def _on_service(context: Context, request: Request, path: Path, options: Mapping[str, str]) -> Response:
    """Answer what is about no table: the service document, metadata, functions and unbound actions."""
    name = path.first.removeprefix(_NAMESPACE)
    if name in actions.FUNCTIONS and not path.rest and not path.key:
        demand_method(request, "GET", name)
        return _json(200, await actions.FUNCTIONS[name](context))
    if name in actions.UNBOUND and not path.rest and not path.key:
        demand_method(request, "POST", name)
        return _action_answer(await actions.UNBOUND[name](context, await _sent(request)))
    described = await metadata.answer(context.base, path.first, path.key, path.rest, options)
    if described is None:
        raise unknown_segment(path.first)
    demand_method(request, "GET", path.first)
    return described


async def _on_table(
    context: Context, request: Request, table: Table, path: Path, options: Mapping[str, str]
) -> Response:
    if path.key is None:
        return await _on_set(context, request, table, path, options)
    named = parse_key(table, path.key)
    if not path.rest:
        return await _on_row(context, request, table, named, options)
    row = await demand_id(context.organization, table, named)
    name, *more = path.rest
    if name.startswith(_NAMESPACE) and not more:
        return await _on_bound(context, request, table, row, name, options)
    if {(table.logical, name.partition("(")[0])} & {*actions.BOUND, *actions.BOUND_FUNCTIONS}:
        raise actions.unqualified(name.partition("(")[0])
    if more == ["$ref"]:
        return await _on_reference(context, request, table, row, name, options)
    return await _on_property(context, request, table, row, name, more, options)


async def _on_bound(
    context: Context, request: Request, table: Table, id: str, segment: str, options: Mapping[str, str]
) -> Response:
    """Carry out an operation of a row, an action or a function."""
    match = SEGMENT.fullmatch(segment.removeprefix(_NAMESPACE))
    name, arguments = (match[1], match[2] or "") if match else ("", "")
    function = actions.BOUND_FUNCTIONS.get((table.logical, name))
    if function is not None:
        demand_method(request, "GET", segment)
        return _action_answer(await function(context, id, parse_arguments(name, arguments, options)))
    action = actions.BOUND.get((table.logical, name))
    if action is None or arguments:
        raise unknown_segment(segment)
    demand_method(request, "POST", segment)
    return _action_answer(await action(context, id, await _sent(request)))


async def _on_set(context: Context, request: Request, table: Table, path: Path, options: Mapping[str, str]) -> Response:
    if path.rest == ("$count",):
        demand_method(request, "GET", "$count")
        return _number(await reading.count_set(context, table, options))
    if path.rest:
        return await _on_set_action(context, request, table, path.rest)
    if request.method == "GET":
        return _with_preferences(context, _json(200, await reading.read_set(context, table, options)))
    demand_method(request, "POST", table.set, writing.set_methods(table))
    sent, shown = await _sent(request), await _shown(context, table, options, expanding=True)
    made = await writing.create(context, table, sent)
    return await _written(context, table, made, shown, created=True)


async def _on_set_action(context: Context, request: Request, table: Table, rest: tuple[str, ...]) -> Response:
    name, *more = rest
    action = actions.ON_SETS.get(name.removeprefix(_NAMESPACE))
    if action is None or more:
        raise unknown_segment(name)
    if not name.startswith(_NAMESPACE):
        raise actions.unqualified(name)
    demand_method(request, "POST", name)
    return _action_answer(await action(context, table, await _sent(request)))


async def _on_row(
    context: Context, request: Request, table: Table, named: RowKey, options: Mapping[str, str]
) -> Response:
    if request.method == "PATCH":
        sent, shown = await _sent(request), await _shown(context, table, options, expanding=False)
        row, created = await writing.upsert(context, table, named, sent)
        return await _written(context, table, row, shown, created=created)
    if request.method not in ("GET", "DELETE"):
        raise method_not_allowed(request.method, f"{table.set}(key)", writing.row_methods(table))
    row = await demand_id(context.organization, table, named)
    if request.method == "GET":
        return await _get_row(context, table, row, options)
    await writing.delete(context, table, row)
    return Response(204)


async def _get_row(context: Context, table: Table, id: str, options: Mapping[str, str]) -> Response:
    row = await reading.read_single(context, table, id, options)
    tag = row["@odata.etag"]
    if version_in(context.match) not in (None, version_in(tag)):
        raise stale()
    # Never with $expand or annotations: those may have changed while the row has not.
    unchanged = version_in(context.none_match) == version_in(tag)
    if unchanged and "$expand" not in options and not context.preferences.annotations:
        return Response(304, {"ETag": tag})
    answer = _with_preferences(context, _json(200, row))
    return Response(answer.status, {**answer.headers, "ETag": tag}, answer.body)


async def _on_reference(
    context: Context, request: Request, table: Table, id: str, segment: str, options: Mapping[str, str]
) -> Response:
    match = SEGMENT.fullmatch(segment)
    name, key = (match[1], match[2]) if match else ("", None)
    if name in table.collections:
        if request.method == "POST":
            await references.add_to_collection(context, table, id, name, await _sent(request))
        else:
            demand_method(request, "DELETE", f"{name}/$ref", "POST, DELETE")
            await references.take_from_collection(context, table, id, name, key, options.get("$id"))
    elif name in table.by_navigation and key is None:
        if request.method in ("PUT", "POST"):
            await references.set_lookup(context, table, id, name, await _sent(request))
        else:
            demand_method(request, "DELETE", f"{name}/$ref", "PUT, DELETE")
            await references.clear_lookup(context, table, id, name)
    else:
        raise unknown_segment(segment[:80])
    return Response(204)


async def _on_property(
    context: Context,
    request: Request,
    table: Table,
    id: str,
    name: str,
    more: list[str],
    options: Mapping[str, str],
) -> Response:
    if more == ["$count"] and name in table.collections:
        demand_method(request, "GET", "$count")
        return _number(await reading.count_collection(context, table, id, name, options))
    if more not in ([], ["$value"]):
        raise unknown_segment(more[0])
    if request.method == "GET":
        found = await reading.read_property(context, table, id, name, options)
        if found is None:
            return Response(204)
        if more:
            return _raw(found.get("value"))
        return _with_preferences(context, _json(200, found))
    if request.method == "POST" and not more and name in table.collections and navigation_of(table, name):
        return await _create_in(context, request, table, id, name, options)
    if name in table.by_navigation or name in table.collections:
        raise method_not_allowed(request.method, f"{name}; {name}/$ref changes what it refers to", "GET")
    if more or name not in table.by_wire:
        raise unknown_segment(more[0] if more else name)
    if request.method == "DELETE":
        await writing.update(context, table, id, {name: None})
        return Response(204)
    demand_method(request, "PUT", name, "GET, PUT, DELETE")
    sent = await _sent(request)
    if "value" not in sent:
        raise bad_payload('The body must be {"value": ...}.')
    await writing.update(context, table, id, {name: sent["value"]})
    return Response(204)


async def _create_in(
    context: Context, request: Request, table: Table, id: str, name: str, options: Mapping[str, str]
) -> Response:
    """POST to a collection of a row makes one of its rows (OData 4.0 Protocol, 11.4.2 Create an Entity)."""
    child = TABLES[table.collections[name].table]
    sent, shown = await _sent(request), await _shown(context, child, options, expanding=True)
    bound = {f"{navigation_of(table, name)}@odata.bind": f"/{table.set}({id})"}
    made = await writing.create(context, child, {**sent, **bound})
    return await _written(context, child, made, shown, created=True)


async def _shown(context: Context, table: Table, options: Mapping[str, str], *, expanding: bool) -> dict[str, str]:
    """Return the options that shape a written row's representation; raise `Failure` 400 before anything is written.
    A PATCH does not expand, as Dataverse's does not."""
    names = ("$select", "$expand") if expanding else ("$select",)
    chosen = {name: value for name, value in options.items() if name in names}
    if context.preferences.representation:
        await read_query(chosen, table)
    return chosen


async def _written(context: Context, table: Table, id: str, shown: Mapping[str, str], *, created: bool) -> Response:
    url = f"{context.base}/{table.set}({id})"
    if not context.preferences.representation:
        return Response(204, {"OData-EntityId": url, "Location": url} if created else {"OData-EntityId": url})
    row = await reading.read_single(context, table, id, shown)
    answer = _with_preferences(context, _json(201 if created else 200, row))
    return Response(answer.status, {**answer.headers, "ETag": row["@odata.etag"], "Location": url}, answer.body)


async def _sent(request: Request) -> dict[str, Any]:
    kind = request.header("content-type").partition(";")[0].strip().lower()
    if request.body and kind not in ("", "application/json", "text/json"):
        raise Failure(415, "0x80060888", f"The Content-Type '{kind[:80]}' is not supported: send application/json.")
    return await read_json(request.body)


def demand_size(request: Request, path: Path, organization: Organization) -> None:
    """Raise `Failure` 413 where a body is larger than what its path takes."""
    limit = _MAX_BODY_OF_MANY if path.key is None and path.rest else _MAX_BODY
    if path.first in _WITH_FILES:
        limit = organization.settings["maxuploadfilesize"] * 4 // 3 + _ROOM
    if len(request.body) > limit:
        raise Failure(
            413, "0x80060888", f"The request has {len(request.body):,} bytes; at most {limit:,} are taken here."
        )


def demand_method(request: Request, method: str, what: str, allowed: str = "") -> None:
    """Raise `Failure` 405 where a request has another method; `allowed` are all that `what` has, if more than one."""
    if request.method != method:
        raise method_not_allowed(request.method, what, allowed or method)


def _raw(value: object) -> Response:
    """Return a column's value as text; raise `Failure` 404 where it is none (OData 4.0 Protocol, 11.2.3.1)."""
    if not isinstance(value, str | int):
        raise unknown_segment("$value")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return Response(200, {"Content-Type": "text/plain; charset=utf-8"}, text.encode("utf-8", "replace"))


def _number(count: int) -> Response:
    return Response(200, {"Content-Type": "text/plain"}, str(count).encode())


def _action_answer(answer: dict[str, Any] | None) -> Response:
    return Response(204) if answer is None else _json(200, answer)


def _json(status: int, value: object) -> Response:
    return Response(status, {"Content-Type": JSON}, json_body(value))


def _with_preferences(context: Context, response: Response) -> Response:
    applied = context.preferences.applied()
    if not applied:
        return response
    return Response(response.status, {**response.headers, "Preference-Applied": applied}, response.body)
