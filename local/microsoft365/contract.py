"""Checking every Graph exchange, and every notification, against the OpenAPI slice of Graph: for tests.

Responses must always keep to the contract; a request must where it was accepted, because refusing a wrong one is right.
Needs `openapi-core`, which only the development tools bring.
"""

import functools
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import orjson
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]
from openapi_core import OpenAPI
from openapi_core.datatypes import RequestParameters
from openapi_core.exceptions import OpenAPIError
from starlette.datastructures import Headers, ImmutableMultiDict
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from local.microsoft365.standin import StandIn

_HOST = "https://graph.microsoft.com"
_BY_PATH = re.compile(r"(.*/drive/root:/)(.+?)(:?|:/(?:content|createUploadSession|createLink|children))")


class Exchange:
    """A call and its answer in the form openapi-core reads."""

    host_url = _HOST

    def __init__(self, scope: Scope, body: bytes) -> None:
        headers = Headers(scope=scope)
        self.path = contract_path((scope.get("raw_path") or b"").decode("latin-1").partition("?")[0])
        self.method = scope["method"].lower()
        self.body = body or None
        # What says nothing is application/octet-stream (RFC 9110 section 8.3).
        self.content_type = headers.get("content-type", "application/octet-stream").partition(";")[0]
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        self.parameters = RequestParameters(query=ImmutableMultiDict(query), header=headers, cookie={}, path={})
        self.status_code = 0
        self.response_headers: list[tuple[bytes, bytes]] = []
        self.response_body = b""


class Answer:
    """The response half of an exchange."""

    def __init__(self, exchange: Exchange) -> None:
        self.headers = Headers(raw=exchange.response_headers)
        self.status_code = exchange.status_code
        self.content_type = self.headers.get("content-type", "").partition(";")[0]
        self.data = exchange.response_body or None


class Contract:
    """ASGI middleware that notes in `standin.violations` what breaks the contract in the OpenAPI file."""

    def __init__(self, app: ASGIApp, standin: StandIn, contract: Path) -> None:
        self.app = app
        self.standin = standin
        self.openapi = _load(contract)
        standin.check_notification = _notification_check(contract)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith("/v1.0/"):
            await self.app(scope, receive, send)
            return
        received, sent = bytearray(), bytearray()
        start: Message = {}

        async def reading() -> Message:
            message = await receive()
            received.extend(message.get("body", b""))
            return message

        async def writing(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            sent.extend(message.get("body", b""))
            await send(message)

        await self.app(scope, reading, writing)
        exchange = Exchange(scope, bytes(received))
        exchange.status_code, exchange.response_headers = start["status"], start["headers"]
        exchange.response_body = bytes(sent)
        call = f"{scope['method']} {scope['path']} -> {exchange.status_code}"
        self.standin.violations += [f"{call}: {wrong}" for wrong in self._violations(exchange)]

    def _violations(self, exchange: Exchange) -> Iterable[str]:
        if exchange.status_code < 400:
            try:
                self.openapi.validate_request(exchange)
            except OpenAPIError as error:
                yield f"request: {explain(error)}"
        try:
            self.openapi.validate_response(exchange, Answer(exchange))
        except OpenAPIError as error:
            if exchange.status_code < 400 or "PathNotFound" not in type(error).__name__:
                yield f"response: {explain(error)}"


def contract_path(path: str) -> str:
    """Return a path as the contract spells it: a slash inside an item's path is %2F, and drives are their owners'."""
    path = re.sub(r"^/v1\.0/drives/([^/]+)", r"/v1.0/users/\1/drive", path.replace("%3A", ":").replace("%24", "$"))
    path = re.sub(r"/drive/items/root:(?:/|%2F)(.*)", r"/drive/root:/\1", path)
    match = _BY_PATH.fullmatch(path)
    if match is None:
        return path
    return match[1] + match[2].strip("/").replace("/", "%2F") + (match[3] if len(match[3]) > 1 else "")


def explain(error: Exception) -> str:
    """Return an error with what caused it, in one line."""
    parts = [str(error)]
    cause = error.__cause__
    while cause is not None:
        details = [_shorten(e) for e in getattr(cause, "schema_errors", [])]
        parts += details or [str(cause)]
        cause = cause.__cause__
    return "; ".join(parts)


def _shorten(error: Any) -> str:
    place = "/".join(str(part) for part in error.absolute_path)
    return f"at '{place}': {error.message[:300]}"


@functools.cache
def _load(contract: Path) -> OpenAPI:
    # Reading the slice takes seconds, and tests start many stand-ins.
    return OpenAPI.from_file_path(str(contract))


def _notification_check(contract: Path) -> Any:
    document = orjson.loads(contract.read_bytes())
    collection = {"$ref": "#/components/schemas/microsoft.graph.changeNotificationCollection"}
    validator = Draft202012Validator({**collection, "components": document["components"]})

    def check(body: dict[str, Any]) -> list[str]:
        return [f"notification: {_shorten(error)}" for error in validator.iter_errors(body)]

    return check
