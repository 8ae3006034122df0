"""Templates over the Web API: what is saved and refused, who sees and changes them, and mail made of them."""

import asyncio
import json
import uuid
from collections.abc import Mapping
from typing import Any

import azure.functions as func
import pytest
from azure.storage.queue import QueueClient

from functions import templates as triggers
from shared.services import composing, templates
from shared.storage import emails, lists, queues, records
from shared.storage.account import host_account
from shared.storage.organizations import Organization
from shared.webapi import texts
from shared.webapi.schema import Column
from tests.entra import Issuer
from tests.storage_dump import dump, messages
from tests.web_client import Answer, Client

TEMPLATE = {"title": "Intro", "subject": "Hello", "templatetypecode": "contact", "languagecode": 1033}
NOWHERE = "0b1d0b6e-0000-4000-8000-000000000009"


@pytest.fixture
def other(seller: Client, issuer: Issuer) -> Client:
    """Return another seller of the organization."""
    return Client(seller.organization, issuer)


async def a_contact(client: Client, **columns: Any) -> str:
    return await client.make("contacts", {"firstname": "Ada", "emailaddress1": "ada@northwind.example", **columns})


async def instantiate(client: Client, template: str, record: str, table: str = "contact") -> Answer:
    sent = {"TemplateId": template, "ObjectType": table, "ObjectId": record}
    return await client.post("InstantiateTemplate", sent)


async def send(client: Client, template: str, regarding: str, **target: Any) -> Answer:
    contact = {"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": regarding}
    party = {"partyid_contact@odata.bind": f"/contacts({regarding})", "participationtypemask": 2}
    email = {"@odata.type": "Microsoft.Dynamics.CRM.email", "email_activity_parties": [party], **target}
    return await client.post("SendEmailFromTemplate", {"TemplateId": template, "Regarding": contact, "Target": email})


async def blobs_of(organization: Organization) -> dict[str, Any]:
    return {name: content for name, content in (await dump(organization)).items() if name.startswith("blob/")}


async def announced() -> int:
    """Return how many messages about deleted templates wait, hidden ones included."""

    def count() -> int:
        with QueueClient.from_connection_string(host_account().connection_string, queues.UNLINK) as client:
            return client.get_queue_properties().approximate_message_count or 0

    return await asyncio.to_thread(count)


async def with_mailbox(client: Client) -> None:
    """Give a user the address that mail is sent from."""
    await client.get("WhoAmI")
    columns = {"fullname": "Sella <Seller>", "internalemailaddress": "seller@contoso.example"}
    await records.merge(client.organization, "systemuser", client.user, columns)


# What is saved


async def test_a_templates_texts_are_read_back_and_lists_leave_the_large_ones_out(seller: Client) -> None:
    large = "<p>" + "ö " * 200_000 + "</p>"
    texts = {"body": large, "presentationxml": "<x/>", "safehtml": "<p>safe</p>"}
    made = await seller.make("templates", {**TEMPLATE, **texts})
    row = (await seller.get(f"templates({made})")).json
    assert {name: row[name] for name in texts} == texts
    listed = (await seller.get("templates")).rows[0]
    assert not set(texts) & listed.keys()
    assert (await seller.get("templates?$select=safehtml")).rows[0]["safehtml"] == "<p>safe</p>"
    assert (await seller.get(f"templates({made})/body/$value")).body.decode() == large
    assert "cannot be filtered" in (await seller.get("templates?$filter=contains(body,'x')")).error
    assert (await seller.patch(f"templates({made})", {"body": None, "safehtml": "<p>new</p>"})).status == 204
    row = (await seller.get(f"templates({made})?$select=body,safehtml,presentationxml")).json
    assert (row["body"], row["safehtml"], row["presentationxml"]) == (None, "<p>new</p>", "<x/>")


async def test_only_what_a_row_names_is_kept_of_its_texts(seller: Client) -> None:
    before = await blobs_of(seller.organization)
    made = await seller.make("templates", {**TEMPLATE, "body": "<p>1</p>", "safehtml": "<p>1</p>"})
    for number in range(3):
        assert (await seller.patch(f"templates({made})", {"body": f"<p>{number}</p>"})).status == 204
    assert len(await blobs_of(seller.organization)) == len(before) + 2
    assert (await seller.patch(f"templates({made})", {"body": "x", "title": None})).status == 400
    assert (await seller.patch(f"templates({made})", {"body": "{!contact:nothing;}"})).status == 400
    assert (await seller.patch(f"templates({NOWHERE})", {"body": "x"}, headers={"If-Match": "*"})).status == 404
    assert (await seller.patch(f"templates({made})", {"body": "x"}, headers={"If-Match": 'W/"1"'})).status == 412
    assert (await seller.post("templates", {**TEMPLATE, "templateid": made, "body": "x"})).status == 412
    assert len(await blobs_of(seller.organization)) == len(before) + 2
    assert (await seller.get(f"templates({made})")).json["body"] == "<p>2</p>"
    assert (await seller.send("DELETE", f"templates({made})")).status == 204
    assert await blobs_of(seller.organization) == before


@pytest.mark.parametrize("column", ["body", "presentationxml", "safehtml"])
async def test_a_text_of_5_mb_is_refused_and_the_limit_named(seller: Client, column: str) -> None:
    answer = await seller.post("templates", {**TEMPLATE, column: "x" * 5_000_000})
    assert answer.status == 400
    assert f"The {column} takes 5,000,002 bytes" in answer.error
    assert f"at most {composing.MAX_BODY:,} fit" in answer.error
    assert (await seller.get("templates")).rows == []
    assert await seller.make("templates", {**TEMPLATE, column: "x" * 3_000_000})


@pytest.mark.parametrize(
    ("wrong", "culprit", "remedy"),
    [
        ({"subject": "Hi {!contact:firstname;you"}, "'subject'", "is not closed"),
        ({"body": "<p>{!contact:firstname"}, "'body'", "is not closed"),
        ({"body": "{!opportunity:name;}"}, "'{!opportunity:name;}'", "columns of contact and systemuser"),
        ({"subject": "{!lead:firstname;}"}, "'{!lead:firstname;}'", "columns of contact and systemuser"),
        ({"body": "{!contact:salary;}"}, "'{!contact:salary;}'", "'salary' is no column of contact"),
        ({"body": "{!Contact:Frist Name;}"}, "'{!Contact:Frist Name;}'", "did you mean 'firstname'?"),
        ({"body": "<a href={!contact:websiteurl;}>x</a>"}, "{!contact:websiteurl;}", "in quotes"),
        ({"templatetypecode": "systemuser", "subject": "{!contact:firstname;}"}, "firstname", "columns of systemuser"),
        ({"templatetypecode": "email"}, "'templatetypecode'", "contact, account, lead, systemuser"),
        ({"templatetypecode": "Contact"}, "'templatetypecode'", "contact, account, lead, systemuser"),
        ({"languagecode": 7}, "'languagecode'", "such as 1033"),
        ({"languagecode": 999_999}, "'languagecode'", "such as 1033"),
        ({"languagecode": "en"}, "'languagecode'", "Edm.Int32"),
    ],
)  # fmt: skip
async def test_what_could_not_be_filled_in_is_refused_however_it_is_saved(
    seller: Client, wrong: dict[str, Any], culprit: str, remedy: str
) -> None:
    body = "<p>Dear {!Contact:First Name;friend}, {!user:fullname;}</p>"
    made = await seller.make("templates", {**TEMPLATE, "body": body})
    named = {"templateid": made, **wrong}
    multiple = "templates/Microsoft.Dynamics.CRM."
    for answer in (
        await seller.post("templates", {**TEMPLATE, **wrong}),
        await seller.patch(f"templates({made})", wrong),
        await seller.patch(f"templates({NOWHERE})", {**TEMPLATE, **wrong}),
        await seller.post(f"{multiple}CreateMultiple", {"Targets": [TEMPLATE, {**TEMPLATE, **wrong}]}),
        await seller.post(f"{multiple}UpdateMultiple", {"Targets": [named]}),
        await seller.post(f"{multiple}UpsertMultiple", {"Targets": [named]}),
    ):
        assert answer.status == 400, answer.body
        assert culprit in answer.error
        assert remedy in answer.error
    rows = (await seller.get("templates?$select=subject,body,templatetypecode,languagecode")).rows
    assert [(row["subject"], row["body"], row["languagecode"]) for row in rows] == [("Hello", body, 1033)]


async def test_another_table_is_taken_only_where_what_is_stored_fits_it(seller: Client) -> None:
    made = await seller.make("templates", {**TEMPLATE, "body": "{!contact:jobtitle;}"})
    refused = await seller.patch(f"templates({made})", {"templatetypecode": "account"})
    assert "'{!contact:jobtitle;}'" in refused.error
    moved = {"templatetypecode": "account", "body": "{!account:name;}"}
    assert (await seller.patch(f"templates({made})", moved)).status == 204
    subject = await seller.make("templates", {**TEMPLATE, "subject": "{!contact:jobtitle;}"})
    assert "'subject'" in (await seller.patch(f"templates({subject})", {"templatetypecode": "lead"})).error
    for language in (1031, 3082, 9242):
        assert (await seller.patch(f"templates({subject})", {"languagecode": language})).status == 204


async def test_a_change_set_that_fails_leaves_template_and_texts_as_they_were(seller: Client) -> None:
    made = await seller.make("templates", {**TEMPLATE, "body": "<p>old</p>"})
    before, waiting = await blobs_of(seller.organization), await announced()
    lines = ["--b", "Content-Type: multipart/mixed; boundary=c", ""]
    requests = [
        ("PATCH", f"templates({made})", {"body": "<p>new</p>", "subject": "New"}),
        ("POST", "templates", {**TEMPLATE, "body": "<p>another</p>"}),
        ("DELETE", f"templates({made})", {}),
        ("POST", "contacts", {"nothing": 1}),
    ]
    for number, (method, path, body) in enumerate(requests, 1):
        head = ["--c", "Content-Type: application/http", "Content-Transfer-Encoding: binary", f"Content-ID: {number}"]
        head += ["", f"{method} {seller.base}/{path} HTTP/1.1", "Content-Type: application/json", ""]
        lines += [*head, json.dumps(body)]
    sent = "\r\n".join([*lines, "--c--", "--b--", ""]).encode()
    answer = await seller.post("$batch", sent, headers={"Content-Type": "multipart/mixed; boundary=b"})
    assert b"Could not find a property named 'nothing'" in answer.body
    assert await blobs_of(seller.organization) == before
    assert (await seller.get(f"templates({made})")).json["body"] == "<p>old</p>"
    assert len((await seller.get("templates")).rows) == 1
    assert await announced() == waiting


# Who sees and changes what


async def test_a_personal_template_is_its_owners_and_administrators_alone(
    seller: Client, other: Client, manager: Client, administrator: Client
) -> None:
    contact = await a_contact(seller)
    made = await seller.make("templates", {**TEMPLATE, "title": "Secret", "body": "<p>{!contact:firstname;}</p>"})
    email = await seller.make("emails", {"subject": "Offer", "templateid@odata.bind": f"/templates({made})"})
    own = await other.make("emails", {"subject": "Mine"})
    for client in (other, manager):
        assert (await client.get("templates?$count=true")).json["@odata.count"] == 0
        assert (await client.get("templates/$count")).json == 0
        assert (await client.get(f"templates?$filter=templateid eq {made}")).rows == []
        refusals = [
            await client.get(f"templates({made})"),
            await client.get(f"templates({made})/title"),
            await client.get(f"templates({made})/Email_EmailTemplate"),
            await client.patch(f"templates({made})", {"title": "Mine"}),
            await client.send("DELETE", f"templates({made})"),
            await instantiate(client, made, contact),
            await send(client, made, contact),
            await client.patch(f"emails({own})", {"templateid@odata.bind": f"/templates({made})"}),
            await client.post("emails", {"templateid@odata.bind": f"/templates({made})"}),
            await client.post(
                f"templates({made})/Email_EmailTemplate/$ref", {"@odata.id": f"{client.base}/emails({own})"}
            ),
        ]
        assert [answer.status for answer in refusals] == [403] * len(refusals)
        assert "personal: only its owner and Administrators" in refusals[0].error
        shown = await client.get(
            f"emails({email})?$expand=templateid($select=title)", headers={"Prefer": 'odata.include-annotations="*"'}
        )
        assert shown.json["templateid"] is None
        assert b"Secret" not in shown.body
        assert (await client.get("emails?$filter=templateid/title eq 'Secret'")).rows == []
    assert (await administrator.get(f"templates({made})")).json["title"] == "Secret"
    assert (await instantiate(administrator, made, contact)).status == 200
    assert (await seller.get(f"emails({email})?$expand=templateid")).json["templateid"]["title"] == "Secret"
    assert (await other.get(f"emails({own})")).json["_templateid_value"] is None


@pytest.mark.parametrize(
    ("language", "filled"),
    [
        (1033, "11/23/2026 5:35 PM UTC, 11/23/2026, 5:35 PM UTC, 1,234"),
        (2057, "23 Nov 2026 17:35 UTC, 23 Nov 2026, 17:35 UTC, 1,234"),
        (1031, "23.11.2026 17:35 UTC, 23.11.2026, 17:35 UTC, 1.234"),
        (1040, "23 nov 2026 17:35 UTC, 23 nov 2026, 17:35 UTC, 1.234"),
        (1036, "23 nov. 2026 17:35 UTC, 23 nov. 2026, 17:35 UTC, 1\u202f234"),
        (1041, "2026/11/23 17:35 UTC, 2026/11/23, 17:35 UTC, 1,234"),
        (3079, "23.11.2026 17:35 UTC, 23.11.2026, 17:35 UTC, 1.234"),
    ],
)
async def test_times_and_numbers_are_in_the_language_of_the_template(
    seller: Client, language: int, filled: str
) -> None:
    account = await seller.make("accounts", {"name": "Northwind", "numberofemployees": 1234})
    await records.merge(seller.organization, "account", account, {"createdon": "2026-11-23T17:35:00Z"})
    of = (
        "{!account:createdon;}, {!account:createdon/@date;}, {!account:createdon/@time;}, {!account:numberofemployees;}"
    )
    template = {**TEMPLATE, "templatetypecode": "account", "languagecode": language, "body": of}
    made = await seller.make("templates", template)
    [email] = (await instantiate(seller, made, account, "account")).rows
    assert email["description"] == filled


async def test_the_organizations_templates_are_everybodys_to_use_and_their_owners_to_change(
    seller: Client, other: Client, manager: Client
) -> None:
    contact = await a_contact(seller)
    shared = {**TEMPLATE, "ispersonal": False, "body": "<p>{!contact:firstname;}</p>"}
    made = await seller.make("templates", shared)
    assert (await other.get(f"templates({made})")).json["body"] == shared["body"]
    assert (await instantiate(other, made, contact)).status == 200
    assert await other.make("emails", {"templateid@odata.bind": f"/templates({made})"})
    assert (await other.patch(f"templates({made})", {"subject": "x"})).status == 403
    assert (await other.send("DELETE", f"templates({made})")).status == 403
    assert (await manager.patch(f"templates({made})", {"subject": "x"})).status == 204
    assert (await seller.patch(f"templates({made})", {"ispersonal": True})).status == 204
    assert (await other.get(f"templates({made})")).status == 403


# Mail made of a template


async def test_a_template_is_filled_in_with_the_record_and_the_caller_and_nothing_is_written(seller: Client) -> None:
    await with_mailbox(seller)
    account = await seller.make("accounts", {"name": "Northwind & Sons"})
    contact = await a_contact(
        seller,
        lastname="<b>{!user:fullname;}</b>",
        followemail=False,
        **{"parentcustomerid_account@odata.bind": f"/accounts({account})"},
    )
    body = (
        '<p title="{!contact:lastname;}">Dear {!Contact:First Name;friend} {!contact:jobtitle;and colleagues},\r\n'
        "{!contact:parentcustomerid;} {!contact:followemail;} {!contact:statuscode;} {!contact:createdon;}"
        "<!-- kept --> {!User:Full Name;}</p>"
    )
    template = {**TEMPLATE, "subject": "{!contact:lastname;} from {!user:fullname;}", "body": body}
    made = await seller.make("templates", template)
    before = await dump(seller.organization)
    answer = await instantiate(seller, made, contact)
    assert answer.status == 200, answer.body
    [email] = answer.rows
    created = (await seller.get(f"contacts({contact})", headers={"Prefer": 'odata.include-annotations="*"'})).json
    assert email == {
        "@odata.type": "#Microsoft.Dynamics.CRM.email",
        "subject": "<b>{!user:fullname;}</b> from Sella <Seller>",
        "description": '<p title="&lt;b&gt;{!user:fullname;}&lt;/b&gt;">Dear Ada and colleagues,\r\n'
        "Northwind &amp; Sons Do Not Allow Active "
        f"{created['createdon@OData.Community.Display.V1.FormattedValue']} UTC"
        "<!-- kept --> Sella &lt;Seller&gt;</p>",
        "templateid@odata.bind": f"/templates({made})",
        "regardingobjectid_contact_email@odata.bind": f"/contacts({contact})",
    }
    assert await dump(seller.organization) == before
    posted = await seller.make("emails", email)
    row = (await seller.get(f"emails({posted})")).json
    assert (row["_templateid_value"], row["_regardingobjectid_value"]) == (made, contact)
    assert (row["subject"], row["description"]) == (email["subject"], email["description"])


async def test_a_template_of_dynamics_may_ask_for_the_name_the_date_or_the_time(seller: Client) -> None:
    account = await seller.make("accounts", {"name": "Northwind"})
    columns = {"parentcustomerid_account@odata.bind": f"/accounts({account})", "ee_consentedon": "2026-11-23T17:35:00Z"}
    contact = await a_contact(seller, **columns, ee_consent=1, ee_consentmethod="By mail", ee_consentwording="Yes")
    body = (
        "{!contact:parentcustomerid/@name;}, {!Contact:Company Name/@Name;nobody}, {!contact:ee_consent/@name;}, "
        "{!contact:followemail/@name;}, {!contact:ee_consentedon;}, {!contact:ee_consentedon/@date;}, "
        "{!Contact:Consent On/@time;}"
    )
    made = await seller.make("templates", {**TEMPLATE, "subject": "{!contact:ee_consentedon/@date;}", "body": body})
    [email] = (await instantiate(seller, made, contact)).rows
    assert email["description"] == (
        "Northwind, Northwind, Granted, Allow, 11/23/2026 5:35 PM UTC, 11/23/2026, 5:35 PM UTC"
    )
    assert email["subject"] == "11/23/2026"
    [email] = (await instantiate(seller, made, await a_contact(seller))).rows
    assert email["description"] == ", nobody, Unknown, Allow, , , "


@pytest.mark.parametrize(
    "text", ["firstname/@name", "firstname/@date", "createdon/@name", "ownerid/@date", "createdon/"]
)
async def test_a_part_that_a_column_does_not_have_is_refused(seller: Client, text: str) -> None:
    answer = await seller.post("templates", {**TEMPLATE, "body": f"{{!contact:{text};}}"})
    assert answer.status == 400, answer.body
    assert f"'{text}' is no column of contact; did you mean '{text.partition('/')[0]}" in answer.error


@pytest.mark.parametrize(("text", "said"), [("x", "at most 3,145,728 fit"), ("é", "The description takes 4,")])
async def test_what_no_email_can_hold_is_not_made(seller: Client, text: str, said: str) -> None:
    contact = await a_contact(seller, description=text * 2000)
    made = await seller.make(
        "templates", {**TEMPLATE, "body": "{!contact:description;}" * (2000 if text == "x" else 400)}
    )
    for answer in (await instantiate(seller, made, contact), await send(seller, made, contact)):
        assert answer.status == 400, answer.body
        assert said in answer.error
    assert not (await seller.get("emails")).rows


def edited_between_row_and_text(
    monkeypatch: pytest.MonkeyPatch, seller: Client, path: str, changes: Mapping[str, Any]
) -> None:
    """Let the next row whose text is read be changed before that."""
    read = texts.read

    async def overtaken(organization: Organization, column: Column, row: Mapping[str, Any]) -> str | None:
        monkeypatch.setattr(texts, "read", read)
        await seller.patch(path, changes)
        return await read(organization, column, row)

    monkeypatch.setattr(texts, "read", overtaken)


async def test_a_template_that_is_edited_meanwhile_is_filled_in_as_it_is_now(
    seller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    contact = await a_contact(seller)
    made = await seller.make("templates", {**TEMPLATE, "subject": "old", "body": "old"})
    edited_between_row_and_text(monkeypatch, seller, f"templates({made})", {"subject": "new", "body": "new"})
    [email] = (await instantiate(seller, made, contact)).rows
    assert (email["subject"], email["description"]) == ("new", "new")


@pytest.mark.parametrize("table", ["templates", "emails"])
@pytest.mark.parametrize("one", [True, False])
async def test_who_reads_a_text_while_it_is_edited_has_all_of_one_version(
    seller: Client, monkeypatch: pytest.MonkeyPatch, table: str, one: bool
) -> None:
    text = "body" if table == "templates" else "description"
    made = await seller.make(table, {**(TEMPLATE if text == "body" else {}), "subject": "old", text: "old"})
    edited_between_row_and_text(monkeypatch, seller, f"{table}({made})", {"subject": "new", text: "new"})
    answer = await seller.get(f"{table}({made})" if one else f"{table}?$select=subject,{text}")
    [row] = [answer.json] if one else answer.rows
    assert (row["subject"], row[text]) == ("new", "new")


async def test_a_subject_is_one_line_that_an_email_holds(seller: Client) -> None:
    contact = await a_contact(seller, description="a\r\nBcc: x@y.example\r\n" + "😀" * 900)
    made = await seller.make("templates", {**TEMPLATE, "subject": "About\n{!contact:description;}"})
    [email] = (await instantiate(seller, made, contact)).rows
    assert email["subject"].startswith("About a Bcc: x@y.example 😀")
    assert await seller.make("emails", {"subject": email["subject"]})


async def test_a_global_template_speaks_of_the_user_and_goes_with_any_record(seller: Client) -> None:
    await with_mailbox(seller)
    lead = await seller.make("leads", {"lastname": "Dahl"})
    made = await seller.make(
        "templates", {**TEMPLATE, "templatetypecode": "systemuser", "body": "{!systemuser:fullname;}"}
    )
    for table, record in (("systemuser", seller.user), ("lead", lead)):
        [email] = (await instantiate(seller, made, record, table)).rows
        assert email["description"] == "Sella &lt;Seller&gt;"
        assert ("regardingobjectid_lead_email@odata.bind" in email) == (table == "lead")
        assert await seller.make("emails", email)


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"TemplateId": NOWHERE}, 404, f"template With Id = {NOWHERE} Does Not Exist"),
        ({"TemplateId": "x"}, 400, "'TemplateId', the id of the template"),
        ({"TemplateId": None}, 400, "'TemplateId'"),
        ({"ObjectId": NOWHERE}, 404, f"contact With Id = {NOWHERE} Does Not Exist"),
        ({"ObjectId": 5}, 400, "'ObjectId', the id of the contact"),
        ({"ObjectType": "account"}, 400, "is for the table 'contact': 'ObjectType' is 'account'"),
        ({"ObjectType": "systemuser"}, 400, "is for the table 'contact'"),
        ({"ObjectType": "email"}, 400, "one of contact, account, lead, systemuser"),
        ({"ObjectType": ["contact"]}, 400, "one of contact, account, lead, systemuser"),
        ({"Objectid": NOWHERE}, 400, "'Objectid'"),
    ],
)
async def test_instantiating_says_what_is_wrong(seller: Client, change: dict[str, Any], status: int, said: str) -> None:
    made, contact = await seller.make("templates", TEMPLATE), await a_contact(seller)
    sent = {"TemplateId": made, "ObjectType": "contact", "ObjectId": contact, **change}
    answer = await seller.post("InstantiateTemplate", sent)
    assert answer.status == status, answer.body
    assert said in answer.error


async def test_a_template_is_sent_as_an_email_that_names_it(seller: Client) -> None:
    await with_mailbox(seller)
    contact = await a_contact(seller)
    made = await seller.make(
        "templates", {**TEMPLATE, "subject": "Hi {!contact:firstname;}", "body": "<p>{!user:fullname;}</p>"}
    )
    answer = await send(
        seller,
        made,
        contact,
        followemailuserpreference=True,
        subject="not this",
        **{"regardingobjectid_contact@odata.bind": f"/contacts({contact})"},
    )
    assert answer.status == 200, answer.body
    assert answer.json == {
        "@odata.context": f"{seller.base}/$metadata#emails/$entity",
        "@odata.type": "#Microsoft.Dynamics.CRM.email",
        "activityid": answer.json["activityid"],
    }
    row = (await seller.get(f"emails({answer.json['activityid']})")).json
    assert (row["subject"], row["description"]) == ("Hi Ada", "<p>Sella &lt;Seller&gt;</p>")
    assert (row["statuscode"], row["isemailfollowed"], row["_templateid_value"]) == (6, True, made)
    assert row["_regardingobjectid_value"] == contact
    [message] = await messages(seller.organization)
    assert row["activityid"] in message


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"Target": None}, "'Target', the email to send"),
        ({"Target": {"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": NOWHERE}}, "'Target', the email"),
        ({"Target": {}}, "recipient"),
        ({"Target": {"nothing": 1}}, "'nothing'"),
        ({"Target": {"email_activity_parties": [{"addressused": "x", "participationtypemask": 2}]}}, "x"),
        ({"Regarding": None}, "'Regarding'"),
        ({"Regarding": {"@odata.type": "Microsoft.Dynamics.CRM.email", "activityid": NOWHERE}}, "'Regarding'"),
        ({"Regarding": {"@odata.type": "Microsoft.Dynamics.CRM.lead", "leadid": NOWHERE}}, "'Regarding' is 'lead'"),
        ({"Regarding": {"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": NOWHERE}}, "Does Not Exist"),
        ({"TemplateId": NOWHERE}, "Does Not Exist"),
    ],
)
async def test_what_cannot_be_sent_leaves_no_email(seller: Client, change: dict[str, Any], said: str) -> None:
    await with_mailbox(seller)
    made, contact = await seller.make("templates", {**TEMPLATE, "body": "<p>x</p>"}), await a_contact(seller)
    before = await dump(seller.organization)
    sent = {
        "TemplateId": made,
        "Regarding": {"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": contact},
        "Target": {"email_activity_parties": [{"addressused": "a@x.example", "participationtypemask": 2}]},
        **change,
    }
    answer = await seller.post("SendEmailFromTemplate", sent)
    assert answer.status in (400, 404), answer.body
    assert said in answer.error
    assert await dump(seller.organization) == before


# Deleting one


async def test_mail_of_a_template_is_a_list_of_its_own_newest_first(seller: Client) -> None:
    made = await seller.make("templates", TEMPLATE)
    bound = {"templateid@odata.bind": f"/templates({made})"}
    ids = [await seller.make("emails", {"subject": f"{number}", **bound}) for number in range(5)]
    await seller.make("emails", {"subject": "another"})
    query = f"emails?$select=subject&$filter=_templateid_value eq {made}&$count=true"
    first = await seller.get(query, headers={"Prefer": "odata.maxpagesize=2"})
    assert (first.json["@odata.count"], len(first.rows)) == (5, 2)
    found = [row["activityid"] for row in (await seller.get(query)).rows]
    assert sorted(found) == sorted(ids)
    where = lists.partition("template", "createdon", made)
    keys = [key async for page in lists.walk(seller.organization, where, "createdon") for key in page]
    assert [lists.id_of(key) for key in keys] == found
    assert (await seller.patch(f"emails({ids[0]})", {"templateid@odata.bind": None})).status == 204
    assert ids[0] not in [row["activityid"] for row in (await seller.get(query)).rows]
    assert len((await seller.get(f"templates({made})/Email_EmailTemplate")).rows) == 4


async def test_mail_forgets_a_template_that_was_deleted_and_nothing_else_changes(
    seller: Client, organization: Organization
) -> None:
    made, kept = await seller.make("templates", TEMPLATE), await seller.make("templates", TEMPLATE)
    ids = [await seller.make("emails", {"templateid@odata.bind": f"/templates({made})"}) for _ in range(3)]
    beside = await seller.make("emails", {"templateid@odata.bind": f"/templates({kept})"})
    await templates.unlink(organization.name, made)
    assert (await seller.get(f"emails({ids[0]})")).json["_templateid_value"] == made, "the template is still there"
    waiting = await announced()
    assert (await seller.send("DELETE", f"templates({made})")).status == 204
    assert await announced() == waiting + 1
    work = {"organization": organization.name, "template": made}
    trigger: Any = triggers.unlink
    for _ in range(2):
        await trigger._function.get_user_function()(func.QueueMessage(body=json.dumps(work)))
    for email in ids:
        assert (await seller.get(f"emails({email})")).json["_templateid_value"] is None
    assert (await seller.get(f"emails({beside})")).json["_templateid_value"] == kept
    assert (await seller.get(f"emails?$filter=_templateid_value eq {made}")).rows == []
    await templates.unlink("nobody", made)


async def test_a_draft_may_change_its_template(seller: Client) -> None:
    one, another = await seller.make("templates", TEMPLATE), await seller.make("templates", TEMPLATE)
    email = await seller.make("emails", {"templateid@odata.bind": f"/templates({one})"})
    assert (await seller.patch(f"emails({email})", {"templateid@odata.bind": f"/templates({another})"})).status == 204
    row = await emails.get_email(seller.organization, email)
    assert row is not None
    assert row["templateid"] == another
    assert (
        await seller.patch(f"emails({email})", {"templateid@odata.bind": f"/templates({uuid.uuid4()})"})
    ).status == 404
