"""The scripts that azd runs, against a stand-in for `az` and `azd`: what they ask, and that they may be repeated."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from shared.services.caller import ROLES
from shared.settings import read_settings
from shared.webapi.auth import SCOPE
from tests.infra.checks import ROOT

SCRIPTS = ROOT / "infra" / "scripts"
ENVIRONMENT = {
    "AZURE_ENV_NAME": "prod",
    "AZURE_SUBSCRIPTION_ID": "22222222-3333-4444-5555-666666666666",
    "AZURE_KEY_VAULT_NAME": "kv-1",
    "AZURE_RESOURCE_GROUP": "g",
    "AZURE_FUNCTION_NAME": "f",
    "AZURE_IDENTITY_CLIENT_ID": "client",
    "AZURE_IDENTITY_PRINCIPAL_ID": "principal",
    "RETRY_SECONDS": "0",
}

type Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def run(tmp_path: Path, state: Path) -> Run:
    """Return a function that runs a script; `az` and `azd` on its path are the stand-in."""
    state.mkdir()
    tools = tmp_path / "tools"
    tools.mkdir()
    source = (Path(__file__).with_name("azure_cli.py")).read_text(encoding="utf-8")
    for tool in ("az", "azd"):
        (tools / tool).write_text(f"#!{sys.executable}\n{source}")
        (tools / tool).chmod(0o755)
    base = {"PATH": f"{tools}:{os.environ['PATH']}", "CLI_STATE": str(state), "HOME": str(tmp_path), **ENVIRONMENT}

    def start(script: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [str(SCRIPTS / script), *arguments]
        return subprocess.run(command, env=base | environment, capture_output=True, text=True, timeout=60)

    return start


def calls(state: Path) -> list[list[str]]:
    return [json.loads(line) for line in (state / "calls").read_text().splitlines()]


def secrets(state: Path) -> dict[int, bytes]:
    """Return the secrets in Key Vault as the app reads them."""
    return dict(
        read_settings(
            {
                "AzureWebJobsStorage": "UseDevelopmentStorage=true",
                "BASE_URL": "https://x.example",
                "TOKEN_SECRETS": (state / "secret").read_text(),
                "TOKEN_KEY": "1",
            }
        ).token_secrets
    )


def test_the_first_secret_is_one_that_the_app_takes(run: Run, state: Path) -> None:
    assert run("token-secrets.sh").returncode == 0
    assert [(key, len(value)) for key, value in secrets(state).items()] == [(1, 32)]


def test_a_secret_that_is_there_stays(run: Run, state: Path) -> None:
    run("token-secrets.sh")
    first = secrets(state)
    assert "already" in run("token-secrets.sh").stdout
    assert secrets(state) == first


def test_rotating_adds_a_secret_and_keeps_the_old_ones(run: Run, state: Path) -> None:
    run("token-secrets.sh")
    first = secrets(state)
    second = run("token-secrets.sh", "add")
    assert "azd env set TOKEN_KEY 2 && azd provision" in second.stdout
    run("token-secrets.sh", "add")
    assert secrets(state).keys() == {1, 2, 3}
    assert secrets(state)[1] == first[1]
    assert len(set(secrets(state).values())) == 3


def test_instances_are_told_of_a_secret(run: Run, state: Path) -> None:
    run("token-secrets.sh")
    asked = [" ".join(call) for call in calls(state)]
    refreshed = next(i for i, call in enumerate(asked) if "/f/config/configreferences/appsettings/refresh" in call)
    assert any("/f/restart" in call for call in asked[refreshed:])


def test_no_secret_is_shown_or_put_on_a_command_line(run: Run, state: Path) -> None:
    said = run("token-secrets.sh")
    value = (state / "secret").read_text().partition(":")[2]
    assert value
    assert value not in said.stdout + said.stderr + (state / "calls").read_text()


def test_a_vault_that_may_not_be_read_is_never_taken_for_an_empty_one(run: Run, state: Path) -> None:
    run("token-secrets.sh")
    before = secrets(state)
    (state / "deny-Microsoft.KeyVault").write_text("ERROR: AuthorizationFailed")
    (state / "deny-secret show").write_text("ERROR: (Forbidden) Caller is not authorized")
    failed = run("token-secrets.sh")
    assert failed.returncode == 1
    assert "Key Vault Secrets Officer" in failed.stderr
    assert secrets(state) == before


def test_who_has_no_way_into_a_private_network_may_deploy_where_a_secret_is_there(run: Run, state: Path) -> None:
    run("token-secrets.sh")
    (state / "deny-keyvault").write_text("ERROR: (Forbidden) Public network access is disabled")
    again = run("token-secrets.sh")
    assert again.returncode == 0
    assert "already" in again.stdout


def test_a_new_budget_begins_in_this_month_and_one_that_is_there_keeps_its_first(run: Run, state: Path) -> None:
    assert run("before-provision.sh", BUDGET_START="2020-01-01").returncode == 0
    started = (state / "env-BUDGET_START").read_text()
    assert started != "2020-01-01"
    assert re.fullmatch(r"20\d\d-\d\d-01", started)
    (state / "budget").write_text("2026-01-01T00:00:00Z")
    run("before-provision.sh", BUDGET_START=started)
    assert (state / "env-BUDGET_START").read_text() == "2026-01-01"


def test_a_budget_that_cannot_be_looked_up_begins_in_this_month(run: Run, state: Path) -> None:
    (state / "deny-budgets").write_text("ERROR: ResourceGroupNotFound")
    assert run("before-provision.sh").returncode == 0
    assert (state / "env-BUDGET_START").read_text().endswith("-01")


def test_az_and_azd_must_mean_the_same_subscription(run: Run, state: Path) -> None:
    failed = run("before-provision.sh", AZURE_SUBSCRIPTION_ID="another")
    assert failed.returncode == 1
    assert "az account set --subscription another" in failed.stderr
    assert not list(state.glob("env-*"))


def test_the_web_api_is_known_by_its_client_id_and_its_uris(run: Run, state: Path) -> None:
    client = "11111111-2222-3333-4444-555555555555"
    run("before-provision.sh")
    assert (state / "env-WEB_API_AUDIENCE").read_text() == f"api://{client},{client}"
    run("before-provision.sh", WEB_API_URIS="https://links.contoso.com/contoso/")
    audience = (state / "env-WEB_API_AUDIENCE").read_text()
    assert audience == f"https://links.contoso.com/contoso,api://{client},{client}"
    bodies = [call[call.index("--body") + 1] for call in calls(state) if "--body" in call]
    assert json.loads(bodies[-1]) == {"identifierUris": ["https://links.contoso.com/contoso", f"api://{client}"]}


def test_an_app_registration_made_by_hand_is_left_alone(run: Run, state: Path) -> None:
    assert "left alone" in run("before-provision.sh", WEB_API_AUDIENCE="api://ours").stdout
    assert not [call for call in calls(state) if "graph.microsoft.com" in " ".join(call)]


def test_an_app_registration_that_is_not_known_everywhere_yet_is_asked_for_again(run: Run, state: Path) -> None:
    (state / "once-select=appId").write_text("ERROR: Request_ResourceNotFound")
    assert run("before-provision.sh").returncode == 0
    assert "11111111" in (state / "env-WEB_API_AUDIENCE").read_text()


def test_who_may_not_make_an_app_registration_hears_who_must_and_how(run: Run, state: Path) -> None:
    (state / "deny-applications").write_text("ERROR: Authorization_RequestDenied")
    failed = run("before-provision.sh")
    assert failed.returncode == 1
    assert "PERSON with the role Application Administrator" in failed.stderr


def test_the_app_registration_has_the_roles_that_the_web_api_knows() -> None:
    registration = json.loads((SCRIPTS / "entra-app.json").read_text(encoding="utf-8"))
    assert {role["value"] for role in registration["appRoles"]} == ROLES
    assert [scope["value"] for scope in registration["api"]["oauth2PermissionScopes"]] == [SCOPE]
    assert registration["optionalClaims"] == {"accessToken": [{"name": "idtyp"}]}
    ids = [part["id"] for part in (*registration["appRoles"], *registration["api"]["oauth2PermissionScopes"])]
    assert len(set(ids)) == len(ids) == 4


def test_files_are_allowed_once_and_mail_is_left_to_a_person(run: Run, state: Path) -> None:
    first, second = run("graph-permissions.sh"), run("graph-permissions.sh")
    assert first.returncode == second.returncode == 0
    given = [call for call in calls(state) if "post" in call]
    assert len(given) == 1
    assert "already" in second.stdout
    assert "exchange.ps1 -ClientId client -PrincipalId principal" in first.stdout
    assert not any("Mail." in " ".join(call) for call in calls(state))


def test_a_deployment_does_not_fail_where_files_may_not_be_allowed(run: Run, state: Path) -> None:
    (state / "deny-appRoleAssignments").write_text("ERROR: Authorization_RequestDenied")
    run("token-secrets.sh")
    done = run("after-provision.sh")
    assert done.returncode == 0
    assert "A PERSON must do this: the app could not be given access to files" in done.stdout


def test_access_to_files_can_be_left_out(run: Run, state: Path) -> None:
    assert "unfollowed" in run("graph-permissions.sh", GRAPH_FILES="none").stdout
    assert not (state / "calls").exists()


def test_what_exchange_keeps_of_a_deployment_has_a_name_of_its_own_of_64_characters_or_fewer() -> None:
    script = (SCRIPTS / "exchange.ps1").read_text(encoding="utf-8")
    name = "Email Engagement $($PrincipalId.Substring(0, 8))"
    assert f'$name = "{name}"' in script
    assert '$assignment = "$name $role"' in script
    roles = re.findall(r"'(Application [A-Za-z.]+)'", script)
    assert roles == ["Application Mail.ReadWrite", "Application Mail.Send"]
    assert all(len(f"Email Engagement 12345678 {role}") <= 64 for role in roles)


@pytest.fixture
def health(tmp_path: Path, run: Run) -> Path:
    """Return a file; `curl` on the scripts' path succeeds while it is there."""
    healthy = tmp_path / "healthy"
    curl = tmp_path / "tools" / "curl"
    curl.write_text(f"#!/bin/sh\ntest -e {healthy}\n")
    curl.chmod(0o755)
    return healthy


def test_after_a_deployment_the_operator_hears_how_to_add_an_organization(run: Run, health: Path) -> None:
    health.touch()
    done = run("after-deploy.sh", BASE_URL="https://links.contoso.com", AZURE_STORAGE_ACCOUNT="st1")
    assert done.returncode == 0
    assert "manage.py --account st1 add contoso --tenant" in done.stdout


def test_a_deployment_that_does_not_answer_fails_and_says_where_to_look(run: Run, health: Path) -> None:
    failed = run("after-deploy.sh", BASE_URL="https://links.contoso.com", AZURE_STORAGE_ACCOUNT="st1")
    assert failed.returncode == 1
    assert "https://f.azurewebsites.net/health does not answer" in failed.stderr
