"""Templates over the schema: what their dynamic text may name, whether it is right, and what is filled in."""

import asyncio
from collections.abc import Collection, Mapping
from functools import cache
from typing import Any

from shared.engagement.dynamic_text import (
    DynamicTextError,
    Names,
    Values,
    columns_in,
    complaint,
    fill_html,
    fill_line,
)
from shared.engagement.languages import ENGLISH, date_in, number_in, time_in
from shared.services.composing import MAX_BODY, check_body
from shared.storage.calls import side_by_side
from shared.storage.organizations import Organization
from shared.webapi import finding, reading, texts
from shared.webapi.context import Context
from shared.webapi.errors import invalid
from shared.webapi.payloads import Payload
from shared.webapi.query import Query
from shared.webapi.schema import CHOICES, LOOKUPS, Table, Type
from shared.webapi.tables import TABLES
from shared.webapi.values import formatted, parse_time, target_of

USER = "systemuser"
_NAMED = LOOKUPS | CHOICES | {Type.BOOLEAN}
_DATE, _TIME = "/@date", "/@time"
_BODY = TABLES["template"].by_name["body"]
_SUBJECT_UNITS = TABLES["email"].by_name["subject"].length


@cache
def names_for(kind: str) -> Names:
    """Return what the dynamic text of a template for the table `kind` may name: that table and the user."""
    return {
        name.casefold(): (table.logical, _columns(table.logical))
        for table in (TABLES[kind], TABLES[USER])
        for name in (table.logical, table.label or table.logical)
    }


@cache
def _columns(table: str) -> Mapping[str, str]:
    """Return a table's columns by their names, case-folded; of two that are displayed alike the first has the name, and
    a logical name comes before a displayed one. Behind each may stand what Microsoft's "Personalize emails with dynamic
    text" asks for where a column holds more than text: ``/@name``, which is what we say anyway, ``/@date``, ``/@time``.
    """
    columns = [column for column in TABLES[table].columns if not column.lazy]
    names = {column.display.casefold(): column.name for column in reversed(columns)}
    names |= {column.name: column.name for column in columns}
    types = {column.name: column.type for column in columns}
    named = {f"{shown}/@name": name for shown, name in names.items() if types[name] in _NAMED}
    times = [(shown, name) for shown, name in names.items() if types[name] is Type.DATETIME]
    return names | named | {shown + part: name + part for shown, name in times for part in (_DATE, _TIME)}


async def demand_fillable(organization: Organization, row: Mapping[str, Any], written: Payload) -> None:
    """Raise `Failure` 400 where the texts of a template, as it is to be stored, cannot be filled in; what `written`
    leaves as it was is read where its table changes."""
    names = names_for(row["templatetypecode"])
    retyped = "templatetypecode" in written.columns
    if retyped or "subject" in written.columns:
        _demand_right("subject", complaint(row["subject"], names, html=False))
    body = written.lazy.get("body")
    if body is None and retyped:
        body = await texts.read(organization, _BODY, row)
    # In a thread: a body of megabytes takes a while, and recipients must not wait for it.
    _demand_right("body", await asyncio.to_thread(complaint, body or "", names, html=True))


def _demand_right(column: str, wrong: str) -> None:
    if wrong:
        raise invalid(f"The column '{column}' of 'template' cannot be filled in: {wrong}.")


async def read(context: Context, id: str) -> finding.Row:
    """Return a template with its body, both of one version; raise `Failure` 404 where there is none."""
    row = await reading.read_row(context, TABLES["template"], id)
    template, found = await reading.with_texts(context, Query(TABLES["template"], select=()), row, (_BODY,))
    return {**template, "body": found["body"] or ""}


async def fill(context: Context, template: finding.Row, kind: str, id: str, user: str) -> tuple[str, str]:
    """Return subject and body of a template as `read` returns it, filled in with the row `id` of the table
    `kind` and a user.

    Raises `Failure` 404 where there is no such row, 400 where the template cannot be filled in, or the body would be
    larger than an email's may be.
    """
    subject, body, names = template["subject"], template["body"], names_for(template["templatetypecode"])
    try:
        # In a thread, as when it was saved.
        of_body = await asyncio.to_thread(columns_in, body, names, html=True)
        wanted = of_body | columns_in(subject, names, html=False)
        # The row must be there whether or not the template says anything of it.
        rows = {
            USER: await reading.read_row(context, TABLES[USER], user),
            kind: await reading.read_row(context, TABLES[kind], id),
        }
        values = await _values(context, rows, wanted, template["languagecode"])
        filled = await asyncio.to_thread(fill_html, body, names, values, MAX_BODY)
        check_body(filled)
        return _cut(fill_line(subject, names, values)), filled
    except DynamicTextError as error:
        raise invalid(f"The template cannot be filled in: {error}.") from None


async def _values(
    context: Context, rows: Mapping[str, finding.Row], wanted: Collection[tuple[str, str]], language: int
) -> Values:
    keys = sorted(wanted)
    said = await side_by_side(lambda key: _said(context, TABLES[key[0]], key[1], rows[key[0]], language), keys)
    return dict(zip(keys, said, strict=True))


async def _said(context: Context, table: Table, name: str, row: finding.Row, language: int) -> str:
    """Return a value, or a part of it, as a reader of the template's `language` (LCID) expects it: the label of a
    choice, the name behind a lookup, a time with its zone."""
    name, slash, part = name.partition("/")
    column, value = table.by_name[name], row[name]
    if value is None:
        return ""
    if column.type in LOOKUPS:
        target = TABLES[target_of(column, row)]
        pointed = await finding.pointed(context, column, Query(target, select=()), row)
        return str((pointed or {}).get(target.name) or "")
    shown = formatted(column, value)
    if shown is None:
        return str(value)
    if language != ENGLISH and column.type in (Type.INTEGER, Type.BIGINT):
        return await asyncio.to_thread(number_in, value, language)
    if column.type is not Type.DATETIME:
        return shown
    date, _, time = shown.partition(" ")
    moment = parse_time(value)
    if language != ENGLISH and moment is not None:
        # In a thread: a language's data are read when it is first asked for.
        date = await asyncio.to_thread(date_in, moment, language)
        time = await asyncio.to_thread(time_in, moment, language)
        shown = f"{date} {time}"
    return {_DATE: date, _TIME: f"{time} UTC"}.get(slash + part, f"{shown} UTC")


def _cut(subject: str) -> str:
    """Return a subject as an email holds it."""
    return subject.encode("utf-16-le", "surrogatepass")[: 2 * _SUBJECT_UNITS].decode("utf-16-le", "ignore")
