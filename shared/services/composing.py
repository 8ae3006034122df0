"""Composing mail: making, changing and deleting emails with their parties and attachments.

Every change reads the whole email, decides, and commits with the etag it read; where somebody was faster it reads and
decides again. What may still change when is Dataverse's rule: a Draft (or a mail that failed) is open, a mail that is
on its way or gone keeps its words, and only what surrounds it (what it regards, its reminder, its owner) may change.
"""

import json
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from shared.engagement.following import NOT_SENT
from shared.engagement.options import (
    CANCELED,
    COMPLETED,
    DRAFT,
    FAILED,
    PENDING_SEND,
    RECEIVED,
    SENDER,
    SENDING,
    SENT,
    STATE_OF_STATUS,
    STATUS_NAMES,
    STATUS_OF_STATE,
)
from shared.engagement.times import iso_seconds, milliseconds, parse_iso
from shared.services import attaching, reminding
from shared.services.agenda import enter_delivery, hint_delivery
from shared.services.attaching import MAX_ATTACHMENTS, Attachment
from shared.services.caller import Caller
from shared.services.claiming import scheduled
from shared.services.drafts import delete_blobs, is_undone, read_own, stamp
from shared.services.errors import Missing, Refused
from shared.services.parties import Party, check_parties, make_rows, parties_of, replace_rows
from shared.services.recipients import address_columns, address_rows, read_people
from shared.services.rights import demand_ownership, demand_write
from shared.services.versions import demand_version
from shared.storage import blobs, emails, records
from shared.storage.account import Conflict, StorageError
from shared.storage.contention import insist
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation, chunks, literal

MAX_BODY = 3 * 1024 * 1024
"""Bytes of a body as JSON: a request to Graph stays under 4 MB, and following adds to it."""

MAX_DELAY = timedelta(days=3653)
"""How far ahead a mail can be scheduled: ten years, past every plan, short of every slip of the keyboard."""

AROUND = frozenset({
    "regardingobjectid", "regardingobjectid_type", "ownerid", "reminderactioncardid",
    "emailreminderexpirytime", "emailremindertext", "emailremindertype",
})  # fmt: skip
"""What may change whatever has become of the mail."""

type Finish = Callable[[EmailPartition], Awaitable[EmailPartition]]
"""Returns an email as it is to be written, from how it was composed."""

_GONE = frozenset({COMPLETED, SENT, RECEIVED})
"""What a mail is that went out by other means."""
_CLOSINGS = _GONE | {CANCELED}

_log = logging.getLogger(__name__)


async def create_email(
    organization: Organization,
    caller: Caller,
    columns: Mapping[str, Any],
    *,
    parties: Sequence[Party] = (),
    attachments: Sequence[Attachment] = (),
    body: str = "",
    id: str = "",
    now: datetime,
    finish: Finish | None = None,
) -> str:
    """Make an email as a Draft and return its id; the sender defaults to the caller.

    `columns` are stored values by logical name. `finish` is asked last, and what it returns is written instead: an
    email that begins as anything but a Draft is none before, whatever ends this in between. Raises `Refused` (a party
    or file that may not be, too large a body), `Missing` (a party's record), `Denied`, and `Conflict` where `id` is
    taken.
    """
    made = id or str(uuid.uuid4())
    owner = columns.get("ownerid") or caller.user
    outgoing = _is_outgoing(columns)
    if outgoing and not any(party.mask == SENDER for party in parties):
        parties = (Party(SENDER, "systemuser", caller.user), *parties)
    check_body(body)
    _check_schedule(columns, now)
    _demand_right(caller, {}, {**columns, "ownerid": owner, "statuscode": DRAFT}, parties, chosen=True)
    if len(attachments) > MAX_ATTACHMENTS:
        raise Refused(f"An email has at most {MAX_ATTACHMENTS} attachments.")
    files = [attaching.check(organization, attachment) for attachment in attachments]
    party_rows = await make_rows(organization, made, parties, outgoing=outgoing)
    if await emails.get_email(organization, made, ("RowKey",)) is not None:
        raise Conflict(409, "EntityAlreadyExists")
    email = {
        **columns,
        **stamp(caller, now),
        "createdon": iso_seconds(milliseconds(now)),
        "createdby": caller.user,
        "ownerid": owner,
        "statecode": 0,
        "statuscode": DRAFT,
        "attachmentcount": len(files),
        "PartitionKey": made,
        "RowKey": emails.EMAIL,
    }
    email |= await reminding.columns_of(organization, made, {}, email, now)
    await _write_email(organization, email, party_rows, files, body, finish)
    return made


async def _write_email(
    organization: Organization,
    email: Entity,
    parties: Sequence[Entity],
    files: Sequence[Attachment],
    body: str,
    finish: Finish | None,
) -> None:
    """Write an email with everything under it, its own row last: until then there is no email."""
    made = email["PartitionKey"]
    attachments: list[Entity] = []
    body_blob, committing = "", False
    try:
        body_blob = await _write_body(organization, made, body)
        for number, file in enumerate(files, 1):
            attachments.append(await attaching.write(organization, made, file, number))
        made_of = EmailPartition({**email, "_body": body_blob}, tuple(parties), tuple(attachments), (), (), ())
        if finish is not None:
            made_of = await finish(made_of)
        committing = True
        await emails.insert(organization, made_of.email, [*made_of.parties, *made_of.attachments])
    except BaseException as error:
        if not committing or is_undone(error):
            await delete_blobs(organization, [body_blob])
            await attaching.discard(organization, attachments)
        raise


async def change_email(
    organization: Organization,
    caller: Caller,
    id: str,
    changes: Mapping[str, Any],
    *,
    parties: Sequence[Party] | None = None,
    body: str | None = None,
    now: datetime,
    expected: int | None = None,
) -> None:
    """Change an email. `changes` are stored values by logical name, None clears; `parties` replaces all of them, `body`
    the HTML; None leaves them. ``statecode`` and ``statuscode`` close a Draft without sending it, or take a mail that
    is Pending Send back to Draft. `expected` is the version that must still hold.

    Raises `Missing`, `Denied`, `Refused` naming the column that may not change and why, and `PreconditionFailed`.
    """
    if body is not None:
        check_body(body)
    _check_schedule(changes, now)
    new_body = await _write_body(organization, id, body) if body is not None else ""

    async def attempt() -> str:
        partition = await read_own(organization, caller, id, expected)
        old = partition.email
        move = _transition(old, changes, now)
        wanted = {**{k: v for k, v in changes.items() if k not in ("statecode", "statuscode")}, **move}
        _check_changes(old, move, wanted, parties is not None, body is not None)
        chosen = parties if parties is not None else parties_of(partition.parties)
        _demand_right(caller, old, {**old, **wanted}, chosen, chosen=parties is not None)
        outgoing, party_rows, rows = _is_outgoing({**old, **wanted}), list(partition.parties), list[Operation]()
        if parties is not None:
            party_rows = await make_rows(organization, id, parties, outgoing=outgoing)
            rows = replace_rows(partition.parties, party_rows)
        if outgoing and move.get("statuscode") in _GONE:
            people = await read_people(organization, party_rows)
            wanted |= {**address_columns(people), "messageid": None}
            rows += address_rows(people) if parties is None else []
        if body is not None:
            wanted["_body"] = new_body or None
        due = _due(old, wanted, now)
        if due is not None:
            wanted["_scheduled"] = scheduled(wanted["delayedemailsendtime"], now)
            await enter_delivery(organization, id, due, now)
        wanted |= await reminding.columns_of(organization, id, old, wanted, now)
        await emails.commit(organization, old, {**wanted, **stamp(caller, now)}, rows)
        if due is not None:
            await hint_delivery(organization, id, due, now)
        return str(old.get("_body") or "")

    try:
        old_body = await insist(attempt, once=expected is not None)
    except BaseException as error:
        if is_undone(error):
            await delete_blobs(organization, [new_body])
        raise
    if body is not None and old_body != new_body:
        await delete_blobs(organization, [old_body])


async def delete_email(organization: Organization, caller: Caller, id: str, *, expected: int | None = None) -> None:
    """Delete an email with everything under it, its blobs and the keys by which it is found.

    The hosted images of a mail that was sent stay: recipients still look at them. Raises `Missing`, `Denied`,
    `PreconditionFailed`. Deleting what is half deleted finishes the work and then says `Missing`.
    """

    async def attempt() -> None:
        rows = await organization.tables.query_all(organization.emails, f"PartitionKey eq {literal(id)}")
        email = next((row for row in rows if row["RowKey"] == emails.EMAIL), None)
        gone = [Operation("delete", row, "*") for row in rows if row is not email]
        if email is not None:
            demand_write(caller, email, "This email")
            demand_version(email, expected)
            await emails.announce_deletion(organization, rows)
            gone.insert(0, Operation("delete", email, email["etag"]))
        for chunk in chunks(gone):
            await organization.tables.transact(organization.emails, chunk)
            await _forget(organization, [operation.entity for operation in chunk])
        if email is None:
            raise Missing(f"email With Id = {id} Does Not Exist")

    await insist(attempt, once=expected is not None)


def body_size(body: str) -> int:
    """Return the bytes of a body in a request to Graph: JSON with all but ASCII escaped, as the SDK writes it."""
    return len(json.dumps(body))


def check_body(body: str, name: str = "description") -> None:
    """Raise `Refused` where a body, or what becomes one, is too large; `name` is the column's."""
    size = body_size(body)
    if size > MAX_BODY:
        raise Refused(
            f"The {name} takes {size:,} bytes in a request to Microsoft Graph; at most {MAX_BODY:,} fit. "
            "Attach large images instead of embedding them."
        )


async def _write_body(organization: Organization, email: str, body: str) -> str:
    if not body:
        return ""
    name = f"bodies/{email}/{uuid.uuid4()}"
    await blobs.put(organization, name, body.encode("utf-8", "surrogatepass"), "text/html; charset=utf-8")
    return name


def _transition(email: Entity, changes: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the columns of the state that `changes` asks for, {} where it asks for none or the present one."""
    if "statecode" not in changes and "statuscode" not in changes:
        return {}
    status = changes.get("statuscode") or STATUS_OF_STATE[changes["statecode"]]
    state = STATE_OF_STATUS[status]
    if changes.get("statecode", state) != state:
        raise Refused(
            f"{status} ({STATUS_NAMES[status]}) is not a valid statuscode for statecode {changes['statecode']}."
        )
    current = email.get("statuscode", DRAFT)
    if status == current:
        return {}
    if status == DRAFT and current in (PENDING_SEND, FAILED):
        return {"statecode": 0, "statuscode": DRAFT, "isemailfollowed": False, "ee_followreason": None}
    if status in _CLOSINGS and current in (DRAFT, FAILED):
        sent = {"senton": iso_seconds(milliseconds(now))} if status == SENT else {}
        return {
            "statecode": state,
            "statuscode": status,
            "actualend": iso_seconds(milliseconds(now)),
            "isemailfollowed": False,
            "ee_followreason": NOT_SENT,
            **sent,
        }
    hint = "; call SendEmail to send it" if status in (PENDING_SEND, SENDING) else ""
    raise Refused(f"The email is {STATUS_NAMES[current]} and cannot become {STATUS_NAMES[status]}{hint}.")


def _demand_right(
    caller: Caller, old: Mapping[str, Any], new: Mapping[str, Any], parties: Sequence[Party], *, chosen: bool
) -> None:
    """Raise `Denied` or `Refused` where the caller may not make an email `new` of `old` ({} where it is made): what may
    not be made may not come to be by a change. `chosen` says that the caller gave its `parties`."""
    if new.get("ownerid") != old.get("ownerid"):
        demand_ownership(caller, str(new.get("ownerid")))
    moved, outgoing = new.get("statuscode") != old.get("statuscode"), _is_outgoing(new)
    if moved and new.get("statuscode") == SENT and not outgoing:
        raise Refused("The email is an incoming one (directioncode false): it can be Received, not Sent.")
    if chosen or outgoing != _is_outgoing(old) or (moved and new.get("statuscode") in _GONE):
        check_parties(caller, parties, outgoing=outgoing)


def _is_outgoing(email: Mapping[str, Any]) -> bool:
    return email.get("directioncode") is not False


def _check_changes(
    email: Entity, move: Mapping[str, Any], wanted: Mapping[str, Any], parties: bool, body: bool
) -> None:
    current = email.get("statuscode", DRAFT)
    if current in (DRAFT, FAILED) or move.get("statuscode") == DRAFT:
        return
    allowed = AROUND | {"delayedemailsendtime"} if current == PENDING_SEND else AROUND
    names = [name for name in wanted if name not in allowed and name not in move]
    names += ["email_activity_parties"] if parties else []
    names += ["description"] if body else []
    if names:
        raise Refused(f"'{names[0]}' cannot be changed: the email is {STATUS_NAMES[current]}, not a Draft.")


def _due(email: Entity, wanted: Mapping[str, Any], now: datetime) -> datetime | None:
    """Return when a mail that waits is to leave after a change of its time; None where that is not changed."""
    status = wanted.get("statuscode", email.get("statuscode", DRAFT))
    if status != PENDING_SEND or "delayedemailsendtime" not in wanted:
        return None
    later = scheduled(wanted["delayedemailsendtime"], now)
    return parse_iso(later) if later else now


def _check_schedule(columns: Mapping[str, Any], now: datetime) -> None:
    later = columns.get("delayedemailsendtime")
    if later and parse_iso(later) - now > MAX_DELAY:
        raise Refused(
            f"'delayedemailsendtime' {later} is more than ten years ahead: choose a time before then, or null to send "
            "at once."
        )


async def _forget(organization: Organization, rows: Sequence[Mapping[str, Any]]) -> None:
    """Delete the blobs, keys and index rows of rows that are gone; what cannot be deleted now is only wasted space."""
    await attaching.discard(organization, [row for row in rows if row["RowKey"].startswith("attachment:")])
    for row in rows:
        if row["RowKey"] == emails.EMAIL:
            await emails.unlist(organization, row)
            await delete_blobs(organization, [row.get("_body") or ""])
            for table, column in (("conversation", "_conversation"), ("message", "messageid")):
                await _forget_key(organization, table, row.get(column) or "", row["PartitionKey"])


async def _forget_key(organization: Organization, table: str, foreign: str, email: str) -> None:
    """Delete the key that leads from a conversation or message id to an email, unless it leads to another by now."""
    key = records.hashed_key(foreign)
    try:
        found = await records.get(organization, table, key) if foreign else None
        if found is not None and found.get("email") == email:
            await records.delete(organization, table, key, found["etag"])
    except StorageError:
        _log.warning("a key of email %s was left behind in organization %s", email, organization.name)
