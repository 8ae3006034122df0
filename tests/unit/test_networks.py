"""Which networks fetch mail on their own account or on somebody's behalf."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.networks import CATALOGUE, classify, neighbourhood, parse


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("66.249.84.5", "google"),
        ("2a00:1450:4001:82a::5", "google"),
        ("40.107.22.4", "microsoft-eop"),
        ("52.101.9.9", "microsoft-eop"),
        ("2a01:111:f403::1", "microsoft-eop"),
        ("40.94.89.21", "microsoft-detonation"),
        ("52.97.17.9", "exchange-online"),
        ("2603:1036:302:4::1", "exchange-online"),
        ("20.106.3.9", "azure"),
        ("172.225.20.7", "icloud-relay"),
        ("2a02:26f7:d5c8:4000::1", "icloud-relay"),
        ("67.231.152.3", "proofpoint"),
        ("185.58.85.1", "mimecast"),
        ("209.222.82.7", "barracuda"),
        ("3.91.4.8", "cloud"),
        ("8.8.4.4", ""),
        ("", ""),
        ("no address", ""),
    ],
)
def test_each_network_is_known(address: str, network: str) -> None:
    assert classify(address) == network


def test_a_published_range_inside_a_larger_one_keeps_its_own_class() -> None:
    assert (classify("52.97.0.1"), classify("52.120.0.1")) == ("exchange-online", "azure")
    assert (classify("3.24.133.129"), classify("3.24.134.1")) == ("barracuda", "cloud")


@pytest.mark.parametrize("address", ["192.0.2.1", "198.51.100.1", "203.0.113.1", "2001:db8::1"])
def test_documentation_addresses_are_ordinary_ones(address: str) -> None:
    assert classify(address) == ""
    assert neighbourhood(address) == address


def test_an_ipv4_address_written_as_ipv6_is_the_same() -> None:
    assert classify("::ffff:66.249.84.5") == "google"
    assert parse("::ffff:66.249.84.5") == ipaddress.ip_address("66.249.84.5")


@pytest.mark.parametrize(("name", "text"), [(name, text) for name, all_ in CATALOGUE.items() for text in all_.split()])
def test_the_catalogue_is_written_without_host_bits(name: str, text: str) -> None:
    assert str(ipaddress.ip_network(text)) == text, name


@given(st.ip_addresses())
def test_the_longest_prefix_of_the_catalogue_wins(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    plain = parse(str(address))
    found = [
        (network.prefixlen, name)
        for name, texts in CATALOGUE.items()
        for network in map(ipaddress.ip_network, texts.split())
        if plain in network
    ]
    assert classify(str(address)) == (max(found)[1] if found else "")


@given(st.ip_addresses())
def test_a_neighbourhood_contains_its_address(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    assert parse(str(address)) in ipaddress.ip_network(neighbourhood(str(address)))
