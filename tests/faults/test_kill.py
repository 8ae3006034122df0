"""Hosts killed under load, storage stopped under load: every answered hit has exactly one interaction row."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from local import azurite as emulator
from local.processes import stop
from shared.services import folding
from shared.settings import settings
from shared.storage.account import account_of, host_account
from shared.storage.organizations import DEFAULT_SETTINGS, Organization
from shared.storage.provisioning import provision_deployment, provision_organization
from tests.conftest import free_ports
from tests.crowd import a_crowd, assert_every_answered_hit_has_one_row, fold_everything
from tests.hosts import hosts


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
