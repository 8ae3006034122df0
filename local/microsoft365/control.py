"""Control calls under `/local`: the recipients' side of the world, and faults. They are no part of Microsoft 365."""

import base64
import re
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from local.microsoft365.access import json_object
from local.microsoft365.arriving import arrive
from local.microsoft365.bounces import bounce
from local.microsoft365.delivery import is_address
from local.microsoft365.errors import GraphError, bad_request
from local.microsoft365.faults import read_fault
from local.microsoft365.issuer import find_tenant
from local.microsoft365.message_json import as_html, attachments_json, message_json
from local.microsoft365.messages import Message, arrived
from local.microsoft365.notifications import publish, publish_lifecycle
from local.microsoft365.standin import StandIn, standin_of
from local.microsoft365.store import turn
from local.microsoft365.times import parse, stop_clock
from local.microsoft365.world import find_received, reply

_EVENTS = ("missed", "subscriptionRemoved", "reauthorizationRequired")


async def list_arrived(request: Request) -> Response:
    """GET /local/mailboxes/{address}/messages: what arrived, newest first, with headers and attachments."""
    standin, address = standin_of(request), _address_of(request)
    return _json({"value": [_whole(standin, message) for message in arrived(standin.db, address)]})


async def reply_to(request: Request) -> Response:
    """POST /local/mailboxes/{address}/reply: answer a message as the person at the address; returns the reply.

    The body is HTML when it contains a tag, plain text otherwise. With "mime" instead of it, base64 of a whole message,
    that message arrives as it is.
    """
    standin, address, body = standin_of(request), _address_of(request), await json_object(request)
    if "mime" in body:
        return _let_arrive(standin, address, body)
    _refuse_unknown(body, {"messageId", "body", "headers", "mime"})
    text, headers = _text(body, "body"), body.get("headers") or {}
    if not isinstance(headers, dict) or not all(value is None or isinstance(value, str) for value in headers.values()):
        raise bad_request("'headers' must map names of headers to text (or null to leave one out).")
    overrides = {_header_name(name): _one_line(name, value) for name, value in headers.items()}
    original = find_received(standin.db, address, _text(body, "messageId"))
    html = text if re.search(r"<[a-zA-Z][^>]*>", text) else as_html(text)
    with standin.db:
        sent, changes = reply(standin.db, address, original, html, overrides)
    publish(standin, changes)
    return _json(_whole(standin, sent), 201)


async def bounce_from(request: Request) -> Response:
    """POST /local/mailboxes/{address}/bounce: return a message to its sender as undeliverable; returns the report.

    With "mime", base64 of a whole message, the report is this one as it is, as a server of others might write it.
    """
    standin, address, body = standin_of(request), _address_of(request), await json_object(request)
    if "mime" in body:
        return _let_arrive(standin, address, body)
    _refuse_unknown(body, {"messageId", "mime"})
    original = find_received(standin.db, address, _text(body, "messageId"))
    with standin.db:
        sent, changes = bounce(standin.db, address, original)
    publish(standin, changes)
    return _json(_whole(standin, sent), 201)


def _let_arrive(standin: StandIn, address: str, body: Mapping[str, Any]) -> Response:
    _refuse_unknown(body, {"messageId", "mime"})
    try:
        mime = base64.b64decode(_text(body, "mime"), validate=True)
    except ValueError:
        raise bad_request("'mime' must be a whole message in base64.") from None
    original = find_received(standin.db, address, _text(body, "messageId"))
    with standin.db:
        sent, changes = arrive(standin.db, address, original, mime)
    publish(standin, changes)
    return _json(_whole(standin, sent), 201)


async def switch_mailbox(request: Request) -> Response:
    """PUT /local/mailboxes/{address} {"enabled": false}: a person whose mailbox Graph cannot reach."""
    standin, address, body = standin_of(request), _address_of(request), await json_object(request)
    turn(standin.db, f"mailbox {address}", _truth(body, "enabled"))
    return Response(status_code=204)


async def switch_sharing(request: Request) -> Response:
    """PUT /local/tenants/{tenant}/sharing {"anonymous": false}: a tenant that forbids anonymous links."""
    tenant = find_tenant(request.path_params["tenant"])
    if tenant is None:
        raise GraphError(404, "ResourceNotFound", f"No tenant '{request.path_params['tenant']}'.")
    turn(standin_of(request).db, f"anonymous links {tenant.id}", _truth(await json_object(request), "anonymous"))
    return Response(status_code=204)


async def add_fault(request: Request) -> Response:
    """POST /local/faults: break the next calls that match."""
    try:
        fault = read_fault(await json_object(request))
    except ValueError as error:
        raise bad_request(str(error)) from None
    standin_of(request).faults.append(fault)
    return _json(fault.as_json(), 201)


async def list_faults(request: Request) -> Response:
    """GET /local/faults: what is still to be broken."""
    return _json({"value": [fault.as_json() for fault in standin_of(request).faults]})


async def clear_faults(request: Request) -> Response:
    """DELETE /local/faults: mend everything."""
    standin_of(request).faults.clear()
    return Response(status_code=204)


async def set_clock(request: Request) -> Response:
    """PUT /local/clock {"now": "2026-10-25T01:00:00Z"}: stop the clock of mailboxes and drives; null lets it go on."""
    body = await json_object(request)
    _refuse_unknown(body, {"now"})
    try:
        stop_clock(None if body.get("now") is None else parse(_text(body, "now")))
    except ValueError as error:
        raise bad_request(str(error)) from None
    return Response(status_code=204)


async def list_calls(request: Request) -> Response:
    """GET /local/requests: the last calls of Graph, uploads and tokens, oldest first."""
    calls = [{"method": call.method, "path": call.path, "status": call.status} for call in standin_of(request).calls]
    return _json({"value": calls})


async def clear_calls(request: Request) -> Response:
    """DELETE /local/requests: count from here."""
    standin_of(request).calls.clear()
    return Response(status_code=204)


async def list_violations(request: Request) -> Response:
    """GET /local/violations: where an exchange broke the contract, when one is checked."""
    return _json({"value": list(standin_of(request).violations)})


async def clear_violations(request: Request) -> Response:
    """DELETE /local/violations: forget them."""
    standin_of(request).violations.clear()
    return Response(status_code=204)


async def send_lifecycle(request: Request) -> Response:
    """POST /local/subscriptions/{id}/lifecycle {"event"}: tell a subscriber, and do what is told."""
    standin, event = standin_of(request), _text(await json_object(request), "event")
    if event not in _EVENTS:
        raise bad_request(f"'event' must be one of {', '.join(_EVENTS)}.")
    wanted = (request.path_params["subscription"],)
    row = standin.db.execute("SELECT * FROM subscriptions WHERE id = ?", wanted).fetchone()
    if row is None:
        raise GraphError(404, "ResourceNotFound", "No such subscription.")
    if event == "subscriptionRemoved":
        with standin.db:
            standin.db.execute("DELETE FROM subscriptions WHERE id = ?", wanted)
    publish_lifecycle(standin, row, event)
    return Response(status_code=202)


def _whole(standin: StandIn, message: Message) -> dict[str, Any]:
    shown = message_json(message, standin.base_url, immutable=True)
    headers = message.doc.get("internetMessageHeaders", [])
    return {**shown, "internetMessageHeaders": headers, "attachments": attachments_json(standin.db, message)}


def _address_of(request: Request) -> str:
    address: str = request.path_params["address"]
    if not is_address(address):
        raise GraphError(404, "ErrorInvalidUser", f"'{address}' is not a mail address.")
    return address.casefold()


def _refuse_unknown(body: Mapping[str, Any], known: set[str]) -> None:
    unknown = body.keys() - known
    if unknown:
        raise bad_request(f"Unknown property '{min(unknown)}'; known: {', '.join(sorted(known))}.")


def _text(body: Mapping[str, Any], name: str) -> str:
    if not isinstance(body.get(name), str) or not body[name]:
        raise bad_request(f"'{name}' is needed and must be text.")
    return str(body[name])


def _truth(body: Mapping[str, Any], name: str) -> bool:
    if not isinstance(body.get(name), bool):
        raise bad_request(f"'{name}' is needed and must be true or false.")
    return bool(body[name])


def _header_name(name: str) -> str:
    if not name or not all(33 <= ord(character) <= 126 and character != ":" for character in name):
        raise bad_request(f"'{name}' is not the name of a header (RFC 5322 section 2.2).")
    return name.casefold()


def _one_line(name: str, value: str | None) -> str | None:
    if value is not None and len(value.splitlines()) > 1:
        raise bad_request(f"The header '{name}' must be on one line.")
    return value


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status, media_type="application/json")
