"""One organization lives through everything that may happen to its data, beside another: every old link still lands,
and the other's data is as it was."""

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from functions import privacy as functions
from shared.services import erasing, exporting, organizations, restoring, retaining
from shared.settings import settings
from shared.storage import blobs, emails
from shared.storage.organizations import Organization, find_organization, forget_organizations
from tests.landing import GIF, landed, landing, links_of
from tests.storage_dump import dump
from tests.withdrawing_world import a_contact, as_party, ask, mail_of, opened, queued, sent_to, token_of, with_settings

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
SENT = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
TENANT = "11111111-2222-4333-8444-555555555555"
PASSPHRASE = "correct horse battery"


@pytest_asyncio.fixture
async def both(configured: None) -> AsyncIterator[list[Organization]]:
    """Two organizations of one deployment."""
    made = [(await organizations.add("org" + uuid.uuid4().hex[:12], TENANT))[0] for _ in range(2)]
    yield made
    for organization in made:
        await organizations.remove(organization.name, lambda _: None)


async def work_off(organization: Organization, now: datetime) -> None:
    """Do what waits for an organization in the queue of privacy, at a time of ours."""
    while waiting := queued(organization):
        for work in waiting:
            again = await functions._attend(work, now)
            assert again is None or again[1] == timedelta(), again


@pytest.mark.parametrize(
    "dirt",
    [
        ">",
        ".",
        ")",
        " ",
        ",",
        '"',
        "\u200b",
        "\uff09",
        "\u3002",
        "=\r\n",
        "&amp;",
        "/",
        "%3E",
        "word",
        " word",
        "/utm/1",
    ],
)
async def test_links_land_with_what_other_programs_leave_behind_them(
    both: list[Organization], tmp_path: Path, dirt: str
) -> None:
    mail = await sent_to(both[0], as_party(0, 2, await a_contact(both[0])), sent=SENT)
    await blobs.put(both[0], emails.image_blob(mail, 0), GIF, "image/gif")
    links = links_of(both[0], mail)
    assert await landing({kind: path + dirt for kind, path in links.items()}) == landed()
    assert await landing({kind: path[:50] + "\r\n" + path[50:] for kind, path in links.items()}) == landed()


@pytest.mark.parametrize("removed", [False, True], ids=["removed and restored", "removed for good"])
async def test_links_outlive_withdrawal_erasure_retention_and_removal(
    both: list[Organization], tmp_path: Path, removed: bool
) -> None:
    own, other = both
    links, mails = {}, {}
    for organization in both:
        ada = await a_contact(organization)
        party = as_party(0, 2, ada)
        mail = await sent_to(organization, party, sent=SENT)
        await blobs.put(organization, emails.image_blob(mail, 0), GIF, "image/gif")
        links[organization.name], mails[organization.name] = links_of(organization, mail), (mail, ada, party)
        assert await opened(organization, mail, SENT) == 1
    before = await dump(other)
    mail, ada, party = mails[own.name]

    async def every_link_lands() -> None:
        for organization in both:
            assert await landing(links[organization.name]) == landed()
        assert await dump(other) == before

    # Ada withdraws: what she does from now on is not kept.
    assert (await ask(token_of(own, mail, party), "POST", withdraw="yes")).status_code == 200
    await work_off(own, NOW)
    assert await opened(own, mail, SENT, 7200.0) == 1
    await every_link_lands()

    await erasing.start(own, "contact", ada["contactid"], NOW, delete_record=True)
    await work_off(own, NOW)
    assert (await mail_of(own, mail)).interactions == ()
    assert ada["emailaddress1"] not in str(await mail_of(own, mail))
    await every_link_lands()

    keeping = await with_settings(own, ee_retentiondays=7)
    await retaining.start(NOW)
    await work_off(keeping, NOW)
    await every_link_lands()

    configured = settings()
    await exporting.export(
        own, tmp_path / "out", PASSPHRASE, configured.token_secrets, configured.link_keys, NOW, lambda _: None
    )
    await organizations.remove(own.name, lambda _: None)
    forget_organizations()
    assert await find_organization(own.name) is None
    if removed:
        blank = await landing(links[own.name])
        assert {kind: answer[:2] for kind, answer in blank.items()} == {k: a[:2] for k, a in landed().items()}
        assert await landing(links[other.name]) == landed()
        assert await dump(other) == before
        return
    await restoring.restore(tmp_path / "out", "", lambda _: None)
    await every_link_lands()
