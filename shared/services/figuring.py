"""Keeping the figures: what emails add to the records they concern is brought into them seconds after it changes.

Whoever changes an email announces it (`shared.storage.pending_figures`) and hints; `figure` reads each such email as it
is now and corrects the figures by what it adds now (`shared.engagement.figures`). No other email is read.
"""

import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta

from shared.engagement.figures import WEEKS, cells, scopes, template_columns
from shared.storage import emails, figures, pending_figures, queues, records
from shared.storage.account import StorageError, Unavailable
from shared.storage.calls import side_by_side
from shared.storage.contention import insist
from shared.storage.emails import EmailPartition
from shared.storage.figures import Addition
from shared.storage.organizations import Organization, find_organization, list_organizations
from shared.storage.pending_figures import Change

LANDS_WITHIN = timedelta(minutes=10)
"""A change that was announced this long ago and has not happened will not: no call to storage lasts that long."""
LOOK_AGAIN = timedelta(seconds=30)
LEFT_BEHIND = timedelta(seconds=30)

_TEMPLATE = "template "
_PAGE = 100
_PAGES = 50
"""How many pages one message takes; where there are more, the next one follows at once."""

_in_hand: dict[str, bool] = {}
"""The organizations whose figures this process is at, and whether it was hinted at more meanwhile."""

_log = logging.getLogger(__name__)


async def figure(organization_name: str, now: datetime) -> timedelta | None:
    """Bring an organization's figures up to date; return when to look again, None when nothing waits.

    Storage that does not answer is waited for.
    """
    organization = await find_organization(organization_name)
    if organization is None:
        return None
    if organization_name in _in_hand:
        _in_hand[organization_name] = True
        return None
    _in_hand[organization_name] = True
    again: timedelta | None = None
    try:
        while again is None and _in_hand[organization_name]:
            _in_hand[organization_name] = False
            again = await _take_all(organization, now)
    except Unavailable as error:
        _log.warning("the figures of %s wait for storage: %s", organization_name, error.code)
        return LOOK_AGAIN
    finally:
        del _in_hand[organization_name]
    return again


async def sweep(now: datetime) -> None:
    """Wake whoever adds to the figures where a hint was lost."""
    for organization in await list_organizations():
        try:
            waiting = await pending_figures.read(organization, 1)
            if waiting and now - waiting[0].at > LEFT_BEHIND:
                await queues.send(queues.FIGURES, {"organization": organization.name})
        except StorageError as error:
            _log.warning("the pending figures of %s were not looked at: %s", organization.name, error.code)


async def rebuild(organization: Organization, told: Callable[[str], None] = lambda _: None) -> int:
    """Make all figures anew from the mail itself; return how many scopes were wrong. `told` hears of the progress.

    Safe to repeat, and while mail comes and goes.
    """
    belonging: dict[str, set[str]] = defaultdict(set)
    count = 0
    async for page in emails.sent(organization):
        found = await _read(organization, page)
        additions = _additions(found, {})
        await _add(organization, additions)
        for scope, of_scope in additions.items():
            belonging[scope].update(addition.email for addition in of_scope)
        count += len(page)
        told(f"{count:,} emails")
    wrong = 0
    async for scope in figures.list_scopes(organization):
        wrong += await _straighten(organization, scope, belonging[scope])
        told(f"the figures of {scope}")
    return wrong


async def _straighten(organization: Organization, scope: str, belonging: set[str]) -> bool:
    """Remove what emails have added that do not belong to a scope, and count its tickets; return whether it was wrong.

    What looks like a stray was perhaps sent meanwhile, so its email is looked at.
    """
    strays = 0
    async for page in figures.tickets(organization, scope):
        unknown = [ticket for ticket in page if ticket.email not in belonging]
        found = await _read(organization, [ticket.email for ticket in unknown])
        gone = [ticket for ticket in unknown if scope not in _scopes(found[ticket.email])]
        await figures.add(organization, scope, [Addition(ticket.email, ticket.version, {}) for ticket in gone])
        strays += len(gone)
    miscounted = await figures.recount(organization, scope)
    if scope.startswith(_TEMPLATE):
        await _show(organization, scope)
    return bool(strays) or miscounted


async def _take_all(organization: Organization, now: datetime) -> timedelta | None:
    after, waits = "", False
    for _ in range(_PAGES):
        changes = await pending_figures.read(organization, _PAGE, after)
        if changes:
            waits |= await _take(organization, changes, now)
            after = changes[-1].row["RowKey"]
        if len(changes) < _PAGE:
            return LOOK_AGAIN if waits else None
    return timedelta()


async def _take(organization: Organization, changes: Sequence[Change], now: datetime) -> bool:
    """Bring changes into the figures; return whether some are still to happen."""
    by_email: dict[str, list[Change]] = defaultdict(list)
    for change in changes:
        by_email[change.email].append(change)
    found = await _read(organization, list(by_email))
    await _add(organization, _additions(found, by_email))
    done = [change for change in changes if _is_done(change, found[change.email], now)]
    forgotten = await side_by_side(lambda change: pending_figures.forget(organization, change), done)
    return len(done) < len(changes) or not all(forgotten)


def _is_done(change: Change, found: EmailPartition | None, now: datetime) -> bool:
    """Return whether a change has happened, or never will."""
    happened = found is None or (not change.removed and emails.version_of(found.email) >= change.version)
    return happened or now - change.at > LANDS_WITHIN


async def _read(organization: Organization, ids: Sequence[str]) -> dict[str, EmailPartition | None]:
    found = await side_by_side(lambda email: emails.read_partition(organization, email), ids)
    return dict(zip(ids, found, strict=True))


def _scopes(found: EmailPartition | None) -> set[str]:
    return scopes(found.email, found.parties) if found is not None else set()


def _additions(
    found: Mapping[str, EmailPartition | None], changes: Mapping[str, Sequence[Change]]
) -> dict[str, list[Addition]]:
    """Return, by scope, what emails add as they were found; nothing to those scopes that their `changes` left."""
    by_scope: dict[str, list[Addition]] = defaultdict(list)
    for email, partition in found.items():
        own, belongs = changes.get(email, ()), _scopes(partition)
        version = max((change.version for change in own), default=0)
        if partition is not None:
            version = emails.version_of(partition.email)
            for scope in belongs:
                by_scope[scope].append(Addition(email, version, cells(partition.email, partition.parties, scope)))
        for scope in {scope for change in own for scope in change.scopes} - belongs:
            by_scope[scope].append(Addition(email, version, {}))
    return by_scope


async def _add(organization: Organization, additions: Mapping[str, Sequence[Addition]]) -> None:
    await side_by_side(lambda scope: figures.add(organization, scope, additions[scope]), sorted(additions))
    await side_by_side(
        lambda scope: _show(organization, scope), sorted(scope for scope in additions if scope.startswith(_TEMPLATE))
    )


async def _show(organization: Organization, scope: str) -> None:
    """Write a template's figures into its record, where clients read them; the newest there are, whoever is faster."""
    template = scope.removeprefix(_TEMPLATE)

    async def attempt() -> None:
        record = await records.get(organization, "template", template)
        if record is None:
            return
        counted = await figures.get(organization, scope, WEEKS)
        if record.get("_revision", 0) < counted.revision:
            shown = {**template_columns(counted.cells), "_revision": counted.revision}
            await records.merge(organization, "template", template, shown, record["etag"])

    await insist(attempt)
