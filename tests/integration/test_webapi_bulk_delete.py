"""BulkDelete as Microsoft's SDK for Python sends it."""

import uuid
from typing import Any

import pytest

from tests.web_client import Client

NOBODY = str(uuid.UUID(int=9))


def query(*ids: Any, table: str = "contact", **changes: Any) -> dict[str, Any]:
    condition = {
        "AttributeName": f"{table}id",
        "Operator": "In",
        "Values": [{"Value": value, "Type": "System.Guid"} for value in ids],
        **changes,
    }
    return {"EntityName": table, "Criteria": {"FilterOperator": "And", "Conditions": [condition]}}


async def test_rows_are_gone_when_the_answer_arrives(seller: Client) -> None:
    contacts = [await seller.make("contacts", {"lastname": name}) for name in "ABC"]
    account = await seller.make("accounts", {"name": "A"})
    sent = [query(*contacts[:2], contacts[0].upper(), NOBODY), query(account, table="account", Operator="Equal")]
    answer = await seller.post("BulkDelete", {"JobName": "x", "QuerySet": sent})
    assert (answer.status, bool(uuid.UUID(answer.json["JobId"]))) == (200, True)
    assert [row["lastname"] for row in (await seller.get("contacts")).rows] == ["C"]
    assert (await seller.get("accounts")).rows == []


async def test_what_another_owns_stays_and_is_named(seller: Client, manager: Client) -> None:
    mine, theirs = await seller.make("contacts", {}), await manager.make("contacts", {})
    answer = await seller.post("BulkDelete", {"QuerySet": [query(theirs, mine)]})
    assert answer.status == 403
    assert answer.error.startswith(f"1 of 2 rows could not be deleted, the others are: contact {theirs}: ")
    assert [row["contactid"] for row in (await seller.get("contacts")).rows] == [theirs]


@pytest.mark.parametrize(
    ("sent", "status", "culprit"),
    [
        ({}, 400, "QuerySet"),
        ({"QuerySet": []}, 400, "QuerySet"),
        ({"QuerySet": ["x"]}, 400, "EntityName"),
        ({"QuerySet": [query(NOBODY, table="nosuch")]}, 400, "nosuch"),
        ({"QuerySet": [{"EntityName": "contact"}]}, 501, "contactid"),
        ({"QuerySet": [query(NOBODY, AttributeName="lastname")]}, 501, "contactid"),
        ({"QuerySet": [query(NOBODY, Operator="NotIn")]}, 501, "In"),
        ({"QuerySet": [query()]}, 501, "contactid"),
        ({"QuerySet": [query("x")]}, 400, "guid"),
        ({"QuerySet": [query(5)]}, 400, "guid"),
        ({"QuerySet": [query(*(str(uuid.UUID(int=n)) for n in range(1001)))]}, 400, "1,000"),
    ],
)
async def test_a_query_that_is_not_understood_deletes_nothing(
    seller: Client, sent: Any, status: int, culprit: str
) -> None:
    contact = await seller.make("contacts", {})
    answer = await seller.post("BulkDelete", sent)
    assert answer.status == status
    assert culprit in answer.error
    assert [row["contactid"] for row in (await seller.get("contacts")).rows] == [contact]
