"""What the first page of every list and a new email cost, by the number of emails that the organization has.

The same is asked in turn of an organization of `SMALL` and one of `LARGE` on the same storage, and of a third of
`SMALL` on Azurite as it is.
"""

import asyncio
import json
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp

from benchmarks.filled import PLAIN, Filled, deployment, draft, fill
from shared.storage.account import close_session, session
from shared.storage.lists import DATES, ENGAGEMENT
from shared.storage.provisioning import provision_deployment
from tests.entra import Issuer

SMALL = 1_000
LARGE = 100_000
PAGE = 50
ROUNDS = 31

_LISTS = (
    ("all", "", DATES),
    ("by owner", "_ownerid_value eq {owner}", DATES),
    ("by regarding record", "_regardingobjectid_value eq {contact}", DATES),
    ("followed", "isemailfollowed eq true", (*DATES, *ENGAGEMENT)),
)


@dataclass(slots=True)
class Calls:
    """How many calls storage got."""

    count: int = 0


@dataclass(frozen=True, slots=True)
class Sample:
    """One answer: the milliseconds it took and the storage calls it needed."""

    ms: float
    calls: int


def report(small: int = SMALL, large: int = LARGE, rounds: int = ROUNDS) -> None:
    """Fill the organizations, measure, and print the table."""
    with deployment() as issuer:
        asyncio.run(_report(issuer, small, large, rounds))


async def _report(issuer: Issuer, small: int, large: int, rounds: int) -> None:
    try:
        await provision_deployment()
        sizes = {"small": small, "large": large, PLAIN: small}
        organizations = [await fill(issuer, name, count) for name, count in sizes.items()]
        calls = count_calls()
        print(f"|  | calls, {small:,} | {large:,} | ms, {small:,} | {large:,} | ratio | ms, {small:,}, plain Azurite |")
        print("|---|--:|--:|--:|--:|--:|--:|", flush=True)
        for name, condition, columns in _LISTS:
            for column in columns:
                measured = await _alternate(organizations, _path(condition, column), calls, rounds)
                _print_row(f"{name}, {column}", measured)
        _print_row("creating an email", await _alternate(organizations, "", calls, rounds))
    finally:
        await close_session()


def _path(condition: str, column: str) -> str:
    narrowed = f"&$filter={condition}" if condition else ""
    return f"emails?$orderby={column} desc&$top={PAGE}{narrowed}".replace(" ", "%20")


async def _alternate(organizations: Sequence[Filled], path: str, calls: Calls, rounds: int) -> list[list[Sample]]:
    """Ask the organizations in turn, once to warm up and `rounds` times more; return each one's samples.

    An empty `path` creates an email.
    """
    samples: list[list[Sample]] = [[] for _ in organizations]
    for number in range(rounds + 1):
        for organization, taken in zip(organizations, samples, strict=True):
            before, started = calls.count, time.perf_counter()
            await _ask(organization, path)
            sample = Sample((time.perf_counter() - started) * 1000, calls.count - before)
            if number > 0:
                taken.append(sample)
    return samples


async def _ask(organization: Filled, path: str) -> None:
    seller, contact = organization.seller, organization.contact
    if not path:
        await seller.ask("POST", "emails", draft(contact))
        return
    answer = await seller.ask("GET", path.format(owner=seller.id, contact=contact))
    found = len(json.loads(answer.body)["value"])
    if found != PAGE:
        raise RuntimeError(f"{path} gave {found} rows, not {PAGE}")


def _print_row(what: str, measured: Sequence[Sequence[Sample]]) -> None:
    """Print medians; the ratio is that of neighbours in time."""
    small, large, _ = measured
    ratio = statistics.median(b.ms / a.ms for a, b in zip(small, large, strict=True))
    ms = [f"{statistics.median(sample.ms for sample in samples):.1f}" for samples in measured]
    # Every half minute a request reads the organization's row too.
    calls = [statistics.mode(sample.calls for sample in samples) for samples in measured]
    print(f"| {what} | {calls[0]} | {calls[1]} | {ms[0]} | {ms[1]} | {ratio:.2f} | {ms[2]} |", flush=True)


def count_calls() -> Calls:
    """Return a count of the calls that this event loop makes to storage, over HTTP, from now on."""
    calls = Calls()

    async def count(*_: Any) -> None:
        calls.count += 1

    tracing = aiohttp.TraceConfig()
    tracing.on_request_start.append(count)
    tracing.freeze()
    session().trace_configs.append(tracing)
    return calls
