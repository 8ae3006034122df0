"""Storage that fails on demand."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from shared.services.caller import Caller
from shared.services.people import welcome
from shared.storage.organizations import Organization
from tests.breaking import Breaker, a_breakable_organization

NOW = datetime(2026, 11, 23, 17, 35, tzinfo=UTC)
CALLER = Caller(str(uuid.uuid4()), "", "", frozenset({"Seller"}))


@pytest_asyncio.fixture
async def breaker(configured: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Breaker, Organization]]:
    """Return an organization whose tables are reached through a breaker, with a caller who is known there."""
    async with a_breakable_organization(monkeypatch) as (found, organization):
        await welcome(organization, CALLER.user, "Sella Seller", "seller@contoso.example", NOW)
        yield found, organization
