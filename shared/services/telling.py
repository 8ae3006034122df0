"""Telling sellers of a card where they are: by mail to its owner, and by the organization's webhook.

Each channel that is on gets a queue message of its own, so that one that fails repeats nothing of the other. What was
withdrawn, dismissed, completed, snoozed or has expired meanwhile is not told any more.

The webhook is told at least once: every message has an id that stays the same when it is repeated. A mail goes out at
most once: the card is marked with ``_mailed``, by its etag, before Microsoft 365 is asked to send, and unmarked where
it surely refused. **What window remains:** where no answer comes, or the process dies before it does, nobody knows
whether the mail left, and it is not sent again; and a process that dies between writing a card and calling `tell`
leaves that card untold. The card itself is there in either case.
"""

import contextlib
import logging
import math
import os
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta
from html import escape
from typing import Any

import orjson

from shared.engagement import cards
from shared.engagement.addresses import is_address
from shared.engagement.plain_text import harmless
from shared.engagement.times import iso_seconds, milliseconds, parse_iso
from shared.engagement.webhooks import read_secret
from shared.graph import mail
from shared.graph.client import GraphError, Throttled, Unreachable
from shared.services import webhooks
from shared.settings import read_microsoft365_url
from shared.storage import queues, records
from shared.storage.account import NotFound, PreconditionFailed, StorageError
from shared.storage.organizations import Organization
from shared.storage.tables import Entity

MAIL, WEBHOOK = "mail", "webhook"
SETTINGS = {MAIL: "alert_by_mail", WEBHOOK: "alert_webhook"}
"""The organization's setting that switches a channel on."""
RETRIES = (timedelta(seconds=10), timedelta(minutes=1), timedelta(minutes=5))
"""How long after each attempt that failed the next one comes; after the last one the alert is given up."""

_LONGEST_DELAY = timedelta(days=7)
"""The longest that a queue keeps a message to itself."""
_LONGEST_WAIT = timedelta(hours=1)
"""The longest that Microsoft 365 may make an attempt wait."""
_CLOCKS = timedelta(minutes=1)
"""How far the clocks of two instances may differ."""
_REMEDIES = {
    MAIL: "check that its owner has a mailbox and that the app may send from it (Mail.Send, application access policy)",
    WEBHOOK: "check ee_alertwebhook, and that what is there answers 2xx within five seconds",
}

_log = logging.getLogger(__name__)


class _Untold(Exception):
    """An attempt failed and may be repeated, at least `wait` later; the text is the reason."""

    def __init__(self, reason: str, wait: timedelta = timedelta()) -> None:
        super().__init__(reason)
        self.wait = wait


async def tell(organization: Organization, card: Mapping[str, Any], now: datetime) -> None:
    """Hand a card that was just made to every channel that is on, for when it begins to be shown.

    Ids only go to the queue. A queue that does not answer is logged: the card is there all the same.
    """
    delay = min(max(parse_iso(card["startdate"]) - now, timedelta()), _LONGEST_DELAY)
    work = {"organization": organization.name, "card": card["actioncardid"]}
    for channel, setting in SETTINGS.items():
        if not organization.settings[setting]:
            continue
        try:
            await queues.send(
                queues.TELL, {**work, "channel": channel}, timedelta(seconds=math.ceil(delay.total_seconds()))
            )
        except StorageError as error:
            _log.warning(
                "card %s of %s is not told by %s, the queue does not answer: %s",
                card["actioncardid"], organization.name, channel, error.code,
            )  # fmt: skip


async def deliver_alert(
    organization: Organization, card_id: str, channel: str, now: datetime, attempt: int = 1
) -> timedelta | None:
    """Tell of a card by one channel; `attempt` counts from 1.

    Returns after which delay to try again, None when it is told, given up, or not to be told any more. Raises
    `StorageError` where the card cannot be read.
    """
    card = await records.get(organization, "actioncard", card_id)
    if card is None or not organization.settings[SETTINGS[channel]] or not _is_current(card, now):
        return None
    try:
        await (_post(organization, card, now) if channel == WEBHOOK else _mail(organization, card, now))
    except _Untold as error:
        if attempt <= len(RETRIES):
            return min(max(RETRIES[attempt - 1], error.wait), _LONGEST_WAIT)
        _log.error(
            "card %s of %s is not told by %s, given up after %d attempts: %s. To have the next ones told, %s",
            card_id, organization.name, channel, attempt, error, _REMEDIES[channel],
        )  # fmt: skip
    return None


def give_up(work: Mapping[str, str]) -> None:
    """Say that a message failed as often as host.json allows: a defect, or storage that is away for long."""
    _log.error(
        "card %s of %s is not told by %s: see why its function failed; the card itself is there",
        work["card"], work["organization"], work["channel"],
    )  # fmt: skip


def message_id(card: Mapping[str, Any]) -> str:
    """Return the id of what the webhook is told: one for each time that a card is made."""
    return str(uuid.uuid5(uuid.UUID(card["actioncardid"]), card["createdon"]))


def _is_current(card: Mapping[str, Any], now: datetime) -> bool:
    """Return whether a card is shown now: active, begun, not expired. One that was snoozed has been seen."""
    begun = parse_iso(card["startdate"]) <= now + _CLOCKS
    return not card.get("state") and begun and now < parse_iso(card["expirydate"])


async def _post(organization: Organization, card: Entity, now: datetime) -> None:
    try:
        await webhooks.post(
            organization.settings["alert_webhook"],
            read_secret(organization.settings["alert_webhook_secret"]),
            message_id(card),
            orjson.dumps(_event(organization, card)),
            int(now.timestamp()),
            local=is_local(),
        )
    except webhooks.Undelivered as error:
        if error.status != webhooks.GONE:
            raise _Untold(str(error)) from None
        _log.warning(
            "the webhook of %s wants no more alerts (410): set ee_alertwebhook to null, or to where they shall go",
            organization.name,
        )


def is_local() -> bool:
    """Return whether this process runs against a Microsoft 365 stand-in, so that loopback may be told."""
    return bool(read_microsoft365_url(os.environ))


def _event(organization: Organization, card: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the webhook is told: type, timestamp and data, as Standard Webhooks lays payloads out."""
    return {
        "type": "actioncard.created",
        "timestamp": card["createdon"],
        "data": {
            "organization": organization.name,
            "actioncardid": card["actioncardid"],
            "kind": _kind(card),
            "title": card.get("title"),
            "description": card.get("description"),
            "activityid": card.get("regardingobjectid"),
            "ownerid": card.get("ownerid"),
            "startdate": card["startdate"],
            "expirydate": card["expirydate"],
        },
    }


def _kind(card: Mapping[str, Any]) -> str | None:
    """Return the kind of a card by its ``cardtype``."""
    return next((kind for kind, known in cards.KINDS.items() if known.cardtype == card.get("cardtype")), None)


async def _mail(organization: Organization, card: Entity, now: datetime) -> None:
    if card.get("_mailed"):
        return
    owner = await records.get(organization, "systemuser", str(card.get("ownerid")))
    address = str((owner or {}).get("internalemailaddress") or "")
    if owner is None or owner.get("isdisabled") or not is_address(address):
        _log.info("card %s of %s is not mailed: its owner has no address", card["RowKey"], organization.name)
        return
    notice = mail.Notice(
        mail.Mailbox(address, harmless(str(owner.get("fullname") or ""))),
        _line(card.get("title")),
        _html(organization, card),
    )
    try:
        await records.merge(organization, "actioncard", card["RowKey"], {"_mailed": _iso(now)}, card["etag"])
    except NotFound:
        return
    except PreconditionFailed:
        raise _Untold("it was changed just now") from None
    try:
        await mail.send_notice(organization.tenant, owner["RowKey"], notice)
    except Unreachable as error:
        _log.warning(
            "whether card %s of %s was mailed is not known (%s); it is not mailed again",
            card["RowKey"], organization.name, error,
        )  # fmt: skip
    except GraphError as error:
        with contextlib.suppress(NotFound):
            await records.merge(organization, "actioncard", card["RowKey"], {"_mailed": ""})
        wait = timedelta(seconds=error.retry_after) if isinstance(error, Throttled) else timedelta()
        raise _Untold(str(error), wait) from None


def _html(organization: Organization, card: Mapping[str, Any]) -> str:
    text = escape(str(card.get("description") or card.get("title") or ""))
    return (
        f"<!doctype html><html><body><p>{text}</p>"
        f"<p><small>An alert of Email Engagement ({escape(organization.name)}). Nobody reads answers to it.</small></p>"
        "</body></html>"
    )


def _line(text: Any) -> str:
    return harmless(str(text or "")) or "An alert"


def _iso(time: datetime) -> str:
    return iso_seconds(milliseconds(time))
