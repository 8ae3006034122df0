"""The pixel of a mail longer than what Gmail shows, and what its sender is told."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement import clipping
from shared.engagement.clipping import SHOWN, length_note
from tests.unit.test_instrument import OURS, PIECES, after_pixel, before_pixel, follow, joined, without_pixel

WORDS = "A paragraph of a long letter. " * 10
LONG = f"<p>{WORDS}</p>" * 500
LINK = "<p><a href='https://x.example/'>x</a></p>"


def end_of_pixel(html: str) -> int:
    """How many bytes stand before the end of the one pixel."""
    return len(html.encode("utf-8", "surrogatepass")) - len(after_pixel(html).encode("utf-8", "surrogatepass"))


def open_elements(html: str) -> list[str]:
    """The elements that are open at the end of well-formed HTML."""
    found: list[str] = []
    for end, name in re.findall(r"<(/?)([a-z0-9]+)[^>]*>", re.sub(r"<!--.*?-->", "", html, flags=re.DOTALL)):
        if end:
            assert found.pop() == name
        elif name not in {"br", "img", "meta"}:
            found.append(name)
    return found


def test_the_pixel_of_a_mail_that_is_shown_whole_stands_at_its_end() -> None:
    html = f"<body>{LONG}"[: SHOWN - 1000] + "</body></html>"
    assert after_pixel(follow(html).html) == "</body></html>"


def test_the_pixel_may_use_all_that_is_shown_and_not_one_byte_more() -> None:
    short = end_of_pixel(follow("<body><p></p></body>").html)
    for extra, after in ((0, "</body>"), (1, "</p></body>")):
        html = follow(f"<body><p>{'x' * (SHOWN - short + extra)}</p></body>").html
        assert (end_of_pixel(html) <= SHOWN, after_pixel(html).endswith("</body>")) == (True, True)
        assert (after_pixel(html) == "</body>") is (after == "</body>")


def test_the_pixel_of_a_long_mail_is_shown_and_all_else_is_as_written() -> None:
    html = f"<html><body>{LONG}</body></html>"
    result = follow(html).html
    assert SHOWN - 1000 < end_of_pixel(result) <= SHOWN, "as near to the end as may be"
    assert without_pixel(result) == html
    assert (before_pixel(result)[-5:], after_pixel(result)[:4]) == ("ter. ", "</p>")


def test_bytes_are_counted_and_not_characters() -> None:
    result = follow("<body>" + f"<p>{'ä漢' * 100}</p>" * 300).html
    assert SHOWN - 2000 < end_of_pixel(result) <= SHOWN


def test_what_following_adds_before_the_pixel_counts() -> None:
    html = f"<body>{LINK * 1000}</body>"
    assert len(html) < SHOWN
    result = follow(html, link_url=lambda item, _: f"{OURS}/c/{item:0200}", attachments=[("a.pdf", f"{OURS}/a/1")])
    assert SHOWN - 1000 < end_of_pixel(result.html) <= SHOWN
    assert len(result.links) == 1000, "every link is followed all the same"


def test_the_pixel_stands_before_a_long_history() -> None:
    quote = '<div class="gmail_quote">'
    html = f"<div>mine</div>{quote}{LONG}</div>"
    result = follow(html, attachments=[("a.pdf", f"{OURS}/a/1")]).html
    assert re.search(r"mine</div><ul .*</ul>$", before_pixel(result))
    assert after_pixel(result).startswith(quote)


@pytest.mark.parametrize(
    "html",
    [
        f"<body><div>{LONG}</div></body>",
        f"<body><table><tr><td>{LONG}</td></tr></table></body>",
        "<body><table>" + f"<tr><td>{WORDS}</td><td>{WORDS}</td></tr>" * 300 + "</table></body>",
        "<body><table><tr><td>" + f"<table><tr><td>{WORDS}</td></tr></table>" * 500 + "</td></tr></table></body>",
        "<body><ul>" + f"<li>{WORDS}</li>" * 500 + "</ul></body>",
        "<body>" + f"<h2>Title</h2><p>{WORDS}<br><a href='https://x.example'>{WORDS}</a></p>" * 300 + "</body>",
        "<body>" + f"<div>{WORDS}<svg><g><title>x</title></g></svg></div>" * 400 + "</body>",
        "<body>" + f"<div>{WORDS}</div><template><div>{WORDS}</div></template>" * 300 + "</body>",
        "<body>" + f"<div>{WORDS}</div><select><option>{WORDS}</option></select>" * 300 + "</body>",
        "<body>" + f"<div style='display: none'><p>{WORDS}</p></div>" * 300 + f"<p>{WORDS}</p>" * 10 + LONG + "</body>",
    ],
    ids=["div", "layout", "rows", "tables", "list", "headings", "svg", "templates", "selects", "hidden"],
)
def test_the_pixel_stands_at_the_end_of_a_block_that_is_shown(html: str) -> None:
    result = follow(html).html
    before = open_elements(before_pixel(result))
    assert 0 < end_of_pixel(result) <= SHOWN
    assert not {"a", "svg", "template", "select", "option"} & set(before)
    assert before[-1] in {"p", "td", "div", "li", "h2", "body"}


@pytest.mark.parametrize(
    "unseen",
    [
        "<div style='display:none'>{}</div>", "<div style='Display : None!important'>{}</div>",
        "<div style='max-height:0;overflow:hidden'>{}</div>", "<div style='visibility:hidden'>{}</div>",
        "<div style='mso-hide:all'>{}</div>", "<div style='opacity:0.0'>{}</div>", "<div hidden>{}</div>",
        "<td style='display:none'>{}</td>", "<template></p>{}</template>", "<a href='mailto:x'></b></p>{}</a>",
        "<template>{}</template>", "<noscript>{}</noscript>", "<svg>{}</svg>", "<math>{}</math>",
        "<a href='mailto:x@y.example'>{}</a>", "<button>{}</button>", "<select>{}</select>", "<object>{}</object>",
        "<table><caption>{}</caption></table>", "<details>{}</details>", "<video>{}</video>", "<x-y>{}</x-y>",
        "<!--[if mso]>{}<![endif]-->", "<!--[if !mso]><!-->{}<!--<![endif]-->", "<![if !mso]>{}<![endif]>",
        "<!-- {} -->", "<style>{}</style>", "<script>{}</script>", "<title>{}</title>", "<textarea>{}</textarea>",
    ],
)  # fmt: skip
def test_the_pixel_never_stands_within(unseen: str) -> None:
    within = unseen.format(f"<div>{WORDS}</div>" * 100)
    html = follow(f"<body><p>first</p>{within}{LONG}</body>").html
    assert within in before_pixel(html), "behind it there is a place again"
    # What is within would be further out than the first block, and later.
    first = "<body><table><tr><td><p>first"
    html = follow(f"{first}</p><b></td></tr></table>{unseen.format('<div>x</div>')}<a>{LONG}").html
    assert before_pixel(html) == first


@pytest.mark.parametrize(
    "style", ["opacity:0.9", "max-height:0.5em", "line-height:0", "max-width:600px", "height:10px", "display:block"]
)
def test_a_style_that_only_resembles_one_that_hides_hides_nothing(style: str) -> None:
    html = follow(f"<body><p>first</p><div style='{style}'>second</div><a>{LONG}").html
    assert before_pixel(html).endswith("second")


@pytest.mark.parametrize(
    ("html", "before"),
    [
        (f"<!doctype html><html><head><title>x</title><style>p{{}}</style></head><body bgcolor=x><table>{'x' * SHOWN}",
         "<!doctype html><html><head><title>x</title><style>p{}</style></head><body bgcolor=x>"),
        (f"<!doctype html><meta charset=utf-8>\n<table><tr>{'x' * SHOWN}", "<!doctype html><meta charset=utf-8>\n"),
        (f"<head><title>x</title><p{' ' * SHOWN}>", "<head><title>x</title>"),
        ("x" * SHOWN, ""),
        ("<b>bold</b> line<br>" * 10 + "<b>" + "x" * SHOWN, "<b>bold</b> line<br>" * 10),
        (f"<p>one<p>two<p>three{'x' * SHOWN}", ""),
        (f"<body><div><svg/></div><a href=x>{LONG}", "<body><div><svg/>"),
        (f"<p>a</p></p></div></table><a>{LONG}", "<p>a"),
    ],
)  # fmt: skip
def test_the_pixel_stands_where_content_begins_when_no_block_ends_in_time(html: str, before: str) -> None:
    assert before_pixel(follow(html).html) == before


def test_a_mail_whose_styles_alone_are_too_long_has_its_pixel_at_the_end() -> None:
    html = f"<head><style>{'x' * SHOWN}</style></head><body><p>a</p></body>"
    assert after_pixel(follow(html).html) == "</body>"


@given(PIECES, st.integers(0, 25))
def test_every_character_survives_around_it_whatever_the_mail_is(pieces: list[str], at: int) -> None:
    html = joined([*pieces[:at], "x" * SHOWN, *pieces[at:]])
    result = follow(html, link_url=lambda _, target: target, image_url=lambda _, source: source)
    assert without_pixel(result.html) == html


@pytest.mark.parametrize(
    "piece",
    ["<div>", "</p>", "<div></p>", "<p>", "<br>", "<![if x]>", "<table><td>", "<svg/>", "<a>", "<!--[if x]><b>x-->",
     "<div style='max-height:'>", "<p style='display:"],
)  # fmt: skip
def test_steps_are_counted_once_for_each_tag(piece: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No tag is looked at again for those around it: what is opened and closed is counted."""
    popped = 0

    class Stack(list[tuple[str, bool]]):
        def pop(self, *_: object) -> tuple[str, bool]:
            nonlocal popped
            popped += 1
            return super().pop()

    plain = clipping._Around.__init__

    def counting(around: clipping._Around) -> None:
        plain(around)
        around._open = Stack()

    monkeypatch.setattr(clipping._Around, "__init__", counting)
    follow(piece * (SHOWN // len(piece)) + "x" * SHOWN)
    assert popped <= 2 * SHOWN // len(piece)


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        (90_000, SHOWN, None),
        (90_000, SHOWN + 1, "Following makes it 100 kB, 90 kB without: Gmail shows 102 kB"),
        (134_000, 150_000, "It has 134 kB: Gmail shows 102 kB"),
    ],
)
def test_the_sender_of_a_mail_that_gmail_does_not_show_whole_is_told(before: int, after: int, said: str | None) -> None:
    note = length_note(before, after)
    assert note is None if said is None else note is not None and note.startswith(said)


def test_the_pixel_stands_before_the_history_also_where_the_sender_goes_on_behind_it() -> None:
    mine = "<table><tr><td><p>mine</p>"
    html = f"{mine}<div class=gmail_quote>theirs</div></td></tr></table>{LONG}"
    assert before_pixel(follow(html).html) == mine


def test_a_quoted_pixel_at_the_very_place_is_gone_once_and_for_all() -> None:
    html = f"line<br><img src='{OURS}/o/old'>{'x' * SHOWN}"
    result = follow(html).html
    assert (before_pixel(result), after_pixel(result)) == ("line<br>", "x" * SHOWN)
