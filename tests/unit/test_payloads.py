"""What clients send to be written, and how they say what they want back."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.webapi.context import Preferences, parse_preferences, version_in
from shared.webapi.errors import Failure
from shared.webapi.http import Request, parse_address
from shared.webapi.payloads import decode_body, parse_json, parse_payload, parse_reference
from shared.webapi.schema import LOOKUPS, Type
from shared.webapi.tables import TABLES

EMAIL, CONTACT = TABLES["email"], TABLES["contact"]
ID = "0b1d0b6e-0000-4000-8000-000000000001"

NAMES = st.sampled_from(
    [
        *EMAIL.by_wire,
        *EMAIL.by_navigation,
        *EMAIL.collections,
        "regardingobjectid_contact@odata.bind",
        "@odata.type",
        "x",
    ]
)
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
    | st.just(f"/contacts({ID})"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=300)
@given(st.dictionaries(NAMES, JSON, max_size=4), st.booleans())
def test_no_payload_does_more_than_be_taken_or_refused(sent: dict[str, Any], creating: bool) -> None:
    try:
        payload = parse_payload(EMAIL, sent, creating=creating)
    except Failure as failure:
        assert failure.status == 400
        assert failure.message
    else:
        assert all(value is None or isinstance(value, str | int | bool) for value in payload.columns.values())


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_body_does_more_than_be_an_object_or_be_refused(body: bytes) -> None:
    try:
        assert isinstance(parse_json(body), dict)
    except Failure as failure:
        assert failure.status == 400


@pytest.mark.parametrize(
    "reference",
    [
        f"contacts({ID})",
        f"/contacts({ID.upper()})",
        f"/contacts({{{ID}}})",
        f"contacts('{ID}')",
        f"https://mail.example.com/contoso/api/data/v9.2/contacts({ID})",
        f"http://127.0.0.1:7071/contoso/api/data/v9.0/contacts({ID})",
        f"/api/data/v9.2/contacts({ID})",
    ],
)
def test_a_reference_is_read_in_every_spelling(reference: str) -> None:
    assert parse_reference(reference, "contact", "x@odata.bind").id == ID


@pytest.mark.parametrize("reference", ["", f"contacts({ID})/x", f"contacts({ID}", f"https://x.example/contacts({ID})"])
def test_a_reference_that_is_none_is_refused(reference: str) -> None:
    with pytest.raises(Failure):
        parse_reference(reference, "contact", "x@odata.bind")


def test_annotations_are_passed_over() -> None:
    sent = {"@odata.type": "Microsoft.Dynamics.CRM.contact", "lastname": "A", "lastname@x.y": 1, "@odata.etag": "x"}
    assert parse_payload(CONTACT, sent, creating=True).columns == {"lastname": "A"}


def test_a_lookup_knows_which_table_it_points_at() -> None:
    payload = parse_payload(EMAIL, {"regardingobjectid_lead@odata.bind": f"/leads({ID})"}, creating=False)
    assert payload.columns == {"regardingobjectid": ID, "regardingobjectid_type": "lead"}
    assert payload.pointed == [("lead", ID)]
    cleared = parse_payload(EMAIL, {"regardingobjectid_lead": None}, creating=False)
    assert cleared.columns == {"regardingobjectid": None, "regardingobjectid_type": None}


@pytest.mark.parametrize("null", ["regardingobjectid_contact", "regardingobjectid_account_email@odata.bind"])
@pytest.mark.parametrize("first", [True, False])
def test_a_lookup_that_is_bound_stays_bound_where_its_other_names_are_null(null: str, first: bool) -> None:
    bound = {"regardingobjectid_lead@odata.bind": f"/leads({ID})"}
    payload = parse_payload(EMAIL, {null: None, **bound} if first else {**bound, null: None}, creating=False)
    assert payload.columns == {"regardingobjectid": ID, "regardingobjectid_type": "lead"}


@pytest.mark.parametrize("other", [f"/leads({ID[:-1]}2)", f"/contacts({ID})"])
def test_a_lookup_that_is_bound_to_two_rows_is_refused_by_name(other: str) -> None:
    name = "regardingobjectid_contact" if "contacts" in other else "regardingobjectid_lead_email"
    sent = {"regardingobjectid_lead@odata.bind": f"/leads({ID})", f"{name}@odata.bind": other}
    with pytest.raises(Failure, match="'regardingobjectid' of 'email' is bound to two rows") as raised:
        parse_payload(EMAIL, sent, creating=True)
    assert raised.value.status == 400


@given(st.binary(max_size=200))
def test_a_body_in_base64_is_decoded_folded_or_not(content: bytes) -> None:
    import base64

    assert decode_body(base64.b64encode(content).decode()) == content
    assert decode_body(base64.encodebytes(content).decode()) == content


@pytest.mark.parametrize("body", ["é", "A", "QQ", "QQ=", "Q===", "Q Q", "QQ==QQ==", "a-b_", "QQ==x"])
def test_a_body_that_is_not_base64_is_refused(body: str) -> None:
    with pytest.raises(Failure):
        decode_body(body)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", Preferences()),
        ("return=representation", Preferences(representation=True)),
        ("odata.maxpagesize=2", Preferences(page_size=2)),
        ("odata.maxpagesize=99999", Preferences(page_size=5000)),
        ('odata.include-annotations="*"', Preferences(annotations=("*",))),
        (
            'odata.maxpagesize=2,odata.include-annotations="OData.Community.Display.V1.FormattedValue,Microsoft.*"',
            Preferences(page_size=2, annotations=("OData.Community.Display.V1.FormattedValue", "Microsoft.*")),
        ),
        ("respond-async, return=representation", Preferences(representation=True)),
        ("Return = representation; odd=1, OData.MaxPageSize=2", Preferences(representation=True, page_size=2)),
    ],
)
def test_preferences_are_read_as_clients_write_them(header: str, expected: Preferences) -> None:
    assert parse_preferences(header) == expected


@given(st.text(max_size=60))
def test_no_prefer_header_breaks_anything(header: str) -> None:
    try:
        parse_preferences(header)
    except Failure as failure:
        assert failure.status == 400


@pytest.mark.parametrize(
    ("condition", "version"), [("", None), ("*", None), ('W/"12"', 12), ('"12"', 12), ("12", -1), ('W/"x"', -1)]
)
def test_an_etag_names_a_version(condition: str, version: int | None) -> None:
    assert version_in(condition) == version


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({"Host": "a.example"}, "http://a.example"),
        ({"host": "127.0.0.1:7071"}, "http://127.0.0.1:7071"),
        (
            {"Host": "a.example", "X-Forwarded-Proto": "https", "X-Forwarded-Host": "b.example:8443"},
            "https://b.example:8443",
        ),
        ({"Host": "a.example", "X-Forwarded-Proto": "https,http"}, "https://a.example"),
        ({"Host": "a.example", "X-Forwarded-Proto": "javascript"}, "http://a.example"),
        ({"Host": "a.example/<script>"}, "http://site.example"),
        ({}, "http://site.example"),
    ],
)
def test_the_base_is_what_the_caller_was_given(headers: dict[str, str], base: str) -> None:
    address = parse_address(Request("GET", "http://site.example/contoso/api/data/v9.2/contacts?x=1", headers))
    assert address is not None
    assert (address.base, address.path, address.query) == (f"{base}/contoso/api/data/v9.2", "contacts", "x=1")


@pytest.mark.parametrize("path", ["/contoso/api/data/v9.2", "/contoso/api/data/v9.2/", "/contoso/api/data/v9.2//"])
def test_the_root_is_the_root_with_or_without_a_slash(path: str) -> None:
    address = parse_address(Request("GET", f"http://site.example{path}"))
    assert address is not None
    assert address.path == ""


@pytest.mark.parametrize("path", ["/", "/o/x", "/contoso/api/datax/v9.2", "/api/data/v9.2/contacts"])
def test_other_paths_are_not_the_web_api(path: str) -> None:
    assert parse_address(Request("GET", f"http://site.example{path}")) is None


WRONG = {
    Type.STRING: 5,
    Type.MEMO: ["x"],
    Type.ENTITY_NAME: True,
    Type.INTEGER: "5",
    Type.BOOLEAN: 1,
    Type.DATETIME: "tomorrow",
    Type.PICKLIST: "0",
    Type.STATE: 99,
    Type.STATUS: False,
    Type.GUID: "not-a-guid",
}
SETTABLE = [
    (table, column)
    for table in TABLES.values()
    for column in table.columns
    if column.writable and column.name != table.id and column.type not in LOOKUPS
]
KEPT = [(table, column) for table in TABLES.values() for column in table.columns if not column.writable]
ONCE = [(table, column) for table in TABLES.values() for column in table.columns if column.once]


def named(places: list[Any]) -> list[str]:
    return [f"{table.logical}.{column.name}" for table, column in places]


@pytest.mark.parametrize(("table", "column"), SETTABLE, ids=named(SETTABLE))
def test_every_column_refuses_another_type_and_names_itself(table: Any, column: Any) -> None:
    with pytest.raises(Failure) as raised:
        parse_payload(table, {column.wire: WRONG[column.type]}, creating=False)
    assert raised.value.status == 400
    assert column.name in raised.value.message


@pytest.mark.parametrize(("table", "column"), KEPT, ids=named(KEPT))
def test_every_column_of_the_service_is_ignored_on_create_and_refused_on_update(table: Any, column: Any) -> None:
    if column.name == table.id:
        return
    given = {needed.name: SAMPLE[needed.type] for needed in table.needed}
    assert column.name not in parse_payload(table, {**given, column.wire: 5}, creating=True).columns
    with pytest.raises(Failure) as raised:
        parse_payload(table, {column.wire: 5}, creating=False)
    assert (raised.value.status, raised.value.code) == (400, "0x80040203")
    assert column.name in raised.value.message


SAMPLE = {
    Type.STRING: "x",
    Type.MEMO: "x",
    Type.ENTITY_NAME: "contact",
    Type.INTEGER: 1033,
    Type.PICKLIST: 1,
    Type.DATETIME: "2026-11-24T08:00:00Z",
}


@pytest.mark.parametrize(("table", "column"), ONCE, ids=named(ONCE))
def test_what_is_set_on_create_only_is_refused_on_update(table: Any, column: Any) -> None:
    sent = {f"{next(iter(column.navigations))}@odata.bind": f"/emails({ID})"} if column.navigations else {}
    with pytest.raises(Failure, match="set on create only"):
        parse_payload(table, sent or {column.name: None}, creating=False)


@pytest.mark.parametrize("table", [table for table in TABLES.values() if table.needed], ids=lambda table: table.logical)
def test_a_row_without_what_it_needs_is_refused_and_the_column_named(table: Any) -> None:
    given = {column.name: SAMPLE[column.type] for column in table.needed}
    parse_payload(table, given, creating=True)
    for missing in given:
        with pytest.raises(Failure, match=f"'{missing}'"):
            parse_payload(table, {name: value for name, value in given.items() if name != missing}, creating=True)
        parse_payload(table, {}, creating=False)


def test_accounts_contacts_leads_and_emails_need_nothing() -> None:
    assert not any(TABLES[name].needed for name in ("account", "contact", "lead", "email", "queue", "systemuser"))
    assert {column.name for column in TABLES["template"].needed} == {
        "title", "subject", "templatetypecode", "languagecode",
    }  # fmt: skip


def test_an_unknown_column_is_refused_in_every_table() -> None:
    for table in TABLES.values():
        with pytest.raises(Failure, match="'nosuch'"):
            parse_payload(table, {"nosuch": 1}, creating=True)


def test_an_email_may_be_named_as_the_activity_that_it_is() -> None:
    attachment = TABLES["activitymimeattachment"]
    sent = {"objectid_activitypointer@odata.bind": f"/activitypointers({ID})"}
    assert parse_payload(attachment, sent, creating=True).columns["objectid"] == ID


def test_rows_of_a_collection_are_not_made_with_their_parent_unless_they_belong_to_it() -> None:
    with pytest.raises(Failure, match="Account_Emails"):
        parse_payload(TABLES["account"], {"Account_Emails": [{"subject": "x"}]}, creating=True)


def test_a_lookup_of_the_service_is_not_cleared_by_its_navigation_property() -> None:
    assert parse_payload(EMAIL, {"createdby_email": None}, creating=True).columns == {}
    with pytest.raises(Failure, match="createdby_email"):
        parse_payload(EMAIL, {"createdby_email": None}, creating=False)
    with pytest.raises(Failure, match="activityid_activitypointer"):
        parse_payload(EMAIL, {"activityid_activitypointer": None}, creating=False)
