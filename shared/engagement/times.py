"""Times as they are stored (ISO 8601, UTC, sortable as text) and as the rules count (milliseconds since the epoch)."""

from datetime import UTC, datetime

MAX_TIME = 10**14
"""Milliseconds since the epoch beyond every real time (the year 5138), to invert times with."""


def milliseconds(time: datetime) -> int:
    """Return an aware time as milliseconds since the epoch."""
    return int(time.timestamp() * 1000)


def from_milliseconds(at: int) -> datetime:
    """Return milliseconds since the epoch as a time in UTC."""
    return datetime.fromtimestamp(at / 1000, UTC)


def iso_seconds(at: int) -> str:
    """Return milliseconds since the epoch as Dataverse writes times: UTC, whole seconds.

    >>> iso_seconds(1_700_000_000_999)
    '2023-11-14T22:13:20Z'
    """
    return from_milliseconds(at // 1000 * 1000).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_iso(text: str) -> datetime:
    """Return an ISO 8601 time in UTC; one without an offset is UTC. Raises ValueError for anything else."""
    time = datetime.fromisoformat(text)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
