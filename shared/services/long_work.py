"""Long pure work, beside the event loop and one piece at a time: recipients are served by the same process."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any


class Lane:
    """A thread of its own for work that waits for nothing but its kind.

    One thread for all of a kind: each that computes takes a turn at the interpreter (`sys.getswitchinterval`) before
    the loop gets its own, so that a recipient waits for one turn however much is at work, and the memory of the longest
    piece is needed once and not for every message or request.
    """

    def __init__(self, name: str) -> None:
        self._thread = ThreadPoolExecutor(1, name)

    async def __call__[T](self, work: Callable[..., T], *given: Any, **named: Any) -> T:
        """Return what `work` returns, done in the thread; raise what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, partial(work, *given, **named))


in_turn = Lane("long-work")
"""For what queues do: bodies, bounces, timelines."""
