"""Who is in an email's address lines, as its party rows say it."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from shared.engagement.options import SENDER
from shared.services.caller import Caller
from shared.services.errors import Missing, Refused
from shared.services.rights import Denied
from shared.storage import records
from shared.storage.calls import side_by_side
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation

MAX_PARTIES = 500
"""The most recipients that Exchange Online takes by default in one message."""

ADDRESS_COLUMNS = {
    "contact": "emailaddress1",
    "account": "emailaddress1",
    "lead": "emailaddress1",
    "systemuser": "internalemailaddress",
    "queue": "emailaddress",
}
NAME_COLUMNS = {"contact": "fullname", "account": "name", "lead": "fullname", "systemuser": "fullname", "queue": "name"}

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody in an address line: `mask` is Dataverse's participationtypemask. `table` and `id` name a record; without
    them the party is unresolved and has only an `address`. An `address` beside a record chooses among its addresses."""

    mask: int
    table: str = ""
    id: str = ""
    address: str = ""
    name: str = ""


def demand_sender(caller: Caller, table: str, id: str) -> None:
    """Raise `Denied` where the caller may not send as this party: sellers send as themselves."""
    if table == "systemuser" and id != caller.user and not caller.manages:
        raise Denied("Only a Manager or an Administrator may send email as another user.")


def check_parties(caller: Caller, parties: Sequence[Party], *, outgoing: bool) -> None:
    """Raise `Refused` where these cannot be an email's parties, naming the culprit, and `Denied` where the caller may
    not send as its sender."""
    if len(parties) > MAX_PARTIES:
        raise Refused(f"An email has at most {MAX_PARTIES} activity parties, not {len(parties)}.")
    senders = [party for party in parties if party.mask == SENDER]
    if len(senders) > 1:
        raise Refused("An email has one sender: give one activity party with participationtypemask 1.")
    for party in parties:
        if not party.id and not party.address:
            raise Refused("An activity party needs a record (such as partyid_contact@odata.bind) or an addressused.")
        if _CONTROL.search(party.address):
            raise Refused(f"The address {party.address!r} has control characters.")
    for sender in senders if outgoing else ():
        if sender.table not in ("systemuser", "queue"):
            raise Refused("The sender (participationtypemask 1) of an outgoing email must be a systemuser or a queue.")
        demand_sender(caller, sender.table, sender.id)


async def make_rows(organization: Organization, email: str, parties: Sequence[Party]) -> list[Entity]:
    """Return the rows of an email's parties, with the name and address that their records have now."""

    async def record(party: Party) -> Entity | None:
        return await records.get(organization, party.table, party.id) if party.id else None

    found = await side_by_side(record, parties)
    return [_party_row(email, number, *both) for number, both in enumerate(zip(parties, found, strict=True))]


def _party_row(email: str, number: int, party: Party, record: Entity | None) -> Entity:
    if party.id and record is None:
        raise Missing(f"{party.table} With Id = {party.id} Does Not Exist")
    row = {
        "PartitionKey": email,
        "RowKey": f"party:{number:03}",
        "activitypartyid": str(uuid.uuid4()),
        "participationtypemask": party.mask,
        "addressused": party.address or None,
        "unresolvedpartyname": party.name or None,
        "_name": party.name or party.address,
    }
    if record is not None:
        row |= {
            "partyid": party.id,
            "partyid_type": party.table,
            "addressused": party.address or record.get(ADDRESS_COLUMNS[party.table]) or None,
            "unresolvedpartyname": None,
            "_name": record.get(NAME_COLUMNS[party.table]) or party.name or "",
        }
    return row


def replace_rows(old: Sequence[Entity], new: Sequence[Entity]) -> list[Operation]:
    """Return the operations that put `new` party rows in the place of `old` ones."""
    kept = {row["RowKey"] for row in new}
    gone = [Operation("delete", row, "*") for row in old if row["RowKey"] not in kept]
    return [*(Operation("put", row) for row in new), *gone]
