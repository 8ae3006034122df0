"""Consent as it is kept and judged: what a change of a record means, and whether an email may still be followed.

Following is only ever restricted after a mail was sent. What ends it is a row of its own with an id that is new each
time (`shared.storage.consents`); a mail that was judged in spite of such a row, because consent was granted after it,
names it in ``_overruled``. Every other mail to that person ends being followed with the next hit, whoever made it: a
hit does not say whose it is. What the fold has found stays on the email as ``ee_followendedon``.
"""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from shared.engagement import consent
from shared.engagement.times import iso_seconds, milliseconds
from shared.engagement.withdrawal import Recipient, address_key
from shared.storage import consents
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation

BLOCKED, WITHDRAWN, ERASED = "blocked", "withdrawn", "erased"
"""Why following ended: the record's switch or a denial, the person's withdrawal, an erasure."""

TABLES = ("contact", "account", "lead")
"""Tables whose records have consent."""


def is_prior(organization: Organization) -> bool:
    """Return whether an organization demands consent first."""
    return bool(organization.settings["ee_consentmode"] == consent.PRIOR)


def beside(
    organization: Organization,
    table: str,
    id: str,
    old: Mapping[str, Any],
    new: Mapping[str, Any],
    by: str,
    now: datetime,
) -> list[Operation]:
    """Return what is written together with a change of a record from `old` to `new`: its consent in the history, and
    that following ended where it does."""
    on = iso_seconds(milliseconds(now))
    written = []
    if consent.proof(old) != consent.proof(new):
        written.append(consents.change_of(table, id, consent.proof(new), by, on))
    prior = is_prior(organization)
    if old and consent.allows(old, prior=prior) and not consent.allows(new, prior=prior):
        why = WITHDRAWN if new.get(consent.STATE) == consent.WITHDRAWN else BLOCKED
        written.append(consents.ending_of(table, id, str(uuid.uuid4()), why, on))
    return written


def still_stands(restriction: Mapping[str, Any], record: Mapping[str, Any] | None) -> bool:
    """Return whether a restriction stands in the way of mail that is yet to be sent.

    A record that was blocked goes with what it says now, one that withdrew needs consent, whatever its address is now.
    What an erasure ended, and the withdrawal of an address, stand until consent is granted after it.
    """
    if record is None:
        return True
    why = restriction["why"]
    if restriction["PartitionKey"] != consents.RESTRICTION and why != ERASED:
        return not consent.allows(record, prior=why == WITHDRAWN)
    return record.get(consent.STATE) != consent.GRANTED or str(record.get(consent.ON) or "") <= restriction["on"]


async def ended(organization: Organization, partition: EmailPartition, now: datetime) -> str | None:
    """Return since when an email may not be followed any more (ISO), None where it may."""
    email = partition.email
    if is_prior(organization) and not email.get("_consented"):
        # Sent while nobody was asked: what it brings must not be kept without consent.
        return iso_seconds(milliseconds(now))
    overruled = str(email.get("_overruled") or "").split()
    found = await consents.restrictions_of(organization, partition.parties)
    return min((row["on"] for rows in found.values() for row in rows if row["id"] not in overruled), default=None)


def marks(
    organization: Organization, reason: str | None, restrictions: Mapping[str, Sequence[Entity]]
) -> dict[str, Any]:
    """Return what an email keeps of how it was judged, `reason` being why it is not followed."""
    if reason is not None:
        return {"_consented": None, "_overruled": None}
    overruled = sorted({row["id"] for rows in restrictions.values() for row in rows})
    return {"_consented": is_prior(organization) or None, "_overruled": " ".join(overruled) or None}


def recipient_of(party: Mapping[str, Any]) -> Recipient:
    """Return how a link to withdraw by names an email's recipient."""
    known = party.get("partyid_type") in TABLES and party.get("partyid")
    record = f"{party['partyid_type']} {party['partyid']}" if known else ""
    return Recipient(address_key(str(party.get("addressused") or "")), record)
