"""What comes back by mail: Graph's notifications, their queue, catching up, and keeping subscriptions alive."""

import asyncio
import html
import logging
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

import azure.functions as func

from shared import logs
from shared.engagement.notifications import MAX_BODY, MAX_VALUES, Notification, read_notifications
from shared.settings import settings

blueprint = func.Blueprint()

MAX_VALIDATION_TOKEN = 1024
"""Characters of a validation token; Graph's have some hundred."""

_ANONYMOUS = func.AuthLevel.ANONYMOUS
_PARALLEL_SENDS = 16
_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}

_log = logging.getLogger(__name__)


@blueprint.route("mailbox/notifications", methods=["POST"], auth_level=_ANONYMOUS)
async def notifications(req: func.HttpRequest) -> func.HttpResponse:
    """Take notifications of new messages."""
    return await _take(req, lambda notification: notification.message != "")


@blueprint.route("mailbox/lifecycle", methods=["POST"], auth_level=_ANONYMOUS)
async def lifecycle(req: func.HttpRequest) -> func.HttpResponse:
    """Take notifications of what happens to subscriptions."""
    return await _take(req, lambda notification: notification.event != "")


@blueprint.queue_trigger("message", "mailbox", connection="AzureWebJobsStorage")
async def mailbox(message: func.QueueMessage) -> None:
    """Look at one message, or see to a whole mailbox; put the work back where Microsoft 365 cannot answer now."""
    from shared.services import mailboxes
    from shared.storage import queues

    work = message.get_json()
    logs.about(work["organization"])
    again = await mailboxes.attend(work, datetime.now(UTC))
    if again is not None:
        await queues.send(queues.MAILBOX, *again)


@blueprint.timer_trigger("timer", "0 * * * * *", run_on_startup=False, use_monitor=False)
async def catch_up_mailboxes(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the worker passes it by name
    """Find what notifications missed."""
    from shared.services import mailboxes

    await mailboxes.catch_up_all(datetime.now(UTC))


@blueprint.timer_trigger("timer", "0 7 * * * *", run_on_startup=False, use_monitor=False)
async def renew_subscriptions(timer: func.TimerRequest) -> None:  # noqa: ARG001 - the worker passes it by name
    """Renew the subscriptions that have less than half of their time left."""
    from shared.services import mailboxes

    await mailboxes.renew_all(datetime.now(UTC))


async def _take(req: func.HttpRequest, concerns: Callable[[Notification], bool]) -> func.HttpResponse:
    """Answer Graph: the validation handshake, or 202 as soon as what is Graph's is on the queue.

    Graph retries for four hours what is answered with 5xx, and slows an endpoint down that takes seconds
    (learn.microsoft.com/graph/change-notifications-delivery-webhooks).
    """
    token = req.params.get("validationToken")
    if token is not None:
        return _validate(token)
    body = req.get_body()
    if len(body) > MAX_BODY:
        return _answer(413, f"A notification has at most {MAX_BODY:,} bytes.")
    try:
        genuine, foreign = read_notifications(body, settings().token_secrets)
    except ValueError:
        return _answer(
            400,
            'A collection of change notifications is needed: {"value": [{..}, ..]}, with at most '
            f"{MAX_VALUES:,} braces, brackets and commas.",
        )
    if foreign:
        _log.warning("%d notifications without a client state of ours were dropped", foreign)
    return await _queue([notification for notification in genuine if concerns(notification)])


def _validate(token: str) -> func.HttpResponse:
    if not 0 < len(token) <= MAX_VALIDATION_TOKEN:
        return _answer(400, f"A validation token has 1 to {MAX_VALIDATION_TOKEN:,} characters.")
    return _answer(200, html.escape(token))


async def _queue(genuine: Sequence[Notification]) -> func.HttpResponse:
    from shared.storage import queues
    from shared.storage.account import StorageError

    try:
        for at in range(0, len(genuine), _PARALLEL_SENDS):
            some = genuine[at : at + _PARALLEL_SENDS]
            await asyncio.gather(*(queues.send(queues.MAILBOX, _work(notification)) for notification in some))
    except StorageError as error:
        _log.warning("notifications are left to Graph to repeat: the queue does not answer (%s)", error.code)
        return func.HttpResponse(b"", status_code=503, headers={**_HEADERS, "Retry-After": "10"})
    return func.HttpResponse(b"", status_code=202, headers=_HEADERS)


def _work(notification: Notification) -> dict[str, str]:
    work = {"organization": notification.organization, "mailbox": notification.mailbox}
    if notification.message:
        return {**work, "message": notification.message}
    return {**work, "event": notification.event, "subscription": notification.subscription}


def _answer(status: int, text: str) -> func.HttpResponse:
    return func.HttpResponse(text, status_code=status, mimetype="text/plain", charset="utf-8", headers=_HEADERS)
