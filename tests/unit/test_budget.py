"""A user's budget on one instance: a sliding window over a clock that the tests turn."""

import contextlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.settings import SettingError, read_settings
from shared.webapi.budget import STEP, WINDOW, Budgets, Limits
from shared.webapi.errors import Failure

SELLER, COLLEAGUE = ("org", "seller"), ("org", "colleague")
REQUESTS = "x-ms-ratelimit-burst-remaining-xrm-requests"
SECONDS = "x-ms-ratelimit-time-remaining-xrm-requests"


class Asking:
    """Users who ask at times that a test sets."""

    def __init__(self, limits: Limits, max_users: int = 10) -> None:
        self.budgets = Budgets(limits, max_users)
        self.now = 1000.0
        self.headers: dict[str, str] = {}

    def ask(self, user: tuple[str, str] = SELLER, taking: float = 0.0) -> Failure | None:
        """Make a request that takes some seconds; return the refusal, None where it was let in."""
        try:
            with self.budgets.spend(user, lambda: self.now, self.headers):
                self.now += taking
        except Failure as failure:
            return failure
        return None


def test_requests_beyond_the_budget_are_refused_until_the_first_leaves_the_window() -> None:
    asking = Asking(Limits(requests=3))
    assert [asking.ask() for _ in range(3)] == [None] * 3
    refused = asking.ask()
    assert refused is not None
    assert (refused.status, refused.code) == (429, "0x80072322")
    assert refused.message == "Number of requests exceeded the limit of 3 over time window of 300 seconds."
    wait = int(refused.headers["Retry-After"])
    assert WINDOW <= wait <= WINDOW + STEP
    asking.now += wait - 1
    assert asking.ask() is not None
    asking.now += 1
    assert asking.ask() is None


def test_combined_time_beyond_the_budget_is_refused() -> None:
    asking = Asking(Limits(seconds=100))
    assert asking.ask(taking=60) is None
    assert asking.ask(taking=41) is None
    refused = asking.ask()
    assert refused is not None
    assert (refused.status, refused.code) == (429, "0x80072321")
    assert "100000 milliseconds" in refused.message
    asking.now += int(refused.headers["Retry-After"])
    assert asking.ask() is None


def test_requests_at_once_beyond_the_budget_are_refused_and_make_room_when_they_end() -> None:
    asking = Asking(Limits(concurrent=2))
    with contextlib.ExitStack() as running:
        for _ in range(2):
            running.enter_context(asking.budgets.spend(SELLER, lambda: asking.now, {}))
        refused = asking.ask()
        assert refused is not None
        assert (refused.status, refused.code, refused.headers) == (429, "0x80072326", {"Retry-After": "1"})
        assert asking.ask(COLLEAGUE) is None
    assert asking.ask() is None


def test_a_request_that_fails_has_been_made_and_is_over() -> None:
    asking = Asking(Limits(concurrent=1))
    for _ in range(2):
        with pytest.raises(KeyError), asking.budgets.spend(SELLER, lambda: asking.now, asking.headers):
            raise KeyError
    assert asking.headers[REQUESTS] == "5998"


def test_one_users_requests_cost_another_nothing() -> None:
    asking = Asking(Limits(requests=1))
    assert asking.ask() is None
    assert asking.ask() is not None
    assert asking.ask(COLLEAGUE) is None
    assert asking.ask(("other", "seller")) is None


def test_a_refused_request_costs_nothing() -> None:
    asking = Asking(Limits(requests=1))
    asking.ask()
    for _ in range(1000):
        refused = asking.ask()
        asking.now += 0.1
    assert refused is not None
    asking.now += int(refused.headers["Retry-After"])
    assert asking.ask() is None


def test_the_answer_says_what_is_left() -> None:
    asking = Asking(Limits())
    asking.ask(taking=1.5)
    assert asking.headers == {REQUESTS: "5999", SECONDS: "1198.50"}
    asking.now += WINDOW + STEP
    asking.ask()
    assert asking.headers == {REQUESTS: "5999", SECONDS: "1200.00"}


def test_a_refusal_says_that_nothing_is_left() -> None:
    asking = Asking(Limits(requests=1))
    asking.ask()
    asking.headers.clear()
    asking.ask()
    assert asking.headers[REQUESTS] == "0"


def test_what_rides_in_a_batch_is_charged_and_delays_what_comes_after() -> None:
    asking = Asking(Limits(requests=100))
    with asking.budgets.spend(SELLER, lambda: asking.now, asking.headers):
        asking.budgets.charge(SELLER, 1000, asking.now)
    assert asking.headers[REQUESTS] == "0"
    refused = asking.ask()
    assert refused is not None
    asking.now += int(refused.headers["Retry-After"])
    assert asking.ask() is None


def test_a_hostile_number_of_users_grows_nothing() -> None:
    asking = Asking(Limits(), max_users=10)
    for number in range(1000):
        asking.ask(("org", str(number)))
    assert len(asking.budgets._users) == 10
    assert len(asking.budgets._users["org", "999"].steps) == 1


def test_a_busy_user_is_kept_in_one_entry_per_step() -> None:
    asking = Asking(Limits(requests=10**9))
    for _ in range(20_000):
        asking.ask()
        asking.now += 0.1
    assert len(asking.budgets._users[SELLER].steps) <= WINDOW // STEP + 1


@given(st.lists(st.floats(0, 120), min_size=1, max_size=60), st.integers(1, 8))
def test_no_window_ever_holds_more_than_the_budget_and_waiting_as_told_is_enough(gaps: list[float], limit: int) -> None:
    asking = Asking(Limits(requests=limit))
    let_in: list[float] = []
    for gap in gaps:
        asking.now += gap
        refused = asking.ask()
        if refused is not None:
            asking.now += int(refused.headers["Retry-After"])
            assert asking.ask() is None
        let_in.append(asking.now)
        assert sum(asking.now - WINDOW < moment for moment in let_in) <= limit


GIVEN = {"AzureWebJobsStorage": "x", "BASE_URL": "https://mail.example.com", "TOKEN_SECRETS": f"1:{'A' * 43}="}


@pytest.mark.parametrize(("text", "limit"), [("", 6000), ("1", 1), ("60000", 60_000)])
def test_the_number_of_requests_is_a_setting(text: str, limit: int) -> None:
    assert read_settings({**GIVEN, "WEB_API_REQUESTS_PER_FIVE_MINUTES": text}).web_api_requests == limit


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "1e3", "\u0663", "9" * 20])
def test_a_number_of_requests_that_is_none_is_refused_and_named(text: str) -> None:
    with pytest.raises(SettingError, match="WEB_API_REQUESTS_PER_FIVE_MINUTES"):
        read_settings({**GIVEN, "WEB_API_REQUESTS_PER_FIVE_MINUTES": text})


def test_the_clock_of_the_machine_will_do() -> None:
    with Budgets(Limits()).spend(SELLER, time.monotonic, {}):
        pass
