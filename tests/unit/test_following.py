"""The follow rule: every To and Cc party is an account, contact or lead that allows it, and there is one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.following import FOLLOWABLE, NOBODY, NOT_ASKED, SWITCHED_OFF, Party, why_not_followed
from shared.engagement.options import BCC, CC, TO

ANN = Party(TO, "contact", "Ann")

parties = st.builds(
    Party,
    role=st.sampled_from([TO, CC, BCC]),
    kind=st.sampled_from(["account", "contact", "lead", "systemuser", "queue", ""]),
    name=st.sampled_from(["Ann", "Bob", "Cid", "Dee"]),
    allows=st.booleans(),
)


def why_not(*given: Party, preference: bool = True, switched_on: bool = True) -> str | None:
    return why_not_followed(preference=preference, switched_on=switched_on, parties=given)


@pytest.mark.parametrize("kind", sorted(FOLLOWABLE))
def test_an_email_to_a_record_that_allows_it_is_followed(kind: str):
    assert why_not(Party(TO, kind, "Ann")) is None


def test_nothing_is_followed_unless_the_sender_asks():
    assert why_not(ANN, preference=False) == NOT_ASKED


def test_nothing_is_followed_while_the_organization_has_it_switched_off():
    assert why_not(ANN, switched_on=False) == SWITCHED_OFF


def test_one_recipient_who_does_not_allow_it_blocks_the_whole_email_and_is_named():
    assert why_not(ANN, Party(TO, "lead", "Bob", allows=False)) == "Bob does not allow following"


def test_cc_counts_like_to():
    assert why_not(ANN, Party(CC, "account", "Bob", allows=False)) == "Bob does not allow following"


def test_bcc_neither_blocks_nor_is_enough():
    hidden = Party(BCC, "contact", "Bob", allows=False)
    assert why_not(ANN, hidden) is None
    assert why_not(hidden) == NOBODY


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("systemuser", "a user"),
        ("queue", "a queue"),
        ("", "an address"),
        ("knowledgearticle", "another kind of record"),
    ],
)
def test_a_recipient_of_another_kind_blocks_and_is_named(kind: str, words: str):
    assert why_not(ANN, Party(CC, kind, "Zoe")) == f"Zoe is {words}, not an account, contact or lead"


def test_who_does_not_allow_it_is_named_before_who_is_of_another_kind():
    assert why_not(Party(TO, "queue", "Support"), Party(TO, "contact", "Ann", allows=False)) == (
        "Ann does not allow following"
    )


@given(st.lists(parties, max_size=6))
def test_followed_means_a_to_or_cc_party_and_all_of_them_followable_and_allowing(given: list[Party]):
    looked_at = [party for party in given if party.role != BCC]
    expected = bool(looked_at) and all(party.kind in FOLLOWABLE and party.allows for party in looked_at)
    assert (why_not(*given) is None) == expected


@given(st.lists(parties, max_size=6))
def test_the_reason_names_a_party_that_really_stands_in_the_way(given: list[Party]):
    reason = why_not(*given)
    if reason not in (None, NOBODY):
        named = [party for party in given if reason.startswith(f"{party.name} ")]
        assert any(party.role != BCC and not (party.kind in FOLLOWABLE and party.allows) for party in named)


def test_with_prior_consent_everybody_in_to_and_cc_must_have_granted_it_and_is_named():
    given = [Party(TO, "contact", "Ann", consents=True), Party(CC, "lead", "Bob"), Party(BCC, "", "Cid")]
    assert why_not_followed(preference=True, switched_on=True, parties=given, prior_consent=True) == (
        "Bob has not consented to following"
    )
    given[1] = Party(CC, "lead", "Bob", consents=True)
    assert why_not_followed(preference=True, switched_on=True, parties=given, prior_consent=True) is None
    given[0] = Party(TO, "contact", "Ann", consents=True, allows=False)
    assert why_not_followed(preference=True, switched_on=True, parties=given, prior_consent=True) == (
        "Ann does not allow following"
    )


@pytest.mark.parametrize("role", [TO, CC, BCC])
def test_who_withdrew_stops_the_following_of_mail_to_everybody(role: int):
    assert why_not(ANN, Party(role, "contact", "Bob", withdrew=True)) == "Bob has withdrawn from following"


def test_what_could_not_be_looked_up_is_not_followed():
    assert why_not(ANN, Party(CC, "contact", "Bob", withdrew=None)) == (
        "whether Bob allows following could not be looked up"
    )


@given(st.lists(parties), st.booleans())
def test_prior_consent_never_follows_what_opt_out_does_not(given: list[Party], consents: bool):
    asked = [Party(p.role, p.kind, p.name, p.allows, consents) for p in given]
    prior = why_not_followed(preference=True, switched_on=True, parties=asked, prior_consent=True)
    if prior is None:
        assert why_not_followed(preference=True, switched_on=True, parties=asked) is None
