"""Tables through the Web API: what each lets be read and written, and the collections that lead from one to another."""

import uuid
from typing import Any

import orjson
import pytest

from shared.storage import records
from shared.storage.account import host_account
from shared.storage.organizations import TABLE, Organization
from shared.storage.tables import Operation, Tables
from shared.webapi.tables import TABLES
from tests.entra import Issuer
from tests.web_client import Client


async def test_emails_are_read_as_activities_and_not_written(seller: Client) -> None:
    contact = await seller.make("contacts", {"lastname": "Berg"})
    made = await seller.make(
        "emails", {"subject": "Offer", "regardingobjectid_contact_email@odata.bind": f"/contacts({contact})"}
    )
    row = (await seller.get(f"activitypointers({made})")).json
    assert (row["activityid"], row["subject"], row["activitytypecode"]) == (made, "Offer", "email")
    assert (row["statuscode"], row["_regardingobjectid_value"], row["isregularactivity"]) == (1, contact, True)
    assert set(row) - {"@odata.etag", "@odata.context"} == set(TABLES["activitypointer"].by_wire)
    listed = await seller.get("activitypointers?$select=subject&$filter=activitytypecode eq 'email'&$count=true")
    assert [item["activityid"] for item in listed.rows] == [made]
    assert (await seller.get(f"activitypointers?$filter=_regardingobjectid_value eq {contact}")).rows
    assert (await seller.get(f"emails({made})/activityid_activitypointer")).json["activityid"] == made
    for method, path in (
        ("POST", "activitypointers"),
        ("PATCH", f"activitypointers({made})"),
        ("DELETE", f"activitypointers({made})"),
    ):
        assert (await seller.send(method, path, {"subject": "x"})).status == 405


async def test_a_template_is_made_read_changed_and_deleted_by_its_owner(seller: Client, issuer: Issuer) -> None:
    template = {"title": "Intro", "subject": "Hello", "templatetypecode": "contact", "languagecode": 1033}
    made = await seller.make("templates", {**template, "body": "<p>Hi</p>", "opencount": 7})
    row = (await seller.get(f"templates({made})")).json
    assert (row["title"], row["ispersonal"], row["opencount"], row["ee_clickrate"]) == ("Intro", True, 0, 0)
    assert (await seller.patch(f"templates({made})", {"subject": "Good day"})).status == 204
    assert "openrate" in (await seller.patch(f"templates({made})", {"openrate": 99})).error
    assert "'subject'" in (await seller.patch(f"templates({made})", {"subject": None})).error
    other = Client(seller.organization, issuer)
    assert (await other.patch(f"templates({made})", {"subject": "x"})).status == 403
    assert "'title'" in (await seller.post("templates", {"subject": "x"})).error
    assert (await seller.send("DELETE", f"templates({made})")).status == 204
    assert (await seller.get(f"templates({made})")).status == 404


async def test_a_cards_state_is_made_for_its_caller(seller: Client) -> None:
    card = str(uuid.uuid4())
    await records.insert(seller.organization, "actioncard", card, {"actioncardid": card})
    state = {"startdate": "2026-11-25T08:00:00Z", "state": 1}
    made = await seller.make("actioncarduserstates", {**state, "actioncardid@odata.bind": f"/actioncards({card})"})
    row = (await seller.get(f"actioncarduserstates({made})")).json
    assert (row["state"], row["_ownerid_value"], row["_actioncardid_value"]) == (1, seller.user, card)
    assert (await seller.patch(f"actioncarduserstates({made})", {"startdate": "2026-11-26T08:00:00Z"})).status == 204
    assert "set on create only" in (await seller.patch(f"actioncarduserstates({made})", {"state": 0})).error
    assert "'startdate'" in (await seller.post("actioncarduserstates", {"state": 1})).error


async def test_the_organization_shows_what_its_settings_page_reads(
    seller: Client, administrator: Client, organization: Organization
) -> None:
    columns = (
        "isemailmonitoringallowed,isactioncardenabled,isrelationshipinsightsenabled,isautodatacaptureenabled,"
        "isactivityanalysisenabled,isonedriveenabled,maxuploadfilesize,allowunresolvedpartiesonemailsend,"
        "resolvesimilarunresolvedemailaddress,requireapprovalforuseremail,requireapprovalforqueueemail,orgdborgsettings"
    )
    row = (await seller.get(f"organizations({organization.id})?$select={columns}")).json
    assert (row["isemailmonitoringallowed"], row["isautodatacaptureenabled"], row["orgdborgsettings"]) == (
        True, False, None,
    )  # fmt: skip
    refused = await administrator.patch(f"organizations({organization.id})", {"isautodatacaptureenabled": True})
    assert (refused.status, "isautodatacaptureenabled" in refused.error) == (400, True)


async def test_a_setting_that_an_operator_has_just_changed_survives_the_change_of_another(
    administrator: Client, organization: Organization
) -> None:
    path = f"organizations({organization.id})"
    assert (await administrator.get(path)).status == 200, "this process has read the settings"
    elsewhere = Operation(
        "merge",
        {
            "PartitionKey": "organization",
            "RowKey": organization.name,
            "settings": orjson.dumps({**organization.settings, "isemailmonitoringallowed": False}).decode(),
        },
    )
    await Tables(host_account()).apply(TABLE, elsewhere)
    assert (await administrator.patch(path, {"ee_timezone": "Europe/Berlin"})).status == 204
    row = (await administrator.get(path)).json
    assert (row["ee_timezone"], row["isemailmonitoringallowed"]) == ("Europe/Berlin", False)


async def test_columns_stay_empty_where_the_feature_is_switched_off(
    seller: Client, administrator: Client, organization: Organization
) -> None:
    switch = f"organizations({organization.id})"
    assert (await administrator.patch(switch, {"isemailmonitoringallowed": False})).status == 204
    made = await seller.make("emails", {"subject": "Offer", "followemailuserpreference": True})
    counted = ("opencount", "linksclickedcount", "attachmentopencount", "replycount", "lastopenedtime")
    row = (await seller.get(f"emails({made})?$select={','.join(counted)}")).json
    assert [row[name] for name in counted] == [0, 0, 0, 0, None]
    model = (await seller.get("$metadata")).body
    assert all(f'Name="{name}"'.encode() in model for name in (*counted, "followemail", "openrate", "isrecommended"))
    definitions = (await seller.get("EntityDefinitions(LogicalName='email')/Attributes?$select=LogicalName")).rows
    assert set(counted) <= {item["LogicalName"] for item in definitions}


async def test_every_collection_is_read_from_its_row(seller: Client) -> None:
    contact = await seller.make("contacts", {"lastname": "Berg"})
    # Ids are the client's to choose: an account of the same id is another record.
    assert (await seller.patch(f"accounts({contact})", {"name": "Berg Ltd"})).status == 204
    colleague = await seller.make(
        "contacts", {"lastname": "Dahl", "parentcustomerid_account@odata.bind": f"/accounts({contact})"}
    )
    template = await seller.make(
        "templates", {"title": "Intro", "subject": "Hi", "templatetypecode": "contact", "languagecode": 1033}
    )
    party = {"partyid_contact@odata.bind": f"/contacts({contact})", "participationtypemask": 2}
    first = await seller.make(
        "emails",
        {
            "subject": "Offer",
            "regardingobjectid_contact_email@odata.bind": f"/contacts({contact})",
            "templateid@odata.bind": f"/templates({template})",
            "email_activity_parties": [party],
        },
    )
    second = await seller.make("emails", {"subject": "Re: Offer", "parentactivityid@odata.bind": f"/emails({first})"})
    read = {
        f"contacts({contact})/Contact_Emails": [first],
        f"contacts({contact})/Contact_ActivityPointers": [first],
        f"accounts({contact})/Account_Emails": [],
        f"accounts({contact})/contact_customer_accounts": [colleague],
        f"contacts({contact})/contact_customer_contacts": [],
        f"templates({template})/Email_EmailTemplate": [first],
        f"emails({first})/email_email_parentactivityid": [second],
        f"emails({first})/email_actioncard": [],
        f"contacts({contact})/lead_parent_contact": [],
    }
    for path, expected in read.items():
        answer = await seller.get(path)
        assert answer.status == 200, (path, answer.body)
        ids = [row.get("activityid") or row.get("contactid") for row in answer.rows]
        assert ids == expected, path
    parties = (await seller.get(f"contacts({contact})/contact_activity_parties")).rows
    assert [row["_activityid_value"] for row in parties] == [first]
    assert (await seller.get(f"accounts({contact})/account_activity_parties")).rows == []
    assert len((await seller.get(f"activitypointers({first})/activitypointer_activity_parties")).rows) == 2
    expanded = await seller.get(f"contacts({contact})?$select=fullname&$expand=Contact_Emails($select=subject)")
    assert [row["subject"] for row in expanded.json["Contact_Emails"]] == ["Offer"]


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
async def test_every_table_is_read_with_every_collection_expanded(seller: Client, table: Any) -> None:
    for name in table.collections:
        answer = await seller.get(f"{table.set}?$top=1&$expand={name}")
        assert answer.status == 200, (name, answer.body)
    for name in table.by_navigation:
        answer = await seller.get(f"{table.set}?$top=1&$expand={name}")
        assert answer.status == 200, (name, answer.body)


async def test_a_changed_organization_is_shown_as_it_is_now(administrator: Client) -> None:
    path = f"organizations({administrator.organization.id})"
    prefer = {"Prefer": "return=representation"}
    changed = await administrator.send("PATCH", path, {"ee_consentmode": 1}, headers=prefer)
    assert (changed.status, changed.json["ee_consentmode"]) == (200, 1)
    assert (await administrator.get("organizations")).rows[0]["ee_consentmode"] == 1
