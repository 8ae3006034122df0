"""Actions on what is held about a person: erasing and exporting it, for administrators."""

from collections.abc import Mapping
from typing import Any

import orjson

from shared.services.consenting import TABLES
from shared.services.rights import Denied, demand_administrator
from shared.webapi.context import Context
from shared.webapi.entities import named_record
from shared.webapi.errors import bad_payload
from shared.webapi.operations import demand_parameters


async def erase_person(context: Context, sent: Mapping[str, Any]) -> dict[str, Any]:
    """ee_ErasePerson: begin to erase a person, or say how far that is; the record goes only with ``DeleteRecord``."""
    from shared.services import erasing

    demand_parameters(sent, "ee_ErasePerson")
    demand_administrator(context.caller, "what is held about a person")
    delete_record = sent.get("DeleteRecord")
    if not isinstance(delete_record, bool | None):
        raise bad_payload("The parameter 'DeleteRecord' of 'ee_ErasePerson' must be true or false.")
    table, key = await named_record(context, sent.get("Target"), "Target", TABLES, "a person")
    progress = await erasing.start(context.organization, table, key, context.now, delete_record=bool(delete_record))
    return {
        "@odata.context": f"{context.base}/$metadata#Microsoft.Dynamics.CRM.ee_ErasePersonResponse",
        "Status": progress.status,
        "PercentComplete": progress.percent,
        "EmailCount": progress.emails,
    }


async def export_person(context: Context, sent: Mapping[str, Any]) -> dict[str, Any]:
    """ee_ExportPerson: everything that is held about a person, JSON in a text."""
    from shared.services.person_export import export

    demand_parameters(sent, "ee_ExportPerson")
    if not context.caller.administers:
        raise Denied("Only an Administrator may export what is held about a person.")
    table, key = await named_record(context, sent.get("Target"), "Target", TABLES, "a person")
    document = await export(context.organization, table, key, context.now)
    return {
        "@odata.context": f"{context.base}/$metadata#Microsoft.Dynamics.CRM.ee_ExportPersonResponse",
        "Document": orjson.dumps(document).decode(),
    }
