"""Mail of one mailbox through Microsoft Graph: a draft, its attachments, sending it, and what became of it.

`tenant` is an Entra tenant id, `mailbox` a user's object id (Graph takes a sign-in name too), ids of messages are
immutable. Everything raises `Throttled`, `Unreachable` and `Rejected` of `shared.graph.client`. Source:
learn.microsoft.com/graph/api/resources/message.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from shared.engagement.incoming import ALERT_HEADER
from shared.graph.client import Unreachable, ask, graph_client
from shared.graph.uploading import Progress, Read, no_progress, upload

if TYPE_CHECKING:
    from msgraph.generated.models.message import Message
    from msgraph.generated.models.recipient import Recipient
    from msgraph.generated.users.item.messages.item.message_item_request_builder import MessageItemRequestBuilder

EMAIL_ID_PROPERTY = "String {6f1b1b52-5c0b-4a5e-9d27-0f6a6c2f9a11} Name EmailEngagementId"
"""The extended property that a draft of ours carries (singleValueLegacyExtendedProperty: type, property set, name)."""
SMALL_ATTACHMENT = 3_000_000
"""Bytes from which an attachment needs an upload session (learn.microsoft.com/graph/outlook-large-attachments)."""

_STATE = ["id", "conversationId", "internetMessageId", "isDraft", "parentFolderId", "sentDateTime", "from", "sender"]
_UPLOAD_RANGE = 12 * 320 * 1024
"""Bytes of one range: under 4 MB and, as OneDrive wants it, a multiple of 320 KiB."""


@dataclass(frozen=True, slots=True)
class Mailbox:
    """An address as a header shows it: RFC 5322's ``mailbox``."""

    address: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """A message to be; `key` is what it is found by again, `importance` is low, normal or high."""

    key: str
    subject: str
    html: str
    to: Sequence[Mailbox]
    cc: Sequence[Mailbox] = ()
    bcc: Sequence[Mailbox] = ()
    importance: str = "normal"
    read_receipt: bool = False
    delivery_receipt: bool = False


@dataclass(frozen=True, slots=True)
class Notice:
    """A mail of the service to the owner of a mailbox, from themselves."""

    to: Mailbox
    subject: str
    html: str


@dataclass(frozen=True, slots=True)
class MessageState:
    """What Graph says of a message; `sent_at` is None or in UTC, `sender` is the address in From and `submitter` that
    in Sender, "" where none is."""

    id: str
    conversation: str
    internet_id: str
    is_draft: bool
    folder: str
    sent_at: datetime | None
    sender: str
    submitter: str


@dataclass(frozen=True, slots=True)
class Attached:
    """An attachment that a message has. `size` in bytes is what Exchange stores, a little more than the file has;
    `content_id` is None where Graph does not tell it."""

    id: str
    name: str
    size: int
    is_inline: bool
    content_id: str | None


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to attach; `size` in bytes, `content_id` "" where the body does not refer to it."""

    name: str
    content_type: str
    size: int
    content_id: str = ""


async def find_draft(tenant: str, mailbox: str, key: str) -> MessageState | None:
    """Return the draft in Drafts that carries `key`, or None."""
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.users.item.mail_folders.item.messages.messages_request_builder import MessagesRequestBuilder

    value = key.replace("'", "''")
    parameters = MessagesRequestBuilder.MessagesRequestBuilderGetQueryParameters(
        filter=f"singleValueExtendedProperties/Any(ep: ep/id eq '{EMAIL_ID_PROPERTY}' and ep/value eq '{value}')",
        select=_STATE,
        top=1,
    )
    user = (await graph_client(tenant)).users.by_user_id(mailbox)
    drafts = user.mail_folders.by_mail_folder_id("drafts").messages
    found = await ask(drafts.get(RequestConfiguration(query_parameters=parameters)))
    return _state(found.value[0]) if found and found.value else None


async def create_draft(tenant: str, mailbox: str, draft: Draft) -> MessageState:
    """Make a draft whose body is exactly `draft.html`."""
    from msgraph.generated.models.body_type import BodyType
    from msgraph.generated.models.importance import Importance
    from msgraph.generated.models.item_body import ItemBody
    from msgraph.generated.models.message import Message
    from msgraph.generated.models.single_value_legacy_extended_property import SingleValueLegacyExtendedProperty

    message = Message(
        subject=draft.subject,
        body=ItemBody(content_type=BodyType.Html, content=draft.html),
        to_recipients=_recipients(draft.to),
        cc_recipients=_recipients(draft.cc),
        bcc_recipients=_recipients(draft.bcc),
        importance=Importance(draft.importance),
        is_read_receipt_requested=draft.read_receipt,
        is_delivery_receipt_requested=draft.delivery_receipt,
        single_value_extended_properties=[SingleValueLegacyExtendedProperty(id=EMAIL_ID_PROPERTY, value=draft.key)],
    )
    messages = (await graph_client(tenant)).users.by_user_id(mailbox).messages
    return _state(await ask(messages.post(message)))


async def get_message(tenant: str, mailbox: str, id: str) -> MessageState:
    """Return a message's state by its immutable id, wherever it is now."""
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.users.item.messages.item.message_item_request_builder import MessageItemRequestBuilder

    parameters = MessageItemRequestBuilder.MessageItemRequestBuilderGetQueryParameters(select=_STATE)
    message = await _message(tenant, mailbox, id)
    return _state(await ask(message.get(RequestConfiguration(query_parameters=parameters))))


async def send_draft(tenant: str, mailbox: str, id: str) -> None:
    """Send a draft. Where the outcome is unknown (`Unreachable`), only `get_message` can tell."""
    await ask((await _message(tenant, mailbox, id)).send.post())


async def send_notice(tenant: str, mailbox: str, notice: Notice) -> None:
    """Send a notice in one call, without a copy in Sent Items, marked as what nobody wrote and nobody need answer.

    Where the outcome is unknown (`Unreachable`), nothing can tell it.
    """
    from msgraph.generated.models.body_type import BodyType
    from msgraph.generated.models.internet_message_header import InternetMessageHeader
    from msgraph.generated.models.item_body import ItemBody
    from msgraph.generated.models.message import Message
    from msgraph.generated.users.item.send_mail.send_mail_post_request_body import SendMailPostRequestBody

    message = Message(
        subject=notice.subject,
        body=ItemBody(content_type=BodyType.Html, content=notice.html),
        to_recipients=_recipients([notice.to]),
        internet_message_headers=[
            InternetMessageHeader(name=ALERT_HEADER, value="1"),
            InternetMessageHeader(name="X-Auto-Response-Suppress", value="All"),
        ],
    )
    user = (await graph_client(tenant)).users.by_user_id(mailbox)
    await ask(user.send_mail.post(SendMailPostRequestBody(message=message, save_to_sent_items=False)))


async def delete_message(tenant: str, mailbox: str, id: str) -> None:
    """Move a message to Deleted Items."""
    await ask((await _message(tenant, mailbox, id)).delete())


async def list_attachments(tenant: str, mailbox: str, id: str) -> list[Attached]:
    """Return the attachments of a message, without their content."""
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.users.item.messages.item.attachments.attachments_request_builder import (
        AttachmentsRequestBuilder,
    )

    parameters = AttachmentsRequestBuilder.AttachmentsRequestBuilderGetQueryParameters(
        select=["id", "name", "size", "isInline", "microsoft.graph.fileAttachment/contentId"]
    )
    attachments = (await _message(tenant, mailbox, id)).attachments
    page = await ask(attachments.get(RequestConfiguration(query_parameters=parameters)))
    found = list(page.value or ()) if page else []
    while page and page.odata_next_link:
        page = await ask(attachments.with_url(page.odata_next_link).get())
        found += (page.value or ()) if page else ()
    return [
        Attached(a.id or "", a.name or "", a.size or 0, bool(a.is_inline), getattr(a, "content_id", None))
        for a in found
    ]


async def add_attachment(
    tenant: str, mailbox: str, id: str, attachment: Attachment, read: Read, progress: Progress = no_progress
) -> None:
    """Attach a file to a draft, through an upload session where it is large.

    `read(offset, length)` gives its bytes; `progress` is awaited after each range.
    """
    if attachment.size < SMALL_ATTACHMENT:
        await _add_small(tenant, mailbox, id, attachment, await read(0, attachment.size))
    else:
        url = await _open_upload(tenant, mailbox, id, attachment)
        await upload(url, attachment.size, _UPLOAD_RANGE, read, progress)


async def remove_attachment(tenant: str, mailbox: str, id: str, attachment_id: str) -> None:
    """Take an attachment off a draft."""
    message = await _message(tenant, mailbox, id)
    await ask(message.attachments.by_attachment_id(attachment_id).delete())


async def _add_small(tenant: str, mailbox: str, id: str, attachment: Attachment, data: bytes) -> None:
    from msgraph.generated.models.file_attachment import FileAttachment

    posted = FileAttachment(
        odata_type="#microsoft.graph.fileAttachment",
        name=attachment.name,
        content_type=attachment.content_type,
        content_bytes=data,
        is_inline=bool(attachment.content_id),
        content_id=attachment.content_id or None,
    )
    await ask((await _message(tenant, mailbox, id)).attachments.post(posted))


async def _open_upload(tenant: str, mailbox: str, id: str, attachment: Attachment) -> str:
    from msgraph.generated.models.attachment_item import AttachmentItem
    from msgraph.generated.models.attachment_type import AttachmentType
    from msgraph.generated.users.item.messages.item.attachments.create_upload_session import (
        create_upload_session_post_request_body as bodies,
    )

    item = AttachmentItem(
        attachment_type=AttachmentType.File,
        name=attachment.name,
        content_type=attachment.content_type,
        size=attachment.size,
        is_inline=bool(attachment.content_id),
        content_id=attachment.content_id or None,
    )
    message = await _message(tenant, mailbox, id)
    body = bodies.CreateUploadSessionPostRequestBody(attachment_item=item)
    session = await ask(message.attachments.create_upload_session.post(body))
    if session is None or not session.upload_url:
        raise Unreachable(0, "NoUploadUrl")
    return session.upload_url


async def _message(tenant: str, mailbox: str, id: str) -> "MessageItemRequestBuilder":
    return (await graph_client(tenant)).users.by_user_id(mailbox).messages.by_message_id(id)


def _recipients(mailboxes: Sequence[Mailbox]) -> "list[Recipient]":
    from msgraph.generated.models.email_address import EmailAddress
    from msgraph.generated.models.recipient import Recipient

    return [
        Recipient(email_address=EmailAddress(address=mailbox.address, name=mailbox.name or None))
        for mailbox in mailboxes
    ]


def _state(message: "Message | None") -> MessageState:
    if message is None or not message.id:
        raise Unreachable(0, "UnreadableAnswer")
    return MessageState(
        id=message.id,
        conversation=message.conversation_id or "",
        internet_id=message.internet_message_id or "",
        is_draft=bool(message.is_draft),
        folder=message.parent_folder_id or "",
        sent_at=message.sent_date_time,
        sender=_address(message.from_),
        submitter=_address(message.sender),
    )


def _address(recipient: "Recipient | None") -> str:
    held = recipient.email_address if recipient else None
    return (held.address if held else None) or ""
