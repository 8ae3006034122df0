"""Writing over the Web API: alternate keys, many rows at once, associating, conditions, what an email allows when."""

import asyncio
import base64
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest

from shared.services.tracking import next_token
from shared.storage import emails, records
from shared.storage.keys import entry_row
from shared.webapi.bulk import MAX_TARGETS
from shared.webapi.tables import TABLES
from tests.web_client import Answer, Client

NOW = datetime(2026, 11, 23, 17, 35, tzinfo=UTC)
REPRESENTATION = {"Prefer": "return=representation"}
NOWHERE = str(uuid.UUID(int=9))


def key(value: str) -> str:
    """Spell a contact by its alternate key as a careful client does: quotes doubled, then percent-encoded."""
    return f"contacts(ee_externalid='{quote(value.replace("'", "''"), safe='')}')"


async def contact(client: Client, external: str, **columns: Any) -> str:
    return await client.make("contacts", {"ee_externalid": external, "lastname": "A", **columns})


async def names(client: Client) -> list[str]:
    """Return the last names of all contacts, sorted."""
    return sorted(row["lastname"] for row in (await client.get("contacts?$select=lastname")).rows)


async def put_status(client: Client, email: str, status: int) -> None:
    """Bring an email where delivery would have brought it."""
    row = await emails.get_email(client.organization, email)
    assert row is not None
    state = {1: 0, 8: 0, 5: 2}.get(status, 1)
    await emails.commit(client.organization, row, {"statuscode": status, "statecode": state})


# Alternate keys


@pytest.mark.parametrize(
    "spelling",
    [
        "ee_externalid='e9'",
        "ee_externalid='E9'",
        "ee_externalid=%27e9%27",
        "%65e_externalid = 'e9' ",
        'ee_externalid="e9"',
    ],
)
async def test_a_row_is_read_by_its_alternate_key_in_every_spelling(seller: Client, spelling: str) -> None:
    made = await contact(seller, "e9")
    await contact(seller, "e8")
    assert (await seller.get(f"contacts({spelling})")).json["contactid"] == made
    assert (await seller.get(f"contacts({spelling})/lastname")).json["value"] == "A"
    assert (await seller.get(f"contacts(contactid={made})")).json["ee_externalid"] == "e9"


@pytest.mark.parametrize(
    "value",
    ["O'Brien", "''", "a/b", "/", "a b", "a,b=c", "a)(b", "100%", "é?&#+", "a%20b", 'say "x"', "0b1d", NOWHERE, "😀"],
)
async def test_any_text_is_a_key(seller: Client, value: str) -> None:
    made = await seller.patch(key(value), {"lastname": "A"})
    assert made.status == 204
    row = (await seller.get(key(value))).json
    assert (row["contactid"], row["ee_externalid"]) == (made.id, value)
    reference = "/" + key(value)
    account = await seller.make("accounts", {"name": "N", "primarycontactid@odata.bind": reference})
    assert (await seller.get(f"accounts({account})")).json["_primarycontactid_value"] == made.id


@pytest.mark.parametrize(
    ("path", "culprit"),
    [
        ("contacts(nosuch='x')", "(nosuch) are not a defined key for the contact entity"),
        ("contacts(lastname='x')", "ee_externalid=.."),
        ("contacts(ee_externalid='x',lastname='y')", "ee_externalid, lastname"),
        ("contacts(ee_externalid='x',ee_externalid='x')", "ee_externalid, ee_externalid"),
        ("contacts(ee_externalid=x)", "'ee_externalid' is a text"),
        ("contacts(ee_externalid='')", "'ee_externalid' cannot be empty"),
        ("contacts(contactid='x')", "a guid is needed"),
        ("contacts('x')", "ee_externalid=.."),
        ("contacts()", "ee_externalid=.."),
        ("contacts(ee_externalid=)", "ee_externalid=.."),
        ("contacts(ee_externalid='x',)", "ee_externalid=.."),
        ("contacts(ee_externalid='" + "x" * 101 + "')", "'100'"),
        ("emails(subject='x')", "no alternate key"),
    ],
)
async def test_a_key_that_there_is_not_is_named_with_those_that_there_are(
    seller: Client, path: str, culprit: str
) -> None:
    for answer in (await seller.get(path), await seller.patch(path, {}), await seller.send("DELETE", path)):
        assert answer.status == 400
        assert culprit in answer.error


async def test_a_key_that_no_row_has_is_404_in_dataverses_words(seller: Client) -> None:
    for answer in (
        await seller.get(key("none")),
        await seller.get(f"{key('none')}/lastname"),
        await seller.send("DELETE", key("none")),
        await seller.send("PUT", f"{key('none')}/lastname", {"value": "x"}),
        await seller.patch(key("none"), {"lastname": "x"}, headers={"If-Match": "*"}),
        await seller.post("accounts", {"primarycontactid@odata.bind": f"/{key('none')}"}),
        await seller.post("contacts/Microsoft.Dynamics.CRM.UpdateMultiple", {"Targets": [{"@odata.id": key("none")}]}),
    ):
        assert (answer.status, answer.json["error"]["code"]) == (404, "0x80060891")
        assert "A record with the specified key values does not exist in contact entity" in answer.error
    assert await names(seller) == []
    assert (await seller.get("accounts/$count")).body == b"0"


async def test_patch_by_key_makes_the_row_once_and_changes_it_after(seller: Client) -> None:
    made = await seller.patch(key("e9"), {"lastname": "New"})
    assert (made.status, made.headers["OData-EntityId"]) == (204, f"{seller.base}/contacts({made.id})")
    changed = await seller.patch(key("E9"), {"lastname": "Newer", "ee_externalid": "e9"})
    assert (changed.status, changed.id) == (204, made.id)
    assert await names(seller) == ["Newer"]
    refused = await seller.patch(key("e9"), {"lastname": "x"}, headers={"If-None-Match": "*"})
    assert (refused.status, refused.json["error"]["code"]) == (412, "0x80040237")


@pytest.mark.parametrize("body", [{"ee_externalid": "other"}, {"ee_externalid": None}, {"ee_externalid": ""}])
async def test_a_body_that_contradicts_the_key_is_refused(seller: Client, body: dict[str, Any]) -> None:
    assert (await seller.patch(key("e9"), body)).status == 400
    await contact(seller, "e9")
    answer = await seller.patch(key("e9"), body)
    assert answer.status == 400
    assert "'ee_externalid'" in answer.error
    assert (await seller.get(key("e9"))).status == 200


async def test_upserts_by_key_bring_the_row_back_when_asked(seller: Client) -> None:
    made = await seller.patch(f"{key('e9')}?$select=lastname", {"lastname": "A"}, headers=REPRESENTATION)
    assert (made.status, set(made.json)) == (201, {"@odata.context", "@odata.etag", "lastname", "contactid"})
    changed = await seller.patch(f"{key('e9')}?$select=lastname", {"lastname": "B"}, headers=REPRESENTATION)
    assert (changed.status, changed.json["lastname"]) == (200, "B")


async def test_no_two_rows_of_a_table_have_the_values_of_a_key(seller: Client) -> None:
    first = await contact(seller, "e9")
    other = await contact(seller, "e8")
    for answer in (
        await seller.post("contacts", {"ee_externalid": "E9"}),
        await seller.patch(f"contacts({other})", {"ee_externalid": "e9"}),
        await seller.patch(f"contacts({NOWHERE})", {"ee_externalid": "e9"}),
    ):
        assert (answer.status, answer.json["error"]["code"]) == (412, "0x80040237")
        assert answer.error == "A record with matching key values already exists."
    assert (await seller.get(f"contacts({other})")).json["ee_externalid"] == "e8"
    assert (await seller.get(f"contacts({NOWHERE})")).status == 404
    assert (await seller.patch(f"contacts({first})", {"ee_externalid": "E9"})).status == 204
    assert (await seller.patch(f"leads({NOWHERE})", {"ee_externalid": "e9"})).status == 204
    for _ in range(2):
        assert (await seller.post("contacts", {"ee_externalid": None})).status == 204


async def test_a_value_is_free_again_when_its_row_has_another_or_is_gone(seller: Client) -> None:
    made = await contact(seller, "old")
    assert (await seller.patch(f"contacts({made})", {"ee_externalid": "new"})).status == 204
    assert (await seller.get(key("old"))).status == 404
    assert (await seller.get(key("new"))).json["contactid"] == made
    second = await contact(seller, "old")
    assert (await seller.send("DELETE", key("old"))).status == 204
    assert (await seller.get(f"contacts({second})")).status == 404
    assert (await seller.send("DELETE", f"contacts({made})/ee_externalid")).status == 204
    assert (await seller.get(key("new"))).status == 404
    await contact(seller, "old")
    await contact(seller, "new")


async def test_what_keys_are_kept_in_is_in_no_list(seller: Client) -> None:
    await contact(seller, "e9")
    await contact(seller, "e8")
    assert (await seller.get("contacts/$count")).body == b"2"
    answer = await seller.get("contacts", headers={"Prefer": "odata.maxpagesize=1"})
    rest = await seller.get(answer.json["@odata.nextLink"])
    assert len(answer.rows) == len(rest.rows) == 1
    assert "@odata.nextLink" not in rest.json


async def test_an_entry_whose_row_was_deleted_past_it_leads_nowhere_and_is_taken_over(seller: Client) -> None:
    organization = seller.organization
    first = await contact(seller, "e9")
    await records.delete(organization, "contact", first)
    assert (await seller.get(key("e9"))).status == 404
    second = (await seller.patch(key("e9"), {"lastname": "B"})).id
    assert (await seller.get(key("e9"))).json["contactid"] == second
    await records.merge(organization, "contact", second, {"ee_externalid": "moved"})
    assert (await seller.get(key("e9"))).status == 404
    third = await contact(seller, "e9")
    await records.merge(organization, "contact", second, {"ee_externalid": "e9"})
    entry = await records.get(organization, "contact", entry_row("ee_externalid", ["e9"]))
    assert entry is not None
    assert entry["id"] == third
    assert (await seller.send("DELETE", f"contacts({second})")).status == 204
    assert (await seller.get(key("e9"))).json["contactid"] == third


async def test_of_many_who_upsert_one_key_at_once_one_makes_the_row_and_all_succeed(seller: Client) -> None:
    await seller.get("WhoAmI")
    answers = await asyncio.gather(*(seller.patch(key("e9"), {"jobtitle": str(n), "lastname": "A"}) for n in range(8)))
    assert {answer.status for answer in answers} == {204}
    assert len({answer.id for answer in answers}) == 1
    assert await names(seller) == ["A"]


async def test_of_many_who_create_one_key_at_once_one_succeeds(seller: Client) -> None:
    await seller.get("WhoAmI")
    sent = {"ee_externalid": "e9", "lastname": "A"}
    answers = await asyncio.gather(*(seller.post("contacts", sent) for _ in range(8)))
    assert sorted(answer.status for answer in answers) == [204, *[412] * 7]
    assert await names(seller) == ["A"]


async def test_of_many_who_take_over_or_move_to_one_value_at_once_one_has_it(seller: Client) -> None:
    made = [await contact(seller, f"e{number}") for number in range(4)]
    gone = await contact(seller, "prize")
    await records.delete(seller.organization, "contact", gone)
    answers = await asyncio.gather(*(seller.patch(f"contacts({row})", {"ee_externalid": "prize"}) for row in made))
    assert sorted(answer.status for answer in answers) == [204, 412, 412, 412]
    values = [(await seller.get(f"contacts({row})")).json["ee_externalid"] for row in made]
    assert values.count("prize") == 1
    assert (await seller.get(key("prize"))).json["contactid"] == made[values.index("prize")]


async def test_of_many_who_upsert_one_id_at_once_all_succeed(seller: Client) -> None:
    await seller.get("WhoAmI")
    path = f"accounts({uuid.uuid4()})"
    answers = await asyncio.gather(*(seller.patch(path, {"name": str(number)}) for number in range(6)))
    assert {answer.status for answer in answers} == {204}


async def test_a_seller_takes_nobodys_row_by_its_key(seller: Client, issuer: Any) -> None:
    await contact(seller, "e9")
    other = Client(seller.organization, issuer)
    for answer in (await other.patch(key("e9"), {"lastname": "x"}), await other.send("DELETE", key("e9"))):
        assert answer.status == 403


async def test_parties_and_references_take_alternate_keys(seller: Client) -> None:
    made = await contact(seller, "e'9", emailaddress1="a@x.example")
    party = {"partyid_contact@odata.bind": "contacts(ee_externalid='e''9')", "participationtypemask": 2}
    bound = {"regardingobjectid_contact_email@odata.bind": f"{seller.base}/contacts(ee_externalid='e''9')"}
    email = await seller.make("emails", {**bound, "email_activity_parties": [party]})
    row = (await seller.get(f"emails({email})?$expand=email_activity_parties")).json
    assert row["_regardingobjectid_value"] == made
    assert row["email_activity_parties"][1]["_partyid_value"] == made
    party["partyid_contact@odata.bind"] = "contacts(ee_externalid='none')"
    answer = await seller.post("emails", {"email_activity_parties": [party]})
    assert (answer.status, answer.json["error"]["code"]) == (404, "0x80060891")
    assert (await seller.get("emails/$count")).body == b"1"


# Many rows at once


async def bulk(client: Client, action: str, *targets: Any, set_name: str = "contacts", **options: Any) -> Answer:
    return await client.post(f"{set_name}/Microsoft.Dynamics.CRM.{action}", {"Targets": list(targets)}, **options)


async def test_many_rows_are_made_and_their_ids_returned_in_order(seller: Client) -> None:
    typed = {"@odata.type": "Microsoft.Dynamics.CRM.contact"}
    answer = await bulk(seller, "CreateMultiple", {"lastname": "B", **typed}, {"lastname": "A"}, {"lastname": "C"})
    assert answer.status == 200
    assert answer.json["@odata.context"] == (f"{seller.base}/$metadata#Microsoft.Dynamics.CRM.CreateMultipleResponse")
    rows = [(await seller.get(f"contacts({row})")).json for row in answer.json["Ids"]]
    assert [row["lastname"] for row in rows] == ["B", "A", "C"]
    assert (await bulk(seller, "CreateMultiple")).json["Ids"] == []


async def test_many_emails_are_made_with_their_parties(seller: Client) -> None:
    party = {"addressused": "a@x.example", "participationtypemask": 2}
    sent = [{"subject": str(number), "email_activity_parties": [party]} for number in range(3)]
    answer = await bulk(seller, "CreateMultiple", *sent, set_name="emails")
    assert len(answer.json["Ids"]) == 3
    assert (await seller.get("activityparties/$count")).body == b"6"


@pytest.mark.parametrize("action", ["CreateMultiple", "UpdateMultiple", "UpsertMultiple"])
@pytest.mark.parametrize(
    ("wrong", "status", "culprit"),
    [
        ({"nosuch": 1}, 400, "nosuch"),
        ({"lastname": 5}, 400, "lastname"),
        ({"@odata.type": "Microsoft.Dynamics.CRM.lead"}, 400, "Microsoft.Dynamics.CRM.lead"),
        ({"@odata.type": 5}, 400, "@odata.type"),
        ({"parentcustomerid_account@odata.bind": f"/accounts({NOWHERE})"}, 404, NOWHERE),
    ],
)
async def test_of_many_rows_none_is_written_where_one_is_wrong_and_it_is_named(
    seller: Client, action: str, wrong: dict[str, Any], status: int, culprit: str
) -> None:
    first, second = await contact(seller, "e1"), await contact(seller, "e2")
    targets: list[dict[str, Any]] = [{"lastname": "B", "contactid": first}, {"lastname": "B", "contactid": second}]
    if action == "CreateMultiple":
        targets = [{"lastname": "B"}, {"lastname": "B"}]
    targets[1] |= wrong
    answer = await bulk(seller, action, *targets)
    assert answer.status == status
    assert "Targets[1]: " in answer.error
    assert culprit in answer.error
    assert await names(seller) == ["A", "A"]


@pytest.mark.parametrize("action", ["CreateMultiple", "UpdateMultiple", "UpsertMultiple"])
@pytest.mark.parametrize(
    "body",
    [{}, {"Targets": None}, {"Targets": {}}, {"Targets": [5]}, {"Targets": [], "Other": 1}],
    ids=["nothing", "null", "object", "numbers", "more"],
)
async def test_targets_are_a_list_of_rows(seller: Client, action: str, body: Any) -> None:
    answer = await seller.post(f"contacts/Microsoft.Dynamics.CRM.{action}", body)
    assert answer.status == 400
    assert "Other" in answer.error if "Other" in body else "Targets" in answer.error


async def test_more_rows_than_the_limit_are_refused_with_the_limit(seller: Client) -> None:
    answer = await bulk(seller, "CreateMultiple", *[{"lastname": "A"}] * (MAX_TARGETS + 1))
    assert answer.status == 400
    assert "1,000" in answer.error


async def test_many_rows_are_changed_by_id_and_by_key(seller: Client) -> None:
    first, second = await contact(seller, "e1"), await contact(seller, "e2")
    third = await contact(seller, "e3")
    answer = await bulk(
        seller,
        "UpdateMultiple",
        {"contactid": first, "lastname": "B1"},
        {"@odata.id": "contacts(ee_externalid='e2')", "lastname": "B2"},
        {"@odata.id": f"{seller.base}/contacts({third})", "lastname": "B3"},
        headers={"If-Match": "*"},
    )
    assert (answer.status, answer.body) == (204, b"")
    assert await names(seller) == ["B1", "B2", "B3"]
    assert (await seller.get(f"contacts({second})")).json["lastname"] == "B2"


@pytest.mark.parametrize("named", [{}, {"contactid": NOWHERE}, {"contactid": "x"}, {"@odata.id": "leads(x)"}])
async def test_many_changes_are_of_rows_that_there_are(seller: Client, named: dict[str, Any]) -> None:
    first = await contact(seller, "e1")
    answer = await bulk(seller, "UpdateMultiple", {"contactid": first, "lastname": "B"}, {"lastname": "B", **named})
    assert answer.status == (404 if named.get("contactid") == NOWHERE else 400)
    assert "Targets[1]: " in answer.error
    assert await names(seller) == ["A"]


async def test_many_rows_are_made_or_changed_as_they_are_there_or_not(seller: Client) -> None:
    first, chosen = await contact(seller, "e1"), str(uuid.uuid4())
    answer = await bulk(
        seller,
        "UpsertMultiple",
        {"@odata.id": "contacts(ee_externalid='e1')", "lastname": "B1"},
        {"@odata.id": "/contacts(ee_externalid='e2')", "lastname": "B2"},
        {"@odata.id": f"{seller.base}/contacts(ee_externalid='e3')", "lastname": "B3"},
        {"contactid": chosen, "lastname": "B4"},
        {"@odata.id": "contacts(ee_externalid='e2')", "jobtitle": "again"},
    )
    assert (answer.status, answer.body) == (204, b"")
    assert await names(seller) == ["B1", "B2", "B3", "B4"]
    assert (await seller.get(key("e1"))).json["contactid"] == first
    assert (await seller.get(key("e2"))).json["jobtitle"] == "again"
    assert (await seller.get(f"contacts({chosen})")).json["lastname"] == "B4"
    assert (await bulk(seller, "UpsertMultiple", {"lastname": "B5"})).status == 400


async def test_many_rows_of_others_are_nobodys_to_change(seller: Client, issuer: Any) -> None:
    first = await contact(seller, "e1")
    other = Client(seller.organization, issuer)
    answer = await bulk(other, "UpdateMultiple", {"contactid": first, "lastname": "B"})
    assert answer.status == 403
    assert answer.error.startswith("Targets[0]: ")


async def test_many_rows_are_written_all_or_none(seller: Client, issuer: Any) -> None:
    first, second = await contact(seller, "e1"), await contact(seller, "e2")
    foreign = await contact(Client(seller.organization, issuer), "e3")
    taken = await bulk(seller, "CreateMultiple", {"ee_externalid": "n1"}, {"ee_externalid": "N1"})
    assert taken.status == 412
    assert (await seller.get(key("n1"))).status == 404
    for answer in (
        await bulk(
            seller,
            "UpdateMultiple",
            {"contactid": first, "lastname": "B", "ee_externalid": "moved"},
            {"contactid": foreign, "lastname": "B"},
        ),
        await bulk(
            seller,
            "UpsertMultiple",
            {"@odata.id": key("new"), "lastname": "B"},
            {"@odata.id": key("e1"), "lastname": "B"},
            {"@odata.id": key("e3"), "lastname": "B"},
        ),
    ):
        assert answer.status == 403
    assert await names(seller) == ["A", "A", "A"]
    assert (await seller.get(key("e1"))).json["contactid"] == first
    assert (await seller.get(key("moved"))).status == 404
    assert (await seller.get(key("new"))).status == 404
    for row in (first, second):
        assert (await seller.send("DELETE", f"contacts({row})")).status == 204
    await contact(seller, "new")


async def test_a_key_that_is_taken_is_named_by_its_target(seller: Client) -> None:
    answer = await bulk(seller, "CreateMultiple", {"ee_externalid": "e1"}, {"ee_externalid": "E1"})
    assert (answer.status, answer.json["error"]["code"]) == (412, "0x80040237")
    assert answer.error == "Targets[1]: A record with matching key values already exists."


@pytest.mark.parametrize(
    ("method", "path", "status", "culprit"),
    [
        ("POST", "contacts/CreateMultiple", 400, "Microsoft.Dynamics.CRM.CreateMultiple"),
        ("GET", "contacts/Microsoft.Dynamics.CRM.CreateMultiple", 405, "CreateMultiple"),
        ("POST", "contacts/Microsoft.Dynamics.CRM.NoSuch", 404, "NoSuch"),
        ("POST", "interactionforemails/Microsoft.Dynamics.CRM.CreateMultiple", 405, "interactionforemails"),
        ("POST", "activityparties/Microsoft.Dynamics.CRM.UpdateMultiple", 405, "activityparties"),
        ("POST", "actioncards/Microsoft.Dynamics.CRM.CreateMultiple", 405, "actioncards"),
        ("POST", "BulkDelete", 400, "QuerySet"),
        ("POST", f"emails({NOWHERE})/SendEmail", 400, "Microsoft.Dynamics.CRM.SendEmail"),
        ("GET", f"emails({NOWHERE})/Microsoft.Dynamics.CRM.SendEmail", 405, "SendEmail"),
        ("GET", "GetTrackingTokenEmail", 405, "GetTrackingTokenEmail"),
    ],
)
async def test_an_action_that_is_called_wrongly_says_how_it_is_called(
    seller: Client, method: str, path: str, status: int, culprit: str
) -> None:
    answer = await seller.send(method, path, {"Targets": []} if method == "POST" else None)
    assert answer.status == status
    assert culprit in answer.error
    assert (status == 405) is ("Allow" in answer.headers)


# Associating


async def test_a_row_is_put_in_a_collection_and_taken_out(seller: Client) -> None:
    made = await contact(seller, "e9")
    email = await seller.make("emails", {"subject": "s"})
    path = f"contacts({made})/Contact_Emails"
    for reference in (f"{seller.base}/emails({email})", f"/emails({email})", f"emails({email})"):
        assert (await seller.post(f"{path}/$ref", {"@odata.id": reference})).status == 204
        row = (await seller.get(f"emails({email})")).json
        assert row["_regardingobjectid_value"] == made
        assert (await seller.send("DELETE", f"{path}({email})/$ref")).status == 204
        assert (await seller.get(f"emails({email})")).json["_regardingobjectid_value"] is None
    await seller.post(f"{key('e9')}/Contact_Emails/$ref", {"@odata.id": f"emails({email})"})
    uri = quote(f"{seller.base}/emails({email})", safe="")
    assert (await seller.send("DELETE", f"{path}/$ref?$id={uri}")).status == 204
    again = await seller.send("DELETE", f"{path}/$ref?$id={uri}")
    assert again.status == 404
    assert email in again.error


async def test_a_row_by_its_key_is_put_in_a_collection(seller: Client) -> None:
    account = await seller.make("accounts", {"name": "N"})
    made = await contact(seller, "e9")
    path = f"accounts({account})/contact_customer_accounts"
    assert (await seller.post(f"{path}/$ref", {"@odata.id": "contacts(ee_externalid='e9')"})).status == 204
    assert (await seller.get(f"contacts({made})")).json["_parentcustomerid_value"] == account
    assert (await seller.send("DELETE", f"{path}(ee_externalid='e9')/$ref")).status == 204
    assert (await seller.get(f"contacts({made})")).json["_parentcustomerid_value"] is None


async def test_only_what_is_in_a_collection_is_taken_out_of_it(seller: Client) -> None:
    made, other = await contact(seller, "e9"), await contact(seller, "e8")
    email = await seller.make("emails", {"regardingobjectid_contact_email@odata.bind": f"/contacts({other})"})
    answer = await seller.send("DELETE", f"contacts({made})/Contact_Emails({email})/$ref")
    assert (answer.status, answer.json["error"]["code"]) == (404, "0x80040217")
    assert (await seller.get(f"emails({email})")).json["_regardingobjectid_value"] == other


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "culprit"),
    [
        ("POST", "Contact_Emails/$ref", {"@odata.id": f"emails({NOWHERE})"}, 404, NOWHERE),
        ("POST", "Contact_Emails/$ref", {"@odata.id": f"leads({NOWHERE})"}, 400, "leads"),
        ("POST", "Contact_Emails/$ref", {}, 400, "@odata.id"),
        ("PUT", "Contact_Emails/$ref", {}, 405, "Contact_Emails"),
        ("DELETE", "Contact_Emails/$ref", None, 400, "$id"),
        ("DELETE", "Contact_Emails(5)/$ref", None, 400, "'5'"),
        ("DELETE", f"Contact_Emails({NOWHERE})/$ref", None, 404, NOWHERE),
        ("DELETE", "Contact_Emails/$ref?$id=nonsense", None, 400, "$id"),
        ("POST", "contact_activity_parties/$ref", {"@odata.id": f"activityparties({NOWHERE})"}, 400, "parties"),
        ("POST", "nosuch/$ref", {"@odata.id": f"emails({NOWHERE})"}, 404, "nosuch"),
        ("DELETE", "nosuch(5)/$ref", None, 404, "nosuch"),
        ("GET", "parentcustomerid_account/$ref", None, 405, "parentcustomerid_account"),
        ("PUT", "parentcustomerid_account", {"value": 1}, 405, "$ref"),
        ("PUT", "Contact_Emails", {"value": 1}, 405, "$ref"),
    ],
)
async def test_an_association_that_cannot_be_is_refused_and_named(
    seller: Client, method: str, path: str, body: Any, status: int, culprit: str
) -> None:
    made = await contact(seller, "e9")
    answer = await seller.send(method, f"contacts({made})/{path}", body)
    assert answer.status == status
    assert culprit in answer.error


async def test_associating_is_writing_the_other_row_under_its_rights(seller: Client, issuer: Any) -> None:
    email = await seller.make("emails", {"subject": "s"})
    other = Client(seller.organization, issuer)
    made = await contact(other, "e9")
    path = f"contacts({made})/Contact_Emails"
    assert (await other.post(f"{path}/$ref", {"@odata.id": f"emails({email})"})).status == 403
    assert (await seller.post(f"{path}/$ref", {"@odata.id": f"emails({email})"})).status == 204
    assert (await other.send("DELETE", f"{path}({email})/$ref")).status == 403
    assert (
        await seller.post(f"contacts({NOWHERE})/Contact_Emails/$ref", {"@odata.id": f"emails({email})"})
    ).status == 404


async def test_parts_of_an_email_stay_with_it(seller: Client) -> None:
    email, other = await seller.make("emails", {}), await seller.make("emails", {})
    file = {"filename": "a.txt", "body": base64.b64encode(b"x").decode()}
    bound = {"objectid_email@odata.bind": f"/emails({email})"}
    attachment = await seller.make("activitymimeattachments", {**file, **bound})
    path = "email_activity_mime_attachment"
    sent = {"@odata.id": f"activitymimeattachments({attachment})"}
    answer = await seller.post(f"emails({other})/{path}/$ref", sent)
    assert answer.status == 400
    assert "belongs to its email" in answer.error
    assert (await seller.send("DELETE", f"emails({email})/{path}({attachment})/$ref")).status == 400


# Conditions, and what comes back


async def test_a_whole_row_cannot_be_put_and_the_answer_says_what_can(seller: Client) -> None:
    email = await seller.make("emails", {})
    answer = await seller.send("PUT", f"emails({email})", {"subject": "x"})
    assert (answer.status, answer.headers["Allow"]) == (405, "GET, PATCH, DELETE")
    for path, allowed in (
        ("emails", "GET, POST"),
        ("interactionforemails", "GET"),
        (f"interactionforemails({NOWHERE})", "GET"),
        (f"organizations({seller.organization.id})", "GET, PATCH"),
        (f"emails({email})/subject", "GET, PUT, DELETE"),
    ):
        answer = await seller.send("POST" if "(" in path or "inter" in path else "PUT", path, {})
        assert (answer.status, answer.headers["Allow"]) == (405, allowed)


async def test_a_version_is_demanded_of_every_kind_of_change(seller: Client) -> None:
    account, made = await seller.make("accounts", {"name": "N"}), await contact(seller, "e9")
    old = (await seller.get(key("e9"))).json["@odata.etag"]
    await seller.patch(key("e9"), {"jobtitle": "x"})
    reference = {"@odata.id": f"accounts({account})"}
    changes: list[tuple[str, str, Any]] = [
        ("PATCH", key("e9"), {"lastname": "B"}),
        ("PUT", f"contacts({made})/lastname", {"value": "B"}),
        ("DELETE", f"contacts({made})/jobtitle", None),
        ("PUT", f"contacts({made})/parentcustomerid_account/$ref", reference),
        ("DELETE", f"contacts({made})/parentcustomerid_account/$ref", None),
        ("DELETE", key("e9"), None),
    ]
    for method, path, body in changes:
        answer = await seller.send(method, path, body, headers={"If-Match": old})
        assert (answer.status, answer.json["error"]["code"]) == (412, "0x80060882")
    for method, path, body in changes:
        new = (await seller.get(key("e9"))).json["@odata.etag"]
        assert (await seller.send(method, path, body, headers={"If-Match": new})).status == 204


@pytest.mark.parametrize("path", [f"contacts({NOWHERE})", key("e9")])
async def test_if_none_match_makes_and_never_changes(seller: Client, path: str) -> None:
    once = {"If-None-Match": "*"}
    assert (await seller.patch(path, {"lastname": "A"}, headers=once)).status == 204
    answer = await seller.patch(path, {"lastname": "B"}, headers=once)
    assert (answer.status, answer.json["error"]["code"]) == (412, "0x80040237")
    assert (await seller.patch(path, {"lastname": "C"}, headers={"If-None-Match": "null"})).status == 204
    assert await names(seller) == ["C"]


async def test_a_made_row_comes_back_expanded_and_a_changed_one_does_not(seller: Client) -> None:
    account = await seller.make("accounts", {"name": "N"})
    sent = {"lastname": "A", "parentcustomerid_account@odata.bind": f"/accounts({account})"}
    options = "$select=lastname&$expand=parentcustomerid_account($select=name)"
    made = await seller.post(f"contacts?{options}", sent, headers=REPRESENTATION)
    assert (made.status, made.json["parentcustomerid_account"]["name"]) == (201, "N")
    assert "OData-EntityId" not in made.headers
    path = f"contacts({made.json['contactid']})?{options}"
    changed = await seller.patch(path, {"lastname": "B"}, headers=REPRESENTATION)
    assert changed.status == 200
    assert set(changed.json) == {"@odata.context", "@odata.etag", "lastname", "contactid"}


async def test_a_row_that_could_not_be_shown_is_not_written(seller: Client) -> None:
    for answer in (
        await seller.post("contacts?$select=nosuch", {"lastname": "A"}, headers=REPRESENTATION),
        await seller.post("contacts?$expand=nosuch", {"lastname": "A"}, headers=REPRESENTATION),
        await seller.patch(f"contacts({NOWHERE})?$select=nosuch", {"lastname": "A"}, headers=REPRESENTATION),
    ):
        assert answer.status == 400
        assert "nosuch" in answer.error
    assert await names(seller) == []


async def test_an_email_is_upserted_with_its_parties(seller: Client) -> None:
    path = f"emails({uuid.uuid4()})"
    party = {"addressused": "a@x.example", "participationtypemask": 2}
    file = {"filename": "a.txt", "body": base64.b64encode(b"x").decode()}
    sent = {"subject": "s", "email_activity_parties": [party], "email_activity_mime_attachment": [file]}
    assert (await seller.patch(path, sent)).status == 204
    row = (await seller.get(f"{path}?$expand=email_activity_parties")).json
    assert (row["subject"], row["attachmentcount"], len(row["email_activity_parties"])) == ("s", 1, 2)
    assert (await seller.patch(path, {"subject": "t"})).status == 204


async def test_users_are_upserted_by_administrators_only(seller: Client, administrator: Client) -> None:
    path, sent = f"systemusers({uuid.uuid4()})", {"firstname": "Ada", "lastname": "Lovelace"}
    assert (await seller.patch(path, sent)).status == 403
    assert (await administrator.patch(path, sent)).status == 204
    assert (await seller.get(path)).json["fullname"] == "Ada Lovelace"


@pytest.mark.parametrize(
    "reference",
    ["contacts(ee_externalid='e9')", "/contacts(%65e_externalid='e9')", "/{org}/api/data/v9.2/contacts({id})"],
)
async def test_lookups_are_bound_whatever_stands_before_the_row(seller: Client, reference: str) -> None:
    made = await contact(seller, "e9")
    spelled = reference.replace("{org}", "other").replace("{id}", made)
    for value in (spelled, f"https://elsewhere.example:8443/any/api/data/v9.1/{spelled.rsplit('/', 1)[-1]}"):
        account = await seller.make("accounts", {"primarycontactid@odata.bind": value})
        assert (await seller.get(f"accounts({account})")).json["_primarycontactid_value"] == made


# Tracking tokens


async def test_no_tracking_token_is_given_twice(seller: Client, manager: Client) -> None:
    for client in (seller, manager):
        await client.get("WhoAmI")
    asked = [client.post("GetTrackingTokenEmail", {"Subject": "Offer"}) for client in (seller, manager) * 5]
    answers = await asyncio.gather(*asked)
    tokens = [answer.json["TrackingToken"] for answer in answers]
    assert len(set(tokens)) == 10
    assert set(tokens) == {f"CRM:0{user:03}{count:03}" for user in (1, 2) for count in range(1, 6)}
    assert answers[0].json["@odata.context"].endswith("#Microsoft.Dynamics.CRM.GetTrackingTokenEmailResponse")


async def test_tokens_grow_when_their_digits_are_used_up(seller: Client) -> None:
    organization = seller.organization
    await records.insert(organization, "trackingtoken", "numbers", {"last": 998})
    await records.insert(organization, "trackingtoken", seller.user, {"number": 1, "count": 998})
    tokens = [await next_token(organization, user) for user in (seller.user, seller.user, "other", "other")]
    assert tokens == ["CRM:0001999", "CRM:0999001", "CRM:01000001", "CRM:01000002"]


@pytest.mark.parametrize(("body", "culprit"), [({"Other": 1}, "Other"), ({"Subject": 5}, "Subject"), ([], "object")])
async def test_a_token_is_asked_for_with_a_subject_or_nothing(seller: Client, body: Any, culprit: str) -> None:
    answer = await seller.post("GetTrackingTokenEmail", body)
    assert answer.status == 400
    assert culprit in answer.error
    assert (await seller.post("GetTrackingTokenEmail", b"")).json["TrackingToken"] == "CRM:0001001"


@pytest.mark.parametrize("issue", [True, False])
async def test_a_tracking_token_stays_with_the_email_and_out_of_its_subject(seller: Client, issue: bool) -> None:
    party = {"addressused": "a@x.example", "participationtypemask": 2}
    email = await seller.make("emails", {"subject": "Offer", "email_activity_parties": [party]})
    path = f"emails({email})/Microsoft.Dynamics.CRM.SendEmail"
    for token in (5, "x" * 51, "x\x00y", True):
        answer = await seller.post(path, {"IssueSend": issue, "TrackingToken": token})
        assert answer.status == 400
        assert "trackingtoken" in answer.error
    answer = await seller.post(path, {"IssueSend": issue, "TrackingToken": "CRM:0001001"})
    assert (answer.status, answer.json["Subject"]) == (200, "Offer")
    row = (await seller.get(f"emails({email})")).json
    assert (row["subject"], row["trackingtoken"]) == ("Offer", "CRM:0001001")


async def test_sending_without_a_token_keeps_the_emails_own(seller: Client) -> None:
    party = {"addressused": "a@x.example", "participationtypemask": 2}
    email = await seller.make("emails", {"trackingtoken": "mine", "email_activity_parties": [party]})
    path = f"emails({email})/Microsoft.Dynamics.CRM.SendEmail"
    assert (await seller.post(path, {"IssueSend": True, "TrackingToken": None})).status == 200
    assert (await seller.get(f"emails({email})")).json["trackingtoken"] == "mine"


async def test_a_mail_that_cannot_be_sent_keeps_no_token(seller: Client) -> None:
    email = await seller.make("emails", {"subject": "no recipient"})
    path = f"emails({email})/Microsoft.Dynamics.CRM.SendEmail"
    assert (await seller.post(path, {"IssueSend": True, "TrackingToken": "CRM:1"})).status == 400
    assert (await seller.get(f"emails({email})")).json["trackingtoken"] is None


async def test_sending_without_a_body_says_what_is_needed(seller: Client) -> None:
    email = await seller.make("emails", {})
    answer = await seller.post(f"emails({email})/Microsoft.Dynamics.CRM.SendEmail", b"")
    assert answer.status == 400
    assert "IssueSend" in answer.error


# What an email allows when

AROUND = {
    "emailreminderexpirytime",
    "emailremindertext",
    "emailremindertype",
    "reminderactioncardid",
    "regardingobjectid",
    "ownerid",
}
"""What surrounds a mail and may change whatever has become of it."""
GONE = {2: "Completed", 3: "Sent", 4: "Received", 5: "Canceled", 6: "Pending Send", 7: "Sending"}


async def change_of(client: Client, name: str) -> dict[str, Any]:
    """Return a change of a writable column of an email that a Draft would take."""
    column = TABLES["email"].by_name[name]
    if column.navigations:
        navigation, target = next(iter(column.navigations.items()))
        row = client.user
        if target != "systemuser":
            needed: dict[str, Any] = {"title": "t", "subject": "s", "templatetypecode": "contact", "languagecode": 1033}
            row = await client.make(TABLES[target].set, needed if target == "template" else {})
        return {f"{navigation}@odata.bind": f"/{TABLES[target].set}({row})"}
    samples = {
        "String": "x",
        "Memo": "x",
        "Boolean": True,
        "DateTime": "2030-01-01T00:00:00Z",
        "Picklist": 1,
        "Uniqueidentifier": NOWHERE,
        "Integer": 1,
    }
    return {name: samples[column.type]}


@pytest.mark.parametrize("status", GONE)
async def test_a_mail_that_is_no_draft_is_read_only_but_for_what_surrounds_it(seller: Client, status: int) -> None:
    allowed = AROUND | ({"delayedemailsendtime"} if status == 6 else set())
    email = await seller.make("emails", {"subject": "Offer", "description": "<p>x</p>"})
    await put_status(seller, email, status)
    for column in TABLES["email"].columns:
        if not column.writable or column.name in ("activityid", "statecode", "statuscode"):
            continue
        answer = await seller.patch(f"emails({email})", await change_of(seller, column.name))
        if column.name in allowed:
            assert answer.status == 204, (column.name, answer.body)
        else:
            assert answer.status == 400, column.name
            assert f"'{column.name}' cannot be changed: the email is {GONE[status]}" in answer.error
    row = (await seller.get(f"emails({email})")).json
    assert (row["subject"], row["description"], row["statuscode"]) == ("Offer", "<p>x</p>", status)


@pytest.mark.parametrize("status", [1, 8])
async def test_a_draft_takes_every_column_that_is_writable(seller: Client, status: int) -> None:
    email = await seller.make("emails", {})
    await put_status(seller, email, status)
    for column in TABLES["email"].columns:
        if column.writable and column.name not in ("activityid", "statecode", "statuscode"):
            answer = await seller.patch(f"emails({email})", await change_of(seller, column.name))
            assert answer.status == 204, (column.name, answer.body)


@pytest.mark.parametrize("status", range(1, 9))
async def test_what_the_service_keeps_of_an_email_is_nobodys_to_change(seller: Client, status: int) -> None:
    email = await seller.make("emails", {})
    await put_status(seller, email, status)
    for column in TABLES["email"].columns:
        if not column.writable:
            answer = await seller.patch(f"emails({email})", {column.wire: None})
            assert answer.status == 400, column.name
            assert f"'{column.wire}'" in answer.error


@pytest.mark.parametrize("status", GONE)
async def test_the_parties_and_files_of_a_mail_that_is_no_draft_stay(seller: Client, status: int) -> None:
    party = {"addressused": "a@x.example", "participationtypemask": 2}
    file = {"filename": "a.txt", "body": base64.b64encode(b"x").decode()}
    email = await seller.make("emails", {"email_activity_parties": [party], "email_activity_mime_attachment": [file]})
    (attachment,) = (await seller.get(f"emails({email})/email_activity_mime_attachment")).rows
    await put_status(seller, email, status)
    other = {"addressused": "b@x.example", "participationtypemask": 2}
    path = f"activitymimeattachments({attachment['activitymimeattachmentid']})"
    for answer in (
        await seller.patch(f"emails({email})", {"email_activity_parties": [other]}),
        await seller.patch(path, {"filename": "b.txt"}),
        await seller.send("DELETE", path),
        await seller.post("activitymimeattachments", {**file, "objectid_email@odata.bind": f"/emails({email})"}),
    ):
        assert answer.status == 400
        assert GONE[status] in answer.error
    row = (await seller.get(f"emails({email})?$expand=email_activity_parties")).json
    assert [item["addressused"] for item in row["email_activity_parties"]][1:] == ["a@x.example"]
    assert row["attachmentcount"] == 1


@pytest.mark.parametrize("status", range(1, 9))
async def test_a_mail_is_deleted_whatever_has_become_of_it(seller: Client, issuer: Any, status: int) -> None:
    email = await seller.make("emails", {"description": "<p>x</p>"})
    await put_status(seller, email, status)
    assert (await Client(seller.organization, issuer).send("DELETE", f"emails({email})")).status == 403
    assert (await seller.send("DELETE", f"emails({email})")).status == 204
    assert (await seller.get(f"emails({email})")).status == 404
