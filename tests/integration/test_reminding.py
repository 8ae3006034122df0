"""Reminders over the Web API and real storage: set, changed, removed, judged once when their time comes."""

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.engagement.labels import Label
from shared.services import reminding
from shared.storage import agenda, emails
from shared.storage.organizations import Organization
from shared.storage.tables import Operation
from tests.web_client import Answer, Client

NOW = datetime(2027, 3, 1, 9, 0, tzinfo=UTC)
EXPIRY = datetime(2027, 3, 3, 9, 0, tzinfo=UTC)
IN_TIME, LATE = EXPIRY - timedelta(hours=1), EXPIRY + timedelta(seconds=1)
NO_REPLY, NOT_OPENED, ANYWAY = range(3)
OPEN, LINK, REPLY = 0, 1, 3


def iso(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def a_reminder(condition: int, expiry: datetime = EXPIRY, text: str | None = None) -> dict[str, Any]:
    return {"emailremindertype": condition, "emailreminderexpirytime": iso(expiry), "emailremindertext": text}


async def draft(client: Client, *, follow: bool = True, **columns: Any) -> str:
    contact = await client.make("contacts", {"lastname": "Turing", "emailaddress1": "alan@x.example"})
    to = {"partyid_contact@odata.bind": f"/contacts({contact})", "participationtypemask": 2}
    given = {"subject": "Offer", "followemailuserpreference": follow, "email_activity_parties": [to], **columns}
    answer = await client.post("emails", given, now=NOW)
    assert answer.status == 204, answer.error
    return answer.id


async def send(client: Client, email: str, now: datetime = NOW) -> None:
    """Send an email and bring it where delivery brings it."""
    answer = await client.post(f"emails({email})/Microsoft.Dynamics.CRM.SendEmail", {"IssueSend": True}, now=now)
    assert answer.status == 200, answer.error
    row = await emails.get_email(client.organization, email)
    assert row is not None
    await emails.commit(client.organization, row, {"statuscode": 3, "senton": iso(now)})


async def sent(client: Client, *, follow: bool = True, **columns: Any) -> str:
    email = await draft(client, follow=follow, **columns)
    await send(client, email)
    return email


async def change(client: Client, email: str, changes: dict[str, Any], now: datetime = NOW) -> Answer:
    return await client.patch(f"emails({email})", changes, now=now)


async def did(organization: Organization, email: str, kind: int, at: datetime, label: Label = Label.PERSON) -> None:
    """Record what a recipient did as the fold and replies do."""
    row = await emails.get_email(organization, email)
    assert row is not None
    key = emails.interaction_key(int(at.timestamp() * 1000), uuid.uuid4().hex)
    interaction = {"interactiontype": kind, "ee_label": int(label), "emailinteractiontime": iso(at)}
    await emails.commit(
        organization, row, {}, [Operation("put", {"PartitionKey": email, "RowKey": key, **interaction})]
    )


async def row_of(client: Client, email: str) -> dict[str, Any]:
    return dict((await client.get(f"emails({email})")).json)


async def state(client: Client, email: str) -> tuple[int, bool]:
    row = await row_of(client, email)
    return row["emailreminderstatus"], row["isemailreminderset"]


async def entries(organization: Organization, until: datetime = EXPIRY + timedelta(days=30)) -> list[agenda.Entry]:
    found = [entry async for page in agenda.due(until) for entry in page]
    return [entry for entry in found if entry.organization == organization.name and entry.kind == reminding.REMIND]


async def run(organization: Organization, now: datetime) -> None:
    """Carry out what is due by `now`, as the agenda's timer and its queue do; done with or not, it comes every time."""
    for entry in await entries(organization, now):
        await reminding.remind(organization, entry.email, now)


async def cards(client: Client) -> list[dict[str, Any]]:
    return (await client.get("actioncards")).rows


# What comes of it


@pytest.mark.parametrize(
    ("condition", "follow", "kind", "at", "status", "reason"),
    [
        (NO_REPLY, True, None, None, 2, None),
        (NO_REPLY, True, REPLY, IN_TIME, 3, "there was a reply on 3 March 2027 at 08:00 UTC"),
        (NO_REPLY, True, REPLY, LATE, 2, None),
        (NO_REPLY, True, OPEN, IN_TIME, 2, None),
        (NO_REPLY, False, None, None, 3, "the email is not followed: following was not asked for"),
        (NOT_OPENED, True, None, None, 2, None),
        (NOT_OPENED, True, OPEN, IN_TIME, 3, "it was opened on 3 March 2027 at 08:00 UTC"),
        (NOT_OPENED, True, OPEN, LATE, 2, None),
        (NOT_OPENED, True, LINK, IN_TIME, 3, "it was opened on 3 March 2027 at 08:00 UTC"),
        (NOT_OPENED, True, REPLY, IN_TIME, 3, "there was a reply on 3 March 2027 at 08:00 UTC"),
        (NOT_OPENED, False, None, None, 3, "the email is not followed: following was not asked for"),
        (ANYWAY, True, REPLY, IN_TIME, 2, None),
        (ANYWAY, False, None, None, 2, None),
    ],
)
@pytest.mark.parametrize("timer_is_late", [False, True])
async def test_a_reminder_is_judged_on_what_people_had_done_by_its_time(
    seller: Client,
    condition: int,
    follow: bool,
    kind: int | None,
    at: datetime | None,
    status: int,
    reason: str | None,
    timer_is_late: bool,
) -> None:
    email = await sent(seller, follow=follow, **a_reminder(condition))
    invalid = condition != ANYWAY and not follow
    assert await state(seller, email) == ((3, False) if invalid else (1, True))
    if kind is not None and at is not None:
        await did(seller.organization, email, kind, at)
    await run(seller.organization, EXPIRY - timedelta(minutes=1))
    assert (await row_of(seller, email))["emailreminderstatus"] == (3 if invalid else 1)
    await run(seller.organization, EXPIRY + timedelta(hours=2 if timer_is_late else 0))
    row = await row_of(seller, email)
    assert (row["emailreminderstatus"], row["isemailreminderset"]) == (status, False)
    assert row["ee_reminderreason"] == reason
    found = await cards(seller)
    assert row["reminderactioncardid"] == (found[0]["actioncardid"] if found else None)
    assert len(found) == (1 if status == 2 else 0)


@pytest.mark.parametrize("label", [Label.PROXY, Label.MACHINE, Label.SENDER])
async def test_what_machines_and_the_sender_did_does_not_count(seller: Client, label: Label) -> None:
    for condition, kind in ((NOT_OPENED, OPEN), (NO_REPLY, REPLY)):
        email = await sent(seller, **a_reminder(condition))
        await did(seller.organization, email, kind, IN_TIME, label)
        await run(seller.organization, EXPIRY)
        assert await state(seller, email) == (2, False)


async def test_the_card_says_what_of_whom_and_the_note(seller: Client) -> None:
    email = await sent(seller, **a_reminder(NO_REPLY, text="call him"))
    await run(seller.organization, EXPIRY)
    [card] = await cards(seller)
    for part in ("Offer", "Turing", "03 March 2027 at 09:00 UTC", "no reply", "call him"):
        assert part in card["description"]
    assert "Turing" in card["title"]
    assert (card["_regardingobjectid_value"], card["_ownerid_value"]) == (email, seller.user)
    assert (card["state"], card["startdate"]) == (0, iso(EXPIRY))


async def test_one_that_is_handed_over_too_early_comes_again_a_minute_later(seller: Client) -> None:
    expiry = EXPIRY + timedelta(seconds=20)
    email = await sent(seller, **a_reminder(NOT_OPENED, expiry))
    [entry] = await entries(seller.organization)
    assert expiry - timedelta(minutes=1) < entry.due <= expiry
    await reminding.remind(seller.organization, email, EXPIRY)
    assert await state(seller, email) == (1, True)
    [again] = [other for other in await entries(seller.organization) if other != entry]
    assert entry.due + timedelta(seconds=59) < again.due <= expiry + timedelta(minutes=1)
    await did(seller.organization, email, OPEN, EXPIRY + timedelta(seconds=10))
    await run(seller.organization, expiry + timedelta(minutes=1))
    assert await state(seller, email) == (3, False)


# Set, changed, removed


async def test_an_email_has_no_reminder_unless_one_is_set(seller: Client) -> None:
    email = await draft(seller)
    row = await row_of(seller, email)
    assert (row["emailreminderstatus"], row["isemailreminderset"], row["emailreminderexpirytime"]) == (0, False, None)
    assert (row["emailremindertype"], row["reminderactioncardid"], row["ee_reminderreason"]) == (0, None, None)
    assert (await change(seller, email, {"emailremindertype": 1, "emailremindertext": "later"})).status == 204
    assert await state(seller, email) == (0, False)
    assert await entries(seller.organization) == []


async def test_one_is_set_after_sending_moved_and_removed(seller: Client) -> None:
    email = await sent(seller)
    assert await state(seller, email) == (0, False)
    assert (await change(seller, email, a_reminder(NO_REPLY))).status == 204
    assert await state(seller, email) == (1, True)
    later = EXPIRY + timedelta(days=1)
    assert (await change(seller, email, {"emailreminderexpirytime": iso(later)})).status == 204
    await run(seller.organization, EXPIRY)
    assert await state(seller, email) == (1, True)
    removal = {"emailremindertype": 0, "emailremindertext": None, "emailreminderexpirytime": None}
    assert (await change(seller, email, removal, EXPIRY)).status == 204
    assert await state(seller, email) == (0, False)
    await run(seller.organization, later)
    assert await state(seller, email) == (0, False)
    assert await cards(seller) == []


async def test_one_that_fired_can_be_set_anew_and_raises_its_card_again(seller: Client) -> None:
    email = await sent(seller, **a_reminder(ANYWAY))
    await run(seller.organization, EXPIRY)
    [card] = await cards(seller)
    assert (await seller.patch(f"actioncards({card['actioncardid']})", {"state": 1})).status == 204
    later = EXPIRY + timedelta(days=1)
    assert (await change(seller, email, {"emailreminderexpirytime": iso(later)}, EXPIRY)).status == 204
    row = await row_of(seller, email)
    assert (row["emailreminderstatus"], row["reminderactioncardid"]) == (1, None)
    assert await cards(seller) == []
    await run(seller.organization, later)
    [again] = await cards(seller)
    row = await row_of(seller, email)
    assert (row["emailreminderstatus"], row["reminderactioncardid"]) == (2, again["actioncardid"])
    assert (again["state"], again["startdate"]) == (0, iso(later))


async def test_changing_the_condition_changes_whether_it_can_apply(seller: Client) -> None:
    email = await sent(seller, follow=False, **a_reminder(NOT_OPENED))
    assert await state(seller, email) == (3, False)
    assert (await change(seller, email, {"emailremindertype": ANYWAY})).status == 204
    assert await state(seller, email) == (1, True)
    assert (await row_of(seller, email))["ee_reminderreason"] is None
    await run(seller.organization, EXPIRY)
    assert await state(seller, email) == (2, False)


async def test_a_draft_is_taken_at_its_senders_wish_and_sending_decides(seller: Client) -> None:
    email = await draft(seller, follow=False, **a_reminder(NO_REPLY))
    assert await state(seller, email) == (3, False)
    assert (await change(seller, email, {"followemailuserpreference": True})).status == 204
    assert await state(seller, email) == (1, True)
    [contact] = (await seller.get("contacts")).rows
    assert (await seller.patch(f"contacts({contact['contactid']})", {"followemail": False})).status == 204
    await send(seller, email)
    assert await state(seller, email) == (3, False)
    assert "Turing does not allow following" in (await row_of(seller, email))["ee_reminderreason"]


async def test_a_mail_closed_without_sending_it_is_not_followed(seller: Client) -> None:
    email = await draft(seller, **a_reminder(NO_REPLY))
    assert (await change(seller, email, {"statecode": 1, "statuscode": 3})).status == 204
    assert await state(seller, email) == (3, False)


@pytest.mark.parametrize(("condition", "status"), [(NO_REPLY, 3), (NOT_OPENED, 3), (ANYWAY, 2)])
async def test_one_that_is_due_before_the_mail_was_sent(seller: Client, condition: int, status: int) -> None:
    unsent = await draft(seller, **a_reminder(condition))
    waiting = await draft(seller, **a_reminder(condition), delayedemailsendtime=iso(EXPIRY + timedelta(hours=1)))
    path = f"emails({waiting})/Microsoft.Dynamics.CRM.SendEmail"
    assert (await seller.post(path, {"IssueSend": True}, now=NOW)).status == 200
    await run(seller.organization, EXPIRY)
    for email in (unsent, waiting):
        assert await state(seller, email) == (status, False)
    await send(seller, unsent, EXPIRY + timedelta(hours=1))
    assert await state(seller, unsent) == (status, False), "what was judged stays judged"


# Input that makes no sense


async def test_a_time_that_is_past_is_refused_with_the_present_one(seller: Client) -> None:
    past = a_reminder(ANYWAY, NOW)
    answer = await seller.post("emails", {"subject": "Offer", **past}, now=NOW)
    assert answer.status == 400
    email = await sent(seller)
    refused = await change(seller, email, past)
    for said in (answer, refused):
        assert "'emailreminderexpirytime' is 2027-03-01T09:00:00Z, which is past" in said.error
        assert "it is 2027-03-01T09:00:00Z now" in said.error
    assert refused.status == 400
    assert await state(seller, email) == (0, False)


async def test_a_row_that_is_sent_back_whole_keeps_its_past_reminder(seller: Client) -> None:
    email = await sent(seller, **a_reminder(ANYWAY, text="a"))
    await run(seller.organization, EXPIRY)
    [card] = await cards(seller)
    again = {**a_reminder(ANYWAY, text="b"), "reminderactioncardid": card["actioncardid"]}
    assert (await change(seller, email, again, LATE)).status == 204
    row = await row_of(seller, email)
    assert (row["emailreminderstatus"], row["reminderactioncardid"]) == (2, card["actioncardid"])
    assert row["emailremindertext"] == "b"
    await reminding.remind(seller.organization, email, LATE)
    assert await cards(seller) == [card]


async def test_a_note_that_is_too_long_or_a_condition_that_is_none_is_refused_by_name(seller: Client) -> None:
    email = await sent(seller)
    assert (await change(seller, email, a_reminder(ANYWAY, text="x" * 1250))).status == 204
    for column, value in (("emailremindertext", "x" * 1251), ("emailremindertype", 3)):
        answer = await change(seller, email, {column: value})
        assert (answer.status, column in answer.error) == (400, True)
    for column in ("emailreminderstatus", "isemailreminderset", "ee_reminderreason"):
        answer = await change(seller, email, {column: None})
        assert (answer.status, column in answer.error) == (400, True)


async def test_a_time_at_the_end_of_all_times_is_taken(seller: Client) -> None:
    email = await sent(seller, **a_reminder(ANYWAY, datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)))
    assert await state(seller, email) == (1, True)


async def test_nothing_comes_of_an_email_that_was_deleted(seller: Client) -> None:
    email = await sent(seller, **a_reminder(ANYWAY))
    assert (await seller.send("DELETE", f"emails({email})")).status == 204
    await run(seller.organization, EXPIRY)
    assert await cards(seller) == []
    assert await emails.get_email(seller.organization, email) is None
    await reminding.remind(seller.organization, str(uuid.uuid4()), EXPIRY)


async def test_an_organization_that_switched_off_following_cannot_know(seller: Client) -> None:
    off = replace(seller.organization, settings={**seller.organization.settings, "isemailmonitoringallowed": False})
    unknown, anyway = await sent(seller, **a_reminder(NO_REPLY)), await sent(seller, **a_reminder(ANYWAY))
    await run(off, EXPIRY)
    assert await state(seller, unknown) == (3, False)
    assert "switched off in your organization" in (await row_of(seller, unknown))["ee_reminderreason"]
    assert await state(seller, anyway) == (2, False)


async def test_an_organization_without_cards_gets_the_status_alone(seller: Client) -> None:
    off = replace(seller.organization, settings={**seller.organization.settings, "isactioncardenabled": False})
    email = await sent(seller, **a_reminder(ANYWAY))
    await run(off, EXPIRY)
    assert await state(seller, email) == (2, False)
    await run(seller.organization, LATE)
    await reminding.remind(seller.organization, email, LATE)
    assert await cards(seller) == []


# Twice and at once


async def test_judged_at_once_by_many_there_is_one_card_and_it_is_left_alone(seller: Client) -> None:
    email = await sent(seller, **a_reminder(NOT_OPENED))
    await asyncio.gather(*(reminding.remind(seller.organization, email, EXPIRY) for _ in range(8)))
    [card] = await cards(seller)
    assert await state(seller, email) == (2, False)
    assert (await seller.patch(f"actioncards({card['actioncardid']})", {"state": 1})).status == 204
    await asyncio.gather(*(reminding.remind(seller.organization, email, LATE) for _ in range(4)))
    [card] = await cards(seller)
    assert card["state"] == 1
    assert (await row_of(seller, email))["reminderactioncardid"] == card["actioncardid"]


async def test_moving_one_while_it_is_due_ends_in_one_of_the_two(seller: Client) -> None:
    later = EXPIRY + timedelta(days=1)
    for _ in range(5):
        email = await sent(seller, **a_reminder(ANYWAY))
        moved, *_ = await asyncio.gather(
            change(seller, email, {"emailreminderexpirytime": iso(later)}, EXPIRY),
            reminding.remind(seller.organization, email, EXPIRY),
            reminding.remind(seller.organization, email, EXPIRY),
        )
        assert moved.status == 204
        assert await state(seller, email) == (1, True)
        assert (await row_of(seller, email))["reminderactioncardid"] is None
        assert not [card for card in await cards(seller) if card["_regardingobjectid_value"] == email]
