"""The mailboxes that followed mail was sent from: subscribed to, caught up with, and kept so.

One row each in the partition ``mailbox`` of Records, by the id of its user: ``address``, ``subscription``, ``expires``,
``_through`` (everything received up to then is handled), and what went wrong. A notification is a hint: what it misses,
the catch-up finds within a minute, so that without any subscription replies are found all the same, only later.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.engagement.incoming import Incoming
from shared.engagement.notifications import client_state
from shared.engagement.times import iso_seconds, milliseconds, parse_iso
from shared.graph import mailbox as graph
from shared.graph.client import GraphError, Rejected, Throttled
from shared.services import people
from shared.services.replying import take_message
from shared.settings import settings
from shared.storage import queues, records
from shared.storage.account import Conflict, NotFound, StorageError
from shared.storage.contention import insist
from shared.storage.organizations import Organization, find_organization, list_organizations
from shared.storage.tables import Entity

type _Act = Callable[[Organization, Entity], Awaitable[None]]

TABLE = "mailbox"
OVERLAP = timedelta(minutes=5)
"""How far before the last catch-up the next begins: clocks differ, and a message may show up after its time."""
MAX_ATTEMPTS = 12
"""How often a message that fails is tried: for some six hours, at growing intervals."""
MAILBOX_SECONDS = 50.0
"""How long one mailbox may take of a run, so that none keeps the next run waiting; a backlog goes on in the next."""

_PARALLEL = 8
_RETRY = timedelta(minutes=5)
_SELDOM = timedelta(hours=1)
_MOST_SELDOM = timedelta(days=1)

_GONE = (403, 404, 410)
"""What Graph answers where a mailbox is gone or not ours to read, which an hour does not change."""

_log = logging.getLogger(__name__)


async def follow_mailbox(organization: Organization, user: str, address: str, now: datetime) -> None:
    """See to it that what arrives in a sender's mailbox from `now` on is read; call it before the first send.

    `user` is the sender's systemuserid, which is their Entra object id. One look-up where the mailbox is known already;
    no call to Graph: subscribing is left to the queue. Raises `StorageError` where the row cannot be written.
    """
    address = address.casefold()
    row = await records.get(organization, TABLE, user)
    if row is not None and row.get("address") == address:
        return
    if row is not None:
        await records.merge(organization, TABLE, user, {"address": address})
        return
    try:
        await records.insert(organization, TABLE, user, {"address": address, "_through": _iso(now)})
        await queues.send(queues.MAILBOX, {"organization": organization.name, "mailbox": user})
    except Conflict:
        return
    except StorageError as error:
        if await records.get(organization, TABLE, user) is None:
            raise
        _log.warning(
            "mailbox %s of %s is subscribed to with the next catch-up: %s", user, organization.name, error.code
        )


async def attend(work: Mapping[str, str], now: datetime) -> tuple[dict[str, str], timedelta] | None:
    """Do what a message of the mailbox queue asks for: look at one message, or see to the whole mailbox.

    Returns the message to put back and its delay where Microsoft 365 or storage cannot answer now, None when done. A
    message that fails for hours is given up.
    """
    organization = await find_organization(work["organization"])
    row = await records.get(organization, TABLE, work["mailbox"]) if organization else None
    if organization is None or row is None or await people.is_disabled(organization, row["RowKey"]):
        # What arrives for somebody who is shut out is not read. Enabled again, they are caught up with.
        return None
    try:
        if "message" in work:
            message = await graph.get_incoming(organization.tenant, row["RowKey"], work["message"])
            if message is not None:
                await take_message(organization, row["RowKey"], row["address"], message, now)
        else:
            await _see_to(organization, row, work, now)
    except Rejected as error:
        _log.warning("a message of mailbox %s of %s is not read: %s", row["RowKey"], organization.name, error)
    except (GraphError, StorageError) as error:
        return _again(work, error)
    return None


async def catch_up_all(now: datetime) -> None:
    """Handle what every mailbox received since the last time; one that fails delays no other."""
    await _for_each_mailbox(lambda organization, row: _catch_up_guarded(organization, row, now))


async def renew_all(now: datetime) -> None:
    """Renew every subscription that has less than half of its lifetime left, and make those that are missing."""
    await _for_each_mailbox(lambda organization, row: _renew_guarded(organization, row, now))


async def catch_up(organization: Organization, row: Entity, now: datetime) -> None:
    """Handle every message that a mailbox received since the last time, and move its watermark when all were handled.

    A message that fails is handed to the queue, which tries it for hours, so that none keeps the others waiting. Raises
    `GraphError` where the mailbox cannot be read, and the watermark stays.
    """
    since = parse_iso(row["_through"]) - OVERLAP
    async for page in graph.received_since(organization.tenant, row["RowKey"], since):
        for message in page:
            await _take_or_hand_over(organization, row, message, now)
        if len(page) == graph.PAGE_SIZE:
            # A backlog goes on exactly where it stopped: no overlap, which might never let a busy mailbox get further.
            await _note(organization, row, {"_through": _iso(page[-1].received + OVERLAP)})
    await _note(organization, row, {"_through": _iso(now), "_failures": 0, "_failure": "", "_after": ""})


async def _leave(organization: Organization, row: Entity) -> None:
    """End the subscription to the mailbox of somebody who is shut out; where Microsoft 365 does not, it is asked again
    in a minute, and what it notifies us of meanwhile is dropped."""
    if row.get("subscription"):
        await graph.unsubscribe(organization.tenant, row["subscription"])
        await _forget_subscription(organization, row)


async def _see_to(organization: Organization, row: Entity, work: Mapping[str, str], now: datetime) -> None:
    """Act on a lifecycle notification (learn.microsoft.com/graph/change-notifications-lifecycle-events), or start."""
    current = row.get("subscription", "") == work.get("subscription", "")
    match work.get("event"):
        case "reauthorizationRequired" if current:
            await _renew(organization, row, now)
            return
        case "subscriptionRemoved" if current:
            row = await _forget_subscription(organization, row)
    await _subscribe(organization, row, now)
    await catch_up(organization, row, now)


async def _catch_up_guarded(organization: Organization, row: Entity, now: datetime) -> None:
    if row.get("_after", "") > _iso(now):
        return
    try:
        await _subscribe(organization, row, now)
        await catch_up(organization, row, now)
    except Rejected as error:
        failures = int(row.get("_failures", 0)) + 1
        seldom = min(_MOST_SELDOM, _SELDOM * 2 ** min(failures - 1, 10))
        wait = seldom if error.status in _GONE else _RETRY
        _log.warning(
            "mailbox %s of %s cannot be read (%s), tried again in %s: check that it still exists and that the app may "
            "read it (Mail.ReadWrite, application access policy)",
            row["RowKey"], organization.name, error, wait,
        )  # fmt: skip
        await _note(organization, row, {"_failures": failures, "_failure": str(error), "_after": _iso(now + wait)})
    except Throttled as error:
        await _note(organization, row, {"_after": _iso(now + timedelta(seconds=error.retry_after))})


async def _take_or_hand_over(organization: Organization, row: Entity, message: Incoming, now: datetime) -> None:
    try:
        await take_message(organization, row["RowKey"], row["address"], message, now)
    except Throttled:
        raise
    except Exception as error:  # noqa: BLE001 - whatever one message does, the others are handled
        _log_failure(error, "a message in mailbox %s of %s is tried again: %s", row["RowKey"], organization.name)
        work = {"organization": organization.name, "mailbox": row["RowKey"], "message": message.id}
        await queues.send(queues.MAILBOX, work)


async def _subscribe(organization: Organization, row: Entity, now: datetime) -> None:
    """Subscribe to a mailbox where no subscription of this deployment lives; a failure is logged and tried later."""
    url = f"{settings().base_url}/mailbox/notifications"
    alive = row.get("subscription") and row.get("_url") == url and row.get("expires", "") > _iso(now)
    if alive or row.get("_subscribeafter", "") > _iso(now):
        return
    state = client_state(organization.name, row["RowKey"], settings().token_key, settings().token_secrets)
    lifecycle = f"{settings().base_url}/mailbox/lifecycle"
    try:
        made = await graph.subscribe(
            organization.tenant, row["RowKey"], url, lifecycle, state, now + graph.LIFETIME - timedelta(minutes=5)
        )
    except GraphError as error:
        wait = _SELDOM if isinstance(error, Rejected) else _RETRY
        _log.warning(
            "mailbox %s of %s is not subscribed to (%s); replies are found by the catch-up every minute. Check that "
            "BASE_URL is an https address that Microsoft 365 reaches and that the app may read the mailbox",
            row["RowKey"], organization.name, error,
        )  # fmt: skip
        await _note(organization, row, {"_subscribeafter": _iso(now + wait)})
        return
    columns = {"subscription": made.id, "expires": _iso(made.expires), "_url": url, "_subscribeafter": ""}
    if not await _replace_subscription(organization, row, columns):
        await graph.unsubscribe(organization.tenant, made.id)


async def _replace_subscription(organization: Organization, seen: Entity, columns: dict[str, Any]) -> bool:
    """Write a new subscription unless somebody else has written one meanwhile; return whether it was written."""

    async def attempt() -> bool:
        row = await records.get(organization, TABLE, seen["RowKey"])
        if row is None or row.get("subscription", "") != seen.get("subscription", ""):
            return False
        await records.merge(organization, TABLE, row["RowKey"], columns, row["etag"])
        return True

    return await insist(attempt)


async def _forget_subscription(organization: Organization, row: Entity) -> Entity:
    """Drop a subscription that is gone, and return the row without it."""
    gone = {"subscription": "", "expires": "", "_subscribeafter": ""}
    await _note(organization, row, gone)
    return {**row, **gone}


async def _renew_guarded(organization: Organization, row: Entity, now: datetime) -> None:
    if row.get("subscription") and row.get("expires", "") > _iso(now + graph.LIFETIME / 2):
        return
    await _renew(organization, row, now)


async def _renew(organization: Organization, row: Entity, now: datetime) -> None:
    """Prolong a mailbox's subscription, which reauthorizes it too; make a new one where it is gone."""
    if row.get("subscription"):
        try:
            expires = await graph.renew(
                organization.tenant, row["subscription"], now + graph.LIFETIME - timedelta(minutes=5)
            )
        except Rejected:
            row = await _forget_subscription(organization, row)
        else:
            await _note(organization, row, {"expires": _iso(expires)})
            return
    await _subscribe(organization, row, now)


async def _for_each_mailbox(act: _Act) -> None:
    """Do something with every mailbox that is watched; those of people who are shut out are left alone instead."""
    gate = asyncio.Semaphore(_PARALLEL)

    async def one(organization: Organization, row: Entity, act: _Act) -> None:
        async with gate:
            try:
                async with asyncio.timeout(MAILBOX_SECONDS):
                    await act(organization, row)
            except Exception as error:  # noqa: BLE001 - whatever is wrong with one mailbox, the others are served
                _log_failure(error, "mailbox %s of %s is tried again in a minute: %s", row["RowKey"], organization.name)

    async with asyncio.TaskGroup() as group:
        for organization in await list_organizations():
            try:
                disabled = await people.disabled(organization)
                async for page in records.query(organization, TABLE):
                    for row in page:
                        group.create_task(one(organization, row, _leave if row["RowKey"] in disabled else act))
            except StorageError as error:
                _log.warning("the mailboxes of %s are tried again in a minute: %s", organization.name, error)


async def _note(organization: Organization, row: Entity, columns: dict[str, Any]) -> None:
    try:
        await records.merge(organization, TABLE, row["RowKey"], columns)
    except NotFound:
        return


def _log_failure(error: Exception, text: str, *names: str) -> None:
    """Log what may pass by itself in a line, and what nobody expected with its traceback."""
    expected = isinstance(error, GraphError | StorageError | TimeoutError)
    _log.log(logging.WARNING if expected else logging.ERROR, text, *names, error, exc_info=not expected)


def _again(work: Mapping[str, str], error: GraphError | StorageError) -> tuple[dict[str, str], timedelta] | None:
    attempt = int(work.get("attempt", "0")) + 1
    if attempt > MAX_ATTEMPTS:
        _log.error(
            "mailbox %s of %s: given up after %d attempts: %s", work["mailbox"], work["organization"], attempt, error
        )
        return None
    delay = (
        timedelta(seconds=error.retry_after)
        if isinstance(error, Throttled)
        else timedelta(seconds=15 * 2 ** (attempt - 1))
    )
    return {**work, "attempt": str(attempt)}, min(delay, _SELDOM)


def _iso(time: datetime) -> str:
    return iso_seconds(milliseconds(time.astimezone(UTC)))
