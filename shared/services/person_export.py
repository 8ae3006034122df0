"""Everything that is held about a person, as one document (GDPR articles 15 and 20)."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from shared.engagement import cards
from shared.engagement.options import is_recipient
from shared.engagement.times import iso_seconds, milliseconds
from shared.services import alerting, consenting
from shared.services.erasing import Person, emails_of, person_of
from shared.services.errors import Missing, Refused
from shared.services.retaining import SLICES
from shared.storage import consents, emails, figures, opens, records
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization

_KEPT_OF_HIT = "_observation"
"""What the rules keep of a hit to judge it again; the only column of ours that says something of a person."""
_NEWEST = 1_000_000
_EVER = (date(2000, 1, 1), date(2100, 1, 1))


async def export(organization: Organization, table: str, id: str, now: datetime) -> dict[str, Any]:
    """Return what is held about a person. All mail is looked at: a large organization's takes minutes.

    The texts of mail are not in it: they are ``description`` of the emails that it names. Hits on mail to several
    people are, because some may be theirs. Addresses of others are not; cards and reasons of mail to several people may
    still name them. Raises `Missing` and `Refused` as erasing does.
    """
    if table not in consenting.TABLES:
        raise Refused(f"A {table} cannot be exported: name a contact, an account or a lead.")
    record = await records.get(organization, table, id)
    if record is None:
        raise Missing(f"{table} With Id = {id} Does Not Exist")
    person = person_of(table, id, record)
    found: list[dict[str, Any]] = []
    made: list[dict[str, Any]] = []
    async for email_id in emails_of(organization, person, 0, SLICES):
        partition = await emails.read_partition(organization, email_id, interactions=True)
        if partition is not None:
            found.append(_email(partition, person))
            made += await _cards(organization, partition, person)
    endings = [
        await consents.ending(organization, table, id),
        *await consents.endings_for_addresses(organization, sorted(person.addresses)),
    ]
    quarters = await figures.read(organization, person.name, *_EVER)
    return {
        "organization": organization.name,
        "exportedon": iso_seconds(milliseconds(now)),
        "record": {"table": table, **_shown(record)},
        "consenthistory": [_shown(row) for row in await consents.history(organization, table, id)],
        "followingended": [_shown(ending) for ending in endings if ending is not None],
        "emails": found,
        "cards": made,
        "readingtimes": [iso_seconds(at) for _, at in await opens.read(organization, opens.of_person(id), _NEWEST)],
        "figures": {iso_seconds(quarter * 900_000): counts for quarter, counts in sorted(quarters.items())},
    }


def _email(partition: EmailPartition, person: Person) -> dict[str, Any]:
    own = [party for party in partition.parties if person.is_party(party)]
    addressed = any(map(is_recipient, own))
    several = sum(map(is_recipient, partition.parties)) > 1
    theirs = [row for row in partition.interactions if person.wrote(row) or (addressed and _KEPT_OF_HIT in row)]
    return {
        "activityid": partition.email["PartitionKey"],
        **_without_others(_shown(partition.email), person),
        "parties": [_shown(party) for party in own],
        "severalrecipients": several,
        "interactions": [{**_shown(row), "kept": row.get(_KEPT_OF_HIT)} for row in theirs],
    }


def _without_others(email: dict[str, Any], person: Person) -> dict[str, Any]:
    """Return an email's columns with the addresses of this person, and of the seller who sent it, only."""
    names = ("torecipients", "sender") if email.get("directioncode") is False else ("torecipients",)
    own = {name: ";".join(filter(person.reads, str(email.get(name) or "").split(";"))) for name in names}
    return {**email, **{name: addresses or None for name, addresses in own.items()}}


async def _cards(organization: Organization, partition: EmailPartition, person: Person) -> list[dict[str, Any]]:
    addressed = any(is_recipient(party) and person.is_party(party) for party in partition.parties)
    wrote = any(map(person.wrote, partition.interactions))
    kinds = [kind for kind in cards.KINDS if (wrote if kind == "reply" else addressed)]
    named = [alerting.card_of(partition.email["PartitionKey"], kind) for kind in kinds]
    found = [await records.get(organization, "actioncard", card_id) for card_id in named]
    return [_shown(card) for card in found if card is not None]


def _shown(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row without keys and columns of ours."""
    hidden = ("PartitionKey", "RowKey", "etag")
    return {name: value for name, value in row.items() if name not in hidden and not name.startswith("_")}
