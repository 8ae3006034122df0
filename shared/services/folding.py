"""The fold: from journal rows to interactions, labels, counters and the alerts.

Everything is recomputed from all of an email's hits, never incremented: run twice, late, or beside another fold of the
same rows, it gives the same. The journal rows are deleted last, exactly those that were read.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import orjson

from shared import metrics
from shared.engagement import flooded, frozen, ranges
from shared.engagement.counting import Counters
from shared.engagement.flooded import Counted, Flooded
from shared.engagement.hits import Kind
from shared.engagement.labels import Email, Label, Observation, dump, load, observe
from shared.engagement.options import is_recipient
from shared.engagement.reading_times import dump as dump_times
from shared.engagement.reading_times import reading_times
from shared.engagement.timeline import Event, Timeline, alert_at, first_by_person, tell, within_budget
from shared.engagement.times import from_milliseconds, iso_seconds, milliseconds, parse_iso
from shared.engagement.tokens import derive_key
from shared.services import alerting, consenting, habits
from shared.services.long_work import in_turn
from shared.services.recording import is_busy
from shared.settings import settings
from shared.storage import emails, journal, queues
from shared.storage.account import StorageError
from shared.storage.contention import insist
from shared.storage.emails import EmailPartition
from shared.storage.organizations import Organization, find_organization, list_organizations
from shared.storage.tables import Entity, Operation

BUSY_DELAY = timedelta(seconds=2)
IDLE_DELAY = timedelta(seconds=5)
MAX_DELAY = timedelta(seconds=20)
HITS_A_SECOND = 1000
"""A partition is left alone a second longer for each so many hits that its last fold had to read and judge again: what
comes meanwhile costs one more such fold, not many."""
GRACE_SECONDS = 5
"""How long after its minute a partition may still receive rows of its own accord."""
SWEEP_SECONDS = 90
MAX_HITS = 5_000
MAX_ROWS = 500
"""How many hits, and in how many group commits, one message takes, a page of the journal more at most; where there are
more, the next one follows at once."""
MAX_ROWS_WHILE_BUSY = 5
"""In how many group commits where this very process is being hammered, and none of an open minute: recipients first."""

_PARALLEL_EMAILS = 8
_THREAD_FROM = 300
"""From how many hits the timeline is told beside the loop, so that no recipient in this process waits for it."""

_in_hand: set[tuple[str, str]] = set()
_left_alone: dict[tuple[str, str], datetime] = {}
"""Partitions that are left alone for longer than usual, and until when: many messages may speak of one."""

_log = logging.getLogger(__name__)


async def fold_partition(organization_name: str, partition: str, now: datetime) -> timedelta | None:
    """Fold a journal partition; return when to look again, None when nothing more will come or it is in hand already.

    A second message for what this process is folding, or leaves alone for a while, would only contend with it; whoever
    is at it looks again.
    """
    organization = await find_organization(organization_name)
    if organization is None:
        _log.warning("hits of organization %s are not folded: there is no such organization", organization_name)
        return None
    key = (organization_name, partition)
    if key in _in_hand or now < _left_alone.get(key, now):
        return None
    _in_hand.add(key)
    _left_alone.pop(key, None)
    try:
        again = await _fold_partition(organization, partition, now)
    finally:
        _in_hand.discard(key)
    if again is not None and again > IDLE_DELAY:
        for old in [old for old, until in _left_alone.items() if until <= now]:
            del _left_alone[old]
        _left_alone[key] = now + again
    return again


async def _fold_partition(organization: Organization, partition: str, now: datetime) -> timedelta | None:
    closes_at = (journal.partition_minute(partition) + 1) * 60 + GRACE_SECONDS
    is_open, hammered = now.timestamp() < closes_at, is_busy()
    if is_open and hammered:
        return IDLE_DELAY
    entities = MAX_ROWS_WHILE_BUSY if hammered else MAX_ROWS
    keys, rows, is_cut = await journal.read_hits(organization, partition, MAX_HITS, entities)
    if keys:
        judged = await _fold_hits(organization, rows, now)
        await journal.delete_rows(organization, keys)
        if is_cut and not hammered:
            return timedelta(0)
        return pause_after(judged)
    return IDLE_DELAY if is_open else None


def pause_after(judged: int) -> timedelta:
    """Return how long a partition is left alone after a fold that judged so many hits.

    >>> [pause_after(judged).seconds for judged in (10, 5_000, 40_000)]
    [2, 7, 20]
    """
    return min(BUSY_DELAY + timedelta(seconds=judged // HITS_A_SECOND), MAX_DELAY)


async def fold_email(organization_name: str, email_id: str, now: datetime) -> None:
    """Tell an email's timeline again, without new hits: an alert that was held is due."""
    organization = await find_organization(organization_name)
    if organization is not None:
        await _fold_email(organization, email_id, (), now)


async def sweep(now: datetime) -> None:
    """Wake the fold for every partition that a lost message left behind, and tell the operator how old the oldest is
    (seconds since its last hit can have come)."""
    before = int(now.timestamp() - SWEEP_SECONDS) // 60
    oldest = 0.0
    for organization in await list_organizations():
        try:
            for partition in await journal.old_partitions(organization, before):
                oldest = max(oldest, now.timestamp() - (journal.partition_minute(partition) + 1) * 60)
                await queues.send(queues.FOLD, {"organization": organization.name, "partition": partition})
        except StorageError as error:
            _log.warning("the journal of %s was not swept: %s", organization.name, error.code)
    metrics.JOURNAL_AGE.set(oldest)


async def _fold_hits(organization: Organization, rows: Sequence[journal.Row], now: datetime) -> int:
    """Fold hits on any emails; return how many hits were judged, those that had been there before too."""
    by_email: dict[str, list[journal.Row]] = {}
    for row in rows:
        by_email.setdefault(row["email"], []).append(row)
    gate = asyncio.Semaphore(_PARALLEL_EMAILS)
    started = time.monotonic()

    async def one(email_id: str, own: Sequence[journal.Row]) -> int:
        async with gate:
            judged = await _fold_email(organization, email_id, own, now)
        received = [journal.received_at(row) for row in own if journal.counted_run(row) is None]
        if received:
            waited = now.timestamp() - min(received) / 1000
            metrics.FOLD_LAG.record(max(0.0, waited) + time.monotonic() - started, organization.name)
        return judged

    # Every email gets its turn even where one fails; the first failure is then the message's, which comes again.
    results = await asyncio.gather(*(one(*item) for item in by_email.items()), return_exceptions=True)
    judged = 0
    for result in results:
        if isinstance(result, BaseException):
            raise result
        judged += result
    return judged


async def _fold_email(organization: Organization, email_id: str, rows: Sequence[journal.Row], now: datetime) -> int:
    """Fold hits on one email; return how many were judged."""
    counts = [counted for row in rows if (counted := journal.counted(row)) is not None]
    new = [row for row in rows if journal.counted(row) is None]

    async def attempt() -> int:
        # Where hits are only counted, what is known of all the others does not matter.
        only_counted = bool(counts) and not new
        partition = await emails.read_partition(
            organization, email_id, interactions=not only_counted, columns=_READ_OF_INTERACTIONS
        )
        if partition is None or not await _may_be_kept(organization, partition, now):
            return 0
        if only_counted:
            await _commit_counts(organization, partition, counts, now)
            return 0
        await _commit(organization, partition, new, counts, now)
        return len(partition.interactions) + len(new)

    return await insist(attempt)


async def _may_be_kept(organization: Organization, partition: EmailPartition, now: datetime) -> bool:
    """Return whether hits on this email may be kept: the organization's switch is on, the email is followed, and no
    recipient has withdrawn. Where one has, that is noted on the email, for ever."""
    email = partition.email
    if not organization.settings["isemailmonitoringallowed"] or not email.get("isemailfollowed"):
        return False
    if email.get("ee_followendedon"):
        if email.get("_erased") and any(map(is_hit, partition.interactions)):
            # Written by a fold of hundreds of hits that began before the erasure and then found the email changed.
            gone = [Operation("delete", row, "*") for row in partition.interactions if is_hit(row)]
            await emails.commit(organization, email, {}, gone)
        return False
    ended = await consenting.ended(organization, partition, now)
    if ended is not None:
        await emails.commit(organization, email, {"ee_followendedon": ended})
    return ended is None


def oldest_kept(organization: Organization, now: datetime) -> int:
    """Return from when on hits are kept (ms), 0 where the organization keeps them for ever."""
    days = organization.settings["ee_retentiondays"]
    return milliseconds(now - timedelta(days=days)) if days else 0


def is_hit(interaction: Mapping[str, Any]) -> bool:
    """Return whether an interaction is a hit, or a flood of them, and not a reply."""
    return "_observation" in interaction or "_flood" in interaction


@dataclass(frozen=True, slots=True)
class _Told:
    """What an email's hits say together: the timeline, how many hits were new, which of them are kept one by one and
    how many only counted, all that are counted, and the rows that change."""

    timeline: Timeline
    new: int
    taken: frozenset[str]
    beyond: int
    flooded: Flooded
    rows: list[Operation]


async def _commit(
    organization: Organization,
    partition: EmailPartition,
    new: Sequence[journal.Row],
    counts: Sequence[Counted],
    now: datetime,
) -> None:
    gone = frozen.load(partition.email.get("_frozen"))
    told = await in_thread(
        len(partition.interactions) + len(new),
        lambda: _tell_partition(organization, partition, gone.before, new, counts, now),
    )
    facts, timeline = facts_of(partition), told.timeline
    due = {kind: alert_at(facts, timeline, hits) for kind, hits in alerting.HITS.items()}
    cards = _cards(organization, partition.email, due, now, some_are_gone=gone != frozen.NOTHING)
    states = {alerting.state_column(kind): state for kind, state in cards.items()}
    # While it is not recorded as sent, which a fetch may precede, habits have no place; the next fold keeps them.
    read_at = (dump_times(reading_times(timeline)) or None) if facts.sent_at is not None else None
    kept_for_others = {"_readat": read_at, "_counted": frozen.counted(timeline, gone) or None}
    counters = _columns(flooded.counters(frozen.counters(timeline, gone), told.flooded.kinds))
    kept = {**counters, **states, **kept_for_others, "_flooded": flooded.dump_kinds(told.flooded)}
    changes = _changed_columns(partition.email, kept)
    if "_readat" in changes:
        # Before the email says so: a crash in between is made good by the next fold.
        await habits.keep(organization, partition, read_at or "", len(timeline.events))
    if told.rows or changes:
        await emails.commit(organization, partition.email, changes, told.rows)
    _count_labels(organization, told)
    # A fold that brings nothing new was woken for these, or is one again that died before it sent the message.
    waking = [
        at
        for kind, at in due.items()
        if at is not None and cards[kind] == "held" and (alerting.state_column(kind) in changes or not told.new)
    ]
    if waking:
        message = {"organization": organization.name, "email": partition.email["PartitionKey"]}
        await queues.send(queues.FOLD, message, timedelta(seconds=max(1.0, min(waking) / 1000 - now.timestamp())))
    for kind, state in cards.items():
        if state in alerting.UNFINISHED:
            await _settle(organization, partition, timeline, kind, state, now)


async def _commit_counts(
    organization: Organization, partition: EmailPartition, counts: Sequence[Counted], now: datetime
) -> None:
    """Write down hits that are only counted, without a look at those that are kept one by one."""
    email = partition.email
    stored = await emails.get_flood(organization, email["PartitionKey"])
    before = flooded_of(stored, frozen.load(email.get("_frozen")).before)
    after, added = flooded.add(before, counts)
    # The email says which counts are in its counters: whatever broke off between the row and the email is made good.
    included = flooded.load_kinds(orjson.loads(email.get("_flooded") or "{}"))
    more = {kind: n - included.get(kind, 0) for kind, n in after.kinds.items()}
    now_counted = flooded.counters(Counters(), more)
    changes = {
        name: email.get(name, 0) + n
        for name, n in _columns(now_counted).items()
        if name in ("ee_machineopencount", "ee_machineclickcount") and n
    }
    if added or changes:
        rows = _flood_row(partition, after, now) if added else []
        await emails.commit(organization, email, {**changes, "_flooded": flooded.dump_kinds(after)}, rows)
        metrics.LABELS.add(organization.name, Label.MACHINE.name.lower(), count=added)


def _tell_partition(
    organization: Organization,
    partition: EmailPartition,
    gone_before: int,
    new: Sequence[journal.Row],
    counts: Sequence[Counted],
    now: datetime,
) -> _Told:
    facts = facts_of(partition)
    # What came before is in the numbers that are kept already; its rows are being removed.
    oldest = max(gone_before, oldest_kept(organization, now))
    held = {row["_hit"]: row for row in partition.interactions if "_observation" in row}
    kept = [hit for row in held.values() if (hit := load(row["_observation"])).at >= gone_before]
    observed = (_observe(organization.name, row, facts.sender_source) for row in new)
    stored = next((row for row in partition.interactions if "_flood" in row), None)
    before = flooded_of(stored, gone_before)
    # A hit that was counted stays so, though there be room for it when it comes again.
    fresh = [
        o
        for o in {o.id: o for o in observed}.values()
        if o.id not in held and o.at >= oldest and not ranges.holds(before.ranges, ranges.run_of(o.id))
    ]
    taken, beyond = within_budget(kept, fresh)
    timeline = tell(facts, [*kept, *taken])
    rows = _changed_rows(partition, held, timeline, now)
    beyond_counts = [Counted(ranges.run_of(o.id), o.kind, o.at, o.at) for o in beyond]
    after, added = flooded.add(before, [*counts, *beyond_counts])
    if added:
        rows.extend(_flood_row(partition, after, now))
    return _Told(timeline, len(fresh), frozenset(o.id for o in taken), added, after, rows)


def flooded_of(row: Mapping[str, Any] | None, gone_before: int) -> Flooded:
    """Return what the row that counts a flood says; nothing where it is gone with all that came before `gone_before`
    (ms): then the email keeps it as numbers already."""
    return Flooded() if row is None or is_flood_before(row, gone_before) else flooded.load(row["_flood"])


def is_flood_before(row: Mapping[str, Any], time: int) -> bool:
    """Return whether the last fetch of a flood came before a time (ms); a flood is as old as that."""
    return str(row["emailinteractiontime"]) < iso_seconds(time)


def _observe(organization: str, row: journal.Row, sender_source: str) -> Observation:
    hit, key = journal.read_hit(row)
    return observe(hit, derive_key(settings().token_secrets.get(key, b""), organization, "sources"), sender_source)


def _count_labels(organization: Organization, told: _Told) -> None:
    for event in told.timeline.events:
        if event.observation.id in told.taken:
            metrics.LABELS.add(organization.name, event.verdict.label.name.lower())
    if told.beyond:
        metrics.LABELS.add(organization.name, Label.MACHINE.name.lower(), count=told.beyond)


async def tell_all(facts: Email, observations: Sequence[Observation]) -> Timeline:
    """Tell the timeline of an email's hits without keeping recipients waiting."""
    return await in_thread(len(observations), lambda: tell(facts, observations))


async def in_thread[T](hits: int, work: Callable[[], T]) -> T:
    """Do pure work on so many hits, beside the loop where they are many."""
    return work() if hits < _THREAD_FROM else await in_turn(work)


def facts_of(partition: EmailPartition) -> Email:
    """Return what the rules need to know of an email."""
    email = partition.email
    return Email(
        sent_at=milliseconds(parse_iso(email["senton"])) if email.get("senton") else None,
        links=sum("item" in link for link in partition.links),
        images=len(partition.images),
        attachments=sum("_item" in attachment for attachment in partition.attachments),
        recipients=sum(map(is_recipient, partition.parties)),
        sender_source=email.get("_sendersource", ""),
    )


def _changed_rows(
    partition: EmailPartition, held: Mapping[str, Entity], timeline: Timeline, now: datetime
) -> list[Operation]:
    """Return the interaction rows that are new or are told differently now."""
    changed: list[Operation] = []
    email_id = partition.email["PartitionKey"]
    for event in timeline.events:
        stored = held.get(event.observation.id)
        # Of thousands of hits few are told differently: a whole row is made for those alone.
        if stored is not None:
            judged = _judged(email_id, event)
            if all(stored.get(name) == value for name, value in judged.items()):
                continue
        row = _interaction(partition, event, now)
        if stored is not None:
            row["createdon"] = stored["createdon"]
        changed.append(Operation("put", row))
    return changed


_JUDGED = ("ee_label", "ee_labelreason", "ee_duplicateof")
_READ_OF_INTERACTIONS: Collection[str] = (
    "PartitionKey", "RowKey", "createdon", "emailinteractiontime", "_hit", "_observation", "_flood", *_JUDGED,
)  # fmt: skip


def _judged(email_id: str, event: Event) -> dict[str, Any]:
    """Return the columns of an interaction that later hits may change, those of `_JUDGED`."""
    return {
        "ee_label": int(event.verdict.label),
        "ee_labelreason": event.verdict.reason,
        "ee_duplicateof": interaction_id(email_id, event.duplicate_of) if event.duplicate_of else None,
    }


def _interaction(partition: EmailPartition, event: Event, now: datetime) -> dict[str, Any]:
    observation = event.observation
    email_id = partition.email["PartitionKey"]
    return {
        "PartitionKey": email_id,
        "RowKey": emails.interaction_key(observation.at, observation.id),
        "interactionforemailid": interaction_id(email_id, observation.id),
        "interactiontype": int(Kind.OPEN if observation.kind is Kind.IMAGE else observation.kind),
        "emailactivityid": email_id,
        "emailinteractiontime": iso_seconds(observation.at),
        "interactedcomponenttext": _component(partition, observation),
        "interactionuseragent": observation.device or None,
        "ownerid": partition.email.get("ownerid"),
        "statecode": 0,
        "createdon": iso_seconds(milliseconds(now)),
        "ee_device": observation.device or None,
        **_judged(email_id, event),
        **_party(partition),
        "_hit": observation.id,
        "_observation": dump(observation),
    }


def interaction_id(email_id: str, hit: str) -> str:
    """Return the id of the interaction that a hit on an email becomes."""
    return str(uuid.uuid5(uuid.UUID(email_id), hit))


def _component(partition: EmailPartition, observation: Observation) -> str | None:
    if observation.kind is Kind.LINK:
        found: Iterable[str] = (link["target"] for link in partition.links if link.get("item") == observation.item)
    elif observation.kind is Kind.ATTACHMENT:
        found = (a["filename"] for a in partition.attachments if a.get("_item") == observation.item)
    else:
        found = ()
    text = next(iter(found), None)
    return text[:1250] if text else None


def _party(partition: EmailPartition) -> dict[str, Any]:
    """Return who it was, which is known where the mail went to exactly one person."""
    recipients = [party for party in partition.parties if is_recipient(party)]
    if len(recipients) != 1:
        return {}
    return {"interactionpartyid": recipients[0].get("partyid"), "emailaddress": recipients[0].get("addressused")}


def _flood_row(partition: EmailPartition, found: Flooded, now: datetime) -> list[Operation]:
    """Return the one row that counts what is not kept one by one."""
    email_id = partition.email["PartitionKey"]
    most = max(found.kinds, key=lambda kind: found.kinds[kind], default=Kind.OPEN)
    first, last = (iso_seconds(milliseconds(now) if at is None else at) for at in (found.first, found.last))
    return [
        Operation(
            "put",
            {
                "PartitionKey": email_id,
                "RowKey": emails.FLOOD,
                "interactionforemailid": interaction_id(email_id, "flood"),
                "interactiontype": int(Kind.OPEN if most is Kind.IMAGE else most),
                "emailactivityid": email_id,
                "emailinteractiontime": last,
                "ownerid": partition.email.get("ownerid"),
                "statecode": 0,
                "createdon": iso_seconds(milliseconds(now)),
                "ee_label": int(Label.MACHINE),
                "ee_labelreason": flooded.reason(found, first),
                "_flood": flooded.dump(found),
            },
        )
    ]


def _columns(counters: Counters) -> dict[str, Any]:
    return {
        "opencount": counters.opencount,
        "linksclickedcount": counters.linksclickedcount,
        "attachmentopencount": counters.attachmentopencount,
        "ee_proxyopencount": counters.ee_proxyopencount,
        "ee_machineopencount": counters.ee_machineopencount,
        "ee_machineclickcount": counters.ee_machineclickcount,
        "lastopenedtime": iso_seconds(counters.lastopenedtime) if counters.lastopenedtime is not None else None,
    }


def _changed_columns(email: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in columns.items() if email.get(name) != value}


def _cards(
    organization: Organization,
    email: Mapping[str, Any],
    due: Mapping[str, int | None],
    now: datetime,
    *,
    some_are_gone: bool,
) -> dict[str, str | None]:
    """Return the state that each card of a hit should be in; `due` is when each is worth an alert (ms). Where retention
    has removed hits, that there is none says nothing against a card that was raised."""
    return {
        kind: email.get(alerting.state_column(kind))
        if at is None and some_are_gone
        else alerting.next_state(
            email.get(alerting.state_column(kind)), at, milliseconds(now), on=alerting.is_on(organization, kind)
        )
        for kind, at in due.items()
    }


async def _settle(
    organization: Organization, partition: EmailPartition, timeline: Timeline, kind: str, state: str, now: datetime
) -> None:
    """Write or withdraw the card of a hit."""
    event = first_by_person(timeline, alerting.HITS[kind])
    if event is None:
        await alerting.settle(organization, partition, kind, state, now)
        return
    hit = event.observation
    detail = hit.device if kind == "firstopen" else _component(partition, hit) or ""
    await alerting.settle(organization, partition, kind, state, now, moment=from_milliseconds(hit.at), detail=detail)
