"""Microsoft Graph v1.0: one SDK client per tenant, and the three ways in which a call fails.

The SDK costs most of a second to import, so it is imported here first, when needed and in a thread. Its own retry is
off because it repeats POSTs blindly (measured: a 504 on ``send`` is sent again); callers decide what may be repeated.
Every call asks for immutable ids (learn.microsoft.com/graph/outlook-immutable-id), which survive a move to Sent Items.
"""

import asyncio
import contextlib
import importlib
import ipaddress
import json
import logging
import time
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp

from shared import metrics
from shared.settings import SettingError, settings

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from kiota_abstractions.request_information import RequestInformation
    from msgraph.graph_service_client import GraphServiceClient

SCOPE = "https://graph.microsoft.com/.default"
CALL_TIMEOUT = 30.0
"""Seconds after which a call is given up; what it did is then unknown."""
PREFER_IMMUTABLE_IDS = 'IdType="ImmutableId"'

_UNNAMED_THROTTLE = 30.0
"""Seconds to wait where Graph throttles without saying for how long."""
_LONGEST_THROTTLE = 86_400.0
"""Seconds after which Graph is asked again whatever it said: a queue hides a message for a week at most."""
_TRANSIENT = frozenset({408, 409, 423, 425})
"""4xx that the same call may not meet later: timeout, edit conflict, a file that is locked, too early."""


_MODULES = (
    "httpx",
    "azure.identity.aio",
    "kiota_authentication_azure.azure_identity_authentication_provider",
    "msgraph.graph_request_adapter",
    "msgraph.graph_service_client",
    *(
        f"msgraph.generated.{module}_request_builder"
        for module in (
            "users.item.user_item",
            "users.item.messages.messages",
            "users.item.messages.item.message_item",
            "users.item.messages.item.send.send",
            "users.item.send_mail.send_mail",
            "users.item.messages.item.attachments.attachments",
            "users.item.messages.item.attachments.create_upload_session.create_upload_session",
            "users.item.mail_folders.item.messages.messages",
            "drives.item.items.item.content.content",
            "drives.item.items.item.create_link.create_link",
            "drives.item.items.item.create_upload_session.create_upload_session",
        )
    ),
)
"""The SDK imports the rest of itself where it is used: these are the calls that we make."""
_MODELS = {
    "message": "Message",
    "message_collection_response": "MessageCollectionResponse",
    "file_attachment": "FileAttachment",
    "drive_item": "DriveItem",
    "permission": "Permission",
    "subscription": "Subscription",
    "upload_session": "UploadSession",
    "o_data_errors.o_data_error": "ODataError",
}


class GraphError(Exception):
    """A call to Microsoft 365 failed. The text names status and code only: Graph's own words may hold addresses."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(f"{status} {code}")
        self.status, self.code, self.message = status, code, message


class Throttled(GraphError):
    """Graph asks to wait `retry_after` seconds (429, or 503 with Retry-After)."""

    def __init__(self, status: int, code: str, message: str, retry_after: float) -> None:
        super().__init__(status, code, message)
        self.retry_after = retry_after


class Unreachable(GraphError):
    """No answer, or 5xx: whether the call was carried out is unknown. `status` is 0 where there was none."""


class Rejected(GraphError):
    """Graph refused the call (4xx, or 507); it was not carried out, and the same call will be refused again."""


_clients: dict[tuple[asyncio.AbstractEventLoop, str], tuple[Any, Any, Any]] = {}


async def graph_client(tenant: str) -> "GraphServiceClient":
    """Return the client that acts app-only in `tenant` (its Entra id); calls through it go through `ask`.

    Raises `SettingError` where ``MICROSOFT365_URL`` names anything but a plain loopback address.
    """
    key = (asyncio.get_running_loop(), tenant)
    if key not in _clients:
        for stale in [other for other in _clients if other[0].is_closed()]:
            del _clients[stale]
        # Reading the certificates alone takes a tenth of a second.
        _clients.setdefault(key, await asyncio.to_thread(_connect, tenant))
    client: GraphServiceClient = _clients[key][0]
    return client


async def close_clients() -> None:
    """Close the running event loop's clients and their credentials."""
    loop = asyncio.get_running_loop()
    for key in [key for key in _clients if key[0] is loop]:
        _, http, credential = _clients.pop(key)
        await http.aclose()
        await credential.close()


async def ask[T](call: Awaitable[T], timeout: float = CALL_TIMEOUT) -> T:
    """Await one SDK call and return its answer; raise `Throttled`, `Unreachable` or `Rejected` where it fails."""
    import httpx
    from azure.core.exceptions import AzureError, ClientAuthenticationError
    from kiota_abstractions.api_error import APIError

    try:
        async with asyncio.timeout(timeout):
            return await call
    except APIError as error:
        raise _translated(error) from None
    except ClientAuthenticationError as error:
        # Of the credential, before Graph was called: refused by Entra ID, or the identity endpoint is not there (yet).
        if error.status_code in (400, 401, 403):
            raise Rejected(401, "InvalidClientCredentials", str(error.message)) from None
        raise Unreachable(error.status_code or 0, type(error).__name__) from None
    except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, AzureError, TimeoutError, OSError) as error:
        raise Unreachable(0, type(error).__name__) from None
    except json.JSONDecodeError:
        raise Unreachable(0, "UnreadableAnswer") from None


async def read_start(tenant: str, wanted: "RequestInformation", most: int) -> bytes:
    """Return the first `most` bytes of what a request answers and read no further, which no call of the SDK does.

    To be awaited through `ask`; raises as that does.
    """
    client = await graph_client(tenant)
    http = _clients[asyncio.get_running_loop(), tenant][1]
    # The SDK's own calls set it; turning a request into one of httpx does not, and finds it only where a call before
    # left it behind.
    wanted.path_parameters["baseurl"] = client.request_adapter.base_url
    async with contextlib.aclosing(
        await http.send(await client.request_adapter.convert_to_native_async(wanted), stream=True)
    ) as response:
        chunks, length = [], 0
        async for chunk in response.aiter_bytes():
            chunks.append(chunk)
            length += len(chunk)
            if length >= most:
                break
    text = b"".join(chunks)[:most]
    if response.status_code >= 400:
        raise error_for(response.status_code, response.headers, *_named(text))
    return text


def _named(answer: bytes) -> tuple[str, str]:
    """Return the code and the message of an error that Graph answers with, "" where it names none."""
    try:
        error = json.loads(answer)["error"]
        return str(error["code"]), str(error["message"])
    except (ValueError, LookupError, TypeError):
        return "", ""


def error_for(status: int, headers: Mapping[str, str], code: str, message: str) -> GraphError:
    """Return the error that an HTTP answer stands for; header names in any case of a case-insensitive mapping."""
    waiting = headers.get("Retry-After") or headers.get("retry-after")
    if status == 429 or (status == 503 and waiting):
        metrics.GRAPH_THROTTLED.add(str(status))
        return Throttled(status, code, message, retry_after(waiting))
    if status in _TRANSIENT or (status >= 500 and status != 507):
        return Unreachable(status, code, message)
    return Rejected(status, code, message)


def retry_after(value: str | None) -> float:
    """Return the seconds that a Retry-After header asks for: a number or an HTTP date (RFC 9110 section 10.2.3); at
    most a day."""
    if value is None:
        return _UNNAMED_THROTTLE
    return min(max(0.0, _seconds(value)), _LONGEST_THROTTLE)


def _seconds(retry_after: str) -> float:
    try:
        return float(retry_after)
    except ValueError:
        pass
    try:
        at = parsedate_to_datetime(retry_after)
    except ValueError:
        return _UNNAMED_THROTTLE
    return (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds()


def _translated(error: Any) -> GraphError:
    main = getattr(error, "error", None)
    code, message = getattr(main, "code", None), getattr(main, "message", None) or error.message
    return error_for(error.response_status_code or 0, error.response_headers or {}, code or "", message or "")


def _connect(tenant: str) -> tuple[Any, Any, Any]:
    _load()
    import httpx
    from kiota_abstractions.request_option import RequestOption
    from kiota_authentication_azure.azure_identity_authentication_provider import AzureIdentityAuthenticationProvider
    from kiota_http.middleware.options import RetryHandlerOption
    from msgraph.graph_request_adapter import GraphRequestAdapter, options
    from msgraph.graph_service_client import GraphServiceClient
    from msgraph_core import GraphClientFactory  # type: ignore[import-untyped]

    base = settings().graph_url
    credential = _credential(tenant)
    # The token goes to Graph only, whatever URL a next link or an upload session names.
    provider = AzureIdentityAuthenticationProvider(
        credential, scopes=[SCOPE], allowed_hosts=[urlsplit(base).hostname or ""]
    )
    http = httpx.AsyncClient(
        http2=True,
        timeout=httpx.Timeout(CALL_TIMEOUT, connect=5.0),
        headers={"Prefer": PREFER_IMMUTABLE_IDS},
        trust_env=False,
    )
    chosen: dict[str, RequestOption] = dict(options)
    chosen[RetryHandlerOption.get_key()] = RetryHandlerOption(max_retries=0, should_retry=False)
    adapter = GraphRequestAdapter(
        provider, client=GraphClientFactory.create_with_default_middleware(client=http, options=chosen)
    )
    adapter.base_url = base
    return GraphServiceClient(request_adapter=adapter), http, credential


def _credential(tenant: str) -> Any:
    configured = settings()
    if configured.microsoft365_url:
        return StandInCredential(configured.microsoft365_url, tenant)
    from azure.identity.aio import ClientSecretCredential, ManagedIdentityCredential

    if configured.azure_client_id and configured.azure_client_secret:
        return ClientSecretCredential(tenant, configured.azure_client_id, configured.azure_client_secret)
    identity = configured.azure_client_id or configured.identity_client_id
    return ManagedIdentityCredential(client_id=identity) if identity else ManagedIdentityCredential()


class StandInCredential:
    """App-only tokens from the Microsoft 365 stand-in over plain http, which azure-identity refuses to speak."""

    def __init__(self, authority: str, tenant: str) -> None:
        url = urlsplit(authority)
        if url.scheme != "http" or not _is_loopback(url.hostname or ""):
            raise SettingError("MICROSOFT365_URL must be http on a loopback address, such as http://127.0.0.1:7072")
        self._url = f"{authority}/{tenant}/oauth2/v2.0/token"
        self._token: AccessToken | None = None

    async def get_token(self, *scopes: str, **_: Any) -> "AccessToken":
        """Return a token, kept until five minutes before it expires; raise as aiohttp does where there is none."""
        from azure.core.credentials import AccessToken

        if self._token is None or self._token.expires_on < time.time() + 300:
            form = {
                "grant_type": "client_credentials",
                "client_id": "email-engagement",
                "client_secret": "stand-in",
                "scope": scopes[0],
            }
            async with aiohttp.ClientSession() as session, session.post(self._url, data=form) as response:
                response.raise_for_status()
                answer = await response.json()
            self._token = AccessToken(answer["access_token"], int(time.time()) + int(answer["expires_in"]))
        return self._token

    async def close(self) -> None:
        """Nothing is held open."""


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _load() -> None:
    """Import the SDK and what our calls make it import later, so that none of it happens on the event loop."""
    for module in _MODULES:
        importlib.import_module(module)
    for module, name in _MODELS.items():
        # A model imports the models that it refers to only when its fields are asked for.
        getattr(importlib.import_module(f"msgraph.generated.models.{module}"), name)().get_field_deserializers()
    # httpx logs every URL, and ours hold addresses.
    logging.getLogger("httpx").setLevel(logging.WARNING)
