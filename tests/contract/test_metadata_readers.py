"""`$metadata` as readers that are not ours read it: OASIS's XML schema, npm odata-csdl and PyPI odatapy."""

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from lxml import etree  # type: ignore[import-untyped]
from odatapy.edm.xml_io import parse_metadata

from local.azurite import NODE_MODULES, node
from shared.webapi.csdl import NAMESPACE, csdl
from shared.webapi.operations import OPERATIONS
from shared.webapi.tables import SETS, TABLES

ODATA_CSDL = NODE_MODULES / "odata-csdl"
TO_JSON = """
const { xml2json } = require(process.argv[1]);
const messages = [];
let xml = "";
process.stdin.on("data", (data) => (xml += data)).on("end", () => {
  const model = xml2json(xml, { strict: true, annotations: true, messages });
  console.log(JSON.stringify({ model, messages }));
});
"""


def read_with_odata_csdl(xml: bytes) -> Any:
    command = [str(node()), "-e", TO_JSON, str(ODATA_CSDL / "lib/xml2json.js")]
    done = subprocess.run(command, input=xml, capture_output=True, timeout=60, check=True)
    return json.loads(done.stdout)


def read_with_odatapy(xml: bytes) -> Any:
    (schema,) = parse_metadata(xml)
    return schema


def dangling(xml: bytes) -> Iterator[str]:
    """Yield what the model refers to and does not have, as odatapy reads it."""
    schema = read_with_odatapy(xml)
    entities = {f"mscrm.{item.name}": item for item in schema.entity_types}
    types = {*entities, *(f"mscrm.{item.name}" for item in schema.complex_types)}
    sets = {item.name: item for item in schema.entity_container.entity_sets}
    for name, entity in entities.items():
        properties = {item.name: item.type for item in entity.properties}
        nullable = {item.name for item in entity.properties if item.nullable}
        navigations = {item.name: item for item in entity.navigation_properties}
        yield from (f"{name} key {key.name}" for key in entity.key if key.name not in properties)
        yield from (f"{name}.{item}" for item, kind in properties.items() if not kind.startswith("Edm."))
        for navigation in navigations.values():
            target = entities.get(navigation.type)
            if target is None:
                yield f"{name}.{navigation.name} of {navigation.type}"
                continue
            theirs = {item.name: item.type for item in target.properties}
            for constraint in navigation.referential_constraints:
                if properties.get(constraint.property, "none") != theirs.get(constraint.referenced_property):
                    yield f"{name}.{navigation.name} by {constraint.property}"
                if navigation.nullable != (constraint.property in nullable):
                    yield f"{name}.{navigation.name} is not as nullable as {constraint.property}"
            back = {item.name: item for item in target.navigation_properties}.get(navigation.partner or "")
            if navigation.partner and (back is None or back.partner != navigation.name or back.type != name):
                yield f"{name}.{navigation.name} partner {navigation.partner}"
        (of_type,) = [item for item in sets.values() if item.type == name]
        bound = {item.path: item.target for item in of_type.navigation_property_bindings}
        yield from (f"{name}.{item} is not bound" for item in navigations.keys() ^ bound.keys())
        yield from (
            f"{of_type.name}/{path} to {target}"
            for path, target in bound.items()
            if target not in sets or path not in navigations or sets[target].type != navigations[path].type
        )
    for held in schema.complex_types:
        for item in held.properties:
            if item.type not in types and not item.type.startswith("Edm."):
                yield f"{held.name}.{item.name} of {item.type}"
    for operation in (*schema.actions, *schema.functions):
        returned = [operation.return_type] if operation.return_type else []
        for item in (*operation.parameters, *returned):
            if item.type not in types and not item.type.startswith("Edm."):
                yield f"{operation.name} of {item.type}"


def test_nothing_in_the_model_refers_to_what_it_does_not_have() -> None:
    assert list(dangling(csdl())) == []


@pytest.mark.parametrize(
    ("there", "gone"),
    [
        (b'EntityType Name="template"', b'EntityType Name="templates"'),
        (b'Partner="Contact_Emails"', b'Partner="Nosuch"'),
        (b'ReferencedProperty="leadid"', b'ReferencedProperty="id"'),
        (b'Target="actioncards"', b'Target="cards"'),
        (b'Type="mscrm.SendEmailResponse"', b'Type="mscrm.Nosuch"'),
        (b'Type="Collection(mscrm.ee_RecommendedTemplate)"', b'Type="Collection(mscrm.Nosuch)"'),
    ],
)
def test_a_reference_that_dangles_would_be_found(there: bytes, gone: bytes) -> None:
    assert there in csdl()
    with pytest.raises((AssertionError, ValueError)):
        assert list(dangling(csdl().replace(there, gone))) == []


def test_odatapy_reads_what_the_schema_says() -> None:
    schema = read_with_odatapy(csdl())
    assert (schema.namespace, schema.alias) == (NAMESPACE, "mscrm")
    assert {item.name for item in schema.entity_types} == set(TABLES)
    for entity in schema.entity_types:
        table = TABLES[entity.name]
        assert {item.name for item in entity.properties} == set(table.by_wire)
        assert {item.name for item in entity.navigation_properties} == {*table.by_navigation, *table.collections}
        assert bool(table.keys) == any(item.term == "Org.OData.Core.V1.AlternateKeys" for item in entity.annotations)
    assert {item.name: item.type for item in schema.entity_container.entity_sets} == {
        name: f"mscrm.{table.logical}" for name, table in SETS.items()
    }
    assert {item.name for item in (*schema.actions, *schema.functions)} == set(OPERATIONS)


def test_odata_csdl_reads_what_the_schema_says() -> None:
    read = read_with_odata_csdl(csdl())
    assert read["messages"] == []
    model = read["model"][NAMESPACE]
    kinds = {name: item["$Kind"] for name, item in model.items() if isinstance(item, dict) and "$Kind" in item}
    assert {name for name, kind in kinds.items() if kind == "EntityType"} == set(TABLES)
    for name, table in TABLES.items():
        members = {key for key in model[name] if key[0] not in "$@" and "@" not in key}
        assert members == {*table.by_wire, *table.by_navigation, *table.collections}
        assert model[name]["$Key"] == [table.id]
    assert read["model"]["$EntityContainer"] == f"{NAMESPACE}.System"


def test_the_model_is_valid_by_oasis_xml_schema() -> None:
    rules = etree.XMLSchema(file=str(ODATA_CSDL / "schemas/edmx.xsd"))
    rules.assertValid(etree.fromstring(csdl()))
