"""Habits of reading: when a person, and an organization's recipients together, open mail. Kept by the fold."""

from dataclasses import replace
from datetime import UTC
from typing import Any

from shared.engagement.options import is_recipient
from shared.engagement.times import milliseconds, parse_iso
from shared.engagement.zones import Person, find_zone
from shared.storage import opens, records
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization

_PEOPLE = ("contact", "account", "lead")


async def keep(organization: Organization, partition: EmailPartition, times: str, hits: int) -> None:
    """Keep when an email was read, told from `hits` hits, for the person to whom alone it went.

    Among several recipients a hit does not say whose it is; without a record nobody asks for a best time. In the
    organization's habits it counts where the recipient's zone is known, because only local hours can be compared.
    """
    recipients = [party for party in partition.parties if is_recipient(party)]
    if len(recipients) != 1 or recipients[0].get("partyid_type") not in _PEOPLE:
        return
    table, person_id = recipients[0]["partyid_type"], recipients[0]["partyid"]
    email_id, sent = partition.email["PartitionKey"], parse_iso(partition.email["senton"])
    sent_at = milliseconds(sent)
    await opens.write(organization, opens.of_person(person_id), email_id, sent_at, times, hits)
    record = await records.get(organization, table, person_id)
    # Not by phone: its tables take a tenth of a second to load, and recipients wait in this process.
    zone = None if record is None else find_zone(replace(person_of(record), phones=()), "", sent.astimezone(UTC)).zone
    if zone is not None:
        await opens.write(organization, opens.ORGANIZATION, email_id, sent_at, times, hits, zone)


def person_of(record: dict[str, Any], times: tuple[int, ...] = ()) -> Person:
    """Return what a contact's, account's or lead's record says of where they are; `times` are their opens (ms)."""

    def text(name: str) -> str:
        return str(record.get(name) or "").strip()

    return Person(
        text("ee_timezone"),
        text("address1_country"),
        text("address1_stateorprovince"),
        text("address1_city"),
        tuple(number for number in (text("telephone1"), text("mobilephone")) if number),
        times,
    )
