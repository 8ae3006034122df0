"""A Table service that fails when a test says so."""

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import ClientSession, web
from yarl import URL

from shared.storage.account import Account, StorageError, account_of, host_account
from shared.storage.organizations import Organization
from tests.organizations import an_organization


@dataclass
class Breaker:
    """Stands before the Table service and breaks its `nth` change: before it happens, or (`after`) its answer only;
    with `down` every later call as well. Or it breaks nothing and lets somebody else in before that change."""

    nth: int = -1
    after: bool = False
    down: bool = False
    changes: int = 0
    status: int = 503
    """What a broken call is answered; the Blob SDK waits 15 seconds and asks again where that is 503."""
    meanwhile: Callable[[], Awaitable[None]] | None = None
    _before: int = -1

    def arm(self, nth: int, *, after: bool, down: bool = False) -> None:
        self.nth, self.after, self.down, self.changes = nth, after, down, 0

    def let_in(self, nth: int, meanwhile: Callable[[], Awaitable[None]]) -> None:
        """Have `meanwhile` done before the `nth` change from now on, once; it is None afterwards."""
        self.arm(-1, after=False)
        self.meanwhile, self._before = meanwhile, nth

    async def wait(self, *, change: bool) -> None:
        """Let in who is to be let in before the next call."""
        if self.meanwhile is not None and change and self.changes == self._before:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()

    def breaks(self, *, change: bool) -> bool:
        """Return whether the next call is broken."""
        broken = change and self.changes == self.nth
        self.changes += change
        return broken or (self.down and 0 <= self.nth < self.changes)


async def fails(breaker: Breaker, nth: int, work: Any, *, after: bool) -> bool:
    """Let storage go down at its `nth` change, or at the answer to it; return whether that stopped `work`."""
    breaker.arm(nth, after=after, down=True)
    try:
        await work
    except StorageError:
        return True
    finally:
        breaker.arm(-1, after=False)
    return False


@asynccontextmanager
async def breaking_tables(account: Account, url: str = "") -> AsyncIterator[tuple[Breaker, str]]:
    """Stand before an account's Table service, or the one at `url`; yield the breaker and a connection string that
    leads through it."""
    found = Breaker()
    upstream = (url or account.table_url).rsplit("/", 1)[0]
    async with ClientSession(auto_decompress=False) as session:

        async def forward(request: web.Request) -> web.Response:
            await found.wait(change=request.method != "GET")
            broken = found.breaks(change=request.method != "GET")
            if broken and not found.after:
                return web.Response(status=found.status)
            headers = {name: value for name, value in request.headers.items() if name not in ("Host", "Content-Length")}
            body = await request.read()
            url = upstream + request.raw_path
            # The Blob service's signatures cover the type: none may be added.
            async with session.request(
                request.method,
                URL(url, encoded=True),
                headers=headers,
                data=body,
                skip_auto_headers=("Content-Type",),
            ) as answer:
                content = await answer.read()
                if broken:
                    return web.Response(status=found.status)
                kept = {
                    name: value
                    for name, value in answer.headers.items()
                    if name.lower() not in ("content-length", "transfer-encoding", "connection")
                }
                return web.Response(status=answer.status, headers=kept, body=content)

        application = web.Application(client_max_size=2**26)
        application.router.add_route("*", "/{path:.*}", forward)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        yield found, account.connection_string.replace(upstream, f"http://127.0.0.1:{port}")
        await runner.cleanup()


@asynccontextmanager
async def a_breakable_organization(
    patch: pytest.MonkeyPatch, url: str = ""
) -> AsyncIterator[tuple[Breaker, Organization]]:
    """Make an organization whose tables, or the service at `url`, are reached through a breaker."""
    async with breaking_tables(host_account(), url) as (found, through):
        name = "fault" + uuid.uuid4().hex[:10]
        patch.setenv(f"STORAGE_{name.upper()}", through)
        account_of.cache_clear()
        async with an_organization(name) as organization:
            yield found, organization
            found.arm(-1, after=False)
    account_of.cache_clear()
