"""Privacy while storage fails: what was stopped between any two changes is made good by the next message."""

import uuid
from datetime import timedelta

import pytest

from shared.engagement.options import CC, TO
from shared.engagement.withdrawal import address_key
from shared.services import erasing, retaining, withdrawing
from shared.storage import consents, emails, figures, records
from shared.storage.organizations import Organization
from shared.storage.tables import Entity
from tests.breaking import Breaker, fails
from tests.figures_world import EVER, brought_up_to_date
from tests.journalled_hits import SENT
from tests.withdrawing_world import a_contact, as_party, opened, queued, sent_to, with_settings

type Broken = tuple[Breaker, Organization]

LATER = SENT + timedelta(days=40)


async def read(organization: Organization, email: str) -> emails.EmailPartition:
    found = await emails.read_partition(organization, email, interactions=True)
    assert found is not None
    return found


def a_withdrawal(ada: Entity, email: str) -> dict[str, str]:
    return {
        "address": address_key(ada["emailaddress1"]),
        "record": f"contact {ada['contactid']}",
        "email": email,
        "on": "2026-11-03T08:00:00Z",
        "id": str(uuid.uuid4()),
        "language": "en",
    }


@pytest.mark.parametrize("after", [False, True])
async def test_a_withdrawal_that_died_halfway_already_ends_following_and_is_finished_once(
    breaker: Broken, after: bool
) -> None:
    broken, organization = breaker
    for nth in range(10):
        ada = await a_contact(organization)
        email = await sent_to(organization, as_party(0, TO, ada), sent=SENT)
        work = a_withdrawal(ada, email)
        stopped = await fails(broken, nth, withdrawing.withdraw(organization, work), after=after)
        if nth or after or not stopped:
            assert await opened(organization, email, SENT) == 0
        await withdrawing.withdraw(organization, work)
        assert await opened(organization, email, SENT, 7200.0) == 0
        record = await records.get(organization, "contact", ada["contactid"])
        assert record is not None
        assert record["followemail"] is False
        assert len(await consents.history(organization, "contact", ada["contactid"])) == 1
        if not stopped:
            break
    # The address's end, and the record with its own end and its history in one.
    assert nth == 2


@pytest.mark.parametrize("after", [False, True])
async def test_an_erasure_that_died_between_any_two_changes_is_finished_by_the_next_message(
    breaker: Broken, after: bool
) -> None:
    broken, organization = breaker
    for nth in range(60):
        ada = await a_contact(organization)
        bob = await a_contact(organization, fullname="Bob")
        email = await sent_to(organization, as_party(0, TO, ada), sent=SENT)
        both = await sent_to(organization, as_party(0, TO, bob), as_party(1, CC, ada), sent=SENT)
        for one in (email, both):
            assert await opened(organization, one, SENT) == 1
        await erasing.start(organization, "contact", ada["contactid"], LATER, delete_record=True)
        [work] = [work for work in queued(organization) if work["person"].endswith(ada["contactid"])]
        stopped = await fails(broken, nth, erasing.erase(organization, work, LATER), after=after)
        assert await erasing.erase(organization, work, LATER) is None
        for one in (email, both):
            found = await read(organization, one)
            assert found.interactions == ()
            assert found.email["opencount"] == 0
            assert ada["emailaddress1"] not in str(found)
        assert bob["emailaddress1"] in str(await read(organization, both))
        assert await records.get(organization, "contact", ada["contactid"]) is None
        job = await records.get(organization, "erasure", f"contact {ada['contactid']}")
        assert job is not None
        assert (job["status"], job["addresses"]) == ("Done", "")
        if not stopped:
            break
    assert 10 < nth < 59


@pytest.mark.parametrize("after", [False, True])
async def test_retention_that_died_between_any_two_changes_loses_no_count_and_counts_nothing_twice(
    breaker: Broken, after: bool
) -> None:
    broken, organization = breaker
    work = {"organization": organization.name, "work": "retain", "slice": "0"}
    for nth in range(30):
        organization = await with_settings(organization, ee_retentiondays=0)
        email = await sent_to(organization, as_party(0, TO, await a_contact(organization)), sent=SENT)
        hits = [3600.0 + n * 86_400 for n in range(20)]
        await opened(organization, email, SENT + timedelta(days=20), *hits)
        assert (await read(organization, email)).email["opencount"] == 20
        organization = await with_settings(organization, ee_retentiondays=30)
        stopped = await fails(broken, nth, retaining.retain(organization, work, LATER), after=after)
        # Somebody folds in between.
        await opened(organization, email, LATER, 39 * 86_400.0)
        assert (await read(organization, email)).email["opencount"] == 21
        await retaining.retain(organization, work, LATER)
        found = await read(organization, email)
        assert (found.email["opencount"], len(found.interactions)) == (21, 11)
        if not stopped:
            break
    assert 1 < nth < 29


async def test_the_figures_of_what_is_left_are_right_after_an_erasure_with_crashes(breaker: Broken) -> None:
    broken, organization = breaker
    ada, bob = await a_contact(organization), await a_contact(organization)
    for contact in (ada, bob):
        await opened(organization, await sent_to(organization, as_party(0, TO, contact), sent=SENT), SENT)
    await brought_up_to_date(organization, LATER)
    await erasing.start(organization, "contact", ada["contactid"], LATER)
    [work] = queued(organization)
    for nth in range(0, 12, 3):
        await fails(broken, nth, erasing.erase(organization, work, LATER), after=bool(nth % 2))
    assert await erasing.erase(organization, work, LATER) is None
    await brought_up_to_date(organization, LATER)
    counts = (await figures.read(organization, "organization", *EVER)).values()
    assert [sum(column) for column in zip(*counts, strict=True)][:3] == [2, 2, 1]
