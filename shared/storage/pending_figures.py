"""Changes of emails that the figures do not know yet (`shared.storage.figures`).

``{org}Records`` has a partition ``pending figures`` with a row for every one of them: ``{email}:{version}``. It is
written before the email changes, so that nothing is lost in between. The email's ``_figures`` counts those changes: its
version says whether a change that was announced has happened.
"""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.engagement.times import iso_seconds, milliseconds
from shared.storage import queues
from shared.storage.account import NotFound, PreconditionFailed
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation, literal

_PARTITION = "pending figures"
_REMOVED = "removed"
"""Instead of a version: the email is being deleted."""
_DELAY = timedelta(seconds=1)
_HINTS_APART = 0.5
"""Seconds: a hint that is on its way will find what is written this soon after it was sent."""

_hinted: dict[str, float] = {}


@dataclass(frozen=True, slots=True)
class Change:
    """A change of an email that the figures do not know. `scopes` are those that it added to before; `at` is when it
    was about to be made; `row` is what names it in storage."""

    email: str
    version: int
    removed: bool
    scopes: frozenset[str]
    at: datetime
    row: Entity


async def announce(
    organization: Organization, email: str, version: int, scopes: Iterable[str], *, removed: bool = False
) -> None:
    """Write down that an email is about to become another `version`, or be deleted, and what it added to before."""
    row = _row(email, _REMOVED if removed else f"{version:09d}", version, scopes)
    await organization.tables.apply(organization.records, Operation("put", row))


async def hint(organization: Organization) -> None:
    """Wake whoever adds changes to the figures; one message is enough for all that happen at the same time."""
    now = time.monotonic()
    if now - _hinted.get(organization.name, -_HINTS_APART) >= _HINTS_APART:
        _hinted[organization.name] = now
        await queues.send(queues.FIGURES, {"organization": organization.name}, _DELAY)


async def read(organization: Organization, most: int, after: str = "") -> list[Change]:
    """Return up to `most` changes in the order of their rows' keys, those `after` a key."""
    condition = f"PartitionKey eq {literal(_PARTITION)} and RowKey gt {literal(after)}"
    async for page in organization.tables.query(organization.records, condition, page_size=most):
        return [_change(row) for row in page]
    return []


async def forget(organization: Organization, change: Change) -> bool:
    """Remove a change that is in the figures; return False where it was announced once more meanwhile."""
    try:
        await organization.tables.apply(organization.records, Operation("delete", change.row, change.row["etag"]))
    except NotFound:
        return True
    except PreconditionFailed:
        return False
    return True


def _row(email: str, what: str, version: int, scopes: Iterable[str]) -> Entity:
    return {
        "PartitionKey": _PARTITION,
        "RowKey": f"{email}:{what}",
        "version": version,
        "scopes": "\n".join(sorted(scopes)),
        "at": iso_seconds(milliseconds(datetime.now(UTC))),
    }


def _change(row: Entity) -> Change:
    email, _, what = row["RowKey"].partition(":")
    scopes = frozenset(filter(None, row["scopes"].split("\n")))
    return Change(email, row["version"], what == _REMOVED, scopes, datetime.fromisoformat(row["at"]), row)
