"""What comes back by mail: telling replies from automatic answers, bounces and the sender's own messages."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.engagement.delivery_reports import DeliveryReport, read_delivery_report, returned_ids
from shared.engagement.incoming import (
    ALERT_HEADER,
    MAX_REFERENCES,
    Incoming,
    Nature,
    identity,
    judge,
    message_ids,
    references,
)

SELLER = frozenset({"seller@contoso.example"})

REPLY = Incoming(
    id="AAkALg=",
    message_id="<reply-1@northwind.example>",
    subject="Re: Our offer",
    address="Ann@Northwind.example",
    name="Ann Arbor",
    sender="Ann@Northwind.example",
    conversation="AAQkAD=",
    received=datetime(2026, 11, 23, 17, 35, tzinfo=UTC),
    headers=(
        ("Return-Path", "<ann@northwind.example>"),
        ("Content-Type", 'multipart/alternative; boundary="x"'),
        ("In-Reply-To", "<offer@contoso.example>"),
        ("X-Auto-Response-Suppress", "DR, OOF, AutoReply"),
    ),
)


def nature(message: Incoming) -> Nature:
    return judge(message, SELLER).nature


def with_headers(*headers: tuple[str, str], **changes) -> Incoming:
    return replace(REPLY, headers=headers, **changes)


def test_what_a_person_writes_back_is_a_reply():
    assert nature(REPLY) is Nature.REPLY


def test_a_message_without_any_header_is_a_reply():
    assert nature(with_headers()) is Nature.REPLY


def test_a_copy_in_sent_items_is_the_senders_own():
    assert nature(replace(REPLY, address="Seller@Contoso.example", sender="")) is Nature.OWN


def test_what_the_sender_wrote_in_the_name_of_a_shared_mailbox_is_their_own():
    assert nature(replace(REPLY, address="sales@contoso.example", sender="seller@contoso.example")) is Nature.OWN


def test_an_alert_that_this_service_mailed_is_no_reply_whatever_address_it_shows():
    assert nature(with_headers(("X-EE-Alert", "1"), address="alias@contoso.example", sender="")) is Nature.OWN
    assert ALERT_HEADER == "x-ee-alert"


def test_a_draft_is_the_senders_own_whoever_it_is_from():
    assert nature(replace(REPLY, is_draft=True)) is Nature.OWN


@pytest.mark.parametrize(
    "message",
    [
        with_headers(("Content-Type", 'multipart/report; report-type=delivery-status;\r\n\tboundary="b"')),
        with_headers(("CONTENT-TYPE", 'Multipart/Report; boundary=b; Report-Type="Delivery-Status"')),
        with_headers(("X-MS-Exchange-Message-Is-Ndr", "")),
        with_headers(("X-Failed-Recipients", "ann@northwind.example"), ("Auto-Submitted", "auto-replied")),
        with_headers(("X-Failed-Recipients", "ann@northwind.example"), ("Return-Path", "<>")),
        with_headers(address="MAILER-DAEMON@mx.northwind.example"),
        with_headers(address="MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@contoso.example"),
        with_headers(("Return-Path", " <> "), address="postmaster@northwind.example"),
        with_headers(item="REPORT.IPM.Note.NDR"),
    ],
)
def test_a_non_delivery_report_is_a_bounce(message):
    assert nature(message) is Nature.BOUNCE


def test_a_person_who_is_called_postmaster_can_reply():
    assert nature(replace(REPLY, address="postmaster@northwind.example")) is Nature.REPLY


@pytest.mark.parametrize(
    "message",
    [
        with_headers(("Auto-Submitted", "auto-replied")),
        with_headers(("auto-submitted", "auto-replied (vacation); owner-email=x@y.example")),
        with_headers(("Auto-Submitted", "no"), ("Auto-Submitted", "auto-generated")),
        with_headers(("AUTO-SUBMITTED", "(rejected)\r\n auto-notified")),
        with_headers(("X-Autoreply", "yes")),
        with_headers(("X-Autorespond", "")),
        with_headers(("Precedence", "auto_reply")),
        with_headers(("X-MS-Exchange-Generated-Message-Source", "Mailbox Rules Agent")),
        with_headers(("Return-Path", "<>")),
        with_headers(item="IPM.Note.Rules.OofTemplate.Microsoft"),
        with_headers(("Precedence", "bulk"), subject="Automatic reply: Our offer"),
        with_headers(("X-Auto-Response-Suppress", "All"), subject="Automatische Antwort: Angebot"),
        with_headers(("X-MS-Exchange-Inbox-Rules-Loop", "ann@x.example"), subject="Réponse automatique : offre"),
    ],
)
def test_what_a_machine_answers_is_automatic(message):
    judged = judge(message, SELLER)
    assert judged.nature is Nature.AUTOMATIC
    assert judged.reason.startswith("automatic reply")


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (with_headers(("Content-Type", "multipart/report; report-type=disposition-notification")), "read receipt"),
        (with_headers(item="REPORT.IPM.Note.IPNRN"), "read receipt"),
        (with_headers(("Content-Type", "multipart/report; report-type=feedback-report")), "report"),
        (with_headers(item="IPM.Schedule.Meeting.Resp.Pos"), "calendar response"),
        (with_headers(item="#microsoft.graph.eventMessageResponse"), "calendar response"),
        (with_headers(("Content-Type", 'text/calendar; charset="utf-8"; method=REPLY')), "calendar response"),
    ],
)
def test_receipts_and_calendar_responses_are_automatic(message, reason):
    judged = judge(message, SELLER)
    assert (judged.nature, judged.reason) == (Nature.AUTOMATIC, reason)


@pytest.mark.parametrize(
    "message",
    [
        with_headers(("X-Auto-Response-Suppress", "All")),
        with_headers(("Auto-Submitted", "no")),
        with_headers(("Auto-Submitted", "")),
        with_headers(("X-Autoreply", "no")),
        with_headers(("Precedence", "bulk"), ("List-Id", "<sales.northwind.example>")),
        with_headers(("X-MS-Exchange-Inbox-Rules-Loop", "ann@northwind.example")),
        with_headers(subject="Automatic reply: is this how it looks?"),
        with_headers(("X-Auto-Response-Suppress", "All"), subject="Re: Automatic reply: Our offer"),
        with_headers(item="IPM.Schedule.Meeting.Request"),
        with_headers(("Content-Type", "text/calendar; method=REQUEST")),
    ],
)
def test_one_weak_sign_does_not_make_a_person_a_machine(message):
    assert nature(message) is Nature.REPLY


_TEXT = st.text(max_size=60) | st.sampled_from(["<>", "\r\n <", "(((", ";;", "multipart/report; report-type=", "\x00"])
_NAMES = _TEXT | st.sampled_from(
    [
        "Content-Type",
        "content-type ",
        "Auto-Submitted",
        "Return-Path",
        "Precedence",
        "In-Reply-To",
        "References",
        "X-Autoreply",
    ]
)


@given(
    headers=st.lists(st.tuples(_NAMES, _TEXT), max_size=8), subject=_TEXT, address=_TEXT, item=_TEXT, message_id=_TEXT
)
@example(headers=[], subject="", address="\ud800", item="", message_id="\ud800")
def test_any_message_at_all_is_judged(headers, subject, address, item, message_id):
    message = with_headers(*headers, subject=subject, address=address, item=item, message_id=message_id)
    assert judge(message, SELLER).nature in Nature
    assert all(one.startswith("<") and one.endswith(">") for one in references(message))
    assert len(identity(message)) == 32


def test_the_nearest_message_is_looked_for_first():
    message = with_headers(("References", "<1@x> <2@x>\r\n\t<3@x>"), ("In-Reply-To", "<3@x>"))
    assert references(message) == ("<3@x>", "<2@x>", "<1@x>")


def test_a_long_thread_is_followed_only_so_far_back():
    message = with_headers(("references", " ".join(f"<{number}@x>" for number in range(500))))
    assert len(references(message)) == MAX_REFERENCES
    assert references(message)[0] == "<499@x>"


_ATOM = st.text(
    alphabet=st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="<>"), min_size=1, max_size=30
)
_ID = st.builds("<{}@{}>".format, _ATOM, _ATOM)
_BETWEEN = st.sampled_from(["", " ", "\r\n\t", "\n ", ", ", " and your message of Monday "])


@given(ids=st.lists(_ID, min_size=1, max_size=6), between=_BETWEEN, before=st.sampled_from(["", "Your mail ", "\t"]))
def test_message_ids_are_found_whatever_stands_between_them(ids, between, before):
    assert message_ids(before + between.join(ids)) == tuple(ids)


@given(one=_ID, at=st.integers(min_value=1, max_value=20))
def test_an_id_that_was_folded_inside_is_whole_again(one, at):
    at = min(at, len(one) - 1)
    assert message_ids(f"{one[:at]}\r\n {one[at:]}") == (one,)


def test_ids_without_brackets_are_found():
    assert message_ids("a@x, b@y") == ("<a@x>", "<b@y>")


@pytest.mark.parametrize("nothing", ["", "<>", "< >", "no id here", "<" * 5000, "<" + "a" * 2000 + "@x>"])
def test_what_is_no_message_id_gives_none(nothing):
    assert message_ids(nothing) == ()


def test_copies_of_a_message_in_several_mailboxes_are_one():
    assert identity(REPLY) == identity(replace(REPLY, id="another", message_id=" <reply-1@northwind.example>\r\n"))


def test_messages_without_a_message_id_are_told_apart_by_their_mailbox_ids():
    assert identity(replace(REPLY, message_id="")) != identity(replace(REPLY, message_id="", id="another"))


BOUNCE = b"""\
From: postmaster@northwind.example
Content-Type: multipart/report; report-type=delivery-status; boundary="b"

--b
Content-Type: text/plain

Sorry.
--b
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.northwind.example

Final-Recipient: rfc822; bob@northwind.example
Action: delayed
Status: 4.4.1

Original-Recipient: rfc822;ann@northwind.example
Final-Recipient: rfc822;ann.arbor@northwind.example
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1
 <ann@northwind.example>: User unknown

--b
Content-Type: %s

Message-ID:
 <offer@contoso.example>
Subject: Our offer

--b--
"""


@pytest.mark.parametrize("returned", [b"message/rfc822", b"text/rfc822-headers"])
def test_a_bounce_says_who_was_not_reached_and_why_and_which_mail_it_was(returned):
    report = read_delivery_report(BOUNCE % returned)
    assert report.failed
    assert report.recipient == "ann@northwind.example"
    assert str(report) == "not delivered: 550 5.1.1 <ann@northwind.example>: User unknown"
    assert returned_ids(BOUNCE % returned) == ("<offer@contoso.example>",)


def test_a_delay_is_no_failure():
    report = read_delivery_report((BOUNCE % b"message/rfc822").replace(b"failed", b"delayed"))
    assert not report.failed
    assert str(report) == "delivery delayed: 4.4.1"


def test_a_bounce_that_says_nothing_is_still_one():
    report = read_delivery_report(b"Subject: returned mail\n\nno luck\n")
    assert report == DeliveryReport()
    assert report.failed
    assert str(report) == "not delivered"


@given(
    st.binary(max_size=300), st.integers(min_value=0, max_value=len(BOUNCE)), st.integers(min_value=0, max_value=200)
)
def test_any_bytes_at_all_can_be_a_bounce(noise, at, length):
    bounce = BOUNCE % b"message/rfc822"
    assert len(read_delivery_report(noise).diagnostic) <= 300
    assert len(read_delivery_report(bounce[:at] + noise + bounce[at + length :]).diagnostic) <= 300
