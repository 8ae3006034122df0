"""Mailboxes in Microsoft Graph: subscriptions to what arrives, and reading it.

What is read first tells whether a message concerns us; its text is read only when it does. Errors are those of
`shared.graph.client`. Sources: learn.microsoft.com/graph/api/resources/subscription, .../message.
"""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import escape
from typing import TYPE_CHECKING, Any

from shared.engagement.incoming import Incoming
from shared.engagement.plain_text import harmless
from shared.graph.client import Rejected, ask, graph_client, read_start

if TYPE_CHECKING:
    from msgraph.generated.models.message import Message
    from msgraph.generated.models.recipient import Recipient

LIFETIME = timedelta(minutes=10_080)
"""The longest that a subscription to messages may last."""
PAGE_SIZE = 50
MAX_FOLDERS = 10_000
"""How many mailboxes' Sent Items a process remembers; what it came to know first is forgotten first."""

_MESSAGE_CLASS = "String 0x001A"
"""PidTagMessageClass ([MS-OXPROPS] 2.799): what Outlook takes the message for."""
_ENVELOPE = [
    "id", "internetMessageId", "subject", "from", "sender", "conversationId", "receivedDateTime", "isDraft",
    "parentFolderId", "internetMessageHeaders",
]  # fmt: skip
_EXPAND = [f"singleValueExtendedProperties($filter=id eq '{_MESSAGE_CLASS}')"]

_sent_items: dict[tuple[str, str], str] = {}


@dataclass(frozen=True, slots=True)
class Subscribed:
    """A subscription and when it ends."""

    id: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody whom a message names: address and display name, "" where it leaves one out."""

    address: str
    name: str


@dataclass(frozen=True, slots=True)
class Content:
    """What a message says, as HTML, and whom it went to."""

    html: str
    to: tuple[Party, ...]
    cc: tuple[Party, ...]
    sent: datetime | None


async def subscribe(
    tenant: str, user: str, notification_url: str, lifecycle_url: str, client_state: str, expires: datetime
) -> Subscribed:
    """Subscribe to the messages that are created in a user's mailbox; Graph calls both addresses before it answers."""
    client = await graph_client(tenant)
    from msgraph.generated.models.subscription import Subscription

    made = await ask(
        client.subscriptions.post(
            Subscription(
                change_type="created",
                resource=f"/users/{user}/messages",
                notification_url=notification_url,
                lifecycle_notification_url=lifecycle_url,
                client_state=client_state,
                expiration_date_time=expires,
            )
        )
    )
    return Subscribed(made.id or "", made.expiration_date_time or expires) if made else Subscribed("", expires)


async def renew(tenant: str, subscription: str, expires: datetime) -> datetime:
    """Let a subscription last until `expires`, which reauthorizes it too, and return when it will end."""
    client = await graph_client(tenant)
    from msgraph.generated.models.subscription import Subscription

    change = Subscription(expiration_date_time=expires)
    renewed = await ask(client.subscriptions.by_subscription_id(subscription).patch(change))
    return (renewed.expiration_date_time if renewed else None) or expires


async def unsubscribe(tenant: str, subscription: str) -> None:
    """End a subscription; it may be gone already."""
    client = await graph_client(tenant)
    try:
        await ask(client.subscriptions.by_subscription_id(subscription).delete())
    except Rejected as error:
        if error.status != 404:
            raise


async def get_incoming(tenant: str, user: str, message: str) -> Incoming | None:
    """Return a message without its text, or None where the mailbox has it no more."""
    found = await _get_message(tenant, user, message, _ENVELOPE, _EXPAND)
    return _incoming(found) if found else None


async def sent_items(tenant: str, user: str) -> str:
    """Return the id of a user's Sent Items, "" where there is none; asked for once in the life of a process.

    Ids of folders are the same with immutable ids and without (learn.microsoft.com/graph/outlook-immutable-id).
    """
    if (tenant, user) not in _sent_items:
        folder = await _sent_items_id(tenant, user)
        if len(_sent_items) >= MAX_FOLDERS:
            _sent_items.pop(next(iter(_sent_items)))
        _sent_items[tenant, user] = folder
    return _sent_items[tenant, user]


async def _sent_items_id(tenant: str, user: str) -> str:
    client = await graph_client(tenant)
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.users.item.mail_folders.item.mail_folder_item_request_builder import (
        MailFolderItemRequestBuilder,
    )

    parameters = MailFolderItemRequestBuilder.MailFolderItemRequestBuilderGetQueryParameters(select=["id"])
    folder = client.users.by_user_id(user).mail_folders.by_mail_folder_id("sentitems")
    try:
        found = await ask(folder.get(RequestConfiguration(query_parameters=parameters)))
    except Rejected as error:
        if error.status == 404:
            return ""
        raise
    return (found.id if found else None) or ""


async def received_since(tenant: str, user: str, since: datetime) -> AsyncIterator[list[Incoming]]:
    """Yield, page by page, the messages received at `since` or later, earliest first, without their text."""
    client = await graph_client(tenant)
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.users.item.messages.messages_request_builder import MessagesRequestBuilder

    parameters = MessagesRequestBuilder.MessagesRequestBuilderGetQueryParameters(
        filter=f"receivedDateTime ge {since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        orderby=["receivedDateTime"],
        select=list(_ENVELOPE),
        expand=list(_EXPAND),
        top=PAGE_SIZE,
    )
    messages = client.users.by_user_id(user).messages
    page = await ask(messages.get(RequestConfiguration(query_parameters=parameters)))
    while page is not None:
        yield [_incoming(message) for message in page.value or ()]
        if not page.odata_next_link:
            return
        page = await ask(messages.with_url(page.odata_next_link).get())


async def get_content(tenant: str, user: str, message: str) -> Content | None:
    """Return what a message says and whom it went to, or None where the mailbox has it no more."""
    columns = ("id", "body", "toRecipients", "ccRecipients", "sentDateTime")
    found = await _get_message(tenant, user, message, columns)
    if found is None:
        return None
    return Content(
        _html(found.body),
        tuple(_party(recipient) for recipient in found.to_recipients or ()),
        tuple(_party(recipient) for recipient in found.cc_recipients or ()),
        found.sent_date_time,
    )


async def get_mime(tenant: str, user: str, message: str, most: int) -> bytes:
    """Return a message's MIME text (RFC 5322), its first `most` bytes; b"" where the mailbox has it no more."""
    client = await graph_client(tenant)
    wanted = client.users.by_user_id(user).messages.by_message_id(message).content.to_get_request_information()
    try:
        return await ask(read_start(tenant, wanted, most))
    except Rejected as error:
        if error.status == 404:
            return b""
        raise


async def _get_message(
    tenant: str, user: str, message: str, select: Sequence[str], expand: Sequence[str] = ()
) -> "Message | None":
    """Return these columns of a message, or None where the mailbox has it no more."""
    client = await graph_client(tenant)
    from kiota_abstractions.base_request_configuration import RequestConfiguration
    from msgraph.generated.users.item.messages.item.message_item_request_builder import MessageItemRequestBuilder

    parameters = MessageItemRequestBuilder.MessageItemRequestBuilderGetQueryParameters(
        select=list(select), expand=list(expand) or None
    )
    item = client.users.by_user_id(user).messages.by_message_id(message)
    try:
        return await ask(item.get(RequestConfiguration(query_parameters=parameters)))
    except Rejected as error:
        # A 404 may also mean that the mailbox is gone, which the catch-up finds out.
        if error.status == 404:
            return None
        raise


def _incoming(message: "Message") -> Incoming:
    author, sender = _party(message.from_), _party(message.sender)
    author = author if author.address else sender
    return Incoming(
        id=message.id or "",
        message_id=message.internet_message_id or "",
        subject=harmless(message.subject or ""),
        address=author.address,
        name=author.name,
        sender=sender.address,
        conversation=message.conversation_id or "",
        received=message.received_date_time or datetime.now(UTC),
        is_draft=bool(message.is_draft),
        folder=message.parent_folder_id or "",
        item=_item(message),
        headers=tuple((header.name or "", header.value or "") for header in message.internet_message_headers or ()),
    )


def _item(message: "Message") -> str:
    """Return the message class where Graph has it, else its type, such as #microsoft.graph.eventMessageResponse."""
    properties = message.single_value_extended_properties or ()
    return next((held.value for held in properties if held.value), None) or message.odata_type or ""


def _party(recipient: "Recipient | None") -> Party:
    held = recipient.email_address if recipient else None
    # Strangers choose what they are called: nothing of it may turn around what a seller reads beside it.
    return Party(harmless(held.address or ""), harmless(held.name or "")) if held else Party("", "")


def _html(body: Any) -> str:
    content = (body.content if body else None) or ""
    if body and str(body.content_type or "").casefold().endswith("text"):
        return f'<div style="white-space: pre-wrap">{escape(content, quote=False)}</div>'
    return content
