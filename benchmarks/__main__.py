"""`make bench`: what a hit costs beside a synchronous tracker, and what grows with lists, the agenda and the figures.

Nothing here passes or fails: figures belong to the machine they were measured on. docs/benchmarks.md keeps the ones
that decisions rest on. `python -m benchmarks PART` runs one part: those of `PARTS` below.
part.
"""

import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks import agenda as scheduling
from benchmarks import cold_start, load, peers, processor_time, service
from benchmarks import figures as counting
from benchmarks import flood as flooding
from benchmarks import hostile as beside
from benchmarks import labels as labelling
from benchmarks import lists as listing
from benchmarks import recommending as simulated
from benchmarks.load import Load
from local.ingestion import ingestion

CONNECTIONS = (1, 8, 32)
CELLS = [(kind, connections) for kind in ("pixel", "link") for connections in CONNECTIONS]
ROUNDS = 3
TURNS = 6

type Measured = tuple[Load, float]


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


def observability() -> None:
    """Print what exporting metrics costs the recipients' path: two hosts on one storage in turn, off and on.

    Neither folds: which of them would get the messages of what either recorded is chance.
    """
    if not load.has_wrk():
        _say("skipped: wrk is not installed (apt-get install wrk)")
        return
    with (
        tempfile.TemporaryDirectory(prefix="email-engagement-bench-") as directory,
        service.without("fold"),
        ingestion() as sink,
        service.running(Path(directory)) as off,
        service.second_host(off, service.exporting_to(sink)) as on,
    ):
        while not sink.items:
            time.sleep(0.1)
        before = len(sink.paths)
        _compare_hosts({"off": (off.url, off.host.pid), "on": on}, off, Path(directory))
        _say(f"\nexports during the measurement: {len(sink.paths) - before}")


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


def flood() -> None:
    """Print what a flood of one link from 200,000 addresses does to its process and to recipients of other mails."""
    flooding.report(_say)


def labels() -> None:
    """Print precision and recall of the labels on made-up traces."""
    labelling.report(seed=1, emails=4000, wrong="", alone=False)


def lists() -> None:
    """Print what a page of every list and a new email cost with few emails and with many."""
    listing.report()


def agenda() -> None:
    """Print what the timer's minute costs with few entries that are not due and with many, and handing over many."""
    scheduling.report()


def figures() -> None:
    """Print what one more mail costs the figures with few emails and with many, and what rebuilding them takes."""
    counting.report()


def recommending() -> None:
    """Print how often templates are recommended rightly and wrongly, in simulated organizations."""
    simulated.report()


def hostile() -> None:
    """Print what recipients wait beside every kind of hostile request, and without any."""
    beside.report(_say)


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
        for kind, connections in CELLS:
            rounds = [_ours(kind, connections, directory) for _ in range(ROUNDS)]
            _median_row(f"ours, {kind}", connections, rounds)
        return
    with peers.pytracking_peer(directory, service.EMAILS, service.TARGET) as peer:
        _compare(peer, directory)


def _compare(peer: peers.Peer, directory: Path) -> None:
    """Measure ours, the peer, and the peer with lazy commits in turn, `ROUNDS` times; the ratios are of neighbours."""
    ratios: list[str] = []
    _header()
    for kind, connections in CELLS:
        paths = peer.pixels if kind == "pixel" else peer.links
        ours: list[Measured] = []
        durable: list[Measured] = []
        lazy: list[Measured] = []
        for _ in range(ROUNDS):
            ours.append(_ours(kind, connections, directory))
            peer.set_synchronous_commit(on=True)
            durable.append(_measure(peer.url, peer.pid, paths, connections, directory))
            peer.set_synchronous_commit(on=False)
            lazy.append(_measure(peer.url, peer.pid, paths, connections, directory))
        _median_row(f"ours, {kind}", connections, ours)
        _median_row(f"peer, {kind}", connections, durable)
        _median_row(f"peer, {kind}, lazy commit", connections, lazy)
        ratios.append(f"| {kind} | {connections} | {_ratio(ours, durable)} | {_ratio(ours, lazy)} |")
    _say("\n| ours / peer | connections | synchronous_commit=on | off |\n|---|--:|--:|--:|")
    _say("\n".join(ratios))


def _compare_hosts(hosts: Mapping[str, tuple[str, int]], own: service.Service, directory: Path) -> None:
    """Measure each of `hosts` (address and process id, by name) in turn; the ratio is of the last to the first.

    They change places with every turn: the emulator slows down with every row that it holds.
    """
    ratios: list[str] = []
    _header()
    for kind, connections in [cell for cell in CELLS if cell[1] > 1]:
        paths = own.pixels if kind == "pixel" else own.links
        found: dict[str, list[Measured]] = {name: [] for name in hosts}
        for turn in range(TURNS):
            for name in list(hosts)[:: 1 if turn % 2 else -1]:
                found[name].append(_measure(*hosts[name], paths, connections, directory))
        for name, rounds in found.items():
            _median_row(f"{kind}, {name}", connections, rounds)
        first, *_, last = found.values()
        ratios.append(f"| {kind} | {connections} | {_ratio(last, first)} | {_cost_ratio(last, first)} |")
    _say(f"\n| {' / '.join(reversed(list(hosts)))} | connections | hits/s | CPU/hit |\n|---|--:|--:|--:|")
    _say("\n".join(ratios))


def _ratio(ours: Sequence[Measured], peer: Sequence[Measured]) -> str:
    return _spread([a[0].per_second / b[0].per_second for a, b in zip(ours, peer, strict=True)])


def _cost_ratio(ours: Sequence[Measured], peer: Sequence[Measured]) -> str:
    return _spread([a[1] / b[1] for a, b in zip(ours, peer, strict=True)])


def _spread(ratios: Sequence[float]) -> str:
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


def _ours(kind: str, connections: int, directory: Path) -> Measured:
    """Measure the service on storage of its own, as the emulator slows down with every row it holds."""
    with tempfile.TemporaryDirectory(dir=directory) as fresh, service.running(Path(fresh)) as own:
        paths = own.pixels if kind == "pixel" else own.links
        return _measure(own.url, own.host.pid, paths, connections, directory)


def _measure(url: str, pid: int, paths: Sequence[str], connections: int, directory: Path) -> Measured:
    """Return a load and the microseconds of processor time per hit that the process and its children spent on it."""
    # What a process does once (connections, first imports) is not what a hit costs.
    load.run(url, paths, connections, directory, seconds=1)
    before = processor_time.used(pid)
    found = load.run(url, paths, connections, directory)
    return found, (processor_time.used(pid) - before) / max(1, found.requests) * 1e6


def _median_row(what: str, connections: int, rounds: Sequence[Measured]) -> None:
    found, micros = sorted(rounds, key=lambda measured: measured[0].per_second)[len(rounds) // 2]
    _row(what, connections, found, micros)


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


PARTS: dict[str, Callable[[], None]] = {
    "cold": cold,
    "throughput": throughput,
    "observability": observability,
    "outage": outage,
    "flood": flood,
    "labels": labels,
    "lists": lists,
    "agenda": agenda,
    "figures": figures,
    "recommending": recommending,
    "hostile": hostile,
}

if __name__ == "__main__":
    main(sys.argv[1:])
