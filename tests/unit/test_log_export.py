"""The log on its way to Application Insights: what is kept, what each line says, and what it does not say."""

import asyncio
import logging

import pytest

from local.ingestion import ingestion
from shared import logs, settings, telemetry

EMAIL = "9d1a8a1e-55b5-4d0b-8f43-2f0d0a2f8d9c"


@pytest.fixture
def kept(caplog):
    """Return what keeps the log, with records made as the app makes them and the level that the worker sets."""
    caplog.set_level(logging.INFO)
    before = logging.getLogRecordFactory()
    logs.redact()
    handler = telemetry.keep()
    yield handler
    for name in telemetry._LOGGERS:
        logging.getLogger(name).removeHandler(handler)
    logging.setLogRecordFactory(before)


@pytest.fixture
def sent(kept, monkeypatch):
    """Return a function that exports once and returns what arrived: (type, data, tags) of each item."""
    for name in telemetry._OFF:
        monkeypatch.setenv(name, "true")
    with ingestion() as sink:
        _, exporter = telemetry._application_insights(settings.Telemetry(sink.connection_string, 60))
        export = telemetry.exporting_log(kept, exporter, {"service.name": "tests"})

        def once():
            sink.items.clear()
            export()
            return [(item["data"]["baseType"], item["data"]["baseData"], item["tags"]) for item in sink.items]

        yield once


def test_a_line_arrives_with_its_severity_its_logger_and_what_it_is_about(sent):
    async def work():
        logs.about("contoso", EMAIL)
        logging.getLogger("shared.services.delivering").warning(
            "email waits for ada@example.com from %s", "203.0.113.9"
        )

    asyncio.run(work())
    [(kind, data, tags)] = sent()
    assert (kind, data["message"], data["severityLevel"]) == (
        "MessageData",
        "email waits for [address] from [network]",
        2,
    )
    assert data["properties"]["organization"] == "contoso"
    assert data["properties"]["email"] == EMAIL
    assert data["properties"]["logger"] == "shared.services.delivering"
    assert tags["ai.cloud.role"] == "tests"


@pytest.mark.parametrize(("level", "severity"), [(logging.INFO, 1), (logging.ERROR, 3), (logging.CRITICAL, 4)])
def test_severities_are_those_of_application_insights(sent, level, severity):
    logging.getLogger("functions.delivery").log(level, "said")
    [(_, data, _)] = sent()
    assert data["severityLevel"] == severity


def test_an_exception_arrives_with_type_and_traceback_and_names_nobody(sent):
    try:
        raise ValueError("no such person: ada@example.com")
    except ValueError:
        logging.getLogger("shared.services.folding").exception("the fold failed")
    [(kind, data, tags)] = sent()
    [told] = data["exceptions"]
    assert (kind, told["typeName"], told["message"]) == ("ExceptionData", "ValueError", "the fold failed")
    assert "no such person: [address]" in told["stack"]
    assert "Traceback" in told["stack"]
    assert tags["ai.cloud.role"] == "tests"


def test_a_line_is_sent_once(sent):
    logging.getLogger("shared").info("said")
    assert (len(sent()), sent()) == (1, [])


def test_two_tasks_at_once_are_each_about_their_own_and_so_are_the_tasks_they_start(kept):
    async def work(organization, email):
        logs.about(organization, email)
        await asyncio.sleep(0)
        await asyncio.create_task(say(organization))

    async def say(organization):
        logging.getLogger("shared").info(organization)

    async def both():
        await asyncio.gather(work("contoso", EMAIL), work("fabrikam", ""))

    asyncio.run(both())
    about = {record.getMessage(): getattr(record, logs.ABOUT) for record in kept.take()}
    assert about == {"contoso": {"organization": "contoso", "email": EMAIL}, "fabrikam": {"organization": "fabrikam"}}


def test_what_is_about_nothing_says_nothing(kept):
    logging.getLogger("shared").info("started")
    assert [getattr(record, logs.ABOUT) for record in kept.take()] == [{}]


def test_details_and_what_libraries_tell_of_their_requests_are_not_kept(kept, caplog):
    caplog.set_level(logging.DEBUG)
    logging.getLogger("shared").debug("a detail")
    for name in ("azure.core.pipeline.policies.http_logging_policy", "opentelemetry", "aiohttp.access", "msal"):
        logging.getLogger(name).warning("a request")
    assert kept.take() == []


def test_a_storm_of_lines_fills_no_memory_and_keeps_the_newest(kept):
    for number in range(5000):
        logging.getLogger("shared").info("%d", number)
    taken = kept.take()
    assert (len(taken), taken[-1].getMessage(), kept.take()) == (2000, "4999", [])


def test_keeping_changes_nothing_of_what_other_handlers_write(kept, caplog):
    logging.getLogger("shared").info("said")
    assert caplog.messages == ["said"]
