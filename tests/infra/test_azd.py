"""azure.yaml and the GitHub workflow: well-formed, pinned, with no more rights than needed, calling what exists."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from tests.infra.checks import BICEP, ROOT, parse_all
from tests.infra.syntax import literal, properties, walk

AZURE: dict[str, Any] = yaml.safe_load((ROOT / "azure.yaml").read_text(encoding="utf-8"))
SOURCE = (ROOT / ".github" / "workflows" / "azure-dev.yml").read_text(encoding="utf-8")
WORKFLOW: dict[str, Any] = yaml.safe_load(SOURCE)
JOBS: dict[str, Any] = WORKFLOW["jobs"]


def steps() -> Iterator[dict[str, Any]]:
    for job in JOBS.values():
        yield from job["steps"]


def variables() -> set[str]:
    """Return the names of the azd environment that the template's parameters come from."""
    return set(re.findall(r"\$\{([A-Z0-9_]+)", (BICEP / "main.parameters.json").read_text(encoding="utf-8")))


# azure.yaml


def test_azd_finds_the_template_and_the_app() -> None:
    assert (ROOT / AZURE["infra"]["path"] / f"{AZURE['infra']['module']}.bicep").is_file()
    service = AZURE["services"]["engagement"]
    assert (service["language"], service["host"]) == ("python", "function")
    assert (ROOT / service["project"] / "function_app.py").is_file()


def test_azd_finds_the_function_app_by_its_tag() -> None:
    tags = [
        literal(properties(node)["azd-service-name"])
        for node in walk(parse_all(BICEP)["function.bicep"].root)
        if node.type == "object" and "azd-service-name" in properties(node)
    ]
    assert tags == list(AZURE["services"])


@pytest.mark.parametrize("hook", AZURE["hooks"])
def test_a_hook_runs_a_script_that_exists_and_may_be_run(hook: str) -> None:
    script = ROOT / AZURE["hooks"][hook]["run"]
    assert script.stat().st_mode & 0o100, script
    assert script.read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")


def test_a_script_asks_only_for_names_that_azd_or_the_template_gives() -> None:
    outputs = parse_all(BICEP)["main.bicep"].outputs.keys()
    optional = {"WEB_API_URIS", "WEB_API_CLIENT_ID", "GRAPH_FILES", "RETRY_SECONDS"}
    known = outputs | variables() | optional | {"AZURE_SUBSCRIPTION_ID"}
    for script in (ROOT / "infra" / "scripts").glob("*.sh"):
        asked = set(re.findall(r"\$\{?([A-Z][A-Z0-9_]+)", script.read_text(encoding="utf-8"))) - {"IFS"}
        assert asked <= known, script.name


# The workflow


def test_every_action_is_pinned_to_a_commit_and_says_its_version() -> None:
    used = re.findall(r"uses: (.*)", SOURCE)
    assert used
    assert [line for line in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", line)] == []


def test_only_the_deployment_may_sign_in_to_azure_and_nobody_may_write() -> None:
    assert WORKFLOW["permissions"] == {"contents": "read"}
    assert JOBS["deploy"]["permissions"] == {"contents": "read", "id-token": "write"}
    assert [name for name, job in JOBS.items() if "permissions" in job] == ["deploy"]
    assert "secrets." not in SOURCE


def test_a_checkout_leaves_no_credentials_behind() -> None:
    checkouts = [step for step in steps() if "checkout" in step.get("uses", "")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] is False for step in checkouts)


def test_only_main_is_deployed_after_everything_else_has_passed() -> None:
    assert set(JOBS["deploy"]["needs"]) == JOBS.keys() - {"deploy"}
    assert "github.ref == 'refs/heads/main'" in JOBS["deploy"]["if"]
    assert "github.event_name != 'pull_request'" in JOBS["deploy"]["if"]


def test_what_the_workflow_calls_exists() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    commands = [step["run"] for step in steps() if "run" in step]
    made = {target for command in commands for target in re.findall(r"make (\w+)", command)}
    assert made == {"test", "audit"}
    assert made <= targets
    files = [file for command in commands for file in re.findall(r"--file (\S+)", command)]
    assert files
    assert all((ROOT / file).is_file() for file in files)


def test_the_workflow_hands_over_every_parameter_of_the_template() -> None:
    by_azd_or_a_hook = {"AZURE_PRINCIPAL_ID", "AZURE_PRINCIPAL_TYPE", "BUDGET_START"}
    assert variables() - by_azd_or_a_hook <= JOBS["deploy"]["env"].keys()
    assert set(AZURE["pipeline"]["variables"]) <= JOBS["deploy"]["env"].keys()


def test_the_deployment_signs_in_as_azd_pipeline_config_arranges_it() -> None:
    # Its federated credential names the branch; a job with an environment would name that instead.
    assert "environment" not in JOBS["deploy"]


def test_no_text_from_outside_is_pasted_into_a_command() -> None:
    assert not [step["run"] for step in steps() if "${{" in step.get("run", "")]


def test_the_workbook_and_the_linters_configuration_are_json() -> None:
    workbook = json.loads((BICEP / "workbook.json").read_text(encoding="utf-8"))
    assert workbook["version"] == "Notebook/1.0"
    assert json.loads((BICEP / "bicepconfig.json").read_text(encoding="utf-8"))["analyzers"]
