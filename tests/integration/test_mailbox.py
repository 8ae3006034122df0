"""What comes back by mail, from the recipient's reply to the interaction: real tables, queues and HTTP."""

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from shared.engagement.delivery_reports import MAX_MIME
from shared.engagement.notifications import MAX_BODY, client_state, read_client_state
from shared.graph import mailbox as graph
from shared.graph.client import close_clients
from shared.graph.mailbox import LIFETIME
from shared.services import alerting, mailboxes, replying
from shared.services.alerting import card_of
from shared.services.long_work import in_turn
from shared.settings import settings
from shared.storage import emails, records
from shared.storage.account import Unavailable
from shared.storage.organizations import DEFAULT_SETTINGS, Organization, save_organization
from shared.storage.tables import Operation
from tests.mailbox_fixtures import receiver, standin, world
from tests.mailbox_world import (
    ANN,
    MANAGER,
    SELLER,
    TENANT,
    World,
    post,
)

__all__ = ["receiver", "standin", "world"]

pytestmark = [
    pytest.mark.filterwarnings("ignore:This class is deprecated:DeprecationWarning:msgraph"),
    pytest.mark.filterwarnings("ignore:GetQueryParameters is deprecated:DeprecationWarning:kiota"),
]


async def notified(world: World) -> list[dict[str, str]]:
    """Return the next messages that notifications put on the queue, waiting for Graph to send them."""
    for _ in range(200):
        if waiting := [work for work in world.waiting() if "message" in work]:
            return waiting
        await asyncio.sleep(0.02)
    raise AssertionError("no notification arrived")


# Replies


async def test_a_reply_becomes_an_interaction_a_received_email_and_a_count(world):
    email_id = await world.send()
    reply = await world.reply(email_id, "<p>Yes, <b>please</b>.</p>")
    await world.catch_up()

    [interaction] = await world.replies(email_id)
    email = (await world.email(email_id)).email
    assert email["replycount"] == 1
    assert email["opencount"] == 2
    assert interaction["interactionrepliedby"] == "Ann Arbor"
    assert interaction["emailaddress"] == ANN
    assert interaction["interactionreplyid"] == reply["internetMessageId"]
    assert interaction["emailinteractiontime"][:16] == reply["sentDateTime"][:16]
    assert interaction["ee_label"] == 0
    assert interaction["ee_labelreason"] == "wrote back"
    assert interaction["interactionpartyid"] == (await world.email(email_id)).parties[1]["partyid"]

    received = await world.email(interaction["emailinteractionreplyid"])
    row = received.email
    assert (row["directioncode"], row["statecode"], row["statuscode"]) == (False, 1, 4)
    assert row["parentactivityid"] == email_id
    assert row["correlationmethod"] == 3
    assert row["messageid"] == reply["internetMessageId"]
    assert row["inreplyto"] == world.marks[email_id]
    assert row["ownerid"] == SELLER.id
    assert row["subject"] == "Re: Our offer"
    assert "Yes, <b>please</b>." in await emails.read_body(world.organization, row)
    assert [(p["participationtypemask"], p["addressused"]) for p in received.parties] == [
        (1, ANN),
        (2, SELLER.address),
    ]
    assert received.parties[1]["partyid"] == SELLER.id


async def test_a_reply_is_taken_within_seconds_when_graph_notifies(world):
    email_id = await world.send()
    await world.work_off()
    await world.reply(email_id)
    for work in await notified(world):
        await mailboxes.attend(work, datetime.now(UTC))
    while not await world.replies(email_id):
        for work in await notified(world):
            await mailboxes.attend(work, datetime.now(UTC))
    assert (await world.email(email_id)).email["replycount"] == 1


async def test_a_reply_that_is_seen_again_counts_once(world):
    email_id = await world.send()
    await world.reply(email_id)
    for _ in range(3):
        await world.catch_up()
    assert len(await world.replies(email_id)) == 1
    assert (await world.email(email_id)).email["replycount"] == 1
    assert len(await world.received()) == 1


async def test_the_same_reply_in_two_followed_mailboxes_counts_once(world):
    email_id = await world.send()
    await world.send(seller=MANAGER, to="bob@northwind.example")
    await world.reply(email_id, Cc=MANAGER.address)
    await world.catch_up()
    assert len(await world.replies(email_id)) == 1


async def test_somebody_who_answers_twice_has_two_replies(world):
    email_id = await world.send()
    await world.reply(email_id, "Yes.")
    await world.reply(email_id, "And when?")
    await world.catch_up()
    assert len(await world.replies(email_id)) == 2
    assert (await world.email(email_id)).email["replycount"] == 2


async def test_a_reply_is_found_before_the_mail_is_recorded_as_sent(world):
    email_id = await world.send(sent=False)
    await world.reply(email_id)
    await world.catch_up()
    assert (await world.email(email_id)).email["replycount"] == 1


async def test_a_reply_whose_message_id_is_unknown_is_found_by_its_conversation(world):
    email_id = await world.send()
    await records.delete(world.organization, "message", records.hashed_key(world.marks[email_id]))
    await world.reply(email_id)
    await world.catch_up()
    [interaction] = await world.replies(email_id)
    received = await world.email(interaction["emailinteractionreplyid"])
    assert received.email["correlationmethod"] == 5


async def test_what_came_before_the_mail_in_its_conversation_is_no_reply(world):
    email_id = await world.send()
    await records.delete(world.organization, "message", records.hashed_key(world.marks[email_id]))
    email = (await world.email(email_id)).email
    later = (datetime.now(UTC) + timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    await emails.commit(world.organization, email, {"senton": later})
    await world.reply(email_id)
    await world.catch_up()
    assert await world.replies(email_id) == []


async def test_an_answer_by_somebody_else_in_the_conversation_is_theirs(world):
    email_id = await world.send()
    await world.reply(email_id, From="Bob Builder <bob@northwind.example>")
    await world.catch_up()
    [interaction] = await world.replies(email_id)
    assert interaction["interactionrepliedby"] == "Bob Builder"
    assert interaction["emailaddress"] == "bob@northwind.example"
    assert interaction["ee_labelreason"] == "wrote back; not among the recipients"
    assert "interactionpartyid" not in interaction


async def test_a_reply_answers_the_newest_mail_that_it_references(world):
    first, second = await world.send(), await world.send()
    email = (await world.email(first)).email
    await emails.commit(world.organization, email, {"senton": "2026-01-01T00:00:00Z"})
    ids = {"In_Reply_To": world.marks[first], "References": f"{world.marks[second]} {world.marks[first]}"}
    await world.reply(first, **ids)
    await world.catch_up()
    assert len(await world.replies(second)) == 1
    assert await world.replies(first) == []


async def test_an_automatic_reply_is_shown_and_does_not_count(world):
    email_id = await world.send()
    await world.reply(email_id, "I am on holiday.", Auto_Submitted="auto-replied")
    await world.catch_up()
    [interaction] = await world.replies(email_id)
    assert (interaction["ee_label"], interaction["ee_labelreason"]) == (2, "automatic reply")
    assert (await world.email(email_id)).email["replycount"] == 0
    assert await world.received() == []


async def test_a_bounce_says_why_and_does_not_count(world):
    email_id = await world.send()
    await world.bounce(email_id)
    await world.catch_up()
    [interaction] = await world.replies(email_id)
    assert interaction["ee_label"] == 2
    assert interaction["ee_labelreason"].startswith("not delivered: 550 5.1.")
    assert interaction["emailaddress"] == ANN
    assert (await world.email(email_id)).email["replycount"] == 0


async def test_of_a_bounce_no_more_is_fetched_than_is_read(world):
    await world.bounce(await world.send())
    pages = graph.received_since(world.organization.tenant, SELLER.id, datetime.now(UTC) - timedelta(hours=1))
    [bounce] = [message async for page in pages for message in page if message.address != SELLER.address]
    place = world.organization.tenant, SELLER.id, bounce.id
    whole = await graph.get_mime(*place, MAX_MIME)
    assert len(whole) > 200
    assert await graph.get_mime(*place, 100) == whole[:100]
    assert await graph.get_mime(*place[:2], "AAkGone=", 100) == b""


async def test_a_bounce_can_be_the_first_that_a_process_asks_for(world):
    await close_clients()
    assert await graph.get_mime(world.organization.tenant, SELLER.id, "AAkGone=", 100) == b""


async def test_what_a_bounce_says_is_not_read_where_it_answers_none_of_ours(world, monkeypatch):
    read = []

    async def seen(*work):
        read.append(work)
        return await in_turn(*work)

    monkeypatch.setattr(replying, "in_turn", seen)
    theirs, ours = await world.send(), await world.send()
    for table in ("message", "conversation"):
        async for page in records.query(world.organization, table):
            for key in [row["RowKey"] for row in page if row["email"] == theirs]:
                await records.delete(world.organization, table, key)
    await world.bounce(theirs)
    await world.catch_up()
    assert read == []
    await world.bounce(ours)
    await world.catch_up()
    assert len(read) == 1


async def test_what_the_seller_writes_into_the_conversation_is_no_reply(world):
    email_id = await world.send()
    await world.reply(email_id, From=f"Sella Seller <{SELLER.address}>")
    await world.catch_up()
    assert await world.replies(email_id) == []


async def test_what_a_colleague_s_copy_of_the_mail_says_is_no_reply(world):
    email_id = await world.send(to=MANAGER.address)
    await mailboxes.follow_mailbox(
        world.organization, MANAGER.id, MANAGER.address, datetime.now(UTC) - timedelta(minutes=1)
    )
    await world.catch_up()
    assert await world.replies(email_id) == []


async def test_what_lies_in_sent_items_is_the_sellers_under_any_address(world, monkeypatch):
    email_id = await world.send()
    folders = f"/v1.0/users/{SELLER.id}/mailFolders"
    sent, inbox = [(await world.call("GET", f"{folders}/{name}"))["id"] for name in ("sentitems", "inbox")]
    assert await graph.sent_items(TENANT.id, SELLER.id) == sent
    # Nobody can send as an alias here: the folder in which it arrives is taken for Sent Items instead.
    monkeypatch.setitem(graph._sent_items, (TENANT.id, SELLER.id), inbox)
    await world.reply(email_id, "One more thought", From="Sella Seller <sales.team@contoso.example>")
    await world.catch_up()
    assert await world.replies(email_id) == []
    assert await world.received() == []


async def test_sent_items_are_asked_for_once(world):
    email_id = await world.send()
    graph._sent_items.clear()
    await world.call("DELETE", "/local/requests")
    for _ in range(3):
        await world.reply(email_id)
    await world.catch_up()
    calls = (await world.call("GET", "/local/requests"))["value"]
    assert len([call for call in calls if "mailFolders" in call["path"]]) == 1
    assert len(await world.replies(email_id)) == 3


async def test_the_addresses_that_microsoft_365_sent_it_from_are_the_sellers(world):
    email_id = await world.send()
    email = (await world.email(email_id)).email
    await emails.commit(world.organization, email, {"_authors": "s.seller@contoso.example office@contoso.example"})
    await world.reply(email_id, From="Sella <S.Seller@contoso.example>")
    await world.reply(email_id, From="Office <office@contoso.example>")
    await world.catch_up()
    assert await world.replies(email_id) == []


@pytest.mark.parametrize(
    ("table", "column"),
    [("systemuser", "internalemailaddress"), ("systemuser", "domainname"), ("queue", "emailaddress")],
)
async def test_what_a_colleague_answers_whom_the_seller_forwarded_it_to_is_no_reply(world, table, column):
    colleague = f"{uuid.uuid4().hex[:8]}@M\u00fcnchen.example"
    await records.insert(world.organization, table, str(uuid.uuid4()), {column: colleague.title()})
    email_id = await world.send()
    forwarded = "<forwarded@contoso.example>"
    thread = {"In_Reply_To": forwarded, "References": f"{world.marks[email_id]} {forwarded}"}
    ascii_form = colleague.replace("M\u00fcnchen", "xn--mnchen-3ya")
    await world.reply(email_id, From=f"A Colleague <{ascii_form}>", To=SELLER.address, **thread)
    await world.reply(email_id, From=f"A Colleague <{colleague}>", Auto_Submitted="auto-replied", **thread)
    await world.catch_up()
    assert await world.replies(email_id) == []
    assert await world.received() == []
    assert (await world.email(email_id)).email["replycount"] == 0


async def test_a_colleague_whom_the_mail_went_to_may_answer_it(world):
    email_id = await world.send(to=MANAGER.address)
    await records.insert(world.organization, "systemuser", MANAGER.id, {"internalemailaddress": MANAGER.address})
    await world.reply(email_id, address=MANAGER.address)
    await world.catch_up()
    [interaction] = await world.replies(email_id)
    assert interaction["ee_labelreason"] == "wrote back"


async def test_a_recipient_who_answers_from_the_ascii_form_of_a_domain_is_that_recipient(world):
    ann = "ann@m\u00fcnchen.example"
    email_id = await world.send(to=ann)
    await world.reply(email_id, address=ann, From="Ann <ANN@xn--mnchen-3ya.example>")
    await world.catch_up()
    [interaction] = await world.replies(email_id)
    party = (await world.email(email_id)).parties[1]
    assert (interaction["interactionpartyid"], interaction["ee_labelreason"]) == (party["partyid"], "wrote back")
    received = await world.email(interaction["emailinteractionreplyid"])
    assert received.parties[0]["partyid"] == party["partyid"]


async def test_a_customer_who_forwards_the_mail_with_the_seller_in_copy_wrote_back(world):
    email_id = await world.send()
    await world.reply(
        email_id, "Bob, what do you say?", Subject="FW: Our offer", To="bob@northwind.example", Cc=SELLER.address
    )
    await world.catch_up()
    [interaction] = await world.replies(email_id)
    assert (interaction["ee_label"], interaction["ee_labelreason"]) == (0, "wrote back")
    assert (await world.email(email_id)).email["replycount"] == 1


async def test_exchange_s_answer_without_a_header_is_known_by_our_own_subject(world):
    email_id = await world.send()
    await world.reply(email_id, "I am away.", Subject="Automatic reply: Our offer")
    await world.reply(email_id, "Are you back?", Subject="Re: Automatic reply: Our offer")
    await world.catch_up()
    labels = {row["ee_labelreason"]: row["ee_label"] for row in await world.replies(email_id)}
    assert labels == {"automatic reply (by its subject)": 2, "wrote back": 0}
    assert (await world.email(email_id)).email["replycount"] == 1


@pytest.mark.parametrize(
    "header",
    [
        "From: MAILER-DAEMON@mx.example\r\nSubject: failure notice\r\n",
        "From: sysadmin@mx.example\r\nReturn-Path: <>\r\nSubject: About your message\r\n",
    ],
)
async def test_a_bounce_in_plain_text_is_found_by_the_mail_that_it_returns(world, header):
    email_id = await world.send()
    text = (
        f"{header}\r\n<{ANN}>:\r\n550 5.1.1 no such user\r\n\r\n--- Below is a copy.\r\n\r\n"
        f"Subject: Our offer\r\nMessage-ID: {world.marks[email_id]}\r\n"
    )
    await world.arrive(email_id, text)
    await world.catch_up()
    [interaction] = await world.replies(email_id)
    assert interaction["ee_labelreason"] == "not delivered: 550 5.1.1 no such user"
    assert (interaction["ee_label"], interaction["emailaddress"]) == (2, ANN)
    assert interaction["interactionpartyid"] == (await world.email(email_id)).parties[1]["partyid"]
    assert (await world.email(email_id)).email["replycount"] == 0


@pytest.mark.parametrize("about", ["mail that is not followed", "mail of an organization that switched following off"])
async def test_nothing_is_kept_of_replies_to(world, about):
    email_id = await world.send(followed=about != "mail that is not followed")
    if "switched" in about:
        off = {**DEFAULT_SETTINGS, "isemailmonitoringallowed": False}
        await save_organization(Organization(world.organization.name, world.organization.id, TENANT.id, off))
    await world.reply(email_id)
    await world.catch_up()
    await world.work_off()
    assert await world.replies(email_id) == []
    assert await world.received() == []
    assert (await world.email(email_id)).email["replycount"] == 0


async def test_nothing_is_kept_of_mail_that_answers_nothing_of_ours(world):
    email_id = await world.send()
    await world.reply(email_id, In_Reply_To="<something-else@northwind.example>")
    before = await world.organization.tables.query_all(world.organization.emails)
    await world.catch_up()
    after = await world.organization.tables.query_all(world.organization.emails)
    assert after == before


async def test_a_reply_to_a_deleted_email_leaves_nothing_behind(world):
    email_id = await world.send()
    await world.reply(email_id)
    await world.organization.tables.apply(
        world.organization.emails, Operation("delete", {"PartitionKey": email_id, "RowKey": emails.EMAIL}, "*")
    )
    await world.catch_up()
    assert await world.received() == []


# Watermark


async def test_the_watermark_moves_when_all_was_handled(world):
    await world.send()
    now = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=1)
    await world.catch_up(now)
    assert await world.through() == now


async def test_what_arrived_long_ago_is_found_after_an_outage(world):
    email_id = await world.send()
    await world.reply(email_id)
    await world.catch_up(datetime.now(UTC) + timedelta(days=3))
    assert len(await world.replies(email_id)) == 1


async def test_more_than_a_page_is_caught_up_with(world):
    email_id = await world.send()
    for number in range(55):
        await world.reply(email_id, str(number))
    await world.catch_up()
    assert (await world.email(email_id)).email["replycount"] == 55


# Subscriptions


async def test_a_mailbox_is_subscribed_to_when_it_sends_for_the_first_time(world):
    await world.send()
    await world.send()
    assert await world.work_off() == 1
    [subscription] = await world.subscriptions()
    assert subscription["resource"] == f"/users/{SELLER.id}/messages"
    assert subscription["notificationUrl"] == f"{settings().base_url}/mailbox/notifications"
    assert subscription["lifecycleNotificationUrl"] == f"{settings().base_url}/mailbox/lifecycle"
    row = await world.mailbox()
    assert row["subscription"] == subscription["id"]
    assert row["address"] == SELLER.address
    assert len(subscription["clientState"] or "") in range(129)


async def test_nothing_secret_is_stored_with_a_subscription(world):
    await world.send()
    await world.work_off()
    state = client_state(world.organization.name, SELLER.id, settings().token_key, settings().token_secrets)
    assert state not in str(await world.mailbox())
    assert state.rpartition(".")[2] not in str(await world.mailbox())


async def test_a_subscription_is_renewed_when_less_than_half_of_its_time_is_left(world):
    await world.send()
    await world.work_off()
    made = (await world.mailbox())["expires"]
    await mailboxes.renew_all(datetime.now(UTC) + LIFETIME / 2 - timedelta(hours=1))
    assert (await world.mailbox())["expires"] == made
    [before] = await world.subscriptions()
    row = await world.mailbox()
    soon = (datetime.now(UTC) + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    await records.merge(world.organization, mailboxes.TABLE, row["RowKey"], {"expires": soon})
    await world.call("PATCH", f"/v1.0/subscriptions/{before['id']}", {"expirationDateTime": soon})
    await mailboxes.renew_all(datetime.now(UTC))
    [after] = await world.subscriptions()
    assert after["id"] == before["id"]
    assert after["expirationDateTime"] > soon
    assert (await world.mailbox())["expires"] > soon


async def test_a_subscription_that_is_gone_is_made_anew_at_the_next_renewal(world):
    await world.send()
    await world.work_off()
    [before] = await world.subscriptions()
    await world.call("DELETE", f"/v1.0/subscriptions/{before['id']}")
    soon = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    await records.merge(world.organization, mailboxes.TABLE, SELLER.id, {"expires": soon})
    await mailboxes.renew_all(datetime.now(UTC))
    [after] = await world.subscriptions()
    assert after["id"] == (await world.mailbox())["subscription"] != before["id"]


async def test_two_workers_that_subscribe_at_once_leave_one_subscription(world):
    await world.send()
    [work] = world.waiting()
    await asyncio.gather(*(mailboxes.attend(work, datetime.now(UTC)) for _ in range(3)))
    [subscription] = await world.subscriptions()
    assert (await world.mailbox())["subscription"] == subscription["id"]


async def lifecycle_notified(world: World, event: str) -> None:
    """Have Graph tell of something that happened to the subscription, and do what it asks for."""
    subscription = (await world.mailbox())["subscription"]
    await world.call("POST", f"/local/subscriptions/{subscription}/lifecycle", {"event": event})
    for _ in range(200):
        for work in world.waiting():
            if work.get("event") == event:
                assert await mailboxes.attend(work, datetime.now(UTC)) is None
                return
        await asyncio.sleep(0.02)
    raise AssertionError("no notification arrived")


async def test_a_removed_subscription_is_made_anew_at_once(world):
    await world.send()
    await world.work_off()
    before = (await world.mailbox())["subscription"]
    await lifecycle_notified(world, "subscriptionRemoved")
    [subscription] = await world.subscriptions()
    assert subscription["id"] == (await world.mailbox())["subscription"] != before


async def test_missed_notifications_are_caught_up_with(world):
    email_id = await world.send()
    await world.work_off()
    await world.reply(email_id)
    await notified(world)
    await lifecycle_notified(world, "missed")
    assert len(await world.replies(email_id)) == 1


async def test_a_subscription_is_reauthorized_when_graph_asks(world):
    await world.send()
    await world.work_off()
    soon = (datetime.now(UTC) + timedelta(days=3)).strftime("%Y-%m-%dT%H:%M:%SZ")
    row = await world.mailbox()
    await world.call("PATCH", f"/v1.0/subscriptions/{row['subscription']}", {"expirationDateTime": soon})
    await lifecycle_notified(world, "reauthorizationRequired")
    [subscription] = await world.subscriptions()
    assert subscription["id"] == row["subscription"]
    assert subscription["expirationDateTime"] > soon


# Notifications


def notification(world: World, **changes: object) -> dict[str, object]:
    state = client_state(world.organization.name, SELLER.id, settings().token_key, settings().token_secrets)
    return {"clientState": state, "changeType": "created", "resourceData": {"id": "AAkALg="}, **changes}


def collection(*entries: object) -> bytes:
    return orjson.dumps({"value": entries})


async def test_graph_s_handshake_is_answered_in_plain_text(world):
    answer = await post("mailbox/notifications", validationToken="Validation: Testing; Request-Id: 1-2")
    assert (answer.status_code, answer.mimetype) == (200, "text/plain")
    assert answer.get_body() == b"Validation: Testing; Request-Id: 1-2"


async def test_a_handshake_reflects_no_markup(world):
    answer = await post("mailbox/lifecycle", validationToken="<script>alert(1)</script>")
    assert b"<" not in answer.get_body()
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize("token", ["", "x" * 1025])
async def test_a_handshake_without_a_plausible_token_is_refused(world, token):
    assert (await post("mailbox/notifications", validationToken=token)).status_code == 400


async def test_a_message_that_is_told_of_several_times_is_queued_once(world):
    body = collection(notification(world), notification(world, subscriptionId="other"), notification(world))
    assert (await post("mailbox/notifications", body)).status_code == 202
    assert world.waiting() == [{"organization": world.organization.name, "mailbox": SELLER.id, "message": "AAkALg="}]


async def test_a_forged_notification_is_dropped_without_a_word(world):
    genuine = str(notification(world)["clientState"])
    other = genuine.replace(SELLER.id, MANAGER.id)
    forged = [
        genuine[:-1] + ("A" if genuine[-1] != "A" else "B"),
        other,
        genuine + "x",
        "",
        None,
        7,
        "9." + genuine[2:],
    ]
    body = collection(*(notification(world, clientState=state) for state in forged))
    answer = await post("mailbox/notifications", body)
    assert (answer.status_code, answer.get_body()) == (202, b"")
    assert world.waiting() == []


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'{"value": {}}', b'{"value": [1]}', b"\xff\xfe", b"[" * 5000]
)
async def test_what_is_no_notification_is_refused(world, body):
    assert (await post("mailbox/notifications", body)).status_code == 400


async def test_a_body_that_is_too_large_is_refused_unread(world):
    assert (await post("mailbox/notifications", b" " * (MAX_BODY + 1))).status_code == 413


@pytest.mark.parametrize("data", [None, {}, {"id": 7}, {"id": ""}, "AAkALg="])
async def test_a_notification_about_no_message_is_dropped(world, data):
    assert (await post("mailbox/notifications", collection(notification(world, resourceData=data)))).status_code == 202
    assert world.waiting() == []


async def test_a_notification_of_a_message_that_is_gone_is_dropped(world):
    await world.send()
    work = {"organization": world.organization.name, "mailbox": SELLER.id, "message": "AAkALgAAAAAAgone"}
    assert await mailboxes.attend(work, datetime.now(UTC)) is None


async def test_a_notification_of_an_organization_that_is_gone_is_dropped(world):
    work = {"organization": "nobody", "mailbox": SELLER.id, "message": "AAkALg="}
    assert await mailboxes.attend(work, datetime.now(UTC)) is None


def test_a_client_state_outlives_the_rotation_of_secrets():
    old, new = b"o" * 32, b"n" * 32
    state = client_state("contoso", SELLER.id, 1, {1: old})
    assert read_client_state(state, {1: old, 2: new}) == ("contoso", SELLER.id)
    assert read_client_state(state, {2: new}) is None
    assert len(state) <= 128


# Cards


async def test_the_first_reply_makes_a_card_where_an_organization_wants_it(world, monkeypatch):
    settings = {**world.organization.settings, "card_kinds_off": []}
    monkeypatch.setattr(world, "organization", replace(world.organization, settings=settings))
    await save_organization(world.organization)
    email_id = await world.send()
    await world.reply(email_id, "I am on holiday.", Auto_Submitted="auto-replied")
    await world.catch_up()
    assert await records.get(world.organization, "actioncard", card_of(email_id, "reply")) is None
    await world.reply(email_id, "Yes.")
    await world.catch_up()
    card = await records.get(world.organization, "actioncard", card_of(email_id, "reply"))
    assert card is not None
    assert (card["title"], card["cardtype"]) == ("Ann Arbor replied to Our offer", 1006)
    assert (card["regardingobjectid"], card["ownerid"]) == (email_id, SELLER.id)
    await records.merge(world.organization, "actioncard", card["RowKey"], {"state": 1})
    await world.reply(email_id, "And when?")
    await world.catch_up()
    after = await records.get(world.organization, "actioncard", card["RowKey"])
    assert after is not None
    assert (after["state"], after["description"]) == (1, card["description"])


async def test_a_reply_whose_card_was_not_written_has_it_when_the_message_comes_again(world, monkeypatch):
    settings = {**world.organization.settings, "card_kinds_off": []}
    monkeypatch.setattr(world, "organization", replace(world.organization, settings=settings))
    await save_organization(world.organization)
    email_id = await world.send()
    await world.reply(email_id)

    async def die(*_):
        raise Unavailable(0, "Killed")

    with monkeypatch.context() as patch:
        patch.setattr(alerting, "settle_reply", die)
        await world.catch_up()
    assert len(await world.replies(email_id)) == 1
    assert await records.get(world.organization, "actioncard", card_of(email_id, "reply")) is None
    await world.catch_up(datetime.now(UTC) + timedelta(seconds=2))
    for _ in range(3):
        await world.work_off(datetime.now(UTC) + timedelta(minutes=10))
    assert await records.get(world.organization, "actioncard", card_of(email_id, "reply")) is not None


async def test_replies_make_no_card_unless_an_organization_wants_them(world):
    email_id = await world.send()
    await world.reply(email_id)
    await world.catch_up()
    assert len(await world.replies(email_id)) == 1
    assert await records.get(world.organization, "actioncard", card_of(email_id, "reply")) is None


# People who are shut out


async def disable(world: World, *, off: bool = True) -> None:
    await records.put(world.organization, "systemuser", SELLER.id, {"fullname": "Sella", "isdisabled": off})


async def test_the_mailbox_of_a_disabled_user_is_left_alone_and_caught_up_with_once_they_are_enabled(world):
    email_id = await world.send()
    await world.catch_up()
    assert len(await world.subscriptions()) == 1
    before = await world.through()
    await disable(world)
    await world.catch_up()
    assert await world.subscriptions() == []
    assert not (await world.mailbox()).get("subscription")
    await world.reply(email_id)
    await mailboxes.renew_all(datetime.now(UTC) + timedelta(days=6))
    await world.catch_up()
    assert await world.subscriptions() == []
    assert await world.replies(email_id) == []
    assert await world.through() == before
    await disable(world, off=False)
    await world.catch_up()
    assert len(await world.replies(email_id)) == 1
    assert len(await world.subscriptions()) == 1


async def test_what_a_notification_says_of_the_mailbox_of_a_disabled_user_is_not_read(world):
    email_id = await world.send()
    await world.work_off()
    assert len(await world.subscriptions()) == 1
    await disable(world)
    await world.reply(email_id)
    for work in await notified(world):
        assert await mailboxes.attend(work, datetime.now(UTC)) is None
    assert await world.replies(email_id) == []


async def test_a_subscription_that_cannot_be_ended_now_is_ended_in_a_minute(world):
    await world.send()
    await world.catch_up()
    await disable(world)
    await world.break_calls("DELETE /v1.0/subscriptions", 503, count=10)
    await world.catch_up()
    assert (await world.mailbox()).get("subscription")
    await world.call("DELETE", "/local/faults")
    await world.catch_up()
    assert not (await world.mailbox()).get("subscription")
    assert await world.subscriptions() == []
