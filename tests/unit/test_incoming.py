"""What comes back by mail: telling replies from automatic answers, bounces and the sender's own messages."""

from base64 import encodebytes
from dataclasses import replace
from datetime import UTC, datetime
from quopri import encodestring

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
    may_return,
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
        with_headers(("Content-Type", "multipart/report; boundary=b")),
        with_headers(("X-Failed-Recipients", "ann@northwind.example")),
        with_headers(("Return-Path", "<MAILER-DAEMON>"), address="Postmaster@northwind.example"),
        with_headers(address="Postmaster@northwind.example", subject="DELIVERY FAILURE: User not listed"),
        with_headers(address="postmaster@northwind.example", subject="Undeliverable: Our offer"),
        with_headers(address="postmaster@northwind.example", subject="[EXT] failure notice"),
        with_headers(address="no-reply@northwind.example", subject="Unzustellbar: Our offer"),
        with_headers(("Return-Path", "<>"), subject="Returned mail: Service unavailable"),
        with_headers(address="", name="MAILER-DAEMON", subject="Anything"),
        with_headers(address="", name="", subject="Mail delivery failed"),
        with_headers(address="Mail.Delivery.System@mx.northwind.example"),
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
        with_headers(("X-Apple-Action", "VACATION")),
        with_headers(("X-Apple-Criteria", "{kind=VACATION,startDate=2026-11-29T15:00:00Z}")),
        with_headers(("Preference", "auto_reply")),
        with_headers(("X-Precedence", "Auto-Reply")),
        with_headers(("Precedence", "autoreply")),
        with_headers(("X-FC-MachineGenerated", "true")),
        with_headers(("Delivered-To", "Autoresponder")),
        with_headers(("X-POST-MessageClass", "9; Autoresponder")),
        with_headers(("X-Amazon-Auto-Reply", "true")),
        with_headers(("X-Mail-Autoreply", "1")),
        with_headers(("X-AutoReply-From", "ann@northwind.example")),
        with_headers(("X-Auto-Response", "vacation")),
        with_headers(("X-MDAutoResponder", "ann")),
        with_headers(("X-Vacation", "yes")),
        with_headers(("X-Autogenerated", "Reply")),
        with_headers(("X-Uv-Mailing", "auto_response")),
        with_headers(("X-Mailer", "vacation 1.2.7")),
        with_headers(("User-Agent", "Courier mailbot")),
        with_headers(("Return-Path", "<MAILER-DAEMON>")),
        with_headers(("Return-Path", "MAILER-DAEMON@mx.northwind.example")),
        with_headers(("Return-Path", "")),
        with_headers(("Return-Path", "<#@[]>")),
        with_headers(("Precedence", "bulk"), subject="Samodejni odgovor: Our offer"),
        with_headers(("Precedence", "junk"), subject="Away from my mail until Monday"),
        with_headers(("X-Auto-Response-Suppress", "All"), subject="Out of Office AutoReply: Our offer"),
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
        with_headers(("X-Auto-Response-Suppress", "All"), subject="Out of office from Monday, so let us talk today"),
        with_headers(("X-Apple-Action", "MOVE_TO_FOLDER/INBOX")),
        with_headers(("X-FC-MachineGenerated", "false")),
        with_headers(("Delivered-To", "autoresponder@northwind.example")),
        with_headers(("X-Autogenerated", "Redirect")),
        with_headers(("X-Prevent-Autoreply", "yes")),
        with_headers(("Precedence", "bulk")),
        with_headers(("Precedence", "normal"), ("Preference", "none")),
        with_headers(("X-Mailer", "Apple Mail (2.3774)")),
        with_headers(("Return-Path", "<ann.mailer-daemon@northwind.example>")),
        with_headers(subject="Undeliverable: what do you make of this?"),
        with_headers(address="no-reply@northwind.example"),
        with_headers(item="IPM.Schedule.Meeting.Request"),
        with_headers(("Content-Type", "text/calendar; method=REQUEST")),
    ],
)
def test_one_weak_sign_does_not_make_a_person_a_machine(message):
    assert nature(message) is Nature.REPLY


OURS = "Our offer, as we said on Monday"


@pytest.mark.parametrize(
    "subject",
    [
        f"Automatic reply: {OURS}",
        f"automatic reply:  RE: {OURS.upper()}",
        f"Auto: {OURS}",
        f"[EXTERNAL] Automatic reply: {OURS}",
        f"[Auto-Reply] {OURS}",
        f"Out of Office AutoReply: {OURS}",
        f"Automatic response to: {OURS}",
        f"Automatische Antwort: {OURS}",
        f"Abwesenheitsnotiz: AW: {OURS}",
        f"Réponse automatique\u00a0: {OURS}",
        f"Reponse automatique : {OURS}",
        f"Risposta automatica: {OURS}",
        f"Respuesta automática: {OURS}",
        f"Resposta automática: {OURS}",
        f"Automatisch antwoord: {OURS}",
        f"Automatisk svar: {OURS}",
        f"Fraværende: {OURS}",
        f"Automatiskt svar: {OURS}",
        f"Frånvaro: {OURS}",
        f"Automaattinen vastaus: {OURS}",
        f"Automatická odpověď: {OURS}",
        f"Automatická odpoveď: {OURS}",
        f"Odpowiedź automatyczna: {OURS}",
        f"Automatyczna odpowiedź: {OURS}",
        f"Samodejni odgovor: {OURS}",
        f"Automatski odgovor: {OURS}",
        f"Automatikus válasz: {OURS}",
        f"Răspuns automat: {OURS}",
        f"Автоматический ответ: {OURS}",
        f"Автоматична відповідь: {OURS}",
        f"Автоматичен отговор: {OURS}",
        f"Automatinis atsakymas: {OURS}",
        f"Automātiska atbilde: {OURS}",
        f"Automaatvastus: {OURS}",
        f"Αυτόματη απάντηση: {OURS}",
        f"Otomatik Yanıt: {OURS}",
        f"OTOMATİK YANIT: {OURS}",
        f"رد تلقائي: {OURS}",
        f"תשובה אוטומטית: {OURS}",
        f"自动答复: {OURS}",
        f"自動回覆：{OURS}",
        f"自動応答: {OURS}",
        f"자동 회신: {OURS}",
        f"Trả lời tự động: {OURS}",
        f"การตอบกลับอัตโนมัติ: {OURS}",
        f"Balasan otomatis: {OURS}",
        f"Undeliverable: {OURS}",
        f"Unzustellbar: {OURS}",
    ],
)
def test_a_machine_s_title_before_our_own_subject_is_a_machine_s(subject):
    message = with_headers(subject=subject)
    assert nature(message) is Nature.REPLY
    assert judge(message, SELLER, OURS).nature is Nature.AUTOMATIC
    assert judge(message, SELLER, f"Re: {OURS}").nature is Nature.AUTOMATIC
    assert judge(message, SELLER, "Another offer").nature is Nature.REPLY


@pytest.mark.parametrize(
    "subject",
    [
        OURS,
        f"Re: {OURS}",
        f"Re: Automatic reply: {OURS}",
        f"AW: Automatische Antwort: {OURS}",
        f"FW: Undeliverable: {OURS}",
        f"Automatic reply: {OURS} is how ours looks",
        f"Automatic reply: {OURS[:10]}",
        f"Automatic {OURS}",
        f"Absence of {OURS}",
        f"Out of office, {OURS}",
        "Out of office from Monday, so let us talk today",
        "Automatic reply",
        "",
    ],
)
def test_whatever_else_a_subject_says_is_a_person_s(subject):
    assert judge(with_headers(subject=subject), SELLER, OURS).nature is Nature.REPLY


def test_a_subject_that_a_machine_cut_is_ours_and_one_without_words_too():
    long = "A long offer of many things " * 5
    assert judge(with_headers(subject=f"Automatic reply: {long[:60]}..."), SELLER, long).nature is Nature.AUTOMATIC
    assert judge(with_headers(subject="Automatic reply: "), SELLER, "").nature is Nature.AUTOMATIC


def test_the_seller_is_known_by_the_ascii_form_of_a_domain():
    own = frozenset({"seller@xn--mnchen-3ya.example"})
    assert judge(with_headers(address="Seller@M\u00fcnchen.example"), own).nature is Nature.OWN


def test_only_what_may_return_a_mail_is_searched_for_it():
    from_nowhere = with_headers(("Return-Path", "<>"))
    answers = with_headers(("Return-Path", "<>"), ("In-Reply-To", "<offer@contoso.example>"))
    bounce = with_headers(("X-Failed-Recipients", "ann@northwind.example"), ("In-Reply-To", "<offer@contoso.example>"))
    read = [may_return(message, judge(message, SELLER)) for message in (bounce, from_nowhere, answers, REPLY)]
    assert read == [True, True, False, False]


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


RETURNED = """\
Received: from mail.contoso.example by mx.northwind.example; Mon, 23 Nov 2026 17:35:00 +0000
DKIM-Signature: v=1; h=from:to:subject:date:message-id:mime-version; bh=abc=
Subject: Our offer
Message-ID: <offer=1@contoso.example>
MIME-Version: 1.0
"""
PARTS = "Content-Type: multipart/report; boundary=b\n\n--b\n"
DIAGNOSTIC = "\nDiagnostic information for administrators:\n\nann@northwind.example\n"


def coded(encoding: str, text: str) -> str:
    written = encodebytes(text.encode()) if encoding == "base64" else encodestring(text.encode()).replace(b"@", b"=40")
    return f"Content-Transfer-Encoding: {encoding}\n\n{written.decode()}"


@pytest.mark.parametrize(
    "text",
    [
        f"\n<ann@northwind.example>:\n550 no such user\n\n--- Below this line is a copy of the message.\n\n{RETURNED}",
        "\n" + "".join(f"    {line}\n" for line in RETURNED.split("\n")),
        "\n" + "".join(f"> {line}\n" for line in RETURNED.split("\n")),
        f"\nOriginal message headers:\n\n{RETURNED}".replace("Message-ID: <", "Message-ID:\n\t<"),
        f"\n{RETURNED}".replace("Message-ID: ", "X-Original-Message-Id:"),
        "\n<p><b>Message-ID:</b> &lt;offer=1@contoso.example&gt;</p>",
        "\n<tr><td>Message ID</td>\n <td>&#60;offer&#61;1@contoso.example&#62;</td></tr>",
        f"Content-Type: text/rfc822-headers\n{coded('quoted-printable', RETURNED)}",
        f"Content-Type: message/global-headers\n{coded('base64', RETURNED)}",
        f"{PARTS}Content-Type: message/global\n{coded('base64', RETURNED)}\n--b--",
        f"{PARTS}{coded('base64', 'Sorry')}\n--b\n{coded('base64', RETURNED)}--b--",
        f"Content-Type: text/plain\n{coded('quoted-printable', DIAGNOSTIC + RETURNED)}",
        f"\n{RETURNED}".replace("\n", "\r\n"),
        f"\n{RETURNED}".replace("\n", "\r"),
    ],
)
def test_the_mail_is_known_wherever_the_report_keeps_its_id(text):
    assert "<offer=1@contoso.example>" in returned_ids(text.encode())


def test_what_the_returned_mail_answered_is_not_the_mail():
    assert returned_ids(b"\nIn-Reply-To: <first@x.example>\nReferences: <first@x.example>\n\nfirst@x.example\n") == ()


@pytest.mark.parametrize("kind", ["message/delivery-status", "message/global-delivery-status; charset=utf-8"])
@pytest.mark.parametrize("encoding", ["8bit", "base64", "quoted-printable"])
def test_a_status_is_read_in_any_encoding_and_for_any_script(kind, encoding):
    status = (
        "Reporting-MTA: dns; mx\n\nFinal-Recipient: utf-8; m\u00fcller@example.test\nAction: failed\nStatus: 5.1.1\n"
    )
    part = f"Content-Transfer-Encoding: 8bit\n\n{status}" if encoding == "8bit" else coded(encoding, status)
    report = read_delivery_report(
        f"Content-Type: multipart/report; boundary=b\n\n--b\nContent-Type: {kind}\n{part}\n--b--".encode()
    )
    assert (report.action, report.recipient, report.status) == ("failed", "m\u00fcller@example.test", "5.1.1")


def test_an_address_in_a_script_is_read_where_only_ascii_could_be_written():
    status = b"Final-Recipient: utf-8; m\\x{FC}ller\\x{D800}@example.test\nAction: failed\n"
    assert (
        read_delivery_report(b"Content-Type: message/delivery-status\n\n" + status).recipient
        == "m\u00fcller\ufffd@example.test"
    )


@pytest.mark.parametrize(
    ("text", "recipient", "said"),
    [
        ("\nSorry.\n\n<ann@x.example>:\n550 no such user\n", "ann@x.example", "not delivered: 550 no such user"),
        (
            "X-Failed-Recipients: ann@x.example, bob@x.example\n\n  eve@x.example\n    host mx: 550 user unknown\n",
            "ann@x.example",
            "not delivered: host mx: 550 user unknown",
        ),
        (
            '\n"ann@x.example":\nSMTP error after RCPT: 5.1.1 unknown\n',
            "ann@x.example",
            "not delivered: SMTP error after RCPT: 5.1.1 unknown",
        ),
        ("\nOn 192.0.2.5 at 5.1.1.2 in 2026\n", "", "not delivered"),
        ("Subject: Warning: message 1abc delayed 24 hours\n\nann@x.example\n", "ann@x.example", "delivery delayed"),
        (
            coded("quoted-printable", f"ann@x.example\n550 {'very ' * 20}sorry"),
            "ann@x.example",
            f"not delivered: 550 {'very ' * 20}sorry",
        ),
    ],
)
def test_a_bounce_in_plain_text_says_who_and_why(text, recipient, said):
    report = read_delivery_report(text.encode())
    assert (report.recipient, str(report)) == (recipient, said)


@given(
    st.binary(max_size=300), st.integers(min_value=0, max_value=len(BOUNCE)), st.integers(min_value=0, max_value=200)
)
def test_any_bytes_at_all_can_be_a_bounce(noise, at, length):
    bounce = BOUNCE % b"message/rfc822"
    assert len(read_delivery_report(noise).diagnostic) <= 300
    assert len(read_delivery_report(bounce[:at] + noise + bounce[at + length :]).diagnostic) <= 300
