"""PyPI dataverse-api, unchanged, against the running service: what its classes do, and its dialect of $batch."""

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from dataverse_api.dataverse import DataverseClient
from dataverse_api.entity import DataverseEntity
from dataverse_api.errors import DataverseAPIError
from dataverse_api.utils.batching import BatchCommand, RequestMethod

from tests.running_service import Seller, Service, eventually

NOBODY = str(uuid.UUID(int=9))
FORMATTED = "@OData.Community.Display.V1.FormattedValue"


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[DataverseClient]:
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {service.token('seller@contoso.example')}"
        yield DataverseClient(session, f"{service.url}/contoso/")


@pytest.fixture(scope="module")
def contacts(client: DataverseClient) -> DataverseEntity:
    return client.entity("contact")


@pytest.fixture(scope="module")
def emails(client: DataverseClient) -> DataverseEntity:
    return client.entity("email")


@pytest.fixture
def mark() -> str:
    """Return a word of this test's own: other tests keep their rows in the same organization."""
    return uuid.uuid4().hex


def rows(mark: str, names: str) -> list[dict[str, Any]]:
    return [{"firstname": name, "department": mark} for name in names]


def names(contacts: DataverseEntity, mark: str, **options: Any) -> list[Any]:
    found = contacts.read(select=["firstname"], filter=f"department eq '{mark}'", order_by="firstname", **options)
    return [row["firstname"] for row in found]


def statuses(answers: list[requests.Response]) -> list[int]:
    return [answer.status_code for answer in answers]


def inner_statuses(answers: list[requests.Response]) -> list[int]:
    """Return the statuses of the parts of batch answers."""
    return [int(status) for answer in answers for status in re.findall(r"^HTTP/1.1 (\d+)", answer.text, re.MULTILINE)]


def id_in(answer: requests.Response) -> str:
    return answer.headers["OData-EntityId"].rpartition("(")[2].rstrip(")")


# Finding out about a table


def test_a_table_says_what_the_client_needs_to_know(contacts: DataverseEntity, emails: DataverseEntity) -> None:
    assert (contacts.entity_set_name, contacts.primary_id_attr) == ("contacts", "contactid")
    assert (emails.entity_set_name, emails.primary_id_attr) == ("emails", "activityid")
    assert "parentcustomerid_account" in contacts.relationships.single_valued
    assert "email_activity_parties" in emails.relationships.collection_valued


def test_alternate_keys_are_found(contacts: DataverseEntity) -> None:
    assert ["ee_externalid"] in list(contacts.alternate_keys.values())


def test_multiple_operations_are_found(contacts: DataverseEntity) -> None:
    assert contacts.supports_create_multiple
    assert contacts.supports_update_multiple


def test_a_table_that_is_not_there_is_an_error(client: DataverseClient) -> None:
    with pytest.raises(DataverseAPIError, match="nosuchtable"):
        client.entity("nosuchtable")


def test_the_definition_of_a_table_is_read(client: DataverseClient) -> None:
    definition = client.get_entity_definition("email")
    assert (definition.schema_name, definition.is_activity) == ("Email", True)


def test_the_definition_of_a_relationship_is_read(client: DataverseClient) -> None:
    definition = client.get_relationship_definition("Contact_Emails")
    assert definition.schema_name == "Contact_Emails"


# Rows


def test_an_email_is_created_with_its_parties(contacts: DataverseEntity, emails: DataverseEntity) -> None:
    (made,) = contacts.create([{"lastname": "Turing", "emailaddress1": "alan@x.example"}])
    (answer,) = emails.create(
        [
            {
                "subject": "Offer",
                "deliveryprioritycode": 2,
                "regardingobjectid_contact@odata.bind": f"contacts({id_in(made)})",
                "email_activity_parties": [
                    {"partyid_contact@odata.bind": f"/contacts({id_in(made)})", "participationtypemask": 2}
                ],
            }
        ]
    )
    (row,) = emails.read(
        select=["subject", "deliveryprioritycode"],
        filter=f"activityid eq {id_in(answer)}",
        expand="email_activity_parties($select=addressused)",
        return_formatted_values=True,
    )
    assert (row["subject"], row[f"deliveryprioritycode{FORMATTED}"]) == ("Offer", "High")
    assert "alan@x.example" in [party["addressused"] for party in row["email_activity_parties"]]


def test_created_rows_are_returned_on_request(contacts: DataverseEntity, mark: str) -> None:
    answers = contacts.create(rows(mark, "AB"), return_created=True, threading=True)
    assert statuses(answers) == [201, 201]
    assert {answer.json()["firstname"] for answer in answers} == {"A", "B"}


def test_rows_are_created_many_at_once(contacts: DataverseEntity, mark: str) -> None:
    answers = contacts.create(rows(mark, "ABCDE"), mode="multiple", batch_size=2)
    assert [len(answer.json()["Ids"]) for answer in answers] == [2, 2, 1]
    assert names(contacts, mark) == list("ABCDE")


def test_rows_are_created_in_batches(contacts: DataverseEntity, mark: str) -> None:
    answers = contacts.create(rows(mark, "ABCDE"), mode="batch", batch_size=3)
    assert statuses(answers) == [200, 200]
    assert inner_statuses(answers) == [204] * 5
    assert names(contacts, mark) == list("ABCDE")


def test_pages_bring_every_row_once_and_in_order(contacts: DataverseEntity, mark: str) -> None:
    contacts.create(rows(mark, "ECADB"))
    assert names(contacts, mark, page_size=2) == list("ABCDE")
    assert names(contacts, mark, top=3) == list("ABC")
    pages = contacts.read(filter=f"department eq '{mark}'", page_size=2, return_responses=True)
    assert [len(page.json()["value"]) for page in pages] == [2, 2, 1]


def test_rows_are_upserted_by_id(contacts: DataverseEntity, mark: str) -> None:
    ids = sorted(str(uuid.uuid4()) for _ in range(2))
    for name in "AB":
        data = [{"contactid": made, "firstname": f"{name}{n}", "department": mark} for n, made in enumerate(ids)]
        assert statuses(contacts.upsert(data)) == [204, 204]
    assert names(contacts, mark) == ["B0", "B1"]
    found = contacts.read(filter=f"department eq '{mark}'", order_by="firstname")
    assert [row["contactid"] for row in found] == ids


def test_rows_are_upserted_by_id_in_a_batch(contacts: DataverseEntity, mark: str) -> None:
    made = str(uuid.uuid4())
    for name in "AB":
        answers = contacts.upsert([{"contactid": made, "firstname": name, "department": mark}], mode="batch")
        assert inner_statuses(answers) == [204]
    assert names(contacts, mark) == ["B"]


@pytest.mark.parametrize("mode", ["individual", "batch"])
def test_rows_are_upserted_by_an_alternate_key(contacts: DataverseEntity, mark: str, mode: Any) -> None:
    key = next(name for name, columns in contacts.alternate_keys.items() if columns == ["ee_externalid"])
    for name in "AB":
        data = [{"ee_externalid": f"{mark} {n}", "firstname": f"{name}{n}", "department": mark} for n in range(2)]
        contacts.upsert(data, altkey_name=key, mode=mode)
    assert names(contacts, mark) == ["B0", "B1"]


@pytest.mark.parametrize("mode", ["individual", "batch"])
def test_rows_are_deleted_by_filter(contacts: DataverseEntity, mark: str, mode: Any) -> None:
    contacts.create(rows(mark, "ABC"))
    answers = contacts.delete(mode=mode, filter=f"department eq '{mark}' and firstname ne 'B'")
    assert (inner_statuses(answers) if mode == "batch" else statuses(answers)) == [204, 204]
    assert names(contacts, mark) == ["B"]


@pytest.mark.parametrize("mode", ["individual", "batch"])
def test_a_column_is_cleared(contacts: DataverseEntity, mark: str, mode: Any) -> None:
    ids = [id_in(answer) for answer in contacts.create(rows(mark, "AB"))]
    contacts.delete_columns(["firstname"], ids=ids, mode=mode)
    assert names(contacts, mark) == [None, None]


def test_a_batch_of_ones_own_holds_any_request(client: DataverseClient, contacts: DataverseEntity, mark: str) -> None:
    (made,) = contacts.create(rows(mark, "A"))
    commands = [
        BatchCommand(f"contacts({id_in(made)})", RequestMethod.PUT, data={"firstname": "B"}),
        BatchCommand(f"contacts({id_in(made)})", RequestMethod.PATCH, data={"jobtitle": "Engineer"}),
        BatchCommand(f"contacts?$filter=department eq '{mark}'&$select=firstname,jobtitle", RequestMethod.GET),
        BatchCommand("WhoAmI", RequestMethod.GET),
    ]
    answers = client.submit_batch(commands)
    assert inner_statuses(answers) == [204, 204, 200, 200]
    assert '"firstname":"B"' in answers[0].text
    assert '"UserId":' in answers[0].text


def test_an_email_is_sent_in_a_batch(client: DataverseClient, emails: DataverseEntity, service: Service) -> None:
    address = f"{uuid.uuid4().hex}@client.example"
    party = {"addressused": address, "participationtypemask": 2}
    (made,) = emails.create([{"subject": "Offer", "description": "<p>x</p>", "email_activity_parties": [party]}])
    action = f"emails({id_in(made)})/Microsoft.Dynamics.CRM.SendEmail"
    answers = client.submit_batch([BatchCommand(action, RequestMethod.POST, data={"IssueSend": True})])
    assert inner_statuses(answers) == [200]
    assert eventually(lambda: service.mailbox(address), bool)[0]["subject"] == "Offer"


# Errors


def test_a_failed_read_raises_with_the_message_of_the_service(contacts: DataverseEntity) -> None:
    with pytest.raises(DataverseAPIError, match="Could not find a property named 'nosuch'") as raised:
        contacts.read(select=["nosuch"])
    assert raised.value.response is not None
    assert raised.value.response.json()["error"]["code"] == "0x80060888"


def test_failed_writes_are_returned_with_code_and_message(contacts: DataverseEntity, mark: str) -> None:
    answers = contacts.create([{"nosuch": 1}, {"donotemail": "yes"}, {"department": mark}])
    assert statuses(answers) == [400, 400, 204]
    errors = [answer.json()["error"] for answer in answers[:2]]
    assert [error["code"] for error in errors] == ["0x80060888", "0x80048d19"]
    assert "'nosuch'" in errors[0]["message"]
    assert "'donotemail'" in errors[1]["message"]
    (missing,) = contacts.delete(ids=[NOBODY])
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "0x80040217")


def test_changing_what_another_owns_is_refused(contacts: DataverseEntity, manager: Seller) -> None:
    theirs = manager.create("contacts", lastname="Theirs")
    (answer,) = contacts.upsert([{"contactid": theirs, "lastname": "Mine"}])
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "0x80040220")


def test_a_failed_request_ends_a_batch_and_says_why(contacts: DataverseEntity, mark: str) -> None:
    answers = contacts.create(
        [{"department": mark, "firstname": "A"}, {"nosuch": 1}, {"department": mark}], mode="batch"
    )
    assert inner_statuses(answers) == [204, 400]
    assert "Could not find a property named 'nosuch'" in answers[0].text
    assert names(contacts, mark) == ["A"]


def test_without_a_token_there_is_no_entry(service: Service) -> None:
    with requests.Session() as session, pytest.raises(requests.JSONDecodeError):
        # The client expects an error in the body; Dataverse's own 401 has none either.
        DataverseClient(session, f"{service.url}/contoso/").entity("email")
