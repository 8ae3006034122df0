"""From counts by quarter hour to what a chart shows: days, and hours of the week, by somebody's clock.

Quarter hours are counted from the epoch in UTC. Every zone's offset is a multiple of one (since 1972: the time zone
database), so that each belongs to one local day and hour, also where clocks change: a day of 23 or 25 hours is one day,
and an hour that comes twice is one hour of the week.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

from shared.engagement.figures import COUNTS, QUARTER
from shared.engagement.times import from_milliseconds, milliseconds

HOURS_OF_WEEK = 7 * 24

type Counts = tuple[int, ...]
"""In the order of `shared.engagement.figures.COUNTS`."""


@dataclass(frozen=True, slots=True)
class Period:
    """Quarter hours since the epoch: `first` is in it, `end` is not."""

    first: int
    end: int

    @property
    def start(self) -> datetime:
        """When it begins (UTC)."""
        return from_milliseconds(self.first * QUARTER)

    @property
    def stop(self) -> datetime:
        """When it is over (UTC)."""
        return from_milliseconds(self.end * QUARTER)

    @property
    def is_empty(self) -> bool:
        """Whether there is no quarter hour in it."""
        return self.first >= self.end

    @property
    def last(self) -> datetime:
        """When its last quarter hour begins (UTC); it must not be empty."""
        return from_milliseconds((self.end - 1) * QUARTER)


def period_of(start: datetime, end: datetime) -> Period:
    """Return the whole quarter hours between two times, each rounded down.

    >>> period = period_of(*map(datetime.fromisoformat, ("2026-11-25T10:14Z", "2026-11-25T11:59Z")))
    >>> f"{period.start:%H:%M} to {period.stop:%H:%M}"
    '10:00 to 11:45'
    """
    return Period(milliseconds(start) // QUARTER, milliseconds(end) // QUARTER)


def within(counted: Mapping[int, Counts], period: Period) -> dict[int, Counts]:
    """Return those counts that are in a period."""
    return {quarter: counts for quarter, counts in counted.items() if period.first <= quarter < period.end}


def total(counted: Iterable[Counts]) -> Counts:
    """Return the sum of counts, of each kind.

    >>> total([(1, 1, 0, 0, 0, 2), (1, 0, 5, 0, 0, 0)])
    (2, 1, 5, 0, 0, 2)
    """
    return tuple(map(sum, zip(_NOTHING, *counted, strict=True)))


def by_day(counted: Mapping[int, Counts], period: Period, zone: ZoneInfo) -> list[tuple[date, Counts]]:
    """Return the counts of every day of a period by a zone's clock, zeros where there are none; `counted` are within
    it."""
    found: defaultdict[date, list[Counts]] = defaultdict(list)
    for quarter, counts in counted.items():
        found[_local(quarter, zone).date()].append(counts)
    return [(day, total(found.get(day, ()))) for day in _days(period, zone)]


def by_hour_of_week(counted: Mapping[int, Counts], zone: ZoneInfo) -> list[Counts]:
    """Return the counts of the 168 hours of a week by a zone's clock, from Monday 0:00 on."""
    found: defaultdict[int, list[Counts]] = defaultdict(list)
    for quarter, counts in counted.items():
        local = _local(quarter, zone)
        found[local.weekday() * 24 + local.hour].append(counts)
    return [total(found.get(hour, ())) for hour in range(HOURS_OF_WEEK)]


_NOTHING = (0,) * len(COUNTS)


def _local(quarter: int, zone: ZoneInfo) -> datetime:
    return from_milliseconds(quarter * QUARTER).astimezone(zone)


def _days(period: Period, zone: ZoneInfo) -> Iterator[date]:
    if period.is_empty:
        return
    day, last = period.start.astimezone(zone).date(), period.last.astimezone(zone).date()
    while day <= last:
        yield day
        day += timedelta(days=1)
