"""The message that goes out: what Microsoft 365 is told of an email, from its rows alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.engagement.options import BCC, CC, TO
from shared.engagement.plain_text import complaint, fold, harmless, whole
from shared.graph import mail
from shared.services.sending import size_on_the_way
from shared.storage.tables import Entity

_STORED_OVERHEAD = 64 * 1024
"""Bytes by which Exchange may show an attachment larger than the file: it counts the attachment's properties too."""
_MAX_NAME = 256
"""Characters of a display name that Exchange keeps."""
_IMPORTANCE = {0: "low", 1: "normal", 2: "high"}


def key_of(email: Mapping[str, Any]) -> str:
    """Return by what a draft is known as the one of this submission of an email.

    A mail that failed may be changed and sent again: then an old draft of it is not this one.
    """
    return f"{email['PartitionKey']}/{email['_submission']}"


def draft_of(email: Mapping[str, Any], parties: Sequence[Entity], body: str) -> mail.Draft:
    """Return the draft of an email to its `parties` with a `body` (HTML)."""

    def mailboxes(role: int) -> list[mail.Mailbox]:
        return [
            mail.Mailbox(party["addressused"], harmless(str(party.get("_name") or ""))[:_MAX_NAME])
            for party in parties
            if party["participationtypemask"] == role
        ]

    return mail.Draft(
        key=key_of(email),
        subject=fold(str(email.get("subject") or "")),
        html=whole(body),
        to=mailboxes(TO),
        cc=mailboxes(CC),
        bcc=mailboxes(BCC),
        importance=_IMPORTANCE.get(int(email.get("prioritycode", 1)), "normal"),
        read_receipt=bool(email.get("readreceiptrequested")),
        delivery_receipt=bool(email.get("deliveryreceiptrequested")),
    )


def attached_rows(attachments: Sequence[Entity]) -> list[Entity]:
    """Return the attachments that travel with the message, in their order: neither shared by link nor hosted as
    images."""
    rows = [row for row in attachments if "_item" not in row and not row.get("_hosted")]
    return sorted(rows, key=lambda row: (int(row.get("attachmentnumber") or 0), row["RowKey"]))


def attachment_of(row: Entity) -> mail.Attachment:
    """Return an attachment as Microsoft 365 is told of it."""
    return mail.Attachment(
        name=_file_name(row["filename"]),
        content_type=row.get("mimetype") or "application/octet-stream",
        size=int(row["filesize"]),
        content_id=str(row.get("attachmentcontentid") or "").strip("<>"),
    )


def why_too_large(body: str, rows: Sequence[Entity], limit: int) -> str | None:
    """Return why a message with these attachments cannot be sent where at most `limit` bytes can, None where it can."""
    size = size_on_the_way(body, rows)
    if size <= limit:
        return None
    unshared = next((row for row in rows if row.get("ee_notfollowedreason")), None)
    why = (
        f", because {unshared['filename']} cannot be shared ({unshared['ee_notfollowedreason']}) and has to be attached"
        if unshared
        else ""
    )
    return f"it would have {size:,} bytes, and at most {limit:,} can be sent{why}"


def compare(wanted: Sequence[Entity], there: Sequence[mail.Attached]) -> tuple[list[Entity], list[mail.Attached]]:
    """Return which of the wanted attachments are missing, and which of those there nobody wants, as multisets.

    Of files with one name the nearest sizes are taken for each other first: Exchange's are a little larger than ours.
    """
    pairs = sorted(
        (attached.size - int(row["filesize"]), number, position)
        for number, row in enumerate(wanted)
        for position, attached in enumerate(there)
        if _is_same(attachment_of(row), attached)
    )
    found: dict[int, int] = {}
    for _, number, position in pairs:
        if number not in found and position not in found.values():
            found[number] = position
    missing = [row for number, row in enumerate(wanted) if number not in found]
    return missing, [attached for position, attached in enumerate(there) if position not in found.values()]


def _is_same(wanted: mail.Attachment, there: mail.Attached) -> bool:
    return (
        there.name == wanted.name
        and (there.content_id is None or there.content_id == wanted.content_id)
        and 0 <= there.size - wanted.size <= _STORED_OVERHEAD
    )


def _file_name(name: str) -> str:
    """Return a file's name as recipients see it; one that was stored when names could turn around is set right."""
    return harmless(name) if complaint(name, joiners=True) else name
