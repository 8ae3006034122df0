"""``$metadata``: the service's entity data model as CSDL (OData CSDL XML 4.0), made from the tables.

Namespace and alias are Dataverse's (Microsoft's "Web API types and operations").
"""

from collections.abc import Iterable, Iterator
from functools import cache
from xml.sax.saxutils import quoteattr

from shared.webapi.schema import Column, Table, Type
from shared.webapi.tables import TABLES

NAMESPACE = "Microsoft.Dynamics.CRM"
_ALIAS = "mscrm"
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
_OPERATIONS = """\
<ComplexType Name="WhoAmIResponse"><Property Name="BusinessUnitId" Type="Edm.Guid" Nullable="false"/>\
<Property Name="UserId" Type="Edm.Guid" Nullable="false"/>\
<Property Name="OrganizationId" Type="Edm.Guid" Nullable="false"/></ComplexType>\
<ComplexType Name="SendEmailResponse"><Property Name="Subject" Type="Edm.String"/></ComplexType>\
<Function Name="WhoAmI"><ReturnType Type="mscrm.WhoAmIResponse" Nullable="false"/></Function>\
<Action Name="SendEmail" IsBound="true"><Parameter Name="entity" Type="mscrm.email" Nullable="false"/>\
<Parameter Name="IssueSend" Type="Edm.Boolean" Nullable="false"/><Parameter Name="TrackingToken" Type="Edm.String"/>\
<ReturnType Type="mscrm.SendEmailResponse" Nullable="false"/></Action>\
<Action Name="FollowEmailAttachment"><Parameter Name="ActivityMimeAttachmentId" Type="Edm.String" Nullable="false"/>\
</Action>\
<Action Name="UnfollowEmailAttachment"><Parameter Name="ActivityMimeAttachmentId" Type="Edm.String" Nullable="false"/>\
</Action>"""
_IMPORTS = """\
<FunctionImport Name="WhoAmI" Function="mscrm.WhoAmI"/>\
<ActionImport Name="FollowEmailAttachment" Action="mscrm.FollowEmailAttachment"/>\
<ActionImport Name="UnfollowEmailAttachment" Action="mscrm.UnfollowEmailAttachment"/>"""


@cache
def csdl() -> bytes:
    """Return the model as an XML document."""
    types = "".join(part for table in TABLES.values() for part in _entity_type(table))
    sets = "".join(part for table in TABLES.values() for part in _entity_set(table))
    return (
        '<?xml version="1.0" encoding="utf-8"?>'
        '<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx"><edmx:DataServices>'
        f'<Schema Namespace="{NAMESPACE}" Alias="{_ALIAS}" xmlns="http://docs.oasis-open.org/odata/ns/edm">'
        f'{types}{_OPERATIONS}<EntityContainer Name="System">{sets}{_IMPORTS}</EntityContainer>'
        "</Schema></edmx:DataServices></edmx:Edmx>"
    ).encode()


def _entity_type(table: Table) -> Iterator[str]:
    yield f"<EntityType Name={quoteattr(table.logical)}><Key><PropertyRef Name={quoteattr(table.id)}/></Key>"
    yield from (_property(table, column) for column in table.columns)
    for name, (column, target) in table.by_navigation.items():
        constraint = f'<ReferentialConstraint Property="{column.wire}" ReferencedProperty="{TABLES[target].id}"/>'
        yield f'<NavigationProperty Name="{name}" Type="{_ALIAS}.{target}">{constraint}</NavigationProperty>'
    for name, collection in table.collections.items():
        yield f'<NavigationProperty Name="{name}" Type="Collection({_ALIAS}.{collection.table})"/>'
    yield "</EntityType>"


def _property(table: Table, column: Column) -> str:
    bounds = f' MaxLength="{column.length}"' if column.type is Type.STRING else ""
    bounds += ' Nullable="false"' if column.name == table.id else ""
    return f'<Property Name="{column.wire}" Type="{_EDM[column.type]}"{bounds}/>'


def _entity_set(table: Table) -> Iterator[str]:
    yield f'<EntitySet Name="{table.set}" EntityType="{_ALIAS}.{table.logical}">'
    targets: Iterable[tuple[str, str]] = [
        *((name, target) for name, (_, target) in table.by_navigation.items()),
        *((name, collection.table) for name, collection in table.collections.items()),
    ]
    for name, target in targets:
        yield f'<NavigationPropertyBinding Path="{name}" Target="{TABLES[target].set}"/>'
    yield "</EntitySet>"
