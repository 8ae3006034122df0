"""What is taken from a request: the client's address that can be believed, and the headers that may be kept."""

import ipaddress

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.hits import (
    MAX_HEADER_LENGTH,
    MAX_HEADERS,
    MAX_HEADERS_LENGTH,
    Hit,
    Kind,
    client_address,
    kept_headers,
    source_of,
)
from shared.storage.journal import make_row, read_hit

LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


@pytest.mark.parametrize(
    ("forwarded", "trusted", "address"),
    [
        ("203.0.113.9", (), "203.0.113.9"),
        ("203.0.113.9:4711", (), "203.0.113.9"),
        ("[2001:db8::1]:4711", (), "2001:db8::1"),
        ("2001:db8::1", (), "2001:db8::1"),
        ("198.51.100.7, 203.0.113.9", (), "203.0.113.9"),
        ("198.51.100.7, 127.0.0.1:80", LOOPBACK, "198.51.100.7"),
        ("192.0.2.1, 198.51.100.7, 127.0.0.1:80, [::1]:80", LOOPBACK, "198.51.100.7"),
        ("127.0.0.1:80", LOOPBACK, "127.0.0.1"),
        ("::ffff:203.0.113.9", (), "203.0.113.9"),
        ("nonsense, 127.0.0.1", LOOPBACK, "127.0.0.1"),
        ("nonsense", (), ""),
        ("", (), ""),
    ],
)
def test_the_address_is_the_first_from_the_right_that_no_trusted_proxy_has(forwarded, trusted, address):
    assert client_address(forwarded, trusted) == address


def test_nothing_left_of_an_untrusted_peer_is_believed():
    assert client_address("8.8.8.8, 198.51.100.7, 203.0.113.9", LOOPBACK) == "203.0.113.9"


@given(st.text(max_size=200))
def test_any_header_gives_an_address_or_nothing(text):
    found = client_address(text, LOOPBACK)
    assert found == "" or ipaddress.ip_address(found)


def test_credentials_and_the_front_ends_own_headers_are_not_kept():
    kept = kept_headers({"Cookie": "a=b", "Authorization": "Bearer x", "X-Forwarded-For": "1.2.3.4", "Accept": "*/*"})
    assert kept == {"accept": "*/*"}


def test_hostile_headers_are_bounded():
    kept = kept_headers({f"x-{n}": "v" * 10_000 for n in range(1000)})
    assert max(map(len, kept.values())) == MAX_HEADER_LENGTH
    assert sum(map(len, kept.values())) <= MAX_HEADERS_LENGTH + MAX_HEADER_LENGTH
    assert len(kept_headers({f"x-{n}": "v" for n in range(1000)})) == MAX_HEADERS


header_names = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
header_values = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=40)


@given(
    st.builds(
        Hit,
        id=st.integers(1, 10**11).map(lambda n: f"0123456789abcdef-{n:012d}"),
        kind=st.sampled_from(Kind),
        item=st.integers(0, 65535),
        at=st.integers(0, 10**13),
        method=st.sampled_from(["GET", "HEAD"]),
        address=st.ip_addresses().map(str),
        headers=st.dictionaries(header_names, header_values, max_size=5),
        query=st.text(max_size=40),
    )
)
def test_the_journal_gives_a_hit_back_as_it_was(hit):
    row = make_row(hit, "email", 7)
    assert read_hit(row) == (hit, 7)
    assert read_hit(orjson.loads(orjson.dumps(row))) == (hit, 7)


@pytest.mark.parametrize(
    "address",
    [
        "192.0.2.33",
        "::ffff:192.0.2.33",
        "::192.0.2.33",
        "::ffff:0:192.0.2.33",
        "64:ff9b::192.0.2.33",
        "2002:c000:221::",
        "2002:c000:221:ffff:1:2:3:4",
        "2001:0:4136:e378:8000:63bf:3fff:fdde",
    ],
)
def test_an_ipv4_address_is_one_source_however_it_is_written_into_ipv6(address):
    assert source_of(address) == "192.0.2.33"


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_a_source_in_ipv6_is_its_64_whatever_stands_behind(one, other):
    prefix = 0x2A00_1450_4001_0007 << 64
    a, b = (source_of(str(ipaddress.IPv6Address(prefix | low))) for low in (one, other))
    assert a == b == "2a00:1450:4001:7::/64"
    assert source_of(str(ipaddress.IPv6Address(prefix + (1 << 64)))) != a


@pytest.mark.parametrize("text", ["", "unknown", "1.2.3", "2001:db8::/64"])
def test_what_is_no_address_is_a_source_of_that_name(text):
    assert source_of(text) == text


def test_an_address_behind_a_local_nat64_is_itself():
    assert source_of("64:ff9b:1::c000:221") != source_of("64:ff9b:1::c000:222")


def test_an_address_that_only_holds_a_trusted_one_is_not_trusted():
    trusted = (ipaddress.ip_network("127.0.0.0/8"),)
    assert client_address("198.51.100.7, 2002:7f00:1::1", trusted) == "2002:7f00:1::1"
