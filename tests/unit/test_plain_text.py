"""What a line is, by Unicode's data: every character there is, not a list of known bad ones."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.addresses import is_address
from shared.engagement.plain_text import complaint, complaint_of_name, fold, harmless, whole

EVERY = [chr(number) for number in range(0x110000)]
TURNING = [one for one in EVERY if unicodedata.bidirectional(one) in
           ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")]  # fmt: skip
ENDS = [one for one in EVERY if len(f"a{one}b".splitlines()) > 1]
NAMES = ["Ada Lovelace", "Łukasz Żółć", "O\u2019Brien", "Nguyễn Văn A", "李小龍", "محمد", "דוד", "می\u200cخواهم",
         "क्\u200dष", "👩\u200d💻", "❤\ufe0f", "葛\U000e0100", "Müller\u00adLüdenscheidt", "שלום\u200f!"]  # fmt: skip
FILES = ["offer.pdf", "Angebot für Müller & Söhne (2).docx", "提案.pdf", "عرض.pdf", "می\u200cخواهم.pdf",
         "👩\u200d💻.png", "❤\ufe0f.png", "葛\U000e0100.txt", "a\u00a0b.pdf"]  # fmt: skip


def test_all_that_turns_text_around_is_refused_everywhere_and_named_with_its_place() -> None:
    assert len(TURNING) == 9
    for one in TURNING:
        for judge in (complaint, complaint_of_name, lambda text: complaint(text, joiners=True)):
            wrong = judge(f"invoice{one}fdp.exe")
            assert f"U+{ord(one):04X} {unicodedata.name(one)}" in wrong
            assert "position 8" in wrong


def test_all_that_ends_a_line_is_refused_in_names_and_folded_in_subjects() -> None:
    assert len(ENDS) == 10
    for one in ENDS:
        assert complaint(f"a{one}b")
        assert complaint_of_name(f"a{one}b")
        assert fold(f"Our{one}offer") == "Our offer"
        assert harmless(f"Our{one}offer") == "Our offer"
    assert fold("Our\r\n\toffer") == "Our   offer"


def test_addresses_and_file_names_hold_nothing_that_is_not_seen() -> None:
    unseen = [one for one in EVERY if unicodedata.category(one) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")]
    unseen += ["\u034f", "\u115f", "\u1160", "\u17b4", "\u2065", "\u2800", "\u3164", "\uffa0", "\ufffe", "\ufdd0"]
    for one in unseen:
        assert complaint(f"a{one}b"), hex(ord(one))
        assert not is_address(f"ada{one}b@mail.example"), hex(ord(one))
        assert bool(complaint(f"a{one}b", joiners=True)) == (one not in "\u200c\u200d"), hex(ord(one))


def test_letters_marks_numbers_and_signs_are_taken_as_they_are() -> None:
    blank = {"\u034f", "\u115f", "\u1160", "\u17b4", "\u17b5", "\u2800", "\u3164", "\uffa0"}
    for one in EVERY:
        if unicodedata.category(one)[0] in "LMNPS" and one not in blank:
            assert not complaint(f"a{one}b"), hex(ord(one))
            assert fold(f"a{one}b") == f"a{one}b"


@pytest.mark.parametrize("name", NAMES)
def test_names_as_people_write_them_are_taken(name: str) -> None:
    assert complaint_of_name(name) == ""
    assert fold(name) == name


@pytest.mark.parametrize("name", FILES)
def test_file_names_as_people_give_them_are_taken(name: str) -> None:
    assert complaint(name, joiners=True) == ""


@given(st.text())
def test_a_folded_text_is_one_line_and_folding_it_again_changes_nothing(text: str) -> None:
    folded = fold(text)
    assert len(folded.splitlines()) <= 1
    assert fold(folded) == folded
    folded.encode("utf-8")


@given(st.text(st.characters(exclude_categories=[])))
def test_what_is_harmless_is_one_line_that_reads_in_its_order(text: str) -> None:
    shown = harmless(text)
    assert len(shown.splitlines()) <= 1
    assert complaint_of_name(shown) == ""
    assert shown == shown.strip()
    shown.encode("utf-8")


def test_half_a_character_is_replaced() -> None:
    assert (whole("a\ud800b"), fold("a\udc00"), harmless("\ud83d")) == ("a\ufffdb", "a\ufffd", "\ufffd")
