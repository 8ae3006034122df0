"""What an email keeps of the hits that retention has removed: numbers, so that its counters and figures stay.

Removing hits changes what the remaining ones say together, so what is kept is the difference: with it the email says
the same after the removal as before, to the last count.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson

from shared.engagement import flooded
from shared.engagement.counting import OPENS, Counters
from shared.engagement.figures import Events, coarsened, dump_events, dump_hits, events_of
from shared.engagement.hits import Kind
from shared.engagement.labels import Label
from shared.engagement.timeline import Timeline

_LAST = "lastopenedtime"


@dataclass(frozen=True, slots=True)
class Frozen:
    """Counts by column, people's events by kind and quarter hour since the epoch, and when people last opened and
    clicked (ms) in hits that are gone: all that came `before` a time (ms)."""

    counts: Mapping[str, int] = field(default_factory=dict)
    events: Mapping[str, Mapping[int, int]] = field(default_factory=dict)
    opened: int | None = None
    clicked: int | None = None
    before: int = 0


NOTHING = Frozen()


def load(text: str | None) -> Frozen:
    """Return what an email keeps in ``_frozen``."""
    if not text:
        return NOTHING
    kept = orjson.loads(text)
    events = {kind: {int(quarter): n for quarter, n in cells.items()} for kind, cells in kept["events"].items()}
    return Frozen(kept["counts"], events, kept["opened"], kept["clicked"], kept["before"])


def dump(frozen: Frozen) -> str:
    """Return the text that `load` reads."""
    events = {kind: {str(quarter): n for quarter, n in cells.items()} for kind, cells in frozen.events.items()}
    return orjson.dumps({**asdict(frozen), "events": events}).decode()


def freeze(
    before: Timeline, after: Timeline, earlier: Frozen, oldest: int, counted: Mapping[Kind, int] | None = None
) -> Frozen:
    """Return what to keep where an email's hits told `before` and those that stay, from `oldest` on (ms), tell `after`;
    `earlier` is what it keeps already, `counted` hits of a flood, by kind, that go too."""
    told = flooded.counters(before.counters, counted or {})
    counts = {
        name: earlier.counts.get(name, 0) + getattr(told, name) - getattr(after.counters, name)
        for name in asdict(before.counters)
        if name != _LAST
    }
    old, gone, stay = _copy(earlier.events), _events(before), _events(after)
    events = {kind: _nonzero(old.get(kind), gone.get(kind), stay.get(kind)) for kind in {*old, *gone}}
    opened, clicked = _last(before)
    return Frozen(
        {name: n for name, n in counts.items() if n},
        coarsened({kind: cells for kind, cells in events.items() if cells}),
        _later(earlier.opened, opened),
        _later(earlier.clicked, clicked),
        max(earlier.before, oldest),
    )


def counters(timeline: Timeline, frozen: Frozen) -> Counters:
    """Return an email's counters: what its hits tell, and what it keeps of those that are gone."""
    if frozen == NOTHING:
        return timeline.counters
    opened, clicked = _last(timeline)
    found = {name: getattr(timeline.counters, name) + n for name, n in frozen.counts.items()}
    last = _later(opened, frozen.opened) or _later(clicked, frozen.clicked)
    return replace(timeline.counters, **{name: max(0, n) for name, n in found.items()}, lastopenedtime=last)


def counted(timeline: Timeline, frozen: Frozen) -> str:
    """Return when people did what, as an email keeps it in ``_counted``, with what is gone."""
    if not frozen.events:
        return dump_hits(timeline)
    events = _events(timeline)
    for kind, cells in frozen.events.items():
        both = Counter(events.get(kind, Counter()))
        both.update(cells)
        events[kind] = +both
    return dump_events(events)


def _events(timeline: Timeline) -> Events:
    return {kind: counts for kind, counts in coarsened(events_of(timeline)).items() if counts}


def _copy(events: Mapping[str, Mapping[int, int]]) -> Events:
    return {kind: Counter(dict(cells)) for kind, cells in events.items()}


def _nonzero(*parts: Counter[int] | None) -> Counter[int]:
    """Return the first and the second less the third, without zeros."""
    old, gone, stay = (Counter(part or {}) for part in parts)
    old.update(gone)
    old.subtract(stay)
    return Counter({quarter: n for quarter, n in old.items() if n})


def _last(timeline: Timeline) -> tuple[int | None, int | None]:
    """Return when people last opened and last clicked."""
    people = [
        event.observation
        for event in timeline.events
        if event.verdict.label is Label.PERSON and event.duplicate_of is None
    ]
    opened = max((o.at for o in people if o.kind in OPENS), default=None)
    return opened, max((o.at for o in people if o.kind not in OPENS), default=None)


def _later(one: Any, other: Any) -> int | None:
    return max((at for at in (one, other) if at is not None), default=None)
