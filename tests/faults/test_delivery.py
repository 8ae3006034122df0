"""Exactly one mail arrives, whatever dies, fails, stalls or is answered wrongly between SendEmail and Sent."""

import asyncio
import base64
import contextlib
import itertools
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest

from functions import delivery as triggers
from shared.engagement.refusals import UNCERTAIN, UNREACHABLE
from shared.engagement.times import iso_seconds, milliseconds
from shared.graph import mail as graph
from shared.services import composing, delivering
from shared.services.agenda import run_agenda
from shared.services.alerting import card_of
from shared.services.attaching import Attachment
from shared.services.claiming import observer
from shared.services.parties import Party
from shared.settings import settings
from shared.storage import agenda, blobs, emails, records
from shared.storage.account import NotFound
from shared.storage.organizations import Organization
from tests.delivery_world import CALLER, PNG, SELLER, TENANT, Clock, World
from tests.standin_fixtures import IGNORED_WARNINGS, standin, world

__all__ = ["standin", "world"]

pytestmark = IGNORED_WARNINGS

BODY = '<p>Our <a href="https://contoso.example/">offer</a> <img src="cid:logo"></p>'
FILES = (
    Attachment("Prices.pdf", "application/pdf", b"%PDF-1.7 prices"),
    Attachment("Terms.pdf", "application/pdf", b"%PDF-1.7 other terms"),
    Attachment("Terms.pdf", "application/pdf", b"%PDF-1.7 terms"),
    Attachment("logo.png", "image/png", PNG, content_id="logo"),
)
AFTER_A_CLAIM = timedelta(seconds=301)


class Killed(BaseException):
    """A worker dies: no handler of the product may catch this."""


async def pending(world: World, *, follow: bool, clock: Clock | None = None) -> tuple[str, Party]:
    """Return an email that is Pending Send, with every kind of attachment, and its recipient."""
    ann = await world.contact()
    email = await world.write(ann, body=BODY, attachments=FILES, followed=["Prices.pdf"], follow=follow)
    await world.send(email, clock)
    return email, ann


async def watched[T](work: Awaitable[T], observe: Callable[[str], Awaitable[None]]) -> T:
    """Await `work` in a context of its own in which `observe` hears of every step."""

    async def run() -> T:
        observer.set(observe)
        return await work

    return await asyncio.create_task(run())


async def assert_sent_once(world: World, email: str, ann: Party, *, follow: bool) -> None:
    """One mail arrived with each file once, the email says so, and nothing is left behind."""
    [message] = await world.arrived(ann)
    files = sorted((a["name"], base64.b64decode(a["contentBytes"])) for a in message["attachments"])
    expected = FILES[1:3] if follow else FILES
    assert files == sorted((file.filename, file.content) for file in expected)
    partition = await world.partition(email)
    row = partition.email
    assert (row["statecode"], row["statuscode"], row["messageid"]) == (1, 3, message["internetMessageId"])
    assert len(partition.links) == len(partition.images) == (1 if follow else 0)
    if follow:
        assert message["body"]["content"].count(settings().base_url) == 4
    else:
        assert message["body"]["content"] == BODY
    assert await graph.find_draft(TENANT.id, SELLER.address, f"{email}/{row['_submission']}") is None


async def sends(world: World) -> int:
    """Return how often a draft was sent."""
    return sum(request.endswith("/send") for request in await world.requests())


# Killed between any two steps


async def steps_of(world: World, *, follow: bool) -> list[str]:
    """Return the steps of a delivery that nothing disturbs."""
    seen: list[str] = []

    async def observe(name: str) -> None:
        seen.append(name)

    email, ann = await pending(world, follow=follow)
    await watched(world.deliver(email), observe)
    await assert_sent_once(world, email, ann, follow=follow)
    return seen


async def killed_at(world: World, number: int, *, follow: bool) -> str:
    """Deliver an email whose first worker dies at its step `number`; return that step's name."""
    clock, count, died_at = Clock(), 0, ""

    async def die(name: str) -> None:
        nonlocal count, died_at
        count += 1
        if count == number + 1:
            died_at = name
            raise Killed

    email, ann = await pending(world, follow=follow, clock=clock)
    with pytest.raises(Killed):
        await watched(delivering.deliver(world.organization, email, clock), die)
    clock.pass_(AFTER_A_CLAIM)
    await world.deliver(email, clock)
    await assert_sent_once(world, email, ann, follow=follow)
    return died_at


@pytest.mark.parametrize("follow", [True, False], ids=["followed", "unfollowed"])
async def test_a_kill_between_any_two_steps_neither_loses_nor_repeats_the_mail(world: World, follow: bool):
    steps = await steps_of(world, follow=follow)
    # What one step leaves is what the next one finds, so that dying before each, and after the last, is dying anywhere.
    numbers = [number for number, name in enumerate(steps) if name.startswith("before ")] + [len(steps) - 1]
    assert {"after claim", "after create draft", "after attach", "after intent", "before send", "after send"} <= {
        *steps
    }
    died_at: list[str] = []
    for some in itertools.batched(numbers, 6, strict=False):
        died_at += await asyncio.gather(*(killed_at(world, number, follow=follow) for number in some))
    assert died_at == [steps[number] for number in numbers]


async def test_the_agenda_finds_a_delivery_whose_worker_died(world: World):
    clock = Clock()
    email, ann = await pending(world, follow=False, clock=clock)

    async def die(name: str) -> None:
        if name == "after create draft":
            raise Killed

    with pytest.raises(Killed):
        await watched(delivering.deliver(world.organization, email, clock), die)
    await run_agenda(clock() + timedelta(minutes=2))
    world.messages()
    clock.pass_(AFTER_A_CLAIM + timedelta(minutes=1))
    await run_agenda(clock())
    assert world.messages() == [{"organization": world.organization.name, "email": email}]
    await world.deliver(email, clock)
    await assert_sent_once(world, email, ann, follow=False)


# Calls that fail, time out, or whose answers are lost

CALLS = (
    r"POST .*/oauth2/",
    r"GET .*/mailFolders/drafts/messages",
    r"PUT .*:/content",
    r"POST .*createLink",
    r"POST .*/messages$",
    r"GET .*/attachments",
    r"POST .*/attachments$",
    r"POST .*/send$",
    r"GET /users/[^/]+/messages/[^/]+\?",
)
FAULTS = {
    "throttled": {"status": 429, "retryAfter": 77},
    "unavailable": {"status": 503, "retryAfter": 77},
    "failing": {"status": 500},
    "answered wrongly": {"status": 504, "after": True},
    "cut off": {"status": "drop"},
    "answer lost": {"status": "drop", "after": True},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("call", [r"POST .*/messages$", r"POST .*/attachments$", r"POST .*/send$"])
async def test_a_call_that_goes_wrong_neither_loses_nor_repeats_the_mail(
    world: World, call: str, fault: dict[str, Any]
):
    email, ann = await pending(world, follow=True)
    await world.break_calls(call, **fault)
    delays = await world.deliver(email)
    assert (await world.call("GET", "/local/faults"))["value"] == []
    assert delays[0] == fault.get("retryAfter", 15)
    await assert_sent_once(world, email, ann, follow=True)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_every_call_going_wrong_once_neither_loses_nor_repeats_the_mail(world: World, fault: dict[str, Any]):
    email, ann = await pending(world, follow=True)
    for call in CALLS:
        await world.break_calls(call, **fault)
    delays = await world.deliver(email)
    assert (await world.call("GET", "/local/faults"))["value"] == []
    assert len(delays) >= len(CALLS) - 2
    await assert_sent_once(world, email, ann, follow=True)


async def test_a_throttled_send_is_repeated_after_exactly_the_time_asked_for(world: World):
    email, ann = await pending(world, follow=False)
    await world.break_calls(r"POST .*/send$", 429, retryAfter=33, count=2)
    assert await world.deliver(email) == [33, 33]
    await assert_sent_once(world, email, ann, follow=False)


async def test_nobody_else_calls_while_microsoft_365_asks_to_wait(world: World):
    clock = Clock()
    email, _ = await pending(world, follow=False, clock=clock)
    await world.break_calls(r"POST .*/messages$", 429, retryAfter=500)
    assert await delivering.deliver(world.organization, email, clock) == timedelta(seconds=500)
    await world.call("DELETE", "/local/requests")
    clock.pass_(timedelta(seconds=499))
    assert await delivering.deliver(world.organization, email, clock) is None
    await run_agenda(clock())
    assert await world.requests() == []


async def test_an_unanswered_send_is_looked_at_for_a_minute_before_it_is_repeated(world: World):
    email, ann = await pending(world, follow=False)
    await world.break_calls(r"POST .*/send$", 500)
    delays = await world.deliver(email)
    assert 60 <= sum(delays) <= 75
    assert await sends(world) == 2
    await assert_sent_once(world, email, ann, follow=False)


async def test_a_send_that_was_carried_out_but_not_answered_is_not_repeated(world: World):
    email, ann = await pending(world, follow=False)
    await world.break_calls(r"POST .*/send$", 500, after=True)
    assert await world.deliver(email) == [15]
    assert await sends(world) == 1
    await assert_sent_once(world, email, ann, follow=False)


async def test_a_message_that_is_nowhere_after_the_intent_is_not_sent_again(world: World):
    email, ann = await pending(world, follow=False)
    await world.break_calls(r"POST .*/send$", 500)
    await world.break_calls(r"GET /users/[^/]+/messages/[^/]+\?", 404, code="ErrorItemNotFound", count=20)
    await world.deliver(email)
    row = (await world.partition(email)).email
    assert (row["statecode"], row["statuscode"], row["ee_failurereason"]) == (0, 8, UNCERTAIN)
    assert await world.arrived(ann) == []


async def test_microsoft_365_out_of_reach_for_a_day_ends_as_failed(world: World):
    clock = Clock()
    email, ann = await pending(world, follow=False, clock=clock)
    await world.break_calls(r"POST .*/messages$", 500, count=1000)
    started, waits = clock(), []
    while (delay := await delivering.deliver(world.organization, email, clock)) is not None:
        waits.append(delay)
        clock.pass_(delay if len(waits) < 10 else timedelta(hours=6))
    assert waits[:7] == [timedelta(seconds=seconds) for seconds in (15, 30, 60, 120, 240, 480, 600)]
    assert clock() - started > timedelta(hours=24)
    assert (await world.partition(email)).email["ee_failurereason"] == UNREACHABLE
    assert await world.arrived(ann) == []


# Several workers


async def test_workers_with_the_same_message_send_one_mail(world: World):
    email, ann = await pending(world, follow=True)
    clock = Clock()
    delays = await asyncio.gather(*(delivering.deliver(world.organization, email, clock) for _ in range(4)))
    assert delays.count(None) >= 1
    assert all(delay <= timedelta(seconds=300) for delay in delays if delay)
    await assert_sent_once(world, email, ann, follow=True)


@pytest.mark.parametrize(
    "stalled_at", ["before find draft", "before create draft", "after create draft", "before attach", "after attach",
                   "before intent", "after intent", "before send", "after send", "before sent"],
)  # fmt: skip
async def test_a_worker_that_stalls_and_is_overtaken_does_no_harm(world: World, stalled_at: str):
    clock = Clock()
    email, ann = await pending(world, follow=False, clock=clock)
    overtaken = False

    async def stall(name: str) -> None:
        nonlocal overtaken
        if name == stalled_at and not overtaken:
            overtaken = True
            clock.pass_(AFTER_A_CLAIM)
            await world.deliver(email, clock)

    await watched(delivering.deliver(world.organization, email, clock), stall)
    assert overtaken
    await assert_sent_once(world, email, ann, follow=False)


async def test_a_hit_that_is_counted_meanwhile_does_not_disturb_the_delivery(world: World):
    email, ann = await pending(world, follow=True)
    counted = 0

    async def count(name: str) -> None:
        nonlocal counted
        if name == "before sent" and counted < 3:
            counted += 1
            row = (await world.partition(email)).email
            await emails.commit(world.organization, row, {"opencount": counted})

    await watched(world.deliver(email), count)
    await assert_sent_once(world, email, ann, follow=True)
    assert (await world.partition(email)).email["opencount"] == 3


@pytest.mark.parametrize("deleted_at", ["after prepared", "after create draft", "after draft", "after attached"])
async def test_an_email_deleted_meanwhile_is_not_sent_and_leaves_no_draft(world: World, deleted_at: str):
    email, ann = await pending(world, follow=True)
    key = f"{email}/{(await world.partition(email)).email['_submission']}"

    async def delete(name: str) -> None:
        if name == deleted_at:
            await composing.delete_email(world.organization, CALLER, email)

    await watched(world.deliver(email), delete)
    assert await world.arrived(ann) == []
    assert await emails.get_email(world.organization, email) is None
    assert await graph.find_draft(TENANT.id, SELLER.address, key) is None


# What cannot go on


async def test_a_body_missing_from_storage_ends_as_failed(world: World):
    email, _ = await pending(world, follow=True)
    await blobs.delete(world.organization, (await world.partition(email)).email["_body"])
    await world.deliver(email)
    assert "missing from storage" in (await world.partition(email)).email["ee_failurereason"]


@pytest.mark.parametrize("dies", ["", "before failed", "after failed", "before card", "after card"])
async def test_the_owner_is_told_once_that_a_mail_was_not_sent_wherever_the_worker_dies(world: World, dies: str):
    clock = Clock()
    email, _ = await pending(world, follow=False, clock=clock)
    await blobs.delete(world.organization, (await world.partition(email)).email["_body"])

    async def die(name: str) -> None:
        if name == dies:
            raise Killed

    with pytest.raises(Killed) if dies else contextlib.nullcontext():
        await watched(world.deliver(email, clock), die)
    clock.pass_(AFTER_A_CLAIM)
    await world.deliver(email, clock)
    card = await records.get(world.organization, "actioncard", card_of(email, "failed"))
    assert card is not None
    assert card["title"] == "Not sent: Our offer"
    assert card["description"].startswith('"Our offer" to Ann was not sent, on ')
    assert "missing from storage" in card["description"]
    assert (card["ownerid"], card["cardtype"]) == (SELLER.id, 1003)
    await records.delete(world.organization, "actioncard", card["RowKey"])
    await world.deliver(email, clock)
    assert await records.get(world.organization, "actioncard", card["RowKey"]) is None


async def test_a_mail_that_is_sent_again_takes_its_card_along_and_has_a_new_one_if_it_fails_again(world: World):
    clock = Clock()
    email, ann = await pending(world, follow=False, clock=clock)
    card_id = card_of(email, "failed")
    for _ in range(2):
        await blobs.delete(world.organization, (await world.partition(email)).email["_body"])
        await world.deliver(email, clock)
        card = await records.get(world.organization, "actioncard", card_id)
        assert card is not None
        assert card["state"] == 0
        await records.merge(world.organization, "actioncard", card_id, {"state": 1})
        await composing.change_email(world.organization, CALLER, email, {}, body=BODY, now=clock())
        await world.send(email, clock)
        assert await records.get(world.organization, "actioncard", card_id) is None
    await world.deliver(email, clock)
    await assert_sent_once(world, email, ann, follow=False)
    assert await records.get(world.organization, "actioncard", card_id) is None


async def test_the_instrumented_body_is_not_kept(world: World):
    email, _ = await pending(world, follow=True)
    names: list[str] = []

    async def note(name: str) -> None:
        if name == "after prepared":
            names.append((await world.partition(email)).email["_sentbody"])

    await watched(world.deliver(email), note)
    [name] = names
    with pytest.raises(NotFound):
        await blobs.get(world.organization, name)


async def test_a_delivery_that_keeps_failing_ends_as_failed_with_a_reason(world: World):
    clock = Clock()
    email, ann = await pending(world, follow=False, clock=clock)
    assert await delivering.give_up(world.organization, email, clock) is None
    row = (await world.partition(email)).email
    assert (row["statecode"], row["statuscode"]) == (0, 8)
    assert "error in this service" in row["ee_failurereason"]
    assert await world.arrived(ann) == []


async def test_a_delivery_that_is_given_up_after_it_was_sent_is_sent(world: World):
    clock = Clock()
    email, ann = await pending(world, follow=False, clock=clock)

    async def die(name: str) -> None:
        if name == "after send":
            raise Killed

    with pytest.raises(Killed):
        await watched(delivering.deliver(world.organization, email, clock), die)
    assert await delivering.give_up(world.organization, email, clock) is None
    assert (await world.partition(email)).email["statuscode"] == 7
    clock.pass_(AFTER_A_CLAIM)
    assert await delivering.give_up(world.organization, email, clock) is None
    await assert_sent_once(world, email, ann, follow=False)


async def test_whoever_finds_it_claimed_leaves_one_entry_for_the_end_of_the_claim(world: World):
    clock = Clock()
    email, ann = await pending(world, follow=False, clock=clock)
    await world.break_calls(r"POST .*/messages$", 429, retryAfter=600)
    assert await delivering.deliver(world.organization, email, clock) == timedelta(seconds=600)
    clock.pass_(timedelta(seconds=400))
    for _ in range(3):
        assert await delivering.deliver(world.organization, email, clock) is None
        clock.pass_(timedelta(seconds=1))
    found = [
        entry.due - clock()
        async for page in agenda.due(clock() + timedelta(hours=1))
        for entry in page
        if entry.email == email and entry.due > clock()
    ]
    assert found == [timedelta(seconds=601 - 403)]
    clock.pass_(found[0])
    await world.deliver(email, clock)
    await assert_sent_once(world, email, ann, follow=False)


async def test_a_delivery_that_fails_for_no_known_reason_lets_go_so_that_the_queue_can_count(world: World):
    clock = Clock()
    email, ann = await pending(world, follow=False, clock=clock)

    async def fail(name: str) -> None:
        if name == "before draft":
            raise RuntimeError("a defect")

    for _ in range(2):
        with pytest.raises(RuntimeError, match="a defect"):
            await watched(delivering.deliver(world.organization, email, clock), fail)
    await world.deliver(email, clock)
    await assert_sent_once(world, email, ann, follow=False)


# The triggers and the agenda


class Message:
    """A queue message as the worker hands it to a function."""

    def __init__(self, organization: Organization, email: str) -> None:
        self.work = {"organization": organization.name, "email": email}

    def get_json(self) -> dict[str, str]:
        return self.work


async def trigger(function: Any, message: Message) -> None:
    await function._function.get_user_function()(message)


async def test_the_queue_delivers(world: World):
    email, ann = await pending(world, follow=True)
    await trigger(triggers.deliver, Message(world.organization, email))
    await assert_sent_once(world, email, ann, follow=True)


async def test_a_message_that_has_to_wait_is_put_back_for_as_long(world: World):
    email, _ = await pending(world, follow=False)
    world.messages()
    await world.break_calls(r"POST .*/messages$", 429, retryAfter=2)
    await trigger(triggers.deliver, Message(world.organization, email))
    assert world.messages() == []
    for _ in range(40):
        await asyncio.sleep(0.1)
        if found := world.messages():
            break
    assert found == [{"organization": world.organization.name, "email": email}]


async def test_a_message_of_an_organization_that_is_gone_is_dropped(world: World):
    message = Message(world.organization, "0d0e0f00-0000-4000-8000-000000000000")
    message.work["organization"] = "nosuchorganization"
    await trigger(triggers.deliver, message)
    await trigger(triggers.give_up, message)


async def test_the_agenda_hands_over_what_is_due_and_forgets_it(world: World):
    clock = Clock()
    email, _ = await pending(world, follow=False, clock=clock)
    world.messages()
    await run_agenda(clock())
    assert world.messages() == []
    clock.pass_(timedelta(minutes=1))
    await run_agenda(clock())
    assert world.messages() == [{"organization": world.organization.name, "email": email}]
    await run_agenda(clock())
    assert world.messages() == []


async def test_a_message_about_what_was_sent_taken_back_moved_or_deleted_is_dropped(world: World):
    clock = Clock()
    mails = [(await pending(world, follow=False, clock=clock))[0] for _ in range(4)]
    sent, taken_back, moved, deleted = mails
    await world.deliver(sent, clock)
    changes = {"statecode": 0, "statuscode": 1}
    await composing.change_email(world.organization, CALLER, taken_back, changes, now=clock())
    later = {"delayedemailsendtime": iso_seconds(milliseconds(clock() + timedelta(hours=1)))}
    await composing.change_email(world.organization, CALLER, moved, later, now=clock())
    await composing.delete_email(world.organization, CALLER, deleted)
    await world.call("DELETE", "/local/requests")
    for mail in mails:
        assert await delivering.deliver(world.organization, mail, clock) is None
    assert await world.requests() == []
