"""Changing what others change too: read, decide, write with If-Match, and again where somebody was faster."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from shared.storage.account import Conflict, NotFound, PreconditionFailed

_ATTEMPTS = 30
_PAUSE = 0.02
"""Seconds, at most, before the second attempt; each further one adds as much, so contenders spread out."""


async def insist[T](attempt: Callable[[], Awaitable[T]], *, once: bool = False, inserts: bool = False) -> T:
    """Return what `attempt` returns, which reads, decides and writes; it is made anew while somebody else is faster.

    A row that changed or went since it was read fails the write: the next attempt reads what is there instead. `once`
    is for a caller who named the version that must hold and hears at once that it does not; `inserts` says that a row
    in the way of one to be inserted was made meanwhile, so that it is worth another look. Raises what the last of 30
    attempts raised: `PreconditionFailed`, `NotFound`, `Conflict`.
    """
    for number in range(1, _ATTEMPTS):
        try:
            return await attempt()
        except PreconditionFailed:
            if once:
                raise
        except NotFound:
            pass
        except Conflict:
            if not inserts:
                raise
        await asyncio.sleep(random.uniform(0, _PAUSE * number))  # noqa: S311 - spreads the contenders
    return await attempt()
