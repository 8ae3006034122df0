"""What a mail's HTML body holds that following it touches: links, images, and the places where something may be
added.
"""

import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import NamedTuple

from shared.engagement.character_references import decode_attribute, decode_text
from shared.engagement.html import Attribute, Kind, Token, ascii_lower, attributes, tokens

MAX_ANCHORS = 10_000
"""Links that are looked at, five times as many as are followed."""
# The longest text kept of a link, and how far it is looked for: links that nobody closes must not make this quadratic.
TEXT_LENGTH = 200
_TEXT_TOKENS = 60
_TEXT_SOURCE = 2000
_TEXT_LOOKED_AT = 8000

_IMAGE_ELEMENTS = frozenset({"img", "image"})
_BACKGROUND_ELEMENTS = frozenset({"body", "table", "tbody", "tr", "th", "td"})
_BACKGROUND = re.compile(r"background[\t\n\f\r ]*=", re.IGNORECASE | re.ASCII)
_LINE_BREAKING = frozenset(
    ("br", "p", "div", "td", "th", "tr", "li", "table", "ul", "ol", "h1", "h2", "h3", "h4", "h5", "h6", "center", "hr")
)
# A prefix holds no colon (Namespaces in XML 1.0, section 3), so that no text is looked at twice.
_OFFICE_PREFIX = re.compile(
    r"[xX][mM][lL][nN][sS]:([^\s:=/>]++)\s*+=\s*+[\"']?+(?i:urn:schemas-microsoft-com:)", re.ASCII
)

# What stands where a mail client begins the quoted history: Outlook on the web, new Outlook, Dynamics, Gmail, Yahoo,
# Thunderbird, Proton; a `type="cite"` (Apple Mail, Thunderbird); the rule above the header block of Outlook for
# Windows.
_QUOTE_IDS = frozenset({"appendonsend", "divrplyfwdmsg", "x_divrplyfwdmsg", "mail-editor-reference-message-container"})
_QUOTE_CLASSES = frozenset(
    {"gmail_quote", "gmail_quote_container", "yahoo_quoted", "moz-cite-prefix", "protonmail_quote"}
)
_QUOTE_ELEMENTS = frozenset({"div", "blockquote", "hr"})
_QUOTE_STYLE = re.compile(r"border-top:\s*solid #(?:E1E1E1|B5C4DF) 1\.0pt;\s*padding:\s*3\.0pt", re.IGNORECASE)


class Anchor(NamedTuple):
    """A link: the span of its address, the address decoded, the text it shows, and whether it is marked not to be
    followed.
    """

    value: Attribute
    href: str
    text: str
    marked: bool


class Picture(NamedTuple):
    """An image: the element, the span of its address, and the address decoded. `is_element`: an `<img>`, nothing
    else.
    """

    element: Token
    value: Attribute
    source: str
    is_element: bool


class Body(NamedTuple):
    """Links, at most `MAX_ANCHORS`, and images in the order of the document; offsets at which an element added is
    parsed as one.
    """

    anchors: tuple[Anchor, ...]
    pictures: tuple[Picture, ...]
    end_of_own_text: int
    end: int


def read(document: str) -> Body:
    """What `document`, any string, holds. Also looks into downlevel-hidden conditional comments for links and
    images.
    """
    all_tokens = list(tokens(document))
    prefixes = frozenset({"v", "o", "w"} | {ascii_lower(match[1]) for match in _OFFICE_PREFIX.finditer(document)})
    end = _end(document, all_tokens)
    quote = next(_quotes(document, all_tokens), end)
    return Body(
        tuple(islice(_anchors(document, all_tokens, prefixes), MAX_ANCHORS)),
        tuple(_pictures(document, all_tokens, prefixes)),
        min(quote, end),
        end,
    )


def _is_office(token: Token, prefixes: frozenset[str]) -> bool:
    return ":" in token.name and token.name.partition(":")[0] in prefixes


def _anchors(document: str, all_tokens: Sequence[Token], prefixes: frozenset[str]) -> Iterator[Anchor]:
    shown: dict[int, str] = {}
    for index, token in enumerate(all_tokens):
        if token.kind is not Kind.START:
            continue
        if token.name not in {"a", "area"} and not _is_office(token, prefixes):
            continue
        found = attributes(document, token)
        value = found.get("href")
        if value is None and token.namespace == "svg":
            value = found.get("xlink:href")
        if value is None or token.namespace == "math" or (token.namespace == "svg" and token.name == "area"):
            continue
        marked = "data-notrack" in found or _decoded(document, found.get("clicktracking")).strip().lower() == "off"
        yield Anchor(value, _decoded(document, value), _text(document, all_tokens, index, found, shown), marked)


def _pictures(document: str, all_tokens: Sequence[Token], prefixes: frozenset[str]) -> Iterator[Picture]:
    for token in all_tokens:
        if token.kind is not Kind.START or token.namespace != "html":
            continue
        is_element = token.name in _IMAGE_ELEMENTS
        if is_element:
            names: tuple[str, ...] = ("src",)
        elif _is_office(token, prefixes):
            names = ("src", "o:href")
        elif token.name in _BACKGROUND_ELEMENTS and _BACKGROUND.search(
            document, token.attributes_start, token.attributes_end
        ):
            names = ("background",)
        else:
            continue
        found = attributes(document, token)
        for name in names:
            if value := found.get(name):
                yield Picture(token, value, _decoded(document, value), is_element)


def _decoded(document: str, value: Attribute | None) -> str:
    return decode_attribute(document[value.start : value.end]) if value else ""


def _text(
    document: str, all_tokens: Sequence[Token], index: int, found: dict[str, Attribute], shown: dict[int, str]
) -> str:
    """What a link shows: the text and the images' alternative text up to where it closes, else its own alternative
    text. `shown` keeps what tokens show, by position: links that nobody closes share it.
    """
    token = all_tokens[index]
    parts: list[str] = []
    is_empty = token.name == "area" or (token.name != "a" and document[token.attributes_end - 1] == "/")
    if not is_empty:
        room = _TEXT_LOOKED_AT
        for part in _parts(document, all_tokens, index, shown):
            parts.append(part[:room])
            room -= len(part)
            if room <= 0:
                break
    return _collapsed("".join(parts)) or _collapsed(_decoded(document, found.get("alt")))


def _parts(document: str, all_tokens: Sequence[Token], index: int, shown: dict[int, str]) -> Iterator[str]:
    name = all_tokens[index].name
    hidden = False
    for position in range(index + 1, min(index + 1 + _TEXT_TOKENS, len(all_tokens))):
        token = all_tokens[position]
        if hidden or token.kind is Kind.HIDDEN_START:
            # Text for Outlook alone, within a link for all: the link's own text follows.
            hidden = token.kind is not Kind.HIDDEN_END
        elif token.kind is Kind.TEXT:
            if position not in shown:
                shown[position] = decode_text(document[token.start : min(token.end, token.start + _TEXT_SOURCE)])
            yield shown[position]
        elif (
            token.kind is Kind.HIDDEN_END
            or token.kind is Kind.UNFINISHED
            or (token.name == name and (name == "a" or token.kind is Kind.END))
        ):
            return
        elif token.name in _IMAGE_ELEMENTS and token.kind is Kind.START:
            if position not in shown:
                shown[position] = f" {_decoded(document, attributes(document, token).get('alt'))} "
            yield shown[position]
        elif token.name in _LINE_BREAKING:
            yield " "


def _collapsed(text: str) -> str:
    return " ".join(text.split())[:TEXT_LENGTH].rstrip()


def _end(document: str, all_tokens: Sequence[Token]) -> int:
    """Before the last `</body>`, else before the last `</html>`, else at the end: always where markup is parsed as
    such.
    """
    ends: dict[str, int] = {}
    hidden = False
    last = len(document)
    templates: list[int] = []
    for token in all_tokens:
        if token.kind is Kind.TEXT:
            continue
        if token.kind is Kind.HIDDEN_START or token.kind is Kind.HIDDEN_END:
            hidden = token.kind is Kind.HIDDEN_START
        elif hidden:
            continue
        elif token.kind is Kind.UNFINISHED:
            last = token.start
        elif token.name == "template" and token.namespace == "html":
            if token.kind is Kind.START:
                templates.append(token.start)
            elif templates:
                templates.pop()
        elif token.kind is Kind.END and token.name in {"body", "html"} and not templates:
            ends[token.name] = token.start
    return ends.get("body", ends.get("html", min([last, *templates])))


def _quotes(document: str, all_tokens: Sequence[Token]) -> Iterator[int]:
    """Where quoted history begins, as far as the marks of mail clients tell."""
    hidden = False
    for token in all_tokens:
        if token.kind is Kind.HIDDEN_START or token.kind is Kind.HIDDEN_END:
            hidden = token.kind is Kind.HIDDEN_START
        elif token.kind is Kind.START and not hidden and is_quote(document, token):
            yield token.start


def is_quote(document: str, token: Token) -> bool:
    """Whether a start tag is one at which quoted history begins."""
    if token.name not in _QUOTE_ELEMENTS:
        return False
    found = attributes(document, token)
    if _decoded(document, found.get("id")).lower() in _QUOTE_IDS:
        return True
    if token.name == "blockquote" and _decoded(document, found.get("type")).lower() == "cite":
        return True
    if not _QUOTE_CLASSES.isdisjoint(_decoded(document, found.get("class")).split()):
        return True
    return token.name == "div" and _QUOTE_STYLE.search(_decoded(document, found.get("style"))) is not None
