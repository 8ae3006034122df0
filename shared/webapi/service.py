"""The Web API: one request in, one response out. Verifies the caller, finds what the path means, answers."""

import logging
import re
import time
import uuid
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from shared.services.caller import Caller
from shared.services.errors import Missing, Refused
from shared.services.people import welcome
from shared.services.rights import Denied
from shared.storage.account import PreconditionFailed, StorageError, Unavailable
from shared.storage.organizations import Organization, find_organization
from shared.webapi import actions, batch, cors, metadata, reading, references, writing
from shared.webapi.auth import authenticate
from shared.webapi.budget import budgets
from shared.webapi.context import Context, parse_condition, parse_preferences, version_in
from shared.webapi.errors import (
    Failure,
    bad_payload,
    bad_query,
    denied,
    error_response,
    invalid,
    method_not_allowed,
    stale,
    unavailable,
    unexpected,
    unknown_segment,
)
from shared.webapi.http import JSON, Address, Request, Response, json_body, parse_address
from shared.webapi.keys import RowKey, demand_id, parse_key
from shared.webapi.multipart import parse_batch, render_batch
from shared.webapi.payloads import parse_json
from shared.webapi.query import parse_options, parse_query
from shared.webapi.schema import Table
from shared.webapi.tables import SETS, TABLES, navigation_of

_NAMESPACE = "Microsoft.Dynamics.CRM."
_VERSION = re.compile(r"v9\.\d{1,2}")
_SEGMENT = re.compile(r"([$\w.]+)(?:\((.*)\))?", re.DOTALL)
_MAX_BODY = 1024 * 1024
_MAX_BODY_OF_MANY = 8 * 1024 * 1024
"""Bytes of a request that writes many rows."""
_ROOM = 8 * 1024 * 1024
"""Bytes beside the base64 of the largest attachment: a body with images written into it, and the rest of the JSON."""
_WITH_FILES = frozenset({"emails", "activitymimeattachments"})
_BATCH = "$batch"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Path:
    """A path's segments and what stands in the parentheses of the first."""

    first: str
    key: str | None
    rest: tuple[str, ...]


async def handle(request: Request, now: datetime | None = None) -> Response:
    """Answer a request; every failure becomes an answer in Dataverse's shape, and tells nothing of our insides."""
    service_request = str(uuid.uuid4())
    common = {"OData-Version": "4.0", "Cache-Control": "no-cache", "x-ms-service-request-id": service_request}
    if request.method == "HEAD":
        # Answered as GET; the server in front sends the headers and leaves the body out.
        request = replace(request, method="GET")
    response = await _guarded(_answer(request, now or datetime.now(UTC), service_request, common), service_request)
    return Response(response.status, {**common, **response.headers}, response.body)


async def _guarded(work: Awaitable[Response], service_request: str) -> Response:
    """Return what `work` returns, and the answer that its failure stands for."""
    try:
        return await work
    except Failure as failure:
        return error_response(failure)
    except Refused as refusal:
        return error_response(invalid(str(refusal)))
    except Denied as denial:
        return error_response(denied(str(denial)))
    except Missing as missing:
        return error_response(Failure(404, "0x80040217", str(missing)))
    except PreconditionFailed:
        return error_response(stale())
    except Unavailable as error:
        _log.warning("storage is unavailable to the Web API (%s), request %s", error.code, service_request)
        return error_response(unavailable())
    except StorageError as error:
        if error.code == "EntityTooLarge":
            return error_response(invalid("The record is too large: shorten its texts."))
        _log.exception("storage refused a call of the Web API, request %s", service_request)
        return error_response(unexpected())
    except Exception:  # noqa: BLE001 - a caller gets an answer in Dataverse's shape whatever happens
        _log.exception("the Web API failed, request %s", service_request)
        return error_response(unexpected())


async def _answer(request: Request, now: datetime, service_request: str, common: dict[str, str]) -> Response:
    """Answer a request; what its answer says however it ends is added to `common`."""
    address = _demand_address(request)
    organization = await find_organization(address.organization)
    origins = organization.settings[cors.SETTING] if organization is not None else ()
    if request.method == "OPTIONS":
        return cors.preflight(request, origins)
    common |= cors.answer_headers(request, origins)
    caller, identity = await authenticate(request, organization)
    if organization is None:
        raise unknown_segment(address.organization)
    user = (organization.id, caller.user)
    with budgets().spend(user, time.monotonic, common):
        await welcome(organization, identity.user, identity.name, identity.address, now)
        if address.path != _BATCH:
            return await _respond(_context(request, address, organization, caller, now), request, address)

        async def part(request: Request, address: Address) -> Response:
            budgets().charge(user, 1, time.monotonic())
            # Asked for each time: an earlier part may have changed its settings.
            current = await find_organization(address.organization) or organization
            return await _respond(_context(request, address, current, caller, now), request, address)

        return await _on_batch(
            request, address, organization, lambda inner, target: _guarded(part(inner, target), service_request)
        )


def _context(request: Request, address: Address, organization: Organization, caller: Caller, now: datetime) -> Context:
    return Context(
        organization,
        caller,
        now,
        address.base,
        parse_preferences(request.header("prefer")),
        parse_condition(request, "if-match"),
        parse_condition(request, "if-none-match"),
    )


async def _on_batch(request: Request, address: Address, organization: Organization, respond: batch.Respond) -> Response:
    """Answer ``$batch``: 200 whatever became of its parts, an error only where it cannot be read."""
    _demand_method(request, "POST", _BATCH)
    _demand_size(request, _Path(_BATCH, None, ()), organization)
    goes_on = parse_preferences(request.header("prefer")).continue_on_error
    items = parse_batch(request.header("content-type"), request.body)
    answer = render_batch(await batch.execute(items, address, respond, continue_on_error=goes_on))
    if not goes_on:
        return answer
    applied = {**answer.headers, "Preference-Applied": "odata.continue-on-error"}
    return Response(answer.status, applied, answer.body)


async def _respond(context: Context, request: Request, address: Address) -> Response:
    """Answer one request of a caller who is known: one that came alone, or a part of a batch."""
    if address.path == _BATCH:
        raise bad_payload("A batch cannot contain another batch.")
    path = _parse_path(address.path)
    _demand_size(request, path, context.organization)
    options = parse_options(address.query)
    if path.first in SETS:
        return await _on_table(context, request, SETS[path.first], path, options)
    return await _on_service(context, request, path, options)


async def _on_service(context: Context, request: Request, path: _Path, options: Mapping[str, str]) -> Response:
    """Answer what is about no table: the service document, metadata, functions and unbound actions."""
    name = path.first.removeprefix(_NAMESPACE)
    if name in actions.FUNCTIONS and not path.rest and not path.key:
        _demand_method(request, "GET", name)
        return _json(200, await actions.FUNCTIONS[name](context))
    if name in actions.UNBOUND and not path.rest and not path.key:
        _demand_method(request, "POST", name)
        return _action_answer(await actions.UNBOUND[name](context, _sent(request)))
    described = metadata.answer(context.base, path.first, path.key, path.rest, options)
    if described is None:
        raise unknown_segment(path.first)
    _demand_method(request, "GET", path.first)
    return described


async def _on_table(
    context: Context, request: Request, table: Table, path: _Path, options: Mapping[str, str]
) -> Response:
    if path.key is None:
        return await _on_set(context, request, table, path, options)
    named = parse_key(table, path.key)
    if not path.rest:
        return await _on_row(context, request, table, named, options)
    row = await demand_id(context.organization, table, named)
    name, *more = path.rest
    if name.startswith(_NAMESPACE):
        action = actions.BOUND.get((table.logical, name.removeprefix(_NAMESPACE).removesuffix("()")))
        if action is None or more:
            raise unknown_segment(name)
        _demand_method(request, "POST", name)
        return _action_answer(await action(context, row, _sent(request)))
    if (table.logical, name) in actions.BOUND:
        raise actions.unqualified(name)
    if more == ["$ref"]:
        return await _on_reference(context, request, table, row, name, options)
    return await _on_property(context, request, table, row, name, more, options)


async def _on_set(
    context: Context, request: Request, table: Table, path: _Path, options: Mapping[str, str]
) -> Response:
    if path.rest == ("$count",):
        _demand_method(request, "GET", "$count")
        count = await reading.count_set(context, table, options)
        return Response(200, {"Content-Type": "text/plain"}, str(count).encode())
    if path.rest:
        return await _on_set_action(context, request, table, path.rest)
    if request.method == "GET":
        return _with_preferences(context, _json(200, await reading.read_set(context, table, options)))
    _demand_method(request, "POST", table.set, writing.set_methods(table))
    sent, shown = _sent(request), _shown(context, table, options, expanding=True)
    made = await writing.create(context, table, sent)
    return await _written(context, table, made, shown, created=True)


async def _on_set_action(context: Context, request: Request, table: Table, rest: tuple[str, ...]) -> Response:
    name, *more = rest
    action = actions.ON_SETS.get(name.removeprefix(_NAMESPACE))
    if action is None or more:
        raise unknown_segment(name)
    if not name.startswith(_NAMESPACE):
        raise actions.unqualified(name)
    _demand_method(request, "POST", name)
    return _action_answer(await action(context, table, _sent(request)))


async def _on_row(
    context: Context, request: Request, table: Table, named: RowKey, options: Mapping[str, str]
) -> Response:
    if request.method == "PATCH":
        sent, shown = _sent(request), _shown(context, table, options, expanding=False)
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
    # Never with $expand or annotations: those may have changed while the row has not.
    unchanged = version_in(context.none_match) == version_in(tag)
    if unchanged and "$expand" not in options and not context.preferences.annotations:
        return Response(304, {"ETag": tag})
    answer = _with_preferences(context, _json(200, row))
    return Response(answer.status, {**answer.headers, "ETag": tag}, answer.body)


async def _on_reference(
    context: Context, request: Request, table: Table, id: str, segment: str, options: Mapping[str, str]
) -> Response:
    match = _SEGMENT.fullmatch(segment)
    name, key = (match[1], match[2]) if match else ("", None)
    if name in table.collections:
        if request.method == "POST":
            await references.add_to_collection(context, table, id, name, _sent(request))
        else:
            _demand_method(request, "DELETE", f"{name}/$ref", "POST, DELETE")
            await references.take_from_collection(context, table, id, name, key, options.get("$id"))
    elif name in table.by_navigation and key is None:
        if request.method in ("PUT", "POST"):
            await references.set_lookup(context, table, id, name, _sent(request))
        else:
            _demand_method(request, "DELETE", f"{name}/$ref", "PUT, DELETE")
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
    if more not in ([], ["$value"]):
        raise unknown_segment(more[0])
    if request.method == "GET":
        found = await reading.read_property(context, table, id, name, options)
        if found is None:
            return Response(204)
        if more:
            if not isinstance(found.get("value"), str | int | bool):
                raise unknown_segment("$value")
            text = str(found["value"]).encode("utf-8", "replace")
            return Response(200, {"Content-Type": "text/plain; charset=utf-8"}, text)
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
    _demand_method(request, "PUT", name, "GET, PUT, DELETE")
    sent = _sent(request)
    if "value" not in sent:
        raise bad_payload('The body must be {"value": ...}.')
    await writing.update(context, table, id, {name: sent["value"]})
    return Response(204)


async def _create_in(
    context: Context, request: Request, table: Table, id: str, name: str, options: Mapping[str, str]
) -> Response:
    """POST to a collection of a row makes one of its rows (OData 4.0 Protocol, 11.4.2 Create an Entity)."""
    child = TABLES[table.collections[name].table]
    sent, shown = _sent(request), _shown(context, child, options, expanding=True)
    bound = {f"{navigation_of(table, name)}@odata.bind": f"/{table.set}({id})"}
    made = await writing.create(context, child, {**sent, **bound})
    return await _written(context, child, made, shown, created=True)


def _shown(context: Context, table: Table, options: Mapping[str, str], *, expanding: bool) -> dict[str, str]:
    """Return the options that shape a written row's representation; raise `Failure` 400 before anything is written.
    A PATCH does not expand, as Dataverse's does not."""
    names = ("$select", "$expand") if expanding else ("$select",)
    chosen = {name: value for name, value in options.items() if name in names}
    if context.preferences.representation:
        parse_query(chosen, table)
    return chosen


async def _written(context: Context, table: Table, id: str, shown: Mapping[str, str], *, created: bool) -> Response:
    url = f"{context.base}/{table.set}({id})"
    if not context.preferences.representation:
        return Response(204, {"OData-EntityId": url, "Location": url} if created else {"OData-EntityId": url})
    row = await reading.read_single(context, table, id, shown)
    answer = _with_preferences(context, _json(201 if created else 200, row))
    return Response(answer.status, {**answer.headers, "ETag": row["@odata.etag"], "Location": url}, answer.body)


def _parse_path(path: str) -> _Path:
    """Return the segments of a path; a slash inside parentheses or quotes does not part them."""
    segments, depth, quote, start = [], 0, "", 0
    for position, character in enumerate(path):
        if quote or (depth > 0 and character in "'\""):
            quote = "" if character == quote else quote or character
        elif character in "()":
            depth += 1 if character == "(" else -1
        elif character == "/" and depth == 0:
            segments.append(path[start:position])
            start = position + 1
    segments.append(path[start:])
    if not path:
        return _Path("", None, ())
    match = _SEGMENT.fullmatch(segments[0])
    if match is None:
        raise unknown_segment(segments[0][:80])
    return _Path(match[1], match[2], tuple(segments[1:]))


def _sent(request: Request) -> dict[str, Any]:
    kind = request.header("content-type").partition(";")[0].strip().lower()
    if request.body and kind not in ("", "application/json", "text/json"):
        raise Failure(415, "0x80060888", f"The Content-Type '{kind[:80]}' is not supported: send application/json.")
    return parse_json(request.body)


def _demand_size(request: Request, path: _Path, organization: Organization) -> None:
    limit = _MAX_BODY_OF_MANY if path.key is None and path.rest else _MAX_BODY
    if path.first in _WITH_FILES or path.first == _BATCH:
        limit = organization.settings["maxuploadfilesize"] * 4 // 3 + _ROOM
    if len(request.body) > limit:
        raise Failure(
            413, "0x80060888", f"The request has {len(request.body):,} bytes; at most {limit:,} are taken here."
        )


def _demand_address(request: Request) -> Address:
    try:
        address = parse_address(request)
    except ValueError:
        raise bad_query("The Host header must name a host: links in the answer begin with it.") from None
    if address is None or not _VERSION.fullmatch(address.version):
        raise unknown_segment(address.version if address else "")
    return address


def _demand_method(request: Request, method: str, what: str, allowed: str = "") -> None:
    if request.method != method:
        raise method_not_allowed(request.method, what, allowed or method)


def _action_answer(answer: dict[str, Any] | None) -> Response:
    return Response(204) if answer is None else _json(200, answer)


def _json(status: int, value: object) -> Response:
    return Response(status, {"Content-Type": JSON}, json_body(value))


def _with_preferences(context: Context, response: Response) -> Response:
    applied = context.preferences.applied()
    if not applied:
        return response
    return Response(response.status, {**response.headers, "Preference-Applied": applied}, response.body)
