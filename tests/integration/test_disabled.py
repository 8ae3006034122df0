"""A user whom an administrator disables is shut out: of the Web API at once or within half a minute, and of sending."""

import asyncio
import json
import time
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.services import people
from shared.services.claiming import observer
from shared.storage import records
from shared.storage.organizations import Organization
from shared.storage.tables import Operation
from shared.webapi.resources import respond
from tests.delivery_world import Clock
from tests.delivery_world import World as DeliveryWorld
from tests.entra import Issuer
from tests.integration.test_webapi_batch import batch, change_set, contact, part
from tests.standin_fixtures import IGNORED_WARNINGS, standin, world
from tests.web_client import Answer, Client

__all__ = ["standin", "world"]

pytestmark = IGNORED_WARNINGS

NOW = datetime(2026, 11, 23, 17, 35, tzinfo=UTC)
TARGET = {"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": str(uuid.uuid4())}

DOORS: list[tuple[str, str, Any]] = [
    ("GET", "WhoAmI", None),
    ("GET", "", None),
    ("GET", "$metadata", None),
    ("GET", "EntityDefinitions(LogicalName='email')", None),
    ("GET", "contacts", None),
    ("GET", "contacts/$count", None),
    ("GET", f"emails({uuid.uuid4()})", None),
    ("HEAD", "contacts", None),
    ("POST", "contacts", {"lastname": "x"}),
    ("POST", "emails", {"subject": "s"}),
    ("PATCH", f"contacts({uuid.uuid4()})", {"lastname": "x"}),
    ("DELETE", f"contacts({uuid.uuid4()})", None),
    ("POST", f"emails({uuid.uuid4()})/Microsoft.Dynamics.CRM.SendEmail", {"IssueSend": True}),
    ("POST", "ee_ExportPerson", {"Target": TARGET}),
    ("POST", "contacts/Microsoft.Dynamics.CRM.CreateMultiple", {"Targets": []}),
    ("GET", "nowhere", None),
    ("PATCH", "systemusers({user})", {"isdisabled": False}),
    ("PATCH", "systemusers({user})", {"ee_timezone": "Europe/Rome"}),
    ("PATCH", "organizations({organization})", {"isemailmonitoringallowed": False}),
]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the seconds that are added to this process's clock, as far as what it knows of people goes."""
    added = [0.0]

    class Moved:
        @staticmethod
        def monotonic() -> float:
            return time.monotonic() + added[0]

    monkeypatch.setattr(people, "time", Moved)
    return added


async def disable(administrator: Client, user: Client, *, off: bool = True) -> None:
    answer = await administrator.patch(f"systemusers({user.user})", {"isdisabled": off})
    assert answer.status == 204, answer.body


def is_shut_out(answer: Answer, user: Client) -> bool:
    if answer.status != 403:
        return False
    said = answer.json["error"]
    return bool(said["code"] == "0x80040225" and user.user in said["message"])


async def test_no_door_is_open_to_a_disabled_user_whatever_their_role(
    seller: Client, manager: Client, administrator: Client, organization: Organization, issuer: Issuer
) -> None:
    second = Client(organization, issuer, roles=("Administrator",))
    for person in (seller, manager, second):
        assert (await person.get("WhoAmI")).status == 200
        await disable(administrator, person)
        for method, path, body in DOORS:
            path = path.format(user=person.user, organization=organization.id)
            answer = await person.send(method, path, body)
            assert is_shut_out(answer, person), (method, path, answer.status)
    assert (await administrator.get("WhoAmI")).status == 200


async def test_a_batch_of_a_disabled_user_is_refused_as_a_whole(seller: Client, administrator: Client) -> None:
    await seller.get("WhoAmI")
    await disable(administrator, seller)
    body = f"--b\r\n{part('GET', 'contacts')}\r\n--b\r\n{change_set(contact('A'))}\r\n--b--\r\n"
    answer = await seller.post(
        "$batch", body.encode(), headers={"Content-Type": "multipart/mixed; boundary=b"}, now=NOW
    )
    assert is_shut_out(answer, seller)


async def test_who_is_disabled_in_the_middle_of_a_batch_gets_no_further(
    seller: Client, administrator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[str] = []

    async def disabled_meanwhile(context: Any, request: Any, address: Any) -> Any:
        if context.caller.user == seller.user:
            shown.append(address.path)
            await disable(administrator, seller)
        return await respond(context, request, address)

    monkeypatch.setattr("shared.webapi.service.respond", disabled_meanwhile)
    first, second = await batch(
        seller, part("GET", "contacts"), part("GET", "accounts"), headers={"Prefer": "odata.continue-on-error"}
    )
    assert (first.status, shown) == (200, ["contacts"])
    assert is_shut_out(second, seller)


async def test_other_processes_follow_within_half_a_minute_both_ways(
    seller: Client, organization: Organization, clock: list[float]
) -> None:
    assert (await seller.get("WhoAmI")).status == 200
    for off, status in ((True, 403), (False, 200), (True, 403)):
        # As another process would do it: this one is not told.
        await records.merge(organization, "systemuser", seller.user, {"isdisabled": off})
        clock[0] += people.KEPT_SECONDS
        assert (await seller.get("WhoAmI")).status == status, off


async def test_enabling_again_lets_in_at_once_where_it_was_done(seller: Client, administrator: Client) -> None:
    await seller.get("WhoAmI")
    await disable(administrator, seller)
    assert (await seller.get("contacts")).status == 403
    await disable(administrator, seller, off=False)
    assert (await seller.get("contacts")).status == 200


async def test_a_user_who_was_disabled_before_they_first_came_stays_out(seller: Client, administrator: Client) -> None:
    answer = await administrator.post("systemusers", {"systemuserid": seller.user, "isdisabled": True})
    assert answer.status == 204, answer.body
    assert is_shut_out(await seller.get("WhoAmI"), seller)


async def test_who_is_in_is_looked_up_once_in_half_a_minute_and_not_for_each_request(
    seller: Client, organization: Organization, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    get = records.get

    async def counted(where: Organization, table: str, id: str) -> Any:
        looks.append(table)
        return await get(where, table, id)

    await seller.get("WhoAmI")
    monkeypatch.setattr(records, "get", counted)
    for _ in range(20):
        await seller.get("WhoAmI")
    assert looks == []
    clock[0] += people.KEPT_SECONDS
    for _ in range(20):
        await seller.get("WhoAmI")
    assert looks == ["systemuser"]


async def test_what_is_remembered_of_people_is_bounded(
    organization: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "_known", {})
    monkeypatch.setattr(people, "MAX_KNOWN", 3)
    ids = [str(uuid.uuid4()) for _ in range(5)]
    for user in ids:
        assert await people.welcome(organization, user, "", "", NOW)
    assert [user for _, user in people._known] == ids[2:]


async def test_two_first_requests_at_once_are_both_let_in(organization: Organization) -> None:
    user = str(uuid.uuid4())
    assert await asyncio.gather(*(people.welcome(organization, user, "", "", NOW) for _ in range(5))) == [True] * 5


@pytest.mark.parametrize("how", ["PATCH", "batch", "UpdateMultiple"])
async def test_an_administrator_cannot_shut_themselves_out(administrator: Client, how: str) -> None:
    await administrator.get("WhoAmI")
    change = {"isdisabled": True}
    if how == "PATCH":
        answer: Any = await administrator.patch(f"systemusers({administrator.user})", change)
    elif how == "batch":
        [answer] = await batch(administrator, part("PATCH", f"systemusers({administrator.user})", change))
    else:
        answer = await administrator.post(
            "systemusers/Microsoft.Dynamics.CRM.UpdateMultiple",
            {
                "Targets": [
                    {"@odata.type": "Microsoft.Dynamics.CRM.systemuser", "systemuserid": administrator.user, **change}
                ]
            },
        )
    assert answer.status == 400, answer.body
    assert json.loads(answer.body)["error"]["code"] == "0x80041d2f"
    assert (await administrator.get("WhoAmI")).status == 200


# Sending


async def test_nobody_sends_as_a_disabled_user(
    seller: Client, manager: Client, administrator: Client, organization: Organization
) -> None:
    await seller.get("WhoAmI")
    await records.merge(organization, "systemuser", seller.user, {"internalemailaddress": "s@contoso.example"})
    mail = await manager.make(
        "emails",
        {
            "subject": "s",
            "email_activity_parties": [
                {"partyid_systemuser@odata.bind": f"/systemusers({seller.user})", "participationtypemask": 1},
                {"addressused": "ann@northwind.example", "participationtypemask": 2},
            ],
        },
    )
    await disable(administrator, seller)
    answer = await manager.post(f"emails({mail})/Microsoft.Dynamics.CRM.SendEmail", {"IssueSend": True})
    assert answer.status == 400
    assert "disabled" in answer.error
    await disable(administrator, seller, off=False)
    answer = await manager.post(f"emails({mail})/Microsoft.Dynamics.CRM.SendEmail", {"IssueSend": True})
    assert answer.status == 200, answer.body


async def _shut(world: DeliveryWorld, user: str, *, off: bool = True) -> None:
    row = await records.get(world.organization, "systemuser", user) or {"fullname": "Mana Manager"}
    await records.put(world.organization, "systemuser", user, {**row, "isdisabled": off})


@pytest.mark.parametrize("whose", ["sender", "submitter"])
async def test_a_mail_that_waits_does_not_leave_once_its_sender_or_who_sent_it_is_disabled(
    world: DeliveryWorld, whose: str
) -> None:
    ann, clock = await world.contact(), Clock()
    mail = await world.write(ann)
    await world.send(mail, clock)
    parties = await world.partition(mail)
    sender = str(next(row["partyid"] for row in parties.parties if row["participationtypemask"] == 1))
    submitter = str(parties.email["_submittedby"])
    if whose == "submitter":
        submitter = str(uuid.uuid4())
        await world.organization.tables.apply(world.organization.emails, _merge(mail, {"_submittedby": submitter}))
    shut = sender if whose == "sender" else submitter
    await _shut(world, shut)
    await world.deliver(mail, clock)
    email = (await world.partition(mail)).email
    assert email["statuscode"] == 8
    assert "is disabled" in email["ee_failurereason"]
    assert await world.arrived(ann) == []
    await _shut(world, shut, off=False)
    await world.send(mail, clock)
    await world.deliver(mail, clock)
    assert (await world.partition(mail)).email["statuscode"] == 3
    assert len(await world.arrived(ann)) == 1


async def test_a_mail_on_its_way_stops_at_whichever_step_its_sender_is_disabled(world: DeliveryWorld) -> None:
    at, ends = 0, set()
    while True:
        ann, clock = await world.contact(), Clock()
        mail = await world.write(ann)
        await world.send(mail, clock)
        sender = str((await world.partition(mail)).parties[0]["partyid"])
        seen: list[str] = []

        async def shut(step: str, seen: list[str] = seen, at: int = at, sender: str = sender) -> None:
            if len(seen) == at:
                await _shut(world, sender)
            seen.append(step)

        async def deliver(mail: str = mail, clock: Clock = clock, shut: Any = shut) -> None:
            observer.set(shut)
            await world.deliver(mail, clock)

        await asyncio.create_task(deliver())
        await _shut(world, sender, off=False)
        if len(seen) <= at:
            break
        status = (await world.partition(mail)).email["statuscode"]
        late = seen[at] in ("before intent", "after intent") or "send" in seen[at] or "after send" in seen[:at]
        assert status == (3 if late else 8), seen[at]
        assert len(await world.arrived(ann)) == (1 if late else 0), seen[at]
        ends.add(status)
        at += 1
    assert ends == {3, 8}


def _merge(mail: str, changes: dict[str, Any]) -> Operation:
    return Operation("merge", {"PartitionKey": mail, "RowKey": "email", **changes}, "*")
