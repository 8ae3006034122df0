"""SendEmail: checking that a draft can go out, deciding whether it is followed, and handing it to delivery."""

import asyncio
import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.engagement import following
from shared.engagement.addresses import is_address
from shared.engagement.observations import source_hash
from shared.engagement.options import BCC, CC, DRAFT, FAILED, PENDING_SEND, SENDER, STATUS_NAMES, TO
from shared.engagement.times import iso_seconds, milliseconds, parse_iso
from shared.engagement.tokens import derive_key
from shared.services import alerting, reminding
from shared.services.caller import Caller
from shared.services.errors import Missing, Refused
from shared.services.parties import ADDRESS_COLUMNS, NAME_COLUMNS
from shared.services.rights import demand_write
from shared.settings import settings
from shared.storage import agenda, emails, queues, records
from shared.storage.account import NotFound, PreconditionFailed, StorageError
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation

RECIPIENTS = (TO, CC, BCC)
COUNTERS = (
    "opencount",
    "linksclickedcount",
    "attachmentopencount",
    "replycount",
    "ee_proxyopencount",
    "ee_machineopencount",
    "ee_machineclickcount",
)
FORGOTTEN = (
    "ee_failurereason", "lastopenedtime", "senton", "actualend", "messageid", "_attempt", "_claimedto", "_since",
    "_failures", "_draft", "_conversation", "_intent", "_prepared", "_sentbody", "_attached",
    *alerting.STATE_COLUMNS,
)  # fmt: skip
"""What an earlier attempt to send may have left on the email."""

_BY_DELIVERY = frozenset({"_item", "_hosted", "ee_notfollowedreason", "anonymouslink"})

_SAFETY = timedelta(minutes=1)
"""After this the agenda sends what the queue message did not."""
_ATTEMPTS = 8
_MAX_TORECIPIENTS = 500
_MAX_SESSIONS = 20

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Person:
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


async def send_email(
    organization: Organization,
    email_id: str,
    caller: Caller,
    now: datetime | None = None,
    *,
    columns: Mapping[str, Any] | None = None,
) -> None:
    """Put an email on its way: Pending Send now, delivered within seconds, or from its ``delayedemailsendtime`` on.
    `columns` are written along.

    Raises `Missing`, `Denied`, and `Refused` naming what stands in the way: not a Draft or Failed, a sender that is no
    user with an address, no recipient, a recipient that cannot or will not be written to, too large.
    """
    now = now or datetime.now(UTC)
    for _ in range(_ATTEMPTS):
        partition = await emails.read_partition(organization, email_id)
        if partition is None:
            raise Missing(f"email With Id = {email_id} Does Not Exist")
        demand_write(caller, partition.email, "This email")
        try:
            await _submit(organization, partition, caller, now, columns or {})
        except PreconditionFailed:
            continue
        except NotFound:
            raise Missing(f"email With Id = {email_id} Does Not Exist") from None
        return
    raise PreconditionFailed(412, "UpdateConditionNotSatisfied")


def size_on_the_way(body: str, attachments: Sequence[Mapping[str, Any]]) -> int:
    """Return the bytes of a message: its body, and its attachments in base64 lines of 76 characters (RFC 2045)."""
    encoded = sum(-(-int(attachment.get("filesize") or 0) // 57) * 78 for attachment in attachments)
    return len(body.encode("utf-8", "surrogatepass")) + encoded


async def _submit(
    organization: Organization, partition: EmailPartition, caller: Caller, now: datetime, columns: Mapping[str, Any]
) -> None:
    email = partition.email
    email_id = email["PartitionKey"]
    _check_state(email)
    people = await _people(organization, partition.parties)
    sender = _check_sender(people)
    recipients = [person for person in people if person.role in RECIPIENTS]
    _check_recipients(organization, recipients)
    reason = _why_not_followed(organization, email, recipients)
    await _check_size(organization, partition, followed=reason is None)
    later = parse_iso(email["delayedemailsendtime"]) if email.get("delayedemailsendtime") else now
    # The entry comes first: a mail that is Pending Send without one would wait for ever where the message is lost.
    due = later if later > now else now + _SAFETY
    await agenda.add(agenda.Entry(due, "deliver", organization.name, email_id))
    rows = [*_address_rows(people), *_attachment_rows(partition.attachments)]
    changes = {**columns, **_columns(caller, sender, recipients, reason, now)}
    changes["_sendersource"] = await _remember_session(organization, caller, sender)
    if email.get("statuscode") == FAILED:
        # What it says is being mended; should it fail again, that is told again.
        await alerting.withdraw(organization, email_id, "failed")
    changes |= await reminding.columns_of(organization, email_id, email, changes, now)
    await emails.commit(organization, email, changes, rows)
    if later <= now:
        await _hand_over(organization, email_id)


def _columns(
    caller: Caller,
    sender: _Person,
    recipients: Sequence[_Person],
    reason: str | None,
    now: datetime,
) -> dict[str, Any]:
    upn = str((sender.record or {}).get("domainname") or "")
    to = ";".join(person.address for person in recipients if person.role == TO)
    return {
        **dict.fromkeys(FORGOTTEN),
        **dict.fromkeys(COUNTERS, 0),
        "statecode": 1,
        "statuscode": PENDING_SEND,
        "isemailfollowed": reason is None,
        "ee_followreason": reason,
        "torecipients": to[:_MAX_TORECIPIENTS],
        "sender": sender.address,
        "deliveryattempts": 0,
        "modifiedon": iso_seconds(milliseconds(now)),
        "modifiedby": caller.user,
        "_mailbox": upn if is_address(upn) else sender.address,
        "_submission": uuid.uuid4().hex,
        "_keyid": settings().token_key,
    }


async def _remember_session(organization: Organization, caller: Caller, sender: _Person) -> str | None:
    """Return the keyed hashes of the sessions that this seller lately sent from, this one first, one a line.

    A seller looks at the own mail from the phone as well as from the desk; the user's record keeps the hashes.
    """
    configured = settings()
    key = derive_key(configured.token_secrets[configured.token_key], organization.name, "sources")
    session = source_hash(key, caller.address, caller.user_agent)
    is_sender = sender.record is not None and sender.row.get("partyid") == caller.user
    user = sender.record if is_sender else await records.get(organization, "systemuser", caller.user)
    earlier = str((user or {}).get("_sessions") or "").splitlines()
    sessions = list(dict.fromkeys([*filter(None, [session]), *earlier]))[:_MAX_SESSIONS]
    if user is not None and session and session not in earlier:
        try:
            await records.merge(organization, "systemuser", caller.user, {"_sessions": "\n".join(sessions)})
        except StorageError as error:
            _log.warning("a session of a user of %s was not remembered: %s", organization.name, error.code)
    return "\n".join(sessions) or None


def _check_state(email: Entity) -> None:
    if email.get("directioncode") is False:
        raise Refused("The email is an incoming one (directioncode false) and cannot be sent.")
    status = email.get("statuscode", DRAFT)
    if status not in (DRAFT, FAILED):
        raise Refused(f"The email is {STATUS_NAMES[status]}, not a Draft, and cannot be sent.")


def _check_sender(people: Sequence[_Person]) -> _Person:
    senders = [person for person in people if person.role == SENDER]
    if len(senders) != 1:
        raise Refused("The email needs one sender: an activity party with participationtypemask 1.")
    [sender] = senders
    if sender.kind == "queue":
        raise Refused(f"The sender {sender.name} is a queue. Email is sent from users only: choose a systemuser.")
    if sender.kind != "systemuser":
        raise Refused(f"The sender {sender.name} is not a user: choose a systemuser.")
    if not is_address(sender.address):
        raise Refused(f"The sender {sender.name} has no valid internalemailaddress to send from.")
    return sender


def _check_recipients(organization: Organization, recipients: Sequence[_Person]) -> None:
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


def _why_not_followed(organization: Organization, email: Entity, recipients: Sequence[_Person]) -> str | None:
    return following.why_not_followed(
        preference=bool(email.get("followemailuserpreference")),
        switched_on=bool(organization.settings["isemailmonitoringallowed"]),
        parties=[
            following.Party(
                person.role, person.kind, person.name, (person.record or {}).get("followemail") is not False
            )
            for person in recipients
        ],
    )


async def _check_size(organization: Organization, partition: EmailPartition, *, followed: bool) -> None:
    attached = [
        attachment
        for attachment in partition.attachments
        if not followed or not (attachment.get("isfollowed") or attachment.get("attachmentcontentid"))
    ]
    size = size_on_the_way(await emails.read_body(organization, partition.email), attached)
    limit = organization.settings["message_size_limit"]
    if size > limit:
        raise Refused(
            f"The email would have {size:,} bytes; at most {limit:,} can be sent. Remove attachments or follow them."
        )


async def _people(organization: Organization, parties: Sequence[Entity]) -> list[_Person]:
    people: list[_Person] = []
    for start in range(0, len(parties), 32):
        some = parties[start : start + 32]
        found = await asyncio.gather(*(_record(organization, party) for party in some))
        people.extend(_person(party, record) for party, record in zip(some, found, strict=True))
    return people


async def _record(organization: Organization, party: Entity) -> Entity | None:
    if not party.get("partyid") or not party.get("partyid_type"):
        return None
    return await records.get(organization, party["partyid_type"], party["partyid"])


def _person(party: Entity, record: Entity | None) -> _Person:
    kind = str(party.get("partyid_type") or "")
    known = record or {}
    # The address written down with the party was chosen for it; the record's own may have come only later.
    address = party.get("addressused") or known.get(ADDRESS_COLUMNS.get(kind, ""), "") or ""
    name = known.get(NAME_COLUMNS.get(kind, "")) or party.get("_name") or party.get("unresolvedpartyname") or address
    return _Person(party, record, str(address), str(name or "without a name"))


def _address_rows(people: Sequence[_Person]) -> list[Operation]:
    """Write down the addresses that the mail goes to, where composing did not know them yet."""
    return [
        Operation(
            "merge",
            {
                "PartitionKey": person.row["PartitionKey"],
                "RowKey": person.row["RowKey"],
                "addressused": person.address,
            },
            person.row["etag"],
        )
        for person in people
        if person.address and person.address != person.row.get("addressused")
    ]


def _attachment_rows(attachments: Sequence[Entity]) -> list[Operation]:
    """Take back what an earlier attempt to send recorded of the attachments."""
    changed = [row for row in attachments if not _BY_DELIVERY.isdisjoint(row)]
    return [Operation("put", _as_composed(row), row["etag"]) for row in changed]


def _as_composed(row: Entity) -> Entity:
    kept = {name: value for name, value in row.items() if name not in _BY_DELIVERY}
    # Only a file that was to be followed has a reason why it was not.
    return {**kept, "isfollowed": True} if row.get("ee_notfollowedreason") else kept


async def _hand_over(organization: Organization, id: str) -> None:
    try:
        await queues.send(queues.DELIVER, {"organization": organization.name, "email": id})
    except StorageError as error:
        _log.warning("email %s of %s is delivered by the agenda, in a minute: %s", id, organization.name, error.code)
