"""When a reminder fires: what its condition asks, and what had happened by its time.

Dynamics 365 Sales has three conditions (``emailremindertype``): *If I do not receive a reply by* and *If the email is
not opened by*, both for followed mail only, and *Remind me anyways at*. Its documentation says that the condition is
looked at when the time comes; what status 3 (ReminderInvalid) means is not documented: here that the condition cannot
apply (any more). Sources: the product page on sending email, and Dataverse's table reference of ``email``.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

NO_REPLY, NOT_OPENED, ANYWAY = range(3)
"""``emailremindertype``"""
NOT_SET, SET, EXPIRED, INVALID = range(4)
"""``emailreminderstatus``: nothing to wait for, waiting, fired, cannot apply (any more)."""

SWITCHED_OFF = "following email is switched off in your organization, so that nobody knows whether the condition holds"
NOT_SENT = "the email had not been sent by then"


@dataclass(frozen=True, slots=True)
class Reminder:
    """A reminder with what is known of its email.

    `not_followed` is why the email is not followed, None where it is; `watched` whether the organization lets
    recipients be followed now; `opened` and `replied` are the times of what people did, in any order: whoever clicked
    or opened a file has opened the email.
    """

    condition: int
    expiry: datetime
    not_followed: str | None = None
    watched: bool = True
    sent_at: datetime | None = None
    opened: Sequence[datetime] = ()
    replied: Sequence[datetime] = ()


@dataclass(frozen=True, slots=True)
class Verdict:
    """An ``emailreminderstatus``, and in words why where it is `INVALID`, else None."""

    status: int
    reason: str | None = None


def stand(reminder: Reminder) -> Verdict:
    """Return how a reminder stands before its time: `SET`, or `INVALID` where its condition cannot apply.

    >>> stand(Reminder(NOT_OPENED, datetime(2026, 11, 24, tzinfo=UTC), not_followed="following was not asked for"))
    Verdict(status=3, reason='the email is not followed: following was not asked for')
    """
    if reminder.condition == ANYWAY or reminder.not_followed is None:
        return Verdict(SET)
    return Verdict(INVALID, f"the email is not followed: {reminder.not_followed}")


def judge(reminder: Reminder) -> Verdict:
    """Return what becomes of a reminder whose time has come: `EXPIRED` (it fires) or `INVALID`.

    Only what had happened by its time counts, however late the question is asked. A reply says that the email was
    opened as well: the reader may have left the images out.

    >>> noon = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    >>> sent = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
    >>> judge(Reminder(NO_REPLY, noon, sent_at=sent))
    Verdict(status=2, reason=None)
    >>> judge(Reminder(NO_REPLY, noon, sent_at=sent, replied=[datetime(2026, 11, 24, 8, 5, tzinfo=UTC)]))
    Verdict(status=3, reason='there was a reply on 24 November 2026 at 08:05 UTC')
    """
    if reminder.condition == ANYWAY:
        return Verdict(EXPIRED)
    standing = stand(reminder)
    if standing.status == INVALID:
        return standing
    if reminder.sent_at is None or reminder.sent_at > reminder.expiry:
        return Verdict(INVALID, NOT_SENT)
    replied = _first(reminder.replied, reminder.expiry)
    if replied is not None:
        return Verdict(INVALID, f"there was a reply {_words(replied)}")
    opened = _first(reminder.opened, reminder.expiry)
    if reminder.condition == NOT_OPENED and opened is not None:
        return Verdict(INVALID, f"it was opened {_words(opened)}")
    return Verdict(EXPIRED) if reminder.watched else Verdict(INVALID, SWITCHED_OFF)


def summary(condition: int, note: str) -> str:
    """Return what a card says beside whom and which email it is about: the condition that held and the sender's note.

    >>> summary(NO_REPLY, "call them"), summary(ANYWAY, "")
    ('there was no reply by then; your note: call them', '')
    """
    held = {NO_REPLY: "there was no reply by then", NOT_OPENED: "it had not been opened by then"}.get(condition, "")
    return "; ".join(filter(None, (held, f"your note: {note}" if note else "")))


def _words(moment: datetime) -> str:
    """Return a moment in words.

    >>> _words(datetime(2026, 11, 4, 8, 5, tzinfo=UTC))
    'on 4 November 2026 at 08:05 UTC'
    """
    utc = moment.astimezone(UTC)
    return f"on {utc.day} {utc:%B %Y} at {utc:%H:%M} UTC"


def _first(times: Sequence[datetime], by: datetime) -> datetime | None:
    return min((time for time in times if time <= by), default=None)
