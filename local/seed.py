"""Makes the demo organizations and their users in a local run's storage; safe to repeat."""

import asyncio
import os
import uuid
from pathlib import Path

from local.directory import TENANTS, Tenant
from local.functions_host.app_settings import load_app_settings
from shared.engagement.times import iso_seconds
from shared.services import organizations
from shared.storage import records
from shared.storage.account import Conflict, close_session
from shared.storage.provisioning import provision_deployment


async def seed() -> None:
    """Provision the deployment and every organization of the local directory."""
    await provision_deployment()
    for tenant in TENANTS:
        await _seed_organization(tenant)
    await close_session()


async def _seed_organization(tenant: Tenant) -> None:
    # The id must be the same at every start, because the organization's data is.
    organization_id = str(uuid.uuid5(uuid.UUID(tenant.id), "organization"))
    try:
        organization, _ = await organizations.add(tenant.organization, tenant.id, id=organization_id)
    except organizations.CannotManage as reason:
        print(f"{tenant.organization} is not seeded: {reason}")
        return
    for person in tenant.people:
        columns = {
            "systemuserid": person.id,
            "azureactivedirectoryobjectid": person.id,
            "fullname": person.name,
            "firstname": person.name.partition(" ")[0],
            "lastname": person.name.partition(" ")[2],
            "internalemailaddress": person.address,
            "domainname": person.address,
            "isdisabled": False,
            "createdon": iso_seconds(0),
            "modifiedon": iso_seconds(0),
        }
        try:
            await records.insert(organization, "systemuser", person.id, columns)
        except Conflict:
            continue


if __name__ == "__main__":
    os.environ.update(load_app_settings(Path.cwd(), os.environ))
    asyncio.run(seed())
