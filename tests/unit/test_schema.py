"""The schema, and values checked and written by it."""

import itertools
import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.webapi.errors import Failure
from shared.webapi.http import json_body
from shared.webapi.schema import CHOICES, LOOKUPS, TEXTS, Type
from shared.webapi.tables import SETS, TABLES, collection_of, navigation_of
from shared.webapi.values import format_time, formatted, from_stored, parse_guid, parse_time, to_stored

EMAIL, CONTACT = TABLES["email"], TABLES["contact"]
COLUMNS = [(table, column) for table in TABLES.values() for column in table.columns]


def refusal(table: Any, name: str, value: object) -> Failure:
    with pytest.raises(Failure) as raised:
        to_stored(table, table.by_name[name], value)
    return raised.value


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_table_has_its_key_and_its_name_among_its_columns(table: Any) -> None:
    assert table.by_name[table.id].type is Type.GUID
    # Dataverse's actioncarduserstate has no name.
    assert table.name in table.by_name or table.logical == "actioncarduserstate"
    names = [column.name for column in table.columns]
    assert len(names) == len(set(names)) == len(table.by_wire)
    assert len({*table.by_wire, *table.by_navigation, *table.collections}) == (
        len(table.by_wire) + len(table.by_navigation) + len(table.collections)
    )


def test_everything_says_what_it_is_and_where_it_is_documented() -> None:
    for table, column in COLUMNS:
        where = f"{table.logical}.{column.name}"
        assert column.about.endswith("."), where
        assert len(column.about) < 100, where
        assert column.display, where
        assert (table.source_of(column) == "ours") == column.name.startswith("ee_")
    assert all(table.about for table in TABLES.values())
    documented = {
        name: EMAIL.source_of(EMAIL.by_name[name]) for name in ("opencount", "msdyn_emailengagementinteractions")
    }
    assert documented == {"opencount": "dataverse", "msdyn_emailengagementinteractions": "sales"}
    assert TABLES["lead"].source_of(TABLES["lead"].by_name["subject"]) == "sales"


def test_what_only_the_service_can_know_is_written_by_it() -> None:
    counted = {
        "email": "isemailfollowed ee_followreason ee_statustext ee_failurereason opencount lastopenedtime senton "
        "linksclickedcount attachmentopencount replycount ee_proxyopencount ee_machineopencount ee_machineclickcount "
        "emailreminderstatus isemailreminderset attachmentcount conversationindex correlationmethod",
        "template": "usedcount ee_followedcount opencount replycount openrate replyrate ee_clickrate isrecommended",
        "activitymimeattachment": "isfollowed anonymouslink filesize ee_notfollowedreason",
        "actioncard": "title description cardtype priority expirydate",
    }
    for logical, names in counted.items():
        table = TABLES[logical]
        assert {table.writer(table.by_name[name]) for name in names.split()} == {"service"}
    for logical in ("activitypointer", "interactionforemail"):
        assert {TABLES[logical].writer(column) for column in TABLES[logical].columns} == {"service"}
    assert TABLES["organization"].writer(TABLES["organization"].by_name["isemailmonitoringallowed"]) == "administrator"
    assert EMAIL.writer(EMAIL.by_name["subject"]) == "owner"


def test_rows_that_nobody_writes_are_not_made_either() -> None:
    assert not any(table.creatable for table in TABLES.values() if table.writers == "nobody")


def test_keys_are_made_of_columns_that_clients_write() -> None:
    for table in TABLES.values():
        for key in table.keys:
            assert key.columns
            assert all(table.by_name[name].writable for name in key.columns)
    assert {logical for logical, table in TABLES.items() if table.keys} == {"contact", "account", "lead"}


def test_a_text_fits_where_it_is_stored() -> None:
    # A property of Azure Table storage holds 64 KiB of UTF-16.
    for table, column in COLUMNS:
        if column.type in TEXTS and column.writable and not column.lazy:
            assert 0 < column.length <= 32_768, f"{table.logical}.{column.name}"


def test_a_view_shows_columns_of_its_table_as_they_are_stored_there() -> None:
    view = TABLES["activitypointer"]
    own = TABLES[view.view_of]
    assert (view.kept, view.writers, view.creatable) == (own.kept, "nobody", False)
    for column in view.columns:
        if column.name != "instancetypecode":
            assert (column.type, column.default) == (own.by_name[column.name].type, own.by_name[column.name].default)


def test_every_navigation_names_one_lookup_and_a_table_there_is() -> None:
    for table in TABLES.values():
        names = list(itertools.chain.from_iterable(column.navigations for column in table.columns))
        assert len(names) == len(set(names))
        for _, target in table.by_navigation.values():
            assert target in TABLES
        for name, collection in table.collections.items():
            lookup = TABLES[collection.table].by_name[collection.column]
            assert table.logical in lookup.targets or table.view_of in lookup.targets
            back = navigation_of(table, name)
            assert back == "" or collection_of(TABLES[collection.table], back) == name


def test_every_choice_has_labels_and_every_default_is_one_of_them() -> None:
    for _, column in COLUMNS:
        if column.type in CHOICES:
            assert column.options
            assert column.default is None or column.default in column.options
        if column.type is Type.STATUS:
            assert set(column.states) == set(column.options)


def test_option_values_are_dataverses() -> None:
    options = {
        ("email", "statuscode"): {
            1: "Draft", 2: "Completed", 3: "Sent", 4: "Received", 5: "Canceled", 6: "Pending Send", 7: "Sending",
            8: "Failed",
        },
        ("email", "emailreminderstatus"): {
            0: "NotSet", 1: "ReminderSet", 2: "ReminderExpired", 3: "ReminderInvalid",
        },
        ("interactionforemail", "interactiontype"): {
            0: "EmailOpen", 1: "LinkOpen", 2: "AttachmentOpen", 3: "EmailReply",
        },
        ("contact", "followemail"): {1: "Allow", 0: "Do Not Allow"},
        ("actioncard", "state"): {0: "Active", 1: "Dismissed", 2: "Completed"},
        ("template", "ispersonal"): {1: "Individual", 0: "Organization"},
    }  # fmt: skip
    for (table, name), expected in options.items():
        assert dict(TABLES[table].by_name[name].options) == expected
    labels = {"followemailuserpreference": "Following", "delayedemailsendtime": "Send Later", "senton": "Date Sent"}
    assert {name: EMAIL.by_name[name].display for name in labels} == labels


def test_every_default_may_be_stored() -> None:
    for table, column in COLUMNS:
        if column.default is not None:
            assert to_stored(table, column, column.default) == column.default


def test_set_names_are_dataverses() -> None:
    expected = {
        "contacts", "accounts", "leads", "systemusers", "queues", "emails", "activityparties",
        "activitymimeattachments", "interactionforemails", "actioncards", "organizations", "templates",
        "activitypointers", "actioncarduserstates",
    }  # fmt: skip
    assert expected == set(SETS)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("subject", 5),
        ("subject", ["x"]),
        ("subject", {"a": 1}),
        ("subject", True),
        ("followemailuserpreference", 1),
        ("followemailuserpreference", "true"),
        ("emailremindertype", "0"),
        ("emailremindertype", True),
        ("emailremindertype", 0.5),
        ("emailremindertype", float("inf")),
        ("delayedemailsendtime", "tomorrow"),
        ("delayedemailsendtime", "2026-02-30T00:00:00Z"),
        ("delayedemailsendtime", "0001-01-01T00:00:00Z"),
        ("delayedemailsendtime", 5),
        ("emailtrackingid", "not-a-guid"),
        ("emailtrackingid", 7),
    ],
)
def test_a_value_of_another_type_is_refused_and_the_column_named(name: str, value: object) -> None:
    failure = refusal(EMAIL, name, value)
    assert failure.status == 400
    assert failure.code == "0x80048d19"
    assert name in failure.message


def test_a_text_that_is_too_long_is_refused_with_dataverses_code() -> None:
    failure = refusal(EMAIL, "subject", "x" * 801)
    assert (failure.status, failure.code) == (400, "0x80044331")
    assert "'subject'" in failure.message
    assert "'800'" in failure.message
    assert to_stored(EMAIL, EMAIL.by_name["subject"], "x" * 800) == "x" * 800


def test_lengths_count_utf_16_as_dataverse_does() -> None:
    assert refusal(EMAIL, "subject", "\U0001f600" * 401).code == "0x80044331"
    assert to_stored(EMAIL, EMAIL.by_name["subject"], "\U0001f600" * 400) == "\U0001f600" * 400


def test_an_option_that_there_is_not_is_refused_and_the_known_ones_named() -> None:
    failure = refusal(EMAIL, "emailremindertype", 9)
    assert "emailremindertype" in failure.message
    assert "2 (Remind me anyways at)" in failure.message


def test_a_number_beyond_the_columns_range_is_refused() -> None:
    assert "numberofemployees" in refusal(TABLES["account"], "numberofemployees", 2_000_000_000).message
    assert refusal(TABLES["account"], "numberofemployees", -1).status == 400


def test_control_characters_in_a_line_are_refused_with_dataverses_code() -> None:
    assert refusal(CONTACT, "lastname", "a\x00b").code == "0x80040278"


def test_null_is_refused_where_a_value_is_required() -> None:
    assert "ownerid" in refusal(CONTACT, "ownerid", None).message
    assert "statuscode" in refusal(EMAIL, "statuscode", None).message


def test_an_empty_text_is_null_as_in_dataverse() -> None:
    assert to_stored(CONTACT, CONTACT.by_name["lastname"], "") is None


def test_times_become_utc_seconds() -> None:
    column = EMAIL.by_name["delayedemailsendtime"]
    assert to_stored(EMAIL, column, "2026-11-23T19:35:00.987+02:00") == "2026-11-23T17:35:00Z"
    assert to_stored(EMAIL, column, "2026-11-23") == "2026-11-23T00:00:00Z"


def test_half_an_emoji_is_replaced_where_it_could_not_be_stored() -> None:
    assert to_stored(EMAIL, EMAIL.by_name["subject"], "cut \ud83d") == "cut \ufffd"
    assert to_stored(EMAIL, EMAIL.by_name["subject"], "whole \ud83d\ude00") == "whole \U0001f600"


def test_json_of_lone_surrogates_is_still_json() -> None:
    assert json_body({"description": "\ud83d"}) == b'{"description":"\\ud83d"}'


@given(st.uuids(), st.booleans(), st.booleans())
def test_a_guid_reads_the_same_in_any_case_and_braces(value: uuid.UUID, upper: bool, braces: bool) -> None:
    text = str(value).upper() if upper else str(value)
    assert parse_guid("{" + text + "}" if braces else text) == str(value)


@given(
    st.datetimes(
        min_value=datetime(1753, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone
        timezones=st.just(UTC),
    )
)
def test_a_time_survives_being_written_and_read(moment: datetime) -> None:
    assert parse_time(format_time(moment)) == moment.replace(microsecond=0)


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@given(st.sampled_from(COLUMNS), VALUES)
def test_no_value_does_more_than_be_stored_or_refused(place: Any, value: object) -> None:
    table, column = place
    try:
        stored = to_stored(table, column, value)
    except Failure as failure:
        assert failure.status == 400
        assert column.name in failure.message
    else:
        assert stored is None or isinstance(stored, str | int | bool)


def test_a_row_reads_its_defaults_where_nothing_is_stored() -> None:
    row = from_stored(EMAIL, {"PartitionKey": "p", "RowKey": "email", "etag": "", "subject": ""})
    assert row["activityid"] == "p"
    assert (row["opencount"], row["isemailfollowed"], row["statuscode"], row["subject"]) == (0, False, 1, None)
    assert "description" not in row


def test_internal_columns_never_leave() -> None:
    stored = {"PartitionKey": "p", "RowKey": "email", "_sendersource": "secret", "_draft": "x", "other": 1}
    assert not {"_sendersource", "_draft", "other"} & from_stored(EMAIL, stored).keys()


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("statuscode", 6, "Pending Send"),
        ("isemailfollowed", True, "Yes"),
        ("directioncode", False, "Incoming"),
        ("opencount", 1234, "1,234"),
        ("senton", "2026-11-03T00:05:00Z", "11/3/2026 12:05 AM"),
        ("senton", "2026-11-23T12:00:00Z", "11/23/2026 12:00 PM"),
        ("subject", "x", None),
        ("senton", None, None),
    ],
)
def test_formatted_values_read_as_in_dynamics(name: str, value: object, shown: str | None) -> None:
    assert formatted(EMAIL.by_name[name], value) == shown


def test_lookups_travel_as_value_properties() -> None:
    for _, column in COLUMNS:
        assert (column.wire == f"_{column.name}_value") is (column.type in LOOKUPS)
