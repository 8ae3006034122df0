"""Microsoft's Dataverse SDK for Python (PowerPlatform-Dataverse-Client), unchanged, against the running service."""

import base64
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from PowerPlatform.Dataverse.client import DataverseClient
from PowerPlatform.Dataverse.core.errors import HttpError, MetadataError
from PowerPlatform.Dataverse.models.filters import col
from PowerPlatform.Dataverse.models.upsert import UpsertItem

from tests.running_service import Seller, Service, eventually

FILE = base64.b64encode(b"the offer").decode()
NOBODY = str(uuid.UUID(int=9))


class Credential:
    """A token credential as azure-identity's are."""

    def __init__(self, token: str) -> None:
        self.token = token

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return AccessToken(self.token, 4102444800)


@pytest.fixture(scope="module")
def sdk(service: Service, https_url: str) -> Iterator[DataverseClient]:
    with DataverseClient(f"{https_url}/contoso", Credential(service.token("seller@contoso.example"))) as client:
        yield client


@pytest.fixture
def mark() -> str:
    """Return a word of this test's own: other tests keep their rows in the same organization."""
    return uuid.uuid4().hex


def contact(sdk: DataverseClient, **columns: Any) -> str:
    return sdk.records.create("contact", {"lastname": "Turing", "emailaddress1": "alan@x.example", **columns})


def contacts(sdk: DataverseClient, mark: str, *names: str) -> list[str]:
    return [contact(sdk, firstname=name, department=mark) for name in names]


def failure(act: Callable[[], object]) -> HttpError:
    with pytest.raises(HttpError) as raised:
        act()
    return raised.value


def code(error: HttpError) -> Any:
    return error.details["service_error_code"]


# Creating and reading


def test_an_email_is_created_with_parties_a_lookup_and_an_attachment(sdk: DataverseClient) -> None:
    person = contact(sdk)
    made = sdk.records.create(
        "email",
        {
            "Subject": "Offer",
            "description": "<p>Hello</p>",
            "followemailuserpreference": True,
            "regardingobjectid_contact_email@odata.bind": f"/contacts({person})",
            "email_activity_parties": [
                {"partyid_contact@odata.bind": f"/contacts({person})", "participationtypemask": 2},
                {"addressused": "stranger@y.example", "participationtypemask": 3},
            ],
            "email_activity_mime_attachment": [{"filename": "a.txt", "mimetype": "text/plain", "body": FILE}],
        },
    )
    row = sdk.records.retrieve(
        "email",
        made,
        select=["Subject", "description", "followemailuserpreference", "_regardingobjectid_value", "attachmentcount"],
        expand=["email_activity_parties($select=addressused,participationtypemask)", "email_activity_mime_attachment"],
    )
    assert row is not None
    assert (row.id, row["subject"], row["description"]) == (made, "Offer", "<p>Hello</p>")
    assert (row["followemailuserpreference"], row["_regardingobjectid_value"]) == (True, person)
    parties = {(party["participationtypemask"], party["addressused"]) for party in row["email_activity_parties"]}
    assert parties == {(1, "seller@contoso.example"), (2, "alan@x.example"), (3, "stranger@y.example")}
    assert [file["filename"] for file in row["email_activity_mime_attachment"]] == ["a.txt"]


def test_labels_of_choices_become_their_numbers(sdk: DataverseClient) -> None:
    made = sdk.records.create("email", {"subject": "Offer", "prioritycode": "High", "deliveryprioritycode": "low"})
    row = sdk.records.retrieve("email", made, select=["prioritycode", "deliveryprioritycode"], include_annotations="*")
    assert row is not None
    assert (row["prioritycode"], row["deliveryprioritycode"]) == (2, 0)
    assert row["prioritycode@OData.Community.Display.V1.FormattedValue"] == "High"


def test_a_row_that_is_not_there_is_none(sdk: DataverseClient) -> None:
    assert sdk.records.retrieve("email", NOBODY) is None


def test_a_table_that_is_not_there_is_said_to_be_unknown(sdk: DataverseClient) -> None:
    with pytest.raises(MetadataError, match="nosuchtable"):
        sdk.records.create("nosuchtable", {"name": "x"})


# Changing and deleting


def test_a_row_is_changed(sdk: DataverseClient) -> None:
    made = contact(sdk, firstname="Alan")
    sdk.records.update("contact", made, {"FirstName": "A.", "jobtitle": None, "followemail": False})
    row = sdk.records.retrieve("contact", made)
    assert row is not None
    assert (row["fullname"], row["jobtitle"], row["followemail"]) == ("A. Turing", None, False)


def test_a_row_is_deleted(sdk: DataverseClient) -> None:
    made = contact(sdk)
    sdk.records.delete("contact", made)
    assert sdk.records.retrieve("contact", made) is None
    assert failure(lambda: sdk.records.delete("contact", made)).status_code == 404


def test_rows_are_deleted_one_by_one(sdk: DataverseClient, mark: str) -> None:
    sdk.records.delete("contact", contacts(sdk, mark, "A", "B"), use_bulk_delete=False)
    assert not list(sdk.records.list("contact", filter=f"department eq '{mark}'"))


def test_rows_are_deleted_by_a_bulk_delete_job(sdk: DataverseClient, mark: str) -> None:
    ids = contacts(sdk, mark, "A", "B", "C")
    assert uuid.UUID(sdk.records.delete("contact", ids[:2]))
    eventually(
        lambda: [row["firstname"] for row in sdk.records.list("contact", filter=f"department eq '{mark}'")],
        lambda names: names == ["C"],
    )


def test_a_row_is_upserted_by_an_alternate_key(sdk: DataverseClient, mark: str) -> None:
    for name in ("Alan", "Alonzo"):
        sdk.records.upsert("contact", [UpsertItem({"ee_externalid": f"it's {mark}"}, {"firstname": name})])
    (row,) = sdk.records.list("contact", filter=f"ee_externalid eq 'it''s {mark}'")
    assert row["firstname"] == "Alonzo"


def test_many_rows_are_upserted_by_an_alternate_key(sdk: DataverseClient, mark: str) -> None:
    sdk.records.upsert("contact", [UpsertItem({"ee_externalid": f"{mark}-1"}, {"firstname": "Alan"})])
    sdk.records.upsert(
        "contact",
        [UpsertItem({"ee_externalid": f"{mark}-{n}"}, {"department": mark, "jobtitle": str(n)}) for n in range(3)],
    )
    rows = sdk.records.list("contact", filter=f"department eq '{mark}'", orderby=["jobtitle"])
    assert [(row["jobtitle"], row["firstname"]) for row in rows] == [("0", None), ("1", "Alan"), ("2", None)]


def test_many_rows_are_created_and_changed(sdk: DataverseClient, mark: str) -> None:
    ids = sdk.records.create("contact", [{"firstname": name, "department": mark} for name in "ABC"])
    assert len(set(ids)) == 3
    sdk.records.update("contact", ids, {"jobtitle": "Engineer"})
    sdk.records.update("contact", ids[:2], [{"firstname": "X"}, {"firstname": "Y"}])
    rows = [sdk.records.retrieve("contact", made) for made in ids]
    assert [(row["firstname"], row["jobtitle"]) for row in rows if row] == [
        ("X", "Engineer"), ("Y", "Engineer"), ("C", "Engineer"),
    ]  # fmt: skip


def test_of_many_rows_one_that_is_wrong_is_named_and_none_is_created(sdk: DataverseClient, mark: str) -> None:
    error = failure(lambda: sdk.records.create("contact", [{"firstname": "A", "department": mark}, {"nosuch": 1}]))
    assert (error.status_code, code(error)) == (400, "0x80060888")
    assert "nosuch" in error.message
    assert not list(sdk.records.list("contact", filter=f"department eq '{mark}'"))


# Lists


def test_a_list_is_filtered_sorted_cut_and_counted(sdk: DataverseClient, mark: str) -> None:
    contacts(sdk, mark, "Alan", "Ada", "Barbara")
    rows = sdk.records.list(
        "contact",
        select=["FirstName"],
        filter=f"department eq '{mark}' and startswith(firstname,'a')",
        orderby=["FirstName desc"],
        top=1,
        count=True,
    )
    assert [row["firstname"] for row in rows] == ["Alan"]


def test_a_list_is_expanded(sdk: DataverseClient, mark: str) -> None:
    account = sdk.records.create("account", {"name": "Contoso"})
    contact(sdk, department=mark, **{"parentcustomerid_account@odata.bind": f"/accounts({account})"})
    (row,) = sdk.records.list(
        "contact", filter=f"department eq '{mark}'", expand=["parentcustomerid_account($select=name)"]
    )
    assert row["parentcustomerid_account"]["name"] == "Contoso"


@pytest.mark.parametrize("orderby", [None, ["firstname desc"]])
def test_pages_bring_every_row_once_and_in_order(sdk: DataverseClient, mark: str, orderby: list[str] | None) -> None:
    made = contacts(sdk, mark, *"ABCDE")
    pages = list(
        sdk.records.list_pages(
            "contact",
            filter=f"department eq '{mark}'",
            select=["firstname"],
            orderby=orderby,
            page_size=2,
            include_annotations="*",
        )
    )
    assert [len(list(page)) for page in pages] == [2, 2, 1]
    rows = [row for page in pages for row in page]
    assert {row["contactid"] for row in rows} == set(made)
    if orderby:
        assert [row["firstname"] for row in rows] == list("EDCBA")


def test_the_query_builder_is_understood(sdk: DataverseClient, mark: str) -> None:
    contacts(sdk, mark, "Alan", "Ada", "Barbara", "Chuck")
    query = (
        sdk.query.builder("contact")
        .select("firstname")
        .where((col("department") == mark) & (col("firstname").in_(["Ada", "Chuck"]) | col("firstname").like("Bar%")))
        .order_by("firstname")
        .page_size(2)
    )
    assert [row["firstname"] for page in query.execute_pages() for row in page] == ["Ada", "Barbara", "Chuck"]


def test_numbers_and_times_are_compared(sdk: DataverseClient, mark: str) -> None:
    for number in (1, 5, 9):
        sdk.records.create("account", {"name": mark, "numberofemployees": number})
    between = sdk.records.list("account", filter=(col("name") == mark) & col("numberofemployees").between(2, 9))
    assert sorted(row["numberofemployees"] for row in between) == [5, 9]
    recent = f"name eq '{mark}' and Microsoft.Dynamics.CRM.LastXDays(PropertyName='createdon',PropertyValue=1)"
    assert len(list(sdk.records.list("account", filter=recent))) == 3


# Batches


def test_a_batch_answers_each_request(sdk: DataverseClient, mark: str) -> None:
    person = contact(sdk, department=mark, firstname="Alan")
    batch = sdk.batch.new()
    batch.records.create("account", {"name": mark})
    batch.records.update("contact", person, {"jobtitle": "Engineer"})
    batch.records.retrieve("contact", person, select=["jobtitle"])
    batch.records.list("contact", filter=f"department eq '{mark}'", select=["firstname"], orderby=["firstname"])
    batch.tables.get("email")
    result = batch.execute()
    created, updated, retrieved, listed, table = result.responses
    assert [item.status_code for item in result.responses] == [204, 204, 200, 200, 200]
    account = sdk.records.retrieve("account", str(created.entity_id))
    assert account is not None
    assert account["name"] == mark
    assert updated.entity_id == person
    assert retrieved.data is not None
    assert retrieved.data["jobtitle"] == "Engineer"
    assert listed.data is not None
    assert [row["firstname"] for row in listed.data["value"]] == ["Alan"]
    assert table.data is not None


def test_a_change_set_refers_to_what_it_creates(sdk: DataverseClient, mark: str) -> None:
    batch = sdk.batch.new()
    with batch.changeset() as changes:
        account = changes.records.create("account", {"name": mark})
        person = changes.records.create("contact", {"lastname": mark, "parentcustomerid_account@odata.bind": account})
        changes.records.update("contact", person, {"jobtitle": "Engineer"})
    result = batch.execute()
    assert [(item.status_code, item.content_id) for item in result.responses] == [(204, "1"), (204, "2"), (204, "3")]
    made, also = result.entity_ids[:2]
    row = sdk.records.retrieve("contact", also)
    assert row is not None
    assert (row["jobtitle"], row["_parentcustomerid_value"]) == ("Engineer", made)


def test_a_change_set_that_fails_leaves_nothing(sdk: DataverseClient, mark: str) -> None:
    kept = contact(sdk, department=mark, firstname="Alan")
    gone = contact(sdk, department=mark, firstname="Ada")
    batch = sdk.batch.new()
    with batch.changeset() as changes:
        changes.records.create("contact", {"department": mark, "firstname": "New"})
        changes.records.update("contact", kept, {"firstname": "Changed"})
        changes.records.delete("contact", gone)
        changes.records.update("contact", NOBODY, {"firstname": "Nobody"})
    (answer,) = batch.execute().responses
    assert (answer.status_code, answer.error_code) == (404, "0x80040217")
    assert NOBODY in str(answer.error_message)
    rows = sdk.records.list("contact", filter=f"department eq '{mark}'", orderby=["firstname"])
    assert [row["firstname"] for row in rows] == ["Ada", "Alan"]


@pytest.mark.parametrize(("continue_on_error", "statuses"), [(False, [204, 400]), (True, [204, 400, 204])])
def test_a_batch_stops_at_the_first_error_unless_told_to_go_on(
    sdk: DataverseClient, mark: str, continue_on_error: bool, statuses: list[int]
) -> None:
    batch = sdk.batch.new()
    batch.records.create("contact", {"department": mark})
    batch.records.create("contact", {"nosuch": 1})
    batch.records.create("contact", {"department": mark})
    result = batch.execute(continue_on_error=continue_on_error)
    assert [item.status_code for item in result.responses] == statuses
    assert result.responses[1].error_code == "0x80060888"
    assert len(list(sdk.records.list("contact", filter=f"department eq '{mark}'"))) == statuses.count(204)


def test_many_rows_ride_in_a_batch(sdk: DataverseClient, mark: str) -> None:
    batch = sdk.batch.new()
    batch.records.create("contact", [{"department": mark}, {"department": mark}])
    batch.records.upsert("contact", [UpsertItem({"ee_externalid": mark}, {"department": mark})])
    created, upserted = batch.execute().responses
    assert created.data is not None
    assert len(created.data["Ids"]) == 2
    assert upserted.status_code == 204
    assert len(list(sdk.records.list("contact", filter=f"department eq '{mark}'"))) == 3


# Actions and functions: the SDK has no call for them, its request layer sends them


def call(sdk: DataverseClient, method: str, path: str, **body: Any) -> Any:
    with sdk._scoped_odata() as internal:
        answer = internal._request(method, f"{internal.api}/{path}", json=body or None)
        return answer.json() if answer.text else None


def test_whoami_names_the_caller(sdk: DataverseClient, service: Service) -> None:
    me = call(sdk, "get", "WhoAmI")
    assert me["UserId"] == service.seller().id
    assert me["@odata.context"].startswith("https://")


def test_an_email_is_sent(sdk: DataverseClient, service: Service) -> None:
    address = f"{uuid.uuid4().hex}@client.example"
    made = sdk.records.create(
        "email",
        {
            "subject": "Offer by SDK",
            "description": "<p>Hello</p>",
            "email_activity_parties": [{"addressused": address, "participationtypemask": 2}],
        },
    )
    answer = call(sdk, "post", f"emails({made})/Microsoft.Dynamics.CRM.SendEmail", IssueSend=True)
    assert answer["Subject"] == "Offer by SDK"
    (message,) = eventually(lambda: service.mailbox(address), bool)
    assert message["subject"] == "Offer by SDK"
    row = eventually(
        lambda: sdk.records.retrieve("email", made), lambda row: row is not None and row["statuscode"] == 3
    )
    assert row is not None
    assert row["senton"]


def test_an_attachment_is_followed_and_not_followed(sdk: DataverseClient) -> None:
    made = sdk.records.create("email", {"subject": "Offer"})
    file = sdk.records.create(
        "activitymimeattachment",
        {
            "objectid_email@odata.bind": f"/emails({made})",
            "objecttypecode": "email",
            "filename": "a.txt",
            "mimetype": "text/plain",
            "body": FILE,
        },
    )
    for action, followed in (("FollowEmailAttachment", True), ("UnfollowEmailAttachment", False)):
        assert call(sdk, "post", action, ActivityMimeAttachmentId=file) is None
        row = sdk.records.retrieve("activitymimeattachment", file, select=["isfollowed"])
        assert row is not None
        assert row["isfollowed"] is followed


def test_a_tracking_token_is_given(sdk: DataverseClient) -> None:
    assert call(sdk, "post", "GetTrackingTokenEmail", Subject="Offer")["TrackingToken"]


# Metadata


def test_tables_are_listed_and_found(sdk: DataverseClient) -> None:
    names = {table["LogicalName"] for table in sdk.tables.list(select=["LogicalName", "EntitySetName"])}
    assert names >= {"email", "contact", "account", "lead", "systemuser", "template", "actioncard", "activitypointer"}
    assert [table["LogicalName"] for table in sdk.tables.list(filter="LogicalName eq 'email'")] == ["email"]
    table = sdk.tables.get("email")
    assert table is not None
    assert (table.entity_set_name, table.primary_id_attribute, table.primary_name_attribute) == (
        "emails", "activityid", "subject",
    )  # fmt: skip
    assert sdk.tables.get("nosuchtable") is None


def test_columns_are_listed_and_found(sdk: DataverseClient) -> None:
    columns = sdk.tables.list_columns("email", select=["LogicalName", "AttributeType"])
    types = {column["LogicalName"]: column["AttributeType"] for column in columns}
    assert types["opencount"] == "Integer"
    assert types["emailremindertype"] == "Picklist"
    named = sdk.query.sql_columns("email")
    assert {column["name"] for column in named} >= {"subject", "opencount"}
    column = sdk.tables.get_column("email", "subject")
    assert column is not None
    assert column["MaxLength"] == 800
    assert sdk.tables.get_column("email", "nosuch") is None


def test_relationships_and_keys_are_listed_and_found(sdk: DataverseClient) -> None:
    expands = {item["nav_property"]: item["target_entity_set"] for item in sdk.query.odata_expands("email")}
    assert expands["regardingobjectid_contact_email"] == "contacts"
    related = sdk.tables.list_table_relationships("email")
    some = next(item for item in related if item["RelationshipType"] == "OneToManyRelationship")
    found = sdk.tables.get_relationship(some["SchemaName"])
    assert found is not None
    assert found.relationship_schema_name == some["SchemaName"]
    assert sdk.tables.get_relationship("nosuch") is None
    assert len(sdk.tables.list_relationships(filter="ReferencedEntity eq 'email'", select=["SchemaName"])) > 0


def test_alternate_keys_are_listed(sdk: DataverseClient) -> None:
    assert ["ee_externalid"] in [key.key_attributes for key in sdk.tables.get_alternate_keys("contact")]


# Errors


def test_an_unknown_column_is_named(sdk: DataverseClient) -> None:
    message = "Could not find a property named 'nosuch' on type 'Microsoft.Dynamics.CRM.email'."
    for act in (
        lambda: sdk.records.create("email", {"nosuch": 1}),
        lambda: sdk.records.list("email", select=["nosuch"]),
        lambda: sdk.records.list("email", filter="nosuch eq 1"),
    ):
        error = failure(act)
        assert (error.status_code, code(error), error.message) == (400, "0x80060888", message)
        assert uuid.UUID(error.details["service_request_id"])


def test_a_value_of_another_type_is_refused_naming_its_column(sdk: DataverseClient) -> None:
    error = failure(lambda: sdk.records.create("email", {"subject": "s", "followemailuserpreference": 3}))
    assert (error.status_code, code(error)) == (400, "0x80048d19")
    assert "followemailuserpreference" in error.message


def test_changing_a_row_that_is_not_there_says_so(sdk: DataverseClient) -> None:
    error = failure(lambda: sdk.records.update("email", NOBODY, {"subject": "s"}))
    assert (error.status_code, code(error), error.message) == (
        404, "0x80040217", f"email With Id = {NOBODY} Does Not Exist",
    )  # fmt: skip


def test_a_second_row_with_the_values_of_a_key_is_refused(sdk: DataverseClient, mark: str) -> None:
    contact(sdk, ee_externalid=mark)
    error = failure(lambda: contact(sdk, ee_externalid=mark))
    assert (error.status_code, code(error)) == (412, "0x80040237")


def test_changing_what_another_owns_is_refused(sdk: DataverseClient, manager: Seller) -> None:
    theirs = manager.create("contacts", lastname="Theirs")
    error = failure(lambda: sdk.records.update("contact", theirs, {"lastname": "Mine"}))
    assert (error.status_code, code(error)) == (403, "0x80040220")


@pytest.mark.parametrize("organization", ["contoso", "nosuchorganization"])
def test_without_a_valid_token_nothing_is_said(sdk: DataverseClient, https_url: str, organization: str) -> None:
    with DataverseClient(f"{https_url}/{organization}", Credential("forged")) as stranger:
        error = failure(lambda: stranger.records.list("email"))
    assert (error.status_code, error.message, error.details["body_excerpt"]) == (401, "HTTP 401", "")


def test_an_organization_of_another_tenant_is_closed(service: Service, https_url: str) -> None:
    credential = Credential(service.token("seller@fabrikam.example"))
    with DataverseClient(f"{https_url}/contoso", credential) as stranger:
        error = failure(lambda: stranger.records.list("email"))
    assert (error.status_code, code(error)) == (403, "0x80072560")


def test_sql_and_fetchxml_are_said_to_be_missing(sdk: DataverseClient) -> None:
    fetch = '<fetch><entity name="contact"><attribute name="fullname"/></entity></fetch>'
    for act, name in (
        (lambda: sdk.query.sql("SELECT fullname FROM contact"), "sql"),
        (lambda: sdk.query.fetchxml(fetch).execute(), "fetchXml"),
    ):
        error = failure(act)
        assert error.status_code == 501
        assert name in error.message
        assert "$filter" in error.message
