"""Any filter over random mail gives what a plain evaluation of it gives, whatever was read for it and in any order."""

import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import pytest_asyncio
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from shared.storage import emails, records
from shared.webapi.schema import Table
from shared.webapi.tables import TABLES
from shared.webapi.values import sortable
from tests.organizations import an_organization
from tests.unit.making_filters import CHAINS, CONTACT, IDS, ME, NOW, PARTIES, Writer, means
from tests.web_client import Client

EMAILS = 25
EMAIL, PARTY = TABLES["email"], TABLES["activityparty"]
ORDERS = ["", "createdon desc", "senton desc", "opencount desc", "opencount,createdon desc", "subject", "createdon"]
TIMES = ["2026-10-31T23:59:59Z", "2026-11-22T00:00:00Z", "2026-11-23T12:00:00Z", "2026-11-23T13:45:30Z",
         "2026-11-24T00:00:00Z"]  # fmt: skip
WORDS = ["", "a", "Ab", "É%", "b_'"]


@dataclass
class Mail:
    """A signed-in seller, and the organization's emails as `means` takes them."""

    client: Client
    rows: list[dict[str, Any]]


def some(chance: random.Random, **values: Sequence[Any]) -> dict[str, Any]:
    """Return a value for most of the columns; one that is null is missing."""
    return {name: chance.choice(given) for name, given in values.items() if chance.random() < 0.75}


def as_read(table: Table, stored: dict[str, Any]) -> dict[str, Any]:
    return {column.name: stored.get(column.name) or column.default for column in table.columns if not column.lazy}


@pytest_asyncio.fixture
async def mail(configured: None, issuer: Any) -> AsyncIterator[Mail]:
    """Return an organization of random mail, contacts and users."""
    chance = random.Random(11)
    async with an_organization() as organization:
        people: dict[str, dict[str, dict[str, Any]]] = {"contact": {}, "systemuser": {}}
        for table, found in people.items():
            for person in IDS:
                stored = some(chance, fullname=WORDS, createdon=TIMES, followemail=[True, False], ownerid=IDS)
                await records.insert(organization, table, person, stored)
                found[person] = as_read(TABLES[table], {**stored, TABLES[table].id: person})
        rows = []
        for number in range(EMAILS):
            stored = some(
                chance, subject=WORDS, category=WORDS, opencount=range(5), statuscode=[1, 3, 6], createdon=TIMES,
                senton=TIMES, isemailfollowed=[True, True, False], ownerid=IDS, regardingobjectid=IDS,
            )  # fmt: skip
            if "regardingobjectid" in stored:
                stored["regardingobjectid_type"] = chance.choice(["contact", "account"])
            made = f"{number:08x}-0000-4000-8000-{chance.randrange(16**12):012x}"
            parties = [
                some(chance, participationtypemask=[1, 2, 3], addressused=WORDS, partyid=IDS)
                for _ in range(chance.randrange(4))
            ]
            under = [{"PartitionKey": made, "RowKey": f"party:{at:03}", **party} for at, party in enumerate(parties)]
            await emails.insert(organization, {"PartitionKey": made, "RowKey": "email", **stored}, under)
            about = people["contact"].get(stored.get("regardingobjectid", ""))
            rows.append(
                as_read(EMAIL, {**stored, "activityid": made})
                | {
                    PARTIES: [as_read(PARTY, party) for party in parties],
                    f"{CONTACT}_row": about if stored.get("regardingobjectid_type") == "contact" else None,
                    "ownerid_row": people["systemuser"].get(stored.get("ownerid", "")),
                }
            )
        yield Mail(Client(organization, issuer, user=ME), rows)


def in_order(rows: list[dict[str, Any]], orderby: str) -> list[str]:
    rows = sorted(rows, key=lambda row: str(row["activityid"]))
    for item in reversed(orderby.split(",") if orderby else []):
        name, _, direction = item.partition(" ")
        column = EMAIL.by_name[name]
        values = {id(row): sortable(column, row[name]) for row in rows}
        rows.sort(key=lambda row: (values[id(row)] is not None, values[id(row)] or 0), reverse=direction == "desc")
    return [row["activityid"] for row in rows]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(CHAINS, st.integers(0, 2**32), st.sampled_from(ORDERS), st.sampled_from([None, 1, 4]))
async def test_any_filter_in_any_order_and_any_pages_gives_what_it_means(
    mail: Mail, node: Any, seed: int, orderby: str, size: int | None
) -> None:
    writer = Writer(random.Random(seed).choice)
    options = {"$filter": writer.write(node), **({"$orderby": orderby} if orderby else {}), **writer.aliases}
    note(str(options))
    url = "emails?$select=subject&" + "&".join(f"{name}={quote(value)}" for name, value in options.items())
    headers = {"Prefer": f"odata.maxpagesize={size}"} if size else {}
    found: list[str] = []
    while url:
        answer = await mail.client.get(url, headers=headers, now=NOW)
        assert answer.status == 200, answer.body
        found += [row["activityid"] for row in answer.rows]
        url = answer.json.get("@odata.nextLink", "")
    wanted = [row for row in mail.rows if means(node, row)]
    if orderby:
        assert found == in_order(wanted, orderby)
    else:
        assert sorted(found) == sorted(row["activityid"] for row in wanted)
    counted = await mail.client.get(
        f"emails/$count?$filter={quote(options['$filter'])}"
        + "".join(f"&{name}={quote(value)}" for name, value in writer.aliases.items()),
        now=NOW,
    )
    assert counted.body == str(len(wanted)).encode()
