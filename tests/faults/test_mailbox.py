"""What comes back by mail while Microsoft 365, storage or we ourselves fail: nothing is lost, nothing counts twice."""

import asyncio
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from shared.engagement.notifications import client_state
from shared.services import mailboxes, replying
from shared.services.received import save_received
from shared.settings import settings
from shared.storage import blobs, emails, queues, records
from shared.storage.account import NotFound, PreconditionFailed, Unavailable, account_of, host_account
from shared.storage.tables import Operation
from tests.conftest import free_ports
from tests.mailbox_fixtures import receiver, standin, world
from tests.mailbox_world import (
    MANAGER,
    SELLER,
    World,
    post,
)

__all__ = ["receiver", "standin", "world"]

pytestmark = [
    pytest.mark.filterwarnings("ignore:This class is deprecated:DeprecationWarning:msgraph"),
    pytest.mark.filterwarnings("ignore:GetQueryParameters is deprecated:DeprecationWarning:kiota"),
]


async def until_done(world: World, email_id: str, replies: int = 1) -> None:
    """Work the queue off as the host would, time passed in, until the email has its replies."""
    now = datetime.now(UTC)
    for _ in range(mailboxes.MAX_ATTEMPTS):
        for work in world.waiting():
            while (again := await mailboxes.attend(work, now)) is not None:
                work = again[0]
                now += again[1]
    email = (await world.email(email_id)).email
    assert email["replycount"] == replies
    assert len(await world.replies(email_id)) == replies


# Microsoft 365


async def test_a_mailbox_that_cannot_be_read_now_is_caught_up_with_later(world):
    email_id = await world.send()
    await world.work_off()
    await world.reply(email_id)
    before = await world.through()
    await world.break_calls("GET /users/*/messages?", 503, count=1)
    await world.catch_up()
    assert await world.through() == before
    assert await world.replies(email_id) == []
    await world.catch_up(datetime.now(UTC) + timedelta(seconds=2))
    assert await world.through() > before
    await until_done(world, email_id)


@pytest.mark.parametrize("status", [500, 502, 0])
async def test_a_reply_whose_text_cannot_be_read_now_is_read_later(world, status):
    email_id = await world.send()
    await world.work_off()
    await world.reply(email_id)
    world.waiting()
    await world.break_calls("GET /users/*/messages/*body", status, count=2)
    before = await world.through()
    await world.catch_up(datetime.now(UTC) + timedelta(seconds=2))
    assert await world.replies(email_id) == []
    assert await world.through() > before
    await until_done(world, email_id)


async def test_a_throttled_mailbox_is_left_alone_for_as_long_as_graph_asks(world):
    email_id = await world.send()
    await world.work_off()
    await world.reply(email_id)
    world.waiting()
    now = datetime.now(UTC)
    await world.break_calls("GET /users/*/messages", 429, count=1, retryAfter=90)
    await world.catch_up(now)
    await world.call("DELETE", "/local/requests")
    await world.catch_up(now + timedelta(seconds=85))
    assert (await world.call("GET", "/local/requests"))["value"] == []
    await world.catch_up(now + timedelta(seconds=95))
    await until_done(world, email_id)


async def test_a_throttled_notification_comes_back_after_as_long_as_graph_asks(world):
    await world.send()
    await world.break_calls("GET /users/*/messages/", 429, count=1, retryAfter=77)
    work = {"organization": world.organization.name, "mailbox": SELLER.id, "message": "AAkALg="}
    again = await mailboxes.attend(work, datetime.now(UTC))
    assert again == ({**work, "attempt": "1"}, timedelta(seconds=77))


async def test_a_message_that_fails_for_hours_is_given_up(world):
    await world.send()
    await world.break_calls("GET /users/*/messages/", 500, count=mailboxes.MAX_ATTEMPTS + 1)
    work = {"organization": world.organization.name, "mailbox": SELLER.id, "message": "AAkALg="}
    waited = timedelta()
    for _ in range(mailboxes.MAX_ATTEMPTS):
        again = await mailboxes.attend(work, datetime.now(UTC))
        assert again is not None
        work, waited = again[0], waited + again[1]
    assert await mailboxes.attend(work, datetime.now(UTC)) is None
    assert timedelta(hours=3) < waited < timedelta(hours=12)


async def test_a_mailbox_that_is_gone_is_tried_seldom_and_delays_no_other(world):
    gone, present = await world.send(seller=MANAGER), await world.send()
    world.waiting()
    await world.reply(present)
    await world.call("PUT", f"/local/mailboxes/{MANAGER.address}", {"enabled": False})
    now = datetime.now(UTC)
    await world.catch_up(now)
    assert len(await world.replies(present)) == 1
    assert (await world.mailbox(MANAGER))["_failure"] == "404 MailboxNotEnabledForRESTAPI"
    await world.call("DELETE", "/local/requests")
    await world.catch_up(now + timedelta(minutes=59))
    assert not [call for call in await calls(world) if MANAGER.id in call]
    await world.catch_up(now + timedelta(minutes=61))
    assert [call for call in await calls(world) if MANAGER.id in call]
    await world.call("PUT", f"/local/mailboxes/{MANAGER.address}", {"enabled": True})
    await world.reply(gone)
    await world.catch_up(now + timedelta(hours=4))
    assert len(await world.replies(gone)) == 1
    assert (await world.mailbox(MANAGER))["_failures"] == 0


async def test_a_mailbox_that_hangs_keeps_neither_the_others_nor_the_next_run_waiting(world, monkeypatch):
    hanging, present = await world.send(seller=MANAGER), await world.send()
    await world.work_off()
    await world.reply(hanging)
    await world.reply(present)
    before = (await world.mailbox(MANAGER))["_through"]
    monkeypatch.setattr(mailboxes, "MAILBOX_SECONDS", 2.0)
    await world.break_calls(f"GET /users/{MANAGER.id}/messages", 503, count=1, delay=30)
    started = asyncio.get_running_loop().time()
    await world.catch_up(datetime.now(UTC) + timedelta(seconds=2))
    assert asyncio.get_running_loop().time() - started < 20
    assert len(await world.replies(present)) == 1
    assert (await world.mailbox(MANAGER))["_through"] == before
    await world.call("DELETE", "/local/faults")
    await world.catch_up()
    assert len(await world.replies(hanging)) == 1


async def test_a_long_backlog_goes_on_where_it_was_interrupted(world):
    email_id = await world.send()
    await world.work_off()
    await records.merge(world.organization, mailboxes.TABLE, SELLER.id, {"_through": "2026-01-01T00:00:00Z"})
    for number in range(60):
        await world.reply(email_id, str(number))
    await world.break_calls("GET /users/*/messages?*skip", 503, count=1)
    await world.catch_up()
    assert 0 < (await world.email(email_id)).email["replycount"] <= 50
    assert await world.through() > datetime.now(UTC) - timedelta(hours=1)
    await world.catch_up()
    assert (await world.email(email_id)).email["replycount"] == 60


async def calls(world: World) -> list[str]:
    """Return the paths that Graph was asked for."""
    return [call["path"] for call in (await world.call("GET", "/local/requests"))["value"]]


async def test_without_notifications_replies_are_found_all_the_same_and_the_log_says_what_to_do(world, caplog):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BASE_URL", f"http://127.0.0.1:{free_ports(1)}")
        settings.cache_clear()
        email_id = await world.send()
        await world.reply(email_id)
        await world.catch_up()
    settings.cache_clear()
    assert len(await world.replies(email_id)) == 1
    assert await world.subscriptions() == []
    assert "Check that BASE_URL is an https address that Microsoft 365 reaches" in caplog.text
    assert "@" not in caplog.text


async def test_a_subscription_that_could_not_be_made_is_made_later(world):
    await world.send()
    await world.break_calls("POST /subscriptions", 500, count=1)
    await world.work_off()
    assert await world.subscriptions() == []
    await world.catch_up(datetime.now(UTC) + timedelta(minutes=6))
    assert len(await world.subscriptions()) == 1


# Storage


async def test_nothing_is_done_for_a_flood_of_forged_notifications(world):
    body = orjson.dumps({"value": [{"clientState": f"1.contoso.{n}.{'A' * 22}"} for n in range(10_000)]})
    answer = await post("mailbox/notifications", body)
    assert answer.status_code == 202
    assert world.waiting() == []


async def test_graph_is_asked_to_repeat_what_the_queue_does_not_take(world, azurite):
    state = client_state(world.organization.name, SELLER.id, settings().token_key, settings().token_secrets)
    body = orjson.dumps({"value": [{"clientState": state, "resourceData": {"id": "AAkALg="}}]})
    port = free_ports(3)
    down = ";".join(
        part if "Endpoint=" not in part else f"{part.partition('=')[0]}=http://127.0.0.1:{port}/devstoreaccount1"
        for part in azurite.split(";")
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AzureWebJobsStorage", down)
        for cached in (settings, host_account, account_of):
            cached.cache_clear()
        answer = await post("mailbox/notifications", body)
    for cached in (settings, host_account, account_of):
        cached.cache_clear()
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "10")
    assert (await post("mailbox/notifications", body)).status_code == 202
    assert len(world.waiting()) == 1


async def test_a_reply_whose_text_cannot_be_stored_now_is_stored_later(world, monkeypatch):
    email_id = await world.send()
    await world.work_off()
    await world.reply(email_id)
    world.waiting()
    with monkeypatch.context() as patch:
        patch.setattr(blobs, "put", failing(Unavailable(503, "ServerBusy")))
        await world.catch_up()
        handed_over = world.waiting()[-1]
        again = await mailboxes.attend(handed_over, datetime.now(UTC))
    assert again == ({**handed_over, "attempt": "1"}, timedelta(seconds=15))
    assert await mailboxes.attend(again[0], datetime.now(UTC)) is None
    await until_done(world, email_id)


async def test_the_watermark_stays_where_a_failed_message_cannot_be_handed_over(world, monkeypatch):
    email_id = await world.send()
    await world.work_off()
    await world.reply(email_id)
    before = await world.through()
    with monkeypatch.context() as patch:
        patch.setattr(blobs, "put", failing(Unavailable(503, "ServerBusy")))
        patch.setattr(queues, "send", failing(Unavailable(503, "ServerBusy")))
        await world.catch_up()
    assert await world.through() == before
    await world.catch_up()
    await until_done(world, email_id)


def failing(error: BaseException):
    async def fail(*args: object, **options: object) -> None:
        raise error

    return fail


# Ourselves


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("place", ["before the text", "before the record", "before the interaction", "after it"])
async def test_a_reply_is_recorded_once_wherever_we_are_killed(world, monkeypatch, place):
    email_id = await world.send()
    await world.work_off()
    await world.reply(email_id)
    world.waiting()
    commit = emails.commit

    async def killed_after(*args: object, **options: object) -> None:
        await commit(*args, **options)  # type: ignore[arg-type]
        raise Killed

    killed = failing(Killed())
    with monkeypatch.context() as patch:
        match place:
            case "before the text":
                patch.setattr(blobs, "put", killed)
            case "before the record":
                patch.setattr(replying, "save_received", killed)
            case "before the interaction":
                patch.setattr(emails, "commit", killed)
            case _:
                patch.setattr(emails, "commit", killed_after)
        with pytest.raises(BaseExceptionGroup):
            await world.catch_up()
    await world.catch_up()
    assert len(await world.replies(email_id)) == 1
    assert (await world.email(email_id)).email["replycount"] == 1
    assert len(await world.received()) == 1


async def test_many_replies_at_once_all_count_beside_somebody_else_who_changes_the_email(world):
    email_id = await world.send()
    await world.work_off()
    for number in range(10):
        await world.reply(email_id, str(number))

    async def open_it(times: int) -> None:
        for count in range(times):
            while True:
                email = (await world.email(email_id)).email
                try:
                    await emails.commit(world.organization, email, {"opencount": 3 + count})
                    break
                except PreconditionFailed:
                    continue

    seen = [await world.mailbox() for _ in range(3)]
    catching_up = [mailboxes.catch_up(world.organization, row, datetime.now(UTC)) for row in seen]
    await asyncio.gather(*catching_up, open_it(5))
    email = (await world.email(email_id)).email
    assert (email["replycount"], email["opencount"]) == (10, 7)
    assert len(await world.received()) == 10


async def test_an_email_that_is_deleted_while_its_reply_is_recorded_leaves_nothing_behind(world, monkeypatch):
    email_id = await world.send()
    await world.work_off()
    await world.reply(email_id)

    async def then_deleted(organization, received, now):
        await save_received(organization, received, now)
        gone = {"PartitionKey": email_id, "RowKey": emails.EMAIL}
        await organization.tables.apply(organization.emails, Operation("delete", gone, "*"))
        names.append(received.body)
        return True

    names: list[str] = []
    monkeypatch.setattr(replying, "save_received", then_deleted)
    await world.catch_up()
    assert await world.received() == []
    with pytest.raises(NotFound):
        await blobs.get(world.organization, names[0])
    assert await records.get(world.organization, mailboxes.TABLE, SELLER.id) is not None
