"""The Web API behind the Functions host: what the host passes in and sends out."""

import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest_asyncio

from shared.storage.organizations import Organization
from tests.entra import Issuer
from tests.hosts import hosts


@pytest_asyncio.fixture
async def client(organization: Organization, issuer: Issuer, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Return a seller's HTTP client on a host of the whole app."""
    token = issuer.token(organization.tenant, str(uuid.uuid4()))
    with hosts(1, tmp_path, MICROSOFT365_URL=issuer.url) as (host,):
        async with httpx.AsyncClient(
            base_url=f"{host.url}/{organization.name}/api/data/v9.2/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=30,
        ) as made:
            yield made


async def test_the_host_carries_requests_and_answers_unchanged(client: httpx.AsyncClient) -> None:
    made = await client.post("contacts", json={"lastname": "Ångström & Söhne"})
    assert (made.status_code, made.content) == (204, b"")
    address = made.headers["OData-EntityId"]
    assert address.startswith(f"{client.base_url}contacts(")

    row = await client.get(address)
    assert row.headers["Content-Type"].startswith("application/json")
    assert row.headers["OData-Version"] == "4.0"
    assert row.json()["lastname"] == "Ångström & Söhne"

    for query in (
        "$select=lastname&$filter=lastname%20eq%20'%C3%A5ngstr%C3%B6m%20%26%20s%C3%B6hne'",
        "%24select=lastname&%24filter=lastname+eq+%27%C3%85ngstr%C3%B6m+%26+S%C3%B6hne%27",
    ):
        found = await client.get(f"{client.base_url}contacts?{query}")
        assert [item["lastname"] for item in found.json()["value"]] == ["Ångström & Söhne"]

    assert (await client.get("contacts/$count")).text == "1"
    assert (await client.get("")).json()["value"]
    assert (await client.get(str(client.base_url).rstrip("/"))).status_code == 200
    assert (await client.get("WhoAmI()")).status_code == 200
    assert (await client.patch(address, json={"firstname": "A"}, headers={"If-Match": "*"})).status_code == 204
    assert (await client.put(f"{address}/firstname", json={"value": "B"})).status_code == 204
    assert (await client.delete(address)).status_code == 204
    assert (await client.get(address)).json()["error"]["code"] == "0x80040217"

    refused = await client.get("contacts", headers={"Authorization": "Bearer nonsense"})
    assert (refused.status_code, refused.content) == (401, b"")
    assert refused.headers["WWW-Authenticate"].startswith("Bearer ")
