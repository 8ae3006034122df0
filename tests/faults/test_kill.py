"""Hosts killed under load, storage stopped under load: every answered hit has exactly one interaction row."""

import asyncio
import collections
import random
from datetime import UTC, datetime, timedelta

import aiohttp
import pytest

from local import azurite as emulator
from local.processes import stop
from shared.engagement.tokens import TokenKind
from shared.services import folding
from shared.settings import settings
from shared.storage import emails, journal
from shared.storage.account import account_of, host_account
from shared.storage.organizations import DEFAULT_SETTINGS, Organization
from shared.storage.provisioning import provision_deployment, provision_organization
from tests.conftest import free_ports
from tests.hosts import hosts
from tests.sent_mail import TARGET, counters, path_of, put_sent_email, recount

CONNECTIONS = 32
AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/146.0.0.0 Safari/537.36"
)
ANSWERS = {"o": (200, None), "c": (302, TARGET), "a": (302, TARGET)}


class Crowd:
    """Recipients on so many connections; `answered` counts hits by email, `asked` also those that broke off."""

    def __init__(self, paths_by_email):
        self.paths = [(email, path) for email, paths in paths_by_email.items() for path in paths]
        self.asked: collections.Counter[str] = collections.Counter()
        self.answered: collections.Counter[str] = collections.Counter()
        self.wrong: list[str] = []
        self.slowest = 0.0

    async def hammer(self, running, seconds):
        """Ask every host of `running` in turn for `seconds`, going on where one breaks off."""
        end = asyncio.get_running_loop().time() + seconds
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(limit=CONNECTIONS)) as session:
            await asyncio.gather(*(self._one(session, running, end, n) for n in range(CONNECTIONS)))

    async def _one(self, session, running, end, number):
        loop = asyncio.get_running_loop()
        headers = {"User-Agent": AGENT, "Accept-Language": "en", "X-Forwarded-For": f"203.0.113.{number}"}
        while (started := loop.time()) < end:
            email, path = random.choice(self.paths)
            self.asked[email] += 1
            try:
                url = random.choice(running).url + path
                async with session.get(url, headers=headers, allow_redirects=False) as answer:
                    body = await answer.read()
            except (aiohttp.ClientError, TimeoutError, OSError):
                await asyncio.sleep(0.02)
                continue
            status, target = ANSWERS[path[1]]
            if (
                answer.status != status
                or answer.headers.get("Location") != target
                or (path[1] == "o" and len(body) != 43)
            ):
                self.wrong.append(f"{answer.status} {path[:20]}")
            self.answered[email] += 1
            self.slowest = max(self.slowest, loop.time() - started)


async def a_crowd(organization, mails=12):
    paths = {}
    for _ in range(mails):
        email = await put_sent_email(organization)
        paths[email] = [
            path_of(organization, TokenKind.OPEN, email),
            path_of(organization, TokenKind.LINK, email, 0, TARGET),
            path_of(organization, TokenKind.ATTACHMENT, email, 0, TARGET),
        ]
    return Crowd(paths)


async def fold_everything(organization):
    """Fold what is left, twice and in parallel, at a time when every minute is over."""
    later = datetime.now(UTC) + timedelta(minutes=5)
    for _ in range(60):
        partitions = await journal.old_partitions(organization, 10**9)
        if not partitions:
            return
        await asyncio.gather(*(folding.fold_partition(organization.name, p, later) for p in partitions * 2))
    raise AssertionError("the journal does not become empty")


async def assert_every_answered_hit_has_one_row(organization, crowd):
    assert sum(crowd.answered.values()) > 100
    assert crowd.wrong == []
    for email in crowd.asked:
        found = await emails.read_partition(organization, email, interactions=True)
        assert found is not None
        hits = [row["_hit"] for row in found.interactions]
        assert len(set(hits)) == len(hits), "no hit has two rows"
        assert crowd.answered[email] <= len(hits) <= crowd.asked[email]
        assert counters(found) == recount(found)


async def test_a_host_killed_under_load_loses_no_answered_hit(organization, tmp_path):
    crowd = await a_crowd(organization)
    with hosts(1, tmp_path) as [host]:
        load = asyncio.create_task(crowd.hammer([host], 3))
        await asyncio.sleep(1.2)
        host.kill()
        await asyncio.to_thread(host.start)
        await load
    await fold_everything(organization)
    await assert_every_answered_hit_has_one_row(organization, crowd)


async def test_two_hosts_at_once_and_one_of_them_killed(organization, tmp_path):
    crowd = await a_crowd(organization)
    with hosts(2, tmp_path) as running:
        load = asyncio.create_task(crowd.hammer(running, 4))
        await asyncio.sleep(1.5)
        running[0].kill()
        # The fold runs here as well, beside those of the hosts.
        await folding.sweep(datetime.now(UTC) + timedelta(minutes=5))
        await asyncio.to_thread(running[0].start)
        await load
        await fold_everything(organization)
    await fold_everything(organization)
    await assert_every_answered_hit_has_one_row(organization, crowd)


@pytest.fixture
async def own_storage(configured, tmp_path, monkeypatch):
    """An organization on an Azurite on disk that a test may stop and start."""

    class Storage:
        port = free_ports(3)
        process = emulator.start(port, tmp_path / "azurite")

        def stop(self):
            stop(self.process)

        def start(self):
            self.process = emulator.start(self.port, tmp_path / "azurite")

    storage = Storage()
    monkeypatch.setenv("AzureWebJobsStorage", emulator.connection_string(storage.port))
    caches = (settings, host_account, account_of)
    for cache in caches:
        cache.cache_clear()
    await provision_deployment()
    organization = Organization("contoso", "0" * 8 + "-0000-4000-8000-" + "0" * 12, "tenant", DEFAULT_SETTINGS)
    await provision_organization(organization)
    yield storage, organization
    storage.stop()
    monkeypatch.undo()
    for cache in caches:
        cache.cache_clear()


async def test_storage_stopped_under_load_everything_is_answered_and_recorded_later(own_storage, tmp_path):
    storage, organization = own_storage
    crowd = await a_crowd(organization)
    with hosts(1, tmp_path) as [host]:
        await crowd.hammer([host], 0.7)
        await asyncio.to_thread(storage.stop)
        await crowd.hammer([host], 1.0)
        before = sum(crowd.answered.values())
        # A restart while storage is still away: the spool is on disk.
        host.kill()
        await asyncio.to_thread(host.start)
        await crowd.hammer([host], 0.7)
        assert sum(crowd.answered.values()) > before, "answered without storage"
        await asyncio.to_thread(storage.start)
        await crowd.hammer([host], 0.5)
        spool = tmp_path / "spool"
        for _ in range(600):
            if not any(spool.glob("*.spool")):
                break
            await asyncio.sleep(0.1)
        assert list(spool.glob("*.spool")) == []
    await fold_everything(organization)
    await assert_every_answered_hit_has_one_row(organization, crowd)
