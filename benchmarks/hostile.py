"""What recipients wait while a process is sent what could keep it busy, beside the same load without it.

The load is open: a hit every `PAUSE` seconds, whether or not the one before was answered, so that a process that stands
still for a second costs all the hits of that second and not just one. It comes from a process of its own.
"""

import asyncio
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import httpx

from local.processes import is_port_free
from tests.hostile import FAMILIES, Ground, Kind, prepare
from tests.running_service import eventually, running_service

PAUSE = 0.01
"""Seconds between two hits."""
ALONE_SECONDS = 5.0
BESIDE_SECONDS = 4.0
"""How long each kind is sent, again and again, one at a time."""
MAILS = 40
PROMISED_MS = 250
"""Within how many milliseconds 99 % of hits are to be answered, whatever is under way."""


@dataclass(frozen=True, slots=True)
class Waited:
    """What recipients waited, in milliseconds; `wrong` is how many hits had no answer that is right."""

    hits: int
    p50: float
    p99: float
    longest: float
    wrong: int


def report(say: Callable[[str], None], names: Sequence[str] = tuple(FAMILIES)) -> None:
    """Measure the load alone and beside each kind of hostile request, and say what was found."""
    first = next(port for port in range(8100, 9000, 10) if all(is_port_free(port + n) for n in range(5)))
    with (
        tempfile.TemporaryDirectory(prefix="email-engagement-bench-") as directory,
        running_service(Path(directory), first) as service,
    ):
        ground = prepare(service)
        urls = _links(ground)
        _beside(urls, 1.0, lambda: time.sleep(1.0))
        alone = _beside(urls, ALONE_SECONDS, lambda: time.sleep(ALONE_SECONDS))
        say("| beside | sent | hits | p50 ms | p99 ms | longest ms | p99 / alone | wrong |")
        say("|---|--:|--:|--:|--:|--:|--:|--:|")
        say(_row("nothing", "", alone, alone))
        late = []
        for name in names:
            for kind in FAMILIES[name]:
                sent, found = _measure(kind, ground, urls)
                say(_row(f"{name}: {kind.name}", str(sent), found, alone))
                late += [kind.name] if found.p99 > PROMISED_MS else []
        say(f"\n99 % within {PROMISED_MS} ms: " + (f"not beside {', '.join(late)}" if late else "beside every kind"))


def _links(ground: Ground) -> list[str]:
    """Send mail and return its pixels and links: of many, since a single one is told anew with each of its hits."""
    service, seller, address = ground.service, ground.seller, f"load-{random.randrange(10**9)}@example.com"
    to = [{"partyid_contact@odata.bind": f"/contacts({seller.contact(address)})"}]
    for _ in range(MAILS):
        seller.send(seller.email('<p><a href="https://example.com/quote">Your quote</a></p>', to), wait=False)
    arrived = eventually(lambda: service.mailbox(address), lambda found: len(found) == MAILS, seconds=300)
    pattern = rf'(?:src|href)="({re.escape(service.url)}/[oc]/[^"]+)"'
    return [url for message in arrived for url in re.findall(pattern, message["body"]["content"])]


def _measure(kind: Kind, ground: Ground, urls: Sequence[str]) -> tuple[int, Waited]:
    """Send a kind again and again for a while; return how often, and what recipients waited."""
    sent = 0

    def send() -> None:
        nonlocal sent
        end = time.monotonic() + BESIDE_SECONDS
        while time.monotonic() < end:
            try:
                kind.send(ground)
            except httpx.HTTPError:
                time.sleep(0.1)
            sent += 1

    found = _beside(urls, BESIDE_SECONDS, send)
    # What is still on its way of one kind must not be counted for the next.
    time.sleep(1.0)
    return sent, found


def _beside(urls: Sequence[str], seconds: float, work: Callable[[], None]) -> Waited:
    command = [sys.executable, "-m", "benchmarks.hostile", f"{seconds}", *urls]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as asking:
        said = asking.stdout or ()
        next(iter(said))
        work()
        waited, wrong = json.loads(next(iter(said)))
    ordered = sorted(waited)
    return Waited(len(ordered), statistics.median(ordered), ordered[int(len(ordered) * 0.99)], ordered[-1], wrong)


def _row(what: str, sent: str, found: Waited, alone: Waited) -> str:
    figures = f"{found.p50:.1f} | {found.p99:.1f} | {found.longest:.0f} | {found.p99 / alone.p99:.1f}"
    return f"| {what} | {sent} | {found.hits} | {figures} | {found.wrong} |"


async def _ask(seconds: float, urls: Sequence[str]) -> tuple[list[float], int]:
    """Ask for `urls` in turn, a hit every `PAUSE`; return what each waited (ms) and how many were answered wrongly."""
    waited: list[float] = []
    wrong = 0

    async def one(session: aiohttp.ClientSession, url: str) -> None:
        nonlocal wrong
        # Of few sources each, as people's programs are: a flood would be counted and not kept.
        headers = {"X-Forwarded-For": f"198.51.100.{random.randrange(1, 250)}", "User-Agent": "Mozilla/5.0"}
        started = time.perf_counter()
        try:
            async with session.get(url, headers=headers, allow_redirects=False) as answer:
                await answer.read()
                wrong += answer.status not in (200, 302)
        except (aiohttp.ClientError, TimeoutError):
            wrong += 1
        waited.append((time.perf_counter() - started) * 1000)

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session, asyncio.TaskGroup() as hits:
        started = time.perf_counter()
        for number in range(int(seconds / PAUSE)):
            hits.create_task(one(session, urls[number % len(urls)]))
            await asyncio.sleep(max(0.0, started + (number + 1) * PAUSE - time.perf_counter()))
    return waited, wrong


if __name__ == "__main__":
    print("ready", flush=True)
    print(json.dumps(asyncio.run(_ask(float(sys.argv[1]), sys.argv[2:]))), flush=True)
