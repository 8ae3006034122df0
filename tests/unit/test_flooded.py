"""What is kept of hits that are only counted: each once, in the right counter, first and last."""

import orjson
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement import flooded
from shared.engagement.counting import Counters
from shared.engagement.flooded import Counted, Flooded
from shared.engagement.hits import Kind

runs = st.tuples(st.sampled_from("vw"), st.integers(0, 60), st.integers(0, 20), st.sampled_from(Kind))


@given(st.lists(st.lists(runs, max_size=8), max_size=6), st.randoms())
def test_each_hit_counts_once_by_its_kind_in_any_order_and_batches_and_however_often(batches, random):
    # A number is of one kind: each kind has its own.
    told = [
        [Counted((w, 1000 * kind + a, 1000 * kind + a + n), kind, a, a + n) for w, a, n, kind in batch]
        for batch in batches
    ]
    again = [*told, *random.sample(told, len(told) // 2)]
    random.shuffle(again)
    kept, total = Flooded(), 0
    for batch in again:
        kept, new = flooded.add(flooded.load(flooded.dump(kept)), batch)
        total += new
    hits = {(one.run[0], n): one.kind for batch in told for one in batch for n in range(one.run[1], one.run[2] + 1)}
    assert kept.count == total == len(hits)
    assert kept.kinds == {kind: n for kind in Kind if (n := list(hits.values()).count(kind))}
    every = [one for batch in told for one in batch]
    assert (kept.first, kept.last) == (
        min((one.first for one in every), default=None),
        max((one.last for one in every), default=None),
    )


def test_opens_count_as_opens_and_clicks_as_clicks_of_machines():
    kinds = {Kind.OPEN: 3, Kind.IMAGE: 4, Kind.LINK: 5, Kind.ATTACHMENT: 6}
    found = flooded.counters(Counters(opencount=1, ee_machineopencount=2, ee_machineclickcount=1), kinds)
    assert found == Counters(opencount=1, ee_machineopencount=9, ee_machineclickcount=12)


def test_what_was_kept_before_there_were_kinds_is_read_and_goes_on():
    old = flooded.load(orjson.dumps({"count": 80, "ranges": {"w": [[1, 80]]}}).decode())
    assert (old.count, old.kinds, old.first) == (80, {}, None)
    kept, new = flooded.add(old, [Counted(("w", 71, 90), Kind.LINK, 5, 6), Counted(("w", 200, 200), None, 1, 1)])
    assert (new, kept.count, dict(kept.kinds)) == (11, 91, {Kind.LINK: 10})
