"""Figures by day and by hour of the week: nothing is lost, nothing counted twice, whatever the clocks do."""

import zoneinfo
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.figures import COUNTS, QUARTER
from shared.engagement.series import Period, by_day, by_hour_of_week, period_of, total, within
from shared.engagement.times import milliseconds

BERLIN = ZoneInfo("Europe/Berlin")
ZONES = sorted(name for name in zoneinfo.available_timezones() if "/" in name)
QUARTERS = st.integers(quarter := 1_600_000_000_000 // QUARTER, quarter + 96 * 365 * 8)
COUNTED = st.dictionaries(QUARTERS, st.tuples(*[st.integers(0, 50)] * len(COUNTS)), max_size=60)


def at(*moment: int) -> int:
    """Return the quarter hour since the epoch that begins at a time in UTC."""
    return milliseconds(datetime(*moment, tzinfo=UTC)) // QUARTER  # type: ignore[misc, arg-type]


def opened(count: int = 1) -> tuple[int, ...]:
    return (0, 0, count, 0, 0, 0)


def every_quarter(period: Period) -> dict[int, tuple[int, ...]]:
    return {quarter: opened() for quarter in range(period.first, period.end)}


@given(COUNTED, st.sampled_from(ZONES))
def test_days_and_hours_of_the_week_sum_to_the_same_in_any_zone(counted: dict[int, tuple[int, ...]], name: str) -> None:
    period = Period(min(counted, default=0), max(counted, default=-1) + 1)
    zone = ZoneInfo(name)
    days, hours = by_day(counted, period, zone), by_hour_of_week(counted, zone)
    assert total(counts for _, counts in days) == total(hours) == total(counted.values())
    assert len(hours) == 168


@given(st.sampled_from(ZONES), QUARTERS, st.integers(1, 96 * 40))
def test_every_day_of_a_period_is_there_once_in_its_order(name: str, first: int, length: int) -> None:
    period, zone = Period(first, first + length), ZoneInfo(name)
    days = [day for day, _ in by_day({}, period, zone)]
    assert (days[0], days[-1]) == (period.start.astimezone(zone).date(), period.last.astimezone(zone).date())
    assert days == [days[0] + timedelta(days=number) for number in range(len(days))]


@given(COUNTED, QUARTERS, QUARTERS)
def test_two_periods_that_meet_hold_what_the_whole_holds(
    counted: dict[int, tuple[int, ...]], one: int, other: int
) -> None:
    first, middle = sorted((one, other))
    end = middle + 96
    halves = within(counted, Period(first, middle)), within(counted, Period(middle, end))
    assert halves[0] | halves[1] == within(counted, Period(first, end))
    assert not halves[0].keys() & halves[1].keys()


@pytest.mark.parametrize(
    ("zone", "day", "quarters"),
    [
        ("Europe/Berlin", date(2026, 3, 29), 92),
        ("Europe/Berlin", date(2026, 10, 25), 100),
        ("Europe/Berlin", date(2026, 10, 26), 96),
        ("America/New_York", date(2026, 3, 8), 92),
        ("Australia/Lord_Howe", date(2026, 4, 5), 98),
        ("Australia/Lord_Howe", date(2026, 10, 4), 94),
        ("Asia/Kathmandu", date(2026, 10, 25), 96),
        ("America/Havana", date(2026, 3, 8), 92),
    ],
)
def test_a_day_is_as_long_as_it_is_where_it_is(zone: str, day: date, quarters: int) -> None:
    around = period_of(*(datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=n) for n in (-2, 3)))
    assert dict(by_day(every_quarter(around), around, ZoneInfo(zone)))[day] == opened(quarters)


def test_an_hour_that_comes_twice_is_one_hour_and_one_that_is_left_out_has_nothing() -> None:
    autumn = period_of(datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC))
    hours = by_hour_of_week(every_quarter(autumn), BERLIN)
    assert [hours[6 * 24 + hour][2] for hour in (1, 2, 3)] == [4, 8, 4]
    spring = period_of(datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC))
    hours = by_hour_of_week(every_quarter(spring), BERLIN)
    assert [hours[6 * 24 + hour][2] for hour in (1, 2, 3)] == [4, 0, 4]


def test_a_moment_is_on_the_day_and_in_the_hour_of_the_clock() -> None:
    quarter = at(2026, 11, 22, 23, 30)  # a Sunday; in Berlin it is Monday, in New York Sunday evening
    period = Period(quarter, quarter + 1)
    counted = {quarter: (1, 1, 2, 0, 0, 0)}
    assert by_day(counted, period, BERLIN) == [(date(2026, 11, 23), (1, 1, 2, 0, 0, 0))]
    assert by_hour_of_week(counted, BERLIN)[0] == (1, 1, 2, 0, 0, 0)
    assert by_hour_of_week(counted, ZoneInfo("America/New_York"))[6 * 24 + 18] == (1, 1, 2, 0, 0, 0)


def test_days_without_anything_are_zero() -> None:
    period = Period(at(2026, 11, 20, 12), at(2026, 11, 23, 12))
    days = by_day({at(2026, 11, 21, 9): opened(3)}, period, ZoneInfo("UTC"))
    assert [(day.day, counts[2]) for day, counts in days] == [(20, 0), (21, 3), (22, 0), (23, 0)]


def test_a_period_that_ends_at_midnight_does_not_touch_the_day_that_begins_then() -> None:
    days = by_day({}, Period(at(2026, 11, 20), at(2026, 11, 21)), ZoneInfo("UTC"))
    assert [day for day, _ in days] == [date(2026, 11, 20)]


def test_an_empty_period_has_no_days() -> None:
    assert by_day({}, Period(5, 5), BERLIN) == []
    assert total(by_hour_of_week({}, BERLIN)) == (0,) * len(COUNTS)
