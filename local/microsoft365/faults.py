"""Faults on demand: the next calls that match are delayed, refused, cut off, or done without an answer."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_CODES = {
    400: "BadRequest",
    401: "InvalidAuthenticationToken",
    403: "accessDenied",
    404: "itemNotFound",
    409: "nameAlreadyExists",
    412: "resourceModified",
    413: "ErrorMessageSizeExceeded",
    423: "resourceLocked",
    429: "TooManyRequests",
    500: "generalException",
    501: "notImplemented",
    502: "generalException",
    503: "serviceNotAvailable",
    504: "UnknownError",
    507: "quotaLimitReached",
}
DROP = 0
"""The status that stands for closing the connection without an answer."""


@dataclass(slots=True)
class Fault:
    """What happens to the next `count` calls that match.

    `status` None only delays; `retry_after` and `delay` are seconds; `after` does the call first and loses its answer.
    """

    match: str
    status: int | None
    count: int
    retry_after: int | None
    delay: float
    after: bool
    code: str

    def as_json(self) -> dict[str, Any]:
        """Return the fault as the control calls show it."""
        return {
            "match": self.match,
            "status": self.status,
            "count": self.count,
            "retryAfter": self.retry_after,
            "delay": self.delay,
            "after": self.after,
            "code": self.code,
        }


def read_fault(body: Mapping[str, Any]) -> Fault:
    """Read a fault from a control call; raise ValueError with what is wrong."""
    unknown = body.keys() - {"match", "status", "count", "retryAfter", "delay", "after", "code"}
    if unknown:
        raise ValueError(
            f"unknown property '{min(unknown)}'; known: match, status, count, retryAfter, delay, after, code"
        )
    match, status, after, code = body.get("match"), body.get("status"), body.get("after", False), body.get("code")
    if not isinstance(match, str):
        raise ValueError("'match' must be text that is looked for in 'METHOD /path?query'")
    status = DROP if status == "drop" else status
    if status is not None and (isinstance(status, bool) or not isinstance(status, int) or not _is_status(status)):
        raise ValueError("'status' must be an HTTP status from 200 to 599, or 0 or 'drop' to cut the connection")
    delay = _number(body, "delay", 0.0)
    if status is None and not delay:
        raise ValueError("'status' or 'delay' is needed")
    if not isinstance(after, bool):
        raise ValueError("'after' must be true or false")
    if code is not None and not isinstance(code, str):
        raise ValueError("'code' must be text")
    retry_after = None if body.get("retryAfter") is None else int(_number(body, "retryAfter", 0))
    count = body.get("count", 1)
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise ValueError("'count' must be a whole number from 1")
    return Fault(match, status, count, retry_after, delay, after, code or _CODES.get(status or 500, "generalException"))


def take(faults: list[Fault], method: str, targets: list[str]) -> Fault | None:
    """Return the first fault that matches a call, used up by one; `targets` spell the call's path and query."""
    for fault in faults:
        if any(_matches(fault.match, f"{method} {target}") for target in targets):
            fault.count -= 1
            if fault.count <= 0:
                faults.remove(fault)
            return fault
    return None


async def wait(fault: Fault) -> None:
    """Let a fault's delay pass."""
    if fault.delay:
        await asyncio.sleep(fault.delay)


def _is_status(status: int) -> bool:
    return status == DROP or 200 <= status <= 599


def _number(body: Mapping[str, Any], name: str, default: float) -> float:
    value = body.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 600:
        raise ValueError(f"'{name}' must be seconds from 0 to 600")
    return float(value)


def _matches(pattern: str, call: str) -> bool:
    if pattern in call or re.search(re.escape(pattern).replace(r"\*", ".*"), call):
        return True
    try:
        return re.search(pattern, call) is not None
    except re.error:
        return False
