"""What names a row in a path or a reference, and the entries that keep the values of a key apart."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.storage.keys import entry_row, entry_rows
from shared.webapi.errors import Failure
from shared.webapi.keys import RowKey, contradicts, parse_key
from shared.webapi.payloads import parse_reference
from shared.webapi.schema import Key, Table, guid, integer, lookup, text
from shared.webapi.tables import TABLES

ID = "0b1d0b6e-0000-4000-8000-000000000001"
CODE, PLACE = Key("code", ("code",)), Key("place", ("city", "number", "accountid"))
SHOP = Table(
    "shop",
    "shops",
    "shopid",
    "code",
    (
        guid("shopid"),
        text("code", 10),
        text("city", 10),
        integer("number", low=-5, high=500),
        lookup("accountid", {"accountid": "account"}),
    ),
    keys=(CODE, PLACE),
)


@pytest.mark.parametrize(
    "spelled", [ID, ID.upper(), f"{{{ID}}}", f"'{ID}'", f" {ID} ", f"shopid={ID}", f"shopid='{ID}'"]
)
def test_an_id_names_a_row(spelled: str) -> None:
    assert parse_key(SHOP, spelled) == RowKey(ID)


@pytest.mark.parametrize(
    "spelled",
    [
        f"city='Ulm',number=5,accountid={ID}",
        f"number=5,city='Ulm',accountid='{ID}'",
        f" number = 5 , _accountid_value = {ID.upper()} , city = 'Ulm' ",
    ],
)
def test_a_key_of_several_columns_is_taken_in_any_order(spelled: str) -> None:
    assert parse_key(SHOP, spelled) == RowKey(key=PLACE, columns={"city": "Ulm", "number": 5, "accountid": ID})


@given(st.text(min_size=1, max_size=5).filter(lambda value: all(c >= " " for c in value)))
def test_any_text_in_quotes_is_a_value_its_own_quotes_doubled(value: str) -> None:
    doubled = value.replace("'", "''")
    assert parse_key(SHOP, f"code='{doubled}'") == RowKey(key=CODE, columns={"code": value})


@pytest.mark.parametrize(
    ("spelled", "culprit"),
    [
        ("", "code=..; city=..,number=..,accountid=.."),
        ("Ulm", "code=.."),
        ("code", "code=.."),
        ("code=", "code=.."),
        ("code='a", "code=.."),
        ("code='a'b'", "code=.."),
        ("code='a' 'b'", "code=.."),
        ("code=a", "'code' is a text"),
        ("code=5", "'code' is a text"),
        ("code=''", "'code' cannot be empty"),
        ("code='12345678901'", "'10'"),
        ("code='a',city='Ulm'", "code, city"),
        ("city='Ulm'", "(city) are not a defined key for the shop entity"),
        ("code='a',code='b'", "code, code"),
        (f"city='Ulm',number=x,accountid={ID}", "'number'"),
        (f"city='Ulm',number=501,accountid={ID}", "'number'"),
        (f"city='Ulm',number={'9' * 30},accountid={ID}", "'number'"),
        ("city='Ulm',number=5,accountid=x", "_accountid_value"),
        (f"shopid={ID},code='a'", "shopid, code"),
        ("shopid=5", "a guid is needed"),
    ],
)
def test_what_names_no_row_is_refused_and_says_what_would(spelled: str, culprit: str) -> None:
    with pytest.raises(Failure) as raised:
        parse_key(SHOP, spelled)
    assert raised.value.status == 400
    assert culprit in raised.value.message


@given(st.text(max_size=60) | st.text(alphabet="code='\",()shipd ", max_size=30))
def test_no_text_in_parentheses_does_more_than_name_a_row_or_be_refused(spelled: str) -> None:
    try:
        named = parse_key(SHOP, spelled)
    except Failure as failure:
        assert failure.status == 400
    else:
        assert named.id or named.key


@pytest.mark.parametrize(
    ("reference", "value"),
    [
        ("contacts(ee_externalid='e9')", "e9"),
        ("/contacts(ee_externalid='e''9')", "e'9"),
        ("contacts(ee_externalid='a%2Fb%20c')", "a/b c"),
        ("contacts(ee_externalid='a/b (c)?#')", "a/b (c)?#"),
        ("https://x.example/contoso/api/data/v9.2/contacts(ee_externalid='e9')", "e9"),
        ("/contoso/api/data/v9.2/contacts(ee_externalid='/api/data/v9.2/x(1)')", "/api/data/v9.2/x(1)"),
    ],
)
def test_a_reference_names_a_row_by_its_key(reference: str, value: str) -> None:
    assert dict(parse_reference(reference, "contact", "@odata.id").columns) == {"ee_externalid": value}


def test_a_body_agrees_with_the_key_without_regard_to_case() -> None:
    named = RowKey(key=CODE, columns={"code": "Ulm"})
    assert contradicts(named, {}) == contradicts(named, {"code": "ULM", "city": "x"}) == ""
    assert contradicts(named, {"code": "Bonn"}) == contradicts(named, {"code": None}) == "code"


def test_every_key_is_made_of_columns_that_there_are() -> None:
    for table in TABLES.values():
        for key in table.keys:
            assert set(key.columns) <= table.by_name.keys()
            assert table.kept == "record"


def test_values_are_apart_by_key_by_place_and_by_kind_but_not_by_case() -> None:
    apart: list[tuple[str, list[Any]]] = [
        ("a", ["x"]),
        ("b", ["x"]),
        ("a", ["y"]),
        ("a", ["x", "y"]),
        ("a", ["y", "x"]),
        ("a", [1]),
        ("a", ["1"]),
    ]
    assert len({entry_row(key, values) for key, values in apart}) == len(apart)
    assert entry_row("a", ["Straße"]) == entry_row("a", ["STRASSE"])


def test_a_row_with_an_empty_column_has_no_entry_for_that_key() -> None:
    keys = {key.name: key.columns for key in SHOP.keys}
    full = {"code": "a", "city": "Ulm", "number": 0, "accountid": ID}
    assert len(entry_rows(keys, full)) == 2
    for missing in full:
        for empty in (None, ""):
            assert len(entry_rows(keys, {**full, missing: empty})) == 1
