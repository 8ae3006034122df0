"""Alternate keys while storage fails at a write, before or after it: record and key are never of two minds."""

import contextlib
import uuid
from collections.abc import Awaitable, Callable

import pytest

from shared.storage import keys, records
from shared.storage.account import Conflict, StorageError
from shared.storage.organizations import Organization
from shared.storage.tables import Entity
from tests.breaking import Breaker

KEYS = {"code": ("code",), "place": ("city", "number")}
BEFORE = {"code": "old", "city": "Ulm", "number": 1}
AFTER = {"code": "new", "city": "Ulm", "number": 2}
MOST = 3
"""More changes than any of these makes."""


async def record(organization: Organization, id: str) -> Entity:
    found = await records.get(organization, "contact", id)
    assert found is not None
    return found


async def make(organization: Organization, id: str) -> None:
    await keys.insert(organization, "contact", id, AFTER, KEYS)


async def move(organization: Organization, id: str) -> None:
    await keys.put(organization, "contact", id, AFTER, await record(organization, id), KEYS)


async def remove(organization: Organization, id: str) -> None:
    await keys.delete(organization, "contact", id, await record(organization, id), KEYS)


async def demand_agreement(organization: Organization, id: str) -> None:
    """The record is found by the values that it has, and by no others; values that nobody has can be had."""
    found = await records.get(organization, "contact", id) or {}
    for values in (BEFORE, AFTER):
        for key, columns in KEYS.items():
            wanted = [values[name] for name in columns]
            has = [found.get(name) for name in columns] == wanted
            assert await keys.find(organization, "contact", KEYS, key, wanted) == (id if has else None)
        if values["code"] == found.get("code"):
            with pytest.raises(Conflict):
                await keys.insert(organization, "contact", str(uuid.uuid4()), values, KEYS)
        else:
            await keys.insert(organization, "contact", str(uuid.uuid4()), values, KEYS)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("nth", range(MOST))
@pytest.mark.parametrize("change", [make, move, remove])
async def test_a_record_and_its_keys_agree_wherever_storage_fails(
    breaker: tuple[Breaker, Organization],
    change: Callable[[Organization, str], Awaitable[None]],
    nth: int,
    after: bool,
) -> None:
    broken, organization = breaker
    row = str(uuid.uuid4())
    if change is not make:
        await keys.insert(organization, "contact", row, BEFORE, KEYS)
    broken.arm(nth, after=after, down=True)
    with contextlib.suppress(StorageError):
        await change(organization, row)
    assert broken.changes < MOST
    broken.arm(-1, after=False)
    await demand_agreement(organization, row)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
async def test_a_change_that_failed_may_be_made_again(breaker: tuple[Breaker, Organization], after: bool) -> None:
    broken, organization = breaker
    row = str(uuid.uuid4())
    await keys.insert(organization, "contact", row, BEFORE, KEYS)
    broken.arm(0, after=after)
    with pytest.raises(StorageError):
        await move(organization, row)
    await move(organization, row)
    await demand_agreement(organization, row)
