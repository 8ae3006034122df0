"""Long pure work: off the event loop, one piece at a time."""

import asyncio
import threading

import pytest

from shared.services.long_work import in_turn


async def test_long_work_is_done_one_piece_at_a_time_and_off_the_loop() -> None:
    going, begun, may_end, most = 0, asyncio.Event(), threading.Event(), 0
    loop = asyncio.get_running_loop()

    def work(number: int) -> tuple[int, int]:
        nonlocal going, most
        going += 1
        most = max(most, going)
        loop.call_soon_threadsafe(begun.set)
        assert may_end.wait(10)
        going -= 1
        return number, threading.get_ident()

    asked = [asyncio.create_task(in_turn(work, number)) for number in range(3)]
    # The loop goes on, or this would never end.
    await begun.wait()
    # Were there other threads, they would begin now.
    await asyncio.sleep(0.05)
    may_end.set()
    done = await asyncio.gather(*asked)
    assert [number for number, _ in done] == [0, 1, 2]
    assert most == 1
    assert {thread for _, thread in done} != {threading.get_ident()}


async def test_what_long_work_raises_is_raised() -> None:
    with pytest.raises(ZeroDivisionError):
        await in_turn(lambda: 1 / 0)
