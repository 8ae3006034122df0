"""A Queue service that shows what is hidden yet and fails when a test says so, and an organization's agenda."""

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime
from html import unescape

import orjson
import pytest
import pytest_asyncio
from aiohttp import web

from shared.settings import settings
from shared.storage import agenda, queues
from shared.storage.account import account_of, host_account
from shared.storage.organizations import Organization

_TEXT = re.compile(r"<MessageText>(.*)</MessageText>", re.DOTALL)


@dataclass
class Queues:
    """Takes messages by queue; `failing` queues answer 503."""

    sent: list[tuple[str, dict[str, str], int]] = field(default_factory=list)
    failing: set[str] = field(default_factory=set)

    async def take(self, request: web.Request) -> web.Response:
        """Answer Put Message."""
        queue = request.match_info["queue"]
        if queue in self.failing:
            return web.Response(status=503)
        text = _TEXT.search(await request.text())
        assert text is not None
        self.sent.append((queue, orjson.loads(unescape(text[1])), int(request.query["visibilitytimeout"])))
        return web.Response(status=201)

    def messages(self, organization: Organization, queue: str = queues.DELIVER) -> list[tuple[str, int]]:
        """Take an organization's messages off a queue: their emails, and the seconds that they are hidden for."""
        mine = [sent for sent in self.sent if sent[0] == queue and sent[1]["organization"] == organization.name]
        self.sent = [sent for sent in self.sent if sent not in mine]
        return [(work["email"], seconds) for _, work, seconds in mine]


@pytest_asyncio.fixture
async def queue_service(configured: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Queues]:
    """Return the Queue service of the deployment; tables and blobs stay where they are."""
    account, service = host_account(), Queues()
    application = web.Application()
    application.router.add_post("/{account}/{queue}/messages", service.take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/{account.name}"
    monkeypatch.setenv("AzureWebJobsStorage", account.connection_string.replace(account.queue_url, url))
    _forget()
    yield service
    await runner.cleanup()
    monkeypatch.undo()
    _forget()


def _forget() -> None:
    settings.cache_clear()
    host_account.cache_clear()
    account_of.cache_clear()


async def entries(organization: Organization, until: datetime) -> list[agenda.Entry]:
    """Return an organization's agenda up to a time."""
    found = [entry async for page in agenda.due(until) for entry in page]
    return [entry for entry in found if entry.organization == organization.name]
