"""``EntityDefinitions``: tables, columns, choices, keys and relationships as clients look them up before they write.

Microsoft's SDK for Python finds a table's set and key here, and its choices before the first write of a text. What is
answered is the part of Dataverse's metadata that clients read (Microsoft's "Query schema definitions").
"""

import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

from shared.webapi.csdl import NAMESPACE
from shared.webapi.errors import bad_query
from shared.webapi.filters import parse_filter
from shared.webapi.operations import OPERATIONS, SET
from shared.webapi.query import split_top
from shared.webapi.schema import CHOICES, LOOKUPS, TEXTS, Column, Key, Table, Type, flag, guid, integer, text
from shared.webapi.tables import TABLES, collection_of
from shared.webapi.values import parse_guid

type Definition = dict[str, Any]

PARTS = ("Attributes", "Keys", "OneToManyRelationships", "ManyToOneRelationships", "ManyToManyRelationships")
"""What belongs to a table's definition and is answered where it is asked for."""

_IDS = uuid.UUID("a2c6d2f5-1e0c-4b83-9f0d-8f6f7b1d6c55")
_ENGLISH = 1033
_EXPANDABLE = frozenset({*PARTS, "OptionSet", "GlobalOptionSet", "sdkmessageid"})
_OPTIONS = frozenset({"$select", "$filter", "$expand", "$count"})
_ENUMERATION = re.compile(rf"{re.escape(NAMESPACE)}\.\w+('\w+')")
_KINDS = {**{kind: kind.value for kind in Type}, Type.GUID: "UniqueIdentifier", Type.OWNER: "Lookup"}
"""What the metadata type of a column is called; differs from its AttributeType for two."""
_FORMATS = {
    Type.STRING: "Text",
    Type.MEMO: "TextArea",
    Type.INTEGER: "None",
    Type.DATETIME: "DateAndTime",
}


def find(items: Sequence[Definition], key: str, name: str = "LogicalName") -> Definition | None:
    """Return the definition that ``LogicalName='email'`` or a MetadataId names, or None."""
    given, equals, value = key.partition("=")
    if equals:
        wanted = value.strip().strip("'")
        return next((item for item in items if given.strip() == name and item.get(name) == wanted), None)
    found = parse_guid(key.strip().strip("'"))
    return next((item for item in items if item["MetadataId"] == found), None)


def arrange(items: Sequence[Definition], options: Mapping[str, str]) -> list[Definition]:
    """Return definitions filtered and cut to what ``$filter``, ``$select`` and ``$expand`` ask for.

    A selected property that is not described here is left out and not refused: Dataverse has many more. Raises
    `Failure` 400 for the options that Dataverse does not have here either, such as ``$top``.
    """
    for name in options:
        if name.startswith("$") and name not in _OPTIONS:
            raise bad_query(f"The query option '{name[:40]}' is not supported on definitions: use $filter and $select.")
    kept = _filtered(items, options.get("$filter", "").strip())
    chosen = set(split_top(options.get("$select", ""), ","))
    expanded = dict(_expansion(item) for item in split_top(options.get("$expand", ""), ","))
    return [_cut(item, chosen, expanded) for item in kept]


def _filtered(items: Sequence[Definition], condition: str) -> Sequence[Definition]:
    if not condition or not items:
        return items
    kinds: dict[str, Column] = {}
    for item in items:
        kinds |= {name: column for name, value in item.items() if (column := _filterable(name, value)) is not None}
    table = Table("EntityMetadata", "EntityDefinitions", "MetadataId", "LogicalName", tuple(kinds.values()))
    keeps = parse_filter(_ENUMERATION.sub(r"\1", condition), table).keeps
    return [item for item in items if keeps({name: item.get(name) for name in kinds})]


def _filterable(name: str, value: Any) -> Column | None:
    if name == "MetadataId":
        return guid(name)
    if isinstance(value, bool):
        return flag(name, default=False)
    if isinstance(value, int):
        return integer(name)
    return text(name, 4000) if isinstance(value, str) else None


def _expansion(item: str) -> tuple[str, dict[str, str]]:
    name, _, inner = item.partition("(")
    if name.strip() not in _EXPANDABLE:
        raise bad_query(f"'{name.strip()[:80]}' is not a navigation property of a definition and cannot be expanded.")
    options = (part.partition("=") for part in split_top(inner.removesuffix(")"), ";"))
    return name.strip(), {option.strip(): value for option, _, value in options}


def _cut(item: Definition, chosen: set[str], expanded: Mapping[str, Mapping[str, str]]) -> Definition:
    always = {"MetadataId", "@odata.type"}
    cut = {
        name: value
        for name, value in item.items()
        if name not in _EXPANDABLE and (not chosen or name in chosen or name in always)
    }
    for name, options in expanded.items():
        value = _part(item, name)
        if isinstance(value, list):
            cut[name] = arrange(value, options)
        elif name in item:
            cut[name] = arrange_one(value, options) if value else None
    return cut


def arrange_one(item: Definition, options: Mapping[str, str]) -> Definition:
    """Return a definition cut to what ``$select`` and ``$expand`` ask for; a ``$filter`` has no say here."""
    return arrange([item], {name: value for name, value in options.items() if name != "$filter"})[0]


def _part(item: Definition, name: str) -> Any:
    """Return what an ``$expand`` names: made only when asked for where it belongs to a table."""
    is_table = name in PARTS and "EntitySetName" in item
    return parts(item["LogicalName"], name) if is_table else item.get(name)


@cache
def tables() -> tuple[Definition, ...]:
    """Return the definition of every table."""
    return tuple(_table(table) for table in TABLES.values())


def _table(table: Table) -> Definition:
    schema_name = table.schema_name or table.logical.capitalize()
    return {
        "MetadataId": _id(table.logical),
        "LogicalName": table.logical,
        "SchemaName": schema_name,
        "LogicalCollectionName": table.set,
        "CollectionSchemaName": table.set,
        "EntitySetName": table.set,
        "PrimaryIdAttribute": table.id,
        "PrimaryNameAttribute": table.name or None,
        "PrimaryImageAttribute": None,
        "DisplayName": _label(table.label or table.logical.capitalize()),
        "DisplayCollectionName": _label(table.plural or table.set.capitalize()),
        "Description": _label(table.about),
        "OwnershipType": "UserOwned" if "ownerid" in table.by_name else "OrganizationOwned",
        "TableType": "Standard",
        "IsActivity": table.kept == "email",
        "IsActivityParty": table.logical in ("account", "contact", "lead", "systemuser", "queue"),
        "IsPrivate": False,
        "IsIntersect": False,
        "IsCustomEntity": False,
        "IsLogicalEntity": False,
        "IsManaged": True,
        "IsOptimisticConcurrencyEnabled": True,
        "IsDocumentManagementEnabled": table.kept == "email",
        "HasActivities": table.logical in ("contact", "account", "lead"),
        "HasNotes": False,
    }


@cache
def parts(logical: str, part: str) -> list[Definition]:
    """Return what belongs to the definition of the table of that logical name: one of `PARTS`."""
    table = TABLES[logical]
    if part == "Attributes":
        return [_attribute(table, column) for column in table.columns]
    if part == "Keys":
        return [_key(table, key) for key in table.keys]
    if part == "ManyToOneRelationships":
        return list(_relationships(table))
    if part == "OneToManyRelationships":
        return [item for item in relationships() if item["ReferencedEntity"] == table.logical]
    return []


@cache
def relationships() -> tuple[Definition, ...]:
    """Return the relationships of all lookups."""
    return tuple(item for table in TABLES.values() for item in _relationships(table))


@cache
def messages() -> list[Definition]:
    """Return which tables take which messages on their sets, as the rows of sdkmessagefilters.

    dataverse-api looks there for CreateMultiple and UpdateMultiple before it sends them.
    """
    return [
        {
            "sdkmessagefilterid": _id(f"{table.logical}.{operation.name}"),
            "primaryobjecttypecode": table.logical,
            "sdkmessageid": {"sdkmessageid": _id(operation.name), "name": operation.name},
            # Where a filter on sdkmessageid/name looks.
            "name": operation.name,
        }
        for table in TABLES.values()
        if table.creatable
        for operation in OPERATIONS.values()
        if operation.bound == SET
    ]


def of_kind(attributes: Sequence[Definition], kind: str) -> list[Definition]:
    """Return the columns of one metadata type, such as ``PicklistAttributeMetadata``; all choices are Enum's."""
    choices = [f"#{NAMESPACE}.{_KINDS[choice]}AttributeMetadata" for choice in CHOICES]
    wanted = choices if kind == "EnumAttributeMetadata" else [f"#{NAMESPACE}.{kind}"]
    return [item for item in attributes if item["@odata.type"] in wanted]


def _attribute(table: Table, column: Column) -> Definition:
    is_id = column.name == table.id
    required = is_id or column.required
    return {
        "@odata.type": f"#{NAMESPACE}.{_KINDS[column.type]}AttributeMetadata",
        "MetadataId": _id(f"{table.logical}.{column.name}"),
        "LogicalName": column.name,
        "SchemaName": column.name,
        "EntityLogicalName": table.logical,
        "AttributeType": column.type.value,
        "AttributeTypeName": {"Value": f"{column.type.value}Type"},
        "AttributeOf": None,
        "DisplayName": _label(column.display),
        "Description": _label(column.about),
        "IsCustomAttribute": table.source_of(column) == "ours",
        "IsLogical": False,
        "IsPrimaryId": is_id,
        "IsPrimaryName": column.name == table.name,
        "IsValidForRead": True,
        "IsValidForCreate": is_id or column.writable,
        "IsValidForUpdate": column.writable and not column.once and not is_id,
        "RequiredLevel": {"Value": "SystemRequired" if required else "None", "CanBeChanged": False},
        **_of_type(table, column),
    }


def _of_type(table: Table, column: Column) -> Definition:
    """What the definition of a column of this type has beside the rest."""
    found: Definition = {}
    if column.type in _FORMATS:
        found["Format"] = _FORMATS[column.type]
    if column.type in (Type.STRING, Type.MEMO):
        found["FormatName"] = {"Value": _FORMATS[column.type]}
    if column.type in TEXTS:
        found["MaxLength"] = column.length
    if column.type in (Type.INTEGER, Type.BIGINT):
        found |= {"MinValue": column.low, "MaxValue": column.high}
    if column.type is Type.DATETIME:
        found["DateTimeBehavior"] = {"Value": "UserLocal"}
    if column.type in LOOKUPS:
        found["Targets"] = list(column.targets)
    if column.type in CHOICES:
        found["DefaultFormValue"] = column.default if column.default is not None else -1
    if column.type is Type.BOOLEAN:
        found["DefaultValue"] = bool(column.default)
    if column.options:
        found |= {"OptionSet": _option_set(table, column), "GlobalOptionSet": None}
    return found


def _option_set(table: Table, column: Column) -> Definition:
    name = f"{table.logical}_{column.name}"
    kind = column.type.value
    if column.type is Type.BOOLEAN:
        options: Definition = {"TrueOption": _option(column, 1), "FalseOption": _option(column, 0)}
    else:
        options = {"Options": [_option(column, value) for value in column.options]}
    return {
        "MetadataId": _id(name),
        "Name": name,
        "DisplayName": _label(column.display),
        "IsGlobal": False,
        "OptionSetType": kind,
        **options,
    }


def _option(column: Column, value: int) -> Definition:
    option: Definition = {"Value": value, "Label": _label(column.options[value]), "Description": _label("")}
    if column.type is Type.STATUS:
        option["State"] = column.states[value]
    return option


def _key(table: Table, key: Key) -> Definition:
    return {
        "MetadataId": _id(f"{table.logical}.{key.name}.key"),
        "LogicalName": key.name,
        "SchemaName": key.name,
        "EntityLogicalName": table.logical,
        "DisplayName": _label(", ".join(table.by_name[name].display for name in key.columns)),
        "KeyAttributes": list(key.columns),
        "EntityKeyIndexStatus": "Active",
    }


def _relationships(table: Table) -> Iterator[Definition]:
    """Yield a relationship for every name that binds a lookup: real clients use several."""
    for name, (column, target) in table.by_navigation.items():
        back = collection_of(table, name)
        schema_name = back or f"{table.logical}_{target}_{name}"
        yield {
            "@odata.type": f"#{NAMESPACE}.OneToManyRelationshipMetadata",
            "MetadataId": _id(schema_name),
            "SchemaName": schema_name,
            "RelationshipType": "OneToManyRelationship",
            "IsCustomRelationship": False,
            "ReferencingEntity": table.logical,
            "ReferencingAttribute": column.name,
            "ReferencingEntityNavigationPropertyName": name,
            "ReferencedEntity": target,
            "ReferencedAttribute": TABLES[target].id,
            "ReferencedEntityNavigationPropertyName": back or None,
        }


def _label(shown: str) -> Definition:
    if not shown:
        return {"LocalizedLabels": [], "UserLocalizedLabel": None}
    label = {"Label": shown, "LanguageCode": _ENGLISH}
    return {"LocalizedLabels": [label], "UserLocalizedLabel": label}


def _id(name: str) -> str:
    return str(uuid.uuid5(_IDS, name))
