"""A browser is the judge of what a link is and where it leads: Chromium reads the same documents."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from playwright.sync_api import Page, sync_playwright

from shared.engagement.images import data_image
from shared.engagement.instrument import Instrumented, instrument

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OURS = "https://mail.example"
PIXEL = f"{OURS}/o/pixel"
BODIES = Path(__file__).parents[1] / "unit" / "bodies"

# The same examples in every run: a browser has oddities of its own, and a run is no place to discover them.
BATCHES = settings(deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed: install the package chromium"),
]

# Texts travel as ASCII JSON, so that lone surrogates arrive. DOMParser reads a document as a client without scripts
# does.
READ = r"""
(documents) => JSON.parse(documents).map(source => {
  const links = [], pixels = [];
  const visit = (root, rendered) => {
    for (const element of root.querySelectorAll('*')) {
      const name = element.localName;
      const isSvg = element.namespaceURI === 'http://www.w3.org/2000/svg' && name === 'a';
      const isHtml = element.namespaceURI === 'http://www.w3.org/1999/xhtml' && (name === 'a' || name === 'area');
      const href = element.getAttribute('href') ??
        (isSvg ? element.getAttributeNS('http://www.w3.org/1999/xlink', 'href') : null);
      // Chromium does not follow a link with a lone surrogate in its path; the URL Standard reads it as U+FFFD.
      const resolved = isHtml && href?.isWellFormed() ? element.href : URL.parse(href)?.href ?? null;
      if ((isHtml || isSvg) && href !== null) links.push([href, resolved]);
      if (rendered && element instanceof HTMLImageElement) pixels.push(element.getAttribute('src'));
      if (element instanceof HTMLTemplateElement) visit(element.content, false);
    }
  };
  visit(new DOMParser().parseFromString(source, 'text/html'), true);
  return JSON.stringify({links, pixels});
})
"""
FETCH = r"""
(urls) => Promise.all(JSON.parse(urls).map(async url => {
  try {
    const response = await fetch(url);
    const bytes = [...new Uint8Array(await response.arrayBuffer())];
    return [response.headers.get('content-type'), bytes];
  } catch { return null; }
}))
"""


@pytest.fixture(scope="module")
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page()
        browser.close()


def in_browser(page: Page, documents: list[str]) -> list[dict[str, Any]]:
    return [json.loads(answer) for answer in page.evaluate(READ, json.dumps(documents))]


def followed(document: str) -> Instrumented:
    return instrument(document, link_url=lambda item, _: f"{OURS}/c/{item}", image_url=lambda *_: None, pixel_url=PIXEL)


def is_http(url: str | None) -> bool:
    return url is not None and re.match("https?:", url) is not None


CURATED = [
    "https://example.com", "https://example.com/?a=1&copy=2", "https://example.com/?a=1&amp;b=2",
    "HTTPS://EXAMPLE.com/A", " https://example.com/ ", "https://example.com/a b", "https://exa\tmp\nle.com/\r\nx",
    "https://bücher.example/ä?ö#ü", "https://example.com/日本語?q=日本語#日本語", "https://user:pa ss@example.com:443/",
    "http://example.com:80/../a/./b", "https:example.com", "https:/example.com", "https:\\\\example.com\\a",
    "https:////example.com//a", "https://", "https://a b/", "https://[::1]/", "https://[::g]/", "https://0x7f.1/",
    "https://1.2.3.4.5/", "https://999.1/", "https://example.com:99999/", "https://example.com/%zz%41?%zz#%zz",
    "https://example.com/&quot;&#x22;&lt;&gt;", "https://example.com/?&notit;&not=1&notin;",
    "https://example.com/?&#128;&#x80;&#0;&#xD800;&#x110000;&#99999999999999999999;",
    "https://example.com/?&ampx&amp=&lt&gt;", "https://example.com/\x00a\ud800b", "https://xn--/",
    "https://ex_ample.com/", "https://faß.example/", "https://①②.example/", "https://example.com./",
    "https://%65xample.com/", "https://example.com/{}|\\^`[]'?{}|\\^`[]'#{}|\\^`[]'", "https://.com/",
    "mailto:a@example.com", "tel:+123", "#top", "page.html", "//example.com/x", "javascript:alert(1)", "", "?q",
    "data:text/plain,x",
]  # fmt: skip

_URL_PARTS = st.sampled_from(
[
    "http://", "https://", "HTTP:", "https:/", "example.com", "é", "日", "xn--", ":80", ":443", "@", "/", "\\", "..",
    "%2e", "?", "#", "&", "&amp;", "&copy", "&copy=", "&notit;", "&#", "&#x", "41", ";", "=", "%", " ", "\t", "\n",
    "\r", "\x0c", "\x00", "\x7f", "'", "|", "{", "}", "^", "`", "[", "]", "<", ">", "127.1", "0x1", "\u200b",
    "ß", "．", "\ud800", "\ufeff", "a", "Z", "+", "~",
]
)  # fmt: skip
HREFS = st.builds(lambda start, rest: start + rest, st.sampled_from(["http://h", "https://h/", "http:", ""]),
                  st.lists(_URL_PARTS, max_size=12).map("".join))  # fmt: skip


@settings(BATCHES, max_examples=40)
@given(hrefs=st.lists(HREFS, min_size=1, max_size=60))
def test_a_followed_link_leads_where_the_browser_would_have_gone(page: Page, hrefs: list[str]) -> None:
    check_targets(page, hrefs)


def test_curated_links_lead_where_the_browser_would_have_gone(page: Page) -> None:
    check_targets(page, CURATED)


def check_targets(page: Page, hrefs: list[str]) -> None:
    quoted = [f'<a href="{href}">' for href in hrefs] + [f"<a href='{href}'>" for href in hrefs if "'" not in href]
    for document, read in zip(quoted, in_browser(page, quoted), strict=True):
        (link,) = followed(document).links
        ((attribute, resolved),) = read["links"]
        if link.reason is None:
            # In a path Chromium writes %7C where the URL Standard keeps the bar, also when it is redirected there.
            assert (
                resolved in {link.target, link.target.replace("|", "%7C")} or redirected(page, link.target) == resolved
            )
        else:
            assert link.target == attribute, document
            # Chromium takes a space in a host, which no name has, for %20.
            assert link.reason != "not a valid address" or not is_url(page, resolved) or "%20" in resolved, document


def redirected(page: Page, location: str) -> str:
    return str(page.evaluate("location => new URL(location).href", location))


def is_url(page: Page, text: str | None) -> bool:
    return text is not None and bool(page.evaluate("text => URL.canParse(JSON.parse(text))", json.dumps(text)))


# Every href is its own, so that the links found on both sides can be compared as sets: a browser copies a link that
# crosses other elements.
_MARKUP = [
    "<a href=http://h/{}>", '<a href="http://h/{}">', "<a\nhref='http://h/{}'\t>", "<A HREF = http://h/{} />",
    "<a/href=http://h/{}>", "<area href=http://h/{}>", "<a href=http://h/{} href=http://h/twice>",
    "<a =href=1 href=http://h/{}>", "<a b='>' href=http://h/{}>", '<a b=">"href=http://h/{}>', "<a href>",
    "<a href= >", "<a title=href=1>", "<a xlink:href=http://h/{}>", "</a>", "<!--", "-->", "--!>", "<!-->", "<!--->",
    "<!---", "<!x>", "<!", "<?x", "?>", "</", "</ >", "</>", ">", "<", '"', "'", "=", "/", " ", "<![CDATA[", "]]>",
    "<!DOCTYPE html>", "<title>", "</title>", "<style>", "</style>", "<script>", "</script>", "</script\n",
    "<textarea>", "</textarea>", "<xmp>", "</xmp>", "<iframe>", "</iframe>", "<noembed>", "</noembed>", "<noframes>",
    "</noframes>", "<noscript>", "</noscript>", "<template>", "</template>", "<table>", "<tr>", "<td>", "</td>",
    "</table>", "<p>", "</p>", "<div>", "</div>", "<b>", "</b>", "</body>", "</html>", "<body>", "<head>", "</head>",
    "text", "&lt;a href=http://h/no&gt;", "<K", "\x00", "<b \x00", "<li>", "<br/>", "<img src=x>",
    "<svg><a xlink:href=http://h/{}>x</a></svg>", "<svg><a href=http://h/{} xlink:href=http://h/no>x</a></svg>",
    "<svg/>", "<svg><style><a href=http://h/{}></a></style></svg>",
    "<svg><title><a href=http://h/{}></a></title></svg>", "<svg><![CDATA[<a href=http://h/no></svg>]]></svg>",
    "<svg><foreignObject><div><a href=http://h/{}>x</a></div></foreignObject></svg>",
    "<svg><g><p><a href=http://h/{}>x</a>", "<svg><font><area href=http://h/no></svg>",
    "<svg><font size=1><area href=http://h/{}>", "<math><mi><a href=http://h/{}></a></mi></math>",
    "<math><mi><![CDATA[</mi>]]></mi></math>",
    "<math><annotation-xml encoding=text/html><area href=http://h/{}></annotation-xml></math>",
    "<math><annotation-xml><svg><title><area href=http://h/{}></title></svg></annotation-xml></math>",
]  # fmt: skip
DOCUMENTS = st.lists(st.sampled_from(_MARKUP), max_size=12).map(
    lambda pieces: "".join(piece.replace("{}", str(number)) for number, piece in enumerate(pieces))
)


@settings(BATCHES, max_examples=60)
@given(documents=st.lists(DOCUMENTS, min_size=1, max_size=40))
def test_the_links_found_are_those_the_browser_finds(page: Page, documents: list[str]) -> None:
    check_documents(page, documents)


@pytest.mark.parametrize("body", sorted(BODIES.glob("*.html")), ids=lambda path: path.stem)
def test_the_links_found_in_real_bodies_are_those_the_browser_finds(page: Page, body: Path) -> None:
    # What only Outlook reads, the browser does not.
    check_documents(page, [re.sub(r"<!--\[if.*?<!\[endif\]-->", "", body.read_text(), flags=re.DOTALL)])


def check_documents(page: Page, documents: list[str]) -> None:
    results = [followed(document) for document in documents]
    before = in_browser(page, documents)
    after = in_browser(page, [result.html for result in results])
    for document, result, read, reread in zip(documents, results, before, after, strict=True):
        found = {link.target for link in result.links}
        assert found == {resolved if is_http(resolved) else href for href, resolved in read["links"]}, document
        led = {link.target if link.item is None else f"{OURS}/c/{link.item}" for link in result.links}
        assert led == {href for href, _ in reread["links"]}, result.html
        assert reread["pixels"].count(PIXEL) == 1, result.html


_BASE64 = "R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAICRAEAOw=="
# Without tabs and line ends: Chromium keeps them in a data: URL, where the URL Standard removes them.
_DATA_PARTS = st.sampled_from([
    "image/gif", "IMAGE/png", "image/svg+xml", "text/plain", ";base64", "; BASE64", ";charset=x", ",", "AAAA", "QUI=",
    "QQ==", "QQ",
    "Q", "=", "%", "%41", "%3D", "%0a", " ", "#x", "?", "&", "é", "+", "/", "-", "\0", _BASE64,
])  # fmt: skip


@settings(BATCHES, max_examples=40)
@given(
    urls=st.lists(
        st.lists(_DATA_PARTS, max_size=7).map(lambda parts: f"data:{''.join(parts)}"), min_size=1, max_size=60
    )
)
def test_a_data_url_holds_what_the_browser_finds_in_it(page: Page, urls: list[str]) -> None:
    urls += [f"data:image/gif;base64,{url[5:]}" for url in urls] + [f"data:image/gif,{url[5:]}" for url in urls]
    for url, fetched in zip(urls, page.evaluate(FETCH, json.dumps(urls)), strict=True):
        image = data_image(url)
        if image is not None:
            assert fetched is not None, url
            assert (image[0], list(image[1])) == (fetched[0].partition(";")[0].strip(), fetched[1]), url
        else:
            # What is refused is not fetched either, or is empty, or no image that is hosted.
            assert fetched is None or not fetched[1] or not re.match(r"image/(?!svg)[a-z.+-]+(;|$)", fetched[0]), url
