"""Organizations that last as long as a test: the timers of later tests must not find them."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from shared.storage.account import host_account
from shared.storage.organizations import DEFAULT_SETTINGS, TABLE, Organization, forget_organizations
from shared.storage.provisioning import provision_organization
from shared.storage.tables import Operation, Tables


@asynccontextmanager
async def an_organization(name: str = "", tenant: str = "") -> AsyncIterator[Organization]:
    """Make an organization with its tables and container; at the end it is no longer registered."""
    name = name or "org" + uuid.uuid4().hex[:12]
    organization = Organization(name, str(uuid.uuid4()), tenant or str(uuid.uuid4()), DEFAULT_SETTINGS)
    await provision_organization(organization)
    yield organization
    row = {"PartitionKey": "organization", "RowKey": name}
    await Tables(host_account()).apply(TABLE, Operation("delete", row, "*"))
    forget_organizations()
