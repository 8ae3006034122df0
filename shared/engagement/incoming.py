"""What a message in a sender's mailbox is (their own, a bounce, an automatic answer, a reply), and what it answers.

Sources: RFC 3834 (Auto-Submitted, empty return paths), RFC 3464 and RFC 6522 (delivery status reports), RFC 8098 (read
receipts), RFC 5322 section 3.6.4 (message identifiers), and [MS-OXCMAIL] and [MS-OXOMSG] for Exchange's own marks.
``X-Auto-Response-Suppress`` asks others not to answer automatically; people's mail carries it too: it proves nothing.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

ALERT_HEADER = "x-ee-alert"
"""Marks the alerts that this service mails to sellers (Graph takes headers of our own with ``x-`` only)."""
MAX_REFERENCES = 25
"""How many message ids of one message are looked at; a thread's nearest come first."""
MAX_ID_LENGTH = 998
"""The longest line of a message (RFC 5322 section 2.1.1), and so the longest message id that can be one."""
MAX_HEADERS = 500
"""How many headers of a message are looked at; a message that travelled far has a hundred."""
MAX_VALUE = MAX_REFERENCES * (MAX_ID_LENGTH + 2)
"""How many characters of a header are looked at: the first, and of References the last, where the nearest stand."""


class Nature(StrEnum):
    """What a message in a sender's mailbox is."""

    OWN = "own"
    BOUNCE = "bounce"
    AUTOMATIC = "automatic"
    REPLY = "reply"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A message as its mailbox holds it; header names in any case, values folded or not, repeated ones repeated.

    `id` is the mailbox's own, `message_id` the one it travelled with. `item` is Outlook's message class
    (PidTagMessageClass) or Graph's type, whichever is known.
    """

    id: str
    message_id: str
    subject: str
    address: str
    name: str
    sender: str
    conversation: str
    received: datetime
    is_draft: bool = False
    item: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a message is, and the evidence in a few words ("" for a reply)."""

    nature: Nature
    reason: str = ""


def judge(message: Incoming, own: frozenset[str]) -> Judgement:
    """Return what `message` is; `own` are the addresses of whoever sent the mail that it may answer, in lower case."""
    if message.is_draft:
        return Judgement(Nature.OWN, "a draft")
    if {message.address.casefold(), message.sender.casefold()} & own:
        return Judgement(Nature.OWN, "written by the sender")
    if _has(message, ALERT_HEADER):
        return Judgement(Nature.OWN, "an alert of this service")
    if reason := _bounce(message):
        return Judgement(Nature.BOUNCE, reason)
    if reason := _automatic(message):
        return Judgement(Nature.AUTOMATIC, reason)
    return Judgement(Nature.REPLY)


def references(message: Incoming) -> tuple[str, ...]:
    """Return the ids of the messages that this one answers, nearest first: In-Reply-To, then References backwards."""
    found = [one for value in _values(message, "in-reply-to") for one in message_ids(value)]
    found += [one for value in _values(message, "references", last=True) for one in reversed(message_ids(value))]
    return tuple(dict.fromkeys(found))[:MAX_REFERENCES]


def message_ids(text: str) -> tuple[str, ...]:
    """Return the message ids in a header value, in order, each in angle brackets without white space.

    Folding inside an id is undone, and words around ids (as In-Reply-To once had them) are skipped; where there are no
    angle brackets at all, every word with an ``@`` counts.

    >>> message_ids('Your message of Monday <a@x>, <b\\r\\n\\t@y>')
    ('<a@x>', '<b@y>')
    """
    inside = re.findall(r"<([^<>]*)>", text) or [word for word in re.split(r"[\s,;]+", text) if "@" in word]
    ids = ("".join(part.split()) for part in inside)
    return tuple(f"<{bare}>" for bare in ids if 0 < len(bare) <= MAX_ID_LENGTH - 2)


def identity(message: Incoming) -> str:
    """Return the identity of a message: the same for every copy and every notification of it (32 hex digits).

    It is the message id's, which copies in several mailboxes share; a message without one has its mailbox's own.
    """
    ids = message_ids(message.message_id[:MAX_VALUE])
    return hashlib.sha256((ids[0] if ids else f"item:{message.id}").encode("utf-8", "replace")).hexdigest()[:32]


def _bounce(message: Incoming) -> str:
    kind, parameter = _content_type(message)
    if kind == "multipart/report" and parameter == "delivery-status":
        return "a delivery status report"
    if "report" in message.item.casefold() and message.item.casefold().endswith(".ndr"):
        return "a non-delivery report"
    if _has(message, "x-ms-exchange-message-is-ndr"):
        return "a non-delivery report"
    automatic = _returns_nowhere(message) or _auto_submitted(message) != ""
    if automatic and _has(message, "x-failed-recipients"):
        return "names failed recipients"
    local = message.address.casefold().partition("@")[0]
    # Exchange's own sender of reports is "MicrosoftExchange" and the organization's guid ([MS-OXCMAIL] 2.2.3.8).
    if local == "mailer-daemon" or re.fullmatch(r"microsoftexchange[0-9a-f]{32}", local):
        return "sent by the mail system"
    if local == "postmaster" and automatic:
        return "sent by the postmaster"
    return ""


def _automatic(message: Incoming) -> str:
    kind, parameter = _content_type(message)
    if kind == "multipart/report":
        return "read receipt" if parameter == "disposition-notification" else "report"
    if reason := _automatic_item(message.item.casefold()):
        return reason
    if kind == "text/calendar" and parameter == "reply":
        return "calendar response"
    if _auto_submitted(message):
        return "automatic reply"
    if any(value not in {"no", "false"} for name in _RESPONDERS for value in _words(message, name)):
        return "automatic reply"
    if any("auto_reply" in value or "auto-reply" in value for value in _words(message, "precedence", "x-precedence")):
        return "automatic reply"
    if _has(message, "x-ms-exchange-generated-message-source"):
        return "automatic reply"
    if _returns_nowhere(message):
        return "automatic reply (no return path)"
    if message.subject.lstrip(" [*").casefold().startswith(_AUTOMATIC_SUBJECTS) and _looks_bulk(message):
        return "automatic reply"
    return ""


_RESPONDERS = (
    "x-autoreply", "x-auto-reply", "x-autorespond", "x-autoresponder", "x-autogenerated", "x-mail-autoreply",
    "x-autoreply-from", "x-autoresponse",
)  # fmt: skip
"""Headers by which mail systems mark what nobody wrote, each with many users and no meaning otherwise."""

_AUTOMATIC_SUBJECTS = (
    "automatic reply", "automatic response", "automated reply", "automated response", "auto reply", "auto-reply",
    "autoreply", "auto response", "auto-response", "autoresponse", "auto:", "out of office", "out of the office",
    "vacation reply", "automatische antwort", "abwesenheitsnotiz", "abwesend", "réponse automatique",
    "absence du bureau",
    "respuesta automática", "fuera de la oficina", "fuera de oficina", "risposta automatica", "fuori sede",
    "resposta automática", "automatisch antwoord", "afwezig", "autosvar", "automatisk svar", "automatiskt svar",
    "frånvaro", "automaattinen vastaus", "poissa", "automatická odpověď", "automatická odpoveď", "autoodpowiedź",
    "odpowiedź automatyczna", "automatikus válasz", "răspuns automat", "автоматический ответ", "автоответ",
    "αυτόματη απάντηση", "otomatik yanıt", "自動回覆", "自动答复", "自動応答", "자동 회신", "رد تلقائي", "מענה אוטומטי",
)  # fmt: skip
"""How automatic replies are titled in the languages of Outlook and Gmail. Evidence only beside a header's."""


def _automatic_item(item: str) -> str:
    """Return what Outlook's message class ([MS-OXOMSG], [MS-OXOCAL]) or Graph's type says of an automatic message."""
    if item.startswith("report."):
        return "read receipt" if item.endswith((".ipnrn", ".ipnnrn")) else "report"
    if ".rules.ooftemplate" in item or ".rules.replytemplate" in item:
        return "automatic reply"
    if item.startswith("ipm.schedule.meeting.resp") or item.endswith("eventmessageresponse"):
        return "calendar response"
    return ""


def _auto_submitted(message: Incoming) -> str:
    """Return the first Auto-Submitted keyword other than ``no`` (RFC 3834 section 5), "" where there is none."""
    keywords = (value.partition(";")[0].strip() for value in _words(message, "auto-submitted"))
    return next((keyword for keyword in keywords if keyword not in {"", "no"}), "")


def _returns_nowhere(message: Incoming) -> bool:
    """Return whether the envelope had the null reverse-path (RFC 5321 section 4.5.5)."""
    return any("".join(value.split()) == "<>" for value in _values(message, "return-path"))


def _looks_bulk(message: Incoming) -> bool:
    """Return whether a header makes an automatic-looking subject believable; each alone proves nothing.

    Mailing lists write Precedence too, and redirecting rules leave their mark on people's mail.
    """
    marks = ("x-auto-response-suppress", "x-ms-exchange-inbox-rules-loop")
    bulk = any(value in {"bulk", "junk", "list"} for value in _words(message, "precedence", "x-precedence"))
    return bulk or any(_has(message, name) for name in marks)


def _content_type(message: Incoming) -> tuple[str, str]:
    """Return the media type and its ``report-type`` (RFC 6522 section 3) or ``method`` (RFC 5546), in lower case."""
    for value in _words(message, "content-type"):
        parameter = re.search(r"""\b(?:report-type|method)\s*=\s*["']?([\w.-]+)""", value)
        return value.partition(";")[0].strip(), parameter[1] if parameter else ""
    return "", ""


def _has(message: Incoming, name: str) -> bool:
    return next(_values(message, name), None) is not None


def _words(message: Incoming, *names: str) -> Iterator[str]:
    """Yield the values of headers in lower case, comments (RFC 5322 section 3.2.2) and surrounding space removed."""
    for name in names:
        for value in _values(message, name):
            yield re.sub(r"\([^()]*\)", "", value).strip().casefold()


def _values(message: Incoming, name: str, *, last: bool = False) -> Iterator[str]:
    """Yield the values of every header of this name (in lower case), unfolded (RFC 5322 section 2.2.3): their first
    `MAX_VALUE` characters, or the last ones."""
    for given, value in message.headers[:MAX_HEADERS]:
        if given.strip().casefold() == name:
            yield re.sub(r"[\r\n]+", " ", value[-MAX_VALUE:] if last else value[:MAX_VALUE])
