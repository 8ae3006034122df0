"""From a message in a sender's mailbox to an interaction: which followed mail it answers, and who wrote what.

A reply is an interaction of type 3 and a received email beside it. Automatic replies and bounces are interactions too,
labelled Machine, and do not count. ``replycount`` is recomputed from all of an email's replies: a message may be seen
any number of times. Nothing is kept of a message that answers no followed mail, nor of what the seller's own side
writes.
"""

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from shared.engagement import figures
from shared.engagement.addresses import normal_form
from shared.engagement.delivery_reports import MAX_MIME, DeliveryReport, read_delivery_report, returned_ids
from shared.engagement.incoming import (
    Incoming,
    Judgement,
    Nature,
    identity,
    judge,
    may_return,
    message_ids,
    references,
)
from shared.engagement.labels import Label
from shared.engagement.options import REPLY
from shared.engagement.times import iso_seconds, milliseconds, parse_iso
from shared.graph import mailbox as graph
from shared.services import alerting, people
from shared.services.folding import interaction_id
from shared.services.long_work import in_turn
from shared.services.received import ReceivedEmail, forget_received, save_received
from shared.storage import emails, records
from shared.storage.calls import side_by_side
from shared.storage.contention import insist
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation

IN_REPLY_TO, CONVERSATION_INDEX = 3, 5
"""Dataverse's ``correlationmethod``: by message id, by conversation."""

_CLOCKS = timedelta(minutes=1)
"""How far Exchange's clock and ours may differ."""

_log = logging.getLogger(__name__)


async def take_message(
    organization: Organization, mailbox: str, address: str, message: Incoming, now: datetime
) -> None:
    """Record what a message in a sender's mailbox means for the followed mail that it answers; else do nothing.

    `mailbox` is the id of the mailbox's user, `address` theirs. Safe to repeat. Raises `GraphError` where the message's
    text cannot be read and `StorageError` where storage does not answer.
    """
    if not organization.settings["isemailmonitoringallowed"]:
        return
    judged = judge(message, frozenset({normal_form(address)}))
    if judged.nature is Nature.OWN:
        return
    mime = b""
    if may_return(message, judged):
        mime = await graph.get_mime(organization.tenant, mailbox, message.id, MAX_MIME)
    returned = returned_ids(mime)
    found = await _answered(organization, message, (*returned, *references(message)))
    if found is None:
        return
    email, method = found
    judged = judge(message, _senders(email), str(email.get("subject") or ""))
    if judged.nature is Nature.OWN or email.get("messageid") in message_ids(message.message_id):
        return
    email_id = email["PartitionKey"]
    row_key = emails.interaction_key(milliseconds(message.received), f"reply-{identity(message)}")
    if await organization.tables.get(organization.emails, email_id, row_key, ("RowKey",)) is not None:
        if email.get(alerting.state_column("reply")) == "raise":
            await alerting.settle_reply(organization, email_id, now)
        return
    if await _from_own_side(organization, mailbox, email_id, message, judged):
        return
    if judged.nature is Nature.AUTOMATIC and email.get("messageid") in returned:
        judged = Judgement(Nature.BOUNCE, "returns the mail")
    if judged.nature is not Nature.REPLY:
        # Only what is known to answer one of ours is read through, and recipients do not wait for it.
        report = await in_turn(read_delivery_report, mime) if mime else DeliveryReport()
        await _record(organization, email_id, message, _machine(message, judged, report), now)
        return
    content = await graph.get_content(organization.tenant, mailbox, message.id)
    received = ReceivedEmail(email, message, content, method)
    if await save_received(organization, received, now):
        _log.info("email %s of %s has a reply", email_id, organization.name)
    kept = await _record(organization, email_id, message, _person(message, received), now)
    if kept:
        await alerting.settle_reply(organization, email_id, now)
    else:
        await forget_received(organization, received)


async def _answered(organization: Organization, message: Incoming, ids: Sequence[str]) -> tuple[Entity, int] | None:
    """Return the newest followed email that a message answers and how that was found, or None."""
    by_id = await _followed(organization, "message", ids)
    if by_id:
        return max(by_id, key=_sent), IN_REPLY_TO
    if not message.conversation:
        return None
    # What arrived in the conversation before our mail was sent does not answer it.
    latest = iso_seconds(milliseconds(message.received + _CLOCKS))
    in_conversation = await _followed(organization, "conversation", [message.conversation])
    return next(((email, CONVERSATION_INDEX) for email in in_conversation if _sent(email) <= latest), None)


async def _followed(organization: Organization, table: str, ids: Iterable[str]) -> list[Entity]:
    """Return the followed emails that are known by these message or conversation ids."""
    keys = await side_by_side(lambda one: records.get(organization, table, records.hashed_key(one)), list(ids))
    known = dict.fromkeys(str(key["email"]) for key in keys if key is not None)
    rows = await emails.get_emails(organization, list(known))
    return [row for row in rows if row is not None and row.get("isemailfollowed")]


def _sent(email: Mapping[str, Any]) -> str:
    """Return when an email was sent, at least when it was about to be (ISO): its reply may come before we know."""
    return iso_seconds(milliseconds(parse_iso(email.get("senton") or email.get("_intent") or email["createdon"])))


def _senders(email: Mapping[str, Any]) -> frozenset[str]:
    """Return the addresses of whoever sent an email: as written down, and those that Microsoft 365 sent it from."""
    known = [str(email.get(name) or "") for name in ("sender", "_mailbox", "_signin")]
    return frozenset(normal_form(one) for one in (*known, *str(email.get("_authors") or "").split()) if one)


async def _from_own_side(
    organization: Organization, mailbox: str, email_id: str, message: Incoming, judged: Judgement
) -> bool:
    """Return whether a message is the seller's, under whatever address, or a colleague's whom the mail did not go to.

    What lies in Sent Items was sent from there. A bounce is about the mail, whoever's server wrote it.
    """
    if message.folder and message.folder == await graph.sent_items(organization.tenant, mailbox):
        return True
    if judged.nature is Nature.BOUNCE:
        return False
    partition = await emails.read_partition(organization, email_id)
    author = normal_form(message.address)
    if partition is None or _party(partition, author) is not None:
        return False
    return await people.is_colleague(organization, author)


def _party(partition: EmailPartition, address: str) -> Entity | None:
    """Return whom an email was sent to at an address in its normal form, or None."""
    to = (party for party in partition.parties if normal_form(str(party.get("addressused", ""))) == address)
    return next(to, None)


async def _record(
    organization: Organization, email_id: str, message: Incoming, columns: Mapping[str, Any], now: datetime
) -> bool:
    """Write a message's interaction and the email's count of replies; return False where neither may be kept."""
    reply = f"reply-{identity(message)}"

    async def attempt() -> bool:
        partition = await emails.read_partition(organization, email_id, interactions=True)
        if partition is None or not partition.email.get("isemailfollowed"):
            return False
        if any(row["RowKey"].endswith(f":{reply}") for row in partition.interactions):
            return True
        row = _interaction(partition, message, reply, columns, now)
        changes = _changes(organization, partition, row, now)
        await emails.commit(organization, partition.email, changes, [Operation("put", row)])
        return True

    return await insist(attempt)


def _changes(
    organization: Organization, partition: EmailPartition, row: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """Return what an interaction changes on its email: the count of replies, and how far the card of the first is."""
    answers = [one for one in (*partition.interactions, row) if alerting.is_persons_reply(one)]
    answered = figures.dump_replies(milliseconds(parse_iso(one["emailinteractiontime"])) for one in answers)
    column, moment = alerting.state_column("reply"), milliseconds(now)
    state = alerting.next_state(
        partition.email.get(column), moment if answers else None, moment, on=alerting.is_on(organization, "reply")
    )
    return {"replycount": len(answers), "_answered": answered, column: state}


def _interaction(
    partition: EmailPartition, message: Incoming, reply: str, columns: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    email_id = partition.email["PartitionKey"]
    at = milliseconds(message.received)
    party = _party(partition, normal_form(columns["emailaddress"]))
    reason = columns["ee_labelreason"]
    if columns["ee_label"] == Label.PERSON and party is None:
        reason += "; not among the recipients"
    return {
        "PartitionKey": email_id,
        "RowKey": emails.interaction_key(at, reply),
        "interactionforemailid": interaction_id(email_id, reply),
        "interactiontype": REPLY,
        "emailactivityid": email_id,
        "emailinteractiontime": iso_seconds(at),
        "interactionrepliedby": _name(message, party)[:1250],
        "interactionreplyid": message.message_id[:1250],
        "interactionpartyid": party.get("partyid") if party else None,
        "ownerid": partition.email.get("ownerid"),
        "statecode": 0,
        "createdon": iso_seconds(milliseconds(now)),
        **columns,
        "ee_labelreason": reason,
    }


def _name(message: Incoming, party: Mapping[str, Any] | None) -> str:
    """Return who wrote: as they call themselves, else as the email knows them, else their address."""
    if message.name and "@" not in message.name:
        return message.name
    return str((party or {}).get("_name") or message.address)


def _person(message: Incoming, received: ReceivedEmail) -> dict[str, Any]:
    return {
        "emailaddress": message.address[:1250],
        "emailinteractionreplyid": received.id,
        "ee_label": int(Label.PERSON),
        "ee_labelreason": "wrote back",
    }


def _machine(message: Incoming, judged: Judgement, report: DeliveryReport) -> dict[str, Any]:
    bounced = judged.nature is Nature.BOUNCE
    return {
        "emailaddress": ((report.recipient if bounced else "") or message.address)[:1250],
        "ee_label": int(Label.MACHINE),
        "ee_labelreason": str(report) if bounced else judged.reason,
    }
