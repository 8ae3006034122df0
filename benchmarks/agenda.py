"""What the timer's minute costs, by the number of entries that are not due yet, and how long handing over many takes.

Storage is an Azurite with the order that Azure has (azurite_index.cjs).
"""

import asyncio
import statistics
import time
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import batched

from benchmarks.filled import deployment
from benchmarks.lists import Calls, Sample, count_calls
from shared.services.agenda import DELIVER, run_agenda
from shared.storage.account import close_session, host_account
from shared.storage.agenda import AGENDA, Entry, entity
from shared.storage.agenda import due as entries_due
from shared.storage.provisioning import provision_deployment
from shared.storage.tables import MAX_OPERATIONS, Operation, Tables

NOT_DUE = (1, 1_000, 100_000)
DUE = 10_000
ORGANIZATIONS = 200
ROUNDS = 31

_AT_ONCE = 16
_NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)


def report(not_due: Sequence[int] = NOT_DUE, due: int = DUE, rounds: int = ROUNDS) -> None:
    """Enter, measure, and print the tables."""
    with deployment():
        asyncio.run(_report(not_due, due, rounds))


async def _report(not_due: Sequence[int], due: int, rounds: int) -> None:
    try:
        await provision_deployment()
        calls = count_calls()
        print("| not due yet | calls | ms |\n|--:|--:|--:|", flush=True)
        entered = 0
        for count in not_due:
            await _enter(_in_the_next_hour(count - entered))
            entered = count
            samples = [await _run(calls) for _ in range(rounds + 1)][1:]
            _print_row(f"{count:,}", samples)
        print("\n| due at once | calls | s | left over |\n|--:|--:|--:|--:|", flush=True)
        await _enter(_due(due))
        taken = await _run(calls)
        left = sum([len(page) async for page in entries_due(_NOW)])
        print(f"| {due:,} | {taken.calls:,} | {taken.ms / 1000:.1f} | {left:,} |", flush=True)
    finally:
        await close_session()


def _in_the_next_hour(count: int) -> Iterator[Entry]:
    return (_entry(number, _NOW + timedelta(minutes=1 + number % 60)) for number in range(count))


def _due(count: int) -> Iterator[Entry]:
    return (_entry(number, _NOW) for number in range(count))


def _entry(number: int, due: datetime) -> Entry:
    return Entry(due, DELIVER, f"organization{number % ORGANIZATIONS}", str(uuid.uuid4()))


async def _enter(entries: Iterator[Entry]) -> None:
    partitions: dict[str, list[Operation]] = {}
    for row in map(entity, entries):
        partitions.setdefault(row["PartitionKey"], []).append(Operation("put", row))
    limit = asyncio.Semaphore(_AT_ONCE)

    async def write(operations: Sequence[Operation]) -> None:
        async with limit:
            await Tables(host_account()).transact(AGENDA, operations)

    transactions = [some for rows in partitions.values() for some in batched(rows, MAX_OPERATIONS, strict=False)]
    await asyncio.gather(*map(write, transactions))


async def _run(calls: Calls) -> Sample:
    before, started = calls.count, time.perf_counter()
    await run_agenda(_NOW)
    return Sample((time.perf_counter() - started) * 1000, calls.count - before)


def _print_row(what: str, samples: Sequence[Sample]) -> None:
    calls = statistics.mode(sample.calls for sample in samples)
    print(f"| {what} | {calls} | {statistics.median(sample.ms for sample in samples):.1f} |", flush=True)
