"""The agenda's timer: mail whose time has come, and deliveries whose holder died."""

import asyncio
import logging
from datetime import datetime, timedelta

from shared.engagement.options import PENDING_SEND, SENDING
from shared.engagement.times import parse_iso
from shared.storage import emails, queues
from shared.storage.account import StorageError
from shared.storage.agenda import Entry, due, remove
from shared.storage.organizations import find_organization

DELIVER = "deliver"
_PARALLEL = 16
_SAME_RUN = timedelta(minutes=1)

_log = logging.getLogger(__name__)


async def run_agenda(now: datetime) -> None:
    """Hand over every entry that is due: a deliver message for what is to be sent; the entry goes after that.

    An entry whose email is claimed by somebody alive stays and is looked at again a minute later. One that fails keeps
    none of the others waiting.
    """
    async for page in due(now):
        mine = [entry for entry in page if entry.kind == DELIVER]
        for start in range(0, len(mine), _PARALLEL):
            await asyncio.gather(*(_see_to(entry, now) for entry in mine[start : start + _PARALLEL]))


async def _see_to(entry: Entry, now: datetime) -> None:
    try:
        if await _hand_over(entry, now):
            await remove(entry)
    except StorageError as error:
        _log.warning("agenda entry of %s of %s waits: %s", entry.email, entry.organization, error.code)


async def _hand_over(entry: Entry, now: datetime) -> bool:
    """Send the message that an entry stands for; return whether the entry is done with."""
    organization = await find_organization(entry.organization)
    if organization is None:
        return True
    columns = ("statuscode", "_claimedto", "delayedemailsendtime")
    email = await emails.get_email(organization, entry.email, columns)
    if email is None:
        return True
    if email.get("statuscode") == SENDING:
        if parse_iso(email["_claimedto"]) > now:
            return False
    elif email.get("statuscode") == PENDING_SEND:
        waiting = parse_iso(email.get("delayedemailsendtime") or "1970-01-01T00:00:00Z") - now
        if waiting >= _SAME_RUN:
            # It was moved, and whoever moved it wrote an entry for the new time.
            return True
        await _deliver(entry, max(waiting, timedelta()))
        return True
    else:
        return True
    await _deliver(entry, timedelta())
    return True


async def _deliver(entry: Entry, delay: timedelta) -> None:
    await queues.send(queues.DELIVER, {"organization": entry.organization, "email": entry.email}, delay)
