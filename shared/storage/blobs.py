"""Blobs of one organization: bodies, hosted images, attachments waiting to be sent. The SDK is loaded at first use."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from typing import Any

from shared.storage import undo
from shared.storage.account import NotFound, Unavailable, identity
from shared.storage.organizations import Organization

_clients: dict[tuple[asyncio.AbstractEventLoop, str], Any] = {}


async def put(
    organization: Organization, name: str, data: bytes, content_type: str = "application/octet-stream"
) -> None:
    """Write a blob, replacing one of the same name."""
    noted = undo.log()
    if noted is not None:
        await _note_put(noted, organization, name)
    await _put(organization, name, data, content_type)


async def _put(organization: Organization, name: str, data: bytes, content_type: str) -> None:
    sdk = await _sdk()
    client = await _container(organization)
    await _guarded(
        client.upload_blob(name, data, overwrite=True, content_settings=sdk.ContentSettings(content_type=content_type))
    )


async def get(organization: Organization, name: str) -> bytes:
    """Return a blob's content; raise `NotFound` where there is none."""
    client = await _container(organization)

    async def read() -> bytes:
        stream = await client.download_blob(name)
        return bytes(await stream.readall())

    return bytes(await _guarded(read()))


async def get_range(organization: Organization, name: str, offset: int, length: int) -> bytes:
    """Return `length` bytes of a blob from `offset`, fewer at its end; raise `NotFound` where there is none."""
    client = await _container(organization)

    async def read() -> bytes:
        stream = await client.download_blob(name, offset=offset, length=length)
        return bytes(await stream.readall())

    return bytes(await _guarded(read()))


async def names(organization: Organization) -> AsyncIterator[str]:
    """Yield the name of every blob, in order."""
    client = await _container(organization)
    found = client.list_blob_names()
    while (name := await _guarded(anext(found, None))) is not None:
        yield str(name)


async def delete(organization: Organization, name: str) -> None:
    """Delete a blob; it may be gone already. In a scope of `shared.storage.undo` it goes when that has ended well."""
    noted = undo.log()
    if noted is None:
        await _delete(organization, name)
    else:
        noted.held[_key(organization, name)] = lambda: _delete(organization, name)


async def _delete(organization: Organization, name: str) -> None:
    client = await _container(organization)
    try:
        await _guarded(client.delete_blob(name))
    except NotFound:
        return


async def _note_put(noted: undo.Log, organization: Organization, name: str) -> None:
    key = _key(organization, name)
    noted.held.pop(key, None)
    if key in noted.steps:
        return
    before = await _whole(organization, name)

    async def take_back() -> None:
        await (_delete(organization, name) if before is None else _put(organization, name, *before))

    noted.note(key, take_back)


async def _whole(organization: Organization, name: str) -> tuple[bytes, str] | None:
    """Return a blob's content and its type, None where there is none."""
    client = await _container(organization)

    async def read() -> tuple[bytes, str]:
        stream = await client.download_blob(name)
        return bytes(await stream.readall()), stream.properties.content_settings.content_type

    try:
        found: tuple[bytes, str] = await _guarded(read())
    except NotFound:
        return None
    return found


def _key(organization: Organization, name: str) -> tuple[str, str, str]:
    return "blob", organization.name, name


async def close_clients() -> None:
    """Close the running event loop's clients."""
    loop = asyncio.get_running_loop()
    for key in [key for key in _clients if key[0] is loop]:
        await _clients.pop(key).close()


async def _guarded(work: Any) -> Any:
    """Await an SDK call and raise its failure as our own `NotFound` or `Unavailable`."""
    from azure.core.exceptions import AzureError, ResourceNotFoundError

    try:
        return await work
    except ResourceNotFoundError as error:
        raise NotFound(404, "BlobNotFound", str(error)) from None
    except AzureError as error:
        raise Unavailable(getattr(error, "status_code", 0) or 0, type(error).__name__, str(error)) from None


async def _sdk() -> Any:
    # Importing it takes a fifth of a second: in a thread, so that no recipient waits for it.
    return await asyncio.to_thread(importlib.import_module, "azure.storage.blob")


async def _container(organization: Organization) -> Any:
    account = organization.account
    key = (asyncio.get_running_loop(), account.blob_url)
    if key not in _clients:
        sdk = await asyncio.to_thread(importlib.import_module, "azure.storage.blob.aio")
        options: dict[str, Any] = {"retry_total": 1, "connection_timeout": 2, "read_timeout": 30}
        if account.key is not None:
            _clients[key] = sdk.BlobServiceClient.from_connection_string(account.connection_string, **options)
        else:
            _clients[key] = sdk.BlobServiceClient(account.blob_url, credential=identity(), **options)
    return _clients[key].get_container_client(organization.container)
