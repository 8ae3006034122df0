"""Mail over the Web API: drafts, parties, attachments, sending, and what recipients did."""

import base64
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.storage import blobs, emails, records
from shared.storage.account import NotFound
from shared.storage.tables import Operation
from tests.web_client import Client

NOW = datetime(2026, 11, 23, 17, 35, tzinfo=UTC)
FILE = base64.b64encode(b"content").decode()


async def draft(client: Client, **columns: Any) -> str:
    contact = await client.make("contacts", {"lastname": "Turing", "emailaddress1": "alan@x.example"})
    to = {"partyid_contact@odata.bind": f"/contacts({contact})", "participationtypemask": 2}
    return await client.make("emails", {"subject": "Offer", "email_activity_parties": [to], **columns})


async def attach(client: Client, email: str, **columns: Any) -> str:
    bound = {"objectid_email@odata.bind": f"/emails({email})", "objecttypecode": "email"}
    file = {"filename": "a.txt", "mimetype": "text/plain", "body": FILE}
    return await client.make("activitymimeattachments", {**bound, **file, **columns})


async def put_status(client: Client, email: str, status: int, **columns: Any) -> None:
    """Bring an email where delivery would have brought it."""
    row = await emails.get_email(client.organization, email)
    assert row is not None
    state = 0 if status in (1, 8) else 1
    await emails.commit(client.organization, row, {"statuscode": status, "statecode": state, **columns})


async def read(client: Client, email: str) -> dict[str, Any]:
    return dict((await client.get(f"emails({email})")).json)


async def test_an_email_is_made_with_its_parties_and_attachments_in_one_request(seller: Client) -> None:
    contact = await seller.make("contacts", {"lastname": "Turing", "emailaddress1": "alan@x.example"})
    email = await seller.make(
        "emails",
        {
            "subject": "Offer",
            "description": "<p>Hello</p>",
            "regardingobjectid_contact_email@odata.bind": f"/contacts({contact})",
            "email_activity_parties": [
                {"partyid_contact@odata.bind": f"/contacts({contact})", "participationtypemask": 2},
                {"addressused": "stranger@y.example", "participationtypemask": 3},
            ],
            "email_activity_mime_attachment": [{"filename": "a.txt", "mimetype": "text/plain", "body": FILE}],
        },
    )
    row = (await seller.get(f"emails({email})?$expand=email_activity_parties,email_activity_mime_attachment")).json
    assert row["description"] == "<p>Hello</p>"
    assert (row["statecode"], row["statuscode"], row["directioncode"]) == (0, 1, True)
    assert (row["_regardingobjectid_value"], row["attachmentcount"]) == (contact, 1)
    parties = [(party["participationtypemask"], party["addressused"]) for party in row["email_activity_parties"]]
    assert parties == [(1, "seller@contoso.example"), (2, "alan@x.example"), (3, "stranger@y.example")]
    (attachment,) = row["email_activity_mime_attachment"]
    assert (attachment["filename"], attachment["filesize"], attachment["isfollowed"]) == ("a.txt", 7, False)
    assert "body" not in attachment
    single = (await seller.get(f"activitymimeattachments({attachment['activitymimeattachmentid']})")).json
    assert base64.b64decode(single["body"]) == b"content"


async def test_a_row_is_made_in_a_collection_of_another(seller: Client) -> None:
    email = await draft(seller)
    file = {"filename": "a.txt", "mimetype": "text/plain", "body": FILE}
    answer = await seller.post(f"emails({email})/email_activity_mime_attachment", file)
    assert answer.headers["OData-EntityId"].startswith(f"{seller.base}/activitymimeattachments(")
    row = (await seller.get(f"activitymimeattachments({answer.id})")).json
    assert (row["_objectid_value"], row["filename"]) == (email, "a.txt")
    party = await seller.post(f"emails({email})/email_activity_parties", {"participationtypemask": 2})
    assert party.status == 405
    nobody = await seller.post(f"emails({uuid.UUID(int=9)})/email_activity_mime_attachment", file)
    assert nobody.status == 404


async def test_the_address_at_the_time_of_writing_stays_with_the_party(seller: Client) -> None:
    email = await draft(seller)
    (contact,) = (await seller.get("contacts")).rows
    await seller.patch(f"contacts({contact['contactid']})", {"emailaddress1": "new@x.example"})
    (party,) = (await seller.get(f"emails({email})/email_activity_parties?$filter=participationtypemask eq 2")).rows
    assert party["addressused"] == "alan@x.example"
    assert party["_partyid_value"] == contact["contactid"]


async def test_an_address_is_not_resolved_to_a_record_by_itself(seller: Client) -> None:
    await seller.make("contacts", {"lastname": "A", "emailaddress1": "alan@x.example"})
    party = {"addressused": "alan@x.example", "participationtypemask": 2}
    email = await seller.make("emails", {"email_activity_parties": [party]})
    rows = (await seller.get(f"emails({email})/email_activity_parties")).rows
    assert [row["_partyid_value"] for row in rows] == [seller.user, None]


async def test_the_parties_of_an_email_are_found_in_their_own_set(seller: Client) -> None:
    email = await draft(seller)
    await draft(seller)
    assert len((await seller.get(f"activityparties?$filter=_activityid_value eq {email}")).rows) == 2
    assert len((await seller.get("activityparties")).rows) == 4


@pytest.mark.parametrize(
    ("parties", "status", "culprit"),
    [
        ([{"participationtypemask": 2}], 400, "addressused"),
        ([{"addressused": "a@x.example"}], 400, "participationtypemask"),
        ([{"addressused": "a@x.example", "participationtypemask": 9}], 400, "participationtypemask"),
        ([{"addressused": "a@x.example", "participationtypemask": 2, "nosuch": 1}], 400, "nosuch"),
        ([{"addressused": "a@x.example\nBcc: b@x.example", "participationtypemask": 2}], 400, "control characters"),
        ([{"addressused": "a@x.example", "participationtypemask": 1}], 400, "sender"),
        ("nobody", 400, "email_activity_parties"),
        (["nobody"], 400, "email_activity_parties"),
        ([{"addressused": "a@x.example", "participationtypemask": 2}] * 501, 400, "500"),
        (
            [{"partyid_contact@odata.bind": f"/contacts({uuid.UUID(int=9)})", "participationtypemask": 2}],
            404,
            str(uuid.UUID(int=9)),
        ),
    ],
)
async def test_a_party_that_cannot_be_is_refused_and_nothing_is_made(
    seller: Client, parties: Any, status: int, culprit: str
) -> None:
    answer = await seller.post("emails", {"subject": "s", "email_activity_parties": parties})
    assert answer.status == status
    assert culprit in answer.error
    assert (await seller.get("emails/$count")).body == b"0"


async def test_two_senders_are_refused(seller: Client) -> None:
    sender = {"partyid_systemuser@odata.bind": f"/systemusers({seller.user})", "participationtypemask": 1}
    answer = await seller.post("emails", {"email_activity_parties": [sender, sender]})
    assert answer.status == 400
    assert "one sender" in answer.error


async def test_a_seller_sends_as_nobody_else_and_a_manager_may(seller: Client, manager: Client) -> None:
    await manager.get("WhoAmI")
    sender = {"partyid_systemuser@odata.bind": f"/systemusers({manager.user})", "participationtypemask": 1}
    assert (await seller.post("emails", {"email_activity_parties": [sender]})).status == 403
    await seller.get("WhoAmI")
    sender["partyid_systemuser@odata.bind"] = f"/systemusers({seller.user})"
    assert (await manager.post("emails", {"email_activity_parties": [sender]})).status == 204


async def test_many_parties_are_kept_in_the_order_given(seller: Client) -> None:
    addresses = [f"p{number:03}@x.example" for number in range(250)]
    parties = [{"addressused": address, "participationtypemask": 2} for address in addresses]
    email = await seller.make("emails", {"email_activity_parties": parties})
    rows = (await seller.get(f"emails({email})/email_activity_parties")).rows
    assert [row["addressused"] for row in rows[1:]] == addresses
    few = [{"addressused": "only@x.example", "participationtypemask": 2}]
    assert (await seller.patch(f"emails({email})", {"email_activity_parties": few})).status == 204
    rows = (await seller.get(f"emails({email})/email_activity_parties")).rows
    assert [row["addressused"] for row in rows] == ["only@x.example"]


async def test_a_body_survives_every_byte_half_emojis_included(seller: Client) -> None:
    body = "<p>\r\n\t é \u2028 \ud83d end \U0001f600</p>"
    email = await draft(seller, description=body)
    assert (await read(seller, email))["description"] == body
    await seller.patch(f"emails({email})", {"description": "<p>new</p>"})
    assert (await read(seller, email))["description"] == "<p>new</p>"
    await seller.patch(f"emails({email})", {"description": None})
    assert (await read(seller, email))["description"] is None


async def test_a_replaced_body_leaves_no_blob_behind(seller: Client) -> None:
    email = await draft(seller, description="<p>old</p>")
    row = await emails.get_email(seller.organization, email)
    assert row is not None
    await seller.patch(f"emails({email})", {"description": "<p>new</p>"})
    with pytest.raises(NotFound):
        await blobs.get(seller.organization, row["_body"])


async def test_a_body_that_graph_could_not_take_is_refused_when_saved(seller: Client) -> None:
    email = await draft(seller)
    answer = await seller.patch(f"emails({email})", {"description": "é" * 600_000})
    assert answer.status == 400
    assert "description" in answer.error
    assert (await seller.patch(f"emails({email})", {"description": "x" * 3_000_000})).status == 204


async def test_lists_leave_the_body_out_unless_it_is_selected(seller: Client) -> None:
    await draft(seller, description="<p>x</p>")
    assert "description" not in (await seller.get("emails")).rows[0]
    assert (await seller.get("emails?$select=description")).rows[0]["description"] == "<p>x</p>"


async def test_the_status_says_what_became_of_the_mail(seller: Client) -> None:
    email = await draft(seller)
    assert (await read(seller, email))["ee_statustext"] is None
    await put_status(seller, email, 3, isemailfollowed=True, lastopenedtime="2026-11-22T10:00:00Z")
    answer = await seller.get(f"emails({email})?$select=ee_statustext", now=NOW)
    assert answer.json["ee_statustext"] == "Last opened yesterday at 10:00 UTC"


@pytest.mark.parametrize("status", [3, 4, 6, 7])
@pytest.mark.parametrize(
    "change",
    [
        {"subject": "x"},
        {"description": "x"},
        {"followemailuserpreference": True},
        {"email_activity_parties": [{"addressused": "a@x.example", "participationtypemask": 2}]},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_a_mail_that_is_gone_keeps_its_words(seller: Client, status: int, change: dict[str, Any]) -> None:
    email = await draft(seller)
    await put_status(seller, email, status)
    answer = await seller.patch(f"emails({email})", change)
    assert answer.status == 400
    assert next(iter(change)) in answer.error
    assert "not a Draft" in answer.error


async def test_what_surrounds_a_mail_may_change_after_it_was_sent(seller: Client) -> None:
    email = await draft(seller)
    account = await seller.make("accounts", {"name": "N"})
    await put_status(seller, email, 3)
    change = {"regardingobjectid_account@odata.bind": f"/accounts({account})", "emailremindertext": "call"}
    assert (await seller.patch(f"emails({email})", change)).status == 204
    row = await read(seller, email)
    assert (row["_regardingobjectid_value"], row["emailremindertext"]) == (account, "call")


async def test_a_mail_that_failed_may_be_mended(seller: Client) -> None:
    email = await draft(seller)
    await put_status(seller, email, 8, ee_failurereason="no mailbox")
    assert (await read(seller, email))["ee_statustext"] == "Not sent: no mailbox"
    assert (await seller.patch(f"emails({email})", {"subject": "again"})).status == 204


async def test_a_mail_that_waits_is_taken_back_and_moved(seller: Client) -> None:
    email = await draft(seller)
    await put_status(seller, email, 6, delayedemailsendtime="2030-01-01T00:00:00Z", isemailfollowed=True)
    later = {"delayedemailsendtime": "2030-02-01T00:00:00Z"}
    assert (await seller.patch(f"emails({email})", later)).status == 204
    assert (await read(seller, email))["delayedemailsendtime"] == "2030-02-01T00:00:00Z"
    assert (await seller.patch(f"emails({email})", {"statecode": 0, "statuscode": 1})).status == 204
    row = await read(seller, email)
    assert (row["statecode"], row["statuscode"], row["isemailfollowed"]) == (0, 1, False)
    assert (await seller.patch(f"emails({email})", {"subject": "now"})).status == 204


@pytest.mark.parametrize(("status", "change"), [(3, {"statuscode": 1}), (7, {"statecode": 0}), (1, {"statuscode": 6})])
async def test_a_state_that_cannot_follow_is_refused(seller: Client, status: int, change: dict[str, int]) -> None:
    email = await draft(seller)
    await put_status(seller, email, status)
    assert (await seller.patch(f"emails({email})", change)).status == 400
    assert (await read(seller, email))["statuscode"] == status


async def test_a_mail_sent_elsewhere_is_logged_without_sending(seller: Client) -> None:
    email = await draft(seller)
    assert (await seller.patch(f"emails({email})", {"statecode": 1, "statuscode": 4})).status == 204
    assert (await read(seller, email))["statuscode"] == 4


async def test_sending_puts_the_mail_on_its_way_and_returns(seller: Client) -> None:
    email = await draft(seller, description="<p>x</p>", followemailuserpreference=True)
    answer = await seller.post(f"emails({email})/Microsoft.Dynamics.CRM.SendEmail", {"IssueSend": True})
    assert answer.status == 200
    assert answer.json["@odata.context"].endswith("$metadata#Microsoft.Dynamics.CRM.SendEmailResponse")
    assert answer.json["Subject"] == "Offer"
    row = await read(seller, email)
    assert (row["statecode"], row["statuscode"], row["isemailfollowed"]) == (1, 6, True)
    again = await seller.post(f"emails({email})/Microsoft.Dynamics.CRM.SendEmail", {"IssueSend": True})
    assert again.status == 400
    assert "Pending Send" in again.error


async def test_marking_as_sent_sends_nothing(seller: Client) -> None:
    email = await draft(seller)
    assert (
        await seller.post(f"emails({email})/Microsoft.Dynamics.CRM.SendEmail", {"IssueSend": False}, now=NOW)
    ).status == 200
    row = await read(seller, email)
    assert (row["statuscode"], row["senton"], row["isemailfollowed"]) == (3, "2026-11-23T17:35:00Z", False)


@pytest.mark.parametrize("sent", [{}, {"IssueSend": "true"}, {"IssueSend": None}, {"IssueSend": True, "Other": 1}])
async def test_sending_needs_to_be_told_what_to_do(seller: Client, sent: dict[str, Any]) -> None:
    email = await draft(seller)
    answer = await seller.post(f"emails({email})/Microsoft.Dynamics.CRM.SendEmail", sent)
    assert answer.status == 400
    assert (await read(seller, email))["statuscode"] == 1


async def test_nobody_sends_what_is_anothers(seller: Client, issuer: Any) -> None:
    email = await draft(seller)
    other = Client(seller.organization, issuer)
    path = f"emails({email})/Microsoft.Dynamics.CRM.SendEmail"
    assert (await other.post(path, {"IssueSend": True})).status == 403
    assert (
        await other.post(f"emails({uuid.uuid4()})/Microsoft.Dynamics.CRM.SendEmail", {"IssueSend": True})
    ).status == 404


async def test_deleting_an_email_leaves_nothing_behind(seller: Client) -> None:
    email = await draft(seller, description="<p>x</p>")
    attachment = await attach(seller, email)
    row = await emails.get_email(seller.organization, email)
    assert row is not None
    assert (await seller.send("DELETE", f"emails({email})")).status == 204
    assert (await seller.get(f"emails({email})")).status == 404
    assert (await seller.get(f"activitymimeattachments({attachment})")).status == 404
    assert await records.get(seller.organization, "activitymimeattachment", attachment) is None
    assert (await seller.get("activityparties")).rows == []
    with pytest.raises(NotFound):
        await blobs.get(seller.organization, row["_body"])
    assert (await seller.send("DELETE", f"emails({email})")).status == 404


async def test_an_email_of_many_hits_is_deleted_whole(seller: Client) -> None:
    email = await draft(seller)
    await interactions(seller, email, 150)
    assert (await seller.send("DELETE", f"emails({email})")).status == 204
    assert (await seller.get("interactionforemails")).rows == []


@pytest.mark.parametrize("navigation", ["objectid_email", "objectid_activitypointer", "objectid"])
async def test_a_file_is_attached_under_every_name_of_its_email(seller: Client, navigation: str) -> None:
    email = await draft(seller)
    sent = {f"{navigation}@odata.bind": f"/emails({email})", "filename": "a.txt", "body": FILE}
    made = await seller.make("activitymimeattachments", sent)
    row = (await seller.get(f"activitymimeattachments({made})")).json
    assert (row["_objectid_value"], row["mimetype"], row["filesize"]) == (email, "application/octet-stream", 7)
    assert (await read(seller, email))["attachmentcount"] == 1
    rows = (await seller.get(f"activitymimeattachments?$filter=_objectid_value eq {email}&$select=filename")).rows
    assert [item["filename"] for item in rows] == ["a.txt"]


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("..\\..\\report.pdf", "report.pdf"),
        ("/etc/passwd", "passwd"),
        ("C:\\temp\\a.txt", "a.txt"),
        ("quote\" 'and' <b>&.txt", "quote\" 'and' <b>&.txt"),
        ("Ärger 日本.txt", "Ärger 日本.txt"),
    ],
)
async def test_a_path_in_a_filename_is_cut_and_the_rest_kept(seller: Client, name: str, kept: str) -> None:
    attachment = await attach(seller, await draft(seller), filename=name)
    assert (await seller.get(f"activitymimeattachments({attachment})")).json["filename"] == kept


@pytest.mark.parametrize(
    ("columns", "culprit"),
    [
        ({"filename": "virus.exe"}, "'exe'"),
        ({"filename": "virus.EXE."}, "'exe'"),
        ({"filename": "virus.exe::$DATA"}, "'exe'"),
        ({"filename": "invoice\u202efdp.exe"}, "'exe'"),
        ({"filename": ""}, "filename"),
        ({"filename": ".."}, "filename"),
        ({"filename": "a/"}, "filename"),
        ({"filename": "x" * 256}, "filename"),
        ({"mimetype": "text/plain\r\nX: y"}, "mimetype"),
        ({"mimetype": "text"}, "mimetype"),
        ({"body": "not base64!"}, "body"),
        ({"body": "QQ"}, "body"),
        ({"isfollowed": 1, "nosuch": 1}, "nosuch"),
        ({"objecttypecode": "template"}, "objecttypecode"),
    ],
    ids=str,
)
async def test_a_file_that_cannot_be_attached_is_refused_and_nothing_is_made(
    seller: Client, columns: dict[str, Any], culprit: str
) -> None:
    email = await draft(seller)
    sent = {"objectid_email@odata.bind": f"/emails({email})", "filename": "a.txt", "body": FILE, **columns}
    answer = await seller.post("activitymimeattachments", sent)
    assert answer.status == 400
    assert culprit in answer.error
    assert (await read(seller, email))["attachmentcount"] == 0


async def test_a_file_belongs_to_an_email_that_there_is(seller: Client) -> None:
    assert (await seller.post("activitymimeattachments", {"filename": "a.txt", "body": FILE})).status == 400
    nowhere = {"objectid_email@odata.bind": f"/emails({uuid.uuid4()})", "filename": "a.txt", "body": FILE}
    assert (await seller.post("activitymimeattachments", nowhere)).status == 404


async def test_a_file_beyond_the_organizations_limit_is_refused(seller: Client, administrator: Client) -> None:
    email = await draft(seller)
    await administrator.patch(f"organizations({seller.organization.id})", {"maxuploadfilesize": 6})
    sent = {"objectid_email@odata.bind": f"/emails({email})", "filename": "a.txt", "body": FILE}
    answer = await seller.post("activitymimeattachments", sent)
    assert answer.status == 400
    assert "maxuploadfilesize" in answer.error


async def test_an_attachment_is_followed_and_unfollowed_by_its_actions(seller: Client) -> None:
    attachment = await attach(seller, await draft(seller))
    for action, followed in (("FollowEmailAttachment", True), ("UnfollowEmailAttachment", False)):
        assert (await seller.post(action, {"ActivityMimeAttachmentId": attachment})).status == 204
        assert (await seller.get(f"activitymimeattachments({attachment})")).json["isfollowed"] is followed


async def test_an_attachment_cannot_be_followed_when_inline_gone_or_not_a_draft(seller: Client) -> None:
    email = await draft(seller)
    inline = await attach(seller, email, attachmentcontentid="<logo@x>")
    plain = await attach(seller, email)
    answer = await seller.post("FollowEmailAttachment", {"ActivityMimeAttachmentId": inline})
    assert answer.status == 400
    assert "inline" in answer.error
    assert (await seller.post("FollowEmailAttachment", {"ActivityMimeAttachmentId": str(uuid.uuid4())})).status == 404
    assert (await seller.post("FollowEmailAttachment", {"ActivityMimeAttachmentId": "x"})).status == 400
    await put_status(seller, email, 3)
    assert (await seller.post("FollowEmailAttachment", {"ActivityMimeAttachmentId": plain})).status == 400


async def test_an_attachment_is_changed_and_taken_off_a_draft_only(seller: Client) -> None:
    email = await draft(seller)
    attachment = await attach(seller, email)
    change = {"filename": "b.txt", "body": base64.b64encode(b"new").decode()}
    assert (await seller.patch(f"activitymimeattachments({attachment})", change)).status == 204
    row = (await seller.get(f"activitymimeattachments({attachment})")).json
    assert (row["filename"], base64.b64decode(row["body"]), row["filesize"]) == ("b.txt", b"new", 3)
    assert (await seller.patch(f"activitymimeattachments({attachment})", {"filename": "b.exe"})).status == 400
    await put_status(seller, email, 3)
    assert (await seller.patch(f"activitymimeattachments({attachment})", {"filename": "c.txt"})).status == 400
    assert (await seller.send("DELETE", f"activitymimeattachments({attachment})")).status == 400
    await put_status(seller, email, 1)
    assert (await seller.send("DELETE", f"activitymimeattachments({attachment})")).status == 204
    assert (await seller.get(f"activitymimeattachments({attachment})")).status == 404
    assert (await read(seller, email))["attachmentcount"] == 0


async def test_two_who_attach_at_once_both_attach(seller: Client) -> None:
    import asyncio

    email = await draft(seller)
    await asyncio.gather(*(attach(seller, email, filename=f"{number}.txt") for number in range(4)))
    assert (await read(seller, email))["attachmentcount"] == 4
    rows = (await seller.get(f"emails({email})/email_activity_mime_attachment?$orderby=attachmentnumber")).rows
    assert [row["attachmentnumber"] for row in rows] == [1, 2, 3, 4]


async def interactions(client: Client, email: str, count: int) -> None:
    rows = []
    for number in range(count):
        at = 1_800_000_000_000 + number * 1000
        rows.append(
            Operation(
                "put",
                {
                    "PartitionKey": email,
                    "RowKey": emails.interaction_key(at, f"hit-{number}"),
                    "interactionforemailid": str(uuid.uuid4()),
                    "interactiontype": number % 4,
                    "emailactivityid": email,
                    "emailinteractiontime": f"2027-01-15T08:{number // 60:02}:{number % 60:02}Z",
                    "ee_label": 0,
                    "_observation": "internal",
                },
            )
        )
    for start in range(0, count, 100):
        await client.organization.tables.transact(client.organization.emails, rows[start : start + 100])


async def test_what_recipients_did_is_read_newest_first(seller: Client) -> None:
    one, other = await draft(seller), await draft(seller)
    await interactions(seller, one, 3)
    await interactions(seller, other, 1)
    rows = (await seller.get(f"interactionforemails?$filter=emailactivityid eq {one}")).rows
    assert [row["emailinteractiontime"][-3:-1] for row in rows] == ["02", "01", "00"]
    assert all("_observation" not in row for row in rows)
    clicks = await seller.get(f"interactionforemails?$filter=emailactivityid eq '{one}' and interactiontype eq 1")
    assert len(clicks.rows) == 1
    assert len((await seller.get("interactionforemails")).rows) == 4


async def test_an_interactions_name_says_what_happened(seller: Client) -> None:
    email = await draft(seller)
    await interactions(seller, email, 4)
    words = {0: "Opened the mail", 1: "Clicked a link", 2: "Opened a file", 3: "Replied"}
    rows = (
        await seller.get(f"interactionforemails?$filter=emailactivityid eq {email}&$select=name,interactiontype")
    ).rows
    assert {row["interactiontype"]: row["name"] for row in rows} == words
    path = f"interactionforemails?$filter=contains(name,'OPENED') and emailactivityid eq {email}&$orderby=name"
    assert [row["name"] for row in (await seller.get(path)).rows] == ["Opened a file", "Opened the mail"]
    automatic = {
        "interactiontype": 3,
        "ee_label": 2,
        "interactionforemailid": str(uuid.uuid4()),
        "RowKey": "interaction:0",
    }
    await seller.organization.tables.transact(
        seller.organization.emails, [Operation("put", {**automatic, "PartitionKey": email})]
    )
    single = await seller.get(f"interactionforemails({automatic['interactionforemailid']})?$select=name")
    assert single.json["name"] == "Sent an automatic message"


async def test_interactions_are_read_page_by_page(seller: Client) -> None:
    email = await draft(seller)
    await interactions(seller, email, 25)
    path = f"interactionforemails?$filter=emailactivityid eq {email}"
    times: list[str] = []
    while path:
        answer = await seller.get(path, headers={"Prefer": "odata.maxpagesize=10"})
        times += [row["emailinteractiontime"] for row in answer.rows]
        path = answer.json.get("@odata.nextLink", "")
    assert len(times) == 25
    assert times == sorted(times, reverse=True)


async def test_interactions_are_the_services_to_write(seller: Client) -> None:
    email = await draft(seller)
    await interactions(seller, email, 1)
    (row,) = (await seller.get("interactionforemails")).rows
    path = f"interactionforemails({row['interactionforemailid']})"
    assert (await seller.get(path)).json["interactiontype"] == 0
    assert (await seller.post("interactionforemails", {"interactiontype": 0})).status == 405
    assert (await seller.patch(path, {"interactiontype": 1})).status == 405


async def test_reading_one_emails_interactions_reads_one_partition(
    seller: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from shared.storage import tables

    asked: list[str] = []
    query = tables.Tables.query

    def watched(self: Any, table: str, filter: str = "", *rest: Any, **options: Any) -> Any:
        asked.append(filter)
        return query(self, table, filter, *rest, **options)

    monkeypatch.setattr(tables.Tables, "query", watched)
    email = str(uuid.uuid4())
    await seller.get(f"interactionforemails?$filter=interactiontype eq 1 and emailactivityid eq {email}")
    assert f"PartitionKey eq '{email}'" in asked[-1]
    assert "RowKey ge 'interaction:'" in asked[-1]
