"""How much one user may ask of one instance: Dataverse's service protection limits, answered with 429 and Retry-After.

Source: Microsoft's "Service protection API limits": in a sliding window of 300 seconds 6,000 requests and 1,200 seconds
of combined execution time, and 52 requests at once, per user and web server. An instance here is a process: what is
spent is kept in its memory, so a user may have the budget once on each.
"""

import math
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache

from shared.settings import settings
from shared.webapi.errors import too_many_requests

WINDOW = 300
"""Seconds."""
STEP = 5
"""Seconds that are counted together: a step leaves the window as a whole, when its last moment does."""
_MAX_USERS = 10_000
"""Users that are remembered; beyond, whoever was seen longest ago starts anew."""
_STEPS = WINDOW // STEP

type User = tuple[str, str]
"""The id of an organization and of a user in it."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a user may spend in a window: requests, seconds of execution, and requests at once."""

    requests: int = 6000
    seconds: float = 1200.0
    concurrent: int = 52


@dataclass(slots=True)
class _Step:
    number: int
    requests: int = 0
    seconds: float = 0.0


@dataclass(slots=True)
class _Usage:
    """What a user has spent: the steps of the window, oldest first, their sums, and how many requests are running."""

    steps: deque[_Step] = field(default_factory=deque)
    requests: int = 0
    seconds: float = 0.0
    running: int = 0


class Budgets:
    """The budgets of all users of this process. Time is monotonic seconds, passed in."""

    def __init__(self, limits: Limits, max_users: int = _MAX_USERS) -> None:
        self._limits, self._max_users = limits, max_users
        self._users: OrderedDict[User, _Usage] = OrderedDict()

    @contextmanager
    def spend(self, user: User, clock: Callable[[], float], headers: dict[str, str]) -> Iterator[None]:
        """Count a request and the time it takes; raise `Failure` 429 where the budget is used up.

        A refused request costs nothing, so that a client that keeps asking is not locked out for ever. What is left is
        written to `headers` at the end, under Dataverse's names.
        """
        usage, started = self._usage(user), clock()
        try:
            self._enter(usage, started)
            try:
                yield
            finally:
                usage.running -= 1
                ended = clock()
                _add(usage, ended, seconds=ended - started)
        finally:
            headers |= self._left(usage)

    def charge(self, user: User, requests: int, now: float) -> None:
        """Count further requests that ride in one which was let in, as those of a ``$batch``.

        They are not refused: a batch runs as a whole, and what it took too much delays the next request.
        """
        _add(self._usage(user), now, requests=requests)

    def _usage(self, user: User) -> _Usage:
        usage = self._users.setdefault(user, _Usage())
        self._users.move_to_end(user)
        if len(self._users) > self._max_users:
            self._users.popitem(last=False)
        return usage

    def _enter(self, usage: _Usage, now: float) -> None:
        limits = self._limits
        _forget(usage, now)
        if usage.running >= limits.concurrent:
            raise too_many_requests(
                "0x80072326", f"Number of concurrent requests exceeded the limit of {limits.concurrent}.", 1
            )
        if usage.requests >= limits.requests:
            raise too_many_requests(
                "0x80072322",
                f"Number of requests exceeded the limit of {limits.requests} over time window of {WINDOW} seconds.",
                _wait(usage, now, lambda step: step.requests, usage.requests - limits.requests),
            )
        if usage.seconds >= limits.seconds:
            raise too_many_requests(
                "0x80072321",
                f"Combined execution time of incoming requests exceeded limit of {limits.seconds * 1000:.0f} "
                f"milliseconds over time window of {WINDOW} seconds. Decrease number of concurrent requests or reduce "
                "the duration of requests and try again later.",
                _wait(usage, now, lambda step: step.seconds, usage.seconds - limits.seconds),
            )
        usage.running += 1
        _add(usage, now, requests=1)

    def _left(self, usage: _Usage) -> dict[str, str]:
        return {
            "x-ms-ratelimit-burst-remaining-xrm-requests": str(max(0, self._limits.requests - usage.requests)),
            "x-ms-ratelimit-time-remaining-xrm-requests": f"{max(0.0, self._limits.seconds - usage.seconds):.2f}",
        }


def _add(usage: _Usage, now: float, requests: int = 0, seconds: float = 0.0) -> None:
    number = int(now // STEP)
    if not usage.steps or usage.steps[-1].number < number:
        _forget(usage, now)
        usage.steps.append(_Step(number))
    step = usage.steps[-1]
    step.requests += requests
    step.seconds += seconds
    usage.requests += requests
    usage.seconds += seconds


def _forget(usage: _Usage, now: float) -> None:
    """Drop the steps that have left the window: each is added once and dropped once."""
    while usage.steps and usage.steps[0].number < int(now // STEP) - _STEPS:
        step = usage.steps.popleft()
        usage.requests -= step.requests
        usage.seconds -= step.seconds
    if not usage.steps:
        # What rounding has left of a sum of floats.
        usage.seconds = 0.0


def _wait(usage: _Usage, now: float, spent: Callable[[_Step], float], excess: float) -> int:
    """Return the whole seconds until more than `excess` has left the window."""
    ending = usage.steps[-1]
    for step in usage.steps:
        excess -= spent(step)
        if excess < 0:
            ending = step
            break
    return math.ceil((ending.number + _STEPS + 1) * STEP - now)


@cache
def budgets() -> Budgets:
    """Return the budgets of this process, with the limit that its settings give."""
    return Budgets(Limits(requests=settings().web_api_requests))
