"""Telling people from machines: who fetched, judged from all the hits of one email, with the reason in a sentence.

Every hit counts as a person's until there is enough `evidence` of a machine; privacy proxies and the sender's own
fetches are known by what they are. A pure function over one email's hits: run again with better rules over old
observations it gives better labels.
"""

from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from shared.engagement import agents, evidence, patterns
from shared.engagement.evidence import CLICKS, ENOUGH, MINUTE, SECOND, Email, Evidence, age, is_sender
from shared.engagement.hits import Kind
from shared.engagement.observations import Observation, dump, load, observe, source_hash

__all__ = [
    "Email",
    "Label",
    "Observation",
    "Verdict",
    "dump",
    "judge",
    "load",
    "observe",
    "source_hash",
]


class Label(IntEnum):
    """Who fetched; the values of `ee_label`."""

    PERSON = 0
    PROXY = 1
    MACHINE = 2
    SENDER = 3


@dataclass(frozen=True, slots=True)
class Verdict:
    """Who fetched and why, for a seller to read; `settled` where later hits are unlikely to change it."""

    label: Label
    reason: str
    settled: bool


def judge(email: Email, observations: Sequence[Observation]) -> tuple[Verdict, ...]:
    """Return a verdict for each of an email's `observations`, in their order; their order does not matter to it."""
    order = sorted(range(len(observations)), key=lambda i: (observations[i].at, observations[i].id))
    hits = [observations[i] for i in order]
    found = [_verdict(email, o, weighed) for o, weighed in zip(hits, _weigh(email, hits), strict=True)]
    placed = dict(zip(order, _until_read(email, hits, found), strict=True))
    return tuple(placed[position] for position in range(len(hits)))


def _weigh(email: Email, hits: Sequence[Observation]) -> list[list[Evidence]]:
    """Return the evidence on each of `hits`, which are in the order of time."""
    weights = [[e for rule in evidence.HIT_RULES for e in rule(email, o)] for o in hits]
    if len(hits) > 1:
        found = patterns.sweeps(email, hits)
        for sweep in found:
            _add(weights, ((i, sweep.evidence) for i in sweep.hits))
        for rule in patterns.GROUP_RULES:
            _add(weights, rule(email, hits))
        _spread(email, hits, weights)
        if found:
            around = patterns.around_sweeps(email, hits, found)
            _add(weights, ((i, e) for i, e in around if not is_sender(email, hits[i])))
            _spread(email, hits, weights)
        _doubles(email, hits, weights)
        _spread(email, hits, weights)
    return weights


def _add(weights: list[list[Evidence]], found: patterns.Found) -> None:
    for i, e in found:
        weights[i].append(e)


def _points(found: Sequence[Evidence]) -> int:
    return sum(e.points for e in found)


def _lasting(found: Sequence[Evidence]) -> int:
    return sum(e.points for e in found if e.lasting)


def _spread(email: Email, hits: Sequence[Observation], weights: list[list[Evidence]]) -> None:
    """What is a machine once is one in all of this email's hits: the same address under the same agent.

    Except later than ten minutes where the address clearly carries people too, under other agents: an office whose
    scanner and whose people share one address and one kind of browser, the sender's among them.
    """
    machines: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    for i, o in enumerate(hits):
        if _lasting(weights[i]) >= ENOUGH:
            machines[_who(o)].append(i)
    if not machines:
        return
    people: defaultdict[str, set[str]] = defaultdict(set)
    for i, o in enumerate(hits):
        if _points(weights[i]) < ENOUGH:
            people[o.source].add(o.agent)
    for i, o in enumerate(hits):
        known = machines.get(_who(o))
        if (
            not known
            or _points(weights[i]) >= ENOUGH
            or (o.network_class == "exchange-online" and o.kind not in CLICKS)
        ):
            continue
        shared = bool(people[o.source] - {o.agent}) or is_sender(email, o)
        if not (shared and _is_far(hits, known, o.at, 10 * MINUTE)):
            reason = max(weights[known[0]], key=lambda e: e.points).reason
            weights[i].append(Evidence(ENOUGH, f"the same machine elsewhere in this email: {reason}"))


def _is_far(hits: Sequence[Observation], known: Sequence[int], at: int, span: int) -> bool:
    """Whether none of the hits at the positions `known`, in the order of time, is within `span` ms of a moment."""
    after = bisect_left(known, at - span, key=lambda k: hits[k].at)
    return after == len(known) or hits[known[after]].at > at + span


def _doubles(email: Email, hits: Sequence[Observation], weights: list[list[Evidence]]) -> None:
    """Time-of-click checks: a person's click fetched again under another agent, milliseconds to seconds apart."""
    by_target: defaultdict[tuple[Kind, int], list[int]] = defaultdict(list)
    for i, o in enumerate(hits):
        if o.kind in CLICKS and _points(weights[i]) < ENOUGH and not is_sender(email, o):
            by_target[o.kind, o.item].append(i)
    pairs: defaultdict[frozenset[tuple[str, str]], list[tuple[int, int]]] = defaultdict(list)
    for clicks in by_target.values():
        for n, i in enumerate(clicks):
            for j in clicks[n + 1 : n + 6]:
                if hits[j].at - hits[i].at > 15 * SECOND:
                    break
                if hits[i].agent != hits[j].agent or _checked_elsewhere(hits[i], hits[j]):
                    pairs[frozenset((_who(hits[i]), _who(hits[j])))].append((i, j))
    if pairs:
        opened = {o.source for i, o in enumerate(hits) if o.kind not in CLICKS and _points(weights[i]) < ENOUGH}
        acts = Counter(_who(o) for o in hits)
        for doubled in pairs.values():
            _judge_doubles(email, hits, weights, opened, acts, doubled)


_CHECKED_FROM = evidence.HOSTING | evidence.GATEWAYS


def _checked_elsewhere(one: Observation, other: Observation) -> bool:
    """Whether one browser's name fetched the same link at once from a data centre or a vendor and from elsewhere: the
    check borrows the name of the browser that it checks for."""
    hosted = [o.network_class in _CHECKED_FROM for o in (one, other)]
    return hosted[0] != hosted[1] and other.at - one.at <= evidence.AT_ONCE


def _judge_doubles(
    email: Email,
    hits: Sequence[Observation],
    weights: list[list[Evidence]],
    opened: set[str],
    acts: Counter[tuple[str, str]],
    doubled: Sequence[tuple[int, int]],
) -> None:
    """Weigh the clicks two sources share, the same links within seconds of each other, once or more.

    The person's are those with less against them, then those of the source that opened the mail, then those of the one
    that did more beside them, then the first (Resend 901 saw the check 12 s later, Safe Links within milliseconds).
    """

    def rank(k: int) -> tuple[int, bool, int]:
        return _points(weights[k]) // 20, hits[k].source not in opened, -acts[_who(hits[k])]

    i, j = min(doubled, key=lambda pair: pair[0])
    person = _who(hits[i if rank(i) <= rank(j) else j])
    items = len({(hits[i].kind, hits[i].item) for i, _ in doubled})
    systems = {hits[k].device.rpartition(" on ")[2] for k in (i, j)}
    for i, j in doubled:
        gap = hits[j].at - hits[i].at
        machine = j if _who(hits[i]) == person else i
        if gap <= evidence.AT_ONCE:
            points = ENOUGH if email.recipients <= 1 or hits[i].source != hits[j].source else 60
        else:
            busy = email.recipients > 1 and age(email, hits[i]) <= 10 * MINUTE
            points = (40 if busy else 80) + (20 if len(systems) > 1 else 0)
        if email.recipients > 1 and hits[machine].source in opened and hits[i].source != hits[j].source:
            points -= 40
        reason = f"repeated a person's click {gap / SECOND:.1f} s from it"
        weights[machine].append(Evidence(points + 30 * (items - 1), reason))


def _who(o: Observation) -> tuple[str, str]:
    return o.source, o.agent


# --- from evidence to a verdict -------------------------------------------------------------------------------------


def _verdict(email: Email, o: Observation, found: Sequence[Evidence]) -> Verdict:
    proof = max((e.points for e in found), default=0)
    if is_sender(email, o) and proof < ENOUGH:
        return Verdict(Label.SENDER, "the sender's own device", settled=True)
    if _points(found) >= ENOUGH:
        return Verdict(Label.MACHINE, _why(found), settled=proof >= ENOUGH)
    proxy = _privacy_proxy(o)
    if proxy:
        return Verdict(Label.PROXY, proxy, settled=True)
    return Verdict(Label.PERSON, _person(o), settled=_settled(email, o, found))


def _why(found: Sequence[Evidence]) -> str:
    strongest = sorted(found, key=lambda e: -e.points)
    if strongest[0].points >= ENOUGH or len(strongest) == 1:
        return strongest[0].reason
    return f"{strongest[0].reason} and {strongest[1].reason}"


def _privacy_proxy(o: Observation) -> str:
    """Return why a fetch is a privacy proxy's, or "".

    Mail Privacy Protection fetches every image soon after delivery as exactly `Mozilla/5.0` (Mailgun, SocketLabs), or
    as a WebKit agent that names no browser (Warmbly): the latter is also Apple Mail itself where it comes from an
    ordinary address. A Safari behind the relay is a person.
    """
    if o.agent_class == "apple-mpp" or (o.agent_class == "apple-mail" and o.network_class == "icloud-relay"):
        return "Apple's Mail Privacy Protection fetches every image, read or not"
    if o.agent_class == "image-proxy":
        return "a mail provider's image proxy, which may fetch unread mail"
    return ""


_DISPLAYED = {Kind.OPEN: "opened", Kind.IMAGE: "opened", Kind.LINK: "followed the link", Kind.ATTACHMENT: "opened it"}


def _person(o: Observation) -> str:
    if o.agent_class in agents.DISPLAY_PROXIES:
        return f"displayed in {o.device}"
    if o.network_class == "exchange-online":
        return "displayed in Outlook on the web"
    return f"{_DISPLAYED[o.kind]} in {o.device}" if o.device else _DISPLAYED[o.kind]


def _until_read(email: Email, hits: Sequence[Observation], verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Return the `verdicts` on `hits`, which are in the order of time, where Gmail's fetches on delivery are held to be
    its own until something tells that they were a display: a person's click after them, before which nothing else
    displayed the mail.

    A later fetch is a display by itself and leaves these what they are: who reads what was fetched ahead fetches it
    again, because the pixel forbids caching and Gmail heeds that (wordtothewise, March 2014).
    """
    found = list(verdicts)
    ahead = {i for i, o in enumerate(hits) if verdicts[i].label is Label.PERSON and _is_ahead(email, o)}
    if not ahead:
        return found
    displayed = next((i for i, o in enumerate(hits) if i not in ahead and _displays(o, verdicts[i])), len(hits))
    clicks = [i for i in range(displayed) if verdicts[i].label is Label.PERSON and hits[i].kind in CLICKS]
    last = max(clicks, default=-1)
    last_settled = max((i for i in clicks if verdicts[i].settled), default=-1)
    for i in ahead:
        found[i] = replace(verdicts[i], settled=i < last_settled) if i < last else _AHEAD
    return found


_AHEAD = Verdict(Label.PROXY, "fetched by Gmail within seconds of sending, which may be before anybody read it", False)


def _is_ahead(email: Email, o: Observation) -> bool:
    return o.agent_class == "google-image-proxy" and age(email, o) < evidence.AHEAD


def _displays(o: Observation, verdict: Verdict) -> bool:
    """Whether a reader may have seen the mail by this fetch, a privacy proxy's included."""
    return o.kind not in CLICKS and verdict.label in (Label.PERSON, Label.PROXY)


_HASTE = ("came soon after sending", "clicked the moment it opened")
"""Speed alone makes nobody a machine, nor an alert late."""


def _settled(email: Email, o: Observation, found: Sequence[Evidence]) -> bool:
    """Return whether a person's hit rests on more than thin evidence: a known display proxy, a mail program, or a
    browser with nothing against it but the hour. Gmail's proxy in the first minute may be Gmail looking ahead."""
    if o.agent_class == "google-image-proxy" and age(email, o) < MINUTE:
        return False
    if o.agent_class in agents.DISPLAY_PROXIES or o.network_class == "exchange-online":
        return True
    against = _points([e for e in found if e.reason not in _HASTE])
    return against < 40 and o.agent_class in ("mail-client", "apple-mail", "browser", "webview")
