"""A secret is rotated in two phases under load, each instance learning of it at another time: no link fails, no hit is
lost."""

import asyncio
import base64

import pytest

from shared.settings import settings
from tests.crowd import a_crowd, assert_every_answered_hit_has_one_row, fold_everything
from tests.hosts import hosts

SECRETS = {1: b"the secret that is to be replaced", 2: b"the secret that is to replace it"}


def known(*keys):
    """Return TOKEN_SECRETS with these keys."""
    return ",".join(f"{key}:{base64.b64encode(SECRETS[key]).decode()}" for key in keys)


@pytest.fixture
def knowing_both(configured):
    """Let this process mint and fold with both secrets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TOKEN_SECRETS", known(1, 2))
        patch.setenv("TOKEN_KEY", "1")
        settings.cache_clear()
        yield
    settings.cache_clear()


async def test_rotating_the_secret_under_load_fails_no_link_and_loses_no_hit(knowing_both, organization, tmp_path):
    old, new = await a_crowd(organization), await a_crowd(organization, key=2)
    with hosts(2, tmp_path, TOKEN_SECRETS=known(1), TOKEN_KEY="1") as running:
        await restarted_under_load(running, [old], TOKEN_SECRETS=known(1, 2))
        # Every instance knows it now, so mail may be minted with it by those that already do.
        await restarted_under_load(running, [old, new], TOKEN_KEY="2")
        await fold_everything(organization)
    await fold_everything(organization)
    for crowd in (old, new):
        await assert_every_answered_hit_has_one_row(organization, crowd)


async def restarted_under_load(running, crowds, **changed):
    """Give every instance in turn what has changed of its settings, while the crowds are at it."""
    load = [asyncio.create_task(crowd.hammer(running, 6)) for crowd in crowds]
    for host in running:
        await asyncio.sleep(0.5)
        await asyncio.to_thread(host.stop)
        host.environment |= changed
        await asyncio.to_thread(host.start)
    await asyncio.gather(*load)
