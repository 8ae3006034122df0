"""Lists of mail: in every order, from whatever is read for them, and how little that is."""

import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from shared.storage import account, emails
from shared.storage.organizations import Organization
from shared.storage.tables import Operation
from shared.webapi import context
from tests.web_client import Client

CUSTOMER = str(uuid.uuid4())
OWNER = str(uuid.uuid4())
RANGES = {
    "all": "",
    "owner": f"_ownerid_value eq {OWNER}",
    "regarding": f"_regardingobjectid_value eq {CUSTOMER}",
    "followed": "isemailfollowed eq true",
}
LISTS = [
    *((name, column) for name in RANGES for column in ("createdon", "senton")),
    *(
        ("followed", column)
        for column in ("lastopenedtime", "opencount", "linksclickedcount", "attachmentopencount", "replycount")
    ),
]


def mail(number: int) -> dict[str, Any]:
    """Return the columns of the `number`th email: every list has some of them, ties and values that are missing."""
    followed = number % 3 != 0
    return {
        "subject": f"Offer {number}",
        "createdon": f"2026-11-{number % 20 + 1:02}T08:00:00Z",
        "ownerid": OWNER if number % 2 else str(uuid.UUID(int=7)),
        **({"regardingobjectid": CUSTOMER, "regardingobjectid_type": "contact"} if number % 5 < 2 else {}),
        **({"senton": f"2026-11-{number % 25 + 1:02}T09:00:00Z", "statecode": 1, "statuscode": 3} if followed else {}),
        "isemailfollowed": followed,
        "opencount": number % 4 if followed else 0,
        **({"lastopenedtime": f"2026-11-2{number % 4}T10:00:00Z"} if followed and number % 4 else {}),
        "linksclickedcount": number % 3,
        "attachmentopencount": number % 2,
        "replycount": number % 7,
    }


async def fill(organization: Organization, count: int) -> list[dict[str, Any]]:
    made = []
    for number in range(count):
        made.append({"PartitionKey": str(uuid.uuid4()), "RowKey": "email", **mail(number)})
        await emails.insert(organization, made[-1], [])
    return made


def expected(made: list[dict[str, Any]], name: str, column: str, descending: bool = True) -> list[str]:
    """Return the ids of a list's emails, sorted as it says."""
    member = {
        "all": lambda _: True,
        "owner": lambda row: row["ownerid"] == OWNER,
        "regarding": lambda row: row.get("regardingobjectid") == CUSTOMER,
        "followed": lambda row: row["isemailfollowed"],
    }[name]
    rows = sorted((row for row in made if member(row)), key=lambda row: row["PartitionKey"])
    rows.sort(key=lambda row: (row.get(column) is not None, row.get(column) or 0), reverse=descending)
    return [row["PartitionKey"] for row in rows]


async def pages(client: Client, path: str, size: int | None = None) -> list[dict[str, Any]]:
    """Return all rows of a set, page by page."""
    headers = {"Prefer": f"odata.maxpagesize={size}"} if size else {}
    answer = await client.get(path, headers=headers)
    rows = []
    while True:
        assert answer.status == 200, answer.body
        rows += answer.rows
        if "@odata.nextLink" not in answer.json:
            return rows
        assert not size or len(answer.rows) == size
        answer = await client.get(answer.json["@odata.nextLink"], headers=headers)


def ids(rows: list[dict[str, Any]]) -> list[str]:
    return [row["activityid"] for row in rows]


@dataclass
class Calls:
    """How many calls to storage there were."""

    count: int = 0


@pytest_asyncio.fixture
async def calls(configured: None) -> AsyncIterator[Calls]:
    """Count the calls to storage of this event loop."""
    counted, trace = Calls(), aiohttp.TraceConfig()

    async def on_start(*_: Any) -> None:
        counted.count += 1

    trace.on_request_start.append(on_start)
    trace.freeze()
    session = account.session()
    session.trace_configs.append(trace)
    yield counted
    session.trace_configs.remove(trace)


@pytest.mark.parametrize("size", [None, 7], ids=["one page", "pages of 7"])
async def test_every_list_has_its_emails_in_order_whatever_the_size_of_its_pages(
    seller: Client, size: int | None
) -> None:
    made = await fill(seller.organization, 40)
    for name, column in LISTS:
        where = f"&$filter={RANGES[name]}" if RANGES[name] else ""
        found = await pages(seller, f"emails?$select=subject&$orderby={column} desc{where}", size)
        assert ids(found) == expected(made, name, column), (name, column)


async def test_a_page_costs_the_same_calls_however_much_mail_there_is(seller: Client, calls: Calls) -> None:
    async def cost(name: str, column: str, select: str = "subject,opencount") -> int:
        where = f"&$filter={RANGES[name]}" if RANGES[name] else ""
        before = calls.count
        answer = await seller.get(f"emails?$top=5&$select={select}&$orderby={column} desc{where}")
        assert len(answer.rows) == 5
        return calls.count - before

    await fill(seller.organization, 60)
    await cost(*LISTS[0])
    few = {key: await cost(*key) for key in LISTS}
    await fill(seller.organization, 120)
    assert {key: await cost(*key) for key in LISTS} == few
    assert max(few.values()) <= 7
    with_clock = {key: await cost(*key, select="ee_statustext") for key in LISTS}
    assert with_clock == {key: calls + 1 for key, calls in few.items()}, "the caller's clock is read once"


async def test_making_an_email_costs_the_same_calls_however_much_mail_there_is(seller: Client, calls: Calls) -> None:
    async def cost() -> int:
        before = calls.count
        await seller.make("emails", {"subject": "one more"})
        return calls.count - before

    await cost()
    first = await cost()
    await fill(seller.organization, 60)
    assert await cost() == first


async def test_any_other_order_and_filter_works_too(seller: Client) -> None:
    made = await fill(seller.organization, 30)
    oldest = await pages(seller, "emails?$orderby=createdon asc", 7)
    assert ids(oldest) == expected(made, "all", "createdon", descending=False)
    some = await pages(seller, "emails?$orderby=createdon desc&$filter=contains(subject,'offer 1')", 3)
    wanted = {row["PartitionKey"] for row in made if "Offer 1" in row["subject"]}
    assert ids(some) == [found for found in expected(made, "all", "createdon") if found in wanted]
    unfollowed = await pages(seller, "emails?$orderby=opencount desc")
    assert ids(unfollowed) == expected(made, "all", "opencount")


async def test_mail_of_somebody_comes_newest_first_without_being_asked(seller: Client) -> None:
    made = await fill(seller.organization, 20)
    for name in ("owner", "regarding", "followed"):
        assert ids(await pages(seller, f"emails?$filter={RANGES[name]}", 3)) == expected(made, name, "createdon")


async def test_an_email_moves_in_its_lists_when_it_changes_and_leaves_them_when_it_is_deleted(manager: Client) -> None:
    made = await fill(manager.organization, 6)
    first = made[1]["PartitionKey"]
    other = await manager.make("contacts", {"lastname": "Other"})
    await manager.patch(f"emails({first})", {"regardingobjectid_contact@odata.bind": f"/contacts({other})"})
    there = f"emails?$filter=_regardingobjectid_value eq {other}&$orderby=createdon desc"
    assert ids((await manager.get(there)).rows) == [first]
    assert first not in ids((await manager.get(f"emails?$filter={RANGES['regarding']}&$orderby=senton desc")).rows)
    await manager.send("DELETE", f"emails({first})")
    assert (await manager.get(there)).rows == []
    assert len((await manager.get("emails?$orderby=createdon desc")).rows) == 5


async def test_what_is_counted_is_counted_without_reading_the_mail(seller: Client, calls: Calls) -> None:
    await fill(seller.organization, 40)
    await seller.get("WhoAmI")
    before = calls.count
    assert (await seller.get(f"emails/$count?$filter={RANGES['owner']}")).body == b"20"
    assert calls.count - before == 1
    answer = await seller.get("emails?$count=true&$top=3&$orderby=createdon desc")
    assert answer.json["@odata.count"] == 40
    filtered = await seller.get("emails?$count=true&$top=3&$filter=opencount eq 3&$orderby=subject")
    assert filtered.json["@odata.count"] == sum(mail(number)["opencount"] == 3 for number in range(40))


async def test_a_query_that_would_read_too_much_is_refused_and_says_how_to_narrow_it(
    seller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(seller.organization, 30)
    monkeypatch.setattr(context, "MAX_ROWS", 25)
    for path in ("emails?$orderby=subject", "emails?$filter=contains(subject,'nothing')", "emails/$count"):
        refused = await seller.get(path)
        assert (refused.status, refused.json["error"]["code"]) == (400, "0x8004e023"), path
        assert "_ownerid_value" in refused.error
    assert len((await seller.get("emails?$orderby=createdon desc&$top=10")).rows) == 10
    assert len((await seller.get(f"emails?$filter={RANGES['regarding']}&$orderby=subject")).rows) == 12


async def test_a_whole_set_is_read_to_its_end_page_by_page(seller: Client) -> None:
    made = await fill(seller.organization, 23)
    assert ids(await pages(seller, "emails", 5)) == sorted(row["PartitionKey"] for row in made)
    assert ids(await pages(seller, "emails?$filter=opencount ge 1", 4)) == sorted(
        row["PartitionKey"] for row in made if row["opencount"] >= 1
    )


async def test_mail_is_expanded_from_the_record_it_is_about(seller: Client) -> None:
    contact = await seller.make("contacts", {"firstname": "Ada", "lastname": "Lovelace"})
    bind = {"regardingobjectid_contact@odata.bind": f"/contacts({contact})"}
    made = [await seller.make("emails", {"subject": f"No. {number}", **bind}) for number in range(3)]
    await seller.make("emails", {"subject": "Somebody else's"})
    nested = "Contact_Emails($select=subject;$orderby=subject desc;$top=2)"
    found = await seller.get(f"contacts({contact})?$select=fullname&$expand={nested}")
    assert [row["subject"] for row in found.json["Contact_Emails"]] == ["No. 2", "No. 1"]
    listed = await seller.get(
        f"contacts?$expand=Contact_Emails($filter=subject eq 'no. 1')&$filter=contactid eq {contact}"
    )
    assert ids(listed.rows[0]["Contact_Emails"]) == [made[1]]
    paged = await pages(seller, f"contacts({contact})/Contact_Emails?$select=subject", 2)
    assert sorted(row["subject"] for row in paged) == ["No. 0", "No. 1", "No. 2"]
    assert (await seller.get(f"contacts({contact})/Contact_Emails/$count")).body == b"3"
    assert (await seller.get(f"contacts({contact})/Contact_Emails/$count?$filter=subject eq 'no. 1'")).body == b"1"


async def test_mail_is_found_by_who_takes_part_in_it(seller: Client) -> None:
    ada = await seller.make("contacts", {"lastname": "Lovelace"})
    bob = await seller.make("contacts", {"lastname": "Bobson"})

    async def to(subject: str, *contacts: str) -> str:
        bound = [
            {"partyid_contact@odata.bind": f"/contacts({contact})", "participationtypemask": 2} for contact in contacts
        ]
        return await seller.make("emails", {"subject": subject, "email_activity_parties": bound})

    both, only_ada, neither = await to("both", ada, bob), await to("ada", ada), await to("neither")
    any_ada = f"email_activity_parties/any(p:p/_partyid_value eq {ada} and p/participationtypemask eq 2)"
    assert set(ids(await pages(seller, f"emails?$filter={any_ada}", 1))) == {both, only_ada}
    assert ids(await pages(seller, f"emails?$filter={any_ada}&$orderby=subject desc")) == [both, only_ada]
    not_ada = f"not email_activity_parties/any(p:p/_partyid_value eq {ada})"
    assert ids(await pages(seller, f"emails?$filter={not_ada}")) == [neither]
    every = "email_activity_parties/all(p:p/participationtypemask eq 1)"
    assert ids(await pages(seller, f"emails?$filter={every}")) == [neither]


async def test_mail_is_found_by_what_its_lookups_point_at(seller: Client) -> None:
    ada = await seller.make("contacts", {"firstname": "Ada", "lastname": "Lovelace"})
    about = {"regardingobjectid_contact@odata.bind": f"/contacts({ada})"}
    made = await seller.make("emails", {"subject": "about her", **about})
    await seller.make("emails", {"subject": "about nobody"})
    path = "regardingobjectid_contact_email"
    for condition in (
        f"{path}/fullname eq 'ada lovelace'",
        f"contains({path}/lastname,'love')",
        f"{path}/contactid eq {ada}",
    ):
        assert ids(await pages(seller, f"emails?$filter={condition}")) == [made], condition


async def test_interactions_are_read_to_their_end_and_those_of_an_email_newest_first(seller: Client) -> None:
    made = await fill(seller.organization, 3)
    rows: list[dict[str, Any]] = []
    for number in range(9):
        email = made[number % 3]["PartitionKey"]
        row = {
            "PartitionKey": email,
            "RowKey": emails.interaction_key(1_700_000_000_000 + number * 1000, f"hit{number}"),
            "interactionforemailid": str(uuid.uuid4()),
            "emailactivityid": email,
            "emailinteractiontime": f"2023-11-14T22:13:2{number}Z",
        }
        rows.append(row)
        await seller.organization.tables.apply(seller.organization.emails, Operation("insert", row))
    everything = await pages(seller, "interactionforemails", 2)
    assert {row["interactionforemailid"] for row in everything} == {row["interactionforemailid"] for row in rows}
    assert len(everything) == 9
    own = await pages(seller, f"interactionforemails?$filter=emailactivityid eq {made[1]['PartitionKey']}", 2)
    assert [row["emailinteractiontime"][-3:] for row in own] == ["27Z", "24Z", "21Z"]
