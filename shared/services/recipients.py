"""Who a mail is from and goes to, with their records as they are now: may it go out, and may it be followed?

Judged when a mail is sent, and again when it leaves: between the two a scheduled mail may wait for months.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.engagement import consent, following
from shared.engagement.addresses import is_address
from shared.engagement.options import SENDER, TO, is_recipient
from shared.services import consenting
from shared.services.errors import Refused
from shared.services.parties import ADDRESS_COLUMNS, NAME_COLUMNS
from shared.storage import consents, records
from shared.storage.account import StorageError
from shared.storage.calls import side_by_side
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation

type Restrictions = Mapping[str, Sequence[Entity]] | None
"""What stands against following a party, by its row key; None where that could not be looked up."""

_MAX_TORECIPIENTS = 500

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Person:
    """A party with its record, if it has one, and the address that mail goes to ("" unknown)."""

    row: Entity
    record: Entity | None
    address: str
    name: str

    @property
    def role(self) -> int:
        return int(self.row["participationtypemask"])

    @property
    def kind(self) -> str:
        return str(self.row.get("partyid_type") or "")


async def read_people(organization: Organization, parties: Sequence[Entity]) -> list[Person]:
    """Return the parties of an email with their records as they are now, in order."""
    found = await side_by_side(lambda party: _record(organization, party), parties)
    return [_person(party, record) for party, record in zip(parties, found, strict=True)]


async def _record(organization: Organization, party: Entity) -> Entity | None:
    if not party.get("partyid") or not party.get("partyid_type"):
        return None
    return await records.get(organization, party["partyid_type"], party["partyid"])


def _person(party: Entity, record: Entity | None) -> Person:
    kind = str(party.get("partyid_type") or "")
    known = record or {}
    # The address written down with a recipient was chosen for it; the record's own may have come only later. Nobody
    # chooses what a sender is called.
    chosen = "" if party.get("partyid") and party["participationtypemask"] == SENDER else party.get("addressused")
    address = chosen or known.get(ADDRESS_COLUMNS.get(kind, ""), "") or ""
    name = known.get(NAME_COLUMNS.get(kind, "")) or party.get("_name") or party.get("unresolvedpartyname") or address
    return Person(party, record, str(address), str(name or "without a name"))


def recipients_of(people: Sequence[Person]) -> list[Person]:
    """Return those whom the mail goes to: To, Cc and Bcc."""
    return [person for person in people if is_recipient(person.row)]


def check_sender(people: Sequence[Person]) -> Person:
    """Return the sender; raise `Refused` where there is not one, or it is no user with an address."""
    senders = [person for person in people if person.role == SENDER]
    if len(senders) != 1:
        raise Refused("The email needs one sender: an activity party with participationtypemask 1.")
    [sender] = senders
    if sender.kind == "queue":
        raise Refused(f"The sender {sender.name} is a queue. Email is sent from users only: choose a systemuser.")
    if sender.kind != "systemuser":
        raise Refused(f"The sender {sender.name} is not a user: choose a systemuser.")
    if sender.record is None:
        raise Refused(f"The sender {sender.name} does not exist any more: choose another user.")
    check_enabled(sender.record)
    if not is_address(sender.address):
        raise Refused(f"The sender {sender.name} has no valid internalemailaddress to send from.")
    return sender


def address_rows(people: Sequence[Person]) -> list[Operation]:
    """Return what writes down the addresses of parties where their rows do not have them yet."""
    return [
        Operation(
            "merge",
            {
                "PartitionKey": person.row["PartitionKey"],
                "RowKey": person.row["RowKey"],
                "addressused": person.address,
            },
            person.row.get("etag"),
        )
        for person in people
        if person.address and person.address != person.row.get("addressused")
    ]


def address_columns(people: Sequence[Person]) -> dict[str, str | None]:
    """Return the columns that say whom a mail is from and goes to; clients do not write them."""
    sender = next((person.address for person in people if person.role == SENDER), "")
    to = ";".join(person.address for person in people if person.role == TO and person.address)
    return {"sender": sender or None, "torecipients": to[:_MAX_TORECIPIENTS] or None}


def check_enabled(user: Entity | None) -> None:
    """Raise `Refused` where a user who is to send, or who had it sent, is shut out; who has no row is not."""
    if user is not None and user.get("isdisabled"):
        name = user.get("fullname") or "without a name"
        raise Refused(
            f"The user {name} is disabled (isdisabled) and sends no email: choose another sender, or enable this one."
        )


def check_recipients(organization: Organization, recipients: Sequence[Person]) -> None:
    """Raise `Refused` naming a recipient who cannot or will not be written to, or where there is none."""
    if not recipients:
        raise Refused("The email has no recipient: add an activity party with participationtypemask 2, 3 or 4.")
    for person in recipients:
        if person.kind and person.record is None:
            raise Refused(f"The recipient {person.name} does not exist any more: remove or replace them.")
        if not person.kind and not organization.settings["allowunresolvedpartiesonemailsend"]:
            raise Refused(
                f"The recipient {person.name} is not resolved to a record, which this organization demands "
                "(allowunresolvedpartiesonemailsend)."
            )
        if not person.address:
            raise Refused(f"The recipient {person.name} has no email address.")
        if not is_address(person.address):
            raise Refused(f"The address of the recipient {person.name} is not valid: {person.address[:100]!r}.")
        if person.record is not None and person.record.get("donotemail"):
            raise Refused(f"The recipient {person.name} does not want to get email (donotemail).")


async def read_restrictions(organization: Organization, parties: Sequence[Entity]) -> Restrictions:
    """Return what stands against following an email's recipients.

    To be read before their records: what ends following while both are read is then either in what the records say, or
    unknown to the email and found by the fold. Where storage does not answer the mail can go out, unfollowed.
    """
    try:
        return await consents.restrictions_of(organization, parties)
    except StorageError as error:
        _log.warning("a mail of %s is not followed, consent was not looked up: %s", organization.name, error.code)
        return None


def why_not_followed(
    organization: Organization, email: Entity, recipients: Sequence[Person], restrictions: Restrictions
) -> str | None:
    """Return why an email is not followed, None when it is (`shared.engagement.following`)."""
    return following.why_not_followed(
        preference=bool(email.get("followemailuserpreference")),
        switched_on=bool(organization.settings["isemailmonitoringallowed"]),
        prior_consent=consenting.is_prior(organization),
        parties=[_judged(person, restrictions) for person in recipients],
    )


def _judged(person: Person, restrictions: Restrictions) -> following.Party:
    record = person.record or {}
    state = record.get(consent.STATE)
    withdrew: bool | None = state in (consent.DENIED, consent.WITHDRAWN)
    if not withdrew:
        own = None if restrictions is None else restrictions.get(person.row["RowKey"], ())
        withdrew = None if own is None else any(consenting.still_stands(row, person.record) for row in own)
    return following.Party(
        person.role,
        person.kind,
        person.name,
        allows=record.get(consent.FOLLOW) is not False,
        consents=state == consent.GRANTED,
        withdrew=withdrew,
    )
