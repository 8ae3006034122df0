"""The best time to send, and why, in words: what `BestTimeToEmail` answers."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from shared.engagement.best_time import (
    ENOUGH_OPENS_OF_ORGANIZATION,
    ENOUGH_OPENS_OF_PERSON,
    FURTHEST,
    HORIZON,
    Habits,
    Recipient,
    WorkingWeek,
    best_hour,
    habits,
    holidays_between,
    moment_for_most,
    next_moment,
)
from shared.engagement.public_holidays import calendar_of, no_holidays
from shared.engagement.times import from_milliseconds
from shared.engagement.zones import Whereabouts


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a recipient: where they are, when they opened mail (ms)."""

    where: Whereabouts
    opens: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Advice:
    """When to send, None where nothing says it, and the reason."""

    moment: datetime | None
    reason: str


def advise(
    people: Sequence[Known], week: WorkingWeek, opens_of_others: Sequence[tuple[str, int]], now: datetime
) -> Advice:
    """Return the best time to send to `people` from `now` on.

    One recipient: the next working moment by their clock, or a later hour that their habits make much better; where
    they have too few opens, those of the organization's recipients, each a zone and a time (ms). Several: the earliest
    moment at which most of them work.
    """
    now = now.astimezone(UTC).replace(microsecond=0)
    if len(people) == 1:
        return _for_one(people[0], week, opens_of_others, now)
    return _for_several(people, week, now)


def _for_one(one: Known, week: WorkingWeek, opens_of_others: Sequence[tuple[str, int]], now: datetime) -> Advice:
    if one.where.zone is None:
        remedy = "Give the record a time zone, or a country with state or city."
        return Advice(None, _sentences("Their time zone is not known", *_passed_over(one), remedy))
    calendar = calendar_of(one.where.country, one.where.state)
    recipient = Recipient(one.where.zone, calendar or no_holidays)
    first = next_moment(recipient, week, now)
    if first is None:
        return Advice(None, f"They have no working time in the next {FURTHEST.days} days.")
    found, whose = _habits(one, week, opens_of_others)
    later = best_hour(recipient, week, found, now) if found is not None else None
    moment = later or first
    local = f"{_words(moment, one.where.zone)} in {one.where.zone}, from {one.where.source}"
    if later is not None:
        said = f"An open is most likely from {local}, by {whose}"
    elif first == now:
        said = f"It is working time for them: {local}"
    else:
        said = f"Their next working time begins on {local}"
    return Advice(
        moment,
        _sentences(
            said,
            f"No hour is much better by {whose}" if found is not None and later is None else "",
            *(f"{day.day} {day:%B} is {name}" for day, name in holidays_between(recipient, week, now, moment)),
            "Their public holidays are not known" if calendar is None else "",
            *_passed_over(one),
        ),
    )


def _habits(one: Known, week: WorkingWeek, opens_of_others: Sequence[tuple[str, int]]) -> tuple[Habits | None, str]:
    """Return the habits that choose the hour, and whose they are in words; None where there are too few opens."""
    zone = ZoneInfo(one.where.zone or "UTC")
    own = habits((from_milliseconds(at).astimezone(zone) for at in one.opens), week)
    if own.opens >= ENOUGH_OPENS_OF_PERSON:
        return own, f"{own.opens} opens of theirs in working hours"
    others = habits((from_milliseconds(at).astimezone(ZoneInfo(zone)) for zone, at in opens_of_others), week)
    if others.opens >= ENOUGH_OPENS_OF_ORGANIZATION:
        return others, f"{others.opens} opens of the organization's recipients in their working hours"
    return None, ""


def _for_several(people: Sequence[Known], week: WorkingWeek, now: datetime) -> Advice:
    known = [
        Recipient(one.where.zone, calendar_of(one.where.country, one.where.state) or no_holidays)
        for one in people
        if one.where.zone is not None
    ]
    if not known:
        return Advice(None, f"The time zones of all {len(people)} recipients are unknown.")
    found = moment_for_most(known, week, now)
    if found is None:
        return Advice(None, f"The recipients have no working time in the next {FURTHEST.days} days.")
    unknown = len(people) - len(known)
    most = f", the most at any time in the next {HORIZON.days} days" if found.working < len(known) else ""
    return Advice(
        found.moment,
        _sentences(
            f"{found.working} of {len(people)} recipients work on {_words(found.moment, 'UTC')} UTC{most}",
            f"The time zone of {unknown} is not known" if unknown else "",
        ),
    )


def _passed_over(one: Known) -> tuple[str, ...]:
    words = "; ".join(one.where.passed_over)
    return (words[0].upper() + words[1:],) if words else ()


def _words(moment: datetime, zone: str) -> str:
    local = moment.astimezone(ZoneInfo(zone))
    return f"{local:%A} {local.day} {local:%B}, {local:%H:%M}"


def _sentences(*said: str) -> str:
    return " ".join(text if text.endswith(".") else f"{text}." for text in said if text)
