"""Every metric that the workbook and docs/operations.md name exists, and none that exists is left out."""

import json
import re
from pathlib import Path

from local.functions_host.host_json import load_host_options
from shared import metrics

ROOT = Path(__file__).parents[2]
MEASURED = {one.name: one for one in (*metrics.COUNTERS, *metrics.GAUGES, *metrics.DISTRIBUTIONS)}
WORKBOOK = (ROOT / "infra" / "bicep" / "workbook.json").read_text(encoding="utf-8")
DOCS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
OF_LINES = {"organization", "email", "logger"}
"""What the app says of each line of its log (`shared.logs.about`, `shared.telemetry`)."""
NAME = re.compile(r"\bee\.[a-z]+(?:\.[a-z]+)*")


def queries():
    """Return the KQL of the workbook's items by name."""
    items = json.loads(WORKBOOK)["items"]
    return {item["name"]: item["content"]["query"] for item in items if item["type"] == 3}


def test_every_metric_of_the_module_is_exported():
    kinds = (metrics.Counter, metrics.Gauge, metrics.Distribution)
    assert {one.name for one in vars(metrics).values() if isinstance(one, kinds)} == MEASURED.keys()


def test_the_workbook_shows_every_metric_and_no_other():
    assert set(NAME.findall(WORKBOOK)) == MEASURED.keys()


def test_the_operators_page_names_every_metric_and_no_other():
    assert set(NAME.findall(DOCS)) == MEASURED.keys()


def test_the_page_lists_each_metrics_attributes():
    rows = re.findall(r"^\| `(ee\.[a-z.]+)` \|[^|]*\|([^|]*)\|", DOCS, re.MULTILINE)
    listed = {name: tuple(re.findall(r"`(\w+)`", attributes)) for name, attributes in rows}
    assert listed == {name: getattr(one, "labels", ()) for name, one in MEASURED.items()}


def test_the_workbook_asks_only_for_attributes_that_a_metric_has():
    for name, query in queries().items():
        asked = set(re.findall(r"customDimensions\.([a-z]+)", query))
        measured = [getattr(MEASURED[metric], "labels", ()) for metric in NAME.findall(query)]
        there = {label for labels in measured for label in labels} if measured else OF_LINES
        assert asked <= there, name


def test_the_workbook_is_one_of_azure_monitor_and_its_names_are_its_own():
    workbook = json.loads(WORKBOOK)
    assert workbook["version"] == "Notebook/1.0"
    names = [item["name"] for item in workbook["items"]]
    assert len(names) == len(set(names))
    assert all("//" not in query for query in queries().values())


def test_the_host_writes_no_urls_for_they_hold_tokens():
    logging = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))["logging"]
    assert logging["logLevel"]["Host.Results"] == "None"
    assert logging["logLevel"]["Microsoft"] == "Warning"
    collection = logging["applicationInsights"]["httpAutoCollectionOptions"]
    assert collection["enableHttpTriggerExtendedInfoCollection"] is False
    assert load_host_options(ROOT).log_level == "Information"


def test_the_host_sends_no_line_a_second_time_and_shows_all_on_a_console():
    logging = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))["logging"]
    assert logging["applicationInsights"]["logLevel"] == {"Function": "Error", "Function.*.User": "None"}
    assert not [category for category in logging["logLevel"] if category.startswith("Function")]


def test_the_operators_page_explains_every_dimension_of_a_line():
    rows = re.findall(r"^\| `(\w+)` \|", DOCS.partition("| custom dimension |")[2], re.MULTILINE)
    assert set(rows[:3]) == OF_LINES
