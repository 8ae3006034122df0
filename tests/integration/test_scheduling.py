"""Scheduled delivery: at its time, once, judged as things are then, and late only where it says so."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from functions import delivery as triggers
from shared.engagement.times import iso_seconds, milliseconds
from shared.services import composing, delivering
from shared.services.agenda import run_agenda
from shared.services.attaching import Attachment
from shared.services.claiming import take
from shared.services.errors import Refused
from shared.services.parties import Party
from shared.settings import settings
from shared.storage import records
from shared.storage.account import PreconditionFailed
from shared.storage.organizations import read_entry, save_state
from tests.agenda_world import Queues, entries, queue_service
from tests.delivery_world import CALLER, Clock, World
from tests.faults.test_delivery import Killed, Message, trigger, watched
from tests.standin_fixtures import IGNORED_WARNINGS, standin, world

__all__ = ["queue_service", "standin", "world"]

pytestmark = IGNORED_WARNINGS

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
START = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)


def stored(time: datetime) -> str:
    return iso_seconds(milliseconds(time))


async def scheduled(world: World, *to: Party, at: datetime, clock: Clock, **draft: Any) -> str:
    """Write a mail and send it at a time."""
    mail = await world.write(*(to or (await world.contact(),)), delayedemailsendtime=stored(at), **draft)
    await world.send(mail, clock)
    return mail


async def change(world: World, mail: str, clock: Clock, **changes: Any) -> None:
    await composing.change_email(world.organization, CALLER, mail, changes, now=clock())


async def move(world: World, mail: str, to: datetime | None, clock: Clock) -> None:
    await change(world, mail, clock, delayedemailsendtime=stored(to) if to else None)


async def row(world: World, mail: str) -> dict[str, Any]:
    return (await world.partition(mail)).email


async def run_until(world: World, queue_service: Queues, clock: Clock, end: datetime) -> list[tuple[str, datetime]]:
    """Let timer and queue do their work, minute by minute; return the mails that became Sent and the minutes."""
    left: list[tuple[str, datetime]] = []
    while clock.now <= end:
        await run_agenda(clock.now)
        for mail, seconds in queue_service.messages(world.organization):
            at = Clock(clock.now + timedelta(seconds=seconds))
            before = (await row(world, mail))["statuscode"]
            while (delay := await delivering.deliver(world.organization, mail, at)) is not None:
                at.pass_(delay)
            if before != 3 and (await row(world, mail))["statuscode"] == 3:
                left.append((mail, at.now))
        clock.pass_(MINUTE)
    return left


# At its time


@pytest.mark.parametrize("follow", [True, False], ids=["followed", "unfollowed"])
async def test_a_scheduled_mail_leaves_at_its_very_second_once(world: World, queue_service: Queues, follow: bool):
    clock, ann, at = Clock(START), await world.contact(), START + timedelta(minutes=30, seconds=40)
    mail = await scheduled(world, ann, at=at, clock=clock, follow=follow)
    assert ((await row(world, mail))["statuscode"], await world.arrived(ann)) == (6, [])
    assert await run_until(world, queue_service, clock, START + HOUR) == [(mail, at)]
    assert len(await world.arrived(ann)) == 1
    email = await row(world, mail)
    assert (email["isemailfollowed"], email.get("ee_lateby")) == (follow, None)


async def test_a_mail_that_is_due_within_a_minute_does_not_wait_for_the_timer(world: World, queue_service: Queues):
    clock = Clock(START + timedelta(seconds=5))
    mail = await scheduled(world, at=START + timedelta(seconds=30), clock=clock)
    assert queue_service.messages(world.organization) == [(mail, 25)]


async def test_a_time_in_the_past_sends_at_once_and_is_not_late(world: World, queue_service: Queues):
    clock = Clock(START)
    mail = await scheduled(world, at=START - timedelta(days=400), clock=clock)
    assert queue_service.messages(world.organization) == [(mail, 0)]
    clock.pass_(MINUTE)
    await world.deliver(mail, clock)
    email = await row(world, mail)
    assert (email["statuscode"], email.get("ee_lateby")) == (3, None)


async def test_more_than_ten_years_ahead_is_refused_when_it_is_written_and_when_it_is_changed(
    world: World, queue_service: Queues
):
    clock = Clock()
    absurd = clock() + timedelta(days=3660)
    with pytest.raises(Refused, match=r"'delayedemailsendtime' .* more than ten years ahead"):
        await world.write(await world.contact(), delayedemailsendtime=stored(absurd))
    mail = await scheduled(world, at=clock() + HOUR, clock=clock)
    with pytest.raises(Refused, match="more than ten years ahead"):
        await move(world, mail, absurd, clock)
    assert (await row(world, mail))["delayedemailsendtime"] == stored(clock() + HOUR)


# Moved, cancelled, sent now


@pytest.mark.parametrize("minutes", [10, 180], ids=["earlier", "later"])
async def test_a_moved_mail_leaves_at_its_new_time_only(world: World, queue_service: Queues, minutes: int):
    clock = Clock(START)
    mail = await scheduled(world, at=START + HOUR, clock=clock)
    await move(world, mail, START + timedelta(minutes=minutes), clock)
    assert await run_until(world, queue_service, clock, START + 4 * HOUR) == [
        (mail, START + timedelta(minutes=minutes))
    ]


async def test_a_mail_moved_after_it_was_handed_over_leaves_at_its_new_time_only(world: World, queue_service: Queues):
    clock, at = Clock(START), START + timedelta(seconds=90)
    mail = await scheduled(world, at=at, clock=clock)
    await run_agenda(START + MINUTE)
    assert await entries(world.organization, at) == []
    clock.now = START + timedelta(seconds=70)
    later = START + timedelta(minutes=9)
    await move(world, mail, later, clock)
    [(_, seconds)] = queue_service.messages(world.organization)
    assert seconds == 30
    clock.now = at
    assert await delivering.deliver(world.organization, mail, clock) is None
    clock.now = START + timedelta(minutes=2)
    assert await run_until(world, queue_service, clock, START + HOUR) == [(mail, later)]


async def test_a_mail_moved_by_seconds_after_it_was_handed_over_waits_for_them(world: World, queue_service: Queues):
    clock, at = Clock(START), START + timedelta(seconds=90)
    mail = await scheduled(world, at=at, clock=clock)
    await run_agenda(START + MINUTE)
    clock.now = START + timedelta(seconds=70)
    await move(world, mail, at + timedelta(seconds=20), clock)
    clock.now = at
    assert await world.deliver(mail, clock) == [20]
    assert (await row(world, mail))["statuscode"] == 3


async def test_null_sends_it_now(world: World, queue_service: Queues):
    clock = Clock(START)
    mail = await scheduled(world, at=START + HOUR, clock=clock)
    queue_service.messages(world.organization)
    clock.pass_(MINUTE)
    await move(world, mail, None, clock)
    assert queue_service.messages(world.organization) == [(mail, 0)]
    await world.deliver(mail, clock)
    email = await row(world, mail)
    assert (email["statuscode"], email.get("ee_lateby")) == (3, None)


async def test_null_sends_it_a_minute_later_should_the_message_be_lost(world: World, queue_service: Queues):
    clock = Clock(START)
    mail = await scheduled(world, at=START + HOUR, clock=clock)
    await move(world, mail, None, clock)
    queue_service.messages(world.organization)
    assert await run_until(world, queue_service, clock, START + HOUR) == [(mail, START + MINUTE)]


async def test_a_cancelled_mail_is_a_draft_that_leaves_only_when_it_is_sent_again(world: World, queue_service: Queues):
    clock, ann = Clock(START), await world.contact()
    mail = await scheduled(world, ann, at=START + HOUR, clock=clock)
    await change(world, mail, clock, statecode=0, statuscode=1)
    assert await run_until(world, queue_service, clock, START + 2 * HOUR) == []
    assert (await row(world, mail))["statuscode"] == 1
    await change(world, mail, clock, delayedemailsendtime=stored(clock() + HOUR))
    assert queue_service.messages(world.organization) == []
    at = clock() + HOUR
    await world.send(mail, clock)
    assert await run_until(world, queue_service, clock, at + HOUR) == [(mail, at)]
    assert len(await world.arrived(ann)) == 1


@pytest.mark.parametrize("status", [7, 3], ids=["Sending", "Sent"])
async def test_what_has_left_is_neither_moved_nor_cancelled(world: World, queue_service: Queues, status: int):
    clock = Clock(START)
    mail = await scheduled(world, at=START + HOUR, clock=clock)
    clock.pass_(HOUR)
    if status == 7:
        await take(world.organization, mail, clock)
    else:
        await world.deliver(mail, clock)
    with pytest.raises(Refused, match="cannot be changed"):
        await move(world, mail, START + 5 * HOUR, clock)
    with pytest.raises(Refused, match="cannot become Draft"):
        await change(world, mail, clock, statecode=0, statuscode=1)


async def test_whoever_moves_it_at_the_same_time_it_leaves_at_the_time_that_was_kept(
    world: World, queue_service: Queues
):
    clock = Clock(START)
    mail = await scheduled(world, at=START + HOUR, clock=clock)
    times = [START + timedelta(minutes=minutes) for minutes in (5, 20, 90, 40)]
    await asyncio.gather(*(move(world, mail, time, clock) for time in times))
    kept = (await row(world, mail))["delayedemailsendtime"]
    [(left, at)] = await run_until(world, queue_service, clock, START + 3 * HOUR)
    assert (left, stored(at)) == (mail, kept)


async def test_a_client_that_names_the_version_it_saw_does_not_move_what_somebody_else_has_moved(
    world: World, queue_service: Queues
):
    clock = Clock(START)
    mail = await scheduled(world, at=START + HOUR, clock=clock)
    await move(world, mail, START + 2 * HOUR, clock)
    with pytest.raises(PreconditionFailed):
        await composing.change_email(
            world.organization,
            CALLER,
            mail,
            {"delayedemailsendtime": stored(START + 5 * MINUTE)},
            now=clock(),
            expected=1,
        )
    assert await run_until(world, queue_service, clock, START + 3 * HOUR) == [(mail, START + 2 * HOUR)]


# Late


async def test_the_timer_stopped_for_two_hours_sends_at_once_on_return_and_the_mail_says_so(
    world: World, queue_service: Queues
):
    clock = Clock(START)
    mails = [await scheduled(world, at=START + timedelta(minutes=m), clock=clock) for m in (2, 30, 118, 119, 150)]
    clock.pass_(2 * HOUR)
    left = await run_until(world, queue_service, clock, START + 3 * HOUR)
    assert sorted(left) == sorted(
        [*((mail, START + 2 * HOUR) for mail in mails[:4]), (mails[4], START + timedelta(minutes=150))]
    )
    late = [(await row(world, mail)).get("ee_lateby") for mail in mails]
    assert late == [118 * 60, 90 * 60, None, None, None]


async def test_a_mail_whose_sender_died_and_that_another_recorded_later_is_not_late(
    world: World, queue_service: Queues
):
    clock = Clock(START)
    mail = await scheduled(world, at=START + HOUR, clock=clock, follow=False)
    clock.now = START + HOUR

    async def die(name: str) -> None:
        if name == "after send":
            raise Killed

    with pytest.raises(Killed):
        await watched(delivering.deliver(world.organization, mail, clock), die)
    clock.pass_(HOUR)
    await world.deliver(mail, clock)
    email = await row(world, mail)
    assert (email["statuscode"], email.get("ee_lateby")) == (3, None)


async def test_a_mail_that_was_late_and_failed_starts_anew_when_it_is_sent_again(world: World, queue_service: Queues):
    clock, ann = Clock(START), await world.contact("Ann")
    mail = await scheduled(world, ann, at=START + HOUR, clock=clock)
    clock.pass_(3 * HOUR)
    await records.merge(world.organization, "contact", ann.id, {"donotemail": True})
    await world.deliver(mail, clock)
    await records.merge(world.organization, "contact", ann.id, {"donotemail": False})
    await world.send(mail, clock)
    await world.deliver(mail, clock)
    email = await row(world, mail)
    assert (email["statuscode"], email.get("ee_lateby")) == (3, None)


# Judged again


async def test_a_recipient_who_withdrew_consent_meanwhile_gets_it_unfollowed(world: World, queue_service: Queues):
    clock, ann = Clock(START), await world.contact("Ann")
    mail = await scheduled(world, ann, at=START + HOUR, clock=clock)
    assert (await row(world, mail))["isemailfollowed"] is True
    await records.merge(world.organization, "contact", ann.id, {"followemail": False})
    clock.pass_(HOUR)
    await world.deliver(mail, clock)
    email = await row(world, mail)
    assert (email["statuscode"], email["isemailfollowed"]) == (3, False)
    assert email["ee_followreason"] == "Ann does not allow following"
    [message] = await world.arrived(ann)
    assert settings().base_url not in message["body"]["content"]


async def test_a_recipient_who_allows_it_by_now_gets_it_followed(world: World, queue_service: Queues):
    clock, ann = Clock(START), await world.contact("Ann", followemail=False)
    mail = await scheduled(world, ann, at=START + HOUR, clock=clock)
    await records.merge(world.organization, "contact", ann.id, {"followemail": True})
    clock.pass_(HOUR)
    await world.deliver(mail, clock)
    email = await row(world, mail)
    assert (email["isemailfollowed"], email.get("ee_followreason")) == (True, None)
    [message] = await world.arrived(ann)
    assert settings().base_url in message["body"]["content"]


async def test_a_file_that_was_to_be_followed_is_attached_where_consent_is_gone(world: World, queue_service: Queues):
    clock, ann = Clock(START), await world.contact("Ann")
    prices = Attachment("Prices.pdf", "application/pdf", b"%PDF-1.7 prices")
    mail = await scheduled(world, ann, at=START + HOUR, clock=clock, attachments=[prices], followed=["Prices.pdf"])
    await records.merge(world.organization, "contact", ann.id, {"followemail": False})
    clock.pass_(HOUR)
    await world.deliver(mail, clock)
    [message] = await world.arrived(ann)
    assert [attachment["name"] for attachment in message["attachments"]] == ["Prices.pdf"]


async def test_an_organization_that_switched_following_off_meanwhile_sends_unfollowed(
    world: World, queue_service: Queues
):
    clock = Clock(START)
    mail = await scheduled(world, at=START + HOUR, clock=clock)
    world.organization = replace(
        world.organization, settings={**world.organization.settings, "isemailmonitoringallowed": False}
    )
    clock.pass_(HOUR)
    await world.deliver(mail, clock)
    email = await row(world, mail)
    assert (email["statuscode"], email["isemailfollowed"]) == (3, False)
    assert email["ee_followreason"] == "following email is switched off in your organization"


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"donotemail": True}, "The recipient Ann does not want to get email (donotemail)."),
        (None, "The recipient Ann does not exist any more: remove or replace them."),
    ],
)
async def test_a_recipient_who_cannot_be_written_to_any_more_fails_it_with_the_reason(
    world: World, queue_service: Queues, columns: dict[str, Any] | None, words: str
):
    clock, ann = Clock(START), await world.contact("Ann")
    address = await world.address_of(ann)
    mail = await scheduled(world, ann, at=START + HOUR, clock=clock)
    if columns is None:
        await records.delete(world.organization, "contact", ann.id)
    else:
        await records.merge(world.organization, "contact", ann.id, columns)
    clock.pass_(HOUR)
    await world.deliver(mail, clock)
    email = await row(world, mail)
    assert (email["statecode"], email["statuscode"], email["ee_failurereason"]) == (0, 8, words)
    assert await world.arrived(address) == []


# What is gone


async def test_a_mail_that_was_deleted_meanwhile_does_not_leave(world: World, queue_service: Queues):
    clock, ann = Clock(START), await world.contact()
    mail = await scheduled(world, ann, at=START + HOUR, clock=clock)
    await composing.delete_email(world.organization, CALLER, mail)
    await run_agenda(START + HOUR)
    assert queue_service.messages(world.organization) == [(mail, 0)]
    assert await delivering.deliver(world.organization, mail, Clock(START + HOUR)) is None
    assert (await world.arrived(ann), await entries(world.organization, START + HOUR)) == ([], [])


async def test_the_mail_of_an_organization_that_was_removed_does_not_leave(world: World, queue_service: Queues):
    clock, ann = Clock(START), await world.contact()
    mail = await scheduled(world, ann, at=START + HOUR, clock=clock)
    entry = await read_entry(world.organization.name)
    assert entry is not None
    await save_state(entry, "removed")
    await run_agenda(START + HOUR)
    assert queue_service.messages(world.organization) == [(mail, 0)]
    await trigger(triggers.deliver, Message(world.organization, mail))
    assert (await world.arrived(ann), queue_service.messages(world.organization)) == ([], [])
