"""``$metadata``: the service's entity data model as CSDL (OData CSDL XML 4.0), made from the tables and operations.

Namespace and alias are Dataverse's (Microsoft's "Web API types and operations"). Option sets are integers there too.
"""

from collections.abc import Iterator, Mapping
from functools import cache

from shared.webapi.operations import COMPLEX_TYPES, OPEN_TYPES, OPERATIONS, ROWS, SET, Operation
from shared.webapi.schema import TEXTS, Column, Key, Table, Type
from shared.webapi.tables import TABLES, collection_of, navigation_of

NAMESPACE = "Microsoft.Dynamics.CRM"
_ALIAS = "mscrm"
_CORE = "Org.OData.Core.V1"
_EDM = {
    Type.STRING: "Edm.String",
    Type.MEMO: "Edm.String",
    Type.ENTITY_NAME: "Edm.String",
    Type.INTEGER: "Edm.Int32",
    Type.BIGINT: "Edm.Int64",
    Type.BOOLEAN: "Edm.Boolean",
    Type.DATETIME: "Edm.DateTimeOffset",
    Type.PICKLIST: "Edm.Int32",
    Type.STATE: "Edm.Int32",
    Type.STATUS: "Edm.Int32",
    Type.LOOKUP: "Edm.Guid",
    Type.OWNER: "Edm.Guid",
    Type.GUID: "Edm.Guid",
}
_HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>'
    '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">'
    f'<edmx:Reference Uri="https://oasis-tcs.github.io/odata-vocabularies/vocabularies/{_CORE}.xml">'
    f'<edmx:Include Namespace="{_CORE}"/></edmx:Reference><edmx:DataServices>'
    f'<Schema Namespace="{NAMESPACE}" Alias="{_ALIAS}" xmlns="http://docs.oasis-open.org/odata/ns/edm">'
)
_TAIL = "</Schema></edmx:DataServices></edmx:Edmx>"


@cache
def csdl() -> bytes:
    """Return the model as an XML document."""
    types = "".join(part for table in TABLES.values() for part in _entity_type(table))
    sets = "".join(part for table in TABLES.values() for part in _entity_set(table))
    types += "".join(_complex_type(*named, ' OpenType="true"') for named in OPEN_TYPES.items())
    types += "".join(_complex_type(*named) for named in COMPLEX_TYPES.items())
    operations = "".join(part for operation in OPERATIONS.values() for part in _operation(operation))
    imports = "".join(_import(operation) for operation in OPERATIONS.values() if not operation.bound)
    container = f'<EntityContainer Name="System">{sets}{imports}</EntityContainer>'
    return f"{_HEAD}{types}{operations}{container}{_TAIL}".encode()


def _entity_type(table: Table) -> Iterator[str]:
    yield f'<EntityType Name="{table.logical}"><Key><PropertyRef Name="{table.id}"/></Key>'
    yield from (_property(table, column) for column in table.columns)
    for name, (column, target) in table.by_navigation.items():
        constraint = f'<ReferentialConstraint Property="{column.wire}" ReferencedProperty="{TABLES[target].id}"/>'
        facets = f"{_nullable(not _is_always_there(table, column))}{_partner(collection_of(table, name))}"
        yield f'<NavigationProperty Name="{name}" Type="{_ALIAS}.{target}"{facets}>{constraint}</NavigationProperty>'
    for name, collection in table.collections.items():
        partner = _partner(navigation_of(table, name))
        yield f'<NavigationProperty Name="{name}" Type="Collection({_ALIAS}.{collection.table})"{partner}/>'
    if table.keys:
        keys = "".join(_alternate_key(table, key) for key in table.keys)
        yield f'<Annotation Term="{_CORE}.AlternateKeys"><Collection>{keys}</Collection></Annotation>'
    yield "</EntityType>"


def _property(table: Table, column: Column) -> str:
    facets = f' MaxLength="{column.length}"' if column.type in TEXTS else ""
    facets += _nullable(not _is_always_there(table, column))
    return f'<Property Name="{column.wire}" Type="{_EDM[column.type]}"{facets}/>'


def _is_always_there(table: Table, column: Column) -> bool:
    """Whether every row has a value, whoever wrote it: the key, and what reads as its default where none is stored."""
    return column.name == table.id or (column.required and column.default is not None)


def _partner(name: str) -> str:
    return f' Partner="{name}"' if name else ""


def _nullable(nullable: bool) -> str:
    return "" if nullable else ' Nullable="false"'


def _alternate_key(table: Table, key: Key) -> str:
    references = "".join(
        f'<Record Type="{_CORE}.PropertyRef"><PropertyValue Property="Name" PropertyPath="{wire}"/>'
        f'<PropertyValue Property="Alias" String="{wire}"/></Record>'
        for wire in (table.by_name[name].wire for name in key.columns)
    )
    return (
        f'<Record Type="{_CORE}.AlternateKey"><PropertyValue Property="Key"><Collection>{references}</Collection>'
        "</PropertyValue></Record>"
    )


def _entity_set(table: Table) -> Iterator[str]:
    yield f'<EntitySet Name="{table.set}" EntityType="{_ALIAS}.{table.logical}">'
    targets = {name: target for name, (_, target) in table.by_navigation.items()}
    targets |= {name: collection.table for name, collection in table.collections.items()}
    for name, target in targets.items():
        yield f'<NavigationPropertyBinding Path="{name}" Target="{TABLES[target].set}"/>'
    yield "</EntitySet>"


def _operation(operation: Operation) -> Iterator[str]:
    """Yield an operation's response type and the operation, once for every set where it is called on sets."""
    returned = ""
    if operation.returned:
        returned = f'<ReturnType Type="{operation.returned}" Nullable="false"/>'
    elif operation.returns:
        response = f"{operation.name}Response"
        yield _complex_type(response, operation.returns)
        returned = f'<ReturnType Type="{_ALIAS}.{response}" Nullable="false"/>'
    if operation.bound == SET:
        written = [table.logical for table in TABLES.values() if table.creatable]
        bindings = [{"entityset": f"Collection({_ALIAS}.{name})"} for name in written]
    else:
        bindings = [{"entity": f"{_ALIAS}.{operation.bound}"}] if operation.bound else [{}]
    for binding in bindings:
        rows = next(iter(binding.values()), "")
        bound = ' IsBound="true"' if binding else ""
        for overload in _overloads(operation):
            given = {name: rows if kind == ROWS else kind for name, kind in overload.items()}
            parameters = _typed("Parameter", {**binding, **given})
            yield f'<{operation.kind} Name="{operation.name}"{bound}>{parameters}{returned}</{operation.kind}>'


def _overloads(operation: Operation) -> list[Mapping[str, str]]:
    """Return the sets of parameters that an operation is called with. In OData 4.0 a function's may be null but not be
    left out, so one with optional parameters is there without them too."""
    needed = {name: kind for name, kind in operation.parameters.items() if not kind.endswith("?")}
    if operation.kind == "Function" and needed != operation.parameters:
        return [needed, operation.parameters]
    return [operation.parameters]


def _complex_type(name: str, properties: Mapping[str, str], facets: str = "") -> str:
    return f'<ComplexType Name="{name}"{facets}>{_typed("Property", properties)}</ComplexType>'


def _typed(element: str, types: Mapping[str, str]) -> str:
    return "".join(
        f'<{element} Name="{name}" Type="{kind.removesuffix("?")}"{_nullable(kind.endswith("?"))}/>'
        for name, kind in types.items()
    )


def _import(operation: Operation) -> str:
    kind = operation.kind
    return f'<{kind}Import Name="{operation.name}" {kind}="{_ALIAS}.{operation.name}"/>'
