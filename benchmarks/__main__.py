"""`make bench`: what a recipient's hit costs, side by side with a synchronous tracker, in one run on one machine.

Nothing here passes or fails: figures belong to the machine they were measured on. docs/benchmarks.md keeps the ones
that decisions rest on. `python -m benchmarks labels|throughput|outage|cold` runs one part.
"""

import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import cold_start, load, peers, processor_time, service
from benchmarks import labels as labelling
from benchmarks.load import Load

CONNECTIONS = (1, 8, 32)
KINDS = ("pixel", "link")


def main(parts: Sequence[str]) -> None:
    """Run the parts that are named, or all."""
    chosen = parts or list(PARTS)
    unknown = [part for part in chosen if part not in PARTS]
    if unknown:
        raise SystemExit(f"there is no part {unknown[0]!r}; the parts are {', '.join(PARTS)}")
    _say(f"# {platform.platform()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    for part in chosen:
        _say(f"\n## {part}\n")
        PARTS[part]()


def cold() -> None:
    """Print what a cold start costs."""
    app, bare = cold_start.milliseconds()
    _say(f"importing and indexing the app: {app:.0f} ms of processor time (a bare interpreter: {bare:.0f} ms)")


def throughput() -> None:
    """Print durable hits per second, ours and the peer's in turn."""
    if not load.has_wrk():
        _say("skipped: wrk is not installed (apt-get install wrk)")
        return
    with tempfile.TemporaryDirectory(prefix="email-engagement-bench-") as directory:
        _throughput(Path(directory))


def outage() -> None:
    """Print how quickly recipients are answered while storage is down, and that nothing of it is lost."""
    if not load.has_wrk():
        _say("skipped: wrk is not installed (apt-get install wrk)")
        return
    with (
        tempfile.TemporaryDirectory(prefix="email-engagement-bench-") as directory,
        service.running(Path(directory)) as own,
    ):
        before = service.count_interactions()
        own.stop_storage()
        answered = 0
        _header()
        for name, paths in (("pixel", own.pixels), ("link", own.links)):
            for connections in (8, 32):
                found = load.run(own.url, paths, connections, Path(directory), seconds=3)
                answered += found.requests
                _row(f"storage stopped, {name}", connections, found)
        own.start_storage()
        seconds = _wait_until_recorded(before + answered)
        recorded = service.count_interactions() - before
        # wrk closes its connections with a request under way on each; those were recorded and not counted as answered.
        _say(f"\nanswered while storage was stopped: {answered}; recorded {seconds:.0f} s after its return: {recorded}")


def labels() -> None:
    """Print precision and recall of the labels on made-up traces."""
    labelling.report(seed=1, emails=4000, wrong="", alone=False)


def _throughput(directory: Path) -> None:
    if peers.has_nginx():
        with peers.nginx(directory) as url:
            _header()
            for connections in CONNECTIONS:
                _row("nginx empty_gif", connections, load.run(url, ["/"], connections, directory))
            _say("")
    else:
        _say("nginx is not installed: no ceiling (apt-get install nginx-light)")
    if peers.postgres_programs() is None:
        _say("PostgreSQL is not installed: no peer to compare with (apt-get install postgresql)")
        _header()
        for name in KINDS:
            for connections in CONNECTIONS:
                _ours(name, connections, directory)
        return
    with peers.pytracking_peer(directory, service.EMAILS, service.TARGET) as peer:
        _compare(peer, directory)


def _compare(peer: peers.Peer, directory: Path) -> None:
    ratios: list[str] = []
    hits, folding = 0, 0.0
    _header()
    for name in KINDS:
        for connections in CONNECTIONS:
            ours, seconds = _ours(name, connections, directory)
            hits, folding = hits + ours.requests, folding + seconds
            paths = peer.pixels if name == "pixel" else peer.links
            peer.set_synchronous_commit(on=True)
            durable = _measure(f"peer, {name}", peer.url, peer.pid, paths, connections, directory)
            peer.set_synchronous_commit(on=False)
            lazy = _measure(f"peer, {name}, lazy commit", peer.url, peer.pid, paths, connections, directory)
            ratios.append(
                f"| {name} | {connections} | {ours.per_second / durable.per_second:.2f} "
                f"| {ours.per_second / lazy.per_second:.2f} |"
            )
    _say("\n| ours / peer | connections | synchronous_commit=on | off |\n|---|--:|--:|--:|")
    _say("\n".join(ratios))
    _say(f"\nfolding the {hits} hits into interactions, after each run, took {folding:.0f} s in all")


def _ours(name: str, connections: int, directory: Path) -> tuple[Load, float]:
    """Measure the service on storage of its own, as the emulator slows down with every row it holds; then fold."""
    with tempfile.TemporaryDirectory(dir=directory) as fresh, service.running(Path(fresh)) as own:
        paths = own.pixels if name == "pixel" else own.links
        found = _measure(f"ours, {name}", own.url, own.host.pid, paths, connections, directory)
        return found, service.wait_until_folded()


def _measure(what: str, url: str, pid: int, paths: Sequence[str], connections: int, directory: Path) -> Load:
    # What a process does once (connections, first imports) is not what a hit costs.
    load.run(url, paths, connections, directory, seconds=1)
    before = processor_time.used(pid)
    found = load.run(url, paths, connections, directory)
    spent = processor_time.used(pid) - before
    _row(what, connections, found, spent / max(1, found.requests) * 1e6)
    return found


def _wait_until_recorded(expected: int, limit: float = 240) -> float:
    started = time.perf_counter()
    while service.count_interactions() < expected and time.perf_counter() - started < limit:
        time.sleep(1)
    service.wait_until_folded()
    return time.perf_counter() - started


def _header() -> None:
    _say("| what | connections | hits/s | p50 ms | p99 ms | CPU us/hit | errors |\n|---|--:|--:|--:|--:|--:|--:|")


def _row(what: str, connections: int, found: Load, micros: float | None = None) -> None:
    cost = "" if micros is None else f"{micros:.0f}"
    latencies = f"{found.p50:.2f} | {found.p99:.2f}"
    _say(f"| {what} | {connections} | {found.per_second:,.0f} | {latencies} | {cost} | {found.errors} |")


def _say(text: str) -> None:
    print(text, flush=True)


PARTS: dict[str, Callable[[], None]] = {"cold": cold, "throughput": throughput, "outage": outage, "labels": labels}

if __name__ == "__main__":
    main(sys.argv[1:])
