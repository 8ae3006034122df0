"""``$filter`` as a specification: what it keeps, what it refuses, and what a reader of storage may look for first."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.webapi.errors import Failure
from shared.webapi.filters import EVERYTHING, MAX_LENGTH, Filter, attach, parse_filter
from shared.webapi.query_functions import Asker
from shared.webapi.tables import TABLES

EMAIL = TABLES["email"]
ONE, TWO = "0b1d0b6e-0000-4000-8000-000000000001", "0b1d0b6e-0000-4000-8000-000000000002"
ASKER = Asker(datetime(2026, 11, 23, 13, 45, 30, 900000, tzinfo=UTC), ONE)
"""A Monday, to name a day of the week."""
CRM = "Microsoft.Dynamics.CRM."


def row(related: dict[str, Any] | None = None, **columns: Any) -> dict[str, Any]:
    made = {column.name: None for column in EMAIL.columns} | {"activityid": ONE} | columns
    for name, rows in (related or {}).items():
        attach(made, name, rows)
    return made


def party(mask: int, address: str, contact: str | None = None) -> dict[str, Any]:
    return {"participationtypemask": mask, "addressused": address, "partyid": contact, "partyid_type": "contact"}


def keeps(text: str, given_row: dict[str, Any], **aliases: str) -> bool:
    return parse_filter(text, EMAIL, {f"@{name}": value for name, value in aliases.items()}, ASKER).keeps(given_row)


def refusal(text: str, **aliases: str) -> str:
    with pytest.raises(Failure) as raised:
        parse_filter(text, EMAIL, {f"@{name}": value for name, value in aliases.items()}, ASKER)
    assert raised.value.status == 400
    # What cannot be written as UTF-8 cannot be answered either.
    raised.value.message.encode()
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
        ("description eq 'x'", "description"),
        ("subject", "subject"),
        ("subject eq", "position 8"),
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
    assert keeps(" or ".join(["opencount eq 1"] * 1800), row(opencount=1))


@pytest.mark.parametrize(
    "text",
    [
        "opencount in (" + ",".join(["1"] * 14_000) + ")",
        "subject in (" + ",".join(["'a'"] * 8_000) + ")",
        "(" * 30_000,
        "opencount eq " + "-" * 30_000 + "1",
    ],
)
def test_a_filter_of_more_words_than_anybody_has_is_refused_before_it_is_understood(text: str) -> None:
    assert "12,000 names, values, operators" in refusal(text)


@given(st.text(max_size=60))
def test_no_text_does_more_than_filter_or_be_refused(text: str) -> None:
    try:
        parse_filter(text, EMAIL).keeps(row())
    except Failure as failure:
        assert failure.status == 400


@pytest.mark.parametrize(
    "text",
    [
        "opencount eq 1 AND subject eq 'x'",
        "(opencount eq 1)and(subject eq 'x')",
        "  opencount   eq  1  and  subject  eq  'x'  ",
        "NOT (opencount ne 1) and not(subject ne 'x')",
        "opencount in (1) and subject in('X')",
        f"_ownerid_value eq {{{ONE}}} and opencount eq 1",
        f"_ownerid_value eq '{{{ONE}}}'",
        f"ownerid eq {ONE.upper()}",
        f"ownerid/systemuserid eq guid'{ONE}'",
        f"regardingobjectid eq {TWO}",
        f"regardingobjectid_contact_email/contactid eq {TWO}",
        f"not (regardingobjectid_account_email/accountid eq {TWO})",
        "contains(subject, 'x') eq true",
        "not isemailfollowed eq false",
        "(opencount eq 1) eq true",
        "contains(tolower(subject),'X')",
        "createdon eq 2026-11-23T18:35:00+01:00",
        "createdon eq '2026-11-23T17:35:00Z'",
        "createdon gt 2026-11-23 and createdon lt 2026-11-24T00:00Z",
    ],
)
def test_a_filter_is_understood_in_the_spellings_of_clients(text: str) -> None:
    given_row = row(
        opencount=1, subject="X", ownerid=ONE, isemailfollowed=True, createdon="2026-11-23T17:35:00Z",
        regardingobjectid=TWO, regardingobjectid_type="contact",
    )  # fmt: skip
    assert keeps(text, given_row)


def test_names_that_begin_like_a_keyword_are_names() -> None:
    assert "'allowed'" in refusal("allowed eq 1")
    assert "'anything'" in refusal("anything eq 1")
    assert "'nullable'" in refusal("nullable eq 1")
    assert "'truefalse'" in refusal("truefalse eq 1")


def test_unicode_is_compared_and_half_a_character_is_no_text() -> None:
    assert keeps("subject eq 'ÉCOLE 日本 😀'", row(subject="école 日本 😀"))
    assert keeps("subject eq '\ud83d\ude00'", row(subject="😀"))
    assert keeps("subject eq '\ud800'", row(subject="\ufffd"))
    assert "opencount" in refusal("opencount eq '\ud800'")
    assert "nosuch" in refusal(f"""{CRM}In(PropertyName="nosuch\\ud800",PropertyValues=["\\ud800"])""")


# Dataverse's query functions. It is 13:45:30 on Monday, 23 November 2026.


@pytest.mark.parametrize(
    ("function", "first", "last"),
    [
        ("Yesterday()", "2026-11-22T00:00:00Z", "2026-11-22T23:59:59Z"),
        ("Today()", "2026-11-23T00:00:00Z", "2026-11-23T23:59:59Z"),
        ("Tomorrow()", "2026-11-24T00:00:00Z", "2026-11-24T23:59:59Z"),
        ("LastWeek()", "2026-11-15T00:00:00Z", "2026-11-21T23:59:59Z"),
        ("ThisWeek()", "2026-11-22T00:00:00Z", "2026-11-28T23:59:59Z"),
        ("NextWeek()", "2026-11-29T00:00:00Z", "2026-12-05T23:59:59Z"),
        ("LastMonth()", "2026-10-01T00:00:00Z", "2026-10-31T23:59:59Z"),
        ("ThisMonth()", "2026-11-01T00:00:00Z", "2026-11-30T23:59:59Z"),
        ("NextMonth()", "2026-12-01T00:00:00Z", "2026-12-31T23:59:59Z"),
        ("LastYear()", "2025-01-01T00:00:00Z", "2025-12-31T23:59:59Z"),
        ("ThisYear()", "2026-01-01T00:00:00Z", "2026-12-31T23:59:59Z"),
        ("NextYear()", "2027-01-01T00:00:00Z", "2027-12-31T23:59:59Z"),
        ("Last7Days()", "2026-11-16T00:00:00Z", "2026-11-23T13:45:30Z"),
        ("Next7Days()", "2026-11-23T13:45:30Z", "2026-11-30T23:59:59Z"),
        ("LastXHours(2)", "2026-11-23T11:00:00Z", "2026-11-23T13:45:30Z"),
        ("LastXDays(4)", "2026-11-19T00:00:00Z", "2026-11-23T13:45:30Z"),
        ("LastXWeeks('2')", "2026-11-09T00:00:00Z", "2026-11-23T13:45:30Z"),
        ("LastXMonths(9)", "2026-02-23T00:00:00Z", "2026-11-23T13:45:30Z"),
        ("LastXYears(2)", "2024-11-23T00:00:00Z", "2026-11-23T13:45:30Z"),
        ("NextXHours(2)", "2026-11-23T13:45:30Z", "2026-11-23T15:59:59Z"),
        ("NextXDays(4)", "2026-11-23T13:45:30Z", "2026-11-27T23:59:59Z"),
        ("NextXWeeks(2)", "2026-11-23T13:45:30Z", "2026-12-07T23:59:59Z"),
        ("NextXMonths(3)", "2026-11-23T13:45:30Z", "2027-02-23T23:59:59Z"),
        ("NextXYears(2)", "2026-11-23T13:45:30Z", "2028-11-23T23:59:59Z"),
        ("OlderThanXMinutes(10)", None, "2026-11-23T13:34:59Z"),
        ("OlderThanXHours(2)", None, "2026-11-23T10:59:59Z"),
        ("OlderThanXDays(4)", None, "2026-11-18T23:59:59Z"),
        ("OlderThanXWeeks(2)", None, "2026-11-08T23:59:59Z"),
        ("OlderThanXMonths(3)", None, "2026-08-22T23:59:59Z"),
        ("OlderThanXYears(2)", None, "2024-11-22T23:59:59Z"),
        ("On('2026-11-20')", "2026-11-20T00:00:00Z", "2026-11-20T23:59:59Z"),
        ("On(2026-11-20T22:00:00-05:00)", "2026-11-21T00:00:00Z", "2026-11-21T23:59:59Z"),
        ("OnOrAfter(2026-11-20)", "2026-11-20T00:00:00Z", None),
        ("OnOrBefore('2026-11-20T08:00:00Z')", None, "2026-11-20T23:59:59Z"),
    ],
)
def test_a_function_of_dates_keeps_from_its_first_to_its_last_second(
    function: str, first: str | None, last: str | None
) -> None:
    name, _, value = function.rstrip(")").partition("(")
    text = f"{CRM}{name}(PropertyName='createdon'{value and f',PropertyValue={value}'})"
    for bound, by in ((first, -1), (last, 1)):
        if bound is not None:
            moment = datetime.fromisoformat(bound).timestamp()
            outside = datetime.fromtimestamp(moment + by, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            assert keeps(text, row(createdon=bound))
            assert not keeps(text, row(createdon=outside))
    assert not keeps(text, row(createdon=None))


def test_a_month_back_from_its_last_day_is_the_last_day_of_a_shorter_one() -> None:
    asker = Asker(datetime(2026, 3, 31, 8, tzinfo=UTC), ONE)
    text = f"{CRM}LastXMonths(PropertyName='createdon',PropertyValue=1)"
    assert parse_filter(text, EMAIL, {}, asker).keeps(row(createdon="2026-02-28T00:00:00Z"))
    assert not parse_filter(text, EMAIL, {}, asker).keeps(row(createdon="2026-02-27T23:59:59Z"))


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("In(PropertyName='statuscode',PropertyValues=['1','3'])", {"statuscode": 3}),
        ('In(PropertyName="statuscode",PropertyValues=["3"])', {"statuscode": 3}),
        ("In( PropertyName = 'statuscode' , PropertyValues = [ 1 , 3 ] )", {"statuscode": 1}),
        ('In(PropertyName=\'subject\',PropertyValues=["a@b.example","it\'s"])', {"subject": "IT'S"}),
        ("In(PropertyName='isemailfollowed',PropertyValues=['true'])", {"isemailfollowed": True}),
        (f"In(PropertyName='ownerid',PropertyValues=['{{{ONE}}}'])", {"ownerid": ONE}),
        ("NotIn(PropertyName='statuscode',PropertyValues=['1','3'])", {"statuscode": 6}),
        ("NotIn(PropertyName='statuscode',PropertyValues=['1','3'])", {"statuscode": None}),
        ("Between(PropertyName='opencount',PropertyValues=['5','2000'])", {"opencount": 5}),
        ("Between(PropertyName='opencount',PropertyValues=['5','2000'])", {"opencount": 2000}),
        ("NotBetween(PropertyName='opencount',PropertyValues=['5','2000'])", {"opencount": 2001}),
        ("Contains(PropertyName='subject',PropertyValue='ffe')", {"subject": "OFFER"}),
        ("EqualUserId(PropertyName='ownerid')", {"ownerid": ONE}),
        ("EqualUserId(PropertyName='_ownerid_value')", {"ownerid": ONE}),
        ("NotEqualUserId(PropertyName='ownerid')", {"ownerid": TWO}),
    ],
)
def test_a_query_function_keeps_what_it_says(text: str, columns: dict[str, Any]) -> None:
    assert keeps(CRM + text, row(**columns))
    assert not keeps(f"not {CRM}{text}", row(**columns))
    assert keeps(f"{CRM}{text} eq true", row(**columns))


def test_a_query_function_takes_its_parameters_from_aliases() -> None:
    text = f"{CRM}In(PropertyName=@p1,PropertyValues=@p2)"
    assert keeps(text, row(statuscode=3), p1="'statuscode'", p2="['1','3']")
    assert keeps(text, row(statuscode=3), p1="'statuscode'", p2='["3"]')
    assert keeps(f"{CRM}Today(PropertyName=@p1)", row(senton="2026-11-23T08:00:00Z"), p1="'senton'")
    assert keeps(f"{CRM}LastXDays(PropertyName=@p1,PropertyValue=@p2)", row(senton="2026-11-23T08:00:00Z"),
                 p1="'senton'", p2="1")  # fmt: skip


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("NoSuch(PropertyName='createdon')", "NoSuch"),
        ("ContainValues(PropertyName='statuscode',PropertyValues=['1'])", "ContainValues"),
        (
            "InFiscalPeriodAndYear(PropertyName='createdon',PropertyValue1=1,PropertyValue2=2026)",
            "InFiscalPeriodAndYear",
        ),
        ("Today(PropertyName='nosuch')", "nosuch"),
        ("Today(PropertyName='subject')", "subject"),
        ("Today(PropertyName='a/b/c')", "a/b/c"),
        ("Today(PropertyName='description')", "description"),
        ("Today(PropertyName=createdon)", "PropertyName"),
        ("Today('createdon')", "PropertyName"),
        ("Today(PropertyName='createdon',PropertyName='senton')", "PropertyName"),
        ("LastXDays(PropertyName='createdon')", "PropertyValue"),
        ("LastXDays(PropertyName='createdon',PropertyValue='many')", "many"),
        ("LastXDays(PropertyName='createdon',PropertyValue=0)", "1 or more"),
        ("LastXDays(PropertyName='createdon',PropertyValue=-1)", "1 or more"),
        ("LastXDays(PropertyName='createdon',PropertyValue=1.5)", "1 or more"),
        ("LastXDays(PropertyName='createdon',PropertyValue=null)", "null"),
        ("LastXDays(PropertyName='createdon',PropertyValue=999999999)", "calendar"),
        ("LastXYears(PropertyName='createdon',PropertyValue=300)", "calendar"),
        ("NextXMonths(PropertyName='createdon',PropertyValue=999999)", "calendar"),
        ("OnOrBefore(PropertyName='createdon',PropertyValue=9999-12-31)", "calendar"),
        ("On(PropertyName='createdon',PropertyValue='2026-02-31')", "2026-02-31"),
        ("On(PropertyName='createdon',PropertyValue=5)", "5"),
        ("In(PropertyName='statuscode',PropertyValues=['x'])", "statuscode"),
        ("In(PropertyName='statuscode',PropertyValues=[null,'1'])", "null"),
        ("In(PropertyName='statuscode',PropertyValues='1')", "PropertyValues"),
        ("In(PropertyName='statuscode',PropertyValues=[])", "unexpected"),
        ("Between(PropertyName='opencount',PropertyValues=['1'])", "two values"),
        ("EqualUserId(PropertyName='subject')", "subject"),
        ("Contains(PropertyName='opencount',PropertyValue='1')", "opencount"),
    ],
)
def test_a_query_function_refuses_what_it_cannot_take(text: str, culprit: str) -> None:
    assert culprit in refusal(CRM + text)


def test_what_depends_on_the_caller_is_refused_where_nobody_asks() -> None:
    for text in (f"{CRM}Today(PropertyName='createdon')", f"{CRM}EqualUserId(PropertyName='ownerid')"):
        with pytest.raises(Failure) as raised:
            parse_filter(text, EMAIL)
        assert "cannot be used here" in raised.value.message


# Related rows.

PARTIES = [party(1, "seller@contoso.example"), party(2, "ada@fabrikam.example", ONE)]


@pytest.mark.parametrize(
    "text",
    [
        "email_activity_parties/any()",
        "email_activity_parties/any(p:p/addressused eq 'ADA@fabrikam.example')",
        f"email_activity_parties/any( p : p/participationtypemask eq 2 and p/_partyid_value eq {ONE} )",
        f"email_activity_parties/any(x:x/partyid eq {ONE})",
        "email_activity_parties/any(o:o/participationtypemask in (3,2) and not (o/addressused eq null))",
        "email_activity_parties/any(p:contains(p/addressused,'fabrikam') or startswith(p/addressused,'x'))",
        "email_activity_parties/all(p:endswith(p/addressused,'.example'))",
        "not email_activity_parties/all(p:p/participationtypemask eq 2)",
        f"email_activity_parties/any(p:{CRM}In(PropertyName='p/participationtypemask',PropertyValues=['2']))",
        "email_activity_parties/any(p:p/participationtypemask eq 1) eq true",
    ],
)
def test_any_and_all_ask_the_rows_of_a_collection(text: str) -> None:
    assert keeps(text, row({"email_activity_parties": PARTIES}))
    assert parse_filter(text, EMAIL).relations == {"email_activity_parties"}


def test_any_needs_one_row_that_meets_all_of_its_body() -> None:
    text = "email_activity_parties/any(p:p/participationtypemask eq 1 and p/addressused eq 'ada@fabrikam.example')"
    assert not keeps(text, row({"email_activity_parties": PARTIES}))


def test_over_no_rows_any_is_false_and_all_is_true() -> None:
    nobody = row({"email_activity_parties": []})
    assert not keeps("email_activity_parties/any()", nobody)
    assert not keeps("email_activity_parties/any(p:p/addressused ne 'x')", nobody)
    assert keeps("email_activity_parties/all(p:p/addressused eq 'x')", nobody)


@pytest.mark.parametrize(
    "text",
    [
        "regardingobjectid_contact_email/fullname eq 'ada'",
        "contains(regardingobjectid_contact_email/fullname,'D')",
        "tolower(regardingobjectid_contact_email/fullname) ne 'bob'",
        "'ADA' eq regardingobjectid_contact_email/fullname",
        "regardingobjectid_contact_email/followemail",
        "subject eq regardingobjectid_contact_email/fullname",
        "regardingobjectid_contact_email/fullname in ('x','ada')",
        f"{CRM}Today(PropertyName='regardingobjectid_contact_email/createdon')",
    ],
)
def test_a_path_leads_through_a_lookup(text: str) -> None:
    contact = {"fullname": "Ada", "followemail": True, "createdon": "2026-11-23T00:00:00Z"}
    assert keeps(text, row({"regardingobjectid_contact_email": contact}, subject="ADA"))
    assert parse_filter(text, EMAIL, {}, ASKER).relations == {"regardingobjectid_contact_email"}


def test_a_navigation_may_have_the_name_of_its_lookup() -> None:
    given_row = row({"ownerid": {"fullname": "Ada"}}, ownerid=ONE)
    assert keeps(f"ownerid/fullname eq 'ada' and ownerid eq {ONE}", given_row)


def test_a_path_through_nothing_is_null() -> None:
    nothing = row({"regardingobjectid_contact_email": None})
    assert keeps("regardingobjectid_contact_email/fullname eq null", nothing)
    assert keeps("regardingobjectid_contact_email/fullname ne 'x'", nothing)
    assert not keeps("regardingobjectid_contact_email/fullname gt 'x'", nothing)
    assert not keeps("contains(regardingobjectid_contact_email/fullname,'')", nothing)


def test_a_path_to_the_key_reads_the_lookup_alone() -> None:
    parsed = parse_filter(f"regardingobjectid_contact_email/contactid eq {TWO}", EMAIL)
    assert not parsed.relations
    assert parsed.columns == {"regardingobjectid"}
    assert parsed.keeps(row(regardingobjectid=TWO, regardingobjectid_type="contact"))
    assert not parsed.keeps(row(regardingobjectid=TWO, regardingobjectid_type="account"))
    null = parse_filter("regardingobjectid_contact_email/contactid eq null", EMAIL)
    assert null.keeps(row(regardingobjectid=TWO, regardingobjectid_type="account"))


@pytest.mark.parametrize(
    ("text", "culprit"),
    [
        ("nosuch/any()", "nosuch"),
        ("nosuch/fullname eq 'x'", "nosuch"),
        ("ownerid/nosuch eq 'x'", "nosuch"),
        ("ownerid/any()", "not a collection"),
        ("subject/any()", "not a collection"),
        ("email_activity_parties/addressused eq 'x'", "is a collection"),
        ("email_activity_parties eq 'x'", "email_activity_parties"),
        ("email_activity_parties/any(p:p/nosuch eq 1)", "nosuch"),
        ("email_activity_parties/any(p:addressused eq 'x')", "p/addressused"),
        ("email_activity_parties/any(p:q/addressused eq 'x')", "'q'"),
        ("email_activity_parties/any(p:p/participationtypemask)", "condition"),
        ("email_activity_parties/any(p:p/partyid_contact/fullname eq 'x')", "more than one step"),
        ("email_activity_parties/any(p:email_activity_parties/any())", "cannot hold another"),
        (f"email_activity_parties/any(p:{CRM}Today(PropertyName='createdon'))", "p/createdon"),
        ("email_activity_mime_attachment/any(a:a/body eq 'x')", "body"),
        ("regardingobjectid_contact_email/ownerid/fullname eq 'x'", "more than one step"),
        ("regardingobjectid_contact_email/fullname eq 5", "fullname"),
    ],
)
def test_a_path_that_cannot_be_followed_is_refused_and_named(text: str, culprit: str) -> None:
    assert culprit in refusal(text)


# What a reader may look for first.


def hints(text: str) -> Filter:
    return parse_filter(text, EMAIL, {}, ASKER)


def test_keys_and_parents_are_pushed() -> None:
    table = TABLES["interactionforemail"]
    parsed = parse_filter(f"emailactivityid eq {ONE} and interactiontype eq 1 and contains(name,'x')", table)
    assert [(c.column.name, c.operator, c.value) for c in parsed.pushed] == [
        ("emailactivityid", "eq", ONE),
        ("interactiontype", "eq", 1),
    ]


def test_an_alternative_is_not_pushed() -> None:
    assert parse_filter(f"activityid eq {ONE} or opencount eq 1", EMAIL).pushed == ()


def test_a_default_that_is_kept_is_not_pushed() -> None:
    assert [c.value for c in parse_filter("opencount eq 0 and opencount lt 5 and opencount ge 1", EMAIL).pushed] == [1]


def test_numbers_that_storage_cannot_hold_are_not_pushed() -> None:
    assert (
        hints(f"opencount gt {2**31} and opencount gt {'9' * 25} and opencount gt 1e400 and opencount ge 1.5").pushed
        == ()
    )


def test_query_functions_are_pushed_as_what_they_stand_for() -> None:
    parsed = hints(
        f"{CRM}EqualUserId(PropertyName='ownerid') and {CRM}Between(PropertyName='opencount',PropertyValues=[2,9])"
    )
    assert [(c.column.name, c.operator, c.value) for c in parsed.pushed] == [
        ("ownerid", "eq", ONE),
        ("opencount", "ge", 2),
    ]


def test_equalities_are_told_and_whether_they_are_all() -> None:
    parsed = hints(
        f"{CRM}EqualUserId(PropertyName='ownerid') and isemailfollowed and 3 eq statuscode and subject eq 'X'"
    )
    assert dict(parsed.equals) == {"ownerid": ONE, "isemailfollowed": True, "statuscode": 3, "subject": "x"}
    assert parsed.only_equals
    assert EVERYTHING.only_equals


@pytest.mark.parametrize(
    ("text", "equals"),
    [
        (f"ownerid eq {ONE} and opencount gt 1", {"ownerid": ONE}),
        (f"ownerid eq {ONE} or opencount eq 1", {}),
        (f"ownerid eq {ONE} and email_activity_parties/any()", {"ownerid": ONE}),
        (f"regardingobjectid_contact_email/contactid eq {ONE}", {"regardingobjectid": ONE}),
        ("opencount eq 1 and opencount eq 2", {"opencount": 2}),
        ("ownerid eq null", {}),
        ("not isemailfollowed", {}),
        ("opencount eq 1.0", {}),
        ("createdon eq 2026-11-23", {}),
        ("ownerid/fullname eq 'x'", {}),
        ("true", {}),
    ],
)
def test_more_than_equalities_is_told(text: str, equals: dict[str, Any]) -> None:
    assert dict(hints(text).equals) == equals
    assert not hints(text).only_equals


def test_a_key_path_of_a_lookup_with_one_target_is_an_equality_like_any_other() -> None:
    assert hints(f"ownerid/systemuserid eq {ONE}").only_equals


def test_what_an_any_asks_of_one_row_is_told() -> None:
    parsed = hints(
        f"email_activity_parties/any(p:p/participationtypemask eq 2 and p/partyid eq {ONE} and p/addressused eq 'x')"
        " and email_activity_parties/any() and email_activity_parties/any(p:p/addressused eq 'x')"
        " and email_activity_parties/all(p:p/participationtypemask eq 2)"
    )
    ((name, conditions),) = parsed.within
    assert name == "email_activity_parties"
    assert [(c.column.name, c.operator, c.value) for c in conditions] == [
        ("participationtypemask", "eq", 2),
        ("partyid", "eq", ONE),
    ]


def test_what_looks_at_no_relation_is_decided_early() -> None:
    parsed = hints("email_activity_parties/any() and opencount gt 1 and (ownerid/fullname eq 'x' or opencount gt 5)")
    assert parsed.relations == {"email_activity_parties", "ownerid"}
    assert parsed.columns == {"opencount", "ownerid"}
    assert parsed.early(row(opencount=2))
    assert not parsed.early(row(opencount=1))
    assert hints("email_activity_parties/any()").early(row())


# Hostile filters.


@pytest.mark.parametrize(
    "text",
    [
        "opencount eq 1" + " eq true" * 3000,
        "(" * 2000 + "opencount eq 1" + ") in (true)" * 2000,
        "opencount in (" * 2000 + "1" + ")" * 2000,
        "/".join(["a"] * 15000) + " eq 1",
        f"{CRM}Today(PropertyName='{'a/' * 15000}')",
        "email_activity_parties/any(" * 1000,
        "[" * 30000,
        ")" * 30000,
        "opencount eq -" * 2000,
        "a" * 30000,
        '"\\x"',
        "email_activity_parties/any(p:" + "not " * 100 + "p/participationtypemask eq 1)",
    ],
)
def test_a_hostile_filter_is_refused(text: str) -> None:
    assert len(refusal(text)) < 500


def test_aliases_do_not_make_a_filter_longer_than_is_allowed() -> None:
    assert "characters" in refusal("@p1 " * 5000, p1="x" * MAX_LENGTH)


FRAGMENTS = st.sampled_from([
    "opencount", "subject", "createdon", "ownerid", "email_activity_parties", "any(", "all(", "p:", "p", "/", "(", ")",
    "[", "]", ",", "=", " eq ", " in ", " and ", "not ", "null", "true", "1", "'x'", '"x"', ONE, "2026-11-23", "1e400",
    f"{CRM}Today(", f"{CRM}In(", f"{CRM}LastXDays(", "PropertyName=", "'createdon'", "PropertyValue=",
    "PropertyValues=", "contains(", "tolower(", "@p1", "{", "}", "'", '"', "\ud800", "-", " ", "add", "9" * 20,
])  # fmt: skip


@given(st.lists(FRAGMENTS, max_size=14).map("".join))
def test_pieces_of_filters_in_any_order_are_understood_or_refused(text: str) -> None:
    related = {"email_activity_parties": PARTIES, "ownerid": None}
    try:
        parse_filter(text, EMAIL, {"@p1": "'createdon'"}, ASKER).keeps(row(related))
    except Failure as failure:
        assert failure.status == 400
        failure.message.encode()
