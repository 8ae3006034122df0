"""What a seller reads beside an email: whether it is scheduled, on its way, opened, and since when.

Dynamics shows "scheduled to send", "not yet opened" and "Last opened yesterday" in its timeline (Microsoft's
documentation of email engagement); ours says the hour as well, and how late a scheduled mail left. Days and hours are
those of the reader's clock (`shared.engagement.clocks`).
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from shared.engagement.clocks import Clock, say

_SENT, _PENDING_SEND, _SENDING, _FAILED = 3, 6, 7, 8
_SCALES = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (0, "second"))


def status_text(email: Mapping[str, Any], now: datetime, clock: Clock) -> str:
    """Return the status of an email in words; "" where there is nothing to say (a Draft, a received mail).

    `email` has Dataverse's columns by logical name, times as ISO 8601 in UTC.

    >>> email = {"statuscode": 3, "isemailfollowed": True, "lastopenedtime": "2026-11-22T17:35:00Z"}
    >>> status_text(email, datetime(2026, 11, 23, 9, 0, tzinfo=UTC), Clock())
    'Last opened yesterday at 17:35 UTC'
    """
    status = email.get("statuscode")
    if status == _PENDING_SEND:
        due = _moment(email.get("delayedemailsendtime"))
        return f"Scheduled to be sent {say(due, now, clock)}" if due is not None and due > now else "Sending"
    if status == _SENDING:
        return "Sending"
    if status == _FAILED:
        return _with_reason("Not sent", email.get("ee_failurereason"))
    if status == _SENT and email.get("directioncode") is not False:
        return _sent(email, now, clock)
    return ""


def _sent(email: Mapping[str, Any], now: datetime, clock: Clock) -> str:
    engagement = _engagement(email, now, clock)
    late = email.get("ee_lateby")
    return f"Sent {_duration(late)} late; {engagement[0].lower()}{engagement[1:]}" if late else engagement


def _engagement(email: Mapping[str, Any], now: datetime, clock: Clock) -> str:
    opened = _moment(email.get("lastopenedtime"))
    if opened is not None:
        return f"Last opened {say(opened, now, clock)}"
    if not email.get("isemailfollowed"):
        return _with_reason("Not followed", email.get("ee_followreason"))
    ended = _moment(email.get("ee_followendedon"))
    return f"Not followed any more since {say(ended, now, clock)}" if ended is not None else "Not yet opened"


def _with_reason(what: str, reason: str | None) -> str:
    return f"{what}: {reason}" if reason else what


def _moment(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value).astimezone(UTC) if value else None


def _duration(seconds: int) -> str:
    """Return a duration in the unit that people would choose, rounded down.

    >>> [_duration(seconds) for seconds in (150, 3_600, 7_500, 172_800)]
    ['2 minutes', '1 hour', '2 hours', '2 days']
    """
    length, unit = next(scale for scale in _SCALES if seconds >= scale[0])
    count = seconds // length
    return f"{count} {unit}" + ("s" if count != 1 else "")
