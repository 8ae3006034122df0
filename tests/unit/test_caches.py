"""What a process remembers is bounded, and by nothing that a stranger names: docs/security.md lists all of it."""

import importlib
import pkgutil
import re
import types
import uuid
from collections import deque
from collections.abc import Iterator
from html.entities import html5
from pathlib import Path

import pytest

import functions
import shared
from shared.engagement import tokens
from shared.engagement.hits import client_address
from shared.engagement.tokens import Token, TokenKind, mint, verify
from shared.services import images
from shared.storage import organizations
from shared.webapi.context import parse_preferences

PAGE = (Path(__file__).parents[2] / "docs/security.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## What a process remembers\n")[2].partition("\n## ")[0]
ROWS = [row.split(" | ") for row in SECTION.splitlines() if row.startswith("| `")]
AT_MOST = {name: row[1] for row in ROWS for name in re.findall(r"`([\w.]+)`", row[0])}
OF_THEIR_NATURE = ("one", "tables", "organizations", "countries")
"""What a cache without a bound may be of: nobody who sends a request makes more of them."""
NAMES = 3_000
"""Names that somebody makes up; each is long."""


def modules() -> Iterator[types.ModuleType]:
    for package in (shared, functions):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            yield importlib.import_module(found.name)


def remembering(module: types.ModuleType) -> Iterator[str]:
    """Yield the names of what in a module can grow: containers that are no constants, and functions with a cache."""
    for name, value in vars(module).items():
        is_cache = hasattr(value, "cache_info") and value.__module__ == module.__name__
        is_container = isinstance(value, dict | list | set | deque | bytearray) and not name.startswith("__")
        if is_cache or (is_container and name.upper() != name and value is not html5):
            yield f"{module.__name__}.{name}"


def named(name: str) -> object:
    module, _, attribute = name.rpartition(".")
    return getattr(importlib.import_module(module), attribute)


def test_everything_that_can_grow_is_listed():
    found = {name for module in modules() for name in remembering(module)}
    assert len(found) > 20
    assert found - AT_MOST.keys() == set(), "docs/security.md, What a process remembers, does not name it"
    instances = {name for name in AT_MOST if isinstance(named(name), type)}
    assert AT_MOST.keys() - instances - found == set(), "it is listed and remembers nothing"


def test_every_cache_has_the_bound_that_the_page_says():
    for name, at_most in AT_MOST.items():
        cached = named(name)
        if hasattr(cached, "cache_info"):
            size = cached.cache_info().maxsize
            assert at_most.removesuffix(" each") == f"{size:,}" if size else at_most in OF_THEIR_NATURE, name


async def test_names_of_organizations_that_there_are_not_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_up = []

    async def none_there(name: str) -> None:
        looked_up.append(name)

    monkeypatch.setattr(organizations, "read_entry", none_there)
    before = len(organizations._kept)
    for number in range(NAMES):
        assert await organizations.find_organization(f"{number:x}" + "a" * 30_000) is None
        assert await organizations.find_organization(f"madeup{number}") is None
    assert len(looked_up) == 2 * NAMES
    assert len(organizations._kept) == before


def test_names_in_forged_links_are_forgotten():
    secrets = {1: b"a secret that nobody knows, 32 bytes"}
    before = len(tokens._signers)
    for number in range(NAMES):
        forged = Token(1, f"stranger{number}", TokenKind.OPEN, uuid.uuid4(), 0)
        assert verify(mint(forged, {1: b"what a stranger makes up, 32 bytes.."}), secrets) is None
    assert len(tokens._signers) == before
    for _ in range(2):
        genuine = Token(1, "remembered", TokenKind.OPEN, uuid.uuid4(), 0)
        assert verify(mint(genuine, secrets), secrets) == genuine
    assert len(tokens._signers) == before + 1


def test_what_is_long_in_x_forwarded_for_is_no_address_and_is_forgotten():
    from shared.engagement.hits import _parse_address

    before = _parse_address.cache_info().currsize
    for number in range(NAMES):
        assert client_address(f"203.0.113.9, {number}" + "x" * 30_000, ()) == ""
    assert _parse_address.cache_info().currsize == before
    assert client_address("203.0.113.9", ()) == "203.0.113.9"


def test_what_a_caller_prefers_is_forgotten():
    import fnmatch

    before = fnmatch._compile_pattern.cache_info().currsize  # type: ignore[attr-defined]
    for number in range(NAMES):
        preferred = parse_preferences(f'odata.include-annotations="OData.*,{number}{"x" * 4_000}*"')
        assert preferred.annotates("OData.Community.Display.V1.FormattedValue")
        assert not preferred.annotates("Microsoft.Dynamics.CRM.lookuplogicalname")
    assert fnmatch._compile_pattern.cache_info().currsize == before  # type: ignore[attr-defined]


def test_a_great_many_small_images_take_no_more_than_few_large_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_kept", type(images._kept)())
    monkeypatch.setattr(images, "_kept_bytes", 0)
    monkeypatch.setattr(images, "MAX_KEPT_BYTES", 1024 * 1024)
    for number in range(NAMES):
        images._keep(("contoso", str(number)), b"GIF89a")
    assert 900 < len(images._kept) < 1024
    # Asked for twice at once, it is counted once.
    kept = images._kept_bytes
    images._keep(("contoso", str(NAMES - 1)), b"GIF89a")
    assert images._kept_bytes == kept
