"""Every table that the Web API serves, by logical name and by entity set name."""

from collections.abc import Mapping

from shared.webapi.schema import Table
from shared.webapi.tables import alerts, mail, organization, people, templates

TABLES: Mapping[str, Table] = {
    table.logical: table for module in (people, mail, templates, alerts, organization) for table in module.TABLES
}
SETS: Mapping[str, Table] = {table.set: table for table in TABLES.values()}
