"""Look what is pinned up for known vulnerabilities (`make audit`): both requirements files and the lock file of npm.

`pip-audit` passes over packages that its service does not know and ends well; npm that is told to be offline finds
nothing in anything. So what they say is read here: who was not looked up was not found to be well.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from local.azurite import run_npm

ROOT = Path(__file__).parents[1]
REQUIREMENTS = ("requirements.txt", "requirements-dev.txt")
_SHOWN = 10

_NPM = (
    "audit", "--json", "--offline=false", "--audit-level=low", "--include=dev", "--include=optional", "--include=peer",
)  # fmt: skip
"""A person's own npmrc may say otherwise; what is on the command line counts."""


def python_complaint(said: str) -> str:
    """Return what is wrong after pip-audit said this (JSON), "" where all was looked up and nothing found."""
    packages = _parsed(said).get("dependencies", [])
    skipped = [package["name"] for package in packages if "vulns" not in package]
    found = [
        f"{package['name']} {package['version']}: {', '.join(one['id'] for one in package['vulns'])}"
        for package in packages
        if package.get("vulns")
    ]
    if not packages or len(skipped) == len(packages):
        return "nothing was looked up: the advisory service was not reached, or knows none of the packages"
    if skipped:
        return f"{len(skipped)} of {len(packages)} packages were not looked up: {_some(skipped)}"
    return f"known vulnerabilities in {_some(found)}" if found else ""


def npm_complaint(said: str) -> str:
    """Return what is wrong after ``npm audit`` said this (JSON), "" where all was looked up and nothing found."""
    answer = _parsed(said)
    metadata = answer.get("metadata", {})
    if "error" in answer or not metadata.get("dependencies", {}).get("total"):
        return f"nothing was looked up: {answer.get('message') or 'the advisory service was not reached'}"
    found = sorted(answer.get("vulnerabilities", {}))
    return f"known vulnerabilities in {_some(found)}" if found else ""


def audit_python(file: str) -> str:
    """Return what is wrong with the packages that a requirements file pins, "" where nothing is."""
    command = [
        sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--strict", "--progress-spinner", "off",
        "--format", "json", "-r", file,
    ]  # fmt: skip
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return python_complaint(ended.stdout) or _unless_well(ended)


def audit_npm() -> str:
    """Return what is wrong with the packages that the lock file pins, "" where nothing is."""
    ended = run_npm(*_NPM, check=False, stdout=subprocess.PIPE)
    return npm_complaint(ended.stdout) or _unless_well(ended)


def main() -> None:
    """Audit all three and say what came of each; exit with 1 where one is not known to be well."""
    found = {file: audit_python(file) for file in REQUIREMENTS} | {"local/package-lock.json": audit_npm()}
    for what, wrong in found.items():
        print(f"{what}: {wrong or 'all looked up, no known vulnerabilities'}")
    if any(found.values()):
        sys.exit("The audit did not pass.")


def _unless_well(ended: "subprocess.CompletedProcess[str]") -> str:
    return f"the audit ended with {ended.returncode}: {(ended.stderr or '')[-500:]}" if ended.returncode else ""


def _parsed(said: str) -> Mapping[str, Any]:
    try:
        answer = json.loads(said)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")


if __name__ == "__main__":
    main()
