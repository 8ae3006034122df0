"""What the service counts of itself. Counting is an addition to a dict; `shared.telemetry` exports once a minute.

Nothing here knows OpenTelemetry: it takes half a second to import, and recipients wait for what their path imports.
Only the event loop's thread counts; the exporting thread reads copies. Labels are names of organizations and words of
the code, never anything of a person.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

_KEPT = 2000


@dataclass(frozen=True, slots=True)
class Counter:
    """How often something happened since the process began, for each combination of the values of `labels`."""

    name: str
    what: str
    labels: tuple[str, ...] = ()
    values: dict[tuple[str, ...], int] = field(default_factory=dict)

    def add(self, *values: str, count: int = 1) -> None:
        """Count, for these values of the labels.

        >>> counter = Counter("ee.things", "things", ("organization",))
        >>> counter.add("contoso"), counter.add("contoso", count=2), counter.values
        (None, None, {('contoso',): 3})
        """
        self.values[values] = self.values.get(values, 0) + count


@dataclass(slots=True)
class Gauge:
    """The last value of something. One that nobody set for `lifetime` seconds is not known any more: what only one
    process looks at, and each may be the one, would otherwise be told for ever by the one that was. Where there is a
    `source` it is asked instead, by the exporting thread."""

    name: str
    what: str
    unit: str
    lifetime: float = float("inf")
    source: Callable[[], float] | None = None
    _last: tuple[float, float] | None = None

    def set(self, value: float, at: float | None = None) -> None:
        """Keep a value; `at` is the monotonic time, now where it is not given."""
        self._last = (value, time.monotonic() if at is None else at)

    def value(self, at: float | None = None) -> float | None:
        """Return the last value, None where there is none or it is too old."""
        if self.source is not None:
            return self.source()
        if self._last is None or (time.monotonic() if at is None else at) - self._last[1] > self.lifetime:
            return None
        return self._last[0]


@dataclass(frozen=True, slots=True)
class Distribution:
    """How long something took (seconds), for each value of `labels`, since it was last taken: the newest 2,000."""

    name: str
    what: str
    labels: tuple[str, ...] = ()
    _recorded: deque[tuple[float, tuple[str, ...]]] = field(default_factory=lambda: deque(maxlen=_KEPT))

    def record(self, seconds: float, *values: str) -> None:
        """Keep one duration for these values of the labels."""
        self._recorded.append((seconds, values))

    def take(self) -> list[tuple[float, tuple[str, ...]]]:
        """Return what was recorded since the last call, and forget it."""
        return [self._recorded.popleft() for _ in range(len(self._recorded))]


HITS = Counter("ee.hits", "fetches of pixels, images, links and attachments that carried a token", ("organization",))
LABELS = Counter("ee.labels", "hits by who made them, as the fold judged at first", ("organization", "label"))
SENDS = Counter("ee.sends", "emails that left", ("organization",))
SEND_FAILURES = Counter("ee.send.failures", "emails that ended as Failed", ("organization",))
GRAPH_THROTTLED = Counter("ee.graph.throttled", "calls that Microsoft Graph asked to repeat later", ("status",))
HITS_LOST = Counter("ee.hits.lost", "hits that neither the journal nor the spool could take or give back")
FOLD_LAG = Distribution("ee.fold.lag", "from the oldest hit of an email to its interaction", ("organization",))
SPOOL_WAITING = Gauge("ee.spool.waiting", "hits on this instance's disk that wait for storage", "{hit}")
SPOOL_FAILING = Gauge("ee.spool.failing", "spools on this instance's disk that can take no hit", "{spool}")
JOURNAL_AGE = Gauge("ee.journal.age", "age of the oldest minute of hits that the sweep found unfolded", "s", 150)
POISON_MESSAGES = Gauge("ee.poison.messages", "messages that were given up and wait for a person", "{message}", 150)

COUNTERS = (HITS, LABELS, SENDS, SEND_FAILURES, GRAPH_THROTTLED, HITS_LOST)
DISTRIBUTIONS = (FOLD_LAG,)
GAUGES = (SPOOL_WAITING, SPOOL_FAILING, JOURNAL_AGE, POISON_MESSAGES)
