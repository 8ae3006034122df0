"""Withdrawing by the link in a mail: the page, what it changes, and mail that went to several people."""

import re
import uuid
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from functions import withdrawal as page
from functions.recipients import NOT_FOUND
from shared.engagement.consent import GRANTED, WITHDRAWN
from shared.engagement.options import BCC, CC, TO
from shared.engagement.withdrawal import HEADERS, address_key
from shared.engagement.withdrawal_words import WORDS
from shared.services import withdrawing
from shared.settings import settings
from shared.storage import consents, emails, queues, records
from shared.storage.account import Unavailable
from tests.delivery_world import SELLER, World, bcc, cc
from tests.journalled_hits import SENT
from tests.standin_fixtures import IGNORED_WARNINGS, standin, world
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

__all__ = ["standin", "world"]

pytestmark = IGNORED_WARNINGS

ON = "2026-11-03T08:00:00Z"


async def withdrawn(organization, contact, email_id, on=ON):
    """Withdraw as the page's queue message does."""
    work = {
        "address": address_key(contact["emailaddress1"]),
        "record": f"contact {contact['contactid']}",
        "email": email_id,
        "on": on,
        "id": str(uuid.uuid4()),
        "language": "en",
    }
    await withdrawing.withdraw(organization, work)
    return work


# The page


async def test_looking_at_the_page_changes_nothing_however_often_and_by_whom(organization):
    ada = await a_contact(organization)
    party = as_party(0, TO, ada)
    email_id = await sent_to(organization, party, sent=SENT)
    for method in ("GET", "HEAD", "GET"):
        answer = await ask(token_of(organization, email_id, party), method)
        assert answer.status_code == 200
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert "set-cookie" not in answer.headers
    assert queued(organization) == []
    assert ada["emailaddress1"] not in answer.get_body().decode()


async def test_a_forged_link_gets_the_branded_page_and_nothing_is_queued(organization):
    path = token_of(organization, str(uuid.uuid4()))
    for forged in (path[:-3] + "abc", "", "x", "A" + path.replace("/", "")):
        answer = await ask(forged, "POST", withdraw="yes")
        assert (answer.status_code, answer.get_body().decode()) == (404, NOT_FOUND)
    assert queued(organization) == []


async def test_a_post_without_the_button_changes_nothing(organization):
    ada = await a_contact(organization)
    path = token_of(organization, str(uuid.uuid4()), as_party(0, TO, ada))
    assert (await ask(path, "POST")).status_code == 400
    assert (await ask(path, "POST", withdraw="y" * 3000)).status_code == 400
    assert queued(organization) == []


async def test_the_button_queues_ids_only(organization):
    ada = await a_contact(organization)
    email_id = str(uuid.uuid4())
    answer = await ask(token_of(organization, email_id, as_party(0, TO, ada)), "POST", withdraw="yes")
    assert (answer.status_code, WORDS["en"].done in answer.get_body().decode()) == (200, True)
    [work] = queued(organization)
    assert (work["work"], work["email"], work["record"]) == ("withdraw", email_id, f"contact {ada['contactid']}")
    assert "@" not in str(work)


async def test_what_the_queue_does_not_take_is_said_plainly(organization, monkeypatch):
    async def down(*_):
        raise Unavailable(503, "ServerBusy")

    monkeypatch.setattr(queues, "send", down)
    ada = await a_contact(organization)
    answer = await ask(token_of(organization, str(uuid.uuid4()), as_party(0, TO, ada)), "POST", withdraw="yes")
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "60"
    assert WORDS["en"].later in answer.get_body().decode()


async def test_one_to_several_people_asks_for_the_address_and_answers_all_alike(organization):
    ada = await a_contact(organization)
    email_id = await sent_to(
        organization, as_party(0, TO, ada), as_party(1, CC, await a_contact(organization)), sent=SENT
    )
    path = token_of(organization, email_id)
    assert 'name="address"' in (await ask(path)).get_body().decode()
    answers = [
        await ask(path, "POST", withdraw="yes", address=address)
        for address in (ada["emailaddress1"], "nobody@elsewhere.example")
    ]
    assert answers[0].get_body() == answers[1].get_body()
    assert [answer.status_code for answer in answers] == [200, 200]
    assert (await ask(path, "POST", withdraw="yes", address="no address")).status_code == 400
    assert [work["work"] for work in queued(organization)] == ["confirm", "confirm"]


async def test_a_program_that_presses_the_button_again_and_again_is_told_to_wait(organization, monkeypatch):
    monkeypatch.setattr(page, "time", SimpleNamespace(monotonic=lambda: 0.0))
    path = token_of(organization, str(uuid.uuid4()))
    answers = [await ask(path, "POST", withdraw="yes", address=f"somebody{n}@elsewhere.example") for n in range(32)]
    assert [answer.status_code for answer in answers] == [200] * 30 + [429] * 2
    assert answers[-1].headers["Retry-After"] == "60"
    other = await ask(token_of(organization, str(uuid.uuid4())), "POST", withdraw="yes", address="a@elsewhere.example")
    assert other.status_code == 200, "other mail goes on"
    assert len(queued(organization)) == 31


# What it changes


async def test_it_ends_following_of_mail_that_was_sent_and_keeps_the_proof(organization):
    ada = await a_contact(organization, ee_consent=GRANTED, ee_consentedon="2026-10-01T00:00:00Z", **PROOF)
    first = await sent_to(organization, as_party(0, TO, ada), sent=SENT)
    assert await opened(organization, first, SENT) == 1
    await withdrawn(organization, ada, first)
    assert await opened(organization, first, SENT, 7200.0) == 1, "what was kept before stays, nothing comes to it"
    record = await contact_of(organization, ada["contactid"])
    assert (record["followemail"], record["ee_consent"], record["ee_consentedon"]) == (False, WITHDRAWN, ON)
    assert first in record["ee_consentmethod"]
    assert WORDS["en"].button in record["ee_consentwording"]
    [kept] = await consents.history(organization, "contact", ada["contactid"])
    assert kept["ee_consentwording"] == record["ee_consentwording"]
    assert (await mail_of(organization, first)).email["ee_followendedon"] == ON


@pytest.mark.parametrize("mask", [TO, CC, BCC])
async def test_it_ends_the_following_of_mail_to_several_whatever_line_they_stand_in(organization, mask):
    ada, bob = await a_contact(organization), await a_contact(organization)
    email_id = await sent_to(organization, as_party(0, TO, bob), as_party(1, mask, ada), sent=SENT)
    await withdrawn(organization, ada, email_id)
    assert await opened(organization, email_id, SENT) == 0


async def test_it_holds_for_the_address_in_other_records_and_letter_cases(organization):
    ada = await a_contact(organization)
    twin = await a_contact(organization, ada["emailaddress1"].upper())
    email_id = await sent_to(organization, as_party(0, TO, twin), sent=SENT)
    await withdrawn(organization, ada, str(uuid.uuid4()))
    assert await opened(organization, email_id, SENT) == 0


async def test_it_needs_neither_the_email_nor_the_record(organization):
    ada = await a_contact(organization)
    email_id = await sent_to(organization, as_party(0, TO, ada), sent=SENT)
    await records.delete(organization, "contact", ada["contactid"])
    await withdrawn(organization, ada, str(uuid.uuid4()))
    assert await opened(organization, email_id, SENT) == 0
    assert len(await consents.history(organization, "contact", ada["contactid"])) == 1


async def test_delivered_twice_it_is_one_withdrawal(organization):
    ada = await a_contact(organization)
    work = await withdrawn(organization, ada, str(uuid.uuid4()))
    await withdrawing.withdraw(organization, work)
    assert len(await consents.history(organization, "contact", ada["contactid"])) == 1


async def test_consent_that_is_granted_again_does_not_widen_the_following_of_old_mail(organization, administrator):
    ada = await a_contact(organization)
    email_id = await sent_to(organization, as_party(0, TO, ada), sent=SENT)
    await withdrawn(organization, ada, email_id)
    granted = await administrator.patch(f"contacts({ada['contactid']})", {"ee_consent": GRANTED, **PROOF})
    assert granted.status == 204
    assert await opened(organization, email_id, SENT) == 0


async def test_what_a_seller_no_longer_allows_ends_following_too(organization, administrator):
    ada = await a_contact(organization)
    email_id = await sent_to(organization, as_party(0, TO, ada), sent=SENT)
    for allowed in (False, True):
        assert (await administrator.patch(f"contacts({ada['contactid']})", {"followemail": allowed})).status == 204
    assert await opened(organization, email_id, SENT) == 0


# From mail to mail, at the Microsoft 365 stand-in


def link_in(html):
    """Return the token of the link to withdraw by."""
    [path] = re.findall(re.escape(settings().base_url) + r"/w/([^\"'>\s]+)", html)
    return path


async def delivered(world, *to):
    mail = await world.write(*to)
    await world.send(mail)
    await world.deliver(mail)
    return mail, (await world.partition(mail)).email


async def test_mail_has_the_link_where_the_organization_says_so_or_demands_consent(world: World):
    ann = await world.contact(ee_consent=GRANTED, ee_consentedon="2026-10-01T00:00:00Z", **PROOF)
    await delivered(world, ann)
    assert "/w/" not in (await world.arrived(ann))[0]["body"]["content"]
    for settings_of in ({"ee_withdrawallink": True, "ee_withdrawaltext": "Nicht verfolgen"}, {"ee_consentmode": 1}):
        world.organization = await with_settings(world.organization, **settings_of)
        await delivered(world, ann)
        html = (await world.arrived(ann))[0]["body"]["content"]
        assert "Nicht verfolgen" in html
        assert html.index("/w/") < html.index("/o/")
        assert (await ask(link_in(html))).status_code == 200


async def test_with_prior_consent_only_mail_to_those_who_granted_it_is_followed(world: World):
    world.organization = await with_settings(world.organization, ee_consentmode=1)
    asked = {"ee_consent": GRANTED, "ee_consentedon": "2026-10-01T00:00:00Z", **PROOF}
    ann, bob = await world.contact("Ann", **asked), await world.contact("Bob")
    _, followed = await delivered(world, ann)
    assert (followed["isemailfollowed"], followed["_consented"]) == (True, True)
    _, email = await delivered(world, ann, cc(bob))
    assert (email["isemailfollowed"], email["ee_followreason"]) == (False, "Bob has not consented to following")
    _, email = await delivered(world, await world.contact("Cid", **{**asked, "followemail": False}))
    assert email["ee_followreason"] == "Cid does not allow following"


async def test_a_failing_look_up_sends_untracked(world: World, monkeypatch):
    async def fail(*_):
        raise Unavailable(503, "ServerBusy")

    ann = await world.contact("Ann")
    mail = await world.write(ann)
    await world.send(mail)
    monkeypatch.setattr(consents, "restrictions_of", fail)
    await world.deliver(mail)
    email = (await world.partition(mail)).email
    assert (email["statuscode"], email["isemailfollowed"]) == (3, False)
    assert email["ee_followreason"] == "whether Ann allows following could not be looked up"
    assert "/o/" not in (await world.arrived(ann))[0]["body"]["content"]


async def test_mail_sent_before_consent_was_demanded_is_not_followed_any_more(organization):
    email_id = await sent_to(organization, as_party(0, TO, await a_contact(organization)), sent=SENT)
    prior = await with_settings(organization, ee_consentmode=1)
    assert await opened(prior, email_id, SENT) == 0
    await with_settings(organization, ee_consentmode=0)
    assert await opened(organization, email_id, SENT, 7200.0) == 0, "and not when the mode is taken back"


async def test_after_a_withdrawal_new_mail_is_not_followed_until_consent_is_granted_anew(world: World):
    ann = await world.contact("Ann")
    contact = {"contactid": ann.id, "emailaddress1": await world.address_of(ann)}
    await withdrawn(world.organization, contact, str(uuid.uuid4()))
    _, email = await delivered(world, ann)
    assert email["ee_followreason"] == "Ann does not allow following"
    await records.merge(world.organization, "contact", ann.id, {"followemail": True, "ee_consent": 0})
    _, email = await delivered(world, ann)
    assert email["ee_followreason"] == "Ann has withdrawn from following", "a seller's switch is no consent"
    other = {"emailaddress1": f"ann-{uuid.uuid4().hex[:8]}@northwind.example"}
    await records.merge(world.organization, "contact", ann.id, other)
    _, email = await delivered(world, ann)
    assert email["ee_followreason"] == "Ann has withdrawn from following", "at whatever address"
    await records.merge(world.organization, "contact", ann.id, {"emailaddress1": contact["emailaddress1"]})
    bob = await world.contact("Bob")
    _, email = await delivered(world, bob, bcc(ann))
    assert email["isemailfollowed"] is False
    granted = {"ee_consent": GRANTED, "ee_consentedon": "2026-11-04T08:00:00Z", "followemail": True, **PROOF}
    await records.merge(world.organization, "contact", ann.id, granted)
    mail, email = await delivered(world, ann)
    assert email["isemailfollowed"] is True
    assert await opened(world.organization, mail, datetime.now(UTC)) == 1
    await withdrawn(world.organization, contact, mail)
    assert await opened(world.organization, mail, datetime.now(UTC), 7200.0) == 1


async def test_consent_that_was_granted_before_a_withdrawal_does_not_overrule_it(world: World):
    address = f"ada-{uuid.uuid4().hex[:8]}@northwind.example"
    granted = {"ee_consent": GRANTED, "ee_consentedon": "2026-10-01T00:00:00Z", **PROOF}
    twin = await world.contact("Twin", emailaddress1=address, **granted)
    await withdrawn(world.organization, await a_contact(world.organization, address), str(uuid.uuid4()))
    _, email = await delivered(world, twin)
    assert email["ee_followreason"] == "Twin has withdrawn from following"


async def test_an_address_that_got_the_mail_is_sent_a_link_that_withdraws(world: World):
    world.organization = await with_settings(world.organization, ee_withdrawallink=True)
    ann, bob = await world.contact("Ann"), await world.contact("Bob")
    mail, _ = await delivered(world, ann, cc(bob))
    html = (await world.arrived(ann))[0]["body"]["content"]
    address = await world.address_of(bob)
    await ask(link_in(html), "POST", withdraw="yes", address=address.upper())
    [work] = queued(world.organization)
    now = datetime(2026, 11, 3, 8, 0, tzinfo=UTC)
    assert await withdrawing.confirm(world.organization, work, now) is None
    message = (await world.arrived(bob))[0]
    assert message["subject"] == WORDS["en"].subject
    assert len(await world.arrived(ann)) == 1, "nobody else hears of it"
    confirming = link_in(message["body"]["content"])
    assert 'name="address"' not in (await ask(confirming)).get_body().decode()
    assert (await contact_of(world.organization, bob.id))["followemail"] is True
    await ask(confirming, "POST", withdraw="yes")
    [work] = queued(world.organization)
    await withdrawing.withdraw(world.organization, work)
    assert (await contact_of(world.organization, bob.id))["followemail"] is False
    assert (await contact_of(world.organization, ann.id))["followemail"] is True
    assert await opened(world.organization, mail, datetime.now(UTC)) == 0


@pytest.mark.parametrize("mailbox", [SELLER.id, SELLER.address, "manager@contoso.example"])
async def test_the_link_to_confirm_comes_from_the_senders_mailbox_whatever_the_mail_kept(world: World, mailbox: str):
    world.organization = await with_settings(world.organization, ee_withdrawallink=True)
    ann, bob = await world.contact("Ann"), await world.contact("Bob")
    mail, _ = await delivered(world, ann, cc(bob))
    await emails.commit(world.organization, (await world.partition(mail)).email, {"_mailbox": mailbox})
    html = (await world.arrived(ann))[0]["body"]["content"]
    await ask(link_in(html), "POST", withdraw="yes", address=await world.address_of(bob))
    [work] = queued(world.organization)
    assert await withdrawing.confirm(world.organization, work, datetime(2026, 11, 3, 8, 0, tzinfo=UTC)) is None
    sent = [request for request in await world.requests() if "/sendMail" in request]
    assert sent == [f"POST /v1.0/users/{SELLER.id}/sendMail"]


async def test_nobody_is_asked_to_confirm_who_did_not_get_the_mail_or_was_asked_just_now(world: World):
    ann, bob, other = await world.contact("Ann"), await world.contact("Bob"), await world.contact("Other")
    mail, _ = await delivered(world, ann, cc(bob))
    now = datetime(2026, 11, 3, 8, 0, tzinfo=UTC)

    async def asks(party, minutes):
        key = address_key(await world.address_of(party))
        work = {"address": key, "email": mail, "language": "en"}
        await withdrawing.confirm(world.organization, work, now + timedelta(minutes=minutes))
        return len([m for m in await world.arrived(party) if m["subject"] == WORDS["en"].subject])

    assert await asks(other, 0) == 0
    assert [await asks(ann, minutes) for minutes in (0, 5, 10, 20, 60, 24 * 60 + 1)] == [1, 1, 2, 3, 3, 4]
    await withdrawing.forget_asked(world.organization, now + timedelta(days=3))
    assert [row async for page in records.query(world.organization, "withdrawal mail") for row in page] == []


async def test_a_confirmation_that_may_not_have_left_is_sent_again_within_the_limits(world: World):
    ann, bob = await world.contact("Ann"), await world.contact("Bob")
    mail, _ = await delivered(world, ann, cc(bob))
    work = {"address": address_key(await world.address_of(bob)), "email": mail, "language": "en"}
    now = datetime(2026, 11, 3, 8, 0, tzinfo=UTC)
    await world.break_calls("/sendMail", 500)
    again = await withdrawing.confirm(world.organization, work, now)
    assert again == withdrawing.APART
    assert await withdrawing.confirm(world.organization, work, now + again) is None
    assert (await world.arrived(bob))[0]["subject"] == WORDS["en"].subject
    await world.break_calls("/sendMail", 500)
    assert await withdrawing.confirm(world.organization, work, now + 2 * again) == again
    assert await withdrawing.confirm(world.organization, work, now + 3 * again) is None, "three a day at most"


async def test_a_throttled_confirmation_comes_later_and_is_not_counted(world: World):
    ann, bob = await world.contact("Ann"), await world.contact("Bob")
    mail, _ = await delivered(world, ann, cc(bob))
    work = {"address": address_key(await world.address_of(bob)), "email": mail, "language": "en"}
    await world.break_calls("/sendMail", 429, retryAfter=7)
    now = datetime(2026, 11, 3, 8, 0, tzinfo=UTC)
    assert await withdrawing.confirm(world.organization, work, now) == timedelta(seconds=7)
    assert await withdrawing.confirm(world.organization, work, now) is None
    assert (await world.arrived(bob))[0]["subject"] == WORDS["en"].subject
