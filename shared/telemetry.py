"""Exporting `shared.metrics` and the log to Application Insights through OpenTelemetry, in a thread of its own.

The thread waits before it imports anything: OpenTelemetry and the exporter take half a second of processor time, and
the first recipients of a process must not pay for it. Whoever logs only keeps the record, from the start on; the thread
makes of it what is sent. host.json keeps the Functions host from sending the same lines. With the process ends what was
not exported yet, a minute of counts and five seconds of the log: at exit the spool's hits have the time that is left.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared import metrics
from shared.logs import ABOUT
from shared.settings import Telemetry, telemetry

if TYPE_CHECKING:
    from opentelemetry.sdk._logs import ReadableLogRecord
    from opentelemetry.sdk._logs.export import LogRecordExporter
    from opentelemetry.sdk.metrics.export import MetricReader

_START_AFTER = 15.0
"""Seconds that a process has for its first answers before the exporter is loaded."""
_LOG_INTERVAL = 5.0
_LOG_KEPT = 2000
"""Log records that wait to be exported; where there are more, the oldest are dropped."""
_LOGGERS = ("functions", "shared", "asyncio")
"""Whose records are exported: ours, and the event loop's of what nobody awaited. Libraries would tell every request."""
_TIMEOUT = 10
_OFF = (
    "APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL",
    "APPLICATIONINSIGHTS_SDKSTATS_DISABLED",
    "APPLICATIONINSIGHTS_CONTROLPLANE_DISABLED",
)
"""What the exporter tells its makers and the operator about itself, each from a thread that delays the process's
end, and the switches that it asks its makers for."""

_log = logging.getLogger(__name__)


def start() -> None:
    """Start exporting in the background, where the app settings say where to."""
    configured = telemetry(os.environ)
    if configured is not None:
        threading.Thread(target=_run, args=(configured, keep()), name="telemetry", daemon=True).start()


class Kept(logging.Handler):
    """Keeps the newest log records until they are taken."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self._records: deque[logging.LogRecord] = deque(maxlen=_LOG_KEPT)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        self._records.append(record)

    def take(self) -> list[logging.LogRecord]:
        """Return what was logged since the last call, and forget it."""
        return [self._records.popleft() for _ in range(len(self._records))]


def keep() -> Kept:
    """Keep from now on what is logged, and return what keeps it."""
    kept = Kept()
    for name in _LOGGERS:
        logging.getLogger(name).addHandler(kept)
    return kept


def _run(configured: Telemetry, kept: Kept) -> None:
    pause = threading.Event()
    pause.wait(min(_START_AFTER, configured.interval))
    try:
        reader, exporter = _application_insights(configured)
        export, export_log = exporting(reader, _resource()), exporting_log(kept, exporter, _resource())
        due = 0.0
        while True:
            export_log()
            if time.monotonic() >= due:
                due = time.monotonic() + configured.interval
                export()
            pause.wait(min(_LOG_INTERVAL, configured.interval))
    except Exception:  # noqa: BLE001 - a thread that nobody waits for
        _log.exception("nothing is exported any more, all else goes on: see docs/operations.md, silent")


def exporting(reader: "MetricReader", resource: Mapping[str, str]) -> Callable[[], None]:
    """Return what exports, through `reader`, how the metrics changed since its last call.

    Instruments are fed here and not observed, so that only what changed costs anything: an observed counter would tell
    every organization's zero every minute.
    """
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.resources import Resource

    provider = MeterProvider((reader,), Resource(resource), shutdown_on_exit=False)
    meter = provider.get_meter("email-engagement")
    counters = [(one, meter.create_counter(one.name, "1", one.what)) for one in metrics.COUNTERS]
    gauges = [(one, meter.create_gauge(one.name, one.unit, one.what)) for one in metrics.GAUGES]
    durations = [(one, meter.create_histogram(one.name, "s", one.what)) for one in metrics.DISTRIBUTIONS]
    exported: dict[tuple[str, tuple[str, ...]], int] = {}

    def export() -> None:
        for counter, instrument in counters:
            for values, count in counter.values.copy().items():
                more = count - exported.get((counter.name, values), 0)
                if more:
                    exported[counter.name, values] = count
                    instrument.add(more, _attributes(counter.labels, values))
        for gauge, shown in gauges:
            value = gauge.value()
            if value is not None:
                shown.set(value)
        for distribution, histogram in durations:
            for seconds, values in distribution.take():
                histogram.record(seconds, _attributes(distribution.labels, values))
        provider.force_flush(_TIMEOUT * 1000)

    return export


def exporting_log(kept: Kept, exporter: "LogRecordExporter", resource: Mapping[str, str]) -> Callable[[], None]:
    """Return what exports, through `exporter`, the log records of `kept` that came since its last call."""
    from opentelemetry.sdk.resources import Resource

    of = Resource(resource)

    def export() -> None:
        records = kept.take()
        if records:
            exporter.export([_structured(record, of) for record in records])

    return export


def _structured(record: logging.LogRecord, resource: Any) -> "ReadableLogRecord":
    """Return a log record as OpenTelemetry's data model has it; severities of both count in steps of a word."""
    from opentelemetry._logs import LogRecord, SeverityNumber
    from opentelemetry.sdk._logs import ReadableLogRecord

    attributes = {"logger": record.name, **getattr(record, ABOUT, {})}
    if record.exc_info and record.exc_info[0] is not None:
        attributes["exception.type"] = record.exc_info[0].__name__
        attributes["exception.stacktrace"] = record.exc_text or ""
    made = LogRecord(
        timestamp=int(record.created * 1e9),
        severity_text=record.levelname,
        severity_number=SeverityNumber(min(max(record.levelno // 10, 1), 5) * 4 + 1),
        body=record.getMessage(),
        attributes=attributes,
    )
    return ReadableLogRecord(made, resource)


def _attributes(labels: Sequence[str], values: Sequence[str]) -> dict[str, str]:
    return dict(zip(labels, values, strict=True))


def _application_insights(configured: Telemetry) -> "tuple[MetricReader, LogRecordExporter]":
    """Return a reader that exports when it is flushed, and what exports log records. The exporters read
    ``APPLICATIONINSIGHTS_AUTHENTICATION_STRING`` themselves and then take the managed identity's token."""
    os.environ |= dict.fromkeys(_OFF, "true")
    for name in ("azure.monitor", "azure.core", "azure.identity"):
        # A line or more for each export, otherwise.
        logging.getLogger(name).setLevel(logging.WARNING)
    from azure.monitor.opentelemetry.exporter import AzureMonitorLogExporter, AzureMonitorMetricExporter
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    options: dict[str, Any] = {"disable_offline_storage": True, "retry_total": 0, "timeout": _TIMEOUT}
    options["connection_string"] = configured.connection_string
    reader = PeriodicExportingMetricReader(AzureMonitorMetricExporter(**options), export_interval_millis=float("inf"))
    return reader, AzureMonitorLogExporter(**options)


def _resource() -> dict[str, str]:
    """Return what Application Insights calls the role and its instance; a machine may run several processes."""
    return {"service.name": "email-engagement", "service.instance.id": f"{os.uname().nodename}-{os.getpid()}"}
