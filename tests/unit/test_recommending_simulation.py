"""The rule for recommended templates in simulated organizations whose true rates are known, machines among the openers.

`python -m benchmarks recommending` runs more of the same and prints the figures that docs/templates.md tells.
"""

import random
from itertools import pairwise

import pytest

from benchmarks.recommending import WEEKS, Outcomes, after_change, false_rates, outcomes, quality, run, truths
from shared.engagement.recommending import MISLABELLED


@pytest.fixture(scope="module")
def said() -> Outcomes:
    return outcomes(5, 800)


def test_what_machines_fetch_counts_as_opened_no_more_often_than_the_rule_allows_for(said: Outcomes) -> None:
    machines = said[False, True]
    assert len(machines) > 500
    assert 0 < sum(opened for opened, _ in machines) / len(machines) <= MISLABELLED
    assert sum(opened for opened, _ in said[True, True]) / len(said[True, True]) > 0.9


def test_the_recommended_templates_are_truly_among_the_best(said: Outcomes) -> None:
    seeds = range(100, 110)
    found = quality(seeds, said, mails=20)
    assert found.mails / len(seeds) > 40_000
    count = sum(found.recommended.values())
    assert count >= 4 * len(seeds)
    assert sum(found.above.values()) >= 0.98 * count
    assert sum(found.best.values()) >= 0.85 * count
    assert sum(found.best.values()) >= 0.35 * found.in_top_quarter, "a rule that never recommends is of no use"


def test_with_a_quarter_of_the_mail_fewer_are_found_and_they_are_as_good(said: Outcomes) -> None:
    found = quality(range(200, 210), said, mails=5)
    count = sum(found.recommended.values())
    assert count >= 10
    assert sum(found.above.values()) >= 0.98 * count
    assert sum(found.best.values()) >= 0.95 * count


@pytest.mark.parametrize(
    ("count", "mails", "answered", "organizations"),
    [(50, 20, 0.22, 6), (50, 4, 0.022, 10), (10, 10, 0.22, 40), (3, 20, 0.22, 60), (2, 10, 0.22, 60)],
)
def test_where_all_are_equal_hardly_ever_one_is_recommended_in_a_year_of_looking_every_week(
    said: Outcomes, count: int, mails: int, answered: float, organizations: int
) -> None:
    ever, moment = false_rates(range(organizations), said, mails, count, answered)
    assert ever <= 0.05
    assert moment <= 0.02


def test_when_the_rates_change_the_recommendations_follow(said: Outcomes) -> None:
    followed = after_change(range(4), said, mails=20)
    share = [good / max(1, count) for count, good in followed]
    assert share[WEEKS - 1] >= 0.95
    assert share[WEEKS] <= 0.7, "they are those of before the change"
    assert share[WEEKS + 26] >= 0.85
    assert share[-1] >= 0.95
    assert followed[-1][0] >= 4 * 4


def test_templates_do_not_come_and_go(said: Outcomes) -> None:
    r = random.Random(3)
    weeks = [{key for key, j in judged.items() if j.recommended} for judged in run(r, truths(r), said, WEEKS)]
    changes = {key: sum((key in a) != (key in b) for a, b in pairwise(weeks)) for key in weeks[-1]}
    assert weeks[-1]
    assert max(changes.values()) <= 3
