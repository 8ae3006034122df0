"""The parts of host.json that this host follows, with Azure's defaults."""

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class QueueOptions:
    """host.json `extensions.queues` (learn.microsoft.com/azure/azure-functions/functions-bindings-storage-queue)."""

    batch_size: int = 16
    new_batch_threshold: int = 8
    max_dequeue_count: int = 5
    max_polling_interval: timedelta = timedelta(minutes=1)
    visibility_timeout: timedelta = timedelta(0)
    """The delay before a failed message is tried again; not the lease."""
    base64: bool = True


@dataclass(frozen=True, slots=True)
class HostOptions:
    """What host.json says: the prefix of HTTP routes, how long a function may run, the log level, queues."""

    route_prefix: str = "api"
    function_timeout: timedelta | None = timedelta(minutes=30)
    log_level: str = "Information"
    queues: QueueOptions = QueueOptions()


def load_host_options(app: Path) -> HostOptions:
    """Read `host.json` of the app directory. Raises ValueError naming the setting that is wrong."""
    content: dict[str, Any] = json.loads((app / "host.json").read_text(encoding="utf-8"))
    if content.get("version") != "2.0":
        raise ValueError('host.json: "version" must be "2.0"')
    extensions = content.get("extensions", {})
    timeout = content.get("functionTimeout")
    defaults = HostOptions()
    return HostOptions(
        route_prefix=extensions.get("http", {}).get("routePrefix", defaults.route_prefix).strip("/"),
        function_timeout=defaults.function_timeout if timeout is None else parse_time_span(timeout),
        log_level=content.get("logging", {}).get("logLevel", {}).get("default", defaults.log_level),
        queues=_queue_options(extensions.get("queues", {})),
    )


def _queue_options(content: dict[str, Any]) -> QueueOptions:
    defaults = QueueOptions()
    batch_size = int(content.get("batchSize", defaults.batch_size))
    if not 1 <= batch_size <= 32:
        raise ValueError(f"host.json: queues.batchSize is {batch_size}; it must be between 1 and 32")
    encoding = content.get("messageEncoding", "base64")
    if encoding not in ("base64", "none"):
        raise ValueError(f'host.json: queues.messageEncoding is {encoding!r}; it must be "base64" or "none"')
    polling = content.get("maxPollingInterval")
    delay = content.get("visibilityTimeout")
    return QueueOptions(
        batch_size=batch_size,
        new_batch_threshold=int(content.get("newBatchThreshold", batch_size // 2)),
        max_dequeue_count=int(content.get("maxDequeueCount", defaults.max_dequeue_count)),
        max_polling_interval=_finite(polling) if polling is not None else defaults.max_polling_interval,
        visibility_timeout=_finite(delay) if delay is not None else defaults.visibility_timeout,
        base64=encoding == "base64",
    )


def _finite(text: str) -> timedelta:
    span = parse_time_span(text)
    if span is None:
        raise ValueError(f"host.json: {text!r} must be a finite time span")
    return span


def parse_time_span(text: str) -> timedelta | None:
    """Read a .NET time span `[d.]hh:mm:ss[.fffffff]`; "-1" is None, without end. Raises ValueError otherwise."""
    if text in ("-1", "-00:00:00.0010000"):
        return None
    match = re.fullmatch(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2})(\.\d{1,7})?", text)
    if match is None:
        raise ValueError(f"{text!r} is not a time span such as 00:00:10")
    days, hours, minutes, seconds, fraction = match.groups()
    return timedelta(
        days=int(days or 0), hours=int(hours), minutes=int(minutes), seconds=int(seconds) + float(fraction or 0)
    )
