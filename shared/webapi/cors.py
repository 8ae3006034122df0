"""Pages of other origins: which may call an organization's Web API, and the headers that tell browsers so.

Source: the Fetch standard, "CORS protocol". An organization names its origins (``ee_allowedorigins``); to any other the
answer is the same whether the organization exists or not. Pages bring bearer tokens, so credentials are never allowed.
"""

import ipaddress
import re
from collections.abc import Collection

from shared.webapi.errors import invalid
from shared.webapi.http import Request, Response

COLUMN = "ee_allowedorigins"
SETTING = "allowed_origins"

METHODS = "GET, HEAD, POST, PATCH, PUT, DELETE, OPTIONS"
EXPOSED = (
    "OData-EntityId, OData-Version, ETag, Location, Preference-Applied, Retry-After, x-ms-service-request-id, "
    "x-ms-ratelimit-burst-remaining-xrm-requests, x-ms-ratelimit-time-remaining-xrm-requests"
)
_MAX_AGE = 7200
"""Seconds; browsers keep the answer to a preflight no longer than that."""
_ORIGIN = re.compile(r"(https?)://([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:]+\])(?::(\d{1,5}))?")
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HEADER_NAMES = re.compile(r"[A-Za-z0-9_\-]+(?:[ \t]*,[ \t]*[A-Za-z0-9_\-]+)*")


def parse_origins(text: str) -> list[str]:
    """Return the origins in a text, one a line or parted by ``;``, each as browsers spell it; raise `Failure` 400.

    >>> parse_origins("https://Crm.Contoso.example:443; http://localhost:3000")
    ['https://crm.contoso.example', 'http://localhost:3000']
    """
    origins = (item.strip() for item in re.split(r"[;\r\n]", text))
    return list(dict.fromkeys(_origin(item) for item in origins if item))


def _origin(text: str) -> str:
    match = _ORIGIN.fullmatch(text.lower())
    port = int(match[3]) if match and match[3] else 0
    if match is None or port > 65535:
        shown = text[:80].encode("ascii", "backslashreplace").decode()
        raise invalid(
            f"'{shown}' in '{COLUMN}' is not an origin: give scheme, host and perhaps port and nothing more, such as "
            "https://crm.contoso.com; hosts of other scripts in punycode."
        )
    scheme, host = match[1], match[2]
    if scheme == "http" and not _is_loopback(host):
        raise invalid(f"'{text[:80]}' in '{COLUMN}' must be https: plain http is for loopback hosts only.")
    return f"{scheme}://{host}" + (f":{port}" if port and port != _DEFAULT_PORTS[scheme] else "")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def preflight(request: Request, origins: Collection[str]) -> Response:
    """Answer OPTIONS: 204, to a named origin with what its pages may send."""
    origin = request.header("origin")
    if origin not in origins:
        return Response(204)
    asked = request.header("access-control-request-headers").strip()
    allowed = {"Access-Control-Allow-Headers": asked} if _HEADER_NAMES.fullmatch(asked) else {}
    return Response(
        204,
        {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": METHODS,
            **allowed,
            "Access-Control-Max-Age": str(_MAX_AGE),
            "Vary": "Origin",
        },
    )


def answer_headers(request: Request, origins: Collection[str]) -> dict[str, str]:
    """Return what every other answer carries: for a named origin that its pages may read it.

    ``Vary`` always, because a cache must not give one origin what another was answered.
    """
    origin = request.header("origin")
    if origin not in origins:
        return {"Vary": "Origin"}
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Expose-Headers": EXPOSED, "Vary": "Origin"}
