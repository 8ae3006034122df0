"""Who is in an email's address lines, as its party rows say it."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from shared.engagement.addresses import normal_form
from shared.engagement.options import SENDER
from shared.engagement.plain_text import complaint, complaint_of_name, harmless
from shared.services.caller import Caller
from shared.services.errors import Missing, Refused
from shared.services.rights import demand_sender
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
_FURTHER_ADDRESSES = {
    "contact": ("emailaddress2", "emailaddress3"),
    "account": ("emailaddress2", "emailaddress3"),
    "lead": ("emailaddress2", "emailaddress3"),
    "systemuser": ("domainname",),
}
"""Columns beside `ADDRESS_COLUMNS` that hold addresses of a record, by its table."""
NAME_COLUMNS = {"contact": "fullname", "account": "name", "lead": "fullname", "systemuser": "fullname", "queue": "name"}


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody in an address line: `mask` is Dataverse's participationtypemask. `table` and `id` name a record; without
    them the party is unresolved and has only an `address`. An `address` beside a record chooses among its addresses:
    one that is none of them is somebody else's, and the party is unresolved. The sender of outgoing mail has no choice.
    """

    mask: int
    table: str = ""
    id: str = ""
    address: str = ""
    name: str = ""


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
        # Of a party with a record the name is the record's, which has a rule of its own.
        name = "" if party.id else party.name
        for what, given, wrong in (
            ("address", party.address, complaint(party.address)),
            ("name", name, complaint_of_name(name)),
        ):
            if wrong:
                raise Refused(f"The {what} '{harmless(given)[:100]}' of an activity party cannot be taken: {wrong}.")
    for sender in senders if outgoing else ():
        if sender.table not in ("systemuser", "queue"):
            raise Refused("The sender (participationtypemask 1) of an outgoing email must be a systemuser or a queue.")
        demand_sender(caller, sender.table, sender.id)


def parties_of(rows: Sequence[Mapping[str, Any]]) -> list[Party]:
    """Return the parties that rows hold."""
    return [
        Party(
            int(row["participationtypemask"]),
            str(row.get("partyid_type") or ""),
            str(row.get("partyid") or ""),
            str(row.get("addressused") or ""),
            str(row.get("_name") or ""),
        )
        for row in rows
    ]


async def make_rows(
    organization: Organization, email: str, parties: Sequence[Party], *, outgoing: bool
) -> list[Entity]:
    """Return the rows of an email's parties, with the name and address that their records have now.

    Raises `Missing` for a record that there is not, and `Refused` where the sender of outgoing mail was given another
    address than the record's.
    """

    async def record(party: Party) -> Entity | None:
        return await records.get(organization, party.table, party.id) if party.id else None

    found = await side_by_side(record, parties)
    return [
        _party_row(email, number, *both, outgoing=outgoing)
        for number, both in enumerate(zip(parties, found, strict=True))
    ]


def _party_row(email: str, number: int, party: Party, record: Entity | None, *, outgoing: bool) -> Entity:
    if party.id and record is None:
        raise Missing(f"{party.table} With Id = {party.id} Does Not Exist")
    if record is not None and party.address:
        if outgoing and party.mask == SENDER:
            _demand_own_address(party, record)
        elif _is_somebody_elses(party, record):
            party, record = replace(party, table="", id=""), None
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


def _demand_own_address(sender: Party, record: Entity) -> None:
    """Raise `Refused` where a sender was given an address that is not the record's: who sent is not the client's to
    say."""
    own = str(record.get(ADDRESS_COLUMNS[sender.table]) or "")
    if normal_form(sender.address) != normal_form(own):
        raise Refused(
            f"The sender's addressused {sender.address!r} is not the {ADDRESS_COLUMNS[sender.table]} of "
            f"{record.get(NAME_COLUMNS[sender.table]) or sender.id}: leave it out, the service fills it in."
        )


def _is_somebody_elses(party: Party, record: Entity) -> bool:
    """Return whether an address is none of a record's own; one that has none of its own has nothing to say."""
    columns = (ADDRESS_COLUMNS[party.table], *_FURTHER_ADDRESSES.get(party.table, ()))
    own = {normal_form(str(record[column])) for column in columns if record.get(column)}
    return bool(own) and normal_form(party.address) not in own


def replace_rows(old: Sequence[Entity], new: Sequence[Entity]) -> list[Operation]:
    """Return the operations that put `new` party rows in the place of `old` ones."""
    kept = {row["RowKey"] for row in new}
    gone = [Operation("delete", row, "*") for row in old if row["RowKey"] not in kept]
    return [*(Operation("put", row) for row in new), *gone]
