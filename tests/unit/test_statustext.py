"""The words beside an email."""

from datetime import UTC, datetime
from typing import Any

import pytest

from shared.engagement.clocks import Clock
from shared.engagement.statustext import status_text

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)


def email(status: int, **columns: Any) -> dict[str, Any]:
    return {"statuscode": status, "directioncode": True, "isemailfollowed": True, **columns}


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (email(1), ""),
        (email(4, directioncode=False), ""),
        (email(3, directioncode=False), ""),
        (email(5), ""),
        (email(7), "Sending"),
        (email(6), "Sending"),
        (email(6, delayedemailsendtime="2026-11-23T08:59:59Z"), "Sending"),
        (email(6, delayedemailsendtime="2026-11-23T17:35:00Z"), "Scheduled to be sent today at 17:35 UTC"),
        (email(6, delayedemailsendtime="2026-11-24T00:00:00Z"), "Scheduled to be sent tomorrow at 00:00 UTC"),
        (email(6, delayedemailsendtime="2026-12-01T07:05:00Z"), "Scheduled to be sent on 1 December at 07:05 UTC"),
        (email(6, delayedemailsendtime="2027-01-01T07:05:00Z"), "Scheduled to be sent on 1 January 2027 at 07:05 UTC"),
        (email(8, ee_failurereason="no mailbox."), "Not sent: no mailbox."),
        (email(8), "Not sent"),
        (email(3, isemailfollowed=False, ee_followreason="Ann disallows it"), "Not followed: Ann disallows it"),
        (email(3, isemailfollowed=False), "Not followed"),
        (email(3), "Not yet opened"),
        (email(3, ee_followendedon="2026-11-22T08:00:00Z"), "Not followed any more since yesterday at 08:00 UTC"),
        (
            email(3, ee_followendedon="2026-11-22T08:00:00Z", lastopenedtime="2026-11-21T08:00:00Z"),
            "Last opened on 21 November at 08:00 UTC",
        ),
        (email(3, ee_lateby=121), "Sent 2 minutes late; not yet opened"),
        (email(3, ee_lateby=3_600, isemailfollowed=False), "Sent 1 hour late; not followed"),
        (
            email(3, ee_lateby=7_500, lastopenedtime="2026-11-23T08:00:00Z"),
            "Sent 2 hours late; last opened today at 08:00 UTC",
        ),
        (email(3, lastopenedtime="2026-11-23T08:00:00Z"), "Last opened today at 08:00 UTC"),
        (email(3, lastopenedtime="2026-11-22T23:59:59Z"), "Last opened yesterday at 23:59 UTC"),
        (email(3, lastopenedtime="2026-11-21T23:59:59Z"), "Last opened on 21 November at 23:59 UTC"),
    ],
)
def test_the_status_says_what_became_of_the_mail(row: dict[str, Any], words: str) -> None:
    assert status_text(row, NOW, Clock()) == words


def test_the_day_is_the_day_of_the_clock_wherever_now_is_given() -> None:
    from datetime import timedelta, timezone

    tokyo = datetime(2026, 11, 23, 8, 0, tzinfo=timezone(timedelta(hours=9)))  # still the 22nd in UTC
    row = email(3, lastopenedtime="2026-11-22T20:00:00Z")
    assert status_text(row, tokyo, Clock()) == "Last opened today at 20:00 UTC"


@pytest.mark.parametrize(
    ("clock", "opened", "words"),
    [
        (Clock("Europe/Berlin", is_own=True), "2026-11-22T22:59:59Z", "Last opened yesterday at 23:59"),
        (Clock("Europe/Berlin", is_own=True), "2026-11-22T23:00:00Z", "Last opened today at 00:00"),
        (Clock("Europe/Berlin"), "2026-11-22T23:00:00Z", "Last opened today at 00:00 in Europe/Berlin"),
        (Clock("Pacific/Kiritimati", is_own=True), "2026-11-22T09:59:00Z", "Last opened yesterday at 23:59"),
        (Clock("Pacific/Pago_Pago", is_own=True), "2026-11-22T10:59:00Z", "Last opened yesterday at 23:59"),
        (Clock("Asia/Kathmandu", is_own=True), "2026-11-22T18:15:00Z", "Last opened today at 00:00"),
        (Clock("UTC", is_own=True), "2026-11-23T08:00:00Z", "Last opened today at 08:00"),
    ],
)
def test_day_and_hour_are_those_of_the_readers_clock(clock: Clock, opened: str, words: str) -> None:
    assert status_text(email(3, lastopenedtime=opened), NOW, clock) == words


def test_a_new_year_has_begun_where_the_reader_is() -> None:
    now = datetime(2026, 12, 31, 16, 0, tzinfo=UTC)
    row = email(3, lastopenedtime="2026-12-29T03:00:00Z")
    assert status_text(row, now, Clock("Asia/Tokyo", is_own=True)) == "Last opened on 29 December 2026 at 12:00"
    assert status_text(row, now, Clock()) == "Last opened on 29 December at 03:00 UTC"


def test_yesterday_is_yesterday_over_a_change_of_the_clocks() -> None:
    berlin = Clock("Europe/Berlin", is_own=True)
    row = email(3, lastopenedtime="2026-10-24T22:30:00Z")  # 00:30 on the 25th, which had 25 hours
    assert status_text(row, datetime(2026, 10, 25, 22, 59, tzinfo=UTC), berlin) == "Last opened today at 00:30"
    assert status_text(row, datetime(2026, 10, 25, 23, 0, tzinfo=UTC), berlin) == "Last opened yesterday at 00:30"
