"""Withdrawing from being followed, by the link in a mail.

Whoever presses the button of the page is queued with ids only: a mail to one person names them in its link; one to
several asks for the address, and that address is sent the link that names it. What ends following is written first, the
person's record after it: clients of Dataverse see ``followemail`` false, the history keeps when, how and the wording.
"""

import logging
import uuid
from collections.abc import Mapping
from datetime import datetime, timedelta

from shared.engagement import consent, withdrawal
from shared.engagement.options import is_recipient
from shared.engagement.times import iso_seconds, milliseconds, parse_iso
from shared.engagement.tokens import Token, TokenKind, mint
from shared.graph import mail
from shared.graph.client import GraphError, Throttled, Unreachable
from shared.services import consenting
from shared.services.senders import mailbox_of
from shared.settings import settings
from shared.storage import consents, emails, records
from shared.storage.account import Conflict, NotFound, PreconditionFailed
from shared.storage.contention import insist
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation

WITHDRAW, CONFIRM = "withdraw", "confirm"
APART = timedelta(minutes=10)
A_DAY, PER_DAY = timedelta(days=1), 3
"""An address is asked to confirm at most this often, whoever asks: a form must not be a way to flood a mailbox."""

_ASKED = "withdrawal mail"
"""Partition of the times at which addresses were asked, by their hash; removed by `forget_asked`."""
_LATER = timedelta(minutes=1)

_log = logging.getLogger(__name__)


async def withdraw(organization: Organization, work: Mapping[str, str]) -> None:
    """End following for the person that `work` names: ``address`` (hash), ``record``, ``email``, ``on``, ``id``,
    ``language``. Safe to repeat."""
    method, wording = f"withdrawal link in email {work['email']}", withdrawal.wording(work["language"])
    proof = {"why": consenting.WITHDRAWN, "on": work["on"], "method": method, "wording": wording}
    await consents.end_for_address(organization, work["address"], work["id"], proof)
    table, _, key = work["record"].partition(" ")
    if not key:
        return
    told = {
        consent.STATE: consent.WITHDRAWN,
        consent.ON: work["on"],
        consent.METHOD: method,
        consent.WORDING: wording,
    }

    async def attempt() -> None:
        if (await consents.ending(organization, table, key) or {}).get("id") == work["id"]:
            return
        record = await records.get(organization, table, key)
        rows = [
            consents.change_of(table, key, told, "", work["on"]),
            consents.ending_of(table, key, work["id"], consenting.WITHDRAWN, work["on"]),
        ]
        if record is not None and not _is_newer(record, work["on"]):
            changes = {**told, consent.FOLLOW: False, "modifiedon": work["on"], "PartitionKey": table, "RowKey": key}
            rows.append(Operation("merge", changes, record["etag"]))
        await organization.tables.transact(organization.records, rows)

    await insist(attempt)


async def confirm(organization: Organization, work: Mapping[str, str], now: datetime) -> timedelta | None:
    """Send the address that `work` names by its hash a link to withdraw by, where the email went to it; return when to
    try again, None when that is done or not to be done. An address that the email did not go to gets nothing."""
    partition = await emails.read_partition(organization, work["email"])
    party = _recipient(partition, work["address"]) if partition is not None else None
    if partition is None or party is None:
        return None
    mailbox = await mailbox_of(organization, partition.email)
    if not mailbox:
        _log.error(
            "who wants to withdraw from following by email %s of %s cannot be asked to confirm, so they cannot: its "
            "sender is not a user",
            work["email"], organization.name,
        )  # fmt: skip
        return None
    asked = await records.get(organization, _ASKED, work["address"])
    times = [parse_iso(text) for text in str((asked or {}).get("times") or "").split()]
    times = [time for time in times if now - time < A_DAY]
    if len(times) >= PER_DAY or any(now - time < APART for time in times):
        return None
    if not await _note(organization, work["address"], asked, [*times, now]):
        return _LATER
    subject, html = withdrawal.confirmation(work["language"], _url(organization, work["email"], party))
    notice = mail.Notice(mail.Mailbox(party["addressused"]), subject, html)
    try:
        await mail.send_notice(organization.tenant, mailbox, notice)
    except Unreachable as error:
        # It may have left. Twice is no harm, never would keep somebody from withdrawing.
        _log.warning("who withdraws from email %s of %s is asked again: %s", work["email"], organization.name, error)
        return APART
    except GraphError as error:
        await records.put(organization, _ASKED, work["address"], {"times": " ".join(map(_iso, times))})
        if isinstance(error, Throttled):
            return timedelta(seconds=max(1.0, error.retry_after))
        _log.error(
            "who wants to withdraw from following by email %s of %s cannot be asked to confirm, so they cannot: %s. "
            "Check that the app may send from its sender's mailbox",
            work["email"], organization.name, error,
        )  # fmt: skip
    return None


async def forget_asked(organization: Organization, now: datetime) -> None:
    """Remove the times at which addresses were asked, where no limit looks at them any more."""
    async for page in records.query(organization, _ASKED):
        for row in page:
            if all(now - parse_iso(text) >= A_DAY for text in row["times"].split()):
                await records.delete(organization, _ASKED, row["RowKey"])


def _is_newer(record: Mapping[str, object], on: str) -> bool:
    """Return whether a record has consent that was granted after the withdrawal."""
    return record.get(consent.STATE) == consent.GRANTED and str(record.get(consent.ON) or "") > on


def _recipient(partition: EmailPartition, address: str) -> Entity | None:
    """Return the recipient of an email whose address has a hash, None where it went to no such address."""
    addressed = (party for party in partition.parties if is_recipient(party))
    known = (party for party in addressed if party.get("addressused"))
    return next((party for party in known if withdrawal.address_key(party["addressused"]) == address), None)


def _url(organization: Organization, email_id: str, party: Entity) -> str:
    configured = settings()
    target = withdrawal.dump(consenting.recipient_of(party))
    kind = TokenKind.WITHDRAWAL
    token = Token(configured.token_key, organization.name, kind, uuid.UUID(email_id), 0, None, target)
    return f"{configured.base_url}/{kind.route}/{mint(token, configured.token_secrets)}"


async def _note(organization: Organization, address: str, asked: Entity | None, times: list[datetime]) -> bool:
    """Note when an address was asked, before it is; return False where somebody else did so just now."""
    columns = {"times": " ".join(map(_iso, times))}
    try:
        if asked is None:
            await records.insert(organization, _ASKED, address, columns)
        else:
            await records.put(organization, _ASKED, address, columns, asked["etag"])
    except (Conflict, PreconditionFailed, NotFound):
        return False
    return True


def _iso(time: datetime) -> str:
    return iso_seconds(milliseconds(time))
