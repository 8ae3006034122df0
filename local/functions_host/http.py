"""HTTP triggers: an ASGI application that routes a request, has the worker invoke the function, and answers.

Written straight to ASGI: recipients' hits go through here, and every layer between costs throughput.
"""

import hmac
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from local.functions_host.outputs import OutputSender, no_outputs
from local.functions_host.routes import Router, compile_route, decode_path
from local.functions_host.worker import Datum, Function, Outcome, datum, invoke, new_invocation_id

MAX_BODY_BYTES = 100 * 1024 * 1024
"""Azure's limit on a request body (functions-bindings-http-webhook-trigger, Limits)."""

RESERVED_SEGMENTS = frozenset({"admin", "runtime"})
"""First path segments that belong to the Functions host itself."""

SERVER_HEADERS = frozenset({"connection", "content-length", "date", "server", "transfer-encoding"})
"""Response headers that are the server's: what a function says there would be sent a second time."""

type Message = MutableMapping[str, Any]
type Receive = Callable[[], Awaitable[Message]]
type Send = Callable[[Message], Awaitable[None]]
type Application = Callable[[Message, Receive, Send], Awaitable[None]]

log = logging.getLogger("functions_host.http")


@dataclass(frozen=True, slots=True)
class Keys:
    """Access keys of a local run: for functions of level `function`, and the master key that opens all."""

    function: str | None = None
    master: str | None = None


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An HTTP function with what never changes between requests."""

    function: Function
    parameter: str
    keys: tuple[bytes, ...] | None
    """Keys of which a request must bring one; None lets everybody in."""
    send_outputs: OutputSender


class BodyTooLargeError(Exception):
    """The request body passes Azure's limit."""


def create_application(
    functions: Iterable[Function],
    route_prefix: str,
    keys: Keys = Keys(),
    sender: Callable[[Function], OutputSender] = lambda _: no_outputs,
) -> Application:
    """Return the ASGI application that serves the HTTP functions, first registered first.

    Raises ValueError when a route template or an authorization level is not understood.
    """
    router = Router(
        (
            compile_route(
                f"{route_prefix}/{function.trigger.get('route', function.name)}",
                function.trigger.get("methods", ()),
                Endpoint(function, function.trigger["name"], _keys_for(function, keys), sender(function)),
            )
            for function in functions
            if function.trigger_type == "httptrigger"
        ),
        reserved=RESERVED_SEGMENTS,
    )

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        found = router.find(scope["method"], decode_path(scope["raw_path"]))
        if found is None:
            await _answer_empty(send, 404)
            return
        endpoint, parameters = found
        query = _query(scope["query_string"]) if scope["query_string"] else {}
        if endpoint.keys is not None and not _is_authorized(endpoint.keys, scope["headers"], query):
            await _answer_empty(send, 401)
            return
        await _serve(endpoint, parameters, query, scope, receive, send)

    return application


async def _serve(
    endpoint: Endpoint,
    parameters: Mapping[str, str],
    query: Mapping[str, str],
    scope: Message,
    receive: Receive,
    send: Send,
) -> None:
    headers = _request_headers(scope)
    try:
        body = await _read_body(headers, receive)
    except BodyTooLargeError:
        await _answer_empty(send, 413, close=True)
        return
    if body is None:
        return
    request = {
        "method": datum(scope["method"], "string"),
        "url": datum(_url(scope, headers), "string"),
        "headers": headers,
        "params": {name: datum(value, "string") for name, value in parameters.items()},
        "query": {name: datum(value, "string") for name, value in query.items()},
        "body": datum(body, "bytes"),
    }
    invocation_id = new_invocation_id()
    function = endpoint.function
    outcome = await invoke(function, invocation_id, [(endpoint.parameter, datum(request, "http"))], {})
    try:
        if outcome.ok:
            if endpoint.send_outputs is not no_outputs:
                await endpoint.send_outputs(outcome)
            start, content = _response(outcome)
        else:
            log.warning("function=%s invocation=%s failed\n%s", function.name, invocation_id, outcome.traceback)
    except Exception:
        log.exception("function=%s invocation=%s outputs or answer could not be sent", function.name, invocation_id)
        outcome = Outcome(ok=False)
    if not outcome.ok:
        await _answer_empty(send, 500)
        return
    await send(start)
    await send({"type": "http.response.body", "body": content})


def _request_headers(scope: Message) -> dict[str, Datum]:
    """Return the headers by lower-case name, repeated ones joined, the peer appended to X-Forwarded-For with its port.

    Azure's front end does the same; what a client wrote there itself stays further left.
    """
    headers: dict[str, Datum] = {}
    for raw_name, raw_value in scope["headers"]:
        name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
        headers[name] = datum(f"{headers[name].value},{value}" if name in headers else value, "string")
    host, port = scope["client"]
    peer = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    before = headers.get("x-forwarded-for")
    headers["x-forwarded-for"] = datum(f"{before.value}, {peer}" if before else peer, "string")
    return headers


async def _read_body(headers: Mapping[str, Datum], receive: Receive) -> bytes | None:
    """Return the whole body, or None when the client left. Raises BodyTooLargeError past Azure's limit."""
    length = headers.get("content-length")
    if length is None and "transfer-encoding" not in headers:
        return b""
    if length is not None and int(length.value) > MAX_BODY_BYTES:
        raise BodyTooLargeError
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        chunk: bytes = message.get("body", b"")
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_BODY_BYTES:
            raise BodyTooLargeError
        if not message.get("more_body"):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _query(raw: bytes) -> dict[str, str]:
    """Return the query parameters, a repeated one joined by commas as Azure does."""
    values: dict[str, str] = {}
    for name, value in parse_qsl(raw.decode("latin-1"), keep_blank_values=True):
        values[name] = f"{values[name]},{value}" if name in values else value
    return values


def _url(scope: Message, headers: Mapping[str, Datum]) -> str:
    host = headers.get("host")
    query = scope["query_string"]
    path = scope["raw_path"] + b"?" + query if query else scope["raw_path"]
    return f"{scope['scheme']}://{host.value if host else ''}{path.decode('latin-1')}"


def _response(outcome: Outcome) -> tuple[Message, bytes]:
    """Return the ASGI messages for what a function returned."""
    returned = outcome.returned or next(value for name, value in outcome.outputs if value.type == "http")
    if returned.type == "string":
        content = returned.value.encode("utf-8")
        headers = [(b"content-type", b"text/plain; charset=utf-8")]
        status = 200
    else:
        value = returned.value
        status = int(value["status_code"].value)
        headers = [
            (name.encode("latin-1"), header.value.encode("latin-1"))
            for name, header in value["headers"].items()
            if name.lower() not in SERVER_HEADERS
        ]
        content = value["body"].value
        for cookies in value["cookies"] or ():
            headers.extend((b"set-cookie", cookie.OutputString().encode("latin-1")) for cookie in cookies.values())
    if status not in (204, 304):
        headers.append((b"content-length", b"%d" % len(content)))
    return {"type": "http.response.start", "status": status, "headers": headers}, content


async def _answer_empty(send: Send, status: int, *, close: bool = False) -> None:
    headers = [(b"content-length", b"0")]
    if close:
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def _keys_for(function: Function, keys: Keys) -> tuple[bytes, ...] | None:
    level = str(function.trigger.get("authLevel", "function")).lower()
    if level == "anonymous":
        return None
    if level == "function":
        return tuple(key.encode() for key in (keys.function, keys.master) if key)
    if level == "admin":
        return (keys.master.encode(),) if keys.master else ()
    raise ValueError(f"{function.name}: authorization level {level!r} is not known")


def _is_authorized(keys: tuple[bytes, ...], headers: Iterable[tuple[bytes, bytes]], query: Mapping[str, str]) -> bool:
    given = next((value for name, value in headers if name == b"x-functions-key"), query.get("code", "").encode())
    return any(hmac.compare_digest(given, key) for key in keys)
