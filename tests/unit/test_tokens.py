"""Signed tokens: what we minted opens, and nothing else does, whatever it is."""

import base64
import uuid

from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.tokens import SEGMENT_LENGTH, Token, TokenKind, derive_key, link_key, mint, verify

SECRETS = {1: b"first secret, thirty-two bytes ok", 2: b"second secret, thirty-two bytes k"}

tokens = st.builds(
    Token,
    key=st.sampled_from(sorted(SECRETS)),
    organization=st.from_regex(r"[a-z][a-z0-9]{2,30}", fullmatch=True),
    kind=st.sampled_from(TokenKind),
    email=st.uuids(),
    item=st.integers(0, 65535),
    party=st.none() | st.integers(0, 254),
    target=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=400),
)
EXAMPLE = Token(1, "contoso", TokenKind.LINK, uuid.UUID(int=7), 3, 0, "https://example.com/?a=1&b=2#c")


@given(tokens)
def test_a_minted_token_says_what_was_put_in(token):
    assert verify(mint(token, SECRETS), SECRETS) == token


@given(tokens)
def test_segments_stay_under_what_front_ends_take(token):
    path = mint(token, SECRETS)
    assert all(0 < len(segment) <= SEGMENT_LENGTH < 200 for segment in path.split("/"))
    assert set(path) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_/")


@given(tokens, st.sampled_from(["", "%2F", "%2f", "//"]))
def test_segments_may_come_apart_in_any_way_or_not_at_all(token, between):
    assert verify(mint(token, SECRETS).replace("/", between), SECRETS) == token


@given(tokens, st.data())
def test_no_other_spelling_of_a_token_is_taken(token, data):
    path = mint(token, SECRETS)
    at = data.draw(st.integers(0, len(path) - 1).filter(lambda i: path[i] != "/"))
    other = data.draw(st.sampled_from("ABYZabyz0189-_").filter(lambda c: c != path[at]))
    assert verify(path[:at] + other + path[at + 1 :], SECRETS) is None


@given(tokens, st.integers(1, 40))
def test_a_cut_token_is_refused(token, cut):
    text = mint(token, SECRETS).replace("/", "")
    assert verify(text[:-cut], SECRETS) is None


@given(st.text(max_size=300) | st.from_regex(r"[A-Za-z0-9_/-]{0,300}", fullmatch=True))
def test_anything_else_is_refused_and_never_raises(text):
    assert verify(text, SECRETS) is None


@given(st.binary(max_size=200))
def test_any_bytes_in_base64_are_refused(raw):
    assert verify(base64.urlsafe_b64encode(raw).rstrip(b"=").decode(), SECRETS) is None


def test_padding_and_the_other_alphabet_are_refused():
    text = next(
        text
        for item in range(1000)
        if "_" in (text := mint(Token(1, "contoso", TokenKind.OPEN, uuid.UUID(int=item), item), SECRETS))
    )
    assert verify(text.replace("_", "/").replace("-", "+"), SECRETS) is None
    assert verify(text + "=", SECRETS) is None


def test_old_mail_keeps_working_while_secrets_rotate():
    old = mint(EXAMPLE, {1: SECRETS[1]})
    assert verify(old, SECRETS) == EXAMPLE, "known everywhere before it is used"
    assert verify(old, {2: SECRETS[2]}) is None, "a secret that was dropped opens nothing"


def test_one_organizations_key_does_not_sign_for_another():
    assert derive_key(SECRETS[1], "contoso", "links") != derive_key(SECRETS[1], "fabrikam", "links")
    raw = base64.urlsafe_b64decode(mint(EXAMPLE, SECRETS) + "==")
    forged = base64.urlsafe_b64encode(raw.replace(b"contoso", b"fabrika")).rstrip(b"=").decode()
    assert verify(forged, SECRETS) is None


def test_a_party_is_named_only_where_it_is_known():
    several = Token(1, "contoso", TokenKind.OPEN, uuid.UUID(int=1), 0)
    assert verify(mint(several, SECRETS), SECRETS) == several


ELSEWHERE = {1: b"another deployment's secret, with the same key id"}


def brought(organization="contoso", secrets=ELSEWHERE):
    return {(organization, number): (link_key(secret, organization),) for number, secret in secrets.items()}


def test_links_of_another_deployment_work_beside_ours_under_the_same_key_id():
    old, own = mint(EXAMPLE, ELSEWHERE), mint(EXAMPLE, SECRETS)
    assert old != own
    assert verify(old, SECRETS) is None
    assert verify(old, SECRETS, brought()) == verify(own, SECRETS, brought()) == EXAMPLE


def test_keys_that_were_brought_under_an_id_that_we_do_not_have_work_too():
    token = Token(9, "contoso", TokenKind.OPEN, uuid.UUID(int=7), 0)
    elsewhere = {9: ELSEWHERE[1]}
    assert verify(mint(token, elsewhere), SECRETS, brought(secrets=elsewhere)) == token


def test_keys_that_were_brought_open_links_of_their_organization_only():
    assert verify(mint(EXAMPLE, ELSEWHERE), SECRETS, brought("fabrikam")) is None
    other = Token(1, "fabrikam", TokenKind.OPEN, uuid.UUID(int=7), 0)
    assert verify(mint(other, ELSEWHERE), SECRETS, brought("contoso")) is None


def test_of_several_keys_under_one_id_each_opens_its_links():
    third = {1: b"a third deployment's secret, the same id once more"}
    both = {("contoso", 1): (link_key(ELSEWHERE[1], "contoso"), link_key(third[1], "contoso"))}
    assert verify(mint(EXAMPLE, ELSEWHERE), SECRETS, both) == verify(mint(EXAMPLE, third), SECRETS, both) == EXAMPLE


@given(tokens, st.integers(1, 40))
def test_a_cut_token_of_another_deployment_is_refused(token, cut):
    text = mint(token, {1: ELSEWHERE[1], 2: ELSEWHERE[1]}).replace("/", "")
    keys = {(token.organization, token.key): (link_key(ELSEWHERE[1], token.organization),)}
    assert verify(text, {}, keys) == token
    assert verify(text[:-cut], {}, keys) is None
