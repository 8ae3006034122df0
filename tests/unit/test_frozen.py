"""What an email keeps of hits that retention removed: it says the same before and after, and goes on counting."""

from dataclasses import replace

import orjson
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement import frozen
from shared.engagement.figures import dump_hits
from shared.engagement.labels import Observation
from shared.engagement.timeline import Timeline, tell
from tests.unit.making_hits import DAY, GMAIL, HOME, IOS_MAIL, OFFICE, OUTLOOK, SENT, an_email, clicked, opened

EMAIL = an_email()


@st.composite
def hits(draw: st.DrawFn) -> list[Observation]:
    days = st.integers(0, 40)
    opens = st.builds(
        lambda day, ms, agent, ip: opened(day * DAY + ms, agent=agent, ip=ip),
        days,
        st.integers(200_000, DAY - 1),
        st.sampled_from([OUTLOOK, IOS_MAIL, GMAIL, "curl/8"]),
        st.sampled_from([HOME, OFFICE]),
    )
    clicks = st.builds(lambda day, item: clicked(item, day * DAY + 400_000), days, st.integers(0, 4))
    return draw(st.lists(st.one_of(opens, clicks), max_size=25))


def told(observations: list[Observation], kept: frozen.Frozen) -> Timeline:
    return tell(EMAIL, [hit for hit in observations if hit.at >= kept.before])


def retained(observations: list[Observation], kept: frozen.Frozen, oldest: int) -> frozen.Frozen:
    """Return what an email keeps once hits before `oldest` are removed."""
    before = told(observations, kept)
    after = told([hit for hit in observations if hit.at >= oldest], kept)
    return frozen.freeze(before, after, kept, oldest)


@given(hits(), st.lists(st.integers(0, 41), max_size=4))
def test_an_email_says_the_same_however_often_hits_are_removed(observations: list[Observation], days: list[int]):
    whole, kept = tell(EMAIL, observations), frozen.NOTHING
    for day in sorted(days):
        kept = frozen.load(frozen.dump(retained(observations, kept, SENT + day * DAY)))
        left = told(observations, kept)
        assert frozen.counters(left, kept) == whole.counters
        assert _read(frozen.counted(left, kept)) == _read(dump_hits(whole))


@given(hits(), st.integers(0, 41))
def test_removing_twice_is_removing_once(observations: list[Observation], day: int):
    once = retained(observations, frozen.NOTHING, SENT + day * DAY)
    assert retained(observations, once, SENT + day * DAY) == once
    assert retained([hit for hit in observations if hit.at >= once.before], once, SENT + day * DAY) == once


@given(hits())
def test_what_comes_later_is_added(observations: list[Observation]):
    kept = retained(observations, frozen.NOTHING, SENT + 60 * DAY)
    later = tell(EMAIL, [opened(70 * DAY, agent=OUTLOOK), clicked(0, 70 * DAY + 60_000)])
    sums = frozen.counters(later, kept)
    whole = tell(EMAIL, observations).counters
    assert (sums.opencount, sums.linksclickedcount) == (whole.opencount + 1, whole.linksclickedcount + 1)
    assert sums.lastopenedtime == SENT + 70 * DAY


def test_an_open_is_later_than_a_click_that_only_stood_for_one():
    kept = retained([opened(DAY, agent=OUTLOOK)], frozen.NOTHING, SENT + 2 * DAY)
    later = tell(EMAIL, [clicked(0, 3 * DAY)])
    assert frozen.counters(later, kept).lastopenedtime == SENT + DAY


def test_no_counter_falls_below_zero():
    kept = replace(frozen.NOTHING, counts={"opencount": -3}, events={"opens": {1: -2}}, before=1)
    nothing = tell(EMAIL, [])
    assert frozen.counters(nothing, kept).opencount == 0
    assert frozen.counted(nothing, kept) == ""


def test_years_of_daily_opens_still_fit_into_a_row():
    kept = frozen.NOTHING
    for year in range(4):
        opens = [opened((year * 400 + day) * DAY + 3_600_000, agent=OUTLOOK) for day in range(400)]
        kept = retained(opens, kept, SENT + (year + 1) * 400 * DAY)
    assert len(frozen.dump(kept)) < 32_000
    assert frozen.counters(tell(EMAIL, []), kept).opencount == 1600
    assert sum(_read(frozen.counted(tell(EMAIL, []), kept))["opens"].values()) == 1600


def _read(text: str) -> dict[str, dict[str, int]]:
    found: dict[str, dict[str, int]] = orjson.loads(text or "{}")
    return found
