"""docs/security.md: every file and test that it names is there; what it says of supply and lint is so."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/security.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`([\w./-]+\.(?:py|md|toml|json|txt)|Makefile)(?:::(\w+))?`", PAGE)))
ROWS = [
    line
    for section in PAGE.partition("## Limits")[0].split("### ")[1:]
    for line in section.splitlines()
    if line.startswith("| ") and not line.startswith("| threat")
]


@pytest.mark.parametrize(("path", "test"), NAMED)
def test_what_the_page_names_is_there(path: str, test: str) -> None:
    assert (ROOT / path).is_file()
    if test:
        assert re.search(rf"\bdef {test}\(", (ROOT / path).read_text(encoding="utf-8"))


def test_every_threat_has_a_module_and_a_test() -> None:
    assert len(ROWS) > 30
    for row in ROWS:
        _, threat, holds, where, shown_by, _ = re.split(r"\s*\|\s*", row)
        assert threat
        assert holds
        assert "`" in where, threat
        assert "::test_" in shown_by, threat


def test_the_report_of_a_vulnerability_has_a_way() -> None:
    assert len((ROOT / "SECURITY.md").read_text(encoding="utf-8").strip().split("\n\n")) == 3, "a title, two paragraphs"
    assert "(../SECURITY.md)" in PAGE
    assert "## When something is wrong" in PAGE, "SECURITY.md leads there"


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_every_requirement_is_pinned_with_a_hash(name: str) -> None:
    entries = re.split(r"\n(?=\S)", (ROOT / name).read_text(encoding="utf-8").strip())
    assert len(entries) > 20
    for entry in entries:
        assert re.match(r"[\w.-]+(?:\[[\w,-]+\])?==\S+", entry), entry[:80]
        assert "--hash=sha256:" in entry, entry[:80]


def test_the_service_itself_is_excused_from_no_security_rule() -> None:
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    assert not [rule for rule in lint["ignore"] if re.fullmatch(r"S\d*", rule)]
    for folder, rules in lint["per-file-ignores"].items():
        assert folder.startswith(("tests/", "benchmarks/", "local/")), folder
        assert "S" not in rules, f"{folder} is excused from every rule"
