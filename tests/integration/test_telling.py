"""Telling of cards by webhook and by mail: a real receiver, the stand-in's mailboxes, real tables and queues."""

import asyncio
import contextlib
import json
import logging
import ssl
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from aiohttp import web
from azure.storage.queue import QueueClient

from functions import telling as triggers
from shared.engagement.hits import Hit, Kind
from shared.engagement.times import iso_seconds, milliseconds
from shared.engagement.webhooks import read_secret, sign
from shared.services import folding, mailboxes, telling, webhooks
from shared.services.alerting import card_of
from shared.settings import settings
from shared.storage import journal, queues, records
from shared.storage.account import host_account
from shared.storage.organizations import Organization, find_organization, save_organization
from shared.storage.tables import Entity, literal
from shared.webapi.errors import Failure
from shared.webapi.telling import take_settings
from tests.contract.clients.tls_forwarder import make_certificate
from tests.delivery_world import MANAGER, SELLER, World
from tests.sent_mail import put_sent_email
from tests.standin_fixtures import IGNORED_WARNINGS, standin, world
from tests.web_client import Client

__all__ = ["standin", "world"]

pytestmark = IGNORED_WARNINGS

NOW = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
KEY = read_secret(SECRET)


@dataclass
class Receiver:
    """A webhook's receiver on loopback: what it got, and what it answers (the last status again and again)."""

    url: str = ""
    got: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    answers: list[int] = field(default_factory=lambda: [204])
    location: str = ""
    endless: bool = False
    answering: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.got.append((request.path, {name.lower(): v for name, v in request.headers.items()}, await request.read()))
        await self.answering.wait()
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        headers = {"Location": self.location} if self.location else {}
        if not self.endless:
            return web.Response(status=status, headers=headers)
        response = web.StreamResponse(status=status)
        await response.prepare(request)
        with contextlib.suppress(ConnectionError):
            while True:
                await response.write(b"x" * 65536)
        return response


@asynccontextmanager
async def receiving(tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    made = Receiver()
    made.answering.set()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls).start()
    made.url = f"http{'s' if tls else ''}://127.0.0.1:{runner.addresses[0][1]}/alerts?team=7"
    yield made
    made.answering.set()
    await runner.cleanup()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as made:
        yield made


async def switch(world: World, **changes: Any) -> None:
    changed = {**world.organization.settings, "alert_webhook_secret": SECRET, **changes}
    world.organization = replace(world.organization, settings=changed)
    await save_organization(world.organization)


async def a_card(world: World, now: datetime = NOW, **columns: Any) -> Entity:
    """Put a card into storage as alerting does, of an email of its own."""
    email = str(uuid.uuid4())
    card = {
        "actioncardid": card_of(email, "firstopen"),
        "title": f"Ada <Lovelace> opened\r\n{email}",
        "description": 'Ada <Lovelace> opened "Your & quote" on 02 November 2026 at 09:30 UTC.',
        "cardtype": 1001,
        "startdate": iso(now),
        "expirydate": iso(now + timedelta(days=14)),
        "createdon": iso(now),
        "regardingobjectid": email,
        "ownerid": SELLER.id,
        "state": 0,
        **columns,
    }
    await records.insert(world.organization, "actioncard", card["actioncardid"], card)
    return card


def iso(time: datetime) -> str:
    return iso_seconds(milliseconds(time))


async def attempts(world: World, card: Entity, channel: str, now: datetime = NOW) -> list[float]:
    """Tell of a card as often as is asked for, letting the time pass; return the delays in seconds."""
    delays: list[float] = []
    told = world.organization, card["actioncardid"], channel
    while (delay := await telling.deliver_alert(*told, now, len(delays) + 1)) is not None:
        delays.append(delay.total_seconds())
        now += delay
    return delays


async def mails(world: World, card: Entity) -> list[dict[str, Any]]:
    title = " ".join(card["title"].split())
    return [mail for mail in await world.arrived(SELLER.address) if mail["subject"] == title]


async def run(world: World, **work: str) -> None:
    """Run the queue's trigger as the Functions host would."""
    body = json.dumps({"organization": world.organization.name, **work})
    trigger: Any = triggers.tell
    await trigger._function.get_user_function()(func.QueueMessage(body=body))


def waiting() -> int:
    """Return how many messages the queue has, those that are not visible yet among them."""
    with QueueClient.from_connection_string(host_account().connection_string, queues.TELL) as queue:
        return int(queue.get_queue_properties().approximate_message_count or 0)


# From a card to the queue


async def test_a_first_open_tells_by_each_channel_that_is_on_once_with_ids_only(world: World) -> None:
    await switch(world, alert_by_mail=True, alert_webhook="http://127.0.0.1:9/")
    email = await put_sent_email(world.organization, NOW - timedelta(hours=2))
    agent = {
        "user-agent": "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)",
        "accept": "*/*",
    }
    for number in range(2):
        opened = milliseconds(NOW) - 600_000 * (2 - number)
        hit = Hit(f"0123456789abcdef-{number:012d}", Kind.OPEN, 0, opened, "GET", "203.0.113.9", agent, "")
        row = journal.make_row(hit, email, 1)
        await journal.write_rows(world.organization.name, [row])
        await folding.fold_partition(world.organization.name, row["partition"], NOW)
    work = {"organization": world.organization.name, "card": card_of(email, "firstopen")}
    told = world.messages(queues.TELL)
    assert sorted(told, key=str) == [{**work, "channel": "mail"}, {**work, "channel": "webhook"}]


async def test_nothing_is_queued_where_no_channel_is_on(world: World) -> None:
    await telling.tell(world.organization, await a_card(world), NOW)
    assert world.messages(queues.TELL) == []


async def test_a_card_that_begins_later_is_told_then(world: World) -> None:
    await switch(world, alert_by_mail=True)
    before = waiting()
    await telling.tell(world.organization, await a_card(world, startdate=iso(NOW + timedelta(hours=1))), NOW)
    assert world.messages(queues.TELL) == []
    assert waiting() - before == 1


# The webhook


async def test_the_webhook_is_told_once_signed_and_without_addresses(world: World, receiver: Receiver) -> None:
    await switch(world, alert_webhook=receiver.url)
    card = await a_card(world)
    assert await attempts(world, card, telling.WEBHOOK) == []
    [(path, headers, body)] = receiver.got
    assert path == "/alerts"
    assert headers["content-type"] == "application/json"
    assert headers["webhook-timestamp"] == str(int(NOW.timestamp()))
    assert headers["webhook-signature"] == sign(KEY, headers["webhook-id"], int(NOW.timestamp()), body)
    assert json.loads(body) == {
        "type": "actioncard.created",
        "timestamp": "2026-11-02T09:30:00Z",
        "data": {
            "organization": world.organization.name,
            "actioncardid": card["actioncardid"],
            "kind": "firstopen",
            "title": card["title"],
            "description": card["description"],
            "activityid": card["regardingobjectid"],
            "ownerid": SELLER.id,
            "startdate": "2026-11-02T09:30:00Z",
            "expirydate": "2026-11-16T09:30:00Z",
        },
    }


async def test_a_receiver_that_fails_is_told_again_with_the_same_id_and_a_new_time(
    world: World, receiver: Receiver
) -> None:
    await switch(world, alert_webhook=receiver.url)
    receiver.answers = [500, 429, 200]
    assert await attempts(world, await a_card(world), telling.WEBHOOK) == [10, 60]
    assert len({headers["webhook-id"] for _, headers, _ in receiver.got}) == 1
    times = [int(headers["webhook-timestamp"]) for _, headers, _ in receiver.got]
    assert [time - times[0] for time in times] == [0, 10, 70]


async def test_after_three_retries_it_is_given_up_with_what_to_do(
    world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    await switch(world, alert_webhook=receiver.url)
    receiver.answers = [503]
    assert await attempts(world, await a_card(world), telling.WEBHOOK) == [10, 60, 300]
    assert len(receiver.got) == 4
    [logged] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "given up after 4 attempts: it answers 503" in logged.getMessage()
    assert "check ee_alertwebhook" in logged.getMessage()
    assert "team=7" not in caplog.text, "an address may hold a secret"


async def test_the_trigger_puts_a_message_back_as_long_as_there_are_attempts(world: World, receiver: Receiver) -> None:
    await switch(world, alert_webhook=receiver.url)
    receiver.answers = [500]
    card = await a_card(world, datetime.now(UTC))
    before = waiting()
    await run(world, card=card["actioncardid"], channel="webhook")
    assert (len(receiver.got), waiting() - before) == (1, 1)
    await run(world, card=card["actioncardid"], channel="webhook", attempt="4")
    assert (len(receiver.got), waiting() - before) == (2, 1)
    await run(world, card=str(uuid.uuid4()), channel="webhook")
    assert (len(receiver.got), waiting() - before) == (2, 1)
    assert world.messages(queues.TELL) == [], "it comes back after ten seconds"


async def test_a_redirect_is_not_followed(world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture) -> None:
    await switch(world, alert_webhook=receiver.url)
    receiver.answers, receiver.location = [307], "/elsewhere"
    assert await attempts(world, await a_card(world), telling.WEBHOOK) == [10, 60, 300]
    assert {path for path, _, _ in receiver.got} == {"/alerts"}
    assert "redirects are not followed" in caplog.text


async def test_a_receiver_that_is_gone_is_not_told_again(
    world: World, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    await switch(world, alert_webhook=receiver.url)
    receiver.answers = [410]
    assert await attempts(world, await a_card(world), telling.WEBHOOK) == []
    assert len(receiver.got) == 1
    assert "set ee_alertwebhook to null" in caplog.text
    kept = await find_organization(world.organization.name)
    assert kept is not None
    assert kept.settings["alert_webhook"] == receiver.url


async def test_nobody_listening_is_a_failure_like_another(world: World) -> None:
    await switch(world, alert_webhook="http://127.0.0.1:9/")
    assert await attempts(world, await a_card(world), telling.WEBHOOK) == [10, 60, 300]


async def post(url: str, *, local: bool = True, seconds: float = 5.0) -> None:
    await webhooks.post(url, KEY, "id", b"{}", 1, local=local, seconds=seconds)


async def test_a_slow_receiver_is_cut_off(receiver: Receiver) -> None:
    receiver.answering.clear()
    assert webhooks.SECONDS == 5
    with pytest.raises(webhooks.Undelivered, match=r"does not answer within 0\.2 seconds"):
        await post(receiver.url, seconds=0.2)
    assert len(receiver.got) == 1


async def test_one_that_answers_byte_by_byte_is_cut_off_too() -> None:
    async def drip(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1000:
                writer.write(bytes([byte]))
                await writer.drain()
                await asyncio.sleep(0.02)
        writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    with pytest.raises(webhooks.Undelivered, match="does not answer within"):
        await post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", seconds=0.3)
    server.close()


async def test_an_answer_without_end_is_not_read(receiver: Receiver) -> None:
    receiver.answers, receiver.endless = [200], True
    await post(receiver.url)


async def test_what_speaks_no_http_is_a_failure() -> None:
    async def shout(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mail.example ESMTP\r\n")
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    with pytest.raises(webhooks.Undelivered, match="cannot be reached"):
        await post(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    server.close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_a_name_or_number_that_leads_to_a_private_address_is_not_connected_to(
    receiver: Receiver, host: str
) -> None:
    with pytest.raises(webhooks.Undelivered, match="leads to an address that is not public"):
        await post(receiver.url.replace("127.0.0.1", host), local=False)
    assert receiver.got == []


@pytest.mark.parametrize("host", ["0.0.0.0", "[::ffff:10.0.0.1]", "169.254.169.254", "10.0.0.1"])
async def test_a_local_run_connects_to_loopback_only(receiver: Receiver, host: str) -> None:
    with pytest.raises(webhooks.Undelivered, match="leads to an address that is not public"):
        await post(receiver.url.replace("127.0.0.1", host), seconds=2)
    assert receiver.got == []


async def test_a_name_that_cannot_be_one_is_a_failure() -> None:
    for host in ("a..b", "x" * 64 + ".example", "no-such-name.invalid"):
        with pytest.raises(webhooks.Undelivered, match=r"cannot be reached|does not answer"):
            await post(f"https://{host}/")


async def test_a_certificate_that_nobody_known_signed_is_refused_and_a_known_one_is_good(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate)
    async with receiving(tls) as receiver:
        with pytest.raises(webhooks.Undelivered, match="certificate"):
            await post(receiver.url)
        assert receiver.got == []
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        webhooks._tls.cache_clear()
        await post(receiver.url)
        assert len(receiver.got) == 1
    webhooks._tls.cache_clear()


# The mail


async def test_the_owner_finds_the_alert_in_the_own_mailbox_once(world: World) -> None:
    await switch(world, alert_by_mail=True)
    card = await a_card(world)
    for _ in range(3):
        assert await attempts(world, card, telling.MAIL) == []
    [mail] = await mails(world, card)
    assert mail["from"]["emailAddress"]["address"] == SELLER.address
    assert [to["emailAddress"]["address"] for to in mail["toRecipients"]] == [SELLER.address]
    assert "<p>Ada &lt;Lovelace&gt; opened &quot;Your &amp; quote&quot; on" in mail["body"]["content"]
    headers = {header["name"].lower(): header["value"] for header in mail["internetMessageHeaders"]}
    assert headers["x-ee-alert"] == "1"
    assert headers["x-auto-response-suppress"] == "All"
    assert "/o/" not in mail["body"]["content"], "an alert is not followed itself"
    assert "http" not in mail["body"]["content"]


@pytest.mark.parametrize("column", ["internalemailaddress", "domainname"])
async def test_an_alert_leaves_from_its_owners_own_mailbox_whatever_addresses_say(world: World, column: str) -> None:
    await switch(world, alert_by_mail=True)
    await records.merge(world.organization, "systemuser", SELLER.id, {column: MANAGER.address})
    assert await attempts(world, await a_card(world), telling.MAIL) == []
    sent = [request for request in await world.requests() if "/sendMail" in request]
    assert sent == [f"POST /v1.0/users/{SELLER.id}/sendMail"]


async def test_two_who_mail_at_once_mail_once(world: World) -> None:
    await switch(world, alert_by_mail=True)
    card = await a_card(world)
    await asyncio.gather(*(attempts(world, card, telling.MAIL) for _ in range(4)))
    assert len(await mails(world, card)) == 1


async def test_a_throttled_mailbox_is_tried_again_when_microsoft_365_says(world: World) -> None:
    await switch(world, alert_by_mail=True)
    card = await a_card(world)
    await world.break_calls("sendMail", 429, count=2, retryAfter=30)
    assert await attempts(world, card, telling.MAIL) == [30, 60]
    assert len(await mails(world, card)) == 1


async def test_a_mailbox_that_refuses_is_given_up_and_the_card_stays(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    await switch(world, alert_by_mail=True)
    card = await a_card(world)
    await world.break_calls("sendMail", 403, count=4)
    assert await attempts(world, card, telling.MAIL) == [10, 60, 300]
    assert await mails(world, card) == []
    assert "Mail.Send" in caplog.text
    assert SELLER.address not in caplog.text
    assert await records.get(world.organization, "actioncard", card["actioncardid"]) is not None


async def test_a_send_of_unknown_outcome_is_not_repeated(world: World, caplog: pytest.LogCaptureFixture) -> None:
    await switch(world, alert_by_mail=True)
    card = await a_card(world)
    await world.break_calls("sendMail", 504, count=1)
    assert await attempts(world, card, telling.MAIL) == []
    assert await attempts(world, card, telling.MAIL) == []
    assert len([call for call in await world.requests() if "sendMail" in call]) == 1
    assert "is not known" in caplog.text


@pytest.mark.parametrize("columns", [{"isdisabled": True}, {"internalemailaddress": ""}, None])
async def test_an_owner_without_an_address_is_not_mailed(world: World, columns: dict[str, Any] | None) -> None:
    await switch(world, alert_by_mail=True)
    if columns is None:
        await records.delete(world.organization, "systemuser", SELLER.id)
    else:
        await records.merge(world.organization, "systemuser", SELLER.id, columns)
    assert await attempts(world, await a_card(world), telling.MAIL) == []
    assert not [call for call in await world.requests() if "sendMail" in call]


async def test_an_alert_in_a_followed_mailbox_is_no_reply(world: World) -> None:
    await switch(world, alert_by_mail=True)
    email = await world.write(await world.contact(), subject="Your quote")
    await world.send(email)
    await world.deliver(email)
    now = datetime.now(UTC)
    card = await a_card(world, now, title="Re: Your quote", regardingobjectid=email)
    assert await attempts(world, card, telling.MAIL, now) == []
    assert len(await mails(world, card)) == 1
    await mailboxes.catch_up_all(datetime.now(UTC))
    assert (await world.partition(email)).email["replycount"] == 0
    rows = await world.organization.tables.query_all(
        world.organization.emails, f"PartitionKey eq {literal(email)} or directioncode eq false"
    )
    assert not [row for row in rows if row.get("interactiontype") == 3 or row.get("directioncode") is False]


# Not any more


@pytest.mark.parametrize(
    "columns",
    [{"state": 1}, {"state": 2}, {"startdate": "2026-11-02T10:30:00Z"}, {"expirydate": "2026-11-02T09:30:00Z"}],
    ids=["dismissed", "completed", "snoozed", "expired"],
)
async def test_a_card_that_is_not_shown_any_more_is_told_by_no_channel(
    world: World, receiver: Receiver, columns: dict[str, Any]
) -> None:
    await switch(world, alert_by_mail=True, alert_webhook=receiver.url)
    card = await a_card(world)
    await records.merge(world.organization, "actioncard", card["actioncardid"], columns)
    for channel in telling.SETTINGS:
        assert await attempts(world, card, channel) == []
    assert receiver.got == []
    assert await mails(world, card) == []


async def test_a_card_that_was_withdrawn_is_told_by_no_channel(world: World, receiver: Receiver) -> None:
    await switch(world, alert_by_mail=True, alert_webhook=receiver.url)
    card = await a_card(world)
    await records.delete(world.organization, "actioncard", card["actioncardid"])
    for channel in telling.SETTINGS:
        assert await attempts(world, card, channel) == []
    assert receiver.got == []
    assert await mails(world, card) == []


async def test_a_channel_that_was_switched_off_meanwhile_tells_nothing(world: World, receiver: Receiver) -> None:
    await switch(world, alert_webhook="", alert_webhook_secret="")
    card = await a_card(world)
    for channel in telling.SETTINGS:
        assert await attempts(world, card, channel) == []
    assert await mails(world, card) == []


async def test_a_webhook_that_fails_does_not_repeat_the_mail(world: World, receiver: Receiver) -> None:
    await switch(world, alert_by_mail=True, alert_webhook=receiver.url)
    receiver.answers = [500, 200]
    card = await a_card(world)
    assert await attempts(world, card, telling.MAIL) == []
    assert await attempts(world, card, telling.WEBHOOK) == [10]
    assert len(await mails(world, card)) == 1


async def test_a_message_that_keeps_failing_is_said_by_its_ids(world: World, caplog: pytest.LogCaptureFixture) -> None:
    work = {"organization": world.organization.name, "card": str(uuid.uuid4()), "channel": "mail"}
    trigger: Any = triggers.give_up_telling
    await trigger._function.get_user_function()(func.QueueMessage(body=json.dumps(work)))
    assert f"card {work['card']} of {work['organization']} is not told by mail" in caplog.text


# The settings


async def settings_of(administrator: Client) -> dict[str, Any]:
    answer = await administrator.get(f"organizations({administrator.organization.id})")
    assert answer.status == 200
    return dict(answer.json)


async def test_an_administrator_sets_the_channels_and_nobody_reads_the_secret(
    organization: Organization, administrator: Client, seller: Client
) -> None:
    path = f"organizations({organization.id})"
    sent = {"ee_alertbymail": True, "ee_alertwebhook": "https://Hooks.Contoso.com/a b", "ee_alertwebhooksecret": SECRET}
    assert (await seller.patch(path, sent)).status == 403
    assert (await administrator.patch(path, sent)).status == 204
    kept = await find_organization(organization.name)
    assert kept is not None
    assert kept.settings["alert_by_mail"] is True
    assert kept.settings["alert_webhook"] == "https://hooks.contoso.com/a%20b"
    assert kept.settings["alert_webhook_secret"] == SECRET
    assert SECRET not in repr(kept)
    row = await settings_of(administrator)
    assert row["ee_alertbymail"] is True
    assert row["ee_alertwebhook"] == "https://hooks.contoso.com/a%20b"
    assert row["ee_alertwebhooksecret"] is None
    whole = {"Prefer": "return=representation"}
    for answer in (
        await administrator.patch(path, {"ee_alertwebhooksecret": SECRET}, headers=whole),
        await administrator.get(f"{path}/ee_alertwebhooksecret"),
        await administrator.get(f"{path}?$select=ee_alertwebhooksecret"),
        await administrator.get(f"organizations?$filter=startswith(ee_alertwebhooksecret,'{SECRET[:8]}')"),
    ):
        assert SECRET[6:].encode() not in answer.body
    found = await administrator.get(f"organizations?$filter=ee_alertwebhooksecret eq '{SECRET}'")
    assert found.rows == []


async def test_removing_the_webhook_forgets_its_secret(organization: Organization, administrator: Client) -> None:
    path = f"organizations({organization.id})"
    both = {"ee_alertwebhook": "https://hooks.contoso.com/", "ee_alertwebhooksecret": SECRET}
    assert (await administrator.patch(path, both)).status == 204
    assert (await administrator.patch(path, {"ee_alertwebhook": None})).status == 204
    kept = await find_organization(organization.name)
    assert kept is not None
    assert (kept.settings["alert_webhook"], kept.settings["alert_webhook_secret"]) == ("", "")
    assert (await settings_of(administrator))["ee_alertwebhook"] is None


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        ({"ee_alertwebhook": "https://hooks.contoso.com/"}, "'ee_alertwebhooksecret' cannot be null while"),
        ({"ee_alertwebhooksecret": SECRET}, "'ee_alertwebhooksecret' belongs to an 'ee_alertwebhook'"),
        (
            {"ee_alertwebhook": "http://hooks.contoso.com/", "ee_alertwebhooksecret": SECRET},
            "'ee_alertwebhook' must be",
        ),
        (
            {"ee_alertwebhook": "https://10.0.0.1/", "ee_alertwebhooksecret": SECRET},
            "'ee_alertwebhook' must name a host",
        ),
        ({"ee_alertwebhook": "https://u:p@a.example/", "ee_alertwebhooksecret": SECRET}, "'ee_alertwebhook' must not"),
        ({"ee_alertwebhook": "nonsense", "ee_alertwebhooksecret": SECRET}, "'ee_alertwebhook' is not an address"),
        ({"ee_alertwebhook": 7, "ee_alertwebhooksecret": SECRET}, "ee_alertwebhook"),
        (
            {"ee_alertwebhook": "https://a.example/", "ee_alertwebhooksecret": "short"},
            "'ee_alertwebhooksecret' must be",
        ),
        ({"ee_alertbymail": None}, "'ee_alertbymail'"),
        ({"ee_alertbymail": "yes"}, "ee_alertbymail"),
    ],
)
async def test_a_wrong_setting_is_refused_by_its_name_and_changes_nothing(
    organization: Organization, administrator: Client, sent: dict[str, Any], error: str
) -> None:
    before = await settings_of(administrator)
    answer = await administrator.patch(f"organizations({organization.id})", sent)
    assert answer.status == 400
    assert error in answer.error
    assert await settings_of(administrator) == before


async def test_a_local_run_may_name_a_receiver_on_loopback(organization: Organization, administrator: Client) -> None:
    sent = {"ee_alertwebhook": "http://localhost:9000/", "ee_alertwebhooksecret": SECRET}
    assert (await administrator.patch(f"organizations({organization.id})", sent)).status == 204


async def test_in_a_deployment_no_receiver_on_loopback_may_be_named(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MICROSOFT365_URL", "")
    settings.cache_clear()
    for url in ("http://localhost:9000/", "https://localhost:9000/"):
        with pytest.raises(Failure, match="'ee_alertwebhook' must"):
            take_settings({"ee_alertwebhook": url, "ee_alertwebhooksecret": SECRET}, organization.settings)
    monkeypatch.undo()
    settings.cache_clear()
