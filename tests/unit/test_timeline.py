"""What all of an email's hits say together: when an alert is due, what a flood leaves, which hits of it are counted."""

from hypothesis import given
from hypothesis import strategies as st

from shared.engagement import ranges
from shared.engagement.counting import OPENS
from shared.engagement.hits import Hit, Kind
from shared.engagement.labels import Email, Label, Observation, observe
from shared.engagement.timeline import SETTLING_MS, alert_at, first_by_person, tell, within_budget
from shared.services.alerting import next_state

SENT = 1_800_000_000_000
EMAIL = Email(sent_at=SENT, links=2, images=0, attachments=0, recipients=1, sender_source="")
OUTLOOK = "Microsoft Office/16.0 (Windows NT 10.0; Microsoft Outlook 16.0.17328; Pro)"
CHROME = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/146.0.0.0 Safari/537.36"
)


def seen(
    after: float, kind: Kind = Kind.OPEN, agent: str = OUTLOOK, address: str = "203.0.113.9", n: int = 0, item: int = 0
) -> Observation:
    headers = {"user-agent": agent, "accept": "*/*", "accept-language": "en"} if agent else {}
    hit = Hit(f"0123456789abcdef-{n:012d}", kind, item, SENT + int(after * 1000), "GET", address, headers, "")
    return observe(hit, b"key")


def test_a_mail_program_alerts_at_once():
    assert alert_at(EMAIL, tell(EMAIL, [seen(20)]), OPENS) == SENT + 20_000


def test_a_machine_alerts_nobody():
    assert alert_at(EMAIL, tell(EMAIL, [seen(20, agent="")]), OPENS) is None


def test_thin_evidence_waits_until_scanners_have_had_their_time():
    thin = seen(20, agent=CHROME)
    timeline = tell(EMAIL, [thin])
    event = timeline.events[0]
    expected = SENT + 20_000 if event.verdict.settled else SENT + SETTLING_MS
    assert event.verdict.label is Label.PERSON
    assert alert_at(EMAIL, timeline, OPENS) == expected


def test_the_first_open_is_a_persons_though_a_machine_was_faster():
    timeline = tell(EMAIL, [seen(5, agent="", address="198.51.100.1", n=1), seen(600, n=2)])
    first = first_by_person(timeline, OPENS)
    assert first is not None
    assert first.observation.at == SENT + 600_000
    assert (timeline.counters.opencount, timeline.counters.ee_machineopencount) == (1, 1)


@given(st.permutations([seen(n * 7, n=n, kind=Kind(n % 3), item=n % 2) for n in range(8)]))
def test_the_same_hits_tell_the_same_in_any_order(shuffled):
    told = tell(EMAIL, shuffled)
    again = tell(EMAIL, sorted(shuffled, key=lambda o: o.id))
    assert told.counters == again.counters
    assert sorted(told.events, key=lambda e: e.observation.id) == list(again.events)


def test_a_flood_keeps_its_budget_and_other_sources_keep_theirs():
    flood = [seen(n, n=n) for n in range(20)]
    other = seen(1, address="198.51.100.1", n=99)
    kept, beyond = within_budget(flood[:5], [*flood[5:], other], budget=8)
    assert len(beyond) == 12
    assert other in kept
    assert len(kept) == 4


@given(st.lists(st.lists(st.integers(0, 50), max_size=30), max_size=6))
def test_ranges_count_each_hit_once_however_often_it_comes(batches):
    state: ranges.Ranges = {}
    total = 0
    for batch in batches:
        state, new = ranges.add(state, [("w", n, n) for n in batch])
        total += new
    assert total == len({n for batch in batches for n in batch})


def test_a_card_is_held_then_raised_then_withdrawn():
    assert next_state(None, 50, 40) == "held"
    assert next_state("held", 50, 50) == "raise"
    assert next_state("raise", 50, 60) == "raise", "until the card is written"
    assert next_state("raised", 50, 60) == "raised", "once, however many opens come"
    assert next_state("raised", None, 60) == "withdraw"
    assert next_state("held", None, 60) is None
    assert next_state("withdraw", 50, 60) == "raise"
