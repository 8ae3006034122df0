"""The email that a reply becomes: Dataverse's incoming email beside the one that it answers."""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from shared.engagement.addresses import normal_form
from shared.engagement.incoming import Incoming, identity, references
from shared.engagement.times import iso_seconds, milliseconds
from shared.graph.mailbox import Content, Party
from shared.storage import blobs, emails
from shared.storage.account import Conflict
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation

MAX_PARTIES = 98
"""Parties that fit into one transaction beside the email's row; further ones are left out."""

_FROM, _TO, _CC = 1, 2, 3
_CLOSED, _RECEIVED = 1, 4


@dataclass(frozen=True, slots=True)
class ReceivedEmail:
    """A reply to `email`, found by the ``correlationmethod`` `method`; `content` is None where it is gone already."""

    email: Entity
    message: Incoming
    content: Content | None
    method: int

    @property
    def id(self) -> str:
        """The id of the record, the same whenever this reply is seen."""
        return str(uuid.uuid5(uuid.UUID(self.email["PartitionKey"]), f"received-{identity(self.message)}"))

    @property
    def body(self) -> str:
        """The name of the blob with its text."""
        return f"bodies/{self.id}/{identity(self.message)}"


async def save_received(organization: Organization, received: ReceivedEmail, now: datetime) -> bool:
    """Write the record of a reply with its text; return False where it was there already, which is left as it is."""
    html = received.content.html if received.content else ""
    await blobs.put(organization, received.body, html.encode("utf-8", "surrogatepass"), "text/html; charset=utf-8")
    sent = await emails.read_partition(organization, received.email["PartitionKey"])
    known = _known_parties(sent.parties if sent else ())
    try:
        await emails.insert(organization, _email_row(received, now), _party_rows(received, known))
    except Conflict:
        return False
    return True


async def forget_received(organization: Organization, received: ReceivedEmail) -> None:
    """Remove the record of a reply whose email is gone."""
    stored = await emails.read_partition(organization, received.id)
    if stored is not None:
        rows = [*stored.parties, stored.email]
        await organization.tables.transact(organization.emails, [Operation("delete", row, "*") for row in rows])
        await emails.unlist(organization, stored.email)
    await blobs.delete(organization, received.body)


def _email_row(received: ReceivedEmail, now: datetime) -> dict[str, Any]:
    email, message, content = received.email, received.message, received.content
    at, created = iso_seconds(milliseconds(message.received)), iso_seconds(milliseconds(now))
    to = content.to if content else ()
    return {
        "PartitionKey": received.id,
        "RowKey": emails.EMAIL,
        "subject": message.subject[:800],
        "directioncode": False,
        "statecode": _CLOSED,
        "statuscode": _RECEIVED,
        "isemailfollowed": False,
        "followemailuserpreference": False,
        "senton": iso_seconds(milliseconds(content.sent)) if content and content.sent else at,
        "actualend": at,
        "createdon": created,
        "modifiedon": created,
        "createdby": email.get("ownerid"),
        "modifiedby": email.get("ownerid"),
        "ownerid": email.get("ownerid"),
        "sender": message.address[:250],
        "torecipients": ";".join(party.address for party in to)[:500],
        "messageid": message.message_id[:320],
        "inreplyto": next(iter(references(message)), "")[:320] or None,
        "parentactivityid": email["PartitionKey"],
        "correlationmethod": received.method,
        "regardingobjectid": email.get("regardingobjectid"),
        "regardingobjectid_type": email.get("regardingobjectid_type"),
        "attachmentcount": 0,
        "_body": received.body,
    }


def _party_rows(received: ReceivedEmail, known: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    message, content = received.message, received.content
    named = [(_FROM, Party(message.address, message.name))]
    named += [(_TO, party) for party in content.to] if content else []
    named += [(_CC, party) for party in content.cc] if content else []
    return [_party_row(received.id, at, *one, known) for at, one in enumerate(named[:MAX_PARTIES])]


def _party_row(id: str, at: int, mask: int, party: Party, known: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    record = known.get(normal_form(party.address), {})
    return {
        "PartitionKey": id,
        "RowKey": f"party:{at:03d}",
        "activitypartyid": str(uuid.uuid5(uuid.UUID(id), f"party-{at}")),
        "participationtypemask": mask,
        "addressused": party.address[:320],
        "partyid": record.get("partyid"),
        "partyid_type": record.get("partyid_type"),
        "_name": (party.name or party.address)[:200],
    }


def _known_parties(parties: tuple[Entity, ...]) -> dict[str, Entity]:
    """Return who is who by address: the records that the answered email named."""
    return {normal_form(str(party["addressused"])): party for party in parties if party.get("addressused")}
