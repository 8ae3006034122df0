"""A generic OData 4 client (the one of PyPI odatapy), which knows of us only what $metadata says."""

import uuid
from collections.abc import Iterator

import httpx
import pytest
from odatapy.client import EdmEnabledODataClient, ODataClientError
from odatapy.client.transport import HttpxTransport

from tests.running_service import Service


@pytest.fixture(scope="module")
def client(service: Service) -> Iterator[EdmEnabledODataClient]:
    headers = {"Authorization": f"Bearer {service.token('seller@contoso.example')}"}
    with httpx.Client(headers=headers, timeout=60) as session:
        yield EdmEnabledODataClient(
            f"{service.url}/contoso/api/data/v9.2", HttpxTransport(session), odata_version="4.0"
        )


@pytest.fixture
def mark() -> str:
    return uuid.uuid4().hex


def create(client: EdmEnabledODataClient, mark: str, names: str) -> list[uuid.UUID]:
    return [
        client.create_entity("contacts", {"firstname": name, "department": mark}).get_value("contactid")
        for name in names
    ]


def test_every_set_of_the_service_document_has_a_type_in_the_model(client: EdmEnabledODataClient) -> None:
    document = client.get_service_document()
    assert set(document.entity_sets) >= {"emails", "contacts", "interactionforemails"}
    assert all(client.entity_set_type(name) is not None for name in document.entity_sets)


def test_a_row_is_created_read_changed_and_deleted(client: EdmEnabledODataClient, mark: str) -> None:
    made = client.create_entity("contacts", {"firstname": "Ada", "lastname": "Lovelace", "department": mark})
    uri = client.entity_uri("contacts", made.get_value("contactid"))
    read = client.get_entity(uri)
    assert read.get_value("fullname") == "Ada Lovelace"
    client.update_entity(uri, {"lastname": "King"}, etag=read.etag)
    assert client.get_entity(uri).get_value("fullname") == "Ada King"
    with pytest.raises(ODataClientError) as stale:
        client.update_entity(uri, {"lastname": "Byron"}, etag=read.etag)
    assert (stale.value.status_code, stale.value.error_code) == (412, "0x80060882")
    client.update_property(uri.copy().append_property_segment("jobtitle"), "Countess")
    assert client.get_entity(uri).get_value("jobtitle") == "Countess"
    client.delete_entity(uri)
    with pytest.raises(ODataClientError) as gone:
        client.get_entity(uri)
    assert (gone.value.status_code, gone.value.error_code) == (404, "0x80040217")


def test_lists_are_filtered_sorted_expanded_counted_and_paged(client: EdmEnabledODataClient, mark: str) -> None:
    create(client, mark, "CADBE")
    uri = (
        client.entity_set_uri("contacts")
        .filter(f"department eq '{mark}'")
        .orderby("firstname desc")
        .select("firstname")
        .expand("ownerid")
        .count()
    )
    pages = list(client.iter_pages(uri, max_page_size=2))
    assert [[row.get_value("firstname") for row in page] for page in pages] == [["E", "D"], ["C", "B"], ["A"]]
    assert pages[0].count == 5
    assert client.get_count(client.entity_set_uri("contacts").filter(f"department eq '{mark}'")) == 5


def test_functions_and_actions_are_called(client: EdmEnabledODataClient, service: Service) -> None:
    me = client.invoke_function(client.uri().append_function_call_segment("WhoAmI")).json()
    assert me["UserId"] == service.seller().id
    email = client.create_entity("emails", {"subject": "Offer"}).get_value("activityid")
    action = client.entity_uri("emails", email).append_action_call_segment("Microsoft.Dynamics.CRM.SendEmail")
    with pytest.raises(ODataClientError) as refused:
        client.invoke_action(action, {"IssueSend": True})
    assert refused.value.status_code == 400
    assert "recipient" in refused.value.error_message
