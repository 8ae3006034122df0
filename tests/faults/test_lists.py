"""The index rows of lists while storage fails, at every call: no list loses an email or shows one that is not there."""

import asyncio
import contextlib
import random
import uuid
from typing import Any

import pytest

from shared.storage import emails, lists
from shared.storage.account import NotFound, PreconditionFailed, StorageError
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation
from tests.breaking import Breaker

OWNERS = ("00000000-0000-4000-8000-00000000000a", "00000000-0000-4000-8000-00000000000b")
CUSTOMER = "00000000-0000-4000-8000-00000000000c"
TEMPLATE = "00000000-0000-4000-8000-00000000000d"
LISTS = [
    *(("all", "", column) for column in lists.DATES),
    *(("owner", owner, column) for owner in OWNERS for column in lists.DATES),
    *(("regarding", CUSTOMER, column) for column in lists.DATES),
    ("template", TEMPLATE, "createdon"),
    *(("followed", "", column) for column in (*lists.DATES, *lists.ENGAGEMENT)),
]


def new_email(**columns: Any) -> Entity:
    made = {"createdon": "2026-11-23T17:35:00Z", "ownerid": OWNERS[0], "subject": "s"}
    return {"PartitionKey": str(uuid.uuid4()), "RowKey": "email", **made, **columns}


CHANGES: list[dict[str, Any]] = [
    {"ownerid": OWNERS[1]},
    {"ownerid": OWNERS[0]},
    {"regardingobjectid": CUSTOMER, "templateid": TEMPLATE},
    {"regardingobjectid": None},
    {"templateid": None},
    {"isemailfollowed": True, "senton": "2026-11-23T18:00:00Z"},
    {"opencount": 1, "lastopenedtime": "2026-11-23T18:10:00Z"},
    {"opencount": 2, "lastopenedtime": "2026-11-23T18:20:00Z", "linksclickedcount": 3, "replycount": 1},
    {"opencount": 0, "lastopenedtime": None},
    {"isemailfollowed": False, "senton": None},
    {"subject": "t"},
]


async def expected(organization: Organization, kind: str, of: str, column: str) -> list[str]:
    """Return what a list must hold, worked out from the emails themselves."""
    rows = await organization.tables.query_all(organization.emails, "RowKey eq 'email'")
    member = {
        "all": lambda _: True,
        "owner": lambda row: row.get("ownerid") == of,
        "regarding": lambda row: row.get("regardingobjectid") == of,
        "template": lambda row: row.get("templateid") == of,
        "followed": lambda row: row.get("isemailfollowed") is True,
    }[kind]
    rows = sorted((row for row in rows if member(row)), key=lambda row: row["PartitionKey"])
    empty: Any = 0 if column.endswith("count") else ""
    rows.sort(key=lambda row: row.get(column) or empty, reverse=True)
    return [row["PartitionKey"] for row in rows]


async def shown(organization: Organization, kind: str, of: str, column: str, page_size: int = 50) -> list[str]:
    pages = emails.listed(organization, lists.partition(kind, column, of), column, page_size=page_size)
    return [email["PartitionKey"] async for page in pages for email in page]


async def assert_right(organization: Organization) -> None:
    for kind, of, column in LISTS:
        assert await shown(organization, kind, of, column) == await expected(organization, kind, of, column), (
            kind,
            column,
        )


async def change(organization: Organization, id: str, changes: dict[str, Any]) -> None:
    row = await emails.get_email(organization, id)
    assert row is not None
    await emails.commit(organization, row, changes)


@pytest.mark.parametrize("after", [False, True], ids=["the call is lost", "the answer is lost"])
async def test_every_list_is_right_wherever_storage_fails_in_a_change(
    breaker: tuple[Breaker, Organization], after: bool
) -> None:
    broken, organization = breaker
    for changes in CHANGES[:8]:
        for nth in range(12):
            email = new_email()
            await emails.insert(organization, email, [])
            for earlier in CHANGES[: CHANGES.index(changes)]:
                await change(organization, email["PartitionKey"], earlier)
            broken.arm(nth, after=after)
            with contextlib.suppress(StorageError):
                await change(organization, email["PartitionKey"], changes)
            done = broken.changes <= nth
            broken.arm(-1, after=False)
            if done:
                break
    await assert_right(organization)


@pytest.mark.parametrize("after", [False, True], ids=["the call is lost", "the answer is lost"])
async def test_every_list_is_right_wherever_storage_fails_in_making_or_deleting(
    breaker: tuple[Breaker, Organization], after: bool
) -> None:
    broken, organization = breaker
    for nth in range(12):
        email = new_email(regardingobjectid=CUSTOMER, isemailfollowed=True, opencount=nth)
        broken.arm(nth, after=after)
        with contextlib.suppress(StorageError):
            await emails.insert(organization, email, [])
        broken.arm(-1, after=False)
        email = new_email(regardingobjectid=CUSTOMER, isemailfollowed=True, opencount=nth)
        await emails.insert(organization, email, [])
        stored = await emails.get_email(organization, email["PartitionKey"])
        assert stored is not None
        broken.arm(nth, after=after)
        with contextlib.suppress(StorageError):
            await organization.tables.apply(organization.emails, Operation("delete", stored, stored["etag"]))
            await emails.unlist(organization, stored)
        broken.arm(-1, after=False)
    await assert_right(organization)


async def test_every_list_is_right_after_many_change_the_same_emails_at_once(organization: Organization) -> None:
    made = [new_email() for _ in range(4)]
    for email in made:
        await emails.insert(organization, email, [])
    chance = random.Random(7)

    async def somebody() -> None:
        for _ in range(12):
            email = chance.choice(made)
            with contextlib.suppress(PreconditionFailed, NotFound):
                await change(organization, email["PartitionKey"], chance.choice(CHANGES))

    await asyncio.gather(*(somebody() for _ in range(8)))
    await assert_right(organization)
    named = await organization.tables.query_all(organization.lists)
    rows = await organization.tables.query_all(organization.emails, "RowKey eq 'email'")
    assert len(named) == sum(len(row["_lists"].splitlines()) for row in rows), "an index row was left behind"


async def test_a_list_goes_on_after_any_email_in_it(organization: Organization) -> None:
    for number in range(7):
        await emails.insert(organization, new_email(createdon=f"2026-11-23T17:35:0{number // 2}Z"), [])
    await emails.insert(organization, new_email(createdon=None), [])
    everything = await expected(organization, "all", "", "createdon")
    where = lists.partition("all", "createdon")
    for at, found in enumerate(everything):
        row = await emails.get_email(organization, found)
        assert row is not None
        place = lists.Place(row.get("createdon"), found)
        rest = emails.listed(organization, where, "createdon", place, page_size=2)
        assert [email["PartitionKey"] async for page in rest for email in page] == everything[at + 1 :]


async def test_an_email_from_before_there_were_lists_is_listed_from_its_next_change_on(
    organization: Organization,
) -> None:
    email = new_email()
    await organization.tables.transact(organization.emails, [Operation("insert", email)])
    await change(organization, email["PartitionKey"], {"subject": "t"})
    await assert_right(organization)
