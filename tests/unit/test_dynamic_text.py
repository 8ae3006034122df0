"""Dynamic text: what is accepted, what is refused and how that is said, and that filling in is safe."""

import ast
import re
from html import escape
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.dynamic_text import DynamicTextError, columns_in, complaint, fill_html, fill_line

_CONTACT = {
    "firstname": "firstname",
    "first name": "firstname",
    "address 1: city": "address1_city",
    "address1_city": "address1_city",
}
_USER = {"fullname": "fullname", "full name": "fullname"}
NAMES = {"contact": ("contact", _CONTACT), "systemuser": ("systemuser", _USER), "user": ("systemuser", _USER)}
ADA = {("contact", "firstname"): "Ada", ("systemuser", "fullname"): "Sella Seller"}
ROOM = 10_000

LITERAL = st.text().filter(lambda text: "{!" not in text)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("Hi {!contact:firstname;friend}", "Hi Ada"),
        ("Hi {!Contact:First Name;friend}", "Hi Ada"),
        ("Hi {!CONTACT:FIRSTNAME;}", "Hi Ada"),
        ("Hi { !contact:firstname;}", "Hi { !contact:firstname;}"),
        ("{!contact: First  Name ;}", "Ada"),
        ("{!User:Full Name;} {!systemuser:fullname;}", "Sella Seller Sella Seller"),
        ("in {!Contact:Address 1: City;your city}", "in your city"),
        ("in {!contact:address1_city; your city }", "in your city"),
        ("in {!contact:address1_city;a;b}", "in a;b"),
        ("in {!contact:address1_city}", "in "),
        ("no placeholder {at} all", "no placeholder {at} all"),
    ],
)
def test_names_are_logical_or_display_names_in_any_case(text: str, filled: str) -> None:
    assert complaint(text, NAMES, html=False) == complaint(text, NAMES, html=True) == ""
    assert fill_line(text, NAMES, ADA) == filled
    assert fill_html(text, NAMES, ADA, ROOM) == filled


@pytest.mark.parametrize(
    ("text", "culprit", "remedy"),
    [
        ("Hi {!contact:firstname;friend", "'{!contact:firstname;friend'", "end a placeholder with '}'"),
        ("Hi {!contact:{!contact:firstname;};}", "'{!contact:{!", "no braces in it"),
        ("Hi {!", "'{!'", "end a placeholder"),
        ("Hi {!firstname}", "'{!firstname}'", "{!table:column;default}"),
        ("Hi {!}", "'{!}'", "{!table:column;default}"),
        ("Hi {!contact:;x}", "'{!contact:;x}'", "'' is no column of contact"),
        ("Hi {!contact:frstname;x}", "'{!contact:frstname;x}'", "did you mean 'firstname'?"),
        ("Hi {!lead:topic;x}", "'{!lead:topic;x}'", "columns of contact and systemuser, not of 'lead'"),
        ("Hi {!" + "x" * 300 + ":y}", "xxx...'", "columns of contact"),
        ("Hi {!contact:\x00\ud83d;}", "'{!contact: ?;}'", "is no column"),
    ],
)
def test_what_cannot_be_filled_in_is_named_with_what_would_be_right(text: str, culprit: str, remedy: str) -> None:
    for html in (False, True):
        said = complaint(text, NAMES, html=html)
        assert culprit in said
        assert remedy in said
        assert len(said) < 400
        with pytest.raises(DynamicTextError, match=r"placeholder|column"):
            columns_in(text, NAMES, html=html)


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("{!contact:first&nbsp;name;friend}", "Ada"),
        ("{!contact:&#102;irstname&nbsp;;friend}", "Ada"),
        ("{!contact:\r\n   firstname;friend}", "Ada"),
        ("{!contact:<b>firstname</b>;friend}", "Ada<b></b>"),
        ("<i>{!contact:</i><b style='{x:y;}'>firstname</b>;friend}", "<i>Ada</i><b style='{x:y;}'></b>"),
        ("{!contact:address1_city;Tom &amp; &lt;Jerry&gt;}", "Tom &amp; &lt;Jerry&gt;"),
        ("{!contact:address1_city;&#123;!user:fullname;&#125;}", "{!user:fullname;}"),
        ('<a title="{!contact:firstname;}" href="https://x.example/">x</a>', '<a title="Ada" href="https://x.example/">x</a>'),
    ],
)  # fmt: skip
def test_what_an_editor_does_to_a_placeholder_in_html_is_undone(text: str, filled: str) -> None:
    assert complaint(text, NAMES, html=True) == ""
    assert fill_html(text, NAMES, ADA, ROOM) == filled


@pytest.mark.parametrize(
    "text",
    [
        "<a href={!contact:firstname;}>x</a>",
        "<a href={!contact:first name;}>x</a>",
        '<a title="{!contact:firstname;}" {!contact:firstname;}>x</a>',
        "<a {!contact:firstname;}='x'>x</a>",
    ],
)
def test_a_placeholder_that_could_add_attributes_is_refused(text: str) -> None:
    assert "in quotes" in complaint(text, NAMES, html=True)


def test_a_stylesheet_as_dynamics_old_editor_keeps_is_refused_and_not_mailed() -> None:
    text = '<?xml version="1.0" ?><xsl:stylesheet version="1.0"><xsl:template match="/data"/></xsl:stylesheet>'
    assert "an XSLT stylesheet, and no code is run: write HTML" in complaint(text, NAMES, html=True)
    assert "an XSLT stylesheet, and no code is run: write text" in complaint(text, NAMES, html=False)
    assert complaint("How to read &lt;xsl:stylesheet&gt;", NAMES, html=True) == ""


@pytest.mark.parametrize("opening", ["<", "</", "<!", "<?", "1 <"])
def test_a_placeholder_that_could_become_a_tag_is_refused(opening: str) -> None:
    said = complaint(f"<p>{opening}{{!contact:firstname;}}>x</p>", NAMES, html=True)
    assert f"'{opening[-2:].strip()}{{!contact:firstname;}}" in said
    assert "write '&lt;'" in said
    assert complaint("<p>1 &lt;{!contact:firstname;} < {!contact:firstname;}</p>", NAMES, html=True) == ""
    assert complaint(f"{opening}{{!contact:firstname;}}>", NAMES, html=False) == ""


@given(LITERAL, LITERAL, st.text())
def test_what_is_no_placeholder_survives_byte_for_byte_and_a_value_is_text(before: str, after: str, value: str) -> None:
    values = {("contact", "firstname"): value}
    before = before.removesuffix("{")
    filled = fill_html(before + "{!contact:firstname;friend}" + after, NAMES, values, ROOM)
    assert filled.startswith(before)
    assert filled.endswith(after)
    middle = filled[len(before) : len(filled) - len(after)]
    middle = middle.replace("<br>", "\n")
    assert not set("<>\"'") & set(middle), "nothing but its line breaks is a tag"
    shown = middle.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&#x27;", "'")
    assert in_lines(shown.replace("&amp;", "&")) == in_lines(value or "friend")


def in_lines(text: str) -> list[str]:
    return re.split(r"\r\n|[\r\n\x0b\x0c\x85\u2028\u2029]", text)


@given(
    st.sampled_from(["{!contact:firstname;x}", "{!user:fullname;}", "{!contact:firstname;", "{!", "}", "{"]), st.text()
)
def test_a_value_is_never_expanded(value: str, more: str) -> None:
    values = {("contact", "firstname"): value + more, ("systemuser", "fullname"): "SECRET"}
    assert "SECRET" not in fill_line("{!contact:firstname;}", NAMES, values).replace(more, "")
    assert fill_html("{!contact:firstname;}", NAMES, {("contact", "firstname"): value}, ROOM) == value


@given(LITERAL.map(lambda text: text.removesuffix("{")), st.text(min_size=1))
def test_a_subject_stays_one_line_whatever_a_value_holds(literal: str, value: str) -> None:
    line = fill_line(literal + "{!contact:firstname;}", NAMES, {("contact", "firstname"): value})
    assert len(line.splitlines()) <= 1
    assert not any(ord(character) < 32 for character in line)
    plain = all(character.isprintable() for character in literal + value)
    assert not plain or line == literal + value


def test_a_header_cannot_be_smuggled_into_a_subject() -> None:
    values = {("contact", "firstname"): "Ada\r\nBcc: everybody@x.example"}
    assert fill_line("Hi {!contact:firstname;}", NAMES, values) == "Hi Ada Bcc: everybody@x.example"
    assert fill_line("Hi\r\n {!contact:address1_city;a\nb}", NAMES, {}) == "Hi  a b"


@given(st.text(alphabet='{}!:;<> "=&contafirsme/', max_size=60), st.booleans())
def test_any_text_is_filled_in_or_refused_and_both_agree(text: str, html: bool) -> None:
    if complaint(text, NAMES, html=html):
        return
    nothing = dict.fromkeys(columns_in(text, NAMES, html=html), "")
    filled = fill_html(text, NAMES, nothing, ROOM) if html else fill_line(text, NAMES, nothing)
    assert "{!" in text or filled == text


def test_a_body_is_as_long_as_there_is_room_for_and_no_longer() -> None:
    values = {("contact", "firstname"): "<" * 100}
    assert len(fill_html("{!contact:firstname;}" * 5, NAMES, values, 2000)) == 2000
    with pytest.raises(DynamicTextError, match="it would take 2,001 characters, and at most 2,000 fit"):
        fill_html("{!contact:firstname;}" * 5 + ".", NAMES, values, 2000)
    with pytest.raises(DynamicTextError, match="at most 2,000 fit"):
        fill_html("{!contact:firstname;}" * 10_000, NAMES, values, 2000)


def test_a_long_text_takes_linear_time() -> None:
    for part in ("{!", "{!<", "{!contact:firstname;}", "<a ", "{!<b x='{!'>}"):
        complaint(part * 100_000, NAMES, html=True)


def table(name):
    return [ast.literal_eval(f"[{line}]") for line in (DATA / name).read_text("utf-8").splitlines() if line[:1] == '"']


DATA = Path(__file__).parent / "dynamic_text"


@pytest.mark.parametrize("written", [row[0] for row in table("invisible.txt")], ids=ascii)
def test_what_nobody_sees_in_a_placeholder_does_not_matter(written: str) -> None:
    assert complaint(f"<p>{written}</p>", NAMES, html=True) == ""
    assert columns_in(written, NAMES, html=True) == {("contact", "firstname")}
    assert fill_html(f"<p>{written}</p>", NAMES, ADA, ROOM) == "<p>Ada</p>"
    if "&" not in written:
        assert fill_line(f"Dear {written}!", NAMES, ADA) == "Dear Ada!"


@pytest.mark.parametrize(("body", "value", "filled"), table("line_breaks.txt"), ids=ascii)
def test_the_lines_of_a_value_are_lines_in_the_mail(body: str, value: str, filled: str) -> None:
    assert fill_html(body, NAMES, {("contact", "firstname"): value}, ROOM) == filled


def test_the_lines_of_a_value_are_one_line_in_a_subject() -> None:
    values = {("contact", "firstname"): "Via Roma 1\nScala B\r\n50100 Firenze"}
    assert fill_line("{!contact:firstname;}", NAMES, values) == "Via Roma 1 Scala B 50100 Firenze"


@given(st.text(alphabet="ab<&\n\r\u2028"))
def test_a_value_of_any_lines_holds_no_more_than_its_lines(value: str) -> None:
    filled = fill_html("<p>{!contact:firstname;}</p>", NAMES, {("contact", "firstname"): value}, ROOM)
    assert filled == f"<p>{'<br>'.join(escape(line) for line in in_lines(value))}</p>"
