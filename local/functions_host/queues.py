"""Queue triggers: polling, leases, delayed retries and poison queues.

Source: learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue-trigger (polling algorithm,
concurrency, poison messages) and host.json's `extensions.queues`. Delivery is at least once, as in Azure.
"""

import asyncio
import base64
import binascii
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.storage.queue import QueueMessage
from azure.storage.queue.aio import QueueClient

from local.functions_host.app_settings import expand
from local.functions_host.host_json import QueueOptions
from local.functions_host.outputs import OutputSender, send_message
from local.functions_host.retries import run_with_retries
from local.functions_host.storage_queues import StorageQueues
from local.functions_host.worker import Datum, Function, datum

FIRST_POLLING_INTERVAL = 0.1
"""Seconds to wait after the first empty poll; doubled up to `maxPollingInterval` (Azure's polling algorithm)."""

AZURE_LEASE_SECONDS = 600
"""How long the Azure queue trigger hides a message while its function runs; it renews the lease at half time."""

ACKNOWLEDGE_FOR_SECONDS = 60.0
"""How long deleting or releasing a message is tried again while storage does not answer."""

log = logging.getLogger("functions_host.queues")


@dataclass(frozen=True, slots=True)
class QueueTrigger:
    """A queue function with all that its listener needs."""

    function: Function
    queue: QueueClient
    poison: QueueClient
    storage: StorageQueues
    options: QueueOptions
    lease_seconds: int
    timeout: timedelta | None
    send_outputs: OutputSender


def queue_trigger(
    function: Function,
    storage: StorageQueues,
    settings: Mapping[str, str],
    options: QueueOptions,
    timeout: timedelta | None,
    send_outputs: OutputSender,
) -> QueueTrigger:
    """Make a trigger of a queue function. Raises LookupError when it names an app setting that is missing."""
    connection = function.trigger.get("connection") or "AzureWebJobsStorage"
    name = expand(function.trigger["queueName"], settings)
    return QueueTrigger(
        function=function,
        queue=storage.queue(connection, name),
        poison=storage.queue(connection, f"{name}-poison"),
        storage=storage,
        options=options,
        lease_seconds=int(settings.get("QUEUE_LEASE_SECONDS", AZURE_LEASE_SECONDS)),
        timeout=timeout,
        send_outputs=send_outputs,
    )


async def listen(trigger: QueueTrigger, stopping: asyncio.Event) -> None:
    """Poll the queue and run its function until `stopping`; return when what then still ran has ended."""
    running: set[asyncio.Task[None]] = set()
    interval = FIRST_POLLING_INTERVAL
    longest = max(trigger.options.max_polling_interval.total_seconds(), FIRST_POLLING_INTERVAL)
    while not stopping.is_set():
        if len(running) > trigger.options.new_batch_threshold:
            await asyncio.wait(running, timeout=longest, return_when=asyncio.FIRST_COMPLETED)
            continue
        messages = await _receive(trigger)
        if stopping.is_set():
            await asyncio.gather(*(_release(trigger, message, 0) for message in messages))
            break
        for message in messages:
            task = asyncio.create_task(_process(trigger, message))
            running.add(task)
            task.add_done_callback(running.discard)
        if messages:
            interval = FIRST_POLLING_INTERVAL
        else:
            with suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), interval)
            interval = min(interval * 2, longest)
    if running:
        await asyncio.wait(running)


async def _receive(trigger: QueueTrigger) -> list[QueueMessage]:
    """Lease the next batch; empty when there is none or storage does not answer."""
    size = trigger.options.batch_size
    try:
        # One page only: a second request that failed would lose what the first has leased, until the leases end.
        pages = trigger.queue.receive_messages(
            visibility_timeout=trigger.lease_seconds, messages_per_page=size, max_messages=size
        ).by_page()
        page = await anext(pages, None)
        messages = [message async for message in page] if page is not None else []
        trigger.storage.answered()
        return messages
    except ResourceNotFoundError:
        with suppress(AzureError):
            await trigger.queue.create_queue()
    except AzureError as error:
        trigger.storage.failed(error)
    except Exception:
        log.exception("function=%s could not read its queue", trigger.function.name)
    return []


async def _process(trigger: QueueTrigger, message: QueueMessage) -> None:
    """Run the function for one message, then delete, release or poison it."""
    name = trigger.function.name
    attempts = message.dequeue_count or 1
    if attempts > trigger.options.max_dequeue_count:
        # Its function never came to an end: the host was killed each time.
        await _to_poison(trigger, message)
        return
    try:
        body = _decode(message.content) if trigger.options.base64 else message.content
    except ValueError:
        log.warning("function=%s message=%s is not base64 as host.json says", name, message.id)
        await _to_poison(trigger, message)
        return
    ended = asyncio.Event()
    renewal = asyncio.create_task(_renew_lease(trigger, message, ended))
    try:
        succeeded = await run_with_retries(
            trigger.function,
            [(trigger.function.trigger["name"], datum(body, "string" if isinstance(body, str) else "bytes"))],
            _metadata(message),
            trigger.send_outputs,
            trigger.timeout,
        )
    finally:
        ended.set()
        await renewal
    if succeeded:
        await _acknowledge(trigger, message, lambda: trigger.queue.delete_message(message))
    elif attempts >= trigger.options.max_dequeue_count:
        await _to_poison(trigger, message)
    else:
        await _release(trigger, message, int(trigger.options.visibility_timeout.total_seconds()))


async def _renew_lease(trigger: QueueTrigger, message: QueueMessage, ended: asyncio.Event) -> None:
    """Keep the message hidden until `ended`, as Azure does: the lease is renewed at half time, again and again.

    A renewal under way is finished: it changes the pop receipt that deleting needs.
    """
    pause = trigger.lease_seconds / 2
    while True:
        with suppress(TimeoutError):
            await asyncio.wait_for(ended.wait(), pause)
        if ended.is_set():
            return
        try:
            await _hide(trigger, message, trigger.lease_seconds)
            pause = trigger.lease_seconds / 2
        except AzureError as error:
            if _is_refusal(error):
                log.warning(
                    "function=%s message=%s lost its lease and may run twice", trigger.function.name, message.id
                )
                return
            trigger.storage.failed(error)
            pause = min(1.0, pause / 2)


async def _hide(trigger: QueueTrigger, message: QueueMessage, seconds: int) -> None:
    updated = await trigger.queue.update_message(message, visibility_timeout=seconds)
    message.pop_receipt = updated.pop_receipt


async def _release(trigger: QueueTrigger, message: QueueMessage, seconds: int) -> None:
    await _acknowledge(trigger, message, lambda: _hide(trigger, message, seconds))


async def _to_poison(trigger: QueueTrigger, message: QueueMessage) -> None:
    """Move a message that cannot be processed to `{queue}-poison`: first there, then away here."""
    log.error(
        "function=%s message=%s was tried %s times and moves to the queue %s",
        trigger.function.name,
        message.id,
        message.dequeue_count,
        trigger.poison.queue_name,
    )

    if await _acknowledge(trigger, message, lambda: send_message(trigger.poison, message.content)):
        await _acknowledge(trigger, message, lambda: trigger.queue.delete_message(message))


async def _acknowledge(trigger: QueueTrigger, message: QueueMessage, action: Callable[[], Awaitable[None]]) -> bool:
    """Do what ends a message's turn, again while storage does not answer; if it never does, the lease ends it."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + min(ACKNOWLEDGE_FOR_SECONDS, trigger.lease_seconds / 2)
    pause = FIRST_POLLING_INTERVAL
    while True:
        try:
            await action()
            return True
        except AzureError as error:
            if _is_refusal(error):
                log.warning("function=%s message=%s lost its lease before its end", trigger.function.name, message.id)
                return False
            trigger.storage.failed(error)
            if loop.time() >= deadline:
                return False
        await asyncio.sleep(pause)
        pause = min(pause * 2, 2.0)


def _is_refusal(error: AzureError) -> bool:
    """Say whether storage answered and said no: the message is gone or another host has leased it since."""
    return isinstance(error, HttpResponseError) and error.status_code in (400, 404)


def _decode(content: str) -> str | bytes:
    """Return the decoded message: text where it is UTF-8. Raises ValueError when it is not base64."""
    try:
        raw = base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise ValueError(str(error)) from error
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw


def _metadata(message: QueueMessage) -> dict[str, Datum]:
    times = {
        "ExpirationTime": message.expires_on,
        "InsertionTime": message.inserted_on,
        "NextVisibleTime": message.next_visible_on,
    }
    return {
        "Id": datum(message.id, "string"),
        "PopReceipt": datum(message.pop_receipt, "string"),
        "DequeueCount": datum(message.dequeue_count, "int"),
        **{name: datum(time.isoformat(), "string") for name, time in times.items() if time is not None},
    }
