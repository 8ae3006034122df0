"""The link to withdraw by and the page behind it: bare, in the reader's language, holding nothing of the request."""

import re
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.instrument import instrument
from shared.engagement.tokens import SEGMENT_LENGTH, Token, TokenKind, mint, verify
from shared.engagement.withdrawal import (
    HEADERS,
    LINK_TEXT,
    Form,
    Recipient,
    address_in,
    address_key,
    confirmation,
    dump,
    footer,
    language_of,
    load,
    page,
)
from shared.engagement.withdrawal_words import WORDS

RECORD = f"contact {uuid.uuid4()}"
BODY = "<html><body>\r\n<p>An <a href=https://contoso.example/?a=1&copy=2>offer</a></p>\r\n</body></html>"


def followed(**options: str) -> str:
    done = instrument(
        BODY,
        link_url=lambda item, _: f"https://mail.example/c/{item}",
        image_url=lambda *_: None,
        pixel_url="https://mail.example/o/1",
        **options,  # type: ignore[arg-type]
    )
    return done.html


@pytest.mark.parametrize("language", WORDS)
@pytest.mark.parametrize("asks", [False, True])
def test_the_page_loads_nothing_and_runs_nothing(language: str, asks: bool):
    text = page(language, WORDS[language].later, asks_address=asks)
    assert f'<html lang="{language}">' in text
    assert not re.search(r"<script|<img|<link|<iframe|src=|href=|url\(|\bon\w+=", text)
    assert ("<input" in text) is asks
    assert '<form method="post">' in text


def test_what_was_wrong_with_an_address_is_heard_at_its_field():
    wrong = page("en", WORDS["en"].wrong, asks_address=True)
    assert 'autofocus aria-describedby="said"' in wrong
    assert f'<p id="said" role="status"><strong>{WORDS["en"].wrong}</strong></p>' in wrong
    assert "aria-describedby" not in page("en", asks_address=True)


def test_its_policy_allows_its_own_style_and_its_own_form_and_nothing_else():
    policy = HEADERS["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self'" in policy
    assert "unsafe" not in policy
    assert HEADERS["Cache-Control"] == "no-store"
    assert "noindex" in HEADERS["X-Robots-Tag"]


def test_every_language_has_all_words():
    assert all(all(words) for words in WORDS.values())
    assert len({words.done for words in WORDS.values()}) == len(WORDS)


@pytest.mark.parametrize(
    ("accepted", "language"),
    [("it-IT,it;q=0.9", "it"), ("en;q=0.2,es", "es"), ("de;q=0,fr;q=0.1", "fr"), ("*", "en"), ("q=;;,\x00", "en")],
)
def test_the_page_speaks_what_its_reader_prefers(accepted: str, language: str):
    assert language_of(accepted) == language


@given(st.text())
def test_any_header_has_a_language(accepted: str):
    assert language_of(accepted) in WORDS


def test_a_link_names_its_recipient_without_their_address():
    recipient = Recipient(address_key("Ada@Example.com "), RECORD)
    assert recipient.address == address_key("ada@example.com")
    assert load(dump(recipient)) == recipient
    assert load(dump(Recipient(recipient.address))) == Recipient(recipient.address)
    assert load("") is None


@given(st.text())
def test_no_other_target_names_anybody(target: str):
    assert load(target) is None


def test_it_fits_into_one_segment_and_none_but_ours_is_believed():
    secrets = {1: b"s" * 32}
    target = dump(Recipient(address_key("ada@example.com"), RECORD))
    token = Token(1, "contoso", TokenKind.WITHDRAWAL, uuid.uuid4(), 0, None, target)
    path = mint(token, secrets)
    assert len(path) <= SEGMENT_LENGTH
    assert verify(path, secrets) == token
    assert verify(path[:-2] + "AA", secrets) is None


@pytest.mark.parametrize(
    ("given", "address"),
    [(" ada@example.com ", "ada@example.com"), ("ada", None), ("", None), ("a@b.example\r\nBcc: c@d.example", None)],
)
def test_only_an_address_that_can_be_written_to_is_one(given: str, address: str | None):
    assert address_in(Form(True, given)) == address


def test_the_line_stands_before_the_pixel_and_changes_nothing_else():
    line = footer("https://mail.example/w/1", "")
    assert followed(footer=line).replace(line, "") == followed()
    assert followed(footer=line).index(line) < followed(footer=line).index("<img")
    assert LINK_TEXT in line


def test_an_organizations_words_are_text_and_not_markup():
    assert "<b>" not in footer("https://mail.example/w/1", "<b>Stop</b>")
    assert "&lt;b&gt;Stop" in footer("https://mail.example/w/1", "<b>Stop</b>")


def test_the_mail_that_confirms_has_the_link_and_says_what_it_is_for():
    subject, html = confirmation("en", "https://mail.example/w/1")
    assert 'href="https://mail.example/w/1"' in html
    assert subject == WORDS["en"].subject
