"""What the Web API says about itself, as Microsoft's SDK and other clients ask for it."""

from xml.etree import ElementTree

import pytest

from shared.webapi.schema import Type
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


@pytest.mark.parametrize(
    "part", ["Keys", "OneToManyRelationships", "ManyToOneRelationships", "ManyToManyRelationships"]
)
async def test_the_relationships_of_a_table_can_be_asked_for(seller: Client, part: str) -> None:
    answer = await seller.get(f"EntityDefinitions(LogicalName='contact')/{part}")
    assert answer.status == 200
    assert isinstance(answer.rows, list)


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
    ],
)
async def test_a_definition_that_there_is_not_is_404(seller: Client, path: str) -> None:
    assert (await seller.get(path)).status == 404


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


async def test_every_type_in_the_model_is_declared_or_primitive(seller: Client) -> None:
    root = ElementTree.fromstring((await seller.get("$metadata")).body)
    declared = {f"mscrm.{item.get('Name')}" for kind in ("EntityType", "ComplexType") for item in root.iter(EDM + kind)}
    for item in root.iter():
        named = (item.get("Type") or item.get("EntityType") or "").removeprefix("Collection(").removesuffix(")")
        assert not named or named in declared or named.startswith("Edm.")
    assert {column.type for table in TABLES.values() for column in table.columns} <= set(Type)
