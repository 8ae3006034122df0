"""The fixtures of the tests of what comes back by mail; a test module imports them by name."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.mailbox_world import World, mailbox_triggers, new_world, run_standin, settings_for


@pytest.fixture(scope="module")
def standin(configured: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a stand-in; this process's settings point at it."""
    with run_standin(tmp_path_factory.mktemp("microsoft365")) as url, settings_for(url):
        yield url


@pytest_asyncio.fixture(scope="module")
async def receiver(standin: str) -> AsyncIterator[None]:
    """The notification triggers, served where BASE_URL says."""
    async with mailbox_triggers():
        yield


@pytest_asyncio.fixture
async def world(standin: str, receiver: None) -> AsyncIterator[World]:
    """An organization of its own at the stand-in."""
    async with new_world(standin) as made:
        yield made
