"""From hits to events and counters."""

from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.counting import Counters, count, merge
from shared.engagement.hits import Kind
from shared.engagement.labels import Label, Observation, Verdict
from tests.unit import making_hits as made
from tests.unit.making_hits import HOUR, SECOND, clicked, opened, seen


def judged(*labels: Label) -> list[Verdict]:
    return [Verdict(label, "", settled=True) for label in labels]


def events(*observations: Observation, label: Label = Label.PERSON) -> list[int | None]:
    """For each hit the position of the one it was merged into."""
    merged = merge(observations, judged(*[label] * len(observations)))
    ids = [o.id for o in observations]
    return [None if into is None else ids.index(into) for into in merged]


def counted(*observations: Observation, labels: list[Label]) -> Counters:
    verdicts = judged(*labels)
    return count(observations, verdicts, merge(observations, verdicts))


# --- merging


def test_the_same_item_again_within_five_seconds_of_its_first_fetch_is_one_event() -> None:
    assert events(clicked(0, 0), clicked(0, 3000), clicked(0, 5000)) == [None, 0, 0]


def test_the_same_item_later_is_another_event() -> None:
    assert events(clicked(0, 0), clicked(0, 4000), clicked(0, 5001)) == [None, 0, None]


def test_another_link_is_another_event() -> None:
    assert events(clicked(0, 0), clicked(1, 100)) == [None, None]


def test_another_address_or_agent_is_another_event() -> None:
    assert events(opened(0), opened(100, ip=made.ELSEWHERE), opened(200, agent=made.OUTLOOK)) == [None, None, None]


def test_a_known_proxy_is_one_source_whatever_its_address() -> None:
    assert events(opened(0, agent=made.GMAIL, ip="66.249.84.1"), opened(900, agent=made.GMAIL, ip="66.249.84.2")) == [
        None,
        0,
    ]


def test_outlook_on_the_web_is_one_source_whatever_its_address() -> None:
    assert events(opened(0, ip="52.97.17.9"), opened(900, ip="40.97.120.3", agent=made.OUTLOOK)) == [None, 0]


def test_the_pixel_and_the_images_of_one_display_are_one_open() -> None:
    assert events(opened(0), seen(Kind.IMAGE, 300, item=0), seen(Kind.IMAGE, 9900, item=1)) == [None, 0, 0]


def test_an_image_that_comes_first_takes_the_pixel_in() -> None:
    assert events(opened(400), seen(Kind.IMAGE, 0)) == [1, None]


def test_an_image_after_ten_seconds_is_another_open() -> None:
    assert events(opened(0), seen(Kind.IMAGE, 10_001)) == [None, None]


def test_a_display_that_repeats_is_another_open_with_its_own_images() -> None:
    hits = [opened(0), seen(Kind.IMAGE, 100), opened(7000), seen(Kind.IMAGE, 7100)]
    assert events(*hits) == [None, 0, None, 2]


def test_a_click_never_merges_with_an_open() -> None:
    assert events(opened(0), clicked(0, 100)) == [None, None]


def test_only_hits_of_the_same_label_merge() -> None:
    hits = [opened(0), opened(100)]
    assert merge(hits, judged(Label.PERSON, Label.MACHINE)) == (None, None)


def test_the_order_given_does_not_matter() -> None:
    assert events(clicked(0, 3000), clicked(0, 0)) == [1, None]


kinds = st.sampled_from(Kind)
some_hits = st.lists(
    st.builds(
        lambda kind, at, item, ip: seen(kind, at, item=0 if kind is Kind.OPEN else item, ip=ip),
        kinds,
        st.integers(0, 30_000),
        st.integers(0, 2),
        st.sampled_from([made.HOME, made.OFFICE]),
    ),
    max_size=25,
)


@given(some_hits)
def test_what_is_merged_points_to_the_first_hit_of_its_event(hits: list[Observation]) -> None:
    merged = merge(hits, judged(*[Label.PERSON] * len(hits)))
    by_id = {o.id: (o, into) for o, into in zip(hits, merged, strict=True)}
    for o, into in zip(hits, merged, strict=True):
        if into is not None:
            first, above = by_id[into]
            assert above is None
            assert first.at <= o.at
            assert first.source == o.source


# --- counting


def test_people_count_in_dataverses_columns() -> None:
    hits = [opened(0), clicked(0, HOUR), clicked(1, HOUR + SECOND), seen(Kind.ATTACHMENT, 2 * HOUR)]
    found = counted(*hits, labels=[Label.PERSON] * 4)
    assert found == Counters(opencount=1, linksclickedcount=2, attachmentopencount=1, lastopenedtime=hits[0].at)


def test_proxies_and_machines_stand_beside_and_the_sender_nowhere() -> None:
    hits = [opened(0), opened(HOUR), clicked(0, HOUR), seen(Kind.ATTACHMENT, HOUR), opened(2 * HOUR)]
    labels = [Label.PROXY, Label.MACHINE, Label.MACHINE, Label.MACHINE, Label.SENDER]
    assert counted(*hits, labels=labels) == Counters(ee_proxyopencount=1, ee_machineopencount=1, ee_machineclickcount=2)


def test_merged_hits_count_once() -> None:
    hits = [opened(0), seen(Kind.IMAGE, 200), opened(2000), clicked(0, 5000), clicked(0, 6000)]
    found = counted(*hits, labels=[Label.PERSON] * 5)
    assert (found.opencount, found.linksclickedcount) == (1, 1)


def test_the_last_open_is_a_persons_last() -> None:
    hits = [opened(0), opened(HOUR), opened(2 * HOUR)]
    assert counted(*hits, labels=[Label.PERSON, Label.PERSON, Label.MACHINE]).lastopenedtime == hits[1].at


def test_a_click_without_an_open_says_when_the_mail_was_read_but_is_no_open() -> None:
    hits = [clicked(0, 0), clicked(1, HOUR)]
    found = counted(*hits, labels=[Label.PERSON, Label.PERSON])
    assert (found.opencount, found.lastopenedtime) == (0, hits[1].at)


def test_nothing_happened_counts_nothing() -> None:
    assert counted(labels=[]) == Counters()
