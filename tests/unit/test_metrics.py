"""Metrics: what is counted, for how long it is known, and that only what changed is exported."""

import threading
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from shared import metrics, settings, telemetry
from shared.metrics import Counter, Distribution, Gauge
from shared.settings import SettingError


@pytest.fixture
def instruments(monkeypatch):
    """Return a counter, a gauge and a distribution that are the only ones."""
    made = (
        Counter("ee.things", "things", ("organization",)),
        Gauge("ee.level", "level", "1"),
        Distribution("ee.lag", ""),
    )
    for name, one in zip(("COUNTERS", "GAUGES", "DISTRIBUTIONS"), made, strict=True):
        monkeypatch.setattr(metrics, name, (one,))
    return made


@pytest.fixture
def exported(instruments):
    """Return a function that exports once and returns the points of each metric."""
    from azure.monitor.opentelemetry.exporter.export.metrics._exporter import APPLICATION_INSIGHTS_METRIC_TEMPORALITIES

    temporality: Any = APPLICATION_INSIGHTS_METRIC_TEMPORALITIES
    reader = InMemoryMetricReader(preferred_temporality=temporality)
    export = telemetry.exporting(reader, {"service.name": "tests"})

    def once():
        export()
        data = reader.get_metrics_data()
        scopes = [scope for resource in data.resource_metrics for scope in resource.scope_metrics] if data else []
        return {metric.name: list(metric.data.data_points) for scope in scopes for metric in scope.metrics}

    return once


def test_an_export_tells_what_was_counted_since_the_last(instruments, exported):
    counter, _, _ = instruments
    counter.add("contoso")
    counter.add("contoso", count=2)
    counter.add("fabrikam")
    first = {point.attributes["organization"]: point.value for point in exported()["ee.things"]}
    counter.add("contoso")
    second = {point.attributes["organization"]: point.value for point in exported()["ee.things"]}
    assert (first, second) == ({"contoso": 3, "fabrikam": 1}, {"contoso": 1})


def test_a_minute_in_which_nothing_happened_exports_nothing(instruments, exported):
    instruments[0].add("contoso")
    exported()
    assert exported() == {}


def test_a_distribution_tells_count_sum_and_extremes_of_the_interval(instruments, exported):
    for seconds in (1.0, 2.0, 6.0):
        instruments[2].record(seconds)
    (point,) = exported()["ee.lag"]
    assert (point.count, point.sum, point.min, point.max) == (3, 9.0, 1.0, 6.0)
    instruments[2].record(4.0)
    (point,) = exported()["ee.lag"]
    assert (point.count, point.max) == (1, 4.0)


def test_a_gauge_is_told_every_minute_as_long_as_it_is_known(instruments, exported):
    instruments[1].set(7)
    assert [exported()["ee.level"][0].value for _ in range(2)] == [7, 7]


def test_a_gauge_that_nobody_set_for_its_lifetime_is_not_known():
    gauge = Gauge("ee.age", "age", "s", lifetime=150)
    assert gauge.value(at=0) is None
    gauge.set(3, at=100)
    assert (gauge.value(at=250), gauge.value(at=251)) == (3, None)


def test_what_nobody_takes_does_not_fill_the_memory():
    lags = Distribution("ee.lag", "lag")
    for number in range(5000):
        lags.record(number)
    taken = lags.take()
    assert (len(taken), taken[-1][0], lags.take()) == (2000, 4999, [])


def test_without_a_connection_string_no_thread_is_started(monkeypatch):
    monkeypatch.delenv("APPLICATIONINSIGHTS_CONNECTION_STRING", raising=False)
    before = threading.active_count()
    telemetry.start()
    assert threading.active_count() == before


def test_a_wrong_interval_is_named():
    with pytest.raises(SettingError, match="OTEL_METRIC_EXPORT_INTERVAL"):
        settings.telemetry({"OTEL_METRIC_EXPORT_INTERVAL": "soon"})


def test_the_exporter_runs_no_threads_of_its_own_and_asks_nobody_else(monkeypatch):
    before = set(threading.enumerate())
    connection = "InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=http://127.0.0.1:9/"
    with monkeypatch.context() as patch:
        for name in telemetry._OFF:
            patch.setenv(name, "")
        telemetry._application_insights(settings.Telemetry(connection, 60))
    assert set(threading.enumerate()) == before
