"""How well the rule for recommended templates does in organizations whose true rates are known.

Whether a mail was opened or clicked in is what the labels say of made-up hits (`benchmarks.traces`), machines' among
them; some templates go to audiences where a machine fetches nearly every mail. Whether it was answered is drawn.
"""

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import median

from benchmarks import traces
from benchmarks.labels import KEY, email_of, hits_of, session_of
from shared.engagement.labels import observe
from shared.engagement.recommending import Candidate, Judgement, judge
from shared.engagement.tallies import WEEK, Tally
from shared.engagement.timeline import tell

TEMPLATES = 50
WEEKS = 52
ORGANIZATIONS = 60
SIZES = (5, 20, 80)
"""Mails a week that are made from a template, in the middle."""

_FIRST_WEEK = 2900

type Outcomes = Mapping[tuple[bool, bool], Sequence[tuple[bool, bool]]]
"""Whether a person is said to have opened, and to have clicked, by whether a person read and a machine fetched."""

type History = Mapping[int, Tally]


@dataclass(frozen=True, slots=True)
class Truth:
    """A template as it is: the share of mails that are read, of these that are answered, of all that machines fetch,
    and how many are sent in a week."""

    read: float
    answered: float
    fetched: float
    mails: int

    @property
    def reply(self) -> float:
        """The share of mails that are answered."""
        return self.read * self.answered


def outcomes(seed: int, emails: int) -> Outcomes:
    """Return what the labels say of made-up mails: of people's hits alone, of the others' alone, and of both."""
    said: defaultdict[tuple[bool, bool], list[tuple[bool, bool]]] = defaultdict(list)
    for made in traces.generate(seed, emails):
        hits = [observe(hit, KEY) for hit in hits_of(made.trace)]
        people = [hit for hit, label in zip(hits, made.labels, strict=True) if label == "person"]
        others = [hit for hit, label in zip(hits, made.labels, strict=True) if label != "person"]
        email = email_of(made.trace, {session_of(made.trace)})
        for kind, some in (((True, False), people), ((False, True), others), ((True, True), hits)):
            if (people or not kind[0]) and (others or not kind[1]):
                counters = tell(email, some).counters
                said[kind].append((counters.opencount > 0, counters.linksclickedcount > 0))
    return said


def truths(
    r: random.Random, count: int = TEMPLATES, spread: float = 1.0, mails: int = 20, answered: float = 0.22
) -> list[Truth]:
    """Return templates around 45 % read and of these 22 % `answered`, all alike where `spread` is 0; sent `mails` times
    a week, a tenth to twice as often. One in five has an audience where machines fetch nearly all mail."""
    return [
        Truth(
            _around(r, 0.45, 0.35 * spread),
            _around(r, answered, 0.5 * spread),
            0.95 if r.random() < 0.2 else 0.3,
            max(1, round(mails * r.choice((0.1, 0.5, 1, 2)))),
        )
        for _ in range(count)
    ]


def _around(r: random.Random, share: float, deviation: float) -> float:
    return 1 / (1 + math.exp(r.gauss(0, deviation) - math.log(share / (1 - share))))


def send(r: random.Random, truth: Truth, said: Outcomes) -> Tally:
    """Return how the mails of a week fare."""
    opened = replied = clicked = 0
    for _ in range(truth.mails):
        read, fetched = r.random() < truth.read, r.random() < truth.fetched
        if read or fetched:
            was_opened, was_clicked = r.choice(said[read, fetched])
            opened += was_opened
            clicked += was_clicked
        replied += read and r.random() < truth.answered
    return Tally(truth.mails, truth.mails, opened, replied, clicked)


def run(
    r: random.Random, templates: Sequence[Truth], said: Outcomes, weeks: int, changed: Sequence[Truth] = ()
) -> Iterator[Mapping[str, Judgement]]:
    """Yield what is judged at the end of every week; after half of the `weeks` the templates become `changed`."""
    histories: list[dict[int, Tally]] = [{} for _ in templates]
    recommended: set[str] = set()
    for week in range(weeks):
        now = templates if week < weeks // 2 or not changed else changed
        for truth, history in zip(now, histories, strict=True):
            history[_FIRST_WEEK + week] = send(r, truth, said)
        judged = look(histories, recommended, _FIRST_WEEK + week)
        recommended = {key for key, judgement in judged.items() if judgement.recommended}
        yield judged


def look(histories: Sequence[History], recommended: set[str], week: int) -> Mapping[str, Judgement]:
    """Return the judgements on templates by their numbers, at the end of a week."""
    candidates = [Candidate(str(n), history, str(n) in recommended) for n, history in enumerate(histories)]
    return judge({"contact": candidates}, (week + 1) * WEEK)["contact"]


@dataclass(frozen=True, slots=True)
class Quality:
    """How many templates are recommended, by grounds; of these whose replies truly are above the median, and in the top
    quarter, and whose opens truly are above the median; how many there are in top quarters; how many mails were sent;
    and how often another thing was thought of a template than the week before."""

    recommended: Counter[str]
    above: Counter[str]
    best: Counter[str]
    read_above: Counter[str]
    in_top_quarter: int
    mails: int
    changes: int


def quality(seeds: Sequence[int], said: Outcomes, mails: int, weeks: int = WEEKS) -> Quality:
    """Return how good the recommendations of organizations are after `weeks` of looking every week."""
    found = Quality(Counter(), Counter(), Counter(), Counter(), 0, 0, 0)
    top = total = changes = 0
    for seed in seeds:
        r = random.Random(seed)
        templates = truths(r, mails=mails)
        middle, read = median(t.reply for t in templates), median(t.read for t in templates)
        best = sorted(t.reply for t in templates)[-(len(templates) // 4)]
        top += len(templates) // 4
        total += weeks * sum(t.mails for t in templates)
        before: set[str] = set()
        for judged in run(r, templates, said, weeks):
            recommended = {key for key, judgement in judged.items() if judgement.recommended}
            changes += len(recommended ^ before)
            before = recommended
        for truth, judgement in zip(templates, judged.values(), strict=True):
            if judgement.recommended:
                found.recommended[judgement.grounds] += 1
                found.above[judgement.grounds] += truth.reply > middle
                found.best[judgement.grounds] += truth.reply >= best
                found.read_above[judgement.grounds] += truth.read > read
    return replace(found, in_top_quarter=top, mails=total, changes=changes)


def false_rates(
    seeds: Sequence[int], said: Outcomes, mails: int, count: int, answered: float = 0.22, weeks: int = WEEKS
) -> tuple[float, float]:
    """Return in what share of organizations with `count` templates that are all equal one is ever recommended in
    `weeks` of looking every week, and at what share of the looks."""
    ever = looks = 0
    for seed in seeds:
        r = random.Random(seed)
        looking = run(r, truths(r, count, 0.0, mails, answered), said, weeks)
        wrong = [any(j.recommended for j in judged.values()) for judged in looking]
        ever += any(wrong)
        looks += sum(wrong)
    return ever / len(seeds), looks / len(seeds) / weeks


def after_change(seeds: Sequence[int], said: Outcomes, mails: int, weeks: int = 2 * WEEKS) -> list[tuple[int, int]]:
    """Return for every week how many templates are recommended, and how many of these are truly above the median, where
    after half of the `weeks` all templates become as good as others were."""
    found = [(0, 0)] * weeks
    for seed in seeds:
        r = random.Random(seed)
        before, drawn = truths(r, mails=mails), truths(r, mails=mails)
        after = [replace(new, mails=old.mails) for old, new in zip(before, drawn, strict=True)]
        for week, judged in enumerate(run(r, before, said, weeks, after)):
            now = after if week >= weeks // 2 else before
            middle = median(truth.reply for truth in now)
            good = [t.reply > middle for t, j in zip(now, judged.values(), strict=True) if j.recommended]
            found[week] = (found[week][0] + len(good), found[week][1] + sum(good))
    return found


def report(organizations: int = ORGANIZATIONS) -> None:
    """Simulate, and print the tables."""
    said = outcomes(5, 800)
    for (read, fetched), told in sorted(said.items()):
        who = " and ".join(word for word, is_so in (("people", read), ("machines", fetched)) if is_so)
        shares = [sum(values) / len(told) for values in zip(*told, strict=True)]
        print(f"of mails that {who} fetched {shares[0]:.1%} count as opened, {shares[1]:.1%} as clicked in")
    _report_quality(range(organizations), said)
    print("\n| equal templates | mails a week each | answered | wrong ever in a year | wrong at a moment |")
    print("|--:|--:|--:|--:|--:|")
    for count in (2, 3, 10, TEMPLATES):
        for mails, answered in ((SIZES[0], 0.022), (SIZES[0], 0.22), (SIZES[1], 0.22)):
            seeds = range(organizations * (1 if count > 10 else 5))
            ever, moment = false_rates(seeds, said, mails, count, answered)
            print(f"| {count} | {mails} | {0.45 * answered:.0%} | {ever:.1%} | {moment:.2%} |", flush=True)
    print("\n| weeks after all rates changed | recommended | truly above the median |\n|--:|--:|--:|")
    followed = after_change(range(organizations // 3), said, SIZES[1])
    for week in (-1, 0, 4, 8, 13, 20, 26, 39, 51):
        count, good = followed[WEEKS + week]
        print(f"| {week} | {count / (organizations // 3):.1f} | {good / max(1, count):.0%} |", flush=True)


def _report_quality(seeds: Sequence[int], said: Outcomes) -> None:
    print("\n| mails | for | recommended | replies above the median | in the top quarter | opens above the median |")
    print("|--:|---|--:|--:|--:|--:|")
    told = []
    for size in SIZES:
        q = quality(seeds, said, size)
        mails = f"{q.mails // len(seeds):,}"
        for grounds, count in sorted(q.recommended.items(), reverse=True):
            shares = [f"{number[grounds] / count:.0%}" for number in (q.above, q.best, q.read_above)]
            print(f"| {mails} | {grounds} | {count / len(seeds):.1f} | {' | '.join(shares)} |", flush=True)
        changes = q.changes / len(seeds) / TEMPLATES
        told.append(f"| {mails} | {sum(q.best.values()) / q.in_top_quarter:.0%} | {changes:.2f} |")
    print("\n| mails | of the top quarter recommended | changes of a template in the year |\n|--:|--:|--:|")
    print("\n".join(told))
