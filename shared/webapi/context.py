"""What every part of a request needs to know: whose organization, who asks, when, and how the answer is wanted."""

import asyncio
import re
from dataclasses import dataclass, field
from datetime import datetime

from shared.engagement.clocks import Clock
from shared.services.caller import Caller
from shared.services.reading_clock import reading_clock
from shared.storage.organizations import Organization
from shared.webapi.errors import (
    bad_query,
    not_implemented,
    too_many_comparisons,
    too_many_expanded,
    too_many_rows,
    too_much_text,
)
from shared.webapi.http import Request
from shared.webapi.query import MAX_PAGE

MAX_ROWS = 50_000
"""Rows that one request may read; Dataverse's bound where it has to look at all of them (AggregateQueryRecordLimit)."""

MAX_PREFERENCES = 4096
"""Characters of ``Prefer``."""
MAX_ANNOTATIONS = 20
"""Names and patterns of annotations: each column of each row is held against them."""
MAX_COMPARISONS = 20_000_000
"""Comparisons of a filter with rows that one request may make: some seconds of work."""

_ETAG = re.compile(r'(?:W/)?"(\d{1,20})"')


@dataclass(frozen=True, slots=True)
class Preferences:
    """What the ``Prefer`` header asks for. `annotations` are patterns of annotation names."""

    representation: bool = False
    page_size: int | None = None
    annotations: tuple[str, ...] = ()
    continue_on_error: bool = False

    def annotates(self, name: str) -> bool:
        """Whether an annotation was asked for; patterns may end in ``*``."""
        return any(
            name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern for pattern in self.annotations
        )

    def applied(self) -> str:
        """Return the ``Preference-Applied`` header, "" where nothing was asked for."""
        parts = ["return=representation"] if self.representation else []
        parts += [f"odata.maxpagesize={self.page_size}"] if self.page_size else []
        parts += [f'odata.include-annotations="{",".join(self.annotations)}"'] if self.annotations else []
        return ",".join(parts)


MAX_EXPANDED = 20_000
"""What one request may read to follow its ``$expand`` options: each level of it once for every row, and a list of mail
once more for each mail in it. The largest page with four."""


MAX_TEXT = 64 * 1024 * 1024
"""Bytes of texts and files beside their rows from which on one request is shown no more of them; a single one, however
large, always."""


class Reads:
    """How many rows a request has read, how much it has compared them, how often it has read for an ``$expand``, and
    how many bytes of texts and files it is shown."""

    def __init__(self) -> None:
        self.rows = 0
        self.comparisons = 0
        self.text = 0
        self.expanded = 0

    def compare(self, rows: int, weight: int) -> None:
        """Count the comparisons of a filter of this weight with rows; raise `Failure` past `MAX_COMPARISONS`."""
        self.comparisons += rows * weight
        if self.comparisons > MAX_COMPARISONS:
            raise too_many_comparisons(weight, MAX_COMPARISONS)

    def spend(self, rows: int) -> None:
        """Count rows; raise `Failure` past `MAX_ROWS`."""
        self.rows += rows
        if self.rows > MAX_ROWS:
            raise too_many_rows(MAX_ROWS)

    def expand(self, reads: int = 1) -> None:
        """Count what is read to follow an ``$expand``; raise `Failure` past `MAX_EXPANDED`."""
        self.expanded += reads
        if self.expanded > MAX_EXPANDED:
            raise too_many_expanded(MAX_EXPANDED)

    def demand_room_for_text(self) -> None:
        """Raise `Failure` where `MAX_TEXT` is shown already."""
        if self.text >= MAX_TEXT:
            raise too_much_text(MAX_TEXT)


class Clocks:
    """The caller's clock, read when the request first needs it."""

    def __init__(self) -> None:
        self._reading: asyncio.Task[Clock] | None = None

    async def get(self, organization: Organization, user: str) -> Clock:
        """Return the clock; who asks while it is read waits for the same call."""
        if self._reading is None:
            self._reading = asyncio.create_task(reading_clock(organization, user))
        return await self._reading


@dataclass(frozen=True, slots=True)
class Context:
    """One request. `base` is the root of the Web API as the caller spells it."""

    organization: Organization
    caller: Caller
    now: datetime
    base: str
    preferences: Preferences
    match: str
    none_match: str
    reads: Reads = field(default_factory=Reads)
    clocks: Clocks = field(default_factory=Clocks)

    async def clock(self) -> Clock:
        """Return the clock that the caller is told times by."""
        return await self.clocks.get(self.organization, self.caller.user)


def parse_preferences(header: str) -> Preferences:
    """Return what a ``Prefer`` header asks for; what is not known is ignored (RFC 7240). Raises `Failure`: 400 for a
    page size that is none, 501 for the tracking of changes, without which the answer would never be complete."""
    if len(header) > MAX_PREFERENCES:
        raise bad_query(f"The Prefer header has {len(header):,} characters; at most {MAX_PREFERENCES:,} are taken.")
    representation, page_size, annotations, continue_on_error = False, None, (), False
    for item in re.findall(r'[^,"]*(?:"[^"]*"[^,"]*)*', header):
        # What follows a semicolon are parameters of the preference; names are in any case.
        name, _, value = item.partition(";")[0].partition("=")
        name, value = name.strip().lower(), value.strip().strip('"')
        if name == "return" and value == "representation":
            representation = True
        elif name == "odata.maxpagesize":
            if not value.isdecimal() or not int(value[:9]) > 0:
                raise bad_query(f"'{value[:20]}' is not a valid odata.maxpagesize: give 1 to {MAX_PAGE}.")
            page_size = min(int(value[:9]), MAX_PAGE)
        elif name == "odata.include-annotations":
            annotations = tuple(part.strip() for part in value.split(",") if part.strip())
            if len(annotations) > MAX_ANNOTATIONS:
                raise bad_query(
                    f"odata.include-annotations names {len(annotations):,} annotations; at most {MAX_ANNOTATIONS} are "
                    'taken: "*" asks for all.'
                )
        elif name in ("odata.continue-on-error", "continue-on-error"):
            continue_on_error = value.lower() != "false"
        elif name == "odata.track-changes":
            raise not_implemented("Changes are not tracked here: leave odata.track-changes out, filter by modifiedon.")
    return Preferences(representation, page_size, annotations, continue_on_error)


def parse_condition(request: Request, name: str) -> str:
    """Return a conditional header; clients send a literal ``null`` for none, which Dataverse ignores too."""
    value = request.header(name).strip()
    return "" if value.lower() == "null" else value


def version_in(condition: str) -> int | None:
    """Return the version that an etag in If-Match names; None for any (``*`` or nothing), -1 for one we never gave."""
    if condition in ("", "*"):
        return None
    match = _ETAG.fullmatch(condition)
    return int(match[1]) if match else -1


def etag(row_version: int) -> str:
    """Return the weak etag of a row's version."""
    return f'W/"{row_version}"'
