"""Floods as they arrive: from which hit on a source's hits on one email are journalled as a number only.

The fold keeps `FLOOD_BUDGET` hits of one source one by one and counts the rest in one row. A process that has passed
that many of them on need not write down what the others looked like; what it counts then is what the fold would have
counted. So nothing becomes of a hit that would not have become of it anyway.
"""

from collections import OrderedDict
from dataclasses import dataclass

from shared.engagement.timeline import FLOOD_BUDGET

type Source = tuple[str, str, str]
"""Organization, email and address."""

MAX_SOURCES = 20_000
"""Sources that are remembered, some 10 MB; beyond, whoever was seen longest ago starts anew."""
FIRST_NUMBER = 10**12
"""Sequence numbers of counted hits begin here; those of hits, one for each, never come so far."""
STRIDE = 10**9
"""How many sequence numbers a source has to itself, so that those of its hits are one run."""


@dataclass(slots=True)
class _Count:
    first: int
    hits: int = 0


class Floods:
    """The hits of every source on every email in one process."""

    def __init__(self, budget: int = FLOOD_BUDGET, max_sources: int = MAX_SOURCES) -> None:
        self._budget, self._max_sources = budget, max_sources
        self._sources: OrderedDict[Source, _Count] = OrderedDict()
        self._next = FIRST_NUMBER

    def add(self, source: Source) -> int | None:
        """Count a hit; return None where it is kept for itself, or else its sequence number as one that is counted.

        The numbers of one source follow each other, and none is ever given twice.
        """
        count = self._sources.get(source)
        if count is None or count.hits == STRIDE:
            count = self._sources[source] = _Count(self._next)
            self._next += STRIDE
            if len(self._sources) > self._max_sources:
                self._sources.popitem(last=False)
        else:
            self._sources.move_to_end(source)
        count.hits += 1
        return None if count.hits <= self._budget else count.first + count.hits - 1
