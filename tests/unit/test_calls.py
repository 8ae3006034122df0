"""One request's calls to storage: side by side, and never more than it may have, however they lie in each other."""

import asyncio

import pytest

from shared.storage import calls
from shared.storage.calls import (
    AT_ONCE,
    AT_ONCE_OF_MANY,
    CALLERS_AT_ONCE,
    MANY_CALLS,
    Exhausted,
    of_a_caller,
    side_by_side,
    turn,
    uncounted,
)


class Crowd:
    """Calls that take a few turns of the loop; `most` is how many were under way at once."""

    def __init__(self):
        self.now = self.most = self.made = 0

    async def __call__(self, _=None):
        self.now += 1
        self.made += 1
        self.most = max(self.most, self.now)
        for _ in range(5):
            await asyncio.sleep(0)
        self.now -= 1


async def test_answers_come_in_the_order_of_what_was_asked_for():
    async def slower_first(number):
        for _ in range(100 - number):
            await asyncio.sleep(0)
        return number

    assert await side_by_side(slower_first, range(100)) == list(range(100))
    assert await side_by_side(slower_first, []) == []


async def test_as_many_calls_are_under_way_as_there_are_places():
    crowd = Crowd()
    await side_by_side(crowd, range(500))
    assert (crowd.most, crowd.made) == (AT_ONCE, 500)


@pytest.mark.parametrize("depth", [2, 3])
async def test_calls_within_calls_share_the_places_of_their_request(depth):
    crowd = Crowd()

    async def nested(level):
        await (side_by_side(nested, [level - 1] * 12) if level else crowd())

    await nested(depth)
    assert crowd.made == 12**depth
    assert crowd.most <= AT_ONCE


async def test_places_that_become_free_are_taken_by_whoever_is_still_at_work():
    crowd = Crowd()

    async def one(number):
        await (side_by_side(crowd, range(1000)) if number == 0 else crowd())

    await side_by_side(one, range(AT_ONCE))
    assert crowd.most >= AT_ONCE - 1, "the only one that has more to do gets the others' places"


async def test_a_failure_begins_nothing_more_and_leaves_nothing_behind():
    begun, ended = [], []

    async def one(number):
        begun.append(number)
        await asyncio.sleep(0)
        if number == 10:
            raise ValueError(number)
        await asyncio.sleep(0)
        ended.append(number)

    with pytest.raises(ValueError, match="10"):
        await side_by_side(one, range(1000))
    assert sorted([*ended, 10]) == sorted(begun), "what was under way came to its end before the failure was told"
    assert len(begun) < 3 * AT_ONCE


async def test_a_request_that_is_given_up_leaves_no_call_behind():
    ended = []

    async def one(number):
        try:
            await asyncio.sleep(3600)
        finally:
            ended.append(number)

    task = asyncio.create_task(side_by_side(one, range(AT_ONCE)))
    for _ in range(2 * AT_ONCE):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(ended) == list(range(AT_ONCE))


async def test_the_requests_of_all_callers_together_leave_half_of_the_connections_to_everything_else():
    crowd, others = Crowd(), Crowd()

    async def called(crowd):
        async with turn(reading=True):
            await crowd()

    async def request():
        with of_a_caller():
            await side_by_side(lambda _: called(crowd), range(100))

    async def fold():
        await asyncio.gather(*(called(others) for _ in range(100)))

    await asyncio.gather(*(request() for _ in range(52)), fold())
    assert (crowd.most, crowd.made) == (CALLERS_AT_ONCE, 5200)
    assert others.most == 100, "who is no caller waits for none"


async def test_a_request_that_has_asked_for_much_goes_on_with_few_calls_at_once():
    crowd = Crowd()

    async def counted(_):
        async with turn(reading=True):
            await crowd()

    with of_a_caller():
        await side_by_side(counted, range(MANY_CALLS))
        assert crowd.most == AT_ONCE
        crowd.most = 0
        await side_by_side(counted, range(MANY_CALLS))
    assert crowd.made == 2 * MANY_CALLS
    assert crowd.most == AT_ONCE_OF_MANY


async def test_a_request_that_has_made_too_many_calls_reads_no_more_but_ends_what_it_writes(monkeypatch):
    monkeypatch.setattr(calls, "MAX_CALLS", 3)

    async def call(*, reading):
        async with turn(reading=reading):
            pass

    with of_a_caller():
        await side_by_side(lambda _: call(reading=True), range(3))
        with pytest.raises(Exhausted):
            await call(reading=True)
        await call(reading=False)
        with uncounted():
            await call(reading=True)
    with of_a_caller():
        await call(reading=True)
