"""The timeline of one email: every hit with its label and what it was merged into, and the counters that follow."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from shared.engagement.budgets import EMAIL_BUDGET, EmailBudget
from shared.engagement.counting import Counters, count, merge
from shared.engagement.hits import Kind
from shared.engagement.labels import Email, Label, Observation, Verdict, judge

FLOOD_BUDGET = 10_000
"""How many hits of one source an email keeps one by one; the rest of a flood is counted in one row."""

SETTLING_MS = 120_000
"""How long after sending an open may still turn out a machine's, where its own evidence is thin (milliseconds)."""


@dataclass(frozen=True, slots=True)
class Event:
    """One hit as the timeline tells it; `duplicate_of` is the id of the hit that it was merged into."""

    observation: Observation
    verdict: Verdict
    duplicate_of: str | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """What all of an email's hits say together."""

    events: tuple[Event, ...]
    counters: Counters


def tell(email: Email, observations: Sequence[Observation]) -> Timeline:
    """Judge, merge and count all of an email's hits; the same hits give the same timeline in any order."""
    verdicts = judge(email, observations)
    duplicates = merge(observations, verdicts)
    events = tuple(Event(*told) for told in zip(observations, verdicts, duplicates, strict=True))
    return Timeline(events, count(observations, verdicts, duplicates))


def first_by_person(timeline: Timeline, kinds: Collection[Kind]) -> Event | None:
    """Return a person's first hit of these kinds, alert or not; None where there is none."""
    events = _by_people(timeline, kinds)
    return min(events, key=lambda event: (event.observation.at, event.observation.id), default=None)


def alert_at(email: Email, timeline: Timeline, kinds: Collection[Kind]) -> int | None:
    """Return when (milliseconds since the epoch) a person's hit of these kinds is worth an alert, None where there is
    none.

    Evidence that already says so alerts at once; thin evidence waits until scanners have had their time.
    """

    def worth_it(event: Event) -> int:
        opened_at = event.observation.at
        if event.verdict.settled:
            return opened_at
        return max(opened_at, (opened_at if email.sent_at is None else email.sent_at) + SETTLING_MS)

    return min(map(worth_it, _by_people(timeline, kinds)), default=None)


def _by_people(timeline: Timeline, kinds: Collection[Kind]) -> list[Event]:
    return [
        event for event in timeline.events if event.verdict.label is Label.PERSON and event.observation.kind in kinds
    ]


def within_budget(
    held: Sequence[Observation],
    new: Sequence[Observation],
    budget: int = FLOOD_BUDGET,
    *,
    of_email: int = EMAIL_BUDGET,
) -> tuple[list[Observation], list[Observation]]:
    """Split new hits into those that are kept one by one and those beyond their source's budget or their email's."""
    counts: Counter[str] = Counter()
    email = EmailBudget(of_email)
    kept: list[Observation] = []
    beyond: list[Observation] = []

    def keep(o: Observation) -> None:
        counts[o.source] += 1
        email.keep(o.source, o.kind, o.item, o.at)

    for observation in sorted(held, key=_time):
        keep(observation)
    for o in sorted(new, key=_time):
        if counts[o.source] < budget and email.has_room(o.source, o.kind, o.item, o.at):
            keep(o)
            kept.append(o)
        else:
            beyond.append(o)
    return kept, beyond


def _time(observation: Observation) -> tuple[int, str]:
    return observation.at, observation.id
