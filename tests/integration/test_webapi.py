"""The Web API over real storage: rows of every table, as Dataverse's clients read and write them."""

import base64

from tests.web_client import Client


async def test_who_am_i_names_the_caller_and_the_organization(seller: Client) -> None:
    for path in ("WhoAmI", "WhoAmI()"):
        answer = (await seller.get(path)).json
        assert answer["UserId"] == seller.user
        assert answer["OrganizationId"] == answer["BusinessUnitId"] == seller.organization.id


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
            "email_activity_mime_attachment": [
                {"filename": "a.txt", "mimetype": "text/plain", "body": base64.b64encode(b"hi").decode()}
            ],
        },
    )
    row = (await seller.get(f"emails({email})?$expand=email_activity_parties,email_activity_mime_attachment")).json
    assert row["description"] == "<p>Hello</p>"
    assert (row["statecode"], row["statuscode"], row["directioncode"]) == (0, 1, True)
    assert row["_regardingobjectid_value"] == contact
    parties = [(party["participationtypemask"], party["addressused"]) for party in row["email_activity_parties"]]
    assert parties == [(1, "seller@contoso.example"), (2, "alan@x.example"), (3, "stranger@y.example")]
    (attachment,) = row["email_activity_mime_attachment"]
    assert (attachment["filename"], attachment["filesize"], attachment["isfollowed"]) == ("a.txt", 2, False)
    assert "body" not in attachment
    single = (await seller.get(f"activitymimeattachments({attachment['activitymimeattachmentid']})")).json
    assert base64.b64decode(single["body"]) == b"hi"
