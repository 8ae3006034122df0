"""Metrics and the log leave a running host for where Application Insights takes them, as its exporter writes them."""

import asyncio
import json
import time
import uuid
from collections.abc import Callable
from typing import Any

import httpx

from local.ingestion import Ingestion, ingestion
from shared.engagement.tokens import Token, TokenKind, mint
from shared.settings import settings
from shared.storage import queues
from tests.hosts import hosts


def until(there: Callable[[], object], seconds: float = 40) -> None:
    """Wait until something is there."""
    end = time.monotonic() + seconds
    while not there():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.1)


def test_hits_lag_and_labels_of_a_host_arrive_and_name_nobody(configured, tmp_path):
    address = "ada@recipients.example"
    with ingestion() as sink, hosts(1, tmp_path, **exporting_to(sink)) as (host,):
        token = Token(1, "nobodyhere", TokenKind.OPEN, uuid.uuid4(), 0, 0)
        path = mint(token, settings().token_secrets)
        for _ in range(3):
            assert httpx.get(f"{host.url}/o/{path}", params={"u": address}).status_code == 200
        until(lambda: sum(point["value"] for point in sink.metrics("ee.hits")) == 3)
        until(lambda: sink.metrics("ee.journal.age"))
        assert {point["properties"]["organization"] for point in sink.metrics("ee.hits")} == {"nobodyhere"}
        assert {item["tags"]["ai.cloud.role"] for item in sink.items} == {"email-engagement"}
        written = json.dumps(sink.items)
        assert path[:32] not in written
        assert address not in written
        log = host.log.read_text()
        assert "nothing is exported" not in log
        assert path[:32] not in log


def test_what_a_function_logs_arrives_with_what_it_is_about_and_stays_on_the_console(configured, tmp_path):
    card = str(uuid.uuid4())
    with ingestion() as sink, hosts(1, tmp_path, **exporting_to(sink)) as (host,):
        work = {"organization": "nobodyhere", "card": card, "channel": "webhook"}
        asyncio.run(queues.send(f"{queues.TELL}-poison", work))

        def arrived() -> list[dict[str, Any]]:
            return [line for line in sink.lines() if card in line["message"]]

        until(arrived)
        [line] = arrived()
        assert line["severityLevel"] == 3
        assert line["properties"]["organization"] == "nobodyhere"
        assert line["properties"]["logger"] == "shared.services.telling"
        until(lambda: card in host.log.read_text())


def test_a_host_whose_endpoint_is_gone_answers_as_ever(configured, tmp_path):
    with ingestion() as gone:
        pass
    with hosts(1, tmp_path, **exporting_to(gone)) as (host,):
        end = time.monotonic() + 4
        while time.monotonic() < end:
            assert httpx.get(f"{host.url}/health").status_code == 200
            time.sleep(0.2)
        assert "nothing is exported" not in host.log.read_text()


def exporting_to(sink: Ingestion) -> dict[str, str]:
    return {
        "APPLICATIONINSIGHTS_CONNECTION_STRING": sink.connection_string,
        "OTEL_METRIC_EXPORT_INTERVAL": "500",
        "MICROSOFT365_URL": "http://127.0.0.1:9",
    }
