"""``$batch`` over real storage: order, references, change sets that leave nothing behind when they fail."""

import base64
import email
import email.policy
import json
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from shared.storage import undo
from shared.storage.organizations import Organization, find_organization, save_organization
from tests.breaking import Breaker, a_breakable_organization
from tests.entra import Issuer
from tests.storage_dump import dump, messages
from tests.web_client import Answer, Client

NOW = datetime(2026, 11, 23, 17, 35, tzinfo=UTC)
FILE = base64.b64encode(b"content").decode()
GOES_ON = {"Prefer": "odata.continue-on-error"}


@dataclass
class Reply(Answer):
    """The answer to one part."""

    content_id: str = ""


def part(method: str, url: str, body: Any = None, content_id: str = "", **headers: str) -> str:
    """Return a request as a part of a batch."""
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    lines += [f"Content-ID: {content_id}"] if content_id else []
    lines += ["", f"{method} {url} HTTP/1.1"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    lines += ["Content-Type: application/json", "", json.dumps(body)] if body is not None else ["", ""]
    return "\r\n".join(lines)


def change_set(*parts: str) -> str:
    """Return requests as a change set of a batch."""
    name = f"changeset_{uuid.uuid4()}"
    inner = "".join(f"--{name}\r\n{one}\r\n" for one in parts)
    return f"Content-Type: multipart/mixed; boundary={name}\r\n\r\n{inner}--{name}--\r\n"


def contact(lastname: str, content_id: str = "", **columns: Any) -> str:
    return part("POST", "contacts", {"lastname": lastname, **columns}, content_id)


async def post(client: Client, *items: str, headers: dict[str, str] | None = None) -> Answer:
    body = "".join(f"--batch_1\r\n{item}\r\n" for item in items) + "--batch_1--\r\n"
    sent = {"Content-Type": 'multipart/mixed; boundary="batch_1"', **(headers or {})}
    return await client.post("$batch", body.encode(), headers=sent, now=NOW)


async def batch(client: Client, *items: str, headers: dict[str, str] | None = None) -> list[Any]:
    """Send a batch and return a reply for each part, a list of them for a change set that took place."""
    answer = await post(client, *items, headers=headers)
    assert answer.status == 200, answer.body
    return replies(answer)


def replies(answer: Answer) -> list[Any]:
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.body, policy=email.policy.HTTP)
    return [_reply(one) for one in message.iter_parts()]


def _reply(message: Any) -> Any:
    if message.is_multipart():
        return [_reply(one) for one in message.iter_parts()]
    assert message["Content-Transfer-Encoding"] == "binary"
    head, _, body = message.get_payload(decode=True).partition(b"\r\n\r\n")
    status, *fields = head.decode().split("\r\n")
    match = re.fullmatch(r"HTTP/1\.1 (\d{3}) [\w ]+", status)
    assert match is not None
    return Reply(int(match[1]), dict(field.split(": ", 1) for field in fields), body, message["Content-ID"] or "")


async def names(client: Client) -> list[str]:
    return sorted(row["lastname"] for row in (await client.get("contacts?$select=lastname")).rows)


async def test_requests_are_answered_in_order(seller: Client) -> None:
    made, found, counted = await batch(
        seller,
        contact("Ångström"),
        part("GET", f"{seller.base}/contacts?$filter=lastname eq 'Ångström'&$select=lastname"),
        part("GET", "/api/data/v9.2/contacts/$count"),
    )
    assert (made.status, made.body) == (204, b"")
    assert made.headers["OData-EntityId"] == made.headers["Location"] == f"{seller.base}/contacts({made.id})"
    assert made.headers["OData-Version"] == "4.0"
    assert [row["contactid"] for row in found.rows] == [made.id]
    assert found.json["@odata.context"].startswith(f"{seller.base}/$metadata#contacts")
    assert (counted.headers["Content-Type"], counted.body) == ("text/plain", b"1")


async def test_a_url_that_is_too_long_for_a_request_of_its_own_is_taken(seller: Client) -> None:
    await seller.make("contacts", {"lastname": "A"})
    terms = " or ".join(f"lastname eq '{'x' * 60}{number}'" for number in range(40))
    (found,) = await batch(seller, part("GET", f"{seller.base}/contacts?$filter=lastname eq 'A' or {terms}"))
    assert [row["lastname"] for row in found.rows] == ["A"]


async def test_links_lead_on_from_where_the_batch_was_sent(seller: Client) -> None:
    await batch(seller, *(contact(name) for name in "ABC"))
    (page,) = await batch(
        seller, part("GET", "http://inside/api/data/v9.2/contacts?$select=lastname", Prefer="odata.maxpagesize=2")
    )
    assert page.headers["Preference-Applied"] == "odata.maxpagesize=2"
    assert page.json["@odata.nextLink"].startswith(f"{seller.base}/contacts?")


async def test_each_part_has_conditions_and_preferences_of_its_own(seller: Client) -> None:
    row = await seller.make("contacts", {"lastname": "A"})
    tag = (await seller.get(f"contacts({row})")).json["@odata.etag"]
    results = await batch(
        seller,
        part("PATCH", f"contacts({row})", {"jobtitle": "1"}, If_Match=tag, Prefer="return=representation"),
        part("PATCH", f"contacts({row})", {"jobtitle": "2"}, If_Match=tag),
        part("PATCH", f"contacts({uuid.uuid4()})", {"jobtitle": "3"}, If_Match="*"),
        part("PATCH", f"contacts({row})", {"jobtitle": "4"}, If_None_Match="*"),
        headers={**GOES_ON, "If-None-Match": "null", "If-Match": 'W/"1"'},
    )
    assert [one.status for one in results] == [200, 412, 404, 412]
    assert results[0].json["jobtitle"] == "1"
    assert results[0].headers["ETag"] == results[0].json["@odata.etag"] != tag


async def test_the_first_failure_ends_the_batch_and_what_came_before_stays(seller: Client) -> None:
    results = await batch(seller, contact("A"), part("GET", "nonsense"), contact("B"))
    assert [one.status for one in results] == [204, 404]
    assert results[1].json["error"]["code"] == "0x8006088a"
    assert await names(seller) == ["A"]


async def test_on_demand_the_batch_goes_on_after_a_failure(seller: Client) -> None:
    items = (contact("A"), change_set(contact("B"), contact("C", nonsense=1)), part("GET", "nonsense"), contact("D"))
    answer = await post(seller, *items, headers=GOES_ON)
    assert answer.headers["Preference-Applied"] == "odata.continue-on-error"
    assert [one.status for one in replies(answer)] == [204, 400, 404, 204]
    assert await names(seller) == ["A", "D"]


async def test_a_change_set_is_answered_request_by_request(seller: Client) -> None:
    row = await seller.make("contacts", {"lastname": "A"})
    ((made, changed, gone),) = await batch(
        seller,
        change_set(
            contact("B", "1"),
            part("PATCH", f"contacts({row})", {"jobtitle": "x"}, "2"),
            part("DELETE", "$1", None, "3"),
        ),
    )
    assert [(one.status, one.content_id) for one in (made, changed, gone)] == [(204, "1"), (204, "2"), (204, "3")]
    assert await names(seller) == ["A"]


async def test_references_stand_for_rows_made_before(seller: Client) -> None:
    ((person, firm, *rest), later) = await batch(
        seller,
        change_set(
            contact("A", "person", jobtitle="$100"),
            part("POST", "accounts", {"name": "$person", "primarycontactid@odata.bind": "$person"}, "2"),
            part("PATCH", "$person", {"firstname": "$1", "parentcustomerid_account@odata.bind": "$2"}, "3"),
            part("PUT", "$3/telephone1", {"value": "$2"}),
            part("PUT", "/$2/primarycontactid/$ref", {"@odata.id": "$3"}),
        ),
        part("GET", "$person?$select=fullname,jobtitle,telephone1&$expand=parentcustomerid_account($select=name)"),
    )
    assert [one.status for one in rest] == [204, 204, 204]
    row = later.json
    assert (row["contactid"], row["fullname"], row["jobtitle"], row["telephone1"]) == (person.id, "$1 A", "$100", "$2")
    assert row["parentcustomerid_account"]["accountid"] == firm.id
    assert row["parentcustomerid_account"]["name"] == "$person"
    assert (await seller.get(f"accounts({firm.id})/primarycontactid")).json["contactid"] == person.id


async def test_references_reach_into_nested_rows(seller: Client) -> None:
    ((_, made),) = await batch(
        seller,
        change_set(
            contact("Turing", "1", emailaddress1="alan@x.example"),
            part(
                "POST",
                "emails",
                {
                    "subject": "$1",
                    "email_activity_parties": [{"partyid_contact@odata.bind": "$1", "participationtypemask": 2}],
                },
            ),
        ),
    )
    row = (await seller.get(f"emails({made.id})?$expand=email_activity_parties")).json
    assert row["subject"] == "$1"
    assert "alan@x.example" in [party["addressused"] for party in row["email_activity_parties"]]


@pytest.mark.parametrize(
    "bad",
    [
        part("PATCH", "$2", {"jobtitle": "x"}),
        part("POST", "accounts", {"primarycontactid@odata.bind": "$2"}),
        part("PUT", "$1/parentcustomerid_account/$ref", {"@odata.id": "$2"}),
    ],
    ids=["as URL", "bound", "as @odata.id"],
)
async def test_a_reference_to_nothing_is_refused(seller: Client, bad: str) -> None:
    (result,) = await batch(seller, change_set(contact("A", "1"), bad))
    assert result.status == 400
    assert result.error == "Content-ID Reference: '$2' does not exist in the batch context."
    assert await names(seller) == []


async def test_what_was_rolled_back_cannot_be_referred_to(seller: Client) -> None:
    failed, unknown = await batch(
        seller, change_set(contact("A", "1"), part("POST", "nonsense", {})), part("GET", "$1"), headers=GOES_ON
    )
    assert (failed.status, unknown.status) == (404, 400)
    assert unknown.error == "Content-ID Reference: '$1' does not exist in the batch context."


async def test_each_change_set_may_number_its_requests_anew(seller: Client) -> None:
    sets = [change_set(contact(name, "1"), part("PATCH", "$1", {"jobtitle": name})) for name in "AB"]
    await batch(seller, *sets)
    rows = (await seller.get("contacts?$select=lastname,jobtitle")).rows
    assert sorted((row["lastname"], row["jobtitle"]) for row in rows) == [("A", "A"), ("B", "B")]


@dataclass
class World:
    """Rows that change sets work on."""

    contact: str
    account: str
    email: str
    other: str
    attachment: str


async def a_world(client: Client) -> World:
    account = await client.make("accounts", {"name": "Northwind"})
    row = await client.make("contacts", {"lastname": "Turing", "emailaddress1": "alan@x.example", "jobtitle": "x"})
    to = {"partyid_contact@odata.bind": f"/contacts({row})", "participationtypemask": 2}
    file = {"filename": "a.txt", "mimetype": "text/plain", "body": FILE}
    made = []
    for subject in ("one", "two"):
        columns = {"subject": subject, "description": f"<p>{subject}</p>", "email_activity_parties": [to]}
        made.append(await client.make("emails", {**columns, "email_activity_mime_attachment": [file]}))
    (found,) = (await client.get(f"emails({made[0]})/email_activity_mime_attachment")).rows
    return World(row, account, made[0], made[1], found["activitymimeattachmentid"])


def everything(world: World, recipients: int = 120) -> list[str]:
    """Return requests that change rows of every kind in every way; with many `recipients` an email takes more than one
    transaction."""
    to = {"partyid_contact@odata.bind": "$c", "participationtypemask": 2}
    file = {"filename": "b.txt", "mimetype": "text/plain", "body": FILE}
    many = [{"addressused": f"p{number}@x.example", "participationtypemask": 2} for number in range(recipients)]
    return [
        contact("New", "c", emailaddress1="new@x.example"),
        part("PATCH", f"contacts({world.contact})", {"jobtitle": None, "emailaddress1": "else@x.example"}),
        part("PATCH", f"accounts({uuid.uuid4()})", {"name": "upserted"}),
        part("DELETE", f"accounts({world.account})"),
        part(
            "POST",
            "emails",
            {
                "subject": "new",
                "description": "<p>new</p>",
                "email_activity_parties": [to, *many],
                "email_activity_mime_attachment": [file],
            },
            "e",
        ),
        part(
            "PATCH",
            f"emails({world.email})",
            {"subject": "changed", "description": "<p>changed</p>", "email_activity_parties": [to]},
        ),
        part("POST", "activitymimeattachments", {"objectid_email@odata.bind": f"/emails({world.email})", **file}),
        part("PATCH", f"activitymimeattachments({world.attachment})", {"filename": "c.txt", "body": "QUJD"}),
        part("DELETE", f"activitymimeattachments({world.attachment})"),
        part("DELETE", f"emails({world.other})"),
        part("POST", "$e/Microsoft.Dynamics.CRM.SendEmail", {"IssueSend": True}),
        part("PATCH", "$e", {"delayedemailsendtime": "2027-01-01T00:00:00Z"}),
        part("PATCH", "$e", {"delayedemailsendtime": None}),
    ]


async def test_a_change_set_that_succeeds_takes_place_whole(seller: Client) -> None:
    world = await a_world(seller)
    await messages(seller.organization)
    (results,) = await batch(seller, change_set(*everything(world)))
    assert [one.status for one in results] == [*[204] * 10, 200, 204, 204]
    assert len(await messages(seller.organization)) == 2
    assert (await seller.get(f"emails({results[4].id})")).json["statuscode"] == 6
    assert (await seller.get(f"emails({world.email})")).json["description"] == "<p>changed</p>"
    for gone in (
        f"accounts({world.account})",
        f"emails({world.other})",
        f"activitymimeattachments({world.attachment})",
    ):
        assert (await seller.get(gone)).status == 404
    bodies = [name for name in await dump(seller.organization) if name.startswith("blob/")]
    assert len(bodies) == 4, "two emails, each with a body and a file; what was replaced and deleted is gone"


@pytest.mark.parametrize("position", range(14))
async def test_a_change_set_that_fails_at_any_place_leaves_everything_as_it_was(seller: Client, position: int) -> None:
    world = await a_world(seller)
    await messages(seller.organization)
    before = await dump(seller.organization)
    requests = everything(world)
    requests.insert(position, contact("Bad", "bad", nonsense=1))
    (result,) = await batch(seller, change_set(*requests))
    assert (result.status, result.content_id) == (400, "bad")
    assert "'nonsense'" in result.error
    assert await dump(seller.organization) == before
    assert await messages(seller.organization) == []


async def test_a_change_set_in_any_order_leaves_everything_as_it_was(seller: Client) -> None:
    world = await a_world(seller)
    before = await dump(seller.organization)
    target, mail = f"contacts({world.contact})", f"emails({world.email})"
    for requests in (
        [part("DELETE", target), part("PATCH", target, {"lastname": "Again"}), part("DELETE", target)],
        [part("PATCH", target, {"jobtitle": str(number)}) for number in range(5)],
        [contact("A", "1"), part("PATCH", "$1", {"jobtitle": "x"}), part("DELETE", "$1")],
        [part("PATCH", mail, {"subject": "x"}), part("DELETE", mail), part("PATCH", mail, {"subject": "anew"})],
        [part("DELETE", mail), part("POST", "emails", {"activityid": world.email, "subject": "again"})],
    ):
        (result,) = await batch(seller, change_set(*requests, part("DELETE", f"contacts({uuid.uuid4()})")))
        assert result.status == 404
        assert await dump(seller.organization) == before


async def test_rolling_back_gives_the_row_a_new_version(seller: Client) -> None:
    row = await seller.make("contacts", {"lastname": "A"})
    tag = (await seller.get(f"contacts({row})")).json["@odata.etag"]
    await batch(
        seller, change_set(part("PATCH", f"contacts({row})", {"jobtitle": "x"}), part("DELETE", f"accounts({row})"))
    )
    found = (await seller.get(f"contacts({row})")).json
    assert found["jobtitle"] is None
    assert found["@odata.etag"] != tag


async def test_requests_outside_of_change_sets_are_not_rolled_back_by_one(seller: Client) -> None:
    results = await batch(seller, contact("A"), change_set(contact("B")), change_set(contact("C"), part("PUT", "x")))
    assert [isinstance(one, list) for one in results] == [False, True, False]
    assert await names(seller) == ["A", "B"]


@pytest_asyncio.fixture
async def breakable(issuer: Issuer, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Breaker, Client]]:
    """Return a seller of an organization whose tables can be broken."""
    monkeypatch.setattr(undo, "_PAUSES", (0, 0))
    async with a_breakable_organization(monkeypatch) as (broken, organization):
        yield broken, Client(organization, issuer)


@pytest.mark.parametrize("after", [False, True], ids=["not done", "done unheard"])
async def test_storage_that_fails_in_the_middle_leaves_everything_as_it_was(
    breakable: tuple[Breaker, Client], after: bool
) -> None:
    broken, client = breakable
    world = await a_world(client)
    requests = everything(world, recipients=2)
    before = await dump(client.organization)
    statuses = []
    for nth in range(int(after), 100, 3):
        broken.arm(nth, after=after)
        (result,) = await batch(client, change_set(*requests, part("DELETE", f"contacts({uuid.uuid4()})")))
        all_changes = broken.changes
        broken.arm(-1, after=False)
        assert await dump(client.organization) == before, nth
        statuses.append(result.status)
        if all_changes <= nth:
            break
    # First the calls that change something break, then those that take it back.
    assert set(statuses) == {503, 404}
    assert statuses[-1] == 404
    assert statuses.count(503) > 3


async def test_where_rolling_back_fails_the_caller_still_hears_of_the_failure(
    breakable: tuple[Breaker, Client], caplog: pytest.LogCaptureFixture
) -> None:
    broken, client = breakable
    await client.make("contacts", {"lastname": "A"})
    broken.arm(1, after=False, down=True)
    (result,) = await batch(client, change_set(contact("B"), contact("C")))
    assert (result.status, result.headers["Retry-After"]) == (503, "5")
    assert "rolling back failed" in caplog.text


async def test_without_a_token_nothing_of_a_batch_is_carried_out(seller: Client) -> None:
    token = f"Bearer {seller.issuer.token(seller.organization.tenant, seller.user)}"
    answer = await post(seller, part("GET", "contacts", Authorization=token), headers={"Authorization": ""})
    assert (answer.status, answer.body) == (401, b"")
    assert "WWW-Authenticate" in answer.headers


async def test_the_caller_of_the_batch_counts_whatever_its_parts_say(seller: Client, administrator: Client) -> None:
    token = f"Bearer {administrator.issuer.token(seller.organization.tenant, administrator.user)}"
    (who,) = await batch(seller, part("GET", "WhoAmI", Authorization=token, Host="else.example"))
    assert who.json["UserId"] == seller.user


async def test_rights_hold_in_a_batch(seller: Client, manager: Client) -> None:
    row = await manager.make("contacts", {"lastname": "Theirs"})
    change = part("PATCH", f"contacts({row})", {"jobtitle": "x"})
    alone, together = await batch(seller, change, change_set(contact("Mine"), change), headers=GOES_ON)
    assert (alone.status, together.status) == (403, 403)
    assert await names(seller) == ["Theirs"]
    settings = part("PATCH", f"organizations({seller.organization.id})", {"maxuploadfilesize": 1})
    (result,) = await batch(seller, settings)
    assert result.status == 403


async def test_a_part_cannot_reach_another_organization(seller: Client) -> None:
    foreign = part("GET", f"https://{seller.host}/fabrikam/api/data/v9.2/contacts")
    (result,) = await batch(seller, foreign)
    assert (result.status, result.json["error"]["code"]) == (404, "0x8006088a")


async def test_settings_changed_in_a_batch_hold_for_what_follows_unless_rolled_back(administrator: Client) -> None:
    organization = administrator.organization
    own = f"organizations({organization.id})"
    email = await administrator.make("emails", {"subject": "x"})
    bound = {"objectid_email@odata.bind": f"/emails({email})", "filename": "a.txt", "mimetype": "text/plain"}
    file = part("POST", "activitymimeattachments", {**bound, "body": FILE})
    (refused,) = await batch(administrator, change_set(part("PATCH", own, {"maxuploadfilesize": 1}), file))
    assert (refused.status, "maxuploadfilesize is 1" in refused.error) == (400, True)
    (taken,) = await batch(administrator, file)
    assert taken.status == 204
    await batch(
        administrator,
        part("PATCH", own, {"maxuploadfilesize": 2_000_000}),
        part("PATCH", own, {"isactioncardenabled": False}),
    )
    found = await find_organization(organization.name)
    assert found is not None
    assert (found.settings["maxuploadfilesize"], found.settings["isactioncardenabled"]) == (2_000_000, False)


@pytest.mark.parametrize("target", ["$batch", "%24batch", "/$batch"])
async def test_a_batch_within_a_batch_is_refused(seller: Client, target: str) -> None:
    (result,) = await batch(seller, part("POST", target, {}))
    assert (result.status, result.error) == (400, "A batch cannot contain another batch.")


async def test_a_batch_that_cannot_be_read_does_nothing(seller: Client) -> None:
    answer = await post(seller, contact("A"), change_set(contact("B"), part("GET", "contacts")))
    assert (answer.status, answer.json["error"]["code"]) == (400, "0x80048d19")
    assert "request 2 of the change set in part 2" in answer.error
    answer = await post(seller, *[contact("A")] * 1001)
    assert (answer.status, "1,000" in answer.error) == (400, True)
    answer = await post(seller, contact("A"), headers={"Content-Type": "application/json"})
    assert (answer.status, "multipart/mixed" in answer.error) == (415, True)
    assert (await seller.get("$batch")).status == 405
    assert await names(seller) == []


async def test_a_batch_has_room_for_the_largest_attachment_and_not_for_more(seller: Client) -> None:
    organization = seller.organization
    room = Organization(
        organization.name, organization.id, organization.tenant, {**organization.settings, "maxuploadfilesize": 1000}
    )
    await save_organization(room)
    limit = 1000 * 4 // 3 + 8 * 1024 * 1024
    sent = {"Content-Type": "multipart/mixed; boundary=b"}
    taken = await seller.post("$batch", b"--b--\r\n".ljust(limit), headers=sent)
    assert (taken.status, replies(taken)) == (200, [])
    refused = await seller.post("$batch", b"--b--\r\n".ljust(limit + 1), headers=sent)
    assert (refused.status, f"at most {limit:,}" in refused.error) == (413, True)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"a@odata.bind": "$1"', "not valid JSON"),
        ('{"a@odata.bind": "$1", "b": ' + "[" * 3_000 + "]" * 3_000 + "}", "nested too deeply"),
        ('{"a@odata.bind": "$1", "b": ' + "[" * 100_000 + "]" * 100_000 + "}", "nested too deeply"),
        ('{"primarycontactid@odata.bind": ["$1"]}', "is not a reference"),
    ],
)
async def test_a_body_that_cannot_be_read_is_the_parts_own_failure(seller: Client, body: str, message: str) -> None:
    bad = part("POST", "accounts", {}).replace("{}", body)
    _, result = await batch(seller, contact("A", "1"), bad)
    assert (result.status, message in result.error) == (400, True), result.error
