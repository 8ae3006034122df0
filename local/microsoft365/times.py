"""Points in time as Graph writes them: seconds since 1970 inside, ISO 8601 in UTC outside.

The clock can be stopped at a time for what happens in mailboxes and drives; tokens live by the real one.
"""

import time
from datetime import UTC, datetime

_stopped_at: float | None = None


def now() -> float:
    """Return the present as seconds since 1970: where the clock is stopped, that time."""
    return time.time() if _stopped_at is None else _stopped_at


def stop_clock(moment: float | None) -> None:
    """Stop the clock at a moment, or let it go on (None)."""
    global _stopped_at
    _stopped_at = moment


def stamp(moment: float) -> str:
    """Write a moment to the second, as Graph does for mail: `2026-01-31T09:30:00Z`."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text: str) -> float:
    """Read an ISO 8601 time with an offset or `Z`; raise ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not 1970 < moment.year < 9999:
        raise ValueError(f"{text!r} has no offset from UTC, or lies outside the years 1971 to 9998")
    return moment.timestamp()
