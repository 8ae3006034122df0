"""Gmail shows the first 102 kB of a mail and loads nothing of the rest until a reader asks for it.

Behind that nobody fetches a pixel, so a long mail has it further up: at the end of a block of the sender's own text,
where an element that is added is parsed as one and shows nothing. That links are followed makes a mail longer, and of
one that gets too long by that its sender is told.
Source: mautic/mautic #13522, and what Gmail puts there: "[Message clipped]  View entire message".
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from shared.engagement.body import Body, is_quote
from shared.engagement.character_references import decode_attribute
from shared.engagement.html import Kind, Token, attributes, tokens

SHOWN = 100_000
"""Bytes of a mail's HTML in UTF-8 that Gmail shows; what Exchange adds in front of a body takes some of its 102 kB."""

_BLOCKS = frozenset({"div", "p", "td", "th", "li", "dd", "center", "section", "article", "main", "header", "footer"})
_BLOCKS |= {"blockquote", "h1", "h2", "h3", "h4", "h5", "h6"}
_HOLDING_BLOCKS = _BLOCKS | {"", "html", "body"}
_AROUND_BLOCKS = frozenset({"html", "body", "table", "tbody", "thead", "tfoot", "tr", "ul", "ol", "dl"})
_VOID = frozenset(
    {"area", "base", "basefont", "bgsound", "br", "col", "embed", "hr", "image", "img", "input", "keygen"}
)
_VOID |= {"link", "meta", "param", "source", "track", "wbr"}
_OF_THE_HEAD = frozenset({"html", "head", "title", "style", "script", "meta", "link", "base", "noscript", "template"})
_UNSEEN = re.compile(
    r"(?:display\s*+:\s*+(?:none|flex|grid|inline-flex|inline-grid)|visibility\s*+:\s*+hidden|mso-hide\s*+:\s*+all"
    r"|(?<![\w-])(?:max-height|height|max-width|width|opacity)\s*+:\s*+0(?:\.0*+)?(?!\.?\d))",
    re.IGNORECASE,
)
_CONDITIONAL = re.compile(r"<!(?:--)?\[(if|endif)\b", re.IGNORECASE)


class Insertion(NamedTuple):
    """The span of a document that something takes the place of, and the bytes of UTF-8 that it has."""

    start: int
    end: int
    size: int


class _Place(NamedTuple):
    offset: int
    depth: int


def pixel_place(document: str, body: Body, changes: Sequence[Insertion], size: int) -> int:
    """The offset at which to add a pixel of `size` bytes to a document that gets `changes`, which do not overlap.

    That is `body.end`, unless it would lie past what is `SHOWN`: then the outermost block that ends before that, and
    before the quoted history, and of several the last; else where the content begins.
    """
    if _sized(document, [body.end], changes)[body.end] + size <= SHOWN:
        return body.end
    places = [place for place in _places(document) if place.offset <= body.end_of_own_text]
    sizes = _sized(document, [place.offset for place in places], changes)
    fitting = [place for place in places if sizes[place.offset] + size <= SHOWN]
    return min(fitting, key=lambda place: (place.depth, -place.offset)).offset if fitting else body.end


def length_note(before: int, after: int) -> str | None:
    """What to tell the sender of a mail whose HTML had so many bytes and has so many when it is followed; None where
    Gmail shows all of it.

    >>> length_note(97_000, 131_500)
    'Following makes it 132 kB, 97 kB without: Gmail shows 102 kB and hides the end until a reader asks for it'
    """
    if after <= SHOWN:
        return None
    size = f"It has {before / 1000:.0f} kB"
    if before <= SHOWN:
        size = f"Following makes it {after / 1000:.0f} kB, {before / 1000:.0f} kB without"
    return f"{size}: Gmail shows 102 kB and hides the end until a reader asks for it"


def size_of(text: str) -> int:
    """The bytes of a text in UTF-8."""
    return len(text.encode("utf-8", "surrogatepass"))


def _sized(document: str, offsets: Iterable[int], changes: Sequence[Insertion]) -> dict[int, int]:
    """The bytes that stand before each offset, in ascending order, when the changes before it are made."""
    waiting = sorted(changes, key=lambda change: change.start)[::-1]
    sizes: dict[int, int] = {}
    position = size = 0
    for offset in offsets:
        while waiting and waiting[-1].start <= offset:
            change = waiting.pop()
            size += size_of(document[position : change.start]) + change.size
            position = max(position, change.end)
        if offset > position:
            size += size_of(document[position:offset])
            position = offset
        sizes[offset] = size
    return sizes


class _Around:
    """The elements that are open around a place, as far as their tags tell."""

    def __init__(self) -> None:
        self._open: list[tuple[str, bool]] = []
        self._names: Counter[str] = Counter()
        self._strange = 0

    @property
    def depth(self) -> int:
        return len(self._open)

    @property
    def name(self) -> str:
        """The innermost, "" where none is open."""
        return self._open[-1][0] if self._open else ""

    @property
    def is_plain(self) -> bool:
        """Whether an image may be within each."""
        return not self._strange

    def open(self, name: str, *, plain: bool) -> None:
        self._open.append((name, plain))
        self._names[name] += 1
        self._strange += not plain

    def close(self, name: str) -> None:
        """Close an element with all within; an end tag of what is not open closes nothing."""
        while self._names[name]:
            closed, plain = self._open.pop()
            self._names[closed] -= 1
            self._strange -= not plain
            if closed == name:
                return


def _places(document: str) -> Iterator[_Place]:
    """The offsets, ascending, at which an image is parsed as one and opens no line, and how many elements are around
    each. The beginning of the content counts as deeper than all, to be taken last.
    """
    around = _Around()
    is_for_all = _conditions(document)
    begun = hidden = False
    for token in tokens(document):
        if token.kind is Kind.HIDDEN_START or token.kind is Kind.HIDDEN_END:
            hidden = token.kind is Kind.HIDDEN_START
            continue
        if hidden:
            continue
        if token.kind is Kind.UNFINISHED:
            return
        if not begun and _begins_content(document, token):
            begun = True
            around.close("head")
            yield _Place(token.end if token.name == "body" else token.start, len(document))
        if begun and around.is_plain and is_for_all(token.start):
            if token.kind is Kind.END and token.name == around.name and token.name in _BLOCKS:
                yield _Place(token.start, around.depth)
            elif token.kind is Kind.START and around.name in _HOLDING_BLOCKS:
                if token.name == "br":
                    yield _Place(token.end, around.depth)
                elif is_quote(document, token):
                    yield _Place(token.start, around.depth)
        if token.kind is Kind.END:
            around.close(token.name)
        elif token.kind is Kind.START and not _is_empty(document, token):
            around.open(token.name, plain=_is_plain(document, token))


def _begins_content(document: str, token: Token) -> bool:
    if token.kind is Kind.TEXT:
        return not document[token.start : token.end].isspace()
    return token.kind is Kind.START and token.name not in _OF_THE_HEAD


def _is_empty(document: str, token: Token) -> bool:
    return token.name in _VOID or (token.namespace != "html" and document[token.end - 2] == "/")


def _is_plain(document: str, token: Token) -> bool:
    """Whether an image within an element is parsed as one and shown with it."""
    if token.namespace != "html" or token.name not in _AROUND_BLOCKS | _BLOCKS or is_quote(document, token):
        return False
    found = attributes(document, token)
    style = found.get("style")
    unseen = style and _UNSEEN.search(decode_attribute(document[style.start : style.end]))
    return "hidden" not in found and not unseen


def _conditions(document: str) -> Callable[[int], bool]:
    """What tells of offsets, asked for in ascending order, whether they lie outside of what only some programs show:
    from a conditional comment, hidden or revealed, to its end.
    """
    marks = _CONDITIONAL.finditer(document)
    upcoming = next(marks, None)
    inside = False

    def is_for_all(offset: int) -> bool:
        nonlocal upcoming, inside
        while upcoming is not None and upcoming.start() < offset:
            inside = upcoming[1].lower() == "if"
            upcoming = next(marks, None)
        return not inside

    return is_for_all
