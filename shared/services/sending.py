"""Sending: checking that a draft can go out, deciding whether it is followed, and handing it to delivery."""

import logging
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from shared.engagement import figures
from shared.engagement.addresses import is_address
from shared.engagement.observations import source_hash
from shared.engagement.options import DRAFT, FAILED, PENDING_SEND, STATUS_NAMES
from shared.engagement.times import iso_seconds, milliseconds, parse_iso
from shared.engagement.tokens import derive_key
from shared.services import alerting, reminding
from shared.services.agenda import enter_delivery, hint_delivery
from shared.services.attaching import Attachment
from shared.services.caller import Caller
from shared.services.claiming import scheduled
from shared.services.composing import create_email
from shared.services.drafts import read_own
from shared.services.errors import Refused
from shared.services.parties import Party, check_parties, parties_of
from shared.services.recipients import (
    Person,
    address_columns,
    address_rows,
    check_recipients,
    check_sender,
    read_people,
    read_restrictions,
    recipients_of,
    why_not_followed,
)
from shared.settings import settings
from shared.storage import emails, records
from shared.storage.account import StorageError
from shared.storage.contention import insist
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation

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
    "_failures", "_draft", "_conversation", "_intent", "_prepared", "_sentbody", "_attached", "ee_lateby",
    "ee_lengthnote", "_counted", "_answered", "_consented", "_overruled", "_frozen", "_erased", "ee_followendedon",
    *alerting.STATE_COLUMNS,
)  # fmt: skip
"""What an earlier attempt to send may have left on the email."""

_BY_DELIVERY = frozenset({"_item", "_hosted", "ee_notfollowedreason", "anonymouslink"})

_MAX_SESSIONS = 20

_log = logging.getLogger(__name__)


async def send_email(
    organization: Organization,
    email_id: str,
    caller: Caller,
    now: datetime,
    *,
    columns: Mapping[str, Any] | None = None,
) -> None:
    """Put an email on its way: Pending Send now, delivered within seconds, or from its ``delayedemailsendtime`` on.
    `columns` are written along. Who may send as its sender is judged on the very version that becomes Pending Send.

    Raises `Missing`, `Denied`, and `Refused` naming what stands in the way: not a Draft or Failed, a sender that is no
    user with an address, no recipient, a recipient that cannot or will not be written to, too large.
    """

    async def attempt() -> None:
        partition = await read_own(organization, caller, email_id, None)
        await _submit(organization, partition, caller, now, columns or {})

    await insist(attempt)


async def send_new(
    organization: Organization,
    caller: Caller,
    columns: Mapping[str, Any],
    *,
    parties: Sequence[Party] = (),
    attachments: Sequence[Attachment] = (),
    body: str = "",
    id: str = "",
    now: datetime,
) -> str:
    """Make an email that is on its way at once, and return its id: both or nothing, also where the process is killed.

    Its row is written last and says Pending Send: before, there is no email, and after, the agenda finds it. Parameters
    and errors are those of `shared.services.composing.create_email` and `send_email` together.
    """
    due = now

    async def finish(composed: EmailPartition) -> EmailPartition:
        nonlocal due
        changes, rows, due = await _submission(organization, composed, caller, now, {})
        changed = {row.entity["RowKey"]: row.entity for row in rows}
        written = tuple({**party, **changed.get(party["RowKey"], {})} for party in composed.parties)
        return replace(composed, email={**composed.email, **changes}, parties=written)

    made = await create_email(
        organization, caller, columns,
        parties=parties, attachments=attachments, body=body, id=id, now=now, finish=finish,
    )  # fmt: skip
    await hint_delivery(organization, made, due, now)
    return made


def size_on_the_way(body: str, attachments: Sequence[Mapping[str, Any]]) -> int:
    """Return the bytes of a message: its body, and its attachments in base64 lines of 76 characters (RFC 2045)."""
    encoded = sum(-(-int(attachment.get("filesize") or 0) // 57) * 78 for attachment in attachments)
    return len(body.encode("utf-8", "surrogatepass")) + encoded


async def _submit(
    organization: Organization, partition: EmailPartition, caller: Caller, now: datetime, columns: Mapping[str, Any]
) -> None:
    changes, rows, due = await _submission(organization, partition, caller, now, columns)
    await emails.commit(organization, partition.email, changes, rows)
    await hint_delivery(organization, partition.email["PartitionKey"], due, now)


async def _submission(
    organization: Organization, partition: EmailPartition, caller: Caller, now: datetime, columns: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Operation], datetime]:
    """Return what puts an email on its way, having entered it in the agenda: changes of its row and of the rows under
    it, and when it is due. Raises `Refused`."""
    email = partition.email
    email_id = email["PartitionKey"]
    _check_state(email)
    check_parties(caller, parties_of(partition.parties), outgoing=True)
    restrictions = await read_restrictions(organization, partition.parties)
    people = await read_people(organization, partition.parties)
    sender = check_sender(people)
    recipients = recipients_of(people)
    check_recipients(organization, recipients)
    reason = why_not_followed(organization, email, recipients, restrictions)
    await _check_size(organization, partition, followed=reason is None)
    schedule = scheduled(email.get("delayedemailsendtime"), now)
    due = parse_iso(schedule) if schedule else now
    # The entry comes first: a mail that is Pending Send without one would wait for ever where the message is lost.
    await enter_delivery(organization, email_id, due, now)
    rows = [*address_rows(people), *_attachment_rows(partition.attachments)]
    changes = {**columns, **_columns(caller, people, reason, now), "_scheduled": schedule}
    changes |= _columns_of_sender(caller, sender)
    changes["_sendersource"] = await _remember_session(organization, caller, sender)
    if email.get("statuscode") == FAILED:
        # What it says is being mended; should it fail again, that is told again.
        await alerting.withdraw(organization, email_id, "failed")
    changes |= await reminding.columns_of(organization, email_id, email, changes, now)
    return changes, rows, due


def _columns(caller: Caller, people: Sequence[Person], reason: str | None, now: datetime) -> dict[str, Any]:
    return {
        **dict.fromkeys(FORGOTTEN),
        **dict.fromkeys(COUNTERS, 0),
        "statecode": 1,
        "statuscode": PENDING_SEND,
        "isemailfollowed": reason is None,
        "ee_followreason": reason,
        **address_columns(people),
        "deliveryattempts": 0,
        "modifiedon": iso_seconds(milliseconds(now)),
        "modifiedby": caller.user,
        "_submission": uuid.uuid4().hex,
        "_keyid": settings().token_key,
        "_accounts": figures.accounts_of((person.kind, person.record) for person in recipients_of(people)) or None,
    }


def _columns_of_sender(caller: Caller, sender: Person) -> dict[str, Any]:
    """Return whose mailbox the mail leaves from, by object id; by which other name that mailbox is known; and who
    pressed Send, who may be a manager."""
    signin = str((sender.record or {}).get("domainname") or "")
    return {
        "_mailbox": sender.row["partyid"],
        "_signin": signin if is_address(signin) else None,
        "_submittedby": caller.user,
    }


async def _remember_session(organization: Organization, caller: Caller, sender: Person) -> str | None:
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


def _attachment_rows(attachments: Sequence[Entity]) -> list[Operation]:
    """Take back what an earlier attempt to send recorded of the attachments."""
    changed = [row for row in attachments if not _BY_DELIVERY.isdisjoint(row)]
    return [Operation("put", _as_composed(row), row["etag"]) for row in changed]


def _as_composed(row: Entity) -> Entity:
    kept = {name: value for name, value in row.items() if name not in _BY_DELIVERY}
    # Only a file that was to be followed has a reason why it was not.
    return {**kept, "isfollowed": True} if row.get("ee_notfollowedreason") else kept
