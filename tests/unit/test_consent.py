"""Consent to being followed: what a change of it means, and the proof that goes with it."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.consent import COLUMNS, DENIED, GRANTED, UNKNOWN, WITHDRAWN, allows, complete, is_change, proof

NOW, EARLIER, LATER = "2026-11-25T10:00:00Z", "2026-11-20T09:00:00Z", "2026-11-26T00:00:00Z"
PROOF = {"ee_consentmethod": "web form", "ee_consentwording": "May we see when you open our mail?"}
ASKED: dict[str, Any] = {"ee_consent": GRANTED, "ee_consentedon": EARLIER, "followemail": True, **PROOF}

states = st.sampled_from([UNKNOWN, GRANTED, DENIED, WITHDRAWN])
records = st.fixed_dictionaries({}, optional={"ee_consent": states, "followemail": st.booleans()})


def test_granting_needs_how_and_the_wording_and_is_of_now_where_no_time_is_given():
    assert complete({"ee_consent": GRANTED, **PROOF}, {}, NOW) == {
        "ee_consent": GRANTED,
        "ee_consentedon": NOW,
        "followemail": True,
        **PROOF,
    }
    for missing, blank in itertools.product(PROOF, (None, "", " \n")):
        with pytest.raises(ValueError, match=missing):
            complete({"ee_consent": GRANTED, **PROOF, missing: blank}, {}, NOW)


def test_consent_that_was_given_earlier_keeps_its_time_and_none_is_given_in_the_future():
    assert complete({**ASKED}, {}, NOW)["ee_consentedon"] == EARLIER
    with pytest.raises(ValueError, match="future"):
        complete({**ASKED, "ee_consentedon": LATER}, {}, NOW)


@pytest.mark.parametrize("state", [DENIED, WITHDRAWN])
def test_a_no_is_seen_by_clients_that_know_only_followemail(state: int):
    assert complete({"ee_consent": state}, ASKED, NOW)["followemail"] is False
    assert complete({"ee_consent": state, "followemail": True}, ASKED, NOW)["followemail"] is False


def test_another_state_does_not_take_over_the_proof_of_the_earlier_one():
    told = proof({**ASKED, **complete({"ee_consent": WITHDRAWN}, ASKED, NOW)})
    assert told == {
        "ee_consent": WITHDRAWN,
        "ee_consentedon": NOW,
        "ee_consentmethod": None,
        "ee_consentwording": None,
    }


def test_a_row_that_is_sent_back_as_it_was_read_changes_nothing():
    assert not is_change(ASKED, ASKED)
    assert complete({**ASKED}, ASKED, NOW) == ASKED
    assert not is_change(dict.fromkeys(COLUMNS), {})


def test_a_proof_without_a_state_is_refused():
    with pytest.raises(ValueError, match="unknown"):
        complete({"ee_consentmethod": "by phone"}, {}, NOW)
    with pytest.raises(ValueError, match="ee_consentedon"):
        complete({"ee_consentedon": None}, ASKED, NOW)


def test_a_seller_may_leave_following_off_while_granting():
    assert complete({"ee_consent": GRANTED, **PROOF, "followemail": False}, {}, NOW)["followemail"] is False


@given(records, st.booleans())
def test_who_said_no_is_never_followed_and_prior_consent_only_restricts(record: dict[str, Any], prior: bool):
    allowed = allows(record, prior=prior)
    if record.get("followemail") is False or record.get("ee_consent") in (DENIED, WITHDRAWN):
        assert not allowed
    if allows(record, prior=True):
        assert allows(record, prior=False)
    if prior and allowed:
        assert record["ee_consent"] == GRANTED


@given(states, states)
def test_a_completed_change_is_complete(old: int, new: int):
    before = complete({"ee_consent": old, **(PROOF if old == GRANTED else {})}, {}, EARLIER)
    after = {**before, **complete({"ee_consent": new, **(PROOF if new == GRANTED else {})}, before, NOW)}
    assert complete(after, after, LATER) == after
    assert allows(after, prior=True) == (new == GRANTED)
