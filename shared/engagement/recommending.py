"""Which templates are recommended for a kind of record: those whose share of replies, or else of opens, is credibly
above that of the median template. The numbers are explained, and the rule is measured, in docs/templates.md.

A share is judged by Chernoff's bound for a binomial share (Hoeffding 1963, theorem 1), which holds for any number of
mails. It also holds where older mails count less: with weights of at most 1 their sum takes the place of the number,
because the logarithm of an outcome's moment generating function is convex in the outcome's weight and 0 without it.
"""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, inf, log, pi
from typing import Literal, NamedTuple

from shared.engagement.tallies import Tally, week_of

HALF_LIFE = 13
"""After how many weeks more a mail counts half."""
SETTLED = 2
"""From which week after its own a mail counts: it has then had 7 to 14 days to be opened and answered."""
ENOUGH_MAILS = 50
"""How many mails a template is judged by, and others are compared with, at least."""
ENOUGH_OUTCOMES = 5
"""How many of them were answered, or opened, at least."""
ERROR = 0.05
"""How likely any template at all is recommended, at most, where all of an organization's are equal."""
LOOSE_ERROR = 0.25
"""How likely the others' median is higher than it is taken for; and a template that is no better than it stays
recommended."""
MISLABELLED = 0.08
"""By what share of its mails a template may have too many opens because machines were taken for people."""

type Grounds = Literal["replies", "opens", ""]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A template, its mails for one kind of record by the week they were sent in, and whether it is recommended."""

    id: str
    weeks: Mapping[int, Tally]
    recommended: bool = False


class Share(NamedTuple):
    """A share of mails, 0 to 1, and between what it lies in truth."""

    rate: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """What is thought of a template: on what `grounds` it is recommended ("": it is not), and why in plain words.

    `followed` counts all its followed mails; the shares are of `evidence`, those that are old enough, with older ones
    counting less.
    """

    id: str
    grounds: Grounds
    reason: str
    replies: Share
    opens: Share
    clickrate: float
    followed: int
    evidence: float

    @property
    def recommended(self) -> bool:
        """Whether there are grounds to recommend it."""
        return self.grounds != ""


class _Evidence(NamedTuple):
    """Weighted mails, and of these the answered, opened, and clicked ones."""

    mails: float = 0.0
    replied: float = 0.0
    opened: float = 0.0
    clicked: float = 0.0

    def share(self, outcomes: float) -> float:
        return min(outcomes / self.mails, 1.0) if self.mails else 0.0


class _Field(NamedTuple):
    """The templates with enough mail that others are compared with: their shares, in order, and what the inverses of
    their mails add up to. Ordered once, so that a thousand templates are not sorted a thousand times."""

    replies: Sequence[float]
    opens: Sequence[float]
    inverse: float


class _Bar(NamedTuple):
    """The median of the other templates' shares, and how high it may be in truth."""

    median: float
    high: float


def judge(kinds: Mapping[str, Sequence[Candidate]], now: int) -> dict[str, dict[str, Judgement]]:
    """Return the judgements on every kind of record's candidates, by their ids; `now` is in ms since the epoch.

    All comparisons share `ERROR`: two for every template, of every kind, that has enough evidence and others to be
    compared with.
    """
    weighed = {kind: {c.id: _weigh(c.weeks, now) for c in candidates} for kind, candidates in kinds.items()}
    fields = {kind: _field([own for own in found.values() if _is_enough(own)]) for kind, found in weighed.items()}
    compared = [len(field.replies) for field in fields.values() if len(field.replies) > 1]
    error = ERROR / max(2, 2 * sum(compared))
    return {
        kind: {c.id: _judge(c, weighed[kind][c.id], fields[kind], error) for c in candidates}
        for kind, candidates in kinds.items()
    }


def rank(judgements: Sequence[Judgement]) -> list[Judgement]:
    """Return judgements, the best first: those of recommended templates, then of others with enough mail; among them by
    what their replies are at the least, then their opens."""

    def place(judgement: Judgement) -> tuple[bool, bool, float, float, str]:
        few = judgement.evidence < ENOUGH_MAILS
        return not judgement.recommended, few, -judgement.replies.low, -judgement.opens.low, judgement.id

    return sorted(judgements, key=place)


def percent(share: Share) -> tuple[int, int, int]:
    """Return a share and its bounds in whole percent, the bounds rounded away from it.

    >>> percent(Share(0.106, 0.054, 0.162))
    (11, 5, 17)
    """
    return round(100 * share.rate), floor(100 * share.low), ceil(100 * share.high)


def bound(rate: float, mails: float, error: float, *, upper: bool) -> float:
    """Return how low, or how high (`upper`), a share may be in truth that is `rate` among `mails` mails: were it beyond
    that, such a rate would be seen with a chance of at most `error`.

    >>> round(bound(0.1, 200, 0.05, upper=False), 3), round(bound(0.1, 200, 0.05, upper=True), 3)
    (0.056, 0.16)
    >>> bound(0, 0, 0.05, upper=False), round(bound(0, 0, 0.05, upper=True), 3)
    (0.0, 1.0)
    """
    near, far, allowed = rate, 1.0 if upper else 0.0, log(1 / error)
    for _ in range(20):  # to a millionth
        middle = (near + far) / 2
        if mails * _divergence(rate, middle) > allowed:
            far = middle
        else:
            near = middle
    return far


def _divergence(rate: float, of: float) -> float:
    """Return the Kullback-Leibler divergence of a binomial share from another."""
    if (rate > 0 and of <= 0) or (rate < 1 and of >= 1):
        return inf
    return (rate * log(rate / of) if rate > 0 else 0.0) + ((1 - rate) * log((1 - rate) / (1 - of)) if rate < 1 else 0.0)


def _weigh(weeks: Mapping[int, Tally], now: int) -> _Evidence:
    """Return what counts of a template's mails."""
    mails = replied = opened = clicked = 0.0
    newest = week_of(now) - SETTLED
    for week, tally in sorted(weeks.items()):
        if week <= newest:
            weight = 0.5 ** ((newest - week) / HALF_LIFE)
            mails += weight * tally.followed
            replied += weight * tally.replied
            opened += weight * tally.opened
            clicked += weight * tally.clicked
    return _Evidence(mails, replied, opened, clicked)


def _is_enough(evidence: _Evidence) -> bool:
    return evidence.mails >= ENOUGH_MAILS


def _field(found: Sequence[_Evidence]) -> _Field:
    return _Field(
        sorted(one.share(one.replied) for one in found),
        sorted(one.share(one.opened) for one in found),
        sum(1 / one.mails for one in found),
    )


def _judge(candidate: Candidate, own: _Evidence, field: _Field, error: float) -> Judgement:
    replies = _share(own.share(own.replied), own.mails, error)
    opens = _share(own.share(own.opened), own.mails, error)
    grounds: Grounds = ""
    others = len(field.replies) - _is_enough(own)
    if not others:
        reason = "It has nothing to compare with: no other template has enough mail for this kind of record."
    else:
        known = 2 / pi * others**2 / (field.inverse - (1 / own.mails if _is_enough(own) else 0))
        by_replies = _bar(field.replies, own, own.replied, known)
        by_opens = _bar(field.opens, own, own.opened, known)
        stays = candidate.recommended
        if _is_above(own, own.replied, by_replies, 0.0, error, stays=stays):
            grounds = "replies"
        elif _is_above(own, own.opened, by_opens, MISLABELLED, error, stays=stays) and not _contradicts(
            own, by_replies, stays=stays
        ):
            grounds = "opens"
        reason = _reason(grounds, replies, opens, by_replies, by_opens)
    if not grounds and not _is_enough(own):
        reason = (
            f"It is too early to say: {floor(own.mails)} of its mails count so far, {ENOUGH_MAILS} are needed. Mail "
            f"counts from the second week after the one it was sent in, and half after {HALF_LIFE} weeks more."
        )
    followed = sum(tally.followed for tally in candidate.weeks.values())
    return Judgement(candidate.id, grounds, reason, replies, opens, own.share(own.clicked), followed, own.mails)


def _share(rate: float, mails: float, error: float) -> Share:
    return Share(rate, bound(rate, mails, error, upper=False), bound(rate, mails, error, upper=True))


def _bar(shares: Sequence[float], own: _Evidence, outcomes: float, known: float) -> _Bar:
    """Return the median of the others among `shares`, which is known as well as from `known` mails: 2/pi times those
    that would tell the mean of these shares as exactly, because by so much a median says less than a mean."""
    middle = _median(shares, own.share(outcomes) if _is_enough(own) else None)
    return _Bar(middle, bound(middle, known, LOOSE_ERROR, upper=True))


def _median(ordered: Sequence[float], without: float | None) -> float:
    """Return the median of ordered numbers, one of which may be left out.

    >>> _median([1, 2, 4, 8], None), _median([1, 2, 4, 8], 2), _median([1, 2, 4], 4)
    (3.0, 4.0, 1.5)
    """
    place = len(ordered) if without is None else bisect_left(ordered, without)
    last = len(ordered) - (1 if without is None else 2)
    low, high = last // 2, (last + 1) // 2
    return (ordered[low + (low >= place)] + ordered[high + (high >= place)]) / 2


def _is_above(own: _Evidence, outcomes: float, bar: _Bar, margin: float, error: float, *, stays: bool) -> bool:
    """Return whether a share is above the bar: to become recommended above all that the median may be, beyond `error`;
    to stay so (`stays`) above the median, beyond `LOOSE_ERROR` and with half the evidence."""
    over, allowed, part = (bar.median, LOOSE_ERROR, 0.5) if stays else (bar.high, error, 1.0)
    over += margin
    return (
        own.mails >= part * ENOUGH_MAILS
        and outcomes >= part * ENOUGH_OUTCOMES
        and own.share(outcomes) > over
        and own.mails * _divergence(own.share(outcomes), over) > log(1 / allowed)
    )


def _contradicts(own: _Evidence, bar: _Bar, *, stays: bool) -> bool:
    """Return whether fewer mails are answered than the median; for a template that is recommended (`stays`), whether
    that is so beyond `LOOSE_ERROR`."""
    rate = own.share(own.replied)
    return rate < bar.median and not (stays and own.mails * _divergence(rate, bar.median) <= log(1 / LOOSE_ERROR))


def _reason(grounds: Grounds, replies: Share, opens: Share, by_replies: _Bar, by_opens: _Bar) -> str:
    answered = f"{_between(replies)} answered, {100 * by_replies.median:.0f} % of the median template's"
    opened = f"{_between(opens)} opened, {100 * by_opens.median:.0f} % of the median template's"
    if grounds == "replies":
        return f"Its mails are answered more often than others': {answered}."
    if grounds == "opens":
        return f"Its mails are opened more often than others' and answered no less: {opened}; {answered}."
    if replies.high < by_replies.median:
        return f"Its mails are answered less often than others': {answered}."
    return f"It is not clearly better than others: {answered}; {opened}."


def _between(share: Share) -> str:
    """Return a share with its bounds in words."""
    rate, low, high = percent(share)
    return f"{rate} % (between {low} and {high} %) of its mails are"
