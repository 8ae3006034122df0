"""From labelled hits to events and counters: what is one open, one click, and what the email's columns then say."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.engagement.agents import DISPLAY_PROXIES
from shared.engagement.hits import Kind
from shared.engagement.labels import Label, Observation, Verdict

REPEAT = 5_000
"""ms: one source fetching one item again within this of its first fetch is one event."""

DISPLAY = 10_000
"""ms: the pixel and the images one display fetches are one open."""

OPENS = frozenset({Kind.OPEN, Kind.IMAGE})


@dataclass(frozen=True, slots=True)
class Counters:
    """The email's columns: what people did, and privacy proxies' and machines' fetches beside it; times in ms."""

    opencount: int = 0
    linksclickedcount: int = 0
    attachmentopencount: int = 0
    ee_proxyopencount: int = 0
    ee_machineopencount: int = 0
    ee_machineclickcount: int = 0
    lastopenedtime: int | None = None


@dataclass(slots=True)
class _Event:
    """An open or click still taking in repetitions: its first hit, when it began, when each item was first fetched."""

    first: str
    start: int
    items: dict[tuple[Kind, int], int] = field(default_factory=dict)

    def takes(self, kind: Kind, item: int, at: int) -> bool:
        fetched = self.items.get((kind, item))
        return at - fetched <= REPEAT if fetched is not None else kind in OPENS and at - self.start <= DISPLAY


def merge(observations: Sequence[Observation], verdicts: Sequence[Verdict]) -> tuple[str | None, ...]:
    """Return for each hit the id of the first hit of its event, or None where it is that first hit itself.

    One source (address and agent; a known proxy is one source) fetching one item again within 5 s of its first fetch is
    one event; later, or from another source, is another; an image and the pixel of one display (10 s) are one open.
    Only hits of the same label merge. `verdicts` are those of `observations`, in the same order.
    """
    merged: list[str | None] = [None] * len(observations)
    events: defaultdict[tuple[str, ...], list[_Event]] = defaultdict(list)
    for i in sorted(range(len(observations)), key=lambda i: (observations[i].at, observations[i].id)):
        o = observations[i]
        what = "open" if o.kind in OPENS else f"{o.kind.name} {o.item}"
        running = events[verdicts[i].label.name, *_source(o), what]
        # What began longer ago than both windows together takes in nothing more.
        running[:] = [event for event in running if o.at - event.start <= REPEAT + DISPLAY]
        event = next((event for event in reversed(running) if event.takes(o.kind, o.item, o.at)), None)
        if event is None:
            event = _Event(o.id, o.at)
            running.append(event)
        else:
            merged[i] = event.first
        event.items.setdefault((o.kind, o.item), o.at)
    return tuple(merged)


def _source(o: Observation) -> tuple[str, ...]:
    """Return what makes two hits the same source's; a proxy fetches from many addresses for one display."""
    if o.agent_class in DISPLAY_PROXIES or o.agent_class in ("apple-mpp", "image-proxy"):
        return (o.agent_class,)
    if o.network_class == "exchange-online" and o.kind in OPENS:
        return (o.network_class,)
    return o.source, o.agent_class, o.device


def count(
    observations: Sequence[Observation], verdicts: Sequence[Verdict], duplicates: Sequence[str | None]
) -> Counters:
    """Return the email's counters from its hits, their verdicts and what `merge` found, all in the same order.

    People count in the columns Dataverse knows, privacy proxies' opens and machines' opens and clicks beside them, the
    sender's own nowhere. `lastopenedtime` is a person's last open, or last click where no open of a person was seen.
    """
    events = [
        (o, verdict.label)
        for o, verdict, duplicate in zip(observations, verdicts, duplicates, strict=True)
        if duplicate is None
    ]
    opened = [o.at for o, label in events if label is Label.PERSON and o.kind in OPENS]
    clicked = [o.at for o, label in events if label is Label.PERSON and o.kind not in OPENS]

    def number(label: Label, *kinds: Kind) -> int:
        return sum(1 for o, found in events if found is label and o.kind in kinds)

    return Counters(
        opencount=len(opened),
        linksclickedcount=number(Label.PERSON, Kind.LINK),
        attachmentopencount=number(Label.PERSON, Kind.ATTACHMENT),
        ee_proxyopencount=number(Label.PROXY, Kind.OPEN, Kind.IMAGE),
        ee_machineopencount=number(Label.MACHINE, Kind.OPEN, Kind.IMAGE),
        ee_machineclickcount=number(Label.MACHINE, Kind.LINK, Kind.ATTACHMENT),
        lastopenedtime=max(opened or clicked, default=None),
    )
