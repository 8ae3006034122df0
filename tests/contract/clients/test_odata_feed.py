"""The OData feed of Excel and Power BI (Power Query's OData.Feed): the sequence of its requests, its headers.

Sources: Microsoft's "OData feed" and "OData.Feed" pages of Power Query, OData JSON Format 4.0 (context URLs, relative
addresses), OData CSDL 4.0 (what each type looks like in a payload).
"""

import re
import uuid
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest
from odatapy.edm.csdl import CsdlEntityType, CsdlSchema
from odatapy.edm.xml_io import parse_metadata

from local.directory import WEB_API_AUDIENCE
from tests.running_service import Seller, Service

POWER_QUERY = {
    "User-Agent": "Microsoft.Data.Mashup (https://go.microsoft.com/fwlink/?LinkID=304225)",
    "Accept": "application/json;odata.metadata=minimal;q=1.0,application/json;odata=minimalmetadata;q=0.9,"
    "application/atomsvc+xml;q=0.8,application/atom+xml;q=0.8,application/xml;q=0.7,text/plain;q=0.7",
    "OData-MaxVersion": "4.0",
    "MaxDataServiceVersion": "3.0",
}
LOOKS = {
    "Edm.String": lambda value: isinstance(value, str),
    "Edm.Boolean": lambda value: isinstance(value, bool),
    "Edm.Int32": lambda value: type(value) is int and -(2**31) <= value < 2**31,
    "Edm.Int64": lambda value: type(value) is int and -(2**63) <= value < 2**63,
    "Edm.Guid": lambda value: isinstance(value, str) and str(uuid.UUID(value)) == value,
    "Edm.DateTimeOffset": lambda value: bool(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", value)),
}
"""What a value of each primitive type looks like in JSON."""


@pytest.fixture(scope="module")
def root(service: Service) -> str:
    return f"{service.url}/contoso/api/data/v9.2"


@pytest.fixture(scope="module")
def feed(service: Service) -> Iterator[Callable[..., httpx.Response]]:
    """Return what asks for an address as Power Query does, signed in."""
    with httpx.Client(headers=POWER_QUERY, timeout=60) as client:
        client.headers["Authorization"] = f"Bearer {service.token('seller@contoso.example')}"

        def get(url: str, **headers: str) -> httpx.Response:
            answer = client.get(url, headers=headers)
            assert answer.status_code == 200, answer.text
            assert answer.headers["OData-Version"] == "4.0"
            return answer

        yield get


@pytest.fixture(scope="module")
def model(feed: Callable[..., httpx.Response], root: str) -> CsdlSchema:
    (schema,) = parse_metadata(feed(f"{root}/$metadata").content)
    return schema


@pytest.fixture(scope="module")
def mark(service: Service) -> str:
    """Return a word that five contacts, an account and an email of a seller have in common."""
    seller, word = service.seller(), uuid.uuid4().hex
    account = seller.create("accounts", name=word, numberofemployees=7)
    customer = {"parentcustomerid_account@odata.bind": f"/accounts({account})"}
    for name in "ABCDE":
        seller.create("contacts", firstname=name, department=word, **customer)
    seller.email("<p>Hello</p>", [{"addressused": "a@x.example"}], subject=word)
    return word


def test_who_is_not_signed_in_hears_where_to_sign_in(service: Service, root: str) -> None:
    answer = service.anybody.get(f"{root}/", headers=POWER_QUERY)
    assert (answer.status_code, answer.content) == (401, b"")
    scheme, _, parameters = answer.headers["WWW-Authenticate"].partition(" ")
    told = dict(part.strip().split("=", 1) for part in parameters.split(","))
    assert scheme == "Bearer"
    assert urlsplit(told["authorization_uri"]).path.endswith("/oauth2/authorize")
    assert told["resource_id"] == WEB_API_AUDIENCE


def test_the_service_document_is_served_with_and_without_a_trailing_slash(
    feed: Callable[..., httpx.Response], root: str
) -> None:
    document, same = feed(f"{root}/"), feed(root)
    assert document.headers["Content-Type"].startswith("application/json; odata.metadata=minimal")
    assert document.json() == same.json()
    assert document.json()["@odata.context"] == f"{root}/$metadata"


def test_every_set_of_the_service_document_is_in_the_model_and_answers_rows(
    feed: Callable[..., httpx.Response], root: str, model: CsdlSchema, mark: str
) -> None:
    document = feed(f"{root}/").json()
    container = model.entity_container
    assert container is not None
    types = {item.name: item.type.rpartition(".")[2] for item in container.entity_sets}
    assert {item["name"] for item in document["value"]} == set(types)
    for item in document["value"]:
        assert item["kind"] == "EntitySet"
        found = feed(f"{urljoin(document['@odata.context'], item['url'])}?$top=1000").json()
        assert found["@odata.context"] == f"{root}/$metadata#{item['name']}"
        check_rows(found["value"], entity_type(model, types[item["name"]]))


def test_the_model_is_xml_whatever_is_accepted(feed: Callable[..., httpx.Response], root: str) -> None:
    for accept in (POWER_QUERY["Accept"], "application/xml", "*/*"):
        answer = feed(f"{root}/$metadata", Accept=accept)
        assert answer.headers["Content-Type"].startswith("application/xml")
        assert answer.content.startswith(b"<?xml")


def test_choosing_filtering_and_sorting_are_done_by_the_service(
    feed: Callable[..., httpx.Response], root: str, model: CsdlSchema, mark: str
) -> None:
    query = (
        f"$filter=department eq '{mark}' and firstname ne 'C' and createdon ge 2020-01-01T00:00:00Z"
        "&$select=contactid,firstname,createdon,_parentcustomerid_value&$orderby=firstname desc&$top=1000"
    )
    rows = feed(f"{root}/contacts?{query}").json()["value"]
    assert [row["firstname"] for row in rows] == list("EDBA")
    assert {name for name in rows[0] if "@" not in name} == {
        "contactid", "firstname", "createdon", "_parentcustomerid_value",
    }  # fmt: skip
    check_rows(rows, entity_type(model, "contact"), all_columns=False)


def test_rows_are_counted_as_plain_text(feed: Callable[..., httpx.Response], root: str, mark: str) -> None:
    answer = feed(f"{root}/contacts/$count?$filter=department eq '{mark}'")
    assert (answer.headers["Content-Type"].partition(";")[0], answer.text) == ("text/plain", "5")


def test_related_rows_are_expanded_and_followed(feed: Callable[..., httpx.Response], root: str, mark: str) -> None:
    query = f"$filter=department eq '{mark}'&$expand=parentcustomerid_account&$top=1"
    (contact,) = feed(f"{root}/contacts?{query}").json()["value"]
    assert contact["parentcustomerid_account"]["name"] == mark
    account = feed(f"{root}/contacts({contact['contactid']})/parentcustomerid_account").json()
    assert account["numberofemployees"] == 7
    (email,) = feed(f"{root}/emails?$filter=subject eq '{mark}'&$expand=email_activity_parties").json()["value"]
    parties = feed(f"{root}/emails({email['activityid']})/email_activity_parties").json()["value"]
    assert [party["addressused"] for party in parties] == ["seller@contoso.example", "a@x.example"]
    assert parties == email["email_activity_parties"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_next_links_are_followed_to_the_end_as_they_are_given(
    feed: Callable[..., httpx.Response], root: str, mark: str, host: str
) -> None:
    spelled = root.replace("127.0.0.1", host)
    query = f"$filter=department eq '{mark}'&$select=firstname&$orderby=firstname"
    check_pages(feed, spelled, f"{spelled}/contacts?{query}")


def test_next_links_behind_a_front_end_lead_back_to_the_front_end(
    service: Service, feed: Callable[..., httpx.Response], root: str, mark: str
) -> None:
    forwarded = {"X-Forwarded-Proto": "https", "X-Forwarded-Host": "mail.example.com"}
    page = feed(f"{root}/contacts?$filter=department eq '{mark}'", Prefer="odata.maxpagesize=2", **forwarded).json()
    front = "https://mail.example.com/contoso/api/data/v9.2"
    assert page["@odata.context"].startswith(f"{front}/$metadata#contacts")
    assert page["@odata.nextLink"].startswith(f"{front}/contacts?")


def check_pages(feed: Callable[..., httpx.Response], root: str, url: str) -> None:
    """Follow an address page by page. The size is asked for once: a link brings its own."""
    names, sizes = [], []
    page = feed(url, Prefer="odata.maxpagesize=2").json()
    while True:
        assert page["@odata.context"].startswith(f"{root}/$metadata#contacts")
        names += [row["firstname"] for row in page["value"]]
        sizes.append(len(page["value"]))
        if "@odata.nextLink" not in page:
            break
        assert page["@odata.nextLink"].startswith(f"{root}/contacts?")
        page = feed(page["@odata.nextLink"]).json()
    assert (names, sizes) == (list("ABCDE"), [2, 2, 1])


def entity_type(model: CsdlSchema, name: str) -> CsdlEntityType:
    return next(item for item in model.entity_types if item.name == name)


def check_rows(rows: list[dict[str, Any]], described: CsdlEntityType, *, all_columns: bool = True) -> None:
    """Show that rows hold what the model says of their type."""
    types = {item.name: item for item in described.properties}
    for row in rows:
        columns = {name for name in row if "@" not in name}
        assert columns <= set(types)
        # Texts that are kept as files come with single rows only.
        assert not all_columns or len(columns) >= len(types) - 1
        for name in columns:
            value, told = row[name], types[name]
            assert told.nullable if value is None else LOOKS[told.type](value), f"{described.name}.{name}: {value!r}"


def test_an_organization_of_another_tenant_is_closed(service: Service, root: str) -> None:
    headers = {**POWER_QUERY, "Authorization": f"Bearer {service.token('seller@fabrikam.example')}"}
    answer = service.anybody.get(f"{root}/", headers=headers)
    assert answer.status_code == 403
    assert answer.json()["error"]["message"]


def test_what_the_feed_shows_is_what_a_manager_sees_too(
    feed: Callable[..., httpx.Response], root: str, mark: str, manager: Seller
) -> None:
    query = f"contacts?$filter=department eq '{mark}'&$orderby=firstname&$select=firstname"
    assert feed(f"{root}/{query}").json()["value"] == manager.api.get(query).json()["value"]
