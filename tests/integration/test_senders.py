"""Nobody sends as somebody else: every door, every role, every kind of sender, over real storage and real tokens."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio

from shared.storage import emails, records
from shared.storage.tables import Operation
from tests.entra import Issuer
from tests.integration.test_webapi_batch import change_set, part
from tests.integration.test_webapi_batch import post as batch
from tests.web_client import Answer, Client

SEND = "Microsoft.Dynamics.CRM.SendEmail"
STRANGER = "ceo@contoso.example"
TO = {"addressused": "ann@northwind.example", "participationtypemask": 2}
TEMPLATE = {
    "title": "T", "templatetypecode": "contact", "subject": "Offer", "body": "<p>x</p>", "ispersonal": False,
    "languagecode": 1033,
}  # fmt: skip


@pytest_asyncio.fixture
async def victim(seller: Client, issuer: Issuer) -> Client:
    """Return another seller, whom nobody but managers may send as."""
    found = Client(seller.organization, issuer)
    await found.get("WhoAmI")
    return found


async def somebody(seller: Client, issuer: Issuer, role: str) -> Client:
    """Return somebody of a role with a mailbox."""
    found = Client(seller.organization, issuer, roles=(role,))
    await found.get("WhoAmI")
    return found


async def senders(client: Client, victim: Client) -> dict[str, dict[str, Any]]:
    """Return a sender of every kind."""
    queue, contact = str(uuid.uuid4()), str(uuid.uuid4())
    columns = {"queueid": queue, "name": "Q", "emailaddress": STRANGER}
    await records.put(client.organization, "queue", queue, columns)
    await records.put(client.organization, "contact", contact, {"contactid": contact, "emailaddress1": STRANGER})
    bound = {
        "own": {"partyid_systemuser@odata.bind": f"/systemusers({client.user})"},
        "own, named twice": {
            "partyid_systemuser@odata.bind": f"/systemusers({client.user})", "addressused": "Seller@CONTOSO.example",
        },
        "own, with another's address": {
            "partyid_systemuser@odata.bind": f"/systemusers({client.user})", "addressused": STRANGER,
        },
        "another": {"partyid_systemuser@odata.bind": f"/systemusers({victim.user})"},
        "queue": {"partyid_queue@odata.bind": f"/queues({queue})"},
        "queue, with another's address": {
            "partyid_queue@odata.bind": f"/queues({queue})", "addressused": "seller@contoso.example",
        },
        "contact": {"partyid_contact@odata.bind": f"/contacts({contact})"},
        "address": {"addressused": STRANGER},
    }  # fmt: skip
    return {name: {**sender, "participationtypemask": 1} for name, sender in bound.items()}


type Door = Callable[[Client, dict[str, Any]], Awaitable[Answer | int]]


def with_parties(sender: dict[str, Any], **columns: Any) -> dict[str, Any]:
    return {"subject": "s", "email_activity_parties": [sender, TO], **columns}


async def create(client: Client, sender: dict[str, Any]) -> Answer:
    return await client.post("emails", with_parties(sender))


async def upsert(client: Client, sender: dict[str, Any]) -> Answer:
    return await client.patch(f"emails({uuid.uuid4()})", with_parties(sender))


async def create_multiple(client: Client, sender: dict[str, Any]) -> Answer:
    return await client.post("emails/Microsoft.Dynamics.CRM.CreateMultiple", {"Targets": [with_parties(sender)]})


async def change_set_of_one(client: Client, sender: dict[str, Any]) -> int:
    answer = await batch(client, change_set(part("POST", "emails", with_parties(sender))))
    return int(answer.body.split(b"HTTP/1.1 ")[1][:3])


async def from_template(client: Client, sender: dict[str, Any]) -> Answer:
    template = await client.make("templates", TEMPLATE)
    contact = await client.make("contacts", {"lastname": "A", "emailaddress1": "ann@northwind.example"})
    about = {"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": contact}
    target = {"email_activity_parties": [sender, TO]}
    return await client.post("SendEmailFromTemplate", {"TemplateId": template, "Regarding": about, "Target": target})


async def patch(client: Client, sender: dict[str, Any]) -> Answer:
    email = await client.make("emails", {"subject": "s"})
    return await client.patch(f"emails({email})", {"email_activity_parties": [sender, TO]})


async def update_multiple(client: Client, sender: dict[str, Any]) -> Answer:
    email = await client.make("emails", {"subject": "s"})
    target = {"activityid": email, **with_parties(sender)}
    return await client.post("emails/Microsoft.Dynamics.CRM.UpdateMultiple", {"Targets": [target]})


async def upsert_multiple(client: Client, sender: dict[str, Any]) -> Answer:
    email = await client.make("emails", {"subject": "s"})
    target = {"activityid": email, **with_parties(sender)}
    return await client.post("emails/Microsoft.Dynamics.CRM.UpsertMultiple", {"Targets": [target]})


async def turn_with_its_sender(client: Client, sender: dict[str, Any]) -> Answer:
    email = await client.make("emails", {"subject": "s", "directioncode": False})
    return await client.patch(f"emails({email})", with_parties(sender, directioncode=True))


async def turn_after_its_sender(client: Client, sender: dict[str, Any]) -> Answer:
    email = await client.make("emails", with_parties(sender, directioncode=False))
    return await client.patch(f"emails({email})", {"directioncode": True})


async def turn_by_property(client: Client, sender: dict[str, Any]) -> Answer:
    email = await client.make("emails", with_parties(sender, directioncode=False))
    return await client.send("PUT", f"emails({email})/directioncode", {"value": True})


async def turn_by_clearing(client: Client, sender: dict[str, Any]) -> Answer:
    email = await client.make("emails", with_parties(sender, directioncode=False))
    return await client.send("DELETE", f"emails({email})/directioncode")


DOORS = (
    create, upsert, create_multiple, change_set_of_one, from_template, patch, update_multiple, upsert_multiple,
    turn_with_its_sender, turn_after_its_sender, turn_by_property, turn_by_clearing,
)  # fmt: skip


def expected(door: Door, role: str, kind: str) -> int:
    """Return the status that a door answers with: 0 for any success."""
    if kind == "another" and role == "Seller":
        return 403
    if kind in ("contact", "address"):
        return 400
    if "another's address" in kind:
        return 400
    return 400 if kind.startswith("queue") and door is from_template else 0


@pytest.mark.parametrize("role", ["Seller", "Manager", "Administrator"])
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
async def test_at_every_door_a_seller_is_the_own_sender_and_a_manager_may_name_another(
    seller: Client, issuer: Issuer, victim: Client, door: Door, role: str
) -> None:
    client = await somebody(seller, issuer, role)
    for kind, sender in (await senders(client, victim)).items():
        answer = await door(client, sender)
        status = answer if isinstance(answer, int) else answer.status
        wanted = expected(door, role, kind)
        assert status < 300 if wanted == 0 else status == wanted, (kind, answer)
    for row in (await client.get("emails?$expand=email_activity_parties")).rows:
        named = [party for party in row["email_activity_parties"] if party["participationtypemask"] == 1]
        if row["directioncode"]:
            assert all(party["_partyid_value"] for party in named)
            assert role != "Seller" or all(party["_partyid_value"] != victim.user for party in named)


async def test_what_a_create_refuses_a_change_refuses_with_the_same_words(seller: Client, victim: Client) -> None:
    for kind, sender in (await senders(seller, victim)).items():
        made, changed = await create(seller, sender), await patch(seller, sender)
        assert made.status == changed.status, kind
        if made.status >= 400:
            assert made.error == changed.error, kind


async def test_the_refusal_says_that_the_senders_address_is_the_services_to_fill(seller: Client) -> None:
    sender = {"partyid_systemuser@odata.bind": f"/systemusers({seller.user})", "participationtypemask": 1}
    await seller.get("WhoAmI")
    answer = await create(seller, {**sender, "addressused": STRANGER})
    assert answer.status == 400
    assert answer.error == (
        f"The sender's addressused '{STRANGER}' is not the internalemailaddress of Sella Seller: leave it out, the "
        "service fills it in."
    )


# Owners

OWNER_DOORS: dict[str, Callable[[Client, str, str], Awaitable[Answer]]] = {
    "patch": lambda client, email, user: client.patch(
        f"emails({email})", {"ownerid@odata.bind": f"/systemusers({user})"}
    ),
    "$ref": lambda client, email, user: client.send(
        "PUT", f"emails({email})/ownerid/$ref", {"@odata.id": f"systemusers({user})"}
    ),
    "UpdateMultiple": lambda client, email, user: client.post(
        "emails/Microsoft.Dynamics.CRM.UpdateMultiple",
        {"Targets": [{"activityid": email, "ownerid@odata.bind": f"/systemusers({user})"}]},
    ),
}


@pytest.mark.parametrize("status", [1, 3, 4, 6, 8])
@pytest.mark.parametrize("door", OWNER_DOORS)
async def test_a_seller_makes_no_mail_anothers_by_a_change_and_a_manager_may(
    seller: Client, manager: Client, victim: Client, door: str, status: int
) -> None:
    email = await seller.make("emails", {"subject": "s"})
    row = await emails.get_email(seller.organization, email)
    assert row is not None
    await emails.commit(seller.organization, row, {"statuscode": status})
    refused = await OWNER_DOORS[door](seller, email, victim.user)
    assert refused.status == 403
    made = await seller.post("emails", {"subject": "s", "ownerid@odata.bind": f"/systemusers({victim.user})"})
    assert made.error in refused.error
    assert (await OWNER_DOORS[door](seller, email, seller.user)).status == 204, "a row may be sent back as it was read"
    assert (await OWNER_DOORS[door](manager, email, victim.user)).status == 204


# Sending, and marking as sent


async def a_draft_of(client: Client, sender: str, by: Client, **columns: Any) -> str:
    """Return a draft that `by` makes for a client to own, with another's mailbox to send from."""
    named = {"partyid_systemuser@odata.bind": f"/systemusers({sender})", "participationtypemask": 1}
    given = with_parties(named, **{"ownerid@odata.bind": f"/systemusers({client.user})", **columns})
    return await by.make("emails", given)


ENDINGS: dict[str, Callable[[Client, str], Awaitable[Answer]]] = {
    "send": lambda client, email: client.post(f"emails({email})/{SEND}", {"IssueSend": True}),
    "only mark": lambda client, email: client.post(f"emails({email})/{SEND}", {"IssueSend": False}),
    "Sent": lambda client, email: client.patch(f"emails({email})", {"statuscode": 3}),
    "Sent by property": lambda client, email: client.send("PUT", f"emails({email})/statuscode", {"value": 3}),
    "Completed": lambda client, email: client.patch(f"emails({email})", {"statecode": 1}),
    "Received": lambda client, email: client.patch(f"emails({email})", {"statuscode": 4}),
    "Sent in a list": lambda client, email: client.post(
        "emails/Microsoft.Dynamics.CRM.UpdateMultiple", {"Targets": [{"activityid": email, "statuscode": 3}]}
    ),
}


@pytest.mark.parametrize("ending", ENDINGS)
async def test_a_draft_from_another_is_not_the_sellers_to_send_or_to_mark(
    seller: Client, manager: Client, victim: Client, ending: str
) -> None:
    await seller.get("WhoAmI")
    email = await a_draft_of(seller, victim.user, manager)
    assert (await seller.patch(f"emails({email})", {"subject": "t"})).status == 204, "its words are"
    assert (await ENDINGS[ending](seller, email)).status == 403
    assert (await seller.get(f"emails({email})")).json["statuscode"] == 1
    assert (await ENDINGS[ending](manager, email)).status < 300


@pytest.mark.parametrize("ending", ["send", "only mark", "Sent", "Sent by property", "Sent in a list"])
async def test_an_incoming_mail_is_never_sent_whoever_marks_it(
    seller: Client, manager: Client, victim: Client, ending: str
) -> None:
    await seller.get("WhoAmI")
    for client in (seller, manager):
        email = await a_draft_of(client, victim.user, client, directioncode=False)
        answer = await ENDINGS[ending](client, email)
        assert answer.status == 400
        assert "incoming" in answer.error
        assert (await client.patch(f"emails({email})", {"statuscode": 4})).status == 204, "it may be tracked"
        assert (await client.patch(f"emails({email})", {"directioncode": True})).status == 400


async def test_a_mark_says_of_sender_and_recipients_what_the_records_say(seller: Client) -> None:
    """A draft that an earlier version wrote may hold another's address beside the own user."""
    for ending in ("only mark", "Received", "send"):
        email = await seller.make("emails", {"subject": "s", "email_activity_parties": [TO]})
        assert (await seller.patch(f"emails({email})", {"messageid": "x"})).status == 400
        email = await seller.make("emails", {"subject": "s"})
        sender = {"partyid_systemuser@odata.bind": f"/systemusers({seller.user})", "participationtypemask": 1}
        await seller.patch(f"emails({email})", {"email_activity_parties": [sender, TO]})
        partition = await emails.read_partition(seller.organization, email)
        assert partition is not None
        forged = {"sender": STRANGER, "torecipients": STRANGER, "messageid": "<forged@x>"}
        row = {**partition.parties[0], "addressused": STRANGER}
        await emails.commit(seller.organization, partition.email, forged, [Operation("put", row)])
        assert (await ENDINGS[ending](seller, email)).status < 300
        shown = (await seller.get(f"emails({email})?$expand=email_activity_parties")).json
        assert (shown["sender"], shown["torecipients"]) == ("seller@contoso.example", "ann@northwind.example")
        assert shown["messageid"] is None
        assert shown["email_activity_parties"][0]["addressused"] == "seller@contoso.example"


async def test_a_user_without_an_address_sends_as_nobody(seller: Client) -> None:
    """An app's token has a role and no mailbox."""
    await seller.get("WhoAmI")
    await records.merge(
        seller.organization, "systemuser", seller.user, {"internalemailaddress": "", "domainname": STRANGER}
    )
    sender = {"partyid_systemuser@odata.bind": f"/systemusers({seller.user})", "participationtypemask": 1}
    assert (await create(seller, {**sender, "addressused": STRANGER})).status == 400
    email = await seller.make("emails", with_parties(sender))
    answer = await ENDINGS["send"](seller, email)
    assert (answer.status, "no valid internalemailaddress" in answer.error) == (400, True)


async def test_a_sender_who_is_disabled_sends_nothing(seller: Client, manager: Client, victim: Client) -> None:
    await records.merge(seller.organization, "systemuser", victim.user, {"isdisabled": True})
    email = await a_draft_of(manager, victim.user, manager)
    answer = await ENDINGS["send"](manager, email)
    assert (answer.status, "is disabled" in answer.error) == (400, True)


# Recipients


@pytest.mark.parametrize("table", ["contact", "account", "lead"])
async def test_an_address_beside_a_record_chooses_among_its_own(seller: Client, table: str) -> None:
    name = "name" if table == "account" else "lastname"
    given = {name: "A", "emailaddress1": "one@x.example", "emailaddress2": "two@x.example"}
    record = await seller.make(f"{table}s", {**given, "emailaddress3": "b\u00fc@b\u00fccher.example"})
    none = await seller.make(f"{table}s", {name: "None"})

    async def party_of(id: str, **columns: Any) -> dict[str, Any]:
        party = {f"partyid_{table}@odata.bind": f"/{table}s({id})", "participationtypemask": 2, **columns}
        email = await seller.make("emails", {"email_activity_parties": [party]})
        rows = (await seller.get(f"emails({email})/email_activity_parties")).rows
        return dict(rows[1])

    own = ("one@x.example", "TWO@x.example", "b\u00fc@xn--bcher-kva.example")
    for address in own:
        party = await party_of(record, addressused=address)
        assert (party["_partyid_value"], party["addressused"]) == (record, address)
    party = await party_of(record, addressused="eve@evil.example", unresolvedpartyname="Eve")
    assert (party["_partyid_value"], party["addressused"]) == (None, "eve@evil.example")
    assert party["unresolvedpartyname"] == "Eve"
    party = await party_of(none, addressused="typed@x.example")
    assert party["_partyid_value"] == none, "a record without an address has nothing to say against one"


# Side by side


@pytest.mark.parametrize("first", ["sends", "patch"])
async def test_sending_beside_a_change_of_the_sender_sends_from_nobody_else(
    seller: Client, victim: Client, first: str
) -> None:
    await seller.get("WhoAmI")
    turned = {"partyid_systemuser@odata.bind": f"/systemusers({victim.user})", "participationtypemask": 1}
    for _ in range(3):
        email = await seller.make("emails", with_parties(TO, directioncode=False))
        change = seller.patch(f"emails({email})", with_parties(turned, directioncode=True))
        sends = [ENDINGS["send"](seller, email) for _ in range(18)]
        answers = await asyncio.gather(*([change, *sends] if first == "patch" else [*sends, change]))
        assert {answer.status for answer in answers} <= {400, 403, 412}
        assert (await seller.get(f"emails({email})")).json["statuscode"] == 1


@pytest.mark.parametrize("first", ["sends", "patch"])
async def test_a_manager_who_changes_the_sender_beside_a_seller_who_sends_lends_them_nothing(
    seller: Client, manager: Client, victim: Client, first: str
) -> None:
    await seller.get("WhoAmI")
    for _ in range(3):
        email = await seller.make("emails", {"subject": "s", "email_activity_parties": [TO]})
        sender = {"partyid_systemuser@odata.bind": f"/systemusers({victim.user})", "participationtypemask": 1}
        change = manager.patch(f"emails({email})", with_parties(sender))
        sends = [ENDINGS["send"](seller, email) for _ in range(18)]
        await asyncio.gather(*([change, *sends] if first == "patch" else [*sends, change]))
        partition = await emails.read_partition(seller.organization, email)
        assert partition is not None
        named = [row["partyid"] for row in partition.parties if row["participationtypemask"] == 1]
        if partition.email["statuscode"] != 1:
            assert (partition.email["_mailbox"], named) == (seller.user, [seller.user])
