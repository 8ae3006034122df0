"""Fixtures of the integration tests: people who are signed in to an organization."""

from collections.abc import Iterator

import pytest

from shared.settings import settings
from shared.storage.organizations import Organization
from shared.webapi.auth import forget_keys
from tests.entra import Issuer, issuing
from tests.web_client import Client


@pytest.fixture(scope="session")
def keys_over_http() -> Iterator[Issuer]:
    """Return an issuer of tokens whose keys are served on loopback, one per test process."""
    with issuing() as issuer:
        yield issuer


@pytest.fixture
def issuer(configured: None, keys_over_http: Issuer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Issuer]:
    """Return the issuer that the settings trust."""
    monkeypatch.setenv("MICROSOFT365_URL", keys_over_http.url)
    settings.cache_clear()
    forget_keys()
    yield keys_over_http
    keys_over_http.status = 200
    keys_over_http.requests.clear()
    monkeypatch.undo()
    settings.cache_clear()


@pytest.fixture
def seller(organization: Organization, issuer: Issuer) -> Client:
    """Return a seller of `organization`."""
    return Client(organization, issuer)


@pytest.fixture
def manager(organization: Organization, issuer: Issuer) -> Client:
    """Return a manager of `organization`."""
    return Client(organization, issuer, roles=("Manager",))


@pytest.fixture
def administrator(organization: Organization, issuer: Issuer) -> Client:
    """Return an administrator of `organization`."""
    return Client(organization, issuer, roles=("Administrator",))
