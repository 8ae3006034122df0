"""All that an organization has in storage, read with Microsoft's SDKs, to compare before and after."""

import asyncio
from typing import Any

from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient
from azure.storage.queue import QueueServiceClient

from shared.storage.account import host_account
from shared.storage.organizations import Organization


async def dump(organization: Organization) -> dict[str, Any]:
    """Return every entity, typed, by table and keys; every blob with its type; and the entries of the agenda."""
    return await asyncio.to_thread(_dump, organization)


def _dump(organization: Organization) -> dict[str, Any]:
    found: dict[str, Any] = {}
    with TableServiceClient.from_connection_string(host_account().connection_string) as tables:
        for name in (organization.emails, organization.records, organization.lists, "Agenda", "Organizations"):
            for row in tables.get_table_client(name).list_entities():
                key = row["PartitionKey"], row["RowKey"]
                if name == organization.emails or organization.name in name or organization.name in key[1]:
                    found[f"{name}/{key}"] = dict(row)
    with BlobServiceClient.from_connection_string(host_account().connection_string) as blobs:
        container = blobs.get_container_client(organization.container)
        for blob in container.list_blobs():
            content = container.download_blob(blob.name).readall()
            found[f"blob/{blob.name}"] = content, blob.content_settings.content_type
    return found


async def messages(organization: Organization, queue: str = "deliver") -> list[str]:
    """Return the messages of the queue that are about an organization, and empty it."""
    return await asyncio.to_thread(_messages, organization, queue)


def _messages(organization: Organization, queue: str) -> list[str]:
    with QueueServiceClient.from_connection_string(host_account().connection_string) as queues:
        client = queues.get_queue_client(queue)
        found = [str(message.content) for message in client.receive_messages(messages_per_page=32)]
        client.clear_messages()
    return [message for message in found if organization.name in message]
