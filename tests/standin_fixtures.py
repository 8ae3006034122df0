"""Fixtures of the tests that deliver mail: a stand-in checked against Graph's contract, and an organization at it."""

from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
import pytest_asyncio

from shared.graph.client import close_clients
from shared.settings import settings
from shared.storage import blobs, records
from shared.storage.account import close_session
from tests.delivery_world import SELLER, TENANT, World
from tests.mailbox_world import run_standin
from tests.organizations import an_organization

IGNORED_WARNINGS = [
    pytest.mark.filterwarnings("ignore:This class is deprecated:DeprecationWarning:msgraph"),
    pytest.mark.filterwarnings("ignore:GetQueryParameters is deprecated:DeprecationWarning:kiota"),
]
"""What the SDK says of its own generated code while it is imported."""


@pytest.fixture(scope="module")
def standin(configured: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a stand-in of its own, which this process's settings point at."""
    with (
        run_standin(tmp_path_factory.mktemp("microsoft365")) as url,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("MICROSOFT365_URL", url)
        settings.cache_clear()
        yield url
    settings.cache_clear()


@pytest_asyncio.fixture
async def world(standin: str) -> AsyncIterator[World]:
    """Return an organization of its own at the stand-in; afterwards Graph's contract must have been kept."""
    columns = {"fullname": SELLER.name, "internalemailaddress": SELLER.address, "domainname": SELLER.address}
    async with an_organization(tenant=TENANT.id) as organization, aiohttp.ClientSession() as http:
        await records.put(organization, "systemuser", SELLER.id, columns)
        made = World(standin, organization, http)
        await made.call("DELETE", "/local/requests")
        yield made
        await made.call("DELETE", "/local/faults")
        violations = (await made.call("GET", "/local/violations"))["value"]
        await made.call("DELETE", "/local/violations")
        assert violations == []
    await close_clients()
    await blobs.close_clients()
    await close_session()
