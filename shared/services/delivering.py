"""Delivering one email, exactly once, whatever fails or dies on the way.

The steps: a claim (`shared.services.claiming`), judging once more whether it may go out and be followed
(`shared.services.recipients`), the form in which it goes out (`shared.services.preparing`), a draft in the sender's
mailbox that carries our key, its attachments, the keys by which replies find the email, the intent to send, sending,
and Sent. Each is recorded before the next begins, and each can be repeated: a draft is looked up before another is
made, attachments are compared with what is there, and a draft can be sent only once because it is none afterwards.
After an intent the message is looked at by its immutable id before anything is sent again.

What remains: a message that is in neither Drafts nor Sent Items a minute after the intent ends as Failed with that
reason, because Microsoft 365 does not tell whether it was sent and then removed, or deleted before.
"""

import contextlib
import logging
from dataclasses import replace
from datetime import timedelta

from shared import metrics
from shared.engagement.options import FAILED, SENT
from shared.engagement.refusals import BROKEN, MESSAGE_GONE, UNCERTAIN, UNREACHABLE, why_rejected
from shared.engagement.times import iso_seconds, milliseconds, parse_iso
from shared.graph import mail
from shared.graph.client import GraphError, Rejected, Throttled, Unreachable
from shared.services import alerting, consenting
from shared.services.claiming import Claim, Clock, Gone, Lost, iso, record, release, renew, step, take
from shared.services.errors import Refused
from shared.services.mailboxes import follow_mailbox
from shared.services.outgoing import attached_rows, attachment_of, compare, draft_of, key_of, why_too_large
from shared.services.preparing import prepare, reader
from shared.services.recipients import (
    check_enabled,
    check_recipients,
    check_sender,
    read_people,
    read_restrictions,
    recipients_of,
    why_not_followed,
)
from shared.storage import blobs, emails, records
from shared.storage.account import NotFound, StorageError, Unavailable
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization

DOUBT = timedelta(seconds=15)
"""How long to wait before looking again at what a call did that was not answered."""
DOUBT_ENDS = timedelta(seconds=60)
"""After this a draft that is still one is taken as not sent."""
GIVE_UP = timedelta(hours=24)
LONGEST_WAIT = timedelta(minutes=10)
IN_TIME = timedelta(minutes=2)
"""A scheduled mail that leaves within this of its time is not late."""

_log = logging.getLogger(__name__)


class _CannotSend(Exception):
    """The email cannot be sent as it is; the message is the reason for the seller."""


async def deliver(organization: Organization, email_id: str, now: Clock) -> timedelta | None:
    """Make one attempt to deliver an email.

    Returns after which delay to try again (throttled: as long as Microsoft 365 asks; in doubt or out of reach: 15
    seconds, doubling), None when it is done, not ours to do, or claimed by somebody else.
    """
    try:
        claim = await _take(organization, email_id, now)
        return await _attempt(claim) if isinstance(claim, Claim) else claim
    except Unavailable as error:
        _log.warning("delivery of %s of %s waits for storage: %s", email_id, organization.name, error.code)
        return DOUBT


async def give_up(organization: Organization, email_id: str, now: Clock) -> timedelta | None:
    """End a delivery that failed again and again as Failed, or as Sent where it turns out to have been sent.

    Returns after which delay to try again while storage refuses, None when done or claimed by somebody else.
    """
    try:
        claim = await _take(organization, email_id, now)
        if isinstance(claim, Claim):
            await _give_up(claim)
            return None
    except StorageError as error:
        # Nothing can be recorded of it: to give up would leave it Pending Send for ever.
        _log.error("storage refuses email %s, mend the account of %s: %s", email_id, organization.name, error.code)
        return LONGEST_WAIT
    return claim


async def _give_up(claim: Claim) -> None:
    try:
        state = await _look(claim)
        if state is not None and not state.is_draft:
            await _finish(claim, state)
            return
    except GraphError as error:
        _log.warning("what became of %s of %s is not known: %s", claim.id, claim.organization.name, error)
    except Lost:
        return
    with contextlib.suppress(Lost):
        await _fail(claim, UNCERTAIN if claim.email.get("_intent") else BROKEN)


async def _take(organization: Organization, email_id: str, now: Clock) -> Claim | timedelta | None:
    """Claim an email; where there is nothing to do for it any more, see to it that its owner was told."""
    claim = await take(organization, email_id, now)
    if claim is None:
        # Whoever ended it as Failed may have died before the card was written.
        await alerting.settle_failure(organization, email_id, now())
    return claim


async def _attempt(claim: Claim) -> timedelta | None:
    try:
        return await _carry_out_or_explain(claim)
    except Gone:
        await _discard_draft(claim)
    except Lost:
        _log.info("delivery of %s of %s was taken over", claim.id, claim.organization.name)
    except Exception:
        # The queue counts what fails: its next attempt must not find the claim taken, or it would never end as poison.
        with contextlib.suppress(Lost, StorageError):
            await release(claim, timedelta())
        raise
    return None


async def _carry_out_or_explain(claim: Claim) -> timedelta | None:
    """Carry out, or release the claim where that can be done later, or end as Failed where it never can."""
    try:
        return await _carry_out(claim)
    except (Throttled, Unreachable) as error:
        return await _wait(claim, error)
    except Rejected as error:
        sender = claim.email.get("sender", "The sender")
        await _fail(claim, why_rejected(error.status, error.code, error.message, sender))
    except _CannotSend as error:
        await _fail(claim, str(error))
    except NotFound as error:
        _log.error("content of %s of %s is missing: %s", claim.id, claim.organization.name, error.code)
        await _fail(claim, "its body or an attachment is missing from storage: write it again")
    return None


async def _carry_out(claim: Claim) -> timedelta | None:
    if not claim.email.get("_mailbox"):
        raise _CannotSend("its sender is not a user: choose a systemuser")
    if claim.email.get("_intent"):
        return await _resolve(claim)
    state = await _look(claim) or await _find(claim)
    if state is not None and not state.is_draft:
        # The seller pressed Send on our draft in Outlook.
        await _finish(claim, state)
        return None
    if not claim.email.get("_prepared"):
        await _demand_enabled(claim)
        await _judge(claim)
        await prepare(claim)
    partition = await _read(claim)
    state = state or await _make_draft(claim, partition)
    if claim.email.get("_draft") != state.id:
        await _record_draft(claim, state)
    if not claim.email.get("_attached"):
        await _attach(claim, partition, state.id)
        await record("attached", claim, {"_attached": True})
    await _index(claim, state)
    await _send(claim, state)
    return None


async def _demand_enabled(claim: Claim) -> None:
    """Raise `_CannotSend` where the sender, or who had the mail sent, has been shut out: what somebody who left once
    scheduled does not go out any more. Asked before anything is made, and again as the last thing before it leaves."""
    # The mailbox is that of the sender's own user, named by its id.
    for user in filter(None, dict.fromkeys((claim.email["_mailbox"], claim.email.get("_submittedby")))):
        try:
            check_enabled(await records.get(claim.organization, "systemuser", user))
        except Refused as error:
            raise _CannotSend(str(error)) from None


async def _judge(claim: Claim) -> None:
    """Judge sender, recipients and consent as they are now: the mail may have waited for months since it was sent."""
    parties = (await _read(claim)).parties
    restrictions = await read_restrictions(claim.organization, parties)
    people = await read_people(claim.organization, parties)
    recipients = recipients_of(people)
    try:
        check_sender(people)
        check_recipients(claim.organization, recipients)
    except Refused as error:
        raise _CannotSend(str(error)) from None
    reason = why_not_followed(claim.organization, claim.email, recipients, restrictions)
    judged = {
        "isemailfollowed": reason is None,
        "ee_followreason": reason,
        **consenting.marks(claim.organization, reason, restrictions or {}),
    }
    if any(claim.email.get(name) != value for name, value in judged.items()):
        await record("judged", claim, judged)


async def _look(claim: Claim) -> mail.MessageState | None:
    """Return the state of the message that is recorded as the draft, None where none is or it is gone."""
    if not claim.email.get("_draft") or not claim.email.get("_mailbox"):
        return None
    try:
        return await step("look", mail.get_message(*_place(claim), claim.email["_draft"]))
    except Rejected as error:
        if error.code in MESSAGE_GONE:
            return None
        raise


async def _find(claim: Claim) -> mail.MessageState | None:
    return await step("find draft", mail.find_draft(*_place(claim), key_of(claim.email)))


async def _make_draft(claim: Claim, partition: EmailPartition) -> mail.MessageState:
    body = await _body(claim)
    limit = claim.organization.settings["message_size_limit"]
    if why := why_too_large(body, attached_rows(partition.attachments), limit):
        raise _CannotSend(why)
    draft = draft_of(claim.email, partition.parties, body)
    return await step("create draft", mail.create_draft(*_place(claim), draft))


async def _record_draft(claim: Claim, state: mail.MessageState) -> None:
    changes = {
        "_draft": state.id,
        "_conversation": state.conversation,
        "messageid": state.internet_id,
        "_authors": _authors(state),
        "_attached": None,
    }
    try:
        await record("draft", claim, changes)
    except Lost:
        # Whoever goes on does not know of this draft.
        await _discard(claim, state.id)
        raise


async def _attach(claim: Claim, partition: EmailPartition, draft: str) -> None:
    """Bring the draft's attachments in line with the email's: add what is missing, take off what is there twice."""
    wanted = attached_rows(partition.attachments)
    there = await step("list attachments", mail.list_attachments(*_place(claim), draft)) if wanted else []
    missing, surplus = compare(wanted, there)
    for attached in surplus:
        await step("remove attachment", mail.remove_attachment(*_place(claim), draft, attached.id))
    for row in missing:
        attachment = attachment_of(row)
        await renew(claim)
        work = mail.add_attachment(
            *_place(claim), draft, attachment, reader(claim.organization, row), lambda: renew(claim)
        )
        await step("attach", work)


async def _index(claim: Claim, state: mail.MessageState) -> None:
    """Make the email findable by what a reply will name, before there can be one."""
    if not claim.email.get("isemailfollowed"):
        return
    for table, key in (("conversation", state.conversation), ("message", state.internet_id)):
        if key:
            hashed = records.hashed_key(key)
            await step(f"index {table}", records.put(claim.organization, table, hashed, {"email": claim.id}))
    try:
        await follow_mailbox(claim.organization, claim.email["_mailbox"], claim.email["sender"], claim.clock())
    except StorageError as error:
        _log.warning("replies to %s of %s may be missed: %s", claim.id, claim.organization.name, error.code)


async def _send(claim: Claim, state: mail.MessageState) -> None:
    await _demand_enabled(claim)
    await record("intent", claim, {"_intent": iso(claim.clock())})
    try:
        await step("send", mail.send_draft(*_place(claim), state.id))
    except Throttled as error:
        if error.status == 429:
            # Certain not to have been carried out, so that there is no doubt to sit out.
            await record("intent withdrawn", claim, {"_intent": None})
        raise
    except Rejected:
        # A worker that was thought dead may have sent it: then the message is no draft any more.
        state = await step("look", mail.get_message(*_place(claim), state.id))
        if state.is_draft:
            raise
        await _finish(claim, state)
        return
    state = await step("look", mail.get_message(*_place(claim), state.id))
    await _finish(claim, replace(state, is_draft=False))


async def _resolve(claim: Claim) -> timedelta | None:
    """Find out what became of a message that was to be sent; send it again only when it is certain that it was not."""
    state = await _look(claim)
    if state is not None and not state.is_draft:
        await _finish(claim, state)
        return None
    if claim.clock() - parse_iso(claim.email["_intent"]) < DOUBT_ENDS:
        return await release(claim, DOUBT)
    if state is None:
        raise _CannotSend(UNCERTAIN)
    await _send(claim, state)
    return None


async def _finish(claim: Claim, state: mail.MessageState) -> None:
    if state.internet_id and state.internet_id != claim.email.get("messageid"):
        await _index(claim, state)
    sent_at = iso_seconds(milliseconds(state.sent_at or claim.clock()))
    body = claim.email.get("_sentbody")
    changes = {
        "statecode": 1,
        "statuscode": SENT,
        "senton": sent_at,
        "actualend": sent_at,
        "modifiedon": iso_seconds(milliseconds(claim.clock())),
        "messageid": state.internet_id or claim.email.get("messageid"),
        # Microsoft 365 says which address it sent from; the user's row is what an administrator wrote.
        "sender": state.sender or claim.email.get("sender"),
        "_authors": _authors(state) or claim.email.get("_authors"),
        "_conversation": state.conversation or claim.email.get("_conversation"),
        "ee_lateby": _seconds_late(claim),
        "_sentbody": None,
    }
    await record("sent", claim, changes)
    metrics.SENDS.add(claim.organization.name)
    await _forget_body(claim, body)


def _authors(state: mail.MessageState) -> str | None:
    """Return the addresses that Microsoft 365 sends a message from: often another than the user's sign-in name."""
    return " ".join(dict.fromkeys(filter(None, (state.sender, state.submitter)))) or None


def _seconds_late(claim: Claim) -> int | None:
    """Return by how much a scheduled mail left after its time, None where that was in time.

    It left when that was intended: whoever records it may have come much later.
    """
    if not claim.email.get("_scheduled"):
        return None
    left = parse_iso(claim.email["_intent"]) if claim.email.get("_intent") else claim.clock()
    late = left - parse_iso(claim.email["_scheduled"])
    return int(late.total_seconds()) if late > IN_TIME else None


async def _fail(claim: Claim, reason: str) -> None:
    """End as Failed with a reason; what was made in the mailbox is taken away."""
    body = claim.email.get("_sentbody")
    await _discard_draft(claim)
    changes = {
        "statecode": 0,
        "statuscode": FAILED,
        "ee_failurereason": reason,
        alerting.state_column("failed"): "raise",
        "modifiedon": iso_seconds(milliseconds(claim.clock())),
        "_intent": None,
        "_sentbody": None,
    }
    await record("failed", claim, changes)
    metrics.SEND_FAILURES.add(claim.organization.name)
    _log.warning("email %s of %s was not sent", claim.id, claim.organization.name)
    await _forget_body(claim, body)
    await step("card", alerting.settle_failure(claim.organization, claim.id, claim.clock()))


async def _wait(claim: Claim, error: Throttled | Unreachable) -> timedelta | None:
    """Let go for as long as Microsoft 365 asks, or a little longer each time; after a day, give up."""
    if claim.clock() - parse_iso(claim.email["_since"]) > GIVE_UP:
        await _fail(claim, UNCERTAIN if claim.email.get("_intent") else UNREACHABLE)
        return None
    _log.warning("delivery of %s of %s waits for Microsoft 365: %s", claim.id, claim.organization.name, error)
    if isinstance(error, Throttled):
        return await release(claim, timedelta(seconds=max(1.0, error.retry_after)))
    failures = int(claim.email.get("_failures") or 0)
    return await release(claim, min(DOUBT * 2**failures, LONGEST_WAIT), {"_failures": min(failures + 1, 10)})


async def _discard_draft(claim: Claim) -> None:
    """Delete the recorded draft if it still is one."""
    draft = claim.email.get("_draft")
    if not draft or not claim.email.get("_mailbox"):
        return
    try:
        state = await mail.get_message(*_place(claim), draft)
    except GraphError:
        return
    if state.is_draft:
        await _discard(claim, draft)


async def _discard(claim: Claim, draft: str) -> None:
    try:
        await step("discard draft", mail.delete_message(*_place(claim), draft))
    except GraphError as error:
        _log.warning("a draft of %s of %s was left behind: %s", claim.id, claim.organization.name, error)


async def _forget_body(claim: Claim, name: str | None) -> None:
    if name:
        try:
            await blobs.delete(claim.organization, name)
        except StorageError as error:
            _log.warning("blob %s of %s was left behind: %s", name, claim.organization.name, error.code)


async def _body(claim: Claim) -> str:
    name = claim.email.get("_sentbody")
    if name:
        return (await blobs.get(claim.organization, name)).decode("utf-8", "surrogatepass")
    return await emails.read_body(claim.organization, claim.email)


async def _read(claim: Claim) -> EmailPartition:
    partition = await emails.read_partition(claim.organization, claim.id)
    if partition is None:
        raise Gone
    return partition


def _place(claim: Claim) -> tuple[str, str]:
    return claim.organization.tenant, claim.email["_mailbox"]
