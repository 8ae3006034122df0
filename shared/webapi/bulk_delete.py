"""BulkDelete: the rows that queries find, deleted in one request; Microsoft's SDK for Python deletes lists so.

Source: Microsoft's BulkDelete action reference. There the rows are deleted by a job, later; here they are gone when the
answer arrives, and the job that it names is over. Queries find rows by their ids only.
"""

import dataclasses
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.services.errors import Missing, Refused
from shared.services.rights import Denied
from shared.webapi import writing
from shared.webapi.context import Context
from shared.webapi.errors import Failure, bad_payload, not_implemented
from shared.webapi.schema import Table
from shared.webapi.tables import TABLES
from shared.webapi.values import parse_guid

MAX_ROWS = 1000


async def bulk_delete(context: Context, sent: Mapping[str, Any]) -> dict[str, Any]:
    """Delete the rows of ``QuerySet`` one by one; what is not there (any more) is passed over, as a query would.

    Raises `Failure` 400 where a query finds rows by anything else, and 400 to 412 after all others are deleted where
    some cannot be, naming the first of them.
    """
    queries = sent.get("QuerySet")
    if not isinstance(queries, list) or not queries:
        raise bad_payload("BulkDelete needs the parameter 'QuerySet': a list of QueryExpression.")
    wanted = list(dict.fromkeys(_named(queries)))
    # If-Match speaks of one row and means nothing here.
    context = dataclasses.replace(context, match="", none_match="")
    kept = [reason for table, row in wanted if (reason := await _delete(context, TABLES[table], row)) is not None]
    if kept:
        reason = kept[0]
        told = f"{len(kept)} of {len(wanted)} rows could not be deleted, the others are: {reason.message}"
        raise Failure(reason.status, reason.code, told)
    response = "Microsoft.Dynamics.CRM.BulkDeleteResponse"
    return {"@odata.context": f"{context.base}/$metadata#{response}", "JobId": str(uuid.uuid4())}


def _named(queries: Sequence[Any]) -> Iterator[tuple[str, str]]:
    """Yield the rows that queries name; raise `Failure` 400 past `MAX_ROWS`, those that are named again counted too."""
    named = 0
    for query in queries:
        rows = _rows(query)
        named += max(1, len(rows))
        if named > MAX_ROWS:
            raise bad_payload(f"BulkDelete names more than {MAX_ROWS:,} rows: send several requests.")
        yield from rows


async def _delete(context: Context, table: Table, id: str) -> Failure | None:
    """Delete a row; return why it stays, None where it is gone."""
    try:
        await writing.delete(context, table, id)
    except Missing:
        return None
    except Failure as failure:
        return None if failure.status == 404 else failure
    except Denied as denial:
        return Failure(403, "0x80040220", f"{table.logical} {id}: {denial}")
    except Refused as refusal:
        return Failure(400, "0x80040203", f"{table.logical} {id}: {refusal}")
    return None


def _rows(query: Any) -> list[tuple[str, str]]:
    """Return the rows that a QueryExpression names, as table and id."""
    table = TABLES.get(_text(query, "EntityName"))
    if table is None:
        raise bad_payload(f"BulkDelete: there is no table '{_text(query, 'EntityName')[:80]}' ('EntityName').")
    criteria = query.get("Criteria")
    conditions = criteria.get("Conditions") if isinstance(criteria, dict) else None
    if not isinstance(conditions, list) or len(conditions) != 1 or criteria.get("Filters"):
        raise _unsupported(table)
    if _text(conditions[0], "AttributeName") != table.id or _text(conditions[0], "Operator") not in ("In", "Equal"):
        raise _unsupported(table)
    return [(table.logical, row) for row in _ids(table, conditions[0].get("Values"))]


def _ids(table: Table, values: Any) -> Sequence[str]:
    if not isinstance(values, list) or not values:
        raise _unsupported(table)
    if len(values) > MAX_ROWS:
        raise bad_payload(f"BulkDelete names {len(values):,} rows; at most {MAX_ROWS:,} are taken in one request.")
    found = [parse_guid(_text(value, "Value")) for value in values]
    known = [row for row in found if row is not None]
    if len(known) < len(found):
        raise bad_payload(f"BulkDelete: a value of '{table.id}' is not a guid.")
    return known


def _text(item: Any, name: str) -> str:
    value = item.get(name) if isinstance(item, dict) else None
    return value if isinstance(value, str) else ""


def _unsupported(table: Table) -> Failure:
    return not_implemented(
        f"BulkDelete finds rows by their ids only: give one condition on '{table.id}' with the operator In."
    )
