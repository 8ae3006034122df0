"""Queue output bindings: what a function put into `Out` parameters or returned, sent when it succeeded."""

import base64
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.queue.aio import QueueClient

from local.functions_host.app_settings import expand
from local.functions_host.storage_queues import StorageQueues
from local.functions_host.worker import Datum, Function, Outcome

type OutputSender = Callable[[Outcome], Awaitable[None]]


async def no_outputs(_outcome: Outcome) -> None:
    """Send nothing: for a function without queue outputs."""


def output_sender(
    function: Function, queues: StorageQueues, settings: Mapping[str, str], *, base64_messages: bool
) -> OutputSender:
    """Return what sends a function's queue outputs after a success.

    Raises LookupError when a queue's name or connection refers to an app setting that is missing, ValueError for an
    output binding of another kind.
    """
    clients = {}
    for name, binding in function.outputs.items():
        kind = binding["type"].lower()
        if kind == "queue":
            connection = binding.get("connection") or "AzureWebJobsStorage"
            clients[name] = queues.queue(connection, expand(binding["queueName"], settings))
        elif kind != "http":
            raise ValueError(f"{function.name}: output bindings of type {binding['type']} are not supported locally")
    if not clients:
        return no_outputs

    async def send(outcome: Outcome) -> None:
        for name, value in (*outcome.outputs, ("$return", outcome.returned)):
            if name in clients and value is not None:
                for text in _messages(value):
                    await send_message(clients[name], encode_message(text) if base64_messages else text)

    return send


async def send_message(client: QueueClient, text: str) -> None:
    """Send one message, creating the queue when it does not exist."""
    try:
        await client.send_message(text)
    except ResourceNotFoundError:
        with suppress(ResourceExistsError):
            await client.create_queue()
        await client.send_message(text)


def encode_message(text: str) -> str:
    """Return the base64 form that host.json `messageEncoding` "base64" puts on the queue."""
    return base64.b64encode(text.encode("utf-8")).decode("ascii")


def _messages(value: Datum) -> Iterator[str]:
    """Yield the messages of an output value: one text, or a JSON list of them."""
    if value.type == "bytes":
        yield value.value.decode("utf-8")
    elif value.type != "json":
        yield str(value.value)
    else:
        content = json.loads(value.value)
        for item in content if isinstance(content, list) else [content]:
            yield item["body"] if isinstance(item, dict) and "body" in item else _as_text(item)


def _as_text(item: Any) -> str:
    return item if isinstance(item, str) else json.dumps(item)
