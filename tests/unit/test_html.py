"""The tokenizer: which spans of a document are tags, by the rules of the HTML Standard."""

from html.entities import html5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.character_references import decode_attribute, decode_text
from shared.engagement.html import Kind, Token, attributes, tokens

MARKUP = st.lists(
    st.sampled_from([
        "<", ">", "/", "</", "<!", "<!--", "-->", "--!>", "<a", "<b ", "<script>", "</script", "<title>", "</title>",
        "=",
        '"', "'", " ", "<svg>", "</svg>", "<math><mi>", "<![CDATA[", "]]>", "<!--[if mso]>", "<![endif]-->", "x", "\0",
        "\ud800", "\r\n", "<template>",
    ]) | st.text(max_size=3),
    max_size=30,
).map("".join)  # fmt: skip


def tags(document: str) -> list[str]:
    """The tags found, as written; those for Outlook alone in brackets."""
    found: list[str] = []
    hidden = False
    for token in tokens(document):
        if token.kind in {Kind.HIDDEN_START, Kind.HIDDEN_END}:
            hidden = token.kind is Kind.HIDDEN_START
        elif token.kind in {Kind.START, Kind.END}:
            tag = document[token.start : token.end]
            found.append(f"[{tag}]" if hidden else tag)
    return found


def first_attributes(document: str) -> dict[str, str]:
    token = next(token for token in tokens(document) if token.kind is Kind.START)
    return {name: document[value.start : value.end] for name, value in attributes(document, token).items()}


def unfinished(document: str) -> str | None:
    return next((document[token.start :] for token in tokens(document) if token.kind is Kind.UNFINISHED), None)


@given(MARKUP)
def test_any_string_is_read_in_order_and_without_overlap(document: str) -> None:
    position = 0
    for token in tokens(document):
        assert token.start <= token.end <= len(document)
        if token.kind is not Kind.UNFINISHED:
            assert position <= token.start
            position = token.end


@given(MARKUP)
def test_every_attribute_lies_within_its_tag(document: str) -> None:
    for token in tokens(document):
        if token.kind is Kind.START:
            for value in attributes(document, token).values():
                assert token.start < value.start <= value.end < token.end


@pytest.mark.parametrize("text", ["a < b", "<3", "< a>", "1 <= 2", "<", "<>", "&lt;a>"])
def test_a_less_than_sign_without_a_letter_behind_it_is_text(text: str) -> None:
    assert next(tokens(text)).kind is Kind.TEXT
    assert tags(text) == []


def test_a_tag_ends_at_the_first_bracket_outside_a_quoted_value() -> None:
    assert tags("<a b='>' c=\">\" d=e'>f'>") == ["<a b='>' c=\">\" d=e'>"]


def test_a_quote_within_a_name_or_an_unquoted_value_quotes_nothing() -> None:
    assert tags('<a b">c') == ['<a b">']
    assert tags('<a b=c">d') == ['<a b=c">']


def test_names_of_tags_and_attributes_are_read_in_ascii_lower_case() -> None:
    document = "<\N{KELVIN SIGN}bd><TaBle DATA-X=1 \N{KELVIN SIGN}=2>"
    assert [token.name for token in tokens(document) if token.kind is Kind.START] == ["table"]
    assert first_attributes(document) == {"data-x": "1", "\N{KELVIN SIGN}": "2"}


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("<a b=c>", {"b": "c"}),
        ("<a b='c d'>", {"b": "c d"}),
        ('<a b="c\'d">', {"b": "c'd"}),
        ("<a b>", {"b": ""}),
        ("<a b=>", {"b": ""}),
        ("<a b= >", {"b": ""}),
        ("<a b = c d>", {"b": "c", "d": ""}),
        ("<a b\n=\t'c'>", {"b": "c"}),
        ("<a b=c b=d B=e>", {"b": "c"}),
        ("<a/b/c=d/>", {"b": "", "c": "d/"}),
        ("<a b='c'd='e'>", {"b": "c", "d": "e"}),
        ("<a b='c'/>", {"b": "c"}),
        ("<a =b=c>", {"=b": "c"}),
        ("<a b==c>", {"b": "=c"}),
        ("<a b=c=d>", {"b": "c=d"}),
        ('<a b"c=d>', {'b"c': "d"}),
        ("<a b=`c d`>", {"b": "`c", "d`": ""}),
        ("<a b='c' = d>", {"b": "c", "=": "", "d": ""}),
        ("<a b<c=d>", {"b<c": "d"}),
        ("<a\x0bb=c d=e>", {"d": "e"}),
    ],
)
def test_attributes_are_read_as_the_standard_says(tag: str, expected: dict[str, str]) -> None:
    assert first_attributes(tag) == expected


@pytest.mark.parametrize(
    "comment", ["<!-- <a> -->", "<!-- <a> --!>", "<!-->", "<!--->", "<!---->", "<!----!>", "<!--<!-->",
    "<!-- -- <a> --->", "<!--a->--->"]
)  # fmt: skip
def test_a_comment_holds_no_tags_and_ends_where_the_standard_says(comment: str) -> None:
    assert tags(f"{comment}<b>") == ["<b>"]


@pytest.mark.parametrize(
    "comment", ["<!x <a>", "<?xml <a>", "</ <a>", "</3>", "</>", "<!>", "<!DOCTYPE a '>", "<![CDATA[ <a>", "<!-x>"]
)
def test_what_is_no_comment_ends_at_the_first_bracket(comment: str) -> None:
    assert tags(f"{comment}<b>") == ["<b>"]


@pytest.mark.parametrize("name", ["title", "textarea", "style", "xmp", "iframe", "noembed", "noframes", "script"])
def test_raw_text_holds_no_tags(name: str) -> None:
    assert tags(f"<{name} x='>'><a></a></{name}x></ {name}><!--</{name.upper()} y><b>") == [
        f"<{name} x='>'>", f"</{name.upper()} y>", "<b>"
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["noscript", "template", "select", "button", "object", "video"])
def test_what_a_client_without_scripts_reads_as_markup_is_markup(name: str) -> None:
    assert tags(f"<{name}><a></{name}>") == [f"<{name}>", "<a>", f"</{name}>"]


def test_plaintext_never_ends() -> None:
    assert tags("<plaintext></plaintext><a>") == ["<plaintext>"]


@pytest.mark.parametrize(
    ("script", "ends"),
    [
        ("<!-- </script>", True),
        ("<!-- <script </script>", False),
        ("<!-- <script> </script> </script>", True),
        ("<!-- <script> --> </script>", True),
        ("<!--> <script> </script>", True),
        ("<!---> <script> </script>", True),
        ("<!-- <scripty> </script>", True),
        ("<!-- <script> <!-- </script> </script>", True),
        ("<script> </script>", True),
    ],
)
def test_a_script_escapes_its_end_tag_by_a_comment_with_a_script(script: str, *, ends: bool) -> None:
    assert (tags(f"<script>{script}<a>")[-1:] == ["<a>"]) is ends


@pytest.mark.parametrize(
    "rest", ["<a href='x", '<a href="x>', "<a", "</a", "<a b=", "<!-- x", "<!--[if mso]>", "<!x", "</", "<title>x",
    "<style></style", "<script>"]
)  # fmt: skip
def test_a_construct_that_nothing_ends_takes_the_rest(rest: str) -> None:
    assert unfinished(f"<p>{rest}") == rest


@pytest.mark.parametrize(
    ("document", "found"),
    [
        ("<svg><title><b></b></title></svg>", ["<svg>", "<title>", "<b>", "</b>", "</title>", "</svg>"]),
        ("<svg><style><a></style></svg>", ["<svg>", "<style>", "<a>", "</style>", "</svg>"]),
        ("<svg><![CDATA[ > <a> ]]><b/></svg>", ["<svg>", "<b/>", "</svg>"]),
        ("<svg></svg><![CDATA[ > <a> ]]>", ["<svg>", "</svg>", "<a>"]),
        ("<svg/><title><a></title>", ["<svg/>", "<title>", "</title>"]),
        ("<svg x=/><title><a></title>", ["<svg x=/>", "<title>", "<a>", "</title>"]),
        ("<svg><p><title><a></title>", ["<svg>", "<p>", "<title>", "</title>"]),
        ("<div><svg></div><title><a></title>", ["<div>", "<svg>", "</div>", "<title>", "</title>"]),
        ("<svg></div><title><a></title>", ["<svg>", "</div>", "<title>", "<a>", "</title>"]),
        ("<svg></p><title><a></title>", ["<svg>", "</p>", "<title>", "</title>"]),
        ("<body><svg></body><title><a></title>", ["<body>", "<svg>", "</body>", "<title>", "<a>", "</title>"]),
        ("<svg><foreignObject><title><a></title>", ["<svg>", "<foreignObject>", "<title>", "</title>"]),
        ("<math><mi><title><a></title></mi>", ["<math>", "<mi>", "<title>", "</title>", "</mi>"]),
    ],
)
def test_svg_and_mathml_know_cdata_but_no_raw_text(document: str, found: list[str]) -> None:
    assert tags(document) == found


def test_the_namespace_of_a_tag_is_known() -> None:
    spaces = [
        token.namespace
        for token in tokens("<a><svg><a></a><desc><a></desc></svg><math><a>")
        if token.kind is Kind.START
    ]
    assert spaces == ["html", "svg", "svg", "svg", "html", "math", "math"]


@pytest.mark.parametrize(
    "condition", ["[if mso]", "[if gte mso 9]", "[if (mso 16)|(IE)]", "[IF !VML]", "[if mso | IE]"]
)
def test_a_downlevel_hidden_comment_is_markup_for_outlook(condition: str) -> None:
    assert tags(f"<!--{condition}><a b='-'><![endif]--><i>") == ["[<a b='-'>]", "<i>"]


@pytest.mark.parametrize(
    "document", ["<!--[if !mso]><!--><a><!--<![endif]-->", "<!--[if !mso]><!-- --><a><!--<![endif]-->",
    "<![if !mso]><a><![endif]>", "<!--[if !mso]>--><a>"]
)  # fmt: skip
def test_a_downlevel_revealed_branch_is_markup_for_all(document: str) -> None:
    assert tags(document) == ["<a>"]


@pytest.mark.parametrize(
    "document", ["<!-- [if mso]><a><![endif]-->", "<!--if mso]><a>-->", "<!--[iffy]><a>-->", "<!--[endif]><a>-->"]
)
def test_any_other_comment_is_none(document: str) -> None:
    assert tags(document) == []


def test_raw_text_that_a_conditional_comment_leaves_open_ends_with_it() -> None:
    assert tags("<!--[if mso]><style>a<![endif]--><i>") == ["[<style>]", "<i>"]


def test_a_token_names_its_span() -> None:
    assert list(tokens("a<B c>")) == [Token(Kind.TEXT, 0, 1), Token(Kind.START, 1, 6, "b", "html", 3, 5)]


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("&amp;", "&"), ("&AMP", "&"), ("?a=1&copy=2", "?a=1&copy=2"), ("?a&copy", "?a©"), ("&copy;=", "©="),
        ("&copyx", "&copyx"),
        ("&copy9", "&copy9"), ("&copy-", "©-"), ("&notit;", "&notit;"), ("&notin;", "∉"), ("&lang", "&lang"),
        ("&lang;", "⟨"), ("&bne;", "=⃥"),
        ("&#65", "A"), ("&#65B", "AB"), ("&#x41;", "A"), ("&#X41G", "AG"), ("&#", "&#"), ("&#;", "&#;"), ("&#x;",
        "&#x;"), ("&#xg", "&#xg"),
        ("&#128;", "€"), ("&#x9f;", "Ÿ"), ("&#129;", "\x81"), ("&#0;", "\ufffd"), ("&#xD800;", "\ufffd"),
        ("&#x110000;", "\ufffd"),
        ("&#x10FFFF;", "\U0010ffff"), ("&#0000000000065;", "A"), ("&#1;", "\1"), ("&#13;", "\r"), ("&unknown;",
        "&unknown;"), ("&", "&"), ("&&amp", "&&"),
        ("a\r\nb\rc\0", "a\nb\nc\ufffd"),
    ],
)  # fmt: skip
def test_references_in_an_attribute_follow_the_attribute_rule(source: str, value: str) -> None:
    assert decode_attribute(source) == value


@pytest.mark.parametrize(
    ("source", "text"), [("a&copy=2", "a©=2"), ("&copyx", "©x"), ("&notit;", "¬it;"), ("&notin;", "∉"), ("&ampamp;",
    "&amp;"), ("&x;", "&x;")]
)  # fmt: skip
def test_references_in_text_need_no_semicolon(source: str, text: str) -> None:
    assert decode_text(source) == text


@given(st.sampled_from(sorted(html5)))
def test_every_named_reference_is_known(name: str) -> None:
    assert decode_attribute(f"&{name} ") == decode_text(f"&{name} ") == f"{html5[name]} "


@given(st.from_regex(r"&#[xX]?[0-9a-fA-F]{1,6000};?", fullmatch=True))
def test_a_numeric_reference_of_any_length_is_one_character_at_most(source: str) -> None:
    assert len(decode_attribute(source)) <= len(source)


@given(st.text())
def test_what_the_stdlib_escapes_is_what_is_decoded(text: str) -> None:
    from html import escape

    assert decode_text(escape(text)) == text
    assert decode_attribute(escape(text)) == text.replace("\r\n", "\n").replace("\r", "\n").replace("\0", "\ufffd")
