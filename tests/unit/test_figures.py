"""What one email adds to figures, and how its events fit into its row."""

from datetime import UTC, date, datetime

import orjson
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.figures import (
    COUNTS,
    QUARTER,
    Cell,
    accounts_of,
    cell_of,
    cells,
    difference,
    dump_cells,
    dump_hits,
    dump_replies,
    kind_of,
    load_cells,
    quarters,
    scopes,
    sources,
    template_columns,
    total,
)
from shared.engagement.hits import Kind
from shared.engagement.labels import Email, observe
from shared.engagement.timeline import tell
from tests.unit.making_hits import CHROME, DETONATION, HOUR, KEY, SENT, hit

SENT_TEXT = "2026-01-15T10:00:00Z"
EMAIL = {"statuscode": 3, "directioncode": True, "senton": SENT_TEXT, "isemailfollowed": True, "ownerid": "u"}
ADA = {"participationtypemask": 2, "partyid_type": "contact", "partyid": "a"}
COUNTED = st.dictionaries(
    st.builds(lambda quarter: cell_of(quarter), st.integers(0, 3_000_000)),
    st.tuples(*[st.integers(0, 1000)] * 6).filter(any),
    max_size=20,
)


def test_only_outgoing_mail_that_was_sent_counts():
    assert sources(EMAIL)
    for other in ({"statuscode": 1}, {"statuscode": 6}, {"directioncode": False}, {"senton": None}):
        assert not sources({**EMAIL, **other})
        assert scopes({**EMAIL, **other}, [ADA]) == set()


def test_mail_counts_for_everybody_that_it_concerns():
    email = {**EMAIL, "regardingobjectid": "l", "regardingobjectid_type": "lead", "templateid": "t", "_accounts": "x y"}
    sender = {"participationtypemask": 1, "partyid_type": "systemuser", "partyid": "u"}
    bcc = {"participationtypemask": 4, "partyid_type": "account", "partyid": "b"}
    assert scopes(email, [sender, ADA, bcc, {"participationtypemask": 2, "addressused": "nobody@example.com"}]) == {
        "organization", "systemuser u", "template t", "lead l", "contact a", "account b", "account x", "account y",
    }  # fmt: skip


def test_mail_counts_when_it_was_sent_and_what_people_did_when_they_did_it():
    email = {**EMAIL, "_answered": dump_replies([SENT + 3 * HOUR])}
    by_quarter = quarters(cells(email, [ADA], "contact a"), date(2026, 1, 1), date(2026, 1, 31))
    assert by_quarter == {
        SENT // QUARTER: (1, 1, 0, 0, 0, 0),
        (SENT + 3 * HOUR) // QUARTER: (0, 0, 0, 1, 0, 0),
    }


def test_mail_that_is_not_followed_counts_as_mail_only():
    email = {**EMAIL, "isemailfollowed": False, "_counted": '{"opens":{"1966000":3}}', "templateid": "t"}
    assert set(cells(email, [ADA], "contact a").values()) == {(1, 0, 0, 0, 0, 0)}
    assert set(cells(email, [ADA], "template t").values()) == {(1, 0, 0, 0, 0)}


def test_in_a_template_each_mail_counts_once():
    email = {**EMAIL, "_counted": '{"opens":{"1966000":3,"1966001":1},"clicks":{"1966000":2}}', "_answered": ""}
    assert cells(email, [ADA], "template t") == {Cell("weeks", "contact", "2924"): (1, 1, 1, 0, 1)}


def test_a_mail_is_for_the_kind_of_record_it_is_about_else_of_its_first_recipient():
    lead = {"regardingobjectid": "l", "regardingobjectid_type": "lead"}
    assert kind_of(lead, [ADA]) == "lead"
    assert kind_of({}, [{"participationtypemask": 3, "partyid_type": "account", "partyid": "c"}, ADA]) == "contact"
    assert kind_of({}, [{"participationtypemask": 2, "addressused": "x@example.com"}, ADA]) == "other"


def test_only_contacts_of_an_account_count_for_it():
    of = {"parentcustomerid": "x", "parentcustomerid_type": "account"}
    person = {"parentcustomerid": "y", "parentcustomerid_type": "contact"}
    records = [("contact", of), ("contact", person), ("contact", None), ("lead", of), ("contact", of)]
    assert accounts_of(records) == "x"


def test_only_people_are_counted_and_repetitions_are_not():
    hits = [hit(Kind.OPEN, HOUR), hit(Kind.OPEN, HOUR + 1000), hit(Kind.LINK, 2 * HOUR, item=1, agent=CHROME)]
    hits += [hit(Kind.LINK, 900 + n, item=n, ip=DETONATION) for n in range(6)]
    timeline = tell(Email(SENT, 6, 0, 0, 1, ""), [observe(one, KEY) for one in hits])
    counted = orjson.loads(dump_hits(timeline))
    assert {kind: sum(at.values()) for kind, at in counted.items()} == {"opens": 1, "clicks": 1}
    assert timeline.counters.opencount == timeline.counters.linksclickedcount == 1


def test_what_was_seen_of_no_person_takes_no_room():
    assert dump_hits(tell(Email(SENT, 0, 0, 0, 1, ""), [])) == ""
    assert dump_replies([]) == ""


@given(st.lists(st.integers(SENT, SENT + 3000 * 24 * HOUR), min_size=1, max_size=50), st.integers(1, 200))
def test_no_event_is_lost_and_any_number_fits_into_a_property(times, spread):
    many = [at + n * 17 * HOUR for at in times for n in range(spread)]
    text = dump_replies(many)
    assert sum(orjson.loads(text)["replies"].values()) == len(many)
    assert len(text) < 32_000


@given(COUNTED, COUNTED)
def test_what_is_added_by_difference_is_what_was_meant(new, old):
    assert total([old, difference(new, old)]) == new
    assert difference(new, new) == {}
    assert load_cells(dump_cells(new)) == new


@given(st.integers(0, 3_000_000))
def test_a_quarter_hour_is_found_where_it_is_counted(quarter):
    cell = cell_of(quarter)
    day = datetime.fromtimestamp(quarter * 900, UTC).date()
    assert quarters({cell: (1,) * len(COUNTS)}, day, day) == {quarter: (1,) * len(COUNTS)}


def test_rates_are_whole_percent_of_followed_mail():
    columns = template_columns(
        {
            Cell("weeks", "contact", "2900"): (6, 5, 3, 1, 0),
            Cell("weeks", "lead", "2901"): (2, 1, 1, 0, 1),
        }
    )
    assert columns["usedcount"] == 8
    assert columns["ee_followedcount"] == 6
    assert (columns["openrate"], columns["replyrate"], columns["ee_clickrate"]) == (67, 17, 17)
    assert columns["_evidence_contact"] == '{"2900":[6,5,3,1,0]}'
    assert columns["_evidence_account"] == "{}"


def test_a_template_never_used_has_no_rate():
    columns = template_columns({})
    assert [columns[name] for name in ("usedcount", "openrate", "replyrate", "ee_clickrate")] == [0, 0, 0, 0]
