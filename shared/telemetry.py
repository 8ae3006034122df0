"""Exporting `shared.metrics` to Application Insights through OpenTelemetry, in a thread of its own.

The thread waits before it imports anything: OpenTelemetry and the exporter take half a second of processor time, and
the first recipients of a process must not pay for it. Logs are not exported: the Functions host sends what the worker
logs to the same place already. With the process ends the minute that was not exported yet: at exit the spool's hits
have the time that is left, not the counts.
"""

import logging
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shared import metrics
from shared.settings import Telemetry, telemetry

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader

_START_AFTER = 15.0
"""Seconds that a process has for its first answers before the exporter is loaded."""
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
        threading.Thread(target=_run, args=(configured,), name="telemetry", daemon=True).start()


def _run(configured: Telemetry) -> None:
    pause = threading.Event()
    pause.wait(min(_START_AFTER, configured.interval))
    try:
        export = exporting(_application_insights(configured), _resource())
        while True:
            export()
            pause.wait(configured.interval)
    except Exception:  # noqa: BLE001 - a thread that nobody waits for
        _log.exception("metrics are not exported any more, all else goes on: see docs/operations.md, silent")


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


def _attributes(labels: Sequence[str], values: Sequence[str]) -> dict[str, str]:
    return dict(zip(labels, values, strict=True))


def _application_insights(configured: Telemetry) -> "MetricReader":
    """Return a reader that exports when it is flushed. The exporter reads ``APPLICATIONINSIGHTS_AUTHENTICATION_STRING``
    itself and then takes the managed identity's token."""
    os.environ |= dict.fromkeys(_OFF, "true")
    for name in ("azure.monitor", "azure.core", "azure.identity"):
        # A line or more for each export, otherwise.
        logging.getLogger(name).setLevel(logging.WARNING)
    from azure.monitor.opentelemetry.exporter import AzureMonitorMetricExporter
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

    options: dict[str, Any] = {"disable_offline_storage": True, "retry_total": 0, "timeout": _TIMEOUT}
    exporter = AzureMonitorMetricExporter(connection_string=configured.connection_string, **options)
    return PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))


def _resource() -> dict[str, str]:
    """Return what Application Insights calls the role and its instance; a machine may run several processes."""
    return {"service.name": "email-engagement", "service.instance.id": f"{os.uname().nodename}-{os.getpid()}"}
