"""When to send: the next working moment of one recipient or of several, or the hour in which mail has been opened most.

Wall-clock times that a change of clocks skips or repeats are taken as RFC 5545 (3.3.5) takes them: a skipped one by the
offset before the change, a repeated one the first time. The numbers are explained in docs/timing.md.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

from shared.engagement.public_holidays import Calendar, no_holidays

HORIZON = timedelta(days=7)
"""Within which of the coming days the hour that suits most is looked for."""
FURTHEST = timedelta(days=60)
"""How far is looked where nobody works within the horizon."""
ENOUGH_OPENS_OF_PERSON = 30
ENOUGH_OPENS_OF_ORGANIZATION = 300
"""From how many opens in working hours habits choose the hour."""
WORKING_DAYS_TO_WAIT = 3
"""How many working days, the current one included, a better hour may be waited for."""
WORTH_WAITING = 2
"""How much more likely an open must be in a later hour than at the next working moment."""
NEARLY_AS_GOOD = 0.75
"""An earlier hour is taken where an open in it is this much as likely as in the best one."""
FLAT_HOURS = 5
"""The prior of the hours of a day: as if mail had been opened this often in each of them."""
FLAT_WEEK = 20
"""The prior of the hours of a week: as if mail had been opened this often in each of them, by the day's habits."""

_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, slots=True)
class WorkingWeek:
    """From when to when people work by their own clock, and on which days (Monday is 0)."""

    start: time
    end: time
    days: frozenset[int]


@dataclass(frozen=True, slots=True)
class Recipient:
    """Whose working time is looked for: their zone (an IANA name) and their public holidays."""

    zone: str
    holiday: Calendar = no_holidays


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of working time, in UTC, and the local day it is on."""

    start: datetime
    end: datetime
    day: date


@dataclass(frozen=True, slots=True)
class Habits:
    """Opens inside the working week by local (weekday, hour), and how many there are."""

    counts: Mapping[tuple[int, int], int]
    opens: int


@dataclass(frozen=True, slots=True)
class Shared:
    """The moment that suits most, and how many of the recipients work then."""

    moment: datetime
    working: int


def parse_week(start: str, end: str, days: str) -> WorkingWeek:
    """Return the working week that settings describe; raise ValueError saying which one is wrong and what is right.

    >>> parse_week("08:00", "17:00", "Sunday, Mon").days == {6, 0}
    True
    """
    week = WorkingWeek(parse_clock(start), parse_clock(end), parse_days(days))
    if week.start >= week.end:
        raise ValueError(f"the working day must end after it begins, not at {end} after {start}")
    return week


def parse_clock(text: str) -> time:
    """Return a time of day such as 08:00; raise ValueError for anything else."""
    try:
        return datetime.strptime(text.strip(), "%H:%M").time()  # noqa: DTZ007 - a time of day has no zone
    except ValueError:
        raise ValueError(f"'{_shown(text)}' is not a time of day: give hours and minutes, such as 08:00") from None


def parse_days(text: str) -> frozenset[int]:
    """Return the weekdays (Monday is 0) in a text, parted by commas; raise ValueError naming what is none."""
    found = set()
    for word in (word.strip().casefold() for word in text.split(",")):
        number = next((n for n, name in enumerate(_DAYS) if len(word) >= 3 and name.startswith(word)), None)
        if number is None:
            raise ValueError(
                f"'{_shown(word)}' is not a day of the week: give them in English, parted by commas, such as "
                "Monday, Tuesday, Wednesday, Thursday, Friday"
            )
        found.add(number)
    return frozenset(found)


def _shown(text: str) -> str:
    return text[:20].encode("ascii", "backslashreplace").decode()


def spans(recipient: Recipient, week: WorkingWeek, now: datetime, within: timedelta = FURTHEST) -> Iterator[Span]:
    """Yield a recipient's working time that is not over at `now` and begins within `within`, in order."""
    zone = ZoneInfo(recipient.zone)
    day = now.astimezone(zone).date() - timedelta(days=1)
    while True:
        start = datetime.combine(day, week.start, zone).astimezone(UTC)
        midnight = datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)
        # An end that the change of clocks at midnight skips lies in the next day, which counts by itself.
        end = min(datetime.combine(day, week.end, zone).astimezone(UTC), midnight)
        if start >= now + within:
            return
        # A day that a country skipped to change sides of the date line is another day by its own clock.
        exists = start.astimezone(zone).date() == day
        if end > now and start < end and exists and day.weekday() in week.days and not recipient.holiday(day):
            yield Span(start, end, day)
        day += timedelta(days=1)


def next_moment(recipient: Recipient, week: WorkingWeek, now: datetime) -> datetime | None:
    """Return `now` where it is working time, else when it next begins; None where there is none in sight."""
    first = next(spans(recipient, week, now), None)
    return None if first is None else max(now, first.start)


def moment_for_most(recipients: Sequence[Recipient], week: WorkingWeek, now: datetime) -> Shared | None:
    """Return the earliest moment at which most of `recipients` work: within `HORIZON`, or where nobody works in it,
    within `FURTHEST`; None where nobody does."""
    numbers = Counter(recipients)
    for within in (HORIZON, FURTHEST):
        changes: Counter[datetime] = Counter()
        for recipient, number in numbers.items():
            for span in spans(recipient, week, now, within):
                changes[max(now, span.start)] += number
                changes[span.end] -= number
        best, working = None, 0
        for moment in sorted(changes):
            working += changes[moment]
            if working > (best.working if best else 0):
                best = Shared(moment, working)
        if best is not None:
            return best
    return None


def holidays_between(recipient: Recipient, week: WorkingWeek, now: datetime, until: datetime) -> list[tuple[date, str]]:
    """Return the holidays on what would be working days from `now` to `until`, by the recipient's clock."""
    zone = ZoneInfo(recipient.zone)
    day, last = now.astimezone(zone).date(), until.astimezone(zone).date()
    days = (day + timedelta(days=n) for n in range((last - day).days + 1))
    return [(d, name) for d in days if d.weekday() in week.days and (name := recipient.holiday(d))]


def habits(opens: Iterable[datetime], week: WorkingWeek) -> Habits:
    """Return habits from opens by the clock of whoever opened (aware local times); those outside the week do not
    count, because mail is sent inside it."""
    inside = [o for o in opens if o.weekday() in week.days and week.start <= o.time() < week.end]
    counts = Counter((opened.weekday(), opened.hour) for opened in inside)
    return Habits(counts, len(inside))


def best_hour(recipient: Recipient, week: WorkingWeek, found: Habits, now: datetime) -> datetime | None:
    """Return the start of an hour within `WORKING_DAYS_TO_WAIT` that is much likelier to see an open than the next
    working moment is, None where there is none: the earliest that is nearly as good as the best."""
    moments = list(_hours(recipient, week, now))
    if not moments:
        return None
    zone = ZoneInfo(recipient.zone)
    likely = _likelihoods(week, found)
    local_times = (moment.astimezone(zone) for moment in moments)
    # Working time that a change of clocks moved may reach into an hour in which nobody works otherwise.
    chances = [likely.get((local.weekday(), local.hour), 0.0) for local in local_times]
    best = max(chances)
    if best < WORTH_WAITING * chances[0]:
        return None
    return next(moment for moment, chance in zip(moments, chances, strict=True) if chance >= NEARLY_AS_GOOD * best)


def _hours(recipient: Recipient, week: WorkingWeek, now: datetime) -> Iterator[datetime]:
    """Yield the next working moment and the start of every hour by the recipient's clock after it."""
    zone = ZoneInfo(recipient.zone)
    for span in islice(spans(recipient, week, now), WORKING_DAYS_TO_WAIT):
        moment = max(now, span.start)
        while moment < span.end:
            yield moment
            local = moment.astimezone(zone)
            past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
            moment += timedelta(hours=1) - past


def _likelihoods(week: WorkingWeek, found: Habits) -> dict[tuple[int, int], float]:
    """Return how likely an open falls in each hour of the working week: two Dirichlet posteriors, one on the other.

    The hours of the day begin flat; the hours of the week begin as the day's posterior on every day. So a few opens at
    ten say something of ten o'clock, and little yet of Tuesdays.
    """
    hours = range(week.start.hour, week.end.hour + (week.end.minute > 0))
    size = len(hours) * len(week.days)
    by_hour: Counter[int] = Counter()
    for (_, hour), count in found.counts.items():
        by_hour[hour] += count
    likely = {}
    for hour in hours:
        share = (by_hour[hour] + FLAT_HOURS) / (found.opens + FLAT_HOURS * len(hours))
        for day in week.days:
            expected = FLAT_WEEK * size * share / len(week.days)
            likely[day, hour] = (found.counts.get((day, hour), 0) + expected) / (found.opens + FLAT_WEEK * size)
    return likely
