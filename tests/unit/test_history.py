"""The history of one email as a page shows it, told from its stored rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.engagement.clocks import Clock
from shared.engagement.history import MOST, tell_history
from shared.engagement.hits import Kind
from shared.engagement.labels import Label, Observation, dump
from shared.engagement.options import REPLY, TO
from shared.webapi.operations import COMPLEX_TYPES, OPERATIONS

NOW = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
BERLIN = Clock("Europe/Berlin", is_own=True)
ADA = {"participationtypemask": TO, "partyid": "ada", "_name": "Ada Lovelace", "addressused": "Ada@Example.com"}


@dataclass
class Email:
    """An email's rows."""

    email: dict[str, Any]
    parties: list[dict[str, Any]]
    links: list[dict[str, Any]]
    attachments: list[dict[str, Any]]
    interactions: list[dict[str, Any]]


def an_email(*interactions: dict[str, Any], parties: Sequence[dict[str, Any]] = (ADA,), **columns: Any) -> Email:
    """Return a followed mail with two links, one of them not followed, and two files and an image, one followed."""
    row = {"statuscode": 3, "isemailfollowed": True, "senton": "2026-11-20T08:00:00Z", **columns}
    links: list[dict[str, Any]] = [
        {"RowKey": "link:0000", "item": 0, "target": "https://example.com/offer", "text": "Our offer"},
        {"RowKey": "link:0001", "target": "mailto:a@example.com", "text": "Write", "reason": "not a web address"},
    ]
    files: list[dict[str, Any]] = [
        {"RowKey": "attachment:a", "filename": "terms.txt", "attachmentnumber": 2, "filesize": 7},
        {"RowKey": "attachment:b", "filename": "quote.pdf", "attachmentnumber": 1, "filesize": 9, "_item": 0},
        {"RowKey": "attachment:c", "filename": "logo.png", "attachmentnumber": 3, "_hosted": True},
    ]
    return Email(row, list(parties), links, files, list(interactions))


def hit(
    number: int, time: str, kind: Kind = Kind.OPEN, label: Label = Label.PERSON, item: int = 0, **columns: Any
) -> dict[str, Any]:
    """Return the row of a hit on a mail that went to Ada alone."""
    seen = Observation(f"w-{number}", kind, item, 0, "GET", "", "", "", "", "", "", ())
    texts = {Kind.LINK: "https://example.com/offer", Kind.ATTACHMENT: "quote.pdf"}
    return {
        "RowKey": f"interaction:{number}",
        "interactionforemailid": f"id-{number}",
        "interactiontype": int(kind),
        "emailinteractiontime": time,
        "interactedcomponenttext": texts.get(kind),
        "emailaddress": "ada@example.com",
        "ee_label": int(label),
        "ee_labelreason": "because",
        "_observation": dump(seen),
        **columns,
    }


def ids(events: list[dict[str, Any]]) -> list[str]:
    return [event["InteractionId"] for event in events]


def test_what_people_did_comes_newest_first_machines_and_repetitions_apart() -> None:
    told = tell_history(
        an_email(
            hit(1, "2026-11-20T09:00:00Z", label=Label.MACHINE),
            hit(2, "2026-11-21T09:00:00Z"),
            hit(3, "2026-11-21T09:00:02Z", ee_duplicateof="id-2"),
            hit(4, "2026-11-21T09:00:03Z", ee_duplicateof="id-2"),
            hit(5, "2026-11-22T09:00:00Z", label=Label.PROXY),
            hit(6, "2026-11-22T19:00:00Z", Kind.LINK),
        ),
        NOW,
        BERLIN,
    )
    assert ids(told["Interactions"]) == ["id-6", "id-5", "id-2"]
    assert ids(told["MachineInteractions"]) == ["id-1"]
    assert ids(told["MergedInteractions"]) == ["id-4", "id-3"]
    assert [event["Repetitions"] for event in told["Interactions"]] == [0, 0, 2]
    assert {event["RepeatOf"] for event in told["MergedInteractions"]} == {"id-2"}
    assert [event["LabelText"] for event in told["Interactions"]] == ["Person", "Proxy", "Person"]
    assert (told["InteractionCount"], told["IsCapped"]) == (6, False)


def test_an_event_says_who_what_and_when_in_words() -> None:
    clicked = hit(1, "2026-11-22T23:30:00Z", Kind.LINK, ee_device="Chrome on Windows")
    [event] = tell_history(an_email(clicked), NOW, BERLIN)["Interactions"]
    assert event == {
        "InteractionId": "id-1",
        "Type": 1,
        "TypeText": "Clicked a link",
        "Who": "Ada Lovelace",
        "Address": "ada@example.com",
        "Time": "2026-11-22T23:30:00Z",
        "TimeText": "today at 00:30",
        "LinkText": "Our offer",
        "LinkTarget": "https://example.com/offer",
        "FileName": None,
        "Device": "Chrome on Windows",
        "Label": 0,
        "LabelText": "Person",
        "Reason": "because",
        "ReplyId": None,
        "Repetitions": 0,
        "RepeatOf": None,
    }


def test_the_zone_is_named_where_it_is_not_the_readers_own() -> None:
    [event] = tell_history(an_email(hit(1, "2026-11-22T23:30:00Z")), NOW, Clock("Europe/Berlin"))["Interactions"]
    assert event["TimeText"] == "today at 00:30 in Europe/Berlin"


def test_a_reply_says_who_wrote_and_an_automatic_one_is_a_machines() -> None:
    def reply(number: int, label: Label, who: str) -> dict[str, Any]:
        row = hit(number, "2026-11-22T12:00:00Z", label=label, interactiontype=REPLY, interactionrepliedby=who)
        del row["_observation"]
        return row

    told = tell_history(an_email(reply(1, Label.PERSON, "Bob"), reply(2, Label.MACHINE, "Mailer")), NOW, BERLIN)
    [person], [machine] = told["Interactions"], told["MachineInteractions"]
    assert (person["Who"], person["TypeText"]) == ("Bob", "Replied")
    assert (machine["Who"], machine["TypeText"]) == ("Mailer", "Sent an automatic message")


def test_who_is_not_said_where_it_is_not_known() -> None:
    one_of_many = hit(1, "2026-11-22T12:00:00Z", emailaddress=None)
    machine, sender = (hit(n, "2026-11-22T12:00:00Z", label=label) for n, label in ((2, Label.MACHINE), (3, Label(3))))
    told = tell_history(an_email(one_of_many, machine, sender), NOW, BERLIN)
    assert {event["Who"] for event in (*told["Interactions"], *told["MachineInteractions"])} == {None}
    [stranger] = tell_history(an_email(hit(1, "2026-11-22T12:00:00Z"), parties=()), NOW, BERLIN)["Interactions"]
    assert stranger["Who"] == "ada@example.com"


def test_links_and_files_have_their_own_counts() -> None:
    told = tell_history(
        an_email(
            hit(1, "2026-11-20T09:00:00Z", Kind.LINK, Label.MACHINE),
            hit(2, "2026-11-21T09:00:00Z", Kind.LINK),
            hit(3, "2026-11-21T09:00:02Z", Kind.LINK, ee_duplicateof="id-2"),
            hit(4, "2026-11-22T09:00:00Z", Kind.LINK),
            hit(5, "2026-11-22T10:00:00Z", Kind.LINK, Label.SENDER),
            hit(6, "2026-11-22T11:00:00Z", Kind.ATTACHMENT),
            hit(7, "2026-11-22T12:00:00Z", Kind.LINK, item=9),
        ),
        NOW,
        BERLIN,
    )
    offer, write = told["Links"]
    assert (offer["Clicks"], offer["MachineClicks"], offer["LastClicked"]) == (2, 1, "2026-11-22T09:00:00Z")
    assert (offer["LastClickedText"], offer["IsFollowed"]) == ("yesterday at 10:00", True)
    assert (write["IsFollowed"], write["NotFollowedReason"], write["Clicks"]) == (False, "not a web address", 0)
    assert [file["FileName"] for file in told["Attachments"]] == ["quote.pdf", "terms.txt"], "images are no files"
    assert [file["Opens"] for file in told["Attachments"]] == [1, 0]
    assert [file["IsFollowed"] for file in told["Attachments"]] == [True, False]


@pytest.mark.parametrize(
    "columns",
    [
        {"isemailfollowed": False, "ee_followreason": "Ann does not allow following"},
        {"isemailfollowed": False, "statuscode": 1},
    ],
)
def test_mail_that_is_not_followed_has_empty_lists_and_says_why(columns: dict[str, Any]) -> None:
    told = tell_history(an_email(**columns), NOW, BERLIN)
    assert (told["IsFollowed"], told["FollowReason"]) == (False, columns.get("ee_followreason"))
    lists = ("Interactions", "MachineInteractions", "MergedInteractions", "Links", "Attachments")
    assert [told[name] for name in lists] == [[]] * 5
    assert set(told["Totals"].values()) == {0, None}


def test_ten_thousand_interactions_show_the_newest_and_say_that_they_are_not_all() -> None:
    rows = [hit(n, f"2026-11-{1 + n // 1440:02}T{n // 60 % 24:02}:{n % 60:02}:00Z") for n in range(10_000)]
    told = tell_history(an_email(*rows), NOW, BERLIN)
    assert ids(told["Interactions"]) == [f"id-{n}" for n in range(9_999, 9_999 - MOST, -1)]
    assert (told["InteractionCount"], told["IsCapped"]) == (10_000, True)
    assert not tell_history(an_email(*rows[:MOST]), NOW, BERLIN)["IsCapped"]


def test_totals_are_the_emails_counters() -> None:
    told = tell_history(an_email(opencount=3, replycount=1, lastopenedtime="2026-11-22T17:35:00Z"), NOW, BERLIN)
    assert (told["Totals"]["Opens"], told["Totals"]["Replies"], told["Totals"]["LinkClicks"]) == (3, 1, 0)
    assert told["Totals"]["LastOpenedText"] == "yesterday at 18:35"
    assert told["StatusText"] == "Last opened yesterday at 18:35"


def test_the_answer_has_what_metadata_says() -> None:
    rows = [hit(1, "2026-11-20T09:00:00Z", label=Label.MACHINE), hit(2, "2026-11-21T09:00:00Z")]
    told = tell_history(an_email(*rows), NOW, BERLIN)
    described = OPERATIONS["ee_GetEmailHistory"].returns
    assert {*told, "AllInteractions"} == set(described)
    for name, kind in described.items():
        if "mscrm." in kind:
            shape = COMPLEX_TYPES[kind.removeprefix("Collection(").removesuffix(")").removeprefix("mscrm.")]
            for item in told[name] if kind.startswith("Collection") else [told[name]]:
                assert item.keys() == shape.keys()
                assert {key for key, value in item.items() if value is None} <= {
                    key for key, edm in shape.items() if edm.endswith("?")
                }
