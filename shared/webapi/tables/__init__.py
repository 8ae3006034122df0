"""Every table that the Web API serves, by logical name and by entity set name."""

from collections.abc import Mapping

from shared.webapi.schema import Collection, Table
from shared.webapi.tables import alerts, mail, organization, people, templates

TABLES: Mapping[str, Table] = {
    table.logical: table for module in (mail, people, templates, alerts, organization) for table in module.TABLES
}
SETS: Mapping[str, Table] = {table.set: table for table in TABLES.values()}


def collection_of(table: Table, navigation: str) -> str:
    """Return the collection that leads back from a lookup's navigation property, "" where there is none: it belongs to
    the documented name, not to other spellings."""
    column, target = table.by_navigation[navigation]
    documented = next(name for name, pointed in column.navigations.items() if pointed == target)
    back = Collection(table.logical, column.name)
    if navigation != documented:
        return ""
    return next((name for name, there in TABLES[target].collections.items() if there == back), "")


def navigation_of(table: Table, collection: str) -> str:
    """Return the navigation property that leads back from the rows of a collection, "" where there is none."""
    there = table.collections[collection]
    lookup = TABLES[there.table].by_name[there.column]
    return next((name for name, target in lookup.navigations.items() if target == table.logical), "")
