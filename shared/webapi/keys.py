"""What names a row in a path or a reference: its id, or the values of an alternate key.

Source: Microsoft's "Use an alternate key to reference a record".
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from shared.storage import keys
from shared.storage.organizations import Organization
from shared.webapi.errors import Failure, bad_query, does_not_exist, no_such_key
from shared.webapi.schema import TEXTS, Column, Key, Table
from shared.webapi.values import Stored, parse_guid, to_stored

# dataverse-api writes the values of a key as Python does: in double quotes where they hold a single one.
_VALUE = r"'(?:[^']|'')*'|\"[^\"]*\"|[^,'\"\s]+"
_PAIR = re.compile(rf"(?<!\w)(\w++)\s*+=\s*+({_VALUE})")
_KEY = re.compile(rf"\s*{_PAIR.pattern}\s*(?:,\s*{_PAIR.pattern}\s*)*")
_WHOLE = re.compile(r"-?\d{1,18}")


@dataclass(frozen=True, slots=True)
class RowKey:
    """What names a row: its `id`, or the stored values of an alternate `key`'s `columns`."""

    id: str = ""
    key: Key | None = None
    columns: Mapping[str, Stored] = field(default_factory=dict)


def parse_key(table: Table, text: str) -> RowKey:
    """Return what stands in a row's parentheses: a guid, perhaps in braces or quotes or as ``contactid=guid``, or an
    alternate key such as ``ee_externalid='e9'``, a quote in it doubled. Raises `Failure` 400 naming what is wrong."""
    found = parse_guid(text.strip().strip("'"))
    if found is not None:
        return RowKey(found)
    if not _KEY.fullmatch(text):
        shown = text.strip()[:80]
        raise bad_query(f"'{shown}' does not name a row of '{table.set}': give its id{_choices(table)}.")
    pairs = _PAIR.findall(text)
    values = dict(pairs)
    if list(values) == [table.id]:
        found = parse_guid(values[table.id].strip("'"))
        if found is None:
            raise bad_query(f"'{values[table.id][:80]}' is not the id of a row of '{table.set}': a guid is needed.")
        return RowKey(found)
    columns = [table.by_wire.get(name) or table.by_name.get(name) for name in values]
    names = {column.name for column in columns if column is not None}
    key = next((key for key in table.keys if set(key.columns) == names and len(pairs) == len(names)), None)
    if key is None:
        raise bad_query(
            f"The specified key attributes ({', '.join(name for name, _ in pairs)[:200]}) are not a defined key for "
            f"the {table.logical} entity: give its id{_choices(table)}."
        )
    stored = {
        column.name: _stored(table, column, value)
        for column, value in zip(columns, values.values(), strict=True)
        if column is not None
    }
    return RowKey(key=key, columns=stored)


async def find_id(organization: Organization, table: Table, named: RowKey) -> str | None:
    """Return the id of the row that is named, or None where an alternate key names none; an id is taken as it is."""
    if named.key is None:
        return named.id
    values = [named.columns[name] for name in named.key.columns]
    return await keys.find(organization, table.logical, columns_of_keys(table), named.key.name, values)


async def demand_id(organization: Organization, table: Table, named: RowKey) -> str:
    """Return the id of the row that is named; raise `Failure` 404 where an alternate key names none."""
    found = await find_id(organization, table, named)
    if found is None:
        raise missing(table, named)
    return found


def missing(table: Table, named: RowKey) -> Failure:
    """Return the failure that says that there is no such row."""
    return does_not_exist(table.logical, named.id) if named.key is None else no_such_key(table.logical)


def columns_of_keys(table: Table) -> dict[str, tuple[str, ...]]:
    """Return the columns of each alternate key of a table, as storage wants them."""
    return {key.name: key.columns for key in table.keys}


def contradicts(named: RowKey, columns: Mapping[str, Any]) -> str:
    """Return the column of an alternate key that `columns` give another value, "" where there is none."""
    for name, value in named.columns.items():
        if name in columns and keys.comparable(columns[name]) != keys.comparable(value):
            return name
    return ""


def _choices(table: Table) -> str:
    spelled = [",".join(f"{name}=.." for name in key.columns) for key in table.keys]
    return f" or one of its alternate keys: {'; '.join(spelled)}" if spelled else "; it has no alternate key"


def _stored(table: Table, column: Column, text: str) -> Stored:
    """Return a key's value as it is stored."""
    quoted = text[0] in "'\""
    value = text[1:-1].replace("''", "'") if text[0] == "'" else text.strip('"')
    if column.type in TEXTS and not quoted:
        raise bad_query(f"The value of the key '{column.name}' is a text: write it in quotes, {column.name}='..'.")
    typed: object = value
    if column.type not in TEXTS and _WHOLE.fullmatch(value):
        typed = int(value)
    stored = to_stored(table, column, typed)
    if stored is None:
        raise bad_query(f"The value of the key '{column.name}' cannot be empty.")
    return stored
