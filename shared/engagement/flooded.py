"""What an email keeps of the hits on it that are only counted: how many, of what kind, when the first and last came."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import orjson

from shared.engagement import ranges
from shared.engagement.counting import OPENS, Counters
from shared.engagement.hits import Kind
from shared.engagement.ranges import Ranges, Run


@dataclass(frozen=True, slots=True)
class Counted:
    """Hits of one writer that are only counted: which, of what kind (None where nothing says), and when the first and
    the last came (milliseconds since the epoch)."""

    run: Run
    kind: Kind | None
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Flooded:
    """Hits that were counted, all and by kind, and which these are; `first` and `last` are when they came (ms), None
    where that is not known. Of those whose kind nothing says only `count` knows."""

    count: int = 0
    ranges: Ranges = field(default_factory=dict)
    kinds: Mapping[Kind, int] = field(default_factory=dict)
    first: int | None = None
    last: int | None = None


def load(text: str | None) -> Flooded:
    """Return what `dump` wrote; what was written before there were kinds and times has none."""
    if not text:
        return Flooded()
    kept = orjson.loads(text)
    kinds = load_kinds(kept.get("kinds"))
    return Flooded(kept["count"], kept["ranges"], kinds, kept.get("first"), kept.get("last"))


def dump(flooded: Flooded) -> str:
    """Return the text that `load` reads."""
    f = flooded
    kept = {"count": f.count, "ranges": f.ranges, "kinds": _kinds(f.kinds), "first": f.first, "last": f.last}
    return orjson.dumps(kept).decode()


def load_kinds(kept: Mapping[str, int] | None) -> dict[Kind, int]:
    """Return counts by kind from JSON's members."""
    return {Kind(int(kind)): n for kind, n in (kept or {}).items()}


def dump_kinds(flooded: Flooded) -> str | None:
    """Return the counts by kind as an email keeps them in ``_flooded``; None where there are none."""
    return orjson.dumps(_kinds(flooded.kinds)).decode() if flooded.kinds else None


def add(flooded: Flooded, counted: Iterable[Counted]) -> tuple[Flooded, int]:
    """Return what is kept with these hits too, and how many of them were not counted before."""
    by_kind: defaultdict[Kind | None, list[Counted]] = defaultdict(list)
    for one in counted:
        by_kind[one.kind].append(one)
    total = 0
    for kind, some in by_kind.items():
        known, new = ranges.add(flooded.ranges, [one.run for one in some])
        if not new:
            continue
        total += new
        kinds = flooded.kinds if kind is None else {**flooded.kinds, kind: flooded.kinds.get(kind, 0) + new}
        first = min(one.first for one in some)
        last = max(one.last for one in some)
        flooded = replace(
            flooded,
            count=flooded.count + new,
            ranges=known,
            kinds=kinds,
            first=first if flooded.first is None else min(first, flooded.first),
            last=last if flooded.last is None else max(last, flooded.last),
        )
    return flooded, total


def counters(counters: Counters, kinds: Mapping[Kind, int]) -> Counters:
    """Return an email's counters with the counted hits: what goes beyond an email's budget is a machine's."""
    opens = sum(n for kind, n in kinds.items() if kind in OPENS)
    return replace(
        counters,
        ee_machineopencount=counters.ee_machineopencount + opens,
        ee_machineclickcount=counters.ee_machineclickcount + sum(kinds.values()) - opens,
    )


def reason(flooded: Flooded, first: str) -> str:
    """Return what a seller reads of these hits; `first` is when the first came, in words.

    >>> reason(Flooded(3, kinds={Kind.OPEN: 1, Kind.LINK: 2}), "2026-11-02T10:30:00Z")
    'a flood: 3 further fetches, counted here in one (1 opens, 2 clicks), the first at 2026-11-02T10:30:00Z'
    """
    kinds = flooded.kinds
    numbers = {
        "opens": sum(kinds.get(kind, 0) for kind in OPENS),
        "clicks": kinds.get(Kind.LINK, 0),
        "files opened": kinds.get(Kind.ATTACHMENT, 0),
    }
    parts = ", ".join(f"{n:,} {what}" for what, n in numbers.items() if n)
    said = f" ({parts})" if parts else ""
    return f"a flood: {flooded.count:,} further fetches, counted here in one{said}, the first at {first}"


def _kinds(kinds: Mapping[Kind, int]) -> dict[str, int]:
    return {str(int(kind)): n for kind, n in kinds.items()}
