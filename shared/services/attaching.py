"""Files on a draft: attaching, changing, following and taking them off."""

import logging
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from shared.engagement.plain_text import complaint, harmless
from shared.services.caller import Caller
from shared.services.drafts import delete_blobs, is_undone, read_open, stamp
from shared.services.errors import Missing, Refused
from shared.services.versions import demand_version
from shared.storage import blobs, emails, records
from shared.storage.account import StorageError
from shared.storage.contention import insist
from shared.storage.organizations import Organization
from shared.storage.tables import Entity, Operation

MAX_ATTACHMENTS = 100

_log = logging.getLogger(__name__)

_MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+( *; *[\w!#$&^.+-]+=(\"[ !#-~]*\"|[\w!#$&^.+-]+))*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to attach; with `content_id` it is an inline image of the body (RFC 2392)."""

    filename: str
    mimetype: str
    content: bytes
    content_id: str = ""
    subject: str = ""
    id: str = ""


async def add_attachment(
    organization: Organization, caller: Caller, email: str, attachment: Attachment, *, now: datetime
) -> str:
    """Attach a file to a Draft and return its id; raise `Refused`, `Missing` (no such email), `Denied`, `Conflict`."""
    file = check(organization, attachment)
    await read_open(organization, caller, email, None)
    written = await write(organization, email, file, 0)

    async def attempt() -> None:
        partition = await read_open(organization, caller, email, None)
        if len(partition.attachments) >= MAX_ATTACHMENTS:
            raise Refused(f"An email has at most {MAX_ATTACHMENTS} attachments.")
        number = max((row.get("attachmentnumber", 0) for row in partition.attachments), default=0) + 1
        await emails.commit(
            organization,
            partition.email,
            {**stamp(caller, now), "attachmentcount": len(partition.attachments) + 1},
            [Operation("insert", {**written, "attachmentnumber": number})],
        )

    try:
        await insist(attempt)
    except BaseException as error:
        if is_undone(error):
            await discard(organization, [written])
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
        partition = await read_open(organization, caller, email, None)
        row = _attachment_row(partition, id)
        demand_version(row, expected)
        checked = check(
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
        await emails.commit(organization, partition.email, stamp(caller, now), [operation])
        return str(row.get("_blob") or "")

    try:
        old = await insist(attempt, once=expected is not None)
    except BaseException as error:
        if content is not None and is_undone(error):
            await delete_blobs(organization, [blob])
        raise
    if content is not None and old != blob:
        await delete_blobs(organization, [old])


async def delete_attachment(
    organization: Organization, caller: Caller, id: str, *, now: datetime, expected: int | None = None
) -> None:
    """Take a file off a Draft; raise `Refused`, `Missing`, `Denied`, `PreconditionFailed`."""
    email = await email_of_attachment(organization, id)

    async def attempt() -> str:
        partition = await read_open(organization, caller, email, None)
        row = _attachment_row(partition, id)
        demand_version(row, expected)
        changes = {**stamp(caller, now), "attachmentcount": len(partition.attachments) - 1}
        await emails.commit(organization, partition.email, changes, [Operation("delete", row, row["etag"])])
        return str(row.get("_blob") or "")

    blob = await insist(attempt, once=expected is not None)
    await records.delete(organization, "activitymimeattachment", id)
    await delete_blobs(organization, [blob])


async def follow_attachment(
    organization: Organization, caller: Caller, id: str, *, followed: bool, now: datetime
) -> None:
    """Follow an attachment of a Draft, or stop: when the mail is followed too, it travels as a link into OneDrive.

    Raises `Refused` (not a Draft, an inline image, OneDrive switched off), `Missing`, `Denied`.
    """
    email = await email_of_attachment(organization, id)

    async def attempt() -> None:
        partition = await read_open(organization, caller, email, None)
        row = _attachment_row(partition, id)
        name = row.get("filename")
        if followed and row.get("attachmentcontentid"):
            raise Refused(
                f"'{name}' cannot be followed: it is an inline image of the body, which travels with the mail."
            )
        if followed and not organization.settings["isonedriveenabled"]:
            raise Refused(f"'{name}' cannot be followed: OneDrive is switched off for this organization.")
        changed = {name: value for name, value in row.items() if name != "ee_notfollowedreason"}
        await emails.commit(
            organization,
            partition.email,
            stamp(caller, now),
            [Operation("put", {**changed, "isfollowed": followed}, row["etag"])],
        )

    await insist(attempt)


async def email_of_attachment(organization: Organization, id: str) -> str:
    """Return the id of the email that an attachment belongs to; raise `Missing`."""
    found = await records.get(organization, "activitymimeattachment", id)
    if found is None:
        raise Missing(f"activitymimeattachment With Id = {id} Does Not Exist")
    return str(found["email"])


def check(organization: Organization, attachment: Attachment) -> Attachment:
    """Return the attachment with a name that is safe to give to a file system, or raise `Refused`."""
    name = attachment.filename.replace("\\", "/").rsplit("/", 1)[-1].strip()
    if not name or name in (".", ".."):
        raise Refused(f"The filename {attachment.filename!r} does not name a file.")
    blocked = {part.strip().casefold() for part in organization.settings["blockedattachments"].split(";")} - {""}
    # Windows drops trailing dots and spaces, and what follows a colon names a stream of the file.
    for candidate in (name.rstrip(". "), name.partition(":")[0].rstrip(". ")):
        extension = candidate.rpartition(".")[2].casefold() if "." in candidate else ""
        if extension in blocked:
            shown = harmless(name)
            raise Refused(f"'{shown}' cannot be attached: files with the extension '{extension}' are blocked.")
    if wrong := complaint(name, joiners=True):
        raise Refused(f"The filename '{harmless(name)[:100]}' cannot be taken: {wrong}.")
    mimetype = attachment.mimetype.strip() or "application/octet-stream"
    if not _MEDIA_TYPE.fullmatch(mimetype):
        raise Refused(f"The mimetype {attachment.mimetype!r} of '{name}' is not a media type such as application/pdf.")
    content_id = attachment.content_id.strip().removeprefix("<").removesuffix(">")
    if wrong := complaint(content_id):
        raise Refused(f"The attachmentcontentid of '{name}' cannot be taken: {wrong}.")
    _check_size(organization, name, len(attachment.content))
    return replace(attachment, filename=name, mimetype=mimetype, content_id=content_id)


async def write(organization: Organization, email: str, file: Attachment, number: int) -> Entity:
    """Write a file's content and the key it is found by, and return its row."""
    made = file.id or str(uuid.uuid4())
    blob = _attachment_blob(email)
    await blobs.put(organization, blob, file.content)
    try:
        await records.insert(organization, "activitymimeattachment", made, {"email": email})
    except StorageError:
        await delete_blobs(organization, [blob])
        raise
    return {
        "PartitionKey": email,
        "RowKey": f"attachment:{made}",
        "activitymimeattachmentid": made,
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


async def discard(organization: Organization, rows: Iterable[Mapping[str, Any]]) -> None:
    """Delete the keys and contents of attachments whose rows are gone or did not come to be; what cannot be deleted
    now is only wasted space."""
    for row in rows:
        try:
            await records.delete(organization, "activitymimeattachment", row["activitymimeattachmentid"])
        except StorageError:
            _log.warning("a key of an attachment was left behind in organization %s", organization.name)
        await delete_blobs(organization, [row.get("_blob") or ""])


def _attachment_blob(email: str) -> str:
    return f"attachments/{email}/{uuid.uuid4()}"


def _attachment_row(partition: emails.EmailPartition, id: str) -> Entity:
    for row in partition.attachments:
        if row["activitymimeattachmentid"] == id:
            return row
    raise Missing(f"activitymimeattachment With Id = {id} Does Not Exist")


def _check_size(organization: Organization, name: str, size: int) -> None:
    limit = organization.settings["maxuploadfilesize"]
    if size > limit:
        raise Refused(f"'{name}' has {size:,} bytes; the organization's maxuploadfilesize is {limit:,}.")
