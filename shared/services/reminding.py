"""Reminders: set with the email, entered in the agenda, judged once when their time comes, shown as a card.

What a client sees follows from the email at every change: `columns_of` is asked before each of them is committed.
``_reminded`` is the time for which a reminder was judged, so that this happens once, whoever asks again. It changes
together with the status and with ``_remindercard``, which says how far the card is: ``raise`` (it may not be written
yet), ``raised``, ``off`` (cards were switched off). A crash between the email and the card is made good when the
agenda's message comes again. Its entries are hints: one for a time that is not the email's any more does nothing.

A reminder may be set whatever the state of the email. Whether a Draft will be followed is decided when it is sent;
until then its sender's wish stands for that. When its time comes, *anyway* fires whatever has become of the email; the
conditions on opens and replies cannot apply to one that had not been sent by then.
"""

import contextlib
import logging
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from shared.engagement import frozen
from shared.engagement.following import NOT_ASKED, NOT_SENT
from shared.engagement.labels import Label
from shared.engagement.options import DRAFT, FAILED, REPLY
from shared.engagement.reminders import (
    EXPIRED,
    NO_REPLY,
    NOT_SET,
    SET,
    Reminder,
    Verdict,
    judge,
    stand,
    summary,
)
from shared.engagement.times import from_milliseconds, iso_seconds, milliseconds, parse_iso
from shared.services import alerting
from shared.services.errors import Refused
from shared.storage import agenda, emails
from shared.storage.account import NotFound, PreconditionFailed, StorageError
from shared.storage.contention import insist
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization

REMIND = "remind"
"""The kind of the agenda's entries."""
_EXPIRY = "emailreminderexpirytime"
_STEPS = 30
_EARLY = timedelta(minutes=1)
"""How much too early an entry may be handed over: the agenda counts in minutes, and clocks differ."""

_log = logging.getLogger(__name__)


async def columns_of(
    organization: Organization, id: str, old: Mapping[str, Any], changes: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """Return the columns of the reminder that go with `changes` to the email `old` ({} where it is made), having
    entered its time in the agenda.

    Raises `Refused` where a time is set that is past.
    """
    email = {**old, **changes}
    expiry, before = _moment(email), _moment(old)
    moved = expiry != before
    if expiry is not None and moved and expiry <= now:
        raise Refused(
            f"'{_EXPIRY}' is {iso_seconds(milliseconds(expiry))}, which is past: it is "
            f"{iso_seconds(milliseconds(now))} now. Give a later time, or null to remove the reminder."
        )
    if not moved and (expiry is None or _is_judged(old)):
        return {}
    # The card of an earlier reminder is not this one's.
    if old.get("_remindercard"):
        await alerting.withdraw(organization, id, "reminder")
    earlier = {"reminderactioncardid": None} if moved and "reminderactioncardid" not in changes else {}
    if expiry is None:
        return {**earlier, **_columns(Verdict(NOT_SET))}
    verdict = stand(_reminder(organization, email, expiry))
    if verdict.status == SET and (moved or old.get("emailreminderstatus") != SET):
        await _enter(organization, id, max(expiry, now))
    return {**earlier, **_columns(verdict)}


async def remind(organization: Organization, email_id: str, now: datetime) -> None:
    """Judge an email's reminder whose time has come, and raise its card where it fires; safe to repeat.

    Does nothing where there is nothing to judge: no such email, no reminder, one that is judged or is due later.
    """
    for _ in range(_STEPS):
        if await insist(lambda: _settle(organization, email_id, now)):
            return
    raise StorageError(412, "EmailIsBusy", f"email {email_id} was changed {_STEPS} times while its reminder was due")


async def _settle(organization: Organization, email_id: str, now: datetime) -> bool:
    """Take the next step of a reminder; return whether nothing remains to be done."""
    email = await emails.get_email(organization, email_id)
    if email is None or not await _is_due(organization, email, now):
        return True
    partition = await emails.read_partition(organization, email_id, interactions=True)
    if partition is None or partition.email["etag"] != email["etag"]:
        return False
    if email.get("_remindercard") == "raise":
        return await _raise(organization, partition, now)
    verdict = judge(_reminder(organization, email, parse_iso(email[_EXPIRY]), partition))
    fires = verdict.status == EXPIRED
    state = {"_reminded": email[_EXPIRY], "_remindercard": "raise" if fires else None}
    await emails.commit(organization, email, {**_columns(verdict), **state})
    _log.info("the reminder of %s of %s %s", email_id, organization.name, "fired" if fires else "did not apply")
    return not fires


async def _is_due(organization: Organization, email: Mapping[str, Any], now: datetime) -> bool:
    """Return whether an email's reminder is to be judged now, or was and its card is to be raised."""
    if email.get("_remindercard") == "raise":
        return True
    expiry = _moment(email)
    if expiry is None or email.get("emailreminderstatus") != SET or _is_judged(email):
        return False
    if timedelta() < expiry - now <= _EARLY:
        # For another minute: whoever handed this entry over is about to delete it.
        await _enter(organization, email["PartitionKey"], expiry + timedelta(minutes=1))
    return expiry <= now


async def _raise(organization: Organization, partition: EmailPartition, now: datetime) -> bool:
    """Raise the card of a reminder that fired and note it on the email; return False where somebody else changed it."""
    email = partition.email
    email_id, expiry = email["PartitionKey"], parse_iso(email["_reminded"])
    detail = summary(_condition(email), str(email.get("emailremindertext") or ""))
    card = await alerting.raise_card(organization, partition, "reminder", now, moment=expiry, detail=detail)
    noted = {"_remindercard": "raised", "reminderactioncardid": card} if card else {"_remindercard": "off"}
    with contextlib.suppress(PreconditionFailed, NotFound):
        await emails.commit(organization, email, noted)
        return True
    found = await emails.get_email(organization, email_id)
    if found is None or not found.get("_remindercard"):
        # Deleted, or set anew, while the card was written: whoever did that may have found no card yet.
        await alerting.withdraw(organization, email_id, "reminder")
    return False


def _reminder(
    organization: Organization, email: Mapping[str, Any], expiry: datetime, partition: EmailPartition | None = None
) -> Reminder:
    # What retention has removed the email remembers.
    gone = frozen.load(email.get("_frozen"))
    opened = [from_milliseconds(at) for at in (gone.opened, gone.clicked) if at is not None]
    replied: list[datetime] = []
    for row in partition.interactions if partition is not None else ():
        if row.get("ee_label") == Label.PERSON:
            times = replied if row.get("interactiontype") == REPLY else opened
            times.append(parse_iso(row["emailinteractiontime"]))
    return Reminder(
        condition=_condition(email),
        expiry=expiry,
        not_followed=_why_not_followed(email),
        watched=bool(organization.settings["isemailmonitoringallowed"]),
        sent_at=parse_iso(email["senton"]) if email.get("senton") else None,
        opened=opened,
        replied=replied,
    )


def _why_not_followed(email: Mapping[str, Any]) -> str | None:
    if email.get("directioncode") is False:
        return "it is an incoming one"
    if email.get("statuscode", DRAFT) in (DRAFT, FAILED):
        return None if email.get("followemailuserpreference") else NOT_ASKED
    return None if email.get("isemailfollowed") else email.get("ee_followreason") or NOT_SENT


def _condition(email: Mapping[str, Any]) -> int:
    return int(email.get("emailremindertype") or NO_REPLY)


def _columns(verdict: Verdict) -> dict[str, Any]:
    """Return the columns that a verdict before the reminder's time makes."""
    return {
        "emailreminderstatus": verdict.status,
        "isemailreminderset": verdict.status == SET,
        "ee_reminderreason": verdict.reason,
        "_reminded": None,
        "_remindercard": None,
    }


def _is_judged(email: Mapping[str, Any]) -> bool:
    return bool(email.get("_reminded")) and email.get("_reminded") == email.get(_EXPIRY)


def _moment(email: Mapping[str, Any]) -> datetime | None:
    return parse_iso(email[_EXPIRY]) if email.get(_EXPIRY) else None


async def _enter(organization: Organization, email_id: str, due: datetime) -> None:
    await agenda.add(agenda.Entry(due, REMIND, organization.name, email_id))
