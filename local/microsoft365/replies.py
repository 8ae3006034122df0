"""Answers in JSON."""

from typing import Any

import orjson
from starlette.responses import Response


def json_reply(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return a JSON response of Graph's content type."""
    media_type = "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8"
    return Response(orjson.dumps(body), status, headers, media_type)
