"""Signed tokens: what we minted opens, and nothing else does, whatever it is."""

import base64
import hashlib
import hmac
import uuid
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement import tokens as module
from shared.engagement.tokens import (
    MAX_TARGET_LENGTH,
    SEGMENT_LENGTH,
    Token,
    TokenKind,
    derive_key,
    link_key,
    mint,
    verify,
)

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


def test_the_other_alphabet_is_refused_and_padding_is_no_part_of_a_token():
    text = next(
        text
        for item in range(1000)
        if "_" in (text := mint(Token(1, "contoso", TokenKind.OPEN, uuid.UUID(int=item), item), SECRETS))
    )
    assert verify(text.replace("_", "/").replace("-", "+"), SECRETS) is None
    assert verify(text + "=", SECRETS) == verify(text, SECRETS), "as what is left of a soft line break"


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


# --- tokens of version 1, in mail that was sent


def first_version(token, secrets=SECRETS):
    """A token as it was minted before it said its length."""
    party = 255 if token.party is None else token.party
    head = bytes((1, token.key, ord(token.kind), party)) + token.item.to_bytes(2) + token.email.bytes
    name = token.organization.encode()
    body = head + bytes((len(name),)) + name + token.target.encode()
    tag = hmac.digest(link_key(secrets[token.key], token.organization), body, hashlib.sha256)[:16]
    text = base64.urlsafe_b64encode(body + tag).rstrip(b"=").decode()
    return "/".join(text[at : at + SEGMENT_LENGTH] for at in range(0, len(text), SEGMENT_LENGTH))


FIRST = "AQFjAAADAAAAAAAAAAAAAAAAAAAABwdjb250b3NvaHR0cHM6Ly9leGFtcGxlLmNvbS8_YT0xJmI9MiNj1nd1glMLf8M4MwGXkenFvQ"


def test_a_token_of_version_1_as_it_stands_in_a_mail_opens():
    assert first_version(EXAMPLE) == FIRST
    assert verify(FIRST, SECRETS) == EXAMPLE


@given(tokens, st.sampled_from(["/", "%2F", ""]), st.integers(1, 40), st.data())
def test_a_token_of_version_1_opens_and_no_other_spelling_of_it(token, between, cut, data):
    text = first_version(token).replace("/", "")
    assert verify(first_version(token).replace("/", between), SECRETS) == token
    assert verify(text[:-cut], SECRETS) is None
    at = data.draw(st.integers(0, len(text) - 1))
    other = data.draw(st.sampled_from("ABYZabyz0189-_").filter(lambda c: c != text[at]))
    assert verify(text[:at] + other + text[at + 1 :], SECRETS) is None


@given(tokens)
def test_a_token_is_longer_than_one_of_version_1_by_two_bytes_at_most(token):
    assert len(mint(token, SECRETS).replace("/", "")) - len(first_version(token).replace("/", "")) <= 3


# --- what other programs leave behind a token, and within it

# As they stand in an address: Functions' front end decodes a path once, so that each comes decoded, and what was
# encoded twice comes encoded.
DIRT = r"""
/ // %3E . ) %20 , %22 ; : ! ? ' ] } > | * ~ ` \ ^ $ + @ = & _ - -- ... ). >. %3E) %5D( ](x) %3C/a%3E %3C/p%3E
%0A %0D%0A %09 %00 %0A%3E%20 =%0D%0A =3D =20 =0A &amp; &gt; &quot;%3E %26amp; %26utm_source=x &utm=1 ;jsessionid=AB12
%E2%80%8B %EF%BB%BF %C2%A0 %C2%AD %E2%80%9D %E2%80%99 %C2%BB %E2%80%A6 %E3%80%82 %EF%BC%8C %EF%BC%89 %E3%80%8D
%A0 %92 %253E %252E %2520 %25E2%2580%258B %3Futm_source=x %23top /utm_source/x /index.html /foo/ /.well-known
word Angebot A AAAA 0 %20Angebot %20und%20mehr .Angebot )and
"""
BEHIND = DIRT.split()
WITHIN = (
    "%0A",
    "%0D%0A",
    "%0D%0A%20",
    "%20",
    "%0A%3E%20",
    "=%0D%0A",
    "=0D=0A",
    "=",
    "%C2%AD",
    "%E2%80%8B",
    "%250A",
    "%3D%0A",
)


@pytest.mark.parametrize("dirt", BEHIND)
@pytest.mark.parametrize("target", ["", "https://example.com/", "https://example.com/?" + "x" * 401])
def test_what_stands_behind_a_token_is_no_part_of_it(dirt, target):
    token = Token(1, "contoso", TokenKind.LINK, uuid.UUID(int=7), 3, 0, target)
    assert verify(unquote(mint(token, SECRETS) + dirt), SECRETS) == token
    assert verify(mint(token, SECRETS) + dirt, SECRETS) == token, "not decoded, as in mail that is sent on"


@given(tokens, st.text(max_size=30))
def test_anything_may_stand_behind_a_token(token, behind):
    assert verify(mint(token, SECRETS) + behind, SECRETS) == token


@given(tokens, st.sampled_from(WITHIN), st.data())
def test_what_no_token_has_in_it_may_stand_within_one(token, dirt, data):
    path = mint(token, SECRETS)
    at = data.draw(st.integers(0, len(path)))
    assert verify(unquote(path[:at] + dirt + path[at:]), SECRETS) == token


@given(tokens)
def test_an_encoding_of_its_own_characters_is_undone(token):
    path = mint(token, SECRETS)
    assert verify(path.replace("-", "%2D").replace("_", "%5F"), SECRETS) == token


@pytest.mark.parametrize("dirt", [dirt for dirt in BEHIND if not unquote(dirt)[:1].isalnum() and dirt[0] not in "/_-"])
def test_what_is_not_of_the_alphabet_is_no_part_of_a_token_of_version_1_either(dirt):
    assert verify(unquote(first_version(EXAMPLE) + dirt), SECRETS) == EXAMPLE


@pytest.mark.parametrize("length", range(6))
def test_a_token_ends_in_a_letter_or_a_digit(length):
    """Programs that make links of plain text leave out a dash and an underscore at an end."""
    for item in range(500):
        token = Token(1, "contoso", TokenKind.LINK, uuid.UUID(int=7), item, 0, "x" * length)
        assert mint(token, SECRETS)[-1].isalnum()


@given(tokens, st.sampled_from(BEHIND), st.data())
def test_dirt_opens_no_altered_token(token, dirt, data):
    path = mint(token, SECRETS)
    at = data.draw(st.integers(0, len(path) - 1).filter(lambda i: path[i] != "/"))
    other = data.draw(st.sampled_from("ABYZabyz0189-_").filter(lambda c: c != path[at]))
    assert verify(unquote(path[:at] + other + path[at + 1 :] + dirt), SECRETS) is None


@pytest.mark.parametrize("dirt", ["", ".", "=" * 3000, "%3D" * 3000, "A" * 9000, "/" * 9000, "=41.", "\u200b" * 9000])
def test_a_path_costs_four_signatures_at_most(monkeypatch, dirt):
    signed = 0

    def forged(*_: object) -> bytes:
        nonlocal signed
        signed += 1
        return b"none was signed "

    paths = mint(EXAMPLE, SECRETS), first_version(EXAMPLE)
    monkeypatch.setattr(module, "_tag", forged)
    for path in paths:
        assert verify(path[:50] + dirt + path[50:], SECRETS) is None
        assert verify(path + dirt, SECRETS) is None
    assert 1 <= signed <= 4 * len(paths) * 2


def test_a_target_that_no_token_has_room_for_is_not_cut():
    longest = Token(1, "contoso", TokenKind.LINK, uuid.UUID(int=7), 3, 0, "x" * MAX_TARGET_LENGTH)
    assert verify(mint(longest, SECRETS), SECRETS) == longest
    with pytest.raises(ValueError, match="2047"):
        mint(Token(1, "contoso", TokenKind.LINK, uuid.UUID(int=7), 3, 0, "x" * (MAX_TARGET_LENGTH + 1)), SECRETS)
