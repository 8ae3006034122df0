"""The history of one email in a form made for reading: what people did first, machines and repetitions apart.

Names are those of the Web API's answer (``ee_GetEmailHistory``, `shared.webapi.operations`).
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shared.engagement.clocks import Clock, say
from shared.engagement.hits import Kind
from shared.engagement.labels import Label, load
from shared.engagement.options import REPLY
from shared.engagement.statustext import status_text
from shared.engagement.times import parse_iso

MOST = 500
"""Events in each list; more than a person reads."""

type Row = Mapping[str, Any]


class Email(Protocol):
    """An email's stored rows, as `shared.storage.emails` reads them."""

    @property
    def email(self) -> Row:
        """Its own row."""

    @property
    def parties(self) -> Sequence[Row]:
        """Its sender and recipients."""

    @property
    def links(self) -> Sequence[Row]:
        """The links in its body, in their order."""

    @property
    def attachments(self) -> Sequence[Row]:
        """Its files, and the images in its body."""

    @property
    def interactions(self) -> Sequence[Row]:
        """Everything that anybody did with it."""


@dataclass(frozen=True, slots=True)
class _Teller:
    """Whose clock times are told by, and what events speak of."""

    now: datetime
    clock: Clock
    names: Mapping[str, str]
    links: Mapping[int, Row]
    repeated: Mapping[str, int]

    def text(self, time: str | None) -> str | None:
        return say(parse_iso(time), self.now, self.clock) if time else None


def tell_history(found: Email, now: datetime, clock: Clock, most: int = MOST) -> dict[str, Any]:
    """Return an email's history, at most `most` events in each list, the newest; mail that is not followed has none."""
    email = found.email
    newest_first = sorted(found.interactions, key=lambda row: str(row["emailinteractiontime"]), reverse=True)
    merged = [row for row in newest_first if row.get("ee_duplicateof")]
    own = [row for row in newest_first if not row.get("ee_duplicateof")]
    lists = {
        "Interactions": [row for row in own if row["ee_label"] != Label.MACHINE],
        "MachineInteractions": [row for row in own if row["ee_label"] == Label.MACHINE],
        "MergedInteractions": merged,
    }
    teller = _Teller(
        now,
        clock,
        {key: name for party in found.parties for key, name in _names(party)},
        {link["item"]: link for link in found.links if link.get("item") is not None},
        Counter(row["ee_duplicateof"] for row in merged),
    )
    return {
        "StatusText": status_text(email, now, clock) or None,
        "TimeZone": clock.name,
        "IsFollowed": bool(email.get("isemailfollowed")),
        "FollowReason": email.get("ee_followreason"),
        "Totals": _totals(email, teller),
        **{name: [_event(row, teller) for row in rows[:most]] for name, rows in lists.items()},
        **_components(found, own, teller),
        "InteractionCount": len(newest_first),
        "IsCapped": any(len(rows) > most for rows in lists.values()),
    }


_TOTALS = {
    "Opens": "opencount",
    "LinkClicks": "linksclickedcount",
    "AttachmentOpens": "attachmentopencount",
    "Replies": "replycount",
    "ProxyOpens": "ee_proxyopencount",
    "MachineOpens": "ee_machineopencount",
    "MachineClicks": "ee_machineclickcount",
}
_TYPES = {
    Kind.OPEN: "Opened the mail",
    Kind.LINK: "Clicked a link",
    Kind.ATTACHMENT: "Opened a file",
    REPLY: "Replied",
}
_AUTOMATIC = "Sent an automatic message"


def happened(interaction: Row) -> str:
    """Return in words what somebody did, its row's `name`."""
    kind = interaction["interactiontype"]
    return _AUTOMATIC if kind == REPLY and interaction["ee_label"] == Label.MACHINE else _TYPES[kind]


def _totals(email: Row, teller: _Teller) -> dict[str, Any]:
    last = email.get("lastopenedtime")
    counted = {name: email.get(column) or 0 for name, column in _TOTALS.items()}
    return {**counted, "LastOpened": last, "LastOpenedText": teller.text(last)}


def _names(party: Row) -> list[tuple[str, str]]:
    """Return what an interaction knows a recipient by, each with their name."""
    address = str(party.get("addressused") or "")
    name = str(party.get("_name") or party.get("unresolvedpartyname") or address)
    return [(key, name) for key in (address.casefold(), str(party.get("partyid") or "")) if key]


def _event(row: Row, teller: _Teller) -> dict[str, Any]:
    kind, label = row["interactiontype"], Label(row["ee_label"])
    item, text = _item(row), row.get("interactedcomponenttext")
    link = teller.links.get(-1 if item is None else item, {}) if kind == Kind.LINK else {}
    who, address = _who(row, teller)
    return {
        "InteractionId": row["interactionforemailid"],
        "Type": kind,
        "TypeText": happened(row),
        "Who": who,
        "Address": address,
        "Time": row["emailinteractiontime"],
        "TimeText": teller.text(row["emailinteractiontime"]),
        "LinkText": link.get("text") or None,
        "LinkTarget": (link.get("target") or text) if kind == Kind.LINK else None,
        "FileName": text if kind == Kind.ATTACHMENT else None,
        "Device": row.get("ee_device"),
        "Label": int(label),
        "LabelText": label.name.capitalize(),
        "Reason": row.get("ee_labelreason"),
        "ReplyId": row.get("emailinteractionreplyid"),
        "Repetitions": teller.repeated.get(row["interactionforemailid"], 0),
        "RepeatOf": row.get("ee_duplicateof"),
    }


def _who(row: Row, teller: _Teller) -> tuple[str | None, str | None]:
    """Return the name and address of who did it. A scanner, or the sender, is not the recipient whose link it used."""
    if row["interactiontype"] != REPLY and row["ee_label"] in (Label.MACHINE, Label.SENDER):
        return None, None
    address = row.get("emailaddress")
    known = (teller.names.get(key) for key in (str(row.get("interactionpartyid")), str(address or "").casefold()))
    return row.get("interactionrepliedby") or next(filter(None, known), None) or address, address


def _item(row: Row) -> int | None:
    """Return the number of the link or file of an interaction, None where it is about neither."""
    if row["interactiontype"] not in (Kind.LINK, Kind.ATTACHMENT) or "_observation" not in row:
        return None
    return load(row["_observation"]).item


def _components(found: Email, own: Sequence[Row], teller: _Teller) -> dict[str, list[dict[str, Any]]]:
    """Return links and files with what was done with each; none where the mail is not followed."""
    if not found.email.get("isemailfollowed"):
        return {"Links": [], "Attachments": []}
    done: defaultdict[tuple[int, int | None], list[Row]] = defaultdict(list)
    for row in own:
        if row["interactiontype"] in (Kind.LINK, Kind.ATTACHMENT):
            done[row["interactiontype"], _item(row)].append(row)
    files = [row for row in found.attachments if not row.get("_hosted")]
    return {
        "Links": [
            {
                "Text": link.get("text") or None,
                "Target": link["target"],
                "IsFollowed": link.get("item") is not None,
                "NotFollowedReason": link.get("reason"),
                **_counts(Kind.LINK, link.get("item"), done, teller),
            }
            for link in found.links
        ],
        "Attachments": [
            {
                "FileName": file["filename"],
                "Size": file.get("filesize") or 0,
                "IsFollowed": file.get("_item") is not None,
                "NotFollowedReason": file.get("ee_notfollowedreason"),
                **_counts(Kind.ATTACHMENT, file.get("_item"), done, teller),
            }
            for file in sorted(files, key=lambda row: (row.get("attachmentnumber") or 0, row["RowKey"]))
        ],
    }


def _counts(
    kind: Kind, item: int | None, done: Mapping[tuple[int, int | None], Sequence[Row]], teller: _Teller
) -> dict[str, Any]:
    """Return how often people and machines followed a link or opened a file, and when a person last did."""
    rows = done.get((kind, item), ()) if item is not None else ()
    by_people = [str(row["emailinteractiontime"]) for row in rows if row["ee_label"] == Label.PERSON]
    last = max(by_people, default=None)
    word = "Click" if kind is Kind.LINK else "Open"
    return {
        f"{word}s": len(by_people),
        f"Machine{word}s": sum(row["ee_label"] == Label.MACHINE for row in rows),
        f"Last{word}ed": last,
        f"Last{word}edText": teller.text(last),
    }
