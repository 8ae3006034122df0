"""Dynamics' dynamic text in templates: ``{!contact:firstname;friend}`` stands for a column of a record, and behind the
semicolon is what to say where that is empty.

Table and column go by their logical or their display names, in any case: ``{!Contact:First Name;friend}``. Text is
filled in once: what a value holds, be it another placeholder, is text. In HTML values are escaped. Editors mangle what
they take for words, so in HTML character references within a placeholder are decoded, any white space is a space, and
tags within it are kept and come behind the value: no tag of the author's is lost. ``{!`` itself must stand together.

Source: Microsoft's "Personalize emails with dynamic text" (Power Apps); what it leaves open is fixed here.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from html import escape

from shared.engagement.character_references import decode_text
from shared.engagement.html import Kind, attributes, tokens
from shared.engagement.plain_text import BREAKS

type Names = Mapping[str, tuple[str, Mapping[str, str]]]
"""The tables that a template offers: by each of their names, case-folded, the logical name and the columns, logical
name by each of theirs. A part of a column, such as ``createdon/@date``, goes as a column of its own."""

type Values = Mapping[tuple[str, str], str]
"""What columns hold, as a reader expects it, by logical names of table and column; what is not there is empty."""

_OPENING = "{!"
# Dynamics' old editor keeps templates so; mailed as they are, recipients would see the code.
_STYLESHEET = "<xsl:stylesheet"
_IN_TEXT = re.compile(r"\{!([^{}]*+)\}")
# A tag within may hold braces of its own.
_IN_HTML = re.compile(r"\{!((?:<[^<>]*+>|[^{}])*+)\}")
_TAG = re.compile(r"<[^<>]*+>")
# A value right behind it would become the name of a tag, or a declaration.
_TAG_OPENING = re.compile(r"<[/!?]?\{!")


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
    """Return HTML with its placeholders filled in, the values escaped; all else stays byte for byte.

    Raises `DynamicTextError` as `columns_in` does, and before it takes more than `most` characters: a small text that
    names a long value often enough would not fit into memory.

    >>> fill_html("<p>{!user:name;}", {"user": ("user", {"name": "name"})}, {("user", "name"): "<Ada>"}, 100)
    '<p>&lt;Ada&gt;'
    """
    parts = _fill(text, names, {key: escape(value) for key, value in values.items()}, html=True)
    size = sum(map(len, parts))
    if size > most:
        raise DynamicTextError(f"it would take {size:,} characters, and at most {most:,} fit")
    return "".join(parts)


def fill_line(text: str, names: Names, values: Values) -> str:
    """Return a line of plain text, such as a subject, with its placeholders filled in; line breaks and other control
    characters, which could begin another header, become spaces. Raises `DynamicTextError` as `columns_in` does."""
    return BREAKS.sub(" ", "".join(_fill(text, names, values, html=False)))


def _fill(text: str, names: Names, values: Values, *, html: bool) -> list[str]:
    parts: list[str] = []
    position = 0
    for placeholder in _placeholders(text, html=html):
        default = escape(placeholder.default) if html else placeholder.default
        value = values.get(_resolve(text, placeholder, names)) or default
        parts += [text[position : placeholder.start], value, placeholder.tags]
        position = placeholder.end
    return [*parts, text[position:]]


def _placeholders(text: str, *, html: bool) -> Iterator[Placeholder]:
    """Yield the placeholders of a text in order; raise `DynamicTextError` for one that is not closed or names none."""
    start = text.find(_OPENING)
    while start >= 0:
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
        start = text.find(_OPENING, match.end())


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
    if _OPENING not in html:
        return ""
    if opened := _TAG_OPENING.search(html):
        return f"{_shown(html[opened.start() :])}: a value behind '<' would become a tag: write '&lt;' for it"
    for token in tokens(html):
        if token.kind not in (Kind.START, Kind.END) or html.find(_OPENING, token.start, token.end) < 0:
            continue
        bare, position = "", token.start
        for value in attributes(html, token).values():
            if value.quote:
                bare += html[position : value.start]
                position = value.end
        bare += html[position : token.end]
        if _OPENING in bare:
            shown = _shown(bare[bare.find(_OPENING) :])
            return f"{shown} stands in a tag but not in quotes: write the attribute's value in quotes"
    return ""


def _name(text: str) -> str:
    return " ".join(text.split())


def _shown(text: str) -> str:
    cut = text if len(text) <= 100 else f"{text[:100]}..."
    return f"'{BREAKS.sub(' ', cut).encode('utf-8', 'replace').decode()}'"
