"""Erasing a person: what they did with mail, and who they are wherever mail names them. Links stay alive.

The work is cut into the slices of `shared.services.retaining`; a row keeps how far it is, so that a lost message, a
crash and a second call all go on where it stands. Every slice can be repeated. Parties are matched by the person's
record, and by their addresses where a party names no record, and so is who wrote replies, automatic ones and reports
too; all mail is looked at, sent or not.

Mail to several people loses the hits of all of them: whose they were cannot be told, and some were theirs.
"""

import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import orjson

from shared.engagement import cards, consent, following
from shared.engagement.figures import scopes
from shared.engagement.options import REPLY, SENDER, SENDING, TO, is_recipient
from shared.engagement.times import iso_seconds, milliseconds, parse_iso
from shared.engagement.withdrawal import address_key
from shared.services import alerting, consenting, figuring
from shared.services.errors import Missing, Refused
from shared.services.folding import is_hit
from shared.services.retaining import BUDGET, SLICES, Pace, range_of
from shared.services.sending import COUNTERS
from shared.storage import blobs, consents, emails, keys, opens, queues, records
from shared.storage.account import NotFound
from shared.storage.contention import insist
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation, literal

ERASE = "erase"
QUEUED, RUNNING, DONE = "Queued", "Running", "Done"
ERASED_NAME = "Erased person"
REASON = "the reason was erased with a recipient"

_JOBS = "erasure"
_KEYS = {"ee_externalid": ("ee_externalid",)}
_ADDRESSES = ("emailaddress1", "emailaddress2", "emailaddress3")
_SAYS_DONE = timedelta(minutes=10)
"""How long an erasure that has ended is told of; asked for after that, it is done again, for mail that came since."""
_ON_ITS_WAY = timedelta(minutes=1)
_WHO = ("emailaddress", "interactionpartyid", "interactionrepliedby", "interactionreplyid")
"""Columns of an interaction that say whose it is."""
_OF_HITS = ("lastopenedtime", "_counted", "_readat", "_frozen", "_flooded")
_KEPT_OF_PARTY = frozenset({"PartitionKey", "RowKey", "activitypartyid", "participationtypemask"})


@dataclass(frozen=True, slots=True)
class Person:
    """Who is looked for: a record, and its addresses, each as `address_key` writes it."""

    table: str
    id: str
    addresses: frozenset[str]

    @property
    def name(self) -> str:
        return f"{self.table} {self.id}"

    def is_party(self, party: Mapping[str, Any]) -> bool:
        """Return whether a party is this person."""
        if party.get("partyid"):
            return bool(party["partyid"] == self.id)
        return self.reads(party.get("addressused"))

    def wrote(self, interaction: Mapping[str, Any]) -> bool:
        """Return whether an interaction is a reply of this person."""
        if interaction.get("interactiontype") != REPLY:
            return False
        return interaction.get("interactionpartyid") == self.id or self.reads(interaction.get("emailaddress"))

    def reads(self, address: str | None) -> bool:
        """Return whether an address is one of theirs."""
        return address_key(address or "") in self.addresses


@dataclass(frozen=True, slots=True)
class Progress:
    """How far an erasure is: its status, percent done, and how many emails were changed."""

    status: str
    percent: int
    emails: int


async def start(
    organization: Organization, table: str, id: str, now: datetime, *, delete_record: bool = False
) -> Progress:
    """Begin to erase a person, or go on where that stands, and return how far it is; of one that ended just now, that.

    Raises `Missing` where there is no such record and none was being erased, `Refused` for other tables.
    """
    if table not in consenting.TABLES:
        raise Refused(f"A {table} cannot be erased: name a contact, an account or a lead.")
    name = f"{table} {id}"
    job = await records.get(organization, _JOBS, name)
    record = await records.get(organization, table, id)
    if record is None and job is None:
        raise Missing(f"{table} With Id = {id} Does Not Exist")
    if job is None or (record is not None and _is_to_be_done_again(job, now, delete_record)):
        addresses = sorted(_addresses(record or {}))
        columns: dict[str, Any] = {
            "status": QUEUED, "slice": 0, "emails": 0, "deleterecord": delete_record, "restriction": str(uuid.uuid4()),
            "addresses": orjson.dumps(addresses).decode(), "startedon": iso_seconds(milliseconds(now)),
        }  # fmt: skip
        await records.put(organization, _JOBS, name, columns)
        job = columns
    elif job["status"] != DONE and delete_record and not job["deleterecord"]:
        await _note(organization, name, {"deleterecord": True})
    if job["status"] != DONE:
        await queues.send(queues.PRIVACY, {"organization": organization.name, "work": ERASE, "person": name})
    return Progress(job["status"], _percent(job), job["emails"])


def _is_to_be_done_again(job: Mapping[str, Any], now: datetime, delete_record: bool) -> bool:
    # Where the record is to go and is still there, that was asked for too late for the last message.
    return job["status"] == DONE and (delete_record or now - parse_iso(job["finishedon"]) > _SAYS_DONE)


async def go_on(organization: Organization) -> None:
    """Send erasures on their way again whose message was lost."""
    async for page in records.query(organization, _JOBS, f"status ne {literal(DONE)}"):
        for job in page:
            work = {"organization": organization.name, "work": ERASE, "person": job["RowKey"]}
            await queues.send(queues.PRIVACY, work)


async def erase(
    organization: Organization, work: Mapping[str, str], now: datetime, budget: float = BUDGET
) -> timedelta | None:
    """Go on erasing the person that `work` names; return when to go on, None when there is nothing more to do."""
    job = await records.get(organization, _JOBS, work["person"])
    if job is None or job["status"] == DONE:
        return None
    table, _, key = work["person"].partition(" ")
    person = Person(table, key, frozenset(orjson.loads(job["addresses"])))
    if job["slice"] == 0:
        await _end_following(organization, person, job, now)
    pace, number, count = Pace(budget), job["slice"], job["emails"]
    while number < SLICES:
        found, busy = await _erase_slices(organization, person, (number, pace.width), now)
        number, count = number + (0 if busy else pace.width), count + found
        if busy or pace.is_over():
            await _note(organization, work["person"], {"status": RUNNING, "slice": number, "emails": count})
            return _ON_ITS_WAY if busy else timedelta()
    await _finish(organization, person, now, delete_record=job["deleterecord"])
    done = {
        "status": DONE,
        "slice": SLICES,
        "emails": count,
        "addresses": "",
        "finishedon": iso_seconds(milliseconds(now)),
    }
    await _note(organization, work["person"], done)
    return None


async def emails_of(organization: Organization, person: Person, number: int, width: int) -> AsyncIterator[str]:
    """Yield the emails of `width` slices from one on that a person is a party of, or wrote a reply to."""
    rows = f"(RowKey ge 'party:' and RowKey lt 'party;' or interactiontype eq {REPLY})"
    columns = ("PartitionKey", "partyid", "addressused", "interactiontype", "interactionpartyid", "emailaddress")
    last = ""
    async for page in organization.tables.query(organization.emails, f"{range_of(number, width)} and {rows}", columns):
        for row in page:
            if row["PartitionKey"] != last and (person.is_party(row) or person.wrote(row)):
                last = row["PartitionKey"]
                yield last


def _addresses(record: Mapping[str, Any]) -> set[str]:
    return {address_key(record[name]) for name in _ADDRESSES if record.get(name)}


def person_of(table: str, id: str, record: Mapping[str, Any]) -> Person:
    """Return who a record is."""
    return Person(table, id, frozenset(_addresses(record)))


def _percent(job: Mapping[str, Any]) -> int:
    return min(100, int(job["slice"]) * 100 // SLICES)


async def _note(organization: Organization, name: str, columns: Mapping[str, Any]) -> None:
    await records.merge(organization, _JOBS, name, columns)


async def _end_following(organization: Organization, person: Person, job: Entity, now: datetime) -> None:
    """See to it that nothing of what is erased comes anew: mail to this person is not followed any more."""
    on, restriction = iso_seconds(milliseconds(now)), job["restriction"]
    for address in person.addresses:
        columns = {"why": consenting.ERASED, "on": on}
        await consents.end_for_address(organization, address, restriction, columns)
    ending = consents.ending_of(person.table, person.id, restriction, consenting.ERASED, on)
    await organization.tables.apply(organization.records, ending)
    try:
        await records.merge(organization, person.table, person.id, {consent.FOLLOW: False})
    except NotFound:
        return


async def _erase_slices(
    organization: Organization, person: Person, slices: tuple[int, int], now: datetime
) -> tuple[int, bool]:
    """Erase a person from the emails of slices, the first and how many; return how many emails there were, and whether
    one was on its way and has to be looked at again."""
    count, busy = 0, False
    async for email_id in emails_of(organization, person, *slices):
        if await insist(partial(_erase_unless_sending, organization, email_id, person, now)):
            count += 1
        else:
            busy = True
    return count, busy


async def _erase_unless_sending(organization: Organization, email_id: str, person: Person, now: datetime) -> bool:
    """Erase a person from an email; return False where it is being sent, which must end first."""
    partition = await emails.read_partition(organization, email_id, interactions=True)
    if partition is None:
        return True
    if partition.email.get("statuscode") == SENDING:
        return False
    await _erase_email(organization, partition, person, now)
    return True


async def _erase_email(organization: Organization, partition: EmailPartition, person: Person, now: datetime) -> None:
    """Erase a person from an email. Its parties are changed last: by them it is found again after a crash."""
    email, own = partition.email, [party for party in partition.parties if person.is_party(party)]
    email_id = email["PartitionKey"]
    if email.get("directioncode") is False:
        await _erase_received(organization, partition, person)
    if any(map(is_recipient, own)):
        for kind in cards.KINDS:
            await alerting.withdraw(organization, email_id, kind)
        if email.get("senton"):
            await opens.forget(organization, opens.ORGANIZATION, email_id, milliseconds(parse_iso(email["senton"])))
        if email.get("directioncode") is not False and email.get("isemailfollowed"):
            await _erase_hits(organization, partition, now)
    await _erase_replies(organization, email_id, person)
    found = await emails.read_partition(organization, email_id)
    if found is None:
        return
    anonymous = [
        Operation("put", _anonymous(party), party["etag"]) for party in found.parties if person.is_party(party)
    ]
    kept = [party for party in found.parties if not person.is_party(party)]
    to = ";".join(str(party.get("addressused") or "") for party in kept if party.get("participationtypemask") == TO)
    changes: dict[str, Any] = {"torecipients": to[:500] or None} if email.get("torecipients") else {}
    if any(map(is_recipient, own)):
        changes |= _without_reasons(email)
    await emails.commit(organization, found.email, changes, anonymous, scopes(found.email, found.parties))


def _without_reasons(email: Mapping[str, Any]) -> dict[str, str]:
    """Return an email's reasons that may name a recipient, by their name or address of then, as nothing of it."""
    why = str(email.get("ee_followreason") or "")
    named = {"ee_followreason"} if why and why not in following.NAMING_NOBODY else set()
    if named and why in str(email.get("ee_reminderreason") or ""):
        named.add("ee_reminderreason")
    if email.get("ee_failurereason"):
        named.add("ee_failurereason")
    return dict.fromkeys(named, REASON)


async def _erase_hits(organization: Organization, partition: EmailPartition, now: datetime) -> None:
    email = partition.email
    counters = [name for name in COUNTERS if name != "replycount"]
    ended = email.get("ee_followendedon") or iso_seconds(milliseconds(now))
    changes = {**dict.fromkeys(counters, 0), **dict.fromkeys(_OF_HITS), "ee_followendedon": ended, "_erased": True}
    rows = [Operation("delete", row, "*") for row in partition.interactions if is_hit(row)]
    if rows or any((email.get(name) or None) != (value or None) for name, value in changes.items()):
        await emails.commit(organization, email, changes, rows)


async def _erase_replies(organization: Organization, email_id: str, person: Person) -> None:
    """Leave of a person's replies to an email that there were some, and when; the card of the first names who wrote."""
    partition = await emails.read_partition(organization, email_id, interactions=True)
    written = [row for row in partition.interactions if person.wrote(row)] if partition is not None else []
    if partition is not None and written:
        await alerting.withdraw(organization, email_id, "reply")
        rows = [Operation("put", {n: v for n, v in row.items() if n not in _WHO}, row["etag"]) for row in written]
        await emails.commit(organization, partition.email, {}, rows)


async def _erase_received(organization: Organization, partition: EmailPartition, person: Person) -> None:
    """Remove what a person wrote, and that it was them: the text, the subject, the address, the message's id."""
    email = partition.email
    senders = [party for party in partition.parties if party.get("participationtypemask") == SENDER]
    if not any(map(person.is_party, senders)):
        return
    if email.get("parentactivityid"):
        await _erase_replies(organization, email["parentactivityid"], person)
    if email.get("_body"):
        await blobs.delete(organization, email["_body"])
    cleared = ("sender", "subject", "messageid", "_body")
    if any(email.get(name) for name in cleared):
        await emails.commit(organization, email, dict.fromkeys(cleared))


def _anonymous(party: Mapping[str, Any]) -> Entity:
    return {**{name: party[name] for name in _KEPT_OF_PARTY if name in party}, "_name": ERASED_NAME}


async def _finish(organization: Organization, person: Person, now: datetime, *, delete_record: bool) -> None:
    await opens.forget_person(organization, person.id)
    # What still waits would be written into them again.
    await figuring.figure(organization.name, now)
    figures = f"PartitionKey eq {literal(f'figures {person.name}')}"
    async for page in organization.tables.query(organization.records, figures, ("PartitionKey", "RowKey")):
        for row in page:
            await records.delete(organization, row["PartitionKey"], row["RowKey"])
    if not delete_record:
        return
    await insist(partial(_delete_record, organization, person))


async def _delete_record(organization: Organization, person: Person) -> None:
    record = await records.get(organization, person.table, person.id)
    if record is not None:
        await keys.delete(organization, person.table, person.id, record, _KEYS)
