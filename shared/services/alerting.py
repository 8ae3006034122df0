"""The first-open card: raised once for a person's open, held while it may turn out a machine's, withdrawn if it does.

The email's ``_card`` column says how far it is: absent, ``held``, ``raise`` (due, the card may not be written yet),
``raised``, ``withdraw`` (the card may still be there). It changes together with the counters, so that a crash
between the email and the card is made good by the next fold.
"""

import contextlib
import uuid
from datetime import datetime, timedelta
from typing import Any

from shared.engagement.timeline import Timeline
from shared.engagement.times import from_milliseconds, iso_seconds, milliseconds
from shared.services import telling
from shared.storage import emails, records
from shared.storage.account import Conflict, NotFound, PreconditionFailed
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization

EMAIL_OPENED = 1001
"""``cardtype`` of the *Email opened* card; Dataverse's own number is not published."""

PRIORITY = 1000
LIFETIME = timedelta(days=14)
UNFINISHED = ("raise", "withdraw")


def next_state(state: str | None, due: int | None, now: int) -> str | None:
    """Return the card's next state; `due` is when a person's open is worth an alert (ms), None where there is none.

    >>> next_state(None, 5, 4), next_state("held", 5, 5), next_state("raised", 5, 9), next_state("raised", None, 9)
    ('held', 'raise', 'raised', 'withdraw')
    """
    if due is None:
        return "withdraw" if state in ("raise", "raised", "withdraw") else None
    if state in ("raise", "raised"):
        return state
    return "raise" if due <= now else "held"


async def settle(
    organization: Organization, partition: EmailPartition, timeline: Timeline, state: str, now: datetime
) -> None:
    """Write or withdraw the card that `state` asks for, and note it on the email."""
    email_id = partition.email["PartitionKey"]
    card_id = card_of(email_id, "firstopen")
    if state == "raise":
        # A card that is there already stays as it is: its owner may have dismissed it.
        with contextlib.suppress(Conflict):
            card = _card(partition, timeline, card_id, now)
            await records.insert(organization, "actioncard", card_id, card)
            await telling.tell(organization, card, now)
    else:
        await records.delete(organization, "actioncard", card_id)
    await _note(organization, email_id, state)


def card_of(email_id: str, kind: str) -> str:
    """Return the id of an email's card of one kind; one email has at most one of each."""
    return str(uuid.uuid5(uuid.UUID(email_id), f"actioncard/{kind}"))


async def _note(organization: Organization, email_id: str, state: str) -> None:
    email = await emails.get_email(organization, email_id)
    if email is None or email.get("_card") != state:
        return
    try:
        await emails.commit(organization, email, {"_card": "raised" if state == "raise" else None})
    except (PreconditionFailed, NotFound):
        # The next fold sees the unfinished state and settles it again, to the same end.
        return


def _card(partition: EmailPartition, timeline: Timeline, card_id: str, now: datetime) -> dict[str, Any]:
    email = partition.email
    who = recipient_words(partition)
    subject = email.get("subject") or "(no subject)"
    opened = timeline.first_open
    opened_at = from_milliseconds(opened.observation.at) if opened is not None else now
    device = f" on {opened.observation.device}" if opened is not None and opened.observation.device else ""
    stamp = iso_seconds(milliseconds(now))
    return {
        "actioncardid": card_id,
        "title": f"{who} opened {subject}"[:200],
        "description": f'{who} opened "{subject}" on {opened_at:%d %B %Y at %H:%M} UTC{device}.',
        "cardtype": EMAIL_OPENED,
        "priority": PRIORITY,
        "startdate": stamp,
        "expirydate": iso_seconds(milliseconds(now + LIFETIME)),
        "regardingobjectid": email["PartitionKey"],
        "regardingobjectid_type": "email",
        "recordid": email["PartitionKey"],
        "ownerid": email.get("ownerid"),
        "source": 1,
        "state": 0,
        "visibility": True,
        "createdon": stamp,
        "modifiedon": stamp,
    }


def recipient_words(partition: EmailPartition) -> str:
    """Return whom a card names: the only recipient, or how many there are, because a hit does not say which."""
    names = [
        party.get("_name") or party.get("unresolvedpartyname") or party.get("addressused") or "A recipient"
        for party in partition.parties
        if party.get("participationtypemask") in (2, 3, 4)
    ]
    if len(names) == 1:
        return str(names[0])
    return f"One of {len(names)} recipients ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
