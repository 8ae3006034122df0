"""The evidence several hits of one email give together: bursts, crawls, disguises, and what belongs to them."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

from shared.engagement import agents
from shared.engagement.evidence import (
    AT_ONCE,
    BROWSERS,
    CLICKS,
    ENOUGH,
    GATEWAYS,
    MINUTE,
    NEVER_CLICK,
    SECOND,
    Email,
    Evidence,
    age,
    is_sender,
)
from shared.engagement.hits import Kind
from shared.engagement.observations import Observation

type Found = Iterable[tuple[int, Evidence]]
"""Evidence beside the position of the hit it is about."""

READERS = agents.DISPLAY_PROXIES | {"mail-client", "apple-mail"}


@dataclass(frozen=True, slots=True)
class Sweep:
    """A burst of clicks no person makes: positions of its hits, first and last moment (ms), and how it is known."""

    hits: tuple[int, ...]
    start: int
    end: int
    evidence: Evidence


SWEEP = 2 * SECOND


def _follows(o: Observation) -> bool:
    """Whether a click is one: not what a reader's own programs fetch ahead or preview while the reader does nothing."""
    return o.method == "GET" and "prefetch" not in o.flags and o.agent_class != "apple-mail"


def _only_asks(o: Observation) -> bool:
    """Whether a browser's name only asks, which a mail program does under a pointer, and a browser never by itself."""
    return o.method != "GET" and o.agent_class in BROWSERS


def sweeps(email: Email, hits: Sequence[Observation]) -> list[Sweep]:
    """Return the bursts among `hits` (in the order of time): three different targets, or all the links, within 2 s.

    By one source first; then by one network or one agent, which scanners that rotate the other keep; then by anybody,
    three targets at least (craft-campaign 546, Resend 901). Two people do not click different links in the same second.
    """
    known = agents.DISPLAY_PROXIES | agents.DECLARED
    clicks = [
        i
        for i, o in enumerate(hits)
        if o.kind in CLICKS and o.agent_class not in known and (_follows(o) or _only_asks(o))
    ]
    found: list[Sweep] = []
    if len({(hits[i].kind, hits[i].item) for i in clicks}) < 2:
        return found
    taken: set[int] = set()
    for by in _GROUPINGS:
        groups: defaultdict[str, list[int]] = defaultdict(list)
        for i in clicks:
            if i not in taken and (by is not _anybody or not is_sender(email, hits[i])):
                groups[by(hits[i])].append(i)
        for group in groups.values():
            if len(group) > 1:
                found += _bursts(email, hits, group, few=by is not _anybody)
        taken.update(i for sweep in found for i in sweep.hits)
    return found


def _anybody(_o: Observation) -> str:
    return ""


_GROUPINGS: tuple[Callable[[Observation], str], ...] = (
    attrgetter("source"),
    attrgetter("network"),
    attrgetter("agent"),
    _anybody,
)


def _bursts(email: Email, hits: Sequence[Observation], group: Sequence[int], *, few: bool) -> Iterator[Sweep]:
    """Yield the stretches of `group` in which enough different targets fall within `SWEEP`: three, or where `few` are
    enough all the links or everything there is, two at least."""
    inside: Counter[tuple[Kind, int]] = Counter()
    left, marked = 0, -1
    stretch: list[int] = []
    for right, i in enumerate(group):
        inside[hits[i].kind, hits[i].item] += 1
        while hits[i].at - hits[group[left]].at > SWEEP:
            target = (hits[group[left]].kind, hits[group[left]].item)
            inside[target] -= 1
            if not inside[target]:
                del inside[target]
            left += 1
        if len(inside) > 2 or (few and len(inside) == 2 and _is_all(email, inside)):
            if stretch and left > marked:
                yield _sweep(email, hits, stretch)
                stretch = []
            stretch += group[max(left, marked + 1) : right + 1]
            marked = right
    if stretch:
        yield _sweep(email, hits, stretch)


def _is_all(email: Email, targets: Collection[tuple[Kind, int]]) -> bool:
    """Whether these are all the links, two at least: one link and one file at once may be an impatient person."""
    return sum(1 for kind, _ in targets if kind is Kind.LINK) >= max(2, email.links)


def _sweep(email: Email, hits: Sequence[Observation], positions: Sequence[int]) -> Sweep:
    start, end = hits[positions[0]].at, hits[positions[-1]].at
    targets = {(hits[i].kind, hits[i].item) for i in positions}
    of = "all" if _is_all(email, targets) else f"{len(targets)} of"
    number = len(targets) if of == "all" else email.links + email.attachments
    followed = any(hits[i].method == "GET" for i in positions)
    did = "fetched" if followed else "asked for"
    words = f"{did} {of} {number} links within {max(end - start, 100) / SECOND:.1f} s"
    sure = followed and (len(targets) > 2 or end - start <= SECOND)
    return Sweep(tuple(positions), start, end, Evidence(ENOUGH if sure else 80, words))


def crawls(email: Email, hits: Sequence[Observation]) -> Found:
    """One source and agent going through the links faster than anybody reads: four at less than 2.5 s each, or all
    of five and more at less than 8 s each."""
    runs: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for i, o in enumerate(hits):
        if o.kind is Kind.LINK and _follows(o):
            runs[o.source, o.agent].append(i)
    for run in runs.values():
        for part in _split(hits, run, 20 * SECOND) if len(run) > 2 else ():
            items = [hits[i].item for i in part]
            distinct = len(set(items))
            pace = (hits[part[-1]].at - hits[part[0]].at) / max(1, distinct - 1) / SECOND
            evidence = _crawl(distinct, email.links, pace, ordered=items == sorted(set(items)))
            if evidence:
                yield from ((i, evidence) for i in part)


def _crawl(distinct: int, links: int, pace: float, *, ordered: bool) -> Evidence | None:
    reason = f"went through {distinct} links, one every {pace:.1f} s"
    if (distinct >= 4 and pace <= 2.5) or (distinct >= 5 and distinct >= links and pace <= 8):
        return Evidence(ENOUGH, reason)
    if distinct >= 3 and pace <= 1.5:
        return Evidence(80, reason)
    if distinct >= 3 and distinct >= links and ordered and pace <= 2.5:
        return Evidence(60, reason)
    if distinct >= 4 and pace <= 8:
        return Evidence(50, reason)
    return None


def rotates(email: Email, hits: Sequence[Observation]) -> Found:
    """A scanner with a new address for every link: as many sources as links, each seen once, in one minute.

    One browser alone may be a telephone whose provider changes its addresses; Private Relay's change by design.
    """
    seen = Counter(o.source for o in hits)
    single = [
        i
        for i, o in enumerate(hits)
        if o.kind is Kind.LINK and seen[o.source] == 1 and o.network_class != "icloud-relay" and _follows(o)
    ]
    least = 3 if email.recipients <= 1 else 4
    for part in _split(hits, single, 15 * SECOND):
        distinct = len({hits[i].item for i in part})
        if distinct >= max(least, len(part) - 1) and hits[part[-1]].at - hits[part[0]].at <= MINUTE:
            points = ENOUGH if len({hits[i].agent for i in part}) > 1 else 80
            yield from ((i, Evidence(points, f"{distinct} links, each from another address, in one go")) for i in part)


def hammers(email: Email, hits: Sequence[Observation]) -> Found:
    """Ten fetches of one thing by one source within ten seconds, and one more for every further recipient, who may all
    sit behind it; Gmail's proxy has been seen to do that and may, and Apple's fetches for everybody at once."""
    many = 9 + max(1, email.recipients)
    if len(hits) < many:
        return
    runs: defaultdict[tuple[str, str, Kind, int], list[int]] = defaultdict(list)
    for i, o in enumerate(hits):
        if o.agent_class not in NEVER_CLICK:
            runs[o.source, o.agent, o.kind, o.item].append(i)
    for run in runs.values():
        if any(hits[run[n + many - 1]].at - hits[run[n]].at <= 10 * SECOND for n in range(len(run) - many + 1)):
            yield from ((i, Evidence(ENOUGH, "fetched the same thing again and again")) for i in run)


CHANGE = 90 * SECOND
"""Within this one browser follows another where software poses as several."""


def changes_agents(email: Email, hits: Sequence[Observation]) -> Found:
    """One address under several browsers, one soon after the other in the first minutes (Warmbly 410): a person's mail
    opens in one of them. What only repeats a click at once is no change: software at the reader's side checks it."""
    early: defaultdict[str, list[int]] = defaultdict(list)
    for i, o in enumerate(hits):
        shared = o.network_class == "icloud-relay" or is_sender(email, o)
        if o.agent_class == "browser" and not shared and age(email, o) <= 5 * MINUTE:
            early[o.source].append(i)
    for everything in early.values():
        repeated = _repeated(hits, everything)
        group = [i for i in everything if i not in repeated]
        devices = {hits[i].device for i in group}
        if len(devices) > 1 and any(
            hits[i].device != hits[k].device and hits[k].at - hits[i].at <= CHANGE for i, k in pairwise(group)
        ):
            points = 80 if email.recipients <= 1 else 40
            yield from ((i, Evidence(points, f"one address posed as {len(devices)} browsers")) for i in group)


def _repeated(hits: Sequence[Observation], group: Sequence[int]) -> set[int]:
    """Return the clicks among `group` that another agent made too, at once."""
    found: set[int] = set()
    last: dict[tuple[Kind, int], int] = {}
    for k in group:
        o = hits[k]
        if o.kind in CLICKS:
            i = last.get((o.kind, o.item))
            if i is not None and hits[i].agent != o.agent and o.at - hits[i].at <= AT_ONCE:
                found |= {i, k}
            last[o.kind, o.item] = k
    return found


def clicks_at_once(_email: Email, hits: Sequence[Observation]) -> Found:
    """A click within half a second of the pixel by one source; seconds apart would be a person (Warmbly 412)."""
    evidence = Evidence(40, "clicked the moment it opened")
    opened: dict[tuple[str, str], int] = {}
    told: set[int] = set()
    for i, o in enumerate(hits):
        if o.kind is Kind.OPEN:
            opened[o.source, o.agent] = i
        elif o.kind in CLICKS and _follows(o):
            before = opened.get((o.source, o.agent))
            if before is not None and o.at - hits[before].at <= 500:
                yield i, evidence
                if before not in told:
                    told.add(before)
                    yield before, evidence


def checks_first(_email: Email, hits: Sequence[Observation]) -> Found:
    """A fetch within a second after the same source and agent only asked: link checkers ask, then fetch."""
    asked: dict[tuple[str, str, Kind, int], int] = {}
    for i, o in enumerate(hits):
        if o.method != "GET":
            asked[o.source, o.agent, o.kind, o.item] = o.at
        elif asked and o.at - asked.get((o.source, o.agent, o.kind, o.item), o.at - MINUTE) <= SECOND:
            yield i, Evidence(ENOUGH, "asked first whether it is there")


def reads_there(_email: Email, hits: Sequence[Observation]) -> Found:
    """Somebody reads with a mail program at this data centre's address: a virtual desktop or a VPN, not a scanner."""
    readers = {o.source for o in hits if o.agent_class == "mail-client" and o.kind not in CLICKS}
    for i, o in enumerate(hits):
        if o.network_class in ("azure", "cloud") and o.source in readers and o.agent_class in BROWSERS:
            yield i, Evidence(-50, "came from where somebody reads mail")


def is_isolated(email: Email, hits: Sequence[Observation]) -> Found:
    """A click from a vendor's network within three minutes of a display elsewhere: browser isolation shows
    the page to who displayed it. Not within ninety seconds of sending, when two thirds of the scans come."""
    displayed = [
        o
        for o in hits
        if o.kind not in CLICKS
        and o.method == "GET"
        and (o.agent_class in READERS or o.network_class == "exchange-online")
    ]
    moments = [o.at for o in displayed]
    for i, o in enumerate(hits):
        if o.network_class in GATEWAYS and o.kind in CLICKS and not o.flags and age(email, o) > 90 * SECOND:
            before = bisect_right(moments, o.at) - 1
            if before >= 0 and o.at - moments[before] <= 3 * MINUTE:
                yield i, Evidence(-30, "came after the mail was displayed")


GROUP_RULES: tuple[Callable[[Email, Sequence[Observation]], Found], ...] = (
    crawls,
    rotates,
    hammers,
    changes_agents,
    clicks_at_once,
    checks_first,
    reads_there,
    is_isolated,
)


def around_sweeps(email: Email, hits: Sequence[Observation], found: Sequence[Sweep]) -> Found:
    """What belongs to a sweep beside its clicks: the pixel some seconds before it (median 9 s after sending, the sweep
    33 s later; craft-campaign 546), by the same address under another browser, or by an address not seen again."""
    last = {o.source: o.at for o in hits}
    ordered = sorted(found, key=lambda sweep: sweep.start)
    starts = [sweep.start for sweep in ordered]
    sources = [{hits[i].source for i in sweep.hits} | {hits[i].network for i in sweep.hits} for sweep in ordered]
    agents_of = [{hits[i].agent for i in sweep.hits} for sweep in ordered]
    swept = {i for sweep in found for i in sweep.hits}
    for i, o in enumerate(hits):
        if i in swept or o.agent_class != "browser" or o.network_class in ("exchange-online", "icloud-relay"):
            continue
        until = bisect_right(starts, o.at + 2 * MINUTE)
        for number in range(max(0, until - 8), until):
            sweep, known = ordered[number], sources[number]
            if o.at > sweep.end + 10 * SECOND:
                continue
            if o.source in known or o.network in known:
                yield i, Evidence(80, f"opened beside a machine that {sweep.evidence.reason}")
                break
            alone = last[o.source] <= sweep.end + 10 * SECOND
            alike = o.agent in agents_of[number]
            early = email.sent_at is not None and age(email, o) <= 30 * SECOND
            if o.kind not in CLICKS and o.at <= sweep.end and alone and alike and early:
                yield i, Evidence(80, f"opened just before a machine {sweep.evidence.reason}")
                break


def _split(hits: Sequence[Observation], run: Sequence[int], gap: int) -> Iterator[list[int]]:
    """Yield the parts of `run` between pauses longer than `gap` ms."""
    if not run:
        return
    part = [run[0]]
    for before, i in pairwise(run):
        if hits[i].at - hits[before].at > gap:
            yield part
            part = []
        part.append(i)
    yield part
