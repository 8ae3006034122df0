"""Delivery status reports: whether a bounce says that a mail failed, for whom, why, and which mail it was.

Anybody writes bounces, of any size and depth: the start is read, line by line and each line once. The standard
library's parser compares each line with every boundary around it and takes the square of a header's length.

Sources: RFC 3464 (fields of the report), RFC 3463 (status codes), RFC 6522 (the returned message as the last part), RFC
2046 section 5.1 (parts).
"""

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from shared.engagement.incoming import MAX_ID_LENGTH, MAX_REFERENCES, message_ids

MAX_DIAGNOSTIC = 300
MAX_MIME = 1024 * 1024
"""Bytes of a bounce that are read; what it says and the header of the mail that it returns stand before that mail's
text."""
MAX_FIELD = 4096
"""Characters of a field that are kept."""

_MESSAGE_ID = re.compile(
    rb"^[mM][eE][sS][sS][aA][gG][eE]-[iI][dD]:([^\n]{,%d}(?:\n[ \t][^\n]{,%d}){,3})" % (MAX_ID_LENGTH, MAX_ID_LENGTH),
    re.MULTILINE,
)
_BOUNDARY = re.compile(r"""\bboundary\s*+=\s*+(?:"([^"]{1,200})"|([^\s;"]{1,200}))""", re.IGNORECASE)
_ENCLOSED = frozenset({"message/rfc822", "message/global"})


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
    """
    fields = islice(_MESSAGE_ID.finditer(mime[:MAX_MIME]), MAX_REFERENCES)
    return tuple(dict.fromkeys(one for field in fields for one in message_ids(field[1].decode("ascii", "replace"))))


def read_delivery_report(mime: bytes) -> DeliveryReport:
    """Return what the first `MAX_MIME` bytes of a bounce say; an empty report where they say nothing readable."""
    text = mime[:MAX_MIME].decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    groups = [group for group in _status(text.split("\n")) if "action" in group or "final-recipient" in group]
    groups.sort(key=lambda group: _word(group.get("action", "")) != "failed")
    first = groups[0] if groups else {}
    return DeliveryReport(
        action=_word(first.get("action", "")),
        recipient=_typed(first.get("original-recipient", "") or first.get("final-recipient", "")).strip("<>"),
        status=_word(first.get("status", "")),
        diagnostic=_typed(first.get("diagnostic-code", ""))[:MAX_DIAGNOSTIC],
    )


def _status(lines: Sequence[str]) -> Iterator[dict[str, str]]:
    """Yield the groups of fields of the first message/delivery-status part, wherever it is."""
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
        if kind == "message/delivery-status":
            while at < len(lines) and not _delimits(lines[at], boundaries):
                fields, at = _fields(lines, at, boundaries)
                yield fields
            return
        if boundary := _BOUNDARY.search(described):
            boundaries.add((boundary[1] or boundary[2]).rstrip())
        begins = kind in _ENCLOSED


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
    return " ".join((text if found else kind).split())
