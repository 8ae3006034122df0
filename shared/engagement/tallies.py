"""How mail made from a template fared, by the week it was sent in: what its rates and recommendation rest on.

Weeks are counted from the epoch (Thursday, 1 January 1970), so that a mail's week never changes. Stored as JSON.
"""

from collections.abc import Mapping
from typing import NamedTuple

import orjson

WEEK = 7 * 24 * 3_600_000
"""ms."""


class Tally(NamedTuple):
    """How many mails were sent, of those how many were followed, and of these how many at least one person opened,
    answered, or clicked in. Each mail counts once."""

    sent: int = 0
    followed: int = 0
    opened: int = 0
    replied: int = 0
    clicked: int = 0


def week_of(sent_at: int) -> int:
    """Return the week of a time in milliseconds since the epoch.

    >>> week_of(0), week_of(WEEK - 1), week_of(WEEK)
    (0, 0, 1)
    """
    return sent_at // WEEK


def plus(one: Tally, other: Tally, sign: int = 1) -> Tally:
    """Return the sum of two tallies; their difference where `sign` is -1."""
    return Tally(*(a + sign * b for a, b in zip(one, other, strict=True)))


def load_weeks(text: str) -> dict[int, Tally]:
    """Return stored tallies by week.

    >>> load_weeks(dump_weeks({2968: Tally(3, 2, 1, 0, 1), 2969: Tally()}))
    {2968: Tally(sent=3, followed=2, opened=1, replied=0, clicked=1)}
    """
    return {int(week): Tally(*counts) for week, counts in orjson.loads(text or "{}").items()}


def dump_weeks(weeks: Mapping[int, Tally]) -> str:
    """Return tallies as they are stored, by week, without empty ones."""
    return orjson.dumps({str(week): list(weeks[week]) for week in sorted(weeks) if any(weeks[week])}).decode()
