"""A ``$batch`` as text: reading multipart/mixed as clients write it, and writing the answer as they read it.

Sources: OData 4.0 part 1 section 11.7, RFC 2046 section 5.1, and what clients send (reference: line ends CR LF or LF
only, the boundary quoted or not, a preamble, no end, raw spaces and quotes in URLs, several blank lines before a body).
"""

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus

from shared.webapi.errors import Failure, bad_payload
from shared.webapi.http import Response

MAX_REQUESTS = 1000
MAX_URL = 64 * 1024
"""Characters of a URL in a part. Both limits are Dataverse's own ("Execute batch operations using the Web API")."""

MAX_HEAD = 128 * 1024
"""Bytes of a part before its body: twice the longest URL."""
MAX_HEADERS = 100
"""Header lines of a part."""
MAX_DELIMITERS = 10 * MAX_REQUESTS
"""Lines that begin as a delimiter does; those of change sets may, where one boundary begins with another."""

_BOUNDARY = re.compile(r'boundary\s*=\s*(?:"([^"]*)"|([^;\s]+))', re.IGNORECASE)
_BLANK_LINE = re.compile(rb"\r?\n[ \t]*\r?\n")
_REST = re.compile(rb"(--)?[ \t\r]*+(?=\n|\Z)")
"""What may follow the boundary in a delimiter line."""
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_METHOD = re.compile(r"[A-Za-z]{1,20}")
_SPACE = b" \t\r\n"


@dataclass(frozen=True, slots=True)
class Part:
    """One request of a batch, as it was sent; header names in lower case, `content_id` "" where none was given."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    content_id: str = ""


type ChangeSet = tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one request, or to a whole change set that failed."""

    response: Response
    content_id: str = ""


def parse_batch(content_type: str, body: bytes) -> tuple[Part | ChangeSet, ...]:
    """Return the requests and change sets of a batch in order; raise `Failure` 400 or 415 naming the part at fault."""
    items: list[Part | ChangeSet] = []
    count = 0
    for number, data in enumerate(_split(content_type, body, "The batch"), 1):
        where = f"part {number} of the batch"
        headers, content = _headers(data, where)
        if headers.get("content-type", "").lower().startswith("multipart/"):
            item: Part | ChangeSet = _change_set(headers["content-type"], content, where)
        else:
            item = _part(headers, content, where)
        count += len(item) if isinstance(item, tuple) else 1
        if count > MAX_REQUESTS:
            raise bad_payload(f"The batch has more than {MAX_REQUESTS:,} requests: send it in several batches.")
        items.append(item)
    return tuple(items)


def _change_set(content_type: str, body: bytes, where: str) -> ChangeSet:
    parts: list[Part] = []
    seen: set[str] = set()
    for number, data in enumerate(_split(content_type, body, f"The change set in {where}"), 1):
        inner = f"request {number} of the change set in {where}"
        headers, content = _headers(data, inner)
        part = _part(headers, content, inner)
        if part.method == "GET":
            raise bad_payload(f"GET is not allowed in a change set ({inner}): send it as a part of its own.")
        if part.content_id and part.content_id in seen:
            raise bad_payload(
                f"The content ID '{part.content_id[:80]}' was found more than once in the same change set ({where}). "
                "Content IDs have to be unique across all operations of a change set."
            )
        seen.add(part.content_id)
        parts.append(part)
    return tuple(parts)


def _split(content_type: str, body: bytes, what: str) -> list[bytes]:
    """Return what stands between the delimiter lines; what comes before the first and after the last is ignored."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "multipart/mixed":
        raise Failure(415, "0x80060888", f"{what} must have the Content-Type multipart/mixed, not '{kind[:80]}'.")
    match = _BOUNDARY.search(content_type)
    boundary = (match[1] or match[2] or "").strip() if match else ""
    if not boundary:
        raise bad_payload(f"{what} names no boundary: send Content-Type: multipart/mixed; boundary=batch_1.")
    mark = b"--" + boundary.encode("utf-8", "replace")
    if body.count(b"\n" + mark) > MAX_DELIMITERS:
        raise bad_payload(
            f"{what} has more than {MAX_DELIMITERS:,} lines that begin with '--{boundary[:80]}': name a boundary that "
            "stands nowhere else."
        )
    parts: list[bytes] = []
    start = -1
    for begin, end, is_last in _delimiters(body, mark):
        if start >= 0:
            parts.append(body[start:begin])
        if is_last or len(parts) > MAX_REQUESTS:
            return parts
        start = end
    if start < 0:
        raise bad_payload(f"{what} has no line '--{boundary[:80]}', the delimiter that its Content-Type names.")
    return [*parts, body[start:]]


def _delimiters(body: bytes, mark: bytes) -> Iterator[tuple[int, int, bool]]:
    """Yield where the lines are that are `mark` and nothing more, and whether each is the last."""
    begin = 0 if body.startswith(mark) else _next(body, mark, 0)
    while begin >= 0:
        line = _REST.match(body, begin + len(mark))
        if line is not None:
            yield begin, line.end(), line[1] is not None
        begin = _next(body, mark, begin)


def _next(body: bytes, mark: bytes, place: int) -> int:
    """Return where the next line begins that begins with `mark`, -1 for nowhere."""
    found = body.find(b"\n" + mark, place)
    return found + 1 if found >= 0 else -1


def _headers(data: bytes, where: str) -> tuple[dict[str, str], bytes]:
    """Return the headers at the beginning of a part, names in lower case, and what follows the blank line."""
    head, content = _cut(data.lstrip(_SPACE), where)
    return _fields(head, where), content


def _cut(data: bytes, where: str) -> tuple[bytes, bytes]:
    """Return what stands before the first blank line and what follows it."""
    blank = _BLANK_LINE.search(data, 0, MAX_HEAD)
    if blank is not None:
        return data[: blank.start()], data[blank.end() :]
    if len(data) > MAX_HEAD:
        raise bad_payload(
            f"No blank line ends the headers in the first {MAX_HEAD:,} bytes of {where}: they are taken no longer."
        )
    return data, b""


def _fields(head: bytes, where: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    lines = [line for line in _text(head, where).split("\n") if line]
    if len(lines) > MAX_HEADERS:
        raise bad_payload(f"There are {len(lines):,} header lines in {where}; at most {MAX_HEADERS} are taken.")
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            raise bad_payload(
                f"The line {line[:80]!r} in {where} is not a header such as 'Content-Type: application/http'."
            )
        fields[name.strip().lower()] = value.strip()
    return fields


def _part(headers: Mapping[str, str], content: bytes, where: str) -> Part:
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/http":
        raise bad_payload(f"The Content-Type of {where} must be application/http, not '{kind[:80]}'.")
    head, body = _cut(content.lstrip(_SPACE), where)
    first, _, rest = head.partition(b"\n")
    method, url = _request_line(_text(first, where).strip(), where)
    inner = _fields(rest, where)
    return Part(method, url, inner, body.strip(_SPACE), headers.get("content-id") or inner.get("content-id", ""))


def _request_line(line: str, where: str) -> tuple[str, str]:
    """Return method and URL; a URL may have spaces, it ends before the last word where that is the HTTP version."""
    method, _, rest = line.partition(" ")
    url, _, version = rest.strip().rpartition(" ")
    if not version.startswith("HTTP/"):
        url = rest
    url = url.strip()
    if not _METHOD.fullmatch(method) or not url:
        raise bad_payload(f"The request line {line[:80]!r} of {where} is not like 'GET contacts HTTP/1.1'.")
    if len(url) > MAX_URL:
        raise bad_payload(f"The URL in {where} has {len(url):,} characters; at most {MAX_URL:,} are taken.")
    return method.upper(), url


def _text(data: bytes, where: str) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise bad_payload(f"The request line or a header of {where} is not UTF-8.") from None
    text = text.replace("\r\n", "\n").rstrip("\r")
    if _CONTROL.search(text.replace("\n", "")):
        raise bad_payload(f"The request line or a header of {where} has control characters.")
    return text


def render_batch(results: Sequence[Result | tuple[Result, ...]]) -> Response:
    """Return the answer to a batch; a tuple is a change set that took place.

    The names of the boundaries are Dataverse's own, by which clients know an answer to a batch.
    """
    boundary = f"batchresponse_{uuid.uuid4()}"
    lines: list[bytes] = []
    for result in results:
        lines.append(f"--{boundary}".encode())
        if isinstance(result, Result):
            lines += _lines(result)
            continue
        inner = f"changesetresponse_{uuid.uuid4()}"
        lines += [f"Content-Type: multipart/mixed; boundary={inner}".encode(), b""]
        for one in result:
            lines += [f"--{inner}".encode(), *_lines(one)]
        lines += [f"--{inner}--".encode(), b""]
    lines += [f"--{boundary}--".encode(), b""]
    return Response(200, {"Content-Type": f"multipart/mixed; boundary={boundary}"}, b"\r\n".join(lines))


def _lines(result: Result) -> list[bytes]:
    response = result.response
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    lines += [f"Content-ID: {result.content_id}"] if result.content_id else []
    lines += ["", f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}", "OData-Version: 4.0"]
    lines += [f"{name}: {value}" for name, value in response.headers.items()]
    return [*(line.encode() for line in lines), b"", response.body]
