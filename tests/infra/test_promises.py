"""What host.json and the template must say so that the promises hold on Azure; and what the package holds."""

import ast
import fnmatch
import json
import re
import runpy
import tomllib
from datetime import timedelta
from typing import Any

from local.functions_host.host_json import load_host_options
from local.functions_host.ncrontab import parse as parse_schedule
from tests.infra.checks import BICEP, ROOT, parse_all
from tests.infra.syntax import literal, properties, walk

HOST: dict[str, Any] = json.loads((ROOT / "host.json").read_text(encoding="utf-8"))
OPTIONS = load_host_options(ROOT)
# An app of our own: it can be asked for its functions once.
FUNCTIONS = runpy.run_path(str(ROOT / "function_app.py"))["app"].get_functions()
FUNCTION = parse_all(BICEP)["function.bicep"]


def functions() -> dict[str, set[str]]:
    """Return the trigger types of every function of the deployment, by its name."""
    return {
        function.get_function_name(): {binding.type for binding in function.get_bindings()} for function in FUNCTIONS
    }


def always_ready() -> set[str]:
    return {
        str(literal(properties(node)["name"]))
        for node in walk(FUNCTION.root)
        if node.type == "object" and properties(node).keys() == {"name", "instanceCount"}
    }


def test_a_card_comes_within_seconds_so_queues_are_asked_every_two() -> None:
    assert OPTIONS.queues.max_polling_interval <= timedelta(seconds=2)


def test_a_failed_message_waits_before_it_is_tried_again_and_ends_as_poison() -> None:
    assert OPTIONS.queues.visibility_timeout >= timedelta(seconds=10)
    assert OPTIONS.queues.max_dequeue_count == 5


def test_queue_messages_are_plain_text_as_we_send_them() -> None:
    assert not OPTIONS.queues.base64


def test_links_start_at_the_root() -> None:
    assert OPTIONS.route_prefix == ""


def test_the_host_never_turns_a_recipient_away() -> None:
    http = HOST["extensions"]["http"]
    assert http["maxOutstandingRequests"] == http["maxConcurrentRequests"] == -1
    assert http["dynamicThrottlesEnabled"] is False


def test_the_host_adds_no_delays_or_scaling_of_its_own() -> None:
    assert "concurrency" not in HOST, "dynamic concurrency overrides the queues' batch size"
    assert "retry" not in HOST, "queues retry by themselves"


def test_what_is_kept_warm_exists() -> None:
    assert always_ready() == {"http", "function:fold"}
    assert functions()["fold"] == {"queueTrigger"}
    assert any("httpTrigger" in triggers for triggers in functions().values())


def said(name: str) -> str:
    """Return a Bicep file's source."""
    return (BICEP / name).read_text(encoding="utf-8")


def test_azure_the_workflow_and_the_pins_mean_the_same_python() -> None:
    python = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    assert python == ">=3.13,<3.14"
    assert "runtime: { name: 'python', version: '3.13' }" in said("function.bicep")
    assert 'python-version: "3.13"' in (ROOT / ".github/workflows/azure-dev.yml").read_text(encoding="utf-8")


def test_the_app_asks_for_everything_as_its_own_identity() -> None:
    app = said("function.bicep")
    assert "keyVaultReferenceIdentity: identityId" in app
    assert "'ClientId=${identityClientId};Authorization=AAD'" in app
    assert "authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }" in app


def test_azure_does_not_take_the_app_for_one_that_handles_a_request_at_a_time() -> None:
    assert "http: { perInstanceConcurrency: httpConcurrency }" in said("function.bicep")


def test_the_app_reads_the_secret_that_the_script_makes() -> None:
    script = (ROOT / "infra" / "scripts" / "token-secrets.sh").read_text(encoding="utf-8")
    assert "name: 'TOKEN_SECRETS', value: '@Microsoft.KeyVault(SecretUri=${secretsUrl}/token-secrets)'" in said(
        "function.bicep"
    )
    assert set(re.findall(r"(?:--name |/secrets/)([\w-]+)", script)) == {"token-secrets"}


def test_a_private_name_lies_in_a_zone_that_the_network_makes() -> None:
    zones = set(re.findall(r"'privatelink\.(\w+)\.(?:azure\.net'|\$\{storageSuffix\}')", said("network.bicep")))
    assert zones == {"blob", "queue", "table", "vaultcore"}
    assert "var services = ['blob', 'queue', 'table']" in said("storage.bicep")
    assert "zone: 'privatelink.${service}.${environment().suffixes.storage}'" in said("storage.bicep")
    assert "zone: 'privatelink.vaultcore.azure.net'" in said("secrets.bicep")


def test_the_page_of_costs_counts_the_timers_and_queues_that_there_are() -> None:
    page = (ROOT / "docs" / "costs.md").read_text(encoding="utf-8")
    bindings = [binding for function in FUNCTIONS for binding in function.get_bindings()]
    others = sum(binding.type == "queueTrigger" for binding in bindings) - 1
    assert f"the {others} other queues that have a function" in page
    starts = sum(starts_in_30_days(binding.schedule) for binding in bindings if binding.type == "timerTrigger")
    assert f"{starts:,} starts" in page


def starts_in_30_days(expression: str) -> int:
    """Return how often a timer fires in a month of 30 days, where every day is like the other."""
    schedule = parse_schedule(expression)
    return 30 * len(schedule.hours) * len(schedule.minutes) * len(schedule.seconds)


def test_a_queue_that_has_a_function_has_a_name_that_the_template_makes() -> None:
    storage = parse_all(BICEP)["storage.bicep"]
    listed = storage.named["queues"].value
    made = {literal(item) for item in listed.named_children} if listed else set()
    read = {
        binding.queue_name
        for function in FUNCTIONS
        for binding in function.get_bindings()
        if binding.type == "queueTrigger"
    }
    assert {str(name).removesuffix("-poison") for name in read} <= made


# The package


def ignored(path: str) -> bool:
    """Return whether .funcignore keeps a file or folder out of the package; a leading slash means the root."""
    rules = [line.strip() for line in (ROOT / ".funcignore").read_text(encoding="utf-8").splitlines()]
    parts = path.split("/")
    from_the_root = ["/" + "/".join(parts[: depth + 1]) for depth in range(len(parts))]
    return any(
        fnmatch.fnmatch(found, rule)
        for rule in rules
        if rule and rule[0] != "#"
        for found in (from_the_root if rule[0] == "/" else parts)
    )


def test_the_package_holds_what_the_app_imports() -> None:
    assert not [
        name for name in ("function_app.py", "functions", "shared", "host.json", "requirements.txt") if ignored(name)
    ]
    for path in [ROOT / "function_app.py", *ROOT.glob("functions/**/*.py"), *ROOT.glob("shared/**/*.py")]:
        assert not ignored(path.relative_to(ROOT).as_posix()), path
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [m for m in modules if m.partition(".")[0] in ("local", "tests", "benchmarks")], path


def test_the_package_holds_no_tests_secrets_or_local_data() -> None:
    for name in ("tests", "local", "benchmarks", "docs", "infra", ".venv", ".local", ".git", "local.settings.json"):
        assert ignored(name), name
    assert ignored("requirements-dev.txt")
    assert ignored("local.settings.sample.json")


def test_packages_that_are_brought_along_stay_whole() -> None:
    for folder in ("local", "docs", "tests", "infra"):
        assert not ignored(f".python_packages/lib/site-packages/some/{folder}/module.py"), folder


def test_data_files_of_the_domain_travel_along() -> None:
    assert not ignored("shared/engagement/cities.tsv")
    assert not ignored("shared/engagement/countries.tsv")
