"""When to send: exact moments, by the clocks of recipients, across changes of clocks, holidays and weekends."""

import random
import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from shared.engagement.advice import Known, advise
from shared.engagement.best_time import (
    ENOUGH_OPENS_OF_ORGANIZATION,
    ENOUGH_OPENS_OF_PERSON,
    Recipient,
    Shared,
    WorkingWeek,
    best_hour,
    habits,
    moment_for_most,
    next_moment,
    parse_week,
    spans,
)
from shared.engagement.public_holidays import calendar_of
from shared.engagement.times import milliseconds
from shared.engagement.zones import Person, find_zone

WEEK = parse_week("08:00", "17:00", "Monday, Tuesday, Wednesday, Thursday, Friday")
SUNDAY_TO_THURSDAY = parse_week("08:00", "17:00", "Sun, Mon, Tue, Wed, Thu")


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def moment(zone, now, week=WEEK, country=None, state=""):
    """Return the next working moment as UTC text."""
    holiday = calendar_of(country, state)
    recipient = Recipient(zone) if holiday is None else Recipient(zone, holiday)
    found = next_moment(recipient, week, utc(now))
    assert found is not None
    return found.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


@pytest.mark.parametrize(
    ("zone", "now", "expected"),
    [
        # 2026-11-24 is a Tuesday, 2026-11-27 a Friday.
        ("Europe/Berlin", "2026-11-24 06:59", "2026-11-24 07:00"),
        ("Europe/Berlin", "2026-11-24 07:00", "2026-11-24 07:00"),
        ("Europe/Berlin", "2026-11-24 12:34", "2026-11-24 12:34"),
        ("Europe/Berlin", "2026-11-24 15:59", "2026-11-24 15:59"),
        ("Europe/Berlin", "2026-11-24 16:00", "2026-11-25 07:00"),
        ("Europe/Berlin", "2026-11-27 16:00", "2026-11-30 07:00"),
        ("Asia/Kolkata", "2026-11-24 02:29", "2026-11-24 02:30"),
        ("Asia/Kathmandu", "2026-11-24 02:00", "2026-11-24 02:15"),
        ("Australia/Adelaide", "2026-11-24 12:00", "2026-11-24 21:30"),
        ("Pacific/Chatham", "2026-11-24 10:00", "2026-11-24 18:15"),
        ("Pacific/Kiritimati", "2026-11-24 12:00", "2026-11-24 18:00"),
        ("Pacific/Pago_Pago", "2026-11-24 12:00", "2026-11-24 19:00"),
        ("America/St_Johns", "2026-11-24 05:00", "2026-11-24 11:30"),
    ],
)
def test_the_next_working_moment_by_the_recipients_clock(zone, now, expected):
    assert moment(zone, now) == expected


@pytest.mark.parametrize(
    ("zone", "now", "expected"),
    [
        # Northern spring: Berlin 29 March 2026, New York 8 March.
        ("Europe/Berlin", "2026-03-27 17:00", "2026-03-30 06:00"),
        ("Europe/Berlin", "2026-03-20 17:00", "2026-03-23 07:00"),
        ("America/New_York", "2026-03-06 23:00", "2026-03-09 12:00"),
        ("America/New_York", "2026-02-27 23:00", "2026-03-02 13:00"),
        # Northern autumn: Berlin 25 October 2026, New York 1 November.
        ("Europe/Berlin", "2026-10-23 17:00", "2026-10-26 07:00"),
        ("Europe/Berlin", "2026-10-16 17:00", "2026-10-19 06:00"),
        ("America/New_York", "2026-10-30 23:00", "2026-11-02 13:00"),
        # Southern autumn and spring: Sydney 5 April and 4 October 2026, Auckland 5 April and 27 September.
        ("Australia/Sydney", "2026-04-03 10:00", "2026-04-05 22:00"),
        ("Australia/Sydney", "2026-03-27 10:00", "2026-03-29 21:00"),
        ("Australia/Sydney", "2026-10-02 10:00", "2026-10-04 21:00"),
        ("Pacific/Auckland", "2026-04-03 10:00", "2026-04-05 20:00"),
        ("Pacific/Auckland", "2026-09-25 10:00", "2026-09-27 19:00"),
        # Lord Howe Island changes by half an hour, Phoenix and Brisbane not at all.
        ("Australia/Lord_Howe", "2026-04-03 10:00", "2026-04-05 21:30"),
        ("Australia/Lord_Howe", "2026-10-02 10:00", "2026-10-04 21:00"),
        ("America/Phoenix", "2026-03-06 23:59", "2026-03-06 23:59"),
        ("America/Phoenix", "2026-03-07 00:00", "2026-03-09 15:00"),
        ("Australia/Brisbane", "2026-10-02 10:00", "2026-10-04 22:00"),
    ],
)
def test_the_working_day_begins_at_eight_on_both_sides_of_a_change_of_clocks(zone, now, expected):
    assert moment(zone, now) == expected
    assert utc(expected).astimezone(ZoneInfo(zone)).time() >= time(8) or zone == "America/Phoenix"


def test_a_start_that_the_change_of_clocks_skips_is_taken_by_the_offset_before_it():
    nights = parse_week("02:30", "06:00", "Sunday")
    assert moment("Europe/Berlin", "2026-03-28 12:00", nights) == "2026-03-29 01:30", "02:30 CET is 03:30 CEST"


def test_a_start_that_the_change_of_clocks_repeats_is_the_first_one():
    nights = parse_week("02:30", "06:00", "Sunday")
    assert moment("Europe/Berlin", "2026-10-24 12:00", nights) == "2026-10-25 00:30"


def test_a_day_that_a_country_skipped_has_no_working_time():
    """Samoa changed sides of the date line: there was no Friday 30 December 2011."""
    days = [span.day for span in spans(Recipient("Pacific/Apia"), WEEK, utc("2011-12-28 00:00"), timedelta(days=7))]
    assert date(2011, 12, 29) in days
    assert date(2011, 12, 30) not in days
    assert len(days) == len(set(days))


@pytest.mark.parametrize(
    ("zone", "country", "state", "now", "expected"),
    [
        ("Europe/Berlin", "DE", "", "2026-12-24 17:00", "2026-12-28 07:00"),
        ("Europe/Berlin", "DE", "", "2026-01-05 17:00", "2026-01-06 07:00"),
        ("Europe/Berlin", "DE", "Bayern", "2026-01-05 17:00", "2026-01-07 07:00"),
        ("Europe/Berlin", "DE", "BY", "2026-01-05 17:00", "2026-01-07 07:00"),
        ("America/New_York", "US", "", "2026-11-25 23:00", "2026-11-27 13:00"),
        ("America/New_York", "US", "", "2026-07-02 22:00", "2026-07-06 12:00"),
        ("Europe/London", "GB", "England", "2026-01-01 18:00", "2026-01-02 08:00"),
        ("Europe/London", "GB", "Scotland", "2026-01-01 18:00", "2026-01-05 08:00"),
        # Golden Week: 29 April is a Wednesday, 4 to 6 May are Monday to Wednesday.
        ("Asia/Tokyo", "JP", "", "2026-05-01 09:00", "2026-05-06 23:00"),
    ],
)
def test_public_holidays_of_country_and_state_are_no_working_days(zone, country, state, now, expected):
    assert moment(zone, now, country=country, state=state) == expected


def most(recipients, now):
    """Return the moment that suits most, as UTC text, and how many work then."""
    found = moment_for_most(recipients, WEEK, utc(now))
    assert found is not None
    return found.moment.strftime("%Y-%m-%d %H:%M"), found.working


def test_a_whole_week_of_holidays_is_waited_out():
    festival = {date(2026, 2, 16) + timedelta(days=n): "Spring Festival" for n in range(5)}
    recipient = Recipient("Asia/Shanghai", lambda day: festival.get(day, ""))
    assert next_moment(recipient, WEEK, utc("2026-02-13 09:00")) == utc("2026-02-23 00:00")
    assert most([recipient], "2026-02-13 09:00") == ("2026-02-23 00:00", 1)


def test_nobody_waits_for_working_time_that_is_not_in_sight():
    always = Recipient("Europe/Berlin", lambda day: "Holiday")
    assert next_moment(always, WEEK, utc("2026-02-13 09:00")) is None
    assert moment_for_most([always], WEEK, utc("2026-02-13 09:00")) is None
    assert best_hour(always, WEEK, habits([], WEEK), utc("2026-02-13 09:00")) is None


def test_the_weekend_is_a_setting():
    thursday_evening, friday = "2026-11-26 15:00", "2026-11-27 08:00"
    assert moment("Asia/Riyadh", thursday_evening, SUNDAY_TO_THURSDAY) == "2026-11-29 05:00"
    assert moment("Asia/Riyadh", friday, SUNDAY_TO_THURSDAY) == "2026-11-29 05:00"
    assert moment("Asia/Riyadh", friday) == "2026-11-27 08:00"


def test_a_working_week_is_read_from_settings():
    assert parse_week("09:30", "18:00", "mon, TUESDAY,Wed") == WorkingWeek(time(9, 30), time(18), frozenset({0, 1, 2}))


@pytest.mark.parametrize(
    ("start", "end", "days", "words"),
    [
        ("8", "17:00", "Monday", "'8' is not a time of day: give hours and minutes, such as 08:00"),
        ("08:00", "25:00", "Monday", "'25:00' is not a time of day"),
        ("17:00", "08:00", "Monday", "the working day must end after it begins, not at 08:00 after 17:00"),
        ("08:00", "17:00", "Montag", "'montag' is not a day of the week"),
        ("08:00", "17:00", "", "'' is not a day of the week"),
        ("08:00", "17:00", "M", "'m' is not a day of the week"),
        ("08:00", "17:00", "\ud800", r"'\ud800' is not a day of the week"),
    ],
)
def test_a_working_week_that_cannot_be_is_refused_in_words(start, end, days, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        parse_week(start, end, days)


def test_several_recipients_get_the_earliest_hour_at_which_most_of_them_work():
    berlin, london, new_york, tokyo = map(
        Recipient, ("Europe/Berlin", "Europe/London", "America/New_York", "Asia/Tokyo")
    )
    # Tuesday 24 November: Berlin works 07-16, London 08-17, New York 13-22, Tokyo 23-08 (UTC).
    assert most([berlin, london, new_york], "2026-11-24 05:00") == ("2026-11-24 13:00", 3)
    assert most([berlin, tokyo], "2026-11-24 09:00") == ("2026-11-25 07:00", 2)
    assert most([new_york, tokyo], "2026-11-24 09:00") == ("2026-11-24 13:00", 1), "never at once: the earliest"
    assert most([tokyo, tokyo, new_york], "2026-11-24 13:30") == ("2026-11-24 23:00", 2), "two outweigh one"
    assert most([berlin, london], "2026-11-24 10:00") == ("2026-11-24 10:00", 2)


def test_one_who_stops_as_another_starts_does_not_work_together_with_them():
    assert most([Recipient("UTC"), Recipient("Etc/GMT+9")], "2026-11-24 07:00") == ("2026-11-24 08:00", 1)


def opens_at(hours, zone="Europe/Berlin", number=ENOUGH_OPENS_OF_PERSON, seed=1):
    """Return local times of opens on working days of the weeks before, at hours drawn from `hours`."""
    rng = random.Random(seed)
    first = datetime(2026, 8, 3, tzinfo=ZoneInfo(zone))
    return [
        (first + timedelta(days=7 * (n % 12) + rng.randrange(5))).replace(hour=rng.choice(hours), minute=20)
        for n in range(number)
    ]


def test_habits_choose_the_hour_within_three_working_days():
    berlin = Recipient("Europe/Berlin")
    at_ten = habits(opens_at([10]), WEEK)
    assert best_hour(berlin, WEEK, at_ten, utc("2026-11-24 07:30")) == utc("2026-11-24 09:00")
    assert best_hour(berlin, WEEK, at_ten, utc("2026-11-24 12:00")) == utc("2026-11-25 09:00")
    assert best_hour(berlin, WEEK, at_ten, utc("2026-11-27 20:00")) == utc("2026-11-30 09:00")
    assert best_hour(berlin, WEEK, at_ten, utc("2026-11-24 09:15")) is None, "ten o'clock is now"


def test_habits_are_hours_of_the_local_day_whatever_the_clocks_do():
    berlin = Recipient("Europe/Berlin")
    at_ten = habits(opens_at([10]), WEEK)
    assert best_hour(berlin, WEEK, at_ten, utc("2026-07-07 05:00")) == utc("2026-07-07 08:00")
    kolkata = habits(opens_at([10], "Asia/Kolkata"), WEEK)
    assert best_hour(Recipient("Asia/Kolkata"), WEEK, kolkata, utc("2026-11-24 02:00")) == utc("2026-11-24 04:30")


def test_a_day_of_the_week_counts_once_many_opens_say_so():
    thursdays = [datetime(2026, 8, 6, 10, 20, tzinfo=UTC)] * 1500
    others = [datetime(2026, 8, 3 + n, 10, 20, tzinfo=UTC) for n in (0, 1, 2, 4)] * 50
    found = habits(thursdays + others, WEEK)
    assert best_hour(Recipient("UTC"), WEEK, found, utc("2026-11-24 10:30")) == utc("2026-11-26 10:00")


def test_opens_outside_working_time_choose_nothing():
    late = habits(opens_at([20, 21]), WEEK)
    assert late.opens == 0
    assert best_hour(Recipient("Europe/Berlin"), WEEK, late, utc("2026-11-24 07:30")) is None


@pytest.mark.parametrize(("number", "at_most"), [(30, 0.2), (100, 0.2), (300, 0.05)])
def test_opens_without_a_pattern_seldom_make_anybody_wait(number, at_most):
    waited = sum(
        best_hour(
            Recipient("Europe/Berlin"),
            WEEK,
            habits(opens_at(range(8, 17), number=number, seed=seed), WEEK),
            utc("2026-11-24 07:00") + timedelta(hours=seed % 9),
        )
        is not None
        for seed in range(200)
    )
    assert waited <= at_most * 200


def known(opens=(), **facts):
    person = Person(**facts)
    return Known(find_zone(person, "", utc("2026-11-24 00:00")), tuple(milliseconds(time) for time in opens))


def test_the_reason_of_one_names_the_moment_the_zone_and_where_it_comes_from():
    found = advise([known(country="Germany")], WEEK, (), utc("2026-12-24 18:00"))
    assert found.moment == utc("2026-12-28 07:00")
    assert found.reason == (
        "Their next working time begins on Monday 28 December, 08:00 in Europe/Berlin, from their address (Germany). "
        "25 December is Christmas Day."
    )


def test_the_reason_within_working_time_says_that_it_is():
    found = advise([known(timezone="Asia/Tokyo")], WEEK, (), utc("2026-11-24 01:02:03.5"))
    assert found.moment == utc("2026-11-24 01:02:03")
    assert (
        found.reason
        == "It is working time for them: Tuesday 24 November, 10:02 in Asia/Tokyo, from their own time zone."
    )


def test_an_unknown_zone_is_no_time_and_says_what_would_help():
    found = advise([known(country="USA")], WEEK, (), utc("2026-11-24 12:00"))
    assert found.moment is None
    assert found.reason == (
        "Their time zone is not known. The United States has several time zones, and their address names no state. "
        "Give the record a time zone, or a country with state or city."
    )


def test_unknown_holidays_are_said():
    found = advise([known(timezone="UTC")], WEEK, (), utc("2026-11-24 12:00"))
    assert found.reason.endswith("Their public holidays are not known.")


def test_a_person_needs_enough_opens_before_their_habits_choose():
    now = utc("2026-11-24 05:00")
    few = advise([known(opens_at([10])[1:], country="Germany")], WEEK, (), now)
    assert (few.moment, "begins" in few.reason) == (utc("2026-11-24 07:00"), True)
    enough = advise([known(opens_at([10]), country="Germany")], WEEK, (), now)
    assert enough.moment == utc("2026-11-24 09:00")
    assert enough.reason == (
        "An open is most likely from Tuesday 24 November, 10:00 in Europe/Berlin, from their address (Germany), by 30 "
        "opens of theirs in working hours."
    )


def test_the_organizations_habits_are_each_recipients_local_hours():
    others = [
        (zone, milliseconds(opened))
        for zone in ("Asia/Tokyo", "America/New_York")
        for opened in opens_at([14], zone, ENOUGH_OPENS_OF_ORGANIZATION // 2)
    ]
    now = utc("2026-11-24 05:00")
    found = advise([known(country="Germany")], WEEK, others, now)
    assert found.moment == utc("2026-11-24 13:00")
    assert "by 300 opens of the organization's recipients in their working hours" in found.reason
    assert advise([known(country="Germany")], WEEK, others[1:], now).moment == utc("2026-11-24 07:00")


def test_habits_that_name_no_better_hour_are_said():
    found = advise([known(opens_at([8], number=40), country="Germany")], WEEK, (), utc("2026-11-24 05:00"))
    assert found.moment == utc("2026-11-24 07:00")
    assert "No hour is much better by 40 opens of theirs in working hours." in found.reason


def test_the_reason_of_several_counts_who_works_and_who_is_unknown():
    people = [known(country="Germany"), known(country="USA", state="NY"), known(country="USA")]
    found = advise(people, WEEK, (), utc("2026-11-24 05:00"))
    assert found.moment == utc("2026-11-24 13:00")
    assert found.reason == (
        "2 of 3 recipients work on Tuesday 24 November, 13:00 UTC. The time zone of 1 is not known."
    )
    apart = advise([known(country="Japan"), known(country="USA", state="NY")], WEEK, (), utc("2026-11-24 09:00"))
    assert apart.reason == (
        "1 of 2 recipients work on Tuesday 24 November, 13:00 UTC, the most at any time in the next 7 days."
    )


def test_several_unknown_are_no_time():
    found = advise([known(), known()], WEEK, (), utc("2026-11-24 05:00"))
    assert (found.moment, found.reason) == (None, "The time zones of all 2 recipients are unknown.")


def test_a_day_that_ends_in_an_hour_skipped_at_midnight_counts_nobody_twice():
    always = parse_week("00:00", "23:59", "Mon, Tue, Wed, Thu, Fri, Sat, Sun")
    now = utc("2028-03-24T23:07:07")
    assert moment_for_most([Recipient("America/Scoresbysund")], always, now) == Shared(now, 1)


def test_habits_bear_with_working_time_that_a_change_of_clocks_moved_into_another_hour():
    night = parse_week("02:30", "03:30", "Saturday, Sunday")
    found = habits([utc("2027-03-20T03:00:00")], night)
    assert best_hour(Recipient("Europe/Kyiv"), night, found, utc("2027-03-26T00:59:25")) is None
