"""Reminders: the three conditions, judged on what people had done by their time and on nothing later."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.reminders import (
    ANYWAY,
    EXPIRED,
    INVALID,
    NO_REPLY,
    NOT_OPENED,
    NOT_SENT,
    SET,
    SWITCHED_OFF,
    Reminder,
    judge,
    stand,
)

SENT = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
EXPIRY = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
EARLIER, IN_TIME, LATE = SENT + timedelta(hours=1), EXPIRY - timedelta(hours=1), EXPIRY + timedelta(seconds=1)
UNFOLLOWED = "Ann does not allow following"
TYPES = (NO_REPLY, NOT_OPENED, ANYWAY)


def a_reminder(condition: int, **known: Any) -> Reminder:
    return Reminder(**{"condition": condition, "expiry": EXPIRY, "sent_at": SENT, **known})


@pytest.mark.parametrize(
    ("followed", "condition", "status"),
    [
        (True, NO_REPLY, SET),
        (True, NOT_OPENED, SET),
        (True, ANYWAY, SET),
        (False, NO_REPLY, INVALID),
        (False, NOT_OPENED, INVALID),
        (False, ANYWAY, SET),
    ],
)
def test_before_its_time_a_reminder_waits_unless_its_condition_asks_for_followed_mail(
    followed: bool, condition: int, status: int
):
    verdict = stand(a_reminder(condition, not_followed=None if followed else UNFOLLOWED))
    assert verdict.status == status
    assert verdict.reason == (f"the email is not followed: {UNFOLLOWED}" if status == INVALID else None)


@pytest.mark.parametrize(
    ("happened", "no_reply", "not_opened"),
    [
        ({}, EXPIRED, EXPIRED),
        ({"opened": [IN_TIME]}, EXPIRED, INVALID),
        ({"opened": [EXPIRY]}, EXPIRED, INVALID),
        ({"opened": [LATE]}, EXPIRED, EXPIRED),
        ({"replied": [IN_TIME]}, INVALID, INVALID),
        ({"replied": [EXPIRY]}, INVALID, INVALID),
        ({"replied": [LATE]}, EXPIRED, EXPIRED),
        ({"opened": [LATE, IN_TIME], "replied": [LATE]}, EXPIRED, INVALID),
        ({"not_followed": UNFOLLOWED}, INVALID, INVALID),
        ({"sent_at": None}, INVALID, INVALID),
        ({"sent_at": EXPIRY}, EXPIRED, EXPIRED),
        ({"sent_at": LATE}, INVALID, INVALID),
        ({"watched": False}, INVALID, INVALID),
    ],
)
def test_when_its_time_comes_what_had_happened_decides(happened: dict[str, Any], no_reply: int, not_opened: int):
    assert judge(a_reminder(NO_REPLY, **happened)).status == no_reply
    assert judge(a_reminder(NOT_OPENED, **happened)).status == not_opened
    assert judge(a_reminder(ANYWAY, **happened)).status == EXPIRED


@pytest.mark.parametrize(
    ("condition", "happened", "reason"),
    [
        (NO_REPLY, {"replied": [IN_TIME, EARLIER]}, "there was a reply on 23 November 2026 at 10:00 UTC"),
        (NOT_OPENED, {"opened": [EARLIER]}, "it was opened on 23 November 2026 at 10:00 UTC"),
        (NOT_OPENED, {"opened": [EARLIER], "replied": [IN_TIME]}, "there was a reply on 25 November 2026 at 08:00 UTC"),
        (NO_REPLY, {"not_followed": UNFOLLOWED}, f"the email is not followed: {UNFOLLOWED}"),
        (NO_REPLY, {"sent_at": None}, NOT_SENT),
        (NO_REPLY, {"watched": False}, SWITCHED_OFF),
        (NOT_OPENED, {"watched": False, "opened": [EARLIER]}, "it was opened on 23 November 2026 at 10:00 UTC"),
        (NOT_OPENED, {}, None),
    ],
)
def test_one_that_did_not_apply_says_why(condition: int, happened: dict[str, Any], reason: str | None):
    assert judge(a_reminder(condition, **happened)).reason == reason


moments = st.integers(-200_000, 200_000).map(lambda seconds: EXPIRY + timedelta(seconds=seconds))


@given(
    st.sampled_from(TYPES),
    st.none() | moments,
    st.lists(moments, max_size=6),
    st.lists(moments, max_size=6),
    st.randoms(use_true_random=False),
)
def test_the_verdict_depends_only_on_what_had_happened_by_then(condition, sent_at, opened, replied, random):
    verdict = judge(a_reminder(condition, sent_at=sent_at, opened=opened, replied=replied))
    by_then = {
        "sent_at": sent_at if sent_at is not None and sent_at <= EXPIRY else None,
        "opened": [time for time in opened if time <= EXPIRY],
        "replied": [time for time in replied if time <= EXPIRY],
    }
    random.shuffle(by_then["opened"])
    random.shuffle(by_then["replied"])
    assert judge(a_reminder(condition, **by_then)) == verdict
    assert (verdict.reason is None) is (verdict.status == EXPIRED)
