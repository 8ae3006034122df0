"""Errors in Graph's shape: `{"error": {"code", "message", "innerError"}}`.

Codes and wording follow https://learn.microsoft.com/graph/errors and, for mail, Exchange's own codes.
"""

from typing import Any

from local.microsoft365.times import now, stamp


class GraphError(Exception):
    """A request that Graph refuses: HTTP status, error code, message, and headers to send along."""

    def __init__(self, status: int, code: str, message: str, headers: dict[str, str] | None = None) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


def error_body(code: str, message: str, request_id: str) -> dict[str, Any]:
    """Return the body that Graph sends with an error."""
    inner = {"date": stamp(now()).removesuffix("Z"), "request-id": request_id, "client-request-id": request_id}
    return {"error": {"code": code, "message": message, "innerError": inner}}


def bad_request(message: str, code: str = "BadRequest") -> GraphError:
    """Return a 400 that says what is wrong with the request."""
    return GraphError(400, code, message)


def item_not_found() -> GraphError:
    """Return Exchange's answer to an id it does not hold."""
    return GraphError(404, "ErrorItemNotFound", "The specified object was not found in the store.")


def drive_item_not_found() -> GraphError:
    """Return OneDrive's answer to an id or path it does not hold."""
    return GraphError(404, "itemNotFound", "The resource could not be found.")
