"""The claim on a delivery: only who holds it acts, every step is recorded under it, and it expires.

An email is claimed by making it Sending under an attempt id, by ETag, until a time. Whoever records a step renews the
claim; an expired one is taken over. The agenda has an entry for the expiry, so that a claim whose holder died is found.
"""

import logging
import uuid
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.engagement.options import PENDING_SEND, SENDING
from shared.engagement.times import from_milliseconds, milliseconds, parse_iso
from shared.services.senders import mailbox_of
from shared.settings import settings
from shared.storage import agenda, emails
from shared.storage.contention import insist
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation

type Clock = Callable[[], datetime]

SOON = timedelta(minutes=1)
"""A mail due within this is waited for; one due later is the agenda's."""

_log = logging.getLogger(__name__)


class Lost(Exception):
    """The claim is not ours any more: somebody took it over, or the email is gone."""


class Gone(Lost):
    """The email was deleted or taken back."""


observer: ContextVar[Callable[[str], Awaitable[None]] | None] = ContextVar("observer", default=None)
"""Hears of every step of a delivery in its context: the place where a worker can be made to die, or to be overtaken."""


@dataclass(slots=True)
class Claim:
    """A delivery that is ours; `email` is its row as it was last read or recorded."""

    organization: Organization
    id: str
    attempt: str
    clock: Clock
    email: Entity


async def step[T](name: str, work: Coroutine[Any, Any, T]) -> T:
    """Do one thing that others can see; `observer` hears of it before and after."""
    observe = observer.get()
    if observe is None:
        return await work
    try:
        await observe(f"before {name}")
    except BaseException:
        work.close()
        raise
    done = await work
    await observe(f"after {name}")
    return done


async def take(organization: Organization, id: str, clock: Clock) -> Claim | timedelta | None:
    """Claim an email that is Pending Send and due, or Sending under an expired claim.

    Returns the claim, how long to wait where the email is due soon, None where it is not ours to send (any more). One
    that somebody else holds is entered in the agenda for when that claim ends: however many ask meanwhile, that is one
    entry, and no message goes round and round.
    """

    async def attempt() -> Claim | timedelta | None:
        email = await emails.get_email(organization, id)
        if email is None:
            return None
        now = clock()
        free_at = _free_at(email)
        if free_at is None:
            return None
        if free_at > now:
            if email["statuscode"] == SENDING:
                ended = free_at + timedelta(seconds=1)
                await agenda.add(agenda.Entry(ended, "deliver", organization.name, id))
                return None
            return free_at - now if free_at - now <= SOON else None
        claim = Claim(organization, id, uuid.uuid4().hex, clock, email)
        changes = {
            "statecode": 1,
            "statuscode": SENDING,
            "deliveryattempts": int(email.get("deliveryattempts") or 0) + 1,
            "_attempt": claim.attempt,
            "_since": email.get("_since") or iso(now),
            "_claimedto": iso(now + _length()),
            "_mailbox": await mailbox_of(organization, email),
        }
        await step("agenda", agenda.add(agenda.Entry(now + _length(), "deliver", organization.name, id)))
        await step("claim", emails.commit(organization, email, changes))
        claim.email = {**email, **changes}
        return claim

    return await insist(attempt)


async def record(name: str, claim: Claim, changes: dict[str, Any], rows: Sequence[Operation] = ()) -> None:
    """Record a step and renew the claim; raise `Gone` or `Lost` where the email is not ours any more.

    The row is read again first, because the fold may have counted a hit meanwhile.
    """
    renewed = {"_claimedto": iso(claim.clock() + _length()), **changes}

    async def attempt() -> None:
        email = await emails.get_email(claim.organization, claim.id)
        if email is None:
            raise Gone
        if email.get("statuscode") != SENDING or email.get("_attempt") != claim.attempt:
            raise Lost if email.get("statuscode") == SENDING else Gone
        await step(name, emails.commit(claim.organization, email, renewed, rows))
        claim.email = {key: value for key, value in {**email, **renewed}.items() if value is not None}

    await insist(attempt)


async def renew(claim: Claim) -> None:
    """Say that the holder is alive, in the middle of something long."""
    if parse_iso(claim.email["_claimedto"]) - claim.clock() < _length() / 2:
        await record("renewal", claim, {})


async def release(claim: Claim, delay: timedelta, changes: dict[str, Any] | None = None) -> timedelta:
    """Let go until `delay` from now, when anybody may go on, and return that; raise `Lost` where it is not ours."""
    await record("release", claim, {"_claimedto": iso(claim.clock() + delay), **(changes or {})})
    return delay


def scheduled(later: str | None, now: datetime) -> str | None:
    """Return the time that a mail waits for, None where it goes at once.

    `later` is ``delayedemailsendtime``. A time in the past sends at once, as in Dataverse: such a mail is not late.
    """
    return later if later and parse_iso(later) > now else None


def iso(time: datetime) -> str:
    """Return a time with milliseconds, as internal columns hold it."""
    return from_milliseconds(milliseconds(time)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _free_at(email: Entity) -> datetime | None:
    """Return from when on an email may be claimed, None where it is not to be sent."""
    status = email.get("statuscode")
    if status == PENDING_SEND:
        return parse_iso(email.get("delayedemailsendtime") or "1970-01-01T00:00:00Z")
    if status == SENDING:
        return parse_iso(email.get("_claimedto") or "1970-01-01T00:00:00Z")
    return None


def _length() -> timedelta:
    return timedelta(seconds=settings().claim_seconds)
