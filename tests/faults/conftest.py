"""Storage that fails on demand."""

import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import ClientSession, web
from yarl import URL

from shared.services.people import welcome
from shared.storage.account import account_of, host_account
from shared.storage.organizations import Organization
from tests.faults.breaker import CALLER, NOW, Breaker
from tests.organizations import an_organization


@pytest_asyncio.fixture
async def breaker(configured: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Breaker, Organization]]:
    """Return an organization whose tables are reached through a breaker."""
    account, found = host_account(), Breaker()
    upstream = account.table_url.rsplit("/", 1)[0]
    async with ClientSession(auto_decompress=False) as session:

        async def forward(request: web.Request) -> web.Response:
            change = request.method != "GET"
            broken = change and found.changes == found.nth
            found.changes += change
            if broken and not found.after:
                return web.Response(status=503)
            headers = {name: value for name, value in request.headers.items() if name not in ("Host", "Content-Length")}
            body = await request.read()
            url = upstream + request.raw_path
            async with session.request(request.method, URL(url, encoded=True), headers=headers, data=body) as answer:
                content = await answer.read()
                if broken:
                    return web.Response(status=503)
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
        name = "fault" + uuid.uuid4().hex[:10]
        through = account.connection_string.replace(upstream, f"http://127.0.0.1:{port}")
        monkeypatch.setenv(f"STORAGE_{name.upper()}", through)
        account_of.cache_clear()
        async with an_organization(name) as organization:
            await welcome(organization, CALLER.user, "Sella Seller", "seller@contoso.example", NOW)
            yield found, organization
        await runner.cleanup()
        account_of.cache_clear()
