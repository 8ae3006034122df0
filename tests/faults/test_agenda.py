"""The agenda's timer: killed anywhere, run twice at once, storage or queue failing: everything once, nothing lost."""

import asyncio
import contextlib
import logging
import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
import pytest_asyncio
from aiohttp import web

from functions import delivery as triggers
from shared.services import bulkheads, delivering
from shared.services.agenda import run_agenda
from shared.services.claiming import observer
from shared.settings import settings
from shared.storage import agenda, queues
from shared.storage.account import account_of, host_account
from shared.storage.agenda import AGENDA, Entry
from shared.storage.organizations import Organization, forget_organizations
from shared.storage.tables import Operation, Tables
from tests.agenda_world import Queues, entries, queue_service
from tests.breaking import Breaker, a_breakable_organization, breaking_tables
from tests.delivery_world import Clock, World
from tests.faults.test_delivery import Message
from tests.faults.test_delivery import trigger as call
from tests.standin_fixtures import IGNORED_WARNINGS, standin, world

__all__ = ["queue_service", "standin", "world"]

pytestmark = IGNORED_WARNINGS

MINUTE = timedelta(minutes=1)
NOW = datetime(2026, 12, 1, 9, 0, tzinfo=UTC)


async def enter(organization: Organization, count: int, due: datetime = NOW, kind: str = "deliver") -> list[str]:
    """Enter so many emails; return their ids, sorted."""
    emails = sorted(str(uuid.uuid4()) for _ in range(count))
    await asyncio.gather(*(agenda.add(Entry(due, kind, organization.name, email)) for email in emails))
    return emails


def handed_over(service: Queues, organization: Organization, queue: str = queues.DELIVER) -> list[str]:
    return sorted(email for email, _ in service.messages(organization, queue))


# Handing over


async def test_what_is_due_is_handed_over_once_and_forgotten(organization: Organization, queue_service: Queues):
    due = await enter(organization, 30, NOW - timedelta(days=40))
    due += await enter(organization, 30, NOW - MINUTE)
    later = await enter(organization, 5, NOW + MINUTE)
    await run_agenda(NOW)
    assert handed_over(queue_service, organization) == sorted(due)
    await run_agenda(NOW)
    assert handed_over(queue_service, organization) == []
    assert sorted(entry.email for entry in await entries(organization, NOW + MINUTE)) == later


async def test_what_is_due_within_the_minute_is_hidden_until_its_second(
    organization: Organization, queue_service: Queues
):
    [email] = await enter(organization, 1, NOW + timedelta(seconds=42))
    await run_agenda(NOW + timedelta(seconds=2))
    assert queue_service.messages(organization) == [(email, 40)]


async def test_reminders_go_to_a_queue_of_their_own(organization: Organization, queue_service: Queues):
    reminders = await enter(organization, 3, kind="remind")
    await run_agenda(NOW)
    assert handed_over(queue_service, organization, queues.REMIND) == reminders
    assert handed_over(queue_service, organization) == []


async def test_the_entries_of_a_minute_are_spread_over_the_shards(organization: Organization, queue_service: Queues):
    await enter(organization, 200)
    found = {
        shard
        for shard in agenda.SHARDS
        async for page in agenda.due(NOW, [shard])
        for entry in page
        if entry.organization == organization.name
    }
    assert len(found) == len(agenda.SHARDS)
    await run_agenda(NOW)


# Killed


async def run_killed(at: int) -> int:
    """Run the timer and kill it at its step `at`; return how many steps it took."""
    steps = 0

    async def observe(name: str) -> None:
        nonlocal steps
        steps += 1
        if steps == at:
            running.cancel()

    async def run() -> None:
        observer.set(observe)
        await run_agenda(NOW)

    running = asyncio.create_task(run())
    with contextlib.suppress(asyncio.CancelledError):
        await running
    return steps


async def test_a_kill_at_any_step_loses_nothing(organization: Organization, queue_service: Queues):
    await run_agenda(NOW)
    await enter(organization, 6)
    count = await run_killed(at=0)
    assert count >= 6 * 2 + 2
    for number in range(1, count + 1):
        queue_service.sent.clear()
        due = await enter(organization, 6)
        await run_killed(number)
        before = handed_over(queue_service, organization)
        await run_agenda(NOW)
        assert {*before, *handed_over(queue_service, organization)} == {*due}
        await run_agenda(NOW)
        assert handed_over(queue_service, organization) == []


async def test_two_timers_at_once_lose_nothing(organization: Organization, queue_service: Queues):
    due = await enter(organization, 150)
    await asyncio.gather(*(run_agenda(NOW) for _ in range(3)))
    found = handed_over(queue_service, organization)
    assert sorted({*found}) == due
    assert len(found) <= 3 * len(due)
    assert await entries(organization, NOW) == []


async def test_what_two_timers_hand_over_twice_leaves_once(world: World, queue_service: Queues):
    clock, ann = Clock(), await world.contact()
    mail = await world.write(ann, delayedemailsendtime=(clock() + 2 * MINUTE).strftime("%Y-%m-%dT%H:%M:%SZ"))
    await world.send(mail, clock)
    clock.pass_(2 * MINUTE)
    twice = Entry(clock(), "deliver", world.organization.name, mail)
    await run_agenda(clock())
    await agenda.add(twice)
    await run_agenda(clock())
    assert queue_service.messages(world.organization) == [(mail, 0)] * 2
    attempts = [delivering.deliver(world.organization, mail, clock) for _ in range(2)]
    assert None in await asyncio.gather(*attempts)
    assert (await world.partition(mail)).email["statuscode"] == 3
    assert len(await world.arrived(ann)) == 1


# Failing


async def test_a_queue_that_takes_nothing_keeps_only_its_own_work_waiting(
    organization: Organization, queue_service: Queues
):
    mails, reminders = await enter(organization, 40), await enter(organization, 40, kind="remind")
    queue_service.failing.add(queues.REMIND)
    await run_agenda(NOW)
    assert handed_over(queue_service, organization) == mails
    assert sorted(entry.email for entry in await entries(organization, NOW)) == reminders
    queue_service.failing.clear()
    await run_agenda(NOW + MINUTE)
    assert handed_over(queue_service, organization, queues.REMIND) == reminders


@pytest_asyncio.fixture
async def breaker(queue_service: Queues, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Breaker]:
    """Return what breaks changes of the deployment's own tables."""
    async with breaking_tables(host_account()) as (found, connection_string):
        monkeypatch.setenv("AzureWebJobsStorage", connection_string)
        for kept in (settings, host_account, account_of):
            kept.cache_clear()
        yield found


@pytest.mark.parametrize("after", [False, True], ids=["not done", "done unheard"])
async def test_a_deletion_that_fails_once_is_made_good_in_the_same_run(
    organization: Organization, queue_service: Queues, breaker: Breaker, after: bool
):
    due = await enter(organization, 20)
    breaker.arm(0, after=after)
    await run_agenda(NOW)
    found = handed_over(queue_service, organization)
    assert {*found} == {*due}
    assert (len(found) > len(due)) is not after
    assert await entries(organization, NOW) == []


async def test_tables_that_do_not_answer_lose_nothing(
    organization: Organization, queue_service: Queues, breaker: Breaker
):
    due = await enter(organization, 20)
    breaker.arm(0, after=False, down=True)
    await run_agenda(NOW)
    breaker.arm(-1, after=False)
    first = handed_over(queue_service, organization)
    await run_agenda(NOW + MINUTE)
    assert sorted({*first, *handed_over(queue_service, organization)}) == due


async def test_an_organization_whose_own_account_fails_holds_up_no_other_and_loses_nothing(
    world: World, queue_service: Queues, monkeypatch: pytest.MonkeyPatch
):
    clock, ann = Clock(), await world.contact()
    mail = await world.write(ann)
    await world.send(mail, clock)
    queue_service.messages(world.organization)
    clock.pass_(MINUTE)
    async with a_breakable_organization(monkeypatch) as (broken, theirs):
        [failing] = await enter(theirs, 1, clock())
        broken.arm(0, after=False, down=True)
        broken.changes = 1
        await run_agenda(clock())
        assert queue_service.messages(world.organization) == [(mail, 0)]
        assert queue_service.messages(theirs) == [(failing, 0)]
        assert await delivering.deliver(theirs, failing, clock) == delivering.DOUBT
        assert await world.deliver(mail, clock) == []
    assert len(await world.arrived(ann)) == 1


async def test_an_entry_of_a_kind_that_is_not_known_waits_for_a_version_that_knows_it(
    organization: Organization, queue_service: Queues, caplog: pytest.LogCaptureFixture
):
    unknown = await enter(organization, 2, kind="dance")
    known = await enter(organization, 2)
    with caplog.at_level(logging.WARNING):
        await run_agenda(NOW)
    assert "2 agenda entries of the kind 'dance' wait" in caplog.text
    assert handed_over(queue_service, organization) == known
    found = await entries(organization, NOW)
    assert sorted(entry.email for entry in found) == unknown
    await agenda.remove(found)


async def test_a_row_that_is_no_entry_is_named_and_harms_no_other(
    organization: Organization, queue_service: Queues, caplog: pytest.LogCaptureFixture
):
    [email] = await enter(organization, 1)
    row = {**agenda.entity(Entry(NOW, "deliver", organization.name, email)), "RowKey": "nonsense"}
    await Tables(host_account()).apply(AGENDA, Operation("put", row))
    with caplog.at_level(logging.ERROR):
        await run_agenda(NOW)
    assert f"{row['PartitionKey']}/nonsense" in caplog.text
    assert handed_over(queue_service, organization) == [email]
    await Tables(host_account()).apply(AGENDA, Operation("delete", row, "*"))


# The triggers


async def test_a_message_waits_for_the_deployments_tables(world: World, queue_service: Queues, breaker: Breaker):
    [email] = await enter(world.organization, 1)
    for trigger, queue in (
        (triggers.deliver, "deliver"),
        (triggers.give_up, "deliver-poison"),
        (triggers.remind, "remind"),
    ):
        forget_organizations()
        breaker.arm(0, after=False, down=True)
        breaker.changes = 1
        await call(trigger, Message(world.organization, email))
        breaker.arm(-1, after=False)
        assert queue_service.messages(world.organization, queue) == [(email, 15)]
    await run_agenda(NOW)


async def test_a_mail_is_not_given_up_while_its_storage_refuses_to_say_so(
    world: World, queue_service: Queues, monkeypatch: pytest.MonkeyPatch
):
    clock, ann = Clock(), await world.contact()
    mail = await world.write(ann)
    await world.send(mail, clock)
    wrong = re.sub("AccountKey=[^;]*", "AccountKey=d3Jvbmc=", host_account().connection_string)
    with monkeypatch.context() as patch:
        patch.setenv(f"STORAGE_{world.organization.name.upper()}", wrong)
        account_of.cache_clear()
        assert await delivering.give_up(world.organization, mail, clock) == delivering.LONGEST_WAIT
    account_of.cache_clear()
    await world.deliver(mail, clock)
    assert len(await world.arrived(ann)) == 1


async def test_a_reminder_that_keeps_failing_is_entered_again_for_an_hour_later(world: World, queue_service: Queues):
    message, before = Message(world.organization, str(uuid.uuid4())), datetime.now(UTC)
    await call(triggers.remind_later, message)
    assert await entries(world.organization, before + 59 * MINUTE) == []
    [entry] = await entries(world.organization, before + 61 * MINUTE)
    assert (entry.kind, entry.email) == ("remind", message.work["email"])
    await agenda.remove([entry])


# One organization beside the others


async def test_an_organization_whose_storage_hangs_keeps_half_of_the_workers_at_most(
    organization: Organization, queue_service: Queues, monkeypatch: pytest.MonkeyPatch
):
    asked, released = [], asyncio.Event()

    async def hang(request: web.Request) -> web.Response:
        asked.append(request.path)
        await released.wait()
        return web.Response(status=404)

    application = web.Application()
    application.router.add_route("*", "/{path:.*}", hang)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    account = host_account()
    slow = account.connection_string.replace(
        account.table_url, f"http://127.0.0.1:{runner.addresses[0][1]}/{account.name}"
    )
    monkeypatch.setenv(f"STORAGE_{organization.name.upper()}", slow)
    account_of.cache_clear()
    try:
        emails = [str(uuid.uuid4()) for _ in range(20)]
        calls = [asyncio.create_task(call(triggers.deliver, Message(organization, email))) for email in emails]
        while len(asked) < bulkheads.SHARE or len(queue_service.sent) < len(emails) - bulkheads.SHARE:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        waiting = queue_service.messages(organization)
        assert len(asked) == bulkheads.SHARE
        assert len(waiting) == len(emails) - bulkheads.SHARE
        assert {seconds for _, seconds in waiting} == {2}
        released.set()
        await asyncio.gather(*calls)
        before = len(asked)
        await call(triggers.deliver, Message(organization, waiting[0][0]))
        assert len(asked) > before, "a place that was given back is not taken"
    finally:
        released.set()
        account_of.cache_clear()
        await runner.cleanup()
