"""``EntityDefinitions``: tables, columns, choices and relationships as clients look them up before they write.

Microsoft's SDK for Python finds a table's set and key here, and its choices before the first write of a text
(reference: dataverse-wire 2.3). What is answered is the part of Dataverse's metadata that such clients read.
"""

import uuid
from collections.abc import Iterator, Mapping
from typing import Any

from shared.webapi.csdl import NAMESPACE
from shared.webapi.filters import parse_filter
from shared.webapi.query import split_top
from shared.webapi.schema import CHOICES, LOOKUPS, TEXTS, Column, Table, Type, flag, guid, text
from shared.webapi.tables import TABLES
from shared.webapi.values import parse_guid

type Definition = dict[str, Any]

_IDS = uuid.UUID("a2c6d2f5-1e0c-4b83-9f0d-8f6f7b1d6c55")
_ENGLISH = 1033

_FILTERABLE = Table(
    "EntityMetadata",
    "EntityDefinitions",
    "MetadataId",
    "LogicalName",
    (
        guid("MetadataId"),
        *(
            text(name, 128)
            for name in (
                "LogicalName", "SchemaName", "EntitySetName", "PrimaryIdAttribute", "PrimaryNameAttribute",
                "ReferencingEntity", "ReferencingAttribute", "ReferencedEntity", "ReferencedAttribute",
                "ReferencingEntityNavigationPropertyName", "RelationshipType",
                "AttributeType", "primaryobjecttypecode", "name",
            )
        ),
        *(
            flag(name, False)
            for name in (
                "IsPrivate", "IsCustomEntity", "IsActivity", "IsIntersect", "IsCustomAttribute", "IsPrimaryId",
                "IsPrimaryName", "IsValidForRead", "IsValidForCreate", "IsValidForUpdate", "IsLogical",
            )
        ),
    ),
)  # fmt: skip
"""The properties of definitions that a filter may look at."""


def tables() -> list[Definition]:
    """Return the definition of every table."""
    return [table_definition(table) for table in TABLES.values()]


def find_table(key: str) -> Table | None:
    """Return the table that ``LogicalName='email'`` or a MetadataId names, or None."""
    name, equals, value = key.partition("=")
    if equals and name.strip() == "LogicalName":
        return TABLES.get(value.strip().strip("'"))
    found = parse_guid(key.strip().strip("'"))
    return next((table for table in TABLES.values() if _id(table.logical) == found), None)


def attributes(table: Table, kind: str = "") -> list[Definition]:
    """Return the definitions of a table's columns, of one kind (``PicklistAttributeMetadata``) or all."""
    found = [_attribute(table, column) for column in table.columns]
    return [item for item in found if not kind or item["@odata.type"] == f"#{NAMESPACE}.{kind}"]


def many_to_one(table: Table) -> list[Definition]:
    """Return the relationships of a table's lookups."""
    return list(_relationships(table))


def one_to_many(table: Table | None = None) -> list[Definition]:
    """Return the relationships that point at a table, or all there are."""
    everything = [item for other in TABLES.values() for item in _relationships(other)]
    return [item for item in everything if table is None or item["ReferencedEntity"] == table.logical]


def messages() -> list[Definition]:
    """Return which tables take which messages, as the rows of sdkmessagefilters: dataverse-api looks there for
    CreateMultiple and UpdateMultiple before it sends them."""
    return [
        {
            "sdkmessagefilterid": _id(f"{table.logical}.{name}"),
            "primaryobjecttypecode": table.logical,
            "name": name,
            "sdkmessageid": {"sdkmessageid": _id(name), "name": name},
        }
        for table in TABLES.values()
        if table.creatable and table.writers != "nobody"
        for name in ("CreateMultiple", "UpdateMultiple", "UpsertMultiple")
    ]


def arrange(items: list[Definition], options: Mapping[str, str]) -> list[Definition]:
    """Return definitions filtered and cut to what ``$filter``, ``$select`` and ``$expand`` ask for."""
    if options.get("$filter", "").strip():
        keeps = parse_filter(options["$filter"], _FILTERABLE).keeps
        items = [item for item in items if keeps(item)]
    chosen = set(split_top(options.get("$select", ""), ","))
    for item in split_top(options.get("$expand", ""), ","):
        chosen |= {item.partition("(")[0].strip()} if chosen else set()
    if not chosen:
        return items
    return [
        {name: value for name, value in item.items() if name in chosen or name == "MetadataId" or name[0] == "@"}
        for item in items
    ]


def table_definition(table: Table) -> Definition:
    """Return the definition of one table."""
    return {
        "MetadataId": _id(table.logical),
        "LogicalName": table.logical,
        "SchemaName": table.logical[0].upper() + table.logical[1:],
        "LogicalCollectionName": table.set,
        "CollectionSchemaName": table.set,
        "EntitySetName": table.set,
        "PrimaryIdAttribute": table.id,
        "PrimaryNameAttribute": table.name,
        "DisplayName": _label(table.logical),
        "DisplayCollectionName": _label(table.set),
        "Description": _label(""),
        "OwnershipType": "UserOwned" if "ownerid" in table.by_name else "OrganizationOwned",
        "IsActivity": table.kept == "email",
        "IsPrivate": False,
        "IsIntersect": False,
        "IsCustomEntity": False,
        "IsLogicalEntity": False,
        "IsOptimisticConcurrencyEnabled": True,
        "IsDocumentManagementEnabled": table.kept == "email",
        "HasNotes": False,
        "HasActivities": table.logical in ("contact", "account", "lead"),
    }


def _attribute(table: Table, column: Column) -> Definition:
    definition: Definition = {
        "@odata.type": f"#{NAMESPACE}.{_KINDS[column.type]}AttributeMetadata",
        "MetadataId": _id(f"{table.logical}.{column.name}"),
        "LogicalName": column.name,
        "SchemaName": column.name,
        "EntityLogicalName": table.logical,
        "AttributeType": column.type.value,
        "AttributeTypeName": {"Value": f"{column.type.value}Type"},
        "DisplayName": _label(column.name),
        "IsCustomAttribute": column.name.startswith("ee_"),
        "IsLogical": False,
        "IsPrimaryId": column.name == table.id,
        "IsPrimaryName": column.name == table.name,
        "IsValidForRead": True,
        "IsValidForCreate": column.writable,
        "IsValidForUpdate": column.writable and column.name != table.id,
        "RequiredLevel": {"Value": "SystemRequired" if column.required or column.name == table.id else "None"},
    }
    if column.type in TEXTS and column.length:
        definition["MaxLength"] = column.length
    if column.type in LOOKUPS:
        definition["Targets"] = list(column.targets)
    if column.type in CHOICES:
        definition["OptionSet"] = {"Options": [_option(column, value) for value in column.options]}
        definition["DefaultFormValue"] = column.default if column.default is not None else -1
    if column.type is Type.BOOLEAN:
        definition["OptionSet"] = {"TrueOption": _option(column, 1), "FalseOption": _option(column, 0)}
        definition["DefaultValue"] = bool(column.default)
    return definition


_KINDS = {
    **{kind: kind.value for kind in Type},
    Type.GUID: "UniqueIdentifier",
    Type.OWNER: "Lookup",
}
"""What the metadata type of a column is called; differs from its AttributeType for two."""


def _option(column: Column, value: int) -> Definition:
    option: Definition = {"Value": value, "Label": _label(column.options[value])}
    if column.type is Type.STATUS:
        option["State"] = column.states[value]
    return option


def _relationships(table: Table) -> Iterator[Definition]:
    for name, (column, target) in table.by_navigation.items():
        schema_name = f"{table.logical}_{target}_{name}"
        yield {
            "@odata.type": f"#{NAMESPACE}.OneToManyRelationshipMetadata",
            "MetadataId": _id(schema_name),
            "SchemaName": schema_name,
            "RelationshipType": "OneToManyRelationship",
            "ReferencingEntity": table.logical,
            "ReferencingAttribute": column.name,
            "ReferencingEntityNavigationPropertyName": name,
            "ReferencedEntity": target,
            "ReferencedAttribute": TABLES[target].id,
            # Asked for by dataverse-api, which fails without it; null where the other side cannot be expanded.
            "ReferencedEntityNavigationPropertyName": _collection_of(table, column, target),
        }


def _collection_of(table: Table, column: Column, target: str) -> str | None:
    """Return the collection of `target` that holds the rows whose lookup `column` names it, or None."""
    found = (
        name
        for name, collection in TABLES[target].collections.items()
        if (collection.table, collection.column) == (table.logical, column.name)
    )
    return next(found, None)


def _label(name: str) -> Definition:
    label = {"Label": name, "LanguageCode": _ENGLISH}
    return {"LocalizedLabels": [label], "UserLocalizedLabel": label}


def _id(name: str) -> str:
    return str(uuid.uuid5(_IDS, name))
