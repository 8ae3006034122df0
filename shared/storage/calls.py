"""Many calls to storage for one request: side by side, and never more at once than one request may have.

However deep such calls lie in each other, all of a request share `AT_ONCE` places: whoever makes calls makes them
itself, one after the other, and others beside it only where a place is free. So nothing waits for a place while it
holds one.
What a caller of the Web API asks for takes at most `CALLERS_AT_ONCE` of the connections that everything else needs too
(`shared.storage.account.call`), and at most `MAX_CALLS` calls.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import cast

AT_ONCE = 32
"""Calls in flight for one request."""
MANY_CALLS = 500
"""Calls after which a request of a caller asks for much: the largest page that a person looks at makes a fifth."""
AT_ONCE_OF_MANY = 4
"""Calls in flight for such a request from then on. Each answer is work on the loop that recipients' hits wait for, and
they would wait for all that come at once."""
CALLERS_AT_ONCE = 32
"""Calls in flight for all requests of callers that a process is at: half of its connections (`account.session`)."""
MAX_CALLS = 100_000
"""Calls that one request of a caller may make before it may read no more: a thousand emails are made with a fifth."""


class Exhausted(Exception):
    """A request has made as many calls as it may and may read no more; what it has begun to write it may still write.
    `limit` is how many that are."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit


@dataclass(slots=True)
class _Share:
    """What one request has of storage: `free` places for calls beside those that are made one after the other, and
    where it is a caller's, how many `calls` it has made, None where nobody counts."""

    free: int = AT_ONCE - 1
    calls: int | None = None

    def give_back(self) -> None:
        self.free += 1

    @property
    def kept_free(self) -> int:
        """How many of the places are not for calls side by side: most of them where a request has asked for much."""
        return AT_ONCE - AT_ONCE_OF_MANY if self.calls is not None and self.calls > MANY_CALLS else 0


_share: ContextVar[_Share | None] = ContextVar("share", default=None)
_lanes: dict[asyncio.AbstractEventLoop, asyncio.Semaphore] = {}
"""One for each event loop that is running."""


@contextmanager
def of_a_caller() -> Iterator[None]:
    """Count what is asked of storage within as one request of a caller."""
    token = _share.set(_Share(calls=0))
    try:
        yield
    finally:
        _share.reset(token)


@contextmanager
def uncounted() -> Iterator[None]:
    """Let what must be done in any case, as taking back what was written, be done."""
    token = _share.set(_Share())
    try:
        yield
    finally:
        _share.reset(token)


@asynccontextmanager
async def turn(*, reading: bool) -> AsyncIterator[None]:
    """Take a turn for one call to storage. A caller's request waits until one of the places for all of them is free.

    Raises `Exhausted` where it reads and has made `MAX_CALLS` already.
    """
    share = _share.get()
    if share is None or share.calls is None:
        yield
        return
    share.calls += 1
    if reading and share.calls > MAX_CALLS:
        raise Exhausted(MAX_CALLS)
    async with _lane():
        yield


def _lane() -> asyncio.Semaphore:
    loop = asyncio.get_running_loop()
    found = _lanes.get(loop)
    if found is None:
        for stale in [other for other in _lanes if other.is_closed()]:
            del _lanes[stale]
        found = _lanes[loop] = asyncio.Semaphore(CALLERS_AT_ONCE)
    return found


async def side_by_side[Item, Answer](call: Callable[[Item], Awaitable[Answer]], items: Sequence[Item]) -> list[Answer]:
    """Make a call for each of `items`, as many at a time as the request has places, and return the answers in their
    order. Where one fails, no other is begun; those under way are waited for, then the failure is raised."""
    share = _share.get()
    if share is None:
        with uncounted():
            return await side_by_side(call, items)
    answers: list[Answer | None] = [None] * len(items)
    waiting = iter(range(len(items)))
    failures: list[Exception] = []
    helpers: list[asyncio.Task[None]] = []

    def call_for_help() -> None:
        share.free -= 1
        helper = asyncio.create_task(work(helps=True))
        helper.add_done_callback(lambda _: share.give_back())
        helpers.append(helper)

    async def work(*, helps: bool = False) -> None:
        while not failures and not (helps and share.free < share.kept_free):
            index = next(waiting, None)
            if index is None:
                return
            if share.free > share.kept_free and index + 1 < len(items):
                call_for_help()
            try:
                answers[index] = await call(items[index])
            except Exception as failure:  # noqa: BLE001 - raised below, when nothing is under way any more
                failures.append(failure)

    try:
        await work()
        for helper in helpers:
            await helper
    finally:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
    if failures:
        raise failures[0]
    return cast("list[Answer]", answers)
