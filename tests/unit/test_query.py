"""Query options: filters against a plain evaluation, sorting, pages, and what is refused."""

import base64
import json
import uuid
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.webapi.errors import Failure
from shared.webapi.filters import Condition, parse_filter, substitute_aliases
from shared.webapi.patterns import matches
from shared.webapi.query import demand_place, is_after, make_token, parse_options, parse_query, sort_rows, split_top
from shared.webapi.tables import TABLES

EMAIL, CONTACT = TABLES["email"], TABLES["contact"]
ONE, TWO = "0b1d0b6e-0000-4000-8000-000000000001", "0b1d0b6e-0000-4000-8000-000000000002"


def row(**columns: Any) -> dict[str, Any]:
    return {column.name: None for column in EMAIL.columns} | {"activityid": ONE, "_place": ONE} | columns


def keeps(text: str, given_row: dict[str, Any]) -> bool:
    return parse_filter(text, EMAIL).keeps(given_row)


def refusal(text: str) -> str:
    with pytest.raises(Failure) as raised:
        parse_filter(text, EMAIL)
    assert raised.value.status == 400
    return raised.value.message


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("subject eq 'OFFER'", {"subject": "offer"}),
        ("subject eq 'it''s'", {"subject": "It's"}),
        ("subject ne 'x'", {"subject": None}),
        ("subject eq null", {"subject": None}),
        ("subject ne null", {"subject": "x"}),
        ("opencount gt 1 and opencount le 3", {"opencount": 3}),
        ("3 gt opencount", {"opencount": 2}),
        ("opencount in (1,2)", {"opencount": 2}),
        ("subject in ('A','b')", {"subject": "a"}),
        ("isemailfollowed", {"isemailfollowed": True}),
        ("isemailfollowed eq true", {"isemailfollowed": True}),
        ("not isemailfollowed", {"isemailfollowed": False}),
        ("contains(subject,'off')", {"subject": "Your OFFER"}),
        ("contains(subject,'y%o_fer')", {"subject": "Your offer"}),
        ("startswith(subject,'your')", {"subject": "Your offer"}),
        ("endswith(subject,'FER')", {"subject": "Your offer"}),
        ("not contains(subject,'x')", {"subject": None}),
        ("contains(subject,'off') eq true", {"subject": "offer"}),
        ("tolower(subject) eq 'offer'", {"subject": "OFFER"}),
        ("createdon ge 2026-11-23T18:35:00+01:00", {"createdon": "2026-11-23T17:35:00Z"}),
        ("createdon lt 2026-11-24", {"createdon": "2026-11-23T17:35:00Z"}),
        (f"_ownerid_value eq {ONE.upper()}", {"ownerid": ONE}),
        (f"_ownerid_value eq '{ONE}'", {"ownerid": ONE}),
        (f"_ownerid_value eq guid'{ONE}'", {"ownerid": ONE}),
        ("createdon eq modifiedon", {"createdon": "2026-11-23T17:35:00Z", "modifiedon": "2026-11-23T17:35:00Z"}),
        ("statuscode eq 1 or statuscode eq 3 and opencount gt 5", {"statuscode": 1, "opencount": 0}),
        ("(statuscode eq 1 or statuscode eq 3) AND opencount gt 5", {"statuscode": 3, "opencount": 6}),
    ],
)
def test_a_filter_keeps_what_it_says(text: str, columns: dict[str, Any]) -> None:
    assert keeps(text, row(**columns))


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("subject eq 'offer'", {"subject": "offers"}),
        ("subject eq null", {"subject": "x"}),
        ("opencount gt 1", {"opencount": None}),
        ("opencount le 1", {"opencount": None}),
        ("opencount in (1,2)", {"opencount": None}),
        ("contains(subject,'x')", {"subject": None}),
        ("startswith(subject,'ffer')", {"subject": "offer"}),
        ("endswith(subject,'offe')", {"subject": "offer"}),
        ("isemailfollowed", {"isemailfollowed": None}),
        (f"_ownerid_value eq {TWO}", {"ownerid": ONE}),
        ("createdon lt 2026-11-23", {"createdon": "2026-11-23T00:00:00Z"}),
    ],
)
def test_a_filter_drops_what_it_does_not_say(text: str, columns: dict[str, Any]) -> None:
    assert not keeps(text, row(**columns))


def test_an_unknown_column_is_named_as_dataverse_names_it() -> None:
    with pytest.raises(Failure) as raised:
        parse_filter("nosuch eq 1", EMAIL)
    assert (raised.value.status, raised.value.code) == (400, "0x80060888")
    assert raised.value.message == "Could not find a property named 'nosuch' on type 'Microsoft.Dynamics.CRM.email'."


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("opencount eq 'one'", "opencount"),
        ("subject eq 5", "subject"),
        ("isemailfollowed eq 1", "isemailfollowed"),
        ("createdon gt 'yesterday'", "createdon"),
        ("_ownerid_value eq 'me'", "_ownerid_value"),
        ("year(createdon) eq 2026", "year"),
        ("opencount add 1 eq 2", "arithmetic"),
        ("email_activity_parties/any(p:p/addressused eq 'x')", "any/all"),
        ("description eq 'x'", "description"),
        ("subject", "subject"),
        ("subject eq", "position 7"),
        ("(subject eq 'x'", "too early"),
        ("subject eq 'x", "position"),
        ("opencount eq createdon", "cannot be compared"),
        ("1 eq 1", "column"),
        ("null", "condition"),
        ("contains('a','b')", "contains"),
        ("nosuchfunction(subject)", "nosuchfunction"),
        ("opencount eq " + "9" * 40, "opencount"),
        ("createdon gt 2026-02-31T00:00:00Z", "createdon"),
    ],
)
def test_what_cannot_be_decided_is_refused_and_named(text: str, culprit: str) -> None:
    assert culprit in refusal(text)


def test_deep_nesting_and_length_are_refused_not_crashed_on() -> None:
    assert "deep" in refusal("not (" * 3000 + "isemailfollowed" + ")" * 3000)
    assert "deep" in refusal("not " * 3000 + "isemailfollowed")
    assert keeps("(" * 3000 + "opencount eq 1" + ")" * 3000, row(opencount=1))
    assert "tolower" in refusal("tolower(" * 3000 + "subject" + ")" * 3000 + " eq 'x'")
    assert "contains" in refusal("contains(" * 2000 + "subject" + ",'x')" * 2000)
    assert "characters" in refusal("subject eq '" + "x" * 40_000 + "'")


def test_thousands_of_terms_are_no_trouble() -> None:
    text = " or ".join(f"opencount eq {number}" for number in range(1500))
    assert keeps(text, row(opencount=1499))
    assert not keeps(text, row(opencount=1500))


@given(st.text(max_size=60))
def test_no_text_does_more_than_filter_or_be_refused(text: str) -> None:
    try:
        parse_filter(text, EMAIL).keeps(row())
    except Failure as failure:
        assert failure.status == 400


# A grammar of filters, each with what it means, evaluated by itself.
NAMES = {"opencount": st.integers(0, 5), "statuscode": st.sampled_from([1, 3, 6]), "subject": st.sampled_from("aAbB")}
COMPARED = {
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "gt": lambda a, b: a is not None and a > b,
    "ge": lambda a, b: a is not None and a >= b,
    "lt": lambda a, b: a is not None and a < b,
    "le": lambda a, b: a is not None and a <= b,
}


@st.composite
def comparisons(draw: Any) -> tuple[str, Any]:
    name = draw(st.sampled_from([*NAMES, "isemailfollowed", "ownerid"]))
    if name == "isemailfollowed":
        value = draw(st.booleans())
        return f"isemailfollowed eq {str(value).lower()}", lambda given_row: given_row[name] is value
    if name == "ownerid":
        value = draw(st.sampled_from([ONE, TWO]))
        return f"_ownerid_value eq {value}", lambda given_row: given_row[name] == value
    operator, value = draw(st.sampled_from(sorted(COMPARED))), draw(NAMES[name])
    compared = COMPARED[operator]
    if name == "subject":
        lowered = value.lower()
        return f"subject {operator} '{value}'", lambda given_row: compared(
            given_row[name] and given_row[name].lower(), lowered
        )
    return f"{name} {operator} {value}", lambda given_row: compared(given_row[name], value)


def combined(inner: Any) -> Any:
    def both(pair: Any) -> tuple[str, Any]:
        (left, one), (right, other) = pair
        return f"({left} and {right})", lambda given_row: one(given_row) and other(given_row)

    def either(pair: Any) -> tuple[str, Any]:
        (left, one), (right, other) = pair
        return f"({left} or {right})", lambda given_row: one(given_row) or other(given_row)

    def negated(item: Any) -> tuple[str, Any]:
        text, meaning = item
        return f"not ({text})", lambda given_row: not meaning(given_row)

    pairs = st.tuples(inner, inner)
    return pairs.map(both) | pairs.map(either) | inner.map(negated)


FILTERS = st.recursive(comparisons(), combined, max_leaves=8)
ROWS = st.fixed_dictionaries({
    "opencount": st.none() | NAMES["opencount"],
    "statuscode": st.none() | NAMES["statuscode"],
    "subject": st.none() | NAMES["subject"],
    "isemailfollowed": st.none() | st.booleans(),
    "ownerid": st.none() | st.sampled_from([ONE, TWO]),
})  # fmt: skip


@settings(max_examples=300)
@given(FILTERS, ROWS)
def test_a_filter_means_what_its_parts_mean(item: Any, columns: dict[str, Any]) -> None:
    text, meaning = item
    given_row = row(**columns)
    assert keeps(text, given_row) is bool(meaning(given_row))


def met(condition: Condition, stored: dict[str, Any]) -> bool:
    """Decide a pushed condition as the Table service does: a row without the property never matches."""
    value = stored.get(condition.column.name)
    if value is None:
        return False
    return bool(COMPARED[condition.operator](value, condition.value))


@settings(max_examples=300)
@given(FILTERS, FILTERS, ROWS)
def test_the_pushed_part_loses_no_row_that_the_filter_keeps(one: Any, other: Any, columns: dict[str, Any]) -> None:
    parsed = parse_filter(f"{one[0]} and {other[0]}", EMAIL)
    stored = {name: value for name, value in columns.items() if value is not None}
    read = {name: EMAIL.by_name[name].default if value is None else value for name, value in columns.items()}
    if parsed.keeps(row(**read)):
        assert all(met(condition, stored) for condition in parsed.pushed)


def test_keys_and_parents_are_pushed() -> None:
    table = TABLES["interactionforemail"]
    parsed = parse_filter(f"emailactivityid eq {ONE} and interactiontype eq 1 and contains(name,'x')", table)
    assert [(c.column.name, c.operator, c.value) for c in parsed.pushed] == [
        ("emailactivityid", "eq", ONE),
        ("interactiontype", "eq", 1),
    ]


def test_an_alternative_is_not_pushed() -> None:
    assert parse_filter(f"activityid eq {ONE} or opencount eq 1", EMAIL).pushed == ()


@given(st.text("ab%_", max_size=8), st.text("ab", max_size=8))
def test_patterns_fit_as_a_regular_expression_of_them_would(pattern: str, text: str) -> None:
    import re

    expression = "".join({"%": ".*", "_": "."}.get(character, character) for character in pattern)
    assert matches(pattern, text) is (re.fullmatch(expression, text) is not None)


def test_a_hostile_pattern_takes_no_time() -> None:
    assert not matches("%a" * 40 + "b", "a" * 4000)


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


@pytest.mark.parametrize("option", ["fetchXml", "sql", "savedQuery", "userQuery", "$apply"])
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
