"""The Web API over real storage: rows of every table, as Dataverse's clients read and write them."""

import socket
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.storage import records
from shared.storage.account import account_of
from shared.storage.organizations import DEFAULT_SETTINGS, Organization, forget_organizations, save_organization
from tests.web_client import Client

NOW = datetime(2026, 11, 23, 17, 35, tzinfo=UTC)
ALL = {"Prefer": 'odata.include-annotations="*"'}


async def people(client: Client, count: int) -> list[str]:
    return [
        await client.make("contacts", {"lastname": f"P{number}", "ee_timezone": "Europe/Paris"})
        for number in range(count)
    ]


async def test_who_am_i_names_the_caller_and_the_organization(seller: Client) -> None:
    for path in ("WhoAmI", "WhoAmI()", "Microsoft.Dynamics.CRM.WhoAmI"):
        answer = (await seller.get(path)).json
        assert answer["UserId"] == seller.user
        assert answer["OrganizationId"] == answer["BusinessUnitId"] == seller.organization.id


async def test_a_person_is_a_systemuser_from_the_first_request_on(seller: Client) -> None:
    row = (await seller.get(f"systemusers({seller.user})")).json
    assert (row["fullname"], row["internalemailaddress"]) == ("Sella Seller", "seller@contoso.example")


async def test_without_a_token_nothing_is_told(seller: Client) -> None:
    answer = await seller.get("contacts", headers={"Authorization": ""})
    assert (answer.status, answer.body) == (401, b"")
    assert "WWW-Authenticate" in answer.headers


async def test_an_organization_that_does_not_exist_answers_like_a_foreign_one(seller: Client, issuer: Any) -> None:
    nowhere = Organization("nosuchorganization", str(uuid.uuid4()), seller.organization.tenant)
    foreign = Client(seller.organization, issuer)
    foreign.organization = Organization(seller.organization.name, seller.organization.id, str(uuid.uuid4()))
    one, other = await Client(nowhere, issuer).get("contacts"), await foreign.get("contacts")
    assert one.status == other.status == 403
    assert one.body == other.body


async def test_a_created_contact_is_answered_with_its_address_and_read_back(seller: Client) -> None:
    made = await seller.post("contacts", {"firstname": "Ada", "lastname": "Lovelace", "emailaddress1": "ada@x.example"})
    assert (made.status, made.body) == (204, b"")
    assert made.headers["OData-EntityId"] == f"{seller.base}/contacts({made.id})"
    row = (await seller.get(f"contacts({made.id})")).json
    assert row["fullname"] == "Ada Lovelace"
    assert row["emailaddress1"] == "ada@x.example"
    assert row["followemail"] is True
    assert row["_ownerid_value"] == row["_createdby_value"] == seller.user
    assert row["telephone1"] is None
    assert row["@odata.context"] == f"{seller.base}/$metadata#contacts/$entity"


@pytest.mark.parametrize("set_name", ["contacts", "accounts", "leads"])
async def test_following_is_allowed_by_default_and_may_be_forbidden(seller: Client, set_name: str) -> None:
    row = await seller.make(set_name, {"emailaddress1": "a@x.example"})
    assert (await seller.get(f"{set_name}({row})/followemail")).json["value"] is True
    assert (await seller.patch(f"{set_name}({row})", {"followemail": False})).status == 204
    shown = (await seller.get(f"{set_name}({row})?$select=followemail", headers=ALL)).json
    assert shown["followemail@OData.Community.Display.V1.FormattedValue"] == "Do Not Allow"


async def test_a_row_is_made_with_the_id_that_was_given_once(seller: Client) -> None:
    chosen = str(uuid.uuid4())
    assert await seller.make("contacts", {"contactid": chosen, "lastname": "A"}) == chosen
    again = await seller.post("contacts", {"contactid": chosen, "lastname": "B"})
    assert (again.status, again.json["error"]["code"]) == (412, "0x80040237")


async def test_the_row_comes_back_when_asked_for(seller: Client) -> None:
    prefer = {"Prefer": "return=representation"}
    made = await seller.post("contacts?$select=lastname", {"lastname": "Hopper"}, headers=prefer)
    assert (made.status, made.headers["Preference-Applied"]) == (201, "return=representation")
    assert made.json["lastname"] == "Hopper"
    assert set(made.json) == {"@odata.context", "@odata.etag", "lastname", "contactid"}
    changed = await seller.patch(f"contacts({made.json['contactid']})", {"firstname": "Grace"}, headers=prefer)
    assert (changed.status, changed.json["fullname"]) == (200, "Grace Hopper")


@pytest.mark.parametrize("option", ["$filter=lastname eq 'B'", "$top=0", "$orderby=lastname", "$count=true"])
async def test_an_option_of_sets_is_refused_for_a_single_row(seller: Client, option: str) -> None:
    contact = await seller.make("contacts", {"lastname": "A"})
    for path in (f"contacts({contact})", f"contacts({contact})/ownerid"):
        refused = await seller.get(f"{path}?{option}")
        assert (refused.status, refused.json["error"]["code"]) == (400, "0x80060888")
        assert option.partition("=")[0] in refused.json["error"]["message"]


async def test_changes_that_would_have_to_be_tracked_are_said_to_be_missing(seller: Client) -> None:
    refused = await seller.get("contacts", headers={"Prefer": "odata.track-changes"})
    assert refused.status == 501
    assert "odata.track-changes" in refused.json["error"]["message"]


async def test_clearing_a_column_reads_as_null(seller: Client) -> None:
    contact = await seller.make("contacts", {"lastname": "A", "telephone1": "1"})
    await seller.patch(f"contacts({contact})", {"telephone1": None})
    assert (await seller.get(f"contacts({contact})")).json["telephone1"] is None


async def test_single_columns_are_read_written_and_cleared(seller: Client) -> None:
    contact = await seller.make("contacts", {"lastname": "A"})
    assert (await seller.send("PUT", f"contacts({contact})/jobtitle", {"value": "Boss"})).status == 204
    assert (await seller.get(f"contacts({contact})/jobtitle")).json["value"] == "Boss"
    assert (await seller.get(f"contacts({contact})/jobtitle/$value")).body == b"Boss"
    assert (await seller.get(f"contacts({contact})/donotemail/$value")).body == b"false"
    assert (await seller.send("DELETE", f"contacts({contact})/jobtitle")).status == 204
    assert (await seller.get(f"contacts({contact})/jobtitle")).status == 204


async def test_lookups_are_bound_in_every_spelling_read_and_cleared(seller: Client) -> None:
    account = await seller.make("accounts", {"name": "Northwind"})
    contact = await seller.make("contacts", {"lastname": "A"})
    name = "parentcustomerid_account@odata.bind"
    for reference in (
        f"accounts({account})",
        f"/accounts({account.upper()})",
        f"/accounts({{{account}}})",
        f"{seller.base}/accounts({account})",
        f"/api/data/v9.2/accounts({account})",
    ):
        assert (await seller.patch(f"contacts({contact})", {name: reference})).status == 204
        row = (
            await seller.get(f"contacts({contact})?$expand=parentcustomerid_account($select=name)", headers=ALL)
        ).json
        assert row["_parentcustomerid_value"] == account
        assert row["_parentcustomerid_value@Microsoft.Dynamics.CRM.lookuplogicalname"] == "account"
        assert row["_parentcustomerid_value@OData.Community.Display.V1.FormattedValue"] == "Northwind"
        assert row["parentcustomerid_account"]["name"] == "Northwind"
        await seller.patch(f"contacts({contact})", {name: None})
        assert (await seller.get(f"contacts({contact})")).json["_parentcustomerid_value"] is None


async def test_references_are_set_and_removed_on_their_own(seller: Client) -> None:
    account = await seller.make("accounts", {"name": "Northwind"})
    contact = await seller.make("contacts", {"lastname": "A"})
    path = f"accounts({account})/primarycontactid"
    assert (await seller.send("PUT", f"{path}/$ref", {"@odata.id": f"{seller.base}/contacts({contact})"})).status == 204
    assert (await seller.get(path)).json["contactid"] == contact
    assert (await seller.send("DELETE", f"{path}/$ref")).status == 204
    assert (await seller.get(path)).status == 204


@pytest.mark.parametrize(
    ("reference", "status", "culprit"),
    [
        ("contacts(0b1d0b6e-0000-4000-8000-000000000009)", 404, "0b1d0b6e-0000-4000-8000-000000000009"),
        ("accounts(0b1d0b6e-0000-4000-8000-000000000009)", 400, "accounts"),
        ("teams(0b1d0b6e-0000-4000-8000-000000000009)", 400, "teams"),
        ("contacts(5)", 400, "'5'"),
        ("nonsense", 400, "primarycontactid@odata.bind"),
        (5, 400, "primarycontactid@odata.bind"),
    ],
)
async def test_a_reference_that_leads_nowhere_is_refused_and_named(
    seller: Client, reference: Any, status: int, culprit: str
) -> None:
    answer = await seller.post("accounts", {"name": "N", "primarycontactid@odata.bind": reference})
    assert answer.status == status
    assert culprit in answer.error


async def test_a_row_that_is_not_there_is_404_with_dataverses_words(seller: Client) -> None:
    missing = str(uuid.uuid4())
    for answer in (
        await seller.get(f"contacts({missing})"),
        await seller.patch(f"contacts({missing})", {"lastname": "x"}, headers={"If-Match": "*"}),
        await seller.send("DELETE", f"contacts({missing})"),
    ):
        assert (answer.status, answer.json["error"]["code"]) == (404, "0x80040217")
        assert answer.error == f"contact With Id = {missing} Does Not Exist"


async def test_patch_makes_what_is_not_there_unless_it_must_be(seller: Client) -> None:
    chosen = str(uuid.uuid4())
    made = await seller.patch(f"contacts({chosen})", {"lastname": "New"})
    assert (made.status, made.id) == (204, chosen)
    refused = await seller.patch(f"contacts({chosen})", {"lastname": "x"}, headers={"If-None-Match": "*"})
    assert refused.status == 412
    assert (await seller.get(f"contacts({chosen})")).json["lastname"] == "New"


async def test_an_old_etag_changes_nothing_and_the_present_one_does(seller: Client) -> None:
    contact = await seller.make("contacts", {"lastname": "A"})
    old = (await seller.get(f"contacts({contact})")).json["@odata.etag"]
    assert old.startswith('W/"')
    await seller.patch(f"contacts({contact})", {"lastname": "B"})
    for answer in (
        await seller.patch(f"contacts({contact})", {"lastname": "C"}, headers={"If-Match": old}),
        await seller.send("DELETE", f"contacts({contact})", headers={"If-Match": old}),
    ):
        assert (answer.status, answer.json["error"]["code"]) == (412, "0x80060882")
    new = (await seller.get(f"contacts({contact})")).json["@odata.etag"]
    assert (await seller.patch(f"contacts({contact})", {"lastname": "D"}, headers={"If-Match": new})).status == 204


async def test_an_unchanged_row_is_not_sent_again(seller: Client) -> None:
    contact = await seller.make("contacts", {"lastname": "A"})
    tag = (await seller.get(f"contacts({contact})")).json["@odata.etag"]
    answer = await seller.get(f"contacts({contact})", headers={"If-None-Match": tag})
    assert (answer.status, answer.body) == (304, b"")
    assert (await seller.get(f"contacts({contact})", headers={"If-None-Match": "null"})).status == 200
    await seller.patch(f"contacts({contact})", {"lastname": "B"})
    assert (await seller.get(f"contacts({contact})", headers={"If-None-Match": tag})).status == 200


async def test_a_row_is_read_only_in_the_version_that_is_asked_for(seller: Client) -> None:
    contact = await seller.make("contacts", {"lastname": "A"})
    tag = (await seller.get(f"contacts({contact})")).json["@odata.etag"]
    for condition in (tag, "*"):
        assert (await seller.get(f"contacts({contact})", headers={"If-Match": condition})).status == 200
    await seller.patch(f"contacts({contact})", {"lastname": "B"})
    stale = await seller.get(f"contacts({contact})", headers={"If-Match": tag})
    assert (stale.status, stale.json["error"]["code"]) == (412, "0x80060882")


async def test_pages_follow_each_other_by_links_that_begin_as_the_caller_began(seller: Client) -> None:
    made = await people(seller, 5)
    headers = {"Prefer": "odata.maxpagesize=2"}
    seen: list[str] = []
    path = "contacts?$select=lastname"
    for _ in range(3):
        answer = await seller.get(path, headers=headers)
        seen += [row["contactid"] for row in answer.rows]
        assert len(answer.rows) <= 2
        path = answer.json.get("@odata.nextLink", "")
        assert not path or path.startswith(f"{seller.base}/contacts?")
    assert path == ""
    assert sorted(seen) == sorted(made)


@pytest.mark.parametrize("orderby", ["lastname desc", "ee_timezone,lastname"])
async def test_pages_keep_the_order_and_the_top(seller: Client, orderby: str) -> None:
    await people(seller, 6)
    path = f"contacts?$orderby={orderby}&$top=5&$count=true".replace(" ", "%20")
    seen: list[str] = []
    while path:
        answer = await seller.get(path, headers={"Prefer": "odata.maxpagesize=2"})
        assert answer.json["@odata.count"] == 6
        seen += [row["lastname"] for row in answer.rows]
        path = answer.json.get("@odata.nextLink", "")
    assert seen == sorted((f"P{number}" for number in range(6)), reverse="desc" in orderby)[:5]


async def test_a_set_is_filtered_counted_and_cut(seller: Client) -> None:
    made = await people(seller, 4)
    assert [row["lastname"] for row in (await seller.get("contacts?$filter=lastname eq 'p2'")).rows] == ["P2"]
    assert [row["contactid"] for row in (await seller.get(f"contacts?$filter=contactid eq {made[1]}")).rows] == [
        made[1]
    ]
    assert (await seller.get("contacts/$count")).body == b"4"
    assert (await seller.get("contacts/$count?$filter=lastname ne 'P2'")).body == b"3"
    assert len((await seller.get("contacts?$top=3")).rows) == 3
    assert (await seller.get("contacts?$top=0")).rows == []
    assert (await seller.get("contacts?$filter=statecode eq 1")).rows == []


async def test_a_client_that_encodes_as_forms_do_is_understood(seller: Client) -> None:
    await people(seller, 2)
    answer = await seller.get("contacts?%24select=lastname%2Cfullname&%24filter=lastname+eq+%27P1%27&%24count=true")
    assert [row["fullname"] for row in answer.rows] == ["P1"]


async def test_state_and_status_follow_each_other(seller: Client) -> None:
    contact = await seller.make("contacts", {"lastname": "A"})
    await seller.patch(f"contacts({contact})", {"statecode": 1})
    row = (await seller.get(f"contacts({contact})", headers=ALL)).json
    assert (row["statecode"], row["statuscode"]) == (1, 2)
    assert row["statecode@OData.Community.Display.V1.FormattedValue"] == "Inactive"
    wrong = await seller.patch(f"contacts({contact})", {"statecode": 0, "statuscode": 2})
    assert wrong.status == 400
    assert "statuscode" in wrong.error


@pytest.mark.parametrize(
    ("sent", "culprit"),
    [
        ({"nosuch": 1}, "nosuch"),
        ({"lastname": 5}, "lastname"),
        ({"lastname": "x" * 51}, "lastname"),
        ({"followemail": "yes"}, "followemail"),
        ({"nosuch@odata.bind": "/contacts(0b1d0b6e-0000-4000-8000-000000000009)"}, "nosuch"),
        ({"_ownerid_value": "0b1d0b6e-0000-4000-8000-000000000009"}, "ownerid@odata.bind"),
        ({"contactid": "x"}, "contactid"),
        ({"ownerid@odata.bind": None}, "ownerid"),
        ({"parentcustomerid_account": {"name": "nested"}}, "parentcustomerid_account"),
    ],
)
async def test_what_a_row_cannot_hold_is_refused_and_named(seller: Client, sent: dict[str, Any], culprit: str) -> None:
    answer = await seller.post("contacts", sent)
    assert answer.status == 400
    assert culprit in answer.error
    assert (await seller.get("contacts/$count")).body == b"0"


async def test_what_the_service_keeps_is_ignored_on_create_and_refused_on_update(seller: Client) -> None:
    email = await seller.make("emails", {"subject": "s", "opencount": 99, "senton": "2020-01-01T00:00:00Z"})
    row = (await seller.get(f"emails({email})")).json
    assert (row["opencount"], row["senton"]) == (0, None)
    answer = await seller.patch(f"emails({email})", {"opencount": 99})
    assert answer.status == 400
    assert "'opencount'" in answer.error


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        (b"[]", 400),
        (b'"text"', 400),
        (b'{"lastname": NaN}', 400),
        (b"\xff\xfe", 400),
        (b"[" * 100_000, 400),
        (b'{"lastname":' * 50_000, 400),
        (b'{"lastname": "' + b"x" * 1_100_000 + b'"}', 413),
        (b'{"numberofemployees": ' + b"9" * 5000 + b"}", 400),
    ],
    ids=["cut", "list", "text", "nan", "not utf-8", "deep lists", "deep objects", "huge", "huge number"],
)
async def test_a_body_that_is_no_row_is_answered_in_dataverses_shape(seller: Client, body: bytes, status: int) -> None:
    answer = await seller.post("accounts", body)
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("application/json")
    assert set(answer.json["error"]) == {"code", "message"}


async def test_a_body_of_another_type_is_refused(seller: Client) -> None:
    answer = await seller.post("contacts", b"lastname=A", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert answer.status == 415
    charset = {"Content-Type": "application/json; charset=utf-8"}
    assert (await seller.post("contacts", {"lastname": "A"}, headers=charset)).status == 204


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "nosuchset", 404),
        ("GET", "contacts/nosuch", 404),
        ("GET", "contacts(0b1d0b6e-0000-4000-8000-000000000009)/nosuch", 404),
        ("GET", "contacts(5)", 400),
        ("GET", "contacts('x')", 400),
        ("GET", "NoSuchFunction()", 404),
        ("POST", "NoSuchAction", 404),
        ("POST", "contacts(0b1d0b6e-0000-4000-8000-000000000009)/Microsoft.Dynamics.CRM.NoSuch", 404),
        ("PUT", "contacts", 405),
        ("DELETE", "contacts", 405),
        ("POST", "WhoAmI", 405),
        ("GET", "FollowEmailAttachment", 405),
        ("GET", "%00", 404),
        ("GET", "contacts(", 404),
        ("GET", "..%2f..%2fo/x", 404),
        ("GET", "contacts?$filter=" + "(" * 4000, 400),
    ],
)
async def test_a_path_that_leads_nowhere_gets_a_clear_error(
    seller: Client, method: str, path: str, status: int
) -> None:
    answer = await seller.send(method, path, {} if method != "GET" else None)
    assert answer.status == status
    assert answer.json["error"]["message"]


async def test_any_version_nine_is_served_and_no_other(seller: Client) -> None:
    for version, status in (("v9.0", 200), ("v9.2", 200), ("v8.2", 404), ("latest", 404)):
        answer = await seller.get(f"https://{seller.host}/{seller.organization.name}/api/data/{version}/WhoAmI")
        assert answer.status == status


async def test_links_are_built_as_the_caller_spelled_the_host(seller: Client) -> None:
    headers = {"X-Forwarded-Host": "other.example:8443", "X-Forwarded-Proto": "https"}
    made = await seller.post("contacts", {"lastname": "A"}, headers=headers)
    assert made.headers["OData-EntityId"].startswith(f"https://other.example:8443/{seller.organization.name}/api/data/")
    hostile = await seller.post("contacts", {"lastname": "A"}, headers={"X-Forwarded-Host": "a.example/<x>?"})
    assert "<x>" not in hostile.headers["OData-EntityId"]


async def test_a_seller_changes_only_what_is_their_own(seller: Client, manager: Client, issuer: Any) -> None:
    other = Client(seller.organization, issuer)
    contact = await seller.make("contacts", {"lastname": "A"})
    assert (await other.get(f"contacts({contact})")).status == 200
    for answer in (
        await other.patch(f"contacts({contact})", {"lastname": "B"}),
        await other.send("DELETE", f"contacts({contact})"),
        await other.post("contacts", {"lastname": "C", "ownerid@odata.bind": f"/systemusers({seller.user})"}),
    ):
        assert (answer.status, answer.json["error"]["code"]) == (403, "0x80040220")
    assert (await manager.patch(f"contacts({contact})", {"lastname": "D"})).status == 204


async def test_only_administrators_change_people_queues_and_the_organization(
    seller: Client, manager: Client, administrator: Client
) -> None:
    path = f"organizations({seller.organization.id})"
    for client in (seller, manager):
        assert (await client.patch(path, {"isemailmonitoringallowed": False})).status == 403
        assert (await client.post("queues", {"name": "Q"})).status == 403
    assert (await administrator.patch(path, {"isemailmonitoringallowed": False})).status == 204
    assert (await seller.get(path)).json["isemailmonitoringallowed"] is False
    assert (await administrator.make("queues", {"name": "Q"})) != ""


async def test_the_limits_of_attachments_are_read_as_dynamics_reads_them(seller: Client) -> None:
    (row,) = (await seller.get("organizations?$select=blockedattachments,maxuploadfilesize")).rows
    assert "exe" in row["blockedattachments"].split(";")
    assert row["maxuploadfilesize"] == DEFAULT_SETTINGS["maxuploadfilesize"]


async def test_a_card_is_read_and_dismissed_by_its_owner(seller: Client, issuer: Any) -> None:
    card = str(uuid.uuid4())
    columns = {"actioncardid": card, "title": "Ann opened", "ownerid": seller.user, "state": 0, "cardtype": 1}
    await records.insert(seller.organization, "actioncard", card, {**columns, "_why": "internal"})
    (row,) = (await seller.get("actioncards?$filter=state eq 0")).rows
    assert (row["title"], row["_ownerid_value"]) == ("Ann opened", seller.user)
    assert "_why" not in row
    assert (await Client(seller.organization, issuer).patch(f"actioncards({card})", {"state": 1})).status == 403
    assert (await seller.patch(f"actioncards({card})", {"state": 1})).status == 204
    assert (await seller.get("actioncards?$filter=state eq 0")).rows == []
    assert (await seller.post("actioncards", {"title": "mine"})).status == 405


async def test_storage_that_does_not_answer_is_503_and_says_when_to_come_back(
    seller: Client, issuer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}/devstoreaccount1"
    name = "dead" + uuid.uuid4().hex[:10]
    endpoints = f"TableEndpoint={dead};QueueEndpoint={dead};BlobEndpoint={dead}"
    monkeypatch.setenv(f"STORAGE_{name.upper()}", f"AccountName=devstoreaccount1;AccountKey=AAAA;{endpoints}")
    account_of.cache_clear()
    organization = Organization(name, str(uuid.uuid4()), str(uuid.uuid4()))
    await save_organization(organization)
    forget_organizations()
    answer = await Client(organization, issuer).get("contacts")
    assert answer.status == 503
    assert int(answer.headers["Retry-After"]) > 0
    assert dead not in answer.error


async def test_the_service_document_lists_the_sets(seller: Client) -> None:
    answer = await seller.get("")
    assert {"name": "emails", "kind": "EntitySet", "url": "emails"} in answer.rows
