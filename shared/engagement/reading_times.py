"""When an email was read: the opens by people that say something of their day, and their form in storage."""

from collections.abc import Sequence

from shared.engagement.hits import Kind
from shared.engagement.labels import Label
from shared.engagement.timeline import Timeline

APART_MS = 3_600_000
"""A mail that is opened again within the hour is still being read."""
MOST = 20
"""How many times of one email are kept, the first ones: a mail that somebody keeps open is not their whole day."""


def reading_times(timeline: Timeline) -> tuple[int, ...]:
    """Return when people opened the email (ms since the epoch), each at least an hour after the one before."""
    opens = sorted(
        event.observation.at
        for event in timeline.events
        if event.verdict.label is Label.PERSON
        and event.observation.kind in (Kind.OPEN, Kind.IMAGE)
        and event.duplicate_of is None
    )
    kept: list[int] = []
    for at in opens:
        if not kept or at - kept[-1] >= APART_MS:
            kept.append(at)
    return tuple(kept[:MOST])


def dump(times: Sequence[int]) -> str:
    """Return times (ms) as text of whole seconds.

    >>> load(dump([1_700_000_000_999])), load("")
    ((1700000000000,), ())
    """
    return ",".join(str(at // 1000) for at in times)


def load(text: str) -> tuple[int, ...]:
    """Return the times (ms) that `dump` wrote."""
    return tuple(int(second) * 1000 for second in text.split(",") if second)
