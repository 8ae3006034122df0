"""Change notifications: telling subscribers what happened to their mail.

Source: https://learn.microsoft.com/graph/change-notifications-delivery-webhooks. A notification that is not answered
with 2xx is sent again a few times; when none gets through, the subscriber is told that it missed some, if it listens.
"""

import asyncio
import sqlite3
from collections import defaultdict
from typing import Any

import aiohttp

from local.directory import find_person
from local.microsoft365.filters import parse_filter
from local.microsoft365.ids import new_guid
from local.microsoft365.message_json import change_key
from local.microsoft365.messages import Change
from local.microsoft365.standin import StandIn
from local.microsoft365.times import now, stamp

RETRIES = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds to wait before each repetition. Graph goes on for hours; a local run has no patience."""

TIMEOUT = 10.0
"""Seconds a receiver has for its answer, as at Graph."""


def publish(standin: StandIn, changes: list[Change]) -> None:
    """Send notifications of changes that have been committed to everyone subscribed; returns at once."""
    batches: dict[str, list[dict[str, Any]]] = defaultdict(list)
    lifecycle: dict[str, sqlite3.Row] = {}
    for change in changes:
        for subscription in _subscriptions_to(standin.db, change):
            batches[subscription["url"]].append(_notification(subscription, change))
            lifecycle[subscription["url"]] = subscription
    for url, notifications in batches.items():
        standin.violations += standin.check_notification({"value": notifications})
        _start(standin, _deliver(url, notifications, lifecycle[url]))


def publish_lifecycle(standin: StandIn, subscription: sqlite3.Row, event: str) -> None:
    """Send a lifecycle notification (`missed`, `subscriptionRemoved`, `reauthorizationRequired`); returns at once."""
    if subscription["lifecycle_url"]:
        _start(standin, _deliver(subscription["lifecycle_url"], [_lifecycle(subscription, event)], None))


async def validate(url: str) -> str | None:
    """Ask a receiver to echo a token (10 seconds, 200, text/plain); return what went wrong, or None."""
    token = f"Validation: Testing client application reachability for subscription Request-Id: {new_guid()}"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as session,
            session.post(
                url, params={"validationToken": token}, headers={"Content-Type": "text/plain; charset=utf-8"}
            ) as answer,
        ):
            text = await answer.text(errors="replace")
            if answer.status != 200:
                return f"Notification endpoint must respond with 200 OK to validation request, not {answer.status}."
            if answer.content_type != "text/plain":
                return f"The validation response must be text/plain, not {answer.content_type}."
            return None if text == token else "The validation response must be the validation token."
    except TimeoutError:
        return "Subscription validation request timed out."
    except (aiohttp.ClientError, OSError, ValueError) as error:
        return f"The request could not be sent: {type(error).__name__}."


def _start(standin: StandIn, work: Any) -> None:
    task = asyncio.get_running_loop().create_task(work)
    standin.tasks.add(task)
    task.add_done_callback(standin.tasks.discard)


def _subscriptions_to(db: sqlite3.Connection, change: Change) -> list[sqlite3.Row]:
    rows = db.execute(
        "SELECT * FROM subscriptions WHERE mailbox = ? AND expires > ? AND (folder IS NULL OR folder = ?)",
        (change.message.mailbox, now(), change.message.folder),
    ).fetchall()
    return [row for row in rows if change.kind in row["changes"].split(",") and _meets_filter(db, row, change)]


def _meets_filter(db: sqlite3.Connection, subscription: sqlite3.Row, change: Change) -> bool:
    if not subscription["filter"] or change.kind == "deleted":
        return True
    condition = parse_filter(subscription["filter"])
    found = db.execute(
        f"SELECT 1 FROM messages m WHERE m.id = ? AND {condition.sql}",  # noqa: S608
        (change.message.id, *condition.parameters),
    ).fetchone()
    return found is not None


def _notification(subscription: sqlite3.Row, change: Change) -> dict[str, Any]:
    owner = find_person(subscription["mailbox"])
    user = owner[1].id if owner else subscription["mailbox"]
    message_id = change.message.seen_id(bool(subscription["immutable"]))
    resource = f"Users/{user}/Messages/{message_id}"
    return {
        "subscriptionId": subscription["id"],
        "subscriptionExpirationDateTime": stamp(subscription["expires"]),
        "changeType": change.kind,
        "resource": resource,
        "resourceData": {
            "@odata.type": "#Microsoft.Graph.Message",
            "@odata.id": resource,
            "@odata.etag": f'W/"{change_key(change.message)}"',
            "id": message_id,
        },
        "clientState": subscription["client_state"],
        "tenantId": subscription["tenant"],
    }


def _lifecycle(subscription: sqlite3.Row, event: str) -> dict[str, Any]:
    return {
        "subscriptionId": subscription["id"],
        "subscriptionExpirationDateTime": stamp(subscription["expires"]),
        "tenantId": subscription["tenant"],
        "clientState": subscription["client_state"],
        "lifecycleEvent": event,
    }


async def _deliver(url: str, notifications: list[dict[str, Any]], on_failure: sqlite3.Row | None) -> None:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT)) as session:
        for pause in (*RETRIES, None):
            try:
                async with session.post(url, json={"value": notifications}) as answer:
                    if 200 <= answer.status < 300:
                        return
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            if pause is not None:
                await asyncio.sleep(pause)
        if on_failure is not None and on_failure["lifecycle_url"]:
            missed = [_lifecycle(on_failure, "missed")]
            try:
                await session.post(on_failure["lifecycle_url"], json={"value": missed})
            except (aiohttp.ClientError, TimeoutError, OSError):
                return
