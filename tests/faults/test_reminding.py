"""Reminders while storage fails: judged once, one card, and none that was never set."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.services import reminding
from shared.services.composing import change_email, create_email
from shared.storage import agenda, emails, records
from shared.storage.organizations import Organization
from shared.storage.tables import Entity
from tests.breaking import Breaker, fails
from tests.faults.conftest import CALLER, NOW

EXPIRY = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
LATE = EXPIRY + timedelta(minutes=10)
REMINDER = {"emailremindertype": 2, "emailreminderexpirytime": "2026-11-25T09:00:00Z"}

type Broken = tuple[Breaker, Organization]


async def draft(organization: Organization, **columns: Any) -> str:
    return await create_email(organization, CALLER, {"subject": "Offer", **columns}, now=NOW)


async def read(organization: Organization, email: str) -> Entity:
    row = await emails.get_email(organization, email)
    assert row is not None
    return row


async def cards(organization: Organization) -> list[Entity]:
    return [row async for page in records.query(organization, "actioncard") for row in page]


@pytest.mark.parametrize("after", [False, True])
async def test_killed_between_any_two_changes_it_is_made_good_when_it_comes_again(breaker: Broken, after: bool) -> None:
    broken, organization = breaker
    for nth in range(10):
        email = await draft(organization, **REMINDER)
        stopped = await fails(broken, nth, reminding.remind(organization, email, EXPIRY), after=after)
        await reminding.remind(organization, email, LATE)
        await reminding.remind(organization, email, LATE)
        row = await read(organization, email)
        assert (row["emailreminderstatus"], row["isemailreminderset"]) == (2, False)
        [card] = [card for card in await cards(organization) if card["regardingobjectid"] == email]
        assert row["reminderactioncardid"] == card["actioncardid"]
        if not stopped:
            break
    # The verdict, the card, and the card's id on the email.
    assert nth == 3


@pytest.mark.parametrize("after", [False, True])
async def test_what_fired_and_is_set_anew_in_between_raises_only_the_new_card(breaker: Broken, after: bool) -> None:
    broken, organization = breaker
    later = {"emailreminderexpirytime": "2026-11-26T09:00:00Z"}
    for nth in range(10):
        email = await draft(organization, **REMINDER)
        stopped = await fails(broken, nth, reminding.remind(organization, email, EXPIRY), after=after)
        await change_email(organization, CALLER, email, later, now=EXPIRY)
        await reminding.remind(organization, email, LATE)
        assert (await read(organization, email))["emailreminderstatus"] == 1
        assert not [card for card in await cards(organization) if card["regardingobjectid"] == email]
        await reminding.remind(organization, email, EXPIRY + timedelta(days=1))
        [card] = [card for card in await cards(organization) if card["regardingobjectid"] == email]
        assert card["startdate"] == "2026-11-26T09:00:00Z"
        if not stopped:
            break


async def test_one_that_could_not_be_set_never_fires(breaker: Broken) -> None:
    broken, organization = breaker
    email = await draft(organization)
    assert await fails(broken, 0, change_email(organization, CALLER, email, REMINDER, now=NOW), after=False)
    entered = [entry async for page in agenda.due(EXPIRY) for entry in page if entry.email == email]
    assert [entry.kind for entry in entered] == ["remind"], "the entry is written before the email"
    await reminding.remind(organization, email, EXPIRY)
    assert "emailreminderstatus" not in await read(organization, email)
    assert await cards(organization) == []


async def test_one_that_was_set_unheard_fires(breaker: Broken) -> None:
    broken, organization = breaker
    email = await draft(organization)
    assert await fails(broken, 0, change_email(organization, CALLER, email, REMINDER, now=NOW), after=True)
    await reminding.remind(organization, email, EXPIRY)
    assert (await read(organization, email))["emailreminderstatus"] == 2
    assert len(await cards(organization)) == 1
