"""The benchmarks' Azurite, which keeps entities in order, answers as Azurite does."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import benchmarks
from local import azurite as emulator
from local.processes import stop
from shared.storage.account import StorageError, parse_connection_string
from shared.storage.tables import Operation, Tables, literal
from tests.conftest import free_ports

PRELOAD = Path(benchmarks.__file__).parent / "azurite_index.cjs"
KEYS = ("", "a", "a b", "a'b", "ab", "b", "b:1", "b;1", "Z", "ä", "😀", "10", "9")


@pytest.fixture(scope="module")
def both(azurite: str) -> Iterator[tuple[Tables, Tables]]:
    """Return the tables of a plain Azurite and of one that keeps them in order."""
    port = free_ports(3)
    process = emulator.start(port, None, PRELOAD)
    plain, ordered = parse_connection_string(azurite), parse_connection_string(emulator.connection_string(port))
    yield Tables(plain), Tables(ordered)
    stop(process)


async def make_table(tables: Tables, name: str) -> None:
    from azure.data.tables.aio import TableServiceClient

    async with TableServiceClient.from_connection_string(tables.account.connection_string) as client:
        await client.create_table(name)


def a_condition(chance: random.Random, depth: int = 0) -> str:
    if depth < 2 and chance.random() < 0.6:
        word = "and" if chance.random() < 0.75 else "or"
        sides = (a_condition(chance, depth + 1), a_condition(chance, depth + 1))
        return f"{'not ' if chance.random() < 0.1 else ''}({sides[0]}) {word} ({sides[1]})"
    operator = chance.choice(("eq", "eq", "ne", "lt", "le", "gt", "ge"))
    if chance.random() < 0.2:
        return f"size {operator} {chance.randrange(5)}"
    return f"{chance.choice(('PartitionKey', 'RowKey'))} {operator} {literal(chance.choice(KEYS))}"


def changes(chance: random.Random) -> list[Operation]:
    """Return a transaction that may well fail: on an entity that is missing, there already, or of another etag."""
    partition = chance.choice(KEYS)
    rows = chance.sample(KEYS, chance.choice((1, 1, 2, 5)))
    made = []
    for row in rows:
        kind: Any = chance.choice(("insert", "put", "put", "merge", "delete"))
        etag = "*" if kind == "delete" or (kind != "insert" and chance.random() < 0.2) else None
        entity = {"PartitionKey": partition, "RowKey": row, chance.choice(("size", "other")): chance.randrange(5)}
        made.append(Operation(kind, entity, etag))
    return made


async def outcome(tables: Tables, operations: list[Operation]) -> str:
    try:
        await tables.transact("Ordered", operations)
    except StorageError as error:
        return f"{error.status} {error.code}"
    return "done"


async def pages(tables: Tables, condition: str, size: int) -> list[list[dict[str, Any]]]:
    found = [page async for page in tables.query("Ordered", condition, page_size=size)]
    return [[{name: row[name] for name in row if name != "etag"} for row in page] for page in found]


async def test_random_changes_and_queries_are_answered_alike(both: tuple[Tables, Tables]) -> None:
    chance = random.Random(1)
    await asyncio.gather(*(make_table(tables, "Ordered") for tables in both))
    for _ in range(80):
        operations = changes(chance)
        plain, ordered = await asyncio.gather(*(outcome(tables, operations) for tables in both))
        assert plain == ordered, operations
        condition, size = a_condition(chance), chance.choice((2, 7, 1000))
        a, b = await asyncio.gather(*(pages(tables, condition, size) for tables in both))
        assert a == b, condition
        partition, row = chance.choice(KEYS), chance.choice(KEYS)
        one, other = await asyncio.gather(*(tables.get("Ordered", partition, row) for tables in both))
        assert (one is None) == (other is None)
    assert len((await pages(both[1], "", 1000))[0]) > 25
