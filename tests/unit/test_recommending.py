"""Which templates are recommended: what it takes, what does not suffice, and that it does not go to and fro."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from math import comb, sqrt

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared.engagement.recommending import ERROR, HALF_LIFE, SETTLED, Candidate, Judgement, bound, judge, percent, rank
from shared.engagement.tallies import WEEK, Tally
from shared.engagement.timeline import tell
from tests.unit.making_hits import CLOUD, HOUR, SECOND, an_email, clicked, opened

THIS_WEEK = 2968
NOW = THIS_WEEK * WEEK + WEEK // 2
SETTLED_WEEK = THIS_WEEK - SETTLED


def mails(followed: int, opened: int, replied: int, week: int = SETTLED_WEEK) -> dict[int, Tally]:
    return {week: Tally(followed, followed, opened, replied, 0)}


FAIR = mails(400, 160, 40)


def told(*weeks: Mapping[int, Tally], recommended: Sequence[int] = (), now: int = NOW) -> list[Judgement]:
    """Return what is thought of templates, named by their places; those in `recommended` are so already."""
    candidates = [Candidate(str(n), own, n in recommended) for n, own in enumerate(weeks)]
    return list(judge({"contact": candidates}, now)["contact"].values())


def grounds(*weeks: Mapping[int, Tally], recommended: Sequence[int] = (), now: int = NOW) -> list[str]:
    return [judgement.grounds for judgement in told(*weeks, recommended=recommended, now=now)]


def test_a_template_that_is_answered_much_more_often_is_recommended() -> None:
    assert grounds(mails(400, 200, 90), FAIR, FAIR, FAIR) == ["replies", "", "", ""]


def test_the_highest_percentage_is_not_enough() -> None:
    assert grounds(mails(400, 165, 44), FAIR, FAIR, FAIR) == [""] * 4
    assert grounds(mails(60, 30, 12), FAIR, FAIR, FAIR) == [""] * 4


@pytest.mark.parametrize("times", [1, 3, 10, 49])
def test_a_template_that_was_used_a_few_times_is_not_recommended_though_everybody_answered(times: int) -> None:
    first, *_ = told(mails(times, times, times), FAIR, FAIR)
    assert not first.recommended
    assert f"too early to say: {times} of its mails count so far, 50 are needed" in first.reason


def test_a_few_replies_do_not_decide_where_hardly_anybody_answers() -> None:
    silent = mails(400, 160, 0)
    assert grounds(mails(100, 40, 4), silent, silent) == ["", "", ""]
    assert grounds(mails(100, 40, 12), silent, silent) == ["replies", "", ""]


def test_one_template_has_nothing_to_compare_with() -> None:
    (alone,) = told(mails(400, 400, 400))
    assert not alone.recommended
    assert "no other template has enough mail" in alone.reason
    assert grounds(mails(400, 400, 400), mails(20, 5, 1)) == ["", ""]


def test_of_two_templates_the_one_that_is_credibly_better_is_recommended() -> None:
    assert grounds(mails(400, 200, 90), FAIR) == ["replies", ""]
    assert grounds(mails(400, 165, 50), FAIR) == ["", ""]


def test_few_others_are_known_less_well_than_many() -> None:
    better, others = mails(400, 160, 75), mails(60, 24, 6)
    assert grounds(better, others) == ["", ""]
    assert grounds(better, *[others] * 20)[0] == "replies"


def test_opens_speak_where_replies_do_not_tell() -> None:
    assert grounds(mails(400, 270, 42), FAIR, FAIR, FAIR) == ["opens", "", "", ""]
    silent = mails(400, 160, 0)
    assert grounds(mails(400, 270, 0), silent, silent) == ["opens", "", ""]


def test_opens_do_not_speak_against_replies() -> None:
    first, *_ = told(mails(400, 400, 39), FAIR, FAIR, FAIR)
    assert not first.recommended
    kept, *_ = told(mails(400, 270, 39), FAIR, FAIR, FAIR, recommended=[0])
    assert kept.grounds == "opens", "one reply less does not contradict yet"
    gone, *_ = told(mails(400, 400, 20), FAIR, FAIR, FAIR, recommended=[0])
    assert not gone.recommended
    assert "answered less often than others'" in gone.reason


def test_machines_that_were_taken_for_people_do_not_decide() -> None:
    many = mails(100_000, 40_000, 10_000)
    mislabelled = 60_000 * 75 // 1000
    assert grounds(mails(100_000, 40_000 + mislabelled, 10_000), many, many, many) == [""] * 4


def test_mail_that_may_still_be_answered_does_not_count_yet() -> None:
    young = {week: Tally(500, 500, 0, 0, 0) for week in (THIS_WEEK - 1, THIS_WEEK, THIS_WEEK + 1)}
    good = mails(400, 200, 90)
    assert told({**good, **young}, FAIR, FAIR)[0].replies == told(good, FAIR, FAIR)[0].replies
    first, *_ = told(young, FAIR, FAIR)
    assert (first.followed, first.evidence) == (1500, 0)
    assert "too early to say" in first.reason


def test_newer_mail_weighs_more() -> None:
    once = mails(400, 200, 100, SETTLED_WEEK - 3 * HALF_LIFE)
    fair = {**FAIR, **mails(400, 160, 40, SETTLED_WEEK - 3 * HALF_LIFE)}
    assert grounds({**once, **FAIR}, fair, fair, fair)[0] == ""
    late = {**mails(400, 200, 100), **mails(400, 160, 40, SETTLED_WEEK - 3 * HALF_LIFE)}
    assert grounds(late, fair, fair, fair)[0] == "replies"


def test_a_template_that_is_used_no_more_is_recommended_no_more() -> None:
    good = mails(400, 200, 120)
    current = [{week: Tally(50, 50, 20, 5) for week in range(SETTLED_WEEK - 20, THIS_WEEK + 200)}] * 3
    (first, *_) = grounds(good, *current)
    assert first == "replies"
    assert grounds(good, *current, recommended=[0], now=NOW + 5 * HALF_LIFE * WEEK)[0] == ""


def test_what_is_recommended_stays_so_by_a_looser_bound() -> None:
    fading = mails(400, 170, 52)
    assert grounds(fading, FAIR, FAIR, FAIR)[0] == ""
    assert grounds(fading, FAIR, FAIR, FAIR, recommended=[0])[0] == "replies"
    assert grounds(FAIR, FAIR, FAIR, FAIR, recommended=[0])[0] == ""


def test_the_error_is_shared_by_everything_that_is_compared() -> None:
    def judged(kinds: int) -> Judgement:
        candidates = [Candidate("a", mails(400, 180, 74)), *(Candidate(str(n), FAIR) for n in range(3))]
        return judge({str(kind): candidates for kind in range(kinds)}, NOW)["0"]["a"]

    assert judged(1).recommended
    assert not judged(60).recommended
    assert judged(60).replies.low < judged(1).replies.low
    assert judged(1).replies.low == pytest.approx(bound(74 / 400, 400, ERROR / 8, upper=False))


def test_the_best_come_first() -> None:
    ranked = rank(told(FAIR, mails(3, 3, 3), mails(400, 200, 90), mails(1600, 800, 500)))
    assert [judgement.id for judgement in ranked] == ["3", "2", "0", "1"]


def test_the_reason_names_the_numbers() -> None:
    first, second, *_ = told(mails(400, 200, 90), FAIR, FAIR, FAIR)
    rate, low, high = percent(first.replies)
    assert first.reason == (
        f"Its mails are answered more often than others': {rate} % (between {low} and {high} %) of its mails are "
        "answered, 10 % of the median template's."
    )
    assert second.reason.startswith("It is not clearly better than others: 10 % (between 5 and 16 %) of its mails are")
    by_opens, *_ = told(mails(400, 270, 42), FAIR, FAIR, FAIR)
    assert by_opens.reason.startswith("Its mails are opened more often than others' and answered no less: 68 % (")


def test_what_only_machines_fetched_changes_nothing() -> None:
    machine = {"agent": "curl/8.7.1", "ip": CLOUD}
    hits = [opened(5 * SECOND, **machine), *(clicked(item, 6 * SECOND, **machine) for item in range(5))]
    read = [opened(HOUR), clicked(2, HOUR + 20 * SECOND)]
    for people in ([], read):
        with_machines, without = (tell(an_email(), some).counters for some in ([*people, *hits], people))
        assert with_machines.ee_machineopencount == 1
        assert (with_machines.opencount > 0, with_machines.linksclickedcount > 0) == (bool(people), bool(people))
        assert (without.opencount, without.linksclickedcount) == (len(people) // 2, len(people) // 2)


# --- what holds for any numbers -------------------------------------------------------------------------------------


@st.composite
def tallies(draw: st.DrawFn, most: int = 2000) -> Tally:
    followed = draw(st.integers(0, most))
    opened, replied = draw(st.integers(0, followed)), draw(st.integers(0, followed))
    return Tally(followed + draw(st.integers(0, 50)), followed, opened, replied, draw(st.integers(0, followed)))


def histories(most: int = 2000) -> st.SearchStrategy[dict[int, Tally]]:
    return st.dictionaries(st.integers(THIS_WEEK - 60, THIS_WEEK), tallies(most), max_size=4)


WORLDS = st.lists(st.tuples(histories(), st.booleans()), min_size=1, max_size=7)


def candidates(world: Sequence[tuple[Mapping[int, Tally], bool]]) -> list[Candidate]:
    return [Candidate(str(n), weeks, recommended) for n, (weeks, recommended) in enumerate(world)]


@given(WORLDS, st.randoms(use_true_random=False), st.integers(-2000, 2000))
def test_order_and_the_calendar_do_not_matter(world, random, shift):
    plain = judge({"contact": candidates(world)}, NOW)["contact"]
    moved = [
        replace(c, weeks={week + shift: c.weeks[week] for week in reversed(list(c.weeks))}) for c in candidates(world)
    ]
    random.shuffle(moved)
    assert judge({"contact": moved}, NOW + shift * WEEK)["contact"] == plain


@given(WORLDS, st.booleans())
def test_an_unused_template_is_never_recommended_and_changes_nothing(world, recommended):
    unused = Candidate("unused", {}, recommended)
    with_it = judge({"contact": [*candidates(world), unused]}, NOW)["contact"]
    assert not with_it.pop("unused").recommended
    assert with_it == judge({"contact": candidates(world)}, NOW)["contact"]


@given(WORLDS, st.integers(1, 10_000))
def test_mail_that_nobody_follows_changes_nothing(world, more):
    unfollowed = [
        replace(c, weeks={w: t._replace(sent=t.sent + more) for w, t in c.weeks.items()}) for c in candidates(world)
    ]
    assert judge({"contact": unfollowed}, NOW) == judge({"contact": candidates(world)}, NOW)


def _with_one_open_more(world: Sequence[Candidate], n: int, week: int) -> list[Candidate]:
    tally = world[n].weeks[week]
    more = replace(world[n], weeks={**world[n].weeks, week: tally._replace(opened=tally.opened + 1)})
    return [*world[:n], more, *world[n + 1 :]]


def _to_and_fro(one: Sequence[Candidate], other: Sequence[Candidate]) -> Iterator[dict[str, bool]]:
    """Yield what is recommended while the same things are judged in turn, each time after the other."""
    recommended = {candidate.id: candidate.recommended for candidate in one}
    for turn in range(5):
        now = (one, other)[turn % 2]
        judged = judge({"contact": [replace(c, recommended=recommended[c.id]) for c in now]}, NOW)["contact"]
        recommended = {key: judgement.recommended for key, judgement in judged.items()}
        yield recommended


@given(st.data())
def test_one_open_more_or_less_never_turns_a_template_to_and_fro(data):
    world = candidates(data.draw(st.lists(st.tuples(histories(150), st.booleans()), min_size=2, max_size=7)))
    places = [(n, w) for n, c in enumerate(world) for w, t in c.weeks.items() if t.opened < t.followed]
    assume(places)
    n, week = data.draw(st.sampled_from(places))
    seen = list(_to_and_fro(world, _with_one_open_more(world, n, week)))
    for candidate in world:
        changes = sum(before[candidate.id] != after[candidate.id] for before, after in pairwise(seen))
        assert changes <= 1, (candidate.id, seen)


@pytest.mark.parametrize("which", ["opened", "replied"])
@pytest.mark.parametrize("others", [1, 2, 9])
@pytest.mark.parametrize("own", [mails(51, 20, 8), mails(150, 95, 30)])
def test_one_outcome_turns_nothing_to_and_fro_wherever_the_bounds_are(
    own: dict[int, Tally], others: int, which: str
) -> None:
    """Whether it is the template's own, or that of the one whose share is the others' median."""
    world = [own, *[mails(52, 26, 8)] * (others // 2), mails(53, 20, 7), *[mails(52, 16, 6)] * ((others - 1) // 2)]
    assert _turns(world, 0, which) > 0, "its bounds are among what is tried"
    _turns(world, 1 + others // 2, which)


def _turns(world: Sequence[dict[int, Tally]], n: int, which: str) -> int:
    """Return how often templates turn while one outcome of the nth comes and goes, for any number of its outcomes."""
    tally, turns = world[n][SETTLED_WEEK], 0
    for number in range(tally.followed):
        one, other = (
            [
                Candidate(str(m), {SETTLED_WEEK: tally._replace(**{which: tried})} if m == n else weeks)
                for m, weeks in enumerate(world)
            ]
            for tried in (number, number + 1)
        )
        for start in (one, [replace(candidate, recommended=True) for candidate in one]):
            seen = list(_to_and_fro(start, other))
            changes = [sum(a[key] != b[key] for a, b in pairwise(seen)) for key in seen[0]]
            assert max(changes) <= 1, (number, seen)
            turns += sum(changes)
    return turns


@pytest.mark.parametrize("error", [0.25, 0.01, 0.0005])
@pytest.mark.parametrize("share", [0.01, 0.1, 0.45, 0.97])
@pytest.mark.parametrize("number", [1, 7, 60, 300])
def test_a_share_is_beyond_its_bounds_no_more_often_than_the_error_says(
    number: int, share: float, error: float
) -> None:
    chances = [comb(number, k) * share**k * (1 - share) ** (number - k) for k in range(number + 1)]
    above = sum(c for k, c in enumerate(chances) if bound(k / number, number, error, upper=False) > share)
    below = sum(c for k, c in enumerate(chances) if bound(k / number, number, error, upper=True) < share)
    assert max(above, below) <= error
    if number == 300 and 0.05 < share < 0.95:
        assert min(above, below) > error / (20 * sqrt(number)), "bounds that are never passed would say nothing"


@pytest.mark.parametrize("error", [0.25, 0.01, 0.0005])
@pytest.mark.parametrize("share", [0.05, 0.3])
@pytest.mark.parametrize(("new", "old", "weight"), [(40, 40, 0.5), (5, 60, 0.1), (60, 10, 0.9)])
def test_the_bounds_hold_where_older_mail_counts_less(
    new: int, old: int, weight: float, share: float, error: float
) -> None:
    total = new + weight * old
    above = sum(
        comb(new, i) * comb(old, j) * share ** (i + j) * (1 - share) ** (new + old - i - j)
        for i in range(new + 1)
        for j in range(old + 1)
        if bound(min((i + weight * j) / total, 1), total, error, upper=False) > share
    )
    assert above <= error
