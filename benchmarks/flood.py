"""A flood of one link from very many addresses: how soon it is told, what memory it takes, and how long recipients of
other mails wait meanwhile."""

import asyncio
import contextlib
import itertools
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import aiohttp
import orjson

from benchmarks import service
from shared.storage.account import close_session
from shared.storage.organizations import Organization

HITS = 200_000
AGENT = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/146.0.0.0 Safari/537.36"
)
CONNECTIONS = 32
PAUSE = 0.02
"""Seconds between two hits of recipients of other mails."""
LIMIT = 900.0
"""Seconds after which is told what is told by then."""


def report(say: Callable[[str], None], hits: int = HITS, limit: float = LIMIT) -> None:
    """Print what a flood of `hits` from as many addresses does; give up waiting for the fold after `limit` seconds."""
    with (
        tempfile.TemporaryDirectory(prefix="email-engagement-bench-") as directory,
        service.running(Path(directory)) as own,
    ):
        quiet = asyncio.run(_quiet(own))
        say("| recipients of other mails | hits | p50 ms | p99 ms | longest ms |\n|---|--:|--:|--:|--:|")
        say(_latencies("before", quiet))
        before = _peak(own.host.pid)
        asyncio.run(_flood(own, hits, limit, say))
        say(f"\nmemory of the process, at most: {before} MB before, {_peak(own.host.pid)} MB after")


async def _flood(own: service.Service, hits: int, limit: float, say: Callable[[str], None]) -> None:
    organization = await service.contoso()
    email = _email_of(own.links[0])
    started = time.perf_counter()
    async with _recipients(own) as during:
        errors = await asyncio.to_thread(_pour, own.url, own.links[0], hits)
        answered = time.perf_counter() - started
    async with _recipients(own) as after:
        told, rows = await _told(organization, email)
        while told < hits and time.perf_counter() - started < limit:
            await asyncio.sleep(2)
            told, rows = await _told(organization, email)
        seconds = time.perf_counter() - started
    say(_latencies("during the flood", during))
    say(_latencies("while it is told", after))
    say(f"\n{hits:,} hits answered in {answered:.0f} s ({hits / answered:,.0f} a second), {errors} errors")
    say(f"told {seconds:.0f} s after the first: {told:,} hits in {rows:,} rows")
    await close_session()


async def _told(organization: Organization, email: str) -> tuple[int, int]:
    """Return how many hits on an email its rows tell of, and how many rows these are."""
    condition = f"PartitionKey eq '{email}' and RowKey ge 'interaction:' and RowKey lt 'interaction;'"
    told = rows = 0
    async for page in organization.tables.query(organization.emails, condition, ("RowKey", "_flood")):
        rows += len(page)
        told += sum(orjson.loads(row["_flood"])["count"] if "_flood" in row else 1 for row in page)
    return told, rows


def _email_of(path: str) -> str:
    from shared.engagement.tokens import verify
    from shared.settings import settings

    token = verify(path[3:], settings().token_secrets, settings().link_keys)
    if token is None:
        raise RuntimeError("a link of the benchmark's own is not taken")
    return str(token.email)


async def _quiet(own: service.Service) -> list[float]:
    async with _recipients(own) as waited:
        await asyncio.sleep(5)
    await close_session()
    return waited


@contextlib.asynccontextmanager
async def _recipients(own: service.Service) -> AsyncIterator[list[float]]:
    """Let recipients of other mails ask one after the other while the block runs; yield how long each waited (s)."""
    waited: list[float] = []

    async def ask() -> None:
        timeout = aiohttp.ClientTimeout(total=60)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            for path in itertools.cycle(own.pixels[1:]):
                started = time.perf_counter()
                async with session.get(own.url + path, headers={"X-Forwarded-For": "198.51.100.77"}) as answer:
                    await answer.read()
                waited.append(time.perf_counter() - started)
                await asyncio.sleep(PAUSE)

    asking = asyncio.create_task(ask())
    try:
        yield waited
    finally:
        asking.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await asking


def _pour(url: str, path: str, hits: int) -> int:
    """Ask for one path so often, from an address of its own each time and in a process of its own; return how many
    were not answered with a redirect."""
    command = [sys.executable, "-m", "benchmarks.flood", url, path, str(hits)]
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


async def _pour_all(url: str, path: str, hits: int) -> int:
    numbers, wrong = iter(range(hits)), 0
    host, port = url.removeprefix("http://").split(":")

    async def one() -> None:
        nonlocal wrong
        reader, writer = await asyncio.open_connection(host, int(port))
        for n in numbers:
            address = f"11.{n >> 16}.{n >> 8 & 255}.{n & 255}"
            writer.write(
                f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {AGENT}\r\nAccept: text/html\r\n"
                f"Accept-Language: en\r\nX-Forwarded-For: {address}\r\n\r\n".encode()
            )
            # A redirect has no body.
            head = await reader.readuntil(b"\r\n\r\n")
            wrong += not head.startswith(b"HTTP/1.1 302")
        writer.close()

    await asyncio.gather(*(one() for _ in range(CONNECTIONS)))
    return wrong


def _peak(pid: int) -> int:
    """Return the most memory that a process has held so far, MB (Linux)."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def _latencies(what: str, waited: list[float]) -> str:
    in_order = sorted(waited) or [float("nan")]
    found = (in_order[len(in_order) // 2], in_order[len(in_order) * 99 // 100], in_order[-1])
    return f"| {what} | {len(in_order):,} | " + " | ".join(f"{seconds * 1000:.0f}" for seconds in found) + " |"


if __name__ == "__main__":
    print(asyncio.run(_pour_all(sys.argv[1], sys.argv[2], int(sys.argv[3]))))
