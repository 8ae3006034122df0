"""ee_GetEmailHistory and ee_statustext through the Web API: what the fold kept, told by the reader's clock."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from shared.engagement.hits import Kind
from shared.services import folding
from shared.storage.organizations import Organization, find_organization
from shared.storage.tables import Operation
from tests.journalled_hits import CHROME, SENT, a_hit, journalled
from tests.sent_mail import put_sent_email
from tests.web_client import Answer, Client

LATER = SENT + timedelta(hours=30)
FUNCTION = "Microsoft.Dynamics.CRM.ee_GetEmailHistory"


async def folded(organization: Organization, *rows: dict[str, Any]) -> None:
    for partition in await journalled(organization, *rows):
        await folding.fold_partition(organization.name, partition, LATER)


async def ask(client: Client, email: str, arguments: str = "()", **options: Any) -> Answer:
    return await client.get(f"emails({email})/{FUNCTION}{arguments}", now=LATER, **options)


async def with_zone(client: Client, zone: str) -> None:
    assert (await client.get("WhoAmI")).status == 200
    answer = await client.patch(f"systemusers({client.user})", {"ee_timezone": zone})
    assert answer.status == 204, answer.error


async def test_a_page_reads_what_became_of_a_mail(seller: Client) -> None:
    email = await put_sent_email(seller.organization, SENT, file="quote.pdf")
    scanner = {"user-agent": "python-requests/2.32"}
    await folded(
        seller.organization,
        a_hit(email, 30, kind=Kind.LINK, item=1, headers=scanner, address="198.51.100.1"),
        a_hit(email, 3600),
        a_hit(email, 3602),
        a_hit(email, 3660, kind=Kind.LINK, item=1, headers=CHROME),
        a_hit(email, 3700, kind=Kind.ATTACHMENT, headers=CHROME),
    )
    await with_zone(seller, "Europe/Berlin")
    answer = await ask(seller, email)
    assert answer.status == 200, answer.body
    told = answer.json
    assert told["@odata.context"] == f"{seller.base}/$metadata#Microsoft.Dynamics.CRM.ee_GetEmailHistoryResponse"
    assert told["StatusText"] == "Last opened yesterday at 11:30"
    assert [event["TypeText"] for event in told["Interactions"]] == [
        "Opened a file",
        "Clicked a link",
        "Opened the mail",
    ]
    file, click, opened = told["Interactions"]
    assert (file["FileName"], click["LinkText"], click["LinkTarget"]) == (
        "quote.pdf",
        "Link 1",
        "https://example.com/1",
    )
    assert {event["Who"] for event in told["Interactions"]} == {"Ada Lovelace"}
    assert (opened["Time"], opened["TimeText"]) == ("2026-11-02T10:30:00Z", "yesterday at 11:30")
    assert (opened["Repetitions"], told["MergedInteractions"][0]["RepeatOf"]) == (1, opened["InteractionId"])
    assert "Outlook" in opened["Device"]
    assert [event["LinkText"] for event in told["MachineInteractions"]] == ["Link 1"]
    assert [(link["Clicks"], link["MachineClicks"]) for link in told["Links"]] == [(0, 0), (1, 1)]
    assert told["Links"][1]["LastClickedText"] == "yesterday at 11:31"
    assert [(item["FileName"], item["Opens"]) for item in told["Attachments"]] == [("quote.pdf", 1)]
    assert told["Totals"]["MachineClicks"] == 1
    everything = await seller.get(told["AllInteractions"])
    assert len(everything.rows) == told["InteractionCount"] == 5


async def test_another_zone_can_be_asked_for_inline_or_by_alias(seller: Client) -> None:
    email = await put_sent_email(seller.organization, SENT)
    await folded(seller.organization, a_hit(email, 3600))
    name = quote("'Asia/Tokyo'")
    for arguments in ("(TimeZone='Asia/Tokyo')", f"(TimeZone={name})", f"(TimeZone=@zone)?@zone={name}"):
        told = (await ask(seller, email, arguments)).json
        assert (told["TimeZone"], told["StatusText"]) == ("Asia/Tokyo", "Last opened on 2 November at 19:30"), arguments
    for arguments in ("", "()", "(TimeZone=null)"):
        told = (await ask(seller, email, arguments)).json
        assert (told["TimeZone"], told["StatusText"]) == ("UTC", "Last opened yesterday at 10:30 UTC"), arguments


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ("(TimeZone='Mars/Olympus')", "'Mars/Olympus' is not a time zone"),
        ("(TimeZone='')", "'' is not a time zone"),
        ("(TimeZone=@zone)", "alias '@zone' has no value"),
        ("(TimeZone=5)", "cannot be read"),
        ("(TimeZone)", "cannot be read"),
        ("(Zone='UTC')", "'Zone' is not a valid parameter"),
        ("(TimeZone='UTC',)", "cannot be read"),
        ("(TimeZone='UTC',TimeZone='Asia/Tokyo')", "'TimeZone' of 'ee_GetEmailHistory' is given twice"),
        ("()?TimeZone='Asia/Tokyo'", "'TimeZone' stands behind the '?'"),
    ],
)
async def test_parameters_that_cannot_be_read_are_refused_by_name(seller: Client, arguments: str, words: str) -> None:
    email = await put_sent_email(seller.organization, SENT)
    answer = await ask(seller, email, arguments)
    assert (answer.status, words in answer.error) == (400, True), answer.error


async def test_parentheses_that_are_not_closed_name_no_function(seller: Client) -> None:
    email = await put_sent_email(seller.organization, SENT)
    answer = await ask(seller, email, "(TimeZone='UTC'")
    assert (answer.status, "Resource not found for the segment" in answer.error) == (404, True), answer.error


async def test_the_history_of_no_mail_is_not_there(seller: Client) -> None:
    nobody = "00000000-0000-4000-8000-000000000000"
    answer = await ask(seller, nobody)
    assert (answer.status, answer.error) == (404, f"email With Id = {nobody} Does Not Exist")
    email = await put_sent_email(seller.organization, SENT)
    assert (await seller.post(f"emails({email})/{FUNCTION}", {})).status == 405
    assert (await seller.get(f"emails({email})/ee_GetEmailHistory()")).status == 400
    assert (await seller.get(f"emails({email})/{FUNCTION}()/more")).status == 404
    assert (await seller.get(f"contacts({email})/{FUNCTION}()")).status == 404
    assert (await seller.post(f"emails({email})/Microsoft.Dynamics.CRM.SendEmail(x=1)", {})).status == 404


async def test_mail_that_is_only_marked_as_sent_says_that_nothing_can_be_known_of_it(seller: Client) -> None:
    email = await seller.make("emails", {"subject": "By letter", "followemailuserpreference": True})
    marked = await seller.post(f"emails({email})/Microsoft.Dynamics.CRM.SendEmail", {"IssueSend": False})
    assert marked.status == 200, marked.error
    told = (await ask(seller, email)).json
    reason = "it was closed, not sent from here"
    assert (told["IsFollowed"], told["FollowReason"]) == (False, reason)
    assert told["StatusText"] == f"Not followed: {reason}"


async def test_unfollowed_mail_has_an_empty_history_and_the_reason(seller: Client) -> None:
    email = await put_sent_email(seller.organization, SENT)
    row = {"PartitionKey": email, "RowKey": "email", "isemailfollowed": False, "ee_followreason": "Ada said no"}
    await seller.organization.tables.transact(seller.organization.emails, [Operation("merge", row, "*")])
    told = (await ask(seller, email)).json
    assert (told["IsFollowed"], told["FollowReason"]) == (False, "Ada said no")
    assert (told["Interactions"], told["Links"], told["StatusText"]) == ([], [], "Not followed: Ada said no")


async def test_the_status_is_told_by_the_readers_clock_then_the_organizations_then_utc(
    seller: Client, administrator: Client, manager: Client
) -> None:
    email = await put_sent_email(seller.organization, SENT)
    await folded(seller.organization, a_hit(email, 14.75 * 3600))
    path = f"emails({email})?$select=ee_statustext"

    async def text(client: Client) -> str:
        return str((await client.get(path, now=LATER)).json["ee_statustext"])

    assert await text(seller) == "Last opened today at 00:15 UTC"
    organization = f"organizations({seller.organization.id})"
    assert (await administrator.patch(organization, {"ee_timezone": "America/New_York"})).status == 204
    assert await text(seller) == "Last opened yesterday at 19:15 in America/New_York"
    await with_zone(seller, "Australia/Sydney")
    assert await text(seller) == "Last opened yesterday at 11:15"
    assert await text(manager) == "Last opened yesterday at 19:15 in America/New_York"
    listed = (await seller.get("emails?$filter=contains(ee_statustext,'at 11:15')&$select=subject", now=LATER)).rows
    assert [row["activityid"] for row in listed] == [email]
    assert "ee_statustext" not in listed[0]


async def test_users_set_their_own_zone_and_nobody_elses(seller: Client, manager: Client) -> None:
    await with_zone(seller, "Europe/Berlin")
    assert (await seller.get(f"systemusers({seller.user})?$select=ee_timezone")).json["ee_timezone"] == "Europe/Berlin"
    answer = await seller.patch(f"systemusers({seller.user})", {"ee_timezone": "Berlin"})
    assert (answer.status, "'Berlin' is not a time zone" in answer.error) == (400, True)
    assert (await manager.patch(f"systemusers({seller.user})", {"ee_timezone": "UTC"})).status == 403
    assert (await seller.patch(f"systemusers({seller.user})", {"ee_timezone": None})).status == 204


async def test_a_zone_that_was_given_up_is_told_in_utc(seller: Client) -> None:
    email = await put_sent_email(seller.organization, datetime(2026, 11, 2, 9, 30, tzinfo=UTC))
    found = await find_organization(seller.organization.name)
    assert found is not None
    await with_zone(seller, "Europe/Berlin")
    row = {"PartitionKey": "systemuser", "RowKey": seller.user, "ee_timezone": "Mars/Olympus"}
    await found.tables.apply(found.records, Operation("merge", row, "*"))
    answer = await seller.get(f"emails({email})?$select=ee_statustext", now=LATER)
    assert (answer.status, answer.json["ee_statustext"]) == (200, "Not yet opened")
