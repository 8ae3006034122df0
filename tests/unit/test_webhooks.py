"""What a webhook may be, which addresses it may lead to, and how it is signed."""

import re
import time
from pathlib import Path
from typing import Any

import pytest

from shared.engagement.webhooks import MAX_URL, is_public, may_connect, read_secret, read_url, sign

KEY = read_secret("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")


def test_the_signature_is_that_of_the_reference_libraries_of_standard_webhooks() -> None:
    signature = sign(KEY, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_signature_covers_id_time_and_every_byte_of_the_body() -> None:
    signature = sign(KEY, "a", 1, b"{}")
    assert signature not in {sign(KEY, "b", 1, b"{}"), sign(KEY, "a", 2, b"{}"), sign(KEY, "a", 1, b"{} ")}


def test_the_receiver_of_the_documentation_takes_what_is_signed_and_nothing_else() -> None:
    page = (Path(__file__).parents[2] / "docs" / "alerts.md").read_text()
    example = re.search(r"```python\n(.*?)```", page, re.DOTALL)
    assert example is not None
    names: dict[str, Any] = {}
    exec(example[1], names)
    now, secret = int(time.time()), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    headers = {"webhook-id": "a", "webhook-timestamp": str(now), "webhook-signature": sign(KEY, "a", now, b"{}")}
    assert names["is_genuine"](secret, headers, b"{}")
    assert not names["is_genuine"](secret, headers, b"{ }")
    assert not names["is_genuine"](secret, {**headers, "webhook-id": "b"}, b"{}")
    old = {"webhook-timestamp": str(now - 600), "webhook-signature": sign(KEY, "a", now - 600, b"{}")}
    assert not names["is_genuine"](secret, {**headers, **old}, b"{}")


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        "a text of more than 32 characters that is not one",
        "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLa==",
        "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS!",
        "whsec_ÄfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        "whsec_" + "A" * 88,
    ],
)
def test_a_secret_that_is_too_short_too_long_or_no_base64_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="must be 'whsec_' and the base64 of 24 to 64 random bytes"):
        read_secret(secret)


@pytest.mark.parametrize(
    "address",
    ["1.1.1.1", "52.96.0.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"],
)
def test_addresses_of_the_internet_may_be_connected_to(address: str) -> None:
    assert is_public(address)
    assert may_connect(address, local=True)


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.0.0.1",
        "100.64.0.1",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.169.254",
        "172.31.255.255",
        "192.168.1.1",
        "198.18.0.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "168.63.129.16",
        "::",
        "::1",
        "::7f00:1",
        "::ffff:0.0.0.0",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001::7f00:1",
        "2001:db8::1",
        "100::1",
        "fc00::1",
        "fd12:3456::1",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "",
        "localhost",
        "127.1",
        "2130706433",
        "0x7f000001",
    ],
)
def test_every_other_address_may_not(address: str) -> None:
    assert not is_public(address)
    assert not may_connect(address)


def test_a_local_run_may_connect_to_loopback_and_to_nothing_else_that_is_private() -> None:
    assert may_connect("127.0.0.1", local=True)
    assert may_connect("::1", local=True)
    assert not may_connect("10.0.0.1", local=True)
    assert not may_connect("169.254.169.254", local=True)
    assert not may_connect("0.0.0.0", local=True)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://hooks.contoso.com", "https://hooks.contoso.com/"),
        (" https://Hooks.Contoso.com:443/a b?code=%2F&x=1 ", "https://hooks.contoso.com/a%20b?code=%2F&x=1"),
        ("https://hooks.contoso.com:8443/", "https://hooks.contoso.com:8443/"),
        ("https://bücher.example/ä", "https://xn--bcher-kva.example/%C3%A4"),
        ("https://hooks.contoso.com./", "https://hooks.contoso.com./"),
        ("https://1.1.1.1/", "https://1.1.1.1/"),
        ("https://[2606:4700:4700::1111]/", "https://[2606:4700:4700::1111]/"),
    ],
)
def test_an_address_of_the_internet_is_kept_as_browsers_spell_it(text: str, address: str) -> None:
    assert read_url(text) == address


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "is not an address"),
        ("hooks.contoso.com", "is not an address"),
        ("https://", "is not an address"),
        ("https://a b/", "is not an address"),
        ("https://999.1.1.1/", "is not an address"),
        ("ftp://hooks.contoso.com/", "is not an address"),
        ("javascript:alert(1)", "is not an address"),
        ("http://hooks.contoso.com/", "must begin with https"),
        ("http://127.0.0.1/", "must begin with https"),
        ("https://user@hooks.contoso.com/", "user name or a password"),
        ("https://:secret@hooks.contoso.com/", "user name or a password"),
        ("https://hooks.contoso.com/#here", "fragment"),
        ("https://hooks.contoso.com/#", "fragment"),
        ("https://hooks.contoso.com/" + "ä" * MAX_URL, "at most 2,000 characters"),
        ("https://127.0.0.1/", "private network"),
        ("https://127.0.0.1./", "private network"),
        ("https://127.1/", "private network"),
        ("https://2130706433/", "private network"),
        ("https://0x7f000001/", "private network"),
        ("https://0177.0.0.1/", "private network"),
        ("https://１２７.0.0.1/", "private network"),
        ("https://0/", "private network"),
        ("https://10.1.2.3/", "private network"),
        ("https://169.254.169.254/latest/meta-data", "private network"),
        ("https://[::1]/", "private network"),
        ("https://[::ffff:10.0.0.1]/", "private network"),
        ("https://[64:ff9b::a9fe:a9fe]/", "private network"),
        ("https://[fe80::1]/", "private network"),
        ("https://localhost/", "private network"),
        ("https://localhost./", "private network"),
        ("https://LOCALHOST/", "private network"),
        ("https://anything.localhost/", "private network"),
        ("https://intranet/", "private network"),
        ("https://printer.local/", "private network"),
        ("https://metadata.google.internal/", "private network"),
        ("https://a..b/", "private network"),
    ],
)
def test_what_is_no_https_address_of_the_internet_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_url(text)


def test_a_local_run_may_name_loopback_over_http_and_no_other_private_address() -> None:
    assert read_url("http://127.0.0.1:9000/hook", local=True) == "http://127.0.0.1:9000/hook"
    assert read_url("http://localhost:9000/", local=True) == "http://localhost:9000/"
    assert read_url("https://[::1]:9000/", local=True) == "https://[::1]:9000/"
    for private in ("https://10.0.0.1/", "http://hooks.contoso.com/", "https://intranet/"):
        with pytest.raises(ValueError, match="must"):
            read_url(private, local=True)
