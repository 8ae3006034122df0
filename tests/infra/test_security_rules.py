"""infra/bicep under checkov's security rules. `make test` installs checkov into an environment of its own.

checkov takes a condition for an unknown value: what depends on `privateNetwork` fails its rule or is not judged.
"""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.infra.checks import BICEP, ROOT

CHECKOV = ROOT / ".venv-checkov" / "bin" / "checkov"

SUPPRESSED = {
    "CKV_AZURE_17": "recipients' mail clients and browsers have no client certificates",
    "CKV_AZURE_35": "denied by default with privateNetwork, a condition that checkov does not follow; "
    "without it storage asks for Entra tokens and takes no keys",
    "CKV_AZURE_78": "there is no FTP on Flex Consumption, and the property is deprecated there",
    "CKV_AZURE_109": "denied by default with privateNetwork, a condition that checkov does not follow",
    "CKV_AZURE_206": "the replication is a parameter, Standard_ZRS unless set",
    "CKV_AZURE_212": "a rule for App Service: Flex Consumption has maximumInstanceCount and alwaysReady instead",
    "CKV_AZURE_213": "a rule for App Service: Flex Consumption replaces instances without a health path",
    "CKV_AZURE_222": "recipients come from everywhere",
    "CKV_AZURE_225": "left to the region: not every one that has Flex Consumption has zones",
}
"""Rules that are not followed, and why."""


def scan(folder: Path, *skipped: str) -> dict[str, Any]:
    """Return checkov's report of a folder of Bicep files. Nothing is downloaded."""
    if not CHECKOV.exists():
        pytest.fail("checkov is not installed: run `make test`, or `make .venv-checkov/.installed` once")
    command = [
        str(CHECKOV),
        "-d",
        str(folder),
        "--framework",
        "bicep",
        "--skip-download",
        "--quiet",
        "--output",
        "json",
    ]
    run = subprocess.run(
        [*command, *(["--skip-check", ",".join(skipped)] if skipped else [])],
        capture_output=True, text=True, timeout=300, cwd=folder,
    )  # fmt: skip
    report: dict[str, Any] = json.loads(run.stdout)
    return report


def failed(report: dict[str, Any]) -> set[str]:
    return {check["check_id"] for check in report["results"]["failed_checks"]}


def test_every_file_is_understood_and_no_rule_is_broken_but_those_with_a_reason() -> None:
    report = scan(BICEP)
    assert report["summary"]["parsing_errors"] == 0
    assert failed(report) == SUPPRESSED.keys()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("storage.bicep", "allowSharedKeyAccess: false"),
        ("storage.bicep", "allowBlobPublicAccess: false"),
        ("secrets.bicep", "enableRbacAuthorization: true"),
        ("telemetry.bicep", "DisableLocalAuth: true"),
        ("telemetry.bicep", "disableLocalAuth: true"),
        ("telemetry.bicep", "DisableIpMasking: false"),
        ("function.bicep", "properties: { allow: false }"),
    ],
)
def test_what_checkov_has_no_rule_for_is_said_too(name: str, said: str) -> None:
    assert f" {said}" in (BICEP / name).read_text(encoding="utf-8")


def test_planted_faults_are_found(tmp_path: Path) -> None:
    shutil.copytree(BICEP, tmp_path / "bicep")
    for name, old, new in (
        ("storage.bicep", "minimumTlsVersion: 'TLS1_2'", "minimumTlsVersion: 'TLS1_0'"),
        ("secrets.bicep", "enablePurgeProtection: true", "enablePurgeProtection: false"),
        ("function.bicep", "httpsOnly: true", "httpsOnly: false"),
    ):
        file = tmp_path / "bicep" / name
        source = file.read_text(encoding="utf-8")
        assert old in source
        file.write_text(source.replace(old, new), encoding="utf-8")
    found = failed(scan(tmp_path / "bicep", *SUPPRESSED))
    assert {"CKV_AZURE_44", "CKV_AZURE_110", "CKV_AZURE_14"} <= found
