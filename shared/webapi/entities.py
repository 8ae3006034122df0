"""Records that a parameter names, in the forms that Dataverse's clients write."""

from collections.abc import Sequence
from typing import Any

from shared.webapi.context import Context
from shared.webapi.errors import bad_payload
from shared.webapi.keys import demand_id
from shared.webapi.payloads import parse_reference, set_of
from shared.webapi.tables import TABLES
from shared.webapi.values import parse_guid


async def named_record(
    context: Context, given: object, where: str, tables: Sequence[str], what: str
) -> tuple[str, str]:
    """Return the table and id of a record; whether it is there is not looked at.

    Taken are an entity (``{"@odata.type": "Microsoft.Dynamics.CRM.contact", "contactid": id}``), a reference
    (``{"@odata.id": "contacts(id)"}``) and what SDKs make of one (``{"LogicalName": "contact", "Id": id}``,
    ``{"entityType": "contact", "id": id}``). Raises `Failure` 400 naming what is wrong `where`; `what` says which
    `tables` are meant.
    """
    if not isinstance(given, dict):
        raise bad_payload(f"'{where}' must be an object with '@odata.type' and the id of a record.")
    if "@odata.id" in given:
        reference, sets = given["@odata.id"], {TABLES[name].set: name for name in tables}
        name = set_of(reference, f"{where}/@odata.id") if isinstance(reference, str) else ""
        if name and name not in sets:
            raise bad_payload(f"'{where}/@odata.id' must name {what}, a row of one of: {', '.join(sets)}.")
        table = sets[name] if name else tables[0]
        named = parse_reference(reference, table, f"{where}/@odata.id")
        return table, await demand_id(context.organization, TABLES[table], named)
    table = _table(given)
    if table not in tables:
        raise bad_payload(
            f"'{where}' needs an '@odata.type' of {what}: "
            + ", ".join(f"Microsoft.Dynamics.CRM.{table}" for table in tables)
            + "."
        )
    key = TABLES[table].id
    value = next((given[name] for name in (key, "Id", "id") if name in given), None)
    found = parse_guid(value) if isinstance(value, str) else None
    if found is None:
        raise bad_payload(f"'{where}' needs '{key}', the id of the {table}.")
    return table, found


def _table(given: dict[str, Any]) -> str:
    kind = next((given[name] for name in ("@odata.type", "LogicalName", "entityType") if name in given), None)
    return kind.removeprefix("#").removeprefix("Microsoft.Dynamics.CRM.") if isinstance(kind, str) else ""
