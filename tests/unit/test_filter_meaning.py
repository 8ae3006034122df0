"""Any filter, however it is written, keeps what a plain evaluation of it keeps; and what it tells a reader of storage
to look for first holds for every row that it keeps."""

import operator
import random
from collections.abc import Collection, Mapping
from typing import Any

from hypothesis import given, note, settings
from hypothesis import strategies as st

from shared.webapi.filters import Condition, Filter, attach, parse_filter
from shared.webapi.query_functions import Asker
from shared.webapi.schema import Table
from shared.webapi.tables import TABLES
from shared.webapi.values import sortable
from tests.unit.making_filters import CHAINS, FILTERS, ME, NOW, PARTIES, TIMES, Writer, make_email, means

SPELLINGS = st.integers(0, 2**32)
"""Seeds of how a filter is spelled."""
EMAILS = st.integers(0, 2**32).map(lambda seed: [make_email(random.Random(seed + number)) for number in range(12)])
EMAIL, PARTY = TABLES["email"], TABLES["activityparty"]


def as_read(table: Table, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored row as it is read: every column there, defaults applied, times to the second."""
    row = {column.name: stored.get(column.name, column.default) for column in table.columns if not column.lazy}
    return row | {name: row[name].replace(".5Z", "Z") for name in TIMES if row.get(name)}


def email_as_read(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return an email as it is read, the rows that belong to it beside its columns."""
    return as_read(EMAIL, stored) | {
        "regardingobjectid_type": stored.get("regardingobjectid_type"),
        **{name: value for name, value in stored.items() if name.endswith("_row")},
        PARTIES: [as_read(PARTY, party) for party in stored[PARTIES]],
    }


def related(row: Mapping[str, Any], relation: str) -> Any:
    return row[PARTIES] if relation == PARTIES else row[f"{relation}_row"]


def columns_of(row: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Return only what a filter says that it looks at of the row itself."""
    return {name: value for name, value in row.items() if name.removesuffix("_type") in names}


def attached(row: Mapping[str, Any], found: Filter) -> dict[str, Any]:
    """Return what a filter needs of a row, and nothing else."""
    needed = columns_of(row, found.columns)
    for relation in found.relations:
        attach(needed, relation, related(row, relation))
    return needed


def parsed(node: Any, seed: int) -> Filter:
    writer = Writer(random.Random(seed).choice)
    text = writer.write(node)
    note(f"{text} {writer.aliases}")
    return parse_filter(text, EMAIL, writer.aliases, Asker(NOW, ME))


def is_met(condition: Condition, stored: Mapping[str, Any]) -> bool:
    """Decide as the Table service does: a row without the property never matches, text is compared as it is."""
    value = stored.get(condition.column.name)
    compare = {"eq": operator.eq, "lt": operator.lt, "le": operator.le, "gt": operator.gt, "ge": operator.ge}
    return value is not None and bool(compare[condition.operator](value, condition.value))


@settings(max_examples=300, deadline=None)
@given(FILTERS | CHAINS, EMAILS, SPELLINGS)
def test_a_filter_keeps_what_a_plain_evaluation_keeps(node: Any, stored: list[Any], seed: int) -> None:
    found = parsed(node, seed)
    for row in map(email_as_read, stored):
        assert found.keeps(attached(row, found)) is means(node, row)


@settings(max_examples=300, deadline=None)
@given(CHAINS, EMAILS, SPELLINGS)
def test_what_a_reader_may_look_for_first_loses_no_row_that_is_kept(node: Any, stored: list[Any], seed: int) -> None:
    found = parsed(node, seed)
    for entity in stored:
        row = email_as_read(entity)
        kept = found.keeps(attached(row, found))
        equal = all(sortable(EMAIL.by_name[name], row[name]) == value for name, value in found.equals.items())
        assert not found.only_equals or kept is equal
        assert found.relations or found.early(columns_of(row, found.columns)) is kept
        if kept:
            assert found.early(columns_of(row, found.columns))
            assert all(is_met(condition, entity) for condition in found.pushed)
            assert equal
            for relation, conditions in found.within:
                assert any(all(is_met(each, child) for each in conditions) for child in entity[relation])
