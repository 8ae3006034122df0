"""Action cards on real tables: made once, left alone, switched off, and what their owner makes of them."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from shared.engagement.cards import KINDS
from shared.engagement.hits import Kind
from shared.services import alerting, folding
from shared.services.alerting import card_of, raise_card, user_state_of
from shared.storage import emails, queues, records
from shared.storage.account import Unavailable
from shared.storage.organizations import Organization, save_organization
from tests.entra import Issuer
from tests.journalled_hits import CHROME, SENT, a_hit, journalled
from tests.sent_mail import put_sent_email
from tests.unit.making_hits import GMAIL as GMAIL_AGENT
from tests.web_client import Client

LATER = SENT + timedelta(hours=2)
GMAIL = {"user-agent": GMAIL_AGENT}
SNOOZED = "2026-11-03T08:00:00Z"


async def with_settings(organization: Organization, **changed: Any) -> Organization:
    made = dataclasses.replace(organization, settings={**organization.settings, **changed})
    await save_organization(made)
    return made


@pytest_asyncio.fixture
async def telling(organization: Organization) -> AsyncIterator[Organization]:
    """Return an organization that has cards of every kind."""
    yield await with_settings(organization, card_kinds_off=[])


async def folded(organization: Organization, *rows: Any, now: Any = LATER) -> None:
    for partition in await journalled(organization, *rows):
        await folding.fold_partition(organization.name, partition, now)


async def cards(organization: Organization, email_id: str) -> dict[str, dict[str, Any]]:
    """Return an email's cards by their kind's name; every card there is must be one of them."""
    found = {card["actioncardid"]: card async for page in records.query(organization, "actioncard") for card in page}
    named = {kind: found.pop(card_of(email_id, kind), None) for kind in KINDS}
    assert found == {}
    return {kind: card for kind, card in named.items() if card is not None}


async def state(organization: Organization, email_id: str, kind: str) -> str | None:
    email = await emails.get_email(organization, email_id)
    assert email is not None
    return email.get(alerting.state_column(kind))


async def partition_of(organization: Organization, email_id: str) -> emails.EmailPartition:
    found = await emails.read_partition(organization, email_id)
    assert found is not None
    return found


async def an_opened_mail(seller: Client) -> tuple[str, str]:
    """Return a mail of the seller's that was opened, and its card."""
    email_id = await put_sent_email(seller.organization, SENT, owner=seller.user)
    await folded(seller.organization, a_hit(email_id))
    return email_id, card_of(email_id, "firstopen")


# Made once


async def test_twenty_opens_at_the_same_instant_in_twenty_folds_make_one_card(organization: Organization) -> None:
    email_id = await put_sent_email(organization, SENT)
    opens = [a_hit(email_id, address=f"203.0.113.{n}", writer=f"{n:016x}") for n in range(20)]
    partitions = await journalled(organization, *opens)
    assert len(partitions) == 20
    await asyncio.gather(*(folding.fold_partition(organization.name, one, LATER) for one in partitions))
    made = await cards(organization, email_id)
    assert set(made) == {"firstopen"}
    assert made["firstopen"]["title"] == "Ada Lovelace opened Your quote"
    assert await state(organization, email_id, "firstopen") == "raised"
    assert (await partition_of(organization, email_id)).email["opencount"] == 20


async def test_a_card_is_a_whole_row(organization: Organization) -> None:
    email_id = await put_sent_email(organization, SENT)
    await folded(organization, a_hit(email_id))
    card = (await cards(organization, email_id))["firstopen"]
    assert (card["cardtype"], card["priority"], card["state"], card["source"]) == (1001, 1000, 0, 1)
    assert (card["startdate"], card["expirydate"]) == ("2026-11-02T11:30:00Z", "2026-11-16T11:30:00Z")
    assert card["description"] == (
        'Ada Lovelace opened "Your quote" on 02 November 2026 at 10:30 UTC on Outlook on Windows.'
    )
    assert card["data"] == f'{{"actions":[{{"name":"openemail","entity":"email","id":"{email_id}"}}]}}'


async def test_a_card_that_its_owner_dismissed_or_deleted_is_left_alone(organization: Organization) -> None:
    email_id = await put_sent_email(organization, SENT)
    await folded(organization, a_hit(email_id))
    card = card_of(email_id, "firstopen")
    await records.merge(organization, "actioncard", card, {"state": 1})
    await folded(organization, a_hit(email_id, after=5000))
    assert await raise_card(organization, await partition_of(organization, email_id), "firstopen", LATER) == card
    assert (await cards(organization, email_id))["firstopen"]["state"] == 1
    await records.delete(organization, "actioncard", card)
    await folded(organization, a_hit(email_id, after=6000))
    assert await cards(organization, email_id) == {}


async def test_a_hostile_subject_is_plain_text_in_a_card(organization: Organization) -> None:
    subject = "\u202e<script>alert(1)</script>\r\n\x00" + "\U0001f600" * 390
    email_id = await put_sent_email(organization, SENT, subject=subject)
    await folded(organization, a_hit(email_id))
    card = (await cards(organization, email_id))["firstopen"]
    assert card["title"].startswith("Ada Lovelace opened <script>alert(1)</script> \U0001f600")
    assert len(card["title"].encode("utf-16-le")) <= 400


# Clicks and files


async def test_clicks_and_files_make_cards_where_an_organization_wants_them(telling: Organization) -> None:
    email_id = await put_sent_email(telling, SENT, file="Prices.pdf")
    hits = [a_hit(email_id, 3600 + n, kind=Kind.LINK, item=n % 2, headers=CHROME) for n in (0, 200, 400)]
    hits += [a_hit(email_id, 5000 + n, kind=Kind.ATTACHMENT, headers=CHROME) for n in (0, 200)]
    partitions = await journalled(telling, *hits)
    await asyncio.gather(*(folding.fold_partition(telling.name, one, LATER) for one in partitions for _ in range(2)))
    made = await cards(telling, email_id)
    assert set(made) == {"firstclick", "attachmentopened"}
    assert made["firstclick"]["description"] == (
        'Ada Lovelace clicked https://example.com/0 in "Your quote" on 02 November 2026 at 10:30 UTC.'
    )
    assert made["attachmentopened"]["title"] == "Ada Lovelace opened Prices.pdf of Your quote"


async def test_a_machines_clicks_make_no_card(telling: Organization) -> None:
    email_id = await put_sent_email(telling, SENT)
    await folded(
        telling, *(a_hit(email_id, 30, kind=Kind.LINK, item=n, headers={"user-agent": "curl/8"}) for n in (0, 1))
    )
    assert await cards(telling, email_id) == {}


async def test_gmails_fetch_on_delivery_raises_a_card_when_a_click_tells_that_it_was_a_reader(
    telling: Organization,
) -> None:
    email_id = await put_sent_email(telling, SENT, links=4)
    await folded(telling, a_hit(email_id, 4, headers=GMAIL))
    assert await cards(telling, email_id) == {}
    await folded(telling, a_hit(email_id, 3600, kind=Kind.LINK, item=0, headers=CHROME))
    assert set(await cards(telling, email_id)) == {"firstopen", "firstclick"}


async def test_a_click_that_turns_out_a_machines_takes_the_card_of_gmails_fetch_along(telling: Organization) -> None:
    email_id = await put_sent_email(telling, SENT, links=4)
    await folded(telling, a_hit(email_id, 4, headers=GMAIL), a_hit(email_id, 38, kind=Kind.LINK, headers=CHROME))
    assert set(await cards(telling, email_id)) == {"firstopen", "firstclick"}
    await folded(telling, *(a_hit(email_id, 38 + n / 100, kind=Kind.LINK, item=n, headers=CHROME) for n in (1, 2, 3)))
    assert await cards(telling, email_id) == {}


async def test_an_open_that_turns_out_a_machines_takes_its_own_card_along_and_no_other(telling: Organization) -> None:
    email_id = await put_sent_email(telling, SENT, links=4)
    now = SENT + timedelta(minutes=3)
    partition = await partition_of(telling, email_id)
    assert await raise_card(telling, partition, "reminder", now) == card_of(email_id, "reminder")
    await folded(telling, a_hit(email_id, 30, headers=CHROME), now=now)
    assert set(await cards(telling, email_id)) == {"firstopen", "reminder"}
    burst = [a_hit(email_id, 38 + n / 100, kind=Kind.LINK, item=n, headers=CHROME) for n in range(4)]
    await folded(telling, *burst, now=now)
    assert set(await cards(telling, email_id)) == {"reminder"}


async def test_a_fold_that_died_before_it_asked_to_be_woken_asks_again(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    email_id = await put_sent_email(organization, SENT)
    thin = a_hit(email_id, 30, headers={"user-agent": "Dalvik/2.1.0 (Linux; U; Android 14; Pixel 8)", "accept": "*/*"})
    [partition] = await journalled(organization, thin)
    now, sent = SENT + timedelta(seconds=40), []

    async def die(*_: Any) -> None:
        raise Unavailable(0, "Killed")

    async def send(queue: str, message: dict[str, str], delay: timedelta) -> None:
        sent.append((queue, message["email"], delay))

    with monkeypatch.context() as patch:
        patch.setattr(queues, "send", die)
        with pytest.raises(Unavailable):
            await folding.fold_partition(organization.name, partition, now)
    assert await state(organization, email_id, "firstopen") == "held"
    with monkeypatch.context() as patch:
        patch.setattr(queues, "send", send)
        await folding.fold_partition(organization.name, partition, now)
    assert sent == [(queues.FOLD, email_id, timedelta(seconds=80))]


# Switched off


async def test_optional_kinds_are_off_until_an_organization_wants_them(organization: Organization) -> None:
    email_id = await put_sent_email(organization, SENT)
    await folded(organization, a_hit(email_id), a_hit(email_id, kind=Kind.LINK, headers=CHROME))
    assert set(await cards(organization, email_id)) == {"firstopen"}


async def test_no_card_is_made_while_cards_are_switched_off_and_none_comes_later(organization: Organization) -> None:
    for off in ({"isactioncardenabled": False}, {"card_kinds_off": ["firstopen"]}):
        email_id = await put_sent_email(organization, SENT)
        silent = await with_settings(organization, **off)
        await folded(silent, a_hit(email_id))
        assert await raise_card(silent, await partition_of(silent, email_id), "firstopen", LATER) is None
        loud = await with_settings(organization)
        await folded(loud, a_hit(email_id, after=5000))
        assert await cards(loud, email_id) == {}
        assert (await partition_of(loud, email_id)).email["opencount"] == 2


async def test_a_user_switches_kinds_off_for_the_own_mail_only(seller: Client, issuer: Issuer) -> None:
    other = Client(seller.organization, issuer)
    me = f"systemusers({seller.user})"
    assert (await seller.patch(me, {"ee_cardkindsoff": " FirstOpen;reminder;firstopen"})).status == 204
    assert (await seller.get(f"{me}?$select=ee_cardkindsoff")).json["ee_cardkindsoff"] == "firstopen;reminder"
    assert (await other.get("WhoAmI")).status == 200
    mine = await put_sent_email(seller.organization, SENT, owner=seller.user)
    await folded(seller.organization, a_hit(mine))
    assert await cards(seller.organization, mine) == {}
    assert await state(seller.organization, mine, "firstopen") == "off"
    theirs = await put_sent_email(seller.organization, SENT, owner=other.user)
    await folded(seller.organization, a_hit(theirs))
    assert set(await cards(seller.organization, theirs)) == {"firstopen"}
    assert (await seller.patch(me, {"ee_cardkindsoff": None})).status == 204
    _, card = await an_opened_mail(seller)
    assert await records.get(seller.organization, "actioncard", card) is not None


async def test_a_users_switches_are_their_own_and_the_administrators(
    seller: Client, manager: Client, administrator: Client
) -> None:
    me, off = f"systemusers({seller.user})", {"ee_cardkindsoff": "reply"}
    assert (await seller.get(me)).status == 200
    assert (await manager.patch(me, off)).status == 403
    assert (await seller.patch(me, {**off, "title": "Boss"})).status == 403
    assert (await seller.patch(me, {"title": "Boss"})).status == 403
    assert (await seller.send("DELETE", me)).status == 403
    assert (await administrator.patch(me, off)).status == 204
    refused = await seller.patch(me, {"ee_cardkindsoff": "opened"})
    assert refused.status == 400
    assert "'opened'" in refused.error
    assert "firstopen; reminder; failed" in refused.error
    assert (await seller.get(me)).json["ee_cardkindsoff"] == "reply"


async def test_an_administrator_switches_kinds_for_the_organization(seller: Client, administrator: Client) -> None:
    own = f"organizations({seller.organization.id})"
    assert (await seller.get(own)).json["ee_cardkindsoff"] == "firstclick;attachmentopened;reply"
    assert (await seller.patch(own, {"ee_cardkindsoff": None})).status == 403
    refused = await administrator.patch(own, {"ee_cardkindsoff": "reply;snail mail"})
    assert (refused.status, "'snail mail'" in refused.error) == (400, True)
    assert (await administrator.patch(own, {"ee_cardkindsoff": "Reply;failed"})).status == 204
    assert (await seller.get(own)).json["ee_cardkindsoff"] == "reply;failed"
    assert (await administrator.patch(own, {"ee_cardkindsoff": None})).status == 204
    assert (await seller.get(own)).json["ee_cardkindsoff"] is None


# What their owner makes of them


@pytest.mark.parametrize("made", [{"state": 1}, {"state": 2}, {"startdate": SNOOZED}])
async def test_a_card_is_dismissed_completed_and_snoozed_by_its_owner_or_a_manager(
    seller: Client, manager: Client, issuer: Issuer, made: dict[str, Any]
) -> None:
    email_id, card = await an_opened_mail(seller)
    other = Client(seller.organization, issuer)
    assert (await other.patch(f"actioncards({card})", made)).status == 403
    assert (await seller.patch(f"actioncards({card})", made)).status == 204
    await folded(seller.organization, a_hit(email_id, after=6000))
    row = (await manager.get(f"actioncards({card})")).json
    assert {name: row[name] for name in made} == made
    assert (await manager.patch(f"actioncards({card})", {"state": 0})).status == 204
    assert (await other.send("DELETE", f"actioncards({card})")).status == 403


async def test_a_snoozed_card_is_found_by_when_it_is_wanted(seller: Client) -> None:
    _, card = await an_opened_mail(seller)
    await seller.patch(f"actioncards({card})", {"startdate": SNOOZED})
    for at, found in (("2026-11-03T07:59:59Z", []), (SNOOZED, [card])):
        query = f"actioncards?$filter=state eq 0 and startdate le {at} and expirydate ge {at}&$orderby=priority desc"
        assert [row["actioncardid"] for row in (await seller.get(query)).rows] == found


@pytest.mark.parametrize(
    "bad",
    [{"state": 3}, {"state": None}, {"state": "1"}, {"startdate": None}, {"startdate": "soon"}, {"title": "Mine"}],
)
async def test_what_cannot_be_made_of_a_card_is_refused(seller: Client, bad: dict[str, Any]) -> None:
    _, card = await an_opened_mail(seller)
    refused = await seller.patch(f"actioncards({card})", bad)
    assert refused.status == 400
    assert f"'{next(iter(bad))}'" in refused.error


async def test_a_user_state_shows_on_the_own_card_and_is_one_row(seller: Client) -> None:
    _, card = await an_opened_mail(seller)
    bound = {"actioncardid@odata.bind": f"/actioncards({card})"}
    made = await seller.make("actioncarduserstates", {**bound, "startdate": SNOOZED})
    again = await seller.make("actioncarduserstates", {**bound, "startdate": "2026-11-04T08:00:00Z", "state": 1})
    assert made == again == user_state_of(card, seller.user)
    (row,) = (await seller.get(f"actioncards({card})/ActionCardUserState_ActionCard")).rows
    assert (row["startdate"], row["state"], row["_ownerid_value"]) == ("2026-11-04T08:00:00Z", 1, seller.user)
    shown = (await seller.get(f"actioncards({card})")).json
    assert (shown["startdate"], shown["state"]) == ("2026-11-04T08:00:00Z", 1)
    assert (await seller.patch(f"actioncarduserstates({made})", {"startdate": SNOOZED})).status == 204
    assert (await seller.get(f"actioncards({card})")).json["startdate"] == SNOOZED


async def test_what_others_make_of_a_card_is_theirs_alone(seller: Client, manager: Client, issuer: Issuer) -> None:
    _, card = await an_opened_mail(seller)
    other = Client(seller.organization, issuer)
    given = {"actioncardid@odata.bind": f"/actioncards({card})", "startdate": SNOOZED, "state": 1}
    for somebody in (other, manager):
        await somebody.make("actioncarduserstates", given)
    assert (await seller.get(f"actioncards({card})")).json["state"] == 0
    assert len((await seller.get("actioncarduserstates")).rows) == 2
    mine = {**given, "ownerid@odata.bind": f"/systemusers({seller.user})"}
    assert (await other.post("actioncarduserstates", mine)).status == 403
    assert (await seller.get(f"actioncards({card})")).json["state"] == 0
    await manager.make("actioncarduserstates", mine)
    assert (await seller.get(f"actioncards({card})")).json["state"] == 1


async def test_a_user_state_that_cannot_be_is_refused(seller: Client) -> None:
    _, card = await an_opened_mail(seller)
    bound = {"actioncardid@odata.bind": f"/actioncards({card})"}
    missing = {"actioncardid@odata.bind": f"/actioncards({seller.user})"}
    elsewhere = f"actioncarduserstates({seller.user})"
    for sent, status, culprit in (
        ({"startdate": SNOOZED}, 400, "'actioncardid@odata.bind'"),
        ({**missing, "startdate": SNOOZED}, 404, seller.user),
        (bound, 400, "'startdate'"),
        ({**bound, "startdate": SNOOZED, "state": 9}, 400, "'state'"),
        ({**bound, "startdate": SNOOZED, "actioncarduserstateid": seller.user}, 400, "'actioncarduserstateid'"),
    ):
        refused = await seller.post("actioncarduserstates", sent)
        assert (refused.status, culprit in refused.error) == (status, True), refused.error
    assert (await seller.patch(elsewhere, {**bound, "startdate": SNOOZED})).status == 400
    assert (await seller.get("actioncarduserstates")).rows == []
    named = f"actioncarduserstates({user_state_of(card, seller.user)})"
    assert (await seller.patch(named, {**bound, "startdate": SNOOZED})).status == 204
