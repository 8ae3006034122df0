"""Long pure work of requests, done beside the event loop: recipients are served by the same process.

One thread for all requests, because each thread that computes takes a turn at the interpreter before the loop gets its
own: with one, a recipient waits for one turn however many requests are at work.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

LARGE_BODY = 64 * 1024
"""Bytes of a body from which on reading it is done aside; what is smaller takes less time than changing threads is
worth."""
LARGE_QUERY = 1024
"""Characters of a query from which on parsing it is done aside."""

_thread = ThreadPoolExecutor(1, "web-api")


async def aside[Answer](work: Callable[..., Answer], *given: Any, **named: Any) -> Answer:
    """Return what `work` returns, computed in the thread beside the loop; its errors are raised here."""
    return await asyncio.get_running_loop().run_in_executor(_thread, partial(work, *given, **named))
