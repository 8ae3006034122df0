"""The deployment's tables and queues, and an organization's tables and container: making them, and removing the latter.

Azure goes on deleting a table or a container for half a minute and more after it has said so; until then its name
cannot be used, and whoever makes it anew waits.
"""

import asyncio
import contextlib
import os
import time
from collections.abc import Callable

from azure.core.credentials import TokenCredential
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from shared.settings import read_storage
from shared.storage.account import Account, host_account
from shared.storage.agenda import AGENDA
from shared.storage.organizations import TABLE, Organization, is_valid_name, save_organization
from shared.storage.queues import QUEUES

_DELETING_SECONDS = 180.0
"""How long to wait for storage to finish deleting what had the same name."""
_PAUSE = 5.0


async def provision_deployment() -> None:
    """Make the deployment's tables and queues where they are missing; safe to repeat."""
    await asyncio.to_thread(_make_deployment, host_account())


async def provision_organization(organization: Organization) -> None:
    """Make an organization's tables and container where they are missing and write its row; safe to repeat.

    Raises ValueError where the name cannot be an organization's.
    """
    await make_storage(organization)
    await save_organization(organization)


async def make_storage(organization: Organization) -> None:
    """Make an organization's tables and container where they are missing; safe to repeat.

    Raises ValueError where the name cannot be an organization's, TimeoutError where storage is still deleting what was
    there under this name.
    """
    if not is_valid_name(organization.name):
        raise ValueError(
            f"{organization.name!r} cannot name an organization: use ^[a-z][a-z0-9]{{2,30}}$, nothing reserved"
        )
    await asyncio.to_thread(_make_organization, organization)


async def delete_storage(organization: Organization) -> None:
    """Delete an organization's tables and container with all that they hold; safe to repeat."""
    await asyncio.to_thread(_delete_organization, organization)


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
        for table in _tables_of(organization):
            _make(table, tables.create_table)
    with _blobs(organization.account) as blobs:
        _make(organization.container, blobs.create_container)


def _make(name: str, create: Callable[[str], object]) -> None:
    deadline = time.monotonic() + _DELETING_SECONDS
    while True:
        try:
            create(name)
        except HttpResponseError as error:
            # The SDKs' codes are enumerations that equal their texts and have other hashes.
            if getattr(error, "error_code", "") not in ("TableBeingDeleted", "ContainerBeingDeleted"):
                if isinstance(error, ResourceExistsError):
                    return
                raise
        else:
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{name} is still being deleted by storage: try again in a few minutes")
        time.sleep(_PAUSE)


def _delete_organization(organization: Organization) -> None:
    with _tables(organization.account) as tables:
        for table in _tables_of(organization):
            # One that is not there is no error to this call.
            tables.delete_table(table)
    with _blobs(organization.account) as blobs, contextlib.suppress(ResourceNotFoundError):
        blobs.delete_container(organization.container)


def _tables_of(organization: Organization) -> tuple[str, ...]:
    return organization.emails, organization.records, organization.lists, organization.journal


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

    return DefaultAzureCredential(managed_identity_client_id=read_storage(os.environ).client_id or None)
