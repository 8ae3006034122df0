"""What a message in a sender's mailbox is (their own, a bounce, an automatic answer, a reply), and what it answers.

Sources: RFC 3834 (Auto-Submitted, empty return paths), RFC 3464 and RFC 6522 (delivery status reports), RFC 8098 (read
receipts), RFC 5322 section 3.6.4 (message identifiers), and [MS-OXCMAIL] and [MS-OXOMSG] for Exchange's own marks.
``X-Auto-Response-Suppress`` asks others not to answer automatically; people's mail carries it too: it proves nothing.
``Precedence: bulk`` is written by lists and by what sends people's answers for a help desk: neither does it alone.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.engagement.addresses import normal_form
from shared.engagement.machine_titles import AUTOMATIC, FAILURES, behind_title, is_set_off, names

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

    `id` is the mailbox's own, `message_id` the one it travelled with, `folder` the id of the folder that it lies in.
    `item` is Outlook's message class (PidTagMessageClass) or Graph's type, whichever is known.
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
    folder: str = ""
    item: str = ""
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a message is, and the evidence in a few words ("" for a reply)."""

    nature: Nature
    reason: str = ""


def judge(message: Incoming, own: frozenset[str], subject: str | None = None) -> Judgement:
    """Return what `message` is.

    `own` are the addresses of whoever sent the mail that it may answer, in their normal form; `subject` is that mail's
    once it is known, for what only a machine puts before it.
    """
    if message.is_draft:
        return Judgement(Nature.OWN, "a draft")
    if {normal_form(message.address), normal_form(message.sender)} & own:
        return Judgement(Nature.OWN, "written by the sender")
    if _has(message, ALERT_HEADER):
        return Judgement(Nature.OWN, "an alert of this service")
    if reason := _bounce(message):
        return Judgement(Nature.BOUNCE, reason)
    if reason := _automatic(message) or ("" if subject is None else _titled(message, subject)):
        return Judgement(Nature.AUTOMATIC, reason)
    return Judgement(Nature.REPLY)


def may_return(message: Incoming, judged: Judgement) -> bool:
    """Return whether a message may hold a mail that it returns, although its header names none: a bounce, and whatever
    else came from no return path and answers nothing."""
    return judged.nature is Nature.BOUNCE or (
        judged.nature is Nature.AUTOMATIC and _returns_nowhere(message) and not references(message)
    )


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
    if kind == "multipart/report" and parameter in {"delivery-status", ""}:
        return "a delivery status report"
    if "report" in message.item.casefold() and message.item.casefold().endswith(".ndr"):
        return "a non-delivery report"
    if _has(message, "x-ms-exchange-message-is-ndr"):
        return "a non-delivery report"
    if _has(message, "x-failed-recipients"):
        return "names failed recipients"
    local = message.address.casefold().partition("@")[0]
    # Exchange's own sender of reports is "MicrosoftExchange" and the organization's guid ([MS-OXCMAIL] 2.2.3.8).
    if local in _DAEMONS or re.fullmatch(r"microsoftexchange[0-9a-f]{32}", local):
        return "sent by the mail system"
    automatic = _returns_nowhere(message) or _auto_submitted(message) != ""
    failure = behind_title(message.subject, FAILURES) is not None
    if not message.address and (failure or message.name.strip(" <>").casefold() in _DAEMONS):
        return "sent by the mail system"
    if local in _POSTMASTERS and (automatic or failure):
        return "sent by the postmaster"
    return "a failed delivery, returned to nobody" if failure and automatic else ""


_DAEMONS = frozenset({
    "mailer-daemon", "mailer daemon", "mailerdaemon", "mailer_daemon", "mail-daemon", "maildaemon", "mdaemon",
    "mail.delivery.system", "mail delivery system", "mail delivery subsystem", "mail delivery service",
    "mail administrator", "system administrator",
})  # fmt: skip
"""Local parts, and names beside no address, of what writes bounces and nothing else."""
_POSTMASTERS = frozenset({"postmaster", "post_master", "post-master", "bounce", "bounces", "noreply", "no-reply"})
"""Local parts of people and of what writes bounces."""


def _automatic(message: Incoming) -> str:
    kind, parameter = _content_type(message)
    if kind == "multipart/report":
        return "read receipt" if parameter == "disposition-notification" else "report"
    if reason := _automatic_item(message.item.casefold()):
        return reason
    if kind == "text/calendar" and parameter == "reply":
        return "calendar response"
    if _auto_submitted(message) or _says_responder(message):
        return "automatic reply"
    if _has(message, "x-ms-exchange-generated-message-source"):
        return "automatic reply"
    if _returns_nowhere(message):
        return "automatic reply (no return path)"
    rest = behind_title(message.subject, AUTOMATIC)
    if rest is not None and _looks_bulk(message, set_off=is_set_off(rest)):
        return "automatic reply"
    return ""


def _titled(message: Incoming, subject: str) -> str:
    """Return what the subject of a message says where it is a machine's title and `subject` behind it, no more.

    Exchange answers so without a header that says it. Who answers such an answer has a ``Re:`` before it, and who
    writes of being away writes something else behind it.
    """
    for titles, reason in (
        (AUTOMATIC, "automatic reply (by its subject)"),
        (FAILURES, "not delivered (by its subject)"),
    ):
        rest = behind_title(message.subject, titles)
        if rest is not None and names(rest, subject):
            return reason
    return ""


_NOT = frozenset({"no", "false", "0", "off", "none", "disabled"})
_RESPONDERS = ("autorepl", "autorespon", "vacation", "outofoffice")
"""What is in the names of headers by which mail systems mark what nobody wrote, hyphens aside: X-Autoreply,
X-Auto-Reply-From, X-Autorespond, X-Mail-Autoreply, X-Amazon-Auto-Reply, X-MDAutoResponder, ..."""
_REQUESTS = ("suppress", "prevent", "noauto", "disable", "ignore", "skip", "loop", "allow")
"""What is in the names of those by which mail asks for no such answer."""
_RESPONDING = re.compile(r"\b(?:vacation|auto-?respon|auto-?repl|gnarwl|mailbot|kana response)")
"""What programs that answer call themselves in X-Mailer or User-Agent."""
_REDIRECTED = frozenset({"forward", "group", "mirror", "redirect"})
"""What CommuniGate Pro writes into X-Autogenerated where its rules pass on what somebody wrote."""


def _says_responder(message: Incoming) -> bool:
    """Return whether a header says that a program answered, in one of the ways that programs have."""
    if any(value not in _NOT for name in _responders(message) for value in _words(message, name)):
        return True
    marks = {value.replace("-", "_") for value in _words(message, "precedence", "x-precedence", "preference")}
    return (
        any("auto_reply" in value or "autoreply" in value for value in marks)
        or any(value not in _NOT | _REDIRECTED for value in _words(message, "x-autogenerated"))
        or any(value not in _NOT for value in _words(message, "x-fc-machinegenerated"))  # FirstClass
        # iCloud writes the header for what its rules move, too.
        or any(value.startswith("vacation") for value in _words(message, "x-apple-action"))
        or any("kind=vacation" in value for value in _words(message, "x-apple-criteria"))
        or any("autorespon" in value for value in _words(message, "x-post-messageclass"))  # Mailtraq
        # qmail; what has an at sign is somebody's address.
        or any(value.startswith("autorespon") and "@" not in value for value in _words(message, "delivered-to"))
        or any("auto_respon" in value.replace("-", "_") for value in _words(message, "x-uv-mailing"))  # UserVoice
        or any(_RESPONDING.search(value) is not None for value in _words(message, "x-mailer", "user-agent"))
    )  # fmt: skip


def _responders(message: Incoming) -> set[str]:
    names = {given.strip().casefold() for given, _ in message.headers[:MAX_HEADERS]}
    bare = {name: name.replace("-", "").replace("_", "") for name in names if name.startswith("x-") and len(name) < 100}
    return {
        name
        for name, joined in bare.items()
        if any(word in joined for word in _RESPONDERS) and not any(word in joined for word in _REQUESTS)
    }


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
    """Return whether the envelope had the null reverse-path (RFC 5321 section 4.5.5), as deliverers write it."""
    paths = ("".join(value.split()).strip("<>").casefold() for value in _values(message, "return-path"))
    return any(path in {"", "#@[]", "mailer-daemon"} or path.startswith("mailer-daemon@") for path in paths)


def _looks_bulk(message: Incoming, *, set_off: bool) -> bool:
    """Return whether a header makes an automatic-looking subject believable; each alone proves nothing.

    Mailing lists write Precedence too; Outlook writes X-Auto-Response-Suppress into people's mail, and redirecting
    rules leave their mark on it: beside those, the title has to be set off from what follows.
    """
    bulk = set(_words(message, "precedence", "x-precedence", "preference"))
    if bulk & {"bulk", "junk"}:
        return True
    marks = ("x-auto-response-suppress", "x-ms-exchange-inbox-rules-loop")
    return set_off and ("list" in bulk or any(_has(message, name) for name in marks))


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
