"""Our own service for a benchmark: Azurite on disk, the Functions host, and sent mails to hit."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from local import azurite
from local.functions_host.app_settings import load_app_settings
from local.ingestion import Ingestion
from local.processes import is_port_free, spawn, stop
from local.seed import seed
from shared.engagement.times import iso_seconds, milliseconds
from shared.engagement.tokens import Token, TokenKind, mint
from shared.settings import settings
from shared.storage.account import close_session
from shared.storage.organizations import Organization, find_organization
from shared.storage.tables import Operation

EMAILS = 400
TARGET = "https://www.example.com/quotes/42?utm_source=mail&utm_campaign=autumn"


@dataclass(slots=True)
class Service:
    """A running service; `azurite` is replaced when storage is stopped and started again."""

    url: str
    host: subprocess.Popen[bytes]
    azurite: subprocess.Popen[bytes]
    azurite_port: int
    directory: Path
    pixels: list[str]
    links: list[str]

    def stop_storage(self) -> None:
        """Take storage away from under the service."""
        stop(self.azurite)

    def start_storage(self) -> None:
        """Bring storage back, with what it held."""
        self.azurite = azurite.start(self.azurite_port, self.directory / "azurite")


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Service]:
    """Run a service with sent mails in `directory` until the block ends."""
    port = next(p for p in range(7500, 9000, 10) if all(is_port_free(p + n) for n in range(5)))
    os.environ |= {
        "AzureWebJobsStorage": azurite.connection_string(port + 1),
        "BASE_URL": f"http://127.0.0.1:{port}",
        "PORT": str(port),
        "SPOOL_DIR": str(directory / "spool"),
    }
    os.environ |= load_app_settings(Path.cwd(), os.environ)
    storage = azurite.start(port + 1, directory / "azurite")
    host: subprocess.Popen[bytes] | None = None
    service: Service | None = None
    try:
        pixels, links = asyncio.run(_prepare())
        with (directory / "host.log").open("wb") as log:
            host = spawn([sys.executable, "-m", "local.functions_host"], output=log)
        url = f"http://127.0.0.1:{port}"
        _wait_until_healthy(url, host)
        service = Service(url, host, storage, port + 1, directory, pixels, links)
        yield service
    finally:
        if host is not None:
            stop(host)
        stop(service.azurite if service is not None else storage)


@contextlib.contextmanager
def without(function: str) -> Iterator[None]:
    """Disable a function, as Azure's app setting does, in the hosts that are started in the block."""
    name = f"AzureWebJobs.{function}.Disabled"
    os.environ[name] = "true"
    try:
        yield
    finally:
        del os.environ[name]


@contextlib.contextmanager
def second_host(own: Service, environment: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    """Run a second host on the same storage until the block ends; yield its address and process id."""
    port = own.azurite_port + 3
    url = f"http://127.0.0.1:{port}"
    with (own.directory / "second-host.log").open("wb") as log:
        host = spawn(
            [sys.executable, "-m", "local.functions_host"],
            environment={**os.environ, **environment, "PORT": str(port)},
            output=log,
        )
    try:
        _wait_until_healthy(url, host)
        yield url, host.pid
    finally:
        stop(host)


def exporting_to(sink: Ingestion) -> dict[str, str]:
    """Return the app settings of a host that exports its metrics to `sink`, once in every round of a benchmark: twenty
    times as often as it would."""
    return {"APPLICATIONINSIGHTS_CONNECTION_STRING": sink.connection_string, "OTEL_METRIC_EXPORT_INTERVAL": "3000"}


def wait_until_folded(limit: float = 300) -> float:
    """Wait until no hit is left in the journal; return the seconds it took."""
    started = time.perf_counter()
    asyncio.run(_until_folded(limit))
    return time.perf_counter() - started


def count_interactions() -> int:
    """Return how many interactions the organization holds."""
    return asyncio.run(_count_interactions())


async def _prepare() -> tuple[list[str], list[str]]:
    await seed()
    organization = await contoso()
    pixels, links = [], []
    ids = [uuid.uuid4() for _ in range(EMAILS)]
    for at in range(0, EMAILS, 50):
        await asyncio.gather(*(_insert_sent_email(organization, str(email)) for email in ids[at : at + 50]))
    for email in ids:
        secrets, key = settings().token_secrets, settings().token_key
        pixels.append("/o/" + mint(Token(key, organization.name, TokenKind.OPEN, email, 0, 0), secrets))
        links.append("/c/" + mint(Token(key, organization.name, TokenKind.LINK, email, 0, 0, TARGET), secrets))
    await close_session()
    return pixels, links


async def _insert_sent_email(organization: Organization, email_id: str) -> None:
    sent = {
        "RowKey": "email",
        "activityid": email_id,
        "subject": "Your quote",
        "statecode": 1,
        "statuscode": 3,
        "isemailfollowed": True,
        "senton": iso_seconds(milliseconds(datetime.now(UTC)) - 3_600_000),
    }
    party = {"RowKey": "party:000", "participationtypemask": 2, "_name": "Ada", "addressused": "ada@example.com"}
    link = {"RowKey": "link:0000", "item": 0, "target": TARGET, "text": "Your quote"}
    rows = [Operation("insert", {**row, "PartitionKey": email_id}) for row in (sent, party, link)]
    await organization.tables.transact(organization.emails, rows)


async def _until_folded(limit: float) -> None:
    organization = await contoso()
    async with asyncio.timeout(limit):
        while await organization.tables.query_all(organization.journal, select=("RowKey",)):  # noqa: ASYNC110
            await asyncio.sleep(0.5)
    await close_session()


async def _count_interactions() -> int:
    organization = await contoso()
    condition = "RowKey ge 'interaction:' and RowKey lt 'interaction;'"
    rows = await organization.tables.query_all(organization.emails, condition, ("RowKey",))
    await close_session()
    return len(rows)


async def contoso() -> Organization:
    """Return the organization whose mails the service was given."""
    found = await find_organization("contoso")
    if found is None:
        raise RuntimeError("the demo organization was not seeded")
    return found


def _wait_until_healthy(url: str, host: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end and host.poll() is None:
        with contextlib.suppress(httpx.HTTPError):
            if httpx.get(f"{url}/health", timeout=2).status_code == 200:
                return
        time.sleep(0.1)
    raise RuntimeError("the Functions host did not start; see host.log")
