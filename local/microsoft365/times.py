"""Points in time as Graph writes them: seconds since 1970 inside, ISO 8601 in UTC outside."""

import time
from datetime import UTC, datetime


def now() -> float:
    """Return the present as seconds since 1970."""
    return time.time()


def stamp(moment: float) -> str:
    """Write a moment to the second, as Graph does for mail: `2026-01-31T09:30:00Z`."""
    return datetime.fromtimestamp(int(moment), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse(text: str) -> float:
    """Read an ISO 8601 time with an offset or `Z`; raise ValueError for anything else."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None or not 1970 < moment.year < 9999:
        raise ValueError(f"{text!r} has no offset from UTC, or lies outside the years 1971 to 9998")
    return moment.timestamp()
