"""A request and a response of the Web API, free of the host that carries them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

import orjson

JSON = "application/json; odata.metadata=minimal"

_HOST = re.compile(r"[A-Za-z0-9._\-]+(:\d{1,5})?|\[[0-9A-Fa-f:.]+\](:\d{1,5})?")
_URL = re.compile(
    r"(?:(?P<scheme>https?)://(?P<host>[^/?#]*))?(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?", re.IGNORECASE | re.DOTALL
)
"""Never fails where `urllib` raises, as it does for a host with a stray bracket."""
_ROUTE = re.compile(r"/([^/]+)/api/data/([^/]+)(?:/(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked: `url` as it was sent (path and query undecoded), header names in any case."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: str) -> str:
        """Return a header's value, "" where it was not sent. `name` in lower case."""
        for key, value in self.headers.items():
            if key.lower() == name:
                return value
        return ""


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a request points: `base` is the Web API's root as the caller spells it, without a trailing slash; `path` is
    what follows, decoded; `query` is undecoded."""

    base: str
    organization: str
    version: str
    path: str
    query: str


def parse_address(request: Request) -> Address | None:
    """Return where a request points, or None where it is not the Web API; raise ValueError where no host is named.

    Clients insist that links start with exactly the URL that they were given (reference: dataverse-wire 2), so the base
    comes from ``X-Forwarded-Proto``, ``X-Forwarded-Host`` and ``Host``.
    """
    parts = _URL.match(request.url)
    match = _ROUTE.fullmatch(parts["path"]) if parts else None
    if parts is None or match is None:
        return None
    scheme = request.header("x-forwarded-proto").split(",")[0].strip().lower()
    host = request.header("x-forwarded-host").split(",")[0].strip() or request.header("host").strip()
    if scheme not in ("http", "https"):
        scheme = (parts["scheme"] or "http").lower()
    if not _HOST.fullmatch(host):
        host = parts["host"] or ""
    if not _HOST.fullmatch(host):
        raise ValueError("the request names no host")
    base = f"{scheme}://{host}/{match[1]}/api/data/{match[2]}"
    return Address(base, unquote(match[1]), match[2], unquote(match[3] or "").strip("/"), parts["query"] or "")


def json_body(value: object) -> bytes:
    """Return a value as JSON; lone surrogates, which UTF-8 cannot hold, leave escaped."""
    try:
        return orjson.dumps(value)
    except TypeError:
        import json

        return json.dumps(value, separators=(",", ":")).encode("ascii")
