"""Executing a ``$batch``: its parts one after the other, its change sets whole or not at all.

A failure ends the batch unless ``Prefer: odata.continue-on-error`` was sent; what came before it stays done. A change
set that fails is rolled back (`shared.storage.undo` says what that means here) and answered with the error alone.

``$1`` stands for the row that the request with the Content-ID 1 made or changed: as a URL or its beginning, and as the
value of ``@odata.id`` and ``...@odata.bind``. It is known to later requests of the same change set and, when that has
taken place, of the rest of the batch; the last that bears a Content-ID counts.
Sources: OData 4.0 part 1 section 11.7, Microsoft's "Execute batch operations using the Web API".
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from shared.storage import undo
from shared.webapi.aside import LARGE_BODY, aside
from shared.webapi.errors import Failure, bad_payload, error_response, unknown_segment
from shared.webapi.http import Address, Request, Response
from shared.webapi.multipart import ChangeSet, Part, Result
from shared.webapi.payloads import parse_json

MAX_ANSWERS = 64 * 1024 * 1024
"""Bytes of answers from which on the parts of a batch are refused: a thousand pages must not be in memory at once."""

type Respond = Callable[[Request, Address], Awaitable[Response]]
"""Answers one request; failures are answers too."""

_ROUTE = re.compile(r"(?:https?://[^/]*)?(?:/([^/]+))?/api/data/(v9\.\d{1,2})(?:/(.*))?", re.DOTALL | re.IGNORECASE)
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_REFERENCE = re.compile(r"\$([^/?()]+)(.*)", re.DOTALL)
_OWN_NAMES = frozenset({"$metadata", "$batch"})
"""What begins like a reference and is none."""


class _ChangeSetFailed(Exception):
    def __init__(self, result: Result) -> None:
        super().__init__()
        self.result = result


async def execute(
    items: Sequence[Part | ChangeSet], address: Address, respond: Respond, *, continue_on_error: bool
) -> list[Result | tuple[Result, ...]]:
    """Carry out the parts of a batch sent to `address` and return their answers; without `continue_on_error` the first
    failure is the last answer."""
    results: list[Result | tuple[Result, ...]] = []
    known: dict[str, str] = {}
    size = 0
    for item in items:
        if size > MAX_ANSWERS:
            result: Result | tuple[Result, ...] = _beyond(item)
        elif isinstance(item, Part):
            result = await _answer(item, address, known, respond)
        else:
            result = await _change_set(item, address, known, respond)
        results.append(result)
        size += sum(len(one.response.body) for one in (result if isinstance(result, tuple) else (result,)))
        if isinstance(result, Result) and result.response.status >= 400 and not continue_on_error:
            break
    return results


def _beyond(item: Part | ChangeSet) -> Result:
    failure = Failure(
        413,
        "0x80060888",
        f"The answers to this batch have {MAX_ANSWERS:,} bytes already: send what is left in a batch of its own.",
    )
    return Result(error_response(failure), item.content_id if isinstance(item, Part) else "")


async def _change_set(
    parts: ChangeSet, address: Address, known: dict[str, str], respond: Respond
) -> Result | tuple[Result, ...]:
    own = dict(known)
    results: list[Result] = []
    try:
        async with undo.scope():
            for part in parts:
                result = await _answer(part, address, own, respond)
                if result.response.status >= 400:
                    raise _ChangeSetFailed(result)
                results.append(result)
    except _ChangeSetFailed as failed:
        return failed.result
    known.update(own)
    return tuple(results)


async def _answer(part: Part, address: Address, known: dict[str, str], respond: Respond) -> Result:
    """Answer one request, and remember in `known` which row its Content-ID stands for."""
    try:
        target = locate(part.url, address, known)
        body = await _with_references(part.body, address.base, known)
    except Failure as failure:
        return Result(error_response(failure), part.content_id)
    response = await respond(Request(part.method, part.url, part.headers, body), target)
    url = response.headers.get("OData-EntityId") or response.headers.get("Location", "")
    if part.content_id and url.startswith(f"{address.base}/"):
        known[part.content_id] = url.removeprefix(f"{address.base}/")
    return Result(response, part.content_id)


def locate(url: str, address: Address, known: Mapping[str, str]) -> Address:
    """Return where a part's URL points: absolute, from the host's root, relative to the Web API's, or a reference to
    one of the rows in `known`, by Content-ID. Links in its answer are those of the batch's own `address`.

    Raises `Failure`: 404 where it is another organization's, 400 where a reference is unknown or it is no URL of ours.
    """
    path, question, query = url.partition("?")
    route = _ROUTE.fullmatch(path)
    if route is not None:
        if route[1] is not None and unquote(route[1]) != address.organization:
            raise unknown_segment(unquote(route[1]))
        path = route[3] or ""
    elif _ABSOLUTE.match(path):
        raise bad_payload(f"The URL '{url[:80]}' in the batch is not one of {address.base}.")
    path = path.strip("/")
    reference = _REFERENCE.fullmatch(path)
    if reference is not None and path not in _OWN_NAMES:
        path = _known(reference[1], known) + reference[2]
    if " " in query:
        # It was not encoded, so that a plus sign is one and not a space.
        query = query.replace("+", "%2B")
    return Address(address.base, address.organization, address.version, unquote(path), query if question else "")


def _known(content_id: str, known: Mapping[str, str]) -> str:
    if content_id not in known:
        raise bad_payload(f"Content-ID Reference: '${content_id[:80]}' does not exist in the batch context.")
    return known[content_id]


async def _with_references(body: bytes, base: str, known: Mapping[str, str]) -> bytes:
    """Return a body with its references as URLs; any other text that begins with a dollar sign stays."""
    if b"@odata." not in body or b'"$' not in body:
        return body
    if len(body) > LARGE_BODY:
        return await aside(_rewritten, body, base, known)
    return _rewritten(body, base, known)


def _rewritten(body: bytes, base: str, known: Mapping[str, str]) -> bytes:
    sent = parse_json(body)
    resolved = _resolved(sent, base, known)
    return body if resolved == sent else json.dumps(resolved).encode()


def _resolved(value: Any, base: str, known: Mapping[str, str], *, bound: bool = False) -> Any:
    if isinstance(value, dict):
        return {
            name: _resolved(inner, base, known, bound=name.endswith(("@odata.bind", "@odata.id")))
            for name, inner in value.items()
        }
    if isinstance(value, list):
        return [_resolved(inner, base, known, bound=bound) for inner in value]
    if bound and isinstance(value, str) and value.startswith("$"):
        return f"{base}/{_known(value[1:], known)}"
    return value
