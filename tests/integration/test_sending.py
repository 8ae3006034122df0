"""From SendEmail to the recipients' mailboxes: on real storage, through the SDK, at the Microsoft 365 stand-in."""

import base64
import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from shared.engagement.clipping import SHOWN
from shared.engagement.options import SENDER, TO
from shared.engagement.times import iso_seconds, milliseconds
from shared.engagement.tokens import Token, TokenKind, verify
from shared.services import composing, delivering, sending
from shared.services.attaching import Attachment
from shared.services.caller import Caller
from shared.services.errors import Missing, Refused
from shared.services.parties import Party
from shared.services.rights import Denied
from shared.services.sending import send_email
from shared.settings import settings
from shared.storage import agenda, blobs, emails, records
from shared.storage.tables import Operation
from tests.delivery_world import BODY, CALLER, MANAGER, PNG, SELLER, TENANT, Clock, World, bcc, cc, stranger
from tests.standin_fixtures import IGNORED_WARNINGS, standin, world

__all__ = ["standin", "world"]

pytestmark = IGNORED_WARNINGS

PRICES = Attachment("Prices.pdf", "application/pdf", b"%PDF-1.7 prices")
TERMS = Attachment("Terms.pdf", "application/pdf", b"%PDF-1.7 terms")
LOGO = Attachment("logo.png", "image/png", PNG, content_id="logo@contoso")


def tokens_in(html: str) -> list[Token]:
    """Return what the addresses of ours in a body say, in order."""
    paths = re.findall(re.escape(settings().base_url) + r"/[oica]/([^\"'>\s]+)", html)
    found = [verify(path, settings().token_secrets) for path in paths]
    assert None not in found
    return [token for token in found if token is not None]


async def entries(world: World, until: datetime) -> list[agenda.Entry]:
    """Return this organization's agenda up to a time."""
    return [
        entry
        async for page in agenda.due(until)
        for entry in page
        if entry.organization == world.organization.name and entry.kind == "deliver"
    ]


async def sent(world: World, *to: Party, **draft: Any) -> str:
    """Write, send and deliver an email."""
    mail = await world.write(*to, **draft)
    await world.send(mail)
    assert await world.deliver(mail) == []
    return mail


# SendEmail


async def test_send_email_makes_it_pending_send_and_hands_it_to_the_queue(world: World):
    ann = await world.contact()
    mail = await world.write(ann)
    await world.send(mail)
    email = (await world.partition(mail)).email
    assert (email["statecode"], email["statuscode"]) == (1, 6)
    assert email["torecipients"] == await world.address_of(ann)
    assert email["sender"] == SELLER.address
    assert world.messages() == [{"organization": world.organization.name, "email": mail}]


async def test_the_agenda_sends_it_a_minute_later_should_the_message_be_lost(world: World):
    mail = await world.write(await world.contact())
    clock = Clock()
    await world.send(mail, clock)
    [entry] = await entries(world, clock() + timedelta(minutes=1))
    assert entry.email == mail
    assert await entries(world, clock()) == []


async def test_a_later_time_is_entered_in_the_agenda_and_waited_for(world: World):
    clock = Clock(datetime(2031, 5, 6, 12, 0, tzinfo=UTC))
    later = clock() + timedelta(hours=3)
    mail = await world.write(await world.contact(), delayedemailsendtime=iso_seconds(milliseconds(later)))
    await world.send(mail, clock)
    assert world.messages() == []
    assert [entry.due for entry in await entries(world, later)] == [later]
    assert await world.deliver(mail, clock) == []
    assert (await world.partition(mail)).email["statuscode"] == 6
    clock.now = later - timedelta(seconds=20)
    assert await world.deliver(mail, clock) == [20.0]
    assert (await world.partition(mail)).email["statuscode"] == 3


async def test_who_pressed_send_is_kept_as_a_hash_only(world: World):
    mail = await world.write(await world.contact())
    await world.send(mail)
    stored = str((await world.partition(mail)).email)
    assert (await world.partition(mail)).email["_sendersource"]
    assert CALLER.address not in stored
    assert CALLER.user_agent not in stored


async def test_the_reason_why_it_is_not_followed_names_the_party(world: World):
    mail = await world.write(await world.contact("Ann"), cc(await world.contact("Bob", followemail=False)))
    await world.send(mail)
    email = (await world.partition(mail)).email
    assert email["isemailfollowed"] is False
    assert email["ee_followreason"] == "Bob does not allow following"


async def test_an_email_is_sent_once(world: World):
    mail = await sent(world, await world.contact())
    with pytest.raises(Refused, match="is Sent, not a Draft"):
        await world.send(mail)


async def test_an_email_that_does_not_exist_is_missing(world: World):
    with pytest.raises(Missing):
        await world.send(str(uuid.uuid4()))


async def test_only_its_owner_or_a_manager_sends_it(world: World):
    mail = await world.write(await world.contact())
    other = Caller(MANAGER.id, "", "", frozenset({"Seller"}))
    with pytest.raises(Denied):
        await send_email(world.organization, mail, other, Clock()())
    await send_email(world.organization, mail, replace(other, roles=frozenset({"Manager"})), Clock()())


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"emailaddress1": None}, "Ann has no email address"),
        ({"emailaddress1": "ann at northwind"}, "address of the recipient Ann is not valid"),
        ({"emailaddress1": "ann@northwind.example,eve@evil.example"}, "address of the recipient Ann is not valid"),
        ({"donotemail": True}, "Ann does not want to get email"),
    ],
)
async def test_a_recipient_who_cannot_be_written_to_is_named(world: World, columns: dict[str, Any], words: str):
    mail = await world.write(await world.contact("Ann", **columns))
    with pytest.raises(Refused, match=words):
        await world.send(mail)
    assert (await world.partition(mail)).email["statuscode"] == 1
    assert world.messages() == []


async def test_a_recipient_whose_record_is_gone_is_named(world: World):
    ann = await world.contact("Ann")
    mail = await world.write(ann)
    await records.delete(world.organization, "contact", ann.id)
    with pytest.raises(Refused, match="Ann does not exist any more"):
        await world.send(mail)


async def test_an_address_added_to_the_record_after_writing_is_used(world: World):
    ann = await world.contact("Ann", emailaddress1=None)
    mail = await world.write(ann)
    await records.merge(world.organization, "contact", ann.id, {"emailaddress1": "ann-late@northwind.example"})
    await world.send(mail)
    await world.deliver(mail)
    assert len(await world.arrived("ann-late@northwind.example")) == 1


async def test_somebody_without_a_record_is_written_to_unless_the_organization_forbids_it(world: World):
    eve = stranger()
    await sent(world, eve)
    assert len(await world.arrived(eve)) == 1
    mail = await world.write(stranger(name="Eve"))
    strict = {**world.organization.settings, "allowunresolvedpartiesonemailsend": False}
    world.organization = replace(world.organization, settings=strict)
    with pytest.raises(Refused, match="Eve is not resolved"):
        await world.send(mail)


async def test_an_email_without_recipients_is_refused(world: World):
    mail = await world.write()
    with pytest.raises(Refused, match="no recipient"):
        await world.send(mail)


async def test_a_queue_cannot_be_the_sender(world: World):
    await records.put(world.organization, "queue", queue := str(uuid.uuid4()), {"name": "Support"})
    mail = await world.write(await world.contact(), sender=Party(SENDER, "queue", queue))
    with pytest.raises(Refused, match="Support is a queue"):
        await world.send(mail)


async def test_a_sender_without_an_address_is_named(world: World):
    await records.put(world.organization, "systemuser", SELLER.id, {"fullname": "Sella Seller"})
    mail = await world.write(await world.contact())
    with pytest.raises(Refused, match="Sella Seller has no valid internalemailaddress"):
        await world.send(mail)


async def test_an_incoming_email_cannot_be_sent(world: World):
    mail = await world.write(await world.contact(), directioncode=False)
    with pytest.raises(Refused, match="incoming"):
        await world.send(mail)


async def test_what_is_larger_than_the_limit_is_refused_and_following_a_file_makes_it_fit(world: World):
    world.organization = replace(
        world.organization, settings={**world.organization.settings, "message_size_limit": 12_000}
    )
    large = Attachment("Large.bin", "application/octet-stream", bytes(9_000))
    mail = await world.write(ann := await world.contact(), attachments=[large])
    with pytest.raises(Refused, match="at most 12,000"):
        await world.send(mail)
    await sent(world, ann, attachments=[large], followed=["Large.bin"])


@pytest.mark.parametrize("size", [0, 1, 56, 57, 58, 1000])
def test_the_size_on_the_way_counts_lines_of_base64(size: int):
    encoded = base64.encodebytes(bytes(size)).replace(b"\n", b"\r\n")
    counted = sending.size_on_the_way("é", [{"filesize": size}]) - 2
    assert len(encoded) <= counted < len(encoded) + 78


# A followed mail


async def test_a_followed_mail_arrives_with_redirects_and_a_pixel_and_is_recorded(world: World):
    ann = await world.contact()
    mail = await sent(world, ann)
    [message] = await world.arrived(ann)
    html = message["body"]["content"]
    link, pixel = tokens_in(html)
    assert (link.kind, link.email, link.item, link.party) == (TokenKind.LINK, UUID(mail), 0, 1)
    assert link.target == "https://contoso.example/offer?a=1&copy=2"
    assert (pixel.kind, pixel.email) == (TokenKind.OPEN, UUID(mail))
    assert html.startswith('<html><body>\r\n<p>Our <a href="') and html.endswith("</body></html>")
    partition = await world.partition(mail)
    email = partition.email
    assert (email["statecode"], email["statuscode"]) == (1, 3)
    assert email["senton"] == message["sentDateTime"]
    assert email["messageid"] == message["internetMessageId"]
    assert email["deliveryattempts"] == 1
    assert "_sentbody" not in email
    assert [(row["item"], row["target"], row["text"]) for row in partition.links] == [(0, link.target, "offer")]


async def test_a_mail_that_following_makes_longer_than_gmail_shows_says_so(world: World):
    ann = await world.contact()
    link = '<p><a href="https://contoso.example/offer">offer</a></p>'
    mail = await sent(world, ann, body=f"<html><body>{link * 1000}</body></html>")
    [message] = await world.arrived(ann)
    html = message["body"]["content"]
    assert html.index("/o/") < SHOWN < len(html)
    assert [token.kind for token in tokens_in(html)].count(TokenKind.LINK) == 1000, "each is followed all the same"
    note = (await world.partition(mail)).email["ee_lengthnote"]
    assert note.startswith("Following makes it ") and "56 kB without: Gmail shows 102 kB" in note
    assert (await world.partition(await sent(world, ann))).email.get("ee_lengthnote") is None


async def test_replies_find_the_email_by_conversation_and_message_id(world: World):
    mail = await sent(world, await world.contact())
    email = (await world.partition(mail)).email
    for table, key in (("conversation", email["_conversation"]), ("message", email["messageid"])):
        found = await records.get(world.organization, table, records.hashed_key(key))
        assert found is not None and found["email"] == mail


async def test_the_mailbox_is_read_from_the_first_followed_send_on(world: World):
    await sent(world, await world.contact(), follow=False)
    assert await records.get(world.organization, "mailbox", SELLER.id) is None
    await sent(world, await world.contact())
    found = await records.get(world.organization, "mailbox", SELLER.id)
    assert found is not None and found["address"] == SELLER.address


async def test_tokens_name_nobody_where_several_got_the_mail(world: World):
    ann, bob = await world.contact("Ann"), await world.contact("Bob")
    await sent(world, ann, bcc(bob))
    for party in (ann, bob):
        [message] = await world.arrived(party)
        assert {token.party for token in tokens_in(message["body"]["content"])} == {None}
        assert str(await world.address_of(bob)) not in str(message["toRecipients"] + message["ccRecipients"])


async def test_inline_images_are_hosted_and_not_attached(world: World):
    data = "data:image/png;base64," + base64.b64encode(PNG).decode()
    body = f'<p><img src="cid:logo@contoso"><img src="{data}"><img src="cid:logo@contoso"></p>'
    ann = await world.contact()
    mail = await sent(world, ann, body=body, attachments=[LOGO, PRICES])
    [message] = await world.arrived(ann)
    first, second, again, _ = tokens_in(message["body"]["content"])
    assert (first.kind, first.item, second.item, again.item) == (TokenKind.IMAGE, 0, 1, 0)
    assert [attachment["name"] for attachment in message["attachments"]] == ["Prices.pdf"]
    for item in (0, 1):
        assert await blobs.get(world.organization, emails.image_blob(mail, item)) == PNG
    assert [row["mimetype"] for row in (await world.partition(mail)).images] == ["image/png", "image/png"]


@pytest.mark.parametrize(
    "also", ["<p style=\"background:url('cid:logo%40contoso')\">", '<img src=x srcset="CID:logo@contoso, y 2x">']
)
async def test_an_inline_image_that_more_than_an_image_shows_travels_too(world: World, also: str):
    ann = await world.contact()
    await sent(world, ann, body=f'<img src="cid:logo@contoso">{also}', attachments=[LOGO])
    [message] = await world.arrived(ann)
    assert tokens_in(message["body"]["content"])[0].kind is TokenKind.IMAGE
    assert also in message["body"]["content"]
    assert [attachment["contentId"] for attachment in message["attachments"]] == ["logo@contoso"]


async def test_what_is_no_image_stays_as_it_is_and_attached(world: World):
    fake = Attachment("fake.png", "image/png", b"<svg onload=alert(1)>", content_id="fake")
    body = '<img src="cid:fake"><img src="data:image/svg+xml,%3Csvg%3E"><img src="cid:nothing">'
    ann = await world.contact()
    await sent(world, ann, body=body, attachments=[fake])
    [message] = await world.arrived(ann)
    assert message["body"]["content"].startswith(body)
    [attached] = message["attachments"]
    assert (attached["name"], attached["isInline"], attached["contentId"]) == ("fake.png", True, "fake")


async def test_a_followed_file_is_a_link_of_ours_to_onedrive_and_the_others_are_attached(world: World):
    ann = await world.contact()
    mail = await sent(world, ann, attachments=[PRICES, TERMS], followed=["Prices.pdf"])
    [message] = await world.arrived(ann)
    assert [attachment["name"] for attachment in message["attachments"]] == ["Terms.pdf"]
    [token] = [token for token in tokens_in(message["body"]["content"]) if token.kind is TokenKind.ATTACHMENT]
    row = next(row for row in (await world.partition(mail)).attachments if row["isfollowed"])
    assert (token.item, token.target) == (row["_item"], row["anonymouslink"])
    assert "Prices.pdf" in message["body"]["content"]
    assert row["anonymouslink"] not in message["body"]["content"]
    async with world.http.get(row["anonymouslink"]) as answer:
        assert await answer.read() == PRICES.content


async def test_where_links_are_forbidden_the_file_is_attached_and_says_why(world: World):
    await world.call("PUT", f"/local/tenants/{TENANT.id}/sharing", {"anonymous": False})
    try:
        ann = await world.contact()
        mail = await sent(world, ann, attachments=[PRICES], followed=["Prices.pdf"])
    finally:
        await world.call("PUT", f"/local/tenants/{TENANT.id}/sharing", {"anonymous": True})
    [message] = await world.arrived(ann)
    [attached] = message["attachments"]
    assert base64.b64decode(attached["contentBytes"]) == PRICES.content
    [row] = (await world.partition(mail)).attachments
    assert "does not allow links" in row["ee_notfollowedreason"]
    assert "anonymouslink" not in row
    assert {token.kind for token in tokens_in(message["body"]["content"])} == {TokenKind.LINK, TokenKind.OPEN}


async def test_a_file_that_can_be_neither_shared_nor_attached_ends_as_failed_and_says_so(world: World):
    limited = {**world.organization.settings, "message_size_limit": 12_000, "isonedriveenabled": True}
    world.organization = replace(world.organization, settings=limited)
    large = Attachment("Large.bin", "application/octet-stream", bytes(9_000))
    mail = await world.write(await world.contact(), attachments=[large], followed=["Large.bin"])
    await world.send(mail)
    await world.break_calls("createLink", 403)
    assert await world.deliver(mail) == []
    email = (await world.partition(mail)).email
    assert (email["statecode"], email["statuscode"]) == (0, 8)
    assert "Large.bin cannot be shared" in email["ee_failurereason"]


async def test_followed_files_go_to_the_drive_that_the_organization_names(world: World):
    drive = {**world.organization.settings, "attachment_drive": MANAGER.address}
    world.organization = replace(world.organization, settings=drive)
    await sent(world, await world.contact(), attachments=[PRICES], followed=["Prices.pdf"])
    [put] = [request for request in await world.requests() if request.startswith("PUT ")]
    assert MANAGER.address in put


async def test_quoted_history_does_not_fire_and_keeps_its_images(world: World):
    ann = await world.contact()
    first = await sent(world, ann, body='<p><a href="https://contoso.example/">x</a><img src="cid:logo@contoso"></p>',
                       attachments=[LOGO])  # fmt: skip
    [message] = await world.arrived(ann)
    quoted = message["body"]["content"]
    second = await sent(world, ann, body=f"<p>Again</p><blockquote>{quoted}</blockquote>")
    html = (await world.arrived(ann))[0]["body"]["content"]
    found = {(token.kind, str(token.email)) for token in tokens_in(html)}
    assert found == {(TokenKind.LINK, first), (TokenKind.QUIET_IMAGE, first), (TokenKind.OPEN, second)}
    assert (await world.partition(second)).images == ()


# An unfollowed mail


async def test_an_unfollowed_mail_arrives_byte_for_byte_with_all_its_attachments(world: World):
    body = '<!doctype html>\r\n<HTML><body bgcolor=white>\t<img src="cid:logo@contoso">&nbsp;é\u2028<a href="https://x.example/?a=1&copy=2">x</a>\n<br/></body>'
    ann = await world.contact()
    mail = await sent(world, ann, body=body, attachments=[LOGO, PRICES], followed=["Prices.pdf"], follow=False)
    [message] = await world.arrived(ann)
    assert message["body"]["content"] == body
    attached = {a["name"]: a for a in message["attachments"]}
    assert base64.b64decode(attached["Prices.pdf"]["contentBytes"]) == PRICES.content
    assert attached["Prices.pdf"]["isInline"] is False
    assert (attached["logo.png"]["isInline"], attached["logo.png"]["contentId"]) == (True, "logo@contoso")
    partition = await world.partition(mail)
    assert (partition.links, partition.images) == ((), ())
    followed = next(row for row in partition.attachments if row.get("ee_notfollowedreason"))
    assert followed["ee_notfollowedreason"] == "the email is not followed"


async def test_a_large_attachment_arrives_as_it_was(world: World):
    content = bytes(range(256)) * 18_000
    ann = await world.contact()
    await sent(world, ann, attachments=[Attachment("Film.bin", "application/octet-stream", content)], follow=False)
    [message] = await world.arrived(ann)
    [attached] = message["attachments"]
    assert base64.b64decode(attached["contentBytes"]) == content


async def test_halves_of_characters_and_control_characters_do_not_stop_a_mail(world: World):
    ann = await world.contact("Ann\r\nBcc: eve@evil.example")
    body = "<p>\ud83d half, \x00 and \U0001f600</p>"
    mail = await world.write(Party(TO, "contact", ann.id), body=body, subject="Two\r\nlines", follow=False)
    await world.send(mail)
    await world.deliver(mail)
    [message] = await world.arrived(ann)
    assert message["body"]["content"] == "<p>\ufffd half, \x00 and \U0001f600</p>"
    assert message["subject"] == "Two  lines"


# What cannot be sent


async def test_a_sender_without_a_mailbox_ends_as_failed_and_is_named(world: World):
    await records.put(
        world.organization, "systemuser", SELLER.id,
        {"fullname": "Sella", "internalemailaddress": "nobody@contoso.example"},
    )  # fmt: skip
    mail = await world.write(await world.contact(), attachments=[PRICES], followed=["Prices.pdf"])
    await world.send(mail)
    await world.call("PUT", f"/local/mailboxes/{SELLER.address}", {"enabled": False})
    assert await world.deliver(mail) == []
    await world.call("PUT", f"/local/mailboxes/{SELLER.address}", {"enabled": True})
    email = (await world.partition(mail)).email
    assert (email["statecode"], email["statuscode"]) == (0, 8)
    assert email["ee_failurereason"] == "nobody@contoso.example has no mailbox in Microsoft 365"


async def test_a_mail_that_failed_can_be_put_right_and_sent_again(world: World):
    ann = await world.contact()
    mail = await world.write(ann, attachments=[PRICES], followed=["Prices.pdf"])
    await world.send(mail)
    await world.break_calls("POST */send", 400, code="ErrorInvalidRecipients")
    await world.deliver(mail)
    assert "does not accept the address" in (await world.partition(mail)).email["ee_failurereason"]
    await composing.change_email(
        world.organization, CALLER, mail, {"followemailuserpreference": False}, body="<p>Better</p>", now=Clock()()
    )
    await world.send(mail)
    await world.deliver(mail)
    [message] = await world.arrived(ann)
    assert message["body"]["content"] == "<p>Better</p>"
    assert [attachment["name"] for attachment in message["attachments"]] == ["Prices.pdf"]
    email = (await world.partition(mail)).email
    assert email["statuscode"] == 3
    assert "ee_failurereason" not in email
    assert (await world.partition(mail)).links == ()


async def test_a_draft_of_a_failed_mail_is_taken_away(world: World):
    mail = await world.write(await world.contact())
    await world.send(mail)
    await world.break_calls("POST */send", 403, code="ErrorSendAsDenied")
    await world.deliver(mail)
    assert [request for request in await world.requests() if request.startswith("DELETE ")]
    assert "Mail.Send" in (await world.partition(mail)).email["ee_failurereason"]


async def test_an_email_taken_back_before_delivery_is_not_sent(world: World):
    ann = await world.contact()
    mail = await world.write(ann)
    await world.send(mail)
    await composing.change_email(world.organization, CALLER, mail, {"statecode": 0, "statuscode": 1}, now=Clock()())
    assert await delivering.deliver(world.organization, mail, Clock()) is None
    assert await world.arrived(ann) == []
    assert await world.requests() == []


async def test_the_largest_body_that_can_be_saved_can_be_sent_with_as_many_redirects_as_fit(world: World):
    ann = await world.contact()
    link = f'<a href="https://contoso.example/{"x" * 1300}">x</a>'
    body = link * (composing.MAX_BODY // (len(link) + 4))
    assert len(body) > 3_000_000
    mail = await sent(world, ann, body=body)
    reasons = [row.get("reason") for row in (await world.partition(mail)).links]
    followed = reasons.count(None)
    assert followed > 500
    assert set(reasons[:followed]) == {None}
    assert set(reasons[followed:]) == {"mail too long: no room for another redirect"}
    [message] = await world.arrived(ann)
    assert len(tokens_in(message["body"]["content"])) == followed + 1


async def test_thousands_of_links_do_not_keep_delivery_busy(world: World):
    ann = await world.contact()
    mail = await sent(world, ann, body='<a href="https://contoso.example/">x</a>' * 5_000)
    links = (await world.partition(mail)).links
    assert sum("item" in row for row in links) == 2_000
    assert len(links) == 2_500


async def test_what_was_written_is_kept_as_it_was(world: World):
    mail = await sent(world, await world.contact())
    assert await emails.read_body(world.organization, (await world.partition(mail)).email) == BODY


# Whose mailbox it leaves from


async def of_graph(world: World) -> set[str]:
    """Return the users whose mailboxes and drives Graph was asked for."""
    paths = [request.partition(" ")[2] for request in await world.requests()]
    return {match[1] for path in paths if (match := re.search(r"/users/([^/]+)", path))}


@pytest.mark.parametrize("column", ["internalemailaddress", "domainname", "both"])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_mail_leaves_from_its_senders_own_mailbox_whatever_addresses_say(world: World, column: str, when: str):
    columns = ["internalemailaddress", "domainname"] if column == "both" else [column]
    another = dict.fromkeys(columns, MANAGER.address)
    ann = await world.contact()
    mail = await world.write(ann, attachments=[PRICES], followed=["Prices.pdf"])
    if when == "before":
        await records.merge(world.organization, "systemuser", SELLER.id, another)
    await world.send(mail)
    await records.merge(world.organization, "systemuser", SELLER.id, another)
    await world.deliver(mail)
    assert await of_graph(world) == {SELLER.id}
    [message] = await world.arrived(ann)
    assert message["from"]["emailAddress"]["address"] == SELLER.address
    email = (await world.partition(mail)).email
    assert (email["sender"], email["_mailbox"]) == (SELLER.address, SELLER.id), "Microsoft 365 says who sent"
    assert await records.get(world.organization, "mailbox", SELLER.id) is not None
    assert await records.get(world.organization, "mailbox", MANAGER.id) is None, "nobody else's mailbox is read"


@pytest.mark.parametrize("address", [SELLER.address, MANAGER.address, "nobody@elsewhere.example"])
async def test_mail_that_an_earlier_version_submitted_by_an_address_leaves_from_its_senders_mailbox(
    world: World, address: str
):
    ann = await world.contact()
    mail = await world.write(ann)
    await world.send(mail)
    await emails.commit(world.organization, (await world.partition(mail)).email, {"_mailbox": address})
    await world.deliver(mail)
    assert await of_graph(world) == {SELLER.id}
    assert len(await world.arrived(ann)) == 1
    email = (await world.partition(mail)).email
    assert (email["statuscode"], email["sender"]) == (3, SELLER.address)


async def test_a_draft_that_an_earlier_version_made_is_found_and_sent_once(world: World):
    ann, clock = await world.contact(), Clock()
    mail = await world.write(ann)
    await world.send(mail, clock)
    await world.break_calls("POST */send", 503, count=1)
    assert await delivering.deliver(world.organization, mail, clock) is not None
    await emails.commit(world.organization, (await world.partition(mail)).email, {"_mailbox": SELLER.address})
    clock.pass_(timedelta(minutes=10))
    await world.deliver(mail, clock)
    assert len(await world.arrived(ann)) == 1
    assert sum(request.endswith("/messages") and request.startswith("POST") for request in await world.requests()) == 1


async def test_mail_of_an_earlier_version_whose_sender_is_no_user_ends_as_failed(world: World):
    mail = await world.write(await world.contact())
    await world.send(mail)
    partition = await world.partition(mail)
    sender = {**partition.parties[0], "partyid": None, "partyid_type": None, "addressused": MANAGER.address}
    changes = {"_mailbox": MANAGER.address}
    await emails.commit(world.organization, partition.email, changes, [Operation("put", sender)])
    await world.deliver(mail)
    email = (await world.partition(mail)).email
    assert (email["statuscode"], email["ee_failurereason"]) == (8, "its sender is not a user: choose a systemuser")
    assert await world.requests() == []


async def test_a_sender_or_submitter_who_was_shut_out_meanwhile_sends_no_more(world: World):
    manager = Caller(MANAGER.id, "", "", frozenset({"Manager"}))
    row = {"fullname": MANAGER.name, "internalemailaddress": MANAGER.address}
    await records.put(world.organization, "systemuser", MANAGER.id, row)
    for shut_out, change, reason in [
        (SELLER.id, {"isdisabled": True}, f"The user {SELLER.name} is disabled"),
        (MANAGER.id, {"isdisabled": True}, f"The user {MANAGER.name} is disabled"),
        (SELLER.id, None, f"The sender {SELLER.name} does not exist any more"),
    ]:
        for user in (SELLER, MANAGER):
            known = {"fullname": user.name, "internalemailaddress": user.address}
            await records.put(world.organization, "systemuser", user.id, known)
        mail = await world.write(await world.contact())
        await send_email(world.organization, mail, manager, Clock()())
        if change is None:
            await records.delete(world.organization, "systemuser", shut_out)
        else:
            await records.merge(world.organization, "systemuser", shut_out, change)
        await world.deliver(mail)
        email = (await world.partition(mail)).email
        assert email["statuscode"] == 8
        assert reason in email["ee_failurereason"]
    assert [request for request in await world.requests() if re.match("POST .*/messages|POST .*/send", request)] == []


async def test_who_lost_a_role_after_sending_for_another_has_sent_it(world: World):
    """Roles are known from tokens only: nothing at the time of delivery says that one was taken."""
    manager = Caller(MANAGER.id, "", "", frozenset({"Manager"}))
    mail = await world.write(ann := await world.contact())
    await send_email(world.organization, mail, manager, Clock()())
    with pytest.raises(Denied):
        other = await world.write(ann)
        await send_email(world.organization, other, replace(manager, roles=frozenset({"Seller"})), Clock()())
    await world.deliver(mail)
    assert len(await world.arrived(ann)) == 1
