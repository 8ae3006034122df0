"""Which settings the parts of a local run get, and what host.json and time spans may say."""

import json
from datetime import timedelta
from pathlib import Path

import pytest

from local.functions_host.app_settings import expand, load_app_settings
from local.functions_host.host_json import load_host_options, parse_time_span
from local.functions_host.worker import RetryPolicy
from local.run import run_environment


def write_settings(app: Path, name: str, **values: str) -> None:
    (app / name).write_text(json.dumps({"IsEncrypted": False, "Values": values}))


def test_without_settings_the_documented_ports_and_directories_hold(tmp_path: Path) -> None:
    environment = run_environment(tmp_path, {})
    assert environment["BASE_URL"] == "http://127.0.0.1:7071"
    assert environment["MICROSOFT365_URL"] == "http://127.0.0.1:7072"
    assert "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1" in environment["AzureWebJobsStorage"]
    assert environment["SPOOL_DIR"] == str(Path(".local/spool").resolve())


def test_ports_from_the_environment_move_the_addresses(tmp_path: Path) -> None:
    environment = run_environment(tmp_path, {"PORT": "8001", "MICROSOFT365_PORT": "8002", "AZURITE_PORT": "8100"})
    assert environment["BASE_URL"] == "http://127.0.0.1:8001"
    assert environment["MICROSOFT365_URL"] == "http://127.0.0.1:8002"
    assert "TableEndpoint=http://127.0.0.1:8102/devstoreaccount1" in environment["AzureWebJobsStorage"]


def test_the_environment_wins_over_local_settings_and_these_over_the_defaults(tmp_path: Path) -> None:
    write_settings(tmp_path, "local.settings.json", BASE_URL="http://file", SPOOL_DIR="/file")
    environment = run_environment(tmp_path, {"BASE_URL": "http://environment"})
    assert environment["BASE_URL"] == "http://environment"
    assert environment["SPOOL_DIR"] == "/file"


def test_the_sample_lies_below_the_defaults(tmp_path: Path) -> None:
    write_settings(tmp_path, "local.settings.sample.json", BASE_URL="http://sample", LINK_SECRET="sample")
    environment = run_environment(tmp_path, {})
    assert environment["BASE_URL"] == "http://127.0.0.1:7071"
    assert environment["LINK_SECRET"] == "sample"


def test_local_settings_replace_the_sample(tmp_path: Path) -> None:
    write_settings(tmp_path, "local.settings.sample.json", ONLY_SAMPLE="1")
    write_settings(tmp_path, "local.settings.json", ONLY_MINE="1")
    assert load_app_settings(tmp_path, {"FROM_OUTSIDE": "1"}) == {"ONLY_MINE": "1", "FROM_OUTSIDE": "1"}


def test_development_storage_means_this_runs_azurite(tmp_path: Path) -> None:
    write_settings(tmp_path, "local.settings.json", AzureWebJobsStorage="UseDevelopmentStorage=true")
    assert "http://127.0.0.1:8100/" in run_environment(tmp_path, {"AZURITE_PORT": "8100"})["AzureWebJobsStorage"]


@pytest.mark.parametrize("port", ["0", "70000", "http", "-1"])
def test_a_port_that_is_none_is_named_with_its_setting(tmp_path: Path, port: str) -> None:
    with pytest.raises(ValueError, match=f"MICROSOFT365_PORT is '{port}'"):
        run_environment(tmp_path, {"MICROSOFT365_PORT": port})


def test_a_broken_settings_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "local.settings.json").write_text("{")
    with pytest.raises(ValueError, match=r"local\.settings\.json"):
        load_app_settings(tmp_path, {})


def test_settings_are_put_into_bindings() -> None:
    assert expand("%A%-%B%", {"A": "1", "B": "2"}) == "1-2"


def test_a_setting_that_is_missing_from_a_binding_is_named() -> None:
    with pytest.raises(LookupError, match="NOT_THERE"):
        expand("%NOT_THERE%", {})


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("00:00:02", timedelta(seconds=2)),
        ("00:00:00.1000000", timedelta(milliseconds=100)),
        ("1.02:03:04", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        ("-1", None),
    ],
)
def test_time_spans(text: str, span: timedelta | None) -> None:
    assert parse_time_span(text) == span


@pytest.mark.parametrize("text", ["", "10", "1:2", "00:00:02 ", "aa:bb:cc"])
def test_what_is_no_time_span_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="time span"):
        parse_time_span(text)


def test_an_empty_host_json_means_azures_defaults(tmp_path: Path) -> None:
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    options = load_host_options(tmp_path)
    assert (options.route_prefix, options.queues.base64, options.queues.batch_size) == ("api", True, 16)


def test_an_exponential_retry_doubles_up_to_its_maximum() -> None:
    policy = RetryPolicy(-1, timedelta(seconds=2), timedelta(seconds=9), exponential=True)
    assert [policy.delay(retry) for retry in (0, 1, 2, 3, 5000)] == [2, 4, 8, 9, 9]


def test_a_fixed_retry_waits_the_same_each_time() -> None:
    policy = RetryPolicy(3, timedelta(seconds=2), timedelta(seconds=2), exponential=False)
    assert [policy.delay(retry) for retry in (0, 1, 2)] == [2, 2, 2]
