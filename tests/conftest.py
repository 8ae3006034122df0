"""Fixtures that more than one layer of tests uses."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator, Iterator

import hypothesis
import pytest
import pytest_asyncio

from local import azurite as emulator
from local.processes import is_port_free, stop
from shared.settings import settings
from shared.storage import account, blobs
from shared.storage.account import account_of, close_session, host_account
from shared.storage.organizations import Organization
from shared.storage.provisioning import provision_deployment
from tests.organizations import an_organization
from tests.running_service import Service, running_service

# Limits of time live in the benchmarks: on a busy machine they would fail a test that is right. A test that calls a
# service itself has no queue that brings the call again, so it waits for the emulator as long as it takes.
hypothesis.settings.register_profile("untimed", deadline=None)
hypothesis.settings.load_profile("untimed")
account.CALL_TIMEOUT = 120.0


def free_ports(count: int) -> int:
    """Return the first of `count` neighbouring ports that are free, below the range of outgoing connections."""
    for _ in range(1000):
        first = random.randrange(11000, 32000)
        if all(is_port_free(first + offset) for offset in range(count)):
            return first
    raise RuntimeError("no free ports between 11000 and 32000")


@pytest.fixture(scope="session")
def azurite() -> Iterator[str]:
    """Return the connection string of an Azurite in memory, one per test process: it is ready in 1.5 seconds."""
    emulator.install()
    for attempt in range(5):
        port = free_ports(3)
        try:
            process = emulator.start(port, None)
            break
        except (OSError, RuntimeError):
            if attempt == 4:
                raise
    yield emulator.connection_string(port)
    stop(process)


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """Run the whole service, one per test process, until its last test is over."""
    with running_service(tmp_path_factory.mktemp("service"), free_ports(5)) as running:
        yield running


@pytest.fixture(scope="session")
def configured(azurite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Give this process the app settings of a deployment on `azurite`."""
    values = {
        "AzureWebJobsStorage": azurite,
        "BASE_URL": "http://127.0.0.1:7071",
        "TOKEN_SECRETS": "1:" + base64.b64encode(b"a secret of the tests, 32 bytes or more").decode(),
        "TRUSTED_PROXIES": "127.0.0.0/8,::1/128",
        "SPOOL_DIR": str(tmp_path_factory.mktemp("spool")),
        "WEB_API_AUDIENCE": "api://email-engagement",
        "MICROSOFT365_URL": "",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in values.items():
            patch.setenv(name, value)
        settings.cache_clear()
        host_account.cache_clear()
        account_of.cache_clear()
        asyncio.run(provision_deployment())
        yield
        settings.cache_clear()


@pytest_asyncio.fixture
async def organization(configured: None) -> AsyncIterator[Organization]:
    """Return an organization of its own for one test, with its tables and container."""
    async with an_organization() as made:
        yield made


@pytest_asyncio.fixture(scope="session", autouse=True)
async def connections() -> AsyncIterator[None]:
    """Close what the tests' event loop keeps open."""
    yield
    await blobs.close_clients()
    await close_session()
