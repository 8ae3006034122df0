"""Floods as they arrive: from which hit on hits on an email are journalled as a number only.

The fold keeps `FLOOD_BUDGET` hits of one source one by one, and of an email what its `EmailBudget` has room for; the
rest is counted. A process that has passed that many of them on need not write down what the others looked like: what it
counts then is what the fold would have counted, but for a source that only other processes have seen before.
"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from shared.engagement.budgets import EMAIL_BUDGET, EmailBudget
from shared.engagement.hits import Kind
from shared.engagement.timeline import FLOOD_BUDGET

type Source = tuple[str, str, str]
"""Organization, email and who asks (`shared.engagement.hits.source_of`)."""
type Flood = tuple[str, str, Kind]
"""Organization, email and what is asked for: hits that are counted together."""

MAX_SOURCES = 20_000
"""Sources that are remembered, some 10 MB; beyond, whoever was seen longest ago starts anew."""
MAX_EMAILS = 1_000
"""Emails that are remembered, some 60 KB each where hundreds of sources ask for it; beyond, likewise."""
FIRST_NUMBER = 10**12
"""Sequence numbers of counted hits begin here; those of hits, one for each, never come so far."""
STRIDE = 10**9
"""How many sequence numbers follow each other, so that those of a flood's hits are one run."""


@dataclass(slots=True)
class _Numbers:
    first: int
    used: int = 0


class Floods:
    """The hits of every source on every email in one process."""

    def __init__(
        self, budget: int = FLOOD_BUDGET, max_sources: int = MAX_SOURCES, of_email: int = EMAIL_BUDGET
    ) -> None:
        self._budget, self._max_sources, self._of_email = budget, max_sources, of_email
        self._sources: OrderedDict[Source, int] = OrderedDict()
        self._emails: OrderedDict[tuple[str, str], EmailBudget] = OrderedDict()
        self._numbers: OrderedDict[Flood, _Numbers] = OrderedDict()
        self._next = FIRST_NUMBER

    def add(self, source: Source, kind: Kind = Kind.OPEN, item: int = 0, at: int = 0) -> int | None:
        """Count a hit at `at` (milliseconds since the epoch); return None where it is kept for itself, or else its
        sequence number as one that is counted.

        The numbers of a flood follow each other, and none is ever given twice.
        """
        organization, email, who = source
        hits = self._sources[source] = _touched(self._sources, source, int, self._max_sources) + 1
        own = _touched(self._emails, (organization, email), lambda: EmailBudget(self._of_email), MAX_EMAILS)
        if hits <= self._budget and own.has_room(who, kind, item, at):
            own.keep(who, kind, item, at)
            return None
        numbers = _touched(self._numbers, (organization, email, kind), self._more_numbers, self._max_sources)
        if numbers.used == STRIDE:
            numbers = self._numbers[organization, email, kind] = self._more_numbers()
        numbers.used += 1
        return numbers.first + numbers.used - 1

    def _more_numbers(self) -> _Numbers:
        numbers = _Numbers(self._next)
        self._next += STRIDE
        return numbers


def _touched[K, V](remembered: OrderedDict[K, V], key: K, new: Callable[[], V], most: int) -> V:
    """Return what is remembered under a key, or something new, as seen last; forget whoever was seen longest ago."""
    if key in remembered:
        remembered.move_to_end(key)
    else:
        remembered[key] = new()
        if len(remembered) > most:
            remembered.popitem(last=False)
    return remembered[key]
