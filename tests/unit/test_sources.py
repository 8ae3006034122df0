"""What an organization's other emails say about a source."""

from shared.engagement.labels import Label, Observation, judge
from shared.engagement.sources import MACHINE_ELSEWHERE, Record, learn, mark, name
from tests.unit import making_hits as made
from tests.unit.making_hits import HOUR, MINUTE, SECOND, an_email, clicked, opened


def lesson(*observations: Observation) -> dict[str, Record]:
    return learn(observations, judge(an_email(), observations))


def sweep() -> list[Observation]:
    return [clicked(i, 40 * SECOND + 60 * i) for i in range(5)]


def test_a_sweep_teaches_that_its_source_is_a_machine() -> None:
    hits = sweep()
    assert lesson(*hits) == {name(hits[0]): Record(machine=1)}


def test_a_reader_teaches_that_the_source_is_something_else() -> None:
    read = opened(HOUR)
    assert lesson(read) == {name(read): Record(other=1)}


def test_what_a_browser_only_asked_or_fetched_ahead_teaches_nothing_of_it() -> None:
    assert lesson(clicked(0, HOUR, method="HEAD"), clicked(1, HOUR, sec_purpose="prefetch")) == {}


def test_a_privacy_proxy_and_the_sender_teach_nothing() -> None:
    hits = [opened(HOUR, agent=made.APPLE_PRIVACY, ip=made.RELAY), opened(HOUR, ip=made.OFFICE)]
    assert learn(hits, judge(an_email(ip=made.OFFICE), hits)) == {}


def test_a_machine_in_two_other_emails_is_known_in_a_mail_with_one_link() -> None:
    click = clicked(0, MINUTE)
    known = Record(machine=1) + Record(machine=1)
    assert judge(an_email(links=1), [click])[0].label is Label.PERSON
    assert judge(an_email(links=1), [mark(click, known)])[0].label is Label.MACHINE


def test_a_machine_once_is_not_yet_known() -> None:
    assert mark(clicked(0, MINUTE), Record(machine=1)).flags == ()


def test_an_address_and_browser_that_people_share_with_a_scanner_is_not_marked() -> None:
    assert mark(clicked(0, MINUTE), Record(machine=3, other=2)).flags == ()


def test_the_email_at_hand_can_be_taken_out_of_what_is_known() -> None:
    known = Record(machine=2)
    assert mark(clicked(0, MINUTE), known - Record(machine=1)).flags == ()
    assert mark(clicked(0, MINUTE), known).flags == (MACHINE_ELSEWHERE,)


def test_the_senders_own_browser_stays_the_senders() -> None:
    own = mark(opened(MINUTE, ip=made.OFFICE), Record(machine=5))
    assert judge(an_email(ip=made.OFFICE), [own])[0].label is Label.SENDER
