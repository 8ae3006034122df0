"""infra/bicep, read as the compiler and Azure would read it: names, modules, properties, queues, parameters."""

import json
import re
from pathlib import Path

import pytest

from shared import metrics
from shared.storage import agenda, organizations, queues
from tests.infra.checks import (
    BICEP,
    ROOT,
    app_settings,
    circles,
    families_read,
    module_errors,
    parse_all,
    property_errors,
    setting_families,
    settings_read,
    syntax_errors,
    undefined_names,
    unguarded,
    unused_names,
)
from tests.infra.names import name_errors
from tests.infra.syntax import File, literal, operands, parse, properties, text, walk

FILES = parse_all(BICEP)
PARAMETERS = json.loads((BICEP / "main.parameters.json").read_text(encoding="utf-8"))["parameters"]

ONLY_LOCAL = {
    "AzureWebJobsStorage": "a connection string holds a key, and the account takes none",
    "MICROSOFT365_URL": "the stand-in's address",
    "AZURE_CLIENT_ID": "on Azure the managed identity signs in",
    "AZURE_CLIENT_SECRET": "on Azure the managed identity signs in",
}
"""Settings that the code reads and Azure must not have."""
ONLY_AZURE = {
    "AzureWebJobsStorage__accountName": "Azurite has a connection string",
    "AzureWebJobsStorage__clientId": "there is no managed identity locally",
    "SPOOL_DIR": "a local run keeps it in DATA_DIR",
    "AZURE_CLIENT_ID": "nothing real is signed in to by default",
    "AZURE_CLIENT_SECRET": "nothing real is signed in to by default",
}
"""Settings that the code reads and the local sample does without."""
OF_THE_HOST = {
    "AzureWebJobsDisableHomepage",
    "AzureWebJobsStorage__credential",
    "APPLICATIONINSIGHTS_CONNECTION_STRING",
    "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
    "FUNCTIONS_WORKER_RUNTIME",
    "QUEUE_LEASE_SECONDS",
}
"""Settings that the Functions host reads, Azure's or ours."""
DEPRECATED_ON_FLEX = {
    "ENABLE_ORYX_BUILD",
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_WORKER_PROCESS_COUNT",
    "FUNCTIONS_WORKER_RUNTIME",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_VNET_ROUTE_ALL",
    "alwaysOn",
    "ftpsState",
    "functionAppScaleLimit",
    "linuxFxVersion",
    "preWarmedInstanceCount",
    "vnetRouteAllEnabled",
}
"""Settings and properties: Microsoft's page on app settings (functions-app-settings), "Flex Consumption plan
deprecations"."""


def changed(name: str, old: str, new: str) -> File:
    """Return a file of infra/bicep with a fault planted."""
    source = (BICEP / name).read_text(encoding="utf-8")
    assert old in source
    return parse(BICEP / name, source.replace(old, new, 1))


SOURCES = [*ROOT.glob("shared/**/*.py"), *ROOT.glob("functions/*.py"), ROOT / "function_app.py"]


def code() -> set[str]:
    return settings_read(SOURCES)


def on_azure() -> set[str]:
    return app_settings(FILES["function.bicep"])


def sample() -> set[str]:
    return set(json.loads((ROOT / "local.settings.sample.json").read_text(encoding="utf-8"))["Values"])


def documented() -> set[str]:
    rows = re.findall(r"^\|(.*?)\|", (ROOT / "docs" / "settings.md").read_text(encoding="utf-8"), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`([^`]+)`", row)}


# Language


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_well_formed_and_uses_only_what_is_declared(name: str) -> None:
    assert syntax_errors(FILES[name]) == []
    assert undefined_names(FILES[name]) == []
    assert unused_names(FILES[name]) == []
    assert circles(FILES[name]) == []
    assert unguarded(FILES[name]) == []


def test_modules_get_the_parameters_they_declare_and_give_the_outputs_that_are_read() -> None:
    assert module_errors(FILES) == []


def test_there_are_no_modules_from_a_registry_and_every_module_is_used() -> None:
    used = {module.target for file in FILES.values() for module in file.of_kind("module")}
    assert used == FILES.keys() - {"main.bicep"}


@pytest.mark.parametrize(
    ("name", "old", "new", "complaint"),
    [
        ("main.bicep", "location: location\n  tags: tags\n}", "location: location", "syntax error"),
        ("storage.bicep", "scope: account\n", "scope: acount\n", "acount is not defined"),
        ("storage.bicep", "name: guid(", "name: guide(", "guide is not defined"),
        ("storage.bicep", "for queue in queues: if (isHostAccount) {\n    parent: queueService\n    name: queue\n",
         "for queue in queues: if (isHostAccount) {\n    parent: queueService\n    name: que\n", "que is not defined"),
        ("main.bicep", "@minLength(1)", "@leastLength(1)", "leastLength is not defined"),
        ("secrets.bicep", "param tags object", "param tags object\nparam spare string", "spare is never used"),
        ("main.bicep", "name: 'id-${suffix}'", "name: function.outputs.name", "identity needs itself"),
        ("main.bicep", "privateNetwork ? (network!.outputs.applicationSubnetId) : ''",
         "network!.outputs.applicationSubnetId", "network may not be there"),
        ("function.bicep", "empty(customDomainCertificate) ? null : (certificate!.properties.thumbprint)",
         "empty(customDomain) ? null : (certificate!.properties.thumbprint)", "certificate may not be there"),
    ],
)  # fmt: skip
def test_a_planted_fault_of_language_is_found(name: str, old: str, new: str, complaint: str) -> None:
    file = changed(name, old, new)
    found = [*syntax_errors(file), *undefined_names(file), *unused_names(file), *circles(file), *unguarded(file)]
    assert any(complaint in line for line in found), found


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("'identity.bicep'", "'identities.bicep'", "there is no identities.bicep"),
        ("    retention: logRetention\n", "", "telemetry.bicep needs retention"),
        ("retention: logRetention", "retention: logRetention\n    sampling: 5", "no parameter sampling"),
        ("retention: logRetention", "retention: customDomain", "retention of telemetry.bicep is int, not string"),
        ("telemetry.outputs.workspaceId", "telemetry.outputs.workspace", "no output workspace"),
        ("identity.outputs.id\n", "identity.outputs.identifier\n", "no output identifier"),
        ("network!.outputs.endpointSubnetId", "network!.outputs.subnetId", "no output subnetId"),
        ("  name: 'telemetry'\n  scope: group\n", "  name: 'telemetry'\n", "telemetry needs a scope"),
    ],
)
def test_a_planted_fault_between_modules_is_found(old: str, new: str, complaint: str) -> None:
    found = module_errors({**FILES, "main.bicep": changed("main.bicep", old, new)})
    assert any(complaint in line for line in found), found


# Properties, against Microsoft's published types


@pytest.mark.parametrize("name", FILES)
def test_every_property_is_one_that_azure_publishes(name: str) -> None:
    assert property_errors(FILES[name]) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "complaint"),
    [
        ("storage.bicep", "allowSharedKeyAccess", "allowSharedKeys", "has no property allowSharedKeys"),
        ("storage.bicep", "'TLS1_2'", "'TLS12'", "must be one of TLS1_0, TLS1_1, TLS1_2, TLS1_3"),
        ("storage.bicep", "  kind: 'StorageV2'\n", "", "needs kind"),
        ("storage.bicep", "      bypass: 'None'\n      defaultAction: isPrivate ? 'Deny' : 'Allow'\n",
         "      bypass: 'None'\n", "needs defaultAction"),
        ("storage.bicep", "isPrivate ? 'Deny' : 'Allow'", "isPrivate ? 'Deny' : 'Permit'", "must be one of"),
        ("storage.bicep", "days: 7", "days: '7'", "days is int, not string"),
        ("storage.bicep", "accessTier: 'Hot'", "accessTier: 'Hot'\n    provisioningState: 'Succeeded'", "is read-only"),
        ("storage.bicep", "primaryEndpoints.blob", "primaryEndpoint.blob", "has no property primaryEndpoint"),
        ("function.bicep", "instanceMemoryMB", "instanceMemoryMb", "has no property instanceMemoryMb"),
        ("function.bicep", "instanceCount: alwaysReadyFold", "count: alwaysReadyFold", "has no property count"),
        ("function.bicep", "type: 'blobContainer'", "type: 'container'", "must be one of blobContainer"),
        ("function.bicep", "name: 'scm'", "name: 'ssh'", "name must be one of"),
        ("function.bicep", "Microsoft.Web/serverfarms@2024-11-01", "Microsoft.Web/serverfarm@2024-11-01", "types.json"),
        ("network.bicep", "registrationEnabled: false", "registrationEnabled: 'no'", "is bool, not string"),
        ("network.bicep", "delegations: [{ name: 'functions', properties: { serviceName:",
         "delegations: [{ name: 'functions', properties: { service:", "has no property service"),
        ("alerts.bicep", "metricMeasureColumn", "measureColumn", "has no property measureColumn"),
        ("alerts.bicep", "        operator: 'GreaterThan'\n        threshold: 80\n", "        threshold: 80\n",
         "needs operator"),
    ],
)  # fmt: skip
def test_a_planted_fault_in_a_property_is_found(name: str, old: str, new: str, complaint: str) -> None:
    found = property_errors(changed(name, old, new))
    assert any(complaint in line for line in found), found


# Names and roles


def test_every_name_is_one_that_azure_takes_and_nobody_else_has() -> None:
    assert name_errors(FILES) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "complaint"),
    [
        ("main.bicep", "name: 'kv-${suffix}'", "name: 'keyvault-of-${suffix}-x'", "is no name for Microsoft.KeyVault"),
        ("main.bicep", "name: 'st${suffix}'", "name: 'st-${suffix}'", "is no name for Microsoft.Storage"),
        ("main.bicep", "st${uniqueString(suffix, organization)}'\n      location", "organization'\n      location",
         "organization may be taken"),
        ("main.bicep", "name: 'func-${suffix}'", "name: 'func-${environmentName}'", "func-x may be taken"),
        ("storage.bicep", "packageContainer = 'app-package'", "packageContainer = 'App_Package'", "is no name for"),
    ],
)  # fmt: skip
def test_a_planted_name_is_found(name: str, old: str, new: str, complaint: str) -> None:
    found = name_errors({**FILES, name: changed(name, old, new)})
    assert any(complaint in line for line in found), found


ROLES = {
    "blobDataContributor": "ba92f5b4-2d11-453d-a403-e96b0029c9fe",
    "blobDataOwner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "metricsPublisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "queueDataContributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "secretsOfficer": "b86a8fe4-44ce-4948-aee5-eccb2c155cd7",
    "secretsUser": "4633458b-17de-408a-b874-0445c86b69e6",
    "tableDataContributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
}
"""Azure's built-in roles (learn.microsoft.com/azure/role-based-access-control/built-in-roles)."""


def test_roles_are_azures_own() -> None:
    values = {name: literal(variable.value) for file in FILES.values() for name, variable in file.named.items()
              if variable.kind == "var" and variable.value is not None}  # fmt: skip
    guid = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    assert {name: value for name, value in values.items() if guid.fullmatch(str(value))} == ROLES


def test_a_role_is_given_on_one_resource_and_not_on_all() -> None:
    assigned = [one for file in FILES.values() for one in file.of_kind("resource") if "roleAssignments" in one.target]
    assert len(assigned) == 5
    assert [one.name for one in assigned if "scope" not in properties(one.body)] == []


def test_the_app_is_made_after_all_that_it_needs_at_its_start() -> None:
    # A module whose outputs are read is made first, roles and all.
    app = next(module for module in FILES["main.bicep"].of_kind("module") if module.name == "function")
    read = set(re.findall(r"(\w+)!?\.outputs", text(app.body)))
    assert read == {"identity", "network", "secrets", "storage", "telemetry"}


# Parameters


def test_every_parameter_is_filled_in_from_the_azd_environment_and_no_other() -> None:
    assert PARAMETERS.keys() == {parameter.name for parameter in FILES["main.bicep"].of_kind("param")}


def test_the_defaults_of_the_azd_environment_are_those_of_the_template() -> None:
    for parameter in FILES["main.bicep"].of_kind("param"):
        match = re.fullmatch(r"\$\{[A-Z0-9_]+(?:=(.*))?\}", PARAMETERS[parameter.name]["value"])
        assert match, parameter.name
        expected = None if parameter.value is None else str(literal(parameter.value)).replace("False", "false")
        assert match[1] == expected, parameter.name


def test_every_parameter_is_explained_where_operators_look() -> None:
    table = (ROOT / "docs" / "deploying.md").read_text(encoding="utf-8")
    variables = [re.findall(r"[A-Z0-9_]{3,}", PARAMETERS[name]["value"])[0] for name in PARAMETERS]
    assert [name for name in variables if f"`{name}`" not in table] == []


# Queues and tables


def strings(file: File, name: str) -> list[object]:
    value = file.named[name].value
    assert value is not None
    return [literal(item) for item in operands(value)]


def test_azure_has_the_queues_and_tables_that_a_local_run_makes() -> None:
    storage = FILES["storage.bicep"]
    assert strings(storage, "queues") == sorted(queues.QUEUES), "name new queues in infra/bicep/storage.bicep too"
    assert strings(storage, "tables") == [organizations.TABLE, agenda.AGENDA]
    assert "name: '${queue}-poison'" in text(storage.root)


# App settings


def test_every_setting_that_the_code_reads_is_set_on_azure() -> None:
    assert code() - ONLY_LOCAL.keys() <= on_azure(), "set it in infra/bicep/function.bicep"
    assert not ONLY_LOCAL.keys() & on_azure()


def test_every_setting_that_the_code_reads_is_in_the_local_sample() -> None:
    assert code() - ONLY_AZURE.keys() <= sample(), "set it in local.settings.sample.json"


def test_every_setting_that_is_set_is_read_by_somebody() -> None:
    assert (on_azure() | sample()) - OF_THE_HOST <= code()


def test_every_setting_is_documented_and_no_other() -> None:
    # azure-identity reads the tenant by itself.
    assert code() | on_azure() | sample() <= documented() | {"FUNCTIONS_WORKER_RUNTIME", "QUEUE_LEASE_SECONDS"}
    of_organizations = {name for name in documented() if name.endswith("_<NAME>")}
    assert documented() - of_organizations - OF_THE_HOST - {"AZURE_TENANT_ID"} <= code()


def test_every_setting_is_explained_once() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    names = [name for row in re.findall(r"^\|(.*?)\|", page, re.MULTILINE) for name in re.findall(r"`([^`]+)`", row)]
    assert sorted(names) == sorted(set(names))


def test_settings_of_single_organizations_can_be_set_on_azure_and_are_documented() -> None:
    read = families_read(SOURCES)
    assert read
    assert read <= setting_families(FILES.values()), "a setting made by hand is gone after the next azd provision"
    assert {f"{family}<NAME>" for family in setting_families(FILES.values())} <= documented()


def test_no_exception_is_kept_for_a_setting_that_nobody_reads() -> None:
    assert (ONLY_LOCAL.keys() | ONLY_AZURE.keys()) <= code()


def test_nothing_that_flex_consumption_has_deprecated_is_used() -> None:
    used = {text(node) for node in walk(FILES["function.bicep"].root) if node.type == "identifier"}
    assert "siteConfig" in used
    assert not (used | on_azure()) & DEPRECATED_ON_FLEX


def test_reading_a_setting_is_noticed_however_it_is_read(tmp_path: Path) -> None:
    source = tmp_path / "reader.py"
    source.write_text(
        'import os\na = os.environ["DIRECT"]\nb = os.environ.get("LOOKED_UP", "x")\nc = environment.get("GIVEN")\n'
        'd = _number(environment, "PARSED", 1)\ne = os.environ.get(f"EACH_{name}")\nf = other.get("NOT_ONE")\n'
    )
    assert settings_read([source]) == {"DIRECT", "LOOKED_UP", "GIVEN", "PARSED"}
    assert families_read([source]) == {"EACH_"}
    assert settings_read([source]) - on_azure(), "a setting that Azure lacks is found"


# Alert rules

METRICS = {metric.name for metric in (*metrics.COUNTERS, *metrics.DISTRIBUTIONS, *metrics.GAUGES)}


def rules() -> list[dict[str, object]]:
    listed = FILES["alerts.bicep"].named["rules"].value
    assert listed is not None
    return [{name: literal(value) for name, value in properties(rule).items()} for rule in operands(listed)]


def test_a_rule_asks_for_what_the_app_measures() -> None:
    asked = {name for rule in rules() for name in re.findall(r'Name == "([^"]+)"', str(rule["query"]))}
    assert {"ee.poison.messages", "ee.send.failures", "ee.spool.waiting", "ee.journal.age"} == asked <= METRICS


def test_the_workbook_shows_what_the_app_measures() -> None:
    shown = set(re.findall(r"'(ee\.[a-z.]+)'", (BICEP / "workbook.json").read_text(encoding="utf-8")))
    assert shown == METRICS


def test_a_rule_reads_columns_that_its_table_has() -> None:
    # learn.microsoft.com/azure/azure-monitor/reference/tables/appmetrics
    columns = {"Name", "Sum", "ItemCount", "AppRoleInstance"}
    for rule in rules():
        query = re.sub(r'"[^"]*"', "", str(rule["query"]))
        assert set(re.findall(r"\b[A-Z]\w+|\bvalue\w+", query)) <= columns | {"AppMetrics", "value"}, rule["name"]


def test_the_operators_page_says_under_a_rules_name_what_to_do() -> None:
    page = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    assert {rule["name"] for rule in rules()} <= set(re.findall(r"^### (.+)$", page, re.MULTILINE))


def test_a_rule_gives_the_column_that_is_compared() -> None:
    assert all("summarize value = " in str(rule["query"]) for rule in rules())
    assert "metricMeasureColumn: 'value'" in text(FILES["alerts.bicep"].root)


def test_a_journal_that_is_older_than_a_minute_is_told() -> None:
    journal = next(rule for rule in rules() if rule["name"] == "journal-old")
    assert (journal["operator"], journal["threshold"]) == ("GreaterThan", 60)


def test_a_rule_looks_back_at_least_as_far_as_to_its_last_time_in_steps_that_azure_takes() -> None:
    minutes = [[int(str(rule[key])[2:-1]) for key in ("frequency", "window")] for rule in rules()]
    assert all(window >= frequency for frequency, window in minutes)
    assert {number for pair in minutes for number in pair} <= {1, 5, 10, 15, 30, 45, 60}
