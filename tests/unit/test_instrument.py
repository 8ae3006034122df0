"""The rewriting of mail bodies, on what mail clients and newsletter builders produce and on what nobody should."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engagement.images import TRANSPARENT_GIF
from shared.engagement.instrument import Image, Instrumented, Link, instrument

OURS = "https://mail.example"
PIXEL = f"{OURS}/o/pixel"
BODIES = Path(__file__).with_name("bodies")


def is_ours(url: str) -> str | None:
    kinds = {"c": "link", "o": "pixel", "i": "image", "a": "attachment"}
    return kinds.get(url.removeprefix(f"{OURS}/")[:1]) if url.startswith(f"{OURS}/") else None


def follow(html: str, **options: Any) -> Instrumented:
    settings: dict[str, Any] = {
        "link_url": lambda item, _: f"{OURS}/c/{item}",
        "image_url": lambda item, _: f"{OURS}/i/{item}",
        "pixel_url": PIXEL,
        "is_ours": is_ours,
    }
    return instrument(html, **(settings | options))


def pixels(html: str) -> list[str]:
    return re.findall(rf'<img src="{PIXEL}"[^>]*>', html)


def without_pixel(html: str) -> str:
    """The body without the one pixel; everything else must then be as written."""
    (pixel,) = pixels(html)
    return html.replace(pixel, "")


def before_pixel(html: str) -> str:
    return html.partition(f'<img src="{PIXEL}"')[0]


def after_pixel(html: str) -> str:
    return html.partition(pixels(html)[0])[2]


# --- what real clients produce: exactly these attributes change, as they stand in the source

CHANGED: dict[str, list[str]] = {
    "outlook_windows": [
        'href="https://www.contoso.example/offers/4711?lang=en&amp;copy=2"',
        'href="http://intranet.contoso.example/Shared%20Documents/Angebot%20f%C3%BCr%20Kim.pptx"',
        'href="https://www.contoso.example/"',
        'href="https://www.contoso.example/"',
        'src="cid:image001.png@01DB7F21.5C2A7E10"',
        'src="cid:image001.png@01DB7F21.5C2A7E10"',
        'href="https://www.fabrikam.example/needs"',
    ],
    "outlook_web_reply": [
        'href="https://www.contoso.example/plan?a=1&amp;b=2"',
        'href="https://www.contoso.example/plan#p3"',
        'src="cid:5f0c1c7e-logo"',
        'href="https://www.fabrikam.example/answer"',
        'src="https://mail.example/i/OLD-IMAGE"',
    ],
    "gmail_reply": [
        'href="https://www.contoso.example/p/%C3%BCber-uns?utm_source=gmail&amp;utm_medium=email"',
        'src="cid:ii_m6p8kq7z0"',
        'href="http://www.contoso.example"',
        'href="https://www.fabrikam.example/x?y=%7Bz%7D"',
    ],
    "apple_mail_reply": [
        'href="https://www.contoso.example/a/b;c=d?e=f&amp;g#h"',
        'src="cid:4D0C2C1B-8A55-4C9B-9F6E-1D5B0A7E2F11"',
        'href="https://www.fabrikam.example/"',
    ],
    "mjml": [
        'href="https://www.contoso.example/spring?utm_campaign=spring&amp;utm_source=mail"',
        'href="https://www.contoso.example/logo"',
        'src="cid:logo"',
        'href="https://www.contoso.example/spring?utm_campaign=spring&amp;utm_source=mail"',
        'href="https://www.contoso.example/spring?utm_campaign=spring&amp;utm_source=mail"',
    ],
    "newsletter_builder": [
        'background="cid:paper"',
        'src="cid:paper"',
        'background="cid:paper"',
        'href="https://www.contoso.example/nord"',
        "href='https://www.contoso.example/süd?x=\"1\"'",
        'href="https://www.contoso.example/angebot?id=1&id2=2"',
        'href="https://www.contoso.example/angebot?id=1&id2=2"',
        'href="https://www.contoso.example/angebot?id=1&id2=2"',
    ],
    "word_pasted": [
        'href="https://www.contoso.example/docs?q=&quot;a b&quot;&lang=de"',
        'src="data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="',
    ],
    "fragment": ["href=https://www.contoso.example"],
    "table_soup": [
        "HREF=https://www.contoso.example/a?b=c&d",
        "href = 'https://www.contoso.example/it&#39;s'",
        'href="https://www.contoso.example/3"',
        "href=https://www.contoso.example/4/",
        'href="\n  https://www.contoso.example/\n  five"',
        "href='https://www.contoso.example/six'",
    ],
}
REMOVED = {
    "outlook_web_reply": '<img src="https://mail.example/o/OLD-PIXEL" width="1" height="1" border="0" alt="">',
    "gmail_reply": '<img src="https://mail.example/o/OLD-PIXEL" width="1" height="1">',
}
WRITTEN = re.compile(rf"""((?:href|src|background)\s*=\s*)(["'])({OURS}/[ci]/\d+)\2""", re.IGNORECASE)


@pytest.mark.parametrize("name", CHANGED)
def test_exactly_the_expected_spans_of_a_real_body_change(name: str) -> None:
    original = (BODIES / f"{name}.html").read_text()
    rewritten = without_pixel(follow(original).html)
    sources = iter(CHANGED[name])

    def restored(match: re.Match[str]) -> str:
        source = next(sources)
        quoted = source[len(match[1]) :][0] in "\"'"
        assert source.startswith(match[1])
        assert match[2] == (source[-1] if quoted else '"')
        return source

    assert WRITTEN.sub(restored, rewritten) == original.replace(REMOVED.get(name, "\0"), "")
    assert next(sources, None) is None


@pytest.mark.parametrize("name", CHANGED)
def test_the_redirects_of_a_real_body_are_numbered_in_its_order(name: str) -> None:
    result = follow((BODIES / f"{name}.html").read_text())
    assert re.findall(rf"{OURS}/c/(\d+)", result.html) == [
        str(link.item) for link in result.links if link.item is not None
    ]
    assert [link.item for link in result.links if link.item is not None] == list(
        range(len(re.findall(rf"{OURS}/c/\d", result.html)))
    )


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("outlook_windows", "</p></div>", "</body></html>\n"),
        ("outlook_web_reply", "</div>\n", "</body>\n</html>\n"),
        ("gmail_reply", "</blockquote></div>\n", ""),
        ("apple_mail_reply", "<br></div>", "</body></html>\n"),
        ("mjml", "</div>\n", "</body>\n\n</html>\n"),
        ("newsletter_builder", "</div>\n", "</body>\n</html>\n"),
        ("word_pasted", "</div>\n", ""),
        ("fragment", "<p>See you</p>", ""),
        ("table_soup", "six</a\n></p>", "</body ></html ><script>"),
    ],
)
def test_the_pixel_of_a_real_body_stands_at_its_end(name: str, before: str, after: str) -> None:
    html = follow((BODIES / f"{name}.html").read_text()).html
    assert before_pixel(html).endswith(before)
    assert after_pixel(html).startswith(after)


@pytest.mark.parametrize(
    ("name", "quote"),
    [
        ("outlook_windows", "<div style='border:none;border-top:solid #E1E1E1"),
        ("outlook_web_reply", '<div id="appendonsend">'),
        ("gmail_reply", '<div class="gmail_quote gmail_quote_container">'),
        ("apple_mail_reply", '<blockquote type="cite">'),
        ("mjml", f'<img src="{PIXEL}"'),
        ("fragment", f'<img src="{PIXEL}"'),
    ],
)
def test_followed_attachments_stand_before_the_quoted_history(name: str, quote: str) -> None:
    html = follow((BODIES / f"{name}.html").read_text(), attachments=[("offer.pdf", f"{OURS}/a/1")]).html
    assert re.search(rf'<a href="{OURS}/a/1"[^>]*>offer.pdf</a></li></ul>{re.escape(quote)}', html)


def test_the_links_of_a_newsletter_are_listed_with_text_and_reason() -> None:
    assert follow((BODIES / "newsletter_builder.html").read_text()).links == (
        Link(None, "https://view.contoso.example/?m={{message.id}}", "Im Browser ansehen", "template placeholder"),
        Link(None, "*|ARCHIVE|*", "Archiv", "template placeholder"),
        Link(None, "https://www.contoso.example/%%vorname%%/", "Ihr Bereich", "template placeholder"),
        Link(0, "https://www.contoso.example/nord", "Nord", None),
        Link(1, "https://www.contoso.example/s%C3%BCd?x=%221%22", "Süd", None),
        Link(2, "https://www.contoso.example/angebot?id=1&id2=2", "Zum Angebot", None),
        Link(3, "https://www.contoso.example/angebot?id=1&id2=2", "Zum Angebot", None),
        Link(4, "https://www.contoso.example/angebot?id=1&id2=2", "Zum Angebot", None),
        Link(None, "https://app.contoso.example/open", "In der App öffnen", "marked as not to be followed"),
        Link(None, "https://www.contoso.example/impressum", "Impressum", "marked as not to be followed"),
        Link(None, "https://l.contoso.example/?x=9", "Newsletter abbestellen", "unsubscribe link"),
        Link(None, "#top", "nach oben", "anchor within the mail"),
        Link(None, "/pfad", "Pfad", "relative link"),
    )


# --- what survives

PIECES = st.lists(
    st.sampled_from([
        '<a href="https://x.example/{}">', "<a href='https://x.example/{}?a=1&copy=2'>",
        "<a href=https://x.example/{}>",
        "<a href=mailto:a@b>", "<img src=cid:{}>", "<v:rect href='http://x.example/{}'/>", "<!--[if mso]>",
        "<![endif]-->",
        "<!--", "-->", "<title>", "</title>", "<script>", "</script>", "<template>", "<body>", "</body>", "</html>",
        "<svg>",
        "</svg>", "<div class=gmail_quote>", "'", '"', "<", "\0", "\r\n", "\ud800", "&amp;", "text", "<b", ">",
    ]) | st.text(max_size=2),
    max_size=25,
)  # fmt: skip


def joined(pieces: list[str]) -> str:
    """Each link and image carries the number of its piece."""
    return "".join(piece.replace("{}", str(number)) for number, piece in enumerate(pieces))


DOCUMENTS = PIECES.map(joined)


@given(DOCUMENTS)
def test_functions_that_change_nothing_leave_every_character_in_place(html: str) -> None:
    result = follow(html, link_url=lambda _, target: target, image_url=lambda _, source: source)
    assert without_pixel(result.html) == html


@given(PIECES)
def test_restoring_what_was_replaced_gives_the_original(pieces: list[str]) -> None:
    result = follow(
        joined(pieces), link_url=lambda item, _: f"{OURS}/c/{item}/", image_url=lambda item, _: f"{OURS}/i/{item}/"
    )
    restored = without_pixel(result.html)
    replaced = [(f"{OURS}/c/{link.item}/", link.target) for link in result.links if link.reason is None]
    replaced += [(f"{OURS}/i/{image.item}/", image.source) for image in result.images]
    for url, source in replaced:
        number = int(re.split("example/|cid:", source)[1].partition("?")[0])
        value = re.findall("(?:href|src)=([^>/]*(?://[^>/]*/[^>/]*)?)/?>", pieces[number])[0].replace("{}", str(number))
        quote = value[0] if value[0] in "\"'" else '"'
        assert f"{quote}{url}{quote}" in restored
        restored = restored.replace(f"{quote}{url}{quote}", value)
    assert restored == joined(pieces)


@given(DOCUMENTS)
def test_rewriting_again_changes_nothing_but_the_pixel(html: str) -> None:
    once = follow(html)
    twice = follow(once.html, image_url=lambda _, source: source)
    assert without_pixel(twice.html) == without_pixel(once.html)
    assert all(link.item is None for link in twice.links)


@given(DOCUMENTS)
def test_items_count_the_followed_links_and_every_other_has_a_reason(html: str) -> None:
    links = follow(html).links
    assert [link.item for link in links if link.reason is None] == list(
        range(sum(link.reason is None for link in links))
    )
    assert all((link.item is None) is (link.reason is not None) and len(link.text) <= 200 for link in links)


# --- links


def only_link(html: str, **options: Any) -> Link:
    (link,) = follow(html, **options).links
    return link


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('<a href="https://x.example">', '<a href="URL">'),
        ("<a href='https://x.example'>", "<a href='URL'>"),
        ("<a href=https://x.example>", '<a href="URL">'),
        ("<a href=https://x.example/>", '<a href="URL">'),
        ("<a\tHREF\n=\n'https://x.example'id=x>", "<a\tHREF\n=\n'URL'id=x>"),
        ('<a href="https://x.example" href="https://y.example">', '<a href="URL" href="https://y.example">'),
        ("<area href='https://x.example'>", "<area href='URL'>"),
        ("<svg><a xlink:href='https://x.example'>", "<svg><a xlink:href='URL'>"),
        ("<svg><a xlink:href=x href='https://x.example'>", "<svg><a xlink:href=x href='URL'>"),
        ("<v:shape href='https://x.example'/>", "<v:shape href='URL'/>"),
        ("<V:RoundRect HREF='https://x.example'>", "<V:RoundRect HREF='URL'>"),
        ("<i xmlns:q='urn:schemas-microsoft-com:vml'><q:oval href='https://x.example'>",
         "<i xmlns:q='urn:schemas-microsoft-com:vml'><q:oval href='URL'>"),
        ("<!--[if mso]><a href='https://x.example'><![endif]-->", "<!--[if mso]><a href='URL'><![endif]-->"),
        ("<template><a href='https://x.example'></template>", "<template><a href='URL'></template>"),
        ("<noscript><a href='https://x.example'></noscript>", "<noscript><a href='URL'></noscript>"),
    ],
)  # fmt: skip
def test_a_link_is_replaced_in_its_place(before: str, after: str) -> None:
    result = follow(before)
    assert without_pixel(result.html) == after.replace("URL", f"{OURS}/c/0")
    assert result.links[0].target == "https://x.example/"


@pytest.mark.parametrize(
    "html",
    ["<a name=https://x.example>", "<link href=https://x.example>", "<base href='https://x.example'>",
     "<b href=https://x.example>", "<a xlink:href=https://x.example>",
     "<!-- <a href=https://x.example> -->", "<title><a href=https://x.example></title>",
     "<script>'<a href=https://x.example>'</script>",
     "<a title='<a href=https://x.example>'>", "&lt;a href=https://x.example>", "</a href=https://x.example>",
     "<a href=https://x.example",
     "<q:oval href=https://x.example>", "https://x.example", "<style>a[href=https://x.example]{}</style>",
     "<math><a href=https://x.example>"],
)  # fmt: skip
def test_what_is_no_link_stays(html: str) -> None:
    result = follow(html)
    assert without_pixel(result.html) == html
    assert result.links == ()


def test_a_base_does_not_make_relative_links_followed() -> None:
    assert only_link("<base href='https://x.example/'><a href=page>").reason == "relative link"


@pytest.mark.parametrize(
    "mark", ["data-notrack", "data-notrack=''", "DATA-NOTRACK=false", "clicktracking=off", "clicktracking=' OFF '"]
)
def test_a_marked_link_stays(mark: str) -> None:
    assert only_link(f"<a {mark} href=https://x.example>x</a>").reason == "marked as not to be followed"


def test_clicktracking_on_is_no_mark() -> None:
    assert only_link("<a clicktracking=on href=https://x.example>").reason is None


def test_one_target_twice_is_two_items() -> None:
    links = follow("<a href=https://x.example>one</a><a href=https://x.example>two</a>").links
    assert links == (Link(0, "https://x.example/", "one", None), Link(1, "https://x.example/", "two", None))


def test_a_link_for_outlook_and_its_twin_for_others_are_two_items() -> None:
    twins = '<!--[if mso]><v:rect href="https://x.example">one</v:rect><![endif]--><!--[if !mso]><!--><a href="https://x.example">two</a><!--<![endif]-->'
    assert [(link.item, link.text) for link in follow(twins).links] == [(0, "one"), (1, "two")]


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (" a\n <b>b</b>&nbsp;\N{EM DASH}&amp;&copy;x ", "a b \N{EM DASH}&©x"),
        ("<img alt='a logo'>", "a logo"),
        ("<img>", ""),
        ("a<br>b<p>c</p>", "a b c"),
        ("un<b>bro</b>ken", "unbroken"),
        ("<!-- no --><!--[if mso]>for Outlook<![endif]-->yes", "yes"),
        ("<style>no</style><script>no</script>yes", "yes"),
        ("one<a href=#>two</a>", "one"),
        ("x" * 300, "x" * 200),
        ("a < b", "a < b"),
    ],
)
def test_the_text_of_a_link_is_what_it_shows(content: str, text: str) -> None:
    assert follow(f"<p>before<a href=https://x.example>{content}</a>after").links[0].text == text


def test_an_area_shows_its_alternative_text() -> None:
    assert only_link("<area href=https://x.example alt='North &amp; South'>text behind").text == "North & South"


def test_a_redirect_that_would_be_too_long_leaves_the_link_and_its_number_alone() -> None:
    result = follow(
        "<a href=https://x.example/long>a</a><a href=https://x.example>b</a>",
        link_url=lambda item, target: f"{OURS}/c/{item}?{target}",
        max_link_length=len(f"{OURS}/c/0?https://x.example/"),
    )
    assert "<a href=https://x.example/long>" in result.html
    assert [(link.item, link.target) for link in result.links] == [
        (None, "https://x.example/long"),
        (0, "https://x.example/"),
    ]
    assert "too long" in (result.links[0].reason or "")


def test_an_address_is_escaped_where_it_is_written() -> None:
    html = follow("<a href='https://x.example'>", link_url=lambda *_: "https://m.example/?a=1&copy='\"<").html
    assert html.startswith("<a href='https://m.example/?a=1&amp;copy=&#x27;&quot;&lt;'>")


def test_a_redirect_with_dashes_does_not_end_the_conditional_comment_it_stands_in() -> None:
    html = "<!--[if mso]><a href=https://x.example>a</a><a href=https://y.example>b</a><![endif]-->"
    once = follow(html, link_url=lambda item, _: f"{OURS}/c/a--{item}--")
    assert [link.text for link in follow(once.html).links] == ["a", "b"]


# --- the budget


@given(DOCUMENTS, st.integers(0, 400))
def test_the_result_stays_within_the_length_given(html: str, extra: int) -> None:
    least = len(json.dumps(follow(html, max_length=0).html))
    result = follow(html, max_length=least + extra)
    assert len(json.dumps(result.html)) <= least + extra


def test_links_that_do_not_fit_are_listed_and_the_first_ones_win() -> None:
    html = "ä" * 10 + "<a href='http://x.co'>1</a>" * 3
    limit = len(json.dumps(follow(html).html)) - 1
    result = follow(html, max_length=limit)
    assert [link.item for link in result.links] == [0, 1, None]
    assert "mail too long" in (result.links[2].reason or "")
    assert result.html.count("http://x.co") == 1


def test_only_so_many_links_are_followed_and_the_others_say_so():
    result = follow('<a href="https://x.example/">x</a>' * 5, max_links=3)
    assert [link.item for link in result.links] == [0, 1, 2, None, None]
    assert result.links[3].reason == "too many links: only the first 3 are followed"
    assert result.html.count('href="https://x.example/"') == 2


def test_everything_is_followed_where_it_fits_exactly() -> None:
    html = "<a href='http://x.co'>1</a>" * 3
    whole = follow(html)
    assert follow(html, max_length=len(json.dumps(whole.html))) == whole


# --- images and the quoted history


@pytest.mark.parametrize(
    "html", ["<img src='URL'>", "<image src='URL'>", "<td background='URL'>", "<v:fill src='URL'/>",
    "<v:imagedata o:href='URL'/>",
             "<!--[if vml]><v:imagedata src='URL'/><![endif]-->"]
)  # fmt: skip
def test_an_inline_image_is_hosted_wherever_it_is_shown(html: str) -> None:
    result = follow(html.replace("URL", "cid:a&amp;b"))
    assert without_pixel(result.html) == html.replace("URL", f"{OURS}/i/0")
    assert result.images == (Image(0, "cid:a&b"),)


def test_one_image_shown_twice_is_hosted_once() -> None:
    result = follow("<img src=cid:a><img src=cid:b><img src='cid:a'>")
    assert result.images == (Image(0, "cid:a"), Image(1, "cid:b"))
    assert re.findall(r"/i/(\d)", result.html) == ["0", "1", "0"]


def test_an_image_that_cannot_be_hosted_stays_and_takes_no_number() -> None:
    result = follow(
        "<img src='cid:no'><img src='cid:yes'>",
        image_url=lambda item, source: f"{OURS}/i/{item}" if "yes" in source else None,
    )
    assert without_pixel(result.html) == f"<img src='cid:no'><img src='{OURS}/i/0'>"
    assert result.images == (Image(0, "cid:yes"),)


@pytest.mark.parametrize(
    "html",
    [
        "<img src='https://x.example/a.png'>",
        "<img alt='cid:a'>",
        "<img src>",
        "<script src=cid:a></script>",
        "<svg><img-x src=cid:a>",
    ],
)
def test_other_images_stay(html: str) -> None:
    assert without_pixel(follow(html).html) == html


def test_a_quoted_pixel_is_gone() -> None:
    result = follow(f"<p>a<img height=1 src='{OURS}/o/old' width=1>b</p><img src=HTTPS://MAIL.example/o/old>")
    assert without_pixel(result.html) == "<p>ab</p>"
    assert result.images == ()


def test_a_quoted_pixel_as_a_background_or_fill_shows_nothing() -> None:
    result = follow(f"<td background='{OURS}/o/old'><v:fill src='{OURS}/o/old'/>")
    assert without_pixel(result.html) == f"<td background='{TRANSPARENT_GIF}'><v:fill src='{TRANSPARENT_GIF}'/>"


def test_a_quoted_hosted_image_is_hosted_anew_or_shows_nothing() -> None:
    html = f"<img src='{OURS}/i/old'>"
    assert without_pixel(follow(html).html) == f"<img src='{OURS}/i/0'>"
    assert follow(html).images == (Image(0, f"{OURS}/i/old"),)
    assert without_pixel(follow(html, image_url=lambda *_: None).html) == f"<img src='{TRANSPARENT_GIF}'>"


def test_an_image_behind_one_of_our_links_does_not_fire() -> None:
    assert without_pixel(follow(f"<img src='{OURS}/c/old'>").html) == f"<img src='{TRANSPARENT_GIF}'>"


# --- the pixel


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("<body>a", "</body></html>"),
        ("<body>a", "</BODY\n>"),
        ("<html>a", "</html>"),
        ("a", ""),
        ("", ""),
        ("a</body>b", "</body>c"),
        ("a</html>", "</body>"),
        ("a", "</body><!-- </body> -->"),
        ("a", "</body><!--[if mso]></body><![endif]-->"),
        ("a", "</body><script>'</body>'</script>"),
        ("a", "</body><template></body></template>"),
        ("a", "</body><a title='</body>"),
        ("a<!-- </body> -->", ""),
        ("a<!--[if mso]></body><![endif]-->", ""),
        ("a", "<!-- </body>"),
        ("a", "<!--[if mso]><b>"),
        ("a", "<a href='</body>"),
        ("a", "<title></body>"),
        ("a", "<style></style "),
        ("a", "<script></script\n"),
        ("a", "<plaintext>"),
        ("a", "<!x"),
        ("a", "</"),
        ("a<", ""),
        ("a", "<template><template>b</body></template>"),
        ("<svg><g>", ""),
    ],
)
def test_the_pixel_stands_where_it_is_read_as_an_element(before: str, after: str) -> None:
    html = follow(before + after).html
    assert before_pixel(html) == before
    assert after_pixel(html) == after


def test_the_pixel_is_visible_to_the_client_and_to_nobody_else() -> None:
    (pixel,) = pixels(follow("").html)
    assert 'width="1" height="1"' in pixel
    assert 'alt=""' in pixel
    assert "display:none" not in pixel
    assert "hidden" not in pixel


# --- attachments


def test_an_attachment_is_a_link_with_its_name_and_nothing_in_the_name_is_markup() -> None:
    html = follow("<p>a</p>", attachments=[("a <b>&\"'.pdf", f"{OURS}/a/1?x=1&y=2"), ("b.txt", f"{OURS}/a/2")]).html
    assert re.findall(r'<a href="([^"]*)" dir="auto">([^<]*)</a>', html) == [
        (f"{OURS}/a/1?x=1&amp;y=2", "a &lt;b&gt;&amp;&quot;&#x27;.pdf"),
        (f"{OURS}/a/2", "b.txt"),
    ]
    assert re.fullmatch(r"<p>a</p><ul .*</ul><img [^>]*>", html)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("offer\u202efdp.exe", "offerfdp.exe"),
        ("a\r\nb\0.pdf", "ab.pdf"),
        ("\u200b", "attachment"),
        ("", "attachment"),
        ("\ud800", "attachment"),
    ],
)
def test_an_attachment_name_cannot_disguise_itself(name: str, shown: str) -> None:
    assert f">{shown}</a>" in follow("", attachments=[(name, f"{OURS}/a/1")]).html


@pytest.mark.parametrize(
    "quote",
    ['<div id="divRplyFwdMsg">', '<DIV ID="x_divRplyFwdMsg">', "<div id=mail-editor-reference-message-container>",
     "<div class='a gmail_quote'>", '<blockquote type="CITE">',
     "<div class=yahoo_quoted>", '<div class="moz-cite-prefix">', "<div class=protonmail_quote>",
     '<div style="border:none;border-top:solid #B5C4DF 1.0pt;padding:3.0pt 0in 0in 0in">'],
)  # fmt: skip
def test_quoted_history_begins_where_a_mail_client_marks_it(quote: str) -> None:
    html = follow(f"<p>mine</p>{quote}theirs{quote}older", attachments=[("f", f"{OURS}/a/1")]).html
    assert re.match(rf"<p>mine</p><ul .*</ul>{re.escape(quote)}theirs{re.escape(quote)}older<img", html)


@pytest.mark.parametrize(
    "html",
    [
        "<blockquote>wisdom</blockquote>",
        "<!-- <div class=gmail_quote> -->",
        "<!--[if mso]><div class=gmail_quote><![endif]-->",
        "<p class=gmail_quote>",
    ],
)
def test_what_only_resembles_quoted_history_is_the_senders_own_text(html: str) -> None:
    assert re.match(rf"{re.escape(html)}<ul ", follow(html, attachments=[("f", f"{OURS}/a/1")]).html)


# --- hostile input


@pytest.mark.parametrize(
    "piece",
    ["<", "<a ", "<!--", "<!--[if mso]>", "<!--[if x]>-->", '<a href="', "<a href='x'>", "<v:a href=http://x>",
     "<svg>", "<svg><g>", "<svg><title>", "<svg><font ", "</p>", "<p>",
     "<template>", "<script>", "<script><!--", "<script><!--<script>", "<title>", "</title", "&", "&#",
     "<img src=cid:x>", "<a href=http://x>", "<![CDATA[", "<svg><![CDATA[",
     "<!--[if x]><a href=http://x>t-->", "a=", "</", "<!", "<?", "<div class=gmail_quote>", "\0", "\ud800",
     "<a href=&#", "<a b=c ", "<a a", "--", "<!-- --!", "<a href={{", "[[", "%%a"],
)  # fmt: skip
def test_time_is_linear_in_hostile_input(piece: str) -> None:
    def seconds(length: int) -> float:
        html = piece * (length // len(piece))
        start = time.process_time()
        follow(html)
        return time.process_time() - start

    # Ten times the input may take ten times as long, and with the noise of a busy machine thirty; quadratic would be a
    # hundred, at every try.
    assert any(seconds(300_000) < 30 * max(seconds(30_000), 0.02) for _ in range(3))


@pytest.mark.parametrize(
    "piece", ["<a href='https://x.example/", "{{", "[[", "${", "%%a", "&#1", "{!", "*|", "\ud800", "x", "<% "]
)
def test_a_huge_link_takes_no_longer_than_its_length(piece: str) -> None:
    start = time.process_time()
    follow(f'<a href="https://x.example/{piece * (300_000 // len(piece))}">x</a>')
    assert time.process_time() - start < 5
