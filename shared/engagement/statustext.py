"""What a seller reads beside an email: whether it is scheduled, on its way, opened, and since when.

Dynamics shows "scheduled to send", "not yet opened" and "Last opened yesterday" in its timeline (Microsoft's
documentation of email engagement); ours says the hour as well, and how late a scheduled mail left. Times are UTC.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

_SENT, _PENDING_SEND, _SENDING, _FAILED = 3, 6, 7, 8
_SCALES = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (0, "second"))


def status_text(email: Mapping[str, Any], now: datetime) -> str:
    """Return the status of an email in words; "" where there is nothing to say (a Draft, a received mail).

    `email` has Dataverse's columns by logical name, times as ISO 8601 in UTC.

    >>> email = {"statuscode": 3, "isemailfollowed": True, "lastopenedtime": "2026-11-22T17:35:00Z"}
    >>> status_text(email, datetime(2026, 11, 23, 9, 0, tzinfo=UTC))
    'Last opened yesterday at 17:35 UTC'
    """
    status = email.get("statuscode")
    if status == _PENDING_SEND:
        due = _moment(email.get("delayedemailsendtime"))
        return f"Scheduled to be sent {_when(due, now)}" if due is not None and due > now else "Sending"
    if status == _SENDING:
        return "Sending"
    if status == _FAILED:
        return _with_reason("Not sent", email.get("ee_failurereason"))
    if status == _SENT and email.get("directioncode") is not False:
        return _sent(email, now)
    return ""


def _sent(email: Mapping[str, Any], now: datetime) -> str:
    engagement = _engagement(email, now)
    late = email.get("ee_lateby")
    return f"Sent {_duration(late)} late; {engagement[0].lower()}{engagement[1:]}" if late else engagement


def _engagement(email: Mapping[str, Any], now: datetime) -> str:
    opened = _moment(email.get("lastopenedtime"))
    if opened is not None:
        return f"Last opened {_when(opened, now)}"
    if not email.get("isemailfollowed"):
        return _with_reason("Not followed", email.get("ee_followreason"))
    return "Not yet opened"


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


def _when(moment: datetime, now: datetime) -> str:
    """Return a moment as people say it: the day when it is near, the date otherwise.

    >>> _when(datetime(2025, 3, 9, 8, 5, tzinfo=UTC), datetime(2026, 11, 23, 9, 0, tzinfo=UTC))
    'on 9 March 2025 at 08:05 UTC'
    """
    now = now.astimezone(UTC)
    days = (moment.date() - now.date()).days
    day = {-1: "yesterday", 0: "today", 1: "tomorrow"}.get(days)
    if day is None:
        day = f"on {moment.day} {moment:%B}" + (f" {moment.year}" if moment.year != now.year else "")
    return f"{day} at {moment:%H:%M} UTC"
