"""What a card says, and which kinds there are."""

import re
from datetime import UTC, datetime, timedelta, timezone

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.cards import (
    DESCRIPTION_LENGTH,
    KINDS,
    OFF_BY_DEFAULT,
    TITLE_LENGTH,
    actions,
    all_of,
    one_of,
    parse_kinds,
    words,
)
from shared.services.alerting import card_of, next_state

AT = datetime(2026, 11, 24, 9, 5, tzinfo=UTC)
EMAIL = "6f1c1d1e-0c2b-4a5e-9d5f-0123456789ab"


def units(text: str) -> int:
    return len(text.encode("utf-16-le")) // 2


@pytest.mark.parametrize(
    ("kind", "detail", "title", "description"),
    [
        ("firstopen", "Outlook", "Ada opened Offer", 'Ada opened "Offer" on 24 November 2026 at 09:05 UTC on Outlook.'),
        (
            "firstclick",
            "https://example.com/1",
            "Ada clicked a link in Offer",
            'Ada clicked https://example.com/1 in "Offer" on 24 November 2026 at 09:05 UTC.',
        ),
        (
            "attachmentopened",
            "Prices.pdf",
            "Ada opened Prices.pdf of Offer",
            'Ada opened Prices.pdf of "Offer" on 24 November 2026 at 09:05 UTC.',
        ),
        (
            "reply",
            "Bob Builder",
            "Bob Builder replied to Offer",
            'Bob Builder replied to "Offer" on 24 November 2026 at 09:05 UTC.',
        ),
        (
            "failed",
            "the mailbox is full",
            "Not sent: Offer",
            '"Offer" to Ada was not sent, on 24 November 2026 at 09:05 UTC: the mailbox is full.',
        ),
        (
            "reminder",
            "call her",
            "Reminder: Offer to Ada",
            'You asked to be reminded of "Offer" to Ada on 24 November 2026 at 09:05 UTC: call her.',
        ),
    ],
)
def test_a_card_says_who_which_mail_and_when(kind: str, detail: str, title: str, description: str) -> None:
    assert words(kind, ["Ada"], "Offer", AT, detail) == (title, description)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_known_is_left_out(kind: str) -> None:
    title, description = words(kind, [], "", AT)
    assert "(no subject)" in title
    assert "09:05 UTC" in description
    assert not re.search(r"None|: \.|\(\)|  ", title + description)


def test_a_time_of_another_zone_is_said_in_utc() -> None:
    _, description = words("reply", ["Ada"], "Offer", AT.astimezone(timezone(timedelta(hours=9))))
    assert "24 November 2026 at 09:05 UTC" in description


def test_of_several_recipients_a_card_does_not_pretend_to_know_which() -> None:
    names = ["Ada", "Bob", "Cy", "Di"]
    assert one_of(names) == "One of 4 recipients (Ada, Bob, Cy, ...)"
    assert all_of(names) == "4 recipients (Ada, Bob, Cy, ...)"
    assert words("failed", names, "Offer", AT)[1].startswith('"Offer" to 4 recipients')


@pytest.mark.parametrize("kind", KINDS)
@given(subject=st.text(max_size=2000), name=st.text(max_size=400), detail=st.text(max_size=9000))
def test_whatever_a_subject_holds_a_card_is_one_line_that_fits(kind: str, subject: str, name: str, detail: str) -> None:
    title, description = words(kind, [name, "Bob"], subject, AT, detail)
    assert 0 < units(title) <= TITLE_LENGTH
    assert 0 < units(description) <= DESCRIPTION_LENGTH
    for text in (title, description):
        assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]", text)
        assert orjson.dumps(text)


def test_a_subject_that_hides_or_turns_text_is_shown_as_it_is() -> None:
    title, _ = words("firstopen", ["Ada"], "Offer\r\nBcc: x\u202egpj.exe\x00 <b>\ud83d \U0001f600", AT)
    assert title == "Ada opened Offer Bcc: x gpj.exe <b>\ufffd \U0001f600"


def test_a_long_subject_is_cut_at_a_whole_character() -> None:
    title, description = words("firstopen", ["Ada"], "\U0001f600" * 800, AT)
    assert units(title) in (TITLE_LENGTH, TITLE_LENGTH - 1)
    assert title.endswith("\U0001f600…")
    assert description.count("\U0001f600") == 800


def test_the_data_of_a_card_says_how_to_open_the_mail() -> None:
    assert orjson.loads(actions(EMAIL)) == {"actions": [{"name": "openemail", "entity": "email", "id": EMAIL}]}


def test_every_kind_has_a_number_and_a_card_of_its_own() -> None:
    assert [kind.cardtype for kind in KINDS.values()] == [1001, 1002, 1003, 1004, 1005, 1006]
    assert len({card_of(EMAIL, kind) for kind in KINDS}) == 6
    assert OFF_BY_DEFAULT == ("firstclick", "attachmentopened", "reply")


def test_kinds_are_read_as_they_are_typed() -> None:
    assert parse_kinds(" Reply;failed ;\r\nreply;; ") == ("reply", "failed")
    assert parse_kinds("") == ()


@pytest.mark.parametrize("text", ["opened", "reply, failed", "reply;\u202e\ud800", "x" * 500])
def test_an_unknown_kind_is_refused_naming_those_there_are(text: str) -> None:
    with pytest.raises(ValueError, match="firstopen; reminder; failed; firstclick; attachmentopened; reply") as found:
        parse_kinds(text)
    assert str(found.value).isascii()
    assert len(str(found.value)) < 200


def test_what_was_due_while_its_kind_was_off_does_not_come_later() -> None:
    assert next_state(None, 50, 40, on=False) == "off"
    assert next_state("held", 50, 60, on=False) == "off"
    assert next_state("off", 50, 60) == "off"
    assert next_state("off", None, 60) is None, "it was nobody; a person may still come"
    assert next_state("raised", 50, 60, on=False) == "raised"
    assert next_state(None, None, 60, on=False) is None
