"""The kinds of action cards, and what a card says: who, which mail and when, in plain text."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson

from shared.engagement.plain_text import harmless

TITLE_LENGTH, DESCRIPTION_LENGTH = 200, 8192
"""UTF-16 code units of a card's columns."""


@dataclass(frozen=True, slots=True)
class CardKind:
    """A kind of card. `cardtype` is its number (Dataverse's own are not published); of a higher `priority` is shown
    first; `lifetime` is how long it is of use; `is_on` whether a new organization has it switched on."""

    cardtype: int
    priority: int
    lifetime: timedelta
    is_on: bool


KINDS: Mapping[str, CardKind] = {
    "firstopen": CardKind(1001, 1000, timedelta(days=14), True),
    "reminder": CardKind(1002, 3000, timedelta(days=30), True),
    "failed": CardKind(1003, 2500, timedelta(days=30), True),
    "firstclick": CardKind(1004, 800, timedelta(days=14), False),
    "attachmentopened": CardKind(1005, 900, timedelta(days=14), False),
    "reply": CardKind(1006, 2000, timedelta(days=14), False),
}
"""By name. Reminders come first, as in Dynamics 365; then what has to be acted on."""

OFF_BY_DEFAULT = tuple(name for name, kind in KINDS.items() if not kind.is_on)


def parse_kinds(text: str) -> tuple[str, ...]:
    """Return the kinds named in a text, parted by ``;`` or line ends, each once; raise ValueError naming what is none.

    >>> parse_kinds("Reply; failed;reply")
    ('reply', 'failed')
    """
    names = tuple(dict.fromkeys(part.strip().lower() for part in re.split(r"[;\r\n]", text) if part.strip()))
    for name in names:
        if name not in KINDS:
            shown = name[:40].encode("ascii", "backslashreplace").decode()
            raise ValueError(f"'{shown}' is no kind of card: name some of {'; '.join(KINDS)}.")
    return names


def one_of(names: Sequence[str]) -> str:
    """Return whom a card names for something that somebody did, because a hit does not say who of several it was.

    >>> one_of(["Ada"]), one_of(["Ada", "Bob", "Cy", "Di"])
    ('Ada', 'One of 4 recipients (Ada, Bob, Cy, ...)')
    """
    if not names:
        return "A recipient"
    return names[0] if len(names) == 1 else f"One of {_several(names)}"


def all_of(names: Sequence[str]) -> str:
    """Return whom a card names as those that a mail went to, or was to go to.

    >>> all_of(["Ada"]), all_of(["Ada", "Bob"]), all_of([])
    ('Ada', '2 recipients (Ada, Bob)', 'nobody')
    """
    if not names:
        return "nobody"
    return names[0] if len(names) == 1 else _several(names)


def _several(names: Sequence[str]) -> str:
    return f"{len(names)} recipients ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"


def words(kind: str, names: Sequence[str], subject: str, moment: datetime, detail: str = "") -> tuple[str, str]:
    """Return a card's title and description, plain text of one line each, cut to their columns' lengths.

    `names` are the mail's recipients and `moment` is when it happened, said in UTC. `detail` is, by kind, what is known
    beside that: the device (firstopen), the link (firstclick), the file (attachmentopened), who wrote (reply), why it
    was not sent (failed), what was to be reminded of (reminder); "" where nothing is.
    """
    names = [harmless(name) or "A recipient" for name in names]
    mail, detail = harmless(subject) or "(no subject)", harmless(detail)
    when = f"on {moment.astimezone(UTC):%d %B %Y at %H:%M} UTC"
    somebody, everybody, quoted = one_of(names), all_of(names), f'"{mail}"'
    match kind:
        case "firstopen":
            title = f"{somebody} opened {mail}"
            text = f"{somebody} opened {quoted} {when}{f' on {detail}' if detail else ''}."
        case "firstclick":
            title = f"{somebody} clicked a link in {mail}"
            text = f"{somebody} clicked {detail or 'a link'} in {quoted} {when}."
        case "attachmentopened":
            title = f"{somebody} opened {detail or 'an attachment'} of {mail}"
            text = f"{somebody} opened {detail or 'an attachment'} of {quoted} {when}."
        case "reply":
            title = f"{detail or somebody} replied to {mail}"
            text = f"{detail or somebody} replied to {quoted} {when}."
        case "failed":
            title = f"Not sent: {mail}"
            text = f"{quoted} to {everybody} was not sent, {when}{f': {detail}' if detail else ''}."
        case "reminder":
            title = f"Reminder: {mail} to {everybody}"
            text = f"You asked to be reminded of {quoted} to {everybody} {when}{f': {detail}' if detail else ''}."
        case _:
            raise ValueError(f"'{kind}' is no kind of card")
    return _fit(title, TITLE_LENGTH), _fit(text, DESCRIPTION_LENGTH)


def actions(email_id: str) -> str:
    """Return what can be done from a card, as its ``data`` holds it: JSON."""
    return orjson.dumps({"actions": [{"name": "openemail", "entity": "email", "id": email_id}]}).decode()


def _fit(text: str, length: int) -> str:
    """Return a text cut to `length` UTF-16 code units, no character halved."""
    encoded = text.encode("utf-16-le")
    if len(encoded) <= 2 * length:
        return text
    return encoded[: 2 * (length - 1)].decode("utf-16-le", "ignore") + "…"
