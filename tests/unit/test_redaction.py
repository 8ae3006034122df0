"""Redaction: whatever surrounds them, no address and nothing that opens a door stays in a text."""

import base64
import ipaddress
import logging
import time
import urllib.parse

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared import logs
from shared.engagement.redaction import redact
from shared.engagement.tokens import mint
from tests.unit.test_tokens import SECRETS, tokens

around = st.text(st.characters(exclude_characters="@", exclude_categories=["Cs"]), max_size=30).filter(
    lambda text: "%40" not in text
)
quotes = st.sampled_from(["", " ", "'", '"', "<", "(", ":", "=", "\n", "Ada "])
secrets = st.binary(min_size=24, max_size=64)


@given(tokens, st.sampled_from("ociaw"), st.booleans(), quotes, st.sampled_from(["", " ", "?u=1", '"', "\n", ")"]))
def test_no_token_in_a_path_of_ours_passes(token, route, is_encoded, before, after):
    path = f"/{route}/{mint(token, SECRETS)}"
    written = urllib.parse.quote(path, safe="") if is_encoded else path
    text = redact(f"{before}https://mail.example.com{written}{after}")
    assert mint(token, SECRETS)[:16] not in text
    assert text.count("[token]") == 1


@given(tokens, quotes, st.sampled_from(["", " ", ",", '"', "\n", ")", "?u=1"]))
def test_no_token_passes_without_its_path(token, before, after):
    bare = mint(token, SECRETS)
    for written in (bare, urllib.parse.quote(bare, safe="")):
        assert redact(f"{before}{written}{after}") == f"{before}[token]{after}"


@given(tokens)
def test_no_token_passes_in_a_parameter_or_percent_encoded(token):
    assert redact(f"GET /x?next=%2F{mint(token, SECRETS)}&y=1") == "GET /x?next=%2F[token]&y=1"


networks = st.ip_addresses().filter(lambda address: not (address.is_loopback or address.is_unspecified))


@given(networks, st.sampled_from(["", " ", "'", "(", "=", "//", "X-Forwarded-For: "]), st.sampled_from(["", " ", "."]))
@example(ipaddress.ip_address("2001:db8::1"), "//[", "]:443/")
@example(ipaddress.ip_address("203.0.113.9"), "//", ":443/")
@example(ipaddress.ip_address("203.0.113.9"), "", ", ")
def test_no_ip_address_passes(address, before, after):
    assert redact(f"{before}{address}{after}") == f"{before}[network]{after}"


def test_an_ip_address_within_another_does_not_pass():
    assert redact("from ::ffff:203.0.113.9 port 443") == "from [network] port 443"


@given(st.datetimes(), st.uuids(), st.integers(0, 99), st.text("ghijklmnopqrstuvwxyz", min_size=1))
def test_times_versions_guids_and_words_pass(time, guid, number, word):
    for text in (
        time.isoformat(),
        f"{time:%H:%M:%S}",
        str(guid),
        guid.hex,
        f"{number}.{number}.{number}",
        f"v{number}.0.0.1",
        f"{word}::{word}",
        word,
    ):
        assert redact(f"at {text}, again") == f"at {text}, again"


@given(st.emails(), around, quotes, quotes)
@example("o'neil/sales=x@example.com", "", "", "")
@example('"ada lovelace"@example.com', "", "", "")
@example("ädä@exämple.com", "", "", "")
@example("ada@[192.0.2.1]", "", "<", "")
@example("'@a.ac", "", "", "")
@example("ada/=@a.ac", "", "", "")
def test_no_address_passes(address, text, before, after):
    shown = redact(f"{text}{before}{address}{after}{text}")
    assert address not in shown
    assert "@" not in shown
    assert "[address]" in shown


@given(st.emails(), st.sampled_from(["users/", "u=", "(", ""]))
def test_no_percent_encoded_address_passes(address, before):
    encoded = urllib.parse.quote(address, safe="")
    shown = redact(f"GET https://graph.microsoft.com/v1.0/{before}{encoded}/messages")
    assert encoded not in shown
    assert address.rpartition("@")[2] not in shown


@given(secrets, st.sampled_from(["Bearer ", "bearer ", "SharedKeyLite account:", "SharedKey account:", "Basic "]))
def test_no_credential_of_a_header_passes(secret, scheme):
    text = base64.b64encode(secret).decode()
    assert text not in redact(f"headers: {{'Authorization': '{scheme}{text}'}}")


@given(secrets, st.sampled_from(["sig={}", "...&sig={}&se=1", "AccountKey={};x=1", "client_secret={}", "?code={}"]))
def test_no_signature_key_or_client_secret_passes(secret, written):
    for text in (base64.b64encode(secret).decode(), urllib.parse.quote(base64.b64encode(secret), safe="")):
        assert text not in redact(written.format(text))


def test_a_web_token_does_not_pass_even_alone():
    token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.c2lnbmF0dXJl"
    assert redact(f"could not read {token}: expired") == "could not read [secret]: expired"


def test_our_settings_secrets_do_not_pass():
    assert "bG9jYWw" not in redact("{'TOKEN_SECRETS': '1:bG9jYWwgcnVucyBvbmx5'}")


@pytest.mark.parametrize(
    "text",
    [
        "email 9d1a8a1e-55b5-4d0b-8f43-2f0d0a2f8d9c of contoso waits for storage: ServerBusy",
        "delivery of 9d1a8a1e-55b5-4d0b-8f43-2f0d0a2f8d9c of contoso waits for Microsoft 365: 429 TooManyRequests",
        'File "/home/site/wwwroot/shared/services/folding.py", line 12, in fold_partition',
        "    @contextlib.contextmanager",
        "GET http://127.0.0.1:7071/health and http://[::1]:7071/health of 0.0.0.0",
        'File "<string>", line 3: "::".join(names), Foo::bar',
        "azure-core/1.35.0 (Linux-6.8.0-x86_64) 00:0a:95:9d:68:16",
        "the basic idea, the code: 404, a key is missing",
        "",
    ],
)
def test_what_an_operator_needs_stays(text):
    assert redact(text) == text


@given(around)
def test_redacting_twice_changes_nothing(text):
    assert redact(redact(text)) == redact(text)


LONG = [
    "a",
    "a@",
    '"',
    "%40",
    "/o/",
    "eyJa.",
    "Bearer ",
    "sig=",
    '"\\',
    "a%",
    "=@",
    "=@a.",
    "/@",
    "1.",
    ":",
    "1:",
    "AQFv",
]


@pytest.mark.parametrize("unit", LONG)
def test_a_long_text_takes_time_in_proportion(unit):
    def seconds(length):
        started = time.process_time()
        redact(unit * length)
        return time.process_time() - started

    assert seconds(40_000) < 40 * max(seconds(4_000), 0.002)


@pytest.fixture
def records():
    """Return what a logger of the worker wrote, as a handler formats it, with redaction on."""
    lines, before = [], logging.getLogRecordFactory()

    class Keeping(logging.Handler):
        def emit(self, record):
            lines.append(self.format(record))

    handler, logger = Keeping(), logging.getLogger("tests.redaction.deep")
    logs.redact()
    logging.getLogger("tests.redaction").addHandler(handler)
    yield logger, lines
    logging.getLogger("tests.redaction").removeHandler(handler)
    logging.setLogRecordFactory(before)


def test_what_any_logger_writes_is_redacted(records):
    logger, lines = records
    logger.warning("%s was refused for %s", "/o/AQFvAf8AAJ1xC2W6", "ada@example.com")
    assert lines == ["/o/[token] was refused for [address]"]


def test_a_traceback_is_redacted(records):
    logger, lines = records
    try:
        raise ValueError("no such person: ada@example.com")
    except ValueError:
        logger.exception("failed")
    assert "no such person: [address]" in lines[0]
    assert "Traceback" in lines[0]
    assert "ada@" not in lines[0]


def test_arguments_that_do_not_fit_are_not_written(records):
    logger, lines = records
    logger.error("%d mails", "ada@example.com")
    assert lines == ["%d mails (its arguments do not fit)"]


def test_switching_redaction_on_twice_wraps_once():
    before = logging.getLogRecordFactory()
    try:
        logs.redact()
        once = logging.getLogRecordFactory()
        logs.redact()
        assert logging.getLogRecordFactory() is once
    finally:
        logging.setLogRecordFactory(before)
