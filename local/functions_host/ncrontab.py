"""NCRONTAB schedules: `{second} {minute} {hour} {day} {month} {day-of-week}`, the seconds being optional.

Source: learn.microsoft.com/azure/azure-functions/functions-bindings-timer (NCRONTAB expressions) and the NCrontab
library that the Functions host uses: day of month and day of week must *both* match, a reversed range is read the
right way round, `5/15` means "from 5 on, every 15", and names may be shortened.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")

LONGEST_GAP_DAYS = 41 * 366
"""29 February on one day of the week is at most 40 years away (across a century that is no leap year)."""


@dataclass(frozen=True, slots=True)
class Field:
    """What one field of an expression may hold: its name, its range, and names for its values from `low` on."""

    name: str
    low: int
    high: int
    names: tuple[str, ...] = ()


FIELDS = (
    Field("second", 0, 59),
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day-of-week", 0, 6, DAYS),
)


@dataclass(frozen=True, slots=True)
class Schedule:
    """The values each field admits, ascending; days of the week count from Sunday = 0."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]


def parse(expression: str) -> Schedule:
    """Read an expression of six fields, or of five (the second is then 0).

    Raises ValueError naming the field that is wrong.
    """
    parts = expression.split()
    if len(parts) == 5:
        parts.insert(0, "0")
    if len(parts) != 6:
        raise ValueError(f"NCRONTAB expression {expression!r} has {len(parts)} fields; it needs 6 (or 5)")
    seconds, minutes, hours, days, months, weekdays = (
        sorted(_parse_field(field, part)) for field, part in zip(FIELDS, parts, strict=True)
    )
    return Schedule(
        tuple(seconds), tuple(minutes), tuple(hours), frozenset(days), frozenset(months), frozenset(weekdays)
    )


def next_occurrence(schedule: Schedule, after: datetime) -> datetime | None:
    """Return the first instant of the schedule strictly after `after`, in its time zone, or None if there is none.

    None is the answer for dates that do not exist, such as 30 February.
    """
    start = after.replace(microsecond=0) + timedelta(seconds=1)
    if _admits(schedule, start.date()) and (found := _first_time_from(schedule, start)):
        return found
    day = start.date()
    for _ in range(LONGEST_GAP_DAYS):
        if day == date.max:
            return None
        day += timedelta(days=1)
        if _admits(schedule, day):
            return start.replace(
                year=day.year, month=day.month, day=day.day,
                hour=schedule.hours[0], minute=schedule.minutes[0], second=schedule.seconds[0],
            )  # fmt: skip
    return None


def _admits(schedule: Schedule, day: date) -> bool:
    return day.month in schedule.months and day.day in schedule.days and day.isoweekday() % 7 in schedule.weekdays


def _first_time_from(schedule: Schedule, start: datetime) -> datetime | None:
    """Return the first time of the schedule on the day of `start`, at or after it."""
    for hour in schedule.hours:
        if hour < start.hour:
            continue
        for minute in schedule.minutes:
            if (hour, minute) < (start.hour, start.minute):
                continue
            for second in schedule.seconds:
                if (hour, minute, second) >= (start.hour, start.minute, start.second):
                    return start.replace(hour=hour, minute=minute, second=second)
    return None


def _parse_field(field: Field, text: str) -> set[int]:
    values: set[int] = set()
    for part in text.split(","):
        values |= _parse_part(field, part)
    return values


def _parse_part(field: Field, text: str) -> set[int]:
    span, slash, step_text = text.partition("/")
    step = _parse_number(field, step_text) if slash else 1
    if step < 1:
        raise ValueError(f"{field.name}: the step in {text!r} must be at least 1")
    first_text, dash, last_text = span.partition("-")
    if span == "*":
        first, last = field.low, field.high
    elif dash:
        first, last = sorted((_parse_value(field, first_text), _parse_value(field, last_text)))
    else:
        first = _parse_value(field, span)
        last = field.high if slash and step > 1 else first
    return set(range(first, last + 1, step))


def _parse_value(field: Field, text: str) -> int:
    if text[:1].isalpha():
        for value, name in enumerate(field.names, start=field.low):
            if name.casefold().startswith(text.casefold()):
                return value
        raise ValueError(f"{field.name}: {text!r} is not a known name")
    value = _parse_number(field, text)
    if not field.low <= value <= field.high:
        raise ValueError(f"{field.name}: {value} is not between {field.low} and {field.high}")
    return value


def _parse_number(field: Field, text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{field.name}: {text!r} is not a number")
    return int(text)
