"""The words beside an email."""

from datetime import UTC, datetime
from typing import Any

import pytest

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
    assert status_text(row, NOW) == words


def test_the_day_is_the_day_in_utc_wherever_now_is_given() -> None:
    from datetime import timedelta, timezone

    tokyo = datetime(2026, 11, 23, 8, 0, tzinfo=timezone(timedelta(hours=9)))  # still the 22nd in UTC
    row = email(3, lastopenedtime="2026-11-22T20:00:00Z")
    assert status_text(row, tokyo) == "Last opened today at 20:00 UTC"
