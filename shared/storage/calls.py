"""Many calls to storage for one request: side by side, and not all at once."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

AT_ONCE = 32
"""Calls in flight for one request."""


async def side_by_side[Item, Answer](call: Callable[[Item], Awaitable[Answer]], items: Sequence[Item]) -> list[Answer]:
    """Make a call for each of `items`, `AT_ONCE` at a time, and return the answers in their order."""
    answers: list[Answer] = []
    for start in range(0, len(items), AT_ONCE):
        answers += await asyncio.gather(*map(call, items[start : start + AT_ONCE]))
    return answers
