"""What the Web API says about itself, as Microsoft's SDK and other clients ask for it."""

from xml.etree import ElementTree

import pytest
from dataverse_api.metadata.entity import EntityMetadata
from PowerPlatform.Dataverse.models.relationship import RelationshipInfo
from PowerPlatform.Dataverse.models.table_info import AlternateKeyInfo, ColumnInfo, TableInfo

from shared.webapi.tables import TABLES
from tests.web_client import Client

EDM = "{http://docs.oasis-open.org/odata/ns/edm}"


async def test_a_table_is_found_as_the_sdk_asks_for_it(seller: Client) -> None:
    answer = await seller.get(
        "EntityDefinitions?%24select=LogicalName%2CEntitySetName%2CPrimaryIdAttribute"
        "&%24filter=LogicalName+eq+%27email%27"
    )
    (row,) = answer.rows
    assert (row["LogicalName"], row["EntitySetName"], row["PrimaryIdAttribute"]) == ("email", "emails", "activityid")
    assert set(row) == {"LogicalName", "EntitySetName", "PrimaryIdAttribute", "MetadataId"}


async def test_a_table_that_there_is_not_is_an_empty_list_and_no_error(seller: Client) -> None:
    answer = await seller.get("EntityDefinitions?$filter=LogicalName eq 'nosuch'")
    assert (answer.status, answer.rows) == (200, [])


async def test_choices_are_found_as_the_sdk_asks_before_its_first_write(seller: Client) -> None:
    answer = await seller.get(
        "EntityDefinitions(LogicalName='email')/Attributes/Microsoft.Dynamics.CRM.PicklistAttributeMetadata"
        "?$select=LogicalName&$expand=OptionSet($select=Options)"
    )
    rows = {row["LogicalName"]: row["OptionSet"]["Options"] for row in answer.rows}
    labels = {item["Value"]: item["Label"]["LocalizedLabels"][0]["Label"] for item in rows["prioritycode"]}
    assert labels == {0: "Low", 1: "Normal", 2: "High"}


async def test_all_tables_are_listed_and_found_by_their_metadata_id(seller: Client) -> None:
    rows = (await seller.get("EntityDefinitions?$filter=IsPrivate eq false")).rows
    assert {row["LogicalName"] for row in rows} == set(TABLES)
    for row in rows:
        found = (await seller.get(f"EntityDefinitions({row['MetadataId']})")).json
        assert found["LogicalName"] == row["LogicalName"]
        columns = (await seller.get(f"EntityDefinitions({row['MetadataId']})/Attributes")).rows
        assert {column["LogicalName"] for column in columns} == set(TABLES[row["LogicalName"]].by_name)


async def test_a_choice_is_found_by_its_name_with_its_states(seller: Client) -> None:
    path = "EntityDefinitions(LogicalName='email')/Attributes(LogicalName='statuscode')"
    cast = f"{path}/Microsoft.Dynamics.CRM.StatusAttributeMetadata"
    options = "$select=LogicalName&$expand=OptionSet($select=Options),GlobalOptionSet($select=Options)"
    row = (await seller.get(f"{cast}?{options}")).json
    assert row["GlobalOptionSet"] is None
    assert {item["Value"]: item["State"] for item in row["OptionSet"]["Options"]}[6] == 1
    assert set(row["OptionSet"]) == {"MetadataId", "Options"}
    assert "OptionSet" not in (await seller.get(path)).json
    assert len((await seller.get(f"{cast}/OptionSet")).json["Options"]) == 8
    wrong = path.replace("statuscode", "subject") + "/Microsoft.Dynamics.CRM.StatusAttributeMetadata"
    assert (await seller.get(wrong)).status == 404


@pytest.mark.parametrize("kind", ["Picklist", "State", "Status", "Boolean"])
async def test_every_kind_of_choice_can_be_asked_for(seller: Client, kind: str) -> None:
    path = f"EntityDefinitions(LogicalName='email')/Attributes/Microsoft.Dynamics.CRM.{kind}AttributeMetadata"
    rows = (await seller.get(f"{path}?$expand=OptionSet")).rows
    names = {column.name for column in TABLES["email"].columns if column.type.value == kind}
    assert {row["LogicalName"] for row in rows} == names
    assert all(row["OptionSet"]["OptionSetType"] == kind for row in rows)


async def test_what_a_column_is_and_may_hold_is_in_its_definition(seller: Client) -> None:
    path = "EntityDefinitions(LogicalName='email')/Attributes"
    rows = {row["LogicalName"]: row for row in (await seller.get(path)).rows}
    assert rows["subject"]["MaxLength"] == 800
    assert (rows["opencount"]["MinValue"], rows["opencount"]["MaxValue"]) == (0, 2**31 - 1)
    assert rows["regardingobjectid"]["Targets"] == ["account", "contact", "lead"]
    assert rows["delayedemailsendtime"]["Format"] == "DateAndTime"
    assert rows["delayedemailsendtime"]["DisplayName"]["UserLocalizedLabel"]["Label"] == "Send Later"
    assert rows["opencount"]["Description"]["UserLocalizedLabel"]["Label"]
    for name, valid in {"opencount": (False, False), "subject": (True, True), "activityid": (True, False)}.items():
        assert (rows[name]["IsValidForCreate"], rows[name]["IsValidForUpdate"]) == valid
    assert rows["statecode"]["RequiredLevel"]["Value"] == "SystemRequired"
    one = (await seller.get(f"{path}(LogicalName='subject')?$select=MetadataId,SchemaName")).json
    assert one["@odata.type"] == "#Microsoft.Dynamics.CRM.StringAttributeMetadata"
    assert (await seller.get(f"{path}({one['MetadataId']})")).json["LogicalName"] == "subject"


async def test_definitions_are_filtered_by_their_properties_and_enumerations(seller: Client) -> None:
    path = "EntityDefinitions(LogicalName='contact')/Attributes?$select=LogicalName&$filter="
    lookups = {row["LogicalName"] for row in (await seller.get(f"{path}AttributeType eq 'Lookup'")).rows}
    assert lookups == {"parentcustomerid", "createdby", "modifiedby"}
    spelled = f"{path}AttributeType eq Microsoft.Dynamics.CRM.AttributeTypeCode'Lookup'"
    assert {row["LogicalName"] for row in (await seller.get(spelled)).rows} == lookups
    assert [row["LogicalName"] for row in (await seller.get(f"{path}MaxLength gt 1000")).rows] == [
        "description",
        "ee_consentwording",
    ]
    assert (await seller.get(f"{path}Nosuch eq 1")).status == 400


@pytest.mark.parametrize(
    "options",
    [
        "$expand=LogicalName",
        "$expand=Nosuch($select=x)",
        "$filter=LogicalName eq",
        "$top=1",
        "$skip=1",
        "$orderby=LogicalName",
    ],
)
async def test_what_cannot_be_asked_of_definitions_is_refused(seller: Client, options: str) -> None:
    for path in ("EntityDefinitions", "EntityDefinitions(LogicalName='email')/Attributes"):
        assert (await seller.get(f"{path}?{options}")).status == 400


async def test_a_filter_has_no_say_where_there_is_one(seller: Client) -> None:
    path = "EntityDefinitions(LogicalName='email')/Attributes(LogicalName='prioritycode')"
    row = (await seller.get(f"{path}?$filter=LogicalName eq 'x'&$expand=OptionSet($filter=Name eq 'x')")).json
    assert row["OptionSet"]["Name"] == "email_prioritycode"


async def test_a_table_comes_with_its_columns_and_keys_where_they_are_expanded(seller: Client) -> None:
    row = (
        await seller.get(
            "EntityDefinitions(LogicalName='contact')?$select=LogicalName"
            "&$expand=Attributes($select=LogicalName;$filter=AttributeType eq 'Owner'),Keys,ManyToOneRelationships"
        )
    ).json
    assert [item["LogicalName"] for item in row["Attributes"]] == ["ownerid"]
    assert [item["KeyAttributes"] for item in row["Keys"]] == [["ee_externalid"]]
    assert {item["ReferencingEntity"] for item in row["ManyToOneRelationships"]} == {"contact"}
    assert "EntitySetName" not in row
    counted = (await seller.get("EntityDefinitions?$count=true&$select=LogicalName")).json
    assert counted["@odata.count"] == len(TABLES)


async def test_the_alternate_keys_of_a_table_are_told(seller: Client) -> None:
    (key,) = (await seller.get("EntityDefinitions(LogicalName='lead')/Keys?$select=SchemaName,KeyAttributes")).rows
    assert (key["SchemaName"], key["KeyAttributes"]) == ("ee_externalid", ["ee_externalid"])
    assert (await seller.get("EntityDefinitions(LogicalName='email')/Keys")).rows == []


async def test_both_ends_of_a_relationship_are_told(seller: Client) -> None:
    rows = (await seller.get("EntityDefinitions(LogicalName='contact')/OneToManyRelationships")).rows
    found = {row["SchemaName"]: row for row in rows}["Contact_Emails"]
    assert found["ReferencedEntityNavigationPropertyName"] == "Contact_Emails"
    assert found["ReferencingEntityNavigationPropertyName"] == "regardingobjectid_contact_email"
    (same,) = (await seller.get("RelationshipDefinitions?$filter=SchemaName eq 'Contact_Emails'")).rows
    assert same["MetadataId"] == found["MetadataId"]
    assert (await seller.get("RelationshipDefinitions(SchemaName='Contact_Emails')")).json["MetadataId"] == (
        found["MetadataId"]
    )
    assert (await seller.get("EntityDefinitions(LogicalName='contact')/ManyToManyRelationships")).rows == []
    many = "RelationshipDefinitions/Microsoft.Dynamics.CRM.ManyToManyRelationshipMetadata"
    assert (await seller.get(many)).rows == []


async def test_the_clients_own_models_read_the_definitions(seller: Client) -> None:
    path = "EntityDefinitions(LogicalName='contact')"
    whole = (await seller.get(path)).json
    assert TableInfo.from_api_response(whole).entity_set_name == "contacts"
    assert EntityMetadata.model_validate_dataverse(whole).has_activities is True
    columns = [ColumnInfo.from_api_response(row) for row in (await seller.get(f"{path}/Attributes")).rows]
    assert {(item.logical_name, item.max_length) for item in columns} >= {("lastname", 50), ("followemail", None)}
    (key,) = [AlternateKeyInfo.from_api_response(row) for row in (await seller.get(f"{path}/Keys")).rows]
    assert (key.key_attributes, key.status) == (["ee_externalid"], "Active")
    (row,) = (await seller.get("RelationshipDefinitions?$filter=SchemaName eq 'Contact_Emails'")).rows
    assert RelationshipInfo.from_api_response(row).relationship_schema_name == "Contact_Emails"


async def test_the_service_document_lists_every_set(seller: Client) -> None:
    assert {row["name"] for row in (await seller.get("")).rows} == {table.set for table in TABLES.values()}


@pytest.mark.parametrize("accept", ["application/xml", "application/json", "*/*"])
async def test_the_model_is_xml_whatever_is_accepted(seller: Client, accept: str) -> None:
    answer = await seller.get("$metadata", headers={"Accept": accept})
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/xml")


async def test_the_names_that_bind_regarding_are_found_in_the_relationships(seller: Client) -> None:
    answer = await seller.get(
        "RelationshipDefinitions/Microsoft.Dynamics.CRM.OneToManyRelationshipMetadata"
        "?$select=ReferencingEntityNavigationPropertyName"
        "&$filter=ReferencingEntity eq 'email' and ReferencedEntity eq 'contact'"
    )
    names = {row["ReferencingEntityNavigationPropertyName"] for row in answer.rows}
    assert names == {"regardingobjectid_contact_email", "regardingobjectid_contact"}


@pytest.mark.parametrize(
    "path",
    [
        "EntityDefinitions(LogicalName='nosuch')",
        "EntityDefinitions(5)",
        "EntityDefinitions/x",
        "EntityDefinitions(LogicalName='email')/Nosuch",
        "EntityDefinitions(LogicalName='email')/Attributes(LogicalName='nosuch')",
        "EntityDefinitions(LogicalName='email')/Attributes/Nosuch",
        "EntityDefinitions(LogicalName='email')/Keys(LogicalName='nosuch')",
        "RelationshipDefinitions(SchemaName='nosuch')",
        "RelationshipDefinitions/Nosuch",
    ],
)
async def test_a_definition_that_there_is_not_is_404(seller: Client, path: str) -> None:
    assert (await seller.get(path)).status == 404


async def test_what_a_definition_does_not_have_is_named(seller: Client) -> None:
    missing = await seller.get("EntityDefinitions(LogicalName='email')/Attributes(LogicalName='nosuch')")
    assert "Attributes(LogicalName='nosuch')" in missing.json["error"]["message"]


async def test_global_choices_of_any_kind_are_none(seller: Client) -> None:
    for path in ("", "/Microsoft.Dynamics.CRM.OptionSetMetadata"):
        assert (await seller.get(f"GlobalOptionSetDefinitions{path}")).rows == []


async def test_what_a_table_takes_many_of_is_found_as_dataverse_api_asks_for_it(seller: Client) -> None:
    query = (
        "sdkmessagefilters?$select=sdkmessagefilterid&$expand=sdkmessageid($select=name)&$filter="
        "(sdkmessageid/name eq 'CreateMultiple' or sdkmessageid/name eq 'UpdateMultiple') and primaryobjecttypecode eq "
    )
    rows = (await seller.get(f"{query}'contact'")).rows
    assert {row["sdkmessageid"]["name"] for row in rows} == {"CreateMultiple", "UpdateMultiple"}
    assert (await seller.get(f"{query}'interactionforemail'")).rows == []


async def test_the_model_describes_every_table_and_column(seller: Client) -> None:
    answer = await seller.get("$metadata", headers={"Accept": "application/xml"})
    assert answer.headers["Content-Type"] == "application/xml"
    root = ElementTree.fromstring(answer.body)
    types = {item.get("Name"): item for item in root.iter(f"{EDM}EntityType")}
    assert set(types) == set(TABLES)
    for name, table in TABLES.items():
        properties = {item.get("Name") for item in types[name].iter(f"{EDM}Property")}
        assert properties == set(table.by_wire)
        navigations = {item.get("Name") for item in types[name].iter(f"{EDM}NavigationProperty")}
        assert navigations == set(table.by_navigation) | set(table.collections)
    sets = {item.get("Name") for item in root.iter(f"{EDM}EntitySet")}
    assert sets == {table.set for table in TABLES.values()}
