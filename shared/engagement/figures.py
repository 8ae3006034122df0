"""What one email adds to the figures of the records that it concerns, and of the template it was made from.

A figure is a cell: counts in a row's column under a key. An email's cells follow from its row alone, so figures can be
corrected by the difference between what an email adds now and what it added before, and rebuilt by adding all emails.

=================  ================  ==============================  ==================================
figures of         row               column                          key
=================  ================  ==============================  ==================================
a record           ``month:2026-11`` ``d25``, the UTC day            quarter hour of the day, 0 to 95
a template         ``weeks``         the kind of record, ``contact`` week (`shared.engagement.tallies`)
=================  ================  ==============================  ==================================

Mails count in the quarter hour in which they were sent, what people did in that in which they did it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from functools import reduce
from typing import Any, NamedTuple

import orjson

from shared.engagement.hits import Kind
from shared.engagement.labels import Label
from shared.engagement.options import SENT, TO, is_recipient
from shared.engagement.tallies import Tally, dump_weeks, plus, week_of
from shared.engagement.timeline import Timeline
from shared.engagement.times import milliseconds, parse_iso

QUARTER = 900_000
"""ms: a quarter of an hour, the common divisor of all time zones' offsets."""
COUNTS = (
    "TotalEmails",
    "TotalFollowedEmails",
    "TotalEmailOpens",
    "TotalEmailReplies",
    "TotalAttachmentOpens",
    "TotalLinkClicks",
)
"""What a record's cell counts, in this order (Dataverse's EmailEngagementAggregate)."""
ORGANIZATION = "organization"
"""The scope of all of an organization's mail."""
PEOPLE = ("contact", "account", "lead")
WEEKS = "weeks"
OTHER = "other"
"""The kind of record of mail that is neither about nor to one of `PEOPLE`."""

_EPOCH = date(1970, 1, 1)
_MOST = 1_200
"""Cells of one email's events, so that they fit into a property of 64 KiB; beyond, they are told by the hour or day."""
_SPANS = (1, 4, 96, 96 * 32)
_COLUMNS = {
    "statuscode", "directioncode", "senton", "isemailfollowed", "templateid", "ownerid", "regardingobjectid",
    "regardingobjectid_type", "_accounts", "_counted", "_answered",
}  # fmt: skip
"""Everything of an email's row that decides what it adds, and to what."""


class Cell(NamedTuple):
    """Where counts are kept within a scope."""

    row: str
    column: str
    key: str


type Cells = dict[Cell, tuple[int, ...]]
type Events = dict[str, Counter[int]]
"""What people did, by kind: how often in which quarter hour since the epoch."""


def sources(email: Mapping[str, Any]) -> dict[str, Any]:
    """Return the columns that decide what an email adds; {} where it adds nothing: it is not an outgoing mail that was
    sent."""
    if email.get("statuscode") != SENT or email.get("directioncode") is False or not email.get("senton"):
        return {}
    return {name: email[name] for name in _COLUMNS if email.get(name)}


def scopes(email: Mapping[str, Any], parties: Iterable[Mapping[str, Any]]) -> set[str]:
    """Return the scopes that an email adds to: all, its owner, the record it is about, its recipients and the accounts
    that they belonged to when it was sent, its template. None where it adds nothing.

    >>> sorted(scopes({"statuscode": 3, "senton": "2026-11-25T10:00:00Z", "ownerid": "u"}, []))
    ['organization', 'systemuser u']
    """
    if not sources(email):
        return set()
    found = {ORGANIZATION, *(f"account {account}" for account in str(email.get("_accounts") or "").split())}
    if email.get("ownerid"):
        found.add(f"systemuser {email['ownerid']}")
    if email.get("templateid"):
        found.add(f"template {email['templateid']}")
    named = [(email.get("regardingobjectid_type"), email.get("regardingobjectid"))]
    named += [(party.get("partyid_type"), party.get("partyid")) for party in parties if is_recipient(party)]
    found |= {f"{table} {key}" for table, key in named if table in PEOPLE and key}
    return found


def cells(email: Mapping[str, Any], parties: Iterable[Mapping[str, Any]], scope: str) -> Cells:
    """Return what an email adds to a scope that it belongs to."""
    sent_at = milliseconds(parse_iso(email["senton"]))
    followed = int(bool(email.get("isemailfollowed")))
    events = _events(email) if followed else {}
    if scope.startswith("template "):
        tally = Tally(1, followed, *(int(bool(events.get(kind))) for kind in ("opens", "replies", "clicks")))
        return {Cell(WEEKS, kind_of(email, parties), str(week_of(sent_at))): tally}
    quarters: Counter[tuple[int, int]] = Counter({(sent_at // QUARTER, 0): 1, (sent_at // QUARTER, 1): followed})
    for place, kind in enumerate(("opens", "replies", "attachments", "clicks"), 2):
        for quarter, count in events.get(kind, {}).items():
            quarters[int(quarter), place] += count
    return {
        cell_of(quarter): tuple(quarters[quarter, place] for place in range(len(COUNTS)))
        for quarter in {quarter for quarter, _ in quarters}
    }


def kind_of(email: Mapping[str, Any], parties: Iterable[Mapping[str, Any]]) -> str:
    """Return the kind of record that a mail is for: the one it is about, else that of its first To recipient."""
    tables = [email.get("regardingobjectid_type") if email.get("regardingobjectid") else None]
    tables += [party.get("partyid_type") for party in parties if party.get("participationtypemask") == TO][:1]
    return next((table for table in tables if table in PEOPLE), OTHER)


def accounts_of(records: Iterable[tuple[str, Mapping[str, Any] | None]]) -> str:
    """Return, as an email keeps it in ``_accounts``, the accounts that recipients belong to. `records` are theirs, with
    the table of each.

    >>> accounts_of([("contact", {"parentcustomerid": "a", "parentcustomerid_type": "account"}), ("lead", None)])
    'a'
    """
    found = {
        str(record["parentcustomerid"])
        for table, record in records
        if table == "contact"
        and record
        and record.get("parentcustomerid")
        and record.get("parentcustomerid_type") == "account"
    }
    return " ".join(sorted(found))


def events_of(timeline: Timeline) -> Events:
    """Return when people opened an email, clicked in it and opened its files."""
    found: Events = {"opens": Counter(), "clicks": Counter(), "attachments": Counter()}
    for event in timeline.events:
        if event.verdict.label is Label.PERSON and event.duplicate_of is None:
            found[_EVENTS[event.observation.kind]][event.observation.at // QUARTER] += 1
    return found


def dump_hits(timeline: Timeline) -> str:
    """Return, as an email keeps it in ``_counted``, when people opened it, clicked in it and opened its files."""
    return dump_events(events_of(timeline))


def dump_replies(times: Iterable[int]) -> str:
    """Return, as an email keeps it in ``_answered``, when it was answered (ms)."""
    return dump_events({"replies": Counter(at // QUARTER for at in times)})


def coarsened(events: Events) -> Events:
    """Return events by the quarter hour, or where they are too many by the hour, day or 32 days, in order of time.

    A mail that is opened for weeks by hundreds of people still fits into its row, and no event is lost.
    """
    found: Events = {}
    for span in _SPANS:
        found = {kind: Counter() for kind in events}
        for kind, counts in events.items():
            for quarter, count in sorted(counts.items()):
                found[kind][quarter // span * span] += count
        if sum(map(len, found.values())) <= _MOST:
            break
    return found


def dump_events(events: Events) -> str:
    """Return events as an email keeps them: text, coarsened where they are too many; "" for none."""
    told = {
        kind: {str(quarter): count for quarter, count in counts.items()}
        for kind, counts in coarsened(events).items()
        if counts
    }
    return orjson.dumps(told).decode() if told else ""


def template_columns(counted: Cells) -> dict[str, Any]:
    """Return the columns of a template from its counters: how many mails were sent, and of those that were followed how
    many were opened, answered and clicked in, each mail once; the shares in whole percent; the tallies behind them.

    >>> cells = {Cell("weeks", "contact", "2968"): (4, 3, 2, 1, 0)}
    >>> {name: value for name, value in template_columns(cells).items() if name.endswith("rate")}
    {'openrate': 67, 'replyrate': 33, 'ee_clickrate': 0}
    """
    of_kind: dict[str, dict[int, Tally]] = {kind: {} for kind in (*PEOPLE, OTHER)}
    for cell, counts in counted.items():
        of_kind[cell.column][int(cell.key)] = Tally(*counts)
    sent = reduce(plus, (tally for weeks in of_kind.values() for tally in weeks.values()), Tally())
    return {
        "usedcount": sent.sent,
        "ee_followedcount": sent.followed,
        "opencount": sent.opened,
        "replycount": sent.replied,
        "openrate": _percent(sent.opened, sent.followed),
        "replyrate": _percent(sent.replied, sent.followed),
        "ee_clickrate": _percent(sent.clicked, sent.followed),
        **{f"_evidence_{kind}": dump_weeks(weeks) for kind, weeks in of_kind.items()},
    }


def dump_cells(added: Cells) -> str:
    """Return cells as a ticket keeps them: what an email has added to a scope."""
    return orjson.dumps({" ".join(cell): list(added[cell]) for cell in sorted(added)}).decode()


def load_cells(text: str) -> Cells:
    """Return the cells that `dump_cells` wrote.

    >>> load_cells(dump_cells({Cell("weeks", "contact", "2968"): (1, 1, 0, 0, 0)}))
    {Cell(row='weeks', column='contact', key='2968'): (1, 1, 0, 0, 0)}
    """
    return {Cell(*cell.split(" ")): tuple(counts) for cell, counts in orjson.loads(text or "{}").items()}


def difference(new: Cells, old: Cells) -> Cells:
    """Return what has to be added to `old` to make it `new`, without zeros."""
    changed = {cell: _plus(new.get(cell, ()), old.get(cell, ()), -1) for cell in new.keys() | old.keys()}
    return {cell: counts for cell, counts in changed.items() if any(counts)}


def total(parts: Iterable[Cells]) -> Cells:
    """Return the sum of cells, without zeros."""
    sums: Cells = {}
    for part in parts:
        for cell, counts in part.items():
            sums[cell] = _plus(sums.get(cell, ()), counts)
    return {cell: counts for cell, counts in sums.items() if any(counts)}


def cell_of(quarter: int) -> Cell:
    """Return where a quarter hour since the epoch is counted.

    >>> cell_of(1_994_337)
    Cell(row='month:2026-11', column='d17', key='33')
    """
    at = datetime.fromtimestamp(quarter * QUARTER / 1000, UTC)
    return Cell(f"month:{at:%Y-%m}", f"d{at:%d}", str(quarter % 96))


def quarters(counted: Cells, first: date, last: date) -> dict[int, tuple[int, ...]]:
    """Return a record's cells by quarter hour since the epoch, those from the `first` day to the `last` (UTC)."""
    by_day = {cell: date.fromisoformat(f"{cell.row[6:]}-{cell.column[1:]}") for cell in counted}
    return {
        (day - _EPOCH).days * 96 + int(cell.key): counted[cell] for cell, day in by_day.items() if first <= day <= last
    }


_EVENTS = {Kind.OPEN: "opens", Kind.IMAGE: "opens", Kind.LINK: "clicks", Kind.ATTACHMENT: "attachments"}


def _percent(part: int, whole: int) -> int:
    return (200 * part + whole) // (2 * whole) if whole else 0


def _events(email: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    return {**orjson.loads(email.get("_counted") or "{}"), **orjson.loads(email.get("_answered") or "{}")}


def _plus(one: tuple[int, ...], other: tuple[int, ...], sign: int = 1) -> tuple[int, ...]:
    """Return the sum of two cells' counts, where a missing one is zero; their difference where `sign` is -1."""
    length = max(len(one), len(other))
    pairs = zip((*one, *[0] * (length - len(one))), (*other, *[0] * (length - len(other))), strict=True)
    return tuple(a + sign * b for a, b in pairs)
