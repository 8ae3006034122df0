"""Delivery status reports: whether a bounce says that a mail failed, for whom, why, and which mail it was.

Sources: RFC 3464 (fields of the report), RFC 3463 (status codes), RFC 6522 (the returned message as the last part).
"""

import re
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.policy import compat32

from shared.engagement.incoming import message_ids

MAX_DIAGNOSTIC = 300


@dataclass(frozen=True, slots=True)
class DeliveryReport:
    """What a report says about the first recipient that it names, failures first; "" for what it leaves out.

    `action` is failed, delayed, delivered, relayed or expanded (RFC 3464 section 2.3.3); `original` are the message ids
    of the mail that it is about.
    """

    action: str = ""
    recipient: str = ""
    status: str = ""
    diagnostic: str = ""
    original: tuple[str, ...] = ()

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


def read_delivery_report(mime: bytes) -> DeliveryReport:
    """Return what a bounce's MIME text says; an empty report where it says nothing that can be read."""
    try:
        parts = list(message_from_bytes(mime, policy=compat32).walk())
    except (ValueError, LookupError, IndexError, AttributeError, TypeError, RecursionError):
        # The standard library's parser has failed on hostile mail before; a bounce is still a bounce.
        return DeliveryReport()
    status = next((part for part in parts if part.get_content_type() == "message/delivery-status"), None)
    groups = [group for group in _groups(status) if "action" in group or "final-recipient" in group] if status else []
    groups.sort(key=lambda group: _word(group.get("action", "")) != "failed")
    first = groups[0] if groups else {}
    return DeliveryReport(
        action=_word(first.get("action", "")),
        recipient=_typed(first.get("original-recipient", "") or first.get("final-recipient", "")).strip("<>"),
        status=_word(first.get("status", "")),
        diagnostic=_typed(first.get("diagnostic-code", ""))[:MAX_DIAGNOSTIC],
        original=_original(parts),
    )


def _groups(status: Message) -> list[dict[str, str]]:
    """Return the groups of fields of a message/delivery-status part, which the parser makes messages of."""
    payload = status.get_payload()
    if not isinstance(payload, list):
        return []
    return [
        {name.casefold(): str(value) for name, value in group.items()}
        for group in payload
        if isinstance(group, Message)
    ]


def _original(parts: list[Message]) -> tuple[str, ...]:
    """Return the Message-ID of the returned message, or of its headers alone (message/rfc822, text/rfc822-headers)."""
    found: list[str] = []
    for part in parts:
        kind, payload = part.get_content_type(), part.get_payload()
        if kind == "message/rfc822" and isinstance(payload, list):
            found += [str(child.get("message-id", "")) for child in payload if isinstance(child, Message)]
        elif kind == "text/rfc822-headers" and isinstance(payload, str):
            header = re.search(r"^message-id:(.*(?:\n[ \t].*)*)", payload, re.IGNORECASE | re.MULTILINE)
            found += [header[1]] if header else []
    return tuple(dict.fromkeys(one for value in found for one in message_ids(value)))


def _word(value: str) -> str:
    return value.split()[0].casefold() if value.split() else ""


def _typed(value: str) -> str:
    """Return the text of a typed field such as ``rfc822; ann@x`` or ``smtp; 550 5.1.1 ...`` on one line."""
    kind, found, text = value.partition(";")
    return " ".join((text if found else kind).split())
