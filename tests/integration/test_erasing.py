"""Erasing and exporting a person, on real storage: what goes, what stays, and that every link still lands."""

import uuid
from datetime import timedelta
from typing import Any
from uuid import UUID

import azure.functions as func
import orjson
import pytest

from functions import recipients
from shared.engagement import following
from shared.engagement.consent import GRANTED
from shared.engagement.options import CC, SENDER, TO
from shared.engagement.tokens import Token, TokenKind, mint
from shared.services import erasing, person_export
from shared.services.alerting import card_of
from shared.services.errors import Missing
from shared.settings import settings
from shared.storage import blobs, figures, opens, queues, records
from shared.storage.tables import Operation
from tests.figures_world import EVER, brought_up_to_date
from tests.journalled_hits import SENT
from tests.storage_dump import dump
from tests.withdrawing_world import (
    PROOF,
    a_contact,
    as_party,
    ask,
    contact_of,
    mail_of,
    opened,
    queued,
    sent_to,
    token_of,
    with_settings,
)

LATER = SENT + timedelta(days=2)
REPLY = "interaction:98000000000000:reply-1"


async def erased(organization, contact, budget=60.0, **options):
    """Erase a contact to the end, message by message; return how many it took."""
    await erasing.start(organization, "contact", contact["contactid"], LATER, **options)
    for number in range(1, 600):
        [work] = [work for work in queued(organization) if work["work"] == "erase"][:1]
        again = await erasing.erase(organization, work, LATER, budget)
        if again is None:
            return number
        await queues.send(queues.PRIVACY, work)
    raise AssertionError("the erasure never ends")


async def with_reply(organization, email_id, contact, text="I am ill this week"):
    """Let a contact answer an email, as the mailbox keeps it."""
    received, body = str(uuid.uuid4()), f"bodies/{uuid.uuid4()}/1"
    await blobs.put(organization, body, text.encode())
    row = {
        "PartitionKey": email_id, "RowKey": REPLY, "interactiontype": 3, "ee_label": 0,
        "interactionforemailid": str(uuid.uuid4()), "emailaddress": contact["emailaddress1"],
        "interactionrepliedby": contact["fullname"], "interactionreplyid": "<1@example.com>",
        "interactionpartyid": contact["contactid"], "emailinteractiontime": "2026-11-03T09:00:00Z",
    }  # fmt: skip
    email = {
        "PartitionKey": received, "RowKey": "email", "directioncode": False, "subject": "Re: Ada", "statuscode": 4,
        "sender": contact["emailaddress1"], "messageid": "<1@example.com>", "parentactivityid": email_id, "_body": body,
        "torecipients": "seller@contoso.example",
    }  # fmt: skip
    party = {**as_party(0, SENDER, contact), "PartitionKey": received}
    await organization.tables.apply(organization.emails, Operation("insert", row))
    await organization.tables.transact(organization.emails, [Operation("insert", email), Operation("insert", party)])
    await organization.tables.apply(
        organization.emails, Operation("merge", {"PartitionKey": email_id, "RowKey": "email", "replycount": 1}, "*")
    )
    return received, body


async def test_nothing_that_says_who_they_were_or_what_they_did_remains(organization):
    ada = await a_contact(organization, fullname="Ada Lovelace")
    email_id = await sent_to(organization, as_party(0, TO, ada), sent=SENT)
    assert await opened(organization, email_id, SENT) == 1
    received, body = await with_reply(organization, email_id, ada)
    await brought_up_to_date(organization, LATER)
    assert await records.get(organization, "actioncard", card_of(email_id, "firstopen")) is not None
    await erased(organization, ada, delete_record=True)
    await brought_up_to_date(organization, LATER)
    left = str(await dump(organization))
    for trace in (ada["emailaddress1"], "Ada", "Lovelace", "<1@example.com>"):
        assert trace not in left, trace
    found = await mail_of(organization, email_id)
    assert [row["RowKey"] for row in found.interactions] == [REPLY], "that there was a reply, and when"
    assert (found.email["opencount"], found.email["replycount"]) == (0, 1)
    assert "lastopenedtime" not in found.email
    assert found.parties[0]["_name"] == erasing.ERASED_NAME
    assert "subject" not in (await mail_of(organization, received)).email
    with pytest.raises(Exception, match="BlobNotFound"):
        await blobs.get(organization, body)
    assert await records.get(organization, "contact", ada["contactid"]) is None
    assert await opens.read(organization, opens.of_person(ada["contactid"]), 10) == []


async def test_no_reason_names_them(organization):
    ada = await a_contact(organization)
    reason, told = "Ada Byron, as she was, has not consented", {"isemailfollowed": False}
    columns = {"ee_followreason": reason, "ee_reminderreason": f"not followed: {reason}", "ee_failurereason": reason}
    email_id = await sent_to(organization, as_party(0, TO, ada), sent=SENT, **told, **columns)
    plain = await sent_to(organization, as_party(0, TO, ada), sent=SENT, **told, ee_followreason=following.NOT_ASKED)
    await erased(organization, ada)
    email = (await mail_of(organization, email_id)).email
    assert {email[name] for name in columns} == {erasing.REASON}
    assert (await mail_of(organization, plain)).email["ee_followreason"] == following.NOT_ASKED


async def test_who_answered_mail_that_went_to_others_is_found_too(organization):
    ada, bob = await a_contact(organization), await a_contact(organization, fullname="Bob")
    email_id = await sent_to(organization, as_party(0, TO, bob), sent=SENT)
    automatic = {
        "PartitionKey": email_id, "RowKey": REPLY, "interactiontype": 3, "ee_label": 2,
        "emailaddress": ada["emailaddress1"].upper(), "interactionrepliedby": "Ada Lovelace",
        "interactionforemailid": str(uuid.uuid4()), "emailinteractiontime": "2026-11-03T09:00:00Z",
    }  # fmt: skip
    await organization.tables.apply(organization.emails, Operation("insert", automatic))
    await records.put(organization, "actioncard", card_of(email_id, "reply"), {"title": "Ada Lovelace replied"})
    await erased(organization, ada, delete_record=True)
    left = str(await dump(organization))
    assert "Ada" not in left
    assert ada["emailaddress1"].upper() not in left
    assert bob["emailaddress1"] in left
    [row] = (await mail_of(organization, email_id)).interactions
    assert row["emailinteractiontime"] == automatic["emailinteractiontime"], "that there was an answer, and when"


async def test_an_address_is_found_however_it_is_written(organization):
    ada = await a_contact(organization, f"ada-{uuid.uuid4().hex[:8]}@bücher.example")
    written = ada["emailaddress1"].replace("bücher", "xn--bcher-kva").upper()
    email_id = await sent_to(organization, as_party(0, TO, None, written), sent=SENT)
    await erased(organization, ada)
    assert "addressused" not in (await mail_of(organization, email_id)).parties[0]


async def test_the_figures_follow(organization):
    ada, bob = await a_contact(organization), await a_contact(organization)
    for contact in (ada, bob):
        email_id = await sent_to(organization, as_party(0, TO, contact), sent=SENT)
        await opened(organization, email_id, SENT)
    await brought_up_to_date(organization, LATER)
    await erased(organization, ada)
    await brought_up_to_date(organization, LATER)
    sums = [
        sum(column) for column in zip(*(await figures.read(organization, "organization", *EVER)).values(), strict=True)
    ]
    assert sums[:3] == [2, 2, 1], "both mails, and the open of the other person"
    assert await figures.read(organization, f"contact {ada['contactid']}", *EVER) == {}
    assert await figures.read(organization, f"contact {bob['contactid']}", *EVER) != {}


async def test_mail_to_several_people_loses_all_hits_and_keeps_the_others_names(organization):
    ada, bob = await a_contact(organization), await a_contact(organization, fullname="Bob")
    email_id = await sent_to(organization, as_party(0, TO, ada), as_party(1, CC, bob), sent=SENT)
    await opened(organization, email_id, SENT)
    await erased(organization, ada)
    found = await mail_of(organization, email_id)
    assert found.interactions == ()
    assert [party["_name"] for party in found.parties] == [erasing.ERASED_NAME, "Bob"]
    assert found.parties[1]["addressused"] == bob["emailaddress1"]
    assert "torecipients" not in found.email


async def test_nothing_comes_anew_and_the_record_stays_unless_asked_for(organization):
    ada = await a_contact(organization)
    email_id = await sent_to(organization, as_party(0, TO, ada), sent=SENT)
    await erased(organization, ada)
    assert await opened(organization, email_id, SENT) == 0
    record = await contact_of(organization, ada["contactid"])
    assert (record["fullname"], record["followemail"]) == ("Ada Lovelace", False)
    twin = await a_contact(organization, ada["emailaddress1"])
    other = await sent_to(organization, as_party(0, TO, twin), sent=SENT)
    assert await opened(organization, other, SENT) == 0


async def test_hits_that_a_fold_left_behind_go_with_the_next_hit(organization):
    ada = await a_contact(organization)
    email_id = await sent_to(organization, as_party(0, TO, ada), sent=SENT)
    await opened(organization, email_id, SENT)
    [stray] = (await mail_of(organization, email_id)).interactions
    await erased(organization, ada)
    await organization.tables.apply(organization.emails, Operation("put", stray))
    assert await opened(organization, email_id, SENT) == 0


async def test_mail_that_was_not_sent_yet_cannot_reach_them_and_one_on_its_way_is_waited_for(organization):
    ada = await a_contact(organization)
    draft = await sent_to(organization, as_party(0, TO, ada), sent=SENT, statuscode=1)
    moving = await sent_to(organization, as_party(0, TO, ada), sent=SENT, statuscode=7)
    await erasing.start(organization, "contact", ada["contactid"], LATER)
    [work] = queued(organization)
    assert await erasing.erase(organization, work, LATER) == timedelta(minutes=1)
    gone = {"PartitionKey": moving, "RowKey": "email", "statuscode": 3}
    await organization.tables.apply(organization.emails, Operation("merge", gone, "*"))
    assert await erasing.erase(organization, work, LATER) is None
    for email_id in (draft, moving):
        assert "addressused" not in (await mail_of(organization, email_id)).parties[0]


async def test_it_goes_on_slice_by_slice_and_says_how_far_it_is(organization):
    ada = await a_contact(organization)
    for _ in range(3):
        await sent_to(organization, as_party(0, TO, ada), sent=SENT)
    started = await erasing.start(organization, "contact", ada["contactid"], LATER)
    assert (started.status, started.percent) == ("Queued", 0)
    assert await erased(organization, ada, budget=0.0) > 1
    done = await erasing.start(organization, "contact", ada["contactid"], LATER)
    assert (done.status, done.percent, done.emails) == ("Done", 100, 3), "whoever asks how far it is begins nothing"
    again = await erasing.start(organization, "contact", ada["contactid"], LATER + timedelta(minutes=11))
    assert again.status == "Queued", "what was done can be done again"


async def test_the_record_can_be_erased_too_right_after_the_rest(organization):
    ada = await a_contact(organization)
    await erased(organization, ada)
    more = await erasing.start(organization, "contact", ada["contactid"], LATER, delete_record=True)
    assert more.status == "Queued"


async def test_a_record_that_was_to_go_too_while_the_last_of_it_was_done_goes_all_the_same(organization):
    ada = await a_contact(organization)
    await erased(organization, ada)
    await records.merge(organization, "erasure", f"contact {ada['contactid']}", {"deleterecord": True})
    await erased(organization, ada, delete_record=True)
    assert await records.get(organization, "contact", ada["contactid"]) is None
    done = await erasing.start(organization, "contact", ada["contactid"], LATER, delete_record=True)
    assert done.status == "Done"


async def test_every_old_link_still_lands(organization):
    ada = await a_contact(organization)
    party = as_party(0, TO, ada)
    email_id = await sent_to(organization, party, sent=SENT)
    await with_settings(organization, ee_retentiondays=1)
    await erased(organization, ada, delete_record=True)
    targets = {"c": "https://example.com/0", "a": "https://files.example/1", "o": ""}
    for kind, target in targets.items():
        token = Token(1, organization.name, TokenKind(kind), UUID(email_id), 0, 0, target)
        function = {"c": recipients.link, "a": recipients.attachment, "o": recipients.pixel}[kind]
        request = func.HttpRequest(
            "GET",
            "http://127.0.0.1/",
            headers={},
            body=b"",
            route_params={"rest": mint(token, settings().token_secrets)},
        )
        answer = await function._function.get_user_function()(request)
        assert answer.status_code == (302 if target else 200)
        assert answer.headers.get("Location", "") == target
    assert (await ask(token_of(organization, email_id, party))).status_code == 200


# Through the Web API


def target(contact):
    return {"Target": {"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": contact["contactid"]}}


async def test_only_an_administrator_erases_and_exports(organization, seller, manager, administrator):
    ada = await a_contact(organization)
    for action in ("ee_ErasePerson", "ee_ExportPerson"):
        for client in (seller, manager):
            assert (await client.post(action, target(ada))).status == 403
        nobody = {"Target": {"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": str(uuid.uuid4())}}
        assert (await administrator.post(action, nobody)).status == 404
        wrong = {"Target": {"@odata.type": "Microsoft.Dynamics.CRM.systemuser", "systemuserid": str(uuid.uuid4())}}
        assert (await administrator.post(action, wrong)).status == 400
    answer = await administrator.post("ee_ErasePerson", {**target(ada), "DeleteRecord": "yes"})
    assert answer.status == 400
    answer = await administrator.post("ee_ErasePerson", target(ada))
    assert (answer.status, answer.json["Status"], answer.json["PercentComplete"]) == (200, "Queued", 0)
    assert [work["person"] for work in queued(organization)] == [f"contact {ada['contactid']}"]


async def test_an_export_holds_everything_about_them_and_nothing_about_others(organization, administrator):
    consent: dict[str, Any] = {"ee_consent": GRANTED, "ee_consentedon": "2026-10-01T00:00:00Z", **PROOF}
    ada, bob = await a_contact(organization, **consent), await a_contact(organization, fullname="Bob")
    email_id = await sent_to(organization, as_party(0, TO, ada), as_party(1, TO, bob), sent=SENT)
    alone = await sent_to(organization, as_party(0, TO, ada), sent=SENT)
    other = await sent_to(organization, as_party(0, TO, bob), sent=SENT)
    for one in (email_id, alone, other):
        await opened(organization, one, SENT)
    received, _ = await with_reply(organization, alone, ada)
    await records.put(organization, "actioncard", card_of(email_id, "reply"), {"title": "Carol replied"})
    await brought_up_to_date(organization, LATER)
    await administrator.patch(f"contacts({ada['contactid']})", {"ee_consent": 3, "ee_consentmethod": "by phone"})
    answer = await administrator.post("ee_ExportPerson", target(ada))
    assert answer.status == 200, answer.body
    found = orjson.loads(answer.json["Document"])
    assert found["record"]["emailaddress1"] == ada["emailaddress1"]
    assert [row["ee_consentmethod"] for row in found["consenthistory"]] == ["by phone"]
    assert [ending["why"] for ending in found["followingended"]] == ["withdrawn"]
    by_id = {email["activityid"]: email for email in found["emails"]}
    assert by_id.keys() == {email_id, alone, received}
    assert by_id[email_id]["severalrecipients"] is True
    assert {row["interactiontype"] for row in by_id[alone]["interactions"]} == {0, 3}
    assert found["readingtimes"]
    assert found["figures"]
    assert len(found["cards"]) == 2
    assert by_id[email_id]["torecipients"] == by_id[received]["sender"] == ada["emailaddress1"]
    told = orjson.dumps([{**email, "interactions": []} for email in found["emails"]]).decode()
    assert not [trace for trace in ("Bob", bob["emailaddress1"]) if trace in told]
    assert "Carol" not in answer.json["Document"]


async def test_nobody_is_exported_who_is_not_there(organization):
    with pytest.raises(Missing):
        await person_export.export(organization, "lead", str(uuid.uuid4()), LATER)
