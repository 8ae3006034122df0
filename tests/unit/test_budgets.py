"""An email's budget: what is kept of the hits of very many sources, and what of a person's amid and after them."""

from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.budgets import EMAIL_BUDGET, KNOWN, MOST, SHARE, EmailBudget
from shared.engagement.hits import Kind

QUARTER = 900_000


def take(budget, source, kind=Kind.LINK, item=0, at=0):
    """Keep a hit where there is room; return whether there was."""
    room = budget.has_room(source, kind, item, at)
    if room:
        budget.keep(source, kind, item, at)
    return room


def flooded(of=1000, hits=5000, at=0):
    """Return a budget that 5,000 sources, one hit each on one link, have used up, and how many of these were kept."""
    budget = EmailBudget(of)
    return budget, sum(take(budget, f"flood {n}", at=at) for n in range(hits))


def test_five_hundred_recipients_may_look_ten_times_at_a_mail_with_three_images():
    budget = EmailBudget()
    assert all(
        take(budget, f"recipient {n}", kind, item, at=display)
        for display in range(10)
        for n in range(500)
        for kind, item in [(Kind.OPEN, 0), *((Kind.IMAGE, image) for image in range(3))]
    )


def test_very_many_sources_are_kept_up_to_the_budget_and_a_share():
    _, kept = flooded()
    assert 1000 <= kept <= 1000 + SHARE * (KNOWN + 2)
    assert flooded(hits=500_000)[1] == kept


def test_whoever_was_there_before_is_kept_amid_the_flood():
    budget = EmailBudget(1000)
    take(budget, "Ada", Kind.OPEN)
    for n in range(5000):
        take(budget, f"flood {n}")
    assert [take(budget, "Ada") for _ in range(SHARE + 1)] == [True] * SHARE + [False]


def test_what_the_flood_does_not_ask_for_is_kept_amid_it():
    budget, _ = flooded()
    assert take(budget, "somebody", Kind.LINK, item=1)
    assert take(budget, "somebody", Kind.ATTACHMENT)
    assert take(budget, "somebody", Kind.OPEN)
    assert not take(budget, "somebody", Kind.LINK, item=0)


def test_whoever_comes_after_the_flood_is_kept():
    budget, _ = flooded()
    assert not take(budget, "somebody", at=QUARTER - 1)
    assert all(take(budget, f"somebody {n}", at=QUARTER) for n in range(SHARE))
    assert not take(budget, "somebody more", at=QUARTER)
    assert take(budget, "somebody more", at=2 * QUARTER)


def test_a_flood_without_end_is_kept_up_to_a_bound():
    budget = EmailBudget(100)
    kept = sum(take(budget, f"{n}", item=n % 7, at=n * QUARTER) for n in range(10_000))
    assert kept == 200 == 100 * MOST // EMAIL_BUDGET


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(Kind), st.integers(0, 2), st.integers(0, 5)), max_size=90))
def test_whatever_comes_there_is_room_until_the_budget_and_none_beyond_the_bound(hits):
    budget = EmailBudget(20)
    kept = [take(budget, str(source), kind, item, at * QUARTER) for source, kind, item, at in hits]
    assert all(kept[:20])
    assert sum(kept) <= 40
