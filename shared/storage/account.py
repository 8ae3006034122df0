"""A storage account as our own REST calls see it: addresses, authorization, and the errors a service answers with.

The Azure SDKs serve where calls are few (`shared.storage.provisioning`, `shared.storage.blobs`). Tables and queue
messages are on the recipients' path and in the fold, where the SDK costs several times what the write does
(docs/decisions.md), so they speak REST here.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from email.utils import formatdate
from functools import cache, cached_property
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from yarl import URL

from shared.settings import SettingError, read_storage
from shared.storage.calls import turn

API_VERSION = "2021-12-02"
"""The newest version that tables, queues and Azurite all take."""

CALL_TIMEOUT = 10.0
"""Seconds after which a call is given up as unavailable."""
_KEPT_IDLE = 4.0
"""Seconds that an idle connection is kept: Azurite (Node) closes it after 5, and what is sent just then is lost."""


class StorageError(Exception):
    """A storage service refused a call. `index` is the failing operation of a transaction, where one is named."""

    def __init__(self, status: int, code: str, message: str = "", index: int | None = None) -> None:
        super().__init__(f"{status} {code}: {message}"[:300])
        self.status, self.code, self.index = status, code, index


class NotFound(StorageError):
    """The entity, table or queue is not there (404)."""


class Conflict(StorageError):
    """The entity is there already (409)."""


class PreconditionFailed(StorageError):
    """Somebody else changed the entity first (412)."""


class Unavailable(StorageError):
    """The service did not answer, or answered that it cannot now (429, 5xx): the same call may succeed later."""


@dataclass(frozen=True)
class Account:
    """The addresses of a storage account, and its key where it has one."""

    name: str
    table_url: str
    queue_url: str
    blob_url: str
    key: bytes | None
    connection_string: str

    @cached_property
    def table_path(self) -> str:
        """The path of the table service, for canonicalized resources; an emulator's holds the account's name."""
        return path_of(self.table_url)

    def __repr__(self) -> str:
        return f"Account({self.name})"


def parse_connection_string(text: str, setting: str = "AzureWebJobsStorage") -> Account:
    """Return the account that a connection string names; raise `SettingError` naming `setting` where there is none."""
    if text.strip() == "UseDevelopmentStorage=true":
        text = (
            "DefaultEndpointsProtocol=http;AccountName=devstoreaccount1;AccountKey=Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50u"
            "SRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==;BlobEndpoint=http://127.0.0.1:10000/devstoreaccount1;"
            "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1;TableEndpoint=http://127.0.0.1:10002/devstoreaccount1;"
        )
    parts = dict(part.strip().split("=", 1) for part in text.split(";") if "=" in part)
    name = parts.get("AccountName", "")
    try:
        key = base64.b64decode(parts["AccountKey"], validate=True)
    except (KeyError, ValueError):
        raise SettingError(f"{setting} must be a connection string with AccountName and AccountKey (base64)") from None
    scheme, suffix = parts.get("DefaultEndpointsProtocol", "https"), parts.get("EndpointSuffix", "core.windows.net")
    table, queue, blob = (
        parts.get(f"{service.capitalize()}Endpoint", f"{scheme}://{name}.{service}.{suffix}").rstrip("/")
        for service in ("table", "queue", "blob")
    )
    return Account(name, table, queue, blob, key, text)


@cache
def host_account() -> Account:
    """Return the deployment's own storage account."""
    configured = read_storage(os.environ)
    if configured.connection_string:
        return parse_connection_string(configured.connection_string)
    return _account_with_identity(configured.account)


@cache
def account_of(organization: str) -> Account:
    """Return the account that holds an organization's data.

    An organization with an account of its own has it named in the app setting ``STORAGE_<NAME>`` (a connection string,
    or an account name for the identity): the recipients' path knows it without a look-up.
    """
    own = os.environ.get(account_setting(organization), "")
    if not own:
        return host_account()
    return parse_connection_string(own, account_setting(organization)) if "=" in own else _account_with_identity(own)


def account_setting(organization: str) -> str:
    """Return the name of the app setting that names an organization's own account."""
    return f"STORAGE_{organization.upper()}"


def _account_with_identity(name: str) -> Account:
    table, queue, blob = (f"https://{name}.{service}.core.windows.net" for service in ("table", "queue", "blob"))
    return Account(name, table, queue, blob, None, "")


_sessions: dict[asyncio.AbstractEventLoop, aiohttp.ClientSession] = {}


def session() -> aiohttp.ClientSession:
    """Return the HTTP session of the running event loop; connections are kept and shared."""
    loop = asyncio.get_running_loop()
    found = _sessions.get(loop)
    if found is None or found.closed:
        for stale in [other for other in _sessions if other.is_closed()]:
            del _sessions[stale]
        found = _sessions[loop] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=64, keepalive_timeout=_KEPT_IDLE),
            timeout=aiohttp.ClientTimeout(total=CALL_TIMEOUT, sock_connect=2.0),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("User-Agent", "Accept-Encoding"),
        )
    return found


async def close_session() -> None:
    """Close the running event loop's session."""
    found = _sessions.pop(asyncio.get_running_loop(), None)
    if found is not None:
        await found.close()


@contextlib.asynccontextmanager
async def call(
    method: str, url: str, headers: Mapping[str, str], body: bytes | None
) -> AsyncIterator[aiohttp.ClientResponse]:
    """Send one signed request; transport failures become `Unavailable`."""
    try:
        async with (
            turn(reading=method == "GET"),
            session().request(method, URL(url, encoded=True), headers=headers, data=body) as response,
        ):
            yield response
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise Unavailable(0, type(error).__name__, str(error)) from None


def error_for(status: int, code: str, message: str = "", index: int | None = None) -> StorageError:
    """Return the error that an HTTP status stands for."""
    if status >= 500 or status in (408, 429):
        return Unavailable(status, code, message, index)
    kind = {404: NotFound, 409: Conflict, 412: PreconditionFailed}.get(status, StorageError)
    return kind(status, code, message, index)


def http_date() -> str:
    """Return the present as RFC 9110 writes it; formatted once a second."""
    return _format_date(int(time.time()))


_last_date: tuple[int, str] = (0, "")


def _format_date(second: int) -> str:
    global _last_date
    if _last_date[0] != second:
        _last_date = (second, formatdate(second, usegmt=True))
    return _last_date[1]


async def authorization(account: Account, string_to_sign: Callable[[], str]) -> str:
    """Return the Authorization header: SharedKeyLite where the account has a key, else the identity's bearer token."""
    if account.key is None:
        return f"Bearer {await _identity_token()}"
    tag = hmac.digest(account.key, string_to_sign().encode(), hashlib.sha256)
    return f"SharedKeyLite {account.name}:{base64.b64encode(tag).decode()}"


_credential: Any = None


def identity() -> Any:
    """Return what signs in where an account has no key: the managed identity, or whoever `az login` has signed in."""
    global _credential
    if _credential is None:
        from azure.identity.aio import DefaultAzureCredential, ManagedIdentityCredential

        client_id = read_storage(os.environ).client_id
        _credential = ManagedIdentityCredential(client_id=client_id) if client_id else DefaultAzureCredential()
    return _credential


async def close_identity() -> None:
    """Close the connections that signing in has opened."""
    global _credential
    if _credential is not None:
        await _credential.close()
        _credential = None


async def _identity_token() -> str:
    """Return the managed identity's token for storage; azure-identity keeps and renews it.

    Raises `Unavailable` where the identity cannot sign in: no call was refused, and the same one may succeed later.
    """
    from azure.core.exceptions import AzureError

    try:
        token = await identity().get_token("https://storage.azure.com/.default")
    except (AzureError, OSError) as error:
        raise Unavailable(0, type(error).__name__, str(error)) from None
    return str(token.token)


def path_of(url: str) -> str:
    """Return the path of a URL as it is sent, for canonicalized resources."""
    return urlsplit(url).path
