"""Sending queue messages: plain JSON texts that carry ids only. Receiving is the Functions host's."""

import uuid
from collections.abc import Mapping
from datetime import timedelta

import orjson

from shared.storage import undo
from shared.storage.account import (
    API_VERSION,
    Account,
    authorization,
    call,
    error_for,
    host_account,
    http_date,
    path_of,
)

DELIVER = "deliver"
FIGURES = "figures"
FOLD = "fold"
MAILBOX = "mailbox"
PRIVACY = "privacy"
REMIND = "remind"
TELL = "tell"
UNLINK = "unlink"
QUEUES = (DELIVER, FIGURES, FOLD, MAILBOX, PRIVACY, REMIND, TELL, UNLINK)


async def send(
    queue: str, message: Mapping[str, str], delay: timedelta = timedelta(), account: Account | None = None
) -> None:
    """Put a message on a queue of the deployment, visible after `delay` (at most 7 days, the service's limit).

    In a scope of `shared.storage.undo` it leaves when that has ended well. Raises `NotFound` where the queue has not
    been made, `Unavailable` where the service does not answer.
    """
    noted = undo.log()
    if noted is None:
        await _send(queue, message, delay, account)
    else:
        kept = dict(message)
        noted.held["message", queue, uuid.uuid4()] = lambda: _send(queue, kept, delay, account)


async def count_messages(queue: str) -> int:
    """Return about how many messages a queue of the deployment holds, hidden ones too; 0 where there is no such queue.

    Raises `StorageError`, `Unavailable` where the service does not answer.
    """
    account = host_account()
    url = f"{account.queue_url}/{queue}"
    date = http_date()
    headers = {
        "x-ms-date": date,
        "x-ms-version": API_VERSION,
        "Authorization": await authorization(
            account,
            lambda: (
                f"GET\n\n\n\nx-ms-date:{date}\nx-ms-version:{API_VERSION}\n/{account.name}{path_of(url)}?comp=metadata"
            ),
        ),
    }
    async with call("GET", f"{url}?comp=metadata", headers, None) as response:
        await response.read()
        if response.status == 404:
            return 0
        if response.status >= 300:
            raise error_for(response.status, response.headers.get("x-ms-error-code", ""))
        return int(response.headers["x-ms-approximate-messages-count"])


async def _send(queue: str, message: Mapping[str, str], delay: timedelta, account: Account | None) -> None:
    account = account or host_account()
    url = f"{account.queue_url}/{queue}/messages"
    # The service unescapes XML; a JSON text of ids needs only these three replaced.
    text = orjson.dumps(dict(message)).decode().replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    date = http_date()
    headers = {
        "x-ms-date": date,
        "x-ms-version": API_VERSION,
        "Content-Type": "application/xml",
        "Authorization": await authorization(
            account,
            lambda: (
                f"POST\n\napplication/xml\n\nx-ms-date:{date}\nx-ms-version:{API_VERSION}\n/{account.name}{path_of(url)}"
            ),
        ),
    }
    seconds = max(0, round(delay.total_seconds()))
    body = f"<QueueMessage><MessageText>{text}</MessageText></QueueMessage>".encode()
    async with call("POST", f"{url}?visibilitytimeout={seconds}&messagettl=-1", headers, body) as response:
        if response.status >= 300:
            code = response.headers.get("x-ms-error-code", "")
            raise error_for(response.status, code, (await response.read())[:200].decode(errors="replace"))
