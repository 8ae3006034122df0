"""The way in: who may call, what is refused before it is read, which calls break, and what is noted of them.

The stand-in is for this machine's own programs. A web page elsewhere cannot use it: the Host header must be a loopback
name (against DNS rebinding), and calls that a browser makes for another site are refused.
"""

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local.microsoft365 import faults
from local.microsoft365.access import authenticate
from local.microsoft365.errors import GraphError, error_body
from local.microsoft365.ids import new_guid
from local.microsoft365.standin import Call, StandIn

LARGEST_REQUEST = 4 * 1024 * 1024
"""Graph's limit for a request that is not file content, in bytes."""

LARGEST_CONTENT = 250 * 1024 * 1024
"""OneDrive's limit for content in one request, in bytes."""


class Gateway:
    """ASGI middleware around the application."""

    def __init__(self, app: ASGIApp, standin: StandIn) -> None:
        self.app = app
        self.standin = standin

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = _foreign(self.standin, scope)
        if refusal is not None:
            await _answer(send, refusal, new_guid())
            return
        if _is_service(scope["path"]):
            await self._serve(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call of Microsoft 365: it is noted, may break, must be allowed, and carries request ids."""
        noting = _noting(self.standin, scope, send)
        fault = faults.take(self.standin.faults, scope["method"], _spellings(scope))
        if fault is not None:
            await faults.wait(fault)
            if fault.status is not None:
                if fault.after:
                    await self._allow(scope, receive, _nowhere)
                await self._break(fault, scope, receive, noting)
                return
        await self._allow(scope, receive, noting)

    async def _allow(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        try:
            if scope["path"].startswith("/v1.0/"):
                scope["path"] = _canonical(scope["path"])
                scope["raw_path"] = _canonical(scope["raw_path"].decode("latin-1")).encode("latin-1")
                tenant = authenticate(self.standin, headers.get("authorization", ""))
                scope.setdefault("state", {})["tenant"] = tenant
            receive = _limited(receive, headers, _limit(scope))
        except GraphError as error:
            await _answer(send, error, request_id(scope))
            return
        await self.app(scope, receive, send)

    async def _break(self, fault: faults.Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.status == faults.DROP or fault.status is None:
            self.standin.calls.append(Call(scope["method"], _target(scope), faults.DROP))
            _cut(receive)
            return
        retry = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        message = f"The stand-in was told to answer {fault.status} here."
        await _answer(send, GraphError(fault.status, fault.code, message, retry), request_id(scope))


def _foreign(standin: StandIn, scope: Scope) -> GraphError | None:
    """Return why a call does not come from this machine's own programs, or None."""
    path, headers = scope["path"], Headers(scope=scope)
    port = urlsplit(standin.base_url).port or 80
    own_hosts = {f"127.0.0.1:{port}", f"localhost:{port}"} | ({"127.0.0.1", "localhost"} if port == 80 else set())
    if headers.get("host", "").casefold() not in own_hosts:
        return GraphError(421, "MisdirectedRequest", f"The Host header must be one of {', '.join(sorted(own_hosts))}.")
    # A mail in its sandboxed frame loads its images as `Origin: null`; looking does no harm, and there is no CORS.
    if scope["method"] in {"GET", "HEAD"} and not path.startswith(("/local/", "/v1.0/")):
        return None
    origin = headers.get("origin")
    is_ours = origin is None or origin.casefold() in {f"http://{host}" for host in own_hosts}
    if not is_ours or headers.get("sec-fetch-site", "none") not in {"none", "same-origin"}:
        return GraphError(403, "accessDenied", "Calls that a browser makes for another site are refused.")
    return None


def _is_service(path: str) -> bool:
    return path.startswith(("/v1.0/", "/uploads/")) or path.endswith(("/token", "/openid-configuration", "/keys"))


def _canonical(path: str) -> str:
    """Spell the names in a Graph path as documented: Graph takes any case, and its notifications use another."""
    names = {
        name.casefold(): name
        for name in ("users", "messages", "mailFolders", "subscriptions", "drives", "drive", "sendMail")
    }
    segments = path.split("/")
    for place in (2, 4):
        if len(segments) > place:
            segments[place] = names.get(segments[place].casefold(), segments[place])
    return "/".join(segments)


def _target(scope: Scope) -> str:
    raw = scope.get("raw_path") or scope["path"].encode()
    query = scope["query_string"].decode("latin-1")
    return str(raw.decode("latin-1").partition("?")[0]) + (f"?{query}" if query else "")


def _spellings(scope: Scope) -> list[str]:
    """Return a call's path and query as sent and decoded, each with and without the version."""
    sent = _target(scope)
    both = list(dict.fromkeys([sent, unquote(sent.replace("+", " "))]))
    return both + [spelling.removeprefix("/v1.0") for spelling in both if spelling.startswith("/v1.0/")]


def _noting(standin: StandIn, scope: Scope, send: Send) -> Send:
    async def noting(message: Message) -> None:
        if message["type"] == "http.response.start":
            standin.calls.append(Call(scope["method"], _target(scope), message["status"]))
            call_id = request_id(scope)
            headers = MutableHeaders(scope=message)
            headers["request-id"] = call_id
            headers["client-request-id"] = Headers(scope=scope).get("client-request-id", call_id)
        await send(message)

    return noting


async def _nowhere(_: Message) -> None:
    """Lose an answer."""


def request_id(scope: Scope) -> str:
    """Return the id of a call, the same wherever it is asked for."""
    return str(scope.setdefault("state", {}).setdefault("request_id", new_guid()))


def _limit(scope: Scope) -> int:
    path, method = scope["path"], scope["method"]
    is_content = path.startswith("/uploads/") or (method == "PUT" and path.endswith("/content"))
    return LARGEST_CONTENT if is_content else LARGEST_REQUEST


def _limited(receive: Receive, headers: Headers, limit: int) -> Receive:
    """Refuse a body over the limit: at once when its length is told, else when it has grown too long."""
    announced = headers.get("content-length", "0")
    if announced.isdigit() and int(announced) > limit:
        raise _too_large()
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > limit:
            raise _too_large()
        return message

    return limited


def _too_large() -> GraphError:
    return GraphError(413, "RequestEntityTooLarge", "The request is larger than 4 MB; use an upload session.")


def _cut(receive: Receive) -> None:
    """Close the connection without an answer; the server's transport is reached through its receive callable."""
    transport: Any = getattr(getattr(receive, "__self__", None), "transport", None)
    if transport is None:
        raise ConnectionAbortedError("the stand-in was told to drop this connection")
    transport.abort()


async def _answer(send: Callable[[Message], Awaitable[None]], error: GraphError, call_id: str) -> None:
    body = orjson.dumps(error_body(error.code, error.message, call_id))
    headers = {"Content-Type": "application/json", "Content-Length": str(len(body)), **error.headers}
    raw = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": error.status, "headers": raw})
    await send({"type": "http.response.body", "body": body})
