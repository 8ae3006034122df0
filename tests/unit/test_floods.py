"""Floods as they arrive: who is counted, and with which numbers."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement import ranges
from shared.engagement.flooded import Counted
from shared.engagement.floods import FIRST_NUMBER, STRIDE, Floods
from shared.engagement.hits import Kind
from shared.engagement.timeline import FLOOD_BUDGET
from shared.storage.journal import count_in, counted, counted_run, make_count

HAMMER = ("contoso", "email", "203.0.113.9")
OTHER = ("contoso", "email", "198.51.100.1")


def test_hits_within_the_budget_are_kept_one_by_one_and_those_beyond_it_counted() -> None:
    floods = Floods(budget=3)
    assert [floods.add(HAMMER) for _ in range(5)] == [None, None, None, FIRST_NUMBER, FIRST_NUMBER + 1]


def test_a_process_journals_as_many_one_by_one_as_the_fold_keeps() -> None:
    floods = Floods()
    numbers = [floods.add(HAMMER) for _ in range(FLOOD_BUDGET + 1)]
    assert numbers.count(None) == FLOOD_BUDGET


def test_a_flood_takes_nothing_from_another_source_email_or_organization() -> None:
    floods = Floods(budget=1)
    for _ in range(5):
        floods.add(HAMMER)
    for own in (OTHER, ("contoso", "another", HAMMER[2]), ("fabrikam", *HAMMER[1:])):
        assert floods.add(own) is None


@given(st.lists(st.integers(0, 6), max_size=200), st.integers(1, 5))
def test_no_number_is_given_twice_even_where_sources_are_forgotten(sources: list[int], remembered: int) -> None:
    floods = Floods(budget=2, max_sources=remembered)
    numbers = [n for source in sources if (n := floods.add(("contoso", "email", str(source)))) is not None]
    assert len(set(numbers)) == len(numbers)


def test_sources_without_end_do_not_fill_the_memory_nor_hide_who_keeps_hammering() -> None:
    floods = Floods(budget=10, max_sources=100)
    counted = 0
    for n in range(5000):
        floods.add(("contoso", "email", f"2001:db8::{n:x}"))
        counted += floods.add(HAMMER) is not None
    assert len(floods._sources) == 100
    assert counted == 4990


def test_very_many_sources_of_one_email_are_counted_beyond_its_budget_and_another_email_is_not() -> None:
    floods = Floods(of_email=100)
    numbers = [floods.add(("contoso", "email", f"203.0.{n >> 8}.{n & 255}"), Kind.LINK) for n in range(50_000)]
    kept = numbers.count(None)
    assert 100 <= kept <= 200, "the budget, and shares"
    counted_ones = [n for n in numbers if n is not None]
    assert counted_ones == list(range(counted_ones[0], counted_ones[0] + 50_000 - kept)), "one run of numbers"
    assert floods.add(("contoso", "another", "203.0.0.1"), Kind.LINK) is None


def test_what_is_remembered_of_a_flood_does_not_grow_with_its_sources() -> None:
    def remembered(sources: int) -> int:
        floods = Floods(of_email=1000)
        for n in range(sources):
            floods.add(("contoso", f"email {n % 3}", f"203.{n >> 16}.{n >> 8 & 255}.{n & 255}"))
        budgets = floods._emails.values()
        sizes = [len(one._known) + len(one._shares) for one in budgets]
        return len(floods._sources) + len(floods._numbers) + sum(sizes)

    assert remembered(200_000) <= remembered(25_000)


def test_kinds_are_counted_apart() -> None:
    floods = Floods(budget=0)
    opens, clicks = ([floods.add(HAMMER, kind) for _ in range(2)] for kind in (Kind.OPEN, Kind.LINK))
    assert opens == [FIRST_NUMBER, FIRST_NUMBER + 1]
    assert clicks == [FIRST_NUMBER + STRIDE, FIRST_NUMBER + STRIDE + 1]


def test_a_row_of_the_version_before_counts_without_a_kind() -> None:
    row = {"partition": "0000000001-0123456789abcdef", "sequence": "1000000000003", "email": "e", "hit": [7]}
    assert counted(row) == Counted(("0123456789abcdef", 1000000000003, 1000000000009), None, 60_000, 60_000)


def test_numbers_of_counted_hits_are_never_those_of_hits() -> None:
    assert FIRST_NUMBER > 10**11, "hits, one for each, have twelve digits"
    assert FIRST_NUMBER % STRIDE == 0


def test_a_counted_row_stands_for_hits_that_follow_each_other_and_for_no_others() -> None:
    row = make_count(7, "email", 60_000)
    assert count_in(row, make_count(8, "email", 60_000))
    assert count_in(row, make_count(9, "email", 60_000))
    assert not count_in(row, make_count(11, "email", 60_000))
    assert not count_in(row, make_count(10, "email", 60_000, Kind.LINK))
    assert count_in(row, make_count(10, "email", 60_005))
    found = counted(row)
    assert found is not None
    assert (found.kind, found.first, found.last) == (Kind.OPEN, 60_000, 60_005)
    run = counted_run(row)
    assert run is not None
    assert run[1:] == (7, 10)
    assert counted_run(orjson.loads(orjson.dumps(row))) == run


@given(st.lists(st.tuples(st.sampled_from("vw"), st.integers(0, 60), st.integers(0, 20)), max_size=40))
def test_runs_that_overlap_and_come_again_count_each_hit_once(given_runs: list[tuple[str, int, int]]) -> None:
    runs = [(writer, first, first + length) for writer, first, length in given_runs]
    state: ranges.Ranges = {}
    total = 0
    for run in [*runs, *runs]:
        state, new = ranges.add(state, [run])
        total += new
    assert total == len({(writer, n) for writer, first, last in runs for n in range(first, last + 1)})


def test_what_is_remembered_of_a_flood_fits_a_table_property_whatever_its_numbers() -> None:
    scattered: list[ranges.Run] = [("0123456789abcdef", 10**15 + 2 * n, 10**15 + 2 * n) for n in range(5000)]
    restarts: list[ranges.Run] = [(f"{n:016x}", 10**15, 10**15) for n in range(5000)]
    for runs in (scattered, restarts):
        state, new = ranges.add({}, runs)
        assert new == 5000
        assert len(orjson.dumps({"count": 10**15, "ranges": state})) < 32_768
