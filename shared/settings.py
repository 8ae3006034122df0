"""The app settings: everything that an operator or a local run may set, read once from the environment.

On Azure they are application settings, locally ``local.settings.json``; both reach Python as environment variables.
"""

import base64
import hashlib
import ipaddress
import math
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from shared.engagement.hits import Network
from shared.engagement.link_keys import LINK_KEYS, LinkKeys, parse_link_keys

_SET_BY_AZURE = ("WEBSITE_INSTANCE_ID", "WEBSITE_SITE_NAME")
"""What App Service and Functions tell every process
(learn.microsoft.com/azure/app-service/reference-app-settings#app-environment)."""
_SAMPLE_SECRET = "c3d9b59e642494c189a997ec577ebf0341dc32b289a2943de43a04bb8a5318d5"  # noqa: S105 - its SHA-256
"""SHA-256 of the secret in ``local.settings.sample.json``, which everybody knows."""


_ADDRESS = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*")
"""What links can begin with: it stands in mail as it is, so in ASCII, without query and fragment."""


class SettingError(ValueError):
    """An app setting is missing or malformed; the message names it and says what would be right."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings of one process. Times are seconds, sizes are bytes."""

    storage: str
    """Connection string of the deployment's storage account; empty where an identity is used."""
    storage_account: str
    """Name of the deployment's storage account where an identity is used."""
    identity_client_id: str
    """Client id of the user-assigned identity; empty for the system-assigned one."""
    base_url: str
    """Where recipients reach this deployment: scheme, host and port, without a trailing slash."""
    token_secrets: Mapping[int, bytes]
    """Every secret that signed links may name, by key id (0-255)."""
    token_key: int
    """The key id that new links are signed with."""
    link_keys: LinkKeys
    """The keys of links that organizations have brought from other deployments, from ``LINK_KEYS_<NAME>``."""
    trusted_proxies: tuple[Network, ...]
    """The peers whose ``X-Forwarded-For`` entries are believed."""
    spool_directory: Path
    spool_limit: int
    answer_budget: float
    """How long a recipient's request waits for its hit to be committed before the hit is spooled instead."""
    microsoft365_url: str
    """Base of the Microsoft 365 stand-in; empty for the real Microsoft Graph and Entra ID."""
    azure_client_id: str
    azure_client_secret: str
    """The app registration for Graph outside Azure; on Azure the managed identity serves and both are empty."""
    web_api_audience: tuple[str, ...]
    """What a bearer token's ``aud`` may say: the application ID URI and its client id."""
    web_api_requests: int
    """How many requests a user may make of the Web API of one process within five minutes."""
    claim_seconds: float
    """How long a delivery claim lasts without being renewed."""

    @property
    def graph_url(self) -> str:
        """Base of Microsoft Graph v1.0."""
        return f"{self.microsoft365_url or 'https://graph.microsoft.com'}/v1.0"

    @property
    def authority_url(self) -> str:
        """Base of the Entra ID endpoints."""
        return self.microsoft365_url or "https://login.microsoftonline.com"


@dataclass(frozen=True, slots=True)
class Storage:
    """Where the deployment's storage account is: a connection string, or a name for the identity; `client_id` is that
    of the user-assigned one."""

    connection_string: str
    account: str
    client_id: str


@dataclass(frozen=True, slots=True)
class Telemetry:
    """Where metrics go: the connection string of Application Insights, and the seconds between two exports."""

    connection_string: str
    interval: float


def telemetry(environment: Mapping[str, str]) -> Telemetry | None:
    """Return where metrics go, None where they go nowhere. Raises `SettingError`.

    Apart from `settings`, as it is asked for while the app is loaded, before it is known what else is wrong.
    """
    connection = environment.get("APPLICATIONINSIGHTS_CONNECTION_STRING", "")
    milliseconds = _count(environment, "OTEL_METRIC_EXPORT_INTERVAL", 60_000)
    return Telemetry(connection, milliseconds / 1000) if connection else None


def read_storage(environment: Mapping[str, str]) -> Storage:
    """Return the settings of the deployment's storage account, all that tools need; raise `SettingError`."""
    storage = environment.get("AzureWebJobsStorage", "")
    account = environment.get("AzureWebJobsStorage__accountName", "")
    if not storage and not account:
        raise SettingError(
            "AzureWebJobsStorage is not set: give a connection string, or AzureWebJobsStorage__accountName"
        )
    return Storage(storage, account, environment.get("AzureWebJobsStorage__clientId", ""))


def read_settings(environment: Mapping[str, str]) -> Settings:
    """Return the settings that `environment` holds; raise `SettingError` naming the one that is wrong."""
    storage = read_storage(environment)
    secrets = read_secrets(environment)
    if any(environment.get(name) for name in _SET_BY_AZURE):
        _demand_no_local_run(environment, secrets)
    return Settings(
        storage=storage.connection_string,
        storage_account=storage.account,
        identity_client_id=storage.client_id,
        base_url=_url(environment, "BASE_URL"),
        token_secrets=secrets,
        token_key=_token_key(environment.get("TOKEN_KEY", ""), secrets),
        link_keys=read_link_keys(environment),
        trusted_proxies=_networks(environment.get("TRUSTED_PROXIES", "")),
        spool_directory=Path(environment.get("SPOOL_DIR") or Path(tempfile.gettempdir()) / "email-engagement-spool"),
        spool_limit=int(_number(environment, "SPOOL_MAX_BYTES", 256 * 1024 * 1024)),
        answer_budget=_number(environment, "ANSWER_BUDGET_SECONDS", 0.15),
        microsoft365_url=read_microsoft365_url(environment),
        azure_client_id=environment.get("AZURE_CLIENT_ID", ""),
        azure_client_secret=environment.get("AZURE_CLIENT_SECRET", ""),
        web_api_audience=tuple(filter(None, (a.strip() for a in environment.get("WEB_API_AUDIENCE", "").split(",")))),
        web_api_requests=_count(environment, "WEB_API_REQUESTS_PER_FIVE_MINUTES", 6000),
        claim_seconds=_number(environment, "DELIVERY_CLAIM_SECONDS", 300),
    )


def read_microsoft365_url(environment: Mapping[str, str]) -> str:
    """Return the base of the Microsoft 365 stand-in, "" for the real one; all that judges a webhook's address needs."""
    return environment.get("MICROSOFT365_URL", "").rstrip("/")


def _demand_no_local_run(environment: Mapping[str, str], secrets: Mapping[int, bytes]) -> None:
    """Raise `SettingError` where a deployment would trust what is for one machine only."""
    for key, secret in secrets.items():
        if hashlib.sha256(secret).hexdigest() == _SAMPLE_SECRET:
            raise SettingError(
                f"TOKEN_SECRETS holds, with the id {key}, the secret of local.settings.sample.json, which everybody "
                "knows: give 32 random bytes in base64, from Key Vault"
            )
    if environment.get("MICROSOFT365_URL"):
        raise SettingError(
            "MICROSOFT365_URL names the Microsoft 365 stand-in, which signs anybody in: remove it on Azure"
        )


@cache
def settings() -> Settings:
    """Return this process's settings, read at the first call."""
    return read_settings(os.environ)


def read_secrets(environment: Mapping[str, str]) -> dict[int, bytes]:
    """Return ``TOKEN_SECRETS``, written ``id:base64,id:base64``, each at least 32 bytes; raise `SettingError`."""
    text = environment.get("TOKEN_SECRETS", "")
    secrets: dict[int, bytes] = {}
    for entry in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = entry.partition(":")
        try:
            secret = base64.b64decode(value, validate=True)
        except ValueError:
            secret = b""
        if not key.isascii() or not key.isdigit() or int(key) > 255 or len(secret) < 32:
            raise SettingError(
                "TOKEN_SECRETS must be id:secret,... with ids 0-255 and secrets of 32 bytes or more in base64"
            )
        if secrets.setdefault(int(key), secret) != secret:
            raise SettingError(
                f"TOKEN_SECRETS holds two secrets with the id {int(key)}: links signed with one of them would die; "
                "give the other an id of its own"
            )
    if not secrets:
        raise SettingError("TOKEN_SECRETS is not set: links cannot be signed; give 1:<32 random bytes in base64>")
    return secrets


def read_link_keys(environment: Mapping[str, str]) -> LinkKeys:
    """Return the keys of every ``LINK_KEYS_<NAME>``; raise `SettingError` naming the one that is wrong."""
    found: dict[tuple[str, int], tuple[bytes, ...]] = {}
    for name, text in environment.items():
        # Windows spells all names of its environment in capitals, so the organization's name is not told by case.
        if name.upper().startswith(LINK_KEYS):
            try:
                found |= parse_link_keys(name[len(LINK_KEYS) :].lower(), text)
            except ValueError as error:
                raise SettingError(f"{name} {error}") from None
    return found


def _token_key(text: str, secrets: Mapping[int, bytes]) -> int:
    if not text and len(secrets) == 1:
        return next(iter(secrets))
    if not (text.isascii() and text.isdigit()) or int(text) not in secrets:
        raise SettingError("TOKEN_KEY must name one of the ids in TOKEN_SECRETS")
    return int(text)


def _networks(text: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SettingError(f"TRUSTED_PROXIES must be a list of networks such as 10.0.0.0/8: {error}") from None


def _url(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "").rstrip("/")
    if not _ADDRESS.fullmatch(value):
        raise SettingError(f"{name} must be the address that recipients reach, such as https://mail.example.com")
    return value


def _count(environment: Mapping[str, str], name: str, default: int) -> int:
    text = environment.get(name) or str(default)
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= 1):
        raise SettingError(f"{name} must be a whole number, 1 or more")
    return int(text)


def _number(environment: Mapping[str, str], name: str, default: float) -> float:
    try:
        number = float(environment.get(name) or default)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise SettingError(f"{name} must be a number above 0")
    return number
