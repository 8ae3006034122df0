"""Tracking tokens: short texts such as ``CRM:0001001`` that name one email within an organization.

Dataverse's default shape: the prefix, the base 0, three digits for the user, three for the user's count (Microsoft's
"Email message filtering and correlation"). A user whose count is used up gets the next number of the organization, and
numbers grow beyond three digits, so that no token is ever given twice.
"""

import asyncio
import random
from typing import Any

from shared.storage import records
from shared.storage.account import Conflict, NotFound, PreconditionFailed, Unavailable
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation

_TABLE = "trackingtoken"
_NUMBERS = "numbers"
_PREFIX = "CRM:0"
_MOST = 999
_ATTEMPTS = 64
_PAUSE = 0.02
"""Seconds, at most, before the next attempt; for each that was lost one more."""


async def next_token(organization: Organization, user: str) -> str:
    """Return a tracking token that nobody in the organization has had; raise `Unavailable` where too many ask."""
    for attempt in range(_ATTEMPTS):
        own = await records.get(organization, _TABLE, user)
        try:
            number, count = await _advance(organization, user, own)
        except (Conflict, PreconditionFailed, NotFound):
            await asyncio.sleep(random.random() * _PAUSE * (attempt + 1))  # noqa: S311 - parts those who ask at once
        else:
            return f"{_PREFIX}{number:03}{count:03}"
    raise Unavailable(503, "TooManyAtOnce")


async def _advance(organization: Organization, user: str, own: Entity | None) -> tuple[int, int]:
    """Count one more for a user and return the number and the count, each used once only."""
    if own is not None and own["count"] < _MOST:
        number, count = int(own["number"]), int(own["count"]) + 1
        await records.put(organization, _TABLE, user, {"number": number, "count": count}, own["etag"])
        return number, count
    given = await records.get(organization, _TABLE, _NUMBERS)
    number = int(given["last"]) + 1 if given is not None else 1
    operations = [_write(_NUMBERS, given, {"last": number}), _write(user, own, {"number": number, "count": 1})]
    await organization.tables.transact(organization.records, operations)
    return number, 1


def _write(row: str, old: Entity | None, columns: dict[str, Any]) -> Operation:
    entity = {**columns, "PartitionKey": _TABLE, "RowKey": row}
    return Operation("insert", entity) if old is None else Operation("put", entity, old["etag"])
