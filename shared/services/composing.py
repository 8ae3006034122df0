"""Composing mail: making, changing and deleting emails with their parties and attachments.

Every change reads the whole email, decides, and commits with the etag it read; where somebody was faster it reads and
decides again. What may still change when is Dataverse's rule: a Draft (or a mail that failed) is open, a mail that is
on its way or gone keeps its words, and only what surrounds it (what it regards, its reminder, its owner) may change.
"""

import asyncio
import json
import logging
import re
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared.services.caller import Caller
from shared.services.errors import Missing, Refused
from shared.services.rights import Denied, demand_ownership, demand_write
from shared.services.versions import demand_version
from shared.storage import agenda, blobs, emails, queues, records
from shared.storage.account import Conflict, NotFound, PreconditionFailed, StorageError
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation, chunks, literal

MAX_BODY = 3 * 1024 * 1024
"""Bytes of a body as JSON: a request to Graph stays under 4 MB, and following adds to it."""
MAX_PARTIES = 500
"""The most recipients that Exchange Online takes by default in one message."""
MAX_ATTACHMENTS = 100

DRAFT, COMPLETED, SENT, RECEIVED, CANCELED, PENDING_SEND, SENDING, FAILED = range(1, 9)
STATUS_NAMES = ("", "Draft", "Completed", "Sent", "Received", "Canceled", "Pending Send", "Sending", "Failed")
_STATES = {DRAFT: 0, COMPLETED: 1, SENT: 1, RECEIVED: 1, CANCELED: 2, PENDING_SEND: 1, SENDING: 1, FAILED: 0}
_DEFAULT_STATUS = {0: DRAFT, 1: COMPLETED, 2: CANCELED}
_CLOSINGS = frozenset({COMPLETED, SENT, RECEIVED, CANCELED})

AROUND = frozenset({
    "regardingobjectid", "regardingobjectid_type", "ownerid", "reminderactioncardid",
    "emailreminderexpirytime", "emailremindertext", "emailremindertype",
})  # fmt: skip
"""What may change whatever has become of the mail."""

SENDER, TO, CC, BCC = 1, 2, 3, 4
ADDRESS_COLUMNS = {
    "contact": "emailaddress1",
    "account": "emailaddress1",
    "lead": "emailaddress1",
    "systemuser": "internalemailaddress",
    "queue": "emailaddress",
}
NAME_COLUMNS = {"contact": "fullname", "account": "name", "lead": "fullname", "systemuser": "fullname", "queue": "name"}

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+( *; *[\w!#$&^.+-]+=(\"[ !#-~]*\"|[\w!#$&^.+-]+))*", re.ASCII)
_ATTEMPTS = 8

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody in an address line: `mask` is Dataverse's participationtypemask. `table` and `id` name a record; without
    them the party is unresolved and has only an `address`. An `address` beside a record chooses among its addresses."""

    mask: int
    table: str = ""
    id: str = ""
    address: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to attach; with `content_id` it is an inline image of the body (RFC 2392)."""

    filename: str
    mimetype: str
    content: bytes
    content_id: str = ""
    subject: str = ""
    id: str = ""


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
) -> str:
    """Make an email as a Draft and return its id; the sender defaults to the caller.

    `columns` are stored values by logical name. Raises `Refused` (a party or file that may not be, too large a body),
    `Missing` (a party's record), `Denied`, and `Conflict` where `id` is taken.
    """
    id = id or str(uuid.uuid4())
    owner = columns.get("ownerid") or caller.user
    demand_ownership(caller, owner)
    outgoing = columns.get("directioncode") is not False
    if outgoing and not any(party.mask == SENDER for party in parties):
        parties = (Party(SENDER, "systemuser", caller.user), *parties)
    _check_body(body)
    _check_parties(caller, parties, outgoing=outgoing)
    if len(attachments) > MAX_ATTACHMENTS:
        raise Refused(f"An email has at most {MAX_ATTACHMENTS} attachments.")
    files = [_check_attachment(organization, attachment) for attachment in attachments]
    party_rows = await _party_rows(organization, id, parties)
    if await emails.get_email(organization, id, ("RowKey",)) is not None:
        raise Conflict(409, "EntityAlreadyExists")
    written: list[str] = []
    try:
        body_blob = await _write_body(organization, id, body)
        written.extend(filter(None, (body_blob,)))
        rows = [Operation("put", row) for row in party_rows]
        for number, file in enumerate(files, 1):
            row = await _write_attachment(organization, id, file, number)
            written.append(row["_blob"])
            rows.append(Operation("put", row))
        email = {
            **columns,
            **_stamp(caller, now),
            "createdon": _seconds(now),
            "createdby": caller.user,
            "ownerid": owner,
            "statecode": 0,
            "statuscode": DRAFT,
            "attachmentcount": len(files),
            "_body": body_blob,
            "PartitionKey": id,
            "RowKey": emails.EMAIL,
        }
        for chunk in chunks([*rows, Operation("insert", email)]):
            await organization.tables.transact(organization.emails, chunk)
    except BaseException:
        await _delete_blobs(organization, written)
        raise
    return id


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
        _check_body(body)
    new_body = await _write_body(organization, id, body) if body is not None else ""

    async def attempt() -> str:
        partition = await _read(organization, caller, id, expected)
        old = partition.email
        move = _transition(old, changes, now)
        wanted = {**{k: v for k, v in changes.items() if k not in ("statecode", "statuscode")}, **move}
        _check_changes(old, move, wanted, parties is not None, body is not None)
        rows: list[Operation] = []
        if parties is not None:
            _check_parties(caller, parties, outgoing=old.get("directioncode") is not False)
            rows = _replace_rows(partition.parties, await _party_rows(organization, id, parties))
        if body is not None:
            wanted["_body"] = new_body or None
        due = await _reschedule(organization, id, old, wanted, now)
        await emails.commit(organization, id, old["etag"], _cleared({**wanted, **_stamp(caller, now)}), rows)
        if due is not None and due <= now:
            await queues.send(queues.DELIVER, {"organization": organization.name, "email": id})
        return str(old.get("_body") or "")

    try:
        old_body = await _decide(attempt, expected)
    except BaseException:
        await _delete_blobs(organization, [new_body])
        raise
    if body is not None:
        await _delete_blobs(organization, [old_body])


async def delete_email(organization: Organization, caller: Caller, id: str, *, expected: int | None = None) -> None:
    """Delete an email with everything under it, its blobs and the keys by which it is found.

    The hosted images of a mail that was sent stay: recipients still look at them. Raises `Missing`, `Denied`,
    `PreconditionFailed`. Deleting what is half deleted finishes the work and then says `Missing`.
    """

    async def attempt() -> list[Entity]:
        rows = await organization.tables.query_all(organization.emails, f"PartitionKey eq {literal(id)}")
        email = next((row for row in rows if row["RowKey"] == emails.EMAIL), None)
        others = [Operation("delete", row, "*") for row in rows if row is not email]
        if email is not None:
            demand_write(caller, email, "This email")
            demand_version(email, expected)
            others.insert(0, Operation("delete", email, email["etag"]))
        for chunk in chunks(others):
            await organization.tables.transact(organization.emails, chunk)
        if email is None:
            raise Missing(f"email With Id = {id} Does Not Exist")
        return rows

    await _forget(organization, await _decide(attempt, expected))


async def add_attachment(
    organization: Organization, caller: Caller, email: str, attachment: Attachment, *, now: datetime
) -> str:
    """Attach a file to a Draft and return its id; raise `Refused`, `Missing` (no such email), `Denied`, `Conflict`."""
    file = _check_attachment(organization, attachment)
    await _read_open(organization, caller, email, None)
    written = await _write_attachment(organization, email, file, 0)

    async def attempt() -> None:
        partition = await _read_open(organization, caller, email, None)
        if len(partition.attachments) >= MAX_ATTACHMENTS:
            raise Refused(f"An email has at most {MAX_ATTACHMENTS} attachments.")
        number = max((row.get("attachmentnumber", 0) for row in partition.attachments), default=0) + 1
        await emails.commit(
            organization,
            email,
            partition.email["etag"],
            {**_stamp(caller, now), "attachmentcount": len(partition.attachments) + 1},
            [Operation("insert", {**written, "attachmentnumber": number})],
        )

    try:
        await _decide(attempt, None)
    except BaseException:
        await _delete_blobs(organization, [written["_blob"]])
        raise
    return str(written["activitymimeattachmentid"])


async def change_attachment(
    organization: Organization,
    caller: Caller,
    id: str,
    changes: Mapping[str, Any],
    *,
    content: bytes | None = None,
    now: datetime,
    expected: int | None = None,
) -> None:
    """Change an attachment of a Draft: ``filename``, ``mimetype``, ``subject``, ``attachmentcontentid`` or its content;
    raise `Refused`, `Missing`, `Denied`, `PreconditionFailed`."""
    email = await email_of_attachment(organization, id)
    blob = _attachment_blob(email)
    if content is not None:
        _check_size(organization, str(changes.get("filename") or "attachment"), len(content))
        await blobs.put(organization, blob, content)

    async def attempt() -> str:
        partition = await _read_open(organization, caller, email, None)
        row = _attachment_row(partition, id)
        demand_version(row, expected)
        checked = _check_attachment(
            organization,
            Attachment(
                changes.get("filename", row.get("filename")) or "",
                changes.get("mimetype", row.get("mimetype")) or "",
                b"",
                changes.get("attachmentcontentid", row.get("attachmentcontentid")) or "",
                changes.get("subject", row.get("subject")) or "",
            ),
        )
        new = {
            "filename": checked.filename,
            "mimetype": checked.mimetype,
            "subject": checked.subject,
            "attachmentcontentid": checked.content_id,
            "isfollowed": bool(row.get("isfollowed")) and not checked.content_id,
        }
        if content is not None:
            new |= {"_blob": blob, "filesize": len(content)}
        operation = Operation("merge", {**new, "PartitionKey": email, "RowKey": row["RowKey"]}, row["etag"])
        await emails.commit(organization, email, partition.email["etag"], _stamp(caller, now), [operation])
        return str(row.get("_blob") or "")

    try:
        old = await _decide(attempt, expected)
    except BaseException:
        await _delete_blobs(organization, [blob] if content is not None else [])
        raise
    if content is not None:
        await _delete_blobs(organization, [old])


async def delete_attachment(
    organization: Organization, caller: Caller, id: str, *, now: datetime, expected: int | None = None
) -> None:
    """Take a file off a Draft; raise `Refused`, `Missing`, `Denied`, `PreconditionFailed`."""
    email = await email_of_attachment(organization, id)

    async def attempt() -> str:
        partition = await _read_open(organization, caller, email, None)
        row = _attachment_row(partition, id)
        demand_version(row, expected)
        changes = {**_stamp(caller, now), "attachmentcount": len(partition.attachments) - 1}
        await emails.commit(
            organization, email, partition.email["etag"], changes, [Operation("delete", row, row["etag"])]
        )
        return str(row.get("_blob") or "")

    blob = await _decide(attempt, expected)
    await records.delete(organization, "activitymimeattachment", id)
    await _delete_blobs(organization, [blob])


async def follow_attachment(
    organization: Organization, caller: Caller, id: str, *, followed: bool, now: datetime
) -> None:
    """Follow an attachment of a Draft, or stop following it. It travels as a link into OneDrive when the mail is followed.

    Raises `Refused` (not a Draft, an inline image, OneDrive switched off), `Missing`, `Denied`.
    """
    email = await email_of_attachment(organization, id)

    async def attempt() -> None:
        partition = await _read_open(organization, caller, email, None)
        row = _attachment_row(partition, id)
        name = row.get("filename")
        if followed and row.get("attachmentcontentid"):
            raise Refused(
                f"'{name}' cannot be followed: it is an inline image of the body, which travels with the mail."
            )
        if followed and not organization.settings["isonedriveenabled"]:
            raise Refused(f"'{name}' cannot be followed: OneDrive is switched off for this organization.")
        change = {"isfollowed": followed, "PartitionKey": email, "RowKey": row["RowKey"]}
        await emails.commit(
            organization,
            email,
            partition.email["etag"],
            _stamp(caller, now),
            [Operation("merge", change, row["etag"])],
        )

    await _decide(attempt, None)


async def email_of_attachment(organization: Organization, id: str) -> str:
    """Return the id of the email that an attachment belongs to; raise `Missing`."""
    found = await records.get(organization, "activitymimeattachment", id)
    if found is None:
        raise Missing(f"activitymimeattachment With Id = {id} Does Not Exist")
    return str(found["email"])


def body_size(body: str) -> int:
    """Return the bytes that a body takes in a request to Graph: JSON with all but ASCII escaped, as the SDK writes it."""
    return len(json.dumps(body))


def demand_sender(caller: Caller, table: str, id: str) -> None:
    """Raise `Denied` where the caller may not send as this party: sellers send as themselves."""
    if table == "systemuser" and id != caller.user and not caller.manages:
        raise Denied("Only a Manager or an Administrator may send email as another user.")


def _check_body(body: str) -> None:
    size = body_size(body)
    if size > MAX_BODY:
        raise Refused(
            f"The description takes {size:,} bytes in a request to Microsoft Graph; at most {MAX_BODY:,} fit. "
            "Attach large images instead of embedding them."
        )


def _check_parties(caller: Caller, parties: Sequence[Party], *, outgoing: bool) -> None:
    if len(parties) > MAX_PARTIES:
        raise Refused(f"An email has at most {MAX_PARTIES} activity parties, not {len(parties)}.")
    senders = [party for party in parties if party.mask == SENDER]
    if len(senders) > 1:
        raise Refused("An email has one sender: give one activity party with participationtypemask 1.")
    for party in parties:
        if not party.id and not party.address:
            raise Refused("An activity party needs a record (such as partyid_contact@odata.bind) or an addressused.")
        if _CONTROL.search(party.address):
            raise Refused(f"The address {party.address!r} has control characters.")
    for sender in senders if outgoing else ():
        if sender.table not in ("systemuser", "queue"):
            raise Refused("The sender (participationtypemask 1) of an outgoing email must be a systemuser or a queue.")
        demand_sender(caller, sender.table, sender.id)


async def _party_rows(organization: Organization, email: str, parties: Sequence[Party]) -> list[Entity]:
    """Return the rows of an email's parties, with the name and address that their records have now."""
    rows: list[Entity] = []
    for start in range(0, len(parties), 32):
        some = parties[start : start + 32]
        found = await asyncio.gather(
            *(records.get(organization, party.table, party.id) for party in some if party.id),
        )
        record = iter(found)
        rows.extend(
            _party_row(email, start + offset, party, next(record) if party.id else None)
            for offset, party in enumerate(some)
        )
    return rows


def _party_row(email: str, number: int, party: Party, record: Entity | None) -> Entity:
    if party.id and record is None:
        raise Missing(f"{party.table} With Id = {party.id} Does Not Exist")
    row = {
        "PartitionKey": email,
        "RowKey": f"party:{number:03}",
        "activitypartyid": str(uuid.uuid4()),
        "participationtypemask": party.mask,
        "addressused": party.address or None,
        "unresolvedpartyname": party.name or None,
        "_name": party.name or party.address,
    }
    if record is not None:
        row |= {
            "partyid": party.id,
            "partyid_type": party.table,
            "addressused": party.address or record.get(ADDRESS_COLUMNS[party.table]) or None,
            "unresolvedpartyname": None,
            "_name": record.get(NAME_COLUMNS[party.table]) or party.name or "",
        }
    return row


def _replace_rows(old: Sequence[Entity], new: Sequence[Entity]) -> list[Operation]:
    kept = {row["RowKey"] for row in new}
    gone = [Operation("delete", row, "*") for row in old if row["RowKey"] not in kept]
    return [*(Operation("put", row) for row in new), *gone]


def _check_attachment(organization: Organization, attachment: Attachment) -> Attachment:
    """Return the attachment with a name that is safe to give to a file system, or raise `Refused`."""
    name = attachment.filename.replace("\\", "/").rsplit("/", 1)[-1].strip()
    if not name or name in (".", ".."):
        raise Refused(f"The filename {attachment.filename!r} does not name a file.")
    if _CONTROL.search(name):
        raise Refused(f"The filename {attachment.filename!r} has control characters.")
    blocked = {part.strip().casefold() for part in organization.settings["blockedattachments"].split(";")} - {""}
    # Windows drops trailing dots and spaces, and what follows a colon names a stream of the file.
    for candidate in (name.rstrip(". "), name.partition(":")[0].rstrip(". ")):
        extension = candidate.rpartition(".")[2].casefold() if "." in candidate else ""
        if extension in blocked:
            raise Refused(f"'{name}' cannot be attached: files with the extension '{extension}' are blocked.")
    mimetype = attachment.mimetype.strip() or "application/octet-stream"
    if not _MEDIA_TYPE.fullmatch(mimetype):
        raise Refused(f"The mimetype {attachment.mimetype!r} of '{name}' is not a media type such as application/pdf.")
    content_id = attachment.content_id.strip().removeprefix("<").removesuffix(">")
    if _CONTROL.search(content_id):
        raise Refused(f"The attachmentcontentid of '{name}' has control characters.")
    _check_size(organization, name, len(attachment.content))
    return replace(attachment, filename=name, mimetype=mimetype, content_id=content_id)


def _check_size(organization: Organization, name: str, size: int) -> None:
    limit = organization.settings["maxuploadfilesize"]
    if size > limit:
        raise Refused(f"'{name}' has {size:,} bytes; the organization's maxuploadfilesize is {limit:,}.")


async def _write_attachment(organization: Organization, email: str, file: Attachment, number: int) -> Entity:
    """Write a file's content and the key it is found by, and return its row."""
    id = file.id or str(uuid.uuid4())
    blob = _attachment_blob(email)
    await blobs.put(organization, blob, file.content)
    try:
        await records.insert(organization, "activitymimeattachment", id, {"email": email})
    except BaseException:
        await _delete_blobs(organization, [blob])
        raise
    return {
        "PartitionKey": email,
        "RowKey": f"attachment:{id}",
        "activitymimeattachmentid": id,
        "objectid": email,
        "objecttypecode": "email",
        "filename": file.filename,
        "mimetype": file.mimetype,
        "filesize": len(file.content),
        "subject": file.subject or None,
        "attachmentcontentid": file.content_id or None,
        "attachmentnumber": number,
        "isfollowed": False,
        "_blob": blob,
    }


def _attachment_blob(email: str) -> str:
    return f"attachments/{email}/{uuid.uuid4()}"


async def _write_body(organization: Organization, email: str, body: str) -> str:
    if not body:
        return ""
    name = f"bodies/{email}/{uuid.uuid4()}"
    await blobs.put(organization, name, body.encode("utf-8", "surrogatepass"), "text/html; charset=utf-8")
    return name


async def _read(organization: Organization, caller: Caller, id: str, expected: int | None) -> emails.EmailPartition:
    partition = await emails.read_partition(organization, id)
    if partition is None:
        raise Missing(f"email With Id = {id} Does Not Exist")
    demand_write(caller, partition.email, "This email")
    demand_version(partition.email, expected)
    return partition


async def _read_open(
    organization: Organization, caller: Caller, id: str, expected: int | None
) -> emails.EmailPartition:
    partition = await _read(organization, caller, id, expected)
    status = partition.email.get("statuscode", DRAFT)
    if status not in (DRAFT, FAILED):
        raise Refused(f"Attachments cannot be changed: the email is {STATUS_NAMES[status]}, not a Draft.")
    return partition


def _attachment_row(partition: emails.EmailPartition, id: str) -> Entity:
    for row in partition.attachments:
        if row["activitymimeattachmentid"] == id:
            return row
    raise Missing(f"activitymimeattachment With Id = {id} Does Not Exist")


def _transition(email: Entity, changes: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Return the columns of the state that `changes` asks for, {} where it asks for none or the present one."""
    if "statecode" not in changes and "statuscode" not in changes:
        return {}
    status = changes.get("statuscode") or _DEFAULT_STATUS[changes["statecode"]]
    state = _STATES[status]
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
        sent = {"senton": _seconds(now)} if status == SENT else {}
        return {"statecode": state, "statuscode": status, "actualend": _seconds(now), "isemailfollowed": False, **sent}
    hint = "; call SendEmail to send it" if status in (PENDING_SEND, SENDING) else ""
    raise Refused(f"The email is {STATUS_NAMES[current]} and cannot become {STATUS_NAMES[status]}{hint}.")


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


async def _reschedule(
    organization: Organization, id: str, email: Entity, wanted: Mapping[str, Any], now: datetime
) -> datetime | None:
    """Enter a mail that waits for its time at the new time and return that; None where the time stays."""
    status = wanted.get("statuscode", email.get("statuscode", DRAFT))
    if status != PENDING_SEND or "delayedemailsendtime" not in wanted:
        return None
    later = wanted["delayedemailsendtime"]
    due = max(datetime.fromisoformat(later), now) if later else now
    # A minute later too where it goes now: the message that follows is only a hint.
    entered = due if due > now else now + timedelta(minutes=1)
    await agenda.add(agenda.Entry(entered, "deliver", organization.name, id))
    return due


async def _decide[T](attempt: Callable[[], Awaitable[T]], expected: int | None) -> T:
    """Run a read-decide-commit until nobody was faster; a caller who named a version hears of it at once."""
    for _ in range(_ATTEMPTS):
        try:
            return await attempt()
        except PreconditionFailed:
            if expected is not None:
                raise
        except NotFound:
            # Deleted between reading and committing: reading again says what is missing.
            continue
    raise PreconditionFailed(412, "UpdateConditionNotSatisfied")


async def _forget(organization: Organization, rows: Sequence[Entity]) -> None:
    """Delete the keys and blobs of an email whose rows are gone."""
    for row in rows:
        kind = row["RowKey"].partition(":")[0]
        if kind == emails.EMAIL:
            for table, column in (("conversation", "_conversation"), ("message", "messageid")):
                if row.get(column):
                    await _forget_key(organization, table, records.hashed_key(row[column]), row["PartitionKey"])
            await _delete_blobs(organization, [row.get("_body") or ""])
        elif kind == "attachment":
            await records.delete(organization, "activitymimeattachment", row["activitymimeattachmentid"])
            await _delete_blobs(organization, [row.get("_blob") or ""])


async def _forget_key(organization: Organization, table: str, key: str, email: str) -> None:
    found = await records.get(organization, table, key)
    if found is not None and found.get("email") == email:
        await records.delete(organization, table, key)


async def _delete_blobs(organization: Organization, names: Sequence[str]) -> None:
    """Delete blobs that nothing names any more; one that cannot be deleted now is only wasted space."""
    for name in filter(None, names):
        try:
            await blobs.delete(organization, name)
        except StorageError:
            _log.warning("blob %s of organization %s was left behind", name, organization.name)


def _cleared(changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return changes in which None is "": a merge cannot remove a column, and reading takes "" for null."""
    return {name: "" if value is None else value for name, value in changes.items()}


def _stamp(caller: Caller, now: datetime) -> dict[str, Any]:
    return {"modifiedon": _seconds(now), "modifiedby": caller.user}


def _seconds(now: datetime) -> str:
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
