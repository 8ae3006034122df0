"""What is left of a hit once the address and the user agent are forgotten: enough to judge it again later."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from shared.engagement import agents, networks
from shared.engagement.hits import MAX_HEADER_LENGTH, Hit, Kind, source_of

VERSION = 1

DAY = 86_400_000  # ms


@dataclass(frozen=True, slots=True)
class Observation:
    """A hit without what identifies a person.

    `source`, `network` and `agent` are keyed hashes (16 hex digits) of the address (in IPv6 its /64), of its /24 or
    /48, and of the user agent; `network_class` and `agent_class` are those of `networks` and `agents`; `device` is
    words for a person.
    """

    id: str
    kind: Kind
    item: int
    at: int
    method: str
    source: str
    network: str
    network_class: str
    agent: str
    agent_class: str
    device: str
    flags: tuple[str, ...]


def observe(hit: Hit, key: bytes, sender_source: str = "") -> Observation:
    """Return what may be kept of `hit`; `key`, secret and the same for all hits of an organization, hides the rest.

    `sender_source` is the `source_hash` of the email's sender. Those that were kept while a source in IPv6 was a single
    address know the sender by that one, so a hit from it goes by it too.
    """
    user_agent = hit.headers.get("user-agent", "")
    agent = agents.classify(user_agent)
    return Observation(
        id=hit.id,
        kind=hit.kind,
        item=hit.item,
        at=hit.at,
        method=hit.method,
        source=_source(key, hit.address, sender_source),
        network=_hash(key, "network", networks.neighbourhood(hit.address)),
        network_class=networks.classify(hit.address),
        agent=_hash(key, "agent", user_agent),
        agent_class=agent.kind,
        device=agent.device,
        flags=tuple(_flags(hit, agent)),
    )


def source_hash(key: bytes, address: str, user_agent: str) -> str:
    """Return what tells a source's own hits later: the keyed hashes of both, and the agent's class and device.

    `key` is the one given to `observe`. "" where there is no address. `is_from` compares.
    """
    if not address:
        return ""
    # Of a hit's agent no more is kept, and the two are compared.
    user_agent = user_agent[:MAX_HEADER_LENGTH]
    agent = agents.classify(user_agent)
    hashes = (_source(key, address), _hash(key, "agent", user_agent))
    return "|".join((*hashes, agent.kind, agent.device))


def dump(observation: Observation) -> str:
    """Return `observation` as compact text that `load` reads for good, also in later versions."""
    o = observation
    fields = [VERSION, o.id, int(o.kind), o.item, o.at, o.method, o.source, o.network, o.network_class]
    return json.dumps([*fields, o.agent, o.agent_class, o.device, *o.flags], separators=(",", ":"), ensure_ascii=False)


def load(text: str) -> Observation:
    """Return the observation that `dump` wrote as `text`. ValueError where it is not one, or of an unknown version."""
    fields = json.loads(text)
    if not isinstance(fields, list) or not fields or fields[0] != VERSION:
        raise ValueError(f"not an observation of version {VERSION}: {text[:40]!r}")
    if len(fields) < 12:
        raise ValueError(f"an observation has 12 fields or more, this one {len(fields)}: {text[:40]!r}")
    _, identity, kind, item, at, method, source, network, network_class, agent, agent_class, device, *flags = fields
    return Observation(
        id=identity,
        kind=Kind(kind),
        item=item,
        at=at,
        method=method,
        source=source,
        network=network,
        network_class=network_class,
        agent=agent,
        agent_class=agent_class,
        device=device,
        flags=tuple(flags),
    )


def _hash(key: bytes, purpose: str, text: str) -> str:
    secret = key if len(key) <= hashlib.blake2b.MAX_KEY_SIZE else hashlib.blake2b(key).digest()
    return hashlib.blake2b(
        text.encode(errors="replace"), digest_size=8, key=secret, person=purpose.encode()
    ).hexdigest()


def _source(key: bytes, address: str, sender_source: str = "") -> str:
    if sender_source and ":" in address:
        parsed = networks.parse(address)
        alone = _hash(key, "address", address if parsed is None else str(parsed))
        if alone in sender_source:
            return alone
    return _hash(key, "address", source_of(address))


_PREFETCH_HEADERS = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_PREFETCH = re.compile(r"prefetch|prerender|preview", re.IGNORECASE)
_ADVERTISING = re.compile(
    r"(?:^|&)(?:fbclid|gclid|gbraid|wbraid|msclkid|dclid|twclid|ttclid|yclid|li_fat_id|mc_[ce]id|_hs\w+|_gl|igshid|igsh)="
)
_CLAIMED_VERSION = re.compile(r'"(?:Google Chrome|Chromium|Microsoft Edge)";v="(\d+)"')
_SYSTEM_HINTS = {"Windows": "Windows", "macOS": "Mac", "Android": "Android", "Linux": "Linux", "Chrome OS": "ChromeOS"}


def _flags(hit: Hit, agent: agents.Agent) -> Iterator[str]:
    """Yield what the headers and the query show beside the agent; every flag is a name that rules look for."""
    headers = hit.headers
    if any(_PREFETCH.search(headers.get(name, "")) for name in _PREFETCH_HEADERS):
        yield "prefetch"
    if not headers.get("accept-language"):
        yield "no-accept-language"
    accept = headers.get("accept", "")
    if not accept:
        yield "no-accept"
    elif hit.kind in (Kind.LINK, Kind.ATTACHMENT) and "text/html" not in accept:
        yield "no-html-accepted"
    if hit.query and not _ADVERTISING.search(hit.query):
        yield "query-added"
    if "from" in headers:
        yield "from-header"
    if hit.kind in (Kind.LINK, Kind.ATTACHMENT) and headers.get("sec-fetch-dest", "document") != "document":
        yield "not-navigated"
    yield from _contradictions(headers, agent)
    yield from _age(hit.at, agent)


def _contradictions(headers: Mapping[str, str], agent: agents.Agent) -> Iterator[str]:
    """Yield where the client hints (WICG UA-CH) contradict the user agent; a browser writes both from one source."""
    brands = headers.get("sec-ch-ua", "")
    if "headless" in brands.lower():
        yield "headless-brand"
    if agent.kind in ("browser", "webview") and brands:
        version = _CLAIMED_VERSION.search(brands)
        if agent.chromium == 0 or (version and int(version[1]) != agent.chromium):
            yield "hints-contradict"
    system = _SYSTEM_HINTS.get(headers.get("sec-ch-ua-platform", "").strip('"'))
    if system and agent.kind == "browser" and not agent.device.endswith(system):
        yield "hints-contradict"


_CHROMIUM_144 = 1_768_262_400_000
"""When Chromium 144 came out (13 January 2026), ms."""


_LAST_ON_WINDOWS = frozenset({109})
_LAST_ON_MAC = frozenset({67, 87, 103, 116, 128, 138, 150})
"""The last Chromium for Windows 7 and 8, and for macOS 10.9, 10.10, 10.12, 10.14, 10.15, 11 and 12: they stay in use.
Since Chromium 107 freezes what it says of the system, these Macs all say 10.15, and Windows 7 and 8 say 10."""


def _age(at: int, agent: agents.Agent) -> Iterator[str]:
    """Yield how stale the Chromium of a desktop is: a browser updates itself, a scanner's image does not.

    Chromium came out 11.7 times a year from 2023 to 2026 (109 to 144), one version in 31 days; a faster pace later only
    makes this more lenient. Judged is what claims to be kept current: not phones, which have what their maker left
    them, nor programs that embed a Chromium. Where many a system gets no newer one it is never called ancient.
    Stale versions are how gophish 2357 and 2646 knew scanners.
    """
    if agent.antique:
        yield "ancient-browser"
        return
    last = _LAST_ON_MAC if agent.device.endswith(" on Mac") else _LAST_ON_WINDOWS
    if not agent.current or not agent.chromium or agent.chromium in last:
        return
    days = (at - _CHROMIUM_144) / DAY - (agent.chromium - 144) * 31
    if days > 760 and agent.current == "yes":
        yield "ancient-browser"
    elif days > 400:
        yield "old-browser"
