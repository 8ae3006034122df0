"""Delivery status reports: whether a bounce says that a mail failed, for whom, why, and which mail it was.

Anybody writes bounces, of any size and depth: the start is read, line by line and each line once. The standard
library's parser compares each line with every boundary around it and takes the square of a header's length.

Many mail systems write no report in parts but a text, with the mail that they return below it: qmail, Exim, GMX,
Domino. So the message id is looked for wherever it may stand, and what a text says is told by its lines' form.

Sources: RFC 3464 (fields of the report), RFC 3463 (status codes), RFC 6522 (the returned message as the last part), RFC
6533 (the same for addresses in any script), RFC 2045 section 6 (encoded parts), RFC 2046 section 5.1 (parts).
"""

import binascii
import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from shared.engagement.character_references import decode_text
from shared.engagement.incoming import MAX_ID_LENGTH, MAX_REFERENCES

MAX_DIAGNOSTIC = 300
MAX_MIME = 1024 * 1024
"""Bytes of a bounce that are read; what it says and the header of the mail that it returns stand before that mail's
text."""
MAX_FIELD = 4096
"""Characters of a field that are kept."""
MAX_LABELS = 200
"""How many times the words "message id" are followed in one form of a bounce: signatures name the field as well."""
MAX_SAID = 400
"""Lines of a bounce without a delivery status that are searched for what it says."""
MAX_SAID_LINE = 1000

_LABEL = re.compile(rb"message[-_ ]?id", re.IGNORECASE)
_BARE = r"[^\s<>@:;,=\"'()\[\]]"
_ID = re.compile(rf"<([^<>@]{{1,998}}+@[^<>@]{{1,998}}+)>|(?<!{_BARE})({_BARE}{{1,250}}+@{_BARE}{{1,250}}+)")
_WINDOW = 2 * MAX_ID_LENGTH
"""Bytes behind the words "message id" in which the id may stand: folded, or as HTML writes angle brackets."""
_ENCODING = re.compile(rb"^content-transfer-encoding:[ \t]{0,9}base64", re.IGNORECASE | re.MULTILINE)
_QUOTED = re.compile(rb"^content-transfer-encoding:[ \t]{0,9}quoted-printable", re.IGNORECASE | re.MULTILINE)
_NOT_BASE64 = bytes(set(range(256)) - set(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))
_BOUNDARY = re.compile(r"""\bboundary\s*+=\s*+(?:"([^"]{1,200})"|([^\s;"]{1,200}))""", re.IGNORECASE)
_ENCLOSED = frozenset({"message/rfc822", "message/global"})
_STATUSES = frozenset({"message/delivery-status", "message/global-delivery-status"})
_SAID = re.compile(r"(?<![\w.])(?:[45]\d\d[ -]|[45]\.\d{1,3}\.\d{1,3}(?![\w.]))")
_ONLY_ADDRESS = re.compile(r"""\s{0,20}[<"']?([^\s<>"':;,]{1,64}@[^\s<>"':;,]{1,255})[>"']?:?\s{0,20}""")
_DELAYS = ("delay", "could not send message for past", "not yet been delivered", "still being retried")
_UNICODE = re.compile(r"\\x\{([0-9A-Fa-f]{1,6})\}")


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What a report says about the first recipient that it names, failures first; "" for what it leaves out.

    `action` is failed, delayed, delivered, relayed or expanded (RFC 3464 section 2.3.3).
    """

    action: str = ""
    recipient: str = ""
    status: str = ""
    diagnostic: str = ""

    @property
    def failed(self) -> bool:
        """Whether the mail was not delivered; a report that does not say is taken for a failure."""
        return self.action in {"", "failed"}

    def __str__(self) -> str:
        """Return the report in a few words, such as ``not delivered: 550 5.1.1 User unknown``."""
        said = " ".join(filter(None, (self.diagnostic or self.status,)))
        word = {"delayed": "delivery delayed", "": "not delivered", "failed": "not delivered"}.get(
            self.action, self.action
        )
        return f"{word}: {said}" if said else word


def returned_ids(mime: bytes) -> tuple[str, ...]:
    """Return the message ids that the first `MAX_MIME` bytes of a bounce name, its own and of what it returns; at most
    `MAX_REFERENCES`. One look through tells which mail it may be about, before it is read.

    They are looked for in the text as it is, without the marks of quoted-printable, and in what is written in base64.
    """
    found: dict[str, None] = {}
    for form in _forms(mime[:MAX_MIME]):
        for label in islice(_LABEL.finditer(form), MAX_LABELS):
            window = decode_text(form[label.end() : label.end() + _WINDOW].decode("utf-8", "replace"))
            if (one := _ID.search(_field(window))) is not None:
                found["<" + "".join((one[1] or one[2]).split()) + ">"] = None
    return tuple(islice(found, MAX_REFERENCES))


def read_delivery_report(mime: bytes) -> DeliveryReport:
    """Return what the first `MAX_MIME` bytes of a bounce say; an empty report where they say nothing readable."""
    lines = _lines(mime[:MAX_MIME])
    groups = [group for group in _status(lines) if "action" in group or "final-recipient" in group]
    if not groups:
        return _read_text(_decoded(lines, "quoted-printable") if _QUOTED.search(mime, 0, MAX_MIME) else lines)
    groups.sort(key=lambda group: _word(group.get("action", "")) != "failed")
    first = groups[0]
    return DeliveryReport(
        action=_word(first.get("action", "")),
        recipient=_typed(first.get("original-recipient", "") or first.get("final-recipient", "")).strip("<>"),
        status=_word(first.get("status", "")),
        diagnostic=_typed(first.get("diagnostic-code", ""))[:MAX_DIAGNOSTIC],
    )


def _forms(mime: bytes) -> Iterator[bytes]:
    """Yield a text as it is, without the marks of quoted-printable, and each part of it that is in base64.

    Where quoted-printable begins and ends need not be known: of what is none, the text as it is was looked at.
    """
    text = mime.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    yield text
    if b"=" in text:
        yield binascii.a2b_qp(text)
    end = 0
    while (encoding := _ENCODING.search(text, end)) is not None:
        start = text.find(b"\n\n", encoding.end())
        if start < 0:
            return
        end = text.find(b"\n--", start)
        end = len(text) if end < 0 else end
        yield _from_base64(text[start:end])


def _from_base64(text: bytes) -> bytes:
    """Return what base64 says, whatever else stands between its digits; a rest that makes no byte is left out."""
    digits = text.translate(None, _NOT_BASE64)
    digits = digits[: len(digits) - (len(digits) % 4 == 1)]
    return binascii.a2b_base64(digits + b"=" * (-len(digits) % 4))


def _field(text: str) -> str:
    """Return the rest of a field: up to the first line that does not go on with white space, at most the third."""
    first, *more = text.split("\n")[:4]
    kept = [first]
    for line in more:
        if line[:1] not in (" ", "\t") and "".join(kept).strip(" \t:>*=|"):
            break
        kept.append(line)
    return "\n".join(kept)


def _read_text(lines: Sequence[str]) -> DeliveryReport:
    """Return what a bounce without a delivery status says: the first line with a status code, and the first line that
    is an address and nothing else, unless the header names who was not reached."""
    header, at = _fields(lines, 0, ())
    subject = header.get("subject", "").casefold()
    said = [line[:MAX_SAID_LINE] for line in lines[at : at + MAX_SAID]]
    alone = next(filter(None, map(_ONLY_ADDRESS.fullmatch, said)), None)
    failed = header.get("x-failed-recipients", "").partition(",")[0].strip(" <>")
    return DeliveryReport(
        action="delayed" if any(word in subject for word in _DELAYS) else "",
        recipient=failed or (alone[1] if alone else ""),
        diagnostic=" ".join(next(filter(_SAID.search, said), "").split())[:MAX_DIAGNOSTIC],
    )


def _lines(text: bytes) -> list[str]:
    return text.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _status(lines: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield the groups of fields of the first delivery status, wherever it is."""
    boundaries: set[str] = set()
    at, begins = 0, True
    while at < len(lines):
        if not begins:
            begins = _delimits(lines[at], boundaries)
            at += 1
            continue
        fields, at = _fields(lines, at, boundaries)
        described = fields.get("content-type", "")
        kind = described.partition(";")[0].strip().casefold()
        if kind in _STATUSES:
            start = at
            while at < len(lines) and not _delimits(lines[at], boundaries):
                at += 1
            yield from _groups(_decoded(lines[start:at], fields.get("content-transfer-encoding", "")))
            return
        if boundary := _BOUNDARY.search(described):
            boundaries.add((boundary[1] or boundary[2]).rstrip())
        begins = kind in _ENCLOSED


def _groups(lines: Sequence[str]) -> Iterator[dict[str, str]]:
    at = 0
    while at < len(lines):
        fields, at = _fields(lines, at, ())
        yield fields


def _decoded(lines: Sequence[str], encoding: str) -> Sequence[str]:
    """Return the lines of a part as they were before they were encoded (RFC 2045 section 6)."""
    match _word(encoding):
        case "base64":
            return _lines(_from_base64("\n".join(lines).encode("ascii", "replace")))
        case "quoted-printable":
            return _lines(binascii.a2b_qp("\n".join(lines).encode("utf-8")))
    return lines


def _fields(lines: Sequence[str], at: int, boundaries: Container[str]) -> tuple[dict[str, str], int]:
    """Return the fields (RFC 5322 section 2.2) from a line on, the first of each name, and where what follows begins:
    behind the empty line after them, or at the delimiter of the next part."""
    fields: dict[str, str] = {}
    name = ""
    while at < len(lines) and not _delimits(lines[at], boundaries):
        line = lines[at]
        at += 1
        if not line.strip():
            break
        if line[0] in " \t":
            if len(fields.get(name, "")) < MAX_FIELD:
                fields[name] = f"{fields.get(name, '')}{line}"[:MAX_FIELD]
            continue
        name, _, value = line.partition(":")
        name = name.strip().casefold()
        fields.setdefault(name, value[:MAX_FIELD])
    return fields, at


def _delimits(line: str, boundaries: Container[str]) -> bool:
    """Return whether a line begins or ends a part."""
    if not line.startswith("--"):
        return False
    marked = line[2:].rstrip()
    return marked in boundaries or marked.removesuffix("--") in boundaries


def _word(value: str) -> str:
    return value.split()[0].casefold() if value.split() else ""


def _typed(value: str) -> str:
    """Return the text of a typed field such as ``rfc822; ann@x`` or ``smtp; 550 5.1.1 ...`` on one line."""
    kind, found, text = value.partition(";")
    return " ".join(_UNICODE.sub(_character, text if found else kind).split())


def _character(escaped: re.Match[str]) -> str:
    """Return the character that RFC 6533 section 3 writes as ``\\x{C3}`` where a field may hold ASCII only."""
    code = int(escaped[1], 16)
    return chr(code) if code < 0xD800 or 0xE000 <= code < 0x110000 else "\ufffd"
