"""The evidence that a machine fetched: small rules, each with its weight, its words and where it is known from.

Weights are points; `ENOUGH` of them on one hit make it a machine's. What proves it alone weighs that much, what only
hints weighs less and needs company: being early is never enough, whatever comes before five minutes are over.
"""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from operator import attrgetter

from shared.engagement import agents
from shared.engagement.hits import Kind
from shared.engagement.observations import DAY, Observation

ENOUGH = 100

SECOND = 1000  # ms
MINUTE = 60 * SECOND

CLICKS = frozenset({Kind.LINK, Kind.ATTACHMENT})
BROWSERS = frozenset({"browser", "webview"})
NEVER_CLICK = agents.DISPLAY_PROXIES | {"apple-mpp", "image-proxy"}
READERS = agents.DISPLAY_PROXIES | {"mail-client", "apple-mail"}
FILTERS = frozenset({"microsoft-eop", "microsoft-detonation", "barracuda"})
GATEWAYS = frozenset({"proofpoint", "mimecast", "cisco", "gateway"})


@dataclass(frozen=True, slots=True)
class Email:
    """What the rules may know of the email: when the send was recorded (ms, None while it is being sent), how many
    followed links, hosted images, followed attachments and recipients it has, and the `source_hash` of the session that
    sent it, with those of other sessions known to be the same seller's, one a line ("" where none is known)."""

    sent_at: int | None
    links: int
    images: int
    attachments: int
    recipients: int
    sender_source: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """What speaks for a machine: `points` of `ENOUGH`, why, and whether it speaks of who fetched (`lasting`) or only of
    this one fetch."""

    points: int
    reason: str
    lasting: bool = True


type Found = Iterable[tuple[int, Evidence]]
"""Evidence beside the position of the hit it is about."""


def age(email: Email, o: Observation) -> int:
    """Return how long after sending `o` happened, ms; 0 while the email is still being sent."""
    return 0 if email.sent_at is None else o.at - email.sent_at


def is_sender(email: Email, o: Observation) -> bool:
    """Return whether `o` came from a session of the seller's: the same address and agent.

    The same kind of agent is enough later than two days after sending, when its version may have changed. Another agent
    at the same address is somebody else in the same office.
    """
    if o.source not in email.sender_source:
        return False
    for line in email.sender_source.split("\n"):
        source, agent, kind, device = line.split("|")
        if o.source == source:
            if o.agent == agent:
                return True
            if age(email, o) > 2 * DAY and (o.agent_class, o.device) == (kind, device):
                return True
    return False


# --- what one hit shows ---------------------------------------------------------------------------------------------

_DECLARATIONS = {
    "none": "asked without saying what it is",
    "script": "was fetched by a script that says so",
    "bot": "was fetched by a bot that says so",
    "headless": "was fetched by a browser without a screen",
    "previewer": "was fetched for a link preview",
    "scanner": "was fetched by a security scanner that says so",
    "gmail-prefetch": "was fetched by Gmail on delivery",
}


def declares_itself(_email: Email, o: Observation) -> Iterator[Evidence]:
    """An agent that says what it is, or says nothing at all (machines-and-law, 1 and 3)."""
    reason = _DECLARATIONS.get(o.agent_class)
    if reason:
        yield Evidence(ENOUGH, reason)


def only_asks(_email: Email, o: Observation) -> Iterator[Evidence]:
    """HEAD and OPTIONS display nothing; mail programs send them when a pointer hovers (gophish 499, Mautic 14053)."""
    if o.method != "GET":
        yield Evidence(ENOUGH, f"only asked whether it is there ({o.method})", lasting=False)


def fetches_ahead(_email: Email, o: Observation) -> Iterator[Evidence]:
    """Browsers mark what they fetch before anybody asks (Sec-Purpose, Purpose, X-Moz)."""
    if "prefetch" in o.flags:
        yield Evidence(ENOUGH, "was fetched ahead by a browser", lasting=False)


def does_not_click(_email: Email, o: Observation) -> Iterator[Evidence]:
    """Image proxies fetch images; one that follows a link is a program under a borrowed name."""
    if o.kind in CLICKS:
        if o.agent_class in NEVER_CLICK:
            yield Evidence(ENOUGH, "an image proxy followed a link")
        elif o.agent_class == "app":
            yield Evidence(80, "was followed by a program that is no browser")


def comes_from(_email: Email, o: Observation) -> Iterator[Evidence]:
    """Networks by what runs there (Warmbly's catalogue, its scopes and certainties).

    Exchange Online fetches images when somebody reads and links when Safe Links checks them. Vendors that filter also
    render pages for people (browser isolation); clouds also carry virtual desktops and VPNs: these only hint.
    """
    click = o.kind in CLICKS
    network = o.network_class
    if network in FILTERS:
        yield Evidence(ENOUGH, "was fetched by a mail filter's network")
    elif network in GATEWAYS:
        yield Evidence(80, "came from a mail security vendor's network")
    elif network == "exchange-online" and click:
        yield Evidence(ENOUGH, "was checked by Microsoft (Safe Links)", lasting=False)
    elif network == "google" and (click or o.agent_class in BROWSERS):
        yield Evidence(80, "came from Google's own network")
    elif network in ("azure", "yahoo") and click:
        yield Evidence(80, "came from a mail provider's data centre")
    elif network == "azure" and o.agent_class in BROWSERS:
        yield Evidence(40, "came from a data centre")
    elif network == "cloud" and o.agent_class not in agents.DISPLAY_PROXIES:
        yield Evidence(75 if click or o.agent_class in BROWSERS else 20, "came from a data centre")


def known_elsewhere(_email: Email, o: Observation) -> Iterator[Evidence]:
    """A source that other emails of the organization showed to be a machine (`sources`)."""
    if "machine-elsewhere" in o.flags and not (o.network_class == "exchange-online" and o.kind not in CLICKS):
        yield Evidence(80, "came from a machine known from other emails")


_FLAG_POINTS = {
    # flag: (points on a click, on an open, words)
    "no-accept-language": (80, 60, "named no language, as browsers always do"),
    "no-accept": (60, 60, "did not say what it accepts, as browsers always do"),
    "no-html-accepted": (40, 0, "did not ask for a page"),
    "query-added": (80, 60, "changed the address of the link"),
    "from-header": (60, 60, "sent a robot's From header"),
    "not-navigated": (30, 0, "did not ask for a page"),
    "headless-brand": (70, 70, "is a browser without a screen"),
    "hints-contradict": (60, 60, "says two different things about its browser"),
    "ancient-browser": (80, 80, "used a browser more than two years old"),
    "old-browser": (40, 40, "used a browser more than a year old"),
}


def betrays_itself(_email: Email, o: Observation) -> Iterator[Evidence]:
    """Headers a browser always sends, and versions nobody runs (machines-and-law 3; gophish 2357, 2646; Mautic 9798).

    Only what claims to be a browser is judged: mail programs leave out what they like, and proxies are not asked.
    """
    if o.agent_class not in BROWSERS or (o.network_class == "exchange-online" and o.kind not in CLICKS):
        if "query-added" in o.flags:
            yield Evidence(60, "changed the address of the link")
        return
    for flag in o.flags:
        points = _FLAG_POINTS.get(flag)
        if points:
            weight = points[0] if o.kind in CLICKS else points[1]
            if weight:
                yield Evidence(weight, points[2])


def is_early(email: Email, o: Observation) -> Iterator[Evidence]:
    """95 of 100 sweeps fall into the first five minutes (craft-campaign 546), and people open then too."""
    since = age(email, o)
    if since <= 5 * MINUTE:
        yield Evidence(25, "came soon after sending")
    if since < 0:
        yield Evidence(20, "came before the email was out", lasting=False)


HIT_RULES: tuple[Callable[[Email, Observation], Iterator[Evidence]], ...] = (
    declares_itself,
    only_asks,
    fetches_ahead,
    does_not_click,
    comes_from,
    known_elsewhere,
    betrays_itself,
    is_early,
)


# --- what several hits show together --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sweep:
    """A burst of clicks no person makes: positions of its hits, first and last moment (ms), and how it is known."""

    hits: tuple[int, ...]
    start: int
    end: int
    evidence: Evidence


SWEEP = 2 * SECOND


def sweeps(email: Email, hits: Sequence[Observation]) -> list[Sweep]:
    """Return the bursts among `hits` (in the order of time): three different targets, or all the links, within 2 s.

    By one source first; then by one network or one agent, which scanners that rotate the other keep; then by anybody,
    three targets at least (craft-campaign 546, Resend 901). Two people do not click different links in the same second.
    """
    clicks = [i for i, o in enumerate(hits) if o.kind in CLICKS and o.agent_class not in agents.DISPLAY_PROXIES]
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
    links = sum(1 for kind, _ in targets if kind is Kind.LINK)
    return links >= max(2, email.links) or len(targets) >= email.links + email.attachments


def _sweep(email: Email, hits: Sequence[Observation], positions: Sequence[int]) -> Sweep:
    start, end = hits[positions[0]].at, hits[positions[-1]].at
    targets = {(hits[i].kind, hits[i].item) for i in positions}
    of = "all" if _is_all(email, targets) else f"{len(targets)} of"
    number = len(targets) if of == "all" else email.links + email.attachments
    words = f"fetched {of} {number} links within {max(end - start, 100) / SECOND:.1f} s"
    sure = len(targets) > 2 or end - start <= SECOND
    return Sweep(tuple(positions), start, end, Evidence(ENOUGH if sure else 80, words))


def crawls(email: Email, hits: Sequence[Observation]) -> Found:
    """One source and agent going through the links faster than anybody reads: four at less than 2.5 s each, or all
    of five and more at less than 8 s each."""
    runs: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for i, o in enumerate(hits):
        if o.kind is Kind.LINK:
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
    """A scanner with a new address for every link: as many sources as links, each seen once, in one minute."""
    seen = Counter(o.source for o in hits)
    single = [i for i, o in enumerate(hits) if o.kind is Kind.LINK and seen[o.source] == 1]
    least = 3 if email.recipients <= 1 else 4
    for part in _split(hits, single, 15 * SECOND):
        distinct = len({hits[i].item for i in part})
        if distinct >= max(least, len(part) - 1) and hits[part[-1]].at - hits[part[0]].at <= MINUTE:
            yield from ((i, Evidence(ENOUGH, f"{distinct} links, each from another address, in one go")) for i in part)


def hammers(_email: Email, hits: Sequence[Observation]) -> Found:
    """Ten fetches of one thing by one source within ten seconds; Gmail's proxy has been seen to do that and may."""
    if len(hits) < 10:
        return
    runs: defaultdict[tuple[str, str, Kind, int], list[int]] = defaultdict(list)
    for i, o in enumerate(hits):
        if o.agent_class not in agents.DISPLAY_PROXIES:
            runs[o.source, o.agent, o.kind, o.item].append(i)
    for run in runs.values():
        if any(hits[run[n + 9]].at - hits[run[n]].at <= 10 * SECOND for n in range(len(run) - 9)):
            yield from ((i, Evidence(ENOUGH, "fetched the same thing again and again")) for i in run)


def changes_agents(email: Email, hits: Sequence[Observation]) -> Found:
    """One address under several browsers in the first minutes (Warmbly 410): a person's mail opens in one of them."""
    early: defaultdict[str, list[int]] = defaultdict(list)
    for i, o in enumerate(hits):
        shared = o.network_class == "icloud-relay" or is_sender(email, o)
        if o.agent_class == "browser" and not shared and age(email, o) <= 5 * MINUTE:
            early[o.source].append(i)
    for group in early.values():
        devices = {hits[i].device for i in group}
        if len(devices) > 1:
            points = 80 if email.recipients <= 1 else 40
            yield from ((i, Evidence(points, f"one address posed as {len(devices)} browsers")) for i in group)


def clicks_at_once(_email: Email, hits: Sequence[Observation]) -> Found:
    """A click within half a second of the pixel by one source; seconds apart would be a person (Warmbly 412)."""
    opened: dict[tuple[str, str], int] = {}
    for i, o in enumerate(hits):
        if o.kind is Kind.OPEN:
            opened[o.source, o.agent] = i
        elif o.kind in CLICKS:
            before = opened.get((o.source, o.agent))
            if before is not None and o.at - hits[before].at <= 500:
                evidence = Evidence(40, "clicked the moment it opened")
                yield from ((before, evidence), (i, evidence))


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
    displayed = [o for o in hits if o.kind not in CLICKS and o.agent_class in READERS and o.method == "GET"]
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
    swept = {i for sweep in found for i in sweep.hits}
    for i, o in enumerate(hits):
        if i in swept or o.agent_class != "browser" or o.network_class in ("exchange-online", "icloud-relay"):
            continue
        until = bisect_right(starts, o.at + 2 * MINUTE)
        for sweep, known in zip(ordered[max(0, until - 8) : until], sources[max(0, until - 8) : until], strict=True):
            if o.at > sweep.end + 10 * SECOND:
                continue
            if o.source in known or o.network in known:
                yield i, Evidence(80, f"opened beside a machine that {sweep.evidence.reason}")
                break
            alone = last[o.source] <= sweep.end + 10 * SECOND
            if o.kind not in CLICKS and alone and email.sent_at is not None and age(email, o) <= 30 * SECOND:
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
