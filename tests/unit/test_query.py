"""Query options: patterns, sorting, pages, and what is refused."""

import base64
import json
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.webapi.errors import Failure
from shared.webapi.filters import substitute_aliases
from shared.webapi.patterns import matcher
from shared.webapi.query import demand_place, is_after, make_token, parse_options, parse_query, sort_rows, split_top
from shared.webapi.tables import TABLES

EMAIL = TABLES["email"]
ONE, TWO = "0b1d0b6e-0000-4000-8000-000000000001", "0b1d0b6e-0000-4000-8000-000000000002"


def row(**columns: Any) -> dict[str, Any]:
    return {column.name: None for column in EMAIL.columns} | {"activityid": ONE, "_place": ONE} | columns


@given(st.text("ab%_", max_size=8), st.text("ab", max_size=8))
def test_patterns_fit_as_a_regular_expression_of_them_would(pattern: str, text: str) -> None:
    import re

    expression = "".join({"%": ".*", "_": "."}.get(character, character) for character in pattern)
    assert matcher(pattern)(text) is (re.fullmatch(expression, text) is not None)


def test_a_hostile_pattern_takes_no_time() -> None:
    assert not matcher("%a" * 40 + "b")("a" * 4000)


@pytest.mark.parametrize(
    "encoded",
    [
        "%24select=subject%2Copencount&%24filter=subject+eq+%27a%26b+c%27",
        "$select=subject,opencount&$filter=subject%20eq%20'a%26b%20c'",
        "$select=subject,opencount&$filter=subject eq 'a%26b c'",
    ],
)
def test_options_read_the_same_in_the_three_encodings_of_clients(encoded: str) -> None:
    options = parse_options(encoded)
    assert options == {"$select": "subject,opencount", "$filter": "subject eq 'a&b c'"}


@pytest.mark.parametrize("name", ["$filter", "%24filter", "@p1"])
def test_an_option_that_is_given_twice_is_named(name: str) -> None:
    with pytest.raises(Failure, match="more than once") as raised:
        parse_options(f"{name}=a&$top=1&{name}=b")
    assert raised.value.status == 400
    assert parse_options("mine=1&mine=2") == {"mine": "2"}


def test_the_primary_key_is_always_selected() -> None:
    selected = parse_query({"$select": "subject"}, EMAIL).select
    assert selected is not None
    assert [column.name for column in selected] == ["subject", "activityid"]


def test_aliases_are_put_in_outside_of_quotes() -> None:
    query = parse_query({"$filter": "subject eq @p1 and opencount eq @p2", "@p1": "'x @p2'", "@p2": "2"}, EMAIL)
    assert query.filter.keeps(row(subject="x @p2", opencount=2))
    assert substitute_aliases("a eq '@p1'", {}) == "a eq '@p1'"


@pytest.mark.parametrize(
    ("options", "culprit"),
    [
        ({"$skip": "5"}, "$skip"),
        ({"$Top": "5"}, "$Top"),
        ({"$top": "-1"}, "$top"),
        ({"$top": "many"}, "$top"),
        ({"$count": "yes"}, "$count"),
        ({"$select": "nosuch"}, "nosuch"),
        ({"$orderby": "nosuch"}, "nosuch"),
        ({"$orderby": "subject up"}, "subject up"),
        ({"$orderby": "description"}, "description"),
        ({"$expand": "nosuch"}, "nosuch"),
        ({"$expand": "email_activity_parties($select=nosuch)"}, "nosuch"),
        ({"$expand": "email_activity_parties($skip=1)"}, "$skip"),
        ({"$expand": "parentactivityid($expand=" * 15 + "parentactivityid" + ")" * 15}, "at most 15 $expand"),
        ({"$expand": "parentactivityid($expand=" * 2000}, "at most 15 $expand"),
        ({"$expand": "email_activity_parties($select=addressused"}, "parenthesis"),
        ({"$filter": "subject eq @p9"}, "@p9"),
        ({"$skiptoken": "!!"}, "$skiptoken"),
        ({"$skiptoken": "W10"}, "$skiptoken"),
        ({"$skiptoken": "e30"}, "$skiptoken"),
    ],
)
def test_a_query_option_that_is_wrong_is_named(options: dict[str, str], culprit: str) -> None:
    with pytest.raises(Failure) as raised:
        parse_query(options, EMAIL)
    assert raised.value.status == 400
    assert culprit in raised.value.message


@pytest.mark.parametrize(
    "option", ["fetchXml", "fetchxml", "FetchXml", "sql", "SQL", "savedQuery", "userQuery", "$apply"]
)
def test_a_query_language_that_is_not_here_is_said_to_be_missing(option: str) -> None:
    with pytest.raises(Failure) as raised:
        parse_query({option: "x"}, EMAIL)
    assert raised.value.status == 501
    assert option in raised.value.message


@pytest.mark.parametrize(
    ("orderby", "keys"),
    [("", ["a"]), ("subject", []), ("subject", [5]), ("opencount", ["x"]), ("opencount", [True]), ("senton", ["x"])],
)
def test_a_token_of_another_query_is_refused(orderby: str, keys: list[Any]) -> None:
    token = base64.urlsafe_b64encode(json.dumps([2, keys, ONE, None]).encode()).decode()
    query = parse_query({"$orderby": orderby, "$skiptoken": token}, EMAIL)
    with pytest.raises(Failure) as raised:
        demand_place(query)
    assert raised.value.status == 400


@given(st.text("ab,;()'", max_size=20))
def test_splitting_loses_nothing_but_separators(text: str) -> None:
    assert "".join(split_top(text, ",")).replace(",", "") == text.replace(",", "")


SORTABLE = st.lists(
    st.fixed_dictionaries({"subject": st.none() | st.sampled_from(["a", "B", "b"]), "opencount": st.integers(0, 3)}),
    max_size=12,
)


@given(SORTABLE, st.sampled_from(["subject", "subject desc", "opencount desc,subject", "subject,opencount desc", ""]))
def test_pages_by_token_give_every_row_once_and_in_order(items: list[dict[str, Any]], orderby: str) -> None:
    rows = [row(_place=str(uuid.UUID(int=number)), **item) for number, item in enumerate(items)]
    query = parse_query({"$orderby": orderby} if orderby else {}, EMAIL)
    sort_rows(rows, query.order)
    seen: list[dict[str, Any]] = []
    rest = rows
    while rest:
        seen += rest[:2]
        token = make_token(rest[:2][-1], query.order, 2, None)
        again = parse_query(({"$orderby": orderby} if orderby else {}) | {"$skiptoken": token}, EMAIL)
        assert again.after is not None
        rest = [item for item in rows if is_after(item, again.order, again.after)]
    assert seen == rows


def test_nulls_come_first_and_last_when_descending() -> None:
    rows = [row(activityid=ONE, subject="a"), row(activityid=TWO, subject=None)]
    sort_rows(rows, parse_query({"$orderby": "subject"}, EMAIL).order)
    assert [item["subject"] for item in rows] == [None, "a"]
    sort_rows(rows, parse_query({"$orderby": "subject desc"}, EMAIL).order)
    assert [item["subject"] for item in rows] == ["a", None]
