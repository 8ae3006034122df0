"""NCRONTAB schedules against a plain search for the next matching second."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.functions_host.ncrontab import DAYS, FIELDS, MONTHS, Field, next_occurrence, parse

instants = st.datetimes(min_value=datetime(2000, 1, 1), max_value=datetime(2099, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001


def part(field: Field) -> st.SearchStrategy[tuple[str, set[int]]]:
    """Draw one part of a field's list together with the values it stands for."""
    values = st.integers(field.low, field.high)
    steps = st.integers(2, field.high)
    whole = range(field.low, field.high + 1)
    kinds = [
        st.just(("*", set(whole))),
        values.map(lambda value: (str(value), {value})),
        steps.map(lambda step: (f"*/{step}", set(whole[::step]))),
        st.tuples(values, values).map(lambda ends: (f"{ends[0]}-{ends[1]}", set(range(min(ends), max(ends) + 1)))),
        st.tuples(values, values, steps).map(
            lambda drawn: (
                f"{drawn[0]}-{drawn[1]}/{drawn[2]}",
                set(range(min(drawn[:2]), max(drawn[:2]) + 1, drawn[2])),
            )
        ),
        st.tuples(values, steps).map(
            lambda drawn: (f"{drawn[0]}/{drawn[1]}", set(range(drawn[0], field.high + 1, drawn[1])))
        ),
    ]
    if field.names:
        kinds.append(values.map(lambda value: (field.names[value - field.low][:3].upper(), {value})))
    return st.one_of(kinds)


def whole_field(field: Field) -> st.SearchStrategy[tuple[str, set[int]]]:
    return st.lists(part(field), min_size=1, max_size=3).map(
        lambda parts: (",".join(text for text, _ in parts), set().union(*(values for _, values in parts)))
    )


expressions = st.tuples(*(whole_field(field) for field in FIELDS)).map(
    lambda fields: (" ".join(text for text, _ in fields), [values for _, values in fields])
)


def first_match(admitted: list[set[int]], after: datetime, until: datetime) -> datetime | None:
    """Try one instant after the other, skipping a whole day, hour or minute that cannot match."""
    seconds, minutes, hours, days, months, weekdays = admitted
    now = after.replace(microsecond=0) + timedelta(seconds=1)
    while now <= until:
        if now.month not in months or now.day not in days or (now.weekday() + 1) % 7 not in weekdays:
            now = now.replace(hour=0, minute=0, second=0) + timedelta(days=1)
        elif now.hour not in hours:
            now = now.replace(minute=0, second=0) + timedelta(hours=1)
        elif now.minute not in minutes:
            now = now.replace(second=0) + timedelta(minutes=1)
        elif now.second not in seconds:
            now += timedelta(seconds=1)
        else:
            return now
    return None


@given(expressions, instants)
def test_the_next_occurrence_is_the_first_matching_second_strictly_after(
    expression: tuple[str, list[set[int]]], after: datetime
) -> None:
    text, admitted = expression
    found = next_occurrence(parse(text), after)
    assert found == first_match(admitted, after, found or after + timedelta(days=3000))
    assert found is None or found > after


@given(expressions, instants)
def test_occurrences_follow_each_other(expression: tuple[str, list[set[int]]], after: datetime) -> None:
    schedule = parse(expression[0])
    first = next_occurrence(schedule, after)
    if first is not None:
        assert next_occurrence(schedule, first - timedelta(microseconds=1)) == first
        second = next_occurrence(schedule, first)
        assert second is None or second > first


@given(st.text(max_size=30) | st.lists(st.text("0123456789*/,-#aMJ", max_size=6), max_size=7).map(" ".join))
def test_any_text_is_a_schedule_or_a_value_error(text: str) -> None:
    try:
        schedule = parse(text)
    except ValueError:
        return
    next_occurrence(schedule, datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 * * * * *", "2026-11-23T10:31:00+00:00"),
        ("*/5 * * * * *", "2026-11-23T10:30:20+00:00"),
        ("30 9 * * *", "2026-11-24T09:30:00+00:00"),
        ("0 30 9 * * Mon-Fri", "2026-11-24T09:30:00+00:00"),
        ("0 0 0 1 january *", "2027-01-01T00:00:00+00:00"),
        ("0 0 0 29 2 *", "2028-02-29T00:00:00+00:00"),
        ("0 0 0 29 2 1", "2044-02-29T00:00:00+00:00"),
        ("0 0 0 13 * 5", "2027-08-13T00:00:00+00:00"),
    ],
)
def test_known_schedules(expression: str, expected: str) -> None:
    after = datetime(2026, 11, 23, 10, 30, 15, 500000, tzinfo=UTC)
    found = next_occurrence(parse(expression), after)
    assert found is not None
    assert found.isoformat() == expected


def test_a_date_that_does_not_exist_never_comes() -> None:
    assert next_occurrence(parse("0 0 0 30 2 *"), datetime(2026, 1, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("expression", "culprit"),
    [
        ("* * * *", "4 fields"),
        ("60 * * * * *", "second: 60"),
        ("0 0 0 0 * *", "day: 0"),
        ("0 0 0 * * 7", "day-of-week: 7"),
        ("0 0 0 * Juli4 *", "month: 'Juli4'"),
        ("0 */0 * * * *", "minute: the step"),
        ("0 1- * * * *", "minute: ''"),
        ("0 ٣ * * * *", "minute: '٣'"),
    ],
)
def test_a_wrong_expression_names_the_field(expression: str, culprit: str) -> None:
    with pytest.raises(ValueError, match=culprit.replace("*", r"\*")):
        parse(expression)


@pytest.mark.parametrize("names", [MONTHS, DAYS])
def test_names_ignore_case_and_may_be_shortened(names: tuple[str, ...]) -> None:
    month = "{} *" if names is MONTHS else "* {}"
    for name in names:
        assert parse(f"0 0 0 * {month.format(name[:3].upper())}") == parse(f"0 0 0 * {month.format(name.lower())}")
