"""Where the tags of an HTML document are: a tokenizer that reports spans and changes nothing.

It follows the tokenization rules of the HTML Standard (13.2.5) as a browser without scripts applies them, including
what tree construction decides for the tokenizer: which elements hold raw text, and where the content is SVG or MathML.
It additionally looks into Outlook's downlevel-hidden conditional comments, whose content is HTML for Outlook and a
comment for everybody else. Any string is a document; time is linear in its length.
"""

import re
from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from shared.engagement.foreign_content import ForeignContent

_SPACE = r"\t\n\f\r "
# One attribute without its value, then what its value may be. A quote that nothing closes runs to the end, so that the
# tag as a whole does not match: the end of the file within a tag discards the tag.
_NAME = rf"[^{_SPACE}/>][^{_SPACE}/>=]*+"
_VALUE = (
    rf"""[{_SPACE}]*+=[{_SPACE}]*+(?:"([^"]*+)(?:"|\Z)|'([^']*+)(?:'|\Z)|([^{_SPACE}>"'][^{_SPACE}>]*+)|(?=>)|\Z)"""
)
_QUOTES = {2: '"', 3: "'", 4: ""}
_VALUE_UNGROUPED = re.sub(r"\((?!\?)", "(?:", _VALUE)

_OPENING = re.compile(r"<(?=[A-Za-z/!?])")
_TAG = re.compile(rf"<(/?)([A-Za-z][^{_SPACE}/>]*+)((?:[{_SPACE}/]++|{_NAME}(?:{_VALUE_UNGROUPED})?+)*+)>")
_ATTRIBUTE = re.compile(rf"({_NAME})(?:{_VALUE})?+")
_TAG_NAME_FOLLOWS = re.compile(r"</?[A-Za-z]")
_COMMENT_END = re.compile(r"--!?>")
_ABRUPT_COMMENT_END = re.compile(r"-?>")
_CONDITION = re.compile(r"\[if\b[^\[\]>]*\]>", re.IGNORECASE | re.ASCII)
_SCRIPT_MARK = re.compile(rf"<!--|-->|<(/?)script(?=[{_SPACE}/>])", re.IGNORECASE | re.ASCII)

_RAW_TEXT_END = {
    name: re.compile(rf"</{name}(?=[{_SPACE}/>])", re.IGNORECASE | re.ASCII)
    for name in ("title", "textarea", "style", "xmp", "iframe", "noembed", "noframes")
}
_ASCII_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")


class Kind(Enum):
    START = "start tag"
    END = "end tag"
    TEXT = "text"
    HIDDEN_START = "start of a downlevel-hidden conditional comment"
    HIDDEN_END = "its end"
    UNFINISHED = "a construct that nothing ends: it takes the rest of the document"


class Token(NamedTuple):
    """A span of the document.

    `name` is in ASCII lower case. `namespace` of a start tag is "html", "svg" or "math". `attributes_start` and
    `attributes_end` are the span of a tag's attributes. An unfinished construct starts where its first tag starts, also
    when that tag was reported before.
    """

    kind: Kind
    start: int
    end: int
    name: str = ""
    namespace: str = "html"
    attributes_start: int = 0
    attributes_end: int = 0


class Attribute(NamedTuple):
    """An attribute's value in the document: its span without quotes, and the quote (`"`, `'`, or "" where there is
    none).

    An attribute without a value has an empty span.
    """

    start: int
    end: int
    quote: str


def tokens(document: str) -> Iterator[Token]:
    """The tags and text of the document in order. Comments, declarations and the content of raw text elements are left
    out; the content of downlevel-hidden conditional comments comes between HIDDEN_START and HIDDEN_END.
    """
    return _tokens(document, 0, len(document))


def attributes(document: str, token: Token) -> dict[str, Attribute]:
    """The attributes of a tag by name in ASCII lower case. Of several with one name the first counts (HTML Standard
    13.2.5.33).
    """
    found: dict[str, Attribute] = {}
    for match in _ATTRIBUTE.finditer(document, token.attributes_start, token.attributes_end):
        name = ascii_lower(match[1])
        if name not in found:
            found[name] = _attribute(match)
    return found


def ascii_lower(text: str) -> str:
    """ASCII letters in lower case, all else unchanged: the Kelvin sign is not a k in HTML."""
    return text.lower() if text.isascii() else text.translate(_ASCII_LOWER)


def _attribute(match: re.Match[str]) -> Attribute:
    group = match.lastindex or 1
    if group == 1:
        return Attribute(match.end(), match.end(), "")
    return Attribute(match.start(group), match.end(group), _QUOTES[group])


def _tokens(document: str, position: int, end: int) -> Iterator[Token]:
    foreign = ForeignContent()
    while position < end:
        opening = _OPENING.search(document, position, end)
        start = opening.start() if opening else end
        if start > position:
            yield Token(Kind.TEXT, position, start)
        if not opening:
            return
        if tag := _TAG.match(document, start, end):
            token = _tag_token(document, tag, foreign)
            yield token
            after = _after_raw_text(document, token, end)
            if after is None:
                yield Token(Kind.UNFINISHED, start, end)
                return
            position = after
            continue
        after = _after_declaration(document, start, end, cdata=foreign.is_current)
        if after is None:
            yield Token(Kind.UNFINISHED, start, end)
            return
        condition = _CONDITION.match(document, start + 4, after) if document.startswith("<!--", start) else None
        if condition:
            yield Token(Kind.HIDDEN_START, start, condition.end())
            hidden_end = document.rindex("--", start, after)
            # One level deep: a comment within would have to end before the one around it.
            yield from _tokens(document, condition.end(), hidden_end)
            yield Token(Kind.HIDDEN_END, after, after)
        position = after


def _tag_token(document: str, tag: re.Match[str], foreign: ForeignContent) -> Token:
    name = ascii_lower(tag[2])
    start, end = tag.span()
    if tag[1]:
        foreign.close(name)
        return Token(Kind.END, start, end, name, "html", *tag.span(3))
    token = Token(Kind.START, start, end, name, "html", *tag.span(3))
    if not foreign.concerns(name):
        foreign.open(name)
        return token
    names = attributes(document, token).keys() if name in {"font", "annotation-xml"} else ()
    namespace = foreign.open(name, names, self_closing=_is_self_closing(document, token))
    return token._replace(namespace=namespace)


def _is_self_closing(document: str, token: Token) -> bool:
    """The tag ends with a slash that is not part of an unquoted value."""
    if document[token.attributes_end - 1] != "/":
        return False
    matches = list(_ATTRIBUTE.finditer(document, token.attributes_start, token.attributes_end))
    return not matches or matches[-1].end() < token.attributes_end


def _after_raw_text(document: str, token: Token, end: int) -> int | None:
    """Where markup goes on after a tag: behind it, or at the end tag of the raw text that it starts; None where
    nothing ends it.
    """
    if token.kind is not Kind.START or token.namespace != "html":
        return token.end
    if token.name == "script":
        return _script_end(document, token.end, end)
    if token.name == "plaintext":
        return None
    if pattern := _RAW_TEXT_END.get(token.name):
        match = pattern.search(document, token.end, end)
        return match.start() if match and _TAG.match(document, match.start(), end) else None
    return token.end


def _script_end(document: str, position: int, end: int) -> int | None:
    """The end tag of a script: not one within `<!-- <script>` (HTML Standard 13.2.5.15 to 13.2.5.31, script data
    escaped).
    """
    escaped = double = False
    while match := _SCRIPT_MARK.search(document, position, end):
        mark = match[0]
        position = match.end()
        if mark == "<!--":
            if not escaped:
                # Its two dashes may begin the `-->` that ends it again.
                escaped, position = True, position - 2
        elif mark == "-->":
            escaped = double = False
        elif match[1]:
            if not double:
                return match.start() if _TAG.match(document, match.start(), end) else None
            double = False
        elif escaped:
            double = True
    return None


def _after_declaration(document: str, start: int, end: int, *, cdata: bool) -> int | None:
    """Behind the comment, declaration or stray `</` at `start`; None where nothing ends it."""
    if _TAG_NAME_FOLLOWS.match(document, start, end):
        return None
    if document.startswith("<!--", start, end):
        if abrupt := _ABRUPT_COMMENT_END.match(document, start + 4, end):
            return abrupt.end()
        match = _COMMENT_END.search(document, start + 4, end)
        return match.end() if match else None
    terminator = "]]>" if cdata and document.startswith("<![CDATA[", start, end) else ">"
    at = document.find(terminator, start + 2, end)
    return at + len(terminator) if at >= 0 else None
