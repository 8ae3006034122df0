"""`make audit` is green only where everything was looked up."""

import json
import os
import subprocess
import sys

import pytest

from local.audit import REQUIREMENTS, ROOT, npm_complaint, python_complaint
from tests.conftest import free_ports

WELL = {"name": "aiohttp", "version": "1", "vulns": []}
HIT = {"name": "jinja2", "version": "2", "vulns": [{"id": "CVE-1"}]}
SKIPPED = {"name": "yarl", "skip_reason": "Dependency not found on PyPI and could not be audited: yarl (1)"}


@pytest.mark.parametrize(
    ("packages", "said"),
    [
        ([WELL], ""),
        ([WELL, HIT], "known vulnerabilities in jinja2 2: CVE-1"),
        ([SKIPPED, SKIPPED], "nothing was looked up"),
        ([WELL, SKIPPED], "1 of 2 packages were not looked up: yarl"),
        ([HIT, SKIPPED], "1 of 2 packages were not looked up: yarl"),
        ([], "nothing was looked up"),
    ],
)
def test_a_package_that_was_passed_over_is_not_well(packages: list[object], said: str) -> None:
    found = python_complaint(json.dumps({"dependencies": packages, "fixes": []}))
    assert found.startswith(said)
    assert bool(found) == bool(said)


@pytest.mark.parametrize("said", ["", "no JSON", "[]", "{}"])
def test_what_cannot_be_read_is_not_well(said: str) -> None:
    assert "nothing was looked up" in python_complaint(said)
    assert "nothing was looked up" in npm_complaint(said)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"vulnerabilities": {}, "metadata": {"dependencies": {"total": 3}}}, ""),
        ({"vulnerabilities": {"a": {}}, "metadata": {"dependencies": {"total": 3}}}, "known vulnerabilities in a"),
        ({"vulnerabilities": {}, "metadata": {"dependencies": {"total": 0}}}, "nothing was looked up"),
        ({"message": "405 Method Not Allowed", "error": {}}, "nothing was looked up: 405 Method Not Allowed"),
    ],
)
def test_npm_is_believed_only_where_it_asked(answer: object, said: str) -> None:
    assert npm_complaint(json.dumps(answer)).startswith(said)
    assert bool(npm_complaint(json.dumps(answer))) == bool(said)


def test_where_nobody_answers_none_of_the_three_is_green() -> None:
    nowhere = f"http://127.0.0.1:{free_ports(1)}"
    unreachable = {
        **os.environ,
        **{name: nowhere for proxy in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY") for name in (proxy, proxy.lower())},
        "NO_PROXY": "",
        "no_proxy": "",
        "npm_config_registry": f"{nowhere}/",
        "npm_config_fetch_retries": "0",
        # With this npm finds no vulnerability in anything, without asking anybody.
        "npm_config_offline": "true",
    }
    ended = subprocess.run(
        [sys.executable, "-m", "local.audit"], cwd=ROOT, env=unreachable, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 1
    for what in (*REQUIREMENTS, "local/package-lock.json"):
        assert f"{what}: nothing was looked up" in ended.stdout, ended.stdout
    assert "no known vulnerabilities" not in ended.stdout
