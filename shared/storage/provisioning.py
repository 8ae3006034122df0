"""Making what must be there first: the deployment's tables and queues, an organization's tables and container."""

import asyncio

from azure.core.credentials import TokenCredential
from azure.core.exceptions import ResourceExistsError
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from shared.storage.account import Account, host_account
from shared.storage.agenda import AGENDA
from shared.storage.organizations import TABLE, Organization, is_valid_name, save_organization
from shared.storage.queues import QUEUES


async def provision_deployment() -> None:
    """Make the deployment's tables and queues where they are missing; safe to repeat."""
    await asyncio.to_thread(_make_deployment, host_account())


async def provision_organization(organization: Organization) -> None:
    """Make an organization's tables and container where they are missing and write its row; safe to repeat.

    Raises ValueError where the name cannot be an organization's.
    """
    if not is_valid_name(organization.name):
        raise ValueError(
            f"{organization.name!r} cannot name an organization: use ^[a-z][a-z0-9]{{2,30}}$, nothing reserved"
        )
    await asyncio.to_thread(_make_organization, organization)
    await save_organization(organization)


def _make_deployment(account: Account) -> None:
    with _tables(account) as tables:
        for table in (TABLE, AGENDA):
            tables.create_table_if_not_exists(table)
    with _queues(account) as queues:
        for queue in QUEUES:
            for name in (queue, f"{queue}-poison"):
                try:
                    queues.create_queue(name)
                except ResourceExistsError:
                    continue


def _make_organization(organization: Organization) -> None:
    with _tables(organization.account) as tables:
        for table in (organization.emails, organization.records, organization.lists, organization.journal):
            tables.create_table_if_not_exists(table)
    with _blobs(organization.account) as blobs:
        try:
            blobs.create_container(organization.container)
        except ResourceExistsError:
            return


def _tables(account: Account) -> TableServiceClient:
    if account.key is None:
        return TableServiceClient(account.table_url, credential=_identity())
    return TableServiceClient.from_connection_string(account.connection_string)


def _queues(account: Account) -> QueueServiceClient:
    if account.key is None:
        return QueueServiceClient(account.queue_url, credential=_identity())
    return QueueServiceClient.from_connection_string(account.connection_string)


def _blobs(account: Account) -> BlobServiceClient:
    if account.key is None:
        return BlobServiceClient(account.blob_url, credential=_identity())
    return BlobServiceClient.from_connection_string(account.connection_string)


def _identity() -> TokenCredential:
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential()
