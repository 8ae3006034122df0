"""BestTimeToEmail through the Web API, the habits that the fold keeps for it, and the settings it reads."""

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.engagement.hits import Hit, Kind
from shared.engagement.reading_times import load
from shared.engagement.times import iso_seconds, milliseconds
from shared.services import folding
from shared.storage import emails, journal, opens, records
from shared.storage.organizations import Organization
from shared.storage.tables import Operation
from tests.sent_mail import put_sent_email
from tests.storage_dump import dump
from tests.web_client import Answer, Client

TUESDAY = datetime(2026, 11, 24, 5, 0, tzinfo=UTC)
OUTLOOK = {
    "user-agent": "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)",
    "accept": "*/*",
    "accept-language": "en",
}


def reference(table: str, id: str) -> dict[str, str]:
    return {"@odata.type": f"Microsoft.Dynamics.CRM.{table}", f"{table}id": id}


async def ask(client: Client, *people: Any, now: datetime = TUESDAY) -> Answer:
    return await client.post("BestTimeToEmail", {"EntityReferenceCollection": list(people)}, now=now)


async def contact(client: Client, **columns: Any) -> dict[str, str]:
    return reference("contact", await client.make("contacts", {"lastname": "Berg", **columns}))


async def test_a_contact_is_written_to_in_the_morning_of_their_address(seller: Client) -> None:
    answer = await ask(seller, await contact(seller, address1_country="Germany"))
    assert answer.status == 200
    assert answer.json == {
        "@odata.context": f"{seller.base}/$metadata#Microsoft.Dynamics.CRM.BestTimeToEmailResponse",
        "PreferredTime": "2026-11-24T07:00:00Z",
        "Reason": "Their next working time begins on Tuesday 24 November, 08:00 in Europe/Berlin, from their address "
        "(Germany).",
    }


async def test_accounts_leads_and_users_are_recipients_too(seller: Client, administrator: Client) -> None:
    account = await seller.make("accounts", {"name": "Contoso", "telephone1": "+1 212 555 0123"})
    assert (await ask(seller, reference("account", account))).json["PreferredTime"] == "2026-11-24T13:00:00Z"
    lead = await seller.make("leads", {"lastname": "Ito", "ee_timezone": "Asia/Tokyo"})
    assert (await ask(seller, reference("lead", lead))).json["PreferredTime"] == "2026-11-24T05:00:00Z"
    user = {"@odata.type": "#Microsoft.Dynamics.CRM.systemuser", "systemuserid": f"{{{seller.user.upper()}}}"}
    assert (await ask(seller, user)).json["PreferredTime"] is None
    organization = f"organizations({seller.organization.id})"
    assert (await administrator.patch(organization, {"ee_timezone": "Europe/Vienna"})).status == 204
    seller = Client(await changed(seller.organization), seller.issuer, seller.user)
    assert (await ask(seller, user)).json["PreferredTime"] == "2026-11-24T07:00:00Z"


async def changed(organization: Organization) -> Organization:
    from shared.storage.organizations import find_organization

    found = await find_organization(organization.name)
    assert found is not None
    return found


async def test_several_recipients_get_the_hour_that_suits_most(seller: Client) -> None:
    people = [
        await contact(seller, address1_country="Germany"),
        await contact(seller, address1_country="USA", address1_stateorprovince="NY"),
        await contact(seller, address1_country="USA"),
    ]
    answer = (await ask(seller, *people)).json
    assert answer["PreferredTime"] == "2026-11-24T13:00:00Z"
    assert answer["Reason"] == (
        "2 of 3 recipients work on Tuesday 24 November, 13:00 UTC. The time zone of 1 is not known."
    )
    assert (await ask(seller, people[0], people[0])).json == (await ask(seller, people[0])).json


async def test_asking_writes_nothing(seller: Client) -> None:
    person = await contact(seller, address1_country="Germany")
    before = await dump(seller.organization)
    assert (await ask(seller, person)).status == 200
    assert await dump(seller.organization) == before


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({}, 400, "needs the parameter 'EntityReferenceCollection'"),
        ({"EntityReferenceCollection": []}, 400, "needs the parameter 'EntityReferenceCollection'"),
        ({"EntityReferenceCollection": {"contactid": "x"}}, 400, "needs the parameter 'EntityReferenceCollection'"),
        ({"EntityReferenceCollection": ["x"]}, 400, "'EntityReferenceCollection[0]' must be an object"),
        ({"EntityReferenceCollection": [{"contactid": "x"}]}, 400, "needs an '@odata.type' of a recipient"),
        ({"EntityReferenceCollection": [{"@odata.type": 5}]}, 400, "needs an '@odata.type' of a recipient"),
        ({"EntityReferenceCollection": [reference("queue", str(uuid.uuid4()))]}, 400, "Microsoft.Dynamics.CRM.contact"),
        ({"EntityReferenceCollection": [reference("contact", "x")]}, 400, "needs 'contactid', the id of the contact"),
        ({"EntityReferenceCollection": [reference("contact", str(uuid.UUID(int=1)))]}, 404, f"{uuid.UUID(int=1)} Does"),
        (
            {"EntityReferenceCollection": [reference("contact", str(uuid.UUID(int=n))) for n in range(101)]},
            400,
            "takes 1 to 100 recipients, not 101",
        ),
        ({"EntityReferenceCollection": [], "Other": 1}, 400, "The parameter 'Other'"),
    ],
)
async def test_what_cannot_be_answered_is_refused_by_name(
    seller: Client, body: dict[str, Any], status: int, words: str
) -> None:
    answer = await seller.post("BestTimeToEmail", body)
    assert (answer.status, words in answer.error) == (status, True), answer.error


async def test_an_impossible_zone_is_refused_when_it_is_written(seller: Client, administrator: Client) -> None:
    for path in ("contacts", "accounts", "leads"):
        answer = await seller.post(path, {"ee_timezone": "Mars/Olympus"})
        assert answer.status == 400
        assert "'ee_timezone'" in answer.error
        assert "'Mars/Olympus' is not a time zone: give a name of the IANA" in answer.error
    made = await seller.make("contacts", {"ee_timezone": "Asia/Tokyo"})
    assert (await seller.patch(f"contacts({made})", {"ee_timezone": "tokyo"})).status == 400
    assert (await seller.patch(f"contacts({made})", {"ee_timezone": None})).status == 204
    organization = f"organizations({seller.organization.id})"
    assert "'Nowhere' is not" in (await administrator.patch(organization, {"ee_timezone": "Nowhere"})).error


async def test_the_working_week_is_the_organizations_to_set(seller: Client, administrator: Client) -> None:
    path = f"organizations({seller.organization.id})"
    shown = (await administrator.get(f"{path}?$select=ee_workdaystart,ee_workdayend,ee_workingdays,ee_timezone")).json
    assert (shown["ee_workdaystart"], shown["ee_workdayend"], shown["ee_timezone"]) == ("08:00", "17:00", None)
    assert shown["ee_workingdays"] == "Monday, Tuesday, Wednesday, Thursday, Friday"
    week = {"ee_workdaystart": "09:30", "ee_workingdays": "Sunday, Monday"}
    assert (await administrator.patch(path, week)).status == 204
    person = await contact(seller, address1_country="Saudi Arabia")
    assert (await ask(seller, person)).json["PreferredTime"] == "2026-11-29T06:30:00Z"
    assert (await seller.patch(path, week)).status == 403


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"ee_workdaystart": "nine"}, "'nine' is not a time of day"),
        ({"ee_workdaystart": "18:00"}, "must end after it begins, not at 17:00 after 18:00"),
        ({"ee_workdayend": None}, "cannot be null"),
        ({"ee_workingdays": "Montag"}, "'montag' is not a day of the week"),
    ],
)
async def test_a_working_week_that_cannot_be_is_refused(
    administrator: Client, columns: dict[str, Any], words: str
) -> None:
    answer = await administrator.patch(f"organizations({administrator.organization.id})", columns)
    assert (answer.status, words in answer.error) == (400, True), answer.error


async def sent_to(organization: Organization, person: str, sent: datetime) -> str:
    """Write a followed mail that went to one contact alone."""
    email_id = str(await put_sent_email(organization, sent))
    party = {"PartitionKey": email_id, "RowKey": "party:000", "partyid": person, "partyid_type": "contact"}
    await organization.tables.apply(organization.emails, Operation("merge", party, "*"))
    return email_id


async def fold_open(organization: Organization, email_id: str, at: datetime, number: int, address: str) -> None:
    hit = Hit(f"0123456789abcdef-{number:012d}", Kind.OPEN, 0, milliseconds(at), "GET", address, OUTLOOK, "")
    row = journal.make_row(hit, email_id, 1)
    await journal.write_rows(organization.name, [row])
    await folding.fold_partition(organization.name, row["partition"], at + timedelta(minutes=5))


async def opens_of(organization: Organization, person: str) -> list[str]:
    found = await opens.read(organization, opens.of_person(person), 200)
    return [iso_seconds(at) for _, at in found]


async def test_the_fold_keeps_when_a_person_opened_and_twice_is_once(seller: Client) -> None:
    organization = seller.organization
    person = (await contact(seller, address1_country="Germany"))["contactid"]
    sent = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    first, second = await sent_to(organization, person, sent), await sent_to(organization, person, sent)
    await fold_open(organization, first, sent + timedelta(hours=1), 1, "203.0.113.9")
    await fold_open(organization, first, sent + timedelta(hours=1, minutes=30), 2, "203.0.113.9")
    await fold_open(organization, first, sent + timedelta(hours=30), 3, "203.0.113.9")
    await fold_open(organization, first, sent + timedelta(hours=30), 3, "203.0.113.9")
    await fold_open(organization, second, sent + timedelta(hours=2), 4, "203.0.113.9")
    assert sorted(await opens_of(organization, person)) == [
        "2026-11-02T10:30:00Z",
        "2026-11-02T11:30:00Z",
        "2026-11-03T15:30:00Z",
    ], "within the hour it is still being read"
    everybody = await opens.read(organization, opens.ORGANIZATION, 1000)
    assert [zone for zone, _ in everybody] == ["Europe/Berlin"] * 3
    row = await emails.get_email(organization, first)
    assert row is not None
    assert len(load(row["_readat"])) == 2
    assert row["opencount"] == 3


async def test_what_a_crash_left_between_habits_and_counters_is_made_good(
    seller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    organization = seller.organization
    person = (await contact(seller, address1_country="Germany"))["contactid"]
    sent = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    email_id = await sent_to(organization, person, sent)

    async def dies(*_: object) -> None:
        raise RuntimeError("the process is gone")

    with monkeypatch.context() as patch:
        patch.setattr(emails, "commit", dies)
        with pytest.raises(RuntimeError):
            await fold_open(organization, email_id, sent + timedelta(hours=1), 1, "203.0.113.9")
    await fold_open(organization, email_id, sent + timedelta(hours=1), 1, "203.0.113.9")
    assert await opens_of(organization, person) == ["2026-11-02T10:30:00Z"]


async def test_an_open_before_the_mail_is_recorded_as_sent_is_folded_and_kept_with_the_next(seller: Client) -> None:
    organization = seller.organization
    person = (await contact(seller, address1_country="Germany"))["contactid"]
    sent = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    email_id = await sent_to(organization, person, sent)
    row = await emails.get_email(organization, email_id)
    assert row is not None
    await emails.commit(organization, row, {"statuscode": 7, "senton": None})
    await fold_open(organization, email_id, sent + timedelta(seconds=2), 1, "203.0.113.9")
    row = await emails.get_email(organization, email_id)
    assert row is not None
    assert (row["opencount"], await opens_of(organization, person)) == (1, [])
    await emails.commit(organization, row, {"statuscode": 3, "senton": iso_seconds(milliseconds(sent))})
    await fold_open(organization, email_id, sent + timedelta(hours=2), 2, "203.0.113.9")
    assert sorted(await opens_of(organization, person)) == ["2026-11-02T09:30:02Z", "2026-11-02T11:30:00Z"]


async def test_what_was_told_from_fewer_hits_never_overwrites_what_was_told_from_more(
    organization: Organization,
) -> None:
    person, email_id = str(uuid.uuid4()), str(uuid.uuid4())
    await opens.write(organization, opens.of_person(person), email_id, 1000, "1700000000,1700009000", 2)
    await opens.write(organization, opens.of_person(person), email_id, 1000, "1700000000", 1)
    assert len(await opens_of(organization, person)) == 2
    await opens.write(organization, opens.of_person(person), email_id, 1000, "", 2)
    assert await opens_of(organization, person) == [], "judged anew, it was a machine"


async def test_only_the_newest_mail_says_something_of_habits(organization: Organization) -> None:
    for day in range(1, 6):
        await opens.write(organization, "opens x", str(uuid.uuid4()), day * 86_400_000, str(day), 1)
    assert [at for _, at in await opens.read(organization, "opens x", 3)] == [5000, 4000, 3000]


async def test_mail_to_several_or_to_no_record_keeps_no_habits(seller: Client) -> None:
    organization = seller.organization
    sent = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    person = (await contact(seller, address1_country="Germany"))["contactid"]
    several, stranger = await sent_to(organization, person, sent), await put_sent_email(organization, sent)
    party = {"PartitionKey": several, "RowKey": "party:001", "participationtypemask": 3, "addressused": "x@y.example"}
    await organization.tables.apply(organization.emails, Operation("insert", party))
    for number, email_id in enumerate((several, stranger)):
        await fold_open(organization, email_id, sent + timedelta(hours=1), number, "203.0.113.9")
    assert await opens_of(organization, person) == []
    assert await opens.read(organization, opens.ORGANIZATION, 1000) == []


async def test_a_persons_habits_choose_the_hour(seller: Client) -> None:
    organization = seller.organization
    person = await contact(seller, address1_country="Germany")
    first = datetime(2026, 8, 3, 9, 20, tzinfo=UTC)
    for day in range(42):
        opened = first + timedelta(days=day)
        await opens.write(
            organization,
            opens.of_person(person["contactid"]),
            str(uuid.uuid4()),
            milliseconds(opened),
            str(milliseconds(opened) // 1000),
            1,
        )
    answer = (await ask(seller, person)).json
    assert answer["PreferredTime"] == "2026-11-24T10:00:00Z", "eleven o'clock in summer is eleven o'clock in winter"
    assert answer["Reason"] == (
        "An open is most likely from Tuesday 24 November, 11:00 in Europe/Berlin, from their address (Germany), by 30 "
        "opens of theirs in working hours."
    )
    assert await records.get(organization, "contact", person["contactid"]) is not None
