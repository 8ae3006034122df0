"""What is kept of people's consent beside their records: its history, and who must not be followed any more.

=======================  ============================  =============================================================
partition                row                           holds
=======================  ============================  =============================================================
a record's table         ``~consent {id} {n} {nonce}`` one change of consent with its proof, never changed, oldest first
a record's table         ``~restriction {id}``         that following the record ended
``restriction``          hash of an address            that following whoever reads it ended
=======================  ============================  =============================================================

The rows beside a record change in one transaction with it and outlive it. A restriction has an ``id``, another one each
time that following ends. It is for ever: an email that was judged in spite of it names that id (`shared.services.
consenting`), any other email to that person is not followed any more.
"""

import asyncio
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from shared.engagement.options import is_recipient
from shared.engagement.times import milliseconds, parse_iso
from shared.engagement.withdrawal import address_key
from shared.storage import records
from shared.storage.calls import side_by_side
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation, literal

RESTRICTION = "restriction"
_HISTORY = f"{records.BEYOND}consent "


def change_of(table: str, id: str, proof: Mapping[str, Any], by: str, on: str) -> Operation:
    """Return the operation that keeps a change of a record's consent: its `proof`, who made it, and when."""
    # `on` tells seconds: changes within one are in order by this process's clock.
    name = f"{_HISTORY}{id} {milliseconds(parse_iso(on)):014d} {time.time_ns():020d}{uuid.uuid4().hex[:8]}"
    return Operation("insert", {"PartitionKey": table, "RowKey": name, **proof, "changedby": by, "changedon": on})


def ending_of(table: str, id: str, restriction: str, why: str, on: str) -> Operation:
    """Return the operation that ends the following of a record: `why`, and since when."""
    row = {"PartitionKey": table, "RowKey": f"{records.BEYOND}{RESTRICTION} {id}"}
    return Operation("put", {**row, "id": restriction, "why": why, "on": on})


async def history(organization: Organization, table: str, id: str) -> list[Entity]:
    """Return the changes of a record's consent, oldest first."""
    first, last = f"{_HISTORY}{id} ", f"{_HISTORY}{id}!"
    condition = f"PartitionKey eq {literal(table)} and RowKey ge {literal(first)} and RowKey lt {literal(last)}"
    return await organization.tables.query_all(organization.records, condition)


async def ending(organization: Organization, table: str, id: str) -> Entity | None:
    """Return the restriction of a record, or None."""
    return await records.get(organization, table, f"{records.BEYOND}{RESTRICTION} {id}")


async def end_for_address(
    organization: Organization, address: str, restriction: str, columns: Mapping[str, Any]
) -> None:
    """End the following of whoever reads an address, given as `address_key` writes it."""
    await records.put(organization, RESTRICTION, address, {**columns, "id": restriction})


async def endings_for_addresses(organization: Organization, addresses: Iterable[str]) -> list[Entity]:
    """Return the restrictions of addresses, given as `address_key` writes them."""
    found = await side_by_side(lambda key: records.get(organization, RESTRICTION, key), list(addresses))
    return [row for row in found if row is not None]


async def restrictions_of(organization: Organization, parties: Iterable[Mapping[str, Any]]) -> dict[str, list[Entity]]:
    """Return the restrictions of an email's recipients, by the row key of the party."""
    recipients = [party for party in parties if is_recipient(party)]
    found = await side_by_side(lambda party: _of_party(organization, party), recipients)
    return {party["RowKey"]: rows for party, rows in zip(recipients, found, strict=True) if rows}


async def _of_party(organization: Organization, party: Mapping[str, Any]) -> list[Entity]:
    reads = []
    if party.get("partyid") and party.get("partyid_type"):
        reads.append(ending(organization, party["partyid_type"], party["partyid"]))
    if party.get("addressused"):
        reads.append(records.get(organization, RESTRICTION, address_key(party["addressused"])))
    return [row for row in await asyncio.gather(*reads) if row is not None]
