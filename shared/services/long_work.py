"""Long pure work, off the event loop and one piece at a time."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_worker = ThreadPoolExecutor(1, "long-work")


async def in_turn[T](work: Callable[..., T], *arguments: object) -> T:
    """Return what `work` returns, done in a thread; raise what it raises.

    One thread for all: each that computes makes a recipient's hit wait for the interpreter's lock once more (5 ms,
    `sys.getswitchinterval`), and the memory of the longest body is needed once and not for every message of a queue.
    """
    return await asyncio.get_running_loop().run_in_executor(_worker, work, *arguments)
