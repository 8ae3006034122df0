"""GetEmailEngagementAggregateCounts and ee_GetEmailEngagementSeries: figures of a record, by period, day and hour."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.engagement.figures import COUNTS, QUARTER, Cell
from shared.engagement.hits import Kind
from shared.engagement.times import milliseconds
from shared.services import folding
from shared.storage import emails, figures
from shared.storage.figures import Addition
from shared.storage.organizations import Organization
from shared.webapi.operations import COMPLEX_TYPES, OPERATIONS
from tests.figures_world import brought_up_to_date
from tests.journalled_hits import CHROME, a_hit, journalled
from tests.web_client import Answer, Client

NOW = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
AGGREGATE, SERIES = "GetEmailEngagementAggregateCounts", "ee_GetEmailEngagementSeries"
NOBODY = "00000000-0000-4000-8000-000000000000"


def entity(table: str, id: str) -> dict[str, str]:
    return {"@odata.type": f"Microsoft.Dynamics.CRM.{table}", f"{table}id": id}


async def counted(organization: Organization, scope: str, time: str, *counts: int) -> None:
    """Let an email have added these counts to a scope in the quarter hour of a time."""
    quarter = milliseconds(datetime.fromisoformat(time)) // QUARTER
    at = datetime.fromtimestamp(quarter * QUARTER / 1000, UTC)
    cell = Cell(f"month:{at:%Y-%m}", f"d{at:%d}", str(quarter % 96))
    await figures.add(organization, scope, [Addition(str(uuid.uuid4()), 1, {cell: counts})])


async def ask(client: Client, target: Any, operation: str = AGGREGATE, **parameters: Any) -> Answer:
    return await client.post(operation, {"Target": target, **parameters}, now=NOW)


async def totals(client: Client, target: Any, **parameters: Any) -> list[int]:
    answer = await ask(client, target, **parameters)
    assert answer.status == 200, answer.error
    return [answer.json[name] for name in COUNTS]


async def a_mail(organization: Organization, sent: datetime, **columns: Any) -> str:
    """Write a followed mail to Ada as delivery leaves it."""
    key, time = str(uuid.uuid4()), f"{sent:%Y-%m-%dT%H:%M:%SZ}"
    row = {
        "activityid": key,
        "subject": "Our offer",
        "statecode": 1,
        "statuscode": 7,
        "isemailfollowed": True,
        "createdon": time,
        "ownerid": str(uuid.uuid4()),
        **columns,
    }
    under: Sequence[dict[str, Any]] = (
        {"RowKey": "link:0000", "item": 0, "target": "https://example.com/0", "text": "Offer"},
        {"RowKey": "attachment:1", "filename": "quote.pdf", "_item": 0},
    )
    rows = [{**each, "PartitionKey": key} for each in under]
    await emails.insert(organization, {**row, "PartitionKey": key, "RowKey": "email"}, rows)
    made = await emails.get_email(organization, key)
    assert made is not None
    await emails.commit(organization, made, {"statuscode": 3, "senton": time})
    return key


async def test_what_people_did_counts_for_the_record_its_owner_and_the_organization(seller: Client) -> None:
    organization = seller.organization
    contact = await seller.make("contacts", {"lastname": "Lovelace"})
    assert (await seller.get("WhoAmI")).status == 200
    about = {"regardingobjectid": contact, "regardingobjectid_type": "contact", "ownerid": seller.user}
    sent = datetime(2026, 11, 2, 9, 30, tzinfo=UTC)
    email = await a_mail(organization, sent, **about)
    await a_mail(organization, sent + timedelta(days=1), isemailfollowed=False, **about)
    hits = [
        a_hit(email, 3600),
        a_hit(email, 3602),
        a_hit(email, 3660, kind=Kind.LINK, headers=CHROME),
        a_hit(email, 90_000, kind=Kind.ATTACHMENT, headers=CHROME),
        a_hit(email, 30, headers={"user-agent": "python-requests/2.32"}, address="198.51.100.1"),
    ]
    for partition in await journalled(organization, *hits):
        await folding.fold_partition(organization.name, partition, NOW)
    await brought_up_to_date(organization, NOW)
    everywhere = [entity("contact", contact), entity("systemuser", seller.user)]
    everywhere.append(entity("organization", organization.id))
    for target in everywhere:
        assert await totals(seller, target) == [2, 1, 1, 0, 1, 1], target
        first_day = {"From": "2026-11-02T00:00:00Z", "To": "2026-11-03T00:00:00Z"}
        assert await totals(seller, target, **first_day) == [1, 1, 1, 0, 0, 1], target
        told = (await ask(seller, target, SERIES, **first_day, TimeZone="Asia/Tokyo")).json
        assert sum(day["EmailOpens"] for day in told["Days"]) == 1
    other = await seller.make("contacts", {"lastname": "Nobody"})
    assert await totals(seller, entity("contact", other)) == [0] * 6


async def test_a_period_has_its_first_quarter_hour_and_not_its_last(seller: Client) -> None:
    contact = await seller.make("contacts", {"lastname": "Lovelace"})
    for time in ("2026-10-31T23:45:00Z", "2026-11-01T10:15:00Z", "2026-11-01T10:30:00Z", "2026-12-01T00:00:00Z"):
        await counted(seller.organization, f"contact {contact}", time, 1, 1, 2, 0, 0, 3)
    target = entity("contact", contact)

    async def mails(start: str | None, end: str | None) -> int:
        return (await totals(seller, target, From=start, To=end))[0]

    assert await mails(None, None) == 4
    assert await mails("2026-11-01T10:15:00Z", "2026-11-01T10:30:00Z") == 1
    assert await mails("2026-11-01T10:29:59Z", "2026-11-01T10:44:59Z") == 1, "both are rounded down"
    assert await mails("2026-11-01T11:15:00+01:00", "2026-11-01T10:45:00Z") == 2
    assert await mails("2026-11-01", "2026-12-01") == 2
    assert await mails("2026-10-31", None) == 4
    assert await mails(None, "9999-12-31T23:59:59Z") == 4
    assert await mails("2026-11-01T10:15:00Z", "2026-11-01T10:15:00Z") == 0
    assert await mails("1753-01-01", "1969-12-31") == 0


async def test_a_record_is_named_in_any_of_the_forms_that_clients_write(seller: Client) -> None:
    contact = await seller.make("contacts", {"lastname": "Lovelace", "ee_externalid": "e9"})
    await counted(seller.organization, f"contact {contact}", "2026-11-01T10:15:00Z", 1, 1, 0, 0, 0, 0)
    for target in (
        {"@odata.type": "#Microsoft.Dynamics.CRM.contact", "contactid": f"{{{contact.upper()}}}"},
        {"@odata.id": f"contacts({contact})"},
        {"@odata.id": f"{seller.base}/contacts({contact})"},
        {"@odata.id": "/contacts(ee_externalid='e9')"},
        {"@odata.id": f"contacts%28{contact}%29"},
        {"LogicalName": "contact", "Id": contact},
        {"entityType": "contact", "id": contact},
    ):
        assert (await totals(seller, target))[0] == 1, target


async def test_the_values_of_a_key_do_not_say_of_which_table_it_is(seller: Client) -> None:
    account = await seller.make("accounts", {"name": "Engines", "ee_externalid": "contacts(1)"})
    await counted(seller.organization, f"account {account}", "2026-11-01T10:15:00Z", 1, 1, 0, 0, 0, 0)
    assert (await totals(seller, {"@odata.id": "accounts(ee_externalid='contacts(1)')"}))[0] == 1


async def test_a_series_has_every_day_and_every_hour_of_the_week(seller: Client) -> None:
    contact = await seller.make("contacts", {"lastname": "Lovelace"})
    scope = f"contact {contact}"
    await counted(seller.organization, scope, "2026-11-22T23:30:00Z", 1, 1, 2, 1, 0, 3)  # Monday in Berlin
    await counted(seller.organization, scope, "2026-11-24T08:00:00Z", 1, 0, 0, 0, 0, 0)
    period = {"From": "2026-11-21T23:00:00Z", "To": "2026-11-24T23:00:00Z", "TimeZone": "Europe/Berlin"}
    answer = await ask(seller, entity("contact", contact), SERIES, **period)
    assert answer.status == 200, answer.error
    told = answer.json
    zeros = dict.fromkeys(
        ("Emails", "FollowedEmails", "EmailOpens", "EmailReplies", "AttachmentOpens", "LinkClicks"), 0
    )
    monday = {
        "Emails": 1,
        "FollowedEmails": 1,
        "EmailOpens": 2,
        "EmailReplies": 1,
        "AttachmentOpens": 0,
        "LinkClicks": 3,
    }
    assert told["Days"] == [
        {"Date": "2026-11-22", **zeros},
        {"Date": "2026-11-23", **monday},
        {"Date": "2026-11-24", **zeros, "Emails": 1},
    ]
    assert [(hour["Weekday"], hour["Hour"]) for hour in told["Hours"]] == [(n // 24, n % 24) for n in range(168)]
    assert told["Hours"][0] == {"Weekday": 0, "Hour": 0, **monday}
    assert told["Hours"][24 + 9]["Emails"] == 1
    assert (told["TimeZone"], told["From"], told["To"]) == tuple(period[name] for name in ("TimeZone", "From", "To"))
    assert told.keys() - {"@odata.context"} == OPERATIONS[SERIES].returns.keys()
    assert told["Days"][0].keys() == COMPLEX_TYPES["ee_EngagementDay"].keys()
    assert told["Hours"][0].keys() == COMPLEX_TYPES["ee_EngagementHour"].keys()


async def test_a_series_is_of_the_last_ninety_days_by_the_readers_clock_unless_it_is_said(seller: Client) -> None:
    assert (await seller.get("WhoAmI")).status == 200
    zone = {"ee_timezone": "Pacific/Auckland"}  # 13 hours ahead
    assert (await seller.patch(f"systemusers({seller.user})", zone)).status == 204
    target = entity("organization", seller.organization.id)
    await counted(seller.organization, "organization", "2026-11-25T09:00:00Z", 1, 1, 0, 0, 0, 0)
    told = (await ask(seller, target, SERIES)).json
    assert told["TimeZone"] == "Pacific/Auckland"
    assert (len(told["Days"]), told["Days"][0]["Date"], told["Days"][-1]["Date"]) == (90, "2026-08-28", "2026-11-25")
    assert told["Days"][-1]["Emails"] == 1, "the quarter hour that has begun is in it"
    two_years = (await ask(seller, target, SERIES, From="2024-11-25T00:00:00+13:00")).json
    assert len(two_years["Days"]) == 731


@pytest.mark.parametrize("operation", [AGGREGATE, SERIES])
@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"Target": None}, 400, "needs the parameter 'Target'"),
        ({"Target": "contacts(1)"}, 400, "'Target' must be an object"),
        ({"Target": {"contactid": NOBODY}}, 400, "needs an '@odata.type' of a record that has figures"),
        ({"Target": {"@odata.type": ["contact"]}}, 400, "needs an '@odata.type'"),
        ({"Target": entity("queue", NOBODY)}, 400, "Microsoft.Dynamics.CRM.organization"),
        ({"Target": entity("contact", "x")}, 400, "needs 'contactid', the id of the contact"),
        ({"Target": {"@odata.id": f"queues({NOBODY})"}}, 400, "must name a record that has figures, a row of one of:"),
        ({"Target": {"@odata.id": f"accounts({NOBODY})/name"}}, 400, "is not a reference"),
        ({"Target": {"@odata.id": 5}}, 400, "is not a reference"),
        ({"Target": entity("contact", NOBODY)}, 404, f"contact With Id = {NOBODY} Does Not Exist"),
        ({"Target": entity("organization", NOBODY)}, 404, f"organization With Id = {NOBODY} Does Not Exist"),
        ({"Target": {"@odata.id": "contacts(ee_externalid='x')"}}, 404, "does not exist"),
        ({"From": "yesterday"}, 400, "'From'"),
        ({"To": 5}, 400, "'To'"),
        ({"From": "2026-13-01"}, 400, "'From'"),
        ({"From": "2026-11-02", "To": "2026-11-01"}, 400, "'From' of"),
        ({"From": "2026-11-01T10:01:00Z", "To": "2026-11-01T10:00:00Z"}, 400, "is after 'To'"),
        ({"Until": "2026-11-01"}, 400, "'Until'"),
    ],
)
async def test_what_cannot_be_answered_is_refused_by_name(
    seller: Client, operation: str, body: dict[str, Any], status: int, words: str
) -> None:
    answer = await seller.post(operation, {"Target": entity("organization", seller.organization.id), **body}, now=NOW)
    assert (answer.status, words in answer.error) == (status, True), answer.error


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"TimeZone": "Mars/Olympus"}, "'Mars/Olympus' is not a time zone"),
        ({"TimeZone": 5}, "must be a text"),
        ({"From": "2024-01-01", "To": "2026-01-02"}, "at most 731 days"),
        ({"From": "1753-01-01"}, "at most 731 days"),
        ({"From": "2027-01-01"}, "is after 'To': give 'To' as well, which is now"),
        ({"To": "9999-12-31T23:59:59Z", "From": "2026-01-01"}, "at most 731 days"),
    ],
)
async def test_a_series_of_no_zone_or_of_ages_is_refused(seller: Client, body: dict[str, Any], words: str) -> None:
    answer = await ask(seller, entity("organization", seller.organization.id), SERIES, **body)
    assert (answer.status, words in answer.error) == (400, True), answer.error


@pytest.mark.parametrize(
    ("now", "asked", "last"),
    [
        ("2026-11-25T23:50:00Z", {}, "2026-11-25"),
        ("2026-11-25T18:20:00Z", {"TimeZone": "Asia/Kolkata"}, "2026-11-25"),  # 23:50
        ("2026-11-25T18:30:00Z", {"TimeZone": "Asia/Kolkata"}, "2026-11-26"),  # 0:00
        ("2026-11-25T09:00:00Z", {"To": "2026-11-20T00:10:00Z"}, "2026-11-19"),
    ],
)
async def test_a_series_of_no_beginning_has_ninety_days_at_any_hour(
    seller: Client, now: str, asked: dict[str, str], last: str
) -> None:
    body = {"Target": entity("organization", seller.organization.id), **asked}
    days = (await seller.post(SERIES, body, now=datetime.fromisoformat(now))).json["Days"]
    assert (len(days), days[-1]["Date"]) == (90, last)


async def test_the_end_of_the_calendar_is_no_fault(seller: Client) -> None:
    target = entity("organization", seller.organization.id)
    for zone in ("Pacific/Kiritimati", "Pacific/Pago_Pago"):
        for end in ("9999-12-31T23:59:59Z", "1753-01-01"):
            answer = await ask(seller, target, SERIES, To=end, TimeZone=zone)
            assert answer.status == 200, answer.error
