"""Dynamics' dynamic text in templates: ``{!contact:firstname;friend}`` stands for a column of a record, and behind the
semicolon is what to say where that is empty.

Table and column go by their logical or their display names, in any case: ``{!Contact:First Name;friend}``. Text is
filled in once: what a value holds, be it another placeholder, is text. In HTML values are escaped. Editors mangle what
they take for words, so in HTML character references within a placeholder are decoded, any white space is a space, and
tags within it are kept and come behind the value: no tag of the author's is lost. ``{!`` itself must stand together.
What nobody sees (zero-width spaces, soft hyphens, byte order marks) matters in the default only.

Source: Microsoft's "Personalize emails with dynamic text" (Power Apps); what it leaves open is fixed here.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from html import escape

from shared.engagement.character_references import decode_text
from shared.engagement.html import Kind, attributes, tokens
from shared.engagement.plain_text import BREAKS, fold

type Names = Mapping[str, tuple[str, Mapping[str, str]]]
"""The tables that a template offers: by each of their names, case-folded, the logical name and the columns, logical
name by each of theirs. A part of a column, such as ``createdon/@date``, goes as a column of its own."""

type Values = Mapping[tuple[str, str], str]
"""What columns hold, as a reader expects it, by logical names of table and column; what is not there is empty."""

# Characters that nobody sees: Unicode's Default_Ignorable_Code_Point.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
_OPENING = re.compile(rf"\{{{_INVISIBLE.pattern}*+!")
# Dynamics' old editor keeps templates so; mailed as they are, recipients would see the code.
_STYLESHEET = "<xsl:stylesheet"
_IN_TEXT = re.compile(rf"{_OPENING.pattern}([^{{}}]*+)\}}")
# A tag within may hold braces of its own.
_IN_HTML = re.compile(rf"{_OPENING.pattern}((?:<[^<>]*+>|[^{{}}])*+)\}}")
_TAG = re.compile(r"<[^<>]*+>")
# A value right behind it would become the name of a tag, or a declaration.
_TAG_OPENING = re.compile(rf"<[/!?]?{_OPENING.pattern}")
_LINE_BREAK = re.compile(r"\r\n|[\n\r\x0b\x0c\x85\u2028\u2029]")


class DynamicTextError(ValueError):
    """A text that cannot be filled in; the message names the placeholder and says what would be right."""


@dataclass(frozen=True, slots=True)
class Placeholder:
    """A placeholder in a text: its span, the names as they are written, what to say instead of nothing, the tags within
    it."""

    start: int
    end: int
    table: str
    column: str
    default: str
    tags: str


def complaint(text: str, names: Names, *, html: bool) -> str:
    """Return what is wrong with a text for a template that offers the tables in `names`, "" where nothing is.

    >>> complaint("Hi {!contact:firstnam;}", {"contact": ("contact", {"firstname": "firstname"})}, html=False)
    "'{!contact:firstnam;}': 'firstnam' is no column of contact; did you mean 'firstname'?"
    """
    if _STYLESHEET in text:
        form = "HTML" if html else "text"
        return (
            f"it is an XSLT stylesheet, and no code is run: write {form}, such as 'Dear {{!contact:firstname;friend}}'"
        )
    try:
        for placeholder in _placeholders(text, html=html):
            _resolve(text, placeholder, names)
        return _bare_value(text) if html else ""
    except DynamicTextError as error:
        return str(error)


def columns_in(text: str, names: Names, *, html: bool) -> set[tuple[str, str]]:
    """Return the columns that a text is filled in with, by logical names of table and column.

    Raises `DynamicTextError` where `complaint` complains of the text's placeholders.
    """
    return {_resolve(text, placeholder, names) for placeholder in _placeholders(text, html=html)}


def fill_html(text: str, names: Names, values: Values, most: int) -> str:
    """Return HTML with its placeholders filled in, the values escaped, and their line breaks as ``<br>`` where there is
    text (not in a tag, nor where tags mean nothing: a title, a style, a comment); all else stays byte for byte.

    Raises `DynamicTextError` as `columns_in` does, and before it takes more than `most` characters: a small text that
    names a long value often enough would not fit into memory.

    >>> fill_html("<p>{!user:name;}", {"user": ("user", {"name": "name"})}, {("user", "name"): "<Ada>"}, 100)
    '<p>&lt;Ada&gt;'
    """
    escaped = {key: escape(value) for key, value in values.items()}
    broken = {key: _LINE_BREAK.sub("<br>", value) for key, value in escaped.items()}
    parts = _fill(text, names, escaped, broken if broken != escaped else {}, html=True)
    size = sum(map(len, parts))
    if size > most:
        raise DynamicTextError(f"it would take {size:,} characters, and at most {most:,} fit")
    return "".join(parts)


def fill_line(text: str, names: Names, values: Values) -> str:
    """Return a line of plain text, such as a subject, with its placeholders filled in; line breaks and other control
    characters, which could begin another header, become spaces. Raises `DynamicTextError` as `columns_in` does."""
    return BREAKS.sub(" ", "".join(_fill(text, names, values, {}, html=False)))


def _fill(text: str, names: Names, values: Values, of_text: Values, *, html: bool) -> list[str]:
    """Return the parts of a text filled in; `of_text` are the values within HTML's text where these differ."""
    texts = [(t.start, t.end) for t in tokens(text) if t.kind is Kind.TEXT] if of_text else []
    parts: list[str] = []
    position = 0
    for placeholder in _placeholders(text, html=html):
        default = escape(placeholder.default) if html else placeholder.default
        at = bisect_right(texts, (placeholder.start, len(text)))
        in_text = at > 0 and placeholder.start < texts[at - 1][1]
        value = (of_text if in_text else values).get(_resolve(text, placeholder, names)) or default
        parts += [text[position : placeholder.start], value, placeholder.tags]
        position = placeholder.end
    return [*parts, text[position:]]


def _placeholders(text: str, *, html: bool) -> Iterator[Placeholder]:
    """Yield the placeholders of a text in order; raise `DynamicTextError` for one that is not closed or names none."""
    opening = _OPENING.search(text)
    while opening:
        start = opening.start()
        match = (_IN_HTML if html else _IN_TEXT).match(text, start)
        if match is None:
            raise DynamicTextError(
                f"{_shown(text[start:])} is not closed: end a placeholder with '}}', with no braces in it"
            )
        content = decode_text(_TAG.sub("", match[1])) if html else match[1]
        name, _, default = content.partition(";")
        table, colon, column = name.partition(":")
        if not colon:
            raise DynamicTextError(
                f"{_shown(match[0])} names no column: write a placeholder as {{!table:column;default}}, such as "
                "{!contact:firstname;friend}"
            )
        tags = "".join(_TAG.findall(match[1])) if html else ""
        yield Placeholder(start, match.end(), _name(table), _name(column), default.strip(), tags)
        opening = _OPENING.search(text, match.end())


def _resolve(text: str, placeholder: Placeholder, names: Names) -> tuple[str, str]:
    """Return the logical names of what a placeholder stands for; raise `DynamicTextError` where there is no such."""
    shown = _shown(text[placeholder.start : placeholder.end])
    found = names.get(placeholder.table.casefold())
    if found is None:
        offered = " and ".join(dict.fromkeys(logical for logical, _ in names.values()))
        raise DynamicTextError(
            f"{shown}: this template offers columns of {offered}, not of {_shown(placeholder.table)}"
        )
    table, columns = found
    column = columns.get(placeholder.column.casefold())
    if column is None:
        near = get_close_matches(placeholder.column.casefold(), columns, 1)
        hint = f"; did you mean '{columns[near[0]]}'?" if near else ""
        raise DynamicTextError(f"{shown}: {_shown(placeholder.column)} is no column of {table}{hint}")
    return table, column


def _bare_value(html: str) -> str:
    """Return what is wrong with a placeholder whose value would become a tag, or stands in one but in no quoted value,
    where a value with spaces would become attributes; "" where there is none."""
    if not _OPENING.search(html):
        return ""
    if opened := _TAG_OPENING.search(html):
        return f"{_shown(html[opened.start() :])}: a value behind '<' would become a tag: write '&lt;' for it"
    for token in tokens(html):
        if token.kind not in (Kind.START, Kind.END) or not _OPENING.search(html, token.start, token.end):
            continue
        outside: list[str] = []
        position = token.start
        for value in attributes(html, token).values():
            if value.quote:
                outside.append(html[position : value.start])
                position = value.end
        bare = "".join((*outside, html[position : token.end]))
        if opening := _OPENING.search(bare):
            shown = _shown(bare[opening.start() :])
            return f"{shown} stands in a tag but not in quotes: write the attribute's value in quotes"
    return ""


def _name(text: str) -> str:
    return " ".join(_INVISIBLE.sub("", text).split())


def _shown(text: str) -> str:
    cut = text if len(text) <= 100 else f"{text[:100]}..."
    return f"'{fold(cut.encode('utf-8', 'replace').decode())}'"
